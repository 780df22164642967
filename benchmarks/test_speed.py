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


def test_preloading_the_report_earns_its_lines(pace: process.Pace, measured: dict[str, Any], tmp_path: Path) -> None:
    """What a thread imports for the report while the steps run would take at least 5 % of `fmnist run` at its end.

    Both at their quickest: whatever else the machine does makes either longer.
    """
    imports = "import fmnist.runs.run"
    without, with_it = (
        process.seconds(sys.executable, "-c", code, folder=tmp_path)
        for code in (imports, f"{imports}; fmnist.runs.run.page.prepare()")
    )
    measured |= {"saved seconds": round(with_it - without, 2), "run seconds": round(pace.run, 2)}
    measured["share"] = round((with_it - without) / pace.run, 3)
    assert measured["share"] >= 0.05
