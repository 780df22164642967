"""Runs and studies in processes of their own: TensorFlow may run here in any way, and an event loop too."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from fmnist.calls.results import Run, Study
from fmnist.cli.display import Display
from fmnist.kubeflow.environment import allowed
from fmnist.kubeflow.processes import OutOfMemory, explained, guarded
from fmnist.runs import shards
from fmnist.steps import determinism
from fmnist.steps.checks import check_whole
from fmnist.steps.errors import ContractError, SettingsError, StepError
from fmnist.steps.messages import shown
from fmnist.steps.redaction import safe

__all__ = ["run", "study"]

#: Of a process that ends without an answer, how many of its last characters are shown.
_LAST = 2_000


def run(folder: str | Path, **parameters: Any) -> Run:
    """Run the pipeline into `folder`, as ``fmnist run`` does and to the same bytes, and return its results.

    Parameters
    ----------
    folder : path
        As for `run_pipeline`: new, empty, or that of the same run, interrupted or finished.
    **parameters
        Those of `Settings`; `compile_optimizer` may also be a mapping or a Keras optimizer.

    Raises
    ------
    SettingsError
        If a parameter is not valid.
    ContractError
        If `folder` is no path, or holds anything else; or if nobody knows where Python is.
    DataError
        If the dataset cannot be found or fetched.
    StepError
        If a step fails, or the process ends early.
    OSError
        If `folder` cannot be written.
    """
    path = _path(folder)
    return Run(path, _answer("run", path, _plain(parameters)))


def study(
    folder: str | Path,
    *,
    seeds: int = shards.Shards.seeds,
    first_seed: int | None = None,
    jobs: int | None = None,
    **parameters: Any,
) -> Study:
    """Train and test many seeds into `folder`, as ``fmnist study`` does and to the same bytes; return the results.

    Parameters
    ----------
    folder : path
        As for `run_study`: new, empty, or that of the same study, interrupted or finished.
    seeds : int
        How many to train.
    first_seed : int, optional
        The first of them; by default the parameter `seed`.
    jobs : int, optional
        How many to train at once, each on a core and in 1 GiB; by default one for each core.
    **parameters
        As for `run`.

    Raises
    ------
    FmnistError, OSError
        As `run` does; if seeds fail, the message names each, and `folder` keeps the results of the others.
    """
    path = _path(folder)
    seeds, first_seed, jobs = map(_of_python, (seeds, first_seed, jobs))
    for name, value, least in (("seeds", seeds, 1), ("first_seed", first_seed, 0), ("jobs", jobs, 1)):
        if value is not None or name == "seeds":
            check_whole(name, value, least)
    given = parameters if first_seed is None else {**parameters, "seed": first_seed}
    return Study(path, _answer("study", path, _plain(given), seeds, jobs))


def _path(folder: Any) -> Path:
    """Return the path of a folder, whatever folder this process works in later."""
    try:
        # An empty one, as an unset variable gives, would be the folder that one works in.
        given: Any = folder or None
        os.fspath(given)
        path = Path(folder).expanduser().absolute()
    except (TypeError, RuntimeError) as error:
        raise ContractError(f"folder: expected a path, got {shown(folder)}. Name a folder for the results.") from error
    if "\0" in str(path):
        raise ContractError(f"folder: expected a path without null characters, got {shown(folder)}.")
    return path


def _of_python(value: Any) -> Any:
    """Return a number of NumPy as one of Python, as parameters may be either."""
    return value.item() if isinstance(value, np.generic) else value


def _plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as JSON has them: another process need not know their classes."""
    plain = {}
    for name, value in parameters.items():
        try:
            plain[name] = json.loads(json.dumps(value, default=_of_class))
        except (TypeError, ValueError, RecursionError) as error:
            raise SettingsError(f"{name}: expected a number, a text or a config, got {shown(value)}.") from error
    return plain


def _of_class(value: Any) -> Any:
    """Return what JSON has for a number of NumPy, a mapping, or a Keras optimizer."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return dict(value)
    if not hasattr(value, "get_config") or isinstance(value, type):
        raise TypeError(type(value))
    import keras

    return keras.optimizers.serialize(value)


def _answer(*request: Any) -> Any:
    """Have another process do what is asked for, show its progress, and return its answer or raise its error.

    It ends with this call, in whatever way that ends; in a session of its own, where no Ctrl-C reaches it first.
    """
    if not sys.executable:
        raise ContractError(
            f"sys.executable: expected the path of Python, got {sys.executable!r}, as in a program that embeds it. Set "
            "it: runs and studies have processes of their own."
        )
    if caveat := determinism.caveat():
        warnings.warn(caveat, stacklevel=3)
    ours, theirs = multiprocessing.Pipe()
    command = [sys.executable, "-P", "-m", "fmnist.calls.child", str(theirs.fileno())]
    out_of_memory = OutOfMemory()
    with (
        Display() as display,
        ours,
        tempfile.TemporaryFile() as said,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env=allowed(),
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        ) as process,
        guarded(process.pid),
    ):
        theirs.close()
        try:
            return _end_of(request, ours, display)
        except (EOFError, ConnectionError) as error:
            raise StepError(_last_words(explained(process.wait(), out_of_memory), said)) from error
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise


def _end_of(request: tuple[Any, ...], pipe: Connection, display: Display) -> Any:
    """Ask the process at the other end of `pipe`, and take what it reports until its answer or its error."""
    pipe.send(request)
    while True:
        match pipe.recv():
            case "answer", answer:
                return answer
            case "error", error:
                raise error
            case name, *values:
                getattr(display, name)(*values)


def _last_words(how: str, said: BinaryIO) -> str:
    said.seek(max(0, said.seek(0, os.SEEK_END) - _LAST))
    text = said.read().decode(errors="replace").strip()
    return safe(f"process: expected an answer, but {how}" + f" It last said:\n{text}" * bool(text))
