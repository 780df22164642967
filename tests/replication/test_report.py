"""Tests of the report of a run."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fmnist.replication import report
from fmnist.steps import determinism, files, training
from fmnist.steps.confusion import confusion_matrix
from fmnist.steps.errors import ContractError
from fmnist.steps.labels import Labels
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


@pytest.fixture
def folder(tmp_path: Path, trained: training.Training) -> Path:
    """A finished run with two classes."""
    labels = Labels(np.array([0, 0, 0, 1]), np.array([0, 1, 1, 1]), ("cat", "<dog>"))
    files.save(tmp_path, trained, confusion_matrix(labels))
    files.write(tmp_path / "run.json", files.canonical_json(RECORD))
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
    assert [reference[:22] for reference in page.references] == ["data:image/png;base64,"] * 2
    assert page.images[0].startswith("Line plots of loss and accuracy by epoch")
    assert page.images[1].startswith("Confusion matrix: rows are the true label")


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


@pytest.mark.parametrize("name", ["run.json", "history.json", "confusion_matrix.csv", "loss_plot.png"])
def test_a_folder_without_a_run_is_refused(folder: Path, name: str) -> None:
    """Where a part of the run is missing, no report is written."""
    (folder / name).unlink()
    with pytest.raises(ContractError, match=f"expected a finished run in .*{name}"):
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
