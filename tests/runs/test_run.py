"""Tests of a run's folder; `test_run_end_to_end.py` has those of whole runs."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TextIO

import pytest
from support import folders
from support.folders import RESULTS

from fmnist import pipeline, testing
from fmnist.kubeflow import bundle, local
from fmnist.replication.sample import Sample
from fmnist.report import page
from fmnist.runs import run
from fmnist.runs.folder import claimed
from fmnist.runs.provenance import provenance
from fmnist.steps import dataset, files
from fmnist.steps.errors import ContractError, DataError, StepError
from fmnist.steps.settings import Settings


@pytest.mark.usefixtures("no_data")
@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["thesis.txt", ".unfinished/x"], "thesis.txt"),
        ([".notes.template", ".unfinished/x"], ".notes.template"),
        ([".notes.0123abcd.tmp", ".unfinished/x"], ".notes.0123abcd.tmp"),
        ([".run.json.0123abc.tmp", ".unfinished/x"], ".run.json.0123abc.tmp"),
        ([".run.json.0123ABCD.tmp", ".unfinished/x"], ".run.json.0123ABCD.tmp"),
        (["labels/true.txt", "log.txt"], "labels, log.txt"),
        (["SHA256SUMS", "model.keras"], "SHA256SUMS, model.keras"),
    ],
    ids=["strange file", "hidden file", "temporary file", "few digits", "capitals", "same names", "finished run"],
)
def test_a_folder_with_other_files_is_not_touched(tmp_path: Path, names: list[str], told: str) -> None:
    """A folder that may hold anything but an unfinished run is refused; what is not a run's is named, and stays."""
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("years of work")
    before = {path: path.is_dir() or path.read_text() for path in tmp_path.rglob("*")}
    with pytest.raises(ContractError) as refused:
        run.run_pipeline(Settings(), tmp_path)
    assert str(refused.value) == (
        f"run folder: expected a new or empty folder, got {tmp_path} with {told}. Nothing was changed. Choose another "
        "folder with -o."
    )
    # Nor is there a folder that would mark it as a run's, whose files the next run clears away.
    assert {path: path.is_dir() or path.read_text() for path in tmp_path.rglob("*")} == before


def test_a_file_in_place_of_the_folder_is_not_touched(tmp_path: Path) -> None:
    """A file of the folder's name is refused and stays."""
    (tmp_path / "run").write_text("a file")
    with pytest.raises(ContractError, match="run folder: expected a folder, got a file"):
        run.run_pipeline(Settings(), tmp_path / "run")
    assert (tmp_path / "run").read_text() == "a file"


@pytest.mark.usefixtures("no_data")
def test_an_unfinished_run_is_cleared_away(tmp_path: Path) -> None:
    """The next run first removes what an unfinished run left, but for the checkpoint; of links it removes the links."""
    left = ("log.txt", "pipeline.yaml", "model.keras", "labels/true.txt", ".run.json.0123abcd.tmp")
    inside = (".unfinished/tmp/half", ".unfinished/.checkpoint.0123abcd.tmp", ".unfinished/checkpoint")
    for name in (*(f"run/{name}" for name in (*left, *inside)), "mine/thesis.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("old")
    (tmp_path / "run" / ".unfinished" / "link").symlink_to(tmp_path / "mine")
    with pytest.raises(DataError, match="nowhere"):
        run.run_pipeline(Settings(), tmp_path / "run")
    assert testing.contents(tmp_path) == {"run/.unfinished/checkpoint": b"old", "mine/thesis.txt": b"old"}
    # Neither an empty folder nor a link is left.
    assert [path.name for path in (tmp_path / "run").rglob("*")] == [".unfinished", "checkpoint"]


@pytest.mark.usefixtures("no_data")
def test_one_process_works_in_a_folder(tmp_path: Path) -> None:
    """While a run works in a folder, a second one there is refused, and changes nothing."""
    with claimed(tmp_path, "run"):
        (tmp_path / ".unfinished").mkdir()
        (tmp_path / "log.txt").write_text("of the first")
        with pytest.raises(ContractError, match="run folder: expected one in which no other process works"):
            run.run_pipeline(Settings(), tmp_path)
    assert testing.contents(tmp_path) == {"log.txt": b"of the first"}


def test_a_finished_run_in_which_another_process_works_is_not_returned(copy: Callable[[str], Path]) -> None:
    """Whoever works there may be writing its report again: the folder is looked at when it is free."""
    with claimed(folder := copy("run"), "run"):
        (folder / ".unfinished").mkdir()
        with pytest.raises(ContractError, match="run folder: expected one in which no other process works"):
            run.run_pipeline(folders.SETTINGS, folder)
        assert (folder / ".unfinished").exists()


@pytest.mark.usefixtures("no_data")
def test_a_run_that_could_not_start_can_be_tried_again(tmp_path: Path) -> None:
    """After a run without data, the next run takes the same folder."""
    for _ in range(2):
        with pytest.raises(DataError, match="nowhere"):
            run.run_pipeline(Settings(), tmp_path / "a" / "run")


def test_a_finished_run_is_returned(copy: Callable[[str], Path]) -> None:
    """The record of a finished run of the same settings is returned, and the folder stays but for leftovers."""
    folder = copy("run")
    events: list[local.Event] = []
    before = testing.contents(folder)
    files.write(folder / ".unfinished" / "checkpoint", b"left by a kill at the very end")
    record = run.run_pipeline(folders.SETTINGS, folder, events.append)
    assert events == [local.RunFinished()]
    assert record == json.loads(before["run.json"])
    assert testing.contents(folder) == before
    assert run.run_pipeline(folders.SETTINGS, folder) == record
    (folder / "report.html").unlink()
    assert run.run_pipeline(folders.SETTINGS, folder) == record
    assert testing.contents(folder) == before


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            lambda folder: folders.edit(folder / "run.json", lambda record: record["code"].update(sha256="0" * 64)),
            "\n  code.sha256: it was 0000",
        ),
        (
            lambda folder: folders.edit(folder / "run.json", lambda record: record["parameters"].update(seed=3)),
            "\n  parameters.seed: it was 3, now it is 5\n",
        ),
        (
            lambda folder: folders.edit(folder / "run.json", lambda record: record["versions"].update(numpy="1.0")),
            "\n  versions.numpy: it was 1.0, now it is ",
        ),
        (
            lambda folder: folders.edit(folder / "run.json", lambda record: record["data"].update(more="0" * 64)),
            "\n  data.more: it was 0{64}, now it is not there\n",
        ),
        (
            lambda folder: folders.edit(folder / "run.json", lambda record: record["switches"].update(MORE="1")),
            "\n  switches.MORE: it was 1, now it is not there\n",
        ),
        (lambda folder: (folder / "metrics.json").write_text("{}"), "metrics.json"),
    ],
    ids=["other code", "other parameters", "other versions", "other data", "other switches", "altered result"],
)
def test_a_finished_run_of_something_else_is_refused(
    copy: Callable[[str], Path], change: Callable[[Path], object], named: str
) -> None:
    """Where what decides the bits, or a result, differs, the folder is refused with the difference, and stays."""
    folder = copy("run")
    change(folder)
    if named != "metrics.json":
        folders.sign_again(folder)
    before = testing.contents(folder)
    with pytest.raises(ContractError, match=named):
        run.run_pipeline(folders.SETTINGS, folder)
    assert testing.contents(folder) == before


def test_a_finished_study_is_no_run(copy: Callable[[str], Path]) -> None:
    """Its folder is refused as that of something else, without advice to ask for the same run."""
    before = testing.contents(folder := copy("study"))
    with pytest.raises(ContractError) as refused:
        run.run_pipeline(folders.SETTINGS, folder)
    assert str(refused.value).startswith(
        f"run folder: expected a new or empty folder, got {folder} with RECORD.sha256,"
    )
    assert testing.contents(folder) == before


def test_other_settings_are_refused_where_a_run_is_finished(copy: Callable[[str], Path]) -> None:
    """A run of other settings does not take a finished run's folder."""
    folder = copy("run")
    files.write(folder / ".unfinished" / "checkpoint", b"left by a kill at the very end")
    before = testing.contents(folder)
    with pytest.raises(ContractError) as refused:
        run.run_pipeline(replace(folders.SETTINGS, epochs=9, seed=6), folder)
    assert str(refused.value) == (
        f"run folder: expected the same run as the one in {folder}, got another:\n"
        "  parameters.epochs: it was 2, now it is 9\n"
        "  parameters.seed: it was 5, now it is 6\n"
        "Nothing was changed. Choose another folder with -o, or ask for the run as it was."
    )
    assert testing.contents(folder) == before


#: By name, the artifacts that no result is read from.
PICTURES = {"loss_plot": b"a plot", "loss_page": b"a page", "matrix": b"a matrix", "matrix_plot": b"a picture"}

#: The reproducible files of a run.
SAME = {*RESULTS, "pipeline.yaml"}


class Steps:
    """What stands in for the steps and the page: made-up results, and what was asked for."""

    def __init__(self, made: Mapping[str, files.Content]) -> None:
        self.made = made
        self.asked: list[object] = []
        self.error: Exception | None = None

    def fetch(self, **arguments: object) -> None:
        """Find the dataset."""
        self.asked.append(arguments)

    def compile_pipeline(self, path: Path, where: pipeline.Where) -> None:
        """Write a file, which carries its code."""
        assert where == pipeline.Where("this-python-environment", carried=True)
        files.write(path, b"compiled")

    def prepare(self) -> None:
        """Import nothing."""
        self.asked.append("prepare")

    def run_compiled(
        self,
        compiled: Path,
        parameters: Mapping[str, Any],
        work: str,
        log: TextIO,
        on_event: Callable[[local.Event], None],
        **variables: str,
    ) -> dict[str, dict[str, Any]]:
        """Do as kfp's runner, in a folder that nobody else may take meanwhile."""
        with pytest.raises(ContractError), claimed(compiled.parent, "run"):
            pass
        assert Path(work).absolute().parent == Path("here/.unfinished").absolute()
        assert tempfile.gettempdir() == str(Path(work, "tmp").absolute())
        assert "THEIRS" not in os.environ
        self.asked.append((compiled, parameters, variables))
        log.write("a line: \u2713\n")
        on_event(local.StepStarted("train"))
        if self.error:
            raise self.error
        for name, content in self.made.items():
            for file, text in ({"": content} if isinstance(content, bytes) else content).items():
                files.write(Path(work, "out", name, file), text)
        places = {name: SimpleNamespace(path=str(Path(work, "out", name))) for name in self.made}
        return {"train": {"model": places.pop("model")}, "rest": {**places, "more": SimpleNamespace(path="nowhere")}}

    def write_report(self, sample: Sample, folder: Path) -> None:
        """Write a page."""
        assert sample.results == [folders.result(5)]
        assert Path(tempfile.gettempdir()).parents[1] == Path("here/.unfinished").absolute()
        self.asked.append(sample.record)
        files.write(folder / "report.html", b"a page")


@pytest.fixture(scope="module")
def artifacts() -> Mapping[str, files.Content]:
    """Made-up results, by name."""
    history = files.canonical_json(folders.HISTORY)
    return {**folders.evaluation(5).artifacts(), **PICTURES, "model": b"model 5", "history": history}


@pytest.fixture
def steps(artifacts: Mapping[str, files.Content], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Steps:
    """What stands in for the steps, in a working folder of its own."""
    made = Steps(artifacts)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("THEIRS", "1")
    monkeypatch.setattr(dataset, "fetch", made.fetch)
    monkeypatch.setattr(pipeline, "compile_pipeline", made.compile_pipeline)
    monkeypatch.setattr(local, "run_compiled", made.run_compiled)
    monkeypatch.setattr(page, "prepare", made.prepare)
    monkeypatch.setattr(page, "write_report", made.write_report)
    return made


def test_a_run_fills_its_folder(steps: Steps, tmp_path: Path) -> None:
    """Results, page, log, the compiled file, and what somebody needs to make them again; nothing else is left."""
    events: list[local.Event] = []

    def on_progress(*_: object) -> None:
        """Do nothing."""

    record = run.run_pipeline(folders.SETTINGS, "here", events.append, on_progress)
    parameters = {"compile_optimizer": "adam", "epochs": 2, "validation_split": 0.05, "seed": 5}
    checkpoint = str(tmp_path / "here" / ".unfinished" / "checkpoint")
    assert steps.asked[0] == {"on_progress": on_progress}
    asked = (Path("here/pipeline.yaml"), parameters, {"FMNIST_CHECKPOINT": checkpoint})
    assert sorted(steps.asked[1:3], key=str) == [asked, "prepare"]
    assert steps.asked[3:] == [record]
    assert events == [local.StepStarted("train")]
    assert list(record) == [*provenance(), "machine", "started", "seconds", "parameters", "metrics"]
    assert record["code"] == {"sha256": bundle.digest(bundle.STEPS)}
    assert (record["parameters"], record["metrics"]) == (parameters, {"accuracy": 0.8773, "loss": 0.4375})
    found = testing.contents(tmp_path / "here")
    assert found.keys() == {*SAME, "RECORD.sha256", "SHA256SUMS", "log.txt", "report.html", "run.json"}
    assert json.loads(found["run.json"]) == record
    names = {name: found[file] for name, file in files.ARTIFACT_FILES.items() if name in PICTURES}
    assert (names, found["model.keras"], found["log.txt"]) == (PICTURES, b"model 5", "a line: \u2713\n".encode())
    assert {line[66:] for line in found["SHA256SUMS"].decode().splitlines()} == SAME
    listed = {line[66:] for line in found["RECORD.sha256"].decode().splitlines()}
    assert listed == {*SAME, "SHA256SUMS", "report.html", "run.json"}
    assert not (tmp_path / "here" / ".unfinished").exists()
    assert found["pipeline.yaml"] == b"compiled"


@pytest.mark.parametrize(
    ("where", "change", "name"),
    [
        ("run_compiled", lambda path: files.write(path, b"another"), "pipeline.yaml"),
        ("read_result", lambda path: files.write(path, b"another"), "loss_plot.png"),
        ("write_report", lambda path: files.write(path, b"another"), "results.csv"),
        ("write_report", lambda path: files.write(path, b""), "labels/more.txt"),
        ("write_report", lambda path: path.unlink(), "model.keras"),
    ],
    ids=["pipeline", "picture", "results", "more labels", "no model"],
)
def test_what_changes_while_the_run_goes_on_is_not_signed(
    steps: Steps, monkeypatch: pytest.MonkeyPatch, where: str, change: Callable[[Path], object], name: str
) -> None:
    """A training takes hours: the file is named, and the same command makes it again."""
    owners = {"run_compiled": local, "read_result": run, "write_report": page}
    folder, owner = Path("here"), owners[where]
    undisturbed = getattr(owner, where)
    with monkeypatch.context() as patch:

        def changed(*arguments: Any, **variables: Any) -> object:
            made = undisturbed(*arguments, **variables)
            change(folder / name)
            return made

        patch.setattr(owner, where, changed)
        with pytest.raises(ContractError) as refused:
            run.run_pipeline(folders.SETTINGS, "here")
    assert str(refused.value) == (
        f"run folder: expected here/{name} as the run wrote it, got another, or none. Nothing was signed. Keep others "
        "out of the folder, and run the same command again."
    )
    assert not {"SHA256SUMS", "RECORD.sha256"} & testing.contents(folder).keys()
    run.run_pipeline(folders.SETTINGS, "here")
    assert testing.contents(folder)["pipeline.yaml"] == b"compiled"
    assert testing.contents(folder).keys() >= SAME


def test_a_run_that_cannot_be_signed_is_made_again(
    steps: Steps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is unfinished up to its last file, whatever ends it: a folder without that mark would be somebody else's."""

    def sign(folder: Path, _: object) -> None:
        (folder / "SHA256SUMS").touch()  # the first of two
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(run, "sign", sign)
        with pytest.raises(OSError, match="No space left"):
            run.run_pipeline(folders.SETTINGS, "here")
    assert (tmp_path / "here" / ".unfinished").is_dir()
    run.run_pipeline(folders.SETTINGS, "here")
    assert testing.contents(tmp_path / "here").keys() >= SAME


def test_a_step_that_fails_leaves_the_log(steps: Steps, tmp_path: Path) -> None:
    """The folder is that of an unfinished run, which has no record."""
    steps.error = StepError("step train: no")
    with pytest.raises(StepError, match=r"^step train: no$"):
        run.run_pipeline(folders.SETTINGS, "here")
    found = testing.contents(tmp_path / "here")
    assert found == {"log.txt": "a line: \u2713\n".encode(), "pipeline.yaml": b"compiled"}
    assert list((tmp_path / "here" / ".unfinished").iterdir()) == []
    steps.error = None
    assert run.run_pipeline(folders.SETTINGS, "here")["metrics"] == {"accuracy": 0.8773, "loss": 0.4375}


def test_a_step_that_fails_is_told_before_what_it_leaves(
    steps: Steps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Temporary files that cannot be cleared away, as of a process that still writes, do not hide its error."""
    fails = steps.run_compiled

    def left(pipeline: Path, arguments: Mapping[str, Any], work: str, *rest: Any, **variables: Any) -> Any:
        try:
            return fails(pipeline, arguments, work, *rest, **variables)
        finally:
            shutil.rmtree(work)
            Path(work).write_text("in the place of the folder")

    monkeypatch.setattr(local, "run_compiled", left)
    steps.error = StepError("step train: no")
    with pytest.raises(StepError, match=r"^step train: no$"):
        run.run_pipeline(folders.SETTINGS, "here")


def test_a_run_whose_page_cannot_be_written_is_not_finished(
    steps: Steps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library that is missing ends the run with its error, and without a record of checksums."""

    def prepare() -> None:
        raise ImportError("no jinja2")

    monkeypatch.setattr(page, "prepare", prepare)
    with pytest.raises(ImportError, match=r"^no jinja2$"):
        run.run_pipeline(folders.SETTINGS, "here")
    assert len(steps.asked) == 2
    found = {path.name for path in (tmp_path / "here").iterdir()}
    assert found & {".unfinished", "RECORD.sha256", "SHA256SUMS", "report.html"} == {".unfinished"}
