"""Tests of the example: its own tests pass, and it is as small as it says."""

import ast
import os
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support import helpers

from fmnist.cluster.arguments import parse_arguments
from fmnist.cluster.pipeline_file import compile_pipeline_file
from fmnist.cluster.program_file import load
from fmnist.steps import training
from fmnist.steps.settings import Settings
from fmnist.testing import Compiled

DIGITS = Path(__file__).parents[1] / "examples" / "digits"


def test_its_own_tests_pass() -> None:
    """In its folder, with its settings alone, the pipeline of digits compiles, runs, and keeps its contracts."""
    command = [sys.executable, "-m", "pytest", "-qx", "-p", "no:cacheprovider", "-p", "no:randomly", "-c", os.devnull]
    environment = {**helpers.clean_environment(), "PYTHONDONTWRITEBYTECODE": "1", "PYTEST_ADDOPTS": ""}
    done = subprocess.run(
        [*command, "--rootdir", ".", "."], cwd=DIGITS, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("2 passed in ")


def test_it_shows_each_check() -> None:
    """Its tests, which people copy, call all that the plugin has for a pipeline, and train twice."""
    tree = ast.parse((DIGITS / "test_digits.py").read_text())
    called = [ast.unparse(node.func).rpartition(".")[2] for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert {"compile_each_way", "check", "assert_reproducible", "run_component", "assert_contract", "run_pipeline"} <= {
        *called
    }
    assert "assert_reproducible(lambda: run_component(" in ast.unparse(tree)
    assert len([node for node in ast.walk(tree) if isinstance(node, ast.Assert)]) == 8


def test_each_parameter_reaches_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it is another one than by default."""
    monkeypatch.syspath_prepend(DIGITS)
    monkeypatch.delitem(sys.modules, "digits", raising=False)
    train, asked = runpy.run_path(str(DIGITS / "pipeline.py"))["train"], list[Any]()

    def instead(chosen: Settings, data: Any, *, create: Any) -> Any:
        asked.extend([chosen, data, create])
        return SimpleNamespace(artifacts=lambda: {"model": b"weights"})

    own = SimpleNamespace(ADAM="sgd", load=lambda part: part, create="network")
    monkeypatch.setitem(sys.modules, "digits", own)
    monkeypatch.setattr(training, "train", instead)
    train(epochs=3, seed=5, model=SimpleNamespace(path=str(tmp_path / "model")))
    assert asked == [Settings("sgd", 3, 0.1, 5), "train", "network"]
    assert (tmp_path / "model").read_bytes() == b"weights"


def test_it_is_small() -> None:
    """All of it, tests included, has at most 120 lines."""
    files = [path for path in DIGITS.iterdir() if path.is_file()]
    assert len(files) >= 5
    assert sum(len(path.read_text().splitlines()) for path in files) <= 120


def test_each_digit_has_its_own_name() -> None:
    """In the order of the labels, which are the digits."""
    names = runpy.run_path(str(DIGITS / "digits.py"))["NAMES"]
    assert " ".join(names) == "zero one two three four five six seven eight nine"


def test_its_program_file_names_it(tmp_path: Path) -> None:
    """What `same` would compile and run is the pipeline, with parameters that it has."""
    program = load(DIGITS / "same.yaml", pytest.fail)
    compiled = Compiled(compile_pipeline_file(program.pipeline.package, tmp_path / "digits.yaml"))
    assert parse_arguments(compiled.spec, program.run.parameters) == {"epochs": 10, "seed": 0}
    pipeline = {"name": program.pipeline.name, "description": f"{program.pipeline.description}."}
    assert compiled.spec["pipelineInfo"] == pipeline
    assert compiled.tasks.keys() == {"train", "test", "confusion-matrix"}
    assert [pin for pin in compiled.pins["train"] if "learn" in pin] == [
        pin for pin in compiled.pins["test"] if "learn" in pin
    ]
    assert not [pin for pin in compiled.pins["confusion-matrix"] if pin.startswith("tensorflow")]
