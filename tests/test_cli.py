"""Tests of the command line: arguments, messages, exit codes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from fmnist import cli
from fmnist.replication import runs
from fmnist.steps import dataset, determinism
from fmnist.steps.errors import DataError, StepError
from fmnist.steps.settings import Settings

RECORD = {"metrics": {"accuracy": 0.8765, "loss": 0.3}, "parameters": vars(Settings())}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch, here: Path) -> list[tuple[Settings, Path]]:
    """What would be run, without running it: the end-to-end tests do that."""
    calls: list[tuple[Settings, Path]] = []

    def execute(settings: Settings, folder: Path, *_: object) -> dict[str, Any]:
        calls.append((settings, folder))
        return RECORD

    monkeypatch.setattr(runs, "execute", execute)
    return calls


def invoke(*arguments: str) -> Result:
    """Call the command line."""
    return CliRunner().invoke(cli.main, arguments)


@pytest.mark.parametrize(
    "command", [[], ["run"], ["compile"], ["data"], ["report"]], ids=lambda c: " ".join(c) or "fmnist"
)
def test_help_teaches(command: list[str]) -> None:
    """Each command explains itself, and shows what to type."""
    result = invoke(*command, "--help")
    assert result.exit_code == 0
    assert "Usage: " in result.stdout
    assert len(result.stdout.splitlines()) > 5


def test_without_a_program_file_the_defaults_run(executed: list[tuple[Settings, Path]]) -> None:
    """In an empty folder the defaults are run, into a folder of the time."""
    assert invoke("run").exit_code == 0
    [(settings, folder)] = executed
    assert settings == Settings()
    assert folder.parts[0] == "runs"


def test_the_program_file_here_is_read(executed: list[tuple[Settings, Path]], here: Path) -> None:
    """When nothing else is said, same.yaml decides."""
    (here / "same.yaml").write_text("run: {parameters: {epochs: 4}}")
    assert invoke("run").exit_code == 0
    assert executed[0][0] == Settings(epochs=4)


def test_the_most_specific_parameter_wins(executed: list[tuple[Settings, Path]], here: Path) -> None:
    """-p stands above the program file, and --seed above -p."""
    (here / "other.yaml").write_text("run: {parameters: {epochs: 4, seed: 1, validation_split: 0.2}}")
    assert invoke("run", "-f", "other.yaml", "-p", "seed=2", "-p", "epochs=5", "--seed", "3", "-o", "x").exit_code == 0
    assert executed == [(Settings(epochs=5, seed=3, validation_split=0.2), Path("x"))]


def test_a_run_prints_its_result(executed: list[tuple[Settings, Path]]) -> None:
    """The table says the accuracy, the published ones, and where report and pictures are."""
    lines = [line.split() for line in invoke("run", "-o", "x").stdout.splitlines()]
    assert lines == [
        ["accuracy", "0.8765"],
        ["published", "0.8693", "(tensorflow-tutorial)"],
        ["published", "0.8822", "(same-example-10-epochs)"],
        ["report", "x/report.html"],
        ["picture", "x/loss_plot.png"],
        ["picture", "x/confusion_matrix.png"],
    ]


def test_a_program_reads_json(executed: list[tuple[Settings, Path]]) -> None:
    """With --json stdout is the record."""
    assert json.loads(invoke("run", "--json").stdout) == RECORD


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-p", "epochs=0"], "epochs: expected a whole number of at least 1, got 0"),
        (["-p", "epochs=ten"], "epochs: expected a whole number of at least 1, got 'ten'"),
        (
            ["-p", "validation_split=NaN"],
            "validation_split: expected a number greater than 0 and less than 1, got nan",
        ),
        (["-p", "compile_optimizer=adm"], "Did you mean 'adam'?"),
        (["-p", "epoch=3"], "Did you mean 'epochs'?"),
        (["-p", "epochs"], "expected NAME=VALUE, got 'epochs'"),
        (["--seed", "-1"], "seed: expected a whole number from 0 to 2147483647, got -1"),
        (["-f", "missing.yaml"], "program file: expected YAML in missing.yaml"),
        (["--nothing"], "No such option"),
    ],
)
def test_bad_input_is_exit_code_2(executed: list[tuple[Settings, Path]], arguments: list[str], message: str) -> None:
    """Bad input ends before any work, with one message that says what to do."""
    result = invoke("run", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert executed == []


@pytest.mark.parametrize(
    "error",
    [
        StepError("step train: it broke"),
        DataError("no source left"),
        OSError(28, "No space left on device", "x"),
    ],
    ids=["step", "data", "disk"],
)
def test_what_fails_is_exit_code_3(monkeypatch: pytest.MonkeyPatch, here: Path, error: Exception) -> None:
    """A step, a download or a disk that fails is told in one message."""

    def execute(*_: object) -> None:
        raise error

    monkeypatch.setattr(runs, "execute", execute)
    result = invoke("run")
    assert result.exit_code == 3
    assert result.stderr == f"Error: {error}\n"


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    """An error that nobody foresaw is not dressed up."""

    def execute(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(runs, "execute", execute)
    assert isinstance(invoke("run").exception, ZeroDivisionError)


def test_another_cpu_is_warned_of(executed: list[tuple[Settings, Path]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where other machines may give other bits, the run says so, and goes on."""
    monkeypatch.setattr(determinism, "caveat", lambda: "CPU: who knows.")
    result = invoke("run")
    assert result.exit_code == 0
    assert result.stderr == "Warning: CPU: who knows.\n"


def test_data_says_where_the_dataset_is() -> None:
    """`fmnist data --offline` verifies what is here, and prints its folder."""
    result = invoke("data", "--offline")
    assert result.exit_code == 0
    assert result.stdout == f"{dataset.data_folder()}\n"


def test_report_needs_a_finished_run(here: Path) -> None:
    """A folder without a run is bad input."""
    result = invoke("report", str(here))
    assert result.exit_code == 2
    assert "expected a finished run in" in result.stderr


def test_the_command_starts_without_heavy_imports() -> None:
    """Neither TensorFlow nor kfp is loaded for --help."""
    code = (
        "import sys; from fmnist.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print({'tensorflow', 'keras', 'kfp', 'sklearn', 'matplotlib'} & sys.modules.keys())"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "set()"
