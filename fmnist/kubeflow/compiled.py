"""What a compiled pipeline says: its tasks, also those in its parts, and the code and requirements of each."""

import base64
import binascii
import io
import posixpath
import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fmnist.kubeflow.bundle import ARCHIVE
from fmnist.steps.errors import ContractError
from fmnist.steps.messages import excerpt

__all__ = ["ARCHIVE", "ASKED", "Task", "asked", "carried", "documents", "tasks", "without_installation"]

#: More tasks than a server takes, and more bytes than a step carries: a file that has them was made to be refused.
MOST_TASKS, LARGEST = 10_000, 64 << 20

#: An input of a task, as the task's condition asks for it.
ASKED = r"inputs\.parameter_values\['([^']+)'\]"

_NAME = re.compile(r"\w[\w-]*")

#: kfp itself, and what it adds for old releases of Python.
_KFPS = re.compile(r"""kfp\b(?!-)|typing-extensions[^;]*; python_version<"3\.9\"$""")

#: A package in the script that installs, in quotes as Python chooses them: a marker may have single ones.
_PACKAGE = re.compile(r"""'([^'\s-][^']*)'|"([^"\s$-][^"]*)\"""")


@dataclass(frozen=True)
class Task:
    """A task that runs something.

    Attributes
    ----------
    path : str
        Its name; of a task in a part of the pipeline after the names of those, as in ``for-loop-1/shard``.
    spec, component, executor : mapping
        What the document says of the task, of its inputs and outputs, and of what runs.
    """

    path: str
    spec: Mapping[str, Any]
    component: Mapping[str, Any]
    executor: Mapping[str, Any]

    @property
    def container(self) -> Mapping[str, Any]:
        """The container, which an importer has not."""
        return self.executor.get("container") or {}

    @property
    def _command(self) -> list[str]:
        return list(map(str, self.container.get("command") or ()))

    @property
    def command(self) -> list[str]:
        """The command with its arguments, but without what installs packages."""
        return [*without_installation(self._command), *map(str, self.container.get("args") or ())]

    @property
    def program(self) -> str:
        """The Python program, if it is one that kfp made of a function; else no text."""
        return self._command[-1] if "kfp.dsl.executor_main" in " ".join(self._command[:-1]) else ""

    @property
    def code(self) -> dict[str, bytes]:
        """The files that the program carries, by their paths."""
        return carried(self.program)

    @property
    def _installs(self) -> str:
        return self._command[2] if without_installation(self._command) != self._command else ""

    @property
    def installation(self) -> list[str]:
        """What the task has pip install before it runs."""
        return [one or other for one, other in _PACKAGE.findall(self._installs)]

    @property
    def installer(self) -> list[str]:
        """The rest of the script that installs, each option with what follows it, as the address of an index."""
        text = " ".join(_PACKAGE.sub("", self._installs).split())
        return re.split(r" && | (?=['\"]?-)", text) if text else []

    @property
    def requirements(self) -> list[str]:
        """As `installation`, without kfp itself and what it adds for old releases of Python."""
        return [one for one in self.installation if not _KFPS.match(one)]


def asked(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs that the condition of a task asks for, by their names, each with where it comes from."""
    inputs = spec.get("inputs", {}).get("parameters", {})
    names = re.findall(ASKED, spec["triggerPolicy"]["condition"])
    return {name: inputs[name] for name in names if name in inputs}


def documents(content: bytes) -> list[Any]:
    """Return the document of a compiled pipeline, and the one for Kubernetes that may follow; empty ones do not count.

    Raises
    ------
    yaml.YAMLError
        If it is no YAML.
    """
    import yaml

    return [one for one in yaml.safe_load_all(content) if one is not None]


def tasks(spec: Mapping[str, Any]) -> Iterator[Task]:
    """Give each task of the document of a compiled pipeline, those in its parts among them.

    Raises
    ------
    ContractError
        If a part holds itself, a component or an executor is missing, or there are more than a server takes.
    """
    for path, task, component in _leaves(spec):
        label = component.get("executorLabel")
        executor = spec.get("deploymentSpec", {}).get("executors", {}).get(label)
        if executor is None:
            raise ContractError(f"compiled pipeline: expected an executor for the task {path}, got none.")
        yield Task(path, task, component, executor)


def _leaves(spec: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    components = spec.get("components", {})
    waiting: list[tuple[str, Mapping[str, Any], tuple[str, ...]]] = [("", spec.get("root", {}), ())]
    count = 0
    while waiting:
        above, part, names = waiting.pop(0)
        for name, task in part.get("dag", {}).get("tasks", {}).items():
            key = task.get("componentRef", {}).get("name")
            component = components.get(key)
            count += 1
            if component is None or key in names or count > MOST_TASKS or not _NAME.fullmatch(name):
                raise ContractError(
                    f"compiled pipeline: expected a component for the task {excerpt(above + name, 100)!r}, which does "
                    f"not hold itself, and at most {MOST_TASKS:,} tasks, got {key!r} as task {count:,}."
                )
            if "dag" in component:
                waiting.append((f"{above}{name}/", component, (*names, key)))
            else:
                yield f"{above}{name}", task, component


def without_installation(command: list[str]) -> list[str]:
    """Return the command of a step without the script of kfp's that installs packages and then runs the rest."""
    installs = command[:2] == ["sh", "-c"] and len(command) > 3 and "pip install" in str(command[2])  # noqa: PLR2004
    return command[3:] if installs else command


def carried(program: str) -> dict[str, bytes]:
    """Return each file in the archives that a program carries, by its path; what is no archive is left out.

    Raises
    ------
    ContractError
        If they hold more than any step can.
    """
    files: dict[str, bytes] = {}
    for text in ARCHIVE.findall(program):
        try:
            unpacker = zlib.decompressobj(31)
            content = unpacker.decompress(base64.b64decode(text), LARGEST + 1)
            if len(content) > LARGEST:
                raise ContractError(
                    f"compiled pipeline: expected at most {LARGEST:,} bytes of code in a step, got more."
                )
            with tarfile.open(fileobj=io.BytesIO(content)) as tar:
                members = [(member.name, tar.extractfile(member)) for member in tar if member.isreg()]
                files |= {posixpath.normpath(name): file.read() for name, file in members if file}
        except (binascii.Error, zlib.error, tarfile.TarError):
            continue
    return files
