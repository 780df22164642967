"""The findings of a study: the files that follow from the results of its seeds."""

from collections.abc import Sequence
from pathlib import Path

from fmnist.replication.sample import Result, Sample
from fmnist.report import pictures
from fmnist.report.page import write_report
from fmnist.runs.folder import ACCURACIES, VERDICT
from fmnist.steps.files import canonical_json, write

__all__ = ["texts", "write_findings"]


def write_findings(sample: Sample, folder: Path) -> list[str]:
    """Write table, verdicts, pictures and report of a study into `folder`; return the names of all but the report.

    Raises what `write_report` raises.
    """
    for name, content in texts(sample).items():
        write(folder / name, content)
    names = pictures.save(sample, folder)
    write_report(sample, folder)
    return [ACCURACIES, VERDICT, *names]


def texts(sample: Sample) -> dict[str, bytes]:
    """Return the content of table and verdicts of a study, by the names of their files."""
    verdicts = [conclusion.as_json() for conclusion in sample.conclusions]
    return {ACCURACIES: _table(sample.results), VERDICT: canonical_json(verdicts)}


def _table(results: Sequence[Result]) -> bytes:
    rows = [f"{result.seed},{result.accuracy},{result.loss},{result.model}\n" for result in results]
    return "".join(["seed,accuracy,loss,model\n", *rows]).encode()
