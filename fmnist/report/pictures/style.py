"""Colours, axes, texts and sizes of all pictures; equal pictures are equal bytes."""

import bisect
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fmnist.steps import canvas, fonts
from fmnist.steps.canvas import OWN, Kind
from fmnist.steps.characters import printable

__all__ = [
    "DARK",
    "LIGHT",
    "MANY_SEEDS",
    "MOST_SHAPES",
    "TEXT",
    "Kind",
    "Theme",
    "drawable_names",
    "render",
    "shortened",
    "style_axes",
    "text_width",
]


@dataclass(frozen=True)
class Theme:
    """The colours of a picture; a PNG has `paper` behind it, an SVG is transparent.

    Of the two things that a picture compares, ours, what is right, or training is blue, and what was published, what
    is wrong, or validation is orange; its words say which.
    """

    paper: str
    ink: str
    soft: str
    rule: str
    blue: str
    orange: str


LIGHT = Theme(paper="#ffffff", ink="#1a1d21", soft="#59616b", rule="#d5dae0", blue="#2f6db3", orange="#b23c0a")
DARK = Theme(paper="#14171b", ink="#eceef1", soft="#a4adb8", rule="#3a414a", blue="#79aee8", orange="#ff9a57")

#: The size of texts in points, of which 72 are 96 pixels of a page.
TEXT = 9.0

#: Above this many lines or dots an SVG holds them as pixels, because it would be megabytes.
MOST_SHAPES = 2_000

#: Of more seeds a picture has columns and areas, as nobody could tell their dots and lines from each other.
MANY_SEEDS = 1_000


def style_axes(axes: Any, theme: Theme) -> None:
    """Leave of the frame only the line below, in the colours of the theme."""
    axes.spines[["left", "right", "top"]].set_visible(False)
    axes.set_facecolor("none")
    axes.spines["bottom"].set_color(theme.soft)
    axes.tick_params(colors=theme.soft)
    axes.tick_params(axis="y", length=0)


def render(
    size: tuple[float, float], theme: Theme, kind: Kind, draw: Callable[[Any], None], families: Sequence[str] = ()
) -> bytes:
    """Return a picture of `size`, in pixels of a page; its fonts are of `families`, as `drawable_names` gives them."""
    style: dict[str, Any] = {"font.size": TEXT, "svg.hashsalt": "fmnist", "text.parse_math": False}
    style |= {"font.family": list(families)} if len(families) > 1 else {}
    # Of the pixels of a page: 2.25 in a PNG, and 1.5 for what an SVG holds as pixels.
    paper, dpi = (theme.paper, 216) if kind == "png" else ("none", 144)
    return canvas.render(draw, kind, style=style, facecolor=paper, figsize=np.divide(size, 96), dpi=dpi)


def drawable_names(class_names: Sequence[str]) -> tuple[list[str], tuple[str, ...], float]:
    """Return names as this machine's fonts can draw them, these fonts, and the pixels of the longest name."""
    shown = [printable(name) for name in class_names]
    found, missing = fonts.families("".join(shown))
    names, families = [fonts.drawable(name, missing) for name in shown], tuple(found)
    return names, families, max(text_width(name, TEXT, family=families) for name in names) * 96 / 72


def shortened(text: str, size: float, width: float, **font: Any) -> str:
    """Return `text`, or as much of it as has room in `width` points, and dots."""
    if text_width(text, size, **font) <= width:
        return text
    end = bisect.bisect(range(1, len(text)), width, key=lambda end: text_width(text[:end] + "…", size, **font))
    return text[:end] + "…"


@functools.lru_cache(maxsize=4096)
def text_width(text: str, size: float = TEXT, **font: Any) -> float:
    """Return the width of a text of `size` in points, in points."""
    canvas.import_matplotlib()
    from matplotlib.font_manager import FontProperties
    from matplotlib.path import Path
    from matplotlib.textpath import text_to_path

    # What is not given would be that of the user's own style.
    look: Any = {"family": OWN, "style": "normal", "weight": "normal", "stretch": "normal"} | font
    vertices, codes = text_to_path.get_text_path(FontProperties(**look), text)
    if not len(vertices):
        return 0.0  # a blank
    # Drawn as pixels, letters stand a little further apart.
    return 1.05 * float(Path(np.multiply(vertices, size / text_to_path.FONT_SCALE), codes).get_extents().width)
