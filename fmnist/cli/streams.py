"""The standard streams: safe text in them, and no failure of a command because nobody takes what it prints."""

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

from fmnist.steps.redaction import safe

__all__ = ["Stream", "guarded"]


class Stream(io.TextIOBase):
    """A standard stream that shows what can be shown, and drops the rest after its reader has gone.

    Attributes
    ----------
    lost : OSError or None
        Why text was lost, other than by a reader who had seen enough.
    """

    errors = "backslashreplace"

    def __init__(self, stream: TextIO | None, clean: Callable[[str], str] = safe) -> None:
        self._stream, self._clean = stream, clean
        self.lost: OSError | None = None

    @property
    def encoding(self) -> str:  # type: ignore[override]  # as a file's
        """The encoding of the stream."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    @property
    def unchanged(self) -> "Stream":
        """The same stream for a text that steers a terminal on purpose."""
        return Stream(self._stream, str)

    def isatty(self) -> bool:
        """Return whether a person may be watching."""
        return self._stream is not None and self._stream.isatty()

    def fileno(self) -> int:
        """Return the stream's number."""
        if self._stream is None:
            raise io.UnsupportedOperation("fileno")
        return self._stream.fileno()

    def write(self, text: str | bytes) -> int:
        """Write what can be shown of `text`; click has bytes for a shell that completes what is typed."""
        if isinstance(text, bytes):
            if not text:
                # So click asks whether it must turn text into bytes itself, which loses what they cannot express.
                raise TypeError
            text = text.decode(errors=self.errors)
        shown = self._clean(text).encode(self.encoding, self.errors).decode(self.encoding)
        self._do(lambda stream: stream.write(shown))
        return len(text)

    def flush(self) -> None:
        """Let all that is written be seen."""
        self._do(lambda stream: stream.flush())

    def _do(self, action: Callable[[TextIO], Any]) -> None:
        if self._stream is None:
            return
        try:
            action(self._stream)
        except (OSError, ValueError) as error:
            # A ValueError: it is closed.
            self.lost = None if isinstance(error, BrokenPipeError | ValueError) else error
            # What is still in the buffer goes nowhere when Python ends.
            with contextlib.suppress(OSError, ValueError), Path(os.devnull).open("wb") as nowhere:
                os.dup2(nowhere.fileno(), self._stream.fileno())
            self._stream = None


@contextlib.contextmanager
def guarded() -> Iterator[Stream]:
    """Print through `Stream`s until the end, and give that of stdout."""
    _occupy()
    before = sys.stdout, sys.stderr
    out = Stream(sys.stdout)
    sys.stdout, sys.stderr = out, Stream(sys.stderr)
    try:
        yield out
    finally:
        out.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = before


def _occupy() -> None:
    """Open what was closed when the program started, lest the next file that is opened takes what steps print."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # noqa: FBT003 - its only parameter
