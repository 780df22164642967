"""The process of a run or a study that Python called: its argument is the number of the pipe to whoever asked.

It gets a request, reports its progress as calls of a `Display`, and ends with an answer or an error. What it prints is
read only if it ends without either.
"""

import signal
import sys
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from fmnist.steps.errors import FmnistError
from fmnist.steps.settings import Settings

__all__ = ["main"]

#: Returns a callback that reports a call to the other process.
Tell = Callable[[str], Callable[..., None]]


def run(tell: Tell, folder: Path, parameters: Mapping[str, Any]) -> Any:
    """Return the record of a run."""
    settings = Settings.parse(parameters)
    from fmnist.runs.run import run_pipeline

    return run_pipeline(settings, folder, tell("on_event"), tell("on_progress"))


def study(tell: Tell, folder: Path, parameters: Mapping[str, Any], seeds: int, jobs: int | None) -> Any:
    """Return the sample of a study."""
    settings = Settings.parse(parameters)
    from fmnist.runs.study import run_study, seeds_from

    callbacks = {name: tell(name) for name in ("on_seeds", "on_result", "on_failure", "on_progress")}
    return run_study(settings, seeds_from(settings, seeds), folder, jobs, **callbacks)


#: What can be asked for, by name.
CALLS: Mapping[str, Callable[..., Any]] = {"run": run, "study": study}


def main(number: int) -> None:
    """Do what is asked for through the pipe of this `number`."""
    # Where the parent ignores the ends of its children, Python would take each for a success.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with Connection(number) as pipe:
        name, *arguments = pipe.recv()
        try:
            answer = CALLS[name](lambda name: lambda *values: pipe.send((name, *values)), *arguments)
        except (FmnistError, OSError) as error:
            pipe.send(("error", error))
        else:
            pipe.send(("answer", answer))


if __name__ == "__main__":
    main(int(sys.argv[1]))
