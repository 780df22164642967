"""The steps of a run on a cluster, found among the nodes of Argo Workflows that the API lists.

Up to 2.17 the API gives no step, but every node that Argo makes for one, under the same few names: of five nodes called
``executor`` none says whose it is. Its children's ids are digests of their whole names, which tells. The list of a
large run is incomplete, so that whatever is missing here must be no error.
"""

import bisect
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import chain, takewhile
from typing import Any

from fmnist.cluster import argo

__all__ = ["Step", "message_of", "steps_of", "workflow_of"]

#: How often Argo may try a node again, as far as this looks.
_ATTEMPTS = 10

#: How many turns are looked for below what may be a loop.
_FIRST = 20

_IMPLEMENTATION = re.compile(r"-(?:metadata-\d+-\d+-)?(?:retry-)?system-container-impl(?=-\d+$)")

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Step:
    """A step of a run, as far as the API tells.

    Attributes
    ----------
    name : str
        Its name in the pipeline, with the number of the iteration in a loop. Where several parts of the pipeline have
        a step of this name, it is the path.
    state : str
        ``WAITING`` for its pod, ``RUNNING``, ``SUCCEEDED``, ``CACHED``, ``FAILED``, ``SKIPPED``, ``CANCELED``, or
        nothing while it is unknown.
    seconds : float or None
        From its start to its end, or None if it has none.
    nodes : tuple of str
        The ids of the nodes that may have its log, the last attempt first, then those of its driver.
    attempt : int
        The number of the attempt, from 1.
    message : str
        What the API says of its failure.
    path : str
        Its name after those of the parts that it is in, as in ``inner/train``, or nothing if they are not known.
    """

    name: str
    state: str
    seconds: float | None = None
    nodes: tuple[str, ...] = ()
    attempt: int = 1
    message: str = ""
    path: str = field(default="", compare=False)

    @property
    def task(self) -> str:
        """Its name in its part of the pipeline."""
        return self.name.rpartition("/")[2].partition(" ")[0]


def steps_of(run: Json) -> list[Step]:
    """Return the steps of a run, as an answer of the API has it, in the order of their starts."""
    if tasks := run.get("tasks"):
        # The root is no part of the pipeline.
        parts = {task["task_id"]: task for task in tasks if task.get("task_id") and task.get("type") != "ROOT"}
        own = [task for task in sorted(tasks, key=_start) if task.get("type") in {None, "RUNTIME"}]
        found = [_step_of_task(task, parts) for task in own]
    else:
        tasks = (run.get("run_details") or {}).get("task_details") or []
        nodes = _Nodes([task for task in tasks if isinstance(task.get("display_name"), str)])
        found = [nodes.step(name) for name in nodes.steps()]
    counts = Counter(step.name for step in found)
    return [replace(step, name=step.path) if counts[step.name] > 1 else step for step in found]


def workflow_of(run: Json) -> str:
    """Return the name of a run's workflow, or nothing if no node tells."""
    details = (run.get("run_details") or {}).get("task_details") or []
    pods = [pod.get("name", "") for task in run.get("tasks") or () for pod in task.get("pods") or ()]
    for id_ in (*_children(details), *(_IMPLEMENTATION.sub("", pod) for pod in pods)):
        if match := re.fullmatch(r"(.+)-\d+", id_):
            return match[1]
    others = (str(task.get("display_name")) for task in details)
    return next((name for name in others if re.fullmatch(r".+-[a-z0-9]{5}", name)), "")


def _children(tasks: Iterable[Json]) -> Iterator[str]:
    for task in tasks:
        yield from (child["pod_name"] for child in task.get("child_tasks") or () if child.get("pod_name"))


def _start(task: Json) -> str:
    return str(task.get("start_time") or task.get("create_time") or "")


class _Nodes:
    """The nodes of a workflow by their whole names, as in ``w(0).root(0).train(0).executor(0)``."""

    def __init__(self, tasks: Sequence[Json]) -> None:
        self._workflow = workflow_of({"run_details": {"task_details": tasks}})
        self._shown = {argo.ATTEMPT.sub("", task["display_name"]) for task in tasks}
        self._drivers = {name.removesuffix("-driver") for name in self._shown if name.endswith("-driver")} - {"root"}
        turns = sorted((int(match[1]), name) for name in self._shown if (match := argo.ITERATION.search(name)))
        self._below = [
            f".{name}" for name in (self._shown | self._drivers | {"executor"}) - {name for _, name in turns}
        ]
        #: The turns of the loops, in their order, by what all of a loop are called.
        self._turns: dict[str, list[str]] = {}
        for _, name in turns:
            self._turns.setdefault(argo.ITERATION.split(name)[0], []).append(f".{name}")
        digests = {int(digest) for id_ in _children(tasks) if (digest := id_.rpartition("-")[2]).isdecimal()}
        self._names = dict(self._walk(digests))
        self._known: set[str] = set()
        for name in self._names.values():
            self._known.update(takewhile(lambda one: one not in self._known, argo.around(name)))
        self._tasks = self._bound(tasks)

    def steps(self) -> list[str]:
        """Return the whole name of each step."""
        parents = {
            argo.ATTEMPT.sub("", parent) for name in self._names.values() if (parent := argo.parent_of_executor(name))
        }
        driven = self._drivers & self._shown
        if not self._names:
            # No ids: only the names are left.
            parents = {f"{self._workflow}.root.{name}" for name in driven}
        found = parents | {name for name in self._tasks if argo.last(name) in driven}
        groups = {around for name in found for around in argo.around(argo.above(name))}
        return sorted(found - groups, key=lambda name: (_start(self._tasks.get(name, {})), name))

    def step(self, name: str) -> Step:
        """Return the step of this whole name."""
        # Where its own node is missing, an attempt of it may be there.
        around = (name, *(f"{name}({k})" for k in reversed(range(_ATTEMPTS))))
        own = next((self._tasks[one] for one in around if one in self._tasks), {})
        outer = next((f"{one}.executor" for one in around if f"{one}.executor" in self._known), "")
        tries = [k for k in range(_ATTEMPTS) if f"{outer}({k})" in self._known]
        executor = self._tasks.get(outer) or {}
        last = self._tasks.get(f"{outer}({tries[-1]})", executor) if tries else executor
        driver = self._tasks.get(f"{name}-driver(0)") or self._tasks.get(f"{name}-driver") or {}
        iterations = "".join(f" {number}" for number in argo.ITERATION.findall(name))
        parts = [part for part in name.removeprefix(self._workflow).split(".")[2:] if not argo.ITERATION.search(part)]
        return Step(
            argo.last(name) + iterations,
            _state(own, executor, last, driver),
            next((took for one in (last, own) if (took := _seconds(one)) is not None), None),
            self._logs(name, outer, tries),
            tries[-1] + 1 if tries else 1,
            next((text for one in (last, executor, driver, own) if (text := message_of(one))), ""),
            "/".join(argo.ATTEMPT.sub("", part) for part in parts) + iterations,
        )

    def _logs(self, name: str, outer: str, tries: Sequence[int]) -> tuple[str, ...]:
        """Return the ids of the nodes that may have the log of a step: its attempts, known or not, and its driver."""
        names = [f"{outer}({k})" for k in reversed(tries)]
        names += [f"{name}.executor", f"{name}(0).executor(0)", f"{name}-driver(0)", f"{name}-driver"]
        if not self._names:
            names += [one.replace(f"{self._workflow}.root.", f"{self._workflow}(0).root(0).") for one in names]
        return tuple(dict.fromkeys(argo.node_id(self._workflow, one) for one in names))

    def _walk(self, digests: set[int]) -> Iterator[tuple[str, str]]:
        """Give the id and the whole name of each node whose digest is known, from the root down."""
        workflow = self._workflow
        # Of a step right below the root its children may be known, and not itself.
        roots = (f"{workflow}.root", f"{workflow}(0).root(0)")
        seen = {f"{root}{name}{end}" for root in roots for name in self._below for end in ("", "(0)")}
        seen |= {workflow, f"{workflow}(0)", *roots}
        todo = [(name, argo.digest(name)) for name in seen]
        while todo:
            name, start = todo.pop()
            if start in digests:
                yield f"{workflow}-{start}", name
            for end in self._ends(name, start, digests):
                if (child := name + end) not in seen:
                    seen.add(child)
                    todo.append((child, argo.digest(end, start)))

    def _ends(self, name: str, start: int, digests: set[int]) -> Iterator[str]:
        """Give what the names of a node's children have behind its own, of which few are looked for.

        Of a large run any digest may be that of another node too: each that is not looked for is no false step.
        """

        def known(end: str) -> bool:
            return argo.digest(end, start) in digests

        tries = [] if argo.ATTEMPT.search(name) else [f"({number})" for number in range(_ATTEMPTS)]
        if found := list(takewhile(known, tries)):
            yield from found
        elif not argo.LEAF.search(name):
            # Who has turns of a loop has the first ones.
            turns = [ends for ends in self._turns.values() if any(map(known, ends[:_FIRST]))]
            yield from (end for end in (*self._below, *chain(*turns)) if known(end))

    def _bound(self, tasks: Sequence[Json]) -> dict[str, Json]:
        """Return the task of each node: by its name, by its children, or by when it started."""
        named: dict[str, list[str]] = {}
        for name in sorted(self._known):
            named.setdefault(argo.last(name), []).append(name)
        bound: dict[str, Json] = {}
        left: dict[str, list[Json]] = {}
        for task in sorted(tasks, key=_start):
            names = named.get(task["display_name"], [])
            inside = {argo.above(self._names[id_]) for id_ in _children([task]) if id_ in self._names}
            mine = names if len(names) == 1 else sorted(inside.intersection(names))
            if mine:
                bound[mine[0]] = task
            elif names:
                left.setdefault(task["display_name"], []).append(task)
            elif not self._names:
                bound[f"{self._workflow}.root.{task['display_name']}"] = task
        # What is around a node comes before it.
        for shown in sorted(left, key=lambda shown: min(map(argo.depth, named[shown]))):
            _bind(left[shown], [name for name in named[shown] if name not in bound], bound)
        return bound


def _bind(tasks: Iterable[Json], names: Iterable[str], bound: dict[str, Json]) -> None:
    """Bind each of `tasks` to the one of `names` that is nearest by when it started, as far as there are any."""
    free = sorted((_start(bound.get(argo.above(name), {})), name) for name in names)
    for task in tasks:
        # Those around the task's own start: of several of one second the first.
        after = bisect.bisect_right(free, (_start(task), "\U0010ffff"))
        before = bisect.bisect_left(free, (free[after - 1][0], "")) if after else 0
        if near := [at for at in dict.fromkeys((before, after)) if at < len(free)]:
            nearest = min(near, key=lambda at: _distance(task, bound.get(argo.above(free[at][1]), {})))
            bound[free.pop(nearest)[1]] = task


def _distance(task: Json, around: Json) -> float:
    """Return how far apart two starts are; what began before the node around it is farthest."""
    one, other = _time(task.get("start_time")), _time(around.get("start_time"))
    if one is None or other is None:
        return float("inf")
    seconds = (one - other).total_seconds()
    return seconds if seconds >= 0 else 1e9 - seconds


def _state(own: Json, executor: Json, last: Json, driver: Json) -> str:
    """Return the state of a step from that of its node, its executor, the last attempt of that, and its driver."""
    state = own.get("state")
    if state == "SUCCEEDED":
        return "CACHED" if executor.get("state") == "SKIPPED" else "SUCCEEDED"
    if state in {"FAILED", "SKIPPED", "CANCELED"}:
        return str(state)
    if "FAILED" in {executor.get("state"), driver.get("state")}:
        return "FAILED"
    pods = [last.get("state"), driver.get("state")]
    if "PENDING" in pods:
        return "WAITING"
    return {"RUNNING": "RUNNING", "SUCCEEDED": "RUNNING"}.get(str(last.get("state")), "")


def _step_of_task(task: Json, parts: Mapping[str, Json]) -> Step:
    """Return the step that a task is, on servers that have steps for tasks, inside of `parts` by their ids."""
    pods = [pod.get("name") or "" for pod in task.get("pods") or () if pod.get("type") == "EXECUTOR"]
    nodes = tuple(_IMPLEMENTATION.sub("", name) for name in reversed(pods) if name)
    state = str(task.get("state") or task.get("status") or "")
    if state == "RUNNING" and not pods:
        state = "WAITING"
    inside = [task]
    while (part := parts.get(str(inside[0].get("parent_task_id")))) and part not in inside:
        inside.insert(0, part)
    names = [str(one.get("name") or one.get("display_name") or "unnamed") for one in inside]
    indices = [(one.get("type_attributes") or {}).get("iteration_index") for one in inside]
    iterations = "".join(f" {index}" for index in indices if index is not None)
    message = message_of(task) or str((task.get("status_metadata") or {}).get("message") or "")
    path = "/".join(names) + iterations
    return Step(names[-1] + iterations, state, _seconds(task), nodes, max(1, len(pods)), message, path)


def message_of(task: Json) -> str:
    """Return the last error of a task, in its API's own words."""
    errors = [status.get("error") for status in (*(task.get("state_history") or ()), task)]
    return next((str(error["message"]) for error in reversed(errors) if error and error.get("message")), "")


def _seconds(task: Json) -> float | None:
    start, end = _time(task.get("start_time")), _time(task.get("end_time"))
    return (end - start).total_seconds() if start and end and end >= start else None


def _time(text: Any) -> datetime | None:
    try:
        time = datetime.fromisoformat(str(text))
        # A gateway may leave the zone out.
        return time if time.tzinfo else time.replace(tzinfo=UTC)
    except ValueError:
        return None
