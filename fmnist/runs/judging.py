"""The judgement of accuracies of any runs: whether published ones replicate, and the folder of what is found."""

from collections.abc import Collection, Mapping, Sequence, Set
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from fmnist.replication import verdict
from fmnist.replication.published import Figure
from fmnist.replication.sample import Judged
from fmnist.report import FILE_NAME, page, pictures
from fmnist.runs.accuracies import MOST, check_accuracy
from fmnist.runs.figures import single
from fmnist.runs.folder import VERDICT, check_free, made
from fmnist.steps.checks import check_kind
from fmnist.steps.errors import ContractError
from fmnist.steps.files import canonical_json, write
from fmnist.steps.messages import kind_of

__all__ = ["judge", "write_judged"]

#: The figures that one picture has room for.
_MOST_FIGURES = 3


def judge(
    accuracies: Sequence[float], figures: Sequence[Figure] | Figure | float, margin: float = verdict.MARGIN
) -> Judged:
    """Judge by `accuracies` of any runs whether published ones replicate, as a study does it.

    Parameters
    ----------
    accuracies : sequence of n float
        At least one, in [0, 1], each of a seed that was chosen before anybody saw its result.
    figures : sequence of Figure, Figure, or float
        What was published for such runs.
    margin : float
        How far the mean may be from a published accuracy, between 0 and 1; to be chosen before anybody saw a result.

    Raises
    ------
    ContractError
        If a value is not valid.

    Examples
    --------
    >>> judge([0.95, 0.96] * 10, 0.955).conclusions[0].verdict.outcome
    'replicated'
    """
    given: Any = figures.item() if isinstance(figures, np.number) else figures
    given = single(given) if isinstance(given, float | int) else given
    figures = given if isinstance(given, Sequence) else [given]
    for figure in figures:
        check_kind("published accuracies", figure, Figure, "a number, or Figures")
        check_accuracy("published accuracy", figure.accuracy)
    _check_list(accuracies)
    for i, accuracy in enumerate(accuracies):
        check_accuracy(f"accuracies[{i}]", accuracy)
    values = [float(one) for one in accuracies]
    if not 1 <= len(values) <= MOST:
        raise ContractError(f"accuracies: expected 1 to {MOST:,}, got {len(values):,}.")
    if not 1 <= len(figures) <= _MOST_FIGURES:
        raise ContractError(f"published accuracies: expected 1 to {_MOST_FIGURES} at once, got {len(figures)}.")
    check_kind("margin", margin, Real, "a number")
    if not 0 < margin < 1:
        raise ContractError(f"margin: expected a number greater than 0 and less than 1, got {margin!r}.")
    return Judged(values, list(figures), float(margin))


def _check_list(accuracies: Any) -> None:
    """Refuse what has no accuracy for each run: a set has equal ones once, and a mapping gives its keys."""
    one_each = isinstance(accuracies, Collection) and not isinstance(accuracies, Set | Mapping | bytes | bytearray)
    if not one_each or getattr(accuracies, "ndim", 1) != 1:
        raise ContractError(f"accuracies: expected a list of numbers, got {kind_of(accuracies)}.")


def write_judged(judged: Judged, folder: str | Path) -> None:
    """Write verdicts, pictures and report into `folder`.

    Raises
    ------
    ContractError
        If `folder` is a file, or holds anything but an earlier report of the kind; nothing is changed then.
    """
    folder = Path(folder)
    made(folder, "judgement")
    ours = {VERDICT, FILE_NAME, *pictures.DISTRIBUTIONS}
    check_free(folder, "judgement", ours, " or that of an earlier judgement")
    write(folder / VERDICT, canonical_json([one.as_json() for one in judged.conclusions]))
    pictures.save_distribution(judged, folder)
    page.write_report(judged, folder)
