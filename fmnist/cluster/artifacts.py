"""The artifacts that the steps of a run have left: from the API of artifacts or, up to 2.17, from the steps' logs."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from fmnist.cluster.client import Client, ClusterError
from fmnist.cluster.logs import Artifact, LogError, Logs, number
from fmnist.cluster.lookup import check_token
from fmnist.cluster.steps import Step, steps_of

__all__ = ["Found", "artifacts_of", "metric"]

_METRICS = "system.Metrics"
_RUN = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@dataclass
class Found:
    """The artifacts of a run, and for each step that has none here, why."""

    artifacts: list[tuple[str, Artifact]] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)


def artifacts_of(client: Client, run: Mapping[str, Any], namespace: str | None) -> Found:
    """Return the artifacts of the steps of a run that ended well, as an answer of the API has it.

    Steps in loops are left out: they are many, and of none of them the run has one result.
    """
    try:
        return Found(list(_from_api(client, run["run_id"])))
    except ClusterError as error:
        # A server without this API answers 404, and a proxy before it whatever it likes.
        trouble = [] if error.status == HTTPStatus.NOT_FOUND else [str(error)]
    found = _from_logs(client, run, namespace)
    found.troubles += [] if found.artifacts else trouble
    return found


def metric(found: Found, name: str) -> tuple[float | None, str]:
    """Return the one metric of this name or, if there is none, None and why."""
    values = [one.metadata[name] for _, one in found.artifacts if one.kind == _METRICS and name in one.metadata]
    if len(values) == 1 and (value := number(values[0])) is not None:
        return value, ""
    several = [f"the run has {len(values)} metrics of the name {name}"] if len(values) > 1 else []
    return None, "; ".join(several or found.troubles) or f"no step reports a metric named {name}"


def _from_api(client: Client, run_id: str) -> Iterator[tuple[str, Artifact]]:
    """Give the artifacts as https://github.com/kubeflow/pipelines/pull/13986 has them."""
    made: dict[str, tuple[str, str]] = {}
    page: dict[str, Any] = {}
    seen = set[str]()
    while True:
        where = {"run_ids": run_id, "type": "OUTPUT", "page_token": page.get("next_page_token", "")}
        page = client.read("artifact_tasks", **where)
        for task in page.get("artifact_tasks") or ():
            step = str((task.get("producer") or {}).get("task_name") or "")
            made.setdefault(str(task["artifact_id"]), (step, str(task.get("key") or "")))
        if not page.get("next_page_token"):
            break
        check_token(client, "read artifact_tasks", page["next_page_token"], seen)
    for id_, (step, key) in made.items():
        one = client.read(f"artifacts/{id_}")
        name, kind = str(one.get("name") or ""), str(one.get("type") or "")
        if kind == "Metric":
            # Each number is an artifact of its own there.
            yield step, Artifact(key or "metrics", _METRICS, "", {name: one.get("number_value")})
        else:
            yield step, Artifact(key or name, f"system.{kind}", str(one.get("uri") or ""), one.get("metadata") or {})


def _from_logs(client: Client, run: Mapping[str, Any], namespace: str | None) -> Found:
    """Return the artifacts that the logs of a run's steps name; of a step from the cache, the run's that made them."""
    found, inputs, logs = Found(), list[str](), Logs(client, run, namespace)
    told = steps_of(run)
    steps = [step for step in told if step.state in {"SUCCEEDED", "CACHED"} and " " not in step.name]
    if not steps:
        found.troubles.append(
            "no step outside of a loop has ended well, and of those in loops the run has no one result"
            if told
            else "the server lists no step of the run"
        )
    for step in steps:
        try:
            log = logs.of(step)
        except LogError as error:
            # That of a step from the cache could tell no more than which run made the results of those before it.
            found.troubles += [str(error)] if step.state != "CACHED" else []
            continue
        inputs += [one.uri for one in log.inputs.values()]
        if step.state != "CACHED":
            if log.untold:
                found.troubles.append(
                    f"the start of the log of {step.name} is gone, which would tell what it left; a step that prints "
                    "less keeps it"
                    if log.headless
                    else f"{step.name} is not a Python function, so its log does not say what it left"
                )
            found.artifacts += [(step.name, one) for one in log.outputs.values()]
    for step in steps:
        if step.state == "CACHED":
            _add_cached(client, namespace, step, inputs, found)
    return found


def _add_cached(client: Client, namespace: str | None, step: Step, inputs: list[str], found: Found) -> None:
    """Add what a step from the cache made in an earlier run, which the inputs of the steps after it name."""
    runs = {match[1] for uri in inputs if (match := re.search(rf"/({_RUN})/{re.escape(step.task)}/", uri))}
    trouble = (
        f"{step.name} came from the cache, and the server does not say which run made its results; "
        "one with --no-cache has its own"
    )
    for id_ in sorted(runs):
        try:
            earlier = full(client, client.read(f"runs/{id_}"))
            made = [one for one in steps_of(earlier) if one.name == step.name]
            logs = [Logs(client, earlier, namespace).of(one) for one in made]
            found.artifacts += [(step.name, one) for log in logs for one in log.outputs.values()]
        except ClusterError as error:
            trouble = f"{step.name} came from the cache, of run {id_}: {error}"
        else:
            if made:
                return
    found.troubles.append(trouble)


def full(client: Client, run: dict[str, Any], patience: float = 60.0) -> dict[str, Any]:
    """Return a run with its tasks, which servers since kubeflow/pipelines#13986 give only in their full view."""
    if run.get("tasks") or run.get("run_details") or run.get("state") in {None, "PENDING"}:
        return run
    try:
        return run | {
            "tasks": client.read(f"runs/{run['run_id']}", patience=max(1.0, patience), view="FULL").get("tasks")
        }
    except ClusterError:
        return run
