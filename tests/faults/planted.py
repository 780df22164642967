"""Mutants that are planted as faults are: those that mutmut does not make, or cannot run.

mutmut leaves out functions with a decorator. It runs all mutants in forks of one process, in which TensorFlow does not
work, and keeps those of a module in its file, of which a step can carry so much only. Here mutmut's operators make the
mutants, and each is a file in a copy of the project, with the tests of its module.
"""

import asyncio
import json
import os
import time
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import unified_diff
from pathlib import Path
from typing import NamedTuple

import click
import libcst as cst
from faults import plant
from faults.edits import Fault, FaultError
from libcst.metadata import MetadataWrapper
from mutmut.mutation import file_mutation as mutmut
from mutmut.mutation.mutators import mutation_operators
from mutmut.mutation.pragma_handling import get_ignored_lines

__all__ = ["Mutant", "Mutation", "mutations", "read", "run"]

#: The tests of each module: those that are quick and see most come first.
TESTS = Path("tests", "faults", "planted.toml")

#: The decorators of functions that mutmut mutates.
MUTMUTS_OWN = {"classmethod", "staticmethod"}

#: How many times longer than without a mutant the tests may take, and the seconds that they may take in any case.
SLOWER, SECONDS = 5, 60.0


class Mutant(NamedTuple):
    """A mutant by what it changes: its number may be another one when the function changes elsewhere."""

    function: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutation(Fault):
    """A fault that is a mutant, numbered in its file, with the whole code of the file."""

    code: str = ""

    def edited(self, root: Path) -> str:
        """Return the code."""
        return self.code

    @property
    def mutant(self) -> Mutant:
        """What it changes."""
        return Mutant(f"{module(self.file)}.{self.within}", self.old, self.new)


def module(file: str) -> str:
    """Return the name of the module in a file, a path from the root of the project."""
    return Path(file).with_suffix("").as_posix().removesuffix("/__init__").replace("/", ".")


class _Visitor(mutmut.MutationVisitor):
    """Mutates functions with decorators too, but not the decorators: what they do is done at import."""

    def _skip_node_and_children(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.FunctionDef):
            node = node.with_changes(decorators=())
        return bool(super()._skip_node_and_children(node))


def mutations(root: Path, file: str, tests: Iterable[str], *, decorated_only: bool) -> Iterator[Mutation]:
    """Yield the mutants of a file of the project at `root`, or only those that mutmut leaves out."""
    code = (root / file).read_text(encoding="utf-8")
    tree, found = _mutated(file, code)
    for number, (name, function, mutation) in enumerate(found):
        if not (decorated_only and _is_mutmuts(function)):
            mutated = cst.ensure_type(tree.deep_replace(mutation.original_node, mutation.mutated_node), cst.Module).code
            old, new = _difference(code, mutated)
            yield Mutation(f"{module(file)}:{number}", "", file, old, new, tuple(tests), name, mutated)


def mutated_by_mutmut(root: Path, file: str) -> set[str]:
    """Return the names of the functions of a file of which mutmut has mutants."""
    _, found = _mutated(file, (root / file).read_text(encoding="utf-8"))
    return {name for name, function, _ in found if _is_mutmuts(function)}


def _mutated(file: str, code: str) -> tuple[cst.Module, list[tuple[str, cst.FunctionDef, mutmut.Mutation]]]:
    """Return the tree of a module, and each of its mutations with the function that it is in."""
    wrapper = MetadataWrapper(cst.parse_module(code))
    visitor = _Visitor(mutation_operators, get_ignored_lines(file, code, wrapper))
    tree = wrapper.visit(visitor)
    names = dict(_functions(tree))
    among = ((one.contained_by_top_level_function, one) for one in visitor.mutations)
    return tree, [(names[function], function, mutation) for function, mutation in among if function in names]


def _functions(tree: cst.Module) -> Iterator[tuple[cst.FunctionDef, str]]:
    """Yield the functions of a module and the methods of its classes, with their names."""
    for node in tree.body:
        if isinstance(node, cst.FunctionDef):
            yield node, node.name.value
        elif isinstance(node, cst.ClassDef):
            methods = [one for one in node.body.body if isinstance(one, cst.FunctionDef)]
            yield from ((method, f"{node.name.value}.{method.name.value}") for method in methods)


def _is_mutmuts(function: cst.FunctionDef) -> bool:
    names = [getattr(one.decorator, "value", "") for one in function.decorators]
    return not names or (len(names) == 1 and names[0] in MUTMUTS_OWN)


def _difference(old: str, new: str) -> tuple[str, str]:
    _, _, *lines = unified_diff(old.splitlines(), new.splitlines(), n=0)
    taken, put = ("\n".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in "-+")
    return taken, put


def read(root: Path = Path()) -> dict[str, list[str]]:
    """Return the tests of each file whose mutants are planted, in the project at `root`."""
    path = root / TESTS
    return tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def run(root: Path, chosen: Collection[Mutation], results: Path, jobs: int) -> dict[Mutation, str]:
    """Plant each mutant of the project at `root` that has no result yet, and return how each ended.

    Parameters
    ----------
    results : Path
        A file with a line of JSON for each result there is, to which a run adds its own.
    jobs : int
        How many are planted at once.

    Returns
    -------
    dict of Mutation to str
        "survived", or "killed": the tests ended otherwise than without the mutant, or not in time.

    Raises
    ------
    FaultError
        If the tests fail without any mutant.
    """
    known = dict(map(json.loads, results.read_text().splitlines())) if results.exists() else {}
    todo = [mutation for mutation in chosen if mutation.id not in known]
    if todo:
        known |= asyncio.run(_run(root, todo, results, jobs))
    return {mutation: known[mutation.id] for mutation in chosen}


async def _run(root: Path, todo: Collection[Mutation], results: Path, jobs: int) -> Mapping[str, str]:
    slots, found = asyncio.Semaphore(jobs), dict[str, str]()
    # What has seen one mutant of a function is likely to see the next.
    first: dict[tuple[str, str], set[str]] = {(mutation.file, mutation.within): set() for mutation in todo}

    async def run_one(mutation: Mutation) -> None:
        async with slots:
            those = first[mutation.file, mutation.within]
            ordered = replace(mutation, tests=(*sorted(those), *mutation.tests))
            outcome = await plant.plant(python, project, ordered, limits[mutation.tests])
        if outcome.caught_by:
            those.add(outcome.caught_by.partition("[")[0])
        # Whatever makes the tests end otherwise is a mutant that was seen.
        found[mutation.id] = "killed" if outcome.caught_by or outcome.problem else "survived"
        with results.open("a") as file:
            file.write(json.dumps([mutation.id, found[mutation.id]]) + "\n")
        click.echo(f"{len(found)}/{len(todo)} {mutation.id}: {found[mutation.id]}  ({outcome.seconds:.1f} s)", err=True)

    with plant.warm_python() as python, plant.original(root) as project:
        limits = {tests: await _limit(python, project, tests) for tests in {mutation.tests for mutation in todo}}
        await asyncio.gather(*map(run_one, todo))
    return found


async def _limit(python: str, project: Path, tests: Iterable[str]) -> float:
    """Return the seconds that tests may take, which must pass without any mutant."""
    started = time.monotonic()
    with plant.copied(project, os.link) as copy:
        failed = await plant.first_failure(python, copy, tests)
    if failed:
        raise FaultError(f"without any mutant, a test fails: {failed[0]}\n{failed[1][-2_000:].strip()}")
    return max(SECONDS, SLOWER * (time.monotonic() - started))
