"""The golden values: what the default settings gave when they were first run."""

import hashlib
import json
from pathlib import Path

from support import helpers

from fmnist.steps import evaluation, files, training
from fmnist.steps.confusion import confusion_matrix
from fmnist.steps.dataset import Split
from fmnist.steps.settings import Settings

FOLDER = Path(__file__).with_name("golden")

#: Accuracy, and the digest of the weights; a change here is a change of the experiment.
GOLDEN = json.loads((FOLDER / "golden.json").read_text())

#: The SHA-256 of each file of the artifacts.
FILES = json.loads((FOLDER / "run.json").read_text())


def digests(*results: files.Artifacts) -> dict[str, str]:
    """Return the SHA-256 of each file of some results' artifacts."""
    artifacts = {name: content for result in results for name, content in result.artifacts().items()}
    flat = {name: content for name, content in artifacts.items() if isinstance(content, bytes)}
    for name, content in artifacts.items():
        if not isinstance(content, bytes):
            flat |= {f"{name}/{file}": data for file, data in content.items()}
    return {name: hashlib.sha256(content).hexdigest() for name, content in flat.items()}


def test_the_default_run_is_the_golden_one(training_set: Split, test_set: Split) -> None:
    """Seed 0, 10 epochs, validation 0.05: weights, accuracy and each file are the recorded ones, to the last bit."""
    trained = training.train(Settings(), training_set, on_epoch=lambda *_: None)
    tested = evaluation.test(trained.model, test_set)
    assert 0.87 <= tested.accuracy <= 0.89
    assert {"accuracy": tested.accuracy, "weights": helpers.digest(trained.model)} == GOLDEN
    assert digests(trained, tested, confusion_matrix(tested.labels)) == FILES


def test_the_golden_values_are_the_first_ones() -> None:
    """What everything is compared with has not changed itself."""
    assert GOLDEN == {
        "accuracy": 0.8856,
        "weights": "d68ab8d36ac844e0ef4da1959ce6919a2dd3fb646418d0f7bb4466dfe3ea2d6a",
    }
    assert FILES["model"] == "b8e5f7053f21be9c7475d20e31d56b75062c281d3e2bdd09c4ab5bb65a6d102b"
