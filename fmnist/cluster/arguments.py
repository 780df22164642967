"""Pipelines in files that somebody wrote: compiling them, and checking arguments against what they take."""

import contextlib
import difflib
import json
import math
import runpy
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from fmnist.steps.errors import ContractError

__all__ = ["LARGEST_WHOLE", "arguments", "compile", "read"]

#: Kubeflow keeps numbers as doubles: beyond this one a whole number may become another.
LARGEST_WHOLE = 2**53

#: What an input of each type of a compiled pipeline takes, in words and as a check.
_TYPES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "STRING": ("text", lambda value: isinstance(value, str)),
    "NUMBER_INTEGER": (
        "a whole number, at most 2**53 from zero",
        lambda value: isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST_WHOLE,
    ),
    "NUMBER_DOUBLE": (
        "a finite number",
        lambda value: isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value),
    ),
    "BOOLEAN": ("true or false", lambda value: isinstance(value, bool)),
    "LIST": ("a list as JSON, with finite numbers", lambda value: isinstance(value, list) and _is_json(value)),
    "STRUCT": ("a mapping as JSON, with finite numbers", lambda value: isinstance(value, dict) and _is_json(value)),
}


def compile(source: Path, output: str | Path) -> Path:  # noqa: A001 - as kfp calls it
    """Write the compiled pipeline of the file `source` to `output`, and return that path.

    A Python file is executed, as ``kfp dsl compile --py`` does it, to the same bytes; what it prints goes to stderr. A
    YAML file is compiled already: it is taken as it is if kfp can load it.

    Raises
    ------
    ContractError
        If a Python file cannot be executed, does not define one pipeline, or that pipeline does not compile; or if a
        YAML file is no pipeline.
    """
    from kfp import compiler, components

    with _explained(source), contextlib.redirect_stdout(sys.stderr):
        if source.suffix == ".yaml":
            components.load_component_from_file(str(source))
            shutil.copyfile(source, output)
        else:
            compiler.Compiler().compile(_pipeline(_executed(source), source), str(output))
    return Path(output)


def read(package: str | Path) -> dict[str, Any]:
    """Return the document of a compiled pipeline, without that for Kubernetes that may follow it."""
    document = next(yaml.safe_load_all(Path(package).read_text(encoding="utf-8")))
    return dict(document)


def arguments(spec: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return `values` as the inputs of a compiled pipeline: of their types, from text where they are text.

    Parameters
    ----------
    spec : mapping
        The document of the compiled pipeline.
    values : mapping
        By name: those of a program file, or text as people type it.

    Raises
    ------
    ContractError
        If the pipeline has no such input (the nearest is suggested), a value is not of its type, or an input that has
        no default is missing.

    Examples
    --------
    >>> inputs = {"epochs": {"parameterType": "NUMBER_INTEGER"}}
    >>> arguments({"root": {"inputDefinitions": {"parameters": inputs}}}, {"epochs": "3"})
    {'epochs': 3}
    """
    inputs = spec.get("root", {}).get("inputDefinitions", {}).get("parameters", {})
    for name in sorted(values.keys() - inputs.keys()):
        near = difflib.get_close_matches(name, inputs, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        known = f"one of {', '.join(inputs)}" if inputs else "none, as the pipeline takes none"
        raise ContractError(f"parameter: expected {known}, got {name!r}.{hint}")
    for name, definition in inputs.items():
        if not (name in values or "defaultValue" in definition or definition.get("isOptional")):
            raise ContractError(f"parameter {name}: expected a value, as the pipeline has no default, got none.")
    return {name: _argument(name, value, inputs[name]["parameterType"]) for name, value in values.items()}


def _executed(source: Path) -> dict[str, Any]:
    """Execute a Python file as kfp does, with its folder first on the path, and return what it defines."""
    sys.path.insert(0, str(source.parent))
    try:
        # Unlike an import, this takes no other module of that name, and leaves no bytecode in somebody's folder.
        return runpy.run_path(str(source), run_name=f"same_program_{source.stem}")
    finally:
        sys.path.remove(str(source.parent))


def _pipeline(defined: Mapping[str, Any], source: Path) -> Any:
    """Return the one pipeline that a file defines or, where there is none, its one component."""
    from kfp.cli.compile_ import is_component_func, is_pipeline_func

    for wanted in (is_pipeline_func, is_component_func):
        found = list({id(value): value for value in defined.values() if wanted(value)}.values())
        if len(found) == 1:
            return found[0]
        if found:
            break
    names = ", ".join(one.name for one in found)
    raise ContractError(f"pipeline file {source}: expected one pipeline, got {names or 'none'}.")


@contextlib.contextmanager
def _explained(source: Path) -> Iterator[None]:
    """Turn what the file at `source` raises into one message with its line there."""
    try:
        yield
    except ContractError:
        raise
    except (Exception, SystemExit) as error:  # somebody's file may raise anything
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(source)]
        if isinstance(error, SyntaxError) and error.filename == str(source):
            lines.append(error.lineno)
        where = f"{source}, line {lines[-1]}" if lines else source
        said = error.msg if isinstance(error, SyntaxError) else str(error)
        got = _excerpt(" ".join(f"{type(error).__name__}: {said}".split()).rstrip(":."))
        raise ContractError(f"pipeline file {where}: expected a pipeline that compiles, got {got}.") from error


def _argument(name: str, value: Any, kind: str) -> Any:
    """Return `value` as an input of the given type of a compiled pipeline."""
    expected, good = _TYPES.get(kind, ("a value that can be given", lambda _: False))
    read = value if kind == "STRING" or not isinstance(value, str) else _from_json(value)
    if not good(read):
        raise ContractError(f"parameter {name}: expected {expected}, got {_excerpt(repr(value))}.")
    return read


def _is_json(value: Any) -> bool:
    """Return whether all numbers are finite: no server takes others, though Python writes and reads them."""
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True


def _from_json(text: str) -> Any:
    with contextlib.suppress(ValueError, RecursionError):
        return json.loads(text.lower() if text.lower() in {"true", "false"} else text)
    return text


def _excerpt(text: str, length: int = 300) -> str:
    return text if len(text) <= length else text[:length] + " ..."
