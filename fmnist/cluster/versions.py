"""The versions of pipelines on a Kubeflow Pipelines cluster: uploaded once, the newest found, and what each holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import sleep
from typing import Any

from fmnist.cluster.client import Client, ClusterError
from fmnist.cluster.lookup import find, found_or_made
from fmnist.cluster.names import DIGITS, check_texts, labels
from fmnist.cluster.pipeline_file import read_compiled
from fmnist.steps.errors import ContractError
from fmnist.steps.files import sha256
from fmnist.steps.messages import kind_of

__all__ = ["Version", "Versions", "uncached"]

#: What is read of a compiled pipeline, of which each part is a mapping; an asterisk stands for any name.
_TASKS: dict[str, Any] = {"dag": {"tasks": {"*": {}}}}
_SHAPE = {"root": {"inputDefinitions": {"parameters": {"*": {}}}, **_TASKS}, "components": {"*": _TASKS}}


@dataclass(frozen=True)
class Version:
    """A version of a pipeline on the cluster, and its page in the UI."""

    id: str
    pipeline_id: str
    name: str
    link: str


class Versions:
    """The versions of the pipelines of a cluster, which `connect` returns."""

    def __init__(self, client: Client, namespace: str | None) -> None:
        self._client, self._namespace = client, namespace
        self._specs: dict[str, dict[str, Any]] = {}

    def create(self, compiled: Path, *, name: str, description: str = "", version: str | None = None) -> Version:
        """Return the version of the pipeline `name` that has the content of `compiled`; make it if there is none.

        A new pipeline and a new version get the description. The name of the version is a digest of the content, after
        `version` if that is given: other content is another version.
        """
        content, document = read_compiled(compiled)
        digest = sha256(content)[:DIGITS]
        label = f"{version}-{digest}" if version else digest
        check_texts(pipeline=name, version=label, pipeline_description=description)
        # kfp's upload of a new pipeline would give its first version the pipeline's name.
        pipeline = found_or_made(
            lambda: find(self._client, "pipeline", name, namespace=self._namespace),
            lambda: self._client.ask(
                "create pipeline",
                self._client.pipelines.pipeline_service_create_pipeline,
                pipeline={"name": name, **labels(name, description, self._namespace)},
                wanted="pipeline_id",
            ),
        )
        pipeline_id = pipeline["pipeline_id"]
        found = found_or_made(
            lambda: find(self._client, "version", label, pipeline_id),
            lambda: self._upload(compiled, name=label, description=description, pipelineid=pipeline_id),
        )
        made = self._as_version(found, pipeline_id)
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
        """Return the newest version of the pipeline `name`, the user's own or one that all users share.

        Raises
        ------
        ContractError
            If there is none, or if nothing tells which one is: other clients may make several within one second, in
            which the server keeps no order.
        """
        check_texts(pipeline=name)
        pipeline = find(self._client, "pipeline", name, namespace=self._namespace)
        if not pipeline and self._namespace:
            # Those that users share are in no namespace.
            pipeline = find(self._client, "pipeline", name)
        newest = self._newest(pipeline["pipeline_id"]) if pipeline else []
        if not pipeline or not newest:
            raise ContractError(
                f"pipeline: expected one called {name!r} at {self._client.host}, got none. Create it first."
            )
        if len({one.get("created_at") for one in newest}) < len(newest):
            both = " and ".join(repr(one.get("name") or one["display_name"]) for one in newest)
            raise ContractError(
                f"pipeline {name!r} at {self._client.host}: expected a newest version, got {both}, made in one second, "
                f"{newest[0].get('created_at')}. Run the file itself, without --run-only, or upload one again."
            )
        version = self._as_version(newest[0], pipeline["pipeline_id"])
        if content := newest[0].get("pipeline_spec"):
            self._specs[version.id] = self._document(content)
        return version

    def _newest(self, pipeline_id: str) -> list[dict[str, Any]]:
        """Return the two newest versions, in the server's order."""
        call = self._client.pipelines.pipeline_service_list_pipeline_versions
        page = self._client.ask("find version", call, pipeline_id, sort_by="created_at desc", page_size=2)
        # Another server than the API's own may give the id alone.
        return [{"display_name": one["pipeline_version_id"], **one} for one in page.get("pipeline_versions") or ()]

    def spec(self, version: Version) -> dict[str, Any]:
        """Return the document of the compiled pipeline, without the one for Kubernetes."""
        if version.id not in self._specs:
            self._specs[version.id] = self._document(self.content(version))
        return self._specs[version.id]

    def _document(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """Return the document of a compiled pipeline in the content of a version, where what is read is a mapping."""
        try:
            return _shaped(content.get("pipeline_spec", content), _SHAPE, "pipeline_spec")
        except TypeError as error:
            raise ClusterError(
                f"read version at {self._client.host}: expected a compiled pipeline, got one whose {error}. Run the "
                "file itself, without --run-only."
            ) from None

    def content(self, version: Version) -> dict[str, Any]:
        """Return the uploaded content of `version`: the pipeline, or the pipeline and a part for Kubernetes."""
        call = self._client.pipelines.pipeline_service_get_pipeline_version
        answer = self._client.ask("read version", call, version.pipeline_id, version.id, wanted="pipeline_spec")
        return dict(answer["pipeline_spec"])

    def _as_version(self, item: dict[str, Any], pipeline_id: str) -> Version:
        version_id = item["pipeline_version_id"]
        link = self._client.link(f"pipelines/details/{pipeline_id}/version/{version_id}")
        return Version(version_id, pipeline_id, item.get("name") or item["display_name"], link)


def _shaped(value: Any, shape: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a mapping of a `shape` without its nulls; another server than the API's own may have anything there."""
    if not isinstance(value, dict):
        raise TypeError(f"{name} is no mapping, but {kind_of(value)}")
    inner = {key: shape.get(key, shape.get("*")) for key in value}
    return {
        key: one if inner[key] is None else _shaped(one, inner[key], f"{name}.{key}")
        for key, one in value.items()
        if one is not None
    }


def uncached(content: dict[str, Any]) -> dict[str, Any]:
    """Switch the cache off for every task in the content of a version, and return that content.

    Raises
    ------
    ContractError
        If it was not compiled for Kubeflow Pipelines 2.
    """
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
