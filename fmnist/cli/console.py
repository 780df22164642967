"""What the command lines share: errors as messages with exit codes, options, a run here, and tables."""

import json
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from fmnist.cli.display import Display
from fmnist.kubeflow.environment import NO_DOCSTRINGS
from fmnist.replication.published import matching
from fmnist.report.page import FILE_NAME
from fmnist.steps import determinism
from fmnist.steps.errors import ContractError, FmnistError, SettingsError
from fmnist.steps.files import ARTIFACT_FILES
from fmnist.steps.settings import Settings

__all__ = [
    "BAD_INPUT",
    "DEFECT",
    "FAILED",
    "INTERRUPTED",
    "Failure",
    "Group",
    "given",
    "new_folder",
    "output",
    "params",
    "parse",
    "print_rows",
    "run_here",
]

BAD_INPUT, FAILED, DEFECT, INTERRUPTED = 2, 3, 70, 130


class Failure(click.ClickException):
    """An error that ends the program with `exit_code`."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # click's own way, declared as the class'


class Group(click.Group):
    """Turns the package's errors into messages and exit codes; other errors are defects and keep their traceback."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments, if this Python has kept the texts of the program."""
        if sys.flags.optimize > 1:
            raise click.UsageError(NO_DOCSTRINGS)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Invoke the command; warnings of libraries end none, whatever PYTHONWARNINGS and -W say."""
        # As in a step of Kubeflow: with these kfp does not compile, or compiles another file.
        for name in ("KFP_PACKAGE_PATH", "_KFP_RUNTIME"):
            os.environ.pop(name, None)
        # Where the parent ignores the ends of its children, Python would take each for a success.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        try:
            with warnings.catch_warnings():
                if sys.warnoptions:
                    warnings.simplefilter("default")
                return super().invoke(ctx)
        except (ContractError, SettingsError) as error:
            raise Failure(str(error), BAD_INPUT) from error
        except (FmnistError, OSError) as error:
            raise Failure(str(error), FAILED) from error
        except KeyboardInterrupt as error:
            raise Failure("interrupted; the same command starts afresh.", INTERRUPTED) from error
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception:  # noqa: BLE001 - whatever it is, Python's own exit code would say something else
            traceback.print_exc()
            ctx.exit(DEFECT)


def params(name: str, text: str) -> Callable[[Any], Any]:
    """Return the option -p, whose long form is `name`, for parameters that `given` reads."""
    return click.option("-p", name, "params", metavar="NAME=VALUE", multiple=True, help=text)


def output(text: str) -> Callable[[Any], Any]:
    """Return the option -o for a folder of results."""
    return click.option("-o", "--output", type=click.Path(path_type=Path), help=text)


def given(params: Iterable[str]) -> dict[str, str]:
    """Return the parameters given as NAME=VALUE, by name; the last one of a name counts."""
    values = {}
    for param in params:
        name, equals, value = param.partition("=")
        if not equals:
            raise click.BadParameter(f"expected NAME=VALUE, got {param!r}.", param_hint="-p")
        values[name.strip()] = value.strip()
    return values


def print_rows(rows: Sequence[tuple[str, str]]) -> None:
    """Print a table of names and values."""
    for name, value in rows:
        click.echo(f"{name:<10} {value}")


def parse(parameters: Mapping[str, Any]) -> Settings:
    """Return the settings for `parameters`, and warn where this machine's CPU may give other bits."""
    settings = Settings.parse(parameters)
    if caveat := determinism.caveat():
        click.echo(f"Warning: {caveat}", err=True)
    return settings


def new_folder(parent: str) -> Path:
    """Return the path of a folder in `parent` that is named by the time in UTC."""
    return Path(parent, datetime.now(UTC).strftime("%Y%m%d-%H%M%S"))


def run_here(parameters: Mapping[str, Any], output: Path | None, *, as_json: bool) -> None:
    """Run the pipeline in this environment, show its progress on stderr, and print its result on stdout.

    Parameters that are not given have their defaults, and `output` is `runs/<time>`. The result is a table or, with
    `as_json`, the whole record. Errors are those of `Settings.parse` and `run_pipeline`.
    """
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
    rows = [("accuracy", f"{record['metrics']['accuracy']:.4f}")]
    rows += [("published", f"{f.accuracy:.4f}  ({f.name})") for f in matching(record["parameters"])]
    rows += [("report", str(folder / FILE_NAME))]
    rows += [("picture", str(folder / ARTIFACT_FILES[name])) for name in ("loss_plot", "matrix_plot")]
    print_rows(rows)
