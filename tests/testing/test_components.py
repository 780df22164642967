"""Tests of what runs components in tests: whatever it checks fails on a bad example."""

import itertools
import operator
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, Optional

import numpy as np
import pytest
from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Metrics, Output
from support.failing_test import failing

from fmnist import testing
from fmnist.steps.errors import ContractError, StepError
from fmnist.testing import components


def good(
    often: int, table: Input[Dataset], more: Input[list[Dataset]], out: Output[Dataset], metrics: Output[Metrics]
) -> tuple[int]:
    """Repeat a table."""
    text = Path(table.path).read_text() * often + "".join(Path(one.path).read_text() for one in more)
    Path(out.path).write_text(text)
    metrics.log_metric("length", len(text))
    return (len(text),)


def test_a_component_runs_with_typed_artifacts(run_component: Callable[..., testing.Ran]) -> None:
    """It gets what it declares, and all that it wrote, logged and returned is there."""
    ran = run_component(good, often=2, table="ab", more=[b"c", "d"])
    assert (ran.returned, ran.files) == ((6,), {"out": b"ababcd"})
    assert "ababcd" not in repr(ran)
    assert ran["metrics"].metadata == {"length": 6}
    assert Path(ran["out"].path).read_text() == "ababcd"
    testing.assert_contract(
        ran,
        parameters={"often": int},
        inputs={"table": Dataset, "more": list[Dataset]},
        outputs={"out": Dataset, "metrics": Metrics},
        invariants=[lambda ran: len(ran.files["out"]) == ran["metrics"].metadata["length"], asserts],
    )


def asserts(ran: testing.Ran) -> None:
    """Return nothing, as what asserts does."""
    assert ran.files


def test_a_component_of_kfp_runs_too(run_component: Callable[..., testing.Ran], tmp_path: Path) -> None:
    """Given as what kfp made of a function, with folders, paths and annotations of other kinds."""

    @dsl.component(base_image="python")  # type: ignore[untyped-decorator]
    def copy(folder: Dataset, file: dsl.InputPath("Dataset"), out: dsl.OutputPath("Dataset"), n: int = 1) -> None:  # type: ignore[valid-type]
        """Copy."""
        from pathlib import Path

        Path(out).write_bytes((Path(folder.path) / "a.txt").read_bytes() * n + Path(file).read_bytes())

    (tmp_path / "file.txt").write_text("x")
    ran = run_component(copy, folder={"a.txt": "y"}, file=tmp_path / "file.txt", n=2)
    assert ran.files == {"out": b"yyx"}
    again = run_component(copy, folder=testing.artifact(Dataset, tmp_path / "f", {"a.txt": b"z"}), file=b"x")
    assert again.files == {"out": b"zx"}
    given = testing.artifact(Dataset, tmp_path / "table.csv", "z", rows=1)
    assert (given.name, given.uri, given.metadata) == ("table.csv", str(tmp_path / "table.csv"), {"rows": 1})
    (tmp_path / "f" / "link.csv").symlink_to(tmp_path / "table.csv")
    (tmp_path / "f" / ".of").mkdir()
    (tmp_path / "f" / ".of" / ".hidden").write_bytes(b"h")
    assert testing.contents(tmp_path / "f") == {".of/.hidden": b"h", "a.txt": b"z", "link.csv": b"z"}


def test_a_component_that_needs_its_file_is_seen(run_component: Callable[..., testing.Ran]) -> None:
    """Its function finds all names here, and not in the program that kfp makes of it."""

    @dsl.component(base_image="python")  # type: ignore[untyped-decorator]
    def where() -> str:
        """Say where."""
        return str(Path("a"))

    assert run_component(where.python_func).returned == "a"
    with pytest.raises(AssertionError, match="^step where: expected names that .*, got Path. A step leaves the file"):
        run_component(where)


def test_what_a_component_takes_may_be_odd(run_component: Callable[..., testing.Ran]) -> None:
    """Folders in a folder, as `contents` gives them, a tuple of artifacts, and none where kfp gives none."""

    def copy(
        folder: Input[Dataset], out: Output[Dataset], more: Input[list[Dataset]], none: Input[Dataset] = None
    ) -> None:
        """Write names, texts and nothing."""
        names = [str(one.relative_to(folder.path)) for one in sorted(Path(folder.path).rglob("*.txt"))]
        Path(out.path).write_text(" ".join([*names, *(Path(one.path).read_text() for one in more), str(none)]))

    ran = run_component(copy, folder={"a.txt": "x", "b/c/d.txt": b"y"}, more=("1", "2", "3"), none=None)
    assert ran.files == {"out": b"a.txt b/c/d.txt 1 2 3 None"}


@pytest.mark.parametrize("nothing", ["", b"", {}], ids=["text", "bytes", "folder"])
def test_an_input_may_be_empty(run_component: Callable[..., testing.Ran], nothing: Any) -> None:
    """It is an artifact all the same, and so is an empty folder that comes out; no content is an empty list of them."""

    def look(table: Input[Dataset], more: Input[list[Dataset]], out: Output[Dataset]) -> bool:
        """Say whether they are there."""
        Path(out.path).mkdir()
        return Path(table.path).exists() and more == []

    ran = run_component(look, table=nothing, more=[])
    assert (ran.returned, ran.files) == (True, {})


def placed(out: Output[Dataset], more: Output[Dataset]) -> Artifact:
    """Write to places that a step asks for, and return one of them."""
    out.uri, more.uri = dsl.get_uri("one"), str(Path(dsl.get_uri(), "folder"))
    Path(more.path).mkdir(parents=True)
    for path in (out.path, f"{more.path}/two", dsl.get_uri("three")):
        Path(path).write_text("text")
    return Artifact(uri=dsl.get_uri("three"))


def test_a_component_may_ask_for_places(run_component: Callable[..., testing.Ran]) -> None:
    """Those of `dsl.get_uri`, as here and on Vertex AI; afterwards there are none."""
    ran = run_component(placed)
    assert ran.files == {"one": b"text", "Output/folder/two": b"text", "three": b"text"}
    with pytest.raises(RuntimeError, match="can only be called at task runtime"):
        dsl.get_uri()


def test_an_output_may_have_an_ending(run_component: Callable[..., testing.Ran]) -> None:
    """Kfp keeps the address that a component gave its output, as some libraries write to certain names alone."""

    def write(table: Output[Dataset], other: Output[Dataset]) -> None:
        """Write to other names."""
        table.uri += ".csv"
        other.path += "/deep/file"
        for one in (table, other):
            Path(one.path).parent.mkdir(exist_ok=True, parents=True)
            Path(one.path).write_text("x")

    assert run_component(write).files == {"table.csv": b"x", "other/deep/file": b"x"}


def test_a_component_without_a_function_is_refused(run_component: Callable[..., testing.Ran]) -> None:
    """One of an image cannot run here."""

    @dsl.container_component  # type: ignore[untyped-decorator]
    def image() -> dsl.ContainerSpec:
        return dsl.ContainerSpec("alpine", ["true"])

    with failing("^expected a function, or a component of one, got 'image'. Test it on a cluster.$", ContractError):
        run_component(image)
    with failing("^expected a function, or a component of one, got 'text'. Test it on a cluster.$", ContractError):
        run_component("text")


def test_a_component_may_have_no_outputs(run_component: Callable[..., testing.Ran]) -> None:
    """It returns a value, or checks its input."""

    def check(table: Input[Dataset]) -> int:
        return len(Path(table.path).read_text())

    ran = run_component(check, table="abc")
    assert (ran.returned, ran.artifacts, ran.files) == (3, {}, {})


def test_an_artifact_has_a_name_and_metadata(tmp_path: Path) -> None:
    """As kfp gives it: its name is that of the file."""
    made = testing.artifact(Dataset, tmp_path / "table", "x", rows=1)
    assert (made.name, made.path, made.metadata) == ("table", str(tmp_path / "table"), {"rows": 1})
    assert testing.artifact(Dataset, tmp_path / "new").metadata == {}
    assert testing.artifact(Dataset, tmp_path / "new", None, rows=2).metadata == {"rows": 2}
    assert testing.artifact(Dataset, tmp_path / "other", tmp_path / "table", rows=3).metadata == {"rows": 3}
    testing.artifact(Dataset, tmp_path / "of" / "nothing")
    assert list((tmp_path / "of").iterdir()) == []
    testing.artifact(Dataset, tmp_path / "folder", {"a": "x", "c": "é €\r\n"})
    assert (tmp_path / "folder" / "c").read_bytes() == b"\xc3\xa9 \xe2\x82\xac\r\n"
    with pytest.raises(FileExistsError):
        testing.artifact(Dataset, tmp_path / "folder", {"b": "y"})


def changes(table: Input[Dataset], out: Output[Dataset]) -> None:
    """Write into its input."""
    for path in (table.path, out.path):
        Path(path).write_text("changed")


def changes_one(tables: Input[list[Dataset]], out: Output[Dataset]) -> None:
    """Write into the last of its inputs."""
    for path in (tables[-1].path, out.path):
        Path(path).write_text("changed")


def silent(out: Output[Dataset], told: Output[Metrics]) -> None:
    """Write nothing."""
    told.log_metric("x", 1)


def beside(out: Output[Artifact]) -> None:
    """Write something else too."""
    Path(out.path).write_text("x")
    Path(out.path).with_name("other").write_text("x")


def hidden_beside(out: Output[Artifact]) -> None:
    """Write something hidden too."""
    Path(out.path).write_text("x")
    Path(out.path).with_name(".other").write_text("x")


def beside_what_is_logged(out: Output[Artifact], told: Output[Metrics]) -> None:
    """Write something else, where another output is only logged."""
    Path(out.path).write_text("x")
    Path(out.path).with_name("other").write_text("x")
    told.log_metric("x", 1)


def exchanges(tables: Input[list[Dataset]], out: Output[Dataset]) -> None:
    """Exchange its inputs."""
    first, second = (Path(one.path) for one in tables)
    contents = first.read_text(), second.read_text()
    for path, content in zip((second, first), contents, strict=True):
        path.write_text(content)
    Path(out.path).write_text("x")


def moves(out: Output[Artifact]) -> None:
    """Write to another address, and to the first one too."""
    Path(out.path).write_text("x")
    out.uri += ".csv"
    Path(out.path).write_text("x")


def changes_folder(folder: Input[Dataset], out: Output[Dataset]) -> None:
    """Write into a folder that is its input."""
    for path in (Path(folder.path, "a"), out.path):
        Path(path).write_text("changed")


def silent_path(out: dsl.OutputPath("Dataset")) -> None:  # type: ignore[valid-type]
    """Write nothing to a path."""


def logs_what_is_no_json(kind: str, told: Output[Metrics]) -> None:
    """Log what kfp cannot write down, or what a cluster cannot read."""
    kinds = {"number of numpy": np.float32(0.5), "set": {1}, "no number": float("nan"), "endless": [float("inf")]}
    told.metadata["loss"] = kinds[kind]


def logs_no_json_at_last(told: Output[Metrics], more: Output[Metrics]) -> None:
    """Log what can be written down, and then what cannot."""
    told.metadata["loss"], more.metadata["loss"] = 0.5, {1}


def returns_no_number() -> NamedTuple("Measured", [("loss", float), ("all", list)]):  # type: ignore[valid-type]
    """Return a number that is none."""
    return 0.5, [float("nan")]


def returns_nothing(table: Input[Dataset]) -> Optional[int]:  # noqa: UP045 - as kfp has it
    """Return nothing in the end."""


BAD: dict[str, tuple[Callable[..., Any], dict[str, Any], str]] = {
    "changed input": (changes, {"table": "a"}, r"changes: expected its inputs as they were, got others of \['table'\]"),
    "one changed input": (changes_one, {"tables": ["a", "b"]}, r"got others of \['tables'\]"),
    "the third input changed": (changes_one, {"tables": ["a", "b", "c"]}, r"got others of \['tables'\]"),
    "inputs that change places": (exchanges, {"tables": ["a", "b"]}, r"got others of \['tables'\]"),
    "a changed file of a folder": (changes_folder, {"folder": {"a": "x"}}, r"got others of \['folder'\]"),
    "a number of numpy": (
        logs_what_is_no_json,
        {"kind": "number of numpy"},
        "got {.told.: .Object of type float32 is",
    ),
    "a set": (logs_what_is_no_json, {"kind": "set"}, r"metadata as JSON, .*, got {'told': 'Object of type set is not"),
    "a set beside a metric": (logs_no_json_at_last, {}, r"got {'more': 'Object of type set is not"),
    "a metric that is no number": (logs_what_is_no_json, {"kind": "no number"}, r"got {'told': 'Out of range float"),
    "a metric without end": (logs_what_is_no_json, {"kind": "endless"}, r"got {'told': 'Out of range float values"),
    "no number": (returns_no_number, {}, r"returns_no_number: expected finite numbers returned, got \(0.5, \[nan\]\)"),
    "nothing returned": (returns_nothing, {"table": ""}, "nothing: expected a value returned, without .*, got None"),
    "no output at a path": (silent_path, {}, r"silent_path: expected .*, got nothing of \['out'\]"),
    "no output": (silent, {}, r"silent: expected each output written or logged, got nothing of \['out'\]"),
    "the first address": (moves, {}, r"moves: expected \['out'\] at most, got \['out', 'out.csv'\]"),
    "another file": (beside, {}, r"beside: expected \['out'\] at most, got \['other', 'out'\]"),
    "a hidden file": (hidden_beside, {}, r"expected \['out'\] at most, got \['.other', 'out'\]"),
    "another file beside metrics": (beside_what_is_logged, {}, r"\['out', 'told'\] at most, got \['other', 'out'\]"),
}


@pytest.mark.parametrize(("function", "given", "said"), BAD.values(), ids=BAD)
def test_a_bad_component_is_seen(
    run_component: Callable[..., testing.Ran], function: Callable[..., None], given: dict[str, Any], said: str
) -> None:
    """What would go wrong on a cluster, or be lost there, fails the test."""
    with failing(said):
        run_component(function, **given)


@pytest.mark.parametrize(
    ("function", "name"), [(changes, "table"), (changes_folder, "folder")], ids=["a file", "a folder"]
)
def test_what_is_given_as_a_path_stays_as_it_is(
    function: Any, name: str, run_component: Callable[..., testing.Ran], tmp_path: Path
) -> None:
    """It may be the user's only one, which a component that is wrong may not change."""
    given = tmp_path / "folder"
    given.mkdir()
    (given / "a").write_text("x")
    with failing(f": expected its inputs as they were, got others of ..{name}.."):
        run_component(function, **{name: given if name == "folder" else given / "a"})
    assert testing.contents(given) == {"a": b"x"}


def test_a_component_gets_a_copy_of_each_parameter(run_component: Callable[..., testing.Ran]) -> None:
    """What it does to it, or to what is in it, the test does not see, as on a cluster."""

    def extend(names: list[str], rows: list[list[str]]) -> list[str]:
        names.append("b")
        rows[0].append("d")
        return names + rows[0]

    assert run_component(extend, names=(given := ["a"]), rows=(rows := [["c"]])).returned == ["a", "b", "c", "d"]
    assert (given, rows) == (["a"], [["c"]])


@pytest.mark.parametrize(
    "returned", [None, {1}, {("a", "b"): 1}, np.float64(0.5)], ids=["none", "set", "keys", "numpy"]
)
def test_a_component_may_return_anything_else(run_component: Callable[..., testing.Ran], returned: Any) -> None:
    """Of what it returned only its numbers are looked at."""
    assert run_component(lambda value: value, value=returned).returned == returned


@pytest.mark.parametrize("given", ["a", b"a", {"a": "x"}, Path("a")], ids=["text", "bytes", "a folder", "a path"])
def test_one_content_is_no_list_of_them(run_component: Callable[..., testing.Ran], given: Any) -> None:
    """The function would get a path, which has none of what it asks of an artifact."""
    with pytest.raises(ContractError, match=rf"^tables: expected a list of contents, got a {type(given).__name__}\.$"):
        run_component(changes_one, tables=given)


def test_what_is_no_content_is_refused(run_component: Callable[..., testing.Ran]) -> None:
    """Also within a folder."""
    for given, name in ((3, "table"), ({"a": 3}, "a")):
        with pytest.raises(ContractError) as caught:
            run_component(changes, table=given)
        assert str(caught.value) == f"{name}: expected a text, bytes, files by name, or a path, got an int."


def never(ran: testing.Ran) -> bool:
    """The output is empty."""
    return not ran.files["out"]


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "parameter": ({"parameters": {"often": float}}, "parameters: expected {'often': <class 'float'>}, got {'often'"),
    "input": ({"inputs": {"table": Dataset}}, "inputs: expected .*, got .*'more'"),
    "output": ({"outputs": {"out": Artifact, "metrics": Metrics}}, "outputs: expected .*Artifact.*, got .*Dataset"),
    "nothing": ({"outputs": None}, "outputs: expected {}, got "),
    "no parameters": ({"parameters": None}, "parameters: expected {}, got "),
    "no inputs": ({"inputs": None}, "inputs: expected {}, got "),
    "invariant": ({"invariants": [never]}, "expected that The output is empty."),
    "the first invariant": ({"invariants": [never, lambda _: True]}, "expected that The output is empty."),
    "the last invariant": ({"invariants": [bool, lambda _: None, never]}, "expected that The output is empty."),
    "invariant of numpy": ({"invariants": [lambda ran: np.float64(len(ran.files)) == 2]}, "expected that <lambda>"),
    "invariant that counts": ({"invariants": [lambda ran: len(ran.files) - 1]}, "expected that <lambda>"),
    "partial invariant": ({"invariants": [partial(operator.contains, ())]}, r"expected that functools.partial\("),
}


@pytest.mark.parametrize(("change", "said"), BROKEN.values(), ids=BROKEN)
def test_a_broken_contract_is_seen(
    run_component: Callable[..., testing.Ran], change: dict[str, Any], said: str
) -> None:
    """Another name, another type, one too many or too few, and an invariant that does not hold fail."""
    contract = {
        "parameters": {"often": int},
        "inputs": {"table": Dataset, "more": list[Dataset]},
        "outputs": {"out": Dataset, "metrics": Metrics},
    }
    with failing(said):
        testing.assert_contract(run_component(good, often=1, table="a", more=[]), **{**contract, **change})


@pytest.mark.parametrize(("name", "got"), [("file", "a file"), ("none", "not there")])
def test_what_is_no_folder_has_no_contents(name: str, got: str, tmp_path: Path) -> None:
    """Two of these would be the same."""
    (tmp_path / "file").touch()
    with pytest.raises(ContractError, match=rf"^expected a folder, got .*/{name}, which is {got}\.$"):
        testing.contents(tmp_path / name)


@pytest.mark.parametrize("got", ["", "ac", "abc", "ba\0"])
def test_other_files_are_seen(got: str) -> None:
    """Fewer files than expected fail, others, and more."""
    with failing(r"expected the files \['a', 'b'\], got \["):
        testing.assert_same_files(got=dict.fromkeys(got, b""), expected={"a": b"", "b": b""})


def test_a_different_byte_is_seen() -> None:
    """One changed byte fails, and its file is named, with all others that have some."""
    with failing(r"got others in \['b', 'c', 'd'\]"):
        testing.assert_same_files(got=dict.fromkeys("abcd", b"1"), expected={"a": b"1"} | dict.fromkeys("bcd", b"3"))
    with failing(r"got others in \['a'\]"):
        testing.assert_same_files(got={"a": bytes(10**6) + b"1"}, expected={"a": bytes(10**6) + b"2"})


#: What comes out of `draws`, each value once.
DRAWN: list[Any] = []


def draws(what: str, out: Output[Dataset], told: Output[Metrics]) -> Any:
    """Give one thing that is another each time; each output is written and logged."""
    value = DRAWN.pop(0)
    Path(out.path).mkdir()
    Path(told.path).write_text(str(value * (what == "its file")))
    out.metadata["rows"] = 1 + value * (what == "logged")
    (Path(out.path) / f"a{value * (what == 'name')}").write_text(str(value * (what == "file")))
    told.log_metric("value", value * (what == "metadata"))
    for name in "ba" if value and what == "order" else "ab":
        told.log_metric(name, 1)
    return value if what == "returned" else None


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("file", "file out/a0"),
        ("name", "file out/a0, another file out/a1"),
        ("its file", "file told"),
        ("logged", "metadata of out"),
        ("metadata", "metadata of told"),
        ("order", "metadata of told"),
        ("returned", "value returned"),
    ],
)
def test_what_is_another_each_time_is_seen(run_component: Callable[..., testing.Ran], what: str, said: str) -> None:
    """Whether it is a file, its name, what was logged, or what was returned, the message names it."""
    DRAWN[:] = [0, 1]
    with failing(rf"^expected the same from two calls, got another {said}\n"):
        testing.assert_reproducible(lambda: run_component(draws, what=what))


def goes(way: str, out: Output[Dataset]) -> None:
    """Write to another place than that of the output, or to none."""
    value, folder = DRAWN.pop(0), Path(out.path).parents[1]
    out.metadata["way"] = way
    (folder / "mine").write_text(str(value))
    if way == "custom":
        out.custom_path = str(folder / "mine")
    elif way == "link":
        Path(out.path).symlink_to(folder / "mine")
    else:
        out.uri = str(folder / "mine") if way == "moved" else f"s3://bucket/{value}"


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(
    ("way", "said"),
    [("custom", "file out"), ("link", "file out"), ("moved", "content of out"), ("remote", "address of out")],
)
def test_what_is_elsewhere_is_compared(run_component: Callable[..., testing.Ran], way: str, said: str) -> None:
    """As are its bytes, or, where there are none here, its address."""
    DRAWN[:] = [0, 1]
    with failing(rf"^expected the same from two calls, got another {said}\n"):
        testing.assert_reproducible(lambda: run_component(goes, way=way))
    DRAWN[:] = [0, 0]
    testing.assert_reproducible(lambda: run_component(goes, way=way))


def links(out: Output[Dataset]) -> None:
    """Write a folder with a link to a folder."""
    Path(out.path).mkdir()
    (Path(out.path) / "all").symlink_to(Path(out.path).parent)


def test_a_link_that_a_cluster_does_not_follow_is_refused(run_component: Callable[..., testing.Ran]) -> None:
    """What it leads to is not seen in a test either."""
    with pytest.raises(
        StepError, match=r"^expected files and folders in its output 'out', got the link all to a folder "
    ):
        run_component(links)


def packs(out: Output[Dataset]) -> None:
    """Write an archive, in which the time is that of now, to two seconds."""
    with zipfile.ZipFile(out.path, "w") as archive:
        archive.writestr("a", "same")


def test_the_time_in_an_archive_is_seen(run_component: Callable[..., testing.Ran]) -> None:
    """Though its clock has hardly moved when the function ends."""
    with failing("got another file out\n"):
        testing.assert_reproducible(lambda: run_component(packs))


@pytest.mark.parametrize(
    "given", [testing.Ran(1, {}, {}, {}, {}, {}), {"step": {"Output": 1}}], ids=["component", "pipeline"]
)
def test_clocks_move_between_two_calls(given: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is called, and whether or not it wrote a file."""
    done: list[Any] = []
    monkeypatch.setattr(components, "time", SimpleNamespace(sleep=done.append))

    def run() -> Any:
        done.append("called")
        return given

    assert testing.assert_reproducible(run) is given
    assert done == ["called", 2, "called"]


def gives(value: str, logged: str, folder: str) -> Any:
    """Return artifacts, which are other objects each time."""
    (path := Path(folder, str(len(list(Path(folder).iterdir()))))).write_text(value)
    return 1, Dataset(uri=str(path), metadata={"a": logged})


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(
    ("values", "logged", "same"),
    [("11", "11", True), ("12", "11", False), ("11", "12", False)],
    ids=["same", "other", "other metadata"],
)
def test_artifacts_that_are_returned_are_compared(
    run_component: Callable[..., testing.Ran], values: str, logged: str, tmp_path: Path, *, same: bool
) -> None:
    """By their content and what was logged, wherever they are."""
    (folder := tmp_path / "given").mkdir()
    each = zip(values, logged, strict=True)

    def run() -> testing.Ran:
        value, told = next(each)
        return run_component(gives, value=value, logged=told, folder=str(folder))

    if same:
        testing.assert_reproducible(run)
    else:
        with failing("got another value returned\n"):
            testing.assert_reproducible(run)


def writes_to_a_path(out: dsl.OutputPath("Dataset")) -> None:  # type: ignore[valid-type]
    """Write the next thing to a path."""
    Path(out).write_text(str(DRAWN.pop(0)))


@pytest.mark.usefixtures("at_once")
def test_a_path_for_an_output_is_compared(run_component: Callable[..., testing.Ran]) -> None:
    """It has a file, and no metadata."""
    DRAWN[:] = [0, 0, 1]
    assert testing.assert_reproducible(lambda: run_component(writes_to_a_path)).files == {"out": b"0"}
    DRAWN.append(2)
    with failing(r"got another file out\n"):
        testing.assert_reproducible(lambda: run_component(writes_to_a_path))


@pytest.mark.usefixtures("at_once")
def test_all_that_is_another_is_named() -> None:
    """By name, however much it is."""
    values = itertools.count()
    with failing("^expected the same from two calls, got another a of step, another b of step, another c of step\n"):
        testing.assert_reproducible(lambda: {"step": {name: next(values) for name in "cba"}})


@pytest.mark.usefixtures("at_once")
def test_the_first_is_read_before_the_second_call(tmp_path: Path) -> None:
    """Both may write to one place."""
    out = testing.artifact(Dataset, tmp_path / "out")
    values = iter("12")

    def run() -> dict[str, dict[str, Any]]:
        Path(out.path).write_text(next(values))
        return {"step": {"out": out}}

    with failing(r"got another content of out of step\n"):
        testing.assert_reproducible(run)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(("values", "logged", "said"), [("12", "11", "content"), ("11", "12", "metadata")])
def test_a_folder_of_a_pipeline_is_compared(tmp_path: Path, values: str, logged: str, said: str) -> None:
    """Each file in it counts, and what was logged of it."""
    each = zip("ab", values, logged, strict=True)

    def run() -> dict[str, dict[str, Any]]:
        place, value, rows = next(each)
        return {"step": {"out": testing.artifact(Dataset, tmp_path / place, {"a": value}, rows=rows)}}

    with failing(rf"got another {said} of out of step\n"):
        testing.assert_reproducible(run)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (0.1, 0.1, True),
        (float("nan"), float("nan"), True),
        (0.0, -0.0, False),
        (1, True, False),
        (0.1, 0.1 + 2**-56, False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, False),
        ((1, 2), (2, 1), False),
        ((1, 1), (1,), False),
    ],
    ids=["equal", "no number", "sign of zero", "type", "last digit", "order", "places", "number"],
)
def test_values_are_compared_to_the_last_digit(first: Any, second: Any, *, same: bool) -> None:
    """What kfp would pass on as other bytes is another value."""
    values = iter([first, second])

    def run() -> testing.Ran:
        return testing.Ran(next(values), {}, {}, {}, {}, {})

    if same:
        assert testing.assert_reproducible(run).returned is first
    else:
        with failing(r"got another value returned\n"):
            testing.assert_reproducible(run)
    assert list(values) == []
