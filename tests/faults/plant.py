"""Plant faults in copies of the code, one at a time, and see that the tests catch each.

That tests pass says little as long as nobody has seen them fail. The catalogue holds small edits, each a fault that
really happens, with the tests that own the behaviour: at least one of them must fail. An edit that does not apply,
and tests that cannot be run, count as errors, so that the catalogue follows the code.
"""

import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))  # as a program it has only its own folder

from faults.edits import Fault, FaultError, concerned, read
from support import warm

__all__ = ["Outcome", "main", "plant"]

CATALOGUE = Path(__file__).with_name("catalogue.toml")
ROOT = Path(__file__).parents[2]

#: What the tests need of a project; the edits are made in it too.
PARTS = (
    ".ci",
    ".dockerignore",
    ".github",
    ".gitattributes",
    ".gitignore",
    ".pre-commit-config.yaml",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Dockerfile",
    "LICENSE",
    "README.md",
    "SECURITY.md",
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

#: The program that runs tests, and what it finds imported: third parties' modules that take long.
RUNNER = Path(__file__).with_name("first_failure.py")
MODULES = (
    *warm.MODULES,
    "click",
    "hypothesis",
    "jinja2",
    "kfp.local",
    "libcst.matchers",
    "libcst.metadata",
    "markdown_it",
    "pebble",
    "PIL.PngImagePlugin",
    "playwright.sync_api",
    "pydantic.type_adapter",
    "pytest",
)

#: Seconds after which tests are ended.
TIMEOUT = 600.0


@dataclass(frozen=True)
class Outcome:
    """What became of a planted fault: the test that caught it, or a problem, or neither, which is a fault missed."""

    fault: Fault
    seconds: float
    caught_by: str | None = None
    problem: str | None = None

    def __str__(self) -> str:
        return self.caught_by or (f"ERROR: {self.problem}" if self.problem else "MISSED")


@contextlib.contextmanager
def copied(root: Path, copy_file: Callable[[str, str], object] = shutil.copy2) -> Iterator[Path]:
    """Copy the project at `root` to a folder that is there for a while."""
    with tempfile.TemporaryDirectory(prefix="fault-", ignore_cleanup_errors=True) as name:
        copy = Path(name, "project")
        copy.mkdir()
        for path in (root / part for part in PARTS):
            if path.is_dir():
                # With the bytecode, which spares its compilation.
                shutil.copytree(path, copy / path.name, copy_function=copy_file)
            elif path.exists():
                copy_file(str(path), str(copy / path.name))
        yield copy


@contextlib.contextmanager
def original(root: Path) -> Iterator[Path]:
    """Copy the project at `root` once: the copies for faults have links to its files, which no test may change.

    Raises
    ------
    FaultError
        If one was: it is another one in all copies.
    """

    def states(copy: Path) -> dict[Path, tuple[int, int]]:
        found = {path: path.stat() for path in copy.rglob("*") if path.is_file()}
        return {path: (state.st_mtime_ns, state.st_size) for path, state in found.items()}

    with copied(root) as copy:
        before = states(copy)
        yield copy
        if changed := [str(path.relative_to(copy)) for path, state in states(copy).items() if before[path] != state]:
            raise FaultError(f"expected tests that leave the project as it is, got others of {', '.join(changed)}")


def environment(copy: Path) -> dict[str, str]:
    """Return the environment of the tests of a copy: what is ours in it is of this program's choice."""
    # In CI pytest shows whole differences, which takes minutes for pictures; a skipped test is a fault missed anyway.
    ours = {"BUILD_NUMBER", "CI", "FMNIST_STRICT"}
    kept = {name: value for name, value in os.environ.items() if name not in ours and not name.startswith("PYTEST_")}
    return {**kept, "PYTHONPATH": str(copy)}


@contextlib.contextmanager
def warm_python() -> Iterator[str]:
    """Give the path of a Python that has imported `MODULES`."""
    with tempfile.TemporaryDirectory() as folder, warm.python(Path(folder), warm.started(), MODULES) as program:
        yield program


async def pytest(python: str, copy: Path, seconds: float, *arguments: str) -> tuple[int, str, str]:
    """Run pytest in `copy`, and end all that it started, after `seconds` at the latest.

    Returns
    -------
    tuple of int, str and str
        The exit code, the test that failed, and what was printed.
    """
    log, failed = copy.with_name("log"), copy.with_name("failed")
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *(python, str(RUNNER), str(failed), *arguments), cwd=copy, env=environment(copy), stdout=out, stderr=out
        )
        try:
            async with asyncio.timeout(seconds):
                code = await process.wait()
        except TimeoutError as error:
            raise FaultError(f"the tests took longer than {seconds:.0f} s") from error
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            # asyncio lets go of it only then.
            await process.wait()
    return code, failed.read_text() if failed.exists() else "", log.read_text(errors="replace")


async def first_failure(
    python: str, copy: Path, tests: Iterable[str], seconds: float = TIMEOUT
) -> tuple[str, str] | None:
    """Run `tests` on `copy` up to the first that fails, and return it with what was printed, or None if all pass.

    Raises
    ------
    FaultError
        If a test does not exist or cannot be collected, if it is not the copy that would be tested, or if pytest ends
        in another way than it should, or not within `seconds`.
    """
    options = (
        "-q",
        "--exitfirst",
        "--color=no",
        "--tb=native",  # pytest's own, of which nobody reads many, takes longer than the tests
        *("-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:xdist"),
        "--hypothesis-seed=0",
        f"--basetemp={copy.with_name('temporary')}",  # otherwise one pytest clears away what another looks at
    )
    code, failed, output = await pytest(python, copy, seconds, *options, *tests)
    if code == 0:
        return None
    if code != 1 or not failed:
        raise FaultError(f"pytest ended with exit code {code}:\n{output[-2_000:].strip()}")
    return failed, output


async def check_baseline(python: str, root: Path, outcomes: Iterable[Outcome], slots: asyncio.Semaphore) -> None:
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
        async with slots:
            with copied(root, os.link) as copy:
                failed = await first_failure(python, copy, sorted(tests))
        if failed:
            raise FaultError(f"without any fault, a test fails: {failed[0]}\n{failed[1][-2_000:].strip()}")

    await asyncio.gather(*map(check, by_file.values()))


async def plant(python: str, root: Path, fault: Fault, seconds: float = TIMEOUT) -> Outcome:
    """Plant `fault` in a copy of the project at `root`, which has links to its files, and run its tests."""
    caught_by, problem, started = None, None, time.monotonic()
    try:
        with copied(root, os.link) as copy:
            edited = fault.edited(copy)
            (copy / fault.file).unlink()
            (copy / fault.file).write_text(edited, encoding="utf-8")
            shutil.copymode(root / fault.file, copy / fault.file)
            caught_by, _ = await first_failure(python, copy, fault.tests, seconds) or (None, None)
    except FaultError as error:
        problem = str(error)
    return Outcome(fault, time.monotonic() - started, caught_by, problem)


async def run(root: Path, faults: Collection[Fault], jobs: int, *, after_tests: bool) -> list[Outcome]:
    """Plant each fault, `jobs` at a time, and, unless all tests have passed, check the baseline; report on stderr."""
    slots, outcomes = asyncio.Semaphore(jobs), list[Outcome]()

    async def plant_and_report(fault: Fault) -> None:
        async with slots:
            outcome = await plant(python, project, fault)
        outcomes.append(outcome)
        click.echo(f"{len(outcomes)}/{len(faults)} {fault.id}: {outcome}  ({outcome.seconds:.1f} s)", err=True)

    with warm_python() as python, original(root) as project:
        await asyncio.gather(*map(plant_and_report, faults))
        if not after_tests:
            started = time.monotonic()
            await check_baseline(python, project, outcomes, slots)
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
    missed = [outcome.fault.id for outcome in outcomes if outcome.caught_by is None]
    click.echo(f"{len(outcomes) - len(missed)} of {len(outcomes)} faults caught")
    if missed:  # again, as only the end of a long log is read
        click.echo(f"not caught: {', '.join(missed)}")


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
@click.option("--after-tests", is_flag=True, help="All tests have just passed here: run none without a fault.")
@click.option("--since", metavar="COMMIT", help="Only the faults that a change since then concerns.")
@click.option("--root", type=click.Path(exists=True, path_type=Path), default=ROOT, help="Another project.")
def main(  # noqa: PLR0913 - the options of the command
    ids: tuple[str, ...], jobs: int, catalogue: Path, since: str | None, root: Path, *, after_tests: bool
) -> None:
    """Plant the faults of the catalogue, or only those named, and see that the tests catch each.

    Each fault gets its own copy and process; the code here is never edited. In the end all tests that caught one must
    pass on an unedited copy, unless --after-tests says that they have. With --since, only those are planted whose
    entry, file or tests have changed, or what their tests share.

    Exit codes: 0 all faults were caught, 1 one was missed or could not be planted, 2 bad usage.
    """
    faults = read(catalogue)
    if unknown := set(ids) - {fault.id for fault in faults}:
        raise click.BadParameter(f"expected ids of {catalogue}, got {', '.join(sorted(unknown))}.", param_hint="ID")
    chosen = [fault for fault in faults if not ids or fault.id in ids]
    if since:
        found = concerned(root, Path(os.path.relpath(catalogue, root)), chosen, since)
        if found is None:
            click.echo(
                f"NOT WHAT HAS CHANGED: there is no commit {since} with this catalogue here; all faults instead",
                err=True,
            )
        elif not found:
            click.echo(f"no fault is concerned by what has changed since {since}, of {len(chosen)}")
            return
        chosen = chosen if found is None else found
    try:
        outcomes = asyncio.run(run(root, chosen, jobs, after_tests=after_tests))
    except FaultError as error:
        raise click.ClickException(str(error)) from error
    print_table(outcomes)
    if not all(outcome.caught_by for outcome in outcomes):
        sys.exit(1)


if __name__ == "__main__":
    main()
