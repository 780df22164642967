"""Pipelines, versions, experiments and new runs on a Kubeflow Pipelines cluster."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fmnist.cluster.client import Client, ClusterError
from fmnist.cluster.run import Run
from fmnist.steps.errors import ContractError
from fmnist.steps.files import sha256

__all__ = ["Cluster", "Version", "connect"]


@dataclass(frozen=True)
class Version:
    """A version of a pipeline on the cluster, and its page in the UI."""

    id: str
    pipeline_id: str
    name: str
    link: str


def connect(  # noqa: PLR0913 - one for each way in
    host: str | None = None,
    *,
    namespace: str | None = None,
    token_file: Path | None = None,
    cookies: str | None = None,
    ca: Path | None = None,
    proxy: str | None = None,
) -> "Cluster":
    """Return the cluster at `host`, after its first answer.

    Parameters
    ----------
    host : str, optional
        URL of the Pipelines API; without it ``$KF_PIPELINES_ENDPOINT``, the cluster that this process runs in, or the
        current context of the kubeconfig.
    namespace : str, optional
        The user's namespace on a cluster for several users; by default the one in kfp's context file, or this pod's.
        A cluster for one user has no namespaces for users, and gets none.
    token_file : path, optional
        File that holds a bearer token, read again for each request, as such tokens are renewed. Without it
        ``$FMNIST_KFP_TOKEN``, the file ``$KF_PIPELINES_SA_TOKEN_PATH``, or what the kubeconfig or the pod has.
    cookies : str, optional
        Value of the Cookie header; without it ``$FMNIST_KFP_COOKIES``.
    ca : path, optional
        PEM file of the authorities to trust instead of the public ones. Certificates are always checked.
    proxy : str, optional
        URL of the proxy to ask through; without it the one that ``$HTTPS_PROXY``, ``$HTTP_PROXY`` and ``$NO_PROXY`` say
        for the host, as for downloads.

    Raises
    ------
    ContractError
        If there is no host, or a parameter is not usable.
    ClusterError
        If there is no Pipelines API.
    """
    client = Client(host, token_file, cookies, ca, proxy)
    health = client.ask("connect", client.healthzs.healthz_service_get_healthz)
    if not health.get("multi_user"):
        return Cluster(client, None)
    namespace = namespace or client.own_namespace()
    if not namespace:
        raise ContractError(f"cluster: expected a namespace, as {client.host} has several users, got none. Give one.")
    return Cluster(client, namespace)


class Cluster:
    """A Kubeflow Pipelines API, which `connect` returns."""

    def __init__(self, client: Client, namespace: str | None) -> None:
        self._client = client
        self.host, self.namespace = client.host, namespace

    def __repr__(self) -> str:
        return f"Cluster(host={self.host!r}, namespace={self.namespace!r})"

    def create(self, compiled: Path, *, name: str, description: str = "", version: str | None = None) -> Version:
        """Return the version of the pipeline `name` that has the content of `compiled`; make it if there is none.

        A new pipeline and a new version get the description. The name of the version is a digest of the content, after
        `version` if that is given: other content is another version.
        """
        try:
            digest = sha256(compiled.read_bytes())[:16]
        except OSError as error:
            raise ContractError(f"pipeline: expected a compiled one, got {compiled}: {error.strerror}.") from error
        label = f"{version}-{digest}" if version else digest
        # kfp's upload of a new pipeline would give its first version the pipeline's name.
        pipeline = self._find("pipeline", name, namespace=self.namespace) or self._client.ask(
            "create pipeline",
            self._client.pipelines.pipeline_service_create_pipeline,
            pipeline={"name": name, **self._labels(name, description)},
            wanted="pipeline_id",
        )
        found = self._find("version", label, pipeline["pipeline_id"]) or self._client.ask(
            "upload version",
            self._client.pipeline_uploads.upload_pipeline_version,
            str(compiled),
            name=label,
            description=description,
            pipelineid=pipeline["pipeline_id"],
            wanted="pipeline_version_id",
        )
        return self._as_version(found | {"display_name": label, "pipeline_id": pipeline["pipeline_id"]})

    def latest(self, name: str) -> Version:
        """Return the newest version of the pipeline `name`; if there is none, that is a `ContractError`."""
        pipeline = self._find("pipeline", name, namespace=self.namespace)
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
        """Return the server's document of the compiled pipeline, without the one for Kubernetes."""
        content = self._content(version)
        return dict(content.get("pipeline_spec", content))

    def run(  # noqa: PLR0913 - a run has as many parts
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
        """Start a run of `version` in an experiment; create the experiment if there is none of that name.

        The UI shows the names and descriptions. The pipeline's defaults hold for parameters that are not given. Without
        `caching`, the run carries a copy of the pipeline with the cache off, as the API has no other way, and the UI
        lists it under no version.
        """
        reference = {"pipeline_id": version.pipeline_id, "pipeline_version_id": version.id}
        body = {
            "experiment_id": self._experiment(experiment, experiment_description),
            "display_name": run_name,
            "description": run_description,
            "runtime_config": {"parameters": dict(parameters)},
        }
        # kfp's own way ignores its caching flag here.
        if caching:
            body["pipeline_version_reference"] = reference
        else:
            body["pipeline_spec"] = _uncached(self._content(version))
        call = self._client.runs.run_service_create_run
        run_id = self._client.ask("start run", call, run=body, wanted="run_id")["run_id"]
        return self._as_run(run_id)

    def find_run(self, name: str) -> Run:
        """Return the run of this id or, if there is none, the one of this name.

        Raises
        ------
        ContractError
            If there is none, or several runs have this name; the message lists them.
        """
        if re.fullmatch(r"[0-9A-Fa-f-]{36}", name):
            try:
                look = self._client.runs.run_service_get_run
                return self._as_run(self._client.ask("find run", look, name, wanted="run_id")["run_id"])
            except ClusterError as error:
                if error.status != HTTPStatus.NOT_FOUND:
                    raise
        where = {"filter": _named(name), "namespace": self.namespace, "sort_by": "created_at desc"}
        page = self._client.ask("find run", self._client.runs.run_service_list_runs, **where)
        found = [one for one in page.get("runs") or () if one.get("display_name") == name]
        if len(found) == 1:
            return self._as_run(found[0]["run_id"])
        if not found:
            raise ContractError(f"run: expected the id or the name of one at {self.host}, got {name!r}.")
        more = ["and others"] if page.get("next_page_token") else []
        lines = [f"{one['run_id']}  {one.get('created_at', '')}  {one.get('state', '')}" for one in found]
        raise ContractError(
            "\n  ".join(
                [f"run: expected one of the name {name!r} at {self.host}, got these. Give an id.", *lines, *more]
            )
        )

    def _as_run(self, run_id: str) -> Run:
        return Run(run_id, self._client.link(f"runs/details/{run_id}"), self._client, self.namespace)

    def _experiment(self, name: str, description: str) -> str:
        """Return the id of the experiment `name`; create it if there is none."""
        found = self._find("experiment", name, namespace=self.namespace) or self._client.ask(
            "create experiment",
            self._client.experiments.experiment_service_create_experiment,
            experiment=self._labels(name, description),
            wanted="experiment_id",
        )
        return str(found["experiment_id"])

    def _content(self, version: Version) -> dict[str, Any]:
        """Return the uploaded content of `version`: the pipeline, or the pipeline and a part for Kubernetes."""
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
        page = self._client.ask(f"find {what}", call, *of, filter=_named(name), **where)
        # To the server's database, names that differ in case are equal.
        return next((dict(item) for item in page.get(kind) or () if item.get("display_name") == name), None)

    def _labels(self, name: str, description: str) -> dict[str, str]:
        labels = {"display_name": name, "description": description}
        return labels | ({"namespace": self.namespace} if self.namespace else {})

    def _as_version(self, item: dict[str, Any]) -> Version:
        version_id, pipeline_id = item["pipeline_version_id"], item["pipeline_id"]
        link = self._client.link(f"pipelines/details/{pipeline_id}/version/{version_id}")
        return Version(version_id, pipeline_id, item["display_name"], link)


def _named(name: str) -> str:
    """Return the filter for what is called `name`."""
    named = {"operation": "EQUALS", "key": "display_name", "string_value": name}
    # The server decodes a filter once more than other values: kfp's own way fails with "+" and "%" in a name.
    return quote(json.dumps({"predicates": [named]}))


def _uncached(content: dict[str, Any]) -> dict[str, Any]:
    """Switch the cache off for every task in the content of a version, and return that content."""
    pipeline = content.get("pipeline_spec", content)
    for component in (pipeline["root"], *pipeline.get("components", {}).values()):
        for task in component.get("dag", {}).get("tasks", {}).values():
            task["cachingOptions"] = {"enableCache": False}
    return content
