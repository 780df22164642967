"""The confusion matrix step, which needs nothing but a labels folder of any pipeline."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fmnist.steps import files, plots
from fmnist.steps.characters import cell
from fmnist.steps.checks import check_kind
from fmnist.steps.labels import Labels

__all__ = ["ConfusionMatrix", "confusion_matrix"]


@dataclass(frozen=True)
class ConfusionMatrix:
    """Counts of images by true label (row) and predicted label (column).

    Attributes
    ----------
    counts : int64 ndarray of shape (k, k)
        ``counts[i, j]`` is how many images of class i were predicted as class j.
    class_names : tuple of k str
        The names of rows and columns.
    """

    counts: NDArray[np.int64]
    class_names: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<ConfusionMatrix of {self.counts.sum():,} images and {len(self.class_names)} classes>"

    def artifacts(self) -> Mapping[str, files.Content]:
        """Return `matrix` (CSV, one row a true label) and `matrix_plot` (PNG) as bytes."""
        return {"matrix": self.csv(), "matrix_plot": plots.confusion_png(self.counts, self.class_names)}

    def csv(self) -> bytes:
        """Return the table, one row a true label, as CSV."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        names = [cell(name) for name in self.class_names]
        writer.writerow(["true \\ predicted", *names])
        for name, row in zip(names, self.counts.tolist(), strict=True):
            writer.writerow([name, *row])
        return out.getvalue().encode()


def confusion_matrix(labels: Labels) -> ConfusionMatrix:
    """Count `labels` by true and predicted class.

    Examples
    --------
    Rows are the true label, columns the predicted one; here the model took one dog for a cat:

    >>> import numpy as np
    >>> labels = Labels(np.array([0, 1, 1, 2]), np.array([0, 0, 1, 2]), ("cat", "dog", "emu"))
    >>> confusion_matrix(labels).counts
    array([[1, 0, 0],
           [1, 1, 0],
           [0, 0, 1]])

    Raises
    ------
    ContractError
        If `labels` are of another kind.
    """
    from sklearn import metrics

    check_kind("labels", labels, Labels, "Labels, as those of an Evaluation")
    classes = np.arange(len(labels.class_names))
    counts = metrics.confusion_matrix(labels.true, labels.predicted, labels=classes)
    return ConfusionMatrix(counts.astype(np.int64), labels.class_names)
