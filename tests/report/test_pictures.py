"""Tests of the pictures of a sample."""

import functools
import hashlib
import io
import itertools
import math
import re
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import matplotlib as mpl
import matplotlib.image
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox
from pytest_regressions.data_regression import DataRegressionFixture
from support.helpers import fewer_examples, python
from support.made_fonts import write_font
from support.samples import COUNTS, HISTORIES, HISTORY, PARAMETERS, UNLIKE, result, sample, spread
from support.sketches import sketched

from fmnist.cluster import pipeline_file
from fmnist.replication import published
from fmnist.replication.sample import Judged, Sample
from fmnist.report import pictures
from fmnist.report.pictures import style
from fmnist.report.pictures.confusion_matrix import _shaded
from fmnist.report.pictures.distribution import _arranged, arrange, stacked
from fmnist.report.pictures.graph import _TITLE_TEXT as TITLE_TEXT
from fmnist.report.pictures.graph import LARGEST, _cards
from fmnist.report.pictures.loss_curves import apart
from fmnist.steps import fonts
from fmnist.steps.dataset import CLASS_NAMES
from fmnist.steps.errors import ContractError

BOTH = published.matching(PARAMETERS)
GOLDEN = Path(__file__).parents[1] / "golden"
RECALLS = np.full((3, 10), [[0.7], [0.8], [0.95]])
PUBLISHED = [0.75 - 0.03 * i for i in range(10)]

DRAW: dict[str, Callable[..., bytes]] = {
    "distribution": lambda **look: pictures.distribution(spread(60), BOTH, **look),
    "narrow distribution": lambda **look: pictures.distribution(spread(60), BOTH, narrow=True, **look),
    "loss curves": lambda **look: pictures.loss_curves(HISTORIES, **look),
    "confusion matrix": lambda **look: pictures.confusion_matrix(UNLIKE / 1, **look),
    "mean matrix": lambda **look: pictures.confusion_matrix(UNLIKE / 3, **look),
    "recalls": lambda **look: pictures.recalls(RECALLS - np.arange(10) / 50, PUBLISHED, **look),
    "narrow recalls": lambda **look: pictures.recalls(RECALLS, PUBLISHED, narrow=True, **look),
    "graph": lambda **look: pictures.graph(GOLDEN / "pipeline_image.yml", **look),
    "graph of a study": lambda **look: pictures.graph(GOLDEN / "study_image.yml", **look),
}
each_picture = pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW.keys())


@functools.cache
def made(draw: Callable[..., bytes], kind: str = "svg", theme: pictures.Theme = pictures.LIGHT) -> bytes:
    """Return a picture, which several tests look at and one draws again."""
    return draw(kind=kind, theme=theme)


def drawn(draw: Callable[..., bytes], **look: Any) -> Figure:
    """Return the figure that `draw` would save, laid out but without its pixels, to look at what it holds."""
    kept: list[Figure] = []

    def keep(figure: Figure, *args: Any, **options: Any) -> None:
        figure.draw_without_rendering()
        kept.append(figure)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", keep)
        # Its pixels are made even where they are not rendered.
        patch.setattr(AxesImage, "draw", lambda *args: None)
        draw(kind="png", **look)
    return kept[0]


def words(figure: Figure) -> list[Text]:
    """Return the texts that can be seen: of an axis, what is within its limits."""
    beyond = [
        label
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in axis.get_major_ticks()
        for label in (tick.label1, tick.label2)
        if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
    ]
    return [text for text in figure.findobj(Text) if text.get_text() and text.get_visible() and text not in beyond]


def said(figure: Figure) -> list[str]:
    """Return what the texts say."""
    return [text.get_text() for text in words(figure)]


def colour_of(collection: Any) -> str:
    """Return the one colour of a collection."""
    [colour] = np.asarray(collection)
    return mpl.colors.to_hex(tuple(colour))


def assert_apart(*, figure: Figure) -> None:
    """Assert that no text is over another or cut off."""
    __tracebackhide__ = True
    boxes = [(text.get_text(), text.get_window_extent()) for text in words(figure)]
    for name, box in boxes:
        inside = box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
        assert inside, f"expected {name!r} inside {figure.bbox.bounds}, got {box.bounds}"
    for (one, a), (other, b) in itertools.combinations(boxes, 2):
        assert not a.overlaps(b), f"expected {one!r} and {other!r} apart, got {a.bounds} and {b.bounds}"


@pytest.mark.parametrize("name", DRAW)
@pytest.mark.parametrize(("look", "golden"), [({"kind": "png"}, "PNG"), ({}, "light")], ids=["png", "svg"])
def test_a_picture_is_the_same_again(name: str, look: dict[str, Any], golden: str) -> None:
    """A picture has the golden bytes each time, with any style of the user's, and no date in it; it is a light SVG."""
    style: Any = {"font.family": "serif", "font.stretch": "condensed", "font.style": "italic", "font.weight": "bold"}
    style |= {"font.size": 30, "axes.facecolor": "red", "savefig.dpi": 50, "svg.hashsalt": "x"}
    with mpl.rc_context(style):
        content = DRAW[name](**look)
    digests = yaml.safe_load((GOLDEN / "pictures.yml").read_text())
    assert hashlib.sha256(content).hexdigest() == digests[name][golden]
    assert not re.search(rb"<dc:date|tIME|Matplotlib v|https://matplotlib", content)


def test_a_picture_is_the_same_in_another_process() -> None:
    """Another hash seed, in a process of its own, changes no byte."""
    code = """
import hashlib
from fmnist.cluster import pipeline_file
from fmnist.replication import published
from fmnist.report import pictures
from support.samples import *
from support.sketches import sketched
both = published.matching(PARAMETERS)
for kind in ("png", "svg"):
    print(hashlib.sha256(pictures.distribution(spread(60), both, kind=kind)).hexdigest())
    print(hashlib.sha256(pictures.loss_curves(HISTORIES, kind=kind)).hexdigest())
"""
    path = str(Path(__file__).parents[1])
    here = [made(DRAW[name], kind) for kind in ("png", "svg") for name in ("distribution", "loss curves")]
    expected = [hashlib.sha256(content).hexdigest() for content in here]
    assert python(code, PYTHONHASHSEED="7", PYTHONPATH=path).split() == expected


@pytest.fixture
def original_datadir() -> Path:
    """Where the golden documents are."""
    return Path(__file__).parents[1] / "golden"


def test_the_pictures_are_the_golden_ones(data_regression: DataRegressionFixture) -> None:
    """Every picture has the bytes that somebody looked at; `pytest --force-regen` takes a wanted change over."""
    looks = {"light": ("svg", pictures.LIGHT), "dark": ("svg", pictures.DARK), "PNG": ("png", pictures.LIGHT)}
    found = {
        name: {look: hashlib.sha256(made(draw, *how)).hexdigest() for look, how in looks.items()}
        for name, draw in DRAW.items()
    }
    data_regression.check(found, "pictures")


@each_picture
@pytest.mark.parametrize("theme", [pictures.LIGHT, pictures.DARK], ids=["light", "dark"])
def test_an_svg_is_whole_and_needs_nothing_else(draw: Callable[..., bytes], theme: pictures.Theme) -> None:
    """An SVG is XML, refers to nothing outside itself, and lets what is behind it be seen."""
    root = ET.fromstring(made(draw, "svg", theme))  # noqa: S314 - our own
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    references = [value for element in root.iter() for name, value in element.items() if name.endswith("href")]
    assert all(value.startswith(("#", "data:image/png;base64,")) for value in references)
    (background,) = root.findall(".//*[@id='patch_1']/{*}path")
    assert background.get("style") == "fill: none"


@each_picture
def test_a_png_has_the_colour_of_the_paper_and_is_sharp(draw: Callable[..., bytes]) -> None:
    """A PNG has more than 150 pixels an inch, and paper of its theme up to the corners."""
    assert drawn(draw).get_dpi() >= 150
    for theme in (pictures.LIGHT, pictures.DARK):
        picture = matplotlib.image.imread(io.BytesIO(made(draw, "png", theme)))
        assert picture[0, 0, :3] == pytest.approx(mpl.colors.to_rgb(theme.paper), abs=1 / 255)
        assert picture[-1, -1, :3] == pytest.approx(mpl.colors.to_rgb(theme.paper), abs=1 / 255)


@pytest.mark.parametrize("theme", [pictures.LIGHT, pictures.DARK], ids=["light", "dark"])
def test_colours_can_be_told_from_the_paper(theme: pictures.Theme) -> None:
    """Whatever is written has the contrast that WCAG asks of small text, 4.5 to 1, and ink also on the shades."""
    for name in ("ink", "soft", "blue", "orange"):
        assert contrast(getattr(theme, name), theme.paper) >= 4.5
    strongest = _shaded(np.diag([1.0, 1.0]) + 1, theme)
    for shade in strongest.reshape(-1, 3):
        assert contrast(theme.ink, tuple(shade)) >= 4.5


def contrast(one: Any, other: Any) -> float:
    """Return the contrast of two colours, 1 to 21, as WCAG 2 defines it."""

    def luminance(colour: Any) -> float:
        values = np.array(mpl.colors.to_rgb(colour))
        linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("narrow", [False, True], ids=["wide", "narrow"])
@pytest.mark.parametrize("n", [2, 60, 1000])
def test_the_distribution_has_a_dot_a_seed_and_says_what_it_marks(n: int, *, narrow: bool) -> None:
    """There is a dot for each seed, and a line with its name for the mean and for each published accuracy."""
    accuracies, third = spread(n), published.Figure("theirs", "", 0.8755, {}, "")
    figure = drawn(lambda **look: pictures.distribution(accuracies, [*BOTH, third], narrow=narrow, **look))
    dots, *lines = figure.axes[0].lines
    assert len(dots.get_xdata()) == n  # type: ignore[arg-type]
    mean, deviation = np.mean(accuracies), np.std(accuracies, ddof=1)
    assert [line.get_xdata()[0] for line in lines] == pytest.approx([mean, 0.8693, 0.8822, 0.8755], abs=1e-7)  # type: ignore[index]
    expected = [f"mean {mean:.4f}", f"s.d. {deviation:.4f}", "published 0.8693", "tensorflow-tutorial"]
    expected += ["published 0.8822", "same-example-10-epochs", "published 0.8755", "theirs"]
    assert set(expected) <= set(said(figure))
    assert figure.axes[0].get_xlabel().endswith(f"each dot is one of {n:,} seeds")


def test_the_distribution_of_many_seeds_has_a_column_for_each_accuracy() -> None:
    """Above a thousand seeds each column is as high as the share of the highest, and its middle is the accuracy."""
    accuracies = [0.8801] * 600 + [0.8805] * 300 + [0.88] * 150
    figure = drawn(lambda **look: pictures.distribution(accuracies, BOTH, **look))
    [columns] = figure.axes[0].collections
    corners = np.asarray(columns.get_paths()[0].vertices)
    sides = [(at - 0.000045, at + 0.000045, top) for at, top in ((0.88, 27.5), (0.8801, 98), (0.8805, 51))]
    # Along the foot, and back over the tops; the highest one ends below the words.
    foot = [corner for left, right, _ in sides for corner in ((left, 4), (left, 4), (right, 4), (right, 4))]
    over = [corner for left, right, top in sides for corner in ((left, 4), (left, top), (right, top), (right, 4))]
    start, end = foot[0], foot[-1]
    assert corners == pytest.approx(np.array([start, *foot, end, *over[::-1], start]))
    assert (colour_of(columns.get_facecolor()), columns.get_linewidth()) == (pictures.LIGHT.blue, [0])
    assert len(figure.axes[0].lines) == 3
    said_of_it = "each column is one accuracy of 1,050 seeds; the highest has 600"
    assert figure.axes[0].get_xlabel().endswith(said_of_it)
    assert_apart(figure=figure)
    dark = pictures.DARK
    narrow = drawn(lambda **look: pictures.distribution(accuracies, BOTH, narrow=True, theme=dark, **look))
    assert colour_of(narrow.axes[0].collections[0].get_facecolor()) == dark.blue
    assert [line.get_color() for line in narrow.axes[0].lines] == [dark.ink, dark.orange, dark.orange]
    said_of_it = "each column is one accuracy of 1,050 seeds\nthe highest has 600"
    assert narrow.axes[0].get_xlabel() == f"accuracy on the test images\n{said_of_it}"
    assert_apart(figure=narrow)


def test_the_mean_of_many_seeds_is_that_of_all() -> None:
    """Seeds in one column count as many, as they do where each has a dot."""
    figure = drawn(lambda **look: pictures.distribution([0.88] * 1000 + [0.89] * 3, (), **look))
    assert {"mean 0.8800", "s.d. 0.0005"} <= set(said(figure))
    [line] = figure.axes[0].lines
    assert line.get_xdata()[0] == pytest.approx(0.88 + 0.03 / 1003)  # type: ignore[index]


def test_one_run_is_one_dot_without_a_spread() -> None:
    """The picture of a run claims neither a mean nor a spread; its dot is where its accuracy is."""
    figure = drawn(lambda **look: pictures.distribution([0.8765], BOTH, theme=pictures.DARK, **look))
    assert {"this run 0.8765", "one run has no spread"} <= set(said(figure))
    assert not any("mean" in text or "s.d." in text for text in said(figure))
    assert figure.axes[0].get_xlabel() == "accuracy on the test images: the dot is one run"
    dot, line, *others = figure.axes[0].lines
    assert dot.get_xdata()[0] == line.get_xdata()[0] == pytest.approx(0.8765)  # type: ignore[index]
    assert [one.get_color() for one in (dot, line, *others)] == [
        *(pictures.DARK.blue, pictures.DARK.ink, pictures.DARK.orange, pictures.DARK.orange),
    ]
    # As large as a dot may be.
    assert (dot.get_markersize(), dot.get_marker()) == (12 * 0.92, "o")
    titles = {text.get_text(): text.get_color() for text in figure.axes[0].texts}
    assert titles["this run 0.8765"] == pictures.DARK.ink


@pytest.mark.parametrize(("seeds", "foot"), [(1000, 48), (1001, 60)])
def test_a_telephone_has_a_third_line_for_many_seeds(seeds: int, foot: int) -> None:
    """Below the axis there is room for the lines that are there, in points."""
    accuracies = (np.arange(seeds) / 10_000).tolist()
    figure = drawn(lambda **look: pictures.distribution(accuracies, (), narrow=True, **look))
    (axes,) = figure.axes
    assert axes.get_position().y0 * figure.get_figheight() * 72 == pytest.approx(foot)
    assert axes.get_xlabel().count("\n") == (2 if foot == 60 else 1)


def test_two_runs_of_one_accuracy_are_two() -> None:
    """They have a mean and a spread, which is nothing."""
    figure = drawn(lambda **look: pictures.distribution([0.8765] * 2, (), **look))
    assert {"mean 0.8765", "s.d. 0.0000"} <= set(said(figure))
    assert figure.axes[0].get_xlabel() == "accuracy on the test images: each dot is one of 2 seeds"


@pytest.mark.parametrize(
    ("accuracy", "shown"), [(0.0, ["0.0000", "0.0020", "0.0040"]), (1.0, ["0.9960", "0.9980", "1.0000"])]
)
def test_no_accuracy_beyond_what_can_be_is_marked(accuracy: float, shown: list[str]) -> None:
    """The room around a dot at the end of all accuracies has no numbers."""
    figure = drawn(lambda **look: pictures.distribution([accuracy], (), **look))
    [axes] = figure.axes
    low, high = axes.get_xlim()
    assert low < 0 or high > 1
    assert [label.get_text() for label in axes.get_xticklabels()] == shown
    assert axes.get_xticks() == pytest.approx([float(text) for text in shown])


@pytest.mark.parametrize(
    ("accuracies", "low", "high"),
    [([0.8765], 0.871, 0.882), ([0.87, 0.88], 0.8695, 0.8805), ([0.8, 0.9], 0.795, 0.905)],
)
def test_the_axis_has_a_hundredth_at_least(accuracies: list[float], low: float, high: float) -> None:
    """Where accuracies are equal, or nearly, they are not drawn as if they were far apart."""
    figure = drawn(lambda **look: pictures.distribution(accuracies, (), **look))
    assert figure.axes[0].get_xlim() == pytest.approx((low, high))


def test_where_nothing_was_published_nothing_is_marked_but_the_mean() -> None:
    """Without published accuracies the picture has none."""
    figure = drawn(lambda **look: pictures.distribution(spread(9), (), **look))
    assert len(figure.axes[0].lines) == 2
    assert not any("published" in text for text in said(figure))


def figures(*accuracies: float) -> list[published.Figure]:
    """Return published figures of the longest name there is."""
    return [published.Figure("same-example-100-epochs", "somebody", accuracy, {}, "") for accuracy in accuracies]


CASES: dict[str, tuple[Sequence[float], Sequence[float]]] = {
    "one": ([0.8856], [0.8693, 0.8822]),
    "two": ([0.87, 0.88], [0.8693, 0.8822]),
    "published within the seeds": (spread(60), [0.8693, 0.8822]),
    "published beside the mean": (spread(60), [0.8802, 0.8803]),
    "published at the mean": ([0.88] * 5, [0.88]),
    "published at the same place": (spread(60), [0.8693, 0.8693]),
    "published far below": (spread(60), [0.1, 0.1001]),
    "published far above": (spread(60, mean=0.1), [0.8693, 0.8822]),
    "on either side": (spread(1000), [0.80, 0.95]),
    "equal accuracies": ([0.1] * 1000, [0.8693, 0.8822]),
    "nothing right": ([0.0, 0.0], [0.0]),
    "everything right": ([1.0, 1.0], [1.0]),
    "none published": (spread(60), []),
}


@pytest.mark.parametrize("narrow", [False, True], ids=["wide", "narrow"])
@pytest.mark.parametrize(("accuracies", "others"), CASES.values(), ids=CASES.keys())
def test_no_text_of_the_distribution_is_over_another(
    accuracies: Sequence[float], others: Sequence[float], *, narrow: bool
) -> None:
    """Wherever the accuracies are, all texts can be read, no line strikes one through, and no dot is under one."""
    figure = drawn(lambda **look: pictures.distribution(accuracies, figures(*others), narrow=narrow, **look))
    assert_readable(figure=figure)


@fewer_examples()
@given(
    accuracies=st.lists(st.integers(0, 10_000).map(lambda right: right / 10_000), min_size=1, max_size=30),
    others=st.lists(st.floats(0, 1), max_size=2),
    narrow=st.booleans(),
)
def test_any_distribution_can_be_read(accuracies: list[float], others: list[float], *, narrow: bool) -> None:
    """So it is with any accuracies, published ones among them."""
    figure = drawn(lambda **look: pictures.distribution(accuracies, figures(*others), narrow=narrow, **look))
    assert_readable(figure=figure)


def assert_readable(*, figure: Figure) -> None:
    """Assert that texts are apart from each other, from the lines and from the dots."""
    __tracebackhide__ = True
    assert_apart(figure=figure)
    (axes,) = figure.axes
    dots, *lines = axes.lines
    top = axes.transData.transform([(0, np.max(dots.get_ydata()))])[0][1]
    highest = top + dots.get_markersize() / 2 / 72 * figure.dpi
    for text in axes.texts:
        box = text.get_window_extent()
        assert box.y0 >= highest, f"expected {text.get_text()!r} above the dots"
        for line in lines:
            (x, top), (_, bottom) = line.get_window_extent().get_points()[::-1]
            crossed = box.x0 < x < box.x1 and bottom < box.y1 and top > box.y0
            assert not crossed, f"expected no line through {text.get_text()!r}, got one at {x}"


@given(
    accuracies=st.lists(st.integers(0, 9_999).map(lambda right: right / 9_999), min_size=1, max_size=200),
    scale=st.floats(200, 60_000),
    height=st.floats(50, 200),
)
def test_dots_are_where_their_accuracies_are(accuracies: list[float], scale: float, height: float) -> None:
    """Each dot is exactly at its accuracy, all are within the height, and none hides another but the smallest.

    A test set may have any number of images.
    """
    x, y, dot = stacked(accuracies, scale, height)
    assert x.tolist() == sorted(accuracies)
    assert y.min() == dot / 2
    assert y.max() + dot / 2 <= height + 1e-9
    if dot > 1.5:
        for one, other in itertools.combinations(zip(x * scale, y, strict=True), 2):
            assert math.dist(one, other) >= dot - 1e-9


@pytest.mark.parametrize(
    ("accuracies", "heights", "size"),
    [
        ([0.8765, 0.8765], [6, 18], 12),
        ([0.87, 0.871, 0.873], [6, 6, 6], 12),
        ([0.87, 0.8703, 0.8705, 0.8707, 0.8712], [6, 18, 30, 6, 18], 12),
        ([0.8765] * 20, np.arange(2.5, 100, 5).tolist(), 5),
        ([0.8765] * 3 + [0.8768] * 3, np.arange(6, 72, 12).tolist(), 12),
    ],
    ids=["equal", "apart", "close", "many", "two of each"],
)
def test_dots_lie_in_the_lowest_row_with_room(accuracies: list[float], heights: list[float], size: float) -> None:
    """A dot is on the axis unless another is in its way; dots are as large as the height allows."""
    _, y, dot = stacked(accuracies, 20_000, 100)
    assert y.tolist() == heights
    assert dot == size


@pytest.mark.parametrize(
    ("n", "height", "rise"), [(66, 100, 1.5), (67, 100, 98.5 / 66), (1000, 100, 98.5 / 999), (2, 2, 0.5), (1, 1, 0)]
)
def test_the_smallest_dots_are_on_top_of_each_other(n: int, height: float, rise: float) -> None:
    """More equal accuracies than have room are all drawn, the first on the axis and the last as high as may be."""
    _, y, dot = stacked([0.8765] * n, 20_000, height)
    assert dot == 1.5
    assert y == pytest.approx(0.75 + rise * np.arange(n))


def test_dots_that_just_touch_lie_in_one_row() -> None:
    """Room beside a dot is room for another that is as far away as it is wide."""
    _, y, dot = stacked([0.0, 0.5, 1.0], 24, 100)
    assert (y.tolist(), dot) == ([6, 6, 6], 12)


@pytest.mark.parametrize(("line", "rows"), [(66, [1, 0]), (67, [0, 0])])
def test_a_line_keeps_clear_of_a_text_in_its_row(line: float, rows: list[int]) -> None:
    """Of a text that ends at 64, a line beside it is at least 3 points away, or the text is above it."""
    assert [place.row for place in arrange([10, line], [50, 20], 100)] == rows


def test_each_of_four_texts_may_need_a_row_of_its_own() -> None:
    """As many marks there may be: the mean, and three published accuracies."""
    assert arrange([10, 20, 30, 40], [450] * 4, 500) == [(1, 3), (1, 2), (1, 1), (1, 0)]


def test_a_text_may_be_as_near_as_that() -> None:
    """To an edge, to another text in its row and to another line; one point more, and it is elsewhere."""
    assert arrange([10], [46], 60) == [(1, 0)]
    assert arrange([50], [46], 60) == [(-1, 0)]
    assert arrange([0, 100], [50, 39], 101) == [(1, 0), (-1, 0)]
    assert arrange([0, 100], [50, 39.1], 101) == [(1, 0), (-1, 1)]
    assert arrange([10, 11], [20, 5], 40) == [(1, 0), (-1, 0)]
    assert arrange([10, 11.1], [20, 5], 40) == [(1, 1), (1, 0)]


def test_texts_have_as_few_rows_as_can_be() -> None:
    """Two, where three would do too, and the first would be lower."""
    assert arrange([80, 0, 15], [30, 30, 30], 100) == [(-1, 1), (1, 1), (1, 0)]


@pytest.mark.parametrize(
    ("marks", "widths", "room"),
    [
        ([0.6, 0.59, 0.5], [7, 25, 12], 1.1),
        ([0.54, 0.58, 0.5], [46, 42, 13], 1.2),
        ([0.5, 0.55, 0.6], [45, 46, 11], 1.4),
        ([0.5, 0.59, 0.54], [11, 46, 44], 3),
        ([0.55, 0.59, 0.5], [44, 32, 44], 4),
        ([0.54, 0.5, 0.58], [46, 35, 46], 6),
        ([0.55, 0.5, 0.6], [39, 44, 39], 10),
        ([0.57, 0.5, 0.53], [45, 12, 46], 100),
    ],
)
def test_wide_texts_get_more_room(marks: list[float], widths: list[float], room: float) -> None:
    """The axis is as short as the texts at its lines let it be."""
    low, high, places = _arranged(marks, marks, widths, 100)
    assert (high - low) / (max(marks) - min(marks)) == pytest.approx(room)
    assert (high + low) / 2 == pytest.approx((max(marks) + min(marks)) / 2)
    assert len(places) == len(marks)


@given(st.lists(st.tuples(st.floats(0, 500), st.floats(10, 200)), min_size=1, max_size=3))
def test_texts_are_arranged_without_meeting(marks: list[tuple[float, float]]) -> None:
    """Where there are places, no text is on another, nor outside; a line passes beside the texts of lower rows."""
    positions, widths = [at for at, _ in marks], [width for _, width in marks]
    places = arrange(positions, widths, 500)
    if not places:
        # In the middle there is always room.
        assert arrange([250 + at / 1000 for at in positions], widths, 500)
        return
    spans = [
        (at + 4, at + 4 + width) if place.side > 0 else (at - 4 - width, at - 4)
        for (at, width), place in zip(marks, places, strict=True)
    ]
    assert all(start >= 0 and end <= 500 for start, end in spans)
    for i, j in itertools.permutations(range(len(marks)), 2):
        if places[i].row == places[j].row:
            assert spans[i][1] <= spans[j][0] or spans[j][1] <= spans[i][0]
        if places[j].row >= places[i].row:
            assert not spans[i][0] < positions[j] < spans[i][1]


def test_a_title_of_bold_letters_has_room() -> None:
    """Where the name of what was published is short, the accuracy above it, in bold, says how much room is needed."""
    figure = published.Figure("a", "somebody", 0.8681, {}, "")
    drawing = drawn(lambda **look: pictures.distribution([0.8604, 0.8827], [figure], narrow=True, **look))
    assert_readable(figure=drawing)


def test_a_name_that_is_too_long_is_shortened() -> None:
    """What would not fit beside its line ends with an ellipsis."""
    figure = published.Figure("a-name-" * 20, "somebody", 0.87, {}, "")
    drawing = drawn(lambda **look: pictures.distribution([0.88], [figure], narrow=True, **look))
    assert_readable(figure=drawing)
    (name,) = [text for text in said(drawing) if text.startswith("a-name-")]
    assert re.fullmatch(r"(a-name-)+[a-name-]*…", name)


def test_a_text_is_shortened_by_its_own_look() -> None:
    """What has room to the point is whole; a bold text of another size has its own width."""
    look: dict[str, Any] = {"size": 14, "weight": "bold"}
    plain, bold = style.text_width("a long name", 14), style.text_width("a long name", **look)
    assert style.shortened("a long name", width=bold, **look) == "a long name"
    assert style.shortened("a long name", width=(plain + bold) / 2, **look) == "a long na…"
    assert style.shortened("iW", 9, style.text_width("i…", 9)) == "i…"


def test_a_name_has_the_room_of_what_is_drawn_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be shown is an escape, which is longer, and so is what no font has."""
    names, families, longest = style.drawable_names(["a\x07\x07", "abc"])
    assert names == [r"a\x07\x07", "abc"]
    assert longest == style.text_width(r"a\x07\x07", family=families) * 96 / 72
    monkeypatch.setattr(fonts, "families", lambda _: (["DejaVu Sans"], {"靴"}))
    names, families, longest = style.drawable_names(["靴靴", "abcdef"])
    assert (names, longest) == ([r"\u9774\u9774", "abcdef"], style.text_width(names[0], family=families) * 96 / 72)


def test_names_of_classes_are_shortened_in_the_fonts_they_are_drawn_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that have all their characters, whose letters may be wider."""
    families, asked = ["DejaVu Sans", "DejaVu Serif"], list[Any]()

    def keep(text: str, *_: float, family: Any) -> str:
        asked.append(family)
        return text

    monkeypatch.setattr(fonts, "families", lambda _: (families, ""))
    monkeypatch.setattr(import_module("fmnist.report.pictures.recalls"), "shortened", keep)
    pictures.recalls(np.full((1, 2), 0.9), [0.8] * 2, ("one", "other"))
    assert asked == [tuple(families)] * 2


@pytest.mark.parametrize(
    ("mean", "shown"), [(0, "0"), (0.0499, "<0.1"), (0.05, "0.1"), (9.94, "9.9"), (9.95, "10"), (10.4, "10")]
)
def test_a_mean_of_counts_is_short(mean: float, shown: str) -> None:
    """Two digits, but no 0.0 for what is not 0, and no 10.0."""
    assert pictures.count(mean, exact=False) == shown


@pytest.mark.parametrize(("epochs", "faint", "strong"), [(1, "o", "o"), (2, "", "o"), (30, "", "o"), (31, "", "")])
def test_epochs_are_marked_where_marks_do_not_blur(epochs: int, faint: str, strong: str) -> None:
    """Up to 30 epochs the mean has a mark for each; a seed has one where a single epoch makes no line."""
    histories = [{name: [0.5 + more] * epochs for name in HISTORY} for more in (0, 0.1)]
    figure = drawn(lambda **look: pictures.loss_curves(histories, **look))
    for axes in figure.axes:
        marks = [str(line.get_marker()).removeprefix("None") for line in axes.lines]
        assert marks == [faint, faint, strong] * 2


@pytest.mark.parametrize("epochs", [1, 3, 100])
def test_the_curves_show_all_seeds_and_their_mean(epochs: int) -> None:
    """In each half there are faint lines for the seeds and a strong one for their mean; blue is the training."""
    histories = [
        {name: [at + more] * epochs for name, at in zip(HISTORY, (1, 2, 3, 4), strict=True)} for more in (0, 0.1, 0.5)
    ]
    figure = drawn(lambda **look: pictures.loss_curves(histories, **look))
    for axes, metric, expected in zip(figure.axes, ("loss", "accuracy"), ((1, 3), (2, 4)), strict=True):
        assert axes.get_title(loc="left") == metric.capitalize()
        assert len(axes.lines) == 8
        assert all(tick == round(tick) for tick in axes.get_xticks())
        looks = (("-", pictures.LIGHT.blue), ("--", pictures.LIGHT.orange))
        for lines, at, (dashes, colour) in zip((axes.lines[:4], axes.lines[4:]), expected, looks, strict=True):
            *faint, mean = lines
            assert {line.get_color() for line in lines} == {colour}
            assert [line.get_ydata()[0] for line in faint] == pytest.approx([at, at + 0.1, at + 0.5])  # type: ignore[index]
            assert all(line.get_alpha() < 0.5 for line in faint)  # type: ignore[operator]
            assert mean.get_alpha() is None
            assert mean.get_linestyle() == dashes
            assert np.asarray(mean.get_xdata()).tolist() == list(range(1, epochs + 1))
            assert np.asarray(mean.get_ydata()) == pytest.approx([at + 0.2] * epochs)
    assert_apart(figure=figure)


@pytest.mark.parametrize("epochs", [1, 3])
def test_the_curves_of_many_seeds_are_an_area(epochs: int) -> None:
    """Above a thousand seeds a faint area is drawn from the lowest to the highest of each epoch, and their mean."""
    histories = [{name: [epoch + (i / 1000) ** 2 for epoch in range(epochs)] for name in HISTORY} for i in range(1001)]
    figure = drawn(lambda **look: pictures.loss_curves(histories, **look))
    for axes in figure.axes:
        means = [epoch + 0.3335 for epoch in range(epochs)]
        assert [np.asarray(line.get_ydata()) for line in axes.lines] == [pytest.approx(means)] * 2
        looks = [("-", pictures.LIGHT.blue, 2), ("--", pictures.LIGHT.orange, 2)]
        assert [(line.get_linestyle(), line.get_color(), line.get_linewidth()) for line in axes.lines] == looks
        names = [(text.get_text(), text.get_color()) for text in axes.texts]
        assert names == [("training", pictures.LIGHT.blue), ("validation", pictures.LIGHT.orange)]
        for area, colour in zip(axes.collections, (pictures.LIGHT.blue, pictures.LIGHT.orange), strict=True):
            corners = np.asarray(area.get_paths()[0].vertices)
            for epoch in range(epochs):
                heights = corners[corners[:, 0] == epoch + 1, 1]
                assert (heights.min(), heights.max()) == (epoch, epoch + 1)
            assert (corners[:, 0].min(), corners[:, 0].max()) == (1, epochs)
            assert colour_of(area.get_facecolor()) == colour
            assert (area.get_alpha(), area.get_linewidth()) == (0.2, [0.8])


@pytest.mark.parametrize(("n", "pixels"), [(20, False), (21, True)])
def test_more_than_two_thousand_points_are_pixels(n: int, *, pixels: bool) -> None:
    """The faint curves of few seeds are lines of an SVG, those of many a picture within it; the mean is a line."""
    histories = [{name: [0.5 + i] * 100 for name in HISTORY} for i in range(n)]
    for axes in drawn(lambda **look: pictures.loss_curves(histories, **look)).axes:
        assert [bool(line.get_rasterized()) for line in axes.lines] == [*[pixels] * n, False] * 2


@pytest.mark.parametrize(("n", "alpha"), [(2, 0.424), (100, 0.06), (450, 0.03)])
def test_the_more_seeds_the_fainter_their_curves(n: int, alpha: float) -> None:
    """They can be seen through each other, but never vanish."""
    figure = drawn(lambda **look: pictures.loss_curves([{name: [0.5, 0.6] for name in HISTORY}] * n, **look))
    alphas = {line.get_alpha() for axes in figure.axes for line in axes.lines[:n]}
    assert list(alphas) == pytest.approx([alpha], abs=0.001)


def test_a_thousand_seeds_still_have_a_line_each() -> None:
    """Up to a thousand seeds each has its curve, and there is no area."""
    figure = drawn(lambda **look: pictures.loss_curves([{name: [0.5] for name in HISTORY}] * 1000, **look))
    assert [(len(axes.lines), len(axes.collections)) for axes in figure.axes] == [(2 * 1001, 0)] * 2


def test_the_curves_of_one_run_are_strong() -> None:
    """A run has one line for training and one for validation, each with its name."""
    figure = drawn(lambda **look: pictures.loss_curves([HISTORY], **look))
    for axes, metric in zip(figure.axes, ("loss", "accuracy"), strict=True):
        training, validation = axes.lines
        assert np.asarray(training.get_ydata()).tolist() == HISTORY[metric]
        assert np.asarray(validation.get_ydata()).tolist() == HISTORY[f"val_{metric}"]
        assert [text.get_text() for text in axes.texts] == ["training", "validation"]
        for text, line in zip(axes.texts, axes.lines, strict=True):
            assert text.get_color() == line.get_color()


def test_the_names_of_curves_that_end_together_are_apart() -> None:
    """Equal curves have names above each other, as near to their end as lines of a text are."""
    equal = {name: [0.5, 0.7] for name in HISTORY}
    figure = drawn(lambda **look: pictures.loss_curves([equal], **look))
    assert_apart(figure=figure)
    for axes in figure.axes:
        one, other = (text.get_window_extent() for text in axes.texts)
        assert (one.y0 - other.y0) * 72 / figure.dpi == pytest.approx(1.4 * 9, abs=0.1)
        end = axes.transData.transform((2, 0.7))
        assert [(text.xyann, text.xy[0]) for text in axes.texts] == [((7, 0), 2)] * 2  # type: ignore[attr-defined]
        assert (one.y0 + one.y1 + other.y0 + other.y1) / 4 == pytest.approx(end[1], abs=1)


@given(st.floats(-100, 100), st.floats(-100, 100), st.floats(0, 50))
def test_two_positions_are_moved_apart(one: float, other: float, gap: float) -> None:
    """They keep their middle and are moved no further than they must."""
    a, b = apart([one, other], gap)
    assert abs(a - b) >= gap - 1e-9
    assert (a + b) / 2 == pytest.approx((one + other) / 2, abs=1e-9)
    assert abs(one - other) < gap or (a, b) == (one, other)


def test_many_curves_stay_small() -> None:
    """The curves of two hundred seeds of a hundred epochs take less than a megabyte."""
    history = {name: np.linspace(0.9, 0.1, 100).tolist() for name in HISTORY}
    assert len(pictures.loss_curves([history] * 200)) < 1_000_000


def test_the_matrix_has_counts_and_recalls() -> None:
    """Rows go down and columns right; what is at the right of a row is its recall."""
    figure = drawn(lambda **look: pictures.confusion_matrix(UNLIKE / 1, **look))
    (axes,) = figure.axes
    fields = {text.get_position(): text.get_text() for text in axes.texts}
    for (row, column), expected in np.ndenumerate(UNLIKE):
        assert fields[column + 0.5, row + 0.5] == str(expected)
    assert [fields[10.25, row + 0.5] for row in range(10)] == [
        *("0.950", "0.955", "0.948", "0.952", "0.944", "0.949", "0.939", "0.929", "0.934", "0.922"),
    ]
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [label.get_text() for label in labels] == list(CLASS_NAMES)
    assert fields[0, 10.3] == "rows: the true class; columns: the predicted one"


OTHERS: dict[str, tuple[str, ...]] = {
    "two": ("cat", "dog"),
    "three long ones": ("a very long name that somebody gave to a class", "<b>&amp; $x_1$", "Füchse"),
    "no formula": ("$\\foo$", "$"),
    "of several scripts": ("кошка", "γάτα", "שועל", "a\x1b[2J"),
    "twenty-six": tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
    "a hundred": tuple(f"class {i}" for i in range(100)),
}
OTHER_CLASSES: dict[str, Callable[..., bytes]] = {
    "matrix": lambda names, **look: pictures.confusion_matrix(np.diag([900.0] * len(names)), names, **look),
    "recalls": lambda names, **look: pictures.recalls(np.full((3, len(names)), 0.9), [0.8] * len(names), names, **look),
}


@pytest.mark.parametrize("names", OTHERS.values(), ids=OTHERS.keys())
@pytest.mark.parametrize("kind", OTHER_CLASSES)
def test_any_classes_have_their_names_and_room(kind: str, names: tuple[str, ...]) -> None:
    """Whatever and however many they are, each is named in full, and no text leaves the picture or meets another."""
    figure = drawn(lambda **look: OTHER_CLASSES[kind](names, **look))
    (axes,) = figure.axes
    labels = axes.get_yticklabels()
    assert [label.get_text() for label in labels] == [name.replace("\x1b", "\\x1b") for name in names]
    page = figure.bbox
    texts = [*labels, *axes.texts, *(axes.get_xticklabels() if kind == "matrix" else [])]
    for box in (text.get_window_extent() for text in texts if text.get_text()):
        assert page.x0 <= box.x0 < box.x1 <= page.x1
        assert page.y0 <= box.y0 < box.y1 <= page.y1
    boxes = [label.get_window_extent() for label in labels]
    assert all(above.y0 >= below.y1 for above, below in itertools.pairwise(boxes))


@pytest.mark.parametrize("kind", OTHER_CLASSES)
def test_a_font_of_this_machine_draws_other_scripts(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that matplotlib's font lacks is drawn with one that has it, whose letters say how much room it takes."""
    monkeypatch.setattr(font_manager.fontManager, "ttflist", [*font_manager.fontManager.ttflist])
    font_manager.fontManager.addfont(write_font(tmp_path / "boots.ttf", "靴", family="Boots"))
    figure = drawn(lambda **look: OTHER_CLASSES[kind](("靴" * 80, "b"), **look))
    label = figure.axes[0].get_yticklabels()[0]
    assert label.get_fontfamily() == ["DejaVu Sans", "Boots"]
    assert label.get_text() == ("靴" * 80 if kind == "matrix" else "靴" * 33 + "…")
    assert 0 < label.get_window_extent().x0 < 0.1 * figure.bbox.x1


@pytest.mark.parametrize("text", ["", " ", "\u2063"])
def test_a_blank_has_no_width(text: str) -> None:
    """What has no glyph that can be seen takes no room, and can be measured."""
    assert style.text_width(text) == 0
    assert style.text_width("a") == pytest.approx(4.366, abs=0.001)


@pytest.mark.parametrize(
    ("k", "first", "narrow", "height", "left", "shown"),
    [
        (10, "cat", False, 420, 0.15, "cat"),
        (11, "cat", False, 444, 0.15, "cat"),
        (2, "n" * 35, False, 420, 0.399, "n" * 35),
        (2, "n" * 100, False, 420, 0.5, "n" * 42 + "…"),
        (10, "cat", True, 420, 0.24, "cat"),
        (11, "n" * 13, True, 444, 0.3402, "n" * 13),
        (2, "n" * 100, True, 420, 0.36, "n" * 12 + "…"),
    ],
)
def test_the_picture_of_recalls_has_room_for_names(  # noqa: PLR0913 - what is shown, and how
    k: int, first: str, height: int, left: float, shown: str, *, narrow: bool
) -> None:
    """It is higher the more classes there are; a name that would take half of it is shortened."""
    names = (first, *"abcdefghij"[: k - 1])
    figure = drawn(lambda **look: pictures.recalls(np.full((3, k), 0.9), [0.8] * k, names, narrow=narrow, **look))
    assert np.rint(figure.get_size_inches() * 96).tolist() == [328 if narrow else 720, height]
    [axes] = figure.axes
    place = axes.get_position()
    foot, head = (63, 42) if narrow else (50.4, 33.6)
    assert (place.x0, place.x1) == pytest.approx((left, 0.97 if narrow else 0.98), abs=1e-4)
    assert (place.y0 * height, (1 - place.y1) * height) == pytest.approx((foot, head))
    assert axes.get_yticklabels()[0].get_text() == shown
    words = ["recall: the share of a class' images", "that is classified right"]
    assert axes.get_xlabel() == ("\n" if narrow else " ").join(words)


@pytest.mark.parametrize(
    ("k", "first", "size", "place"),
    [
        (2, "cat", (720, 600), (0.14, 0.06, 0.9, 0.86)),
        (15, "cat", (720, 600), (0.14, 0.06, 0.9, 0.86)),
        (16, "cat", (749, 600), (0.1346, 0.06, 0.9036, 0.86)),
        (21, "cat", (929, 624), (0.1085, 0.0577, 0.9223, 0.8654)),
        (2, "n" * 60, (1469, 826), (0.3355, 0.0436, 0.708, 0.6247)),
    ],
)
def test_a_matrix_has_room_for_names(
    k: int, first: str, size: tuple[int, int], place: tuple[float, float, float, float]
) -> None:
    """A field has a least size, and around the fields is as much room as the longest name takes."""
    names = (first, *"abcdefghijklmnopqrstu"[: k - 1])
    figure = drawn(lambda **look: pictures.confusion_matrix(np.diag([9.0] * k), names, **look))
    assert tuple(np.rint(figure.get_size_inches() * 96)) == size
    assert figure.axes[0].get_position().extents == pytest.approx(place, abs=1e-4)


def test_a_class_without_images_has_no_recall() -> None:
    """It is said, instead of a NaN; where one count is a mean, all are."""
    counts = np.array([[3.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.5, 1.5]])
    figure = drawn(lambda **look: pictures.confusion_matrix(counts, ("a", "b", "c"), **look))
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts[:12] == ["3.0", "1.0", "0", "0", "0", "0", "0", "0.5", "1.5", "0.750", "none", "0.750"]
    # What is right is bold and what is there is dark, whatever it is of the other.
    looks = [(text.get_fontweight(), text.get_color() == pictures.LIGHT.ink) for text in figure.axes[0].texts[:9]]
    assert looks == [
        ("bold", True), ("normal", True), ("normal", False),
        ("normal", False), ("bold", False), ("normal", False),
        ("normal", False), ("normal", True), ("bold", True),
    ]  # fmt: skip


@pytest.mark.parametrize("theme", [pictures.LIGHT, pictures.DARK], ids=["light", "dark"])
def test_right_and_wrong_have_colours_of_their_own(theme: pictures.Theme) -> None:
    """The diagonal is a shade of blue and the rest of orange; an empty field is paper."""
    shades = _shaded(np.array([[3.0, 1.0], [0.0, 1.0]]), theme)
    paper, blue, orange = (np.array(mpl.colors.to_rgb(name)) for name in (theme.paper, theme.blue, theme.orange))
    assert shades[0, 0] == pytest.approx(paper + 0.375 * (blue - paper))
    assert shades[0, 1] == pytest.approx(paper + 0.5 * (orange - paper))
    assert shades[1, 0] == pytest.approx(paper)
    assert shades[1, 1] == pytest.approx(paper + 0.5 * (blue - paper))


def test_mistakes_are_shaded_four_times_as_strong() -> None:
    """A quarter of a class taken for another is as strong as it gets: half of the colour."""
    shades = pictures.shades(np.array([[90.0, 10, 0], [25, 75, 0], [50, 50, 0]]))
    assert shades == pytest.approx(np.array([[0.45, 0.2, 0], [0.5, 0.375, 0], [0.5, 0.5, 0]]))


@pytest.mark.parametrize("narrow", [False, True], ids=["wide", "narrow"])
def test_each_seeds_recalls_are_beside_the_published_one(*, narrow: bool) -> None:
    """Every class has a dot for each seed, a bar at their mean and a diamond at the published recall."""
    seeds = RECALLS + np.arange(10) / 1000
    figure = drawn(lambda **look: pictures.recalls(seeds, [i / 10 for i in range(10)], narrow=narrow, **look))
    (axes,) = figure.axes
    *dots, diamonds = axes.lines
    for column, line in enumerate(dots):
        assert np.asarray(line.get_xdata()).tolist() == seeds[:, column].tolist()
        assert np.asarray(line.get_ydata()) == pytest.approx([column] * 3, abs=0.3)
    assert (diamonds.get_marker(), diamonds.get_color()) == ("D", pictures.LIGHT.orange)
    assert np.asarray(diamonds.get_data()).tolist() == [(np.arange(10) / 10).tolist(), list(range(10))]
    (bars,) = axes.collections
    assert [bar[0, 0] for bar in bars.get_segments()] == pytest.approx(seeds.mean(axis=0))  # type: ignore[attr-defined]
    assert [label.get_text() for label in axes.get_yticklabels()] == list(CLASS_NAMES)
    # Down is more.
    assert axes.get_ylim() == (9.5, -0.5)
    assert [text.get_text() for text in axes.texts] == ["◆ published", "● each of 3 seeds, and | their mean"]
    assert_apart(figure=figure)


def test_a_telephone_has_room_for_the_words_about_many_seeds() -> None:
    """Also thousands are said, without a word cut off."""
    figure = drawn(lambda **look: pictures.recalls(np.tile(RECALLS, (400, 1)), PUBLISHED, narrow=True, **look))
    assert "● each of 1,200 seeds, and | their mean" in said(figure)
    assert_apart(figure=figure)


def test_the_recalls_of_one_run_are_in_the_middle_of_their_rows() -> None:
    """One dot needs neither room beside it nor a bar over it; it is plain to see, and said to be the run's."""
    (axes,) = drawn(lambda **look: pictures.recalls(RECALLS[:1], PUBLISHED, **look)).axes
    *dots, diamonds = axes.lines
    assert [np.asarray(dot.get_ydata()).tolist() for dot in dots] == [[row] for row in range(10)]
    assert all((dot.get_alpha(), dot.get_markersize()) == (1, diamonds.get_markersize()) for dot in dots)
    assert len(axes.collections) == 0
    assert axes.texts[1].get_text() == "● this run"


def test_the_recalls_of_two_seeds_have_a_mean() -> None:
    """From two seeds on dots stand beside each other, each is fainter, and a bar of the row's height is their mean."""
    (axes,) = drawn(lambda **look: pictures.recalls(RECALLS[:2], PUBLISHED, theme=pictures.DARK, **look)).axes
    *dots, _ = axes.lines
    assert [np.asarray(dot.get_ydata()) for dot in dots] == [
        pytest.approx([i, i - 0.191], abs=0.001) for i in range(10)
    ]
    assert {(dot.get_markersize(), round(float(dot.get_alpha()), 4)) for dot in dots} == {(4, 0.5886)}  # type: ignore[arg-type]
    (bars,) = axes.collections
    assert bars.get_segments()[3].tolist() == [[0.75, 2.66], [0.75, 3.34]]  # type: ignore[attr-defined]
    assert (colour_of(bars.get_edgecolor()), bars.get_linewidth()) == (pictures.DARK.blue, [2])


@pytest.mark.parametrize(("n", "pixels", "alpha"), [(200, False, 0.1861), (201, True, 0.1859), (1000, True, 0.15)])
def test_many_recalls_are_faint_pixels(n: int, alpha: float, *, pixels: bool) -> None:
    """Above two thousand dots an SVG holds them as pixels; they never vanish."""
    (axes,) = drawn(lambda **look: pictures.recalls(np.full((n, 10), 0.9), PUBLISHED, **look)).axes
    *dots, diamonds = axes.lines
    assert {bool(dot.get_rasterized()) for dot in dots} == {pixels}
    assert {round(float(dot.get_alpha()), 4) for dot in dots} == {alpha}  # type: ignore[arg-type]
    assert not diamonds.get_rasterized()


def test_a_thumbnail_is_dark_on_white() -> None:
    """Each pixel of an image is one of the PNG, whatever the user's style; no version of a program is in it."""
    image = np.arange(784).reshape(28, 28).astype(np.uint8)
    with mpl.rc_context({"savefig.format": "pdf"}):
        content = pictures.thumbnail(image)
    assert b"Software" not in content
    picture = matplotlib.image.imread(io.BytesIO(content))
    assert picture.shape == (28, 28, 4)
    for channel in range(3):
        assert np.array_equal(np.rint(picture[..., channel] * 255), 255 - image)
    assert (picture[..., 3] == 1).all()


NAMES = ["distribution", "loss_curves", "confusion_matrix"]


@pytest.mark.parametrize(
    ("parameters", "names"),
    [(PARAMETERS, [*NAMES, "recalls"]), ({**PARAMETERS, "epochs": 11}, NAMES)],
    ids=["with a published matrix", "without"],
)
def test_a_study_gets_its_pictures(tmp_path: Path, parameters: dict[str, Any], names: list[str]) -> None:
    """Each picture is there for print and for the web, and the first in dark too; the names are returned."""
    results = [*sample([0.88, 0.87]), result(1002, counts=(COUNTS // 2 + COUNTS[::-1] // 2).tolist())]
    made = Sample(parameters, results, {}, is_study=True)
    with sketched():
        told = pictures.save(made, tmp_path)
    assert sorted(told) == sorted(path.name for path in tmp_path.iterdir())
    data: dict[str, Any] = {
        "distribution": {"accuracies": [0.88, 0.87, 0.88], "figures": list(published.matching(parameters))},
        "loss_curves": {"histories": [HISTORY] * 3},
        "confusion_matrix": {"counts": made.counts.tolist(), "class_names": list(CLASS_NAMES)},
        "recalls": {
            "seeds": made.recalls.tolist(),
            "figure": [0.86, 0.974, 0.79, 0.88, 0.813, 0.968, 0.689, 0.883, 0.979, 0.986],
            "class_names": list(CLASS_NAMES),
        },
    }
    expected = {f"{name}.{kind}": f"light {kind} {name} of {data[name]}" for name in names for kind in ("png", "svg")}
    expected["distribution-dark.svg"] = f"dark svg distribution of {data['distribution']}"
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == expected


def test_a_study_of_other_classes_gets_pictures_of_them(tmp_path: Path) -> None:
    """Rows and columns of the matrix have their names."""
    other = result(1000, class_names=("cat", "dog"), counts=[[3, 1], [0, 4]])
    with sketched():
        pictures.save(Sample(PARAMETERS, [other], {}, is_study=True), tmp_path)
    data = {"counts": [[3.0, 1.0], [0.0, 4.0]], "class_names": ["cat", "dog"]}
    assert (tmp_path / "confusion_matrix.svg").read_text() == f"light svg confusion_matrix of {data}"


def test_accuracies_alone_get_their_picture(tmp_path: Path) -> None:
    """For print and for the web, light and dark."""
    with sketched():
        three = [*BOTH, published.Figure("theirs", "", 0.8755, {}, "")]
        pictures.save_distribution(Judged([0.88, 0.87], three, 0.015), tmp_path)
    of = f"distribution of {{'accuracies': [0.88, 0.87], 'figures': {three}}}"
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "distribution.png": f"light png {of}",
        "distribution.svg": f"light svg {of}",
        "distribution-dark.svg": f"dark svg {of}",
    }


def test_the_graph_has_a_card_for_each_step() -> None:
    """There are the parameters with their defaults, then each step with its outputs and what these are."""
    figure = drawn(DRAW["graph"])
    assert said(figure) == [
        *("Parameters", "compile_optimizer", "adam", "epochs", "10", "seed", "0", "validation_split", "0.05"),
        *("train", "history", "Artifact", "loss_page", "HTML", "loss_plot", "Artifact", "model", "Model"),
        *("test", "labels", "Dataset", "metrics", "Metrics", "results", "Dataset"),
        *(
            "confusion-matrix",
            "classification",
            "ClassificationMetrics",
            "matrix",
            "Dataset",
            "matrix_plot",
            "Artifact",
        ),
    ]
    assert len(figure.axes[0].patches) == 4
    assert_apart(figure=figure)


def arrows(figure: Figure) -> list[tuple[str, str]]:
    """Return for each arrow of a graph the text that it starts at, and the one that it leads to."""
    [axes] = figure.axes
    texts = [text for text in axes.texts if text.get_text()]
    cards = [card.get_bbox() for card in axes.patches]  # type: ignore[attr-defined]

    def at(point: Any, edge: str) -> str:
        [card] = [card for card in cards if getattr(card, edge) == point[0] and card.y0 < point[1] < card.y1]
        # A title is a point below the middle of its room.
        [text] = [
            text
            for text in texts
            if card.x0 < text.get_position()[0] < card.x0 + 20 and 0 <= text.get_position()[1] - point[1] <= 1
        ]
        return text.get_text()

    found = [text for text in axes.texts if isinstance(text, Annotation)]
    return [(at(arrow.xyann, "x1"), at(arrow.xy, "x0")) for arrow in found]


def test_arrows_lead_from_outputs_to_steps() -> None:
    """An arrow starts at the output that a step takes, or at the parameters, and ends at the step's name."""
    assert arrows(drawn(DRAW["graph"])) == [("Parameters", "train"), ("model", "test"), ("labels", "confusion-matrix")]


DIAMOND = """
components:
  comp-make: {outputDefinitions: {parameters: {Output: {parameterType: LIST}}}}
  comp-use: {outputDefinitions: {artifacts: {of_any_name_as_long_as_it_is: {artifactType: {schemaTitle: system.HTML}}}}}
  comp-end: {}
root:
  dag:
    tasks:
      end:
        componentRef: {name: comp-end}
        dependentTasks: [use, use-2]
        inputs:
          artifacts:
            b: {componentInputArtifact: given}
            a: {taskOutputArtifact: {outputArtifactKey: of_any_name_as_long_as_it_is, producerTask: use}}
          parameters:
            given: {runtimeValue: {constant: 5}}
      make: {componentRef: {name: comp-make}}
      use: {componentRef: {name: comp-use}, dependentTasks: [make], inputs: {parameters: {a: &made
        {taskOutputParameter: {outputParameterKey: Output, producerTask: make}}}}}
      use-2: {componentRef: {name: comp-use}, dependentTasks: [make], inputs: {parameters: {a: *made}}}
"""


def test_a_graph_can_be_of_any_pipeline(tmp_path: Path) -> None:
    """Steps beside each other, values that are no files, long names, and a pipeline without parameters are drawn."""
    compiled = tmp_path / "diamond.yaml"
    compiled.write_text(DIAMOND)
    figure = drawn(lambda **look: pictures.graph(compiled, **look))
    assert said(figure)[:3] == ["make", "Output", "LIST"]
    assert arrows(figure) == [("Output", "use"), ("Output", "use-2"), ("of_any_name_as_long_as_it_is", "end")]
    assert_apart(figure=figure)


def test_a_graph_is_of_what_counts_as_a_compiled_pipeline(tmp_path: Path) -> None:
    """As elsewhere, neither an empty document before it matters, nor that of a platform after it.

    It may be as large as a server takes.
    """
    compiled = tmp_path / "diamond.yaml"
    compiled.write_text(f"---\n---\n{DIAMOND}---\nplatforms: {{}}\n")
    assert len(arrows(drawn(lambda **look: pictures.graph(compiled, **look)))) == 3
    assert LARGEST == pipeline_file.LARGEST


def boxes(figure: Figure) -> dict[str, Bbox]:
    """Return the box of each card of a graph by its title, in points."""
    [axes] = figure.axes
    titles = [text for text in axes.texts if text.get_fontweight() == "bold"]
    cards = [card.get_bbox() for card in axes.patches]  # type: ignore[attr-defined]
    return {title.get_text(): card for title, card in zip(titles, cards, strict=True)}


def test_a_step_stands_right_of_all_that_it_depends_on(tmp_path: Path) -> None:
    """Steps of a column are below each other, a step that depends on nothing is right of the parameters alone.

    A column is as wide as the widest of them.
    """
    path = tmp_path / "columns.yaml"
    inputs = "  inputDefinitions: {parameters: {n: {parameterType: NUMBER_DOUBLE}}}\n"
    late = DIAMOND.replace("dependentTasks: [use, use-2]", "dependentTasks: [make, use-2]")
    late = late.replace("producerTask: use}", "producerTask: use-2}")
    path.write_text(late.replace("use-2", "use-two-at-once-or-more-of-them") + inputs)
    figure = drawn(lambda **look: pictures.graph(path, **look))
    cards = boxes(figure)
    first, second, third, last = (cards[title] for title in ("Parameters", "make", "use", "end"))
    gaps = [first.x0, second.x0 - first.x1, third.x0 - second.x1, last.x0 - third.x1]
    assert gaps == pytest.approx([16, 32, 32, 32])
    assert {title: (card.y0, card.height) for title, card in cards.items()} == {
        "Parameters": (16, 45),
        "make": (16, 45),
        "use": (16, 45),
        "use-two-at-once-or-more-of-them": (16 + 45 + 16, 45),
        "end": (16, 30),
    }
    other = cards["use-two-at-once-or-more-of-them"]
    assert (other.x0, other.x1) == (third.x0, third.x1)
    assert third.width == pytest.approx(
        16 + style.text_width("use-two-at-once-or-more-of-them", TITLE_TEXT, weight="bold")
    )
    # It has no rows, and a title in bold.
    assert last.width == pytest.approx(16 + style.text_width("end", TITLE_TEXT, weight="bold"))
    # Around all there is as much room as left and above, and a point is 4/3 pixels of a page.
    [axes] = figure.axes
    assert (*axes.get_xlim(), *axes.get_ylim()) == (0, last.x1 + 16, 16 + 45 + 16 + 45 + 16, 0)
    assert np.rint(figure.get_size_inches() * 96).tolist() == [round((last.x1 + 16) * 4 / 3), 184]


def test_the_longest_row_of_a_card_has_room() -> None:
    """A card is as wide as its title or its longest row needs, with margins and a gap."""
    figure = drawn(DRAW["graph"])
    widest = {
        "Parameters": ("compile_optimizer", "adam"),
        "confusion-matrix": ("classification", "ClassificationMetrics"),
    }
    lengths = {text.get_text(): text.get_window_extent().width * 72 / figure.dpi for text in words(figure)}
    cards = boxes(figure)
    for title, (name, note) in widest.items():
        longest = lengths[name] + 14 + lengths[note]
        assert longest < cards[title].width - 16 < 1.06 * longest
    # A point of the page is one of the axes.
    assert figure.axes[0].get_window_extent().width * 72 / figure.dpi == pytest.approx(
        figure.axes[0].get_xlim()[1], abs=1
    )


def test_a_card_says_what_is_what() -> None:
    """Parameters are soft and steps are blue; what a row is stands at its end, in smaller and softer letters."""
    figure = drawn(DRAW["graph"], theme=pictures.DARK)
    theme = pictures.DARK
    [axes] = figure.axes
    edges = [mpl.colors.to_hex(card.get_edgecolor()) for card in axes.patches]
    assert edges == [theme.soft, theme.blue, theme.blue, theme.blue]
    assert {mpl.colors.to_hex(card.get_facecolor()) for card in axes.patches} == {theme.paper}
    assert {text.get_verticalalignment() for text in axes.texts if text.get_text()} == {"center"}
    cards = boxes(figure)
    for text in axes.texts:
        if not text.get_text():
            continue
        x, y = text.get_position()
        [(title, card)] = [(title, card) for title, card in cards.items() if card.contains(x, y)]
        look = (text.get_color(), text.get_fontweight(), text.get_fontsize(), text.get_horizontalalignment())
        if y < card.y0 + 22:
            assert (x, y) == (card.x0 + 8, card.y0 + 12)
            assert look == (theme.soft if title == "Parameters" else theme.blue, "bold", 10.5, "left")
        else:
            # In the middle of its row.
            assert (y - card.y0 - 22) % 15 == 7.5
            assert (x, look) in (
                (card.x0 + 8, (theme.ink, "normal", 9, "left")),
                (card.x1 - 8, (theme.soft, "normal", 8, "right")),
            )


def test_an_arrow_is_soft_and_passes_behind_cards() -> None:
    """It has a head at the step that it leads to, and touches both."""
    figure = drawn(DRAW["graph"], theme=pictures.DARK)
    [axes] = figure.axes
    found = [text for text in axes.texts if isinstance(text, Annotation)]
    assert len(found) == 3
    for arrow in found:
        patch = arrow.arrow_patch
        assert patch is not None
        assert type(patch.get_arrowstyle()).__name__ == "CurveFilledB"
        assert mpl.colors.to_hex(patch.get_edgecolor()) == pictures.DARK.soft
        assert (patch.shrinkA, patch.shrinkB, patch.get_linewidth()) == (0, 0, 1.2)
        assert arrow.get_zorder() < min(card.get_zorder() for card in axes.patches)


DEFAULTS = """
  inputDefinitions:
    parameters:
      whole: {defaultValue: 3.0, parameterType: NUMBER_INTEGER}
      fraction: {defaultValue: 3.0, parameterType: NUMBER_DOUBLE}
      flag: {defaultValue: false, parameterType: BOOLEAN}
      list: {defaultValue: [1], parameterType: LIST}
      struct: {defaultValue: {}, parameterType: STRUCT}
      none: {parameterType: STRING}
      no_number: {parameterType: NUMBER_INTEGER}
      no_list: {parameterType: LIST}
"""


def test_defaults_are_shown_as_they_were_given(tmp_path: Path) -> None:
    """A whole number has no fraction, of what has parts the type is told, and of what has no default nothing."""
    path = tmp_path / "defaults.yaml"
    path.write_text(DIAMOND.rstrip() + DEFAULTS)
    cards = list(_cards(yaml.safe_load(path.read_text())))
    assert cards[0].rows == (
        *(("whole", "3"), ("fraction", "3.0"), ("flag", "False"), ("list", "LIST"), ("struct", "STRUCT")),
        *(("none", ""), ("no_number", ""), ("no_list", "")),
    )


def test_artifacts_of_a_step_stand_above_its_values() -> None:
    """Whatever their names are."""
    both = "{artifacts: {z: {artifactType: {schemaTitle: system.HTML}}}, parameters: {a: {parameterType: LIST}}}"
    *_, end = _cards(yaml.safe_load(DIAMOND.replace("comp-end: {}", f"comp-end: {{outputDefinitions: {both}}}")))
    assert (end.title, end.rows) == ("end", (("z", "HTML"), ("a", "LIST")))


@pytest.mark.parametrize(
    "content",
    [
        b"root: [1",
        b"",
        b"pipelineInfo: {name: x}",
        b"just words",
        b"\xff\xfe\xff",
        DIAMOND.replace("dependentTasks: [make]", "dependentTasks: [end]").encode(),
        DIAMOND.replace("producerTask: make", "producerTask: nobody").encode(),
    ],
    ids=["no YAML", "empty", "no pipeline", "words", "no text", "circle", "unknown step"],
)
def test_a_graph_of_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    """What is no compiled pipeline is refused, and the message says what writes one."""
    path = tmp_path / "other.yaml"
    path.write_bytes(content)
    with pytest.raises(ContractError) as caught:
        pictures.graph(path)
    assert str(caught.value) == (
        f"graph: expected a compiled pipeline in {path}, got something else. "
        "`fmnist compile` and kfp's compiler write one."
    )


def test_a_graph_of_no_file_is_an_error_of_the_system(tmp_path: Path) -> None:
    """A file that is not there, and a folder, are named as Python names them."""
    for path in (tmp_path / "nothing.yaml", tmp_path):
        with pytest.raises(OSError, match=re.escape(str(path))):
            pictures.graph(path)


def test_a_graph_shortens_what_is_long(tmp_path: Path) -> None:
    """Long names are cut off, values of many parts are told by their type, and harmful characters are escapes."""
    path = tmp_path / "long.yaml"
    text = DIAMOND.replace("of_any_name_as_long_as_it_is", "y" * 500).replace("system.HTML", f'"a\\e{"b" * 500}"')
    text = text.replace("make", f'"m\\e{"m" * 500}"')
    inputs = "{parameters: {x: {parameterType: LIST, defaultValue: [1, 2]}}}"
    path.write_text(f"{text}  inputDefinitions: {inputs}\n")
    figure = drawn(lambda **look: pictures.graph(path, **look))
    texts = said(figure)
    assert texts[:3] == ["Parameters", "x", "LIST"]
    assert "y" * 40 + " ..." in texts
    assert {"a\\x1b" + "b" * 38 + " ...", "m\\x1b" + "m" * 38 + " ..."} <= set(texts)
    assert figure.get_figwidth() < 20
