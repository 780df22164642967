"""What a study costs: per seed against the tutorial's `fit`, and how that grows with the number of seeds."""

from dataclasses import replace
from typing import Any

import pytest

from benchmarks import process
from fmnist.steps.settings import Settings

GROWTH = (4, 16, 60)


@pytest.fixture(scope="module")
def small(settings: Settings, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> process.Study:
    """The first few seeds of the study, as a study of their own."""
    folder = tmp_path_factory.mktemp("small") / "study"
    return process.study(settings, GROWTH[0], pytestconfig.getoption("jobs"), folder)


def test_a_seed_costs_a_twelfth_of_fit(
    pace: process.Pace, study: process.Study, small: process.Study, measured: dict[str, Any]
) -> None:
    """On two cores each seed that a study has more costs at most 1/12 of the tutorial's fit; its start costs once."""
    (few, start), (many, all_) = ((len(one.sample.results), one.usage.seconds) for one in (small, study))
    each = (all_ - start) / (many - few)
    measured |= {"fit seconds": round(pace.fit, 2), "seconds a seed": round(each, 3)}
    measured |= {f"{few} seeds, seconds": round(start, 2), f"{many} seeds, seconds": round(all_, 2)}
    measured["ratio with the start"] = round(pace.fit * many / all_, 2)
    measured["ratio"] = round(pace.fit / each, 2)
    assert measured["ratio"] >= 12


def test_a_worker_needs_little_memory(study: process.Study, measured: dict[str, Any]) -> None:
    """No process of a study takes 1.2 GiB."""
    measured["peak GiB"] = round(study.usage.memory, 3)
    assert study.usage.memory < 1.2


@pytest.fixture(scope="module")
def grown(
    settings: Settings, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> dict[int, process.Study]:
    """Studies of more and more seeds, of one epoch each."""
    one_epoch, jobs = replace(settings, epochs=1), pytestconfig.getoption("jobs")
    folder = tmp_path_factory.mktemp("grown")
    return {seeds: process.study(one_epoch, seeds, jobs, folder / str(seeds)) for seeds in GROWTH}


def test_a_study_grows_linearly(grown: dict[int, process.Study], measured: dict[str, Any]) -> None:
    """A seed among 60 costs the core seconds of one among 16, but for noise, and memory stays flat."""
    few, some, many = (grown[seeds].usage for seeds in GROWTH)
    measured |= {f"{seeds} seeds, seconds": round(study.usage.seconds, 2) for seeds, study in grown.items()}
    measured |= {f"{seeds} seeds, GiB": round(study.usage.memory, 3) for seeds, study in grown.items()}
    first = (some.core_seconds - few.core_seconds) / (GROWTH[1] - GROWTH[0])
    then = (many.core_seconds - some.core_seconds) / (GROWTH[2] - GROWTH[1])
    measured |= {"core seconds a seed, 4 to 16": round(first, 3), "core seconds a seed, 16 to 60": round(then, 3)}
    assert then <= 1.5 * first
    assert many.memory <= 1.05 * few.memory


def test_the_accuracies_are_the_same_each_time(grown: dict[int, process.Study], measured: dict[str, Any]) -> None:
    """The first seeds of each study have the same accuracies and models, bit for bit."""
    few, *others = ([(r.seed, r.accuracy, r.model) for r in study.sample.results] for study in grown.values())
    measured["seeds compared"] = len(few)
    assert all(other[: len(few)] == few for other in others)
