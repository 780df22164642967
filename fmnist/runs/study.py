"""A study: many seeds, each trained and tested by the code of the pipeline's steps, in worker processes.

The plan is written before the first seed is trained, and a study is resumed only with the same plan: nobody can change
the parameters or the number of seeds in the light of the results.
"""

import ctypes
import functools
import json
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from typing import Any

import pebble

from fmnist.kubeflow.ending import OutOfMemory, explained
from fmnist.kubeflow.environment import clean_environment
from fmnist.replication.results import Result, Sample
from fmnist.report import page
from fmnist.runs import checked, findings
from fmnist.runs.folder import DIGESTS, PLAN, RECORD, SEEDS, checksums, claimed, listing, seed_path, sign
from fmnist.runs.provenance import differences, stopwatch
from fmnist.steps import dataset, determinism, evaluation, model, training
from fmnist.steps.dataset import Progress
from fmnist.steps.errors import ContractError, StepError
from fmnist.steps.files import TEMPORARY, canonical_json, sha256, write
from fmnist.steps.safe import safe
from fmnist.steps.settings import Settings

__all__ = ["LOG", "run_study", "train"]

LOG = "log.txt"

#: Of Linux' prctl: which signal this process gets when the one that started it ends.
_PR_SET_PDEATHSIG = 1


def run_study(  # noqa: PLR0913 - all but the first four are callbacks
    settings: Settings,
    seeds: range,
    folder: str | Path,
    jobs: int,
    *,
    on_seeds: Callable[[Sequence[int]], None] = lambda _: None,
    on_result: Callable[[Result], None] = lambda _: None,
    on_failure: Callable[[int], None] = lambda _: None,
    on_progress: Progress | None = None,
) -> Sample:
    """Train and test each of `seeds` that `folder` does not have yet, and fill `folder`; return the whole sample.

    Parameters
    ----------
    settings : Settings
        All but the seed. Equal settings and seeds give byte-identical files, of all that `CHECKSUMS` lists, with any
        number of jobs and after any interruption.
    seeds : range
        Consecutive, at least one.
    folder : path
        New, empty, or the folder of the same study, interrupted or finished.
    jobs : int
        How many worker processes, each with one core and about 1 GiB, share the seeds.
    on_seeds, on_result, on_failure : callable
        Called with the seeds to train, before the first is trained; with each result; with each seed that fails.
    on_progress : callable
        Called with the progress of a download of the dataset.

    Raises
    ------
    ContractError
        If `folder` holds anything else, or another study, whose differences the message lists; nothing is changed then.
    DataError
        If the dataset cannot be found or fetched.
    StepError
        If seeds fail; the message names each, and `folder` keeps the results of the others.
    OSError
        If `folder` cannot be written.
    """
    folder, stop = Path(folder), stopwatch()
    settings = replace(settings, seed=seeds[0])
    with claimed(folder, "study"), clean_environment():
        plan = findings.plan(settings, seeds)
        files = _begun(folder, plan)
        dataset.fetch(on_progress=on_progress)
        results = checked.read_seeds(folder, files)
        missing = sorted(set(seeds) - {result.seed for result in results})
        digests = {n: d for n, d in checked.digests_in(files).items() if n == PLAN or n.startswith(f"{SEEDS}/")}

        def keep(result: Result) -> None:
            path, content = seed_path(folder, result.seed), result.to_json()
            digests[path.relative_to(folder).as_posix()] = sha256(content)
            # First the digest: a seed without one is refused, a digest without a seed is not.
            write(folder / DIGESTS, listing(digests))
            write(path, content)
            results.append(result)
            on_result(result)

        on_seeds(missing)
        failures = train(settings, missing, folder / LOG, jobs, keep, on_failure)
        if failures:
            raise StepError(_message(failures, folder))
        record = stop() | {"jobs": jobs, "trained": len(missing)}
        if not missing and RECORD in files:
            record = json.loads(files[RECORD])
        # Training may take days.
        checked.read_files(folder, recorded=digests)
        write(folder / RECORD, canonical_json(record))
        _sweep(folder)
        sample = Sample.of_study(plan, results, record)
        names = findings.write_findings(sample, folder)
        sign(folder, digests | checksums(folder, names), (RECORD, page.FILE_NAME))
        return sample


def _begun(folder: Path, plan: Mapping[str, Any]) -> dict[str, bytes]:
    """Write the plan into a new folder, or make sure that the one there is the same; return the files of the study."""
    if not (folder / PLAN).is_symlink() and not (folder / PLAN).exists():
        ours = (PLAN, f".{PLAN}.", DIGESTS, f".{DIGESTS}.")
        if found := sorted(one.name for one in folder.iterdir() if not one.name.startswith(ours)):
            raise ContractError(
                f"study folder: expected a new folder or that of a study, got {folder} with {', '.join(found)}. "
                "Nothing was changed. Choose another folder with -o."
            )
        content = canonical_json(plan)
        write(folder / DIGESTS, listing({PLAN: sha256(content)}))
        write(folder / PLAN, content)
    files = checked.read_files(folder, unfinished=True, without=(page.FILE_NAME,))
    changes = differences(checked.plan_in(folder, files), plan)
    if changes:
        raise ContractError(
            f"study folder: expected the same study as the one begun in {folder}, got another:\n"
            + "\n".join(f"  {name}: it was {before}, now it is {now}" for name, (before, now) in changes.items())
            + "\nNothing was changed. Choose another folder with -o, or resume the study as it was."
        )
    return files


def train(  # noqa: PLR0913, PLR0917 - as `run_study`
    settings: Settings,
    seeds: Sequence[int],
    log: Path,
    jobs: int,
    on_result: Callable[[Result], None],
    on_failure: Callable[[int], None],
) -> dict[int, str]:
    """Train and test each of `seeds` in worker processes, which print into `log`; return the errors by seed."""
    failures: dict[int, str] = {}
    out_of_memory = OutOfMemory()
    pool = pebble.ProcessPool(
        max_workers=max(1, min(jobs, len(seeds))),
        initializer=_start,
        initargs=[log],
        context=multiprocessing.get_context("spawn"),
    )
    try:
        futures: dict[Future[Result], int] = {pool.schedule(_result, args=[settings, seed]): seed for seed in seeds}
        for future in as_completed(futures):
            seed = futures[future]
            try:
                result = future.result()
            except pebble.ProcessExpired as error:
                failures[seed] = explained(error.exitcode, out_of_memory)
                on_failure(seed)
            except BrokenProcessPool:
                failures[seed] = "the processes ended while they started; memory may have run out"
                on_failure(seed)
            except StepError as error:
                failures[seed] = str(error)
                on_failure(seed)
            else:
                on_result(result)
    finally:
        pool.stop()  # type: ignore[no-untyped-call]
        pool.join()
    return failures


def _start(log: Path) -> None:
    """Let a worker, and TensorFlow in it, print into the log, and end with the process that started it."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for stream in (1, 2):
        os.dup2(handle, stream)


@functools.cache
def _prepared(settings: Settings) -> tuple[training.Trainer, evaluation.Evaluator]:
    """Return what all seeds of a worker share: the compiled epoch, and the compiled test."""
    determinism.tensorflow()
    network = model.create(settings.seed)
    return training.Trainer(settings, dataset.load("train")), evaluation.Evaluator(network, dataset.load("test"))


def _result(settings: Settings, seed: int) -> Result:
    try:
        trainer, evaluator = _prepared(settings)
        trained = trainer.train(seed, on_epoch=lambda *_: None)
        return Result.of(seed, trained, evaluator.test(trained.model))
    except Exception as error:  # noqa: BLE001 - whatever it is
        # Into the log; and as text, because not every error comes through to another process, or leaves the pool whole.
        sys.stderr.write(safe(traceback.format_exc()))
        raise StepError(safe(f"{type(error).__name__}: {error}")) from None


def _sweep(folder: Path) -> None:
    """Remove the temporary files that a killed process left."""
    for path in (*folder.glob(".*"), *folder.glob(f"{SEEDS}/.*")):
        if TEMPORARY.fullmatch(path.name):
            path.unlink()


def _message(failures: Mapping[int, str], folder: Path) -> str:
    lines = [f"  seed {seed}: {why}" for seed, why in sorted(failures.items())]
    return (
        f"study: {len(failures)} of its seeds failed, {folder} keeps the others:\n" + "\n".join(lines) + "\n"
        f"{folder / LOG} may say more. Run the same command again to train the failed seeds."
    )
