"""Tests of how a run in this environment is told."""

import itertools
import json
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any

import click
import pytest

from fmnist.cli import console, running
from fmnist.runs import others, run
from fmnist.steps import determinism
from fmnist.steps.errors import ContractError, SettingsError
from fmnist.steps.settings import Settings


def test_a_folder_is_named_by_the_time_in_utc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever somebody is, folders sort by when they were made."""
    monkeypatch.chdir(tmp_path)
    with pytest.MonkeyPatch.context() as elsewhere:
        elsewhere.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        with running.results_folder(None, "runs") as folder:
            pass
    time.tzset()
    made = datetime.strptime(folder.name, "%Y%m%d-%H%M%S").replace(tzinfo=UTC)
    assert folder.parent == Path("runs")
    assert abs((datetime.now(UTC) - made).total_seconds()) < 600


def test_runs_that_start_in_one_second_have_folders_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where they start at once: each is told where it is, and none is refused."""

    class Stopped(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Stopped":
            return cls(2026, 1, 2, 3, 4, 5, tzinfo=tz)

    monkeypatch.setattr(running, "datetime", Stopped)
    monkeypatch.chdir(tmp_path)
    start = threading.Barrier(8)

    def choose(_: int) -> str:
        start.wait()
        with running.results_folder(None, "runs") as folder:
            (folder / "result").touch()
            return folder.as_posix()

    with ThreadPoolExecutor(8) as pool:
        folders = sorted(pool.map(choose, range(8)))
    assert folders == ["runs/20260102-030405", *(f"runs/20260102-030405-{number}" for number in range(2, 9))]
    assert all(Path(folder, "result").is_file() for folder in folders)


def test_a_file_in_the_place_of_all_runs_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is called what it is, before anything is computed."""
    monkeypatch.chdir(tmp_path)
    Path("runs").touch()
    refused = pytest.raises(ContractError, match="^results folder: expected a folder, got a file: runs. Choose another")
    with refused, running.results_folder(None, "runs"):
        pass


@pytest.mark.parametrize(("given", "left"), [(None, set()), (Path("mine"), {"mine"})], ids=["new", "given"])
def test_a_folder_that_nothing_came_into_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: Path | None, left: set[str]
) -> None:
    """What is refused leaves no empty folder, but the user's own stays."""
    monkeypatch.chdir(tmp_path)

    def refused() -> None:
        with running.results_folder(given, "runs") as folder:
            folder.mkdir(exist_ok=True)
            raise ContractError("no")

    with pytest.raises(ContractError, match="^no$"):
        refused()
    assert {path.as_posix() for path in Path().rglob("*")} - {"runs"} == left
    with running.results_folder(Path("not/yet"), "runs") as folder:
        assert not folder.parent.exists()


@pytest.fixture
def other_runs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What would be run of another pipeline: `test_others.py` does it."""
    calls: list[tuple[Any, ...]] = []

    def run_other(source: Path, parameters: Mapping[str, Any], folder: Path, on_event: Any, on_warning: Any) -> Any:
        calls.append((source, parameters, folder, on_event.__name__, on_warning.__name__))
        return {"make": {"b": folder / "make" / "b", "a": folder / "make" / "a"}, "use": {}}

    monkeypatch.setattr(others, "run_other", run_other)
    return calls


def test_an_interrupted_run_of_another_pipeline_is_not_resumed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of it is kept, and nobody is told so."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(others, "run_other", interrupted)
    with pytest.raises(KeyboardInterrupt):
        running.run_theirs(Path("x.py"), {}, tmp_path / "out", asked=True, as_json=False)


def test_where_a_task_logged_its_metrics_is_printed(
    other_runs: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """What a task told of its artifacts has no file of its own, so it is not among these; JSON has all of it."""
    (tmp_path / "use").mkdir()
    (told := tmp_path / "use" / "metadata.json").write_text('{"metrics": {"accuracy": 0.5}}')
    running.run_theirs(Path("x.py"), {}, tmp_path, asked=True, as_json=False)
    assert len(other_runs) == 1
    assert capsys.readouterr().out.splitlines()[-1] == f"use: metadata.json {told}"
    (tmp_path / "use" / "returned.json").write_text('{"Output": 3}')
    running.run_theirs(Path("x.py"), {}, tmp_path, asked=True, as_json=True)
    printed = json.loads(capsys.readouterr().out)
    assert (printed["metadata"], printed["returned"]) == (
        {"use": {"metrics": {"accuracy": 0.5}}},
        {"use": {"Output": 3}},
    )


def test_another_pipeline_is_run_if_somebody_asks(
    other_runs: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    """It is somebody else's code; where each artifact is, is printed as a table or as JSON."""
    for name, folder, as_json in itertools.product(("x.py", "x.yaml"), (None, Path("out")), (False, True)):
        with pytest.raises(click.UsageError) as refused:
            running.run_theirs(Path(name), {}, folder, asked=False, as_json=as_json)
        assert str(refused.value) == (
            f"-t local: expected fmnist's own pipeline, got {name}. Run that one on a cluster, with -t kubeflow, or, "
            "if you trust whoever wrote it and its packages are in this environment, give --run-their-code."
        )
    assert other_runs == []
    running.run_theirs(Path("x.py"), {"n": 1}, Path("out"), asked=True, as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "folder     out",
        "make: b    out/make/b",
        "make: a    out/make/a",
    ]
    running.run_theirs(Path("x.py"), {}, None, asked=True, as_json=True)
    [(*first, _, _), (*_, folder, heard, warned)] = other_runs
    assert first == [Path("x.py"), {"n": 1}, Path("out")]
    assert (folder.parts[0], heard, warned) == ("runs", "on_event", "warn")
    text = capsys.readouterr().out
    assert json.loads(text) == {
        "folder": str(folder),
        "artifacts": {"make": {"a": f"{folder}/make/a", "b": f"{folder}/make/b"}, "use": {}},
        "metadata": {},
        "returned": {},
    }
    assert text.startswith('{\n  "folder": "runs/')


def test_a_run_here_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Its accuracy and those published, where its report and pictures are, and how to go on after an interruption."""
    calls: list[tuple[Any, ...]] = []
    record = {"parameters": vars(Settings()), "metrics": {"loss": 0.25, "accuracy": 0.87654}}

    def run_pipeline(settings: Settings, folder: Path, on_event: Any, on_progress: Any) -> dict[str, Any]:
        calls.append((settings.epochs, folder, on_event.__name__, on_progress.__name__))
        if settings.epochs == 3:
            raise KeyboardInterrupt
        return record

    monkeypatch.setattr(run, "run_pipeline", run_pipeline)
    monkeypatch.setattr(determinism, "caveat", lambda: "other bits.")
    running.run_here({}, Path("out"), as_json=False)
    shown = capsys.readouterr()
    assert shown.err == "Warning: other bits.\n"
    assert shown.out.splitlines() == [
        "accuracy   0.8765",
        "published  0.8693  (tensorflow-tutorial)",
        "published  0.8822  (same-example-10-epochs)",
        "report     out/report.html",
        "picture    out/loss_plot.png",
        "picture    out/confusion_matrix.png",
    ]
    with pytest.raises(SettingsError):
        running.run_here({"epochs": "0"}, Path("out"), as_json=False)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(determinism, "caveat", lambda: None)
    running.run_here({"epochs": "4"}, None, as_json=True)
    shown = capsys.readouterr()
    assert json.loads(shown.out) == record
    assert shown.out.startswith('{\n  "parameters": {\n    ')
    assert shown.err == ""
    with pytest.raises(console.Failure) as interrupted:
        running.run_here({"epochs": "3"}, Path("out"), as_json=False)
    assert interrupted.value.exit_code == 130
    assert interrupted.value.message == (
        "interrupted; finished epochs are kept. To resume, run the same command with -o out."
    )
    assert [(epochs, folder.parts[0], *heard) for epochs, folder, *heard in calls] == [
        (10, "out", "on_event", "on_progress"),
        (4, "runs", "on_event", "on_progress"),
        (3, "out", "on_event", "on_progress"),
    ]


def test_the_later_of_the_parameters_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """--seed overrides -p, and -p the program file: that of the folder, if no other is given."""
    monkeypatch.chdir(tmp_path)
    assert running._parameters(None, (), None) == {}
    assert running._parameters(None, ("epochs=3", "seed=1"), "2") == {"epochs": "3", "seed": "2"}
    for name, epochs in (("same.yaml", 4), ("other.yaml", 5)):
        Path(name).write_text(f"run:\n  parameters: {{epochs: {epochs}, seed: 6}}\nrum: {{}}\n")
    assert running._parameters(None, (), None) == {"epochs": 4, "seed": 6}
    assert running._parameters(Path("other.yaml"), ("seed=1",), None) == {"epochs": 5, "seed": "1"}
    told = [line.partition(", line ")[0].rpartition(" ")[2] for line in capsys.readouterr().err.splitlines()]
    assert told == ["same.yaml", "other.yaml"]
    Path("same.yaml").unlink()
    Path("same.yaml").symlink_to("nowhere")
    with pytest.raises(ContractError, match="^program file: expected YAML in same.yaml, got: .Errno 2. "):
        running._parameters(None, (), None)
