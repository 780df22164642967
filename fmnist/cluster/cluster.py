"""Pipelines, versions, experiments and new runs on a Kubeflow Pipelines cluster."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import sleep
from typing import Any

from fmnist.cluster.arguments import parse_arguments
from fmnist.cluster.client import Client
from fmnist.cluster.lookup import find, find_run, found_or_made
from fmnist.cluster.names import check_texts
from fmnist.cluster.pipeline_file import read_compiled
from fmnist.cluster.run import Run
from fmnist.cluster.start import start_run
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
        self._specs: dict[str, dict[str, Any]] = {}

    def __repr__(self) -> str:
        return f"Cluster(host={self.host!r}, namespace={self.namespace!r})"

    def create(self, compiled: Path, *, name: str, description: str = "", version: str | None = None) -> Version:
        """Return the version of the pipeline `name` that has the content of `compiled`; make it if there is none.

        A new pipeline and a new version get the description. The name of the version is a digest of the content, after
        `version` if that is given: other content is another version.
        """
        content, document = read_compiled(compiled)
        digest = sha256(content)[:16]
        label = f"{version}-{digest}" if version else digest
        check_texts(pipeline=name, version=label, pipeline_description=description)
        # kfp's upload of a new pipeline would give its first version the pipeline's name.
        pipeline = found_or_made(
            lambda: find(self._client, "pipeline", name, namespace=self.namespace),
            lambda: self._client.ask(
                "create pipeline",
                self._client.pipelines.pipeline_service_create_pipeline,
                pipeline={"name": name, **self._labels(name, description)},
                wanted="pipeline_id",
            ),
        )
        pipeline_id = pipeline["pipeline_id"]
        found = found_or_made(
            lambda: find(self._client, "version", label, pipeline_id),
            lambda: self._upload(compiled, name=label, description=description, pipelineid=pipeline_id),
        )
        made = self._as_version(found)
        self._specs[made.id] = document
        return made

    def _upload(self, compiled: Path, **query: str) -> dict[str, Any]:
        """Make a version, in a later second than the newest: the server orders by whole seconds."""
        newest = self._newest(query["pipelineid"])
        if newest and newest[0].get("created_at", "") >= self._client.now:
            sleep(1)
        call = self._client.pipeline_uploads.upload_pipeline_version
        return self._client.ask("upload version", call, str(compiled), **query, wanted="pipeline_version_id")

    def latest(self, name: str) -> Version:
        """Return the newest version of the pipeline `name`.

        Raises
        ------
        ContractError
            If there is none, or if nothing tells which one is: other clients may make several within one second, in
            which the server keeps no order.
        """
        check_texts(pipeline=name)
        pipeline = find(self._client, "pipeline", name, namespace=self.namespace)
        newest = self._newest(pipeline["pipeline_id"]) if pipeline else []
        if not newest:
            raise ContractError(f"pipeline: expected one called {name!r} at {self.host}, got none. Create it first.")
        if len({one.get("created_at") for one in newest}) < len(newest):
            both = " and ".join(repr(one.get("name") or one["display_name"]) for one in newest)
            raise ContractError(
                f"pipeline {name!r} at {self.host}: expected a newest version, got {both}, made in one second, "
                f"{newest[0].get('created_at')}. Run the file itself, without --run-only, or upload one again."
            )
        version = self._as_version(newest[0])
        if content := newest[0].get("pipeline_spec"):
            self._specs[version.id] = content.get("pipeline_spec", content)
        return version

    def _newest(self, pipeline_id: str) -> list[dict[str, Any]]:
        """Return the two newest versions, in the server's order."""
        call = self._client.pipelines.pipeline_service_list_pipeline_versions
        page = self._client.ask("find version", call, pipeline_id, sort_by="created_at desc", page_size=2)
        return list(page.get("pipeline_versions") or ())

    def spec(self, version: Version) -> dict[str, Any]:
        """Return the document of the compiled pipeline, without the one for Kubernetes."""
        if version.id not in self._specs:
            content = self._content(version)
            self._specs[version.id] = content.get("pipeline_spec", content)
        return self._specs[version.id]

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
        lists it under no version. Where the answer to the start is lost, the error names what has appeared since:
        nothing is started twice.
        """
        check_texts(
            experiment=experiment,
            run=run_name,
            experiment_description=experiment_description,
            run_description=run_description,
        )
        parameters = parse_arguments(self.spec(version), parameters)
        reference = {"pipeline_id": version.pipeline_id, "pipeline_version_id": version.id}
        body = {
            "experiment_id": self._experiment(experiment, experiment_description),
            "display_name": run_name,
            "description": run_description,
            "runtime_config": {"parameters": parameters},
        }
        # kfp's own way ignores its caching flag here.
        if caching:
            body["pipeline_version_reference"] = reference
        else:
            body["pipeline_spec"] = _uncached(self._content(version))
        run_id = start_run(self._client, body)
        return self._as_run(run_id)

    def find_run(self, name: str) -> Run:
        """Return the run of this id or, if there is none, the one of this name.

        Raises
        ------
        ContractError
            If there is none, or several runs have this name; the message lists them.
        """
        return self._as_run(find_run(self._client, name, self.namespace))

    def _as_run(self, run_id: str) -> Run:
        return Run(run_id, self._client.link(f"runs/details/{run_id}"), self._client, self.namespace)

    def _experiment(self, name: str, description: str) -> str:
        """Return the id of the experiment `name`; create it if there is none."""
        found = found_or_made(
            lambda: find(self._client, "experiment", name, namespace=self.namespace),
            lambda: self._client.ask(
                "create experiment",
                self._client.experiments.experiment_service_create_experiment,
                experiment=self._labels(name, description),
                wanted="experiment_id",
            ),
        )
        return str(found["experiment_id"])

    def _content(self, version: Version) -> dict[str, Any]:
        """Return the uploaded content of `version`: the pipeline, or the pipeline and a part for Kubernetes."""
        call = self._client.pipelines.pipeline_service_get_pipeline_version
        answer = self._client.ask("read version", call, version.pipeline_id, version.id, wanted="pipeline_spec")
        return dict(answer["pipeline_spec"])

    def _labels(self, name: str, description: str) -> dict[str, str]:
        labels = {"display_name": name, "description": description}
        return labels | ({"namespace": self.namespace} if self.namespace else {})

    def _as_version(self, item: dict[str, Any]) -> Version:
        version_id, pipeline_id = item["pipeline_version_id"], item["pipeline_id"]
        link = self._client.link(f"pipelines/details/{pipeline_id}/version/{version_id}")
        return Version(version_id, pipeline_id, item.get("name") or item["display_name"], link)


def _uncached(content: dict[str, Any]) -> dict[str, Any]:
    """Switch the cache off for every task in the content of a version, and return that content."""
    pipeline = content.get("pipeline_spec", content)
    if "root" not in pipeline:
        raise ContractError(
            "cache: expected a version that was compiled for Kubeflow Pipelines 2, to turn it off there, got another "
            "one, perhaps for version 1. Leave the cache on, or compile the pipeline anew."
        )
    for component in (pipeline["root"], *pipeline.get("components", {}).values()):
        for task in component.get("dag", {}).get("tasks", {}).values():
            task["cachingOptions"] = {"enableCache": False}
    return content
