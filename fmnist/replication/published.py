"""The published accuracies that runs are compared with."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files as resources
from typing import Any

__all__ = ["NONE_MATCHING", "Figure", "figure", "figures", "matching"]

#: What is said, after "nothing", where there is no published accuracy to compare with.
NONE_MATCHING = "for these parameters, so nothing is compared"


@dataclass(frozen=True)
class Figure:
    """One published accuracy.

    Attributes
    ----------
    name : str
        Its short name.
    by : str
        Who published it, as in "the tutorial"; may be empty.
    accuracy : float
        On the 10,000 test images, in [0, 1]; the result of one run.
    parameters : mapping
        The pipeline's parameters at which a run is compared with it.
    source : str
        Where it was published.
    note : str
        What a reader must know about it, in whole sentences; may be empty.
    counts : list of 10 lists of 10 int, or None
        Its confusion matrix, where that was published too: rows are the true label, columns the predicted one.
    """

    name: str
    by: str
    accuracy: float
    parameters: Mapping[str, Any]
    source: str
    note: str = ""
    counts: Sequence[Sequence[int]] | None = field(default=None, repr=False)


def figures() -> tuple[Figure, ...]:
    """Return the published figures, the tutorial's first."""
    text = resources(__package__).joinpath("published.json").read_text(encoding="utf-8")
    return tuple(map(figure, json.loads(text)["figures"]))


def figure(f: Mapping[str, Any]) -> Figure:
    """Return the figure that an entry of ``published.json``, or of another file in its format, describes."""
    return Figure(
        name=f["name"],
        by=f["by"],
        accuracy=f["accuracy"],
        parameters=f.get("compared_with", f["parameters"]),
        source=f["source"],
        note=f.get("note", ""),
        counts=f.get("confusion_matrix_true_by_predicted"),
    )


def matching(parameters: Mapping[str, Any]) -> tuple[Figure, ...]:
    """Return the published figures that a run with `parameters` is compared with; there may be none."""
    return tuple(f for f in figures() if f.parameters.items() <= parameters.items())
