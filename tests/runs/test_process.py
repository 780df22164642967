"""Tests of `fmnist.run`, which runs the pipeline in a process of its own; its results are among the disturbances."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

import fmnist
from fmnist.steps.errors import ContractError, FmnistError, SettingsError, StepError


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"epochs": 0}, SettingsError, "epochs: expected a whole number of at least 1, got 0."),
        ({"epoch": 1}, SettingsError, "parameter: expected one of .*, got 'epoch'. Did you mean 'epochs'?"),
        ({"compile_optimizer": {"class_name": "adma"}}, SettingsError, "compile_optimizer: .* Did you mean 'adam'?"),
    ],
    ids=["value", "name", "config"],
)
def test_a_bad_parameter_is_refused(
    tmp_path: Path, parameters: dict[str, Any], error: type[FmnistError], message: str
) -> None:
    """The error is the one that `Settings` raises, and there is no folder."""
    with pytest.raises(error, match=f"^{message}"):
        fmnist.run(tmp_path / "run", **parameters)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_other_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the folder is named from here, and an event loop runs; no program file here counts."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine").touch()
    (tmp_path / "same.yaml").write_text("nothing: [")
    monkeypatch.chdir(tmp_path)

    async def call() -> None:
        fmnist.run("run", epochs=1)

    with pytest.raises(ContractError, match="^run folder: expected a new or empty folder, got .*/run with mine"):
        asyncio.run(call())


def test_data_that_cannot_be_found_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails at run time is a StepError that says what to do."""
    monkeypatch.setenv("FMNIST_DATA_DIR", "")
    monkeypatch.delenv("HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    (tmp_path / "file").touch()
    with pytest.raises(StepError, match="Not a directory: .*/file/fmnist"):
        fmnist.run(tmp_path / "run", epochs=1)


def test_there_is_no_other_name() -> None:
    """A name that the package does not have is an error as everywhere."""
    with pytest.raises(AttributeError, match="module 'fmnist' has no attribute 'runn'"):
        fmnist.runn  # noqa: B018 - the access is what is tested
