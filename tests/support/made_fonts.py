"""Made-up fonts of few characters, for names in a script that matplotlib's own font lacks."""

from pathlib import Path

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen


def write_font(path: Path, characters: str, family: str = "Made up") -> Path:
    """Write a font whose characters are all a triangle."""
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    pen.lineTo((0, 700))
    pen.lineTo((700, 0))
    pen.closePath()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "one"])
    builder.setupCharacterMap({ord(character): "one" for character in characters})
    builder.setupGlyf(dict.fromkeys([".notdef", "one"], pen.glyph()))
    builder.setupHorizontalMetrics(dict.fromkeys([".notdef", "one"], (800, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)
    return path
