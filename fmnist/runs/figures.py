"""Published figures that a user gives to be judged: an accuracy, or a JSON file of them."""

import json
import re
import shlex
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from fmnist.replication import published
from fmnist.replication.published import Figure
from fmnist.runs.accuracies import accuracy_in, check_accuracy, is_number, read_text
from fmnist.runs.schemas import Share, Text
from fmnist.steps.errors import ContractError
from fmnist.steps.messages import excerpt, shown
from fmnist.steps.redaction import without_secrets

__all__ = ["figures_of", "read_figures", "single"]

#: What an address has that lets people in: a user, or a parameter of such a name.
_SECRET = re.compile(
    r"://[^/?#\s]*@|[?&#;][^=?&#;\s]*(?:token|key|secret|pass|signature|credential|auth(?!or)|session|\bsig\b)[^=?&#;\s]*=",
    re.IGNORECASE,
)


def single(accuracy: float) -> Figure:
    """Return the figure of a published accuracy of which nothing else is known.

    Raises
    ------
    ContractError
        If it is not from 0 to 1.
    """
    check_accuracy("published accuracy", accuracy)
    return Figure("published", "", accuracy, {}, "")


def figures_of(given: str, parameters: Mapping[str, Any] | None = None) -> list[Figure]:
    """Return the figures that a user names: an accuracy, or a file of them, which `read_figures` reads."""
    if is_number(given):
        return [single(accuracy_in("published accuracy", given))]
    return read_figures(given, parameters)


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
        Those of the runs: the figures that were published for others are left out. A value may be given
        as its JSON.

    Raises
    ------
    ContractError
        If the file is not one, or no figure is for `parameters`; or if these are not given, and it takes them to know
        which figures are meant.
    """
    text = read_text(path)
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
    figures = [published.figure(_told(one)) for one in found]
    if parameters is None:
        if any(one.parameters != figures[0].parameters for one in figures):
            raise ContractError(
                f"{path}: expected figures of the same parameters, got others. Say with -p which those of your runs "
                f"are, as {_options(figures[0].parameters)}."
            )
        return figures
    meant = _apart(parameters)
    matching = [one for one in figures if _meant(_apart(one.parameters), meant)]
    if not matching:
        raise ContractError(
            f"{path}: expected a figure for these parameters, got those for "
            f"{excerpt('; '.join(_options(one.parameters) for one in figures), 500)}."
        )
    return matching


def _told(one: _Figure) -> dict[str, Any]:
    """Return a figure without what an address in it hides; a query that only names a page stays, as in forum?id=3."""
    values = one.model_dump(exclude_none=True)
    return values | {name: without_secrets(values[name]) for name in ("source", "note") if _SECRET.search(values[name])}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if twice := [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]:
        raise ValueError(f"the key {shown(twice[0])} twice")
    return dict(pairs)


def _meant(parameters: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    """Return whether all `parameters` of a figure are among those `given`, each as it is or as its JSON."""
    return all(name in given and value in (given[name], _read(given[name])) for name, value in parameters.items())


def _read(value: Any) -> Any:
    """Return what JSON reads in a text, if it reads it, or a value as it is."""
    try:
        return _apart(json.loads(value)) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return value


def _apart(value: Any) -> Any:
    """Return a value of JSON with others for true and false, which Python takes for 1 and 0."""
    match value:
        case bool():
            return bool, value
        case list():
            return [*map(_apart, value)]
        case Mapping():
            return {name: _apart(one) for name, one in value.items()}
    return value


def _options(parameters: Mapping[str, Any]) -> str:
    """Return what to type for these parameters."""
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in parameters.items()}
    return " ".join(shlex.join(["-p", f"{name}={text}"]) for name, text in texts.items()) or "no parameters"
