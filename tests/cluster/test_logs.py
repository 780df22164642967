"""What is believed of a step's log, from recorded logs of a real server and from hostile ones."""

import json
import re

import pytest
from support import kfp_logs
from support.kfp_logs import RECORDED_RUN, printed, recorded
from support.kfp_server import Server, cut, respond
from support.submission import submitted

from fmnist.cluster import logs
from fmnist.cluster.cluster import Cluster
from fmnist.cluster.logs import Artifact, Log, LogError, Logs
from fmnist.cluster.steps import Step

pytestmark = pytest.mark.usefixtures("nowhere")

ERROR = (
    "DataError: Fashion-MNIST: expected train-images-idx3-ubyte, train-labels-idx1-ubyte from one of these sources, "
    "got from each:\n  - /root/.cache/fmnist: there is no such folder\n"
)


def log(which: str) -> Log:
    """Return a recorded log."""
    return Log(recorded(which).decode())


def forged(accuracy: float, step: str = "test") -> str:
    """Return the line of a launcher, as a step may print it."""
    log = printed(RECORDED_RUN, step, {"metrics": "Metrics"}, metrics={"accuracy": accuracy}).decode()
    return log[log.index("I1126 11:36:16.992518") : log.index("I1126 11:36:17")]


def accuracy(log: Log) -> object:
    """Return the accuracy that a log tells."""
    return log.outputs["metrics"].metadata.get("accuracy")


# Reading


def test_the_outputs_of_a_step_are_those_of_its_launcher() -> None:
    """A recorded log tells each artifact: its type, its address in the store, and its metadata."""
    found = log("test-succeeded").outputs
    assert found.keys() == {"executor-logs", "labels", "metrics", "results"}
    assert found["metrics"].kind == "system.Metrics"
    assert found["metrics"].metadata == {"accuracy": 0.8428, "loss": 0.4295376613456726}
    assert found["labels"].uri == kfp_logs.uri(RECORDED_RUN, "test", "labels")
    assert {name: one.folder for name, one in found.items()} == dict.fromkeys(found, False) | {"labels": True}


def test_the_inputs_of_a_step_are_told_too() -> None:
    """A recorded log tells where its model came from; that of a driver does in its own words."""
    uri = log("test-succeeded").inputs["model"].uri
    assert uri.startswith(f"minio://mlpipeline/v2/artifacts/fashion-mnist/{RECORDED_RUN}/train/")
    of_driver = kfp_logs.driven({"model": kfp_logs.artifact(RECORDED_RUN, "train", "model")}).decode()
    assert Log(of_driver).inputs["model"].uri == kfp_logs.uri(RECORDED_RUN, "train", "model")
    assert Log(of_driver).outputs == {}
    # A step can print what a driver does.
    assert Log(of_driver + recorded("test-succeeded").decode()).inputs["model"].uri == uri


def test_the_error_of_a_step_is_shown_word_for_word() -> None:
    """Of a recorded failure our error is left, to its last word, without traceback and launcher."""
    found = log("train-failed")
    assert found.error.startswith(ERROR)
    assert found.error.endswith("or connect to a network and try again.")
    assert found.exit_code == 1
    assert found.outputs["model"].metadata == {}


def test_what_was_killed_has_no_error_but_its_last_lines() -> None:
    """Of a recorded step that was killed for its memory the exit code and the last lines are left."""
    found = log("train-out-of-memory")
    assert found.exit_code == 137
    assert found.error.splitlines()[-1] == "Killed"
    assert len(found.error.splitlines()) == 5


def said(line: str, where: str = "launcher_v2.go:827") -> str:
    """Return a line of the launcher."""
    return f"W1126 11:36:17.037315      16 {where}] {line}\n"


def test_what_a_step_has_not_written_is_known() -> None:
    """The launcher names where it would be here: below the scheme of its address."""
    uri = "s3://bucket/a:/labels"
    outputs = {"artifacts": {name: {"artifacts": [{"uri": uri + end}]} for name, end in (("a", ""), ("b", "-2"))}}
    outputs["artifacts"]["none"] = {"artifacts": [{"uri": ""}]}
    text = f"[KFP Executor x INFO]: Got executor_input:\n{json.dumps({'outputs': outputs})}\n"
    there = dict.fromkeys(outputs["artifacts"], False)
    assert {name: one.absent for name, one in Log(text).outputs.items()} == there
    text += said('Local filepath "/s3/bucket/a:/labels" does not exist') + said('Local filepath "/s3/" does not exist')
    assert {name: one.absent for name, one in Log(text).outputs.items()} == there | {"a": True}


def test_who_does_not_tell_what_it_has_left_is_known() -> None:
    """A container uploads files, and prints no input of kfp's executor; every step uploads its log."""
    of_log, of_table = (
        said(f'uploadFile(localFilePath="/x", blobFilePath="sort/4c8c7916/{name}")', "object_store.go:297")
        for name in ("executor-logs", "table")
    )
    executor = "[KFP Executor x INFO]: Got executor_input:\n{}\n"
    texts = ("", of_log, of_table, of_log + of_table, executor, executor + of_table)
    assert [Log(text).untold for text in texts] == [False, False, True, True, False, False]


@pytest.mark.parametrize("line", ["main.go:67", "launcher_v2.go:90"])
def test_a_log_without_its_start_is_known(line: str) -> None:
    """Every launcher begins with a line of its own, before which Argo may have one."""
    begun = said("Setting log level to: '1'", line)
    argos = 'time="2026-11-26T11:35:02.832Z" level=info msg="capturing logs" argo=true\n'
    texts = (begun, argos + begun, f"epoch 1\n{begun}", begun[1:], "", said("uploadFile(", "object_store.go:297"))
    assert [Log(text).headless for text in texts] == [False, False, True, True, True, True]


def test_an_error_from_before_a_kill_is_not_its_cause() -> None:
    """A step that shows a handled error, and is killed later, did not die of that error."""
    text = recorded("train-out-of-memory").decode()
    handled = "Traceback (most recent call last):\n  File x\nValueError: handled\n"
    assert "ValueError" not in Log(text.replace("Killed\n", handled + "more\n" * 5 + "Killed\n")).error


TRACEBACK = "Traceback (most recent call last):"
#: What Python says at its exit of an error in what it takes down, as TensorFlow has it.
PASSED_OVER = f"Exception ignored in: <function f at 0x1>\n{TRACEBACK}\n  y\nOdd: at exit\n"


def ended(code: int) -> str:
    """Return what the launcher says of a step that has failed."""
    line = "I1126 11:36:16.992518      16 launcher_v2.go:1] "
    return f"{line}command failed to execute successfully: exit status {code}"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", ""),
        ("no newline", "no newline"),
        ("first" + "x" * 100_000 + "last", "x" * 1_996 + "last"),
        ("\n\n \n", ""),
        ("1\n2\n3\n4\n5\n6\n7", "3\n4\n5\n6\n7"),
        ("Traceback (most recent call last):\n  File", ""),
        ("Traceback (most recent call last):\n  x\nTraceback (most recent call last):\n  y\na.b.Odd: two", "Odd: two"),
        ("Traceback (most recent call last):\n  x\nKeyboardInterrupt", "KeyboardInterrupt"),
        ("Traceback (most recent call last):\n  x\nconcurrent.futures.CancelledError", "CancelledError"),
        ("Traceback (most recent call last):\nOdd: at once", "Odd: at once"),
        (f"{TRACEBACK}\n  x\nOdd: own\n{PASSED_OVER}", "Odd: own"),
        (f"{TRACEBACK}\n  x\nOdd: handled\n{PASSED_OVER}{TRACEBACK}\n  x\nOdd: own\n{PASSED_OVER}", "Odd: own"),
        (f"{PASSED_OVER}last", f"{PASSED_OVER}last"),
        ("Traceback (most recent call last):\n  x\nE is odd", "E is odd"),
        (f"Traceback (most recent call last):\n  x\nOdd: 128\n{ended(128)}", "Odd: 128"),
        (f"Traceback (most recent call last):\n  x\nOdd: 129\nlast\n{ended(129)}", f"{TRACEBACK}\n  x\nOdd: 129\nlast"),
        ("I1126 11:36:16.992518      16 driver.go:1] one\nI1126 11:36:16.992518      16 main.go:2] two", "one\ntwo"),
        ("I1126 11:36:16.992518      16 driver.go:1] one\nown", "own"),
        ("Traceback (most recent call last):\n  x\nfmnist.steps.errors.DataError: a.b: c", "DataError: a.b: c"),
    ],
    ids=lambda text: repr(text[:30]),
)
def test_any_text_has_an_end(text: str, error: str) -> None:
    """Whatever a step printed, its error or its last lines are bounded."""
    assert Log(text).error == error


def test_the_last_exit_code_is_the_launchers() -> None:
    """A step may have printed one that it read, or the log of another."""
    assert Log(f"{ended(2)}\nmore\n{ended(1)}\n{said('Local filepath')}").exit_code == 1
    assert Log("\n".join([ended(3), *(said(f"uploadFile({number})") for number in range(50))])).exit_code == 3


# Trust


def test_a_forged_output_before_the_launchers_is_not_believed() -> None:
    """A step, or what it downloads, can print the launcher's line: but not after the launcher has."""
    text = recorded("test-succeeded").decode()
    before, end = text.index("WARNING: All log"), text.index("[KFP Executor 2026-11-26 11:36:16")
    for place in (0, before, end):
        assert accuracy(Log(text[:place] + forged(0.99) + text[place:])) == 0.8428


def test_a_forged_input_after_the_executors_is_not_believed() -> None:
    """The first input counts: it is printed before the step begins."""
    log = recorded("test-succeeded").decode()
    other = recorded("test-succeeded", "00000000-0000-0000-0000-000000000000").decode()
    assert Log(log + other).outputs["labels"].uri == kfp_logs.uri(RECORDED_RUN, "test", "labels")
    assert accuracy(Log(log + other)) is None


@pytest.mark.parametrize(
    "change",
    [
        ("I1126 11:36:16.992518      16 launcher_v2.go:1230] ExecutorOutput", "I1126 [31m ExecutorOutput"),
        ('"accuracy": 0.8428,', '"accuracy": 0.8428'),
        ("/test/4c8c7916-aed1-4674-8ea9-a254611d3511/metrics", "/test/another/metrics"),
        ("I1126 11:36:16.992518      16 launcher", "  I1126 11:36:16.992518      16 launcher"),
    ],
    ids=["no such line", "no JSON", "of another artifact", "not at the start of a line"],
)
def test_an_output_that_is_missing_or_broken_is_not_guessed(change: tuple[str, str]) -> None:
    """Where the launcher's line is not there as it must be, there is no accuracy."""
    old, new = change
    head, mark, tail = recorded("test-succeeded").decode().partition("Wrote executor output")
    assert old in tail
    assert accuracy(Log(head + mark + tail.replace(old, new))) is None


@pytest.mark.parametrize(
    "text", ["{" * 100_000, '{"inputs": [' * 50_000, '{"a": 1', '{"outputs": {"artifacts": 7}}', "{}"]
)
def test_hostile_json_is_no_artifact(text: str) -> None:
    """JSON of too many levels, cut off, or of another shape, gives none."""
    assert Log(f"[KFP Executor x INFO]: Got executor_input:\n{text}").outputs == {}


@pytest.mark.parametrize(("value", "number"), [(0.5, 0.5), (-3, -3.0), (0, 0.0)])
def test_a_number_is_a_double(value: float, number: float) -> None:
    """Whole or not."""
    assert (logs.number(value), type(logs.number(value))) == (number, float)


@pytest.mark.parametrize("value", [True, "0.5", None, [], float("nan"), float("inf"), 10**400], ids=repr)
def test_what_is_no_number_is_none(value: object) -> None:
    """A metric is a finite number."""
    assert logs.number(value) is None


# Fetching


def reader(target: Cluster, run_id: str, namespace: str | None = None) -> Logs:
    """Return what reads the logs of a run."""
    return Logs(target._client, {"run_id": run_id, "created_at": "2026-11-26T12:35:43Z"}, namespace)


TEST = Step("test", "SUCCEEDED", None, (kfp_logs.node("none"), kfp_logs.executor("test")))


@pytest.mark.parametrize("ui", [False, True], ids=["API", "UI"])
def test_the_log_is_where_the_host_has_it(server: Server, target: Cluster, ui: bool) -> None:
    """At the API's address and at the UI's the same log is found, though a node that is none answers as well."""
    server.store.ui = ui
    server.store.logs[kfp_logs.executor("test")] = recorded("test-succeeded")
    assert reader(target, RECORDED_RUN).of(TEST).text == recorded("test-succeeded").decode()


def test_the_ui_is_told_the_namespace(server: Server, target: Cluster) -> None:
    """With several users the pod is in their namespace."""
    server.store.ui = True
    server.store.logs[kfp_logs.executor("test")] = recorded("test-succeeded")
    for namespace in (None, "al-ice"):
        reader(target, RECORDED_RUN, namespace).of(TEST)
    assert [one.query for one in server.asked("/k8s/pod/logs")[-2:]] == [
        {
            "podname": re.sub(r"(?=-\d+$)", "-system-container-impl", node),
            "runid": RECORDED_RUN,
            "podnamespace": "al-ice",
            "createdat": "2026-11-26",
        }
        for node in TEST.nodes
    ]
    assert {one.query["podnamespace"] for one in server.asked("/k8s/pod/logs")[:-2]} == {"kubeflow"}


def test_the_host_is_taken_for_the_uis_once_it_is(server: Server, target: Cluster) -> None:
    """The API's address is not tried for each log."""
    server.store.ui = True
    server.store.logs[kfp_logs.executor("test")] = recorded("test-succeeded")
    read = reader(target, RECORDED_RUN)
    assert read.of(TEST) == read.of(TEST)
    assert [len(server.asked(path)) for path in ("v1alpha1", "/k8s/pod/logs")] == [2, 4]
    server.fail("GET .*/pod/logs", respond(403))
    with pytest.raises(LogError, match=f"^the log of test cannot be had: read a log at {server.url}: .* HTTP 403"):
        read.of(TEST)


def test_a_log_that_begins_with_a_tag_is_no_page(server: Server, target: Cluster) -> None:
    """What a step printed may be anything, and a long log has lost its start."""
    server.store.logs[kfp_logs.executor("test")] = b"<p>a step prints</p>\n" + recorded("test-succeeded")
    log = reader(target, RECORDED_RUN).of(TEST)
    assert (log.text[:20], log.headless, "results" in log.outputs) == ("<p>a step prints</p>", True, True)


def test_the_api_is_asked_for_what_is_there_now(server: Server, target: Cluster) -> None:
    """It must not wait for more; names are parts of the address whatever they hold."""
    with pytest.raises(LogError):
        reader(target, "a/b").of(Step("test", "FAILED", None, ("n/o-1",)))
    [asked] = server.asked("log")
    assert (asked.path, asked.query) == ("/apis/v1alpha1/runs/a%2Fb/nodes/n%2Fo-1/log", {"follow": "false"})


def test_a_step_in_a_loop_has_its_log(server: Server, target: Cluster) -> None:
    """Its name has the number of the iteration behind, which the store does not know."""
    server.store.logs[kfp_logs.executor("test")] = recorded("test-succeeded")
    assert reader(target, RECORDED_RUN).of(Step("test 3", "SUCCEEDED", None, TEST.nodes)).exit_code is None


@pytest.mark.parametrize(
    ("fault", "said", "times"),
    [
        (respond(401), "read a log at URL: expected success, got HTTP 401 Unauthorized. Give a valid token", 1),
        (respond(403), "read a log at URL: expected success, got HTTP 403 Forbidden. Check the namespace", 1),
        (respond(500, b"no"), "read a log at URL: expected success, got HTTP 500 Internal Server Error: no.", 2),
        (respond(404), "read a log at URL: expected success, got HTTP 404 Not Found. Check the address", 4),
        (respond(200, b" <html>"), "the server answered with a page, perhaps of a login", 2),
    ],
)
def test_who_may_not_read_a_log_asks_once(
    server: Server, target: Cluster, fault: object, said: str, times: int
) -> None:
    """Each other answer may be one about this node alone; the next step is asked about, as a token may be renewed."""
    server.fail("GET .*/log", fault, times=9)  # type: ignore[arg-type]
    logs = reader(target, RECORDED_RUN)
    with pytest.raises(LogError) as caught:
        logs.of(TEST)
    message = str(caught.value)
    assert message.startswith(f"the log of test cannot be had: {said.replace('URL', server.url)}")
    assert not message.endswith(".")
    assert len(server.asked("/log")) == times
    with pytest.raises(LogError):
        logs.of(TEST)
    assert len(server.asked("/log")) == 2 * times


class Chunks:
    """A response that comes in chunks."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = list(chunks)

    def read1(self, size: int) -> bytes:
        """Give the next one."""
        assert size == 65_536
        return self.chunks.pop(0) if self.chunks else b""


@pytest.mark.parametrize(
    ("chunks", "text"),
    [
        ([b"ab", b"cdef", b"ghij", b"kl"], "abcdefghijkl"),
        ([b"ab", b"cdef", b"ghij", b"kl", b"m"], "abcd\n(cut)\njklm"),
        ([b"abcdefghijklmnop"], "abcd\n(cut)\nmnop"),
        ([b"ab\xff", b"c\xfe"], "ab\ufffdc\ufffd"),
        (["abc☃d".encode()], "abc☃d"),
        ([], ""),
    ],
)
def test_start_and_end_are_kept(monkeypatch: pytest.MonkeyPatch, chunks: list[bytes], text: str) -> None:
    """All of what is not longer than three times what is kept; else it is said that something lacks."""
    monkeypatch.setattr(logs, "KEPT", 4)
    monkeypatch.setattr(logs, "MOST", 16)
    assert logs._text(Chunks(*chunks)) == text
    with pytest.raises(LogError) as caught:
        logs._text(Chunks(b"abcdefghijklmnop", b"q"))
    monkeypatch.setattr(logs, "MOST", 1_000_000)
    with pytest.raises(LogError, match="it is longer than 0 MiB"):
        logs._text(Chunks(bytes(1_000_001)))
    assert str(caught.value) == "it is longer than 0 MiB, or took longer than 60 s"


def test_an_artifact_is_told_whole() -> None:
    """Of several of one name the first; what it lacks is nothing."""
    given = {
        "a": {
            "artifacts": [{"uri": "u/a", "type": {"schemaTitle": "system.Model"}, "metadata": {"x": 1}}, {"uri": "b"}]
        },
        "b": {"artifacts": [{"uri": "u/b", "type": None, "metadata": [1]}]},
        "c": {"artifacts": []},
    }
    text = f"[KFP Executor x INFO]: Got executor_input:\n{json.dumps({'inputs': {'artifacts': given}})}"
    assert Log(text).inputs == {
        "a": Artifact("a", "system.Model", "u/a", {"x": 1}),
        "b": Artifact("b", "", "u/b", {}),
    }


def test_the_log_of_another_step_or_run_is_not_taken(server: Server, target: Cluster) -> None:
    """A node may lead to another step's pod, and its accuracy is another's."""
    server.store.logs[kfp_logs.executor("test")] = recorded("test-succeeded")
    with pytest.raises(LogError, match="the log of train cannot be had"):
        reader(target, RECORDED_RUN).of(Step("train", "SUCCEEDED", None, TEST.nodes))
    with pytest.raises(LogError, match="the log of test cannot be had"):
        reader(target, "another-run").of(TEST)
    server.store.logs[kfp_logs.executor("test")] = printed(RECORDED_RUN, "test-2", {"metrics": "Metrics"})
    with pytest.raises(LogError, match="the log of test cannot be had"):
        reader(target, RECORDED_RUN).of(TEST)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (respond(403), "HTTP 403 Forbidden"),
        (respond(401), "HTTP 401"),
        (respond(500, b'{"message": "archive\x1b[31m"}'), "HTTP 500 .*archive"),
        (respond(200, b"<!doctype html><title>Log in</title>", Content_Type="text/html"), "a page, perhaps of a login"),
        (respond(302, Location="https://login.example/?token=s3cret"), "to https://login.example/"),
        (respond(200, b"\x00\xff" * 1000), "the server has none for it"),
        (respond(200), "the server has none for it"),
        (cut(), "cut|reset|closed"),
    ],
    ids=["403", "401", "500", "login page", "redirection", "bytes", "nothing", "cut"],
)
def test_a_log_that_cannot_be_had_is_said_so(server: Server, target: Cluster, fault: object, message: str) -> None:
    """Whatever comes in the place of a log, the error says plainly that there is none, and why."""
    server.fail("GET .*/log", fault, times=2)  # type: ignore[arg-type]
    with pytest.raises(LogError, match=f"the log of test cannot be had: .*{message}") as caught:
        reader(target, RECORDED_RUN).of(TEST)
    assert "\x1b" not in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_of_a_huge_log_start_and_end_are_kept(server: Server, target: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log of any length takes little memory: the inputs at its start and the outputs at its end are enough."""
    monkeypatch.setattr(logs, "KEPT", 2**15)
    text = recorded("test-succeeded")
    middle = text.index(b"WARNING: All log")
    server.store.logs[kfp_logs.executor("test")] = text[:middle] + b"noise\n" * 200_000 + text[middle:]
    found = reader(target, RECORDED_RUN).of(TEST)
    assert len(found.text) < 100_000
    assert accuracy(found) == 0.8428


def test_a_log_without_an_end_is_not_believed(server: Server, target: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what is too long to be read to its end, or too slow, nobody could tell which line is the launcher's."""
    monkeypatch.setattr(logs, "MOST", 2**20)
    server.store.logs[kfp_logs.executor("test")] = recorded("test-succeeded") + b"noise\n" * 400_000
    with pytest.raises(LogError, match="it is longer than 1 MiB"):
        reader(target, RECORDED_RUN).of(TEST)
    monkeypatch.setattr(logs, "LONGEST", -1.0)
    server.store.logs[kfp_logs.executor("test")] = recorded("test-succeeded")
    with pytest.raises(LogError, match="or took longer than -1 s"):
        reader(target, RECORDED_RUN).of(TEST)


def test_a_submitted_run_asks_for_no_log(server: Server, target: Cluster, compiled: str) -> None:
    """While a run goes on its logs are left alone."""
    submitted(target, compiled)  # type: ignore[arg-type]
    assert server.asked("log") == []
    assert re.search("runs", server.requests[-1].path)
