"""The faults of a catalogue: small edits that follow the code, wherever it stands and however it is laid out."""

import ast
import functools
import io
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Fault", "FaultError", "concerned", "read", "replaced", "tokens"]


class FaultError(Exception):
    """It cannot be said whether the tests catch a fault."""


#: What tokenizing gives that is no code.
_LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}

#: The place of a token: line, from 1, and column, from 0.
Place = tuple[int, int]


@functools.cache
def tokens(code: str) -> list[tuple[str, Place, Place]]:
    """Return the tokens of `code` with their places, without layout: comments, line breaks, quotes, last commas."""
    found = [
        (repr(ast.literal_eval(token.string)) if _is_plain(token) else token.string, token.start, token.end)
        for token in tokenize.generate_tokens(io.StringIO(code).readline)
        if token.type not in _LAYOUT
    ]
    after = [*(string for string, _, _ in found), ""][1:]
    return [one for one, then in zip(found, after, strict=True) if one[0] != "," or then not in {")", "]", "}"}]


def _is_plain(token: tokenize.TokenInfo) -> bool:
    return token.type == tokenize.STRING and "f" not in token.string.partition(token.string[-1])[0].lower()


@functools.cache
def known(code: str) -> list[tuple[str, Place, Place]]:
    """Return the qualified name of each function and class of `code`, and where it begins and ends."""
    return list(definitions(ast.parse(code)))


def definitions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, Place, Place]]:
    """Yield the qualified name of each function and class below `tree`, and where it begins and ends."""
    for node in ast.iter_child_nodes(tree):
        name = prefix
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{prefix}.{node.name}".lstrip(".")
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            yield name, (first, 0), (node.end_lineno or 0, sys.maxsize)
        yield from definitions(node, name)


def replaced(code: str, within: str, old: str, new: str) -> tuple[str, int]:
    """Replace the tokens of `old` in the function or class `within`, or outside of all of them.

    Returns
    -------
    tuple of str and int
        The new code, and how many times `old` was found; unless that is once, the code is as it was.
    """
    parts = [(first, last) for name, first, last in known(code) if name == within or not within]

    def belongs(start: Place) -> bool:
        return bool(within) == any(first <= start <= last for first, last in parts)

    there, wanted = [one for one in tokens(code) if belongs(one[1])], [string for string, _, _ in tokens(old)]
    strings = [string for string, _, _ in there]
    found = [i for i in range(len(strings)) if strings[i : i + len(wanted)] == wanted]
    if len(found) != 1:
        return code, len(found)
    (row, column), (end_row, end_column) = there[found[0]][1], there[found[0] + len(wanted) - 1][2]
    lines = code.splitlines(keepends=True)
    before = lines[row - 1][:column]
    new = new.replace("\n", "\n" + before[: len(before) - len(before.lstrip())])
    edited = before + new + lines[end_row - 1][end_column:]
    return "".join([*lines[: row - 1], edited, *lines[end_row:]]), 1


@dataclass(frozen=True)
class Fault:
    """One small edit of the code, and the tests of which one must fail.

    Attributes
    ----------
    id, title : str
        Its short name, and what is wrong with the edited code.
    file : str
        What is edited, from the root of the project.
    old, new : str
        What occurs once, and what is put in its place: in Python, an expression or statement, however it is laid out;
        elsewhere, a text.
    tests : tuple of str
        Files or node ids, as pytest takes them.
    within : str
        The function (``f``), method (``C.m``) or class of a Python file in which `old` occurs once, by its qualified
        name; empty for what is outside of all of them. The key is ``in`` in the catalogue.
    """

    id: str
    title: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    within: str = ""

    def edited(self, root: Path) -> str:
        """Return what `file` of the project at `root` holds with the fault planted.

        Raises
        ------
        FaultError
            If the old code does not occur exactly once, or the new code is the same.
        """
        path = root / self.file
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        if path.suffix == ".py":
            try:
                edited, count = replaced(text, self.within, self.old, self.new)
            except (SyntaxError, tokenize.TokenError) as error:
                raise FaultError(f"the edit does not apply: no Python: {error}") from error
        else:
            edited, count = text.replace(self.old, self.new), text.count(self.old)
        if count != 1 or edited == text:
            where = f"{self.within} of {self.file}" if self.within else self.file
            raise FaultError(f"the edit does not apply: its old code occurs {count} times in {where}")
        return edited


def read(catalogue: Path) -> list[Fault]:
    """Return the faults of a catalogue, a TOML file with a table for each, named by its id."""
    return _faults(catalogue.read_text(encoding="utf-8"))


def _faults(text: str) -> list[Fault]:
    entries = tomllib.loads(text)
    return [
        Fault(id=name, within=entry.pop("in", ""), **entry | {"tests": tuple(entry["tests"])})
        for name, entry in entries.items()
    ]


def concerned(root: Path, catalogue: Path, faults: Iterable[Fault], reference: str) -> list[Fault] | None:
    """Return those that a change since the commit `reference` concerns, or None without that commit.

    It concerns a fault whose own entry, file or tests have changed, or what its tests share with others. Golden files
    do not count: tests compare with whatever they hold.

    Parameters
    ----------
    root : Path
        The project, in whose folder `catalogue` is.
    """
    try:
        changed = {Path(name) for name in git(root, "diff", "--name-only", "--no-renames", reference).splitlines()}
        before = _faults(git(root, "show", f"{reference}:{catalogue.as_posix()}"))
    except subprocess.CalledProcessError:
        return None
    helpers = [path for path in changed if path.parts[0] == "tests" and path.suffix == ".py"]
    # Of the programs and modules that tests use, nobody knows which do.
    shared = [path.parent for path in helpers if path.name == "conftest.py"]
    shared += [Path("tests") for path in helpers if path.parent in {Path("tests", "faults"), Path("tests", "support")}]

    def concerns(fault: Fault) -> bool:
        files = {Path(test.partition("::")[0]) for test in fault.tests}
        return (
            fault not in before
            or bool({Path(fault.file), *files} & changed)
            or any(file.is_relative_to(folder) for file in files for folder in shared)
        )

    return [fault for fault in faults if concerns(fault)]


def git(root: Path, *arguments: str) -> str:
    """Return what git prints in a checkout, whoever owns that: CI may run as root in a container.

    Raises
    ------
    subprocess.CalledProcessError
        If git ends with an error.
    """
    command = ["git", "-c", "safe.directory=*", *arguments]
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
