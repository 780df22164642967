"""What a step gets: not more than Linux takes, and artifacts that it must leave as they were, as on a cluster."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fmnist.kubeflow.needs import LONGEST
from fmnist.steps.errors import StepError

__all__ = ["check_lengths", "check_unchanged", "state"]


def check_lengths(command: Iterable[str]) -> None:
    """Make sure that Linux takes each argument of a step's command: its program, and its inputs as JSON.

    Raises
    ------
    StepError
        If it does not.
    """
    if (longest := max(len(one.encode()) for one in command)) > LONGEST:
        raise StepError(
            f"expected a program and inputs of at most {LONGEST:,} bytes each, which Linux takes as one argument, here "
            f"and on a cluster, got {longest:,}. Hand on a large value as an artifact."
        )


def state(given: Mapping[str, Any]) -> dict[str, list[dict[str, tuple[int, int]]]]:
    """Return when each file of a task's arguments was changed, and its size; by the arguments' names."""
    return {name: [*map(_files, one if isinstance(one, list) else [one])] for name, one in given.items()}


def _files(given: Any) -> dict[str, tuple[int, int]]:
    if not (path := getattr(given, "path", None)):
        return {}
    found = {one: one.stat() for one in (Path(path), *Path(path).rglob("*")) if one.is_file()}
    return {str(one): (stat.st_mtime_ns, stat.st_size) for one, stat in found.items()}


def check_unchanged(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Make sure that a step left its inputs as they were, given their `state` before and after.

    Raises
    ------
    StepError
        If it did not.
    """
    if changed := [name for name in before if after[name] != before[name]]:
        raise StepError(
            f"expected its inputs as they were, got {changed[0]!r} changed in place. On a cluster each step has a copy "
            "of its own, and no other sees the change. Change a copy, or write to an output."
        )
