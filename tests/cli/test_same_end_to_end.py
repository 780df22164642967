"""Tests of `same` as a process, against an API server on this machine."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from support import helpers, kfp_logs, kfp_server

from fmnist import pipeline, testing
from fmnist.cli.same import main
from fmnist.cluster.pipeline_file import read_spec
from fmnist.runs.checksums import digests_of, listing
from fmnist.steps import dataset
from fmnist.steps.files import ARTIFACT_FILES, write

ROOT = Path(__file__).parents[2]
SAME = [sys.executable, "-c", "from fmnist.cli.same import main; main(prog_name='same')"]

#: The commands of the original, word for word.
CREATE = ["program", "create", "-f", "same.yaml"]
RUN = ["program", "run", "-f", "same.yaml"]
RUN += ["--experiment-name", "example-kubeflow-fashionMNIST", "--run-name", "default"]


@pytest.fixture
def server() -> Iterator[kfp_server.Server]:
    """A strict API server, which no request of the test may displease."""
    with kfp_server.serving() as running:
        running.states = ["SUCCEEDED"]
        yield running


def environment(home: Path) -> dict[str, str]:
    """Return the environment of a user without any Kubeflow, whose dataset is where it is here."""
    ours = {"KF_PIPELINES_ENDPOINT", "FMNIST_KFP_TOKEN", "FMNIST_KFP_COOKIES"}
    clean = {name: value for name, value in helpers.clean_environment().items() if name not in ours}
    places = {"HOME": str(home), "KUBECONFIG": str(home / "none"), "FMNIST_DATA_DIR": str(dataset.data_folder())}
    return clean | places


def same(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run `same` in the repository, to its end."""
    return subprocess.run(
        [*SAME, *arguments], cwd=ROOT, env=environment(home), capture_output=True, text=True, check=False
    )


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Result]:
    """`same` in this process, which has imported kfp already, in the repository and for the same user."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("kfp.Client._LOCAL_KFP_CONTEXT", str(tmp_path / "context.json"))
    for name in os.environ.keys() - environment(tmp_path).keys():
        monkeypatch.delenv(name)
    return lambda *arguments: CliRunner(env=environment(tmp_path)).invoke(main, arguments)


def test_create_and_run_on_a_cluster(server: kfp_server.Server, tmp_path: Path) -> None:
    """The two commands of the original create one pipeline with one version, and a run of it with the parameters."""
    created = same(*CREATE, "--host", server.url, "--json", home=tmp_path)
    assert (created.returncode, created.stderr) == (0, "")
    run = same(*RUN, "--host", server.url, "-p", "epochs=3", home=tmp_path)
    assert (run.returncode, run.stderr) == (0, "")
    assert [one["display_name"] for one in server.pipelines] == ["fashion-mnist"]
    [version] = server.versions
    assert json.loads(created.stdout)["version"]["id"] == version["pipeline_version_id"]
    expected = read_spec(pipeline.compile_pipeline(tmp_path / "expected.yaml"))
    assert version["pipeline_spec"] == expected
    [experiment] = server.experiments
    assert experiment["display_name"] == "example-kubeflow-fashionMNIST"
    [submitted] = server.runs
    assert submitted["display_name"] == "default"
    assert submitted["pipeline_version_reference"]["pipeline_version_id"] == version["pipeline_version_id"]
    assert submitted["runtime_config"]["parameters"] == {
        "compile_optimizer": "adam",
        "epochs": 3,
        "validation_split": 0.05,
        "seed": 0,
    }
    assert submitted["run_id"] in run.stdout


def test_a_run_only_runs_what_is_there(server: kfp_server.Server, invoke: Callable[..., Result]) -> None:
    """With --run-only a pipeline that is there is run without an upload, and one that is not is an error."""
    missing = invoke(*RUN, "--host", server.url, "--run-only")
    assert missing.exit_code == 2
    assert "expected one called 'fashion-mnist'" in missing.stderr
    invoke(*CREATE, "--host", server.url)
    uploads = len(server.asked("POST .*upload"))
    run = invoke(*RUN, "--host", server.url, "--run-only", "--no-cache", "--wait", "--json")
    assert run.exit_code == 0
    assert json.loads(run.stdout)["state"] == "SUCCEEDED"
    assert len(server.asked("POST .*upload")) == uploads == 1


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ([*CREATE, "-n", "x" * 129], "pipeline name: expected at most 128 bytes, got 129"),
        ([*CREATE, "--description", "d" * 300_001], "pipeline description: expected at most 300000 bytes"),
        ([*RUN, "-r", "x" * 300], "run name: expected at most 255 characters, got 300"),
        ([*RUN, "-r", " "], "run name: expected a name, got an empty one"),
        ([*RUN, "-e", "ü" * 65], "experiment name: expected at most 128 bytes, got 130"),
        ([*RUN, "--run-description", "x" * 256], "run description: expected at most 255 characters, got 256"),
        ([*RUN, "--experiment-description", "x" * 256], "experiment description: expected at most 255 characters"),
        ([*RUN, "--run-only", "-n", "a\nb"], "pipeline name: expected one line"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_no_server_keeps_is_not_sent(command: list[str], message: str, invoke: Callable[..., Result]) -> None:
    """A name or description that is too long is bad input before anything is sent: nobody is at that host."""
    done = invoke(*command, "--host", "http://127.0.0.1:9")
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr


def test_a_failed_run_is_exit_code_3(server: kfp_server.Server, invoke: Callable[..., Result]) -> None:
    """A run that fails gives one message, without a traceback, after its link."""
    server.states = ["FAILED"]
    run = invoke(*RUN, "--host", server.url, "--wait")
    assert run.exit_code == 3
    assert "expected SUCCEEDED, got FAILED" in run.stderr
    assert "Traceback" not in run.stderr
    assert "/#/runs/details/" in run.stdout


@pytest.fixture
def terminated() -> Iterator[kfp_server.Fault]:
    """A request during which SIGTERM comes, which does not end the tests."""
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def fault(handler: kfp_server.Handler) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        handler.close_connection = True

    yield fault
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("POST .*upload_version", "Error: interrupted; the same command starts afresh.\n"),
        ("POST .*/runs$", "Error: interrupted; the run 'default' may have started even so: look at "),
        ("GET .*/runs/", "Error: interrupted; run "),
    ],
)
def test_sigterm_ends_as_ctrl_c_does(  # noqa: PLR0913, PLR0917 - fixtures
    server: kfp_server.Server,
    invoke: Callable[..., Result],
    terminated: kfp_server.Fault,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    asked: str,
    said: str,
) -> None:
    """As a CI ends what it cancels: nothing temporary is left, and what may have started is told."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    server.fail(asked, terminated)
    run = invoke(*RUN, "--host", server.url, "--wait")
    assert run.exit_code == 130
    assert run.stderr.startswith(said)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_ctrl_c_leaves_the_run(server: kfp_server.Server, tmp_path: Path) -> None:
    """Ctrl-C while waiting ends only the waiting, and says where the run is."""
    server.states = ["RUNNING"]
    command = [*helpers.INTERRUPTIBLE, *SAME, *RUN, "--host", server.url, "--wait"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        next(line for line in process.stderr if "RUNNING" in line)
        os.kill(process.pid, signal.SIGINT)
        messages = process.stderr.read()
    assert process.returncode == 130
    assert f"run {server.runs[0]['run_id']} is still running" in messages
    assert f"`same program wait {server.runs[0]['run_id']} --host {server.url}`" in messages
    assert "/#/runs/details/" in messages
    assert "Traceback" not in messages


STEPS: dict[str, Any] = {"train": "SUCCEEDED", "test": "SUCCEEDED", "confusion_matrix": "SUCCEEDED"}


def test_a_run_is_told_and_its_files_come_here(
    server: kfp_server.Server, invoke: Callable[..., Result], tmp_path: Path
) -> None:
    """At the UI's address: the steps line by line, the accuracy out of the log, and the 11 files of a run."""
    server.store.ui = True
    server.store.looks = [kfp_logs.look("RUNNING", train="RUNNING"), kfp_logs.look("SUCCEEDED", **STEPS)]
    server.states = ["SUCCEEDED"]
    started = invoke(*RUN, "--host", server.url, "--json")
    run_id = json.loads(started.stdout)["run_id"]
    kfp_logs.leave(server.store, run_id)
    here = tmp_path / "here"
    for name, content in kfp_logs.CONTENT.items():
        files = {"": content} if isinstance(content, bytes) else content
        for file, data in files.items():
            write(here / ARTIFACT_FILES[name] / file, data)
    write(here / "SHA256SUMS", listing(digests_of(here, ARTIFACT_FILES.values())))
    folder = tmp_path / "cluster"
    server.store.looks = server.store.looks[1:]
    waited = invoke("program", "wait", "default", "--host", server.url, "-o", str(folder), "--compare", str(here))
    assert waited.exit_code == 0, waited.output
    assert waited.stderr.splitlines() == [
        "train: done in 30 s",
        "test: done in 30 s",
        "confusion-matrix: done in 30 s",
        "SUCCEEDED",
    ]
    assert "accuracy   0.8428" in waited.stdout.splitlines()
    assert waited.stdout.splitlines()[-1] == f"11 of 11 files equal those of {here}, a run of this machine."
    assert testing.contents(folder) == testing.contents(here)


def test_a_failed_step_is_told_word_for_word(server: kfp_server.Server, invoke: Callable[..., Result]) -> None:
    """The exit code is that of a failure, and the error is the step's own."""
    server.states, server.store.looks = ["FAILED"], [kfp_logs.look("FAILED", train="FAILED")]
    started = invoke(*RUN, "--host", server.url, "--json")
    run_id = json.loads(started.stdout)["run_id"]
    server.store.logs[kfp_logs.executor("train")] = kfp_logs.recorded("train-failed", run_id)
    waited = invoke("program", "wait", run_id, "--host", server.url)
    assert waited.exit_code == 3
    assert "got FAILED: train failed, with exit code 1. Its last output:\n  DataError: Fashion-MNIST" in waited.stderr
    assert "Traceback" not in waited.stderr


def test_an_unknown_run_is_bad_input(server: kfp_server.Server, invoke: Callable[..., Result]) -> None:
    """Exit code 2, and one message."""
    waited = invoke("program", "wait", "nobody", "--host", server.url)
    assert (waited.exit_code, waited.stdout) == (2, "")
    assert "run: expected the id or the name of one at" in waited.stderr


def test_without_a_server_the_error_is_one_message(tmp_path: Path) -> None:
    """A server that is not there is exit code 3, no address at all is 2, and neither shows a traceback."""
    away = same(*RUN, "--host", "http://127.0.0.1:9", home=tmp_path)
    assert (away.returncode, away.stdout, away.stderr.count("Error: ")) == (3, "", 1)
    nowhere = same(*RUN, home=tmp_path)
    assert (nowhere.returncode, nowhere.stdout, nowhere.stderr.count("Error: ")) == (2, "", 1)
    assert "-t local" in nowhere.stderr
    assert "Traceback" not in away.stderr + nowhere.stderr
