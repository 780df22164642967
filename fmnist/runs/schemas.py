"""The JSON files of runs and studies as strict schemas: types, ranges, sums, no other key, and no other spelling."""

from collections import Counter
from typing import Annotated, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from fmnist.steps.checks import LARGEST_SEED
from fmnist.steps.errors import ContractError
from fmnist.steps.files import canonical_json
from fmnist.steps.messages import excerpt

__all__ = ["History", "Metrics", "RunRecord", "SeedResult", "StudyPlan", "StudyRecord", "parse"]

#: The test images, and those of each class.
IMAGES, OF_A_CLASS = 10_000, 1_000


def _printable(text: str) -> str:
    """Refuse what steers a terminal, or turns what is printed around."""
    if not text.isprintable():
        raise ValueError("expected text that can be printed")
    return text


Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Text = Annotated[str, AfterValidator(_printable)]
Share = Annotated[float, Field(ge=0, le=1)]
Loss = Annotated[float, Field(ge=0)]
Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]
Class = Annotated[int, Field(ge=0, le=9)]
Row = Annotated[list[Annotated[int, Field(ge=0, le=OF_A_CLASS)]], Field(min_length=10, max_length=10)]
Mistake = tuple[Annotated[int, Field(ge=0, lt=IMAGES)], Class, Class, Annotated[float, Field(gt=0, le=1)]]


class _Strict(BaseModel):
    """A mapping of just these keys, whose values have just these types."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class Metrics(_Strict):
    """Accuracy and loss on the test images."""

    accuracy: Share
    loss: Loss


class History(_Strict):
    """Loss and accuracy of each epoch."""

    loss: list[Loss]
    accuracy: list[Share]
    val_loss: list[Loss]
    val_accuracy: list[Share]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len({len(values) for _, values in self}) != 1:
            raise ValueError("expected one value an epoch of each metric")
        return self


class SeedResult(Metrics):
    """The result of a seed: accuracy, counts and mistakes are three views of the same predictions."""

    seed: Seed
    model: Digest
    history: History
    counts: Annotated[list[Row], Field(min_length=10, max_length=10)]
    mistakes: list[Mistake]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if any(sum(row) != OF_A_CLASS for row in self.counts):
            raise ValueError(f"counts: expected rows that sum to {OF_A_CLASS}, the images of a class")
        right = sum(row[i] for i, row in enumerate(self.counts))
        if self.accuracy != right / IMAGES:
            raise ValueError(f"accuracy: expected {right / IMAGES}, as the counts say, got {self.accuracy}")
        images = [image for image, *_ in self.mistakes]
        if images != sorted(set(images)):
            raise ValueError("mistakes: expected each image once, by number")
        wrong = Counter((true, predicted) for _, true, predicted, _ in self.mistakes)
        counted = {(i, j): n for i, row in enumerate(self.counts) for j, n in enumerate(row) if n and i != j}
        if wrong != counted:
            raise ValueError("mistakes: expected as many of each kind as the counts say")
        return self


class Parameters(_Strict):
    """The parameters of a study, which are those of a run without the seed."""

    compile_optimizer: Text
    epochs: Annotated[int, Field(ge=1)]
    validation_split: Annotated[float, Field(gt=0, lt=1)]


class RunParameters(Parameters):
    """The parameters of a run."""

    seed: Seed


class Code(_Strict):
    """The digest of the code."""

    sha256: Digest


class _Provenance(_Strict):
    """What decides the bits, besides the parameters."""

    versions: dict[Text, Text]
    code: Code
    data: dict[Text, Digest]
    switches: dict[Text, Text]


class Machine(_Strict):
    """The machine."""

    system: Text
    cpu: dict[Text, Text | bool | None]
    caveat: Text | None


class _Event(_Strict):
    """When, how long and where something was made."""

    machine: Machine
    started: Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00$")]
    seconds: Annotated[float, Field(ge=0)]


class RunRecord(_Event, _Provenance):
    """``run.json``."""

    parameters: RunParameters
    metrics: Metrics


class Seeds(_Strict):
    """The seeds of a study."""

    first: Seed
    count: Annotated[int, Field(ge=1, le=LARGEST_SEED + 1)]


class StudyPlan(_Provenance):
    """``study.json``."""

    parameters: Parameters
    seeds: Seeds


class StudyRecord(_Event):
    """``record.json``: how a study went; what was planned stands in its plan alone."""

    jobs: Annotated[int, Field(ge=1)]
    trained: Annotated[int, Field(ge=0)]


Schema = TypeVar("Schema", bound=_Strict)


def parse(schema: type[Schema], name: str, content: bytes) -> Schema:
    """Return what the file `name` holds.

    Raises
    ------
    ContractError
        If `content` is not what fmnist writes of this `schema`, byte for byte: then a key is there twice, or a number
        is spelt in another way.
    """
    try:
        found = schema.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = excerpt(".".join(map(repr, first["loc"])), 100)
        raise ContractError(f"{name}: {where}{': ' if where else ''}{first['msg']}") from error
    if canonical_json(found.model_dump()) != content:
        raise ContractError(f"{name}: expected it as fmnist writes it, each key once, got another text")
    return found
