"""Tests of the fonts that names are drawn with, on made-up fonts of few characters."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib as mpl
import pytest
from matplotlib import font_manager
from support.made_fonts import write_font

from fmnist.steps import fonts

#: The characters of the made-up fonts; DejaVu Sans has none of them.
BOOT, BAG, COAT = "靴", "包", "衣"

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install made-up fonts on a machine that has matplotlib's own alone."""
    own = [font for font in font_manager.fontManager.ttflist if Path(font.fname).is_relative_to(mpl.get_data_path())]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", own)

    def installed(name: str, characters: str, **entry: Any) -> Path:
        look: dict[str, Any] = {"style": "normal", "weight": 400} | entry
        path = write_font(tmp_path / f"{name}-{len(own)}.ttf", characters)
        own.append(font_manager.FontEntry(fname=str(path), name=name, **look))
        return path

    return installed


def test_what_matplotlibs_font_has_needs_no_other(install: Install) -> None:
    """A name of Latin, Greek or Cyrillic letters, a space, a control or nothing is drawn the same on each machine."""
    install("Latin", "aé")
    for text in (
        "",
        "T-shirt/top",
        "café ботинок γάτα",
        "a\u200db\ufe0f\u00ad",
        "\x1b\u202e",
        "\ud800",
        "a\u206ab",
        "a\U000e0041",
    ):
        assert fonts.families(text) == (["DejaVu Sans"], set())


def test_characters_without_any_font_are_told(install: Install) -> None:
    """Where no font has a character it is missing, and a font that helps nothing is not taken."""
    install("Coats", COAT)
    assert fonts.families(f"a{BOOT} {BAG}") == (["DejaVu Sans"], {BOOT, BAG})


def test_a_machine_may_have_no_other_font(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then what is missing stays so, in the first picture of a process as in the later ones."""
    own = [font for font in font_manager.fontManager.ttflist if font.name == "DejaVu Sans"]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", own)
    assert fonts.families(f"a{BOOT}") == (["DejaVu Sans"], {BOOT})


def test_the_font_that_somebody_has_chosen_does_not_matter(install: Install) -> None:
    """Matplotlib's default may be another one, which lacks letters that DejaVu Sans has."""
    with mpl.rc_context({"font.family": ["STIXGeneral"]}):
        assert fonts.families("ა") == (["DejaVu Sans"], set())


def test_the_fonts_that_have_most_are_taken(install: Install) -> None:
    """The font that has most of what is missing comes first, then the ones for the rest, and no more than needed.

    Of two that have as much it is the first by name, though the other is looked at before, as a slanted one.
    """
    install("A bag", BAG)
    install("Both", BOOT + BAG)
    install("Coat", COAT)
    install("Zebra", COAT, style="italic")
    install("Shirt", "衫")
    assert fonts.families(f"{BOOT}{BAG}{COAT}衫") == (["DejaVu Sans", "Both", "Coat", "Shirt"], set())
    assert fonts.families(f"{BOOT}{BAG}履") == (["DejaVu Sans", "Both"], {"履"})
    assert fonts.families(f"{COAT}履") == (["DejaVu Sans", "Coat"], {"履"})
    assert fonts.families(BAG) == (["DejaVu Sans", "A bag"], set())


@pytest.mark.parametrize("name", ["cmr10", "cmex10", "STIXNonUnicode", "STIXSizeOneSym", "Last Resort", ".LastResort"])
def test_fonts_of_other_signs_draw_no_names(install: Install, name: str) -> None:
    """A font whose glyphs are not those of Unicode, or are a box for each script, would show something else."""
    install(name, BOOT)
    assert fonts.families(BOOT) == (["DejaVu Sans"], {BOOT})
    install(f"My {name}", BOOT)
    assert fonts.families(BOOT) == (["DejaVu Sans", f"My {name}"], set())


@pytest.mark.parametrize(
    ("entry", "other"),
    [
        ({"style": "italic"}, {}),
        ({"weight": 700}, {}),
        ({"weight": 200}, {"weight": 450}),
        ({"weight": 402}, {"weight": 399}),
        ({"weight": "bold"}, {}),
    ],
    ids=["slanted", "bold", "light", "nearest", "bold by name"],
)
@pytest.mark.parametrize("regular_first", [False, True], ids=["regular last", "regular first"])
def test_the_regular_font_of_a_family_counts(
    install: Install, entry: dict[str, Any], other: dict[str, Any], *, regular_first: bool
) -> None:
    """What a family has is what its upright font of about normal weight has, whichever was found first."""
    looks = [(BOOT, other), (BAG, entry)]
    for characters, look in looks if regular_first else looks[::-1]:
        install("Family", characters, **look)
    assert fonts.families(BOOT + BAG) == (["DejaVu Sans", "Family"], {BAG})


def test_equal_fonts_are_told_by_their_files(install: Install) -> None:
    """In whatever order this machine lists them, the last file by name counts."""
    first, second = install("Twice", BOOT), install("Twice", BAG)
    assert first.name < second.name
    assert fonts.families(BOOT + BAG) == (["DejaVu Sans", "Twice"], {BOOT})
    font_manager.fontManager.ttflist.reverse()
    assert fonts.families(BOOT + BAG) == (["DejaVu Sans", "Twice"], {BOOT})


def test_a_font_that_cannot_be_read_is_none(install: Install, tmp_path: Path) -> None:
    """A file that is gone or no font leaves the others to draw."""
    install("Gone", BOOT).unlink()
    install("Broken", BOOT).write_bytes(b"no font")
    assert fonts.families(BOOT) == (["DejaVu Sans"], {BOOT})
    install("Whole", BOOT)
    assert fonts.families(BOOT) == (["DejaVu Sans", "Whole"], set())


def test_a_font_of_pictures_is_none(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    """Matplotlib cannot scale it, as those of emoji."""
    path = install("Emoji", BOOT)
    get_font = font_manager.get_font
    bitmaps = SimpleNamespace(scalable=False, get_charmap=lambda: {ord(BOOT): 1})
    monkeypatch.setattr(font_manager, "get_font", lambda file: bitmaps if file == str(path) else get_font(file))
    assert fonts.families(BOOT) == (["DejaVu Sans"], {BOOT})


def test_the_caveat_says_what_to_install() -> None:
    """Each character is named once, in order, with what can be done."""
    assert fonts.caveat(["靴", "包"]) == (
        "Glyph 包 靴 missing from fonts of this machine: class names are drawn with escapes instead. Install a font "
        "for that script, as Debian's fonts-noto-cjk or fonts-noto-core, here or in the image."
    )


def test_missing_characters_become_escapes() -> None:
    """Only those that are missing do, each as Python writes it."""
    assert fonts.drawable("a靴é🥾", iter(["靴", "🥾", "x"])) == "a\\u9774é\\U0001f97e"
    assert fonts.drawable("靴", ()) == "靴"
