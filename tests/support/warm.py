"""A Python that has started TensorFlow already: each program that it runs is a fork of one process.

For what runs many programs and is not about how one starts. A program gets the arguments, working folder, environment
and files that it was started with; only what others wrote was imported before. It leads a process group, which ends
with it, or when the one who started it does. As a program, this module is the process that forks; its arguments are the
socket to listen on, its environment as JSON, and the modules to import.
"""

import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

#: What takes long of what steps import.
MODULES = ("tensorflow", "keras", "kfp.dsl.executor", "matplotlib.figure", "sklearn.metrics", "scipy.stats")

#: Hands all that it has to the process that forks, and ends as the fork does.
CLIENT = """
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect(sys.argv[1])
    socket.send_fds(server, [b"."], [0, 1, 2])
    server.sendall(json.dumps([sys.argv[2:], os.getcwd(), dict(os.environ)]).encode() + b"\\n")
    sys.exit(int(server.recv(10)))
"""


@contextlib.contextmanager
def python(folder: Path, environment: Mapping[str, str], modules: Sequence[str] = MODULES) -> Iterator[str]:
    """Give the path of the Python, which takes a file or ``-m`` and a module; `environment` is added to each one's."""
    address, program = folder / "socket", folder / "python"
    # The address of a socket has at most 107 bytes, so its folder is an open file here.
    client = shlex.join([sys.executable, "-ISc", CLIENT, f"/proc/self/fd/9/{address.name}"])
    program.write_text(f'#!/bin/sh\nexec {client} "$@" 9<{shlex.quote(str(folder))}\n')
    program.chmod(0o755)
    command = [sys.executable, __file__, str(address), json.dumps(dict(environment)), *modules]
    # In a session of its own, where no Ctrl-C reaches it.
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline(), "expected a process that listens, got one that ended: see its error"
        try:
            yield str(program)
        finally:
            process.kill()


def started() -> dict[str, str]:
    """Return the environment that TensorFlow needs when it starts."""
    from fmnist.steps.determinism import SWITCHES

    return {**SWITCHES, "KERAS_HOME": f"{os.devnull}/keras", "TF_CPP_MIN_LOG_LEVEL": "2"}


def main(address: str, environment: str, *modules: str) -> None:
    """Import the modules, and fork for each client."""
    added = json.loads(environment)
    os.environ.update(added)
    for name in modules:
        importlib.import_module(name)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listening:
        folder = os.open(Path(address).parent, os.O_PATH)
        listening.bind(f"/proc/self/fd/{folder}/{Path(address).name}")
        os.close(folder)
        listening.listen()
        os.write(1, b"\n")
        while (
            0 not in select.select([listening.fileno(), 0], [], [])[0]
        ):  # which is closed when the other process has ended
            client, _ = listening.accept()
            if not os.fork():
                serve(client, added)
            client.close()


def serve(client: socket.socket, added: Mapping[str, str]) -> None:
    """Run a program in one more fork, and tell the client how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, files, *_ = socket.recv_fds(client, 1, 3)
    with client.makefile() as requests:
        arguments, folder, environment = json.loads(requests.readline())
    process = os.fork()
    if not process:
        os.setsid()
        for number, file in enumerate(files):
            os.dup2(file, number)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment | added)
        run(arguments)
    select.select([client.fileno(), os.pidfd_open(process)], [], [])
    for kill in (os.kill, os.killpg):
        with contextlib.suppress(ProcessLookupError):
            kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    with contextlib.suppress(BrokenPipeError):
        client.sendall(b"%d" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def run(arguments: list[str]) -> None:
    """Be the Python that has these arguments, to its end."""
    code: object = 1
    tempfile.tempdir = None
    is_module = arguments[0] == "-m"
    sys.argv = arguments[is_module:]
    folder = str(Path.cwd() if is_module else Path(arguments[0]).parent)
    sys.path[:1] = [] if "PYTHONSAFEPATH" in os.environ else [folder]
    try:
        (runpy.run_module if is_module else runpy.run_path)(sys.argv[0], run_name="__main__")
        code = 0
    except SystemExit as error:
        code = error.code or 0
    except BaseException:  # noqa: BLE001 - as Python shows any error
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        os._exit(code if isinstance(code, int) else 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
