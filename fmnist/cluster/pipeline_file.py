"""Pipeline files: whether one is this package's, compiling one that somebody wrote, and reading a compiled one."""

import contextlib
import math
import re
import runpy
import shutil
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from fmnist.kubeflow import bundle
from fmnist.kubeflow.compiled import documents
from fmnist.kubeflow.edges import ITEMS, edges
from fmnist.kubeflow.undefined import sentences
from fmnist.steps.errors import ContractError
from fmnist.steps.files import read
from fmnist.steps.messages import excerpt

__all__ = ["check_checkout", "compile_pipeline_file", "is_ours", "read_compiled", "read_spec"]

#: What a server takes: so many bytes, and such a name of the pipeline.
LARGEST = 32 << 20
_NAME = re.compile("[a-z0-9][a-z0-9-]{0,127}")

#: What PyYAML and protobuf raise, beside their own errors, for a text that is not what its tag or its field says.
_ODD = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)

#: What to do about what kfp says: here of types that it takes for those of artifacts, and of the items of a loop.
_ADVICE = {
    "a schema_title and a schema_version": " Annotate parameters with str, int, float, bool, list or dict, and "
    "artifacts with Input or Output. Leave out 'from __future__ import annotations', which makes texts of all of "
    "these.",
    "loop-item": ITEMS,
}


def compile_pipeline_file(source: Path, output: str | Path, on_warning: Callable[[str], None] = lambda _: None) -> Path:
    """Compile the pipeline in the file `source` into the file `output`, and return that path.

    This executes a Python file, as ``kfp dsl compile --py`` does, and gives the same bytes; what the file prints goes
    to stderr. It copies a YAML file, which is compiled already, if it is a pipeline. It calls `on_warning` with a
    message for each step that uses names which it does not define, and for the first that takes what nothing gives.

    Raises
    ------
    ContractError
        If a Python file cannot be executed, does not define one pipeline, or that pipeline does not compile; or if a
        YAML file is no pipeline.
    """
    if source.suffix == ".yaml":
        read_compiled(source)
        shutil.copyfile(source, output)
    else:
        _compile(source, output)
    for sentence in sentences(spec := read_spec(output)):
        on_warning(sentence)
    try:
        list(edges(spec))
    except ContractError as error:
        on_warning(str(error))
    return Path(output)


def _compile(source: Path, output: str | Path) -> None:
    from kfp import compiler

    try:
        with contextlib.redirect_stdout(sys.stderr):
            compiler.Compiler().compile(_pipeline(_executed(source), source), str(output))
    except ContractError:
        raise
    except (Exception, SystemExit) as error:  # somebody's file may raise anything
        raise _explained(error, source) from error


def read_spec(compiled: str | Path) -> dict[str, Any]:
    """Return the document of a compiled pipeline, without the one for Kubernetes that may follow it."""
    return dict(documents(Path(compiled).read_bytes())[0])


def read_compiled(path: str | Path) -> tuple[bytes, dict[str, Any]]:
    """Return the content of a compiled pipeline, and its document without the one for Kubernetes.

    Raises
    ------
    ContractError
        If it is none: a server would fail on many of such files, or never answer.
    """
    from google.protobuf import json_format
    from kfp.pipeline_spec import pipeline_spec_pb2

    try:
        content = read(path, LARGEST)
        first, *more = documents(content)
        if _size([first, more], {}) > LARGEST:
            raise ValueError("its aliases stand for too much")
        spec = json_format.ParseDict(first, pipeline_spec_pb2.PipelineSpec())
        for one in more:
            json_format.ParseDict(one, pipeline_spec_pb2.PlatformSpec())
        good = _NAME.fullmatch(spec.pipeline_info.name) and spec.root.dag.tasks and len(more) <= 1
        got = f"one called {spec.pipeline_info.name!r}, with {len(spec.root.dag.tasks)} tasks"
    except OSError as error:
        good, got = False, f"a file that cannot be read: {error.strerror or error}"
    except (yaml.YAMLError, json_format.ParseError, RecursionError, *_ODD) as error:
        good, got = False, _kind(error, content)
    if not good:
        raise ContractError(
            f"pipeline file {path}: expected a compiled pipeline, as `fmnist compile` or kfp writes one, with tasks "
            f"and a name of a-z, 0-9 and -; got {excerpt(' '.join(got.split()), 300)}."
        )
    return content, dict(first)


def _size(value: Any, known: dict[int, float]) -> float:
    """Return how many values and characters there are where each alias is written out; for one in itself, no end."""
    if not isinstance(value, dict | list):
        return len(value) if isinstance(value, str | bytes) else 1
    if id(value) not in known:
        known[id(value)] = math.inf
        inner = [*value, *value.values()] if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_size(one, known) for one in inner)
    return known[id(value)]


def _kind(error: Exception, content: bytes) -> str:
    """Return what a file is that is no compiled pipeline."""
    if not content.strip():
        return "an empty file"
    if content.startswith((b"PK", b"\x1f\x8b")):
        return "an archive: unpack it"
    return f"{'no YAML' if isinstance(error, yaml.YAMLError | UnicodeDecodeError) else 'another document'}: {error}"


def is_ours(source: Path) -> bool:
    """Return whether the file `source` defines this package's pipeline, in whatever checkout."""
    ours = bundle.read(bundle.PACKAGE / "pipeline.py")
    try:
        # A checkout with Windows' ends of lines has some more.
        return read(source, 2 * len(ours)).replace(b"\r\n", b"\n") == ours
    except OSError:
        return False


def check_checkout(source: Path) -> None:
    """Make sure that a checkout around `source` has the code of the package that is installed, which would run.

    Raises
    ------
    ContractError
        If a file there has other code, or is missing.
    """
    for folder in source.parents:
        sources = bundle.source_files(["**/*.py"]) if (folder / "kubeflow" / "bundle.py").exists() else {}
        for name, content in sources.items():
            path = folder.parent / name
            if not path.exists() or bundle.read(path) != content:
                raise ContractError(
                    f"pipeline: expected the code of the fmnist that is installed, in {bundle.PACKAGE}, got another "
                    f"{path}. Install that checkout first, with pip install -e {folder.parent}."
                )


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
    advice = " Move the others into another module, and import that whole, as in 'import parts'." if found else ""
    raise ContractError(f"pipeline file {source}: expected one pipeline, got {names or 'none'}.{advice}")


def _explained(error: BaseException, source: Path) -> ContractError:
    """Return what the file at `source` raised as one message with its line there."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(source)]
    if isinstance(error, SyntaxError) and error.filename == str(source):
        lines.append(error.lineno)
    where = f"{source}, line {lines[-1]}" if lines else source
    said = error.msg if isinstance(error, SyntaxError) else str(error)
    got = excerpt(" ".join(f"{type(error).__name__}: {said}".split()).rstrip(":."), 300)
    advice = "".join(what for sign, what in _ADVICE.items() if sign in got)
    return ContractError(f"pipeline file {where}: expected a pipeline that compiles, got {got}.{advice}")
