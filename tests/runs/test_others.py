"""Tests of pipelines of others that run here, only if asked to, with the packages that are here."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fmnist import testing
from fmnist.cli import same

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
def say(text: str, said: dsl.Output[dsl.Dataset], metrics: dsl.Output[dsl.Metrics]):
    print("epoch 1/2: of no training")
    if text == "fail":
        raise ValueError("it cannot be said")
    with open(said.path, "w") as file:
        file.write(text)
    metrics.log_metric("length", len(text))

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
    results = {f"{task}/{name}" for task in ("say", "say-2") for name in ("metadata.json", "said")}
    assert files.keys() == {"log.txt", "pipeline.yaml", *results}
    assert (files["say/said"], files["say-2/said"]) == (b"hello", b"world")
    assert json.loads(files["say/metadata.json"]) == {"metrics": {"length": 5}}
    assert json.loads(result.stdout) == {
        "artifacts": {"say": {"said": "out/say/said"}, "say-2": {"said": "out/say-2/said"}},
        "folder": "out",
    }
    assert (theirs / "ours.csv").read_text() == "data of the user"
    assert "say: epoch 1/2: of no training" in result.stderr
    again = run("--run-their-code", "-o", "out")
    assert again.exit_code == 2
    assert (
        "run folder: expected a new or empty folder, got out with importer" in again.stderr
        or "got out with log" in (again.stderr)
    )


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
    ]
    assert Path("again/say/said").read_text() == "other"


REFUSED = {
    "a missing package": (
        ', packages_to_install=["torch-of-nobody==2.9.0"]',
        "",
        (),
        "theirs.py: expected what its steps need in this environment, got none of torch-of-nobody==2.9.0 (for say). "
        "Install them here, or run the pipeline on a cluster.",
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
