"""What a worker of a study does in a test instead of training."""

import ctypes
import os
import time
from pathlib import Path
from typing import NamedTuple

from fmnist.steps.errors import StepError

#: Of Linux' prctl: say which signal this process gets when the one that started it ends.
PR_GET_PDEATHSIG = 2


#: Seeds that wait for each other; the last of them then goes on for a minute.
PAIRS = {11: 12, 12: 11, 13: 14, 14: 13}


class Told(NamedTuple):
    """What a worker tells of itself: its seed, its process, and that signal."""

    seed: int
    process: int
    signal: int


def result(folder: Path, seed: int) -> Told:
    """Print, and do as the seed says: 8 fails with an error, 9 with the whole process, and some wait, in `folder`."""
    number = ctypes.c_int()
    ctypes.CDLL(None).prctl(PR_GET_PDEATHSIG, ctypes.byref(number))
    print(f"seed {seed}", flush=True)  # noqa: T201 - into the log
    os.write(2, b"an error\n")
    if seed == 8:
        raise StepError("no luck")
    if seed == 9:
        os._exit(7)
    if seed in PAIRS:
        own, other = folder / f"{seed}", folder / f"{PAIRS[seed]}"
        own.write_text(f"{os.getpid()}")
        late = time.monotonic() + 30
        while not (other.exists() and other.read_text()) and time.monotonic() < late:
            time.sleep(0.01)
        if seed == max(PAIRS):
            time.sleep(60)
    return Told(seed, os.getpid(), number.value)
