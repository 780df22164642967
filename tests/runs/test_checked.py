"""Tests that no forged run or study is believed, or signed again: each forgery is refused by name, nothing changes."""

import json
import os
import shutil
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from support import folders
from support.folders import SEEDS, SETTINGS, edit, sign_again

from fmnist import testing
from fmnist.cli import fmnist as cli
from fmnist.kubeflow import bundle
from fmnist.replication.sample import Sample
from fmnist.report import page
from fmnist.runs import checked, checksums, findings, recorded, study, workers
from fmnist.runs.checked import read_sample
from fmnist.runs.checksums import CHECKSUMS, DIGESTS, listing
from fmnist.runs.folder import claimed
from fmnist.runs.provenance import plan as planned
from fmnist.runs.provenance import provenance
from fmnist.steps.errors import ContractError
from fmnist.steps.evaluation import Evaluation
from fmnist.steps.files import canonical_json, sha256, write
from fmnist.steps.labels import Labels

Forge = Callable[[Path], object]


def json_edit(name: str, change: Callable[[Any], Any]) -> Forge:
    """Return an edit of a JSON file."""
    return lambda folder: edit(folder / name, change)


def setting(name: str, *keys: str | int, to: object) -> Forge:
    """Return an edit that sets a value in a JSON file."""

    def change(value: Any) -> None:
        for key in keys[:-1]:
            value = value[key]
        value[keys[-1]] = to

    return json_edit(name, change)


def text(name: str, old: str, new: str) -> Forge:
    """Return an edit that replaces the first place of a text, which is there."""

    def change(folder: Path) -> None:
        content = (folder / name).read_text()
        assert old in content
        (folder / name).write_text(content.replace(old, new, 1))

    return change


def links(name: str) -> Forge:
    """Return an edit that puts a link to the same content in the place of a file."""
    return each(away(name), lambda folder: (folder / name).symlink_to(folder.parent / "elsewhere"))


def fifo(name: str) -> Forge:
    """Return an edit that puts a FIFO in the place of a file: who opens it waits for ever."""

    def change(folder: Path) -> None:
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return change


def away(name: str) -> Forge:
    """Return an edit that moves a file or a folder out of the folder."""
    return lambda folder: (folder / name).rename(folder.parent / "elsewhere")


def forget(name: str) -> Forge:
    """Return an edit of the record of checksums after which a file was not written by the study."""

    def change(folder: Path) -> None:
        lines = (folder / "RECORD.sha256").read_text().splitlines(keepends=True)
        (folder / "RECORD.sha256").write_text("".join(line for line in lines if name not in line))

    return change


def disagree(folder: Path) -> None:
    """Change SHA256SUMS, and what is recorded of it."""
    text("SHA256SUMS", "  verdict", "  verdikt")(folder)
    digests = checksums.digests_in({DIGESTS: (folder / DIGESTS).read_bytes()})
    (folder / DIGESTS).write_bytes(listing(digests | {CHECKSUMS: sha256((folder / CHECKSUMS).read_bytes())}))


def each(*edits: Forge) -> Forge:
    """Return an edit that does several."""
    return lambda folder: [change(folder) for change in edits]


def swap(rows: list[list[int]]) -> None:
    """Move one image of the first class to another column, which keeps the sum of the row."""
    rows[0][1] += 1
    rows[0][2] -= 1


SEED, OTHER = "seeds/5.json", "seeds/6.json"

#: Edits after which the checksums are those of before.
UNSIGNED: dict[str, tuple[str, Forge, str]] = {
    "accuracy of a seed": ("study", setting(SEED, "accuracy", to=0.95), SEED),
    "accuracy of a seed of a broken-off study": ("begun", setting(SEED, "accuracy", to=0.95), SEED),
    "seed that a broken-off study has not recorded": ("begun", forget("seeds/7.json"), "seeds/7.json"),
    "plan of a broken-off study": ("begun", setting("study.json", "seeds", "count", to=2), "study.json"),
    "verdict": ("study", text("verdict.json", "[]", "[1]"), "verdict.json"),
    "table": ("study", text("accuracies.csv", "5,0.", "5,1."), "accuracies.csv"),
    "picture": ("study", lambda f: (f / "distribution.png").write_bytes(b""), "distribution.png"),
    "record of a study": ("study", setting("record.json", "machine", "system", to="Plan 9"), "record.json"),
    "checksums of a study": ("study", text("SHA256SUMS", "  verdict", "  verdikt"), "SHA256SUMS"),
    "checksums that disagree": ("study", disagree, "SHA256SUMS"),
    "record of the checksums": ("study", lambda f: (f / "RECORD.sha256").unlink(), "RECORD.sha256"),
    "record of the checksums, broken": ("study", text("RECORD.sha256", "  ", " "), "RECORD.sha256"),
    "checksums with a name twice": ("study", text("RECORD.sha256", "\n", "\n" + "0" * 64 + "  a\n"), "RECORD.sha256"),
    "seed that was not recorded": ("study", lambda f: shutil.copy(f / SEED, f / "seeds/8.json"), "seeds/8.json"),
    "another name of a seed": ("study", lambda f: shutil.copy(f / SEED, f / "seeds/007.json"), "seeds/007.json"),
    "folder among seeds": ("study", lambda f: (f / "seeds/x").mkdir(), "seeds/x"),
    "link to a seed": ("study", links(SEED), SEED),
    "link to the plan": ("study", links("study.json"), "study.json"),
    "link to the folder of seeds": ("study", links("seeds"), "seeds"),
    "FIFO as a seed": ("study", fifo(SEED), SEED),
    "FIFO as a seed of a broken-off study": ("begun", fifo(SEED), SEED),
    "FIFO as the plan": ("study", fifo("study.json"), "study.json"),
    "FIFO as checksums": ("study", fifo("RECORD.sha256"), "RECORD.sha256"),
    "device as a seed": (
        "study",
        each(lambda f: (f / SEED).unlink(), lambda f: (f / SEED).symlink_to("/dev/zero")),
        SEED,
    ),
    "file in place of the seeds": ("study", each(away("seeds"), lambda f: (f / "seeds").write_text("")), "seeds"),
    "link as log": (
        "study",
        each(lambda f: (f.parent / "elsewhere").touch(), lambda f: (f / "log.txt").symlink_to(f.parent / "elsewhere")),
        "log.txt",
    ),
    "FIFO as log of a broken-off study": ("begun", lambda f: os.mkfifo(f / "log.txt"), "log.txt"),
    "huge checksums": ("study", lambda f: os.truncate(f / "RECORD.sha256", 2**40), "RECORD.sha256"),
    "names that lead elsewhere": ("run", text("RECORD.sha256", "  labels/", "  labels/../"), "RECORD.sha256"),
    "huge seed": ("study", lambda f: os.truncate(f / SEED, 2**40), SEED),
    "metrics": ("run", setting("metrics.json", "accuracy", to=0.95), "metrics.json"),
    "model": ("run", lambda f: (f / "model.keras").write_bytes(b"another"), "model.keras"),
    "record of a run": ("run", setting("run.json", "parameters", "epochs", to=3), "run.json"),
    "pipeline": ("run", lambda f: (f / "pipeline.yaml").write_bytes(b"another"), "pipeline.yaml"),
    "label added": ("run", lambda f: (f / "labels/more.txt").write_bytes(b""), "labels/more.txt"),
    "results missing": ("run", lambda f: (f / "results.csv").unlink(), "results.csv"),
    "FIFO as labels": ("run", fifo("labels/true.txt"), "labels/true.txt"),
    "link to the model": ("run", links("model.keras"), "model.keras"),
}

#: Edits after which all checksums are computed again.
SIGNED: dict[str, tuple[str, Forge, str]] = {
    "accuracy": ("study", setting(SEED, "accuracy", to=0.95), SEED),
    "accuracy of a broken-off study": ("begun", setting(SEED, "accuracy", to=0.95), SEED),
    "accuracy above 1": ("study", setting(SEED, "accuracy", to=1.5), SEED),
    "accuracy that is true": ("study", setting(SEED, "accuracy", to=True), SEED),
    "accuracy in quotes": ("study", setting(SEED, "accuracy", to="0.8773"), SEED),
    "accuracy NaN": ("study", setting(SEED, "accuracy", to=float("nan")), SEED),
    "loss without end": ("study", setting(SEED, "loss", to=float("inf")), SEED),
    "accuracy of infinitely many digits": ("study", setting(SEED, "accuracy", to=float("inf")), SEED),
    "loss negative": ("study", setting(SEED, "loss", to=-1.0), SEED),
    "loss whole": ("study", setting(SEED, "loss", to=1), SEED),
    "number with another spelling": ("study", text(SEED, '"loss": 0.4375', '"loss": 0.43750'), SEED),
    "count negative": ("study", setting(SEED, "counts", 0, 1, to=-5), SEED),
    "count with a fraction": ("study", setting(SEED, "counts", 0, 1, to=0.5), SEED),
    "count huge": ("study", setting(SEED, "counts", 0, 1, to=10**30), SEED),
    "count of another class": ("study", json_edit(SEED, lambda v: swap(v["counts"])), SEED),
    "counts of nine classes": ("study", json_edit(SEED, lambda v: v["counts"].pop()), SEED),
    "mistakes emptied": ("study", setting(SEED, "mistakes", to=[]), SEED),
    "mistake less": ("study", json_edit(SEED, lambda v: v["mistakes"].pop()), SEED),
    "mistake of another image": ("study", json_edit(SEED, lambda v: v["mistakes"][0].__setitem__(0, 0)), SEED),
    "mistakes in another order": ("study", json_edit(SEED, lambda v: v["mistakes"].reverse()), SEED),
    "confidence above 1": ("study", setting(SEED, "mistakes", 0, 3, to=1.5), SEED),
    "model that is no digest": ("study", setting(SEED, "model", to="x"), SEED),
    "history shorter": ("study", json_edit(SEED, lambda v: [one.pop() for one in v["history"].values()]), SEED),
    "history uneven": ("study", json_edit(SEED, lambda v: v["history"]["loss"].pop()), SEED),
    "history empty": ("study", setting(SEED, "history", to={}), SEED),
    "key twice": ("study", text(SEED, '"accuracy"', '"accuracy": 0.99,\n  "accuracy"'), SEED),
    "key more": ("study", setting(SEED, "note", to="x"), SEED),
    "key less": ("study", json_edit(SEED, lambda v: v.pop("loss")), SEED),
    "seed with a fraction": ("study", setting(SEED, "seed", to=5.0), SEED),
    "seed negative": ("study", setting(SEED, "seed", to=-5), SEED),
    "deep brackets": ("study", lambda f: (f / SEED).write_text("[" * 100_000), SEED),
    "no text": ("study", lambda f: (f / SEED).write_bytes(b"\xff\xfe"), SEED),
    "nothing": ("study", lambda f: (f / SEED).write_bytes(b""), SEED),
    "seed copied over another": ("study", lambda f: shutil.copy(f / SEED, f / OTHER), OTHER),
    "two seeds in each other's place": (
        "study",
        each(away(SEED), lambda f: (f / OTHER).rename(f / SEED), lambda f: (f.parent / "elsewhere").rename(f / OTHER)),
        SEED,
    ),
    "seed copied as another": (
        "study",
        each(lambda f: shutil.copy(f / SEED, f / OTHER), setting(OTHER, "seed", to=6)),
        OTHER,
    ),
    "seed more than planned": ("study", lambda f: shutil.copy(f / SEED, f / "seeds/8.json"), "seeds/8.json"),
    "seed by another name": ("study", lambda f: shutil.copy(f / SEED, f / "seeds/05.json"), "seeds/05.json"),
    "plan shortened": ("study", setting("study.json", "seeds", "count", to=2), "seeds/7.json"),
    "plan with a count in quotes": ("study", setting("study.json", "seeds", "count", to="3"), "study.json"),
    "plan of a billion seeds": (
        "study",
        setting("study.json", "seeds", "count", to=10**9),
        "1000000000",
    ),
    "plan with a key more": ("study", setting("study.json", "note", to="x"), "study.json"),
    "plan without code": ("study", json_edit("study.json", lambda v: v.pop("code")), "study.json"),
    "record with a digest of code": ("study", setting("record.json", "code", to={"sha256": "0" * 64}), "record.json"),
    "record with parameters": ("study", setting("record.json", "parameters", to={"epochs": 100}), "record.json"),
    "verdict of other seeds": ("study", lambda f: (f / "verdict.json").write_bytes(b"[1]\n"), "verdict.json"),
    "table of other seeds": ("study", text("accuracies.csv", "5,0.", "5,1."), "accuracies.csv"),
    "metrics of other predictions": (
        "run",
        each(setting("metrics.json", "accuracy", to=0.95), setting("run.json", "metrics", "accuracy", to=0.95)),
        "metrics",
    ),
    "metrics of another run": ("run", setting("run.json", "metrics", "accuracy", to=0.95), "run.json"),
    "loss of a run that is true": ("run", setting("metrics.json", "loss", to=True), "metrics.json"),
    "prediction": ("run", text("results.csv", "0,Ankle boot", "0,Sandal"), "labels"),
    "prediction of no class": ("run", text("results.csv", "0,Ankle boot", "0,Boot"), "Boot"),
    "image left out": ("run", text("results.csv", "\n0,", "\n1,"), "results"),
    "row cut short": ("run", text("results.csv", "\n0,", "\n0\n0,"), "results"),
    "confidence that is no number": ("run", text("results.csv", "0.", "nan0."), "results"),
    "confidence of a million digits": ("run", text("results.csv", "0.", "0." + "9" * 10**6), "results"),
    "metric twice": ("run", text("metrics.json", '"loss"', '"loss": 0.1,\n  "loss"'), "metrics.json"),
    "confidence with more digits": ("run", text("results.csv", "0.", "0.0000000000000"), "results"),
    "labels": ("run", text("labels/predicted.txt", "9\n", "5\n"), "labels"),
    "labels more": ("run", lambda f: (f / "labels/more.txt").write_bytes(b""), "labels"),
    "matrix": ("run", text("confusion_matrix.csv", "Trouser,", "Trouser,1"), "confusion_matrix.csv"),
    "history of a run": ("run", json_edit("history.json", lambda v: [one.pop() for one in v.values()]), "epochs"),
    "history of a run that is NaN": ("run", setting("history.json", "loss", 0, to=float("nan")), "history.json"),
    "record of a run with text for a number": (
        "run",
        setting("run.json", "parameters", "seed", to="5"),
        "run.json",
    ),
    "record of a run that steers the terminal": (
        "run",
        setting("run.json", "versions", "numpy", to="\x1b[2J"),
        "run.json",
    ),
    "record of a run that is turned around": (
        "run",
        setting("run.json", "machine", "system", to="\u202exuniL"),
        "run.json",
    ),
    "plan with a key that steers the terminal": ("study", setting("study.json", "\x1b[2J", to=1), "study.json"),
    "record of a run with a key more": ("run", setting("run.json", "note", to="x"), "run.json"),
    "record of a run without a machine": ("run", json_edit("run.json", lambda v: v.pop("machine")), "run.json"),
    "record of a run left out": ("run", lambda f: (f / "run.json").unlink(), "run.json"),
    "pipeline left out": ("run", lambda f: (f / "pipeline.yaml").unlink(), "pipeline.yaml"),
}

FORGERIES = [
    pytest.param(kind, forge, signed, named, id=f"{name}{', signed' if signed else ''}")
    for signed, table in ((False, UNSIGNED), (True, SIGNED))
    for name, (kind, forge, named) in table.items()
]


def state(folder: Path) -> dict[str, object]:
    """Return what is in a folder: the content of files, and of all else and of a huge file the kind and size."""
    found: dict[str, object] = {}
    for path in (path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()):
        known = path.lstat()
        plain = stat.S_ISREG(known.st_mode) and known.st_size < 2**30
        found[str(path)] = path.read_bytes() if plain else (known.st_mode, known.st_size)
    return found


def studied(folder: Path, seeds: range = SEEDS) -> object:
    """Run the study again: a seed that it would train would fail the test."""

    def train(missing: Sequence[int]) -> None:
        assert not missing

    return study.run_study(SETTINGS, seeds, folder, jobs=1, on_seeds=train)


@pytest.mark.usefixtures("made_up")
@pytest.mark.parametrize(("kind", "forge", "signed", "named"), FORGERIES)
def test_a_forgery_is_refused_by_name(
    copy: Callable[[str], Path], kind: str, forge: Forge, signed: bool, named: str
) -> None:
    """No command takes it, `verify` with exit code 1 and others with 2: what is wrong, what to do, and no change."""
    folder = copy(kind)
    forge(folder)
    if signed:
        sign_again(folder)
    before = state(folder)
    verified = CliRunner().invoke(cli.main, ["verify", str(folder)])
    assert (verified.exit_code, verified.stderr) == (1, ""), verified.stdout
    assert verified.stdout.startswith("Not verified: it was altered, or is not whole. Nothing was executed.\n")
    report = CliRunner().invoke(cli.main, ["report", str(folder)])
    assert (report.exit_code, report.stdout) == (2, ""), report.stderr
    messages = [verified.stdout, report.stderr]
    # What is missing, the study makes again.
    if kind != "run":
        with pytest.raises(ContractError) as refused:
            studied(folder)
        messages.append(str(refused.value))
    for message in messages:
        assert "Nothing was changed. " in message
        assert "Traceback" not in message
        assert message.replace("\n", "").isprintable()
        assert len(message) < 3_000
    # A broken-off study has no report, and a plan that was changed is another one.
    assert (named in messages[0] and named in messages[1]) or kind == "begun"
    assert named in messages[-1] or "seeds.count: it was 2, now it is 3" in messages[-1]
    assert state(folder) == before


@pytest.mark.parametrize("kind", ["run", "study"])
def test_an_honest_folder_is_taken(copy: Callable[[str], Path], kind: str) -> None:
    """`fmnist report` writes the page of an honest folder again, also a lost one, and records it."""
    folder = copy(kind)
    before = state(folder)
    (folder / "report.html").write_text("lost")
    report = CliRunner().invoke(cli.main, ["report", str(folder)])
    assert report.exit_code == 0, report.stderr
    assert state(folder) == before
    (folder / "report.html").unlink()
    (folder / "notes.txt").write_text("mine")
    assert CliRunner().invoke(cli.main, ["report", str(folder)]).exit_code == 0
    recorded.read_files(folder)


def test_a_run_is_a_sample_of_one(honest: Path) -> None:
    """The sample of a run has its parameters without the seed, its one result with the mistakes, and its record."""
    sample = read_sample(honest / "run")
    assert sample.parameters == {"compile_optimizer": "adam", "epochs": 2, "validation_split": 0.05}
    assert sample.results == [folders.result(5)]
    assert sample.record["parameters"] == {**sample.parameters, "seed": 5}
    assert not sample.is_study


def test_a_study_is_a_sample_of_its_seeds(honest: Path) -> None:
    """The sample of a study has the planned parameters and seeds, and plan and record together."""
    sample = read_sample(honest / "study")
    assert sample.parameters == {"compile_optimizer": "adam", "epochs": 2, "validation_split": 0.05}
    assert sample.results == [folders.result(seed) for seed in (5, 6, 7)]
    assert (sample.record["seeds"], sample.record["trained"]) == ({"first": 5, "count": 3}, 3)
    assert sample.is_study


@pytest.mark.parametrize("kind", ["study", "begun"])
def test_what_is_missing_is_made_again(honest: Path, copy: Callable[[str], Path], kind: str) -> None:
    """The same study makes findings that are missing, and signs what it made in a finished study before.

    How that one went stays recorded; of one that was not finished, what was trained now.
    """
    folder = copy(kind)
    for name in ("verdict.json", "distribution.png", "SHA256SUMS"):
        (folder / name).unlink(missing_ok=True)
    studied(folder)
    expected = testing.contents(honest / "study")
    assert (folder / "SHA256SUMS").read_bytes() == expected["SHA256SUMS"]
    assert (folder / "verdict.json").read_bytes() == expected["verdict.json"]
    assert read_sample(folder).results == read_sample(honest / "study").results
    record = json.loads((folder / "record.json").read_bytes())
    assert record == json.loads(expected["record.json"]) or (kind, record["jobs"], record["trained"]) == ("begun", 1, 0)


def test_a_removed_seed_is_to_be_trained_again(copy: Callable[[str], Path]) -> None:
    """Who removes a seed's file, as the message says, has that seed trained again, and no other."""
    folder = copy("study")
    (folder / OTHER).unlink()

    def stop(seeds: Sequence[int]) -> None:
        raise KeyError(seeds)

    with pytest.raises(KeyError, match=r"\[6\]"):
        study.run_study(SETTINGS, SEEDS, folder, jobs=1, on_seeds=stop)


def test_a_seed_that_changes_while_others_train_is_not_signed(
    copy: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A study takes days: what was checked at its start is checked again at its end."""
    folder = copy("begun")
    (folder / OTHER).unlink()

    def train(*arguments: Any) -> dict[int, str]:
        edit(folder / SEED, lambda value: value.update(accuracy=0.99))
        arguments[4](folders.result(6))
        return {}

    monkeypatch.setattr(workers, "train", train)
    with pytest.raises(ContractError, match=SEED):
        study.run_study(SETTINGS, SEEDS, folder, jobs=1)
    # Nothing that follows from the seeds is there either, which somebody might read.
    made = ("SHA256SUMS", "record.json", "accuracies.csv", "verdict.json", "distribution.png", "report.html")
    assert [name for name in made if (folder / name).exists()] == []


@pytest.mark.parametrize("name", ["verdict.json", "accuracies.csv"])
def test_a_finding_that_changes_while_others_are_made_is_not_signed(
    honest: Path, copy: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The checksums are those of what follows from the seeds: another verdict, put there meanwhile, is refused."""
    folder, write_report = copy("begun"), page.write_report

    def forge(sample: Sample, path: Path) -> Path:
        (path / name).write_bytes(b"another")
        return write_report(sample, path)

    monkeypatch.setattr(findings, "write_report", forge)
    studied(folder)
    assert (folder / "SHA256SUMS").read_bytes() == (honest / "study" / "SHA256SUMS").read_bytes()
    with pytest.raises(ContractError, match=f"'{name}': expected SHA-256"):
        read_sample(folder)


#: What a user reads before and after what is wrong with the folder.
BEFORE = "folder: expected a finished run or study in {}, or a study to resume, as it was recorded, got:\n  "
AFTER = (
    "\nNothing was changed. Restore what is named from a copy, and remove what was not recorded. Of a study you may "
    "also remove a seed's file: the same study, run again, trains that seed again."
)

#: How something went.
EVENT: dict[str, Any] = {
    "machine": {"system": "Plan 9", "cpu": {"model": "a CPU"}, "caveat": None},
    "started": "2026-01-01T00:00:00+00:00",
    "seconds": 12.3,
}

#: By `sha256sum`.
PAGE = "9a8eeff1d0bc6b9b7acf170b1168d6d07f193dc770d4c1864b03e48d775e8d1a"
ANOTHER = "ae448ac86c4e8e4dec645729708ef41873ae79c6dff84eff73360989487f08e5"


def refused(files: Mapping[str, bytes]) -> str:
    """Return what is wrong with these files, without what is said of each folder."""
    with pytest.raises(ContractError) as caught:
        checked.sample_of(Path("/there"), files)
    message = str(caught.value)
    assert message.startswith(BEFORE.format("/there"))
    assert message.endswith(AFTER)
    return message.removeprefix(BEFORE.format("/there")).removesuffix(AFTER)


def files_of(tested: Evaluation) -> dict[str, bytes]:
    """Return the files of these predictions, which agree with each other."""
    made = tested.artifacts()
    assert isinstance(made["results"], bytes)
    assert isinstance(made["metrics"], bytes)
    assert isinstance(made["labels"], Mapping)
    return {
        "results.csv": made["results"],
        "metrics.json": made["metrics"],
        **{f"labels/{name}": text for name, text in made["labels"].items()},
    }


@pytest.fixture(scope="module")
def tested() -> Evaluation:
    """The predictions of a run."""
    return folders.evaluation(5)


@pytest.fixture
def run(tested: Evaluation) -> dict[str, bytes]:
    """The files of a run, but for its page, which nobody looks at."""
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (tested.labels.true, tested.labels.predicted), 1)
    names = "T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot"
    rows = [f"true \\ predicted,{names}"]
    rows += [",".join([name, *map(str, row)]) for name, row in zip(names.split(","), counts, strict=True)]
    metrics = {"accuracy": tested.accuracy, "loss": 0.4375}
    return {
        **files_of(tested),
        "run.json": canonical_json(provenance() | EVENT | {"parameters": asdict(SETTINGS), "metrics": metrics}),
        "history.json": canonical_json(folders.HISTORY),
        "confusion_matrix.csv": "".join(f"{row}\n" for row in rows).encode(),
        "model.keras": b"model 5",
        **dict.fromkeys(
            ["SHA256SUMS", "confusion_matrix.png", "loss_plot.png", "loss_plot.html", "pipeline.yaml"], b""
        ),
    }


def test_the_files_of_a_run_are_its_sample(run: Mapping[str, bytes]) -> None:
    """Parameters without the seed, the one result, and the record as it is."""
    found = checked.sample_of(Path(), run)
    assert found.parameters == {"compile_optimizer": "adam", "epochs": 2, "validation_split": 0.05}
    assert found.results == [folders.result(5)]
    assert (found.record, found.is_study) == (json.loads(run["run.json"]), False)


@pytest.mark.parametrize(
    "names",
    [
        *(
            [name]
            for name in (
                "SHA256SUMS",
                "confusion_matrix.csv",
                "confusion_matrix.png",
                "history.json",
                "loss_plot.html",
                "loss_plot.png",
                "metrics.json",
                "model.keras",
                "pipeline.yaml",
                "results.csv",
                "run.json",
            )
        ),
        ["SHA256SUMS", "history.json"],
    ],
    ids=", ".join,
)
def test_a_run_lacks_no_file(run: dict[str, bytes], names: list[str]) -> None:
    """Each file of a run must be recorded, whatever the list of checksums says."""
    for name in names:
        del run[name]
    assert refused(run) == f"RECORD.sha256: expected {', '.join(names)} in it, got none"


def changed(files: Mapping[str, bytes], name: str, *keys: str | int, to: object) -> dict[str, bytes]:
    """Return `files` with another value in a JSON file."""
    value = whole = json.loads(files[name])
    for key in keys[:-1]:
        value = value[key]
    value[keys[-1]] = to
    return {**files, name: canonical_json(whole)}


AGREE = "results: expected {} that agree with each row of results, got others"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda f: changed(f, "run.json", "metrics", "loss", to=0.5),
            "run.json: expected the metrics of metrics.json, got others",
        ),
        (
            lambda f: changed(f, "metrics.json", "loss", to=0.5),
            "run.json: expected the metrics of metrics.json, got others",
        ),
        (lambda f: changed(f, "run.json", "metrics", to={}), "run.json: 'metrics'.'accuracy': Field required"),
        (lambda f: {**f, "metrics.json": b"{}"}, "metrics.json: 'accuracy': Field required"),
        (lambda f: {**f, "history.json": b"{}"}, "history.json: 'loss': Field required"),
        (
            lambda f: changed(f, "run.json", "parameters", "epochs", to=3),
            "'results.csv': expected 3 as the number of epochs, got 2",
        ),
        (lambda f: {**f, "labels/more.txt": b""}, AGREE.format("labels")),
        (lambda f: {name: text for name, text in f.items() if name != "labels/true.txt"}, AGREE.format("labels")),
        (
            lambda f: {**f, "confusion_matrix.csv": f["confusion_matrix.csv"] + b"\n"},
            "confusion_matrix.csv: expected what results.csv and the dataset say, got another",
        ),
    ],
    ids=[
        "metrics",
        "other metrics",
        "no metrics",
        "empty metrics",
        "history",
        "epochs",
        "more labels",
        "fewer labels",
        "matrix",
    ],
)
def test_the_files_of_a_run_must_agree(
    run: Mapping[str, bytes], change: Callable[[Mapping[str, bytes]], Mapping[str, bytes]], said: str
) -> None:
    """What is wrong is told of the file in which it is."""
    assert refused(change(run)) == said


def test_right_predictions_are_of_the_images_that_are_there(run: Mapping[str, bytes], tested: Evaluation) -> None:
    """No mistake tells which image is which: two right predictions in each other's place are seen too."""
    labels = tested.labels
    right = np.flatnonzero(labels.true == labels.predicted)
    one = right[0]
    other = next(i for i in right if labels.true[i] != labels.true[one])
    places = np.arange(len(labels.true))
    places[[one, other]] = other, one
    swapped = Labels(labels.true[places], labels.predicted[places], labels.class_names)
    files = {**run, **files_of(replace(tested, labels=swapped))}
    assert refused(files) == "labels/true.txt: expected what results.csv and the dataset say, got another"


@pytest.fixture(scope="module")
def seeds() -> Mapping[str, bytes]:
    """The files of the seeds of a study."""
    return {f"seeds/{seed}.json": folders.result(seed).to_json() for seed in SEEDS}


@pytest.fixture
def studies(seeds: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files of a study, but for its page and its pictures."""
    results = map(json.loads, seeds.values())
    rows = [f"{one['seed']},{one['accuracy']},0.4375,{one['model']}\n" for one in results]
    return {
        **seeds,
        "study.json": canonical_json(planned(SETTINGS, SEEDS)),
        "record.json": canonical_json({**EVENT, "jobs": 2, "trained": 3}),
        "accuracies.csv": "".join(["seed,accuracy,loss,model\n", *rows]).encode(),
        "verdict.json": b"[]\n",
        "SHA256SUMS": b"",
    }


def test_the_files_of_a_study_are_its_sample(studies: Mapping[str, bytes]) -> None:
    """The planned parameters, each result, and record and plan together."""
    found = checked.sample_of(Path(), studies)
    assert found.parameters == {"compile_optimizer": "adam", "epochs": 2, "validation_split": 0.05}
    assert found.results == [folders.result(seed) for seed in (5, 6, 7)]
    assert found.record == {**json.loads(studies["record.json"]), **json.loads(studies["study.json"])}
    assert found.is_study


@pytest.mark.parametrize("name", ["SHA256SUMS", "accuracies.csv", "record.json", "verdict.json"])
def test_a_study_lacks_no_file(studies: dict[str, bytes], name: str) -> None:
    """Each must be recorded, whatever the list of checksums says."""
    del studies[name]
    assert refused(studies) == f"RECORD.sha256: expected {name} in it, got none"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: {**f, "record.json": b"{}"}, "record.json: 'machine': Field required"),
        (lambda f: {**f, "study.json": b"{}"}, "study.json: 'versions': Field required"),
        (lambda f: changed(f, "seeds/5.json", "seed", to=6), "'seeds/5.json': expected 5 as the seed, got 6"),
        (
            lambda f: {name: text for name, text in f.items() if name != "seeds/6.json"},
            "study: expected 3 seeds from 5 on, each once, got 2, and not 6.",
        ),
        (
            lambda f: {**f, "verdict.json": b"[1]\n", "accuracies.csv": b""},
            "accuracies.csv: expected what follows from the seeds, got another",
        ),
    ],
    ids=["record", "plan", "seed", "seeds", "findings"],
)
def test_the_files_of_a_study_must_agree(
    studies: Mapping[str, bytes], change: Callable[[Mapping[str, bytes]], Mapping[str, bytes]], said: str
) -> None:
    """What is wrong is told of the file in which it is, the table before the verdicts."""
    assert refused(change(studies)) == said


def test_another_version_may_judge_otherwise(studies: dict[str, bytes]) -> None:
    """Of a study that this version judged the verdicts must be these; the table is the same for all versions."""
    studies["verdict.json"] = b"[1]\n"
    wrong = "verdict.json: expected what follows from the seeds, got another"
    assert refused(studies) == wrong
    studies["study.json"] = canonical_json({**planned(SETTINGS, SEEDS), **provenance(bundle.STEPS)})
    assert checked.sample_of(Path(), studies).is_study
    studies["accuracies.csv"] += b"\n"
    assert refused(studies) == "accuracies.csv: expected what follows from the seeds, got another"


def test_findings_that_are_there_are_checked_before_they_are_made_again(studies: dict[str, bytes]) -> None:
    """A finished study that is run again may lack a finding, but has none that is another."""
    results = [folders.result(seed) for seed in SEEDS]
    del studies["accuracies.csv"]
    checked.check_finished(Path("/there"), results, studies)
    for name, content, said in (
        ("verdict.json", b"[1]\n", "verdict.json: expected what follows from the seeds, got another"),
        ("record.json", b"[]", "record.json: Input should be an object"),
    ):
        with pytest.raises(ContractError) as caught:
            checked.check_finished(Path("/there"), results, {**studies, name: content})
        assert str(caught.value) == BEFORE.format("/there") + said + AFTER


def written(folder: Path, files: Mapping[str, bytes]) -> bytes:
    """Write files and the lists of their checksums; return the list of all without that of the page."""
    same = {name: sha256(text) for name, text in files.items() if name not in {"run.json", "SHA256SUMS"}}
    everything = {**files, "SHA256SUMS": listing(same)}
    for name, content in everything.items():
        write(folder / name, content)
    write(folder / DIGESTS, listing({name: sha256(content) for name, content in everything.items()}))
    return (folder / DIGESTS).read_bytes()


def test_the_page_is_written_again_and_recorded(
    run: Mapping[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lost page, or another, is made of what is recorded, in a folder in which nobody else works then."""
    listed = written(tmp_path, run)
    pages = iter([b"a page", b"another"])

    def write_report(sample: Sample, folder: Path) -> Path:
        assert (sample.results, folder) == ([folders.result(5)], tmp_path)
        with pytest.raises(ContractError), claimed(folder, "run"):
            pass
        write(folder / "report.html", next(pages))
        return folder / "report.html"

    monkeypatch.setattr(page, "write_report", write_report)
    before = testing.contents(tmp_path)
    for content, digest in ((b"a page", PAGE), (b"another", ANOTHER)):
        assert read_sample(str(tmp_path)).results == [folders.result(5)]
        assert checked.write_report_again(str(tmp_path)) == tmp_path / "report.html"
        found = testing.contents(tmp_path)
        assert found.pop("report.html") == content
        lines = sorted([*listed.decode().splitlines(), f"{digest}  report.html"], key=lambda line: line[66:])
        assert found.pop("RECORD.sha256").decode().splitlines() == lines
        assert found == {name: text for name, text in before.items() if name != "RECORD.sha256"}
        (tmp_path / "report.html").write_text("lost")


def test_no_page_is_written_for_what_is_not_as_it_was(
    run: Mapping[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder stays as it is; a file is no folder of results."""
    monkeypatch.setattr(page, "write_report", None)
    written(tmp_path / "run", run)
    (tmp_path / "run" / "history.json").write_bytes(b"{}")
    before = testing.contents(tmp_path / "run")
    for function in (read_sample, checked.write_report_again):
        with pytest.raises(ContractError) as caught:
            function(tmp_path / "run")
        assert str(caught.value).startswith(BEFORE.format(tmp_path / "run") + "'history.json': expected SHA-256 ")
    written(tmp_path / "signed", {**run, "history.json": b"{}"})
    signed = testing.contents(tmp_path / "signed")
    for function in (read_sample, checked.write_report_again):
        with pytest.raises(ContractError) as caught:
            function(tmp_path / "signed")
        said = "history.json: 'loss': Field required"
        assert str(caught.value) == BEFORE.format(tmp_path / "signed") + said + AFTER
    with pytest.raises(ContractError) as caught:
        checked.write_report_again(tmp_path / "run" / "run.json")
    assert str(caught.value).startswith("results folder: expected a folder, got a file: ")
    assert testing.contents(tmp_path / "run") == before
    assert testing.contents(tmp_path / "signed") == signed
