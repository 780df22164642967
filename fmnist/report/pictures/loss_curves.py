"""The picture of the training: loss and accuracy by epoch, of each seed and on average."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fmnist.report.pictures.style import LIGHT, MANY_SEEDS, MOST_SHAPES, TEXT, Kind, Theme, render, style_axes
from fmnist.steps.plots import MOST_MARKED

__all__ = ["apart", "loss_curves"]


def loss_curves(
    histories: Sequence[Mapping[str, Sequence[float]]], *, theme: Theme = LIGHT, kind: Kind = "svg"
) -> bytes:
    """Return a picture of the loss (left) and the accuracy (right) by epoch: each seed's faint, the mean strong.

    Of more than `MANY_SEEDS` seeds it has a faint area, from the lowest to the highest.

    Parameters
    ----------
    histories : sequence of mapping of str to sequence of float
        At least one; all of as many epochs.
    """

    def draw(figure: Any) -> None:
        # Room for the names at the end of the curves is between the two and at the right.
        room = {"left": 0.07, "right": 0.9, "bottom": 0.15, "top": 0.88, "wspace": 0.36}
        for axes, metric in zip(figure.subplots(1, 2, gridspec_kw=room), ("loss", "accuracy"), strict=True):
            _draw_curves(axes, theme, metric, histories)

    return render((860, 330), theme, kind, draw)


def _draw_curves(axes: Any, theme: Theme, metric: str, histories: Sequence[Mapping[str, Sequence[float]]]) -> None:
    curves = {
        "training": (theme.blue, "-", np.array([history[metric] for history in histories])),
        "validation": (theme.orange, "--", np.array([history[f"val_{metric}"] for history in histories])),
    }
    n, epochs = curves["training"][2].shape
    number = np.arange(1, epochs + 1)
    mark = "o" if epochs <= MOST_MARKED else ""
    for colour, dashes, values in curves.values():
        if n > MANY_SEEDS:
            axes.fill_between(number, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.2, linewidth=0.8)
        elif n > 1:
            faint: dict[str, Any] = {"alpha": max(0.03, 0.6 / math.sqrt(n)), "rasterized": n * epochs > MOST_SHAPES}
            axes.plot(number, values.T, color=colour, linewidth=0.8, marker=mark if epochs == 1 else "", **faint)
        axes.plot(number, values.mean(axis=0), dashes, color=colour, linewidth=2, marker=mark, markersize=4)
    axes.set_title(metric.capitalize(), loc="left", color=theme.ink, weight="bold")
    axes.set_xlabel("epoch", color=theme.soft)
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    axes.grid(axis="y", color=theme.rule, linewidth=0.6)
    style_axes(axes, theme)
    _name_curves(axes, epochs, {name: (colour, values[:, -1].mean()) for name, (colour, _, values) in curves.items()})


def _name_curves(axes: Any, epochs: int, ends: Mapping[str, tuple[str, float]]) -> None:
    """Write each curve's name where it ends; two that end together are moved apart."""
    low, high = axes.get_ylim()
    height = axes.get_window_extent().height * 72 / axes.figure.dpi
    at = apart([end for _, end in ends.values()], TEXT * 1.4 / height * (high - low))
    for (name, (colour, _)), y in zip(ends.items(), at, strict=True):
        axes.annotate(name, (epochs, y), (7, 0), textcoords="offset points", va="center", color=colour)


def apart(positions: Sequence[float], gap: float) -> list[float]:
    """Return two positions, in their order, moved about their middle until they are `gap` from each other.

    Examples
    --------
    >>> apart([5, 4], 3)
    [6.0, 3.0]
    """
    one, other = positions
    move = math.copysign(max(0, gap - abs(one - other)) / 2, one - other)
    return [one + move, other - move]
