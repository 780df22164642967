"""Tests of what the command lines share: what surrounds the process changes neither a file nor an exit code."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from support import helpers

from fmnist import pipeline
from fmnist.cli import console, fmnist, same
from fmnist.steps.errors import SettingsError
from fmnist.steps.settings import Settings

FMNIST = str(Path(sys.executable).with_name("fmnist"))


def program(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program with a changed environment."""
    surroundings = {**helpers.clean_environment(), **environment}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=surroundings)


@pytest.mark.parametrize(
    "environment",
    [
        {"KFP_DISABLE_EXECUTION_CACHING_BY_DEFAULT": "true"},
        {"KFP_PACKAGE_PATH": "kfp @ file:///x"},
        {"PYTHONOPTIMIZE": "1"},
        {"PYTHONWARNINGS": "error"},
        {"_KFP_RUNTIME": "true"},
    ],
    ids=lambda environment: next(iter(environment)),
)
def test_the_environment_does_not_change_what_is_compiled(tmp_path: Path, environment: dict[str, str]) -> None:
    """Variables that Python and kfp read give the same bytes."""
    done = program(FMNIST, "compile", "-o", str(tmp_path / "other.yaml"), **environment)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "other.yaml").read_bytes() == pipeline.compile_pipeline(tmp_path / "one.yaml").read_bytes()


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["compile"]], ids=" ".join)
def test_a_python_without_docstrings_is_refused(tmp_path: Path, arguments: list[str]) -> None:
    """Neither an empty help nor a pipeline without descriptions, but what to do."""
    done = program(FMNIST, *arguments, PYTHONOPTIMIZE="2")
    assert done.returncode == 2
    assert "expected docstrings" in done.stderr
    assert "Unset PYTHONOPTIMIZE" in done.stderr


def test_a_pipeline_without_docstrings_is_refused() -> None:
    """Compiled by its own file, the pipeline is refused too."""
    done = program(sys.executable, "-OO", pipeline.__file__)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("fmnist.steps.errors.ContractError: Python: expected docstrings")


#: What Python, YAML or a person may take for a number.
ODD_NUMBERS = [
    *(
        "1_000",
        "0x10",
        "0o17",
        "0b11",
        "010",
        "00",
        "+3",
        "1e3",
        "1.0",
        "3.",
        "1,000",
        "\u0663",
        "\uff13",
        "\u00b2",
        "--3",
    ),
    *("", "-", "inf", "nan", "true", "null", "3j", "3L", "1 000", "\u22123"),
]


def options(command: click.Command) -> Iterator[click.Option]:
    """Give each option of a command and of those below it."""
    yield from (one for one in command.params if isinstance(one, click.Option))
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        yield from options(below)


@pytest.mark.parametrize("text", ODD_NUMBERS)
def test_a_number_is_spelt_in_one_way(text: str) -> None:
    """Options and parameters take a whole number as JSON has it, and no other spelling of one."""
    with pytest.raises(click.BadParameter):
        console.Whole(0).convert(text, None, None)
    if text not in {"1.0", "1e3"}:
        with pytest.raises(click.BadParameter):
            console.Number().convert(text, None, None)
    for name in ("epochs", "seed"):
        with pytest.raises(SettingsError, match=f"^{name}: expected a whole number"):
            Settings.parse({name: text})


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("7", 7), ("1000", 1000), ("-3", -3)])
def test_a_plain_number_is_taken(text: str, number: int) -> None:
    """Digits are a number, and within the range they are taken."""
    assert console.Whole().convert(text, None, None) == number


def test_each_option_for_a_number_takes_only_such() -> None:
    """No option of either program leaves a number to Python's `int`."""
    found = [one for program in (fmnist.main, same.main) for one in options(program)]
    assert len(found) > 50
    numbers = [one for one in found if isinstance(one.type, click.types.IntParamType | click.types.FloatParamType)]
    assert {one.opts[-1] for one in numbers} == {
        *("--seeds", "--first-seed", "--shards", "--parallel", "--jobs", "--sample", "--timeout", "--margin"),
    }
    assert all(isinstance(one.type, console.Whole | console.Number) for one in numbers)
