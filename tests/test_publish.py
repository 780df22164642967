"""Tests of what copies runs, studies and results into the pages' folder."""

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from support.helpers import TESTS, missing

from docs import publish
from fmnist.report import pictures
from fmnist.steps import model
from fmnist.steps.dataset import Split

#: What the pages show of a study.
OF_A_STUDY = {
    "SHA256SUMS",
    "accuracies.csv",
    "confusion_matrix.png",
    "confusion_matrix.svg",
    "distribution-dark.svg",
    "distribution.png",
    "distribution.svg",
    "loss_curves.png",
    "loss_curves.svg",
    "record.json",
    "study.json",
    "verdict.json",
}


@pytest.fixture
def docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the place of docs."""
    folder = tmp_path / "docs"
    folder.mkdir()
    monkeypatch.setattr(publish, "DOCS", folder)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Return the content of each file in a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_study_takes_the_place_of_the_one_before(docs: Path, copy: Callable[[str], Path]) -> None:
    """All of it is shown but the seeds' own files, which are large, and the report, which names the machine."""
    left = docs / "studies" / "study" / "left.txt"
    left.parent.mkdir(parents=True)
    left.write_text("of the study before")
    study = copy("study")
    (study / "log.txt").write_text("of the machine")
    publish.publish(study)
    assert contents(docs) == {f"studies/study/{name}": (study / name).read_bytes() for name in OF_A_STUDY}


def test_each_result_goes_where_its_page_reads_it(docs: Path, tmp_path: Path) -> None:
    """The score of the mutants beside the pages, a benchmark into its folder."""
    for name in ("mutants.json", "epochs-10.json", "epochs-100.json"):
        (tmp_path / name).write_text(name)
        publish.publish(tmp_path / name)
    assert contents(docs) == {
        "mutants.json": b"mutants.json",
        "benchmarks/epochs-10.json": b"epochs-10.json",
        "benchmarks/epochs-100.json": b"epochs-100.json",
    }


def test_a_run_is_shown_with_pictures_of_what_is_no_picture(
    docs: Path, copy: Callable[[str], Path], test_set: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own pictures and numbers, the first lines of its long files, and its model, graph and page as pictures."""
    if shutil.which("chromium") is None:
        missing("chromium")
    run = copy("run")
    network = model.create(0)
    (run / "model.keras").write_bytes(model.to_bytes(network))
    (run / "loss_plot.html").write_text("<body style='background: rgb(1, 2, 3)'>")
    # A folder is named from here, as somebody types it.
    monkeypatch.chdir(run.parent)
    # There was one before.
    (docs / "run").mkdir()
    publish.publish(Path(run.name))
    found = contents(docs / "run")
    assert {name: found.pop(name) for name in publish.OF_A_RUN} == {
        name: (run / name).read_bytes() for name in publish.OF_A_RUN
    }
    excerpts = json.loads(found.pop("excerpts.json"))
    assert excerpts == {
        name: (run / name).read_text().splitlines()[:6]
        for name in ("results.csv", "labels/class_names.txt", "labels/predicted.txt", "labels/true.txt")
    }
    page = found.pop("loss_page.png")
    assert found == {
        "results.png": publish.draw_results(excerpts["results.csv"], test_set.images),
        "model.png": publish.draw_model(network.get_layer("hidden").get_weights()[0]),
        "graph.svg": pictures.graph(run / "pipeline.yaml", theme=pictures.LIGHT),
        "graph-dark.svg": pictures.graph(run / "pipeline.yaml", theme=pictures.DARK),
    }
    # A PNG's size stands behind its first 16 bytes.
    assert (page[:4], page[16:24]) == (b"\x89PNG", (760).to_bytes(4, "big") + (700).to_bytes(4, "big"))


def pixels(png: bytes) -> Any:
    """Return the colours of a PNG: rows, columns, and red, green and blue, from 0 to 1."""
    return plt.imread(io.BytesIO(png))[..., :3]


def test_a_model_is_drawn_unit_by_unit() -> None:
    """24 units in two rows, each as its image lies; half of the largest weight has the full colour, purple above 0."""
    kernel = np.zeros((28, 28, 30), np.float32)
    kernel[:14, :, 0], kernel[:, :14, 11], kernel[14:, :, 12], kernel[0, 0, 23] = 0.5, -0.5, -0.5, -1
    kernel[:, :, 24:] = 9  # not shown
    drawn = pixels(publish.draw_model(kernel.reshape(784, 30)))
    assert drawn.shape[1] / drawn.shape[0] == pytest.approx(750 / 140, rel=0.01)
    height, width = drawn.shape[0] // 2, drawn.shape[1] / 12

    def colour(unit: int, down: float, right: float) -> str:
        row, column = divmod(unit, 12)
        red, green, blue = drawn[int(height * (row + down)), int(width * (column + right))]
        if max(red, green, blue) < 0.5:
            return "purple" if blue > red > green else "orange" if red > green > blue else "dark"
        return "white" if min(red, green, blue) > 0.9 else "pale"

    corners = {
        unit: [colour(unit, down, right) for down in (0.35, 0.65) for right in (0.3, 0.7)]
        for unit in (0, 1, 11, 12, 22, 23)
    }
    assert corners == {
        0: ["purple", "purple", "white", "white"],
        1: ["white"] * 4,
        11: ["orange", "white", "orange", "white"],
        12: ["white", "white", "orange", "orange"],
        22: ["white"] * 4,
        23: ["white"] * 4,
    }


def test_each_result_is_told_under_its_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """First what it was taken for, then what it is; on the pages both are the same."""
    figure: Any = Figure()
    monkeypatch.setattr("docs.publish.style.render", lambda *given: given[-1](figure) or b"")
    images = np.zeros((9, 28, 28), np.uint8)
    images[7] = 1
    lines = ["image,prediction,confidence,actual", "7,Bag,0.1234,Coat", "2,Dress,1.0,Shirt"]
    publish.draw_results(lines, images)
    assert [(axes.get_title(), axes.get_xlabel(), axes.images[0].get_array().max()) for axes in figure.axes] == [
        ("image 7", "Bag, 12.3%\nactual: Coat", 1),
        ("image 2", "Dress, 100.0%\nactual: Shirt", 0),
    ]


def test_all_that_is_named_is_published(copy: Callable[[str], Path], tmp_path: Path) -> None:
    """As `tox run -e confirm` does it, with two studies."""
    program = tmp_path / "docs" / "publish.py"
    program.parent.mkdir()
    shutil.copy(TESTS.parent / "docs" / "publish.py", program)
    result = tmp_path / "epochs-10.json"
    result.write_text("{}")
    environment = os.environ | {"PYTHONPATH": str(TESTS.parent)}
    command = [sys.executable, str(program), str(copy("study")), str(result)]
    subprocess.run(command, check=True, env=environment, capture_output=True)
    found = contents(program.parent).keys() - {"publish.py"}
    assert found == {f"studies/study/{name}" for name in OF_A_STUDY} | {"benchmarks/epochs-10.json"}
