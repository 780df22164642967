"""Errors that a person can act on: each says what, expected, got, and what to do."""

__all__ = [
    "ContractError",
    "DataError",
    "DeterminismError",
    "FmnistError",
    "SettingsError",
    "StepError",
    "TrainingError",
]


class FmnistError(Exception):
    """Base of all errors that this package raises on purpose."""


class SettingsError(FmnistError, ValueError):
    """A parameter of the experiment is not valid."""


class ContractError(FmnistError, ValueError):
    """A file or a value breaks the contract of the code that takes it."""


class DataError(FmnistError, RuntimeError):
    """No source has the published dataset."""


class DeterminismError(FmnistError, RuntimeError):
    """The process cannot give bit-identical results."""


class TrainingError(FmnistError, ArithmeticError):
    """The training diverged."""


class StepError(FmnistError, RuntimeError):
    """A step of the pipeline failed."""
