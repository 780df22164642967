"""Tests of the folder of a study, or of a shard of one, while results come into it, with made-up results."""

import contextlib
import errno
import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from support import folders

from fmnist import testing
from fmnist.runs import checked, findings, shard_folder, study, study_folder, workers
from fmnist.runs.checksums import DIGESTS
from fmnist.runs.folder import PLAN
from fmnist.steps import dataset
from fmnist.steps.errors import ContractError, DataError, FmnistError, StepError
from fmnist.steps.files import sha256, write

SETTINGS = folders.SETTINGS


def test_a_study_trains_with_as_many_workers_as_it_may(made_up: folders.MadeUp, tmp_path: Path) -> None:
    """They print into its log, and its record says how many they were."""
    sample = study.run_study(SETTINGS, range(7, 10), tmp_path, jobs=3)
    assert made_up.asked == [(replace(SETTINGS, seed=7), 3, tmp_path / "log.txt")]
    assert (sample.record["jobs"], sample.record["trained"]) == (3, 3)
    written = json.loads((tmp_path / "record.json").read_bytes())
    assert written == {name: sample.record[name] for name in ("jobs", "machine", "seconds", "started", "trained")}


def test_a_study_trains_on_each_core_unless_told_otherwise(made_up: folders.MadeUp, tmp_path: Path) -> None:
    """Those that this process may use, which may be fewer than there are, and more than the seeds."""
    sample = study.run_study(SETTINGS, range(7, 8), tmp_path)
    assert sample.record["jobs"] == made_up.asked[0][1] == len(os.sched_getaffinity(0))


def test_a_finished_study_is_returned(made_up: folders.MadeUp, tmp_path: Path) -> None:
    """Nothing is trained again, its record stays, and what is missing of its findings is made again."""
    study.run_study(SETTINGS, range(7, 10), tmp_path, jobs=3)
    before = testing.contents(tmp_path)
    (tmp_path / "report.html").unlink()
    announced: list[list[int]] = []
    sample = study.run_study(
        SETTINGS, range(7, 10), tmp_path, jobs=1, on_seeds=lambda seeds: announced.append(list(seeds))
    )
    testing.assert_same_files(got=testing.contents(tmp_path), expected=before)
    assert (announced, made_up.tried, sample.record["jobs"]) == ([[]], [7, 8, 9], 3)
    # Then nothing is written, as nothing can be in a folder for reading only.
    files = {path: path.stat().st_ino for path in tmp_path.rglob("*")}
    assert study.run_study(SETTINGS, range(7, 10), tmp_path).accuracies == sample.accuracies
    assert {path: path.stat().st_ino for path in tmp_path.rglob("*")} == files


def test_a_study_that_was_killed_after_its_last_seed_is_finished(made_up: folders.MadeUp, tmp_path: Path) -> None:
    """All seeds are there, but neither record nor findings; what is recorded is the process that wrote them."""
    study.run_study(SETTINGS, range(7, 10), tmp_path, jobs=3)
    names = {PLAN, DIGESTS, "seeds"}
    before = {name: content for name, content in testing.contents(tmp_path).items() if name.partition("/")[0] in names}
    for path in list(tmp_path.iterdir()):
        if path.name not in names:
            path.unlink()
    (tmp_path / DIGESTS).write_text("".join(f"{sha256(before[name])}  {name}\n" for name in sorted(before)[1:]))
    sample = study.run_study(SETTINGS, range(7, 10), tmp_path, jobs=2)
    assert (made_up.tried, sample.record["jobs"], sample.record["trained"]) == ([7, 8, 9], 2, 0)
    assert (tmp_path / "verdict.json").exists()


def test_findings_of_other_seeds_are_refused(made_up: folders.MadeUp, tmp_path: Path) -> None:
    """A verdict that does not follow from the seeds is not written over, though its checksum is right."""
    study.run_study(SETTINGS, range(7, 10), tmp_path, jobs=3)
    (tmp_path / "verdict.json").write_bytes(b"[{}]\n")
    folders.sign_again(tmp_path)
    before = testing.contents(tmp_path)
    told: list[Sequence[int]] = []
    with pytest.raises(ContractError, match=f"^folder: .* {re.escape(str(tmp_path))},(?s:.*)verdict.json"):
        study.run_study(SETTINGS, range(7, 10), tmp_path, jobs=3, on_seeds=told.append)
    # Nobody was told that these are the results.
    assert (testing.contents(tmp_path), told) == (before, [])


@pytest.mark.usefixtures("made_up")
def test_findings_that_change_while_others_are_made_are_not_signed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures take seconds, in which somebody may put another verdict into the folder: it is refused from then on."""

    def meanwhile(sample: Any, folder: Path) -> list[str]:
        for name, content in findings.texts(sample).items():
            write(folder / name, content)
        (folder / "verdict.json").write_text("[{}]\n")
        return ["accuracies.csv", "verdict.json"]

    monkeypatch.setattr(findings, "write_findings", meanwhile)
    study.run_study(SETTINGS, range(7, 8), tmp_path)
    with pytest.raises(ContractError, match=r"got:\n  'verdict\.json': expected SHA-256 "):
        checked.read_sample(tmp_path)


def test_a_folder_of_something_else_is_refused(made_up: folders.MadeUp, tmp_path: Path) -> None:
    """The error names what is in it."""
    for name in ("b.txt", "a.txt"):
        (tmp_path / name).touch()
    with pytest.raises(ContractError, match=r"with a\.txt, b\.txt\. Nothing was changed"):
        shard_folder.train_shard(SETTINGS, range(7, 10), tmp_path)
    assert made_up.tried == []


def full_after(writes: int) -> Callable[[Path, bytes], None]:
    """Return what writes so many files, and then finds the disk full."""
    left = iter(range(writes))

    def write_or_fail(path: Path, content: bytes) -> None:
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, "full")
        write(path, content)

    return write_or_fail


@pytest.mark.parametrize("writes", [0, 1])
def test_a_study_begins_whichever_write_of_its_plan_failed(
    made_up: folders.MadeUp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    """What a full disk has left of it is taken for the beginning of the same study."""
    monkeypatch.setattr(study_folder, "write", full_after(writes))
    with pytest.raises(FmnistError, match="full"):
        shard_folder.train_shard(SETTINGS, range(7, 9), tmp_path)
    monkeypatch.setattr(study_folder, "write", write)
    shard_folder.train_shard(SETTINGS, range(7, 9), tmp_path)
    assert made_up.tried == [7, 8]


@pytest.mark.parametrize("writes", [1, 2])
def test_a_study_is_resumed_whichever_write_of_a_seed_failed(
    made_up: folders.MadeUp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    """A disk that is full at the one or at the other leaves a folder that is taken, and no seed is lost."""
    shard_folder.train_shard(SETTINGS, range(7, 9), tmp_path)
    (tmp_path / "seeds" / "8.json").unlink()

    def train(*arguments: Any) -> dict[int, str]:
        monkeypatch.setattr(study_folder, "write", full_after(writes - 1))
        return made_up.train(*arguments)

    monkeypatch.setattr(workers, "train", train)
    with pytest.raises(FmnistError, match="full"):
        shard_folder.train_shard(SETTINGS, range(7, 9), tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr(workers, "train", made_up.train)
    shard_folder.train_shard(SETTINGS, range(7, 9), tmp_path)
    assert made_up.tried == [7, 8, 8, 8]


def test_no_result_takes_the_place_of_another(tmp_path: Path) -> None:
    """Of several that come, whichever is there already is refused, and none is kept."""
    there = folders.result(8)
    begun = study_folder.StudyFolder(tmp_path, {}, {}, {}, {8: there})
    with pytest.raises(ContractError, match=r"^seed 8: expected one result, got another, with those of seeds 7-8\. "):
        begun.keep([(one, one.to_json()) for one in (replace(there, seed=7), there)])
    assert (begun.results, begun.digests, list(tmp_path.iterdir())) == ({8: there}, {}, [])


def test_seeds_are_trained_in_their_order(made_up: folders.MadeUp, tmp_path: Path) -> None:
    """Smaller ones come first, also where they have fewer digits; each is told when it is kept."""
    kept: list[bool] = []
    shard_folder.train_shard(
        SETTINGS, range(8, 12), tmp_path, lambda one: kept.append((tmp_path / "seeds" / f"{one.seed}.json").exists())
    )
    assert (made_up.tried, kept) == ([8, 9, 10, 11], [True] * 4)


#: Files of a user's, which look more or less like what a killed process leaves.
THEIRS = [".gitignore", ".notes.template", ".me.settings", ".x.0123abcd.tmp", ".7.json.0123abc", ".7.json.zzzzzzzz.tmp"]


@pytest.mark.parametrize("place", ["", "seeds"])
def test_files_of_the_user_stay(made_up: folders.MadeUp, tmp_path: Path, place: str) -> None:
    """A sweep removes only what is certainly left of a file of ours; a user's file is refused by name, or stays."""
    shard_folder.train_shard(SETTINGS, range(7, 10), tmp_path)
    for name in THEIRS:
        (tmp_path / place / name).write_text("mine")
        with contextlib.suppress(ContractError):
            shard_folder.train_shard(SETTINGS, range(7, 10), tmp_path)
        assert (tmp_path / place / name).read_text() == "mine"
        (tmp_path / place / name).unlink()
    assert made_up.tried == [7, 8, 9]


def test_what_was_left_stays_where_nobody_can_write(
    made_up: folders.MadeUp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a disk for reading only, from which a finished study is shown."""
    shard_folder.train_shard(SETTINGS, range(7, 10), tmp_path)
    (left := tmp_path / "seeds" / ".7.json.0123abcd.tmp").write_text("{")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", Mock(side_effect=OSError(errno.EROFS, "read-only")))
        study_folder.opened(tmp_path, SETTINGS, range(7, 10)).sweep(["seeds/7.json"])
    assert left.exists()
    study_folder.opened(tmp_path, SETTINGS, range(7, 10)).sweep(["seeds/7.json"])
    assert not left.exists()
    assert made_up.tried == [7, 8, 9]


def test_a_resumed_study_records_how_many_it_trained(
    made_up: folders.MadeUp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record is of the last attempt: of three seeds one was missing, also where somebody removed it afterwards."""
    made_up.failing[8] = 1
    with pytest.raises(StepError, match="1 of its seeds failed"):
        study.run_study(SETTINGS, range(7, 10), tmp_path, jobs=2)
    assert study.run_study(SETTINGS, range(7, 10), tmp_path, jobs=2).record["trained"] == 1
    (tmp_path / "seeds" / "9.json").unlink()
    (tmp_path / "seeds" / "7.json").unlink()
    monkeypatch.setattr(study, "_conclude", lambda _, record: record)  # the pictures were made above
    record: Any = study.run_study(SETTINGS, range(7, 10), tmp_path, jobs=1)
    assert (record["trained"], record["jobs"]) == (2, 1)


def test_a_download_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The dataset, which a study needs first, may have to be fetched, and that takes a while."""
    fetch = Mock(side_effect=DataError("enough"))
    monkeypatch.setattr(dataset, "fetch", fetch)
    with pytest.raises(DataError, match="enough"):
        study.run_study(SETTINGS, range(2), tmp_path, 1, on_progress=print)
    assert fetch.call_args.kwargs == {"on_progress": print}


def test_a_folder_is_not_one_of_two_studies(
    made_up: folders.MadeUp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each difference is told in a line of its own, with what to do; nobody waits for the dataset before."""
    shard_folder.train_shard(SETTINGS, range(7, 10), tmp_path)
    monkeypatch.delattr(dataset, "fetch")
    other = replace(SETTINGS, epochs=SETTINGS.epochs + 1, validation_split=0.25)
    with pytest.raises(ContractError) as caught:
        shard_folder.train_shard(other, range(7, 10), tmp_path)
    assert str(caught.value) == (
        f"shard of seeds 7-9: study folder: expected the same study as the one in {tmp_path}, got another:\n"
        f"  parameters.epochs: it was {SETTINGS.epochs}, now it is {SETTINGS.epochs + 1}\n"
        f"  parameters.validation_split: it was {SETTINGS.validation_split}, now it is 0.25\n"
        "Nothing was changed. Choose another folder with -o, or ask for the study as it was."
    )
