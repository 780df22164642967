"""The tests of the pipeline: run `python -m pytest` in this folder."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import digits  # type: ignore[import-not-found]
import pipeline  # type: ignore[import-not-found]
from kfp.dsl import Model

from fmnist.testing import assert_contract, assert_reproducible


def test_the_published_accuracy_is_judged(tmp_path: Path) -> None:
    """It is that of seed 7, as published.json says; two accuracies are too few to say anything."""
    assert (round(digits.accuracies(range(7, 8))[0], 4), len(digits.load("test"))) == (0.9499, 899)
    (table := tmp_path / "accuracies.txt").write_text("0.9499\n0.95\n")
    command = [sys.executable, "-m", "fmnist", "judge", "--published", "published.json", str(table)]
    assert b"first-run): inconclusive" in subprocess.run(command, check=False, capture_output=True).stdout


def test_the_pipeline_compiles_and_runs(compile_each_way: Any, run_component: Any, run_pipeline: Any) -> None:
    """Each way to compile gives the same bytes; twice training gives the same; the step gives that; digits are read."""
    (compiled := compile_each_way(Path(pipeline.__file__))).check()
    assert compiled.edges == {("train", "model", "test"), ("test", "labels", "confusion-matrix")}
    assert compiled.parameters == {"epochs": 10, "seed": 0}
    assert "digits.py" in compiled.tasks["train"].code
    ran = assert_reproducible(lambda: run_component(pipeline.train, epochs=10, seed=7))
    made = run_pipeline(compiled, seed=7)
    assert_contract(ran, parameters={"epochs": int, "seed": int}, outputs={"model": Model})
    assert Path(made["train"]["model"].path).read_bytes() == ran.files["model"]
    assert made["test"]["metrics"].metadata["accuracy"] == digits.accuracies(range(7, 8))[0]
    assert ",zero,one,two," in Path(made["confusion-matrix"]["matrix"].path).read_text()
