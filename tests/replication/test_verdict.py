"""Tests of the verdict: against other implementations, and by simulation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from statsmodels.stats.weightstats import DescrStatsW

from fmnist.replication import verdict
from fmnist.steps.errors import ContractError

ACCURACIES = st.lists(st.floats(0.5, 1), min_size=2, max_size=60).filter(lambda values: np.std(values) > 1e-6)


@given(accuracies=ACCURACIES, published=st.floats(0.5, 1), margin=st.floats(0.001, 0.2))
def test_equivalence_is_that_of_statsmodels(accuracies: list[float], published: float, margin: float) -> None:
    """The p of two one-sided tests is the one that statsmodels computes."""
    expected, *_ = DescrStatsW(accuracies).ttost_mean(published - margin, published + margin)
    assert verdict.equivalence(published, accuracies, margin) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("published", "accuracies", "p", "interval"),
    [
        (0.8822, [0.87, 0.88] * 60, 5.7332981e-34, (0.86501665, 0.88498335)),
        (0.894, [0.87, 0.89] * 500, 8.1064627e-4, (0.86035696, 0.89964304)),
    ],
    ids=["120", "1000"],
)
def test_many_seeds_are_judged_by_students_distribution(
    published: float, accuracies: list[float], p: float, interval: tuple[float, float]
) -> None:
    """However many there are it is not the normal one, and a p is none that is 0, however small."""
    assert verdict.equivalence(published, accuracies, 0.015) == pytest.approx(p, rel=1e-7, abs=0)
    assert verdict.prediction_interval(accuracies) == pytest.approx(interval, abs=1e-8)


def test_equal_accuracies_are_equivalent_or_not() -> None:
    """Without any spread the margin alone decides, and what is just as far is not within it."""
    assert verdict.equivalence(0.88, [0.87] * 3, 0.015) == 0
    assert verdict.equivalence(0.75, [0.5] * 3, 0.25) == 1
    assert verdict.equivalence(0.90, [0.87] * 3, 0.015) == 1
    assert [verdict.judge(one, [0.875] * 3).plausible for one in (0.875, 0.876)] == [True, False]


def test_one_accuracy_is_never_equivalent() -> None:
    """Without a spread to compare with, the p is as large as a p can be, and the prediction interval has no end."""
    assert verdict.equivalence(0.88, [0.88], 0.015) == 1
    assert verdict.prediction_interval([0.88]) == (-math.inf, math.inf)


def normal(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Draw accuracies with the spread of the experiment."""
    return rng.normal(0.88, 0.0046, n)


def skewed(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Draw accuracies with the same spread, and a long tail to the left."""
    return 0.886 - 0.0046 * rng.gamma(1.5, 1, n) / math.sqrt(1.5)


@pytest.mark.parametrize(
    ("n", "draw", "level"),
    [(60, normal, 0.05), (60, skewed, 0.05), (20, normal, 0.05), (20, skewed, 0.06)],
    ids=["ranks", "ranks, skewed", "interval", "interval, skewed"],
)
def test_a_draw_from_the_same_distribution_is_seldom_called_implausible(n: int, draw: object, level: float) -> None:
    """The level holds: of 2,000 figures that are one more draw, at most 5 % and chance are called implausible.

    The interval, which supposes a normal distribution, errs in 6 % of cases where a skewed one is taken for it.
    """
    rng = np.random.default_rng(0)
    draws = [draw(rng, n + 1).tolist() for _ in range(2_000)]  # type: ignore[operator]
    implausible = sum(not verdict.judge(one, others).plausible for one, *others in draws)
    assert 0.01 * 2_000 < implausible < (level + 3 * math.sqrt(level * (1 - level) / 2_000)) * 2_000


@pytest.mark.parametrize("n", [5, 60])
def test_a_mean_at_the_margin_is_seldom_called_equivalent(n: int) -> None:
    """The level holds: of 2,000 sets of seeds whose mean is off by the margin, 5 % and chance are called equivalent."""
    rng = np.random.default_rng(0)
    equivalent = sum(verdict.judge(0.88 - 0.015, normal(rng, n).tolist()).equivalent for _ in range(2_000))
    assert equivalent == pytest.approx(0.05 * 2_000, abs=3 * math.sqrt(0.05 * 0.95 * 2_000))


@given(accuracies=st.lists(st.floats(0, 1), min_size=1), published=st.floats(0, 1))
def test_the_rank_test_is_the_share_of_draws_as_extreme(accuracies: list[float], published: float) -> None:
    """The p is twice the share, among all n + 1, of those on the published figure's thinner side, itself with them."""
    everyone = [*accuracies, published]
    thinner = min(sum(a <= published for a in everyone), sum(a >= published for a in everyone))
    assert verdict.rank_test(published, accuracies) == pytest.approx(min(1, 2 * thinner / len(everyone)))


def test_the_prediction_interval_is_the_books() -> None:
    """Five values with mean 0.5 and deviation 0.1 reach 2.776 deviations times the root of 6/5."""
    values = [0.5 + 0.1 * value for value in (-math.sqrt(2), 0, 0, 0, math.sqrt(2))]
    low, high = verdict.prediction_interval(values)
    assert (low + high) / 2 == pytest.approx(0.5)
    assert (high - low) / 2 == pytest.approx(2.776445 * 0.1 * math.sqrt(6 / 5))


SPREAD = [0.870, 0.875, 0.880, 0.885, 0.890] * 12


@pytest.mark.parametrize(
    ("published", "accuracies", "outcome"),
    [
        (0.880, SPREAD, "replicated"),
        (0.869, SPREAD, "equivalent, but the published run is unusual"),
        (0.880, [0.80, 0.96] * 10, "inconclusive"),
        (0.700, SPREAD, "not replicated"),
        (0.880, [0.88], "inconclusive"),
        (0.100, [0.88], "inconclusive"),
        (0.880, SPREAD[:20], "replicated"),
        (0.880, SPREAD[:19], "inconclusive"),
        (0.700, SPREAD[:19], "inconclusive"),
    ],
    ids=["both", "only equivalent", "only plausible", "neither", "one", "one, far", "enough", "few", "few, far"],
)
def test_the_outcome_is_put_into_words(published: float, accuracies: list[float], outcome: str) -> None:
    """Both, one or none of plausible and equivalent have each their words; few seeds decide nothing."""
    judged = verdict.judge(published, accuracies)
    assert judged.outcome == outcome
    assert judged.holds == (outcome in {"replicated", "equivalent, but the published run is unusual"})


def test_ranks_decide_from_39_seeds_on() -> None:
    """With 39 seeds the rank test can reach the level, with 38 the prediction interval decides."""
    assert verdict.judge(0.8, SPREAD[:38]).p_rank is None
    assert verdict.judge(0.8, SPREAD[:39]).p_rank == 0.05
    assert not verdict.judge(0.8, SPREAD[:39]).plausible


def test_the_verdict_holds_what_it_rests_on() -> None:
    """Mean, deviation, interval and p are those of the seeds, and the margin is the one that was asked for."""
    accuracies = [0.88, 0.89, 0.90]
    judged = verdict.judge(0.87, accuracies, margin=0.03)
    assert (judged.published, judged.n, judged.margin) == (0.87, 3, 0.03)
    assert judged.mean == pytest.approx(0.89)
    assert judged.deviation == pytest.approx(0.01)
    assert judged.interval == verdict.prediction_interval(accuracies)
    assert judged.p_equivalence == verdict.equivalence(0.87, accuracies, 0.03)
    assert (judged.plausible, judged.p_rank) == (True, None)
    assert not judged.equivalent
    assert verdict.judge(0.87, accuracies, margin=0.1).equivalent
    assert verdict.judge(0.87, accuracies).margin == 0.015


def test_with_ranks_the_interval_does_not_decide() -> None:
    """A long tail takes the interval past a figure that no seed came near: the ranks call it implausible."""
    accuracies = [0.88] * 58 + [0.5, 0.5]
    judged = verdict.judge(0.95, accuracies)
    assert judged.interval[0] < 0.95 < judged.interval[1]
    assert judged.p_rank == pytest.approx(2 / 61)
    assert not judged.plausible


def test_all_right_and_all_wrong_are_accuracies() -> None:
    """Accuracies of exactly 0 and 1 can be judged."""
    assert verdict.judge(1, [0, 1]).mean == 0.5


def test_the_sampling_error_is_that_of_a_share() -> None:
    """Of 10,000 images, 88 % are counted with a standard error of a third of a percent."""
    assert verdict.sampling_error(0.88, 10_000) == pytest.approx(0.00325, abs=1e-5)
    assert verdict.sampling_error(0.5, 100) == pytest.approx(0.05)


@pytest.mark.parametrize("accuracies", [[], [math.nan], [1.5], [-0.1]], ids=["none", "nan", "above", "below"])
def test_what_is_no_accuracy_is_refused(accuracies: list[float]) -> None:
    """Without accuracies, or with one outside [0, 1], there is no verdict."""
    with pytest.raises(ContractError, match="accuracies: expected at least one, all from 0 to 1"):
        verdict.judge(0.88, accuracies)


@pytest.mark.parametrize("published", [math.nan, 1.5, -0.1])
def test_what_is_no_published_accuracy_is_refused(published: float) -> None:
    """A published figure outside [0, 1] has no verdict either, and is shown."""
    with pytest.raises(ContractError) as refused:
        verdict.judge(published, [0.88])
    assert str(refused.value) == f"accuracies: expected at least one, all from 0 to 1, got [0.88] and {published}."


SHARES = 10


def correlated(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Draw shares of which each pair takes from each other, as classes that are taken for one another."""
    common = rng.normal(0, 0.02, (n, SHARES // 2))
    return 0.9 + np.hstack([common, -common]) + rng.normal(0, 0.005, (n, SHARES))


def long_tailed(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Draw independent shares with long tails to the left."""
    return 1 - rng.gamma(1.5, 0.02, (n, SHARES))


@pytest.mark.parametrize("draw", [correlated, long_tailed])
@pytest.mark.parametrize("n", [19, 60])
def test_ten_shares_together_seldom_cry_wolf(n: int, draw: object) -> None:
    """The level holds for all ten at once: in 5 % and chance of the samples at most is any share implausible."""
    rng = np.random.default_rng(1)
    draws = [draw(rng, n + 1).tolist() for _ in range(2_000)]  # type: ignore[operator]
    wolves = sum(min(verdict.joint_rank_test(one, others)) <= verdict.LEVEL for one, *others in draws)
    assert 0.01 * 2_000 < wolves < (0.05 + 3 * math.sqrt(0.05 * 0.95 / 2_000)) * 2_000


@given(st.integers(0, 10_000), st.integers(2, 30), st.integers(1, 10))
def test_the_joint_rank_test_is_the_textbooks(seed: int, n: int, k: int) -> None:
    """Each p is the share of draws, the published one among them, with a deviation as extreme as that share's.

    However small the deviations are.
    """
    draws = np.random.default_rng(seed).normal(0.9, 1e-6, size=(n + 1, k))
    extremes = [
        [abs(row[j] - np.mean(draws[:, j])) / math.sqrt(np.var(draws[:, j])) for j in range(k)] for row in draws
    ]
    expected = [sum(max(row) >= extremes[0][j] for row in extremes) / (n + 1) for j in range(k)]
    assert verdict.joint_rank_test(draws[0].tolist(), draws[1:].tolist()) == pytest.approx(expected)


def test_one_share_far_off_is_found_among_ten() -> None:
    """A share that is ten deviations off has the smallest p there is, and the others keep theirs large."""
    rng = np.random.default_rng(2)
    published, *seeds = correlated(rng, 41).tolist()
    published[3] += 0.3
    ps = verdict.joint_rank_test(published, seeds)
    assert ps[3] == pytest.approx(1 / 41)
    assert min(p for share, p in enumerate(ps) if share != 3) > 0.05


def test_shares_without_spread_are_all_plausible() -> None:
    """Where every draw is the same there is nothing to find, nor does it hide what another share has.

    The mean of 40 equal shares may be another number than each of them, in its last digit.
    """
    assert verdict.joint_rank_test([0.9, 0.8], [[0.9, 0.8]] * 40) == [1.0, 1.0]
    seeds = [[0.97, i / 100] for i in range(40)]
    assert verdict.joint_rank_test([0.97, 0.24], seeds) == [1.0, pytest.approx(33 / 41)]
