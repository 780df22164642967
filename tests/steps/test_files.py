"""Tests of writing files."""

import errno
import fcntl
import json
import math
import os
import re
import secrets
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmnist import testing
from fmnist.steps import files
from fmnist.steps.errors import ContractError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


class Result:
    """A step's result with one file and one folder."""

    def artifacts(self) -> dict[str, files.Content]:
        return {"history": b"h", "labels": {"true.txt": b"t", "predicted.txt": b"p"}}


@given(value=JSON)
def test_canonical_json_is_read_back_unchanged(value: object) -> None:
    """Canonical JSON loses nothing."""
    assert json.loads(files.canonical_json(value)) == value


def test_canonical_json_can_be_read_by_people() -> None:
    """Each value has its line, indented by two spaces, and letters of any script are themselves."""
    expected = '{\n  "a": [\n    1\n  ],\n  "b": "é"\n}\n'
    assert files.canonical_json({"b": "é", "a": [1]}).decode() == expected


@given(value=st.dictionaries(st.text(), st.integers(), min_size=2))
def test_canonical_json_does_not_depend_on_the_order_of_keys(value: dict[str, int]) -> None:
    """Two mappings with equal items have equal bytes."""
    assert files.canonical_json(dict(reversed(value.items()))) == files.canonical_json(value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf], ids=["nan", "inf", "-inf"])
def test_canonical_json_refuses_what_json_cannot_express(value: float) -> None:
    """NaN and infinities are errors, not invalid JSON."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.canonical_json([value])


def test_write_makes_the_folders_and_the_file(tmp_path: Path) -> None:
    """A file is written with all its bytes, in folders that did not exist."""
    files.write(tmp_path / "a" / "b" / "c", b"content")
    assert (tmp_path / "a" / "b" / "c").read_bytes() == b"content"


def test_write_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    """A second write takes the place of the first, without temporary files."""
    files.write(tmp_path / "a", b"old")
    files.write(tmp_path / "a", b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"new")]


def test_a_file_is_hidden_and_beside_its_place_until_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While bytes are on their way to the disk, the folder holds but a hidden file, named after the one to come."""
    seen: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda _: seen.extend(path.name for path in tmp_path.iterdir()))
    files.write(tmp_path / "a", b"content")
    assert len(seen) == 1
    assert seen[0].startswith(".a.")


def test_bytes_are_on_the_disk_before_the_file_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power failure leaves no empty file: what is synchronised is the whole content."""
    sizes: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda handle: sizes.append(os.fstat(handle).st_size))
    files.write(tmp_path / "a", b"content")
    assert sizes == [len(b"content")]


@pytest.mark.parametrize("kind", [OSError, KeyboardInterrupt], ids=["full", "Ctrl-C"])
def test_a_failed_write_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[BaseException]
) -> None:
    """When the disk fails in the middle, or Ctrl-C comes, the old content stands and no temporary file is left."""
    files.write(tmp_path / "a", b"old")
    error = kind(28, "No space left on device")

    def full(_: int) -> None:
        raise error

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(kind) as raised:
        files.write(tmp_path / "a", b"new")
    assert raised.value is error
    assert getattr(error, "filename", str(tmp_path / "a")) == str(tmp_path / "a")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"old")]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP])
def test_a_file_system_without_fsync_is_told(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As some that are mounted over a network: the error says what is missing and what to do."""

    def refuse(_: int) -> None:
        raise OSError(number, "no luck")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="no luck") as caught:
        files.write(tmp_path / "a", b"new")
    assert str(caught.value) == (
        f"[Errno {number}] expected a file system with fsync, which keeps files in a crash, got: no luck. Choose a "
        f"folder on another: '{tmp_path / 'a'}'"
    )


def test_an_interrupt_after_a_write_comes_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The temporary file has its name then, and is not looked for."""
    replace = Path.replace

    def interrupted(path: Path, target: Path) -> Path:
        replace(path, target)
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        files.write(tmp_path / "a", b"new")
    assert testing.contents(tmp_path) == {"a": b"new"}


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o022, 0o077])
def test_written_files_have_the_mode_that_the_umask_asks_for(tmp_path: Path, umask: int) -> None:
    """A written file is as readable as one that `open` makes, and a group may change it where it may change others."""
    before = os.umask(umask)
    try:
        files.write(tmp_path / "written", b"")
        (tmp_path / "opened").touch()
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("written", "opened")]
    assert modes[0] == modes[1]


def test_no_other_thread_meets_another_umask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The umask, which is one for the whole process, stays as it is: other threads make files too."""

    def changed(_: int) -> int:
        pytest.fail("the umask of the process was changed")

    monkeypatch.setattr(os, "umask", changed)
    files.write(tmp_path / "a", b"content")


def test_a_temporary_file_of_another_process_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the name of the hidden file is taken, its content stands and nothing is written."""
    monkeypatch.setattr(secrets, "token_hex", lambda _: "0123abcd")
    (taken := tmp_path / ".a.0123abcd.tmp").write_bytes(b"of another")
    with taken.open() as written:
        fcntl.flock(written, fcntl.LOCK_SH)
        with pytest.raises(FileExistsError):
            files.write(tmp_path / "a", b"content")
    assert testing.contents(tmp_path) == {taken.name: b"of another"}


def test_a_setting_of_a_library_is_as_it_was_afterwards() -> None:
    """Also where making the file fails."""

    class Library:
        """A library with a setting."""

        size = 7

    seen: list[int] = []

    def fail() -> None:
        with files.default(Library, "size", 3):
            seen.append(Library.size)
            Library.size = 5
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert seen == [3]
    assert Library.size == 7


def test_artifacts_go_where_they_are_told(tmp_path: Path) -> None:
    """A file artifact is written to its path, a folder artifact's files into its path."""
    files.write_artifacts(Result(), history=str(tmp_path / "x"), labels=str(tmp_path / "y"))
    assert (tmp_path / "x").read_bytes() == b"h"
    assert {path.name: path.read_bytes() for path in (tmp_path / "y").iterdir()} == {
        "true.txt": b"t",
        "predicted.txt": b"p",
    }


class Measured:
    """A result with metrics before another artifact."""

    def artifacts(self) -> dict[str, files.Content]:
        """Return both."""
        return {"metrics": b"m", "results": b"r"}


def test_metrics_may_have_no_file(tmp_path: Path) -> None:
    """A server that keeps the values of metrics gives them no path; with one they are written, and the rest always."""
    files.write_artifacts(Measured(), metrics="", results=str(tmp_path / "r"))
    assert testing.contents(tmp_path) == {"r": b"r"}
    files.write_artifacts(Measured(), metrics=str(tmp_path / "m"), results=str(tmp_path / "r"))
    assert testing.contents(tmp_path) == {"m": b"m", "r": b"r"}
    with pytest.raises(ValueError, match="empty name"):
        files.write_artifacts(Measured(), metrics=str(tmp_path / "m"), results="")


@pytest.mark.parametrize("names", [["history"], ["history", "labels", "model"]], ids=["missing", "extra"])
def test_artifacts_and_paths_must_match(tmp_path: Path, names: list[str]) -> None:
    """A path too few or too many is an error, and nothing is written."""
    with pytest.raises(
        ContractError, match=r"^paths: expected one for each of \['history', 'labels'\], got \['history'"
    ):
        files.write_artifacts(Result(), **{name: str(tmp_path / name) for name in names})
    assert list(tmp_path.iterdir()) == []


def test_save_names_the_files(tmp_path: Path) -> None:
    """A saved result has the published file names."""
    files.save(tmp_path, Result())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["history.json", "labels"]


@pytest.mark.parametrize(
    ("folder", "result", "message"),
    [
        (None, Result(), "folder: expected a path, before the results, got None."),
        (Result(), Result(), "folder: expected a path, before the results, got a Result."),
        ("x", {}, "results: expected what train(), test() or confusion_matrix() returns, got a dict."),
    ],
    ids=["nothing", "a result", "a mapping"],
)
def test_what_cannot_be_saved_is_named(tmp_path: Path, folder: Any, result: Any, message: str) -> None:
    """The error says what was expected and what came, and nothing is written, not even of the results before."""
    folder = tmp_path / "x" if folder == "x" else folder
    with pytest.raises(ContractError, match=f"^{re.escape(message)}$"):
        files.save(folder, Result(), result)
    with pytest.raises(ContractError, match=f"^{re.escape(message)}$"):
        files.save(folder, result, Result())
    assert list(tmp_path.iterdir()) == []


def killed_while_writing(path: Path) -> None:
    """Let a process be killed in the middle of writing `path`."""
    code = (
        "import os; from fmnist.steps import files\n"
        "os.fsync = lambda _: os.kill(os.getpid(), 9)\n"
        f"files.write({str(path)!r}, b'half')"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9


def test_what_a_killed_process_leaves_is_known_by_its_name(tmp_path: Path) -> None:
    """A process that is killed in the middle of writing leaves a file that can be told from others."""
    killed_while_writing(tmp_path / "a.json")
    [left] = tmp_path.iterdir()
    assert files.TEMPORARY.fullmatch(left.name)
    assert not any(files.TEMPORARY.fullmatch(name) for name in ("a.json", ".gitignore", ".a.json", "a.json.abcdefgh"))


def test_what_a_killed_process_leaves_is_swept_by_the_next_write(tmp_path: Path) -> None:
    """The next write of that file removes it, and no other hidden file."""
    for name in (".a.original", ".a.json.original", ".b.json.0123abcd.tmp"):
        (tmp_path / name).touch()
    killed_while_writing(tmp_path / "a.json")
    assert len(list(tmp_path.iterdir())) == 4
    files.write(tmp_path / "a.json", b"new")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".a.json.original",
        ".a.original",
        ".b.json.0123abcd.tmp",
        "a.json",
    ]


def test_a_file_that_is_being_written_is_not_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes may write one file at a time: each finishes its own, and the last one stays."""
    fsync = os.fsync
    told: list[int] = []

    def meanwhile(handle: int) -> None:
        fsync(handle)
        monkeypatch.setattr(os, "fsync", fsync)
        files.write(tmp_path / "a", b"of another")
        told.extend(path.stat().st_size for path in tmp_path.iterdir())

    monkeypatch.setattr(os, "fsync", meanwhile)
    files.write(tmp_path / "a", b"mine")
    assert sorted(told) == [4, 10]
    assert testing.contents(tmp_path) == {"a": b"mine"}


def test_a_temporary_file_that_was_swept_too_soon_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its making and its locking another process may sweep it: the write succeeds all the same."""
    flock = fcntl.flock
    swept: list[Path] = []

    def late(handle: int, mode: int) -> None:
        if not swept:
            [path] = tmp_path.iterdir()
            path.unlink()
            swept.append(path)
        flock(handle, mode)

    monkeypatch.setattr(fcntl, "flock", late)
    handles = Path("/proc/self/fd")
    before = len(list(handles.iterdir()))
    files.write(tmp_path / "a", b"content")
    assert testing.contents(tmp_path) == {"a": b"content"}
    assert len(list(handles.iterdir())) == before


def test_a_sweep_that_looks_at_a_new_file_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds the file for a moment, and removes it: the write makes another one."""
    flock = fcntl.flock
    held: list[IO[str]] = []

    def late(handle: int, mode: int) -> None:
        if not held:
            [path] = tmp_path.iterdir()
            held.append(path.open())
            flock(held[0], fcntl.LOCK_EX)

            def swept() -> None:
                path.unlink()
                held[0].close()

            threading.Timer(0.1, swept).start()
        flock(handle, mode)

    monkeypatch.setattr(fcntl, "flock", late)
    files.write(tmp_path / "a", b"content")
    assert testing.contents(tmp_path) == {"a": b"content"}


@pytest.mark.parametrize("name", ["a[bc].json", "a*.json", "a?.json", "a b.json", "ü.json", "-a", ".a"])
def test_leftovers_are_those_of_the_very_name(tmp_path: Path, name: str) -> None:
    """A sweep removes all that was left of a file of any name, and nothing that only looks like it."""
    left = [tmp_path / f".{name}.{digits}.tmp" for digits in ("0123abcd", "ffffffff", "98765432")]
    others = [
        ".ab.json.0123abcd.tmp",
        f".my-{name}.0123abcd.tmp",
        ".gitignore",
        f".{name}.0123abc.tmp",
        f".{name}.original.tmp",
        f".{name}.0123ABCD.tmp",
        f".{name}.0123abcd",
        f"{name}.0123abcd.tmp",
    ]
    for other in (*left, *(tmp_path / other for other in others)):
        other.touch()
    # In whatever order a folder is listed, what cannot be removed keeps nothing else.
    folders = [f".{name}.{digit * 8}.tmp" for digit in "01234567"]
    for folder in folders:
        (tmp_path / folder).mkdir()
    files.sweep(tmp_path / name)
    assert {path.name for path in tmp_path.iterdir()} == {*others, *folders}


def test_a_link_is_replaced_and_its_target_stays(tmp_path: Path) -> None:
    """What a link points to may be anybody's: a write takes the link's place."""
    (tmp_path / "target").write_bytes(b"theirs")
    (tmp_path / "a").symlink_to("target")
    files.write(tmp_path / "a", b"mine")
    assert not (tmp_path / "a").is_symlink()
    assert testing.contents(tmp_path) == {"a": b"mine", "target": b"theirs"}


@pytest.fixture
def at_once() -> Iterator[None]:
    """Fail what waits for somebody who writes into a pipe, instead of waiting for ever too."""

    def late(*_: object) -> None:
        raise AssertionError("expected an error at once, waited 20 s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        pytest.param(os.mkfifo, "it is no regular file", id="pipe"),
        pytest.param(lambda path: path.symlink_to("/dev/zero"), "it is no regular file", id="device"),
        pytest.param(lambda path: path.symlink_to("/dev/tty"), "no regular file|No such device", id="terminal"),
        pytest.param(lambda path: socket.socket(socket.AF_UNIX).bind(str(path)), "No such device", id="socket"),
        pytest.param(os.mkdir, "Is a directory", id="folder"),
        pytest.param(lambda path: path.symlink_to(path), "Too many levels", id="loop of links"),
        pytest.param(lambda path: path.symlink_to("nothing"), "No such file", id="link to nothing"),
        pytest.param(lambda path: None, "No such file", id="nothing"),
    ],
)
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.usefixtures("at_once")
def test_what_is_no_file_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None], reason: str
) -> None:
    """Only regular files are read, and links to them; anything else is an error at once."""
    monkeypatch.chdir(tmp_path)
    make(Path("a"))
    with pytest.raises(OSError, match=reason) as caught:
        files.read("a", 10)
    assert caught.value.filename == "a"
    assert caught.value.errno in {errno.EINVAL, errno.EISDIR, errno.ELOOP, errno.ENOENT, errno.ENXIO}


def test_no_more_is_read_than_a_file_may_have(tmp_path: Path) -> None:
    """A file of as many bytes as allowed is read, one of one more is not."""
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("a")
    assert files.read(tmp_path / "link", 5) == b"12345"
    with pytest.raises(OSError, match="it is larger than 4 bytes: .*a") as caught:
        files.read(tmp_path / "a", 4)
    assert caught.value.errno == errno.EFBIG


def test_a_file_that_no_memory_can_hold_is_refused_unread(tmp_path: Path) -> None:
    """As much is read as is allowed, and one byte more, however large it is."""
    path = tmp_path / "a"
    path.touch()
    os.truncate(path, 2**43)
    with pytest.raises(OSError, match="it is larger than 10 bytes"):
        files.read(path, 10)
    # Programs that copy the temporary folder may not know that it is empty.
    path.unlink()


def test_a_terminal_in_the_place_of_a_file_stays_somebody_elses() -> None:
    """A process without a terminal, as a service is, does not get one by looking at what is there."""
    code = (
        "import contextlib, os; from fmnist.steps import files\n"
        "name = os.ttyname(os.openpty()[1])\n"
        "with contextlib.suppress(OSError): files.opened(name)\n"
        "os.open('/dev/tty', os.O_RDONLY)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], start_new_session=True, capture_output=True, text=True, check=False
    )
    assert "No such device or address: '/dev/tty'" in done.stderr
