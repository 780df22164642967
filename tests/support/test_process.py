"""Tests of the guard that tests leave their process as it was."""

import os
import signal
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from support import process


def nothing() -> None:
    """Change nothing."""


def eastward() -> None:
    """Go where it is nine hours later."""
    os.environ["TZ"] = "JST-9"
    time.tzset()


CHANGES: dict[str, tuple[Callable[[], object], list[str]]] = {
    "nothing": (nothing, []),
    "a new variable": (lambda: os.environ.update(IPYTHONDIR="/gone"), ["IPYTHONDIR"]),
    "a new variable of ours": (lambda: os.environ.update(FMNIST_STRICT="7"), ["FMNIST_STRICT"]),
    "another value": (lambda: os.environ.update(PATH="/gone"), ["PATH"]),
    "a variable less": (lambda: os.environ.pop("PATH"), ["PATH"]),
    "what is imported late": (lambda: os.environ.update(KMP_INIT_AT_FORK="1"), []),
    "a variable with such a name within": (lambda: os.environ.update(MY_TF_X="1", TF="1"), ["MY_TF_X", "TF"]),
    "a folder": (lambda: os.chdir("/dev"), ["the working directory"]),
    "a mask": (lambda: os.umask(0o777), ["the umask"]),
    "a time zone": (eastward, ["TZ", "the time zone"]),
    "a mask of the owner's": (lambda: os.umask(0o122), ["the umask"]),
    "a path": (lambda: sys.path.insert(0, "/gone"), ["the search path"]),
    "an order of paths": (sys.path.reverse, ["the search path"]),
    **{
        f"a handler of {one.name}": (partial(signal.signal, one, lambda *_: None), ["the signals' handlers"])
        for one in process.SIGNALS
    },
    "what a shell sets in the background": (lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN), []),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_test_changes_is_named(change: str) -> None:
    """Whatever tests share and a test leaves otherwise is named, and only that."""
    act, expected = CHANGES[change]
    environment, here, path, mask = dict(os.environ), Path.cwd(), list(sys.path), os.umask(0o022)
    handlers = {one: signal.getsignal(one) for one in process.SIGNALS}
    before = process.state()
    try:
        act()
        found = process.changed(before)
    finally:
        os.environ.clear()
        os.environ.update(environment)
        time.tzset()
        os.chdir(here)
        sys.path[:] = path
        os.umask(mask)
        for one, handler in handlers.items():
            signal.signal(one, handler)
    assert found == expected


def test_what_ends_a_program_or_a_wait_is_watched() -> None:
    """These are the signals for which tests and libraries have handlers."""
    watched = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD}
    assert set(process.SIGNALS) == watched


def test_tensorflow_starts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test in which it starts may set variables, and nothing else."""
    before = process.state() | {"the start of TensorFlow": "another"}
    monkeypatch.setenv("KERAS_BACKEND", "another")
    assert process.changed(before) == []
    monkeypatch.chdir("/dev")
    assert process.changed(before) == ["the working directory"]
    others = {name: "another" for name in before if name.startswith("the ")}
    assert process.changed(before | others) == [
        *("the search path", "the signals' handlers", "the time zone", "the umask", "the working directory")
    ]


def test_programs_print_as_for_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the user wants pytest to look like is no matter of the programs that tests start, and comes back."""
    names = ["CLICOLOR_FORCE", "COLUMNS", "FORCE_COLOR", "NO_COLOR", "PYTEST_ADDOPTS", "PY_COLORS"]
    assert not os.environ.keys() & {*names}
    for name in names[1:]:
        monkeypatch.setenv(name, "20")
    with process.plain():
        assert not os.environ.keys() & {*names}
    assert sorted(os.environ.keys() & {*names}) == names[1:]


def test_a_checkout_may_be_read_only() -> None:
    """That pytest cannot keep what has failed is no error, which it would show as one of its own."""
    warnings.warn("cache could not write path /gone: Permission denied", pytest.PytestCacheWarning, stacklevel=1)
