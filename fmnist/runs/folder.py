"""The folder of a run or a study: the claim on it, and the checksums of what is in it."""

import contextlib
import fcntl
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from fmnist.steps.errors import ContractError
from fmnist.steps.files import sha256

__all__ = ["CHECKSUMS", "checksums", "claimed"]

CHECKSUMS = "SHA256SUMS"


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
