"""Tests of the Python that forks: a program cannot tell it from another, but for what is imported."""

import contextlib
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import helpers, warm

PROGRAM = """
import os, sys
print(sys.argv[1:], sys.stdin.read(), os.getcwd(), os.environ["GIVEN"], os.environ["ADDED"])
print("HOME" in os.environ, "wave" in sys.modules, __name__, file=sys.stderr)
sys.exit(int(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Python that has imported a module which hardly anything imports, and one that looks for a temporary folder."""
    early = tmp_path_factory.mktemp("early")
    (early / "early.py").write_text("import tempfile\n\ntempfile.gettempdir()\n")
    with contextlib.ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", str(early))
            # As for most users: what is printed into a pipe waits there until it is flushed.
            patch.delenv("PYTHONUNBUFFERED", raising=False)
            folder = tmp_path_factory.mktemp("a path, longer than that of a socket may be, as it is in some homes" * 2)
            forking = warm.python(folder, {"ADDED": "added"}, ("wave", "early"))
            program = stack.enter_context(forking)
        yield program


@pytest.mark.parametrize(("called", "code"), [(["-m", "program"], 0), (["program.py"], 7)], ids=["module", "file"])
def test_a_program_gets_what_it_was_started_with(python: str, tmp_path: Path, called: list[str], code: int) -> None:
    """Arguments, input, outputs, folder, environment and exit code are the program's own, and the module is there."""
    (tmp_path / "program.py").write_text(PROGRAM)
    done = subprocess.run(
        [python, *called, str(code), "a b"],
        cwd=tmp_path,
        env={"GIVEN": "given", "ADDED": "another value"},
        input="input",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert done.stdout == f"['{code}', 'a b'] input {tmp_path} given added\n"
    assert done.stderr == "False True __main__\n"


def test_its_temporary_files_are_where_it_is_told(python: str, tmp_path: Path) -> None:
    """Not where those of the process that forks are."""
    (tmp_path / "program.py").write_text("import tempfile\nprint(tempfile.gettempdir())")
    environment = {"TMPDIR": str(tmp_path)}
    done = subprocess.run([python, "program.py"], cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert done.stdout.decode() == f"{tmp_path}\n"


@pytest.mark.parametrize(("end", "code"), [("sys.exit()", 0), ("sys.exit(None)", 0), ("sys.exit('no')", 1), ("", 0)])
def test_it_ends_as_another_python_would(python: str, tmp_path: Path, end: str, code: int) -> None:
    """To exit without a number is a good end, with a text it is a bad one."""
    (tmp_path / "program.py").write_text(f"import sys\n{end}")
    for program in (python, sys.executable):
        assert subprocess.run([program, "program.py"], cwd=tmp_path, check=False).returncode == code


def test_a_program_that_a_signal_ends_has_failed(python: str, tmp_path: Path) -> None:
    """Its exit code is the signal's negative number, in one byte; no Ctrl-C of here ends the process that forks."""
    code = "import os\n\nprint(os.getsid(os.getppid()), flush=True)\nos.kill(os.getpid(), 9)\n"
    (tmp_path / "killed.py").write_text(code)
    done = subprocess.run([python, "killed.py"], cwd=tmp_path, stdout=subprocess.PIPE, check=False)
    assert done.returncode == 256 - 9
    assert int(done.stdout) != os.getsid(0)


@pytest.mark.parametrize("called", [["-m", "program"], ["below/program.py"]], ids=["module", "file"])
@pytest.mark.parametrize("environment", [{"PYTHONSAFEPATH": "1"}, {}], ids=["safe path", "as usual"])
def test_it_imports_from_where_another_python_would(
    python: str, tmp_path: Path, environment: dict[str, str], called: list[str]
) -> None:
    """For a module that is the working folder, for a file its own; with a safe path it is neither."""
    (tmp_path / "below").mkdir()
    for folder, said in ((tmp_path, "here"), (tmp_path / "below", "below")):
        (folder / "beside.py").write_text(f"print({said!r})")
        (folder / "program.py").write_text("import beside")
    ours, theirs = (
        subprocess.run([program, *called], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        for program in (python, sys.executable)
    )
    assert (ours.returncode, ours.stdout) == (theirs.returncode, theirs.stdout)
    assert bool(theirs.stdout) != bool(environment)


def test_an_error_is_shown_and_ends_the_program_alone(python: str, tmp_path: Path) -> None:
    """After a traceback the exit code is 1, and the next program starts as if nothing had happened."""
    (tmp_path / "broken.py").write_text("raise ValueError('broken')")
    for _ in range(2):
        done = subprocess.run(
            [python, "-m", "broken"], cwd=tmp_path, env={}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1] == "ValueError: broken"


def test_a_program_that_has_ended_leaves_no_process(python: str, tmp_path: Path) -> None:
    """Below the process that forks, which waits for none, and runs hundreds."""
    (tmp_path / "program.py").write_text(
        "import os\n"
        "from pathlib import Path\n"
        "stats = [path.read_text().rpartition(')')[2].split()[:2] for path in Path('/proc').glob('[0-9]*/stat')]\n"
        "forking = Path(f'/proc/{os.getppid()}/stat').read_text().rpartition(')')[2].split()[1]\n"
        "print(stats.count(['Z', forking]))\n"
    )
    command = [python, "program.py"]
    assert [subprocess.check_output(command, cwd=tmp_path, env={}) for _ in range(2)] == [b"0\n", b"0\n"]


def test_a_program_ends_with_all_that_it_started(python: str, tmp_path: Path) -> None:
    """Who kills the program kills the fork, and what that started."""
    alive = tmp_path / "alive"
    os.mkfifo(alive)
    (tmp_path / "endless.py").write_text(
        "import subprocess, time\n"
        f"subprocess.Popen(['sh', '-c', 'echo started; exec sleep 600'], stdout=open({str(alive)!r}, 'w'))\n"
        "time.sleep(600)"
    )
    with (
        subprocess.Popen([python, "-m", "endless"], cwd=tmp_path, env=dict(os.environ)) as process,
        alive.open("rb", buffering=0) as held_open,
    ):
        assert held_open.read(100) == b"started\n"
        process.kill()
        ended, _, _ = select.select([held_open], [], [], 5)
    assert ended


def test_it_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    """Where that is killed, nothing is left that listens."""
    code = (
        "import os, sys; from pathlib import Path; from support import warm\n"
        f"with warm.python(Path({str(tmp_path)!r}), {{}}, ()): os.kill(os.getpid(), 9)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(helpers.TESTS)}, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        ended, _, _ = select.select([process.stderr], [], [], 10)
        assert ended
        assert process.stderr.read() == b""
    assert process.returncode == -9
