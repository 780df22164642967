"""Disturb what computes results, in each way of the catalogue: the same bytes must come out, or a refusal.

A disturbance surrounds a process (environment, files, names of folders, switches of Python, limits, ...) or happens
in it (a call that sets something for the whole process). It reaches one or more of these:

- `functions`, called in a process that has imported TensorFlow before, a fork of one for all;
- `process`, the functions in a process of their own;
- `compile`, the command `fmnist compile`; `run`, the command `fmnist run` on the real data;
- `call`, `fmnist.run`, which does the same, in a process that has been disturbed before.

Disturbances that surround a process, and should change nothing, work together, as many as fit: where the bytes differ,
each works by itself, so that the culprit has a name.
"""

import collections
import importlib
import itertools
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from fmnist.steps import dataset, determinism

sys.path.append(str(Path(__file__).parents[1]))  # as for a test
from disturbances import few
from disturbances.ways import CATALOGUE, Disturbance, grouped, read

__all__ = ["TARGETS", "main"]

FMNIST = str(Path(sys.executable).with_name("fmnist"))

#: Calls what `COMMANDS` calls by ``fmnist run``, after the code that is the first argument.
CALL = "import sys; exec(sys.argv[1]); import fmnist; call(lambda: fmnist.run('out', epochs=1, seed=3))"

#: What is disturbed, and the arguments of each command.
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "compile": (FMNIST, "compile", "-o", "out/pipeline.yaml"),
    "run": (FMNIST, "run", "-p", "epochs=1", "--seed", "3", "-o", "out"),
    "call": ("-c", CALL),
    "process": (str(Path(few.__file__)), "out"),
}
TARGETS = ("functions", *COMMANDS)
QUICK = ("functions", "compile")

#: Seconds after which a process is ended.
TIMEOUT = 300

#: The files of a run that have its time in them; all others must be the same bytes.
DATED = {"log.txt", "run.json", "report.html", "RECORD.sha256"}


class DisturbanceError(Exception):
    """It cannot be said what a disturbance does."""


@dataclass(frozen=True)
class Job:
    """What is disturbed, in which ways at once, and where."""

    target: str
    ways: tuple[Disturbance, ...]

    def __str__(self) -> str:
        return f"{self.target}: {', '.join(way.id for way in self.ways) or 'undisturbed'}"

    def start(self, place: Path) -> int:
        """Start it in a process of its own, with all of its files in `place`; return the process id."""
        home, here = place / "home", place.joinpath("here", *filter(None, (way.folder for way in self.ways)))
        for folder, files in ((home, [way.home for way in self.ways]), (here, [way.files for way in self.ways])):
            folder.mkdir(parents=True)
            for name, content in itertools.chain.from_iterable(one.items() for one in files):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_text(content)
        (here / "out").mkdir()
        process = os.fork()
        if not process:
            try:
                os.setsid()
                signal.alarm(TIMEOUT)
                log = os.open(place / "log", os.O_WRONLY | os.O_CREAT)
                for descriptor, opened in enumerate([os.open(os.devnull, os.O_RDONLY), log, log]):
                    os.dup2(opened, descriptor)
                os.chdir(here)
                os._exit(self._work(home))
            finally:
                os._exit(few.FAILED)
        return process

    def _work(self, home: Path) -> int:  # noqa: RET503 - another program takes over
        code = "\n".join(way.python for way in self.ways)
        if self.target == "functions":
            return few.disturbed(code, Path("out").absolute())
        variables = {"HOME": str(home)}
        for way in self.ways:
            variables |= {
                name: f"{home}{value[1:]}" if value.startswith("~") else value
                for name, value in way.environment.items()
            }
        command = [*itertools.chain.from_iterable(way.prefix for way in self.ways), sys.executable]
        command += itertools.chain.from_iterable(way.switches for way in self.ways)
        command += [*COMMANDS[self.target], *([code] if self.target in {"call", "process"} else [])]
        os.execvpe(command[0], command, {**os.environ, **variables})  # noqa: S606 - no shell is wanted

    def outcome(self, place: Path, status: int, expected: Mapping[str, bytes]) -> str:
        """Return what is wrong with what came of it, or nothing."""
        ended, log = os.waitstatus_to_exitcode(status), (place / "log").read_text(errors="replace")
        wanted = self.ways[0].code if self.ways and self.ways[0].message else 0
        if ended != wanted:
            return f"expected exit code {wanted}, got {ended}: {' '.join(log.split()[-60:])}"
        if wanted:
            said = " ".join(log.split())
            return "" if self.ways[0].message in said and "Traceback" not in said else f"it says: {said[-600:]}"
        got = results(place) if expected else expected
        different = sorted(name for name in expected.keys() | got.keys() if expected.get(name) != got.get(name))
        return f"other bytes in {', '.join(different)}" if different else ""


def results(place: Path) -> dict[str, bytes]:
    """Return the content of the files that must be the same each time, by their paths in the folder of results."""
    [out] = [path for path in place.glob("here/**/out") if path.is_dir()]
    paths = [path for path in out.rglob("*") if path.is_file() and path.name not in DATED]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in paths}


def jobs_for(target: str, ways: Sequence[Disturbance], *, together: bool) -> list[Job]:
    """Return what there is to do for a target, without the undisturbed job."""
    refused = [(way,) for way in ways if target in way.on and way.message]
    others = [way for way in ways if target in way.on and not way.message]
    return [Job(target, group) for group in [*refused, *(grouped(others) if together else [(way,) for way in others])]]


def run(
    jobs: Iterable[Job], expected: Mapping[str, Mapping[str, bytes]], slots: int, root: Path
) -> list[tuple[Job, str, Path]]:
    """Do the jobs, `slots` at a time; return each with what is wrong, and its place."""
    waiting, running, ended = collections.deque(jobs), dict[int, tuple[Job, Path, float]](), []
    while waiting or running:
        while waiting and len(running) < slots:
            job, place = waiting.popleft(), Path(tempfile.mkdtemp(dir=root))
            running[job.start(place)] = job, place, time.monotonic()
        process, status = os.wait()
        job, place, started = running.pop(process)
        wrong = job.outcome(place, status, expected.get(job.target, {}))
        click.echo(f"{job}: {wrong or 'as expected'}  ({time.monotonic() - started:.1f} s)", err=True)
        ended.append((job, wrong, place))
    return ended


def disturb(jobs: Sequence[Job], slots: int) -> list[tuple[Job, str]]:
    """Do the jobs, those of several ways again for each way if something is wrong; return what is wrong with which.

    Raises
    ------
    DisturbanceError
        If something is wrong without any disturbance.
    """
    root = Path(tempfile.mkdtemp(prefix="disturbances-"))
    try:
        reached = sorted({_computed(job.target) for job in jobs})
        undisturbed = run([Job(target, ()) for target in reached], {}, slots, root)
        if wrong := [f"{job}: {what}" for job, what, _ in undisturbed if what]:
            raise DisturbanceError("\n".join(wrong))
        known = {job.target: results(place) for job, _, place in undisturbed}
        expected = {target: known[_computed(target)] for target in TARGETS if _computed(target) in known}
        ended = run(jobs, expected, slots, root)
        groups = [job for job, wrong, _ in ended if wrong and len(job.ways) > 1]
        alone = run([Job(job.target, (way,)) for job in groups for way in job.ways], expected, slots, root)
        return [(job, wrong) for job, wrong, _ in (*ended, *alone) if wrong]
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _computed(target: str) -> str:
    """Return the target whose files another one must have too."""
    return {"process": "functions", "call": "run"}.get(target, target)


def warm_up() -> None:
    """Import all that takes long, and load the images: each process for the functions is a fork."""
    os.environ["FMNIST_DATA_DIR"] = str(dataset.data_folder())
    determinism.tensorflow()
    for name in ("keras", "h5py", "matplotlib.figure", "sklearn.metrics"):
        importlib.import_module(name)
    few.data()


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--on", "targets", type=click.Choice(TARGETS), multiple=True, help="Only this.  [default: all]")
@click.option("--each", is_flag=True, help="Let each disturbance work by itself, which takes an hour.")
@click.option("--quick", is_flag=True, help="Only what takes a minute: functions and compile, refused or together.")
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(1),
    default=len(os.sched_getaffinity(0)),
    help="How many processes to disturb at once.  [default: one a core]",
)
@click.option("--catalogue", type=click.Path(exists=True, path_type=Path), default=CATALOGUE, help="Another catalogue.")
def main(  # noqa: PLR0913 - one for each option
    ids: tuple[str, ...], targets: tuple[str, ...], jobs: int, catalogue: Path, *, each: bool, quick: bool
) -> None:
    """Disturb in each way of the catalogue, or only in those named.

    Exit codes: 0 each gave the same bytes or its refusal, 1 one did not, 2 bad usage.
    """
    ways = read(catalogue)
    if unknown := set(ids) - {way.id for way in ways}:
        raise click.BadParameter(f"expected ids of {catalogue}, got {', '.join(sorted(unknown))}.", param_hint="ID")
    warm_up()
    chosen = [way for way in ways if not ids or way.id in ids]
    wanted = targets or (QUICK if quick else TARGETS)
    todo = [job for target in reversed(wanted) for job in jobs_for(target, chosen, together=not each)]
    if quick:
        todo = [job for job in todo if len(job.ways) > 1 or job.ways[0].message]
    try:
        wrong = disturb(todo, jobs)
    except DisturbanceError as error:
        raise click.ClickException(f"without any disturbance: {error}") from error
    for job, what in wrong:
        click.echo(f"{job}: {what}")
    tried = {way.id for job in todo for way in job.ways}
    culprits = {way.id for job, _ in wrong for way in job.ways if len(job.ways) == 1}
    click.echo(f"{len(tried - culprits)} of {len(tried)} disturbances gave what they must")
    if wrong:
        sys.exit(1)


if __name__ == "__main__":
    main()
