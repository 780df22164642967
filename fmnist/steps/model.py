"""The tutorial's network, and its file in a form that has the same bytes each time."""

import contextlib
import io
import json
import re
import tempfile
import warnings
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from fmnist.steps import files, model_bounds
from fmnist.steps.dataset import Split
from fmnist.steps.determinism import started, tensorflow
from fmnist.steps.errors import ContractError
from fmnist.steps.messages import excerpt, shown

__all__ = ["check_fits", "create", "from_bytes", "read", "scale", "to_bytes"]

INPUT_SHAPE = (28, 28)
HIDDEN_UNITS = 128
CLASSES = 10

#: The earliest time a zip archive can hold.
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)

#: What `zipfile` takes for the clock while Keras writes, as a machine may have a time that no archive can hold.
_CLOCK = SimpleNamespace(time=int, localtime=lambda _: _ZIP_EPOCH)


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
    """Return uint8 `images` as float32 in [0, 1]: bit for bit the tutorial's ``float32(images / 255.0)``.

    Images that are float32 stay as they are.
    """
    tf = started()
    if images.dtype == "float32":
        return images
    # In float32 XLA would multiply by the reciprocal, which gives other numbers for half of the grey values.
    return tf.cast(tf.cast(images, tf.float64) / 255.0, tf.float32)


def check_fits(network: Any, data: Split) -> None:
    """Refuse data whose images or classes are not those of `network`."""
    expected = ((None, *data.images.shape[1:]), (None, len(data.class_names)))
    got = (getattr(network, "input_shape", None), getattr(network, "output_shape", None))
    if got != expected:
        raise ContractError(f"network: expected the data's shapes of input and output, {expected}, got {shown(got)}.")


def to_bytes(model: Any) -> bytes:
    """Return `model` as the content of a ``.keras`` file, without the times that Keras puts in."""
    tensorflow()
    import h5py

    with (
        _folder() as folder,
        files.default(zipfile, "time", _CLOCK),
        files.default(h5py.get_config(), "track_order", value=False),
        _counted_anew(model),
    ):
        path = Path(folder, "model.keras")
        with warnings.catch_warnings():
            # Keras 3.15 converts tensors without NumPy 2's `copy`, which must not end a process that forbids warnings.
            warnings.simplefilter("ignore", DeprecationWarning)
            model.save(path)
        return _normalised(path.read_bytes())


@contextlib.contextmanager
def _folder() -> Iterator[str]:
    """Give a temporary folder for Keras, which takes names of bytes for none: `tempdir` may be a path or bytes."""
    with files.default(tempfile, "tempdir", tempfile.gettempdir()), tempfile.TemporaryDirectory() as folder:
        yield folder


@contextlib.contextmanager
def _counted_anew(model: Any) -> Iterator[None]:
    """Let layers have names that do not depend on what Keras made before: the first of ``conv2d_7``, ``conv2d_9`` is 0.

    Keras numbers the names that it gives. Whoever gives such names keeps their order.
    """
    from keras.src.utils.naming import to_snake_case

    layers = model._flatten_layers()  # noqa: SLF001 - the public `layers` has no nested ones
    parts = {id(part): part for layer in layers for part in (layer, *getattr(layer, "operations", ()))}.values()
    numbers: defaultdict[str, set[int]] = defaultdict(set)
    found = []
    for part in parts:
        kind = re.escape(to_snake_case(type(part).__name__))
        if match := re.fullmatch(rf"((?:forward_|backward_)?{kind})(?:_(\d+))?", part.name):
            base, number = match[1], int(match[2] or 0)
            numbers[base].add(number)
            found.append((part, part.name, base, number))
    try:
        for part, _, base, number in found:
            rank = sorted(numbers[base]).index(number)
            part.name = f"{base}_{rank}" if rank else base
        yield
    finally:
        for part, name, *_ in found:
            part.name = name


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


def read(path: str | Path, shape: tuple[int, ...] = INPUT_SHAPE, classes: int = CLASSES) -> Any:
    """Load a trained network from the ``.keras`` file at `path`, whatever its name ends in.

    Parameters
    ----------
    path : path
        The file.
    shape : tuple of int
        The shape of an image, as the network takes it.
    classes : int
        How many logits it gives.

    Raises
    ------
    ContractError
        If there is no such file, or it is not a network of this shape, or it holds code, or it is or would become
        larger than `model_bounds.LARGEST`; nothing of that size is allocated.
    """
    try:
        content = files.read(path, model_bounds.LARGEST)
    except OSError as error:
        raise ContractError(f"model: expected a .keras file at {path}, got {error.strerror}.") from error
    return from_bytes(content, shape, classes)


def from_bytes(content: bytes, shape: tuple[int, ...] = INPUT_SHAPE, classes: int = CLASSES) -> Any:
    """Load a trained network from the content of a ``.keras`` file as `read` does, with its errors."""
    tensorflow()
    import keras

    try:
        model_bounds.check(content, ((None, *shape), (None, classes)))
        with _folder() as folder:
            copy = Path(folder, "model.keras")
            copy.write_bytes(content)
            return keras.saving.load_model(copy, compile=False, safe_mode=model_bounds.SAFE_MODE)
    except ContractError:
        raise
    except Exception as error:  # Keras raises errors of many types for a bad file
        got = excerpt(f"{type(error).__name__}: {error}", 500)
        raise ContractError(f"model: expected a .keras file that Keras loads safely, got {got}") from error
