"""The parameters of the experiment, checked in one place before any work."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from fmnist.steps import optimizers
from fmnist.steps.dataset import TRAINING_IMAGES
from fmnist.steps.errors import SettingsError
from fmnist.steps.messages import did_you_mean

__all__ = ["Settings"]

#: Each seed gives the two layers a seed of their own, and those have 32 bits.
LARGEST_SEED = 2**31 - 1


@dataclass(frozen=True)
class Settings:
    """The parameters of one run; equal settings give equal bytes.

    Parameters
    ----------
    compile_optimizer : str
        The name of a Keras optimizer or its JSON config; a mapping or an instance is taken too, and kept as text.
    epochs : int
        Passes over the training set, at least 1.
    validation_split : float
        The share of the training set, its last part, that is held out; 0 < `validation_split` < 1.
    seed : int
        Decides the initial weights and each epoch's order; 0 to 2**31 - 1.

    Raises
    ------
    SettingsError
        If a value is not valid: what, expected, got.
    """

    compile_optimizer: str = "adam"
    epochs: int = 10
    validation_split: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        _check_whole("epochs", self.epochs, 1, None)
        _check_whole("seed", self.seed, 0, LARGEST_SEED)
        _check_share("validation_split", self.validation_split)
        self.split_at(TRAINING_IMAGES)
        object.__setattr__(self, "compile_optimizer", optimizers.canonical(self.compile_optimizer))

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> "Settings":
        """Return the settings for `values` as people write them: numbers may be text.

        Raises
        ------
        SettingsError
            If a name is unknown (the nearest is suggested) or a value is not valid.

        Examples
        --------
        >>> Settings.parse({"epochs": "3"}).epochs
        3
        """
        names = [field.name for field in fields(cls)]
        for name in values:
            if name not in names:
                hint = did_you_mean(str(name), names)
                raise SettingsError(f"parameter: expected one of {', '.join(names)}, got {name!r}.{hint}")
        return cls(**{name: _number(name, value) for name, value in values.items()})

    def split_at(self, n: int) -> int:
        """Return how many of `n` images are trained on; the rest, at the end, is for validation.

        The cut is Keras' own: ``floor(n * (1 - validation_split))``.

        Raises
        ------
        SettingsError
            If one of the two parts would be empty.
        """
        at = math.floor(n * (1.0 - self.validation_split))
        if not 0 < at < n:
            raise SettingsError(
                f"validation_split: expected a share that leaves at least one of {n} images on each side, got "
                f"{self.validation_split!r}, which trains on {at} and validates on {n - at}."
            )
        return at


def _number(name: str, value: Any) -> Any:
    if name == "compile_optimizer" or not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _check_whole(name: str, value: Any, least: int, most: int | None) -> None:
    good = isinstance(value, int) and not isinstance(value, bool)
    if not good or value < least or (most is not None and value > most):
        limit = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise SettingsError(f"{name}: expected a whole number {limit}, got {value!r}.")


def _check_share(name: str, value: Any) -> None:
    good = isinstance(value, int | float) and not isinstance(value, bool)
    if not good or not 0 < value < 1:
        raise SettingsError(f"{name}: expected a number greater than 0 and less than 1, got {value!r}.")
