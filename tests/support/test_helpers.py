"""Each shared check fails on a bad example."""

import ast
import os
import select
import stat
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hypothesis
import numpy as np
import pytest
from support import helpers, submission

from fmnist.cluster.client import ClusterError
from fmnist.steps import model
from fmnist.steps.determinism import SWITCHES
from fmnist.steps.errors import ContractError


def test_a_failing_program_is_seen() -> None:
    """A program that fails shows its error, whatever it has printed before."""
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        helpers.python("print('all is well', flush=True); 1 / 0")


def test_other_processes_start_as_for_a_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without what TensorFlow was started with here, and with what is given, in the folder that is."""
    for name in (*SWITCHES, "KERAS_HOME", "THEIRS"):
        monkeypatch.setenv(name, "7")
    assert {*SWITCHES, "KERAS_HOME", "THEIRS"} & helpers.clean_environment().keys() == {"THEIRS"}
    code = "import os; print(({**os.environ}, os.getcwd(), os.environ.pop('PREFIX')))"
    prefix = ("env", "PREFIX=before")
    found, here, before = ast.literal_eval(helpers.python(code, prefix=prefix, cwd=tmp_path, KERAS_HOME="given"))
    assert (here, before) == (str(tmp_path), "before")
    assert {name: found.get(name) for name in (*SWITCHES, "KERAS_HOME", "THEIRS")} == {
        **dict.fromkeys(SWITCHES),
        "KERAS_HOME": "given",
        "THEIRS": "7",
    }


def test_each_import_that_takes_long_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the command ends itself; others are none of them."""
    code = "import sys\n\ndef main(names):\n    if names[0].startswith('raise'): exec(names[0])\n"
    code += "    sys.modules |= dict.fromkeys(names, sys)\n    sys.exit(1)\n"
    (tmp_path / "heavy.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    slow = {"keras", "kfp", "matplotlib", "pydantic", "sklearn", "tensorflow"}
    assert helpers.heavy_imports("heavy", *slow, "others") == slow
    # One that crashes before it imports them has not shown that it needs none.
    with pytest.raises(AssertionError, match="ValueError: no luck"):
        helpers.heavy_imports("heavy", "raise ValueError('no luck')")


def test_a_process_is_found_by_its_whole_variable() -> None:
    """Not by a part of it, and not when it has ended."""
    with subprocess.Popen(["sleep", "60"], env={"PATH": os.environ["PATH"], "MARK": "xyz"}) as process:
        # Popen is done when the program has begun.
        found = [helpers.processes(one) for one in ("MARK=xyz", "MARK=xy", "ARK=xyz")]
        process.kill()
        process.wait()
        assert found == [["sleep 60 "], [], []]
    assert helpers.processes("MARK=xyz") == []


def test_nobody_writes_to_a_silent_stdin() -> None:
    """Who reads it waits; afterwards it is what it was."""
    before, files = os.fstat(0), len([*Path("/proc/self/fd").iterdir()])
    with helpers.silent_stdin():
        assert stat.S_ISFIFO(os.fstat(0).st_mode)
        assert select.select([0], [], [], 0) == ([], [], [])
    after = os.fstat(0)
    assert (after.st_dev, after.st_ino) == (before.st_dev, before.st_ino)
    assert len([*Path("/proc/self/fd").iterdir()]) == files


def test_networks_are_equal_only_if_all_weights_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of each layer counts, and where it is; what is read again is what was written."""
    weights = [np.arange(6.0, dtype=np.float32).reshape(2, 3), np.zeros(2, np.float32)]
    given = [
        weights,
        [weights[0], np.eye(2, dtype=np.float32)[1]],
        [weights[0].T.reshape(2, 3), weights[1]],
        weights[:1],
    ]
    networks = [SimpleNamespace(get_weights=lambda one=one: one) for one in given]
    assert len({*map(helpers.digest, networks)}) == 4
    monkeypatch.setattr(model, "to_bytes", lambda network: helpers.digest(network).encode())
    monkeypatch.setattr(model, "read", Path.read_text)
    assert helpers.reloaded(networks[1], tmp_path) == helpers.digest(networks[1])


@pytest.mark.parametrize(
    ("strict", "outcome"),
    [("1", pytest.fail.Exception), ("", pytest.skip.Exception)],
    ids=["strict", "elsewhere"],
)
def test_what_is_missing_fails_a_strict_run(
    strict: str, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check that cannot be made is skipped with its reason, in any CI too, but fails where all must be checked."""
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("FMNIST_STRICT", strict)
    # A skip that nobody catches would skip this test, and fail nothing.
    with pytest.raises((pytest.fail.Exception, pytest.skip.Exception), match="needs a moon") as caught:
        helpers.missing("a moon")
    assert caught.type is outcome


@pytest.mark.usefixtures("abroad")
def test_abroad_it_is_later() -> None:
    """What is tested there would be wrong by nine hours if it took the time of the place for that of the world."""
    assert time.localtime(0)[:5] == (1970, 1, 1, 9, 0)


def test_fewer_examples_are_a_fifth_in_each_profile() -> None:
    """At night, too, where there are many."""
    assert helpers.fewer_examples().max_examples * 5 == hypothesis.settings().max_examples


class BothError(ClusterError, ContractError):
    """An error of a server that is one of the input, too."""


@pytest.mark.parametrize(
    ("error", "cause", "context"),
    [
        (ClusterError("no luck"), None, ValueError("secret")),
        (ClusterError("no luck"), ValueError("secret"), None),
        (ClusterError("no\nluck"), None, None),
        (BothError("no luck"), None, None),
    ],
    ids=["context", "cause", "two lines", "bad input"],
)
def test_an_error_of_a_submission_is_one_line_with_nothing_behind_it(
    error: Exception, cause: Exception | None, context: Exception | None
) -> None:
    """What has led to it may hold a secret, though it is no cause; and what a server does is no bad input."""

    def create(*_: object, **__: object) -> None:
        error.__cause__, error.__context__ = cause, context
        raise error

    target: Any = SimpleNamespace(versions=SimpleNamespace(create=create))
    with pytest.raises(AssertionError):
        submission.failure(target, Path())
