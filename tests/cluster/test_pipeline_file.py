"""Tests of compiling a pipeline file that somebody wrote."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fmnist import pipeline
from fmnist.cluster import pipeline_file
from fmnist.cluster.pipeline_file import (
    check_checkout,
    compile_pipeline_file,
    is_ours,
    read_compiled,
    read_spec,
)
from fmnist.pipeline import Where
from fmnist.runs import study_pipeline
from fmnist.steps.errors import ContractError

ROOT = Path(__file__).parents[2]

OTHER = '''
import helper
from kfp import dsl


@dsl.component(base_image="python:3.11")
def greet(name: str, often: int) -> str:
    """Greet."""
    return name * often


@dsl.pipeline(name=helper.NAME)
def greetings(name: str, often: int = 2):
    greet(name=name, often=often)


again = greetings
print("compiled")
'''

#: A condition on a part of the items of a loop.
ITEMS = """
    with dsl.ParallelFor([{'a': 1}]) as item, dsl.If(item.a == 1):
        greet(name=name, often=item.a)
"""

#: A compiled pipeline of one task.
SMALL = b"pipelineInfo: {name: small}\nroot: {dag: {tasks: {a: {}}}}\n"


def compiled(folder: Path, source: str) -> Path:
    """Return the compiled file of a pipeline file with this source."""
    (folder / "somebody.py").write_text(source)
    return compile_pipeline_file(folder / "somebody.py", folder / "pipeline.yaml")


def test_a_step_with_a_name_of_its_file_is_warned_of(tmp_path: Path) -> None:
    """On a cluster it fails when it runs; a compiled file is looked at too, and all else is silent."""
    warnings: list[str] = []
    (tmp_path / "helper.py").write_text('NAME = "greetings"\n')
    (source := tmp_path / "somebody.py").write_text(OTHER)
    compile_pipeline_file(source, tmp_path / "good.yaml", warnings.append)
    assert warnings == []
    source.write_text(OTHER.replace("name * often", "name * helper.OFTEN"))
    compiled_file = compile_pipeline_file(source, tmp_path / "pipeline.yaml", warnings.append)
    compile_pipeline_file(compiled_file, tmp_path / "copy.yaml", warnings.append)
    assert warnings == 2 * [
        "step greet: expected names that its function defines or imports, got helper. "
        "A step leaves the file around its function behind: define or import them in it, or give them as parameters."
    ]


def test_each_such_step_is_warned_of(tmp_path: Path) -> None:
    """Here two, each by the name of its task."""
    warnings: list[str] = []
    (tmp_path / "helper.py").write_text('NAME = "greetings"\n')
    call = "    greet(name=name, often=often)\n"
    (source := tmp_path / "somebody.py").write_text(
        OTHER.replace("name * often", "helper.NAME").replace(call, 2 * call)
    )
    compile_pipeline_file(source, tmp_path / "pipeline.yaml", warnings.append)
    assert [one.partition(": ")[0] for one in warnings] == ["step greet", "step greet-2"]


def test_what_no_part_of_a_pipeline_gives_is_warned_of(tmp_path: Path) -> None:
    """The pipeline compiles, and no server can run it."""
    warnings: list[str] = []
    (tmp_path / "helper.py").write_text('NAME = "greetings"\n')
    call = "    greet(name=name, often=often)\n"
    loop = "    with dsl.If(often > 1), dsl.ParallelFor([{'a': 1}]) as item:\n        greet(name=name, often=item.a)\n"
    (source := tmp_path / "somebody.py").write_text(OTHER.replace(call, loop))
    compile_pipeline_file(source, tmp_path / "pipeline.yaml", warnings.append)
    [warning] = warnings
    assert warning.startswith(
        "compiled pipeline: expected an input loop-item-param-2 of the pipeline, which condition-1 takes, got none. "
    )


def test_our_pipeline_compiles_to_the_same_bytes(tmp_path: Path) -> None:
    """From its file, our own pipeline is what `fmnist compile` writes."""
    got = compile_pipeline_file(ROOT / "fmnist" / "pipeline.py", tmp_path / "got.yaml")
    assert got.read_bytes() == pipeline.compile_pipeline(tmp_path / "expected.yaml").read_bytes()


def test_another_pipeline_compiles_as_kfp_does_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file finds its neighbours, its prints go to stderr, and the result has the bytes of `kfp dsl compile`."""
    (tmp_path / "helper.py").write_text("NAME = 'greetings'")
    before = list(sys.path)
    got = compiled(tmp_path, OTHER.replace("again = greetings\n", ""))
    assert (capsys.readouterr().out, sys.path) == ("", before)
    expected = tmp_path / "expected.yaml"
    command = [str(Path(sys.executable).with_name("kfp")), "dsl", "compile", "--py", str(tmp_path / "somebody.py")]
    subprocess.run([*command, "--output", str(expected)], check=True, capture_output=True)
    assert got.read_bytes() == expected.read_bytes()
    assert read_spec(got)["pipelineInfo"]["name"] == "greetings"


def test_a_pipeline_with_two_names_is_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second name for the pipeline does not make it two; what the file prints goes to stderr.

    Of the path only the file's folder is taken away again.
    """
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "helper.py").write_text("NAME = 'greetings'")
    (tmp_path / "somebody.py").write_text(f"import sys\nsys.path.insert(0, 'of somebody')\n{OTHER}")
    got = compile_pipeline_file(tmp_path / "somebody.py", str(tmp_path / "pipeline.yaml"))
    assert got == tmp_path / "pipeline.yaml"
    assert read_spec(got)["pipelineInfo"]["name"] == "greetings"
    assert capsys.readouterr() == ("", "compiled\n")
    assert (sys.path[0], str(tmp_path) in sys.path) == ("of somebody", False)


def test_a_lone_component_is_compiled(tmp_path: Path) -> None:
    """Where there is no pipeline, one component is taken, as by kfp."""
    source = OTHER.partition("@dsl.pipeline")[0].replace("import helper", "")
    assert read_spec(compiled(tmp_path, source))["pipelineInfo"]["name"] == "greet"


@pytest.mark.parametrize("name", ["json", "random", "pipeline"])
def test_a_file_may_be_called_as_a_module(tmp_path: Path, name: str) -> None:
    """A pipeline file with the name of a module is executed itself, and leaves that module alone."""
    (tmp_path / "helper.py").write_text("NAME = 'greetings'")
    path = tmp_path / f"{name}.py"
    path.write_text(OTHER)
    before = sys.modules.get(name)
    assert read_spec(compile_pipeline_file(path, tmp_path / "x.yaml"))["pipelineInfo"]["name"] == "greetings"
    assert sys.modules.get(name) is before


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", ": expected one pipeline, got none"),
        (
            "x = 1\ny = undefined\n",
            ", line 2: expected a pipeline that compiles, got NameError: name 'undefined' is not defined",
        ),
        ("x = (\n", r", line 1: expected a pipeline that compiles, got SyntaxError: '\(' was never closed"),
        ("\ndef f():\n    raise ValueError('a\\nX:.')\n\nf()\n", ", line 3: expected .*, got ValueError: a X"),
        ("import no_such_module\n", ", line 1: expected .*, got ModuleNotFoundError: No module named 'no_such_module'"),
        ("import sys\nsys.exit(0)\n", ", line 2: expected .*, got SystemExit: 0"),
        ("raise Exception\n", ", line 1: expected .*, got Exception"),
        ("raise Exception(289 * 'a')\n", ", line 1: expected .*, got Exception: a{289}"),
        ("raise Exception(290 * 'a')\n", r", line 1: expected .*, got Exception: a{289} \.\.\."),
        ("import sys\nraise Exception(__name__, sys.path[0])\n", r".*'same_program_somebody', 'FOLDER'\)"),
        ("x = '\0'\n", ".*: expected a pipeline that compiles, got .*null bytes.*"),
        ("x = '\udcff'\n", ".*: expected a pipeline that compiles, got SyntaxError: .*"),
        (
            "from kfp import dsl\n\n@dsl.component(base_image='x')\ndef f(x):\n    pass\n",
            ", line 3: expected a pipeline that compiles, got TypeError: .*",
        ),
        (
            OTHER.replace("import helper", "").replace("helper.NAME", "'a'")
            + "\n@dsl.pipeline\ndef two(): greet(name='x', often=1)\n",
            ": expected one pipeline, got a, two. Move the others into another module, and import that whole, as in "
            "'import parts'",
        ),
        (
            OTHER.partition("@dsl.pipeline")[0].replace("import helper", "")
            + "\n@dsl.component(base_image='x')\ndef two() -> str:\n    return ''\n",
            ": expected one pipeline, got greet, two. Move .* as in 'import parts'",
        ),
        (
            "from __future__ import annotations\n" + OTHER.replace("import helper", ""),
            ", line 7: expected a pipeline that compiles, got TypeError: Artifacts must have both .* Got: str. "
            "Annotate parameters with str, int, float, bool, list or dict, and artifacts with Input or Output. Leave "
            "out 'from __future__ import annotations', which makes texts of all of these",
        ),
        (
            OTHER.replace("import helper", "")
            .replace("helper.NAME", "'a'")
            .replace("    greet(name=name, often=often)", ITEMS),
            ", line 12: expected a pipeline that compiles, got AssertionError: component_input_parameter: .* } }. "
            "kfp looks outside of a loop for its items where .*, as in item.a, .*: give the whole item to the task",
        ),
    ],
    ids=[
        "nothing", "name", "syntax", "function", "import", "exit", "wordless", "long", "longer", "as what", "null",
        "not UTF-8", "kfp", "two", "two components", "types as text", "item taken apart",
    ],
)  # fmt: skip
def test_a_pipeline_file_with_an_error_is_refused(tmp_path: Path, source: str, message: str) -> None:
    """An error in the file gives one line of text with its line number, and no file."""
    path = tmp_path / "somebody.py"
    path.write_bytes(source.encode("utf-8", "surrogateescape"))
    message = message.replace("FOLDER", str(tmp_path))
    with pytest.raises(ContractError, match=rf"^pipeline file {path}{message}\.$") as caught:
        compile_pipeline_file(path, tmp_path / "pipeline.yaml")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "pipeline.yaml").exists()


def test_an_error_beside_the_file_is_told_with_the_line_that_led_there(tmp_path: Path) -> None:
    """The line is one of the file that was given, whichever file is wrong."""
    (tmp_path / "wrong.py").write_text("\n\n\nx = (\n")
    with pytest.raises(ContractError) as caught:
        compiled(tmp_path, "\nimport wrong\n")
    assert str(caught.value) == (
        f"pipeline file {tmp_path}/somebody.py, line 2: expected a pipeline that compiles, "
        "got SyntaxError: '(' was never closed."
    )


def test_a_compiled_file_is_taken_as_it_is(tmp_path: Path) -> None:
    """A compiled file, as for an image or a study, is copied: nothing is compiled again or executed."""
    path = study_pipeline.compile_pipeline(tmp_path / "study.yaml", Where("registry.example/fmnist:1"))
    assert compile_pipeline_file(path, tmp_path / "got.yaml").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("change", "got"),
    [
        (b"nothing", "another document: .*"),
        (b"a: [", "no YAML: while parsing a flow node .*"),
        (b"3", "another document: .*not iterable"),
        (b"a: !!bool maybe", "another document: 'maybe'"),
        (b"a: !!timestamp x", "another document: .*"),
        (b"deploymentSpec: {a: 1" + 400 * b"0" + b"}", "another document: int too large .*"),
        (b"COMPILED\nnonsense: 1\n", "another document: .*nonsense.*"),
        (b"", "an empty file"),
        (b" \n ", "an empty file"),
        (b" \n# nothing\n", "another document: .*"),
        (b"\x00\x01{{{", "no YAML: .*"),
        (b"\xff\xfe\xfd", "no YAML: .*"),
        (b"PK\x03\x04\x00", "an archive: unpack it"),
        (b"\x1f\x8b\x08\x00", "an archive: unpack it"),
        (b"name: a\nimplementation: {container: {image: x}}\n", "another document: .*"),
        (b"apiVersion: v1\nkind: Pod\n", "another document: .*"),
        (b"COMPILED\n---\na: 1\n", "another document: .*"),
        (SMALL + b"---\nplatforms: {}\n---\nplatforms: {}\n", "one called 'small', with 1 tasks"),
        (SMALL.replace(b"small", b"Big Name"), "one called 'Big Name', with 1 tasks"),
        (SMALL.replace(b"small", b"s" * 129), f"one called '{129 * 's'}', with 1 tasks"),
        (SMALL.replace(b"small", b"-s"), "one called '-s', with 1 tasks"),
        (b"pipelineInfo: {name: small}\nroot: {dag: {tasks: {}}}\n", "one called 'small', with 0 tasks"),
        (SMALL.replace(b"small", b"&a [*a]"), "another document: its aliases stand for too much"),
        (SMALL.replace(b"small", b"'" + 400 * b"x" + b"'"), rf"one called '{288 * 'x'} \.\.\."),
        (b"[" * 100_000, ".+"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_that_is_no_compiled_pipeline_is_refused(tmp_path: Path, change: bytes, got: str) -> None:
    """A file that no server takes gives one line of text, and no file."""
    path = tmp_path / "somebody.yaml"
    compiled = b""
    if b"COMPILED" in change:
        compiled = study_pipeline.compile_pipeline(path, Where("registry.example/fmnist:1")).read_bytes()
    path.write_bytes(change.replace(b"COMPILED", compiled))
    expected = (
        "expected a compiled pipeline, as `fmnist compile` or kfp writes one, with tasks and a name of a-z, 0-9 and -"
    )
    with pytest.raises(ContractError, match=rf"^pipeline file {path}: {expected}; got {got}\.$") as caught:
        compile_pipeline_file(path, tmp_path / "got.yaml")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "got.yaml").exists()


@pytest.mark.parametrize("name", [b"0", b"a-b-9", b"s" * 128])
def test_a_compiled_file_is_its_content_and_its_document(tmp_path: Path, name: bytes) -> None:
    """The document for Kubernetes that may follow is part of the content alone, and an empty one of nothing."""
    path = tmp_path / "small.yaml"
    content = SMALL.replace(b"small", b"'" + name + b"'") + b"---\nplatforms: {}\n---\n"
    path.write_bytes(content)
    document = {"pipelineInfo": {"name": name.decode()}, "root": {"dag": {"tasks": {"a": {}}}}}
    assert read_compiled(str(path)) == (content, document)
    assert read_spec(str(path)) == document


@pytest.mark.parametrize("change", [lambda text: f"---\n---\n{text}".encode(), lambda text: text.encode("utf-16")])
def test_a_compiled_file_may_begin_with_an_empty_document_or_be_utf_16(tmp_path: Path, change: Any) -> None:
    """What counts as a compiled file is read as one."""
    path = tmp_path / "small.yaml"
    path.write_bytes(change(SMALL.decode()))
    assert read_spec(path) == read_compiled(path)[1] != {}


def test_a_file_may_be_as_large_as_a_server_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's limit holds for the bytes."""
    assert pipeline_file.LARGEST == 33_554_432
    path = tmp_path / "small.yaml"
    path.write_bytes(SMALL)
    monkeypatch.setattr(pipeline_file, "LARGEST", 58)
    assert read_compiled(path)[0] == SMALL
    monkeypatch.setattr(pipeline_file, "LARGEST", 57)
    with pytest.raises(ContractError, match=r"; got a file that cannot be read: it is larger than 57 bytes\.$"):
        read_compiled(path)


def test_what_the_aliases_of_a_file_stand_for_has_the_same_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small file that the server would write out to a large one is refused."""
    path = tmp_path / "small.yaml"
    tasks = ", ".join(f"t{number}: {{taskInfo: {{name: *a}}}}" for number in range(9))
    path.write_text(
        f"pipelineInfo: {{name: &a {100 * 'x'}}}\nroot: {{dag: {{tasks: {{{tasks}}}}}}}\n---\nplatforms: {{}}\n"
    )
    monkeypatch.setattr(pipeline_file, "LARGEST", 1190)
    read_compiled(path)
    monkeypatch.setattr(pipeline_file, "LARGEST", 1189)
    with pytest.raises(ContractError, match=r"; got another document: its aliases stand for too much\.$"):
        read_compiled(path)


SHARED: list[Any] = ["ab"]
ENDLESS: list[Any] = []
ENDLESS.append({"inner": ENDLESS})


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("abc", 3),
        (b"ab", 2),
        ("", 0),
        (5, 1),
        (None, 1),
        ([], 1),
        ({}, 1),
        (["ab", 1], 4),
        ({"a": "bcd"}, 5),
        ([SHARED, SHARED], 7),
        (ENDLESS, float("inf")),
    ],
    ids=str,
)
def test_a_value_is_as_large_as_it_is_written_out(value: Any, size: float) -> None:
    """An alias counts each time, and one in itself has no end."""
    assert pipeline_file._size(value, {}) == size


# This package's own


def test_our_file_is_known_with_any_ends_of_lines(tmp_path: Path) -> None:
    """Its content counts, not where it is."""
    ours, path = (ROOT / "fmnist" / "pipeline.py").read_bytes(), tmp_path / "other.py"
    assert not is_ours(path)
    found = []
    for content in (ours, ours.replace(b"\n", b"\r\n"), ours + b"#", ours.replace(b"\n", b" "), 3 * ours, b""):
        path.write_bytes(content)
        found.append(is_ours(path))
    assert found == [True, True, False, False, False, False]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The package's folder in a copy of the repository."""
    for path in (ROOT / "fmnist").rglob("*.py"):
        copied = tmp_path / path.relative_to(ROOT)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copied)
    return tmp_path / "fmnist"


@pytest.mark.parametrize("source", ["pipeline.py", "runs/study_pipeline.py"])
def test_a_checkout_with_the_installed_code_is_good(checkout: Path, source: str) -> None:
    """Also with Windows' ends of lines."""
    check_checkout(checkout / source)
    path = checkout / "steps" / "training.py"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    check_checkout(checkout / source)


@pytest.mark.parametrize("source", ["pipeline.py", "runs/study_pipeline.py"])
@pytest.mark.parametrize("change", [Path.unlink, lambda path: path.write_text("other")], ids=["missing", "other"])
@pytest.mark.parametrize("name", ["__init__.py", "steps/training.py"])
def test_a_checkout_with_other_code_is_refused(
    checkout: Path, source: str, change: Callable[[Path], object], name: str
) -> None:
    """The installed code is what would run; the error says which file differs, and how to install the checkout."""
    change(checkout / name)
    with pytest.raises(ContractError) as caught:
        check_checkout(checkout / source)
    assert str(caught.value) == (
        f"pipeline: expected the code of the fmnist that is installed, in {ROOT / 'fmnist'}, got another "
        f"{checkout / name}. Install that checkout first, with pip install -e {checkout.parent}."
    )


def test_a_file_in_no_checkout_is_checked_against_nothing(tmp_path: Path) -> None:
    """Somebody's own pipeline needs none of our code beside it."""
    (tmp_path / "kubeflow").mkdir()
    check_checkout(tmp_path / "kubeflow" / "pipeline.py")
