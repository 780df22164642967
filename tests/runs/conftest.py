"""What tests of runs and of studies share."""

import pytest
from support import folders

from fmnist.runs import workers
from fmnist.steps import dataset
from fmnist.steps.errors import DataError


@pytest.fixture
def no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dataset that cannot be found, which ends a run early, and a study before its first seed."""

    def fetch(**_: object) -> None:
        raise DataError("nowhere")

    monkeypatch.setattr(dataset, "fetch", fetch)


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> folders.MadeUp:
    """Results that are made up instead of trained."""
    made_up = folders.MadeUp()
    monkeypatch.setattr(workers, "train", made_up.train)
    return made_up
