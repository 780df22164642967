"""Pictures of a sample, the same bytes each time: for the report, and for whoever shows a study elsewhere."""

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmnist.replication import conclusions, published
from fmnist.replication.results import Sample
from fmnist.report.pictures.canvas import DARK, LIGHT, Theme
from fmnist.report.pictures.classes import confusion_matrix, count, recalls, shade
from fmnist.report.pictures.curves import loss_curves
from fmnist.report.pictures.dot_plot import distribution
from fmnist.steps import files

__all__ = [
    "DARK",
    "LIGHT",
    "Theme",
    "confusion_matrix",
    "count",
    "distribution",
    "loss_curves",
    "recalls",
    "save",
    "shade",
    "thumbnail",
]


def thumbnail(image: NDArray[np.uint8]) -> bytes:
    """Return an image of the dataset as a PNG of its own size: dark on white, as the tutorial shows them."""
    from matplotlib.image import imsave

    out = io.BytesIO()
    metadata: Any = {"Software": None}
    imsave(out, np.repeat(255 - image[..., np.newaxis], 3, axis=-1), format="png", metadata=metadata)
    return out.getvalue()


def save(sample: Sample, folder: Path) -> list[str]:
    """Draw what a study shows into `folder`, each as PNG and as SVG, and return the names of the files."""
    figures = published.matching(sample.parameters)
    accuracies = [result.accuracy for result in sample.results]
    counts = np.mean([result.counts for result in sample.results], axis=0)
    drawn: dict[str, Callable[..., bytes]] = {
        "distribution": partial(distribution, accuracies, figures),
        "loss_curves": partial(loss_curves, [result.history for result in sample.results]),
        "confusion_matrix": partial(confusion_matrix, counts),
    }
    of_seeds = np.array([conclusions.recalls(result.counts) for result in sample.results])
    for matrix in (figure.counts for figure in figures if figure.counts is not None):
        drawn["recalls"] = partial(recalls, of_seeds, conclusions.recalls(matrix).tolist())
    contents = {f"{name}.{kind}": draw(kind=kind) for name, draw in drawn.items() for kind in ("png", "svg")}
    contents["distribution-dark.svg"] = drawn["distribution"](theme=DARK)
    for name, content in contents.items():
        files.write(folder / name, content)
    return list(contents)
