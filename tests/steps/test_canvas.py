"""Tests of the canvas that every picture is drawn on."""

import builtins
import io
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import backend_bases
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.image import imread
from PIL import ImageFile

from fmnist.steps.canvas import import_matplotlib, render
from fmnist.steps.errors import DeterminismError


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
    before = dict(mpl.rcParams)
    assert render(draw, style={"lines.linewidth": 20}) != plain
    assert dict(mpl.rcParams) == before


def test_a_list_of_the_users_settings_has_no_effect() -> None:
    """Matplotlib's settings and its defaults share their lists, into which many insert a font."""
    plain = render(draw)
    fonts = mpl.rcParamsDefault["font.sans-serif"]
    fonts.insert(0, "STIXGeneral")
    try:
        assert render(draw) == plain
    finally:
        fonts.remove("STIXGeneral")


@pytest.mark.parametrize(
    "look",
    [
        "from fmnist.steps.fonts import families; families('a')",
        "from fmnist.report.pictures.style import text_width; text_width('a')",
    ],
    ids=["fonts", "width"],
)
def test_what_looks_at_fonts_first_imports_matplotlib_as_a_picture_does(look: str) -> None:
    """A backend that is not there, as a notebook exports it, and FreeType's variable end nothing then or later."""
    code = f"{look}; from fmnist.steps.canvas import render; render(lambda figure: None)"
    others = {"MPLBACKEND": "nonsense", "FREETYPE_PROPERTIES": "truetype:interpreter-version=35"}
    subprocess.run([sys.executable, "-c", code], env={**os.environ, **others}, check=True)


def test_ctrl_c_waits_for_the_import_of_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the midst of it, Python would end without a word."""
    imported, theirs = [], builtins.__import__

    def interrupted(name: str, *others: Any, **more: Any) -> Any:
        if name == "matplotlib":
            signal.raise_signal(signal.SIGINT)
            imported.append(name)
        return theirs(name, *others, **more)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(builtins, "__import__", interrupted)
            with pytest.raises(KeyboardInterrupt):
                import_matplotlib()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert imported == ["matplotlib", "matplotlib"]
    # Where no signal comes.
    with ThreadPoolExecutor(1) as elsewhere:
        assert elsewhere.submit(import_matplotlib).result() is mpl


def test_the_kind_is_what_is_asked_for_whatever_the_style_says() -> None:
    """A style may have a format of its own, as the files of styles that people share do."""
    assert render(draw, "png", style={"savefig.format": "pdf"}) == render(draw)


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


def test_a_matplotlib_that_may_draw_other_letters_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it was imported before, the variable is named, and stays as it was."""
    monkeypatch.setenv("FREETYPE_PROPERTIES", "truetype:interpreter-version=35")
    with pytest.raises(DeterminismError) as caught:
        import_matplotlib()
    assert str(caught.value) == (
        "the environment variable FREETYPE_PROPERTIES: expected None, got 'truetype:interpreter-version=35', with "
        "which matplotlib may draw other letters. Unset it before Python starts, or call fmnist.run(), which uses "
        "processes of its own."
    )
    assert os.environ["FREETYPE_PROPERTIES"] == "truetype:interpreter-version=35"


def test_the_users_backend_is_left_to_a_matplotlib_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the variable nor the setting changes, whatever the variable says."""
    monkeypatch.setenv("MPLBACKEND", "pdf")
    before = mpl.rcParams._get("backend")
    assert import_matplotlib() is mpl
    assert (os.environ["MPLBACKEND"], mpl.rcParams._get("backend")) == ("pdf", before)


BACKENDS = [("pdf", "pdf"), ("module://nowhere", "module://nowhere"), ("nonsense", None), (None, None)]


@pytest.mark.parametrize(("given", "set_to"), BACKENDS)
def test_the_users_backend_is_kept_while_matplotlib_is_imported(
    given: str | None, set_to: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is so for a matplotlib that is imported here for the first time, as far as one process can show."""
    if given is None:
        monkeypatch.delenv("MPLBACKEND", raising=False)
    else:
        monkeypatch.setenv("MPLBACKEND", given)
    monkeypatch.delitem(sys.modules, "matplotlib")
    found = import_matplotlib().rcParams._get("backend")
    assert os.environ.get("MPLBACKEND") == given
    assert (found if isinstance(found, str) else None) == set_to


@pytest.mark.parametrize(("given", "set_to"), BACKENDS)
def test_the_users_backend_outlives_the_import(given: str | None, set_to: str | None) -> None:
    """The variable is as it was, and the setting as it says, also where Python cannot draw there."""
    code = (
        "import os; from fmnist.steps.canvas import import_matplotlib; mpl = import_matplotlib(); "
        "found = mpl.rcParams._get('backend'); "
        "print(os.environ.get('MPLBACKEND'), found if isinstance(found, str) else None)"
    )
    kept = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    environment = kept if given is None else {**kept, "MPLBACKEND": given}
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
    assert done.stdout.split() == [str(given), str(set_to)]
