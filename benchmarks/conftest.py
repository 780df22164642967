"""Options of the benchmarks, and their result: a JSON file, written pass or fail, and a table at the end."""

import importlib.metadata
import json
import platform
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import process
from fmnist.replication import published
from fmnist.steps import determinism
from fmnist.steps.settings import Settings

#: Scripts, started by a benchmark; pytest would import them to look for doctests.
collect_ignore = ["seeding_trap.py", "tutorial.py"]

RESULTS = Path(__file__).parent / "results"

#: Marks the benchmarks that run only where they are asked for, and have their own result.
TRAP = "trap"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("fmnist", "benchmarks of fmnist")
    group.addoption(
        "--epochs", type=int, default=10, help="epochs to train; compared with the figures published for them"
    )
    group.addoption("--seeds", type=int, default=20, help="how many seeds to train, from 0 on  [default: 20]")
    group.addoption("--jobs", type=int, default=2, help="how many seeds to train at once  [default: 2]")
    group.addoption("--trap-runs", type=int, default=20, help="runs of each variant of the seeding trap  [default: 20]")


def pytest_configure(config: pytest.Config) -> None:
    """Refuse epochs for which nothing was published, and start the clock."""
    epochs = config.getoption("epochs")
    known = sorted({figure.parameters["epochs"] for figure in published.figures()})
    if epochs not in known:
        raise pytest.UsageError(f"--epochs: expected one of {known}, for which an accuracy was published, got {epochs}")
    for name, least in (("seeds", 8), ("jobs", 1), ("trap_runs", 2)):
        if (got := config.getoption(name)) < least:
            raise pytest.UsageError(f"--{name.replace('_', '-')}: expected at least {least}, got {got}")
    config.stash[MEASURED] = {}
    config.stash[STARTED] = time.time()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the benchmarks in the order of their files, which pytest-randomly has shuffled, and of their parameters."""
    items.sort(key=lambda item: item.location)


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


@pytest.fixture(scope="session")
def pace(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> process.Pace:
    """The tutorial's seconds and ours."""
    return process.pace(settings, tmp_path_factory.mktemp("pace") / "run")


@pytest.fixture(scope="session")
def study(settings: Settings, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> process.Study:
    """`fmnist study` of the seeds that were asked for."""
    seeds, jobs = pytestconfig.getoption("seeds"), pytestconfig.getoption("jobs")
    return process.study(settings, seeds, jobs, tmp_path_factory.mktemp("study") / "study")


@pytest.fixture
def measured(pytestconfig: pytest.Config, request: pytest.FixtureRequest) -> dict[str, Any]:
    """What this benchmark measured: it ends up in the JSON file and in the table, pass or fail."""
    return pytestconfig.stash[MEASURED].setdefault(request.node.name, {})


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> Iterator[None]:
    """Write the JSON file, and a table of what was measured, below pytest's own summary."""
    yield
    outcomes = {
        report.head_line: outcome
        for outcome in ("passed", "failed", "error")
        for report in terminalreporter.getreports(outcome)
    }
    measured, marker = config.stash[MEASURED], config.getoption("markexpr")
    if not outcomes:
        return
    result = {
        **{name: config.getoption(name) for name in ("epochs", "seeds", "jobs")},
        "benchmarks": {name: {"outcome": outcome, **measured.get(name, {})} for name, outcome in outcomes.items()},
        "versions": {name: importlib.metadata.version(name) for name in ("fmnist", "keras", "kfp", "tensorflow")},
        "commit": _commit(),
        "machine": {"system": platform.platform(), "cpu": determinism.cpu()},
        "seconds": round(time.time() - config.stash[STARTED], 1),
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"epochs-{result['epochs']}{f'-{TRAP}' if marker == TRAP else ''}.json"
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    terminalreporter.section("measured")
    for name, outcome in outcomes.items():
        for key, value in measured.get(name, {"": ""}).items():
            terminalreporter.line(f"{outcome:7} {name:48} {key:24} {value}")
    terminalreporter.line(f"written to {path}")


def _commit() -> str | None:
    done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False, cwd=RESULTS.parent)
    return done.stdout.strip() or None
