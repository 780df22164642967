"""What a worker of a study does in a test instead of training."""

import ctypes
import os
import signal
import time
from pathlib import Path
from typing import NamedTuple

from fmnist.steps.errors import StepError

#: Of Linux' prctl: say which signal this process gets when the one that started it ends.
PR_GET_PDEATHSIG = 2


#: What a seed waits for, once it has written a file of its own name: for that of another seed, or that one was told.
AWAITED = {9: "told 10", 10: "9", 11: "12", 12: "11", 13: "14", 14: "13", 15: "told 16", 16: "15"}


class Told(NamedTuple):
    """What a worker tells of itself: its seed, its process, and that signal."""

    seed: int
    process: int
    signal: int


def result(folder: Path, seed: int) -> Told:
    """Print, and do as the seed says: 8 fails with an error, 9 and 15 with the whole process, 14 goes on."""
    number = ctypes.c_int()
    ctypes.CDLL(None).prctl(PR_GET_PDEATHSIG, ctypes.byref(number))
    print(f"seed {seed}", flush=True)  # noqa: T201 - into the log
    os.write(2, b"an error\n")
    if seed == 8:
        raise StepError("no luck")
    if seed in AWAITED:
        (folder / f"{seed}").write_text(f"{os.getpid()}")
        awaited, late = folder / AWAITED[seed], time.monotonic() + 30
        while not (awaited.exists() and awaited.read_text()) and time.monotonic() < late:
            time.sleep(0.01)
    if seed == 9:
        os._exit(7)
    if seed == 15:
        os.kill(os.getpid(), signal.SIGKILL)
    if seed == 14:
        time.sleep(60)
    return Told(seed, os.getpid(), number.value)
