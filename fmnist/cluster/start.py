"""Starting a run once: what may have started is looked for, and never started a second time unseen."""

from collections.abc import Container, Iterable, Mapping
from contextlib import suppress
from http import HTTPStatus
from time import sleep
from typing import Any

from fmnist.cluster.client import TRIES, Client
from fmnist.cluster.failures import ClusterError, TransientError
from fmnist.cluster.lookup import named
from fmnist.steps.errors import ContractError

__all__ = ["start_run"]

#: Seconds between looks for a run whose start was not answered: the server may still be at it.
PAUSES = (0.0, 1.0, 2.0, 4.0)

#: Seconds to wait for each of these looks, and how many runs it shows.
PATIENCE, SHOWN = 10.0, 10


def start_run(client: Client, run: Mapping[str, Any]) -> str:
    """Start `run`, and return its id.

    A server that refuses it for being busy (429), and says for how long, is asked again if the run is not there.

    Raises
    ------
    ClusterError
        If the server refuses it, or its answer is lost; then with what has appeared under this name since.
    KeyboardInterrupt
        If somebody interrupts it, with where to look for what may have started.
    """
    there = _appeared(client, run, (), (0.0,))
    before = None if there is None else {one["run_id"] for one in there}
    try:
        return _started(client, run, before)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"the run {run['display_name']!r} may have started even so: {_look(client, run)}"
        ) from None


def _started(client: Client, run: Mapping[str, Any], before: Container[str] | None) -> str:
    call = client.runs.run_service_create_run
    for left in reversed(range(TRIES)):
        try:
            return str(client.once("start run", call, run=dict(run), wanted="run_id")["run_id"])
        except ClusterError as error:
            failure = error
        pause = failure.pause if failure.status == HTTPStatus.TOO_MANY_REQUESTS and left else None
        if pause is not None:
            sleep(pause)
            # None is no list, and not an empty one.
            if _appeared(client, run, before, (0.0,)) == []:
                continue
        if not failure.unsure and pause is None:
            break
        # Outside of the `except`, as in `Client.once`.
        raise _lost(client, run, failure, _appeared(client, run, before, PAUSES))
    raise failure


def _appeared(
    client: Client, run: Mapping[str, Any], before: Container[str] | None, pauses: Iterable[float]
) -> list[Any] | None:
    """Return the runs of this name that were not there `before`, or None if the server does not list any.

    Clocks do not tell: that of a gateway, which dates the answers, may be wrong.
    """
    found: list[Any] | None = None
    if before is None:
        return None
    call, name = client.runs.run_service_list_runs, run["display_name"]
    where: dict[str, Any] = {"experiment_id": run["experiment_id"], "filter": named(name)}
    for pause in pauses:
        if pause:
            sleep(pause)
        with suppress(ClusterError, ContractError):
            page = client.once("find run", call, patience=PATIENCE, sort_by="created_at desc", page_size=SHOWN, **where)
            found = [one for one in page.get("runs") or () if one.get("display_name") == name]
            found = [one for one in found if one["run_id"] not in before]
        if found:
            break
    return found


def _lost(client: Client, run: Mapping[str, Any], failure: ClusterError, found: list[Any] | None) -> ClusterError:
    """Return the error that says what may have started."""
    ids = [str(one["run_id"]) for one in found or ()]
    there = "; ".join(f"{id_}, {client.link(f'runs/details/{id_}')}" for id_ in ids)
    look = _look(client, run)
    if there:
        told = (
            f"But a run of this name has appeared since: {there}. Look there, or wait for it, before you start another."
        )
    elif found is None:
        told = f"The run may have started even so, and the server does not list its runs now: {look}"
    else:
        told = f"No run of this name has appeared so far, but it may have started even so: {look}"
    # A failure of the server says "try again".
    said = f"start run at {client.host}: expected success, got {failure.got}."
    return ClusterError(f"{said if failure.status or isinstance(failure, TransientError) else failure} {told}")


def _look(client: Client, run: Mapping[str, Any]) -> str:
    return f"look at {client.link('experiments/details/' + run['experiment_id'])} before you start it again."
