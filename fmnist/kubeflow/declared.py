"""What the function of a component declares: its parameters, and the artifacts that it reads and writes."""

from collections.abc import Callable
from typing import Any, get_type_hints

__all__ = ["types_of"]


def types_of(function: Callable[..., Any]) -> dict[str, dict[str, Any]]:
    """Return the types of a function's parameters, of the artifacts that it reads and of those that it writes."""
    from kfp.dsl.types import type_annotations as kinds

    found: dict[str, dict[str, Any]] = {"parameters": {}, "inputs": {}, "outputs": {}}
    for name, hint in get_type_hints(function, include_extras=True).items():
        marker = getattr(hint, "__metadata__", (None,))[0]
        writes = marker is kinds.OutputAnnotation or isinstance(hint, kinds.OutputPath)
        reads = not writes and (isinstance(hint, kinds.InputPath) or kinds.is_artifact_class(hint) or bool(marker))
        if name != "return":
            what = "inputs" if reads else "outputs" if writes else "parameters"
            found[what][name] = getattr(hint, "__origin__", hint) if marker and what != "parameters" else hint
    return found
