"""Pipelines and their versions on a cluster: the real kfp.Client against a strict server here, over real HTTP."""

import datetime as dt
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import kfp_server
from support.kfp_server import Server, respond
from support.submission import STEPS, names, submitted

from fmnist.cluster import versions
from fmnist.cluster.client import ClusterError
from fmnist.cluster.cluster import Cluster, connect
from fmnist.steps.errors import ContractError

pytestmark = pytest.mark.usefixtures("nowhere")


def test_a_pipeline_is_created_with_one_version(server: Server, compiled: Path) -> None:
    """A new name gives a pipeline and one version with the content of the file."""
    version = connect(server.url).versions.create(compiled, name="fashion", description="What it does.")
    assert names(server.pipelines) == ["fashion"]
    (stored,) = server.versions
    assert (stored["pipeline_version_id"], stored["pipeline_id"]) == (version.id, version.pipeline_id)
    assert stored["pipeline_spec"] == yaml.safe_load(compiled.read_text())
    assert {server.pipelines[0]["description"], stored["description"]} == {"What it does."}
    assert version.link == f"{server.url}/#/pipelines/details/{version.pipeline_id}/version/{version.id}"


def test_the_same_file_is_the_same_version(server: Server, compiled: Path, tmp_path: Path) -> None:
    """The same content, from another file and another process, is found again, and not sent; also under a version."""
    copied = tmp_path / "copied.yaml"
    copied.write_bytes(compiled.read_bytes())
    for number, name in enumerate([None, "1.10"], 1):
        version = connect(server.url).versions.create(compiled, name="fashion", version=name)
        assert connect(server.url).versions.create(copied, name="fashion", version=name) == version
        assert (len(server.pipelines), len(server.versions)) == (1, number)
        assert len(server.asked("POST .*upload_version")) == number


def test_what_is_not_described_has_no_description(server: Server, target: Cluster, compiled: Path) -> None:
    """Neither pipeline, version, experiment nor run; the version is called by a digest of the file."""
    version = target.versions.create(compiled, name="fashion")
    target.run(version, experiment="first", run_name="try", parameters={})
    for item in (server.pipelines[0], server.versions[0], server.experiments[0], server.runs[0]):
        assert "description" not in item
    assert version.name == hashlib.sha256(compiled.read_bytes()).hexdigest()[:16]


def test_another_file_is_a_new_version(server: Server, target: Cluster, compiled: Path, tmp_path: Path) -> None:
    """Other content is another version of the same pipeline, also under the same version label."""
    other = tmp_path / "other.yaml"
    other.write_text(compiled.read_text() + "# changed\n")
    versions = [target.versions.create(path, name="fashion", version="1.0") for path in (compiled, other)]
    assert names(server.pipelines) == ["fashion"]
    assert names(server.versions) == [version.name for version in versions]
    assert all(re.fullmatch(r"1\.0-[0-9a-f]{16}", version.name) for version in versions)
    assert versions[0] != versions[1]


@pytest.mark.parametrize("name", ["a+b", "100%", "50%25", "ä ö", 'say "hi"', "a&b=c#d"])
def test_any_name_is_found_again(server: Server, target: Cluster, compiled: Path, name: str) -> None:
    """A name with signs that mean something in a URL is a separate pipeline."""
    target.versions.create(compiled, name="fashion")
    assert target.versions.create(compiled, name=name) == target.versions.create(compiled, name=name)
    assert names(server.pipelines) == ["fashion", name]


def test_a_name_in_other_letters_is_another_one(server: Server, target: Cluster, compiled: Path) -> None:
    """A pipeline whose name differs in case is not taken for the one that is asked for; no server holds both."""
    target.versions.create(compiled, name="fashion")
    with pytest.raises(ClusterError, match=r"^create pipeline at .*HTTP 409 .*choose another name"):
        target.versions.create(compiled, name="Fashion")
    assert names(server.pipelines) == ["fashion"]


def test_a_file_that_is_not_there_is_bad_input(server: Server, tmp_path: Path) -> None:
    """A missing file is refused before anything is created."""
    with pytest.raises(ContractError, match=r"none\.yaml: expected a compiled pipeline, .* got .* No such file"):
        connect(server.url).versions.create(tmp_path / "none.yaml", name="fashion")
    assert server.pipelines == []


def test_a_file_that_is_no_pipeline_is_refused(server: Server, tmp_path: Path) -> None:
    """A bad file is refused before anything is sent."""
    bad, target = tmp_path / "bad.yaml", connect(server.url)
    bad.write_text("- 1\n")
    with pytest.raises(ContractError, match=f"^pipeline file {bad}: expected a compiled pipeline, .* got another doc"):
        target.versions.create(bad, name="fashion")
    assert len(server.requests) == 1


def test_the_latest_version_is_found(server: Server, target: Cluster, compiled: Path, tmp_path: Path) -> None:
    """The pipeline's name leads to its newest version, and that to the document of the pipeline."""
    other = tmp_path / "other.yaml"
    other.write_text(compiled.read_text() + "---\nplatforms:\n  kubernetes: {}\n")
    versions = [target.versions.create(compiled, name="fashion")]
    server.clock = lambda: dt.datetime(2027, 1, 1, tzinfo=dt.UTC)
    versions.append(target.versions.create(other, name="fashion"))
    assert target.versions.latest("fashion") == versions[1]
    assert (
        target.versions.spec(versions[0]) == target.versions.spec(versions[1]) == yaml.safe_load(compiled.read_text())
    )


def test_a_pipeline_that_is_not_there_has_no_latest_version(server: Server, target: Cluster, compiled: Path) -> None:
    """An unknown name, or a pipeline without versions, is bad input."""
    target.versions.create(compiled, name="fashion")
    server.versions.clear()
    for name in ("other", "fashion"):
        with pytest.raises(ContractError) as caught:
            target.versions.latest(name)
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
        "fmnist.cluster.versions.sleep", lambda seconds: now.insert(0, now[0] + dt.timedelta(0, seconds))
    )
    for number in range(6):
        other = tmp_path / f"{number}.yaml"
        other.write_text(compiled.read_text() + f"# {number}\n")
        version = target.versions.create(other, name="fashion")
        assert target.versions.latest("fashion") == version
    assert len(now) == 6
    assert len({one["created_at"] for one in server.versions}) == 6
    assert now[0] - now[-1] == dt.timedelta(seconds=5)


def test_a_version_of_the_future_is_waited_for(
    server: Server, target: Cluster, compiled: Path, tmp_path: Path, slept: list[float]
) -> None:
    """As where the clocks of two servers behind one address differ; one of the past is not."""
    target.versions.create(compiled, name="fashion")
    for time, waits in (("2000-01-01T00:00:00Z", []), ("2099-01-01T00:00:00Z", [1])):
        for one in server.versions:
            one["created_at"] = time
        (other := tmp_path / "other.yaml").write_text(compiled.read_text() + f"# {time}\n")
        target.versions.create(other, name="fashion")
        assert slept == waits


def test_versions_that_nothing_orders_are_not_guessed(server: Server, target: Cluster, compiled: Path) -> None:
    """Where another client made two versions within one second, none of them is called the newest."""
    version = target.versions.create(compiled, name="fashion")
    unnamed = {key: value for key, value in server.versions[0].items() if key != "name"}
    server.versions[0]["display_name"] = "as shown"
    server.versions.append(unnamed | {"pipeline_version_id": "other", "display_name": "ui"})
    with pytest.raises(ContractError) as caught:
        target.versions.latest("fashion")
    second = server.versions[0]["created_at"]
    assert str(caught.value) in [
        f"pipeline 'fashion' at {server.url}: expected a newest version, got {both}, made in one second, {second}. "
        "Run the file itself, without --run-only, or upload one again."
        for both in (f"'{version.name}' and 'ui'", f"'ui' and '{version.name}'")
    ]
    del server.versions[1]["display_name"]
    with pytest.raises(ContractError, match="'other'"):
        target.versions.latest("fashion")
    server.versions.append(server.versions[0] | {"pipeline_version_id": "new", "name": "new", "created_at": "2099"})
    assert target.versions.latest("fashion").id == "new"
    server.versions[-1]["created_at"] = "2000"
    server.versions[0]["created_at"] = "2001"
    assert target.versions.latest("fashion").id == "other"


@pytest.mark.parametrize("listed", [True, False], ids=["listed", "not listed"])
@pytest.mark.parametrize("kubernetes", [b"", b"---\nplatforms:\n  kubernetes: {}\n"], ids=["one", "two documents"])
def test_a_version_is_read_once(
    server: Server, compiled: Path, tmp_path: Path, listed: bool, kubernetes: bytes
) -> None:
    """The document of what was made here, or listed with it, is known, and another is asked for once."""
    path = tmp_path / "some.yaml"
    path.write_bytes(compiled.read_bytes() + kubernetes)
    made = (first := connect(server.url)).versions.create(path, name="fashion")
    content = server.versions[0]["pipeline_spec"]
    if not listed:
        del server.versions[0]["pipeline_spec"]
    found = (second := connect(server.url)).versions.latest("fashion")
    server.versions[0]["pipeline_spec"] = content
    for target, version, asked in ((first, made, 0), (second, found, 0 if listed else 1)):
        server.requests.clear()
        for _ in range(2):
            assert target.versions.spec(version) == yaml.safe_load(compiled.read_text())
        assert len(server.requests) == asked
    # Another version of it is another document.
    path.write_text(text := compiled.read_text().replace("name: small", "name: other"))
    assert second.versions.spec(connect(server.url).versions.create(path, name="fashion")) == yaml.safe_load(text)


@pytest.mark.parametrize(
    ("document", "got"),
    [
        ({"root": ["a"]}, "pipeline_spec.root is no mapping, but a list"),
        ({"root": {"inputDefinitions": 1}}, "pipeline_spec.root.inputDefinitions is no mapping, but an int"),
        (
            {"root": {"inputDefinitions": {"parameters": {"a": "INT"}}}},
            "pipeline_spec.root.inputDefinitions.parameters.a is no mapping, but a str",
        ),
        (
            {"root": {}, "components": {"a": {"dag": {"tasks": {"b": [], "c": None}}}}},
            "pipeline_spec.components.a.dag.tasks.b is no mapping, but a list",
        ),
        ({"pipeline_spec": "a"}, "pipeline_spec is no mapping, but a str"),
    ],
    ids=["root", "inputs", "input", "task", "document"],
)
def test_a_version_that_is_no_pipeline_is_refused(
    server: Server, compiled: Path, document: dict[str, Any], got: str
) -> None:
    """Whoever else has written it: the server takes any document for the content of a version."""
    connect(server.url).versions.create(compiled, name="fashion")
    server.versions[0]["pipeline_spec"] = document
    with pytest.raises(ClusterError) as caught:
        connect(server.url).versions.latest("fashion")
    assert str(caught.value) == (
        f"read version at {server.url}: expected a compiled pipeline, got one whose {got}. Run the file itself, "
        "without --run-only."
    )


def test_a_null_in_a_version_is_nothing(server: Server, compiled: Path) -> None:
    """As the API has it everywhere."""
    connect(server.url).versions.create(compiled, name="fashion")
    parameters = {"inputDefinitions": {"parameters": {"a": {"isOptional": True, "defaultValue": None}, "b": None}}}
    server.versions[0]["pipeline_spec"] = {"root": {**parameters, "dag": None, "x": [None]}, "components": None}
    target = connect(server.url)
    kept = {"inputDefinitions": {"parameters": {"a": {"isOptional": True}}}}
    assert target.versions.spec(target.versions.latest("fashion")) == {"root": {**kept, "x": [None]}}


def test_a_renamed_pipeline_is_found_by_its_name(server: Server, target: Cluster, compiled: Path) -> None:
    """The UI changes only what it shows; what it shows counts too, where no pipeline has that name."""
    version = target.versions.create(compiled, name="fashion")
    server.pipelines[0]["display_name"] = "Fashion, renamed"
    assert target.versions.create(compiled, name="fashion") == target.versions.latest("fashion") == version
    assert target.versions.latest("Fashion, renamed") == version
    assert len(server.pipelines) == 1
    server.pipelines.append({**server.pipelines[0], "pipeline_id": "other", "name": "other"})
    with pytest.raises(ContractError, match="expected one called 'Fashion, renamed' at .*, got several: .*, "):
        target.versions.latest("Fashion, renamed")
    server.pipelines[1]["name"] = "Fashion, renamed"
    assert target.versions.create(compiled, name="Fashion, renamed").pipeline_id == "other"


def test_a_renamed_version_keeps_its_name(server: Server, target: Cluster, compiled: Path) -> None:
    """The UI changes only what it shows: the name says which content it is."""
    version = target.versions.create(compiled, name="fashion")
    server.versions[0]["display_name"] = "The first"
    assert target.versions.create(compiled, name="fashion") == target.versions.latest("fashion") == version


def test_a_pipeline_is_shown_by_its_name(server: Server, target: Cluster, compiled: Path) -> None:
    """Servers before 2.5 take that name alone."""
    target.versions.create(compiled, name="fashion", description="of clothes")
    [made] = server.asked("POST .*/pipelines$")
    assert json.loads(made.body) == {"name": "fashion", "display_name": "fashion", "description": "of clothes"}


def test_a_server_that_does_not_list_versions_is_an_error(server: Server, target: Cluster, compiled: Path) -> None:
    """The error says what was asked for."""
    target.versions.create(compiled, name="fashion")
    server.fail("GET .*/versions$", respond(500))
    with pytest.raises(ClusterError, match=f"^find version at {server.url}: expected success, got HTTP 500 "):
        target.versions.latest("fashion")


def test_a_version_is_of_the_pipeline_that_was_asked_for(server: Server, target: Cluster, compiled: Path) -> None:
    """An answer need not repeat which one that was."""
    version = target.versions.create(compiled, name="fashion")
    [made] = server.versions
    answer = {"pipeline_versions": [{key: value for key, value in made.items() if key != "pipeline_id"}]}
    server.fail("GET .*/versions$", respond(200, json.dumps(answer).encode()))
    assert target.versions.latest("fashion") == version


def test_servers_with_one_name_are_known(server: Server, target: Cluster, compiled: Path) -> None:
    """Servers before 2.5 give pipelines and versions a display name alone."""
    version = target.versions.create(compiled, name="fashion")
    for item in (*server.pipelines, *server.versions):
        del item["name"]
    assert target.versions.create(compiled, name="fashion") == target.versions.latest("fashion") == version
    del server.versions[0]["display_name"]
    assert target.versions.latest("fashion").name == version.id


def test_all_pages_are_looked_through(server: Server, target: Cluster, compiled: Path) -> None:
    """A name behind more than a page of names that are equal to the database is found."""
    server.page_limit = 2
    version = target.versions.create(compiled, name="fashion")
    for number in range(5):
        other = {"pipeline_id": f"{number}", "name": "FASHION", "display_name": "FASHION", "created_at": "2000"}
        server.pipelines.append(other)
        server.experiments.append({"experiment_id": f"{number}", "display_name": "FIRST", "created_at": "2000"})
    server.experiments.append({"experiment_id": "mine", "display_name": "first", "created_at": "2001"})
    assert target.versions.create(compiled, name="fashion") == version
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
        target.versions.create(compiled, name="fashion")


@pytest.mark.parametrize(
    ("content", "uncached"),
    [
        ({"root": {}}, {"root": {}}),
        (
            {"root": {"dag": {"tasks": {"a": {"cachingOptions": {"enableCache": True, "cacheKey": "k"}}}}}},
            {"root": {"dag": {"tasks": {"a": {"cachingOptions": {"enableCache": False}}}}}},
        ),
        (
            {
                "root": {"dag": {}},
                "components": {
                    "b": {"executorLabel": "x"},
                    "c": {"dag": {"tasks": {"d": {}, "e": {}, "f": {}}}},
                    "g": {"dag": {"tasks": {"h": {}}}},
                },
            },
            {
                "root": {"dag": {}},
                "components": {
                    "b": {"executorLabel": "x"},
                    "c": {"dag": {"tasks": {name: {"cachingOptions": {"enableCache": False}} for name in "def"}}},
                    "g": {"dag": {"tasks": {"h": {"cachingOptions": {"enableCache": False}}}}},
                },
            },
        ),
    ],
    ids=["nothing", "task", "components"],
)
def test_any_pipeline_can_do_without_caching(content: dict[str, Any], uncached: dict[str, Any]) -> None:
    """Whatever it lacks, and whatever a task says of the cache."""
    assert versions.uncached(content) == uncached


def test_a_pipeline_of_version_1_keeps_its_cache() -> None:
    """Servers list those of the API before, which are workflows of Argo, among the others."""
    with pytest.raises(ContractError) as refused:
        versions.uncached({"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "spec": {}})
    assert str(refused.value) == (
        "cache: expected a version that was compiled for Kubeflow Pipelines 2, to turn it off there, got another one, "
        "perhaps for version 1. Leave the cache on, or compile the pipeline anew."
    )
