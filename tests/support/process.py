"""What all tests of a process share, and each must leave as it was."""

import contextlib
import os
import re
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

#: Variables that pytest and what is imported late set, for as long as the process is there.
OTHERS = re.compile("PYTEST_CURRENT_TEST|(TF|KMP)_.*")

#: The signals that end a program, or what it waits for.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD)

#: What is there at the start, which depends on what started Python; asyncio puts another of them back.
NO_HANDLERS = (signal.SIG_DFL, signal.SIG_IGN, signal.default_int_handler)


@contextlib.contextmanager
def plain() -> Iterator[None]:
    """Let programs print as they do for most, whatever this user wants pytest to look like."""
    looks = ("CLICOLOR_FORCE", "COLUMNS", "FORCE_COLOR", "NO_COLOR", "PYTEST_ADDOPTS", "PY_COLORS")
    kept = {name: os.environ.pop(name) for name in looks if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)


def state() -> dict[str, str]:
    """Return the environment, and by what it is called the working directory, the umask and the like."""
    os.umask(mask := os.umask(0))
    return {
        **os.environ,
        "the working directory": str(Path.cwd()),
        "the umask": f"{mask:04o}",
        "the search path": str(sys.path),
        "the time zone": str(time.tzname),
        "the start of TensorFlow": str("tensorflow" in sys.modules),
        "the signals' handlers": str([one for one in map(signal.getsignal, SIGNALS) if one not in NO_HANDLERS]),
    }


def changed(before: Mapping[str, str]) -> list[str]:
    """Return what is not as in `before`; where TensorFlow has started since, variables are what it needs."""
    names = {name for name, _ in state().items() ^ before.items() if not OTHERS.fullmatch(name)}
    if "the start of TensorFlow" in names:
        names = {name for name in names if name.startswith("the ")} - {"the start of TensorFlow"}
    return sorted(names)
