"""Plant faults in copies of the code, one at a time, and see that the tests catch each.

That tests pass says little as long as nobody has seen them fail. The catalogue holds small edits, each a fault that
really happens, with the tests that own the behaviour: at least one of them must fail. An edit that does not apply,
and tests that cannot be run, count as errors, so that the catalogue follows the code.
"""

import ast
import asyncio
import contextlib
import io
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import tokenize
import tomllib
from collections.abc import AsyncIterator, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from fmnist.steps.determinism import SWITCHES

__all__ = ["Fault", "FaultError", "Outcome", "main", "plant", "read"]

CATALOGUE = Path(__file__).with_name("catalogue.toml")
ROOT = Path(__file__).parents[2]

#: What the tests need of a project; the edits are made in it too.
PARTS = (
    ".ci",
    ".dockerignore",
    ".github",
    ".gitignore",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Dockerfile",
    "LICENSE",
    "README.md",
    "benchmarks",
    "docs",
    "examples",
    "fmnist",
    "pyproject.toml",
    "requirements.lock",
    "same.yaml",
    "tests",
    "tox.ini",
)

#: The program that runs tests, and what it has imported before: third parties' modules that take long.
WARM = Path(__file__).with_name("warm.py")
MODULES = (
    "tensorflow",
    "keras",
    "kfp.local",
    "matplotlib.figure",
    "sklearn.metrics",
    "scipy.stats",
    "pydantic",
    "hypothesis",
)

#: The processes of that program that have nothing to do.
Pool = asyncio.Queue[asyncio.subprocess.Process]

#: Seconds after which tests are ended.
TIMEOUT = 600.0


class FaultError(Exception):
    """It cannot be said whether the tests catch a fault."""


#: What tokenizing gives that is no code.
_LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}

#: The place of a token: line, from 1, and column, from 0.
Place = tuple[int, int]


def tokens(code: str) -> list[tuple[str, Place, Place]]:
    """Return the tokens of `code` with their places, without layout: comments, line breaks, quotes, last commas."""
    found = [
        (repr(ast.literal_eval(token.string)) if _is_plain(token) else token.string, token.start, token.end)
        for token in tokenize.generate_tokens(io.StringIO(code).readline)
        if token.type not in _LAYOUT
    ]
    after = [*(string for string, _, _ in found[1:]), ""]
    return [one for one, then in zip(found, after, strict=True) if one[0] != "," or then not in {")", "]", "}"}]


def _is_plain(token: tokenize.TokenInfo) -> bool:
    return token.type == tokenize.STRING and "f" not in token.string.partition(token.string[-1])[0].lower()


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
    known = list(definitions(ast.parse(code)))
    parts = [(first, last) for name, first, last in known if name == within or not within]

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


@dataclass(frozen=True)
class Outcome:
    """What became of a planted fault: the test that caught it, or a problem, or neither, which is a fault missed."""

    fault: Fault
    seconds: float
    caught_by: str | None = None
    problem: str | None = None

    def __str__(self) -> str:
        return self.caught_by or (f"ERROR: {self.problem}" if self.problem else "MISSED")


def read(catalogue: Path) -> list[Fault]:
    """Return the faults of a catalogue, a TOML file with a table for each, named by its id."""
    entries = tomllib.loads(catalogue.read_text(encoding="utf-8"))
    return [
        Fault(id=name, within=entry.pop("in", ""), **entry | {"tests": tuple(entry["tests"])})
        for name, entry in entries.items()
    ]


@contextlib.contextmanager
def copied(root: Path) -> Iterator[Path]:
    """Copy the project at `root` to a folder that is there for a while."""
    with tempfile.TemporaryDirectory(prefix="fault-", ignore_cleanup_errors=True) as name:
        copy = Path(name, "project")
        copy.mkdir()
        for path in (root / part for part in PARTS):
            if path.is_dir():
                shutil.copytree(path, copy / path.name)  # with the bytecode, which spares its compilation
            elif path.exists():
                shutil.copy(path, copy)
        yield copy


def environment(**more: str) -> dict[str, str]:
    """Return the environment of the tests: what is ours in it is of this program's choice."""
    # In CI pytest shows whole differences, which takes minutes for pictures; a skipped test is a fault missed anyway.
    ours = {"BUILD_NUMBER", "CI", "FMNIST_STRICT", "PYTHONPATH"}
    kept = {name: value for name, value in os.environ.items() if name not in ours and not name.startswith("PYTEST_")}
    return {**kept, **SWITCHES, "KERAS_HOME": f"{os.devnull}/keras", "TF_CPP_MIN_LOG_LEVEL": "2", **more}


@contextlib.asynccontextmanager
async def warm(jobs: int) -> AsyncIterator[Pool]:
    """Start processes that have imported `MODULES` and fork for each run of tests."""
    free = Pool()
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            str(WARM),
            *MODULES,
            env=environment(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        for _ in range(jobs)
    ]
    try:
        for process in processes:
            free.put_nowait(process)
        yield free
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def pytest(free: Pool, copy: Path, *arguments: str) -> tuple[int, str, str]:
    """Run pytest in `copy`, and end all that it started; return exit code, failed test, and what was printed."""
    process = await free.get()
    assert process.stdin is not None
    assert process.stdout is not None
    log, failed = copy.with_name("log"), copy.with_name("failed")
    paths = {"folder": str(copy), "log": str(log), "failed": str(failed)}
    request = {**paths, "environment": environment(PYTHONPATH=str(copy)), "arguments": arguments}
    process.stdin.write(json.dumps(request).encode() + b"\n")
    fork = int(await process.stdout.readline())
    ended = asyncio.ensure_future(process.stdout.readline())
    try:
        async with asyncio.timeout(TIMEOUT):
            await asyncio.shield(ended)
    except TimeoutError as error:
        raise FaultError(f"the tests took longer than {TIMEOUT:.0f} s") from error
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(fork, signal.SIGKILL)
        code = int(await ended)
        free.put_nowait(process)
    return code, failed.read_text() if failed.exists() else "", log.read_text(errors="replace")


async def first_failure(free: Pool, copy: Path, tests: Iterable[str]) -> str | None:
    """Run `tests` on `copy` up to the first that fails, and return it, or None if all pass.

    Raises
    ------
    FaultError
        If a test does not exist or cannot be collected, if it is not the copy that would be tested, or if pytest ends
        in another way than it should.
    """
    options = (
        "-q",
        "--exitfirst",
        "--color=no",
        *("-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:xdist"),
        "--hypothesis-seed=0",
        f"--basetemp={copy.with_name('temporary')}",  # otherwise one pytest clears away what another looks at
    )
    code, failed, output = await pytest(free, copy, *options, *tests)
    if code == 0:
        return None
    if code != 1 or not failed:
        raise FaultError(f"pytest ended with exit code {code}:\n{output[-2_000:].strip()}")
    return failed


async def check_baseline(free: Pool, root: Path, outcomes: Iterable[Outcome]) -> None:
    """Make sure that each test that caught a fault passes on an unedited copy of `root`: only then it is a catch.

    Raises
    ------
    FaultError
        If a test fails.
    """
    by_file: dict[str, set[str]] = {}
    for test in filter(None, (outcome.caught_by for outcome in outcomes)):
        by_file.setdefault(test.partition("::")[0], set()).add(test)

    async def check(tests: set[str]) -> None:
        with copied(root) as copy:
            if failed := await first_failure(free, copy, sorted(tests)):
                raise FaultError(f"without any fault, a test fails: {failed}")

    await asyncio.gather(*map(check, by_file.values()))


async def plant(free: Pool, root: Path, fault: Fault) -> Outcome:
    """Plant `fault` in a copy of the project at `root`, and run its tests."""
    caught_by, problem, started = None, None, time.monotonic()
    try:
        with copied(root) as copy:
            (copy / fault.file).write_text(fault.edited(copy), encoding="utf-8")
            caught_by = await first_failure(free, copy, fault.tests)
    except FaultError as error:
        problem = str(error)
    return Outcome(fault, time.monotonic() - started, caught_by, problem)


async def run(root: Path, faults: Collection[Fault], jobs: int) -> list[Outcome]:
    """Plant each fault, `jobs` at a time, and check the baseline; report progress on stderr."""
    slots, outcomes = asyncio.Semaphore(jobs), list[Outcome]()

    async def plant_and_report(fault: Fault) -> None:
        async with slots:
            outcome = await plant(free, root, fault)
        outcomes.append(outcome)
        click.echo(f"{len(outcomes)}/{len(faults)} {fault.id}: {outcome}  ({outcome.seconds:.1f} s)", err=True)

    async with warm(jobs) as free:
        await asyncio.gather(*map(plant_and_report, faults))
        started = time.monotonic()
        await check_baseline(free, root, outcomes)
        click.echo(f"without any fault: all these tests pass  ({time.monotonic() - started:.1f} s)", err=True)
    return sorted(outcomes, key=lambda outcome: list(faults).index(outcome.fault))


def print_table(outcomes: Collection[Outcome]) -> None:
    """Print what became of each fault, and the score."""
    table = Table("fault", "what is wrong", "caught by", "seconds", box=None, pad_edge=False)
    for outcome in outcomes:
        verdict = str(outcome).partition("\n")[0]
        table.add_row(outcome.fault.id, outcome.fault.title, verdict, f"{outcome.seconds:.1f}")
    console = Console(markup=False, highlight=False)
    (console if console.is_terminal else Console(markup=False, highlight=False, width=10_000)).print(table)
    click.echo(f"{sum(outcome.caught_by is not None for outcome in outcomes)} of {len(outcomes)} faults caught")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(1),
    default=len(os.sched_getaffinity(0)),
    help="How many faults to plant at once.  [default: one a core]",
)
@click.option("--catalogue", type=click.Path(exists=True, path_type=Path), default=CATALOGUE, help="Another catalogue.")
@click.option("--root", type=click.Path(exists=True, path_type=Path), default=ROOT, help="Another project.")
def main(ids: tuple[str, ...], jobs: int, catalogue: Path, root: Path) -> None:
    """Plant the faults of the catalogue, or only those named, and see that the tests catch each.

    Each fault gets its own copy and process; the code here is never edited. In the end all tests that caught one must
    pass on an unedited copy.

    Exit codes: 0 all faults were caught, 1 one was missed or could not be planted, 2 bad usage.
    """
    faults = read(catalogue)
    if unknown := set(ids) - {fault.id for fault in faults}:
        raise click.BadParameter(f"expected ids of {catalogue}, got {', '.join(sorted(unknown))}.", param_hint="ID")
    chosen = [fault for fault in faults if not ids or fault.id in ids]
    try:
        outcomes = asyncio.run(run(root, chosen, jobs))
    except FaultError as error:
        raise click.ClickException(str(error)) from error
    print_table(outcomes)
    if not all(outcome.caught_by for outcome in outcomes):
        sys.exit(1)


if __name__ == "__main__":
    main()
