"""Golden reports: each word, number and attribute of the page, in each of its forms, is one that somebody read."""

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_regressions.file_regression import FileRegressionFixture
from support.samples import PARAMETERS, result, run_sample, sample, spread, study_sample
from support.sketches import sketched

from fmnist.replication import published
from fmnist.replication.sample import Judged, Mistake, Sample
from fmnist.report.page import write_report

ODD = {**PARAMETERS, "epochs": 11}

#: What the report is of: each form has words of its own.
MADE: dict[str, Callable[[], Sample | Judged]] = {
    "run": lambda: run_sample(result(7, 0.8765)),
    "run_of_odd_parameters": lambda: run_sample(result(7, mistakes=[Mistake(i, 0, 6, 0.5) for i in range(30)]), ODD),
    "study": lambda: study_sample(sample(spread(60))),
    "study_of_few": lambda: study_sample([replace(one, mistakes=[]) for one in sample(spread(5))], trained=0),
    "study_of_odd_parameters": lambda: study_sample(sample(spread(2)), ODD),
    "study_far_from_the_figures": lambda: study_sample(sample([value - 0.02 for value in spread(60)])),
    "study_of_many": lambda: study_sample(sample(spread(1_001))),
    "accuracies": lambda: Judged(spread(60), published.matching(PARAMETERS), 0.015),
    "one_accuracy": lambda: Judged([0.87], [published.Figure("theirs", "", 0.87, {}, "")], 0.02),
}


@pytest.fixture
def original_datadir() -> Path:
    """Where the golden documents are."""
    return Path(__file__).parents[1] / "golden" / "pages"


def digested(match: re.Match[str]) -> str:
    """Return the first digits of a picture's digest in the place of its bytes."""
    return f"{match[1]}{hashlib.sha256(base64.b64decode(match[2])).hexdigest()[:12]}"


@pytest.mark.parametrize("name", MADE)
def test_the_page_is_the_golden_one(name: str, tmp_path: Path, file_regression: FileRegressionFixture) -> None:
    """Pictures are sketches, by their digest; `pytest --force-regen` takes a wanted change over."""
    with sketched():
        text = write_report(MADE[name](), tmp_path).read_text(encoding="utf-8")
    text = re.sub(r"(data:[\w/+]+;base64,)([\w+/=]+)", digested, text)
    if name != "run":
        text = re.sub("(?s)(?<=<style>).*?(?=</style>)", "", text)
    file_regression.check(text, basename=name, extension=".html")
