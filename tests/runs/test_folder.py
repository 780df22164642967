"""Tests of what is read from the folder of a run or a study."""

import csv
import io
import os
from pathlib import Path

import numpy as np
import pytest
from support.samples import RECORD, result, run_sample, study_sample

from fmnist.runs.folder import PLAN, RUN, claimed, read_sample, seed_path
from fmnist.runs.folder import RECORD as RECORD_FILE
from fmnist.steps import files
from fmnist.steps.dataset import CLASS_NAMES
from fmnist.steps.errors import ContractError
from fmnist.steps.labels import Labels

MODEL = b"a model"
RUN_SAMPLE = run_sample(result(5, model=files.sha256(MODEL)))
STUDY_SAMPLE = study_sample([result(5), result(6)])


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run: what `RUN_SAMPLE` is read from."""
    [one] = RUN_SAMPLE.results
    true, predicted = np.divmod(np.repeat(np.arange(100), np.array(one.counts).ravel()), 10)
    table = io.StringIO()
    rows = [(one.image, CLASS_NAMES[one.predicted], one.confidence, CLASS_NAMES[one.true]) for one in one.mistakes]
    csv.writer(table).writerows([("image", "prediction", "confidence", "actual"), *rows, (7, "Coat", 0.5, "Coat")])
    contents = {
        RUN: files.canonical_json(RUN_SAMPLE.record),
        "metrics.json": files.canonical_json({"accuracy": one.accuracy, "loss": one.loss}),
        "history.json": files.canonical_json(one.history),
        **{f"labels/{name}": content for name, content in Labels(true, predicted, CLASS_NAMES).files().items()},
        "results.csv": table.getvalue().encode(),
        "model.keras": MODEL,
    }
    for name, content in contents.items():
        files.write(tmp_path / name, content)
    return tmp_path


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """The folder of a study of two seeds: what `STUDY_SAMPLE` is read from."""
    plan = {"parameters": STUDY_SAMPLE.parameters, "seeds": {"first": 5, "count": 2}, "code": {"sha256": "c0de"}}
    record = {**RECORD, "jobs": 2, "trained": 2}
    files.write(tmp_path / PLAN, files.canonical_json(plan))
    files.write(tmp_path / RECORD_FILE, files.canonical_json(record))
    for one in STUDY_SAMPLE.results:
        files.write(seed_path(tmp_path, one.seed), one.to_json())
    return tmp_path


def test_a_run_is_a_sample_of_one(run: Path) -> None:
    """The sample of a run has its parameters without the seed, its one result with the mistakes, and its record."""
    assert read_sample(run) == RUN_SAMPLE


def test_a_study_is_a_sample_of_its_seeds(study: Path) -> None:
    """The sample of a study has the planned parameters and seeds, and plan and record together."""
    assert read_sample(study) == STUDY_SAMPLE


@pytest.mark.parametrize("name", [RUN, "model.keras", "metrics.json", "history.json", "results.csv", "labels/true.txt"])
def test_a_run_with_a_part_missing_is_refused(run: Path, name: str) -> None:
    """The error names the file that is missing."""
    (run / name).unlink()
    with pytest.raises(ContractError, match=f"^folder: expected a finished run or study in .*{name}"):
        read_sample(run)


@pytest.mark.parametrize(
    ("name", "content"),
    [(name, content) for name in (PLAN, RECORD_FILE, "seeds/5.json") for content in (b"", b"{", b"[]")]
    + [(PLAN, b"{}"), (PLAN, b'{"parameters": 3}'), ("seeds/5.json", b"{}")],
)
def test_a_broken_study_is_refused(study: Path, name: str, content: bytes) -> None:
    """A file of a study that cannot be read is bad input, not a crash."""
    (study / name).write_bytes(content)
    with pytest.raises(ContractError, match="^folder: expected a finished run or study in "):
        read_sample(study)


def test_a_study_with_a_seed_missing_is_refused(study: Path) -> None:
    """A seed that was planned and is not there is named by its file."""
    seed_path(study, 6).unlink()
    with pytest.raises(ContractError, match=r"^folder: expected a finished run or study in .*seeds/6\.json"):
        read_sample(study)


def test_a_path_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """Such a path, which kfp could not pass on, is named in letters that every terminal shows; nothing is made."""
    folder = tmp_path / os.fsdecode(b"\xff")
    with (
        pytest.raises(ContractError, match=r"^run folder: expected a path in UTF-8, got '/.*\\udcff'"),
        claimed(folder, "run"),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
