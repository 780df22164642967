"""The command line ``fmnist``: parse, call, print."""

from pathlib import Path

import click

from fmnist.cli import console, running
from fmnist.cli.compiling import compile_command, diff
from fmnist.cli.display import Display
from fmnist.cli.judging import judge_command
from fmnist.steps import dataset

__all__ = ["main"]


@click.group(cls=console.Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fmnist")
def main() -> None:
    """TensorFlow's Fashion-MNIST tutorial as a reproducible Kubeflow pipeline.

    \b
    Try this:
      fmnist run                       run the whole pipeline here, on the real data
      fmnist run -p epochs=3 --seed 7  the same with other parameters
      fmnist study --seeds 60          train many seeds: does the published accuracy replicate?
      fmnist judge --published 0.88 accuracies.csv
                                       does a published accuracy replicate, given those of other programs?
      fmnist verify FOLDER             make the results of a run or study again: are they the same?
      fmnist compile                   compile the pipeline for Kubeflow

    Messages go to stderr, results to stdout.

    \b
    Exit codes:
      0  done; a study, or accuracies that are judged, show that their mean is equivalent to each published accuracy
      1  they do not show that, as with fewer than 20 seeds; a folder is not verified; or a task misses the cache
      2  bad usage or bad input
      3  a step, a seed or a download failed, or a result could not be printed
     70  a defect of fmnist, with a traceback
    130  interrupted
    """  # noqa: D301 - click wants the character \b


for command in (running.run, running.study, judge_command, running.verify, compile_command, diff):
    main.add_command(command)


@main.command()
@click.argument("folder", type=console.Location(exists=True, file_okay=False), metavar="FOLDER")
def report(folder: Path) -> None:
    """Write the report.html of a finished run or study again.

    FOLDER is the folder of results of `fmnist run` or `fmnist study`. Results that are not the recorded ones, or do not
    agree with each other, are refused by name, and nothing is written.
    """
    from fmnist.runs.checked import write_report_again

    click.echo(write_report_again(folder))


@main.command()
@click.option("--offline", is_flag=True, help="Do not use the network.")
def data(*, offline: bool) -> None:
    """Find or fetch the dataset, verify it, and print its folder.

    Looks in the cache folder ($FMNIST_DATA_DIR, or the user's cache), in the Debian package, on the web, and with
    apt-get. From any source, the content must be the published one.
    """
    with Display() as display:
        click.echo(dataset.fetch(offline=offline, on_progress=display.on_progress))
