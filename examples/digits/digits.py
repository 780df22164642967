"""What the steps carry: scikit-learn's digits, split as in its own example, and a small network for them."""

from typing import Any

from fmnist.steps.dataset import Split
from fmnist.steps.determinism import tensorflow
from fmnist.steps.evaluation import Evaluator
from fmnist.steps.settings import Settings
from fmnist.steps.training import Trainer

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
ADAM = '{"class_name": "adam", "config": {"learning_rate": 0.01}}'
SETTINGS = Settings(ADAM, epochs=10, validation_split=0.1)


def load(part: str) -> Split:
    """Return the first half of the digits for training, or the second half for the test."""
    from sklearn.datasets import load_digits

    images, digits = load_digits(return_X_y=True)
    half = slice(len(digits) // 2) if part == "train" else slice(len(digits) // 2, None)
    pixels = (images / 16).astype("float32").reshape(-1, 8, 8, 1)
    return Split(pixels[half], digits[half].astype("uint8"), NAMES)


def create(seed: int) -> Any:  # noqa: ARG001 - layers without a seed get one that follows from this
    """Return an untrained network."""
    tensorflow()
    from keras import Sequential, layers

    shape, pool = layers.Input((8, 8, 1)), layers.MaxPooling2D(2)
    convolution = layers.Conv2D(16, 3, padding="same", activation="relu")
    return Sequential([shape, convolution, pool, layers.Flatten(), layers.Dropout(0.25), layers.Dense(10)])


def accuracies(seeds: range) -> list[float]:
    """Return the accuracy of each seed, for `fmnist judge`."""
    trainer, tester = Trainer(SETTINGS, load("train"), create), Evaluator(create(0), load("test"))
    return [tester.test(trainer.train(seed).model).accuracy for seed in seeds]
