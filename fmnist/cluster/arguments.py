"""Arguments for a compiled pipeline, checked against its inputs before anything is sent."""

import contextlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fmnist.steps.errors import ContractError
from fmnist.steps.messages import did_you_mean, shown

__all__ = ["LARGEST_WHOLE", "parse_arguments"]

#: Kubeflow keeps numbers as doubles: a whole number beyond this one may become another.
LARGEST_WHOLE = 2**53

_KEPT = "with finite numbers, whole ones up to 2**53"

#: What an input of each type of a compiled pipeline takes, in words and as a check.
_TYPES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "STRING": ("text", lambda value: isinstance(value, str) and _is_json(value)),
    "NUMBER_INTEGER": (
        "a whole number, at most 2**53 from zero",
        lambda value: isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST_WHOLE,
    ),
    "NUMBER_DOUBLE": (
        "a finite number",
        lambda value: isinstance(value, int | float) and not isinstance(value, bool) and _is_json(value),
    ),
    "BOOLEAN": ("true or false", lambda value: isinstance(value, bool)),
    "LIST": (f"a list as JSON, {_KEPT}", lambda value: isinstance(value, list) and _is_kept(value)),
    "STRUCT": (f"a mapping as JSON, {_KEPT}", lambda value: isinstance(value, dict) and _is_kept(value)),
}

#: What compilers before kfp 2 call a type.
_OLD_TYPES = {"INT": "NUMBER_INTEGER", "DOUBLE": "NUMBER_DOUBLE"}


def parse_arguments(spec: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return `values` in the types of the inputs of a compiled pipeline, whose document is `spec`.

    Values are by name: those of a program file, or text as people type it, which is read as its input's type.

    Raises
    ------
    ContractError
        If the pipeline has no such input (the nearest is suggested), a value is not of its type, or an input that has
        no default is missing.

    Examples
    --------
    >>> inputs = {"epochs": {"parameterType": "NUMBER_INTEGER"}}
    >>> parse_arguments({"root": {"inputDefinitions": {"parameters": inputs}}}, {"epochs": "3"})
    {'epochs': 3}
    """
    inputs = spec.get("root", {}).get("inputDefinitions", {}).get("parameters", {})
    for name in sorted(values.keys() - inputs.keys()):
        known = f"one of {', '.join(inputs)}" if inputs else "none, as the pipeline takes none"
        raise ContractError(f"parameter: expected {known}, got {name!r}.{did_you_mean(name, inputs)}")
    for name, definition in inputs.items():
        if not (name in values or "defaultValue" in definition or definition.get("isOptional")):
            raise ContractError(f"parameter {name}: expected a value, as the pipeline has no default, got none.")
    return {name: _argument(name, value, _type(inputs[name])) for name, value in values.items()}


def _type(definition: Mapping[str, Any]) -> str:
    """Return the type of an input, for which compilers before kfp 2 have another key."""
    old = str(definition.get("type"))
    return str(definition.get("parameterType") or _OLD_TYPES.get(old, old))


def _argument(name: str, value: Any, kind: str) -> Any:
    """Return `value` as an input of the given type of a compiled pipeline."""
    expected, good = _TYPES.get(kind, ("a value that can be given", lambda _: False))
    read = value if kind == "STRING" or not isinstance(value, str) else _from_json(value)
    if not good(read):
        raise ContractError(f"parameter {name}: expected {expected}, got {shown(value, 300)}.")
    # kfp's local runner takes a whole number for no other one.
    return float(read) if kind == "NUMBER_DOUBLE" else read


def _is_json(value: Any) -> bool:
    """Return whether a server can read it: all numbers are finite doubles, all text is UTF-8, and there is no more."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
        # A larger number has more digits than a double, and no server reads it.
        return all(math.isfinite(number) for number in _numbers(value))
    except (TypeError, ValueError, OverflowError, RecursionError):
        return False


def _is_kept(value: Any) -> bool:
    """Return whether a server can read it, and keeps each whole number in it."""
    return _is_json(value) and all(not isinstance(one, int) or abs(one) <= LARGEST_WHOLE for one in _numbers(value))


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _numbers(inner)
    elif isinstance(value, int | float):
        yield value


def _from_json(text: str) -> Any:
    with contextlib.suppress(ValueError, RecursionError):
        return json.loads(text.lower() if text.lower() in {"true", "false"} else text)
    return text
