"""Every write of every command, and each part of it, fails once: nothing is lost, and nothing is left behind."""

import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from support import failing, helpers

from fmnist.steps import dataset


@pytest.mark.parametrize("command", failing.SCENARIOS)
def test_a_failing_disk_an_interrupt_or_a_kill_leaves_the_old_or_the_new(command: str, tmp_path: Path) -> None:
    """After any fault each file is the old or the new one; the next command ends as undisturbed, and tidies up."""
    # By day some operations fail, each in one way; at night each operation fails in each.
    every = ["every"] * (hypothesis.settings().max_examples >= 1_000)
    before = {path: path.stat().st_mtime_ns for path in dataset.fetch().iterdir()}
    program = [sys.executable, str(helpers.TESTS / "support" / "failing.py"), command, str(tmp_path), *every]
    done = subprocess.run(program, capture_output=True, text=True, check=False, env=helpers.clean_environment())
    assert done.returncode == 0, done.stderr
    outcomes: list[dict[str, Any]] = json.loads(done.stdout)
    assert len(outcomes) >= 7
    assert {outcome["code"] for outcome in outcomes} <= {0, 1, 3, 130, -9}
    assert {3, 130, -9} <= {outcome["code"] for outcome in outcomes}
    good: dict[str, Any] = {"neither old nor new": [], "lost": [], "not as undisturbed": []}
    assert [outcome for outcome in outcomes if outcome | good != outcome] == []
    # A run that is finished in spite of the fault is not begun again.
    assert {outcome["again"] for outcome in outcomes if outcome["code"] != 0} == {0}
    # The data that it writes is made up, and goes nowhere near the user's.
    assert {path: path.stat().st_mtime_ns for path in dataset.data_folder().iterdir()} == before


#: A command that fills one file in its place, and removes another before the new one is there.
CARELESS = """
import json, os, sys
from pathlib import Path
from support import failing

def make(folder):
    folder.mkdir()
    for name in ("filled", "replaced"):
        (folder / name).write_text("old")

def write(path):
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as file:
        file.write(b"new!")
        file.flush()
        os.fsync(file.fileno())

def command(folder):
    try:
        made = folder / ".made"
        made.mkdir(exist_ok=True)
        os.chmod(made, 0o700)
        write(made / "part")
        (folder / "replaced").unlink(missing_ok=True)
        os.rename(made / "part", folder / "replaced")
        made.rmdir()
        write(folder / "filled")
        if not (folder / "once").exists():
            (folder / "once").mkdir()
            os.chmod(folder / "once", 0o700)
            (folder / "once" / "file").touch()
    except OSError:
        return 3
    except KeyboardInterrupt:
        return 130
    return 0

print(json.dumps(list(failing.outcomes(command, make, Path(sys.argv[1]), every=False))))
"""


def test_a_link_that_leads_to_no_file_is_told_by_where_it_leads(tmp_path: Path) -> None:
    """It is not read, and counts as something that is there."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(b"a")
    for name, target in {"gone": "nowhere", "of": "folder", "same": "folder/file", "self": "self"}.items():
        (tmp_path / name).symlink_to(target)
    links = {"gone": "a link to nowhere", "of": "a link to folder", "self": "a link to self"}
    assert failing.state(tmp_path) == {"folder/file": "61", "same": "61", **links}


def test_what_a_careless_command_leaves_is_told(tmp_path: Path) -> None:
    """Each operation fails once; what is half written, lost or never made again is named, hidden files aside."""
    program, environment = [sys.executable, "-c", CARELESS, str(tmp_path)], {"PYTHONPATH": str(helpers.TESTS)}
    done = subprocess.run(program, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    told = {one.pop("fault"): list(one.values()) for one in json.loads(done.stdout)}
    assert {fault: (code, *rest) for fault, (code, *rest, again, odd) in told.items() if any(rest) or again or odd} == {
        "kill at 7, os.rename": (-9, [], ["replaced"]),
        "interrupt at 10, open": (130, ["filled"], []),
        "kill at 11, write": (-9, ["filled"], []),
        "interrupt at 14, os.chmod": (130, ["once"], []),
        "kill at 15, open": (-9, ["once"], []),
    }
    assert {fault: odd for fault, (*_, odd) in told.items() if odd} == {
        "interrupt at 14, os.chmod": ["once", "once/file"],
        "kill at 15, open": ["once", "once/file"],
    }
    ends = itertools.cycle([("ENOSPC", 3), ("EIO", 3), ("interrupt", 130), ("kill", -9)])
    writing = "open open write fsync"
    operations = f"os.mkdir os.chmod {writing} os.remove os.rename os.rmdir {writing} os.mkdir os.chmod open"
    assert {fault: code for fault, (code, *_) in told.items()} == {
        f"{kind} at {at}, {operation}": code
        for (kind, code), (at, operation) in zip(ends, enumerate(operations.split()), strict=False)
    }


#: A command that writes over a file, removes another for good, and notes the time; its errors are its own.
PLAIN = """
import json, os, sys, time
from pathlib import Path
from support import failing

def make(folder):
    folder.mkdir()
    for name in ("filled", "gone", "log.txt"):
        (folder / name).write_text("old!")

def command(folder):
    with os.fdopen(os.open(folder / "filled", os.O_RDWR), "wb") as file:
        file.write(b"new!")
    (folder / "gone").unlink(missing_ok=True)
    (folder / "log.txt").write_text(str(time.monotonic_ns()))
    return 0

print(json.dumps(list(failing.outcomes(command, make, Path(sys.argv[1]), every=True))))
"""


def test_each_operation_fails_in_each_way(tmp_path: Path) -> None:
    """A write has written a part; what is removed on purpose is not lost, and the time is no difference."""
    program, environment = [sys.executable, "-c", PLAIN, str(tmp_path)], {"PYTHONPATH": str(helpers.TESTS)}
    done = subprocess.run(program, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert [list(one.values()) for one in json.loads(done.stdout)] == [
        [f"{kind} at {at}, {operation}", code, ["filled"] if operation == "write" else [], [], 0, []]
        for at, operation in enumerate(("open", "open", "write", "os.remove", "open"))
        for kind, code in (("ENOSPC", 70), ("EIO", 70), ("interrupt", 70), ("kill", -9))
    ]
