"""Pipelines, versions, experiments and runs on a cluster, found by name."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from fmnist.cluster.client import Client
from fmnist.cluster.failures import ClusterError
from fmnist.steps.errors import ContractError

__all__ = ["check_token", "find", "find_run", "found_or_made", "named"]


def named(name: str, key: str = "display_name") -> str:
    """Return the filter for what is called `name`."""
    wanted = {"operation": "EQUALS", "key": key, "string_value": name}
    # The server decodes a filter once more than other values: kfp's own way fails with "+" and "%" in a name.
    return quote(json.dumps({"predicates": [wanted]}))


def find(client: Client, what: str, name: str, *of: str, **where: Any) -> dict[str, Any] | None:
    """Return the pipeline, version or experiment that is called `name`, or None.

    A pipeline that has another name, but that the UI shows under this one, counts if there is no other.
    """
    id_ = "pipeline_version_id" if what == "version" else f"{what}_id"
    for key in ("display_name",) if what == "experiment" else ("name", "display_name"):
        # To the server's database, names that differ in case are equal; servers before 2.5 have only what they show.
        pages = _pages(client, what, *of, filter=named(name, key), **where)
        found = _once([item for item in pages if item.get(key) == name], id_)
        if len(found) > 1:
            ids = ", ".join(item[id_] for item in found)
            raise ContractError(f"{what}: expected one called {name!r} at {client.host}, got several: {ids}.")
        if found:
            return found[0]
    return None


def _once(items: Iterable[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    """Return each of `items` once: what is made while they are listed moves others to the next page."""
    return list({item.get(key): item for item in items}.values())


def _pages(client: Client, what: str, *of: str, **where: Any) -> Iterator[dict[str, Any]]:
    """Give what the server lists, on all its pages."""
    kind, call = {
        "pipeline": ("pipelines", client.pipelines.pipeline_service_list_pipelines),
        "version": ("pipeline_versions", client.pipelines.pipeline_service_list_pipeline_versions),
        "experiment": ("experiments", client.experiments.experiment_service_list_experiments),
    }[what]
    token: str | None = ""
    seen = set[str]()
    while True:
        page = client.ask(f"find {what}", call, *of, page_token=token, **where)
        yield from map(dict, page.get(kind) or ())
        if not (token := page.get("next_page_token")):
            return
        check_token(client, f"find {what}", token, seen)


def check_token(client: Client, action: str, token: str, seen: set[str]) -> None:
    """Add the token of the next page to those that were `seen`; one that comes again would lead in a circle."""
    if token in seen:
        raise ClusterError(
            f"{action} at {client.host}: expected another page of the list, got one again. "
            "The server, or a proxy before it, repeats its answer: its log may say why."
        )
    seen.add(token)


def found_or_made(find: Callable[[], dict[str, Any] | None], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what `find` finds or `make` makes; another client, or a request whose answer was lost, may be quicker."""
    if found := find():
        return found
    try:
        return make()
    except ClusterError as error:
        if error.status != HTTPStatus.CONFLICT:
            raise
        conflict = error
    if found := find():
        return found
    raise conflict


def find_run(client: Client, name: str, namespace: str | None) -> str:
    """Return the id of the run that has this id or, if there is none, this name."""
    if re.fullmatch(r"[0-9A-Fa-f-]{36}", name):
        try:
            look = client.runs.run_service_get_run
            return str(client.ask("find run", look, name, wanted="run_id")["run_id"])
        except ClusterError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
    where = {"filter": named(name), "namespace": namespace, "sort_by": "created_at desc"}
    found: list[dict[str, Any]] = []
    token: str | None = ""
    seen = set[str]()
    # Other runs whose names differ in case may fill the first pages.
    while token is not None and len(found) < 2:  # noqa: PLR2004 - from two on nobody knows which is meant
        page = client.ask("find run", client.runs.run_service_list_runs, page_token=token, **where)
        found += [one for one in page.get("runs") or () if one.get("display_name") == name]
        found = _once(found, "run_id")
        if token := page.get("next_page_token") or None:
            check_token(client, "find run", token, seen)
    if len(found) == 1:
        return str(found[0]["run_id"])
    if not found:
        raise ContractError(f"run: expected the id or the name of one at {client.host}, got {name!r}.")
    more = ["and others"] if page.get("next_page_token") else []
    lines = ["  ".join(str(one.get(key, "")) for key in ("run_id", "created_at", "state")) for one in found]
    message = f"run: expected one of the name {name!r} at {client.host}, got these. Give an id."
    raise ContractError("\n  ".join([message, *lines, *more]))
