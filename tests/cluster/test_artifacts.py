"""What a run has left, and its accuracy, by its logs and by the API."""

from pathlib import Path
from typing import Any

import pytest
from support import kfp_logs
from support.kfp_logs import CONTENT, FILES, SUCCEEDED, artifact, driven, key, leave, look, printed
from support.kfp_server import Request, Server, cut, hang, respond
from support.submission import submitted

from fmnist.cluster import client
from fmnist.cluster.artifacts import Found, _add_cached, artifacts_of, full, metric
from fmnist.cluster.client import ClusterError
from fmnist.cluster.cluster import Cluster
from fmnist.cluster.logs import Artifact
from fmnist.cluster.run import Run
from fmnist.cluster.steps import Step

pytestmark = pytest.mark.usefixtures("nowhere")


#: The Argo workflow of a run that takes results of another from the cache.
LATER = "later-abcde"


def continued(server: Server, target: Cluster, compiled: Path, run: Run) -> Run:
    """Return a later run, of which the one log is that of its confusion matrix, whose labels `run` made."""
    later = submitted(target, compiled)
    inputs = {"labels": artifact(run.id, "test", "labels")}
    log = printed(later.id, "confusion-matrix", {"matrix": "Dataset"}, inputs)
    server.store.logs[kfp_logs.executor("confusion-matrix", workflow=LATER)] = log
    return later


@pytest.mark.parametrize("ui", [False, True], ids=["API", "UI"])
@pytest.mark.parametrize("retry", [True, False], ids=["retry nodes", "no retry nodes"])
def test_the_accuracy_is_in_the_log(server: Server, run: Run, ui: bool, retry: bool) -> None:
    """Up to 2.17 the accuracy is what the launcher of the step test told."""
    server.store.ui, server.store.looks = ui, [look("SUCCEEDED", retry=retry, **SUCCEEDED)]
    leave(server.store, run.id, retry=retry)
    assert run.accuracy() == (0.8428, "")


def test_a_server_that_gives_no_log_in_time_is_asked_for_none_again(
    server: Server, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of many nodes would take a minute: the result of a run that has ended would take an hour to come."""
    monkeypatch.setattr(client, "READ_TIMEOUT", 0.2)
    server.fail("GET .*/(logs?)$", hang(server), times=99)
    value, why = run.accuracy()
    assert value is None
    assert "the log of train cannot be had: read a log at " in why
    assert "got no answer in time (time-out)" in why
    assert len(server.asked("GET .*/(logs?)$")) == 1


def test_a_run_of_loops_alone_says_so(server: Server, run: Run) -> None:
    """Its steps are told, and none of them has the run's result."""
    names = ["", ".root", ".root.loop", loop := ".root.loop.iterator(0:0)", f"{loop}.fit", f"{loop}.fit.executor"]
    tasks = [
        kfp_logs._task(name, "SUCCEEDED", 0, [below] if below else [], "w")
        for name, below in zip(names, [*names[1:], ""], strict=True)
    ]
    server.store.looks = [{"state": "SUCCEEDED", "run_details": {"task_details": tasks}}]
    why = "no step outside of a loop has ended well, and of those in loops the run has no one result"
    assert run.accuracy() == (None, why)
    with pytest.raises(ClusterError, match=why):
        run.files()


def test_of_two_accuracies_none_is_the_runs(server: Server, run: Run) -> None:
    """Where two steps tell an accuracy, neither is taken."""
    more = printed(run.id, "train", {"metrics": "Metrics"}, metrics={"accuracy": 0.5})
    server.store.logs[kfp_logs.executor("train")] = more
    assert run.accuracy() == (None, "the run has 2 metrics of the name accuracy")


def test_an_accuracy_that_is_no_metric_is_none(server: Server, run: Run) -> None:
    """A model with an accuracy in its metadata does not tell the run's."""
    log = printed(run.id, "test", {"model": "Model"}, model={"accuracy": 0.5})
    server.store.logs[kfp_logs.executor("test")] = log
    assert run.accuracy() == (None, "no step reports a metric named accuracy")


def test_without_logs_the_accuracy_is_said_to_be_unknown(server: Server, run: Run) -> None:
    """Where the server has no logs, that is why."""
    server.store.logs.clear()
    value, why = run.accuracy()
    assert value is None
    assert "the log of test cannot be had" in why


def test_a_step_from_the_cache_tells_its_accuracy_through_the_step_after_it(
    server: Server, target: Cluster, compiled: Path, run: Run
) -> None:
    """The inputs of the confusion matrix name the run that made the labels, and its log has the accuracy."""
    later = continued(server, target, compiled, run)
    cached = look("SUCCEEDED", workflow=LATER, train="CACHED", test="CACHED", confusion_matrix="SUCCEEDED")
    server.store.looks = [cached, look("SUCCEEDED", **SUCCEEDED)]
    assert later.accuracy() == (0.8428, "")


def test_a_run_all_from_the_cache_says_so(server: Server, run: Run) -> None:
    """Where no step ran, nobody tells which run made the results."""
    server.store.logs.clear()
    server.store.looks = [look("SUCCEEDED", train="CACHED", test="CACHED", confusion_matrix="CACHED")]
    value, why = run.accuracy()
    assert value is None
    told = "test came from the cache, and the server does not say which run made its results; one with --no-cache has "
    assert told in why


def test_a_step_without_a_name_of_its_own_is_not_asked(server: Server, run: Run) -> None:
    """Of the turns of a loop none has the result of the run, so their logs are not read."""
    server.store.looks = [look("SUCCEEDED", **{**SUCCEEDED, "for-loop-1 turn": "SUCCEEDED"})]
    assert run.accuracy() == (0.8428, "")
    assert run.files() == FILES


def test_what_an_api_of_artifacts_answers_is_told_where_logs_say_nothing(server: Server, run: Run) -> None:
    """That there is no such API says nothing; that it fails is why there is no accuracy, if the logs have none."""
    server.fail("GET .*/artifact_tasks", respond(503, b"no healthy upstream"), times=3)
    assert run.accuracy() == (0.8428, "")
    server.store.looks = [look("SUCCEEDED", train="SUCCEEDED")]
    assert run.accuracy() == (None, "no step reports a metric named accuracy")
    server.store.looks = [look("SUCCEEDED")]
    value, why = run.accuracy()
    assert value is None
    assert why.startswith("the server lists no step of the run; ")
    assert "HTTP 503" in why
    server.fail("GET .*/artifact_tasks", respond(403))
    assert "HTTP 403 Forbidden" in run.accuracy()[1]


def test_only_the_step_that_made_a_result_is_asked_for_it(
    server: Server, target: Cluster, compiled: Path, run: Run
) -> None:
    """Of the run that an input names, other steps' results are not taken, whatever they are called."""
    later = continued(server, target, compiled, run)
    earlier = printed(run.id, "train", {"metrics": "Metrics"}, metrics={"accuracy": 0.5})
    server.store.logs[kfp_logs.executor("train")] = earlier
    server.store.logs[kfp_logs.executor("train", workflow=LATER)] = printed(later.id, "train", {"model": "Model"})
    cached = look("SUCCEEDED", workflow=LATER, train="SUCCEEDED", test="CACHED", confusion_matrix="SUCCEEDED")
    server.store.looks = [cached, look("SUCCEEDED", **SUCCEEDED)]
    assert later.accuracy() == (0.8428, "")


def test_a_run_that_no_longer_has_the_step_tells_nothing(
    server: Server, target: Cluster, compiled: Path, run: Run
) -> None:
    """Where the run that made a result does not list the step, the result is missing, and that is said."""
    later = continued(server, target, compiled, run)
    cached = look("SUCCEEDED", workflow=LATER, test="CACHED", confusion_matrix="SUCCEEDED")
    server.store.looks = [cached, look("SUCCEEDED", train="SUCCEEDED")]
    value, why = later.accuracy()
    assert value is None
    told = "test came from the cache, and the server does not say which run made its results; one with --no-cache has "
    assert told in why


def test_one_step_from_the_cache_after_another_is_found(
    server: Server, target: Cluster, compiled: Path, run: Run
) -> None:
    """The inputs of each step name the run that made them, also those of one that did not run itself."""
    later = continued(server, target, compiled, run)
    cached = look("SUCCEEDED", workflow=LATER, train="CACHED", test="CACHED", confusion_matrix="SUCCEEDED")
    server.store.looks = [cached, look("SUCCEEDED", **SUCCEEDED)]
    inputs = {"train": {}, "test": {"model": artifact(run.id, "train", "model")}}
    for step, given in inputs.items():
        server.store.logs[kfp_logs.node(f"(0).root(0).{step}-driver(0)", LATER)] = driven(given)
    server.store.files[key(later.id, "confusion-matrix", "matrix")] = CONTENT["matrix"]
    assert later.files() == {name: content for name, content in FILES.items() if name != "confusion_matrix.png"}


def test_what_a_step_from_the_cache_was_to_make_is_not_there(
    server: Server, target: Cluster, compiled: Path, run: Run
) -> None:
    """Only the earlier run has its results, whatever its own log names."""
    later = continued(server, target, compiled, run)
    cached = look("SUCCEEDED", workflow=LATER, test="CACHED", confusion_matrix="SUCCEEDED")
    server.store.looks = [cached, look("SUCCEEDED", **SUCCEEDED)]
    log = printed(later.id, "test", {"metrics": "Metrics"}, metrics={"accuracy": 0.5})
    server.store.logs[kfp_logs.node("(0).root(0).test-driver(0)", LATER)] = log
    assert later.accuracy() == (0.8428, "")


def test_the_log_of_a_step_from_the_cache_may_be_missing(
    server: Server, target: Cluster, compiled: Path, run: Run
) -> None:
    """It would tell no more than which run made the results of the steps before it."""
    later = continued(server, target, compiled, run)
    cached = look("SUCCEEDED", workflow=LATER, test="CACHED", confusion_matrix="SUCCEEDED")
    server.store.looks = [cached, look("SUCCEEDED", **SUCCEEDED)]
    server.store.files[key(later.id, "confusion-matrix", "matrix")] = CONTENT["matrix"]
    assert sorted(later.files()) == [
        "confusion_matrix.csv", "labels/class_names.txt", "labels/predicted.txt", "labels/true.txt", "metrics.json",
        "results.csv",
    ]  # fmt: skip


def test_each_run_that_may_have_made_a_result_is_asked(
    server: Server, target: Cluster, compiled: Path, run: Run
) -> None:
    """One after the other, in the order of their ids, and what the last one answers is told; no other step's is."""
    later = submitted(target, compiled)
    ids = [f"{number}0000000-0000-4000-8000-000000000000" for number in (3, 5, 1, 4, 2, 6)]
    inputs = {f"labels-{id_[0]}": artifact(id_, "test", "labels") for id_ in ids}
    inputs["others"] = artifact(ids[0].replace("3", "7"), "test-2", "labels")
    log = printed(later.id, "confusion-matrix", {"matrix": "Dataset"}, inputs)
    server.store.logs[kfp_logs.executor("confusion-matrix", workflow=LATER)] = log
    server.store.logs[kfp_logs.node("(0).root(0).test-driver(0)", LATER)] = driven({})
    server.store.looks = [look("SUCCEEDED", workflow=LATER, test="CACHED", confusion_matrix="SUCCEEDED")]
    value, why = later.accuracy()
    assert value is None
    assert why.startswith(f"test came from the cache, of run {max(ids)}: read runs/{max(ids)} at ")
    asked = [request.path.rpartition("/")[2] for request in server.asked("/runs/[^/]*$")]
    assert asked == [later.id, *sorted(ids)]


def test_a_step_that_failed_has_left_nothing(server: Server, run: Run) -> None:
    """Though its log names what it was to make."""
    server.store.looks = [look("SUCCEEDED", **SUCCEEDED | {"train": "FAILED"})]
    of_train = {"model.keras", "history.json", "loss_plot.png", "loss_plot.html"}
    assert run.files() == {name: content for name, content in FILES.items() if name not in of_train}


def test_an_api_of_artifacts_names_the_steps(server: Server, target: Cluster) -> None:
    """The task that made an artifact, and how it calls it, on all pages; who lists it again changes nothing."""
    tasks = [
        {"artifact_id": 1, "producer": {"task_name": "train"}, "key": "model"},
        {"artifact_id": 2, "producer": {"task_name": "test"}, "key": None},
        {"artifact_id": 1, "producer": {"task_name": "other"}, "key": "other"},
        {"artifact_id": "3", "producer": None},
        {"artifact_id": "4", "producer": {}, "key": "shown"},
    ]
    artifacts: list[dict[str, Any]] = [
        {"name": "a", "type": "Model", "uri": "s3://b/c", "metadata": {"d": 1}},
        {"name": "e", "type": "Metric", "number_value": 0.5},
        {"name": "f"},
        {"name": "g", "type": "Metric"},
    ]
    pages: dict[str, dict[str, Any]] = {
        "": {"artifact_tasks": tasks[:1], "next_page_token": "two"},
        "two": {"next_page_token": "three"},
        "three": {"artifact_tasks": tasks[1:], "next_page_token": ""},
    }

    def listed(_: Server, request: Request) -> dict[str, Any]:
        assert (request.query["run_ids"], request.query["type"]) == ("one", "OUTPUT")
        return pages[request.query["page_token"]]

    server.routes += [
        ("GET", "/apis/v2beta1/artifact_tasks", {"run_ids", "type", "page_token"}, listed),
        ("GET", "/apis/v2beta1/artifacts/([0-9])", set(), lambda _, __, number: artifacts[int(number) - 1]),
    ]
    assert artifacts_of(target._client, RUN, None) == Found(
        [
            ("train", Artifact("model", "system.Model", "s3://b/c", {"d": 1})),
            ("test", Artifact("metrics", "system.Metrics", "", {"e": 0.5})),
            ("", Artifact("f", "system.", "", {})),
            ("", Artifact("shown", "system.Metrics", "", {"g": None})),
        ]
    )


def test_an_api_of_artifacts_that_repeats_a_page_is_none(server: Server, run: Run) -> None:
    """It would be asked for ever; the logs tell the same, and where they do not, why there is no accuracy is told."""
    server.fail("GET .*/artifact_tasks$", respond(200, b'{"next_page_token": "same"}'), times=4)
    assert run.accuracy() == (0.8428, "")
    assert len(server.asked("GET .*/artifact_tasks$")) == 2
    server.store.looks = [look("SUCCEEDED")]
    value, why = run.accuracy()
    assert value is None
    assert f"read artifact_tasks at {server.url}: expected another page of the list, got one again. " in why


def test_an_earlier_run_that_cannot_be_read_is_told(server: Server, target: Cluster, compiled: Path, run: Run) -> None:
    """The error names the step, and the run that made its results."""
    later = continued(server, target, compiled, run)
    server.store.looks = [look("SUCCEEDED", workflow=LATER, test="CACHED", confusion_matrix="SUCCEEDED")]
    server.runs[:] = [one for one in server.runs if one["run_id"] != run.id]
    server.store.logs[kfp_logs.node("(0).root(0).test-driver(0)", LATER)] = driven({})
    value, why = later.accuracy()
    assert value is None
    head = f"test came from the cache, of run {run.id}: read runs/{run.id} at {server.url}: expected success, got "
    assert why.startswith(f"{head}HTTP 404 Not Found: ")


def test_a_step_from_the_cache_is_looked_for_in_its_part(target: Cluster) -> None:
    """Addresses of the store have its name alone, where the path tells it from another part's."""
    found, step = Found(), Step("inner/train", "CACHED", path="inner/train")
    id_ = "10000000-0000-4000-8000-000000000000"
    _add_cached(target._client, None, step, [artifact(id_, "train", "model")["artifacts"][0]["uri"]], found)
    head = f"inner/train came from the cache, of run {id_}: read runs/{id_} at "
    assert [trouble[: len(head)] for trouble in found.troubles] == [head]


def test_of_two_steps_of_one_name_the_one_in_the_same_part_is_asked(server: Server, target: Cluster, run: Run) -> None:
    """What another part's step made in the earlier run is not taken for it."""
    for part, accuracy in (("one", 0.5), ("two", 0.6)):
        log = printed(run.id, "train", {"metrics": "Metrics"}, metrics={"accuracy": accuracy})
        server.store.logs[kfp_logs.node(f".root.{part}.train.executor")] = log
    server.store.looks = [kfp_logs.nested("SUCCEEDED", one="SUCCEEDED", two="SUCCEEDED")]
    uri = artifact(run.id, "train", "metrics")["artifacts"][0]["uri"]
    for part, accuracy in (("one", 0.5), ("two", 0.6)):
        found = Found()
        _add_cached(target._client, None, Step(f"{part}/train", "CACHED", path=f"{part}/train"), [uri], found)
        assert [one.metadata for _, one in found.artifacts] == [{"accuracy": accuracy}], found.troubles


def test_an_earlier_run_may_have_its_steps_in_the_full_view(
    server: Server, target: Cluster, compiled: Path, run: Run
) -> None:
    """Its log is asked for in the namespace of the later run, and what the later run made itself is kept."""
    later = continued(server, target, compiled, run)
    cached = look("SUCCEEDED", workflow=LATER, test="CACHED", confusion_matrix="SUCCEEDED")
    server.store.looks = [cached, {"state": "SUCCEEDED"}]
    workflow, _, number = kfp_logs.executor("test").rpartition("-")
    pods = [{"name": f"{workflow}-system-container-impl-{number}", "type": "EXECUTOR"}]
    server.tasks = [{"name": "test", "type": "RUNTIME", "state": "SUCCEEDED", "pods": pods}]
    server.store.logs[kfp_logs.node("(0).root(0).test-driver(0)", LATER)] = driven({})
    server.store.files[key(later.id, "confusion-matrix", "matrix")] = CONTENT["matrix"]
    assert Run(later.id, later.link, later._client, "alice").files() == {
        name: FILES[name]
        for name in (
            "confusion_matrix.csv", "results.csv", "metrics.json",
            "labels/class_names.txt", "labels/predicted.txt", "labels/true.txt",
        )
    }  # fmt: skip
    assert {request.query["podnamespace"] for request in server.asked("/k8s/pod/logs")} == {"alice"}


@pytest.mark.parametrize(
    ("values", "troubles", "expected"),
    [
        ([0.5], ["no log"], (0.5, "")),
        ([1], [], (1.0, "")),
        (["high"], [], (None, "no step reports a metric named accuracy")),
        ([float("nan")], ["no log", "none"], (None, "no log; none")),
        ([0.5, "high"], ["no log"], (None, "the run has 2 metrics of the name accuracy")),
        ([0.5, 0.5], [], (None, "the run has 2 metrics of the name accuracy")),
        ([], [], (None, "no step reports a metric named accuracy")),
    ],
    ids=["one", "whole", "text", "not a number", "two", "two that are equal", "none"],
)
def test_a_metric_is_one_finite_number(
    values: list[Any], troubles: list[str], expected: tuple[float | None, str]
) -> None:
    """Why there is none is told, and that there are several before other troubles."""
    metrics = [("test", Artifact("metrics", "system.Metrics", "", {"accuracy": value})) for value in values]
    other = [("test", Artifact("metrics", "system.Metrics", "", {"loss": 0.25}))]
    assert metric(Found(metrics + other, troubles), "accuracy") == expected


RUN: dict[str, Any] = {"run_id": "one", "state": "SUCCEEDED"}


@pytest.mark.parametrize(
    ("known", "asked"),
    [
        ({}, True),
        ({"state": "RUNNING", "tasks": []}, True),
        ({"state": "FAILED", "run_details": None}, True),
        ({"state": "PENDING"}, False),
        ({"state": None}, False),
        ({"tasks": [{"name": "b"}]}, False),
        ({"run_details": {"task_details": []}}, False),
    ],
    ids=["none", "empty", "no details", "pending", "no state", "tasks", "details"],
)
def test_the_full_view_is_asked_for_where_it_may_tell_more(
    server: Server, target: Cluster, known: dict[str, Any], asked: bool
) -> None:
    """A run that has not begun has no steps; where there is no such view, the run is what it was."""
    server.runs, server.tasks = [{"run_id": "one"}], [{"name": "a"}]
    assert full(target._client, RUN | known) == RUN | known | ({"tasks": [{"name": "a"}]} if asked else {})
    assert [request.query for request in server.asked("/runs/one$")] == ([{"view": "FULL"}] if asked else [])
    for fault in (respond(400), respond(503), respond(200, b"<html>"), cut()):
        server.fail("GET .*/runs/one", fault)
        assert full(target._client, RUN | known) == RUN | known
