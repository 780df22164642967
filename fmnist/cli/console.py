"""What the command lines share: errors as messages with exit codes, options, tables and JSON."""

import contextlib
import errno
import json
import os
import re
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from fmnist.cli import streams
from fmnist.kubeflow.environment import NO_DOCSTRINGS
from fmnist.replication.published import NONE_MATCHING
from fmnist.report import DISTRIBUTION, FILE_NAME
from fmnist.steps import determinism, garbage, redaction
from fmnist.steps.checks import NUMBER, WHOLE
from fmnist.steps.errors import ContractError, FmnistError, SettingsError
from fmnist.steps.messages import did_you_mean, excerpt
from fmnist.steps.settings import Settings

if TYPE_CHECKING:
    from fmnist.replication.sample import Judged, Sample
    from fmnist.runs.verify import Verification

__all__ = [
    "BAD_INPUT",
    "DEFECT",
    "FAILED",
    "INTERRUPTED",
    "NEGATIVE",
    "Failure",
    "Group",
    "Number",
    "Text",
    "added",
    "given",
    "output",
    "params",
    "parse",
    "print_json",
    "print_rows",
    "print_sample",
    "print_verification",
    "terminable",
    "warn",
    "warn_of_idle",
]

#: The environment variables of this package; the last one is for its tests.
VARIABLES = ("FMNIST_DATA_DIR", "FMNIST_MIRROR", redaction.TOKEN, redaction.COOKIES, "FMNIST_STRICT")

#: The exit codes; the first says that what was asked has the answer no.
NEGATIVE, BAD_INPUT, FAILED, DEFECT, INTERRUPTED = 1, 2, 3, 70, 130

#: The characters of a message: what an error repeats may have megabytes.
LONGEST = 4_000

#: How an error ends that says only that a disk, or its user's share of it, is full, be it that of a step.
_FULL = re.compile("(" + "|".join(map(os.strerror, (errno.ENOSPC, errno.EDQUOT))) + r")(: .+)?\Z")


class Failure(click.ClickException):
    """An error that ends the program with `exit_code`."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(excerpt(message, LONGEST))
        self.exit_code = exit_code  # type: ignore[misc]  # click's own way, declared as the class'


class Group(click.Group):
    """Turns the package's errors into messages and exit codes; other errors are defects and keep their traceback."""

    def main(self, *args: Any, **settings: Any) -> Any:
        """Run the program; a reader of its output who leaves early changes neither what it does nor its exit code."""
        garbage.stop_at_exit()
        with streams.guarded() as out:
            try:
                return super().main(*args, **settings)
            finally:
                out.flush()
                if out.lost:
                    click.echo(f"Error: stdout: expected to write the result there, got: {out.lost}.", err=True)
                    sys.exit(FAILED)

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
        for name in sorted(os.environ):
            if name.startswith("FMNIST_") and name not in VARIABLES:
                warn(f"the variable {name} has no effect.{did_you_mean(name, VARIABLES)}")
        # Where the parent ignores the ends of its children, Python would take each for a success.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        try:
            with warnings.catch_warnings():
                if sys.warnoptions:
                    warnings.simplefilter("default")
                return super().invoke(ctx)
        except (FmnistError, OSError, RecursionError, MemoryError, KeyboardInterrupt) as error:
            raise _failure(error) from error
        except click.ClickException as error:
            error.message = excerpt(error.message, LONGEST)  # type: ignore[misc]  # declared final, but nothing else is read
            raise
        except (click.exceptions.Exit, click.Abort):
            raise
        except Exception:  # noqa: BLE001 - whatever it is, Python's own exit code would say something else
            traceback.print_exc()
            ctx.exit(DEFECT)


def _failure(error: BaseException) -> Failure:
    """Return how an error of the package, of the system, or of what was given, ends the program."""
    match error:
        case ContractError() | SettingsError():
            return Failure(str(error), BAD_INPUT)
        case RecursionError():
            return Failure("input: expected a few levels of lists and mappings, got too many.", BAD_INPUT)
        case MemoryError():
            return Failure("memory: expected enough for this, got too little. Free some, or give less input.", FAILED)
        case KeyboardInterrupt():
            return Failure(f"interrupted; {str(error) or 'the same command starts afresh.'}", INTERRUPTED)
        case OSError(errno=errno.EROFS | errno.EACCES):
            return Failure(
                f"{error}. Choose a folder in which you may read and write, or copy the results to one.", FAILED
            )
        case _:
            return Failure(
                _FULL.sub(r"\g<0>. Free room on that disk, then run the same command again.", str(error)), FAILED
            )


def added(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a decorator that adds these options, as `click.option` gives them."""
    return lambda command: reduce(lambda made, option: option(made), reversed(options), command)


def params(name: str, text: str) -> Callable[[Any], Any]:
    """Return the option -p, whose long form is `name`, for parameters that `given` reads."""
    return click.option("-p", name, "params", metavar="NAME=VALUE", multiple=True, help=text)


def output(text: str) -> Callable[[Any], Any]:
    """Return the option -o for a folder of results."""
    return click.option("-o", "--output", type=Location(), help=text)


class Text(click.types.StringParamType):
    """A text that is there: an empty one, as an unset variable of the shell gives, would count as none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return `value` if it is one."""
        return value or self.fail("expected a text, got an empty one. Is a variable empty?", param, ctx)


class Location(click.Path):
    """A path: an empty one, as an unset variable of the shell gives, would be the folder that one works in."""

    def __init__(self, **checks: bool) -> None:
        super().__init__(path_type=Path, **checks)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return `value` as a path if it is one."""
        return super().convert(
            value or self.fail("expected a path, got an empty one. Is a variable empty?", param, ctx), param, ctx
        )


class Number(click.types.FloatParamType):
    """A number, as JSON has it: Python's `float` also takes 1_0, nan and digits of any script."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return `value` as a number if it is one."""
        if isinstance(value, str) and not re.fullmatch(NUMBER, value):
            self.fail(f"{excerpt(repr(value), 100)} is not a valid number.", param, ctx)
        return super().convert(value, param, ctx)


class Whole(click.IntRange):
    """A whole number in a range, as JSON has it: Python's `int` also takes 010, 1_000 and digits of any script."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return `value` as a number if it is one."""
        if isinstance(value, str) and not re.fullmatch(WHOLE, value):
            self.fail(f"{excerpt(repr(value), 100)} is not a valid {self.name}.", param, ctx)
        return super().convert(value, param, ctx)


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM end the program as Ctrl-C does: what is temporary is removed, and what has begun is told."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def warn(message: str) -> None:
    """Tell the user of an input that has no effect."""
    click.echo(f"Warning: {message}", err=True)


def warn_of_idle(names: Set[str], beside: str) -> None:
    """Tell the user of each option with one of `names` that is given and has no effect `beside` others."""
    context = click.get_current_context()
    for option in context.command.params:
        if option.name in names and context.get_parameter_source(option.name) is ParameterSource.COMMANDLINE:
            warn(f"{option.opts[-1]} has no effect {beside}.")


def given(params: Iterable[str]) -> dict[str, str]:
    """Return the parameters given as NAME=VALUE, by name; the last one of a name counts, and this warns of others."""
    values: dict[str, str] = {}
    for param in params:
        name, equals, value = param.partition("=")
        if not equals:
            raise click.BadParameter(f"expected NAME=VALUE, got {param!r}.", param_hint="-p")
        if (before := values.get(name.strip(), value.strip())) != value.strip():
            warn(f"-p {name.strip()}={before} has no effect, as it is given again.")
        values[name.strip()] = value.strip()
    return values


def print_rows(rows: Sequence[tuple[str, str]]) -> None:
    """Print a table of names and values."""
    for name, value in rows:
        click.echo(f"{name:<10} {value}".replace("\n", r"\n"))


def print_sample(sample: "Sample | Judged", seeds: str, folder: Path | None) -> None:
    """Print the accuracies of a sample in a table, and what they say of each published one in a sentence."""
    low, high = min(sample.accuracies), max(sample.accuracies)
    spread = [("deviation", f"{sample.deviation:.4f}")] if len(sample.accuracies) > 1 else []
    rows = [("seeds", seeds), ("mean", f"{sample.mean:.4f}"), *spread, ("range", f"{low:.4f} to {high:.4f}")]
    rows += [
        ("published", f"{one.figure.accuracy:.4f}  ({one.figure.name}): {one.verdict.outcome}")
        for one in sample.conclusions
    ] or [("published", f"nothing {NONE_MATCHING}")]
    if folder:
        rows += [("report", str(folder / FILE_NAME)), ("picture", str(folder / DISTRIBUTION))]
    print_rows(rows)
    for conclusion in sample.conclusions:
        click.echo(conclusion.sentence)


def print_verification(found: "Verification") -> None:
    """Print what was compared, what differs in the environment, and the outcome."""
    width = max((len(file.name) for file in found.files), default=0)
    for file in found.files:
        recorded, now = (f"{(digest or 'missing')[:12]:<12}" for digest in (file.recorded, file.now))
        click.echo(f"{file.name:<{width}}  {recorded}  {now}  {'same' if file.same else 'DIFFERS'}")
    for one in found.environment:
        click.echo(f"{one.name}: recorded {one.recorded}, here {one.now}; {one.promise}")
    click.echo(found.sentence)


def parse(parameters: Mapping[str, Any]) -> Settings:
    """Return the settings for `parameters`, and warn where this machine's CPU may give other bits."""
    settings = Settings.parse(parameters)
    if caveat := determinism.caveat():
        warn(caveat)
    return settings


def print_json(value: Any) -> None:
    """Print `value` as JSON on stdout, for programs and for people."""
    click.echo(json.dumps(value, indent=2))
