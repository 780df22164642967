"""Submission to a cluster: the real kfp.Client against a strict API server on this machine, over real HTTP."""

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import google.auth
import google.auth.exceptions
import kfp
import kubernetes.config.kube_config
import pytest
import yaml
from kfp import dsl
from support import kfp_server
from support.kfp_server import Server, cut, hang, respond, serving

from fmnist.cluster import client, login
from fmnist.cluster.client import ClusterError
from fmnist.cluster.cluster import Cluster, Version, connect
from fmnist.cluster.run import Run
from fmnist.steps.errors import ContractError, FmnistError

TOKEN = "s3cret-t0ken"  # noqa: S105 - not one


@dsl.component(base_image="python", install_kfp_package=False)  # type: ignore[untyped-decorator]
def step(epochs: int, name: str) -> None:
    """Do nothing."""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A compiled pipeline with an inner and an outer step."""

    @dsl.pipeline(name="inner")  # type: ignore[untyped-decorator]
    def inner(epochs: int) -> None:
        step(epochs=epochs, name="inner")

    @dsl.pipeline(name="small")  # type: ignore[untyped-decorator]
    def small(epochs: int = 10, share: float = 0.5, name: str = "x", fast: bool = False) -> None:
        step(epochs=epochs, name=name)
        inner(epochs=epochs)

    path = tmp_path_factory.mktemp("package") / "small.yaml"
    kfp.compiler.Compiler().compile(small, str(path))
    return path


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty home."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds of each sleep, which do not pass."""
    seconds: list[float] = []
    for module in ("client", "run"):
        monkeypatch.setattr(f"fmnist.cluster.{module}.sleep", seconds.append)
    return seconds


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch, home: Path, slept: list[float]) -> None:
    """Let no test find a cluster or a token that is really there, nor wait long."""
    for name in ("KF_PIPELINES_ENDPOINT", "KF_PIPELINES_UI_ENDPOINT", "KF_PIPELINES_SA_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    for name in (login.TOKEN, login.COOKIES, "KUBERNETES_SERVICE_HOST", "KF_PIPELINES_IAP_OAUTH2_CLIENT_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(kfp.Client, "_LOCAL_KFP_CONTEXT", str(home / ".config/kfp/context.json"))
    monkeypatch.setattr(kfp.Client, "_NAMESPACE_PATH", str(home / "namespace"))
    monkeypatch.setattr(kubernetes.config.kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(home / "kubeconfig"))


@pytest.fixture
def server() -> Iterator[Server]:
    """A server for one user."""
    with serving() as running:
        yield running


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> kfp_server.Authority:
    """A certificate for localhost, and who signed it."""
    return kfp_server.authority(tmp_path_factory.mktemp("certificates") / "own")


def submitted(target: Cluster, package: Path, **options: Any) -> Run:
    """Create a pipeline of `package`, and start a run."""
    version = target.create(package, name="fashion", description="What it does.")
    settings = {"experiment": "first", "run_name": "try", "parameters": {"epochs": 3}} | options
    return target.run(version, **settings)


def names(items: list[dict[str, Any]]) -> list[str]:
    """Return what the UI shows."""
    return [item["display_name"] for item in items]


# Pipelines and versions


def test_a_pipeline_is_created_with_one_version(server: Server, package: Path) -> None:
    """A new name gives a pipeline and one version with the content of the file."""
    version = connect(server.url).create(package, name="fashion", description="What it does.")
    assert names(server.pipelines) == ["fashion"]
    (stored,) = server.versions
    assert (stored["pipeline_version_id"], stored["pipeline_id"]) == (version.id, version.pipeline_id)
    assert stored["pipeline_spec"] == yaml.safe_load(package.read_text())
    assert {server.pipelines[0]["description"], stored["description"]} == {"What it does."}
    assert version.link == f"{server.url}/#/pipelines/details/{version.pipeline_id}/version/{version.id}"


def test_the_same_file_is_the_same_version(server: Server, package: Path, tmp_path: Path) -> None:
    """The same content, from another file and another process, is found again."""
    copied = tmp_path / "copied.yaml"
    copied.write_bytes(package.read_bytes())
    version = connect(server.url).create(package, name="fashion")
    assert connect(server.url).create(copied, name="fashion") == version
    assert (len(server.pipelines), len(server.versions)) == (1, 1)


def test_another_file_is_a_new_version(server: Server, package: Path, tmp_path: Path) -> None:
    """Other content is another version of the same pipeline, also under the same version label."""
    other = tmp_path / "other.yaml"
    other.write_text(package.read_text() + "# changed\n")
    target = connect(server.url)
    versions = [target.create(path, name="fashion", version="1.0") for path in (package, other)]
    assert names(server.pipelines) == ["fashion"]
    assert names(server.versions) == [version.name for version in versions]
    assert all(re.fullmatch(r"1\.0-[0-9a-f]{16}", version.name) for version in versions)
    assert versions[0] != versions[1]


@pytest.mark.parametrize("name", ["a+b", "100%", "50%25", "ä ö", 'say "hi"', "a&b=c#d"])
def test_any_name_is_found_again(server: Server, package: Path, name: str) -> None:
    """A name with signs that mean something in a URL is one pipeline of its own."""
    target = connect(server.url)
    target.create(package, name="fashion")
    assert target.create(package, name=name) == target.create(package, name=name)
    assert names(server.pipelines) == ["fashion", name]


def test_a_name_in_other_letters_is_another_one(server: Server, package: Path) -> None:
    """A pipeline whose name differs in case is not taken for the one that is asked for; no server holds both."""
    target = connect(server.url)
    target.create(package, name="fashion")
    with pytest.raises(ClusterError, match=r"^create pipeline at .*HTTP 409 .*choose another name"):
        target.create(package, name="Fashion")
    assert names(server.pipelines) == ["fashion"]


def test_a_file_that_is_not_there_is_bad_input(server: Server, tmp_path: Path) -> None:
    """A missing file is refused before anything is created."""
    with pytest.raises(ContractError, match=r"expected a compiled one, got .*none\.yaml: No such file"):
        connect(server.url).create(tmp_path / "none.yaml", name="fashion")
    assert server.pipelines == []


def test_a_file_that_is_no_pipeline_is_refused(server: Server, tmp_path: Path) -> None:
    """What the server says of a bad file is passed on."""
    bad = tmp_path / "bad.yaml"
    bad.write_text("- 1\n")
    with pytest.raises(ClusterError, match=r"^upload version at .*HTTP 400 .*unknown template format.* Check names"):
        connect(server.url).create(bad, name="fashion")


def test_the_latest_version_is_found(server: Server, package: Path, tmp_path: Path) -> None:
    """The version made last, with the document of its pipeline, is to be had by the pipeline's name."""
    other = tmp_path / "other.yaml"
    other.write_text(package.read_text() + "---\nplatforms:\n  kubernetes: {}\n")
    target = connect(server.url)
    versions = [target.create(path, name="fashion") for path in (package, other)]
    assert target.latest("fashion") == versions[1]
    assert target.spec(versions[0]) == target.spec(versions[1]) == yaml.safe_load(package.read_text())


def test_a_pipeline_that_is_not_there_has_no_latest_version(server: Server, package: Path) -> None:
    """An unknown name, or a pipeline without versions, is bad input."""
    target = connect(server.url)
    target.create(package, name="fashion")
    server.versions.clear()
    for name in ("other", "fashion"):
        with pytest.raises(ContractError, match=f"expected one called '{name}' at {server.url}, got none"):
            target.latest(name)


# Runs


def test_a_run_has_its_parameters_and_experiment(server: Server, package: Path) -> None:
    """The run is one of the version, in a new experiment, with the types of its parameters kept."""
    target = connect(server.url)
    version = target.create(package, name="fashion")
    parameters = {"epochs": 3, "share": 0.25, "name": "a b", "fast": True}
    run = target.run(
        version,
        experiment="first",
        run_name="try",
        parameters=parameters,
        experiment_description="Why.",
        run_description="How.",
    )
    (experiment,), (stored,) = server.experiments, server.runs
    assert (experiment["display_name"], experiment["description"]) == ("first", "Why.")
    assert (stored["run_id"], stored["display_name"], stored["description"]) == (run.id, "try", "How.")
    assert stored["experiment_id"] == experiment["experiment_id"]
    assert stored["pipeline_version_reference"] == {
        "pipeline_id": version.pipeline_id,
        "pipeline_version_id": version.id,
    }
    assert json.dumps(stored["runtime_config"]["parameters"]) == json.dumps(parameters)
    assert run.link == f"{server.url}/#/runs/details/{run.id}"


def test_an_experiment_is_used_again(server: Server, package: Path) -> None:
    """Two runs of one experiment are two runs and one experiment."""
    target = connect(server.url)
    assert submitted(target, package) != submitted(target, package)
    assert names(server.experiments) == ["first"]
    assert len({run["experiment_id"] for run in server.runs}) == 1


def test_caching_is_switched_off_for_every_step(server: Server, package: Path) -> None:
    """Without caching, the run is of the same pipeline, in which no step, inner or outer, may be cached."""
    submitted(connect(server.url), package, caching=False)
    uncached = server.runs[0]["pipeline_spec"]
    original = package.read_text()
    assert original.count("enableCache: true") == 3
    assert uncached == yaml.safe_load(original.replace("enableCache: true", "enableCache: false"))


def test_caching_is_left_on(server: Server, package: Path) -> None:
    """With caching, the run refers to the version, whose steps may be cached."""
    submitted(connect(server.url), package)
    assert "pipeline_spec" not in server.runs[0]
    assert "enableCache': False" not in str(server.versions)


def test_a_part_for_kubernetes_is_kept_without_caching(server: Server, package: Path, tmp_path: Path) -> None:
    """A compiled file of two documents keeps both."""
    both = tmp_path / "both.yaml"
    both.write_text(package.read_text() + "---\nplatforms:\n  kubernetes: {}\n")
    submitted(connect(server.url), both, caching=False)
    sent = server.runs[0]["pipeline_spec"]
    assert sent["platform_spec"] == {"platforms": {"kubernetes": {}}}
    assert "'enableCache': True" not in str(sent)


def test_an_unknown_parameter_is_refused(server: Server, package: Path) -> None:
    """What the server says of a bad parameter is passed on."""
    with pytest.raises(ClusterError, match=r"^start run at http.* HTTP 400 .*unknown parameters \['epoch'\]"):
        submitted(connect(server.url), package, parameters={"epoch": 3})


# Namespaces


def test_namespaces_are_apart(package: Path) -> None:
    """Two users of a cluster have pipelines and experiments of the same names, each in their namespace."""
    with serving(multi_user=True) as server:
        for namespace in ("alice", "bob", "alice"):
            submitted(connect(server.url, namespace=namespace), package)
        assert [item["namespace"] for item in server.pipelines] == ["alice", "bob"]
        assert [item["namespace"] for item in server.experiments] == ["alice", "bob"]


def test_a_namespace_is_not_sent_to_a_cluster_for_one_user(server: Server, package: Path) -> None:
    """A cluster without namespaces for users, which would refuse one, gets none."""
    target = connect(server.url, namespace="kubeflow")
    submitted(target, package)
    assert target.namespace is None


def test_several_users_need_a_namespace() -> None:
    """A cluster for several users is not asked for anything without a namespace."""
    with serving(multi_user=True) as server:
        with pytest.raises(ContractError, match="expected a namespace, as http://.* has several users, got none"):
            connect(server.url)
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("file", "content"), [(".config/kfp/context.json", '{"namespace": "carol"}'), ("namespace", "carol\n")]
)
def test_the_namespace_is_found(home: Path, file: str, content: str) -> None:
    """The namespace of kfp's context file, or of the pod, is used, and nothing is written."""
    (home / file).parent.mkdir(parents=True, exist_ok=True)
    (home / file).write_text(content)
    with serving(multi_user=True) as server:
        assert connect(server.url).namespace == "carol"
    assert [path for path in home.rglob("*") if path.is_file()] == [home / file]


# Waiting


@pytest.mark.parametrize("end", ["SUCCEEDED", "SKIPPED"])
def test_a_good_end_is_returned(server: Server, package: Path, end: str) -> None:
    """Each state is told once, and the last one returned."""
    server.states = ["PENDING", "RUNNING", "RUNNING", "PAUSED", "RUNNING", end]
    target, told = connect(server.url), list[str]()
    assert submitted(target, package).wait(timeout=60, on_state=told.append) == end
    assert told == ["PENDING", "RUNNING", "PAUSED", "RUNNING", end]


@pytest.mark.parametrize(
    ("details", "cause"),
    [
        (
            {
                "run_details": {
                    "task_details": [
                        {"display_name": "root", "state": "FAILED"},
                        {"display_name": "train", "state": "SUCCEEDED", "error": {"code": 1, "message": "old"}},
                        {"display_name": "test", "state": "FAILED", "error": {"code": 1, "message": "no model\nhere."}},
                    ]
                }
            },
            "task test: no model here.",
        ),
        (
            {
                "run_details": {
                    "task_details": [
                        {
                            "display_name": "test",
                            "state": "FAILED",
                            "state_history": [{"state": "FAILED", "error": {"message": "killed"}}],
                        }
                    ]
                }
            },
            "task test: killed.",
        ),
        (
            {
                "run_details": {
                    "task_details": [
                        {"display_name": "root", "state": "FAILED"},
                        {"display_name": "executor", "state": "FAILED"},
                        {"display_name": "train", "state": "FAILED"},
                    ]
                }
            },
            "task train.",
        ),
        ({"error": {"code": 13, "message": "quota exceeded"}}, "quota exceeded."),
        ({}, "the API gives no cause."),
    ],
    ids=["message", "history", "names", "run", "nothing"],
)
def test_a_failed_run_is_an_error_with_its_cause(
    server: Server, package: Path, details: dict[str, Any], cause: str
) -> None:
    """The error names the tasks that failed, what the API says of them, and the page with the logs."""
    server.states, server.details = ["RUNNING", "FAILED"], details
    target = connect(server.url)
    run = submitted(target, package)
    expected = (
        f"run {run.id} at {server.url}: expected SUCCEEDED, got FAILED: {cause} Its page has the logs: {run.link}"
    )
    with pytest.raises(ClusterError, match=f"^{re.escape(expected)}$"):
        run.wait(timeout=2)


def test_a_canceled_run_is_an_error(server: Server, package: Path) -> None:
    """A run that someone cancels is waited for no longer."""
    server.states = ["RUNNING", "CANCELING", "CANCELED"]
    target = connect(server.url)
    with pytest.raises(ClusterError, match="expected SUCCEEDED, got CANCELED"):
        submitted(target, package).wait(timeout=2)


def test_a_run_that_goes_on_is_left_to_it(server: Server, package: Path) -> None:
    """After the time-out, the error says that the run may go on, and where."""
    server.states = ["RUNNING"]
    target = connect(server.url)
    run = submitted(target, package)
    with pytest.raises(ClusterError, match=rf"expected its end within 0.2 s, got the state RUNNING\..* {run.link}"):
        run.wait(timeout=0.2)


def test_a_restart_in_between_is_survived(
    server: Server, package: Path, monkeypatch: pytest.MonkeyPatch, slept: list[float]
) -> None:
    """A server that goes away, and fails at first when it is back, is asked again, less and less often."""
    server.states = ["RUNNING", "SUCCEEDED"]
    target = connect(server.url)
    run = submitted(target, package)

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 1:
            server.stop()
        elif len(slept) == 4:
            server.start()
            server.fail("GET .*/runs/", respond(503, b"no healthy upstream"))
            server.fail("GET .*/runs/", cut())
            server.fail("GET .*/runs/", hang(server))
            monkeypatch.setattr(client, "READ_TIMEOUT", 1.0)

    monkeypatch.setattr("fmnist.cluster.run.sleep", sleep)
    assert run.wait(timeout=60) == "SUCCEEDED"
    assert slept == [5, 1, 2, 4, 8, 16, 30]


def test_a_server_that_stays_away_is_named(server: Server, package: Path) -> None:
    """A time-out says what the server did at last."""
    target = connect(server.url)
    run = submitted(target, package)
    server.stop()
    with pytest.raises(ClusterError, match="got the state unknown, and at last no connection: .*refused"):
        run.wait(timeout=0.1)


def test_waiting_does_not_outlast_its_time(server: Server, package: Path, slept: list[float]) -> None:
    """The last pause is cut to the time that is left."""
    server.states = ["RUNNING"]
    target = connect(server.url)
    with pytest.raises(ClusterError, match="expected its end"):
        submitted(target, package).wait(timeout=0.05)
    assert slept
    assert max(slept) <= 0.05


def test_a_run_that_is_refused_is_waited_for_no_longer(server: Server, package: Path) -> None:
    """An error that time does not heal ends the waiting at once."""
    target = connect(server.url)
    server.fail("GET .*/runs/", respond(403))
    with pytest.raises(ClusterError, match="^look at run .* HTTP 403 Forbidden. Check the namespace"):
        submitted(target, package).wait(timeout=60)


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
    ],
    ids=["no such API", "no artifact", "no accuracy", "accuracy", "no metric", "two"],
)
def test_an_accuracy_is_the_metric_of_that_name(
    server: Server, package: Path, artifacts: list[dict[str, Any]] | None, accuracy: float | None
) -> None:
    """The accuracy is the run's one metric of that name, on whichever page; where there is none, nothing is said."""
    server.artifacts, server.page_limit = artifacts, 1
    target = connect(server.url)
    assert submitted(target, package).accuracy() == accuracy


@pytest.mark.parametrize("path", ["artifact_tasks", "artifacts/"])
def test_a_run_that_ended_well_needs_no_answer_more(server: Server, package: Path, path: str) -> None:
    """A server that fails when it is asked for the accuracy takes nothing away from a run that succeeded."""
    server.artifacts = [metric("accuracy", 0.875)]
    target = connect(server.url)
    run = submitted(target, package)
    server.fail(f"GET .*/{path}", respond(503))
    assert run.accuracy() is None
    assert run.accuracy() == 0.875


# Faults

STEPS = {
    "find pipeline": r"GET .*/pipelines$",
    "create pipeline": r"POST .*/pipelines$",
    "find version": r"GET .*/versions$",
    "upload version": r"POST .*/upload_version$",
    "read version": r"GET .*/versions/",
    "find experiment": r"GET .*/experiments$",
    "create experiment": r"POST .*/experiments$",
    "start run": r"POST .*/runs$",
}


def failure(target: Cluster, package: Path) -> str:
    """Return the error of a submission."""
    with pytest.raises(ClusterError) as caught:
        submitted(target, package, caching=False)
    assert isinstance(caught.value, FmnistError)
    assert not isinstance(caught.value, ContractError)
    assert caught.value.__cause__ is caught.value.__context__ is None
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("action", STEPS)
def test_an_error_names_host_action_and_status(server: Server, package: Path, action: str) -> None:
    """Whichever request fails, one error says which it was, where, and what the server said."""
    target = connect(server.url)
    server.fail(STEPS[action], respond(500, b'{"code": 13, "message": "database\\n is gone."}'))
    assert failure(target, package) == (
        f"{action} at {server.url}: expected success, got HTTP 500 Internal Server Error: database is gone. "
        "Try again later; if it stays, the log of the ml-pipeline server or of the proxy says why."
    )


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (400, "Check names, namespace and parameters"),
        (401, r"Give a valid token, in a file or in \$FMNIST_KFP_TOKEN, or cookies in \$FMNIST_KFP_COOKIES"),
        (403, "Check the namespace, and that your account may"),
        (404, "the host may be another than that of the Pipelines API, or lack a path"),
        (405, "the host may be another than that of the Pipelines API"),
        (409, "try again, or choose another name"),
        (413, "The file is too large for the server or a proxy: raise the limit"),
        (429, "The server is busy"),
        (500, "the log of the ml-pipeline server"),
        (502, "or of the proxy"),
        (503, "Try again later"),
        (504, "Try again later"),
    ],
)
def test_each_status_has_a_remedy(server: Server, package: Path, status: int, remedy: str) -> None:
    """The error for a status says what to do, and shows the text of a proxy's page without its markup."""
    target = connect(server.url)
    server.fail(STEPS["upload version"], respond(status, b"<html><h1>Oh, no</h1><hr>proxy</html>"))
    message = failure(target, package)
    assert re.search(
        rf"^upload version at {server.url}: expected success, got HTTP {status} .*: Oh, no proxy\. ", message
    )
    assert re.search(remedy, message)
    assert len(server.asked("upload_version")) == 1


@pytest.mark.parametrize("body", [b"<html>please log in</html>", b"", b"[]", b'{"pipelines": [', b"\xff\xfe"])
@pytest.mark.parametrize("action", STEPS)
def test_an_answer_that_is_not_the_apis_is_refused(server: Server, package: Path, action: str, body: bytes) -> None:
    """An answer that is not a JSON object, which kfp's client would take for an empty one, is an error."""
    target = connect(server.url)
    server.fail(STEPS[action], respond(200, body))
    pattern = f"^{action} at {server.url}: .* got what is not JSON of the Pipelines API: .* It may be a login page"
    assert re.search(pattern, failure(target, package))


def test_an_answer_without_an_id_is_refused(server: Server, package: Path) -> None:
    """A JSON object of another API is an error."""
    target = connect(server.url)
    server.fail(STEPS["start run"], respond(200, b'{"kind": "Status"}'))
    assert "got an answer without run_id" in failure(target, package)


def test_an_error_in_another_encoding_is_an_error(server: Server, package: Path) -> None:
    """A page of an error in Latin-1, on which kfp's client fails, is told as one."""
    target = connect(server.url)
    server.fail(STEPS["start run"], respond(500, "schön".encode("latin-1")))
    assert "got an answer that is not text in UTF-8" in failure(target, package)


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        (cut(), "a connection that was cut: "),
        (cut(after=1000), "a connection that was cut: "),
        (kfp_server.truncate, "a connection that was cut: "),
    ],
    ids=["at once", "in the upload", "in the answer"],
)
def test_a_cut_connection_is_an_error(server: Server, package: Path, fault: kfp_server.Fault, cause: str) -> None:
    """A connection that ends in the middle of something gives one error; the same command then goes on."""
    target = connect(server.url)
    server.fail(STEPS["upload version"], fault)
    assert failure(target, package).startswith(f"upload version at {server.url}: expected success, got {cause}")
    submitted(target, package)
    assert (len(server.pipelines), len(server.versions)) == (1, 1)


def test_a_large_upload_that_is_cut_is_an_error(server: Server, package: Path, tmp_path: Path) -> None:
    """A server that leaves while a file is still being sent gives the same error."""
    large = tmp_path / "large.yaml"
    large.write_text(package.read_text() + "#" * 20_000_000)
    target = connect(server.url)
    server.fail(STEPS["upload version"], cut(after=1000))
    assert re.search(r"^upload version .* cut: .* A proxy may also limit size or time", failure(target, large))


def test_a_server_that_does_not_answer_is_an_error(
    server: Server, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request ends by itself, and says so."""
    target = connect(server.url)
    monkeypatch.setattr(client, "READ_TIMEOUT", 1.0)
    server.fail(STEPS["find pipeline"], hang(server))
    assert "got no answer in time (time-out). Check the network" in failure(target, package)


def test_a_server_that_is_not_there_is_an_error() -> None:
    """Where nobody listens, the error says so."""
    with serving() as server:
        url = server.url
    with pytest.raises(ClusterError, match=f"^connect at {url}: .* no connection: .*Connection refused. Check the net"):
        connect(url)


def test_a_host_without_address_is_an_error() -> None:
    """A host that no name server knows is told as such."""
    with pytest.raises(
        ClusterError, match="^connect at https://nowhere.invalid: expected success, got no connection: "
    ):
        connect("nowhere.invalid")


def test_another_api_is_an_error(server: Server) -> None:
    """A wrong path is noticed at the start."""
    server.fail("jupyter", respond(404))
    with pytest.raises(ClusterError, match=r"^connect at http://.*/jupyter: .*HTTP 404 .* lack a path"):
        connect(f"{server.url}/jupyter")


def test_a_login_page_is_an_error_and_gets_no_token(server: Server, package: Path) -> None:
    """A redirection is not followed, as a token would go along."""
    with serving() as other:
        server.fail("healthz", respond(302, Location=f"{other.url}/login?state=abc"))
        with pytest.raises(ClusterError, match=rf"HTTP 302 Found, to {other.url}/login. It may be a login page: Give"):
            connect(server.url)
        assert other.requests == []


def test_a_busy_server_is_asked_again_when_it_says(server: Server, package: Path, slept: list[float]) -> None:
    """Retry-After is honoured, up to a minute each time."""
    target = connect(server.url)
    server.fail(STEPS["upload version"], respond(429, Retry_After="7"))
    server.fail(STEPS["upload version"], respond(503, Retry_After="86400"))
    submitted(target, package)
    assert slept == [7, 60]
    assert len(server.versions) == 1


def test_a_server_that_stays_busy_is_left_alone(server: Server, package: Path, slept: list[float]) -> None:
    """After a few times, that the server is busy is an error."""
    target = connect(server.url)
    server.fail(STEPS["start run"], respond(429, Retry_After="7"), times=10)
    assert "got HTTP 429 Too Many Requests. The server is busy" in failure(target, package)
    assert len(server.asked(STEPS["start run"])) == len(slept) + 1 == 4


@pytest.mark.parametrize("value", ["-1", "soon", "Wed, 21 Oct 2026 07:28:00 GMT", ""])
def test_an_odd_retry_after_is_no_reason_to_wait(server: Server, package: Path, slept: list[float], value: str) -> None:
    """Without a number of seconds, a busy server is an error at once."""
    target = connect(server.url)
    server.fail(STEPS["start run"], respond(429, Retry_After=value))
    assert "HTTP 429" in failure(target, package)
    assert slept == []


# Hosts


def test_no_host_is_bad_usage(capfd: pytest.CaptureFixture[str]) -> None:
    """Without host, endpoint and kubeconfig, the error says how to give one, and that there is another way."""
    with pytest.raises(ContractError, match=r"got none. Give a host, set \$KF_PIPELINES_ENDPOINT, .* with -t local"):
        connect()
    assert capfd.readouterr().out == ""


def test_the_endpoint_is_taken_from_the_environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """$KF_PIPELINES_ENDPOINT is the host if none is given."""
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", f"{server.url}/")
    assert connect().host == server.url


@pytest.mark.parametrize(
    "host",
    [
        "https://me:s3cret@kubeflow.example",
        "https://",
        "ftp://kubeflow.example",
        "http://kubeflow.example:port",
        "kubeflow.example/?token=s3cret",
        "https://kubeflow.example/#/pipelines",
        "https://kube flow",
        "https://[::1",
    ],
)
def test_a_host_that_is_no_address_is_bad_usage(host: str) -> None:
    """An address of another form is refused, and not shown, as it may have a password."""
    with pytest.raises(
        ContractError, match="^host: expected an address as https://kubeflow.example/pipeline, "
    ) as caught:
        connect(host)
    assert "s3cret" not in str(caught.value)


def test_a_path_is_part_of_the_host(package: Path) -> None:
    """An API below a path is found, and links to the UI have it."""
    with serving(prefix="/pipeline") as server:
        run = submitted(connect(f"{server.url}/"), package)
        assert run.link.startswith(f"http://127.0.0.1:{server.port}/pipeline/#/runs/details/")


def test_a_kubeconfig_is_enough(
    package: Path, home: Path, authority: kfp_server.Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The current context leads to the API with its token, unless another is given; certificates are always checked."""
    prefix = "/api/v1/namespaces/kubeflow/services/ml-pipeline:http/proxy"
    with serving(context=authority.context, host="localhost", prefix=prefix, token=TOKEN) as server:
        place = {"server": server.url.removesuffix(prefix), "certificate-authority": str(authority.ca)}
        write_kubeconfig(home, place)
        submitted(connect(), package)
        monkeypatch.setenv(login.TOKEN, "another")
        with pytest.raises(ClusterError, match="HTTP 401"):
            connect()
        del place["certificate-authority"]
        write_kubeconfig(home, place | {"insecure-skip-tls-verify": True})
        with pytest.raises(ClusterError, match="certificate"):
            connect()


def write_kubeconfig(home: Path, place: dict[str, Any]) -> None:
    """Write a kubeconfig for the cluster at `place`."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "one",
        "contexts": [{"name": "one", "context": {"cluster": "one", "user": "one"}}],
        "clusters": [{"name": "one", "cluster": place}],
        "users": [{"name": "one", "user": {"token": TOKEN}}],
    }
    (home / "kubeconfig").write_text(yaml.safe_dump(config))


def test_a_pod_is_enough(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a pod of the cluster, the service of the Pipelines API is the host."""
    with serving() as server:
        monkeypatch.setattr(kubernetes.config, "load_incluster_config", lambda: None)
        monkeypatch.setattr(kfp.Client, "_IN_CLUSTER_DNS_NAME", server.url.removeprefix("http://"))
        assert submitted(connect(), package).link == f"<Kubeflow>/pipeline/#/runs/details/{server.runs[0]['run_id']}"


# Tokens and cookies


@pytest.mark.parametrize("source", ["file", "variable", "service account"])
def test_a_token_is_sent(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    """A token is taken from the file that is given, from the environment, or from that of the service account."""
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    if source == "variable":
        monkeypatch.setenv(login.TOKEN, TOKEN)
    if source == "service account":
        monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(file))
    with serving(token=TOKEN) as server:
        submitted(connect(server.url, token_file=file if source == "file" else None), package)


def test_the_file_goes_before_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token file that is given is what counts."""
    monkeypatch.setenv(login.TOKEN, "another")
    (tmp_path / "token").write_text(TOKEN)
    with serving(token=TOKEN) as server:
        connect(server.url, token_file=tmp_path / "token")


def test_a_renewed_token_is_sent(package: Path, tmp_path: Path) -> None:
    """A token that is renewed while a run is waited for is read again."""
    file = tmp_path / "token"
    file.write_text("first")
    with serving(token="first") as server:  # noqa: S106 - not one
        target = connect(server.url, token_file=file)
        run = submitted(target, package)
        server.token = "second"  # noqa: S105 - not one
        file.write_text("second")
        assert run.wait(timeout=60) == "SUCCEEDED"


@pytest.mark.parametrize("cookies", ["given", "variable"])
def test_cookies_are_sent(server: Server, monkeypatch: pytest.MonkeyPatch, cookies: str) -> None:
    """Cookies are sent as they are."""
    if cookies == "variable":
        monkeypatch.setenv(login.COOKIES, "session=abc; b=c")
    connect(server.url, cookies="session=abc; b=c" if cookies == "given" else None)
    assert server.requests[0].headers["cookie"] == "session=abc; b=c"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "got 0"),
        (b"s3cret and more", "got 3"),
        (b"s3cr\xc3\xa9t", "other characters"),
        (b"s3cret\xff", "got: Uni"),
    ],
)
def test_a_token_that_is_none_is_bad_usage(server: Server, tmp_path: Path, content: bytes, problem: str) -> None:
    """A file that holds something else than one token is refused, and its content not shown."""
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(ContractError, match=f"^token.*{problem}") as caught:
        connect(server.url, token_file=tmp_path / "token")
    assert "s3c" not in str(caught.value)
    assert server.requests == []


def test_a_missing_token_file_is_bad_usage(server: Server, tmp_path: Path) -> None:
    """A token file that cannot be read is named."""
    with pytest.raises(ContractError, match=f"expected one in {tmp_path}/none, got: FileNotFoundError"):
        connect(server.url, token_file=tmp_path / "none")


def test_cookies_of_two_lines_are_bad_usage(server: Server) -> None:
    """Cookies cannot bring in other headers."""
    with pytest.raises(ContractError, match="^cookies: expected printable ASCII in one line"):
        connect(server.url, cookies="a=b\r\nX-Other: 1")


def test_secrets_are_shown_nowhere(
    package: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    home: Path,
) -> None:
    """Neither token nor cookies are in output, logs, errors, results or files, even if the server sends them back."""
    (tmp_path / "token").write_text(TOKEN)
    shown = []
    with serving(token=TOKEN) as server:
        target = connect(server.url, token_file=tmp_path / "token", cookies="session=c00kie-value; x=y")
        for name in (None, "kfp", "kfp_server_api", "urllib3", "kubernetes"):
            caplog.set_level(logging.DEBUG, logger=name)
        echo = f'{{"message": "headers: Bearer {TOKEN}, session=c00kie-value"}}'.encode()
        for status in (200, 302, 401, 500):
            server.fail(STEPS["find pipeline"], respond(status, echo if status != 200 else echo[1:]))
            shown.append(failure(target, package))
        server.states, server.details = ["FAILED"], {"error": {"message": f"Bearer {TOKEN}"}}
        run = submitted(target, package)
        with pytest.raises(ClusterError, match=r"Bearer \*\*\*") as caught:
            run.wait(timeout=60)
        shown += [str(caught.value), repr(caught.value), repr(target), str(target), repr(run)]
    output = capfd.readouterr()
    assert output == ("", "")
    for text in (*shown, caplog.text):
        assert TOKEN not in text
        assert "c00kie" not in text
    assert "headers: Bearer ***, session=***" in shown[2]
    assert list(home.rglob("*")) == []


def test_a_secret_is_hidden_in_other_writings_too(server: Server, package: Path, tmp_path: Path) -> None:
    """A proxy may write a token as part of an address, or of a page."""
    (tmp_path / "token").write_text("abcd/efg+h==")
    target = connect(server.url, token_file=tmp_path / "token")
    echo = b"<p>at /login?next=abcd%2Fefg%2Bh%3D%3D with abcd&#47;efg+h&#61;=</p>"
    server.fail(STEPS["start run"], respond(500, echo))
    assert "at /login?next=*** with ***. " in failure(target, package)


@pytest.mark.parametrize("content", ["{", "[]", '{"namespace": 5}', '{"client_authentication_cookie": []}'])
def test_a_broken_context_of_kfp_is_refused(server: Server, home: Path, content: str) -> None:
    """Kfp's own file with a namespace and cookies is named where it is broken."""
    (home / ".config/kfp").mkdir(parents=True)
    (home / ".config/kfp/context.json").write_text(content)
    with pytest.raises(ContractError, match=r"expected a JSON object of texts in .*context\.json"):
        connect(server.url)


def test_a_context_of_kfp_may_lack_a_namespace(server: Server, home: Path) -> None:
    """An empty context is that of a cluster without namespaces."""
    (home / ".config/kfp").mkdir(parents=True)
    (home / ".config/kfp/context.json").write_text("{}")
    assert server.url in repr(connect(server.url))


def test_google_credentials_that_are_not_there_are_told(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kfp takes a login of Google's where a variable of its own asks for it."""

    def default(**_: object) -> None:
        raise google.auth.exceptions.DefaultCredentialsError("no credentials")

    monkeypatch.setattr(google.auth, "default", default)
    monkeypatch.setenv("KF_PIPELINES_IAP_OAUTH2_CLIENT_ID", "abc")
    with pytest.raises(ContractError, match=r"expected what \$KF_PIPELINES_IAP_OAUTH2_CLIENT_ID needs"):
        connect(server.url)


def test_a_long_token_is_not_shown_in_part(server: Server, package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that a server sends back is hidden before a long message is cut."""
    monkeypatch.setenv(login.TOKEN, "s3cret" * 300)
    target = connect(server.url)
    server.fail(STEPS["start run"], respond(500, b"x" * 300 + b" Bearer " + b"s3cret" * 300 + b" y" * 300))
    message = failure(target, package)
    assert "s3c" not in message
    assert "Bearer *** y y" in message
    assert len(message) < 1_000


def test_nothing_is_printed_or_written(
    server: Server, package: Path, capfd: pytest.CaptureFixture[str], home: Path
) -> None:
    """Results are the caller's to print: kfp's links and contexts go nowhere."""
    target = connect(server.url)
    submitted(target, package).wait(timeout=60)
    assert capfd.readouterr() == ("", "")
    assert list(home.rglob("*")) == []


# Certificates


def test_an_own_authority_is_accepted(package: Path, authority: kfp_server.Authority) -> None:
    """A server whose certificate is signed by the authority that is given is trusted."""
    with serving(context=authority.context, host="localhost") as server:
        submitted(connect(server.url, ca=authority.ca), package)
        assert len(server.runs) == 1


def test_an_unknown_authority_is_refused(authority: kfp_server.Authority, tmp_path: Path) -> None:
    """Without its authority, or with another, a server is not trusted and gets no request."""
    other = kfp_server.authority(tmp_path / "other")
    with serving(context=authority.context, host="localhost") as server:
        for ca in (None, other.ca):
            with pytest.raises(
                ClusterError, match=rf"^connect at {server.url}: .*not trusted: .* Give the CA's certif"
            ):
                connect(server.url, ca=ca)
        assert server.requests == []


def test_a_certificate_of_another_host_is_refused(tmp_path: Path) -> None:
    """A certificate for another name is not trusted, and the error says which."""
    other = kfp_server.authority(tmp_path / "other", host="elsewhere.example")
    with serving(context=other.context, host="localhost") as server:
        with pytest.raises(
            ClusterError, match="Hostname mismatch, certificate is not valid for 'localhost'.* the host by"
        ):
            connect(server.url, ca=other.ca)
        assert server.requests == []


@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_an_authority_that_is_none_is_bad_usage(tmp_path: Path, content: bytes | None) -> None:
    """A CA file that cannot be used is named."""
    if content is not None:
        (tmp_path / "ca.pem").write_bytes(content)
    with pytest.raises(ContractError, match=rf"^CA: expected certificates in PEM format in {tmp_path}/ca.pem, got: "):
        connect("https://localhost", ca=tmp_path / "ca.pem")


# The server


def test_the_server_notes_what_no_api_knows(package: Path) -> None:
    """The tests' server refuses, and tells of, other paths, queries, fields and both sources of a run."""
    server = Server()
    for method, path, query, body in [
        ("GET", "/apis/v1beta1/pipelines", {}, b""),
        ("GET", "/apis/v2beta1/pipelines", {"name": "x"}, b""),
        ("POST", "/apis/v2beta1/experiments", {}, b'{"name": "x"}'),
        ("POST", "/apis/v2beta1/experiments", {}, b'{"display_name": "x", "colour": 1}'),
        ("POST", "/apis/v2beta1/experiments", {}, b"{"),
        ("GET", "/apis/v2beta1/pipelines", {"filter": '{"predicates": [{"op": 1}]}'}, b""),
    ]:
        status, _ = kfp_server.judge(server, kfp_server.Request(method, path, query, {}, body))
        assert status == 501
    assert len(server.problems) == 6


def test_a_version_is_a_value() -> None:
    """Results can be compared and shown."""
    assert Version("1", "2", "3", "4") == Version("1", "2", "3", "4")
