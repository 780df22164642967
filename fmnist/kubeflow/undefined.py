"""Names that the program of a step uses and nothing in it defines: there they end in a NameError, after all waiting."""

import ast
import builtins
import importlib
import symtable
from collections.abc import Iterator, Mapping
from typing import Any

from fmnist.kubeflow.compiled import tasks

__all__ = ["sentence", "sentences", "undefined"]

#: What kfp lets each program import whole.
_WHOLE = ("kfp.dsl", "typing")

#: What each module or class has besides Python's own names.
_GIVEN = {"__annotations__", "__builtins__", "__cached__", "__file__", "__module__", "__qualname__"}

#: With one of these a program may define names, or do without one, in a way that cannot be seen here.
_UNSEEN = {"NameError", "exec", "globals", "vars"}

#: What a name that is missing is guarded against.
_GUARDS = {"NameError", "Exception", "BaseException"}


def undefined(program: str) -> list[str]:
    """Return the names that a Python program uses and does not define, sorted; none where that cannot be seen.

    A function that kfp turns into a step leaves its file behind, with all constants, functions and imports there.
    """
    try:
        tree = ast.parse(program)
        for node in _in_functions(tree):
            if isinstance(node, ast.AnnAssign):
                node.annotation = ast.Constant(None)
        guarded = _guarded(tree)
        _clear_harmless(tree)
        table = symtable.symtable(ast.unparse(tree), "step", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # a Python of another release, or too deep
        return []
    whole = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.names[0].name == "*"}
    used, defined = set[str](), {*vars(builtins), *_GIVEN}
    for part in _parts(table):
        for symbol in part.get_symbols():
            if symbol.is_global() or part is table:
                made = symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()
                (defined if made else used).add(symbol.get_name())
    if not whole <= {*_WHOLE} or used & _UNSEEN:
        return []
    for name in whole:
        defined |= set(importlib.import_module(str(name)).__all__)
    return sorted(used - defined - guarded)


def _in_functions(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield all that is in a function, but not in a class there: only a class and a module evaluate annotations."""
    nodes: list[tuple[ast.AST, bool]] = [(tree, False)]
    for node, inside in nodes:
        if inside:
            yield node
        opens = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        within = not isinstance(node, ast.ClassDef) if opens else inside
        nodes += [(one, within) for one in ast.iter_child_nodes(node)]


def _guarded(tree: ast.Module) -> set[str]:
    """Return the names in each `try` that goes on where one of them is missing: the author has thought of it."""
    found = set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Try | ast.TryStar):
            handlers = (one for one in node.handlers if one.type is None or _caught(one.type) & _GUARDS)
            first = next(handlers, None)  # Python asks no other
            if first and not isinstance(first.body[-1], ast.Raise):
                found |= {one.id for part in node.body for one in ast.walk(part) if isinstance(one, ast.Name)}
    return found


def _caught(kind: ast.expr) -> set[str]:
    """Return the names of the exceptions that a handler catches."""
    kinds = kind.elts if isinstance(kind, ast.Tuple) else [kind]
    return {ast.unparse(one).rpartition(".")[2] for one in kinds}


def _clear_harmless(tree: ast.Module) -> None:
    """Rename what is in `_UNSEEN` and hides no name: the NameError of a handler, and `vars` of an object."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and node.type:
            seen = [one for one in ast.walk(node.type) if isinstance(one, ast.Name) and one.id == "NameError"]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "vars":
            seen = [node.func] if node.args or node.keywords else []
        else:
            continue
        for one in seen:
            one.id = "Exception"


def _parts(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    """Yield the table of a module, function or class, and those of all in it."""
    yield table
    for one in table.get_children():
        yield from _parts(one)


def sentences(spec: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each task of a compiled pipeline that uses names which its program does not define."""
    found = {task.path: undefined(task.program) for task in tasks(spec)}
    return [sentence(task, names) for task, names in found.items() if names]


def sentence(step: str, names: list[str]) -> str:
    """Return what is wrong with the names of a step, and what to do."""
    return (
        f"step {step}: expected names that its function defines or imports, got {', '.join(names)}. A step leaves the "
        "file around its function behind: define or import them in it, or give them as parameters."
    )
