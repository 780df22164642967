"""Whether the published accuracy replicates, on a few seeds."""

from dataclasses import replace
from typing import Any

import pytest

from fmnist.replication import verdict
from fmnist.replication.published import Figure
from fmnist.steps import dataset, evaluation, training
from fmnist.steps.settings import Settings


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
    """The mean accuracy over the seeds is equivalent to each figure published for these epochs, by the verdict."""
    measured["accuracies"] = accuracies
    verdicts = {figure.name: verdict.judge(figure.accuracy, accuracies) for figure in figures}
    for name, judged in verdicts.items():
        measured["mean"] = round(judged.mean, 5)
        measured[name] = f"{judged.published:.4f} {judged.outcome} (p of equivalence {judged.p_equivalence:.4f})"
    assert all(judged.equivalent for judged in verdicts.values())
