"""Tests of the catalogue of faults, and of the program that plants them, on a tiny project."""

import asyncio
import contextlib
import os
import re
import select
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result
from faults import edits, plant
from faults.first_failure import FirstFailure
from support import helpers

from fmnist import testing

ROOT = Path(__file__).parents[1]
FAULTS = edits.read(plant.CATALOGUE)

TEST = "tests/test_double.py::test_double"

#: An entry of a catalogue; the tests of the tiny project catch it.
ENTRY = {
    "id": "tripled",
    "title": "triples",
    "file": "fmnist/__init__.py",
    "in": "double",
    "old": "2 * n",
    "new": "3 * n",
}

#: Code with one function to edit, and others that are like it.
CODE = """
WORDS = ("left", "right")

class First:
    def call(self):
        return f(1, axis=0)

class Second:
    def call(self):
        value = f(1, axis=0)
        return {"a": value, "b": value}
"""


@pytest.fixture(autouse=True)
def cold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is imported before the tests of the tiny project: they need nothing."""
    monkeypatch.setattr(plant, "MODULES", ())


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A package of the same name with one function and its test, and one that no test calls."""
    content = {
        "fmnist/__init__.py": "def double(n):\n    return 2 * n\n\n\ndef half(n):\n    return n / 2\n",
        "tests/test_double.py": "import fmnist\n\ndef test_double():\n    assert fmnist.double(2) == 4\n",
        "pyproject.toml": "[tool.pytest.ini_options]\naddopts = '-ra'\n",
    }
    for name, text in content.items():
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "project"


def fault(test: str = TEST, **changes: str) -> edits.Fault:
    """Return the entry with `changes`."""
    entry = ENTRY | changes
    return edits.Fault(within=entry.pop("in"), **entry, tests=(test,))


def outcome(project: Path, test: str = TEST, seconds: float = plant.TIMEOUT, **changes: str) -> plant.Outcome:
    """Plant the entry with `changes` in the tiny project, whose tests have some seconds."""

    async def planted() -> plant.Outcome:
        with plant.warm_python() as python:
            return await plant.plant(python, project, fault(test, **changes), seconds)

    return asyncio.run(planted())


def arguments(project: Path, **changes: str) -> list[str]:
    """Write a catalogue of the entry with `changes`, and return how to plant it in the tiny project."""
    path = project.parent / "catalogue.toml"
    entry = ENTRY | changes
    lines = [f"[{entry.pop('id')}]", *(f"{name} = '{value}'" for name, value in entry.items()), f"tests = ['{TEST}']"]
    path.write_text("\n".join(lines))
    return ["--root", str(project), "--catalogue", str(path), "--jobs", "1"]


def invoke(*arguments: str) -> Result:
    """Call the program."""
    return CliRunner().invoke(plant.main, arguments)


def key_of(fault: edits.Fault) -> tuple[str, str]:
    """Return the file of a fault, and what it makes of it, without blanks: an edit may be written in many ways."""
    return fault.file, "".join(fault.edited(ROOT).split())


def test_there_are_faults_enough() -> None:
    """The catalogue has at least 150 faults, and no two of one edit."""
    assert len(FAULTS) >= 150
    known: dict[tuple[str, str], str] = {}
    twice = [(one.id, first) for one in FAULTS if (first := known.setdefault(key_of(one), one.id)) != one.id]
    assert twice == []


def test_a_copy_for_a_fault_has_the_whole_project() -> None:
    """Whatever a test may read of the project is copied; only git's and the editors' own settings are not."""
    known = {*plant.PARTS, ".gitattributes", ".pre-commit-config.yaml"}
    listed = subprocess.run(["git", "ls-files"], cwd=plant.ROOT, check=False, capture_output=True, text=True).stdout
    assert {name.split("/")[0] for name in listed.splitlines()} <= known
    assert all((plant.ROOT / name).exists() for name in plant.PARTS)


def test_a_copy_has_all_files_of_a_part(project: Path) -> None:
    """Also those that are hidden, or in folders of folders, with the right to run them."""
    for name in ("tests/golden/pages/.hidden.yml", "fmnist/a b/data.json.gz"):
        (project / name).parent.mkdir(parents=True)
        (project / name).write_text(name)
        (project / name).chmod(0o755)
    with plant.copied(project) as copy:
        assert testing.contents(copy) == testing.contents(project)
        assert os.access(copy / "fmnist" / "a b" / "data.json.gz", os.X_OK)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: str(fault.id))
def test_every_fault_applies(fault: edits.Fault) -> None:
    """The edit changes today's code, in a part that is copied, and the tests named are there."""
    assert fault.edited(ROOT) != (ROOT / fault.file).read_text()
    assert Path(fault.file).parts[0] in plant.PARTS
    for test in fault.tests:
        file, _, name = test.partition("::")
        assert f"def {name.partition('[')[0]}" in (ROOT / file).read_text()


def test_no_edit_leaves_a_bracket_open() -> None:
    """From Python 3.12 on, such a part of code is none."""
    left = []
    for fault in FAULTS:
        names = [one for one, _, _ in edits.tokens(fault.old)] if fault.file.endswith(".py") else []
        depth = [sum((one in set("([{")) - (one in set(")]}")) for one in names[:end]) for end in range(len(names) + 1)]
        left += [fault.id] * (min(depth) < 0 or depth[-1] != 0)
    assert left == []


def test_each_case_that_a_fault_names_is_there(request: pytest.FixtureRequest) -> None:
    """Of the tests that are collected here: a case that has another name now would catch nothing."""
    items = [item.nodeid for item in request.session.items]
    functions = {item.partition("[")[0] for item in items}
    cases = {test for fault in FAULTS for test in fault.tests if "[" in test and test.partition("[")[0] in functions}
    assert cases <= set(items)


def test_a_caught_fault_names_the_test(project: Path) -> None:
    """Where the test fails the table names it, the score is full, and the code is as it was."""
    before = testing.contents(project)
    result = invoke(*arguments(project))
    assert result.exit_code == 0
    assert TEST in result.stdout
    assert result.stdout.splitlines()[-1] == "1 of 1 faults caught"
    assert re.fullmatch(r"without any fault: all these tests pass  \(\d+\.\d s\)", result.stderr.splitlines()[-1])
    assert testing.contents(project) == before


def test_a_missed_fault_fails(project: Path) -> None:
    """Where all tests pass the fault counts as missed, and the program fails."""
    result = invoke(*arguments(project, **{"in": "half", "old": "n / 2", "new": "n / 3"}))
    assert result.exit_code == 1
    assert "MISSED" in result.stdout
    assert result.stdout.splitlines()[-2:] == ["0 of 1 faults caught", "not caught: tripled"]


def two(project: Path, second: str, new: str = "3 * n") -> list[str]:
    """Write a second test, and a catalogue of two faults: one for each test."""
    path = project / "tests" / "test_double.py"
    path.write_text(path.read_text() + f"\n\ndef test_second():\n    assert {second}\n")
    given = arguments(project)
    catalogue = Path(given[3])
    tests = f"{TEST.partition('::')[0]}::test_second"
    entry = catalogue.read_text().replace("[tripled]", "[other]").replace(TEST, tests).replace("3 * n", new)
    catalogue.write_text(f"{catalogue.read_text()}\n{entry}")
    return given


def test_one_of_two_that_is_missed_fails(project: Path) -> None:
    """Whatever else is caught."""
    result = invoke(*two(project, "True", "4 * n"))
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-2:] == ["1 of 2 faults caught", "not caught: other"]


def test_each_test_that_catches_must_pass_without_a_fault(project: Path) -> None:
    """Also if another one of its file does."""
    result = invoke(*two(project, "fmnist.double(2) == 5", "4 * n"))
    assert result.exit_code == 1
    assert "without any fault, a test fails: tests/test_double.py::test_second\n" in result.stderr


def test_a_test_that_is_named_comes_before_those_of_a_file(project: Path) -> None:
    """It is most likely to catch the fault."""
    path = project / "tests" / "test_double.py"
    path.with_name("test_a.py").write_text(path.read_text())

    async def planted() -> plant.Outcome:
        with plant.warm_python() as python:
            return await plant.plant(python, project, replace(fault(), tests=("tests/test_a.py", TEST)))

    assert asyncio.run(planted()).caught_by == TEST


def test_faults_are_told_in_the_order_of_the_catalogue(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whichever ends first; on the way each is told when it has ended."""
    ended = asyncio.Event()

    async def planted(_: str, __: Path, one: edits.Fault) -> plant.Outcome:
        await ended.wait() if one.id == "first" else ended.set()
        return plant.Outcome(one, 1.25, TEST)

    monkeypatch.setattr(plant, "plant", planted)
    faults = [fault(id="first"), fault(id="second")]
    outcomes = asyncio.run(plant.run(project, faults, 2, after_tests=True))
    assert [one.fault.id for one in outcomes] == ["first", "second"]
    told = [f"{count}/2 {name}: {TEST}  (1.2 s)" for count, name in ((1, "second"), (2, "first"))]
    assert capsys.readouterr().err.splitlines() == told


def test_a_fault_has_one_line_of_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever is told of it: the rest was told on the way."""
    plant.print_table([plant.Outcome(fault(), 1.25, problem="first\nsecond"), plant.Outcome(fault(), 1.25, TEST)])
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "fault    what is wrong  caught by                          seconds",
        "tripled  triples        ERROR: first                       1.2",
        f"tripled  triples        {TEST}  1.2",
        "1 of 2 faults caught",
        "not caught: tripled",
    ]


@pytest.mark.parametrize("jobs", [1, 2])
def test_no_more_tests_than_asked_for_run_at_once(jobs: int, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither with the faults, nor in the end without any."""
    running, most = list[str](), dict[bool, list[int]]({True: [], False: []})

    async def tested(_: str, copy: Path, tests: list[str], *__: float) -> tuple[str, str] | None:
        planted = "3 * n" in (copy / "fmnist" / "__init__.py").read_text()
        running.append(tests[0])
        most[planted].append(len(running))
        await asyncio.sleep(0.001)
        running.remove(tests[0])
        return (tests[0], "") if planted else None

    monkeypatch.setattr(plant, "first_failure", tested)
    monkeypatch.setattr(plant, "warm_python", lambda: contextlib.nullcontext("python"))
    faults = [fault(f"tests/test_{name}.py::test_it", id=name) for name in "abc"]
    asyncio.run(plant.run(project, faults, jobs, after_tests=False))
    assert {planted: max(counts) for planted, counts in most.items()} == {True: jobs, False: jobs}


def test_pytest_that_ends_otherwise_catches_nothing(project: Path) -> None:
    """A failure counts if all else works: what ends pytest may have made the test fail, and printed what is no text."""
    hook = "import os\n\ndef pytest_unconfigure():\n    os.write(2, b'\\xff')\n\n"
    hook += "def pytest_sessionfinish(session):\n    session.exitstatus = 3\n"
    (project / "tests" / "conftest.py").write_text(hook)
    talkative(project)
    found = str(outcome(project))
    assert found.startswith("ERROR: pytest ended with exit code 3")
    assert "1 failed in" in found


def talkative(project: Path) -> None:
    """Let the test print more than is told of it, so that its summary is in the end of that alone."""
    path = project / "tests" / "test_double.py"
    path.write_text(path.read_text().replace("    assert", "    print('x' * 3_000)\n    assert"))


def test_the_tests_of_a_copy_run_in_order_up_to_the_first_failure(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With files of their own, and with the same examples each time; nothing is kept for another time.

    A program can be run there, too, what was imported before is no warning, and TensorFlow starts as for a step.
    """
    monkeypatch.delenv("KERAS_HOME", raising=False)
    (project / "fmnist" / "__init__.py").chmod(0o755)
    (project / "tests" / "conftest.py").write_text("import json\n\npytest_plugins = ['json']\n")
    (project / "pyproject.toml").write_text("[tool.pytest.ini_options]\nfilterwarnings = ['error']\n")
    (project / "tests" / "test_double.py").write_text(
        "import os\n\n"
        "def test_double(pytestconfig, tmp_path):\n"
        "    assert os.access('fmnist/__init__.py', os.X_OK)\n"
        "    assert os.environ['KERAS_HOME'] == '/dev/null/keras'\n"
        "    plugins, option = pytestconfig.pluginmanager, pytestconfig.option\n"
        "    assert not [name for name in ('randomly', 'xdist', 'cacheprovider') if plugins.has_plugin(name)]\n"
        "    assert (option.maxfail, option.tbstyle, option.color) == (1, 'native', 'no')\n"
        "    assert pytestconfig.getoption('--hypothesis-seed') == '0'\n"
        "    assert tmp_path.is_relative_to(pytestconfig.rootpath.parent / 'temporary')\n"
    )
    assert str(outcome(project)) == "MISSED"


def test_the_tests_of_a_copy_do_not_know_where_they_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In CI and in strict runs they would show, and fail for, what is not theirs."""
    ours = ("BUILD_NUMBER", "CI", "FMNIST_STRICT", "PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER", "PYTHONPATH")
    for name in (*ours, "THEIRS"):
        monkeypatch.setenv(name, "7")
    expected = {"PYTHONPATH": str(tmp_path), "THEIRS": "7"}
    found = plant.environment(tmp_path)
    assert {name: found.get(name) for name in (*expected, "BUILD_NUMBER", "CI", "FMNIST_STRICT")} == {
        **expected,
        "BUILD_NUMBER": None,
        "CI": None,
        "FMNIST_STRICT": None,
    }
    assert not [name for name in found if name.startswith("PYTEST_")]


@pytest.mark.parametrize(
    "code",
    [
        CODE,
        CODE.replace("f(1, axis=0)", "f(  # what it is\n            1,\n            axis=0,\n        )"),
        CODE.replace("class First", "class Third").replace("    def call", "    name = 'x'\n\n    def call"),
        "\n".join(["class Second:", CODE.partition("class Second:\n")[2], CODE.partition("class Second:")[0]]),
        CODE.replace('"a"', "'a'"),
    ],
    ids=["as it was", "laid out and commented", "renamed neighbours", "moved", "other quotes"],
)
@pytest.mark.parametrize(
    ("within", "old", "new", "planted"),
    [
        ("Second.call", "axis=0", "axis=1", "f(1,axis=1)"),
        ("Second.call", 'return {"a": value, "b": value}', "return {}", "return{}"),
        ("Second.call", 'return {"a": value, "b": value,}', "return {}", "return{}"),
        ("Second", "value = f(1, axis=0)", "value = 0\nvalue = 1", "value=0value=1"),
        ("Second", "f(1, axis=0)", "0\nvalue = 1", "value=0value=1"),
        ("", '"left", "right"', '"right", "left"', "WORDS=('right','left')"),
    ],
    ids=[
        "an argument",
        "a statement",
        "a last comma",
        "two lines in a class",
        "the end of a line",
        "outside of functions",
    ],
)
def test_an_edit_follows_the_code(code: str, within: str, old: str, new: str, planted: str) -> None:
    """An edit applies in its function alone, however the code is laid out and wherever it stands."""
    edited, count = edits.replaced(code, within, old, new)
    strings = "".join(string for string, _, _ in edits.tokens(edited))
    assert count == 1
    assert planted in strings
    assert "returnf(1,axis=0)" in strings
    compile(edited, "edited", "exec")


@pytest.mark.parametrize("prefix", ["b", "r", "rb"])
def test_bytes_and_raw_texts_have_any_quotes(prefix: str) -> None:
    """As other texts have."""
    assert edits.replaced(f"x = {prefix}'a'\n", "", f'{prefix}"a"', "1") == ("x = 1\n", 1)


@pytest.mark.parametrize("brackets", ["()", "[]", "{}"])
def test_a_last_comma_may_be_there_or_not(brackets: str) -> None:
    """Before whichever bracket, in the code as in the edit."""
    long, short = (f"{brackets[0]}1, 2{end}{brackets[1]}" for end in (",", ""))
    found = [edits.replaced(f"x = {code}\n", "", old, "1") for code, old in ((long, short), (short, long))]
    assert found == [("x = 1\n", 1)] * 2


def test_a_decorator_belongs_to_its_function() -> None:
    """An edit of it is one in the function, and none outside."""
    code = "@cache(8)\ndef f():\n    return 1\n\ncache(8)\n"
    edited = [edits.replaced(code, within, "cache(8)", "cache(9)") for within in ("f", "")]
    assert edited == [(code.replace("(8)", "(9)", 1), 1), ("(9)".join(code.rsplit("(8)", 1)), 1)]


@pytest.mark.parametrize(
    ("within", "old", "count"),
    [
        ("First.call", "axis=1", 0),
        ("Second.call", "value", 3),
        ("call", "axis=0", 0),
        ("", "axis=0", 0),
        ("Second.call", "axis", 1),
        ("Second.call", "xis=0", 0),
    ],
    ids=["not there", "many times", "no such function", "not outside", "a name", "part of a name"],
)
def test_only_what_is_there_once_is_edited(within: str, old: str, count: int) -> None:
    """Code that is not in the function, or there more often, is counted and left as it is."""
    edited, found = edits.replaced(CODE, within, old, "x")
    assert found == count
    assert (edited == CODE) == (count != 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"old": "4 * n"}, "its old code occurs 0 times in double of fmnist/__init__.py"),
        ({"old": "n"}, "its old code occurs 2 times in double of"),
        ({"new": "2 * n"}, "its old code occurs 1 times in double of"),
        ({"old": "2 * (n"}, "no Python"),
        ({"file": "pyproject.toml", "old": "a"}, "its old code occurs"),
        ({"file": "fmnist/gone.py"}, "its old code occurs 0 times in double of fmnist/gone.py"),
    ],
    ids=["not there", "many times", "no change", "no Python", "text many times", "no file"],
)
def test_an_edit_that_does_not_apply_is_an_error(project: Path, changes: dict[str, str], message: str) -> None:
    """An entry that the code has left behind is no catch: it fails, and says so."""
    result = invoke(*arguments(project, **changes))
    assert result.exit_code == 1
    assert f"ERROR: the edit does not apply: {message}" in " ".join(result.stdout.split())
    assert result.stdout.splitlines()[-2:] == ["0 of 1 faults caught", "not caught: tripled"]


def test_an_edit_with_other_blanks_is_no_python(project: Path) -> None:
    """Neither is code that was left so: both are told, and end nothing else."""
    with pytest.raises(edits.FaultError, match="^the edit does not apply: no Python: unindent does not match"):
        fault(old="if n:\n        n\n    n").edited(project)
    (project / "fmnist" / "__init__.py").write_text("def double(n):\n    return 2 * n\nelse\n")
    with pytest.raises(edits.FaultError, match="^the edit does not apply: no Python: "):
        fault().edited(project)


@pytest.mark.parametrize(
    ("test", "new", "said"),
    [
        ("tests/test_double.py::test_nothing", "3 * n", "\nERROR: not found: "),
        ("tests/test_none.py", "3 * n", "\nERROR: file or directory not found: tests/test_none.py"),
        (TEST, "3 * (n", "SyntaxError: '(' was never closed"),
    ],
    ids=["no such test", "no such file", "not collected"],
)
def test_tests_that_cannot_run_catch_nothing(project: Path, test: str, new: str, said: str) -> None:
    """A test that does not exist or cannot be collected is an error, not a catch, and pytest's reason is told."""
    found = outcome(project, test, new=new)
    assert found.caught_by is None
    assert str(found).startswith("ERROR: pytest ended with exit code")
    assert said in str(found)


def test_a_fixture_that_fails_catches(project: Path) -> None:
    """A fault that shows in a test's fixture is caught by that test."""
    (project / "tests" / "test_double.py").write_text(
        "import fmnist, pytest\n\n@pytest.fixture\ndef four():\n    assert fmnist.double(2) == 4\n\n"
        "def test_double(four):\n    pass\n"
    )
    assert outcome(project).caught_by == TEST


def test_a_test_that_fails_without_a_fault_is_an_error(project: Path) -> None:
    """A test that fails on the code as it is catches nothing."""
    (project / "fmnist" / "__init__.py").write_text("def double(n):\n    return 5 + 2 * n\n")
    talkative(project)
    result = invoke(*arguments(project))
    assert result.exit_code == 1
    assert f"without any fault, a test fails: {TEST}\n" in result.stderr
    assert "assert 9 == 4" in result.stderr
    assert "1 failed in" in result.stderr
    assert result.stdout == ""
    result = invoke(*arguments(project), "--after-tests")
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "1 of 1 faults caught")
    assert "without any fault" not in result.stderr


def test_a_test_that_changes_the_project_is_an_error(project: Path) -> None:
    """All copies have the same files, which a test must leave as they are; those of the user it never has."""
    (project / "tests" / "test_double.py").write_text(
        "import fmnist\n\ndef test_double():\n    with open(__file__, 'a') as file:\n        file.write('#')\n"
        "    assert fmnist.double(2) == 4\n"
    )
    before = testing.contents(project)
    result = invoke(*arguments(project))
    assert result.exit_code == 1
    assert "expected tests that leave the project as it is, got others of tests/test_double.py" in result.stderr
    assert testing.contents(project) == before


def test_the_first_failure_is_written_down(tmp_path: Path) -> None:
    """Whatever fails after it, as what cleans up."""
    plugin = FirstFailure(tmp_path / "failed")
    for test in ("first", "second"):
        plugin.pytest_runtest_logreport(SimpleNamespace(failed=True, nodeid=test))  # type: ignore[arg-type]
    assert (tmp_path / "failed").read_text() == "first"


def test_a_test_that_is_named_runs_in_each_case() -> None:
    """Before those of files, each in the order that pytest has."""
    items = [SimpleNamespace(nodeid=name) for name in ("a.py::a", "b.py::b[1]", "b.py::b[2]", "b.py::c", "d.py::d")]
    config = SimpleNamespace(args=["a.py", "b.py::b", "d.py::d"])
    FirstFailure(Path()).pytest_collection_modifyitems(config, items)  # type: ignore[arg-type]
    assert [item.nodeid for item in items] == ["b.py::b[1]", "b.py::b[2]", "d.py::d", "a.py::a", "b.py::c"]


def test_a_change_of_the_same_size_is_seen(project: Path) -> None:
    """It is another file, though it has as many bytes."""
    whole = plant.original(project)
    path = whole.__enter__() / "pyproject.toml"
    path.write_text(path.read_text().swapcase())
    with pytest.raises(
        edits.FaultError, match="^expected tests that leave the project as it is, got others of pyproje"
    ):
        whole.__exit__(None, None, None)


def test_a_package_from_elsewhere_is_not_tested(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Python would take the installed package and not the copy, the program fails."""
    monkeypatch.setattr(plant, "PARTS", ("tests", "pyproject.toml"))
    edit = {"file": "tests/test_double.py", "in": "test_double", "old": "fmnist.double(2)", "new": "5"}
    result = invoke(*arguments(project, **edit))
    assert result.exit_code == 1
    assert "expected to test the package in" in " ".join(result.stderr.split())


def test_an_endless_test_is_an_error(project: Path) -> None:
    """A fault that makes a test run for ever is told, and the test is ended."""
    assert str(outcome(project, seconds=3.0, new="any(iter(int, 1))")) == "ERROR: the tests took longer than 3 s"


def test_ctrl_c_ends_the_tests(project: Path) -> None:
    """An interrupted program leaves no process behind."""
    alive = project / "alive"
    os.mkfifo(alive)
    (project / "tests" / "test_double.py").write_text(
        f"import time\n\ndef test_double():\n    with open({str(alive)!r}, 'w'):\n        time.sleep(600)\n"
    )
    code = "from faults import plant; plant.MODULES = (); plant.main()"
    command = [*helpers.INTERRUPTIBLE, sys.executable, "-c", code, *arguments(project)]
    with (
        subprocess.Popen(command, cwd=ROOT / "tests", stderr=subprocess.PIPE, text=True) as process,
        alive.open("rb") as held_open,  # as soon as the test runs
    ):
        process.send_signal(signal.SIGINT)
        _, messages = process.communicate()
        ended, _, _ = select.select([held_open], [], [], 10)
    assert ended
    assert process.returncode == 1
    assert messages.endswith("Aborted!\n")


@pytest.fixture
def committed(project: Path) -> Path:
    """The tiny project under version control, with a catalogue of its own."""
    arguments(project)
    catalogue = project / "tests" / "faults" / "catalogue.toml"
    catalogue.parent.mkdir()
    (project.parent / "catalogue.toml").rename(catalogue)
    for name in ("tests/conftest.py", "tests/support/warm.py", "tests/golden/values.yml", "README.md"):
        (path := project / name).parent.mkdir(exist_ok=True)
        path.write_text("")
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        author = ["-c", "user.name=a", "-c", "user.email=a@a"]
        subprocess.run(["git", *author, *command], cwd=project, check=True)
    return project


CONCERNED = {
    "nothing": ({}, False),
    "its file": ({"fmnist/__init__.py": "\n\ndef third(n):\n    return n / 3\n"}, True),
    "its test": ({"tests/test_double.py": "\n# Two is enough.\n"}, True),
    "what all tests share": ({"tests/conftest.py": "import os\n"}, True),
    "the program that plants": ({"tests/faults/plant.py": ""}, True),
    "what tests of all folders use": ({"tests/support/warm.py": "import os\n"}, True),
    "another test": ({"tests/test_other.py": ""}, False),
    "what tests compare with": ({"tests/golden/values.yml": "a: 1\n"}, False),
    "a page": ({"README.md": "Read me.\n"}, False),
    "another entry": (
        {"tests/faults/catalogue.toml": "\n[b]\ntitle='b'\nfile='x.py'\nold='a'\nnew='b'\ntests=['b.py']\n"},
        False,
    ),
}


@pytest.mark.parametrize(("changes", "planted"), CONCERNED.values(), ids=CONCERNED)
def test_only_what_a_change_concerns_is_planted(committed: Path, changes: dict[str, str], *, planted: bool) -> None:
    """A fault of a file that has changed, or one of whose tests have, and one that is new or edited itself."""
    for name, added in changes.items():
        with (committed / name).open("a") as file:
            file.write(added)
    subprocess.run(["git", "add", "--intent-to-add", "."], cwd=committed, check=True)
    entries = edits.read(committed / "tests" / "faults" / "catalogue.toml")
    found = edits.concerned(committed, Path("tests/faults/catalogue.toml"), entries, "HEAD")
    assert found is not None
    assert [fault.id for fault in found] == ["tripled"] * planted + [fault.id for fault in entries[1:]]


def test_what_tests_of_a_folder_share_concerns_them(committed: Path) -> None:
    """And those of folders in it, and no others; a file that is moved has changed where it was."""
    catalogue, git = Path("tests/faults/catalogue.toml"), ["git", "-c", "user.name=a", "-c", "user.email=a@a"]
    with (committed / catalogue).open("a") as file:
        for name in ("b", "c/d"):
            file.write(f"\n[{name[0]}]\ntitle='b'\nfile='x.py'\nold='a'\nnew='b'\ntests=['tests/part/{name}.py']\n")
    (committed / "tests" / "part").mkdir()
    (committed / "tests" / "part" / "conftest.py").write_text("import os\n")
    subprocess.run([*git, "add", "."], cwd=committed, check=True)
    subprocess.run([*git, "commit", "-qm", "second"], cwd=committed, check=True)
    entries = edits.read(committed / catalogue)
    other = replace(entries[1], title="another")
    assert edits.concerned(committed, catalogue, [*entries, other], "HEAD") == [other]
    (committed / "tests" / "part" / "conftest.py").write_text("import sys\n")
    found = edits.concerned(committed, catalogue, entries, "HEAD")
    assert [fault.id for fault in found or ()] == ["b", "c"]
    subprocess.run([*git, "mv", "fmnist/__init__.py", "fmnist/other.py"], cwd=committed, check=True)
    found = edits.concerned(committed, catalogue, entries, "HEAD")
    assert [fault.id for fault in found or ()] == ["tripled", "b", "c"]


def test_ci_plants_what_the_last_commit_concerns(committed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without that commit, all; where nothing is concerned, it says so. Whoever owns the checkout does not matter."""
    catalogue = committed / "tests" / "faults" / "catalogue.toml"
    options = ["--root", str(committed), "--catalogue", str(catalogue), "--after-tests"]
    # As in the container of a CI, which runs as root.
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    result = invoke(*options, "--since", "HEAD")
    assert (result.exit_code, result.stdout) == (0, "no fault is concerned by what has changed since HEAD, of 1\n")
    result = invoke(*options, "--since", "HEAD^")
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "1 of 1 faults caught")
    assert (
        "NOT WHAT HAS CHANGED: there is no commit HEAD^ with this catalogue here; all faults instead" in result.stderr
    )
    more = "\n[b]\ntitle='b'\nfile='x.py'\nold='a'\nnew='b'\ntests=['b.py']\n"
    catalogue.write_text(catalogue.read_text() + more)
    result = invoke(*options, "tripled", "--since", "HEAD")
    assert (result.exit_code, result.stdout) == (0, "no fault is concerned by what has changed since HEAD, of 1\n")
    catalogue.write_text(catalogue.read_text().removesuffix(more))
    (committed / "tests" / "test_double.py").write_text("def test_double():\n    pass\n")
    result = invoke(*options, "--since", "HEAD")
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (1, "not caught: tripled")


def test_an_unknown_id_is_bad_usage(project: Path) -> None:
    """Only faults of the catalogue can be asked for; each other id is named."""
    result = invoke(*arguments(project), "quadrupled", "tripled", "doubled")
    assert result.exit_code == 2
    assert "got doubled, quadrupled." in result.stderr
