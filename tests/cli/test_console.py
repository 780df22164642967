"""Tests of what the command lines share: what surrounds the process changes neither a file nor an exit code."""

import subprocess
import sys
from pathlib import Path

import pytest
from support import helpers

from fmnist import pipeline

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
