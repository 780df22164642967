"""Checks of what is given: the kind of an argument, whole numbers in their bounds, how numbers are spelt."""

from typing import Any

from fmnist.steps.errors import ContractError, SettingsError
from fmnist.steps.messages import kind_of, shown

__all__ = ["LARGEST_SEED", "NUMBER", "WHOLE", "check_kind", "check_whole"]

#: Both layers of the network derive a seed of 32 bits from it.
LARGEST_SEED = 2**31 - 1

#: As JSON spells a whole number, and any number: other spellings, as 010 or 1_000, mean something else elsewhere.
WHOLE = "-?(0|[1-9][0-9]*)"
NUMBER = WHOLE + r"(\.[0-9]+)?([eE][+-]?[0-9]+)?"


def check_kind(what: str, value: Any, kind: Any, expected: str) -> None:
    """Make sure that the argument `what` is of this kind, which a ContractError calls `expected`."""
    if not isinstance(value, kind):
        raise ContractError(f"{what}: expected {expected}, got {kind_of(value)}.")


def check_whole(name: str, value: Any, least: int, most: int | None = None) -> None:
    """Make sure that the parameter `name` has a whole number from `least` to `most`.

    Raises
    ------
    SettingsError
        If not; the message says what was expected and what was given.
    """
    good = isinstance(value, int) and not isinstance(value, bool)
    if not good or value < least or (most is not None and value > most):
        limit = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise SettingsError(f"{name}: expected a whole number {limit}, got {shown(value)}.")
