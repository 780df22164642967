"""What a study costs: per seed against the tutorial's `fit`, and how that grows with the number of seeds."""

from dataclasses import replace
from typing import Any

import pytest

from benchmarks import process
from fmnist.steps.settings import Settings

GROWTH = (4, 16, 60)


def test_a_worker_needs_little_memory(pace: process.Pace, study: process.Study, measured: dict[str, Any]) -> None:
    """No process of a study takes 1.2 GiB."""
    measured |= costs(pace.fit, study) | {"peak GiB": round(study.usage.memory, 3)}
    assert study.usage.memory < 1.2


def test_a_seed_among_60_costs_a_twelfth_of_fit(
    pace: process.Pace, study: process.Study, measured: dict[str, Any], pytestconfig: pytest.Config
) -> None:
    """On two cores, start and report included, each of 60 seeds costs at most 1/12 of the tutorial's fit."""
    if pytestconfig.getoption("seeds") < 60:
        pytest.skip("NOT CHECKED: needs --seeds 60")
    measured |= costs(pace.fit, study)
    assert measured["ratio"] >= 12


def costs(fit: float, study: process.Study) -> dict[str, float]:
    """Return what a seed of a study costs, start and report included, beside the tutorial's fit."""
    seeds = len(study.sample.results)
    told = {"fit seconds": fit, f"{seeds} seeds, seconds": study.usage.seconds}
    told |= {"seconds a seed": study.usage.seconds / seeds, "ratio": fit * seeds / study.usage.seconds}
    return {name: round(value, 2) for name, value in told.items()}


@pytest.fixture(scope="module")
def grown(
    settings: Settings, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> dict[int, process.Study]:
    """Studies of more and more seeds, of one epoch each."""
    one_epoch, jobs = replace(settings, epochs=1), pytestconfig.getoption("jobs")
    folder = tmp_path_factory.mktemp("grown")
    return {seeds: process.study(one_epoch, seeds, jobs, folder / str(seeds)) for seeds in GROWTH}


def test_a_study_grows_linearly(grown: dict[int, process.Study], measured: dict[str, Any]) -> None:
    """60 seeds take the core seconds that 4 and 16 foretell, but for noise, and memory levels off."""
    few, some, many = (grown[seeds].usage for seeds in GROWTH)
    measured |= {f"{seeds} seeds, core seconds": round(study.usage.core_seconds, 2) for seeds, study in grown.items()}
    measured |= {f"{seeds} seeds, GiB": round(study.usage.memory, 3) for seeds, study in grown.items()}
    each = (some.core_seconds - few.core_seconds) / (GROWTH[1] - GROWTH[0])
    foretold = some.core_seconds + each * (GROWTH[2] - GROWTH[1])
    measured["60 seeds, foretold"] = round(foretold, 2)
    assert many.core_seconds <= 1.5 * foretold
    assert many.memory <= 1.1 * some.memory
    assert many.memory < 1.2


def test_the_accuracies_are_the_same_each_time(grown: dict[int, process.Study], measured: dict[str, Any]) -> None:
    """The first seeds of each study have the same accuracies and models, bit for bit."""
    few, *others = ([(r.seed, r.accuracy, r.model) for r in study.sample.results] for study in grown.values())
    measured["seeds compared"] = len(few)
    assert all(other[: len(few)] == few for other in others)
