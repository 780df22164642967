"""Tests of what a person sees while a pipeline runs."""

import io
import re
import sys

import pytest

from fmnist.display import Display
from fmnist.kubeflow.local import Epoch, Event, StepFinished, StepStarted

EVENTS: list[Event] = [
    StepStarted("train"),
    Epoch(1, 2, "loss 0.5"),
    Epoch(2, 2, "loss 0.4"),
    StepFinished("train"),
    StepStarted("test"),
    StepFinished("test"),
]


class Terminal(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


def shown(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what the display writes to `stream` for a download and two steps."""
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with Display(epochs=2) as display:
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


def test_in_a_terminal_bars_show_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal shows a bar for each step with the time it took, and the last epoch's metrics."""
    last = shown(Terminal(), monkeypatch).replace("\r", "\n").splitlines()[-3:]
    assert [re.sub(r"\s+", " ", line).strip() for line in last] == [
        "images ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 0:00:00 1.0 MB",
        "train ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 0:00:00 epoch 2/2 loss 0.4",
        "test ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 0:00:00",
    ]
