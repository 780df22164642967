"""Tests of what a component's function declares."""

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any, Optional

import pytest
from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, InputPath, Metrics, Model, Output, OutputPath

from fmnist import testing
from fmnist.kubeflow.components import as_component
from fmnist.kubeflow.signature import types_of
from fmnist.steps.errors import ContractError


def every(  # noqa: PLR0913, PLR0917 - each way to declare
    text: str,
    many: list[int],
    noted: Annotated[int, "of somebody else"],
    plain: Dataset,
    model: Input[Model],
    several: Input[list[Dataset]],
    path: InputPath("Dataset"),  # type: ignore[valid-type]
    written: OutputPath(str),  # type: ignore[valid-type]
    metrics: Output[Metrics],
    left: dsl.OutputPath("Artifact"),  # type: ignore[valid-type]
    rest: Optional[Input[Dataset]] = None,  # noqa: UP045 - as in kfp's documentation
    other: Input[Model] | None = None,
    limit: int | None = None,
) -> Artifact:
    """Return something."""


#: The parameters that are given as a path.
PATHS = [("inputs", "path"), ("outputs", "written"), ("outputs", "left")]


def test_each_way_to_declare_is_known() -> None:
    """Parameters are plain values, artifacts are read or written, as themselves or by their path."""
    declared: dict[str, Any] = types_of(every)
    paths = {name: type(declared[what].pop(name)) for what, name in PATHS}
    assert declared == {
        "parameters": {"text": str, "many": list[int], "noted": int, "limit": int | None},
        "inputs": {"plain": Dataset, "model": Model, "several": list[Dataset], "rest": Dataset, "other": Model},
        "outputs": {"metrics": Metrics},
    }
    assert paths == {"path": InputPath, "written": OutputPath, "left": OutputPath}


def plain() -> int:
    """Return one."""
    return 1


async def waits() -> int:
    """Return one, later."""
    return 1


def gives() -> Iterator[int]:
    """Give one."""
    yield 1


async def gives_later() -> AsyncIterator[int]:
    """Give one, later."""
    yield 1


@functools.wraps(waits)
def wrapped() -> int:
    """Do something else: kfp takes the text of what is wrapped."""
    return 2


@functools.wraps(plain)
def wraps_plain() -> int:
    """Do something else: a test would run this, and a cluster what is wrapped."""
    return 2


named = lambda: 1  # noqa: E731 - what is tested
named.__name__ = "named"


class Called:
    """What can be called."""

    def __call__(self) -> int:
        """Return one."""
        return 1

    def method(self) -> int:
        """Return one."""
        return 1


@dsl.container_component  # type: ignore[untyped-decorator]
def image() -> dsl.ContainerSpec:
    """Run an image."""
    return dsl.ContainerSpec("alpine", ["true"])


#: What kfp calls and does not run, with what to do about it.
NOT_RUN = {
    "coroutine": (
        waits,
        "step waits: expected a function, got a coroutine function. Write it without 'async', and have ",
    ),
    "generator": (gives, "step gives: expected a function, got a generator function. Return what it yields, as a list"),
    "both": (gives_later, "step gives_later: expected a function, got an asynchronous generator function. Write it w"),
    "wrapped": (wrapped, "step waits: expected a function, got a coroutine function. Write it without 'async'"),
    "decorated": (
        wraps_plain,
        "step plain: expected a function as it is written, got one that a decorator wraps, which a step leaves "
        "behind. Do in the function what the decorator does.$",
    ),
}

#: What else is no function.
CALLED = {
    "component": (
        dsl.component(plain, base_image="python"),
        "component: expected a function, got a PythonComponent. Give the function that it was made of: its python_fun",
    ),
    "component of an image": (image, "component: expected a function, got a ContainerComponent. Define one with 'def'"),
    "lambda": (lambda: 1, "component: expected a function, got a lambda. Define one with 'def'"),
    "lambda with a name": (named, "component: expected a function, got a lambda. Define one with 'def'"),
    "partial": (
        functools.partial(plain),
        "component: expected a function, got a partial. Define one with 'def' at the",
    ),
    "cached": (functools.cache(plain), "component: expected a function, got a _lru_cache_wrapper. Define one with"),
    "object": (Called(), "component: expected a function, got a Called. Define one with 'def'"),
    "method": (Called().method, "component: expected a function, got a method. Define one with 'def'"),
    "class": (Called, "component: expected a function, got a type. Define one with 'def'"),
    "of Python": (len, "component: expected a function, got a builtin_function_or_method. Define one with 'def'"),
    "text": ("plain", "component: expected a function, got a str. Define one with 'def'"),
    "nothing": (None, "component: expected a function, got None. Define one with 'def'"),
}


@pytest.mark.parametrize(("function", "said"), (NOT_RUN | CALLED).values(), ids=NOT_RUN | CALLED)
@pytest.mark.parametrize("where", [None, "an-image"])
def test_what_kfp_cannot_run_is_no_component(function: Any, said: str, where: str | None) -> None:
    """It is refused when the component is made, with what was got and what to do."""
    with pytest.raises(ContractError, match=f"^{said}"):
        as_component(function, where, [])


@pytest.mark.parametrize(("function", "said"), NOT_RUN.values(), ids=NOT_RUN)
def test_what_kfp_cannot_run_is_not_tested(function: Any, said: str, run_component: Callable[..., testing.Ran]) -> None:
    """Its test would pass where nothing ran."""
    with pytest.raises(ContractError, match=f"^{said}"):
        run_component(function)


@pytest.mark.parametrize("name", ["coroutine", "wrapped", "decorated"])
def test_a_component_that_does_not_run_is_not_tested(name: str, run_component: Callable[..., testing.Ran]) -> None:
    """Kfp makes one of each of these."""
    function, said = NOT_RUN[name]
    with pytest.raises(ContractError, match=f"^{said}"):
        run_component(dsl.component(function, base_image="python"))


def test_a_function_need_not_be_at_the_top_of_a_file_to_be_tested(run_component: Callable[..., testing.Ran]) -> None:
    """It may be a lambda, of which no step can be made."""
    assert run_component(lambda: 3).returned == 3
