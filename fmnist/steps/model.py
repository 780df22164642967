"""The tutorial's network, and its file in a form that has the same bytes each time."""

import io
import json
import tempfile
import warnings
import zipfile
from pathlib import Path
from typing import Any

from fmnist.steps import files, model_file
from fmnist.steps.determinism import started, tensorflow
from fmnist.steps.errors import ContractError
from fmnist.steps.messages import excerpt

__all__ = ["create", "from_bytes", "read", "scale", "to_bytes"]

INPUT_SHAPE = (28, 28)
HIDDEN_UNITS = 128
CLASSES = 10

#: The earliest time a zip archive can hold.
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


def create(seed: int) -> Any:
    """Return the tutorial's untrained network: 28×28 grey values in [0, 1] to 10 logits.

    Parameters
    ----------
    seed : int
        Decides the initial weights: Glorot uniform kernels, zero biases, as Keras does it by default.

    Returns
    -------
    keras.Sequential
        Flatten, Dense(128, relu), Dense(10).

    References
    ----------
    https://www.tensorflow.org/tutorials/keras/classification#build_the_model
    """
    tensorflow()
    import keras

    def kernel(layer: int) -> Any:
        return keras.initializers.GlorotUniform(seed=2 * seed + layer)

    return keras.Sequential(
        [
            keras.Input(INPUT_SHAPE, name="image"),
            keras.layers.Flatten(name="flatten"),
            keras.layers.Dense(HIDDEN_UNITS, activation="relu", kernel_initializer=kernel(0), name="hidden"),
            keras.layers.Dense(CLASSES, kernel_initializer=kernel(1), name="logits"),
        ],
        name="fashion_mnist",
    )


def scale(images: Any) -> Any:
    """Return uint8 `images` as float32 in [0, 1]: bit for bit the tutorial's ``float32(images / 255.0)``."""
    tf = started()
    # In float32 XLA would multiply by the reciprocal, which gives other numbers for half of the grey values.
    return tf.cast(tf.cast(images, tf.float64) / 255.0, tf.float32)


def to_bytes(model: Any) -> bytes:
    """Return `model` as the content of a ``.keras`` file, without the times that Keras puts in."""
    tensorflow()
    import h5py

    with tempfile.TemporaryDirectory() as folder, files.default(h5py.get_config(), "track_order", value=False):
        path = Path(folder, "model.keras")
        with warnings.catch_warnings():
            # Keras 3.15 converts tensors without NumPy 2's `copy`, which must not end a process that forbids warnings.
            warnings.simplefilter("ignore", DeprecationWarning)
            model.save(path)
        return _normalised(path.read_bytes())


def _normalised(archive: bytes) -> bytes:
    """Return a ``.keras`` archive with its entries sorted and undated, and its JSON normalised."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(out, "w") as new:
        for name in sorted(old.namelist()):
            content = old.read(name)
            if name.endswith(".json"):
                content = _normalised_json(content)
            new.writestr(zipfile.ZipInfo(name, _ZIP_EPOCH), content)
    return out.getvalue()


def _normalised_json(content: bytes) -> bytes:
    """Drop what differs between equal models: the date, and the addresses by which Keras knows shared objects."""

    def normalise(value: dict[str, Any]) -> dict[str, Any]:
        return {key: item for key, item in value.items() if key not in {"date_saved", "shared_object_id"}}

    return files.canonical_json(json.loads(content, object_hook=normalise))


def read(path: str | Path) -> Any:
    """Load a trained network from the ``.keras`` file at `path`, whatever its name ends in.

    Raises
    ------
    ContractError
        If there is no such file, or it is not a network of this shape, or it holds code, or it is or would become
        larger than `model_file.LARGEST`; nothing of that size is allocated.
    """
    try:
        content = files.read(path, model_file.LARGEST)
    except OSError as error:
        raise ContractError(f"model: expected a .keras file at {path}, got {error.strerror}.") from error
    return from_bytes(content)


def from_bytes(content: bytes) -> Any:
    """Load a trained network from the content of a ``.keras`` file; raise a ContractError as `read` does."""
    tensorflow()
    import keras

    try:
        model_file.check(content, ((None, *INPUT_SHAPE), (None, CLASSES)))
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder, "model.keras")
            copy.write_bytes(content)
            return keras.saving.load_model(copy, compile=False, safe_mode=model_file.SAFE_MODE)
    except ContractError:
        raise
    except Exception as error:  # Keras raises errors of many types for a bad file
        got = excerpt(f"{type(error).__name__}: {error}", 500)
        raise ContractError(f"model: expected a .keras file that Keras loads safely, got {got}") from error
