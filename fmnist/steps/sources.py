"""The sources of the dataset: the cache, the Debian package or the web, each verified alike."""

import logging
import os
import subprocess
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fmnist.steps import web
from fmnist.steps.data_file import DataFile
from fmnist.steps.errors import DataError
from fmnist.steps.files import opened, sweep, write
from fmnist.steps.redaction import safe

if TYPE_CHECKING:
    import requests

__all__ = ["DEBIAN_FOLDER", "MIRRORS", "PACKAGE", "Progress", "find"]

#: The Debian package of the dataset, Ubuntu's too, and the folder of its compressed files.
PACKAGE = "dataset-fashion-mnist"
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")

#: Where the compressed files are downloaded from, in this order.
MIRRORS: tuple[str, ...] = (
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
)

#: Called during a download with the file's name, the bytes so far, and the bytes in total (0 while unknown).
Progress = Callable[[str, int, int], None]

#: Bytes that a compressed file may have more than its content.
OVERHEAD = 2**16

APT_TIMEOUT = 900.0  # seconds

_CHUNK = 2**16

# What apt-get keeps goes into a private folder, and the system's hooks, which may expect root, stay out.
_APT_CONFIG = """
Dir::State "{folder}";
Dir::Cache "{folder}";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""


# Gives the verified content of one file. A DataError refuses this file, an OSError the source as a whole.
_Read = Callable[[DataFile], bytes]


def find(
    files: Sequence[DataFile], cache: Path, *, offline: bool = False, on_progress: Progress | None = None
) -> dict[str, bytes]:
    """Return the verified content of each of `files` by name, from the first source that has it.

    Afterwards `cache` holds them all, decompressed. Any number of processes may do this at once.

    Parameters
    ----------
    files : sequence of DataFile
        With different names.
    cache : Path
        The first source; keeps the files that other sources give.
    offline : bool
        Whether to stay away from the network.
    on_progress : callable
        Called as a `Progress` during downloads.

    Raises
    ------
    DataError
        If no source has a file, with every source's reason, or if `cache` cannot be written.
    """
    for file in files:
        sweep(cache / file.name)
    search = _Search(cache, list(files))
    search.look(str(cache), _folder(cache), keep=False)
    for place, source in _sources(on_progress or (lambda *_: None), offline=offline).items():
        if search.missing:
            search.look(place, source)
    if search.missing:
        raise DataError(search.failure(offline=offline))
    return search.found


@dataclass
class _Search:
    """The files found so far, and why each source did not give the others."""

    cache: Path
    missing: list[DataFile]
    found: dict[str, bytes] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)

    def look(self, place: str, source: AbstractContextManager[_Read], *, keep: bool = True) -> None:
        """Take from `source` each missing file that it has."""
        try:
            with source as read:
                for file in tuple(self.missing):
                    self._take(file, place, read, keep=keep)
        except (OSError, subprocess.SubprocessError) as error:
            self.reasons.append(f"{place}: {error}")

    def _take(self, file: DataFile, place: str, read: _Read, *, keep: bool) -> None:
        try:
            content = read(file)
        except DataError as error:
            self.reasons.append(f"{place}: {file.name}: {error}")
            return
        if keep:
            _keep(self.cache, file, content)
        self.found[file.name] = content
        self.missing.remove(file)

    def failure(self, *, offline: bool) -> str:
        """Return a message: the missing files, why, and what to do."""
        names = ", ".join(file.name for file in self.missing)
        tried = "\n".join(f"  - {safe(reason)}" for reason in self.reasons)
        return (
            f"Fashion-MNIST: expected {names} from one of these sources, got from each:\n{tried}\n"
            + ("Offline, so no other machine was asked.\n" if offline else "")
            + f"Install the Debian package {PACKAGE}, or put the files, decompressed, into {self.cache} "
            "(or the folder that FMNIST_DATA_DIR names), or connect to a network and try again."
        )


def _keep(cache: Path, file: DataFile, content: bytes) -> None:
    """Write a file into the cache."""
    try:
        write(cache / file.name, content)
    except OSError as error:
        raise DataError(
            f"data folder {cache}: expected to write {file.name} ({file.size} bytes) there, got: {error}. "
            "Set FMNIST_DATA_DIR to a folder with write permission and enough space."
        ) from error


def _sources(report: Progress, *, offline: bool) -> dict[str, AbstractContextManager[_Read]]:
    """Return the sources besides the cache by name, in the order to try them; each opens when entered.

    A web folder with the compressed files that FMNIST_MIRROR names replaces every other machine.
    """
    sources: dict[str, AbstractContextManager[_Read]] = {str(DEBIAN_FOLDER): _folder(DEBIAN_FOLDER, ".gz")}
    if offline:
        return sources
    if own := os.environ.get("FMNIST_MIRROR"):
        return sources | {f"{own} (FMNIST_MIRROR)": _mirror(own, report)}
    return sources | {url: _mirror(url, report) for url in MIRRORS} | {"apt-get": _package(report)}


@contextmanager
def _folder(folder: Path, suffix: str = "") -> Iterator[_Read]:
    """Read from `folder`, where the files are compressed if `suffix` is ``.gz``."""
    if not folder.is_dir():
        raise FileNotFoundError("there is no such folder")

    def read(file: DataFile) -> bytes:
        try:
            with opened(folder / f"{file.name}{suffix}") as stream:
                chunks = iter(partial(stream.read, _CHUNK), b"")
                return file.verified(_inflate(chunks, file) if suffix else stream.read(file.size + 1))
        except OSError as error:
            raise DataError(error) from error

    yield read


def _inflate(chunks: Iterable[bytes], file: DataFile) -> bytes:
    """Decompress `chunks`, but at most one byte over the file's size: no bomb fills memory or lasts for ever."""
    inflater, content, taken = zlib.decompressobj(zlib.MAX_WBITS | 16), bytearray(), 0
    try:
        for chunk in chunks:
            taken += len(chunk)
            if taken > (most := file.size + OVERHEAD):
                raise DataError(f"expected at most {most} bytes compressed, got more")
            content += inflater.decompress(chunk, file.size + 1 - len(content))
            if inflater.eof or len(content) > file.size:
                break
    except zlib.error as error:
        raise DataError(f"expected a gzip file: {error}") from error
    return bytes(content)


@contextmanager
def _mirror(url: str, report: Progress) -> Iterator[_Read]:
    """Download from the web folder `url`."""
    from urllib3.exceptions import HTTPError

    # It logs the addresses that it asks again, with what is secret in them.
    logger = logging.getLogger("urllib3.connectionpool")
    logger.addFilter(_safe_record)
    with web.session() as session:
        try:
            yield partial(_download, session, url, report)
        except HTTPError as error:
            raise OSError(error) from error
        finally:
            logger.removeFilter(_safe_record)


def _safe_record(record: logging.LogRecord) -> bool:
    """Keep a record of a log without secrets."""
    record.msg, record.args = safe(record.getMessage()), ()
    return True


def _address(folder: str, file: str) -> str:
    """Return the URL of a file in a web folder, whose query, as a signature, stays at the end."""
    path, mark, query = folder.partition("#")[0].partition("?")
    return f"{path.rstrip('/')}/{file}{mark}{query}"


def _download(session: "requests.Session", url: str, report: Progress, file: DataFile) -> bytes:
    from requests.utils import get_netrc_auth

    response = web.answer(session, _address(url, f"{file.name}.gz"))
    if not response.ok:
        response.close()
        raise DataError(safe(f"{response.status_code} {response.reason}", get_netrc_auth(url) or ()))
    try:
        content = file.verified(_inflate(web.body(response, partial(report, file.name)), file))
    except DataError:
        response.close()
        raise
    # After any other error a thread may still read, for which closing would wait.
    response.close()
    report(file.name, response.raw.tell(), response.raw.tell())
    return content


@contextmanager
def _package(report: Progress) -> Iterator[_Read]:
    """Fetch the Debian package with apt-get and unpack it without installing it, which takes no privilege."""
    with tempfile.TemporaryDirectory(prefix="fmnist-") as name:
        folder = Path(name)
        report(PACKAGE, 0, 0)
        package = _apt_get(folder)
        _check(_run(folder, "dpkg-deb", "-x", str(package), name))
        report(PACKAGE, package.stat().st_size, package.stat().st_size)
        with _folder(folder / "usr/share/datasets/fashion-mnist", ".gz") as read:
            yield read


def _apt_get(folder: Path) -> Path:
    """Download the Debian package into `folder` from the repositories that the system trusts."""
    config = folder / "apt.conf"
    config.write_text(_APT_CONFIG.format(folder=folder))
    apt_get = ("apt-get", "-qq", "-c", str(config))
    # One broken repository fails the update, but another one may have the package.
    update = _run(folder, *apt_get, "update")
    _check(update, _run(folder, *apt_get, "download", PACKAGE))
    return next(folder.glob(f"{PACKAGE}_*.deb"))


def _run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=APT_TIMEOUT,
        check=False,
    )


def _check(*processes: subprocess.CompletedProcess[str]) -> None:
    """Raise what all `processes` said if the last one failed."""
    if processes[-1].returncode:
        raise OSError(" ".join("".join(process.stderr for process in processes).split()))
