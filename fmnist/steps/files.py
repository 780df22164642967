"""Files that are the same bytes for the same content, and are never half-written."""

import contextlib
import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from fmnist.steps.errors import ContractError

__all__ = [
    "ARTIFACT_FILES",
    "TEMPORARY",
    "Artifacts",
    "canonical_json",
    "default",
    "save",
    "sha256",
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


#: The name of a file that `write` has not finished; only a killed process leaves one.
TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}")


def write(path: str | Path, content: bytes) -> None:
    """Write `content` to `path` atomically: a reader finds the old file or the new one, never a part.

    Makes missing folders. The bytes go to a temporary file beside `path`, which then takes its name.

    Raises
    ------
    OSError
        If the folder cannot be written or the disk is full; no temporary file is left.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_artifacts(result: Artifacts, **paths: str) -> None:
    """Write each artifact of `result` to the path given for its name.

    Raises
    ------
    ContractError
        If `paths` names other artifacts than `result` has.
    """
    artifacts = result.artifacts()
    if paths.keys() != artifacts.keys():
        raise ContractError(f"paths: expected one for each of {sorted(artifacts)}, got {sorted(paths)}")
    for name, content in artifacts.items():
        files = {"": content} if isinstance(content, bytes) else content
        for file, data in files.items():
            write(Path(paths[name], file), data)


def save(folder: str | Path, *results: Artifacts) -> None:
    """Write all artifacts of `results` into `folder`, named as in `ARTIFACT_FILES`."""
    for result in results:
        names = result.artifacts()
        write_artifacts(result, **{name: str(Path(folder, ARTIFACT_FILES[name])) for name in names})
