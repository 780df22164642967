"""What the command lines share: errors as messages with exit codes, parameters, and tables."""

import traceback
from collections.abc import Iterable, Sequence
from typing import Any

import click

__all__ = ["BAD_INPUT", "DEFECT", "FAILED", "INTERRUPTED", "Failure", "Group", "given", "print_rows"]

BAD_INPUT, FAILED, DEFECT, INTERRUPTED = 2, 3, 70, 130


class Failure(click.ClickException):
    """An error that ends the program with `exit_code`."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # click's own way, declared as the class'


class Group(click.Group):
    """Turns the package's errors into messages and exit codes; other errors are defects and keep their traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Invoke the command."""
        from fmnist.steps.errors import ContractError, FmnistError, SettingsError

        try:
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
