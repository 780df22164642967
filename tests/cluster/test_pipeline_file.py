"""Tests of compiling a pipeline file that somebody wrote."""

import subprocess
import sys
from pathlib import Path

import pytest

from fmnist import pipeline
from fmnist.cluster.pipeline_file import compile_pipeline_file, read_spec
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


def compiled(folder: Path, source: str) -> Path:
    """Return the compiled file of a pipeline file with this source."""
    (folder / "somebody.py").write_text(source)
    return compile_pipeline_file(folder / "somebody.py", folder / "pipeline.yaml")


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


def test_a_pipeline_with_two_names_is_one(tmp_path: Path) -> None:
    """A second name for the pipeline does not make it two."""
    (tmp_path / "helper.py").write_text("NAME = 'greetings'")
    assert read_spec(compiled(tmp_path, OTHER))["pipelineInfo"]["name"] == "greetings"


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
        ("x = 1\ny = undefined\n", "line 2: expected a pipeline that compiles, got NameError: name 'undefined'"),
        ("x = (\n", r"line 1: expected a pipeline that compiles, got SyntaxError: '\(' was never closed"),
        ("\ndef f():\n    raise ValueError('a\\nb')\n\nf()\n", "line 3: expected .*, got ValueError: a b."),
        ("import no_such_module\n", "line 1: expected .*, got ModuleNotFoundError: No module named 'no_such_module'"),
        ("import sys\nsys.exit(0)\n", "line 2: expected .*, got SystemExit: 0"),
        ("raise Exception\n", "line 1: expected .*, got Exception"),
        ("x = '\0'\n", "expected a pipeline that compiles, got .*null bytes"),
        ("x = '\udcff'\n", "expected a pipeline that compiles, got SyntaxError"),
        (
            "from kfp import dsl\n\n@dsl.component(base_image='x')\ndef f(x):\n    pass\n",
            "line 3: expected a pipeline that compiles, got TypeError",
        ),
        (
            OTHER.replace("import helper", "").replace("helper.NAME", "'a'")
            + "\n@dsl.pipeline\ndef two(): greet(name='x', often=1)\n",
            "expected one pipeline, got a, two",
        ),
    ],
    ids=["nothing", "name", "syntax", "function", "import", "exit", "wordless", "null", "not UTF-8", "kfp", "two"],
)
def test_a_pipeline_file_with_an_error_is_refused(tmp_path: Path, source: str, message: str) -> None:
    """An error in the file gives one line of text with its line number, and no file."""
    path = tmp_path / "somebody.py"
    path.write_bytes(source.encode("utf-8", "surrogateescape"))
    with pytest.raises(ContractError, match=f"^pipeline file {path}.*{message}") as caught:
        compile_pipeline_file(path, tmp_path / "pipeline.yaml")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "pipeline.yaml").exists()


def test_a_compiled_file_is_taken_as_it_is(tmp_path: Path) -> None:
    """A compiled file, as for an image or a study, is copied: nothing is compiled again or executed."""
    path = study_pipeline.compile_pipeline(tmp_path / "study.yaml", Where("registry.example/fmnist:1"))
    assert compile_pipeline_file(path, tmp_path / "got.yaml").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("change", "got"),
    [
        (b"nothing", "another document"),
        (b"a: [", "no YAML"),
        (b"COMPILED\nnonsense: 1\n", "another document"),
        (b"", "an empty file"),
        (b" \n# nothing\n", "another document"),
        (b"\x00\x01{{{", "no YAML"),
        (b"\xff\xfe\xfd", "no YAML"),
        (b"PK\x03\x04\x00", "an archive: unpack it"),
        (b"\x1f\x8b\x08\x00", "an archive: unpack it"),
        (b"name: a\nimplementation: {container: {image: x}}\n", "another document"),
        (b"apiVersion: v1\nkind: Pod\n", "another document"),
        (b"COMPILED\n---\na: 1\n", "another document"),
        (b"COMPILED\n---\nplatforms: {}\n---\nplatforms: {}\n", "one called 'fashion-mnist-study'"),
        (b"pipelineInfo: {name: Big Name}\nroot: {dag: {tasks: {a: {}}}}\n", "one called 'Big Name'"),
        (b"pipelineInfo: {name: small}\nroot: {dag: {tasks: {}}}\n", "one called 'small', with 0 tasks"),
        (b"[" * 100_000, ""),
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
    with pytest.raises(ContractError, match=f"^pipeline file {path}: expected a compiled .*; got {got}") as caught:
        compile_pipeline_file(path, tmp_path / "got.yaml")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "got.yaml").exists()
