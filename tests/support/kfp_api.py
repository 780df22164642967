"""What the API server of Kubeflow Pipelines does with pipelines, versions and experiments, and its words for it.

The words and the odd ones among the answers are those of a real server 2.17, which `tests/cluster/answers.json` has.
"""

from collections.abc import Callable

import kfp_server_api
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from support import kfp_runs
from support.kfp_protocol import PAGING, TEXT, Json, LostError, Raw, RefusedError, Request, UploadError, listed
from support.kfp_state import NEVER, State, add, one, same

#: The largest file that can be uploaded.
LARGEST = 32 << 20


def healthz(state: State, _: Request) -> Json:
    """Say whether there are namespaces for users."""
    return healthz_v1(state, _) | {"pipeline_store": "database"}


def healthz_v1(state: State, _: Request) -> Json:
    """Say what the API before said."""
    return {"commit_sha": "unknown", "tag_name": "unknown", "multi_user": state.multi_user}


def limited(data: Json, key: str, what: str, limit: int, failed: str) -> None:
    """Refuse a name that has more bytes than the server takes, in the server's odd way."""
    if len(data.get(key, "").encode()) > limit:
        converted = f"Failed to convert API {what.lower()} to model {what.lower()}"
        cause = f"Invalid input error: {what}.Name length cannot exceed {limit}"
        raise RefusedError(500, f"{failed}: InternalServerError: {converted}: {cause}")


# Pipelines and versions


def list_pipelines(state: State, request: Request) -> Json:
    """List the pipelines of a namespace or, without one, those that users share; all on a server for one user."""
    namespace = request.query.get("namespace", "")
    own = state.own(state.pipelines, namespace) if namespace else state.shared()
    return listed(request, "pipelines", own, "pipeline_id", state.page_limit)


def create_pipeline(state: State, request: Request) -> Json:
    """Make a pipeline without versions."""
    data = request.json(kfp_server_api.V2beta1Pipeline)
    own = state.own(state.pipelines, state.namespace(data.get("namespace", "")))
    data["name"] = data.get("name") or data.get("display_name", "")
    data["display_name"] = data.get("display_name") or data["name"]
    failed = "Failed to create a pipeline due to server error"
    if not data["name"]:
        raise RefusedError(400, f"{failed}: Invalid input error: name is required")
    limited(data, "name", "Pipeline", 128, "Failed to create a pipeline as pipeline conversion failed")
    if same(own, name=data["name"]):
        taken = f"The name {data['name']} already exist. Please specify a new name"
        where = f"{failed}: Failed to create a pipeline in PipelineStore"
        raise RefusedError(409, f"{where}: Already exist error: Failed to create a new pipeline. {taken}")
    return add(state, state.pipelines, kfp_server_api.V2beta1Pipeline, "pipeline_id", data)


def list_versions(state: State, request: Request, pipeline_id: str) -> Json:
    """List the versions of a pipeline."""
    own = [version for version in state.versions if version["pipeline_id"] == pipeline_id]
    return listed(request, "pipeline_versions", own, "pipeline_version_id", state.page_limit)


def get_version(state: State, _: Request, pipeline_id: str, id_: str) -> Json:
    """Return a version."""
    cause = f"Failed to get a pipeline version with id {id_}: ResourceNotFoundError: PipelineVersion {id_} not found"
    message = f"Failed to get a pipeline version {id_}: {cause}"
    return one(state.versions, message, pipeline_id=pipeline_id, pipeline_version_id=id_)


def upload_version(state: State, request: Request) -> Json | Raw:
    """Make a version of a pipeline from an uploaded file."""
    failed = "Failed to create a pipeline version"
    file_name, content = request.file()
    pipeline_id, name = request.query.get("pipelineid", ""), request.query.get("name") or file_name
    if len(content) > LARGEST or not pipeline_id:
        raise UploadError(400, failed, TEXT)
    if len(name.encode()) > 127:
        return Raw(b"Invalid input error: PipelineVersion.Name length cannot exceed 127\n", 400)
    if not any(pipeline["pipeline_id"] == pipeline_id for pipeline in state.pipelines):
        raise UploadError(400, failed, TEXT)
    if not content:
        raise UploadError(500, failed)
    data = {"pipeline_id": pipeline_id, "name": name, "display_name": name, "pipeline_spec": compiled(content)}
    if same(state.versions, pipeline_id=pipeline_id, name=name):
        raise UploadError(409, failed)
    data["description"] = request.query.get("description", "")
    return add(state, state.versions, kfp_server_api.V2beta1PipelineVersion, "pipeline_version_id", data)


def compiled(content: bytes) -> Json:
    """Return a compiled pipeline; refuse another document, and never answer to what is no YAML."""
    try:
        first, *more = yaml.safe_load_all(content)
        named = json_format.ParseDict(first, pipeline_spec_pb2.PipelineSpec()).pipeline_info.name
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise LostError from error
    except (json_format.ParseError, AttributeError, ValueError):
        named = ""
    if not named:
        raise UploadError(400, "unknown template format")
    return {"pipeline_spec": first, "platform_spec": more[0]} if more else dict(first)


# Experiments


def list_experiments(state: State, request: Request) -> Json:
    """List the experiments of a namespace, or all."""
    own = state.own(state.experiments, request.query.get("namespace", ""))
    return listed(request, "experiments", own, "experiment_id", state.page_limit)


def create_experiment(state: State, request: Request) -> Json:
    """Make an experiment."""
    data = request.json(kfp_server_api.V2beta1Experiment)
    own = state.own(state.experiments, state.namespace(data.get("namespace", "")))
    converted = "[ExperimentServer]: Failed to create a experiment due to conversion error"
    if not data.get("display_name"):
        raise RefusedError(500, f"{converted}: InternalServerError: Invalid input error: Experiment name is empty")
    limited(data, "display_name", "Experiment", 128, converted)
    if same(own, display_name=data["display_name"]):
        taken = f"The name {data['display_name']} already exists. Please specify a new name"
        where = "Failed to create a experiment: Already exist error: Failed to create a new experiment."
        raise RefusedError(409, f"{where} {taken}")
    data |= {"storage_state": "AVAILABLE", "last_run_created_at": NEVER}
    return add(state, state.experiments, kfp_server_api.V2beta1Experiment, "experiment_id", data)


Route = tuple[str, str, set[str], Callable[..., Json | Raw]]

#: Method, path, the queries that are allowed, and what answers.
ROUTES: list[Route] = [
    ("GET", "/apis/v2beta1/healthz", set(), healthz),
    ("GET", "/apis/v1beta1/healthz", set(), healthz_v1),
    ("GET", "/apis/v2beta1/pipelines", PAGING, list_pipelines),
    ("POST", "/apis/v2beta1/pipelines", set(), create_pipeline),
    ("POST", "/apis/v2beta1/pipelines/upload_version", {"name", "description", "pipelineid"}, upload_version),
    ("GET", "/apis/v2beta1/pipelines/([^/:]+)/versions", PAGING - {"namespace"}, list_versions),
    ("GET", "/apis/v2beta1/pipelines/([^/:]+)/versions/([^/:]+)", set(), get_version),
    ("GET", "/apis/v2beta1/experiments", PAGING, list_experiments),
    ("POST", "/apis/v2beta1/experiments", set(), create_experiment),
    ("GET", "/apis/v2beta1/runs", PAGING | {"experiment_id"}, kfp_runs.list_runs),
    ("POST", "/apis/v2beta1/runs", {"experiment_id"}, kfp_runs.create_run),
    ("GET", "/apis/v2beta1/runs/([^/:]+)", {"experiment_id", "view"}, kfp_runs.get_run),
    ("GET", "/apis/v1alpha1/runs/([^/:]+)/nodes/([^/:]+)/log", {"follow"}, kfp_runs.get_log),
    ("GET", "/k8s/pod/logs", {"podname", "runid", "podnamespace", "createdat"}, kfp_runs.get_pod_log),
    ("GET", "/artifacts/get", {"source", "namespace", "bucket", "key"}, kfp_runs.get_file),
    ("GET", "/apis/v2beta1/artifact_tasks", PAGING | {"run_ids", "type"}, kfp_runs.list_artifact_tasks),
    ("GET", "/apis/v2beta1/artifacts", PAGING, kfp_runs.list_artifacts),
    ("GET", "/apis/v2beta1/artifacts/([^/:]+)", set(), kfp_runs.get_artifact),
]
