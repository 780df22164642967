"""fmnist: TensorFlow's Fashion-MNIST tutorial as a reproducible pipeline.

The steps are ordinary functions:

    from fmnist import Settings, confusion_matrix, load, save, test, train

    training = train(Settings(seed=0), load("train"))
    evaluation = test(training.model, load("test"))
    save("results", training, evaluation, confusion_matrix(evaluation.labels))

`run("results", seed=0)` runs the whole pipeline in processes of its own, whatever this one has done before.
"""

from typing import TYPE_CHECKING, Any

from fmnist.steps.confusion import confusion_matrix
from fmnist.steps.dataset import load
from fmnist.steps.evaluation import test
from fmnist.steps.files import save
from fmnist.steps.settings import Settings
from fmnist.steps.training import train

if TYPE_CHECKING:
    from fmnist.runs.process import run

__all__ = ["Settings", "confusion_matrix", "load", "run", "save", "test", "train"]


def __getattr__(name: str) -> Any:
    """Import `run` when it is asked for: the steps must not carry it."""
    if name != "run":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fmnist.runs.process import run

    return run
