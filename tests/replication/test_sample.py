"""Tests of results, from memory, from a run's folder, from JSON, always the same; and of samples of them."""

import json
import math
import pickle
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from support import samples
from support.samples import COUNTS, PARAMETERS

from fmnist.replication import published
from fmnist.replication.conclusions import conclude
from fmnist.replication.sample import Judged, Mistake, Mistakes, Result, Sample
from fmnist.runs.folder import read_result
from fmnist.steps import confusion, evaluation, files, model
from fmnist.steps.dataset import Split
from fmnist.steps.errors import ContractError
from fmnist.steps.labels import Labels
from fmnist.steps.training import Training


@pytest.fixture(scope="session")
def evaluated(trained: Training, test_set: Split) -> evaluation.Evaluation:
    """What the trained network says of the first 200 test images."""
    return evaluation.test(trained.model, Split(test_set.images[:200], test_set.labels[:200]))


@pytest.fixture(scope="session")
def result(trained: Training, evaluated: evaluation.Evaluation) -> Result:
    """The result of seed 5, by name."""
    return Result.of(5, trained, evaluated)


@pytest.fixture(scope="session")
def run(
    trained: Training, evaluated: evaluation.Evaluation, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, Path]:
    """The artifacts of a run with the same training and test, by name."""
    folder = tmp_path_factory.mktemp("run")
    files.save(folder, trained, evaluated, confusion.confusion_matrix(evaluated.labels))
    return {name: folder / file for name, file in files.ARTIFACT_FILES.items()}


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


def test_a_run_has_the_result_of_its_functions(run: Mapping[str, Path], result: Result) -> None:
    """What is read from the files of a run is what the functions gave."""
    assert read_result(5, run) == result


def test_the_model_is_known_by_its_file(run: Mapping[str, Path], result: Result) -> None:
    """The digest of a result is that of `model.keras`."""
    assert result.model == files.sha256(run["model"].read_bytes())


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


def test_a_sample_knows_its_statistics() -> None:
    """Mean, deviation, counts and recalls are over the seeds, which are in order; one seed has no deviation."""
    other = COUNTS.copy()
    other[0, [0, 9]] = 860, 40
    plan = {"parameters": PARAMETERS, "seeds": {"first": 3, "count": 2}}
    sample = Sample.of_study(plan, [samples.result(4, 0.90, counts=other.tolist()), samples.result(3, 0.87)], {})
    assert [result.seed for result in sample.results] == [3, 4]
    assert sample.accuracies == [0.87, 0.90]
    assert sample.mean == pytest.approx(0.885)
    assert sample.deviation == pytest.approx(0.03 / math.sqrt(2))
    assert sample.counts[0].tolist() == [870, 100, 0, 0, 0, 0, 0, 0, 0, 30]
    assert sample.recalls[:, 0].tolist() == [0.88, 0.86]
    thirds = Sample({}, [samples.result(i, counts=(COUNTS + (i == 1)).tolist()) for i in range(3)], {}, is_study=True)
    assert thirds.counts[0, 1] == COUNTS[0, 1] + 1 / 3
    large = [samples.result(i, counts=[[70_000, 2**31], [i, 3]], class_names=("cat", "dog")) for i in range(2)]
    assert Sample({}, large, {}, is_study=True).counts.tolist() == [[70_000, 2**31], [0.5, 3]]
    assert sample.conclusions == conclude(PARAMETERS, [0.87, 0.90], sample.recalls)
    assert math.isnan(samples.run_sample(samples.result(3)).deviation)


def test_mistakes_take_little_memory() -> None:
    """Ten thousand seeds make twelve million mistakes; each has the exact values that it was made of."""
    found = [Mistake(9_999, 9, 0, 0.1), Mistake(65_535, 0, 255, 1 / 3)]
    packed = Mistakes(found)
    assert list(packed) == found
    assert (packed == found, packed == Mistakes(found), packed == Mistakes(found[:1])) == (True, True, False)
    assert (packed[1], len(packed), hash(packed)) == (found[1], 2, hash(Mistakes(found)))
    assert hash(packed) != hash(Mistakes(found[:1]))
    assert (packed[-2:], packed[::-1], list(Mistakes([]))) == (found, found[::-1], [])
    with pytest.raises(IndexError):
        packed[2]
    assert (packed == 2, packed == "no", packed != found[::-1]) == (False, False, True)
    for place, value in enumerate((1, 1, 1, 0.5)):
        assert packed != Mistakes([found[0], (*found[1][:place], value, *found[1][place + 1 :])])
    assert (repr(packed), repr(Mistakes(found * 600))) == ("<2 mistakes>", "<1,200 mistakes>")
    assert len(pickle.dumps(Mistakes(found * 1_000))) < 25_000


@pytest.mark.parametrize("image", [65_536, 2**32 - 1])
def test_a_test_set_may_have_any_size(image: int) -> None:
    """Image 65,536 needs more room, and leaves each number as it is."""
    found = [Mistake(image, 9, 0, 0.1), Mistake(0, 0, 255, 1 / 3)]
    packed = pickle.loads(pickle.dumps(Mistakes(found)))  # noqa: S301 - our own
    assert list(packed) == found
    assert list(Mistakes(found[::-1])) == found[::-1]
    assert (len(packed), len(Mistakes(found * 6)), packed == Mistakes(found)) == (2, 12, True)


@pytest.mark.parametrize(
    ("seeds", "got"),
    [
        ([3], "1, and not 4"),
        ([3, 3], "2, and not 4"),
        ([3, 5], "2, and not 4"),
        ([4], "1, and not 3"),
        ([3, 4, 5], "3"),
        ([3, 4, 4], "3"),
    ],
    ids=["missing", "twice", "another", "first missing", "more", "all and one twice"],
)
def test_a_study_without_just_its_seeds_is_refused(seeds: list[int], got: str) -> None:
    """A seed that is missing, or counted twice, would give another verdict than the one that was planned."""
    plan = {"parameters": PARAMETERS, "seeds": {"first": 3, "count": 2}}
    with pytest.raises(ContractError) as refused:
        Sample.of_study(plan, [samples.result(seed) for seed in seeds], {})
    assert str(refused.value) == f"study: expected 2 seeds from 3 on, each once, got {got}."


def test_two_seeds_with_one_model_are_refused() -> None:
    """A result that was copied is none of another seed."""
    plan = {"parameters": PARAMETERS, "seeds": {"first": 3, "count": 2}}
    with pytest.raises(ContractError, match=r"^seed 4: expected a model of its own, got that of seed 3\.$"):
        Sample.of_study(plan, [samples.result(4, model="a"), samples.result(3, model="a")], {})
    three = {"parameters": PARAMETERS, "seeds": {"first": 3, "count": 3}}
    with pytest.raises(ContractError, match=r"^seed 5: expected a model of its own, got that of seed 3\.$"):
        Sample.of_study(
            three, [samples.result(seed, model=model) for seed, model in ((3, "a"), (4, "b"), (5, "a"))], {}
        )


def test_a_sample_is_of_a_run_or_of_a_study() -> None:
    """A run's has the parameters without the seed, and its record; both say in a line what they are."""
    record = {"parameters": {"epochs": 3, "seed": 7}, "seconds": 1.5}
    run = Sample.of_run(record, samples.result(7))
    assert (run.parameters, run.record, run.results) == ({"epochs": 3}, record, [samples.result(7)])
    assert run.is_study is False
    assert repr(run) == "<Sample of a run: seeds 7 to 7, mean accuracy 0.8800>"
    study = samples.study_sample(samples.sample([0.87, 0.88, 0.92], first=3))
    assert study.is_study is True
    assert repr(study) == "<Sample of a study: seeds 3 to 5, mean accuracy 0.8900>"


def test_accuracies_alone_are_judged() -> None:
    """Each figure is judged in its turn with the margin that is given; nothing else is known of the seeds."""
    figures = [published.Figure(name, "", accuracy, {}, "") for name, accuracy in (("one", 0.87), ("other", 0.5))]
    judged = Judged([0.87, 0.88, 0.92], figures, 0.03)
    assert [one.figure for one in judged.conclusions] == figures
    assert [(one.verdict.published, one.verdict.n, one.verdict.margin) for one in judged.conclusions] == [
        *((0.87, 3, 0.03), (0.5, 3, 0.03)),
    ]
    assert [one.classes for one in judged.conclusions] == [(), ()]
    assert judged.mean == pytest.approx(0.89)
    # To the last digit that of the verdict: added up one by one they would give 0.09999999999999999.
    tenths = Judged([0.1] * 10, figures, 0.03)
    assert tenths.mean == tenths.conclusions[0].verdict.mean == 0.1
    assert judged.deviation == pytest.approx(0.0264575)
    assert not judged.results
    for margin in (0.0004, 0.00123456789, 1 / 7):
        near = Judged([0.8701, 0.8699] * 10, figures[:1], margin).conclusions[0]
        assert near.sentence.endswith(f"the mean of 20 seeds, 0.8700, is within {margin!r} of it.")
    assert math.isnan(Judged([0.87], figures, 0.03).deviation)


def test_a_result_in_a_line() -> None:
    """It says what it is of, in four places."""
    assert repr(samples.result(7, 0.87654)) == "<Result of seed 7: accuracy 0.8765, loss 0.3456>"


def test_a_file_of_a_result_is_canonical() -> None:
    """Its names are sorted, and a mistake is a list of its four values."""
    one = Result(7, "c0de", 0.5, 0.25, {"loss": [0.5]}, [[1, 1], [0, 0]], [Mistake(1, 0, 1, 0.75)], ("cat", "dog"))
    assert json.loads(one.to_json()) == {
        "accuracy": 0.5,
        "class_names": ["cat", "dog"],
        "counts": [[1, 1], [0, 0]],
        "history": {"loss": [0.5]},
        "loss": 0.25,
        "mistakes": [[1, 0, 1, 0.75]],
        "model": "c0de",
        "seed": 7,
    }
    again = Result.from_json(one.to_json())
    assert again == one
    assert type(again.mistakes) is Mistakes
    assert type(again.class_names) is tuple


def test_the_plan_stands_above_the_record() -> None:
    """What was planned is what the plan says, whatever the record of how it went says."""
    plan = {"parameters": PARAMETERS, "seeds": {"first": 3, "count": 1}, "code": {"sha256": "planned"}}
    sample = Sample.of_study(plan, [samples.result(3)], {"code": {"sha256": "other"}, "jobs": 2})
    assert sample.record == {**plan, "jobs": 2}


def test_class_names_travel_with_a_result() -> None:
    """A result of other classes has their names, in its file too; one of Fashion-MNIST's file is as it always was."""
    names = ("cat", "dog", "emu")
    labels = Labels(np.array([0, 1, 2]), np.array([0, 1, 1]), names)
    tested = evaluation.Evaluation(labels, np.array([0.9, 0.8, 0.012345679], np.float32), 0.25)
    history = {"loss": [0.5]}
    found = Result.of_files(7, b"a network", history, tested)
    assert found == Result(
        seed=7,
        model="2f782beca6c497e09ee1b67bd6a1202048f19e97f7e1364a58d415ce7b3ecd9e",
        accuracy=2 / 3,
        loss=0.25,
        history=history,
        counts=[[1, 0, 0], [0, 1, 0], [0, 1, 0]],
        mistakes=[Mistake(2, 2, 1, 0.012345679)],
        class_names=names,
    )
    again = Result.from_json(found.to_json())
    assert again == found
    assert Sample({}, [again], {}, is_study=False).class_names == names
    digits = samples.result(7, class_names=tuple("0123456789"))
    assert Result.from_json(digits.to_json()).class_names == digits.class_names
    ours = samples.result(7)
    assert ours.class_names[0] == "T-shirt/top"
    assert b"class_names" not in ours.to_json()
    assert Result.from_json(ours.to_json()) == ours


def test_a_result_is_of_the_file_of_its_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what the train step returned, the file of the model and the history are looked at."""
    tested = evaluation.Evaluation(
        Labels(np.array([0, 1]), np.array([0, 0]), ("cat", "dog")), np.full(2, 0.5, np.float32), 0.25
    )
    monkeypatch.setattr(model, "to_bytes", {"a model": b"a network"}.__getitem__)
    found = Result.of(7, Training("a model", {"loss": [0.5]}), tested)
    assert found == Result.of_files(7, b"a network", {"loss": [0.5]}, tested)


def test_other_classes_are_not_compared_with_fashion_mnists_figures() -> None:
    """An accuracy on other data is none of those that were published for the same parameters."""
    other = samples.result(7, class_names=("cat", "dog"), counts=[[1, 0], [0, 1]])
    assert not Sample(PARAMETERS, [other], {}, is_study=False).conclusions
    assert len(Sample(PARAMETERS, [samples.result(7)], {}, is_study=False).conclusions) == 2
