"""What the commands of `same` that wait for a run on a cluster share: their options, and what they print."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fmnist.cli import console
from fmnist.replication import published, verdict
from fmnist.replication.conclusions import Conclusion

if TYPE_CHECKING:
    from fmnist.cluster.run import Run

__all__ = ["check", "follow", "options"]

#: How long to wait, and what to compare.
options = console.added(
    click.option(
        "--timeout",
        type=console.Whole(1, 10**9),
        default=3600,
        show_default=True,
        metavar="SECONDS",
        help="How long to wait at most.",
    ),
    click.option(
        "--compare",
        type=console.Location(),
        metavar="FOLDER",
        help="Compare the run's files with those of a finished run here.",
    ),
)


def check(output: Path | None, compare: Path | None) -> None:
    """Refuse folders that cannot be what is asked of them, before anybody waits."""
    from fmnist.runs import fetched

    if output:
        fetched.check_new(output)
    if compare:
        fetched.check_compared(compare)


def follow(run: "Run", known: Mapping[str, Any], given: Mapping[str, Any], output: Path | None, *, ours: bool) -> None:
    """Wait for the end of a run, and print its result: with what is `known` of it, if that is JSON."""
    from fmnist.cluster.failures import ClusterError, GoneError, UnfinishedError

    state, again = "still running", f"To wait for it again: `{_again(run.id, given, output)}`."
    try:
        with console.terminable():
            state = run.wait(timeout=given["timeout"], on_change=lambda line: click.echo(line, err=True))
            _tell(run, state, known, given, output, ours=ours)
    except KeyboardInterrupt as error:
        raise console.Failure(
            f"interrupted; run {run.id} is {state}. {again} Look at it, or terminate it, at {run.link}.",
            console.INTERRUPTED,
        ) from error
    except ClusterError as error:
        # The run goes on if a look at it failed, as with a token that has expired, but not one that was deleted.
        if not isinstance(error, GoneError) and (isinstance(error, UnfinishedError) or error.got):
            error.args = (f"{error} {again}",)
        raise


def _again(id_: str, given: Mapping[str, Any], output: Path | None) -> str:
    """Return the command that waits for the run again, with the options that were given, but for what is secret."""
    proxy = () if "@" in (given["proxy"] or "") else ("proxy",)
    names = ("host", "namespace", "token_file", *proxy, "ca", "compare")
    options = {f"--{name.replace('_', '-')}": given[name] for name in names} | {"-o": output}
    words = [str(word) for option, value in options.items() if value for word in (option, value)]
    return shlex.join(["same", "program", "wait", id_, *words])


def _tell(  # noqa: PLR0913 - as `follow`
    run: "Run", state: str, known: Mapping[str, Any], given: Mapping[str, Any], output: Path | None, *, ours: bool
) -> None:
    """Print the result of a run that has ended, and bring its files here."""
    accuracy, why = run.accuracy()
    conclusions = _conclude(known["parameters"], accuracy) if ours and accuracy is not None else []
    trouble, found = None, {}
    if output or given["compare"]:
        try:
            found = _brought(run, output, given["compare"])
        except Exception as error:  # noqa: BLE001 - it is raised again after the result
            trouble = error
    if given["as_json"]:
        result = {"state": state, "accuracy": accuracy, "published": [one.as_json() for one in conclusions]}
        console.print_json({**known, **result, **found})
    else:
        _print(state, accuracy, why, conclusions, found)
    if trouble:
        raise trouble
    if found.get("different"):
        click.get_current_context().exit(console.NEGATIVE)


def _brought(run: "Run", output: Path | None, compare: Path | None) -> dict[str, Any]:
    """Bring the run's files here, and compare them; if some are missing, bring the others."""
    from fmnist.cluster.download import MissingError
    from fmnist.runs import fetched

    try:
        files = run.files()
    except MissingError as error:
        if output:
            fetched.keep(error.files, output, whole=False)
            error.args = (f"{error} The {len(error.files)} others are in {output}: remove it, to have all of them.",)
        raise
    found: dict[str, Any] = {"files": sorted(files)}
    if output:
        fetched.keep(files, output)
        found["folder"] = str(output)
    if compare:
        compared, different = fetched.differing(files, compare)
        found |= {"compared": len(compared), "different": different, "with": str(compare)}
    return found


def _conclude(parameters: Mapping[str, Any], accuracy: float) -> list[Conclusion]:
    """Return what one run says of the accuracies published for its parameters: that it cannot tell."""
    return [Conclusion(one, verdict.judge(one.accuracy, [accuracy]), ()) for one in published.matching(parameters)]


def _print(
    state: str, accuracy: float | None, why: str, conclusions: list[Conclusion], found: Mapping[str, Any]
) -> None:
    shown = f"not known: {why}" if accuracy is None else f"{accuracy:.4f}"
    rows = [("published", f"{one.figure.accuracy:.4f}  ({one.figure.name})") for one in conclusions]
    rows += [("folder", found["folder"])] if "folder" in found else []
    console.print_rows([("state", state), ("accuracy", shown), *rows])
    for one in conclusions:
        click.echo(one.sentence)
    if "compared" in found:
        for name in found["different"]:
            click.echo(f"DIFFERS: {name}")
        equal = found["compared"] - len(found["different"])
        click.echo(f"{equal} of {found['compared']} files equal those of {found['with']}, a run of this machine.")
