"""Tests of calls on kfp's local runner: none installs packages into the environment of these tests."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import compiler, dsl, local
from kfp.local.config import LocalExecutionConfig

from fmnist import pipeline
from fmnist.kubeflow import components
from fmnist.pipeline import Where
from fmnist.runs import study_pipeline
from fmnist.steps.errors import ContractError

#: The arguments of the train step.
TRAIN = {"compile_optimizer": "adam", "epochs": 1, "validation_split": 0.05, "seed": 0}


def greet() -> str:
    """Greet."""
    return "hello"


#: What has packages to install, by its name on a cluster, and arguments for it.
INSTALLING: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    "fashion-mnist": (lambda: pipeline.fashion_mnist, {"epochs": 1}),
    "fashion-mnist-study": (lambda: study_pipeline.fashion_mnist_study, {"epochs": 1, "seeds": 2}),
    "train": (lambda: components.as_component(components.train), TRAIN),
    "test": (lambda: components.as_component(components.test), {}),
    "confusion-matrix": (lambda: components.as_component(components.confusion_matrix), {}),
    "greet": (lambda: components.as_component(greet, code=()), {}),
}


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Configures kfp's local runner, until the end of the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(LocalExecutionConfig, "instance", None)
    # If anything was installed in spite of all, there would be an error, not another package.
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return lambda **options: local.init(
        local.SubprocessRunner(**options), pipeline_root=str(tmp_path / "o"), workspace_root=str(tmp_path / "w")
    )


@pytest.mark.parametrize("name", INSTALLING)
def test_nothing_is_installed_here(name: str, tmp_path: Path, runner: Callable[..., None]) -> None:
    """Without an environment of its own a call is refused, and says what to call."""
    make, arguments = INSTALLING[name]
    runner(use_venv=False)
    with pytest.raises(ContractError) as caught:
        make()(**arguments)
    assert str(caught.value) == (
        f"{name}: expected a runner with an environment of its own, got SubprocessRunner(use_venv=False), with which "
        "its steps would install their packages into the environment of this Python. Nothing was run. Call "
        "fmnist.run() or fmnist.study(), which install nothing, or use SubprocessRunner(use_venv=True)."
    )
    assert list(tmp_path.iterdir()) == []


def test_an_environment_of_its_own_is_used(tmp_path: Path, runner: Callable[..., None]) -> None:
    """There the packages are installed, which fails here, without an index."""
    runner(use_venv=True)
    with pytest.raises(RuntimeError, match="greet.* finished with status .*FAILURE"):
        components.as_component(greet, code=())()


def test_what_installs_nothing_runs_here(runner: Callable[..., None]) -> None:
    """A component for an image has its packages there, and none to install."""
    runner(use_venv=False)
    assert components.as_component(greet, "an-image-of-python", ())().output == "hello"


def test_without_a_runner_kfp_says_what_is_missing(runner: Callable[..., None]) -> None:
    """The first thing to do is not ours to tell."""
    with pytest.raises(RuntimeError, match="Local environment not initialized"):
        pipeline.fashion_mnist(epochs=1)


def test_a_part_of_another_pipeline_is_as_ever(tmp_path: Path, runner: Callable[..., None]) -> None:
    """Whatever runner there is, pipelines are made of these parts and compiled."""
    runner(use_venv=False)
    matrix = components.as_component(components.confusion_matrix)
    assert type(matrix).__name__ == "PythonComponent"

    @dsl.pipeline(name="outer")  # type: ignore[untyped-decorator]
    def outer(labels: dsl.Input[dsl.Dataset]) -> None:
        pipeline.fashion_mnist(epochs=2)
        matrix(labels=labels)

    compiler.Compiler().compile(outer, str(tmp_path / "outer.yaml"))
    tasks = yaml.safe_load((tmp_path / "outer.yaml").read_text())["root"]["dag"]["tasks"]
    assert sorted(tasks) == ["confusion-matrix", "fashion-mnist"]
    compiled = pipeline.compile_pipeline(tmp_path / "image.yaml", Where("an-image")).read_text()
    assert "pip install" not in compiled


def test_an_argument_without_a_name_is_refused_by_kfp(runner: Callable[..., None]) -> None:
    """In its own words."""
    runner(use_venv=True)
    with pytest.raises(TypeError, match="Positional"):
        components.as_component(greet, code=())("hello")
