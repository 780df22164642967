"""Plant faults in copies of the code, one at a time, and see that the tests catch each.

That tests pass says little as long as nobody has seen them fail. The catalogue holds small edits, each a fault that
really happens, with the tests that own the behaviour: at least one of them must fail. An edit that does not apply,
and tests that cannot be run, count as errors, so that the catalogue follows the code.
"""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn
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

#: Seconds after which the tests of one fault are ended; all tests together, without a fault, may take longer.
TIMEOUT, TIMEOUT_OF_ALL = 300.0, 1_800.0

_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+?::.+?)(?: - .*)?$", re.MULTILINE)


class FaultError(Exception):
    """It cannot be said whether the tests catch a fault."""


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
        A text that occurs once in `file`, and what is put in its place.
    tests : tuple of str
        Files or node ids, as pytest takes them.
    """

    id: str
    title: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def edited(self, root: Path) -> str:
        """Return what `file` of the project at `root` holds with the fault planted.

        Raises
        ------
        FaultError
            If the old text does not occur exactly once, or the new one is the same.
        """
        path = root / self.file
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        if (count := text.count(self.old)) != 1 or self.old == self.new:
            raise FaultError(f"the edit does not apply: its old text occurs {count} times in {self.file}")
        return text.replace(self.old, self.new)


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
    """Return the faults of a catalogue, a TOML file with a table ``[[fault]]`` for each."""
    entries = tomllib.loads(catalogue.read_text(encoding="utf-8"))["fault"]
    return [Fault(**{**entry, "tests": tuple(entry["tests"])}) for entry in entries]


@contextlib.contextmanager
def copied(root: Path) -> Iterator[Path]:
    """Copy the project at `root` to a folder that is there for a while."""
    with tempfile.TemporaryDirectory(prefix="fault-", ignore_cleanup_errors=True) as name:
        copy = Path(name, "project")
        copy.mkdir()
        for path in (root / part for part in PARTS):
            if path.is_dir():
                shutil.copytree(path, copy / path.name, ignore=shutil.ignore_patterns("__pycache__"))
            elif path.exists():
                shutil.copy(path, copy)
        yield copy


def environment(copy: Path) -> dict[str, str]:
    """Return the environment in which Python takes the code from `copy` and TensorFlow has not been started."""
    # In CI pytest shows whole differences, which takes minutes for pictures; a skipped test is a fault missed anyway.
    ours = {*SWITCHES, "BUILD_NUMBER", "CI", "KERAS_HOME", "PYTHONPATH"}
    kept = {name: value for name, value in os.environ.items() if name not in ours and not name.startswith("PYTEST_")}
    return kept | {"PYTHONPATH": str(copy)}


async def python(copy: Path, *arguments: str, timeout: float) -> tuple[int, str]:
    """Run Python in `copy`, and end all that it started; return its exit code and what it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        cwd=copy,
        env=environment(copy),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(timeout):
            output, _ = await process.communicate()
    except TimeoutError as error:
        raise FaultError(f"the tests took longer than {timeout:.0f} s") from error
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        code = await process.wait()
    return code, output.decode(errors="replace")


async def first_failure(copy: Path, tests: Iterable[str], *options: str, timeout: float) -> str | None:
    """Run `tests` on `copy`, and return the first that fails, or None if all pass.

    Raises
    ------
    FaultError
        If a test does not exist or cannot be collected, or if pytest ends in another way than it should.
    """
    options = (
        "-q",
        "-rfE",
        "--color=no",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:randomly",
        "--hypothesis-seed=0",
        f"--basetemp={copy.with_name('temporary')}",  # otherwise one pytest clears away what another looks at
        *options,
    )
    code, output = await python(copy, "-m", "pytest", *options, *tests, timeout=timeout)
    if code == 0:
        return None
    failed = _FAILED.search(output)
    if code != 1 or failed is None:
        raise FaultError(f"pytest ended with exit code {code}:\n{output[-2_000:].strip()}")
    return failed[1]


async def check_baseline(root: Path, faults: Iterable[Fault], jobs: int) -> None:
    """Make sure that all tests of `faults` pass on an unedited copy of `root`: then a failure means a fault.

    Raises
    ------
    FaultError
        If a test fails, or if it is not the copy that is tested.
    """
    tests = sorted({test for fault in faults for test in fault.tests})
    with copied(root) as copy:
        where = "from importlib.util import find_spec as f; print(f('fmnist').origin)"
        _, origin = await python(copy, "-P", "-c", where, timeout=TIMEOUT)
        if not Path(origin.strip()).is_relative_to(copy):
            raise FaultError(f"expected to test the package in {copy}, got {origin.strip()}")
        parallel = f"--numprocesses={jobs}", "--dist=loadfile"
        if failed := await first_failure(copy, tests, *parallel, timeout=TIMEOUT_OF_ALL):
            raise FaultError(f"without any fault, a test fails: {failed}")


async def plant(root: Path, fault: Fault) -> Outcome:
    """Plant `fault` in a copy of the project at `root`, and run its tests."""
    started = time.monotonic()
    caught_by, problem = None, None
    try:
        with copied(root) as copy:
            (copy / fault.file).write_text(fault.edited(copy), encoding="utf-8")
            caught_by = await first_failure(copy, fault.tests, "--exitfirst", timeout=TIMEOUT)
    except FaultError as error:
        problem = str(error)
    return Outcome(fault, time.monotonic() - started, caught_by, problem)


async def run(root: Path, faults: Collection[Fault], jobs: int) -> list[Outcome]:
    """Check the baseline and plant each fault, `jobs` at a time; tell on stderr how it goes."""
    console, free = Console(stderr=True), asyncio.Semaphore(jobs)

    def tell(what: str, seconds: float) -> None:
        console.print(f"{what}  ({seconds:.1f} s)", markup=False, highlight=False, soft_wrap=True)

    columns = "{task.description}", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("baseline", total=len(faults))
        started = time.monotonic()
        await check_baseline(root, faults, jobs)
        tell("without any fault: all tests pass", time.monotonic() - started)
        progress.update(task, description="faults")

        async def plant_and_tell(fault: Fault) -> Outcome:
            async with free:
                outcome = await plant(root, fault)
            tell(f"{fault.id}: {outcome}", outcome.seconds)
            progress.advance(task)
            return outcome

        async with asyncio.TaskGroup() as group:
            planted = [group.create_task(plant_and_tell(fault)) for fault in faults]
    return [one.result() for one in planted]


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

    First all their tests must pass on an unedited copy. Each fault then gets a copy and a process of its own; the
    code here is never edited.

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
