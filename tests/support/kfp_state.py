"""What the API server of Kubeflow Pipelines holds, and how it finds and keeps it."""

import datetime as dt
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from support import kfp_logs
from support.kfp_protocol import Json, RefusedError, known

NEVER = "1970-01-01T00:00:00Z"


@dataclass
class State:
    """What the server holds."""

    multi_user: bool = False
    page_limit: int = 200
    #: The states that a run goes through, one each time it is looked at; the last one stays.
    states: list[str] = field(default_factory=lambda: ["PENDING", "RUNNING", "SUCCEEDED"])
    #: What a run has beside what was sent; without it, the nodes of Argo.
    details: Json = field(default_factory=dict)
    #: The step that fails in a run that fails, by default the first, and whether Argo retries nodes, as since 2.17.
    failing: str | None = None
    retried: bool = True
    pipelines: list[Json] = field(default_factory=list)
    versions: list[Json] = field(default_factory=list)
    experiments: list[Json] = field(default_factory=list)
    runs: list[Json] = field(default_factory=list)
    #: Runs that have started, and of which the API knows nothing.
    untraced: list[Json] = field(default_factory=list)
    #: The log of each node, by its id.
    logs: dict[str, str] = field(default_factory=dict)
    #: What each run leaves; None on a server without the API of artifacts, as up to 2.17.
    artifacts: list[Json] | None = None
    #: What the full view of a run has on such a server, in the place of details.
    tasks: list[Json] = field(default_factory=list)
    #: What the cluster keeps of runs: their nodes at each look, logs, and files.
    store: kfp_logs.Store = field(default_factory=kfp_logs.Store)
    clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)

    def now(self) -> str:
        """Return the time as the API writes it, in whole seconds."""
        return f"{self.clock():%Y-%m-%dT%H:%M:%SZ}"

    def own(self, items: list[Json], namespace: str) -> list[Json]:
        """Return the items of a namespace; with several users, there must be one."""
        if not self.multi_user:
            return items
        if not namespace:
            raise RefusedError(400, "Invalid input error: Namespace cannot be empty in multi-user mode.")
        return [item for item in items if item.get("namespace", "") == namespace]

    def shared(self) -> list[Json]:
        """Return the pipelines of no namespace, which all users may run."""
        return [item for item in self.pipelines if not item.get("namespace")]

    def namespace(self, namespace: str) -> str:
        """Return the namespace of something new; a server for one user has none."""
        if namespace and not self.multi_user:
            raise RefusedError(400, "Invalid input error: Namespace must be empty in single-user mode.")
        self.own([], namespace)
        return namespace


def one(items: list[Json], message: str, status: int = 404, **keys: str) -> Json:
    """Return the item with these values."""
    for item in items:
        if keys.items() <= item.items():
            return item
    raise RefusedError(status, message)


def add(state: State, items: list[Json], model: Any, id_key: str, data: Json) -> Json:
    """Add an item with a new id; the API leaves out what is empty."""
    item = {id_key: str(uuid.uuid4()), **{key: value for key, value in data.items() if value}}
    items.append(known(model, item | {"created_at": state.now()}))
    return items[-1]


def same(items: list[Json], **keys: str) -> bool:
    """Return whether there is an item with these values, which the database compares without regard to case."""
    return any(all(item[key].casefold() == value.casefold() for key, value in keys.items()) for item in items)
