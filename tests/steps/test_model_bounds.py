"""What a .keras file may hold, and that a hostile one is refused before it costs anything."""

import io
import json
import os
import resource
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from support import helpers

from fmnist.steps import model, model_bounds
from fmnist.steps.determinism import tensorflow
from fmnist.steps.errors import ContractError

tensorflow()
import keras  # noqa: E402 - through the gate
from keras import layers  # noqa: E402
from keras.src.backend.common import global_state  # noqa: E402


def sequential(*parts: Any) -> Any:
    """Return a network of these layers."""
    return keras.Sequential([keras.Input((28, 28)), *parts])


def functional() -> Any:
    """Return a network whose layers are no sequence."""
    image = keras.Input((28, 28))
    flat = layers.Flatten()(image)
    return keras.Model(image, layers.Dense(10)(layers.Concatenate()([flat, layers.Dense(5)(flat)])))


def compiled(network: Any) -> Any:
    """Return a network with an optimizer and a loss, which its file holds too."""
    network.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return network


#: Networks of other people's, which the test step takes as well.
OTHERS: dict[str, Callable[[], Any]] = {
    "convolution": lambda: sequential(
        layers.Reshape((28, 28, 1)),
        layers.Conv2D(4, 3),
        layers.BatchNormalization(),
        layers.Dropout(0.5),
        layers.Flatten(),
        layers.Dense(10),
    ),
    "functional": functional,
    "nested": lambda: sequential(
        layers.Flatten(), keras.Sequential([layers.Dense(8), layers.Dropout(0.1)]), layers.Dense(10)
    ),
    "recurrent": lambda: sequential(layers.LSTM(5), layers.Dense(10)),
    "compiled": lambda: compiled(sequential(layers.Flatten(), layers.Dense(10))),
    "normalised": lambda: sequential(layers.Normalization(mean=0.0, variance=1.0), layers.Flatten(), layers.Dense(10)),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_network_of_the_shape_is_read(name: str, tmp_path: Path) -> None:
    """A network of any layers that gives 10 logits for an image is read, and gives the same bits."""
    network = OTHERS[name]()
    network.save(tmp_path / "other.keras")
    images = np.random.default_rng(0).random((4, 28, 28), np.float32)
    assert np.array_equal(model.read(tmp_path / "other.keras")(images), network(images))


@pytest.fixture(scope="module")
def good() -> bytes:
    """The file of the tutorial's network."""
    return model.to_bytes(model.create(0))


def changed(archive: bytes, member: str, change: Callable[[bytes], bytes]) -> bytes:
    """Return a .keras file, compressed, with one member changed; one that is new is added."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in sorted({*old.namelist(), member}):
            content = old.read(name) if name in old.namelist() else b""
            new.writestr(name, change(content) if name == member else content)
    return out.getvalue()


def units(number: Any) -> Callable[[bytes], bytes]:
    """Return a change of a config: as many hidden units."""

    def change(config: bytes) -> bytes:
        document = json.loads(config)
        _, hidden, logits = document["config"]["layers"][1:]
        hidden["config"]["units"] = number
        logits["build_config"]["input_shape"] = [None, number]
        return json.dumps(document).encode()

    return change


def frozen(config: bytes) -> bytes:
    """Return a config of many hidden units that are not trained."""
    return units(10**7)(config).replace(b'"trainable": true', b'"trainable": false')


def weights(write: Callable[[Any], object]) -> Callable[[bytes], bytes]:
    """Return a change of a file of weights, done by h5py."""

    def change(content: bytes) -> bytes:
        out = io.BytesIO(content)
        with h5py.File(out, "r+") as file:
            write(file)
        return out.getvalue()

    return change


def _elsewhere(file: Any) -> None:
    file.create_dataset("more", shape=(100,), dtype="f4", external=[("/etc/passwd", 0, 400)])


def _virtual(file: Any) -> None:
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (4,))
    file.create_group("group").create_virtual_dataset("v", layout)


#: A member of the tutorial's file, a change of it, and the refusal.
HOSTILE: dict[str, tuple[str, Callable[[bytes], bytes], str]] = {
    "10**7 units": ("config.json", units(10**7), "network: expected at most 67108864 bytes, got 31800000040"),
    "10**7 frozen units": ("config.json", frozen, "network: expected at most 67108864 bytes, got 31800000040"),
    "10**15 units": ("config.json", units(10**15), "network: expected at most 67108864 bytes, got 3180000000000000040"),
    "text for units": ("config.json", units("9"), "that Keras loads safely, got TypeError"),
    "negative units": ("config.json", units(-1), "that Keras loads safely, got TypeError"),
    "no mapping": ("config.json", lambda _: b"null", "^model: expected a mapping as config.json, got other JSON.$"),
    "no JSON": ("config.json", lambda _: b"{", "that Keras loads safely, got JSONDecodeError"),
    "no UTF-8": ("config.json", lambda _: b"\xff", "that Keras loads safely, got UnicodeDecodeError"),
    "100,000 brackets": ("config.json", lambda _: b"[" * 100_000, "that Keras loads safely, got RecursionError"),
    "no layers": (
        "config.json",
        lambda _: b'{"class_name": "Sequential"}',
        r"^model: expected input and output shapes \(\(None, 28, 28\), \(None, 10\)\), got \(None, None\).$",
    ),
    "another shape": (
        "config.json",
        lambda config: config.replace(b'"units": 10,', b'"units": 9,'),
        r"shapes \(\(None, 28, 28\), \(None, 10\)\), got \(\(None, 28, 28\), \(None, 9\)\).$",
    ),
    "a large config": ("config.json", lambda text: text + bytes(2**18), "config.json: expected at most 262144 bytes"),
    "a large text": (
        "metadata.json",
        lambda _: bytes(2**16 + 1),
        "^model: metadata.json: expected at most 65536 bytes, got 65537.$",
    ),
    "a bomb as weights": ("model.weights.h5", lambda _: bytes(2**27), "weights.h5: expected at most 67108864 bytes"),
    "a bomb in an array": (
        "model.weights.h5",
        weights(lambda file: file.create_dataset("more", (2**30,), "f4", chunks=True, compression="gzip")),
        "weights: expected at most 67108864 bytes, got 4295",
    ),
    "two large arrays": (
        "model.weights.h5",
        weights(
            lambda file: [
                file.create_dataset(name, (9 * 2**20,), "f4", chunks=True, compression="gzip") for name in "ab"
            ]
        ),
        "^model: weights: expected at most 67108864 bytes, got 759[0-9]{5}.$",
    ),
    "an array elsewhere": (
        "model.weights.h5",
        weights(_elsewhere),
        "^model: expected weights in the file itself, got 'more' elsewhere.$",
    ),
    "an array of others": ("model.weights.h5", weights(_virtual), "expected weights in the file itself, got 'group/v'"),
    "no weights": ("model.weights.h5", lambda _: b"HDF", "that Keras loads safely, got OSError"),
    "another member": (
        "assets/x",
        lambda _: b"x",
        "^model: expected a .keras file of metadata.json, config.json, model.weights.h5, got 4 other members.$",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_before_it_costs_anything(name: str, good: bytes, tmp_path: Path) -> None:
    """A file that would become large is refused by its headers: no memory is taken."""
    member, change, message = HOSTILE[name]
    path = helpers.written(changed(good, member, change), tmp_path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ContractError, match=message):
        model.read(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        pytest.param(os.mkfifo, "it is no regular file", id="pipe"),
        pytest.param(os.mkdir, "Is a directory", id="folder"),
        pytest.param(lambda path: path.symlink_to("/dev/zero"), "it is no regular file", id="device"),
        pytest.param(lambda path: path.symlink_to(path.name), "Too many levels", id="loop of links"),
        pytest.param(lambda path: path.write_bytes(bytes(2**26 + 1)), "larger than 67108864 bytes", id="too large"),
    ],
)
def test_what_is_no_file_of_the_size_is_refused(make: Callable[[Path], None], reason: str, tmp_path: Path) -> None:
    """Nothing is waited for, and no more is read than a file may have."""
    make(tmp_path / "model")
    with pytest.raises(ContractError, match=f"expected a .keras file at .*model, got .*{reason}"):
        model.read(tmp_path / "model")


def test_what_is_as_large_as_allowed_is_read(good: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bounds themselves are allowed: here a config of 262,144 bytes, and as many groups and arrays as there are."""
    shapes = ((None, 28, 28), (None, 10))
    model_bounds.check(changed(good, "config.json", lambda text: text.ljust(2**18)), shapes)
    assert (model_bounds.LARGEST, model_bounds._MOST_ITEMS) == (67_108_864, 10_000)
    with zipfile.ZipFile(io.BytesIO(good)) as archive, h5py.File(archive.open("model.weights.h5")) as file:
        items: list[str] = []
        file.visit(items.append)
    monkeypatch.setattr(model_bounds, "_MOST_ITEMS", len(items))
    model_bounds.check(good, shapes)
    monkeypatch.setattr(model_bounds, "_MOST_ITEMS", len(items) - 1)
    with pytest.raises(
        ContractError, match=f"^model: expected at most {len(items) - 1} groups and arrays of weights, got more.$"
    ):
        model_bounds.check(good, shapes)


def test_a_file_with_a_member_twice_is_refused(good: bytes) -> None:
    """Whoever reads it may take the other one than was looked at."""
    file = io.BytesIO(good)
    with zipfile.ZipFile(file, "a") as archive, pytest.warns(UserWarning, match="Duplicate name: 'config.json'"):
        archive.writestr("config.json", archive.read("config.json"))
    with pytest.raises(ContractError) as caught:
        model_bounds.check(file.getvalue(), ((None, 28, 28), (None, 10)))
    assert str(caught.value) == (
        "model: expected a .keras file of metadata.json, config.json, model.weights.h5, got 4 other members."
    )


def test_a_model_that_is_read_leaves_keras_nothing_to_make(good: bytes, tmp_path: Path) -> None:
    """Keras keeps the variables that it has yet to make, as those of the network that was only looked at."""

    def unmade() -> list[int]:
        return [id(variable) for variable in global_state.get_global_attribute("uninitialized_variables") or ()]

    before = unmade()
    model.read(helpers.written(good, tmp_path))
    assert unmade() == before


def test_the_check_changes_nothing_for_the_real_network(good: bytes) -> None:
    """Keras counts names in each process: a check that was made before does not show in the file."""
    model_bounds.check(good, ((None, 28, 28), (None, 10)))
    assert model.to_bytes(model.create(0)) == good
