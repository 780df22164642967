"""Run mutmut, and see that the tests kill its mutants: all but those that a list names, with the reason for each.

A run that was broken off goes on where it was, as long as neither code nor tests change.
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
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatch
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import click

#: Where the score goes; `docs/publish.py` copies it for the pages.
RESULT = Path("benchmarks", "results", "mutants.json")

#: The mutants that no test kills, and why not.
SURVIVORS = Path("tests", "faults", "survivors.toml")

#: Where mutmut works, and what its results there are of.
MUTANTS, DIGEST = Path("mutants"), Path("mutants", "digest")

#: The smallest share of the mutants of a module that the tests must kill.
TARGET = 0.9

#: Of each function the first of every ten mutants: those whose number ends so.
SAMPLE = "*1"

#: How often mutmut is started at most, if it dies of a signal.
STARTS = 3

#: How a mutant may end that is no survivor.
KILLED = {"killed", "timeout"}


class Mutant(NamedTuple):
    """A mutant by what it changes: its number may be another one when the function changes elsewhere."""

    function: str
    old: str
    new: str


def mutmut(*arguments: str) -> str:
    """Run mutmut, and return what it prints."""
    # In CI Hypothesis draws the same examples for each mutant.
    environment = os.environ | {"CI": "true"}
    return subprocess.run(["mutmut", *arguments], check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout


def run_mutants(names: Iterable[str]) -> None:
    """Run the mutants that have no result yet; resume if Python crashes, as 3.11 may while mutmut traces all calls."""
    for start in range(STARTS):
        done = subprocess.run(["mutmut", "run", *names], check=False, env=os.environ | {"CI": "true"})
        if done.returncode >= 0:
            break
        click.echo(f"mutmut died of signal {-done.returncode}, at its start {start + 1} of {STARTS}", err=True)
    done.check_returncode()


def results(patterns: Iterable[str]) -> dict[str, str]:
    """Return how each mutant ended ("killed", "survived", ...), of those whose name is like one of the patterns."""
    lines = (line.strip().rpartition(": ") for line in mutmut("results", "--all", "true").splitlines())
    return {name: status for name, _, status in lines if any(fnmatch(name, pattern) for pattern in patterns)}


def changed(reference: str, modules: Iterable[str]) -> list[str] | None:
    """Return the names of the mutants of each function of `modules` that has changed, or None without the reference."""
    command = ["git", "diff", "--unified=0", reference, "--", *modules]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return None
    lines: dict[str, set[int]] = {}
    for line in done.stdout.splitlines():
        if line.startswith("+++ b/"):
            found = lines.setdefault(line.removeprefix("+++ b/"), set())
        elif place := re.match(r"@@ -\S+ \+(\d+)(?:,(\d+))? @@", line):
            first, count = int(place[1]), int(place[2] or 1)
            found |= set(range(first, first + max(count, 1)))
    return [name for path, numbers in lines.items() for name in _functions(Path(path), numbers)]


def _functions(path: Path, lines: set[int]) -> Iterator[str]:
    module = path.with_suffix("").as_posix().removesuffix("/__init__").replace("/", ".")
    for node in ast.parse(path.read_text(encoding="utf-8")).body if path.exists() else ():
        functions = node.body if isinstance(node, ast.ClassDef) else [node]
        before = f"xǁ{node.name}ǁ" if isinstance(node, ast.ClassDef) else "x_"
        for one in functions:
            if isinstance(one, ast.FunctionDef) and lines & set(range(one.lineno, (one.end_lineno or 0) + 1)):
                yield f"{module}.{before}{one.name}__mutmut_*"


def shown(name: str) -> Mutant:
    """Return a mutant by what it changes."""
    lines = mutmut("show", name).splitlines()
    old, new = (
        "\n".join(line[1:].strip() for line in lines if re.match(rf"\{sign}(?!{re.escape(sign * 2)})", line))
        for sign in "-+"
    )
    return Mutant(function_of(name), old, new)


def function_of(name: str) -> str:
    """Return the function of a mutant, which mutmut names in a way of its own."""
    module, _, function = name.partition("__mutmut_")[0].rpartition(".")
    return f"{module}.{function.removeprefix('x_').removeprefix('xǁ').replace('ǁ', '.')}"


def fresh() -> None:
    """Remove the results of other code or tests."""
    paths = sorted(path for folder in ("fmnist", "tests") for path in Path(folder).rglob("*.py"))
    digest = sha256(b"\0".join(path.read_bytes() for path in [*paths, Path("pyproject.toml")])).hexdigest()
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


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--since", metavar="COMMIT", help="Only the functions that have changed since then.")
def main(since: str | None) -> None:
    """Run the mutants, and print the score of each module.

    Exit codes: 0 at least 90 % of each module's mutants were killed, and the survivors are those listed; 1 not so.
    Where the commit is not there, as in a shallow clone, a tenth of all mutants is run, of which 90 % must be killed.
    """
    modules = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["tool"]["mutmut"]["only_mutate"]
    names = changed(since, modules) if since else None
    sampled = bool(since) and names is None
    if sampled:
        click.echo(f"NOT WHAT HAS CHANGED: there is no commit {since} here; a tenth of all mutants instead", err=True)
        names = [SAMPLE]
    if names == []:
        click.echo(f"no function that is mutated has changed since {since}")
        return
    fresh()
    run_mutants(names or ())
    statuses = results(names or ["*"])
    scores: dict[str, Counter[str]] = {}
    for name, status in statuses.items():
        scores.setdefault(re.split(r"\.x[_ǁ]", name)[0], Counter())[status] += 1
    if not names:
        RESULT.parent.mkdir(parents=True, exist_ok=True)
        summary = {
            module: {"mutants": row.total(), "killed": sum(row[status] for status in KILLED)}
            for module, row in scores.items()
        }
        RESULT.write_text(json.dumps(summary, indent=2) + "\n")
    high = print_table(scores)
    if sampled:
        killed = sum(status in KILLED for status in statuses.values())
        sys.exit(killed < TARGET * len(statuses))
    found = {shown(name): status for name, status in statuses.items() if status not in KILLED}
    # Of a few functions the survivors decide alone.
    if not (compare(found, {function_of(name) for name in statuses}) and (high or names)):
        sys.exit(1)


if __name__ == "__main__":
    main()
