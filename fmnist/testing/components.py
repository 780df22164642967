"""Components in tests: their functions run here, with artifacts that hold what a test gives."""

import copy
import json
import os
import shutil
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import isfunction
from itertools import count
from pathlib import Path
from types import NoneType
from typing import Any, get_origin, get_type_hints

import pytest

from fmnist.kubeflow.runnable import settle
from fmnist.kubeflow.signature import check_called, types_of
from fmnist.kubeflow.undefined import sentence, undefined
from fmnist.steps.checks import check_kind
from fmnist.steps.errors import ContractError
from fmnist.steps.files import default

__all__ = [
    "Ran",
    "artifact",
    "assert_contract",
    "assert_reproducible",
    "assert_same_files",
    "contents",
    "run_component",
]

#: The seconds that the coarsest clock of a file format counts in, which is that of a ZIP archive.
TICK = 2.0

#: What a test gives as an artifact: a file's content, a folder's files, or where it is.
Content = bytes | str | Mapping[str, bytes | str] | Path


def artifact(kind: type[Any], path: Path, content: Content | None = None, **metadata: Any) -> Any:
    """Return an artifact of kfp's type `kind`, as kfp hands it to a component, with its `content` at `path`."""
    if isinstance(content, Path):
        path = content
    elif isinstance(content, Mapping):
        path.mkdir(parents=True)
        for name, one in content.items():
            artifact(kind, path / name, one)
    else:
        check_kind(path.name, content, str | bytes | bytearray | None, "a text, bytes, files by name, or a path")
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is not None:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
    return kind(name=path.name, uri=str(path), metadata=metadata)


def contents(path: Path) -> dict[str, bytes]:
    """Return the content of every file below the folder `path`, by its path there.

    Raises
    ------
    ContractError
        If it is no folder.
    """
    if not path.is_dir():
        raise ContractError(f"expected a folder, got {path}, which is {'a file' if path.exists() else 'not there'}.")
    paths = [one for one in sorted(path.rglob("*")) if one.is_file()]
    return {one.relative_to(path).as_posix(): one.read_bytes() for one in paths}


def assert_same_files(*, got: Mapping[str, bytes], expected: Mapping[str, bytes]) -> None:
    """Assert that two sets of files have the same names and the same bytes."""
    __tracebackhide__ = True
    assert sorted(got) == sorted(expected), f"expected the files {sorted(expected)}, got {sorted(got)}"
    different = [name for name in expected if got[name] != expected[name]]
    assert not different, f"expected equal bytes, got others in {different}"


@dataclass(frozen=True)
class Ran:
    """What a component takes and gives, and what it gave.

    Attributes
    ----------
    returned : object
        What its function returned.
    artifacts : dict of str to Artifact
        Its outputs, with what it wrote and logged.
    parameters, inputs, outputs : dict of str to type
        What its function declares: values, artifacts that it reads, and artifacts that it writes.
    files : dict of str to bytes
        All that it wrote, by the name of the output or, in a folder, by the path from there.
    """

    returned: Any
    artifacts: dict[str, Any]
    parameters: dict[str, Any]
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    files: dict[str, bytes] = field(repr=False)

    def __getitem__(self, name: str) -> Any:
        """Return the output artifact of this name."""
        return self.artifacts[name]


@pytest.fixture
def run_component(tmp_path: Path) -> Callable[..., Ran]:
    """Run a component's function here: give its parameters by name, and its input artifacts as content.

    Call it with a component or its function. A content is that of a file, that of a folder's files by name, or a path.
    The function must leave its inputs as they are, write or log each of its outputs, and write nothing beside them. It
    gets a copy of each parameter. What it logs must be JSON, and each number that it logs or returns finite. A
    component must define or import each name that it uses: it does not take its file along.
    """
    runs = count()

    def run(component: Any, /, **given: Any) -> Ran:
        __tracebackhide__ = True
        function = getattr(component, "python_func", component)
        if not (what := getattr(function, "__name__", "")):
            name = getattr(component, "name", component)
            raise ContractError(f"expected a function, or a component of one, got {name!r}. Test it on a cluster.")
        check_called(function)
        from kfp.dsl.types import artifact_types

        if component is not function:
            names = undefined(component.component_spec.implementation.container.command[-1])
            assert not names, sentence(component.name, names)
        folder = tmp_path / f"{what}-{next(runs)}"
        declared = types_of(function)
        taken = {name: given.pop(name) for name in declared["inputs"] if given.get(name) is not None}
        inputs = {name: _fake(declared["inputs"][name], folder / "inputs" / name, one) for name, one in taken.items()}
        (made := folder / "outputs").mkdir(parents=True)
        outputs = {name: _fake(kind, made / name) for name, kind in declared["outputs"].items()}
        before = {name: _bytes(one) for name, one in inputs.items()}
        with default(artifact_types, "CONTAINER_TASK_ROOT", str(made)):  # where `dsl.get_uri` gives places
            returned = function(**copy.deepcopy(given), **inputs, **outputs)
        own = {name: Path(path) for name, one in outputs.items() if (path := getattr(one, "custom_path", ""))}
        for name in outputs:
            settle(name, made / name, own.get(name))
        _check_told(function, returned, outputs)
        changed = [name for name, one in inputs.items() if _bytes(one) != before[name]]
        assert not changed, f"{what}: expected its inputs as they were, got others of {changed}"
        silent = [name for name, one in outputs.items() if _bytes(one) is None and not getattr(one, "metadata", None)]
        assert not silent, f"{what}: expected each output written or logged, got nothing of {silent}"
        written = {path.name for path in made.iterdir()}
        told = [*outputs.values(), *(one for one in _several(returned) if hasattr(one, "uri"))]
        known = [Path(os.path.relpath(getattr(one, "path", one), made)).parts[0] for one in told]
        known += own
        assert written <= set(known), f"{what}: expected {[*outputs]} at most, got {sorted(written)}"
        return Ran(returned, outputs, **declared, files=contents(made))

    return run


def _several(returned: Any) -> Sequence[Any]:
    """Return the values that a function returned."""
    return returned if isinstance(returned, tuple) else [returned]


def _check_told(function: Callable[..., Any], returned: Any, outputs: Mapping[str, Any]) -> None:
    """Assert that a cluster can pass on what a component returned, and what it logged: as JSON, with finite numbers."""
    __tracebackhide__ = True
    what, declared = function.__name__, get_type_hints(function).get("return", NoneType)
    nothing = returned is None and declared not in {NoneType, Any}
    assert not nothing, f"{what}: expected a value returned, without which a cluster ends the step, got None"
    wrong = {name: said for name, one in outputs.items() if (said := _no_json(getattr(one, "metadata", None)))}
    assert not wrong, f"{what}: expected metadata as JSON, with finite numbers, got {wrong}"
    said = _no_json(returned, default=str, skipkeys=True)
    assert not said, f"{what}: expected finite numbers returned, got {returned!r}"


def _no_json(value: Any, **how: Any) -> str:
    """Return why this is no JSON with finite numbers, or no text."""
    try:
        json.dumps(value, allow_nan=False, **how)
    except (TypeError, ValueError) as error:
        return str(error)
    return ""


def _fake(kind: Any, path: Path, given: Any = None) -> Any:
    """Return the fake of an input or an output: an artifact, a list of them, or, as the function asks, a path."""
    from kfp import dsl

    if isinstance(given, list | tuple):
        return [_fake(kind.__args__[0], path / str(i), one) for i, one in enumerate(given)]
    if get_origin(kind) is list:
        check_kind(path.name, given, list, "a list of contents")
    if isinstance(given, Path):
        given = _copied(given, path)
    made = given if hasattr(given, "uri") else artifact(kind if isinstance(kind, type) else dsl.Artifact, path, given)
    return made if isinstance(kind, type) else made.path


def _copied(given: Path, folder: Path) -> Path:
    """Return a copy, in `folder`, of what is at a path: whatever a component does to it, the user's file stays."""
    folder.mkdir(parents=True)
    copy_to = folder / (given if given.name.strip(".") else given.resolve()).name
    return Path(shutil.copytree(given, copy_to) if given.is_dir() else shutil.copy2(given, copy_to))


def _bytes(given: Any) -> Any:
    """Return the content of an input artifact."""
    if isinstance(given, list):
        return list(map(_bytes, given))
    path = Path(getattr(given, "path", given))
    return contents(path) if path.is_dir() else path.read_bytes() if path.is_file() else None


def assert_contract(
    ran: Ran,
    *,
    parameters: Mapping[str, Any] | None = None,
    inputs: Mapping[str, Any] | None = None,
    outputs: Mapping[str, Any] | None = None,
    invariants: Collection[Callable[[Ran], Any]] = (),
) -> None:
    """Assert that a component declares just these parameters, inputs and outputs, by type, and keeps its invariants.

    An invariant is a function of what the component gave; it fails by an assertion, or by what is false, but None.
    """
    __tracebackhide__ = True
    expected = {"parameters": parameters or {}, "inputs": inputs or {}, "outputs": outputs or {}}
    for what, wanted in expected.items():
        assert getattr(ran, what) == wanted, f"{what}: expected {dict(wanted)}, got {getattr(ran, what)}"
    for invariant in invariants:
        kept = invariant(ran)
        said = (invariant.__doc__ or invariant.__name__) if isfunction(invariant) else repr(invariant)
        assert kept is None or kept, f"expected that {said}"


def assert_reproducible(run: Callable[[], Ran | Mapping[str, Mapping[str, Any]]]) -> Any:
    """Assert that `run`, called twice, gives the same each time, and return what it gave first.

    Compared are the bytes of all files, what was logged, and what a function returned, to the last digit and in order.
    The second call is two seconds after the first one: clocks that files hold count in seconds, or in two.

    Parameters
    ----------
    run : callable
        Calls what the fixture `run_component` gives, or `run_pipeline`: only in the latter's processes, one for each
        step, is the order of a set another one.

    Returns
    -------
    Ran, or dict of str to dict of str to Artifact or value
        What the first call gave.

    Raises
    ------
    AssertionError
        If something differs; the message names it.
    """
    __tracebackhide__ = True
    first = run()
    # Before the second call, which may write to the same place.
    expected = _given(first)
    time.sleep(TICK)
    got = _given(run())
    different = sorted(name for name in {**expected, **got} if expected.get(name) != got.get(name))
    assert not different, f"expected the same from two calls, got another {', another '.join(different)}"
    return first


def _seen(value: Any) -> Any:
    """Return what is compared of a value that a function returned, which may be artifacts."""
    if isinstance(value, tuple):
        return list(map(_seen, value))
    return (_bytes(value), repr(value.metadata)) if hasattr(value, "uri") else repr(value)


def _given(by: Ran | Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return all that a component or a pipeline gave, by what it is."""
    if isinstance(by, Ran):
        values = {"value returned": _seen(by.returned)} | {
            f"file {name}": content for name, content in by.files.items()
        }
        artifacts = by.artifacts
        here = {name.partition("/")[0] for name in by.files}
        elsewhere = {name: one for name, one in artifacts.items() if name not in here}
        values |= {f"content of {name}": _bytes(one) for name, one in elsewhere.items()}
    else:
        outputs = {f"{name} of {task}": one for task, given in by.items() for name, one in given.items()}
        artifacts = {name: one for name, one in outputs.items() if hasattr(one, "uri")}
        values = {name: repr(one) for name, one in outputs.items() if name not in artifacts}
        values |= {f"content of {name}": _bytes(one) for name, one in artifacts.items()}
    remote = {name: one.uri for name, one in artifacts.items() if "://" in getattr(one, "uri", "")}
    values |= {f"address of {name}": uri for name, uri in remote.items()}
    logged = {name: getattr(one, "metadata", None) for name, one in artifacts.items()}
    return values | {f"metadata of {name}": repr(one) for name, one in logged.items()}
