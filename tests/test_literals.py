"""Tests of what is written out in the code: each sentence and each limit is the one that was read and accepted."""

import ast
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_regressions.data_regression import DataRegressionFixture

ROOT = Path(__file__).parents[1]


@pytest.fixture
def original_datadir() -> Path:
    """Where the golden documents are."""
    return ROOT / "tests" / "golden"


def sentences(source: str) -> Iterator[str]:
    """Give each text of `source` that has three words or more, in order, with {} in the place of each value.

    Of docstrings only those of commands count, which are their help, in one line.

    Examples
    --------
    >>> list(sentences('error = f"expected {n} epochs, got {len(found)}."'))
    ['expected {} epochs, got {}.']
    """
    tree = ast.parse(source)
    documents = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    commands = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and _is_command(node))
    yield from (" ".join(str(ast.get_docstring(command)).split()) for command in commands)
    texts = [node for node in ast.walk(tree) if isinstance(node, ast.Constant | ast.JoinedStr)]
    parts = {part for text in texts if isinstance(text, ast.JoinedStr) for part in text.values}
    for text in sorted(set(texts) - parts - documents, key=lambda node: (node.lineno, node.col_offset)):
        values = text.values if isinstance(text, ast.JoinedStr) else [text]
        found = "".join(
            one.value if isinstance(one, ast.Constant) and isinstance(one.value, str) else "{}" for one in values
        )
        if len(re.findall(r"\w\W* \W*(?=\w)", found)) >= 2:
            yield found


def _is_command(function: ast.FunctionDef) -> bool:
    return any(re.search(r"\.(command|group)\(", ast.unparse(one)) for one in function.decorator_list)


def assignments(source: str) -> Iterator[tuple[str, list[ast.AST]]]:
    """Give the code of each assignment of a module, with all parts of its value."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value:
            yield ast.unparse(node), list(ast.walk(node.value))


def limits(source: str) -> Iterator[str]:
    r"""Give each constant of a module that is made of numbers, in order.

    Examples
    --------
    >>> list(limits("LEVEL = 0.05\n_NAME: str = 'x'\n_LONGEST, MOST = 10 * 60, 3"))
    ['LEVEL = 0.05', '_LONGEST, MOST = (10 * 60, 3)']
    """
    for code, parts in assignments(source):
        values = {type(one.value) for one in parts if isinstance(one, ast.Constant)}
        if values and not values - {int, float}:
            yield code


def constants(source: str) -> Iterator[str]:
    r"""Give each constant of a module that is written out, of whatever type, in order.

    Examples
    --------
    >>> list(constants("TOP = Path('x')\nNAMES = {'a', 'b'}\n__all__ = ['f']\nMOST: int = 3"))
    ["NAMES = {'a', 'b'}", 'MOST: int = 3']
    """
    for code, parts in assignments(source):
        is_computed = any(isinstance(one, ast.Name | ast.Call | ast.Attribute) for one in parts)
        if not is_computed and not code.startswith("__all__"):
            yield code


def settings(source: str) -> Iterator[str]:
    r"""Give what is written out beside the code of functions, in order: values, decorators and defaults of parameters.

    Examples
    --------
    >>> list(settings("A = re.compile('x')\nB = C\nclass D:\n    e: int = 1\n    @f('g')\n    def h(i=2): j = 3"))
    ["A = re.compile('x')", 'D.e: int = 1', "D.h @f('g')", 'D.h(i=2)']
    """
    yield from _settings(ast.parse(source), "")


def _settings(parent: ast.Module | ast.ClassDef, place: str) -> Iterator[str]:
    for node in parent.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and _says_something(node.value):
            if not (code := ast.unparse(node)).startswith("__all__"):
                yield place + code
        elif isinstance(node, ast.ClassDef | ast.FunctionDef):
            found = [one for one in node.decorator_list if _says_something(one)]
            yield from (f"{place}{node.name} @{ast.unparse(one)}" for one in found)
            if isinstance(node, ast.ClassDef):
                yield from _settings(node, f"{place}{node.name}.")
            elif any(map(_says_something, [*node.args.defaults, *node.args.kw_defaults])):
                yield f"{place}{node.name}({ast.unparse(node.args)})"


def _says_something(value: ast.AST | None) -> bool:
    parts = ast.walk(value) if value else ()
    return any(isinstance(part, ast.Constant) and part.value is not None for part in parts)


#: What is not code, but is read by it, by people or by pip, and others' programs, with which ours are compared: none of
#: it is made by the tests.
DATA = (
    "LICENSE",
    "requirements.lock",
    "benchmarks/seeding_trap.py",
    "benchmarks/tutorial.py",
    "examples/**/*.json",
    "examples/**/*.yaml",
    "fmnist/**/*.json",
    "fmnist/**/*.txt",
    # A disturbance that does nothing disturbs nothing.
    "tests/disturbances/*.toml",
    "tests/**/*.json",
    "tests/**/*.txt",
)


def test_data_change_on_purpose(data_regression: DataRegressionFixture) -> None:
    """Each file of data is the one that was looked at.

    To accept a change, look at it, and run `pytest --force-regen tests/test_literals.py`.
    """
    paths = sorted(path for pattern in DATA for path in ROOT.glob(pattern))
    found = {path.relative_to(ROOT).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    assert {"LICENSE", "requirements.lock", "tests/golden/golden.json", "tests/golden/run.json"} <= found.keys()
    data_regression.check(found, "data")


#: What is looked at, where, and the golden document: of the programs that check and publish, whatever is written out.
LITERALS = {
    "sentences": (sentences, ("fmnist/**/*.py",)),
    "limits": (limits, ("fmnist/**/*.py",)),
    "settings": (settings, ("fmnist/**/*.py",)),
    "tools": (
        constants,
        (
            "benchmarks/**/*.py",
            "docs/*.py",
            "examples/**/*.py",
            "tests/**/conftest.py",
            "tests/disturbances/*.py",
            "tests/faults/*.py",
            "tests/support/*.py",
        ),
    ),
}


@pytest.mark.parametrize("document", LITERALS)
def test_they_change_on_purpose(document: str, data_regression: DataRegressionFixture) -> None:
    """Errors, help and what is told on the way, to the last word, and numbers are as in the golden documents.

    To accept a change, run `pytest --force-regen tests/test_literals.py`, and read the difference as a user would.
    """
    what, patterns = LITERALS[document]
    modules = sorted(path for pattern in patterns for path in ROOT.glob(pattern))
    found = {path.relative_to(ROOT).as_posix(): list(what(path.read_text(encoding="utf-8"))) for path in modules}
    data_regression.check({module: one for module, one in found.items() if one}, document)
