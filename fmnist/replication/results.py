"""What a seed gave, and a sample of them: a run has one seed, a study many."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from fmnist.steps import files, model
from fmnist.steps.confusion import confusion_matrix
from fmnist.steps.dataset import CLASS_NAMES
from fmnist.steps.errors import ContractError
from fmnist.steps.evaluation import Evaluation
from fmnist.steps.files import ARTIFACT_FILES
from fmnist.steps.labels import Labels
from fmnist.steps.training import Training

__all__ = ["PLAN", "RECORD", "RUN", "SEEDS", "Mistake", "Result", "Sample"]

#: In a folder of results: the record of a run; what a study was to be, its seeds, and the record of how it went.
RUN, PLAN, SEEDS, RECORD = "run.json", "study.json", "seeds", "record.json"


class Mistake(NamedTuple):
    """A test image that was taken for another class: its number, both classes' numbers, and how confidently."""

    image: int
    true: int
    predicted: int
    confidence: float


@dataclass(frozen=True)
class Result:
    """What training with one seed, and testing, gave.

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
    counts : list of 10 lists of 10 int
        The confusion matrix: rows are the true label, columns the predicted one.
    mistakes : list of Mistake
        The images that were taken for another class, by number.
    """

    seed: int
    model: str
    accuracy: float
    loss: float
    history: Mapping[str, Sequence[float]]
    counts: Sequence[Sequence[int]]
    mistakes: Sequence[Mistake]

    @classmethod
    def of(cls, seed: int, training: Training, evaluation: Evaluation) -> "Result":
        """Return the result of what the train and the test step gave for `seed`."""
        true, predicted = evaluation.labels.true.tolist(), evaluation.labels.predicted.tolist()
        return cls(
            seed=seed,
            model=files.sha256(model.to_bytes(training.model)),
            accuracy=evaluation.accuracy,
            loss=evaluation.loss,
            history=training.history,
            counts=confusion_matrix(evaluation.labels).counts.tolist(),
            mistakes=[
                # The shortest text that gives the float32 again, as in results.csv.
                Mistake(image, true[image], predicted[image], float(str(evaluation.confidence[image])))
                for image in range(len(true))
                if true[image] != predicted[image]
            ],
        )

    @classmethod
    def of_run(cls, folder: Path) -> "Result":
        """Return the result of the finished run in `folder`; an OSError, ValueError or KeyError says it holds none."""
        seed = json.loads((folder / RUN).read_bytes())["parameters"]["seed"]
        return cls.of_artifacts(seed, {name: folder / file for name, file in ARTIFACT_FILES.items()})

    @classmethod
    def of_artifacts(cls, seed: int, paths: Mapping[str, Path]) -> "Result":
        """Return the result of `seed` from the files of its steps.

        Parameters
        ----------
        seed : int
            The seed.
        paths : mapping of str to Path
            Where `model`, `history`, `metrics`, `results` and `labels` are.

        Raises
        ------
        OSError, ValueError, KeyError
            If a file is not there, or is broken.
        """
        metrics = json.loads(paths["metrics"].read_bytes())
        return cls(
            seed=seed,
            model=files.sha256(paths["model"].read_bytes()),
            accuracy=metrics["accuracy"],
            loss=metrics["loss"],
            history=json.loads(paths["history"].read_bytes()),
            counts=confusion_matrix(Labels.read(paths["labels"])).counts.tolist(),
            mistakes=_mistakes(paths["results"]),
        )

    @classmethod
    def from_json(cls, text: bytes) -> "Result":
        """Return the result that `to_json` wrote; a ValueError, KeyError or TypeError says that it is none."""
        values = json.loads(text)
        return cls(**{**values, "mistakes": [Mistake(*mistake) for mistake in values["mistakes"]]})

    def to_json(self) -> bytes:
        """Return the result as JSON, the same bytes each time."""
        return files.canonical_json(asdict(self))


@dataclass(frozen=True)
class Sample:
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

    @classmethod
    def read(cls, folder: str | Path) -> "Sample":
        """Return the sample of the finished run or study in `folder`.

        Raises
        ------
        ContractError
            If `folder` holds none, or a part of it is missing or broken.
        """
        folder = Path(folder)
        try:
            return cls._of_study(folder) if (folder / PLAN).exists() else cls._of_run(folder)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ContractError(
                f"folder: expected a finished run or study in {folder}, got {type(error).__name__}: {error}"
            ) from error

    @classmethod
    def _of_run(cls, folder: Path) -> "Sample":
        record = json.loads((folder / RUN).read_bytes())
        parameters = {name: value for name, value in record["parameters"].items() if name != "seed"}
        return cls(parameters, [Result.of_run(folder)], record, is_study=False)

    @classmethod
    def _of_study(cls, folder: Path) -> "Sample":
        plan = json.loads((folder / PLAN).read_bytes())
        first, count = plan["seeds"]["first"], plan["seeds"]["count"]
        results = [_read(folder / SEEDS / f"{seed}.json", seed) for seed in range(first, first + count)]
        record = json.loads((folder / RECORD).read_bytes())
        return cls(plan["parameters"], results, plan | record, is_study=True)


def _read(path: Path, seed: int) -> Result:
    """Return the result of a seed; errors name the file."""
    try:
        result = Result.from_json(path.read_bytes())
    except (ValueError, KeyError, TypeError) as error:
        raise ContractError(
            f"study: expected a result in {path}, got {type(error).__name__}: {error}. "
            "Remove the file, and the same command trains that seed again."
        ) from error
    if result.seed != seed:
        raise ContractError(f"study: expected the result of seed {seed} in {path}, got that of {result.seed}.")
    return result


def _mistakes(path: Path) -> list[Mistake]:
    number = {name: i for i, name in enumerate(CLASS_NAMES)}
    with path.open(encoding="utf-8", newline="") as file:
        return [
            Mistake(int(row["image"]), number[row["actual"]], number[row["prediction"]], float(row["confidence"]))
            for row in csv.DictReader(file)
            if row["actual"] != row["prediction"]
        ]
