"""Saves the files of a cluster's run in a folder here, and compares them with those of a run of this machine."""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from fmnist.runs.checksums import CHECKSUMS, listing
from fmnist.runs.folder import PIPELINE
from fmnist.runs.recorded import LARGEST
from fmnist.steps.errors import ContractError
from fmnist.steps.files import read, sha256, temporary_beside, write

__all__ = ["check_compared", "check_new", "differing", "keep"]


def check_new(folder: Path) -> None:
    """Make sure that `folder` is new or empty, before anybody waits for what goes there.

    Raises
    ------
    ContractError
        If it is not, or none can be made there.
    """
    if folder.is_dir() and not any(folder.iterdir()):
        # `keep` replaces what a link leads to.
        real = folder.resolve()
        if real.is_mount() or not _is_writable(real.parent):
            raise ContractError(
                f"folder: expected one that can be replaced, got {folder}: it is a mount point, or {real.parent} "
                "cannot be written. Choose a folder within it with -o."
            )
        return
    if folder.exists() or folder.is_symlink():
        raise ContractError(
            f"folder: expected a new or empty one, got {folder}. Nothing was changed. Choose another folder with -o."
        )
    above = next(one for one in folder.absolute().parents if os.path.lexists(one))
    if not (above.is_dir() and _is_writable(above)):
        raise ContractError(
            f"folder: expected a place where one can be made, got {folder}, below {above}, where none can. Choose "
            "another folder with -o."
        )


def _is_writable(folder: Path) -> bool:
    return os.access(folder, os.W_OK | os.X_OK)


def check_compared(folder: Path) -> None:
    """Make sure that `folder` holds a finished run, with its checksums, of which there is at least one.

    Raises
    ------
    ContractError
        If it does not.
    """
    if not _listed(_there(folder / CHECKSUMS) or b""):
        raise ContractError(
            f"--compare: expected the folder of a finished run, with {CHECKSUMS}, got {folder}. `fmnist run` makes one."
        )


def keep(files: Mapping[str, bytes], folder: Path, *, whole: bool = True) -> None:
    """Write `files` and their checksums into `folder`, which is there with all of them or not at all.

    Files that are not the `whole` run have no checksums, as no run that is not finished has.

    Raises
    ------
    ContractError
        If `folder` is neither new nor empty, or somebody fills it meanwhile.
    OSError
        If it cannot be written.
    """
    check_new(folder)
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = temporary_beside(folder)
    try:
        for name, content in files.items():
            write(work / name, content)
        if whole and CHECKSUMS not in files:
            write(work / CHECKSUMS, listing({name: sha256(content) for name, content in files.items()}))
        # An empty folder makes room by itself, another one does not.
        work.replace(folder)
    except OSError as error:
        if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
            raise ContractError(
                f"folder: expected {folder} to stay new or empty until the files have come, got another file there. "
                "Nothing was changed. Choose another folder with -o."
            ) from error
        if error.errno not in {errno.EBUSY, errno.EXDEV} or any(folder.iterdir()):
            raise
        _fill(folder, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _fill(folder: Path, work: Path) -> None:
    """Move what is in `work` into an empty folder that nothing can replace, as a mounted one; the checksums last."""
    names = sorted((path.name for path in work.iterdir()), key=lambda name: (name == CHECKSUMS, name))
    try:
        for name in names:
            shutil.move(work / name, folder / name)
    except BaseException:
        for name in names:
            shutil.rmtree(folder / name, ignore_errors=True)
            with contextlib.suppress(OSError):
                (folder / name).unlink()
        raise


def differing(files: Mapping[str, bytes], folder: Path) -> tuple[list[str], list[str]]:
    """Compare `files` with those of a run in `folder`.

    Returns
    -------
    compared : list of str
        The names of `files`, and of what must be the same each time in `folder`.
    different : list of str
        Those that are not there on both sides with the same content, which is that of the lists of checksums.
    """
    here, there = _listed(read(folder / CHECKSUMS, LARGEST)), _listed(files.get(CHECKSUMS, b""))
    # Of a study, as of a run here, only some files must be the same each time.
    fetched = there.keys() if CHECKSUMS in files else files.keys()
    # A run on a cluster writes no file of its pipeline.
    compared = sorted(fetched | here.keys() - {PIPELINE})
    return compared, [name for name in compared if not _same(name, files, folder, (here, there))]


def _same(name: str, files: Mapping[str, bytes], folder: Path, lists: Iterable[Mapping[str, str]]) -> bool:
    """Return whether a file is there on both sides, with the same content, and is the one in each list that has it."""
    if name not in files or _there(folder / name) != files[name]:
        return False
    digest = sha256(files[name])
    return all(listed.get(name, digest) == digest for listed in lists)


def _listed(checksums: bytes) -> dict[str, str]:
    """Return the checksums in a list, by name."""
    lines = checksums.decode("utf-8", "replace").splitlines()
    return {line[66:]: line[:64] for line in lines if line[66:]}


def _there(path: Path) -> bytes | None:
    try:
        return read(path, LARGEST)
    except OSError:
        return None
