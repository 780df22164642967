"""The picture of a distribution: a dot for each seed, their mean, and the published accuracies among them."""

import bisect
import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fmnist.replication import published, verdict
from fmnist.report.pictures.style import (
    LIGHT,
    MANY_SEEDS,
    TEXT,
    Kind,
    Theme,
    render,
    shortened,
    style_axes,
    text_width,
)

__all__ = ["arrange", "distribution", "stacked"]

#: Sizes in points, as `TEXT`.
_NOTE, _ROW = 8.5, 27.0

#: The diameters that a dot may have, in points.
_DOTS = np.arange(1.5, 12.25, 0.25).tolist()

#: A picture for the screen of a telephone is narrower than this.
_WIDE = 300.0

#: An accuracy on 10,000 images is a multiple of this.
_STEP = 1e-4


class _Mark(NamedTuple):
    """A line across the dots, and the two lines of text that say what it is."""

    at: float
    title: str
    note: str
    colour: str


def distribution(
    accuracies: Sequence[float],
    figures: Sequence[published.Figure],
    *,
    theme: Theme = LIGHT,
    kind: Kind = "svg",
    narrow: bool = False,
) -> bytes:
    """Return a picture of `accuracies`, a dot each, with their mean and the published `figures` marked among them.

    Of more than `MANY_SEEDS` it has a column for each value instead, as high as the number of them.

    Parameters
    ----------
    accuracies : sequence of float
        At least one.
    figures : sequence of Figure
        There may be none.
    """
    marks = [_mark_of_mean(accuracies, theme)]
    marks += [_Mark(f.accuracy, f"published {f.accuracy:.4f}", f.name, theme.orange) for f in figures]
    size = (328, 236) if narrow else (680, 272)
    return render(size, theme, kind, lambda figure: _draw_distribution(figure, theme, accuracies, marks))


def _mark_of_mean(accuracies: Sequence[float], theme: Theme) -> _Mark:
    mean = float(np.mean(accuracies))
    if len(accuracies) == 1:
        return _Mark(mean, f"this run {mean:.4f}", "one run has no spread", theme.ink)
    return _Mark(mean, f"mean {mean:.4f}", f"s.d. {verdict.deviation(accuracies):.4f}", theme.ink)


def _draw_distribution(figure: Any, theme: Theme, accuracies: Sequence[float], marks: Sequence[_Mark]) -> None:
    width, height = figure.get_size_inches() * 72
    edge, foot = 2.0, 48.0 if width < _WIDE else 36.0
    # What is said of many seeds is too long for two lines of a telephone.
    three_lines = width < _WIDE and len(accuracies) > MANY_SEEDS
    foot += 12.0 * three_lines
    axes = figure.add_axes((edge / width, foot / height, 1 - 2 * edge / width, 1 - foot / height))
    width, height = width - 2 * edge, height - foot
    marks = [mark._replace(note=shortened(mark.note, _NOTE, width / 2 - 1.5 * _GAP)) for mark in marks]
    widths = [max(text_width(mark.title, TEXT, weight="bold"), text_width(mark.note, _NOTE)) for mark in marks]
    low, high, places = _arranged([mark.at for mark in marks], accuracies, widths, width)
    # Upwards the axes count in points, so that dots are round and rows are as high as their text.
    axes.set(xlim=(low, high), ylim=(0, height))
    rows = 1 + max(place.row for place in places)
    room = height - rows * _ROW - 20
    if len(accuracies) > MANY_SEEDS:
        # A column for each accuracy that a test on 10,000 images can have.
        steps, counts = np.unique(np.rint(np.divide(accuracies, _STEP)), return_counts=True)
        sides = np.stack([steps - 0.45, steps - 0.45, steps + 0.45, steps + 0.45], axis=1) * _STEP
        tops = np.multiply.outer(counts * room / counts.max(), [0, 1, 1, 0])
        axes.fill_between(sides.ravel(), 4, 4 + tops.ravel(), color=theme.blue, linewidth=0)
        what = f"each column is one accuracy of {len(accuracies):,} seeds; the highest has {counts.max():,}"
        what = what.replace("; ", "\n") if three_lines else what
    else:
        x, y, size = stacked(accuracies, width / (high - low), room)
        axes.plot(x, y + 4, "o", color=theme.blue, markersize=size * 0.92, markeredgewidth=0, clip_on=False)
        what = "the dot is one run" if len(accuracies) == 1 else f"each dot is one of {len(accuracies):,} seeds"
    for mark, place in zip(marks, places, strict=True):
        top = height - 2 - (rows - 1 - place.row) * _ROW
        axes.plot([mark.at, mark.at], [0, top], color=mark.colour, linewidth=1.3, zorder=3)
        words = {"ha": "left" if place.side > 0 else "right", "va": "top"}
        at = mark.at + place.side * _GAP * (high - low) / width
        axes.text(at, top, mark.title, color=mark.colour, weight="bold", **words)
        axes.text(at, top - 12, mark.note, color=theme.soft, size=_NOTE, **words)
    _style_accuracy_axis(axes, theme, width)
    axes.set_xlabel((": " if width > _WIDE else "\n").join(["accuracy on the test images", what]), color=theme.soft)


def _style_accuracy_axis(axes: Any, theme: Theme, width: float) -> None:
    from matplotlib.ticker import MaxNLocator

    style_axes(axes, theme)
    low, high = axes.get_xlim()
    edge = 18 * (high - low) / width
    ticks = MaxNLocator(nbins=int(width // 55), steps=[1, 2, 5, 10]).tick_values(low, high)
    # A number must not be cut off at the edge; and room around an accuracy of 0 or 1 is no accuracy.
    shown = [tick for tick in ticks if max(low + edge, -_STEP / 2) <= tick <= min(high - edge, 1 + _STEP / 2)]
    axes.set_xticks(shown, [f"{tick:.4f}" for tick in shown])
    axes.set_yticks([])


class _Place(NamedTuple):
    """Where the text of a mark is: right (1) or left (-1) of its line, in a row; row 0 is the lowest."""

    side: int
    row: int


#: Between a line and its text, and the least between a text and anything else.
_GAP, _CLEAR = 4.0, 3.0


def _arranged(
    marks: Sequence[float], accuracies: Sequence[float], widths: Sequence[float], width: float
) -> tuple[float, float, list[_Place]]:
    """Return an axis' limits that leave room for all texts, with the places of these."""
    low, high = min(*marks, *accuracies), max(*marks, *accuracies)
    middle, span = (low + high) / 2, max(high - low, 100 * _STEP)
    # The more room is left around the marks, the nearer to the middle they are, where any text fits on either side.
    for room in (1.1, 1.2, 1.4, 1.7, 2, 2.5, 3, 4, 6, 10, 100):
        low, high = middle - room * span / 2, middle + room * span / 2
        places = arrange([(mark - low) / (high - low) * width for mark in marks], widths, width)
        if places:
            break
    return low, high, places


def arrange(positions: Sequence[float], widths: Sequence[float], width: float) -> list[_Place]:
    """Return places of texts of `widths` at lines at `positions` on an axis of `width`, or none where there are none.

    No text is over another or over the line of another, and there are as few rows as can be.

    Examples
    --------
    Where the text to the left reaches as far as the next line, it has to be above it:

    >>> arrange([10, 40], [50, 50], 100)
    [_Place(side=1, row=1), _Place(side=1, row=0)]
    """
    n = len(positions)
    for rows in sorted(itertools.product(range(n), repeat=n), key=max):
        for sides in itertools.product((1, -1), repeat=n):
            places = [_Place(side, row) for side, row in zip(sides, rows, strict=True)]
            if _is_free(positions, widths, width, places):
                return places
    return []


def _is_free(positions: Sequence[float], widths: Sequence[float], width: float, places: Sequence[_Place]) -> bool:
    spans = [
        (at + _GAP, at + _GAP + text) if place.side > 0 else (at - _GAP - text, at - _GAP)
        for at, text, place in zip(positions, widths, places, strict=True)
    ]
    texts = zip(positions, spans, places, strict=True)
    for (_, (start, end), here), (line, (left, right), there) in itertools.permutations(texts, 2):
        # A line goes up to its own row, so it meets the texts of that row and of those below.
        if there.row >= here.row and start - _CLEAR < line < end + _CLEAR:
            return False
        if there.row == here.row and start < right + _CLEAR and left < end + _CLEAR:
            return False
    return all(start >= 0 and end <= width for start, end in spans)


def stacked(
    accuracies: Sequence[float], scale: float, height: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Return the accuracy, the height and the diameter at which each accuracy's dot is drawn, in order.

    Each dot is exactly at its accuracy, in the lowest row where it has room beside those before it, and as large as
    the height allows.

    Parameters
    ----------
    accuracies : sequence of float
        At least one.
    scale : float
        Points for an accuracy of 1.
    height : float
        The points that the highest row may reach to.
    """
    at = np.sort(accuracies)
    fitting = bisect.bisect(_DOTS, height, key=lambda dot: (_rows(at, dot / scale).max() + 1) * dot)
    dot = _DOTS[max(fitting - 1, 0)]
    rows = _rows(at, dot / scale)
    # Dots of the least size may be on top of each other.
    rise = min(dot, (height - dot) / max(rows.max(), 1))
    return at, dot / 2 + rows * rise, dot


def _rows(ascending: NDArray[np.float64], width: float) -> NDArray[np.int64]:
    """Return for each value the lowest row in which the value before it is at least `width` away."""
    lasts: list[float] = []
    rows = []
    for value in ascending:
        row = next((row for row, last in enumerate(lasts) if last <= value - width), len(lasts))
        lasts[row : row + 1] = [value]
        rows.append(row)
    return np.array(rows)
