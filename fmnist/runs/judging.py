"""What a user gives to be judged: accuracies of any runs, and what was published; and the folder of what is found."""

import csv
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from fmnist.replication import published, verdict
from fmnist.replication.published import Figure
from fmnist.replication.results import Judged
from fmnist.report import FILE_NAME, page, pictures
from fmnist.runs.findings import VERDICT
from fmnist.runs.models import Share, Text
from fmnist.steps.errors import ContractError
from fmnist.steps.files import canonical_json, read, write
from fmnist.steps.messages import did_you_mean, excerpt, shown

__all__ = ["COLUMN", "figures_of", "judge", "read_accuracies", "read_figures", "single", "write_judged"]

#: The column of a table of accuracies, as `fmnist study` names it.
COLUMN = "accuracy"

#: The bytes of a file, the accuracies in one, and the figures that one picture has room for.
_LARGEST, _MOST, _MOST_FIGURES = 2**24, 100_000, 3

_NUMBER = re.compile(r"(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)

_PICTURES = ("distribution.png", "distribution.svg", "distribution-dark.svg")


def judge(accuracies: Sequence[float], figures: Sequence[Figure] | float, margin: float = verdict.MARGIN) -> Judged:
    """Judge by `accuracies` of any runs whether published ones replicate, as a study does it.

    Parameters
    ----------
    accuracies : sequence of n float
        At least one, in [0, 1], each of a seed that was chosen before anybody saw its result.
    figures : sequence of Figure, or float
        What was published for such runs.
    margin : float
        How far the mean may be from a published accuracy, between 0 and 1; to be chosen before anybody saw a result.

    Raises
    ------
    ContractError
        If a value is not valid.

    Examples
    --------
    >>> judge([0.95, 0.96] * 10, 0.955).conclusions[0].verdict.outcome
    'replicated'
    """
    figures = [single(figures)] if isinstance(figures, float | int) else list(figures)
    values = [float(one) for one in accuracies]
    for i, value in enumerate(values):
        _check(f"accuracies[{i}]", value)
    if not 1 <= len(values) <= _MOST:
        raise ContractError(f"accuracies: expected 1 to {_MOST:,}, got {len(values):,}.")
    if not 1 <= len(figures) <= _MOST_FIGURES:
        raise ContractError(f"published accuracies: expected 1 to {_MOST_FIGURES} at once, got {len(figures)}.")
    if not 0 < margin < 1:
        raise ContractError(f"margin: expected a number greater than 0 and less than 1, got {margin!r}.")
    return Judged(values, figures, margin)


def single(accuracy: float) -> Figure:
    """Return the figure of a published accuracy of which nothing else is known.

    Raises
    ------
    ContractError
        If it is not from 0 to 1.
    """
    _check("published accuracy", accuracy)
    return Figure("published", "", accuracy, {}, "")


def figures_of(given: str, parameters: Mapping[str, Any] | None = None) -> list[Figure]:
    """Return the figures that a user names: an accuracy, or a file of them, which `read_figures` reads."""
    if _is_number(given):
        return [single(_accuracy("published accuracy", given))]
    return read_figures(given, parameters)


def read_accuracies(path: str | Path, column: str = COLUMN) -> list[float]:
    """Read the accuracies in a text file: one a line, or a column of a CSV.

    Parameters
    ----------
    path : path
        A regular file. If its first line has no number, that has the names of the columns.
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
    if len(head) > 1 or not _is_number(head[0]):
        at = _column(path, first, head, column)
        rows = rows[1:]
    for number, row in rows:
        if len(row) != len(head):
            raise ContractError(
                f"{path}, line {number}: expected as many values as in line {first}, which has {len(head)}, got "
                f"{len(row)}. Write a decimal point, not a comma."
            )
    if not rows or len(rows) > _MOST:
        raise ContractError(f"{path}: expected 1 to {_MOST:,} accuracies, got {len(rows):,}.")
    return [_accuracy(f"{path}, line {number}", row[at]) for number, row in rows]


def _rows(path: str | Path) -> list[tuple[int, list[str]]]:
    """Return the lines of a CSV that are not empty at its end, each with its number."""
    text = _text(path)
    reader = csv.reader(text.rstrip().splitlines(keepends=True), strict=True)
    try:
        return [(reader.line_num, [value.strip() for value in row] or [""]) for row in reader]
    except csv.Error as error:
        raise ContractError(f"{path}, line {reader.line_num}: expected a CSV, got {error}.") from error


def _text(path: str | Path) -> str:
    try:
        return read(path, _LARGEST).decode("utf-8-sig")
    except OSError as error:
        raise ContractError(f"{path}: expected a readable file, got: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ContractError(f"{path}: expected UTF-8 text, got {error}. Save it as UTF-8.") from error


def _column(path: str | Path, line: int, head: Sequence[str], column: str) -> int:
    """Return the place of the column in a head, which has each name once."""
    if all(map(_is_number, head)):
        raise ContractError(
            f"{path}, line {line}: expected one accuracy, or the names of columns, got {len(head)} numbers. Write a "
            f"decimal point, not a comma; or give the columns names, one of them {column!r}."
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


def _is_number(text: str) -> bool:
    """Return whether somebody meant a number, although it may be none that is allowed."""
    try:
        float(text.removesuffix("%"))
    except ValueError:
        return False
    return True


def _accuracy(where: str, text: str) -> float:
    if not _NUMBER.fullmatch(text):
        hint = " Divide what is in per cent by 100." if text.endswith("%") else ""
        raise ContractError(f"{where}: expected an accuracy from 0 to 1, got {shown(text)}.{hint}")
    _check(where, value := float(text))
    return value


def _check(where: str, value: float) -> None:
    if not 0 <= value <= 1:
        hint = " Divide what is in per cent by 100." if 1 < value <= 100 else ""  # noqa: PLR2004 - per cent
        raise ContractError(f"{where}: expected an accuracy from 0 to 1, got {value!r}.{hint}")


class _Figure(BaseModel):
    """A published figure, as published.json has it."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    name: Text
    by: Text = ""
    accuracy: Share
    parameters: dict[str, JsonValue] = {}
    compared_with: dict[str, JsonValue] | None = None
    note: str = ""
    source: str = ""
    class_names: list[str] | None = None
    confusion_matrix_true_by_predicted: list[list[int]] | None = None


class _Figures(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    description: str = ""
    figures: Annotated[list[_Figure], Field(min_length=1)]


def read_figures(path: str | Path, parameters: Mapping[str, Any] | None = None) -> list[Figure]:
    """Read published figures from a JSON file in the format of ``fmnist/replication/published.json``.

    Parameters
    ----------
    path : path
        A regular file.
    parameters : mapping, optional
        Those of the runs: the figures that were published for others are left out. A number may be text.

    Raises
    ------
    ContractError
        If the file is not one, or no figure is for `parameters`; or if these are not given, and it takes them to know
        which figures are meant.
    """
    text = _text(path)
    try:
        json.loads(text, object_pairs_hook=_once)
        found = _Figures.model_validate_json(text).figures
    except ValidationError as error:
        first = error.errors()[0]
        where = excerpt(".".join(map(str, first["loc"])), 100)
        raise ContractError(f"{path}: {where}{': ' if where else ''}{first['msg']}.") from error
    except (ValueError, RecursionError) as error:
        raise ContractError(f"{path}: expected JSON, got: {excerpt(str(error), 200)}.") from error
    if twice := [name for name, count in Counter(one.name for one in found).items() if count > 1]:
        raise ContractError(f"{path}: expected each figure's name once, got {shown(twice[0])} again.")
    figures = [published.figure(one.model_dump(exclude_none=True)) for one in found]
    if parameters is None:
        if any(one.parameters != figures[0].parameters for one in figures):
            raise ContractError(
                f"{path}: expected figures of the same parameters, got others. Say with -p which those of your runs "
                f"are, as {_options(figures[0].parameters)}."
            )
        return figures
    matching = [one for one in figures if one.parameters.items() <= _typed(parameters).items()]
    if not matching:
        raise ContractError(
            f"{path}: expected a figure for these parameters, got those for "
            f"{excerpt('; '.join(_options(one.parameters) for one in figures), 500)}."
        )
    return matching


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if twice := [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]:
        raise ValueError(f"the key {shown(twice[0])} twice")
    return dict(pairs)


def _typed(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as JSON has them, where they are text that JSON reads."""
    typed = dict(parameters)
    for name, value in parameters.items():
        try:
            typed[name] = json.loads(value) if isinstance(value, str) else value
        except (ValueError, RecursionError):
            continue
    return typed


def _options(parameters: Mapping[str, Any]) -> str:
    return " ".join(f"-p {name}={value}" for name, value in parameters.items()) or "no parameters"


def write_judged(judged: Judged, folder: str | Path) -> None:
    """Write verdicts, pictures and report into `folder`.

    Raises
    ------
    ContractError
        If `folder` holds anything but an earlier report of the kind; nothing is changed then.
    """
    folder = Path(folder)
    names = {VERDICT, FILE_NAME, *_PICTURES}
    if folder.is_dir() and (others := sorted({one.name for one in folder.iterdir()} - names)):
        raise ContractError(
            f"folder: expected a new one, or that of an earlier judgement, got {folder} with "
            f"{excerpt(', '.join(others), 200)}. Nothing was changed. Choose another folder with -o."
        )
    write(folder / VERDICT, canonical_json([one.as_json() for one in judged.conclusions]))
    pictures.save_distribution(judged, folder)
    page.write_report(judged, folder)
