"""The part of the stand-in server that has the nodes, the logs and the files of runs, as a real server has them.

Nodes are named and numbered as by Argo Workflows, with its retry nodes (the stock settings of Kubeflow Pipelines 2.17)
or without them (before). Logs are recorded ones, or made like them; answers for what is no log are recorded too.
"""

import io
import json
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.kfp_protocol import Json, Raw, UnknownError

RECORDED = Path(__file__).parents[1] / "cluster" / "recorded"

#: The run whose log of a step that succeeded is recorded.
RECORDED_RUN = "e218e0ed-cb67-47d8-9ba2-efd3831480d4"

WORKFLOW = "fashion-mnist-j2xsl"


@dataclass
class Store:
    """What a cluster keeps of its runs: logs by node, and files by their key in the bucket."""

    #: Whether the host is the UI's address, which has other addresses for logs than the API, and has files.
    ui: bool = False
    #: What each look at a run finds, one after the other; the last one stays. Without any, the server's states count.
    looks: list[Json] = field(default_factory=list)
    logs: dict[str, bytes] = field(default_factory=dict)
    files: dict[str, bytes | Mapping[str, bytes]] = field(default_factory=dict)
    #: Sent in the place of a folder's archive.
    archive: bytes | None = None

    def pod_log(self, query: Mapping[str, str]) -> Raw:
        """Answer as the UI does, for the pod of a node."""
        if not (re.fullmatch(r"\d{4}-\d\d-\d\d", query["createdat"]) and query["podnamespace"]):
            raise UnknownError(400, f"query {query}")
        node = query["podname"].replace("-system-container-impl", "")
        if found := self.logs.get(node):
            return Raw(found)
        return Raw(b"Could not get main container logs: Error: Unable to retrieve workflow status", 500)

    def file(self, query: Mapping[str, str]) -> Raw:
        """Answer as the UI does: a file as it is, a folder as a compressed archive."""
        if (query["source"], query["bucket"], bool(query["namespace"])) != ("minio", "mlpipeline", True):
            raise UnknownError(400, f"query {query}")
        found = self.files.get(query["key"])
        if found is None:
            return Raw(b"Failed to get object: The specified key does not exist.", 404)
        if isinstance(found, bytes):
            return Raw(found, content_type="application/octet-stream")
        return Raw(self.archive or archive(found), content_type="application/gzip")


def archive(files: Mapping[str, bytes], *special: tarfile.TarInfo) -> bytes:
    """Return a compressed archive of files, and of what is `special`."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for one in special:
            tar.addfile(one, io.BytesIO(bytes(one.size)))
    return out.getvalue()


# Nodes


def node(name: str, workflow: str = WORKFLOW) -> str:
    """Return the id of Argo's node of this name below the workflow, which has a 32-bit FNV-1a digest of all of it."""
    digest = 2166136261
    for byte in f"{workflow}{name}".encode():
        digest = (digest ^ byte) * 16777619 % 2**32
    return f"{workflow}-{digest}"


def executor(step: str, attempt: int = 0, *, retry: bool = True, workflow: str = WORKFLOW) -> str:
    """Return the id of the node that has the log of a step."""
    whole = f"(0).root(0).{step}(0).executor({attempt})" if retry else f".root.{step}.executor"
    return node(whole, workflow)


def driver(step: str, *, retry: bool = True) -> str:
    """Return the id of the node that has the log of a step's driver."""
    return node(f"(0).root(0).{step}-driver(0)" if retry else f".root.{step}-driver")


def look(state: str, *, retry: bool = True, workflow: str = WORKFLOW, **steps: str | tuple[str, int]) -> Json:
    """Return what the API says of a run in `state` whose steps, one after the other, are in these states.

    A step is ``DRIVEN``, ``PENDING``, ``RUNNING``, ``SUCCEEDED``, ``FAILED`` or ``CACHED``, perhaps with the number of
    the attempt, from 0. Names have underscores for hyphens.
    """
    found: list[Json] = []
    end = state if state in {"SUCCEEDED", "FAILED"} else "RUNNING"
    tops = ["", "(0)", "(0).root", "(0).root(0)"] if retry else ["", ".root"]
    root = tops[-1]
    names = [name.replace("_", "-") for name in steps]
    for top, inner in zip(tops, [*tops[1:], f"{root}.{names[0]}-driver" if names else ""], strict=True):
        found.append(_task(top, end, 0, [inner] if inner else [], workflow))
    for index, (step, (given, attempt)) in enumerate(zip(names, map(_pair, steps.values()), strict=True)):
        following = [f"{root}.{names[index + 1]}-driver"] if index + 1 < len(names) else []
        found += _step(step, given, attempt, 60 * (index + 1), root, following, retry=retry, workflow=workflow)
    return {"state": state, "run_details": {"task_details": found}}


def nested(state: str, **parts: str) -> Json:
    """Return what the API says of a run in `state` whose parts, one after the other, have a step train in these states.

    There are no retry nodes.
    """
    names = list(parts)
    found = [_task("", state, 0, [".root"], WORKFLOW), _task(".root", state, 0, [f".root.{names[0]}-driver"], WORKFLOW)]
    for index, (part, given) in enumerate(parts.items()):
        inner, following = f".root.{part}", [f".root.{names[index + 1]}-driver"] if index + 1 < len(names) else []
        found += [
            _task(f"{inner}-driver", "SUCCEEDED", 60 * index, [inner], WORKFLOW),
            _task(inner, given, 60 * index + 1, [f"{inner}.train-driver", *following], WORKFLOW),
            *_step("train", given, 0, 60 * index + 2, inner, [], retry=False, workflow=WORKFLOW),
        ]
    return {"state": state, "run_details": {"task_details": found}}


def loop(state: str, *turns: str, retry: bool = True) -> Json:
    """Return what the API says of a run in `state` with a loop whose turns have a step shard in these states."""
    end = "(0)" if retry else ""
    one, found = f"{end}.root{end}.for-loop-1", list[Json]()

    def group(name: str, given: str, at: int, *children: str) -> None:
        if retry:
            found.append(_task(name, given, at, [f"{name}(0)"], WORKFLOW))
        found.append(_task(f"{name}{end}", given, at, list(children), WORKFLOW))

    items = [f"{one}{end}.iteration-item({number}:{number})" for number in range(len(turns))]
    group("", state, 0, f"{end}.root")
    group(f"{end}.root", state, 0, f"{one}-driver")
    group(f"{one}-driver", "SUCCEEDED", 0, one)
    group(one, state, 0, *items)
    for number, (item, given) in enumerate(zip(items, turns, strict=True)):
        at, own = 10 * (number % 300), "RUNNING" if given == "PENDING" else given
        inner = f"{item}{end}.iteration"
        group(item, own, at, f"{inner}-driver")
        group(f"{inner}-driver", "SUCCEEDED", at, inner)
        group(inner, own, at, f"{inner}{end}.shard-driver")
        found += _step("shard", given, 0, at, f"{inner}{end}", [], retry=retry, workflow=WORKFLOW)
    return {"state": state, "run_details": {"task_details": found}}


def _pair(given: str | tuple[str, int]) -> tuple[str, int]:
    return (given, 0) if isinstance(given, str) else given


def _step(  # noqa: PLR0913, PLR0917 - what a step has
    step: str, state: str, attempt: int, at: int, root: str, following: list[str], *, retry: bool, workflow: str
) -> list[Json]:
    """Return the nodes of a step: its driver, itself and its executor, each with an attempt below it or without."""
    one = f"{root}.{step}"
    of_driver = {"DRIVEN": "PENDING"}.get(state, "SUCCEEDED")
    if state == "DRIVEN":
        inner = f"{one}-driver"
        return [_task(f"{inner}(0)" if retry else inner, of_driver, at, [], workflow)]
    own = {"CACHED": "SUCCEEDED", "PENDING": "RUNNING"}.get(state, state)
    pod = {"CACHED": "SKIPPED"}.get(state, state)
    if not retry:
        return [
            _task(f"{one}-driver", of_driver, at, [one], workflow),
            _task(one, own, at + 10, [f"{one}.executor"], workflow),
            _task(f"{one}.executor", pod, at + 10, following, workflow),
        ]
    attempts = [] if state == "CACHED" else range(attempt + 1)
    states = ["FAILED"] * attempt + [pod]
    return [
        _task(f"{one}-driver", of_driver, at, [f"{one}-driver(0)"], workflow),
        _task(f"{one}-driver(0)", of_driver, at, [one], workflow),
        _task(one, own, at + 10, [f"{one}(0)"], workflow),
        _task(f"{one}(0)", own, at + 10, [f"{one}(0).executor", *following], workflow),
        _task(f"{one}(0).executor", pod, at + 10, [f"{one}(0).executor({k})" for k in attempts], workflow),
        *(_task(f"{one}(0).executor({k})", states[k], at + 10 + k, [], workflow) for k in attempts),
    ]


def _task(name: str, state: str, at: int, children: list[str], workflow: str) -> Json:
    shown = name.rpartition(".")[2] if "." in name else f"{workflow}{name}"
    ended = state in {"SUCCEEDED", "FAILED", "SKIPPED"}
    moment = f"2026-11-26T11:{at // 60:02d}:{at % 60:02d}Z"
    end = f"2026-11-26T11:{(at + 30) // 60:02d}:{(at + 30) % 60:02d}Z" if ended else "0001-01-01T00:00:00Z"
    task = {"task_id": f"id of {name}", "display_name": shown, "state": state, "start_time": moment, "end_time": end}
    return task | ({"child_tasks": [{"pod_name": node(child, workflow)} for child in children]} if children else {})


# Logs


def recorded(which: str, run_id: str = RECORDED_RUN) -> bytes:
    """Return a recorded log, as that of another run."""
    text = (RECORDED / f"log-{which}.txt").read_text(encoding="utf-8")
    return re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(?=/(train|test)/)", run_id, text).encode()


def uri(run_id: str, step: str, name: str) -> str:
    """Return where an artifact is in the store."""
    return f"minio://mlpipeline/v2/artifacts/fashion-mnist/{run_id}/{step}/4c8c7916-aed1-4674-8ea9-a254611d3511/{name}"


def key(run_id: str, step: str, name: str) -> str:
    """Return the key of an artifact in its bucket."""
    return uri(run_id, step, name).removeprefix("minio://mlpipeline/")


def artifact(run_id: str, step: str, name: str, kind: str | None = None, **metadata: Any) -> Json:
    """Return an artifact as the executor's input and output have it."""
    one: Json = {"name": name, "uri": uri(run_id, step, name)}
    one |= {"type": {"schemaTitle": f"system.{kind}"}} if kind else {}
    return {"artifacts": [one | ({"metadata": metadata} if metadata else {})]}


def printed(run_id: str, step: str, kinds: Mapping[str, str], inputs: Json | None = None, **metadata: Json) -> bytes:
    """Return a log of a step that succeeded, like the recorded one, with outputs of these kinds and this metadata."""
    given = {name: artifact(run_id, step, name, kind) for name, kind in kinds.items()}
    made = {name: artifact(run_id, step, name, **metadata.get(name, {})) for name in kinds}
    executor_input = {"inputs": {"artifacts": inputs or {}}, "outputs": {"artifacts": given}}
    return (
        "I1126 11:35:02.832386      16 main.go:67] Setting log level to: '1'\n"
        f"[KFP Executor 2026-11-26 11:36:02,522 INFO]: Looking for component `{step}` in --component_module_path `/x`\n"
        f"[KFP Executor 2026-11-26 11:36:02,530 INFO]: Got executor_input:\n{json.dumps(executor_input, indent=4)}\n"
        "a line of the step\n"
        "[KFP Executor 2026-11-26 11:36:16,839 INFO]: Wrote executor output file to /minio/x/output_metadata.json.\n"
        "I1126 11:36:16.992518      16 launcher_v2.go:1230] ExecutorOutput: "
        f"{json.dumps({'artifacts': made}, indent=2)}\n"
        "I1126 11:36:17.084593      16 launcher_v2.go:206] publish success.\n"
    ).encode()


def driven(inputs: Json) -> bytes:
    """Return the log of a driver, which has the inputs of the step, also of one that comes from the cache."""
    given = json.dumps({"inputs": {"artifacts": inputs}, "outputs": {}}, indent=2)
    head = "I1126 11:35:02.832386      16 main.go"
    return f"{head}:67] Setting log level to: '1'\n{head}:300] output ExecutorInput:{given}\n".encode()


#: The outputs of each step of fmnist's pipeline.
OUTPUTS: Mapping[str, Mapping[str, str]] = {
    "train": {"model": "Model", "history": "Artifact", "loss_plot": "Artifact", "loss_page": "HTML"},
    "test": {"results": "Dataset", "labels": "Dataset", "metrics": "Metrics"},
    "confusion-matrix": {"classification": "ClassificationMetrics", "matrix": "Dataset", "matrix_plot": "Artifact"},
}

#: The files of a run, by the name of the artifact.
CONTENT: Mapping[str, bytes | Mapping[str, bytes]] = {
    "model": b"PK\x03\x04 weights",
    "history": b'{"loss": [0.5]}\n',
    "loss_plot": b"\x89PNG loss",
    "loss_page": b"<!doctype html><title>Loss</title>",
    "results": b"image,prediction,confidence,actual\n",
    "labels": {"class_names.txt": b"T-shirt/top\n", "predicted.txt": b"0\n", "true.txt": b"1\n"},
    "metrics": b'{\n  "accuracy": 0.8428,\n  "loss": 0.4295376613456726\n}\n',
    "matrix": b"true,0\n",
    "matrix_plot": b"\x89PNG matrix",
}

#: The files of a run, as `fmnist run` names them.
FILES: Mapping[str, Any] = {
    "model.keras": CONTENT["model"],
    "history.json": CONTENT["history"],
    "loss_plot.png": CONTENT["loss_plot"],
    "loss_plot.html": CONTENT["loss_page"],
    "results.csv": CONTENT["results"],
    "labels/class_names.txt": b"T-shirt/top\n",
    "labels/predicted.txt": b"0\n",
    "labels/true.txt": b"1\n",
    "metrics.json": CONTENT["metrics"],
    "confusion_matrix.csv": CONTENT["matrix"],
    "confusion_matrix.png": CONTENT["matrix_plot"],
}

#: Each step of fmnist's pipeline, in the state in which it has ended well.
SUCCEEDED: dict[str, Any] = {"train": "SUCCEEDED", "test": "SUCCEEDED", "confusion_matrix": "SUCCEEDED"}


def leave(store: Store, run_id: str, *, retry: bool = True, workflow: str = WORKFLOW) -> None:
    """Let a run of fmnist's pipeline have left its logs and its files."""
    for step, kinds in OUTPUTS.items():
        metadata = {"metrics": {"accuracy": 0.8428, "loss": 0.4295376613456726}}
        log = printed(run_id, step, {**kinds, "executor-logs": "Artifact"}, **metadata)
        store.logs[executor(step, retry=retry, workflow=workflow)] = log
        store.files |= {key(run_id, step, name): CONTENT[name] for name in kinds if name in CONTENT}
