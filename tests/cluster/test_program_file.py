"""Tests of the program file: it is read, or a warning or an error names the line."""

import math
import os
import random
import re
import string
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fmnist.cluster import program_file
from fmnist.steps.errors import ContractError
from fmnist.steps.settings import Settings

ROOT = Path(__file__).parents[2]

GOOD = """\
apiVersion: projectsame.io/v1alpha1
metadata:
  name: trial
  version: 0.1.0
workflow:
  type: kubeflow

# What runs there

pipeline:
  name: trial
  description: What it does
  package: code/pipeline.py
run:
  name: default
  parameters:
    optimizer: adam
    epochs: 10
    share: 0.05
    fast: true
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a pipeline file, another kind of file, and links and a folder beside that lead out of it."""
    folder = tmp_path_factory.mktemp("outer") / "project"
    (folder / "code").mkdir(parents=True)
    (folder / "code" / "pipeline.py").touch()
    (folder / "code" / "compiled.yaml").touch()
    (folder / "code" / "notes.txt").touch()
    (folder / "code" / "compiled.yml").touch()
    (folder / "code" / "shouted.PY").touch()
    (folder.parent / "outside.py").touch()
    folder.with_name("project-old").mkdir()
    (folder.parent / "project-old" / "pipeline.py").touch()
    (folder / "link.py").symlink_to(folder.parent / "outside.py")
    (folder / "inside.py").symlink_to(folder / "code" / "pipeline.py")
    (folder / "notes.py").symlink_to(folder / "code" / "notes.txt")
    (folder / "loop.py").symlink_to(folder / "loop.py")
    folder.with_name("shortcut").symlink_to(folder)
    return folder


def load(folder: Path, text: str | bytes, on_warning: Callable[[str], object] = warnings.warn) -> program_file.Program:
    """Return the program of a file with this content."""
    path = folder / "same.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return program_file.load(path, on_warning)


def edited(old: str, new: str) -> str:
    """Return the good file with one edit."""
    assert GOOD.count(old) == 1
    return GOOD.replace(old, new)


def test_our_own_program_file_is_good(recwarn: pytest.WarningsRecorder) -> None:
    """The repository's same.yaml is read without a warning, and holds the defaults."""
    own = program_file.load(ROOT / "same.yaml", warnings.warn)
    defaults = {"compile_optimizer": "adam", "epochs": 10, "validation_split": 0.05, "seed": 0}
    assert own.run.parameters == vars(Settings()) == defaults
    assert own.pipeline.package == ROOT / "fmnist" / "pipeline.py"
    assert not recwarn.list


def test_everything_in_the_file_is_there(folder: Path) -> None:
    """Each key of the format has its value, with its type."""
    got = load(folder, GOOD)
    assert got.model_dump() == {
        "apiVersion": "projectsame.io/v1alpha1",
        "metadata": {"name": "trial", "version": "0.1.0"},
        "workflow": {"type": "kubeflow"},
        "pipeline": {"name": "trial", "description": "What it does", "package": folder.resolve() / "code/pipeline.py"},
        "run": {"name": "default", "parameters": {"optimizer": "adam", "epochs": 10, "share": 0.05, "fast": True}},
    }
    assert [type(value) for value in got.run.parameters.values()] == [str, int, float, bool]


@pytest.mark.parametrize(
    "rest",
    ["", "workflow: {type: kubeflow}", "workflow: {}", "run: {name: default}", "run: {parameters: }"],
    ids=["neither", "workflow", "no type", "run", "no parameters"],
)
def test_little_is_needed(folder: Path, rest: str) -> None:
    """Version, workflow, its type, description, run and its parameters may be left out, as in the original's files."""
    start = "apiVersion: projectsame.io/v1alpha1\nmetadata: {name: a}\npipeline: {name: a, package: code/pipeline.py}\n"
    got = load(folder, start + rest)
    assert (got.metadata.version, got.pipeline.description, got.run.name, got.run.parameters) == ("", "", "default", {})
    assert got.workflow.type == "kubeflow"


@pytest.mark.parametrize(
    ("old", "new", "attribute", "value"),
    [
        ("version: 0.1.0", "version: 1.10", "metadata.version", "1.10"),
        ("description: What it does", "description:", "pipeline.description", ""),
        ("apiVersion", "\ufeffapiVersion", "metadata.name", "trial"),
        ("epochs: 10", "epochs: &n 10\n    other: *n", "run.parameters", None),
        (
            "share: 0.05",
            "version: 1.10",
            "run.parameters",
            {"optimizer": "adam", "epochs": 10, "version": 1.1, "fast": True},
        ),
    ],
    ids=["version", "no description", "byte order mark", "alias", "version for the pipeline"],
)
def test_what_people_write_is_taken(folder: Path, old: str, new: str, attribute: str, value: Any) -> None:
    """A version may look like a number, a description be empty, and a value an alias; a parameter is what it is."""
    got: Any = load(folder, edited(old, new))
    for name in attribute.split("."):
        got = getattr(got, name)
    assert got == value if value is not None else got["other"] == 10


@pytest.mark.parametrize(
    ("file", "real"),
    [
        ("inside.py", "pipeline.py"),
        ("./code/../code/pipeline.py", "pipeline.py"),
        ("code/compiled.yaml", "compiled.yaml"),
    ],
)
def test_a_pipeline_file_inside_is_taken(folder: Path, file: str, real: str) -> None:
    """A compiled file is taken, and so are a link and a detour that end inside of the folder, itself perhaps a link."""
    for way in (folder, folder.with_name("shortcut")):
        got = load(way, edited("code/pipeline.py", file))
        assert got.pipeline.package == (folder / "code" / real).resolve()


def test_a_program_file_may_be_a_link(folder: Path, tmp_path: Path) -> None:
    """What it names is in the folder of the link, not in that of the file."""
    load(folder, GOOD)
    (tmp_path / "code").mkdir()
    (pipeline := tmp_path / "code" / "pipeline.py").touch()
    (tmp_path / "same.yaml").symlink_to(folder / "same.yaml")
    assert program_file.load(tmp_path / "same.yaml", warnings.warn).pipeline.package == pipeline


@pytest.mark.parametrize("number", [2**53, -(2**53)])
def test_the_largest_number_is_taken(folder: Path, number: int) -> None:
    """A double keeps it to the last digit; the next one is refused."""
    assert load(folder, edited("10", str(number))).run.parameters["epochs"] == number
    with pytest.raises(ContractError, match=r"epochs: expected a whole number, at most 2\*\*53 from zero, got"):
        load(folder, edited("10", str(number + number // 2**53)))


def test_the_largest_file_is_read(folder: Path) -> None:
    """64 KiB, and not a byte more."""
    assert load(folder, GOOD + "#" * (65_536 - len(GOOD))).metadata.name == "trial"
    with pytest.raises(ContractError) as caught:
        load(folder, GOOD + "#" * (65_537 - len(GOOD)))
    assert str(caught.value) == f"program file {folder}/same.yaml: expected at most 65536 bytes, got more."


def test_of_a_huge_file_little_is_read(tmp_path: Path) -> None:
    """What is behind the largest page of text takes no memory."""
    with (tmp_path / "same.yaml").open("wb") as file:
        file.truncate(50_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(ContractError, match="expected at most 65536 bytes, got more"):
            program_file.load(tmp_path / "same.yaml", warnings.warn)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


BAD = {
    "empty": ("", "expected a mapping, got an empty file"),
    "only a comment": ("# nothing\n", "expected a mapping, got an empty file"),
    "text": ("hello", "line 1: expected a mapping, got 'hello'"),
    "list": ("- 1\n- 2\n", "line 1: expected a mapping, got a list"),
    "unfinished": (
        edited("fast: true", "fast: ["),
        "line 21: expected YAML, got an error while parsing a flow node, expected the node content, but found '<stream "
        "end>'.$",
    ),
    "tab": (edited("  name: default", "\tname: default"), "line 15: expected YAML, got an error"),
    "indentation": (edited("  version: 0.1.0", "   version: 0.1.0"), "line 4: expected YAML, got an error"),
    "two documents": (GOOD + "---\na: 1\n", "line 21: expected YAML, got an error"),
    "two values": (edited("epochs: 10", "epochs: 10: 11"), "line 18: expected YAML, got an error mapping values"),
    "unknown alias": (edited("epochs: 10", "epochs: *n"), "line 18: expected YAML, got an error found undefined alias"),
    "binary": (b"\x00\x01\x02", "line 1: expected YAML, got the character"),
    "null character": (GOOD.encode() + b"a: \x00\n", "line 21: expected YAML, got the character"),
    "null character after others": ("# äöüß\n" * 3 + "a: \0\n", "line 4: expected YAML, got the character"),
    "latin-1": (
        edited("What it does", "\xe9t\xe9").encode("latin-1"),
        "line 12: expected text in UTF-8, got the byte 0xe9",
    ),
    "utf-16": (GOOD.encode("utf-16"), "line 1: expected text in UTF-8, got the byte 0xff"),
    "an image": (b"\x89PNG\r\n\x1a\n", "line 1: expected text in UTF-8, got the byte 0x89"),
    "too large": (GOOD + "#" * 70_000, "expected at most 65536 bytes, got more"),
    "deep": (GOOD + "x: " + "[" * 1_000, "expected YAML of a few levels, got too many"),
    "deep blocks": (GOOD + "x:\n" + " " + "- " * 1_000 + "1", "expected YAML of a few levels, got too many"),
    "no character": (
        edited("What it does", '"\\UFFFFFFFF"'),
        "expected YAML, got (Python int too large to convert to C int|chr.* arg .*)\\.$",
    ),
    "beyond Unicode": (edited("What it does", '"\\U00110000"'), "expected YAML, got chr.* arg not in range.*\\.$"),
    "half a character": (edited("adam", '"\\ud800"'), "line 17: expected a value that YAML can read as str"),
    "code": (edited("adam", "!!python/object/apply:os.system ['exit 1']"), "line 17: expected YAML.*no plain data"),
    "code elsewhere": (GOOD + "x: !!python/name:os.system\n", "line 21: expected YAML.*no plain data"),
    "own tag of the whole": ("!mine\n" + GOOD, "line 1: expected YAML.*no plain data, but '!mine'"),
    "own tag": (edited("adam", "!mine adam"), "line 17: expected YAML.*no plain data, but '!mine'"),
    "wrong tag": (edited("10", "!!int ten"), "line 18: expected a value that YAML can read as int, got 'ten'"),
    "no base64": (edited("adam", "!!binary a"), "line 17: expected a value that YAML can read as binary, got 'a'"),
    "no truth": (edited("adam", "!!bool maybe"), "line 17: expected a value that YAML can read as bool, got 'maybe'"),
    "no time": (edited("adam", "!!timestamp x"), "line 17: expected a value that YAML can read as timestamp, got 'x'"),
    "a sexagesimal of 400 parts": (edited("10", "!!float 1" + ":1" * 400), "line 18: .* can read as float, got '1:1"),
    "no api version": (edited("apiVersion: projectsame.io/v1alpha1\n", ""), "line 1: apiVersion: expected this key"),
    "other api version": (
        edited("v1alpha1", "v2"),
        "line 1: apiVersion: expected 'projectsame.io/v1alpha1', got 'projectsame.io/v2'",
    ),
    "other workflow": (edited("type: kubeflow", "type: aml"), "line 6: workflow.type: expected 'kubeflow', got 'aml'"),
    "no metadata name": (edited("  name: trial\n  version", "  version"), "line 3: metadata.name: expected this key"),
    "no package": (edited("  package: code/pipeline.py\n", ""), "line 11: pipeline.package: expected this key"),
    "metadata text": (
        edited("metadata:\n  name: trial\n  version: 0.1.0", "metadata: trial"),
        "line 2: metadata: expected a mapping, got 'trial'",
    ),
    "metadata list": (
        edited("metadata:\n  name: trial\n  version: 0.1.0", "metadata: [trial]"),
        "line 2: metadata: expected a mapping, got a list",
    ),
    "numeric name": (edited("name: default", "name: 3"), "line 15: run.name: expected text .*, got 3"),
    "empty name": (edited("name: default", 'name: ""'), "line 15: run.name: expected text that is not empty, got ''"),
    "null name": (edited("name: default", "name:"), "line 15: run.name: expected text .*, got nothing"),
    "false description": (
        edited("What it does", "false"),
        "line 12: pipeline.description: expected text .*, got false",
    ),
    "false parameters": (
        GOOD.partition("    optimizer")[0].replace("parameters:", "parameters: false"),
        "line 16: run.parameters: expected a mapping, got false",
    ),
    "list description": (edited("What it does", "[a]"), "line 12: pipeline.description: expected text .*, got a list"),
    "list value": (edited("10", "[1]"), "line 18: run.parameters.epochs: expected a number, boolean or string, got a"),
    "mapping value": (edited("10", "{a: 1}"), "line 18: run.parameters.epochs: expected .* got a mapping"),
    "null value": (edited("10", "null"), "line 18: run.parameters.epochs: expected .* got nothing"),
    "date": (edited("10", "2020-01-01"), "line 18: run.parameters.epochs: expected a number, .* got 2020-01-01"),
    "no date": (edited("10", "2020-13-45"), "line 18: expected a value that YAML can read as timestamp"),
    "nan": (edited("0.05", ".nan"), "line 19: run.parameters.share: expected a finite number, got .nan"),
    "infinity": (edited("0.05", "-.inf"), "line 19: run.parameters.share: expected a finite number, got -.inf"),
    "huge": (
        edited("10", "9" * 20),
        r"line 18: run.parameters.epochs: expected a whole number, at most 2\*\*53 from zero, got 9",
    ),
    "thousands of digits": (edited("10", "9" * 5_000), r"read as int, got '9{99} \.\.\.\.$"),
    "a long text": (edited("type: kubeflow", "type: " + "a" * 200), r"expected 'kubeflow', got 'a{99} \.\.\.\.$"),
    "twice": (
        edited("share: 0.05", "epochs: 3"),
        "line 19: run.parameters.epochs: expected it once, got it again after line 18",
    ),
    "twice above": (GOOD + "run: {}\n", "line 21: run: expected it once, got it again after line 14"),
    "key list": (
        edited("fast: true", "? [a]\n    : 1"),
        "line 20: expected a key that is text, got a list or a mapping",
    ),
    "merge": (edited("fast: true", "<<: {fast: true}"), "line 20: run.parameters.<<: expected a number"),
    "package absolute": (
        edited("code/pipeline.py", "/etc/x.py"),
        "line 13: pipeline.package: .*relative to it, got '/etc",
    ),
    "package outside": (edited("code/pipeline.py", "../outside.py"), "line 13: pipeline.package: .*not outside of it"),
    "package outside, not there": (
        edited("code/pipeline.py", "../none.py"),
        "line 13: pipeline.package: .*not outside of it",
    ),
    "package beside": (
        edited("code/pipeline.py", "../project-old/pipeline.py"),
        "line 13: pipeline.package: .*not outside of it",
    ),
    "package link": (edited("code/pipeline.py", "link.py"), "line 13: pipeline.package: .*not outside of it"),
    "package loop": (
        edited("code/pipeline.py", "loop.py"),
        "line 13: pipeline.package: expected the path of a .py file",
    ),
    "package missing": (edited("code/pipeline.py", "code/x.py"), "line 13: pipeline.package: .*which exists"),
    "package text": (edited("code/pipeline.py", "code/notes.txt"), "line 13: pipeline.package: .*of a .py file"),
    "package yml": (edited("code/pipeline.py", "code/compiled.yml"), "line 13: pipeline.package: .*a compiled .yaml"),
    "package in capitals": (
        edited("code/pipeline.py", "code/shouted.PY"),
        "line 13: pipeline.package: .*of a .py file",
    ),
    "package link to text": (edited("code/pipeline.py", "notes.py"), "line 13: pipeline.package: .*of a .py file"),
    "package folder": (edited("code/pipeline.py", "code"), "line 13: pipeline.package: .*of a .py file"),
    "package empty": (edited("code/pipeline.py", '""'), "line 13: pipeline.package: .*of a .py file"),
    "package number": (edited("code/pipeline.py", "3"), "line 13: pipeline.package: .*got 3"),
    "package null": (edited("code/pipeline.py", '"a\\0.py"'), "line 13: pipeline.package: .*of a .py file"),
    "package long": (edited("code/pipeline.py", "a" * 5_000 + ".py"), "line 13: pipeline.package: .*of a .py file"),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD.keys())
def test_a_bad_file_is_refused(folder: Path, text: str | bytes, message: str) -> None:
    """A bad file is refused in one line of text, which names the file, the line, what was expected and what was got."""
    with pytest.raises(ContractError, match=f"^program file {folder}/same.yaml[:,] .*{message}") as caught:
        load(folder, text, lambda _: None)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "spelt",
    ["010", "0x10", "0b11", "1_000", "1:30", "-1:30.5", "+10", ".5", "5.", "1_0.5", "yes", "Off", "!!int '010'"],
)
def test_what_yaml_reads_otherwise_than_people_is_refused(folder: Path, spelt: str) -> None:
    """YAML 1.1 takes 010 for 8 and 1:30 for 90; here a number is written as for -p, or it is text in quotes."""
    written = spelt.partition(" ")[2] or spelt
    expected = rf"line 18: run.parameters.epochs: expected a number as in 10, .*, got {re.escape(written)}\.$"
    with pytest.raises(ContractError, match=expected):
        load(folder, edited("10", spelt))


@pytest.mark.parametrize(
    ("spelt", "value"),
    [
        ("10", 10),
        ("-0.5", -0.5),
        ("1.5e+3", 1500.0),
        ("1e-3", "1e-3"),
        ("True", True),
        ("'010'", "010"),
        ("'yes'", "yes"),
    ],
)
def test_what_people_and_yaml_read_alike_is_taken(folder: Path, spelt: str, value: Any) -> None:
    """Numbers and booleans as in JSON are what they say, and text in quotes is text, whatever it looks like."""
    read = load(folder, edited("10", spelt)).run.parameters["epochs"]
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")], ids=["pipe", "device"])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """A pipe or a device in the place of the program file is not waited for, and not read."""
    make(tmp_path / "same.yaml")
    with pytest.raises(ContractError, match="expected YAML in .*same.yaml, got: .*it is no regular file"):
        program_file.load(tmp_path / "same.yaml", warnings.warn)


def test_the_first_error_is_named(folder: Path) -> None:
    """Of several errors the message names the one that comes first in the file."""
    with pytest.raises(ContractError, match="line 12: pipeline.description"):
        load(folder, GOOD.replace("What it does", "[]").replace("10", "[]").replace("adam", "[]"))
    with pytest.raises(ContractError, match="line 3: metadata.name: expected this key, got no such key"):
        load(folder, GOOD.replace("  name: trial\n  version", "  version").replace("10", "[]"))
    head, run, rest = edited("What it does", "[]").replace("10", "[]").partition("run:")
    with pytest.raises(ContractError, match="line 5: run.parameters.epochs"):
        load(folder, run + rest + head)


def test_a_billion_laughs_are_not_expanded(folder: Path) -> None:
    """Aliases that stand for 10^9 values cost nothing, wherever they are."""
    lines = ["a0: &a0 [ha, ha]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    ignored: list[str] = []
    assert load(folder, "\n".join([*lines, GOOD]), ignored.append).run.parameters["epochs"] == 10
    assert len(ignored) == len(lines)
    with pytest.raises(ContractError, match="epochs: expected .*, got a list"):
        load(folder, "\n".join([*lines, edited("10", "*a9")]), ignored.append)


@pytest.mark.parametrize("text", ["run: &r {parameters: *r}", "run: &r\n  parameters: {epochs: *r}", "&a [*a]"])
def test_what_holds_itself_is_refused(folder: Path, text: str) -> None:
    """A mapping or list that is part of itself is refused like any other."""
    with pytest.raises(ContractError, match="line"):
        load(folder, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + "datasets: []\n", "line 21: datasets has no effect: expected one of apiVersion, metadata, "),
        (edited("  version: 0.1.0", "  versions: 0.1.0"), "line 4: metadata.versions .* Did you mean 'version'?"),
        (edited("  name: default", "  names: default"), "line 15: run.names has no effect: .* Did you mean 'name'?"),
        (
            edited("kubeflow\n", "kubeflow\n  parameters: {kubeflowVersion: 1.10, kubeflowNamespace: me}\n"),
            "line 7: workflow.parameters has no effect: expected one of type.",
        ),
        (GOOD + "k" * 200 + ": 1\n", r"line 21: k{100} \.\.\. has no effect"),
        (GOOD + '"a\\nb": 1\n', r"line 21: 'a\\nb' has no effect"),
        (GOOD + "odd:\n  -\n    1\n", "line 21: odd has no effect"),
    ],
    ids=["top", "metadata", "run", "workflow", "long", "unprintable", "lines"],
)
def test_a_key_without_effect_is_warned_of(folder: Path, text: str, message: str) -> None:
    """A key that has no effect is named with its line and the nearest one that has, and the rest is read."""
    with pytest.warns(UserWarning, match=message.replace("?", r"\?")) as caught:
        load(folder, text)
    assert len(caught) == 1


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """A file that is not there, or is a folder, is refused, and named."""
    with pytest.raises(ContractError, match="expected YAML in .*missing.yaml, got: .*No such file"):
        program_file.load(tmp_path / "missing.yaml", warnings.warn)
    with pytest.raises(ContractError, match="Is a directory"):
        program_file.load(tmp_path, warnings.warn)


@pytest.mark.parametrize(
    ("run", "parameters"), [("{parameters: {epochs: 4}}", {"epochs": 4}), ("{parameters: }", {}), ("{name: a}", {})]
)
def test_a_run_alone_is_enough_for_a_run_here(folder: Path, run: str, parameters: dict[str, Any]) -> None:
    """Where the pipeline is known, run.parameters is all that is read, and other keys are nobody's business."""
    (folder / "same.yaml").write_text(f"x: 1\nrun: {run}")
    warned = list[str]()
    assert program_file.run_parameters(folder / "same.yaml", warned.append) == parameters
    known = "run, apiVersion, metadata, workflow, pipeline"
    told = [f"program file {folder / 'same.yaml'}, line 1: x has no effect: expected one of {known}."]
    assert warned == told
    # A whole program file has nothing that is warned of.
    (folder / "same.yaml").write_text(GOOD)
    assert program_file.run_parameters(folder / "same.yaml", warned.append)["epochs"] == 10
    assert warned == told


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x: 1", "line 1: run: expected this key, got no such key"),
        ("run: ", "line 1: run: expected a mapping, got nothing"),
        ("run: {parameters: 3}", "line 1: run.parameters: expected a mapping, got 3"),
        ("run: {parameters: {epochs: [1]}}", "run.parameters.epochs: expected a number, boolean or string, got a list"),
    ],
)
def test_a_run_here_needs_a_run(folder: Path, text: str, message: str) -> None:
    """A file without a run, or with parameters that are not a mapping of values, is refused."""
    (folder / "same.yaml").write_text(text)
    with pytest.raises(ContractError, match=message):
        program_file.run_parameters(folder / "same.yaml")


NAMES = st.text(string.ascii_letters + "_", min_size=1, max_size=8)
VALUES = (
    st.integers(-(2**53), 2**53)
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
)


@given(NAMES, st.text(max_size=20), st.dictionaries(NAMES, VALUES, max_size=5))
def test_what_is_written_is_read(folder: Path, name: str, description: str, parameters: dict[str, Any]) -> None:
    """Any names, texts and values come back as they were, with their types."""
    written = yaml.safe_load(GOOD)
    written["pipeline"] |= {"name": name, "description": description}
    written["run"]["parameters"] = parameters
    got = load(folder, yaml.safe_dump(written))
    assert (got.pipeline.name, got.pipeline.description) == (name, description)
    assert repr(got.run.parameters) == repr(dict(sorted(parameters.items())))


def read_or_refuse(folder: Path, content: bytes) -> None:
    """Assert that a file is either read, to values that a run can take, or refused in words."""
    (folder / "same.yaml").write_bytes(content)
    message, got = "", None
    try:
        got = program_file.load(folder / "same.yaml", lambda _: None)
    except ContractError as error:
        message = str(error)
    if got is None:
        assert message.startswith("program file ")
        assert "\n" not in message
    else:
        values = got.run.parameters.values()
        assert all(isinstance(value, str) or math.isfinite(value) for value in values)


@given(st.binary(max_size=200) | st.text(alphabet="ab01:-?!&*[]{},.'\"\\|>%@#<= \n\t", max_size=100).map(str.encode))
def test_anything_is_read_or_refused(folder: Path, content: bytes) -> None:
    """Whatever a file holds, it is read or refused with a message."""
    read_or_refuse(folder, content)


MARKS = [*'[{|>~=\n"\\', "  ", "&a", "*a", "? ", "- ", "<<: ", ".inf", "0x", "1e400", "%YAML 9.9", "---", "..."]
TAGS = ["!!int ", "!!float ", "!!bool x", "!!timestamp ", "!!binary =", "!!set", "!!null ", "!!map ", "!x "]


@given(st.randoms(use_true_random=False), st.integers(1, 6))
def test_a_damaged_file_is_read_or_refused(folder: Path, chance: random.Random, edits: int) -> None:
    """A good file with pieces cut, doubled or put in is read or refused with a message."""
    text = GOOD
    for _ in range(edits):
        start = chance.randrange(len(text) + 1)
        end = min(len(text), start + chance.randrange(12))
        piece = chance.choice(["", text[start:end] * 2, chance.choice([*MARKS, *TAGS])])
        text = text[:start] + piece + text[end:]
    read_or_refuse(folder, text.encode())


@given(
    st.recursive(
        st.none() | VALUES | st.floats() | st.dates(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.integers(), inner, max_size=3),
        max_leaves=5,
    ),
    st.sampled_from(["metadata", "workflow", "pipeline", "run", "apiVersion"]),
    st.sampled_from(["name", "type", "parameters", "package", None]),
)
def test_any_value_anywhere_is_read_or_refused(folder: Path, value: Any, key: str, inner: str | None) -> None:
    """Whatever stands at a known key, the file is read or refused with a message."""
    document = yaml.safe_load(GOOD)
    if inner and isinstance(document[key], dict):
        document[key][inner] = value
    else:
        document[key] = value
    read_or_refuse(folder, yaml.safe_dump(document, allow_unicode=True).encode())
