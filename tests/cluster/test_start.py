"""A run is started once, whatever becomes of the answer."""

import datetime as dt
import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import urllib3
from kfp_server_api import ApiException
from support.kfp_server import Server, cut, heard, respond, unheard
from support.submission import STEPS, failure, submitted

from fmnist.cluster import failures, start
from fmnist.cluster.client import ClusterError
from fmnist.cluster.cluster import Cluster, connect
from fmnist.steps.errors import ContractError

pytestmark = pytest.mark.usefixtures("nowhere")

START = STEPS["start run"]


@pytest.mark.parametrize("status", [None, 500, 502, 503, 504, 200, 408])
def test_a_start_whose_answer_is_lost_is_found(
    server: Server, target: Cluster, compiled: Path, status: int | None
) -> None:
    """The error has the run that has started and its link, and none is started besides."""
    server.fail(START, unheard(server, status, Retry_After="7"))
    message = failure(target, compiled)
    [run] = server.runs
    link = f"{server.url}/#/runs/details/{run['run_id']}"
    assert f"But a run of this name has appeared since: {run['run_id']}, {link}. Look there, or wait for it" in message
    assert len(server.asked(START)) == 1
    assert "ry again later" not in message


def test_a_start_that_is_interrupted_may_have_started(
    server: Server, target: Cluster, compiled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while the answer is waited for says where to look, and not that one may start afresh."""
    once = target._client.once

    def interrupted(action: str, *args: Any, **kwargs: Any) -> Any:
        answer = once(action, *args, **kwargs)
        if action == "start run":
            raise KeyboardInterrupt
        return answer

    monkeypatch.setattr(target._client, "once", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        submitted(target, compiled)
    page = f"{server.url}/#/experiments/details/{server.experiments[0]['experiment_id']}"
    said = f"the run 'try' may have started even so: look at {page} before you start it again."
    assert str(caught.value) == said
    assert len(server.runs) == 1


def test_who_interrupts_the_look_before_a_start_has_started_nothing(
    server: Server, target: Cluster, compiled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was asked for that may have worked."""
    once = target._client.once

    def interrupted(action: str, *args: Any, **kwargs: Any) -> Any:
        if action == "find run":
            raise KeyboardInterrupt
        return once(action, *args, **kwargs)

    monkeypatch.setattr(target._client, "once", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        submitted(target, compiled)
    assert (str(caught.value), server.runs) == ("", [])


def test_a_run_that_appears_late_is_found(
    server: Server, target: Cluster, compiled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that was still at it is looked at a few times; of several each is told."""
    slept = list[float]()

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            for run in server.runs:
                run["display_name"] = "try"

    monkeypatch.setattr("fmnist.cluster.start.sleep", sleep)
    for _ in range(3):
        submitted(target, compiled, run_name="late")
    server.fail(START, cut())
    message = failure(target, compiled)
    assert sorted(message.partition("has appeared since: ")[2].partition(". ")[0].split("; ")) == sorted(
        f"{run['run_id']}, {server.url}/#/runs/details/{run['run_id']}" for run in server.runs
    )
    assert slept == [1, 2, 4]


def test_a_look_that_fails_takes_nothing_back(
    server: Server, target: Cluster, compiled: Path, slept: list[float]
) -> None:
    """That no run was there after the start is known, whatever the next look gets."""
    server.fail(START, cut())
    server.fail("GET .*/runs$", heard(server), times=2)
    server.fail("GET .*/runs$", respond(503), times=3)
    assert "No run of this name has appeared so far, but it may have started even so" in failure(target, compiled)
    assert slept == [1, 2, 4]


def test_runs_from_before_are_not_taken_for_it(server: Server, target: Cluster, compiled: Path) -> None:
    """A run of the same name that was there is not the one that may have started."""
    submitted(target, compiled)
    server.clock = lambda: dt.datetime.now(dt.UTC) + dt.timedelta(minutes=1)
    server.fail(START, cut())
    message = failure(target, compiled)
    page = f"{server.url}/#/experiments/details/{server.experiments[0]['experiment_id']}"
    assert f"No run of this name has appeared so far, but it may have started even so: look at {page} bef" in message
    assert len(server.runs) == 1


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_gateway_with_another_clock_hides_no_start(
    server: Server, target: Cluster, compiled: Path, hours: int
) -> None:
    """What was not there before has started since, whatever time anybody thinks it is."""
    submitted(target, compiled)
    server.clock = lambda: dt.datetime.now(dt.UTC) + dt.timedelta(hours=hours)
    target.find_run("try")
    answer = unheard(server, 504)

    def fault(handler: Any) -> None:
        server.clock = lambda: dt.datetime.now(dt.UTC)
        answer(handler)

    server.fail(START, fault)
    message = failure(target, compiled)
    assert f"But a run of this name has appeared since: {server.runs[1]['run_id']}, " in message


@pytest.mark.parametrize("gone", [False, True], ids=["empty", "gone"])
def test_a_token_that_is_lost_after_the_start_hides_no_start(
    server: Server, compiled: Path, tmp_path: Path, gone: bool
) -> None:
    """A token file that is just being replaced is no bad input: the run may have started."""
    token = tmp_path / "token"
    token.write_text("s3cret-token")
    answer = unheard(server, 504)

    def fault(handler: Any) -> None:
        token.unlink() if gone else token.write_text("")
        answer(handler)

    server.fail(START, fault)
    with pytest.raises(ClusterError, match="may have started|has appeared since"):
        submitted(connect(server.url, token_file=token), compiled)


def test_bad_input_after_the_start_hides_no_start(
    server: Server, target: Cluster, compiled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever keeps anybody from looking for the run, the error says that it may have started."""
    once = target._client.once

    def broken(*args: Any, **kwargs: Any) -> Any:
        if server.runs:
            raise ContractError("token: expected one word in token, got 0.")
        return once(*args, **kwargs)

    monkeypatch.setattr(target._client, "once", broken)
    server.fail(START, unheard(server, 504))
    with pytest.raises(ClusterError, match="The run may have started even so, and the server does not list its runs"):
        submitted(target, compiled)


@pytest.mark.parametrize(
    "other",
    [{"display_name": "another", "run_id": "new"}, {"created_at": ""}, {"created_at": None}],
    ids=["name", "no time", "null"],
)
def test_runs_that_may_be_others_are_not_taken_for_it(
    server: Server, target: Cluster, compiled: Path, other: dict[str, Any]
) -> None:
    """A server that does not look at the filter lists others too, and one without a time may be from before."""
    submitted(target, compiled)
    listed = {"runs": [{k: v for k, v in (server.runs[0] | other).items() if v is not None}]}
    server.fail(START, cut())
    server.fail("GET .*/runs$", heard(server))
    server.fail("GET .*/runs$", respond(200, json.dumps(listed).encode()), times=4)
    assert "No run of this name has appeared so far, but it may have started even so" in failure(target, compiled)


def test_a_server_that_lists_no_runs_is_named(server: Server, target: Cluster, compiled: Path) -> None:
    """Where nobody can look, the error says that the run may have started."""
    server.fail(START, respond(503, Retry_After="7"))
    server.fail("GET .*/runs$", heard(server))
    server.fail("GET .*/runs$", respond(503), times=4)
    assert "may have started even so, and the server does not list its runs now" in failure(target, compiled)
    assert len(server.asked(START)) == 1


def test_a_server_that_lists_no_runs_before_tells_of_none_after(
    server: Server, target: Cluster, compiled: Path
) -> None:
    """Nobody knows which was there before; a start that is answered needs no list."""
    server.fail("GET .*/runs$", respond(403), times=2)
    submitted(target, compiled)
    server.fail(START, unheard(server, 504))
    assert "The run may have started even so, and the server does not list its runs now" in failure(target, compiled)


def test_a_busy_server_is_asked_again_if_it_did_nothing(
    server: Server, target: Cluster, compiled: Path, slept: list[float]
) -> None:
    """A server that refuses a start for now, and says for how long, is asked again, but not if the run is there."""
    server.fail(START, respond(429, Retry_After="7"))
    submitted(target, compiled)
    assert (slept, len(server.runs)) == ([7], 1)
    server.clock = lambda: dt.datetime.now(dt.UTC) + dt.timedelta(minutes=1)
    server.fail(START, unheard(server, 429, Retry_After="7"))
    assert "But a run of this name has appeared since: " in failure(target, compiled)
    assert len(server.runs) == 2


def test_a_server_that_stays_busy_is_asked_four_times(
    server: Server, target: Cluster, compiled: Path, slept: list[float]
) -> None:
    """After the last answer nobody waits for another one."""
    server.fail(START, respond(429, Retry_After="7"), times=4)
    assert "got HTTP 429 Too Many Requests" in failure(target, compiled)
    assert (slept, len(server.asked(START))) == ([7, 7, 7], 4)


def test_a_busy_server_that_lists_no_runs_is_not_asked_again(
    server: Server, target: Cluster, compiled: Path, slept: list[float]
) -> None:
    """Only a list without the run says that it did nothing: no list says nothing."""
    server.fail(START, unheard(server, 429, Retry_After="7"))
    server.fail("GET .*/runs$", heard(server))
    server.fail("GET .*/runs$", respond(429))
    message = failure(target, compiled)
    [run] = server.runs
    assert f"got HTTP 429 Too Many Requests. But a run of this name has appeared since: {run['run_id']}, " in message
    assert slept == [7]
    server.clock = lambda: dt.datetime.now(dt.UTC) + dt.timedelta(minutes=1)
    server.fail(START, unheard(server, 429, Retry_After="7"))
    server.fail("GET .*/runs$", heard(server))
    server.fail("GET .*/runs$", respond(503), times=5)
    assert "The run may have started even so, and the server does not list its runs now: " in failure(target, compiled)
    assert (len(server.runs), len(server.asked(START))) == (2, 2)


POOL, CONNECTION = urllib3.HTTPConnectionPool("h"), urllib3.connection.HTTPConnection("h")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (urllib3.exceptions.NewConnectionError(CONNECTION, "refused"), False),
        (urllib3.exceptions.ConnectTimeoutError(POOL, "late"), False),
        (urllib3.exceptions.ProxyError("no way", OSError()), False),
        (urllib3.exceptions.SSLError("not trusted"), False),
        (urllib3.exceptions.ReadTimeoutError(POOL, "/runs", "late"), True),
        (urllib3.exceptions.ProtocolError("cut", OSError()), True),
        *((ApiException(status=status, reason=""), True) for status in (408, 500, 501, 502, 503, 504, 520)),
        *((ApiException(status=status, reason=""), False) for status in (302, 400, 401, 403, 404, 407, 409, 413, 429)),
    ],
    ids=lambda one: one.__class__.__name__ if isinstance(one, Exception) else "",
)
@pytest.mark.parametrize("wrapped", [False, True], ids=["as it is", "wrapped"])
def test_only_what_was_sent_may_have_worked(error: Any, wrapped: bool, expected: bool) -> None:
    """Before a connection stands nothing is sent; afterwards a server that fails may have done it all the same."""
    if wrapped and not isinstance(error, ApiException):
        error = urllib3.exceptions.MaxRetryError(POOL, "/runs", error)
    assert failures.may_have_worked(error) == expected


@pytest.mark.parametrize("status", [401, 403, 404, 413])
def test_a_refusal_is_no_start(server: Server, target: Cluster, compiled: Path, status: int) -> None:
    """What the server refuses has not started, and nobody looks for it but before."""
    server.fail(START, respond(status))
    assert "even so" not in failure(target, compiled)
    assert len(server.asked("GET .*/runs$")) == 1


def test_an_invalid_run_is_bad_input(server: Server, target: Cluster, compiled: Path) -> None:
    """A failure of the server that calls the input invalid is the input's."""
    server.fail(START, respond(500, b'{"code": 13, "message": "Invalid input error: Run name cannot be empty"}'))
    with pytest.raises(ContractError, match="Run name cannot be empty. Check names"):
        submitted(target, compiled)


def test_a_version_that_is_gone_is_named(server: Server, target: Cluster, compiled: Path) -> None:
    """A version that was deleted in the meantime, which the server calls its own failure, is not tried again later."""
    version = target.versions.create(compiled, name="fashion")
    server.versions.clear()
    with pytest.raises(ClusterError, match="HTTP 500 .* It is not there, or was deleted"):
        target.run(version, experiment="first", run_name="try", parameters={})
    assert server.runs == []


# Words


def test_a_start_that_is_refused_is_told_whole(server: Server, target: Cluster, compiled: Path) -> None:
    """And an answer without an id is none."""
    server.fail(START, respond(403))
    assert failure(target, compiled) == (
        f"start run at {server.url}: expected success, got HTTP 403 Forbidden. Check the namespace, and that your "
        "account may do this there."
    )
    server.fail(START, respond(200, b'{"x": 1}'))
    assert "expected success, got an answer without run_id" in failure(target, compiled)


LOST = ClusterError("start run at http://h: expected success, got x. Do y.")


def words(server: Server, target: Cluster, found: list[Any] | None, failure: ClusterError = LOST) -> str:
    """Return what is told of a start that was lost."""
    run = {"display_name": "try", "experiment_id": "e"}
    return str(start._lost(target._client, run, failure, found)).replace(server.url, "URL")


def test_what_may_have_started_is_told_whole(server: Server, target: Cluster) -> None:
    """With where to look, before another one is started."""
    look = "look at URL/#/experiments/details/e before you start it again."
    assert (
        words(server, target, [])
        == f"{LOST} No run of this name has appeared so far, but it may have started even so: {look}"
    )
    assert (
        words(server, target, None)
        == f"{LOST} The run may have started even so, and the server does not list its runs now: {look}"
    )
    assert words(server, target, [{"run_id": "a"}, {"run_id": "b"}]) == (
        f"{LOST} But a run of this name has appeared since: a, URL/#/runs/details/a; b, URL/#/runs/details/b. "
        "Look there, or wait for it, before you start another."
    )


@pytest.mark.parametrize(("kind", "status"), [(failures.TransientError, None), (ClusterError, 408)])
def test_a_remedy_that_tries_again_is_left_out(
    server: Server, target: Cluster, kind: type[ClusterError], status: int | None
) -> None:
    """It would start another run."""
    error = kind("start run at http://h: expected success, got x. Try again.")
    error.status, error.got = status, "a time-out"
    message = words(server, target, [], error)
    assert message.startswith("start run at URL: expected success, got a time-out. No run of this name")


def test_nobody_waits_long_for_a_list_of_runs(target: Cluster, compiled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look has ten seconds, where other requests have a minute."""
    patience, once = list[float](), target._client.once

    def watched(action: str, *args: Any, **limits: Any) -> Any:
        if action == "find run":
            patience.append(limits["patience"])
        return once(action, *args, **limits)

    monkeypatch.setattr(target._client, "once", watched)
    submitted(target, compiled)
    assert patience == [10]


def test_runs_that_are_looked_for_are_few_and_new(
    server: Server, target: Cluster, compiled: Path, slept: list[float]
) -> None:
    """Those of the name in the experiment, newest first, before the start and after it."""
    server.clock = lambda: dt.datetime(2027, 1, 1, tzinfo=dt.UTC)
    server.fail(START, unheard(server, 504))
    assert "has appeared since" in failure(target, compiled)
    before, asked = server.asked("GET .*/runs$")
    assert before.query == asked.query
    query = {name: value for name, value in asked.query.items() if name != "filter"}
    experiment = server.experiments[0]["experiment_id"]
    assert query == {"experiment_id": experiment, "sort_by": "created_at desc", "page_size": "10"}
    assert '"string_value": "try"' in unquote(asked.query["filter"])
    assert slept == []
