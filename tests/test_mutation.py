"""Tests of what runs the mutants, with mutmut itself on a tiny project."""

import ast
import gc
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import types
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from faults import mutation, planted
from support import helpers

ROOT = Path(__file__).parents[1]
PROGRAM = str(ROOT / "tests" / "faults" / "mutation.py")

#: Twelve functions, each with two mutants.
CODE = "\n\n".join(f"def add_{n}(value):\n    return value + {n}" for n in range(2, 14)) + "\n"

#: The last of them is only seen to return something.
TESTS = (
    "import pytest\nfrom fmnist import part\n\n"
    "@pytest.mark.parametrize('n', range(2, 13))\n"
    "def test_add(n):\n    assert getattr(part, f'add_{n}')(1) == 1 + n\n\n"
    "def test_last():\n    assert part.add_13(1) is not None\n"
)

SETTINGS = """
[tool.mutmut]
source_paths = ["fmnist"]
only_mutate = ["fmnist/part.py"]
pytest_add_cli_args_test_selection = ["tests"]
pytest_add_cli_args = ["-p", "no:randomly", "-p", "no:cacheprovider"]
[tool.pytest.ini_options]
pythonpath = ["."]
"""


def survivor(new: str, function: str = "add_13", reason: str = "nobody looks") -> str:
    """Return an entry of the list of survivors."""
    old = f"return value + {function.removeprefix('add_')}"
    values = {"function": f"fmnist.part.{function}", "old": old, "new": new, "reason": reason}
    return "[[survivor]]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())


#: Both mutants of the last function.
BOTH = survivor("return value - 13") + survivor("return value + 14")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, whose mutants have run once; git knows it."""
    root = tmp_path_factory.mktemp("mutants") / "project"
    content = {
        "fmnist/__init__.py": "",
        "fmnist/part.py": CODE,
        "tests/test_part.py": TESTS,
        "tests/faults/survivors.toml": BOTH,
        "pyproject.toml": SETTINGS,
    }
    helpers.write_project(root, content)
    assert mutate(root)[0] == 0
    return root


@pytest.fixture
def copied(project: Path, tmp_path: Path) -> Path:
    """A copy of it, with the results there are."""
    return Path(shutil.copytree(project, tmp_path / "project"))


def mutate(root: Path, *arguments: str, before: Sequence[Path] = ()) -> tuple[int, str]:
    """Run the program, which finds others in the folders `before` first; return its exit code, and what it printed."""
    path = os.pathsep.join([*map(str, before), str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        [sys.executable, PROGRAM, *arguments],
        cwd=root,
        env={**os.environ, "PATH": path, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def in_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working folder has a place for the list."""
    monkeypatch.chdir(tmp_path)
    Path("tests", "faults").mkdir(parents=True)


#: What the fixture's run has found.
FOUND = {
    planted.Mutant("fmnist.part.add_13", "return value + 13", new): status
    for new, status in {"return value - 13": "survived", "return value + 14": "no tests"}.items()
}


@pytest.mark.parametrize(
    ("listed", "good", "message"),
    [
        (BOTH, True, ""),
        (
            survivor("return value - 13"),
            False,
            "# no tests: kill it, or list it in tests/faults/survivors.toml\n[[survivor]]\n"
            'function = "fmnist.part.add_13"\nold = "return value + 13"\nnew = "return value + 14"\nreason = ""',
        ),
        (BOTH + survivor("return value - 2", "add_2"), True, "no survivor any more, take it off tests/faults/surviv"),
        (BOTH + survivor("return value - 3", "add_3"), True, ""),
        (BOTH.replace("nobody looks", "", 1), False, "without a reason in tests/faults/survivors.toml"),
    ],
    ids=["those listed", "a new one", "one that is killed", "one that did not run", "no reason"],
)
def test_survivors_are_those_listed(
    listed: str, good: bool, message: str, in_a_project: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """A survivor needs a reason; a reason without a survivor, among the functions that ran, is told."""
    mutation.SURVIVORS.write_text(listed)
    assert mutation.compare(FOUND, {"fmnist.part.add_2", "fmnist.part.add_13"}) == good
    said = capsys.readouterr().out
    assert message in said
    assert ("no survivor any more" in said) == message.startswith("no survivor any more")


@pytest.mark.parametrize(("survived", "good"), [(1, True), (2, False)])
def test_nine_of_ten_are_enough(survived: int, good: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """A module whose score is 90 % has what is asked for; one that has less is not made up for by another."""
    ends = Counter(killed=8 - survived, timeout=2, survived=survived)
    assert mutation.print_table({"fmnist.part": ends}) == good
    assert mutation.print_table({"fmnist.part": ends, "fmnist.other": Counter(killed=90)}) == good
    assert f"fmnist.part{10:>32}{10 - survived:>9}{survived:>9}" in capsys.readouterr().out


def test_the_score_is_told(project: Path) -> None:
    """Where the survivors are those listed, and few enough, the check passes; the score is kept for the pages."""
    assert json.loads((project / "benchmarks" / "results" / "mutants.json").read_text()) == {
        "fmnist.part": {"mutants": 24, "killed": 22}
    }


def test_a_module_of_which_too_many_survive_is_red(copied: Path) -> None:
    """Below 90 % the check fails, though each survivor is listed; a changed test makes all results anew."""
    path = copied / "tests" / "test_part.py"
    path.write_text(path.read_text().replace("range(2, 13)", "range(2, 12)"))
    listed = BOTH + survivor("return value - 12", "add_12") + survivor("return value + 13", "add_12")
    (copied / "tests" / "faults" / "survivors.toml").write_text(listed)
    code, said = mutate(copied)
    assert code == 1
    # No test runs the function.
    assert "fmnist.part                              24       20        4    83.3%" in said


def test_only_what_has_changed_is_mutated(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Since a commit, the mutants of a changed function run, and of none without a change; an unknown one is said."""
    monkeypatch.chdir(copied)
    # Whoever owns the checkout does not matter.
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert mutation.changed("HEAD", ["fmnist/part.py"]) == []
    assert mutation.changed("nothing", ["fmnist/part.py"]) is None
    (copied / "fmnist" / "part.py").write_text(CODE.replace("value + 13", "13 + value"))
    assert mutation.changed("HEAD", ["fmnist/part.py"]) == [("fmnist/part.py", "add_13")]
    assert mutation.changed("HEAD", ["fmnist/other.py"]) == []
    listed = survivor("return 13 - value") + survivor("return 14 + value")
    (copied / "tests" / "faults" / "survivors.toml").write_text(listed.replace("value + 13", "13 + value"))
    code, said = mutate(copied, "--since", "HEAD")
    assert code == 0, said
    assert "fmnist.part                               2        0        2     0.0%" in said


def test_a_function_that_lost_a_line_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a line is gone, and none has come, the function that had it counts."""
    path, code = tmp_path / "fmnist" / "part.py", CODE.replace("return value + 5", "value += 0\n    return value + 5")
    helpers.write_project(tmp_path, {"fmnist/part.py": code})
    monkeypatch.chdir(tmp_path)
    path.write_text(CODE)
    assert mutation.changed("HEAD", ["fmnist/part.py"]) == [("fmnist/part.py", "add_5")]


def test_mutmut_is_asked_for_what_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each function by its name, each time with the same examples; each result counts for its module."""
    ended = {
        "a.part.x_one__mutmut_1": "killed",
        "a.part.xǁPartǁtwo__mutmut_1": "survived",
        "b.x_one__mutmut_1": "timeout",
    }
    asked: list[tuple[list[str], str]] = []

    def run(command: list[str], *, env: dict[str, str], **how: object) -> types.SimpleNamespace:
        assert "stderr" not in how  # it is shown
        asked.append((command, env["CI"]))
        lines = (
            [f"    {name}: {status}" for name, status in ended.items()] if "results" in command else ["-old", "+new"]
        )
        return types.SimpleNamespace(stdout="\n".join([*lines, ""]))

    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(subprocess, "run", run)
    names = ["a.part.x_one__mutmut_*", "a.part.xǁPartǁtwo__mutmut_*"]
    scores = {"a.part": Counter(killed=1, survived=1)}
    survivors = {planted.Mutant("a.part.Part.two", "old", "new"): "survived"}
    assert mutation.by_mutmut(names) == (scores, {"a.part.one", "a.part.Part.two"}, survivors)
    assert mutation.by_mutmut(None) == (
        scores | {"b": Counter(timeout=1)},
        {"a.part.one", "a.part.Part.two", "b.one"},
        survivors,
    )
    known = [["mutmut", "results", "--all", "true"], ["mutmut", "show", "a.part.xǁPartǁtwo__mutmut_1"]]
    assert asked == [(one, "true") for one in (["mutmut", "run", *names], *known, ["mutmut", "run"], *known)]


def test_both_ways_to_run_mutants_count() -> None:
    """Of a module that each has a part of, all mutants."""
    one, two = (planted.Mutant(name, "old", "new") for name in ("a.one", "b.two"))
    first = mutation.Ended({"a": Counter(killed=2, survived=1)}, {"a.one"}, {one: "survived"})
    second = mutation.Ended({"b": Counter(survived=1), "a": Counter(killed=3)}, {"b.two"}, {two: "survived"})
    assert mutation.both(first, second) == (
        {"a": Counter(killed=5, survived=1), "b": Counter(survived=1)},
        {"a.one", "b.two"},
        {one: "survived", two: "survived"},
    )


def test_a_run_that_crashes_is_red(copied: Path, tmp_path: Path) -> None:
    """Where mutmut dies of a signal, no mutant that it ran before decides."""
    program, real = tmp_path / "mutmut", Path(sys.executable).with_name("mutmut")
    program.write_text(f'#!/bin/sh\n[ "$1" != run ] || kill -SEGV $$\nexec {real} "$@"\n')
    program.chmod(0o755)
    code, said = mutate(copied, before=[tmp_path])
    assert code == 1
    assert "died with <Signals.SIGSEGV: 11>" in said


def test_a_run_that_fails_is_red(copied: Path) -> None:
    """Where the tests fail without any mutant, nothing can be said of mutants."""
    (copied / "tests" / "test_part.py").write_text("def test_nothing():\n    assert False\n")
    code, said = mutate(copied)
    assert code == 1
    assert "non-zero exit status" in said


def test_methods_count_as_functions(tmp_path: Path) -> None:
    """A changed line within a method or a nested function is one of the method or the outer function."""
    path = tmp_path / "part.py"
    path.write_text(
        "class A:\n    def one(self):\n        return 1\n    two = 2\n\n"
        "def two():\n    def three():\n        return 3\n"
    )
    assert list(mutation._functions(path, {3, 4, 8})) == ["A.one", "two"]


@pytest.mark.parametrize(
    ("file", "function", "name"),
    [
        ("a/part.py", "A.one", "a.part.xǁAǁone"),
        ("a/part.py", "two", "a.part.x_two"),
        ("a/part.py", "Matrix._csv", "a.part.xǁMatrixǁ_csv"),
        ("a/part/__init__.py", "two", "a.part.x_two"),
    ],
)
def test_mutmut_names_functions_in_its_own_way(file: str, function: str, name: str) -> None:
    """Those of a package's own module have the package's name."""
    assert mutation.mutmuts_name(file, function) == f"{name}__mutmut_*"
    assert mutation.function_of(f"{name}__mutmut_3") == f"a.part.{function}"


@pytest.mark.parametrize(("tested", "code", "row"), [(13, 0, "11        1    91.7%"), (12, 1, "10        2    83.3%")])
def test_without_a_commit_to_compare_with_a_sample_decides(copied: Path, tested: int, code: int, row: str) -> None:
    """It is said, as the check is not the one asked for; the mutants with the number 1 are run."""
    path = copied / "tests" / "test_part.py"
    path.write_text(path.read_text().replace("range(2, 13)", f"range(2, {tested})"))
    (copied / "tests" / "faults" / "survivors.toml").write_text("")
    (copied / mutation.RESULT).unlink()  # a sample is no result for the pages
    ended, said = mutate(copied, "--since", "nothing")
    assert ended == code, said
    assert "NOT WHAT HAS CHANGED: there is no commit nothing here; a tenth of all mutants instead" in said
    assert f"fmnist.part                              12       {row}" in said
    assert not (copied / mutation.RESULT).exists()


def test_a_case_has_the_same_name_when_it_is_collected_again() -> None:
    """In one process mutmut finds the tests of a mutant, and runs them by name: no escape is escaped again."""
    collect = "pytest.main(['--collect-only', '-q', '-p', 'no:randomly', 'tests/steps/test_labels.py'])"
    out = helpers.python(f"import pytest; {collect}; {collect}", cwd=ROOT)
    cases = [line for line in out.splitlines() if "::" in line]
    assert any("\\" in case for case in cases)
    assert cases[: len(cases) // 2] == cases[len(cases) // 2 :]


@pytest.mark.parametrize(("folder", "enabled"), [("mutants", []), ("fmnist", ["enable"])])
def test_mutmut_has_no_collector(
    folder: str, enabled: list[str], pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where mutmut counts the calls the collector stays off: it may crash Python."""
    conftest: Any = pytestconfig.pluginmanager.get_plugin(str(ROOT / "tests" / "conftest.py"))
    called: list[str] = []
    for name in ("disable", "freeze", "enable"):
        monkeypatch.setattr(gc, name, lambda name=name: called.append(name))
    session = types.SimpleNamespace(config=types.SimpleNamespace(rootpath=Path("/", folder)))
    assert list(conftest.pytest_collection(session)) == [None]
    assert called == ["disable", "freeze", *enabled]
    assert Path("mutants") == mutation.MUTANTS


def test_each_survivor_is_in_the_code() -> None:
    """The list does not excuse what is there no more: each line stands in the function it is said to be in."""
    listed = tomllib.loads((ROOT / mutation.SURVIVORS).read_text(encoding="utf-8"))["survivor"]
    assert [one for one in listed if squeezed(one["old"]) not in squeezed(source(one["function"]))] == []


def squeezed(text: str) -> str:
    """Return the text without its blanks, as a line may be broken elsewhere."""
    return re.sub(r"\s+", "", text)


def source(function: str) -> str:
    """Return the code of a function of the package, or nothing."""
    *rooms, name = function.split(".")
    inner = [name]
    while not (path := ROOT.joinpath(*rooms).with_suffix(".py")).exists() and len(rooms) > 1:
        inner.insert(0, rooms.pop())
    text = (path if path.exists() else ROOT / "fmnist" / "__init__.py").read_text(encoding="utf-8")
    scope: ast.AST | None = ast.parse(text)
    for part in inner:
        scope = next((one for one in getattr(scope, "body", []) if getattr(one, "name", None) == part), None)
    return "\n".join(text.splitlines()[scope.lineno - 1 : scope.end_lineno]) if isinstance(scope, ast.stmt) else ""
