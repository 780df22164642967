"""Tests of the benchmarks' options and of their result, without any training."""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from unittest.mock import ANY

import pytest

from benchmarks import conftest
from fmnist.replication import published
from fmnist.runs.provenance import provenance
from fmnist.steps import determinism

ROOT = Path(__file__).parents[1]

BENCHMARKS = """
import pytest

@pytest.mark.parametrize("ratio", [7, 3, 5])
def test_good(ratio, measured):
    measured["ratio"] = ratio

def test_bad(measured):
    measured["ratio"] = 2
    assert measured["ratio"] >= 6

@pytest.fixture
def broken():
    raise ValueError("no data")

def test_broken(broken, measured):
    measured["ratio"] = 9

@pytest.fixture
def torn():
    yield
    raise ValueError("no room")

def test_torn(torn, measured):
    measured["ratio"] = 8

@pytest.mark.trap
def test_trap(measured):
    measured["orders"] = 1
"""

PARAMETERS = """
from dataclasses import asdict

def test_parameters(settings, figures, measured, pytestconfig):
    measured |= {"settings": asdict(settings), "figures": [figure.name for figure in figures]}
    measured["numbers"] = [pytestconfig.getoption(name) for name in ("seeds", "jobs", "trap_runs")]
"""


def benchmarks(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run `pytest benchmarks` with these arguments."""
    command = [sys.executable, "-m", "pytest", "benchmarks", "-p", "no:cacheprovider", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def project(folder: Path) -> Path:
    """Fill a folder with what there is of benchmarks, but for other ones, and return it."""
    (folder / "benchmarks").mkdir()
    for name in ("benchmarks/conftest.py", "benchmarks/process.py", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "benchmarks" / "test_some.py").write_text(BENCHMARKS)
    (folder / "benchmarks" / "test_parameters.py").write_text(PARAMETERS)
    return folder


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epochs", "11"], "--epochs: expected one of [10, 100], for which an accuracy was published, got 11"),
        (["--seeds", "1"], "--seeds: expected at least 8, got 1"),
        (["--jobs", "0"], "--jobs: expected at least 1, got 0"),
        (["--trap-runs", "1"], "--trap-runs: expected at least 2, got 1"),
    ],
    ids=["epochs", "seeds", "jobs", "runs of the trap"],
)
def test_what_cannot_be_measured_is_bad_usage(arguments: list[str], message: str) -> None:
    """Epochs for which nothing was published are refused with those there are, and so are too few seeds or jobs."""
    done = benchmarks(*arguments, "--collect-only")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert message in done.stderr


def test_each_option_says_its_default() -> None:
    """In its help, which is all that is said of it."""
    parser = pytest.Parser(_ispytest=True)
    conftest.pytest_addoption(parser)
    options = [(option.names(), option.attrs()) for option in parser.getgroup("fmnist").options]
    assert [(*names, told["type"], told["default"], told["help"]) for names, told in options] == [
        ("--epochs", int, 10, "epochs to train; compared with the figures published for them"),
        ("--seeds", int, 20, "how many seeds to train, from 0 on  [default: 20]"),
        ("--jobs", int, 2, "how many seeds to train at once  [default: 2]"),
        ("--trap-runs", int, 20, "runs of each variant of the seeding trap  [default: 20]"),
    ]


def test_the_result_is_written_pass_or_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The JSON holds each benchmark that passed, failed or could not start, and a table of them ends the output."""
    git = ("git", "-c", "user.name=me", "-c", "user.email=me@example.org", "-c", "commit.gpgsign=false")
    subprocess.run([*git, "init", "-q"], cwd=tmp_path, check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "Begin"], cwd=tmp_path, check=True)
    [head] = (tmp_path / ".git" / "refs" / "heads").iterdir()
    commit = head.read_text().strip()
    done = benchmarks("--jobs", "1", "-v", cwd=project(tmp_path))
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    # In the order of the files and of their parameters, whatever their names and how pytest-randomly has shuffled them.
    ran = list(dict.fromkeys(re.findall(r"^benchmarks/\S+::(\S+) [PFE]", done.stdout, re.MULTILINE)))
    assert ran == [
        "test_parameters",
        "test_good[3]",
        "test_good[5]",
        "test_good[7]",
        "test_bad",
        "test_broken",
        "test_torn",
    ]
    path = tmp_path / "benchmarks" / "results" / "epochs-10.json"
    result = json.loads(path.read_text())
    assert result["benchmarks"] == {
        **{f"test_good[{ratio}]": {"outcome": "passed", "ratio": ratio} for ratio in (3, 5, 7)},
        "test_bad": {"outcome": "failed", "ratio": 2},
        "test_broken": {"outcome": "error"},
        # It passed, but what came after it did not.
        "test_torn": {"outcome": "error", "ratio": 8},
        "test_parameters": {
            "outcome": "passed",
            "settings": ANY,
            "figures": ["tensorflow-tutorial", "same-example-10-epochs"],
            "numbers": [20, 1, 20],
        },
    }
    passed = [name for name in ran if name not in {"test_bad", "test_broken"}]
    assert list(result["benchmarks"]) == [*passed, "test_bad", "test_broken"]
    assert result["commit"] == commit
    assert (result["epochs"], result["seeds"], result["jobs"]) == (10, 20, 1)
    assert set(result["versions"]) == {"fmnist", "keras", "kfp", "tensorflow"}
    assert result["machine"]["system"] == platform.platform()
    assert result["machine"]["cpu"] == json.loads(json.dumps(determinism.cpu()))
    assert 0 < result["seconds"] < 60
    below = done.stdout.partition(" measured ")[2].splitlines()[1:]
    *table, written, counts = (" ".join(line.split()) for line in below)
    assert {"passed test_good[7] ratio 7", "failed test_bad ratio 2", "error test_broken"} < set(table)
    assert written == f"written to {path}"
    assert "1 failed, 5 passed" in counts
    # The commit is that of the benchmarks, wherever they are started.
    monkeypatch.chdir(tmp_path.parent)
    for folder, known in ((tmp_path / "benchmarks", commit), (tmp_path.parent, None)):
        monkeypatch.setattr(conftest, "RESULTS", folder / "results")
        assert conftest._commit() == known


def test_nothing_measured_is_nothing_written(tmp_path: Path) -> None:
    """Where no benchmark ran, the result of the last time stays."""
    assert benchmarks("--collect-only", cwd=project(tmp_path)).returncode == pytest.ExitCode.OK
    assert not (tmp_path / "benchmarks" / "results").exists()


def test_the_trap_has_a_result_of_its_own(tmp_path: Path) -> None:
    """It is measured seldom, and must not take the place of the others."""
    (project(tmp_path) / "benchmarks" / "results").mkdir()  # with those of the last time
    done = benchmarks("-m", "trap", cwd=tmp_path)
    assert done.returncode == pytest.ExitCode.OK, done.stdout
    [path] = (tmp_path / "benchmarks" / "results").iterdir()
    assert path.name == "epochs-10-trap.json"
    assert json.loads(path.read_text())["benchmarks"] == {"test_trap": {"outcome": "passed", "orders": 1}}


def test_what_is_trained_was_published(tmp_path: Path) -> None:
    """The parameters are those of the figures for these epochs, with seed 0; the result of each is kept apart."""
    done = benchmarks("--epochs", "100", "-k", "parameters", cwd=project(tmp_path))
    assert done.returncode == pytest.ExitCode.OK, done.stdout
    [path] = (tmp_path / "benchmarks" / "results").iterdir()
    assert path.name == "epochs-100.json"
    told = json.loads(path.read_text())["benchmarks"]["test_parameters"]
    assert told["numbers"] == [20, 2, 20]
    assert told["settings"] == {"compile_optimizer": "adam", "epochs": 100, "validation_split": 0.1, "seed": 0}
    assert told["figures"] == [figure.name for figure in published.figures() if figure.parameters["epochs"] == 100]


STUDIES = """
from benchmarks import process
from benchmarks.test_study_speed import grown

asked = []

def made_up(settings, seeds, jobs, folder):
    asked.append([settings.epochs, settings.validation_split, settings.seed, seeds, jobs])
    assert folder.parent.is_dir() and not folder.exists()

def paced(settings, folder):
    made_up(settings, 0, 0, folder)

process.study, process.pace = made_up, paced

def test_studies(pace, study, grown, measured):
    measured["asked"] = asked
"""


def test_the_studies_are_those_that_were_asked_for(tmp_path: Path) -> None:
    """One of the seeds and jobs given, and three of one epoch that grow, each with the jobs given.

    Beside them the pace is that of the same epochs.
    """
    folder = project(tmp_path)
    (folder / "benchmarks" / "test_studies.py").write_text(STUDIES)
    shutil.copy(ROOT / "benchmarks" / "test_study_speed.py", folder / "benchmarks")
    done = benchmarks("--epochs", "100", "--seeds", "9", "--jobs", "3", "-k", "studies", cwd=folder)
    assert done.returncode == pytest.ExitCode.OK, done.stdout
    [told] = json.loads((folder / "benchmarks" / "results" / "epochs-100.json").read_text())["benchmarks"].values()
    grown = [[1, 0.1, 0, seeds, 3] for seeds in (4, 16, 60)]
    assert sorted(told["asked"]) == sorted([[100, 0.1, 0, 0, 0], [100, 0.1, 0, 9, 3], *grown])


MADE_UP = """

import pathlib

def start(variant, settings):
    with open("asked", "a") as file:
        file.write(f"{variant} {settings.seed}\\n")
    if pathlib.Path("broken").exists():
        time.sleep(0.5 if settings.seed else 0)
        raise RuntimeError("broken")
    if (variant, settings.seed) == ("engine", 2):
        before, kept = time.monotonic(), RESULTS / "seeding_trap.jsonl"
        # What is done is kept before all is done: the measurement may be broken off.
        while len(list(whole(kept))) < 8:
            assert time.monotonic() < before + 10, "8 runs are done, and not kept"
            time.sleep(0.01)
    accuracy = {"seeded": 0.85, "unseeded": 0.88, "engine": 0.8801}[variant] + (0, 2, 1)[settings.seed] / 10_000
    return {"accuracy": accuracy, "orders": 1 if variant == "seeded" else settings.epochs}
"""


def test_the_trap_is_measured_once(tmp_path: Path) -> None:
    """Each variant has its runs, which are kept: what was broken off trains what is missing, and decides the same."""
    trap = (ROOT / "benchmarks" / "test_seeding_trap.py").read_text()
    (project(tmp_path) / "benchmarks" / "test_seeding_trap.py").write_text(trap + MADE_UP)
    asked, results = tmp_path / "asked", tmp_path / "benchmarks" / "results"
    arguments = ("-m", "trap", "-k", "seeding_trap", "--trap-runs", "3")
    done = benchmarks(*arguments, cwd=tmp_path)
    assert done.returncode == pytest.ExitCode.OK, done.stdout
    wanted = [f"{variant} {seed}" for seed in range(3) for variant in ("seeded", "unseeded", "engine")]
    assert sorted(asked.read_text().splitlines()) == sorted(wanted)
    assert "9 of 9: " in done.stderr
    assert ", 0 s left" in done.stderr
    table = json.loads(text := (results / "seeding_trap.json").read_text())
    # For people too, who see in `docs` what has changed.
    assert text == json.dumps(table, indent=2) + "\n"
    assert table["settings"]["variant"] == "all"
    assert table["record"] == json.loads(json.dumps(provenance()))
    assert {name: (one["runs"], one["orders"]) for name, one in table["variants"].items()} == {
        "seeded": (3, [1]),
        "unseeded": (3, [10]),
        "engine": (3, [10]),
    }
    assert table["variants"]["seeded"]["accuracies"] == [0.85, 0.8502, 0.8501]
    for name, mean in (("seeded", 0.8501), ("unseeded", 0.8801), ("engine", 0.8802)):
        assert table["variants"][name]["mean"] == pytest.approx(mean)
        assert table["variants"][name]["deviation"] == pytest.approx(0.0001)
    for pair, difference in (("seeded - unseeded", -0.03), ("engine - unseeded", 0.0001), ("engine - seeded", 0.0301)):
        assert table[pair]["difference"] == pytest.approx(difference)
    measured = json.loads((results / "epochs-10-trap.json").read_text())["benchmarks"]
    assert measured["test_fit_seeded_by_keras_has_one_order"]["engine"] == [10]
    assert set(measured["test_a_repeated_order_costs_accuracy"]) == {
        "outcome",
        "seeded",
        "unseeded",
        "seeded - unseeded",
    }
    asked.unlink()
    kept = results / "seeding_trap.jsonl"
    other = '{"key": {"variant": "seeded", "epochs": 100, "seed": 7}, "run": {"orders": 1}}\n'
    kept.write_text(other + kept.read_text()[:-20])
    assert benchmarks(*arguments, cwd=tmp_path).returncode == pytest.ExitCode.OK
    assert len(asked.read_text().splitlines()) == 1
    assert json.loads((results / "seeding_trap.json").read_text())["variants"] == table["variants"]
    # Of the runs of a variant one other number of orders is enough to be told.
    lines = list(map(json.loads, kept.read_text().splitlines()))
    [first] = [line for line in lines if (line["key"]["variant"], line["key"]["seed"]) == ("seeded", 0)]
    first["run"]["orders"] = 0
    kept.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"key": ')
    assert benchmarks(*arguments[:-1], "2", cwd=tmp_path).returncode == pytest.ExitCode.TESTS_FAILED
    told = json.loads((results / "epochs-10-trap.json").read_text())["benchmarks"]
    assert told["test_fit_seeded_by_keras_has_one_order"]["outcome"] == "failed"
    # Runs of more seeds and of other epochs stay, for who asks for them again, without the half of a line.
    assert len(kept.read_text().splitlines()) == len(wanted) + 1
    assert kept.read_text().startswith(other)
    assert json.loads((results / "seeding_trap.json").read_text())["variants"]["seeded"]["orders"] == [0, 1]
    assert len(asked.read_text().splitlines()) == 1


def test_a_broken_trap_ends_at_once(tmp_path: Path) -> None:
    """Where a training fails, no other one begins: all of them take a quarter of an hour."""
    trap = (ROOT / "benchmarks" / "test_seeding_trap.py").read_text()
    (project(tmp_path) / "benchmarks" / "test_seeding_trap.py").write_text(trap + MADE_UP)
    (tmp_path / "broken").touch()
    done = benchmarks("-m", "trap", "-k", "seeding_trap", "--trap-runs", "8", cwd=tmp_path)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    assert "RuntimeError: broken" in done.stdout
    assert len((tmp_path / "asked").read_text().splitlines()) < 12
