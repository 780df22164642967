"""Runs in this environment, of our pipeline or anybody's: progress on stderr, the result on stdout, a new folder."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from fmnist.cli import console
from fmnist.cli.display import Display
from fmnist.replication.published import matching
from fmnist.report.page import FILE_NAME
from fmnist.steps.files import ARTIFACT_FILES

__all__ = ["new_folder", "run_here", "run_theirs"]


def new_folder(parent: str) -> Path:
    """Return the path of a folder in `parent` that is named by the time in UTC."""
    return Path(parent, datetime.now(UTC).strftime("%Y%m%d-%H%M%S"))


def run_here(parameters: Mapping[str, Any], output: Path | None, *, as_json: bool) -> None:
    """Run the pipeline in this environment, show its progress on stderr, and print its result on stdout.

    Parameters that are not given have their defaults, and `output` is `runs/<time>`. The result is a table or, with
    `as_json`, the whole record. Errors are those of `Settings.parse` and `run_pipeline`.
    """
    from fmnist.runs.run import run_pipeline

    settings = console.parse(parameters)
    folder = output or new_folder("runs")
    try:
        with Display() as display:
            record = run_pipeline(settings, folder, display.on_event, display.on_progress)
    except KeyboardInterrupt as error:
        raise console.Failure(
            f"interrupted; finished epochs are kept. To resume, run the same command with -o {folder}.",
            console.INTERRUPTED,
        ) from error
    if as_json:
        console.print_json(record)
    else:
        _print_summary(record, folder)


def run_theirs(source: Path, parameters: Mapping[str, Any], output: Path | None, *, asked: bool, as_json: bool) -> None:
    """Run the pipeline of the file `source` in this environment, if `asked`, and print where each artifact is."""
    from fmnist.runs.others import run_other

    if not asked:
        raise click.UsageError(
            f"-t local: expected fmnist's own pipeline, got {source}. Run that one on a cluster, with -t kubeflow, or, "
            "if you trust whoever wrote it and its packages are in this environment, give --run-their-code."
        )
    folder = output or new_folder("runs")
    with Display() as display:
        artifacts = run_other(source, parameters, folder, display.on_event)
    if as_json:
        paths = {task: {name: str(path) for name, path in found.items()} for task, found in artifacts.items()}
        console.print_json({"folder": str(folder), "artifacts": paths})
    else:
        rows = [(f"{task}: {name}", str(path)) for task, found in artifacts.items() for name, path in found.items()]
        console.print_rows([("folder", str(folder)), *rows])


def _print_summary(record: Mapping[str, Any], folder: Path) -> None:
    rows = [("accuracy", f"{record['metrics']['accuracy']:.4f}")]
    rows += [("published", f"{f.accuracy:.4f}  ({f.name})") for f in matching(record["parameters"])]
    rows += [("report", str(folder / FILE_NAME))]
    rows += [("picture", str(folder / ARTIFACT_FILES[name])) for name in ("loss_plot", "matrix_plot")]
    console.print_rows(rows)
