"""The folder of a shard of a study: its seeds are trained into it on one core, and read from it by the study."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fmnist.kubeflow.environment import clean_environment
from fmnist.replication.sample import Result
from fmnist.runs import recorded, shards
from fmnist.runs.folder import claimed, seed_path
from fmnist.runs.provenance import differences
from fmnist.runs.study_folder import opened
from fmnist.steps.errors import ContractError, FmnistError, StepError
from fmnist.steps.messages import excerpt
from fmnist.steps.settings import Settings

__all__ = ["read_shard", "train_shard"]

#: How often a shard tries a seed. Servers ignore the retries of a step in a loop
#: (https://github.com/kubeflow/pipelines/issues/13897).
ATTEMPTS = 3

#: How many failures a message lists, and how many characters of each.
MOST_FAILURES, LONGEST = 10, 400


def train_shard(
    settings: Settings,
    seeds: range,
    folder: str | Path,
    on_result: Callable[[Result], None] = lambda _: None,
) -> None:
    """Train and test each of `seeds` that `folder` does not have yet, on one core; try again those that fail.

    Parameters
    ----------
    settings : Settings
        All but the seed.
    seeds : range
        Consecutive, at least one.
    folder : path
        New, empty, or that of the same shard, interrupted or finished. In the end it has ``study.json``, a file of
        each seed, and ``RECORD.sha256`` of these: byte for byte what `run_study` writes before its findings.
    on_result : callable
        Called with each result.

    Raises
    ------
    FmnistError, OSError
        As `run_study` does; the message names the seeds of the shard.
    """
    folder = Path(folder)
    try:
        with claimed(folder, "shard"), clean_environment():
            shard = opened(folder, settings, seeds)
            if failures := shard.train(1, on_result, attempts=ATTEMPTS):
                raise StepError(_message(failures))
            shard.close()
    except FmnistError as error:
        raise type(error)(f"shard of seeds {shards.name(seeds)}: {error}") from error
    except OSError as error:
        raise StepError(f"shard of seeds {shards.name(seeds)}: {error}") from error


def _message(failures: Mapping[int, str]) -> str:
    few = sorted(failures.items())[:MOST_FAILURES]
    lines = [f"  seed {seed}: {excerpt(why, LONGEST)}" for seed, why in few]
    lines += [f"  and {len(failures) - len(few)} more"] * (len(failures) > len(few))
    return (
        f"{len(failures)} of them failed, each {ATTEMPTS} times:\n" + "\n".join(lines) + "\nRun the study again, with "
        "the cache on: shards that ended well are taken from it."
    )


def read_shard(folder: str | Path, study: Mapping[str, Any]) -> list[tuple[Result, bytes]]:
    """Return all results of a shard of the study with this plan, each with the content of its file.

    Raises
    ------
    ContractError
        If a file is not the recorded one, a seed is missing, or the shard is of another study; the message names it.
    """
    folder = Path(folder)
    files = recorded.read_files(folder)
    of_shard = recorded.plan_in(folder, files)
    seeds = of_shard["seeds"]
    first, last = study["seeds"]["first"], study["seeds"]["first"] + study["seeds"]["count"] - 1
    if not first <= seeds["first"] <= seeds["first"] + seeds["count"] - 1 <= last:
        raise ContractError(
            f"shard of {seeds['count']} seeds from {seeds['first']} on: expected seeds of this study, {first} to "
            f"{last}, got others. Give the shards of this study alone, or ask for all of their seeds."
        )
    if changes := differences({**study, "seeds": seeds}, of_shard):
        lines = [f"  {name}: expected {wanted}, got {got}" for name, (wanted, got) in changes.items()]
        raise ContractError(
            f"shard of {seeds['count']} seeds from {seeds['first']} on: expected one of this study, got another:\n"
            + "\n".join(lines)
            + "\nRun the study again with one image and without the cache."
        )
    results = recorded.read_seeds(folder, files)
    if len(results) != seeds["count"]:
        raise ContractError(
            f"shard of {seeds['count']} seeds from {seeds['first']} on: expected all of them, got {len(results)}. Run "
            "the study again without the cache."
        )
    return [(result, files[seed_path(Path(), result.seed).as_posix()]) for result in results]
