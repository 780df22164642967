"""Tests of studies on the real dataset: the same bytes after any interruption, and on a cluster."""

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner
from support import helpers

from fmnist import testing
from fmnist.cli import fmnist as cli
from fmnist.pipeline import Where
from fmnist.replication.sample import Result
from fmnist.report.page import write_report
from fmnist.runs import run, study_pipeline
from fmnist.runs.checked import read_sample
from fmnist.runs.folder import ACCURACIES, VERDICT
from fmnist.steps import dataset, determinism, evaluation, training
from fmnist.steps.settings import Settings

FMNIST = str(Path(sys.executable).with_name("fmnist"))
SEEDS = range(3, 6)
STUDY = ("study", "-p", "epochs=1", "--first-seed", "3", "--seeds", "3")


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    """Start the study in `folder` in a process group of its own, its messages in a pipe."""
    return subprocess.Popen(
        [*helpers.INTERRUPTIBLE, FMNIST, *STUDY, "-o", str(folder), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**helpers.clean_environment(), "FMNIST_DATA_DIR": str(dataset.data_folder())},
        start_new_session=True,
    )


def study(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Do the study in `folder` to its end."""
    with start(folder, *options) as process:
        out, messages = process.communicate()
    return subprocess.CompletedProcess([], process.returncode, out, messages)


@dataclass(frozen=True)
class Attempt:
    """How an attempt at a study ended: exit code, last messages, and the finished seeds and other files it left."""

    code: int
    messages: str
    seeds: set[int]
    files: set[str]


def attempt(folder: Path, jobs: int, disturb: Callable[[subprocess.Popen[str]], str | None]) -> Attempt:
    """Start the study in `folder`, disturb it, which may take a message, and wait for its end."""
    with start(folder, "--jobs", str(jobs)) as process:
        message = disturb(process) or ""
        assert process.stderr is not None
        messages = message + process.stderr.read()
    seeds = {int(path.stem) for path in folder.glob("seeds/*.json")}
    return Attempt(process.returncode, messages, seeds, {path.name for path in folder.iterdir()})


def busy(process: subprocess.Popen[str], jobs: int) -> list[int]:
    """Wait until each worker of a study has begun a seed, for which it loads TensorFlow; return their process ids."""
    while process.poll() is None:
        found = subprocess.run(
            ["pgrep", "--session", str(process.pid), "--full", "spawn_main"],
            capture_output=True,
            text=True,
            check=False,
        )
        workers = [int(pid) for pid in found.stdout.split()]
        if sum("libtensorflow" in Path(f"/proc/{pid}/maps").read_text() for pid in workers) == jobs:
            return workers
        time.sleep(0.05)
    pytest.fail(f"the study ended before its workers began: {process.communicate()}")


def reproducible(folder: Path) -> Mapping[str, bytes]:
    """Return the content of the checksums, and of each file in them."""
    found = testing.contents(folder)
    names = [line.split("  ")[1] for line in found["SHA256SUMS"].decode().splitlines()]
    return {name: found[name] for name in ["SHA256SUMS", *names]}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of one job that nothing happened to."""
    folder = tmp_path_factory.mktemp("undisturbed") / "study"
    done = study(folder, "--jobs", "1")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a study loses a worker, is interrupted, killed, and resumed."""
    return tmp_path_factory.mktemp("disturbed") / "study"


@pytest.fixture(scope="module")
def failed(folder: Path) -> Attempt:
    """The study, on two jobs, of which one was killed."""
    return attempt(folder, 2, lambda process: os.kill(busy(process, jobs=2)[0], signal.SIGKILL))


@pytest.fixture(scope="module")
def interrupted(folder: Path, failed: Attempt) -> Attempt:
    """Resumed, and interrupted while its worker works: Ctrl-C in a terminal reaches every process."""

    def interrupt(process: subprocess.Popen[str]) -> None:
        busy(process, jobs=1)
        os.killpg(process.pid, signal.SIGINT)

    return attempt(folder, 1, interrupt)


@pytest.fixture(scope="module")
def killed(folder: Path, interrupted: Attempt) -> Attempt:
    """Resumed, and killed when the last seed was there, but no result of the study."""

    def kill(process: subprocess.Popen[str]) -> str:
        assert process.stderr is not None
        message = next(line for line in process.stderr if "accuracy" in line)
        process.kill()
        return message

    return attempt(folder, 1, kill)


@pytest.fixture(scope="module")
def resumed(folder: Path, killed: Attempt) -> subprocess.CompletedProcess[str]:
    """What the same command printed, which ended the study."""
    done = study(folder, "--jobs", "2")
    assert done.returncode == 0, done.stderr
    return done


def test_a_seed_that_fails_is_named_and_loses_no_other(failed: Attempt) -> None:
    """A worker that is killed in the middle of a seed costs that seed alone: exit code 3, and the others are kept."""
    assert failed.code == 3
    [lost] = set(SEEDS) - failed.seeds
    assert f"seed {lost}: failed" in failed.messages
    assert f"  seed {lost}: its process ended with exit code -9 (SIGKILL). Something else killed it" in failed.messages
    assert "Traceback" not in failed.messages
    assert "SHA256SUMS" not in failed.files


def test_a_broken_off_study_keeps_what_is_finished(
    folder: Path, failed: Attempt, interrupted: Attempt, killed: Attempt
) -> None:
    """Ctrl-C loses no finished seed, kill -9 not even the newest; one line after Ctrl-C says how to resume."""
    assert (interrupted.code, killed.code) == (130, -signal.SIGKILL)
    assert interrupted.seeds == failed.seeds
    assert killed.seeds == set(SEEDS)
    assert "SHA256SUMS" not in interrupted.files | killed.files
    assert interrupted.messages.splitlines()[-1] == (
        f"Error: interrupted; finished seeds are kept. To resume, run the same command with -o {folder}."
    )
    assert "Traceback" not in interrupted.messages


def test_a_resumed_study_is_byte_identical(folder: Path, resumed: object, undisturbed: Path) -> None:
    """Robbed of a worker, interrupted, killed and resumed, or left alone: all results are equal, on two jobs or one."""
    testing.assert_same_files(got=reproducible(folder), expected=reproducible(undisturbed))


def test_a_resumed_study_trains_only_what_is_missing(
    undisturbed: Path, killed: Attempt, resumed: subprocess.CompletedProcess[str]
) -> None:
    """What was finished is not trained again: of three seeds one was missing, then none."""
    assert "seeds: 1/1, seed" in killed.messages
    assert ": accuracy " not in resumed.stderr
    assert json.loads((undisturbed / "record.json").read_bytes())["trained"] == len(SEEDS)


def test_a_study_leaves_all_its_files(folder: Path, resumed: object) -> None:
    """Plan, seeds, table, verdict, pictures, report, record, log and checksums, and no more."""
    pictures = ("confusion_matrix", "distribution", "loss_curves")
    expected = {f"{picture}.{kind}" for picture in pictures for kind in ("png", "svg")} | {"distribution-dark.svg"}
    expected |= {"RECORD.sha256", "SHA256SUMS", "accuracies.csv", "log.txt", "record.json"}
    expected |= {"report.html", "study.json", "verdict.json"}
    assert testing.contents(folder).keys() == expected | {f"seeds/{seed}.json" for seed in SEEDS}


def test_the_checksums_cover_all_but_time_and_machine(folder: Path, resumed: object) -> None:
    """`sha256sum -c` agrees, and leaves out only records, the report that shows them, and the log."""
    check = subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=folder, check=False)
    assert check.returncode == 0
    left_out = testing.contents(folder).keys() - reproducible(folder).keys()
    assert left_out == {"RECORD.sha256", "log.txt", "record.json", "report.html"}
    check = subprocess.run(["sha256sum", "-c", "--quiet", "RECORD.sha256"], cwd=folder, check=False)
    assert check.returncode == 0
    assert len((folder / "RECORD.sha256").read_text().splitlines()) == len(reproducible(folder)) + 2


@pytest.fixture(scope="module")
def on_a_cluster(tmp_path_factory: pytest.TempPathFactory, warm_python: str) -> Path:
    """The outputs of the study as a pipeline of two shards, on kfp's local runner."""
    root = tmp_path_factory.mktemp("cluster")
    compiled = study_pipeline.compile_pipeline(root / "study.yaml", Where(run.LOCAL_IMAGE))
    # In a process of its own: after a loop, whose steps run in threads, kfp leaves the built-in `print` changed.
    helpers.python(
        f"import sys; sys.executable = {warm_python!r}\n"
        "from kfp import components, local\n"
        f"local.init(local.SubprocessRunner(use_venv=False), pipeline_root={str(root / 'out')!r}, "
        f"workspace_root={str(root / 'workspace')!r})\n"
        f"pipeline = components.load_component_from_file({str(compiled)!r})\n"
        f"pipeline(epochs=1, first_seed={SEEDS[0]}, seeds={len(SEEDS)}, shards=2)\n"
    )
    [folder] = (root / "out").iterdir()
    return folder


@pytest.fixture(scope="module")
def judged(on_a_cluster: Path) -> dict[str, Path]:
    """The artifacts of the verdict step."""
    return {path.name: path for path in on_a_cluster.glob("verdict/*")}


def test_a_seed_has_the_model_of_a_run(undisturbed: Path) -> None:
    """The second seed of a worker gives the model, history and predictions of the pipeline's own steps, bit for bit."""
    determinism.tensorflow()
    trained = training.train(Settings(epochs=1, seed=4), dataset.load("train"))
    tested = evaluation.test(trained.model, dataset.load("test"))
    assert read_sample(undisturbed).results[1] == Result.of(4, trained, tested)


def test_a_cluster_finds_what_is_found_here(judged: dict[str, Path], undisturbed: Path) -> None:
    """The folder is that of the study here: seeds, table, verdicts, pictures and checksums, bit for bit."""
    here, there = reproducible(undisturbed), reproducible(judged["study"])
    testing.assert_same_files(got=there, expected=here)
    assert testing.contents(judged["study"]).keys() == testing.contents(undisturbed).keys() - {"log.txt"}
    shown = {"accuracies": ACCURACIES, "verdicts": VERDICT, "distribution": "distribution.png"}
    for name, file in shown.items():
        assert judged[name].read_bytes() == here[file]


def test_the_study_of_a_cluster_is_one_of_here(judged: dict[str, Path]) -> None:
    """Its folder, brought home, is taken as any other, and nothing is left to train there."""
    done = CliRunner().invoke(cli.main, ["report", str(judged["study"])])
    assert done.exit_code == 0, done.output
    again = CliRunner().invoke(cli.main, [*STUDY, "-o", str(judged["study"])])
    assert again.exit_code == 0, again.output
    assert ": accuracy " not in again.stderr


def test_a_shard_has_consecutive_seeds(on_a_cluster: Path) -> None:
    """The first of two shards has one of three seeds, and the second the others."""
    found = {
        path.relative_to(on_a_cluster).as_posix() for path in on_a_cluster.glob("for-loop-1-*/shard/results/seeds/*")
    }
    assert found == {
        "for-loop-1-iteration-0/shard/results/seeds/3.json",
        "for-loop-1-iteration-1/shard/results/seeds/4.json",
        "for-loop-1-iteration-1/shard/results/seeds/5.json",
    }


def test_the_report_of_a_cluster_is_the_page_of_a_study(judged: dict[str, Path], undisturbed: Path) -> None:
    """But for when and where it was made, the page is the same."""
    theirs, ours = (path.read_text() for path in (judged["report"], undisturbed / "report.html"))
    record = '<section aria-labelledby="record">'
    assert theirs.split(record)[0] == ours.split(record)[0]
    assert "--first-seed 3 --seeds 3 -o again" in theirs


def test_the_metrics_are_those_of_the_seeds(judged: dict[str, Path], undisturbed: Path) -> None:
    """Kubeflow shows the number of seeds, their mean and their deviation, also where nothing was published."""
    output = json.loads(judged["executor_output.json"].read_bytes())
    metadata = output["artifacts"]["metrics"]["artifacts"][0]["metadata"]
    accuracies = read_sample(undisturbed).accuracies
    assert metadata["seeds"] == 3
    assert metadata["mean"] == pytest.approx(statistics.mean(accuracies))
    assert metadata["deviation"] == pytest.approx(statistics.stdev(accuracies))


def test_a_report_written_again_is_the_same(undisturbed: Path) -> None:
    """`fmnist report` makes of the files of a study the page that the study made of its results."""
    before = (undisturbed / "report.html").read_bytes()
    assert write_report(read_sample(undisturbed), undisturbed).read_bytes() == before


def test_a_finished_study_stays_as_it_is(undisturbed: Path) -> None:
    """The same command trains and changes nothing, prints the result again, and sweeps away half-written files."""
    before = testing.contents(undisturbed)
    for name in ("seeds/.4.json.0123abcd.tmp", ".verdict.json.0123abcd.tmp"):
        (undisturbed / name).write_text('{"seed": 4, "acc')
    again = CliRunner().invoke(cli.main, [*STUDY, "-o", str(undisturbed)])
    assert again.exit_code == 0
    assert ": accuracy " not in again.stderr
    testing.assert_same_files(got=testing.contents(undisturbed), expected=before)


def test_a_study_is_verified(undisturbed: Path) -> None:
    """A seed that is drawn is trained again, and gives the file that is there."""
    before = testing.contents(undisturbed)
    done = CliRunner().invoke(cli.main, ["verify", str(undisturbed), "--sample", "1", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["outcome"], found["environment"]) == ("verified", [])
    [seed] = found["seeds"]
    assert f"seeds/{seed}.json" in {file["name"] for file in found["files"]}
    assert testing.contents(undisturbed) == before


def test_another_study_is_refused(undisturbed: Path) -> None:
    """In the folder of a study another one is bad input; the message lists each difference, and nothing is changed."""
    before = testing.contents(undisturbed)
    changes = ["-p", "epochs=2", "--seeds", "1", "--first-seed", "0"]
    done = CliRunner().invoke(cli.main, [*STUDY, *changes, "-o", str(undisturbed)])
    assert done.exit_code == 2
    for difference in (
        "parameters.epochs: it was 1, now it is 2",
        "seeds.count: it was 3, now it is 1",
        "seeds.first: it was 3, now it is 0",
    ):
        assert difference in done.stderr
    assert testing.contents(undisturbed) == before


def test_results_go_to_stdout(folder: Path, resumed: subprocess.CompletedProcess[str]) -> None:
    """The table has seeds, mean and spread, and where report and picture are."""
    rows = dict(line.split(maxsplit=1) for line in resumed.stdout.splitlines())
    accuracies = [float(line.split(",")[1]) for line in (folder / "accuracies.csv").read_text().splitlines()[1:]]
    assert rows["seeds"] == "3, from 3 on"
    assert rows["mean"] == f"{sum(accuracies) / 3:.4f}"
    assert rows["range"] == f"{min(accuracies):.4f} to {max(accuracies):.4f}"
    assert Path(rows["report"]).exists()
    assert Path(rows["picture"]).exists()
