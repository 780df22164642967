"""Tests of the test step."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import helpers

from fmnist.steps import dataset, evaluation, training
from fmnist.steps.dataset import Split
from fmnist.steps.determinism import tensorflow
from fmnist.steps.errors import ContractError
from fmnist.steps.labels import Labels

tensorflow()
import keras  # noqa: E402 - through the gate


@pytest.fixture(scope="module")
def tested(trained: training.Training, test_set: Split) -> evaluation.Evaluation:
    """What the trained network says of all 10,000 test images."""
    return evaluation.test(trained.model, test_set)


@pytest.fixture(scope="module")
def logits(trained: training.Training, test_set: Split) -> Any:
    """Keras' own prediction for the test images."""
    return trained.model.predict(test_set.images / np.float32(255), verbose=0)


def test_every_image_is_tested(tested: evaluation.Evaluation) -> None:
    """All 10,000 images have a true label, a predicted label and a confidence: no remainder is dropped."""
    assert len(tested.labels.true) == len(tested.labels.predicted) == len(tested.confidence) == 10_000


def test_predictions_are_keras_own(tested: evaluation.Evaluation, logits: Any) -> None:
    """The predicted label is the one with the largest logit that Keras predicts."""
    assert np.array_equal(tested.labels.predicted, logits.argmax(axis=1))


def test_confidences_are_softmax_probabilities(tested: evaluation.Evaluation, logits: Any) -> None:
    """The confidence is the probability of the predicted class, in (0, 1]."""
    assert tested.confidence.dtype == np.float32
    assert tested.confidence.min() > 0
    assert tested.confidence.max() <= 1
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(tested.confidence, 1 / exponentials.sum(axis=1), rtol=1e-5)


def test_accuracy_and_loss_are_keras_own(
    tested: evaluation.Evaluation, trained: training.Training, test_set: Split, tmp_path: Path
) -> None:
    """Accuracy and loss are those of `model.evaluate`."""
    network = helpers.reloaded(trained.model, tmp_path)
    network.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    loss, accuracy = network.evaluate(test_set.images / np.float32(255), test_set.labels, verbose=0)
    assert tested.accuracy == pytest.approx(accuracy, abs=1e-6)
    assert tested.loss == pytest.approx(loss, rel=1e-5)


def test_true_labels_are_the_datasets(tested: evaluation.Evaluation, test_set: Split) -> None:
    """True labels keep the order of the test set, and the classes their names."""
    assert np.array_equal(tested.labels.true, test_set.labels)
    assert tested.labels.class_names == dataset.CLASS_NAMES


def test_the_results_table_says_what_the_labels_say(tested: evaluation.Evaluation) -> None:
    """One row an image, in order: names of the predicted and true class, and the confidence to the last bit."""
    rows = list(csv.DictReader(io.StringIO(str(tested.artifacts()["results"], "utf-8"))))  # type: ignore[arg-type]
    names = np.array(dataset.CLASS_NAMES)
    assert [int(row["image"]) for row in rows] == list(range(10_000))
    assert [row["prediction"] for row in rows] == list(names[tested.labels.predicted])
    assert [row["actual"] for row in rows] == list(names[tested.labels.true])
    assert np.array_equal(np.array([row["confidence"] for row in rows], np.float32), tested.confidence)


def test_the_print_mode_of_numpy_does_not_matter(tested: evaluation.Evaluation) -> None:
    """Confidences have all of their digits, as numpy prints them by default."""
    expected = tested.artifacts()["results"]
    with np.printoptions(legacy="1.13", precision=2):
        assert tested.artifacts()["results"] == expected
    rows = csv.DictReader(io.StringIO(bytes(expected).decode()))  # type: ignore[arg-type]
    assert [row["confidence"] for row in rows] == [str(one) for one in tested.confidence]


def test_the_metrics_are_counted_from_the_results(tested: evaluation.Evaluation) -> None:
    """The accuracy in the metrics is the share of rows in which prediction and actual agree."""
    rows = list(csv.DictReader(io.StringIO(str(tested.artifacts()["results"], "utf-8"))))  # type: ignore[arg-type]
    right = sum(row["prediction"] == row["actual"] for row in rows)
    assert json.loads(tested.artifacts()["metrics"]) == {"accuracy": right / 10_000, "loss": tested.loss}  # type: ignore[arg-type]


def test_a_network_is_tested_not_trained(few: Split) -> None:
    """Dropout drops nothing, and a normalization takes what it has learnt, as in Keras' own prediction."""
    network = keras.Sequential(
        [
            keras.Input((28, 28)),
            keras.layers.Flatten(),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5, seed=1),
            keras.layers.Dense(10, kernel_initializer=keras.initializers.GlorotUniform(seed=1)),
        ]
    )
    said = evaluation.test(network, few)
    expected = keras.ops.softmax(network.predict(few.images / np.float32(255), verbose=0)).numpy()
    assert np.array_equal(said.labels.predicted, expected.argmax(-1))
    np.testing.assert_allclose(said.confidence, expected.max(-1), rtol=1e-5)


@pytest.mark.parametrize("bad", [0.0, -0.5, 1.5, np.inf, np.nan])
def test_a_confidence_is_a_probability(bad: float) -> None:
    """The message has the first that is none, and how many there are."""
    labels = Labels(np.zeros(4, np.int64), np.zeros(4, np.int64), ("a", "b"))
    with pytest.raises(ContractError) as caught:
        evaluation.Evaluation(labels, np.array([1, bad, 0.5, 2], np.float32), 1.0)
    assert str(caught.value) == (
        f"model: expected confidences in (0, 1], got 2 others, the first of them {bad}: do its weights hold NaN?"
    )


def test_a_model_with_nan_weights_is_refused(trained: training.Training, few: Split, tmp_path: Path) -> None:
    """Where a weight is NaN there is no result, but an error that says so."""
    network = helpers.reloaded(trained.model, tmp_path)
    network.set_weights([weight * np.nan for weight in network.get_weights()])
    with pytest.raises(ContractError, match=r"expected confidences in \(0, 1\], got 1000 others, .* weights hold NaN"):
        evaluation.test(network, few)


def test_a_loss_is_finite() -> None:
    """A network of one's own may say that a class is impossible, and an image may be of it: JSON has no infinity."""
    network = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(keras.ops.log)])
    split = Split(np.array([[1, 0], [0.5, 0.5]], np.float32), np.array([1, 0], np.uint8), ("a", "b"))
    with pytest.raises(
        ContractError,
        match=r"a finite loss follows, got a loss of inf: is one the logarithm of a probability that is 0\?$",
    ):
        evaluation.test(network, split)
    labels = Labels(np.array([0]), np.array([0]), ("a", "b"))
    with pytest.raises(ContractError, match="a finite loss follows, got a loss of -inf: "):
        evaluation.Evaluation(labels, np.ones(1, np.float32), -np.inf)
    possible = Split(split.images, np.array([0, 1], np.uint8), ("a", "b"))
    assert evaluation.test(network, possible).loss == pytest.approx(np.log(2) / 2)


@given(
    rows=st.lists(
        st.tuples(
            st.integers(0, 9), st.integers(0, 9), st.floats(0, 1, width=32, exclude_min=True, allow_subnormal=False)
        ),
        min_size=1,
    )
)
def test_any_results_are_read_back_unchanged(rows: list[tuple[int, int, float]]) -> None:
    """The table of results loses nothing: labels by name, confidences to the last bit."""
    true, predicted, confidence = zip(*rows, strict=True)
    labels = Labels(np.array(true), np.array(predicted), dataset.CLASS_NAMES)
    result = evaluation.Evaluation(labels, np.array(confidence, np.float32), 0.5)
    names = dataset.CLASS_NAMES
    table = csv.DictReader(io.StringIO(str(result.artifacts()["results"], "utf-8")))  # type: ignore[arg-type]
    read = [(names.index(r["actual"]), names.index(r["prediction"]), float(np.float32(r["confidence"]))) for r in table]
    assert read == rows


def test_no_name_is_a_formula_in_the_results() -> None:
    """A spreadsheet that opens the table computes nothing, and no name steers a terminal."""
    labels = Labels(np.array([0, 1, 2]), np.array([1, 0, 2]), ("=1+1", "@a", "\x1b[2J"))
    result = evaluation.Evaluation(labels, np.array([0.5, 0.25, 1.0], np.float32), 0.5)
    assert result.artifacts()["results"] == (
        b"image,prediction,confidence,actual\n0,'@a,0.5,'=1+1\n1,'=1+1,0.25,'@a\n2,\\x1b[2J,1.0,\\x1b[2J\n"
    )


def test_a_reloaded_model_gives_the_same_bytes(
    tested: evaluation.Evaluation, trained: training.Training, test_set: Split, tmp_path: Path
) -> None:
    """The model read from its file gives the same artifacts, byte for byte."""
    reloaded = helpers.reloaded(trained.model, tmp_path)
    assert evaluation.test(reloaded, test_set).artifacts() == tested.artifacts()


def test_a_network_after_another_gives_the_same_bits(test_set: Split) -> None:
    """Nothing of the network before, or of the one that the program was compiled with, reaches the next one."""

    def create(seed: int) -> Any:
        kernel = keras.initializers.GlorotUniform(seed=seed)
        average = keras.layers.BatchNormalization(moving_mean_initializer=keras.initializers.Constant(seed))
        layers = keras.layers.Flatten(), average, keras.layers.Dense(10, kernel_initializer=kernel)
        return keras.Sequential([keras.Input((28, 28)), *layers])

    evaluator = evaluation.Evaluator(create(0), test_set)
    for seed in (1, 2):
        network = create(seed)
        assert evaluator.test(network).artifacts() == evaluation.test(network, test_set).artifacts()
