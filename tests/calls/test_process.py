"""Tests of `fmnist.run` and `fmnist.study`, which work in processes of their own.

That a run has the bytes of `fmnist run` where TensorFlow runs in another mode is among the disturbances.
"""

import asyncio
import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import reduce
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from support import helpers

import fmnist
from fmnist.calls import child, process
from fmnist.runs import run, study
from fmnist.steps import determinism
from fmnist.steps.errors import ContractError, DataError, FmnistError, SettingsError, StepError
from fmnist.steps.settings import Settings

#: A list in a list, and so on.
DEEP = reduce(lambda inner, _: [inner], range(100_000), list[Any]())


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"epochs": 0}, SettingsError, "epochs: expected a whole number of at least 1, got 0."),
        ({"epochs": None}, SettingsError, "epochs: expected a whole number of at least 1, got None."),
        ({"epochs": True}, SettingsError, "epochs: expected a whole number of at least 1, got True."),
        ({"epochs": [1]}, SettingsError, "epochs: expected a whole number of at least 1, got \\[1\\]."),
        ({"epochs": {1}}, SettingsError, "epochs: expected a number, a text or a config, got {1}."),
        ({"epochs": {(1, 2): 3}}, SettingsError, "epochs: expected a number, a text or a config, got {\\(1, 2\\): 3}."),
        ({"seed": 10**5000}, SettingsError, "seed: expected a number, a text or a config, got an int."),
        ({"seed": DEEP}, SettingsError, "seed: expected a number, a text or a config, got a list."),
        ({"seed": b"1"}, SettingsError, "seed: expected a number, a text or a config, got b'1'."),
        (
            {"seed": np.array([1])},
            SettingsError,
            "seed: expected a number, a text or a config, got array\\(\\[1\\]\\).",
        ),
        (
            {"compile_optimizer": Path("adam")},
            SettingsError,
            "compile_optimizer: .* a config, got PosixPath\\('adam'\\).",
        ),
        ({"epoch": 1}, SettingsError, "parameter: expected one of .*, got 'epoch'. Did you mean 'epochs'?"),
        ({"compile_optimizer": {"class_name": "adma"}}, SettingsError, "compile_optimizer: .* Did you mean 'adam'?"),
    ],
    ids=["value", "none", "bool", "list", "set", "key", "long", "deep", "bytes", "array", "path", "name", "config"],
)
def test_a_bad_parameter_is_refused(
    tmp_path: Path, parameters: dict[str, Any], error: type[FmnistError], message: str
) -> None:
    """The error is the one that `Settings` raises, and there is no folder."""
    with pytest.raises(error, match=f"^{message}"):
        fmnist.run(tmp_path / "run", **parameters)
    assert list(tmp_path.iterdir()) == []


def test_what_lies_in_the_working_folder_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of the name of a module, as somebody's own `signal.py`, is not code of another process."""
    monkeypatch.chdir(tmp_path)
    for name in ("signal", "keras", "numpy", "fmnist"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported')")
    with pytest.raises(SettingsError, match=r"^epochs: expected a whole number"):
        fmnist.run("run", epochs=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seeds": 0}, "seeds: expected a whole number of at least 1, got 0."),
        ({"seeds": range(3)}, "seeds: expected a whole number of at least 1, got range(0, 3)."),
        ({"seeds": None}, "seeds: expected a whole number of at least 1, got None."),
        ({"seeds": np.array([1])}, "seeds: expected a whole number of at least 1, got array([1])."),
        ({"first_seed": -1}, "first_seed: expected a whole number of at least 0, got -1."),
        ({"first_seed": np.array([1])}, "first_seed: expected a whole number of at least 0, got array([1])."),
        ({"first_seed": False}, "first_seed: expected a whole number of at least 0, got False."),
        ({"jobs": 0}, "jobs: expected a whole number of at least 1, got 0."),
        ({"jobs": "2"}, "jobs: expected a whole number of at least 1, got '2'."),
        ({"jobs": np.array([1])}, "jobs: expected a whole number of at least 1, got array([1])."),
        (
            {"first_seed": 2**31 - 1, "seeds": 2},
            "seed: expected a whole number from 0 to 2147483647, got 2147483648.",
        ),
    ],
    ids=[
        "no seeds",
        "range",
        "none",
        "array of seeds",
        "negative",
        "array",
        "false",
        "no jobs",
        "text",
        "array of jobs",
        "too large",
    ],
)
def test_a_bad_option_of_a_study_is_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    """The message says which, and there is no folder."""
    with pytest.raises(SettingsError) as caught:
        fmnist.study(tmp_path / "study", **options)
    assert str(caught.value) == message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        (3, "folder: expected a path, got 3. Name a folder for the results."),
        (None, "folder: expected a path, got None. Name a folder for the results."),
        ("", "folder: expected a path, got ''. Name a folder for the results."),
        (b"run", "folder: expected a path, got b'run'. Name a folder for the results."),
        ("a\0b", "folder: expected a path without null characters, got 'a\\x00b'."),
        ("~nobody-here/run", "folder: expected a path, got '~nobody-here/run'. Name a folder for the results."),
    ],
    ids=["number", "none", "empty", "bytes", "null", "nobody's"],
)
def test_what_is_no_folder_is_refused(folder: Any, message: str) -> None:
    """The message says what was expected."""
    for call in (fmnist.run, fmnist.study):
        with pytest.raises(ContractError) as caught:
            call(folder, epochs=1)
        assert str(caught.value) == message


@pytest.mark.parametrize("nothing", ["", None])
def test_a_python_that_is_nowhere_is_told_of(nothing: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that embeds Python may leave out where it is."""
    monkeypatch.setattr(sys, "executable", nothing)
    with pytest.raises(ContractError) as caught:
        fmnist.run(tmp_path / "run", epochs=1)
    assert str(caught.value) == (
        f"sys.executable: expected the path of Python, got {nothing!r}, as in a program that embeds it. Set it: runs "
        "and studies have processes of their own."
    )


def test_a_folder_with_other_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the folder is named from here, and an event loop runs; no program file here counts.

    It is named as it was given, be it a link, or a name that begins with a blank.
    """
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine").touch()
    (tmp_path / " run").symlink_to("there")
    (tmp_path / "same.yaml").write_text("nothing: [")
    monkeypatch.chdir(tmp_path)

    async def call() -> None:
        fmnist.run(" run", epochs=1)

    with pytest.raises(
        ContractError, match=f"^run folder: expected a new or empty folder, got {tmp_path}/ run with mine"
    ):
        asyncio.run(call())


def test_a_folder_below_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tilde is the home folder, as in a shell."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "file").touch()
    with pytest.raises(ContractError, match=f"^study folder: expected a folder, got a file: {tmp_path}/file. Choose"):
        fmnist.study("~/file", seeds=1, epochs=1)


def test_data_that_cannot_be_found_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails at run time has the type that it has in one process."""
    monkeypatch.setenv("FMNIST_DATA_DIR", "~nobody-of-that-name")
    with pytest.raises(DataError, match="^data folder: expected a home folder, as in .~nobody-of-that-name., got none"):
        fmnist.run(tmp_path / "run", epochs=1)


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    """It is the system's error, with the file that it is about."""
    folder = tmp_path / ("x" * 300)
    with pytest.raises(OSError, match="File name too long") as caught:
        fmnist.run(folder, epochs=1)
    assert (caught.value.errno, caught.value.filename) == (errno.ENAMETOOLONG, str(folder))


def test_a_finished_run_is_shown(copy: Callable[[str], Path], capfd: pytest.CaptureFixture[str]) -> None:
    """Numbers may be NumPy's. What the results show is told once, and nothing else is printed."""
    run = fmnist.run(copy("run"), epochs=np.int64(2), seed=5)
    assert (run.folder / "run.json").is_absolute()
    assert (run.folder / "run.json").is_file()
    assert (run.accuracy, run.loss) == (0.8773, 0.4375)
    assert run.metrics == {"accuracy": 0.8773, "loss": 0.4375}
    assert run.parameters == {"compile_optimizer": "adam", "epochs": 2, "seed": 5, "validation_split": 0.05}
    assert capfd.readouterr() == ("", "The run was finished before: these are its results.\n")


def test_a_finished_study_is_shown(copy: Callable[[str], Path], capfd: pytest.CaptureFixture[str]) -> None:
    """The seeds are those that were asked for. A thread may call it, beside which an event loop goes on."""
    call = asyncio.to_thread(fmnist.study, str(copy("study")), seeds=3, first_seed=5, epochs=2)
    study = asyncio.run(call)
    assert (study.folder / "study.json").is_file()
    assert study.accuracies == [0.8773, 0.8831, 0.8797]
    assert study.conclusions == ()
    assert capfd.readouterr() == ("", "Each seed was trained before: these are their results.\n")


def wait_for(what: Callable[[], bool]) -> None:
    """Wait until something is so, for a minute at most."""
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def dying(folder: Path, last: str, monkeypatch: pytest.MonkeyPatch, then: str = "kill()") -> str:
    """Let each other Python say its `last` and be killed, and return the error of a run."""
    code = f"import os; say = os.write; kill = lambda: os.kill(os.getpid(), 9); {last}; {then}"
    (folder / "sitecustomize.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    with pytest.raises(StepError) as caught:
        fmnist.run(folder / "run", epochs=1)
    return str(caught.value)


def test_a_process_that_dies_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message has how it ended, and the last lines that it printed anywhere, also where these are no text."""
    said = dying(tmp_path, "say(1, b'Gone ' * 2_000); say(2, b'Good bye.\\xff')", monkeypatch)
    first, _, last = said.partition(" It last said:\n")
    assert first.startswith("process: expected an answer, but its process ended with exit code -9 (SIGKILL). Some")
    assert last == (b"Gone " * 2_000 + b"Good bye.\xff").decode(errors="replace")[-2_000:]


def test_a_process_may_die_when_it_knows_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the pipe ends, where before it breaks."""
    read = "import multiprocessing.connection as c; recv = c.Connection.recv"
    said = dying(tmp_path, read, monkeypatch, "c.Connection.recv = lambda pipe: (recv(pipe), kill())")
    assert said.startswith("process: expected an answer, but its process ended with exit code -9 (SIGKILL). Some")


def test_a_process_whose_progress_cannot_be_shown_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for it, nor for what it has started, as the seeds of a study."""
    end = tmp_path / "end"
    starts = f"subprocess.Popen(['sleep', '60'], env={{'MARK': {str(tmp_path)!r}}})"
    does = f"{starts}, pipe.send(('on_nothing',)), time.sleep(5), open({str(end)!r}, 'w')"
    code = f"import multiprocessing.connection as c, subprocess, time; c.Connection.recv = lambda pipe: ({does})"
    (tmp_path / "sitecustomize.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(AttributeError, match="on_nothing"):
        fmnist.run(tmp_path / "run", epochs=1)
    assert not end.exists()
    late = time.monotonic() + 30
    while (left := helpers.processes(f"MARK={tmp_path}")) and time.monotonic() < late:
        time.sleep(0.01)
    assert left == []


def test_the_last_words_of_a_process_may_be_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are all there."""
    assert dying(tmp_path, "say(2, b'Bye')", monkeypatch).endswith(" It last said:\nBye")


def test_the_last_words_of_a_process_are_told_without_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the password of a proxy, which a library may print."""
    monkeypatch.setenv("HTTPS_PROXY", "http://me:s3cret-w0rd@proxy.example")
    assert dying(tmp_path, "say(2, b'no s3cret-w0rd')", monkeypatch).endswith(" It last said:\nno ***")


def test_memory_that_ran_out_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the kernel counts is read before the process and after it."""
    monkeypatch.setattr(process, "OutOfMemory", helpers.RanOut)
    assert "(SIGKILL). Memory ran out, at 2 GiB. " in dying(tmp_path, "pass", monkeypatch)


def test_another_process_has_no_input_and_no_variables_that_change_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for an answer on a terminal that it asks."""
    monkeypatch.setenv("TF_XLA_FLAGS", "--nonsense")
    asked = 'say(1, f\'{os.readlink("/proc/self/fd/0")} {os.environ.get("TF_XLA_FLAGS")}\'.encode())'
    with helpers.silent_stdin():
        said = dying(tmp_path, asked, monkeypatch)
    assert said.endswith("said:\n/dev/null None")


def test_a_process_ends_with_the_python_that_called(tmp_path: Path) -> None:
    """Also where it tells nothing, as in a long download, and that Python was killed."""
    (tmp_path / "sitecustomize.py").write_text(f"import time; open({str(tmp_path / 'there')!r}, 'w'); time.sleep(600)")
    code = (
        f"import os, fmnist; os.environ['PYTHONPATH'] = {str(tmp_path)!r}\n"
        f"fmnist.run({str(tmp_path / 'run')!r}, epochs=1)"
    )
    marked = {**os.environ, "XDG_MARK": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", code], env=marked) as calling:
        wait_for((tmp_path / "there").exists)
        calling.kill()
    wait_for(lambda: not helpers.processes(f"XDG_MARK={tmp_path}"))


def test_a_cpu_that_is_not_promised_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the line of whoever calls."""
    monkeypatch.setattr(determinism, "caveat", lambda: "CPU: another one.")
    with pytest.warns(UserWarning, match=r"^CPU: another one\.$") as warned, pytest.raises(SettingsError):
        fmnist.run(tmp_path / "run", epochs=0)
    assert [warning.filename for warning in warned] == [__file__]


def test_an_optimizer_is_given_in_any_form() -> None:
    """As a mapping of any kind, or as Keras' own, which other processes get as its config."""
    determinism.tensorflow()
    import keras

    optimizer = keras.optimizers.SGD(0.5)
    config = {"class_name": "adam"}
    plain = process._plain({"mapping": MappingProxyType(config), "keras": optimizer, "number": np.float64(0.5)})
    assert plain == {"mapping": config, "keras": keras.optimizers.serialize(optimizer), "number": 0.5}
    assert (plain["keras"]["class_name"], plain["keras"]["config"]["learning_rate"]) == ("SGD", 0.5)

    class Settled:
        """A class that gives a config by itself."""

        @classmethod
        def get_config(cls) -> dict[str, Any]:
            return {}

    for wrong in (keras.optimizers.SGD, Settled, object()):
        with pytest.raises(SettingsError, match="expected a number, a text or a config"):
            process._plain({"compile_optimizer": wrong})


def test_names_of_the_package() -> None:
    """The class names are the tutorial's, the version is the package's, and completion finds what is imported late."""
    assert fmnist.CLASS_NAMES[:3] == ("T-shirt/top", "Trouser", "Pullover")
    assert fmnist.__version__ == "0.1.0"
    assert {"run", "study", "__version__", "train"} <= set(dir(fmnist))


def test_there_is_no_other_name() -> None:
    """A name that the package does not have is an error as everywhere."""
    with pytest.raises(AttributeError, match="module 'fmnist' has no attribute 'runn'"):
        fmnist.runn  # noqa: B018 - the access is what is tested


@pytest.mark.parametrize(
    ("given", "parameters", "seeds", "jobs"),
    [
        ({}, {}, 60, None),
        ({"seeds": 2, "jobs": 3, "epochs": 1}, {"epochs": 1}, 2, 3),
        ({"first_seed": 7, "seed": 5}, {"seed": 7}, 60, None),
        ({"first_seed": 0}, {"seed": 0}, 60, None),
        ({"seeds": np.int64(2), "jobs": np.uint8(3), "first_seed": np.int32(4)}, {"seed": 4}, 2, 3),
    ],
    ids=["defaults", "all", "first", "zero", "of NumPy"],
)
def test_each_option_of_a_study_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], parameters: dict[str, Any], seeds: int, jobs: int | None
) -> None:
    """The other process is told of the folder, the parameters, how many seeds, and how many at once."""
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr(process, "_answer", lambda *request: asked.append(request))
    # As Python's own functions do, and no shell: what looks like a variable is a name.
    fmnist.study("$HOME here", **given)
    assert asked == [("study", Path.cwd() / "$HOME here", parameters, seeds, jobs)]


def test_another_process_does_what_it_is_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Settings, seeds, folder and jobs reach what `fmnist run` and `fmnist study` call, and so does each callback."""
    told: list[str] = []

    def tell(name: str) -> Callable[..., None]:
        told.append(name)
        return lambda *_: None

    def calls(*given: Any, **callbacks: Any) -> Iterator[Any]:
        return iter((*(one for one in given if not callable(one)), sorted(callbacks)))

    monkeypatch.setattr(run, "run_pipeline", calls)
    monkeypatch.setattr(study, "run_study", calls)
    assert [*child.run(tell, tmp_path, {"seed": 3})] == [Settings(seed=3), tmp_path, []]
    assert told == ["on_event", "on_progress"]
    callbacks = ["on_failure", "on_progress", "on_result", "on_seeds"]
    asked = [*child.study(tell, tmp_path, {"seed": 3}, 2, 4)]
    assert asked == [Settings(seed=3), range(3, 5), tmp_path, 4, callbacks]
    assert sorted(told[2:]) == callbacks


def test_another_process_sees_its_steps_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who started it may ignore the ends of its children: then a step that failed would count as done."""
    ours, theirs = multiprocessing.Pipe()
    monkeypatch.setattr(child, "CALLS", {"ask": lambda _: signal.getsignal(signal.SIGCHLD)})
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        ours.send(("ask",))
        child.main(os.dup(theirs.fileno()))
        assert ours.recv() == ("answer", signal.SIG_DFL)
    finally:
        signal.signal(signal.SIGCHLD, before)
        ours.close()
        theirs.close()
