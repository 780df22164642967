# ruff: noqa: T201 - it talks to a program
"""Run pytest in forks of one process that has imported what takes long, one after the other.

The names of the modules to import are arguments. Each line on stdin is a request in JSON: `folder`, where the project
is, `environment`, `arguments` for pytest, and the files `log`, for what is printed, and `failed`, for the first test
that fails. The answer on stdout is a line with the process id of the fork, which leads a process group, and when it
ends a line with its exit code.
"""

import gc
import importlib
import json
import os
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class FirstFailure:
    """A plugin of pytest that writes the id of the first test that fails into a file."""

    path: Path

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Look at a test's set-up, call or tear-down."""
        if report.failed and not self.path.exists():
            self.path.write_text(report.nodeid)


def run_tests(request: dict[str, Any]) -> int:
    """Run pytest as if this process had just started in the project; return its exit code."""
    os.setsid()
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for descriptor, opened in enumerate([os.open(os.devnull, os.O_RDONLY), log, log]):
        os.dup2(opened, descriptor)
    sys.path[0] = request["folder"]  # in place of this file's folder
    found = find_spec("fmnist")
    if found is None or not str(found.origin).startswith(request["folder"]):
        print(f"expected to test the package in {request['folder']}, got {found}", flush=True)
        return 2
    # pytest cannot rewrite the assertions of plugins that are imported already.
    arguments = [*request["arguments"], "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    code = pytest.main(arguments, plugins=[FirstFailure(Path(request["failed"]))])
    sys.stdout.flush()
    return int(code)


def main() -> None:
    """Import the modules, and answer requests until there are no more."""
    for name in sys.argv[1:]:
        importlib.import_module(name)
    gc.freeze()
    for line in sys.stdin:
        process = os.fork()
        if not process:
            code = 2
            try:
                code = run_tests(json.loads(line))
            finally:
                os._exit(code)
        print(process, flush=True)
        _, status = os.waitpid(process, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
