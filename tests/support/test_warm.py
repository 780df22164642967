"""Tests of the Python that forks: a program cannot tell it from another, but for what is imported."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import warm

PROGRAM = """
import os, sys
print(sys.argv[1:], sys.stdin.read(), os.getcwd(), os.environ["GIVEN"], os.environ["ADDED"])
print("HOME" in os.environ, "wave" in sys.modules, __name__, file=sys.stderr)
sys.exit(int(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Python that has imported a module which hardly anything imports."""
    with warm.python(tmp_path_factory.mktemp("a path"), {"ADDED": "added"}, ("wave",)) as program:
        yield program


@pytest.mark.parametrize("code", [0, 7])
def test_a_program_gets_what_it_was_started_with(python: str, tmp_path: Path, code: int) -> None:
    """Arguments, input, outputs, folder, environment and exit code are the program's own, and the module is there."""
    (tmp_path / "program.py").write_text(PROGRAM)
    done = subprocess.run(
        [python, "-m", "program", str(code), "a b"],
        cwd=tmp_path,
        env={"GIVEN": "given"},
        input="input",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert done.stdout == f"['{code}', 'a b'] input {tmp_path} given added\n"
    assert done.stderr == "False True __main__\n"


def test_an_error_is_shown_and_ends_the_program_alone(python: str, tmp_path: Path) -> None:
    """After a traceback the exit code is 1, and the next program starts as if nothing had happened."""
    (tmp_path / "broken.py").write_text("raise ValueError('broken')")
    for _ in range(2):
        done = subprocess.run(
            [python, "-m", "broken"], cwd=tmp_path, env={}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1] == "ValueError: broken"
