"""The folder of a run or a study: the names of its files, the claim on it, and the result that a seed left there."""

import contextlib
import csv
import errno
import fcntl
import io
import json
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import numpy as np

from fmnist.replication.sample import Result
from fmnist.steps.dataset import CLASS_NAMES
from fmnist.steps.errors import ContractError
from fmnist.steps.evaluation import ACTUAL, CONFIDENCE, PREDICTION, Evaluation
from fmnist.steps.files import TEMPORARY, Content
from fmnist.steps.labels import Labels
from fmnist.steps.messages import excerpt

__all__ = [
    "ACCURACIES",
    "CHECKPOINT",
    "LOG",
    "PIPELINE",
    "PLAN",
    "RECORD",
    "RUN",
    "SEEDS",
    "UNFINISHED",
    "VERDICT",
    "check_free",
    "claimed",
    "made",
    "read_result",
    "result_of",
    "seed_path",
]

#: What was printed; of a run, the compiled pipeline and the record.
LOG, PIPELINE, RUN = "log.txt", "pipeline.yaml", "run.json"

#: The folder of a run's temporary files, which is there while the run is unfinished, and in it the state of the
#: training after its last whole epoch.
UNFINISHED, CHECKPOINT = ".unfinished", "checkpoint"

#: Of a study the plan, the folder of its seeds' results, the record of how it went, and what follows from the seeds.
PLAN, SEEDS, RECORD, ACCURACIES, VERDICT = "study.json", "seeds", "record.json", "accuracies.csv", "verdict.json"

#: The errors of a file system that has no locks.
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL, errno.EBADF}

#: How far a float32 softmax may be from a probability.
_ROUNDING = 1e-5


def _check_working_folder(folder: Path, what: str) -> None:
    """Make sure that there is a working folder, if the path of the folder of a `what` begins in it."""
    try:
        folder.absolute()
    except FileNotFoundError as error:
        raise ContractError(
            f"{what} folder: expected a working folder that is there, got one that was removed. Change to another, or "
            "give the whole path with -o."
        ) from error


def made(folder: Path, what: str) -> None:
    """Make the folder of a `what`, and those that it is in, where they are not there.

    Raises
    ------
    ContractError
        If a file, or a link that leads nowhere, is in the place of one, or the working folder is gone.
    """
    _check_working_folder(folder, what)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        taken = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
        got = "a file" if taken.exists() else "a link that leads nowhere"
        raise ContractError(f"{what} folder: expected a folder, got {got}: {taken}. Choose another with -o.") from error


def check_free(folder: Path, what: str, ours: Collection[str] = (), begun: str = "") -> None:
    """Make sure that `folder` has nothing in it but `ours`, finished or not; what a `what` has `begun` may be there.

    Raises
    ------
    ContractError
        If it has other files, by their names.
    """
    found = {path.name for path in folder.iterdir()}
    # What a killed process has not finished is its own.
    half = {name for name in found if (left := TEMPORARY.fullmatch(name)) and left[1] in ours}
    if others := sorted(found.difference(ours, half)):
        raise ContractError(
            f"{what} folder: expected a new or empty folder{begun}, got {folder} with "
            f"{excerpt(', '.join(others), 200)}. Nothing was changed. Choose another folder with -o."
        )


@contextlib.contextmanager
def claimed(folder: Path, what: str) -> Iterator[None]:
    """Make the folder of a run or a study, and keep other processes out of it.

    Raises
    ------
    ContractError
        If `folder` is a file, its path is no text, or another process has claimed it; the message calls it that of a
        `what`.
    """
    _check_working_folder(folder, what)
    try:
        str(folder.absolute()).encode()
    except UnicodeEncodeError as error:
        raise ContractError(
            f"{what} folder: expected a path in UTF-8, got {str(folder.absolute())!a}. Choose another with -o, or "
            "set LC_ALL to C.UTF-8."
        ) from error
    made(folder, what)
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ContractError(
                f"{what} folder: expected one in which no other process works, got {folder}. Wait for it, end it, or "
                "choose another with -o."
            ) from error
        except OSError as error:
            error.filename = str(folder)
            if error.errno not in _NO_LOCKS:
                raise
            raise ContractError(
                f"{what} folder: expected a file system with locks, which keep other processes out, got for {folder}: "
                f"{error.strerror}. Choose another with -o."
            ) from error
        yield
    finally:
        os.close(handle)


def seed_path(folder: Path, seed: int) -> Path:
    """Return where the result of `seed` is in the folder of a study."""
    return folder / SEEDS / f"{seed}.json"


def read_result(seed: int, paths: Mapping[str, Path]) -> Result:
    """Return the result of `seed` from `paths`, those of the artifacts model, history, metrics, results and labels.

    Raises
    ------
    OSError
        If a file is missing.
    ContractError
        As `result_of`.
    """
    names = ("model", "history", "metrics", "results")
    labels = {path.name: path.read_bytes() for path in paths["labels"].iterdir()}
    return result_of(seed, {**{name: paths[name].read_bytes() for name in names}, "labels": labels})


def result_of(seed: int, artifacts: Mapping[str, Content]) -> Result:
    """Return the result of `seed` from the content of the artifacts model, history, metrics, results and labels.

    Raises
    ------
    ContractError
        If one is broken, or not what follows from the table of results.
    """
    try:
        evaluation = _evaluation(artifacts)
        expected = evaluation.artifacts()
        history = json.loads(_bytes(artifacts["history"]))
    except ContractError:
        raise
    except (ValueError, KeyError, TypeError, RecursionError, csv.Error) as error:
        raise ContractError(f"results: expected those of a run, got {type(error).__name__}: {error}") from error
    if wrong := [name for name, content in expected.items() if artifacts[name] != content]:
        raise ContractError(f"results: expected {' and '.join(wrong)} that agree with each row of results, got others")
    return Result.of_files(seed, _bytes(artifacts["model"]), history, evaluation)


def _bytes(content: Content) -> bytes:
    if isinstance(content, bytes):
        return content
    raise ContractError(f"expected a file, got a folder of {sorted(content)}")


def _evaluation(artifacts: Mapping[str, Content]) -> Evaluation:
    """Return the evaluation of which this table of results was made."""
    number = {name: i for i, name in enumerate(CLASS_NAMES)}
    with io.StringIO(_bytes(artifacts["results"]).decode(), newline="") as text:
        rows = [(number[row[ACTUAL]], number[row[PREDICTION]], float(row[CONFIDENCE])) for row in csv.DictReader(text)]
    true, predicted, confidence = zip(*rows, strict=True)
    with np.errstate(over="ignore"):
        confidences = np.array(confidence).astype(np.float32)
    if not ((1 / len(CLASS_NAMES) - _ROUNDING <= confidences) & (confidences <= 1 + _ROUNDING)).all():
        raise ContractError("results: expected confidences from 0.1 to 1, of the most likely class, got others")
    labels = Labels(np.array(true, np.int64), np.array(predicted, np.int64), CLASS_NAMES)
    return Evaluation(labels, confidences, json.loads(_bytes(artifacts["metrics"]))["loss"])
