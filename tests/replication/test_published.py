"""Tests of the published figures."""

import hashlib
from importlib.resources import files

import pytest

from fmnist.replication import published
from fmnist.steps.settings import Settings


def test_the_figures_are_those_published() -> None:
    """Names and accuracies, the tutorial's first."""
    assert [(figure.name, figure.accuracy) for figure in published.figures()] == [
        ("tensorflow-tutorial", 0.8693),
        ("same-example-10-epochs", 0.8822),
        ("same-example-100-epochs", 0.8819),
    ]


def test_no_digit_of_a_figure_changes() -> None:
    """The file is the one whose figures were read from their sources."""
    content = (files("fmnist.replication") / "published.json").read_bytes()
    assert hashlib.sha256(content).hexdigest() == "8e81461460b3e0e3a257a217ded85d58697d60203b9cbb4f8f88330e962de01d"


def test_a_published_matrix_adds_up() -> None:
    """Each class has its 1,000 test images, and those on the diagonal are the published accuracy."""
    [figure] = [figure for figure in published.figures() if figure.counts]
    assert figure.name == "same-example-10-epochs"
    assert [sum(row) for row in figure.counts or ()] == [1_000] * 10
    assert sum((figure.counts or ())[i][i] for i in range(10)) == 8_822 == round(figure.accuracy * 10_000)
    assert [sum(column) for column in zip(*(figure.counts or ()), strict=True)] == [
        *(1_055, 992, 981, 977, 996, 1_010, 982, 903, 1_015, 1_089),
    ]


def test_each_figure_says_where_it_was_published() -> None:
    """A reader can look each figure up, the first in TensorFlow's tutorial, and learns how it differs."""
    sources = [figure.source for figure in published.figures()]
    assert all("https://" in source for source in sources)
    notes = [figure.note for figure in published.figures()]
    assert "trains on all 60,000 images" in notes[0]
    assert notes[2] == ""
    assert sources[0].startswith("https://www.tensorflow.org/tutorials/keras/classification")


def test_a_run_of_just_a_figures_parameters_is_compared_with_it() -> None:
    """A run need not have more parameters than the figure, and may have."""
    for figure in published.figures():
        assert figure in published.matching(figure.parameters)
        assert figure in published.matching({**figure.parameters, "another": 1})
    assert published.matching({"compile_optimizer": "adam", "epochs": "10", "validation_split": "0.05"}) == ()
    entry = {"name": "theirs", "by": "", "accuracy": 0.87, "parameters": {"epochs": 10, "layers": 2}, "source": "it"}
    assert published.figure(entry) == published.Figure("theirs", "", 0.87, {"epochs": 10, "layers": 2}, "it")
    for compared in ({"epochs": 10}, {}):
        assert published.figure(entry | {"compared_with": compared}).parameters == compared


def test_the_parameters_of_each_figure_are_valid() -> None:
    """Each figure can be compared with: its parameters are settings of the pipeline."""
    for figure in published.figures():
        assert vars(Settings.parse(figure.parameters)).items() >= figure.parameters.items()


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        (Settings(), ["tensorflow-tutorial", "same-example-10-epochs"]),
        (Settings(seed=5), ["tensorflow-tutorial", "same-example-10-epochs"]),
        (Settings(epochs=100, validation_split=0.1), ["same-example-100-epochs"]),
        (Settings(epochs=11), []),
        (Settings("sgd"), []),
    ],
    ids=["defaults", "another seed", "100 epochs", "11 epochs", "sgd"],
)
def test_a_run_is_compared_with_figures_of_its_parameters(settings: Settings, names: list[str]) -> None:
    """Only figures for the same parameters are compared with; the seed does not matter."""
    assert [figure.name for figure in published.matching(vars(settings))] == names
