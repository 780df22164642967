"""What is told of a run's steps while they go on."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.kfp_logs import look, nested

from fmnist.cli.console import print_rows
from fmnist.cluster import progress
from fmnist.cluster.progress import StepProgress
from fmnist.cluster.steps import Step, steps_of

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
    monkeypatch.setattr(progress, "monotonic", lambda: now[0])
    return now


def told(clock: list[float], *looks: object, seconds: float = 5) -> list[str]:
    """Return what is told of these looks, so many seconds apart."""
    watched = StepProgress()

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


def test_steps_of_one_name_are_told_of_each(clock: list[float]) -> None:
    """The second one is no end of the first, and is told apart from it as soon as it is there."""
    looks = [
        nested("RUNNING", one="RUNNING"),
        nested("RUNNING", one="RUNNING", two="PENDING"),
        nested("RUNNING", one="SUCCEEDED", two="RUNNING"),
        nested("FAILED", one="SUCCEEDED", two="FAILED"),
    ]
    assert told(clock, *looks) == [
        "train: started",
        "two/train: waits for its pod",
        "one/train: done in 30 s",
        "two/train: started, after 5 s",
        "two/train: failed after 30 s",
    ]


def test_a_step_that_waits_long_is_told_with_what_may_be_wrong(clock: list[float]) -> None:
    """After 5 minutes without a start, and again each time that it is twice as long, the wait is told."""
    lines = told(clock, *[look("RUNNING", train="PENDING")] * 22, seconds=100)
    advice = (
        " for its pod: the image may not be there, or not allowed, or no node has room for it; "
        "`kubectl -n kubeflow get events` says which"
    )
    assert lines == [
        "train: waits for its pod",
        f"train has waited 5 min{advice}",
        f"train has waited 10 min{advice}",
        f"train has waited 20 min{advice}",
    ]
    # Twice of what it was when that was told, however late one looked.
    lines = told(clock, *[look("RUNNING", train="PENDING")] * 6, seconds=1000)
    assert [line.partition(" for its pod")[0] for line in lines[1:]] == [
        "train has waited 16 min 40 s", "train has waited 33 min 20 s", "train has waited 1 h 6 min",
    ]  # fmt: skip


def test_each_step_that_waits_long_is_told(clock: list[float]) -> None:
    """By its own wait, whatever was told of another one."""
    one, other = Step("a", "WAITING"), Step("b", "WAITING")
    lines = told(clock, [one], *[[one, other]] * 4, seconds=100)
    assert [line.partition(" for its pod")[0] for line in lines[2:]] == ["a has waited 5 min", "b has waited 5 min"]
    lines = told(clock, *[[one, other]] * 4, seconds=100)
    assert [line.partition(" for its pod")[0] for line in lines[2:]] == ["a has waited 5 min", "b has waited 5 min"]


def test_a_step_that_waits_again_is_told_as_soon(clock: list[float]) -> None:
    """Of another attempt, the patience is that of the first, whether or not the first one was seen to run."""
    waits, runs, again = (
        Step("s", state, attempt=attempt, path="in/s")
        for state, attempt in (("WAITING", 1), ("RUNNING", 1), ("WAITING", 2))
    )
    for ran, started in (([[runs]], ["s: started, after 6 min 40 s"]), ([], [])):
        lines = told(clock, *[[waits]] * 4, *ran, *[[again]] * 4, seconds=100)
        assert [line.partition(" for its pod")[0] for line in lines] == [
            "s: waits", "s has waited 5 min", *started, "s: attempt 2", "s: waits", "s has waited 5 min",
        ]  # fmt: skip


def test_what_has_ended_does_not_begin_again(clock: list[float]) -> None:
    """A list that lacks a node for once takes nothing back, and tells nothing twice."""
    holes = look("RUNNING", train="SUCCEEDED")
    del holes["run_details"]["task_details"][-4:]
    done = look("RUNNING", train="SUCCEEDED")
    assert told(clock, done, holes, look("RUNNING"), look("RUNNING", train="RUNNING"), done) == ["train: done in 30 s"]
    assert told(clock, [Step("s", "SUCCEEDED")], [Step("s", "RUNNING", attempt=2)]) == ["s: done"]
    assert told(clock, *([Step("s", state)] for state in ("RUNNING", "", "RUNNING"))) == ["s: started"]


def test_an_attempt_is_told_once(clock: list[float]) -> None:
    """A list that lacks its node for once makes no first attempt of it; between two looks there may be several."""
    looks = [[Step("s", "RUNNING", attempt=attempt)] for attempt in (1, 2, 1, 2, 5, 5)]
    assert told(clock, *looks) == [
        "s: started", "s: attempt 2", "s: started", "s: attempt 5", "s: started",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("state", "line"),
    [("SKIPPED", ["s: skipped"]), ("CANCELED", ["s: canceled"]), ("PAUSED", []), ("ODD", []), ("", [])],
)
def test_any_state_is_told_or_left_out(clock: list[float], state: str, line: list[str]) -> None:
    """States that no step should have are no error."""
    assert told(clock, [Step("s", state)]) == line


@pytest.mark.parametrize(
    ("steps", "lines"),
    [
        ([Step("s", "RUNNING")], ["s: started"]),
        ([Step("s", "RUNNING", attempt=2)], ["s: attempt 2", "s: started"]),
        ([Step("s", "SUCCEEDED")], ["s: done"]),
        ([Step("s", "SUCCEEDED", 0.0)], ["s: done in 0 s"]),
        ([Step("s", "FAILED")], ["s: failed"]),
        ([Step("s", "CACHED", 5.0)], ["s: from the cache"]),
        ([Step("s", "SKIPPED", 5.0), Step("t", "CANCELED", 5.0)], ["s: skipped", "t: canceled"]),
    ],
)
def test_what_is_seen_first_is_told_as_it_is(clock: list[float], steps: list[Step], lines: list[str]) -> None:
    """A look may come late; only what ran, and has a time, is told with that."""
    assert told(clock, steps) == lines


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (0.5, "0 s"),
        (2.5, "2 s"),
        (3.5, "4 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (60, "1 min"),
        (3599, "59 min 59 s"),
        (3600, "1 h"),
        (3601, "1 h 1 s"),
        (7265, "2 h 1 min"),
        (86_399, "23 h 59 min"),
        (90_000, "25 h"),
    ],
)
def test_a_time_is_told_in_its_two_largest_parts(seconds: float, text: str) -> None:
    """As people say it."""
    assert progress.duration(seconds) == text


def test_the_page_shows_what_is_told(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    """The lines on the page of `same` are those of such a run, with the result that follows them."""
    steps = [
        [Step("train", "WAITING")],
        [Step("train", "RUNNING")],
        [Step("train", "SUCCEEDED", 73.0)],
        [Step("train", "SUCCEEDED", 73.0), Step("test", "CACHED")],
    ]
    lines = ["RUNNING", *told(clock, *steps, seconds=10), "SUCCEEDED"]
    print_rows([("state", "SUCCEEDED"), ("accuracy", "0.8428")])
    page = Path(__file__).parents[2] / "docs" / "same.md"
    assert "\n".join(["```text", *lines, capsys.readouterr().out + "```"]) in page.read_text()
