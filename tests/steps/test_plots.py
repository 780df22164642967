"""Tests of the pictures."""

import base64
import hashlib
import io
import os
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.image
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text
from support.helpers import fewer_examples
from support.made_fonts import write_font
from support.samples import UNLIKE

from fmnist.steps import plots
from fmnist.steps.dataset import CLASS_NAMES

HISTORY = {
    "loss": [0.5, 0.4, 0.3],
    "accuracy": [0.7, 0.8, 0.9],
    "val_loss": [0.6, 0.55, 0.5],
    "val_accuracy": [0.65, 0.7, 0.75],
}


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that a test saves, in order, to look at what they hold."""
    kept: list[Figure] = []
    save = Figure.savefig

    def keep(figure: Figure, *args: Any, **options: Any) -> None:
        kept.append(figure)
        save(figure, *args, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    return kept


def pixels(png: bytes) -> np.ndarray:
    """Return a picture's colours: float32 of shape (height, width, 4)."""
    return matplotlib.image.imread(io.BytesIO(png))


def test_the_loss_plot_shows_both_curves_twice(figures: list[Figure]) -> None:
    """Training and validation are drawn in their colours, in the left and in the right half."""
    picture = pixels(plots.loss_png(HISTORY))
    left, right = figures[0].axes
    assert picture.shape == (400, 1000, 4)
    assert left.get_position().x1 < right.get_position().x0
    for colour in (plots.TRAINING_COLOUR, plots.VALIDATION_COLOUR):
        close = np.abs(picture[..., :3] - mpl.colors.to_rgb(colour)).max(axis=-1) < 0.02
        assert close[:, :500].sum() > 100
        assert close[:, 500:].sum() > 100


def test_the_curves_are_named_and_start_at_epoch_1(figures: list[Figure]) -> None:
    """Each half has a title, named axes, whole epochs, and a legend for its two curves, which differ in dashes too."""
    plots.loss_png(HISTORY)
    for axes, metric in zip(figures[0].axes, ("loss", "accuracy"), strict=True):
        assert (axes.get_title(), axes.get_xlabel(), axes.get_ylabel()) == (metric.capitalize(), "epoch", metric)
        assert [tick for tick in axes.get_xticks() if 1 <= tick <= 3] == [1, 2, 3]
        legend = axes.get_legend()
        assert legend is not None
        assert [text.get_text() for text in legend.get_texts()] == ["training", "validation"]
        training, validation = axes.lines
        assert (training.get_color(), training.get_linestyle()) == (plots.TRAINING_COLOUR, "-")
        assert (validation.get_color(), validation.get_linestyle()) == (plots.VALIDATION_COLOUR, "--")
        for line, name in ((training, metric), (validation, f"val_{metric}")):
            assert np.array_equal(np.asarray(line.get_data()), ([1, 2, 3], HISTORY[name]))
        assert all(line.get_visible() and line.get_alpha() == 0.3 for line in axes.get_xgridlines())


@pytest.mark.parametrize(("epochs", "marker"), [(2, "o"), (30, "o"), (31, "None")])
def test_epochs_are_marked_while_they_are_few(figures: list[Figure], epochs: int, marker: str) -> None:
    """Up to 30 epochs each has a small mark, which one epoch needs to be seen at all; no tick is between two."""
    plots.loss_png({name: [0.5] * epochs for name in HISTORY})
    lines = [line for axes in figures[0].axes for line in axes.lines]
    assert {line.get_marker() for line in lines} == {marker}
    assert all(line.get_markersize() == 4 for line in lines if marker == "o")
    assert all(tick == round(tick) for axes in figures[0].axes for tick in axes.get_xticks() if 1 <= tick <= epochs)


def test_the_users_settings_do_not_change_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """A style of the user's own leaves the bytes as they are."""
    before = plots.loss_png(HISTORY)
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "savefig.dpi": 50}):
        assert plots.loss_png(HISTORY) == before
    monkeypatch.setitem(os.environ, "SOURCE_DATE_EPOCH", "0")
    assert plots.loss_png(HISTORY) == before


@pytest.mark.parametrize(
    ("draw", "digest"),
    [
        (lambda: plots.loss_png(HISTORY), "9b5c364ad46d8c9c1c69a77bc26a0d5b7ff913145b41a582157b811ff5714509"),
        (
            lambda: plots.confusion_png(UNLIKE, CLASS_NAMES),
            "04a3203440947415cac04a784230b2ef6dc1fca1b2bc936a61ff7583a5ac301e",
        ),
    ],
    ids=["loss", "matrix"],
)
def test_the_pictures_have_the_bytes_that_somebody_looked_at(draw: Callable[[], bytes], digest: str) -> None:
    """Layout, sizes, words and colours are those of the picture that was accepted, to the last pixel."""
    assert hashlib.sha256(draw()).hexdigest() == digest


def test_a_picture_does_not_say_who_made_it() -> None:
    """No version of matplotlib is in the file, which may then be the same with the next one."""
    for picture in (plots.loss_png(HISTORY), plots.confusion_png(np.eye(2, dtype=np.int64), ("a", "b"))):
        assert b"matplotlib" not in picture.lower()


def test_the_page_needs_nothing_else() -> None:
    """The page refers to nothing outside itself, and holds the picture."""
    drawn = plots.loss_png(HISTORY)
    page = plots.loss_html(HISTORY, drawn).decode()
    assert re.findall(r'(?:src|href)="([^"]{0,22})', page) == ["data:image/png;base64,"]
    assert "url(" not in page
    picture = base64.b64decode(page.split("base64,")[1].split('"')[0])
    assert picture == drawn


def test_the_page_has_the_numbers_and_a_text_for_the_picture() -> None:
    """The table has a row for each epoch, and the picture an alternative text with the last figures."""
    cells: list[str] = []

    class Reader(HTMLParser):
        def handle_data(self, data: str) -> None:
            cells.append(data.strip())

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if tag == "img":
                assert dict(attrs)["alt"] == (
                    "Line plots of loss and accuracy by epoch. After the last of 3 epochs: "
                    "loss 0.3000, accuracy 0.9000, val_loss 0.5000, val_accuracy 0.7500."
                )

    Reader().feed(plots.loss_html(HISTORY, b"").decode())
    assert "|".join(filter(None, cells)).endswith(
        "|epoch|loss|accuracy|val_loss|val_accuracy"
        "|1|0.5000|0.7000|0.6000|0.6500|2|0.4000|0.8000|0.5500|0.7000|3|0.3000|0.9000|0.5000|0.7500"
    )


def test_the_rows_of_the_table_are_well_formed() -> None:
    """Each row is closed, and its epoch is the row's header for a screen reader; columns are in the history's order."""
    page = plots.loss_html({"val_loss": [0.5, 0.25], "loss": [1, 0.125]}, b"").decode()
    cells = "<td>0.5000</td><td>1.0000</td>"
    assert f'<tbody>\n<tr><th scope="row">1</th>{cells}</tr>\n<tr><th scope="row">2</th>' in page
    assert '<th scope="col">epoch</th><th scope="col">val_loss</th><th scope="col">loss</th></tr>' in page


def test_each_epoch_has_its_row() -> None:
    """Of hundreds too, to the last one."""
    history = {name: [i / 1000 for i in range(250)] for name in HISTORY}
    rows = re.findall(r'<tr><th scope="row">(\d+)</th><td>([\d.]+)</td>', plots.loss_html(history, b"").decode())
    assert rows == [(str(i + 1), f"{i / 1000:.4f}") for i in range(250)]


def test_a_history_with_a_gap_is_refused() -> None:
    """The table would leave out what one metric has and another has not."""
    with pytest.raises(ValueError, match="shorter than argument"):
        plots.loss_html(HISTORY | {"accuracy": [0.7], "val_accuracy": [0.65]}, b"")


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


def test_the_matrix_says_what_it_shows(figures: list[Figure]) -> None:
    """Matrix, shades and classes are named; a dollar sign in a name is one, not the start of a formula."""
    plots.confusion_png(np.array([[3, 1, 0], [2, 2, 0], [0, 0, 0]]), ("cat", "dog", "$x$"))
    axes, bar = figures[0].axes
    assert axes.get_title() == "Confusion matrix"
    assert bar.get_ylabel() == "share of the true class"
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [label.get_text() for label in labels] == ["cat", "dog", r"\$x\$"]
    for label in axes.get_xticklabels():
        assert (label.get_rotation(), label.get_rotation_mode()) == (45, "anchor")
        assert label.get_horizontalalignment() == "right"


def test_each_field_has_its_count_and_the_shade_of_its_share(figures: list[Figure]) -> None:
    """Counts stand in the middle of their fields, white on dark and black on light; shades are shares of a row."""
    counts = np.array([[6, 2, 0, 0], [2, 2, 0, 0], [0, 0, 0, 0], [3, 0, 1, 0]])
    plots.confusion_png(counts, ("cat", "dog", "emu", "fox"))
    axes = figures[0].axes[0]
    shares = np.array([[0.75, 0.25, 0, 0], [0.5, 0.5, 0, 0], [0, 0, 0, 0], [0.75, 0, 0.25, 0]])
    assert np.array_equal(np.asarray(axes.images[0].get_array()), shares)
    fields = {text.get_position(): text for text in axes.texts}
    expected = {(column, row): str(count) for (row, column), count in np.ndenumerate(counts)}
    assert {place: text.get_text() for place, text in fields.items()} == expected
    # A mistake may be as dark as what is right.
    assert {place for place, text in fields.items() if text.get_color() == "white"} == {(0, 0), (0, 3)}
    assert {text.get_color() for text in fields.values()} == {"white", "black"}
    assert {text.get_horizontalalignment() for text in fields.values()} == {"center"}
    assert {text.get_verticalalignment() for text in fields.values()} == {"center"}


def test_shades_mean_the_same_in_each_picture(figures: list[Figure]) -> None:
    """White is none and dark is all, also where no field is either; the bar says so."""
    plots.confusion_png(np.ones((2, 2), np.int64), ("cat", "dog"))
    axes, bar = figures[0].axes
    (image,) = axes.images
    assert (image.get_clim(), image.get_cmap().name) == ((0, 1), "Blues")
    assert image.colorbar is not None
    assert image.colorbar.ax is bar


@pytest.mark.parametrize(("classes", "shape"), [(2, (370, 450, 4)), (10, (850, 930, 4))])
def test_the_picture_grows_with_the_classes(classes: int, shape: tuple[int, int, int]) -> None:
    """A field is as large in a matrix of many classes as in one of few."""
    assert pixels(plots.confusion_png(np.eye(classes, dtype=np.int64), "abcdefghij"[:classes])).shape == shape


def test_long_names_are_not_cut_off(figures: list[Figure]) -> None:
    """All of each name is inside the picture."""
    picture = pixels(plots.confusion_png(np.eye(2, dtype=np.int64), ("a name of some length", "b" * 30)))
    for text in figures[0].findobj(Text):
        box = text.get_window_extent()
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= picture.shape[1]
        assert box.y1 <= picture.shape[0]


@pytest.mark.filterwarnings("ignore:Glyph .* missing from font", "ignore:constrained_layout not applied")
@fewer_examples()
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


def test_a_script_without_a_font_is_told_and_names_stay_apart(figures: list[Figure]) -> None:
    """Where no font has a character, the picture has its escape, no box, and a warning says what to install."""
    with pytest.warns(UserWarning, match="^Glyph 包 靴 missing from fonts of this machine: .* Install a font ") as told:
        plots.confusion_png(np.eye(3, dtype=np.int64), ["靴", "包", "T-shirt/top"])
    assert len(told) == 1
    names = [label.get_text() for label in figures[0].axes[0].get_xticklabels()]
    assert names == ["\\u9774", "\\u5305", "T-shirt/top"]


def test_the_warning_of_a_missing_font_names_the_line_that_asked_for_the_picture() -> None:
    """As Python's own warnings do: a filter by module finds it."""
    with pytest.warns(UserWarning, match="^Glyph 靴 missing") as told:
        plots.confusion_png(np.eye(1, dtype=np.int64), ["靴"])
    assert [one.filename for one in told] == [__file__]


def test_a_font_of_this_machine_draws_what_matplotlibs_lacks(
    figures: list[Figure], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script for which a font is installed is drawn with it, and everything else as before."""
    monkeypatch.setattr(font_manager.fontManager, "ttflist", [*font_manager.fontManager.ttflist])
    font_manager.fontManager.addfont(write_font(tmp_path / "boots.ttf", "靴", family="Boots"))
    plots.confusion_png(np.eye(2, dtype=np.int64), ["靴", "T-shirt/top"])
    label = figures[0].axes[0].get_xticklabels()[0]
    assert label.get_text() == "靴"
    assert label.get_fontfamily() == ["DejaVu Sans", "Boots"]


@pytest.mark.parametrize("name", ["e\u0301", "a\u200db", "❤\ufe0f", "a\x1bb"], ids=ascii)
def test_what_nobody_sees_needs_no_font(name: str) -> None:
    """Joiners, accents of their own and controls are drawn, or shown as escapes, without a warning."""
    assert plots.confusion_png(np.eye(1, dtype=np.int64), [name])[:4] == b"\x89PNG"
