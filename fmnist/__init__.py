"""fmnist: TensorFlow's Fashion-MNIST tutorial as a reproducible pipeline.

The steps are ordinary functions:

    from fmnist import Settings, confusion_matrix, load, save, test, train

    training = train(Settings(seed=0), load("train"))
    evaluation = test(training.model, load("test"))
    save("results", training, evaluation, confusion_matrix(evaluation.labels))
"""

from fmnist.steps.confusion import confusion_matrix
from fmnist.steps.dataset import load
from fmnist.steps.evaluation import test
from fmnist.steps.files import save
from fmnist.steps.settings import Settings
from fmnist.steps.training import train

__all__ = ["Settings", "confusion_matrix", "load", "save", "test", "train"]
