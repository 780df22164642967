"""Tests of the pictures."""

import base64
import io
import os
import re
from html.parser import HTMLParser

import matplotlib as mpl
import matplotlib.image
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from fmnist.steps import plots

HISTORY = {
    "loss": [0.5, 0.4],
    "accuracy": [0.8, 0.9],
    "val_loss": [0.6, 0.55],
    "val_accuracy": [0.7, 0.75],
}


def pixels(png: bytes) -> np.ndarray:
    """Return a picture's colours: float32 of shape (height, width, 4)."""
    return matplotlib.image.imread(io.BytesIO(png))


def test_the_loss_plot_shows_both_curves_twice() -> None:
    """Training and validation are drawn in their colours, in the left and in the right half."""
    picture = pixels(plots.loss_png(HISTORY))
    assert picture.shape == (400, 1000, 4)
    for colour in (plots.TRAINING_COLOUR, plots.VALIDATION_COLOUR):
        close = np.abs(picture[..., :3] - mpl.colors.to_rgb(colour)).max(axis=-1) < 0.02
        assert close[:, :500].sum() > 100
        assert close[:, 500:].sum() > 100


def test_the_users_settings_do_not_change_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """A style of the user's own leaves the bytes as they are."""
    before = plots.loss_png(HISTORY)
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "savefig.dpi": 50}):
        assert plots.loss_png(HISTORY) == before
    monkeypatch.setitem(os.environ, "SOURCE_DATE_EPOCH", "0")
    assert plots.loss_png(HISTORY) == before


def test_a_picture_does_not_say_who_made_it() -> None:
    """No version of matplotlib is in the file, which may then be the same with the next one."""
    for picture in (plots.loss_png(HISTORY), plots.confusion_png(np.eye(2, dtype=np.int64), ("a", "b"))):
        assert b"matplotlib" not in picture.lower()


def test_the_page_needs_nothing_else() -> None:
    """The page refers to nothing outside itself, and its picture is the loss plot."""
    page = plots.loss_html(HISTORY).decode()
    assert re.findall(r'(?:src|href)="([^"]{0,22})', page) == ["data:image/png;base64,"]
    assert "url(" not in page
    picture = base64.b64decode(page.split("base64,")[1].split('"')[0])
    assert picture == plots.loss_png(HISTORY)


def test_the_page_has_the_numbers_and_a_text_for_the_picture() -> None:
    """The table has a row for each epoch, and the picture an alternative text with the last figures."""
    cells: list[str] = []

    class Reader(HTMLParser):
        def handle_data(self, data: str) -> None:
            cells.append(data.strip())

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if tag == "img":
                assert "After the last of 2 epochs: loss 0.4000, accuracy 0.9000" in str(dict(attrs)["alt"])

    Reader().feed(plots.loss_html(HISTORY).decode())
    assert "epoch|loss|accuracy|val_loss|val_accuracy" in "|".join(filter(None, cells))
    assert "2|0.4000|0.9000|0.5500|0.7500" in "|".join(filter(None, cells))


@pytest.mark.parametrize(("true", "predicted"), list(np.ndindex(2, 2)))
def test_rows_go_down_and_columns_right(true: int, predicted: int) -> None:
    """A single full field is dark where it should be: true labels go down, predicted ones to the right."""
    counts = np.zeros((2, 2), np.int64)
    counts[true, predicted] = 1
    picture = pixels(plots.confusion_png(counts, ("a", "b")))[:, :370, :3]  # without the bar of shades
    dark = np.argwhere(np.abs(picture - mpl.colormaps["Blues"](1.0)[:3]).max(axis=-1) < 0.01)
    assert len(dark) > 10_000
    middle = dark.mean(axis=0)
    assert (middle[0] > 173, middle[1] > 214) == (bool(true), bool(predicted))


def test_the_axes_are_named() -> None:
    """Rows are called the true label and columns the predicted one, each with the names of the classes."""
    axes = Figure().subplots()
    plots._name_axes(axes, ("cat", "dog"))
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted label", "true label")
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [label.get_text() for label in labels] == ["cat", "dog"]


@pytest.mark.filterwarnings("ignore:Glyph .* missing from font", "ignore:constrained_layout not applied")
@settings(max_examples=15)
@given(
    counts=st.integers(1, 5).flatmap(
        lambda k: st.lists(st.lists(st.integers(0, 10**9), min_size=k, max_size=k), min_size=k, max_size=k)
    ),
    data=st.data(),
)
def test_any_matrix_can_be_drawn(counts: list[list[int]], data: st.DataObject) -> None:
    """Empty rows, large counts and names in any script are drawn, not refused."""
    names = data.draw(
        st.lists(
            st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1),
            min_size=len(counts),
            max_size=len(counts),
        ),
        label="class names",
    )
    assert plots.confusion_png(np.array(counts), names)[:4] == b"\x89PNG"
