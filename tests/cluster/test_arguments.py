"""Tests of compiling somebody's pipeline file, and of checking arguments against what it takes."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fmnist import pipeline
from fmnist.cluster import arguments as packages
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
    return packages.compile(folder / "somebody.py", folder / "pipeline.yaml")


def test_our_pipeline_compiles_to_the_same_bytes(tmp_path: Path) -> None:
    """From its file, our own pipeline is what `fmnist compile` writes."""
    got = packages.compile(ROOT / "fmnist" / "pipeline.py", tmp_path / "got.yaml")
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
    assert packages.read(got)["pipelineInfo"]["name"] == "greetings"


def test_a_pipeline_with_two_names_is_one(tmp_path: Path) -> None:
    """A second name for the pipeline does not make it two."""
    (tmp_path / "helper.py").write_text("NAME = 'greetings'")
    assert packages.read(compiled(tmp_path, OTHER))["pipelineInfo"]["name"] == "greetings"


def test_a_lone_component_is_compiled(tmp_path: Path) -> None:
    """Where there is no pipeline, one component is taken, as by kfp."""
    source = OTHER.partition("@dsl.pipeline")[0].replace("import helper", "")
    assert packages.read(compiled(tmp_path, source))["pipelineInfo"]["name"] == "greet"


@pytest.mark.parametrize("name", ["json", "random", "pipeline"])
def test_a_file_may_be_called_as_a_module(tmp_path: Path, name: str) -> None:
    """A pipeline file with the name of a module is executed itself, and leaves that module alone."""
    (tmp_path / "helper.py").write_text("NAME = 'greetings'")
    path = tmp_path / f"{name}.py"
    path.write_text(OTHER)
    before = sys.modules.get(name)
    assert packages.read(packages.compile(path, tmp_path / "x.yaml"))["pipelineInfo"]["name"] == "greetings"
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
    ids=[
        "nothing",
        "name",
        "syntax",
        "function",
        "import",
        "exit",
        "wordless",
        "null",
        "not UTF-8",
        "kfp",
        "two",
    ],
)
def test_a_pipeline_file_with_an_error_is_refused(tmp_path: Path, source: str, message: str) -> None:
    """Whatever is wrong in the file is told in one line, with its line, and nothing is written."""
    path = tmp_path / "somebody.py"
    path.write_bytes(source.encode("utf-8", "surrogateescape"))
    with pytest.raises(ContractError, match=f"^pipeline file {path}.*{message}") as caught:
        packages.compile(path, tmp_path / "pipeline.yaml")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "pipeline.yaml").exists()


def test_a_compiled_file_is_taken_as_it_is(tmp_path: Path) -> None:
    """What is compiled already, as for an image or as a study, is not compiled again, and nothing is executed."""
    path = study_pipeline.compile_pipeline(tmp_path / "study.yaml", Where("registry.example/fmnist:1"))
    assert packages.compile(path, tmp_path / "got.yaml").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    "change", ["nothing", "a: [", "{compiled}nonsense: 1\n"], ids=["text", "no YAML", "unknown field"]
)
def test_a_file_that_is_no_compiled_pipeline_is_refused(tmp_path: Path, change: str) -> None:
    """What kfp cannot load is told in one line, and nothing is written."""
    path = tmp_path / "somebody.yaml"
    compiled = study_pipeline.compile_pipeline(path, Where("registry.example/fmnist:1")).read_text()
    path.write_text(change.format(compiled=compiled))
    with pytest.raises(
        ContractError, match=f"^pipeline file {path}: expected a pipeline that compiles, got "
    ) as caught:
        packages.compile(path, tmp_path / "got.yaml")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "got.yaml").exists()


def spec(**inputs: dict[str, Any]) -> dict[str, Any]:
    """Return a compiled pipeline with these inputs."""
    return {"root": {"inputDefinitions": {"parameters": inputs}}}


KINDS = ["STRING", "NUMBER_INTEGER", "NUMBER_DOUBLE", "BOOLEAN", "LIST", "STRUCT"]


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("STRING", "a", "a"),
        ("STRING", "3", "3"),
        ("STRING", "", ""),
        ("NUMBER_INTEGER", 3, 3),
        ("NUMBER_INTEGER", "-3", -3),
        ("NUMBER_DOUBLE", 0.5, 0.5),
        ("NUMBER_DOUBLE", "1e-3", 0.001),
        ("NUMBER_DOUBLE", 3, 3),
        ("BOOLEAN", True, True),
        ("BOOLEAN", "True", True),
        ("BOOLEAN", "false", False),
        ("LIST", "[1, 2]", [1, 2]),
        ("STRUCT", '{"a": null}', {"a": None}),
    ],
)
def test_a_value_of_the_type_is_taken(kind: str, value: Any, expected: Any) -> None:
    """A value of an input's type is taken as it is, text for it is read."""
    [got] = packages.arguments(spec(x={"parameterType": kind}), {"x": value}).values()
    assert (got, type(got)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        ("STRING", 3, "expected text, got 3"),
        ("STRING", True, "expected text, got True"),
        ("NUMBER_INTEGER", 3.0, "expected a whole number, at most 2\\*\\*53 from zero, got 3.0"),
        ("NUMBER_INTEGER", True, "expected a whole number, at most 2\\*\\*53 from zero, got True"),
        ("NUMBER_INTEGER", "ten", "expected a whole number, at most 2\\*\\*53 from zero, got 'ten'"),
        ("NUMBER_INTEGER", "", "expected a whole number, at most 2\\*\\*53 from zero, got ''"),
        ("NUMBER_INTEGER", "9007199254740993", "expected a whole number, at most 2\\*\\*53 from zero, got '9007"),
        ("LIST", "[NaN]", r"expected a list as JSON, with finite numbers, got '\[NaN\]'"),
        ("STRUCT", '{"a": 1e999}', "expected a mapping as JSON, with finite numbers, got"),
        ("NUMBER_DOUBLE", "NaN", "expected a finite number, got 'NaN'"),
        ("NUMBER_DOUBLE", "1e999", "expected a finite number, got '1e999'"),
        ("NUMBER_DOUBLE", False, "expected a finite number, got False"),
        ("BOOLEAN", 1, "expected true or false, got 1"),
        ("BOOLEAN", "yes", "expected true or false, got 'yes'"),
        ("LIST", "{}", "expected a list as JSON, with finite numbers, got '{}'"),
        ("LIST", "[" * 100_000, "expected a list as JSON, with finite numbers, got"),
        ("STRUCT", "[]", "expected a mapping as JSON, with finite numbers, got"),
        ("TASK_FINAL_STATUS", "x", "expected a value that can be given, got 'x'"),
    ],
)
def test_a_value_of_another_type_is_refused(kind: str, value: Any, message: str) -> None:
    """A value that is not of its input's type is refused by the input's name."""
    with pytest.raises(ContractError, match=f"^parameter x: {message}") as caught:
        packages.arguments(spec(x={"parameterType": kind}), {"x": value})
    assert len(str(caught.value)) < 400


def test_an_unknown_parameter_is_refused() -> None:
    """A name that the pipeline lacks is refused, and the nearest one suggested."""
    takes = spec(epochs={"parameterType": "NUMBER_INTEGER"}, seed={"parameterType": "NUMBER_INTEGER"})
    with pytest.raises(ContractError, match="expected one of epochs, seed, got 'epoch'. Did you mean 'epochs'?"):
        packages.arguments(takes, {"epoch": 3, "seed": 1})
    with pytest.raises(ContractError, match="expected none, as the pipeline takes none, got 'epoch'"):
        packages.arguments({"root": {}}, {"epoch": 3})


def test_what_has_no_default_must_be_given() -> None:
    """An input without a default is wanted; one with a default, or that is optional, is not."""
    needed = {"parameterType": "STRING"}
    takes = spec(a=needed, b={**needed, "defaultValue": ""}, c={**needed, "isOptional": True})
    assert packages.arguments(takes, {"a": "x"}) == {"a": "x"}
    with pytest.raises(ContractError, match="parameter a: expected a value, as the pipeline has no default, got none"):
        packages.arguments(takes, {})
