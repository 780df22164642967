"""Tests of how the seeds of a study are divided."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmnist.runs import shards
from fmnist.steps.errors import SettingsError

LAST = 2_147_483_647


@pytest.mark.parametrize(
    ("seeds", "count", "expected"),
    [
        (1, 1, ["1000-1000"]),
        (1, 7, ["1000-1000"]),
        (20, 3, ["1000-1005", "1006-1012", "1013-1019"]),
        (60, 7, ["1000-1007", "1008-1016", "1017-1024", "1025-1033", "1034-1041", "1042-1050", "1051-1059"]),
        (3, 100, ["1000-1000", "1001-1001", "1002-1002"]),
        (60, 0, ["1000-1019", "1020-1039", "1040-1059"]),
        (20, 0, ["1000-1019"]),
        (21, 0, ["1000-1009", "1010-1020"]),
    ],
)
def test_shards_are_named_by_their_seeds(seeds: int, count: int, expected: list[str]) -> None:
    """They differ by one seed at most, none is empty, and without a number each has about 20."""
    divided = shards.divide(seeds, 1000, count) if count else shards.divide(seeds, 1000)
    assert [shards.name(shard) for shard in divided] == expected


@pytest.mark.parametrize(
    ("seeds", "count", "sizes"),
    [(10_000, 100, {100}), (10_000, 0, {100}), (2_147_483_648, 0, {21_474_836, 21_474_837})],
)
def test_a_large_study_has_no_more_shards_than_a_server_collects(seeds: int, count: int, sizes: set[int]) -> None:
    """From 2,000 seeds on shards are larger, not more."""
    divided = shards.divide(seeds, 0, count)
    assert len(divided) == 100
    assert {len(shard) for shard in divided} == sizes


@given(data=st.data(), seeds=st.integers(1, 100) | st.integers(1, 10_000), count=st.integers(0, 100))
def test_each_seed_is_in_one_shard(data: st.DataObject, seeds: int, count: int) -> None:
    """Any division has all seeds in order, none twice, no empty shard, and sizes that differ by one at most."""
    first = data.draw(st.integers(0, LAST - seeds + 1), label="first seed")
    divided = shards.divide(seeds, first, count)
    assert [seed for shard in divided for seed in shard] == list(range(first, first + seeds))
    sizes = {len(shard) for shard in divided}
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= 1
    assert len(divided) == (min(seeds, count) if count else min(-(-seeds // 20), 100))
    assert [shards.seeds_of(shards.name(shard)) for shard in divided] == divided


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ((0, 0, 0), "seeds: expected a whole number from 1 to 2147483648, got 0."),
        ((-3, 0, 0), "seeds: expected a whole number from 1 to 2147483648, got -3."),
        ((2.0, 0, 0), "seeds: expected a whole number from 1 to 2147483648, got 2.0."),
        ((True, 0, 0), "seeds: expected a whole number from 1 to 2147483648, got True."),
        (("60", 0, 0), "seeds: expected a whole number from 1 to 2147483648, got '60'."),
        ((None, 0, 0), "seeds: expected a whole number from 1 to 2147483648, got None."),
        ((1, -1, 0), "first_seed: expected a whole number from 0 to 2147483647, got -1."),
        ((1, LAST + 1, 0), "first_seed: expected a whole number from 0 to 2147483647, got 2147483648."),
        ((2, LAST, 0), "seeds: expected a last seed of at most 2147483647, got 2147483648. Take fewer seeds, or a "),
        ((1, 0, -1), "shards: expected a whole number from 0 to 100, got -1."),
        ((1000, 0, 101), "shards: expected a whole number from 0 to 100, got 101."),
        ((1, 0, float("nan")), "shards: expected a whole number from 0 to 100, got nan."),
    ],
)
def test_numbers_that_are_none_are_refused(numbers: tuple[Any, Any, Any], said: str) -> None:
    """On a cluster too, where the parameters of the pipeline may have been changed: what, expected, got."""
    with pytest.raises(SettingsError) as error:
        shards.divide(*numbers)
    assert str(error.value).startswith(said)


def test_the_last_seed_of_all_can_be_taken() -> None:
    """The largest seed is in a study of its own."""
    assert shards.divide(1, LAST) == [range(LAST, LAST + 1)]
    assert shards.seeds_of("0-2147483647") == range(LAST + 1)


def test_more_shards_may_run_at_once_than_there_are() -> None:
    """Whoever asks for few shards need not say how many of them run at once."""
    assert vars(shards.Shards(shards=5)) == {"seeds": 60, "first_seed": 1000, "shards": 5, "parallel": 20}


@pytest.mark.parametrize("shard", ["", "1000", "1000-", "1019-1000", "-5-3", "0-2147483648", "1-2-3", "１-２", "1-2\n"])
def test_a_name_that_is_none_is_refused(shard: str) -> None:
    """Whoever runs the component alone is told what a shard is called."""
    with pytest.raises(SettingsError) as refused:
        shards.seeds_of(shard)
    assert str(refused.value) == f"shard: expected its first and last seed, as in 1000-1019, got {shard!r}."


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ({"seeds": 0}, "seeds: expected a whole number from 1 to 2147483648, got 0."),
        ({"first_seed": -1}, "first_seed: expected a whole number from 0 to 2147483647, got -1."),
        ({"seeds": 2, "first_seed": 2_147_483_647}, "seeds: expected a last seed of at most 2147483647, got "),
        ({"shards": 101}, "shards: expected a whole number from 0 to 100, got 101."),
        ({"parallel": 0}, "parallel: expected a whole number from 1 to 100, got 0."),
        ({"seeds": 200, "parallel": 101}, "parallel: expected a whole number from 1 to 100, got 101."),
        ({"parallel": "20"}, "parallel: expected a whole number from 1 to 100, got '20'."),
    ],
)
def test_a_study_that_cannot_be_is_refused(numbers: dict[str, Any], said: str) -> None:
    """What, expected, got: here, before anything is compiled."""
    with pytest.raises(SettingsError) as error:
        shards.Shards(**numbers)
    assert str(error.value).startswith(said)
