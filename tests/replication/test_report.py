"""Tests of the report of a run."""

import base64
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fmnist.replication import report
from fmnist.steps import determinism, files
from fmnist.steps.confusion import ConfusionMatrix
from fmnist.steps.errors import ContractError
from fmnist.steps.settings import Settings

RECORD = {
    "parameters": vars(Settings()),
    "metrics": {"accuracy": 0.8765, "loss": 0.3456},
    "versions": {"tensorflow": "2.0"},
    "code": {"sha256": "c0de"},
    "data": {"train-images-idx3-ubyte": "da7a"},
    "switches": dict(determinism.SWITCHES),
    "machine": {"system": "Linux", "cpu": {"architecture": "sparc", "model": "A <fast> CPU"}, "caveat": "Who knows."},
    "started": "2026-01-01T00:00:00+00:00",
    "seconds": 12.3,
}


HISTORY = {
    "loss": [0.5, 0.4, 0.3],
    "accuracy": [0.7, 0.8, 0.9],
    "val_loss": [0.6, 0.55, 0.5],
    "val_accuracy": [0.65, 0.7, 0.75],
}

#: The report takes pictures as they are, so these need show nothing.
PICTURES = {"loss_plot.png": b"\x89PNG of the loss", "confusion_matrix.png": b"\x89PNG of the matrix"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the report reads of a finished run of three epochs with two classes."""
    contents = PICTURES | {
        "run.json": files.canonical_json(RECORD),
        "history.json": files.canonical_json(HISTORY),
        "confusion_matrix.csv": ConfusionMatrix(np.array([[1, 2], [0, 1]]), ("cat", "<dog>"))._csv(),
    }
    for name, content in contents.items():
        files.write(tmp_path / name, content)
    return tmp_path


class Page(HTMLParser):
    """What a reader of a page gets."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words, self.images, self.references = "", [], []  # type: ignore[var-annotated]
        self.feed(text)

    def handle_data(self, data: str) -> None:
        self.words += " " + " ".join(data.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, Any]]) -> None:
        values = dict(attrs)
        self.references += [values[name] for name in ("src", "href") if name in values]
        if tag == "img":
            self.images.append(values["alt"])


@pytest.fixture
def page(folder: Path) -> Page:
    """The report, as read."""
    return Page(report.write(folder).read_text(encoding="utf-8"))


def test_the_report_says_the_accuracy_and_the_published_one(page: Page) -> None:
    """The first words are the accuracy, then the published figures with their difference."""
    assert "0.8765 of the 10,000 test images" in re.sub(r"\s+", " ", page.words)
    assert "Published: 0.8693" in page.words
    assert "+0.0072" in page.words


def test_both_pictures_are_inside_and_described(page: Page) -> None:
    """The page refers to nothing but its own pictures, and says in words what they show."""
    expected = ["data:image/png;base64," + base64.b64encode(content).decode() for content in PICTURES.values()]
    assert page.references == expected
    assert page.images[0].startswith("Line plots of loss and accuracy by epoch")
    assert page.images[1].startswith("Confusion matrix: rows are the true label")


def test_the_picture_of_the_loss_is_described_by_its_last_epoch(page: Page) -> None:
    """Who cannot see the curves reads where they end."""
    assert "the training loss is 0.3000, the validation loss 0.5000" in page.images[0]
    assert "the training accuracy 0.9000, the validation accuracy 0.7500" in page.images[0]


def test_each_class_has_its_recall(page: Page) -> None:
    """The table says how many images of a class were found, and what the others were taken for."""
    assert "cat 3 0.333 <dog> (2)" in re.sub(r"\s+", " ", page.words)
    assert "<dog> 1 1.000 never another" in re.sub(r"\s+", " ", page.words)


def test_the_record_is_shown_and_escaped(page: Page) -> None:
    """Parameters, versions, digests, switches and the CPU are there, whatever characters they have."""
    for expected in ("A <fast> CPU (sparc). Who knows.", "tensorflow 2.0", "c0de", "da7a", "XLA_FLAGS", "took 12.3 s"):
        assert expected in page.words


def test_the_command_to_repeat_the_run_is_given(page: Page) -> None:
    """A reader finds what to type to check the run."""
    assert "sha256sum -c SHA256SUMS" in page.words
    assert "fmnist run -p 'compile_optimizer=adam' -p 'epochs=10' -p 'seed=0' -p 'validation_split=0.05'" in page.words


def test_without_a_published_figure_the_report_says_so(folder: Path) -> None:
    """Parameters for which nothing was published are compared with nothing."""
    other = RECORD | {"parameters": vars(Settings(epochs=11))}
    files.write(folder / "run.json", files.canonical_json(other))
    words = Page(report.write(folder).read_text(encoding="utf-8")).words
    assert "No accuracy was published for these parameters" in words
    assert "0.8693" not in words


def test_a_class_without_images_has_a_row_too(folder: Path) -> None:
    """A class that no image is of has a recall of 0, and was taken for nothing."""
    matrix = ConfusionMatrix(np.array([[1, 2, 1], [0, 0, 0], [2, 2, 0]]), ("cat", "dog", "emu"))
    files.write(folder / "confusion_matrix.csv", matrix._csv())
    words = Page(report.write(folder).read_text(encoding="utf-8")).words
    assert "cat 4 0.250 dog (2) dog 0 0.000 never another emu 4 0.000 dog (2)" in re.sub(r"\s+", " ", words)


def test_the_report_is_written_into_the_folder(folder: Path) -> None:
    """The path that is returned is `report.html` beside what it reports on."""
    assert report.write(folder) == folder / "report.html"


@pytest.mark.parametrize("name", ["run.json", "history.json", "confusion_matrix.csv", "loss_plot.png"])
def test_a_folder_without_a_run_is_refused(folder: Path, name: str) -> None:
    """Where a part of the run is missing, no report is written."""
    (folder / name).unlink()
    with pytest.raises(ContractError, match=f"^run folder: expected a finished run in .* FileNotFoundError: .*{name}"):
        report.write(folder)
    assert not (folder / report.FILE_NAME).exists()


@pytest.mark.parametrize("content", [b"", b"{", json.dumps({}).encode()], ids=["empty", "cut", "no parameters"])
def test_a_broken_record_is_refused(folder: Path, content: bytes) -> None:
    """A record that cannot be read is bad input, not a crash."""
    (folder / "run.json").write_bytes(content)
    with pytest.raises(ContractError, match="expected a finished run in"):
        report.write(folder)


def test_the_report_can_be_written_again(folder: Path) -> None:
    """A second report has the bytes of the first, also elsewhere."""
    first = report.write(folder).read_bytes()
    copy = folder / "copy"
    shutil.copytree(folder, copy)
    assert report.write(copy).read_bytes() == first
