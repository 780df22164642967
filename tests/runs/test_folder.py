"""Tests of the claim on a folder; `test_checked.py` has those of what is in it."""

import os
from pathlib import Path

import pytest

from fmnist.runs.folder import claimed
from fmnist.steps.errors import ContractError


def test_a_path_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """Such a path, which kfp could not pass on, is named in letters that every terminal shows; nothing is made."""
    folder = tmp_path / os.fsdecode(b"\xff")
    with (
        pytest.raises(ContractError, match=r"^run folder: expected a path in UTF-8, got '/.*\\udcff'"),
        claimed(folder, "run"),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
