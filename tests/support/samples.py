"""Finished runs and studies of made-up results, for tests of what is made of them."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fmnist.replication.results import Mistake, Result
from fmnist.steps import determinism, files
from fmnist.steps.dataset import CLASS_NAMES
from fmnist.steps.labels import Labels

PARAMETERS: Mapping[str, Any] = {"compile_optimizer": "adam", "epochs": 10, "validation_split": 0.05}

RECORD: Mapping[str, Any] = {
    "versions": {"tensorflow": "2.0", "numpy": "3.0"},
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

#: Of each class 880 are found and 100 taken for the next one, but for 20 of the first, which are taken for the last.
COUNTS = np.diag([880] * 10) + np.diag([120] * 9, 1)
COUNTS[0, [1, 9]] = 100, 20
COUNTS[9, 0] = 120


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


def write_run(folder: Path, one: Result, parameters: Mapping[str, Any] = PARAMETERS, **record: Any) -> Path:
    """Write what the report reads of a finished run, and return its folder."""
    contents = {
        "run.json": files.canonical_json({**RECORD, "parameters": {**parameters, "seed": one.seed}, **record}),
        "metrics.json": files.canonical_json({"accuracy": one.accuracy, "loss": one.loss}),
        "history.json": files.canonical_json(one.history),
        **{f"labels/{name}": content for name, content in _labels(one).files().items()},
        "results.csv": _table(one.mistakes),
        "model.keras": b"a model",
    }
    for name, content in contents.items():
        files.write(folder / name, content)
    return folder


def write_study(
    folder: Path, results: Sequence[Result], parameters: Mapping[str, Any] = PARAMETERS, **record: Any
) -> Path:
    """Write what the report reads of a finished study, and return its folder."""
    plan = {"parameters": parameters, "seeds": {"first": results[0].seed, "count": len(results)}}
    contents = {
        "study.json": files.canonical_json(plan),
        "record.json": files.canonical_json({**RECORD, "jobs": 2, "trained": len(results), **record}),
        **{f"seeds/{one.seed}.json": one.to_json() for one in results},
    }
    for name, content in contents.items():
        files.write(folder / name, content)
    return folder


def _labels(one: Result) -> Labels:
    true, predicted = np.divmod(np.repeat(np.arange(100), np.array(one.counts).ravel()), 10)
    return Labels(true, predicted, CLASS_NAMES)


def _table(mistakes: Sequence[Mistake]) -> bytes:
    out = io.StringIO()
    rows = [[one.image, CLASS_NAMES[one.predicted], one.confidence, CLASS_NAMES[one.true]] for one in mistakes]
    csv.writer(out).writerows([["image", "prediction", "confidence", "actual"], *rows])
    return out.getvalue().encode()
