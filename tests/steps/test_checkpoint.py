"""Tests of checkpoints: a training that was broken off after any epoch ends with the bits of one that was not."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import helpers

from fmnist.steps import training
from fmnist.steps.checkpoint import Checkpoint
from fmnist.steps.dataset import Split
from fmnist.steps.errors import ContractError
from fmnist.steps.files import sha256
from fmnist.steps.settings import Settings

EPOCHS = 3

#: Optimizers with unlike states: moments, an average of the weights, a rate that decays, and a projection.
OPTIMIZERS = {
    "adam": "adam",
    "average": '{"class_name": "sgd", "config": {"use_ema": true, "momentum": 0.9}}',
    "decay": '{"class_name": "rmsprop", "config": {"learning_rate": {"module": "keras.optimizers.schedules", '
    '"class_name": "ExponentialDecay", '
    '"config": {"initial_learning_rate": 0.01, "decay_steps": 3, "decay_rate": 0.5}}}}',
    "schedulefree": "schedulefreeadamw",
}


class BrokenOffError(Exception):
    """What ends a training in these tests."""


def data(seed: int = 0) -> Split:
    """Return 100 images of noise."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (100, 28, 28), np.uint8)
    return Split(images, random.integers(0, 10, 100).astype(np.uint8))


def train(
    checkpoint: Path | None, optimizer: str = "adam", until: int = EPOCHS, epochs: int = EPOCHS, seed: int = 0
) -> training.Training:
    """Train for three epochs, but break off after epoch `until`, as a killed process would."""

    def on_epoch(epoch: int, epochs: int, _: Mapping[str, float]) -> None:
        seen.append(epoch)
        if epoch == until < epochs:
            raise BrokenOffError

    seen: list[int] = []
    settings = Settings(optimizer, epochs, 0.1, seed)
    result = training.train(settings, data(), on_epoch, checkpoint)
    result.history["trained"] = seen  # type: ignore[assignment]  # for the assertions only
    return result


def broken_off(checkpoint: Path, after: int, optimizer: str = "adam") -> Path:
    """Leave the checkpoint of a training that ended after an epoch."""
    with pytest.raises(BrokenOffError):
        train(checkpoint, optimizer, until=after)
    return checkpoint


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_a_resumed_training_ends_with_the_same_bits(
    tmp_path: Path, optimizer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Broken off after one epoch and after two, it has the undisturbed weights and history, and repeats no epoch."""
    expected = train(None, optimizer)
    broken_off(tmp_path / "c", 1, optimizer)
    broken_off(tmp_path / "c", 2, optimizer)
    resumed = train(tmp_path / "c", optimizer)
    assert resumed.history.pop("trained") == [3]
    assert expected.history.pop("trained") == [1, 2, 3]
    assert resumed.artifacts() == expected.artifacts()
    assert helpers.digest(resumed.model) == helpers.digest(expected.model)
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("resumed")]
    assert said == ["resumed after epoch 1/3", "resumed after epoch 2/3"]


def test_a_training_that_had_ended_is_not_repeated(tmp_path: Path) -> None:
    """From the checkpoint of the last epoch, the result comes without an epoch."""
    expected, resumed = train(tmp_path / "c"), train(tmp_path / "c")
    assert resumed.history.pop("trained") == []
    expected.history.pop("trained")
    assert resumed.artifacts() == expected.artifacts()


def test_a_file_is_kept_after_each_epoch_alone(tmp_path: Path) -> None:
    """Nothing lies beside the checkpoint, and without one nothing is written."""
    broken_off(tmp_path / "c", 1)
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def _flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def _signed(change: Callable[[dict[str, dict[str, Any]]], object], cut: int = 0) -> Callable[[bytes], bytes]:
    """Return an edit of the header that puts the digest right afterwards."""

    def edit(content: bytes) -> bytes:
        _, header, state = content.split(b"\n", 2)
        found = json.loads(header)
        change(found)
        body = json.dumps(found).encode() + b"\n" + state[cut:]
        return sha256(body).encode() + b"\n" + body

    return edit


DAMAGES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda _: b"", "SHA-256"),
    "cut": (lambda content: content[:-1], "SHA-256"),
    "longer": (lambda content: content + b"\0", "SHA-256"),
    "a bit of the weights": (lambda content: _flipped(content, len(content) - 1), "SHA-256"),
    "a bit of the history": (lambda content: _flipped(content, content.index(b'"loss": [') + 12), "SHA-256"),
    "a bit of the digest": (lambda content: _flipped(content, 0), "SHA-256"),
    "no text": (lambda _: b"\xff\xfe" * 100, "SHA-256"),
    "no header": (lambda _: f"{sha256(b'[')}\n[".encode(), "a header"),
    "a list": (lambda _: f"{sha256(b'[]')}\n[]".encode(), "a header"),
    "deep": (lambda _: f"{sha256(b'[' * 10**6)}\n{'[' * 10**6}".encode(), "a header"),
    "other data": (_signed(lambda found: found["training"].update(data="0" * 64)), "with data"),
    "other code": (_signed(lambda found: found["training"].update(code="0" * 64)), "with code"),
    "other TensorFlow": (_signed(lambda found: found["training"].update(tensorflow="1.0")), "with tensorflow"),
    "no Keras": (_signed(lambda found: found["training"].pop("keras")), "with keras"),
    "one variable less": (_signed(lambda _: None, cut=4), "bytes of variables"),
    "a metric less": (_signed(lambda found: found["history"].pop("loss")), "a history of"),
    "a metric more": (_signed(lambda found: found["history"].update(x=[1.0])), "a history of"),
    "unequal lengths": (_signed(lambda found: found["history"].update(loss=[1.0, 2.0])), "a history of"),
    "too many epochs": (
        _signed(lambda found: [v.extend([1.0] * 9) for v in found["history"].values()]),
        "a history of",
    ),
    "no epoch": (_signed(lambda found: [v.clear() for v in found["history"].values()]), "a history of"),
    "not a number": (_signed(lambda found: found["history"].update(loss=[float("nan")])), "a history of"),
    "text": (_signed(lambda found: found["history"].update(loss=["1.0"])), "a history of"),
}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The checkpoint of a training that ended after its first epoch."""
    return broken_off(tmp_path_factory.mktemp("kept") / "c", 1).read_bytes()


@pytest.mark.parametrize(("damage", "named"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_checkpoint_is_refused(
    tmp_path: Path, kept: bytes, damage: Callable[[bytes], bytes], named: str
) -> None:
    """A checkpoint with any part damaged, or of a training on something else, is refused by name, and stays."""
    path = helpers.written(damage(kept), tmp_path)
    with pytest.raises(ContractError, match=f"checkpoint {path}: expected .*{named}.*, got .* It was not used"):
        train(path)
    assert path.read_bytes() == damage(kept)


def test_the_checkpoint_of_other_settings_is_refused(tmp_path: Path, kept: bytes) -> None:
    """A training does not go on from the state of one with other settings."""
    path = helpers.written(kept, tmp_path)
    with pytest.raises(ContractError, match="expected a training with seed 1, got 0"):
        train(path, seed=1)
    with pytest.raises(ContractError, match="expected a training with epochs 4, got 3"):
        train(path, epochs=4)


@pytest.mark.parametrize("kind", ["folder", "pipe", "device", "huge"])
def test_a_checkpoint_is_a_regular_file_of_its_size(tmp_path: Path, kind: str) -> None:
    """What is no regular file, or larger than a checkpoint of this training, is refused, neither awaited nor read."""
    path = tmp_path / "c"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.touch()
        os.truncate(path, 2**40)
    with pytest.raises(ContractError, match=f"checkpoint {path}: expected a regular file of this training's size, got"):
        train(path)


def test_variables_of_any_size_are_kept(tmp_path: Path) -> None:
    """Also where the last is larger than all before it."""
    import tensorflow as tf

    checkpoint = Checkpoint(tmp_path / "c", {"epochs": 1})
    kept = [tf.Variable(np.arange(size, dtype=np.float32)) for size in (10, 10**5)]
    checkpoint.save(kept, {"loss": [0.5]})
    found = [tf.Variable(np.zeros(size, np.float32)) for size in (10, 10**5)]
    assert checkpoint.restore(found, ["loss"]) == {"loss": [0.5]}
    assert [variable.numpy().tobytes() for variable in found] == [variable.numpy().tobytes() for variable in kept]
