"""How fast the engine, the steps and the commands are: against the tutorial's own code, in the same run."""

import hashlib
import sys
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


@pytest.mark.parametrize(
    ("command", "needed", "limit"),
    [("--help", "click", 6), ("compile", "kfp.compiler, kfp.dsl", 4)],
    ids=["help", "compile"],
)
def test_commands_start_quickly(
    command: str, needed: str, limit: int, measured: dict[str, Any], tmp_path: Path
) -> None:
    """A command takes at most a few times as long as Python with the package that it cannot do without."""
    bare = process.seconds(sys.executable, "-c", f"import {needed}", folder=tmp_path)
    ours = process.seconds(process.FMNIST, command, folder=tmp_path)
    measured |= {f"import {needed}, seconds": round(bare, 3), "seconds": round(ours, 3), "ratio": round(ours / bare, 2)}
    assert measured["ratio"] <= limit


def test_cached_data_loads_quickly(measured: dict[str, Any]) -> None:
    """The training set is loaded from the cache, and verified, in at most five times of what its SHA-256 takes."""
    from fmnist.steps import dataset

    images = dataset.load("train").images.tobytes()
    started = time.perf_counter()
    hashlib.sha256(images)
    hashed = time.perf_counter()
    dataset.load("train")
    measured["ratio"] = round((time.perf_counter() - hashed) / (hashed - started), 2)
    assert measured["ratio"] <= 5


TRICKS = {
    # What a process of a step saves; a run has two that import TensorFlow.
    "collector": (
        "import gc; from fmnist.steps import determinism as d{}; d.tensorflow(for_good=True)",
        "; import contextlib; d._collector_paused = contextlib.nullcontext",
        2,
    ),
    # What the report would import at the end, had no thread done it while the steps run.
    "report": ("import fmnist.runs.run{}", "; fmnist.runs.run.page.prepare()", 1),
}


@pytest.mark.parametrize("trick", TRICKS)
def test_a_trick_earns_its_lines(trick: str, pace: process.Pace, measured: dict[str, Any], tmp_path: Path) -> None:
    """Pausing the garbage collector and preloading the report's imports each save at least 5 % of `fmnist run`."""
    code, without, times = TRICKS[trick]
    used, unused = (
        process.seconds(sys.executable, "-c", code.format(change), folder=tmp_path) for change in ("", without)
    )
    measured |= {"saved seconds": round(times * (unused - used), 2), "run seconds": round(pace.run, 2)}
    measured["share"] = round(times * (unused - used) / pace.run, 3)
    assert measured["share"] >= 0.05
