"""The files of a run, from a store as a real cluster has it."""

import gzip
import io
import re
import tarfile
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support import kfp_logs
from support.kfp_logs import CONTENT, FILES, SUCCEEDED, archive, key, leave, look, nested, printed, uri
from support.kfp_protocol import Raw
from support.kfp_server import Request, Server, cut, hang, heard, respond, serving
from support.submission import submitted

from fmnist.cluster import download
from fmnist.cluster.artifacts import Found
from fmnist.cluster.client import ClusterError
from fmnist.cluster.cluster import connect
from fmnist.cluster.download import MissingError
from fmnist.cluster.logs import Artifact
from fmnist.cluster.run import Run
from fmnist.kubeflow.signature import types_of
from fmnist.pipeline import COMPONENTS
from fmnist.steps.files import ARTIFACT_FILES

pytestmark = pytest.mark.usefixtures("nowhere")


def test_a_folder_is_known_by_what_was_uploaded(server: Server, run: Run) -> None:
    """Of another pipeline the log tells which artifact is a folder; its files lie below its step and its name."""
    log = printed(run.id, "train", {"lists": "Dataset", "one": "Dataset"}).decode()
    blob = key(run.id, "train", "lists").partition("/fashion-mnist/")[2].partition("/")[2]
    uploaded = f'uploadFile(localFilePath="/x", blobFilePath="{blob}/a.txt")'
    log += f"I1126 11:36:17.007382      16 object_store.go:231] {uploaded}\n"
    server.store.looks = [look("SUCCEEDED", train="SUCCEEDED")]
    server.store.logs[kfp_logs.executor("train")] = log.encode()
    server.store.files[key(run.id, "train", "lists")] = {"lists/a.txt": b"a", "lists/deep/b.txt": b"b"}
    server.store.files[key(run.id, "train", "one")] = b"\x1f\x8b one file"
    assert run.files() == {
        "train/lists/a.txt": b"a",
        "train/lists/deep/b.txt": b"b",
        "train/one": b"\x1f\x8b one file",
    }


def test_what_a_step_has_not_written_is_left_out(server: Server, run: Run) -> None:
    """Steps need not write what they declare, as the launcher says; what they only logged are numbers even so."""
    log = printed(run.id, "fit", {"scores": "Metrics", "spare": "Model", "weights": "Model"}, scores={"f1": 0.5})
    for name in ("scores", "spare"):
        path = f"/minio/mlpipeline/{key(run.id, 'fit', name)}"
        log += f'W1126 11:36:17.037315      16 launcher_v2.go:827] Local filepath "{path}" does not exist\n'.encode()
    server.store.looks = [look("SUCCEEDED", fit="SUCCEEDED")]
    server.store.logs[kfp_logs.executor("fit")] = log
    server.store.files[key(run.id, "fit", "weights")] = b"x"
    assert run.files() == {"fit/scores": b'{\n  "f1": 0.5\n}\n', "fit/weights": b"x"}


@pytest.mark.parametrize(("left", "whole"), [("table", False), ("executor-logs-0", True), ("executor-logs", True)])
def test_a_step_that_is_no_function_is_not_left_out_in_silence(
    server: Server, run: Run, left: str, whole: bool
) -> None:
    """Only kfp's executor tells where artifacts are: of a container the log has the uploads alone."""
    server.store.looks = [look("SUCCEEDED", sort="SUCCEEDED", fit="SUCCEEDED")]
    log = "I1126 11:35:02.832386      16 main.go:67] Setting log level to: '1'\n"
    upload = f'uploadFile(localFilePath="/minio/x/{left}", blobFilePath="sort/4c8c7916/{left}")'
    log += f"I1126 11:36:17.007382      16 object_store.go:231] {upload}\n"
    server.store.logs[kfp_logs.executor("sort")] = log.encode()
    server.store.logs[kfp_logs.executor("fit")] = printed(run.id, "fit", {"weights": "Model"})
    server.store.files[key(run.id, "fit", "weights")] = b"x"
    if whole:
        assert run.files() == {"fit/weights": b"x"}
    else:
        with pytest.raises(ClusterError, match="sort is not a Python function, so its log does not say what it left"):
            run.files()


def test_a_log_whose_start_is_gone_is_said_so(server: Server, run: Run) -> None:
    """Kubernetes keeps the last megabytes of a long log: without its start nobody knows what the step is."""
    log = printed(run.id, "train", {"lists": "Dataset"}).partition(b"a line of the step\n")[2]
    log += (
        b'I1126 11:36:17.007382      16 object_store.go:231] uploadFile(localFilePath="/x", blobFilePath="a/b/lists")\n'
    )
    server.store.looks = [look("SUCCEEDED", train="SUCCEEDED")]
    server.store.logs[kfp_logs.executor("train")] = log
    why = "the start of the log of train is gone, which would tell what it left; a step that prints less keeps it"
    assert run.accuracy() == (None, why)
    with pytest.raises(ClusterError, match=f"where they are is not known: {why}"):
        run.files()


def test_the_files_of_a_pipeline_that_is_used_twice_are_kept_apart(server: Server, run: Run) -> None:
    """Its steps have one name, and each has the files of its own."""
    server.store.looks = [nested("SUCCEEDED", one="SUCCEEDED", two="SUCCEEDED")]
    for part in ("one", "two"):
        log = printed(run.id, "train", {"model": "Model"}).replace(b"4c8c7916", part.encode())
        server.store.logs[kfp_logs.node(f".root.{part}.train.executor")] = log
        server.store.files[key(run.id, "train", "model").replace("4c8c7916", part)] = part.encode()
    assert run.files() == {"one/train/model": b"one", "two/train/model": b"two"}


def test_the_folder_of_a_study_is_the_folder(server: Server, run: Run) -> None:
    """A study leaves its whole folder, which comes as it is; the shards, in their loop, are not asked."""
    kinds = {"study": "Dataset", "report": "HTML", "metrics": "Metrics"}
    server.store.looks = [look("SUCCEEDED", verdict="SUCCEEDED")]
    server.store.logs[kfp_logs.executor("verdict")] = printed(run.id, "verdict", kinds)
    folder = {
        "SHA256SUMS": b"00  verdict.json\n",
        "report.html": b"<!doctype html><title>Study</title>",
        "seeds/7.json": b"{}",
        "verdict.json": b"[]",
    }
    server.store.files[key(run.id, "verdict", "study")] = {f"study/{name}": content for name, content in folder.items()}
    assert run.files() == folder


def test_the_files_of_a_run_are_those_of_fmnist_run(run: Run) -> None:
    """Each of the 11 files has the name and the bytes that it has here; what the UI draws has no file."""
    assert run.files() == FILES


def test_servers_with_artifacts_name_the_files(server: Server, run: Run) -> None:
    """Since https://github.com/kubeflow/pipelines/pull/13986 the API names them, and metrics are numbers."""
    server.artifacts = [
        {"artifact_id": name, "name": name, "type": kind, "uri": uri(run.id, step, name)}
        for step, kinds in kfp_logs.OUTPUTS.items()
        for name, kind in kinds.items()
        if name != "metrics"
    ]
    server.artifacts += [
        {"artifact_id": name, "name": name, "type": "Metric", "number_value": value}
        for name, value in {"accuracy": 0.8428, "loss": 0.4295376613456726}.items()
    ]
    server.store.logs.clear()
    assert run.files() == FILES


@pytest.mark.parametrize("prefix", ["", "labels/", "v2/artifacts/KEY/labels/"], ids=["flat", "folder", "whole key"])
def test_a_folder_is_unpacked_however_it_is_packed(server: Server, run: Run, prefix: str) -> None:
    """The files of a folder are found whatever stands before their names."""
    whole = key(run.id, "test", "labels")
    prefix = f"{whole}/" if "KEY" in prefix else prefix
    folder = CONTENT["labels"]
    assert isinstance(folder, dict)
    server.store.archive = archive({f"{prefix}{name}": content for name, content in folder.items()})
    assert run.files() == FILES


def member(name: str, kind: bytes = tarfile.REGTYPE, **more: Any) -> tarfile.TarInfo:
    """Return a member of an archive."""
    made = tarfile.TarInfo(name)
    made.type = kind
    for attribute, value in more.items():
        setattr(made, attribute, value)
    return made


def damaged(content: bytes) -> bytes:
    """Return `content` compressed, and behind it a block of no kind that there is."""
    file = zlib.compressobj(wbits=31)
    return file.compress(content) + file.flush(zlib.Z_FULL_FLUSH) + b"\xff"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (archive({"../../outside": b"x"}), "no file inside"),
        (archive({"labels/../../outside": b"x"}), "no file inside"),
        (archive({"/etc/passwd": b"x"}), "no file inside"),
        (archive({}, member("link", tarfile.SYMTYPE, linkname="/etc/passwd")), "no file inside"),
        (archive({}, member("link", tarfile.LNKTYPE, linkname="true.txt")), "no file inside"),
        (archive({}, member("device", tarfile.CHRTYPE)), "no file inside"),
        (archive({}, member("pipe", tarfile.FIFOTYPE)), "no file inside"),
        (archive({"true.txt": b"x"}, member("true.txt")), "twice"),
        (archive({f"{number}": b"" for number in range(101)}), "more than 100 files"),
        (archive({}, member("bomb", size=5_000_000)), "more than 1 MiB"),
        (archive({"true.txt": bytes(1000)})[:-20], "no whole .tar.gz"),
        # The end of the archive comes long before that of the file.
        (gzip.compress(gzip.decompress(archive({"true.txt": b"0"})) + bytes(2**18))[:-8], "no whole .tar.gz"),
        (gzip.compress(gzip.decompress(archive({"true.txt": b"0"})) + bytes(2**21)), "more than 1 MiB"),
        (b"no archive", "no whole .tar.gz"),
        (b"", "no whole .tar.gz|no file"),
        (b"\x1f\x8b", "no whole .tar.gz"),
        (gzip.compress(b"no archive"), "no whole .tar.gz"),
        (damaged(gzip.decompress(archive({"true.txt": b"0"})) + bytes(2**18)), "no whole .tar.gz"),
    ],
    ids=[
        "above", "above the folder", "elsewhere", "symbolic link", "link", "device", "pipe", "twice", "many", "bomb",
        "cut", "cut behind", "bomb behind", "text", "empty", "head", "compressed text", "no deflate",
    ],
)  # fmt: skip
def test_a_hostile_archive_is_refused(
    server: Server, run: Run, monkeypatch: pytest.MonkeyPatch, body: bytes, message: str
) -> None:
    """Nothing is taken out of an archive that holds anything but files of the folder, or too much."""
    monkeypatch.setattr(download, "MOST", 2**20)
    monkeypatch.setattr(download, "MOST_FILES", 100)
    server.store.archive = body or b"\0"
    with pytest.raises(MissingError, match=message) as caught:
        run.files()
    assert caught.value.files == {name: content for name, content in FILES.items() if "labels" not in name}


@pytest.mark.parametrize(
    ("body", "got"),
    [
        (archive({"a\nb": b"x"}), r"'a\nb' in an archive, which is no file inside"),
        (archive({"a\u2028b": b"x"}), r"'a\u2028b' in an archive, which is no file inside"),
        (archive({"a\udcff": b"x"}), r"'a\udcff' in an archive, which is no file inside"),
        (archive({"a": b"x", "a/b": b"y"}), "a file and a folder of the name 'labels/a'"),
        (archive({"a": b"x", "a/b/c": b"y"}), "a file and a folder of the name 'labels/a'"),
        (archive({"a/b": b"x", "a": b"y"}), "a file and a folder of the name 'labels/a'"),
        (
            archive({}, member("a", pax_headers={"GNU.sparse.map": "one,two"})),
            "no whole .tar.gz of the folder labels: invalid literal for int() with base 10: 'one'",
        ),
    ],
    ids=["line", "separator", "not UTF-8", "folder of a file", "folder below a file", "file of a folder", "odd number"],
)
def test_a_name_that_no_folder_can_have_is_refused(server: Server, run: Run, body: bytes, got: str) -> None:
    """Before anything is written, where it would break the list of checksums, or the folder."""
    server.store.archive = body
    with pytest.raises(MissingError) as caught:
        run.files()
    assert str(caught.value) == f"files of run {run.id}: expected all through {server.url}, got no test/labels: {got}."


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (respond(403), "HTTP 403 Forbidden"),
        (respond(500, b"The specified key does not exist"), "HTTP 500 .*does not exist"),
        (respond(200, b"<!doctype html><title>Log in</title>", Content_Type="text/html"), "a page in the place of"),
        (respond(200, b"\n <HTML lang=en>", Content_Type="Text/HTML; charset=utf-8"), "a page in the place of"),
        (respond(302, Location="https://login.example/"), "login.example"),
        (cut(), "connection"),
    ],
    ids=["403", "500", "login page", "another one", "redirection", "cut"],
)
def test_files_that_cannot_be_had_are_said_so(server: Server, run: Run, fault: Any, message: str) -> None:
    """The error says why, where the files are, and the commands that bring them."""
    server.fail("GET /artifacts/get", fault, times=20)
    with pytest.raises(ClusterError, match=message) as caught:
        run.files()
    text = str(caught.value)
    assert text.startswith(f"files of run {run.id}: expected them through {server.url}, got: ")
    assert "minio://mlpipeline/v2/artifacts/fashion-mnist/" in text
    assert "`kubectl -n kubeflow port-forward svc/ml-pipeline-ui 8080:80`" in text
    assert f"`same program wait {run.id} --host http://127.0.0.1:8080 -o FOLDER`" in text


@pytest.mark.parametrize(
    ("fault", "got"),
    [
        (respond(401), r"HTTP 401 Unauthorized. Give a valid token, .*COOKIES"),
        (respond(404, b"no such key"), "HTTP 404 Not Found: no such key"),
        (respond(500, b"no such key"), "HTTP 500 Internal Server Error: no such key. Try again later; .* says why"),
        (respond(200, b"<html>", Content_Type="text/html"), "a page in the place of model, perhaps of a login"),
        (respond(206, b"PK"), "HTTP 206 Partial Content, no whole answer. Check the network, .* limit size or time"),
        (respond(204), "HTTP 204 No Content, no whole answer. Check the network, .* limit size or time"),
    ],
    ids=["401", "404", "500", "page", "a range", "nothing"],
)
def test_a_file_that_is_missing_keeps_no_other_away(server: Server, run: Run, fault: Any, got: str) -> None:
    """It is named with its own cause: the address of the others is the right one."""
    server.fail("GET /artifacts/get", fault, times=4 if "500" in got or "whole" in got else 1)
    with pytest.raises(MissingError, match=rf"got no train/model: .*{got}\.$") as caught:
        run.files()
    assert caught.value.files == {name: content for name, content in FILES.items() if name != "model.keras"}
    assert "port-forward" not in str(caught.value)


def test_a_file_that_is_away_for_a_while_is_waited_for(server: Server, run: Run, slept: list[float]) -> None:
    """A store that fails is asked four times, when it says so; after that, once for each other file."""
    server.fail("GET /artifacts/get", respond(503), times=2)
    server.fail("GET /artifacts/get", cut())
    assert run.files() == FILES
    assert slept == [1, 2, 4]
    del slept[:]
    server.fail("GET /artifacts/get", respond(503))
    server.fail("GET /artifacts/get", respond(429, Retry_After="7"))
    server.fail("GET /artifacts/get", respond(429, Retry_After="3"), times=3)
    with pytest.raises(MissingError, match="got no train/model, train/history: .*model .* 429 .*; .*history .* 429 "):
        run.files()
    assert slept == [1, 7, 3]


def test_a_store_that_is_silent_is_asked_once(
    server: Server, run: Run, monkeypatch: pytest.MonkeyPatch, slept: list[float]
) -> None:
    """Who waits a minute for one file would wait a minute for each."""
    monkeypatch.setattr("fmnist.cluster.client.READ_TIMEOUT", 0.1)
    server.fail("GET /artifacts/get", hang(server), times=20)
    with pytest.raises(ClusterError, match="got: read the artifact model .* no answer in time"):
        run.files()
    assert len(server.asked("/artifacts/get")) == 1
    assert slept == []


def test_a_store_that_falls_silent_after_it_was_away_is_asked_no_more(
    server: Server, run: Run, monkeypatch: pytest.MonkeyPatch, slept: list[float]
) -> None:
    """The first file fails as often as it is tried, the second one is waited for, and no other."""
    monkeypatch.setattr("fmnist.cluster.client.READ_TIMEOUT", 0.1)
    server.fail("GET /artifacts/get", respond(503), times=4)
    server.fail("GET /artifacts/get", hang(server), times=20)
    with pytest.raises(ClusterError, match="got: read the artifact model .* HTTP 503"):
        run.files()
    assert len(server.asked("/artifacts/get")) == 5
    assert slept == [1, 2, 4]


def test_a_cause_of_many_is_told_once(server: Server, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a store that has fallen silent each file is missing for the same."""
    monkeypatch.setattr("fmnist.cluster.client.READ_TIMEOUT", 0.1)
    server.fail("GET /artifacts/get", heard(server))
    server.fail("GET /artifacts/get", hang(server), times=20)
    with pytest.raises(MissingError, match="got no train/history, train/loss_plot, ") as caught:
        run.files()
    assert str(caught.value).count("no answer in time") == 1


def test_of_many_causes_three_are_told(server: Server, run: Run) -> None:
    """And each file that is missing is named."""
    server.fail("GET /artifacts/get", respond(403), times=5)
    with pytest.raises(MissingError) as caught:
        run.files()
    assert str(caught.value).count("HTTP 403") == 3
    missing = "train/model, train/history, train/loss_plot, train/loss_page, test/results"
    assert f"got no {missing}: read the artifact model at " in str(caught.value)
    assert [one[:20] for one in str(caught.value).split("; ")[1:]] == ["read the artifact hi", "read the artifact lo"]


def test_what_cannot_be_had_is_told_in_whole(server: Server, run: Run) -> None:
    """What came, where the files are, and what to do; no secret is told.

    With several users the UI is in none of their namespaces, and wants a login.
    """
    other = Run(run.id, run.link, connect(server.url, cookies="session=s3cret-one")._client, "alice")
    place = f"minio://mlpipeline/v2/artifacts/fashion-mnist/{run.id}/confusion-matrix"
    server.fail("GET /artifacts/get", respond(404, b"no s3cret-one: X."), times=10)
    with pytest.raises(ClusterError) as caught:
        other.files()
    assert str(caught.value) == (
        f"files of run {run.id}: expected them through {server.url}, got: read the artifact model at {server.url}: "
        f"expected success, got HTTP 404 Not Found: no ***: X. In the store they begin with {place}/"
        "4c8c7916-aed1-4674-8ea9-a254611d3511. "
        f"Through the address of Kubeflow's UI they can be had: `same program wait {run.id} --host "
        "https://kubeflow.example/pipeline --namespace alice -o FOLDER`, with the address of yours."
    )
    assert caught.value.__suppress_context__


def test_the_apis_address_has_no_files(server: Server, run: Run) -> None:
    """At the API's address the logs are there and the files are not: the error gives the way to the UI."""
    server.store.ui = False
    with pytest.raises(ClusterError, match="HTTP 404 .*kubectl -n kubeflow port-forward svc/ml-pipeline-ui"):
        run.files()


def test_a_step_without_a_log_leaves_no_half_of_the_files(server: Server, run: Run) -> None:
    """Where the files of one step cannot be found, none are brought."""
    del server.store.logs[kfp_logs.executor("train")]
    with pytest.raises(ClusterError, match="the log of train cannot be had"):
        run.files()


@pytest.mark.parametrize("name", ["../up", "/etc", "a/b", "", ".hidden", "a\x1b[31m"])
def test_a_name_from_a_log_leads_nowhere_else(server: Server, run: Run, name: str) -> None:
    """What a log calls an artifact is no path."""
    log = printed(run.id, "train", {name: "Model"})
    server.store.logs[kfp_logs.executor("train")] = log
    with pytest.raises(ClusterError, match=re.escape("an artifact of the name")):
        run.files()


def test_the_store_is_asked_in_the_users_namespace(server: Server, run: Run, slept: list[float]) -> None:
    """With several users the UI looks into the namespace of the user, also when it is asked for the last time."""
    other = Run(run.id, run.link, run._client, "alice")
    server.fail("GET /artifacts/get", respond(503), times=3)
    assert (other.files(), slept) == (FILES, [1, 2, 4])
    assert {request.query["namespace"] for request in server.asked("/artifacts/get")[3:]} == {"alice"}


def test_the_ui_of_a_whole_kubeflow_gets_login_and_path(compiled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a login and below a path, with several users: each request has token, cookies and namespace."""
    monkeypatch.setenv("FMNIST_KFP_TOKEN", "s3cret-token")
    with serving(prefix="/pipeline", token="s3cret-token", multi_user=True) as server:  # noqa: S106
        target = connect(server.url, namespace="al-ice", cookies="session=abcdef")
        run = submitted(target, compiled)
        server.states, server.store.looks, server.store.ui = ["SUCCEEDED"], [look("SUCCEEDED", **SUCCEEDED)], True
        leave(server.store, run.id)
        assert target.find_run("try").files() == FILES
        assert run.accuracy() == (0.8428, "")
        asked = server.asked("/pipeline/(k8s|artifacts)/")
        assert {request.query.get("namespace", request.query.get("podnamespace")) for request in asked} == {"al-ice"}
        assert {request.headers["cookie"] for request in asked} == {"session=abcdef"}


@pytest.mark.parametrize(
    "found", [{}, {"run_details": {"task_details": []}}, look("SUCCEEDED")], ids=["none", "empty", "root"]
)
def test_a_run_without_steps_says_so(server: Server, run: Run, found: dict[str, Any]) -> None:
    """Where the API tells no step, there is neither accuracy nor file, and a reason for it."""
    server.store.looks = [{"state": "SUCCEEDED", "run_details": {"task_details": []}} | found]
    assert run.accuracy() == (None, "the server lists no step of the run")
    with pytest.raises(ClusterError, match="the server lists no step of the run"):
        run.files()


# One artifact


def made(name: str, kind: str = "Model", uri: str | None = None, **metadata: Any) -> Artifact:
    """Return an artifact, which is in the store under its name."""
    return Artifact(name, f"system.{kind}", f"minio://mlpipeline/{name}" if uri is None else uri, metadata)


def brought(server: Server, found: Found, **content: bytes | dict[str, bytes]) -> dict[str, bytes]:
    """Return the files of what was found, where the store has this content."""
    server.store.ui = True
    server.store.files |= content
    return download.files_of(connect(server.url)._client, "one", found, None)


@pytest.mark.parametrize(
    ("step", "artifact", "name"),
    [
        ("train", made("model"), "model.keras"),
        ("train", made("other"), "train/other"),
        ("", made("other"), "other"),
        ("a-b_1.c", made("x-y_2.z"), "a-b_1.c/x-y_2.z"),
        ("train", made("page", "HTML"), "train/page"),
        ("train", made("Xy"), "train/Xy"),
    ],
)
def test_a_file_is_called_by_its_step_and_its_artifact(
    server: Server, step: str, artifact: Artifact, name: str
) -> None:
    """Unless it is one of fmnist's, or no step is known; only what is to be a page may be one."""
    content = b" \n<!DOCTYPE html>" if name == "train/page" else b"<other>"
    assert brought(server, Found([(step, artifact)]), **{artifact.name: content}) == {name: content}
    [asked] = server.asked("GET /artifacts/get")
    where = {"source": "minio", "namespace": "kubeflow", "bucket": "mlpipeline", "key": artifact.name}
    assert asked.query == where


def test_what_is_missing_of_no_step_is_named_alone(server: Server) -> None:
    """As the API of artifacts may know none."""
    server.fail("GET /artifacts/get", respond(404))
    with pytest.raises(MissingError, match="got no one: ") as caught:
        brought(server, Found([("", made("one")), ("", made("two"))]), one=b"1", two=b"2")
    assert caught.value.files == {"two": b"2"}


def test_an_address_that_is_none_keeps_no_other_away(server: Server) -> None:
    """A server may say of an artifact whatever it likes."""
    with pytest.raises(MissingError, match=r"got no a/one: 's3://\[b', which is no address of a file\.$") as caught:
        brought(server, Found([("a", made("one", uri="s3://[b")), ("a", made("two"))]), two=b"2")
    assert caught.value.files == {"a/two": b"2"}


def test_names_of_ours_in_another_pipeline_are_its_own(server: Server) -> None:
    """Steps of others have models, labels and metrics too, each its own, and their labels are a file."""
    steps = {"fit": ("labels", "metrics", "model"), "test": ("model",), "train": ("metrics", "model")}
    found = Found([(step, made(name)) for step, names in steps.items() for name in names])
    assert sorted(brought(server, found, labels=b"0", metrics=b"{}", model=b"x")) == [
        "fit/labels", "fit/metrics", "fit/model", "model.keras", "test/model", "train/metrics",
    ]  # fmt: skip


def test_a_study_is_a_folder_though_no_step_is_known(server: Server) -> None:
    """The API of artifacts may name none; all else is a copy of what is in the folder."""
    found = Found([("", made("study")), ("", made("report", "HTML"))])
    folder = {"study/verdict.json": b"[]", "study/seeds/7.json": b"{}"}
    assert brought(server, found, study=folder) == {"verdict.json": b"[]", "seeds/7.json": b"{}"}


def test_a_study_of_another_pipeline_is_a_file_among_others(server: Server) -> None:
    """Only that of our own verdict is all that there is."""
    found = Found([("tune", made("study")), ("tune", made("best"))])
    assert brought(server, found, study=b"pickled", best=b"x") == {"tune/study": b"pickled", "tune/best": b"x"}


def test_numbers_without_a_file_stay_with_their_step(server: Server) -> None:
    """Two steps of another pipeline have two files of them."""
    found = Found([("a", made("scores", "Metrics", "", x=1)), ("b", made("scores", "Metrics", "", y=2))])
    assert brought(server, found) == {"a/scores": b'{\n  "x": 1.0\n}\n', "b/scores": b'{\n  "y": 2.0\n}\n'}


def test_a_file_of_a_step_and_a_folder_of_another_are_not_both_kept(server: Server) -> None:
    """A part of the pipeline may be called as an artifact of the step around it."""
    found = Found([("a", made("b")), ("a/b", made("c"))])
    with pytest.raises(MissingError, match="got no a/b/c: a file and a folder of the name 'a/b'") as caught:
        brought(server, found, b=b"x", c=b"y")
    assert caught.value.files == {"a/b": b"x"}


def test_numbers_alone_are_no_files_of_a_run(server: Server) -> None:
    """They come without a request: where no file can be had, the way to all is told."""
    found = Found([("a", made("scores", "Metrics", "", x=1)), ("b", made("gone"))])
    with pytest.raises(ClusterError, match="port-forward") as caught:
        brought(server, found)
    assert not isinstance(caught.value, MissingError)


def test_names_of_ours_are_those_of_our_steps() -> None:
    """Each component's outputs are known by its name."""
    known = {step: types_of(function)["outputs"].keys() & ARTIFACT_FILES for step, function in COMPONENTS.items()}
    assert known == download._OURS


@pytest.mark.parametrize(("scheme", "source"), [("minio", "minio"), ("s3", "s3"), ("gs", "gcs")])
def test_a_store_is_asked_by_the_name_that_the_ui_has_for_it(server: Server, scheme: str, source: str) -> None:
    """The UI knows no source gs, which is how addresses in Google's store begin."""
    asked: list[str] = []

    def get(_: Server, request: Request) -> Raw:
        asked.append(request.query["source"])
        return Raw(b"x")

    server.routes = [("GET", "/artifacts/get", {"source", "namespace", "bucket", "key"}, get)]
    assert brought(server, Found([("a", made("b", uri=f"{scheme}://bucket/b"))])) == {"a/b": b"x"}
    assert asked == [source]


@pytest.mark.parametrize(
    "skipped",
    [
        made("roc", "ClassificationMetrics"),
        made("roc", "SlicedClassificationMetrics"),
        made("roc", "ClassificationMetric"),
        made("executor-logs", "Artifact"),
    ],
    ids=lambda artifact: artifact.kind,
)
def test_what_is_no_file_of_a_run_is_left_out(server: Server, skipped: Artifact) -> None:
    """What the UI draws has no file, and Kubeflow's own log is none of the run's."""
    assert brought(server, Found([("a", skipped), ("a", made("b"))]), b=b"x", roc=b"y") == {"a/b": b"x"}


def test_what_is_only_called_like_kubeflows_log_is_brought(server: Server) -> None:
    """A step may have logs of its own."""
    assert brought(server, Found([("a", made("executor-logs-read"))]), **{"executor-logs-read": b"x"}) == {
        "a/executor-logs-read": b"x"
    }


def test_a_page_of_html_is_no_login(server: Server) -> None:
    """Google's store gives a page that a step has made with the type of one."""
    page = b"<!doctype html><title>Loss</title>"
    server.fail("GET /artifacts/get", respond(200, page, Content_Type="text/html"))
    assert brought(server, Found([("a", made("loss", "HTML", "gs://bucket/loss"))])) == {"a/loss": page}


@pytest.mark.parametrize(
    "artifact", [made("loss", "HTML"), made("loss", "HTML", "s3://bucket/loss"), made("loss", uri="gs://bucket/loss")]
)
def test_a_login_in_the_place_of_a_page_is_refused(server: Server, artifact: Artifact) -> None:
    """From any other store the UI gives no page as one, nor anything but a page from Google's."""
    login = b"<!doctype html><title>Log in to Kubeflow</title>"
    server.fail("GET /artifacts/get", respond(200, login, Content_Type="text/html"))
    with pytest.raises(ClusterError, match="got: a page in the place of loss, perhaps of a login. In the store"):
        brought(server, Found([("a", artifact)]))


def test_a_page_that_a_step_has_made_is_brought(server: Server) -> None:
    """As an artifact of any type: the UI gives it without the type that the page of a login has."""
    page = b"<!doctype html><title>Drift</title>"
    assert brought(server, Found([("a", made("drift"))]), drift=page) == {"a/drift": page}


@pytest.mark.parametrize(
    ("step", "artifact", "got"),
    [
        ("a b", made("c"), "an artifact of the name 'c' in 'a b'"),
        ("../a", made("c"), "an artifact of the name 'c' in '../a'"),
        ("a", made("é"), "an artifact of the name 'é' in 'a'"),
        ("a", made("-c"), "an artifact of the name '-c' in 'a'"),
        ("a", made("twice"), "two artifacts of the name twice"),
        ("", made("labels"), "two artifacts of the name labels"),
    ],
    ids=lambda value: value.name if isinstance(value, Artifact) else "",
)
def test_an_odd_artifact_is_refused(server: Server, step: str, artifact: Artifact, got: str) -> None:
    """The error says which one it was."""
    content: dict[str, Any] = {"twice": b"x", "labels": {"true.txt": b"1"}}
    with pytest.raises(ClusterError) as caught:
        brought(server, Found([("a", made("twice")), ("", made("labels")), (step, artifact)]), **content)
    assert str(caught.value) == (
        f"files of run one: expected them through {server.url}, got: {got}. In the store they begin with "
        "minio://mlpipeline. Through the address of Kubeflow's UI they can be had: `kubectl -n kubeflow port-forward "
        "svc/ml-pipeline-ui 8080:80`, and in another terminal `same program wait one --host http://127.0.0.1:8080 "
        "-o FOLDER`."
    )


@pytest.mark.parametrize(
    ("found", "got"),
    [
        (Found(), "the steps name none."),
        (Found([], ["no log of a", "none of b"]), "no log of a; none of b."),
        (Found([("a", made("b", uri=""))], ["no log of a"]), "no log of a."),
        (
            Found([("a", made("b", uri="s3://b/x/y")), ("a", made("c", uri="s3://a/x/y"))], ["no log of a"]),
            "no log of a. In the store they begin with s3://a/x.",
        ),
    ],
    ids=["nothing", "troubles", "half", "places"],
)
def test_what_is_not_known_is_not_brought(server: Server, found: Found, got: str) -> None:
    """Where the store is not known, it is not named; of several places the first in their order is."""
    with pytest.raises(ClusterError) as caught:
        brought(server, found)
    expected = f"expected them through {server.url}, got: where they are is not known: {got} Through the address of "
    assert str(caught.value).startswith(f"files of run one: {expected}")


def test_metrics_without_a_file_are_one_file(server: Server) -> None:
    """Numbers that a server keeps each by itself are together, and what is no number is null."""
    found = Found([("", made("metrics", "Metrics", "", x=1, y="high")), ("", made("metrics", "Metrics", "", z=0.5))])
    assert brought(server, found) == {"metrics.json": b'{\n  "x": 1.0,\n  "y": null,\n  "z": 0.5\n}\n'}


def test_metrics_with_a_file_are_that_file(server: Server) -> None:
    """Whatever the log tells of them."""
    assert brought(server, Found([("test", made("metrics", "Metrics", x=1))]), metrics=b"own") == {
        "metrics.json": b"own"
    }


def test_all_files_together_have_a_limit(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is one for all of them, and whatever is beyond it is refused."""
    assert (download.MOST, download.MOST_FILES, download.LONGEST) == (268_435_456, 20_000, 600)
    found = Found([("a", made(name)) for name in ("one", "two", "three")])
    content = {"one": 2**20 * b"x", "two": 2**20 * b"x", "three": b"xx"}
    monkeypatch.setattr(download, "MOST", 2 * 2**20 + 2)
    assert brought(server, found, **content) == {f"a/{name}": whole for name, whole in content.items()}
    monkeypatch.setattr(download, "MOST", 2 * 2**20 + 1)
    with pytest.raises(MissingError, match=r", got no a/three: more than 2 MiB\.$"):
        brought(server, found, **content)


def test_the_files_of_a_folder_have_a_limit(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many are taken, and no more."""
    monkeypatch.setattr(download, "MOST_FILES", 3)
    server.store.archive = archive({"a": b"", "b": b"", "c": b""})
    found = Found([("", made("labels"))])
    assert sorted(brought(server, found, labels={})) == ["labels/a", "labels/b", "labels/c"]
    server.store.archive = archive({"a": b"", "b": b"", "c": b"", "d": b""})
    with pytest.raises(ClusterError, match="got: an archive with 'd' twice, or with more than 3 files"):
        brought(server, found, labels={})


@pytest.mark.parametrize("bytes_", [1, 15_000], ids=["one block", "two blocks"])
def test_a_folder_has_the_limit_of_a_file(server: Server, monkeypatch: pytest.MonkeyPatch, bytes_: int) -> None:
    """What its archive holds counts, in blocks of 10 KiB."""
    found, room = Found([("", made("labels"))]), 10_240 if bytes_ == 1 else 20_480
    with pytest.raises(ClusterError, match="^more than 256 MiB$"):
        download._too_large()
    server.store.archive = archive({"a": bytes_ * b"x"})
    monkeypatch.setattr(download, "MOST", room)
    assert brought(server, found, labels={}) == {"labels/a": bytes_ * b"x"}
    monkeypatch.setattr(download, "MOST", room - 1)
    with pytest.raises(ClusterError, match="got: more than 0 MiB"):
        brought(server, found, labels={})


def test_the_folders_of_an_archive_are_passed_over(server: Server) -> None:
    """What comes after them is taken."""
    server.store.archive = archive({}, member("labels", tarfile.DIRTYPE), member("labels/a", size=3))
    assert brought(server, Found([("", made("labels"))]), labels={}) == {"labels/a": b"\0\0\0"}


def test_a_body_is_read_in_parts() -> None:
    """Each of at most 64 KiB, also of what is unpacked: neither a body nor a bomb is in memory at once."""
    parts, sizes = [b"a", b"bc"], list[int]()

    def read(size: int) -> bytes:
        sizes.append(size)
        return parts.pop(0) if parts else b""

    assert download._whole(SimpleNamespace(read=read), 3) == b"abc"
    assert sizes == [65_536, 65_536, 65_536]
    whole = io.BytesIO(gzip.compress(b"abcdef"))
    bounded = download._Bounded(download._Body(whole), 6)
    assert [bounded.read(4), bounded.read(4), bounded.read(4)] == [b"abcd", b"ef", b""]


class Slow:
    """A body that comes a byte at a time."""

    def read1(self, size: int) -> bytearray:
        """Return the next part."""
        return bytearray(b"x"[:size])


def test_a_body_must_come_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part that comes within ten minutes is taken, and after that none."""
    now = [1000.0]
    monkeypatch.setattr(download, "time", SimpleNamespace(monotonic=lambda: now[0]))
    body = download._Body(Slow())
    now[0] = 1600.0
    assert (body.read(5), type(body.read(5))) == (b"x", bytes)
    now[0] = 1600.1
    with pytest.raises(ClusterError, match=r"^no whole file within 600 s$"):
        body.read(5)


@pytest.mark.parametrize(
    ("name", "below"),
    [
        ("a.txt", "a.txt"),
        ("./a.txt", "a.txt"),
        ("folder/a.txt", "a.txt"),
        ("some/key/folder/deep/a.txt", "deep/a.txt"),
        ("other/a.txt", "other/a.txt"),
        ("folder", "folder"),
        ("folders/a.txt", "folders/a.txt"),
    ],
)
def test_a_file_lies_below_its_folder(name: str, below: str) -> None:
    """As the server may name it."""
    assert download._below(member(name), "some/key/folder") == below


def test_a_folder_may_have_the_name_of_one_around_it() -> None:
    """The longest path that fits is the one that was asked for."""
    assert download._below(member("folder/key/folder/a.txt"), "folder/key/folder") == "a.txt"


@pytest.mark.parametrize("name", ["", ".", "..", "a/../b", "/a", "a\0b"])
def test_what_lies_nowhere_below_is_refused(name: str) -> None:
    """The error shows its name as Python writes it."""
    with pytest.raises(ClusterError) as caught:
        download._below(member(name), "folder")
    assert str(caught.value) == f"{name!r} in an archive, which is no file inside"
