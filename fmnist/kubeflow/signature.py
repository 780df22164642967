"""What the function of a component declares: its parameters, and the artifacts that it reads and writes."""

from collections.abc import Callable
from typing import Any, get_type_hints

__all__ = ["types_of"]


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
