"""The progress of a run or a study: bars in a notebook and, on stderr, in a terminal; plain lines elsewhere."""

import os
import shutil
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

from fmnist.cli.streams import Stream
from fmnist.kubeflow.local import Epoch, Event, OutputMissing, Resumed, RunFinished, StepFinished, StepStarted
from fmnist.replication.sample import Result
from fmnist.steps.redaction import safe

__all__ = ["Display"]

#: Seconds after which a download is reported again, in plain lines.
QUIET = 15.0

#: Columns below which bars would be cut off.
NARROW = 60

#: Terminals that show plain lines; the last is what a notebook calls itself.
_PLAIN = {"", "dumb", "unknown", "emacs", "xterm-color"}


class Display:
    """Shows downloads, steps, epochs and seeds; has the callbacks of a run and a study."""

    def __init__(self) -> None:
        # This stderr: that of kfp is redirected.
        self._stream = sys.stderr if isinstance(sys.stderr, Stream) else Stream(sys.stderr)
        self._live = _is_live(self._stream)
        file: Any = self._stream.unchanged
        #: Where a notebook shows the bars.
        self._output: Any = None
        self._step: str
        self._seeds = self._ended = 0
        self._tasks: dict[str, TaskID] = {}
        self._started: dict[str, float] = {}
        self._told: dict[str, float] = {}
        self._progress = Progress(
            TextColumn("{task.description}", table_column=Column(min_width=18)),
            BarColumn(table_column=Column(min_width=20)),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
            console=Console(file=file, force_terminal=self._live, force_jupyter=False),
            redirect_stdout=False,
            redirect_stderr=False,
            disable=not self._live,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        if Console().is_jupyter:
            from IPython.display import display

            self._output = display(self._progress, display_id=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def on_progress(self, file: str, done: int, total: int) -> None:
        """Show that `done` of `total` bytes of `file` are there; a total of 0 means that it is unknown."""
        if file not in self._tasks:
            self._start(file, total or None)
        note = f"{done / 1e6:.1f} MB"
        self._advance(file, done, note)
        if (now := time.monotonic()) - self._told[file] >= QUIET:
            self._told[file] = now
            self._line(f"{file}: {note}")
        if done and done == total:
            self._end(file)

    def on_event(self, event: Event) -> None:
        """Show what happened."""
        match event:
            case StepStarted(step):
                self._step = step
                self._start(step, None if step == "train" else 1)
            case Epoch(number, of, metrics):
                self._advance(self._step, number, f"epoch {number}/{of}  {metrics}", of)
                self._line(f"{self._step}: epoch {number}/{of}: {metrics}")
            case Resumed(number, of):
                self._advance(self._step, number, f"resumed after epoch {number}/{of}", of)
                self._line(f"{self._step}: resumed after epoch {number}/{of}")
            case OutputMissing(step, output):
                self._say(
                    f"Warning: step {step}: expected something at its output {output}, got nothing: write to its path, "
                    "or log metadata. Steps that take it will fail."
                )
            case RunFinished():
                self._say("The run was finished before: these are its results.")
            case StepFinished(step):
                self._end(step)

    def on_seeds(self, seeds: Sequence[int]) -> None:
        """Show that `seeds` are to be trained, if there are any."""
        self._seeds = len(seeds)
        if seeds:
            self._start("seeds", self._seeds)
        else:
            self._say("Each seed was trained before: these are their results.")

    def on_result(self, result: Result) -> None:
        """Show what a seed gave."""
        self._count(f"seed {result.seed}: accuracy {result.accuracy:.4f}")

    def on_failure(self, seed: int) -> None:
        """Show that a seed failed; the error at the end says why."""
        self._count(f"seed {seed}: failed")

    def _count(self, what: str) -> None:
        """Show how a seed ended, how many have ended, and how long the others will take."""
        self._ended += 1
        seconds = (time.monotonic() - self._started["seeds"]) * (self._seeds / self._ended - 1)
        left = timedelta(seconds=round(seconds))
        note = f"{self._ended}/{self._seeds}, {what}, about {left} left"
        self._advance("seeds", self._ended, note)
        self._line(f"seeds: {note}")
        if self._ended == self._seeds:
            self._end("seeds")

    def _start(self, name: str, total: int | None) -> None:
        self._started[name] = self._told[name] = time.monotonic()
        self._tasks[name] = self._progress.add_task(safe(name), total=total, note="")
        self._refresh()
        self._line(f"{name}: started")

    def _advance(self, name: str, completed: int, note: str, total: int | None = None) -> None:
        self._progress.update(self._tasks[name], completed=completed, note=safe(note), total=total)
        self._refresh()

    def _end(self, name: str) -> None:
        task = self._progress.tasks[self._tasks[name]]
        total = task.total or task.completed or 1
        self._progress.update(task.id, total=total, completed=total)
        self._refresh()
        self._line(f"{name}: done in {time.monotonic() - self._started[name]:.1f} s")

    def _refresh(self) -> None:
        if self._output:
            self._output.update(self._progress)

    def _line(self, text: str) -> None:
        """Print a line where no bars are shown."""
        if not (self._live or self._output):
            self._say(text)

    def _say(self, text: str) -> None:
        """Print a line; what is on stderr, a notebook shows like an error."""
        # While a step runs, kfp's `print` also writes an indent to stdout, which goes to the log.
        stream = sys.stdout if self._output else self._stream
        stream.write(f"{safe(text)}\n")
        stream.flush()


def _is_live(stream: Stream) -> bool:
    """Return whether a person watches a terminal that can move its cursor: a notebook keeps all that is printed."""
    wide = shutil.get_terminal_size().columns >= NARROW
    plain = os.environ.get("TERM", "") in _PLAIN or "JPY_PARENT_PID" in os.environ
    return stream.isatty() and wide and not plain
