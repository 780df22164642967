"""Tests of the JSON files of runs and studies: how far each value may go, and what is said of one that goes further."""

import copy
from typing import Any

import pytest
from support.folders import SEED

from fmnist.runs.schemas import Metrics, RunRecord, SeedResult, StudyPlan, StudyRecord, parse
from fmnist.steps.errors import ContractError
from fmnist.steps.files import canonical_json

PROVENANCE: dict[str, Any] = {
    "versions": {"python": "3.11"},
    "code": {"sha256": "b" * 64},
    "data": {"images": "c" * 64},
    "switches": {"TF_ENABLE_ONEDNN_OPTS": "0"},
}

EVENT: dict[str, Any] = {
    "machine": {"system": "Linux", "cpu": {"model": "a CPU", "avx2": True, "name": None}, "caveat": None},
    "started": "2026-01-01T00:00:00+00:00",
    "seconds": 12.3,
}

PARAMETERS: dict[str, Any] = {"compile_optimizer": "adam", "epochs": 2, "validation_split": 0.05}

METRICS: dict[str, Any] = {"accuracy": 0.5, "loss": 0.5}

RUN: dict[str, Any] = {**PROVENANCE, **EVENT, "parameters": {**PARAMETERS, "seed": 5}, "metrics": METRICS}

PLAN: dict[str, Any] = {**PROVENANCE, "parameters": PARAMETERS, "seeds": {"first": 5, "count": 3}}

RECORD: dict[str, Any] = {**EVENT, "jobs": 2, "trained": 3}

FILES: dict[str, tuple[Any, dict[str, Any]]] = {
    "metrics": (Metrics, METRICS),
    "run": (RunRecord, RUN),
    "plan": (StudyPlan, PLAN),
    "record": (StudyRecord, RECORD),
    "seed": (SeedResult, SEED),
}


def changed(file: str, place: str, value: object) -> tuple[Any, bytes]:
    """Return the model of a file, and its content with another value at a place."""
    model, content = FILES[file]
    *keys, last = [int(key) if key.isdigit() else key for key in place.split(".")]
    whole = inner = copy.deepcopy(content)
    for key in keys:
        inner = inner[key]  # type: ignore[index]
    inner[last] = value  # type: ignore[index]
    return model, canonical_json(whole)


@pytest.mark.parametrize(
    ("file", "place", "value"),
    [
        ("metrics", "accuracy", 0.0),
        ("metrics", "accuracy", 1.0),
        ("metrics", "loss", 0.0),
        ("metrics", "loss", 1e300),
        ("run", "parameters.epochs", 1),
        ("run", "parameters.epochs", 10**9),
        ("run", "parameters.seed", 0),
        ("run", "parameters.seed", 2_147_483_647),
        ("run", "parameters.validation_split", 1e-300),
        ("run", "parameters.validation_split", 0.9999999999999999),
        ("run", "parameters.compile_optimizer", '{"class_name": "é"}'),
        ("run", "seconds", 0.0),
        ("run", "machine.caveat", "Who knows."),
        ("run", "machine.cpu", {}),
        ("plan", "seeds.first", 0),
        ("plan", "seeds.first", 2_147_483_647),
        ("plan", "seeds.count", 1),
        ("plan", "seeds.count", 2_147_483_648),
        ("plan", "versions", {}),
        ("record", "jobs", 1),
        ("record", "trained", 0),
        ("record", "started", "9999-99-99T99:99:99+00:00"),
        ("seed", "seed", 0),
        ("seed", "seed", 2_147_483_647),
        ("seed", "loss", 0.0),
        ("seed", "history", {name: [] for name in SEED["history"]}),
        ("seed", "history.loss", [0.0, 9.0]),
        ("seed", "history.val_accuracy", [0.0, 1.0]),
        ("seed", "mistakes", [[9_999, 9, 5, 1.0]]),
        ("seed", "mistakes", [[0, 9, 5, 1e-300]]),
    ],
)
def test_as_far_as_a_value_may_go(file: str, place: str, value: object) -> None:
    """Each is read as it is."""
    model, content = changed(file, place, value)
    assert canonical_json(parse(model, "a.json", content).model_dump()) == content


DIGEST = "String should match pattern '^[0-9a-f]{64}$'"
TEXT = "Value error, expected text that can be printed"
SEED_LESS, SEED_MORE = (
    "Input should be greater than or equal to 0",
    "Input should be less than or equal to 2147483647",
)


@pytest.mark.parametrize(
    ("file", "place", "value", "said"),
    [
        ("metrics", "accuracy", -5e-324, "Input should be greater than or equal to 0"),
        ("metrics", "accuracy", 1.0000000000000002, "Input should be less than or equal to 1"),
        ("metrics", "accuracy", "0.5", "Input should be a valid number"),
        ("metrics", "accuracy", True, "Input should be a valid number"),
        ("metrics", "loss", -5e-324, "Input should be greater than or equal to 0"),
        ("metrics", "more", 1, "Extra inputs are not permitted"),
        ("run", "parameters.epochs", 0, "Input should be greater than or equal to 1"),
        ("run", "parameters.epochs", 2.0, "Input should be a valid integer"),
        ("run", "parameters.seed", -1, SEED_LESS),
        ("run", "parameters.seed", 2_147_483_648, SEED_MORE),
        ("run", "parameters.validation_split", 0.0, "Input should be greater than 0"),
        ("run", "parameters.validation_split", 1.0, "Input should be less than 1"),
        ("run", "parameters.compile_optimizer", "a\nb", TEXT),
        ("run", "parameters.more", 1, "Extra inputs are not permitted"),
        ("run", "metrics.more", 1, "Extra inputs are not permitted"),
        ("run", "seconds", -5e-324, "Input should be greater than or equal to 0"),
        ("run", "started", "2026-01-01T00:00:00", STARTED := "String should match pattern"),
        ("run", "started", "2026-01-01T00:00:00+00:00\n", STARTED),
        ("run", "started", " 2026-01-01T00:00:00+00:00", STARTED),
        ("run", "started", "2026-01-01T00:00:00+01:00", STARTED),
        ("run", "started", "2026-01-01T00:00:00Z", STARTED),
        ("run", "machine.system", "\x1b[2J", TEXT),
        ("run", "machine.caveat", "\x1b[2J", TEXT),
        ("run", "machine.cpu.model", "\x1b[2J", TEXT),
        ("run", "machine.cpu", {"\u202e": None}, TEXT),
        ("run", "machine.cpu.avx2", 1, "Input should be a valid "),
        ("run", "machine.more", 1, "Extra inputs are not permitted"),
        ("run", "versions.numpy", "\x9b", TEXT),
        ("run", "versions", {"\n": "1"}, TEXT),
        ("run", "switches", {"\n": "1"}, TEXT),
        ("run", "switches.more", "\n", TEXT),
        ("run", "data", {"\n": "c" * 64}, TEXT),
        ("run", "data.images", "c" * 63, DIGEST),
        ("run", "code.sha256", "B" * 64, DIGEST),
        ("run", "code.sha256", "b" * 65, DIGEST),
        ("run", "code.sha256", "b" * 64 + "\n", DIGEST),
        ("run", "code.more", 1, "Extra inputs are not permitted"),
        ("plan", "parameters.seed", 5, "Extra inputs are not permitted"),
        ("plan", "seeds.first", -1, SEED_LESS),
        ("plan", "seeds.first", 2_147_483_648, SEED_MORE),
        ("plan", "seeds.count", 0, "Input should be greater than or equal to 1"),
        ("plan", "seeds.count", 2_147_483_649, "Input should be less than or equal to 2147483648"),
        ("plan", "seeds.more", 1, "Extra inputs are not permitted"),
        ("record", "jobs", 0, "Input should be greater than or equal to 1"),
        ("record", "trained", -1, "Input should be greater than or equal to 0"),
        ("seed", "seed", -1, SEED_LESS),
        ("seed", "seed", 2_147_483_648, SEED_MORE),
        ("seed", "model", "A" * 64, DIGEST),
        ("seed", "history.loss.0", -5e-324, "Input should be greater than or equal to 0"),
        ("seed", "history.val_loss.1", -5e-324, "Input should be greater than or equal to 0"),
        ("seed", "history.accuracy.0", 1.0000000000000002, "Input should be less than or equal to 1"),
        ("seed", "history.val_accuracy.1", -5e-324, "Input should be greater than or equal to 0"),
        ("seed", "history.val_accuracy.1", 1.0000000000000002, "Input should be less than or equal to 1"),
        ("seed", "history.more", [0.5, 0.5], "Extra inputs are not permitted"),
        ("seed", "counts", SEED["counts"][:9], "List should have at least 10 items after validation, not 9"),
        ("seed", "counts", [*SEED["counts"], [0] * 10], "List should have at most 10 items after validation, not 11"),
        ("seed", "counts.0", [1000] + [0] * 8, "List should have at least 10 items after validation, not 9"),
        ("seed", "counts.0", [1000] + [0] * 10, "List should have at most 10 items after validation, not 11"),
        ("seed", "counts.0.0", 1_001, "Input should be less than or equal to 1000"),
        ("seed", "counts.0.1", -1, "Input should be greater than or equal to 0"),
        ("seed", "mistakes.0.0", -1, "Input should be greater than or equal to 0"),
        ("seed", "mistakes.0.0", 10_000, "Input should be less than 10000"),
        ("seed", "mistakes.0.1", 10, "Input should be less than or equal to 9"),
        ("seed", "mistakes.0.2", -1, "Input should be greater than or equal to 0"),
        ("seed", "mistakes.0.3", 0.0, "Input should be greater than 0"),
        ("seed", "mistakes.0.3", 1.0000000000000002, "Input should be less than or equal to 1"),
    ],
)
def test_no_further(file: str, place: str, value: object, said: str) -> None:
    """The file, the place in it, and what was expected there."""
    model, content = changed(file, place, value)
    with pytest.raises(ContractError) as caught:
        parse(model, "a.json", content)
    _, where, message = str(caught.value).split(": ", 2)
    assert message.startswith(said)
    assert str(caught.value).startswith("a.json: '")
    assert where.startswith(".".join(key if key.isdigit() else f"'{key}'" for key in place.split(".")))


OF_EACH = "'history': Value error, expected one value an epoch of each metric"


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("history.accuracy", [0.5], OF_EACH),
        ("history.val_loss", [0.5], OF_EACH),
        ("history.val_accuracy", [0.5, 0.5, 0.5], OF_EACH),
        ("history", {name: values[name.startswith("val") :] for name, values in SEED["history"].items()}, OF_EACH),
        ("accuracy", 0.99990001, "Value error, accuracy: expected 0.9999, as the counts say, got 0.99990001"),
        (
            "accuracy",
            0.9999000000000001,
            "Value error, accuracy: expected 0.9999, as the counts say, got 0.9999000000000001",
        ),
    ],
)
def test_the_parts_of_a_result_agree(place: str, value: object, said: str) -> None:
    """Each metric has one value an epoch, and the accuracy is that of the counts to its last digit."""
    model, content = changed("seed", place, value)
    with pytest.raises(ContractError) as caught:
        parse(model, "a.json", content)
    assert str(caught.value) == f"a.json: {said}"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_is_finite(number: str) -> None:
    """Whatever Python's own JSON takes for a number."""
    with pytest.raises(ContractError, match=r"^a\.json: 'loss': Input should be a finite number$"):
        parse(Metrics, "a.json", f'{{\n  "accuracy": 0.5,\n  "loss": {number}\n}}\n'.encode())


def test_what_is_read_stays_as_it_is() -> None:
    """What was checked cannot be changed afterwards."""
    metrics = parse(Metrics, "metrics.json", canonical_json(METRICS))
    with pytest.raises(ValueError, match="frozen"):
        metrics.loss = 0.25
