"""Tests of pipelines of others that run here, only if asked to, with the packages that are here."""

import errno
import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from kfp import dsl

from fmnist import testing
from fmnist.cli import same
from fmnist.kubeflow import local
from fmnist.runs import others
from fmnist.runs.folder import claimed
from fmnist.steps.errors import ContractError, StepError

PROGRAM = """
apiVersion: projectsame.io/v1alpha1
metadata: {name: theirs}
pipeline: {name: theirs, package: theirs.py}
run: {parameters: {text: hello}}
"""

PIPELINE = """
from pathlib import Path
from kfp import dsl

@dsl.component(base_image="python:3.11"PACKAGES)
def say(text: str, said: dsl.Output[dsl.Dataset], metrics: dsl.Output[dsl.Metrics]) -> str:
    print("epoch 1/2: of no training ✓")
    if text == "fail":
        raise ValueError("it cannot be said")
    with open(said.path, "w") as file:
        file.write(text)
    metrics.log_metric("length", len(text))
    return text.upper()

@dsl.container_component
def shout():
    return dsl.ContainerSpec(image="alpine:3", command=["echo"])

@dsl.pipeline(name="theirs")
def theirs(text: str):
    first = say(text=text)
    second = say(text="world").after(first)
    dsl.importer(artifact_uri="OURS", artifact_class=dsl.Dataset)
"""


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with somebody's program file and pipeline, and data of the user."""
    (tmp_path / "same.yaml").write_text(PROGRAM)
    (tmp_path / "ours.csv").write_text("data of the user")
    write(tmp_path, "")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, packages: str, more: str = "") -> None:
    """Write the pipeline, with packages that its component installs and more in it."""
    text = PIPELINE.replace("PACKAGES", packages).replace("OURS", str(folder / "ours.csv"))
    (folder / "theirs.py").write_text(text + more)


def run(*arguments: str) -> Result:
    """Call `same program run -t local`."""
    return CliRunner().invoke(same.main, ["program", "run", "-t", "local", *arguments])


def test_nobody_elses_code_runs_unasked(theirs: Path) -> None:
    """Without --run-their-code nothing runs, and the message names it."""
    result = run("-o", "out")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Error: -t local: expected fmnist's own pipeline, got " in result.stderr
    assert result.stderr.endswith("are in this environment, give --run-their-code.\n")
    assert not Path("out").exists()


def test_their_pipeline_runs_here(theirs: Path) -> None:
    """The folder has each artifact by task and name, metadata, log and the compiled file; the user's data stay."""
    result = run("--run-their-code", "-o", "out", "--json")
    assert result.exit_code == 0, result.output
    files = testing.contents(theirs / "out")
    names = ("metadata.json", "returned.json", "said")
    results = {f"{task}/{name}" for task in ("say", "say-2") for name in names}
    assert files.keys() == {"log.txt", "pipeline.yaml", *results}
    assert (files["say/said"], files["say-2/said"]) == (b"hello", b"world")
    assert json.loads(files["say/metadata.json"]) == {"metrics": {"length": 5}}
    assert json.loads(files["say-2/returned.json"]) == {"Output": "WORLD"}
    assert json.loads(result.stdout) == {
        "artifacts": {"say": {"said": "out/say/said"}, "say-2": {"said": "out/say-2/said"}},
        "metadata": {"say": {"metrics": {"length": 5}}, "say-2": {"metrics": {"length": 5}}},
        "returned": {"say": {"Output": "HELLO"}, "say-2": {"Output": "WORLD"}},
        "folder": "out",
    }
    assert (theirs / "ours.csv").read_text() == "data of the user"
    assert {path.name for path in theirs.iterdir()} == {"ours.csv", "out", "same.yaml", "theirs.py"}
    assert "say: epoch 1/2: of no training ✓" in result.stderr
    assert "epoch 1/2: of no training ✓\n".encode() in files["log.txt"]
    again = run("--run-their-code", "-o", "out")
    assert again.exit_code == 2
    assert again.stderr == (
        "Error: run folder: expected a new or empty folder, got out with log.txt, pipeline.yaml, say, say-2. Nothing "
        "was changed. Choose another folder with -o.\n"
    )
    assert testing.contents(theirs / "out") == files


def test_a_whole_number_is_taken_for_a_share(theirs: Path) -> None:
    """As on a cluster: kfp's local runner itself takes 1.0 only."""
    pipeline = """
from kfp import dsl

@dsl.component(base_image="python:3.11")
def half(share: float) -> float:
    return share / 2

@dsl.pipeline(name="halves")
def halves(share: float):
    half(share=share)
"""
    (theirs / "theirs.py").write_text(pipeline)
    (theirs / "same.yaml").write_text(PROGRAM.replace("text: hello", "share: 1"))
    for options in ([], ["-p", "share=2"]):
        result = run("--run-their-code", *options, "-o", f"out{len(options)}")
        assert result.exit_code == 0, result.output


def test_what_an_importer_names_stays_where_it_is(tmp_path: Path) -> None:
    """Also beside the folder that kfp works in, in one whose name begins alike."""
    (tmp_path / "work").mkdir()
    (tmp_path / "work-data").mkdir()
    (data := tmp_path / "work-data" / "ours.csv").write_text("data of the user")
    assert others._kept({"data": dsl.Dataset(uri=str(data))}, tmp_path / "work", tmp_path / "out") == {}
    assert data.read_text() == "data of the user"


def test_what_an_importer_names_elsewhere_is_not_missing(tmp_path: Path) -> None:
    """It may be in a store that this machine does not reach."""
    artifacts = {"data": dsl.Dataset(uri="gs://bucket/ours.csv"), "ours": dsl.Dataset(uri=str(tmp_path / "ours"))}
    assert others._missing(artifacts, tmp_path) == ["ours"]


def test_what_a_task_returns_is_noted_whatever_it_is(tmp_path: Path) -> None:
    """Nothing, and what counts as false, is a value too; where there is none there is no file."""
    values: dict[str, object] = {"none": None, "zero": 0, "false": False, "text": "", "list": []}
    events: list[local.Event] = []
    for task, given in (("say", values), ("log", {})):
        assert others._filled(tmp_path / "out", task, given, tmp_path, events.append) == {}
    [path] = tmp_path.rglob("*.json")
    assert path == tmp_path / "out" / "say" / "returned.json"
    assert json.loads(path.read_text()) == values


def test_each_output_that_was_not_written_is_told(tmp_path: Path) -> None:
    """Of a step that wrote one of three, the two others."""
    (tmp_path / "b").write_text("made")
    artifacts = {name: dsl.Dataset(uri=str(tmp_path / name)) for name in ("a", "b", "c")}
    told: list[local.Event] = []
    assert others._filled(tmp_path / "out", "step", artifacts, tmp_path, told.append).keys() == {"b"}
    assert told == [local.OutputMissing("step", "a"), local.OutputMissing("step", "c")]


@pytest.mark.parametrize(("work", "named"), [("link", "work"), ("work", "link")])
def test_files_behind_a_link_are_kept(tmp_path: Path, work: str, named: str) -> None:
    """The folder for temporary files may be a link, and kfp may name either; what is told of each is kept too."""
    (tmp_path / "work").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "work")
    (tmp_path / "work" / "made.csv").write_text("made")
    made = dsl.Dataset(uri=str(tmp_path / named / "made.csv"), metadata={"rows": 1})
    told = dsl.Metrics(uri=str(tmp_path / named / "told"), metadata={"seeds": 2})
    kept = others._kept({"data": made, "told": told}, tmp_path / work, tmp_path / "out")
    assert kept == {"data": tmp_path / "out" / "data"}
    assert kept["data"].read_text() == "made"
    noted = json.loads((tmp_path / "out" / "metadata.json").read_text())
    assert noted == {"data": {"rows": 1}, "told": {"seeds": 2}}


def test_a_compiled_file_runs_here_too(theirs: Path) -> None:
    """The table names each artifact."""
    first = run("--run-their-code", "-o", "out")
    assert first.exit_code == 0, first.output
    shutil.copy("out/pipeline.yaml", "theirs.yaml")
    Path("same.yaml").write_text(PROGRAM.replace("theirs.py", "theirs.yaml"))
    second = run("--run-their-code", "-o", "again", "-p", "text=other")
    assert second.exit_code == 0, second.output
    assert second.stdout.splitlines() == [
        "folder     again",
        "say: said  again/say/said",
        "say-2: said again/say-2/said",
        "say: metadata.json again/say/metadata.json",
        "say-2: metadata.json again/say-2/metadata.json",
        "say: returned.json again/say/returned.json",
        "say-2: returned.json again/say-2/returned.json",
    ]
    assert Path("again/say/said").read_text() == "other"


REFUSED = {
    "missing packages": (
        ', packages_to_install=["torch-of-nobody==2.9.0", "jax-of-nobody"]',
        "",
        (),
        "theirs.py: expected what its steps need in this environment, got none of torch-of-nobody==2.9.0 (for say); "
        "jax-of-nobody (for say). Install them here, or run the pipeline on a cluster.\n",
    ),
    "an image": (
        "",
        '\n@dsl.pipeline(name="loud")\ndef loud():\n    shout()\ndel theirs\n',
        (),
        "got none of the image alpine:3 (for shout).",
    ),
    "no such parameter": ("", "", ("-p", "txt=x"), "parameter: expected one of text, got 'txt'. Did you mean 'text'?"),
}


@pytest.mark.parametrize(("packages", "more", "arguments", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_run_here_is_refused_at_once(
    theirs: Path, packages: str, more: str, arguments: tuple[str, ...], said: str
) -> None:
    """What this environment lacks is named, and nothing is written."""
    write(theirs, packages, more)
    if more:
        (theirs / "same.yaml").write_text(PROGRAM.replace("{text: hello}", "{}"))
    result = run("--run-their-code", "-o", "out", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert not Path("out").exists()


def test_their_error_is_shown(theirs: Path) -> None:
    """A step that fails is named with its own error, and the log is there."""
    result = run("--run-their-code", "-o", "out", "-p", "text=fail")
    assert result.exit_code == 3
    assert result.stderr.endswith("Error: step say: ValueError: it cannot be said\n")
    assert "it cannot be said" in Path("out/log.txt").read_text()


def test_names_that_a_step_misses_are_told_before_it_runs(theirs: Path) -> None:
    """It may run for hours before it comes to them."""
    write(theirs, "")
    (theirs / "theirs.py").write_text((theirs / "theirs.py").read_text().replace("text.upper()", "str(Path(text))"))
    result = run("--run-their-code", "-o", "out")
    assert result.exit_code == 3
    warning, error = (
        "Warning: step say: expected names that its function ",
        "Error: step say: NameError: name 'Path' is",
    )
    assert 0 <= result.stderr.find(warning) < result.stderr.find("say: started") < result.stderr.find(error)


NO_NUMBERS = {
    "nan": {"-> str:": "-> float:", "text.upper()": 'float("nan")'},
    "inf": {"-> str:": "-> float:", "text.upper()": 'float("inf")'},
    "in a file": {
        "text: str, said": "text: str, loss: dsl.OutputPath(float), said",
        "file.write(text)": 'open(loss, "w").write("NaN")',
    },
}


@pytest.mark.parametrize("changes", NO_NUMBERS.values(), ids=NO_NUMBERS)
def test_a_number_that_json_cannot_express_is_an_error(theirs: Path, changes: dict[str, str]) -> None:
    """On a cluster it cannot be read."""
    write(theirs, "")
    source = (theirs / "theirs.py").read_text()
    for old, new in changes.items():
        source = source.replace(old, new)
    (theirs / "theirs.py").write_text(source)
    result = run("--run-their-code", "-o", "out")
    assert result.exit_code == 3
    assert result.stderr.endswith(
        "Error: step say: expected a finite number at the path of its output 'loss', which a cluster reads, got 'NaN'. "
        "Write that alone, or declare an output of another type.\n"
        if "file.write(text)" in changes
        else "Error: step say: expected finite numbers, which a cluster can pass on, got a NaN or an infinity in what "
        "it returned or logged. Write it to a file instead.\n"
    )


LOOP = """
@dsl.component(base_image="python:3.11")
def turn(item: str, one: dsl.Output[dsl.Dataset], other: dsl.Output[dsl.Dataset], none: dsl.Output[dsl.Model]):
    for place in (one, other):
        with open(place.path, "w") as file:
            file.write(item)

@dsl.component(base_image="python:3.11")
def tell(item: str, metrics: dsl.Output[dsl.Metrics]):
    metrics.log_metric("length", len(item))

@dsl.pipeline(name="loop")
def loop():
    with dsl.ParallelFor(["a", "bc"]) as item:
        turn(item=item)
    with dsl.ParallelFor(["bcd"]) as item:
        tell(item=item)
"""


@pytest.fixture
def temporary(theirs: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files, beside a pipeline with a loop."""
    (theirs / "theirs.py").write_text(f"from kfp import dsl\n{LOOP}")
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_each_turn_of_a_loop_has_its_folders(theirs: Path, temporary: Path) -> None:
    """Tasks in a part of the pipeline are folders in that of the part; one may have metadata alone, or many files.

    An output to which nothing was written is named: Kubeflow says nothing of it until a later step reads it.
    """
    events: list[local.Event] = []
    kept = others.run_other(theirs / "theirs.py", {}, str(theirs / "out"), events.append)
    files = testing.contents(theirs / "out")
    assert {name: content for name, content in files.items() if name not in {"log.txt", "pipeline.yaml"}} == {
        "for-loop-2-iteration-0/turn/one": b"a",
        "for-loop-2-iteration-0/turn/other": b"a",
        "for-loop-2-iteration-1/turn/one": b"bc",
        "for-loop-2-iteration-1/turn/other": b"bc",
        "for-loop-4-iteration-0/tell/metadata.json": b'{\n  "metrics": {\n    "length": 3\n  }\n}\n',
    }
    places = {f"for-loop-2-iteration-{i}": theirs / "out" / f"for-loop-2-iteration-{i}" / "turn" for i in range(2)}
    assert kept == {
        "for-loop-4-iteration-0/tell": {},
        **{f"{part}/turn": {"one": place / "one", "other": place / "other"} for part, place in places.items()},
    }
    assert events.count(local.StepFinished("for-loop-2/turn")) == 2
    missing = [event for event in events if isinstance(event, local.OutputMissing)]
    assert missing == [local.OutputMissing(f"{part}/turn", "none") for part in places]
    assert list(temporary.iterdir()) == []


def test_temporary_files_that_stay_are_no_failure(
    theirs: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step may have left a process that still writes into their folder."""

    def rmdir(path: object, **_: object) -> None:
        raise OSError(errno.ENOTEMPTY, "Directory not empty", path)

    monkeypatch.setattr(local, "run_compiled", lambda *_: {})
    monkeypatch.setattr(os, "rmdir", rmdir)
    assert others.run_other(theirs / "theirs.py", {}, theirs / "out") == {}
    assert len(list(temporary.iterdir())) == 1


def test_what_kfp_cannot_do_is_told(theirs: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of kfp's own is one of the pipeline, with its kind; the log stays, and temporary files do not."""

    def run_compiled(pipeline: Path, parameters: object, work: str, *_: object) -> None:
        assert (pipeline, parameters) == (theirs / "out" / "pipeline.yaml", {})
        assert Path(work).parent == temporary
        raise NotImplementedError("it cannot be done")

    monkeypatch.setattr(local, "run_compiled", run_compiled)
    with pytest.raises(StepError) as failed:
        others.run_other(theirs / "theirs.py", {}, theirs / "out")
    assert str(failed.value) == f"{theirs / 'theirs.py'}: NotImplementedError: it cannot be done"
    assert testing.contents(theirs / "out").keys() == {"log.txt", "pipeline.yaml"}
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    "error", [OSError("the disk is full"), StepError("step say: no")], ids=["OSError", "StepError"]
)
def test_other_errors_stay_what_they_are(
    theirs: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """A full disk is not called an error of the pipeline, and a step's error is not told twice."""

    def run_compiled(*_: object) -> None:
        raise error

    monkeypatch.setattr(local, "run_compiled", run_compiled)
    with pytest.raises(type(error)) as failed:
        others.run_other(theirs / "theirs.py", {}, theirs / "out")
    assert failed.value is error
    assert list(temporary.iterdir()) == []


def test_the_folder_of_a_run_is_claimed(theirs: Path) -> None:
    """Two runs do not mix their files."""
    with claimed(theirs / "out", "study"), pytest.raises(ContractError) as refused:
        others.run_other(theirs / "theirs.py", {"text": "a"}, theirs / "out")
    assert str(refused.value).startswith("run folder: expected one in which no other process works, got ")
    assert list((theirs / "out").iterdir()) == []
