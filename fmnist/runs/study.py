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
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from typing import Any

import pebble

from fmnist.kubeflow.environment import clean_environment
from fmnist.replication.results import Result, Sample
from fmnist.runs import findings
from fmnist.runs.folder import CHECKSUMS, PLAN, RECORD, SEEDS, checksums, claimed, read_seed, seed_path
from fmnist.runs.provenance import stopwatch
from fmnist.steps import dataset, determinism, evaluation, model, training
from fmnist.steps.dataset import Progress
from fmnist.steps.errors import ContractError, StepError
from fmnist.steps.files import TEMPORARY, canonical_json, write
from fmnist.steps.settings import Settings

__all__ = ["run_study"]

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
        _check_plan(folder, plan)
        dataset.fetch(on_progress=on_progress)
        results = [read_seed(folder, seed) for seed in seeds if seed_path(folder, seed).exists()]
        missing = sorted(set(seeds) - {result.seed for result in results})
        on_seeds(missing)
        trained, failures = _train(settings, missing, folder, jobs, on_result, on_failure)
        if failures:
            raise StepError(_message(failures, folder))
        record = stop() | {"jobs": jobs, "trained": len(missing)}
        if not missing and (folder / RECORD).exists():
            record = _read_json(folder / RECORD)
        write(folder / RECORD, canonical_json(record))
        _sweep(folder)
        sample = Sample.of_study(plan, results + trained, record)
        names = findings.write_findings(sample, folder)
        write(folder / CHECKSUMS, checksums(folder, (PLAN, SEEDS, *names)))
        return sample


def _check_plan(folder: Path, plan: Mapping[str, Any]) -> None:
    """Write the plan into a new folder, or make sure that the one there is the same."""
    path = folder / PLAN
    if not path.exists():
        if found := sorted(one.name for one in folder.iterdir() if not one.name.startswith(f".{PLAN}.")):
            raise ContractError(
                f"study folder: expected a new folder or that of a study, got {folder} with {', '.join(found)}. "
                "Nothing was changed. Choose another folder with -o."
            )
        write(path, canonical_json(plan))
    before, now = _flat(_read_json(path)), _flat(plan)
    if changes := [
        f"  {name}: it was {before.get(name, 'not there')}, now it is {now.get(name, 'not there')}"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    ]:
        raise ContractError(
            f"study folder: expected the same study as the one begun in {folder}, got another:\n"
            + "\n".join(changes)
            + "\nNothing was changed. Choose another folder with -o, or resume the study as it was."
        )


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise ContractError(f"study folder: expected JSON in {path}, got: {error}. Choose another with -o.") from error


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """Return the values of nested mappings by their path, as in ``parameters.epochs``."""
    if not isinstance(value, dict):
        return {name: value}
    return {path: one for key, item in value.items() for path, one in _flat(item, f"{name}.{key}".lstrip(".")).items()}


def _train(  # noqa: PLR0913, PLR0917 - as `run_study`
    settings: Settings,
    seeds: Sequence[int],
    folder: Path,
    jobs: int,
    on_result: Callable[[Result], None],
    on_failure: Callable[[int], None],
) -> tuple[list[Result], dict[int, str]]:
    """Write the result of each seed as it comes; return the results, and the errors by seed."""
    results: list[Result] = []
    failures: dict[int, str] = {}
    pool = pebble.ProcessPool(
        max_workers=max(1, min(jobs, len(seeds))),
        initializer=_start,
        initargs=[folder / LOG],
        context=multiprocessing.get_context("spawn"),
    )
    try:
        futures: dict[Future[Result], int] = {pool.schedule(_result, args=[settings, seed]): seed for seed in seeds}
        for future in as_completed(futures):
            seed = futures[future]
            try:
                result = future.result()
            except pebble.ProcessExpired as error:
                failures[seed] = f"its process ended with exit code {error.exitcode}; -9 may mean that memory ran out"
                on_failure(seed)
            except BrokenProcessPool:
                failures[seed] = "the processes ended while they started; memory may have run out"
                on_failure(seed)
            except StepError as error:
                failures[seed] = str(error)
                on_failure(seed)
            else:
                write(seed_path(folder, seed), result.to_json())
                results.append(result)
                on_result(result)
    finally:
        pool.stop()  # type: ignore[no-untyped-call]
        pool.join()
    return results, failures


def _start(log: Path) -> None:
    """Let a worker, and TensorFlow in it, print into the log, and end with the process that started it."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for stream in (1, 2):
        os.dup2(handle, stream)


@functools.cache
def _prepared(settings: Settings) -> tuple[training.Trainer, evaluation.Evaluator]:
    """Return what all seeds of a worker share: the compiled epoch, and the compiled test."""
    determinism.tensorflow(for_good=True)
    network = model.create(settings.seed)
    return training.Trainer(settings, dataset.load("train")), evaluation.Evaluator(network, dataset.load("test"))


def _result(settings: Settings, seed: int) -> Result:
    try:
        trainer, evaluator = _prepared(settings)
        trained = trainer.train(seed, on_epoch=lambda *_: None)
        return Result.of(seed, trained, evaluator.test(trained.model))
    except Exception as error:  # noqa: BLE001 - whatever it is
        # Into the log; and as text, because not every error comes through to another process, or leaves the pool whole.
        traceback.print_exc()
        raise StepError(f"{type(error).__name__}: {error}") from None


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
