"""Tests of what a person sees while a pipeline runs."""

import io
import re
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fmnist.cli.display import Display
from fmnist.cli.streams import Stream
from fmnist.kubeflow.local import Epoch, Event, OutputMissing, Resumed, RunFinished, StepFinished, StepStarted
from fmnist.replication.sample import Result

EVENTS: list[Event] = [
    StepStarted("train"),
    Epoch(1, 2, "loss 0.5"),
    Epoch(2, 2, "loss 0.4"),
    StepFinished("train"),
    StepStarted("test"),
    StepFinished("test"),
]


def studied(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the lines that the display writes to `stream` for two seeds, of which the first takes a second."""
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    seconds = iter([100.0, 101.0, 103.5, 103.5])
    monkeypatch.setattr(time, "monotonic", lambda: next(seconds))
    with Display() as display:
        display.on_seeds([7, 8])
        for seed in (8, 7):
            display.on_result(Result(seed, "", 0.88, 0.3, {}, [], []))
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue()).replace("\r", "\n").splitlines()


def test_each_seed_is_told_with_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log file gets a line for each seed: how many are done, what it gave, and how long the others will take."""
    assert studied(io.StringIO(), monkeypatch) == [
        "seeds: started",
        "seeds: 1/2, seed 8: accuracy 0.8800, about 0:00:01 left",
        "seeds: 2/2, seed 7: accuracy 0.8800, about 0:00:00 left",
        "seeds: done in 3.5 s",
    ]


def test_a_line_is_there_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who looks at a log file meanwhile sees how far it is."""
    with (tmp_path / "log").open("w") as log:
        monkeypatch.setattr(sys, "stderr", log)
        display = Display()
        display.on_event(RunFinished())
        assert (tmp_path / "log").read_text() == "The run was finished before: these are its results.\n"


def test_the_time_left_is_that_of_the_seeds_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many work at once: of four seeds the first two took six seconds, and the others will too."""
    seconds = iter([100.0, 104.0, 106.0, 112.0, 115.0, 115.0])
    monkeypatch.setattr(sys, "stderr", stream := io.StringIO())
    monkeypatch.setattr(time, "monotonic", lambda: next(seconds))
    with Display() as display:
        display.on_seeds([1, 2, 3, 4])
        for seed in (1, 2, 3, 4):
            display.on_failure(seed)
    left = [line.rpartition(", about ")[2] for line in stream.getvalue().splitlines()[1:-1]]
    assert left == ["0:00:12 left", "0:00:06 left", "0:00:04 left", "0:00:00 left"]


def test_a_seed_that_fails_is_told_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A seed that failed has ended too: the display says so at once, and the bar comes to its end."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with Display() as display:
        display.on_seeds([7])
        display.on_failure(7)
    assert stream.getvalue().splitlines()[1].startswith("seeds: 1/1, seed 7: failed, about 0:00:00 left")
    assert stream.getvalue().splitlines()[2].startswith("seeds: done in ")


def test_a_bar_shows_how_many_seeds_are_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal shows one bar, with the seed that ended last and the time left."""
    last = re.sub(r"\s+", " ", studied(Terminal(), monkeypatch)[-1]).strip()
    assert re.sub(r"\d:\d\d:\d\d (?=\d)", "", last) == (
        "seeds ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 2/2, seed 7: accuracy 0.8800, about 0:00:00 left"
    )


@pytest.mark.parametrize(
    "environment",
    [
        {"FORCE_COLOR": "1"},
        {"CLICOLOR_FORCE": "1", "TTY_COMPATIBLE": "1", "TTY_INTERACTIVE": "1"},
        {"NO_COLOR": "1"},
        {"COLUMNS": "1"},
    ],
    ids=lambda environment: next(iter(environment)),
)
def test_a_file_gets_plain_lines_whatever_is_forced(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Variables that ask for colours bring no cursor codes into a file."""
    assert_plain(io.StringIO(), environment, monkeypatch)


@pytest.mark.parametrize(
    "environment",
    [
        {"TERM": "dumb"},
        {"TERM": "unknown"},
        {"TERM": ""},
        {"TERM": "xterm-color"},
        {"TERM": "xterm-256color", "JPY_PARENT_PID": "7"},
    ],
    ids=lambda environment: "-".join(environment.values()) or "unset",
)
def test_a_terminal_without_a_cursor_gets_plain_lines(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A terminal that cannot go up a line shows lines as things happen; so does a notebook, which keeps all of them."""
    assert_plain(Terminal(), {"FORCE_COLOR": "1", **environment}, monkeypatch)


def assert_plain(stream: io.StringIO, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Assert that each thing that happens is a line, at once."""
    __tracebackhide__ = True
    monkeypatch.setattr(sys, "stderr", stream)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with Display() as display:
        for number, event in enumerate(EVENTS, 1):
            display.on_event(event)
            assert stream.getvalue().count("\n") == number
    assert "\x1b" not in stream.getvalue()
    assert "\r" not in stream.getvalue()


@pytest.mark.parametrize("columns", ["1", "9", "59"])
def test_a_narrow_terminal_gets_plain_lines(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where bars would be cut off, the display shows lines."""
    assert_plain(Terminal(), {"TERM": "xterm", "COLUMNS": columns}, monkeypatch)


def test_a_terminal_of_no_name_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows whether it can move its cursor."""
    monkeypatch.delenv("TERM", raising=False)
    assert_plain(Terminal(), {"COLUMNS": "100"}, monkeypatch)


class Terminal(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


def shown(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what the display writes to `stream` for a download and two steps."""
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with Display() as display:
        for done in (0, 500_000, 1_000_000):
            display.on_progress("images", done, 1_000_000)
        for event in EVENTS:
            display.on_event(event)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())


def test_without_a_terminal_there_are_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log file gets one line for each thing that happens, without control codes."""
    lines = shown(io.StringIO(), monkeypatch).splitlines()
    assert [re.sub(r"\d+\.\d s", "N s", line) for line in lines] == [
        "images: started",
        "images: done in N s",
        "train: started",
        "train: epoch 1/2: loss 0.5",
        "train: epoch 2/2: loss 0.4",
        "train: done in N s",
        "test: started",
        "test: done in N s",
    ]


def test_a_long_download_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow mirror gives a line each quarter of a minute, so that a log shows that it goes on."""
    monkeypatch.setattr(sys, "stderr", stream := io.StringIO())
    seconds = iter([0.0, 1.0, 14.0, 15.0, 16.0, 31.0, 31.0, 31.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(seconds))
    with Display() as display:
        for done in (100_000, 200_000, 300_000, 400_000, 500_000, 600_000):
            display.on_progress("images", done, 600_000)
    assert stream.getvalue().splitlines() == [
        "images: started",
        "images: 0.3 MB",
        "images: 0.5 MB",
        "images: done in 31.0 s",
    ]


def test_each_download_and_each_turn_is_timed_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else was told, and though a step in a loop has the name of the turn before."""
    monkeypatch.setattr(sys, "stderr", stream := io.StringIO())
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with Display() as display:
        for now[0], file in ((0.0, "a"), (10.0, "b"), (16.0, "a"), (20.0, "b"), (26.0, "b")):
            display.on_progress(file, 100_000, 600_000)
        for now[0], event in ((30.0, StepStarted), (32.0, StepFinished), (40.0, StepStarted), (41.0, StepFinished)):
            display.on_event(event("turn"))
    assert stream.getvalue().splitlines() == [
        *("a: started", "b: started", "a: 0.1 MB", "b: 0.1 MB"),
        *("turn: started", "turn: done in 2.0 s", "turn: started", "turn: done in 1.0 s"),
    ]


def test_in_a_terminal_bars_show_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal shows a bar for each step with the time it took, and the last epoch's metrics."""
    last = shown(Terminal(), monkeypatch).replace("\r", "\n").splitlines()[-3:]
    assert [re.sub(r"\s+", " ", line).strip() for line in last] == [
        "images ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 0:00:00 1.0 MB",
        "train ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 0:00:00 epoch 2/2 loss 0.4",
        "test ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 0:00:00",
    ]


def resumed(stream: io.StringIO, columns: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what the display shows last of a download of unknown size, a training that is resumed, and two steps."""
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", columns)
    with Display() as display:
        display.on_progress("images", 0, 0)
        display.on_progress("images", 300_000, 0)
        display.on_event(StepStarted("train"))
        display.on_event(Resumed(1, 4))
        display.on_event(StepStarted("test"))
        display.on_event(StepStarted("odd\x1b[2J"))
        display.on_event(StepFinished("odd\x1b[2J"))
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue()).replace("\r", "\n")
    return re.sub(r"\d:\d\d:\d\d|\d+\.\d s", "TIME", text).splitlines()


@pytest.mark.parametrize(("columns", "bar", "shown"), [("100", 40, 24), ("60", 20, 13)])
def test_bars_stand_below_each_other(columns: str, bar: int, shown: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each column has its place; a narrow terminal has shorter bars, and notes that are cut off."""
    note = " resumed after epoch 1/4"[:shown]
    whole, quarter = "━" * bar, "━" * (bar // 4) + "╺" + "━" * (bar * 3 // 4 - 1)
    assert resumed(Terminal(), columns, monkeypatch)[-4:] == [
        f"images             {whole} TIME{' 0.3 MB'.ljust(len(note))}",
        f"train              {quarter} TIME{note}",
        f"test               {whole} TIME{' ' * len(note)}",
        f"odd\\x1b[2J         {whole} TIME{' ' * len(note)}",
    ]


def test_lines_tell_what_was_there_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Epochs of a run that was broken off, and whole runs and seeds."""
    assert resumed(io.StringIO(), "59", monkeypatch) == [
        "images: started",
        "train: started",
        "train: resumed after epoch 1/4",
        "test: started",
        r"odd\x1b[2J: started",
        r"odd\x1b[2J: done in TIME",
    ]
    monkeypatch.setattr(sys, "stderr", stream := io.StringIO())
    with Display() as display:
        display.on_event(OutputMissing("make", "da\x1bta"))
        display.on_event(RunFinished())
        display.on_seeds([])
    assert stream.getvalue().splitlines() == [
        r"Warning: step make: expected something at its output da\x1bta, got nothing: "
        "write to its path, or log metadata. Steps that take it will fail.",
        "The run was finished before: these are its results.",
        "Each seed was trained before: these are their results.",
    ]


def test_a_bar_is_as_long_as_what_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes of a download, whose number may be unknown, epochs, whose number is known with the first, steps, seeds."""
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    with Display() as display:
        display.on_progress("images", 100_000_000_000, 200_000_000_000)
        display.on_progress("package", 3, 0)
        display.on_progress("labels", 3, 0)
        display.on_progress("labels", 5, 5)
        for step in ("train", "test"):
            display.on_event(StepStarted(step))
        display.on_event(StepStarted("train"))
        display.on_event(Epoch(2, 3, "loss 0.5"))
        for step in ("tell", "train"):
            display.on_event(StepStarted(step))
            display.on_event(StepFinished(step))
        display.on_seeds([7, 8, 9])
        display.on_failure(8)
        bars = [
            (bar.description, bar.completed, bar.total, re.sub(" about .*", "", bar.fields["note"]))
            for bar in display._progress.tasks
        ]
    assert bars == [
        ("images", 100_000_000_000, 200_000_000_000, "100000.0 MB"),
        ("package", 3, None, "0.0 MB"),
        ("labels", 5, 5, "0.0 MB"),
        ("train", 0, None, ""),
        ("test", 0, 1, ""),
        ("train", 2, 3, "epoch 2/3  loss 0.5"),
        ("tell", 1, 1, ""),
        ("train", 1, 1, ""),
        ("seeds", 1, 3, "1/3, seed 8: failed,"),
    ]
    with Display() as display:
        display.on_seeds([7])
        assert [(bar.completed, bar.total) for bar in display._progress.tasks] == [(0, 1)]


def test_bars_move_the_cursor_of_a_stream_that_is_cleaned(monkeypatch: pytest.MonkeyPatch) -> None:
    """The programs clean what they print, but for the bars' own codes; what others print goes where it went."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", stderr := Stream(terminal))
    monkeypatch.setattr(sys, "stdout", stdout := io.StringIO())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("TTY_COMPATIBLE", "0")
    with Display() as display:
        display.on_event(StepStarted("odd\x1b[2J"))
        display.on_event(Epoch(1, 2, "loss\x1b[2J"))
        assert (sys.stdout, sys.stderr) == (stdout, stderr)
    text = terminal.getvalue()
    assert "\x1b[?25l" in text
    assert "\x1b[2J" not in text
    assert "epoch 1/2  loss\\x1b[2J" in text
    assert text.count("\\x1b") == text.count("odd\\x1b[2J") + text.count("loss\\x1b[2J")


def test_a_notebook_shows_bars_and_what_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It has one output that changes, and no line a step; sentences are no errors."""
    updated: list[Any] = []

    class Shown:
        """An output of a cell."""

        def __init__(self, bars: Any, *, display_id: bool) -> None:
            assert display_id
            updated.append(bars)

        def update(self, bars: Any) -> None:
            updated.append(bars)

    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    monkeypatch.setattr("IPython.display.display", Shown)
    with Display() as display:
        for number, event in enumerate(EVENTS[:4], 2):
            display.on_event(event)
            assert updated == [display._progress] * number
        display.on_event(RunFinished())
    assert capsys.readouterr() == ("The run was finished before: these are its results.\n", "")
