"""Tests of what the command lines share: what surrounds the process changes neither a file nor an exit code."""

import errno
import io
import json
import os
import re
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from support import helpers, samples

from fmnist import pipeline
from fmnist.cli import console, fmnist, same
from fmnist.cluster import connection, program_file
from fmnist.kubeflow import bundle
from fmnist.kubeflow.environment import allowed
from fmnist.replication.verdict import SEEDS_FOR_A_VERDICT
from fmnist.runs.verify import Difference, File, Verification
from fmnist.steps.errors import ContractError, DataError, SettingsError, StepError
from fmnist.steps.redaction import safe
from fmnist.steps.settings import Settings

FMNIST = str(Path(sys.executable).with_name("fmnist"))


def program(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program with a changed environment."""
    surroundings = {**helpers.clean_environment(), **environment}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=surroundings)


@pytest.mark.parametrize(
    "environment",
    [
        {"KFP_DISABLE_EXECUTION_CACHING_BY_DEFAULT": "true"},
        {"KFP_PACKAGE_PATH": "kfp @ file:///x"},
        {"PYTHONOPTIMIZE": "1"},
        {"PYTHONWARNINGS": "error"},
        {"_KFP_RUNTIME": "true"},
    ],
    ids=lambda environment: next(iter(environment)),
)
def test_the_environment_does_not_change_what_is_compiled(tmp_path: Path, environment: dict[str, str]) -> None:
    """Variables that Python and kfp read give the same bytes."""
    done = program(FMNIST, "compile", "-o", str(tmp_path / "other.yaml"), **environment)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "other.yaml").read_bytes() == pipeline.compile_pipeline(tmp_path / "one.yaml").read_bytes()


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["compile"]], ids=" ".join)
def test_a_python_without_docstrings_is_refused(tmp_path: Path, arguments: list[str]) -> None:
    """Neither an empty help nor a pipeline without descriptions, but what to do."""
    done = program(FMNIST, *arguments, PYTHONOPTIMIZE="2")
    assert done.returncode == 2
    assert "expected docstrings" in done.stderr
    assert "Unset PYTHONOPTIMIZE" in done.stderr


def test_a_pipeline_without_docstrings_is_refused() -> None:
    """Compiled by its own file, the pipeline is refused too."""
    done = program(sys.executable, "-OO", pipeline.__file__)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("fmnist.steps.errors.ContractError: Python: expected docstrings")


#: What Python, YAML or a person may take for a number.
ODD_NUMBERS = [
    *(
        "1_000",
        "0x10",
        "0o17",
        "0b11",
        "010",
        "00",
        "+3",
        "1e3",
        "1.0",
        "3.",
        "1,000",
        "\u0663",
        "\uff13",
        "\u00b2",
        "--3",
    ),
    *("", "-", "inf", "nan", "true", "null", "3j", "3L", "1 000", "\u22123"),
]


def options(command: click.Command) -> Iterator[click.Option]:
    """Give each option of a command and of those below it."""
    yield from (one for one in command.params if isinstance(one, click.Option))
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        yield from options(below)


@pytest.mark.parametrize("text", ODD_NUMBERS)
def test_a_number_is_spelt_in_one_way(text: str) -> None:
    """Options and parameters take a whole number as JSON has it, and no other spelling of one."""
    with pytest.raises(click.BadParameter):
        console.Whole(0).convert(text, None, None)
    if text not in {"1.0", "1e3"}:
        with pytest.raises(click.BadParameter):
            console.Number().convert(text, None, None)
    for name in ("epochs", "seed"):
        with pytest.raises(SettingsError, match=f"^{name}: expected a whole number"):
            Settings.parse({name: text})


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("7", 7), ("1000", 1000), ("-3", -3)])
def test_a_plain_number_is_taken(text: str, number: int) -> None:
    """Digits are a number, and within the range they are taken."""
    assert console.Whole().convert(text, None, None) == number


def test_each_option_for_a_number_takes_only_such() -> None:
    """No option of either program leaves a number to Python's `int`."""
    found = [one for program in (fmnist.main, same.main) for one in options(program)]
    assert len(found) > 50
    numbers = [one for one in found if isinstance(one.type, click.types.IntParamType | click.types.FloatParamType)]
    assert {one.opts[-1] for one in numbers} == {
        *("--seeds", "--first-seed", "--shards", "--parallel", "--jobs", "--sample", "--timeout", "--margin"),
    }
    assert all(isinstance(one.type, console.Whole | console.Number) for one in numbers)


def called(body: Callable[..., object], *arguments: str, options: Sequence[Any] = ()) -> Result:
    """Call a program whose command `go` does this."""
    group = console.Group("program", commands=[click.Command("go", callback=body, params=list(options))])
    return CliRunner().invoke(group, ["go", *arguments])


FULL, QUOTA = "No space left on device", "Disk quota exceeded"
FREE_ROOM = "Free room on that disk, then run the same command again."
ANOTHER = "Choose a folder in which you may read and write, or copy the results to one."


def failing(error: BaseException) -> Result:
    """Call a program whose command fails."""

    def body() -> None:
        raise error

    return called(body)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ContractError("run: bad."), 2, "Error: run: bad.\n"),
        (SettingsError("epochs: bad."), 2, "Error: epochs: bad.\n"),
        (StepError("step train: it broke"), 3, "Error: step train: it broke\n"),
        (OSError(28, "No space left"), 3, "Error: [Errno 28] No space left\n"),
        (OSError(28, FULL, "x"), 3, f"Error: [Errno 28] {FULL}: 'x'. {FREE_ROOM}\n"),
        (OSError(122, QUOTA), 3, f"Error: [Errno 122] {QUOTA}. {FREE_ROOM}\n"),
        (OSError(30, "Read-only file system", "x"), 3, f"Error: [Errno 30] Read-only file system: 'x'. {ANOTHER}\n"),
        (PermissionError(13, "Permission denied", "x"), 3, f"Error: [Errno 13] Permission denied: 'x'. {ANOTHER}\n"),
        (
            StepError(f"step train: OSError: [Errno 28] {FULL}"),
            3,
            f"Error: step train: OSError: [Errno 28] {FULL}. {FREE_ROOM}\n",
        ),
        (DataError(f"cache: got {FULL}. Set HOME."), 3, f"Error: cache: got {FULL}. Set HOME.\n"),
        (RecursionError(), 2, "Error: input: expected a few levels of lists and mappings, got too many.\n"),
        (MemoryError(), 3, "Error: memory: expected enough for this, got too little. Free some, or give less input.\n"),
        (KeyboardInterrupt(), 130, "Error: interrupted; the same command starts afresh.\n"),
        (KeyboardInterrupt("look there."), 130, "Error: interrupted; look there.\n"),
        (ContractError("x" * 5000), 2, "Error: " + "x" * 4000 + " ...\n"),
        (click.ClickException("y" * 5000), 1, "Error: " + "y" * 4000 + " ...\n"),
        (click.Abort(), 1, "Aborted!\n"),
        (click.exceptions.Exit(5), 5, ""),
    ],
    ids=[
        "contract",
        "settings",
        "step",
        "system",
        "disk",
        "quota",
        "read-only",
        "permission",
        "disk of a step",
        "disk, with advice",
        "levels",
        "memory",
        "stopped",
        "stopped in a start",
        "long",
        "usage",
        "aborted",
        "ended",
    ],
)
def test_each_error_has_its_exit_code(error: BaseException, code: int, said: str) -> None:
    """Bad input, failures and an interruption are told in a line each, however long."""
    result = failing(error)
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", said)


def test_a_defect_is_told_as_one() -> None:
    """Its traceback is what somebody needs who mends it."""
    result = failing(ZeroDivisionError("zero"))
    assert (result.exit_code, result.stdout) == (70, "")
    assert result.stderr.startswith("Traceback (most recent call last):\n")
    assert result.stderr.endswith("\nZeroDivisionError: zero\n")


def test_each_variable_has_one_name_and_one_role(monkeypatch: pytest.MonkeyPatch) -> None:
    """The code spells no other; each of a user's reaches what computes results, or is hidden; one is for tests."""
    sources = bundle.source_files(["**/*.py"]).values()
    spelt = {name.decode() for source in sources for name in re.findall(rb"\bFMNIST_[A-Z_]+", source)}
    assert spelt - {"FMNIST_CHECKPOINT"} == {*console.VARIABLES}, "runs.run alone sets that one"
    for name in console.VARIABLES:
        monkeypatch.setenv(name, f"value-of-{name}")
    hidden = {name for name in console.VARIABLES if name not in safe(f"value-of-{name}")}
    assert {*console.VARIABLES} - allowed().keys() - hidden == {"FMNIST_STRICT"}
    assert hidden == {connection.TOKEN, connection.COOKIES}


def test_what_help_repeats_is_what_holds() -> None:
    """It is shown without the modules that know it."""
    options = {one.name: one for one in [*same.run.params, *fmnist.main.commands["compile"].params]}
    assert vars(options["component"].type)["choices"] == (*pipeline.COMPONENTS,)
    assert pipeline.FILE_NAME in vars(options["output"])["help"]
    assert options["file"].default == program_file.FILE_NAME
    assert f"fewer than {SEEDS_FOR_A_VERDICT} seeds" in str(fmnist.main.help)


def test_what_surrounds_a_command_is_put_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """What kfp would read is away, children are waited for, warnings end nothing, and misspelt variables are told."""
    monkeypatch.setattr(os, "environ", os.environ.copy())
    for name in ("KFP_PACKAGE_PATH", "_KFP_RUNTIME", "FMNIST_DATA_DIR", "FMNIST_XYZ_123456", "FMNIST_MIRRORS"):
        monkeypatch.setitem(os.environ, name, "" if name == "FMNIST_XYZ_123456" else "x")
    monkeypatch.setattr(sys, "warnoptions", ["error"])
    seen: list[object] = []

    def body() -> None:
        warnings.warn("careful", stacklevel=1)
        seen.extend([os.environ.keys() & {"KFP_PACKAGE_PATH", "_KFP_RUNTIME"}, signal.getsignal(signal.SIGCHLD)])

    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("error")
            filters = warnings.filters[:]
            result = called(body)
            assert warnings.filters == filters
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert (result.exit_code, seen) == (0, [set(), signal.SIG_DFL]), result.stderr
    assert [str(one.message) for one in warned] == ["careful"]
    assert result.stderr == (
        "Warning: the variable FMNIST_MIRRORS has no effect. Did you mean 'FMNIST_MIRROR'?\n"
        "Warning: the variable FMNIST_XYZ_123456 has no effect.\n"
    )


class Full(io.StringIO):
    """A stream on a full disk."""

    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "full")


class Late(io.StringIO):
    """A stream with a buffer, on a full disk."""

    def flush(self) -> None:
        raise OSError(errno.ENOSPC, "full")


@pytest.mark.parametrize("full", [Full, Late])
def test_a_lost_result_is_a_failure(full: type[io.StringIO], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asked for a result that could not be written is told so, also where only the end tells."""
    monkeypatch.setattr(sys, "stdout", full())
    monkeypatch.setattr(sys, "stderr", told := io.StringIO())
    group = console.Group("program", commands=[click.Command("go", callback=lambda: print("result"))])  # noqa: T201
    with pytest.raises(SystemExit) as ended:
        group.main(["go"])
    assert ended.value.code == 3
    assert told.getvalue() == "Error: stdout: expected to write the result there, got: [Errno 28] full.\n"
    monkeypatch.setattr(sys, "stdout", kept := io.StringIO())
    assert group.main(["go"], standalone_mode=False) is None
    assert kept.getvalue() == "result\n"


@pytest.mark.parametrize(("optimize", "refused"), [(0, False), (1, False), (2, True)])
def test_texts_are_needed(optimize: int, refused: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without docstrings there is no help."""
    monkeypatch.setattr(sys, "flags", SimpleNamespace(optimize=optimize))
    group = console.Group("program")
    if refused:
        with pytest.raises(click.UsageError, match="expected docstrings"):
            group.parse_args(click.Context(group), ["go"])
    else:
        group.parse_args(context := click.Context(group), ["go"])
        assert context._protected_args == ["go"]


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        (console.Text(), "", "expected a text, got an empty one. Is a variable empty?"),
        (console.Location(), "", "expected a path, got an empty one. Is a variable empty?"),
        (console.Location(exists=True), "gone", "Path 'gone' does not exist."),
        (console.Number(), "1_0", "'1_0' is not a valid number."),
        (console.Number(), "0.5\n", r"'0.5\n' is not a valid number."),
        (console.Number(), "z" * 200, "'" + "z" * 99 + " ... is not a valid number."),
        (console.Whole(0), "010", "'010' is not a valid integer range."),
        (console.Whole(0), " 5", "' 5' is not a valid integer range."),
        (console.Whole(0), "z" * 200, "'" + "z" * 99 + " ... is not a valid integer range."),
        (console.Whole(1, 3), "4", "4 is not in the range 1<=x<=3."),
    ],
)
def test_another_value_is_told(kind: click.ParamType[Any], text: str, said: str) -> None:
    """The option is named, and what was given, shortened."""
    result = called(lambda value: None, "--value", text, options=[click.Option(["--value"], type=kind)])
    assert result.exit_code == 2
    assert result.stderr.endswith(f"Error: Invalid value for '--value': {said}\n")


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("-0.25", -0.25), ("10.5e-1", 1.05), ("7E2", 700), (0.5, 0.5)])
def test_a_plain_fraction_is_taken(text: Any, number: float) -> None:
    """JSON's spellings of a number; a default is one already. A text that is there is itself."""
    assert console.Number().convert(text, None, None) == number
    assert console.Whole().convert(7, None, None) == 7
    assert console.Text().convert("a b", None, None) == "a b"
    assert [console.Location().convert(one, None, None) for one in (" ", Path("a"))] == [Path(" "), Path("a")]


def test_options_that_commands_share() -> None:
    """They are in the help in the order in which they are given."""
    shared = console.added(console.params("--param", "A parameter."), console.output("A folder."))

    @shared
    def body(params: tuple[str, ...], output: Path) -> None:
        click.echo(f"{params} {output!r}")

    command = click.command()(body)
    assert CliRunner().invoke(command, ["-p", "a=1", "--param", "b=2", "-o", "x"]).stdout == (
        "('a=1', 'b=2') PosixPath('x')\n"
    )
    assert CliRunner().invoke(command, ["--help"]).stdout.splitlines()[3:-1] == [
        "  -p, --param NAME=VALUE  A parameter.",
        "  -o, --output PATH       A folder.",
    ]


def test_parameters_are_read(capsys: pytest.CaptureFixture[str]) -> None:
    """Spaces around a name and a value count for nothing, the last of several counts, and names have their letters."""
    given = ["a=1", " b = x = y ", " a =2", "c=3", " c= 3", "empty=", "d=", "d=4", "a=5", "A=X"]
    assert console.given(given) == {"a": "5", "b": "x = y", "c": "3", "empty": "", "d": "4", "A": "X"}
    assert capsys.readouterr().err == "".join(
        f"Warning: -p {one} has no effect, as it is given again.\n" for one in ("a=1", "d=", "a=2")
    )
    with pytest.raises(click.BadParameter) as refused:
        console.given(["a=1", "epochs"])
    assert refused.value.format_message() == "Invalid value for -p: expected NAME=VALUE, got 'epochs'."


def test_a_text_is_taken_as_it_is() -> None:
    """Blanks around it belong to it, and so does a blank alone: whether it is a name, others say."""
    assert [console.Text().convert(text, None, None) for text in (" a ", "\t", "É")] == [" a ", "\t", "É"]
    paths = [console.Location().convert(text, None, None) for text in (" a ", "\t", "b/../É")]
    assert paths == [Path(" a "), Path("\t"), Path("b/../É")]


def test_options_without_effect_are_told() -> None:
    """Those that somebody has given, by their long names; defaults are not given."""

    def body(**_: object) -> None:
        console.warn_of_idle({"one", "two"}, "beside --three")

    options = [click.Option(["-n", "--one"]), click.Option(["--two"], default="2"), click.Option(["--three"])]
    assert called(body, "-n", "1", "--three", "3", options=options).stderr == (
        "Warning: --one has no effect beside --three.\n"
    )
    assert called(body, "--two", "1", options=options).stderr == "Warning: --two has no effect beside --three.\n"
    assert called(body, "--two", "1", "-n", "1", options=options).stderr.splitlines() == [
        f"Warning: --{one} has no effect beside --three." for one in ("one", "two")
    ]


def test_a_sample_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """Of one seed there is no deviation; without figures nothing is compared; a folder has report and picture."""
    parameters = {"compile_optimizer": "sgd", "epochs": 1, "validation_split": 0.05}
    sample = samples.study_sample(samples.sample([0.8123], first=3), parameters)
    console.print_sample(sample, "3", Path("a\nb\nc"))
    assert capsys.readouterr().out.splitlines() == [
        "seeds      3",
        "mean       0.8123",
        "range      0.8123 to 0.8123",
        "published  nothing for these parameters, so nothing is compared",
        r"report     a\nb\nc/report.html",
        r"picture    a\nb\nc/distribution.png",
    ]
    console.print_rows([("a\nb", "c")])
    assert capsys.readouterr().out == "a\\nb        c\n"
    console.print_sample(samples.study_sample(samples.sample([0.87, 0.88], first=3)), "2", None)
    assert capsys.readouterr().out.splitlines() == [
        "seeds      2",
        "mean       0.8750",
        "deviation  0.0071",
        "range      0.8700 to 0.8800",
        "published  0.8693  (tensorflow-tutorial): inconclusive",
        "published  0.8822  (same-example-10-epochs): inconclusive",
        "2 seeds cannot tell whether the tutorial's published accuracy of 0.8693 replicates: the mean of 2 seeds, "
        "0.8750, is a hint, and a verdict takes at least 20.",
        "2 seeds cannot tell whether the SAME example's published accuracy of 0.8822 replicates: the mean of 2 seeds, "
        "0.8750, is a hint, and a verdict takes at least 20.",
    ]
    console.print_sample(samples.study_sample(samples.sample([0.87])), "1", None)
    assert capsys.readouterr().out.splitlines()[3:] == [
        "published  0.8693  (tensorflow-tutorial): inconclusive",
        "published  0.8822  (same-example-10-epochs): inconclusive",
        "One run cannot tell whether the tutorial's published accuracy of 0.8693 replicates: a spread takes more than "
        "one.",
        "One run cannot tell whether the SAME example's published accuracy of 0.8822 replicates: a spread takes more "
        "than one.",
    ]
    # Whatever their order is, and where they are equal too.
    for accuracies, mean, deviation, both in (
        ([0.88, 0.87, 0.8798], "0.8766", "0.0057", "0.8700 to 0.8800"),
        ([0.88, 0.88], "0.8800", "0.0000", "0.8800 to 0.8800"),
    ):
        console.print_sample(samples.study_sample(samples.sample(accuracies), parameters), "n", None)
        expected = ["seeds      n", f"mean       {mean}", f"deviation  {deviation}", f"range      {both}"]
        assert capsys.readouterr().out.splitlines()[:4] == expected


def test_a_verification_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each file and each difference, and the outcome."""
    files = [
        File("model.keras", "a" * 12 + "0" * 52, "b" * 64),
        File("loss_plot.html", "c" * 64, "c" * 64),
        File("x", None, "d" * 64),
        File("y", "e" * 64, None),
    ]
    differs = Difference("versions.numpy", "1.0", "2.0", "other bits")
    console.print_verification(Verification(environment=[differs], files=files))
    assert capsys.readouterr().out.splitlines() == [
        "model.keras     aaaaaaaaaaaa  bbbbbbbbbbbb  DIFFERS",
        "loss_plot.html  cccccccccccc  cccccccccccc  same",
        "x               missing       dddddddddddd  DIFFERS",
        "y               eeeeeeeeeeee  missing       DIFFERS",
        "versions.numpy: recorded 1.0, here 2.0; other bits",
        "Not verified: 3 of 4 files differ, and so does the environment.",
    ]
    console.print_verification(Verification(files=files[1:2], seeds=[5, 17, 1000]))
    assert capsys.readouterr().out.splitlines() == [
        "loss_plot.html  cccccccccccc  cccccccccccc  same",
        "Verified: made again, 1 files are the same, byte for byte. Trained again: seeds 5, 17, 1000.",
    ]
    console.print_verification(Verification(altered="gone"))
    assert capsys.readouterr().out == ("Not verified: it was altered, or is not whole. Nothing was executed.\ngone\n")


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (console.Text(), ""),
        (console.Location(), ""),
        (console.Location(exists=True), "gone"),
        (console.Number(), "x"),
        (console.Whole(), "x"),
        (console.Whole(1, 3), "4"),
    ],
)
def test_a_bad_value_knows_its_option(kind: click.ParamType[Any], text: str) -> None:
    """Click takes from them what to call the option, and which help to name."""
    option = click.Option(["--value"])
    context = click.Context(click.Command("go"))
    with pytest.raises(click.BadParameter) as refused:
        kind.convert(text, option, context)
    assert refused.value.param is option
    assert refused.value.ctx is context


def test_json_is_printed_for_people_too(capsys: pytest.CaptureFixture[str]) -> None:
    """Each value has a line of its own, in the order in which it was given."""
    console.print_json({"b": [1, 0.5], "a": None})
    assert capsys.readouterr().out == '{\n  "b": [\n    1,\n    0.5\n  ],\n  "a": null\n}\n'


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "ascii"])
def test_json_can_be_parsed_whatever_stdout_can_show(encoding: str) -> None:
    """A character that it lacks, or that steers a terminal, has JSON's own escape."""
    value = {"é ☃": "\x7f\x85"}
    group = console.Group("program", commands=[click.Command("go", callback=lambda: console.print_json(value))])
    result = CliRunner(charset=encoding).invoke(group, ["go"])
    assert json.loads(result.stdout_bytes.decode(encoding)) == value


def test_what_an_unset_variable_gives_is_refused() -> None:
    """Each path and each text of an option is looked at, where no other part of the program does that."""
    plain = set()
    groups: list[tuple[str, click.Command]] = [("fmnist", fmnist.main), ("same", same.main)]
    for name, command in groups:
        if isinstance(command, click.Group):
            groups += [(f"{name} {one}", part) for one, part in command.commands.items()]
            continue
        plain |= {
            f"{name} {parameter.opts[0]}"
            for parameter in command.params
            if isinstance(parameter.type, click.Path | click.types.StringParamType)
            and not isinstance(parameter.type, console.Location | console.Text)
        }
    assert plain == {
        *("fmnist run -p", "fmnist run --seed", "fmnist study -p", "fmnist judge -p"),
        *("fmnist compile --image", "fmnist compile --mirror", "same program create --description"),
        *("same program run -p", "same program run --description", "same program run --experiment-description"),
        "same program run --run-description",
    }
