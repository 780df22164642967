"""Why a run failed: what a person is told, from recorded logs."""

from pathlib import Path
from typing import Any

import pytest
from support import kfp_logs
from support.kfp_logs import look, recorded
from support.kfp_server import Server, respond
from support.submission import submitted

from fmnist.cluster import cause
from fmnist.cluster.client import ClusterError
from fmnist.cluster.cluster import Cluster
from fmnist.cluster.steps import Step

pytestmark = pytest.mark.usefixtures("nowhere")

LAYOUTS = pytest.mark.parametrize("retry", [True, False], ids=["retry nodes", "no retry nodes"])


def failure(
    server: Server, target: Cluster, compiled: Path, found: dict[str, Any], log: bytes = b"", **where: Any
) -> str:
    """Return the error for a run that failed as `found`, whose step train has printed `log`."""
    run = submitted(target, compiled)
    server.states, server.store.looks = ["FAILED"], [found]
    if log:
        server.store.logs[kfp_logs.executor("train", **where)] = log.replace(b"RUN", run.id.encode())
    with pytest.raises(ClusterError) as caught:
        run.wait(timeout=60)
    message = str(caught.value)
    assert message.startswith(f"run {run.id} at {server.url}: expected SUCCEEDED, got FAILED: ")
    assert message.endswith(f"Its page has the logs: {run.link}")
    assert "executor" not in message
    assert "root" not in message.replace("/root/.cache", "")
    return message.removeprefix(f"run {run.id} at {server.url}: expected SUCCEEDED, got FAILED: ")


def ours(which: str) -> bytes:
    """Return a recorded log with a mark for the id of the run."""
    return recorded(which, "RUN")


@LAYOUTS
@pytest.mark.parametrize("ui", [False, True], ids=["API", "UI"])
def test_the_error_of_the_step_is_told(server: Server, target: Cluster, compiled: Path, retry: bool, ui: bool) -> None:
    """Our DataError stands there word for word, in its lines, and Argo's names do not."""
    server.store.ui = ui
    message = failure(
        server, target, compiled, look("FAILED", retry=retry, train="FAILED"), ours("train-failed"), retry=retry
    )
    lines = message.splitlines()
    assert lines[0] == "train failed, with exit code 1. Its last output:"
    assert lines[1].startswith("  DataError: Fashion-MNIST: expected train-images-idx3-ubyte")
    assert lines[2] == "    - /root/.cache/fmnist: there is no such folder"
    assert lines[-2].endswith("or connect to a network and try again.")


def test_a_step_that_ran_out_of_memory_is_told_with_its_limit(server: Server, target: Cluster, tmp_path: Path) -> None:
    """Exit code 137 is explained, with the limit that the pipeline gives the step."""
    from fmnist import pipeline

    compiled = pipeline.compile_pipeline(tmp_path / "ours.yaml")
    version = target.versions.create(compiled, name="ours")
    run = target.run(version, experiment="e", run_name="r", parameters={})
    server.states, server.store.looks = ["FAILED"], [look("FAILED", train="FAILED")]
    server.store.logs[kfp_logs.executor("train")] = recorded("train-out-of-memory", run.id)
    with pytest.raises(
        ClusterError,
        match=r"train failed, with exit code 137: killed, most likely for using too much memory \(limit: 2Gi\)",
    ):
        run.wait(timeout=60)


def test_the_last_attempt_is_told(server: Server, target: Cluster, compiled: Path) -> None:
    """Of a step that was tried twice, the log of the second attempt counts."""
    server.store.logs[kfp_logs.executor("train", 0)] = b"not this"
    message = failure(server, target, compiled, look("FAILED", train=("FAILED", 1)), ours("train-failed"), attempt=1)
    assert message.startswith("train failed at attempt 2, with exit code 1. Its last output:\n  DataError: ")


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (None, "the server has none for it"),
        (respond(403), "HTTP 403 Forbidden"),
        (respond(500, b"away"), "HTTP 500 Internal Server Error: away"),
        (respond(200, b"<html>Log in"), "the server answered with a page, perhaps of a login"),
    ],
    ids=["none", "403", "500", "login"],
)
def test_without_a_log_the_step_is_named(server: Server, target: Cluster, compiled: Path, fault: Any, why: str) -> None:
    """Where there are no logs, the error says so plainly, and which step it was."""
    if fault:
        server.fail("GET .*log", fault, times=9)
    message = failure(server, target, compiled, look("FAILED", train="SUCCEEDED", test="FAILED"))
    assert message.startswith("test failed; the log of test cannot be had: ")
    assert why in message


def test_a_log_shows_no_secret_and_steers_no_terminal(server: Server, target: Cluster, compiled: Path) -> None:
    """What a step printed is shown as every other text from elsewhere."""
    log = ours("train-failed").replace(b"or connect to a network", b"https://me:s3cret@host/ \x1b[31m\xe2\x80\xae")
    message = failure(server, target, compiled, look("FAILED", train="FAILED"), log)
    assert "s3cret" not in message
    assert "\x1b" not in message
    assert "\u202e" not in message
    assert "https://***@host/ \\x1b[31m\\u202e" in message


def test_a_run_too_large_for_argo_is_explained(server: Server, target: Cluster, compiled: Path) -> None:
    """Where no step failed, the run is Argo's to explain, and the command that asks it is given."""
    found = look("FAILED", train="RUNNING")
    message = failure(server, target, compiled, found)
    assert message.startswith("no step failed: Argo Workflows ended the run")
    assert "kubectl -n kubeflow get workflow fashion-mnist-j2xsl -o jsonpath={.status.message}" in message


def test_many_failures_are_counted(server: Server, target: Cluster, compiled: Path) -> None:
    """Of many steps that failed, three are told of, and the others named."""
    steps: dict[str, Any] = {f"shard_{number}": "FAILED" for number in range(8)}
    message = failure(server, target, compiled, look("FAILED", **steps))
    assert message.count("cannot be had") == 3
    assert "5 more failed: shard-3, shard-4, shard-5, shard-6, shard-7." in message


def test_long_errors_leave_room_for_each_other(server: Server, target: Cluster, compiled: Path) -> None:
    """Several long errors are cut, each for itself, so that the link at the end is always shown."""
    run = submitted(target, compiled)
    server.states, server.store.looks = ["FAILED"], [look("FAILED", train="FAILED", test="FAILED")]
    for step in ("train", "test"):
        log = f"I1126 11:35:02.832386      16 main.go:67] Setting\n{'long ' * 1000}\n"
        server.store.logs[kfp_logs.executor(step)] = log.encode()
    with pytest.raises(ClusterError) as caught:
        run.wait(timeout=60)
    message = str(caught.value)
    assert len(message) < 3_500
    assert message.endswith(run.link)
    assert "train failed. Its last output:" in message
    assert "test failed. Its last output:" in message


def test_what_the_run_itself_says_is_told_too(server: Server, target: Cluster, compiled: Path) -> None:
    """An error of the run, beside those of its steps, is the last of the causes."""
    found = {
        **look("FAILED", retry=True, train="FAILED"),
        "error": {"code": 13, "message": "the deadline\nhas passed."},
    }
    lines = failure(server, target, compiled, found, ours("train-failed"), retry=True).splitlines()
    assert lines[0] == "train failed, with exit code 1. Its last output:"
    assert lines[-2] == "the deadline has passed."


# A run that is not there any more, or that the API tells little of


def told(target: Cluster, run: dict[str, Any]) -> list[str]:
    """Return the lines of why a run failed."""
    return cause.cause_of(target._client, {"run_id": "x", "state": "FAILED", **run}, None).splitlines()


def test_what_the_api_says_of_a_step_stands_before_its_log(server: Server, target: Cluster) -> None:
    """Its message is one line; the log's last ones follow, or why there is none."""
    run = look("FAILED", train=("FAILED", 1))
    for task in run["run_details"]["task_details"]:
        if task["display_name"] == "executor":
            task["error"] = {"message": "pod deleted\nby the node."}
    head = "train failed at attempt 2"
    assert told(target, run) == [
        f"{head}; the log of train cannot be had: the server has none for it.",
        "  pod deleted by the node.",
    ]
    server.store.logs[kfp_logs.executor("train", 1)] = b"I1126 11:35:02.832386      16 main.go:67] Setting\n"
    assert told(target, run) == [f"{head}. Its last output:", "  pod deleted by the node.", "  Setting"]
    server.store.logs[kfp_logs.executor("train", 1)] = b"I1126 11:35:02.832386      16 main.go:67] \n"
    assert told(target, run) == [f"{head}.", "  pod deleted by the node."]


def test_a_step_killed_without_a_limit_is_told_so(server: Server, target: Cluster) -> None:
    """Where nothing tells the limit, the head says what is known."""
    server.store.logs[kfp_logs.executor("train")] = recorded("train-out-of-memory", "x")
    lines = told(target, look("FAILED", train="FAILED"))
    assert (
        lines[0] == "train failed, with exit code 137: killed, most likely for using too much memory. Its last output:"
    )
    assert lines[-1] == "  Killed"


@pytest.mark.parametrize("code", [126, 127, 134, 136, 138, 139, 143])
def test_another_signal_is_not_told_as_a_lack_of_memory(server: Server, target: Cluster, code: int) -> None:
    """A crash, or the end of a pod, has its exit code, and nobody looks for memory."""
    log = recorded("train-out-of-memory", "x").replace(b"exit status 137", f"exit status {code}".encode())
    server.store.logs[kfp_logs.executor("train")] = log
    lines = told(target, look("FAILED", train="FAILED"))
    assert lines[0] == f"train failed, with exit code {code}. Its last output:"


def test_the_log_is_of_a_pod_in_the_namespace(server: Server, target: Cluster) -> None:
    """The UI's address wants that, and the day of the run."""
    server.store.ui = True
    run = {"run_id": "x", "created_at": "2026-11-26T12:35:43Z", **look("FAILED", train="FAILED")}
    cause.cause_of(target._client, run, "alice")
    asked = server.asked("/k8s/pod/logs")
    assert {(one.query["podnamespace"], one.query["createdat"]) for one in asked} == {("alice", "2026-11-26")}


def test_of_very_many_failures_twenty_are_named(target: Cluster) -> None:
    """And the number of all is told."""
    steps: dict[str, Any] = {f"s{number:02}": "FAILED" for number in range(30)}
    lines = told(target, look("FAILED", **steps))
    named = ", ".join(f"s{number:02}" for number in range(3, 23))
    assert lines[-1] == f"27 more failed: {named}."
    three = told(target, look("FAILED", a="FAILED", b="FAILED", c="FAILED"))
    assert [line.partition(" failed")[0] for line in three] == ["a", "b", "c"]


def test_without_steps_the_tasks_are_told_and_then_the_run(target: Cluster) -> None:
    """Each in a line of its own."""
    tasks = [{"display_name": "train", "state": "FAILED", "error": {"message": "no\nroom."}}]
    run = {"run_details": {"task_details": tasks}, "error": {"message": "too\nlate"}}
    assert told(target, run) == ["task train: no room.", "too late."]
    assert told(target, {"error": {"message": ""}}) == ["the API gives no cause."]


def test_long_causes_share_the_room(target: Cluster) -> None:
    """3,000 characters in all, for one cause or for two."""
    tasks = [{"display_name": "train", "state": "FAILED", "error": {"message": 4_000 * "x"}}]
    one = told(target, {"run_details": {"task_details": tasks}})
    assert one == [f"task train: {2_988 * 'x'} ..."]
    two = told(target, {"run_details": {"task_details": tasks}, "error": {"message": 4_000 * "y"}})
    assert two == [f"task train: {1_488 * 'x'} ...", f"{1_500 * 'y'} ..."]


def test_no_part_of_a_secret_is_left_where_a_cause_is_cut(target: Cluster) -> None:
    """What is hidden is hidden before."""
    text = f"{2_985 * 'x'} https://me:s3cret@host/ {100 * 'y'}"
    assert told(target, {"error": {"message": text}}) == [f"{2_985 * 'x'} https://***@ho ..."]


def test_a_run_that_no_step_explains_is_argos() -> None:
    """The sentence says whom to ask."""
    run = look("FAILED", train="RUNNING")
    assert cause._unknown(run, None) == (
        "no step failed: Argo Workflows ended the run, for example because it is larger than an object of Kubernetes "
        "may be. `kubectl -n kubeflow get workflow fashion-mnist-j2xsl -o jsonpath={.status.message}` says why."
    )
    assert "`kubectl -n alice get workflow" in cause._unknown(run, "alice")
    assert cause._unknown({}, None) == "the API gives no cause."


def test_argo_is_asked_in_the_users_namespace(target: Cluster) -> None:
    """With several users a run is in that of its own."""
    said = cause.cause_of(target._client, {"run_id": "one", **look("FAILED", train="RUNNING")}, "alice")
    assert "`kubectl -n alice get workflow" in said


@pytest.mark.parametrize(
    ("tasks", "told"),
    [
        ([], []),
        ([{"display_name": "a", "state": "SUCCEEDED"}, {"display_name": "b", "state": "FAILED"}], ["task b"]),
        ([{"state": "FAILED", "error": {"message": "m"}}], ["task unnamed: m"]),
        (
            [
                {"display_name": name, "state": "FAILED"}
                for name in ("root", "executor", "try", "train(0)", "flow-a1b2c", "train", "test")
            ],
            ["task train", "task test"],
        ),
        (
            [{"display_name": "around", "state": "FAILED"}]
            + [{"display_name": name, "state": "FAILED", "error": {"message": "m"}} for name in ("executor", "b")],
            ["task executor: m", "task b: m"],
        ),
    ],
)
def test_tasks_that_failed_are_told(tasks: list[dict[str, Any]], told: list[str]) -> None:
    """Those with a message or, if none has one, those that are not Argo's own."""
    assert list(cause._of_tasks({"display_name": "try", "run_details": {"task_details": tasks}})) == told
    assert list(cause._of_tasks({"run_details": None})) == []


def spec(**resources: object) -> dict[str, Any]:
    """Return a pipeline with a step in a part, whose container has these resources."""
    return {
        "root": {"dag": {"tasks": {"part": {"componentRef": {"name": "comp-part"}}}}},
        "components": {
            "comp-part": {"dag": {"tasks": {"shard": {"componentRef": {"name": "comp-shard"}}}}},
            "comp-shard": {"executorLabel": "exec-shard"},
        },
        "deploymentSpec": {"executors": {"exec-shard": {"container": {"resources": resources}}}},
    }


TWICE = spec(memoryLimit=2)
TWICE["root"]["dag"]["tasks"]["shard"] = {"componentRef": {"name": "comp-shard"}}


@pytest.mark.parametrize(
    ("pipeline", "limit"),
    [
        (spec(resourceMemoryLimit="2Gi", memoryLimit=1), "2Gi"),
        ({"pipeline_spec": spec(resourceMemoryLimit="2Gi"), "platform_spec": {}}, "2Gi"),
        (spec(memoryLimit=2.5), "2.5 GB"),
        (spec(cpuLimit=2), ""),
        # Of two steps of one name nobody knows which it was.
        (TWICE, ""),
        ({}, ""),
        ([], ""),
        ("text", ""),
        ({"root": None, "components": {}}, ""),
    ],
    ids=["text", "in a run", "number", "none", "two", "nothing", "another", "no mapping", "no parts"],
)
def test_the_limit_of_a_step_is_as_its_pipeline_has_it(target: Cluster, pipeline: Any, limit: str) -> None:
    """Also of a step in a loop, whose name has a number; without any, it is left out."""
    run = {"run_id": "x", "pipeline_spec": pipeline}
    assert cause._limit(target._client, run, Step("shard 3", "FAILED")) == limit


def test_a_limit_that_the_server_does_not_tell_is_left_out(server: Server, target: Cluster) -> None:
    """The version may be gone: what is known of the step is told even so."""
    run = {"pipeline_version_reference": {"pipeline_id": "gone", "pipeline_version_id": "too"}}
    assert cause._limit(target._client, run, Step("train", "FAILED")) == ""
    assert server.asked("/pipelines/gone/versions/too")
