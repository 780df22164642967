"""fmnist: TensorFlow's Fashion-MNIST tutorial as a reproducible pipeline.

The steps are ordinary functions:

    from fmnist import Settings, confusion_matrix, load, save, test, train

    training = train(Settings(seed=0), load("train"))
    evaluation = test(training.model, load("test"))
    save("results", training, evaluation, confusion_matrix(evaluation.labels))

`run("results", seed=0)` runs the whole pipeline, and `study("study", seeds=60)` trains many seeds, in processes of
their own, whatever this one has done before. A notebook shows what they return.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fmnist.calls.process import run, study
    from fmnist.steps.confusion import confusion_matrix
    from fmnist.steps.dataset import CLASS_NAMES, load
    from fmnist.steps.evaluation import test
    from fmnist.steps.files import save
    from fmnist.steps.settings import Settings
    from fmnist.steps.training import train

    #: The version of fmnist.
    __version__: str

__all__ = [
    "CLASS_NAMES",
    "Settings",
    "__version__",
    "confusion_matrix",
    "load",
    "run",
    "save",
    "study",
    "test",
    "train",
]

#: The module of each name but the version.
_HOMES = {
    "CLASS_NAMES": "steps.dataset",
    "Settings": "steps.settings",
    "confusion_matrix": "steps.confusion",
    "load": "steps.dataset",
    "run": "calls.process",
    "save": "steps.files",
    "study": "calls.process",
    "test": "steps.evaluation",
    "train": "steps.training",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for, and no more: a part of fmnist needs neither the other parts nor what they need."""
    if name == "__version__":
        from importlib.metadata import version

        return version("fmnist")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"fmnist.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """Return all names, for those who complete them."""
    return sorted({*globals(), *__all__})
