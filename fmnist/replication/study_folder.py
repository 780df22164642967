"""The folder of a study whose seeds were trained elsewhere: the same files as where `study.execute` trained them."""

import csv
import io
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from fmnist.replication import conclusions, pictures, record, report
from fmnist.replication.record import CHECKSUMS, checksums
from fmnist.replication.results import PLAN, RECORD, SEEDS, Result, Sample
from fmnist.steps.errors import ContractError
from fmnist.steps.files import canonical_json, write
from fmnist.steps.settings import Settings

__all__ = ["fill", "metrics"]

ACCURACIES, VERDICT = "accuracies.csv", "verdict.json"


def fill(folder: str | Path, settings: Settings, count: int, results: Iterable[bytes]) -> Sample:
    """Write the folder of a study and return its sample.

    Parameters
    ----------
    folder : path
        New or empty.
    settings : Settings
        With the first seed.
    count : int
        How many consecutive seeds were to be trained.
    results : iterable of bytes
        What `Result.to_json` gave for each, in any order.

    Raises
    ------
    ContractError
        If these are not the results of exactly the seeds that were to be trained.
    """
    folder, started, clock = Path(folder), datetime.now(UTC), time.monotonic()
    found = sorted((Result.from_json(text) for text in results), key=lambda result: result.seed)
    _check_seeds([result.seed for result in found], range(settings.seed, settings.seed + count))
    write(folder / PLAN, canonical_json(_plan(settings, count)))
    for result in found:
        write(folder / SEEDS / f"{result.seed}.json", result.to_json())
    # Of the machine that writes this: it trained no seed.
    written = {"machine": record.machine(), "jobs": 0, "trained": 0}
    written |= {"started": started.isoformat(timespec="seconds"), "seconds": round(time.monotonic() - clock, 1)}
    write(folder / RECORD, canonical_json(written))
    return _conclude(folder)


def metrics(sample: Sample) -> dict[str, float | str]:
    """Return what a study says in numbers, with the outcome for each published accuracy; what has no value is left out.

    Its names are ``n``, ``mean``, ``deviation``, and for each published accuracy ``<its name>: <what>``.
    """
    accuracies = [result.accuracy for result in sample.results]
    said: dict[str, Any] = {"n": len(accuracies), "mean": fmean(accuracies)}
    said["deviation"] = stdev(accuracies) if len(accuracies) > 1 else None
    for conclusion in conclusions.conclude(sample.parameters, sample.results):
        values = conclusion.as_json()
        said |= {
            f"{values['name']}: {what}": values[what] for what in ("published", "p_rank", "p_equivalence", "outcome")
        }
    return {name: value for name, value in said.items() if value is not None}


def _check_seeds(got: Sequence[int], expected: Sequence[int]) -> None:
    if list(got) != list(expected):
        missing, others = sorted(set(expected) - set(got)), sorted(set(got) - set(expected))
        raise ContractError(
            f"results: expected one of each seed from {expected[0]} to {expected[-1]}, got {len(got)}; "
            f"missing: {missing}, not wanted: {others}. Run the study again: finished seeds come from the cache."
        )


def _plan(settings: Settings, count: int) -> dict[str, Any]:
    parameters = {name: value for name, value in asdict(settings).items() if name != "seed"}
    return {"parameters": parameters, "seeds": {"first": settings.seed, "count": count}, **record.provenance()}


def _conclude(folder: Path) -> Sample:
    """Write all that follows from the results of all seeds."""
    sample = Sample.read(folder)
    write(folder / ACCURACIES, _table(sample.results))
    drawn = conclusions.conclude(sample.parameters, sample.results)
    write(folder / VERDICT, canonical_json([conclusion.as_json() for conclusion in drawn]))
    names = pictures.save(sample, folder)
    report.write(folder)
    write(folder / CHECKSUMS, checksums(folder, (PLAN, SEEDS, ACCURACIES, VERDICT, *names)))
    return sample


def _table(results: Sequence[Result]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["seed", "accuracy", "loss", "model"])
    writer.writerows([result.seed, result.accuracy, result.loss, result.model] for result in results)
    return out.getvalue().encode()
