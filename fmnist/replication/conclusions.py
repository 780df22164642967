"""What the results of n seeds say of each accuracy that was published for their parameters."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmnist.replication import published, verdict
from fmnist.steps.dataset import CLASS_NAMES

__all__ = ["ClassRecall", "Conclusion", "conclude", "recalls"]


@dataclass(frozen=True)
class ClassRecall:
    """The recall of one class, as published and over the seeds.

    Attributes
    ----------
    name : str
        The class.
    published, mean, deviation : float
        Shares in [0, 1]; the standard deviation is NaN for one seed.
    p : float
        Of the published one being one more draw, corrected for ten classes: `verdict.joint_rank_test`.
    """

    name: str
    published: float
    mean: float
    deviation: float
    p: float


@dataclass(frozen=True)
class Conclusion:
    """What the seeds say of one published accuracy.

    Attributes
    ----------
    figure : Figure
        The published accuracy.
    verdict : Verdict
        Whether it replicates.
    classes : tuple of ClassRecall
        The same for each class, where a confusion matrix was published; else empty.
    """

    figure: published.Figure
    verdict: verdict.Verdict
    classes: tuple[ClassRecall, ...]

    def __repr__(self) -> str:
        return f"<Conclusion: {self.sentence}>"

    @property
    def sentence(self) -> str:
        """The verdict in one sentence, which needs no statistics to be read."""
        judged = self.verdict
        whose = f"{self.figure.by}'s" if self.figure.by else "the"
        figure = f"{whose} published accuracy of {judged.published:.4f}"
        mean = f"the mean of {judged.n:,} seeds, {judged.mean:.4f},"
        margin = f"within {judged.margin} of it"
        undecided = f"{judged.n:,} seeds cannot tell whether {figure} replicates: {mean}"
        if judged.n == 1:
            return f"One run cannot tell whether {figure} replicates: a spread takes more than one."
        if judged.n < verdict.SEEDS_FOR_A_VERDICT:
            return f"{undecided} is a hint, and a verdict takes at least {verdict.SEEDS_FOR_A_VERDICT}."
        match judged.outcome:
            case "replicated":
                said = f"{figure} replicates: it is a plausible single run, and {mean} is {margin}"
            case "equivalent, but the published run is unusual":
                said = f"{figure} is near the average, but would be an unusual single run: {mean} is {margin}"
            case "inconclusive":
                said = f"{undecided} is not shown to be {margin}"
            case "not replicated":
                said = f"{figure} does not replicate: no run is expected there, and {mean} is not shown to be {margin}"
        return said[0].upper() + said[1:] + "."

    def as_json(self) -> dict[str, Any]:
        """Return the conclusion for JSON: a number that is not finite becomes None."""
        values = {
            "name": self.figure.name,
            "source": self.figure.source,
            "outcome": self.verdict.outcome,
            "sentence": self.sentence,
            **asdict(self.verdict),
            "classes": [asdict(one) for one in self.classes],
        }
        finite: dict[str, Any] = json.loads(json.dumps(values), parse_constant=lambda _: None)
        return finite


def conclude(
    parameters: Mapping[str, Any], accuracies: Sequence[float], of_classes: NDArray[np.float64] | None = None
) -> tuple[Conclusion, ...]:
    """Return a conclusion on each accuracy that was published for `parameters`; there may be none.

    Parameters
    ----------
    parameters : mapping
        Those of the pipeline, with or without a seed.
    accuracies : sequence of n float
        At least one, of seeds that were chosen before.
    of_classes : float64 ndarray of shape (n, 10), optional
        The recalls of each seed; without them no class is compared.
    """
    return tuple(
        Conclusion(figure, verdict.judge(figure.accuracy, accuracies), _classes(figure, of_classes))
        for figure in published.matching(parameters)
    )


def recalls(counts: Sequence[Sequence[int]]) -> NDArray[np.float64]:
    """Return each class' recall, the share of its images that are classified right; NaN where it has none.

    Examples
    --------
    Rows are the true label: of four dogs one was taken for a cat.

    >>> recalls([[2, 0], [1, 3]])
    array([1.  , 0.75])
    """
    matrix = np.array(counts, dtype=float)
    with np.errstate(invalid="ignore"):
        return np.asarray(matrix.diagonal() / matrix.sum(axis=1))


def _classes(figure: published.Figure, of_seeds: NDArray[np.float64] | None) -> tuple[ClassRecall, ...]:
    if figure.counts is None or of_seeds is None:
        return ()
    of_figure, deviations = recalls(figure.counts).tolist(), verdict.deviation(of_seeds).tolist()
    ps = verdict.joint_rank_test(of_figure, of_seeds.tolist())
    columns = (CLASS_NAMES, of_figure, of_seeds.mean(axis=0).tolist(), deviations, ps)
    return tuple(ClassRecall(*values) for values in zip(*columns, strict=True))
