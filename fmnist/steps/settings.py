"""The parameters of the experiment, checked in one place before any work."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from fmnist.steps import optimizers
from fmnist.steps.checks import LARGEST_SEED, check_whole
from fmnist.steps.dataset import TRAINING_IMAGES
from fmnist.steps.errors import SettingsError
from fmnist.steps.messages import did_you_mean, shown

__all__ = ["Settings"]

#: A week of training here.
MOST_EPOCHS = 1_000_000


def _parameter(default: Any, description: str) -> Any:
    return field(default=default, metadata={"description": description})


@dataclass(frozen=True)
class Settings:
    """The parameters of one run; equal settings give equal bytes.

    Their defaults and descriptions stand here alone; `Settings.descriptions` passes them on. In Python
    `compile_optimizer` may also be a mapping or a Keras optimizer, whose config is kept as text.

    Raises
    ------
    SettingsError
        If a value is not valid: what, expected, got.
    """

    compile_optimizer: str = _parameter(
        "adam", 'Name of a Keras optimizer, or its JSON config {"class_name": ..., "config": {...}}.'
    )
    epochs: int = _parameter(10, "Passes over the training set, at least 1.")
    validation_split: float = _parameter(
        0.05, "Share of the training set, its last part, that is held out; between 0 and 1, exclusive."
    )
    seed: int = _parameter(0, f"Decides the initial weights and the order of each epoch; 0 to {LARGEST_SEED}.")

    def __post_init__(self) -> None:
        check_whole("epochs", self.epochs, 1)
        if self.epochs > MOST_EPOCHS:
            raise SettingsError(f"epochs: expected at most {MOST_EPOCHS}, got {shown(self.epochs)}.")
        check_whole("seed", self.seed, 0, LARGEST_SEED)
        _check_share("validation_split", self.validation_split)
        self.split_at(TRAINING_IMAGES)
        object.__setattr__(self, "compile_optimizer", optimizers.canonical(self.compile_optimizer))

    @classmethod
    def descriptions(cls) -> dict[str, str]:
        """Return what each parameter means, in a sentence, by its name."""
        return {one.name: one.metadata["description"] for one in fields(cls)}

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
        if not isinstance(values, Mapping):
            raise SettingsError(f"parameters: expected a mapping of names to values, got {shown(values)}.")
        known = cls.descriptions()
        for name in (one for one in values if one not in known):
            hint = did_you_mean(str(name), known)
            raise SettingsError(f"parameter: expected one of {', '.join(known)}, got {shown(name)}.{hint}")
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
    except (ValueError, RecursionError):
        return value


def _check_share(name: str, value: Any) -> None:
    good = isinstance(value, int | float) and not isinstance(value, bool)
    if not good or not 0 < value < 1:
        raise SettingsError(f"{name}: expected a number greater than 0 and less than 1, got {shown(value)}.")
