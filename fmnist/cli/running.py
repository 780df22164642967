"""The commands ``fmnist run``, ``study`` and ``verify``, and runs here of our pipeline or anybody's."""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from fmnist.cli import console
from fmnist.cli.display import Display
from fmnist.replication.published import matching
from fmnist.report.page import FILE_NAME
from fmnist.runs.shards import Shards
from fmnist.steps.files import ARTIFACT_FILES

__all__ = ["results_folder", "run", "run_here", "run_theirs", "study", "verify"]

_program = click.option(
    "-f",
    "--file",
    "program",
    type=console.Location(dir_okay=False),
    help="Program file that holds the parameters.  [default: same.yaml here, if there is one]",
)
_params = console.params(
    "--param", "Set a parameter: compile_optimizer, epochs, validation_split or seed. Repeat for more."
)


@click.command()
@_program
@_params
@click.option("--seed", metavar="N", help="Short for -p seed=N.")
@console.output("Folder for the results; an interrupted run there is resumed.  [default: runs/<time>]")
@click.option("--json", "as_json", is_flag=True, help="Print the record of the run as JSON.")
def run(program: Path | None, params: tuple[str, ...], seed: str | None, output: Path | None, *, as_json: bool) -> None:
    """Run the pipeline here, on the real data, with a report.

    Compiles the pipeline and runs the compiled file on kfp's local runner, in this environment. Installs nothing, and
    writes only into the folder of results and, the first time, into the dataset's cache. Equal parameters give
    byte-identical results: compare two runs by their SHA256SUMS.

    \b
    Examples:
      fmnist run
      fmnist run -p compile_optimizer=sgd -p epochs=3 -o runs/sgd
      fmnist run -p 'compile_optimizer={"class_name": "adam", "config": {"learning_rate": 0.01}}'
    """  # noqa: D301 - click wants the character \b
    run_here(_parameters(program, params, seed), output, as_json=as_json)


@click.command()
@_program
@_params
@click.option(
    "--seeds", type=console.Whole(1), default=Shards.seeds, show_default=True, help="How many seeds to train."
)
@click.option("--first-seed", type=console.Whole(0), help="The first of them.  [default: the parameter seed]")
@click.option(
    "--jobs",
    type=console.Whole(1),
    help="How many to train at once, each on a core and in 1 GiB.  [default: one per core]",
)
@console.output("Folder for the results; an interrupted study there is resumed.  [default: studies/<time>]")
@click.option("--json", "as_json", is_flag=True, help="Print the verdicts as JSON.")
def study(  # noqa: PLR0913, PLR0917 - one for each option
    program: Path | None,
    params: tuple[str, ...],
    seeds: int,
    first_seed: int | None,
    jobs: int | None,
    output: Path | None,
    *,
    as_json: bool,
) -> None:
    """Train and test many seeds, and say whether the published accuracy replicates.

    Each seed gives what `fmnist run` gives with it, bit for bit, with any number of jobs. To resume an interrupted
    study, run the same command again, with -o: it trains the seeds that are missing. A command with other parameters
    or seeds is refused there. Choose seeds whose results nobody has seen.

    \b
    Examples:
      fmnist study --seeds 60 --first-seed 1000
      fmnist study -p epochs=100 -p validation_split=0.1 --seeds 40 --first-seed 2000 -o studies/long
    """  # noqa: D301 - click wants the character \b
    from fmnist.runs.study import run_study, seeds_from

    settings = console.parse(_parameters(program, params, None if first_seed is None else str(first_seed)))
    wanted = seeds_from(settings, seeds)
    with results_folder(output, "studies", "seeds") as folder, Display() as display:
        sample = run_study(
            settings,
            wanted,
            folder,
            jobs,
            on_seeds=display.on_seeds,
            on_result=display.on_result,
            on_failure=display.on_failure,
            on_progress=display.on_progress,
        )
    if as_json:
        console.print_json([conclusion.as_json() for conclusion in sample.conclusions])
    else:
        console.print_sample(sample, f"{len(sample.results)}, from {sample.results[0].seed} on", folder)
    if not all(conclusion.verdict.holds for conclusion in sample.conclusions):
        click.get_current_context().exit(console.NEGATIVE)


@click.command()
@click.argument("folder", type=console.Location(exists=True, file_okay=False), metavar="FOLDER")
@click.option(
    "--sample",
    type=console.Whole(1),
    default=2,
    show_default=True,
    help="How many seeds of a study to train again, which are drawn anew each time.",
)
@click.option("--run-their-code", is_flag=True, help="Execute the folder's pipeline.yaml even if it is not our code.")
@click.option("--json", "as_json", is_flag=True, help="Print what was compared as JSON.")
def verify(folder: Path, sample: int, *, run_their_code: bool, as_json: bool) -> None:
    """Make the results of a run or a study again, and compare every byte.

    First checks that all in FOLDER is as it was recorded, and agrees. Then executes a run again, from its pipeline.yaml
    and run.json alone, and trains some seeds of a study again, in clean processes and another folder. Nothing in FOLDER
    changes. Takes as long as the run.

    A pipeline.yaml is a program. It is executed only if it carries the code of this fmnist; with --run-their-code also
    if it carries other code, which can then do here whatever you can.

    \b
    Examples:
      fmnist verify runs/short
      fmnist verify --sample 5 studies/sixty

    \b
    Exit codes:
      0  the same results, byte for byte
      1  altered files, or other results; the last line says which, and what differs in the environment
    """  # noqa: D301 - click wants the character \b
    from fmnist.runs.verify import verify as verified

    with Display() as display:
        found = verified(
            folder,
            sample,
            run_their_code=run_their_code,
            on_event=display.on_event,
            on_seeds=display.on_seeds,
            on_result=display.on_result,
            on_failure=display.on_failure,
            on_progress=display.on_progress,
        )
    if as_json:
        console.print_json(found.as_json())
    else:
        console.print_verification(found)
    if found.outcome != "verified":
        click.get_current_context().exit(console.NEGATIVE)


@contextlib.contextmanager
def results_folder(output: Path | None, parent: str, kept: str | None = None) -> Iterator[Path]:
    """Give `output` or, if there is none, a new folder in `parent`, which goes where nothing comes into it.

    It is named by the time in UTC, with a number for the second one of a time. Who interrupts what is done with it is
    told how to resume it, where something is `kept`.

    Raises
    ------
    ContractError
        If a file is in the place of `parent`.
    """
    folder = output or _new_folder(parent)
    try:
        yield folder
    except KeyboardInterrupt as error:
        if kept is None:
            raise
        raise console.Failure(
            f"interrupted; finished {kept} are kept. To resume, run the same command with -o {folder}.",
            console.INTERRUPTED,
        ) from error
    finally:
        if output is None:
            with contextlib.suppress(OSError):  # it is not empty
                folder.rmdir()


def _new_folder(parent: str) -> Path:
    from fmnist.runs.folder import made

    made(Path(parent), "results")
    name, number = datetime.now(UTC).strftime("%Y%m%d-%H%M%S"), 1
    while True:
        folder = Path(parent, name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
        else:
            return folder


def run_here(parameters: Mapping[str, Any], output: Path | None, *, as_json: bool) -> None:
    """Run the pipeline in this environment, show its progress on stderr, and print its result on stdout.

    Parameters that are not given have their defaults, and `output` is `runs/<time>`. The result is a table or, with
    `as_json`, the whole record. Errors are those of `Settings.parse` and `run_pipeline`.
    """
    from fmnist.runs.run import run_pipeline

    settings = console.parse(parameters)
    with results_folder(output, "runs", "epochs") as folder, Display() as display:
        record = run_pipeline(settings, folder, display.on_event, display.on_progress)
    if as_json:
        console.print_json(record)
    else:
        _print_summary(record, folder)


def run_theirs(source: Path, parameters: Mapping[str, Any], output: Path | None, *, asked: bool, as_json: bool) -> None:
    """Run the pipeline of the file `source` in this environment, if `asked`, and print where all that it made is."""
    from fmnist.runs.others import METADATA, RETURNED, run_other

    if not asked:
        raise click.UsageError(
            f"-t local: expected fmnist's own pipeline, got {source}. Run that one on a cluster, with -t kubeflow, or, "
            "if you trust whoever wrote it and its packages are in this environment, give --run-their-code."
        )
    with results_folder(output, "runs") as folder, Display() as display:
        artifacts = run_other(source, parameters, folder, display.on_event, console.warn)
    paths = {task: {name: str(path) for name, path in found.items()} for task, found in artifacts.items()}
    noted = {
        name: {task: path for task in artifacts if (path := folder / task / name).is_file()}
        for name in (METADATA, RETURNED)
    }
    if as_json:
        metadata, returned = (
            {task: json.loads(path.read_bytes()) for task, path in of.items()} for of in noted.values()
        )
        console.print_json({"folder": str(folder), "artifacts": paths, "metadata": metadata, "returned": returned})
    else:
        rows = [(f"{task}: {name}", path) for task, found in paths.items() for name, path in found.items()]
        told = [(f"{task}: {name}", str(path)) for name, of in noted.items() for task, path in of.items()]
        console.print_rows([("folder", str(folder)), *rows, *told])


def _print_summary(record: Mapping[str, Any], folder: Path) -> None:
    rows = [("accuracy", f"{record['metrics']['accuracy']:.4f}")]
    rows += [("published", f"{f.accuracy:.4f}  ({f.name})") for f in matching(record["parameters"])]
    rows += [("report", str(folder / FILE_NAME))]
    rows += [("picture", str(folder / ARTIFACT_FILES[name])) for name in ("loss_plot", "matrix_plot")]
    console.print_rows(rows)


def _parameters(program: Path | None, params: tuple[str, ...], seed: str | None) -> dict[str, Any]:
    """Return the parameters of the program file, -p and --seed; the later of these override the earlier."""
    from fmnist.cluster.program_file import FILE_NAME, run_parameters

    given = program or os.path.lexists(FILE_NAME)
    values = run_parameters(program or FILE_NAME, console.warn) if given else {}
    return values | console.given(params) | ({} if seed is None else {"seed": seed})
