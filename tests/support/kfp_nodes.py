"""The nodes of Argo that a real server lists as the tasks of a run, with the names and numbers that Argo gives them.

Argo numbers a node by a hash of its path in the workflow. Up to 2.16 a step has the nodes `train-driver`, `train` and
`executor`, whose pod does the work. Since 2.17 each of them is retried, so that the attempts `train-driver(0)`,
`train(0)` and `executor(0)` stand below them. A step after one that failed has nodes without a state.
"""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

#: What a node's history has beside its end: a pod waits first.
POD, GROUP = ("PENDING", "RUNNING"), ("RUNNING",)


def node_id(workflow: str, path: str) -> str:
    """Return Argo's id of a node: FNV-1a of its path, with 32 bits."""
    number = 0x811C9DC5
    for byte in path.encode():
        number = (number ^ byte) * 0x01000193 & 0xFFFFFFFF
    return f"{workflow}-{number}"


@dataclass
class Workflow:
    """A run as Argo has it: `steps` are its tasks, each with the tasks it depends on."""

    name: str
    steps: dict[str, list[str]]
    state: str = "SUCCEEDED"
    #: The step that fails, if the run fails.
    failing: str | None = None
    retried: bool = True
    _nodes: list[Json] = field(default_factory=list)

    @property
    def attempt(self) -> str:
        """What the name of an attempt ends in."""
        return "(0)" if self.retried else ""

    @property
    def root(self) -> str:
        """Return the path of what holds the steps."""
        return f"{self.name}{self.attempt}.root{self.attempt}"

    def nodes(self) -> list[Json]:
        """Return all nodes."""
        self._nodes = []
        top = f"{self.name}{self.attempt}"
        self._add(self.name, self.name, GROUP, [f"{top}.root-driver"], self.state)
        self._add("root-driver", f"{top}.root-driver", POD, [f"{top}.root"])
        self._add("root", f"{top}.root", GROUP, self._drivers(), self.state)
        stopped = set[str]()
        for step, needed in self.steps.items():
            if stopped & set(needed):
                stopped.add(step)
                if self.state == "FAILED":
                    self._omitted(step)
            elif self._step(step) != "SUCCEEDED":
                stopped.add(step)
        return self._nodes

    def executor(self, step: str) -> str:
        """Return the id of the node whose pod does the work of `step`, which the address of its log has."""
        return node_id(self.name, f"{self.root}.{step}{self.attempt}.executor{self.attempt}")

    def _step(self, step: str) -> str:
        path = f"{self.root}.{step}"
        ended = {"SUCCEEDED": "SUCCEEDED", "FAILED": "FAILED" if step == self.failing else "SUCCEEDED"}
        state = ended.get(self.state, self.state)
        executor = f"{path}{self.attempt}.executor"
        self._add(f"{step}-driver", f"{path}-driver", POD, [path])
        self._add(step, path, GROUP, [executor, *(self._drivers(step) if self.retried else [])], state)
        self._add("executor", executor, POD, [] if self.retried else self._drivers(step), state)
        return state

    def _omitted(self, step: str) -> None:
        path = f"{self.root}.{step}"
        self._node(f"{step}-driver", [path], ())
        self._node(step, self._drivers(step), ())

    def _drivers(self, after: str | None = None) -> list[str]:
        """Return the paths of what comes next."""
        after_it = [step for step, needed in self.steps.items() if (after in needed if after else not needed)]
        return [f"{self.root}.{step}-driver" for step in after_it]

    def _add(self, name: str, path: str, history: tuple[str, ...], below: list[str], state: str = "SUCCEEDED") -> None:
        """Add a node and, where it is retried, its one attempt."""
        states = (*history, state) if state != "RUNNING" else history
        if self.retried:
            self._node(name, [f"{path}(0)"], (*GROUP, state) if state != "RUNNING" else GROUP)
        self._node(f"{name}{self.attempt}", below, states)

    def _node(self, name: str, below: list[str], states: tuple[str, ...]) -> None:
        now = "2026-11-26T12:10:49Z"
        node = {"task_id": str(uuid.uuid4()), "display_name": name}
        node |= {"create_time": now, "start_time": now, "end_time": now}
        state = {"state": states[-1]} if states else {}
        history = [{"update_time": now, "state": one} for one in states] or [{"update_time": now}]
        children = [{"pod_name": node_id(self.name, path)} for path in below]
        self._nodes.append(node | state | {"state_history": history} | ({"child_tasks": children} if children else {}))


def steps_of(spec: Json) -> dict[str, list[str]]:
    """Return the tasks of a compiled pipeline, each with those that it depends on, in the order in which they run."""
    tasks = spec["root"]["dag"]["tasks"]
    return dict(sorted(_with_needs(tasks), key=lambda one: _depth(tasks, one[0])))


def _with_needs(tasks: Json) -> Iterator[tuple[str, list[str]]]:
    for name, task in tasks.items():
        yield name, list(task.get("dependentTasks", []))


def _depth(tasks: Json, name: str) -> int:
    return 1 + max((_depth(tasks, needed) for needed in tasks[name].get("dependentTasks", [])), default=0)
