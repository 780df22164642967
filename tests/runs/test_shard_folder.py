"""Tests of shards of a study, and of the study that is put together from them, with made-up results.

`test_study_end_to_end.py` trains.
"""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support import folders

from fmnist import testing
from fmnist.replication.sample import Result
from fmnist.runs import folder as folders_of_runs
from fmnist.runs import provenance, shard_folder, shards, study, workers
from fmnist.runs.checksums import DIGESTS
from fmnist.runs.folder import PLAN
from fmnist.steps import dataset
from fmnist.steps.errors import ContractError, DataError, FmnistError, StepError
from fmnist.steps.files import sha256
from fmnist.steps.settings import Settings

SETTINGS = folders.SETTINGS


def divided(folder: Path, count: int, first: int, number: int) -> list[Path]:
    """Train the shards of a study, and return their folders."""
    found = []
    for shard in shards.divide(count, first, number):
        found.append(folder / shards.name(shard))
        shard_folder.train_shard(SETTINGS, shard, found[-1])
    return found


def test_a_shard_has_its_seeds_with_their_checksums(made_up: folders.MadeUp, tmp_path: Path) -> None:
    """A shard is a study's folder without findings: the plan, a file a seed, and their SHA-256."""
    told: list[int] = []
    shard_folder.train_shard(SETTINGS, range(7, 10), tmp_path, lambda result: told.append(result.seed))
    files = testing.contents(tmp_path)
    assert files.keys() == {PLAN, DIGESTS, "seeds/7.json", "seeds/8.json", "seeds/9.json"}
    names = ["seeds/7.json", "seeds/8.json", "seeds/9.json", "study.json"]
    assert files[DIGESTS].decode() == "".join(f"{sha256(files[name])}  {name}\n" for name in names)
    assert files["seeds/8.json"] == folders.result(8).to_json()
    assert made_up.tried == told == [7, 8, 9]
    # On one core, and what the workers print is the step's output.
    assert made_up.asked == [(replace(SETTINGS, seed=7), 1, None)]


def test_a_seed_that_changes_while_others_train_is_refused(made_up: folders.MadeUp, tmp_path: Path) -> None:
    """What a shard leaves is what it wrote, hours before."""

    def change(result: Result) -> None:
        if result.seed == 9:
            (tmp_path / "seeds" / "7.json").write_text("{}")

    with pytest.raises(ContractError, match=r"seeds/7\.json"):
        shard_folder.train_shard(SETTINGS, range(7, 10), tmp_path, change)


@pytest.mark.usefixtures("made_up")
def test_a_shard_at_work_keeps_others_out(tmp_path: Path) -> None:
    """Two in one folder would train each seed twice."""
    told: list[int] = []

    def look(result: Result) -> None:
        told.append(result.seed)
        with pytest.raises(ContractError, match="^shard of seeds 7-8: shard folder: expected one in which no other"):
            shard_folder.train_shard(SETTINGS, range(7, 9), tmp_path)

    shard_folder.train_shard(SETTINGS, range(7, 9), tmp_path, look)
    assert told == [7, 8]


def test_a_shard_is_resumed_by_seed(made_up: folders.MadeUp, tmp_path: Path) -> None:
    """In the folder of a shard that was broken off only the missing seeds are trained."""
    shard_folder.train_shard(SETTINGS, range(7, 10), tmp_path)
    (tmp_path / "seeds" / "8.json").unlink()
    (tmp_path / "seeds" / ".9.json.0123abcd.tmp").write_text('{"seed": 9')
    (tmp_path / ".study.json.0123abcd.tmp").write_text("{")
    made_up.tried.clear()
    shard_folder.train_shard(SETTINGS, range(7, 10), tmp_path)
    assert made_up.tried == [8]
    assert sorted(path.name for path in (tmp_path / "seeds").iterdir()) == ["7.json", "8.json", "9.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [DIGESTS, "seeds", PLAN]


def test_a_shard_tries_a_failed_seed_again(made_up: folders.MadeUp, tmp_path: Path) -> None:
    """A seed that fails twice is there in the end: servers do not try a step in a loop again."""
    made_up.failing[8] = 2
    shard_folder.train_shard(SETTINGS, range(7, 10), tmp_path)
    assert len(list(tmp_path.glob("seeds/*.json"))) == 3


def test_a_shard_that_fails_names_its_seeds(made_up: folders.MadeUp, tmp_path: Path) -> None:
    """The error says which shard it is, which seeds failed and why, and what to do; the others are kept."""
    made_up.failing |= {8: 3, 9: 3}
    with pytest.raises(StepError) as error:
        shard_folder.train_shard(SETTINGS, range(7, 10), tmp_path)
    assert str(error.value) == (
        "shard of seeds 7-9: 2 of them failed, each 3 times:\n  seed 8: no luck\n  seed 9: no luck\n"
        "Run the study again, with the cache on: shards that ended well are taken from it."
    )
    assert [path.name for path in tmp_path.glob("seeds/*.json")] == ["7.json"]


def test_a_shard_whose_seeds_all_fail_is_brief(made_up: folders.MadeUp, tmp_path: Path) -> None:
    """Of many failures a few are told, and how many more there are."""
    made_up.failing |= dict.fromkeys(range(100), 3)
    with pytest.raises(StepError, match=r"(?s)^shard of seeds 0-99: 100 of them failed.*\n  and 90 more\n") as error:
        shard_folder.train_shard(SETTINGS, range(100), tmp_path)
    assert len(str(error.value).splitlines()) == 13


@pytest.mark.parametrize(("count", "more"), [(10, []), (11, ["  and 1 more"]), (12, ["  and 2 more"])])
def test_failures_are_told_by_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, more: list[str]
) -> None:
    """Whichever failed first: of many the same few are told each time."""
    monkeypatch.setattr(workers, "train", lambda *_: dict.fromkeys(reversed(range(count)), "no luck"))
    with pytest.raises(StepError) as error:
        shard_folder.train_shard(SETTINGS, range(count), tmp_path)
    told = [f"  seed {seed}: no luck" for seed in range(10)]
    assert str(error.value).splitlines()[1:-1] == [*told, *more]


def test_a_shard_trains_in_a_clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What surrounds the step does not reach its workers, and is there again afterwards."""
    monkeypatch.setenv("TF_DETERMINISTIC_OPS", "1")
    monkeypatch.setenv("FMNIST_KFP_TOKEN", "a-secret-token")
    seen: list[str] = []

    def train(*_: Any) -> dict[int, str]:
        seen.extend(os.environ)
        return {7: "no luck"}

    monkeypatch.setattr(workers, "train", train)
    with pytest.raises(StepError, match="seed 7: no luck"):
        shard_folder.train_shard(SETTINGS, range(7, 8), tmp_path)
    assert "PATH" in seen
    assert not {"TF_DETERMINISTIC_OPS", "FMNIST_KFP_TOKEN"} & set(seen)
    assert os.environ["FMNIST_KFP_TOKEN"] == "a-secret-token"  # noqa: S105 - not one


def test_a_long_reason_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each failure 400 characters are told, and that there are more."""
    monkeypatch.setattr(workers, "train", lambda *_: {7: "x" * 10_000})
    with pytest.raises(StepError) as error:
        shard_folder.train_shard(SETTINGS, range(7, 8), tmp_path)
    assert f"  seed 7: {'x' * 400} ..." in str(error.value).splitlines()


@pytest.mark.parametrize(("raised", "kind"), [(DataError, DataError), (OSError, StepError)])
def test_whatever_ends_a_shard_it_names_its_seeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: type[Exception], kind: type[FmnistError]
) -> None:
    """Also without the dataset, or with a full disk, the error says which seeds are missing."""

    def fetch(**_: object) -> None:
        raise raised("no luck")

    monkeypatch.setattr(dataset, "fetch", fetch)
    with pytest.raises(kind, match="^shard of seeds 7-9: no luck$"):
        shard_folder.train_shard(SETTINGS, range(7, 10), tmp_path)


@pytest.mark.parametrize(("count", "number"), [(1, 7), (20, 3), (60, 7)])
def test_shards_give_what_a_study_gives(made_up: folders.MadeUp, tmp_path: Path, count: int, number: int) -> None:
    """Put together, in any order, shards give the folder of `fmnist study`, byte for byte but for when it was made."""
    sample = study.run_study(SETTINGS, range(1000, 1000 + count), tmp_path / "here", jobs=7)
    found = divided(tmp_path, count, 1000, number)
    gathered = study.gather(SETTINGS, range(1000, 1000 + count), reversed(found), tmp_path / "there")
    assert gathered.results == sample.results
    assert (gathered.record["jobs"], gathered.record["trained"]) == (1, 0)
    assert (sample.record["jobs"], sample.record["trained"]) == (7, count)
    here, there = (testing.contents(tmp_path / name) for name in ("here", "there"))
    others = {"record.json", "report.html", "RECORD.sha256"}
    assert there.keys() == here.keys()
    testing.assert_same_files(
        got={name: content for name, content in there.items() if name not in others},
        expected={name: content for name, content in here.items() if name not in others},
    )
    assert sum(name.startswith("seeds/") for name in there) == count
    record = b'<section aria-labelledby="record">'
    assert there["report.html"].split(record)[0] == here["report.html"].split(record)[0]


@pytest.fixture
def two(made_up: folders.MadeUp, tmp_path: Path) -> list[Path]:
    """The two shards of a study of three seeds."""
    return divided(tmp_path, 3, 5, 2)


def put_together(found: Sequence[Path], folder: Path) -> None:
    """Put the study of three seeds together."""
    study.gather(SETTINGS, range(5, 8), found, folder)


@pytest.mark.parametrize(
    ("shards_there", "said"),
    [
        ([0], "study: expected 3 seeds from 5 on, each once, got 1, and not 6."),
        ([1], "study: expected 3 seeds from 5 on, each once, got 2, and not 5."),
        ([], "study: expected 3 seeds from 5 on, each once, got 0, and not 5."),
        (
            [0, 1, 1],
            "seed 6: expected one result, got another, with those of seeds 6-7. Give each shard once, and a new "
            "folder.",
        ),
    ],
    ids=["last", "first", "all", "twice"],
)
def test_a_study_takes_each_seed_once(two: list[Path], tmp_path: Path, shards_there: list[int], said: str) -> None:
    """Without a shard, or with one twice, there is no verdict."""
    with pytest.raises(ContractError, match=f"^{re.escape(said)}$"):
        put_together([two[i] for i in shards_there], tmp_path / "study")
    assert not (tmp_path / "study" / "verdict.json").exists()


def test_a_shard_of_other_seeds_is_refused(two: list[Path], tmp_path: Path) -> None:
    """Seeds that the study does not have, and those that two shards have, are told."""
    shard_folder.train_shard(SETTINGS, range(7, 9), tmp_path / "7-8")
    for seeds, name in ((range(5, 8), "one"), (range(8, 11), "another"), (range(1, 8), "third")):
        with pytest.raises(ContractError) as error:
            study.gather(SETTINGS, seeds, [tmp_path / "7-8"], tmp_path / name)
        assert not (tmp_path / name / "seeds").exists()
        assert str(error.value) == (
            f"shard of 2 seeds from 7 on: expected seeds of this study, {seeds[0]} to {seeds[-1]}, got others. Give "
            "the shards of this study alone, or ask for all of their seeds."
        )
    shard_folder.train_shard(SETTINGS, range(7, 8), tmp_path / "7-7")
    with pytest.raises(ContractError, match="^seed 7: expected one result, got another, with those of seeds 7-7"):
        put_together([*two, tmp_path / "7-7"], tmp_path / "study")


def forged(folder: Path) -> None:
    """Change a seed's accuracy."""
    folders.edit(folder / "seeds" / "6.json", lambda value: value.update(accuracy=0.99))


def removed(folder: Path) -> None:
    """Remove a seed's file."""
    (folder / "seeds" / "6.json").unlink()


def forgotten(folder: Path) -> None:
    """Remove a seed's file, and its checksum."""
    removed(folder)
    folders.sign_again(folder)


def added(folder: Path) -> None:
    """Add a seed that was not recorded."""
    (folder / "seeds" / "8.json").write_bytes(folders.result(8).to_json())


def copied(folder: Path) -> None:
    """Let a seed have the result of another, and sign that."""
    folders.edit(folder / "seeds" / "7.json", lambda value: value.update(model=folders.result(6).model))
    folders.sign_again(folder)


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        (forged, "'seeds/6.json': expected SHA-256 "),
        (removed, "'seeds/6.json': it is missing"),
        (forgotten, "shard of 2 seeds from 6 on: expected all of them, got 1. Run the study again"),
        (added, "'seeds/8.json': it was not recorded"),
        (copied, "'seeds/7.json': expected a model of its own, got that of 'seeds/6.json'"),
        (lambda folder: (folder / DIGESTS).unlink(), "RECORD.sha256: expected this list of checksums, got none"),
        (lambda folder: (folder / PLAN).unlink(), "'study.json': it is missing"),
    ],
    ids=["changed", "removed", "forgotten", "added", "copied", "no checksums", "no plan"],
)
def test_a_shard_that_was_tampered_with_is_refused(
    two: list[Path], tmp_path: Path, tamper: Callable[[Path], Any], said: str
) -> None:
    """What a shard wrote, and nothing else, is judged: the error names what is wrong."""
    tamper(two[1])
    with pytest.raises(ContractError) as error:
        put_together(two, tmp_path / "study")
    assert said in str(error.value)
    assert not (tmp_path / "study" / "verdict.json").exists()


@pytest.mark.parametrize(("name", "content"), [(PLAN, b"[]\n"), ("seeds/6.json", b"{}\n")])
@pytest.mark.parametrize(
    "use",
    [
        lambda folder: study.gather(SETTINGS, range(5, 8), [folder], folder.with_name("study")),
        lambda folder: shard_folder.train_shard(SETTINGS, range(5, 8), folder),
    ],
    ids=["put together", "resumed"],
)
def test_a_shard_that_cannot_be_read_is_named(
    made_up: folders.MadeUp, tmp_path: Path, name: str, content: bytes, use: Callable[[Path], Any]
) -> None:
    """Of a hundred shards, the one in which a file is none of ours."""
    shard_folder.train_shard(SETTINGS, range(5, 8), tmp_path / "5-7")
    (tmp_path / "5-7" / name).write_bytes(content)
    folders.sign_again(tmp_path / "5-7")
    with pytest.raises(ContractError, match=re.escape(f"{tmp_path / '5-7'}, ")):
        use(tmp_path / "5-7")


def test_a_result_that_was_copied_to_another_shard_is_refused(two: list[Path], tmp_path: Path) -> None:
    """No two seeds of a study have the same model."""
    folders.edit(two[0] / "seeds" / "5.json", lambda value: value.update(model=folders.result(7).model))
    folders.sign_again(two[0])
    with pytest.raises(ContractError, match="^seed 7: expected a model of its own, got that of seed 5"):
        put_together(two, tmp_path / "study")


def test_a_shard_of_another_study_is_refused(two: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shard that was trained with other parameters, packages or code is told by what differs."""
    with pytest.raises(ContractError) as error:
        study.gather(Settings(epochs=3), range(5, 8), two, tmp_path / "study")
    assert str(error.value) == (
        "shard of 1 seeds from 5 on: expected one of this study, got another:\n  parameters.epochs: expected 3, got 2\n"
        "Run the study again with one image and without the cache."
    )
    known = provenance.provenance()
    monkeypatch.setattr(
        provenance, "provenance", lambda _: {**known, "versions": {**known["versions"], "numpy": "1.0"}}
    )
    with pytest.raises(ContractError, match=r"\n  versions.numpy: expected 1.0, got "):
        put_together(two, tmp_path / "another")


def test_the_verdict_holds_one_shard_at_once(two: list[Path], tmp_path: Path) -> None:
    """Shards are read one after the other: the next is looked at when the seeds of the one before are written."""

    def one_by_one() -> Any:
        yield two[0]
        assert (tmp_path / "study" / "seeds" / "5.json").exists()
        yield two[1]

    study.gather(SETTINGS, range(5, 8), one_by_one(), tmp_path / "study")
    assert folders_of_runs.seed_path(tmp_path / "study", 7).exists()


def test_a_file_is_no_folder_of_a_shard(tmp_path: Path) -> None:
    """It is called what it is."""
    (tmp_path / "file").touch()
    with pytest.raises(ContractError, match="^shard of seeds 7-9: shard folder: expected a folder, got a file: "):
        shard_folder.train_shard(SETTINGS, range(7, 10), tmp_path / "file")
