"""Tests of a run's folder; `test_run_end_to_end.py` has those of whole runs."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support import folders

from fmnist import testing
from fmnist.kubeflow import local
from fmnist.runs import run
from fmnist.runs.folder import claimed
from fmnist.steps import files
from fmnist.steps.errors import ContractError, DataError
from fmnist.steps.settings import Settings


@pytest.mark.parametrize(
    "names",
    [
        ["thesis.txt", ".unfinished/x"],
        [".notes.template", ".unfinished/x"],
        [".notes.0123abcd.tmp", ".unfinished/x"],
        ["labels/true.txt", "log.txt"],
        ["SHA256SUMS", "model.keras"],
    ],
    ids=["strange file", "hidden file", "temporary file", "same names", "finished run"],
)
def test_a_folder_with_other_files_is_not_touched(tmp_path: Path, names: list[str]) -> None:
    """A folder that may hold anything but an unfinished run is refused, with its content named, and stays as it is."""
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("years of work")
    before = testing.contents(tmp_path)
    with pytest.raises(ContractError, match="expected a new or empty folder, got .* with .*\\. Nothing was changed"):
        run.run_pipeline(Settings(), tmp_path)
    assert testing.contents(tmp_path) == before


def test_a_file_in_place_of_the_folder_is_not_touched(tmp_path: Path) -> None:
    """A file of the folder's name is refused and stays."""
    (tmp_path / "run").write_text("a file")
    with pytest.raises(ContractError, match="run folder: expected a folder, got a file"):
        run.run_pipeline(Settings(), tmp_path / "run")
    assert (tmp_path / "run").read_text() == "a file"


@pytest.mark.usefixtures("no_data")
def test_an_unfinished_run_is_cleared_away(tmp_path: Path) -> None:
    """The next run first removes what an unfinished run left, results among it, but for the checkpoint."""
    left = ("log.txt", "pipeline.yaml", "model.keras", "labels/true.txt", ".run.json.0123abcd.tmp")
    inside = (".unfinished/tmp/half", ".unfinished/.checkpoint.0123abcd.tmp", ".unfinished/checkpoint")
    for name in (*left, *inside):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("old")
    with pytest.raises(DataError, match="nowhere"):
        run.run_pipeline(Settings(), tmp_path)
    assert testing.contents(tmp_path) == {".unfinished/checkpoint": b"old"}


@pytest.mark.usefixtures("no_data")
def test_one_process_works_in_a_folder(tmp_path: Path) -> None:
    """While a run works in a folder, a second one there is refused, and changes nothing."""
    with claimed(tmp_path, "run"):
        (tmp_path / ".unfinished").mkdir()
        (tmp_path / "log.txt").write_text("of the first")
        with pytest.raises(ContractError, match="run folder: expected one in which no other process works"):
            run.run_pipeline(Settings(), tmp_path)
    assert testing.contents(tmp_path) == {"log.txt": b"of the first"}


@pytest.mark.usefixtures("no_data")
def test_a_run_that_could_not_start_can_be_tried_again(tmp_path: Path) -> None:
    """After a run without data, the next run takes the same folder."""
    for _ in range(2):
        with pytest.raises(DataError, match="nowhere"):
            run.run_pipeline(Settings(), tmp_path / "a" / "run")


def test_a_finished_run_is_returned(copy: Callable[[str], Path]) -> None:
    """The record of a finished run of the same settings is returned, and the folder stays but for leftovers."""
    folder = copy("run")
    events: list[local.Event] = []
    before = testing.contents(folder)
    files.write(folder / ".unfinished" / "checkpoint", b"left by a kill at the very end")
    record = run.run_pipeline(folders.SETTINGS, folder, events.append)
    assert events == [local.RunFinished()]
    assert record == json.loads(before["run.json"])
    assert testing.contents(folder) == before


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            lambda folder: folders.edit(folder / "run.json", lambda record: record["code"].update(sha256="0" * 64)),
            "code",
        ),
        (
            lambda folder: folders.edit(folder / "run.json", lambda record: record["parameters"].update(epochs=3)),
            "parameters|epochs",
        ),
        (lambda folder: (folder / "metrics.json").write_text("{}"), "metrics.json"),
    ],
    ids=["other code", "other parameters", "altered result"],
)
def test_a_finished_run_of_something_else_is_refused(
    copy: Callable[[str], Path], change: Callable[[Path], object], named: str
) -> None:
    """Where code, settings or a result differ, the folder is refused with the difference, and stays as it is."""
    folder = copy("run")
    change(folder)
    if named != "metrics.json":
        folders.sign_again(folder)
    before = testing.contents(folder)
    with pytest.raises(ContractError, match=named):
        run.run_pipeline(folders.SETTINGS, folder)
    assert testing.contents(folder) == before


def test_other_settings_are_refused_where_a_run_is_finished(copy: Callable[[str], Path]) -> None:
    """A run of other settings does not take a finished run's folder."""
    folder = copy("run")
    before = testing.contents(folder)
    with pytest.raises(ContractError, match="'epochs': 9.*, got {.*'epochs': 2.*Nothing was changed"):
        run.run_pipeline(replace(folders.SETTINGS, epochs=9), folder)
    assert testing.contents(folder) == before
