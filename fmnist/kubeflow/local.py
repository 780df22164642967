"""Execution of a compiled pipeline here: on kfp's local runner, in this environment, without pip."""

import contextlib
import io
import logging
import os
import re
import shlex
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from fmnist.kubeflow import processes, runnable, values
from fmnist.kubeflow.environment import clean_environment
from fmnist.kubeflow.inputs import check_lengths
from fmnist.kubeflow.processes import OutOfMemory, explained
from fmnist.steps.errors import ContractError, StepError
from fmnist.steps.redaction import safe

__all__ = [
    "Epoch",
    "Event",
    "OutputMissing",
    "Resumed",
    "RunFinished",
    "StepFinished",
    "StepStarted",
    "confined",
    "run_compiled",
]


@dataclass(frozen=True)
class StepStarted:
    """A step began to run."""

    step: str


@dataclass(frozen=True)
class StepFinished:
    """A step ended well."""

    step: str


@dataclass(frozen=True)
class Epoch:
    """An epoch ended: its number from 1, of how many, and its metrics as text."""

    number: int
    of: int
    metrics: str


@dataclass(frozen=True)
class Resumed:
    """The training resumes after this epoch, counted from 1, of how many."""

    number: int
    of: int


@dataclass(frozen=True)
class OutputMissing:
    """A step that ended well wrote nothing to one of its outputs, and logged nothing about it."""

    step: str
    output: str


@dataclass(frozen=True)
class RunFinished:
    """The run was finished before: its results are those that are there."""


Event = StepStarted | StepFinished | OutputMissing | Epoch | Resumed | RunFinished

#: Where a run keeps its temporary files, in its folder.
TEMPORARY = "tmp"

#: kfp puts it before each line of a step.
_INDENT = "    "

#: Of a step that leaves no error of its own, how many lines are shown.
LAST_LINES = 5

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_STARTED = re.compile(r"[\d:.]+ - INFO - Executing task '([^']+)'")
_FINISHED = re.compile(r"[\d:.]+ - INFO - Task '([^']+)' finished with status SUCCESS")
#: The traceback of a program that ended with an error begins where Python starts it; one of an error caught does not.
_ENDED = re.compile(r"Traceback \(most recent call last\):\n  File \"<frozen runpy>.*\n(?: .*\n)+((?:\S.*\n?)+)")
_RESUMED = re.compile(r"^\s*resumed after epoch (\d+)/(\d+)$")
_EPOCH = re.compile(r"^\s*epoch (\d+)/(\d+): (.*)")


def run_compiled(
    pipeline: str | Path,
    arguments: Mapping[str, Any],
    folder: str | Path,
    log: TextIO,
    on_event: Callable[[Event], None] = lambda _: None,
    **variables: str,
) -> dict[str, dict[str, Any]]:
    """Execute the compiled file `pipeline` and return what its tasks gave, by task and by name.

    Parameters
    ----------
    pipeline : path
        Its steps install nothing here: this environment has what they need, as `runnable.missing` says.
    arguments : mapping
        The pipeline's parameters.
    folder : path
        An existing folder for this run alone: it takes outputs, temporary files and caches.
    log : text file
        Takes what kfp and the steps print.
    on_event : callable
        Called with each step and epoch as they happen.
    **variables : str
        Variables of the environment for the steps.

    Returns
    -------
    dict of str to dict of str to Artifact or value
        Artifacts of kfp, each with its ``path`` and ``metadata``, and the values that functions returned, by name for
        each task; a single value is kfp's ``Output``. A task in a part of the pipeline has a path for a name, as in
        ``for-loop-1-iteration-0/shard``.

    Raises
    ------
    StepError
        If a step fails, with the step's error.
    ContractError
        If kfp would replace a part of the path of `folder`, or nothing can run here.
    """
    import yaml
    from kfp import components, local
    from kfp.local.config import LocalExecutionConfig

    from fmnist.kubeflow import loops
    from fmnist.kubeflow.compiled import documents

    root = Path(folder).absolute()
    if "{{$" in str(root):
        raise ContractError(
            f"run folder: expected a path without '{{{{$', which Kubeflow replaces, got {root}. Choose another with -o."
        )
    out = _LogSplitter(log, on_event)
    with (
        confined(root / TEMPORARY, **variables),
        _this_python(root / TEMPORARY, out),
        loops.mended(out.fail),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(out),
        _only_warned(),
    ):
        spec, *others = documents(Path(pipeline).read_bytes())
        loaded = components.load_component_from_text(yaml.safe_dump_all([runnable.made(spec), *others]))
        before = LocalExecutionConfig.instance
        local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(root / "outputs"))
        try:
            loaded(**values.arguments(spec, arguments))
        except RuntimeError as error:
            raise StepError(out.first or out.failure(str(error))) from error
        finally:
            LocalExecutionConfig.instance = before
    return runnable.outputs(spec, root / "outputs")


@contextlib.contextmanager
def confined(temporary: Path, **variables: str) -> Iterator[None]:
    """Give this process and its steps a clean environment and `variables`, with `temporary` for files and caches.

    What a library logs meanwhile shows no traceback where the disk has no room for it.
    """
    temporary.mkdir(exist_ok=True)
    place, folder, shown = str(temporary), tempfile.tempdir, logging.raiseExceptions
    tempfile.tempdir, logging.raiseExceptions = None, False
    try:
        with clean_environment(TMPDIR=place, MPLCONFIGDIR=place, PYTHONSAFEPATH="1", PIP_NO_INDEX="1", **variables):
            yield
    finally:
        tempfile.tempdir, logging.raiseExceptions = folder, shown


@contextlib.contextmanager
def _only_warned() -> Iterator[None]:
    """Let no warning be an error: kfp warns of what it does not do here, as a limit of memory."""
    with warnings.catch_warnings():
        warnings.filters = [
            ("default" if how == "error" else how, text, kind, module, line)
            for how, text, kind, module, line in warnings.filters
        ]
        yield


@contextlib.contextmanager
def _this_python(folder: Path, out: "_LogSplitter") -> Iterator[None]:
    """Let steps find this interpreter as ``python3``, and tell `out` how each ended.

    kfp would put its path, unquoted, in the place of every ``python3`` in a command and in its arguments, which breaks
    paths with a space or with that word; and of a step that was killed it says no more than that it failed.
    """
    from kfp.local import subprocess_task_handler as handler

    def run(full_command: list[str], env_vars: Mapping[str, str] | None = None) -> int:
        check_lengths(full_command)
        out_of_memory, variables = OutOfMemory(), {**os.environ, **(env_vars or {})}
        # By print, which kfp indents, and a line each, so that what kfp says next is in a line of its own.
        with tempfile.TemporaryDirectory(prefix="step-", ignore_cleanup_errors=True) as place:
            code, usage = processes.run(full_command, variables, lambda line: print(line.removesuffix("\n")), place)  # noqa: T201
            runnable.collect([] if code else full_command, folder=place)
        out.ending = explained(code, out_of_memory, usage)
        return code

    processes.check_program()
    program = folder / "bin" / "python3"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    if not os.access(program, os.X_OK):
        raise ContractError(
            f"run folder: expected a file system on which programs may run, got one with noexec, of {folder.parent}. "
            "Choose another with -o."
        )
    # `confined` puts it back. Steps need a shell and a few tools, wherever the user's programs are.
    paths = (str(program.parent), os.environ.get("PATH"), os.defpath)
    os.environ["PATH"] = os.pathsep.join(filter(None, paths))
    ours = {"replace_python_executable": lambda command, _: command, "run_local_subprocess": run}
    theirs = {name: getattr(handler, name) for name in ours}
    vars(handler).update(ours)
    try:
        yield
    finally:
        vars(handler).update(theirs)


class _LogSplitter(io.TextIOBase):
    """Takes printed text: every line goes to the log, and some become events."""

    def __init__(self, log: TextIO, on_event: Callable[[Event], None]) -> None:
        self._log, self._on_event = log, on_event
        self._step, self._line = "", ""
        self._step_lines: list[str] = []
        #: How the process of the last step ended.
        self.ending = ""
        #: The error with which the run failed first, if it was told.
        self.first = ""

    def write(self, text: str) -> int:
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._take(_COLOUR.sub("", line))
        return len(text)

    def _take(self, line: str) -> None:
        self._log.write(safe(line) + "\n")
        self._log.flush()
        if match := _STARTED.match(line):
            self._step, self._step_lines = match[1], []
            self._on_event(StepStarted(match[1]))
        elif match := _FINISHED.match(line):
            self._on_event(StepFinished(match[1]))
        elif match := _RESUMED.match(line):
            self._on_event(Resumed(int(match[1]), int(match[2])))
        elif match := _EPOCH.match(line):
            self._on_event(Epoch(int(match[1]), int(match[2]), match[3]))
        else:
            self._step_lines.append(line)
            del self._step_lines[:-10_000]  # a step may print without end

    def fail(self, message: str) -> None:
        """Keep the error with which the run fails, of the last step if there is no text, unless it failed before."""
        self.first = self.first or safe(message) or self.failure(message)

    def failure(self, otherwise: str) -> str:
        """Return the error with which the last step ended: what follows the frames of its last traceback.

        Without one, or where memory ran out, say how its process ended, with the last lines that it printed.
        """
        text = "".join(f"{one.removeprefix(_INDENT)}\n" for one in self._step_lines if one.startswith(_INDENT))
        errors = _ENDED.findall(text)
        if errors and not errors[-1].startswith("MemoryError"):
            return safe(f"step {self._step}: {errors[-1].strip()}")
        # kfp first prints the inputs, as JSON, unless the step ended before that, as where it could not be written.
        before, inputs, after = text.partition("\n}\n")
        said = (after if inputs else before.rstrip()).splitlines()[-LAST_LINES:]
        last = " It last said:" * bool(said) + "".join(f"\n  {line}" for line in said)
        return safe(f"step {self._step}: {self.ending or _COLOUR.sub('', otherwise)}{last}")
