"""A run on a cluster: its end, and its accuracy, from a strict API server on this machine."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import kfp_logs
from support.kfp_logs import look, recorded
from support.kfp_server import Server, cut, hang, respond
from support.submission import submitted

from fmnist.cluster import client
from fmnist.cluster.client import ClusterError
from fmnist.cluster.cluster import Cluster, connect
from fmnist.cluster.failures import GoneError, UnfinishedError
from fmnist.cluster.run import Run

pytestmark = pytest.mark.usefixtures("nowhere")


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch, slept: list[float]) -> list[float]:
    """The seconds of each sleep, which pass at once; nothing else takes time."""
    monkeypatch.setattr("fmnist.cluster.run.monotonic", lambda: 1000 + sum(slept))
    return slept


# Waiting


@pytest.mark.parametrize("end", ["SUCCEEDED", "SKIPPED"])
def test_a_good_end_is_returned(server: Server, compiled: Path, end: str) -> None:
    """The callback gets each new state, and the last one is returned."""
    server.states = ["PENDING", "RUNNING", "RUNNING", "PAUSED", "RUNNING", end]
    target, states = connect(server.url), list[str]()
    assert submitted(target, compiled).wait(timeout=60, on_change=states.append) == end
    assert [line for line in states if ":" not in line] == ["PENDING", "RUNNING", "PAUSED", "RUNNING", end]


def error(message: str) -> dict[str, Any]:
    """Return what a task or a run says of its failure."""
    return {"error": {"code": 1, "message": message}}


def tasks(**details: dict[str, Any]) -> dict[str, Any]:
    """Return the details of a run with these tasks, which failed unless they say otherwise."""
    task_details = [{"display_name": name, "state": "FAILED"} | more for name, more in details.items()]
    return {"run_details": {"task_details": task_details}}


@pytest.mark.parametrize(
    ("details", "cause"),
    [
        (tasks(root={}, train={"state": "SUCCEEDED"} | error("old"), test=error("no\nmodel.")), "task test: no model."),
        (tasks(test={"state_history": [{"state": "FAILED"} | error("killed")]}), "task test: killed."),
        (tasks(root={}, executor={}, train={}), "task train."),
        (error("quota exceeded"), "quota exceeded."),
        (tasks(), "the API gives no cause."),
    ],
    ids=["message", "history", "names", "run", "nothing"],
)
def test_a_failed_run_is_an_error_with_its_cause(
    server: Server, target: Cluster, compiled: Path, details: dict[str, Any], cause: str
) -> None:
    """The error names the tasks that failed, what the API says of them, and the page with the logs."""
    server.states, server.details = ["RUNNING", "FAILED"], details
    run = submitted(target, compiled)
    expected = (
        f"run {run.id} at {server.url}: expected SUCCEEDED, got FAILED: {cause} Its page has the logs: {run.link}"
    )
    with pytest.raises(ClusterError, match=f"^{re.escape(expected)}$"):
        run.wait(timeout=2)


def test_a_failed_step_is_told_in_lines(server: Server, target: Cluster, compiled: Path) -> None:
    """Where the cause has several lines, the page has one of its own; the log is asked for in the run's namespace."""
    started = submitted(target, compiled)
    run = Run(started.id, started.link, started._client, "alice")
    server.states, server.store.looks, server.store.ui = ["FAILED"], [look("FAILED", train="FAILED")], True
    server.store.logs[kfp_logs.executor("train")] = recorded("train-failed", run.id)
    with pytest.raises(ClusterError) as caught:
        run.wait(timeout=60)
    first, second, *_, last = str(caught.value).splitlines()
    head = f"run {run.id} at {server.url}: expected SUCCEEDED, got FAILED: train failed, with exit code 1."
    assert first == f"{head} Its last output:"
    assert second.startswith("  DataError: ")
    assert last == f"Its page has the logs: {run.link}"
    assert {request.query["podnamespace"] for request in server.asked("/k8s/pod/logs")} == {"alice"}


def test_a_canceled_run_is_an_error(server: Server, target: Cluster, compiled: Path) -> None:
    """A run that someone cancels is waited for no longer."""
    server.states = ["RUNNING", "CANCELING", "CANCELED"]
    run = submitted(target, compiled)
    server.runs[0]["error"] = {"message": "somebody ended it"}
    with pytest.raises(ClusterError) as caught:
        run.wait(timeout=2)
    assert str(caught.value) == (
        f"run {run.id} at {server.url}: expected SUCCEEDED, got CANCELED. Its page has the logs: {run.link}"
    )


@pytest.mark.parametrize(("timeout", "pauses"), [("12", [5, 5, 2]), ("0.5", [0.5]), ("10", [5, 5]), ("0", [])])
def test_a_run_that_goes_on_is_left_to_it(
    server: Server, compiled: Path, passed: list[float], timeout: str, pauses: list[float]
) -> None:
    """After the time-out, to which the last pause is cut, the error says that the run may go on, and where."""
    server.states = ["RUNNING"]
    run = submitted(connect(server.url), compiled)
    with pytest.raises(UnfinishedError) as caught:
        run.wait(timeout=float(timeout))
    assert str(caught.value) == (
        f"wait for run {run.id} at {server.url}: expected its end within {timeout} s, got the state RUNNING. "
        f"The run may still be running: see {run.link}, or wait longer."
    )
    assert passed == pauses


def test_a_restart_in_between_is_survived(
    server: Server, target: Cluster, compiled: Path, monkeypatch: pytest.MonkeyPatch, slept: list[float]
) -> None:
    """A server that goes away, and fails at first when it is back, is asked again, less and less often."""
    server.states = ["RUNNING", "SUCCEEDED"]
    run = submitted(target, compiled)

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 1:
            server.stop()
        elif len(slept) == 4:
            server.start()
            server.fail("GET .*/runs/", respond(503, b"no healthy upstream"))
            server.fail("GET .*/runs/", cut())
            server.fail("GET .*/runs/", hang(server))
            monkeypatch.setattr(client, "READ_TIMEOUT", 0.3)
        elif len(slept) == 7:
            monkeypatch.setattr(client, "READ_TIMEOUT", patience)

    patience = client.READ_TIMEOUT
    monkeypatch.setattr("fmnist.cluster.run.sleep", sleep)
    lines = list[str]()
    assert run.wait(timeout=60, on_change=lines.append) == "SUCCEEDED"
    assert slept == [5, 1, 2, 4, 8, 16, 30]
    away = "no answer for a while: no connection: [Errno 111] Connection refused; asking again"
    assert lines[0] == "RUNNING"
    assert [line for line in lines if line.startswith("no answer")] == [away]


@pytest.mark.parametrize("status", [408, 429, 500, 501, 502, 503, 504, 507, 520])
def test_a_server_that_fails_for_a_while_is_waited_for(
    server: Server, target: Cluster, compiled: Path, slept: list[float], status: int
) -> None:
    """Whatever status says that the server, or a proxy before it, fails or is busy: the waiting goes on."""
    server.states = ["SUCCEEDED"]
    run = submitted(target, compiled)
    server.fail("GET .*/runs/", respond(status), times=2)
    lines = list[str]()
    assert run.wait(timeout=600, on_change=lines.append) == "SUCCEEDED"
    assert slept == [1, 2]
    assert not [line for line in lines if line.startswith("no answer")]


def test_a_step_that_waits_is_looked_for_where_its_pod_is(
    server: Server, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With several users that is the namespace of the user."""
    monkeypatch.setattr("fmnist.cluster.progress.PATIENCE", 0.0)
    server.states, server.store.looks = ["RUNNING", "SUCCEEDED"], [look("RUNNING", train="PENDING"), look("SUCCEEDED")]
    lines: list[str] = []
    Run(run.id, run.link, run._client, "alice").wait(timeout=600, on_change=lines.append)
    assert "`kubectl -n alice get events` says which" in "".join(lines)


def test_a_run_that_was_deleted_comes_not_back(server: Server, run: Run) -> None:
    """Somebody may delete it while it is waited for: to wait again is of no use."""
    server.runs.clear()
    with pytest.raises(ClusterError, match=rf"Run {run.id} not found\. The run was deleted, .* can be started\.$"):
        run.wait(timeout=600)


def test_a_page_of_a_proxy_in_another_encoding_is_waited_out(server: Server, run: Run, slept: list[float]) -> None:
    """It fails for a while as any other, though kfp's client cannot read its page."""
    server.fail("GET .*/runs/", respond(502, "<h1>Störung</h1>".encode("latin-1")))
    assert run.wait(timeout=600) == "SUCCEEDED"
    assert slept == [1]


def test_what_was_told_before_a_restart_is_not_told_again(
    server: Server, target: Cluster, compiled: Path, slept: list[float]
) -> None:
    """The server was away, and the steps were not."""
    run, lines = submitted(target, compiled), list[str]()
    server.states = ["RUNNING", "SUCCEEDED"]
    server.store.looks = [look("RUNNING", train="RUNNING"), look("SUCCEEDED", train="SUCCEEDED")]

    def tell(line: str) -> None:
        lines.append(line)
        server.fail("GET .*/runs/", respond(503)) if line == "train: started" else None

    server.store.looks.insert(1, server.store.looks[0])
    assert run.wait(timeout=60, on_change=tell) == "SUCCEEDED"
    assert lines == ["RUNNING", "train: started", "train: done in 30 s", "SUCCEEDED"]
    assert slept == [5, 1, 5]


def test_half_an_answer_is_waited_out(server: Server, run: Run, slept: list[float]) -> None:
    """A proxy that is being restarted may cut one."""
    server.fail("GET .*/runs/", respond(200, b'{"run_id": "'))
    assert run.wait(timeout=600) == "SUCCEEDED"
    assert slept == [1]


def test_a_server_that_says_when_is_asked_then(
    server: Server, target: Cluster, compiled: Path, slept: list[float]
) -> None:
    """A busy server's own pause comes before ours, which goes on growing."""
    server.states = ["SUCCEEDED"]
    run = submitted(target, compiled)
    answers = [respond(503), respond(429, b"", **{"Retry-After": "7"}), respond(503)]
    # Also where ours has grown longer.
    answers.append(respond(429, b"", **{"Retry-After": "1"}))
    for answer in answers:
        server.fail("GET .*/runs/", answer)
    assert run.wait(timeout=600) == "SUCCEEDED"
    assert slept == [1, 7, 4, 1]


def test_trouble_that_has_passed_does_not_count(
    server: Server, target: Cluster, compiled: Path, monkeypatch: pytest.MonkeyPatch, slept: list[float]
) -> None:
    """After a good answer the pauses begin anew."""
    server.states = ["RUNNING"]
    run = submitted(target, compiled)

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            server.fail("GET .*/runs/", respond(503))
        elif len(slept) == 5:
            server.states = ["SUCCEEDED"]

    monkeypatch.setattr("fmnist.cluster.run.sleep", sleep)
    server.fail("GET .*/runs/", respond(503), times=2)
    assert run.wait(timeout=600) == "SUCCEEDED"
    assert slept == [1, 2, 5, 1, 5]


def test_a_time_out_tells_of_no_trouble_that_has_passed(
    server: Server, target: Cluster, compiled: Path, passed: list[float]
) -> None:
    """What the server did at last counts, and it answered."""
    server.states = ["RUNNING"]
    run = submitted(target, compiled)
    server.fail("GET .*/runs/", respond(503))
    with pytest.raises(ClusterError, match=r"got the state RUNNING\. The run may still be running"):
        run.wait(timeout=3)
    assert passed == [1, 2]


def test_a_state_that_was_told_is_the_state(
    server: Server, target: Cluster, compiled: Path, passed: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the server is away, what it said at last is what is known."""
    server.states = ["RUNNING"]
    run = submitted(target, compiled)

    def sleep(seconds: float) -> None:
        server.fail("GET .*/runs/", respond(503, b"away"))
        passed.append(seconds)

    monkeypatch.setattr("fmnist.cluster.run.sleep", sleep)
    with pytest.raises(ClusterError) as caught:
        run.wait(timeout=6)
    assert str(caught.value).startswith(
        f"wait for run {run.id} at {server.url}: expected its end within 6 s, got the state RUNNING; the last "
        "attempt got HTTP 503 Service Unavailable: away. The run may still be running: see "
    )
    assert passed == [5, 1]


@pytest.mark.parametrize("state", ["", '"state": "", '])
def test_a_look_without_a_state_changes_nothing(server: Server, target: Cluster, compiled: Path, state: str) -> None:
    """A server that leaves it out says nothing new."""
    run, lines = submitted(target, compiled), list[str]()
    server.states, server.store.looks = ["RUNNING", "SUCCEEDED"], [look("RUNNING"), look("SUCCEEDED")]

    def tell(line: str) -> None:
        lines.append(line)
        server.fail("GET .*/runs/", respond(200, f'{{{state}"run_id": "one", "run_details": {{}}}}'.encode()))

    assert run.wait(timeout=60, on_change=tell) == "SUCCEEDED"
    assert lines == ["RUNNING", "SUCCEEDED"]


def test_what_is_no_run_is_refused(server: Server, target: Cluster, compiled: Path) -> None:
    """A look that finds something else tells no parameters, and no end."""
    run = submitted(target, compiled)
    server.fail("GET .*/runs/", respond(200, b'{"kind": "Status"}'))
    with pytest.raises(ClusterError, match=f"^look at run {run.id} at .* got an answer without run_id. "):
        run.parameters()


def test_an_answer_has_the_time_that_is_left(
    server: Server, target: Cluster, compiled: Path, monkeypatch: pytest.MonkeyPatch, passed: list[float]
) -> None:
    """The server has as long to answer as is left, but a second at least."""
    run, patience = submitted(target, compiled), list[float]()
    once = client.Client.once

    def watched(self: client.Client, *args: Any, **limits: Any) -> Any:
        patience.append(limits["patience"])
        return once(self, *args, **limits)

    monkeypatch.setattr(client.Client, "once", watched)
    server.states = ["RUNNING", "RUNNING", "SUCCEEDED"]
    for timeout in (30.0, 0.25):
        run.wait(timeout=timeout)
    run.parameters()
    assert patience == [30, 25, 20, 1, 60]


def test_a_view_of_the_steps_has_the_time_that_is_left(
    server: Server, run: Run, monkeypatch: pytest.MonkeyPatch, passed: list[float]
) -> None:
    """On servers that have them only there, the wait for it ends as that for a look does."""
    patience, read = list[Any](), client.Client.read

    def watched(self: client.Client, path: str, **query: Any) -> Any:
        patience.append(query.get("patience"))
        return read(self, path, **query)

    monkeypatch.setattr(client.Client, "read", watched)
    server.states, server.store.looks = ["RUNNING", "RUNNING", "SUCCEEDED"], []
    monkeypatch.setattr("support.kfp_runs.nodes_of", lambda *_: {})
    run.wait(timeout=30)
    assert patience == [30, 25, 20]


def test_the_steps_are_told_within_their_run(server: Server, compiled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps begin after the run has, and end before it does; no line has a secret."""
    monkeypatch.setenv("FMNIST_KFP_TOKEN", "s3cret-step")
    run, lines = submitted(connect(server.url), compiled), list[str]()
    server.states = ["RUNNING", "SUCCEEDED"]
    server.store.looks = [
        look("RUNNING", train="RUNNING", s3cret_step="PENDING"),
        look("SUCCEEDED", train="SUCCEEDED", s3cret_step="SUCCEEDED"),
    ]
    run.wait(timeout=60, on_change=lines.append)
    assert lines[0] == "RUNNING"
    assert lines[-1] == "SUCCEEDED"
    assert lines[1:3] == ["train: started", "***: waits for its pod"]
    assert [line.partition(":")[0] for line in lines[3:-1]] == ["train", "***"]


def test_steps_are_told_where_the_full_view_has_them(server: Server, target: Cluster, compiled: Path) -> None:
    """Servers since kubeflow/pipelines#13986 give the tasks of a run only if asked for all."""
    run, lines = submitted(target, compiled), list[str]()
    server.states, server.store.looks = ["RUNNING", "SUCCEEDED"], [{"state": "RUNNING"}, {"state": "SUCCEEDED"}]
    server.tasks = [{"name": "train", "type": "RUNTIME", "state": "CACHED"}]
    assert run.wait(timeout=60, on_change=lines.append) == "SUCCEEDED"
    assert lines == ["RUNNING", "train: from the cache", "SUCCEEDED"]
    server.states, server.store.looks = ["FAILED"], [{"state": "FAILED"}]
    server.tasks[0]["state"] = "FAILED"
    with pytest.raises(ClusterError, match="got FAILED: train failed; the log of train cannot be had: "):
        run.wait(timeout=60)


@pytest.mark.parametrize("status", [302, 400, 401, 404, 405, 409, 413, 451])
def test_a_server_that_refuses_ends_the_waiting(
    server: Server, target: Cluster, compiled: Path, slept: list[float], status: int
) -> None:
    """Whatever status says that the question is wrong: asking it again would not help."""
    run = submitted(target, compiled)
    server.fail("GET .*/runs/", respond(status))
    with pytest.raises(ClusterError, match=f"^look at run .* HTTP {status} "):
        run.wait(timeout=600)
    assert slept == []


def test_a_server_that_stays_away_is_named(
    server: Server, target: Cluster, compiled: Path, passed: list[float]
) -> None:
    """A time-out says what the server did at last."""
    run = submitted(target, compiled)
    server.stop()
    with pytest.raises(
        ClusterError,
        match=r"got the state unknown; the last attempt got no connection: .*refused\. The run may still be running",
    ):
        run.wait(timeout=100)
    assert passed == [1, 2, 4, 8, 16, 30, 30, 9]


def test_a_run_that_is_refused_is_waited_for_no_longer(server: Server, target: Cluster, compiled: Path) -> None:
    """An error that time does not heal ends the waiting at once."""
    server.fail("GET .*/runs/", respond(403))
    with pytest.raises(ClusterError, match="^look at run .* HTTP 403 Forbidden. Check the namespace"):
        submitted(target, compiled).wait(timeout=60)


def test_a_run_that_was_deleted_is_gone(server: Server, target: Cluster, compiled: Path) -> None:
    """It is told as such, so that nobody waits for it again."""
    run = submitted(target, compiled)
    server.runs.clear()
    with pytest.raises(GoneError, match="nothing brings it back") as caught:
        run.wait(timeout=60)
    assert caught.value.status == 404


# What it is


def test_a_run_is_its_id_and_its_page(server: Server, target: Cluster, compiled: Path) -> None:
    """However it was found."""
    run = submitted(target, compiled)
    assert run == Run(run.id, run.link, connect(server.url)._client, "alice")
    assert run != Run("other", run.link, run._client)
    assert repr(run) == f"Run(id='{run.id}', link='{server.url}/#/runs/details/{run.id}')"


@pytest.mark.parametrize("given", [{}, {"epochs": 3, "name": "x"}])
def test_a_run_knows_its_parameters(server: Server, target: Cluster, compiled: Path, given: dict[str, Any]) -> None:
    """Those that it was started with; without any, there are none."""
    assert submitted(target, compiled, parameters=given).parameters() == given


# Accuracy


def metric(name: str, value: float, kind: str = "Metric") -> dict[str, Any]:
    """Return an artifact of a run."""
    return {"artifact_id": f"{name} {value}", "name": name, "type": kind, "number_value": value}


@pytest.mark.parametrize(
    ("artifacts", "accuracy"),
    [
        (None, None),
        ([], None),
        ([metric("loss", 0.5)], None),
        ([metric("loss", 0.5), metric("accuracy", 0.875), {"artifact_id": "m", "name": "model"}], 0.875),
        ([metric("accuracy", 0.875, "Artifact")], None),
        ([metric("accuracy", 0.5), metric("accuracy", 0.75)], None),
        ([metric("accuracy", 0.0)], 0.0),
    ],
    ids=["no such API", "no artifact", "no accuracy", "accuracy", "no metric", "two", "none right"],
)
def test_an_accuracy_is_the_metric_of_that_name(
    server: Server, target: Cluster, compiled: Path, artifacts: list[dict[str, Any]] | None, accuracy: float | None
) -> None:
    """The accuracy is the run's one metric of that name, on whichever page; where there is none, nothing is said."""
    server.artifacts, server.page_limit = artifacts, 1
    assert submitted(target, compiled).accuracy()[0] == accuracy


@pytest.mark.parametrize("path", ["artifact_tasks", "artifacts/", "runs/"])
def test_a_run_that_ended_well_needs_no_answer_more(server: Server, target: Cluster, compiled: Path, path: str) -> None:
    """A server that fails when it is asked for the accuracy takes nothing away from a run that succeeded."""
    server.artifacts = [metric("accuracy", 0.875)]
    run = submitted(target, compiled)
    server.fail(f"GET .*/{path}", respond(503))
    assert run.accuracy()[0] is None
    assert run.accuracy() == (0.875, "")


def test_why_there_is_no_accuracy_is_told_without_secrets(
    server: Server, compiled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the server says when it is asked."""
    run = submitted(connect(server.url, cookies="session=s3cret-step"), compiled)
    server.fail("GET .*/runs/", respond(500, b"no s3cret-step"))
    value, why = run.accuracy()
    assert value is None
    assert why.startswith(
        f"look at run {run.id} at {server.url}: expected success, got HTTP 500 Internal Server Error: no ***. "
    )
    server.states, server.store.looks = ["SUCCEEDED"], [look("SUCCEEDED", s3cret_step="SUCCEEDED")]
    assert run.accuracy() == (None, "the log of *** cannot be had: the server has none for it")


@pytest.mark.parametrize("ask", [Run.accuracy, Run.files])
def test_the_full_view_has_the_steps_that_have_left_something(
    server: Server, target: Cluster, compiled: Path, ask: Callable[[Run], Any]
) -> None:
    """A server that gives the tasks of a run only if asked for all is asked for all."""
    run = submitted(target, compiled)
    server.states, server.store.looks, server.store.ui = ["SUCCEEDED"], [{"state": "SUCCEEDED"}], True
    kfp_logs.leave(server.store, run.id)
    workflow, _, number = kfp_logs.executor("test").rpartition("-")
    pods = [{"name": f"{workflow}-system-container-impl-{number}", "type": "EXECUTOR"}]
    server.tasks = [{"name": "test", "type": "RUNTIME", "state": "SUCCEEDED", "pods": pods}]
    expected = {
        "accuracy": (0.8428, ""),
        "files": {
            "results.csv": b"image,prediction,confidence,actual\n",
            "labels/class_names.txt": b"T-shirt/top\n",
            "labels/predicted.txt": b"0\n",
            "labels/true.txt": b"1\n",
            "metrics.json": b'{\n  "accuracy": 0.8428,\n  "loss": 0.4295376613456726\n}\n',
        },
    }
    assert ask(run) == expected[ask.__name__]
