"""Tests of `fmnist run` on the real dataset: what it leaves, that it is the same each time, and how it fails."""

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import yaml
from support import helpers

from fmnist import pipeline
from fmnist.kubeflow import bundle, local
from fmnist.pipeline import Where
from fmnist.steps import dataset, files
from fmnist.steps.settings import Settings

ROOT = Path(__file__).parents[2]
FMNIST = str(Path(sys.executable).with_name("fmnist"))
SETTINGS = Settings(epochs=1, seed=3)
PARAMETERS = ["-p", "epochs=1", "--seed", "3"]

RESULTS = {
    "confusion_matrix.csv",
    "confusion_matrix.png",
    "history.json",
    "labels/class_names.txt",
    "labels/predicted.txt",
    "labels/true.txt",
    "loss_plot.html",
    "loss_plot.png",
    "metrics.json",
    "model.keras",
    "results.csv",
}


def environment(**changes: str) -> Mapping[str, str]:
    """Return the environment of a user whose dataset is where it is here, with `changes`."""
    return {**helpers.clean_environment(), "FMNIST_DATA_DIR": str(dataset.data_folder()), **changes}


def start(*arguments: str, **changes: str) -> subprocess.Popen[str]:
    """Start `fmnist run` in a process group of its own, its messages in a pipe."""
    return subprocess.Popen(
        [*helpers.INTERRUPTIBLE, FMNIST, "run", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**changes),
        start_new_session=True,
    )


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `fmnist run` to its end."""
    with start(*arguments) as process:
        out, messages = process.communicate()
    return subprocess.CompletedProcess(arguments, process.returncode, out, messages)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Empty folders for all that a program may write to but should not."""
    root = tmp_path_factory.mktemp("places")
    for name in ("home", "temporary", "here"):
        (root / name).mkdir()
    return {path.name: path for path in root.iterdir()}


@pytest.fixture(scope="module")
def broken_off(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[int, str, set[str]]]]:
    """A run folder in which one run was killed and one interrupted: exit codes, messages, and what they left."""
    folder, ends = tmp_path_factory.mktemp("finished") / "run", []
    for number in (signal.SIGKILL, signal.SIGINT):
        with start("-p", "epochs=500", "-o", str(folder)) as process:
            assert process.stderr is not None
            next(line for line in process.stderr if "epoch 1/500" in line)
            os.killpg(process.pid, number)
            messages = process.stderr.read()
        ends.append((process.returncode, messages, {path.name for path in folder.iterdir()}))
    return folder, ends


@pytest.fixture(scope="module")
def finished(broken_off: tuple[Path, object], places: dict[str, Path]) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A run with one epoch, without a network and with empty folders around, and what it printed."""
    folder, _ = broken_off
    no_network = ["unshare", "--map-root-user", "--net"]
    if subprocess.run([*no_network, "true"], check=False).returncode:
        helpers.missing("unshare, to take the network away")
    done = subprocess.run(
        [*no_network, FMNIST, "run", *PARAMETERS, "-o", str(folder)],
        cwd=places["here"],
        env=environment(HOME=str(places["home"]), TMPDIR=str(places["temporary"])),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder, done


@pytest.fixture(scope="module")
def run_files(finished: tuple[Path, object]) -> dict[str, bytes]:
    """The content of the finished run."""
    return helpers.contents(finished[0])


def reproducible(found: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return those of the files that must be the same each time."""
    return {name: content for name, content in found.items() if name in RESULTS}


def test_a_broken_off_run_leaves_no_result(broken_off: tuple[Path, list[tuple[int, str, set[str]]]]) -> None:
    """After kill -9 and after Ctrl-C no result has its name; the message after Ctrl-C is one line."""
    _, [(killed, _, left_by_kill), (interrupted, messages, left)] = broken_off
    assert (killed, interrupted) == (-signal.SIGKILL, 130)
    assert left_by_kill == left == {"log.txt", "pipeline.yaml", ".unfinished"}
    assert messages.splitlines()[-1] == "Error: interrupted; the same command starts afresh."
    assert "Traceback" not in messages


def test_a_run_leaves_all_its_files(run_files: dict[str, bytes]) -> None:
    """Also where two runs were broken off, the folder holds results, record, report, log and checksums, and no more."""
    others = {"SHA256SUMS", "log.txt", "pipeline.yaml", "report.html", "run.json"}
    assert run_files.keys() == RESULTS | others


def test_nothing_else_is_written(finished: object, places: dict[str, Path]) -> None:
    """Home, working folder and folder for temporary files are as empty as before."""
    assert not any(helpers.contents(path) for path in places.values())


def test_the_checksums_cover_every_result(finished: tuple[Path, object], run_files: dict[str, bytes]) -> None:
    """`sha256sum -c` agrees, and lists the compiled pipeline and every result."""
    check = subprocess.run(
        ["sha256sum", "-c", "SHA256SUMS"], cwd=finished[0], check=False, capture_output=True, text=True
    )
    assert check.returncode == 0, check.stdout
    listed = {line.split("  ")[1] for line in run_files["SHA256SUMS"].decode().splitlines()}
    assert listed == RESULTS | {"pipeline.yaml"}


def test_a_report_written_again_is_the_same(finished: tuple[Path, object], run_files: dict[str, bytes]) -> None:
    """`fmnist report` makes of the files of a run the page that the run made of its results."""
    report = subprocess.run([FMNIST, "report", str(finished[0])], check=True, capture_output=True, text=True)
    assert Path(report.stdout.strip()).read_bytes() == run_files["report.html"]


def test_what_ran_is_the_compiled_pipeline(run_files: dict[str, bytes], tmp_path: Path) -> None:
    """The folder's pipeline.yaml is the pipeline, compiled for an image with everything: no step calls pip."""
    from fmnist.runs.run import LOCAL_IMAGE

    expected = pipeline.compile_pipeline(tmp_path / "pipeline.yaml", Where(LOCAL_IMAGE)).read_bytes()
    assert run_files["pipeline.yaml"] == expected
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
    from fmnist.kubeflow import bundle
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


def test_results_go_to_stdout_and_progress_to_stderr(
    finished: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    """The table has accuracy, report and pictures; the messages name each step and epoch in plain lines."""
    folder, done = finished
    accuracy = json.loads((folder / "metrics.json").read_text())["accuracy"]
    assert f"{accuracy:.4f}" in done.stdout
    for name in ("report.html", "loss_plot.png", "confusion_matrix.png"):
        assert str(folder / name) in done.stdout
    lines = [line.split(" in ")[0].split(": loss")[0] for line in done.stderr.splitlines()]
    assert lines == [
        "train: started",
        "train: epoch 1/1",
        "train: done",
        "test: started",
        "test: done",
        "confusion-matrix: started",
        "confusion-matrix: done",
    ]


def test_a_finished_run_is_not_overwritten(finished: tuple[Path, object], run_files: dict[str, bytes]) -> None:
    """Running into the folder of a finished run is bad input, and changes nothing."""
    done = run(*PARAMETERS, "-o", str(finished[0]))
    messages = done.stderr
    assert done.returncode == 2
    assert "expected a new or empty folder" in messages
    assert helpers.contents(finished[0]) == run_files


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
    helpers.assert_same_files(got=helpers.contents(tmp_path / "out"), expected=reproducible(run_files))


def test_same_gives_the_bytes_of_fmnist_run(run_files: dict[str, bytes], tmp_path: Path) -> None:
    """`same program run -t local` leaves what `fmnist run` leaves with the same parameters, byte for byte."""
    command = [str(Path(FMNIST).with_name("same")), "program", "run", "-f", "same.yaml", "-t", "local"]
    options = ["-p", "epochs=1", "-p", "seed=3", "-o", str(tmp_path / "run")]
    secret = environment(FMNIST_KFP_TOKEN="s3cret-t0ken")  # noqa: S106 - not one
    subprocess.run([*command, *options], cwd=ROOT, env=secret, check=True, capture_output=True)
    found = helpers.contents(tmp_path / "run")
    assert found["SHA256SUMS"] == run_files["SHA256SUMS"]
    helpers.assert_same_files(got=reproducible(found), expected=reproducible(run_files))
    assert not any(b"s3cret-t0ken" in content for content in found.values())


@pytest.mark.filterwarnings("ignore:Task .* have no effect in the current local runner")
def test_the_pipeline_called_from_python_gives_the_same_bytes(run_files: dict[str, bytes], tmp_path: Path) -> None:
    """The pipeline object, called on kfp's local runner, gives the same files."""
    from kfp import local as kfp_local

    kfp_local.init(
        kfp_local.SubprocessRunner(use_venv=False),
        pipeline_root=str(tmp_path / "outputs"),
        workspace_root=str(tmp_path / "workspace"),
    )
    pipeline.make_pipeline(Where("python"))(**asdict(SETTINGS))
    for path in tmp_path.glob("outputs/*/*/*"):
        if path.name in files.ARTIFACT_FILES:
            path.rename(tmp_path / files.ARTIFACT_FILES[path.name])
    shutil.rmtree(tmp_path / "outputs")
    helpers.assert_same_files(got=helpers.contents(tmp_path), expected=reproducible(run_files))


@pytest.mark.filterwarnings("ignore:Task .* have no effect in the current local runner")
def test_the_file_for_a_plain_image_runs_the_code_that_it_carries(
    run_files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for pip, which has no network here, the steps of that file run with its code, to the same results."""
    carried = shutil.copytree(bundle.PACKAGE, tmp_path / "fmnist", ignore=shutil.ignore_patterns("__pycache__"))
    with (carried / "steps" / "files.py").open("a") as file:
        file.write('\nprint("from the file")\n')
    monkeypatch.setattr(bundle, "PACKAGE", carried)
    path = pipeline.compile_pipeline(tmp_path / "pipeline.yaml", Where(caching=False))
    document = next(yaml.safe_load_all(path.read_text()))
    for executor in document["deploymentSpec"]["executors"].values():
        executor["container"]["command"] = executor["container"]["command"][3:]
    path.write_text(yaml.safe_dump(document))
    log = io.StringIO()
    (tmp_path / "work").mkdir()
    outputs = local.run_compiled(path, asdict(SETTINGS), tmp_path / "work", log)
    for name, output in outputs.items():
        (tmp_path / "results").mkdir(exist_ok=True)
        output.rename(tmp_path / "results" / files.ARTIFACT_FILES[name])
    helpers.assert_same_files(got=helpers.contents(tmp_path / "results"), expected=reproducible(run_files))
    assert log.getvalue().count("from the file") == 3


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 600 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(folder)], check=False)
    if mounted.returncode:
        helpers.missing("the right to mount a tmpfs (root)")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_a_clear_error(small_disk: Path) -> None:
    """Where the results do not fit, the error says so, and no file has its final name but is incomplete."""
    done = run(*PARAMETERS, "-o", str(small_disk / "run"))
    messages = done.stderr
    assert done.returncode == 3
    assert "No space left on device" in messages
    assert "Traceback" not in messages
    assert {path.name for path in (small_disk / "run").iterdir()} == {"log.txt", "pipeline.yaml", ".unfinished"}


def test_a_folder_that_cannot_be_made_is_a_clear_error() -> None:
    """A run folder on a read-only file system is an error that names it."""
    done = run(*PARAMETERS, "-o", "/proc/run")
    messages = done.stderr
    assert done.returncode == 3
    assert "/proc/run" in messages
    assert "Traceback" not in messages
