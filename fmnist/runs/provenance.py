"""The record that a reader needs to repeat a result: what decides its bits, and the machine that made it."""

import contextlib
import importlib.metadata
import platform
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from fmnist.kubeflow import bundle
from fmnist.steps import dataset, determinism

__all__ = ["provenance", "stopwatch"]

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


def stopwatch() -> Callable[[], dict[str, Any]]:
    """Start now; the function that is returned gives the start, the seconds since, and this machine with its caveat."""
    started, clock = datetime.now(UTC), time.monotonic()

    def stop() -> dict[str, Any]:
        return {
            "machine": {"system": platform.system(), "cpu": determinism.cpu(), "caveat": determinism.caveat()},
            "started": started.isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - clock, 1),
        }

    return stop
