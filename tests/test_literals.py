"""Tests of what is written out in the code: each sentence and each limit is the one that was read and accepted."""

import ast
import re
from collections.abc import Callable, Iterator
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

    Examples
    --------
    >>> list(sentences('error = f"expected {n} epochs, got {len(found)}."'))
    ['expected {} epochs, got {}.']
    """
    tree = ast.parse(source)
    documents = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    texts = [node for node in ast.walk(tree) if isinstance(node, ast.Constant | ast.JoinedStr)]
    parts = {part for text in texts if isinstance(text, ast.JoinedStr) for part in text.values}
    for text in sorted(set(texts) - parts - documents, key=lambda node: (node.lineno, node.col_offset)):
        values = text.values if isinstance(text, ast.JoinedStr) else [text]
        found = "".join(
            one.value if isinstance(one, ast.Constant) and isinstance(one.value, str) else "{}" for one in values
        )
        if len(re.findall(r"\w\W* \W*(?=\w)", found)) >= 2:
            yield found


def limits(source: str) -> Iterator[str]:
    r"""Give each constant of a module that is made of numbers, in order.

    Examples
    --------
    >>> list(limits("LEVEL = 0.05\n_NAME: str = 'x'\n_LONGEST, MOST = 10 * 60, 3"))
    ['LEVEL = 0.05', '_LONGEST, MOST = (10 * 60, 3)']
    """
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value:
            values = [type(one.value) for one in ast.walk(node.value) if isinstance(one, ast.Constant)]
            if values and not {*values} - {int, float}:
                yield ast.unparse(node)


@pytest.mark.parametrize("what", [sentences, limits], ids=["sentences", "limits"])
def test_they_change_on_purpose(what: Callable[[str], Iterator[str]], data_regression: DataRegressionFixture) -> None:
    """Errors, help and what is told on the way, to the last word, and numbers are as in the golden documents.

    To accept a change, run `pytest --force-regen tests/test_literals.py`, and read the difference as a user would.
    """
    modules = sorted((ROOT / "fmnist").rglob("*.py"))
    found = {path.relative_to(ROOT).as_posix(): list(what(path.read_text(encoding="utf-8"))) for path in modules}
    data_regression.check({module: one for module, one in found.items() if one}, what.__name__)
