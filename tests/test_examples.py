"""Tests of the examples: they do what they show."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest
from kfp import compiler, components, local

from examples import digits
from fmnist import pipeline
from fmnist.pipeline import Where
from fmnist.runs import run as runs

ROOT = Path(__file__).parents[1]


@pytest.mark.filterwarnings("ignore:Task .* have no effect in the current local runner")
def test_another_pipeline_uses_the_confusion_matrix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warm_python: str
) -> None:
    """A pipeline of scikit-learn's digits, with the component from its file, runs and counts its predictions."""
    component = pipeline.compile_component("confusion-matrix", tmp_path / "component.yaml", Where(runs.LOCAL_IMAGE))
    compiled = tmp_path / "digits.yaml"
    compiler.Compiler().compile(digits.make_pipeline(component, runs.LOCAL_IMAGE, install=False), str(compiled))
    monkeypatch.setattr(sys, "executable", warm_python)
    local.init(
        local.SubprocessRunner(use_venv=False),
        pipeline_root=str(tmp_path / "out"),
        workspace_root=str(tmp_path / "workspace"),
    )
    components.load_component_from_file(str(compiled))()
    [matrix] = tmp_path.glob("out/*/confusion-matrix/matrix")
    header, *rows = csv.reader(matrix.read_text().splitlines())
    assert (
        header[1:]
        == [row[0] for row in rows]
        == ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    )
    counts = [[int(count) for count in row[1:]] for row in rows]
    assert sum(map(sum, counts)) == 450
    assert sum(counts[i][i] for i in range(10)) > 400


def test_the_commands_of_the_example_work(tmp_path: Path) -> None:
    """What its docstring says to type compiles the component and the pipeline."""
    fmnist = str(Path(sys.executable).with_name("fmnist"))
    subprocess.run(
        [fmnist, "compile", "--component", "confusion-matrix"], cwd=tmp_path, check=True, capture_output=True
    )
    subprocess.run([sys.executable, str(ROOT / "examples" / "digits.py")], cwd=tmp_path, check=True)
    assert components.load_component_from_file(str(tmp_path / "digits.yaml")).name == "digits"
