# ruff: noqa: T201 - it is read in a log
"""Run pytest on the project in the working folder, and write down the first test that fails.

The arguments are the file to write to, and pytest's own.
"""

import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest


@dataclass(frozen=True)
class FirstFailure:
    """A plugin of pytest that writes the id of the first test that fails into a file."""

    path: Path

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Let tests that the arguments name one by one run before those of the files."""
        items.sort(key=lambda item: item.nodeid.partition("[")[0] not in config.args)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Look at a test's set-up, call or tear-down."""
        if report.failed and not self.path.exists():
            self.path.write_text(report.nodeid)


def main(failed: str, *arguments: str) -> int:
    """Run pytest, if it is the package here that would be tested; return its exit code."""
    folder = str(Path.cwd())
    sys.path[0] = folder  # in place of this file's
    found = find_spec("fmnist")
    if found is None or not str(found.origin).startswith(folder):
        print(f"expected to test the package in {folder}, got {found}")
        return 2
    # pytest cannot rewrite the assertions of plugins that are imported already.
    options = [*arguments, "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    return int(pytest.main(options, plugins=[FirstFailure(Path(failed))]))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
