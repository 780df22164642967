"""The files of a sample's pictures, in the folder of a study or of a judgement."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import get_args

from fmnist.replication.results import Judged, Sample
from fmnist.report.pictures.classes import confusion_matrix, recalls
from fmnist.report.pictures.curves import loss_curves
from fmnist.report.pictures.dot_plot import distribution
from fmnist.report.pictures.style import DARK, Kind
from fmnist.steps import files

__all__ = ["save", "save_distribution"]


def save_distribution(sample: Sample | Judged, folder: Path) -> None:
    """Draw the picture of a sample's accuracies into `folder`, as PNG, and as SVG for light and for dark pages."""
    draw = partial(distribution, sample.accuracies, [one.figure for one in sample.conclusions])
    for kind in get_args(Kind):
        files.write(folder / f"distribution.{kind}", draw(kind=kind))
    files.write(folder / "distribution-dark.svg", draw(theme=DARK))


def save(sample: Sample, folder: Path) -> list[str]:
    """Draw the pictures of a study into `folder`, each as PNG and as SVG, and return the names of the files."""
    draws: dict[str, Callable[..., bytes]] = {
        "distribution": partial(distribution, sample.accuracies, [one.figure for one in sample.conclusions]),
        "loss_curves": partial(loss_curves, [result.history for result in sample.results]),
        "confusion_matrix": partial(confusion_matrix, sample.counts, sample.class_names),
    }
    for classes in (one.classes for one in sample.conclusions if one.classes):
        draws["recalls"] = partial(recalls, sample.recalls, [one.published for one in classes], sample.class_names)
    contents = {f"{name}.{kind}": draw(kind=kind) for name, draw in draws.items() for kind in ("png", "svg")}
    contents["distribution-dark.svg"] = draws["distribution"](theme=DARK)
    for name, content in contents.items():
        files.write(folder / name, content)
    return list(contents)
