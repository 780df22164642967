"""A plugin of pytest: which lines and branches of fmnist the tests run, all workers together, and whether it suffices.

SlipCover marks the code of fmnist alone. To see it, coverage.py would trace every line of every library, on Pythons
before 3.14, which doubles the CPU seconds of the tests.
"""

import json
from typing import Any

import pytest
import slipcover

SOURCE = "fmnist"

#: The smallest share of lines and branches that the tests must run, in percent.
TARGET = 95.0

# A mark stays where it is: to take it out again costs more than it saves.
_MARKED = slipcover.Slipcover(branch=True, source=[SOURCE], d_miss_threshold=10**9)
# Here, before any of the code is imported.
slipcover.ImportManager(_MARKED, slipcover.FileMatcher(sources=[SOURCE])).__enter__()

_FOUND = pytest.StashKey[dict[str, Any]]()


def _found(config: pytest.Config) -> dict[str, Any]:
    return config.stash.setdefault(_FOUND, _MARKED.get_coverage())


def pytest_testnodedown(node: Any) -> None:
    """Add what a worker ran, unless it crashed, to what the others did."""
    if found := getattr(node, "workeroutput", {}).get(SOURCE):
        slipcover.merge_coverage(_found(node.config), json.loads(found))


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand over what this worker ran; where it is none, fail if all ran too little."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput[SOURCE] = json.dumps(_MARKED.get_coverage())
    elif session.exitstatus == pytest.ExitCode.OK and _share(session.config) < TARGET:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print a line for each file of which the tests leave something out, and the share of all."""
    slipcover.print_coverage(_found(config), outfile=terminalreporter, skip_covered=True)
    terminalreporter.line(f"covered: {_share(config):.1f} % of lines and branches, {TARGET:.0f} % are required")


def _share(config: pytest.Config) -> float:
    return float(_found(config)["summary"]["percent_covered"])
