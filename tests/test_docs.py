"""Tests of what the README shows of the confirmatory study: it is what was measured, and what this code still gives."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from fmnist.replication import conclusions, published
from fmnist.replication.results import Result
from fmnist.replication.verdict import LEVEL
from fmnist.report import pictures
from fmnist.steps import evaluation, training
from fmnist.steps.dataset import Split
from fmnist.steps.files import sha256
from fmnist.steps.settings import Settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
STUDIES = sorted((ROOT / "docs" / "studies").iterdir())


def accuracies(folder: Path) -> list[dict[str, str]]:
    """Return the table of a study."""
    with (folder / "accuracies.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def verdicts(folder: Path) -> list[dict[str, Any]]:
    """Return the verdicts of a study."""
    return list(json.loads((folder / "verdict.json").read_bytes()))


@pytest.mark.parametrize("folder", STUDIES, ids=lambda folder: folder.name)
def test_the_files_shown_are_those_of_the_study(folder: Path) -> None:
    """The checksums are those of the files that are kept here: all of the study's, but for the seeds' own."""
    lines = [line.split("  ") for line in (folder / "SHA256SUMS").read_text().splitlines()]
    kept = [(digest, name) for digest, name in lines if not name.startswith("seeds/")]
    assert len(kept) > 8
    for digest, name in kept:
        assert sha256((folder / name).read_bytes()) == digest, name
    assert (
        len(lines) - len(kept)
        == len(accuracies(folder))
        == json.loads((folder / "study.json").read_bytes())["seeds"]["count"]
    )


@pytest.mark.parametrize("folder", STUDIES, ids=lambda folder: folder.name)
def test_the_verdicts_follow_from_the_accuracies(folder: Path) -> None:
    """Outcome, mean and p values are those that this code computes from the accuracies."""
    parameters = json.loads((folder / "study.json").read_bytes())["parameters"]
    values = [float(row["accuracy"]) for row in accuracies(folder)]
    found = [conclusion.as_json() | {"classes": None} for conclusion in conclusions.conclude(parameters, values)]
    assert found == [verdict | {"classes": None} for verdict in verdicts(folder)]


@pytest.mark.parametrize("folder", STUDIES, ids=lambda folder: folder.name)
def test_the_picture_shows_the_accuracies(folder: Path) -> None:
    """The picture of the distribution is what this code draws of the accuracies, byte for byte, in light and dark."""
    parameters = json.loads((folder / "study.json").read_bytes())["parameters"]
    values, figures = [float(row["accuracy"]) for row in accuracies(folder)], published.matching(parameters)
    assert (folder / "distribution.svg").read_bytes() == pictures.distribution(values, figures)
    dark = pictures.distribution(values, figures, theme=pictures.DARK)
    assert (folder / "distribution-dark.svg").read_bytes() == dark


def test_the_readme_says_what_was_found() -> None:
    """Each published figure has a row in the README with the seeds, mean, deviation, p and outcome that were found."""
    assert len(STUDIES) == 2
    for verdict in [verdict for folder in STUDIES for verdict in verdicts(folder)]:
        [row] = [
            line for line in README.splitlines() if line.startswith(f"| {verdict['published']:.4f} ({verdict['name']})")
        ]
        values = (f"{verdict[name]:.4f}" for name in ("published", "mean", "deviation"))
        for value in (*values, f"| {verdict['n']} |", f"p = {verdict['p_rank']:.3f}", verdict["outcome"]):
            assert value in row, (value, row)


def test_the_readme_says_what_the_picture_shows() -> None:
    """Mean, deviation and range in the text, and in the words for those who do not see the picture."""
    verdict = verdicts(ROOT / "docs" / "studies" / "epochs-10")[0]
    values = [float(row["accuracy"]) for row in accuracies(ROOT / "docs" / "studies" / "epochs-10")]
    assert f"**{verdict['mean']:.4f} ± {verdict['deviation']:.4f}** (standard deviation)" in README
    assert f"from {min(values):.4f} to {max(values):.4f} with a mean of {verdict['mean']:.4f}." in README
    assert min(values) > verdict["published"]


def test_the_readme_says_what_was_found_of_the_classes() -> None:
    """Nine recalls are plausible; the tenth is named, with its figures."""
    [classes] = [verdict["classes"] for folder in STUDIES for verdict in verdicts(folder) if verdict["classes"]]
    [unusual] = [one for one in classes if one["p"] <= LEVEL]
    said = " ".join(README.split())
    assert f"{unusual['name'].lower()}* ({unusual['published']:.3f}, here {unusual['mean']:.3f} on average)" in said
    assert f"is not (p = {unusual['p']:.3f} by a joint rank test" in said


def test_a_seed_of_the_study_is_the_same_today(training_set: Split, test_set: Split) -> None:
    """The first seed at 10 epochs still has the accuracy and the model that the study has, bit for bit."""
    row = accuracies(ROOT / "docs" / "studies" / "epochs-10")[0]
    trained = training.train(Settings(seed=int(row["seed"])), training_set, on_epoch=lambda *_: None)
    result = Result.of(int(row["seed"]), trained, evaluation.test(trained.model, test_set))
    assert (str(result.accuracy), str(result.loss), result.model) == (row["accuracy"], row["loss"], row["model"])


def test_the_readme_says_what_the_trap_costs() -> None:
    """Each kind of training has a row with its orders, mean and deviation as measured; so have difference and p."""
    trap = json.loads((ROOT / "docs" / "seeding_trap.json").read_bytes())
    for variant in trap["variants"].values():
        assert f"| {variant['orders'][0]} | {variant['mean']:.4f} | {variant['deviation']:.4f} |" in README
        assert (variant["runs"], len(variant["orders"])) == (20, 1)
    welch, engine = trap["seeded - unseeded"], trap["engine - unseeded"]
    said = " ".join(README.split())
    assert f"lower by {-welch['difference']:.4f} (95 % interval {-welch['interval'][1]:.4f} to" in said
    assert f"{-welch['interval'][0]:.4f}, p = {welch['p of Welch']:.4f} by Welch's test)" in said
    assert f"(p = {engine['p of equivalence']:.3f})" in said
