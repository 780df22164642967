"""Why a run on a cluster failed: the error of the step itself, out of its log."""

from collections.abc import Iterator, Mapping
from typing import Any

from fmnist.cluster.client import Client, ClusterError, in_one_line
from fmnist.cluster.logs import LogError, Logs
from fmnist.cluster.names import NAMESPACE
from fmnist.cluster.steps import Step, message_of, steps_of, workflow_of
from fmnist.steps.messages import excerpt

__all__ = ["cause_of"]

#: How many failed steps are reported, and with how many characters in all.
_MOST, _LONGEST = 3, 3_000

#: The exit code of what was killed.
_KILLED = 137

Json = Mapping[str, Any]


def cause_of(client: Client, run: Json, namespace: str | None) -> str:
    """Return why a run, as an answer of the API has it, failed: what can be had of it, without secrets."""
    logs = Logs(client, run, namespace)
    failed = [step for step in steps_of(run) if step.state == "FAILED"]
    causes = [_of_step(client, run, step, logs) for step in failed[:_MOST]]
    if len(failed) > _MOST:
        causes.append(f"{len(failed) - _MOST} more failed: {', '.join(step.name for step in failed[_MOST:][:20])}.")
    causes += [] if causes else [_one_line(text) for text in _of_tasks(run)]
    if message := (run.get("error") or {}).get("message"):
        causes.append(_one_line(str(message)))
    share = _LONGEST // max(1, len(causes))
    return "\n".join(excerpt(client.without_secrets(cause), share) for cause in causes or [_unknown(run, namespace)])


def _of_step(client: Client, run: Json, step: Step, logs: Logs) -> str:
    """Return how a step failed, with its own error below."""
    head = f"{step.name} failed" + (f" at attempt {step.attempt}" if step.attempt > 1 else "")
    said = [_one_line(step.message)] if step.message else []
    try:
        log = logs.of(step)
    except LogError as error:
        return _told(f"{head}; {error}.", said)
    code = log.exit_code
    if code is not None:
        head += f", with exit code {code}"
    if code == _KILLED:
        limit = _limit(client, run, step)
        head += ": killed, most likely for using too much memory" + (f" (limit: {limit})" if limit else "")
    return _told(f"{head}. Its last output:" if log.error else f"{head}.", [*said, *log.error.splitlines()])


def _told(head: str, lines: list[str]) -> str:
    return "\n".join([head, *(f"  {line}" for line in lines)])


def _one_line(text: str) -> str:
    return f"{in_one_line(text)}."


def _unknown(run: Json, namespace: str | None) -> str:
    workflow = workflow_of(run)
    if not workflow:
        return "the API gives no cause."
    return (
        "no step failed: Argo Workflows ended the run, for example because it is larger than an object of Kubernetes "
        f"may be. `kubectl -n {namespace or NAMESPACE} get workflow {workflow} "
        "-o jsonpath={.status.message}` says why."
    )


def _of_tasks(run: Json) -> Iterator[str]:
    """Give the tasks that failed, with messages where the API has them; not Argo's own nodes around the steps."""
    tasks = (run.get("run_details") or {}).get("task_details") or []
    failed = {
        str(task.get("display_name", "unnamed")): message_of(task) for task in tasks if task.get("state") == "FAILED"
    }
    # When a task fails, the tasks around it fail too, without a message.
    explained = {name: message for name, message in failed.items() if message}
    argos = {"root", "executor", run.get("display_name"), workflow_of(run)}
    inner = {name: "" for name in failed if name not in argos and "(" not in name}
    yield from (f"task {name}" + (f": {message}" if message else "") for name, message in (explained or inner).items())


def _limit(client: Client, run: Json, step: Step) -> str:
    """Return the memory that a step may have, as its pipeline says, or nothing."""
    try:
        spec = run.get("pipeline_spec") or _version(client, run)
        spec = spec.get("pipeline_spec", spec)
        components = spec["components"]
        dags = [one["dag"]["tasks"] for one in (spec["root"], *components.values()) if "dag" in one]
        [task] = [tasks[name] for tasks in dags for name in tasks if name == step.task]
        label = components[task["componentRef"]["name"]]["executorLabel"]
        resources = spec["deploymentSpec"]["executors"][label]["container"]["resources"]
        return str(resources.get("resourceMemoryLimit") or f"{resources['memoryLimit']} GB")
    except (ClusterError, KeyError, ValueError, TypeError, AttributeError):
        return ""


def _version(client: Client, run: Json) -> Json:
    reference = run["pipeline_version_reference"]
    answer = client.read(f"pipelines/{reference['pipeline_id']}/versions/{reference['pipeline_version_id']}")
    return dict(answer["pipeline_spec"])
