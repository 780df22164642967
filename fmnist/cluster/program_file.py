"""The program file, same.yaml: which pipeline to run, with which parameters.

PyYAML's safe loader reads it into a tree of nodes that know their lines. Of that tree only the keys of the format are
looked at: nothing in the file is executed, and aliases that stand for billions of values are never expanded.
"""

import math
import re
from collections.abc import Callable, Iterator
from functools import reduce
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, TypeVar, get_origin

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, ValidationError, ValidationInfo
from pydantic_core import PydanticCustomError

from fmnist.cluster.arguments import LARGEST_WHOLE
from fmnist.steps.checks import NUMBER
from fmnist.steps.errors import ContractError
from fmnist.steps.files import opened
from fmnist.steps.messages import did_you_mean, excerpt

__all__ = ["FILE_NAME", "Program", "load", "run_parameters"]

#: The name of a program file, and its bytes at most: it is a page of text, and what is larger is another file.
FILE_NAME, LARGEST = "same.yaml", 64 * 1024

#: Numbers and booleans as JSON and -p have them: YAML 1.1 also takes 010 for 8, 1:30 for 90 and yes for true.
_PLAIN = re.compile(NUMBER + "|(?i:true|false)", re.ASCII)

#: What a message says instead of pydantic's "Input should be ...", by the type of the error.
_EXPECTED = {
    "model_type": "a mapping",
    "dict_type": "a mapping",
    "missing": "this key",
    "string_type": "text (a number in quotes is text)",
    "string_too_short": "text that is not empty",
}

Name = Annotated[str, Field(min_length=1)]
Value = bool | int | float | str
Keys = tuple[str | int, ...]
OnWarning = Callable[[str], object]


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


def _checked_pipeline_file(value: Any, info: ValidationInfo) -> Path:
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
    if not is_file or path.suffix not in {".py", ".yaml"}:
        _refuse(f"{wanted}, which exists")
    return path


class _Section(BaseModel):
    """A mapping of the file; keys that it has no field for are ignored."""

    model_config = ConfigDict(strict=True, frozen=True)


class MetadataSection(_Section):
    """The program's name and version."""

    name: Name
    version: str = ""


class WorkflowSection(_Section):
    """The kind of cluster that the program is for; where that cluster is, the command line says."""

    type: Literal["kubeflow"] = "kubeflow"


class PipelineSection(_Section):
    """The pipeline: its name, and the absolute path of the Python file that defines it, or of the compiled file."""

    name: Name
    description: Annotated[str, BeforeValidator(lambda value: "" if value is None else value)] = ""
    package: Annotated[Path, PlainValidator(_checked_pipeline_file)]


class RunSection(_Section):
    """The run: its name and the parameters of the pipeline, each a number, boolean or string."""

    name: Name = "default"
    parameters: Annotated[
        dict[str, Annotated[Value, PlainValidator(_checked_value)]],
        BeforeValidator(lambda value: {} if value is None else value),
    ] = Field(default_factory=dict)


class Program(_Section):
    """A valid program file."""

    apiVersion: Literal["projectsame.io/v1alpha1"]  # noqa: N815 - the format's name
    metadata: MetadataSection
    workflow: WorkflowSection = WorkflowSection()
    pipeline: PipelineSection
    run: RunSection = RunSection()


class _Runnable(_Section):
    """What a run here needs of a program file, because it knows the pipeline, and what else belongs there."""

    run: RunSection
    apiVersion: Any = None  # noqa: N815 - the format's name
    metadata: Any = None
    workflow: Any = None
    pipeline: Any = None


Section = TypeVar("Section", bound=_Section)


def load(path: str | Path, on_warning: OnWarning) -> Program:
    """Return the program in the file at `path`; call `on_warning` with a message for each key that has no effect.

    Raises
    ------
    ContractError
        If the file is not a program file: the line, what was expected and what was got.
    """
    return _read(Path(path), Program, on_warning)


def run_parameters(path: str | Path, on_warning: OnWarning = lambda _: None) -> dict[str, Value]:
    """Return ``run.parameters`` of the program file at `path`, whatever else is in it.

    This calls `on_warning` as `load` does, for keys of a program file and of its ``run``.

    Raises
    ------
    ContractError
        As `load`, but only for what is in ``run``.
    """
    return _read(Path(path), _Runnable, on_warning).run.parameters


class _Loader(yaml.SafeLoader):
    """The safe loader, which refuses a tag that it could not construct already where it composes nodes."""

    def __init__(self, text: str, path: Path) -> None:
        super().__init__(text)
        self.name = str(path)

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        node = super().compose_node(parent, index)
        if node is not None and node.tag not in {*self.yaml_constructors, "tag:yaml.org,2002:merge"}:
            raise yaml.constructor.ConstructorError(None, None, f"no plain data, but {node.tag!r}", node.start_mark)
        return node


def _read(path: Path, section: type[Section], on_warning: OnWarning) -> Section:
    root = _composed(path)
    try:
        return section.model_validate(_value(root, section, (), on_warning), context={"folder": path.parent})
    except ValidationError as error:
        raise _refusal(root, error) from None


def _composed(path: Path) -> yaml.Node:
    """Return the file's tree of nodes, each with its file and line."""
    try:
        with opened(path) as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise ContractError(f"program file: expected YAML in {path}, got: {error}.") from error
    at = f"program file {path}"
    if len(content) > LARGEST:
        raise _error(at, f"at most {LARGEST} bytes", "more")
    try:
        node = _Loader(content.decode(), path).get_single_node()
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise _error(f"{at}, line {line}", "text in UTF-8", f"the byte {content[error.start]:#04x}") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        trouble = ", ".join(filter(None, (error.context, error.problem)))
        raise _error(f"{at}, line {line}", "YAML", f"an error {trouble}") from error
    except yaml.reader.ReaderError as error:
        line = content.decode()[: error.position].count("\n") + 1
        raise _error(f"{at}, line {line}", "YAML", f"the character {error.character!r}") from error
    except RecursionError:
        raise _error(at, "YAML of a few levels", "too many") from None
    except (OverflowError, ValueError) as error:
        # PyYAML lets "\UFFFFFFFF" through to `chr`.
        raise _error(at, "YAML", str(error)) from error
    if node is None:
        raise _error(at, "a mapping", "an empty file")
    return node


def _value(node: yaml.Node, kind: Any, keys: Keys, on_warning: OnWarning) -> Any:
    """Return a scalar's value or, where `kind` is a section or a dict, a dict; else what no model takes."""
    if isinstance(node, yaml.ScalarNode):
        value = _scalar(node)
        # A version is text, also where YAML takes it for a number, and 1.10 for 1.1.
        if (number := isinstance(value, int | float)) and keys == ("metadata", "version"):
            return node.value
        if number and abs(value) < math.inf and not _PLAIN.fullmatch(node.value):
            expected = "a number as in 10, 0.5 or 1e-3, true or false, or text in quotes"
            raise _error(_at(node), expected, _shown(node), keys)
        return value
    fields, values = getattr(kind, "model_fields", None), {}
    if not isinstance(node, yaml.MappingNode) or not (fields or get_origin(kind) is dict):
        return object()
    for key, child in _items(node, keys):
        name = key.value
        if fields is None or name in fields:
            values[name] = _value(child, fields[name].annotation if fields else None, (*keys, name), on_warning)
        else:
            known = f"expected one of {', '.join(fields)}.{did_you_mean(name, fields)}"
            on_warning(f"{_at(key)}: {_dotted((*keys, name))} has no effect: {known}")
    return values


def _items(node: yaml.MappingNode, keys: Keys) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
    """Give each key and its value; a key is text, and is there once."""
    lines: dict[str, int] = {}
    for key, child in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _error(_at(key), "a key that is text", "a list or a mapping")
        if key.value in lines:
            raise _error(_at(key), "it once", f"it again after line {lines[key.value]}", (*keys, key.value))
        lines[key.value] = key.start_mark.line + 1
        yield key, child


def _scalar(node: yaml.ScalarNode) -> Any:
    try:
        value = yaml.constructor.SafeConstructor().construct_object(node)
        str(value).encode()
    except (yaml.YAMLError, ArithmeticError, AttributeError, LookupError, ValueError) as error:
        # PyYAML has many kinds of error for a text that is not what its tag says, as in "!!int ten".
        kind = node.tag.rpartition(":")[2]
        raise _error(_at(node), f"a value that YAML can read as {kind}", excerpt(repr(node.value), 100)) from error
    return value


def _refusal(root: yaml.Node, error: ValidationError) -> ContractError:
    """Return pydantic's error about the value that comes first in the file, in the file's own terms."""
    found = ((reduce(_child, detail["loc"], root), detail) for detail in error.errors())
    node, detail = min(found, key=lambda one: one[0].start_mark.line)
    got = "no such key" if detail["type"] == "missing" else _shown(node)
    expected = _EXPECTED.get(detail["type"], detail["msg"].removeprefix("Input should be "))
    return _error(_at(node), expected, got, detail["loc"])


def _child(node: yaml.Node, key: str | int) -> yaml.Node:
    """Return the value at `key` or, where there is none, the mapping itself."""
    return next((child for name, child in node.value if name.value == key), node)


def _error(at: str, expected: str, got: str, keys: Keys = ()) -> ContractError:
    return ContractError(f"{at}: {f'{_dotted(keys)}: ' if keys else ''}expected {expected}, got {got}.")


def _at(node: yaml.Node) -> str:
    return f"program file {node.start_mark.name}, line {node.start_mark.line + 1}"


def _shown(node: yaml.Node) -> str:
    """Return a node as messages show it: text in quotes, another scalar as the file writes it."""
    if not isinstance(node, yaml.ScalarNode):
        return "a mapping" if isinstance(node, yaml.MappingNode) else "a list"
    if node.tag.endswith(":null"):
        return "nothing"
    return excerpt(node.value if node.style is None and not node.tag.endswith(":str") else repr(node.value), 100)


def _dotted(keys: Keys) -> str:
    """Return the name of a value; characters that a message cannot show are escaped."""
    name = ".".join(str(key) for key in keys)
    return excerpt(name if name.isprintable() else repr(name), 100)
