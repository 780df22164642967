"""Tests of `fmnist run` on the real dataset: what it leaves, that it is the same each time, and how it fails."""

import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from support import folders, helpers
from support.folders import RESULTS

from fmnist import pipeline, testing
from fmnist.cli import fmnist as cli
from fmnist.cli import same
from fmnist.kubeflow import bundle
from fmnist.pipeline import Where
from fmnist.runs.run import HERE
from fmnist.steps import confusion, dataset, files
from fmnist.steps.labels import Labels
from fmnist.steps.settings import Settings

#: kfp warns of what its local runner leaves out; a program on the command line does not show that.
pytestmark = pytest.mark.filterwarnings("ignore:Task .* have no effect in the current local runner")

ROOT = Path(__file__).parents[2]
FMNIST, SAME = (str(Path(sys.executable).with_name(name)) for name in ("fmnist", "same"))
SETTINGS = Settings(epochs=1, seed=3)
RUN = (FMNIST, "run", "-p", "epochs=1", "--seed", "3")
SAME_RUN = (SAME, "program", "run", "-f", str(ROOT / "same.yaml"), "-t", "local", "-p", "epochs=1", "-p", "seed=3")
SECRET = "s3cret-t0ken"  # noqa: S105 - not one


def environment(**changes: str) -> Mapping[str, str]:
    """Return the environment of a user whose dataset is where it is here, with `changes`."""
    ours = {"FMNIST_DATA_DIR": str(dataset.data_folder()), "FMNIST_KFP_TOKEN": SECRET}
    ours |= {"FMNIST_MIRROR": f"https://me:{SECRET}@m.example", "HTTPS_PROXY": f"http://{SECRET}@p.example"}
    return {**helpers.clean_environment(), **ours, **changes}


def run(*command: str, cwd: Path | None = None, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(command, cwd=cwd, env=environment(**changes), capture_output=True, text=True, check=False)


@dataclass(frozen=True)
class Attempt:
    """How a run was broken off: exit code, messages, and the names and files that it left in its folder."""

    code: int
    messages: str
    names: set[str]
    files: Mapping[str, bytes]


def attempt(folder: Path, command: Sequence[str], line: str, number: signal.Signals) -> Attempt:
    """Start a run into `folder`, and send a signal to all its processes when it prints `line`."""
    with subprocess.Popen(
        [*helpers.INTERRUPTIBLE, *command, "-o", str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        next(one for one in process.stderr if one == f"{line}\n")
        os.killpg(process.pid, number)
        messages = process.stderr.read()
    return Attempt(process.returncode, messages, {path.name for path in folder.iterdir()}, testing.contents(folder))


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Empty folders for all that a program may write to but should not."""
    root = tmp_path_factory.mktemp("places")
    for name in ("home", "temporary", "here"):
        (root / name).mkdir()
    return {path.name: path for path in root.iterdir()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all runs go, broken off and finished."""
    return tmp_path_factory.mktemp("finished") / "run"


@pytest.fixture(scope="module")
def killed(folder: Path) -> Attempt:
    """`same program run -t local`, killed after the training."""
    return attempt(folder, SAME_RUN, "test: started", signal.SIGKILL)


@pytest.fixture(scope="module")
def interrupted(folder: Path, killed: Attempt) -> Attempt:
    """`fmnist run`, interrupted when it began to train."""
    return attempt(folder, RUN, "train: started", signal.SIGINT)


@pytest.fixture(scope="module")
def finished(folder: Path, interrupted: Attempt, places: dict[str, Path]) -> subprocess.CompletedProcess[str]:
    """What `fmnist run` printed, with one epoch, without a network and with empty folders around."""
    no_network = ("unshare", "--map-root-user", "--net")
    if subprocess.run([*no_network, "true"], check=False).returncode:
        helpers.missing("unshare, to take the network away")
    empty = {"HOME": str(places["home"]), "TMPDIR": str(places["temporary"])}
    done = run(*no_network, *RUN, "-o", str(folder), cwd=places["here"], **empty)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def run_files(folder: Path, finished: object) -> dict[str, bytes]:
    """The content of the finished run."""
    return testing.contents(folder)


def reproducible(found: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return those of the files that must be the same each time."""
    return {name: content for name, content in found.items() if name in RESULTS}


def test_a_broken_off_run_leaves_no_result(killed: Attempt, interrupted: Attempt) -> None:
    """After kill -9 and after Ctrl-C no result has its name; after Ctrl-C one line says how to resume."""
    assert (killed.code, interrupted.code) == (-signal.SIGKILL, 130)
    assert killed.names == interrupted.names == {"log.txt", "pipeline.yaml", ".unfinished"}
    assert re.fullmatch(
        r"Error: interrupted; finished epochs are kept\. To resume, run the same command with -o /.+/run\.",
        interrupted.messages.splitlines()[-1],
    )
    assert "Traceback" not in interrupted.messages


def test_a_run_leaves_all_its_files(run_files: dict[str, bytes]) -> None:
    """Also where two runs were broken off, the folder holds results, record, report, log and checksums, and no more."""
    others = {"RECORD.sha256", "SHA256SUMS", "log.txt", "pipeline.yaml", "report.html", "run.json"}
    assert run_files.keys() == RESULTS | others


def test_nothing_else_is_written(finished: object, places: dict[str, Path]) -> None:
    """Home, working folder and folder for temporary files are as empty as before."""
    assert not any(testing.contents(path) for path in places.values())


def test_the_image_runs_for_any_user_where_only_tmp_can_be_written(run_files: dict[str, bytes], tmp_path: Path) -> None:
    """As the Dockerfile sets it up, a user without name or rights gives the same files on a read-only disk."""
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert {"ENV HOME=/tmp", "USER 1000", "WORKDIR /tmp"} <= set(lines)
    # What the image's /tmp is, a folder of its own is here, as the checkout may be below /tmp.
    mount = f"mount -t tmpfs tmpfs {tmp_path}; mount -o remount,ro,bind /"
    drop = "exec setpriv --ambient-caps=-all --inh-caps=-all --bounding-set=-all"
    user = ("unshare", "--user", "--map-user=1000000", "--map-group=0", "--mount", "--keep-caps")
    guarded = (*user, "sh", "-ec", f'{mount}; cd {tmp_path}; {drop} "$@"', "sh")
    if subprocess.run([*guarded, "true"], check=False, capture_output=True).returncode:
        helpers.missing("unshare and setpriv, to be another user on a read-only file system")
    program = f"! touch {sys.prefix}/x 2>/dev/null; id -u; {' '.join(RUN)} -o run >&2; ls -A; cat run/SHA256SUMS"
    done = run(*guarded, "sh", "-ec", program, HOME=str(tmp_path), TMPDIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"1000000\nrun\n{run_files['SHA256SUMS'].decode()}"


def test_the_checksums_cover_every_result(folder: Path, run_files: dict[str, bytes]) -> None:
    """`sha256sum -c` agrees, and lists the compiled pipeline and every result."""
    check = run("sha256sum", "-c", "SHA256SUMS", cwd=folder)
    assert check.returncode == 0, check.stdout
    listed = {line.split("  ")[1] for line in run_files["SHA256SUMS"].decode().splitlines()}
    assert listed == RESULTS | {"pipeline.yaml"}


def test_a_report_written_again_is_the_same(folder: Path, run_files: dict[str, bytes]) -> None:
    """`fmnist report` makes of the files of a run the page that the run made of its results."""
    report = CliRunner().invoke(cli.main, ["report", str(folder)])
    assert Path(report.stdout.strip()).read_bytes() == run_files["report.html"]


def test_what_ran_is_the_compiled_pipeline(run_files: dict[str, bytes], tmp_path: Path) -> None:
    """The folder's pipeline.yaml is the pipeline; each step carries its code, and none calls pip."""
    expected = pipeline.compile_pipeline(tmp_path / "pipeline.yaml", HERE).read_bytes()
    assert run_files["pipeline.yaml"] == expected
    assert expected.count(b"__KFP_EMBEDDED_ARCHIVE_B64 = '") == 3
    assert b"pip install" not in expected


def test_the_results_agree_with_each_other(run_files: dict[str, bytes]) -> None:
    """Rows of the matrix sum to a class's images, columns to what was predicted, and the trace to the accuracy."""
    header, *rows = csv.reader(io.StringIO(run_files["confusion_matrix.csv"].decode()))
    matrix = np.array([[int(count) for count in row[1:]] for row in rows])
    table = list(csv.DictReader(io.StringIO(run_files["results.csv"].decode())))
    predicted = Counter(row["prediction"] for row in table)
    assert header[1:] == [row[0] for row in rows] == run_files["labels/class_names.txt"].decode().splitlines()
    assert matrix.sum(axis=1).tolist() == [1_000] * 10
    assert matrix.sum(axis=0).tolist() == [predicted[name] for name in header[1:]]
    accuracy = sum(row["prediction"] == row["actual"] for row in table) / len(table)
    assert matrix.trace() / 10_000 == accuracy == json.loads(run_files["metrics.json"])["accuracy"]


def test_the_record_says_what_ran(run_files: dict[str, bytes]) -> None:
    """The record holds parameters, metrics, versions, digests of code and data, switches and the CPU."""
    from fmnist.steps import determinism

    record = json.loads(run_files["run.json"])
    assert record["parameters"] == asdict(SETTINGS)
    assert record["metrics"] == json.loads(run_files["metrics.json"])
    assert record["code"] == {"sha256": bundle.digest()}
    assert record["data"] == {file.name: file.sha256 for file in dataset.FILES}
    assert record["switches"] == dict(determinism.SWITCHES)
    assert record["machine"]["cpu"] == determinism.cpu()
    assert record["machine"]["caveat"] == determinism.caveat()
    assert record["versions"]["tensorflow"].startswith("2.")
    assert record["seconds"] > 0


def test_results_go_to_stdout_and_progress_to_stderr(folder: Path, finished: subprocess.CompletedProcess[str]) -> None:
    """The table has accuracy, report and pictures; the messages name each step, and the epoch that was kept."""
    accuracy = json.loads((folder / "metrics.json").read_text())["accuracy"]
    assert f"{accuracy:.4f}" in finished.stdout
    for name in ("report.html", "loss_plot.png", "confusion_matrix.png"):
        assert str(folder / name) in finished.stdout
    lines = [line.split(" in ")[0].split(": loss")[0] for line in finished.stderr.splitlines()]
    assert lines == [
        "train: started",
        "train: resumed after epoch 1/1",
        "train: done",
        "test: started",
        "test: done",
        "confusion-matrix: started",
        "confusion-matrix: done",
    ]


def test_a_finished_run_is_not_repeated(
    folder: Path, run_files: dict[str, bytes], finished: subprocess.CompletedProcess[str]
) -> None:
    """The same command says that the run was finished before, and shows its result again."""
    again = CliRunner().invoke(cli.main, [*RUN[1:], "-o", str(folder)])
    assert (again.exit_code, again.stdout) == (0, finished.stdout)
    assert again.stderr == "The run was finished before: these are its results.\n"
    assert testing.contents(folder) == run_files


def test_the_functions_give_the_same_bytes(run_files: dict[str, bytes], tmp_path: Path) -> None:
    """Three lines of Python, on one core, elsewhere, with other hashes, time zone and language, give the same files."""
    code = (
        "from fmnist import Settings, confusion_matrix, load, save, test, train\n"
        "training = train(Settings(epochs=1, seed=3), load('train'))\n"
        "evaluation = test(training.model, load('test'))\n"
        "save('out', training, evaluation, confusion_matrix(evaluation.labels))\n"
    )
    changes = {"PYTHONHASHSEED": "123", "TZ": "Asia/Kathmandu", "LC_ALL": "C", "HOME": "/nonexistent"}
    helpers.python(code, prefix=("taskset", "--cpu-list", "0"), cwd=tmp_path, **{**environment(), **changes})
    testing.assert_same_files(got=testing.contents(tmp_path / "out"), expected=reproducible(run_files))


@pytest.fixture
def quick_steps(monkeypatch: pytest.MonkeyPatch, warm_python: str) -> None:
    """Steps of runs in this process start where TensorFlow has been started."""
    monkeypatch.setattr(sys, "executable", warm_python)


def test_same_gives_the_bytes_of_fmnist_run(quick_steps: None, run_files: dict[str, bytes], tmp_path: Path) -> None:
    """`same program run -t local` leaves the files of `fmnist run`: all that is in the checksums is the same."""
    done = CliRunner().invoke(same.main, [*SAME_RUN[1:], "-o", str(tmp_path / "run")])
    assert done.exit_code == 0, done.stderr
    found = testing.contents(tmp_path / "run")
    assert found.keys() == run_files.keys()
    compared = {*RESULTS, "pipeline.yaml", "SHA256SUMS"}
    testing.assert_same_files(
        got={name: found[name] for name in compared}, expected={name: run_files[name] for name in compared}
    )


def test_no_file_holds_a_credential(
    killed: Attempt, run_files: dict[str, bytes], finished: subprocess.CompletedProcess[str]
) -> None:
    """Passwords and tokens of the environment are in no file of a run, also of one that was killed, and not shown."""
    assert not any(SECRET.encode() in content for content in (*killed.files.values(), *run_files.values()))
    assert SECRET not in finished.stdout + finished.stderr + killed.messages


def test_the_pipeline_called_from_python_gives_the_same_bytes(
    run_files: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    quick_steps: None,
) -> None:
    """The pipeline for a plain image, called on kfp's local runner, gives the same files with the code that it carries.

    All but pip, which has no network here, is as on a cluster.
    """
    from kfp import local

    carried = shutil.copytree(bundle.PACKAGE, tmp_path / "fmnist", ignore=shutil.ignore_patterns("__pycache__"))
    with (carried / "steps" / "files.py").open("a") as file:
        file.write('\nprint("from the file")\n')
    monkeypatch.setattr(bundle, "PACKAGE", carried)
    fashion_mnist = pipeline.make_pipeline(Where(caching=False))
    for executor in fashion_mnist.pipeline_spec.deployment_spec["executors"].values():
        command = executor["container"]["command"]
        assert "pip install" in command[2]
        del command[:3]
    local.init(
        local.SubprocessRunner(use_venv=False),
        pipeline_root=str(tmp_path / "outputs"),
        workspace_root=str(tmp_path / "workspace"),
    )
    fashion_mnist(**asdict(SETTINGS))
    (tmp_path / "results").mkdir()
    for path in tmp_path.glob("outputs/*/*/*"):
        if path.name in files.ARTIFACT_FILES:
            path.rename(tmp_path / "results" / files.ARTIFACT_FILES[path.name])
    testing.assert_same_files(got=testing.contents(tmp_path / "results"), expected=reproducible(run_files))
    assert capsys.readouterr().out.count("from the file") == 3


@pytest.mark.filterwarnings("ignore:Task .* have no effect in the current local runner")
def test_a_run_is_verified_with_the_code_that_it_carries(
    folder: Path, run_files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_steps: None
) -> None:
    """A run of another fmnist is made again with its own code, if that is asked for, and each byte is the same."""
    theirs, installed = shutil.copytree(folder, tmp_path / "run"), bundle.PACKAGE
    carried = shutil.copytree(bundle.PACKAGE, tmp_path / "fmnist", ignore=shutil.ignore_patterns("__pycache__"))
    with (carried / "steps" / "files.py").open("a") as file:
        file.write(f"\nopen({str(tmp_path / 'executed')!r}, 'a').write('theirs ')\n")
    monkeypatch.setattr(bundle, "PACKAGE", carried)
    pipeline.compile_pipeline(theirs / "pipeline.yaml", HERE)
    folders.edit(theirs / "run.json", lambda record: record["code"].update(sha256=bundle.digest()))
    folders.sign_again(theirs)
    monkeypatch.setattr(bundle, "PACKAGE", installed)
    done = CliRunner().invoke(cli.main, ["verify", str(theirs)])
    assert (done.exit_code, (tmp_path / "executed").exists()) == (2, False)
    done = CliRunner().invoke(cli.main, ["verify", str(theirs), "--run-their-code", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert {file["name"]: file["now"] for file in found["files"]} == {
        name: files.sha256(content) for name, content in reproducible(run_files).items()
    }
    assert [one["name"] for one in found["environment"]] == ["code.sha256"]
    assert (tmp_path / "executed").read_text() == "theirs theirs theirs "


@pytest.fixture
def disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file system of a size."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={request.param}", "tmpfs", folder], check=False)
    if mounted.returncode:
        helpers.missing("the right to mount a tmpfs (root)")
    yield folder
    # A process of a step that was killed may still be ending in its working folder there.
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.parametrize(
    ("disk", "fits"),
    [
        pytest.param("16k", set(), id="log"),
        pytest.param("300k", set(), id="model"),
        pytest.param("3300k", RESULTS, id="report"),
    ],
    indirect=["disk"],
)
def test_a_full_disk_is_a_clear_error(
    disk: Path, fits: set[str], quick_steps: None, run_files: dict[str, bytes]
) -> None:
    """Whatever it is that does not fit, the error says so, no result is incomplete, and there are no checksums."""
    done = CliRunner().invoke(cli.main, [*RUN[1:], "-o", str(disk / "run")])
    assert done.exit_code == 3
    assert "No space left on device" in done.stderr
    found = testing.contents(disk / "run")
    testing.assert_same_files(got=reproducible(found), expected={name: run_files[name] for name in fits})
    assert "SHA256SUMS" not in found


@pytest.mark.parametrize("disk", ["16k"], indirect=True)
def test_a_result_that_does_not_fit_is_not_begun(disk: Path, folder: Path, run_files: dict[str, bytes]) -> None:
    """Of the results of a step those that fit are there, whole, and the next one is not there at all."""
    with pytest.raises(OSError, match=r"No space left on device: '.*/confusion_matrix.png'"):
        files.save(disk, confusion.confusion_matrix(Labels.read(folder / "labels")))
    table = "confusion_matrix.csv"
    testing.assert_same_files(got=testing.contents(disk), expected={table: run_files[table]})


def test_a_folder_that_cannot_be_made_is_a_clear_error() -> None:
    """A run folder on a read-only file system is an error that names it."""
    done = CliRunner().invoke(cli.main, [*RUN[1:], "-o", "/proc/run"])
    assert done.exit_code == 3
    assert "/proc/run" in done.stderr
    assert "Traceback" not in done.stderr
