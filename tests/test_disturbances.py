"""Tests of the disturbances: those that take little time, and that the program sees what a disturbance does."""

import subprocess
import sys
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
