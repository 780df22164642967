"""Submission to a cluster: the real kfp.Client against a strict API server on this machine, over real HTTP."""

import inspect
import json
import os
from pathlib import Path
from typing import Any

import kfp
import pytest
import yaml
from kubernetes.config import kube_config
from support.kfp_server import Server, respond, serving
from support.submission import names, submitted

from fmnist.cluster.client import ClusterError
from fmnist.cluster.cluster import Cluster, connect
from fmnist.steps.errors import ContractError

pytestmark = pytest.mark.usefixtures("nowhere")


# Runs


def test_a_run_has_its_parameters_and_experiment(server: Server, target: Cluster, compiled: Path) -> None:
    """The run is one of the version, in a new experiment, with the types of its parameters kept."""
    version = target.versions.create(compiled, name="fashion")
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


def test_an_experiment_is_used_again(server: Server, target: Cluster, compiled: Path) -> None:
    """Two runs of one experiment are two runs and one experiment."""
    assert submitted(target, compiled) != submitted(target, compiled)
    assert names(server.experiments) == ["first"]
    assert len({run["experiment_id"] for run in server.runs}) == 1


def test_caching_is_switched_off_for_every_step(server: Server, compiled: Path) -> None:
    """Without caching, the run is of the same pipeline, in which no step, inner or outer, may be cached."""
    submitted(connect(server.url), compiled, caching=False)
    uncached = server.runs[0]["pipeline_spec"]
    original = compiled.read_text()
    assert original.count("enableCache: true") == 3
    assert uncached == yaml.safe_load(original.replace("enableCache: true", "enableCache: false"))


def test_caching_is_left_on(server: Server, compiled: Path) -> None:
    """With caching, the run refers to the version, whose steps may be cached."""
    submitted(connect(server.url), compiled)
    assert "pipeline_spec" not in server.runs[0]
    assert "enableCache': False" not in str(server.versions)


def test_a_part_for_kubernetes_is_kept_without_caching(server: Server, compiled: Path, tmp_path: Path) -> None:
    """A compiled file of two documents keeps both."""
    both = tmp_path / "both.yaml"
    both.write_text(compiled.read_text() + "---\nplatforms:\n  kubernetes: {}\n")
    submitted(connect(server.url), both, caching=False)
    sent = server.runs[0]["pipeline_spec"]
    assert sent["platform_spec"] == {"platforms": {"kubernetes": {}}}
    assert "'enableCache': True" not in str(sent)


def test_an_unknown_parameter_is_refused(server: Server, compiled: Path) -> None:
    """A parameter that the pipeline lacks, or of another type, is refused before a run or experiment is made."""
    for parameters, message in [
        ({"epoch": 3}, "^parameter: expected one of .*, got 'epoch'. Did you mean 'epochs'"),
        ({"epochs": 1.5}, "^parameter epochs: expected a whole number, .*, got 1.5"),
        ({"share": 10**400}, "^parameter share: expected a finite number, got 1000"),
    ]:
        with pytest.raises(ContractError, match=message):
            submitted(connect(server.url), compiled, parameters=parameters)
    assert (server.runs, server.experiments) == ([], [])


def test_no_cluster_that_is_really_there_is_found(
    home: Path, slept: list[float], monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config
) -> None:
    """Neither by variables nor by files: all tests here begin so."""
    names = [f"KF_PIPELINES_{name}" for name in ("ENDPOINT", "UI_ENDPOINT", "SA_TOKEN_PATH", "IAP_OAUTH2_CLIENT_ID")]
    names += ["FMNIST_KFP_TOKEN", "FMNIST_KFP_COOKIES", "KUBERNETES_SERVICE_HOST"]
    for name in (*names, "HOME"):
        monkeypatch.setenv(name, "theirs")
    for name in ("_LOCAL_KFP_CONTEXT", "_NAMESPACE_PATH"):
        monkeypatch.setattr(kfp.Client, name, "theirs")
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", "theirs")
    conftest: Any = pytestconfig.pluginmanager.get_plugin(str(Path(__file__).with_name("conftest.py")))
    with pytest.MonkeyPatch.context() as patch:
        inspect.unwrap(conftest.nowhere)(patch, home, slept)
        assert [name for name in names if name in os.environ] == []
        files = (kfp.Client._LOCAL_KFP_CONTEXT, kfp.Client._NAMESPACE_PATH, kube_config.KUBE_CONFIG_DEFAULT_LOCATION)
        assert os.environ["HOME"] == str(home)
        assert [file for file in files if not Path(file).is_relative_to(home)] == []


# Namespaces


def test_a_pipeline_that_users_share_is_found(compiled: Path) -> None:
    """It is in no namespace, and runs in that of the user; one of the user's own comes first."""
    with serving(multi_user=True) as server:
        shared = connect(server.url, namespace="somebody").versions.create(compiled, name="fashion")
        server.pipelines[0]["namespace"] = ""
        target = connect(server.url, namespace="alice")
        version = target.versions.latest("fashion")
        assert version == shared
        assert target.run(version, experiment="e", run_name="r", parameters={})._namespace == "alice"
        with pytest.raises(ContractError, match="expected one called 'other' at .*, got none"):
            target.versions.latest("other")
        own = target.versions.create(compiled, name="fashion")
        assert target.versions.latest("fashion") == own != shared


def test_namespaces_are_apart(compiled: Path) -> None:
    """Two users of a cluster have pipelines and experiments of the same names, each in their namespace."""
    with serving(multi_user=True) as server:
        for namespace in ("alice", "bob", "alice"):
            target = connect(server.url, namespace=namespace)
            run = submitted(target, compiled, run_name=namespace)
            assert target.versions.latest("fashion").pipeline_id == server.pipelines[namespace == "bob"]["pipeline_id"]
            assert repr(target) == f"Cluster(host='{server.url}', namespace='{namespace}')"
            assert run._namespace == namespace
        assert [item["namespace"] for item in server.pipelines] == ["alice", "bob"]
        assert [item["namespace"] for item in server.experiments] == ["alice", "bob"]


def test_a_namespace_is_not_sent_to_a_cluster_for_one_user(server: Server, compiled: Path) -> None:
    """A cluster without namespaces for users, which would refuse one, gets none."""
    target = connect(server.url, namespace="kubeflow")
    submitted(target, compiled)
    assert target.namespace is None


def test_several_users_need_a_namespace() -> None:
    """A cluster for several users is not asked for anything without a namespace."""
    with serving(multi_user=True) as server:
        with pytest.raises(ContractError) as caught:
            connect(server.url)
        assert str(caught.value) == (
            f"cluster: expected a namespace, as {server.url} has several users, got none. Give one."
        )
        assert len(server.requests) == 1


def test_a_namespace_that_cannot_be_read_is_none(home: Path) -> None:
    """What to do is said, not what is wrong with a file that nobody knows."""
    (home / "namespace").mkdir()
    with serving(multi_user=True) as server, pytest.raises(ContractError, match="expected a namespace, as .*Give one"):
        connect(server.url)


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


def test_the_users_own_namespace_goes_before_that_of_the_pod(home: Path) -> None:
    """What somebody has chosen counts."""
    (home / ".config/kfp").mkdir(parents=True)
    (home / ".config/kfp/context.json").write_text('{"namespace": "carol"}')
    (home / "namespace").write_text("kubeflow")
    with serving(multi_user=True) as server:
        assert connect(server.url).namespace == "carol"
        assert connect(server.url, namespace="dave").namespace == "dave"


# Runs that are there


def test_a_run_is_found_by_its_id_or_its_name(server: Server, target: Cluster, compiled: Path) -> None:
    """Either finds it, also a name with characters that a URL has no place for."""
    for name in ("try", "50% off+1", 'ünï ☃ "q"', "3fa85f64-5717-4562-b3fc-2c963f66afa6"):
        run = submitted(target, compiled, run_name=name)
        assert target.find_run(run.id) == target.find_run(name) == run


@pytest.mark.parametrize("name", ["nobody", "TRY", "3fa85f64-5717-4562-b3fc-2c963f66afa6"], ids=["name", "case", "id"])
def test_a_run_that_is_not_there_is_said_so(server: Server, target: Cluster, compiled: Path, name: str) -> None:
    """An unknown name or id is bad input."""
    submitted(target, compiled)
    with pytest.raises(ContractError, match=f"run: expected the id or the name of one at {server.url}, got '{name}'"):
        target.find_run(name)


def test_a_name_of_several_runs_is_refused_with_their_ids(server: Server, target: Cluster, compiled: Path) -> None:
    """The message lists each run of the name, with its state and when it was made."""
    runs = [submitted(target, compiled) for _ in range(2)]
    with pytest.raises(ContractError, match="expected one of the name 'try' .*, got these. Give an id.") as caught:
        target.find_run("try")
    assert sorted(line.split()[0] for line in str(caught.value).splitlines()[1:]) == sorted(run.id for run in runs)


def test_a_server_that_fails_finds_no_run(server: Server, target: Cluster, compiled: Path) -> None:
    """An error of the server is its own, and no run that is not there."""
    run = submitted(target, compiled)
    server.fail("GET .*/runs/", respond(403))
    with pytest.raises(ClusterError, match="find run at .*HTTP 403"):
        target.find_run(run.id)
