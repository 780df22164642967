"""The program file, same.yaml: which pipeline to run where, with which parameters.

It is read with PyYAML's safe loader into a tree of nodes that know their lines, and of that tree only the keys of the
format are looked at: nothing in the file is executed, and aliases that stand for billions of values are never expanded.
"""

import difflib
import math
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, TypeVar, get_origin

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, ValidationError, ValidationInfo
from pydantic_core import ErrorDetails, PydanticCustomError

from fmnist.cluster.arguments import LARGEST_WHOLE
from fmnist.steps.errors import ContractError

__all__ = [
    "FILE_NAME",
    "Metadata",
    "Pipeline",
    "Program",
    "Run",
    "Workflow",
    "WorkflowParameters",
    "load",
    "run_parameters",
]

FILE_NAME = "same.yaml"

#: A program file is a page of text: what is larger is another file.
LARGEST = 64 * 1024

#: A version is text, also where YAML takes it for a number and 1.10 for 1.1.
_TEXT = {("metadata", "version"), ("workflow", "parameters", "kubeflowVersion")}

Value = bool | int | float | str
Path_ = tuple[str, ...]


def _refuse(expected: str) -> NoReturn:
    raise PydanticCustomError("expected", "{expected}", {"expected": expected})


def _checked_value(value: Any) -> Value:
    if not isinstance(value, Value):
        _refuse("a number, boolean or string")
    if isinstance(value, float) and not math.isfinite(value):
        _refuse("a finite number")
    if isinstance(value, int) and abs(value) > LARGEST_WHOLE:
        _refuse("a whole number, at most 2**53 from zero")
    return value


def _checked_package(value: Any, info: ValidationInfo) -> Path:
    """Return the absolute path of a pipeline file, which lies in the folder of the program file."""
    folder: Path = info.context["folder"].resolve()  # type: ignore[index]  # `_read` gives one
    wanted = "the path of a .py file, or of a compiled .yaml file, in the folder of the program file"
    if not isinstance(value, str) or Path(value).is_absolute():
        _refuse(f"{wanted}, relative to it")
    try:
        path = (folder / value).resolve()
        is_file = path.is_file()
    except (OSError, RuntimeError, ValueError):
        # Too long, a loop of links, or a character that no path has.
        _refuse(wanted)
    if not path.is_relative_to(folder):
        _refuse(f"{wanted}, not outside of it")
    if path.suffix not in {".py", ".yaml"}:
        _refuse(wanted)
    if not is_file:
        _refuse(f"{wanted}, which exists")
    return path


Name = Annotated[str, Field(min_length=1)]


class _Part(BaseModel):
    """A mapping of the file; other keys are not part of it."""

    model_config = ConfigDict(strict=True, frozen=True)


class Metadata(_Part):
    """What the program is called."""

    name: Name
    version: str = ""


class WorkflowParameters(_Part):
    """The Kubeflow for which the program was written; a note for people."""

    kubeflowVersion: str = ""  # noqa: N815 - the format's name
    kubeflowNamespace: str = ""  # noqa: N815 - the format's name


class Workflow(_Part):
    """Where the program runs."""

    type: Literal["kubeflow"] = "kubeflow"
    parameters: WorkflowParameters = WorkflowParameters()


class Pipeline(_Part):
    """The pipeline: its name, and the absolute path of the Python file that defines it, or of the compiled file."""

    name: Name
    description: Annotated[str, BeforeValidator(lambda value: "" if value is None else value)] = ""
    package: Annotated[Path, PlainValidator(_checked_package)]


class Run(_Part):
    """The run: its name and the parameters of the pipeline, each a number, boolean or string."""

    name: Name = "default"
    parameters: Annotated[
        dict[str, Annotated[Value, PlainValidator(_checked_value)]],
        BeforeValidator(lambda value: {} if value is None else value),
    ] = Field(default_factory=dict)


class Program(_Part):
    """A program file that is as it should be."""

    apiVersion: Literal["projectsame.io/v1alpha1"]  # noqa: N815 - the format's name
    metadata: Metadata
    workflow: Workflow = Workflow()
    pipeline: Pipeline
    run: Run = Run()


class _Runnable(_Part):
    """A program file as a run here needs it, where the pipeline is known."""

    run: Run


Part = TypeVar("Part", bound=_Part)


def load(path: str | Path, on_warning: Callable[[str], object] = warnings.warn) -> Program:
    """Return the program in the file at `path`.

    Parameters
    ----------
    path : path
        The program file.
    on_warning : callable
        Told of each key that is not used, and so ignored.

    Raises
    ------
    ContractError
        If the file is not a program file: the line, what was expected and what was got.
    """
    return _read(Path(path), Program, on_warning)


def run_parameters(path: str | Path) -> dict[str, Value]:
    """Return ``run.parameters`` of the program file at `path`, whatever else is in it.

    Raises
    ------
    ContractError
        If the file cannot be read, is not YAML, or has no ``run``, or its ``run.parameters`` is there and is not a
        mapping of numbers, booleans and strings.
    """
    return _read(Path(path), _Runnable, lambda _: None).run.parameters


class _Loader(yaml.SafeLoader):
    """The safe loader, which refuses what it could not construct also where nothing is constructed."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        node = super().compose_node(parent, index)
        if node is not None and node.tag not in {*self.yaml_constructors, "tag:yaml.org,2002:merge"}:
            raise yaml.constructor.ConstructorError(None, None, f"no plain data, but {node.tag!r}", node.start_mark)
        return node


def _read(path: Path, part: type[Part], on_warning: Callable[[str], object]) -> Part:
    node = _composed(path)
    if node is None:
        raise ContractError(f"program file {path}: expected a mapping, got an empty file.")
    reader = _Reader(path, on_warning)
    value = reader.mapping(node, part, ())
    try:
        return part.model_validate(value, context={"folder": path.parent})
    except ValidationError as error:
        first = min(error.errors(), key=lambda detail: reader.line(detail["loc"]))
        raise reader.error(first) from None


def _composed(path: Path) -> yaml.Node | None:
    """Return the file's tree of nodes, or None if it is empty."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise ContractError(f"program file: expected YAML in {path}, got: {error}.") from error
    if len(content) > LARGEST:
        raise ContractError(f"program file {path}: expected at most {LARGEST} bytes, got more.")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _error(path, line, "text in UTF-8", f"the byte {content[error.start]:#04x}") from error
    try:
        return yaml.compose(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        trouble = ", ".join(filter(None, (error.context, error.problem)))
        raise _error(path, mark.line + 1 if mark else 1, "YAML", f"an error {trouble}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise _error(path, line, "YAML", f"the character {error.character!r}") from error
    except RecursionError:
        raise ContractError(f"program file {path}: expected YAML of a few levels, got too many.") from None
    except (OverflowError, ValueError) as error:
        # PyYAML lets "\UFFFFFFFF" through to `chr`.
        raise ContractError(f"program file {path}: expected YAML, got: {error}.") from error


class _Reader:
    """Turns nodes into plain values along a model, and remembers the line of each."""

    def __init__(self, path: Path, on_warning: Callable[[str], object]) -> None:
        self._path, self._on_warning = path, on_warning
        self._lines: dict[tuple[str | int, ...], int] = {}
        self._got: dict[tuple[str | int, ...], str] = {}
        self._scalars = yaml.constructor.SafeConstructor()

    def mapping(self, node: yaml.Node, part: type[_Part] | None, path: Path_) -> Any:
        """Return the content of a mapping: of a `part` those keys that it has, otherwise all, which are scalars."""
        if not isinstance(node, yaml.MappingNode):
            return self.scalar(node, path)
        self._note(node, path, "a mapping")
        values = {}
        for key, line, child in self._items(node, path):
            if part and key not in part.model_fields:
                self._warn(key, line, part, path)
                continue
            kind = part.model_fields[key].annotation if part else None
            inner = (*path, key)
            if isinstance(kind, type) and issubclass(kind, _Part):
                values[key] = self.mapping(child, kind, inner)
            elif get_origin(kind) is dict:
                values[key] = self.mapping(child, None, inner)
            else:
                values[key] = self.scalar(child, inner)
        return values

    def scalar(self, node: yaml.Node, path: Path_) -> Any:
        """Return a scalar, or for a list or mapping something that no model takes."""
        if not isinstance(node, yaml.ScalarNode):
            self._note(node, path, "a mapping" if isinstance(node, yaml.MappingNode) else "a list")
            return object()
        value = self._constructed(node)
        # What is no text is told as it is written.
        shown = repr(value) if isinstance(value, str | bytes) else node.value
        self._note(node, path, "nothing" if value is None else _excerpt(shown))
        return node.value if path in _TEXT and isinstance(value, int | float) else value

    def line(self, path: tuple[str | int, ...]) -> int:
        """Return the line of what is at `path`, or of the nearest mapping around it that is there."""
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path, 1)

    def error(self, detail: ErrorDetails) -> ContractError:
        """Return what the model says of a value, in the file's own terms."""
        path = detail["loc"]
        match detail["type"]:
            case "model_type" | "dict_type":
                expected = "a mapping"
            case "missing":
                expected = "this key"
            case "string_type":
                expected = "text (a number in quotes is text)"
            case "string_too_short":
                expected = "text that is not empty"
            case "literal_error":
                expected = detail["ctx"]["expected"]
            case _:
                expected = detail["msg"]
        return _error(self._path, self.line(path), expected, self._got.get(path, "no such key"), of=_dotted(path))

    def _items(self, node: yaml.MappingNode, path: Path_) -> Iterator[tuple[str, int, yaml.Node]]:
        """Give each key with its line and value."""
        seen: dict[str, int] = {}
        for key, child in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise _error(self._path, line, "a key that is text", "a list or a mapping")
            if key.value in seen:
                of = _dotted((*path, key.value))
                raise _error(self._path, line, "it once", f"it again after line {seen[key.value]}", of)
            seen[key.value] = line
            yield key.value, line, child

    def _warn(self, key: str, line: int, part: type[_Part], path: Path_) -> None:
        used = ", ".join(part.model_fields)
        near = difflib.get_close_matches(key, part.model_fields, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        self._on_warning(
            f"program file {self._path}, line {line}: {_dotted((*path, key))} is not used and ignored; used are "
            f"{used}.{hint}"
        )

    def _constructed(self, node: yaml.ScalarNode) -> Any:
        try:
            value = self._scalars.construct_object(node)
            if isinstance(value, str):
                value.encode()
        except (yaml.YAMLError, ArithmeticError, AttributeError, LookupError, ValueError) as error:
            # PyYAML has many kinds of error for a text that is not what its tag says, as in "!!int ten".
            kind = node.tag.rpartition(":")[2]
            line = node.start_mark.line + 1
            raise _error(
                self._path, line, f"a value that YAML can read as {kind}", _excerpt(repr(node.value))
            ) from error
        return value

    def _note(self, node: yaml.Node, path: Path_, got: str) -> None:
        self._lines[path], self._got[path] = node.start_mark.line + 1, got


def _error(path: Path, line: int, expected: str, got: str, of: str = "") -> ContractError:
    what = f"{of}: expected" if of else "expected"
    return ContractError(f"program file {path}, line {line}: {what} {expected}, got {got}.")


def _dotted(path: tuple[str | int, ...]) -> str:
    """Return the name of a value; what would not show in a message is escaped."""
    name = ".".join(str(key) for key in path)
    return _excerpt(name if name.isprintable() else repr(name))


def _excerpt(text: str, length: int = 100) -> str:
    return text if len(text) <= length else text[:length] + " ..."
