"""Tests of what is read of a folder, on a few short files: each refusal told whole; `test_checked.py` has forgeries."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from support.folders import SEED

from fmnist.runs import recorded
from fmnist.runs.schemas import SeedResult, StudyPlan, StudyRecord, parse
from fmnist.steps.errors import ContractError
from fmnist.steps.files import canonical_json, sha256

#: The files of a folder, with the one that lists the others.
CONTENTS = {"accuracies.csv": b"table", "seeds/5.json": b"five", "seeds/6.json": b"six", "study.json": b"plan"}

#: By `sha256sum`.
TABLE = "0d4fc4a78d3706edccafb665a8b2fdd9309e82c78625bb0f2b8e7bb9e1c4d21c"
OTHER = "d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa"

#: What a user reads before and after what is wrong with the folder.
BEFORE = "folder: expected a finished run or study in {}, or a study to resume, as it was recorded, got:\n  "
AFTER = (
    "\nNothing was changed. Restore what is named from a copy, and remove what was not recorded. Of a study you may "
    "also remove a seed's file: the same study, run again, trains that seed again."
)


def listing(contents: Mapping[str, bytes]) -> bytes:
    """Return what `sha256sum` prints of these files."""
    return "".join(f"{sha256(content)}  {name}\n" for name, content in sorted(contents.items())).encode()


def recorded_folder(folder: Path, contents: Mapping[str, bytes]) -> Path:
    """Write these files, and the list of them."""
    (folder / "seeds").mkdir()
    for name, content in {**contents, "RECORD.sha256": listing(contents)}.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of four files, and the list of them."""
    return recorded_folder(tmp_path, CONTENTS)


def refused(folder: Path, **options: Any) -> str:
    """Return what is wrong with a folder, without what is said of each."""
    with pytest.raises(ContractError) as caught:
        recorded.read_files(folder, **options)
    message = str(caught.value)
    assert message.startswith(BEFORE.format(folder))
    assert message.endswith(AFTER)
    return message.removeprefix(BEFORE.format(folder)).removesuffix(AFTER)


def test_all_recorded_files_are_read(folder: Path) -> None:
    """Those are in the list, beside it; what else somebody or a killed process left is not looked into."""
    (folder / "notes.txt").write_text("mine")
    (folder / "seeds" / ".7.json.0123abcd.tmp").write_text("half")
    (folder / "mine" / "deeper").mkdir(parents=True)
    expected = {**CONTENTS, "RECORD.sha256": listing(CONTENTS)}
    assert recorded.read_files(folder) == expected
    (folder / "study.json").write_text("of another version")
    (folder / "seeds" / "5.json").unlink()
    assert recorded.read_files(folder, without=("study.json",), unfinished=True) == {
        name: content for name, content in expected.items() if name not in {"study.json", "seeds/5.json"}
    }
    (folder / "seeds" / "7.json").touch()
    assert refused(folder, without=("study.json",), unfinished=True) == "'seeds/7.json': it was not recorded"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: (f / "RECORD.sha256").unlink(), "RECORD.sha256: expected this list of checksums, got none"),
        (lambda f: (f / "study.json").unlink(), "'study.json': it is missing"),
        (lambda f: (f / "seeds" / "7.json").touch(), "'seeds/7.json': it was not recorded"),
        (lambda f: (f / "seeds" / ".7.json").touch(), "'seeds/.7.json': it was not recorded"),
        (lambda f: [(f / "labels").mkdir(), (f / "labels" / "x").touch()], "'labels/x': it was not recorded"),
        (
            lambda f: (f / "accuracies.csv").write_bytes(b"other"),
            f"'accuracies.csv': expected SHA-256 {TABLE}, got {OTHER}",
        ),
        (
            lambda f: [(f / "accuracies.csv").unlink(), (f / "seeds" / "7.json").touch()],
            "'seeds/7.json': it was not recorded\n  'accuracies.csv': it is missing",
        ),
        (
            lambda f: [
                (f / "accuracies.csv").write_bytes(b"other"),
                (f / "seeds" / "5.json").rename(f / "seeds/7.json"),
            ],
            f"'seeds/7.json': it was not recorded\n  'accuracies.csv': expected SHA-256 {TABLE}, got {OTHER}\n"
            "  'seeds/5.json': it is missing",
        ),
        (
            lambda f: (f / "RECORD.sha256").write_bytes(listing(CONTENTS).replace(b"d21c  ", b"d21d  ")),
            f"'accuracies.csv': expected SHA-256 {TABLE[:-1]}d, got {TABLE}",
        ),
        (lambda f: (f / "seeds" / "x").mkdir(), "'seeds/x': expected a file, got a folder"),
        (lambda f: (f / "labels").touch(), "'labels': expected a folder, got none"),
        (lambda f: (f / "link").symlink_to("study.json"), "'link': expected a file, got a link, a FIFO or a device"),
        (lambda f: (f / "link").symlink_to("seeds"), "'link': expected a file, got a link, a FIFO or a device"),
        (lambda f: os.mkfifo(f / "pipe"), "'pipe': expected a file, got a link, a FIFO or a device"),
        (
            lambda f: (f / "RECORD.sha256").write_bytes(b"\xff"),
            "RECORD.sha256: expected lines of a SHA-256 and a name, each once, by name, got others",
        ),
    ],
    ids=[
        "no list",
        "missing",
        "more",
        "hidden",
        "more labels",
        "another",
        "two",
        "three",
        "a digit",
        "folder",
        "no folder",
        "link",
        "link to a folder",
        "FIFO",
        "no list of it",
    ],
)
def test_what_is_wrong_is_told(folder: Path, change: Callable[[Path], object], said: str) -> None:
    """Each file by its name, what was expected, and what to do."""
    change(folder)
    assert refused(folder) == said


def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """Whatever the system says of it."""
    folder = tmp_path / "nowhere"
    said = f"[Errno 2] No such file or directory: '{folder}'"
    assert refused(folder) == said
    with pytest.raises(ContractError) as caught:
        recorded.check_files(folder, {})
    assert str(caught.value) == BEFORE.format(folder) + said + AFTER


@pytest.mark.parametrize(("count", "more"), [(10, ""), (11, "\n  and 1 more"), (12, "\n  and 2 more")])
def test_many_problems_are_counted(folder: Path, count: int, more: str) -> None:
    """Ten are listed."""
    for number in range(100, 100 + count):
        (folder / "seeds" / f"{number}.json").touch()
    listed = "\n  ".join(f"'seeds/{number}.json': it was not recorded" for number in range(100, 110))
    assert refused(folder) == listed + more


def test_both_lists_must_agree(tmp_path: Path) -> None:
    """SHA256SUMS has what the other list has, but for what may be another each time."""
    same = {"study.json": b"plan", "verdict.json": b"[]"}
    others = {"record.json": b"went", "report.html": b"page", "run.json": b"ran"}
    whole = {**same, **others, "SHA256SUMS": listing(same)}
    assert recorded.read_files(recorded_folder(tmp_path, whole)).keys() == {*whole, "RECORD.sha256"}
    wrong = {**whole, "SHA256SUMS": listing({**same, "run.json": b"ran"})}
    (tmp_path / "SHA256SUMS").write_bytes(wrong["SHA256SUMS"])
    (tmp_path / "RECORD.sha256").write_bytes(listing(wrong))
    for unfinished in (False, True):
        told = refused(tmp_path, unfinished=unfinished)
        assert told == "'SHA256SUMS': expected the checksums that RECORD.sha256 has, got others"


@pytest.mark.parametrize("name", ["record.json", "report.html", "run.json", "SHA256SUMS"])
def test_what_may_be_another_each_time_may_not_be_missing(tmp_path: Path, name: str) -> None:
    """A finished folder has all that was recorded of it, also what no other run must have."""
    recorded_folder(tmp_path, {"study.json": b"plan", name: listing({"study.json": b"plan"})})
    (tmp_path / name).unlink()
    assert refused(tmp_path) == f"'{name}': it is missing"
    assert recorded.read_files(tmp_path, unfinished=True).keys() == {"study.json", "RECORD.sha256"}


def test_sizes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file, and all together, may have just so many bytes; no more of one is read."""
    assert (recorded.LARGEST, recorded.LARGEST_FOLDER) == (67_108_864, 1_073_741_824)
    folder = recorded_folder(tmp_path, {**CONTENTS, "study.json": b"x" * 400})
    monkeypatch.setattr(recorded, "LARGEST", 400)
    monkeypatch.setattr(recorded, "LARGEST_FOLDER", 728)
    assert sum(map(len, recorded.read_files(folder).values())) == 728
    monkeypatch.setattr(recorded, "LARGEST_FOLDER", 727)
    for unfinished in (False, True):
        assert refused(folder, unfinished=unfinished) == "'study.json': expected at most 727 bytes in all, got more"
    os.truncate(folder / "study.json", 2**40)
    assert refused(folder) == "'study.json': expected at most 400 bytes, got more"
    monkeypatch.setattr(recorded, "LARGEST", 315)
    assert refused(folder) == "'RECORD.sha256': expected at most 315 bytes, got more"
    with pytest.raises(ContractError, match=r"^'record.json': expected at most 315 bytes, got more$"):
        recorded._read(folder / "RECORD.sha256", "record.json")


def test_a_file_that_changes_its_kind_meanwhile_is_not_read(tmp_path: Path) -> None:
    """A link is not followed, and nobody waits for who writes into a FIFO."""
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    assert recorded._read(tmp_path / "file", "name") == b"content"
    with pytest.raises(OSError, match="symbolic links"):
        recorded._read(tmp_path / "link", "name")
    with pytest.raises(ContractError, match=r"^'name': expected a file, got a link, a FIFO or a device$"):
        recorded._read(tmp_path / "pipe", "name")


def test_files_are_compared_with_what_was_written(folder: Path) -> None:
    """After days of a study its files are those that it wrote, whatever the list says, and no other seed is there."""
    digests = {name: sha256(content) for name, content in CONTENTS.items()}
    recorded.check_files(folder, digests)
    for written, said in (
        ({**digests, "accuracies.csv": OTHER}, f"'accuracies.csv': expected SHA-256 {OTHER}, got {TABLE}"),
        ({**digests, "seeds/7.json": OTHER}, "'seeds/7.json': it is missing"),
        ({"study.json": digests["study.json"], "seeds/5.json": digests["seeds/5.json"]}, "'seeds/6.json': it was not"),
    ):
        with pytest.raises(ContractError) as caught:
            recorded.check_files(folder, written)
        assert str(caught.value).startswith(BEFORE.format(folder) + said)


def test_files_that_are_needed_are_named(tmp_path: Path) -> None:
    """All that are missing, by name."""
    recorded.need(["a", "b"], {"a": b"", "b": b"", "c": b""})
    with pytest.raises(ContractError, match=r"^RECORD\.sha256: expected a, c, d, e in it, got none$"):
        recorded.need(["e", "c", "b", "a", "d"], {"b": b""})
    with pytest.raises(ContractError) as caught:
        recorded.plan_in(tmp_path, {})
    assert str(caught.value) == BEFORE.format(tmp_path) + "RECORD.sha256: expected study.json in it, got none" + AFTER


PLAN: dict[str, Any] = {
    "parameters": {"compile_optimizer": "adam", "epochs": 2, "validation_split": 0.05},
    "seeds": {"first": 5, "count": 3},
    "versions": {"python": "3.11"},
    "code": {"sha256": "b" * 64},
    "data": {"images": "c" * 64},
    "switches": {"TF_ENABLE_ONEDNN_OPTS": "0"},
}


def files(seeds: Mapping[str, Mapping[str, Any]]) -> dict[str, bytes]:
    """Return the files of a study with these seeds."""
    return {
        "study.json": canonical_json(PLAN),
        **{f"seeds/{name}.json": canonical_json({**SEED, **seed}) for name, seed in seeds.items()},
    }


def test_the_seeds_of_a_study_are_read(tmp_path: Path) -> None:
    """Those that are there, by seed; a plan is one too."""
    there = files({"6": {"seed": 6, "model": "d" * 64}, "5": {}})
    assert recorded.plan_in(tmp_path, there) == PLAN
    assert [(one.seed, one.model) for one in recorded.read_seeds(tmp_path, there)] == [(5, "a" * 64), (6, "d" * 64)]
    assert [one.seed for one in recorded.read_seeds(tmp_path, files({"6": {"seed": 6}}))] == [6]
    ninth = {"study.json": canonical_json({**PLAN, "seeds": {"first": 9, "count": 2}})}
    there = files({"10": {"seed": 10}, "9": {"seed": 9, "model": "d" * 64}}) | ninth
    assert [one.seed for one in recorded.read_seeds(tmp_path, there)] == [9, 10]
    for read in (recorded.plan_in, recorded.read_seeds):
        with pytest.raises(ContractError) as caught:
            read(tmp_path, {"study.json": b"{}"})
        assert "got:\n  study.json: 'versions': Field required\n" in str(caught.value)


@pytest.mark.parametrize(
    ("seeds", "said"),
    [
        ({"4": {"seed": 4}}, "'seeds/4.json': expected seeds of the plan, 5 to 7, got another"),
        ({"8": {"seed": 8}}, "'seeds/8.json': expected seeds of the plan, 5 to 7, got another"),
        ({"05": {}, "5": {}}, "'seeds/05.json': expected seeds of the plan, 5 to 7, got another"),
        ({"05": {}}, "'seeds/05.json': expected seeds of the plan, 5 to 7, got another"),
        ({"5": {}, "6": {"seed": 6}}, "'seeds/6.json': expected a model of its own, got that of 'seeds/5.json'"),
        (
            {"5": {}, "6": {"seed": 6, "model": "d" * 64}, "7": {"seed": 7}},
            "'seeds/7.json': expected a model of its own, got that of 'seeds/5.json'",
        ),
        ({"6": {}}, "'seeds/6.json': expected 6 as the seed, got 5"),
        ({"5": {"accuracy": 1.5}}, "seeds/5.json: 'accuracy': Input should be less than or equal to 1"),
        (
            {"5": {"history": {name: [0.5] for name in SEED["history"]}}},
            "'seeds/5.json': expected 2 as the number of epochs, got 1",
        ),
        ({"5": {"mistakes": [[1, 9, 5, 0.75]]}}, "'seeds/5.json': expected 2 as the label of image 1, got 9"),
        (
            {
                "5": {
                    "accuracy": 0.9993,
                    "counts": [*SEED["counts"][:9], [0, 0, 0, 0, 0, 7, 0, 0, 0, 993]],
                    "mistakes": [[image, 9, 5, 0.75] for image in range(7)],
                }
            },
            "'seeds/5.json': expected 2 as the label of image 1, got 9",
        ),
    ],
    ids=[
        "before",
        "after",
        "spelling",
        "spelling alone",
        "model",
        "first model",
        "seed",
        "range",
        "epochs",
        "labels",
        "many labels",
    ],
)
def test_other_seeds_are_refused(seeds: Mapping[str, Mapping[str, Any]], said: str, tmp_path: Path) -> None:
    """A seed must be of the plan, in its own file, with a model of its own, and of the images that the dataset has."""
    with pytest.raises(ContractError) as caught:
        recorded.read_seeds(tmp_path, files(seeds))
    assert str(caught.value) == BEFORE.format(tmp_path) + said + AFTER


def test_the_label_of_each_mistake_is_compared() -> None:
    """Also that of the last of a thousand."""
    mistakes = [[image, 9, 5, 0.75] for image in range(1_000)]
    counts = [*SEED["counts"][:9], [0, 0, 0, 0, 0, 1_000, 0, 0, 0, 0]]
    content = canonical_json({**SEED, "accuracy": 0.9, "counts": counts, "mistakes": mistakes})
    assert recorded.seed_result("5.json", content, 5, 2, [9] * 1_000).accuracy == 0.9
    with pytest.raises(ContractError, match="^'5.json': expected 2 as the label of image 999, got 9$"):
        recorded.seed_result("5.json", content, 5, 2, [9] * 999 + [2])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"accuracy": 1.5}, "'accuracy': Input should be less than or equal to 1"),
        ({"x\x1b" * 60: 1}, "'" + "x\\x1b" * 19 + "x\\x1 ...: Extra inputs are not permitted"),
        ({"accuracy": 0.5}, "Value error, accuracy: expected 0.9999, as the counts say, got 0.5"),
        ({"counts": [[1000] + [0] * 9] * 9 + [[999] + [0] * 9]}, "Value error, counts: expected rows that sum to 1000"),
        (
            {"counts": [[1000, 1] + [0] * 8, [0, 999] + [0] * 8, *SEED["counts"][2:]]},
            "Value error, counts: expected rows that sum to 1000",
        ),
        ({"mistakes": []}, "Value error, mistakes: expected as many of each kind as the counts say"),
        (
            {"mistakes": [[0, 9, 5, 0.75], [1, 9, 5, 0.75]]},
            "Value error, mistakes: expected as many of each kind as the counts say",
        ),
        ({"mistakes": [[0, 9, 5, 0.75]] * 2}, "Value error, mistakes: expected each image once, by number"),
        (
            {
                "accuracy": 0.9998,
                "counts": [*SEED["counts"][:9], [0, 0, 0, 0, 0, 2, 0, 0, 0, 998]],
                "mistakes": [[1, 9, 5, 0.75], [0, 9, 5, 0.75]],
            },
            "Value error, mistakes: expected each image once, by number",
        ),
        ({"mistakes": [[0, 9, 5, 0]]}, "'mistakes'.0.3: Input should be greater than 0"),
        (
            {"history": {**SEED["history"], "loss": [0.5]}},
            "'history': Value error, expected one value an epoch of each",
        ),
    ],
    ids=["range", "long key", "accuracy", "sums", "total", "fewer", "more", "twice", "order", "confidence", "uneven"],
)
def test_a_result_must_agree_with_itself(change: Mapping[str, Any], said: str) -> None:
    """The file, the place in it, and what is wrong."""
    with pytest.raises(ContractError) as caught:
        parse(SeedResult, "seeds/5.json", canonical_json({**SEED, **change}))
    assert str(caught.value).startswith(f"seeds/5.json: {said}")


def test_a_file_is_spelt_as_fmnist_writes_it() -> None:
    """The same values in another text, or text that steers a terminal, were written by somebody else."""
    assert parse(StudyPlan, "study.json", canonical_json(PLAN)).model_dump() == PLAN
    with pytest.raises(ContractError) as caught:
        parse(StudyPlan, "study.json", json.dumps(PLAN).encode())
    assert str(caught.value) == "study.json: expected it as fmnist writes it, each key once, got another text"
    for other in (canonical_json(PLAN) + b"\n", canonical_json(PLAN)[:-1], b" " + canonical_json(PLAN)):
        with pytest.raises(ContractError, match="expected it as fmnist writes it, each key once, got another text$"):
            parse(StudyPlan, "study.json", other)
    with pytest.raises(ContractError) as caught:
        parse(StudyPlan, "study.json", canonical_json({**PLAN, "versions": {"python": "\x1b[2J"}}))
    assert str(caught.value) == "study.json: 'versions'.'python': Value error, expected text that can be printed"
    with pytest.raises(ContractError) as caught:
        parse(StudyRecord, "record.json", b"[]")
    assert str(caught.value) == "record.json: Input should be an object"
