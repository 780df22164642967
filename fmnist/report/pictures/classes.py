"""The pictures of the ten classes: what each was taken for, and how much of each was found."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmnist.replication import conclusions
from fmnist.report.pictures.canvas import LIGHT, MOST_SHAPES, Kind, Theme, render, style_axes
from fmnist.steps.dataset import CLASS_NAMES

__all__ = ["confusion_matrix", "count", "recalls", "shades"]


def confusion_matrix(counts: NDArray[np.float64], *, theme: Theme = LIGHT, kind: Kind = "svg") -> bytes:
    """Return a picture of a confusion matrix, with the recalls at its right; right is blue, and mistakes are orange.

    Parameters
    ----------
    counts : float64 ndarray of shape (10, 10)
        Counts, or means of them: rows are the true label, columns the predicted one.
    """

    def draw(figure: Any) -> None:
        axes = figure.add_axes((0.14, 0.06, 0.76, 0.8))
        k, exact = len(counts), bool((counts == counts.round()).all())
        axes.imshow(_shaded(counts, theme), interpolation="nearest", aspect="auto", extent=(0, k, k, 0), zorder=0)
        for (row, column), value in np.ndenumerate(counts):
            look = {"color": theme.ink if value else theme.soft, "weight": "bold" if row == column else "normal"}
            axes.text(column + 0.5, row + 0.5, count(value, exact=exact), ha="center", va="center", **look)
        for row, recall in enumerate(conclusions.recalls(counts.tolist())):
            axes.text(k + 0.25, row + 0.5, f"{recall:.3f}", va="center", color=theme.ink, weight="bold")
        axes.text(k + 0.25, -0.2, "recall", color=theme.soft, rotation=35, rotation_mode="anchor")
        axes.set_xticks(np.arange(k) + 0.5, CLASS_NAMES, rotation=35, ha="left", rotation_mode="anchor")
        axes.set_yticks(np.arange(k) + 0.5, CLASS_NAMES)
        axes.xaxis.tick_top()
        axes.tick_params(length=0, labelcolor=theme.ink)
        axes.text(0, k + 0.3, "rows: the true class; columns: the predicted one", color=theme.soft, va="center")
        axes.spines[:].set_visible(False)
        axes.hlines(range(1, k), 0, k, color=theme.paper, linewidth=2)
        axes.vlines(range(1, k), 0, k, color=theme.paper, linewidth=2)

    return render((720, 600), theme, kind, draw)


def shades(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how much of its colour, from 0 to 0.5, the shade of each field of a confusion matrix has.

    Mistakes are few, so a quarter of a row's images is their strongest shade. On half of a colour ink can be read.
    """
    shares = counts / counts.sum(axis=1, keepdims=True)
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


def recalls(
    seeds: NDArray[np.float64],
    figure: Sequence[float],
    *,
    theme: Theme = LIGHT,
    kind: Kind = "svg",
    narrow: bool = False,
) -> bytes:
    """Return a picture of each class' recall: a dot a seed, a bar at their mean, a diamond where it was published.

    Parameters
    ----------
    seeds : float64 ndarray of shape (n, 10)
        The recalls of each seed.
    figure : sequence of 10 float
        The published ones.
    """

    def draw(page: Any) -> None:
        axes = page.add_axes((0.24, 0.15, 0.73, 0.75) if narrow else (0.15, 0.12, 0.83, 0.8))
        rows, n = np.arange(len(CLASS_NAMES)), len(seeds)
        # Multiples of the golden ratio are spread evenly, however many there are.
        offsets = ((np.arange(n) * 0.618034 + 0.5) % 1 - 0.5) * 0.5 if n > 1 else np.zeros(1)
        dots: dict[str, Any] = {"color": theme.blue, "markeredgewidth": 0, "rasterized": seeds.size > MOST_SHAPES}
        dots |= {"markersize": 4, "alpha": max(0.15, 0.7 / n**0.25)} if n > 1 else {"markersize": 7, "alpha": 1}
        for row, values in zip(rows, seeds.T, strict=True):
            axes.plot(values, row + offsets, "o", **dots)
        if n > 1:
            axes.vlines(seeds.mean(axis=0), rows - 0.34, rows + 0.34, color=theme.blue, linewidth=2)
        axes.plot(figure, rows, "D", color=theme.orange, markersize=7, markeredgecolor=theme.paper, clip_on=False)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_yticks(rows, CLASS_NAMES)
        what = ("recall: the share of a class' images", "that is classified right")
        axes.set_xlabel(("\n" if narrow else " ").join(what), color=theme.soft)
        axes.grid(axis="x", color=theme.rule, linewidth=0.6)
        axes.set_axisbelow(True)
        style_axes(axes, theme)
        axes.tick_params(axis="y", length=0, labelcolor=theme.ink)
        _explain(axes, theme, n, narrow=narrow)

    return render((328, 420) if narrow else (720, 420), theme, kind, draw)


def _explain(axes: Any, theme: Theme, n: int, *, narrow: bool) -> None:
    """Write above the axes what a diamond, a dot and a bar are."""
    seeds = "● this run" if n == 1 else f"● each of {n} seeds, and | their mean"
    published_at, seeds_at = ((-40, 22), (-40, 8)) if narrow else ((0, 8), (90, 8))
    words = {"xycoords": "axes fraction", "textcoords": "offset points", "weight": "bold"}
    axes.annotate("◆ published", (0, 1), published_at, color=theme.orange, **words)
    axes.annotate(seeds, (0, 1), seeds_at, color=theme.blue, **words)
