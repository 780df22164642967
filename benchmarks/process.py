"""Processes that benchmarks measure, started as a user would start them."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from fmnist.replication.sample import Sample
from fmnist.runs.checked import read_sample
from fmnist.steps.determinism import SWITCHES
from fmnist.steps.settings import Settings

__all__ = [
    "FMNIST",
    "Pace",
    "Study",
    "Usage",
    "environment",
    "fmnist",
    "pace",
    "python",
    "seconds",
    "study",
    "tutorial",
    "used",
]

FMNIST = str(Path(sys.executable).with_name("fmnist"))

#: Runs a command and prints its exit code, and the numbers of `Usage` of the processes below it.
MEASURE = """
import json, resource, subprocess, sys, time
started = time.perf_counter()
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
seconds = time.perf_counter() - started
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps({"code": code, "usage": [seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20]}))
"""


#: Does what the train step does; prints the seconds of the training alone, and those of the whole process.
TRAIN = """
import time
started = time.perf_counter()
import json, sys, tempfile
from fmnist.steps import dataset, files, training
from fmnist.steps.determinism import tensorflow
from fmnist.steps.settings import Settings
data = dataset.load("train")
tensorflow()
before = time.perf_counter()
result = training.train(Settings(**json.loads(sys.argv[1])), data)
after = time.perf_counter()
with tempfile.TemporaryDirectory() as folder:
    files.save(folder, result)
print(json.dumps({"train": after - before, "step": time.perf_counter() - started}))
"""

TUTORIAL = str(Path(__file__).with_name("tutorial.py"))


class Pace(NamedTuple):
    """Seconds of the tutorial and of fmnist, part by part, and the memory of the run's largest process in GiB.

    Of the tutorial: compile and fit, the process up to the end of these, and the whole process. Of fmnist: the
    training, the train step as a process, and `fmnist run`.
    """

    fit: float
    until_fit: float
    tutorial: float
    train: float
    step: float
    run: float
    memory: float


class Usage(NamedTuple):
    """What a command took: its seconds, those of all cores together, and the memory of its largest process in GiB."""

    seconds: float
    core_seconds: float
    memory: float


class Study(NamedTuple):
    """A study: its sample, and what it took."""

    sample: Sample
    usage: Usage


def environment() -> dict[str, str]:
    """Return this process's environment without the switches that fmnist sets."""
    return {name: value for name, value in os.environ.items() if name not in {*SWITCHES, "KERAS_HOME"}}


def python(*arguments: str) -> Mapping[str, Any]:
    """Run Python and return the JSON of its last line."""
    command = [sys.executable, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment())
    return dict(json.loads(done.stdout.splitlines()[-1]))


def fmnist(*arguments: str, done_with: tuple[int, ...] = (0,)) -> Usage:
    """Run a command of fmnist, which must end with one of these exit codes, and return what it took."""
    done = python("-c", MEASURE, FMNIST, *arguments)
    assert done["code"] in done_with, f"{arguments}: expected an exit code of {done_with}, got {done['code']}"
    return Usage(*done["usage"])


def used(*arguments: str) -> Usage:
    """Run Python with these arguments, to a good end, and return what it took."""
    done = python("-c", MEASURE, sys.executable, *arguments)
    assert done["code"] == 0, f"{arguments}: expected exit code 0, got {done['code']}"
    return Usage(*done["usage"])


def seconds(*command: str, folder: Path) -> float:
    """Return how long the quickest of five calls of a command in `folder` takes."""
    found = []
    for _ in range(5):
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder, env=environment())
        found.append(time.perf_counter() - started)
    return min(found)


def pace(settings: Settings, folder: Path) -> Pace:
    """Train the tutorial's network in each way, one after the other, three times: the best of each counts.

    Whatever else the machine does makes one of them longer.
    """
    rounds = [_pace(settings, folder / str(number)) for number in range(3)]
    *seconds, memory = zip(*rounds, strict=True)
    return Pace._make([*map(min, seconds), max(memory)])


def _pace(settings: Settings, folder: Path) -> Pace:
    started = time.perf_counter()
    theirs = tutorial(settings)
    whole = time.perf_counter() - started
    step = python("-c", TRAIN, json.dumps(asdict(settings)))
    ours = run(settings, folder)
    return Pace(theirs["fit"], theirs["until_fit"], whole, step["train"], step["step"], ours.seconds, ours.memory)


def run(settings: Settings, folder: Path) -> Usage:
    """Run the pipeline."""
    return fmnist("run", *_parameters(settings), "-o", str(folder))


def tutorial(settings: Settings) -> Mapping[str, Any]:
    """Run the tutorial, and return its seconds."""
    return python(TUTORIAL, str(settings.epochs), str(settings.validation_split))


def study(settings: Settings, seeds: int, jobs: int, folder: Path) -> Study:
    """Do a study of `seeds` seeds from that of the settings on."""
    arguments = (*_parameters(settings), f"--seeds={seeds}", f"--jobs={jobs}", "-o", str(folder))
    # 1: it was done, and a published figure is not shown to hold.
    usage = fmnist("study", *arguments, done_with=(0, 1))
    return Study(read_sample(folder), usage)


def _parameters(settings: Settings) -> list[str]:
    return [f"-p{name}={value}" for name, value in asdict(settings).items()]
