"""The tests of the pipeline: run `python -m pytest` in this folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pipeline  # type: ignore[import-not-found]
from kfp.dsl import HTML, Artifact, Model

from fmnist.testing import Compiled, Ran, assert_contract


def test_the_pipeline_compiles_to_the_same_bytes_in_each_way(compile_each_way: Callable[..., Compiled]) -> None:
    """Each task can start, takes what another gives, and carries our code."""
    compiled = compile_each_way(Path(pipeline.__file__))
    compiled.check()
    assert compiled.edges == {("train", "model", "test"), ("test", "labels", "confusion-matrix")}
    assert compiled.parameters == {"epochs": 10, "seed": 0}
    assert "digits.py" in compiled.tasks["train"].code


def test_the_pipeline_runs(run_component: Callable[..., Ran], run_pipeline: Any, tmp_path: Path) -> None:
    """Train keeps its contract and gives the bytes that the pipeline gives, which reads nine of ten digits."""
    ran = run_component(pipeline.train, epochs=10, seed=7)
    outputs = {"model": Model, "history": Artifact, "loss_plot": Artifact, "loss_page": HTML}
    assert_contract(ran, parameters={"epochs": int, "seed": int}, outputs=outputs)
    made = run_pipeline(pipeline.compile_to(pipeline.read_digits, tmp_path / "digits.yaml"), seed=7)
    assert {name: Path(made["train"][name].path).read_bytes() for name in outputs} == ran.files
    assert made["test"]["metrics"].metadata["accuracy"] > 0.9
    assert ",zero,one,two," in Path(made["confusion-matrix"]["matrix"].path).read_text()
