"""The bounds of a ``.keras`` file: what it may hold and how large it may become, seen before anything is built."""

import io
import json
import math
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fmnist.steps.errors import ContractError

__all__ = ["LARGEST", "SAFE_MODE", "check"]

#: Whether Keras refuses to run code that a file holds.
SAFE_MODE = True

#: The bytes that a file, its weights, and the network that is made of it may have; the tutorial's has 0.4 MB.
LARGEST = 2**26

#: The members of a file, and the bytes that each may have: text for a few hundred layers, and the weights.
MEMBERS = {"metadata.json": 2**16, "config.json": 2**18, "model.weights.h5": LARGEST}

#: The groups and arrays that the weights may be in.
_MOST_ITEMS = 10_000


def check(content: bytes, shapes: tuple[Any, Any]) -> None:
    """Refuse a ``.keras`` file that would take much memory or time, or gives another network than is wanted.

    Parameters
    ----------
    content : bytes
        The whole file. Keras and TensorFlow must be imported.
    shapes : tuple of 2 tuples
        The shapes of input and output, batches first.

    Raises
    ------
    ContractError
        If its members, its arrays or its layers are others, or too large.
    Exception
        Of many types, if it cannot be read.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        _check_members(archive)
        config, weights = (archive.read(name) for name in ("config.json", "model.weights.h5"))
    _check_weights(weights)
    # In a thread of its own Keras keeps what it counts and what it has not made away from the real network.
    with ThreadPoolExecutor(1) as apart:
        apart.submit(_check_layers, json.loads(config), shapes).result()


def _check_members(archive: zipfile.ZipFile) -> None:
    names = sorted(archive.namelist())
    if names != sorted(MEMBERS):
        raise ContractError(f"model: expected a .keras file of {', '.join(MEMBERS)}, got {len(names)} other members.")
    for name, most in MEMBERS.items():
        _check_size(name, archive.getinfo(name).file_size, most)


def _check_weights(weights: bytes) -> None:
    """Refuse arrays that are large or elsewhere; only their headers are read."""
    import h5py

    sizes: list[int] = []

    def see(name: str, item: Any) -> None:
        if len(sizes) >= _MOST_ITEMS:
            raise ContractError(f"model: expected at most {_MOST_ITEMS} groups and arrays of weights, got more.")
        is_array = isinstance(item, h5py.Dataset)
        if is_array and (item.external or item.is_virtual):
            raise ContractError(f"model: expected weights in the file itself, got {name!r} elsewhere.")
        sizes.append(int(item.nbytes) if is_array else 0)

    with h5py.File(io.BytesIO(weights), "r") as file:
        file.visititems(see)
    _check_size("weights", sum(sizes), LARGEST)


def _check_layers(config: Any, shapes: tuple[Any, Any]) -> None:
    """Refuse a network that is too large or of other shapes; its variables are named and counted, but not made."""
    import keras

    if not isinstance(config, dict):
        raise ContractError("model: expected a mapping as config.json, got other JSON.")
    with keras.StatelessScope(initialize_variables=False):
        network = keras.saving.deserialize_keras_object({**config, "compile_config": None}, safe_mode=SAFE_MODE)
    got = (getattr(network, "input_shape", None), getattr(network, "output_shape", None))
    if got != shapes:
        raise ContractError(f"model: expected input and output shapes {shapes}, got {got}.")
    _check_size("network", sum(4 * math.prod(variable.shape) for variable in network.variables), LARGEST)


def _check_size(what: str, got: int, most: int) -> None:
    if got > most:
        raise ContractError(f"model: {what}: expected at most {most} bytes, got {got}.")
