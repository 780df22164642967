"""Tests of the engine and the train step."""

import contextlib
import functools
import io
import json
import math
import os
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import helpers

from fmnist.steps import dataset, model, optimizers, training
from fmnist.steps.dataset import Split
from fmnist.steps.determinism import tensorflow
from fmnist.steps.errors import SettingsError, TrainingError
from fmnist.steps.settings import Settings

tf = tensorflow()
import keras  # noqa: E402 - through the gate

#: Keras' default, which the tutorial leaves as it is.
BATCH_SIZE = 32

#: How far a weight of the engine may be from Keras' after 90 batches; the largest difference seen was 6e-6.
TOLERANCE = 1e-5


@given(seed=st.integers(0, 2**31 - 1), epoch=st.integers(0, 10_000), n=st.integers(1, 300))
def test_an_order_visits_each_image_once(seed: int, epoch: int, n: int) -> None:
    """The order of an epoch is a permutation, and a pure function of seed and epoch."""
    order = training.epoch_order(seed, epoch, n).numpy()
    assert np.array_equal(np.sort(order), np.arange(n))
    assert np.array_equal(order, training.epoch_order(seed, epoch, n))


def test_each_epoch_is_printed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """For who waits for it behind a pipe: a line on what was resumed, and one on each epoch."""
    shown: list[str] = []
    stdout = io.StringIO()
    monkeypatch.setattr(stdout, "flush", lambda: shown.append(stdout.getvalue()))
    monkeypatch.setattr(sys, "stdout", stdout)
    training.report_resumed(2, 5)
    training.report_epoch(3, 5, {"loss": 0.25, "accuracy": 1})
    resumed = "resumed after epoch 2/5\n"
    assert shown == [resumed, f"{resumed}epoch 3/5: loss 0.2500 accuracy 1.0000\n"]


@pytest.mark.parametrize(
    ("history", "shown"),
    [
        ({}, "<Training of 0 epochs>"),
        ({"loss": []}, "<Training of 0 epochs>"),
        (
            {"loss": [3.0, 2.0, 1.0], "accuracy": [0.5, 0.6, 0.75]},
            "<Training of 3 epochs, loss 1.0000, accuracy 0.7500>",
        ),
    ],
    ids=["nothing", "no epoch", "three epochs"],
)
def test_a_training_is_shown_by_its_last_epoch(history: dict[str, list[float]], shown: str) -> None:
    """As a notebook shows it: neither the first epoch, nor the one after."""
    assert repr(training.Training(None, history)) == shown


def test_no_two_epochs_share_an_order() -> None:
    """Neither two epochs of a seed nor two seeds visit the images in the same order."""
    orders = {training.epoch_order(seed, epoch, 57_000).numpy().tobytes() for seed in range(5) for epoch in range(20)}
    assert len(orders) == 100


def test_the_scale_is_the_tutorials() -> None:
    """Each of the 256 grey values is bit for bit the tutorial's: divided in float64, then rounded to float32."""
    values = np.arange(256, dtype=np.uint8)
    in_float32 = tf.function(lambda u: tf.cast(u, tf.float32) / 255.0, jit_compile=True)
    expected = (values / 255.0).astype(np.float32)
    assert np.array_equal(model.scale(values), expected)
    assert np.array_equal(tf.function(model.scale, jit_compile=True)(values), expected)
    assert not np.array_equal(in_float32(values), expected), "XLA divides exactly now: scale in float32"
    assert model.scale(expected) is expected


def keras_training(settings: Settings, data: Split) -> tuple[Any, dict[str, list[float]]]:
    """Train as the engine does, but by Keras' own `train_on_batch` and `evaluate`, batch by batch."""
    network = model.create(settings.seed)
    network.compile(
        optimizer=optimizers.create(settings.compile_optimizer),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,  # compiled by XLA, each optimizer takes seconds longer
    )
    # Left to itself Keras builds the optimizer symbolically, which loses ScheduleFreeAdamW's first momentum.
    network.optimizer.build(network.trainable_variables)
    images, at = (data.images / 255.0).astype(np.float32), settings.split_at(len(data))
    history: dict[str, list[float]] = {name: [] for name in training.METRICS}
    for epoch in range(settings.epochs):
        order = training.epoch_order(settings.seed, epoch, at).numpy()
        sums = dict.fromkeys(("loss", "accuracy"), 0.0)
        for start in range(0, at, BATCH_SIZE):
            batch = order[start : start + BATCH_SIZE]
            network.reset_metrics()
            logs = network.train_on_batch(images[batch], data.labels[batch], return_dict=True)
            sums = {name: value + logs[name] * len(batch) for name, value in sums.items()}
        validation = network.evaluate(images[at:], data.labels[at:], verbose=0, return_dict=True)
        for name in sums:
            history[name].append(sums[name] / at)
            history[f"val_{name}"].append(validation[name])
    network.optimizer.finalize_variable_values(network.trainable_variables)
    return network, history


def trackable(name: str) -> Split:
    """Return images on which Keras' own training of the optimizer does not magnify each rounding."""
    n = 170 if name == "muon" else 1_000  # muon normalises singular values that come near zero
    data = dataset.load("train")
    return Split(data.images[:n], data.labels[:n])


each_optimizer = pytest.mark.parametrize(
    "name",
    [
        *(name for name in optimizers.OPTIMIZERS if name != "adafactor"),
        pytest.param('{"class_name": "Adam", "config": {"use_ema": true}}', id="averaged adam"),
        pytest.param('{"class_name": "SGD", "config": {"loss_scale_factor": 1024}}', id="scaled loss"),
    ],
)


@functools.cache
def trained_by(name: str) -> tuple[training.Training, str, training.Training]:
    """Return what three epochs with an optimizer give from seed 1, its digest then, and the same after another seed."""
    trainer = training.Trainer(Settings(compile_optimizer=name, epochs=3, seed=1), trackable(name))
    first = trainer.train(1, on_epoch=lambda *_: None)
    before = helpers.digest(first.model)
    _, again = (trainer.train(seed, on_epoch=lambda *_: None) for seed in (0, 1))
    return first, before, again


@each_optimizer
def test_the_engine_tracks_keras(name: str) -> None:
    """From equal weights and equal batches the engine comes to the weights and history of `train_on_batch`."""
    ours, *_ = trained_by(name)
    network, history = keras_training(Settings(compile_optimizer=name, epochs=3, seed=1), trackable(name))
    moved = 0.0
    for got, expected, before in zip(
        ours.model.get_weights(), network.get_weights(), model.create(1).get_weights(), strict=True
    ):
        np.testing.assert_allclose(got, expected, atol=TOLERANCE, rtol=0)
        moved = max(moved, np.abs(got - before).max())
    assert moved > 10 * TOLERANCE
    for metric in training.METRICS:
        np.testing.assert_allclose(ours.history[metric], history[metric], atol=1e-5, rtol=0, err_msg=metric)


@pytest.mark.parametrize(
    ("n", "filled", "sizes"),
    [
        (5, True, [32]),
        (5, False, [5]),
        (64, True, [32, 32]),
        (64, False, [32, 32]),
        (65, True, [32, 32, 32]),
        (65, False, [32, 32, 1]),
    ],
)
def test_each_place_counts_once(n: int, filled: bool, sizes: list[int]) -> None:
    """The last batch is filled up with one that is there and does not count, or smaller; none is empty."""
    seen: list[tuple[list[int], list[bool]]] = []

    def step(places: Any, counts: Any) -> tuple[Any, Any]:
        seen.append((places.numpy().tolist(), counts.numpy().tolist()))
        return tf.reduce_sum(tf.cast(places[counts], tf.float32)), counts

    mean, share = training._means(step, n, filled=filled)
    assert [len(places) for places, _ in seen] == sizes
    counted = [place for batch in seen for place, counts in zip(*batch, strict=True) if counts]
    assert counted == list(range(n))
    assert max(max(places) for places, _ in seen) == n - 1
    assert (float(mean), float(share)) == ((n - 1) / 2, 1)


def test_where_keras_diverges_so_does_the_engine(few: Split) -> None:
    """Adafactor divides by zero where a pixel is always black: Keras' loss is NaN, ours an error."""
    settings = Settings(compile_optimizer="adafactor", epochs=1)
    assert math.isnan(keras_training(settings, few)[1]["loss"][0])
    with pytest.raises(TrainingError, match="'loss': nan"):
        training.train(settings, few)


def test_a_config_reaches_the_training(few: Split) -> None:
    """A learning rate given as JSON makes another training than the default one."""
    slow = Settings(compile_optimizer='{"class_name": "Adam", "config": {"learning_rate": 1e-6}}', epochs=1)
    weights = training.train(slow, few).model.get_weights()
    for got, before in zip(weights, model.create(0).get_weights(), strict=True):
        np.testing.assert_allclose(got, before, atol=1e-4, rtol=0)


def test_equal_settings_give_equal_bytes(few: Split, trained: training.Training) -> None:
    """A second training with the same settings gives the same artifacts, byte for byte."""
    again = training.train(Settings(epochs=3), few)
    assert again.artifacts() == trained.artifacts()


@each_optimizer
def test_a_seed_after_another_gives_the_same_bits(name: str) -> None:
    """Nothing of the seed before, in the weights or in the optimizer, reaches the next one."""
    first, _, again = trained_by(name)
    assert model.to_bytes(again.model) == model.to_bytes(first.model)
    assert again.history == first.history


@each_optimizer
def test_a_trained_model_stays_as_it_is(name: str) -> None:
    """Training the next seeds leaves the model of the one before alone."""
    first, before, again = trained_by(name)
    assert helpers.digest(first.model) == before
    assert first.model is not again.model


def test_another_seed_gives_other_weights(trained: training.Training) -> None:
    """The seed decides the training."""
    other, *_ = trained_by("adam")
    assert helpers.digest(other.model) != helpers.digest(trained.model)


@pytest.fixture(scope="module")
def shorter(few: Split) -> tuple[training.Training, str]:
    """What two epochs give and print."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        two = training.train(Settings(epochs=2), few)
    return two, out.getvalue()


def test_a_longer_run_starts_with_the_shorter_one(
    shorter: tuple[training.Training, str], trained: training.Training
) -> None:
    """Two epochs are the first two of three."""
    two, _ = shorter
    assert two.history == {name: values[:2] for name, values in trained.history.items()}


def test_validation_images_are_not_trained_on(few: Split, trained: training.Training) -> None:
    """Other validation images change the validation figures and nothing else."""
    at = Settings().split_at(len(few))
    images = few.images.copy()
    images[at:] = 255 - images[at:]
    other = training.train(Settings(epochs=3), Split(images, few.labels))
    assert helpers.digest(other.model) == helpers.digest(trained.model)
    assert other.history["loss"] == trained.history["loss"]
    assert other.history["val_loss"] != trained.history["val_loss"]


def test_every_training_image_is_trained_on(few: Split, trained: training.Training) -> None:
    """A change of the last training image, which may be in a batch of its own size, changes the weights."""
    at = Settings().split_at(len(few))
    images = few.images.copy()
    images[at - 1] = 255 - images[at - 1]
    other = training.train(Settings(epochs=3), Split(images, few.labels))
    assert helpers.digest(other.model) != helpers.digest(trained.model)


def test_the_history_has_a_finite_value_for_each_epoch(trained: training.Training) -> None:
    """Loss and accuracy, for training and validation, one finite float for each epoch."""
    assert list(trained.history) == list(training.METRICS)
    for name, values in trained.history.items():
        assert len(values) == 3
        assert {type(value) for value in values} == {float}
        assert all(math.isfinite(value) and value >= 0 for value in values)
        assert "accuracy" not in name or max(values) <= 1


def test_each_epoch_is_reported(shorter: tuple[training.Training, str]) -> None:
    """A line for each epoch says how far the training is and how it goes."""
    lines = shorter[1].splitlines()
    assert [line.split(":")[0] for line in lines] == ["epoch 1/2", "epoch 2/2"]
    assert all("val_accuracy 0." in line for line in lines)


def test_a_diverging_training_is_an_error(few: Split, tmp_path: Path) -> None:
    """A loss that is not finite ends the training with the epoch and a remedy, and no checkpoint has it."""
    wild = '{"class_name": "SGD", "config": {"learning_rate": 1e30}}'
    with pytest.raises(TrainingError, match=r"epoch 1: expected a finite loss, .* Choose a lower learning rate"):
        training.train(Settings(compile_optimizer=wild, epochs=2), few, checkpoint=tmp_path / "checkpoint")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", training.METRICS)
def test_whichever_metric_diverges_ends_the_training(name: str) -> None:
    """Also one of the validation alone, whose loss may overflow where that of the training does not."""
    metrics = dict.fromkeys(training.METRICS, 0.5)
    training._check_finite(metrics, 2)
    with pytest.raises(TrainingError, match=f"^epoch 2: expected a finite loss, got .*'{name}': inf"):
        training._check_finite({**metrics, name: math.inf}, 2)


def test_a_set_too_small_to_split_is_refused(few: Split) -> None:
    """With so few images that a part would be empty, nothing is trained."""
    with pytest.raises(SettingsError, match="leaves at least one of 5 images"):
        training.train(Settings(validation_split=0.95), Split(few.images[:5], few.labels[:5]))


def test_a_training_goes_to_another_process(trained: training.Training, tmp_path: Path) -> None:
    """What a worker returns is the same there, and starts TensorFlow by the gate, for the network alone."""
    (tmp_path / "training").write_bytes(pickle.dumps(trained))
    code = (
        "import pickle, sys; from pathlib import Path\n"
        "from fmnist.steps.determinism import SWITCHES\n"
        "training = pickle.loads(Path('training').read_bytes())\n"
        "training.history, training.artifacts(); started = 'tensorflow' in sys.modules\n"
        "from support.helpers import digest; from fmnist import test\n"
        "print(digest(training.model), started, hasattr(training, 'nothing'))"
    )
    path = os.pathsep.join([str(helpers.TESTS), str(helpers.TESTS.parent)])
    out = helpers.python(code, cwd=tmp_path, PYTHONPATH=path)
    assert out.split() == [helpers.digest(trained.model), "False", "False"]


def test_a_training_from_another_process_has_the_same_files(trained: training.Training) -> None:
    """Before and after its network is looked at, which may be changed then."""
    received = pickle.loads(pickle.dumps(trained))  # noqa: S301 - our own
    with pytest.raises(AttributeError, match="^'Training' object has no attribute 'nothing'$"):
        received.nothing  # noqa: B018 - what is tested
    passed_on = pickle.loads(pickle.dumps(received))  # noqa: S301 - our own
    assert "model" not in vars(received), "passed on as it came, without TensorFlow"
    assert passed_on.model.output_shape == trained.model.output_shape
    assert received.artifacts() == trained.artifacts()
    received.model.layers[1].kernel.assign(received.model.layers[1].kernel * 0)
    assert received.artifacts()["model"] != trained.artifacts()["model"]
    assert received.artifacts()["history"] == trained.artifacts()["history"]


def test_a_network_that_was_changed_is_saved_as_it_is() -> None:
    """Also where its file was made before."""
    made = training.Training(model.create(0), {})
    assert made.__getstate__()["file"] == model.to_bytes(model.create(0))
    made.model.set_weights(model.create(1).get_weights())
    assert made.__getstate__()["file"] == model.to_bytes(made.model) != model.to_bytes(model.create(0))


def test_nobody_needs_to_read_the_reports(few: Split, trained: training.Training) -> None:
    """Where stdout is closed, the training goes on, to the same network."""
    closed = io.StringIO()
    closed.close()
    with contextlib.redirect_stdout(closed):
        again = training.train(Settings(epochs=1), few)
    assert again.history["loss"] == trained.history["loss"][:1]


def test_the_artifacts_are_those_of_the_train_step(trained: training.Training) -> None:
    """Model, history, PNG and page, each in its format."""
    artifacts = trained.artifacts()
    assert list(artifacts) == ["model", "history", "loss_plot", "loss_page"]
    assert artifacts["model"][:4] == b"PK\x03\x04"  # type: ignore[index]
    assert json.loads(artifacts["history"]) == trained.history  # type: ignore[arg-type]
    assert artifacts["loss_plot"][:8] == b"\x89PNG\r\n\x1a\n"  # type: ignore[index]
    assert artifacts["loss_page"][:15] == b"<!DOCTYPE html>"  # type: ignore[index]
