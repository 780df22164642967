"""The files that a run on a cluster has left, from its store through the address of Kubeflow's UI."""

import gzip
import re
import tarfile
import time
import unicodedata
import zlib
from collections.abc import Mapping
from pathlib import PurePosixPath
from time import sleep
from typing import Any, NoReturn
from urllib.parse import urlsplit

from fmnist.cluster.artifacts import Found
from fmnist.cluster.client import Client, ClusterError, TransientError
from fmnist.cluster.failures import ADDRESS, TIMED_OUT
from fmnist.cluster.logs import Artifact, number
from fmnist.cluster.names import NAMESPACE
from fmnist.steps.files import ARTIFACT_FILES, canonical_json
from fmnist.steps.messages import shown

__all__ = ["MissingError", "files_of"]

#: The most bytes of a run's files together, files in a folder, and seconds for one file.
MOST, MOST_FILES, LONGEST = 2**28, 20_000, 600.0

#: The artifacts of `ARTIFACT_FILES` by their steps in fmnist's pipeline: another pipeline's may have the same names.
_OURS = {
    "train": {"model", "history", "loss_plot", "loss_page"},
    "test": {"results", "labels", "metrics"},
    "confusion-matrix": {"matrix", "matrix_plot"},
}

#: The step and the artifact that is the whole folder of a study's results: the others are copies of what is in it.
_STUDY = "verdict", "study"

#: What is in no folder of results: Kubeflow's own log, and what its UI draws, which has no file.
_LOG, _NO_FILE = "executor-logs", re.compile(r"system\.(Sliced)?ClassificationMetrics?")

#: What the UI calls a store whose addresses begin in another way.
_SOURCES = {"gs": "gcs"}

#: The artifacts of `ARTIFACT_FILES` that are folders.
_FOLDERS = {name for name in ARTIFACT_FILES.values() if "." not in name}

#: Seconds between two tries for a file, and how many causes are told of those that are missing.
_PAUSES, _MOST_CAUSES = (1.0, 2.0, 4.0), 3

#: Characters that no line of a list of checksums can have, or no text in UTF-8.
_UNFIT = {"Cc", "Cs", "Zl", "Zp"}

_NAME = re.compile(r"\w[\w.-]*", re.ASCII)
_PAGE = re.compile(rb"\s*<(!doctype html|html)", re.IGNORECASE)


class MissingError(ClusterError):
    """Some of a run's files cannot be had; `files` are the others."""

    got = "some of the files"

    def __init__(self, message: str, files: dict[str, bytes]) -> None:
        super().__init__(message)
        self.files = files


def files_of(client: Client, run_id: str, found: Found, namespace: str | None) -> dict[str, bytes]:
    """Return the content of each artifact that was found, by its name in a folder of results.

    Those of fmnist's pipeline are called as `ARTIFACT_FILES` says, those of its study as in the study's folder, others
    by their step and their own name.

    Raises
    ------
    MissingError
        If some cannot be had, or are not what they should be; it has the others.
    ClusterError
        If none can be had; the message says how to get them.
    """
    try:
        files, missing = _files(client, found, namespace)
    except ClusterError as error:
        raise _without(client, run_id, found, namespace, error) from None
    if missing:
        causes = [*dict.fromkeys(map(_got, missing.values()))][:_MOST_CAUSES]
        said = f"files of run {run_id}: expected all through {client.host}, got no {', '.join(missing)}: "
        said += f"{'; '.join(causes)}."
        raise MissingError(client.without_secrets(said), files)
    return files


def _got(error: ClusterError) -> str:
    """Return why a file cannot be had: the address is that of the API, or the right one, and no other helps."""
    return str(error).partition(f" {ADDRESS}")[0].rstrip(".")


def _without(client: Client, run_id: str, found: Found, namespace: str | None, error: ClusterError) -> ClusterError:
    """Return the error for a run of which no file can be had, with the way to them."""
    uris = sorted(one.uri for _, one in found.artifacts if one.uri)
    there = f" In the store they begin with {uris[0].rpartition('/')[0]}." if uris else ""
    again = f"same program wait {run_id} --host"
    # With several users the UI wants a login, which only the address of the whole Kubeflow has.
    way = (
        f"`{again} https://kubeflow.example/pipeline --namespace {namespace} -o FOLDER`, with the address of yours"
        if namespace
        else f"`kubectl -n {NAMESPACE} port-forward svc/ml-pipeline-ui 8080:80`, and in another terminal "
        f"`{again} http://127.0.0.1:8080 -o FOLDER`"
    )
    return ClusterError(
        client.without_secrets(
            f"files of run {run_id}: expected them through {client.host}, got: {_got(error)}.{there} "
            f"Through the address of Kubeflow's UI they can be had: {way}."
        )
    )


def _files(client: Client, found: Found, namespace: str | None) -> tuple[dict[str, bytes], dict[str, ClusterError]]:
    """Return the files, and why each artifact is missing that cannot be had, of which at least one can."""
    if found.troubles or not found.artifacts:
        _refuse("where they are is not known: " + ("; ".join(found.troubles) or "the steps name none"))
    files: dict[str, bytes] = {}
    metrics: dict[str, dict[str, Any]] = {}
    missing: dict[str, ClusterError] = {}
    whole = [(step, one) for step, one in found.artifacts if (step or _STUDY[0], one.name) == _STUDY]
    asked, names = 0, set[str]()
    for step, artifact in whole or found.artifacts:
        if artifact.name == _LOG or _NO_FILE.fullmatch(artifact.kind):
            continue
        name = "" if whole else _name(step, artifact)
        if artifact.kind == "system.Metrics" and (artifact.absent or not artifact.uri):
            # Servers that have no file of metrics have them as numbers, and so have steps that only log them.
            numbers = metrics.setdefault(name, {})
            numbers |= {key: number(value) for key, value in artifact.metadata.items()}
            files[name] = canonical_json(numbers)
        elif not artifact.absent:
            # Of a folder only what is in it is a file.
            if name in files or name in names:
                _refuse(f"two artifacts of the name {artifact.name}")
            asked += 1
            names.add(name)
            room, folder = MOST - sum(map(len, files.values())), artifact.folder or bool(whole) or name in _FOLDERS
            try:
                made = _had(client, artifact, namespace, room, [*missing.values()], folder=folder)
                files |= _apart(files, {"/".join(filter(None, [name, path])): made[path] for path in made})
            except ClusterError as error:
                missing[f"{step}/{artifact.name}".lstrip("/")] = error
    if asked and len(missing) == asked:
        raise next(iter(missing.values()))
    return files, missing


def _name(step: str, artifact: Artifact) -> str:
    """Return the name of an artifact in a folder of results."""
    if not all(map(_NAME.fullmatch, [artifact.name, *(step.split("/") if step else ())])):
        _refuse(f"an artifact of the name {shown(artifact.name)} in {shown(step)}")
    # Where no step is known, the name has to do.
    ours = ARTIFACT_FILES.get(artifact.name) if not step or artifact.name in _OURS.get(step, ()) else None
    return ours or str(PurePosixPath(step, artifact.name))


def _had(  # noqa: PLR0913 - as `_content`
    client: Client, artifact: Artifact, namespace: str | None, room: int, failed: list[ClusterError], *, folder: bool
) -> dict[str, bytes]:
    """Return the content of an artifact; a failure that may pass is waited for, but after the first that stayed."""
    away = sorted((one for one in failed if isinstance(one, TransientError)), key=lambda one: one.got != TIMED_OUT)
    if away and away[0].got == TIMED_OUT:
        # Who waits for one in vain waits in vain for each.
        raise away[0]
    for pause in () if away else _PAUSES:
        try:
            return _content(client, artifact, namespace, room, folder=folder)
        except TransientError as error:
            if error.got == TIMED_OUT:
                raise
            sleep(error.pause or pause)
    return _content(client, artifact, namespace, room, folder=folder)


def _apart(files: Mapping[str, bytes], made: dict[str, bytes]) -> dict[str, bytes]:
    """Return `made`, in which, beside `files`, no file has the name of a folder."""
    names = files.keys() | made.keys()
    folders = {str(folder) for name in names for folder in PurePosixPath(name).parents}
    if both := sorted(names & folders):
        _refuse(f"a file and a folder of the name {shown(both[0])}")
    return made


def _content(client: Client, artifact: Artifact, namespace: str | None, room: int, *, folder: bool) -> dict[str, bytes]:
    """Return the content of an artifact: that of a file without a name, or those of a folder's files by theirs."""
    try:
        address = urlsplit(artifact.uri)
    except ValueError:
        _refuse(f"{shown(artifact.uri)}, which is no address of a file")
    source, key = _SOURCES.get(address.scheme, address.scheme), address.path.lstrip("/")
    where = {"source": source, "namespace": namespace or NAMESPACE, "bucket": address.netloc}

    def take(response: Any) -> dict[str, bytes]:
        body = _Body(response)
        if folder:
            return _unpacked(body, key, room)
        content, kind = _whole(body, room), str(response.headers.get("Content-Type")).lower()
        # A login has this type, and what a step has made has none, but a page from Google's store.
        page = source == "gcs" and artifact.kind == "system.HTML"
        if not page and kind.startswith("text/html") and _PAGE.match(content):
            _refuse(f"a page in the place of {artifact.name}, perhaps of a login")
        return {"": content}

    return client.fetch(f"read the artifact {artifact.name}", "/artifacts/get", take, **where, key=key)


class _Body:
    """The body of a response, which must come in time."""

    def __init__(self, response: Any) -> None:
        self._response, self._deadline = response, time.monotonic() + LONGEST

    def read(self, size: int) -> bytes:
        if time.monotonic() > self._deadline:
            _refuse(f"no whole file within {LONGEST:g} s")
        return bytes(self._response.read1(size))


class _Bounded:
    """What a compressed body holds, which must have at most so many bytes: a bomb is larger by orders of magnitude."""

    def __init__(self, body: _Body, room: int) -> None:
        # It reads as little as is asked for.
        self._file, self._room = gzip.GzipFile(fileobj=body, mode="rb"), room  # type: ignore[call-overload]

    def read(self, size: int) -> bytes:
        content: bytes = self._file.read(min(size, self._room + 1))
        self._room -= len(content)
        if self._room < 0:
            _too_large()
        return content


def _whole(body: Any, room: int) -> bytes:
    content = bytearray()
    while chunk := body.read(2**16):
        content += chunk
        if len(content) > room:
            _too_large()
    return bytes(content)


def _unpacked(body: _Body, key: str, room: int) -> dict[str, bytes]:
    """Return the regular files in a compressed archive of the folder `key`, by their paths below it."""
    files: dict[str, bytes] = {}
    bounded = _Bounded(body, room)
    try:
        with tarfile.open(fileobj=bounded, mode="r|") as archive:  # type: ignore[call-overload]
            for member in archive:
                if member.isdir():
                    continue
                name = _below(member, key)
                if name in files or len(files) >= MOST_FILES:
                    _refuse(f"an archive with {shown(name)} twice, or with more than {MOST_FILES} files")
                content = archive.extractfile(member)
                files[name] = content.read() if content else b""
        # That all has come is seen at the end.
        while bounded.read(2**16):
            pass
    # A ValueError: a number in it is none.
    except (tarfile.TarError, ValueError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        _refuse(f"no whole .tar.gz of the folder {key.rpartition('/')[2]}: {error}")
    return files


def _below(member: tarfile.TarInfo, key: str) -> str:
    """Return the path of a file in an archive below the folder that was asked for, as the server may name it or not."""
    path = PurePosixPath(member.name)
    unfit = any(unicodedata.category(character) in _UNFIT for character in member.name)
    if not member.isreg() or path.is_absolute() or ".." in path.parts or not path.parts or unfit:
        _refuse(f"{shown(member.name)} in an archive, which is no file inside")
    for folder in (PurePosixPath(key), PurePosixPath(PurePosixPath(key).name)):
        if path.is_relative_to(folder) and path != folder:
            return str(path.relative_to(folder))
    return str(path)


def _too_large() -> NoReturn:
    _refuse(f"more than {MOST // 2**20} MiB")


def _refuse(got: str) -> NoReturn:
    raise ClusterError(got)
