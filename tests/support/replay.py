"""Sends the recorded requests to a server again, and compares its answers with a real one's."""

import json
import re
from pathlib import Path
from typing import Any

import urllib3

RECORDED = json.loads((Path(__file__).parents[1] / "cluster" / "answers.json").read_text(encoding="utf-8"))["answers"]

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


class Replay:
    """Sends recorded requests again, with the ids that this server gave where the real one gave others."""

    def __init__(self, url: str, headers: dict[str, str] | None = None) -> None:
        self.url, self.ids = url, dict[str, str]()
        self.answers: dict[str, urllib3.BaseHTTPResponse | None] = {}
        self._http = urllib3.PoolManager(retries=False, headers=headers)

    def send(self, recorded: dict[str, Any]) -> None:
        """Send a request, and keep the answer, if there is one."""
        options: dict[str, Any] = {"headers": dict(self._http.headers)}
        if recorded["what"].startswith("upload"):
            content = UPLOADS.get(recorded["what"], DOCUMENT.encode())
            options["fields"] = {"uploadfile": ("pipeline.yaml", content)}
        elif recorded["body"]:
            body = self.known(json.dumps(recorded["body"], ensure_ascii=False))
            options["body"] = re.sub(r"d+ \(… 70000 characters\)", "d" * 70_000, body).encode()
            options["headers"]["Content-Type"] = "application/json"
        options["timeout"] = 0.3 if recorded["status"] is None else 30
        try:
            got = self._http.request(recorded["method"], self.url + self.known(recorded["path"]), **options)
        except urllib3.exceptions.ReadTimeoutError:
            got = None
        self.answers[recorded["what"]] = got
        if got and got.status == 200 and isinstance(recorded["answer"], dict):
            self._learn(recorded["answer"], got.json())

    def compare(self, recorded: dict[str, Any]) -> None:
        """Fail where the answer differs in status, type, keys or message from the recorded one."""
        got, expected = self.answers[recorded["what"]], recorded["answer"]
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
            assert sense(str(answer[key])) == sense(self.known(str(expected[key])))

    def known(self, text: str) -> str:
        """Return `text` with the ids of this server."""
        for real, ours in self.ids.items():
            text = text.replace(real, ours)
        return text

    def _learn(self, real: dict[str, Any], ours: dict[str, Any]) -> None:
        for key in ("pipeline_id", "pipeline_version_id", "experiment_id", "run_id"):
            if key in real and key in ours:
                self.ids[real[key]] = ours[key]


def keys(value: Any) -> set[str]:
    """Return the path of each key, with one path for all items of a list; what was cut or left out has none.

    Nor has what a server says of its plugins, which each one has as it is set up.
    """
    if isinstance(value, dict):
        left_out, unlike = {"pipeline_spec", "pipeline_version_reference"}, {"(more)", "plugins_output"}
        found = {
            key: keys(inner) if key not in left_out else set() for key, inner in value.items() if key not in unlike
        }
        return {path for key, inner in found.items() for path in (key, *(f"{key}.{one}" for one in inner))}
    return set().union(*map(keys, value)) if isinstance(value, list) else set()


def sense(message: str) -> str:
    """Return a message without what differs from server to server: ids, numbers of requests, what was cut."""
    message = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", message)
    return re.sub(r", (RequestID|HostID): \(…\)|\s*\(…\)", "", message)
