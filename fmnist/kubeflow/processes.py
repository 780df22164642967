"""The process of a step, which ends with this one: how it ended, what it used, which limit it hit, and what to do."""

import contextlib
import os
import re
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any

from fmnist.steps.errors import ContractError

__all__ = ["OutOfMemory", "check_program", "explained", "guarded", "run"]

#: Where TensorFlow looks for the program that it is in.
_THIS_PROGRAM = Path("/proc/self/exe")

#: By the name of a cgroup's controller, in version 2 and 1: the root, the limit in bytes, and the count of kills.
_CGROUPS = {
    "": ("sys/fs/cgroup", "memory.max", "memory.events"),
    "memory": ("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.oom_control"),
}

#: Version 1 has a number for no limit.
_NO_LIMIT = 2**60

#: Limits of a process, by their option of ``ulimit``: what each counts, and the number that is as good as none.
_LIMITS = {
    "t": (resource.RLIMIT_CPU, "CPU seconds", inf),
    "v": (resource.RLIMIT_AS, "bytes of address space", inf),
    "d": (resource.RLIMIT_DATA, "bytes of data", inf),
    "u": (resource.RLIMIT_NPROC, "processes and threads", 1000),
    "f": (resource.RLIMIT_FSIZE, "bytes a file", inf),
}

_ADVICE: Mapping[int, str] = {
    signal.SIGBUS: " The disk may be full.",
    signal.SIGILL: " This CPU may lack an instruction that a library was built for.",
    signal.SIGKILL: " Something else killed it; `dmesg` may say what.",
    signal.SIGTERM: " Something else asked it to end.",
    signal.SIGXCPU: " It used up its CPU seconds: raise the limit with `ulimit -t`.",
}


def check_program() -> None:
    """Make sure that TensorFlow finds the program that it is in.

    Raises
    ------
    ContractError
        If it does not.
    """
    if sys.platform == "linux" and not _THIS_PROGRAM.exists():
        raise ContractError(
            f"system: expected {_THIS_PROGRAM}, without which TensorFlow ends the process of a step, got no such file. "
            "Mount it: mount -t proc proc /proc"
        )


class OutOfMemory:
    """Says whether the kernel has killed a process of this cgroup, or of one within, since this object was made."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._before = sum(self._read("kills"))

    def __bool__(self) -> bool:
        return sum(self._read("kills")) > self._before

    def limit(self) -> str:
        """Return how much memory this cgroup and those around it may have, if there is a limit."""
        least = min(self._read("limit"), default=_NO_LIMIT)
        return f": the limit is {least / 2**30:.2f} GiB" if least < _NO_LIMIT else ""

    def _read(self, what: str) -> Iterator[int]:
        for line in _text(self._root / "proc/self/cgroup").splitlines():
            _, controller, path = line.split(":", 2)
            if controller in _CGROUPS:
                top, limit, events = _CGROUPS[controller]
                place = self._root / top / path.lstrip("/")
                # In a container the path may be one of the machine's, and the cgroup at the top is its own.
                for folder in (place, *place.parents)[: len(place.relative_to(self._root / top).parts) + 1]:
                    text = _text(folder / limit) if what == "limit" else _text(folder / events)
                    if found := re.search(r"^(?:oom_kill )?(\d+)$", text, re.MULTILINE):
                        yield int(found[1])


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def run(
    command: Sequence[str], environment: Mapping[str, str], on_line: Callable[[str], object], folder: str = "."
) -> tuple[int, resource.struct_rusage]:
    """Run a command whose processes end with the one that it starts, as in a container.

    They end too when this process ends, or an error leaves this function.

    Parameters
    ----------
    command : sequence of str
        A program and its arguments.
    environment : mapping
        Its variables.
    on_line : callable
        Called with each line that it prints.
    folder : str
        Its working folder.

    Returns
    -------
    tuple of int and resource.struct_rusage
        Its exit code, negative for a signal, and what it used with the processes that it waited for.
    """
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with (
        # It waits for a line, which it never gets if this process ends before there is a guard.
        subprocess.Popen(
            ["/bin/sh", "-c", 'read _ && exec "$@" </dev/null', "sh", *command],
            **pipes,
            text=True,
            errors="backslashreplace",
            env=environment,
            cwd=folder,
            start_new_session=True,
        ) as process,
        guarded(process.pid),
    ):
        end = threading.Thread(target=_end_all, args=(process.pid,))
        end.start()
        try:
            process.stdin.write("\n")  # type: ignore[union-attr]  # a pipe
            process.stdin.close()  # type: ignore[union-attr]
            for line in process.stdout or ():
                on_line(line)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            end.join()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage


def _end_all(session: int) -> None:
    """Wait until the process that leads a session ends, whose exit code is left, and kill what it leaves behind."""
    os.waitid(os.P_PID, session, os.WEXITED | os.WNOWAIT)
    os.killpg(session, signal.SIGKILL)


@contextlib.contextmanager
def guarded(session: int) -> Iterator[None]:
    """Have a session's processes killed when this process ends, in whatever way: the guard's input ends then."""
    kill = f"read _; kill -s KILL -- -{session}"
    with subprocess.Popen(["/bin/sh", "-c", kill], stdin=subprocess.PIPE, start_new_session=True) as guard:
        try:
            yield
        finally:
            guard.kill()


def explained(code: int, out_of_memory: OutOfMemory, usage: resource.struct_rusage | None = None) -> str:
    """Return in a few sentences how a process ended, what it used, which limits it had, and what to do.

    Parameters
    ----------
    code : int
        Its exit code: for a signal its number, negative or, from a shell, 128 more.
    out_of_memory : OutOfMemory
        Made before the process.
    usage : resource.struct_rusage, optional
        What it used.
    """
    number = -code if code < 0 else code - 128
    name = next((f" ({one.name})" for one in signal.Signals if one == number), "")
    used, limited = "", resource.getrlimit(resource.RLIMIT_CPU)[0]
    if usage:
        seconds = usage.ru_utime + usage.ru_stime
        # Until it has its own memory, a process counts with that of the one that started it: with this one's, which
        # the kernel tells to about a per cent, as each core counts for itself.
        own = re.search(r"^VmHWM:\s+(\d+)", _text(Path("/proc/self/status")), re.MULTILINE)
        most = "at most " * (own is not None and usage.ru_maxrss <= 1.01 * int(own[1]))
        used = f", after {seconds:.1f} CPU seconds, with {most}{usage.ru_maxrss / 2**20:.2f} GiB of memory at its peak"
        if number == signal.SIGKILL and 0 <= limited <= seconds + 1:
            number = signal.SIGXCPU
    advice = _ADVICE.get(number, "")
    if number == signal.SIGKILL and not usage and limited >= 0:
        advice = " It may have used up its CPU seconds: raise the limit with `ulimit -t`. Or else `dmesg` may say why."
    if number == signal.SIGKILL and out_of_memory:
        advice = f" Memory ran out{out_of_memory.limit()}. A step needs 1 GiB, and so does each job of a study."
    return f"its process ended with exit code {code}{name}{used}.{advice}{_limits()}"


def _limits() -> str:
    """Return a sentence on the limits that this process has and leaves to others."""
    values = {option: resource.getrlimit(kind)[0] for option, (kind, _, _) in _LIMITS.items()}
    few = [
        f"{value} {_LIMITS[option][1]} (ulimit -{option})"
        for option, value in values.items()
        if 0 <= value < _LIMITS[option][2]
    ]
    return f" Limits here: {', '.join(few)}." if few else ""
