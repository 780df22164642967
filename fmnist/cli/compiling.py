"""The commands ``fmnist compile`` and ``fmnist diff``."""

from pathlib import Path

import click

from fmnist.cli import console
from fmnist.runs.shards import MEMORY, MOST_SHARDS, SEEDS_OF_A_SHARD, Shards

__all__ = ["compile_command", "diff"]


@click.command("compile")
@click.option(
    "-o",
    "--output",
    type=console.Location(dir_okay=False),
    help="File to write.  [default: fashion_mnist_pipeline.yaml, or named after the study or the component]",
)
@click.option(
    "--image", help="Compile for this image, which has all requirements and this code; best named by its digest."
)
@click.option("--no-cache", is_flag=True, help="Let Kubeflow run every step, even one whose results are in its cache.")
@click.option("--mirror", metavar="URL", help="Web folder that holds the dataset; the steps then use no public one.")
@click.option("--study", is_flag=True, help="Write the pipeline of a study over many seeds instead; use --image.")
@click.option(
    "--seeds", type=console.Whole(1), help=f"With --study: how many seeds to train.  [default: {Shards.seeds}]"
)
@click.option(
    "--first-seed",
    type=console.Whole(0),
    help=f"With --study: the first of them.  [default: {Shards.first_seed}]",
)
@click.option(
    "--shards",
    type=console.Whole(1, MOST_SHARDS),
    help="With --study: how many pods share the seeds.  "
    f"[default: one for each {SEEDS_OF_A_SHARD} seeds, {MOST_SHARDS} at most]",
)
@click.option(
    "--parallel",
    type=console.Whole(1, MOST_SHARDS),
    help=f"With --study: how many of these pods run at once, each with a core and {MEMORY / 1024:g} GiB.  "
    f"[default: {Shards.parallel}]",
)
@click.option(
    "--component",
    type=click.Choice(["train", "test", "confusion-matrix"]),
    help="Write this component alone instead, for use in other pipelines.",
)
def compile_command(  # noqa: PLR0913 - one for each option
    output: Path | None,
    image: str | None,
    mirror: str | None,
    component: str | None,
    *,
    no_cache: bool,
    study: bool,
    **numbers: int | None,
) -> None:
    """Write the compiled pipeline, byte-identical for equal code.

    The file carries the code of the steps, and on a cluster each step installs pinned requirements into a plain Python
    image. With --image the image has both, and each step checks that the code is this code. Compile a study with
    --image, because a cluster keeps copies of all that its many tasks carry. Its seeds and shards are only defaults of
    the pipeline's parameters.

    \b
    Examples:
      fmnist compile
      fmnist compile -o pipeline.yaml --image registry.example/fmnist@sha256:...
      fmnist compile --study --image registry.example/fmnist@sha256:...
      fmnist compile --study --image ... --seeds 10000 --first-seed 5000 --shards 100 --parallel 50
      fmnist compile --component confusion-matrix
    """  # noqa: D301 - click wants the character \b
    from fmnist import pipeline

    where = pipeline.Where(image, caching=not no_cache, mirror=mirror)
    if study and component:
        raise click.UsageError("expected --study or --component, got both.")
    if component and (no_cache or mirror):
        raise click.UsageError(
            "expected no --no-cache or --mirror with --component: they configure the tasks of a pipeline."
        )
    chosen = {name: number for name, number in numbers.items() if number is not None}
    if chosen and not study:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in chosen)
        raise click.UsageError(f"expected --study with {names}, got none.")
    if component:
        path = pipeline.compile_component(component, output or f"{component.replace('-', '_')}.yaml", where)
    elif study:
        from fmnist.runs import study_pipeline

        path = study_pipeline.compile_pipeline(output or study_pipeline.FILE_NAME, where, Shards(**chosen))
    else:
        path = pipeline.compile_pipeline(output or pipeline.FILE_NAME, where)
    click.echo(path)
    if image is None:
        click.echo("Its steps install packages, as root. Where pods may not, compile with --image.", err=True)
    if study and image is None:
        click.echo("Its steps carry more code than Argo keeps of a run: there, compile with --image.", err=True)


@click.command()
@click.argument("before", type=console.Location(dir_okay=False), metavar="A.yaml")
@click.argument("after", type=console.Location(dir_okay=False), metavar="B.yaml")
@click.option("--json", "as_json", is_flag=True, help="Print the tasks, what changed, and the forecast as JSON.")
def diff(before: Path, after: Path, *, as_json: bool) -> None:
    """Say what Kubeflow's cache would do with one compiled pipeline after a run of another.

    Prints for each task which parts of its cache key changed, and whether it would hit or run. Takes anybody's compiled
    files. Both runs are taken to be in one namespace, with the defaults of their pipelines, and with equal values for
    parameters that have none.

    \b
    Examples:
      fmnist diff before.yaml after.yaml

    \b
    Exit codes:
      0  each task would hit
      1  a task would run, or may
    """  # noqa: D301 - click wants the character \b
    from fmnist.cluster.cache import forecast

    found = forecast(before, after)
    if as_json:
        console.print_json([one.as_json() for one in found])
    else:
        for one in found:
            click.echo(one.sentence)
    if any(one.cache in {"run", "unknown", "new"} for one in found):
        click.get_current_context().exit(console.NEGATIVE)
