"""Tests of the plugin that measures coverage, on a package of their own."""

import subprocess
import sys
from pathlib import Path

import pytest
from support import helpers

PART = """
def sign(number):
    if number < 0:
        return "minus"
    return "plus"
"""

TEST = """
from fmnist import part

def test_sign():
    assert part.sign({number}) == "{sign}"
"""


@pytest.mark.parametrize(
    ("signs", "code", "said"),
    [
        ({-1: "minus", 1: "plus"}, pytest.ExitCode.OK, "covered: 100.0 %"),
        ({1: "plus"}, pytest.ExitCode.TESTS_FAILED, "covered: 66.7 %"),
    ],
    ids=["all", "a part"],
)
def test_what_all_workers_run_together_must_suffice(
    tmp_path: Path, signs: dict[int, str], code: pytest.ExitCode, said: str
) -> None:
    """Two workers that each run one branch cover a file; where one branch is never run, the run fails and says so."""
    (tmp_path / "fmnist").mkdir()
    (tmp_path / "fmnist" / "__init__.py").touch()
    (tmp_path / "fmnist" / "part.py").write_text(PART)
    # Tests themselves are no part of what they cover.
    (tmp_path / "tests").mkdir()
    for number, sign in signs.items():
        (tmp_path / "tests" / f"test_{sign}.py").write_text(TEST.format(number=number, sign=sign))
    command = [sys.executable, "-m", "pytest", "-p", "support.covered", "-n", "2", "--dist=loadfile"]
    environment = {**helpers.clean_environment(), "PYTHONPATH": str(helpers.TESTS)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert said in done.stdout
    assert ("part.py" in done.stdout) == (code != pytest.ExitCode.OK)


@pytest.mark.parametrize(("lines", "code"), [(19, pytest.ExitCode.OK), (18, pytest.ExitCode.TESTS_FAILED)])
def test_just_the_share_that_is_required_suffices(tmp_path: Path, lines: int, code: pytest.ExitCode) -> None:
    """19 of 20 lines are 95 %."""
    (tmp_path / "fmnist").mkdir()
    (tmp_path / "fmnist" / "__init__.py").touch()
    part = "\n".join(["x = 1"] * (lines - 1)) + "\ndef never():\n    return 1\n"
    (tmp_path / "fmnist" / "part.py").write_text(part)
    (tmp_path / "test_part.py").write_text("from fmnist import part\n\ndef test_it():\n    assert part.x == 1\n")
    command = [sys.executable, "-m", "pytest", "-p", "support.covered"]
    environment = {**helpers.clean_environment(), "PYTHONPATH": str(helpers.TESTS)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
