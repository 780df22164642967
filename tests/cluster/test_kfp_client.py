"""Tests of `kfp.Client` itself, as people use it, with what this package compiles, against a strict API server here."""

import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import Client
from support.kfp_server import Server

import fmnist.cluster
from fmnist import pipeline
from fmnist.pipeline import Where
from fmnist.runs import study_pipeline

IMAGE = Where("registry.example/fmnist:1")

#: Each compiled file: what writes it, arguments for a run, and the tasks of the pipeline.
FILES: dict[str, tuple[Callable[[Path], Path], dict[str, Any], list[str]]] = {
    "plain": (pipeline.compile_pipeline, {"epochs": 1, "seed": 7}, ["confusion-matrix", "test", "train"]),
    "image": (
        lambda path: pipeline.compile_pipeline(path, IMAGE),
        {"compile_optimizer": "sgd", "validation_split": 0.1},
        ["confusion-matrix", "test", "train"],
    ),
    "study": (study_pipeline.compile_pipeline, {"seeds": 3, "shards": 0}, ["divide", "for-loop-1", "verdict"]),
    "study-image": (
        lambda path: study_pipeline.compile_pipeline(path, IMAGE),
        {"seeds": 3, "first_seed": 5},
        ["divide", "for-loop-1", "verdict"],
    ),
}

FUNCTIONS: dict[str, tuple[Callable[[], Any], dict[str, Any], list[str]]] = {
    "plain": (lambda: pipeline.fashion_mnist, *FILES["plain"][1:]),
    "image": (lambda: pipeline.make_pipeline(IMAGE), *FILES["image"][1:]),
    "study": (lambda: study_pipeline.fashion_mnist_study, *FILES["study"][1:]),
}


@pytest.fixture
def client(server: Server, nowhere: None) -> Client:
    """The client of kfp, connected to the server."""
    with pytest.warns(FutureWarning, match="This client only works with Kubeflow Pipeline v2"):
        return Client(host=server.url)


def assert_is_run(server: Server, arguments: dict[str, Any], tasks: list[str], spec: Any = None) -> None:
    """Assert that the server runs a pipeline of these tasks, with these arguments, in the default experiment."""
    __tracebackhide__ = True
    [run], [experiment] = server.runs, server.experiments
    assert (run["experiment_id"], experiment["display_name"]) == (experiment["experiment_id"], "Default")
    assert run["runtime_config"]["parameters"] == arguments
    sent = run["pipeline_spec"]
    sent = sent.get("pipeline_spec", sent)
    assert sorted(sent["root"]["dag"]["tasks"]) == tasks
    assert spec is None or sent == spec


@pytest.mark.parametrize("name", FILES)
def test_a_compiled_file_is_run(name: str, client: Client, server: Server, tmp_path: Path) -> None:
    """`create_run_from_pipeline_package` sends the file as it is, and the run can be waited for."""
    write, arguments, tasks = FILES[name]
    path = write(tmp_path / "pipeline.yaml")
    run = client.create_run_from_pipeline_package(str(path), arguments=arguments, run_name="by hand")
    assert_is_run(server, arguments, tasks, next(yaml.safe_load_all(path.read_text())))
    server.states = ["RUNNING", "SUCCEEDED"]
    ended = client.wait_for_run_completion(run.run_id, timeout=60, sleep_duration=0)
    assert (ended.run_id, ended.state, ended.display_name) == (run.run_id, "SUCCEEDED", "by hand")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_pipeline_function_is_run(name: str, client: Client, server: Server) -> None:
    """`create_run_from_pipeline_func` compiles the pipeline and sends it."""
    make, arguments, tasks = FUNCTIONS[name]
    client.create_run_from_pipeline_func(make(), arguments=arguments, enable_caching=False)
    assert_is_run(server, arguments, tasks)
    spec = server.runs[0]["pipeline_spec"]
    every = spec.get("pipeline_spec", spec)["root"]["dag"]["tasks"].values()
    assert {task.get("cachingOptions", {}).get("enableCache", False) for task in every} == {False}


def test_a_wrong_argument_is_refused(client: Client, server: Server, tmp_path: Path) -> None:
    """The server's words come through, and no run is there."""
    path = pipeline.compile_pipeline(tmp_path / "pipeline.yaml")
    with pytest.raises(Exception, match="parameter.s. provided are not required by pipeline: epoch"):
        client.create_run_from_pipeline_package(str(path), arguments={"epoch": 1})
    assert server.runs == []


def test_versions_are_found_by_name(client: Client, server: Server, tmp_path: Path) -> None:
    """What `kfp.Client` lists with a filter of its own, which spells `stringValue`, is what has that name."""
    path = pipeline.compile_pipeline(tmp_path / "pipeline.yaml")
    for name in ("first", "second"):
        server.pipelines.append(
            {"pipeline_id": f"id of {name}", "name": name, "display_name": name, "created_at": "2026-01-01T00:00:00Z"}
        )
    assert client.get_pipeline_id("second") == "id of second"
    assert client.get_pipeline_id("third") is None
    version = client.upload_pipeline_version(str(path), "one", pipeline_name="second")
    assert (version.pipeline_id, version.display_name) == ("id of second", "one")
    [found] = client.list_pipeline_versions(version.pipeline_id).pipeline_versions
    assert found.pipeline_version_id == version.pipeline_version_id
    by_name = '{"predicates": [{"operation": "EQUALS", "key": "display_name", "stringValue": "first"}]}'
    assert [one.pipeline_id for one in client.list_pipelines(filter=by_name).pipelines] == ["id of first"]
    assert len(client.list_pipelines().pipelines) == 2


def test_runs_and_experiments_are_found_by_name(client: Client, server: Server, tmp_path: Path) -> None:
    """Both spellings of a filter are taken; what nothing matches is empty."""
    path = pipeline.compile_pipeline(tmp_path / "pipeline.yaml")
    for name in ("first", "second"):
        client.create_run_from_pipeline_package(str(path), run_name=name, experiment_name=f"experiment {name}")
    experiment = client.get_experiment(experiment_name="experiment second")
    assert experiment.display_name == "experiment second"
    for spelling in ("stringValue", "string_value"):
        filter_ = f'{{"predicates": [{{"operation": "EQUALS", "key": "display_name", "{spelling}": "second"}}]}}'
        [run] = client.list_runs(filter=filter_).runs
        assert (run.display_name, run.experiment_id) == ("second", experiment.experiment_id)
    assert client.list_experiments(filter=filter_).experiments is None
    assert client.get_run(run.run_id).display_name == "second"


def test_no_test_finds_what_is_really_there(
    request: pytest.FixtureRequest, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a server, a login, a cluster around it nor a file of the user's is there for those that ask for that."""
    kfps = ("ENDPOINT", "UI_ENDPOINT", "SA_TOKEN_PATH", "IAP_OAUTH2_CLIENT_ID")
    names = [*(f"KF_PIPELINES_{name}" for name in kfps), "FMNIST_KFP_TOKEN", "FMNIST_KFP_COOKIES"]
    for name in (*names, "KUBERNETES_SERVICE_HOST"):
        monkeypatch.setenv(name, "real")
    request.getfixturevalue("nowhere")
    assert not {*names, "KUBERNETES_SERVICE_HOST"} & os.environ.keys()
    from kubernetes.config import kube_config

    files = (Client._LOCAL_KFP_CONTEXT, Client._NAMESPACE_PATH, kube_config.KUBE_CONFIG_DEFAULT_LOCATION)
    assert all(Path(file).is_relative_to(home) for file in files)
    assert os.environ["HOME"] == str(home)


def test_no_test_waits(slept: list[float]) -> None:
    """Wherever the package sleeps between two requests."""
    rooms = [
        path.stem
        for path in Path(fmnist.cluster.__path__[0]).glob("*.py")
        if "import sleep" in path.read_text() or ", sleep" in path.read_text()
    ]
    for room in rooms:
        importlib.import_module(f"fmnist.cluster.{room}").sleep(0.0)
    assert sorted(rooms) == ["client", "download", "run", "start", "versions"]
    assert slept == [0.0] * 5
