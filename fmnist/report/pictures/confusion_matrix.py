"""The picture of the confusion matrix: what each class was taken for, and how much of it was found."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmnist.replication import conclusions
from fmnist.report.pictures.style import LIGHT, Kind, Theme, drawable_names, render
from fmnist.steps.dataset import CLASS_NAMES

__all__ = ["confusion_matrix", "count", "shades"]


def confusion_matrix(
    counts: NDArray[np.float64],
    class_names: Sequence[str] = CLASS_NAMES,
    *,
    theme: Theme = LIGHT,
    kind: Kind = "svg",
) -> bytes:
    """Return a picture of a confusion matrix, with the recalls at its right; right is blue, and mistakes are orange.

    Parameters
    ----------
    counts : float64 ndarray of shape (k, k)
        Counts, or means of them: rows are the true label, columns the predicted one.
    class_names : sequence of k str
        The names of rows and columns.
    """
    names, fonts, longest = drawable_names(class_names)
    # Of a page's pixels; a matrix of few classes is as large as one of ten.
    left, right = max(100.8, longest + 16), max(72.0, 0.9 * longest)
    top, bottom = max(84.0, 0.6 * longest + 24), 36.0
    width, height = max(547.2, 36.0 * len(names)), max(480.0, 24.0 * len(names))
    size = (round(left + width + right), round(bottom + height + top))

    def draw(figure: Any) -> None:
        place = (left / size[0], bottom / size[1], width / size[0], height / size[1])
        axes = figure.add_axes([round(share, 6) for share in place])
        k, exact = len(counts), bool((counts == counts.round()).all())
        beside, below, above = (round(k * share, 6) for share in (1 + 13.68 / width, 1 + 14.4 / height, -9.6 / height))
        axes.imshow(_shaded(counts, theme), interpolation="nearest", aspect="auto", extent=(0, k, k, 0), zorder=0)
        for (row, column), value in np.ndenumerate(counts):
            look = {"color": theme.ink if value else theme.soft, "weight": "bold" if row == column else "normal"}
            axes.text(column + 0.5, row + 0.5, count(value, exact=exact), ha="center", va="center", **look)
        for row, recall in enumerate(conclusions.recalls(counts.tolist())):
            axes.text(beside, row + 0.5, _share(recall), va="center", color=theme.ink, weight="bold")
        axes.text(beside, above, "recall", color=theme.soft, rotation=35, rotation_mode="anchor")
        axes.set_xticks(np.arange(k) + 0.5, names, rotation=35, ha="left", rotation_mode="anchor")
        axes.set_yticks(np.arange(k) + 0.5, names)
        axes.xaxis.tick_top()
        axes.tick_params(length=0, labelcolor=theme.ink)
        axes.text(0, below, "rows: the true class; columns: the predicted one", color=theme.soft, va="center")
        axes.spines[:].set_visible(False)
        axes.hlines(range(1, k), 0, k, color=theme.paper, linewidth=2)
        axes.vlines(range(1, k), 0, k, color=theme.paper, linewidth=2)

    return render(size, theme, kind, draw, fonts)


def _share(recall: float) -> str:
    return "none" if np.isnan(recall) else f"{recall:.3f}"


def shades(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how much of its colour, from 0 to 0.5, the shade of each field of a confusion matrix has.

    Mistakes are few, so a quarter of a row's images is their strongest shade. On half of a colour ink can be read.
    """
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return np.asarray(0.5 * np.where(np.eye(len(counts), dtype=bool), shares, np.minimum(1, 4 * shares)))


def _shaded(counts: NDArray[np.float64], theme: Theme) -> NDArray[np.float64]:
    from matplotlib.colors import to_rgb

    paper, right, wrong = (np.array(to_rgb(colour)) for colour in (theme.paper, theme.blue, theme.orange))
    strengths, diagonal = shades(counts)[..., np.newaxis], np.eye(len(counts), dtype=bool)[..., np.newaxis]
    return np.asarray((1 - strengths) * paper + strengths * np.where(diagonal, right, wrong))


def count(value: float, *, exact: bool) -> str:
    """Return a count in few characters, or the mean of some, which is not `exact`.

    Examples
    --------
    >>> [count(value, exact=False) for value in (0.0, 0.01, 0.25, 3.0, 860.4)]
    ['0', '<0.1', '0.2', '3.0', '860']
    >>> count(3.0, exact=True)
    '3'
    """
    if exact or value == 0 or value >= 9.95:  # noqa: PLR2004 - two digits say enough
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 0.05 else "<0.1"  # noqa: PLR2004 - it would be written as 0.0
