"""Tests of the mutants that are planted, on a tiny project."""

import ast
import asyncio
import json
import subprocess
import tomllib
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result
from faults import mutation, plant, planted
from faults.edits import Fault, FaultError
from support import helpers

#: Of each kind of function one, whose first mutants are known; mutmut itself makes none of `cached` and `shown`.
CODE = """
import functools


def plain(value):
    return value + 1


@functools.lru_cache(maxsize=8)
def cached(value):
    return value * 2


class Part:
    size: int = 3

    @property
    def shown(self):
        return self.size - 1

    @staticmethod
    def static(value):
        return not value


def empty():
    pass
"""

FILE = "fmnist/part.py"

ROOT = Path(__file__).parents[1]

TESTS = """
from fmnist import part

def test_plain():
    assert part.plain(1) == 2

def test_cached():
    assert part.cached(2) == 4

def test_shown():
    assert part.Part().shown < 4
"""

SETTINGS = """
[tool.mutmut]
source_paths = ["fmnist"]
only_mutate = ["fmnist/part.py"]
pytest_add_cli_args_test_selection = ["tests"]
[tool.pytest.ini_options]
pythonpath = ["."]
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project, which is the working folder, and which git knows; its tests need nothing imported before."""
    root = tmp_path / "project"
    content = {
        "fmnist/__init__.py": "",
        FILE: CODE,
        "tests/test_part.py": TESTS,
        "tests/faults/planted.toml": f'"{FILE}" = ["tests/test_part.py"]\n',
        "tests/faults/survivors.toml": "",
        "pyproject.toml": SETTINGS,
    }
    helpers.write_project(root, content)
    monkeypatch.chdir(root)
    monkeypatch.setattr(plant, "MODULES", ())
    return root


def mutants(*, decorated_only: bool) -> list[planted.Mutation]:
    """Return the mutants of the module."""
    return list(planted.mutations(Path(), FILE, ["tests/test_part.py"], decorated_only=decorated_only))


def run(chosen: list[planted.Mutation]) -> dict[str, str]:
    """Plant mutants, and return how each ended, by its new code."""
    return {one.new: status for one, status in planted.run(Path(), chosen, Path("results"), 2).items()}


def change(old: str, new: str) -> None:
    """Edit the module."""
    path = Path(FILE)
    path.write_text(path.read_text().replace(old, new))


def since_head() -> Result:
    """Run the mutants of the functions that have changed."""
    return CliRunner().invoke(mutation.main, ["--since", "HEAD"])


def test_what_is_listed_is_there() -> None:
    """Each module and each of its tests, among them those that mirror it, where there are some."""
    for file, those in planted.read(ROOT).items():
        assert (ROOT / file).is_file()
        assert those
        assert all((ROOT / one.partition("::")[0]).is_file() for one in those)
        room, name = Path("tests", *Path(file).parts[1:-1]), f"test_{Path(file).name}"
        assert (room / name).as_posix() in those or not (ROOT / room / name).exists(), file


def test_each_module_is_mutated() -> None:
    """Each module that has a function is mutmut's or planted."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    modules = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "fmnist").rglob("*.py")
        if any(isinstance(node, ast.FunctionDef) for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    }
    assert modules == {*settings["tool"]["mutmut"]["only_mutate"], *planted.read()}


def test_each_function_is_mutated(project: Path) -> None:
    """With or without decorators, which themselves stay; what is outside of functions stays too."""
    found = mutants(decorated_only=False)
    assert {one.within for one in found} == {"plain", "cached", "Part.shown", "Part.static"}
    assert [(one.old, one.new) for one in found if one.within == "cached"] == [
        ("return value * 2", "return value / 2"),
        ("return value * 2", "return value * 3"),
    ]
    assert found[0].mutant == ("fmnist.part.plain", "return value + 1", "return value - 1")
    assert all(one.edited(Path()) == CODE.replace(one.old, one.new, 1) for one in found)
    assert len({one.id for one in found}) == len(found)


def test_a_line_that_is_not_to_be_mutated_is_not(project: Path) -> None:
    """As mutmut has it."""
    change("value * 2", "value * 2  # pragma: no mutate")
    assert {one.within for one in mutants(decorated_only=True)} == {"Part.shown"}


def test_a_static_method_with_another_decorator_is_planted(project: Path) -> None:
    """Mutmut leaves it out, whatever the first of its decorators is."""
    change("    @staticmethod\n", "    @staticmethod\n    @functools.cache\n")
    assert {one.within for one in mutants(decorated_only=True)} == {"cached", "Part.shown", "Part.static"}
    assert planted.mutated_by_mutmut(Path(), FILE) == {"plain"}


def test_what_mutmut_leaves_out_is_planted(project: Path) -> None:
    """Each mutant is either one of mutmut's or planted, and none is both."""
    assert {one.within for one in mutants(decorated_only=True)} == {"cached", "Part.shown"}
    assert planted.mutated_by_mutmut(Path(), FILE) == {"plain", "Part.static"}
    subprocess.run(["mutmut", "run"], check=False, capture_output=True)
    names = subprocess.run(["mutmut", "results", "--all", "true"], check=True, capture_output=True, text=True).stdout
    assert {mutation.function_of(name.strip()) for name in names.splitlines() if name.strip()} == {
        "fmnist.part.plain",
        "fmnist.part.Part.static",
    }


def test_a_mutant_ends_in_one_of_two_ways(project: Path) -> None:
    """It survives only if all tests pass; whatever else happens to them, they have seen it."""
    decorated = mutants(decorated_only=True)
    assert run(decorated) == {
        "return value / 2": "killed",
        "return value * 3": "killed",
        "return self.size + 1": "killed",
        "return self.size - 2": "survived",
    }


def test_what_has_seen_a_mutant_is_run_first(project: Path) -> None:
    """For the next one of the same function; the other tests come after it, and none runs twice."""
    ran = Path("ran").resolve()
    each = TESTS.replace("():\n", f"(request):\n    open({str(ran)!r}, 'a').write(request.node.name + ' ')\n")
    Path("tests", "test_part.py").write_text(each)
    found = mutants(decorated_only=True)
    for one in (found[:2], found[2:]):
        planted.run(Path(), one, Path("results"), 1)
    everything = ["test_plain", "test_cached", "test_shown"]
    assert ran.read_text().split() == [
        *(*everything, "test_plain", "test_cached", "test_cached"),  # without a mutant, and two of `cached`
        *(*everything, *everything, "test_shown", "test_plain", "test_cached"),  # and two of `shown`: one survives
    ]


@pytest.mark.parametrize(
    "code", ["raise SystemExit(3)", "any(iter(int, 1))", "def"], ids=["no import", "endless", "no Python"]
)
def test_tests_that_cannot_be_run_have_seen_it(code: str, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The module cannot be imported with it, or the tests would not end."""
    monkeypatch.setattr(planted, "SECONDS", 3.0)
    mutant = planted.Mutation("1", "", FILE, "", code, ("tests/test_part.py",), "cached", code)
    assert run([mutant]) == {code: "killed"}


@pytest.mark.parametrize(("took", "limit"), [(0.5, 60.0), (12.0, 60.0), (13.0, 65.0)])
def test_tests_may_take_five_times_as_long(
    took: float, limit: float, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as without a mutant, and a minute in any case: a busy machine has killed no mutant."""
    monkeypatch.setattr(planted, "time", SimpleNamespace(monotonic=iter([1.0, 1.0 + took]).__next__))

    async def passing(*_: object) -> None:
        """Let all tests pass."""

    monkeypatch.setattr(plant, "first_failure", passing)
    assert asyncio.run(planted._limit("python", project, ["tests"])) == limit


def test_results_are_kept(project: Path) -> None:
    """A run that was broken off goes on: a mutant that has a result is not planted again."""
    decorated = mutants(decorated_only=True)
    Path("results").write_text("".join(json.dumps([one.id, "of before"]) + "\n" for one in decorated[1:]))
    assert list(run(decorated).values()) == ["killed", *["of before"] * 3]
    of_before = [json.dumps([one.id, "of before"]) for one in decorated[1:]]
    assert Path("results").read_text().splitlines() == [*of_before, json.dumps([decorated[0].id, "killed"])]


def test_a_result_is_kept_before_the_next_one(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run may be broken off at any time."""
    kept: list[int] = []
    given: list[tuple[tuple[str, ...], float]] = []

    async def planted_at(_: str, __: Path, fault: Fault, limit: float) -> plant.Outcome:
        kept.append(len(Path("results").read_text().splitlines()) if Path("results").exists() else 0)
        given.append((fault.tests, limit))
        await asyncio.sleep(0)
        return plant.Outcome(fault, 0.0, "tests/test_part.py::test_plain[x]")

    async def limit(_: str, __: Path, tests: tuple[str, ...]) -> float:
        return float(len(tests))

    monkeypatch.setattr(plant, "plant", planted_at)
    monkeypatch.setattr(planted, "_limit", limit)
    one, *others = mutants(decorated_only=True)
    whole, both = "tests/test_part.py", ("tests/test_part.py", "tests/test_more.py")
    planted.run(Path(), [replace(one, tests=both), *others], Path("results"), 1)
    assert kept == [0, 1, 2, 3]
    # Each has the time of its own tests; what has seen one of a function is tried in each case for the next.
    seen = "tests/test_part.py::test_plain"
    assert given == [(both, 2.0), ((seen, whole), 1.0), ((whole,), 1.0), ((seen, whole), 1.0)]


def test_tests_must_pass_without_a_mutant(project: Path) -> None:
    """Otherwise each mutant would seem to be seen."""
    Path("tests", "test_part.py").write_text("def test_nothing():\n    print('x' * 3_000)\n    assert False\n")
    said = r"without any mutant, a test fails: tests/test_part.py::test_nothing\n(?s:.*)1 failed in"
    with pytest.raises(FaultError, match=said):
        run(mutants(decorated_only=True))


def test_a_test_that_fails_without_a_mutant_is_told(project: Path) -> None:
    """In a line, not as a defect of the program."""
    change("value * 2", "value * 4")
    ended = since_head()
    assert ended.exit_code == 1
    assert "Error: without any mutant, a test fails: tests/test_part.py::test_cached" in ended.output
    assert isinstance(ended.exception, SystemExit)


def test_results_of_other_tests_are_not_kept(project: Path) -> None:
    """Where a module has other tests in the list, each of its mutants is planted again."""
    change("self.size - 1", "self.size - 5")
    assert "survived" in since_head().stderr
    assert "survived" not in since_head().stderr
    planted.TESTS.write_text(planted.TESTS.read_text() + "# other tests\n")
    assert "survived" in since_head().stderr


@pytest.mark.parametrize(
    ("changed", "gone"),
    [(FILE, True), ("tests/test_part.py", True), ("pyproject.toml", True), (planted.TESTS, True), ("README.md", False)],
    ids=str,
)
def test_results_of_other_code_are_not_kept(changed: str, gone: bool, project: Path) -> None:
    """Neither those of other tests or settings, or of whatever code; a page changes no result."""
    mutation.fresh()
    (kept := mutation.MUTANTS / "kept").touch()
    mutation.fresh()
    assert kept.exists()
    with Path(changed).open("a") as file:
        file.write("\n# another\n")
    mutation.fresh()
    assert kept.exists() != gone
    # Of results without a digest nobody knows whose they are.
    kept.touch()
    mutation.DIGEST.unlink()
    mutation.fresh()
    assert not kept.exists()


def test_what_mutmut_cannot_run_is_planted_whole(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a module that is mutmut's only what it leaves out; a mutant that the tests never end with counts as killed."""
    Path("fmnist", "other.py").write_text(CODE)
    planted.TESTS.write_text(planted.TESTS.read_text() + '"fmnist/other.py" = ["tests/test_part.py"]\n')
    ended = mutation.Ended({"fmnist.other": Counter(killed=8, timeout=1, survived=1)}, set(), {})
    chosen: list[planted.Mutation] = []
    monkeypatch.setattr(mutation, "by_mutmut", lambda _: mutation.Ended({}, set(), {}))

    def by_planting(given: list[planted.Mutation]) -> mutation.Ended:
        chosen.extend(given)
        return ended

    monkeypatch.setattr(mutation, "by_planting", by_planting)
    done = CliRunner().invoke(mutation.main)
    assert (done.exit_code, json.loads(mutation.RESULT.read_text())) == (
        0,
        {"fmnist.other": {"mutants": 10, "killed": 9}},
    )
    assert {(one.file, one.within) for one in chosen} == {
        *((FILE, within) for within in ("cached", "Part.shown")),
        *(("fmnist/other.py", within) for within in ("plain", "cached", "Part.shown", "Part.static")),
    }


def test_what_has_changed_in_a_planted_module_is_planted(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though mutmut does not run the module; of two that have changed, each has its own functions."""
    Path("fmnist", "other.py").write_text(CODE)
    planted.TESTS.write_text(planted.TESTS.read_text() + '"fmnist/other.py" = ["tests/test_part.py"]\n')
    git = ["git", "-c", "user.name=a", "-c", "user.email=b"]
    for command in (["add", "fmnist"], ["commit", "-qm", "second"]):
        subprocess.run([*git, *command], check=True)
    Path("fmnist", "other.py").write_text(CODE.replace("value * 2", "value * 4"))
    change("self.size - 1", "self.size - 5")
    chosen: list[planted.Mutation] = []

    def by_planting(given: list[planted.Mutation]) -> mutation.Ended:
        chosen.extend(given)
        return mutation.Ended({}, set(), {})

    monkeypatch.setattr(mutation, "by_planting", by_planting)
    done = since_head()
    assert done.exit_code == 0, done.output
    assert [(one.file, one.within, one.new) for one in chosen] == [
        *(("fmnist/other.py", "cached", f"return value {end}") for end in ("/ 4", "* 5")),
        *((FILE, "Part.shown", f"return self.size {end}") for end in ("+ 5", "- 6")),
    ]
    assert not mutation.RESULT.exists()


def test_what_is_planted_is_sampled_too(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a commit to compare with, a tenth of both: of the mutants here, those with the number 1."""
    asked: list[Any] = []
    nothing = mutation.Ended({}, set(), {})

    def instead(given: Any) -> mutation.Ended:
        asked.append(given)
        return nothing

    for name in ("by_mutmut", "by_planting"):
        monkeypatch.setattr(mutation, name, instead)
    Path("fmnist", "other.py").write_text(CODE)
    planted.TESTS.write_text('"fmnist/other.py" = ["tests/test_part.py"]\n')
    done = CliRunner().invoke(mutation.main, ["--since", "nothing"])
    said = "NOT WHAT HAS CHANGED: there is no commit nothing here; a tenth of all mutants instead\n"
    assert (done.stderr, done.stdout.split()[0]) == (said, "module")
    assert [asked[0], [one.id for one in asked[1]]] == [["*1"], ["fmnist.other:1"]]


def test_survivors_are_told_where_too_many_survive(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who kills them has no other list."""
    survivors = {planted.Mutant("fmnist.other.f", "return 1", "return 2"): "survived"}
    ended = mutation.Ended({"fmnist.other": Counter(killed=1, survived=1)}, {"fmnist.other.f"}, survivors)
    monkeypatch.setattr(mutation, "by_mutmut", lambda _: ended)
    monkeypatch.setattr(mutation, "by_planting", lambda _: mutation.Ended({}, set(), {}))
    done = CliRunner().invoke(mutation.main)
    assert done.exit_code == 1
    assert "# survived: kill it, or list it in tests/faults/survivors.toml\n[[survivor]]\n" in done.output


def test_a_changed_function_with_a_decorator_is_planted(project: Path) -> None:
    """Of what has changed, mutmut runs what it can, and the others are planted; a survivor is to be listed."""
    change("self.size - 1", "self.size - 5")
    ended = since_head()
    assert ended.exit_code == 1, ended.output
    assert 'function = "fmnist.part.Part.shown"\nold = "return self.size - 5"\nnew = "return self.size - 6"' in (
        ended.output
    )
    assert f"{'fmnist.part':<34}{2:>9}{1:>9}{1:>9}" in ended.output


def test_a_changed_function_without_mutants_is_no_error(project: Path) -> None:
    """Nothing can be mutated in it, which is said."""
    change("pass", "return")
    ended = since_head()
    assert ended.exit_code == 0, ended.output
    assert ended.stdout == ended.output == "no function that is mutated has changed since HEAD\n"


def test_all_together(project: Path) -> None:
    """The score of a module is that of all its mutants, whoever runs them."""
    ended = CliRunner().invoke(mutation.main)
    assert ended.exit_code == 1
    assert json.loads(mutation.RESULT.read_text()) == {"fmnist.part": {"mutants": 7, "killed": 5}}
    assert {one["function"] for one in tomllib.loads(ended.stdout.split("\n\n", 1)[1])["survivor"]} == {
        "fmnist.part.Part.shown",
        "fmnist.part.Part.static",
    }
