"""Compiled pipelines in tests: looked at, compiled in each way, and run on kfp's local runner."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from fmnist.cluster.pipeline_file import read_compiled
from fmnist.kubeflow import compiled, edges, local, runnable, undefined
from fmnist.kubeflow.needs import LONGEST
from fmnist.kubeflow.requirements import one_version
from fmnist.steps.errors import ContractError

__all__ = ["Compiled", "compile_each_way", "run_pipeline"]

#: None of it may matter to a compiler.
_ELSEWHERE = {"TZ": "Asia/Kathmandu", "LC_ALL": "C", "PYTHONHASHSEED": "7", "HOME": "/nonexistent"}


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
        """Assert that each task can start.

        It gets what it takes, Linux takes its arguments, it defines each name that it uses, and all that it installs is
        of one version.

        Raises
        ------
        ContractError
            If a part of the pipeline does not give what is taken of it, or does not get it itself.
        """
        __tracebackhide__ = True
        list(edges.edges(self.spec))
        unnamed = undefined.sentences(self.spec)
        assert not unnamed, "\n".join(unnamed)
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
    ways = count()

    def compile_all(source: Path, *commands: Sequence[str]) -> Compiled:
        __tracebackhide__ = True
        # Its program need not be beside this Python, which can have kfp from another environment.
        program = [sys.executable, "-c", "from kfp.cli.__main__ import main; main()"]
        kfp = [*program, "dsl", "compile", "--output", "kfp.yaml", "--py", str(Path(source).resolve())]
        first = _compiled_by(kfp, tmp_path / f"way {next(ways)}", {}, 0o022)
        for command in (kfp, *commands):
            path = _compiled_by(list(map(str, command)), tmp_path / f"way {next(ways)}", _ELSEWHERE, 0o077)
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
    paths = list(folder.iterdir())
    assert len(paths) == 1, f"{command}: expected one file in the folder where it runs, got {sorted(map(str, paths))}"
    return paths[0]


@pytest.fixture
def run_pipeline(tmp_path: Path) -> Callable[..., dict[str, dict[str, Any]]]:
    """Run a compiled file on kfp's local runner, in this environment; give the pipeline's parameters by name.

    Returns by task and by name its artifacts, each with its ``path`` and ``metadata``, and the values that functions
    returned, a single one as ``Output``. Nothing is installed: what is missing is an error, as is a step that fails.
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
