"""The verdict: whether a published accuracy replicates, given those of n seeds.

Two questions are asked. Is the published figure, which is one run, a plausible draw from the same distribution? And is
the mean over the seeds equivalent to it, within a margin that was fixed before? A one-sample t-test of the mean
against the published figure is the wrong test: that figure is a draw, not a mean.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fmnist.steps.errors import ContractError

__all__ = [
    "LEVEL",
    "MARGIN",
    "SEEDS_FOR_A_VERDICT",
    "Verdict",
    "deviation",
    "equivalence",
    "joint_rank_test",
    "judge",
    "prediction_interval",
    "rank_test",
    "sampling_error",
]

#: How far a mean may be from a published accuracy: the original's authors call 0.882 "similar" to 0.8693.
MARGIN = 0.015

#: The level of each test: how often it errs where there is nothing to find.
LEVEL = 0.05

#: With fewer seeds nothing is concluded. Of the 60 seeds of the confirmatory study, 5 drawn at random say "not
#: replicated" in a third of cases and "replicated" in a sixth, where all 60 say neither; 20 seldom differ.
SEEDS_FOR_A_VERDICT = 20

#: With fewer seeds the rank test cannot reach the level: its smallest p is 2 / (n + 1).
SEEDS_FOR_RANKS = math.ceil(2 / LEVEL) - 1

#: With fewer seeds the joint rank test cannot reach the level: its smallest p is 1 / (n + 1).
SEEDS_FOR_CLASSES = math.ceil(1 / LEVEL) - 1

Outcome = Literal["replicated", "equivalent, but the published run is unusual", "inconclusive", "not replicated"]


@dataclass(frozen=True)
class Verdict:
    """What the accuracies of n seeds say of a published one.

    Attributes
    ----------
    published : float
        The published accuracy.
    n : int
        The number of seeds.
    mean, deviation : float
        Of the seeds' accuracies; the standard deviation is NaN for one seed.
    plausible : bool
        Whether the published figure may be a draw from the same distribution.
    p_rank : float or None
        Of the rank test, by which `plausible` is decided from `SEEDS_FOR_RANKS` on.
    interval : tuple of float
        The prediction interval, by which it is decided below that; it supposes a normal distribution.
    equivalent : bool
        Whether the mean is within `margin` of the published figure.
    p_equivalence : float
        Of the two one-sided tests, by which `equivalent` is decided.
    margin : float
        The margin of equivalence.
    """

    published: float
    n: int
    mean: float
    deviation: float
    plausible: bool
    p_rank: float | None
    interval: tuple[float, float]
    equivalent: bool
    p_equivalence: float
    margin: float

    @property
    def holds(self) -> bool:
        """Whether enough seeds show that the mean is equivalent."""
        return self.equivalent and self.n >= SEEDS_FOR_A_VERDICT

    @property
    def outcome(self) -> Outcome:
        """The verdict in words."""
        if self.n < SEEDS_FOR_A_VERDICT:
            return "inconclusive"
        if self.equivalent:
            return "replicated" if self.plausible else "equivalent, but the published run is unusual"
        return "inconclusive" if self.plausible else "not replicated"


def judge(published: float, accuracies: Sequence[float], margin: float = MARGIN) -> Verdict:
    """Judge whether `published` replicates, given the `accuracies` of seeds drawn for this.

    Parameters
    ----------
    published : float
        An accuracy in [0, 1], of one run.
    accuracies : sequence of float
        Of n seeds, n at least 1, in [0, 1].
    margin : float
        Of equivalence, greater than 0.

    Raises
    ------
    ContractError
        If there is no accuracy, or one is outside [0, 1].
    """
    if not accuracies or not all(0 <= accuracy <= 1 for accuracy in (*accuracies, published)):
        raise ContractError(f"accuracies: expected at least one, all from 0 to 1, got {accuracies} and {published}.")
    n = len(accuracies)
    p_rank = rank_test(published, accuracies) if n >= SEEDS_FOR_RANKS else None
    low, high = interval = prediction_interval(accuracies)
    p_equivalence = equivalence(published, accuracies, margin)
    return Verdict(
        published=published,
        n=n,
        mean=float(np.mean(accuracies)),
        deviation=float(deviation(accuracies)),
        plausible=low <= published <= high if p_rank is None else p_rank > LEVEL,
        p_rank=p_rank,
        interval=interval,
        equivalent=p_equivalence <= LEVEL,
        p_equivalence=p_equivalence,
        margin=margin,
    )


def deviation(values: ArrayLike) -> NDArray[np.float64]:
    """Return the standard deviation over the first axis, of a sample of n values or rows; NaN where n is 1."""
    draws = np.asarray(values, dtype=float)
    return np.asarray(draws.std(axis=0, ddof=1) if len(draws) > 1 else np.full(draws.shape[1:], np.nan))


def rank_test(published: float, accuracies: Sequence[float]) -> float:
    """Return the two-sided p of `published` being one more draw: by its rank, of any distribution.

    Examples
    --------
    Below all of 39 others, a draw is as rare as 2 in 40:

    >>> rank_test(0.1, [0.5] * 39)
    0.05
    """
    below = sum(accuracy <= published for accuracy in accuracies)
    above = sum(accuracy >= published for accuracy in accuracies)
    return min(1.0, 2 * (1 + min(below, above)) / (len(accuracies) + 1))


def prediction_interval(accuracies: Sequence[float]) -> tuple[float, float]:
    """Return the interval that one more draw of a normal distribution misses at `LEVEL`; endless for one accuracy.

    References
    ----------
    Meeker, Hahn and Escobar, Statistical Intervals, 2nd ed., Wiley 2017, chapter 4.
    """
    from scipy import stats

    n, mean = len(accuracies), float(np.mean(accuracies))
    if n == 1:
        return -math.inf, math.inf
    reach = float(stats.t.ppf(1 - LEVEL / 2, n - 1)) * float(deviation(accuracies)) * math.sqrt(1 + 1 / n)
    return mean - reach, mean + reach


def equivalence(published: float, accuracies: Sequence[float], margin: float) -> float:
    """Return the p of two one-sided tests of the mean being within `margin` of `published`; 1 for one accuracy.

    References
    ----------
    Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15 (1987), 657-680; Lakens, Social Psychological and
    Personality Science 8 (2017), 355-362.
    """
    from scipy import stats

    n, difference = len(accuracies), float(np.mean(accuracies)) - published
    error = float(deviation(accuracies)) / math.sqrt(n)
    if n == 1:
        return 1.0
    if error == 0:
        return float(abs(difference) >= margin)
    return float(stats.t.sf((margin - abs(difference)) / error, n - 1))


def joint_rank_test(published: Sequence[float], seeds: Sequence[Sequence[float]]) -> list[float]:
    """Return for each of k shares the p of the published one being one more draw, corrected for asking k times.

    Each share is expressed in standard deviations from the mean of all n + 1 draws, the published one among them. Its
    p is the portion of those draws whose most extreme share is at least as extreme: of any distribution, and however
    the shares depend on each other, the chance that any p is at most `LEVEL` is at most `LEVEL`.

    Parameters
    ----------
    published : sequence of k float
        As the recalls of the classes.
    seeds : sequence of n sequences of k float
        The same of each seed.

    References
    ----------
    Westfall and Young, Resampling-Based Multiple Testing, Wiley 1993: the single-step maxT method.
    """
    draws = np.array([published, *seeds], dtype=float)
    # Of equal shares the mean may be another number, which is no spread.
    spread = draws.std(axis=0) * (np.ptp(draws, axis=0) > 0)
    extremes = np.abs(draws - draws.mean(axis=0)) / np.where(spread > 0, spread, 1)
    most = extremes.max(axis=1)
    return [float(np.mean(most >= extreme)) for extreme in extremes[0]]


def sampling_error(accuracy: float, images: int) -> float:
    """Return the standard error of an accuracy that is counted on `images` images, drawn at random.

    It is the test set's own, and has nothing to do with the spread over seeds.

    Examples
    --------
    >>> round(sampling_error(0.88, 10_000), 4)
    0.0032
    """
    return math.sqrt(accuracy * (1 - accuracy) / images)
