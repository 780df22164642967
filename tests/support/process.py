"""What all tests of a process share, and each must leave as it was."""

import os
import re
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

#: Variables that imports and pytest set, for as long as the process is there.
SET_BY_IMPORTS = re.compile("KERAS_HOME|PYTEST_CURRENT_TEST|(TF|TF2|XLA|KMP|ONEDNN|DNNL)_.*")

#: The signals that end a program, or what it waits for.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD)

#: What is there at the start, which depends on what started Python; asyncio puts another of them back.
NO_HANDLERS = (signal.SIG_DFL, signal.SIG_IGN, signal.default_int_handler)


def state() -> dict[str, str]:
    """Return the environment, and by what it is called the working directory, the umask and the like."""
    os.umask(mask := os.umask(0))
    return {
        **os.environ,
        "the working directory": str(Path.cwd()),
        "the umask": f"{mask:04o}",
        "sys.path": str(sys.path),
        "the signals' handlers": str([one for one in map(signal.getsignal, SIGNALS) if one not in NO_HANDLERS]),
    }


def changed(before: Mapping[str, str]) -> list[str]:
    """Return what is not as in `before`, but for variables that imports set."""
    names = {name for name, _ in state().items() ^ before.items()}
    return sorted(name for name in names if not SET_BY_IMPORTS.fullmatch(name))
