"""How fast the engine, the steps and the commands are: against the tutorial's own code, in the same run."""

import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks import process


def test_training_is_faster_than_fit(pace: process.Pace, measured: dict[str, Any]) -> None:
    """Training takes at most a sixth of the tutorial's compile and fit."""
    measured |= {"fit seconds": round(pace.fit, 2), "train seconds": round(pace.train, 2)}
    measured["ratio"] = round(pace.fit / pace.train, 2)
    assert measured["ratio"] >= 6


def test_the_train_step_is_faster_than_the_tutorial(pace: process.Pace, measured: dict[str, Any]) -> None:
    """The train step as a process, up to its files, takes at most half of the tutorial up to the end of its fit."""
    measured |= {"until fit seconds": round(pace.until_fit, 2), "step seconds": round(pace.step, 2)}
    measured["ratio"] = round(pace.until_fit / pace.step, 2)
    assert measured["ratio"] >= 2


def test_the_whole_run_is_faster_than_the_tutorial(pace: process.Pace, measured: dict[str, Any]) -> None:
    """`fmnist run`, with the data there, takes at most 0.6 of the tutorial as one script, and no step takes 1 GiB."""
    measured |= {"tutorial seconds": round(pace.tutorial, 2), "run seconds": round(pace.run, 2)}
    measured |= {"ratio": round(pace.run / pace.tutorial, 3), "peak GiB": round(pace.memory, 3)}
    assert measured["ratio"] <= 0.6
    assert pace.memory < 1


@pytest.mark.parametrize(("command", "limit"), [(["--help"], 0.3), (["compile"], 3.0)], ids=["help", "compile"])
def test_commands_start_quickly(command: list[str], limit: float, measured: dict[str, Any], tmp_path: Path) -> None:
    """The quickest of five calls is below the limit."""
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        subprocess.run([process.FMNIST, *command], check=True, stdout=subprocess.DEVNULL, cwd=tmp_path)
        seconds.append(time.perf_counter() - started)
    measured["seconds"] = round(min(seconds), 3)
    assert min(seconds) < limit


def test_cached_data_loads_quickly(measured: dict[str, Any]) -> None:
    """The training set, verified, is loaded from the cache well under half a second."""
    from fmnist.steps import dataset

    dataset.load("train")
    started = time.perf_counter()
    dataset.load("train")
    measured["seconds"] = round(time.perf_counter() - started, 3)
    assert measured["seconds"] < 0.5
