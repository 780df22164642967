"""Pictures of a sample and of a pipeline, for the report and for other pages; equal samples give equal bytes.

Each is drawn in the colours of a `theme`, as a file of a `kind`, and some `narrow` for the screen of a telephone.
"""

from fmnist.report.pictures.confusion_matrix import confusion_matrix, count, shades
from fmnist.report.pictures.distribution import distribution
from fmnist.report.pictures.graph import graph
from fmnist.report.pictures.loss_curves import loss_curves
from fmnist.report.pictures.recalls import recalls
from fmnist.report.pictures.saving import DISTRIBUTIONS, save, save_distribution
from fmnist.report.pictures.style import DARK, LIGHT, MANY_SEEDS, Theme
from fmnist.report.pictures.thumbnail import thumbnail

__all__ = [
    "DARK",
    "DISTRIBUTIONS",
    "LIGHT",
    "MANY_SEEDS",
    "Theme",
    "confusion_matrix",
    "count",
    "distribution",
    "graph",
    "loss_curves",
    "recalls",
    "save",
    "save_distribution",
    "shades",
    "thumbnail",
]
