"""Runs somebody else's pipeline on this machine: the folder has each artifact by task and name."""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fmnist.cluster.arguments import parse_arguments
from fmnist.cluster.pipeline_file import compile_pipeline_file, read_compiled
from fmnist.kubeflow import local, runnable, values
from fmnist.runs.folder import LOG, PIPELINE, check_free, claimed
from fmnist.steps.errors import ContractError, FmnistError, StepError
from fmnist.steps.files import canonical_json, write

__all__ = ["METADATA", "RETURNED", "run_other"]

#: What a task told of its artifacts, such as metrics, and the values that it returned, in its folder.
METADATA, RETURNED = "metadata.json", "returned.json"


def run_other(
    source: Path,
    parameters: Mapping[str, Any],
    folder: str | Path,
    on_event: Callable[[local.Event], None] = lambda _: None,
    on_warning: Callable[[str], None] = lambda _: None,
) -> dict[str, dict[str, Path]]:
    """Run the pipeline in the file `source` here, with the packages of this environment, and fill `folder`.

    Parameters
    ----------
    source : path
        A Python file, which is executed, or a compiled file. Its steps can do here whatever the user can.
    parameters : mapping
        Of the pipeline, as a program file or the command line gives them.
    folder : path
        New or empty. It gets the compiled file, the log, and for each task a folder of its artifacts, their metadata,
        and the values that it returned.
    on_event : callable
        Called with each step as it starts and ends, and with each output to which nothing was written.
    on_warning : callable
        Called, before anything runs, with a message for each step that uses names which it does not define.

    Returns
    -------
    dict of str to dict of str to Path
        Where each artifact that is a file or a folder is, by task and by name.

    Raises
    ------
    ContractError
        If the file holds no pipeline, a parameter is not one of its inputs, this environment lacks what its steps need,
        or `folder` is not empty.
    StepError
        If a step fails; `folder` then holds the log.
    """
    folder = Path(folder)
    with tempfile.TemporaryDirectory(prefix="fmnist-", ignore_cleanup_errors=True) as work:
        content, spec = read_compiled(compile_pipeline_file(source, Path(work, PIPELINE), on_warning))
        parameters = parse_arguments(spec, parameters)
        if lacking := runnable.missing(spec):
            raise ContractError(
                f"{source}: expected what its steps need in this environment, got none of {'; '.join(lacking)}. "
                "Install them here, or run the pipeline on a cluster."
            )
        with claimed(folder, "run"):
            check_free(folder, "run")
            write(folder / PIPELINE, content)
            with (folder / LOG).open("w", encoding="utf-8") as log:
                try:
                    outputs = local.run_compiled(folder / PIPELINE, parameters, work, log, on_event)
                except (FmnistError, OSError):
                    raise
                except Exception as error:  # kfp's runner has an error of its own for each thing that it cannot do
                    raise StepError(f"{source}: {type(error).__name__}: {error}") from error
            return {task: _filled(folder, task, given, Path(work), on_event) for task, given in outputs.items()}


def _filled(
    run_folder: Path, task: str, given: Mapping[str, Any], work: Path, on_event: Callable[[local.Event], None]
) -> dict[str, Path]:
    """Move what a task gave into its folder, name what it did not write, and return where each artifact is."""
    artifacts = {name: one for name, one in given.items() if hasattr(one, "uri")}
    for name in _missing(artifacts, work):
        on_event(local.OutputMissing(task, name))
    kept = _kept(artifacts, work, run_folder / task)
    try:
        _note(run_folder / task / RETURNED, {name: one for name, one in given.items() if name not in artifacts})
    except ValueError as error:
        raise StepError(f"step {task}: {values.NOT_FINITE}") from error
    return kept


def _missing(artifacts: Mapping[str, Any], work: Path) -> list[str]:
    """Return the names of those that should be in `work` and are not, and that have no metadata either."""
    ours = {name: Path(one.path).resolve() for name, one in artifacts.items() if not one.metadata}
    return [name for name, path in ours.items() if path.is_relative_to(work.resolve()) and not path.exists()]


def _kept(artifacts: Mapping[str, Any], work: Path, folder: Path) -> dict[str, Path]:
    """Move a task's artifacts from `work` into `folder`, write down their metadata, and return where each is."""
    kept = {}
    for name, one in artifacts.items():
        path = Path(one.path).resolve()
        # An importer's is where it was.
        if path.exists() and path.is_relative_to(work.resolve()):
            kept[name] = folder / name
            folder.mkdir(parents=True, exist_ok=True)
            shutil.move(path, kept[name])
    _note(folder / METADATA, {name: one.metadata for name, one in artifacts.items() if one.metadata})
    return kept


def _note(path: Path, values: Mapping[str, Any]) -> None:
    """Write down `values`, if there are any."""
    if values:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, canonical_json(values))
