"""Tests of naming and building optimizers."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmnist.steps import optimizers
from fmnist.steps.determinism import tensorflow
from fmnist.steps.errors import SettingsError

#: Keras knows these by name too, but they wrap others or are abstract.
WRAPPERS = {"lossscaleoptimizer", "multioptimizer", "optimizer", "optimizermap"}


def test_the_names_are_those_that_keras_knows() -> None:
    """The list holds exactly the optimizers that Keras makes by name."""
    tensorflow()
    from keras.src.optimizers import ALL_OBJECTS

    assert set(optimizers.OPTIMIZERS) == {kind.__name__.lower() for kind in ALL_OBJECTS} - WRAPPERS


@pytest.mark.parametrize("name", optimizers.OPTIMIZERS)
def test_each_name_builds_its_optimizer(name: str) -> None:
    """A name builds the optimizer of that name."""
    assert type(optimizers.create(name)).__name__.lower() == name


@given(name=st.sampled_from(optimizers.OPTIMIZERS), upper=st.lists(st.booleans(), min_size=20, max_size=20))
def test_case_does_not_count(name: str, upper: list[bool]) -> None:
    """A name in any case is the same optimizer."""
    mixed = "".join(c.upper() if up else c for c, up in zip(name, upper, strict=False))
    assert optimizers.canonical(mixed) == name


@pytest.mark.parametrize(
    ("name", "near"), [("adm", "adam"), ("rms_prop", "rmsprop"), ("SDG", "sgd"), ("nadan", "nadam")]
)
def test_an_unknown_name_is_refused_with_the_nearest(name: str, near: str) -> None:
    """A misspelt optimizer is refused, and the nearest is suggested."""
    with pytest.raises(SettingsError, match=rf"got '{name}'\. Did you mean '{near}'\?"):
        optimizers.canonical(name)


def test_an_unknown_name_with_nothing_near_lists_all() -> None:
    """Where no name is near, all are listed."""
    with pytest.raises(SettingsError, match="The names are adadelta, .*, sgd"):
        optimizers.canonical("zzz")


CONFIG = {"class_name": "Adam", "config": {"learning_rate": 0.01}}


def test_a_config_and_its_json_are_one() -> None:
    """A mapping and its JSON, however it is laid out, come to the same text."""
    assert optimizers.canonical(CONFIG) == optimizers.canonical(json.dumps(CONFIG, indent=4))


@pytest.mark.parametrize("name", optimizers.OPTIMIZERS)
def test_a_config_that_changes_nothing_is_the_name(name: str) -> None:
    """The defaults in other words, as an instance or as JSON, are the text by which results are compared."""
    instance = optimizers.create(name)
    assert optimizers.canonical(instance) == name
    assert optimizers.canonical(json.dumps({"class_name": type(instance).__name__})) == name


def test_a_config_is_built_with_its_values() -> None:
    """The learning rate of a config is the built optimizer's."""
    optimizer = optimizers.create(optimizers.canonical(CONFIG))
    assert float(optimizer.learning_rate) == pytest.approx(0.01)


def test_an_instance_is_its_config() -> None:
    """An optimizer instance comes to a text that builds an equal one."""
    tensorflow()
    import keras

    original = keras.optimizers.SGD(learning_rate=0.25, momentum=0.5)
    made = optimizers.create(optimizers.canonical(original))
    assert {**made.get_config(), "name": None} == {**original.get_config(), "name": None}


@pytest.mark.parametrize(
    "spelling",
    [
        {"class_name": "SGD", "config": {"momentum": 0.5, "learning_rate": 0.25}},
        {"class_name": "sgd", "config": {"learning_rate": 0.25, "momentum": 0.5, "nesterov": False, "name": "mine"}},
        {"module": "keras.optimizers", "class_name": "SGD", "config": {"learning_rate": 0.25, "momentum": 5e-1}},
    ],
    ids=["another order", "defaults spelt out", "as Keras serializes"],
)
def test_two_spellings_are_one_parameter(spelling: dict[str, Any]) -> None:
    """The text has the name and what differs from its defaults, and nothing else."""
    assert optimizers.canonical(spelling) == '{"class_name":"sgd","config":{"learning_rate":0.25,"momentum":0.5}}'


def test_an_instance_is_spelt_as_its_config() -> None:
    """Keras keeps a learning rate of 0.01 as a float32; the text has the number that was given."""
    tensorflow()
    import keras

    assert optimizers.canonical(keras.optimizers.Adam(0.01)) == optimizers.canonical(CONFIG)


def test_a_class_is_refused() -> None:
    """It has no config: what to do is to create an optimizer of it."""
    tensorflow()
    import keras

    with pytest.raises(SettingsError, match="got the class Adam. Create it, or give its name."):
        optimizers.canonical(keras.optimizers.Adam)


def test_the_print_mode_of_numpy_does_not_matter() -> None:
    """A learning rate keeps all of its digits."""
    with np.printoptions(legacy="1.13", precision=2):
        assert '"learning_rate":0.012345679' in optimizers.canonical(
            {"class_name": "adam", "config": {"learning_rate": 0.0123456789}}
        )


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"class_name": "adam", "learning_rate": 0.1}, "got 'learning_rate'.* Keys of the optimizer go into 'config'"),
        ({"class_name": "SGD", "momentum": 0.9, "config": {"learning_rate": 0.1}}, "got 'momentum'"),
        ({"class_name": "sgd", "config": {"decay": 0.001}}, "config of sgd: expected one of .*, got 'decay'"),
        ({"class_name": "sgd", "config": {"learning_rates": 0.1}}, "Did you mean 'learning_rate'"),
        ({"class_name": "sgd", "config": [0.1]}, r"config of sgd: expected a mapping, got \[0.1\]"),
        ('{"class_name": "sgd", "class_name": "adam"}', "expected each key once, got 'class_name' again"),
        ({"class_name": "Adam", "config": {"lr": 1}}, "got 'lr'"),
        ({"class_name": "Adam", "config": {"learning_rate": "fast"}}, "expected a config that Keras takes"),
        ({"class_name": "Nothing", "config": {}}, "got 'Nothing'"),
        ({}, "got None"),
        ("{not json", "got bad JSON"),
        (7, "got 7"),
        ({"class_name": "adam", "config": {"learning_rate": np.float32(0.1)}}, "numbers of Python's own.*float32"),
        ({"class_name": "adam", "config": {"learning_rate": np.array([0.1])}}, "numbers of Python's own.*ndarray"),
        ({"class_name": "adam", "config": {"learning_rate": abs}}, "numbers of Python's own"),
        ({"class_name": "adam", "config": {1: 2}}, "config of adam: expected one of .*, got '1'"),
        (None, "got None"),
    ],
    ids=[
        "key beside config",
        "key beside a config",
        "key that Keras ignores",
        "misspelt key",
        "list",
        "key twice",
        "unknown key",
        "value",
        "unknown class",
        "empty",
        "bad json",
        "number",
        "number of numpy",
        "array",
        "function",
        "key that is a number",
        "none",
    ],
)
def test_bad_configs_are_refused(value: Any, message: str) -> None:
    """What is no optimizer's config is refused with what was got."""
    with pytest.raises(SettingsError, match=message):
        optimizers.canonical(value)
