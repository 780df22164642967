"""Reading of recorded files by their checksums: nothing of a run, a study or a shard is taken that has changed since.

Whoever can write into a folder can make all of it agree. That is seen only when the results are made again: `verify`.
"""

import contextlib
import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fmnist.replication.sample import Result
from fmnist.runs.checksums import CHECKSUMS, DIGESTS, OTHERS, digests_in, listing
from fmnist.runs.folder import PLAN, SEEDS
from fmnist.runs.schemas import SeedResult, StudyPlan, parse
from fmnist.steps import dataset
from fmnist.steps.errors import ContractError
from fmnist.steps.files import ARTIFACT_FILES, TEMPORARY, sha256

__all__ = [
    "check_files",
    "need",
    "plan_in",
    "read_files",
    "read_seeds",
    "refusals",
    "results_in",
    "seed_result",
]

LABELS = ARTIFACT_FILES["labels"]

#: The most bytes of a file of results, and of a folder of them.
LARGEST, LARGEST_FOLDER = 2**26, 2**30

#: How many problems a message lists.
MOST_PROBLEMS = 10

_SEED = re.compile(SEEDS + r"/(0|[1-9][0-9]{0,9})\.json")


def read_files(folder: Path, *, without: Collection[str] = (), unfinished: bool = False) -> dict[str, bytes]:
    """Return the content of each recorded file of `folder` and of the record of them, by name.

    Parameters
    ----------
    folder : path
        That of a run, a study or a shard.
    without : collection of str
        Files that are not looked at.
    unfinished : bool
        Whether files may be missing.

    Raises
    ------
    ContractError
        If anything in `folder` is neither a file nor a folder, a file is not the recorded one, or a seed or a label
        is there that was not recorded.
    """
    files, size = dict[str, bytes](), 0
    with refusals(folder):
        for name, content in _recorded(folder, without=without, unfinished=unfinished):
            files[name] = content
            if (size := size + len(content)) > LARGEST_FOLDER:
                raise ContractError(f"{name!r}: expected at most {LARGEST_FOLDER} bytes in all, got more")
    return files


def check_files(folder: Path, digests: Mapping[str, str]) -> None:
    """Make sure that each file of `digests` is in `folder` as it was written, and no other seed; errors as above."""
    with refusals(folder):
        for _ in _recorded(folder, digests):
            pass


def _recorded(
    folder: Path, digests: Mapping[str, str] | None = None, *, without: Collection[str] = (), unfinished: bool = False
) -> Iterator[tuple[str, bytes]]:
    """Give name and content of each recorded file, one by one, and raise at the end if one is not as it should be."""
    found = dict(_found(folder))
    if DIGESTS not in found:
        raise ContractError(f"{DIGESTS}: expected this list of checksums, got none")
    yield DIGESTS, (text := _read(found[DIGESTS], DIGESTS))
    listed = digests_in({DIGESTS: text}) if digests is None else digests
    problems = [f"{name!r}: it was not recorded" for name in sorted(found) if "/" in name and name not in listed]
    for name in sorted(listed.keys() - set(without)):
        if name not in found:
            problems += [] if unfinished else [f"{name!r}: it is missing"]
            continue
        yield name, (content := _read(found[name], name))
        if (digest := sha256(content)) != listed[name]:
            problems.append(f"{name!r}: expected SHA-256 {listed[name]}, got {digest}")
        if name == CHECKSUMS and content != listing({n: d for n, d in listed.items() if n not in OTHERS}):
            problems.append(f"{CHECKSUMS!r}: expected the checksums that {DIGESTS} has, got others")
    if problems:
        more = [f"and {len(problems) - MOST_PROBLEMS} more"] if len(problems) > MOST_PROBLEMS else []
        raise ContractError("\n  ".join([*problems[:MOST_PROBLEMS], *more]))


def plan_in(folder: Path, files: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the plan of a study in `folder` with these `files`."""
    with refusals(folder):
        need([PLAN], files)
        return parse(StudyPlan, PLAN, files[PLAN]).model_dump()


def read_seeds(folder: Path, files: Mapping[str, bytes]) -> list[Result]:
    """Return the results of the seeds that a study in `folder` with these `files` has; it need not be finished."""
    with refusals(folder):
        return results_in(parse(StudyPlan, PLAN, files[PLAN]), files)


@contextlib.contextmanager
def refusals(folder: Path) -> Iterator[None]:
    """Say of an error that something in `folder` is not as it was recorded, and what to do."""
    try:
        yield
    except (ContractError, OSError) as error:
        raise ContractError(
            f"folder: expected a finished run or study in {folder}, or a study to resume, as it was recorded, got:\n"
            f"  {error}\nNothing was changed. Restore what is named from a copy, and remove what was not recorded. Of "
            "a study you may also remove a seed's file: the same study, run again, trains that seed again."
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


def need(names: Iterable[str], files: Mapping[str, bytes]) -> None:
    """Make sure that files of these names are among the recorded `files`."""
    if missing := sorted(set(names) - files.keys()):
        raise ContractError(f"{DIGESTS}: expected {', '.join(missing)} in it, got none")


def results_in(plan: StudyPlan, files: Mapping[str, bytes]) -> list[Result]:
    """Return the result of each seed that is there."""
    seeds = range(plan.seeds.first, plan.seeds.first + plan.seeds.count)
    there = {name: _SEED.fullmatch(name) for name in files if name.startswith(f"{SEEDS}/")}
    planned = {int(found[1]): name for name, found in there.items() if found and int(found[1]) in seeds}
    if others := sorted(there.keys() - planned.values()):
        raise ContractError(f"{others[0]!r}: expected seeds of the plan, {seeds[0]} to {seeds[-1]}, got another")
    true, models = dataset.load("test").labels.tolist(), dict[str, str]()
    results = []
    for seed, name in sorted(planned.items()):
        results.append(seed_result(name, files[name], seed, plan.parameters.epochs, true))
        if (other := models.setdefault(results[-1].model, name)) != name:
            raise ContractError(f"{name!r}: expected a model of its own, got that of {other!r}")
    return results


def seed_result(name: str, content: bytes, seed: int, epochs: int, true: Sequence[int]) -> Result:
    """Return the result in a file, which must be that of `seed`, with this many epochs and the true labels `true`."""
    parse(SeedResult, name, content)
    result = Result.from_json(content)
    for what, expected, got in (
        ("seed", seed, result.seed),
        ("number of epochs", epochs, len(result.history["loss"])),
        *((f"label of image {one.image}", true[one.image], one.true) for one in result.mistakes),
    ):
        if got != expected:
            raise ContractError(f"{name!r}: expected {expected} as the {what}, got {got}")
    return result
