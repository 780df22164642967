"""Tests of how a run in this environment is told."""

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pytest

from fmnist.cli import console, running
from fmnist.runs import others, run
from fmnist.steps import determinism
from fmnist.steps.settings import Settings


def test_a_folder_is_named_by_the_time_in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever somebody is, folders sort by when they were made."""
    with pytest.MonkeyPatch.context() as elsewhere:
        elsewhere.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        folder = running.new_folder("runs")
    time.tzset()
    made = datetime.strptime(folder.name, "%Y%m%d-%H%M%S").replace(tzinfo=UTC)
    assert folder.parent == Path("runs")
    assert abs((datetime.now(UTC) - made).total_seconds()) < 600


@pytest.fixture
def other_runs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What would be run of another pipeline: `test_others.py` does it."""
    calls: list[tuple[Any, ...]] = []

    def run_other(source: Path, parameters: Mapping[str, Any], folder: Path, on_event: Any) -> Any:
        calls.append((source, parameters, folder, on_event.__name__))
        return {"make": {"b": folder / "make" / "b", "a": folder / "make" / "a"}, "use": {}}

    monkeypatch.setattr(others, "run_other", run_other)
    return calls


def test_another_pipeline_is_run_if_somebody_asks(
    other_runs: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    """It is somebody else's code; where each artifact is, is printed as a table or as JSON."""
    with pytest.raises(click.UsageError) as refused:
        running.run_theirs(Path("x.py"), {}, None, asked=False, as_json=False)
    assert str(refused.value) == (
        "-t local: expected fmnist's own pipeline, got x.py. Run that one on a cluster, with -t kubeflow, or, if you "
        "trust whoever wrote it and its packages are in this environment, give --run-their-code."
    )
    assert other_runs == []
    running.run_theirs(Path("x.py"), {"n": 1}, Path("out"), asked=True, as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "folder     out",
        "make: b    out/make/b",
        "make: a    out/make/a",
    ]
    running.run_theirs(Path("x.py"), {}, None, asked=True, as_json=True)
    [(*first, _), (*_, folder, heard)] = other_runs
    assert first == [Path("x.py"), {"n": 1}, Path("out")]
    assert (folder.parts[0], heard) == ("runs", "on_event")
    text = capsys.readouterr().out
    assert json.loads(text) == {
        "folder": str(folder),
        "artifacts": {"make": {"a": f"{folder}/make/a", "b": f"{folder}/make/b"}, "use": {}},
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
