"""A plugin for pytest: tests of anybody's components and pipelines, without a cluster.

Name it in the ``conftest.py`` at the top of your tests:

    pytest_plugins = ["fmnist.testing"]

Importing it needs pytest and kfp, and nothing else.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any, get_origin

from fmnist.cluster.pipeline_file import read_compiled
from fmnist.kubeflow import compiled, edges, local, runnable
from fmnist.kubeflow.needs import LONGEST
from fmnist.kubeflow.requirements import one_version
from fmnist.kubeflow.signature import types_of
from fmnist.steps.checks import check_kind
from fmnist.steps.errors import ContractError

try:
    import pytest
except ImportError as error:
    raise ImportError("fmnist.testing: expected pytest, got none. Install it, with pip install pytest.") from error

__all__ = [
    "Compiled",
    "Ran",
    "artifact",
    "assert_contract",
    "assert_same_files",
    "compile_each_way",
    "contents",
    "run_component",
    "run_pipeline",
]

#: What a test gives as an artifact: a file's content, a folder's files, or where it is.
Content = bytes | str | Mapping[str, bytes | str] | Path

#: None of it may matter to a compiler.
_ELSEWHERE = {"TZ": "Asia/Kathmandu", "LC_ALL": "C", "PYTHONHASHSEED": "7", "HOME": "/nonexistent"}


def artifact(kind: type[Any], path: Path, content: Content | None = None, **metadata: Any) -> Any:
    """Return an artifact of kfp's type `kind`, as kfp hands it to a component, with its `content` at `path`."""
    if isinstance(content, Path):
        path = content
    elif isinstance(content, Mapping):
        path.mkdir(parents=True)
        for name, one in content.items():
            artifact(kind, path / name, one)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is not None:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
    return kind(name=path.name, uri=str(path), metadata=metadata)


def contents(path: Path) -> dict[str, bytes]:
    """Return the content of every file below the folder `path`, by its path there."""
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
    The function must leave its inputs as they are, write or log each of its outputs, and write nothing beside them.
    """
    runs = count()

    def run(component: Any, /, **given: Any) -> Ran:
        __tracebackhide__ = True
        function = getattr(component, "python_func", component)
        if not (what := getattr(function, "__name__", "")):
            name = getattr(component, "name", component)
            raise ContractError(f"expected a function, or a component of one, got {name!r}. Test it on a cluster.")
        folder = tmp_path / f"{what}-{next(runs)}"
        declared = types_of(function)
        taken = {name: given.pop(name) for name in declared["inputs"] if given.get(name) is not None}
        inputs = {name: _fake(declared["inputs"][name], folder / "inputs" / name, one) for name, one in taken.items()}
        (made := folder / "outputs").mkdir(parents=True)
        outputs = {name: _fake(kind, made / name) for name, kind in declared["outputs"].items()}
        before = {name: _bytes(one) for name, one in inputs.items()}
        returned = function(**given, **inputs, **outputs)
        changed = [name for name, one in inputs.items() if _bytes(one) != before[name]]
        assert not changed, f"{what}: expected its inputs as they were, got others of {changed}"
        silent = [name for name, one in outputs.items() if _bytes(one) is None and not getattr(one, "metadata", None)]
        assert not silent, f"{what}: expected each output written or logged, got nothing of {silent}"
        written = {path.name for path in made.iterdir()}
        known = [Path(os.path.relpath(getattr(one, "path", one), made)).parts[0] for one in outputs.values()]
        assert written <= {*known, *outputs}, f"{what}: expected {[*outputs]} at most, got {sorted(written)}"
        return Ran(returned, outputs, **declared, files=contents(made))

    return run


def _fake(kind: Any, path: Path, given: Any = None) -> Any:
    """Return the fake of an input or an output: an artifact, a list of them, or, as the function asks, a path."""
    from kfp import dsl

    if isinstance(given, list | tuple):
        return [_fake(kind.__args__[0], path / str(i), one) for i, one in enumerate(given)]
    if get_origin(kind) is list:
        check_kind(path.name, given, list, "a list of contents")
    made = given if hasattr(given, "uri") else artifact(kind if isinstance(kind, type) else dsl.Artifact, path, given)
    return made if isinstance(kind, type) else made.path


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

    An invariant is a function of what the component gave; it fails by an assertion, or by False.
    """
    __tracebackhide__ = True
    expected = {"parameters": parameters or {}, "inputs": inputs or {}, "outputs": outputs or {}}
    for what, wanted in expected.items():
        assert getattr(ran, what) == wanted, f"{what}: expected {dict(wanted)}, got {getattr(ran, what)}"
    for invariant in invariants:
        assert invariant(ran) is not False, f"expected that {invariant.__doc__ or invariant.__name__}"


class Compiled:
    """A compiled pipeline, as tests look at it.

    Parameters
    ----------
    path : path
        The compiled file, which must be one that a server takes.

    Attributes
    ----------
    path : Path
        As given.
    spec : dict
        Its document.
    tasks : dict of str to Task
        Its tasks, by their paths; of each task its `code` is what it carries, and `requirements` what it installs.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        _, self.spec = read_compiled(self.path)
        self.tasks = {task.path: task for task in compiled.tasks(self.spec)}

    @cached_property
    def edges(self) -> set[tuple[str, str, str]]:
        """The producer, the name of its output, and the consumer, for each artifact or value that is passed on.

        Tasks go by their paths, also in and out of loops. What a condition asks for, the condition takes.
        """
        return set(edges.edges(self.spec))

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """The defaults of the pipeline's parameters, by name; None where there is no default."""
        inputs = self.spec["root"].get("inputDefinitions", {}).get("parameters", {})
        return {name: one.get("defaultValue") for name, one in inputs.items()}

    @cached_property
    def pins(self) -> dict[str, list[str]]:
        """What each task installs, without kfp itself."""
        return {name: task.requirements for name, task in self.tasks.items()}

    @cached_property
    def sizes(self) -> dict[str, int]:
        """The bytes of the longest argument of each task."""
        return {name: max((len(one.encode()) for one in task.command), default=0) for name, task in self.tasks.items()}

    def check(self) -> None:
        """Assert that each task can start: Linux takes its arguments, and all that it installs is of one version."""
        __tracebackhide__ = True
        long = {name: size for name, size in self.sizes.items() if size > LONGEST}
        assert not long, f"expected arguments of at most {LONGEST:,} bytes, got {long}"
        loose = {
            name: found
            for name, pins in self.pins.items()
            if (found := [one for one in pins if one_version(one) is None])
        }
        assert not loose, f"expected requirements of one version, as in numpy==2.0.0, got {loose}"


@pytest.fixture
def compile_each_way(tmp_path: Path) -> Callable[..., Compiled]:
    """Compile a pipeline's Python file in each way, and assert that all give the same bytes.

    Call it with the file and, each as a list, more commands; each must write one ``.yaml`` file into its folder. It is
    compiled by kfp twice: as here, and in another folder, home, time zone, locale, umask and order of hashes.
    """

    def compile_all(source: Path, *commands: Sequence[str]) -> Compiled:
        __tracebackhide__ = True
        program = str(Path(sys.executable).with_name("kfp"))
        kfp = [program, "dsl", "compile", "--output", "kfp.yaml", "--py", str(source)]
        first = _compiled_by(kfp, tmp_path / "way 0", {}, 0o022)
        for i, command in enumerate([kfp, *commands], start=1):
            path = _compiled_by(list(map(str, command)), tmp_path / f"way {i}", _ELSEWHERE, 0o077)
            same = path.read_bytes() == first.read_bytes()
            assert same, f"expected the bytes of {first}, which kfp wrote, got others in {path}, by {command}"
        return Compiled(first)

    return compile_all


def _compiled_by(command: list[str], folder: Path, environment: Mapping[str, str], umask: int) -> Path:
    __tracebackhide__ = True
    folder.mkdir()
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, umask=umask, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command}: expected exit code 0, got {done.returncode}:\n{done.stderr}"
    [path] = folder.iterdir()
    return path


@pytest.fixture
def run_pipeline(tmp_path: Path) -> Callable[..., dict[str, dict[str, Any]]]:
    """Run a compiled file on kfp's local runner, in this environment; give the pipeline's parameters by name.

    Returns its artifacts by task and by name, each with its ``path`` and ``metadata``. Nothing is installed: what is
    missing is an error, and so is a step that fails.
    """
    runs = count()

    def run(path: Path | Compiled, /, **parameters: Any) -> dict[str, dict[str, Any]]:
        __tracebackhide__ = True
        pipeline = path if isinstance(path, Compiled) else Compiled(path)
        if lacking := runnable.missing(pipeline.spec):
            raise ContractError(
                f"{pipeline.path}: expected what its steps need, got none of {'; '.join(lacking)} here."
            )
        folder = tmp_path / f"run-{next(runs)}"
        folder.mkdir()
        with (folder / "log.txt").open("w", encoding="utf-8") as log:
            return local.run_compiled(pipeline.path, parameters, folder, log)

    return run
