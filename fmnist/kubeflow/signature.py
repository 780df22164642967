"""What the function of a component declares: its parameters, and the artifacts that it reads and writes."""

import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any, get_type_hints

from fmnist.steps.errors import ContractError
from fmnist.steps.messages import kind_of

__all__ = ["check_called", "check_function", "types_of"]

_ASYNC = "Write it without 'async', and have asyncio.run run what it awaits."
_YIELD = "Return what it yields, as a list."

#: What kfp calls, and does not run: how it is known, what it is, and what to do.
_NOT_RUN: tuple[tuple[Callable[[Any], bool], str, str], ...] = (
    (inspect.iscoroutinefunction, "a coroutine function", _ASYNC),
    (inspect.isasyncgenfunction, "an asynchronous generator function", _ASYNC),
    (inspect.isgeneratorfunction, "a generator function", _YIELD),
)


def check_function(function: Any) -> None:
    """Make sure that kfp can make a step of this: a function with a text of its own.

    Raises
    ------
    ContractError
        If it is something else, or a function that kfp does not run.
    """
    got, advice = "", "Define one with 'def' at the top of a file."
    if hasattr(function, "python_func"):
        got, advice = kind_of(function), "Give the function that it was made of: its python_func."
    elif not isinstance(function, FunctionType):
        got = kind_of(function)
    elif function.__code__.co_name == "<lambda>":
        got = "a lambda"
    if got:
        raise ContractError(f"component: expected a function, got {got}. {advice}")
    check_called(function)


def check_called(function: Any) -> None:
    """Make sure that a function does what it has to when kfp calls it, not only when something awaits it or wraps it.

    Raises
    ------
    ContractError
        If it does not.
    """
    written = inspect.unwrap(function)  # kfp takes the text of that
    for is_one, got, advice in _NOT_RUN:
        if is_one(written):
            raise ContractError(f"step {written.__name__}: expected a function, got {got}. {advice}")
    if written is not function:
        raise ContractError(
            f"step {written.__name__}: expected a function as it is written, got one that a decorator wraps, which a "
            "step leaves behind. Do in the function what the decorator does."
        )


def types_of(function: Callable[..., Any]) -> dict[str, dict[str, Any]]:
    """Return the types of a function's parameters, of the artifacts that it reads and of those that it writes."""
    from kfp.dsl.types import type_annotations as kinds

    found: dict[str, dict[str, Any]] = {"parameters": {}, "inputs": {}, "outputs": {}}
    noted = get_type_hints(function, include_extras=True)
    for name, declared in get_type_hints(function).items():
        kind, note = map(kinds.maybe_strip_optional_from_annotation, (declared, noted[name]))
        notes = getattr(note, "__metadata__", ())
        writes = kinds.OutputAnnotation in notes or isinstance(kind, kinds.OutputPath)
        reads = kinds.InputAnnotation in notes or isinstance(kind, kinds.InputPath) or kinds.is_artifact_class(kind)
        if name != "return":
            found["outputs" if writes else "inputs" if reads else "parameters"][name] = kind
    return found
