"""Tests of results: from memory, from a run's folder, from JSON, always the same."""

from pathlib import Path

import numpy as np
import pytest

from fmnist.replication import results
from fmnist.replication.results import Mistake, Result, Sample
from fmnist.steps import confusion, evaluation, files
from fmnist.steps.dataset import Split
from fmnist.steps.errors import ContractError
from fmnist.steps.settings import Settings
from fmnist.steps.training import Training


@pytest.fixture(scope="session")
def evaluated(trained: Training, test_set: Split) -> evaluation.Evaluation:
    """What the trained network says of the first 200 test images."""
    return evaluation.test(trained.model, Split(test_set.images[:200], test_set.labels[:200]))


@pytest.fixture(scope="session")
def result(trained: Training, evaluated: evaluation.Evaluation) -> Result:
    """The result of seed 5, by name."""
    return Result.of(5, trained, evaluated)


@pytest.fixture
def run(tmp_path: Path, trained: Training, evaluated: evaluation.Evaluation) -> Path:
    """What a result is read from in the folder of a run."""
    files.save(tmp_path, trained, evaluated, confusion.confusion_matrix(evaluated.labels))
    record = {"parameters": vars(Settings(seed=5)), "seconds": 1.5}
    files.write(tmp_path / results.RUN, files.canonical_json(record))
    return tmp_path


@pytest.fixture
def study(tmp_path: Path, result: Result) -> Path:
    """What a sample is read from in the folder of a study of one seed."""
    plan = {"parameters": {"epochs": 3}, "seeds": {"first": 5, "count": 1}, "code": {"sha256": "c0de"}}
    files.write(tmp_path / results.PLAN, files.canonical_json(plan))
    files.write(tmp_path / results.RECORD, files.canonical_json({"seconds": 2.5}))
    files.write(tmp_path / results.SEEDS / "5.json", result.to_json())
    return tmp_path


def test_a_result_agrees_with_itself(result: Result, test_set: Split) -> None:
    """Accuracy, counts and mistakes are three views of the same predictions."""
    counts = np.array(result.counts)
    assert counts.sum() == 200
    assert counts.trace() == 200 - len(result.mistakes) == round(200 * result.accuracy)
    assert 0 < len(result.mistakes) < 200
    for image, true, predicted, confidence in result.mistakes:
        assert true == test_set.labels[image] != predicted
        assert 0.1 <= confidence <= 1
    of_mistakes = np.zeros((10, 10), int)
    for mistake in result.mistakes:
        of_mistakes[mistake.true, mistake.predicted] += 1
    assert np.array_equal(of_mistakes, counts - np.diag(counts.diagonal()))


def test_a_run_has_the_result_of_its_functions(run: Path, result: Result) -> None:
    """What is read from the files of a run is what the functions gave."""
    assert Result.of_run(run) == result


def test_the_model_is_known_by_its_file(run: Path, result: Result) -> None:
    """The digest of a result is that of `model.keras`."""
    assert result.model == files.sha256((run / "model.keras").read_bytes())


def test_json_keeps_a_result(result: Result) -> None:
    """A result that is written and read is the same, its mistakes with their names."""
    again = Result.from_json(result.to_json())
    assert again == result
    assert again.mistakes[0].image == result.mistakes[0].image
    assert again.to_json() == result.to_json()


def test_confidences_are_as_short_as_in_the_table(result: Result) -> None:
    """A float32 is written with the digits it needs, not with those of its float64."""
    assert all(len(str(mistake.confidence)) <= 12 for mistake in result.mistakes)
    assert isinstance(result.mistakes[0], Mistake)


def test_a_run_is_a_sample_of_one(run: Path, result: Result) -> None:
    """The sample of a run has its parameters without the seed, its one result, and its record."""
    sample = Sample.read(run)
    assert sample == Sample(
        {"compile_optimizer": "adam", "epochs": 10, "validation_split": 0.05},
        [result],
        {"parameters": vars(Settings(seed=5)), "seconds": 1.5},
        is_study=False,
    )


def test_a_study_is_a_sample_of_its_seeds(study: Path, result: Result) -> None:
    """The sample of a study has the planned parameters and seeds, and plan and record together."""
    sample = Sample.read(study)
    assert (sample.parameters, list(sample.results), sample.is_study) == ({"epochs": 3}, [result], True)
    assert sample.record["code"] == {"sha256": "c0de"}
    assert sample.record["seconds"] == 2.5


@pytest.mark.parametrize("name", [results.RUN, "model.keras", "metrics.json", "history.json", "results.csv"])
def test_a_run_with_a_part_missing_is_refused(run: Path, name: str) -> None:
    """A run that is not whole is told with the file that is missing."""
    (run / name).unlink()
    with pytest.raises(ContractError, match=f"^folder: expected a finished run or study in .*NotFound.*{name}"):
        Sample.read(run)


@pytest.mark.parametrize(
    ("name", "content"),
    [(name, content) for name in (results.PLAN, results.RECORD, "seeds/5.json") for content in (b"", b"{", b"[]")]
    + [(results.PLAN, b"{}"), (results.PLAN, b'{"parameters": 3}'), ("seeds/5.json", b"{}")],
)
def test_a_broken_study_is_refused(study: Path, name: str, content: bytes) -> None:
    """A file of a study that cannot be read is bad input, not a crash."""
    (study / name).write_bytes(content)
    with pytest.raises(ContractError, match="^folder: expected a finished run or study in "):
        Sample.read(study)
