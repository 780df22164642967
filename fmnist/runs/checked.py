"""Checks of finished runs and studies, whose report is written again if all agrees: only that is believed or signed."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fmnist.kubeflow import bundle
from fmnist.replication.sample import Result, Sample
from fmnist.report import page
from fmnist.runs import findings
from fmnist.runs.checksums import CHECKSUMS, DIGESTS, digests_in, listing
from fmnist.runs.folder import ACCURACIES, PIPELINE, PLAN, RECORD, RUN, VERDICT, claimed, result_of
from fmnist.runs.provenance import provenance
from fmnist.runs.recorded import LABELS, need, read_files, refusals, results_in, seed_result
from fmnist.runs.schemas import History, Metrics, RunRecord, StudyPlan, StudyRecord, parse
from fmnist.steps import dataset
from fmnist.steps.confusion import ConfusionMatrix
from fmnist.steps.errors import ContractError
from fmnist.steps.files import ARTIFACT_FILES, Content, sha256, write

__all__ = ["check_finished", "read_sample", "rewrite_report", "sample_of", "write_report_again"]


def read_sample(folder: str | Path) -> Sample:
    """Return the sample of the finished run or study in `folder`, whose report need not be there.

    Raises
    ------
    ContractError
        If `folder` holds none, or a part of it is missing, broken, or not what was recorded; it is named.
    """
    folder = Path(folder)
    return sample_of(folder, read_files(folder, without=(page.FILE_NAME,)))


def write_report_again(folder: str | Path) -> Path:
    """Write the report of a finished run or study again, and return its path; errors are those of `read_sample`."""
    folder = Path(folder)
    with claimed(folder, "results"):
        return rewrite_report(folder)


def rewrite_report(folder: Path) -> Path:
    """Do what `write_report_again` does in a folder that this process has claimed."""
    files = read_files(folder, without=(page.FILE_NAME,))
    path = page.write_report(sample_of(folder, files), folder)
    digests = digests_in(files) | {page.FILE_NAME: sha256(path.read_bytes())}
    write(folder / DIGESTS, listing(digests))
    return path


def sample_of(folder: Path, files: Mapping[str, bytes]) -> Sample:
    """Return the sample of a run or a study of these `files`; raise a ContractError where they do not agree."""
    with refusals(folder):
        return _study(files) if PLAN in files else _run(files)


def check_finished(folder: Path, results: Sequence[Result], files: Mapping[str, bytes]) -> None:
    """Make sure that record and findings of a finished study, where they are among `files`, are those of `results`."""
    with refusals(folder):
        _check_findings(_sample(results, files), files)


def _run(files: Mapping[str, bytes]) -> Sample:
    need([RUN, CHECKSUMS, PIPELINE, *(file for file in ARTIFACT_FILES.values() if file != LABELS)], files)
    record = parse(RunRecord, RUN, files[RUN])
    history, metrics, results = (ARTIFACT_FILES[name] for name in ("history", "metrics", "results"))
    parse(History, history, files[history])
    if parse(Metrics, metrics, files[metrics]) != record.metrics:
        raise ContractError(f"{RUN}: expected the metrics of {metrics}, got others")
    artifacts: dict[str, Content] = {name: files[file] for name, file in ARTIFACT_FILES.items() if file != LABELS}
    labels = {name.removeprefix(f"{LABELS}/"): text for name, text in files.items() if name.startswith(f"{LABELS}/")}
    found = result_of(record.parameters.seed, {**artifacts, "labels": labels})
    true = dataset.load("test").labels.tolist()
    result = seed_result(results, found.to_json(), found.seed, record.parameters.epochs, true)
    matrix = ConfusionMatrix(np.array(result.counts), result.class_names)
    for name, content in (
        (f"{LABELS}/true.txt", "".join(f"{label}\n" for label in true).encode()),
        (ARTIFACT_FILES["matrix"], matrix.csv()),
    ):
        if files[name] != content:
            raise ContractError(f"{name}: expected what {results} and the dataset say, got another")
    return Sample.of_run(json.loads(files[RUN]), result)


def _study(files: Mapping[str, bytes]) -> Sample:
    need([PLAN, RECORD, CHECKSUMS, ACCURACIES, VERDICT], files)
    sample = _sample(results_in(parse(StudyPlan, PLAN, files[PLAN]), files), files)
    _check_findings(sample, files)
    return sample


def _sample(results: Sequence[Result], files: Mapping[str, bytes]) -> Sample:
    parse(StudyRecord, RECORD, files[RECORD])
    return Sample.of_study(json.loads(files[PLAN]), results, json.loads(files[RECORD]))


def _check_findings(sample: Sample, files: Mapping[str, bytes]) -> None:
    judged_here = provenance(bundle.REPLICATION).items() <= sample.record.items()
    for name, content in findings.texts(sample).items():
        # Another version may say a verdict in other words, or round it otherwise; the table is of the seeds alone.
        if files.get(name, content) != content and (judged_here or name == ACCURACIES):
            raise ContractError(f"{name}: expected what follows from the seeds, got another")
