"""How fast the engine, the steps and the commands are: against the tutorial's own code, in the same run."""

import json
import subprocess
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from benchmarks import process
from fmnist.steps.settings import Settings

#: Trains as the train step does, and prints the seconds from the first call to the trained network.
TRAIN = """
import json, sys, time
from fmnist.steps import dataset, training
from fmnist.steps.determinism import tensorflow
from fmnist.steps.settings import Settings
data = dataset.load("train")
tensorflow()
started = time.perf_counter()
training.train(Settings(**json.loads(sys.argv[1])), data)
print(json.dumps({"train": time.perf_counter() - started}))
"""


def test_training_is_faster_than_fit(
    tutorial: Mapping[str, float], settings: Settings, measured: dict[str, Any]
) -> None:
    """Training takes at most a sixth of the tutorial's compile and fit."""
    train = process.python("-c", TRAIN, json.dumps(asdict(settings)))["train"]
    measured |= {"fit seconds": round(tutorial["fit"], 2), "train seconds": round(train, 2)}
    measured["ratio"] = round(tutorial["fit"] / train, 2)
    assert measured["ratio"] >= 6


def test_the_whole_run_is_faster_than_the_tutorial(
    tutorial: Mapping[str, float], settings: Settings, measured: dict[str, Any], tmp_path: Path
) -> None:
    """`fmnist run`, with the data there, takes at most 0.6 of the tutorial as one script, and no step takes 1 GiB."""
    parameters = [f"-p{name}={value}" for name, value in asdict(settings).items()]
    seconds, memory = process.fmnist("run", *parameters, "-o", str(tmp_path / "run"))
    measured |= {"tutorial seconds": round(tutorial["process"], 2), "run seconds": round(seconds, 2)}
    measured |= {"ratio": round(seconds / tutorial["process"], 3), "peak GiB": round(memory, 3)}
    assert measured["ratio"] <= 0.6
    assert memory < 1


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
