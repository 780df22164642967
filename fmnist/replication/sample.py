"""The result of a seed, and a sample of results: a run has one seed, a study many."""

import json
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fmnist.replication.conclusions import Conclusion, conclude, recalls
from fmnist.replication.published import Figure
from fmnist.replication.verdict import deviation, judge
from fmnist.steps import files, model
from fmnist.steps.confusion import confusion_matrix
from fmnist.steps.dataset import CLASS_NAMES
from fmnist.steps.errors import ContractError
from fmnist.steps.evaluation import Evaluation
from fmnist.steps.training import Training

__all__ = ["Judged", "Mistake", "Mistakes", "Result", "Sample"]


class Mistake(NamedTuple):
    """A test image that was taken for another class: its number, the numbers of both classes, and the confidence."""

    image: int
    true: int
    predicted: int
    confidence: float


class Mistakes(Sequence[Mistake]):
    """Mistakes in twelve bytes each, as the verdict on 10,000 seeds holds about twelve million.

    In a test set of more than 65,536 images they take fourteen.
    """

    def __init__(self, mistakes: Iterable[Sequence[Any]]) -> None:
        found = list(mistakes)
        self._format = "<HBBd" if all(one[0] < 2**16 for one in found) else "<IBBd"
        self._bytes = b"".join(struct.pack(self._format, *one) for one in found)

    def __len__(self) -> int:
        return len(self._bytes) // struct.calcsize(self._format)

    def __getitem__(self, i: Any) -> Any:
        return list(self)[i]

    def __iter__(self) -> Iterator[Mistake]:
        return map(Mistake._make, struct.iter_unpack(self._format, self._bytes))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    def __hash__(self) -> int:
        return hash(self._bytes)

    def __repr__(self) -> str:
        return f"<{len(self):,} mistakes>"


@dataclass(frozen=True)
class Result:
    """The result of training with one seed, and of testing.

    Attributes
    ----------
    seed : int
        The seed.
    model : str
        SHA-256 of its ``model.keras``, as a run's ``SHA256SUMS`` has it.
    accuracy, loss : float
        On the 10,000 test images.
    history : mapping of str to list of float
        Loss and accuracy of each epoch, for training and validation.
    counts : list of k lists of k int
        The confusion matrix: rows are the true label, columns the predicted one.
    mistakes : sequence of Mistake
        The images that were taken for another class, by number.
    class_names : tuple of k str
        The names of the classes, in the order of their numbers.
    """

    seed: int
    model: str
    accuracy: float
    loss: float
    history: Mapping[str, Sequence[float]]
    counts: Sequence[Sequence[int]]
    mistakes: Sequence[Mistake]
    class_names: tuple[str, ...] = CLASS_NAMES

    def __repr__(self) -> str:
        return f"<Result of seed {self.seed}: accuracy {self.accuracy:.4f}, loss {self.loss:.4f}>"

    @classmethod
    def of(cls, seed: int, training: Training, evaluation: Evaluation) -> "Result":
        """Return the result of `seed` from the results of the train and the test step."""
        return cls.of_files(seed, model.to_bytes(training.model), training.history, evaluation)

    @classmethod
    def of_files(
        cls, seed: int, network: bytes, history: Mapping[str, Sequence[float]], evaluation: Evaluation
    ) -> "Result":
        """Return the same from the content of ``model.keras`` and the history."""
        true, predicted = evaluation.labels.true.tolist(), evaluation.labels.predicted.tolist()
        return cls(
            seed=seed,
            model=files.sha256(network),
            accuracy=evaluation.accuracy,
            loss=evaluation.loss,
            history=history,
            counts=confusion_matrix(evaluation.labels).counts.tolist(),
            mistakes=Mistakes(
                # The shortest text that gives the float32 again, as in results.csv.
                (image, true[image], predicted[image], float(str(evaluation.confidence[image])))
                for image in range(len(true))
                if true[image] != predicted[image]
            ),
            class_names=evaluation.labels.class_names,
        )

    @classmethod
    def from_json(cls, text: bytes) -> "Result":
        """Return the result that `to_json` made of one; whether another text is one, `fmnist.runs.checked` says."""
        values = json.loads(text)
        names = tuple(values.get("class_names", CLASS_NAMES))
        return cls(**{**values, "mistakes": Mistakes(values["mistakes"]), "class_names": names})

    def to_json(self) -> bytes:
        """Return the result as JSON; equal results give equal bytes. Of Fashion-MNIST it has no names of classes."""
        values = {**vars(self), "mistakes": list(self.mistakes)}
        if self.class_names == CLASS_NAMES:
            del values["class_names"]
        return files.canonical_json(values)


class _Accuracies:
    """What all samples say of their accuracies."""

    accuracies: list[float]

    @cached_property
    def mean(self) -> float:
        """The mean accuracy."""
        return float(np.mean(self.accuracies))

    @cached_property
    def deviation(self) -> float:
        """The standard deviation of the accuracies; NaN for one seed."""
        return float(deviation(self.accuracies))


@dataclass(frozen=True)
class Judged(_Accuracies):
    """Accuracies of seeds of which nothing else is known, with what was published for them.

    Attributes
    ----------
    accuracies : list of float
        One a seed.
    figures : list of Figure
        What was published.
    margin : float
        Of equivalence.
    """

    accuracies: list[float]
    figures: Sequence[Figure]
    margin: float
    results: Sequence[Result] = ()

    @cached_property
    def conclusions(self) -> tuple[Conclusion, ...]:
        """What the seeds say of each figure."""
        judged = ((one, judge(one.accuracy, self.accuracies, self.margin)) for one in self.figures)
        return tuple(Conclusion(figure, verdict, ()) for figure, verdict in judged)


@dataclass(frozen=True)
class Sample(_Accuracies):
    """The results of a run or of a study.

    Attributes
    ----------
    parameters : mapping
        Those of the pipeline, but for the seed.
    results : list of Result
        One a seed, by seed.
    record : mapping
        `versions`, `code`, `data`, `switches`, `machine`, `started`, `seconds`.
    is_study : bool
        Whether the seeds are those of a study, chosen before.
    """

    parameters: Mapping[str, Any]
    results: Sequence[Result]
    record: Mapping[str, Any]
    is_study: bool

    def __repr__(self) -> str:
        seeds = f"seeds {self.results[0].seed} to {self.results[-1].seed}"
        return f"<Sample of {'a study' if self.is_study else 'a run'}: {seeds}, mean accuracy {self.mean:.4f}>"

    @classmethod
    def of_run(cls, record: Mapping[str, Any], result: Result) -> "Sample":
        """Return the sample of a run with this `record`, which holds the parameters."""
        parameters = {name: value for name, value in record["parameters"].items() if name != "seed"}
        return cls(parameters, [result], record, is_study=False)

    @classmethod
    def of_study(cls, plan: Mapping[str, Any], results: Sequence[Result], record: Mapping[str, Any]) -> "Sample":
        """Return the sample of a study with this `plan` and `record`; `results` are in any order.

        Raises
        ------
        ContractError
            If `results` are not one for each planned seed, or two have one model.
        """
        ordered = sorted(results, key=lambda result: result.seed)
        first, count = plan["seeds"]["first"], plan["seeds"]["count"]
        there = {result.seed for result in results}
        missing = next((seed for seed in range(first, first + count) if seed not in there), None)
        if missing is not None or len(results) != count:
            lacking = "" if missing is None else f", and not {missing}"
            raise ContractError(
                f"study: expected {count} seeds from {first} on, each once, got {len(results)}{lacking}."
            )
        models: dict[str, int] = {}
        for result in ordered:
            if (other := models.setdefault(result.model, result.seed)) != result.seed:
                raise ContractError(f"seed {result.seed}: expected a model of its own, got that of seed {other}.")
        return cls(plan["parameters"], ordered, {**record, **plan}, is_study=True)

    @cached_property
    def accuracies(self) -> list[float]:  # type: ignore[override]  # it is not set
        """The accuracy of each seed."""
        return [result.accuracy for result in self.results]

    @cached_property
    def counts(self) -> NDArray[np.float64]:
        """The mean confusion matrix, of shape (k, k): rows are the true label, columns the predicted one."""
        return np.asarray(np.mean([result.counts for result in self.results], axis=0))

    @cached_property
    def recalls(self) -> NDArray[np.float64]:
        """The recalls of each seed, of shape (n, k), in [0, 1]."""
        return np.array([recalls(result.counts) for result in self.results])

    @cached_property
    def conclusions(self) -> tuple[Conclusion, ...]:
        """What the seeds say of each accuracy that was published for Fashion-MNIST and the parameters, if any."""
        if self.class_names != CLASS_NAMES:
            return ()  # of other data, whatever the parameters are
        return conclude(self.parameters, self.accuracies, self.recalls)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes."""
        return self.results[0].class_names
