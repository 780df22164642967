"""Tests of the canvas that every picture is drawn on."""

import io
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import backend_bases
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.image import imread
from PIL import ImageFile

from fmnist.steps.canvas import render


def draw(figure: Any) -> None:
    """Draw a line and a word."""
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1])
    axes.set_title("a word")


def pixels(content: bytes) -> Any:
    """Return the picture of a PNG, values from 0 to 1."""
    return imread(io.BytesIO(content), format="png")


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_a_picture_says_neither_when_nor_with_what_it_was_made(kind: Any) -> None:
    """There is no date in the file, and no name of a program."""
    content = render(draw, kind, style={"svg.hashsalt": "fixed"})
    assert b"<dc:date>" not in content
    assert b"matplotlib.org/" not in content.replace(b"http://www.w3.org", b"")
    assert content == render(draw, kind, style={"svg.hashsalt": "fixed"})
    assert content.startswith({"png": b"\x89PNG", "svg": b"<?xml"}[kind])


def test_a_png_is_the_default() -> None:
    """Without a format a picture is a PNG, of the size that is asked for."""
    assert pixels(render(draw, figsize=(3, 2), dpi=50)).shape == (100, 150, 4)


def test_the_users_settings_have_no_effect_and_the_style_has() -> None:
    """Over matplotlib's defaults there is only what `style` says."""
    plain = render(draw)
    with mpl.rc_context({"lines.linewidth": 20, "savefig.facecolor": "red"}):
        assert render(draw) == plain
    assert render(draw, style={"lines.linewidth": 20}) != plain


def test_settings_of_the_libraries_have_no_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither Pillow's blocks nor a program that someone registered for such files."""

    class Other(FigureCanvasBase):
        """A canvas of someone else's."""

        def print_png(self, out: Any, **_: Any) -> None:
            out.write(b"other")

    plain = render(draw)
    monkeypatch.setattr(ImageFile, "MAXBLOCK", 1_000)
    monkeypatch.setitem(vars(backend_bases)["_default_backends"], "png", Other)
    assert render(draw) == plain
    assert ImageFile.MAXBLOCK == 1_000


@pytest.mark.parametrize(
    ("facecolor", "corner"), [("auto", [1, 1, 1, 1]), ("none", [1, 1, 1, 0]), ("red", [1, 0, 0, 1])]
)
def test_the_colour_behind_is_chosen(facecolor: str, corner: list[float]) -> None:
    """White by default, and nothing or a colour where that is asked for."""
    assert np.allclose(pixels(render(draw, facecolor=facecolor))[0, 0], corner)
