"""What kfp's local runner gets wrong about the loops of a pipeline, mended for the time of a run.

It puts the item of a turn in the place of everything that the loop takes from other tasks and from outer loops. It
guesses what a loop goes over from the name of an input, and so takes the whole list of an outer loop for its item.
"""

import contextlib
import json
from collections.abc import Iterator
from functools import partial
from typing import Any

__all__ = ["mended"]


@contextlib.contextmanager
def mended() -> Iterator[None]:
    """Let kfp's local runner do what a pipeline says, until the end of the context."""
    from kfp.local.orchestrator import enhanced_dag_orchestrator as enhanced
    from kfp.local.orchestrator import task_spec_utils as specs

    ours: list[tuple[Any, str, Any]] = [
        (specs, "create_parameter_loop_iteration_task_spec", _turn),
        (enhanced, "_run_parallel_for_task", partial(_loop, vars(enhanced)["_run_parallel_for_task"])),
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
    made.ClearField("artifact_iterator")
    return made


def _loop(theirs: Any, *, task_spec: Any, io_store: Any, **others: Any) -> Any:
    """Run a loop as kfp does, over the values that its task says."""
    from kfp.local.orchestrator.orchestrator_utils import OrchestratorUtils

    made = type(task_spec)()
    made.CopyFrom(task_spec)
    items = made.parameter_iterator.items
    if name := items.input_parameter:
        inputs = type(made.inputs)(parameters={name: made.inputs.parameters[name]})
        value = OrchestratorUtils.make_task_arguments(inputs, io_store)[name]
        items.raw = value if isinstance(value, str) else json.dumps(value)
    return theirs(task_spec=made, io_store=io_store, **others)
