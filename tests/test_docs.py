"""Tests of the pages: what they show was measured, and their links, commands, code and promises are good."""

import ast
import csv
import json
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from statistics import stdev
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from faults import planted
from pytest_regressions.data_regression import DataRegressionFixture
from support import pages
from support.pages import PAGES, ROOT, Page

from docs import notebook, publish, tables
from fmnist.cli import console
from fmnist.cluster import logs, progress
from fmnist.cluster.names import LONGEST
from fmnist.kubeflow import needs
from fmnist.kubeflow.requirements import one_version
from fmnist.replication import conclusions, published
from fmnist.replication.sample import Result
from fmnist.replication.verdict import LEVEL, MARGIN, SEEDS_FOR_A_VERDICT, SEEDS_FOR_RANKS, sampling_error
from fmnist.report import pictures
from fmnist.runs import shards
from fmnist.steps import evaluation, model, plots, training
from fmnist.steps.dataset import CLASS_NAMES, TRAINING_IMAGES, Split
from fmnist.steps.files import ARTIFACT_FILES, sha256
from fmnist.steps.settings import Settings

DOCS = ROOT / "docs"
README, CONTRIBUTING = Page(ROOT / "README.md"), Page(ROOT / "CONTRIBUTING.md")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = (ROOT / "requirements.lock").read_text()
STUDIES = sorted((DOCS / "studies").iterdir())

#: What is measured again with every few commits.
OFTEN = {"durations.json", "mutants.json"}


@pytest.fixture
def original_datadir() -> Path:
    """Where the golden documents are."""
    return ROOT / "tests" / "golden"


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


def test_a_seed_of_the_study_is_the_same_today(training_set: Split, test_set: Split) -> None:
    """The first seed at 10 epochs still has the accuracy and the model that the study has, bit for bit."""
    row = accuracies(ROOT / "docs" / "studies" / "epochs-10")[0]
    trained = training.train(Settings(seed=int(row["seed"])), training_set, on_epoch=lambda *_: None)
    result = Result.of(int(row["seed"]), trained, evaluation.test(trained.model, test_set))
    assert (str(result.accuracy), str(result.loss), result.model) == (row["accuracy"], row["loss"], row["model"])


def counts_of_the_run() -> list[list[int]]:
    """Return the confusion matrix of the run that the README shows."""
    with (DOCS / "run" / "confusion_matrix.csv").open(newline="") as file:
        return [[int(count) for count in row[1:]] for row in list(csv.reader(file))[1:]]


def read(name: str) -> Any:
    """Return what a JSON file of docs/ holds."""
    return json.loads((DOCS / name).read_bytes())


def test_the_run_shown_is_the_golden_one() -> None:
    """The README's run has the golden accuracy, and so have its labels; its pictures are drawn from its numbers."""
    golden = json.loads((ROOT / "tests" / "golden" / "golden.json").read_bytes())["accuracy"]
    counts = counts_of_the_run()
    assert read("run/metrics.json")["accuracy"] == golden == sum(counts[i][i] for i in range(10)) / 10_000
    assert (DOCS / "run" / "loss_plot.png").read_bytes() == plots.loss_png(read("run/history.json"))
    drawn = plots.confusion_png(np.array(counts), CLASS_NAMES)
    assert (DOCS / "run" / "confusion_matrix.png").read_bytes() == drawn


def test_what_is_shown_changes_on_purpose(data_regression: DataRegressionFixture) -> None:
    """Each picture, each record and each output of the walk-through that the pages show is the one that was looked at.

    To accept a change, look at it, and run `pytest --force-regen tests/test_docs.py`.
    """
    shown = sorted(
        path for path in DOCS.rglob("*") if path.suffix in {".png", ".svg", ".csv", ".json"} and path.name not in OFTEN
    )
    found = {path.relative_to(ROOT).as_posix(): sha256(path.read_bytes()) for path in shown}
    outputs = {cell.id: "\n".join(notebook.lines(cell)) for cell in notebook.read().cells}
    found |= {f"walkthrough: {cell}": sha256(lines.encode()) for cell, lines in outputs.items() if lines}
    data_regression.check(found, "shown")


def test_the_stages_are_shown_as_they_are(test_set: Split) -> None:
    """The graph is that of the compiled pipeline, and the first results are those of the first test images."""
    compiled = ROOT / "tests" / "golden" / "pipeline_image.yml"
    for name, theme in (("graph.svg", pictures.LIGHT), ("graph-dark.svg", pictures.DARK)):
        assert (DOCS / "run" / name).read_bytes() == pictures.graph(compiled, theme=theme), name
    excerpts = read("run/excerpts.json")
    assert (DOCS / "run" / "results.png").read_bytes() == publish.draw_results(excerpts["results.csv"], test_set.images)
    header, *rows = csv.reader(excerpts["results.csv"])
    assert header == ["image", "prediction", "confidence", "actual"]
    assert [row[3] for row in rows] == ["Ankle boot", "Pullover", "Trouser", "Trouser", "Shirt"]
    assert excerpts["labels/true.txt"] == ["9", "2", "1", "1", "6", "1"]
    assert excerpts["labels/class_names.txt"] == [*CLASS_NAMES[:6]]


def test_each_stage_shows_each_output() -> None:
    """Each output of each step has its type, its sentence, and a picture, a table or the beginning of its file."""
    text = (DOCS / "stages.md").read_text()
    outputs = re.findall(r"^\*\*`(\w+)`\*\* \(\*(\w+)\*\): [A-Z].*\.\n\n(<img|```text|\|)", text, re.MULTILINE)
    assert outputs == [
        ("model", "Model", "<img"),
        ("history", "Artifact", "```text"),
        ("loss_plot", "Artifact", "<img"),
        ("loss_page", "HTML", "<img"),
        ("results", "Dataset", "<img"),
        ("labels", "Dataset", "|"),
        ("metrics", "Metrics", "```text"),
        ("classification", "ClassificationMetrics", "```text"),
        ("matrix", "Dataset", "|"),
        ("matrix_plot", "Artifact", "<img"),
    ]
    assert "Takes `model` (*Model*)" in text
    assert "Takes `labels` (*Dataset*)" in text


def test_the_parameters_are_told_once() -> None:
    """One page has the table of the parameters, and the others link it."""
    assert [page.path.name for page in PAGES if "| parameter | meaning | default |" in page.text] == ["stages.md"]
    assert "stages.md#parameters" in Page(DOCS / "command-line.md").links()


def test_the_tables_are_made_from_the_data(tmp_path: Path) -> None:
    """No table changes if it is made again, and one digit that is not the data's is seen."""
    command = [sys.executable, "docs/tables.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("docs", "fmnist", "tests", "README.md", "CONTRIBUTING.md", "pyproject.toml", "tox.ini"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    page = tmp_path / "docs" / "stages.md"
    page.write_text(page.read_text().replace("| `0.05` |", "| `0.5` |"))
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.count("(changed)")) == (5, 1), done.stdout + done.stderr


@pytest.mark.parametrize(
    ("given", "passed"), [([], ["-r"]), (["--check"], ["--check"]), (["--check", "-v"], ["--check", "-v"])]
)
def test_the_tables_are_written_unless_something_else_is_asked_for(
    given: list[str], passed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All pages in one call, whose exit code is the program's."""
    asked: list[list[str]] = []

    def run(command: list[str], **_: object) -> SimpleNamespace:
        asked.append(command)
        return SimpleNamespace(returncode=5)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(sys, "argv", ["tables.py", *given])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(tables.DOCS / "tables.py"), run_name="__main__")
    [command] = asked
    at = len(command) - len(passed) - len(tables.PAGES)
    assert (ended.value.code, command[at:]) == (5, [*passed, *tables.PAGES])


def test_studies_of_two_margins_are_not_shown_in_one_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its header has one."""
    shown = list(tables.verdicts())
    monkeypatch.setattr(tables, "verdicts", lambda: [*shown, shown[0] | {"margin": 0.02}])
    with pytest.raises(ValueError, match="too many values"):
        tables.study()


@pytest.mark.parametrize("name", tables.API)
def test_every_public_name_is_documented(name: str) -> None:
    """The page of public names has each of them, with what it is; the page itself is compared by another test."""
    path = ROOT / name.replace(".", "/")
    source = (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text()
    names = re.findall(r'"(\w+)"', source.partition("__all__ = [")[2].partition("]")[0])
    rows = tables.api().partition(f"**{name}**: ")[2].partition("\n**")[0]
    said = dict(re.findall(r"^\| `(\w+)` \| (\S.*) \|$", rows, re.MULTILINE))
    assert names
    assert [*said] == names


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("x = 1", "expected a docstring, or a comment that begins with #:, got none"),
        ("# A number.\nx = 1", "expected a docstring, or a comment that begins with #:, got none"),
        ("def x(): pass", "expected a docstring, or a comment that begins with #:, got none"),
        ("y = 1", "public name x: expected a definition, got none"),
    ],
    ids=["value", "plain comment", "function", "nowhere"],
)
def test_a_public_name_without_documentation_fails(source: str, said: str) -> None:
    """Nothing is listed with an empty meaning."""
    with pytest.raises(ValueError, match=said):
        tables.meaning("x", ast.parse(source), source)
    assert tables.meaning("x", ast.parse("#: A number.\nx = 1"), "#: A number.\nx = 1") == "A number."


def test_the_tables_are_of_what_there_is() -> None:
    """The mutants are those of the modules that are mutated, and what has a duration is an environment of tox."""
    mutated = {*PROJECT["tool"]["mutmut"]["only_mutate"], *planted.read(ROOT)}
    modules = (name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in mutated)
    assert sorted(read("mutants.json")) == sorted(modules)
    assert set(read("durations.json")) <= pages.environments()


def test_exit_codes_are_those_of_the_source() -> None:
    """The table of exit codes has each that the command lines have, and no other."""
    codes = {0, console.NEGATIVE, console.BAD_INPUT, console.FAILED, console.DEFECT, console.INTERRUPTED}
    rows = re.findall(r"^\| (\d+) \| (.*) \| (.*) \|$", tables.exit_codes(), re.MULTILINE)
    assert [int(code) for code, *_ in rows] == sorted(codes)
    # Both programs end with each of them.
    assert all(meaning for _, *meanings in rows for meaning in meanings)


@pytest.mark.parametrize(
    ("p", "said"), [(0.0004, "p < 0.001"), (0.00099, "p < 0.001"), (0.001, "p = 0.001"), (0.0496, "p = 0.050")]
)
def test_a_p_value_has_three_digits(p: float, said: str) -> None:
    """A smaller one is told as such."""
    assert tables.p(p) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(None, ""), (0.6, "1 s"), (119, "119 s"), (120, "2 min"), (3600, "60 min")]
)
def test_a_duration_is_told_in_seconds_or_minutes(seconds: float | None, said: str) -> None:
    """Minutes from two on; what was not measured has none."""
    assert tables.minutes(seconds) == said


def test_benchmarks_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table has what was measured, but for lists; without a result there is none."""
    monkeypatch.setattr(tables, "DOCS", tmp_path)
    assert not tables.benchmarks()
    result = {
        "benchmarks": {"test_it_is_fast": {"outcome": "passed", "accuracies": [0.8, 0.9], "seconds": 1.5, "ratio": 7}},
        "machine": {"cpu": {"model": "a CPU"}},
        "versions": {"tensorflow": "2.21.0"},
    }
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "epochs-10.json").write_text(json.dumps(result))
    said, _, *rows = tables.benchmarks().splitlines()
    assert "a CPU" in said
    assert "2.21.0" in said
    assert rows[2:] == ["| it is fast | seconds 1.5, ratio 7 | passed |"]
    more = result | {"benchmarks": {"test_more": {"outcome": "failed", "GiB": 2}}}
    (tmp_path / "benchmarks" / "epochs-100.json").write_text(json.dumps(more))
    assert tables.benchmarks().splitlines()[4:] == [*rows[2:], "| more | GiB 2 | failed |"]


def test_a_module_that_is_not_mutated_yet_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It defines functions, and the score has none of it."""
    score = {"fmnist.b": {"mutants": 3, "killed": 2}, "fmnist.a": {"mutants": 1, "killed": 1}}
    (tmp_path / "mutants.json").write_text(json.dumps(score))
    monkeypatch.setattr(tables, "DOCS", tmp_path)
    monkeypatch.setattr(tables, "_with_functions", lambda: iter(["fmnist.d", "fmnist.b", "fmnist.c"]))
    assert tables.mutants().splitlines()[2:] == [
        "| `fmnist.a` | 1 | 100.0% |",
        "| `fmnist.b` | 3 | 66.7% |",
        "| `fmnist` | 4 | 75.0% |",
        "",
        "",
        "Not mutated yet: `fmnist.c`, `fmnist.d`.",
    ]


def test_a_module_of_methods_has_functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of values alone has none; that of a package has its name."""
    codes = {"__init__.py": "def f(): pass", "a.py": "class A:\n    def f(self): pass", "b.py": "b = 1"}
    (tmp_path / "fmnist").mkdir()
    for name, code in codes.items():
        (tmp_path / "fmnist" / name).write_text(code)
    monkeypatch.setattr(tables, "ROOT", tmp_path)
    assert sorted(tables._with_functions()) == ["fmnist", "fmnist.a"]


@pytest.mark.parametrize(("lines", "shown"), [(9, 9), (10, 7)])
def test_a_short_file_is_shown_whole(lines: int, shown: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of ten lines or more there are the first six, and dots."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "excerpts.json").write_text("{}")
    (tmp_path / "run" / "metrics.json").write_text("".join(f"{line}\n" for line in range(lines)))
    monkeypatch.setattr(tables, "DOCS", tmp_path)
    _, *told, _ = tables.look("metrics").splitlines()
    assert (len(told), told[:6]) == (shown, [*"012345"])


def test_a_cell_is_no_more_than_one() -> None:
    """A bar in it would begin another one, and a new line another row."""
    assert tables.table("a|b", [("x|y", "1\n2")]) == "| a | b |\n| --- | --- |\n| x\\|y | 1 2 |\n"


def measured() -> dict[tuple[str, str], set[str]]:
    """Return the numbers that belong below a heading of a page."""
    tutorial, example = verdicts(STUDIES[0])
    figure = f"{tutorial['published']:.4f}"
    values = [float(row["accuracy"]) for row in accuracies(STUDIES[0])]
    mean, deviation = f"{tutorial['mean']:.4f}", f"{tutorial['deviation']:.4f}"
    assert deviation == f"{stdev(values):.4f}"
    [unusual] = [one for one in example["classes"] if one["p"] <= LEVEL]
    assert (min(values) > tutorial["published"], unusual["name"], len(example["classes"])) == (True, "Sneaker", 10)
    seeds = [read(f"studies/{folder.name}/study.json")["seeds"] for folder in STUDIES]
    trap = read("seeding_trap.json")
    seeded, unseeded, engine = (trap["variants"][name] for name in ("seeded", "unseeded", "engine"))
    costs, equal = trap["seeded - unseeded"], trap["engine - unseeded"]
    history, counts = read("run/history.json"), counts_of_the_run()
    best, worst = (choose(range(10), key=lambda i: counts[i][i]) for choose in (max, min))
    assert (CLASS_NAMES[best], CLASS_NAMES[worst]) == ("Sneaker", "Shirt")
    # From there on no epoch is better by more than a thousandth or two.
    level = 1 + next(i for i, loss in enumerate(history["val_loss"]) if loss < min(history["val_loss"]) + 0.002)
    ends = {f"{history[name][at]:.3f}" for name in ("loss", "val_loss") for at in (0, -1)}
    settings = Settings()
    return {
        ("README.md", "fmnist"): {figure},
        ("README.md", "Two commands"): {
            PROJECT["project"]["requires-python"].removeprefix(">="),
            f"{TRAINING_IMAGES + 10_000:,}",
        },
        ("README.md", "The first result"): {
            *ends,
            *(
                str(value)
                for value in (
                    settings.epochs,
                    settings.seed,
                    level,
                    counts[best][best],
                    counts[worst][worst],
                    counts[worst][0],
                )
            ),
            f"{sum(map(sum, counts)):,}",
            f"{sum(counts[best]):,}",
        },
        ("README.md", "Does 0.8693 replicate?"): {
            *(figure, mean, deviation, f"{tutorial['mean']:.3f}", str(len(values)), f"{example['published']:.4f}"),
            *(f"{value:.4f}" for value in (min(values), max(values))),
        },
        ("README.md", "The seeding trap"): {
            *(str(seeded["runs"]), f"{seeded['mean']:.4f}", f"{unseeded['mean']:.4f}"),
        },
        ("docs/methods.md", "The question"): {str(SEEDS_FOR_A_VERDICT)},
        ("docs/methods.md", "What was fixed before"): {
            *(str(one["first"] + more) for one in seeds for more in (0, one["count"] - 1)),
            *(f"{LEVEL * 100:.0f}", str(MARGIN), figure, f"{TRAINING_IMAGES:,}", str(settings.validation_split)),
            *(f"{example['published']:.3f}", f"{example['published'] - tutorial['published']:.3f}"),
            *(folder.name.removeprefix("epochs-") for folder in STUDIES),
        },
        ("docs/methods.md", "What was found"): {
            *(str(len(values)), figure, deviation, str(int(1 / tutorial["p_rank"])), "10,000"),
            f"{sampling_error(tutorial['mean'], 10_000):.4f}",
        },
        ("docs/methods.md", "Class by class"): {
            *(f"{example['published']:.4f}", f"{unusual['published']:.3f}", f"{unusual['mean']:.3f}"),
            f"{unusual['p']:.3f}",
        },
        ("docs/methods.md", "What the seeding trap costs"): {
            *(str(seeded["runs"] + unseeded["runs"]), str(engine["runs"]), str(engine["runs"] - 1), "0", "95"),
            *(f"{-value:.4f}" for value in (costs["difference"], *costs["interval"])),
            *(f"{costs['p of Welch']:.4f}", f"{equal['p of equivalence']:.3f}", "0.005"),
        },
        ("docs/promises.md", "What is promised"): set(re.findall(r"^tensorflow==(\d+\.\d+)", LOCK, re.MULTILINE)),
        ("docs/promises.md", "Bit for bit"): {str(settings.seed)},
        ("docs/promises.md", "Within a tolerance, or statistically"): {
            *(f"{LEVEL * 100:.0f}", str(SEEDS_FOR_RANKS), str(MARGIN)),
            "6",  # with seeds as skewed as ours, by a simulation
        },
        ("docs/walkthrough.ipynb", "The data"): {
            *(f"{TRAINING_IMAGES + 10_000:,}", f"{TRAINING_IMAGES:,}", "10,000", "28", str(28 * 28), "0", "255", "1"),
        },
        ("docs/walkthrough.ipynb", "Train in the notebook"): {
            str(28 * 28),
            str(model.HIDDEN_UNITS),
            str(model.CLASSES),
        },
        ("docs/walkthrough.ipynb", "Test it"): {"10,000", "1"},
        ("docs/walkthrough.ipynb", "The conversion"): {"1", "2", "3"},
        ("docs/walkthrough.ipynb", "Does 0.8693 replicate?"): {figure, str(len(values)), str(SEEDS_FOR_A_VERDICT)},
        # Versions of Kubeflow Pipelines.
        ("docs/cluster.md", "On a cluster"): {"2", "6"},  # and a share of what Argo keeps
        ("docs/cluster.md", "A study"): {"2.5"},
        ("docs/cluster.md", "The cache"): {"2.17"},
        ("docs/cluster.md", "Servers"): {"2.4", "2.5", "2.16", "2.17"},
        ("docs/cluster.md", "Logs and files"): {"2.17", f"{logs.MOST // 2**20}"},
        ("docs/testing-your-pipeline.md", "Code that the steps carry"): {f"{needs.LONGEST:,}"},
        ("docs/same.md", "On a cluster"): {"2"},
        ("docs/same.md", "What is checked"): {
            *(str(LONGEST[key][0]) for key in ("pipeline", "version", "run")),
            *("2", "500", "2.17"),  # an exit code, a status, a version
        },
        ("docs/same.md", "Waiting for a run"): {f"{progress.PATIENCE / 60:g}", "137", f"{console.NEGATIVE}"},
    }


@pytest.mark.parametrize(("page", "heading"), measured(), ids=lambda text: text)
def test_the_numbers_are_those_measured(page: str, heading: str) -> None:
    """The numbers below a heading are those of the data and the code, and no others."""
    assert Page(ROOT / page).numbers(heading) == measured()[page, heading]


def test_no_number_goes_unchecked() -> None:
    """Below every other heading there are none, but for the estimates of how a study scales."""
    stated = {(page.path, one) for page in PAGES for one in page.headings() if page.numbers(one)}
    assert {(path.relative_to(ROOT).as_posix(), one) for path, one in stated if path.name != "scaling.md"} == {
        *measured()
    }


def test_facts_change_on_purpose(data_regression: DataRegressionFixture) -> None:
    """Numbers, code, links and pictures stand on each page in the order of the golden document.

    Two that change places are a change too. To accept one, run `pytest --force-regen tests/test_docs.py`.
    """
    facts = {page.path.relative_to(ROOT).as_posix(): page.facts() for page in PAGES}
    data_regression.check(facts, "facts")


def test_words_change_on_purpose(data_regression: DataRegressionFixture) -> None:
    """Each part of a page has the words of the golden document: most sentences read as well turned round.

    Lines may be broken elsewhere, and what is made from data is left out. To accept a change, read it as a user would,
    and run `pytest --force-regen tests/test_docs.py`.
    """
    data_regression.check({page.path.relative_to(ROOT).as_posix(): words(page) for page in PAGES}, "words")


def words(page: Page) -> list[str]:
    """Return the digest of each part of a page, or of the walk-through, and the part's first line."""
    notes = page.path.suffix == ".ipynb"
    text = "\n".join(cell.source for cell in notebook.read().cells) if notes else page.text
    written = re.sub(r"<!-- \[\[\[cog.*?\[\[\[end\]\]\] -->", "", text, flags=re.DOTALL)
    parts = re.split(r"^(?=#+ )", written, flags=re.MULTILINE)
    return [f"{sha256(' '.join(part.split()).encode())[:12]} {part.partition(chr(10))[0]}" for part in parts if part]


def test_limits_are_those_of_the_code() -> None:
    """The page on scaling knows the defaults of a study on a cluster, and how many shards there may be."""
    defaults = shards.Shards()
    numbers = {defaults.seeds, defaults.first_seed, defaults.parallel, shards.SEEDS_OF_A_SHARD, shards.MOST_SHARDS}
    assert {str(number) for number in numbers} <= Page(DOCS / "scaling.md").numbers("How many")


def test_ten_thousand_seeds_cost_little_more_than_their_training() -> None:
    """What is reckoned for 100 shards adds up, and is at most 1.3 times the training."""
    text = (DOCS / "scaling.md").read_text()
    rows = dict(re.findall(r"^\| ([^|]+) \| ([\d,]+) \|$", text.partition("### Reckoned")[2], re.MULTILINE))
    costs = {part: int(seconds.replace(",", "")) for part, seconds in rows.items()}
    together = costs.pop("together")
    training = costs["training and testing, 10,000 × 2.6"]
    assert (training, together) == (10_000 * 2.6, sum(costs.values()))
    assert f"That is {together / training:.2f} times the training" in text
    assert together / training <= 1.3


def test_the_files_of_a_run_are_listed() -> None:
    """The page on the command line names each artifact's file."""
    text = Page(DOCS / "command-line.md").text
    assert [name for name in ARTIFACT_FILES.values() if f"`{name}`" not in text and f"`{name}/`" not in text] == []


def test_the_pages_are_short() -> None:
    """README and CONTRIBUTING are read in minutes."""
    assert len(README.text.splitlines()) <= 110
    assert len(CONTRIBUTING.text.splitlines()) <= 60


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path.name)
def test_links_lead_somewhere(page: Page) -> None:
    """Each relative link names a file and a heading that are there, and each other one is an address."""
    wrong = [wrong for target in page.links() if (wrong := pages.wrong_with_link(page, target))]
    assert wrong == []


def test_every_page_is_linked() -> None:
    """The README links each page of docs/."""
    shown = [*DOCS.glob("*.md"), *DOCS.glob("*.ipynb")]
    assert {f"docs/{path.name}" for path in shown} <= {link.partition("#")[0] for link in README.links()}


@pytest.fixture(scope="module")
def pytest_help() -> str:
    """What pytest says of its options, those of the benchmarks included."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "benchmarks", "--help"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path.name)
def test_commands_can_be_typed(page: Page, pytest_help: str) -> None:
    """Each command has the options, names the files and asks for the environments that there are."""
    wrong = {one: wrong for one in page.commands() if (wrong := pages.wrong_with_command(one, pytest_help))}
    assert wrong == {}


def test_the_changelog_tells_of_what_there_is(pytest_help: str) -> None:
    """Its commands can be typed, its links lead somewhere, and its numbers are those of the code and the studies."""
    page = Page(ROOT / "CHANGELOG.md")
    commands = [f"{one} x" if one.endswith(" -o") else one for one in page.commands()]
    assert len(commands) > 30
    assert [wrong for one in commands if (wrong := pages.wrong_with_command(one, pytest_help))] == []
    assert [wrong for one in page.links() if (wrong := pages.wrong_with_link(page, one))] == []
    short, long = (read(f"studies/{folder.name}/study.json")["seeds"]["count"] for folder in STUDIES)
    text = " ".join(page.text.split())
    for fact in (
        f"Fewer than {SEEDS_FOR_A_VERDICT} seeds are inconclusive",
        f"{short} fresh seeds at 10 epochs and {long} at 100 (`tox run -e confirm`)",
    ):
        assert fact in text


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("fmnist rum", "no command rum"),
        ("fmnist run --sed 7", "--sed"),
        ("fmnist study --seeds many", "many"),
        ("fmnist study --seeds Many", "Many"),
        ("fmnist study --seeds 0", "0 is not in the range"),
        ("fmnist study --seed 5 --jobs 2", "No such option"),
        ("fmnist judge --published 0.9 --margin 0,1 a.csv", "'0,1' is not a valid number"),
        ("fmnist data here", "unexpected"),
        ("same program run -t aml", "aml"),
        ("tox run -e nothing", "no environment"),
        ("tox run -e lint,nothing", "no environment"),
        ("tox -e tests", "tox run -e"),
        ("pytest tests/test_nothing.py", "there is no"),
        ("pytest tests/test_docs.py::test_nothing", "there is no"),
        ("pytest -q tests/test_nothing.py", "there is no"),
        ("pytest --force-regem", "no option --force-regem"),
        ("pytest --force-reg", "no option --force-reg"),
        ("pip install -r nothing.lock", "there is no nothing.lock"),
        ("pip install -r requirements.lock -r nothing.lock", "there is no nothing.lock"),
        (". .tox/nothing/bin/activate", "no environment"),
        ("make", "make is no program"),
    ],
)
def test_a_wrong_command_is_seen(command: str, message: str, pytest_help: str) -> None:
    """Unknown commands, options, choices, files and environments are found."""
    assert message in str(pages.wrong_with_command(command, pytest_help))


PAGE = """
# A `page`: with all

Type `tox`, `fmnist run` or `fmnist`, [there](other.md#part) or <https://x.example/a>. Thirty of 4,000 are 0.5.

    pip install a && tox run -e b  # first
    tox

```python
one = 1
```
```text
tox run -e none
```
```python
two = 2
```

| a | b |
| --- | --- |
| `same program run` | [c](d.md) |

## 2. A picture

1. <source srcset="dark.svg"><img src="light.svg" alt="forty of 7"> ![e](f.png)

<!-- [[[cog x ]]] -->
99
<!-- [[[end]]] -->
"""


def test_a_page_is_read_whole(tmp_path: Path) -> None:
    """Each link, command, block of code and number on it is found, wherever it stands."""
    (tmp_path / "page.md").write_text(PAGE)
    page = Page(tmp_path / "page.md")
    assert sorted(page.links()) == [
        *("d.md", "dark.svg", "f.png", "https://x.example/a", "light.svg", "other.md#part"),
    ]
    commands = ["pip install a", "tox run -e b  # first", "tox", "tox", "fmnist run", "same program run"]
    assert page.commands() == commands
    assert page.python() == ["one = 1\n", "two = 2\n"]
    assert page.headings() == ["A `page`: with all", "2. A picture"]
    assert page.anchors() == {"a-page-with-all", "2-a-picture"}
    assert [page.numbers(heading) for heading in page.headings()] == [{"30", "4,000", "0.5"}, {"40", "7"}]


def blocks(name: str) -> list[str]:
    """Return the blocks of text of a page of docs/."""
    return re.findall(r"^```text\n(.*?)^```$", (DOCS / name).read_text(), re.DOTALL | re.MULTILINE)


def test_commands_in_blocks_of_text_can_be_typed(pytest_help: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those for a pipeline of one's own stand in such blocks, also kfp's, which is typed beside the example."""
    from kfp.cli.compile_ import compile_

    monkeypatch.chdir(ROOT / "examples" / "digits")
    lines = [line for block in blocks("testing-your-pipeline.md") for line in block.splitlines()]
    commands = [line for line in lines if line.startswith(("fmnist ", "same "))]
    assert len(commands) == 4
    assert [wrong for one in commands if (wrong := pages.wrong_with_command(one, pytest_help))] == []
    [kfp] = [line.removeprefix("kfp dsl compile ") for line in lines if line.startswith("kfp dsl compile ")]
    assert compile_.make_context("compile", kfp.split()).params["py"] == "pipeline.py"
    assert "python -m pytest" in lines


def test_two_folders_are_compared_but_for_the_log(tmp_path: Path) -> None:
    """The command of the page looks into all folders, and leaves out only the log."""
    [command] = re.findall(r"^diff .*$", (DOCS / "testing-your-pipeline.md").read_text(), re.MULTILINE)
    for folder in ("first", "second"):
        (tmp_path / folder / "train").mkdir(parents=True)
        (tmp_path / folder / "log.txt").write_text(folder)
    assert subprocess.run(command.split(), cwd=tmp_path, check=False).returncode == 0
    (tmp_path / "second" / "train" / "model").touch()
    assert subprocess.run(command.split(), cwd=tmp_path, check=False, capture_output=True).returncode == 1


def test_code_is_carried_as_the_page_says() -> None:
    """The names are imported from where they are, and a package that is installed is of one version."""
    names: dict[str, Any] = {}
    whole, part = (block for block in blocks("testing-your-pipeline.md") if "Code(" in block)
    exec(re.sub(r"^component = .*$", "", whole, flags=re.MULTILINE), names)  # noqa: S102 - the code is ours
    assert 'component = as_component(train, code=[FMNIST, Code("digits")])\n' in whole
    assert {"as_component", "FMNIST", "Code"} <= names.keys()
    code = eval(part, names)  # noqa: S307 - as above
    assert (code.patterns, list(map(one_version, code.packages))) == (("*.py", "data/*.csv"), ["2.9.0"])


@pytest.mark.parametrize(
    "target",
    [
        "nothing.md",
        "LICENSE#no-heading",
        "docs/same.md#nothing",
        "docs/same.md#two-commands",
        "#nothing",
        "http:/x",
        "http://x.example",
        "/etc/hosts",
    ],
)
def test_a_wrong_link_is_seen(target: str) -> None:
    """Files and headings that are not there, and what is no address, are found."""
    assert pages.wrong_with_link(README, target)


@pytest.mark.parametrize("page", [page for page in PAGES if page.python()], ids=lambda page: page.path.name)
def test_python_code_runs(  # noqa: PLR0913, PLR0917 - what the blocks need
    page: Page, few: Split, honest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_component: Any
) -> None:
    """Each block of Python does what it shows, on few images or where a run and a study are finished.

    The names that it takes for granted are a model's.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("fmnist.load", lambda _: few)
    for name, folder in (("run", "runs"), ("study", "studies")):
        shutil.copytree(honest / name, tmp_path / folder / "python")
    names: dict[str, Any] = {}
    for code in page.python():
        names |= granted(few)
        exec(compile(code, page.path.name, "exec"), names)  # noqa: S102 - the code is ours
        if "save(" in code:
            assert {path.name for path in (tmp_path / "results").iterdir()} >= {"model.keras", "metrics.json"}
        elif "fmnist.run(" in code:
            assert (names["run"].accuracy, names["study"].mean) == (0.8773, pytest.approx(0.8800, abs=1e-4))
        elif tested := re.findall(r"^def (test_\w+)", code, re.MULTILINE):
            for name in tested:
                names[name](run_component)
        elif "pytest_plugins" not in code:
            assert len(names["model"].history.epoch) == 10


def granted(few: Split) -> dict[str, Any]:
    """Return what the pages' code takes for granted: TensorFlow, the callback, a model, images and labels."""
    from fmnist.steps.determinism import tensorflow

    tf = tensorflow()
    import keras

    from fmnist.orders import EpochOrders

    tf.random.set_seed(None)  # as TensorFlow starts, whatever another test has left
    model = keras.Sequential([keras.Input((28, 28)), keras.layers.Flatten(), keras.layers.Dense(10)])
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return {"tf": tf, "EpochOrders": EpochOrders, "model": model, "x": few.images[:96], "y": few.labels[:96]}


def test_each_promise_names_its_test() -> None:
    """Each row of the tables of promises ends with a test, and every test that a page names exists."""
    rows = [line for line in Page(DOCS / "promises.md").text.splitlines() if re.match(r"\| (?!promise|-)", line)]
    assert len(rows) > 8
    for row in rows:
        assert re.search(r"\| `(tests|benchmarks)/[\w/]+\.py(::\w+)?` \|$", row), row
    named = [
        found for page in PAGES for found in re.findall(r"((?:tests|benchmarks)/[\w/]+\.py)(?:::(\w+))?", page.text)
    ]
    for path, name in named:
        assert not name or f"def {name}(" in (ROOT / path).read_text(), f"{path}::{name}"


def test_few_bits_are_promised_everywhere() -> None:
    """The page on promises says so of what no processor computes; all else is the same on machines of a kind."""
    [table] = re.findall(r"^## Bit for bit\n(.*?)^## ", Page(DOCS / "promises.md").text, re.DOTALL | re.MULTILINE)
    assert re.findall(r"\| everywhere \| `tests/(.+)` \|$", table, re.MULTILINE) == [
        "steps/test_training.py::test_no_two_epochs_share_an_order",
        "steps/test_sources.py",
        "cli/test_secrets.py",
        "test_project.py::test_a_tampered_package_fails_the_install",
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path.name)
def test_the_files_named_are_there(page: Page) -> None:
    """Each path of the project that a page names exists, but for those that git ignores."""
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    named = [token.content for token in page.tokens() if token.type == "code_inline"]
    paths = [name for name in named if re.fullmatch(r"(fmnist|tests|docs|benchmarks|examples)/[\w./]*", name)]
    assert [path for path in paths if not (ROOT / path).exists() and f"/{path}" not in ignored] == []


def test_the_readme_has_the_two_commands() -> None:
    """One line runs the main job, and one passes the tests."""
    for command in ("tox", "tox run -e replicate"):
        assert f"\n    {command}\n" in README.text
