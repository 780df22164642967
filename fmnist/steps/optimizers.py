"""Optimizers: any of Keras' by name, JSON config or instance, all brought to one text."""

import json
from collections.abc import Mapping
from typing import Any

from fmnist.steps.determinism import tensorflow
from fmnist.steps.errors import SettingsError
from fmnist.steps.messages import did_you_mean

__all__ = ["OPTIMIZERS", "canonical", "create"]

#: The optimizers that `keras.optimizers.get` knows by name and that train a model by themselves.
OPTIMIZERS = (
    "adadelta",
    "adafactor",
    "adagrad",
    "adam",
    "adamax",
    "adamw",
    "ftrl",
    "lion",
    "muon",
    "nadam",
    "rmsprop",
    "schedulefreeadamw",
    "sgd",
)

_EXPECTED = 'the name of a Keras optimizer or its JSON config {"class_name": ..., "config": {...}}'


def canonical(optimizer: Any) -> str:
    """Return the one text that stands for `optimizer`: a lower-case name, or, if it differs from that, a JSON config.

    Parameters
    ----------
    optimizer : str, Mapping or keras.optimizers.Optimizer
        A name as in `OPTIMIZERS` in any case, a config as `keras.optimizers.serialize` makes it (a mapping or
        its JSON), or an instance: its config counts, its state does not.

    Raises
    ------
    SettingsError
        If it is none of these; the message suggests the nearest name.

    Examples
    --------
    >>> canonical("Adam")
    'adam'
    """
    if isinstance(optimizer, str) and not optimizer.lstrip().startswith("{"):
        return _known(optimizer)
    config = _config(optimizer)
    name = _known(config.get("class_name"))
    text = json.dumps(config, sort_keys=True, separators=(",", ":"))
    return name if _built(text) == _built(name) else text


def create(text: str) -> Any:
    """Return a new Keras optimizer for a text made by `canonical`.

    Raises
    ------
    SettingsError
        If Keras refuses the config.
    """
    tensorflow()
    import keras

    if not text.startswith("{"):
        return keras.optimizers.get(text)
    try:
        return keras.optimizers.get(json.loads(text))
    except Exception as error:  # Keras raises errors of many types for a bad config
        raise SettingsError(f"compile_optimizer: expected a config that Keras takes, got {text}: {error}") from error


def _built(text: str) -> dict[str, Any]:
    """Return the config of the optimizer that `create` makes, but for its name, which Keras counts up."""
    return {**create(text).get_config(), "name": None}


def _known(name: Any) -> str:
    known = str(name).lower()
    if known not in OPTIMIZERS:
        hint = did_you_mean(known, OPTIMIZERS) or f" The names are {', '.join(OPTIMIZERS)}."
        raise SettingsError(f"compile_optimizer: expected {_EXPECTED}, got {name!r}.{hint}")
    return known


def _config(optimizer: Any) -> dict[str, Any]:
    if isinstance(optimizer, str):
        try:
            optimizer = json.loads(optimizer)
        except ValueError as error:
            raise SettingsError(f"compile_optimizer: expected {_EXPECTED}, got bad JSON: {error}") from error
    elif hasattr(optimizer, "get_config"):
        import keras

        optimizer = keras.optimizers.serialize(optimizer)
    if not isinstance(optimizer, Mapping):
        raise SettingsError(f"compile_optimizer: expected {_EXPECTED}, got {optimizer!r}.")
    return dict(optimizer)
