"""Tests of the files that follow from the seeds of a study."""

import json
from pathlib import Path

import pytest
from support import samples

from fmnist import testing
from fmnist.replication.sample import Sample
from fmnist.report import pictures
from fmnist.runs import findings
from fmnist.steps.files import write

TABLE = (
    b"seed,accuracy,loss,model\n"
    b"1000,0.875,0.3456,00000000000000000000000000000000000000000000000000000000000003e8\n"
    b"1001,0.9,0.3456789012345679,00000000000000000000000000000000000000000000000000000000000003e9\n"
)

RESULTS = [samples.result(1000, 0.875), samples.result(1001, 0.9, loss=0.3456789012345679)]


def test_table_and_verdicts_follow_from_the_seeds() -> None:
    """Of parameters for which nothing was published there is no verdict; of others there is one a figure, as JSON."""
    assert findings.texts(samples.study_sample(RESULTS, {**samples.PARAMETERS, "epochs": 3})) == {
        "accuracies.csv": TABLE,
        "verdict.json": b"[]\n",
    }
    texts = findings.texts(samples.study_sample(RESULTS))
    assert (list(texts), texts["accuracies.csv"]) == (["accuracies.csv", "verdict.json"], TABLE)
    verdicts = json.loads(texts["verdict.json"])
    assert [(one["name"], one["n"], one["mean"]) for one in verdicts] == [
        ("tensorflow-tutorial", 2, 0.8875),
        ("same-example-10-epochs", 2, 0.8875),
    ]
    assert texts["verdict.json"].startswith(b'[\n  {\n    "classes": [')
    # By number, not as text.
    lines = findings.texts(samples.study_sample(samples.sample([0.9] * 3, first=9)))["accuracies.csv"].splitlines()
    assert [line.split(b",")[0] for line in lines] == [b"seed", b"9", b"10", b"11"]
    of_one = json.loads(findings.texts(samples.study_sample(RESULTS[:1]))["verdict.json"])
    assert [(one["name"], one["outcome"]) for one in of_one] == [
        ("tensorflow-tutorial", "inconclusive"),
        ("same-example-10-epochs", "inconclusive"),
    ]


def test_findings_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Table, verdicts, pictures and page; all but the page, which says when it was made, are the same each time."""
    study = samples.study_sample(RESULTS, {**samples.PARAMETERS, "epochs": 3})

    def save(sample: Sample, folder: Path) -> list[str]:
        assert sample is study
        write(folder / "a.png", b"a picture")
        return ["a.png"]

    def write_report(sample: Sample, folder: Path) -> None:
        assert sample is study
        write(folder / "report.html", b"a page")

    monkeypatch.setattr(pictures, "save", save)
    monkeypatch.setattr(findings, "write_report", write_report)
    assert findings.write_findings(study, tmp_path) == ["accuracies.csv", "verdict.json", "a.png"]
    assert testing.contents(tmp_path) == {
        "accuracies.csv": TABLE,
        "verdict.json": b"[]\n",
        "a.png": b"a picture",
        "report.html": b"a page",
    }
