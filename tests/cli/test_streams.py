"""Tests of the standard streams: closed, full, narrow in their characters, or a terminal of any kind."""

import errno
import fcntl
import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from support import helpers

from fmnist.cli.streams import Stream, guarded

FMNIST = str(Path(sys.executable).with_name("fmnist"))


def shell(command: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the shell, in which "$fmnist" is the program."""
    surroundings = {**helpers.clean_environment(), "fmnist": FMNIST, **environment}
    whole = ["bash", "-c", f"set -o pipefail; {command}"]
    return subprocess.run(
        whole, capture_output=True, text=True, check=False, cwd=cwd, env=surroundings, errors="surrogateescape"
    )


@pytest.mark.parametrize(
    "streams",
    ["| true", "| head -1", ">&-", "2>&-", "<&-", ">&- 2>&- <&-", "2>/dev/full", "| (exec <&-)"],
)
def test_a_reader_who_is_gone_changes_nothing(streams: str, tmp_path: Path) -> None:
    """Without anybody who reads, a command ends as always."""
    done = shell(f'"$fmnist" data {streams}', tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("streams", ["2>&-", "2>/dev/full", "2>&1 | true"])
def test_bad_input_stays_bad_input(streams: str, tmp_path: Path) -> None:
    """An error that nobody can read still has its exit code."""
    assert shell(f'"$fmnist" report nowhere {streams}', tmp_path).returncode == 2


def test_a_result_that_is_lost_is_a_failure(tmp_path: Path) -> None:
    """A full disk below stdout is told, as whoever asked for the result has not got it."""
    done = shell('"$fmnist" data > /dev/full', tmp_path)
    assert done.returncode == 3
    assert done.stderr == (
        "Error: stdout: expected to write the result there, got: [Errno 28] No space left on device.\n"
    )


def test_a_name_that_the_encoding_lacks_is_escaped(tmp_path: Path) -> None:
    """With a narrow encoding, and for names that are no text, a command prints what it can."""
    compiled = '"$fmnist" compile --image registry.example/fmnist:1'
    done = shell(f"{compiled} -o é.yaml", tmp_path, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout, done.stderr) == (0, "\\xe9.yaml\n", "")
    done = shell(f"{compiled} -o $'\\xff.yaml'", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\\udcff.yaml\n", "")


def test_a_name_does_not_steer_the_terminal(tmp_path: Path) -> None:
    """A folder's name is shown with escapes on a terminal, in errors and in results."""
    (tmp_path / "a\x1b]0;x\x07").mkdir()
    ours, theirs = pty.openpty()
    subprocess.run([FMNIST, "report", "a\x1b]0;x\x07"], stdout=theirs, stderr=theirs, check=False, cwd=tmp_path)
    os.close(theirs)
    shown = os.read(ours, 10_000)
    os.close(ours)
    assert b"a\\x1b]0;x\\x07" in shown
    assert b"\x1b" not in shown


class Broken(io.StringIO):
    """A stream that nobody reads any more, or a full disk."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error
        self.tried = list[str]()

    def write(self, text: str) -> int:
        self.tried.append(text)
        raise self.error


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (BrokenPipeError(), False),
        *((OSError(code, "not written"), True) for code in (errno.ENOSPC, errno.EIO, errno.ECONNRESET)),
        (ValueError("closed"), False),
    ],
    ids=["pipe", "full", "disk", "connection", "closed"],
)
def test_a_stream_never_fails(error: Exception, lost: bool) -> None:
    """What cannot be written is dropped, and a full disk is remembered."""
    stream = Stream(broken := Broken(error))
    assert (stream.write("one"), stream.write("two")) == (3, 3)
    stream.flush()
    assert (stream.lost is not None, broken.tried) == (lost, ["one"])


def test_a_pipe_without_a_reader_is_left_alone() -> None:
    """What is still in the buffer goes nowhere when Python ends, and no more is written."""
    ours, theirs = os.pipe()
    os.close(ours)
    with os.fdopen(theirs, "w", encoding="utf-8", buffering=1) as pipe:
        stream = Stream(pipe)
        assert stream.write("one\n") == 4
        assert (stream.lost, stream.isatty(), stream.encoding) == (None, False, "utf-8")
        assert os.fstat(theirs).st_rdev == Path(os.devnull).stat().st_rdev
        assert stream.write("two\n") == 4
        with pytest.raises(io.UnsupportedOperation, match="^fileno$"):
            stream.fileno()


def test_a_stream_is_that_below(tmp_path: Path) -> None:
    """Number, encoding and text are the file's; what its encoding lacks, or what steers a terminal, is an escape."""
    with (tmp_path / "file").open("w", encoding="ascii") as file:
        stream = Stream(file)
        assert (stream.fileno(), stream.encoding, stream.errors) == (file.fileno(), "ascii", "backslashreplace")
        assert stream.write("a\x1b\u00e9\n") == 4
        stream.unchanged.write("b\x1b\n")
        stream.flush()
        assert (tmp_path / "file").read_text() == "a\\x1b\\xe9\nb\x1b\n"
    assert Stream(io.StringIO()).encoding == "utf-8"
    (closed := Stream(file)).write("no more")
    assert (closed.lost, Stream(None).lost, Stream(None).isatty()) == (None, None, False)
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w", encoding="utf-8") as terminal:
        assert Stream(terminal).isatty() is True
    os.close(ours)


def test_a_full_disk_is_remembered_for_good() -> None:
    """Why text was lost is told at the end, whatever comes after."""
    stream = Stream(Broken(OSError(errno.ENOSPC, "full")))
    stream.write("one")
    stream.write("two")
    assert str(stream.lost) == "[Errno 28] full"


def test_the_streams_are_guarded_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are cleaned, and are afterwards what they were; all that was printed is there."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    with guarded() as stream:
        assert sys.stdout is stream
        print("out\x1b")  # noqa: T201 - what is tested
        print("err\x1b", file=sys.stderr)  # noqa: T201 - what is tested
    after: list[object] = [sys.stdout, sys.stderr]
    assert after == [out, err]
    assert [one.buffer.getvalue() for one in (out, err)] == [b"out\\x1b\n", b"err\\x1b\n"]


@pytest.mark.parametrize("numbers", [[0], [1], [2], [0, 1, 2], [1, 2]])
def test_a_closed_stream_is_occupied(numbers: list[int]) -> None:
    """The next file that a program opens does not take what steps print: there is a file already, for them too."""
    kept = {number: os.dup(number) for number in numbers}
    for number in numbers:
        os.close(number)
    try:
        with guarded():
            found = [
                (
                    os.fstat(number).st_rdev,
                    os.get_inheritable(number),
                    fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE,
                )
                for number in numbers
            ]
    finally:
        for number, copy in kept.items():
            os.dup2(copy, number)
            os.close(copy)
    assert found == len(numbers) * [(Path(os.devnull).stat().st_rdev, True, os.O_RDWR)]
