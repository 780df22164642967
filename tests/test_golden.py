"""The golden value: what the default settings gave when they were first run."""

import json
from pathlib import Path

from support import helpers

from fmnist.steps import evaluation, training
from fmnist.steps.dataset import Split
from fmnist.steps.settings import Settings

#: Accuracy, and the digest of the weights; a change here is a change of the experiment.
GOLDEN = json.loads(Path(__file__).with_name("golden").joinpath("golden.json").read_text())


def test_the_default_run_is_the_golden_one(training_set: Split, test_set: Split) -> None:
    """Seed 0, 10 epochs, validation 0.05: weights and accuracy are the recorded ones, and within 0.87 to 0.89."""
    trained = training.train(Settings(), training_set, on_epoch=lambda *_: None)
    accuracy = evaluation.test(trained.model, test_set).accuracy
    assert 0.87 <= accuracy <= 0.89
    assert {"accuracy": accuracy, "weights": helpers.digest(trained.model)} == GOLDEN
