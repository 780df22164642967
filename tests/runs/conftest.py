"""What tests of runs and of studies share."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support import folders

from fmnist.steps import dataset
from fmnist.steps.errors import DataError


@pytest.fixture
def no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dataset that cannot be found, which ends a run early, and a study before its first seed."""

    def fetch(**_: object) -> None:
        raise DataError("nowhere")

    monkeypatch.setattr(dataset, "fetch", fetch)


@pytest.fixture(scope="session")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, a finished study, and one that was broken off."""
    root = tmp_path_factory.mktemp("honest")
    folders.write_run(root / "run")
    folders.write_study(root / "study")
    folders.begin_study(root / "begun")
    return root


@pytest.fixture
def copy(honest: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Copies a folder of `honest`."""
    return lambda kind: shutil.copytree(honest / kind, tmp_path / kind)
