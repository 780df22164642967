"""Tests of checkpoints: a training that was broken off after any epoch ends with the bits of one that was not."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import helpers

from fmnist.steps import model, training
from fmnist.steps.checkpoint import Checkpoint
from fmnist.steps.dataset import Split
from fmnist.steps.determinism import tensorflow
from fmnist.steps.errors import ContractError
from fmnist.steps.files import sha256
from fmnist.steps.settings import Settings

tf = tensorflow()
import keras  # noqa: E402 - through the gate

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


def test_a_checkpoint_is_of_the_untrained_network(tmp_path: Path) -> None:
    """Also where its trainer has trained before, for whatever seed."""
    trainer = training.Trainer(Settings(), data())
    before = trainer.checkpoint(tmp_path / "c")
    training._copy(model.create(1), trainer._network)
    assert trainer.checkpoint(tmp_path / "c") == before


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


SUM = ("content of SHA-256 {digest!r}", "{actual!r}")
HEADER = "a header with a training and its history"
HISTORY = ("a history of loss, accuracy, val_loss, val_accuracy, a number each epoch", "another")
ZEROS = "0" * 64

#: A damage, what the refusal expects, and what it got, with names in the place of digests that depend on the code.
DAMAGES: dict[str, tuple[Callable[[bytes], bytes], str, str]] = {
    "empty": (lambda _: b"", *SUM),
    "cut": (lambda content: content[:-1], *SUM),
    "longer": (lambda content: content + b"\0", *SUM),
    "a bit of the weights": (lambda content: _flipped(content, len(content) - 1), *SUM),
    "a bit of the history": (lambda content: _flipped(content, content.index(b'"loss": [') + 12), *SUM),
    "a bit of the digest": (lambda content: _flipped(content, 0), *SUM),
    "the last bit of the digest": (lambda content: _flipped(content, 63), *SUM),
    "no text": (lambda _: b"\xff\xfe" * 100, *SUM),
    "no header": (
        lambda _: f"{sha256(b'[')}\n[".encode(),
        HEADER,
        "JSONDecodeError('Expecting value: line 1 column 2 (char 1)')",
    ),
    "a list": (
        lambda _: f"{sha256(b'[]')}\n[]".encode(),
        HEADER,
        "TypeError('list indices must be integers or slices, not str')",
    ),
    "deep": (
        lambda _: f"{sha256(b'[' * 10**6)}\n{'[' * 10**6}".encode(),
        HEADER,
        "RecursionError('maximum recursion depth exceeded while decoding a JSON array from a unicode string')",
    ),
    **{
        f"other {part}": (
            _signed(lambda found, part=part: found["training"].update({part: ZEROS})),  # type: ignore[misc]
            f"a training with {part} {{{part}!r}}",
            repr(ZEROS),
        )
        for part in ("data", "network", "code", "tensorflow")
    },
    "no Keras": (_signed(lambda found: found["training"].pop("keras")), "a training with keras {keras!r}", "None"),
    "no history": (_signed(lambda found: found.pop("history")), HEADER, "KeyError('history')"),
    "one variable less": (_signed(lambda _: None, cut=4), "1221252 bytes of variables", "1221248"),
    "a metric less": (_signed(lambda found: found["history"].pop("loss")), *HISTORY),
    "a metric more": (_signed(lambda found: found["history"].update(x=[1.0])), *HISTORY),
    "unequal lengths": (_signed(lambda found: found["history"].update(loss=[1.0, 2.0])), *HISTORY),
    "an epoch too many": (
        _signed(lambda found: [values.extend([1.0] * EPOCHS) for values in found["history"].values()]),
        *HISTORY,
    ),
    "no epoch": (_signed(lambda found: [v.clear() for v in found["history"].values()]), *HISTORY),
    "not a number": (_signed(lambda found: found["history"].update(loss=[float("nan")])), *HISTORY),
    "text": (_signed(lambda found: found["history"].update(loss=["1.0"])), *HISTORY),
}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The checkpoint of a training that ended after its first epoch."""
    return broken_off(tmp_path_factory.mktemp("kept") / "c", 1).read_bytes()


def refusal(path: Path, **others: Any) -> str:
    """Return with what a training from the checkpoint at `path` is refused, but for what is the same in each."""
    with pytest.raises(ContractError) as caught:
        train(path, **others)
    start = f"checkpoint {path}: expected "
    end = ". It was not used. Delete this file to train from the start, or choose another folder."
    message = str(caught.value)
    assert message.startswith(start)
    assert message.endswith(end)
    return message.removeprefix(start).removesuffix(end)


@pytest.mark.parametrize(("damage", "expected", "got"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_checkpoint_is_refused(
    tmp_path: Path, kept: bytes, damage: Callable[[bytes], bytes], expected: str, got: str
) -> None:
    """A checkpoint with any part damaged, or of a training on something else, is refused by name, and stays."""
    path = helpers.written(damage(kept), tmp_path)
    digest, _, rest = damage(kept).partition(b"\n")
    names = {"digest": digest[:64], "actual": sha256(rest).encode(), **json.loads(kept.split(b"\n")[1])["training"]}
    assert refusal(path) == f"{expected}, got {got}".format(**names)
    assert path.read_bytes() == damage(kept)


def test_the_checkpoint_of_other_settings_is_refused(tmp_path: Path, kept: bytes) -> None:
    """A training does not go on from the state of one with other settings."""
    path = helpers.written(kept, tmp_path)
    assert refusal(path, seed=1) == "a training with seed 1, got 0"
    assert refusal(path, epochs=4) == "a training with epochs 4, got 3"


@pytest.mark.parametrize(
    ("kind", "got"),
    [
        ("folder", "Is a directory"),
        ("pipe", "it is no regular file"),
        ("device", "it is no regular file"),
        ("huge", "it is larger than 1287172 bytes"),
    ],
    ids=["folder", "pipe", "device", "huge"],
)
def test_a_checkpoint_is_a_regular_file_of_its_size(tmp_path: Path, kind: str, got: str) -> None:
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
    assert refusal(path) == f"a regular file of this training's size, got {got}"


def variables(*sizes: int) -> list[Any]:
    """Return variables of so many numbers."""
    return [tf.Variable(np.arange(size, dtype=np.float32)) for size in sizes]


def test_variables_of_any_size_are_kept(tmp_path: Path) -> None:
    """Also where the last is larger than all before it."""
    checkpoint = Checkpoint(tmp_path / "c", {"epochs": 1})
    checkpoint.save(kept := variables(10, 10**5), {"loss": [0.5]})
    found = [tf.Variable(np.zeros(size, np.float32)) for size in (10, 10**5)]
    assert checkpoint.restore(found, ["loss"]) == {"loss": [0.5]}
    assert [variable.numpy().tobytes() for variable in found] == [variable.numpy().tobytes() for variable in kept]


def test_what_is_refused_has_changed_no_variable(tmp_path: Path) -> None:
    """A history of whole numbers, of truths, of what is no number, or of another metric, and bytes that follow."""
    checkpoint, found = Checkpoint(tmp_path / "c", {"epochs": 2}), [tf.Variable(np.zeros(2, np.float32))]
    for size, history, got in (
        (2, {"loss": [1]}, "another"),
        (2, {"loss": [True]}, "another"),
        (2, {"loss": [0.5, float("nan")]}, "another"),
        (2, {"accuracy": [0.5]}, "another"),
        (3, {"loss": [0.5]}, "12"),
    ):
        checkpoint.save(variables(size), history)  # type: ignore[arg-type]  # that is what is refused
        with pytest.raises(ContractError, match=f", got {got}[.] It was not used[.] "):
            checkpoint.restore(found, ["loss"])
    assert found[0].numpy().tolist() == [0, 0]


def test_a_history_of_any_length_is_kept(tmp_path: Path) -> None:
    """Each epoch adds to the size that a checkpoint may have, as much as its numbers need."""
    checkpoint = Checkpoint(tmp_path / "c", {"epochs": 2_000})
    history = {name: [-1.2345678901234567e-100] * 2_000 for name in training.METRICS}
    checkpoint.save(variables(1), history)
    assert checkpoint.restore(variables(1), training.METRICS) == history


def test_equal_checkpoints_are_equal_bytes(tmp_path: Path) -> None:
    """In whatever order the training and the history were put together."""
    pairs = {"a": [0.5], "b": [0.25]}, {"b": [0.25], "a": [0.5]}
    for number, pair in enumerate(pairs):
        Checkpoint(tmp_path / str(number), pair).save(variables(1), pair)
    assert (tmp_path / "0").read_bytes() == (tmp_path / "1").read_bytes()


@pytest.mark.parametrize("reverse", [False, True], ids=["in order", "in reverse"])
def test_a_checkpoint_is_of_the_code_of_the_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, reverse: bool
) -> None:
    """Of each module in the folder, by name, in whatever order they are found, and of all data, however many."""
    for name, content in {"b.py": b"B", "a.py": b"A", "a.pyc": b"C"}.items():
        (tmp_path / name).write_bytes(content)
    monkeypatch.setattr("fmnist.steps.checkpoint.__file__", str(tmp_path / "b.py"))
    glob = Path.glob
    monkeypatch.setattr(Path, "glob", lambda *given: iter(sorted(glob(*given), reverse=reverse)))
    network, images = model.create(0), Split(np.ones((2_000, 28, 28), np.uint8), np.ones(2_000, np.uint8))
    assert Checkpoint.of(tmp_path / "c", Settings("sgd", 7, 0.1, 5), images, network) == Checkpoint(
        tmp_path / "c",
        {
            "compile_optimizer": "sgd",
            "epochs": 7,
            "validation_split": 0.1,
            "seed": 5,
            "data": sha256(images.images.tobytes() + images.labels.tobytes()),
            "network": sha256(model.to_bytes(network)),
            "code": sha256(b"AB"),
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
        },
    )
