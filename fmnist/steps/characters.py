"""Characters that steer a terminal or a spreadsheet, which no text may show, and those that nobody sees."""

import re

__all__ = ["INVISIBLE", "cell", "printable"]

#: Controls, those of reading direction, what nobody sees, and what UTF-8 cannot express; but no tab and no new line.
_HARMFUL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff\ud800-\udfff]"
)
#: Characters that nobody sees: they join, choose a form, or turn the direction of reading.
INVISIBLE = re.compile("[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufe00-\ufe0f\ufeff]")

#: With these a cell of a spreadsheet begins a formula, also in their wide forms.
_FORMULA = tuple("=+-@\t\r＝＋－＠")


def printable(text: str) -> str:
    """Return `text` with escapes in the place of characters that steer a terminal."""
    return _HARMFUL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def cell(text: str) -> str:
    """Return `text` as the cell of a table that spreadsheets open: it neither steers a terminal nor is a formula.

    Examples
    --------
    >>> cell("=1+1"), cell("T-shirt/top")
    ("'=1+1", 'T-shirt/top')
    """
    return f"'{printable(text)}" if text.lstrip(" ").startswith(_FORMULA) else printable(text)
