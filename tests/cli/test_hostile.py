"""Whatever a path or a value is, a command ends with a short message and an exit code that says what to do."""

import os
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from fmnist import pipeline
from fmnist.cli import console, fmnist, same
from fmnist.kubeflow import local
from fmnist.runs import workers
from fmnist.steps import dataset
from fmnist.steps.errors import StepError

OURS = str(Path(__file__).parents[2] / "same.yaml")

#: Paths in a folder of `traps`.
PATHS = {
    "empty": "",
    "a file": "file",
    "below a file": "file/x",
    "a folder": "folder",
    "this folder": ".",
    "the root": "/",
    "a long name": "a" * 300,
    "a long path": "x/" * 3_000,
    "a loop of links": "loop",
    "below a loop of links": "loop/x",
    "a link to nothing": "dangling",
    "a pipe": "pipe",
    "below a pipe": "pipe/x",
    "a device": "device",
    "a full device": "/dev/full",
    "below a device": "/dev/full/x",
    "where nothing can be made": "/proc/x/y",
    "a line and another": "new\nline",
    "an option": "-",
    "no text": "binary",
    "levels without end": "deep",
    "a large file": "large",
}

#: Commands that take a path.
TAKE_PATHS: dict[str, tuple[click.Command, list[str]]] = {
    "run -f": (fmnist.main, ["run", "-o", "folder", "-f"]),
    "run -o": (fmnist.main, ["run", "-o"]),
    "study -f": (fmnist.main, ["study", "-o", "folder", "-f"]),
    "study -o": (fmnist.main, ["study", "--seeds", "1", "-o"]),
    "report": (fmnist.main, ["report"]),
    "same run -f": (same.main, ["program", "run", "-t", "local", "-f"]),
    "same run -o": (same.main, ["program", "run", "-t", "local", "-f", OURS, "-o"]),
    "same create -f": (same.main, ["program", "create", "-f"]),
}


@pytest.fixture
def traps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder of things that are not what they seem, in which no step runs."""

    def no_step(*_: object, **__: object) -> None:
        raise StepError("no step runs here")

    monkeypatch.setattr(local, "run_compiled", no_step)
    monkeypatch.setattr(workers, "train", no_step)
    monkeypatch.setattr(dataset, "fetch", lambda **_: None)
    monkeypatch.setattr(pipeline, "compile_pipeline", lambda *_: None)
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("x")
    Path("folder").mkdir()
    Path("loop").symlink_to("loop")
    Path("dangling").symlink_to("nothing/at/all")
    os.mkfifo("pipe")
    Path("device").symlink_to("/dev/zero")
    Path("binary").write_bytes(b"\xff\xfe\0")
    Path("deep").write_text("[" * 20_000)
    Path("large").write_bytes(bytes(10**6))


def assert_ends_well(program: click.Command, arguments: list[str], **environment: str) -> None:
    """Assert that a command ends with a short message, and with an exit code that is none of a defect."""
    __tracebackhide__ = True
    result = CliRunner(env=environment).invoke(program, arguments)
    assert result.exit_code in {1, console.BAD_INPUT, console.FAILED}, result.output[-2_000:]
    assert "Traceback" not in result.output
    assert len(result.output) < console.LONGEST + 500


@pytest.mark.usefixtures("traps")
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("command", TAKE_PATHS)
def test_no_path_is_a_defect(command: str, path: str) -> None:
    """No path ends in a traceback, is waited for, or is read without end."""
    program, arguments = TAKE_PATHS[command]
    assert_ends_well(program, [*arguments, PATHS[path]])


@pytest.mark.usefixtures("traps")
@pytest.mark.parametrize("path", ["x.yaml", "x/p.yaml"], ids=["folder", "below a file"])
def test_no_compiled_file_is_a_defect(path: str) -> None:
    """A compiled file that cannot be written is an error."""
    Path("x.yaml").mkdir()
    Path("x").write_text("")
    assert_ends_well(fmnist.main, ["compile", "--component", "confusion-matrix", "-o", path])


VALUES = {
    "empty": "",
    "blank": " ",
    "long": "x" * 10**6,
    "no text": "\udcff",
    "lines": "a\nb",
    "a terminal's": "\x1b[31m",
    "levels": "[" * 50_000,
    "digits": "9" * 5_000,
    "400 digits": "9" * 400,
    "no number": "nan",
    "infinite": "1e999",
    "other digits": "\u0663",
    "no JSON": "{",
    "octal": "010",
    "minutes": "1:30",
    "underscored": "1_0",
}

TAKE_VALUES: dict[str, tuple[click.Command, list[str], str]] = {
    **{
        f"run -p {name}": (fmnist.main, ["run", "-o", "file", "-p"], f"{name}=")
        for name in ("epochs", "seed", "validation_split", "compile_optimizer", "no_such")
    },
    "run -p": (fmnist.main, ["run", "-o", "file", "-p"], ""),
    "run --seed": (fmnist.main, ["run", "-o", "file", "--seed"], ""),
    "study --seeds": (fmnist.main, ["study", "-o", "file", "--seeds"], ""),
    "study --first-seed": (fmnist.main, ["study", "-o", "file", "--first-seed"], ""),
    "study --jobs": (fmnist.main, ["study", "-o", "file", "--jobs"], ""),
    "compile --mirror": (fmnist.main, ["compile", "--mirror"], ""),
    "compile --component": (fmnist.main, ["compile", "--component"], ""),
    **{
        f"compile {name}": (fmnist.main, ["compile", "--study", name], "")
        for name in ("--seeds", "--first-seed", "--shards", "--parallel")
    },
    "same run -p": (same.main, ["program", "run", "-f", OURS, "-t", "local", "-o", "file", "-p"], "epochs="),
    "same run --timeout": (same.main, ["program", "run", "-f", OURS, "--timeout"], ""),
    "a command": (fmnist.main, [], ""),
}


@pytest.mark.usefixtures("traps")
@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("option", TAKE_VALUES)
def test_no_value_is_a_defect(option: str, value: str) -> None:
    """No value ends in a traceback, or comes back whole from megabytes."""
    program, arguments, before = TAKE_VALUES[option]
    assert_ends_well(program, [*arguments, before + VALUES[value]])


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (RecursionError(), 2, "input: expected a few levels of lists and mappings, got too many"),
        (MemoryError(), 3, "memory: expected enough for this, got too little"),
        (OSError(28, "No space left on device", "x"), 3, "No space left on device: 'x'"),
    ],
    ids=["levels", "memory", "disk"],
)
def test_what_runs_out_is_told(monkeypatch: pytest.MonkeyPatch, error: Exception, code: int, message: str) -> None:
    """Memory and levels that run out anywhere end in a message, like a full disk."""

    def fails(**_: object) -> None:
        raise error

    monkeypatch.setattr(dataset, "fetch", fails)
    result = CliRunner().invoke(fmnist.main, ["data"])
    assert (result.exit_code, message in result.output) == (code, True)
