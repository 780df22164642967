"""The files of a sample's pictures, in the folder of a study or of a judgement."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from fmnist.replication.sample import Judged, Sample
from fmnist.report import DISTRIBUTION
from fmnist.report.pictures.confusion_matrix import confusion_matrix
from fmnist.report.pictures.distribution import distribution
from fmnist.report.pictures.loss_curves import loss_curves
from fmnist.report.pictures.recalls import recalls
from fmnist.report.pictures.style import DARK
from fmnist.steps import files

__all__ = ["DISTRIBUTIONS", "save", "save_distribution"]

#: The files of the picture of a sample's accuracies, and how each is drawn: for print, for light and for dark pages.
DISTRIBUTIONS: Mapping[str, Mapping[str, Any]] = {
    DISTRIBUTION: {"kind": "png"},
    "distribution.svg": {"kind": "svg"},
    "distribution-dark.svg": {"kind": "svg", "theme": DARK},
}


def save_distribution(sample: Sample | Judged, folder: Path) -> list[str]:
    """Draw the picture of a sample's accuracies into `folder`, and return the names of the files."""
    draw = partial(distribution, sample.accuracies, [one.figure for one in sample.conclusions])
    for name, look in DISTRIBUTIONS.items():
        files.write(folder / name, draw(**look))
    return list(DISTRIBUTIONS)


def save(sample: Sample, folder: Path) -> list[str]:
    """Draw the pictures of a study into `folder`, each as PNG and as SVG, and return the names of the files."""
    draws: dict[str, Callable[..., bytes]] = {
        "loss_curves": partial(loss_curves, [result.history for result in sample.results]),
        "confusion_matrix": partial(confusion_matrix, sample.counts, sample.class_names),
    }
    for classes in (one.classes for one in sample.conclusions if one.classes):
        draws["recalls"] = partial(recalls, sample.recalls, [one.published for one in classes], sample.class_names)
    contents = {f"{name}.{kind}": draw(kind=kind) for name, draw in draws.items() for kind in ("png", "svg")}
    for name, content in contents.items():
        files.write(folder / name, content)
    return [*save_distribution(sample, folder), *contents]
