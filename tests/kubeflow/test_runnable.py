"""Tests of running pipelines of others here: no artifact hides another, and what is missing is named."""

import io
import logging
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from kfp import compiler, dsl

from fmnist.cluster.pipeline_file import read_spec
from fmnist.kubeflow import compiled, local, runnable
from fmnist.steps.errors import ContractError


def write(text: str, table: dsl.Output[dsl.Dataset], metrics: dsl.Output[dsl.Metrics]) -> str:
    """Write a text, log its length, and return it."""
    with open(table.path, "w") as file:  # noqa: PTH123 - kfp copies this text
        file.write(text)
    metrics.log_metric("length", len(text))
    return text


def join(tables: dsl.Input[list[dsl.Dataset]], table: dsl.Output[dsl.Dataset]) -> None:
    """Write the texts of tables one after another."""
    with open(table.path, "w") as file:  # noqa: PTH123 - kfp copies this text
        file.write("+".join(open(one.path).read() for one in tables))  # noqa: PTH123, SIM115 - as above


def component(function: Any, *packages: str) -> Any:
    """Return a component of a pipeline of somebody else, which installs kfp and packages."""
    return dsl.component(function, base_image="python:3.11", packages_to_install=list(packages))


def make(*packages: str) -> Any:
    """Return a pipeline with one component in many tasks: side by side, in a part twice, in a loop, and in a branch."""
    writes, joins = component(write, *packages), component(join)

    @dsl.pipeline(name="part")  # type: ignore[untyped-decorator]
    def part(text: str) -> None:
        writes(text=text)

    @dsl.pipeline(name="others")  # type: ignore[untyped-decorator]
    def others(text: str = "x") -> None:
        first = writes(text=text)
        second = writes(text="second")
        second.after(first)
        part(text="third")
        part(text="fourth")
        with dsl.ParallelFor(items=["a", "bc"]) as item:
            each = writes(text=item)
        joins(tables=dsl.Collected(each.outputs["table"]))
        with dsl.If(first.outputs["Output"] == "never"):
            writes(text="no")

    return others


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its compiled file."""
    path = tmp_path_factory.mktemp("others") / "others.yaml"
    compiler.Compiler().compile(make(), str(path))
    return path


def test_every_artifact_is_found_by_task_and_name(others: Path, tmp_path: Path) -> None:
    """Tasks that share a component, or a name in another part or turn of a loop, keep their own files and metadata."""
    log, printing, level = io.StringIO(), print, logging.getLogger().level
    outputs = local.run_compiled(others, {"text": "first"}, tmp_path, log)
    texts = {task: Path(artifacts["table"].path).read_text() for task, artifacts in outputs.items()}
    assert texts == {
        "write": "first",
        "write-2": "second",
        "part/write": "third",
        "part-2/write": "fourth",
        "for-loop-2-iteration-0/write-3": "a",
        "for-loop-2-iteration-1/write-3": "bc",
        "join": "a+bc",
    }
    metrics = outputs["write-2"]["metrics"]
    assert isinstance(metrics, dsl.Metrics)
    assert metrics.metadata == {"length": 6}
    assert "pip install" in others.read_text()
    assert "pip install" not in str(runnable.made(read_spec(others)))
    assert (print, logging.getLogger().level) == (printing, level)


def test_each_task_is_known_by_its_path(others: Path) -> None:
    """The tasks of a file are those at the top, then those in its parts, each with what it runs."""
    spec = read_spec(others)
    found = {task.path: task for task in compiled.tasks(spec)}
    assert [*found][:3] == ["join", "write", "write-2"]
    assert "part/write" in found
    assert found["write"].requirements == []
    assert found["write"].command[:2] == ["sh", "-ec"]
    assert "def write(" in found["write"].program
    assert found["write"].code == {}


def test_what_is_missing_here_is_named(tmp_path: Path) -> None:
    """A requirement that is not here, or of another version, and a module that a program imports, are named."""

    def imports() -> None:
        """Import what nobody has."""
        import nowhere_at_all.deep  # type: ignore[import-not-found]  # noqa: F401

        try:
            import nowhere_either  # type: ignore[import-not-found]  # noqa: F401
        except ImportError:
            import json  # noqa: F401

    @dsl.pipeline(name="lacking")  # type: ignore[untyped-decorator]
    def lacking() -> None:
        component(imports)()
        component(
            write, "numpy==1.0", "torch-of-nobody==2.9.0", "h5py", "PyYAML>=5", f"keras[x] == {version('keras')}.0"
        )(text="x")

    compiler.Compiler().compile(lacking, str(tmp_path / "lacking.yaml"))
    assert runnable.missing(read_spec(tmp_path / "lacking.yaml")) == [
        "the module nowhere_at_all (for imports)",
        f"numpy==1.0, of which {version('numpy')} is here (for write)",
        "torch-of-nobody==2.9.0 (for write)",
    ]


def test_nothing_is_missing_for_a_pipeline_that_runs_here(others: Path) -> None:
    """What kfp itself installs for its steps is not asked for."""
    assert runnable.missing(read_spec(others)) == []


HOSTILE = {
    "a part that holds itself": {"root": {"dag": {"tasks": {"a": {"componentRef": {"name": "comp-a"}}}}}},
    "no component": {"root": {"dag": {"tasks": {"a": {"componentRef": {"name": "comp-b"}}}}}},
    "many parts": {"root": {"dag": {"tasks": {"b": {"componentRef": {"name": "comp-0"}}}}}},
}


@pytest.mark.parametrize("spec", HOSTILE.values(), ids=HOSTILE)
def test_a_document_without_an_end_is_refused(spec: dict[str, Any]) -> None:
    """Tasks that never end, or that nothing is known of, are an error."""
    deep = {
        f"comp-{i}": {"dag": {"tasks": {name: {"componentRef": {"name": f"comp-{i + 1}"}} for name in "xy"}}}
        for i in range(40)
    }
    itself = {"comp-a": {"dag": {"tasks": {"again": {"componentRef": {"name": "comp-a"}}}}}}
    with pytest.raises(
        ContractError, match="^compiled pipeline: expected a component for the task .*, and at most 10,00"
    ):
        list(compiled.tasks({**spec, "components": {**deep, **itself}}))


def test_the_turns_of_a_loop_follow_each_other(others: Path) -> None:
    """Side by side they would mix what they print, and leave this process with another `print`."""
    tasks = runnable.made(read_spec(others))["root"]["dag"]["tasks"]
    assert tasks["for-loop-2"]["iteratorPolicy"] == {"parallelismLimit": 1}
