"""Tests of what people give and see in a console: arguments of the wrong kind, and how results look in a line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import samples

import fmnist
from fmnist.pipeline import Where
from fmnist.runs.verify import Verification
from fmnist.steps.dataset import Split
from fmnist.steps.errors import ContractError, SettingsError
from fmnist.steps.evaluation import Evaluation
from fmnist.steps.labels import Labels
from fmnist.steps.training import Training

IMAGES, NUMBERS = np.zeros((4, 28, 28), np.uint8), np.zeros(4, np.uint8)
DATA = Split(IMAGES, NUMBERS)
LABELS = Labels(np.array([0, 0, 1]), np.array([0, 1, 1]), ("cat", "dog"))
EVALUATION = Evaluation(LABELS, np.array([0.5, 1, 1], np.float32), 0.25)
TRAINING = Training(None, {"loss": [0.5, 0.25], "accuracy": [0.75, 0.8125]})
SETTINGS = fmnist.Settings()

#: The public functions and classes, for calls of any kind.
PUBLIC: tuple[Any, ...] = (
    fmnist.train,
    fmnist.load,
    fmnist.save,
    fmnist.confusion_matrix,
    Split,
    Labels,
    Evaluation,
    Where,
)
train, load, save, confusion_matrix, split, labels, evaluation, where = PUBLIC


def network() -> Any:
    """Return an untrained network."""
    from fmnist.steps.model import create

    return create(0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: train({"epochs": 1}, DATA), "settings: expected Settings, got a dict."),
        (lambda: train([10], DATA), "settings: expected Settings, got a list."),
        (lambda: train(None, DATA), "settings: expected Settings, got None."),
        (lambda: train(DATA, SETTINGS), "settings: expected Settings, got a Split."),
        (lambda: train(SETTINGS, (IMAGES, NUMBERS)), "data: expected a Split, as load() returns it, got a tuple."),
        (lambda: train(SETTINGS, IMAGES), "data: expected a Split, as load() returns it, got a ndarray."),
        (lambda: train(SETTINGS, "train"), "data: expected a Split, as load() returns it, got a str."),
        (lambda: train(SETTINGS, DATA, None), "on_epoch: expected a function, got None."),
        (lambda: train(SETTINGS, DATA, checkpoint=3), "checkpoint: expected a path, got an int."),
        (lambda: train(SETTINGS, DATA, create="cnn"), "create: expected a function of a seed, got a str."),
        (
            lambda: fmnist.test(TRAINING, DATA),
            "network: expected a network of Keras, as the model of a Training, got a Training.",
        ),
        (
            lambda: fmnist.test(network(), IMAGES),  # type: ignore[arg-type]
            "data: expected a Split, as load() returns it, got a ndarray.",
        ),
        (
            lambda: fmnist.test(b"model.keras", DATA),
            "network: expected a network of Keras, as the model of a Training, got a bytes.",
        ),
        (
            lambda: confusion_matrix(EVALUATION),
            "labels: expected Labels, as those of an Evaluation, got an Evaluation.",
        ),
        (lambda: confusion_matrix([0, 1]), "labels: expected Labels, as those of an Evaluation, got a list."),
        (lambda: load(3), "split: expected 'train' or 'test', got an int."),
        (lambda: load(["train"]), "split: expected 'train' or 'test', got a list."),
        (
            lambda: load(np.array(["train"])),
            "split: expected 'train' or 'test', got a ndarray.",
        ),
        (lambda: save(EVALUATION), "folder: expected a path, before the results, got an Evaluation."),
        (lambda: save(None), "folder: expected a path, before the results, got None."),
        (
            lambda: save("results", EVALUATION, (1, 2)),
            "results: expected what train(), test() or confusion_matrix() returns, got a tuple.",
        ),
        (lambda: split(IMAGES.tolist(), NUMBERS), "images: expected an array, as load() returns it, got a list."),
        (lambda: split(IMAGES, None), "labels: expected an array, as load() returns it, got None."),
        (
            lambda: split(IMAGES.astype(float), NUMBERS),
            "images: expected uint8 of shape (4, 28, 28), got float64 of shape (4, 28, 28). Convert it, or use what "
            "load() gives.",
        ),
        (
            lambda: split(IMAGES.reshape(4, 784), NUMBERS),
            "images: expected uint8 of shape (4, 28, 28), got uint8 of shape (4, 784). Convert it, or use what "
            "load() gives.",
        ),
        (
            lambda: split(np.uint8(3) + np.zeros(()), NUMBERS),
            "images: expected an array, as load() returns it, got a float64.",
        ),
        (
            lambda: split(np.array(3), NUMBERS),
            "images: expected at least one, got none. Give a split that holds images.",
        ),
        (lambda: labels([0], np.array([0]), ("a", "b")), "true labels: expected an array, got a list."),
        (lambda: labels(np.array([0]), None, ("a", "b")), "predicted labels: expected an array, got None."),
        (
            lambda: labels(np.array([0.0]), np.array([0]), ("a", "b")),
            "true labels: expected int64 of shape (n,), n > 0, got float64 of (1,).",
        ),
        (lambda: labels(np.array([0]), np.array([0]), "ab"), "class names: expected a tuple of texts, got a str."),
        (lambda: labels(np.array([0]), np.array([0]), ("a", 2)), "class names: expected texts, got an int."),
        (lambda: evaluation(np.array([0]), np.array([0.5]), 1.0), "labels: expected Labels, got a ndarray."),
        (lambda: evaluation(LABELS, [0.5], 1.0), "confidence: expected an array, got a list."),
        (
            lambda: evaluation(LABELS, np.array([0.5, 1], np.float32), 1.0),
            "confidence: expected one for each label, of (3,), got (2,).",
        ),
        (
            lambda: evaluation(LABELS, np.full((3, 1), 0.5, np.float32), 1.0),
            "confidence: expected one for each label, of (3,), got (3, 1).",
        ),
        (lambda: where(image=3), "image: expected a text, got an int."),
        (lambda: where(mirror=b"https://m.example"), "mirror: expected a text, got a bytes."),
    ],
    ids=lambda value: value[:60] if isinstance(value, str) else "",
)
def test_an_argument_of_another_kind_is_refused(
    call: Callable[[], object], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says which, what was expected, and what came; nothing is written."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ContractError) as caught:
        call()
    assert str(caught.value) == message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("values", [None, ["epochs"], "epochs=1"], ids=str)
def test_parameters_are_a_mapping(values: Any) -> None:
    """Nothing else has names and values."""
    with pytest.raises(SettingsError) as caught:
        fmnist.Settings.parse(values)
    assert str(caught.value) == f"parameters: expected a mapping of names to values, got {values!r}."


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (DATA, "<Split of 4 images>"),
        (LABELS, "<Labels of 3 images and 2 classes>"),
        (EVALUATION, "<Evaluation of 3 images: accuracy 0.6667, loss 0.2500>"),
        (TRAINING, "<Training of 2 epochs, loss 0.2500, accuracy 0.8125>"),
        (Training(None, {"loss": [], "accuracy": []}), "<Training of 0 epochs>"),
        (fmnist.confusion_matrix(LABELS), "<ConfusionMatrix of 3 images and 2 classes>"),
        (samples.result(7), "<Result of seed 7: accuracy 0.8800, loss 0.3456>"),
        (
            samples.study_sample(samples.sample([0.87, 0.89])),
            "<Sample of a study: seeds 1000 to 1001, mean accuracy 0.8800>",
        ),
        (samples.run_sample(samples.result(7)), "<Sample of a run: seeds 7 to 7, mean accuracy 0.8800>"),
        (
            samples.run_sample(samples.result(7)).conclusions[0],
            "<Conclusion: One run cannot tell whether the tutorial's published accuracy of 0.8693 replicates: a spread "
            "takes more than one.>",
        ),
        (Verification(altered="a file"), "<Verification: altered>"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_console_shows_a_result_in_a_line(value: Any, shown: str) -> None:
    """A notebook shows it by itself: what it is of, and its numbers."""
    assert repr(value) == shown
