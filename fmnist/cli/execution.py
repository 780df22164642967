"""A run of the pipeline here, as `fmnist run` and `same program run -t local` start it."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fmnist.cli import console

if TYPE_CHECKING:
    from fmnist.steps.settings import Settings

__all__ = ["new_folder", "parse", "run_here"]


def parse(parameters: Mapping[str, Any]) -> "Settings":
    """Return the settings for `parameters`, and warn where this machine's CPU may give other bits."""
    from fmnist.steps import determinism
    from fmnist.steps.settings import Settings

    settings = Settings.parse(parameters)
    if caveat := determinism.caveat():
        click.echo(f"Warning: {caveat}", err=True)
    return settings


def new_folder(parent: str) -> Path:
    """Return the path of a folder in `parent` that is named by the time in UTC."""
    return Path(parent, datetime.now(UTC).strftime("%Y%m%d-%H%M%S"))


def run_here(parameters: Mapping[str, Any], output: Path | None, *, as_json: bool) -> None:
    """Run the pipeline in this environment, show its progress on stderr, and print its result on stdout.

    Parameters
    ----------
    parameters : mapping
        The pipeline's, as people write them; those not given have their defaults.
    output : Path or None
        The folder of results, by default `runs/<time>`.
    as_json : bool
        Whether to print the whole record as JSON.

    Raises
    ------
    FmnistError, OSError
        As `Settings.parse` and `run_pipeline` raise them.
    """
    from fmnist.cli.display import Display
    from fmnist.runs.run import run_pipeline

    settings = parse(parameters)
    folder = output or new_folder("runs")
    with Display(settings.epochs) as display:
        record = run_pipeline(settings, folder, display.on_event, display.on_progress)
    if as_json:
        click.echo(json.dumps(record, indent=2, sort_keys=True))
    else:
        _print_summary(record, folder)


def _print_summary(record: Mapping[str, Any], folder: Path) -> None:
    from fmnist.replication.published import matching
    from fmnist.report.page import FILE_NAME
    from fmnist.steps.files import ARTIFACT_FILES

    rows = [("accuracy", f"{record['metrics']['accuracy']:.4f}")]
    rows += [("published", f"{f.accuracy:.4f}  ({f.name})") for f in matching(record["parameters"])]
    rows += [("report", str(folder / FILE_NAME))]
    rows += [("picture", str(folder / ARTIFACT_FILES[name])) for name in ("loss_plot", "matrix_plot")]
    console.print_rows(rows)
