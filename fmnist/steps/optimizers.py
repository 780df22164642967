"""Optimizers: any of Keras' by name, JSON config or instance, all brought to one text."""

import inspect
import json
import math
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from fmnist.steps.determinism import tensorflow
from fmnist.steps.errors import SettingsError
from fmnist.steps.messages import did_you_mean, excerpt, shown

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

#: The characters of a config, and the lists and mappings in it: Keras takes minutes to refuse some that have more.
_LONGEST, _MOST_NESTED = 10_000, 50
_KEYS = ("class_name", "config", *_KERAS_KEYS)

#: The schedules of learning rates that Keras has.
SCHEDULES = (
    "CosineDecay",
    "CosineDecayRestarts",
    "ExponentialDecay",
    "InverseTimeDecay",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
)

#: Where Keras says that a class is its own.
_ORIGIN = re.compile(r"^keras(\.\w+)*[.>]")

#: Values that count something.
_WHOLE = ("ema_overwrite_frequency", "gradient_accumulation_steps", "ns_steps", "warmup_steps")

#: Beyond it a float32 is infinite.
_LARGEST = 3.4e38

#: Keys that have an effect only sometimes: when they have none, and when they have one.
_NEEDS: Mapping[str, tuple[str, Callable[[Mapping[str, Any]], bool]]] = {
    "ema_momentum": ("without use_ema", lambda config: config["use_ema"]),
    "ema_overwrite_frequency": (
        "without use_ema and unless it is greater than 0",
        lambda config: config["use_ema"] and config["ema_overwrite_frequency"] > 0,
    ),
    "gradient_accumulation_steps": (
        "unless it is greater than 1",
        lambda config: config["gradient_accumulation_steps"] > 1,
    ),
    "nesterov": ("without momentum", lambda config: config["momentum"] != 0),
    "clipnorm": ("unless it is greater than 0", lambda config: config["clipnorm"] > 0),
    "clipvalue": ("unless it is greater than 0", lambda config: config["clipvalue"] > 0),
    "global_clipnorm": ("unless it is greater than 0", lambda config: config["global_clipnorm"] > 0),
    "exclude_embeddings": ("on this network, which has none", lambda _: False),
}

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
    name, given = _known(spelt.get("class_name")), spelt.get("config")
    given = {} if given is None else given
    _check_keys("compile_optimizer", spelt, _KEYS)
    _check_origin(name, spelt)
    what = f"compile_optimizer: config of {name}"
    if not isinstance(given, Mapping):
        raise SettingsError(f"{what}: expected a mapping, got {shown(given)}.")
    default = _created(name)
    try:
        _check_numbers(name, given)
    except RecursionError as error:
        raise SettingsError(f"{what}: expected a few levels of lists and mappings, got too many.") from error
    _check_keys(what, given, default)
    normal = {key: _normal(key, value, default[key], what) for key, value in given.items() if key != "name"}
    changed = {key: value for key, value in normal.items() if value != _normal(key, default[key], default[key], what)}
    _check_effect(what, {**default, **changed}, changed)
    create(text := _text(name, changed) if changed else name)
    return text


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
        got = f"{excerpt(text, 300)}: {excerpt(str(error), 300)}"
        raise SettingsError(f"compile_optimizer: expected a config that Keras takes, got {got}") from error


def _text(name: str, config: Mapping[str, Any]) -> str:
    value = {"class_name": name, "config": config}
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"))
    except (TypeError, RecursionError) as error:
        raise SettingsError(f"compile_optimizer: config of {name}: expected what JSON has, got {error}.") from error


def _normal(key: str, value: Any, default: Any, what: str) -> Any:
    """Return a value of an optimizer's config as it is recorded, one for all spellings."""
    value = value.item() if isinstance(value, np.generic) else value
    if key == "learning_rate" and not isinstance(value, int | float):
        return _schedule(f"{what}: {key}", value) if isinstance(value, Mapping) else value
    if value is None is default:
        return None
    kind = next((kind for kind in (bool, list) if isinstance(default, kind)), None)
    if kind:
        if not isinstance(value, kind):
            expected = "true or false" if kind is bool else "a list"
            raise SettingsError(f"{what}: {key}: expected {expected}, got {shown(value)}.")
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not -_LARGEST < value < _LARGEST:
        raise SettingsError(f"{what}: {key}: expected a finite number, got {shown(value)}.")
    if key in _WHOLE:
        if value != int(value):
            raise SettingsError(f"{what}: {key}: expected a whole number, got {value!r}.")
        return int(value)
    # Keras keeps a rate of 0.01 as a float32, 0.009999999776482582: both are written in the shortest way.
    return float(np.format_float_positional(np.float32(value))) if key == "learning_rate" else float(value)


def _schedule(what: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schedule of learning rates with all its values: numbers are floats, as whole ones would round rates."""
    tensorflow()
    from keras.optimizers import schedules

    _check_keys(what, given, _KEYS)
    name, config = _ORIGIN.sub("", str(given.get("class_name"))), given.get("config", {})
    if name not in SCHEDULES or not isinstance(config, Mapping):
        hint = did_you_mean(name, SCHEDULES)
        raise SettingsError(f"{what}: expected a number or the config of a schedule, got {shown(given)}.{hint}")
    _check_origin(name, given)
    kind = getattr(schedules, name)
    _check_keys(f"{what}: config of {name}", config, inspect.signature(kind).parameters)
    values = {key: value if key == "name" else _floats(f"{what}: {key}", value) for key, value in config.items()}
    try:
        schedule = kind(**values)
        float(schedule(0))
        built = schedule.get_config()
    except Exception as error:  # as in `create`
        raise SettingsError(f"{what}: expected a config that Keras takes, got {shown(given)}: {error}") from error
    if built.get("warmup_steps") and built.get("warmup_target") is None:
        raise SettingsError(f"{what}: warmup_steps of {name} has no effect without warmup_target: give both or none.")
    if (steps := built.get("boundaries", [])) != sorted(set(steps)):
        raise SettingsError(f"{what}: boundaries of {name}: expected one greater than the one before, got {steps}.")
    kept = {key: _floats(key, value) for key, value in built.items() if key != "name" and value is not None}
    return {"class_name": name, "config": kept, "module": "keras.optimizers.schedules"}


def _floats(what: str, value: Any) -> Any:
    """Return a value of a schedule with floats for numbers."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, list | tuple):
        return [_floats(what, one) for one in value]
    if value is None or isinstance(value, bool):
        return value
    if not isinstance(value, int | float) or not -_LARGEST < value < _LARGEST:
        raise SettingsError(f"{what}: expected a finite number, got {shown(value)}.")
    return float(value)


def _check_effect(what: str, config: Mapping[str, Any], changed: Mapping[str, Any]) -> None:
    """Refuse a value that Keras takes and does not use."""
    for key, (needed, good) in _NEEDS.items():
        if key in changed and key in config and not good(config):
            raise SettingsError(f"{what}: {key} {changed[key]!r} has no effect {needed}. Change it, or leave it out.")


def _check_origin(name: str, spelt: Mapping[str, Any]) -> None:
    """Refuse a class of somebody else's that has the name of one of Keras'."""
    module, registered = spelt.get("module"), spelt.get("registered_name")
    if module is not None and not re.fullmatch(r"keras(\.\w+)*", str(module)):
        raise SettingsError(f"compile_optimizer: module: expected 'keras.optimizers', got {module!r}.")
    if registered is not None and _ORIGIN.sub("", str(registered)).lower() != name.lower():
        raise SettingsError(f"compile_optimizer: registered_name: expected {name!r}, got {registered!r}.")


def _created(text: str) -> dict[str, Any]:
    """Return the config of the optimizer that `create` makes, without its name, which Keras counts up."""
    return {**create(text).get_config(), "name": None}


def _check_keys(what: str, given: Mapping[str, Any], known: Collection[str]) -> None:
    """Refuse a key that has no effect: Keras would ignore some silently."""
    for key in (one for one in given if one not in known):
        hint = did_you_mean(str(key), known) or " Keys of the optimizer go into 'config'." * ("config" in known)
        raise SettingsError(f"{what}: expected one of {', '.join(known)}, got {shown(key)}.{hint}")


def _check_numbers(name: str, given: Any) -> None:
    """Refuse a number that JSON does not know or a float cannot hold, on any level, and a learning rate without one."""
    for key, value in given.items() if isinstance(given, Mapping) else enumerate(given):
        if isinstance(value, Mapping | list | tuple):
            _check_numbers(name, value)
        try:
            good = not isinstance(value, int | float) or math.isfinite(value)
        except OverflowError:
            good = False
        if not good:
            raise SettingsError(f"compile_optimizer: {key} of {name}: expected a finite number, got {shown(value)}.")


def _known(name: Any) -> str:
    known = _ORIGIN.sub("", str(name).lower())
    if known not in OPTIMIZERS:
        hint = did_you_mean(known, OPTIMIZERS) or f" The names are {', '.join(OPTIMIZERS)}."
        raise SettingsError(f"compile_optimizer: expected {_EXPECTED}, got {shown(name)}.{hint}")
    return known


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object as a dict, if it has each key once."""
    keys = [key for key, _ in pairs]
    if twice := [key for key in keys if keys.count(key) > 1]:
        raise SettingsError(f"compile_optimizer: expected each key once, got {shown(twice[0])} again.")
    return dict(pairs)


def _spelt(optimizer: Any) -> dict[str, Any]:
    """Return the config of an optimizer as it was given."""
    if isinstance(optimizer, str):
        if len(optimizer) > _LONGEST or optimizer.count("{") + optimizer.count("[") > _MOST_NESTED:
            raise SettingsError(
                f"compile_optimizer: expected at most {_LONGEST} characters, and {_MOST_NESTED} lists and mappings, "
                f"got more: {shown(optimizer)}."
            )
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

        try:
            optimizer = keras.optimizers.serialize(optimizer)
        except Exception as error:  # as in `create`
            raise SettingsError(f"compile_optimizer: expected one that Keras can write down, got: {error}") from error
    if not isinstance(optimizer, Mapping):
        raise SettingsError(f"compile_optimizer: expected {_EXPECTED}, got {shown(optimizer)}.")
    return dict(optimizer)
