"""Tests of the benchmarks' options and of their result, without any training."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

BENCHMARKS = """
import pytest

def test_good(measured):
    measured["ratio"] = 7

def test_bad(measured):
    measured["ratio"] = 2
    assert measured["ratio"] >= 6

@pytest.fixture
def broken():
    raise ValueError("no data")

def test_broken(broken, measured):
    measured["ratio"] = 9
"""


def benchmarks(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run `pytest benchmarks` with these arguments."""
    command = [sys.executable, "-m", "pytest", "benchmarks", "-p", "no:cacheprovider", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epochs", "11"], "--epochs: expected one of [10, 100], for which an accuracy was published, got 11"),
        (["--seeds", "1"], "--seeds: expected at least 8, got 1"),
        (["--jobs", "0"], "--jobs: expected at least 1, got 0"),
    ],
    ids=["epochs", "seeds", "jobs"],
)
def test_what_cannot_be_measured_is_bad_usage(arguments: list[str], message: str) -> None:
    """Epochs for which nothing was published are refused with those there are, and so are too few seeds or jobs."""
    done = benchmarks(*arguments)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert message in done.stderr


def test_the_result_is_written_pass_or_fail(tmp_path: Path) -> None:
    """The JSON holds each benchmark that passed, failed or could not start, and a table of them ends the output."""
    (tmp_path / "benchmarks").mkdir()
    for name in ("benchmarks/conftest.py", "benchmarks/process.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "benchmarks" / "test_some.py").write_text(BENCHMARKS)
    done = benchmarks("--jobs", "1", cwd=tmp_path)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    path = tmp_path / "benchmarks" / "results" / "epochs-10.json"
    result = json.loads(path.read_text())
    assert result["benchmarks"] == {
        "test_good": {"outcome": "passed", "ratio": 7},
        "test_bad": {"outcome": "failed", "ratio": 2},
        "test_broken": {"outcome": "error"},
    }
    assert (result["epochs"], result["seeds"], result["jobs"]) == (10, 20, 1)
    below = done.stdout.partition(" measured ")[2].splitlines()[1:]
    *table, written, counts = (" ".join(line.split()) for line in below)
    assert table == ["passed test_good ratio 7", "failed test_bad ratio 2", "error test_broken"]
    assert written == f"written to {path}"
    assert "1 failed, 1 passed, 1 error" in counts
