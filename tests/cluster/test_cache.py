"""Tests of what Kubeflow's cache will do with one compiled pipeline after a run of another."""

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from kfp import dsl

from fmnist.cli import fmnist as cli
from fmnist.kubeflow import components
from fmnist.kubeflow.code import FMNIST, Code


def make(text: str, often: int, model: dsl.Output[dsl.Model]) -> int:
    """Make a model."""
    from mymodel import network  # type: ignore[import-not-found]

    with open(model.path, "w") as file:  # noqa: PTH123 - kfp copies this text
        file.write(network(text) * often)
    return often


def check(model: dsl.Input[dsl.Model], report: dsl.Output[dsl.Dataset]) -> None:
    """Check a model."""


def count(often: int, limit: int = 3) -> int:
    """Count."""
    return min(often, limit)


def lone(text: str) -> str:
    """Say it."""
    return text


@pytest.fixture
def compile_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Compile a pipeline of four tasks, whose first carries a module and data, with some things changed."""
    monkeypatch.syspath_prepend(str(tmp_path / "src"))
    (tmp_path / "src").mkdir()
    numbers = iter(range(100))

    def compile_it(**given: Any) -> Path:
        (tmp_path / "src" / "mymodel.py").write_text(given.get("source", "def network(text): return text\n"))
        (tmp_path / "src" / "helper.py").write_text("x = 1\n")
        code = [FMNIST, Code("mymodel"), *([Code("helper")] if given.get("helper") else [])]
        made = components.as_component(make, given.get("image"), code)
        container = made.component_spec.implementation.container
        container.command = [part.replace("'kfp==", given.get("kfp", "'kfp==")) for part in container.command]
        checks, counts, alone = (dsl.component(one, base_image="python") for one in (check, count, lone))

        @dsl.pipeline(name=given.get("name", "small"))  # type: ignore[untyped-decorator]
        def small(text: str = given.get("text", "a"), often: int = 1) -> None:
            first = made(text=text, often=given.get("often", often))
            if "env" in given:
                first.set_env_variable("MODE", given["env"])
            if "memory" in given:
                first.set_memory_limit(given["memory"])
            if "cache" in given:
                first.set_caching_options(given["cache"], given.get("cache_key"))
            if not given.get("unchecked"):
                checks(model=first.outputs["model"])
            counts(often=first.outputs["Output"], limit=given.get("limit", 3))
            if given.get("items"):
                with dsl.ParallelFor(items=given["items"]) as item:
                    alone(text=item)
            else:
                alone(text="fixed")

        return components.compile_to(small, tmp_path / f"{next(numbers)}.yaml")

    return compile_it


def diff(*arguments: object) -> Result:
    """Call `fmnist diff`."""
    return CliRunner().invoke(cli.main, ["diff", *map(str, arguments)])


AGAIN = [
    "check: unchanged, would run: it takes model of make, which would run and make another artifact",
    "count: unchanged, may hit: make would have to give the same often",
    "lone: unchanged, would hit",
]
HIT = [f"{name}: unchanged, would hit" for name in ("lone", "make", "check", "count")]

CASES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "nothing": ({}, HIT),
    "resources": ({"memory": "2Gi"}, HIT),
    "carried code": (
        {"source": "def network(text): return text + '.'\n"},
        ["make: code changed: mymodel.py, would run", *AGAIN],
    ),
    "more code": ({"helper": True}, ["make: code changed: helper.py (new), would run", *AGAIN]),
    "a default": (
        {"text": "b"},
        [
            'make: parameters changed: text (the pipeline\'s text, "a" by default → the pipeline\'s text, "b" by ',
            *AGAIN,
        ],
    ),
    "a constant": (
        {"often": 5},
        ["make: parameters changed: often (the pipeline's often, 1.0 by default → 5.0), would run", *AGAIN],
    ),
    "a constant further down": (
        {"limit": 4},
        [HIT[0], HIT[1], HIT[2], "count: parameters changed: limit (3.0 → 4.0), would run"],
    ),
    "another kfp": ({"kfp": "'kfp==9.9.9' 'x=="}, ["make: packages changed: ", *AGAIN]),
    "the environment": (
        {"env": "secret"},
        [
            "make: environment changed: MODE, may hit: Kubeflow Pipelines before 2.18 do not look at it",
            "check: unchanged, may hit: it takes model of make, which may run and make another artifact",
            AGAIN[1],
            AGAIN[2],
        ],
    ),
    "no cache": ({"cache": False}, ["make: unchanged, would run: its cache was on, and is off", *AGAIN]),
    "the pipeline's name": (
        {"name": "other"},
        [f"{name}: pipeline changed: small → other, would run" for name in ("lone", "make", "check", "count")],
    ),
    "a task less": ({"unchecked": True}, [HIT[0], HIT[1], HIT[3], "check: removed"]),
    "a loop": (
        {"items": ["a", "b"]},
        [HIT[1], HIT[2], HIT[3], "for-loop-2/lone: new, would run", "lone: removed"],
    ),
}


@pytest.mark.parametrize(("change", "said"), CASES.values(), ids=CASES)
def test_each_task_is_told(compile_it: Callable[..., Path], change: dict[str, Any], said: list[str]) -> None:
    """What changed of a task's key is named, and what that makes of the tasks after it; the exit code says whether."""
    result = diff(compile_it(), compile_it(**change))
    lines = result.stdout.splitlines()
    assert len(lines) == len(said), lines
    assert all(any(line.startswith(one) for line in lines) for one in said), lines
    assert result.exit_code == int(any("would hit" not in one and ": removed" not in one for one in lines))
    assert "secret" not in result.output


def test_an_image_is_told_and_what_it_must_hold(compile_it: Callable[..., Path]) -> None:
    """With an image a changed line of code is another digest, whose files the compiled file does not have."""
    before, after = compile_it(image="x:1"), compile_it(image="x:2", source="def network(text): return ''\n")
    assert diff(before, after).stdout.splitlines()[0].startswith("lone: unchanged")
    assert "make: image changed: x:1 → x:2; code changed: what its image must hold, would run\n" in (
        diff(before, after).stdout
    )


def test_a_key_of_ones_own_hits(compile_it: Callable[..., Path]) -> None:
    """Where the author gives the key, nothing else counts."""
    before = compile_it(cache=True, cache_key="mine")
    result = diff(before, compile_it(cache=True, cache_key="mine", source="def network(text): return ''\n"))
    assert "make: code changed: mymodel.py, would hit: its key is mine, whatever changed\n" in result.stdout
    assert result.exit_code == 0


def test_the_items_of_a_loop_are_told(compile_it: Callable[..., Path]) -> None:
    """Other items are other values of a parameter."""
    result = diff(compile_it(items=["a"]), compile_it(items=["a", "b"]))
    changed = 'text (each of "[\\"a\\"]" → each of "[\\"a\\", \\"b\\"]")'
    assert f"for-loop-2/lone: parameters changed: {changed}, would run\n" in result.stdout


def test_json_has_all_of_it(compile_it: Callable[..., Path]) -> None:
    """A program reads tasks, parts and forecast."""
    result = diff(before := compile_it(), compile_it(helper=True), "--json")
    assert (result.exit_code, diff(before, before, "--json").exit_code) == (1, 0)
    found = json.loads(result.stdout)
    assert {one["task"]: (one["cache"], one["changes"]) for one in found}["make"] == (
        "run",
        [{"part": "code", "what": ["helper.py (new)"]}],
    )


def test_an_archive_that_only_has_other_times_is_told(tmp_path: Path) -> None:
    """What kfp embeds has times in it: with equal files the key is another, and that is said."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "x.py").write_text("x = 1\n")

    paths = []
    for time in (0, 1_000_000):
        os.utime(tmp_path / "src" / "x.py", (time, time))
        component = dsl.component(lone, base_image="python", embedded_artifact_path=str(tmp_path / "src"))
        paths.append(components.compile_to(component, tmp_path / f"{time}.yaml"))
    assert diff(*paths).stdout == (
        "lone: code changed: the archive, with equal files: their times, modes, owners or order, would run\n"
    )


BOMB = "\n".join(
    [
        "pipelineInfo: {name: x}",
        "deploymentSpec:",
        "  a0: &a0 [x,x,x,x,x,x,x,x,x,x]",
        *(f"  a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)),
        "root: {dag: {tasks: {a: {componentRef: {name: comp-a}}}}}",
    ]
)

HOSTILE = {
    "empty": (b"", "got an empty file"),
    "no YAML": (b"{", "got no YAML"),
    "a component of kfp 1": (b"name: x\nimplementation: {container: {image: x}}\n", "got another document"),
    "a list": (b"[1, 2]", "got another document"),
    "an archive": (b"PK\x03\x04", "got an archive"),
    "no tasks": (b"pipelineInfo: {name: x}\nroot: {dag: {tasks: {}}}\n", "got one called 'x', with 0 tasks"),
    "aliases": (BOMB.encode(), "got another document: its aliases stand for too much"),
    "an alias in itself": (b"pipelineInfo: &a {name: *a}\n", "got another document: its aliases stand for too much"),
    "no component": (
        b"pipelineInfo: {name: x}\nroot: {dag: {tasks: {a: {componentRef: {name: comp-a}}}}}\n",
        "compiled pipeline: expected a component for the task 'a'",
    ),
    "no executor": (
        b"pipelineInfo: {name: x}\nroot: {dag: {tasks: {a: {componentRef: {name: c}}}}}\n"
        b"components: {c: {executorLabel: e}}\n",
        "compiled pipeline: expected an executor for the task a, got none.",
    ),
    "a part in itself": (
        b"pipelineInfo: {name: x}\nroot: {dag: {tasks: {a: {componentRef: {name: c}}}}}\n"
        b"components: {c: {dag: {tasks: {b: {componentRef: {name: c}}}}}}\n",
        "expected a component for the task 'a/b', which does not hold itself",
    ),
    "a name of escapes": (
        b'pipelineInfo: {name: x}\nroot: {dag: {tasks: {"\\e]0;x": {componentRef: {name: c}}}}}\n',
        "expected a component for the task",
    ),
}


@pytest.mark.parametrize(("content", "said"), HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("place", [0, 1], ids=["first", "second"])
def test_what_is_no_pipeline_is_refused(
    compile_it: Callable[..., Path], tmp_path: Path, content: bytes, said: str, place: int
) -> None:
    """In the place of either file it is exit code 2, at once, with what was expected."""
    (tmp_path / "bad.yaml").write_bytes(content)
    result = diff(
        *sorted([compile_it(), tmp_path / "bad.yaml"], key=lambda path: path.name == "bad.yaml", reverse=not place)
    )
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert "\x1b" not in result.stderr


def test_an_archive_without_an_end_is_refused(tmp_path: Path) -> None:
    """A step that would unpack to more than any can carry is named as such."""
    import base64
    import gzip

    packed = base64.b64encode(gzip.compress(bytes(70_000_000))).decode()

    @dsl.pipeline(name="small")  # type: ignore[untyped-decorator]
    def small() -> None:
        component = dsl.component(lone, base_image="python")
        command = component.component_spec.implementation.container.command
        command[-1] = f"__KFP_EMBEDDED_ARCHIVE_B64 = '{packed}'\n{command[-1]}"
        component(text="a")

    path = components.compile_to(small, tmp_path / "large.yaml")
    result = diff(path, path)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "compiled pipeline: expected at most 67,108,864 bytes of code in a step, got more." in result.stderr


def test_a_condition_decides_too(tmp_path: Path) -> None:
    """What another condition let run, or may let run, has perhaps no result to take."""

    def compiled(name: str, least: int, constant: str = "1", *, inner: bool = False) -> Path:
        def measure() -> int:
            return 1

        source = f"def measure() -> int:\n    return {constant}\n"
        measured = dsl.component(measure, base_image="python")
        container = measured.component_spec.implementation.container
        container.command = [source if "def measure" in one else one for one in container.command]
        alone = dsl.component(lone, base_image="python")

        @dsl.pipeline(name="small")  # type: ignore[untyped-decorator]
        def small(text: str = "a") -> None:
            value = measured().output
            with dsl.If(text == "a") if inner else contextlib.nullcontext(), dsl.If(value >= least):
                alone(text=text)

        return components.compile_to(small, tmp_path / f"{name}.yaml")

    first = compiled("first", 1)
    assert diff(first, compiled("same", 1)).stdout.splitlines() == [
        "measure: unchanged, would hit",
        "condition-1/lone: unchanged, would hit",
    ]
    asked = "int(inputs.parameter_values['pipelinechannel--measure-Output'])"
    assert diff(first, compiled("other", 2)).stdout.splitlines() == [
        "measure: unchanged, would hit",
        f"condition-1/lone: condition changed: - {asked} >= 1, + {asked} >= 2, may hit: under the other one it may not "
        "have run",
    ]
    assert diff(first, compiled("measured", 1, "2")).stdout.splitlines() == [
        "measure: code changed: the function, would run",
        "condition-1/lone: unchanged, may hit: what measure gives decides whether it runs",
    ]
    inner = compiled("inner", 1, inner=True)
    assert diff(inner, compiled("inner-measured", 1, "2", inner=True)).stdout.splitlines() == [
        "measure: code changed: the function, would run",
        "condition-1/condition-2/lone: unchanged, may hit: what measure gives decides whether it runs",
    ]


def test_pipelines_of_others_are_compared(tmp_path: Path) -> None:
    """Containers without Python, importers and conditions have keys too."""

    def shout(text: str) -> Any:
        @dsl.container_component
        def shout():  # type: ignore[no-untyped-def]  # noqa: ANN202 - kfp wants none
            """Shout."""
            return dsl.ContainerSpec(image="alpine:3", command=["echo"], args=[text])

        return shout

    def compiled(text: str, uri: str) -> Path:
        @dsl.pipeline(name="small")  # type: ignore[untyped-decorator]
        def small(how: str = "loud") -> None:
            dsl.importer(artifact_uri=uri, artifact_class=dsl.Model)
            with dsl.If(how == "loud"):
                shout(text)()

        return components.compile_to(small, tmp_path / f"{text}.yaml")

    assert diff(compiled("a", "gs://x"), compiled("b", "gs://x")).stdout.splitlines() == [
        "importer: unchanged, would hit",
        "condition-1/shout: command changed: - a, + b, would run",
    ]
