"""Files that are the same bytes for the same content, and are never half-written."""

import contextlib
import errno
import fcntl
import glob
import hashlib
import json
import os
import re
import secrets
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Protocol, runtime_checkable

from fmnist.steps.checks import check_kind
from fmnist.steps.errors import ContractError

__all__ = [
    "ARTIFACT_FILES",
    "TEMPORARY",
    "Artifacts",
    "canonical_json",
    "default",
    "opened",
    "read",
    "save",
    "sha256",
    "sweep",
    "temporary_beside",
    "write",
    "write_artifacts",
]

#: Where each artifact of the pipeline goes in a folder of results: a file, or a folder of files.
ARTIFACT_FILES: Mapping[str, str] = {
    "model": "model.keras",
    "history": "history.json",
    "loss_plot": "loss_plot.png",
    "loss_page": "loss_plot.html",
    "results": "results.csv",
    "labels": "labels",
    "metrics": "metrics.json",
    "matrix": "confusion_matrix.csv",
    "matrix_plot": "confusion_matrix.png",
}

#: The content of an artifact: one file's bytes, or a folder's files by name.
Content = bytes | Mapping[str, bytes]


@runtime_checkable
class Artifacts(Protocol):
    """The result of a step: it gives its artifacts as bytes, by name."""

    def artifacts(self) -> Mapping[str, Content]:
        """Return the content of each artifact; the names are keys of `ARTIFACT_FILES`."""


def canonical_json(value: Any) -> bytes:
    r"""Return `value` as JSON with sorted keys, two spaces of indentation and a final newline.

    Raises
    ------
    ValueError
        If `value` holds NaN or an infinity, which JSON cannot express.

    Examples
    --------
    >>> canonical_json({"b": 1, "a": 0.5}).decode()
    '{\n  "a": 0.5,\n  "b": 1\n}\n'
    """
    return (json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def sha256(content: bytes) -> str:
    """Return the SHA-256 digest of `content` as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


@contextlib.contextmanager
def default(library: Any, name: str, value: Any) -> Iterator[None]:
    """Let a setting that a library has for the whole process be `value`, whatever it is, while a file is made."""
    before = getattr(library, name)
    setattr(library, name, value)
    try:
        yield
    finally:
        setattr(library, name, before)


#: The name of a file that `write` has not finished, with that of the file that it was to be; only a killed process
#: leaves one, which `sweep` removes.
TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{8}\.tmp")


def temporary_beside(path: Path) -> Path:
    """Return a new name beside `path` for what is to be there, as `TEMPORARY` knows it."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


def opened(path: str | Path) -> BinaryIO:
    """Return the regular file at `path`, open for reading; links are followed.

    Raises
    ------
    OSError
        If it cannot be opened, or is a folder, a pipe, a socket or a device: none of those is waited for.
    """
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK | os.O_NOCTTY))  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return file


def read(path: str | Path, most: int) -> bytes:
    """Return the content of the regular file at `path`, which has at most `most` bytes.

    Raises
    ------
    OSError
        If it cannot be read, is no regular file, or is larger.
    """
    with opened(path) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"it is larger than {most} bytes", str(path))
    return content


def write(path: str | Path, content: bytes) -> None:
    """Write `content` to `path` atomically: whoever reads, and whoever comes after a crash, finds the old or the new.

    Makes missing folders. The bytes go to a temporary file beside `path`, which then takes its name: the name, so that
    a link there is replaced and what it points to stays as it was. A power failure may undo a write whose folder has
    not reached the disk; all that reads these files works with the old ones as well, so none waits for that.

    Raises
    ------
    OSError
        If the folder cannot be written or the disk is full, with the name of a file; no temporary file is left.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path)
    handle, temporary = _temporary(path)
    try:
        # Open, and so locked, until it has its name.
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            _sync(file)
            temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and not error.filename:
            error.filename = str(path)
        raise


def _sync(file: BinaryIO) -> None:
    """Make sure that what is written is on the disk."""
    try:
        os.fsync(file.fileno())
    except OSError as error:
        if error.errno in {errno.EINVAL, errno.ENOTSUP}:
            error.strerror = (
                f"expected a file system with fsync, which keeps files in a crash, got: {error.strerror}. Choose a "
                "folder on another"
            )
        raise


def _temporary(path: Path) -> tuple[int, Path]:
    """Make a temporary file beside `path`, locked so that `sweep` leaves it; return its handle and its name."""
    while True:
        temporary = temporary_beside(path)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        fcntl.flock(handle, fcntl.LOCK_SH)
        if os.fstat(handle).st_nlink:
            return handle, temporary
        # Another process swept it before it was locked.
        os.close(handle)


def sweep(path: str | Path) -> None:
    """Remove the temporary files that killed processes left when they wrote `path`; those being written stay."""
    path = Path(path)
    for left in path.parent.glob(f".{glob.escape(path.name)}.{'[0-9a-f]' * 8}.tmp"):
        # Another process may hold it or have removed it, or the folder may be for reading only.
        with contextlib.suppress(OSError), opened(left) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.unlink()


def write_artifacts(result: Artifacts, **paths: str) -> None:
    """Write each artifact of `result` to the path given for its name.

    The path of metrics may be empty: servers after Kubeflow Pipelines 2.17 keep their values, and no file.

    Raises
    ------
    ContractError
        If `paths` names other artifacts than `result` has.
    """
    artifacts = result.artifacts()
    if paths.keys() != artifacts.keys():
        raise ContractError(f"paths: expected one for each of {sorted(artifacts)}, got {sorted(paths)}")
    for name, content in artifacts.items():
        if name == "metrics" and not paths[name]:
            continue
        files = {"": content} if isinstance(content, bytes) else content
        for file, data in files.items():
            write(Path(paths[name], file), data)


def save(folder: str | Path, *results: Artifacts) -> None:
    """Write all artifacts of `results` into `folder`, named as in `ARTIFACT_FILES`.

    Raises
    ------
    ContractError
        If `folder` is no path, or one of `results` is not what a step returns; nothing is written then.
    """
    check_kind("folder", folder, (str, os.PathLike), "a path, before the results")
    for result in results:
        check_kind("results", result, Artifacts, "what train(), test() or confusion_matrix() returns")
    for result in results:
        names = result.artifacts()
        write_artifacts(result, **{name: str(Path(folder, ARTIFACT_FILES[name])) for name in names})
