"""The tests' own server answers as a real one does: each recorded request, sent again over HTTP."""

import contextlib
import datetime as dt
import itertools
import json
import socket
from collections.abc import Iterator
from typing import Any

import kfp_server_api
import pytest
import urllib3
from support import kfp_api, kfp_protocol, kfp_runs
from support.kfp_logs import Store, look
from support.kfp_nodes import Workflow, steps_of
from support.kfp_protocol import Raw, RefusedError, Request, listed
from support.kfp_server import Server, cut, judge, serving, unheard
from support.kfp_state import NEVER
from support.replay import DOCUMENT, RECORDED, Replay

PLAIN = {"train": [], "test": ["train"], "confusion-matrix": ["test"]}

SPEC = {
    "pipelineInfo": {"name": "fashion-mnist"},
    "root": {"dag": {"tasks": {name: {"dependentTasks": needed} for name, needed in PLAIN.items()}}},
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that holds what the real one held before, and where nothing is as old as another thing.

    Of two versions of the same second either may be the newest, here and on a real server.
    """
    seconds = itertools.count()
    with serving() as running:
        running.clock = lambda: dt.datetime(2027, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=next(seconds))
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


@pytest.fixture(scope="module")
def replay(server: Server) -> Replay:
    """All that was recorded, sent again in its order."""
    sent = Replay(server.url)
    for recorded in RECORDED:
        if "run_details" in recorded["answer"]:
            server.states = [recorded["answer"]["state"]]
        server.retried = "without retry" not in recorded["what"]
        sent.send(recorded)
    return sent


def test_all_that_was_recorded_is_replayed() -> None:
    """Each request is there, and has another name."""
    assert len(RECORDED) == len({one["what"] for one in RECORDED}) == 56


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda one: one["what"])
def test_it_answers_as_a_real_server(replay: Replay, recorded: dict[str, Any]) -> None:
    """Status, type, keys and message are those of the recorded answer."""
    replay.compare(recorded)


@pytest.mark.parametrize(
    ("answer", "same"),
    [
        ({"run_id": "1", "state": "FAILED"}, True),
        ({"run_id": "2", "state": "FAILED"}, True),
        ({"run_id": "1", "state": "FAILED", "colour": "red"}, False),
        ({"state": "FAILED"}, False),
        ({"run_id": "1", "state": "SUCCEEDED"}, False),
    ],
    ids=["the same", "another id", "a key more", "a key less", "another state"],
)
def test_another_answer_than_the_recorded_one_is_seen(answer: dict[str, str], same: bool) -> None:
    """Keys that a real server does not send count as much as those that lack."""
    head = {"Content-Type": "application/json"}
    sent = Replay("http://nowhere.invalid")
    sent.answers["get run"] = urllib3.HTTPResponse(json.dumps(answer).encode(), head, status=200)
    recorded = {"run_id": "1", "state": "FAILED"}
    with contextlib.nullcontext() if same else pytest.raises(AssertionError):
        sent.compare({"what": "get run", "status": 200, "content_type": "application/json", "answer": recorded})


@pytest.mark.parametrize(
    "other",
    [
        {"status": 404},
        {"status": None},
        {"content_type": "text/plain"},
        {"answer": {"code": 5, "message": "no"}},
        {"answer": {"code": 3, "message": "yes"}},
        {"answer": "yes"},
    ],
    ids=["status", "no answer", "type", "code", "message", "text"],
)
def test_each_part_of_an_answer_counts(other: dict[str, Any]) -> None:
    """Where none was recorded none may come, and none may lack."""
    recorded = {"what": "x", "status": 400, "content_type": "application/json", "answer": {"code": 3, "message": "no"}}
    head, body = {"Content-Type": "application/json"}, json.dumps(recorded["answer"]).encode()
    sent = Replay("http://nowhere.invalid")
    sent.answers["x"] = urllib3.HTTPResponse(body, head, status=400)
    sent.compare(recorded)
    with pytest.raises(AssertionError):
        sent.compare(recorded | other)
    sent.answers["x"] = None
    sent.compare(recorded | {"status": None})
    with pytest.raises(AssertionError):
        sent.compare(recorded)


def test_of_a_text_only_the_beginning_may_be_cut() -> None:
    """From where it says what has failed, all of it counts."""
    recorded = {
        "what": "x",
        "status": 500,
        "content_type": "text/plain",
        "answer": "(…) Failed to read a: it is none of these",
    }
    sent = Replay("http://nowhere.invalid")
    for said, same in (
        ("CreateJob: Failed to read a: it is none of these", True),
        ("Failed to find a: it is none of these", False),
    ):
        sent.answers["x"] = urllib3.HTTPResponse(said.encode(), {"Content-Type": "text/plain"}, status=500)
        with contextlib.nullcontext() if same else pytest.raises(AssertionError):
            sent.compare(recorded)


def test_what_no_client_sends_fails_the_test_that_sends_it() -> None:
    """It is answered as by a real server, and the test fails in the end."""
    with pytest.raises(AssertionError), serving() as server:
        status = urllib3.request("GET", f"{server.url}/nonsense").status
    assert (status, server.problems) == (404, ["GET /nonsense: no such path at ''"])
    # A restart forgives nothing.
    server.start()
    server.stop()
    assert len(server.problems) == 1


FORM = "".join(
    f'--x\r\nContent-Disposition: form-data; name="uploadfile"; filename="{name}"\r\n\r\n\r\n' for name in "ab"
)

#: What no client of the API sends, and what is noted of it.
UNKNOWN = {
    "path of old": ("GET", "/apis/v1beta1/pipelines", {}, "", "no such path at ''"),
    "path": ("GET", "/apis/v2beta1/nonsense", {}, "", "no such path at ''"),
    "query": ("GET", "/apis/v2beta1/pipelines", {"name": "x"}, "", "query ['name']"),
    "field of another": ("POST", "/apis/v2beta1/experiments", {}, '{"name": "x"}', 'unknown field "name"'),
    "field": ("POST", "/apis/v2beta1/experiments", {}, '{"display_name": "x", "colour": 1}', 'unknown field "colour"'),
    "field within": ("POST", "/apis/v2beta1/runs", {}, '{"runtime_config": {"colour": 1}}', 'unknown field "colour"'),
    "no JSON": ("POST", "/apis/v2beta1/experiments", {}, "{", "syntax error"),
    "filter": ("GET", "/apis/v2beta1/pipelines", {"filter": '{"predicates": [{"op": 1}]}'}, "", "invalid tag filter"),
    "operation": (
        "GET",
        "/apis/v2beta1/pipelines",
        {"filter": '{"predicates": [{"operation": "IN", "key": "name", "string_value": "x"}]}'},
        "",
        "Invalid input error: predicate",
    ),
    "key": (
        "GET",
        "/apis/v2beta1/pipelines",
        {"filter": '{"predicates": [{"operation": "EQUALS", "key": "description", "string_value": "x"}]}'},
        "",
        'unrecognized field "description"',
    ),
    "order": ("GET", "/apis/v2beta1/pipelines", {"sort_by": "created_at asc"}, "", "order created_at asc"),
    "no experiment": ("POST", "/apis/v2beta1/runs", {}, '{"display_name": "x"}', "KeyError: 'experiment_id'"),
    "no source": ("POST", "/apis/v2beta1/runs", {}, '{"display_name": "x", "experiment_id": "e"}', "pipeline_source"),
    "two sources": (
        "POST",
        "/apis/v2beta1/runs",
        {},
        '{"display_name": "x", "experiment_id": "e", "pipeline_spec": {}, "pipeline_version_reference": {}}',
        "pipeline_source",
    ),
    "two files": (
        "POST",
        "/apis/v2beta1/pipelines/upload_version",
        {"pipelineid": "p"},
        f"{FORM}--x--",
        "ValueError: ",
    ),
    "inputs": ("GET", "/apis/v2beta1/artifact_tasks", {"run_ids": "r", "type": "INPUT"}, "", "type INPUT"),
    "date of a pod": (
        "GET",
        "/k8s/pod/logs",
        {"podname": "w-1", "runid": "r", "podnamespace": "kubeflow", "createdat": "today"},
        "",
        "'createdat': 'today'",
    ),
    "month of a pod": (
        "GET",
        "/k8s/pod/logs",
        {"podname": "w-1", "runid": "r", "podnamespace": "kubeflow", "createdat": "2026-11"},
        "",
        "'createdat': '2026-11'",
    ),
    "namespace of a pod": (
        "GET",
        "/k8s/pod/logs",
        {"podname": "w-1", "runid": "r", "podnamespace": "", "createdat": "2026-11-26"},
        "",
        "'podnamespace': ''",
    ),
    "namespace of a file": (
        "GET",
        "/artifacts/get",
        {"source": "minio", "namespace": "", "bucket": "mlpipeline", "key": "k"},
        "",
        "'namespace': ''",
    ),
}


@pytest.mark.parametrize(("method", "path", "query", "body", "noted"), UNKNOWN.values(), ids=UNKNOWN)
def test_the_server_notes_what_no_api_knows(
    method: str, path: str, query: dict[str, str], body: str, noted: str
) -> None:
    """The tests' server notes other paths, queries, fields and values, and a run with two sources, and says which."""
    server = Server(artifacts=[], runs=[{"run_id": "r"}], experiments=[{"experiment_id": "e"}])
    server.store.ui = True
    head = {"content-type": "multipart/form-data; boundary=x"} if body.startswith("--") else {}
    judge(server, Request(method, path, query, head, body.encode()))
    [problem] = server.problems
    assert problem.startswith(f"{method} {path}: ")
    assert noted in problem


def test_the_server_refuses_what_clients_may_send() -> None:
    """As a real one does: no number, another user's namespace or none, a path without the prefix, the other address."""
    several, one = Server(multi_user=True, prefix="/pipeline"), Server(runs=[{"run_id": "r"}])
    artifacts = Server(artifacts=[], runs=[{"run_id": "r"}])
    logging = Server(store=Store(ui=True, logs={"w-1": b"x", "w-2": b""}))
    pod = {"podname": "w-1", "runid": "r", "podnamespace": "kubeflow", "createdat": "2026-11-26"}
    asked: list[tuple[Server, str, str, dict[str, str], str, int]] = [
        (one, "POST", "/apis/v2beta1/experiments", {}, '{"display_name": NaN}', 400),
        (one, "POST", "/apis/v2beta1/experiments", {}, '{"display_name": "x", "namespace": "alice"}', 400),
        (one, "GET", "/k8s/pod/logs", pod, "", 404),
        (logging, "GET", "/k8s/pod/logs", pod, "", 200),
        (artifacts, "GET", "/apis/v2beta1/artifact_tasks", {"run_ids": "r", "type": "OUTPUT"}, "", 200),
        (artifacts, "GET", "/apis/v2beta1/artifact_tasks", {"run_ids": "s", "type": "OUTPUT"}, "", 404),
        (one, "GET", "/apis/v2beta1/artifact_tasks", {"run_ids": "r", "type": "OUTPUT"}, "", 404),
        (logging, "GET", "/k8s/pod/logs", pod | {"podname": "w-2"}, "", 500),
        (one, "GET", "/artifacts/get", {"source": "minio", "namespace": "a", "bucket": "b", "key": "k"}, "", 404),
        (several, "GET", "/pipeline/apis/v2beta1/experiments", {}, "", 400),
        (several, "POST", "/pipeline/apis/v2beta1/experiments", {}, '{"display_name": "x"}', 400),
        (several, "GET", "/pipeline/apis/v2beta1/experiments", {"namespace": "alice"}, "", 200),
        (several, "GET", "/apis/v2beta1/experiments", {"namespace": "alice"}, "", 404),
    ]
    for server, method, path, query, body, status in asked:
        found = judge(server, Request(method, path, query, {}, body.encode()))
        assert found.status == status, (method, path, query, body)
    one.store.ui, log = True, "/apis/v1alpha1/runs/r/nodes/w-1/log"
    assert judge(one, Request("GET", log, {}, {}, b"")).status == 404


def test_the_server_lists_the_runs_that_are_asked_for() -> None:
    """Those of an experiment, or of all experiments of a namespace."""
    server = Server(multi_user=True)
    server.experiments = [
        {"experiment_id": one, "namespace": name} for one, name in (("a", "x"), ("b", "x"), ("c", "y"))
    ]
    server.runs = [{"run_id": one["experiment_id"].upper(), **one} for one in server.experiments]

    def runs(**query: str) -> list[str]:
        request = Request("GET", "/apis/v2beta1/runs", query, {}, b"")
        return [run["run_id"] for run in json.loads(judge(server, request).body)["runs"]]

    assert (runs(experiment_id="b"), runs(namespace="x"), runs(namespace="y")) == (["B"], ["A", "B"], ["C"])
    server.versions = [{"pipeline_id": "a b", "pipeline_version_id": "c+d", "name": "v", "display_name": "v"}]
    assert asked(server, "GET", "pipelines/a%20b/versions/c%2Bd").status == 200


def test_a_cut_connection_is_reset() -> None:
    """As by a server that crashes: an end in good order would be an answer without content."""
    with serving() as server, socket.create_connection(("127.0.0.1", server.port)) as connection:
        server.fail("GET /", cut())
        connection.sendall(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    assert [(request.method, request.path) for request in server.requests] == [("GET", "/")]


def test_faults_are_met_in_their_order() -> None:
    """Each as often as it was put there, by requests that it is for."""
    server, first, second, other = Server(), cut(), cut(), cut()
    server.fail("POST", other)
    server.fail("GET /a", first, times=2)
    server.fail("/a$", second)
    assert [server.fault("GET /a") for _ in range(4)] == [first, first, second, None]
    assert [server.fault("POST /b") for _ in range(2)] == [other, None]
    server.requests = [Request(method, "/a", {}, {}, b"") for method in ("GET", "POST")]
    assert server.asked("^POST /a$") == server.requests[1:]
    # What a test puts there comes before the API's own.
    server.routes = [("GET", "/apis/v2beta1/healthz", set(), lambda *_: Raw(b"other"))]
    assert asked(server, "GET", "healthz").body == b"other"


def test_what_is_asked_for_is_done_though_nobody_hears_of_it() -> None:
    """By another status or a cut; each answer has the server's time."""
    noon = dt.datetime(2026, 11, 26, 12, 0, 0, 999_999, tzinfo=dt.UTC)
    with serving(clock=lambda: noon) as server:
        path = f"{server.url}/apis/v2beta1/experiments"
        server.fail("POST", unheard(server, 502))
        server.fail("POST", unheard(server))
        lost = urllib3.request("POST", path, json={"display_name": "a"}, retries=False)
        with pytest.raises(urllib3.exceptions.ProtocolError):
            urllib3.request("POST", path, json={"display_name": "b"}, retries=False)
        found = urllib3.request("GET", f"{path}?filter=&namespace=")
    assert (lost.status, found.headers["Date"]) == (502, "Thu, 26 Nov 2026 12:00:00 GMT")
    assert sorted(one["display_name"] for one in found.json()["experiments"]) == ["a", "b"]
    assert {one["created_at"] for one in server.experiments} == {"2026-11-26T12:00:00Z"}
    assert server.requests[-1].query == {"filter": "", "namespace": ""}


def upload(server: Server, pipeline: str, name: str, content: str = DOCUMENT) -> Raw:
    """Return the server's answer to a file."""
    body = FORM.partition("\r\n\r\n")[0] + f"\r\n\r\n{content}\r\n--x--"
    head = {"content-type": "multipart/form-data; boundary=x"}
    query = {"pipelineid": pipeline, "name": name}
    return judge(server, Request("POST", "/apis/v2beta1/pipelines/upload_version", query, head, body.encode()))


def test_a_version_belongs_to_its_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one may have one of the same name, and does not have this one; a name has 127 bytes, a file 32 MiB."""
    server = Server(pipelines=[{"pipeline_id": "p"}, {"pipeline_id": "q"}])
    assert [upload(server, one, "v").status for one in ("p", "q", "p", "r")] == [200, 200, 409, 400]
    of_p, of_q = (one["pipeline_version_id"] for one in server.versions)
    found = [asked(server, "GET", f"pipelines/{one}/versions/{of_p}").status for one in ("p", "q")]
    assert (found, of_p != of_q) == ([200, 404], True)
    assert [upload(server, "p", name).status for name in ("ü" * 63 + "u", "ü" * 64)] == [200, 400]
    platform = f"{DOCUMENT}---\nplatforms: {{}}\n"
    assert json.loads(upload(server, "p", "w", platform).body)["pipeline_spec"]["platform_spec"] == {"platforms": {}}
    for largest, status in ((len(platform), 200), (len(platform) - 1, 400)):
        monkeypatch.setattr(kfp_api, "LARGEST", largest)
        assert upload(server, "p", f"{largest}", platform).status == status


def test_pipelines_are_ones_own_or_those_of_all() -> None:
    """A namespace has its own, and without one those are listed that users share; each predicate of a filter counts."""
    server = Server(multi_user=True)
    server.pipelines = [
        {"pipeline_id": "1", "name": "a", "display_name": "x", "namespace": "alice"},
        {"pipeline_id": "2", "name": "a", "display_name": "y"},
        {"pipeline_id": "3", "name": "a", "display_name": "x"},
    ]
    equal = [
        {"operation": "EQUALS", "key": key, "string_value": value}
        for key, value in (("name", "a"), ("display_name", "x"))
    ]

    def listed_by(**query: str) -> list[str]:
        request = Request("GET", "/apis/v2beta1/pipelines", query, {}, b"")
        return [one["pipeline_id"] for one in json.loads(judge(server, request).body)["pipelines"]]

    assert (listed_by(namespace="alice"), listed_by()) == (["1"], ["2", "3"])
    assert listed_by(filter=json.dumps({"predicates": equal})) == ["3"]


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        (
            "NUMBER_INTEGER",
            True,
            "input parameter x requires type double or integer, but the parameter value is not of",
        ),
        (
            "NUMBER_DOUBLE",
            False,
            "input parameter x requires type double or integer, but the parameter value is not of",
        ),
        ("BOOLEAN", 1, "input parameter x requires type bool, but the parameter value is not of bool value type"),
        ("STRING", None, "input parameter x requires type string, but the parameter value is not of string value type"),
        ("LIST", {}, "input parameter x requires type list, but the parameter value is not of list value type"),
        ("STRUCT", [], "input parameter x requires type struct, but the parameter value is not of struct value type"),
    ],
)
def test_a_parameter_has_the_type_of_its_input(kind: str, value: Any, said: str) -> None:
    """A truth value is no number, and a number no truth value; what has no value and no default is missed."""
    inputs: dict[str, Any] = {"x": {"parameterType": kind}}
    with pytest.raises(RefusedError, match=said):
        kfp_runs.check_parameters(inputs, {"x": value})
    with pytest.raises(RefusedError, match="parameter x has no value and no default"):
        kfp_runs.check_parameters(inputs, {})
    for free in ({"isOptional": True}, {"defaultValue": value}):
        kfp_runs.check_parameters({"x": inputs["x"] | free}, {})


def asked(server: Server, method: str, path: str, **body: Any) -> Raw:
    """Return the server's answer to a request."""
    return judge(server, Request(method, f"/apis/v2beta1/{path}", {}, {}, json.dumps(body).encode()))


def test_a_run_goes_on_each_time_it_is_looked_at() -> None:
    """Its history has each state once, and its end a time; one whose name fits no column has begun, untraced."""
    server = Server(experiments=[{"experiment_id": "e"}], states=["RUNNING", "RUNNING", "SUCCEEDED"])
    moments = itertools.count(dt.datetime.now(dt.UTC).timestamp(), 1)
    server.clock = lambda: dt.datetime.fromtimestamp(next(moments), dt.UTC)
    run: dict[str, Any] = {"experiment_id": "e", "pipeline_spec": SPEC, "display_name": "ü" * 255}
    one = json.loads(asked(server, "POST", "runs", **run).body)
    looks = [json.loads(asked(server, "GET", f"runs/{one['run_id']}").body) for _ in range(3)]
    assert [[state["state"] for state in look["state_history"]] for look in (one, *looks)] == [
        ["PENDING"],
        ["PENDING", "RUNNING"],
        ["PENDING", "RUNNING"],
        ["PENDING", "RUNNING", "SUCCEEDED"],
    ]
    assert [look["finished_at"] == NEVER for look in (one, *looks)] == [True, True, True, False]
    assert one["created_at"] < looks[-1]["state_history"][-1]["update_time"] < looks[-1]["finished_at"]
    viewed = judge(server, Request("GET", f"/apis/v2beta1/runs/{one['run_id']}", {"view": "FULL"}, {}, b""))
    assert json.loads(viewed.body) == {"run_id": one["run_id"], "tasks": []}
    assert server.untraced == []
    assert asked(server, "POST", "runs", **run | {"display_name": "ü" * 256}).status == 500
    assert ([len(one["display_name"]) for one in server.untraced], len(server.runs)) == ([256], 1)
    # What was found in the last look is found in each one after it.
    first, last = look("RUNNING", train="RUNNING"), look("SUCCEEDED", train="SUCCEEDED")
    server.store.looks = [first, last]
    found = [json.loads(asked(server, "GET", f"runs/{one['run_id']}").body)["run_details"] for _ in range(3)]
    assert found == [each["run_details"] for each in (first, last, last)]


@pytest.mark.parametrize(
    ("count", "size", "first", "more"),
    [
        (20, "", 20, False),
        (21, "", 20, True),
        (3, "2", 2, True),
        (2, "2", 2, False),
        (7, "100", 5, True),
        (5, "100", 5, False),
        (21, "0", 20, True),
    ],
)
def test_a_page_ends_where_it_is_full(count: int, size: str, first: int, more: bool) -> None:
    """By default after 20, and after as many as the server gives at most; the last one names no other.

    What is of one age comes by its id.
    """
    items = [{"run_id": f"{number:02}", "display_name": "r"} for number in range(count)]
    request = Request("GET", "", {"page_size": size}, {}, b"")
    limit = 5 if size == "100" else 200
    page = listed(request, "runs", items[::-1], "run_id", limit)
    assert (len(page["runs"]), page["total_size"], "next_page_token" in page) == (first, count, more)
    if more:
        request.query["page_token"] = page["next_page_token"]
        assert listed(request, "runs", items[::-1], "run_id", limit)["runs"] == items[first : first + limit]


def test_a_name_in_other_letters_is_taken() -> None:
    """The database of a real server sees no difference, neither for what is new nor for what is looked for."""
    server = Server()
    assert [asked(server, "POST", "experiments", display_name=name).status for name in ("Ä", "ä", "a")] == [
        200,
        409,
        200,
    ]


def test_a_name_is_taken_in_its_namespace_alone() -> None:
    """Of a pipeline that is its name, which the UI need not show; of an experiment nothing has run yet."""
    server = Server(multi_user=True)
    given = [("a", "x", "alice"), ("b", "x", "alice"), ("a", "y", "alice"), ("a", "x", "bob")]
    pipelines = [
        asked(server, "POST", "pipelines", name=name, display_name=shown, namespace=namespace).status
        for name, shown, namespace in given
    ]
    assert pipelines == [200, 200, 409, 200]
    experiments = [asked(server, "POST", "experiments", display_name="a", namespace=one) for one in ("alice", "bob")]
    assert [json.loads(one.body)["last_run_created_at"] for one in experiments] == [NEVER, NEVER]


def test_a_name_is_measured_in_bytes() -> None:
    """As a real server does it."""
    kfp_api.limited({"name": "ü" * 64}, "name", "Pipeline", 128, "failed")
    with pytest.raises(RefusedError, match="Pipeline.Name length cannot exceed 128"):
        kfp_api.limited({"name": "ü" * 64 + "u"}, "name", "Pipeline", 128, "failed")


def test_steps_come_in_the_order_in_which_they_run() -> None:
    """Whatever the order in the document: by default it is the first of them that fails."""
    tasks = {"a": {"dependentTasks": ["c", "b"]}, "b": {"dependentTasks": ["c"]}, "c": {}}
    spec = {"pipelineInfo": {"name": "x"}, "root": {"dag": {"tasks": tasks}}}
    assert [*steps_of(spec).items()] == [("c", []), ("b", ["c"]), ("a", ["c", "b"])]
    run = {"pipeline_spec": spec, "run_id": "12345-6", "state": "FAILED"}
    assert (found := kfp_runs.workflow(Server(), run)).failing == "c"
    assert (found.name, kfp_runs.workflow(Server(failing="b"), run).failing) == ("x-12345", "b")


@pytest.mark.parametrize("text", ["a%", "a%zzb", "%4", "%7B%"])
def test_what_cannot_be_decoded_twice_is_refused(text: str) -> None:
    """Whatever stands after a percent sign is a code of two digits."""
    with pytest.raises(kfp_protocol.RefusedError, match="failed to decode filter spec: invalid URL escape"):
        kfp_protocol.predicates("runs", {"filter": text})


@pytest.mark.parametrize(
    ("inside", "said"),
    [({"colour": 1}, "unknown field colour of V2beta1RuntimeConfig"), (["x"], "x.* for V2beta1RuntimeConfig")],
    ids=["unknown", "no object"],
)
def test_a_mistake_within_a_request_is_seen(inside: object, said: str) -> None:
    """Each object in another one has its own fields."""
    good = {"display_name": "a", "runtime_config": {"parameters": {"colour": 1}}}
    assert kfp_protocol.known(kfp_server_api.V2beta1Run, good) == good
    with pytest.raises((kfp_protocol.UnknownFieldError, kfp_protocol.UnknownError), match=said):
        kfp_protocol.known(kfp_server_api.V2beta1Run, good | {"runtime_config": inside})


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
