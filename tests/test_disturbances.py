"""Tests of the disturbances: those that take little time, and that the program sees what a disturbance does."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from disturbances import disturb, ways
from support import helpers

PROGRAM = Path(disturb.__file__)
WAYS = ways.read(ways.CATALOGUE)

#: Two that change nothing, one that changes the file, and one that is refused otherwise than it says.
CATALOGUE = """
[nothing]
title = "a variable that nobody reads"
on = ["compile"]
environment = { NOBODY_KNOWS = "~/x" }

[folder]
title = "a folder with a space"
on = ["compile"]
folder = "a b"

[changed]
title = "another file of that name"
on = ["compile"]
prefix = ["sh", "-c", '"$@"; echo more >> out/pipeline.yaml', "sh"]

[refused]
title = "no docstrings"
on = ["compile"]
switches = ["-OO"]
message = "Wait for a better Python"
code = 2
"""


def program(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the program."""
    return subprocess.run(
        [sys.executable, PROGRAM, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=helpers.clean_environment(),
    )


def test_there_are_disturbances_enough() -> None:
    """The catalogue has at least 60, no two are the same, and each says what it reaches."""
    assert len(WAYS) >= 60
    mechanisms = {
        repr((way.python, way.environment, way.files, way.home, way.folder, way.prefix, way.switches)) for way in WAYS
    }
    assert len(mechanisms) == len(WAYS)
    assert all(way.on and set(way.on) <= set(disturb.TARGETS) for way in WAYS)


def test_nothing_that_should_matter_does() -> None:
    """All that takes little time gives the same bytes or its refusal: modes and settings in the process, and around."""
    done = program("--quick")
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    tried, _, of = done.stdout.splitlines()[-1].partition(" disturbances")[0].partition(" of ")
    assert int(tried) == int(of) >= 60


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small catalogue."""
    path = tmp_path_factory.mktemp("catalogue") / "catalogue.toml"
    path.write_text(CATALOGUE)
    return str(path)


def test_a_culprit_is_named(catalogue: str) -> None:
    """Of disturbances that work together, the one that changes bytes is found; a refusal must say what it should."""
    done = program("--catalogue", catalogue)
    assert done.returncode == 1, done.stderr
    refused, together, culprit, score = done.stdout.splitlines()
    assert refused.startswith("compile: refused: it says: Error: Python: expected docstrings")
    assert together == "compile: nothing, folder, changed: other bytes in pipeline.yaml"
    assert culprit == "compile: changed: other bytes in pipeline.yaml"
    assert score == "2 of 4 disturbances gave what they must"


def test_an_unknown_id_is_bad_usage() -> None:
    """Only disturbances of the catalogue can be asked for."""
    done = program("nothing-of-the-kind")
    assert done.returncode == 2
    assert "got nothing-of-the-kind" in done.stderr


def test_all_files_but_those_with_their_time_are_compared(tmp_path: Path) -> None:
    """Wherever the folder of results is, of whatever kind they are."""
    out = tmp_path / "here" / "a b" / "out"
    (out / "labels").mkdir(parents=True)
    results = {"history.json", "labels/true.txt", "loss_plot.html", "metrics.json", "model.keras", "SHA256SUMS"}
    for name in (*results, "log.txt", "report.html", "run.json", "RECORD.sha256"):
        (out / name).write_text(name)
    assert disturb.results(tmp_path) == {name: name.encode() for name in results}


def test_a_process_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By an alarm, which tells that it took too long."""
    monkeypatch.setattr(disturb, "TIMEOUT", 1)
    monkeypatch.setattr(disturb.Job, "_work", lambda *_: time.sleep(10))
    job = disturb.Job("process", ())
    _, status = os.waitpid(job.start(tmp_path), 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGALRM
    assert job.outcome(tmp_path, status, {}).startswith("expected exit code 0, got -14")
