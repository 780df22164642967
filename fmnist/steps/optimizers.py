"""Optimizers: any of Keras' by name, JSON config or instance, all brought to one text."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

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

#: What Keras adds to a config, and what is the same for all optimizers of a name.
_KERAS_KEYS = ("module", "registered_name", "build_config", "shared_object_id")

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
    spelt = _spelt(optimizer)
    name, given = _known(spelt.get("class_name")), spelt.get("config") or {}
    _check_keys("compile_optimizer", spelt, ("class_name", "config", *_KERAS_KEYS))
    if not isinstance(given, Mapping):
        raise SettingsError(f"compile_optimizer: config of {name}: expected a mapping, got {given!r}.")
    default = _created(name)
    _check_keys(f"compile_optimizer: config of {name}", given, default)
    created = _created(_text(name, given))
    changed = {key: value for key, value in given.items() if created[key] != default[key]}
    if isinstance(rate := changed.get("learning_rate"), float | int):
        # Keras keeps 0.01 as a float32, 0.009999999776482582: both are written in the shortest way.
        changed["learning_rate"] = float(np.format_float_positional(np.float32(rate)))
    return _text(name, changed) if changed else name


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


def _text(name: str, config: Mapping[str, Any]) -> str:
    return json.dumps({"class_name": name, "config": config}, sort_keys=True, separators=(",", ":"))


def _created(text: str) -> dict[str, Any]:
    """Return the config of the optimizer that `create` makes, without its name, which Keras counts up."""
    return {**create(text).get_config(), "name": None}


def _check_keys(what: str, given: Mapping[str, Any], known: Iterable[str]) -> None:
    """Refuse a key that has no effect: Keras would ignore some silently."""
    for key in given.keys() - set(known):
        hint = did_you_mean(key, known) or " Keys of the optimizer go into 'config'." * ("config" in known)
        raise SettingsError(f"{what}: expected one of {', '.join(known)}, got {key!r}.{hint}")


def _known(name: Any) -> str:
    known = str(name).lower()
    if known not in OPTIMIZERS:
        hint = did_you_mean(known, OPTIMIZERS) or f" The names are {', '.join(OPTIMIZERS)}."
        raise SettingsError(f"compile_optimizer: expected {_EXPECTED}, got {name!r}.{hint}")
    return known


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object as a dict, if it has each key once."""
    keys = [key for key, _ in pairs]
    if twice := [key for key in keys if keys.count(key) > 1]:
        raise SettingsError(f"compile_optimizer: expected each key once, got {twice[0]!r} again.")
    return dict(pairs)


def _spelt(optimizer: Any) -> dict[str, Any]:
    """Return the config of an optimizer as it was given."""
    if isinstance(optimizer, str):
        try:
            optimizer = json.loads(optimizer, object_pairs_hook=_once)
        except SettingsError:
            raise
        except ValueError as error:
            raise SettingsError(f"compile_optimizer: expected {_EXPECTED}, got bad JSON: {error}") from error
    elif isinstance(optimizer, type):
        raise SettingsError(
            f"compile_optimizer: expected {_EXPECTED}, got the class {optimizer.__name__}. Create it, or give its name."
        )
    elif hasattr(optimizer, "get_config"):
        import keras

        optimizer = keras.optimizers.serialize(optimizer)
    if not isinstance(optimizer, Mapping):
        raise SettingsError(f"compile_optimizer: expected {_EXPECTED}, got {optimizer!r}.")
    try:
        return dict(json.loads(json.dumps(dict(optimizer))))
    except (TypeError, ValueError) as error:
        raise SettingsError(
            f"compile_optimizer: expected text and numbers of Python's own, as float(x) makes them: {error}"
        ) from error
