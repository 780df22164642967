"""What kfp's local runner gets wrong about what goes into a step and comes out, mended for the time of a run.

It gives whole numbers in lists and mappings as floats, and mappings in any order. It has errors of its own for a
parameter without a value, for a null in a list, for an artifact of one of several branches, and for a number that is
none. It gives a nested pipeline what the outer one calls by the same name, writes null into a text in the place of what
looks like a placeholder. It is content where a step gives no value that it declares, or writes one of another kind, and
finds no artifact of a step that ends its program itself.
"""

import contextlib
import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from fmnist.steps.errors import StepError
from fmnist.steps.messages import shown

__all__ = ["NOT_FINITE", "arguments", "as_text", "mends", "written"]

#: Said of a step that tells of a number which JSON has not.
NOT_FINITE = (
    "expected finite numbers, which a cluster can pass on, got a NaN or an infinity in what it returned or logged. "
    "Write it to a file instead."
)

#: What a cluster takes for false, and as many for true.
_BOOLEANS = ["0", "f", "F", "false", "False", "FALSE", "1", "t", "T", "true", "True", "TRUE"]

#: What a value of each kind is, its type, and what reads it from a text.
_READ: Mapping[str, tuple[str, type, Callable[[str], Any]]] = {
    "BOOLEAN": ("true or false", bool, lambda text: _BOOLEANS.index(text.strip()) >= len(_BOOLEANS) / 2),
    "NUMBER_INTEGER": ("a whole number", int, lambda text: int(_number_of(text))),
    "NUMBER_DOUBLE": ("a finite number", float, lambda text: float(_number_of(text))),
    "LIST": ("a list in JSON", list, json.loads),
    "STRUCT": ("a mapping in JSON", dict, json.loads),
}

#: An input or an output, in a text that kfp compiled.
_PASSED = re.compile(r"\{\{\$\.(?:in|out)puts\.(?:parameters|artifacts)\[.*?\}\}")

#: From this number on a server writes an exponent, and within JSON below the other.
_EXPONENT, _MILLIONTH = 1e21, Decimal("1e-6")

#: A small number in JSON, as Python writes it, or a text, in which there is none.
_SMALL = re.compile(r'"(?:[^"\\]|\\.)*"|(?P<number>-?[\d.]+e-\d+)')


def mends() -> list[tuple[Any, str, Any]]:
    """Return what is to be put in the place of kfp's own: where, its name there, and what."""
    from kfp.compiler import pipeline_spec_builder
    from kfp.local import executor_input_utils, executor_output_utils, placeholder_utils
    from kfp.local.orchestrator import task_spec_utils
    from kfp.local.orchestrator.orchestrator_utils import OrchestratorUtils as Utils

    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    placeholders = placeholder_utils.resolve_individual_placeholder
    return [
        (pipeline_spec_builder, "to_protobuf_value", _value),
        (executor_input_utils, "executor_input_to_dict", _as_sent),
        (executor_output_utils, "pb2_value_to_python", partial(_read, executor_output_utils.pb2_value_to_python)),
        (Utils, "make_task_arguments", staticmethod(partial(_given, Utils.make_task_arguments))),
        (Utils, "get_dag_output_artifacts", staticmethod(_artifacts)),
        (task_spec_utils, "build_nested_dag_arguments", _nested),
        (placeholder_utils, "resolve_individual_placeholder", partial(_replaced, placeholders, now)),
        (placeholder_utils, "resolve_io_placeholders", partial(_passed, placeholder_utils.resolve_io_placeholders)),
        (executor_output_utils, "special_dsl_outputpath_read", _from_path),
        (executor_output_utils, "load_executor_output", partial(_told, executor_output_utils.load_executor_output)),
        (
            executor_output_utils,
            "get_outputs_from_executor_output",
            partial(_complete, executor_output_utils.get_outputs_from_executor_output),
        ),
    ]


def arguments(spec: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a pipeline as kfp's local runner takes them: without None, and with floats as such."""
    inputs = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    floats = {name for name, one in inputs.items() if one.get("parameterType") == "NUMBER_DOUBLE"}
    return {
        name: float(value) if name in floats and type(value) is int else value
        for name, value in given.items()
        if value is not None
    }


def _value(value: Any) -> Any:
    """Return a value as kfp passes it on, which may hold a null."""
    from google.protobuf import json_format, struct_pb2

    return json_format.ParseDict(value, struct_pb2.Value())


def _as_sent(executor_input: Any, component_spec: Any) -> dict[str, Any]:
    """Return what a step gets as a cluster writes it.

    Whole numbers have no point, mappings are in order, and where a text is asked for all else is text.
    """
    from google.protobuf import json_format
    from kfp.pipeline_spec.pipeline_spec_pb2 import ParameterType

    found = dict(_written(json_format.MessageToDict(executor_input)))
    given = found.get("inputs", {}).get("parameterValues", {})
    for name, one in component_spec.input_definitions.parameters.items():
        if one.parameter_type == ParameterType.STRING and not isinstance(given.get(name), str | None):
            given[name] = _text(given[name])
    return found


def as_text(value: Any) -> str:
    """Return a value as a part of a pipeline gets it where a text is asked for."""
    return value if isinstance(value, str) else _text(_written(value))


def _text(value: Any) -> str:
    """Return a value as the text that a server makes of it: a number without exponent, or JSON as Go escapes it."""
    if isinstance(value, float):
        return f"{Decimal(repr(value)):f}"
    text = _SMALL.sub(_number, json.dumps(value, separators=(",", ":"), ensure_ascii=False))
    return re.sub("[<>&\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text)


def _number(found: re.Match[str]) -> str:
    """Return a number as Go writes it into JSON: its exponent has no leading zero, and a millionth or more has none."""
    if (number := found["number"]) and abs(Decimal(number)) >= _MILLIONTH:
        return f"{Decimal(number):f}"
    return number.replace("e-0", "e-") if number else found[0]


def _written(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _written(value[name]) for name in sorted(value)}
    if isinstance(value, list):
        return list(map(_written, value))
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < _EXPONENT else value


def _read(theirs: Any, value: Any) -> Any:
    """Read a value as kfp does, but for one that is none, as a parameter has without a default."""
    return theirs(value) if value.WhichOneof("kind") else None


def _given(theirs: Any, task_inputs_spec: Any, io_store: Any) -> dict[str, Any]:
    """Return the arguments of a task, without those that have no value: its own defaults are in their place."""
    found = theirs(task_inputs_spec=task_inputs_spec, io_store=io_store)
    return {name: value for name, value in found.items() if value is not None}


def _nested(task_spec: Any, component_spec: Any, io_store: Any, **_: Any) -> dict[str, Any]:
    """Return the arguments of a part of a pipeline: what its task says, None for artifacts that are optional."""
    from kfp.local.orchestrator.orchestrator_utils import OrchestratorUtils

    for name, one in task_spec.inputs.parameters.items():
        if found := _PASSED.search(str(one.runtime_value)):
            raise StepError(
                f"expected a value for {name!r}, got a text with {_named(found)!r} in it, which is put there for a "
                "step alone. Make the text in a step, or in the inner pipeline."
            )
    optional = {name: None for name, one in component_spec.input_definitions.artifacts.items() if one.is_optional}
    return {**optional, **OrchestratorUtils.make_task_arguments(task_spec.inputs, io_store)}


def _artifacts(dag_outputs_spec: Any, io_store: Any) -> dict[str, Any]:
    """Return the artifacts that a part of a pipeline gives: of several for one name, that of the branch that ran."""
    found: dict[str, Any] = {}
    for name, spec in dag_outputs_spec.artifacts.items():
        for one in spec.artifact_selectors:
            with contextlib.suppress(ValueError):
                found[name] = io_store.get_task_output(one.producer_subtask, one.output_artifact_key)
        if name not in found:
            raise ValueError(f"expected an artifact for the output {name!r}, got none of any branch")
    return found


def _replaced(theirs: Any, now: str, element: str, *, pipeline_resource_name: str, **others: Any) -> Any:
    """Replace the placeholders in a text as kfp does, and those that it does not know: a name and two times."""
    from kfp import dsl

    element = element.replace(dsl.PIPELINE_JOB_RESOURCE_NAME_PLACEHOLDER, pipeline_resource_name)
    for placeholder in (dsl.PIPELINE_JOB_CREATE_TIME_UTC_PLACEHOLDER, dsl.PIPELINE_JOB_SCHEDULE_TIME_UTC_PLACEHOLDER):
        element = element.replace(placeholder, now)
    return theirs(element, pipeline_resource_name=pipeline_resource_name, **others)


def _passed(theirs: Any, executor_input: Any, command: str) -> str:
    """Replace inputs and outputs in a text as kfp does, but leave what only looks like one, as in a template of Go."""
    within = bool(_PASSED.search(command)) and _is_mapping(command)

    def replaced(found: re.Match[str]) -> str:
        value = str(theirs(executor_input, found[0]))
        if within and json.dumps(value, ensure_ascii=False) != f'"{value}"':
            raise StepError(
                f"expected {_named(found)!r}, a part of a text in a list or a mapping, to have neither quotes, "
                f"backslashes nor line ends, which change the JSON around it, got {shown(value)}. Hand it on by "
                "itself, or make that text in a step."
            )
        return value

    return _PASSED.sub(replaced, command)


def _named(found: re.Match[str]) -> str:
    """Return the name of what `_PASSED` found, as a pipeline calls it."""
    return str(re.findall(r"[\w-]+", found[0])[2]).removeprefix("pipelinechannel--")


def _is_mapping(text: str) -> bool:
    """Return whether a text is a mapping as JSON, as the inputs of a step are."""
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _told(theirs: Any, executor_output_path: str) -> Any:
    """Read what a step told as kfp does, and refuse what is no JSON, as a cluster does."""
    if (path := Path(executor_output_path)).is_file():
        json.loads(path.read_bytes(), parse_constant=_refuse)
    return theirs(executor_output_path)


def _from_path(parameter_name: str, output_file: str, dtype: int) -> Any:
    """Read the value that a step wrote to a path."""
    from kfp.pipeline_spec.pipeline_spec_pb2 import ParameterType

    kind = ParameterType.ParameterTypeEnum.Name(dtype)
    return written(parameter_name, kind, Path(output_file).read_bytes().decode(errors="backslashreplace"))


def written(name: str, kind: str, text: str) -> Any:
    """Return the value of the output `name` that a step wrote to its path as `text`, read as a cluster does.

    Raises
    ------
    StepError
        If it is of another kind.
    """
    if kind == "STRING":
        return text
    expected, wanted, read = _READ[kind]
    with contextlib.suppress(ValueError, RecursionError):
        if isinstance(value := read(text), wanted):
            return value
    raise StepError(
        f"expected {expected} at the path of its output {name!r}, which a cluster reads, got {shown(text)}. Write that "
        "alone, or declare an output of another type."
    )


def _number_of(text: str) -> str:
    """Return the number that a text has, which Python reads in more ways than a cluster."""
    if not re.fullmatch(r"[-+.eE0-9]+", text.strip()) or not math.isfinite(float(text)):
        raise ValueError(text)
    return text


def _complete(theirs: Any, executor_output: Any, executor_input: Any, component_spec: Any) -> dict[str, Any]:
    """Return what a step gave, with the artifacts of which it told nothing; a value may not be missing."""
    from google.protobuf import json_format

    declared, told = executor_input.outputs, Path(executor_input.outputs.output_file)
    if not told.exists():  # the program ended before kfp could write it
        for name, made in declared.artifacts.items():
            executor_output.artifacts[name].CopyFrom(made)
        told.parent.mkdir(parents=True, exist_ok=True)
        told.write_text(json_format.MessageToJson(executor_output), encoding="utf-8")
    given: dict[str, Any] = theirs(
        executor_output=executor_output, executor_input=executor_input, component_spec=component_spec
    )
    if missing := [name for name in declared.parameters if name not in given]:
        raise StepError(
            "expected a value for each output that it declares, without which a cluster ends it, got none for "
            f"{', '.join(map(repr, missing))}. Return one, also where there is nothing to tell."
        )
    return given


def _refuse(_: str) -> None:
    raise StepError(NOT_FINITE)
