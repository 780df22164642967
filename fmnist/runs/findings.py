"""What a study leaves: what was asked, and all that follows from the results of its seeds."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fmnist.kubeflow import bundle
from fmnist.replication import conclusions
from fmnist.replication.results import PLAN, SEEDS, Result, Sample
from fmnist.report import pictures
from fmnist.report.page import write_report
from fmnist.runs.folder import CHECKSUMS, checksums
from fmnist.runs.provenance import provenance
from fmnist.steps.files import canonical_json, write
from fmnist.steps.settings import Settings

__all__ = ["ACCURACIES", "VERDICT", "plan", "result_path", "write_findings"]

ACCURACIES, VERDICT = "accuracies.csv", "verdict.json"


def plan(settings: Settings, seeds: range) -> dict[str, Any]:
    """Return what a study asks: the parameters but for the seed, the seeds, and what decides the bits and verdicts."""
    parameters = {name: value for name, value in asdict(settings).items() if name != "seed"}
    decisive = provenance(bundle.REPLICATION)
    return {"parameters": parameters, "seeds": {"first": seeds[0], "count": len(seeds)}, **decisive}


def result_path(folder: Path, seed: int) -> Path:
    """Return where the result of `seed` is in the folder of a study."""
    return folder / SEEDS / f"{seed}.json"


def write_findings(folder: Path) -> Sample:
    """Write table, verdicts, pictures, report and checksums of the study whose seeds are all in `folder`.

    Raises
    ------
    ContractError
        If a part of the study is missing or broken.
    """
    sample = Sample.read(folder)
    write(folder / ACCURACIES, _table(sample.results))
    drawn = conclusions.conclude(sample.parameters, sample.results)
    write(folder / VERDICT, canonical_json([conclusion.as_json() for conclusion in drawn]))
    names = pictures.save(sample, folder)
    write_report(folder)
    write(folder / CHECKSUMS, checksums(folder, (PLAN, SEEDS, ACCURACIES, VERDICT, *names)))
    return sample


def _table(results: Sequence[Result]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["seed", "accuracy", "loss", "model"])
    writer.writerows([result.seed, result.accuracy, result.loss, result.model] for result in results)
    return out.getvalue().encode()
