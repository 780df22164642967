"""Submission to a cluster: the real kfp.Client against a strict API server on this machine, over real HTTP."""

import datetime as dt
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import kfp_server
from support.kfp_server import Server, respond, serving
from support.submission import STEPS, names, submitted

from fmnist.cluster import cluster
from fmnist.cluster.client import ClusterError
from fmnist.cluster.cluster import Cluster, connect
from fmnist.steps.errors import ContractError

pytestmark = pytest.mark.usefixtures("nowhere")


# Pipelines and versions


def test_a_pipeline_is_created_with_one_version(server: Server, compiled: Path) -> None:
    """A new name gives a pipeline and one version with the content of the file."""
    version = connect(server.url).create(compiled, name="fashion", description="What it does.")
    assert names(server.pipelines) == ["fashion"]
    (stored,) = server.versions
    assert (stored["pipeline_version_id"], stored["pipeline_id"]) == (version.id, version.pipeline_id)
    assert stored["pipeline_spec"] == yaml.safe_load(compiled.read_text())
    assert {server.pipelines[0]["description"], stored["description"]} == {"What it does."}
    assert version.link == f"{server.url}/#/pipelines/details/{version.pipeline_id}/version/{version.id}"


def test_the_same_file_is_the_same_version(server: Server, compiled: Path, tmp_path: Path) -> None:
    """The same content, from another file and another process, is found again."""
    copied = tmp_path / "copied.yaml"
    copied.write_bytes(compiled.read_bytes())
    version = connect(server.url).create(compiled, name="fashion")
    assert connect(server.url).create(copied, name="fashion") == version
    assert (len(server.pipelines), len(server.versions)) == (1, 1)


def test_what_is_not_described_has_no_description(server: Server, target: Cluster, compiled: Path) -> None:
    """Neither pipeline, version, experiment nor run; the version is called by a digest of the file."""
    version = target.create(compiled, name="fashion")
    target.run(version, experiment="first", run_name="try", parameters={})
    for item in (server.pipelines[0], server.versions[0], server.experiments[0], server.runs[0]):
        assert "description" not in item
    assert version.name == hashlib.sha256(compiled.read_bytes()).hexdigest()[:16]


def test_another_file_is_a_new_version(server: Server, target: Cluster, compiled: Path, tmp_path: Path) -> None:
    """Other content is another version of the same pipeline, also under the same version label."""
    other = tmp_path / "other.yaml"
    other.write_text(compiled.read_text() + "# changed\n")
    versions = [target.create(path, name="fashion", version="1.0") for path in (compiled, other)]
    assert names(server.pipelines) == ["fashion"]
    assert names(server.versions) == [version.name for version in versions]
    assert all(re.fullmatch(r"1\.0-[0-9a-f]{16}", version.name) for version in versions)
    assert versions[0] != versions[1]


@pytest.mark.parametrize("name", ["a+b", "100%", "50%25", "ä ö", 'say "hi"', "a&b=c#d"])
def test_any_name_is_found_again(server: Server, target: Cluster, compiled: Path, name: str) -> None:
    """A name with signs that mean something in a URL is a separate pipeline."""
    target.create(compiled, name="fashion")
    assert target.create(compiled, name=name) == target.create(compiled, name=name)
    assert names(server.pipelines) == ["fashion", name]


def test_a_name_in_other_letters_is_another_one(server: Server, target: Cluster, compiled: Path) -> None:
    """A pipeline whose name differs in case is not taken for the one that is asked for; no server holds both."""
    target.create(compiled, name="fashion")
    with pytest.raises(ClusterError, match=r"^create pipeline at .*HTTP 409 .*choose another name"):
        target.create(compiled, name="Fashion")
    assert names(server.pipelines) == ["fashion"]


def test_a_file_that_is_not_there_is_bad_input(server: Server, tmp_path: Path) -> None:
    """A missing file is refused before anything is created."""
    with pytest.raises(ContractError, match=r"none\.yaml: expected a compiled pipeline, .* got .* No such file"):
        connect(server.url).create(tmp_path / "none.yaml", name="fashion")
    assert server.pipelines == []


def test_a_file_that_is_no_pipeline_is_refused(server: Server, tmp_path: Path) -> None:
    """A bad file is refused before anything is sent."""
    bad, target = tmp_path / "bad.yaml", connect(server.url)
    bad.write_text("- 1\n")
    with pytest.raises(ContractError, match=f"^pipeline file {bad}: expected a compiled pipeline, .* got another doc"):
        target.create(bad, name="fashion")
    assert len(server.requests) == 1


def test_the_latest_version_is_found(server: Server, target: Cluster, compiled: Path, tmp_path: Path) -> None:
    """The pipeline's name leads to its newest version, and that to the document of the pipeline."""
    other = tmp_path / "other.yaml"
    other.write_text(compiled.read_text() + "---\nplatforms:\n  kubernetes: {}\n")
    versions = [target.create(compiled, name="fashion")]
    server.clock = lambda: dt.datetime(2027, 1, 1, tzinfo=dt.UTC)
    versions.append(target.create(other, name="fashion"))
    assert target.latest("fashion") == versions[1]
    assert target.spec(versions[0]) == target.spec(versions[1]) == yaml.safe_load(compiled.read_text())


def test_a_pipeline_that_is_not_there_has_no_latest_version(server: Server, target: Cluster, compiled: Path) -> None:
    """An unknown name, or a pipeline without versions, is bad input."""
    target.create(compiled, name="fashion")
    server.versions.clear()
    for name in ("other", "fashion"):
        with pytest.raises(ContractError) as caught:
            target.latest(name)
        assert str(caught.value) == (
            f"pipeline: expected one called '{name}' at {server.url}, got none. Create it first."
        )


def test_the_newest_of_one_second_is_found(
    server: Server, target: Cluster, compiled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server orders by whole seconds, and then at random: a version is made in a later one than those before."""
    now = [dt.datetime(2027, 1, 1, tzinfo=dt.UTC)]
    server.clock = lambda: now[0]
    monkeypatch.setattr(
        "fmnist.cluster.cluster.sleep", lambda seconds: now.insert(0, now[0] + dt.timedelta(0, seconds))
    )
    for number in range(6):
        other = tmp_path / f"{number}.yaml"
        other.write_text(compiled.read_text() + f"# {number}\n")
        version = target.create(other, name="fashion")
        assert target.latest("fashion") == version
    assert len(now) == 6
    assert len({one["created_at"] for one in server.versions}) == 6
    assert now[0] - now[-1] == dt.timedelta(seconds=5)


def test_versions_that_nothing_orders_are_not_guessed(server: Server, target: Cluster, compiled: Path) -> None:
    """Where another client made two versions within one second, none of them is called the newest."""
    version = target.create(compiled, name="fashion")
    unnamed = {key: value for key, value in server.versions[0].items() if key != "name"}
    server.versions[0]["display_name"] = "as shown"
    server.versions.append(unnamed | {"pipeline_version_id": "other", "display_name": "ui"})
    with pytest.raises(ContractError) as caught:
        target.latest("fashion")
    second = server.versions[0]["created_at"]
    assert str(caught.value) in [
        f"pipeline 'fashion' at {server.url}: expected a newest version, got {both}, made in one second, {second}. "
        "Run the file itself, without --run-only, or upload one again."
        for both in (f"'{version.name}' and 'ui'", f"'ui' and '{version.name}'")
    ]
    server.versions.append(server.versions[0] | {"pipeline_version_id": "new", "name": "new", "created_at": "2099"})
    assert target.latest("fashion").id == "new"
    server.versions[-1]["created_at"] = "2000"
    server.versions[0]["created_at"] = "2001"
    assert target.latest("fashion").id == "other"


@pytest.mark.parametrize("listed", [True, False], ids=["listed", "not listed"])
@pytest.mark.parametrize("kubernetes", [b"", b"---\nplatforms:\n  kubernetes: {}\n"], ids=["one", "two documents"])
def test_a_version_is_read_once(
    server: Server, compiled: Path, tmp_path: Path, listed: bool, kubernetes: bytes
) -> None:
    """The document of what was made here, or listed with it, is known, and another is asked for once."""
    path = tmp_path / "some.yaml"
    path.write_bytes(compiled.read_bytes() + kubernetes)
    made = (first := connect(server.url)).create(path, name="fashion")
    content = server.versions[0]["pipeline_spec"]
    if not listed:
        del server.versions[0]["pipeline_spec"]
    found = (second := connect(server.url)).latest("fashion")
    server.versions[0]["pipeline_spec"] = content
    for target, version, asked in ((first, made, 0), (second, found, 0 if listed else 1)):
        server.requests.clear()
        for _ in range(2):
            assert target.spec(version) == yaml.safe_load(compiled.read_text())
        assert len(server.requests) == asked


def test_a_renamed_pipeline_is_found_by_its_name(server: Server, target: Cluster, compiled: Path) -> None:
    """The UI changes only what it shows; what it shows counts too, where no pipeline has that name."""
    version = target.create(compiled, name="fashion")
    server.pipelines[0]["display_name"] = "Fashion, renamed"
    assert target.create(compiled, name="fashion") == target.latest("fashion") == version
    assert target.latest("Fashion, renamed") == version
    assert len(server.pipelines) == 1
    server.pipelines.append({**server.pipelines[0], "pipeline_id": "other", "name": "other"})
    with pytest.raises(ContractError, match="expected one called 'Fashion, renamed' at .*, got several: .*, "):
        target.latest("Fashion, renamed")
    server.pipelines[1]["name"] = "Fashion, renamed"
    assert target.create(compiled, name="Fashion, renamed").pipeline_id == "other"


def test_a_renamed_version_keeps_its_name(server: Server, target: Cluster, compiled: Path) -> None:
    """The UI changes only what it shows: the name says which content it is."""
    version = target.create(compiled, name="fashion")
    server.versions[0]["display_name"] = "The first"
    assert target.create(compiled, name="fashion") == target.latest("fashion") == version


def test_a_pipeline_is_shown_by_its_name(server: Server, target: Cluster, compiled: Path) -> None:
    """Servers before 2.5 take that name alone."""
    target.create(compiled, name="fashion", description="of clothes")
    [made] = server.asked("POST .*/pipelines$")
    assert json.loads(made.body) == {"name": "fashion", "display_name": "fashion", "description": "of clothes"}


def test_a_server_that_does_not_list_versions_is_an_error(server: Server, target: Cluster, compiled: Path) -> None:
    """The error says what was asked for."""
    target.create(compiled, name="fashion")
    server.fail("GET .*/versions$", respond(500))
    with pytest.raises(ClusterError, match=f"^find version at {server.url}: expected success, got HTTP 500 "):
        target.latest("fashion")


def test_servers_with_one_name_are_known(server: Server, target: Cluster, compiled: Path) -> None:
    """Servers before 2.5 give pipelines and versions a display name alone."""
    version = target.create(compiled, name="fashion")
    for item in (*server.pipelines, *server.versions):
        del item["name"]
    assert target.create(compiled, name="fashion") == target.latest("fashion") == version


def test_all_pages_are_looked_through(server: Server, target: Cluster, compiled: Path) -> None:
    """A name behind more than a page of names that are equal to the database is found."""
    server.page_limit = 2
    version = target.create(compiled, name="fashion")
    for number in range(5):
        other = {"pipeline_id": f"{number}", "name": "FASHION", "display_name": "FASHION", "created_at": "2000"}
        server.pipelines.append(other)
        server.experiments.append({"experiment_id": f"{number}", "display_name": "FIRST", "created_at": "2000"})
    server.experiments.append({"experiment_id": "mine", "display_name": "first", "created_at": "2001"})
    assert target.create(compiled, name="fashion") == version
    submitted(target, compiled)
    assert server.runs[0]["experiment_id"] == "mine"


@pytest.mark.parametrize("step", ["create pipeline", "upload version", "create experiment"])
def test_what_was_made_all_the_same_is_found(server: Server, target: Cluster, compiled: Path, step: str) -> None:
    """A request that worked, but whose answer says that the server is busy, is repeated and finds what it made."""
    server.fail(STEPS[step], kfp_server.unheard(server, 503, Retry_After="7"))
    submitted(target, compiled)
    assert (len(server.pipelines), len(server.versions), len(server.experiments), len(server.runs)) == (1, 1, 1, 1)


@pytest.mark.parametrize("status", [400, 500])
def test_invalid_input_is_bad_input(server: Server, target: Cluster, compiled: Path, status: int) -> None:
    """A server that calls the input invalid, with whatever status, is not asked to try again later."""
    said = b'{"code": 13, "message": "InternalServerError: Invalid input error: Pipeline.Name length cannot exceed 9"}'
    server.fail(STEPS["create pipeline"], kfp_server.respond(status, said))
    with pytest.raises(ContractError, match=f"HTTP {status} .* cannot exceed 9. Check names, namespace and parameters"):
        target.create(compiled, name="fashion")


# Runs


def test_a_run_has_its_parameters_and_experiment(server: Server, target: Cluster, compiled: Path) -> None:
    """The run is one of the version, in a new experiment, with the types of its parameters kept."""
    version = target.create(compiled, name="fashion")
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


@pytest.mark.parametrize(
    ("content", "uncached"),
    [
        ({"root": {}}, {"root": {}}),
        (
            {"root": {"dag": {"tasks": {"a": {"cachingOptions": {"enableCache": True, "cacheKey": "k"}}}}}},
            {"root": {"dag": {"tasks": {"a": {"cachingOptions": {"enableCache": False}}}}}},
        ),
        (
            {"root": {"dag": {}}, "components": {"b": {"executorLabel": "x"}, "c": {"dag": {"tasks": {"d": {}}}}}},
            {
                "root": {"dag": {}},
                "components": {
                    "b": {"executorLabel": "x"},
                    "c": {"dag": {"tasks": {"d": {"cachingOptions": {"enableCache": False}}}}},
                },
            },
        ),
    ],
    ids=["nothing", "task", "components"],
)
def test_any_pipeline_can_do_without_caching(content: dict[str, Any], uncached: dict[str, Any]) -> None:
    """Whatever it lacks, and whatever a task says of the cache."""
    assert cluster._uncached(content) == uncached


def test_a_pipeline_of_version_1_keeps_its_cache() -> None:
    """Servers list those of the API before, which are workflows of Argo, among the others."""
    with pytest.raises(ContractError) as refused:
        cluster._uncached({"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "spec": {}})
    assert str(refused.value) == (
        "cache: expected a version that was compiled for Kubeflow Pipelines 2, to turn it off there, got another one, "
        "perhaps for version 1. Leave the cache on, or compile the pipeline anew."
    )


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


# Namespaces


def test_namespaces_are_apart(compiled: Path) -> None:
    """Two users of a cluster have pipelines and experiments of the same names, each in their namespace."""
    with serving(multi_user=True) as server:
        for namespace in ("alice", "bob", "alice"):
            target = connect(server.url, namespace=namespace)
            run = submitted(target, compiled, run_name=namespace)
            assert target.latest("fashion").pipeline_id == server.pipelines[namespace == "bob"]["pipeline_id"]
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
