"""The tests' own server answers as a real one does: each recorded request, sent again over HTTP."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
from support.kfp_nodes import Workflow
from support.kfp_server import Server, serving
from support.kfp_state import NEVER

RECORDED = json.loads(Path(__file__).with_name("answers.json").read_text(encoding="utf-8"))["answers"]

#: What is compiled from a pipeline with one parameter, x, a whole number.
DOCUMENT = """
components: {comp-step: {executorLabel: exec-step}}
deploymentSpec: {executors: {exec-step: {container: {image: python}}}}
pipelineInfo: {name: small}
root:
  dag: {tasks: {step: {componentRef: {name: comp-step}, taskInfo: {name: step}}}}
  inputDefinitions: {parameters: {x: {defaultValue: 1.0, parameterType: NUMBER_INTEGER}}}
schemaVersion: 2.1.0
sdkVersion: kfp-2.17.0
"""

UPLOADS = {
    "upload version: not YAML": b"\x00\x01{{{",
    "upload version: another document": b"a: 1\n",
    "upload version: empty": b"",
    "upload version: 33 MiB": b"#" * (33 << 20),
}

#: What is compared beside the keys.
MESSAGES = {"code", "message", "error_message", "error_details", "display_name", "name", "state"}

PLAIN = {"train": [], "test": ["train"], "confusion-matrix": ["test"]}


SPEC = {
    "pipelineInfo": {"name": "fashion-mnist"},
    "root": {"dag": {"tasks": {name: {"dependentTasks": needed} for name, needed in PLAIN.items()}}},
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that holds what the real one held before."""
    with serving() as running:
        for number in range(5):
            other = {"pipeline_id": str(number), "display_name": "other", "name": f"other{number}", "description": "d"}
            running.pipelines.append(other | {"created_at": NEVER})
        for recorded in RECORDED:
            if recorded["what"].startswith("log of a step"):
                running.logs[recorded["path"].split("/")[-2]] = recorded["answer"]
            elif recorded["what"].startswith("get run: ") and "run_details" in recorded["answer"]:
                run = {**recorded["answer"], "state_history": list(recorded["answer"]["state_history"])}
                if "pipeline_spec" in run:
                    run["pipeline_spec"] = SPEC
                else:
                    running.versions.append({**run["pipeline_version_reference"], "pipeline_spec": SPEC, "name": "old"})
                running.runs.append(run)
        yield running
        # What was recorded has mistakes on purpose, which are noted.
        running.problems.clear()


class Replay:
    """Sends recorded requests again, with the ids that this server gave where the real one gave others."""

    def __init__(self, server: Server) -> None:
        self.server, self.ids = server, dict[str, str]()
        self.http = urllib3.PoolManager(retries=False)

    def send(self, recorded: dict[str, Any]) -> urllib3.BaseHTTPResponse | None:
        """Return the answer, or None if there is none."""
        options: dict[str, Any] = {}
        if recorded["what"].startswith("upload"):
            content = UPLOADS.get(recorded["what"], DOCUMENT.encode())
            options["fields"] = {"uploadfile": ("pipeline.yaml", content)}
        elif recorded["body"]:
            body = json.dumps(recorded["body"], ensure_ascii=False)
            if cut := re.search(r"d+ \(… 70000 characters\)", body):
                body = body.replace(cut[0], "d" * 70_000)
            options = {"body": self.known(body).encode(), "headers": {"Content-Type": "application/json"}}
        options["timeout"] = 0.3 if recorded["status"] is None else 30
        try:
            got = self.http.request(recorded["method"], self.server.url + self.known(recorded["path"]), **options)
        except urllib3.exceptions.ReadTimeoutError:
            return None
        if got.status == 200 and isinstance(recorded["answer"], dict):
            self._learn(recorded["answer"], got.json())
        return got

    def known(self, text: str) -> str:
        """Return `text` with the ids of this server."""
        for real, ours in self.ids.items():
            text = text.replace(real, ours)
        return text

    def _learn(self, real: dict[str, Any], ours: dict[str, Any]) -> None:
        for key in ("pipeline_id", "pipeline_version_id", "experiment_id", "run_id"):
            if key in real and key in ours:
                self.ids[real[key]] = ours[key]


@pytest.fixture(scope="module")
def replay(server: Server) -> Replay:
    """The one that sends."""
    return Replay(server)


def keys(value: Any) -> set[str]:
    """Return the path of each key, with one path for all items of a list; what was cut or left out has none."""
    if isinstance(value, dict):
        left_out = {"pipeline_spec", "pipeline_version_reference"}
        found = {key: keys(inner) if key not in left_out else set() for key, inner in value.items() if key != "(more)"}
        return {path for key, inner in found.items() for path in (key, *(f"{key}.{one}" for one in inner))}
    return set().union(*map(keys, value)) if isinstance(value, list) else set()


def sense(message: str) -> str:
    """Return a message without what differs from server to server: ids, numbers of requests, what was cut."""
    message = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", message)
    return re.sub(r", (RequestID|HostID): \(…\)|\s*\(…\)", "", message)


def test_all_that_was_recorded_is_replayed() -> None:
    """Each request is there, and has another name."""
    assert len(RECORDED) == len({one["what"] for one in RECORDED}) == 56


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda one: one["what"])
def test_it_answers_as_a_real_server(server: Server, replay: Replay, recorded: dict[str, Any]) -> None:
    """Status, type, keys and message are those of the recorded answer; requests build upon those before."""
    expected = recorded["answer"]
    if "run_details" in expected:
        server.states = [expected["state"]]
    server.retried = "without retry" not in recorded["what"]
    got = replay.send(recorded)
    assert (got and got.status) == recorded["status"]
    if got is None:
        return
    assert got.headers["Content-Type"] == recorded["content_type"]
    if isinstance(expected, str):
        # The beginning of a long text is cut.
        assert sense(got.data.decode()).endswith(sense(expected[max(0, expected.find("Failed")) :]))
        return
    answer = got.json()
    assert keys(answer) == keys(expected)
    for key in MESSAGES & expected.keys():
        assert sense(str(answer[key])) == sense(replay.known(str(expected[key])))


NODES = [one for one in RECORDED if "run_details" in one["answer"] and "too large" not in one["what"]]


@pytest.mark.parametrize("recorded", NODES, ids=lambda one: one["what"])
def test_nodes_are_those_of_argo(recorded: dict[str, Any]) -> None:
    """Each recorded node of Argo has its name, its state and the numbers of those below it."""
    run = recorded["answer"]
    real = [node for node in run["run_details"]["task_details"] if "(more)" not in node]
    name = next(node["child_tasks"][0]["pod_name"] for node in real if "child_tasks" in node).rpartition("-")[0]
    workflow = Workflow(name, PLAIN, run["state"], failing="train", retried="without retry" not in recorded["what"])
    ours = {node["display_name"] + str(node.get("child_tasks")): node for node in workflow.nodes()}
    for node in real:
        same = ours[node["display_name"] + str(node.get("child_tasks"))]
        assert same.get("state") == node.get("state")
        ends = [[one.get("state") for one in history["state_history"]][-1:] for history in (same, node)]
        assert ends[0] == ends[1]
