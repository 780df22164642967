"""Tests of the parts that messages share."""

import io
import sys
from typing import Any
from unittest.mock import Mock

import pytest

from fmnist.steps import errors
from fmnist.steps.checks import LARGEST_SEED, check_kind, check_whole
from fmnist.steps.errors import ContractError, SettingsError
from fmnist.steps.messages import did_you_mean, excerpt, say, shown


@pytest.mark.parametrize(
    ("name", "known", "said"),
    [
        ("epoch", ["seed", "epochs"], " Did you mean 'epochs'?"),
        ("see", {"seed": 1, "epochs": 2, "sea": 3}, " Did you mean 'seed'?"),
        ("learning_rate", ["epochs", "seed"], ""),
        ("epochs", [], ""),
        ("it's", ["its"], " Did you mean 'its'?"),
        ("x" * 100, ["x" * 99], f" Did you mean '{'x' * 99}'?"),
        ("x" * 101, ["x" * 100], ""),
    ],
)
def test_the_nearest_name_is_suggested(name: str, known: Any, said: str) -> None:
    """One name, if one is near; of a text that is too long for a name nothing is looked for."""
    assert did_you_mean(name, known) == said


@pytest.mark.parametrize(
    ("text", "length", "expected"),
    [
        *(("abc", 3, "abc"), ("abcd", 3, "abc ..."), ("abc", 4, "abc"), ("abc", 0, " ..."), ("", 0, "")),
        *(("靴é\udcff", 3, "靴é\udcff"), ("靴é🚀b", 3, "靴é🚀 ..."), ("a  bc", 2, "a  ...")),
    ],
)
def test_a_long_text_is_cut(text: str, length: int, expected: str) -> None:
    """Dots follow where there was more."""
    assert excerpt(text, length) == expected


class Odd:
    """What cannot be written."""

    def __repr__(self) -> str:
        raise ZeroDivisionError


class Aside(Odd):
    """The same, with another article."""


class X(Odd):
    """The same, with the first article again."""


VALUES = {
    "short": (1.5, "1.5"),
    "long": ("x" * 198, f"'{'x' * 198}'"),
    "longer": ("x" * 199, f"'{'x' * 199} ..."),
    "other letters": ("靴 é", "'靴 é'"),
    "too many digits": (10**5000, "an int"),
    "too deep": (Odd(), "an Odd"),
    "another article": (Aside(), "an Aside"),
    "one letter": (X(), "a X"),
}


@pytest.mark.parametrize(("value", "expected"), VALUES.values(), ids=VALUES)
def test_any_value_can_be_shown(value: Any, expected: str) -> None:
    """At most 200 characters of it, or its type if it cannot be written."""
    assert shown(value) == expected


KINDS: list[tuple[Any, Any, str]] = [
    (None, str, "None"),
    (1, str, "an int"),
    ("x", int, "a str"),
    (1.0, (str, bytes), "a float"),
    ([], tuple, "a list"),
    (AttributeError(), str, "an AttributeError"),
]


@pytest.mark.parametrize(("value", "kind", "got"), KINDS)
def test_another_kind_is_told(value: Any, kind: Any, got: str) -> None:
    """What it is of, expected, and what was given instead."""
    with pytest.raises(ContractError) as caught:
        check_kind("labels", value, kind, "an array")
    assert str(caught.value) == f"labels: expected an array, got {got}."
    check_kind("labels", value, object, "anything")
    check_kind("labels", value, (bytearray, type(value)), "its type")


NOT_WHOLE: list[tuple[Any, int | None, str]] = [
    (1, None, "of at least 2, got 1."),
    (-(2**70), None, "of at least 2, got -1180591620717411303424."),
    (5, 4, "from 2 to 4, got 5."),
    (1, 4, "from 2 to 4, got 1."),
    (2.0, 4, "from 2 to 4, got 2.0."),
    ("3", 4, "from 2 to 4, got '3'."),
    (True, None, "of at least 2, got True."),
    (None, 0, "from 2 to 0, got None."),
    (3, 0, "from 2 to 0, got 3."),
]


@pytest.mark.parametrize(("value", "most", "said"), NOT_WHOLE)
def test_a_number_that_is_not_whole_or_too_small_or_large_is_told(value: Any, most: int | None, said: str) -> None:
    """The message has both bounds, or the one that there is."""
    with pytest.raises(SettingsError) as caught:
        check_whole("seeds", value, 2, most)
    assert str(caught.value) == f"seeds: expected a whole number {said}"


@pytest.mark.parametrize(("value", "least", "most"), [(2, 2, None), (2, 2, 4), (4, 2, 4), (0, 0, 0), (True + 1, 2, 2)])
def test_a_number_at_a_bound_is_taken(value: int, least: int, most: int | None) -> None:
    """Both bounds are among the numbers that are allowed; True is no number, but 2 is."""
    check_whole("seeds", value, least, most)


def test_the_largest_seed_is_one_of_31_bits() -> None:
    """It is a signed number of 32 bits for TensorFlow."""
    assert LARGEST_SEED == 2_147_483_647


def test_a_line_is_printed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """For who waits for it behind a pipe."""
    lines: list[str] = []
    stdout = io.StringIO()
    monkeypatch.setattr(stdout, "flush", lambda: lines.append(stdout.getvalue()))
    monkeypatch.setattr(sys, "stdout", stdout)
    say("a line")
    assert lines == ["a line\n"]


@pytest.mark.parametrize("error", [BrokenPipeError(), ValueError("I/O operation on closed file")])
def test_a_line_that_nobody_reads_is_no_error(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a notebook was closed."""
    write = Mock(side_effect=error)
    monkeypatch.setattr(sys, "stdout", Mock(write=write))
    say("a line")
    assert write.called


def test_each_error_is_one_of_pythons_too() -> None:
    """Who catches Python's own errors catches these."""
    kinds = [getattr(errors, name) for name in errors.__all__ if name != "FmnistError"]
    assert {kind.__name__: kind.__bases__ for kind in kinds} == {
        "ContractError": (errors.FmnistError, ValueError),
        "DataError": (errors.FmnistError, RuntimeError),
        "DeterminismError": (errors.FmnistError, RuntimeError),
        "SettingsError": (errors.FmnistError, ValueError),
        "StepError": (errors.FmnistError, RuntimeError),
        "TrainingError": (errors.FmnistError, ArithmeticError),
    }
