"""Whether the published accuracy replicates, on a few seeds."""

from dataclasses import replace
from typing import Any

import pytest

from fmnist.replication.published import Figure
from fmnist.steps import dataset, evaluation, training
from fmnist.steps.settings import Settings

#: How far the mean over the seeds may be from a published one: the original's authors call 0.882 "similar" to 0.8693.
MARGIN = 0.015


@pytest.fixture(scope="module")
def accuracies(settings: Settings, pytestconfig: pytest.Config) -> list[float]:
    """The accuracy on the test set for each seed."""
    train, test = dataset.load("train"), dataset.load("test")
    seeds = range(pytestconfig.getoption("seeds"))
    networks = (training.train(replace(settings, seed=seed), train).model for seed in seeds)
    return [evaluation.test(network, test).accuracy for network in networks]


def test_accuracy_is_close_to_the_published(
    accuracies: list[float], figures: tuple[Figure, ...], measured: dict[str, Any]
) -> None:
    """The mean accuracy over the seeds is within the margin of each figure published for these epochs."""
    mean = sum(accuracies) / len(accuracies)
    measured |= {"accuracies": accuracies, "mean": round(mean, 5)}
    measured |= {f"minus {figure.name}": round(mean - figure.accuracy, 5) for figure in figures}
    assert all(abs(mean - figure.accuracy) < MARGIN for figure in figures)
