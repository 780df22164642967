"""The shards of a study: consecutive seeds, each shard for one pod of a cluster."""

import re
from dataclasses import dataclass
from itertools import pairwise

from fmnist.steps.checks import LARGEST_SEED, check_whole
from fmnist.steps.errors import SettingsError
from fmnist.steps.messages import shown

__all__ = ["MEMORY", "MOST_SHARDS", "SEEDS_OF_A_SHARD", "Shards", "divide", "name", "seeds_of"]

#: Not every server collects the results of more (https://github.com/kubeflow/kubeflow/issues/7513).
MOST_SHARDS = 100

#: The default: what a pod costs besides is then a few seconds of a minute.
SEEDS_OF_A_SHARD = 20

#: What the pod of a shard gets, in MiB.
MEMORY = 1536


@dataclass(frozen=True)
class Shards:
    """The seeds of a study, and on a cluster the shards that they are in and how many of these run at once.

    Attributes
    ----------
    seeds, first_seed : int
        How many seeds, consecutive, and the first of them.
    shards : int
        How many pods share the seeds, 1 to `MOST_SHARDS`. With 0 each has about `SEEDS_OF_A_SHARD`.
    parallel : int
        How many of these pods run at the same time, at most.

    Raises
    ------
    SettingsError
        If a number is not valid: what, expected, got.
    """

    seeds: int = 60
    first_seed: int = 1000
    shards: int = 0
    parallel: int = 20

    def __post_init__(self) -> None:
        divide(self.seeds, self.first_seed, self.shards)
        check_whole("parallel", self.parallel, 1, MOST_SHARDS)


def divide(seeds: int, first_seed: int, shards: int = 0) -> list[range]:
    """Return the seeds of each shard of a study: all of them in order, none twice; their sizes differ by one at most.

    Parameters
    ----------
    seeds : int
        How many seeds the study has, at least 1.
    first_seed : int
        The first of them.
    shards : int
        How many shards to make, at most `MOST_SHARDS`, and at most one for each seed. With 0 each has about
        `SEEDS_OF_A_SHARD` seeds.

    Raises
    ------
    SettingsError
        If a number is not one of these: what, expected, got.

    Examples
    --------
    >>> divide(7, 1000, 3)
    [range(1000, 1002), range(1002, 1004), range(1004, 1007)]
    """
    check_whole("seeds", seeds, 1, LARGEST_SEED + 1)
    check_whole("first_seed", first_seed, 0, LARGEST_SEED)
    check_whole("shards", shards, 0, MOST_SHARDS)
    if (last := first_seed + seeds - 1) > LARGEST_SEED:
        raise SettingsError(
            f"seeds: expected a last seed of at most {LARGEST_SEED}, got {last}. Take fewer seeds, or a smaller first."
        )
    count = min(seeds, shards or min(-(-seeds // SEEDS_OF_A_SHARD), MOST_SHARDS))
    bounds = [first_seed + seeds * i // count for i in range(count + 1)]
    return [range(*both) for both in pairwise(bounds)]


def name(seeds: range) -> str:
    """Return the name of a shard, which says its first and its last seed.

    Examples
    --------
    >>> name(range(1000, 1020))
    '1000-1019'
    """
    return f"{seeds[0]}-{seeds[-1]}"


def seeds_of(shard: str) -> range:
    """Return the seeds of the shard of this name.

    Raises
    ------
    SettingsError
        If it is none.

    Examples
    --------
    >>> seeds_of("1000-1019")
    range(1000, 1020)
    """
    found = re.fullmatch(r"([0-9]{1,10})-([0-9]{1,10})", shard)
    first, last = map(int, found.groups()) if found else (0, -1)
    if not 0 <= first <= last <= LARGEST_SEED:
        raise SettingsError(f"shard: expected its first and last seed, as in 1000-1019, got {shown(shard)}.")
    return range(first, last + 1)
