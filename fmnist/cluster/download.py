"""The files that a run on a cluster has left, from its store through the address of Kubeflow's UI."""

import gzip
import re
import tarfile
import time
import zlib
from pathlib import PurePosixPath
from typing import Any, NoReturn
from urllib.parse import urlsplit

from fmnist.cluster.artifacts import Found
from fmnist.cluster.client import Client, ClusterError
from fmnist.cluster.failures import ADDRESS
from fmnist.cluster.logs import Artifact, number
from fmnist.cluster.names import NAMESPACE
from fmnist.steps.files import ARTIFACT_FILES, canonical_json
from fmnist.steps.messages import shown

__all__ = ["files_of"]

#: All files of a run together have at most so many bytes, each folder so many files, and one takes so many seconds.
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

_NAME = re.compile(r"\w[\w.-]*", re.ASCII)
_PAGE = re.compile(rb"\s*<(!doctype html|html)", re.IGNORECASE)


def files_of(client: Client, run_id: str, found: Found, namespace: str | None) -> dict[str, bytes]:
    """Return the content of each artifact that was found, by its name in a folder of results.

    Those of fmnist's pipeline are called as `ARTIFACT_FILES` says, those of its study as in the study's folder, others
    by their step and their own name.

    Raises
    ------
    ClusterError
        If one cannot be had, or is not what it should be; the message says how to get them.
    """
    try:
        return _files(client, found, namespace)
    except ClusterError as error:
        # The remedy for an address of the API that has something missing is another than for one without files.
        got = str(error).partition(f" {ADDRESS}")[0].rstrip(".")
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
        raise ClusterError(
            client.without_secrets(
                f"files of run {run_id}: expected them through {client.host}, got: {got}.{there} "
                f"Through the address of Kubeflow's UI they can be had: {way}."
            )
        ) from None


def _files(client: Client, found: Found, namespace: str | None) -> dict[str, bytes]:
    if found.troubles or not found.artifacts:
        _refuse("where they are is not known: " + ("; ".join(found.troubles) or "the steps name none"))
    files: dict[str, bytes] = {}
    metrics: dict[str, dict[str, Any]] = {}
    whole = [(step, one) for step, one in found.artifacts if (step or _STUDY[0], one.name) == _STUDY]
    for step, artifact in whole or found.artifacts:
        if artifact.name == _LOG or _NO_FILE.fullmatch(artifact.kind):
            continue
        if not all(map(_NAME.fullmatch, [artifact.name, *(step.split("/") if step else ())])):
            _refuse(f"an artifact of the name {shown(artifact.name)} in {shown(step)}")
        # Where no step is known, the name has to do.
        ours = ARTIFACT_FILES.get(artifact.name) if not step or artifact.name in _OURS.get(step, ()) else None
        name = "" if whole else ours or str(PurePosixPath(step, artifact.name))
        if artifact.kind == "system.Metrics" and (artifact.absent or not artifact.uri):
            # Servers that have no file of metrics have them as numbers, and so have steps that only log them.
            numbers = metrics.setdefault(name, {})
            numbers |= {key: number(value) for key, value in artifact.metadata.items()}
            made = {"": canonical_json(numbers)}
        elif artifact.absent:
            continue
        else:
            folder = artifact.folder or bool(whole) or "." not in (ours or ".")
            made = _content(client, artifact, namespace, MOST - sum(map(len, files.values())), folder=folder)
            if name in files:
                _refuse(f"two artifacts of the name {artifact.name}")
        files |= {"/".join(filter(None, [name, path])): content for path, content in made.items()}
    return files


def _content(client: Client, artifact: Artifact, namespace: str | None, room: int, *, folder: bool) -> dict[str, bytes]:
    """Return the content of an artifact: that of a file without a name, or those of a folder's files by theirs."""
    address = urlsplit(artifact.uri)
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
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        _refuse(f"no whole .tar.gz of the folder {key.rpartition('/')[2]}: {error}")
    return files


def _below(member: tarfile.TarInfo, key: str) -> str:
    """Return the path of a file in an archive below the folder that was asked for, as the server may name it or not."""
    path = PurePosixPath(member.name)
    if not member.isreg() or path.is_absolute() or ".." in path.parts or not path.parts or "\0" in member.name:
        _refuse(f"{shown(member.name)} in an archive, which is no file inside")
    for folder in (PurePosixPath(key), PurePosixPath(PurePosixPath(key).name)):
        if path.is_relative_to(folder) and path != folder:
            return str(path.relative_to(folder))
    return str(path)


def _too_large() -> NoReturn:
    _refuse(f"more than {MOST // 2**20} MiB")


def _refuse(got: str) -> NoReturn:
    raise ClusterError(got)
