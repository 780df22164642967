"""Run all mutants, and see that the tests kill them: all but those that a list names, with the reason for each.

mutmut runs what it can run, and the others are planted. A run that was broken off goes on where it was, as long as
neither code nor tests change.
"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from fnmatch import fnmatch
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import click

sys.path.insert(0, str(Path(__file__).parents[1]))  # as a program it has only its own folder

from faults import edits, planted
from faults.edits import FaultError
from faults.planted import Mutant

#: Where the score goes; `docs/publish.py` copies it for the pages.
RESULT = Path("benchmarks", "results", "mutants.json")

#: The mutants that no test kills, and why not.
SURVIVORS = Path("tests", "faults", "survivors.toml")

#: Where mutmut works, the results of what is planted, and what code and tests both are of.
MUTANTS, PLANTED, DIGEST = Path("mutants"), Path("mutants", "planted"), Path("mutants", "digest")

#: The smallest share of the mutants of a module that the tests must kill.
TARGET = 0.9

#: A tenth of the mutants: those whose number ends so.
SAMPLE = "*1"

#: How a mutant may end that is no survivor.
KILLED = {"killed", "timeout"}


def mutmut(*arguments: str) -> str:
    """Run mutmut, and return what it prints."""
    # In CI Hypothesis draws the same examples for each mutant.
    environment = os.environ | {"CI": "true"}
    return subprocess.run(["mutmut", *arguments], check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout


def run_mutants(names: Iterable[str]) -> None:
    """Run the mutants that have no result yet."""
    subprocess.run(["mutmut", "run", *names], check=True, env=os.environ | {"CI": "true"})


def results(patterns: Iterable[str]) -> dict[str, str]:
    """Return how each mutant ended ("killed", "survived", ...), of those whose name is like one of the patterns."""
    lines = (line.strip().rpartition(": ") for line in mutmut("results", "--all", "true").splitlines())
    return {name: status for name, _, status in lines if any(fnmatch(name, pattern) for pattern in patterns)}


def changed(reference: str, files: Iterable[str]) -> list[tuple[str, str]] | None:
    """Return file and name of each function of `files` that has changed, or None without the reference."""
    try:
        told = edits.git(Path(), "diff", "--unified=0", reference, "--", *files)
    except subprocess.CalledProcessError:
        return None
    lines: dict[str, set[int]] = {}
    for line in told.splitlines():
        if line.startswith("+++ b/"):
            found = lines.setdefault(line.removeprefix("+++ b/"), set())
        elif place := re.match(r"@@ -\S+ \+(\d+)(?:,(\d+))? @@", line):
            first, count = int(place[1]), int(place[2] or 1)
            found |= set(range(first, first + max(count, 1)))
    return [(file, name) for file, numbers in lines.items() for name in _functions(Path(file), numbers)]


def _functions(path: Path, lines: set[int]) -> Iterator[str]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body if path.exists() else ():
        functions = node.body if isinstance(node, ast.ClassDef) else [node]
        before = f"{node.name}." if isinstance(node, ast.ClassDef) else ""
        for one in functions:
            if isinstance(one, ast.FunctionDef) and lines & set(range(one.lineno, (one.end_lineno or 0) + 1)):
                yield f"{before}{one.name}"


def mutmuts_name(file: str, function: str) -> str:
    """Return what the names of a function's mutants are like, which mutmut names in a way of its own."""
    class_name, _, name = function.rpartition(".")
    return f"{planted.module(file)}.x{f'ǁ{class_name}ǁ' if class_name else '_'}{name}__mutmut_*"


def shown(name: str) -> Mutant:
    """Return a mutant by what it changes."""
    lines = mutmut("show", name).splitlines()
    old, new = (
        "\n".join(line[1:].strip() for line in lines if re.match(rf"\{sign}(?!{re.escape(sign * 2)})", line))
        for sign in "-+"
    )
    return Mutant(function_of(name), old, new)


def function_of(name: str) -> str:
    """Return the function of one of mutmut's mutants."""
    module, _, function = name.partition("__mutmut_")[0].rpartition(".")
    return f"{module}.{function.removeprefix('x_').removeprefix('xǁ').replace('ǁ', '.')}"


def fresh() -> None:
    """Remove the results of other code or tests, or of other tests of a module."""
    paths = [
        Path("pyproject.toml"),
        planted.TESTS,
        *(one for top in ("fmnist", "tests") for one in Path(top).rglob("*.py")),
    ]
    content = b"\0".join(path.read_bytes() for path in sorted(paths) if path.exists())
    digest = sha256(content).hexdigest()
    if not DIGEST.exists() or DIGEST.read_text() != digest:
        shutil.rmtree(MUTANTS, ignore_errors=True)
        MUTANTS.mkdir()
        DIGEST.write_text(digest)


def print_table(scores: Mapping[str, Counter[str]]) -> bool:
    """Print a line for each module and one for all; return whether the score of each is high enough."""
    click.echo(f"{'module':<34}{'mutants':>9}{'killed':>9}{'other':>9}{'score':>9}")
    good = True
    for module, row in (dict(scores) | {"all": sum(scores.values(), Counter[str]())}).items():
        killed, mutants = sum(row[status] for status in KILLED), row.total()
        good &= killed >= TARGET * mutants
        click.echo(f"{module:<34}{mutants:>9}{killed:>9}{mutants - killed:>9}{killed / max(mutants, 1):>9.1%}")
    return good


def compare(found: Mapping[Mutant, str], functions: set[str]) -> bool:
    """Return whether each survivor is listed, with a reason; print those that are not, and those listed in vain."""
    listed = {Mutant(one["function"], one["old"], one["new"]): one["reason"] for one in _listed()}
    new = {mutant: status for mutant, status in found.items() if mutant not in listed}
    for mutant, status in new.items():
        click.echo(f"\n# {status}: kill it, or list it in {SURVIVORS}\n[[survivor]]")
        for name, value in (mutant._asdict() | {"reason": ""}).items():
            click.echo(f"{name} = {json.dumps(value, ensure_ascii=False)}")
    gone = [mutant for mutant in listed if mutant.function in functions and mutant not in found]
    unexplained = [mutant for mutant, reason in listed.items() if not reason]
    for what, mutants in (("no survivor any more, take it off", gone), ("without a reason in", unexplained)):
        for mutant in mutants:
            click.echo(f"\n{what} {SURVIVORS}: {mutant}")
    # One that is killed after all is good news.
    return not (new or unexplained)


def _listed() -> list[dict[str, str]]:
    return list(tomllib.loads(SURVIVORS.read_text(encoding="utf-8")).get("survivor", []))


class Ended(NamedTuple):
    """How mutants ended.

    Attributes
    ----------
    scores : dict of str to Counter
        How many of each module ended how.
    functions : set of str
        The functions that they are in.
    survivors : dict of Mutant to str
        Those that no test killed, and how they ended instead.
    """

    scores: dict[str, Counter[str]]
    functions: set[str]
    survivors: dict[Mutant, str]


def by_mutmut(names: Collection[str] | None) -> Ended:
    """Run the mutants of mutmut, or those whose names are like these."""
    run_mutants(names or ())
    statuses = results(names or ["*"])
    survivors = {shown(name): status for name, status in statuses.items() if status not in KILLED}
    scores = scored((re.split(r"\.x[_ǁ]", name)[0], status) for name, status in statuses.items())
    return Ended(scores, set(map(function_of, statuses)), survivors)


def by_planting(mutations: Collection[planted.Mutation]) -> Ended:
    """Plant mutants."""
    statuses = planted.run(Path(), mutations, PLANTED, len(os.sched_getaffinity(0)))
    survivors = {mutation.mutant: status for mutation, status in statuses.items() if status not in KILLED}
    scores = scored((planted.module(mutation.file), status) for mutation, status in statuses.items())
    return Ended(scores, {mutation.mutant.function for mutation in mutations}, survivors)


def scored(ends: Iterable[tuple[str, str]]) -> dict[str, Counter[str]]:
    """Count how many mutants of each module ended how."""
    scores: dict[str, Counter[str]] = {}
    for module, status in ends:
        scores.setdefault(module, Counter())[status] += 1
    return scores


def both(first: Ended, second: Ended) -> Ended:
    """Return how the mutants of both ended."""
    scores = {
        module: first.scores.get(module, Counter()) + second.scores.get(module, Counter())
        for module in sorted({*first.scores, *second.scores})
    }
    return Ended(scores, first.functions | second.functions, first.survivors | second.survivors)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--since", metavar="COMMIT", help="Only the functions that have changed since then.")
def main(since: str | None) -> None:
    """Run the mutants, and print the score of each module.

    Exit codes: 0 at least 90 % of each module's mutants were killed, and the survivors are those listed; 1 not so.
    Where the commit is not there, as in a shallow clone, a tenth of all mutants is run, of which 90 % must be killed.
    """
    root, tests = Path(), planted.read()
    mutmuts = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["tool"]["mutmut"]["only_mutate"]
    functions = changed(since, {*mutmuts, *tests}) if since else None
    files = tests if functions is None else {file: tests[file] for file, _ in functions if file in tests}
    mutations = [
        mutation
        for file, those in files.items()
        for mutation in planted.mutations(root, file, those, decorated_only=file in mutmuts)
    ]
    names = None
    sampled = bool(since) and functions is None
    if sampled:
        click.echo(f"NOT WHAT HAS CHANGED: there is no commit {since} here; a tenth of all mutants instead", err=True)
        names, mutations = [SAMPLE], [mutation for mutation in mutations if fnmatch(mutation.id, SAMPLE)]
    elif functions is not None:
        known = {file: planted.mutated_by_mutmut(root, file) for file, _ in functions if file in mutmuts}
        names = [mutmuts_name(file, name) for file, name in functions if name in known.get(file, ())]
        mutations = [mutation for mutation in mutations if (mutation.file, mutation.within) in functions]
        if not (names or mutations):
            click.echo(f"no function that is mutated has changed since {since}")
            return
    fresh()
    nothing = Ended({}, set(), {})
    try:
        ended = both(nothing if names == [] else by_mutmut(names), by_planting(mutations))
    except FaultError as error:
        raise click.ClickException(str(error)) from error
    if not since:
        RESULT.parent.mkdir(parents=True, exist_ok=True)
        summary = {
            module: {"mutants": row.total(), "killed": sum(row[status] for status in KILLED)}
            for module, row in ended.scores.items()
        }
        RESULT.write_text(json.dumps(summary, indent=2) + "\n")
    high = print_table(ended.scores)
    if sampled:
        everything = sum(ended.scores.values(), Counter[str]())
        sys.exit(sum(everything[status] for status in KILLED) < TARGET * everything.total())
    # Of a few functions the survivors decide alone.
    if not (compare(ended.survivors, ended.functions) and (high or since)):
        sys.exit(1)


if __name__ == "__main__":
    main()
