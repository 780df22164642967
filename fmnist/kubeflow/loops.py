"""What kfp's local runner gets wrong about loops, conditions and failures, mended for the time of a run.

It puts the item of a turn in the place of everything that the loop takes from other tasks and from outer loops. It
guesses what a loop goes over from the name of an input, and so takes the whole list of an outer loop for its item. Of
two loops over artifacts, one in the other, it takes the turn of the inner one for both. What a loop in a loop gives it
collects in a list of lists, of which a server makes one list.

It guesses what a condition is about in the same way, does not quote it, compares a number with the text that a server
has made of it, and skips what depends on a condition that it cannot evaluate: the run ends well without those steps.

After a step that failed it runs others, such as those that clean up, and does not say what happened first.
"""

import contextlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import chain
from typing import Any

from fmnist.kubeflow import values
from fmnist.kubeflow.compiled import ASKED, asked
from fmnist.kubeflow.inputs import check_unchanged, state
from fmnist.steps.errors import StepError

__all__ = ["mended", "with_inputs"]

#: In a condition: an input of its task, a text, or an operator that Python has not.
_PART = re.compile(rf"{ASKED}|'[^']*'|&&|\|\||!(?=\()")
_OPERATORS = {"&&": " and ", "||": " or ", "!": " not "}


@contextlib.contextmanager
def mended(failed: Callable[[str], None]) -> Iterator[None]:
    """Let kfp's local runner do what a pipeline says, until the end of the context.

    What fails is told to `failed` at once, with no text if it is the step that said so itself.
    """
    from kfp.local.orchestrator import enhanced_dag_orchestrator as enhanced
    from kfp.local.orchestrator import task_executor as executor
    from kfp.local.orchestrator import task_spec_utils as specs

    ours: list[tuple[Any, str, Any]] = [
        (specs, "create_parameter_loop_iteration_task_spec", _turn),
        (specs, "create_artifact_loop_iteration_task_spec", _artifact_turn),
        (specs, "get_artifact_iterator_items", _artifacts),
        (enhanced, "_run_parallel_for_task", partial(_loop, vars(enhanced)["_run_parallel_for_task"])),
        (enhanced.ConditionEvaluator, "evaluate_condition", staticmethod(partial(_holds, failed))),
        (enhanced, "execute_task", partial(_task, enhanced.execute_task, failed)),
        (executor, "execute_single_task", partial(_step, executor.execute_single_task, failed)),
        *values.mends(),
    ]
    theirs = [(place, name, vars(place)[name]) for place, name, _ in ours]
    try:
        for place, name, one in ours:
            setattr(place, name, one)
        yield
    finally:
        for place, name, one in theirs:
            setattr(place, name, one)


def _turn(original_task_spec: Any, loop_item: Any, loop_task_name: str) -> Any:  # noqa: ARG001 - kfp gives it
    """Return the task of a turn: that of the loop, with `loop_item` in the one input that is meant for it."""
    from kfp.compiler.pipeline_spec_builder import to_protobuf_value

    made = type(original_task_spec)()
    made.CopyFrom(original_task_spec)
    place = made.inputs.parameters[original_task_spec.parameter_iterator.item_input]
    place.runtime_value.constant.CopyFrom(to_protobuf_value(loop_item))
    made.ClearField("parameter_iterator")
    return made


def _artifact_turn(task_spec: Any, turn: int, _: str, name: str) -> Any:
    """Return the task of a turn: that of the loop, with an artifact in its input `name`, which is meant for it."""
    made = type(task_spec)()
    made.CopyFrom(task_spec)
    made.inputs.artifacts[name].component_input_artifact = f"{name}-iteration-{turn}"
    made.ClearField("artifact_iterator")
    return made


def _artifacts(task_spec: Any, io_store: Any, _: str) -> tuple[Any, str, int]:
    """Return the artifacts that a loop goes over, the input for one of them, and how many turns may be at once."""
    from kfp.local.orchestrator.orchestrator_utils import OrchestratorUtils

    iterator = task_spec.artifact_iterator
    given = OrchestratorUtils.make_task_arguments(task_spec.inputs, io_store)
    return given[iterator.items.input_artifact], iterator.item_input, 1


def _loop(theirs: Any, *, task_name: str, task_spec: Any, components: Any, io_store: Any, **others: Any) -> Any:
    """Run a loop as kfp does, over the values that its task says; what it gives without any turn is empty."""
    from kfp.local.orchestrator.orchestrator_utils import OrchestratorUtils
    from kfp.pipeline_spec.pipeline_spec_pb2 import ParameterType

    made = type(task_spec)()
    made.CopyFrom(task_spec)
    component, iterator = components[task_spec.component_ref.name], made.parameter_iterator
    if name := iterator.items.input_parameter:
        inputs = type(made.inputs)(parameters={name: made.inputs.parameters[name]})
        listed = OrchestratorUtils.make_task_arguments(inputs, io_store)[name]
        # Where a text is asked for, a server makes an empty one of a null.
        kind = component.input_definitions.parameters[iterator.item_input].parameter_type
        texts = kind == ParameterType.STRING
        iterator.items.raw = json.dumps(["" if texts and one is None else one for one in listed])
    given = component.output_definitions
    for output in (*given.parameters, *given.artifacts):
        io_store.put_task_output(task_name, output, [])
    result = theirs(task_name=task_name, task_spec=made, components=components, io_store=io_store, **others)
    for output in (*given.parameters, *given.artifacts):
        if _is_collected(component, output, components):
            lists = ([None] if turn is None else turn for turn in io_store.get_task_output(task_name, output))
            io_store.put_task_output(task_name, output, [*chain.from_iterable(lists)])
    return result


def _is_collected(component: Any, output: str, components: Any) -> bool:
    """Return whether an output of a part of a pipeline is what a loop in it gives: a server makes one list of all."""
    values_of, artifacts_of = component.dag.outputs.parameters, component.dag.outputs.artifacts
    if output in values_of:
        of = values_of[output]
        source = next(iter(of.value_from_oneof.parameter_selectors), of.value_from_parameter)
        key = source.output_parameter_key
    else:
        source = artifacts_of[output].artifact_selectors[0]
        key = source.output_artifact_key
    task = component.dag.tasks[source.producer_subtask]
    inner = components[task.component_ref.name]
    return bool(task.WhichOneof("iterator")) or (inner.HasField("dag") and _is_collected(inner, key, components))


def _step(theirs: Any, failed: Callable[[str], None], *, task_spec: Any, io_store: Any, **others: Any) -> Any:
    """Run a step as kfp does, with all its attempts, and tell if it failed."""
    from kfp.local.orchestrator.orchestrator_utils import OrchestratorUtils

    try:
        inputs = OrchestratorUtils.make_task_arguments(task_spec.inputs, io_store)
        before = state(inputs)
        outputs, status = theirs(task_spec=task_spec, io_store=io_store, **others)
        if status.name == "SUCCESS":
            check_unchanged(before, state(inputs))
    except Exception as error:
        said = error if isinstance(error, StepError) else f"{type(error).__name__}: {error}"
        failed(message := f"step {task_spec.component_ref.name.removeprefix('comp-')}: {said}")
        raise RuntimeError(message) from error
    if status.name == "FAILURE":
        failed("")
    return outputs, status


def _task(theirs: Any, failed: Callable[[str], None], *, task_name: str, **others: Any) -> Any:
    """Run a step or a part of a pipeline as kfp does, and tell why, if it could not: in a loop kfp drops that."""
    try:
        return theirs(task_name=task_name, **others)
    except Exception as error:
        failed(message := f"task {task_name}: {type(error).__name__}: {error}")
        raise RuntimeError(message) from error


def with_inputs(task: Mapping[str, Any], part: Mapping[str, Any]) -> str:
    """Return the condition of a task together with the inputs that it is about, of which kfp tells the names alone.

    With them are the names of those that are texts to the component of the task, its `part` of the pipeline.
    """
    kinds = part.get("inputDefinitions", {}).get("parameters", {})
    inputs = asked(task)
    texts = [name for name in inputs if kinds.get(name, {}).get("parameterType") == "STRING"]
    return json.dumps([task["triggerPolicy"]["condition"], inputs, texts])


def _holds(failed: Callable[[str], None], condition: str, io_store: Any) -> bool:
    """Say whether a condition `with_inputs` is met."""
    from google.protobuf import json_format
    from kfp.local.orchestrator.orchestrator_utils import OrchestratorUtils
    from kfp.pipeline_spec.pipeline_spec_pb2 import TaskInputsSpec

    text, parameters, texts = json.loads(condition)
    try:
        inputs = json_format.ParseDict({"parameters": parameters}, TaskInputsSpec())
        given = OrchestratorUtils.make_task_arguments(inputs, io_store)
        given |= {name: values.as_text(given[name]) for name in texts if name in given}
        names = {"given": given, "true": True, "false": False}
        functions = {"int": int, "double": float, "__builtins__": {}}
        # It is of the pipeline, whose steps run here too.
        return bool(eval(_PART.sub(_python, text), {**names, **functions}))  # noqa: S307
    except Exception as error:
        message = f"condition: expected one that can be evaluated, got {text}: {type(error).__name__}: {error}"
        failed(message)
        raise RuntimeError(message) from error


def _python(part: re.Match[str]) -> str:
    return f"given[{part[1]!r}]" if part[1] else _OPERATORS.get(part[0], part[0])
