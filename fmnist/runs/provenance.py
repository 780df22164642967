"""What a reader needs to repeat a result, and how two differ: what decides its bits, the plan, and the machine."""

import contextlib
import importlib.metadata
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fmnist.kubeflow import bundle
from fmnist.steps import dataset, determinism
from fmnist.steps.errors import ContractError
from fmnist.steps.settings import Settings

__all__ = ["differences", "plan", "provenance", "require_same", "stopwatch"]

#: Those that compute or write a result; h5py writes the weights, and pillow the pictures.
_PACKAGES = ("fmnist", "h5py", "keras", "kfp", "matplotlib", "numpy", "pillow", "scikit-learn", "scipy", "tensorflow")


def provenance(code: Sequence[str] = bundle.STEPS) -> dict[str, Any]:
    """Return what decides the bits, besides the parameters: versions, digests of code and data, and the switches.

    Parameters
    ----------
    code : sequence of str
        Patterns of source files: `bundle.STEPS`, or `bundle.REPLICATION` for code that also judges results.
    """
    versions = {"python": platform.python_version()}
    for name in _PACKAGES:
        # In a step on a cluster this package is not installed; the digest of its code identifies it.
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return {
        "versions": dict(sorted(versions.items())),
        "code": {"sha256": bundle.digest(code)},
        "data": {file.name: file.sha256 for file in sorted(dataset.FILES, key=lambda file: file.name)},
        "switches": dict(determinism.SWITCHES),
    }


def plan(settings: Settings, seeds: range) -> dict[str, Any]:
    """Return the plan of a study: parameters without the seed, the seeds, and what decides bits and verdicts."""
    parameters = {name: value for name, value in asdict(settings).items() if name != "seed"}
    decisive = provenance(bundle.REPLICATION)
    return {"parameters": parameters, "seeds": {"first": seeds[0], "count": len(seeds)}, **decisive}


def stopwatch() -> Callable[[], dict[str, Any]]:
    """Start now; the function that is returned gives the start, the seconds since, and this machine with its caveat."""
    started, clock = datetime.now(UTC), time.monotonic()

    def stop() -> dict[str, Any]:
        return {
            "machine": {"system": platform.system(), "cpu": determinism.cpu(), "caveat": determinism.caveat()},
            "started": started.isoformat(timespec="seconds"),
            # A clock that is faked for this process may be let go meanwhile, and be earlier then.
            "seconds": max(round(time.monotonic() - clock, 1), 0.0),
        }

    return stop


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return what nested mappings have at each path where they differ, as in ``parameters.epochs``.

    Examples
    --------
    >>> differences({"code": {"sha256": "c0de"}, "a": 1}, {"code": {"sha256": "0dd"}, "a": 1})
    {'code.sha256': ('c0de', '0dd')}
    """
    one, other = _flat(before), _flat(now)
    both = {name: (one.get(name, "not there"), other.get(name, "not there")) for name in sorted({*one, *other})}
    return {name: pair for name, pair in both.items() if pair[0] != pair[1]}


def require_same(kind: str, folder: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Make sure that what was recorded `before` of the run or study in `folder` is what would be recorded `now`.

    Raises
    ------
    ContractError
        If it is not; the message lists the differences.
    """
    if changes := differences(before, now):
        raise ContractError(
            f"{kind} folder: expected the same {kind} as the one in {folder}, got another:\n"
            + "".join(f"  {name}: it was {one}, now it is {other}\n" for name, (one, other) in changes.items())
            + f"Nothing was changed. Choose another folder with -o, or ask for the {kind} as it was."
        )


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """Return the values of nested mappings by their path."""
    if not isinstance(value, Mapping):
        return {name: value}
    return {path: one for key, item in value.items() for path, one in _flat(item, f"{name}.{key}".lstrip(".")).items()}
