"""The types that the Pipelines API promises, from a server that does not keep to them."""

import json
from typing import Any

import pytest
from support.kfp_server import Server, respond

from fmnist.cluster import answers
from fmnist.cluster.answers import AnswerError
from fmnist.cluster.client import ClusterError
from fmnist.cluster.cluster import Cluster
from fmnist.cluster.run import Run
from fmnist.steps.errors import ContractError

pytestmark = pytest.mark.usefixtures("nowhere")

ONE = "expected success, got an answer whose "


@pytest.mark.parametrize(
    ("answer", "got"),
    [
        ({"run_id": 7}, "run_id is no text, but an int"),
        ({"run_id": "one", "state": ["RUNNING"]}, "state is no text, but a list"),
        ({"run_id": "one", "run_details": []}, "run_details is no mapping, but a list"),
        ({"run_id": "one", "run_details": {"task_details": "x"}}, "task_details is no list, but a str"),
        (
            {"run_id": "one", "run_details": {"task_details": [7]}},
            "task_details has an int in the place of a mapping",
        ),
        ({"run_id": "one", "tasks": [{"type": ["RUNTIME"]}]}, "type is no text, but a list"),
        ({"run_id": "one", "error": "no"}, "error is no mapping, but a str"),
    ],
)
def test_a_look_of_another_type_is_one_error(server: Server, run: Run, answer: dict[str, Any], got: str) -> None:
    """It names the field, and what is there."""
    server.fail("GET .*/runs/", respond(200, json.dumps(answer).encode()))
    with pytest.raises(ClusterError, match=rf"^look at run {run.id} at {server.url}: {ONE}{got}\. "):
        run.wait(timeout=60)


@pytest.mark.parametrize(
    ("answer", "got"),
    [
        ({"runs": {"run_id": "one"}}, "runs is no list, but a dict"),
        ({"runs": ["one"]}, "runs has a str in the place of a mapping"),
        ({"runs": [{"display_name": "try"}]}, "runs has one without run_id"),
        ({"runs": [*[{"run_id": "one"}] * 3, {"run_id": 7}]}, "run_id is no text, but an int"),
        ({"next_page_token": 7}, "next_page_token is no text, but an int"),
    ],
)
def test_a_list_of_another_type_is_one_error(server: Server, target: Cluster, answer: dict[str, Any], got: str) -> None:
    """As a proxy of another API may give it."""
    server.fail("GET .*/runs$", respond(200, json.dumps(answer).encode()))
    with pytest.raises(ClusterError, match=rf"^find run at {server.url}: {ONE}{got}\. "):
        target.find_run("try")


def test_null_is_nothing(server: Server, target: Cluster, run: Run) -> None:
    """As the API leaves out what is empty, a server may write it so; what is false or 0 is something."""
    assert answers.checked({"a": None, "number_value": 0.0, "b": False, "uri": ""}) == {
        "number_value": 0.0,
        "b": False,
        "uri": "",
    }
    nulls = {"run_id": run.id, "state": None, "run_details": {"task_details": None}, "runtime_config": None}
    server.fail("GET .*/runs/", respond(200, json.dumps(nulls).encode()))
    lines = list[str]()
    run.wait(timeout=60, on_change=lines.append)
    assert "None" not in lines
    server.fail("GET .*/runs$", respond(200, b'{"runs": null, "next_page_token": null}'))
    with pytest.raises(ContractError, match="got 'try'"):
        target.find_run("try")


def test_what_people_have_written_is_theirs() -> None:
    """Parameters and metadata may have any type, and null, under any name."""
    given = {"runtime_config": {"parameters": {"name": 7, "tasks": None}}, "metadata": {"state": [None]}, "new": [7]}
    assert answers.checked(given) == given
    with pytest.raises(AnswerError, match="^an answer whose parameters is no mapping, but a list$"):
        answers.checked({"runtime_config": {"parameters": []}})


@pytest.mark.parametrize(
    ("names", "other", "said"),
    [
        (
            "create_time created_at display_name end_time experiment_id message name next_page_token parent_task_id "
            "pipeline_id pipeline_version_id pod_name run_id start_time state status task_id task_name type uri",
            7,
            "text, but an int",
        ),
        (
            "error metadata parameters pipeline_spec pipeline_version_reference producer run_details runtime_config "
            "status_metadata type_attributes",
            [],
            "mapping, but a list",
        ),
        (
            "artifact_tasks child_tasks experiments pipeline_versions pipelines pods runs state_history "
            "task_details tasks",
            {},
            "list, but a dict",
        ),
    ],
    ids=["texts", "mappings", "lists"],
)
def test_each_field_has_its_type(names: str, other: Any, said: str) -> None:
    """Whatever is read of an answer was looked at before."""
    for name in names.split():
        with pytest.raises(AnswerError) as refused:
            answers.checked({name: other})
        assert str(refused.value) == f"an answer whose {name} is no {said}"


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("artifact_tasks", "artifact_id"),
        ("experiments", "experiment_id"),
        ("pipeline_versions", "pipeline_version_id"),
        ("pipelines", "pipeline_id"),
        ("runs", "run_id"),
    ],
)
def test_what_is_listed_has_its_id(name: str, needed: str) -> None:
    """Nothing can be done with one that has none, or an empty one."""
    assert answers.checked({name: [{needed: "one"}]}) == {name: [{needed: "one"}]}
    for one in ({}, {needed: ""}):
        with pytest.raises(AnswerError, match=f"^an answer whose {name} has one without {needed}$"):
            answers.checked({name: [one]})
    with pytest.raises(AnswerError, match=f"^an answer whose {name} has None in the place of a mapping$"):
        answers.checked({name: [{needed: "one"}, None]})
