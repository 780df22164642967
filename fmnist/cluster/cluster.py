"""A Kubeflow Pipelines cluster: the way in, its experiments, and new runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fmnist.cluster.arguments import parse_arguments
from fmnist.cluster.client import Client
from fmnist.cluster.lookup import find, find_run, found_or_made
from fmnist.cluster.names import check_texts, labels
from fmnist.cluster.run import Run
from fmnist.cluster.start import start_run
from fmnist.cluster.versions import Version, Versions, uncached
from fmnist.steps.errors import ContractError

__all__ = ["Cluster", "connect"]


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
    """A Kubeflow Pipelines API, which `connect` returns.

    Attributes
    ----------
    host : str
        Its URL.
    namespace : str or None
        The user's, on a cluster for several users.
    versions : Versions
        The versions of the pipelines there.
    """

    def __init__(self, client: Client, namespace: str | None) -> None:
        self._client = client
        self.host, self.namespace = client.host, namespace
        self.versions = Versions(client, namespace)

    def __repr__(self) -> str:
        return f"Cluster(host={self.host!r}, namespace={self.namespace!r})"

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
        parameters = parse_arguments(self.versions.spec(version), parameters)
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
            body["pipeline_spec"] = uncached(self.versions.content(version))
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
                experiment=labels(name, description, self.namespace),
                wanted="experiment_id",
            ),
        )
        return str(found["experiment_id"])
