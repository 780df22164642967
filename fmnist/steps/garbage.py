"""Keeps the garbage collector out of imported libraries, where it finds nothing and would take a fifth of a run."""

import atexit
import contextlib
import gc
from collections.abc import Iterator

__all__ = ["paused", "stop_at_exit"]

#: Python 3.12 itself freezes some hundred objects at its start, and who freezes a process' has thousands.
_OF_PYTHON = 1_000


@contextlib.contextmanager
def paused() -> Iterator[None]:
    """Keep the collector out of what is done meanwhile, as an import; what that makes counts as old at once."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if gc.get_freeze_count() < _OF_PYTHON:
            # What is old is gone through seldom. What the caller froze would thaw.
            gc.freeze()
            gc.unfreeze()
        if enabled:
            gc.enable()


def stop_at_exit() -> None:
    """Let this process end without a last search for garbage, which of TensorFlow's million objects takes a second.

    For programs of our own, which close what they open: files that only garbage still holds would not be.
    """
    atexit.unregister(gc.freeze)
    atexit.register(gc.freeze)
