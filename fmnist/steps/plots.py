"""The pictures that the steps make: loss and accuracy by epoch, and the confusion matrix."""

import base64
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmnist.steps import fonts
from fmnist.steps.canvas import render
from fmnist.steps.characters import printable

__all__ = ["confusion_png", "loss_html", "loss_png"]

TRAINING_COLOUR, VALIDATION_COLOUR = "#1f5fa8", "#d1570a"

#: Of more epochs the curves have no dots, which would blur.
MOST_MARKED = 30

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Loss by epoch</title>
<style>
body {{ font-family: system-ui, sans-serif; margin: 1rem auto; max-width: 45rem; padding: 0 1rem; }}
img {{ max-width: 100%; height: auto; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ padding: 0.2rem 0.8rem; text-align: right; border-bottom: 1px solid #ccc; }}
</style>
</head>
<body>
<h1>Loss by epoch</h1>
<img alt="{alt}" src="data:image/png;base64,{png}">
<table>
<thead><tr><th scope="col">epoch</th>{head}</tr></thead>
<tbody>
{rows}
</tbody>
</table>
</body>
</html>
"""


def loss_png(history: Mapping[str, Sequence[float]]) -> bytes:
    """Return a PNG of the loss (left) and the accuracy (right) by epoch, for training and validation."""

    def draw(figure: Any) -> None:
        for axes, metric in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
            _draw_curves(axes, metric, history)

    return render(draw, figsize=(10, 4), dpi=100, layout="constrained")


def _draw_curves(axes: Any, metric: str, history: Mapping[str, Sequence[float]]) -> None:
    epochs = np.arange(1, len(history[metric]) + 1)
    style = {"marker": "o", "markersize": 4} if len(epochs) <= MOST_MARKED else {}
    axes.plot(epochs, history[metric], color=TRAINING_COLOUR, label="training", **style)
    axes.plot(epochs, history[f"val_{metric}"], color=VALIDATION_COLOUR, label="validation", linestyle="--", **style)
    axes.set(title=metric.capitalize(), xlabel="epoch", ylabel=metric)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    axes.legend()


def loss_html(history: Mapping[str, Sequence[float]], picture: bytes) -> bytes:
    """Return a self-contained HTML page with `picture`, which `loss_png` drew, and its numbers in a table."""
    names = list(history)
    last = ", ".join(f"{name} {history[name][-1]:.4f}" for name in names)
    rows = enumerate(zip(*history.values(), strict=True), 1)
    page = _PAGE.format(
        alt=f"Line plots of loss and accuracy by epoch. After the last of {len(history['loss'])} epochs: {last}.",
        png=base64.b64encode(picture).decode(),
        head="".join(f'<th scope="col">{name}</th>' for name in names),
        rows="\n".join(
            f'<tr><th scope="row">{epoch}</th>' + "".join(f"<td>{value:.4f}</td>" for value in values) + "</tr>"
            for epoch, values in rows
        ),
    )
    return page.encode()


def confusion_png(counts: NDArray[np.int64], class_names: Sequence[str]) -> bytes:
    """Return a PNG of a confusion matrix: rows are true labels, columns predicted ones, shades the share of the row.

    Parameters
    ----------
    counts : int64 ndarray of shape (k, k)
        Of any k; each field shows its count.
    class_names : sequence of k str
        The names of rows and columns, in any script for which this machine has a font; otherwise this warns, and the
        picture has escapes.
    """
    size = 2.5 + 0.6 * len(class_names)
    shown = [printable(name) for name in class_names]
    found, missing = fonts.families("".join(shown))
    if missing:
        warnings.warn(fonts.caveat(missing), stacklevel=2)

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        figure.colorbar(image, ax=axes, fraction=0.046, label="share of the true class")
        _name_axes(axes, [fonts.drawable(name, missing) for name in shown])
        _write_counts(axes, counts, shares)

    style = {"font.family": found} if len(found) > 1 else None
    return render(draw, style=style, figsize=(size + 0.8, size), dpi=100, layout="constrained")


def _name_axes(axes: Any, class_names: Sequence[str]) -> None:
    # A "$" would start a formula.
    names = [name.replace("$", r"\$") for name in class_names]
    axes.set(title="Confusion matrix", xlabel="predicted label", ylabel="true label")
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)


def _write_counts(axes: Any, counts: NDArray[np.int64], shares: NDArray[np.float64]) -> None:
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if shares[row, column] > 0.5 else "black"  # noqa: PLR2004 - the middle of the shades
        axes.text(column, row, str(count), ha="center", va="center", fontsize=9, color=colour)
