"""Tests of what a study refuses, and of seeds that fail; `test_study_end_to_end.py` has those of whole studies."""

import fcntl
import os
import pickle
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from fmnist import testing
from fmnist.kubeflow import bundle
from fmnist.runs import shard_folder, study, workers
from fmnist.runs.checksums import DIGESTS
from fmnist.runs.folder import PLAN
from fmnist.runs.provenance import plan as planned
from fmnist.runs.provenance import provenance
from fmnist.steps import determinism, files
from fmnist.steps.errors import ContractError, DataError, SettingsError, StepError
from fmnist.steps.settings import Settings


def begin(folder: Path, settings: Settings, seeds: range = range(2)) -> None:
    """Begin a study that has no data, so that no more than its plan is written."""
    with pytest.raises(DataError, match="nowhere"):
        study.run_study(settings, seeds, folder, jobs=1)


@pytest.mark.usefixtures("no_data")
def test_what_is_asked_is_written_first(tmp_path: Path) -> None:
    """The plan holds parameters, seeds, versions, digests and switches, before anything is trained."""
    begin(tmp_path, Settings(epochs=3, seed=9), range(7, 12))
    plan = files.canonical_json(
        {
            "parameters": {"compile_optimizer": "adam", "epochs": 3, "validation_split": 0.05},
            "seeds": {"first": 7, "count": 5},
            **provenance(bundle.REPLICATION),
        }
    )
    assert testing.contents(tmp_path) == {PLAN: plan, DIGESTS: f"{files.sha256(plan)}  study.json\n".encode()}


@pytest.mark.usefixtures("no_data")
def test_a_study_that_could_not_start_can_be_tried_again(tmp_path: Path) -> None:
    """After a study without data, or killed while it wrote its plan, the next study takes the same folder."""
    for name in (".study.json.0123abcd.tmp", "RECORD.sha256", ".RECORD.sha256.0123abcd.tmp"):
        (tmp_path / name).write_text("{")
    for _ in range(2):
        begin(tmp_path, Settings())


@pytest.mark.usefixtures("no_data")
@pytest.mark.parametrize("file", ["steps/training.py", "replication/verdict.py", "replication/published.json"])
def test_changed_code_is_refused_with_the_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    """A study is of one code, what judges the seeds as well as what trains them; nothing is changed."""
    copied = shutil.copytree(bundle.PACKAGE, tmp_path / "fmnist", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(bundle, "PACKAGE", copied)
    begin(tmp_path / "study", Settings())
    before = testing.contents(tmp_path / "study")
    with (copied / file).open("a") as source:
        source.write("\n")
    with pytest.raises(ContractError, match=r"code.sha256: it was [0-9a-f]{64}, now it is .*\nNothing was changed"):
        study.run_study(Settings(), range(2), tmp_path / "study", jobs=1)
    assert testing.contents(tmp_path / "study") == before


@pytest.mark.usefixtures("no_data")
def test_seeds_of_two_modes_are_not_mixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A study that began with another switch of TensorFlow's is refused, and nothing is changed."""
    with monkeypatch.context() as patch:
        patch.setattr(determinism, "SWITCHES", {**determinism.SWITCHES, "TF_DETERMINISTIC_OPS": "1"})
        begin(tmp_path, Settings())
    with pytest.raises(
        ContractError, match="switches.TF_DETERMINISTIC_OPS: it was 1, now it is 0\nNothing was changed"
    ):
        study.run_study(Settings(), range(2), tmp_path, jobs=1)


def test_a_system_that_is_refused_is_told_before_any_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody reads that seeds have started, and then that none can."""
    monkeypatch.setattr("fmnist.kubeflow.processes._THIS_PROGRAM", tmp_path / "proc")
    told: list[Sequence[int]] = []
    with pytest.raises(ContractError, match="^system: expected "):
        study.run_study(Settings(), range(2), tmp_path / "study", on_seeds=told.append)
    assert told == []


@pytest.mark.usefixtures("no_data")
def test_only_what_differs_is_told(tmp_path: Path) -> None:
    """The message names what changed and nothing else."""
    begin(tmp_path, Settings())
    with pytest.raises(ContractError) as error:
        study.run_study(Settings(epochs=3, validation_split=0.1), range(3), tmp_path, jobs=1)
    assert [line.strip() for line in str(error.value).splitlines()[1:-1]] == [
        "parameters.epochs: it was 10, now it is 3",
        "parameters.validation_split: it was 0.05, now it is 0.1",
        "seeds.count: it was 2, now it is 3",
    ]


def test_a_plan_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """A broken plan is bad input, and stays as it is."""
    (tmp_path / PLAN).write_text("{")
    (tmp_path / DIGESTS).write_text(f"{files.sha256(b'{')}  study.json\n")
    before = testing.contents(tmp_path)
    with pytest.raises(ContractError, match=r"(?s)^folder: .*study\.json: Invalid JSON.*Nothing was changed"):
        study.run_study(Settings(), range(2), tmp_path, jobs=1)
    assert testing.contents(tmp_path) == before


@pytest.mark.usefixtures("no_data")
def test_a_plan_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    """As where the disk with a study is not mounted: the link is not replaced by another plan."""
    (tmp_path / PLAN).symlink_to(tmp_path / "away")
    with pytest.raises(ContractError, match=r"^folder: (?s:.*)Nothing was changed"):
        study.run_study(Settings(), range(2), tmp_path, jobs=1)
    assert [path.name for path in tmp_path.iterdir()] == ["study.json"]
    assert (tmp_path / PLAN).is_symlink()


def test_a_folder_with_other_files_is_not_touched(tmp_path: Path) -> None:
    """A folder of anything else is refused, with its content named, and stays as it is."""
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ContractError) as refused:
        study.run_study(Settings(), range(2), tmp_path, jobs=1)
    assert str(refused.value) == (
        f"study folder: expected a new or empty folder or that of a study, got {tmp_path} with thesis.txt. Nothing was "
        "changed. Choose another folder with -o."
    )
    assert testing.contents(tmp_path) == {"thesis.txt": b"years of work"}


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    """A file of the folder's name is refused and stays."""
    (tmp_path / "study").write_text("a file")
    with pytest.raises(ContractError, match="^study folder: expected a folder, got a file"):
        study.run_study(Settings(), range(2), tmp_path / "study", jobs=1)
    with pytest.raises(ContractError, match="^study folder: expected a folder, got a file"):
        study.gather(Settings(), range(2), [], tmp_path / "study")
    with pytest.raises(ContractError, match="shard folder: expected a folder, got a file"):
        shard_folder.train_shard(Settings(), range(2), tmp_path / "study")
    assert (tmp_path / "study").read_text() == "a file"


@pytest.mark.usefixtures("no_data")
def test_one_process_works_in_a_folder(tmp_path: Path) -> None:
    """While a study works in a folder, a second one there is refused; afterwards it is not."""
    handle = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with pytest.raises(ContractError, match="expected one in which no other process works"):
        study.run_study(Settings(), range(2), tmp_path, jobs=1)
    assert testing.contents(tmp_path) == {}
    os.close(handle)
    begin(tmp_path, Settings())


def test_an_error_comes_through_to_another_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever goes wrong in a worker reaches the study as text; its traceback is for the log."""

    class LocalError(Exception):
        """An error that cannot be pickled, as its class is in a function."""

    def prepared(_: Settings) -> None:
        raise LocalError("no luck")

    monkeypatch.setattr(workers, "_prepared", prepared)
    with pytest.raises(StepError, match="^LocalError: no luck$") as caught:
        workers._result(Settings(), 3)
    assert str(pickle.loads(pickle.dumps(caught.value))) == "LocalError: no luck"  # noqa: S301 - our own
    assert "Traceback" in capsys.readouterr().err


def test_each_seed_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If seeds fail, here for a broken TensorFlow, the study tries the rest, names each failure, and has no result."""
    (tmp_path / "tensorflow.py").write_text("raise ImportError('broken')\n")
    monkeypatch.syspath_prepend(tmp_path)  # which workers inherit
    folder = tmp_path / "study"
    told: list[list[int]] = []
    failed: list[int] = []
    with pytest.raises(StepError) as error:
        study.run_study(
            Settings(),
            range(5, 8),
            folder,
            jobs=1,
            on_seeds=lambda seeds: told.append(list(seeds)),
            on_failure=failed.append,
        )
    assert sorted(failed) == [5, 6, 7]
    assert told == [[5, 6, 7]]
    first, *lines, last = str(error.value).splitlines()
    assert first == f"study: 3 of its seeds failed, {folder} keeps the others:"
    assert lines == [f"  seed {seed}: ImportError: broken" for seed in (5, 6, 7)]
    assert last == f"{folder / 'log.txt'} may say more. Run the same command again to train the failed seeds."
    assert testing.contents(folder).keys() == {"log.txt", PLAN, DIGESTS}


def test_seeds_that_fail_are_named_in_order(tmp_path: Path) -> None:
    """Whichever of several failed first, and however many they are: each may be trained by itself."""
    lines = study._message({9: "late", 7: "early"} | dict.fromkeys(range(30, 10, -1), "last"), tmp_path).splitlines()
    assert lines[1:3] == ["  seed 7: early", "  seed 9: late"]
    assert lines[3:-1] == [f"  seed {seed}: last" for seed in range(11, 31)]


def test_workers_that_die_while_they_start_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If no worker lives long enough to take a seed, the seeds fail like others, and the same command tries again."""
    monkeypatch.setattr(workers, "_start", os.kill)  # with arguments that are none of its own
    with pytest.raises(
        StepError, match="(?s)seed 0: the processes ended while they started.*Run the same command again"
    ):
        study.run_study(Settings(), range(1), tmp_path, jobs=1)


def test_a_worker_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    """A study that is killed leaves no worker behind that trains for nobody."""
    worker = (
        "import os, time; from pathlib import Path; from fmnist.runs import workers\n"
        "workers._start(Path('log')); print(os.getpid(), flush=True); time.sleep(60)"
    )
    starts = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {worker!r}])"
    with subprocess.Popen([sys.executable, "-c", starts], cwd=tmp_path) as parent:
        while not (log := tmp_path / "log").exists() or not log.read_text().endswith("\n"):
            time.sleep(0.05)
        parent.kill()
    process, late = Path("/proc", log.read_text().strip(), "status"), time.monotonic() + 30
    while process.exists() and "zombie" not in process.read_text() and time.monotonic() < late:
        time.sleep(0.05)
    assert time.monotonic() < late


@pytest.mark.parametrize(
    "spelling",
    [
        '{"class_name": "Adam", "config": {"learning_rate": 0.01}}',
        '{"class_name":"adam","config":{"learning_rate":1e-2,"amsgrad":false}}',
    ],
)
def test_two_spellings_of_an_optimizer_are_one_study(spelling: str) -> None:
    """A study is resumed with the same optimizer in other words."""
    plan = planned(Settings(compile_optimizer=spelling), range(2))
    assert plan["parameters"]["compile_optimizer"] == '{"class_name":"adam","config":{"learning_rate":0.01}}'


def test_seeds_are_consecutive() -> None:
    """The first is that of the settings, and the last one is a seed too."""
    assert study.seeds_from(Settings(seed=5), 3) == range(5, 8)
    assert study.seeds_from(Settings(seed=2**31 - 2), 2) == range(2**31 - 2, 2**31)
    with pytest.raises(SettingsError, match="seed"):
        study.seeds_from(Settings(seed=2**31 - 2), 3)
