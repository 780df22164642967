"""Tests of what the tasks of a compiled pipeline take from each other."""

from pathlib import Path

import pytest
from kfp import compiler, dsl
from kfp.dsl import Artifact, Input, Output

from fmnist.kubeflow.compiled import documents
from fmnist.kubeflow.edges import edges
from fmnist.steps.errors import ContractError


@dsl.component(base_image="python")  # type: ignore[untyped-decorator]
def name(number: int, made: Output[Artifact]) -> list[str]:
    """Give a list."""
    return [str(number)]


@dsl.component(base_image="python")  # type: ignore[untyped-decorator]
def make(text: str, made: Output[Artifact], near: Input[Artifact]) -> str:
    """Give an artifact and a value."""
    return text


@dsl.component(base_image="python")  # type: ignore[untyped-decorator]
def join(all_made: Input[list[Artifact]], texts: list[str]) -> int:
    """Take lists."""
    return len(texts)


@dsl.component(base_image="python")  # type: ignore[untyped-decorator]
def count(texts: list[str]) -> int:
    """Take a list."""
    return len(texts)


@dsl.component(base_image="python")  # type: ignore[untyped-decorator]
def tell(text: str, one: Input[Artifact]) -> None:
    """Take one of each."""


@dsl.pipeline  # type: ignore[untyped-decorator]
def part(number: int) -> Artifact:
    """Hand on an artifact of a task in it."""
    return name(number=number).outputs["made"]


@dsl.pipeline(name="all")  # type: ignore[untyped-decorator]
def everything(number: int = 1) -> None:
    """Have a part, a loop and three branches."""
    names, inner = name(number=number), part(number=number)
    with dsl.ParallelFor(names.outputs["Output"]) as text:
        made = make(text=text, near=inner.output)
        count(texts=names.outputs["Output"])
    joined = join(all_made=dsl.Collected(made.outputs["made"]), texts=dsl.Collected(made.outputs["Output"]))
    with dsl.If(joined.output > 1):
        first = make(text="a", near=names.outputs["made"])
    with dsl.Elif(joined.output > 0):
        second = make(text="b", near=names.outputs["made"])
    with dsl.Else():
        third = make(text="c", near=names.outputs["made"])
    chosen = dsl.OneOf(first.outputs["Output"], second.outputs["Output"], third.outputs["Output"])
    tell(text=chosen, one=dsl.OneOf(first.outputs["made"], second.outputs["made"], third.outputs["made"]))


@dsl.pipeline  # type: ignore[untyped-decorator]
def several() -> list[Artifact]:
    """Loop over a list that no task makes, and hand on all that the loop makes."""
    made = name(number=1)
    with dsl.ParallelFor(["a", "b"]) as text:
        collected = make(text=text, near=made.outputs["made"])
    together: list[Artifact] = dsl.Collected(collected.outputs["made"])
    return together


@dsl.pipeline(name="lists")  # type: ignore[untyped-decorator]
def listed() -> None:
    """Loop over artifacts."""
    with dsl.ParallelFor(several().output) as one:
        tell(text="a", one=one)


FIRST, SECOND, THIRD = (f"condition-branches-2/condition-{number}/make-{number - 1}" for number in (3, 4, 5))


@pytest.mark.parametrize(
    ("pipeline", "expected"),
    [
        (
            everything,
            {
                ("name", "Output", "for-loop-1/make"),
                ("name", "Output", "for-loop-1/count"),
                ("part/name", "made", "for-loop-1/make"),
                ("for-loop-1/make", "made", "join"),
                ("for-loop-1/make", "Output", "join"),
                ("join", "Output", "condition-branches-2/condition-3"),
                ("join", "Output", "condition-branches-2/condition-4"),
                ("join", "Output", "condition-branches-2/condition-5"),
                ("name", "made", FIRST),
                ("name", "made", SECOND),
                ("name", "made", THIRD),
                (FIRST, "Output", "tell"),
                (SECOND, "Output", "tell"),
                (THIRD, "Output", "tell"),
                (FIRST, "made", "tell"),
                (SECOND, "made", "tell"),
                (THIRD, "made", "tell"),
            },
        ),
        (
            listed,
            {
                ("several/name", "made", "several/for-loop-2/make"),
                ("several/for-loop-2/make", "made", "for-loop-1/tell"),
            },
        ),
    ],
    ids=["parts", "lists"],
)
def test_what_goes_into_a_part_and_comes_out_is_followed(
    pipeline: object, expected: set[tuple[str, str, str]], tmp_path: Path
) -> None:
    """Each end is a task that runs something, by its path, or a condition."""
    compiler.Compiler().compile(pipeline, str(tmp_path / "pipeline.yaml"))
    [spec] = documents((tmp_path / "pipeline.yaml").read_bytes())
    assert set(edges(spec)) == expected


def test_a_condition_asks_for_what_it_names_whole() -> None:
    """An input whose name another one begins with is not asked for."""
    inputs = {
        name: {"taskOutputParameter": {"producerTask": name, "outputParameterKey": "Output"}} for name in ("a", "a-2")
    }
    asks = {"condition": "inputs.parameter_values['a-2'] == 'x'"}
    leaf = {"componentRef": {"name": "leaf"}}
    branch = {"componentRef": {"name": "part"}, "triggerPolicy": asks, "inputs": {"parameters": inputs}}
    spec = {
        "root": {"dag": {"tasks": {"a": leaf, "a-2": leaf, "if": branch}}},
        "components": {
            "leaf": {"outputDefinitions": {"parameters": {"Output": {"parameterType": "STRING"}}}},
            "part": {"dag": {"tasks": {"b": leaf}}},
        },
    }
    assert list(edges(spec)) == [("a-2", "Output", "if")]


@dsl.pipeline(name="either")  # type: ignore[untyped-decorator]
def either(number: int = 1) -> None:
    """Loop over what one of two branches gives, which kfp compiles without the output of the branches."""
    with dsl.If(number > 0):
        first = name(number=number)
    with dsl.Else():
        second = name(number=0)
    with dsl.ParallelFor(dsl.OneOf(first.outputs["Output"], second.outputs["Output"])) as text:
        count(texts=[text])


@dsl.pipeline(name="apart")  # type: ignore[untyped-decorator]
def apart(number: int = 1) -> None:
    """Take the items of a loop apart below a condition, which kfp compiles as if they came from outside of it."""
    with dsl.If(number > 0), dsl.ParallelFor([{"a": 1}, {"a": 2}]) as item:
        name(number=item.a)


@dsl.pipeline(name="within")  # type: ignore[untyped-decorator]
def within() -> None:
    """Put a part of the items of a loop, which a task gives, into a text."""
    with dsl.ParallelFor(name(number=1).outputs["Output"]) as item:
        count(texts=[f"{item.a}"])


@pytest.mark.parametrize(
    ("pipeline", "said"),
    [
        (
            within,
            "an output Output-loop-item-subvar-a of name, which another task takes, got none. kfp looks outside of a "
            "loop for its items where they are taken apart, as in item.a, below a condition or within a text: give the "
            "whole item to the task.",
        ),
        (
            either,
            "an output pipelinechannel--condition-branches-1-oneof-1 of condition-branches-1, which another task "
            "takes, got none. kfp forgets that of branches which a loop goes over: give dsl.OneOf to a task, and loop "
            "over what that returns.",
        ),
        (
            apart,
            "an input loop-item-param-2 of the pipeline, which condition-1 takes, got none. kfp looks outside of a "
            "loop for its items where they are taken apart, as in item.a, below a condition or within a text: give the "
            "whole item to the task.",
        ),
    ],
    ids=["output of a task", "output", "input"],
)
def test_what_no_part_gives_is_told(pipeline: object, said: str, tmp_path: Path) -> None:
    """No server finds it either."""
    compiler.Compiler().compile(pipeline, str(tmp_path / "pipeline.yaml"))
    [spec] = documents((tmp_path / "pipeline.yaml").read_bytes())
    with pytest.raises(ContractError) as caught:
        list(edges(spec))
    assert str(caught.value) == f"compiled pipeline: expected {said}"


@pytest.mark.parametrize("kind", ["artifact", "parameter"])
@pytest.mark.parametrize("declared", [{}, {"near": {}}])
def test_an_input_of_a_part_is_one_that_it_declares(kind: str, declared: dict[str, object]) -> None:
    """The part is named by its path."""
    takes = {"inputs": {f"{kind}s": {"text": {f"componentInput{kind.title()}": "far"}}}}
    leaf = {"componentRef": {"name": "leaf"}}
    part = {"dag": {"tasks": {"b": leaf | takes}}, "inputDefinitions": {f"{kind}s": declared}}
    spec = {
        "root": {"dag": {"tasks": {"a": {"componentRef": {"name": "part"}}}}},
        "components": {"leaf": {}, "part": part},
    }
    with pytest.raises(ContractError, match="expected an input far of a, which a/b takes, got none"):
        list(edges(spec))


def test_what_a_task_takes_is_of_one_that_is_there() -> None:
    """A file that somebody edited may name another one."""
    takes = {"parameters": {"text": {"taskOutputParameter": {"producerTask": "a", "outputParameterKey": "Output"}}}}
    task = {"componentRef": {"name": "leaf"}, "inputs": takes}
    with pytest.raises(ContractError, match="expected a task a, of which b takes an output, got none"):
        list(edges({"root": {"dag": {"tasks": {"b": task}}}, "components": {"leaf": {}}}))
