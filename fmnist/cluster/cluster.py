"""Pipelines, experiments and runs on a Kubeflow Pipelines cluster."""

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.parse import quote

from fmnist.cluster.client import Client, ClusterError, TransientError, excerpt, open_client
from fmnist.steps.errors import ContractError
from fmnist.steps.files import sha256

__all__ = ["Cluster", "ClusterError", "Run", "Version", "connect"]

#: Seconds between two looks at a run; the first and the longest wait for a server that is away.
POLL, BACKOFF, LONGEST_BACKOFF = 5.0, 1.0, 30.0

#: Name and type of the artifact that tells the accuracy.
_ACCURACY = ("accuracy", "Metric")


@dataclass(frozen=True)
class Version:
    """A version of a pipeline on the cluster, and its page in the UI."""

    id: str
    pipeline_id: str
    name: str
    link: str


@dataclass(frozen=True)
class Run:
    """A run on the cluster, and its page in the UI."""

    id: str
    link: str


def connect(
    host: str | None = None,
    *,
    namespace: str | None = None,
    token_file: Path | None = None,
    cookies: str | None = None,
    ca: Path | None = None,
) -> "Cluster":
    """Return the cluster at `host`, after its first answer.

    Parameters
    ----------
    host : str, optional
        URL of the Pipelines API; without it ``$KF_PIPELINES_ENDPOINT``, the cluster that this process runs in, or the
        current context of the kubeconfig.
    namespace : str, optional
        The user's namespace, on a cluster for several users; otherwise that of kfp's context file or of this pod. A
        cluster for one user has no namespaces for users: there it is not used.
    token_file : path, optional
        File that holds a bearer token, read again for each request, as such tokens are renewed. Without it
        ``$FMNIST_KFP_TOKEN``, the file ``$KF_PIPELINES_SA_TOKEN_PATH``, or what the kubeconfig or the pod has.
    cookies : str, optional
        Value of the Cookie header; without it ``$FMNIST_KFP_COOKIES``.
    ca : path, optional
        PEM file of the authorities that are trusted instead of the public ones. Certificates are always checked.

    Raises
    ------
    ContractError
        If there is no host, or one of these is not usable.
    ClusterError
        If there is no Pipelines API.
    """
    client = open_client(host, token_file, cookies, ca)
    health = client.ask("connect", client.healthzs.healthz_service_get_healthz)
    if not health.get("multi_user"):
        return Cluster(client, None)
    namespace = namespace or client.own_namespace()
    if not namespace:
        raise ContractError(f"cluster: expected a namespace, as {client.host} has several users, got none. Give one.")
    return Cluster(client, namespace)


class Cluster:
    """A Kubeflow Pipelines API; made by `connect`."""

    def __init__(self, client: Client, namespace: str | None) -> None:
        self._client = client
        self.host, self.namespace = client.host, namespace

    def __repr__(self) -> str:
        return f"Cluster(host={self.host!r}, namespace={self.namespace!r})"

    def create(self, package: Path, *, name: str, description: str = "", version: str | None = None) -> Version:
        """Return the version of the pipeline `name` that has the content of `package`, made if it is not there.

        Parameters
        ----------
        package : path
            The compiled pipeline.
        name : str
            The pipeline; there is one of a name in a namespace.
        description : str, optional
            Given to what is made.
        version : str, optional
            Put before the digest of the content, which names the version: other content is another version.
        """
        try:
            digest = sha256(package.read_bytes())[:16]
        except OSError as error:
            raise ContractError(f"pipeline: expected a compiled file, got {package}: {error.strerror}.") from error
        label = f"{version}-{digest}" if version else digest
        # kfp's upload of a new pipeline would give its first version the pipeline's name.
        pipeline = self._pipeline(name) or self._client.ask(
            "create pipeline",
            self._client.pipelines.pipeline_service_create_pipeline,
            pipeline={"name": name, **self._labels(name, description)},
            wanted="pipeline_id",
        )
        found = self._find("version", label, pipeline["pipeline_id"]) or self._client.ask(
            "upload version",
            self._client.pipeline_uploads.upload_pipeline_version,
            str(package),
            name=label,
            description=description,
            pipelineid=pipeline["pipeline_id"],
            wanted="pipeline_version_id",
        )
        return self._as_version(found | {"display_name": label, "pipeline_id": pipeline["pipeline_id"]})

    def latest(self, name: str) -> Version:
        """Return the version of the pipeline `name` that was made last.

        Raises
        ------
        ContractError
            If there is none.
        """
        pipeline = self._pipeline(name)
        page = pipeline and self._client.ask(
            "find version",
            self._client.pipelines.pipeline_service_list_pipeline_versions,
            pipeline["pipeline_id"],
            sort_by="created_at desc",
            page_size=1,
        )
        if not page or not page.get("pipeline_versions"):
            raise ContractError(f"pipeline: expected one called {name!r} at {self.host}, got none. Create it first.")
        return self._as_version(page["pipeline_versions"][0])

    def spec(self, version: Version) -> dict[str, Any]:
        """Return the document of the compiled pipeline, without that for Kubernetes, as the server has it."""
        content = self._content(version)
        return dict(content.get("pipeline_spec", content))

    def run(  # noqa: PLR0913 - what a run is made of
        self,
        version: Version,
        *,
        experiment: str,
        run_name: str,
        parameters: Mapping[str, Any],
        experiment_description: str = "",
        run_description: str = "",
        caching: bool = True,
    ) -> Run:
        """Start a run of `version` in the experiment of that name, made if it is not there.

        Parameters
        ----------
        version : Version
            What `create` returned.
        experiment, run_name : str
            What the UI shows.
        parameters : mapping
            Numbers, booleans and strings by name; the pipeline's defaults hold for the others.
        experiment_description, run_description : str, optional
            What the UI shows.
        caching : bool
            Whether steps may be replaced by results of earlier ones. If not, the run carries a copy of the pipeline
            with that setting, as the API has no other way, and the UI lists it under no version.
        """
        body = {
            "experiment_id": self._experiment(experiment, experiment_description),
            "display_name": run_name,
            "description": run_description,
            "runtime_config": {"parameters": dict(parameters)},
            # kfp's own way ignores its caching flag here.
            **(_reference(version) if caching else {"pipeline_spec": _uncached(self._content(version))}),
        }
        call = self._client.runs.run_service_create_run
        run_id = self._client.ask("start run", call, run=body, wanted="run_id")["run_id"]
        return Run(run_id, self._client.link(f"runs/details/{run_id}"))

    def wait(self, run: Run, *, timeout: float, on_state: Callable[[str], None] = lambda _: None) -> str:
        """Return ``SUCCEEDED`` or ``SKIPPED`` once `run` has ended so.

        A server that is away for a while, as for a restart, is asked again until the time is over.

        Parameters
        ----------
        run : Run
            What `Cluster.run` returned.
        timeout : float
            Seconds.
        on_state : callable
            Told of each new state.

        Raises
        ------
        ClusterError
            If the run fails, with the tasks that failed, is canceled, or goes on after `timeout`.
        """
        deadline = monotonic() + timeout
        state, trouble, backoff = "unknown", "", BACKOFF
        while True:
            try:
                answer = self._look(run, patience=max(1.0, deadline - monotonic()))
            except TransientError as error:
                trouble, pause = f", and at last {error.got}", error.pause or backoff
                backoff = min(2 * backoff, LONGEST_BACKOFF)
            else:
                trouble, pause, backoff = "", POLL, BACKOFF
                if answer.get("state", state) != state:
                    state = answer["state"]
                    on_state(state)
                if state in {"SUCCEEDED", "SKIPPED"}:
                    return state
                if state in {"FAILED", "CANCELED"}:
                    raise self._ended(run, answer)
            left = deadline - monotonic()
            if left <= 0:
                raise ClusterError(
                    f"wait for run {run.id} at {self.host}: expected its end within {timeout:g} s, got the state "
                    f"{state}{trouble}. The run may go on: see {run.link}, or wait longer."
                )
            sleep(min(pause, left))

    def accuracy(self, run: Run) -> float | None:
        """Return the one metric of `run` that is called accuracy, or None where the server does not tell it.

        Up to 2.17 the Pipelines API has no metrics: its UI takes them from the metadata store. Servers since then have
        the API of artifacts.

        References
        ----------
        https://github.com/kubeflow/pipelines/pull/13986
        """
        try:
            found = [self._client.read(f"artifacts/{id_}") for id_ in dict.fromkeys(self._left_by(run))]
        except ClusterError:
            # The run has ended well, whatever becomes of this question.
            return None
        values = [one.get("number_value") for one in found if (one.get("name"), one.get("type")) == _ACCURACY]
        return float(values[0]) if len(values) == 1 and isinstance(values[0], int | float) else None

    def _left_by(self, run: Run) -> Iterator[str]:
        """Give the id of each artifact that a task of `run` has made."""
        page: dict[str, Any] = {}
        while True:
            where = {"run_ids": run.id, "type": "OUTPUT", "page_token": page.get("next_page_token", "")}
            page = self._client.read("artifact_tasks", **where)
            yield from (task["artifact_id"] for task in page.get("artifact_tasks") or ())
            if not page.get("next_page_token"):
                return

    def _look(self, run: Run, **patience: float) -> dict[str, Any]:
        """Return what the server knows of `run`."""
        call = self._client.runs.run_service_get_run
        return self._client.once(f"look at run {run.id}", call, run.id, wanted="run_id", **patience)

    def _ended(self, run: Run, answer: dict[str, Any]) -> ClusterError:
        """Return the error for a run that failed or was canceled."""
        causes = self._client.without_secrets("; ".join(_failures(answer))) or "the API gives no cause"
        got = f"FAILED: {excerpt(causes, 2_000)}" if answer["state"] == "FAILED" else "CANCELED"
        return ClusterError(
            f"run {run.id} at {self.host}: expected SUCCEEDED, got {got}. Its page has the logs: {run.link}"
        )

    def _pipeline(self, name: str) -> dict[str, Any] | None:
        return self._find("pipeline", name, namespace=self.namespace)

    def _experiment(self, name: str, description: str) -> str:
        """Return the id of the experiment `name`, made if it is not there."""
        found = self._find("experiment", name, namespace=self.namespace) or self._client.ask(
            "create experiment",
            self._client.experiments.experiment_service_create_experiment,
            experiment=self._labels(name, description),
            wanted="experiment_id",
        )
        return str(found["experiment_id"])

    def _content(self, version: Version) -> dict[str, Any]:
        """Return what was uploaded as `version`: the pipeline, or that and a part for Kubernetes."""
        call = self._client.pipelines.pipeline_service_get_pipeline_version
        answer = self._client.ask("read version", call, version.pipeline_id, version.id, wanted="pipeline_spec")
        return dict(answer["pipeline_spec"])

    def _find(self, what: str, name: str, *of: str, **where: Any) -> dict[str, Any] | None:
        """Return the pipeline, version or experiment that is called `name`, or None."""
        kind, call = {
            "pipeline": ("pipelines", self._client.pipelines.pipeline_service_list_pipelines),
            "version": ("pipeline_versions", self._client.pipelines.pipeline_service_list_pipeline_versions),
            "experiment": ("experiments", self._client.experiments.experiment_service_list_experiments),
        }[what]
        named = {"operation": "EQUALS", "key": "display_name", "string_value": name}
        # The server decodes a filter once more than other values: kfp's own way fails with "+" and "%" in a name.
        where["filter"] = quote(json.dumps({"predicates": [named]}))
        page = self._client.ask(f"find {what}", call, *of, **where)
        # To the server's database, names that differ in case are equal.
        return next((dict(item) for item in page.get(kind) or () if item.get("display_name") == name), None)

    def _labels(self, name: str, description: str) -> dict[str, str]:
        labels = {"display_name": name, "description": description}
        return labels | ({"namespace": self.namespace} if self.namespace else {})

    def _as_version(self, item: dict[str, Any]) -> Version:
        version_id, pipeline_id = item["pipeline_version_id"], item["pipeline_id"]
        link = self._client.link(f"pipelines/details/{pipeline_id}/version/{version_id}")
        return Version(version_id, pipeline_id, item["display_name"], link)


def _reference(version: Version) -> dict[str, Any]:
    return {"pipeline_version_reference": {"pipeline_id": version.pipeline_id, "pipeline_version_id": version.id}}


def _uncached(content: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a version with no task cached."""
    content = copy.deepcopy(content)
    pipeline = content.get("pipeline_spec", content)
    for component in (pipeline["root"], *pipeline.get("components", {}).values()):
        for task in component.get("dag", {}).get("tasks", {}).values():
            task["cachingOptions"] = {"enableCache": False}
    return content


def _failures(answer: dict[str, Any]) -> Iterator[str]:
    """Give the tasks that failed, with messages where the API has them, and then that of the run."""
    tasks = (answer.get("run_details") or {}).get("task_details") or []
    failed = {task.get("display_name", "unnamed"): _message(task) for task in tasks if task.get("state") == "FAILED"}
    # A failed task takes along those around it, which have no message of their own.
    told = {name: message for name, message in failed.items() if message}
    inner = {name: "" for name in failed if name not in {"root", "executor", answer.get("display_name")}}
    yield from (f"task {name}" + (f": {message}" if message else "") for name, message in (told or inner).items())
    if message := (answer.get("error") or {}).get("message"):
        yield message


def _message(task: dict[str, Any]) -> str:
    """Return the last error of a task."""
    errors = [status.get("error") for status in (*(task.get("state_history") or ()), task)]
    return next((error["message"] for error in reversed(errors) if error and error.get("message")), "")
