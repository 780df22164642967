"""Tests of the confusion matrix step."""

import csv
import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmnist.steps.confusion import ConfusionMatrix, confusion_matrix
from fmnist.steps.errors import ContractError
from fmnist.steps.labels import Labels

CLASSES = 4


@given(pairs=st.lists(st.tuples(st.integers(0, CLASSES - 1), st.integers(0, CLASSES - 1)), min_size=1))
def test_counts_are_by_true_row_and_predicted_column(pairs: list[tuple[int, int]]) -> None:
    """Field (i, j) counts the images of class i that were taken for class j."""
    true, predicted = np.array(pairs, np.int64).T
    counts = confusion_matrix(Labels(true, predicted, ("a", "b", "c", "d"))).counts
    expected = [[pairs.count((i, j)) for j in range(CLASSES)] for i in range(CLASSES)]
    assert counts.tolist() == expected


def test_a_class_that_never_occurs_has_its_row_and_column() -> None:
    """The matrix has all classes, also those without an image."""
    labels = Labels(np.array([0, 0]), np.array([0, 0]), ("a", "b", "c"))
    matrix = confusion_matrix(labels)
    assert matrix.counts.tolist() == [[2, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert matrix.counts.dtype == np.int64
    assert matrix.class_names == ("a", "b", "c")


def test_the_matrix_is_written_and_drawn() -> None:
    """The step's artifacts are a CSV and a PNG."""
    artifacts = ConfusionMatrix(np.array([[3, 1], [0, 2]]), ("cat", "dog")).artifacts()
    beginnings = {name: bytes(content)[:4] for name, content in artifacts.items()}  # type: ignore[arg-type]
    assert beginnings == {"matrix": b"true", "matrix_plot": b"\x89PNG"}


@pytest.mark.parametrize("classes", [2, 13])
def test_it_works_on_labels_of_another_pipeline(classes: int) -> None:
    """Any number of classes with names in any script are counted, written and drawn."""
    names = tuple(f"класс №{i}, «$x_{i}$»" for i in range(classes))
    rng = np.random.default_rng(0)
    labels = Labels(rng.integers(0, classes, 500), rng.integers(0, classes, 500), names)
    matrix = confusion_matrix(labels)
    assert matrix.counts.sum() == 500
    assert matrix.artifacts()["matrix_plot"][:4] == b"\x89PNG"  # type: ignore[index]


def test_the_csv_says_what_rows_and_columns_are() -> None:
    """The file has a header of predicted names and a row for each true name, each ended as on Linux."""
    matrix = ConfusionMatrix(np.array([[3, 1], [0, 2]]), ("cat, old", "dog"))
    rows = list(csv.reader(io.StringIO(str(matrix.artifacts()["matrix"], "utf-8"))))  # type: ignore[arg-type]
    assert b"\r" not in matrix.artifacts()["matrix"]
    assert rows == [["true \\ predicted", "cat, old", "dog"], ["cat, old", "3", "1"], ["dog", "0", "2"]]


def test_no_name_is_a_formula_in_the_table() -> None:
    """A spreadsheet that opens the table computes nothing, and no name steers a terminal."""
    names = ("=1+1", "@a", "T-shirt/top", "\x1b[2J")
    matrix = ConfusionMatrix(np.eye(4, dtype=np.int64), names).artifacts()["matrix"]
    assert matrix == (
        b"true \\ predicted,'=1+1,'@a,T-shirt/top,\\x1b[2J\n"
        b"'=1+1,1,0,0,0\n'@a,0,1,0,0\nT-shirt/top,0,0,1,0\n\\x1b[2J,0,0,0,1\n"
    )


@pytest.mark.parametrize("value", [None, [0, 1], {"true": [0]}], ids=["None", "a list", "a dict"])
def test_what_is_no_labels_is_named(value: Any) -> None:
    """The error says what was expected and what came."""
    got = {"NoneType": "None", "list": "a list", "dict": "a dict"}[type(value).__name__]
    with pytest.raises(ContractError) as caught:
        confusion_matrix(value)
    assert str(caught.value) == f"labels: expected Labels, as those of an Evaluation, got {got}."
