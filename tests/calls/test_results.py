"""Tests of what a notebook shows of a run or a study."""

import os
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from support import samples

from fmnist.calls.results import Run, Study

RECORD = {
    "parameters": {"compile_optimizer": '{"class_name":"<b>"}', "epochs": 10, "seed": 7, "validation_split": 0.05},
    "metrics": {"accuracy": 0.88125, "loss": 0.3456},
}


class Shown(HTMLParser):
    """What a page shows: its text, the sources of its pictures, what stands for them, and its links."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text, self.pictures, self.alternatives, self.links = "", [""] * 0, [""] * 0, [""] * 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = {name: value or "" for name, value in attrs}
        if tag == "img":
            self.pictures.append(values["src"])
            self.alternatives.append(values["alt"])
        if tag == "a":
            self.links.append(values["href"])

    def handle_data(self, data: str) -> None:
        self.text += f"{data} "

    @property
    def words(self) -> str:
        return re.sub(r"\s+", " ", self.text).strip()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that this process works in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_run_in_a_notebook(here: Path) -> None:
    """It shows metrics, parameters and pictures, and where the files are; what looks like a tag is text."""
    (here / "a #1").mkdir()
    (here / "a #1" / "loss_plot.png").write_bytes(b"loss")
    (here / "a #1" / "confusion_matrix.png").write_bytes(b"matrix")
    html = Run(here / "a #1", RECORD)._repr_html_()
    shown = Shown(html)
    assert html.startswith("<div>\n<table>\n<tr><th>accuracy</th><td>0.8812</td></tr>\n")
    assert html.endswith(
        '<img src="data:image/png;base64,bWF0cml4" alt="Confusion matrix" width="480">\n'
        '<p>All files are in <code>a #1</code>: <a href="a%20%231/report.html">the report</a> shows more.</p>\n</div>'
    )
    assert shown.words == (
        'accuracy 0.8812 loss 0.3456 compile_optimizer {"class_name":"<b>"} epochs 10 seed 7 validation_split 0.05 '
        "All files are in a #1 : the report shows more."
    )
    assert shown.pictures == ["data:image/png;base64,bG9zcw==", "data:image/png;base64,bWF0cml4"]
    assert shown.alternatives == ["Loss and accuracy by epoch", "Confusion matrix"]
    assert shown.links == ["a%20%231/report.html"]
    assert "b" not in shown.tags
    # A picture that somebody removed is left out.
    (here / "a #1" / "loss_plot.png").unlink()
    assert Shown(Run(here / "a #1", RECORD)._repr_html_()).alternatives == ["Confusion matrix"]
    # From a notebook no link leads to the root of the disk.
    assert Shown(Run(here.parent / "b", RECORD)._repr_html_()).links == ["../b/report.html"]


def test_what_a_run_gives_can_be_changed() -> None:
    """Whoever keeps it, and adds to it, changes nothing in the record."""
    run = Run(Path("run"), RECORD)
    metrics: Any = run.metrics
    metrics.clear()
    assert (run.accuracy, run.loss) == (0.88125, 0.3456)


def test_a_study_in_a_notebook(here: Path) -> None:
    """It begins with the verdicts; mean and deviation, the picture and the report follow."""
    (here / "study").mkdir()
    (here / "study" / "distribution.png").write_bytes(b"dots")
    study = Study(here / "study", samples.study_sample(samples.sample([0.87, 0.88, 0.89], first=3)))
    shown = Shown(study._repr_html_())
    assert shown.words == (
        "3 seeds cannot tell whether the tutorial's published accuracy of 0.8693 replicates: the mean of 3 seeds, "
        "0.8800, is a hint, and a verdict takes at least 20. "
        "3 seeds cannot tell whether the SAME example's published accuracy of 0.8822 replicates: the mean of 3 seeds, "
        "0.8800, is a hint, and a verdict takes at least 20. "
        "accuracy 0.8800 ± 0.0100 seeds 3 seeds from 3 on compile_optimizer adam epochs 10 validation_split 0.05 "
        "All files are in study : the report shows more."
    )
    assert shown.pictures == ["data:image/png;base64,ZG90cw=="]
    assert shown.alternatives == ["The accuracy of each seed"]
    assert shown.links == ["study/report.html"]


def test_a_study_of_other_parameters_says_that_nothing_is_compared(here: Path) -> None:
    """Of one seed there is no deviation. The folder need not be there any more."""
    parameters = {"compile_optimizer": "sgd", "epochs": 1, "validation_split": 0.05}
    study = Study(here / "gone", samples.study_sample(samples.sample([0.8], first=3), parameters))
    assert Shown(study._repr_html_()).words == (
        "Nothing was published for these parameters, so nothing is compared. "
        "accuracy 0.8000 seeds seed 3 compile_optimizer sgd epochs 1 validation_split 0.05 "
        "All files are in gone : the report shows more."
    )


def test_in_a_line(here: Path) -> None:
    """A console shows a line: the folder, from here if it is below, and the numbers."""
    study = samples.study_sample(samples.sample([0.87, 0.88, 0.89], first=3))
    assert repr(Run(here / "run", RECORD)) == "<Run in run: accuracy 0.8812, loss 0.3456>"
    assert repr(Run(here, RECORD)) == "<Run in .: accuracy 0.8812, loss 0.3456>"
    assert repr(Study(Path("/else/where"), study)) == (
        "<Study in /else/where: 3 seeds from 3 on, accuracy 0.8800 ± 0.0100>"
    )
    assert repr(Run(Path(f"{here}-old"), RECORD)) == f"<Run in {here}-old: accuracy 0.8812, loss 0.3456>"
    two = samples.study_sample(samples.sample([0.87, 0.88], first=0))
    assert repr(Study(here / "two", two)) == "<Study in two: 2 seeds from 0 on, accuracy 0.8750 ± 0.0071>"
    equal = samples.study_sample(samples.sample([0.88, 0.88], first=0))
    assert repr(Study(here / "two", equal)) == "<Study in two: 2 seeds from 0 on, accuracy 0.8800 ± 0.0000>"


def test_a_result_is_shown_where_the_working_folder_is_gone(here: Path) -> None:
    """By its whole path."""
    (here / "gone").mkdir()
    os.chdir(here / "gone")
    (here / "gone").rmdir()
    run = Run(here / "run", RECORD)
    assert repr(run) == f"<Run in {here}/run: accuracy 0.8812, loss 0.3456>"
    assert f'href="{here}/run/report.html"' in run._repr_html_()


def test_the_numbers_of_a_study(here: Path) -> None:
    """They are those of its sample."""
    study = Study(here, samples.study_sample(samples.sample([0.87, 0.88, 0.89], first=3)))
    assert study.accuracies == [0.87, 0.88, 0.89]
    assert (study.mean, study.deviation) == pytest.approx((0.88, 0.01))
    assert study.parameters == {"compile_optimizer": "adam", "epochs": 10, "validation_split": 0.05}
    # A record may have them in any order.
    reverse = dict(sorted(study.parameters.items(), reverse=True))
    other = Study(here, samples.study_sample(samples.sample([0.87, 0.88]), reverse))
    assert list(other.parameters) == list(study.parameters) == list(Run(here, {"parameters": reverse}).parameters)
    assert [conclusion.figure.name for conclusion in study.conclusions] == [
        "tensorflow-tutorial",
        "same-example-10-epochs",
    ]
