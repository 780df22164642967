"""The steps of a run among Argo's nodes, from recorded answers of a real server and from lists with holes."""

import json
from typing import Any

import pytest
from support import kfp_logs
from support.kfp_logs import look, nested

from fmnist.cluster import argo, steps
from fmnist.cluster.steps import Step, message_of, steps_of, workflow_of

LAYOUTS = pytest.mark.parametrize("retry", [True, False], ids=["retry nodes", "no retry nodes"])


def states(run: dict[str, Any]) -> dict[str, str]:
    """Return the state of each step, in their order."""
    return {step.name: step.state for step in steps_of(run)}


def recorded(what: str) -> dict[str, Any]:
    """Return a recorded answer, without the notes on what was cut."""
    answers = json.loads((kfp_logs.RECORDED / "runs.json").read_text())
    run: dict[str, Any] = answers[what]
    return run


def test_a_step_that_failed_is_found_in_a_recorded_answer() -> None:
    """With Argo's retry nodes the log is that of the executor's attempt, though nothing names it so."""
    assert steps_of(recorded("get run: failed")) == [
        Step(
            "train",
            "FAILED",
            64.0,
            (
                "fashion-mnist-f96gm-1183275024",
                "fashion-mnist-f96gm-3735601342",
                "fashion-mnist-f96gm-1522340443",
                "fashion-mnist-f96gm-1363100488",
            ),
        )
    ]


def test_a_step_that_failed_is_found_without_retry_nodes() -> None:
    """Before 2.17 the executor is the pod; steps after one that failed have no state."""
    run = recorded("get run: failed, Argo without retry nodes (as servers before 2.17 set it up)")
    train, *others = steps_of(run)
    assert (train.name, train.state, train.seconds) == ("train", "FAILED", 100.0)
    assert train.nodes == (
        "fashion-mnist-f8n7r-2921172310",
        "fashion-mnist-f8n7r-3099331016",
        "fashion-mnist-f8n7r-3989493491",
        "fashion-mnist-f8n7r-1248919888",
    )
    assert {(step.name, step.state) for step in others} == {("test", ""), ("confusion-matrix", "")}


def test_a_list_with_holes_is_no_error() -> None:
    """Of a run whose list was cut, what is there is found, and where the log of a step must be."""
    run = recorded("get run: succeeded")
    [test] = [step for step in steps_of(run) if step.name == "test"]
    assert (test.state, kfp_logs.executor("test") in test.nodes) == ("SUCCEEDED", True)


@LAYOUTS
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"train": "DRIVEN"}, {}),
        ({"train": "PENDING"}, {"train": "WAITING"}),
        ({"train": "RUNNING"}, {"train": "RUNNING"}),
        ({"train": "SUCCEEDED", "test": "PENDING"}, {"train": "SUCCEEDED", "test": "WAITING"}),
        ({"train": "CACHED", "test": "RUNNING"}, {"train": "CACHED", "test": "RUNNING"}),
        ({"train": "SUCCEEDED", "test": "CACHED"}, {"train": "SUCCEEDED", "test": "CACHED"}),
        ({"train": "SUCCEEDED", "test": "FAILED"}, {"train": "SUCCEEDED", "test": "FAILED"}),
        (
            {"train": "CACHED", "test": "CACHED", "confusion_matrix": "CACHED"},
            {"train": "CACHED", "test": "CACHED", "confusion-matrix": "CACHED"},
        ),
        ({}, {}),
    ],
    ids=str,
)
def test_each_state_is_that_of_the_step(retry: bool, given: dict[str, str], expected: dict[str, str]) -> None:
    """Five nodes are called executor: each counts for its own step, and Argo's other nodes are no steps."""
    assert states(look("RUNNING", retry=retry, **given)) == expected


def test_the_last_attempt_comes_first() -> None:
    """After an attempt that failed the step waits again; the log of the new attempt is looked for first."""
    [train] = steps_of(look("RUNNING", train=("PENDING", 2)))
    assert (train.state, train.attempt) == ("WAITING", 3)
    assert train.nodes[:3] == tuple(kfp_logs.executor("train", k) for k in (2, 1, 0))


@LAYOUTS
def test_names_are_enough_where_there_are_no_children(retry: bool) -> None:
    """Without any child the names tell the steps, and where their logs must be."""
    run = look("FAILED", retry=retry, train="SUCCEEDED", test="FAILED")
    for task in run["run_details"]["task_details"]:
        task["child_tasks"] = []
    found = {step.name: step for step in steps_of(run)}
    assert {name: step.state for name, step in found.items()} == {"train": "SUCCEEDED", "test": "FAILED"}
    assert found["test"].nodes == tuple(
        kfp_logs.node(f"{root}.{name}")
        for root in (".root", "(0).root(0)")
        for name in ("test.executor", "test(0).executor(0)", "test-driver(0)", "test-driver")
    )


def test_a_node_that_is_there_twice_is_one_step() -> None:
    """A list that has a node twice has its step once, in its later state."""
    run = look("RUNNING", train="PENDING")
    again = look("RUNNING", train="RUNNING")["run_details"]["task_details"]
    run["run_details"]["task_details"] += again
    assert states(run) == {"train": "RUNNING"}
    for task in again:
        task["start_time"] = "2026-11-26T12:00:00Z"
    run["run_details"]["task_details"].reverse()
    assert states(run) == {"train": "RUNNING"}


@pytest.mark.parametrize("missing", range(11))
def test_any_node_may_be_missing(missing: int) -> None:
    """Whichever node is missing, no other step is told, and none ends that has not."""
    run = look("RUNNING", train="SUCCEEDED", test="RUNNING")
    del run["run_details"]["task_details"][missing]
    found = states(run)
    assert found.keys() <= {"train", "test"}
    assert found.get("test", "") in {"RUNNING", ""}
    assert found.get("train", "") in {"SUCCEEDED", ""}


@pytest.mark.parametrize(
    "run",
    [
        {},
        {"run_details": None},
        {"run_details": {"task_details": None}},
        {"run_details": {"task_details": [{}]}},
        {"run_details": {"task_details": [{"display_name": 7, "child_tasks": [{}]}]}},
        {"run_details": {"task_details": [{"display_name": "ünï☃.(0)", "child_tasks": [{"pod_name": "ü-x"}]}]}},
        {"tasks": []},
    ],
    ids=str,
)
def test_what_has_no_step_has_none(run: dict[str, Any]) -> None:
    """A run without tasks, or with such as no server of Argo gives, has no step."""
    assert (steps_of(run), workflow_of(run)) == ([], "")


def test_a_workflow_is_named_by_the_pods_of_tasks() -> None:
    """On servers that have steps for tasks, a pod has the name of the workflow before its own."""
    pods = [{}, {"name": "other"}, {"name": "my-flow-1-retry-system-container-impl-77"}, {"name": "late-2"}]
    assert workflow_of({"tasks": [{}, {"pods": None}, {"pods": pods}]}) == "my-flow-1"


def test_a_workflow_without_ids_is_named_as_the_first_node_that_can_be_it() -> None:
    """Argo puts five letters or digits behind the name of a pipeline."""
    names = ["root", "train-driver", "flow-ABCDE", "flow-abcdef", "my-flow-a1b2c", "a-flow-a1b2c"]
    assert workflow_of({"run_details": {"task_details": [{"display_name": name} for name in names]}}) == "my-flow-a1b2c"


@LAYOUTS
def test_a_step_without_its_driver_and_its_executor_is_found(retry: bool) -> None:
    """The ids of what a node is around are enough to know that it is a step, and of which name."""
    run = look("RUNNING", retry=retry, train="RUNNING")
    left = ("", "root", "train")
    tasks = run["run_details"]["task_details"]
    run["run_details"]["task_details"] = [one for one in tasks if one["display_name"].removesuffix("(0)") in left]
    [step] = steps_of(run)
    assert step.name == "train"
    assert kfp_logs.executor("train", retry=retry) in step.nodes


@LAYOUTS
@pytest.mark.parametrize("begun", [True, False], ids=["begun", "not begun"])
def test_a_part_of_the_pipeline_is_no_step(retry: bool, begun: bool) -> None:
    """What has drivers and steps inside is not told itself, nor is the root, which has a driver too."""
    end = "(0)" if retry else ""
    root, part = f"{end}.root", f"{end}.root{end}.part"
    deep = f"{part}{end}.deep"
    names = ["", f"{end}.root-driver", root, f"{root}{end}.part-driver", part, f"{part}{end}.deep-driver", deep]
    names += [f"{deep}{end}.executor"] if begun else []
    tasks = []
    for name, below in zip(names, [*names[1:], ""], strict=True):
        attempt = f"{name}{end}"
        children = [below] if below else []
        if retry:
            tasks += [kfp_logs._task(name, "RUNNING", 0, [attempt], "w")]
        tasks += [kfp_logs._task(attempt, "RUNNING", 0, children, "w")]
    assert list(states({"run_details": {"task_details": tasks}})) == ["deep"]
    only = [task for task in tasks if task["display_name"].startswith(("w", "root"))]
    assert steps_of({"run_details": {"task_details": only}}) == []


def test_servers_with_tasks_for_steps_are_believed() -> None:
    """Since https://github.com/kubeflow/pipelines/pull/13986 a task is a step, and says that it came from the cache."""
    pods = [{"name": "w-system-container-driver-1", "type": "DRIVER"}]
    pod = [{"name": "w-system-container-impl-2", "type": "EXECUTOR"}]
    tasks = [
        {"name": "root", "type": "DAG", "state": "RUNNING"},
        {"name": "train", "type": "RUNTIME", "state": "CACHED", "pods": pods, "start_time": "2026-11-26T11:00:00Z"},
        {"name": "test", "type": "RUNTIME", "state": "RUNNING", "pods": pods, "start_time": "2026-11-26T11:00:01Z"},
        {
            "name": "matrix",
            "type": "RUNTIME",
            "state": "RUNNING",
            "pods": pods + pod,
            "start_time": "2026-11-26T11:00:02Z",
        },
        {
            "name": "shard",
            "type": "RUNTIME",
            "state": "FAILED",
            "type_attributes": {"iteration_index": 7},
            "status_metadata": {"message": "no"},
            "start_time": "2026-11-26T11:00:03Z",
        },
    ]
    found = steps_of({"tasks": tasks})
    assert [(step.name, step.state) for step in found] == [
        ("train", "CACHED"),
        ("test", "WAITING"),
        ("matrix", "RUNNING"),
        ("shard 7", "FAILED"),
    ]
    assert (found[2].nodes, found[3].message) == (("w-2",), "no")


def pod(name: str, kind: str = "EXECUTOR") -> dict[str, str]:
    """Return a pod as a task has it."""
    return {"name": name, "type": kind}


@pytest.mark.parametrize(
    ("task", "step"),
    [
        ({}, Step("unnamed", "")),
        ({"display_name": "shown", "status": "RUNNING", "pods": None}, Step("shown", "WAITING")),
        ({"name": "a", "display_name": "b", "state": "FAILED", "status": "RUNNING"}, Step("a", "FAILED")),
        ({"name": "a", "type_attributes": {"iteration_index": 0}, "state": "CACHED"}, Step("a 0", "CACHED")),
        (
            {
                "name": "a",
                "type": "RUNTIME",
                "state": "SUCCEEDED",
                "start_time": "2026-11-26T11:00:00Z",
                "end_time": "2026-11-26T11:00:09Z",
                "pods": [
                    pod("w-system-container-impl-1"),
                    pod("w-3", "DRIVER"),
                    pod("w-4", "UNSPECIFIED"),
                    pod("w-retry-system-container-impl-2"),
                ],
                "error": {"message": "own"},
                "status_metadata": {"message": "other"},
            },
            Step("a", "SUCCEEDED", 9.0, ("w-2", "w-1"), 2, "own"),
        ),
        ({"name": "a", "status_metadata": {"message": "other"}}, Step("a", "", message="other")),
        ({"name": "a", "status_metadata": {}}, Step("a", "")),
    ],
)
def test_a_task_is_a_whole_step(task: dict[str, Any], step: Step) -> None:
    """All that a task says is in its step: the log of the last attempt comes first, and what is not said is nothing."""
    assert steps_of({"tasks": [task]}) == [step]


def test_tasks_of_one_name_in_several_parts_have_their_paths() -> None:
    """As the nodes of older servers have them; the root is no part."""
    tasks = [
        {"task_id": "1", "name": "root", "type": "ROOT"},
        {"task_id": "2", "name": "one", "type": "DAG", "parent_task_id": "1"},
        {"task_id": "3", "display_name": "two", "type": "DAG", "parent_task_id": "1"},
        {"task_id": "4", "name": "in", "type": "DAG", "parent_task_id": "3", "error": {"message": "the part's"}},
        {"task_id": "5", "name": "train", "state": "SUCCEEDED", "parent_task_id": "2"},
        {"task_id": "6", "name": "train", "state": "FAILED", "parent_task_id": "4", "error": {"message": "own"}},
        {"task_id": "10", "name": "next", "parent_task_id": "2"},
        {"task_id": "11", "name": "next", "state": "FAILED", "parent_task_id": "4"},
        {"task_id": "12", "name": "next", "parent_task_id": "3"},
        {"task_id": "7", "name": "test", "state": "RUNNING", "parent_task_id": "1"},
        {"task_id": "8", "name": "alone", "state": "CACHED", "parent_task_id": "2"},
        {"task_id": "9", "name": "lost", "state": "CACHED", "parent_task_id": "0"},
    ]
    found = steps_of({"tasks": tasks})
    assert [(step.name, step.path, step.state) for step in found] == [
        ("one/train", "one/train", "SUCCEEDED"),
        ("two/in/train", "two/in/train", "FAILED"),
        ("one/next", "one/next", ""),
        ("two/in/next", "two/in/next", "FAILED"),
        ("two/next", "two/next", ""),
        ("test", "test", "WAITING"),
        ("alone", "one/alone", "CACHED"),
        ("lost", "lost", "CACHED"),
    ]
    assert [step.message for step in found] == ["", "own", "", "", "", "", "", ""]


def test_tasks_in_a_loop_have_the_numbers_of_the_parts_around_them() -> None:
    """From the outer loop to the inner one; that a list is wrong is no reason to look for ever."""
    tasks: list[dict[str, Any]] = [
        {"task_id": "1", "name": "loop", "type": "LOOP"},
        {
            "task_id": "2",
            "name": "turn",
            "type": "DAG",
            "type_attributes": {"iteration_index": 2},
            "parent_task_id": "1",
        },
        {"task_id": "3", "name": "shard", "type_attributes": {"iteration_index": 0}, "parent_task_id": "2"},
    ]
    [step] = steps_of({"tasks": tasks})
    assert (step.name, step.path, step.task) == ("shard 2 0", "loop/turn/shard 2 0", "shard")
    tasks[0]["parent_task_id"] = "2"
    [step] = steps_of({"tasks": tasks})
    assert step.path == "loop/turn/shard 2 0"


@pytest.mark.parametrize("template", ["", "retry-", "metadata-1-0-", "metadata-10-2-retry-"])
def test_a_pod_is_named_by_its_template(template: str) -> None:
    """Which has another name where a step may be tried again, and where its pod has labels or annotations."""
    run = {"tasks": [{"name": "a", "pods": [pod(f"my-flow-abcde-{template}system-container-impl-77")]}]}
    [step] = steps_of(run)
    assert (step.nodes, workflow_of(run)) == (("my-flow-abcde-77",), "my-flow-abcde")


def test_a_pod_without_a_name_is_one_without_a_log() -> None:
    """It runs even so, and counts as an attempt."""
    pods = [{"uid": "u", "type": "EXECUTOR"}, pod("w-system-container-impl-2"), {"uid": "v", "type": "EXECUTOR"}]
    run = {"tasks": [{"name": "a", "state": "RUNNING", "pods": pods}]}
    assert steps_of(run) == [Step("a", "RUNNING", nodes=("w-2",), attempt=3)]
    run = {"tasks": [{"name": "a", "state": "RUNNING", "pods": pods[:1]}]}
    assert steps_of(run) == [Step("a", "RUNNING")]


def test_steps_that_started_together_come_by_name() -> None:
    """As do those of which nobody knows when they started."""
    names = [f"{step}{end}" for step in "hbgcfdea" for end in ("", "-driver")]
    run = {"run_details": {"task_details": [{"display_name": name} for name in names]}}
    assert [step.name for step in steps_of(run)] == list("abcdefgh")


def test_tasks_come_in_the_order_of_their_starts() -> None:
    """What has not started yet has a time at which it was made."""
    tasks = [
        {"name": "c", "start_time": "2026-11-26T11:00:02Z", "create_time": "2026-11-26T11:00:00Z"},
        {"name": "b", "create_time": "2026-11-26T11:00:01Z"},
        *({"name": "other", "type": kind} for kind in ("ROOT", "DAG", "LOOP", "CONDITION", "CONDITION_BRANCH")),
        {"name": "a"},
    ]
    assert [step.name for step in steps_of({"tasks": tasks})] == ["a", "b", "c"]


@LAYOUTS
def test_a_driver_that_failed_is_the_step_that_failed(retry: bool) -> None:
    """A step whose driver failed has no executor; what the driver says is its message."""
    run = look("FAILED", retry=retry, train="RUNNING")
    tasks = run["run_details"]["task_details"]
    driver = "train-driver(0)" if retry else "train-driver"
    left = [task for task in tasks if "executor" not in task["display_name"]]
    for task in left:
        if task["display_name"] == driver:
            task |= {"state": "FAILED", "error": {"message": "no such volume"}}
        elif task["display_name"].startswith("train-driver"):
            task["state"] = "RUNNING"
    run["run_details"]["task_details"] = left
    [step] = steps_of(run)
    assert (step.state, step.message) == ("FAILED", "no such volume")


@pytest.mark.parametrize(("end", "seconds"), [("12:01:30", 90.0), ("12:00:00", 0.0), ("", 120.0)])
def test_a_step_takes_the_time_of_its_last_attempt(end: str, seconds: float) -> None:
    """Where the list does not say when that ended, it takes the time of its own node."""
    run = look("SUCCEEDED", train="SUCCEEDED")
    for task in run["run_details"]["task_details"]:
        task |= {"start_time": "2026-11-26T12:00:00Z", "end_time": "2026-11-26T12:02:00Z"}
        if task["display_name"] == "executor(0)":
            task["end_time"] = end and f"2026-11-26T{end}Z"
    assert [step.seconds for step in steps_of(run)] == [seconds]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"executor(0)": "attempt", "executor": "executor", "train": "own"}, "attempt"),
        ({"executor": "executor", "train-driver(0)": "driver", "train": "own"}, "executor"),
        ({"train-driver(0)": "driver", "train": "own"}, "driver"),
        ({"train": "own"}, "own"),
        ({}, ""),
    ],
)
def test_the_innermost_node_explains_a_step(said: dict[str, str], message: str) -> None:
    """Where several nodes have messages, the one nearest to what failed is told."""
    run = look("FAILED", train="FAILED")
    for task in run["run_details"]["task_details"]:
        if text := said.get(task["display_name"]):
            task["error"] = {"message": text}
    assert [step.message for step in steps_of(run)] == [message]


@pytest.mark.parametrize("workflow", ["w", "w.with.dots"])
def test_steps_in_a_loop_have_the_number_of_their_iteration(workflow: str) -> None:
    """Steps of one name in a loop are told apart."""
    root = "(0).root(0).loop(0).iterator(0:0)(0)"
    tasks = [
        kfp_logs._task(f"{root}.shard", "RUNNING", 0, [f"{root}.shard(0)"], workflow),
        kfp_logs._task("(0).root(0).loop(0)", "RUNNING", 0, ["(0).root(0).loop(0).iterator(0:0)"], workflow),
        kfp_logs._task("(0).root(0).loop", "RUNNING", 0, ["(0).root(0).loop(0)"], workflow),
        kfp_logs._task("(0).root(0).loop(0).iterator(0:0)", "RUNNING", 0, [root], workflow),
        kfp_logs._task(root, "RUNNING", 0, [f"{root}.shard"], workflow),
        kfp_logs._task(f"{root}.shard(0)", "RUNNING", 0, [f"{root}.shard(0).executor"], workflow),
        kfp_logs._task(f"{root}.shard(0).executor", "RUNNING", 0, [f"{root}.shard(0).executor(0)"], workflow),
        kfp_logs._task(f"{root}.shard(0).executor(0)", "RUNNING", 0, [], workflow),
    ]
    [step] = steps_of({"run_details": {"task_details": tasks}})
    assert (step.name, step.state, step.path) == ("shard 0", "RUNNING", "loop/shard 0")


@LAYOUTS
def test_of_a_loop_the_steps_are_told_and_no_part_of_it(retry: bool) -> None:
    """The loop, its turns and what is around their steps have drivers too, and are no steps."""
    found = steps_of(kfp_logs.loop("RUNNING", "SUCCEEDED", "RUNNING", "PENDING", "FAILED", retry=retry))
    assert [(step.path, step.state) for step in found] == [
        ("for-loop-1/iteration/shard 0", "SUCCEEDED"),
        ("for-loop-1/iteration/shard 1", "RUNNING"),
        ("for-loop-1/iteration/shard 2", "WAITING"),
        ("for-loop-1/iteration/shard 3", "FAILED"),
    ]


@LAYOUTS
def test_a_long_loop_is_looked_at_in_no_time(retry: bool) -> None:
    """Three times the turns take three times the work, and no node is taken for that of another step."""
    work = list[int]()
    for turns in (200, 600):
        run = kfp_logs.loop("RUNNING", *["SUCCEEDED", "RUNNING"] * (turns // 2), retry=retry)
        argo.digest.cache_clear()
        found = states(run)
        assert found == {f"shard {number}": ("SUCCEEDED", "RUNNING")[number % 2] for number in range(turns)}
        work.append(argo.digest.cache_info().misses)
    assert work[1] < 3.5 * work[0]


def test_of_nodes_of_one_second_each_has_its_own() -> None:
    """Where several could be it, the first that is free is."""
    run = kfp_logs.loop("RUNNING", *["RUNNING"] * 3)
    for task in run["run_details"]["task_details"]:
        task["start_time"] = "2026-11-26T11:00:00Z"
    assert states(run) == {f"shard {number}": "RUNNING" for number in range(3)}


def test_of_the_attempts_of_a_step_whose_own_node_is_missing_the_last_one_counts() -> None:
    """Argo may retry what is around the executor too."""
    train = ".root.train"
    below = {"": [".root"], ".root": [train], f"{train}(0)": [f"{train}(0).executor"], f"{train}(1)": []}
    states_of = {f"{train}(0)": "FAILED", f"{train}(1)": "SUCCEEDED"}
    tasks = [kfp_logs._task(name, states_of.get(name, "RUNNING"), 0, ends, "w") for name, ends in below.items()]
    tasks[1]["child_tasks"] += [{"pod_name": argo.node_id("w", f"w{name}")} for name in states_of]
    assert states({"run_details": {"task_details": tasks}}) == {"train": "SUCCEEDED"}


def test_steps_of_one_name_in_several_parts_have_their_paths() -> None:
    """A pipeline that is used twice has its steps twice; a step alone keeps its name."""
    assert states(nested("RUNNING", one="SUCCEEDED", two="RUNNING")) == {
        "one/train": "SUCCEEDED",
        "two/train": "RUNNING",
    }
    [alone] = steps_of(nested("RUNNING", one="RUNNING"))
    assert (alone.name, alone.path, alone.task) == ("train", "one/train", "train")
    assert Step("one/train 0 1", "").task == "train"


def test_steps_in_a_loop_in_a_loop_have_both_numbers() -> None:
    """From the outer loop to the inner one."""
    outer = ".root.outer.iterator(2:2)"
    inner = f"{outer}.inner.iterator(10:10)"
    names = ["", ".root", ".root.outer", outer, f"{outer}.inner", inner, f"{inner}.shard", f"{inner}.shard.executor"]
    tasks = [
        kfp_logs._task(name, "RUNNING", 0, [below] if below else [], "w")
        for name, below in zip(names, [*names[1:], ""], strict=True)
    ]
    assert states({"run_details": {"task_details": tasks}}) == {"shard 2 10": "RUNNING"}


@pytest.mark.parametrize(
    ("start", "around", "seconds"),
    [
        ("2026-11-26T10:01:30Z", "2026-11-26T10:00:00Z", 90),
        ("2026-11-26T10:00:00Z", "2026-11-26T10:00:00Z", 0),
        ("2026-11-28T12:00:00.25+02:00", "2026-11-26T10:00:00Z", 2 * 86_400 + 0.25),
        ("2026-11-26T10:00:00Z", "2026-11-26T10:00:30Z", 1_000_000_030),
        ("soon", "2026-11-26T10:00:00Z", float("inf")),
        ("2026-11-26T10:00:00Z", None, float("inf")),
    ],
)
def test_a_node_is_nearest_to_what_began_before_it(start: str, around: str | None, seconds: float) -> None:
    """What began before the node around it is farther than all that began after, and what has no time is farthest."""
    assert steps._distance({"start_time": start}, {"start_time": around}) == seconds


@pytest.mark.parametrize(
    ("around", "tasks", "found"),
    [
        ({"a": 4, "b": 24}, [5, 25], {"a": 5, "b": 25}),
        ({"a": 4, "b": 24}, [25], {"b": 25}),
        ({"c": 1, "a": 4}, [5], {"a": 5}),
        # Of several of one second the first.
        ({"c": 1, "b": 4, "a": 4}, [5, 5], {"a": 5, "b": 5}),
        ({"c": 1, "b": 5, "a": 5}, [5], {"a": 5}),
        # What began before all around it.
        ({"a": 10, "b": 10}, [5], {"a": 5}),
        ({"a": 20, "b": 10}, [5], {"b": 5}),
        # Of one part it is not known when it began.
        ({"a": None, "b": 24}, [20, 30], {"b": 20, "a": 30}),
        # More tasks than nodes.
        ({"a": 4}, [5, 6], {"a": 5}),
    ],
)
def test_tasks_of_one_name_are_where_they_began_last(
    around: dict[str, int | None], tasks: list[int], found: dict[str, int]
) -> None:
    """Each in the part of the pipeline that began last before it."""

    def at(second: int) -> dict[str, Any]:
        return {"start_time": f"2026-11-26T10:00:{second:02}Z"}

    bound: dict[str, Any] = {f"w.root.{name}": at(second) for name, second in around.items() if second is not None}
    there = set(bound)
    steps._bind(map(at, tasks), [f"w.root.{name}.x" for name in around], bound)
    assert {name: bound[name] for name in bound.keys() - there} == {f"w.root.{n}.x": at(t) for n, t in found.items()}


def test_what_is_around_a_node_is_found_before_it() -> None:
    """Though its name comes later, and though the parts around it have one name too."""
    run = kfp_logs._task("", "RUNNING", 0, [], "w")
    seconds = {"p": 10, "p.z": 11, "p.z.a": 12, "q": 0, "q.z": 1, "q.z.a": 2}
    tasks = [
        kfp_logs._task(f".root.{name}", "RUNNING", 0, [], "w") | {"start_time": f"2026-11-26T10:00:{second:02}Z"}
        for name, second in seconds.items()
    ]
    nodes = steps._Nodes([run, *tasks])
    nodes._known = {f"w.root.{name}" for name in seconds}
    bound = nodes._bound(tasks)
    assert {name.removeprefix("w.root."): int(task["start_time"][-3:-1]) for name, task in bound.items()} == seconds


OK, BAD, ON, LATER, LEFT = ({"state": name} for name in ("SUCCEEDED", "FAILED", "RUNNING", "PENDING", "SKIPPED"))


@pytest.mark.parametrize(
    ("nodes", "state"),
    [
        # The step's own node, its executor, the last attempt of that, and its driver.
        ((OK, OK, OK, OK), "SUCCEEDED"),
        ((OK, LEFT, {}, OK), "CACHED"),
        ((BAD, {}, {}, {}), "FAILED"),
        ((LEFT, OK, OK, OK), "SKIPPED"),
        (({"state": "CANCELED"}, ON, ON, OK), "CANCELED"),
        (({"state": "CANCELED"}, BAD, BAD, OK), "CANCELED"),
        ((LEFT, {}, {}, BAD), "SKIPPED"),
        ((ON, BAD, BAD, OK), "FAILED"),
        ((ON, {}, {}, BAD), "FAILED"),
        ((ON, BAD, LATER, OK), "FAILED"),
        ((ON, {}, LATER, BAD), "FAILED"),
        (({}, {}, {}, BAD), "FAILED"),
        ((ON, ON, LATER, OK), "WAITING"),
        ((ON, {}, {}, LATER), "WAITING"),
        ((ON, ON, ON, LATER), "WAITING"),
        ((ON, ON, ON, OK), "RUNNING"),
        ((ON, ON, OK, OK), "RUNNING"),
        # It is tried again.
        ((ON, ON, BAD, OK), ""),
        ((ON, {}, {}, ON), ""),
        (({}, {}, {}, {}), ""),
    ],
)
def test_the_state_of_a_step_follows_from_its_nodes(nodes: tuple[Any, ...], state: str) -> None:
    """Whichever of a step's nodes failed, it failed; whichever waits for its pod, it waits."""
    assert steps._state(*nodes) == state


@pytest.mark.parametrize(
    ("start", "end", "seconds"),
    [
        ("2026-11-26T10:00:00Z", "2026-11-26T10:01:30Z", 90),
        ("2026-11-26T10:00:00Z", "2026-11-26T10:00:00Z", 0),
        ("2026-11-26T10:00:00Z", "2026-11-28T12:00:00.25+02:00", 2 * 86_400 + 0.25),
        ("2026-11-26T10:00:00Z", "2026-11-26T09:59:59Z", None),
        ("2026-11-26T10:00:00Z", "1970-01-01T00:00:00Z", None),
        ("2026-11-26T10:00:00", "2026-11-26T10:00:01.123456789Z", 1.123456),
        ("2026-11-26T10:00:00Z", None, None),
        ("soon", "2026-11-26T10:00:00Z", None),
    ],
)
def test_a_step_took_a_time_that_can_be(start: str, end: str | None, seconds: float | None) -> None:
    """Days and parts of a second count. What has not ended, or before it began as an unset time says, has no time."""
    assert steps._seconds({"start_time": start, "end_time": end}) == seconds


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"state_history": [{"error": {"message": "first"}}, {"error": {"message": "last"}}, {}]}, "last"),
        ({"state_history": [{"error": {"message": "before"}}], "error": {"message": "at last"}}, "at last"),
        ({"state_history": [{"error": None}, {"error": {"code": 5}}]}, ""),
        ({}, ""),
    ],
)
def test_the_last_error_is_told(task: Any, message: str) -> None:
    """Of the errors of a task the last one counts, and what has no message is none."""
    assert message_of(task) == message
