"""Tests of what fmnist says: each sentence of each module is the one that was read and accepted."""

import ast
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


def test_sentences_change_on_purpose(data_regression: DataRegressionFixture) -> None:
    """Errors, help and what is told on the way are as in the golden document, to the last word.

    To accept a change, run `pytest --force-regen tests/test_sentences.py`, and read the difference as a user would.
    """
    modules = sorted((ROOT / "fmnist").rglob("*.py"))
    found = {path.relative_to(ROOT).as_posix(): list(sentences(path.read_text(encoding="utf-8"))) for path in modules}
    data_regression.check({module: said for module, said in found.items() if said}, "sentences")
