"""Numbers that a person gives: how they are spelt, whole ones in their bounds, and the largest seed."""

from typing import Any

from fmnist.steps.errors import SettingsError
from fmnist.steps.messages import shown

__all__ = ["LARGEST_SEED", "NUMBER", "WHOLE", "check_whole"]

#: Both layers of the network derive a seed of 32 bits from it.
LARGEST_SEED = 2**31 - 1

#: As JSON spells a whole number, and any number: other spellings, as 010 or 1_000, mean something else elsewhere.
WHOLE = "-?(0|[1-9][0-9]*)"
NUMBER = WHOLE + r"(\.[0-9]+)?([eE][+-]?[0-9]+)?"


def check_whole(name: str, value: Any, least: int, most: int | None = None) -> None:
    """Make sure that the parameter `name` has a whole number from `least` to `most`.

    Raises
    ------
    SettingsError
        If it has not: what, expected, got.
    """
    good = isinstance(value, int) and not isinstance(value, bool)
    if not good or value < least or (most is not None and value > most):
        limit = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise SettingsError(f"{name}: expected a whole number {limit}, got {shown(value)}.")
