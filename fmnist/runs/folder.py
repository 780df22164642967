"""The folder of a run or a study: its files, the claim on it, and the checksums of what is in it."""

import contextlib
import csv
import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from fmnist.replication.results import Mistake, Result, Sample
from fmnist.steps.confusion import confusion_matrix
from fmnist.steps.dataset import CLASS_NAMES
from fmnist.steps.errors import ContractError
from fmnist.steps.files import ARTIFACT_FILES, sha256
from fmnist.steps.labels import Labels

__all__ = [
    "CHECKSUMS",
    "PLAN",
    "RECORD",
    "RUN",
    "SEEDS",
    "checksums",
    "claimed",
    "read_result",
    "read_sample",
    "read_seed",
    "seed_path",
]

CHECKSUMS = "SHA256SUMS"

#: The record of a run; the plan of a study, the folder of its seeds' results, and the record of how it went.
RUN, PLAN, SEEDS, RECORD = "run.json", "study.json", "seeds", "record.json"


def checksums(folder: Path, names: Iterable[str]) -> bytes:
    """Return the lines that ``sha256sum -c`` checks: one for each file of `names`, and for each file below a folder."""
    roots = [folder / name for name in names]
    paths = [path for root in roots for path in ([root] if root.is_file() else root.rglob("*"))]
    found = sorted(path.relative_to(folder).as_posix() for path in paths)
    return "".join(f"{sha256((folder / name).read_bytes())}  {name}\n" for name in found).encode()


@contextlib.contextmanager
def claimed(folder: Path, what: str) -> Iterator[None]:
    """Make the folder of a run or a study, and keep other processes out of it.

    Raises
    ------
    ContractError
        If `folder` is a file, its path is no text, or another process has claimed it; the message calls it that of a
        `what`.
    """
    try:
        str(folder.absolute()).encode()
    except UnicodeEncodeError as error:
        raise ContractError(
            f"{what} folder: expected a path in UTF-8, got {str(folder.absolute())!a}. Choose another with -o, or "
            "set LC_ALL to C.UTF-8."
        ) from error
    if folder.exists() and not folder.is_dir():
        raise ContractError(f"{what} folder: expected a folder, got a file: {folder}. Choose another with -o.")
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ContractError(
                f"{what} folder: expected one in which no other process works, got {folder}. Wait for it, end it, or "
                "choose another with -o."
            ) from error
        yield
    finally:
        os.close(handle)


def seed_path(folder: Path, seed: int) -> Path:
    """Return where the result of `seed` is in the folder of a study."""
    return folder / SEEDS / f"{seed}.json"


def read_sample(folder: str | Path) -> Sample:
    """Return the sample of the finished run or study in `folder`.

    Raises
    ------
    ContractError
        If `folder` holds none, or a part of it is missing or broken.
    """
    folder = Path(folder)
    try:
        return _read_study(folder) if (folder / PLAN).exists() else _read_run(folder)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ContractError(
            f"folder: expected a finished run or study in {folder}, got {type(error).__name__}: {error}"
        ) from error


def _read_run(folder: Path) -> Sample:
    record = json.loads((folder / RUN).read_bytes())
    paths = {name: folder / file for name, file in ARTIFACT_FILES.items()}
    return Sample.of_run(record, read_result(record["parameters"]["seed"], paths))


def _read_study(folder: Path) -> Sample:
    plan, record = (json.loads((folder / name).read_bytes()) for name in (PLAN, RECORD))
    first, count = plan["seeds"]["first"], plan["seeds"]["count"]
    results = [read_seed(folder, seed) for seed in range(first, first + count)]
    return Sample.of_study(plan, results, record)


def read_seed(folder: Path, seed: int) -> Result:
    """Return the result of a seed of the study in `folder`; raise a ContractError if its file holds another or none."""
    path = seed_path(folder, seed)
    try:
        result = Result.from_json(path.read_bytes())
    except (ValueError, KeyError, TypeError) as error:
        raise ContractError(
            f"study: expected a result in {path}, got {type(error).__name__}: {error}. "
            "Remove the file, and run the same command again to train that seed again."
        ) from error
    if result.seed != seed:
        raise ContractError(f"study: expected the result of seed {seed} in {path}, got that of {result.seed}.")
    return result


def read_result(seed: int, paths: Mapping[str, Path]) -> Result:
    """Return the result of `seed` from `paths`, those of the artifacts model, history, metrics, results and labels.

    Raises
    ------
    OSError, ValueError, KeyError
        If a file is missing or broken.
    """
    metrics = json.loads(paths["metrics"].read_bytes())
    return Result(
        seed=seed,
        model=sha256(paths["model"].read_bytes()),
        accuracy=metrics["accuracy"],
        loss=metrics["loss"],
        history=json.loads(paths["history"].read_bytes()),
        counts=confusion_matrix(Labels.read(paths["labels"])).counts.tolist(),
        mistakes=_read_mistakes(paths["results"]),
    )


def _read_mistakes(path: Path) -> list[Mistake]:
    number = {name: i for i, name in enumerate(CLASS_NAMES)}
    with path.open(encoding="utf-8", newline="") as file:
        return [
            Mistake(int(row["image"]), number[row["actual"]], number[row["prediction"]], float(row["confidence"]))
            for row in csv.DictReader(file)
            if row["actual"] != row["prediction"]
        ]
