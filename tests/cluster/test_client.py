"""Faults between the client and a cluster, each planted in a strict API server on this machine."""

import datetime as dt
import io
import re
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import urllib3
from kfp_server_api import ApiException
from support import kfp_server
from support.kfp_server import Handler, Server, cut, dribble, hang, respond, send, serving
from support.submission import STEPS, failure, submitted

from fmnist.cluster import client
from fmnist.cluster.client import ClusterError, TransientError
from fmnist.cluster.cluster import Cluster, connect

pytestmark = pytest.mark.usefixtures("nowhere")


@pytest.mark.parametrize("action", STEPS)
def test_an_error_names_host_action_and_status(server: Server, target: Cluster, compiled: Path, action: str) -> None:
    """Whichever request fails, one error says which it was, where, and what the server said."""
    server.fail(STEPS[action], respond(500, b'{"code": 13, "message": "database\\n is gone."}'))
    remedy = "Try again later; if it stays, the log of the ml-pipeline server or of the proxy says why."
    if action == "start run":
        remedy = "No run of this name has appeared so far, but it may have started even so: look at "
    expected = f"{action} at {server.url}: expected success, got HTTP 500 Internal Server Error: database is gone. "
    assert failure(target, compiled).startswith(expected + remedy)


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (400, "Check names, namespace and parameters"),
        (401, r"Give a valid token, in a file or in \$FMNIST_KFP_TOKEN, or cookies in \$FMNIST_KFP_COOKIES"),
        (403, "Check the namespace, and that your account may"),
        (404, "the host may not be the Pipelines API of version 2, or lack a path"),
        (405, "the host may not be the Pipelines API of"),
        (409, "try again, or choose another name"),
        (413, "The file is too large for the server or a proxy: raise the limit"),
        (429, "The server is busy"),
        (500, "the log of the ml-pipeline server"),
        (502, "or of the proxy"),
        (503, "Try again later"),
        (504, "Try again later"),
    ],
)
def test_each_status_has_a_remedy(server: Server, target: Cluster, compiled: Path, status: int, remedy: str) -> None:
    """The error for a status says what to do, and shows the text of a proxy's page without its markup."""
    server.fail(STEPS["upload version"], respond(status, b"<html><h1>Oh, no</h1><hr>proxy</html>"))
    message = failure(target, compiled)
    assert re.search(
        rf"^upload version at {server.url}: expected success, got HTTP {status} .*: Oh, no proxy\. ", message
    )
    assert re.search(remedy, message)
    assert len(server.asked("upload_version")) == 1


@pytest.mark.parametrize(
    "page",
    [
        b"<html><head><STYLE media=all>a > b {color: red}</STYLE><title>Sign in</title></head>Oh, no</html>",
        b"<!doctype html>Sign in<script>if (1 < 2) {}</script><!-- <b>old</b> --> Oh, no",
        b"<html>Sign in<p>Oh, no<style>body {",
        b"Sign in <svg style='x'/>Oh, no<script src=x></script >",
    ],
)
def test_a_page_is_shown_without_its_code(server: Server, target: Cluster, compiled: Path, page: bytes) -> None:
    """What a proxy's page says to people is told; its styles and scripts are not. It may want a login."""
    server.fail(STEPS["find pipeline"], respond(403, page))
    assert failure(target, compiled) == (
        f"find pipeline at {server.url}: expected success, got HTTP 403 Forbidden: Sign in Oh, no. "
        "Check the namespace, and that your account may do this there. If it is the page of a login: Give a valid "
        "token, in a file or in $FMNIST_KFP_TOKEN, or cookies in $FMNIST_KFP_COOKIES."
    )


@pytest.mark.parametrize("body", [b"<html>please log in</html>", b"", b"[]", b"\xff\xfe"])
@pytest.mark.parametrize("action", STEPS)
def test_an_answer_that_is_not_the_apis_is_refused(
    server: Server, target: Cluster, compiled: Path, action: str, body: bytes
) -> None:
    """An answer that is not a JSON object, which kfp's client would take for an empty one, is an error."""
    server.fail(STEPS[action], respond(200, body))
    pattern = f"^{action} at {server.url}: .* got no JSON of the Pipelines API, but: .* It may be a login page"
    assert re.search(pattern, failure(target, compiled))


@pytest.mark.parametrize("body", [b'{"pipelines": [', b' {"runs": [{"run_id": "a"}', b'{"name": "\xe2\x82'])
@pytest.mark.parametrize("action", STEPS)
def test_half_an_answer_is_no_login(server: Server, target: Cluster, compiled: Path, action: str, body: bytes) -> None:
    """A proxy may cut an answer, with the length of what is left: the error says so, and that it may pass."""
    server.fail(STEPS[action], respond(200, body))
    message = failure(target, compiled)
    assert message.startswith(f"{action} at {server.url}: expected success, got half of an answer: {{")
    assert "login" not in message
    assert len(server.asked(STEPS["start run"])) <= 1


@pytest.mark.parametrize(
    ("action", "key"),
    [
        ("create pipeline", "pipeline_id"),
        ("upload version", "pipeline_version_id"),
        ("read version", "pipeline_spec"),
        ("create experiment", "experiment_id"),
        ("start run", "run_id"),
    ],
)
def test_an_answer_without_what_is_wanted_is_refused(
    server: Server, target: Cluster, compiled: Path, action: str, key: str
) -> None:
    """A JSON object of another API is an error."""
    server.fail(STEPS[action], respond(200, b'{"kind": "Status"}'))
    expected = f"{action} at {server.url}: expected success, got an answer without {key}. It may be a login page, or "
    assert failure(target, compiled).startswith(expected)


def test_an_error_in_another_encoding_is_an_error(server: Server, target: Cluster, compiled: Path) -> None:
    """An error page in Latin-1, on which kfp's client fails, gives one error, with its status."""
    server.fail(STEPS["start run"], respond(500, "schön".encode("latin-1")))
    assert "got HTTP 500 Internal Server Error: sch\ufffdn." in failure(target, compiled)
    server.fail("GET .*/some", respond(409, "schön".encode("latin-1")))
    with pytest.raises(ClusterError) as caught:
        target._client.read("some")
    assert caught.value.status == 409


@pytest.mark.parametrize(
    "fault", [cut(), cut(after=1000), kfp_server.truncate], ids=["at once", "in the upload", "in the answer"]
)
def test_a_cut_connection_is_an_error(server: Server, target: Cluster, compiled: Path, fault: kfp_server.Fault) -> None:
    """A connection that ends in the middle of something gives one error; the same command then succeeds."""
    server.fail(STEPS["upload version"], fault)
    got = "got a connection that was cut: "
    assert failure(target, compiled).startswith(f"upload version at {server.url}: expected success, {got}")
    submitted(target, compiled)
    assert (len(server.pipelines), len(server.versions)) == (1, 1)


def test_a_large_upload_that_is_cut_is_an_error(
    server: Server, target: Cluster, compiled: Path, tmp_path: Path
) -> None:
    """A server that leaves while a file is still being sent gives the same error."""
    large = tmp_path / "large.yaml"
    large.write_text(compiled.read_text() + "#" * 4_000_000)
    server.fail(STEPS["upload version"], cut(after=1000))
    assert re.search(r"^upload version .* cut: .* A proxy may also limit size or time", failure(target, large))


def test_a_server_that_does_not_answer_is_an_error(
    server: Server, target: Cluster, compiled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request ends by itself, and says so."""
    monkeypatch.setattr(client, "READ_TIMEOUT", 0.2)
    server.fail(STEPS["find pipeline"], hang(server))
    assert "got no answer in time (time-out). Check the network" in failure(target, compiled)


def test_an_answer_that_dribbles_is_none_in_time(server: Server, target: Cluster) -> None:
    """Each byte comes in time, and the whole never does."""
    server.fail("healthz", dribble(server))
    begun = time.monotonic()
    with pytest.raises(TransientError, match=f"^ask at {server.url}: expected success, got no answer in time "):
        target._client.once("ask", target._client.healthzs.healthz_service_get_healthz, patience=0.1)
    assert time.monotonic() - begun < 5


def test_a_refusal_that_dribbles_is_none_in_time(server: Server, target: Cluster) -> None:
    """As an answer, be it sent for or fetched; the status alone says little."""
    statuses = [300, 503, 503]

    def refuse(handler: Handler) -> None:
        send(handler, statuses.pop(), b"{", Content_Length="1000000")
        while not server.stopping.wait(0.02):
            handler.wfile.flush()
            handler.wfile.write(b" ")

    server.fail("healthz", refuse, times=3)
    begun, client = time.monotonic(), target._client
    sent_for = client.healthzs.healthz_service_get_healthz
    for ask in (sent_for, partial(client._get, "/apis/v2beta1/healthz", {}), sent_for):
        with pytest.raises(TransientError, match=f"^ask at {server.url}: expected success, got no answer in time "):
            client.once("ask", ask, patience=0.1)
    assert time.monotonic() - begun < 5


def test_an_endless_answer_is_refused(server: Server, target: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would fill the memory long before the minute is over."""
    monkeypatch.setattr(client, "MOST", 1_000_000)
    server.fail("healthz", respond(200, b"{}" + 999_998 * b" "))
    assert target._client.once("ask", target._client.healthzs.healthz_service_get_healthz) == {}
    server.fail("healthz", respond(200, b"{}" + 999_999 * b" "))
    with pytest.raises(ClusterError, match=f"^ask at {server.url}: expected success, got more than 0 MiB. It may be"):
        target._client.once("ask", target._client.healthzs.healthz_service_get_healthz)
    server.fail("healthz", respond(500, b"x" + 1_000_000 * b" "))
    with pytest.raises(ClusterError, match=f"^ask at {server.url}: expected success, got more than 0 MiB. It may be"):
        target._client.once("ask", target._client.healthzs.healthz_service_get_healthz)


def test_a_server_that_is_not_there_is_an_error() -> None:
    """Where nobody listens, the error says so."""
    with serving() as server:
        url = server.url
    with pytest.raises(ClusterError, match=f"^connect at {url}: .* no connection: .*Connection refused. Check the net"):
        connect(url)


def test_a_host_without_address_is_an_error() -> None:
    """A host that no name server knows gives an error that names it."""
    with pytest.raises(
        ClusterError, match="^connect at https://nowhere.invalid: expected success, got no connection: "
    ):
        connect("nowhere.invalid")


def test_another_api_is_an_error(server: Server) -> None:
    """A wrong path is noticed at the start."""
    server.fail("jupyter", respond(404))
    with pytest.raises(ClusterError, match=r"^connect at http://.*/jupyter: .*HTTP 404 .* lack a path"):
        connect(f"{server.url}/jupyter")


def test_a_login_page_is_an_error_and_gets_no_token(server: Server, compiled: Path) -> None:
    """A redirection is not followed, as a token would go along."""
    with serving() as other:
        server.fail("healthz", respond(302, Location=f"{other.url}/login?state=abc"))
        with pytest.raises(ClusterError, match=rf"HTTP 302 Found, to {other.url}/login. It may be a login page: Give"):
            connect(server.url)
        assert other.requests == []


def test_a_busy_server_is_asked_again_when_it_says(
    server: Server, target: Cluster, compiled: Path, slept: list[float]
) -> None:
    """Retry-After is honoured, up to a minute each time."""
    server.fail(STEPS["upload version"], respond(429, Retry_After="7"))
    server.fail(STEPS["upload version"], respond(503, Retry_After="86400"))
    server.fail(STEPS["upload version"], respond(503, Retry_After="0"))
    submitted(target, compiled)
    assert slept == [7, 60, 0]
    assert len(server.versions) == 1


def test_a_server_that_stays_busy_is_left_alone(
    server: Server, target: Cluster, compiled: Path, slept: list[float]
) -> None:
    """After a few times, that the server is busy is an error."""
    server.fail(STEPS["start run"], respond(429, Retry_After="7"), times=10)
    assert "got HTTP 429 Too Many Requests. The server is busy" in failure(target, compiled)
    assert slept == [7, 7, 7]
    assert len(server.asked(STEPS["start run"])) == 4


def test_a_question_is_put_four_times(server: Server, target: Cluster, compiled: Path, slept: list[float]) -> None:
    """The fourth answer counts, whatever it is; each time it is the same question."""
    run = submitted(target, compiled)
    del slept[:]
    asked, read = target._client.ask, f"GET .*/runs/{run.id}$"
    call = target._client.runs.run_service_get_run
    server.fail(read, respond(429, Retry_After="7"), times=3)
    assert asked("look", call, run.id, experiment_id="e")["run_id"] == run.id
    server.fail(read, respond(429, Retry_After="7"), times=4)
    with pytest.raises(TransientError, match=f"^look at {server.url}: expected success, got HTTP 429 "):
        asked("look", call, run.id, experiment_id="e")
    assert slept == [7] * 6
    assert len(found := server.asked(read)) == 8
    assert found[3].query == {"experiment_id": "e"}
    # A refusal is none that passes, whatever a gateway says of it.
    server.fail(read, respond(403, Retry_After="7"))
    with pytest.raises(ClusterError, match="got HTTP 403 Forbidden"):
        asked("look", call, run.id)
    assert len(server.asked(read)) == 9


@pytest.mark.parametrize(
    "value", ["-1", "soon", "Wed, 21 Oct 2026 07:28:00 GMT", "", "7 s", "7, 8", "1e3", "0x7", "7.5"]
)
def test_an_odd_retry_after_is_no_reason_to_wait(
    server: Server, target: Cluster, compiled: Path, slept: list[float], value: str
) -> None:
    """Without a number of seconds, a busy server is an error at once."""
    server.fail(STEPS["start run"], respond(429, Retry_After=value))
    assert "HTTP 429" in failure(target, compiled)
    assert slept == []


# What an error and an answer know


def test_an_error_knows_what_came(server: Server, target: Cluster) -> None:
    """Its status, the server's words, whether the request may have worked, and when to ask again."""
    read = target._client.read
    server.fail("GET .*/some", respond(503, b"so\nbusy.", Retry_After="7"))
    with pytest.raises(TransientError) as busy:
        read("some")
    assert str(busy.value) == (
        f"read some at {server.url}: expected success, got HTTP 503 Service Unavailable: so busy. "
        "Try again later; if it stays, the log of the ml-pipeline server or of the proxy says why."
    )
    server.fail("GET .*/some", respond(404, b"no"))
    with pytest.raises(ClusterError) as lacking:
        read("some")
    server.fail("GET .*/some", cut())
    with pytest.raises(TransientError) as lost:
        read("some")
    known = [(one.status, one.got, one.unsure, one.pause) for one in (busy.value, lacking.value, lost.value)]
    assert known[:2] == [
        (503, "HTTP 503 Service Unavailable: so busy", True, 7.0),
        (404, "HTTP 404 Not Found: no", False, None),
    ]
    assert known[2][0] is None
    assert known[2][2:] == (True, None)


def test_an_answer_is_waited_for_as_long_as_is_said(server: Server, target: Cluster) -> None:
    """Also where it is read by a path."""
    server.fail("GET .*/some", hang(server))
    with pytest.raises(ClusterError, match="got no answer in time"):
        target._client.read("some", patience=0.1)


@pytest.mark.parametrize(("length", "shown"), [(380, 380 * "x"), (381, 380 * "x" + " ...")])
def test_a_long_answer_is_cut(server: Server, target: Cluster, length: int, shown: str) -> None:
    """Its first 400 characters, with the status, are enough to know it."""
    server.fail("GET .*/some", respond(403, length * b"x"))
    with pytest.raises(ClusterError) as caught:
        target._client.read("some")
    assert caught.value.got == f"HTTP 403 Forbidden: {shown}"


@pytest.mark.usefixtures("abroad")
def test_the_servers_time_is_that_of_its_last_answer(server: Server, target: Cluster) -> None:
    """In the API's own words, whatever time it is here; a server may not say it, and a proxy writes it small."""
    server.clock = lambda: dt.datetime(2026, 2, 3, 4, 5, 6, tzinfo=dt.UTC)
    server.artifacts = []
    target._client.read("artifacts")
    assert target._client.now == "2026-02-03T04:05:06Z"
    server.fail("GET .*/artifacts", respond(200, b"{}", Date="soon"))
    target._client.read("artifacts")
    assert client._time("Wed, 21 Oct 2026 07:28:00 GMT") == "2026-10-21T07:28:00Z"
    assert client._time("Wed, 21 Oct 2026 09:28:00 +0200") == "2026-10-21T07:28:00Z"
    assert client._time("Wed, 21 Oct 2026 07:28:00 -0000") == "2026-10-21T07:28:00Z"
    assert client._time("Fri, 31 Dec 9999 23:00:00 -0200") == ""
    assert client._time(None) == client._time("soon") == ""
    date = {"date": "Wed, 21 Oct 2026 07:28:00 GMT"}
    proxied = urllib3.HTTPResponse(io.BytesIO(b"{}"), date, preload_content=False)
    target._client.once("ask", lambda **_: proxied)
    assert target._client.now == "2026-10-21T07:28:00Z"
    dateless = urllib3.HTTPResponse(io.BytesIO(b"{}"), {}, preload_content=False)
    target._client.once("ask", lambda **_: dateless)
    assert not target._client.now


@pytest.mark.parametrize(
    ("patience", "limits"), [(60.0, (10.0, 60.0)), (7.0, (7.0, 7.0)), (20.0, (10.0, 20.0)), (100.0, (10.0, 60.0))]
)
def test_nobody_waits_longer_than_a_minute(target: Cluster, patience: float, limits: tuple[float, float]) -> None:
    """Ten seconds for a connection, and a minute for the next part of an answer, unless less is left."""
    given = target._client._tried("ask", lambda **given: given, patience)
    assert given == {"_preload_content": False, "_request_timeout": limits}


def test_each_way_to_ask_has_a_minute(server: Server, target: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless the caller has less."""
    patience = list[float]()
    tried = client.Client._tried

    def watched(self: client.Client, action: str, request: Any, most: float) -> Any:
        patience.append(most)
        return tried(self, action, request, most)

    monkeypatch.setattr(client.Client, "_tried", watched)
    server.artifacts = []
    target._client.read("artifacts")
    target._client.fetch("fetch", "/apis/v2beta1/artifacts", lambda response: response.read())
    target._client.once("ask", target._client.healthzs.healthz_service_get_healthz, patience=7.0)
    target._client.once("ask", target._client.healthzs.healthz_service_get_healthz)
    assert patience == [60, 60, 7, 60]


def test_what_is_fetched_is_left_alone_after_it_was_taken(server: Server, target: Cluster) -> None:
    """Also when taking it fails: the rest of an endless body is never asked for."""
    server.artifacts, responses = [{"artifact_id": "one"}], list[Any]()

    def take(response: Any) -> bytes:
        responses.append(response)
        part = bytes(response.read1(4))
        if len(responses) > 1:
            raise ClusterError("of the caller")
        return part

    fetch = target._client.fetch
    assert fetch("fetch", "/apis/v2beta1/artifacts", take, page_size="5") == b'{"ar'
    with pytest.raises(ClusterError, match=r"^of the caller$"):
        fetch("fetch", "/apis/v2beta1/artifacts", take)
    assert [response.closed for response in responses] == [True, True]
    assert [request.query for request in server.asked("/artifacts")] == [{"page_size": "5"}, {}]


# The server


def test_a_refusal_in_no_encoding_is_read_all_the_same() -> None:
    """Only where kfp's client failed on the text of a refusal: other errors stay what they are."""
    refused, unreadable = ApiException(status=400), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "y")
    refused.body = b"no \xff"
    unrelated = ValueError("x")
    unrelated.__context__ = refused
    assert [client._refusal(one) for one in (unrelated, unreadable, refused)] == [unrelated, unreadable, refused]
    assert refused.body == b"no \xff"
    unreadable.__context__ = refused
    assert client._refusal(unreadable) is refused
    assert refused.body == "no \ufffd"
