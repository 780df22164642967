"""What happens to a run's steps between two looks at it, each as a line of text."""

from collections.abc import Iterable, Iterator
from time import monotonic

from fmnist.cluster.names import NAMESPACE
from fmnist.cluster.steps import Step

__all__ = ["StepProgress", "duration"]

#: Seconds after which a waiting step is reported, and again each time that its wait has doubled.
PATIENCE = 300.0

_ENDS = {
    "SUCCEEDED": "done",
    "FAILED": "failed",
    "CACHED": "from the cache",
    "SKIPPED": "skipped",
    "CANCELED": "canceled",
}


class StepProgress:
    """Compares each look at a run, whose pods are in `namespace`, with the one before."""

    def __init__(self, namespace: str | None = None) -> None:
        self._namespace = namespace or NAMESPACE
        self._states: dict[str, tuple[str, int]] = {}
        self._waiting: dict[str, float] = {}
        self._told: dict[str, float] = {}

    def changes(self, steps: Iterable[Step]) -> Iterator[str]:
        """Give a line for each step that waits for its pod, starts, starts again, ends, or has waited long."""
        for step in steps:
            # Its name may become its path, when another step of that name is there.
            before, attempt = self._states.get(_key(step), ("", 1))
            # What has ended does not begin again, whatever an incomplete list says.
            if not step.state or before in _ENDS:
                continue
            self._states[_key(step)] = step.state, max(step.attempt, attempt)
            if step.attempt > attempt:
                yield f"{step.name}: attempt {step.attempt}"
            if step.state != before or step.attempt > attempt:
                yield from self._change(step, before)
            if step.state == "WAITING":
                yield from self._patience(step)

    def _change(self, step: Step, before: str) -> Iterator[str]:
        waited = monotonic() - self._waiting.pop(_key(step), monotonic())
        self._told.pop(_key(step), None)
        if step.state == "WAITING":
            self._waiting[_key(step)] = monotonic()
            yield f"{step.name}: waits for its pod"
        elif step.state == "RUNNING":
            yield f"{step.name}: started" + (f", after {duration(waited)}" if before == "WAITING" else "")
        elif step.state in _ENDS:
            how = {"SUCCEEDED": "in", "FAILED": "after"}.get(step.state)
            took = f" {how} {duration(step.seconds)}" if how and step.seconds is not None else ""
            yield f"{step.name}: {_ENDS[step.state]}{took}"

    def _patience(self, step: Step) -> Iterator[str]:
        waited = monotonic() - self._waiting[_key(step)]
        if waited >= self._told.get(_key(step), PATIENCE):
            self._told[_key(step)] = 2 * waited
            yield (
                f"{step.name} has waited {duration(waited)} for its pod: the image may not be there, or not allowed, "
                f"or no node has room for it; `kubectl -n {self._namespace} get events` says which"
            )


def _key(step: Step) -> str:
    return step.path or step.name


def duration(seconds: float) -> str:
    """Return a time as people say it.

    Examples
    --------
    >>> duration(9.6), duration(74), duration(300), duration(4000)
    ('10 s', '1 min 14 s', '5 min', '1 h 6 min')
    """
    whole = round(seconds)
    parts = [(whole // 3600, "h"), (whole // 60 % 60, "min"), (whole % 60, "s")]
    shown = [f"{count} {unit}" for count, unit in parts if count]
    return " ".join(shown[:2]) or "0 s"
