"""What the API server of Kubeflow Pipelines does with runs, their logs and artifacts, and its words for it."""

from typing import Any

import kfp_server_api
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from support.kfp_nodes import Workflow, steps_of
from support.kfp_protocol import Json, Raw, RefusedError, Request, UnknownError, known, listed
from support.kfp_state import NEVER, State, add, one

ENDED = {"SUCCEEDED", "FAILED", "CANCELED", "SKIPPED"}

#: What every run has on a server 2.17 without MLflow.
PLUGINS = {
    "mlflow": {
        "entries": {"experiment_name": {"value": "KFP-Default"}},
        "state": "PLUGIN_FAILED",
        "state_message": "failed to build MLflow request context",
    }
}

#: The longest text of a column that has no other limit.
COLUMN = 255

#: What JSON gives for an input of each type, and the server's words for it.
TYPES: dict[str, tuple[Any, str, str]] = {
    "STRING": (str, "string", "string"),
    "NUMBER_INTEGER": (int | float, "double or integer", "number"),
    "NUMBER_DOUBLE": (int | float, "double or integer", "number"),
    "BOOLEAN": (bool, "bool", "bool"),
    "LIST": (list, "list", "list"),
    "STRUCT": (dict, "struct", "struct"),
}


def check_parameters(inputs: Json, given: Json) -> None:
    """Refuse what the server refuses: unknown inputs, missing ones, and those of another type."""
    failed = "Failed to create a new run: Failed to generate the ExecutionSpec: invalid pipeline job inputs"
    if unknown := sorted(given.keys() - inputs):
        needless = f"parameter(s) provided are not required by pipeline: {', '.join(unknown)}"
        raise RefusedError(400, f"{failed}: Invalid input error: {needless}")
    for name, definition in inputs.items():
        if name not in given and not ("defaultValue" in definition or definition.get("isOptional")):
            raise RefusedError(400, f"{failed}: Invalid input error: parameter {name} has no value and no default")
        kind, takes, value = TYPES[definition["parameterType"]]
        right = isinstance(given.get(name), kind) and isinstance(given[name], bool) == (kind is bool)
        if name in given and not right:
            wrong = f"requires type {takes}, but the parameter value is not of {value} value type"
            raise RefusedError(400, f"{failed}: Invalid input error: input parameter {name} {wrong}")


def list_runs(state: State, request: Request) -> Json:
    """List the runs of an experiment, or of the experiments of a namespace, or all."""
    wanted = request.query.get("experiment_id")
    experiments = [] if wanted else state.own(state.experiments, request.query.get("namespace", ""))
    ids = {wanted, *(one["experiment_id"] for one in experiments)}
    own = [run for run in state.runs if run["experiment_id"] in ids]
    return listed(request, "runs", own, "run_id", state.page_limit)


def create_run(state: State, request: Request) -> Json:
    """Start a run of a version, or of a pipeline that is part of the request: of one of them."""
    data = request.json(kfp_server_api.V2beta1Run)
    if not data.get("display_name"):
        failed = "CreateJob(job.ToV2())Failed to create a run due to conversion error: InternalServerError"
        cause = "Failed to convert a API run detail to its internal representation"
        raise RefusedError(500, f"{failed}: {cause}: Invalid input error: Run name cannot be empty")
    check_experiment(state, data["experiment_id"])
    spec = spec_of(state, data)
    json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    parameters = data.get("runtime_config", {}).get("parameters", {})
    check_parameters(spec["root"].get("inputDefinitions", {}).get("parameters", {}), parameters)
    for key, column in {"display_name": "DisplayName", "description": "Description"}.items():
        if len(data.get(key, "")) > COLUMN:
            # The workflow runs already.
            state.untraced.append(data)
            cause = f"Error 1406 (22001): Data too long for column '{column}' at row 1"
            raise RefusedError(500, f"Failed to create a new run: InternalServerError: Failed to store run: {cause}")
    data |= {"runtime_config": {"parameters": parameters}} if parameters else {"runtime_config": None}
    begun: Json = {"state": "PENDING", "state_history": [{"update_time": state.now(), "state": "PENDING"}]}
    begun |= {"scheduled_at": state.now(), "finished_at": NEVER, "storage_state": "AVAILABLE"}
    begun |= {"service_account": "pipeline-runner", "plugins_output": PLUGINS}
    return add(state, state.runs, kfp_server_api.V2beta1Run, "run_id", data | begun)


def check_experiment(state: State, id_: str) -> None:
    """Refuse a run in no experiment."""
    failed = "Failed to create a new run: Failed to create a run due to invalid experimentId and namespace combination"
    fetched = f"Failed to fetch namespace for experiment {id_}: Failed to fetch namespace from experiment {id_}"
    message = f"{failed}: {fetched}: ResourceNotFoundError: Experiment {id_} not found"
    one(state.experiments, message, experiment_id=id_)


def spec_of(state: State, run: Json) -> Json:
    """Return the compiled pipeline of a run, without the part for Kubernetes."""
    if ("pipeline_spec" in run) == ("pipeline_version_reference" in run):
        raise UnknownError(400, "Invalid input error: oneof pipeline_source")
    content = run.get("pipeline_spec")
    if content is None:
        id_ = run["pipeline_version_reference"]["pipeline_version_id"]
        message = (
            "Failed to create a new run: InternalServerError: Failed to create a run due to error fetching manifest: "
            "Failed to fetch a template due to error retrieving pipeline version: Failed to fetch a pipeline version "
            f"and its manifest from pipeline version {id_}: Failed to get a pipeline version with id {id_}: "
            f"ResourceNotFoundError: PipelineVersion {id_} not found"
        )
        content = one(state.versions, message, 500, **run["pipeline_version_reference"])["pipeline_spec"]
    return dict(content.get("pipeline_spec", content))


def get_run(state: State, request: Request, run_id: str) -> Json:
    """Return a run, which has gone on since it was last looked at."""
    message = f"Failed to get a run: Failed to fetch run {run_id}: ResourceNotFoundError: Run {run_id} not found"
    run = one(state.runs, message, run_id=run_id)
    if "view" in request.query:
        return {"run_id": run_id, "tasks": state.tasks}
    run["state"] = state.states.pop(0) if len(state.states) > 1 else state.states[0]
    if run["state"] != run["state_history"][-1]["state"]:
        run["state_history"].append({"update_time": state.now(), "state": run["state"]})
    if run["state"] in ENDED:
        run["finished_at"] = state.now()
    looks = state.store.looks
    details = looks.pop(0) if len(looks) > 1 else looks[0] if looks else state.details
    return known(kfp_server_api.V2beta1Run, run | (details or nodes_of(state, run)))


def workflow(state: State, run: Json) -> Workflow:
    """Return a run as Argo has it."""
    spec = spec_of(state, run)
    steps = steps_of(spec)
    name = f"{spec['pipelineInfo']['name']}-{run['run_id'][:5]}"
    return Workflow(name, steps, run["state"], state.failing or next(iter(steps)), state.retried)


def nodes_of(state: State, run: Json) -> Json:
    """Return the details of a run, which come with its first nodes."""
    if run["state"] == "PENDING":
        return {}
    nodes = [{"run_id": run["run_id"], **node} for node in workflow(state, run).nodes()]
    return {"run_details": {"task_details": nodes}}


def get_log(state: State, _: Request, run_id: str, node: str) -> Raw:
    """Return what a pod has written; for what is no pod, the answer is the store's error, and 200 all the same."""
    if state.store.ui:
        # The UI's address does not have it.
        return Raw(b"404 page not found\n", 404)
    if node in state.store.logs:
        return Raw(state.store.logs[node])
    if node in state.logs:
        return Raw(state.logs[node].encode())
    key = f"/artifacts/{node.rpartition('-')[0]}/{node}/main.log"
    cause = f"Failed to read logs from archive {node} due to error fetching the log file: InternalServerError"
    lost = f'Failed to get file reader for {key}: blob (key \\"{key}\\") (code=NotFound): operation error S3: GetObject'
    said = "https response error StatusCode: 404, NoSuchKey: The specified key does not exist."
    return Raw(f'{{"error_message":"{run_id}: InternalServerError: {cause}: {lost}, {said}"}}'.encode())


def get_pod_log(state: State, request: Request) -> Raw:
    """Return what a pod has written, at the UI's address."""
    return state.store.pod_log(request.query) if state.store.ui else Raw(b"404 page not found\n", 404)


def get_file(state: State, request: Request) -> Raw:
    """Return a file of the store, at the UI's address."""
    return state.store.file(request.query) if state.store.ui else Raw(b"404 page not found\n", 404)


# The API of artifacts


def list_artifact_tasks(state: State, request: Request) -> Json:
    """List which task of a run has which artifact, as https://github.com/kubeflow/pipelines/pull/13986 has it."""
    artifacts = left_behind(state)
    run_id = one(state.runs, "Run not found", run_id=request.query["run_ids"])["run_id"]
    if request.query["type"] != "OUTPUT":
        raise UnknownError(400, f"type {request.query['type']}")
    ids = [artifact["artifact_id"] for artifact in artifacts]
    tasks = [{"id": f"link-{id_}", "artifact_id": id_, "run_id": run_id, "type": "OUTPUT"} for id_ in ids]
    return listed(request, "artifact_tasks", tasks, "id", state.page_limit)


def list_artifacts(state: State, request: Request) -> Json:
    """List the artifacts."""
    return listed(request, "artifacts", left_behind(state), "artifact_id", state.page_limit)


def get_artifact(state: State, _: Request, artifact_id: str) -> Json:
    """Return an artifact."""
    return one(left_behind(state), "Artifact not found", artifact_id=artifact_id)


def left_behind(state: State) -> list[Json]:
    """Return the artifacts; a server without them has no such path."""
    if state.artifacts is None:
        raise RefusedError(404, "Not Found")
    return state.artifacts
