"""Seeds, each trained and tested by the code of the pipeline's steps, in processes that start and compile once."""

import ctypes
import functools
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import Future, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pebble

from fmnist.kubeflow.processes import OutOfMemory, check_program, explained
from fmnist.replication.sample import Result
from fmnist.steps import dataset, determinism, evaluation, model, training
from fmnist.steps.errors import ContractError, StepError
from fmnist.steps.redaction import safe
from fmnist.steps.settings import Settings

__all__ = ["check_system", "cores", "train"]

#: Of Linux' prctl: which signal this process gets when the one that started it ends.
_PR_SET_PDEATHSIG = 1


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def train(  # noqa: PLR0913, PLR0917 - as `run_study`
    settings: Settings,
    seeds: Sequence[int],
    log: Path | None,
    jobs: int,
    on_result: Callable[[Result], None],
    on_failure: Callable[[int], None],
) -> dict[int, str]:
    """Train and test each of `seeds` in processes, which print into `log`, or as this one; return errors by seed."""
    check_system()
    context = multiprocessing.get_context("spawn")
    failures: dict[int, str] = {}
    out_of_memory = OutOfMemory()
    pool = pebble.ProcessPool(
        max_workers=max(1, min(jobs, len(seeds))),
        initializer=_start,
        initargs=[log],
        context=context,
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


def check_system() -> None:
    """Make sure that this system has what workers, and TensorFlow in them, cannot begin without."""
    check_program()
    try:
        multiprocessing.get_context("spawn").Lock()
    except OSError as error:
        raise ContractError(
            f"system: expected /dev/shm to be a folder that can be written into, where processes share locks, got: "
            f"{error.strerror}. Mount it: mount -t tmpfs tmpfs /dev/shm"
        ) from error


def _start(log: Path | None) -> None:
    """Let a worker, and TensorFlow in it, print into the log, and end with the process that started it."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if log is None:
        return
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
