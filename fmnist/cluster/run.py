"""A run on a Kubeflow Pipelines cluster: waiting for its end, its accuracy, and its files."""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic, sleep
from typing import Any

from fmnist.cluster import download
from fmnist.cluster.artifacts import artifacts_of, full, metric
from fmnist.cluster.cause import cause_of
from fmnist.cluster.client import Client, ClusterError, TransientError
from fmnist.cluster.failures import UnfinishedError
from fmnist.cluster.progress import StepProgress
from fmnist.cluster.steps import steps_of

__all__ = ["Run"]

#: Seconds between two looks at a run, and the shortest and longest back-off while the server is away.
POLL, BACKOFF, LONGEST_BACKOFF = 5.0, 1.0, 30.0
#: The back-off of the third failure in a row, of which somebody who waits is told.
_LONG = 4 * BACKOFF

#: The states that a run ends in.
_ENDS = {"SUCCEEDED", "SKIPPED", "FAILED", "CANCELED"}


@dataclass(frozen=True)
class Run:
    """A run on the cluster, which `Cluster.run` starts and `Cluster.find_run` finds, and its page in the UI."""

    id: str
    link: str
    _client: Client = field(repr=False, compare=False)
    _namespace: str | None = field(default=None, repr=False, compare=False)

    def wait(self, *, timeout: float, on_change: Callable[[str], object] = lambda _: None) -> str:
        """Wait until the run has ended well, at most `timeout` seconds, and return ``SUCCEEDED`` or ``SKIPPED``.

        This calls `on_change` with each new state of the run, and with a line for each change of a step. While the
        server is away, as for a restart, it asks again, and says so once.

        Raises
        ------
        UnfinishedError
            If the run has not ended after `timeout`.
        ClusterError
            If the run fails, with the error of the step that failed, or is canceled.
        """
        deadline = monotonic() + timeout
        state, backoff, progress = "unknown", BACKOFF, StepProgress(self._namespace)
        while True:
            try:
                answer = self._look(max(1.0, deadline - monotonic()))
            except TransientError as error:
                trouble, pause = f"; the last attempt got {error.got}", error.pause or backoff
                if backoff == _LONG:
                    on_change(f"no answer for a while: {error.got}; asking again")
                backoff = min(2 * backoff, LONGEST_BACKOFF)
            else:
                trouble, pause, backoff = "", POLL, BACKOFF
                before, state = state, str(answer.get("state") or state)
                answer = full(self._client, answer, deadline - monotonic())
                lines = [self._client.without_secrets(line) for line in progress.changes(steps_of(answer))]
                # The steps begin after the run has, and end before it does.
                news = [state] if state != before else []
                for line in [*lines, *news] if state in _ENDS else [*news, *lines]:
                    on_change(line)
                if state in {"SUCCEEDED", "SKIPPED"}:
                    return state
                if state in {"FAILED", "CANCELED"}:
                    raise self._ended(answer)
            left = deadline - monotonic()
            if left <= 0:
                raise UnfinishedError(
                    f"wait for run {self.id} at {self._client.host}: expected its end within {timeout:g} s, "
                    f"got the state {state}{trouble}. The run may still be running: see {self.link}, or wait longer."
                )
            sleep(min(pause, left))

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of the run."""
        return dict((self._look().get("runtime_config") or {}).get("parameters") or {})

    def accuracy(self) -> tuple[float | None, str]:
        """Return the run's one metric of the name accuracy or, if the server does not tell it, None and why."""
        try:
            value, trouble = metric(
                artifacts_of(self._client, full(self._client, self._look()), self._namespace), "accuracy"
            )
        except ClusterError as error:
            # The run has succeeded, whether the server answers this or not.
            value, trouble = None, str(error)
        return value, self._client.without_secrets(trouble)

    def files(self) -> dict[str, bytes]:
        """Return the content of each file that the run has left, by its name in a folder of results.

        Raises
        ------
        ClusterError
            If one cannot be had; the message says how to get it.
        """
        run = full(self._client, self._look())
        found = artifacts_of(self._client, run, self._namespace)
        return download.files_of(self._client, self.id, found, self._namespace)

    def _look(self, patience: float = 60.0) -> dict[str, Any]:
        look = self._client.runs.run_service_get_run
        return self._client.once(f"look at run {self.id}", look, self.id, wanted="run_id", patience=patience)

    def _ended(self, answer: dict[str, Any]) -> ClusterError:
        """Return the error for a run that failed or was canceled."""
        got = (
            "CANCELED."
            if answer["state"] == "CANCELED"
            else f"FAILED: {cause_of(self._client, answer, self._namespace)}"
        )
        end = "\n" if "\n" in got else " "
        head = f"run {self.id} at {self._client.host}: expected SUCCEEDED, got {got}"
        return ClusterError(f"{head}{end}Its page has the logs: {self.link}")
