"""Tests of the parameters of the experiment."""

import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fmnist.steps.determinism import tensorflow
from fmnist.steps.errors import SettingsError
from fmnist.steps.settings import Settings


def test_the_defaults_are_the_pipelines() -> None:
    """Without arguments the parameters are those of the mission."""
    assert Settings() == Settings("adam", 10, 0.05, 0)


@pytest.mark.parametrize(
    "value",
    [0, -1, 2.5, "ten", math.nan, math.inf, True, None, "", "1e1", "\u00a03", b"3", np.int64(3), np.array(3)],
    ids=lambda value: repr(value) or "empty",
)
def test_bad_epochs_are_refused(value: Any) -> None:
    """Epochs that are not a whole number of at least 1 are refused with what was got."""
    # Text that is a number is read as one.
    said = f"epochs: expected a whole number of at least 1, got {10.0 if value == '1e1' else value!r}."
    with pytest.raises(SettingsError, match=f"^{re.escape(said)}$"):
        Settings.parse({"epochs": value})


@pytest.mark.parametrize(
    "value", [0, 1, -0.1, 1.5, math.nan, math.inf, "half", True, None, b"0.5", np.float32(0.5)], ids=repr
)
def test_bad_validation_splits_are_refused(value: Any) -> None:
    """A validation split that is not strictly between 0 and 1 is refused with what was got."""
    said = f"validation_split: expected a number greater than 0 and less than 1, got {value!r}."
    with pytest.raises(SettingsError, match=f"^{re.escape(said)}$"):
        Settings.parse({"validation_split": value})


@pytest.mark.parametrize(
    "text",
    ["1_0", "010", "+3", "0x3", "３", "3.", ".5", "0,5", "0_1.5", "1 0", "'3'", '"3"', "[3]", "true", "None", "1L"],
)
@pytest.mark.parametrize("name", ["epochs", "validation_split", "seed"])
def test_numbers_are_spelt_as_in_json(name: str, text: str) -> None:
    """What Python, YAML, another script or another country takes for a number is none."""
    with pytest.raises(SettingsError, match=f"^{name}: expected a (whole )?number .*, got "):
        Settings.parse({name: text})


@pytest.mark.parametrize("value", [1e-300, 1 - 1e-16, 0.999999], ids=repr)
def test_a_split_with_an_empty_part_is_refused(value: float) -> None:
    """A share so small or large that one side has no image is refused."""
    with pytest.raises(SettingsError, match=r"^validation_split: expected a share that leaves at least one of 60000"):
        Settings(validation_split=value)


@pytest.mark.parametrize("value", [-1, 2**31, 0.5, "x", math.nan, True, None, b"1", np.int64(1)], ids=repr)
def test_bad_seeds_are_refused(value: Any) -> None:
    """A seed that is not a whole number from 0 to 2**31 - 1 is refused with what was got."""
    with pytest.raises(SettingsError, match=r"^seed: expected a whole number from 0 to 2147483647, got "):
        Settings.parse({"seed": value})


@pytest.mark.parametrize(("name", "near"), [("epoch", "epochs"), ("optimizer", "compile_optimizer"), ("Seed", "seed")])
def test_an_unknown_parameter_is_refused_with_the_nearest(name: str, near: str) -> None:
    """A misspelt parameter is refused, and the nearest name is suggested."""
    with pytest.raises(SettingsError, match=f"got {name!r}. Did you mean {near!r}?"):
        Settings.parse({"epochs": 1, name: 1, "seed": 1})


@pytest.mark.parametrize("name", ["zzz", 7, None], ids=repr)
def test_an_unknown_parameter_near_to_none_lists_all(name: Any) -> None:
    """Where no name is near, or it is no text, none is suggested; all are listed in any case."""
    listed = "compile_optimizer, epochs, validation_split, seed"
    with pytest.raises(SettingsError, match=f"^parameter: expected one of {listed}, got {name!r}[.]$"):
        Settings.parse({name: 1})


def test_of_many_unknown_parameters_the_first_is_named() -> None:
    """Not another one each time."""
    with pytest.raises(SettingsError, match=r"got 'x29'\."):
        Settings.parse({f"x{i}": 1 for i in reversed(range(30))})


def test_the_name_of_an_optimizer_is_not_read_as_a_number() -> None:
    """An optimizer is text, also where the text could be JSON."""
    with pytest.raises(SettingsError, match="got '7'"):
        Settings.parse({"compile_optimizer": "7"})
    with pytest.raises(SettingsError, match="each key once"):
        Settings.parse({"compile_optimizer": '{"class_name": "sgd", "class_name": "adam"}'})


@pytest.mark.parametrize("value", ["", None, 0, False, [], {}], ids=repr)
def test_an_empty_optimizer_is_refused(value: Any) -> None:
    """It is not the default one, as an unset variable would have it."""
    with pytest.raises(SettingsError, match=r"^compile_optimizer: expected the name of a Keras optimizer or its JSON "):
        Settings.parse({"compile_optimizer": value})


@pytest.mark.parametrize("seed", [0, 1, 2**31 - 1])
def test_the_smallest_and_the_largest_values_are_taken(seed: int) -> None:
    """The limits belong to what is allowed."""
    assert vars(Settings(epochs=1, seed=seed)).items() >= {"epochs": 1, "seed": seed}.items()


@given(epochs=st.integers(1, 1_000_000), seed=st.integers(0, 2**31 - 1))
def test_numbers_may_be_text(epochs: int, seed: int) -> None:
    """A number written as text is the number."""
    assert Settings.parse({"epochs": str(epochs), "seed": str(seed)}) == Settings(epochs=epochs, seed=seed)


@pytest.mark.parametrize(("split", "n", "trained_on"), [(0.05, 60_000, 57_000), (0.5, 3, 1), (0.5, 2, 1), (0.3, 4, 2)])
def test_the_training_part_is_rounded_down(split: float, n: int, trained_on: int) -> None:
    """What cannot be divided evenly goes to validation."""
    assert Settings(validation_split=split).split_at(n) == trained_on


def test_the_case_of_an_optimizers_name_does_not_count() -> None:
    """Two spellings of a name are equal settings."""
    assert Settings("Adam") == Settings("adam")


def test_an_empty_part_is_named() -> None:
    """The error says how many images each part would have."""
    with pytest.raises(SettingsError, match="got 1e-300, which trains on 60000 and validates on 0"):
        Settings(validation_split=1e-300)
    with pytest.raises(SettingsError, match="of 1 images on each side, got 0.05, which trains on 0 and validates on 1"):
        Settings().split_at(1)


@given(n=st.integers(2, 100_000), split=st.floats(0.01, 0.99))
def test_the_split_is_keras_own(n: int, split: float) -> None:
    """The training part has as many images as Keras' own splitting leaves."""
    tensorflow()
    from keras.src.trainers.data_adapters.array_slicing import train_validation_split

    settings = Settings(validation_split=split)
    assume(0 < math.floor(n * (1 - split)) < n)
    (train,), (validation,) = train_validation_split((np.arange(n),), validation_split=split)
    assert settings.split_at(n) == len(train)
    assert n - settings.split_at(n) == len(validation)


def test_settings_cannot_be_changed() -> None:
    """Settings are frozen: what was checked stays checked."""
    with pytest.raises(AttributeError, match="cannot assign"):
        Settings().epochs = 0  # type: ignore[misc]


@pytest.mark.parametrize("name", ["epochs", "validation_split", "seed"])
@pytest.mark.parametrize(
    "value",
    ["[" * 100_000, "9" * 400, "9" * 5_000, 10**5_000, "-" + "9" * 400, "1e999", "x" * 10**7, "\udc80", "a\0b"],
    ids=["brackets", "400 digits", "5,000 digits", "an int", "negative", "infinite", "10 MB", "surrogate", "NUL"],
)
def test_a_monstrous_value_is_refused_briefly(name: str, value: Any) -> None:
    """Numbers that no computer holds, and texts without end, are refused like others, in a message of a line."""
    with pytest.raises(SettingsError, match=f"^{name}: expected ") as caught:
        Settings.parse({name: value})
    assert len(str(caught.value)) < 400


def test_more_epochs_than_a_week_of_training_are_refused() -> None:
    """A number with a digit too many does not start a training that nobody waits for."""
    assert Settings(epochs=1_000_000).epochs == 1_000_000
    with pytest.raises(SettingsError, match="^epochs: expected at most 1000000, got 1000001.$"):
        Settings(epochs=1_000_001)


def test_a_monstrous_name_is_refused_briefly() -> None:
    """A name of megabytes is not compared with the known ones, nor repeated whole."""
    with pytest.raises(SettingsError, match=r"^parameter: expected one of .*, got 'x{199} \.\.\.\.$"):
        Settings.parse({"x" * 10**7: "1"})


def test_parameters_are_a_mapping() -> None:
    """A list of parameters is none of names to values; the error shows it."""
    values: Any = ["epochs", 3]
    with pytest.raises(SettingsError) as caught:
        Settings.parse(values)
    assert str(caught.value) == "parameters: expected a mapping of names to values, got ['epochs', 3]."
