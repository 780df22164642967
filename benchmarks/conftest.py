"""Options of the benchmarks, and their result: a JSON file, written pass or fail, and a table at the end."""

import importlib.metadata
import json
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from fmnist.replication import published
from fmnist.steps import determinism
from fmnist.steps.settings import Settings

#: A script, started by a benchmark; pytest would import it to look for doctests.
collect_ignore = ["tutorial.py"]

RESULTS = Path(__file__).parent / "results"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("fmnist", "benchmarks of fmnist")
    group.addoption(
        "--epochs", type=int, default=10, help="epochs to train; compared with the figures published for them"
    )
    group.addoption("--seeds", type=int, default=5, help="how many seeds to train, from 0 on  [default: 5]")


def pytest_configure(config: pytest.Config) -> None:
    """Refuse epochs for which nothing was published, and start the clock."""
    epochs = config.getoption("epochs")
    known = sorted({figure.parameters["epochs"] for figure in published.figures()})
    if epochs not in known:
        raise pytest.UsageError(f"--epochs: expected one of {known}, for which an accuracy was published, got {epochs}")
    if config.getoption("seeds") < 1:
        raise pytest.UsageError(f"--seeds: expected at least 1, got {config.getoption('seeds')}")
    config.stash[MEASURED] = {}
    config.stash[STARTED] = time.time()


MEASURED = pytest.StashKey[dict[str, dict[str, Any]]]()
STARTED = pytest.StashKey[float]()


@pytest.fixture(scope="session")
def figures(pytestconfig: pytest.Config) -> tuple[published.Figure, ...]:
    """The published figures for these epochs; they have the same parameters."""
    epochs = pytestconfig.getoption("epochs")
    return tuple(figure for figure in published.figures() if figure.parameters["epochs"] == epochs)


@pytest.fixture(scope="session")
def settings(figures: tuple[published.Figure, ...]) -> Settings:
    """The parameters to benchmark, with seed 0."""
    return Settings.parse(figures[0].parameters)


@pytest.fixture
def measured(pytestconfig: pytest.Config, request: pytest.FixtureRequest) -> dict[str, Any]:
    """What this benchmark measured: it ends up in the JSON file and in the table, pass or fail."""
    return pytestconfig.stash[MEASURED].setdefault(request.node.name, {})


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Write the JSON file, and a table of what was measured."""
    outcomes = {
        report.head_line: outcome for outcome in ("passed", "failed") for report in terminalreporter.getreports(outcome)
    }
    result = {
        "epochs": config.getoption("epochs"),
        "seeds": config.getoption("seeds"),
        "benchmarks": {
            name: {"outcome": outcomes.get(name), **values} for name, values in config.stash[MEASURED].items()
        },
        "versions": {name: importlib.metadata.version(name) for name in ("fmnist", "keras", "kfp", "tensorflow")},
        "commit": _commit(),
        "machine": {"system": platform.platform(), "cpu": determinism.cpu()},
        "seconds": round(time.time() - config.stash[STARTED], 1),
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"epochs-{result['epochs']}.json"
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    terminalreporter.section("measured")
    for name, values in config.stash[MEASURED].items():
        for key, value in values.items():
            terminalreporter.line(f"{outcomes.get(name) or '?':7} {name:48} {key:24} {value}")
    terminalreporter.line(f"written to {path}")


def _commit() -> str | None:
    done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False, cwd=RESULTS.parent)
    return done.stdout.strip() or None
