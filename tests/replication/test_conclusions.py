"""Tests of what n seeds say of the published accuracies."""

import json
import math
import warnings
from importlib.resources import files as resources
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fmnist.replication import conclusions, published, verdict
from fmnist.steps import files
from fmnist.steps.dataset import CLASS_NAMES

PARAMETERS = {"compile_optimizer": "adam", "epochs": 10, "validation_split": 0.05}
EXAMPLE = published.figures()[1]


def of_classes(*matrices: Any) -> NDArray[np.float64]:
    """Return the recalls of seeds with these confusion matrices."""
    return np.array([conclusions.recalls(matrix) for matrix in matrices])


SPREAD = [0.870, 0.875, 0.880, 0.885, 0.890] * 12


def test_each_published_figure_has_a_conclusion() -> None:
    """The figures published for the parameters are judged, each by the same accuracies."""
    spread = [*SPREAD, 0.8804321]  # to their last digit
    found = conclusions.conclude(PARAMETERS, spread)
    assert [one.figure.name for one in found] == ["tensorflow-tutorial", "same-example-10-epochs"]
    for one in found:
        assert one.verdict == verdict.judge(one.figure.accuracy, spread)


def test_where_nothing_was_published_nothing_is_concluded() -> None:
    """Other parameters have no figure to be judged by."""
    assert conclusions.conclude({**PARAMETERS, "epochs": 11}, SPREAD) == ()
    assert conclusions.conclude({"epochs": 10, "validation_split": 0.05}, SPREAD) == ()


def test_each_class_is_compared_where_a_matrix_was_published() -> None:
    """Published recall, mean and deviation over the seeds, for each class in the order of the labels."""
    counts = np.diag([900] * 10) + np.diag([100] * 9, 1)
    counts[9, 0] = 100
    tutorial, example = conclusions.conclude(PARAMETERS, [0.88, 0.90], of_classes(EXAMPLE.counts, counts))
    assert tutorial.classes == ()
    assert [one.name for one in example.classes] == list(CLASS_NAMES)
    assert [one.published for one in example.classes][:2] == [0.860, 0.974]
    top = example.classes[0]
    assert top.mean == pytest.approx(0.880, abs=1e-15)
    assert top.deviation == pytest.approx(0.040 / math.sqrt(2))


def test_the_published_classes_are_in_the_order_of_the_labels() -> None:
    """The published matrix names its classes as the dataset does, but for the first."""
    text = resources("fmnist.replication").joinpath("published.json").read_text()
    [entry] = [f for f in json.loads(text)["figures"] if "class_names" in f]
    assert tuple(entry["class_names"][1:]) == CLASS_NAMES[1:]
    assert entry["class_names"][0] in CLASS_NAMES[0].title()


def test_a_class_that_never_was_so_low_is_seen() -> None:
    """The p of a class is that of the joint rank test of all ten."""
    rng = np.random.default_rng(0)
    base = np.array(EXAMPLE.counts)

    def draw() -> NDArray[np.int64]:
        counts = base.copy()
        for row, column, moved in zip(range(10), [1] * 9 + [0], rng.integers(-20, 20, 10), strict=True):
            other = column if row != column else 2
            counts[row, row] -= moved
            counts[row, other] += moved
        counts[6, 6] += 150
        counts[6, 0] -= 150
        return counts

    example = conclusions.conclude(PARAMETERS, [0.88] * 40, of_classes(*[draw() for _ in range(40)]))[1]
    low = [one.name for one in example.classes if one.p <= verdict.LEVEL]
    assert low == ["Shirt"]
    assert example.classes[6].p == pytest.approx(1 / 41)


def test_the_recalls_are_shares_of_rows() -> None:
    """The recall of a class is counted over the images of the class, not over those taken for it."""
    assert conclusions.recalls([[8, 2], [5, 5]]).tolist() == [0.8, 0.5]


@pytest.mark.parametrize(
    ("accuracies", "sentence"),
    [
        (
            SPREAD,
            "The tutorial's published accuracy of 0.8693 is near the average, but would be an unusual single run: "
            "the mean of 60 seeds, 0.8800, is within 0.015 of it.",
        ),
        (
            [0.868, 0.870, 0.871] * 7,
            "The tutorial's published accuracy of 0.8693 replicates: it is a plausible single run, and "
            "the mean of 21 seeds, 0.8697, is within 0.015 of it.",
        ),
        (
            [0.874, 0.876] * 10,
            "The tutorial's published accuracy of 0.8693 is near the average, but would be an unusual single run: "
            "the mean of 20 seeds, 0.8750, is within 0.015 of it.",
        ),
        (
            [0.80, 0.96] * 10,
            "20 seeds cannot tell whether the tutorial's published accuracy of 0.8693 replicates: "
            "the mean of 20 seeds, 0.8800, is not shown to be within 0.015 of it.",
        ),
        (
            [0.5, 1.0] * 500,
            "1,000 seeds cannot tell whether the tutorial's published accuracy of 0.8693 replicates: "
            "the mean of 1,000 seeds, 0.7500, is not shown to be within 0.015 of it.",
        ),
        (
            [0.868, 0.870],
            "2 seeds cannot tell whether the tutorial's published accuracy of 0.8693 replicates: "
            "the mean of 2 seeds, 0.8690, is a hint, and a verdict takes at least 20.",
        ),
        (
            [0.80, 0.96],
            "2 seeds cannot tell whether the tutorial's published accuracy of 0.8693 replicates: "
            "the mean of 2 seeds, 0.8800, is a hint, and a verdict takes at least 20.",
        ),
        (
            [0.5] * 1_000,
            "The tutorial's published accuracy of 0.8693 does not replicate: no run is expected there, and "
            "the mean of 1,000 seeds, 0.5000, is not shown to be within 0.015 of it.",
        ),
        (
            [0.8693],
            "One run cannot tell whether the tutorial's published accuracy of 0.8693 replicates: "
            "a spread takes more than one.",
        ),
    ],
    ids=[
        "unusual",
        "replicated",
        "unusual by the interval",
        "inconclusive",
        "a thousand",
        "few",
        "few and far",
        "not replicated",
        "one run",
    ],
)
def test_a_sentence_says_it_all(accuracies: list[float], sentence: str) -> None:
    """The verdict in one sentence, to the last word, with the mean where there is one."""
    assert conclusions.conclude(PARAMETERS, accuracies)[0].sentence == sentence


def test_json_says_what_cannot_be_said() -> None:
    """One seed has no deviation and an interval without end: null, which every reader of JSON takes."""
    found = conclusions.conclude(PARAMETERS, [0.88], of_classes(EXAMPLE.counts))
    values = json.loads(files.canonical_json([one.as_json() for one in found]))
    assert values[0]["deviation"] is None
    assert values[0]["interval"] == [None, None]
    assert values[0]["outcome"] == "inconclusive"
    assert values[1]["classes"][0]["deviation"] is None


def test_json_holds_what_the_verdict_rests_on() -> None:
    """Outcome, sentence, p values, interval and classes, by name."""
    other = np.array(EXAMPLE.counts)
    other[3, 3:5] += (-1, 1)
    one = conclusions.conclude(PARAMETERS, SPREAD, of_classes(*[EXAMPLE.counts] * 59, other))[1]
    values = json.loads(files.canonical_json(one.as_json()))
    assert values["name"] == "same-example-10-epochs"
    assert values["outcome"] == one.verdict.outcome == "replicated"
    assert values["sentence"] == one.sentence
    assert values["source"] == one.figure.source
    assert values["p_rank"] == one.verdict.p_rank
    assert values["interval"] == list(one.verdict.interval)
    assert values["classes"][3] == {
        "name": "Dress",
        "published": 0.88,
        "mean": pytest.approx(0.88 - 0.001 / 60, rel=1e-12),
        "deviation": pytest.approx(0.001 / math.sqrt(60), rel=1e-9),
        "p": 1.0,
    }


def test_a_class_without_images_has_no_recall() -> None:
    """It is no number, without a warning; the others have theirs."""
    with warnings.catch_warnings(action="error"):
        first, second = conclusions.recalls([[0, 0], [1, 3]])
    assert math.isnan(first)
    assert second == 0.75
