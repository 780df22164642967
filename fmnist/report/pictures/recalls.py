"""The picture of the recalls: how much of each class was found, by each seed and as published."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmnist.report.pictures.style import (
    LIGHT,
    MOST_SHAPES,
    TEXT,
    Kind,
    Theme,
    drawable_names,
    render,
    shortened,
    style_axes,
)
from fmnist.steps.dataset import CLASS_NAMES

__all__ = ["recalls"]


def recalls(  # noqa: PLR0913 - what is shown, and how
    seeds: NDArray[np.float64],
    figure: Sequence[float],
    class_names: Sequence[str] = CLASS_NAMES,
    *,
    theme: Theme = LIGHT,
    kind: Kind = "svg",
    narrow: bool = False,
) -> bytes:
    """Return a picture of each class' recall: a dot a seed, a bar at their mean, a diamond where it was published.

    Parameters
    ----------
    seeds : float64 ndarray of shape (n, k)
        The recalls of each seed.
    figure : sequence of k float
        The published ones.
    class_names : sequence of k str
        The names of the classes.
    """
    names, fonts, longest = drawable_names(class_names)
    width, height = 328.0 if narrow else 720.0, 420.0 + 24.0 * max(0, len(names) - 10)
    right = 0.97 if narrow else 0.98
    # Above and below the axes is as much as of ten classes, and names leave room for what explains the marks.
    left = min(max(0.24 if narrow else 0.15, (longest + 10) / width), 0.36 if narrow else 0.5)
    foot, head = (63.0, 42.0) if narrow else (50.4, 33.6)

    def draw(page: Any) -> None:
        axes = page.add_axes((left, foot / height, right - left, 1 - (foot + head) / height))
        rows, n = np.arange(len(names)), len(seeds)
        # Multiples of the golden ratio are spread evenly, however many there are.
        offsets = ((np.arange(n) * 0.618034 + 0.5) % 1 - 0.5) * 0.5
        dots: dict[str, Any] = {"color": theme.blue, "markeredgewidth": 0, "rasterized": seeds.size > MOST_SHAPES}
        dots |= {"markersize": 4, "alpha": max(0.15, 0.7 / n**0.25)} if n > 1 else {"markersize": 7, "alpha": 1}
        for row, values in zip(rows, seeds.T, strict=True):
            axes.plot(values, row + offsets, "o", **dots)
        if n > 1:
            axes.vlines(seeds.mean(axis=0), rows - 0.34, rows + 0.34, color=theme.blue, linewidth=2)
        axes.plot(figure, rows, "D", color=theme.orange, markersize=7, markeredgecolor=theme.paper, clip_on=False)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_yticks(rows, [shortened(name, TEXT, left * width * 72 / 96 - 6, family=fonts) for name in names])
        what = ("recall: the share of a class' images", "that is classified right")
        axes.set_xlabel(("\n" if narrow else " ").join(what), color=theme.soft)
        axes.grid(axis="x", color=theme.rule, linewidth=0.6)
        axes.set_axisbelow(True)
        style_axes(axes, theme)
        axes.tick_params(axis="y", labelcolor=theme.ink)
        _explain(axes, theme, n, narrow=narrow)

    return render((width, height), theme, kind, draw, fonts)


def _explain(axes: Any, theme: Theme, n: int, *, narrow: bool) -> None:
    """Write above the axes what a diamond, a dot and a bar are."""
    seeds = "● this run" if n == 1 else f"● each of {n:,} seeds, and | their mean"
    published_at, seeds_at = ((-40, 22), (-40, 8)) if narrow else ((0, 8), (90, 8))
    words = {"xycoords": "axes fraction", "textcoords": "offset points", "weight": "bold"}
    axes.annotate("◆ published", (0, 1), published_at, color=theme.orange, **words)
    axes.annotate(seeds, (0, 1), seeds_at, color=theme.blue, **words)
