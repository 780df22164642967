"""A run from Python in a process of its own: TensorFlow may run here in any way, and an event loop too."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fmnist.kubeflow.environment import allowed
from fmnist.steps.errors import ContractError, SettingsError, StepError
from fmnist.steps.settings import Settings

__all__ = ["run"]

#: The exit code of ``fmnist run`` for bad input.
_BAD_INPUT = 2


def run(folder: str | Path, **parameters: Any) -> dict[str, Any]:
    """Run the pipeline into `folder`, as ``fmnist run`` does and to the same bytes, and return the run's record.

    Parameters
    ----------
    folder : path
        As for `run_pipeline`.
    **parameters
        Those of `Settings`; an optimizer's config may be a mapping.

    Raises
    ------
    SettingsError
        If a parameter is not valid.
    ContractError
        If `folder` holds anything else.
    StepError
        If a step fails, the dataset cannot be found, or `folder` cannot be written.
    """
    values = {**asdict(Settings()), **parameters}
    given = [f"-p{name}={_text(value)}" for name, value in values.items()]
    command = [sys.executable, "-P", "-m", "fmnist", "run", "--json", "-o", str(Path(folder).absolute()), *given]
    # In a folder without a program file, whose parameters would count.
    with tempfile.TemporaryDirectory() as here:
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=here, env=_environment())
    if done.returncode:
        raise _error(done)
    return dict(json.loads(done.stdout))


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, Mapping) else str(value)


def _environment() -> dict[str, str]:
    """Return what the process may get of the environment; its paths are of this process's folder."""
    found = allowed()
    for name in ("FMNIST_DATA_DIR", "PYTHONPATH"):
        paths = [str(Path(path).expanduser().absolute()) for path in found.get(name, "").split(os.pathsep) if path]
        found[name] = os.pathsep.join(paths)
    return found


def _error(done: "subprocess.CompletedProcess[str]") -> Exception:
    """Return the error that the process ended with."""
    message = done.stderr.rpartition("Error: ")[2].strip()
    if done.returncode != _BAD_INPUT:
        return StepError(message)
    of_parameter = message.partition(":")[0].split(" ")[0] in {*Settings.descriptions(), "parameter"}
    return (SettingsError if of_parameter else ContractError)(message)
