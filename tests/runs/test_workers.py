"""Tests of the processes in which seeds are trained, with something quicker to do there; other tests train."""

import ctypes
import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pebble
import pytest
from support import stand_in
from support.folders import HISTORY

from fmnist.runs import workers
from fmnist.steps import model
from fmnist.steps.dataset import CLASS_NAMES
from fmnist.steps.errors import ContractError, StepError
from fmnist.steps.evaluation import Evaluation
from fmnist.steps.labels import Labels
from fmnist.steps.settings import Settings

Train = Callable[..., dict[int, str]]


@pytest.fixture
def results() -> list[stand_in.Told]:
    """What the workers told."""
    return []


@pytest.fixture
def failed() -> list[int]:
    """The seeds that failed."""
    return []


@pytest.fixture
def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, results: list[stand_in.Told], failed: list[int]) -> Train:
    """`workers.train` with what `stand_in` does, which takes a folder for settings."""
    # Workers import what this process was started from, unless there is nothing.
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))
    monkeypatch.setattr(workers, "_result", stand_in.result)

    def train(
        seeds: Sequence[int], jobs: int = 1, log: Path | None = None, on_result: Callable[..., None] = results.append
    ) -> Any:
        return workers.train(tmp_path, seeds, log, jobs, on_result, failed.append)  # type: ignore[arg-type]

    return train


def test_each_seed_is_told(train: Train, results: list[stand_in.Told], failed: list[int], tmp_path: Path) -> None:
    """One worker does one seed after the other, whatever becomes of each; what all print is added to the log."""
    (tmp_path / "log").write_text("before\n")
    assert train([6, 7, 8], log=tmp_path / "log") == {8: "no luck"}
    assert failed == [8]
    assert sorted(one.seed for one in results) == [6, 7]
    # What starts and compiles once serves all seeds of a worker.
    assert len({one.process for one in results}) == 1
    assert results[0].process != os.getpid()
    # SIGKILL, if this process ends.
    assert results[0].signal == 9
    lines = [line for seed in (6, 7, 8) for line in (f"seed {seed}", "an error")]
    assert (tmp_path / "log").read_text().splitlines() == ["before", *lines]


def refuse(error: OSError) -> Callable[..., None]:
    """Return a lock that cannot be made."""

    def lock(**_: Any) -> None:
        raise error

    return lock


@pytest.mark.parametrize(
    ("error", "got"),
    [
        (OSError(30, "Read-only file system"), "Read-only file system"),
        (FileNotFoundError(2, "No such file or directory"), "No such file or directory"),
    ],
)
def test_a_system_without_shared_memory_is_refused(
    train: Train, monkeypatch: pytest.MonkeyPatch, error: OSError, got: str
) -> None:
    """The error of the system names no file."""
    monkeypatch.setattr("multiprocessing.synchronize.Lock", refuse(error))
    with pytest.raises(ContractError) as caught:
        train([6])
    assert str(caught.value) == (
        "system: expected /dev/shm to be a folder that can be written into, where processes share locks, got: "
        f"{got}. Mount it: mount -t tmpfs tmpfs /dev/shm"
    )


def test_a_system_without_proc_is_refused(train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There TensorFlow kills each worker, and a study would only say with which signal."""
    monkeypatch.setattr("fmnist.kubeflow.processes._THIS_PROGRAM", tmp_path / "proc")
    with pytest.raises(ContractError, match=rf"^system: expected {tmp_path}/proc, without which TensorFlow ends "):
        train([6])


@pytest.fixture
def out_of_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that has killed a process for its memory."""

    class OutOfMemory:
        """One that was made before any worker."""

        def __init__(self) -> None:
            assert list(tmp_path.iterdir()) == []

        def limit(self) -> str:
            """Return the limit."""
            return ": the limit is 1.00 GiB"

    monkeypatch.setattr(workers, "OutOfMemory", OutOfMemory)


@pytest.mark.usefixtures("out_of_memory")
@pytest.mark.parametrize(
    ("seeds", "said"),
    [
        ([9, 10, 7], "its process ended with exit code 7."),
        (
            [15, 16, 7],
            "its process ended with exit code -9 (SIGKILL). Memory ran out: the limit is 1.00 GiB. A step needs 1 GiB, "
            "and so does each job of a study.",
        ),
    ],
    ids=["exit", "no memory"],
)
def test_a_worker_that_dies_fails_one_seed(
    train: Train, failed: list[int], tmp_path: Path, seeds: list[int], said: str
) -> None:
    """How it ended is told, and whether memory ran out since the study began; the others go on."""
    told: list[int] = []

    def on_result(one: stand_in.Told) -> None:
        told.append(one.seed)
        (tmp_path / f"told {one.seed}").write_text("yes")

    errors = train(seeds, jobs=2, on_result=on_result)
    assert errors.keys() == {seeds[0]}
    assert errors[seeds[0]].startswith(said)
    assert (failed, sorted(told)) == ([seeds[0]], sorted(seeds[1:]))


def test_workers_that_do_not_start_fail_all_seeds(
    train: Train, failed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is named, with what may be the reason."""
    monkeypatch.setattr(workers, "_start", os.kill)  # with arguments that are none of its own
    assert train([1, 2]) == dict.fromkeys([1, 2], "the processes ended while they started; memory may have run out")
    assert sorted(failed) == [1, 2]


def test_workers_work_side_by_side(
    train: Train, results: list[stand_in.Told], capfd: pytest.CaptureFixture[str]
) -> None:
    """Two seeds that wait for each other both come to an end; without a log, they print where this process does."""
    assert train([11, 12], jobs=2) == {}
    assert len({one.process for one in results}) == 2
    said = capfd.readouterr()
    assert (sorted(said.out.splitlines()), said.err) == (["seed 11", "seed 12"], "an error\nan error\n")


def test_no_worker_outlives_an_error(train: Train, tmp_path: Path) -> None:
    """Ctrl-C, or a full disk, ends those that still train."""

    def interrupted(_: stand_in.Told) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train([13, 14], jobs=2, on_result=interrupted)
    assert not Path("/proc", (tmp_path / "14").read_text()).exists()


@pytest.mark.parametrize(("seeds", "jobs", "expected"), [(0, 2, 1), (1, 2, 1), (2, 2, 2), (3, 2, 2), (3, 1, 1)])
def test_there_are_as_many_workers_as_needed(
    train: Train, monkeypatch: pytest.MonkeyPatch, seeds: int, jobs: int, expected: int
) -> None:
    """One a job, but no more than seeds; started afresh, as TensorFlow does not survive a fork."""

    class Pool:
        """Takes no seed."""

        def __init__(self, *, max_workers: int, context: Any, **_: object) -> None:
            assert (max_workers, context.get_start_method()) == (expected, "spawn")

        def schedule(self, *_: object, **__: object) -> None:
            raise StopIteration

        def stop(self) -> None:
            """Do nothing."""

        join = stop

    monkeypatch.setattr(pebble, "ProcessPool", Pool)
    try:
        assert train(range(seeds), jobs=jobs) == {}
    except StopIteration:
        assert seeds


@pytest.fixture
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lets this process start as a worker does, and gives it back what it had then."""
    kept, opened, real = [os.dup(1), os.dup(2)], list[int](), os.open

    def remembered(path: Any, *arguments: Any, **others: Any) -> int:
        handle = real(path, *arguments, **others)
        if str(path).endswith("/log"):
            opened.append(handle)
        return handle

    monkeypatch.setattr(os, "open", remembered)
    try:
        yield
    finally:
        ctypes.CDLL(None).prctl(workers._PR_SET_PDEATHSIG, 0)
        for stream, handle in zip((1, 2), kept, strict=True):
            os.dup2(handle, stream)
        for handle in (*kept, *opened):
            os.close(handle)


@pytest.mark.usefixtures("restored")
def test_a_worker_prints_into_the_log(tmp_path: Path) -> None:
    """Also what TensorFlow, in another language, prints; after what others print; and it ends with its parent."""
    log, mode = tmp_path / "log", os.umask(0o022)
    try:
        workers._start(log)
    finally:
        os.umask(mode)
    for stream in (1, 2):
        log.write_text(log.read_text() + "of others\n")
        os.write(stream, b"a line\n")
    # SIGKILL
    assert stand_in.result(tmp_path, 7).signal == 9
    assert log.read_text() == "of others\na line\n" * 2 + "an error\n"
    assert stat.S_IMODE(log.stat().st_mode) == 0o644


@pytest.mark.usefixtures("restored")
def test_without_a_log_a_worker_prints_as_its_parent(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """As a pod on a cluster, whose log is what it prints; it ends with its parent as well."""
    workers._start(None)
    os.write(1, b"a line\n")
    assert capfd.readouterr().out == "a line\n"
    assert stand_in.result(tmp_path, 7).signal == 9


def test_a_seed_is_trained_and_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    """The result has the seed's own model and history, and what the test says of that model."""
    given = Settings(epochs=2, seed=9)
    labels = Labels(np.array([0, 9]), np.array([0, 5]), CLASS_NAMES)
    tested = Evaluation(labels, np.array([1, 0.75], np.float32), 0.5)

    class Trainer:
        """Gives a network that is the name of the seed."""

        def train(self, seed: int, on_epoch: Callable[..., object]) -> Any:
            assert on_epoch(0, {}) is None
            return SimpleNamespace(model=f"network {seed}", history=HISTORY)

    class Evaluator:
        """Tests that network alone."""

        def test(self, network: object) -> Evaluation:
            assert network == "network 3"
            return tested

    def prepared(settings: Settings) -> tuple[Trainer, Evaluator]:
        assert settings is given
        return Trainer(), Evaluator()

    monkeypatch.setattr(workers, "_prepared", prepared)
    monkeypatch.setattr(model, "to_bytes", lambda network: network.encode())
    found = workers._result(given, 3)
    assert (found.seed, found.accuracy, found.loss, found.history) == (3, 0.5, 0.5, HISTORY)
    assert found.model == "4de0b3b815186192b9eb9da5161f4e4957a2b99ca1c69850500c53cc64817f98"
    assert list(found.mistakes) == [(1, 9, 5, 0.75)]


def test_an_error_steers_no_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither its text, which the study shows, nor its traceback, which goes into the log."""

    def prepared(_: Settings) -> None:
        raise ValueError("no \x1b[2Jluck")

    monkeypatch.setattr(workers, "_prepared", prepared)
    with pytest.raises(StepError) as caught:
        workers._result(Settings(), 3)
    assert str(caught.value) == r"ValueError: no \x1b[2Jluck"
    # It would be told twice.
    assert caught.value.__suppress_context__
    said = capsys.readouterr().err
    assert said.startswith("Traceback (most recent call last):\n")
    assert said.endswith("ValueError: no \\x1b[2Jluck\n")
