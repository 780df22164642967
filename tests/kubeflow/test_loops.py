"""Tests of what kfp's local runner gets wrong about loops, and is mended for a run; the pipelines are tests' own."""

import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kfp import compiler, dsl
from kfp.local.orchestrator import enhanced_dag_orchestrator, task_spec_utils

from fmnist.kubeflow import local, loops


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


def test_kfp_is_as_it_was_after_a_run() -> None:
    """Whoever calls a pipeline by kfp afterwards has kfp's own functions."""
    places = (task_spec_utils, enhanced_dag_orchestrator)
    before = [dict(vars(place)) for place in places]
    with contextlib.suppress(KeyError), loops.mended():
        assert [dict(vars(place)) for place in places] != before
        raise KeyError
    assert [dict(vars(place)) for place in places] == before
