"""The record of a run or a study, all that a reader needs to judge it and to repeat it; and the claim on its folder."""

import contextlib
import fcntl
import importlib.metadata
import os
import platform
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from fmnist.kubeflow import bundle
from fmnist.steps import dataset, determinism
from fmnist.steps.errors import ContractError
from fmnist.steps.files import sha256

__all__ = ["CHECKSUMS", "checksums", "claimed", "machine", "provenance"]

CHECKSUMS = "SHA256SUMS"

#: Those that compute or write a result; h5py writes the weights, and pillow the pictures.
_PACKAGES = (
    "fmnist",
    "h5py",
    "keras",
    "kfp",
    "matplotlib",
    "numpy",
    "pillow",
    "scikit-learn",
    "scipy",
    "tensorflow",
)


def provenance(code: Sequence[str] = bundle.STEPS) -> dict[str, Any]:
    """Return what decides the bits, besides the parameters: versions, digests of code and data, and the switches.

    Parameters
    ----------
    code : sequence of str
        Which files of the package count: `bundle.STEPS`, or `bundle.REPLICATION` where results are judged too.
    """
    versions = {"python": platform.python_version()}
    for name in _PACKAGES:
        # In a step on a cluster this package is not installed: there the digest of its code tells what it is.
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return {
        "versions": versions,
        "code": {"sha256": bundle.digest(code)},
        "data": {file.name: file.sha256 for file in dataset.FILES},
        "switches": dict(determinism.SWITCHES),
    }


def machine() -> dict[str, Any]:
    """Return the system and the CPU, with what cannot be promised on it."""
    return {"system": platform.system(), "cpu": determinism.cpu(), "caveat": determinism.caveat()}


def checksums(folder: Path, names: Iterable[str]) -> bytes:
    """Return what ``sha256sum -c`` reads: a line for each file of `names`, and for each file below a folder."""
    roots = [folder / name for name in names]
    paths = [path for root in roots for path in ([root] if root.is_file() else root.rglob("*"))]
    found = sorted(path.relative_to(folder).as_posix() for path in paths)
    return "".join(f"{sha256((folder / name).read_bytes())}  {name}\n" for name in found).encode()


@contextlib.contextmanager
def claimed(folder: Path, what: str) -> Iterator[None]:
    """Make the folder of a run or a study, and keep other processes out of it meanwhile.

    Raises
    ------
    ContractError
        If `folder` is a file, or another process has claimed it; `what` is said in the message.
    """
    if folder.exists() and not folder.is_dir():
        raise ContractError(f"{what} folder: expected a folder, got a file: {folder}. Choose another with -o.")
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ContractError(
                f"{what} folder: expected one that no other process works in, got {folder}. Wait for it, end it, or "
                "choose another with -o."
            ) from error
        yield
    finally:
        os.close(handle)
