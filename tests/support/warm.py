"""A Python that has started TensorFlow already: each program that it runs is a fork of one process.

For tests that run many steps and are not about how one starts. A program gets the arguments, working folder,
environment and files that it was started with; only what others wrote was imported before. As a program, this module is
the process that forks; its arguments are the socket to listen on, its environment as JSON, and the modules to import.
"""

import contextlib
import gc
import importlib
import json
import os
import runpy
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

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
    """Give the path of the Python, for programs that begin with ``-m``; `environment` is added to that of each."""
    address, program = folder / "socket", folder / "python"
    client = shlex.join([sys.executable, "-ISc", CLIENT, str(address)])
    program.write_text(f'#!/bin/sh\nexec {client} "$@"\n')
    program.chmod(0o755)
    command = [sys.executable, __file__, str(address), json.dumps(dict(environment)), *modules]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # now it listens
        yield str(program)
        process.kill()


def main(address: str, environment: str, *modules: str) -> None:
    """Import the modules, and fork for each client."""
    added = json.loads(environment)
    os.environ.update(added)
    for name in modules:
        importlib.import_module(name)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen()
        os.write(1, b"\n")
        while True:
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
        for number, file in enumerate(files):
            os.dup2(file, number)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment | added)
        run(arguments)
    _, status = os.waitpid(process, 0)
    client.sendall(b"%d" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def run(arguments: list[str]) -> None:
    """Be ``python3 -m`` of these arguments, to its end."""
    code: object = 1
    tempfile.tempdir = None
    sys.path[:1] = [] if "PYTHONSAFEPATH" in os.environ else [""]
    try:
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
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
