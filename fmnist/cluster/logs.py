"""The logs of a run's steps, and what can be believed of them: the step's own inputs, outputs and error.

A log is what a container printed, between the lines of kfp's executor and launcher. Whatever the step printed can look
like one of those, so that of each only one place counts: the inputs come before the step has begun, its outputs after
it has ended.
"""

import json
import math
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from fmnist.cluster.client import Client, ClusterError
from fmnist.cluster.failures import TIMED_OUT
from fmnist.cluster.names import NAMESPACE
from fmnist.cluster.steps import Step
from fmnist.kubeflow.local import LAST_LINES
from fmnist.steps.messages import excerpt

__all__ = ["Artifact", "Log", "LogError", "Logs"]

#: A log may be of any length: the bytes kept of its start and of its end, the most that are read, and the most seconds.
KEPT, MOST, LONGEST = 2**19, 2**28, 60.0

#: How many characters of an error are shown.
_LONGEST_ERROR = 2_000

#: An exit code above says which signal it was.
_SIGNALS = 128

_CUT = b"\n(cut)\n"
_GO = r"[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+"
_LAUNCHED = re.compile(rf"^{_GO} (?:launcher_v2|main)\.go:\d+\] ", re.MULTILINE)
_BEGUN = re.compile(rf"(?:time=.* argo=true\n)?{_GO} (?:launcher_v2|main)\.go:\d+\] ")
_INPUT = re.compile(r"^\[KFP Executor [^]\n]*\]: Got executor_input:\n(?=\{)", re.MULTILINE)
_DRIVEN = re.compile(rf"^{_GO} \w+\.go:\d+\] output ExecutorInput:(?=\{{)", re.MULTILINE)
_OUTPUT = re.compile(rf"^{_GO} launcher_v2\.go:\d+\] ExecutorOutput: (?=\{{)", re.MULTILINE)
_BLOB = re.compile(rf"^{_GO} object_store\.go:\d+\] uploadFile\(.*blobFilePath=\"([^\"\n]+)/", re.MULTILINE)
_UPLOAD = re.compile(rf"^{_GO} object_store\.go:\d+\] uploadFile\((?!.*/executor-logs(-\d+)?\"\)$)", re.MULTILINE)
_ABSENT = re.compile(
    rf"^{_GO} launcher_v2\.go:\d+\] Local filepath \"/[^/\"\n]+([^\"\n]+)\" does not exist$", re.MULTILINE
)
_STATUS = re.compile(rf"^{_GO} launcher_v2\.go:\d+\] .*failed to execute successfully: exit status (\d+)$")
_GO_LINE = re.compile(rf"^{_GO} \w+\.go:\d+\] ")
_TRACEBACK = "Traceback (most recent call last):"
#: What comes before the traceback of an error that ends nothing.
_IGNORED = "Exception ignored "


class LogError(ClusterError):
    """No log can be had: the message says why, without a stop."""


@dataclass(frozen=True)
class Artifact:
    """An artifact of a step: its name, type, address in the store, metadata, and whether it is known to be a folder.

    `absent` is one that the step has not written, which kfp allows: there is nothing at its address.
    """

    name: str
    kind: str
    uri: str
    metadata: Mapping[str, Any]
    folder: bool = False
    absent: bool = False


@dataclass(frozen=True)
class Log:
    """The log of an attempt of a step, or its start and its end."""

    text: str

    @property
    def outputs(self) -> dict[str, Artifact]:
        """The artifacts of the step by name; without metadata where it has not ended well."""
        # Printed before the step begins, so that the first one is the executor's.
        given = _artifacts(_json_after(_INPUT.search(self.text), self.text), "outputs")
        # Printed after the step has ended, so that the last one is the launcher's.
        *_, last = [None, *_OUTPUT.finditer(self.text)]
        made = _artifacts({"outputs": _json_after(last, self.text)}, "outputs")
        blobs, absent = set(_BLOB.findall(self.text)), set(_ABSENT.findall(self.text))
        return {
            name: replace(
                one,
                metadata=made[name].metadata if name in made and made[name].uri == one.uri else {},
                folder=any(one.uri.endswith(f"/{folder}") for folder in blobs),
                absent=one.uri.partition(":/")[2] in absent,
            )
            for name, one in given.items()
        }

    @property
    def inputs(self) -> dict[str, Artifact]:
        """The artifacts that the step takes, which the log of its driver has too."""
        match = _INPUT.search(self.text) or _DRIVEN.search(self.text)
        return _artifacts(_json_after(match, self.text), "inputs")

    @property
    def untold(self) -> bool:
        """Whether the step has left something, and its executor does not say where: it is not a Python function."""
        return not _INPUT.search(self.text) and bool(_UPLOAD.search(self.text))

    @property
    def headless(self) -> bool:
        """Whether its start is gone, as of a long log."""
        return not _BEGUN.match(self.text)

    @property
    def exit_code(self) -> int | None:
        """The exit code of a step that failed, if its launcher lived to tell."""
        return next(
            (int(found[1]) for line in reversed(self.text.splitlines()) if (found := _STATUS.match(line))), None
        )

    @property
    def error(self) -> str:
        """The last output of the step: its error, word for word, or its last lines."""
        lines = self.text.splitlines()
        end = next((i for i in reversed(range(len(lines))) if _STATUS.match(lines[i])), len(lines))
        own = [line for line in lines[:end] if line.strip()]
        last = _last_traceback(own)
        # What a signal killed has told no error any more.
        if last is None or (self.exit_code or 0) > _SIGNALS:
            # Of a driver, or of a pod that did not come so far, those of the launcher are all.
            said = [line for line in own if not _GO_LINE.match(line)] or [_GO_LINE.sub("", line) for line in own]
            return excerpt("\n".join(line[-_LONGEST_ERROR:] for line in said[-LAST_LINES:]), _LONGEST_ERROR)
        own = own[: next((i for i in range(last, len(own)) if own[i].startswith(_IGNORED)), None)]
        error = next((i for i in range(last + 1, len(own)) if not own[i][0].isspace()), len(own))
        # Python names the class with its module.
        return excerpt(re.sub(r"^(?:\w+\.)+(?=\w+(:|$))", "", "\n".join(own[error:])), _LONGEST_ERROR)


def _last_traceback(lines: list[str]) -> int | None:
    """Return where the last traceback begins, but for those of errors that Python passes over, as at its exit."""
    found = (i for i in reversed(range(len(lines))) if lines[i].strip() == _TRACEBACK)
    return next((i for i in found if not lines[max(0, i - 1)].startswith(_IGNORED)), None)


class Logs:
    """Fetches the logs of a run's steps, at the API's address or at that of the UI."""

    def __init__(self, client: Client, run: Mapping[str, Any], namespace: str | None) -> None:
        self._client, self._run_id, self._namespace = client, run["run_id"], namespace or NAMESPACE
        self._created = str(run.get("created_at"))[:10]
        self._at_ui = False
        #: Why the server is not asked again: who waits for a log in vain waits in vain for each.
        self._silence = ""

    def of(self, step: Step) -> Log:
        """Return the log of the last attempt of a step that has one.

        Raises
        ------
        LogError
            If there is none.
        """
        trouble = self._silence or "the server has none for it"
        for node in () if self._silence else step.nodes:
            try:
                text = self._read(node)
            except ClusterError as error:
                trouble = str(error).rstrip(".")
                if error.got == TIMED_OUT:
                    self._silence = trouble
                if self._silence or error.status in {401, 403}:
                    break
                continue
            if self._is_of(text, step):
                return Log(text)
            if re.match(r"\s*<", text):
                trouble = "the server answered with a page, perhaps of a login"
        raise LogError(f"the log of {step.name} cannot be had: {trouble}")

    def _read(self, node: str) -> str:
        if not self._at_ui:
            path = f"/apis/v1alpha1/runs/{quote(self._run_id, safe='')}/nodes/{quote(node, safe='')}/log"
            try:
                return self._client.fetch("read a log", path, _text, follow="false")
            except ClusterError as error:
                # As the UI's address answers.
                if error.status != HTTPStatus.NOT_FOUND:
                    raise
        workflow, _, number = node.rpartition("-")
        where = {"runid": self._run_id, "podnamespace": self._namespace, "createdat": self._created}
        pod = f"{workflow}-system-container-impl-{number}"
        text = self._client.fetch("read a log", "/k8s/pod/logs", _text, podname=pod, **where)
        self._at_ui = True
        return text

    def _is_of(self, text: str, step: Step) -> bool:
        """Return whether this is a log of the step: the server gives others, and errors, with the same status."""
        if not _LAUNCHED.search(text):
            return False
        uris = [one.uri for one in Log(text).outputs.values()]
        return all(f"/{self._run_id}/{step.task}/" in uri for uri in uris)


def _text(response: Any) -> str:
    """Return the start and the end of a response's body."""
    start, end, total, deadline = bytearray(), bytearray(), 0, time.monotonic() + LONGEST
    while chunk := response.read1(2**16):
        total += len(chunk)
        room = KEPT - len(start)
        start += chunk[:room]
        end += chunk[room:]
        if len(end) > 2 * KEPT:
            del end[:-KEPT]
        if total > MOST or time.monotonic() > deadline:
            # Without its end, nobody could tell the launcher's lines from the step's.
            raise LogError(f"it is longer than {MOST // 2**20} MiB, or took longer than {LONGEST:g} s")
    cut = _CUT if total > len(start) + len(end) else b""
    return (start + cut + end).decode(errors="replace")


def _json_after(match: re.Match[str] | None, text: str) -> Any:
    """Return the JSON that follows a match, or None."""
    if match is None:
        return None
    try:
        return json.JSONDecoder().raw_decode(text, match.end())[0]
    except (ValueError, RecursionError):
        return None


def _artifacts(document: Any, side: str) -> dict[str, Artifact]:
    """Return the artifacts on a side of an executor's input or output, of which each list has one."""
    try:
        lists = document[side]["artifacts"]
        return {name: found for name, one in lists.items() for found in _first(name, one)}
    except (AttributeError, KeyError, TypeError):
        return {}


def _first(name: str, one: Any) -> Iterator[Artifact]:
    for made in one["artifacts"][:1]:
        kind = (made.get("type") or {}).get("schemaTitle") or ""
        metadata = made.get("metadata")
        yield Artifact(name, str(kind), str(made["uri"]), metadata if isinstance(metadata, dict) else {})


def number(value: Any) -> float | None:
    """Return a finite number, or None for anything else."""
    try:
        real = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        return float(value) if real else None
    except OverflowError:
        return None
