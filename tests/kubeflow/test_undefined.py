"""Tests of the names that a step uses: what nothing in its program defines is found before a cluster has it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.documents import SPEC

from fmnist import pipeline
from fmnist.kubeflow import compiled
from fmnist.kubeflow.components import as_component
from fmnist.kubeflow.undefined import sentences, undefined
from fmnist.steps.errors import ContractError

#: What kfp puts before a function.
HEADER = """
import kfp
from kfp import dsl
from kfp.dsl import *
from typing import *

"""

LIMIT = 3

PROGRAMS = {
    "a constant": ("def step():\n    return LIMIT", ["LIMIT"]),
    "an import of the file": ("def step():\n    return np.zeros(1), pd", ["np", "pd"]),
    "a helper, in a nested function": (
        "def step():\n    def inner():\n        return helper()\n    inner()",
        ["helper"],
    ),
    "a default": ("def step(number: int = LIMIT):\n    pass", ["LIMIT"]),
    "an annotation": ("def step(data: Mine):\n    pass", ["Mine"]),
    "in a class and a comprehension": (
        "def step():\n    class One:\n        x = SIZE\n    return [y for y in ALL if y in SOME]",
        ["ALL", "SIZE", "SOME"],
    ),
    "in a lambda": ("def step():\n    return lambda x: x + LIMIT", ["LIMIT"]),
    "read before the file's own is made": ("def step():\n    return later()\ndef later():\n    pass", []),
    "all of a function's own": (
        "def step(a, *b, c=1, **d):\n    import os.path as p, json\n    with open(a) as e:\n        pass\n"
        "    for f in b:\n        print(f, e, p, json, c, d, __file__, __name__)\n    def g():\n        return h\n"
        "    h = g\n    try:\n        pass\n    except ValueError as i:\n        print(i)\n"
        "    if j := 3:\n        del j\n"
        "    match b:\n        case [k, *m]:\n            print(k, m)\n    return [n for n in b]",
        [],
    ),
    "what kfp imports": (
        "def step(one: Output[Model], n: Optional[int]) -> NamedTuple('O', [('a', int)]):\n    dsl",
        [],
    ),
    "what a star does not import": (
        "def step():\n    return re.sub, sys.path, functools.partial, collections.abc, _GenericAlias",
        ["_GenericAlias", "collections", "functools", "re", "sys"],
    ),
    "annotations that nothing evaluates": ("def step():\n    x: np.ndarray = 1\n    y: 'Mine'\n    return x", []),
    "annotations that a class evaluates": (
        "def step():\n    class Row:\n        x: np.ndarray\n        if x:\n            y.z: pd.Series = 1\n"
        "        def get(self):\n            a: Mine = 1\n            return a\n    b: Row = 1\n    return Row, b",
        ["np", "pd", "y"],
    ),
    "annotations of a class in an async function": (
        "async def step():\n    a: Mine\n    class Row:\n        x: np",
        ["np"],
    ),
    "annotations of a module": ("x: np.ndarray = 1", ["np"]),
    "what a class has": (
        "def step():\n    class One(dict):\n        name = __qualname__, __module__\n"
        "        def get(self):\n            return super().get(1), __class__",
        [],
    ),
    "deep": (f"def step():\n    return {'-' * 5_000}1", []),
    "deeper": (f"def step():\n    return {'-' * 100_000}1", []),
    "a name made global": ("def step():\n    global state\n    state = 1\ndef other():\n    return state", []),
    "a guard": ("def step():\n    try:\n        return SPEED\n    except NameError:\n        return 1", []),
    "a guard of another name": (
        "def step():\n    try:\n        import json, SPEED\n        json.one(FAST)\n"
        "    except (ImportError, OSError, NameError):\n        return SLOW\n    return FAST, LIMIT",
        ["LIMIT", "SLOW"],
    ),
    "two guards": (
        "def step():\n    try:\n        return LIMIT\n    except NameError:\n        pass\n"
        "    try:\n        return FAST\n    except NameError:\n        return SLOW",
        ["SLOW"],
    ),
    "a guard against everything": ("def step():\n    try:\n        return LIMIT\n    except:\n        return 1", []),
    "a guard against all exceptions": (
        "def step():\n    try:\n        return f'{LIMIT}'\n    except Exception as error:\n        return NUMBER",
        ["NUMBER"],
    ),
    "a guard against all in a group": (
        "def step():\n    try:\n        LIMIT\n    except* (KeyError, builtins.BaseException):\n        pass",
        ["builtins"],
    ),
    "a guard against another error": (
        "def step():\n    try:\n        return LIMIT\n    except (ValueError, Mine):\n        return 1",
        ["LIMIT", "Mine"],
    ),
    "a guard that fails all the same": (
        "def step():\n    try:\n        return LIMIT\n    except ValueError:\n        return 1\n"
        "    except Exception:\n        print()\n        raise\n    except BaseException:\n        return 1",
        ["LIMIT"],
    ),
    "a guard that cannot be seen": (
        "def step():\n    import contextlib\n    with contextlib.suppress(NameError):\n        return SPEED",
        [],
    ),
    "made in a way of its own": ("def step():\n    exec('x = 1', globals())\n    return x", []),
    "made among all names": ("def step():\n    vars()['x'] = 1\n    return x", []),
    "made by another name": ("def step():\n    make = vars\n    make()['x'] = 1\n    return x", []),
    "names of an object": ("def step(a):\n    return vars(a), vars(*a), vars(**a), LIMIT", ["LIMIT"]),
    "a star of another module": ("from math import *\ndef step():\n    return sin(1)", []),
    "another language": ("def step(:", []),
    "a null byte": ("def step():\n    '\0'", []),
    "half a character": ("def step():\n    '\ud800'", []),
}


@pytest.mark.parametrize(("source", "names"), PROGRAMS.values(), ids=PROGRAMS)
def test_names_that_nothing_defines_are_found(source: str, names: list[str]) -> None:
    """All of them, sorted; and none of a program that may define names where nobody sees it."""
    assert undefined(HEADER + source) == names


def test_what_a_program_does_not_import_is_missing() -> None:
    """What kfp imports for each function is there only where it does."""
    program = "def step():\n    return Dict, Model"
    assert undefined(program) == ["Dict", "Model"]
    assert undefined(f"from typing import *\n{program}") == ["Model"]


def test_annotations_that_the_program_does_not_evaluate_are_no_names() -> None:
    """The program's first line says so for all of them."""
    program = "def step():\n    class Row:\n        x: np.ndarray\n    return Row\ny: pd.Series = 1"
    assert undefined(program) == ["np", "pd"]
    assert undefined(f"from __future__ import annotations\n{program}") == []
    assert undefined(f"from __future__ import division\n{program}") == ["np", "pd"]


def test_our_own_pipelines_define_all_names(tmp_path: Path) -> None:
    """Also with the code that their steps carry."""
    spec, *_ = compiled.documents(pipeline.compile_pipeline(tmp_path / "pipeline.yaml").read_bytes())
    assert [bool(task.program) for task in compiled.tasks(spec)] == [True, True, True]
    assert sentences(spec) == []


def uses_a_constant() -> int:
    """Return a constant of this file."""
    return LIMIT


def has_a_default(number: int = LIMIT) -> int:
    """Return a number."""
    return number


def notes_in_a_class() -> str:
    """Return a row of a class that notes a constant of this file as a type."""
    from dataclasses import dataclass

    @dataclass
    class Row:
        """A row."""

        x: LIMIT  # type: ignore[valid-type]

    return str(Row(1))


@pytest.mark.parametrize("function", [uses_a_constant, has_a_default, notes_in_a_class])
@pytest.mark.parametrize("image", [None, "registry.example/mine:1"])
def test_a_component_with_such_names_is_refused(function: Callable[..., Any], image: str | None) -> None:
    """It is when it is made, and not on a cluster; the message says what to do."""
    with pytest.raises(ContractError) as refused:
        as_component(function, image)
    assert str(refused.value) == (
        f"step {function.__name__.replace('_', '-')}: expected names that its function defines or imports, got LIMIT. "
        "A step leaves the file around its function behind: define or import them in it, or give them as parameters."
    )


def test_each_task_of_a_pipeline_has_its_sentence() -> None:
    """What is no Python function of kfp's has no names."""
    assert sentences(SPEC) == []
    command = ["python3", "-m", "kfp.dsl.executor_main", f"{HEADER}def step():\n    return LIMIT, np"]
    spec = {**SPEC, "deploymentSpec": {"executors": {"exec": {"container": {"command": command}}}}}
    assert [one.partition(": expected")[0] for one in sentences(spec)] == [
        "step a",
        "step p/b",
        "step q/b",
        "step p/deep/c",
        "step q/deep/c",
    ]
    assert all("expected names that its function defines or imports, got LIMIT, np. " in one for one in sentences(spec))
