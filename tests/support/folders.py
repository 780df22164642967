"""Folders of runs and studies with made-up predictions, which agree with themselves and took no training."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fmnist import pipeline
from fmnist.replication.sample import Result, Sample
from fmnist.report import page
from fmnist.runs import checksums, findings, folder, run
from fmnist.runs.provenance import plan as planned
from fmnist.runs.provenance import provenance, stopwatch
from fmnist.steps import dataset, files
from fmnist.steps.confusion import confusion_matrix
from fmnist.steps.dataset import CLASS_NAMES
from fmnist.steps.evaluation import Evaluation
from fmnist.steps.labels import Labels
from fmnist.steps.settings import Settings

SETTINGS, SEEDS = Settings(epochs=2, seed=5), range(5, 8)
HISTORY = {"loss": [0.5, 0.4], "accuracy": [0.8, 0.875], "val_loss": [0.5, 0.45], "val_accuracy": [0.75, 0.8125]}

#: The files of a run's results, which are the same each time.
RESULTS = {
    "confusion_matrix.csv",
    "confusion_matrix.png",
    "history.json",
    "labels/class_names.txt",
    "labels/predicted.txt",
    "labels/true.txt",
    "loss_plot.html",
    "loss_plot.png",
    "metrics.json",
    "model.keras",
    "results.csv",
}

#: The file of a seed in which one ankle boot, image 0, is taken for a sandal.
SEED: dict[str, Any] = {
    "seed": 5,
    "model": "a" * 64,
    "accuracy": 0.9999,
    "loss": 0.5,
    "history": {name: [0.5, 0.25] for name in ("loss", "accuracy", "val_loss", "val_accuracy")},
    "counts": [[0] * i + [1000] + [0] * (9 - i) for i in range(9)] + [[0, 0, 0, 0, 0, 1, 0, 0, 0, 999]],
    "mistakes": [[0, 9, 5, 0.75]],
}


def evaluation(seed: int) -> Evaluation:
    """Return predictions for the test images of which about 1,200 are wrong, others for each seed."""
    rng, true = np.random.default_rng(seed), dataset.load("test").labels.astype(np.int64)
    predicted = (true + (rng.random(len(true)) < 0.12) * rng.integers(1, 10, len(true))) % 10
    return Evaluation(Labels(true, predicted, CLASS_NAMES), rng.uniform(0.1, 1, len(true)).astype(np.float32), 0.4375)


def result(seed: int) -> Result:
    """Return the result with these predictions."""
    return Result.of_files(seed, b"model %d" % seed, HISTORY, evaluation(seed))


def write_run(path: Path) -> None:
    """Write the folder of a finished run of `SETTINGS`."""
    tested = evaluation(SETTINGS.seed)
    files.save(path, tested, confusion_matrix(tested.labels))
    pipeline.compile_pipeline(path / folder.PIPELINE, run.HERE)
    contents = {
        "loss_plot.png": b"",
        "loss_plot.html": b"",
        "model.keras": b"model %d" % SETTINGS.seed,
        "history.json": files.canonical_json(HISTORY),
    }
    for name, content in contents.items():
        files.write(path / name, content)
    metrics = {"accuracy": tested.accuracy, "loss": tested.loss}
    record = provenance() | stopwatch()() | {"parameters": asdict(SETTINGS), "metrics": metrics}
    files.write(path / folder.RUN, files.canonical_json(record))
    page.write_report(Sample.of_run(record, result(SETTINGS.seed)), path)
    reproducible = (folder.PIPELINE, *files.ARTIFACT_FILES.values())
    checksums.sign(path, checksums.digests_of(path, reproducible))


def write_study(path: Path) -> None:
    """Write the folder of a finished study of `SETTINGS` and `SEEDS`."""
    begin_study(path)
    plan = planned(SETTINGS, SEEDS)
    record = stopwatch()() | {"jobs": 1, "trained": len(SEEDS)}
    files.write(path / folder.RECORD, files.canonical_json(record))
    names = findings.write_findings(Sample.of_study(plan, [result(seed) for seed in SEEDS], record), path)
    reproducible = checksums.digests_of(path, (folder.PLAN, folder.SEEDS, *names))
    checksums.sign(path, reproducible)


def begin_study(path: Path) -> None:
    """Write the folder of that study as it is when each seed is trained, and it is broken off."""
    files.write(path / folder.PLAN, files.canonical_json(planned(SETTINGS, SEEDS)))
    for seed in SEEDS:
        files.write(folder.seed_path(path, seed), result(seed).to_json())
    files.write(path / checksums.DIGESTS, checksums.listing(checksums.digests_of(path, (folder.PLAN, folder.SEEDS))))


def sign_again(path: Path) -> None:
    """Recompute both lists of checksums, as a forger does who knows of them, for all files that are there."""
    names = [line[66:] for line in (path / checksums.DIGESTS).read_text().splitlines()]
    there = {os.path.normpath(one.relative_to(path)) for one in path.rglob("*") if one.is_file()}
    listed = ({*names} | {one for one in there if "/" in one}) & there
    reproducible = checksums.digests_of(path, listed - {*checksums.OTHERS})
    if checksums.CHECKSUMS in listed:
        checksums.sign(path, reproducible)
    else:
        files.write(path / checksums.DIGESTS, checksums.listing(reproducible))


def edit(path: Path, change: Callable[[Any], Any]) -> None:
    """Change the value of a JSON file, and write it as fmnist does."""
    value = json.loads(path.read_bytes())
    change(value)
    text = json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False) + "\n"
    path.write_text(text)


@dataclass
class MadeUp:
    """What stands in for the workers: it makes results up, and fails at a seed as often as `failing` says.

    Attributes
    ----------
    tried : list of int
        The seeds that it was given, in this order.
    asked : list of (Settings, int, path or None)
        The settings, the number of workers and their log, each time.
    failing : dict of int to int
        How often each of some seeds fails.
    """

    tried: list[int] = field(default_factory=list)
    asked: list[tuple[Settings, int, Path | None]] = field(default_factory=list)
    failing: dict[int, int] = field(default_factory=dict)

    def train(self, *arguments: Any) -> dict[int, str]:
        """Do as `workers.train`."""
        settings, missing, log, jobs, on_result, on_failure = arguments
        self.tried += missing
        self.asked.append((settings, jobs, log))
        failures = {seed: "no luck" for seed in missing if self.failing.get(seed)}
        for seed in missing:
            if seed in failures:
                self.failing[seed] -= 1
                on_failure(seed)
            else:
                on_result(result(seed))
        return failures
