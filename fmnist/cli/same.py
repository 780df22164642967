"""The command line ``same``: what that of the archived SAME project did for a program file, and runs here too."""

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fmnist.cli import console

if TYPE_CHECKING:
    from fmnist.cluster.cluster import Cluster, Run, Version
    from fmnist.cluster.program import Program
    from fmnist.replication.conclusions import Conclusion

__all__ = ["main"]

Command = TypeVar("Command", bound=Callable[..., Any])


@click.group(cls=console.Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fmnist")
def main() -> None:
    """Put a program file, same.yaml, to work on Kubeflow Pipelines or here.

    \b
    Try this:
      same program run -f same.yaml -t local    run the pipeline here, on the real data
      same program create -f same.yaml --host https://kubeflow.example/pipeline
      same program run -f same.yaml --experiment-name trials --run-name first --wait

    Messages go to stderr, results to stdout.

    \b
    Exit codes:
      0    done
      2    bad usage or bad input
      3    a step or the server failed
      130  interrupted
    """  # noqa: D301 - click wants the character \b


@main.group()
def program() -> None:
    """Create the pipeline of a program file, or run it.

    \b
    Examples:
      same program create -f same.yaml
      same program run -f same.yaml --experiment-name trials --run-name first -p epochs=3
    """  # noqa: D301 - click wants the character \b


def _options(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Return a decorator that adds all `options` to a command."""
    return lambda command: reduce(lambda done, option: option(done), reversed(options), command)


_file = click.option(
    "-f",
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    default="same.yaml",
    show_default=True,
    help="Program file: names the pipeline, its Python or compiled file, and the parameters of the run.",
)
_pipeline = _options(
    click.option("-n", "--program-name", "--name", "name", help="Name of the pipeline.  [default: pipeline.name]"),
    click.option(
        "--program-description",
        "--description",
        "description",
        help="Description of the pipeline.  [default: pipeline.description]",
    ),
)
_server = _options(
    click.option("--host", metavar="URL", help="The Pipelines API.  [default: $KF_PIPELINES_ENDPOINT, or kubeconfig]"),
    click.option("--namespace", help="Your namespace, where Kubeflow has several users."),
    click.option(
        "--token-file",
        type=click.Path(dir_okay=False, path_type=Path),
        help="File that holds a bearer token.  [default: $FMNIST_KFP_TOKEN]",
    ),
    click.option(
        "--cookies",
        metavar="TEXT",
        help="Cookies of a login. Others on this machine can see arguments: $FMNIST_KFP_COOKIES is safer.",
    ),
    click.option(
        "--ca",
        type=click.Path(dir_okay=False, path_type=Path),
        help="PEM file of your own certificate authority.",
    ),
)
_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


@program.command()
@_file
@_pipeline
@_server
@_json
def create(file: Path, name: str | None, description: str | None, *, as_json: bool, **server: Any) -> None:
    """Create the pipeline of the program file, or a new version of it.

    Compiles the Python file that pipeline.package names, which executes it, and uploads the result; a file that is
    compiled already is uploaded as it is. A version is named by its content: what is there is not uploaded again.

    \b
    Examples:
      same program create -f same.yaml
      same program create -f same.yaml --host https://kubeflow.example/pipeline --token-file token
    """  # noqa: D301 - click wants the character \b
    loaded = _load(file)
    with tempfile.TemporaryDirectory() as folder:
        package = _compile(loaded, folder)
        version = _create(_connect(server), loaded, package, name, description)
    _print_created(version, name or loaded.pipeline.name, as_json=as_json)


@program.command()
@_file
@click.option("-e", "--experiment-name", help="Experiment, made if it is not there.  [default: metadata.name]")
@click.option("-r", "--run-name", help="Name of the run.  [default: run.name]")
@click.option(
    "-p",
    "--run-param",
    "params",
    metavar="NAME=VALUE",
    multiple=True,
    help="Set a parameter of the pipeline, whatever run.parameters says. Repeat for more.",
)
@click.option(
    "-t",
    "--target",
    type=click.Choice(["kubeflow", "local"]),
    default="kubeflow",
    show_default=True,
    help="Where to run: on a cluster, or here, as `fmnist run` does.",
)
@click.option("--run-only", is_flag=True, help="Run the pipeline's newest version; compile and upload nothing.")
@_pipeline
@click.option("--experiment-description", default="", help="Description of an experiment that is made.")
@click.option("--run-description", default="", help="Description of the run.")
@click.option("--no-cache", is_flag=True, help="Run every step, also those of which Kubeflow has the results.")
@click.option("--wait/--no-wait", default=False, help="Wait for the end of the run, and say its accuracy.")
@click.option(
    "--timeout",
    type=click.IntRange(1),
    default=3600,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait at most.",
)
@_server
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="New folder for results, with -t local.  [default: runs/<time>]",
)
@_json
@click.pass_context
def run(
    context: click.Context, /, file: Path, params: tuple[str, ...], target: str, output: Path | None, **options: Any
) -> None:
    """Run the pipeline of the program file.

    On a cluster: creates the pipeline or a new version, if its content is new, finds or creates the experiment, and
    starts a run. The parameters are checked against the pipeline's inputs before anything is sent. The run goes on
    without this command, which waits for it only with --wait.

    Here, with -t local: the same as `fmnist run`, byte for byte, and the options for a cluster mean nothing.

    \b
    Examples:
      same program run -f same.yaml --experiment-name example-kubeflow-fashionMNIST --run-name default
      same program run -f same.yaml -e trials -r sgd -p compile_optimizer=sgd -p epochs=3 --wait
      same program run -f same.yaml -t local -p epochs=1 -o runs/short
    """  # noqa: D301 - click wants the character \b
    loaded = _load(file)
    if target == "kubeflow":
        if output:
            raise click.UsageError("-o is the folder of a run here: give it with -t local.")
        _run_on_cluster(loaded, console.given(params), options)
    elif _is_ours(loaded):
        _run_here(context, file, params, output, as_json=options["as_json"])
    else:
        # It would have to install its packages into this environment, or to find them there.
        raise click.UsageError(
            f"-t local: expected fmnist's own pipeline in {file}, got {loaded.pipeline.package}. This environment has "
            "the packages of no other: run it on a cluster, with -t kubeflow."
        )


def _load(file: Path) -> "Program":
    from fmnist.cluster import program as programs

    loaded = programs.load(file, lambda message: click.echo(f"Warning: {message}", err=True))
    for folder in loaded.pipeline.package.parents:
        _check_code(folder)
    return loaded


def _check_code(package: Path) -> None:
    """Make sure that a folder that holds a copy of this package has this code, which is what would run."""
    from fmnist.kubeflow import bundle
    from fmnist.steps.errors import ContractError

    sources = bundle.sources(["**/*.py"]) if (package / "kubeflow" / "bundle.py").exists() else {}
    for name, content in sources.items():
        path = package.parent / name
        if not path.exists() or path.read_bytes() != content:
            raise ContractError(
                f"pipeline: expected the code of the fmnist that is installed, in {bundle.PACKAGE}, got another "
                f"{path}. Install that checkout first, with pip install -e {package.parent}."
            )


def _is_ours(loaded: "Program") -> bool:
    """Return whether the program runs this package's pipeline, in whatever checkout."""
    from fmnist import pipeline

    return loaded.pipeline.package.read_bytes() == Path(pipeline.__file__).read_bytes()


def _run_here(
    context: click.Context, file: Path, params: tuple[str, ...], output: Path | None, *, as_json: bool
) -> None:
    from fmnist.cli import fmnist as cli

    context.invoke(cli.run, program=file, params=params, seed=None, output=output, as_json=as_json)


def _run_on_cluster(loaded: "Program", params: Mapping[str, str], options: Mapping[str, Any]) -> None:
    from fmnist.steps.settings import Settings

    values: Mapping[str, Any] = {**loaded.run.parameters, **params}
    ours = _is_ours(loaded)
    if ours:
        values = asdict(Settings.parse(values))
    cluster, version, values = _prepare(loaded, values, options)
    submitted = cluster.run(
        version,
        experiment=options["experiment_name"] or loaded.metadata.name,
        run_name=options["run_name"] or loaded.run.name,
        parameters=values,
        experiment_description=options["experiment_description"],
        run_description=options["run_description"],
        caching=not options["no_cache"],
    )
    result: dict[str, Any] = {"run_id": submitted.id, "link": submitted.link, "version": asdict(version)}
    result |= {"parameters": values}
    if options["as_json"]:
        click.echo(f"run {submitted.id}: {submitted.link}", err=True)
    else:
        console.print_rows([("run", submitted.id), ("link", submitted.link)])
    drawn: list[Conclusion] = []
    if options["wait"]:
        result |= _wait(cluster, submitted, options["timeout"])
        drawn = _conclude(values, result["accuracy"]) if ours else []
    if options["as_json"]:
        click.echo(json.dumps(result | {"published": [one.as_json() for one in drawn]}, indent=2))
    elif options["wait"]:
        _print_ended(result, drawn)


def _prepare(
    loaded: "Program", values: Mapping[str, Any], options: Mapping[str, Any]
) -> "tuple[Cluster, Version, dict[str, Any]]":
    """Return the cluster, the version to run there, and `values` as that takes them."""
    from fmnist.cluster import arguments as packages

    name = options["name"] or loaded.pipeline.name
    if options["run_only"]:
        cluster = _connect(options)
        version = cluster.latest(name)
        return cluster, version, packages.arguments(cluster.spec(version), values)
    with tempfile.TemporaryDirectory() as folder:
        package = _compile(loaded, folder)
        # Before anything is sent.
        values = packages.arguments(packages.read(package), values)
        cluster = _connect(options)
        return cluster, _create(cluster, loaded, package, name, options["description"]), values


def _compile(loaded: "Program", folder: str) -> Path:
    from fmnist.cluster import arguments as packages

    return packages.compile(loaded.pipeline.package, Path(folder, "pipeline.yaml"))


def _connect(options: Mapping[str, Any]) -> "Cluster":
    from fmnist.cluster import cluster

    host, *others = ("host", "namespace", "token_file", "cookies", "ca")
    return cluster.connect(options[host], **{name: options[name] for name in others})


def _create(
    cluster: "Cluster", loaded: "Program", package: Path, name: str | None, description: str | None
) -> "Version":
    return cluster.create(
        package,
        name=name or loaded.pipeline.name,
        description=loaded.pipeline.description if description is None else description,
        version=loaded.metadata.version or None,
    )


def _wait(cluster: "Cluster", submitted: "Run", timeout: float) -> dict[str, Any]:
    """Return the state in which the run ended, and its accuracy where the server tells that."""
    try:
        state = cluster.wait(submitted, timeout=timeout, on_state=lambda state: click.echo(state, err=True))
        return {"state": state, "accuracy": cluster.accuracy(submitted)}
    except KeyboardInterrupt as error:
        raise console.Failure(
            f"interrupted; run {submitted.id} goes on. Look at it, or terminate it, at {submitted.link}.",
            console.INTERRUPTED,
        ) from error


def _conclude(parameters: Mapping[str, Any], accuracy: float | None) -> "list[Conclusion]":
    """Return what one run says of the accuracies published for its parameters: that it cannot tell."""
    from fmnist.replication import published, verdict
    from fmnist.replication.conclusions import Conclusion

    if accuracy is None:
        return []
    return [Conclusion(one, verdict.judge(one.accuracy, [accuracy]), ()) for one in published.matching(parameters)]


def _print_created(version: "Version", name: str, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"pipeline": name, "version": asdict(version)}, indent=2))
        return
    rows = [("pipeline", f"{name}  ({version.pipeline_id})"), ("version", f"{version.name}  ({version.id})")]
    console.print_rows([*rows, ("link", version.link)])


def _print_ended(result: Mapping[str, Any], drawn: "list[Conclusion]") -> None:
    accuracy = result["accuracy"]
    rows = [
        ("state", result["state"]),
        ("accuracy", "see the link: the server does not tell it" if accuracy is None else f"{accuracy:.4f}"),
    ]
    console.print_rows(rows + [("published", f"{one.figure.accuracy:.4f}  ({one.figure.name})") for one in drawn])
    for one in drawn:
        click.echo(one.sentence)
