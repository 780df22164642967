"""Tests of the network and its file."""

import contextlib
import io
import json
import os
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from support import helpers

from fmnist.steps import model, training
from fmnist.steps.dataset import Split
from fmnist.steps.determinism import tensorflow
from fmnist.steps.errors import ContractError

tensorflow()
import keras  # noqa: E402 - through the gate


def test_the_network_is_the_tutorials() -> None:
    """Flatten 28×28, Dense 128 relu, Dense 10 logits: 101,770 weights."""
    layers = model.create(seed=0).layers
    assert [type(layer).__name__ for layer in layers] == ["Flatten", "Dense", "Dense"]
    assert [(layer.units, layer.activation.__name__) for layer in layers[1:]] == [
        (128, "relu"),
        (10, "linear"),
    ]
    assert model.create(seed=0).input_shape == (None, 28, 28)
    assert model.create(seed=0).count_params() == 101_770


def test_the_network_has_names_and_seeds_of_its_own() -> None:
    """They stand in its file: each kernel has a seed that no other kernel of any network has."""
    network = model.create(seed=3)
    names = [network.name, network.inputs[0].name, *(layer.name for layer in network.layers)]
    assert names == ["fashion_mnist", "image", "flatten", "hidden", "logits"]
    assert [layer.kernel_initializer.seed for layer in network.layers[1:]] == [6, 7]


def test_initial_weights_are_glorot_uniform_with_zero_biases() -> None:
    """Kernels fill the Glorot interval evenly, biases are zero, as Keras does by default."""
    hidden, hidden_bias, logits, logits_bias = model.create(seed=5).get_weights()
    for kernel in (hidden, logits):
        limit = np.sqrt(6 / sum(kernel.shape))
        assert np.abs(kernel).max() <= limit
        assert np.quantile(kernel, [0.25, 0.5, 0.75]) / limit == pytest.approx([-0.5, 0, 0.5], abs=0.1)
    assert not hidden_bias.any()
    assert not logits_bias.any()


def test_the_seed_alone_decides_the_initial_weights() -> None:
    """Equal seeds give equal weights whatever the global seed; the next seed gives others, in both layers."""
    keras.utils.set_random_seed(1)
    first = model.create(seed=3).get_weights()
    keras.utils.set_random_seed(2)
    assert all(map(np.array_equal, first, model.create(seed=3).get_weights()))
    other = model.create(seed=4).get_weights()
    assert not np.array_equal(first[0], other[0])
    assert not np.array_equal(first[2], other[2])


def test_a_saved_model_has_the_same_bytes_each_time(
    trained: training.Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the time nor the place of the objects in memory shows in the file."""
    once = model.to_bytes(trained.model)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 86_400 * 400)
    again = helpers.reloaded(trained.model, tmp_path)
    assert model.to_bytes(again) == once
    assert helpers.digest(again) == helpers.digest(trained.model)


def test_settings_of_the_process_do_not_show_in_the_file(trained: training.Training) -> None:
    """Neither the order that h5py keeps nor warnings that are errors; and they stay as they were."""
    once, config = model.to_bytes(trained.model), h5py.get_config()
    config.track_order = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            filters = [*warnings.filters]
            assert model.to_bytes(trained.model) == once
            assert warnings.filters == filters
        assert config.track_order
    finally:
        config.track_order = False


class Loud(keras.layers.Flatten):  # type: ignore[misc]
    """A layer that warns when it is written."""

    def get_config(self) -> Any:
        warnings.warn("as told by its author", UserWarning, stacklevel=2)
        return super().get_config()


@pytest.mark.parametrize("seconds", [0.0, 5e9], ids=["1970", "2128"])
def test_a_clock_that_no_archive_can_have_is_no_obstacle(
    seconds: float, trained: training.Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A board without a battery begins in 1970, and a test may let the time stand still anywhere: the bytes are equal.

    Others' archives have the time of this process then, as before.
    """
    plain, clock = model.to_bytes(trained.model), zipfile.time  # type: ignore[attr-defined]
    monkeypatch.setattr(time, "time", lambda: seconds)
    assert model.to_bytes(trained.model) == plain
    assert zipfile.time is clock  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", [Path, os.fsencode])
def test_the_folder_for_temporary_files_may_be_a_path(
    kind: Callable[[Path], Any], trained: training.Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For others than text, `tempfile` gives the names of folders as bytes; it stays the folder that is used."""
    monkeypatch.setattr(tempfile, "tempdir", kind(tmp_path))
    content = model.to_bytes(trained.model)
    assert model.to_bytes(model.from_bytes(content)) == content
    with model._folder() as folder:
        assert Path(folder).parent == tmp_path


def test_what_others_warn_of_is_told() -> None:
    """Of a layer of one's own, for example."""
    with pytest.warns(UserWarning, match="as told by its author"):
        model.to_bytes(sequential(Loud(), keras.layers.Dense(10)))


def test_nothing_is_left_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Keras writes and reads on the way lies elsewhere."""
    monkeypatch.chdir(tmp_path)
    model.from_bytes(model.to_bytes(model.create(0)))
    assert not any(tmp_path.iterdir())


def test_names_are_counted_from_the_first() -> None:
    """Keras numbers layers through a process; in the file the first of a kind has no number, and the next has 1.

    Between two of them another network may have been made, and the number may get another digit.
    """
    names = ("dense", "dense_9", "dense_10")
    first = sequential(keras.layers.Flatten(), *(keras.layers.Dense(10, name=name) for name in names))
    with zipfile.ZipFile(io.BytesIO(model.to_bytes(first))) as archive:
        layers = json.loads(archive.read("config.json"))["config"]["layers"]
    assert [layer["config"]["name"] for layer in layers[1:]] == ["flatten", "dense", "dense_1", "dense_2"]


def test_layers_that_cannot_be_written_keep_their_names() -> None:
    """Whatever a network is asked for afterwards, it knows its layers by the names that they had."""
    network = sequential(keras.layers.Dense(9, name="dense_8"), keras.layers.Dense(10, name="dense_1"))
    with contextlib.suppress(ZeroDivisionError), model._counted_anew(network):
        assert [layer.name for layer in network.layers] == ["dense_1", "dense"]
        raise ZeroDivisionError
    assert [layer.name for layer in network.layers] == ["dense_8", "dense_1"]


def test_a_network_of_other_classes_is_read(tmp_path: Path) -> None:
    """With as many as were asked for."""
    network = sequential(keras.layers.Flatten(), keras.layers.Dense(9))
    path = helpers.written(keras_file(network, tmp_path), tmp_path)
    assert model.read(path, classes=9).output_shape == (None, 9)


def test_a_network_without_shapes_does_not_fit(few: Split) -> None:
    """One that was never called has none yet."""
    with pytest.raises(ContractError, match=r"got \(None, None\)\.$"):
        model.check_fits(keras.Sequential([keras.layers.Dense(10)]), few)


def test_the_file_holds_no_time_and_no_address(trained: training.Training) -> None:
    """Entries are dated 1980, there is no date of saving, and no address of a shared object."""
    with zipfile.ZipFile(io.BytesIO(model.to_bytes(trained.model))) as archive:
        assert {entry.date_time[0] for entry in archive.infolist()} == {1980}
        assert json.loads(archive.read("metadata.json")) == {"keras_version": keras.__version__}
        assert b"shared_object_id" not in archive.read("config.json")


def test_a_saved_model_predicts_the_same_bits(trained: training.Training, tmp_path: Path, few: Any) -> None:
    """The file read back gives bit for bit the same logits, whatever the file is called."""
    (tmp_path / "artifact").write_bytes(model.to_bytes(trained.model))
    images = few.images / np.float32(255)
    assert np.array_equal(model.read(tmp_path / "artifact")(images), trained.model(images))


def test_a_file_written_again_is_read_again(tmp_path: Path) -> None:
    """Where another model has taken the place of one that was read, the other one is read."""
    for seed in (1, 2):
        (tmp_path / "model").write_bytes(model.to_bytes(model.create(seed)))
        assert helpers.digest(model.read(tmp_path / "model")) == helpers.digest(model.create(seed))


def keras_file(network: Any, folder: Path) -> bytes:
    """Return a network's file as Keras itself writes it."""
    network.save(folder / "bad.keras")
    return (folder / "bad.keras").read_bytes()


def sequential(*layers: Any, shape: tuple[int, ...] = (28, 28)) -> Any:
    """Return a network of other layers."""
    return keras.Sequential([keras.Input(shape), *layers])


BAD_FILES: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "empty": (lambda _: b"", "expected a .keras file that Keras loads safely"),
    "text": (lambda _: b"not a model", "expected a .keras file that Keras loads safely"),
    "truncated": (
        lambda f: keras_file(model.create(0), f)[:-1000],
        "expected a .keras file that Keras loads safely",
    ),
    "other classes": (
        lambda f: keras_file(sequential(keras.layers.Flatten(), keras.layers.Dense(9)), f),
        r"expected input and output shapes .*\(None, 10\)\), got .*\(None, 9\)\)",
    ),
    "other input": (
        lambda f: keras_file(sequential(keras.layers.Dense(10), shape=(784,)), f),
        r"expected input and output shapes .* got \(\(None, 784\)",
    ),
    "holds code": (
        lambda f: keras_file(sequential(keras.layers.Lambda(lambda x: x)), f),
        "expected a .keras file that Keras loads safely.*Lambda",
    ),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_model_file_is_refused(name: str, tmp_path: Path) -> None:
    """A file that is no such network, or holds code, is refused with what was expected."""
    make, message = BAD_FILES[name]
    with pytest.raises(ContractError, match="(?s)" + message):
        model.read(helpers.written(make(tmp_path), tmp_path))


def test_what_keras_says_of_a_file_is_told_in_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """500 characters of it."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise ValueError("x" * 600)

    monkeypatch.setattr(keras.saving, "load_model", refuse)
    with pytest.raises(ContractError) as caught:
        model.from_bytes(model.to_bytes(model.create(0)))
    said = "ValueError: " + "x" * 488
    assert str(caught.value) == f"model: expected a .keras file that Keras loads safely, got {said} ..."


def test_a_missing_model_file_is_refused(tmp_path: Path) -> None:
    """A path without a file is refused, and named."""
    with pytest.raises(ContractError, match="expected a .keras file at .*nothing, got No such file"):
        model.read(tmp_path / "nothing")
