"""Reading of runs and studies: nothing is believed, or signed again, that does not agree with all the rest.

Whoever can write into a folder can make all of it agree. That is seen only when the results are made again: `verify`.
"""

import contextlib
import json
import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fmnist.kubeflow import bundle
from fmnist.replication.results import Result, Sample
from fmnist.report import page
from fmnist.runs import findings
from fmnist.runs.folder import CHECKSUMS, DIGESTS, PLAN, RECORD, RUN, SEEDS, claimed, listing, result_of, seed_path
from fmnist.runs.models import History, Metrics, RunRecord, SeedResult, StudyPlan, StudyRecord, parse
from fmnist.runs.provenance import provenance
from fmnist.steps import dataset
from fmnist.steps.dataset import CLASS_NAMES
from fmnist.steps.errors import ContractError
from fmnist.steps.files import ARTIFACT_FILES, TEMPORARY, Content, sha256, write
from fmnist.steps.messages import excerpt

__all__ = ["digests_in", "plan_in", "read_files", "read_sample", "read_seeds", "sample_of", "write_report_again"]

LABELS, PIPELINE = ARTIFACT_FILES["labels"], "pipeline.yaml"

#: What is in the list of all files and not in that of the files that must be the same each time.
OTHERS = {RUN, RECORD, page.FILE_NAME, CHECKSUMS}

#: No file of results has so many bytes, and no folder.
LARGEST, LARGEST_FOLDER = 2**26, 2**30

#: How many problems a message lists.
MOST_PROBLEMS = 10

_LINE = re.compile(r"([0-9a-f]{64})  (.+)\n")


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
        files = read_files(folder, without=(page.FILE_NAME,))
        path = page.write_report(sample_of(folder, files), folder)
        digests = digests_in(files) | {page.FILE_NAME: sha256(path.read_bytes())}
        write(folder / DIGESTS, listing(digests))
    return path


def read_files(
    folder: Path,
    *,
    without: Collection[str] = (),
    unfinished: bool = False,
    recorded: Mapping[str, str] | None = None,
) -> dict[str, bytes]:
    """Return the content of each recorded file of `folder` and of the record of them, by name.

    Parameters
    ----------
    folder : path
        That of a run or a study.
    without : collection of str
        Files that are not looked at.
    unfinished : bool
        Whether files may be missing.
    recorded : mapping of str to str, optional
        The SHA-256 of each file; by default what the folder's own list has.

    Raises
    ------
    ContractError
        If anything in `folder` is neither a file nor a folder, a file is not the recorded one, or a seed or a label
        is there that was not recorded.
    """
    with _refusals(folder):
        found = dict(_found(folder))
        if DIGESTS not in found:
            raise ContractError(f"{DIGESTS}: expected this list of checksums, got none")
        files = {DIGESTS: _read(found[DIGESTS], DIGESTS)}
        listed = digests_in(files) if recorded is None else recorded
        problems = [f"{name!r}: it was not recorded" for name in sorted(found) if "/" in name and name not in listed]
        size = 0
        for name in sorted(listed.keys() - set(without)):
            if name not in found:
                problems += [] if unfinished else [f"{name!r}: it is missing"]
                continue
            files[name] = _read(found[name], name)
            if (size := size + len(files[name])) > LARGEST_FOLDER:
                raise ContractError(f"{name!r}: expected at most {LARGEST_FOLDER} bytes in all, got more")
            if (digest := sha256(files[name])) != listed[name]:
                problems.append(f"{name!r}: expected SHA-256 {listed[name]}, got {digest}")
        if CHECKSUMS in files and files[CHECKSUMS] != listing({n: d for n, d in listed.items() if n not in OTHERS}):
            problems.append(f"{CHECKSUMS!r}: expected the checksums that {DIGESTS} has, got others")
        if problems:
            more = [f"and {len(problems) - MOST_PROBLEMS} more"] if len(problems) > MOST_PROBLEMS else []
            raise ContractError("\n  ".join([*problems[:MOST_PROBLEMS], *more]))
        return files


def digests_in(files: Mapping[str, bytes]) -> dict[str, str]:
    """Return the recorded SHA-256 of each file, by name."""
    text = files[DIGESTS].decode("utf-8", "replace")
    digests = {name: digest for digest, name in _LINE.findall(text)}
    if listing(digests) != files[DIGESTS]:
        raise ContractError(f"{DIGESTS}: expected lines of a SHA-256 and a name, each once, by name, got others")
    return digests


def plan_in(folder: Path, files: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the plan of a study in `folder` with these `files`."""
    with _refusals(folder):
        _need([PLAN], files)
        return parse(StudyPlan, PLAN, files[PLAN]).model_dump()


def sample_of(folder: Path, files: Mapping[str, bytes]) -> Sample:
    """Return the sample of a run or a study of these `files`; raise a ContractError where they do not agree."""
    with _refusals(folder):
        return _study(files) if PLAN in files else _run(files)


def read_seeds(folder: Path, files: Mapping[str, bytes]) -> list[Result]:
    """Return the results of the seeds that a study in `folder` with these `files` has; it need not be finished."""
    with _refusals(folder):
        plan = parse(StudyPlan, PLAN, files[PLAN])
        results = _results(plan, files)
        if len(results) == plan.seeds.count and RECORD in files:
            _check_findings(_sample(results, files), files)
        return results


@contextlib.contextmanager
def _refusals(folder: Path) -> Iterator[None]:
    try:
        yield
    except (ContractError, OSError) as error:
        raise ContractError(
            f"folder: expected a finished run or study in {folder}, or a study to resume, as it was recorded, got:\n"
            f"  {error}\nNothing was changed. Restore what is named from a copy. Of a study you may also remove a "
            "seed's file: the same study, run again, trains that seed again."
        ) from error


def _found(folder: Path, below: str = "") -> Iterator[tuple[str, Path]]:
    """Give name and path of each file in `folder`, and in the folders of seeds and labels."""
    with os.scandir(folder / below) as entries:
        for entry in entries:
            name, path = f"{below}{entry.name}", Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                if name in {SEEDS, LABELS}:
                    yield from _found(folder, f"{name}/")
                elif below:
                    raise ContractError(f"{name!r}: expected a file, got a folder")
            elif name in {SEEDS, LABELS}:
                raise ContractError(f"{name!r}: expected a folder, got none")
            elif not entry.is_file(follow_symlinks=False):
                raise ContractError(f"{name!r}: expected a file, got a link, a FIFO or a device")
            elif not TEMPORARY.fullmatch(entry.name):
                yield name, path


def _read(path: Path, name: str) -> bytes:
    # What was a file may have become a link or a FIFO since.
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(handle, "rb") as file:  # noqa: PTH123 - a handle
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise ContractError(f"{name!r}: expected a file, got a link, a FIFO or a device")
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ContractError(f"{name!r}: expected at most {LARGEST} bytes, got more")
    return content


def _need(names: Iterable[str], files: Mapping[str, bytes]) -> None:
    if missing := sorted(set(names) - files.keys()):
        raise ContractError(f"{DIGESTS}: expected {', '.join(missing)} in it, got none")


def _run(files: Mapping[str, bytes]) -> Sample:
    _need([RUN, CHECKSUMS, PIPELINE, *(file for file in ARTIFACT_FILES.values() if file != LABELS)], files)
    record = parse(RunRecord, RUN, files[RUN])
    parse(History, "history.json", files["history.json"])
    if parse(Metrics, "metrics.json", files["metrics.json"]) != record.metrics:
        raise ContractError(f"{RUN}: expected the metrics of metrics.json, got others")
    artifacts: dict[str, Content] = {name: files[file] for name, file in ARTIFACT_FILES.items() if file != LABELS}
    labels = {name.removeprefix(f"{LABELS}/"): text for name, text in files.items() if name.startswith(f"{LABELS}/")}
    found = result_of(record.parameters.seed, {**artifacts, "labels": labels})
    true = dataset.load("test").labels.tolist()
    result = _result("results.csv", found.to_json(), found.seed, record.parameters.epochs, true)
    for name, content in (
        (f"{LABELS}/true.txt", "".join(f"{label}\n" for label in true)),
        ("confusion_matrix.csv", _matrix(result.counts)),
    ):
        if files[name] != content.encode():
            raise ContractError(f"{name}: expected what results.csv and the dataset say, got another")
    return Sample.of_run(json.loads(files[RUN]), result)


def _matrix(counts: Iterable[Iterable[int]]) -> str:
    rows = [("true \\ predicted", *CLASS_NAMES), *((name, *row) for name, row in zip(CLASS_NAMES, counts, strict=True))]
    return "".join(",".join(map(str, row)) + "\n" for row in rows)


def _study(files: Mapping[str, bytes]) -> Sample:
    _need([PLAN, RECORD, CHECKSUMS, findings.ACCURACIES, findings.VERDICT], files)
    sample = _sample(_results(parse(StudyPlan, PLAN, files[PLAN]), files), files)
    _check_findings(sample, files)
    return sample


def _sample(results: Sequence[Result], files: Mapping[str, bytes]) -> Sample:
    parse(StudyRecord, RECORD, files[RECORD])
    return Sample.of_study(json.loads(files[PLAN]), results, json.loads(files[RECORD]))


def _check_findings(sample: Sample, files: Mapping[str, bytes]) -> None:
    judged_here = provenance(bundle.REPLICATION).items() <= sample.record.items()
    for name, content in findings.texts(sample).items():
        # Another version may say a verdict in other words, or round it otherwise; the table is of the seeds alone.
        if files.get(name, content) != content and (judged_here or name == findings.ACCURACIES):
            raise ContractError(f"{name}: expected what follows from the seeds, got another")


def _results(plan: StudyPlan, files: Mapping[str, bytes]) -> list[Result]:
    """Return the result of each seed that is there."""
    seeds = range(plan.seeds.first, plan.seeds.first + plan.seeds.count)
    planned = {seed_path(Path(), seed).as_posix(): seed for seed in seeds}
    if others := sorted(name for name in files if name.startswith(f"{SEEDS}/") and name not in planned):
        raise ContractError(f"{others[0]!r}: expected seeds of the plan, {seeds[0]} to {seeds[-1]}, got another")
    true, models = dataset.load("test").labels.tolist(), dict[str, str]()
    found = [
        (name, _result(name, files[name], seed, plan.parameters.epochs, true))
        for name, seed in planned.items()
        if name in files
    ]
    for name, result in found:
        if (other := models.setdefault(result.model, name)) != name:
            raise ContractError(f"{name!r}: expected a model of its own, got that of {other!r}")
    return [result for _, result in found]


def _result(name: str, content: bytes, seed: int, epochs: int, true: Sequence[int]) -> Result:
    """Return the result in a file, which must be that of `seed`, with so many epochs and the true labels `true`."""
    parse(SeedResult, name, content)
    result = Result.from_json(content)
    for what, expected, got in (
        ("seed", seed, result.seed),
        ("epochs", epochs, len(result.history["loss"])),
        ("labels", [true[mistake.image] for mistake in result.mistakes], [mistake.true for mistake in result.mistakes]),
    ):
        if got != expected:
            raise ContractError(
                f"{name!r}: expected the {what} {excerpt(str(expected), 20)}, got {excerpt(str(got), 20)}"
            )
    return result
