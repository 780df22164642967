"""Accuracies that a user gives: what one may be, and the files that have many."""

import csv
import errno
import io
import math
import re
from collections import Counter
from collections.abc import Sequence
from numbers import Real
from pathlib import Path
from typing import Any

from fmnist.steps.errors import ContractError
from fmnist.steps.files import read
from fmnist.steps.messages import did_you_mean, excerpt, shown

__all__ = ["COLUMN", "MOST", "accuracy_in", "check_accuracy", "is_number", "read_accuracies", "read_text"]

#: The column of a table of accuracies, as `fmnist study` names it.
COLUMN = "accuracy"

#: The accuracies in one file, and its bytes.
MOST, _LARGEST = 100_000, 2**24

_NUMBER = re.compile(r"(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)

#: A whole number, also as 1.0, which it becomes where tables with gaps are joined, or 001, and its digits that count.
_WHOLE = re.compile(r"0*(\d+?)(?:\.0*)?", re.ASCII)

#: How an accuracy begins, whatever sign, mark or word stands before it, and no name of a column that is not asked for.
_LIKE_A_SHARE = re.compile(r"(?<![^\W_])[01oO]?\.\d", re.ASCII)


def read_accuracies(path: str | Path, column: str = COLUMN) -> list[float]:
    """Read the accuracies in a text file: one a line, or a column of a CSV.

    Parameters
    ----------
    path : path
        A regular file. If its first line has no number, that has the names of the columns; one in which something looks
        like an accuracy is the name of a column if that is asked for.
    column : str
        The name of the column, where there are several.

    Raises
    ------
    ContractError
        If the file cannot be read, or a line has something else: the line is named.
    """
    rows = _rows(path)
    if not rows:
        raise ContractError(f"{path}: expected an accuracy on each line, got an empty file.")
    (first, head), at = rows[0], 0
    meant = is_number(head[0]) or (head[0] != column and _LIKE_A_SHARE.search(head[0]))
    if len(head) > 1 or not meant:
        at = _column(path, first, head, column)
        rows = rows[1:]
    for number, row in rows:
        if len(row) != len(head):
            raise ContractError(
                f"{path}, line {number}: expected as many values as in line {first}, which has {len(head)}, got "
                + (f"{len(row)}. Write a decimal point, not a comma." if any(row) else "an empty line. Remove it.")
            )
    if not rows or len(rows) > MOST:
        raise ContractError(f"{path}: expected 1 to {MOST:,} accuracies, got {len(rows):,}.")
    for place in [i for i, name in enumerate(head) if name.casefold() == "seed" and i != at]:
        _check_seeds(path, [(number, row[place]) for number, row in rows])
    return [accuracy_in(f"{path}, line {number}", row[at]) for number, row in rows]


def _rows(path: str | Path) -> list[tuple[int, list[str]]]:
    """Return the lines of a CSV that are not empty at its end, each with its number."""
    text = read_text(path)
    # Not `splitlines`, for which a line also ends where a form feed or a paragraph separator is.
    reader = csv.reader(io.StringIO(text.rstrip(), newline=""), strict=True)
    try:
        return [(reader.line_num, [value.strip() for value in row] or [""]) for row in reader]
    except csv.Error as error:
        raise ContractError(f"{path}, line {reader.line_num}: expected a CSV, got {error}.") from error


def read_text(path: str | Path) -> str:
    """Return the text of a file in UTF-8."""
    try:
        return read(path, _LARGEST).decode("utf-8-sig")
    except OSError as error:
        advice = " Save what it gives in a file." if error.errno == errno.EINVAL else ""
        raise ContractError(f"{path}: expected a readable file, got: {error.strerror}.{advice}") from error
    except UnicodeDecodeError as error:
        raise ContractError(f"{path}: expected UTF-8 text, got {error}. Save it as UTF-8.") from error


def _column(path: str | Path, line: int, head: Sequence[str], column: str) -> int:
    """Return the place of the column in a head, which has each name once."""
    if all(map(is_number, head)):
        raise ContractError(
            f"{path}, line {line}: expected one accuracy, or the names of columns, got {len(head)} numbers. Write a "
            f"decimal point, not a comma; or give the columns names, one of them {column!r}."
        )
    if len(head) > 1 and not head[-1] and all(map(is_number, filter(None, head))):
        raise ContractError(
            f"{path}, line {line}: expected one accuracy, or the names of columns, got a comma at the end. Remove it "
            "from each line."
        )
    if twice := [name for name, count in Counter(head).items() if count > 1]:
        raise ContractError(f"{path}, line {line}: expected each column once, got {shown(twice[0])} again.")
    if column in head:
        return head.index(column)
    if len(head) == 1 and column == COLUMN:
        return 0
    names = excerpt(", ".join(map(repr, head)), 200)
    raise ContractError(
        f"{path}, line {line}: expected a column {shown(column)}, got {names}.{did_you_mean(column, head)} Choose "
        "one with --column."
    )


def _check_seeds(path: str | Path, seeds: Sequence[tuple[int, str]]) -> None:
    """Make sure that no seed is there twice, as in a file that was joined to itself: a run would count twice."""
    lines: dict[str, int] = {}
    for number, seed in seeds:
        whole = _WHOLE.fullmatch(seed)
        if (first := lines.setdefault(whole[1] if whole else seed, number)) != number:
            raise ContractError(
                f"{path}, line {number}: expected another seed on each line, got {shown(seed)} of line {first} again. "
                "A run counts once: remove the others."
            )


def is_number(text: str) -> bool:
    """Return whether somebody meant a number, although it may be none that is allowed."""
    try:
        float(text.removesuffix("%"))
    except ValueError:
        return False
    return True


def accuracy_in(where: str, text: str) -> float:
    """Return the accuracy that a text is, which is at the place `where`."""
    if not _NUMBER.fullmatch(text):
        hint = " Divide what is in per cent by 100." if text.endswith("%") else ""
        hint = " Separate columns by commas." if re.search("[;\t]", text) else hint
        raise ContractError(f"{where}: expected an accuracy from 0 to 1, got {shown(text)}.{hint}")
    check_accuracy(where, value := float(text))
    return value


def check_accuracy(where: str, value: Any) -> None:
    """Make sure that the value at the place `where` is a number, and an accuracy."""
    number = isinstance(value, Real) and not isinstance(value, bool)
    # Of a negative zero Python says that it is not below 0, and prints its sign.
    if not number or not 0 <= value <= 1 or math.copysign(1, value) < 0:
        hint = " Divide what is in per cent by 100." if number and 1 < value <= 100 else ""  # noqa: PLR2004 - per cent
        raise ContractError(f"{where}: expected an accuracy from 0 to 1, got {value!r}.{hint}")
