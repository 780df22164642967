"""Tests of what kfp's local runner gets wrong about loops and conditions; the pipelines are tests' own."""

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from google.protobuf import json_format
from kfp import compiler, dsl
from kfp.compiler import pipeline_spec_builder
from kfp.dsl import Dataset, Input, Output
from kfp.local import executor_input_utils, executor_output_utils, placeholder_utils
from kfp.local.io import IOStore
from kfp.local.orchestrator import enhanced_dag_orchestrator, orchestrator_utils, task_executor, task_spec_utils
from kfp.pipeline_spec import pipeline_spec_pb2

from fmnist.kubeflow import local, loops
from fmnist.steps.errors import StepError


def component(function: Callable[..., Any]) -> Any:
    """Return a component that installs nothing."""
    return dsl.component(function, base_image="python", install_kfp_package=False)


def run(pipeline: Callable[..., Any], folder: Path, log: io.StringIO | None = None) -> dict[str, Any]:
    """Compile a pipeline, run it in `folder`, and return the single value of each task that returned one."""
    path = folder / "pipeline.yaml"
    compiler.Compiler().compile(dsl.pipeline(pipeline), str(path))
    (folder / "work").mkdir()
    given = local.run_compiled(path, {}, folder / "work", log or io.StringIO())
    return {task: values["Output"] for task, values in given.items() if "Output" in values}


@component
def best_rate() -> str:
    """Return a rate."""
    return "0.1"


@component
def names() -> list:  # type: ignore[type-arg]
    """Return what a loop goes over."""
    return ["a", "b"]


@component
def say(word: str) -> str:
    """Return a word."""
    return word


@component
def rows() -> list[list[str]]:
    """Return lists, over each of which a loop goes."""
    return [["a", "b"], ["c"]]


@component
def join(first: str, second: str) -> str:
    """Return both words."""
    return f"{first}-{second}"


def one_loop() -> None:
    """Give each turn what another task returned too."""
    rate = best_rate()
    with dsl.ParallelFor(["sgd", "adam"]) as optimizer:
        join(first=optimizer, second=rate.output)


def nested_loops() -> None:
    """Go over what a task returned, and in each turn over more."""
    with dsl.ParallelFor(names().output) as name, dsl.ParallelFor(["sgd", "adam"]) as optimizer:
        join(first=name, second=optimizer)


def rows_of_rows() -> None:
    """Go over lists, and over what is in each."""
    rate = best_rate()
    with dsl.ParallelFor(rows().output) as row, dsl.ParallelFor(row) as one:
        join(first=one, second=rate.output)


def parts_of_items() -> None:
    """Go over a part of each item."""
    rate = best_rate()
    with dsl.ParallelFor([{"more": ["b", "c"]}, {"more": ["d"]}]) as item, dsl.ParallelFor(item.more) as one:
        join(first=one, second=rate.output)


@pytest.mark.parametrize(
    ("pipeline", "joined"),
    [
        (one_loop, ["sgd-0.1", "adam-0.1"]),
        (nested_loops, ["a-sgd", "a-adam", "b-sgd", "b-adam"]),
        (rows_of_rows, ["a-0.1", "b-0.1", "c-0.1"]),
        (parts_of_items, ["b-0.1", "c-0.1", "d-0.1"]),
    ],
)
def test_a_turn_gets_what_the_pipeline_says(pipeline: Callable[..., Any], joined: list[str], tmp_path: Path) -> None:
    """By itself kfp puts the item in the place of what other tasks returned, and of the items of other loops."""
    given = run(pipeline, tmp_path)
    assert [given[task] for task in sorted(given) if task.endswith("/join")] == joined


@component
def write(text: str, table: Output[Dataset]) -> None:
    """Write a text."""
    with open(table.path, "w") as file:  # noqa: PTH123 - kfp copies this text
        file.write(text)


@component
def read(one: Input[Dataset], other: Input[Dataset], word: str) -> str:
    """Return what two files hold, and a word."""
    with open(one.path) as first, open(other.path) as second:  # noqa: PTH123 - kfp copies this text
        return first.read() + second.read() + word


@dsl.pipeline  # type: ignore[untyped-decorator]
def several(texts: list) -> list[Dataset]:  # type: ignore[type-arg]
    """Give several artifacts."""
    with dsl.ParallelFor(texts) as text:
        written = write(text=text)
    return dsl.Collected(written.outputs["table"])  # type: ignore[no-any-return]


def loops_over_artifacts() -> None:
    """Go over artifacts, and in each turn over others, or over words; and the other way round."""
    tables, more = several(texts=["a", "b"]).output, several(texts=["c", "d"]).output
    with dsl.ParallelFor(tables) as table:
        with dsl.ParallelFor(more) as other:
            read(one=table, other=other, word="")
        with dsl.ParallelFor(["1", "2"]) as word:
            read(one=table, other=table, word=word)
    with dsl.ParallelFor(["1", "2"]) as word, dsl.ParallelFor(more) as other:
        read(one=other, other=other, word=word)


def test_a_turn_gets_its_own_artifact(tmp_path: Path) -> None:
    """By itself kfp takes that of an inner loop's turn of the same number, or finds none."""
    given = run(loops_over_artifacts, tmp_path)
    assert [given[task] for task in sorted(given)] == [
        *("ac", "ad", "aa1", "aa2"),
        *("bc", "bd", "bb1", "bb2"),
        *("cc1", "dd1", "cc2", "dd2"),
    ]


@component
def keep(word: str, table: Output[Dataset]) -> list:  # type: ignore[type-arg]
    """Write a word, and return it in a list."""
    with open(table.path, "w") as file:  # noqa: PTH123 - kfp copies this text
        file.write(word)
    return [word]


@component
def kept(words: list, tables: Input[list[Dataset]]) -> str:  # type: ignore[type-arg]
    """Return what comes in, as Python writes it."""
    return repr([words, [open(one.path).read() for one in tables]])  # noqa: PTH123 - kfp copies this text


def loops_in_loops() -> None:
    """Collect what a loop in a part in a loop gives."""
    with dsl.ParallelFor(["a", "b"]) as word, dsl.If(word != "c"), dsl.ParallelFor([1]):
        made = keep(word=word)
    kept(words=dsl.Collected(made.outputs["Output"]), tables=dsl.Collected(made.outputs["table"]))


def test_what_loops_in_loops_give_is_one_list(tmp_path: Path) -> None:
    """As a server collects it; a list that a step returned stays one. By itself kfp gives lists of lists."""
    assert run(loops_in_loops, tmp_path)["kept"] == "[[['a'], ['b']], ['a', 'b']]"


@component
def gather(words: list) -> str:  # type: ignore[type-arg]
    """Return what comes in, as Python writes it."""
    return repr(words)


@component
def none() -> list:  # type: ignore[type-arg]
    """Return nothing to go over."""
    return []


@component
def are_there(tables: Input[list[Dataset]]) -> bool:
    """Say whether there are artifacts."""
    return bool(tables)


def no_turn() -> None:
    """Collect what no turn of a loop gave."""
    with dsl.ParallelFor(none().output) as word:
        said, written = say(word=word), write(text=word)
    gather(words=dsl.Collected(said.output))
    are_there(tables=dsl.Collected(written.outputs["table"]))


def test_a_loop_may_have_no_turn(tmp_path: Path) -> None:
    """What is collected of it is empty, as on a cluster; by itself kfp has an error of its own."""
    assert run(no_turn, tmp_path) == {"none": [], "gather": "[]", "are-there": False}


def some_turns() -> None:
    """Collect what only some turns give."""
    with dsl.ParallelFor(["a", "b"]) as word, dsl.If(word == "b"):
        said = say(word=word)
    gather(words=dsl.Collected(said.output))


def some_tables() -> None:
    """Collect artifacts that only some turns give."""
    with dsl.ParallelFor(["a", "b"]) as word, dsl.If(word == "b"):
        written = write(text=word)
    are_there(tables=dsl.Collected(written.outputs["table"]))


@pytest.mark.parametrize(
    ("pipeline", "said"),
    [
        (some_turns, "Tried to get output "),
        (some_tables, "expected an artifact for the output "),
    ],
)
def test_a_turn_that_lacks_what_is_collected_is_named(pipeline: Callable[..., Any], said: str, tmp_path: Path) -> None:
    """By itself kfp says no more than that the loop failed, and the last step seemed to have."""
    with pytest.raises(StepError) as failed:
        run(pipeline, tmp_path)
    assert str(failed.value).startswith(f"task for-loop-2-iteration-0: ValueError: {said}")


@dsl.pipeline  # type: ignore[untyped-decorator]
def branches(side: str) -> Dataset:
    """Give the artifact of the branch that ran."""
    with dsl.If(side == "heads"):
        heads = write(text="heads")
    with dsl.Elif(side == "tails"):
        tails = write(text="tails")
    with dsl.Else():
        neither = write(text="neither")
    return dsl.OneOf(heads.outputs["table"], tails.outputs["table"], neither.outputs["table"])


@component
def text_of(table: Input[Dataset]) -> str:
    """Return what a file holds."""
    with open(table.path) as file:  # noqa: PTH123 - kfp copies this text
        return file.read()


def one_of() -> None:
    """Take the artifact of one branch of several."""
    for side in ("heads", "tails", "edge"):
        text_of(table=branches(side=side).output)


def test_the_artifact_of_the_branch_that_ran_is_taken(tmp_path: Path) -> None:
    """By itself kfp expects one branch."""
    assert run(one_of, tmp_path) == {"text-of": "heads", "text-of-2": "tails", "text-of-3": "neither"}


#: Where kfp's functions are replaced, and what is there before any run.
PLACES = (
    *(task_spec_utils, enhanced_dag_orchestrator, enhanced_dag_orchestrator.ConditionEvaluator, task_executor),
    *(orchestrator_utils.OrchestratorUtils, pipeline_spec_builder),
    *(executor_input_utils, executor_output_utils, placeholder_utils),
)
THEIRS = [dict(vars(place)) for place in PLACES]


def test_kfp_is_as_it_was_after_a_run() -> None:
    """Whoever calls a pipeline by kfp afterwards has kfp's own functions, each of them."""

    def replaced() -> list[str]:
        both = zip(PLACES, THEIRS, strict=True)
        return [name for place, before in both for name, one in before.items() if vars(place)[name] is not one]

    assert replaced() == []
    with contextlib.suppress(KeyError), loops.mended(lambda _: None):
        assert len(replaced()) == 18
        raise KeyError
    assert replaced() == []


@component
def measure() -> NamedTuple("Measured", [("accuracy", float), ("num_runs", int)]):  # type: ignore[valid-type]
    """Return two values by name."""
    return 0.9, 2


@component
def ask() -> bool:
    """Return a truth."""
    return True


def decisions() -> None:
    """Run a task for each condition that is met, and none for others."""
    measured, word, asked = measure(), say(word="it's && so"), ask()
    with dsl.If(measured.outputs["accuracy"] > 0.8):
        say(word="accurate")
    with dsl.If(measured.outputs["accuracy"] > 1):
        say(word="too accurate")
    with dsl.If(measured.outputs["num_runs"] > 1.5):
        say(word="runs")
    with dsl.If(word.output != "no"):
        say(word="not no")
    with dsl.If(word.output == "its && so"):
        say(word="other quotes")
    with dsl.If(asked.output == True):  # noqa: E712 - what is compiled
        say(word="true")
    with dsl.If(asked.output == False):  # noqa: E712 - what is compiled
        say(word="false")
    with dsl.If(say(word="a && b || !(c)").output == "a && b || !(c)"):
        say(word="operators")
    with dsl.If(say(word="this").output == "that"):
        say(word="this is that")
    with dsl.Elif(word.output == "no"):
        say(word="no")
    with dsl.Else():
        say(word="neither")


def items() -> None:
    """Run a task for some turns of a loop over what a task returned, and over parts of items."""
    with dsl.ParallelFor(names().output) as name, dsl.If(name == "b"):
        say(word=name)
    with dsl.ParallelFor([{"size": "s"}, {"size": "l"}]) as item, dsl.If(item.size != "s"):
        say(word="large")


@pytest.mark.parametrize(
    ("pipeline", "said"),
    [
        (decisions, ["accurate", "neither", "not no", "operators", "runs", "true"]),
        (items, ["b", "large"]),
    ],
)
def test_what_a_condition_meets_runs(pipeline: Callable[..., Any], said: list[str], tmp_path: Path) -> None:
    """By itself kfp skips what depends on a value with a name or with a quote in it, and the run ends well."""
    given = run(pipeline, tmp_path)
    assert sorted(given[task] for task in given if task.startswith(("condition", "for-loop"))) == said


def quotes() -> None:
    """Compare with a text that kfp does not quote."""
    with dsl.If(say(word="it's").output == "it's"):
        say(word="yes")


def quotes_in_a_turn() -> None:
    """Do so in a loop, where kfp catches errors."""
    word = say(word="it's")
    with dsl.ParallelFor(["a", "b"]), dsl.If(word.output == "it's"):
        say(word="yes")


@pytest.mark.parametrize("pipeline", [quotes, quotes_in_a_turn])
def test_a_condition_that_cannot_be_evaluated_ends_the_run(pipeline: Callable[..., Any], tmp_path: Path) -> None:
    """By itself kfp skips what depends on it, and the run ends well."""
    with pytest.raises(StepError) as failed:
        run(pipeline, tmp_path)
    assert str(failed.value).startswith(
        "condition: expected one that can be evaluated, got inputs.parameter_values['pipelinechannel--say-Output'] == "
        "'it's': SyntaxError: "
    )


@pytest.mark.parametrize("task", [{}, {"inputs": {}}, {"inputs": {"parameters": {"other": {}}}}])
def test_a_condition_may_be_about_nothing(task: dict[str, Any]) -> None:
    """Inputs that it does not name are not among its own, nor are names that are no inputs."""
    for condition in ("true", "inputs.parameter_values['one'] == 'other'"):
        told = loops.with_inputs({**task, "triggerPolicy": {"condition": condition}}, {})
        assert json.loads(told) == [condition, {}, []]


@pytest.mark.parametrize(
    ("value", "condition"),
    [
        (2.0, "%s == '2'"),
        (0.25, "%s < '0.3'"),
        (True, "%s == 'true'"),
        ("2", "%s == '2'"),
        ({"b": 1.0, "a": 2}, """%s == '{"a":2,"b":1}'"""),
    ],
)
def test_a_condition_is_about_texts_where_a_part_asks_for_them(value: Any, condition: str) -> None:
    """The item of a loop over a list of anything is one, on a server; by itself kfp finds no number equal to it."""
    store, name = IOStore(), "inputs.parameter_values['x']"
    store.put_parent_input("item", value)
    inputs = {"parameters": {"x": {"componentInputParameter": "item"}}}
    task = {"inputs": inputs, "triggerPolicy": {"condition": condition % name}}
    part = {"inputDefinitions": {"parameters": {"x": {"parameterType": "STRING"}, "y": {"parameterType": "STRING"}}}}
    assert loops._holds(list[str]().append, loops.with_inputs(task, part), store)
    of_itself = {"inputs": inputs, "triggerPolicy": {"condition": f"{name} != ''"}}
    kept = loops.with_inputs(of_itself, {"inputDefinitions": {"parameters": {"x": {"parameterType": "STRUCT"}}}})
    assert json.loads(kept)[2] == json.loads(loops.with_inputs(of_itself, {}))[2] == []


def test_a_condition_about_a_text_that_is_not_there_is_told() -> None:
    """It is not taken for an empty one."""
    told = list[str]()
    with pytest.raises(RuntimeError):
        loops._holds(told.append, json.dumps(["inputs.parameter_values['x'] != 'a'", {}, ["x"]]), IOStore())
    assert told == [
        "condition: expected one that can be evaluated, got inputs.parameter_values['x'] != 'a': KeyError: 'x'"
    ]


@pytest.mark.parametrize("kind", [ValueError, RuntimeError])
def test_an_error_between_steps_ends_the_run_as_one_of_a_step(kind: type[Exception]) -> None:
    """It is told once with its kind, and is of the kind that a run knows as a failure."""

    def broken(**_: Any) -> None:
        raise kind("no such output")

    told = list[str]()
    with pytest.raises(RuntimeError) as failed:
        loops._task(broken, told.append, task_name="join")
    assert [str(failed.value)] == told == [f"task join: {kind.__name__}: no such output"]


@pytest.mark.parametrize(("kind", "items"), [("STRING", '["a", ""]'), ("NUMBER_INTEGER", '["a", null]')])
def test_a_loop_goes_over_and_gives_what_a_server_would(kind: str, items: str) -> None:
    """A null is an empty text where one is asked for; a turn that gave nothing stays seen in what is collected."""
    loop = {"parameterIterator": {"itemInput": "item", "items": {"inputParameter": "all"}}}
    outputs = {"parameters": {"out": {"valueFromParameter": {"producerSubtask": "in", "outputParameterKey": "x"}}}}
    part = {
        "inputDefinitions": {"parameters": {"item": {"parameterType": kind}}},
        "outputDefinitions": {"parameters": {"out": {"parameterType": "LIST"}}},
        "dag": {"outputs": outputs, "tasks": {"in": {**loop, "componentRef": {"name": "inner"}}}},
    }
    given = {"componentRef": {"name": "part"}, "inputs": {"parameters": {"all": {"componentInputParameter": "given"}}}}
    task = json_format.ParseDict({**loop, **given}, pipeline_spec_pb2.PipelineTaskSpec())
    components = {"part": json_format.ParseDict(part, pipeline_spec_pb2.ComponentSpec()), "inner": None}
    store, gone_over = IOStore(), list[str]()
    store.put_parent_input("given", ["a", None])

    def theirs(*, task_spec: Any, **_: Any) -> None:
        gone_over.append(task_spec.parameter_iterator.items.raw)
        store.put_task_output("loop", "out", [["b"], None, [], ["c", ["d"]]])

    loops._loop(theirs, task_name="loop", task_spec=task, components=components, io_store=store)
    assert gone_over == [items]
    assert store.get_task_output("loop", "out") == ["b", None, "c", ["d"]]


def test_a_condition_calls_nothing_of_python() -> None:
    """The compiler writes two functions alone."""
    told = list[str]()
    with pytest.raises(RuntimeError) as failed:
        loops._holds(told.append, json.dumps(["len('a') == 1", {}, []]), None)
    assert str(failed.value) == (
        "condition: expected one that can be evaluated, got len('a') == 1: NameError: name 'len' is not defined"
    )
    assert told == [str(failed.value)]
    for condition in ("double(int('2')) > 1.5", "double('1.7') > 1.5", "(false) || (true)"):
        assert loops._holds(told.append, json.dumps([condition, {}, []]), None)
