"""Every write of every command, and each part of it, fails once: nothing is lost, and nothing is left behind."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from support import failing, helpers

from fmnist.steps import dataset


@pytest.mark.parametrize("command", failing.SCENARIOS)
def test_a_failing_disk_an_interrupt_or_a_kill_leaves_the_old_or_the_new(command: str, tmp_path: Path) -> None:
    """After any fault each file is the old or the new one; the next command ends as undisturbed, and tidies up."""
    # By day some operations fail, each in one way; at night each operation fails in each.
    every = ["every"] * (hypothesis.settings().max_examples >= 1_000)
    before = {path: path.stat().st_mtime_ns for path in dataset.fetch().iterdir()}
    program = [sys.executable, str(helpers.TESTS / "support" / "failing.py"), command, str(tmp_path), *every]
    done = subprocess.run(program, capture_output=True, text=True, check=False, env=helpers.clean_environment())
    assert done.returncode == 0, done.stderr
    outcomes: list[dict[str, Any]] = json.loads(done.stdout)
    assert len(outcomes) >= 7
    assert {outcome["code"] for outcome in outcomes} <= {0, 1, 3, 130, -9}
    assert {3, 130, -9} <= {outcome["code"] for outcome in outcomes}
    good: dict[str, Any] = {"neither old nor new": [], "lost": [], "not as undisturbed": []}
    assert [outcome for outcome in outcomes if outcome | good != outcome] == []
    # A run that is finished in spite of the fault is not begun again.
    assert {outcome["again"] for outcome in outcomes if outcome["code"] != 0} == {0}
    # The data that it writes is made up, and goes nowhere near the user's.
    assert {path: path.stat().st_mtime_ns for path in dataset.data_folder().iterdir()} == before
