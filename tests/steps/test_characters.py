"""Tests of characters: none that is shown steers a terminal or a spreadsheet."""

import pytest

from fmnist.steps.characters import cell, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("\x07\x08\r\x7f\x9b", "\\x07\\x08\\r\\x7f\\x9b"),
        ("abc\u202edef\u2066", "abc\\u202edef\\u2066"),
        ("\udcff", "\\udcff"),
        ("a\ufeff\u200bb", "a\\ufeff\\u200bb"),
        *(
            (chr(code), f"\\u{code:04x}")
            for code in (0x61C, 0x200E, 0x200F, 0x2028, 0x2029, 0x202A, 0x202D, 0x2060, 0x2067, 0x2068, 0x2069)
        ),
        ("\x1b" * 1_000, "\\x1b" * 1_000),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("靴 👟 e\u0301 میخواهم", "靴 👟 e\u0301 میخواهم"),
    ],
)
def test_nothing_steers_a_terminal(text: str, shown: str) -> None:
    """Controls and what hides or turns text are shown as escapes; all that people write stays."""
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\\r=1"),
        ("  =1", "'  =1"),
        *((f"{sign}1", f"'{sign}1") for sign in "＝＋－＠"),
        ("T-shirt/top", "T-shirt/top"),
        ("\n=1", "\n=1"),
        ("X=1", "X=1"),
        ("a\x1bb", "a\\x1bb"),
    ],
)
def test_no_cell_is_a_formula(name: str, written: str) -> None:
    """A spreadsheet that opens a table computes nothing."""
    assert cell(name) == written
