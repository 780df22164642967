"""Fonts for names in any script: matplotlib's own, DejaVu Sans, and for what it lacks those of this machine."""

import re
import unicodedata
from collections.abc import Iterable
from typing import Any

from fmnist.steps.canvas import OWN, import_matplotlib
from fmnist.steps.characters import INVISIBLE

__all__ = ["caveat", "drawable", "families"]

#: Fonts whose glyphs are not those of Unicode, and the one that has a box for each script.
_NO_FONTS = re.compile(r"cm\w+10|STIX(NonUnicode|Size\w+)|\.?Last ?Resort.*")


def families(text: str) -> tuple[list[str], set[str]]:
    """Return the fonts that draw `text`, `OWN` first, and the characters that no font of this machine has.

    The list is `OWN` alone where that has all, so that such a picture is the same on each machine.
    """
    import_matplotlib()
    from matplotlib import font_manager

    found, missing = [OWN], _seen(text) - _characters(font_manager.findfont(OWN))
    if not missing:
        return found, missing
    fonts = sorted(font_manager.fontManager.ttflist, key=_regular_last)
    paths = {font.name: font.fname for font in fonts if not _NO_FONTS.fullmatch(font.name)}
    having = {name: _characters(path) & missing for name, path in sorted(paths.items())}
    while missing and having:
        best = max(having, key=lambda name: len(having[name] & missing))
        if not (gained := having.pop(best) & missing):
            break
        found.append(best)
        missing = missing - gained
    return found, missing


def drawable(name: str, missing: Iterable[str]) -> str:
    r"""Return `name` with escapes in the place of the `missing` characters, so that two names stay two.

    Examples
    --------
    >>> drawable("靴 (boot)", {"靴"})
    '\\u9774 (boot)'
    """
    lacking = set(missing)
    return "".join(c.encode("unicode_escape").decode() if c in lacking else c for c in name)


def caveat(missing: Iterable[str]) -> str:
    """Return a sentence on characters that a picture shows as escapes, and what to do."""
    shown = " ".join(sorted(missing))
    # As matplotlib begins its own warning, so that filters for that one hold.
    return (
        f"Glyph {shown} missing from fonts of this machine: class names are drawn with escapes instead. Install a font "
        "for that script, as Debian's fonts-noto-cjk or fonts-noto-core, here or in the image."
    )


def _seen(text: str) -> set[str]:
    """Return the characters of `text` that need a glyph."""
    return {c for c in INVISIBLE.sub("", text) if unicodedata.category(c) not in {"Cc", "Cf", "Cs"}}


def _characters(path: str) -> set[str]:
    """Return the characters that the font in a file can draw."""
    from matplotlib import font_manager

    try:
        font = font_manager.get_font(path)
    except (OSError, RuntimeError):
        return set()
    # Fonts of pictures, as for emoji, have sizes that matplotlib cannot scale.
    return {chr(code) for code in font.get_charmap()} if font.scalable else set()


def _regular_last(font: Any) -> tuple[Any, ...]:
    """Return a key by which the regular font of a family comes after its others."""
    return font.style == "normal", -abs(int(font.weight) - 400) if str(font.weight).isdigit() else -400, font.fname
