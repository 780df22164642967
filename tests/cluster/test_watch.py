"""What is told of a run's steps while they go on."""

from collections.abc import Iterator

import pytest
from support.kfp_logs import look

from fmnist.cluster import watch
from fmnist.cluster.steps import Step, steps_of
from fmnist.cluster.watch import Watch

#: What a run of the pipeline looks like, one look after the other.
LOOKS = [
    look("RUNNING"),
    look("RUNNING", train="PENDING"),
    look("RUNNING", train="RUNNING"),
    look("RUNNING", train="RUNNING"),
    look("RUNNING", train="SUCCEEDED", test="DRIVEN"),
    look("RUNNING", train="SUCCEEDED", test="CACHED"),
    look("RUNNING", train="SUCCEEDED", test="CACHED", confusion_matrix=("PENDING", 0)),
    look("RUNNING", train="SUCCEEDED", test="CACHED", confusion_matrix=("PENDING", 1)),
    look("FAILED", train="SUCCEEDED", test="CACHED", confusion_matrix=("FAILED", 1)),
]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in seconds."""
    now = [1000.0]
    monkeypatch.setattr(watch, "monotonic", lambda: now[0])
    return now


def told(clock: list[float], *looks: object, seconds: float = 5) -> list[str]:
    """Return what is told of these looks, so many seconds apart."""
    watched = Watch()

    def lines() -> Iterator[str]:
        for one in looks:
            yield from watched.changes(one if isinstance(one, list) else steps_of(one))  # type: ignore[arg-type]
            clock[0] += seconds

    return list(lines())


def test_each_change_of_a_step_is_a_line(clock: list[float]) -> None:
    """Steps wait, start, end, come from the cache, and are tried again: once each, however often one looks."""
    assert told(clock, *LOOKS) == [
        "train: waits for its pod",
        "train: started, after 5 s",
        "train: done in 30 s",
        "test: from the cache",
        "confusion-matrix: waits for its pod",
        "confusion-matrix: attempt 2",
        "confusion-matrix: waits for its pod",
        "confusion-matrix: failed after 30 s",
    ]


def test_a_step_that_waits_long_is_told_with_what_may_be_wrong(clock: list[float]) -> None:
    """After 5 minutes without a start, and again after twice as long, the wait is told."""
    lines = told(clock, *[look("RUNNING", train="PENDING")] * 10, seconds=100)
    assert [line.partition(" for its pod")[0] for line in lines] == [
        "train: waits",
        "train has waited 5 min",
        "train has waited 10 min",
    ]
    assert "the image may not be there, or not allowed" in lines[1]


def test_what_has_ended_does_not_begin_again(clock: list[float]) -> None:
    """A list that lacks a node for once takes nothing back, and tells nothing twice."""
    holes = look("RUNNING", train="SUCCEEDED")
    del holes["run_details"]["task_details"][-4:]
    done = look("RUNNING", train="SUCCEEDED")
    assert told(clock, done, holes, look("RUNNING"), look("RUNNING", train="RUNNING"), done) == ["train: done in 30 s"]


@pytest.mark.parametrize(
    ("state", "line"),
    [("SKIPPED", ["s: skipped"]), ("CANCELED", ["s: canceled"]), ("PAUSED", []), ("ODD", []), ("", [])],
)
def test_any_state_is_told_or_left_out(clock: list[float], state: str, line: list[str]) -> None:
    """States that no step should have are no error."""
    assert told(clock, [Step("s", state)]) == line
