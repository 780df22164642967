"""The command line ``same``: the commands of the archived SAME project for a program file, which also run it here."""

import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fmnist.cli import console, running, waiting
from fmnist.cluster.arguments import parse_arguments
from fmnist.cluster.names import DIGITS, check_texts
from fmnist.cluster.pipeline_file import check_checkout, compile_pipeline_file, is_ours, read_spec
from fmnist.steps.settings import Settings

if TYPE_CHECKING:
    from fmnist.cluster.cluster import Cluster
    from fmnist.cluster.program_file import Program
    from fmnist.cluster.run import Run
    from fmnist.cluster.versions import Version

__all__ = ["main"]

FILE, TEXT = console.Location(dir_okay=False), console.Text()


@click.group(cls=console.Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fmnist")
def main() -> None:
    """Put a program file, same.yaml, to work on Kubeflow Pipelines or here.

    \b
    Try this:
      same program run -f same.yaml -t local    run the pipeline here, on the real data
      same program create -f same.yaml --host https://kubeflow.example/pipeline
      same program run -f same.yaml --experiment-name trials --run-name first --wait
      same program wait first

    Messages go to stderr, results to stdout.

    \b
    Exit codes:
      0    done
      1    a file of the run differs, with --compare
      2    bad usage or bad input
      3    a step or the server failed, or a result could not be printed
      70   a defect of fmnist, with a traceback
      130  interrupted
    """  # noqa: D301 - click wants the character \b


@main.group()
def program() -> None:
    """Create the pipeline of a program file, run it, or wait for a run.

    \b
    Examples:
      same program create -f same.yaml
      same program run -f same.yaml --experiment-name trials --run-name first -p epochs=3
    """  # noqa: D301 - click wants the character \b


_server = console.added(
    click.option(
        "--host",
        metavar="URL",
        type=TEXT,
        help="The Pipelines API.  [default: $KF_PIPELINES_ENDPOINT, or kubeconfig]",
    ),
    click.option("--namespace", type=TEXT, help="Your namespace, where Kubeflow has several users."),
    click.option("--token-file", type=FILE, help="File that holds a bearer token.  [default: $FMNIST_KFP_TOKEN]"),
    click.option(
        "--cookies",
        metavar="TEXT",
        type=TEXT,
        help="Cookies of a login. Others on this machine can see arguments: $FMNIST_KFP_COOKIES is safer.",
    ),
    click.option(
        "--proxy",
        metavar="URL",
        type=TEXT,
        help="Proxy to ask through.  [default: $HTTPS_PROXY or $HTTP_PROXY, but for hosts in $NO_PROXY]",
    ),
    click.option("--ca", type=FILE, help="PEM file of your own certificate authority."),
    click.option("--json", "as_json", is_flag=True, help="Print the result as JSON."),
)

_program_file = console.added(
    click.option(
        "-f",
        "--file",
        type=FILE,
        default="same.yaml",
        show_default=True,
        help="Program file: names the pipeline, its Python or compiled file, and the parameters of the run.",
    ),
    click.option("-n", "--name", "--program-name", type=TEXT, help="Name of the pipeline.  [default: pipeline.name]"),
    click.option("--description", "--program-description", help="Description.  [default: pipeline.description]"),
)


@program.command()
@_program_file
@_server
def create(file: Path, **options: Any) -> None:
    """Create the pipeline of the program file, or a new version of it.

    Executes and compiles the Python file that pipeline.package names, and uploads the result; a compiled file is
    uploaded as it is. The content names a version, so that nothing is uploaded twice.

    \b
    Examples:
      same program create -f same.yaml
      same program create -f same.yaml --host https://kubeflow.example/pipeline --token-file token
    """  # noqa: D301 - click wants the character \b
    loaded = _load(file)
    check_texts(**_pipeline_texts(loaded, options))
    with console.terminable(), tempfile.TemporaryDirectory() as folder:
        compiled = compile_pipeline_file(loaded.pipeline.package, Path(folder, "pipeline.yaml"), console.warn)
        version = _create(_connect(options), loaded, compiled, options)
    name = options["name"] or loaded.pipeline.name
    if options["as_json"]:
        console.print_json({"pipeline": name, "version": asdict(version)})
        return
    rows = [("pipeline", f"{name}  ({version.pipeline_id})"), ("version", f"{version.name}  ({version.id})")]
    console.print_rows([*rows, ("link", version.link)])


@program.command()
@click.option("-e", "--experiment-name", type=TEXT, help="Experiment; created if it is new.  [default: metadata.name]")
@click.option("-r", "--run-name", type=TEXT, help="Name of the run.  [default: run.name]")
@console.params("--run-param", "Set a parameter of the pipeline, whatever run.parameters says. Repeat for more.")
@click.option(
    "-t",
    "--target",
    type=click.Choice(["kubeflow", "local"]),
    default="kubeflow",
    show_default=True,
    help="Where to run: on a cluster, or here, as `fmnist run` does.",
)
@click.option(
    "--run-their-code", is_flag=True, help="With -t local: run any pipeline, with the packages that are here."
)
@click.option("--run-only", is_flag=True, help="Run the pipeline's newest version; compile and upload nothing.")
@click.option("--experiment-description", default="", help="Description of a new experiment.")
@click.option("--run-description", default="", help="Description of the run.")
@click.option("--no-cache", is_flag=True, help="Turn Kubeflow's cache off, so that every step runs.")
@click.option("--wait/--no-wait", default=False, help="Wait until the run has ended, and print its accuracy.")
@waiting.options
@console.output(
    "Folder for the results, with -t local or --wait; an interrupted run here is resumed.  [default: runs/<time> here]"
)
@_program_file
@_server
def run(file: Path, params: tuple[str, ...], target: str, output: Path | None, **options: Any) -> None:
    """Run the pipeline of the program file.

    On a cluster: creates the pipeline or, if its content is new, a version of it, finds or creates the experiment, and
    starts a run. Checks the parameters against the pipeline's inputs before it sends anything. The run does not need
    this command, which waits for it only with --wait: it then reports what the steps do, and finally the accuracy, or
    the error of the step that failed. -o brings the run's files here.

    Here, with -t local: does what `fmnist run` does, byte for byte, and ignores the options for a cluster. With
    --run-their-code it runs anybody's pipeline. Its steps can do here whatever you can, and must find what they need.

    \b
    Examples:
      same program run -f same.yaml --experiment-name example-kubeflow-fashionMNIST --run-name default
      same program run -f same.yaml -e trials -r sgd -p compile_optimizer=sgd -p epochs=3 --wait
      same program run --wait -o runs/cluster --compare runs/short
      same program run -f same.yaml -t local -p epochs=1 -o runs/short
      same program run -f theirs/same.yaml -t local --run-their-code -o runs/theirs
    """  # noqa: D301 - click wants the character \b
    loaded = _load(file)
    parameters = {**loaded.run.parameters, **console.given(params)}
    idle = set(options) - {"as_json", "run_their_code"} if target == "local" else {"run_their_code"}
    console.warn_of_idle(idle, f"with -t {target}")
    if target == "kubeflow":
        if output and not options["wait"]:
            raise click.UsageError("-o is for the results of a run: give it with --wait, or with -t local.")
        console.warn_of_idle({"description"} if options["run_only"] else set(), "with --run-only")
        console.warn_of_idle(set() if options["wait"] else {"timeout", "compare"}, "without --wait")
        if options["wait"]:
            waiting.check(output, options["compare"])
        _run_on_cluster(loaded, parameters, output, options)
    elif is_ours(loaded.pipeline.package):
        running.run_here(parameters, output, as_json=options["as_json"])
    else:
        asked = options["run_their_code"]
        running.run_theirs(loaded.pipeline.package, parameters, output, asked=asked, as_json=options["as_json"])


@program.command()
@click.argument("run", type=TEXT)
@waiting.options
@console.output("Folder for the run's files, new or empty.")
@_server
def wait(run: str, output: Path | None, **options: Any) -> None:
    """Wait for an existing run on a cluster, given by its id or its name.

    Reports what the steps do, and finally the accuracy, or the error of the step that failed, as --wait of `same
    program run` does. A run that has ended is reported at once.

    \b
    Examples:
      same program wait first
      same program wait 5dc877e3-79c7-4d11-b809-98f503588272 -o runs/cluster --compare runs/here
    """  # noqa: D301 - click wants the character \b
    waiting.check(output, options["compare"])
    found = _connect(options).find_run(run)
    known = {"run_id": found.id, "link": found.link, "parameters": (parameters := found.parameters())}
    _tell(found, as_json=options["as_json"])
    waiting.follow(found, known, options, output, ours=parameters.keys() == asdict(Settings()).keys())


def _load(file: Path) -> "Program":
    from fmnist.cluster.program_file import load

    loaded = load(file, console.warn)
    check_checkout(loaded.pipeline.package)
    return loaded


def _run_on_cluster(
    loaded: "Program", parameters: Mapping[str, Any], output: Path | None, options: Mapping[str, Any]
) -> None:
    ours = is_ours(loaded.pipeline.package)
    if ours:
        parameters = asdict(Settings.parse(parameters))
    experiment, run_name = options["experiment_name"] or loaded.metadata.name, options["run_name"] or loaded.run.name
    descriptions = {name: options[name] for name in ("experiment_description", "run_description")}
    check_texts(experiment=experiment, run=run_name, **descriptions, **_pipeline_texts(loaded, options))
    cluster, version, parameters = _prepare(loaded, parameters, options)
    with console.terminable():
        started = cluster.run(
            version,
            experiment=experiment,
            run_name=run_name,
            parameters=parameters,
            **descriptions,
            caching=not options["no_cache"],
        )
    _tell(started, as_json=options["as_json"])
    known = {"run_id": started.id, "link": started.link, "version": asdict(version), "parameters": parameters}
    if options["wait"]:
        waiting.follow(started, known, options, output, ours=ours)
    elif options["as_json"]:
        console.print_json(known | {"published": []})


def _tell(run: "Run", *, as_json: bool) -> None:
    """Print where a run is, at once."""
    if as_json:
        click.echo(f"run {run.id}: {run.link}", err=True)
    else:
        console.print_rows([("run", run.id), ("link", run.link)])


def _prepare(
    loaded: "Program", parameters: Mapping[str, Any], options: Mapping[str, Any]
) -> "tuple[Cluster, Version, dict[str, Any]]":
    """Return the cluster, the version to run there, and `parameters` in the types of its inputs."""
    if options["run_only"]:
        cluster = _connect(options)
        version = cluster.versions.latest(options["name"] or loaded.pipeline.name)
        return cluster, version, parse_arguments(cluster.versions.spec(version), parameters)
    with console.terminable(), tempfile.TemporaryDirectory() as folder:
        compiled = compile_pipeline_file(loaded.pipeline.package, Path(folder, "pipeline.yaml"), console.warn)
        # Before anything is sent.
        parameters = parse_arguments(read_spec(compiled), parameters)
        cluster = _connect(options)
        return cluster, _create(cluster, loaded, compiled, options), parameters


def _connect(options: Mapping[str, Any]) -> "Cluster":
    from fmnist.cluster.cluster import connect

    names = ("namespace", "token_file", "cookies", "ca", "proxy")
    cluster = connect(options["host"], **{name: options[name] for name in names})
    if options["namespace"] and cluster.namespace is None:
        console.warn("--namespace has no effect: the cluster has one user, and no namespaces for users.")
    return cluster


def _create(cluster: "Cluster", loaded: "Program", compiled: Path, options: Mapping[str, Any]) -> "Version":
    texts, version = _pipeline_texts(loaded, options), loaded.metadata.version or None
    return cluster.versions.create(
        compiled, name=texts["pipeline"], description=texts["pipeline_description"], version=version
    )


def _pipeline_texts(loaded: "Program", options: Mapping[str, Any]) -> dict[str, str]:
    description, digest = options["description"], "0" * DIGITS
    return {
        "pipeline": options["name"] or loaded.pipeline.name,
        "version": f"{loaded.metadata.version}-{digest}",
        "pipeline_description": loaded.pipeline.description if description is None else description,
    }
