"""Copy what the pages show into docs: from folders of runs and studies, and from results in `benchmarks/results`."""

import csv
import shutil
import sys
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmnist.report import pictures
from fmnist.report.pictures import style
from fmnist.steps.dataset import load
from fmnist.steps.files import ARTIFACT_FILES, canonical_json, write

__all__ = ["draw_model", "draw_results", "first_lines", "publish"]

DOCS = Path(__file__).parent

#: Of a run: what the pages show, and what it is drawn from.
OF_A_RUN = ("loss_plot.png", "confusion_matrix.png", "metrics.json", "history.json", "confusion_matrix.csv")

#: Of which artifacts the pages show the first lines, and how many.
LONG, LINES = ("results", "labels"), 6


def publish(path: Path) -> None:
    """Copy what the pages show of a run, a study or a file with results."""
    if path.is_file():
        (DOCS / "benchmarks").mkdir(exist_ok=True)
        shutil.copy(path, DOCS if path.name == "mutants.json" else DOCS / "benchmarks")
    elif (path / "study.json").exists():
        target = DOCS / "studies" / path.name
        shutil.rmtree(target, ignore_errors=True)
        # All but the seeds' own files and the report.
        shutil.copytree(path, target, ignore=shutil.ignore_patterns("seeds", "report.html", "log.txt", "RECORD.sha256"))
    else:
        publish_run(path, DOCS / "run")


def publish_run(folder: Path, target: Path) -> None:
    """Copy what the pages show of a run, and draw what they show of files that are no pictures."""
    from fmnist.steps.model import read

    target.mkdir(exist_ok=True)
    for name in OF_A_RUN:
        shutil.copy(folder / name, target)
    excerpts = first_lines(folder)
    write(target / "excerpts.json", canonical_json(excerpts))
    write(target / "results.png", draw_results(excerpts["results.csv"], load("test").images))
    write(target / "model.png", draw_model(read(folder / ARTIFACT_FILES["model"]).get_layer("hidden").get_weights()[0]))
    write(target / "loss_page.png", photograph(folder / ARTIFACT_FILES["loss_page"]))
    for name, theme in (("graph.svg", pictures.LIGHT), ("graph-dark.svg", pictures.DARK)):
        write(target / name, pictures.graph(folder / "pipeline.yaml", theme=theme))


def first_lines(folder: Path) -> dict[str, list[str]]:
    """Return the first lines of the files of a run that are too long for a page."""
    paths = [folder / ARTIFACT_FILES[name] for name in LONG]
    files = [file for path in paths for file in (sorted(path.iterdir()) if path.is_dir() else [path])]
    return {
        file.relative_to(folder).as_posix(): file.read_text(encoding="utf-8").splitlines()[:LINES] for file in files
    }


def draw_results(lines: Sequence[str], images: NDArray[np.uint8]) -> bytes:
    """Return a PNG of the pictures that the lines of a results.csv are about, with what each line says."""
    rows: Sequence[Mapping[str, str]] = list(csv.DictReader(lines))

    def draw(figure: Any) -> None:
        figure.set_layout_engine("constrained")
        for axes, row in zip(figure.subplots(1, len(rows)), rows, strict=True):
            axes.imshow(images[int(row["image"])], cmap="gray_r")
            axes.set(title=f"image {row['image']}", xticks=[], yticks=[])
            axes.set_xlabel(f"{row['prediction']}, {float(row['confidence']):.1%}\nactual: {row['actual']}")

    return style.render((150 * len(rows), 200), pictures.LIGHT, "png", draw)


def draw_model(kernel: NDArray[np.float32], units: int = 24) -> bytes:
    """Return a PNG of the weights from each pixel to the first hidden units: purple for it, orange against.

    Parameters
    ----------
    kernel : float32 ndarray of shape (784, k)
        The weights of the hidden layer.
    """
    largest = np.abs(kernel[:, :units]).max()

    def draw(figure: Any) -> None:
        figure.set_layout_engine("constrained")
        for axes, weights in zip(figure.subplots(2, units // 2).flat, islice(kernel.T, units), strict=True):
            axes.imshow(weights.reshape(28, 28), cmap="PuOr", vmin=-largest / 2, vmax=largest / 2)
            axes.set_axis_off()

    return style.render((750, 140), pictures.LIGHT, "png", draw)


def photograph(page: Path) -> bytes:
    """Return a PNG of a page as a browser shows it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        view = browser.new_page(viewport={"width": 760, "height": 700})
        view.goto(page.absolute().as_uri())
        return view.screenshot()


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        publish(Path(argument))
