"""Tests of what kfp's local runner gets wrong about what goes into a step; the pipelines are tests' own."""

import io
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Optional

import pytest
from google.protobuf import json_format
from kfp import compiler, dsl
from kfp.dsl import Dataset, Input, Metrics, Output
from kfp.pipeline_spec import pipeline_spec_pb2

from fmnist.kubeflow import inputs, local, values
from fmnist.steps.errors import StepError


def component(function: Callable[..., Any]) -> Any:
    """Return a component that installs nothing."""
    return dsl.component(function, base_image="python", install_kfp_package=False)


def run(pipeline: Callable[..., Any], folder: Path, **arguments: Any) -> dict[str, Any]:
    """Compile a pipeline, run it in `folder`, and return the single value of each task that returned one."""
    path = folder / "pipeline.yaml"
    compiler.Compiler().compile(dsl.pipeline(pipeline), str(path))
    (folder / "work").mkdir()
    given = local.run_compiled(path, arguments, folder / "work", io.StringIO())
    return {task: values["Output"] for task, values in given.items() if "Output" in values}


@component
def show(many: list, named: dict, share: float) -> str:  # type: ignore[type-arg]
    """Return what comes in, as Python writes it."""
    return repr((many, named, share))


@component
def same(number: int) -> int:
    """Return a number."""
    return number


@component
def gather(many: list) -> str:  # type: ignore[type-arg]
    """Return what comes in, as Python writes it."""
    return repr(many)


def numbers(share: float, many: list = [1, 2.5, -3]) -> None:  # type: ignore[type-arg]  # noqa: B006 - a default of kfp
    """Hand on numbers alone, and in lists and mappings."""
    show(many=many, named={"c": "5.0", "a": [4, {"b": 1e21}, -1e21], "b": True}, share=share)
    with dsl.ParallelFor([6, 7]) as number:
        each = same(number=number)
    gather(many=dsl.Collected(each.output))


@pytest.mark.parametrize(("share", "shown"), [(2, "2"), (2.0, "2"), (0.5, "0.5")])
def test_a_step_gets_values_as_a_cluster_writes_them(share: float, shown: str, tmp_path: Path) -> None:
    """Whole ones have no point, and mappings are in order; a parameter that is a float may be given as a whole one."""
    given = run(numbers, tmp_path, share=share)
    assert given["show"] == f"([1, 2.5, -3], {{'a': [4, {{'b': 1e+21}}, -1e+21], 'b': True, 'c': '5.0'}}, {shown})"
    assert given["gather"] == "[6, 7]"


@component
def holes() -> list:  # type: ignore[type-arg]
    """Return a list in which something is missing."""
    return [1, None, {"a": None}]


def missing() -> None:
    """Hand on a list in which something is missing."""
    gather(many=holes().output)


def test_a_step_gets_a_null(tmp_path: Path) -> None:
    """By itself kfp takes none in a list."""
    assert run(missing, tmp_path)["gather"] == "[1, None, {'a': None}]"


@component
def choose(size: Optional[int] = None, name: Optional[str] = None, often: int = 3) -> str:  # noqa: UP045 - as kfp has it
    """Return what comes in, as Python writes it."""
    return repr((size, name, often))


@component
def lone(name: Optional[str] = None) -> bool:  # noqa: UP045 - as kfp has it
    """Return whether nothing came in."""
    return name is None


def unnamed() -> None:
    """Call a step with nothing."""
    lone()


def test_a_step_may_get_nothing(tmp_path: Path) -> None:
    """Its one parameter then has no value."""
    assert run(unnamed, tmp_path) == {"lone": True}


@dsl.pipeline  # type: ignore[untyped-decorator]
def part(size: Optional[int] = None, often: int = 4) -> None:  # noqa: UP045 - as kfp has it
    """Hand on what a part of a pipeline gets."""
    choose(size=size, often=often)


def optional(size: Optional[int] = None, often: Optional[int] = None) -> None:  # noqa: UP045 - as kfp has it
    """Hand on parameters that may have no value, also into a loop and into a part."""
    choose()
    choose(size=size, often=often)
    with dsl.ParallelFor(["a"]) as name:
        choose(size=size, name=name)
    part(size=size, often=often)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({}, ["(None, None, 3)", "(None, None, 3)", "(None, 'a', 3)", "(None, None, 4)"]),
        ({"size": None}, ["(None, None, 3)", "(None, None, 3)", "(None, 'a', 3)", "(None, None, 4)"]),
        ({"size": 1, "often": 2}, ["(None, None, 3)", "(1, None, 2)", "(1, 'a', 3)", "(1, None, 2)"]),
    ],
)
def test_a_parameter_may_have_no_value(given: dict[str, Any], shown: list[str], tmp_path: Path) -> None:
    """The step, or the part of the pipeline, then takes its own default; by itself kfp ends with an error."""
    found = run(optional, tmp_path, **given)
    tasks = ("choose", "choose-2", "for-loop-2-iteration-0/choose-3", "part/choose")
    assert [found[task] for task in tasks] == shown


@component
def write(text: str, table: Output[Dataset]) -> None:
    """Write a text."""
    with open(table.path, "w") as file:  # noqa: PTH123 - kfp copies this text
        file.write(text)


@component
def read(table: Input[Dataset]) -> str:
    """Return the text of a file."""
    with open(table.path) as file:  # noqa: PTH123 - kfp copies this text
        return file.read()


@dsl.pipeline  # type: ignore[untyped-decorator]
def inner(table: Input[Dataset], text: str = "inner", often: int = 5) -> None:
    """Take an artifact, and have defaults."""
    read(table=table)
    write(text=text)
    same(number=often)


@dsl.pipeline  # type: ignore[untyped-decorator]
def several(texts: list) -> list[Dataset]:  # type: ignore[type-arg]
    """Give several artifacts."""
    with dsl.ParallelFor(texts) as text:
        written = write(text=text)
    return dsl.Collected(written.outputs["table"])  # type: ignore[no-any-return]


@component
def is_there(table: Input[Dataset] = None) -> bool:
    """Say whether there is an artifact."""
    return table is not None


@dsl.pipeline  # type: ignore[untyped-decorator]
def maybe(table: Input[Dataset] = None) -> None:
    """Hand on an artifact that may be missing."""
    is_there(table=table)


def with_and_without() -> None:
    """Give a part of a pipeline an artifact, and none."""
    maybe(table=write(text="a").outputs["table"])
    maybe()


def test_a_part_of_a_pipeline_may_get_no_artifact(tmp_path: Path) -> None:
    """By itself kfp does not find the one that is optional."""
    assert run(with_and_without, tmp_path) == {"maybe/is-there": True, "maybe-2/is-there": False}


def outer(text: str = "outer", often: int = 1) -> None:
    """Have parameters of the names that a part has too."""
    written = write(text=text)
    inner(table=written.outputs["table"])
    inner(table=written.outputs["table"], text="given")
    with dsl.ParallelFor(several(texts=["a", "b"]).output) as table:
        inner(table=table)
    same(number=often)


def test_a_part_of_a_pipeline_gets_what_its_task_says(tmp_path: Path) -> None:
    """By itself kfp gives it what the outer pipeline calls by the same name, in the place of its own default."""
    found = run(outer, tmp_path)
    assert found == {
        "same": 1,
        "inner/read": "outer",
        "inner/same": 5,
        "inner-2/read": "outer",
        "inner-2/same": 5,
        "for-loop-1-iteration-0/inner-3/read": "a",
        "for-loop-1-iteration-0/inner-3/same": 5,
        "for-loop-1-iteration-1/inner-3/read": "b",
        "for-loop-1-iteration-1/inner-3/same": 5,
    }


@component
def change(table: Input[Dataset], way: str, same: Output[Dataset]) -> None:
    """Change an input in place, if asked."""
    import os

    if way == "appended":
        with open(table.path, "a") as file:  # noqa: PTH123 - kfp copies this text
            file.write("more")
    if way == "changed and failed":
        os.remove(table.path)  # noqa: PTH107 - kfp copies this text
        raise ValueError("broken")
    if way == "written over":
        with open(table.path, "w") as file:  # noqa: PTH123 - kfp copies this text
            file.write("b")
    if way == "removed":
        os.remove(table.path)  # noqa: PTH107 - kfp copies this text
    same.uri = table.uri


@component
def add(folder: Input[Dataset], way: str) -> None:
    """Add a file to a folder, if asked, and one that goes again."""
    import os

    with open(folder.path + "/lock", "w"):  # noqa: PTH123 - kfp copies this text
        os.remove(folder.path + "/lock")  # noqa: PTH107 - kfp copies this text
    with open(folder.path + ("/more" if way == "added" else ".more"), "w") as file:  # noqa: PTH123 - kfp copies this text
        file.write("more")


@component
def fill(folder: Output[Dataset]) -> None:
    """Write a file in a folder."""
    import os

    os.mkdir(folder.path)  # noqa: PTH102 - kfp copies this text
    with open(folder.path + "/one", "w") as file:  # noqa: PTH123 - kfp copies this text
        file.write("one")


@component
def count(tables: Input[list[Dataset]], way: str) -> int:
    """Change the last of several inputs, if asked."""
    if way == "one of several":
        with open(tables[-1].path, "a") as file:  # noqa: PTH123 - kfp copies this text
            file.write("more")
    return len(tables)


def changing(way: str) -> None:
    """Let a step change what another one wrote."""
    change(table=write(text="a").outputs["table"], way=way)
    add(folder=fill().outputs["folder"], way=way)
    count(tables=several(texts=["a", "b"]).output, way=way)


@pytest.mark.parametrize(
    ("way", "step", "name"),
    [
        ("appended", "change", "table"),
        ("written over", "change", "table"),
        ("removed", "change", "table"),
        ("added", "add", "folder"),
        ("one of several", "count", "tables"),
    ],
)
def test_an_input_that_is_changed_in_place_is_seen(way: str, step: str, name: str, tmp_path: Path) -> None:
    """Others would read the change here, and never on a cluster."""
    with pytest.raises(StepError) as caught:
        run(changing, tmp_path, way=way)
    assert str(caught.value) == (
        f"step {step}: expected its inputs as they were, got {name!r} changed in place. On a cluster each step has a "
        "copy of its own, and no other sees the change. Change a copy, or write to an output."
    )


def test_a_step_that_fails_says_why_whatever_it_changed(tmp_path: Path) -> None:
    """Its own error is what helps."""
    with pytest.raises(StepError, match="^step change: ValueError: broken$"):
        run(changing, tmp_path, way="changed and failed")


def test_the_first_input_that_changed_is_named(tmp_path: Path) -> None:
    """Also for a file deep in its folder, and one that a link there leads to; others may have changed too."""
    folders = {name: SimpleNamespace(path=str(tmp_path / name)) for name in ("same", "one", "another")}
    for name in folders:
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "deep" / "file").write_text("x")
    (tmp_path / "one" / "deep" / "file").rename(tmp_path / "elsewhere")
    (tmp_path / "one" / "deep" / "file").symlink_to(tmp_path / "elsewhere")
    before = inputs.state(folders)
    inputs.check_unchanged(before, inputs.state(folders))
    for name in ("another", "one"):
        (tmp_path / name / "deep" / "file").write_text("more")
    with pytest.raises(StepError, match="got 'one' changed in place"):
        inputs.check_unchanged(before, inputs.state(folders))


@pytest.mark.parametrize("name", ["a", "b"])
def test_each_file_of_an_input_counts(tmp_path: Path, name: str) -> None:
    """Whichever is looked at last."""
    for one in "ab":
        (tmp_path / one).write_text("x")
    given = {"folder": SimpleNamespace(path=str(tmp_path))}
    before = inputs.state(given)
    (tmp_path / name).write_text("more")
    with pytest.raises(StepError, match="got 'folder' changed in place"):
        inputs.check_unchanged(before, inputs.state(given))


def test_only_a_whole_number_becomes_a_float() -> None:
    """A truth or a text in its place is for kfp to refuse, also one that says no or nothing."""
    spec = {"root": {"inputDefinitions": {"parameters": {"share": {"parameterType": "NUMBER_DOUBLE"}}}}}
    given = [values.arguments(spec, {"share": one})["share"] for one in (1, True, "1", False, "", 0)]
    assert [(type(one), one) for one in given] == [
        *((float, 1.0), (bool, True), (str, "1")),
        *((bool, False), (str, ""), (float, 0.0)),
    ]


def test_what_is_empty_is_a_value() -> None:
    """Only None has a default in its place, of a pipeline and of a task."""
    given = {"zero": 0, "none": 0.0, "no": False, "text": "", "list": [], "mapping": {}}
    assert values.arguments({"root": {}}, {**given, "absent": None}) == given
    assert values._given(lambda **_: {**given, "absent": None}, task_inputs_spec=None, io_store=None) == given


def test_a_step_may_tell_nothing(tmp_path: Path) -> None:
    """As one that is no Python: there is no file then, and kfp says what that means."""
    assert values._told(lambda path: path, str(tmp_path / "executor_output.json")) == f"{tmp_path}/executor_output.json"


def test_inputs_that_stay_are_none_that_changed(tmp_path: Path) -> None:
    """Though they are handed on, or something is written beside them, or within one for a while."""
    assert run(changing, tmp_path, way="none")["count"] == 2


@component
def loses(way: str, metrics: Output[Metrics]) -> float:
    """Log or return a number that is none."""
    metrics.log_metric("loss", float("nan") if way == "logged" else 0.5)
    return 0.5 if way == "logged" else float(way)


def losing(way: str) -> None:
    """Let a step of a part tell of a number that is none."""
    with dsl.If(way != "finite"):
        loses(way=way)


@pytest.mark.parametrize("way", ["logged", "nan", "-inf"])
def test_a_number_that_is_none_ends_a_step(way: str, tmp_path: Path) -> None:
    """As on a cluster, which reads no such JSON."""
    with pytest.raises(StepError) as caught:
        run(losing, tmp_path, way=way)
    assert str(caught.value) == (
        "step condition-1/loses: expected finite numbers, which a cluster can pass on, got a NaN or an infinity in "
        "what it returned or logged. Write it to a file instead."
    )


@component
def halve() -> str:
    """Return half a character."""
    return "\ud83d"


def halving() -> None:
    """Let a step return what is no text."""
    halve()


def test_what_kfp_cannot_read_ends_a_step(tmp_path: Path) -> None:
    """As on a cluster, with what kfp says of it."""
    with pytest.raises(StepError) as caught:
        run(halving, tmp_path)
    assert str(caught.value).startswith("step halve: ParseError: Failed to parse parameterValues field: 'utf-8' codec ")


@component
def leave(way: str, table: Output[Dataset]) -> int:
    """Write an artifact, and return nothing, or end the program there."""
    with open(table.path, "w") as file:  # noqa: PTH123 - kfp copies this text
        file.write("a")
    if way == "ended":
        raise SystemExit
    return None  # type: ignore[return-value]


def leaving(way: str) -> None:
    """Let a step of a part give no value."""
    with dsl.If(way != "none"):
        same(number=leave(way=way).outputs["Output"])


@pytest.mark.parametrize("way", ["returned", "ended"])
def test_a_value_that_a_step_does_not_give_ends_it(way: str, tmp_path: Path) -> None:
    """As on a cluster; by itself kfp ends well, or blames the step that asks for the value."""
    with pytest.raises(StepError) as caught:
        run(leaving, tmp_path, way=way)
    assert str(caught.value) == (
        "step condition-1/leave: expected a value for each output that it declares, without which a cluster ends it, "
        "got none for 'Output'. Return one, also where there is nothing to tell."
    )


@component
def end(table: Output[Dataset], more: Output[Dataset]) -> None:
    """Write an artifact, and end the program there."""
    with open(table.path, "w") as file:  # noqa: PTH123 - kfp copies this text
        file.write("a")
    raise SystemExit


@component
def stop() -> None:
    """End the program, which has nothing to give."""
    raise SystemExit


def ending() -> None:
    """Hand on what was written."""
    read(table=end().after(stop()).outputs["table"])


def test_an_artifact_of_a_step_that_ends_early_is_handed_on(tmp_path: Path) -> None:
    """As on a cluster, and what it did not write is known, if there is any; by itself kfp finds no such task."""
    assert run(ending, tmp_path) == {"read": "a"}
    [told] = tmp_path.rglob("end/executor_output.json")
    assert json.loads(told.read_text())["artifacts"].keys() == {"table", "more"}


@component
def note(text: str, told: dsl.OutputPath(str), number: dsl.OutputPath(int)) -> None:  # type: ignore[valid-type]
    """Write a value to its path, and another text to that of a number."""
    for path, one in ((told, "a\r\n"), (number, text)):
        with open(path, "w", newline="") as file:  # noqa: PTH123 - kfp copies this text
            file.write(one)


@component
def state(told: str, number: int) -> str:
    """Return what comes in, as Python writes it."""
    return repr((told, number))


def writing(text: str) -> None:
    """Hand on what was written to paths."""
    noted = note(text=text).outputs
    state(told=noted["told"], number=noted["number"])


def test_a_value_that_is_written_to_a_path_is_read_as_a_cluster_does(tmp_path: Path) -> None:
    """Texts keep their ends of lines, and a number may have a sign and zeros, which kfp refuses."""
    assert run(writing, tmp_path, text=" +07\n") == {"state": r"('a\r\n', 7)"}


def test_what_is_no_such_value_ends_the_step_that_wrote_it(tmp_path: Path) -> None:
    """By itself kfp takes it, or names a path and no more."""
    with pytest.raises(StepError) as caught:
        run(writing, tmp_path, text="7.0")
    assert str(caught.value) == (
        "step note: expected a whole number at the path of its output 'number', which a cluster reads, got '7.0'. "
        "Write that alone, or declare an output of another type."
    )


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        *(("NUMBER_INTEGER", text, int(text)) for text in ("0012", "-5", "+5")),
        *(("NUMBER_DOUBLE", text, float(text)) for text in ("1e3\n", ".5", "7", "-0.0")),
        *(("BOOLEAN", text, True) for text in ("1", "t", "T", "true", "True\n", "TRUE")),
        *(("BOOLEAN", text, False) for text in ("0", "f", "F", "false", " False", "FALSE")),
        ("LIST", " [1, null]\n", [1, None]),
        ("STRUCT", '{"a": 1}', {"a": 1}),
        ("STRING", " 1\r\n", " 1\r\n"),
    ],
)
def test_a_text_is_a_value_of_its_kind(kind: str, text: str, value: object) -> None:
    """As Go reads it."""
    assert repr(values.written("a", kind, text)) == repr(value)


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        *(("NUMBER_INTEGER", text, "a whole number") for text in ("", "12abc", "7.0", "1e3", "1_000", "\u0661")),
        *(
            ("NUMBER_DOUBLE", text, "a finite number")
            for text in ("", "nan", "-inf", "1e999", "0x10", "1_0.5", "1.2.3")
        ),
        *(("BOOLEAN", text, "true or false") for text in ("", "yes", "tRUE", "2")),
        *(("LIST", text, "a list in JSON") for text in ("", "[1, 2", '{"a": 1}', "1", "[" * 100_000)),
        *(("STRUCT", text, "a mapping in JSON") for text in ("{'a': 1}", "[]", "null")),
    ],
)
def test_a_text_of_another_kind_is_refused(kind: str, text: str, expected: str) -> None:
    """As Go refuses it."""
    with pytest.raises(StepError) as caught:
        values.written("a", kind, text)
    assert str(caught.value).startswith(
        f"expected {expected} at the path of its output 'a', which a cluster reads, got "
    )


@component
def tell(name: str, created: str, scheduled: str) -> list[str]:
    """Return what comes in."""
    return [name, created, scheduled]


def job() -> None:
    """Ask for what is known when a run starts."""
    tell(
        name=dsl.PIPELINE_JOB_RESOURCE_NAME_PLACEHOLDER,
        created=dsl.PIPELINE_JOB_CREATE_TIME_UTC_PLACEHOLDER,
        scheduled=dsl.PIPELINE_JOB_SCHEDULE_TIME_UTC_PLACEHOLDER,
    )


@pytest.mark.usefixtures("abroad")
def test_a_step_may_ask_for_the_run(tmp_path: Path) -> None:
    """Its name, and when it was made and planned, in UTC; of these kfp's runner knows none."""
    before = datetime.now(UTC).replace(microsecond=0)
    name, created, scheduled = run(job, tmp_path)["tell"]
    assert re.match(r"job-\d{4}-\d\d-", name)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", created)
    assert scheduled == created
    assert before <= datetime.fromisoformat(created) <= datetime.now(UTC)


@component
def say(text: str) -> str:
    """Return a text."""
    return text


def texts(text: str) -> None:
    """Hand on a text by itself, in another one, and through a step."""
    said = say(text=text)
    say(text=f"<{said.output}>")
    say(text=f"{said.output}{{{{$.x}}}}{said.output}")


@pytest.mark.parametrize(
    "text", ['it\'s "so"\n\u00fc \U0001f389', "", "null", "{{$.Values.name}}", "{{$.inputs}}", "{{ $x }}"]
)
def test_a_text_is_handed_on_as_it_is(text: str, tmp_path: Path) -> None:
    """By itself kfp writes null in the place of what looks like one of its own placeholders, or ends with an error."""
    assert run(texts, tmp_path, text=text) == {
        "say": text,
        "say-2": f"<{text}>",
        "say-3": f"{text}{{{{$.x}}}}{text}",
    }


def within(text: str, share: float = 2.5) -> None:
    """Hand on texts that are made of values, in a mapping and in a list."""
    show(many=[f"{text}!"], named={"a": f"{text} {share}"}, share=share)


def test_a_text_within_a_list_is_filled_in(tmp_path: Path) -> None:
    """Unless it would change the JSON around it, here and on a cluster: with quotes it may even stay JSON."""
    assert run(within, tmp_path, text="\u00fc /") == {"show": "(['\u00fc /!'], {'a': '\u00fc / 2.5'}, 2.5)"}


@pytest.mark.parametrize("text", ['a", "b": "c', "a\\", "a\nb"])
def test_a_text_that_changes_the_json_around_it_is_refused(text: str, tmp_path: Path) -> None:
    """The parameter is named."""
    with pytest.raises(StepError) as error:
        run(within, tmp_path, text=text)
    assert str(error.value) == (
        "step show: expected 'text', a part of a text in a list or a mapping, to have neither quotes, backslashes nor "
        f"line ends, which change the JSON around it, got {text!r}. Hand it on by itself, or make that text in a step."
    )


@dsl.pipeline  # type: ignore[untyped-decorator]
def section(text: str = "", many: list = []) -> None:  # type: ignore[type-arg]  # noqa: B006 - a default of kfp
    """Be a part of another pipeline."""
    say(text=text)
    gather(many=many)


def made_for_a_part(text: str) -> None:
    """Give a part a text that is made of values."""
    section(text=f"<{say(text=text).output}>")


def listed_for_a_part(text: str) -> None:
    """Give a part a list of values."""
    section(many=[say(text=text).output])


@pytest.mark.parametrize(("pipeline", "name"), [(made_for_a_part, "text"), (listed_for_a_part, "many")])
def test_a_text_that_is_made_for_a_part_is_refused(pipeline: Callable[..., None], name: str, tmp_path: Path) -> None:
    """By itself kfp gives the part's steps null in the place of each value."""
    with pytest.raises(StepError) as error:
        run(pipeline, tmp_path, text="a")
    assert str(error.value) == (
        f"task section: StepError: expected a value for '{name}', got a text with 'say-Output' in it, which is put "
        "there for a step alone. Make the text in a step, or in the inner pipeline."
    )


@component
def mixed() -> list:  # type: ignore[type-arg]
    """Return values of many kinds."""
    return [1, 2.5e-7, None, "x<ü", [1, "ä<&>"], {"b": None}]


def items() -> None:
    """Hand on each as a text."""
    with dsl.ParallelFor(mixed().output) as item:
        say(text=item)


def test_where_a_text_is_asked_for_nothing_is_a_text_too() -> None:
    """A zero, a truth and what is empty are values as others."""
    given = {"a": 0, "b": False, "c": [], "d": {}, "e": "", "f": True}
    inputs = {"parameters": {name: {"parameterType": "STRING"} for name in given}}
    sent = json_format.ParseDict({"inputs": {"parameterValues": given}}, pipeline_spec_pb2.ExecutorInput())
    spec = json_format.ParseDict({"inputDefinitions": inputs}, pipeline_spec_pb2.ComponentSpec())
    found = values._as_sent(sent, spec)["inputs"]["parameterValues"]
    assert found == {"a": "0", "b": "false", "c": "[]", "d": "{}", "e": "", "f": "true"}


def test_where_a_text_is_asked_for_all_is_text(tmp_path: Path) -> None:
    """So that the step gets of each item what a cluster gives; kfp's own runner hands on a number."""
    given = run(items, tmp_path)
    said = [given[f"for-loop-1-iteration-{turn}/say"] for turn in range(6)]
    assert said == ["1", "0.00000025", "", "x<ü", '[1,"ä\\u003c\\u0026\\u003e"]', '{"b":null}']
    assert values._text(1.5e21) == "1500000000000000000000"
    numbers = {"a": [0.1, 2.5e-5, -1e-06, 9.5e-7, 1e-10, 1e21], "2e-5": '"1e-05'}
    assert values._text(numbers) == r'{"a":[0.1,0.000025,-0.000001,9.5e-7,1e-10,1e+21],"2e-5":"\"1e-05"}'
    assert values._text(["\u2028\u2029"]) == r'["\u2028\u2029"]'


@component
def length(text: str) -> int:
    """Return how long a text is."""
    return len(text)


def long(text: str) -> None:
    """Hand on a long text."""
    length(text=text)


def test_a_value_may_be_as_long_as_linux_takes(tmp_path: Path) -> None:
    """It is a part of one argument; of a longer one the system said no more than that there was one."""
    assert run(long, tmp_path, text="x" * 125_000) == {"length": 125_000}
    (tmp_path / "longer").mkdir()
    with pytest.raises(StepError) as caught:
        run(long, tmp_path / "longer", text="ü" * 65_536)
    assert re.fullmatch(
        "step length: expected a program and inputs of at most 131,071 bytes each, which Linux takes as one argument, "
        r"here and on a cluster, got \d{3},\d{3}\. Hand on a large value as an artifact\.",
        str(caught.value),
    )


def test_the_longest_argument_that_linux_takes_is_taken() -> None:
    """It is counted in bytes, and one byte more is refused."""
    inputs.check_lengths(["python", "ü" * 65_535 + "x"])
    with pytest.raises(StepError, match=r"at most 131,071 bytes each, .* got 131,072\."):
        inputs.check_lengths(["python", "ü" * 65_536])
