"""The command line ``fmnist``: parse, call, print."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

__all__ = ["main"]

BAD_INPUT, FAILED, INTERRUPTED = 2, 3, 130


class _Group(click.Group):
    """Turns the package's errors into messages and exit codes; other errors are bugs and keep their traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        from fmnist.steps.errors import ContractError, FmnistError, SettingsError

        try:
            return super().invoke(ctx)
        except (ContractError, SettingsError) as error:
            raise _Failure(str(error), BAD_INPUT) from error
        except (FmnistError, OSError) as error:
            raise _Failure(str(error), FAILED) from error
        except KeyboardInterrupt as error:
            raise _Failure("interrupted; the same command starts afresh.", INTERRUPTED) from error


class _Failure(click.ClickException):
    """An error that ends the program with `exit_code`."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # click's own way, declared as the class'


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fmnist")
def main() -> None:
    r"""TensorFlow's Fashion-MNIST tutorial as a reproducible Kubeflow pipeline.

    \b
    Try this:
      fmnist run                       run the whole pipeline here, on the real data
      fmnist run -p epochs=3 --seed 7  the same with other parameters
      fmnist compile                   write the file that Kubeflow takes

    Messages go to stderr, results to stdout.

    \b
    Exit codes:
      0  done
      2  bad usage or bad input
      3  a step or a download failed
    """


@main.command()
@click.option(
    "-f",
    "--file",
    "program",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Program file that holds the parameters.  [default: same.yaml here, if there is one]",
)
@click.option(
    "-p",
    "--param",
    "params",
    metavar="NAME=VALUE",
    multiple=True,
    help="Set a parameter: compile_optimizer, epochs, validation_split or seed. Repeat for more.",
)
@click.option("--seed", metavar="N", help="Short for -p seed=N.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="New folder for the results.  [default: runs/<time>]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the record of the run as JSON.")
def run(program: Path | None, params: tuple[str, ...], seed: str | None, output: Path | None, *, as_json: bool) -> None:
    r"""Run the pipeline here, on the real data, with a report.

    Compiles the pipeline and executes the compiled file on kfp's local runner, in this environment: nothing is
    installed, and nothing outside the folder of results changes (but for the dataset's cache, the first time).
    Equal parameters give byte-identical results: compare two runs by their SHA256SUMS.

    \b
    Examples:
      fmnist run
      fmnist run -p compile_optimizer=sgd -p epochs=3 -o runs/sgd
      fmnist run -p 'compile_optimizer={"class_name": "adam", "config": {"learning_rate": 0.01}}'
    """
    from fmnist.display import Display
    from fmnist.replication import runs
    from fmnist.steps import determinism
    from fmnist.steps.settings import Settings

    if caveat := determinism.caveat():
        click.echo(f"Warning: {caveat}", err=True)
    settings = Settings.parse(_parameters(program, params, seed))
    folder = output or Path("runs", datetime.now(UTC).strftime("%Y%m%d-%H%M%S"))
    with Display(settings.epochs) as display:
        record = runs.execute(settings, folder, display.on_event, display.on_progress)
    click.echo(json.dumps(record, indent=2, sort_keys=True)) if as_json else _print_summary(record, folder)


def _parameters(program: Path | None, params: tuple[str, ...], seed: str | None) -> dict[str, Any]:
    """Return the parameters given, the most specific last: program file, -p, --seed."""
    from fmnist import same

    values: dict[str, Any] = {}
    if program or Path(same.FILE_NAME).exists():
        values |= same.run_parameters(program or same.FILE_NAME)
    for param in params:
        name, equals, value = param.partition("=")
        if not equals:
            raise click.BadParameter(f"expected NAME=VALUE, got {param!r}.", param_hint="-p")
        values[name.strip()] = value.strip()
    return values | ({} if seed is None else {"seed": seed})


def _print_summary(record: dict[str, Any], folder: Path) -> None:
    from fmnist.replication import published, report
    from fmnist.steps.files import ARTIFACT_FILES

    rows = [("accuracy", f"{record['metrics']['accuracy']:.4f}")]
    rows += [("published", f"{f.accuracy:.4f}  ({f.name})") for f in published.matching(record["parameters"])]
    rows += [("report", str(folder / report.FILE_NAME))]
    rows += [("picture", str(folder / ARTIFACT_FILES[name])) for name in ("loss_plot", "matrix_plot")]
    for name, value in rows:
        click.echo(f"{name:<10} {value}")


@main.command("compile")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write.  [default: fashion_mnist_pipeline.yaml here]",
)
@click.option("--image", help="Compile for this image, which has every package: steps then install nothing.")
def compile_command(output: Path | None, image: str | None) -> None:
    r"""Write the compiled pipeline, byte-identical for equal code.

    The file carries the code of the steps. On a cluster each step installs pinned packages into a plain Python
    image, unless --image names one that has them.

    \b
    Examples:
      fmnist compile
      fmnist compile -o pipeline.yaml --image registry.example/fmnist:1
    """
    from fmnist import pipeline

    click.echo(pipeline.compile_pipeline(output or pipeline.FILE_NAME, image))


@main.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="RUN_DIR")
def report(folder: Path) -> None:
    """Write the report.html of a finished run again."""
    from fmnist.replication import report as reports

    click.echo(reports.write(folder))


@main.command()
@click.option("--offline", is_flag=True, help="Do not use the network.")
def data(*, offline: bool) -> None:
    """Find or fetch the dataset, verify it, and say where it is.

    Looks in the cache folder ($FMNIST_DATA_DIR, or the user's cache), in Debian's package, on the web, and with
    apt-get. Whatever the source, the content must be the published one.
    """
    from fmnist.display import Display
    from fmnist.steps import dataset

    with Display(epochs=0) as display:
        click.echo(dataset.fetch(offline=offline, on_progress=display.on_progress))
