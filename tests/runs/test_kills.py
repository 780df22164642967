"""Runs that are killed at random moments, again and again, end with the bytes of one that was not."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fmnist import testing

EPOCHS, KILLS = 20, 20
#: The files of a run that hold times, and their checksums.
DIFFER = {"RECORD.sha256", "log.txt", "report.html", "run.json"}
FMNIST = str(Path(sys.executable).with_name("fmnist"))


def attempt(folder: Path, seconds: float | None = None) -> tuple[int, list[int]]:
    """Start the run, and kill it after some seconds; return its exit code and the epochs that it reported."""
    command = [FMNIST, "run", "-p", f"epochs={EPOCHS}", "-o", str(folder)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            _, said = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            _, said = process.communicate()
    return process.returncode, [int(number) for number in re.findall(r"^train: epoch (\d+)/", said, re.MULTILINE)]


@pytest.mark.kills
def test_a_run_survives_kills_at_random_moments(tmp_path: Path) -> None:
    """After each of 20 kills the same command goes on: no epoch twice, no leftovers, and equal bytes at the end."""
    started = time.monotonic()
    assert attempt(tmp_path / "whole") == (0, list(range(1, EPOCHS + 1)))
    whole, expected = time.monotonic() - started, testing.contents(tmp_path / "whole")
    moments, kills, runs = random.Random(0), 0, 0  # noqa: S311 - no secret
    while kills < KILLS:
        folder, epochs, code = tmp_path / str(runs), [], None
        while code != 0:
            code, reported = attempt(folder, moments.uniform(0, whole) if kills < KILLS else None)
            assert code in {0, -signal.SIGKILL}
            kills += code != 0
            epochs += reported
        runs += 1
        assert epochs == sorted(set(epochs)), f"run {runs}: expected each epoch once, got {epochs}"
        for checksums in ("RECORD.sha256", "SHA256SUMS"):
            subprocess.run(["sha256sum", "--check", "--strict", "--quiet", checksums], cwd=folder, check=True)
        found = testing.contents(folder)
        assert found.keys() == expected.keys()
        testing.assert_same_files(
            got={name: content for name, content in found.items() if name not in DIFFER},
            expected={name: content for name, content in expected.items() if name not in DIFFER},
        )
