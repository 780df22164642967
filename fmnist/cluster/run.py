"""A run on a Kubeflow Pipelines cluster: waiting for its end, and its accuracy."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import monotonic, sleep
from typing import Any

from fmnist.cluster.client import Client, ClusterError, TransientError, in_one_line
from fmnist.steps.messages import excerpt

__all__ = ["Run"]

#: Seconds between two looks at a run, and the shortest and longest back-off while the server is away.
POLL, BACKOFF, LONGEST_BACKOFF = 5.0, 1.0, 30.0


@dataclass(frozen=True)
class Run:
    """A run on the cluster, which `Cluster.run` starts, and its page in the UI."""

    id: str
    link: str
    _client: Client = field(repr=False, compare=False)

    def wait(self, *, timeout: float, on_state: Callable[[str], None] = lambda _: None) -> str:
        """Wait until the run has ended well, at most `timeout` seconds, and return ``SUCCEEDED`` or ``SKIPPED``.

        This calls `on_state` with each new state. While the server is away, as for a restart, it asks again.

        Raises
        ------
        ClusterError
            If the run fails, with the tasks that failed, is canceled, or has not ended after `timeout`.
        """
        deadline = monotonic() + timeout
        look = self._client.runs.run_service_get_run
        state, trouble, backoff = "unknown", "", BACKOFF
        while True:
            try:
                patience = max(1.0, deadline - monotonic())
                answer = self._client.once(f"look at run {self.id}", look, self.id, wanted="run_id", patience=patience)
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
                    raise self._ended(answer)
            left = deadline - monotonic()
            if left <= 0:
                raise ClusterError(
                    f"wait for run {self.id} at {self._client.host}: expected its end within {timeout:g} s, "
                    f"got the state {state}{trouble}. The run may still be running: see {self.link}, or wait longer."
                )
            sleep(min(pause, left))

    def accuracy(self) -> float | None:
        """Return the run's one metric of the name accuracy, or None if the server has none.

        Up to 2.17 the Pipelines API has no metrics: its UI takes them from the metadata store. Servers since then have
        the API of artifacts: https://github.com/kubeflow/pipelines/pull/13986.
        """
        try:
            found = [self._client.read(f"artifacts/{id_}") for id_ in dict.fromkeys(self._artifacts())]
        except ClusterError:
            # The run has succeeded, whether the server answers this or not.
            return None
        values = [
            one.get("number_value") for one in found if (one.get("name"), one.get("type")) == ("accuracy", "Metric")
        ]
        return float(values[0]) if len(values) == 1 and isinstance(values[0], int | float) else None

    def _artifacts(self) -> Iterator[str]:
        """Give the id of each artifact that a task of the run has made."""
        page: dict[str, Any] = {}
        while True:
            where = {"run_ids": self.id, "type": "OUTPUT", "page_token": page.get("next_page_token", "")}
            page = self._client.read("artifact_tasks", **where)
            yield from (task["artifact_id"] for task in page.get("artifact_tasks") or ())
            if not page.get("next_page_token"):
                return

    def _ended(self, answer: dict[str, Any]) -> ClusterError:
        """Return the error for a run that failed or was canceled."""
        causes = self._client.without_secrets("; ".join(_failures(answer))) or "the API gives no cause"
        got = f"FAILED: {excerpt(in_one_line(causes), 2_000)}" if answer["state"] == "FAILED" else "CANCELED"
        return ClusterError(
            f"run {self.id} at {self._client.host}: expected SUCCEEDED, got {got}. Its page has the logs: {self.link}"
        )


def _failures(answer: dict[str, Any]) -> Iterator[str]:
    """Give the tasks that failed, with messages where the API has them, and then the run's own message."""
    tasks = (answer.get("run_details") or {}).get("task_details") or []
    failed = {task.get("display_name", "unnamed"): _message(task) for task in tasks if task.get("state") == "FAILED"}
    # When a task fails, the tasks around it fail too, without a message.
    explained = {name: message for name, message in failed.items() if message}
    inner = {name: "" for name in failed if name not in {"root", "executor", answer.get("display_name")}}
    yield from (f"task {name}" + (f": {message}" if message else "") for name, message in (explained or inner).items())
    if message := (answer.get("error") or {}).get("message"):
        yield message


def _message(task: dict[str, Any]) -> str:
    """Return the last error of a task."""
    errors = [status.get("error") for status in (*(task.get("state_history") or ()), task)]
    return next((error["message"] for error in reversed(errors) if error and error.get("message")), "")
