"""The command ``fmnist judge``."""

from pathlib import Path

import click

from fmnist.cli import console
from fmnist.replication import verdict

__all__ = ["judge_command"]


@click.command("judge")
@click.argument("accuracies", type=console.Location(), metavar="ACCURACIES")
@click.option(
    "--published",
    type=console.Text(),
    required=True,
    multiple=True,
    metavar="ACCURACY|FILE",
    help="A published accuracy, from 0 to 1, or a JSON file of published figures. Repeat for more.",
)
@console.params("--param", "Choose those of a file's figures that were published for this parameter. Repeat for more.")
@click.option(
    "--column",
    type=console.Text(),
    metavar="NAME",
    help="Column of the accuracies, if they are in a CSV.  [default: accuracy]",
)
@click.option(
    "--margin",
    type=console.Number(),
    metavar="NUMBER",
    default=verdict.MARGIN,
    show_default=True,
    help="How far the mean may be from a published accuracy; choose it before you see the results.",
)
@console.output("Folder for the verdict, pictures and a report; by default nothing is written.")
@click.option("--json", "as_json", is_flag=True, help="Print the verdicts as JSON.")
def judge_command(  # noqa: PLR0913, PLR0917 - one for each option
    accuracies: Path,
    published: tuple[str, ...],
    params: tuple[str, ...],
    column: str | None,
    margin: float,
    output: Path | None,
    *,
    as_json: bool,
) -> None:
    """Say whether a published accuracy replicates, given the accuracies of runs of any program.

    ACCURACIES is a text file of one accuracy a line, or a CSV with a column of them, as a study's accuracies.csv. They
    are judged as `fmnist study` judges its seeds: each must be of another seed, which was chosen before its result was
    seen. Nothing is trained.

    \b
    Examples:
      fmnist judge --published 0.955 accuracies.csv
      fmnist judge --published figures.json -p epochs=10 --column test_acc results.csv -o judged
    """  # noqa: D301 - click wants the character \b
    from fmnist.runs.accuracies import COLUMN, is_number, read_accuracies
    from fmnist.runs.figures import figures_of
    from fmnist.runs.judging import judge, write_judged

    if all(map(is_number, published)):
        console.warn_of_idle({"params"}, "without a file of published figures")
    chosen = console.given(params) or None
    figures = [figure for one in published for figure in figures_of(one, chosen)]
    judged = judge(read_accuracies(accuracies, column or COLUMN), figures, margin)
    if output:
        write_judged(judged, output)
    if as_json:
        console.print_json([one.as_json() for one in judged.conclusions])
    else:
        console.print_sample(judged, str(len(judged.accuracies)), output)
    if not all(one.verdict.holds for one in judged.conclusions):
        click.get_current_context().exit(console.NEGATIVE)
