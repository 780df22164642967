"""Tests of `fmnist judge`: what it reads, what it says, and what it writes."""

import json
import os
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from support import helpers

from fmnist.cli import fmnist as cli
from fmnist.replication.published import Figure
from fmnist.runs import accuracies, judging
from fmnist.runs.accuracies import read_accuracies
from fmnist.runs.figures import read_figures, single
from fmnist.steps.errors import ContractError

#: Twenty accuracies whose mean is 0.955.
TWENTY = "0.954\n0.956\n" * 10

FIGURE = {"name": "paper", "by": "the paper", "accuracy": 0.955, "parameters": {"epochs": 3}, "source": "a paper"}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the accuracies of twenty runs."""
    monkeypatch.chdir(tmp_path)
    Path("accuracies.csv").write_text(TWENTY)
    return tmp_path


def invoke(*arguments: str) -> Result:
    """Call the command line."""
    return CliRunner().invoke(cli.main, ["judge", *arguments])


def figures(*entries: dict[str, Any]) -> str:
    """Write a file of figures and return its name."""
    Path("figures.json").write_text(json.dumps({"figures": [{**FIGURE, **entry} for entry in entries]}))
    return "figures.json"


@pytest.mark.usefixtures("here")
def test_a_published_accuracy_is_judged() -> None:
    """The verdict is in a table and a sentence, and nothing is written without being asked for."""
    result = invoke("--published", "0.955", "accuracies.csv")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == (
        "seeds      20\n"
        "mean       0.9550\n"
        "deviation  0.0010\n"
        "range      0.9540 to 0.9560\n"
        "published  0.9550  (published): replicated\n"
        "The published accuracy of 0.9550 replicates: it is a plausible single run, and the mean of 20 seeds, 0.9550, "
        "is within 0.015 of it.\n"
    )
    assert [path.name for path in Path().iterdir()] == ["accuracies.csv"]


@pytest.mark.usefixtures("here")
def test_the_column_that_is_asked_for_is_judged() -> None:
    """It may stand beside one with the usual name."""
    Path("columns.csv").write_text("accuracy,mine\n0.1,0.8\n0.2,0.9\n")
    mine = ["--column", "mine"]
    written = [*mine, "-o", "x", "--margin", "0.125"]
    shown = [invoke("--published", "0.9", *options, "columns.csv") for options in ([], mine, written)]
    assert [one.stdout.splitlines()[1].split() for one in shown] == [
        ["mean", "0.1500"],
        ["mean", "0.8500"],
        ["mean", "0.8500"],
    ]
    # Where a report is written, the answer is the same, and so is what it is judged by.
    assert [one.exit_code for one in shown] == [1, 1, 1]
    assert json.loads(Path("x/verdict.json").read_text())[0]["margin"] == 0.125


@pytest.mark.parametrize(
    ("options", "text", "code"),
    [
        (["--published", "0.955"], TWENTY, 0),
        (["--published", "0.955"], TWENTY[:-6], 1),
        (["--published", "0.99"], TWENTY, 1),
        (["--published", "0.955", "--published", "0.99"], TWENTY, 1),
        (["--published", "0.955", "--published", "0.96"], TWENTY, 0),
        (["--published", "0.96", "--margin", "0.001"], TWENTY, 1),
        (["--published", "0.955", "--published", "0.96", "--margin", "0.001"], TWENTY, 1),
        (["--published", "0.9"], "0.9", 1),
        (["--published", "1"], "1\n" * 20, 0),
    ],
    ids=["shown", "19 runs", "another", "one of two", "two", "margin", "margin of two", "one run", "all equal"],
)
@pytest.mark.usefixtures("here")
def test_the_exit_code_is_that_of_a_study(options: list[str], text: str, code: int) -> None:
    """It is 0 if enough runs show that their mean is equivalent to each published accuracy, and else 1."""
    Path("accuracies.csv").write_text(text)
    for more in ((), ("--json",)):
        assert invoke(*options, *more, "accuracies.csv").exit_code == code


@pytest.mark.parametrize(
    "content",
    [
        b"0.9\n0.25",
        b"0.9\r\n0.25\r\n",
        b"\xef\xbb\xbf0.9\n0.25\n\n\n",
        b" 0.9 \n\t.25\n",
        b"9e-1\n2.5E-1\n",
        b"9.e-1\n0.025E+1\n",
        b"test accuracy\n0.9\n0.25\n",
        b"seed,accuracy,loss\n0,0.9,7\n1,0.25,7\n",
        b'"seed","accuracy"\n"0","0.9"\n1,0.25',
        b"seed,accuracy\n1,0.9\n1.5,0.25",
        b"seed,accuracy\n10,0.9\n1,0.25",
        b"\xef\xbb\xbfaccuracy,run\r\n0.9,=1\r\n0.25,\r\n",
        b"accuracy\r0.9\r0.25\r",
        "accuracy,note\n0.9,a\x0bb\u2028c\x85d\n0.25,\x1c\x0ce\n".encode(),
        b"Accuracy,accuracy,2\n0.1,0.9,a\n0.2,0.25,b\n",
    ],
    ids=[
        "lines",
        "CRLF",
        "BOM",
        "spaces",
        "exponents",
        "other exponents",
        "one column",
        "columns",
        "quotes",
        "seeds with a point",
        "seeds with zeros",
        "of a spreadsheet",
        "CR",
        "other separators",
        "capitals, and a number as a name",
    ],
)
def test_accuracies_are_read(content: bytes, tmp_path: Path) -> None:
    """A text file of one a line, and a CSV as programs and spreadsheets write it."""
    (tmp_path / "file").write_bytes(content)
    assert read_accuracies(tmp_path / "file") == [0.9, 0.25]


def test_a_column_is_chosen(tmp_path: Path) -> None:
    """Any column may hold the accuracies, with any number of digits, and have two lines as its name."""
    (tmp_path / "file").write_text('accuracy,"val\nacc"\n0.1,0.9\n0.2,0.30000000000000004\n')
    assert read_accuracies(tmp_path / "file", "val\nacc") == [0.9, 0.30000000000000004]


@pytest.mark.parametrize(
    "first",
    [
        "\u200e0.10",
        "\u200b0.10",
        "~0.10",
        "(0.10)",
        "'0.10",
        "<0.10",
        "\u22120.10",
        "O.10",
        "o.10",
        "acc=0.10",
        "acc_0.10",
        "# 0.10",
        "\x000.10",
    ],
    ids=ascii,
)
def test_a_lowest_accuracy_is_no_name_of_a_column(tmp_path: Path, first: str) -> None:
    """Whatever stands before it on the first line, it is not left out as if it were a head."""
    (tmp_path / "file").write_text(f"{first}\n0.9\n0.8\n")
    with pytest.raises(ContractError, match="line 1: expected an accuracy from 0 to 1, got "):
        read_accuracies(tmp_path / "file")
    with pytest.raises(ContractError, match="line 1: expected an accuracy from 0 to 1, got "):
        read_accuracies(tmp_path / "file", "another")
    (tmp_path / "file").write_text(f"{first},seed\n0.9,1\n")
    with pytest.raises(ContractError, match="line 1: expected a column 'accuracy', got "):
        read_accuracies(tmp_path / "file")


def test_a_column_may_have_any_name(tmp_path: Path) -> None:
    """One that begins like an accuracy has to be asked for: it may be an accuracy with a slip."""
    for name, column in (
        ("5-shot accuracy", "accuracy"),
        ("accuracy.1", "accuracy"),
        ("v1.2", "accuracy"),
        ("0.5B model", "0.5B model"),
    ):
        (tmp_path / "file").write_text(f"{name}\n0.9\n0.8\n")
        assert read_accuracies(tmp_path / "file", column) == [0.9, 0.8]


def test_the_largest_that_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All bounds are within: 0 and 1, a hundred thousand accuracies, three figures; a table has no more in columns."""
    (tmp_path / "file").write_text("0\n1\n" * 50_000)
    read = read_accuracies(tmp_path / "file")
    assert read == [0, 1] * 50_000
    assert len(judging.judge(read, [single(0), single(1), single(0.5)]).accuracies) == 100_000
    monkeypatch.setattr(accuracies, "MOST", 2)
    (tmp_path / "file").write_text("seed,accuracy\n" + "1,1\n" * 3)
    with pytest.raises(ContractError, match="expected 1 to 2 accuracies, got 3"):
        read_accuracies(tmp_path / "file")


def test_whole_numbers_and_small_margins_are_taken() -> None:
    """As they are, by whoever calls it from Python; a number below 0 is no per cent."""
    judged = judging.judge([1, 0], 1, 1e-9)
    assert (judged.accuracies, judged.figures[0].accuracy, judged.margin) == ([1.0, 0.0], 1, 1e-9)
    with pytest.raises(ContractError, match=r"^accuracies\[1\]: expected an accuracy from 0 to 1, got -5\.$"):
        judging.judge([1, -5], 1)


def test_nothing_published_is_refused() -> None:
    """Without a published accuracy there is nothing to judge."""
    with pytest.raises(ContractError, match="^published accuracies: expected 1 to 3 at once, got 0.$"):
        judging.judge([0.9], [])


def test_a_lone_column_has_the_name_that_is_asked_for(tmp_path: Path) -> None:
    """A file of one column of another name is not taken for the one that was asked for."""
    (tmp_path / "file").write_text("train_acc\n0.9\n")
    assert read_accuracies(tmp_path / "file") == [0.9]
    with pytest.raises(ContractError, match="line 1: expected a column 'test_acc', got 'train_acc'."):
        read_accuracies(tmp_path / "file", "test_acc")


BAD: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "expected an accuracy on each line, got an empty file."),
    "blank": ("\n \n", "expected an accuracy on each line, got an empty file."),
    "a head alone": ("accuracy\n", "expected 1 to 100,000 accuracies, got 0."),
    "NaN": ("0.9\nnan\n", "line 2: expected an accuracy from 0 to 1, got 'nan'."),
    "NaN first": ("NaN\n0.9\n", "line 1: expected an accuracy from 0 to 1, got 'NaN'."),
    "infinity": ("0.9\ninf\n", "line 2: expected an accuracy from 0 to 1, got 'inf'."),
    "negative": ("-0.1\n", "line 1: expected an accuracy from 0 to 1, got '-0.1'."),
    "per cent": (
        "0.9\n88.2\n",
        "line 2: expected an accuracy from 0 to 1, got 88.2. Divide what is in per cent by 100.",
    ),
    "per cent sign": (
        "95%\n",
        "line 1: expected an accuracy from 0 to 1, got '95%'. Divide what is in per cent by 100.",
    ),
    "a hundred per cent": (
        "1e2\n",
        "line 1: expected an accuracy from 0 to 1, got 100.0. Divide what is in per cent by 100.",
    ),
    "more than per cent": ("100.5\n", "line 1: expected an accuracy from 0 to 1, got 100.5."),
    "too large": (
        "1.0000001\n",
        "line 1: expected an accuracy from 0 to 1, got 1.0000001. Divide what is in per cent by 100.",
    ),
    "huge": ("1e999\n", "line 1: expected an accuracy from 0 to 1, got inf."),
    "other digits": ("0.9\n٠.٩\n", "line 2: expected an accuracy from 0 to 1, got '٠.٩'."),
    "underscore": ("0.9\n0.9_5\n", "line 2: expected an accuracy from 0 to 1, got '0.9_5'."),
    "sign": ("0.9\n+0.8\n", "line 2: expected an accuracy from 0 to 1, got '+0.8'."),
    "word": ("0.9\nfailed\n", "line 2: expected an accuracy from 0 to 1, got 'failed'."),
    "a note first": ("0.9 # seed 1\n0.8\n", "line 1: expected an accuracy from 0 to 1, got '0.9 # seed 1'."),
    "a slip first": (".9.1\n0.8\n", "line 1: expected an accuracy from 0 to 1, got '.9.1'."),
    "gap": ("0.9\n\n0.8\n", "line 2: expected an accuracy from 0 to 1, got ''."),
    "decimal comma": (
        "0,9\n0,8\n",
        "line 1: expected one accuracy, or the names of columns, got 2 numbers. Write a decimal point, not a comma; or "
        "give the columns names, one of them 'accuracy'.",
    ),
    "decimal comma later": (
        "0.9\n0,8\n",
        "line 2: expected as many values as in line 1, which has 1, got 2. Write a decimal point, not a comma.",
    ),
    "comma at the end": (
        "0.9,\n0.8,\n",
        "line 1: expected one accuracy, or the names of columns, got a comma at the end. Remove it from each line.",
    ),
    "no such column": (
        "seed,loss,time,accuracies\n1,2,3,0.9\n",
        "line 1: expected a column 'accuracy', got 'seed', 'loss', 'time', 'accuracies'. Did you mean 'accuracies'? "
        "Choose one with --column.",
    ),
    "long columns": (
        "a" * 150 + "," + "b" * 150 + "\n1,0.9\n",
        "line 1: expected a column 'accuracy', got '"
        + "a" * 150
        + "', '"
        + "b" * 45
        + " .... Choose one with --column.",
    ),
    "column twice": ("accuracy,accuracy\n1,0.9\n", "line 1: expected each column once, got 'accuracy' again."),
    "column thrice": ("a,b,a,a\n1,2,3,4\n", "line 1: expected each column once, got 'a' again."),
    "a seed twice": (
        "Seed ,accuracy\n1,0.9\n2,0.8\n 1,0.8\n",
        "line 4: expected another seed on each line, got '1' of line 2 again. A run counts once: remove the others.",
    ),
    "semicolons": (
        "seed;accuracy\n1;0.9\n",
        "line 2: expected an accuracy from 0 to 1, got '1;0.9'. Separate columns by commas.",
    ),
    "tabs": (
        "seed\taccuracy\n1\t0.9\n",
        "line 2: expected an accuracy from 0 to 1, got '1\\t0.9'. Separate columns by commas.",
    ),
    "a seed twice, once with a point": (
        "seed,accuracy\n10,0.9\n1,0.8\n1.0,0.9\n",
        "line 4: expected another seed on each line, got '1.0' of line 3 again. A run counts once: remove the others.",
    ),
    "a seed twice, once with zeros": (
        "seed,accuracy\n0,0.9\n1,0.8\n00.,0.9\n",
        "line 4: expected another seed on each line, got '00.' of line 2 again. A run counts once: remove the others.",
    ),
    "other columns twice": ("accuracy,b,a,a,b\n1,2,3,4,5\n", "line 1: expected each column once, got 'b' again."),
    "short row": (
        "seed,accuracy\n1,0.9\n2\n",
        "line 3: expected as many values as in line 1, which has 2, got 1. Write a decimal point, not a comma.",
    ),
    "gap in columns": (
        "accuracy,seed\n0.9,1\n\n0.8,2\n",
        "line 3: expected as many values as in line 1, which has 2, got an empty line. Remove it.",
    ),
    "open quote": ('accuracy\n"0.9\n', "line 2: expected a CSV, got unexpected end of data."),
    "after two lines in quotes": (
        'accuracy,note\n0.9,"two\nlines"\nhigh,\n',
        "line 4: expected an accuracy from 0 to 1, got 'high'.",
    ),
    "null": ("accuracy\n0.9\0\n", "line 2: expected an accuracy from 0 to 1, got '0.9\\x00'."),
    "UTF-16": (
        "0.9\n".encode("utf-16"),
        "expected UTF-8 text, got 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte. Save it as "
        "UTF-8.",
    ),
    "binary": (
        b"\x89PNG\r\n\x1a\n",
        "expected UTF-8 text, got 'utf-8' codec can't decode byte 0x89 in position 0: invalid start byte. Save it as "
        "UTF-8.",
    ),
    "empty lines first": ("\n\n0.9\n", "line 2: expected an accuracy from 0 to 1, got ''."),
    "too many": ("1\n" * 100_001, "expected 1 to 100,000 accuracies, got 100,001."),
    "too long": ("1" * (2**24 + 1), "expected a readable file, got: it is larger than 16777216 bytes."),
}


@pytest.mark.parametrize("name", BAD)
def test_other_accuracies_are_refused(name: str, tmp_path: Path) -> None:
    """The file, the line, and what is wrong with it are named."""
    content, message = BAD[name]
    path = tmp_path / "file"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ContractError) as caught:
        read_accuracies(path)
    assert str(caught.value) == f"{path}{', ' if message.startswith('line ') else ': '}{message}"


@pytest.mark.usefixtures("here")
def test_what_is_no_file_is_refused_at_once() -> None:
    """Neither a pipe nor a device nor a folder is waited for."""
    os.mkfifo("pipe")
    for name, reason in (
        ("pipe", "it is no regular file. Save what it gives in a file"),
        ("/dev/zero", "it is no regular file. Save what it gives in a file"),
        (".", "Is a directory"),
        ("nothing", "No such file or directory"),
    ):
        for arguments in (["--published", "0.9", name], ["--published", name, "accuracies.csv"]):
            result = invoke(*arguments)
            assert (result.exit_code, result.stdout) == (2, "")
            assert result.stderr == f"Error: {name}: expected a readable file, got: {reason}.\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--published", "95.5"], "published accuracy: expected an accuracy from 0 to 1, got 95.5. Divide what"),
        (["--published", "95.5%"], "published accuracy: expected an accuracy from 0 to 1, got '95.5%'. Divide what"),
        (["--published", "nan"], "published accuracy: expected an accuracy from 0 to 1, got 'nan'."),
        (["--published", "0.9", "--margin", "0"], "margin: expected a number greater than 0 and less than 1, got 0.0."),
        (["--published", "0.9", "--margin", "1"], "margin: expected a number greater than 0 and less than 1, got 1.0."),
        (["--published", "0.9", "--margin", "nan"], "Invalid value for '--margin': 'nan' is not a valid number."),
        (["--published", "0.9"] * 4, "published accuracies: expected 1 to 3 at once, got 4."),
        (["--published", "0.9", "--column", "x"], "line 1: expected one accuracy"),
        ([], "Missing option '--published'"),
    ],
)
@pytest.mark.usefixtures("here")
def test_bad_options_are_exit_code_2(options: list[str], message: str) -> None:
    """What was asked for in another way than it can be is refused."""
    Path("accuracies.csv").write_text("0.9,0.9\n" if "--column" in options else TWENTY)
    result = invoke(*options, "accuracies.csv")
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


@pytest.mark.usefixtures("here")
def test_figures_are_read_from_a_file() -> None:
    """A file in the format of published.json says who published what, for which parameters."""
    result = invoke("--published", figures({}), "accuracies.csv")
    assert result.exit_code == 0
    assert (
        "published  0.9550  (paper): replicated\nThe paper's published accuracy of 0.9550 replicates" in result.stdout
    )
    ours = helpers.TESTS.parent / "fmnist/replication/published.json"
    result = invoke(
        "--published", str(ours), "-p", "epochs=100", "-p", "validation_split=0.1", "-p", "x=y", "accuracies.csv"
    )
    assert result.exit_code == 2
    chosen = ["-p", "epochs=100", "-p", "validation_split=0.1", "-p", "compile_optimizer=adam"]
    result = invoke("--published", str(ours), *chosen, "accuracies.csv")
    assert (result.exit_code, result.stdout.count("published  ")) == (1, 1)
    assert "0.8819  (same-example-100-epochs): not replicated" in result.stdout


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "expected JSON, got: "),
        ("[" * 100_000, "expected JSON, got: "),
        ("[]", "Error: figures.json: Input should be an object."),
        ('{"figures": []}', "figures: List should have at least 1 item"),
        ('{"figures": [{"name": "a"}]}', "figures.0.accuracy: Field required."),
        (
            '{"figures": [{"name": "a", "accuracy": 88.2}]}',
            "figures.0.accuracy: Input should be less than or equal to 1.",
        ),
        ('{"figures": [{"name": "a", "accuracy": "0.9"}]}', "figures.0.accuracy: Input should be a valid number."),
        ('{"figures": [{"name": "a", "accuracy": NaN}]}', "figures.0.accuracy: "),
        ('{"figures": [{"name": "a", "accuracy": 0.9, "extra": 1}]}', "figures.0.extra: Extra inputs are not"),
        (
            '{"figures": [{"name": "a", "accuracy": 0.9, "' + "x" * 100 + '": 1}]}',
            "Error: figures.json: figures.0." + "x" * 90 + " ...: Extra inputs are not permitted.",
        ),
        (
            '{"' + "y" * 300 + '": 1, "' + "y" * 300 + '": 1}',
            "Error: figures.json: expected JSON, got: the key '" + "y" * 191 + " ....\n",
        ),
        (
            '{"figures": [{"name": "a", "accuracy": 0.9, "by": "b", "accuracy": 1}]}',
            "expected JSON, got: the key 'accuracy' twice.",
        ),
        (
            '{"figures": [{"name": "a", "accuracy": 1, "accuracy": 0.9, "accuracy": 1}]}',
            "expected JSON, got: the key 'accuracy' twice.",
        ),
        (
            '{"figures": [{"name": "\\u001b[2J", "accuracy": 0.9}]}',
            "figures.0.name: Value error, expected text that can",
        ),
    ],
    ids=[
        "no JSON",
        "deep",
        "list",
        "none",
        "no accuracy",
        "per cent",
        "text",
        "NaN",
        "misspelt",
        "long place",
        "long key twice",
        "key twice",
        "key thrice",
        "controls",
    ],
)
@pytest.mark.usefixtures("here")
def test_other_files_of_figures_are_refused(text: str, message: str) -> None:
    """The file, the place in it, and what is wrong are named."""
    Path("figures.json").write_text(text)
    result = invoke("--published", "figures.json", "accuracies.csv")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: figures.json: ")
    assert message in result.stderr
    assert len(result.stderr) < 500


@pytest.mark.usefixtures("here")
def test_figures_of_other_runs_are_not_compared_with() -> None:
    """Where figures are of several parameters, only those of the runs count, and somebody has to say which they are."""
    name = figures({}, {"name": "longer", "parameters": {"epochs": 9}, "compared_with": {"epochs": 10}})
    assert invoke("--published", name, "accuracies.csv").stderr == (
        "Error: figures.json: expected figures of the same parameters, got others. Say with -p which those of your "
        "runs are, as -p epochs=3.\n"
    )
    for others in ((), ("--published", "0.955")):
        told = invoke("--published", name, *others, "-p", "epochs=10", "-p", "seed=1", "accuracies.csv")
        assert ("(longer)" in told.stdout, told.stderr) == (True, "")
    assert invoke("--published", name, "-p", "epochs=9", "accuracies.csv").stderr == (
        "Error: figures.json: expected a figure for these parameters, got those for -p epochs=3; -p epochs=10.\n"
    )
    several: list[list[dict[str, Any]]] = [[{}, {}], [{}, {}, {}], [{}, {"name": "b"}, {}]]
    for entries in several:
        assert invoke("--published", figures(*entries), "accuracies.csv").stderr == (
            "Error: figures.json: expected each figure's name once, got 'paper' again.\n"
        )
    two, third = {"optimizer": "adam", "epochs": 3}, {"name": "third", "parameters": {"epochs": 4}}
    assert invoke("--published", figures({"parameters": two}, {"name": "b"}), "accuracies.csv").stderr.endswith(
        "are, as -p optimizer=adam -p epochs=3.\n"
    )
    name = figures({}, {"name": "b"}, third)
    assert invoke("--published", name, "accuracies.csv").stderr.endswith("are, as -p epochs=3.\n")
    assert [one.name for one in read_figures(name, {"epochs": 3})] == ["paper", "b"]
    assert [one.name for one in read_figures(figures({}, {"name": "Paper"}))] == ["paper", "Paper"]
    assert invoke("--published", figures({"parameters": {}}, {"name": "b"}), "accuracies.csv").stderr.endswith(
        "are, as no parameters.\n"
    )
    name = figures({"parameters": {"long": "z" * 600}})
    assert invoke("--published", name, "-p", "x=1", "accuracies.csv").stderr.endswith(
        "got those for -p long=" + "z" * 492 + " ....\n"
    )


@pytest.mark.usefixtures("here")
def test_parameters_may_be_text() -> None:
    """A number is one, and text that JSON reads is what it says; other text, also before it, is itself."""
    figures({"parameters": {"epochs": 3, "optimizer": "adam"}})
    for epochs in (3, "3", "3.0"):
        found = read_figures("figures.json", {"optimizer": "adam", "epochs": epochs})
        assert [one.name for one in found] == ["paper"]
    for given in ({"optimizer": "adam", "epochs": "[" * 100_000}, {"optimizer": "Adam", "epochs": 3}, {}):
        with pytest.raises(ContractError, match="expected a figure for these parameters, got those for"):
            read_figures("figures.json", given)
    # Python takes true for 1, and nobody else does.
    figures({"parameters": {"epochs": 1}}, {"name": "b", "parameters": {"epochs": True, "rates": [{"decay": False}]}})
    for told, name in (({"epochs": "1"}, "paper"), ({"epochs": True, "rates": '[{"decay": false}]'}, "b")):
        assert [one.name for one in read_figures("figures.json", told)] == [name]
    with pytest.raises(ContractError, match="expected a figure for these parameters, got those for"):
        read_figures("figures.json", {"epochs": "true", "rates": '[{"decay": 0}]'})
    figures({"parameters": {"momentum": None}})
    with pytest.raises(ContractError, match="expected a figure for these parameters, got those for -p momentum=null"):
        read_figures("figures.json", {"epochs": 3})


@pytest.mark.parametrize("value", [True, None, "2.0", "true", "my net's", [1, "a b"], {"rate": 0.5}, 1e-05, "é"])
@pytest.mark.usefixtures("here")
def test_the_options_that_a_message_names_choose_the_figure(value: Any) -> None:
    """Whoever types what it says gets the figure: values as JSON, text as it is, and blanks in quotes."""
    name = figures({"parameters": {"p": value, "epochs": 3}}, {"name": "b", "parameters": {"p": "other"}})
    message = invoke("--published", name, "accuracies.csv").stderr
    options = shlex.split(message.partition("runs are, as ")[2].removesuffix(".\n"))
    assert "(paper)" in invoke("--published", name, *options, "accuracies.csv").stdout


@pytest.mark.usefixtures("here")
def test_parameters_without_a_file_have_no_effect() -> None:
    """A published accuracy is judged whatever the parameters, and somebody may think that they choose it."""
    Path("0.955").touch()  # what can be a number is one, also where a file has its name
    result = invoke("--published", "0.955", "-p", "epochs=10", "accuracies.csv")
    assert (result.exit_code, result.stderr) == (
        0,
        "Warning: --param has no effect without a file of published figures.\n",
    )
    both = invoke("--published", "0.955", "--published", figures({}), "-p", "epochs=3", "accuracies.csv")
    assert (both.exit_code, both.stderr) == (0, "")
    # Beside it they choose as they do alone; all that was published is told in the order in which it was given.
    several = ["--published", "0.96", "--published", figures({}, {"name": "b", "parameters": {"epochs": 4}})]
    found = invoke(*several, "--published", "0.95", "-p", "epochs=4", "--json", "accuracies.csv")
    assert [(one["name"], one["published"]) for one in json.loads(found.stdout)] == [
        ("published", 0.96),
        ("b", 0.955),
        ("published", 0.95),
    ]


@pytest.mark.usefixtures("here")
def test_verdicts_are_printed_as_json() -> None:
    """A program reads what a person does, and what one run leaves open is null."""
    Path("accuracies.csv").write_text("0.95")
    found = json.loads(invoke("--published", figures({}), "--json", "--margin", "0.01", "accuracies.csv").stdout)
    assert [(one["name"], one["outcome"], one["n"], one["margin"]) for one in found] == [
        ("paper", "inconclusive", 1, 0.01)
    ]
    assert (found[0]["deviation"], found[0]["interval"]) == (None, [None, None])


@pytest.mark.usefixtures("here")
def test_a_folder_has_verdicts_pictures_and_a_report() -> None:
    """The same each time, with what is known of accuracies alone, and no word of what is not."""
    Path("figures.json").write_text(
        json.dumps({"figures": [{**FIGURE, "source": "https://<paper>", "note": "A & B."}]})
    )
    result = invoke("--published", "figures.json", "-o", "judged", "accuracies.csv")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "report     judged/report.html\npicture    judged/distribution.png\n" in result.stdout
    before = {path.name: path.read_bytes() for path in Path("judged").iterdir()}
    assert sorted(before) == [
        "distribution-dark.svg",
        "distribution.png",
        "distribution.svg",
        "report.html",
        "verdict.json",
    ]
    page = before["report.html"].decode()
    assert "<title>Accuracies of 20 seeds: mean 0.9550</title>" in page
    assert "<h1>The paper&#39;s published accuracy of 0.9550 replicates: it is a plausible single run" in page
    assert 'alt="Dot plot of the accuracies of 20 seeds: from 0.9540 to 0.9560, with the mean at 0.9550.' in page
    assert "paper: https://&lt;paper&gt;. A &amp; B." in page
    assert not [word for word in ("Fashion-MNIST", "Confusion", "sha256sum", "sampling error", "nan") if word in page]
    assert json.loads(before["verdict.json"])[0]["outcome"] == "replicated"
    Path("judged/report.html").unlink()
    told = invoke("--published", "figures.json", "-o", "judged", "--json", "accuracies.csv")
    assert (told.exit_code, json.loads(told.stdout)) == (0, json.loads(before["verdict.json"]))
    assert {path.name: path.read_bytes() for path in Path("judged").iterdir()} == before


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("see https://host/paper?v=1&token=s3cret-one.", "see https://host/paper?v=***&token=***."),
        ("https://me:s3cret-one@host/paper", "https://***@host/paper"),
        ("https://host/forum?id=a-paper&author=b", "https://host/forum?id=a-paper&author=b"),
    ],
)
def test_what_an_address_hides_is_not_told(source: str, told: str) -> None:
    """Reports are handed on; a query that only names a paper stays, so that readers find it."""
    found = read_figures(figures({"source": source, "note": source}))
    assert (found[0].source, found[0].note) == (told, told)


@pytest.mark.usefixtures("here")
def test_a_note_is_told_without_a_source() -> None:
    """What a reader must know about a figure does not depend on where it was published."""
    for source, shown in (("", "paper: It is rounded."), ("a paper", "paper: a paper. It is rounded.")):
        name = figures({"source": source, "note": "It is rounded."})
        assert invoke("--published", name, "-o", "judged", "accuracies.csv").exit_code == 0
        assert f">{shown}</p>" in Path("judged/report.html").read_text()


@pytest.mark.usefixtures("here")
def test_a_folder_of_something_else_is_left_alone() -> None:
    """A study's verdict, say, is not replaced."""
    Path("study").mkdir()
    for name in ("verdict.json", "accuracies.csv", "study.json", "x" * 200):
        Path("study", name).write_text("its own")
    result = invoke("--published", "0.9", "-o", "study", "accuracies.csv")
    assert result.exit_code == 2
    assert result.stderr == (
        "Error: judgement folder: expected a new or empty folder or that of an earlier judgement, got study with "
        f"accuracies.csv, study.json, {'x' * 172} .... Nothing was changed. Choose another folder with -o.\n"
    )
    assert {path.read_text() for path in Path("study").iterdir()} == {"its own"}


@pytest.mark.usefixtures("here")
def test_what_is_no_folder_is_refused() -> None:
    """A file is left as it is, and so is what is above it."""
    for name in ("accuracies.csv", "accuracies.csv/judged"):
        result = invoke("--published", "0.9", "-o", name, "accuracies.csv")
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr == (
            "Error: judgement folder: expected a folder, got a file: accuracies.csv. Choose another with -o.\n"
        )
    assert Path("accuracies.csv").read_text() == TWENTY


@pytest.mark.usefixtures("here")
def test_what_a_killed_judgement_left_is_removed() -> None:
    """The same command goes through, and leaves nothing else; the half of another file is somebody's own."""
    Path("judged").mkdir()
    for name in (".verdict.json.0123abcd.tmp", ".report.html.0123abcd.tmp"):
        Path("judged", name).touch()
    assert invoke("--published", "0.955", "-o", "judged", "accuracies.csv").exit_code == 0
    assert not [path for path in Path("judged").iterdir() if path.suffix == ".tmp"]
    Path("judged", ".notes.0123abcd.tmp").touch()
    assert invoke("--published", "0.955", "-o", "judged", "accuracies.csv").exit_code == 2


def test_from_python_values_are_checked() -> None:
    """A list of accuracies and a number are enough; others are refused by their place."""
    verdict = judging.judge([0.95, 0.96] * 10, 0.955).conclusions[0].verdict
    assert (verdict.outcome, verdict.margin) == ("replicated", 0.015)
    assert single(0.955) == Figure("published", "", 0.955, {}, "", "", None)
    assert judging.judge([0.9], single(0.9)).figures == [single(0.9)]
    # Those of a network have 32 bits, and are not added up in as few.
    few_bits: Any = np.array([0.9, 0.8], np.float32)
    assert [type(one) for one in judging.judge(few_bits, 0.9).accuracies] == [float, float]
    published: Any = np.float32(0.875)
    margin: Any = np.float32(0.5)
    [found] = judging.judge(few_bits, published, margin).conclusions
    assert (found.as_json()["published"], found.as_json()["margin"]) == (0.875, 0.5)
    whole: Any = np.int64(1)
    assert judging.judge([0.9, whole], whole).conclusions[0].verdict.published == 1
    # Whatever their digits are, none is rounded, in what is judged or in the verdict.
    [exact] = judging.judge([2 / 3, 0.1234567890123456], 1 / 3, 1 / 7).conclusions
    assert exact.verdict.mean == (2 / 3 + 0.1234567890123456) / 2
    assert (exact.verdict.published, exact.verdict.margin) == (1 / 3, 1 / 7)
    with pytest.raises(ContractError, match=r"^accuracies\[1\]: expected an accuracy from 0 to 1, got nan\.$"):
        judging.judge([0.9, float("nan")], 0.9)
    with pytest.raises(ContractError, match=r"^accuracies: expected 1 to 100,000, got 0\.$"):
        judging.judge([], 0.9)
    with pytest.raises(ContractError, match=r"^published accuracy: expected an accuracy from 0 to 1, got 88\."):
        judging.judge([0.9], 88)


def test_from_python_what_was_given_stays_the_callers() -> None:
    """Whoever goes on with the lists, as in a loop, changes no judgement that was made of them."""
    accuracies, figures = [0.9, 0.8], [single(0.9)]
    judged = judging.judge(accuracies, figures)
    accuracies.append(0.0)
    figures.append(single(0.1))
    assert judged.accuracies == [0.9, 0.8]
    assert [one.verdict.published for one in judged.conclusions] == [0.9]


SECOND = "published accuracy: expected an accuracy from 0 to 1, got 1.5. Divide what is in per cent by 100."


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (([0.9, "0.9"], 0.9), "accuracies[1]: expected an accuracy from 0 to 1, got '0.9'."),
        ((["50"], 0.9), "accuracies[0]: expected an accuracy from 0 to 1, got '50'."),
        # Whether each image was right is not the accuracy of a run.
        (([True, False], 0.9), "accuracies[0]: expected an accuracy from 0 to 1, got True."),
        # It would be printed with its sign.
        (([0.1, -0.0], 0.9), "accuracies[1]: expected an accuracy from 0 to 1, got -0.0."),
        (([0.0], -0.0), "published accuracy: expected an accuracy from 0 to 1, got -0.0."),
        (
            ([0.0], replace(single(0.0), accuracy=-0.0)),
            "published accuracy: expected an accuracy from 0 to 1, got -0.0.",
        ),
        (([[0.9]], 0.9), "accuracies[0]: expected an accuracy from 0 to 1, got [0.9]."),
        ((None, 0.9), "accuracies: expected a list of numbers, got None."),
        # Equal accuracies of two runs are one in a set, and a mapping would give its seeds.
        (({0.9, 0.8}, 0.9), "accuracies: expected a list of numbers, got a set."),
        (({0: 0.9, 1: 0.8}, 0.9), "accuracies: expected a list of numbers, got a dict."),
        ((b"\0\1", 0.9), "accuracies: expected a list of numbers, got a bytes."),
        ((np.array(0.9), 0.9), "accuracies: expected a list of numbers, got a ndarray."),
        ((np.array([[0.9]]), 0.9), "accuracies: expected a list of numbers, got a ndarray."),
        (([0.9], True), "published accuracy: expected an accuracy from 0 to 1, got True."),
        (([0.9], "0.9"), "published accuracies: expected a number, or Figures, got a str."),
        (([0.9], None), "published accuracies: expected a number, or Figures, got None."),
        (([0.9], [0.9]), "published accuracies: expected a number, or Figures, got a float."),
        (([0.9], [single(0.9), 0.9]), "published accuracies: expected a number, or Figures, got a float."),
        (([0.9], [single(0.9), replace(single(0.9), accuracy=1.5)]), SECOND),
        (([0.9], 0.9, "0.1"), "margin: expected a number, got a str."),
        (([0.9], 0.9, 1), "margin: expected a number greater than 0 and less than 1, got 1."),
        (([0.9], 0.9, None), "margin: expected a number, got None."),
    ],
)
def test_from_python_another_kind_is_refused(given: tuple[Any, ...], said: str) -> None:
    """It is no error of the language somewhere within, and no text or truth value counts as a number."""
    with pytest.raises(ContractError) as caught:
        judging.judge(*given)
    assert str(caught.value) == said


def test_nothing_of_tensorflow_is_imported(here: Path) -> None:
    """A verdict with its report takes a second and any machine."""
    code = (
        "import sys; from fmnist.cli.fmnist import main\n"
        "try: main(['judge', '--published', '0.955', '-o', 'judged', 'accuracies.csv'])\n"
        "except SystemExit as end: print(end.code, {'tensorflow', 'keras', 'kfp'} & sys.modules.keys())"
    )
    assert helpers.python(code, cwd=here).splitlines()[-1] == "0 set()"
