"""Made-up results, and samples of them, for tests of what is made of them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fmnist.replication.sample import Mistake, Result, Sample
from fmnist.steps import determinism

PARAMETERS: Mapping[str, Any] = {"compile_optimizer": "adam", "epochs": 10, "validation_split": 0.05}

RECORD: Mapping[str, Any] = {
    "versions": {"numpy": "3.0", "tensorflow": "2.0"},
    "code": {"sha256": "c0de"},
    "data": {"train-images-idx3-ubyte": "da7a"},
    "switches": dict(determinism.SWITCHES),
    "machine": {"system": "Linux", "cpu": {"architecture": "sparc", "model": "A <fast> CPU"}, "caveat": "Who knows."},
    "started": "2026-01-01T00:00:00+00:00",
    "seconds": 12.3,
}

HISTORY = {
    "loss": [0.5, 0.4, 0.3],
    "accuracy": [0.7, 0.8, 0.9],
    "val_loss": [0.6, 0.55, 0.5],
    "val_accuracy": [0.65, 0.7, 0.75],
}

#: Of three seeds, whose mean is not their median.
HISTORIES = [{name: [value + shift for value in values] for name, values in HISTORY.items()} for shift in (0, 0.1, 0.5)]

#: Of each class 880 are found and 100 taken for the next one, but for 20 of the first, which are taken for the last.
COUNTS = np.diag([880] * 10) + np.diag([120] * 9, 1)
COUNTS[0, [1, 9]] = 100, 20
COUNTS[9, 0] = 120

#: One in which no two classes are alike, and rows are not columns.
UNLIKE = np.diag([900 - 37 * i for i in range(10)]) + np.array(
    [[(i * 7 + j * 3) % 11 for j in range(10)] for i in range(10)]
)


def result(seed: int, accuracy: float = 0.88, **others: Any) -> Result:
    """Return a result of three epochs and two mistakes."""
    mistakes = [Mistake(3, 0, 6, 0.75), Mistake(5, 9, 7, 0.5)]
    made = Result(seed, f"{seed:064x}", accuracy, 0.3456, HISTORY, COUNTS.tolist(), mistakes)
    return replace(made, **others)


def sample(accuracies: Sequence[float], first: int = 1000) -> list[Result]:
    """Return a result for each accuracy, of consecutive seeds."""
    return [result(first + i, accuracy) for i, accuracy in enumerate(accuracies)]


def spread(n: int, mean: float = 0.88, deviation: float = 0.0046) -> list[float]:
    """Return n accuracies that are spread like the normal distribution."""
    rng = np.random.default_rng(n)
    return [float(value) for value in np.clip(np.round(rng.normal(mean, deviation, n), 4), 0, 1)]


def run_sample(one: Result, parameters: Mapping[str, Any] = PARAMETERS, **record: Any) -> Sample:
    """Return the sample of a run that gave this result."""
    return Sample.of_run({**RECORD, "parameters": {**parameters, "seed": one.seed}, **record}, one)


def study_sample(results: Sequence[Result], parameters: Mapping[str, Any] = PARAMETERS, **record: Any) -> Sample:
    """Return the sample of a study that gave these results, of consecutive seeds."""
    plan = {"parameters": parameters, "seeds": {"first": results[0].seed, "count": len(results)}}
    return Sample.of_study(plan, results, {**RECORD, "jobs": 2, "trained": len(results), **record})
