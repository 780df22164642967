"""Tests of studies on the real dataset: the same bytes after any interruption, and on a cluster."""

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from support import helpers

from fmnist.pipeline import Where
from fmnist.replication.results import Sample
from fmnist.report.page import write_report
from fmnist.runs import findings, run, study_pipeline
from fmnist.runs.folder import read_result, read_sample, read_seed
from fmnist.steps import dataset
from fmnist.steps.settings import Settings

FMNIST = str(Path(sys.executable).with_name("fmnist"))
SEEDS = range(3, 9)
PARAMETERS = ["-p", "epochs=1", "--first-seed", "3", "--seeds", "6"]


def start(*arguments: str, cwd: Path | None = None) -> subprocess.Popen[str]:
    """Start a command of fmnist in a process group of its own, its messages in a pipe."""
    return subprocess.Popen(
        [*helpers.INTERRUPTIBLE, FMNIST, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={**helpers.clean_environment(), "FMNIST_DATA_DIR": str(dataset.data_folder())},
        start_new_session=True,
    )


def study(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Do the study in `folder` to its end."""
    with start("study", *PARAMETERS, "-o", str(folder), *options) as process:
        out, messages = process.communicate()
    return subprocess.CompletedProcess([], process.returncode, out, messages)


def reproducible(folder: Path) -> Mapping[str, bytes]:
    """Return the content of the checksums, and of each file in them."""
    found = helpers.contents(folder)
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
def broken_off(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[int, str, int]]]:
    """A study that was killed and interrupted: exit code, last messages, and seeds finished, each time."""
    folder, ends = tmp_path_factory.mktemp("broken_off") / "study", []
    for number, jobs in ((signal.SIGKILL, "1"), (signal.SIGINT, "2")):
        with start("study", *PARAMETERS, "-o", str(folder), "--jobs", jobs) as process:
            assert process.stderr is not None
            next(line for line in process.stderr if "accuracy" in line)
            # Ctrl-C in a terminal reaches every process, kill -9 the one that is named.
            os.killpg(process.pid, number) if number == signal.SIGINT else process.kill()
            messages = process.stderr.read()
        ends.append((process.returncode, messages, len([*folder.glob("seeds/*.json")])))
    return folder, ends


@pytest.fixture(scope="module")
def resumed(broken_off: tuple[Path, object]) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The broken-off study, ended by the same command."""
    done = study(broken_off[0], "--jobs", "2")
    assert done.returncode == 0, done.stderr
    return broken_off[0], done


def test_a_broken_off_study_keeps_what_is_finished(broken_off: tuple[Path, list[tuple[int, str, int]]]) -> None:
    """After kill -9 and Ctrl-C some seeds are there, not all; one line after Ctrl-C says how to resume."""
    folder, [(killed, _, kept), (interrupted, messages, kept_then)] = broken_off
    assert (killed, interrupted) == (-signal.SIGKILL, 130)
    assert 1 <= kept < kept_then < len(SEEDS)
    assert messages.splitlines()[-1] == (
        f"Error: interrupted; finished seeds are kept. To resume, run the same command with -o {folder}."
    )
    assert "Traceback" not in messages


def test_a_resumed_study_is_byte_identical(
    resumed: tuple[Path, subprocess.CompletedProcess[str]], undisturbed: Path
) -> None:
    """Killed, interrupted and resumed on two jobs, or left alone on one: all results are equal."""
    helpers.assert_same_files(got=reproducible(resumed[0]), expected=reproducible(undisturbed))


def test_a_resumed_study_trains_only_what_is_missing(
    broken_off: tuple[Path, list[tuple[int, str, int]]], resumed: tuple[Path, subprocess.CompletedProcess[str]]
) -> None:
    """What was finished is not trained again."""
    finished = broken_off[1][-1][2]
    assert resumed[1].stderr.count(": accuracy ") == len(SEEDS) - finished
    assert json.loads((resumed[0] / "record.json").read_bytes())["trained"] == len(SEEDS) - finished


def test_a_study_leaves_all_its_files(resumed: tuple[Path, object]) -> None:
    """Plan, seeds, table, verdict, pictures, report, record, log and checksums, and no more."""
    pictures = ("confusion_matrix", "distribution", "loss_curves")
    expected = {f"{picture}.{kind}" for picture in pictures for kind in ("png", "svg")} | {"distribution-dark.svg"}
    expected |= {"SHA256SUMS", "accuracies.csv", "log.txt", "record.json", "report.html", "study.json", "verdict.json"}
    assert helpers.contents(resumed[0]).keys() == expected | {f"seeds/{seed}.json" for seed in SEEDS}


def test_the_checksums_cover_all_but_time_and_machine(resumed: tuple[Path, object]) -> None:
    """`sha256sum -c` agrees, and leaves out only the record, the report that shows it, and the log."""
    check = subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=resumed[0], check=False)
    assert check.returncode == 0
    assert helpers.contents(resumed[0]).keys() - reproducible(resumed[0]).keys() == {
        "log.txt",
        "record.json",
        "report.html",
    }


@pytest.fixture(scope="module")
def on_a_cluster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The outputs of the first two seeds' study as a pipeline, on kfp's local runner."""
    root = tmp_path_factory.mktemp("cluster")
    compiled = study_pipeline.compile_pipeline(root / "study.yaml", Where(run.LOCAL_IMAGE))
    # In a process of its own: after a loop, whose steps run in threads, kfp leaves the built-in `print` changed.
    helpers.python(
        "from kfp import components, local\n"
        f"local.init(local.SubprocessRunner(use_venv=False), pipeline_root={str(root / 'out')!r}, "
        f"workspace_root={str(root / 'workspace')!r})\n"
        f"pipeline = components.load_component_from_file({str(compiled)!r})\n"
        f"pipeline(epochs=1, first_seed={SEEDS[0]}, count=2)\n"
    )
    [folder] = (root / "out").iterdir()
    return folder


@pytest.fixture(scope="module")
def judged(on_a_cluster: Path) -> dict[str, Path]:
    """The artifacts of the verdict step."""
    return {path.name: path for path in on_a_cluster.glob("verdict/*")}


@pytest.fixture(scope="module")
def studied(undisturbed: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Sample, Path]:
    """The first two seeds of the undisturbed study as a study of their own, and its findings."""
    folder, results = tmp_path_factory.mktemp("studied"), [read_seed(undisturbed, seed) for seed in SEEDS[:2]]
    sample = Sample.of_study(findings.plan(Settings(epochs=1), SEEDS[:2]), results, read_sample(undisturbed).record)
    findings.write_findings(sample, folder)
    return sample, folder


def test_a_seed_has_the_model_of_a_run(undisturbed: Path, on_a_cluster: Path) -> None:
    """The second seed of a worker gives the model, history and predictions of the pipeline's own steps, bit for bit."""
    artifacts = {path.name: path for path in on_a_cluster.glob("for-loop-1-iteration-1/t*/*")}
    assert read_seed(undisturbed, SEEDS[1]) == read_result(SEEDS[1], artifacts)


def test_a_cluster_finds_what_is_found_here(judged: dict[str, Path], studied: tuple[Sample, Path]) -> None:
    """Accuracies, losses and models of each seed, verdicts and picture are those of the study here, bit for bit."""
    for name, file in (("accuracies", findings.ACCURACIES), ("verdicts", findings.VERDICT)):
        assert judged[name].read_bytes() == (studied[1] / file).read_bytes()
    assert judged["distribution"].read_bytes() == (studied[1] / "distribution.png").read_bytes()


def test_the_report_of_a_cluster_is_the_page_of_a_study(judged: dict[str, Path], studied: tuple[Sample, Path]) -> None:
    """But for when and where it was made, the page is the same."""
    theirs, ours = (path.read_text() for path in (judged["report"], studied[1] / "report.html"))
    record = '<section aria-labelledby="record">'
    assert theirs.split(record)[0] == ours.split(record)[0]
    assert f"--first-seed {SEEDS[0]} --seeds 2 -o again" in theirs


def test_the_metrics_are_those_of_the_seeds(judged: dict[str, Path], studied: tuple[Sample, Path]) -> None:
    """Kubeflow shows the number of seeds, their mean and their deviation, also where nothing was published."""
    output = json.loads(judged["executor_output.json"].read_bytes())
    metadata = output["artifacts"]["metrics"]["artifacts"][0]["metadata"]
    one, other = studied[0].accuracies
    assert metadata["seeds"] == 2
    assert metadata["mean"] == pytest.approx((one + other) / 2)
    assert metadata["deviation"] == pytest.approx(abs(one - other) / math.sqrt(2))


def test_a_report_written_again_is_the_same(undisturbed: Path) -> None:
    """`fmnist report` makes of the files of a study the page that the study made of its results."""
    before = (undisturbed / "report.html").read_bytes()
    assert write_report(read_sample(undisturbed), undisturbed).read_bytes() == before


def test_a_finished_study_stays_as_it_is(resumed: tuple[Path, object]) -> None:
    """The same command on a finished study trains nothing, changes nothing, and prints the result again."""
    before = helpers.contents(resumed[0])
    again = study(resumed[0])
    assert again.returncode == 0
    assert ": accuracy " not in again.stderr
    helpers.assert_same_files(got=helpers.contents(resumed[0]), expected=before)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (["-p", "epochs=2"], "parameters.epochs: it was 1, now it is 2"),
        (["--seeds", "5"], "seeds.count: it was 6, now it is 5"),
        (["--first-seed", "0"], "seeds.first: it was 3, now it is 0"),
    ],
    ids=["parameter", "fewer seeds", "other seeds"],
)
def test_another_study_is_refused(undisturbed: Path, changed: list[str], message: str) -> None:
    """In the folder of a study another one is bad input; the message lists the difference, and nothing is changed."""
    before = helpers.contents(undisturbed)
    done = study(undisturbed, *changed)
    assert done.returncode == 2
    assert message in done.stderr
    assert helpers.contents(undisturbed) == before


def test_results_go_to_stdout(resumed: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    """The table has seeds, mean and spread, and where report and picture are."""
    folder, done = resumed
    rows = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    accuracies = [float(line.split(",")[1]) for line in (folder / "accuracies.csv").read_text().splitlines()[1:]]
    assert rows["seeds"] == "6, from 3 on"
    assert rows["mean"] == f"{sum(accuracies) / 6:.4f}"
    assert rows["range"] == f"{min(accuracies):.4f} to {max(accuracies):.4f}"
    assert Path(rows["report"]).exists()
    assert Path(rows["picture"]).exists()


def test_a_seed_that_fails_is_named_and_loses_no_other(tmp_path: Path) -> None:
    """A worker that is killed in the middle of a seed costs that seed alone: exit code 3, and the others are kept."""
    with start("study", *PARAMETERS, "--seeds", "3", "-o", str(tmp_path / "study"), "--jobs", "1") as process:
        assert process.stderr is not None
        next(line for line in process.stderr if "accuracy" in line)
        worker = subprocess.run(
            ["pgrep", "--session", str(process.pid), "--full", "spawn_main"], capture_output=True, text=True, check=True
        )
        os.kill(int(worker.stdout.split()[0]), signal.SIGKILL)
        messages = process.stderr.read()
    assert process.returncode == 3
    kept = {int(path.stem) for path in tmp_path.glob("study/seeds/*.json")}
    [lost] = set(SEEDS[:3]) - kept
    assert f"seed {lost}: failed" in messages
    assert f"  seed {lost}: its process ended with exit code -9; -9 may mean that memory ran out\n" in messages
    assert "Traceback" not in messages
    assert not (tmp_path / "study" / "SHA256SUMS").exists()
