"""Tests of the disturbances: those that take little time, and that the program sees what a disturbance does."""

import ast
import os
import re
import runpy
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from disturbances import disturb, few, ways
from support import helpers

import fmnist
from fmnist.steps import dataset, determinism

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
    """The catalogue has at least 60, no two are the same, and each says what it reaches; a refusal names its cause."""
    assert len(WAYS) >= 60
    mechanisms = {
        repr((way.python, way.environment, way.files, way.home, way.folder, way.prefix, way.switches)) for way in WAYS
    }
    assert len(mechanisms) == len(WAYS)
    assert all(way.on and set(way.on) <= set(disturb.TARGETS) for way in WAYS)
    # By its other words any refusal would do.
    vague = [way.id for way in WAYS if way.message and not re.match(r"(?!expected [A-Z])\S+ \S+ \S+", way.message)]
    assert vague == []


def test_nothing_that_should_matter_does() -> None:
    """All that takes little time gives the same bytes or its refusal: modes and settings in the process, and around."""
    done = program("--quick")
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    tried, _, of = done.stdout.splitlines()[-1].partition(" disturbances")[0].partition(" of ")
    assert int(tried) == int(of) >= 60


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("target", disturb.TARGETS)
def test_each_disturbance_is_tried_on_what_it_reaches(target: str, together: bool) -> None:
    """Whether it is refused or not, and works with others or alone."""
    tried = [way.id for job in disturb.jobs_for(target, WAYS, together=together) for way in job.ways]
    assert sorted(tried) == sorted(way.id for way in WAYS if target in way.on)


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
    *ended, culprit, score = done.stdout.splitlines()
    # Two are at work side by side, and either may end first.
    together, refused = sorted(ended)
    assert refused.startswith("compile: refused: it says: Error: Python: expected docstrings")
    assert together == "compile: nothing, folder, changed: other bytes in pipeline.yaml"
    assert culprit == "compile: changed: other bytes in pipeline.yaml"
    assert score == "2 of 4 disturbances gave what they must"
    assert "compile: folder: as expected  (" in done.stderr


def test_an_unknown_id_is_bad_usage() -> None:
    """Only disturbances of the catalogue can be asked for; each other id is named."""
    done = program("nothing-of-the-kind", WAYS[0].id, "another")
    assert done.returncode == 2
    assert "got another, nothing-of-the-kind." in done.stderr


def test_all_files_but_those_with_their_time_are_compared(tmp_path: Path) -> None:
    """Wherever the folder of results is, of whatever kind they are."""
    out = tmp_path / "here" / "a b" / "out"
    (out / "labels").mkdir(parents=True)
    results = {"history.json", "labels/true.txt", "loss_plot.html", "metrics.json", "model.keras", "SHA256SUMS"}
    results |= {"loss_plot.png", "results.csv", "labels/class_names.txt"}
    for name in (*results, "log.txt", "report.html", "run.json", "RECORD.sha256"):
        (out / name).write_text(name)
    assert disturb.results(tmp_path) == {name: name.encode() for name in results}


def test_a_process_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By an alarm, which tells that it took too long."""
    monkeypatch.setattr(disturb, "TIMEOUT", 1)
    monkeypatch.setattr(disturb.Job, "_work", lambda *_: time.sleep(4))
    job = disturb.Job("process", ())
    _, status = os.waitpid(job.start(tmp_path), 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGALRM
    assert job.outcome(tmp_path, status, {}).startswith("expected exit code 0, got -14")


def way(name: str = "one", **more: Any) -> ways.Disturbance:
    """Return a disturbance of runs."""
    return ways.Disturbance(name, name, ("run",), **more)


@pytest.mark.parametrize("what", ["environment", "files", "home"])
def test_two_that_set_the_same_work_apart(what: str) -> None:
    """Otherwise only the last of them would be tried."""
    given: list[dict[str, Any]] = [{what: {name: value}} for name, value in (("a", "1"), ("a", "2"), ("b", "1"))]
    one, same, other = (way(**each) for each in given)
    assert ways.grouped([one, same, other]) == ways.grouped([one, other, same]) == [(one, other), (same,)]


@pytest.mark.parametrize("what", [{"alone": True}, {"python": "def call(work): work()"}], ids=["alone", "calls"])
def test_one_that_would_hide_others_works_alone(what: dict[str, Any]) -> None:
    """Whether it comes after them or before."""
    one, hiding, other = way(), way("hiding", **what), way("other")
    assert ways.grouped([one, hiding, other]) == [(one, other), (hiding,)]
    assert ways.grouped([hiding, one, other]) == [(hiding,), (one, other)]


@pytest.mark.parametrize(
    ("log", "code", "wrong"),
    [
        ("Error: no  docstrings\n", 3, ""),
        ("Error: something else", 3, "it says: Error: something else"),
        ("Traceback (most recent call last):\nError: no docstrings", 3, "it says: Traceback"),
        ("Error: no docstrings", 0, "expected exit code 3, got 0"),
        ("Error: no docstrings in \udcff", 3, ""),
    ],
    ids=["refused", "other words", "traceback", "done", "no UTF-8"],
)
def test_a_refusal_says_what_it_should(tmp_path: Path, log: str, code: int, wrong: str) -> None:
    """It ends with its exit code and its message, and with no traceback."""
    (tmp_path / "log").write_bytes(os.fsencode(log))
    job = disturb.Job("run", (way(message="no docstrings", code=3),))
    said = job.outcome(tmp_path, code << 8, {})
    assert said.startswith(wrong)
    assert bool(said) == bool(wrong)


def test_of_a_long_log_the_end_is_told(tmp_path: Path) -> None:
    """There the error is: 60 words where another exit code was expected, 600 characters where another refusal was."""
    (tmp_path / "log").write_text("\n".join(f"w{number:02}" for number in range(99, -101, -1)))
    refused = disturb.Job("run", (way(message="no docstrings", code=3),))
    last = " ".join(f"w{number:02}" for number in range(-41, -101, -1))
    assert refused.outcome(tmp_path, 0, {}) == f"expected exit code 3, got 0: {last}"
    said = refused.outcome(tmp_path, 3 << 8, {})
    assert (len(said), said[-5:]) == (609, " w-100"[-5:])


@pytest.mark.parametrize(("there", "wrong"), [("abc", "c"), ("a", "b")], ids=["one more", "one missing"])
def test_a_file_that_is_missing_or_new_is_other_bytes(tmp_path: Path, there: str, wrong: str) -> None:
    """Results are the same if their names are, too."""
    (out := tmp_path / "here" / "out").mkdir(parents=True)
    for name in there:
        (out / name).write_bytes(b"x")
    (tmp_path / "log").touch()
    job = disturb.Job("run", (way(),))
    assert job.outcome(tmp_path, 0, {"a": b"x", "b": b"x"}) == f"other bytes in {wrong}"


@pytest.mark.parametrize(
    ("target", "ran"), [("call", " first\nsecond"), ("process", " first\nsecond"), ("run", ""), ("compile", "")]
)
def test_a_disturbed_process_has_its_own_home(
    target: str, ran: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of a disturbance lie there, and its variables may begin with it; it works in a folder that may be odd.

    Of disturbances that work together each has its variables, files, switches and, where it runs, code. No key that is
    pressed reaches it.
    """
    code = (
        "import os, sys; print(os.environ['HOME'], os.environ['AT'], os.environ['OTHER'], os.getcwd(), "
        "sys.flags.no_site, os.environ['PREFIX'], os.readlink('/proc/self/fd/0'), os.getsid(0) == os.getpid(), "
        "*sys.argv[1:], os.listdir())"
    )
    monkeypatch.setitem(disturb.COMMANDS, target, ("-c", code))
    one = way(home={"deep/a": "1"}, files={"b": "2"}, environment={"AT": "~/deep"}, folder="a b", python="first")
    other: dict[str, Any] = {"switches": ("-S",), "environment": {"OTHER": "a~"}, "files": {"c": "3"}}
    two = way("two", prefix=("env", "PREFIX=7"), python="second", folder="c d", **other)
    with helpers.silent_stdin():
        process = disturb.Job(target, (one, two)).start(tmp_path)
    _, status = os.waitpid(process, 0)
    assert (status, (tmp_path / "home" / "deep" / "a").read_text()) == (0, "1")
    home, here = tmp_path / "home", tmp_path / "here" / "a b" / "c d"
    said, _, listed = (tmp_path / "log").read_text().strip().partition(" [")
    assert said == f"{home} {home}/deep a~ {here} 1 7 /dev/null True{ran}"
    assert set(ast.literal_eval(f"[{listed}")) == {"b", "c", "out"}


def test_who_works_together_works_alone_if_something_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of two, compared with the bytes of what computes the same: a call with a run, a process with functions."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    asked: list[tuple[str, Any]] = []

    def run(jobs: Any, expected: Any, *_: Any) -> list[tuple[disturb.Job, str, Path]]:
        found = [(job, "expected exit code 0, got 3" if job.ways else "", Path(job.target)) for job in jobs]
        asked.extend((str(job), expected.get(job.target)) for job, _, _ in found)
        return found

    monkeypatch.setattr(disturb, "run", run)
    monkeypatch.setattr(disturb, "results", lambda place: {str(place): b""})
    both = (way(), way("two"))
    wrong = disturb.disturb([disturb.Job("call", both), disturb.Job("process", both[:1])], 1)
    runs, functions = {"run": b""}, {"functions": b""}
    assert asked == [
        ("functions: undisturbed", None),
        ("run: undisturbed", None),
        ("call: one, two", runs),
        ("process: one", functions),
        ("call: one", runs),
        ("call: two", runs),
    ]
    assert [str(job) for job, _ in wrong] == [name for name, _ in asked[2:]]
    assert list(tmp_path.iterdir()) == []


def test_what_is_wrong_without_a_disturbance_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of it, and nothing is disturbed: there is nothing to compare with."""
    (tmp_path / "catalogue.toml").write_text(CATALOGUE + '[more]\ntitle = "a"\non = ["run", "process"]\n')
    asked: list[str] = []

    def run(jobs: Any, *_: Any) -> list[tuple[disturb.Job, str, Path]]:
        asked.extend(map(str, jobs))
        return [
            (job, "" if job.target == "compile" else "expected exit code 0, got 3: no disk", tmp_path) for job in jobs
        ]

    monkeypatch.setattr(disturb, "warm_up", lambda: None)
    monkeypatch.setattr(disturb, "run", run)
    done = CliRunner().invoke(disturb.main, ["--catalogue", str(tmp_path / "catalogue.toml")])
    assert (done.exit_code, done.output) == (
        1,
        "Error: without any disturbance: functions: undisturbed: expected exit code 0, got 3: no disk\n"
        "run: undisturbed: expected exit code 0, got 3: no disk\n",
    )
    assert asked == ["compile: undisturbed", "functions: undisturbed", "run: undisturbed"]


def test_a_refusal_is_tried_alone() -> None:
    """What refuses to work hides all that works with it; others of the same target work together, or each alone."""
    given = [way("a"), way("b", message="no"), way("c"), way("d", message="no"), replace(way("e"), on=("call",))]
    together, each = (
        [[one.id for one in job.ways] for job in disturb.jobs_for("run", given, together=both)]
        for both in (True, False)
    )
    assert together == [["b"], ["d"], ["a", "c"]]
    assert each == [["b"], ["d"], ["a"], ["c"]]


def test_no_more_processes_than_asked_for_work_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The next one starts when one has ended, each in a folder of its own; what came of it is that one's."""
    told: list[str] = []
    places: list[Path] = []

    def start(job: disturb.Job, place: Path) -> int:
        told.append(f"{job.target} starts")
        places.append(place)
        return len(places)

    def outcome(job: disturb.Job, place: Path, status: int, expected: dict[str, bytes]) -> str:
        told.append(f"{job.target} has ended")
        return f"{places.index(place)} {status} {expected}"

    monkeypatch.setattr(disturb.Job, "start", start)
    monkeypatch.setattr(disturb.Job, "outcome", outcome)
    monkeypatch.setattr(os, "wait", iter([(2, 256), (1, 0), (3, 0)]).__next__)
    jobs = [disturb.Job(target, ()) for target in ("run", "call", "compile")]
    ended = disturb.run(jobs, {"call": {"a": b"x"}}, 2, tmp_path)
    assert told == [
        "run starts",
        "call starts",
        "call has ended",
        "compile starts",
        "run has ended",
        "compile has ended",
    ]
    assert [(job.target, wrong) for job, wrong, _ in ended] == [
        ("call", "1 256 {'a': b'x'}"),
        ("run", "0 0 {}"),
        ("compile", "2 0 {}"),
    ]
    lines = ["call: undisturbed: 1 256 {'a': b'x'}", "run: undisturbed: 0 0 {}", "compile: undisturbed: 2 0 {}"]
    out, err = capsys.readouterr()
    assert (out, [re.sub(r"  \(\d+\.\d s\)$", "", line) for line in err.splitlines()]) == ("", lines)
    assert [place for *_, place in ended] == [places[1], places[0], places[2]]
    assert len(set(places)) == 3


def test_what_is_quick_is_refused_or_works_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that works by itself waits for the whole."""
    (tmp_path / "catalogue.toml").write_text(f'{CATALOGUE}[lone]\ntitle = "a"\non = ["functions"]\n')
    asked: list[str] = []
    wrong: list[int] = []

    def instead(jobs: list[disturb.Job], slots: int) -> list[Any]:
        asked.extend(map(str, jobs))
        assert slots == 3
        return [(jobs[at], "other bytes") for at in wrong]

    monkeypatch.setattr(disturb, "warm_up", lambda: None)
    monkeypatch.setattr(disturb, "disturb", instead)
    given = ["--jobs", "3", "--catalogue", str(tmp_path / "catalogue.toml")]
    done = CliRunner().invoke(disturb.main, ["--quick", *given])
    assert (done.exit_code, done.output) == (0, "4 of 4 disturbances gave what they must\n")
    assert asked == ["compile: refused", "compile: nothing, folder, changed"]
    # Several together, of which each is right by itself, have no culprit.
    wrong.append(1)
    done = CliRunner().invoke(disturb.main, ["--quick", *given])
    assert done.exit_code == 1
    assert done.output.startswith("compile: nothing, folder, changed: other bytes\n4 of 4 disturb")
    wrong.clear()
    alone = ["compile: refused", "compile: nothing", "compile: folder", "compile: changed"]
    for options, expected in (
        (["--each"], [*alone, "functions: lone"]),
        (["--quick", "--on", "functions"], []),
        (["--each", "--on", "run", "--on", "functions"], ["functions: lone"]),
        (["--quick", "nothing", "folder"], ["compile: nothing, folder"]),
        (["--quick", "folder"], []),
    ):
        asked.clear()
        done = CliRunner().invoke(disturb.main, [*options, *given])
        assert (done.exit_code, asked) == (0, expected)


def test_the_code_of_a_disturbance_has_the_folder_around_the_results(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it writes there is in no comparison; a context that it enters is left in the end."""
    code = "import contextlib\nenter(contextlib.closing((folder / 'log').open('w')))\nraise OSError(folder)"
    assert few.disturbed(code, tmp_path / "out") == 3
    assert capsys.readouterr().err == f"OSError: {tmp_path}\n"
    assert (tmp_path / "log").exists()


def test_the_program_names_folders_from_where_it_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever folder the code goes to."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["few.py", "out", "import os; os.chdir('/'); raise OSError(folder)"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(few.__file__, run_name="__main__")
    assert (ended.value.code, capsys.readouterr().err) == (3, f"OSError: {tmp_path}\n")


def test_the_images_have_their_own_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    """400 to train on, and 200 others to test on."""
    parts = {"train": np.arange(1_000), "test": np.arange(5_000, 6_000)}
    monkeypatch.setitem(vars(fmnist), "load", lambda part: SimpleNamespace(images=parts[part], labels=-parts[part]))
    monkeypatch.setattr(few, "Split", lambda images, labels: SimpleNamespace(images=images, labels=labels))
    train, test = few.data.__wrapped__()
    for found, first, count in ((train, 0, 400), (test, 5_000, 200)):
        assert found.images.tolist() == (-found.labels).tolist() == [*range(first, first + count)]


def test_each_disturbed_process_finds_the_data_that_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its home is: what is downloaded into that is gone with it."""
    loaded: list[str] = []
    monkeypatch.setenv("FMNIST_DATA_DIR", "/somewhere")
    monkeypatch.setattr(dataset, "data_folder", lambda: Path("/data/here"))
    monkeypatch.setattr(determinism, "tensorflow", lambda: loaded.append("tensorflow"))
    monkeypatch.setattr(disturb, "importlib", SimpleNamespace(import_module=loaded.append))
    monkeypatch.setattr(few, "data", lambda: loaded.append("data"))
    disturb.warm_up()
    assert os.environ["FMNIST_DATA_DIR"] == "/data/here"
    assert loaded == ["tensorflow", "keras", "h5py", "matplotlib.figure", "sklearn.metrics", "data"]


def test_a_process_that_ends_itself_has_failed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever exit code it asks for."""
    assert few.disturbed("raise SystemExit(0)", tmp_path) == 70
    assert capsys.readouterr().err.endswith("\nSystemExit: 0\n")


@pytest.mark.parametrize(
    ("code", "ended", "said"),
    [
        ("raise OSError(28, 'No space left on device')", 3, "OSError: [Errno 28] No space left on device\n"),
        ("from fmnist.steps.errors import *; raise StepError('no luck')", 3, "StepError: no luck\n"),
        ("def call(work): raise OSError('not called')", 3, "OSError: not called\n"),
        ("raise ValueError('no luck')", 70, "Traceback (most recent call last):\n"),
    ],
)
def test_a_refusal_is_told_from_a_crash(
    code: str, ended: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Errors of fmnist and of the disk are its words, and others are none."""
    assert few.disturbed(code, tmp_path) == ended
    assert capsys.readouterr().err.startswith(said)


def test_all_that_the_functions_give_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What trains, what tests and what counts all save what they gave."""
    saved: list[Any] = []
    tested = SimpleNamespace(labels="labels")

    def test(*given: Any) -> SimpleNamespace:
        saved.extend(given)
        return tested

    monkeypatch.setattr(few, "data", lambda: ("images", "others"))
    for name, made in {
        "train": lambda settings, images: SimpleNamespace(model=(settings.epochs, images)),
        "test": test,
        "confusion_matrix": lambda labels: f"counts of {labels}",
        "save": lambda *given: saved.extend(given),
    }.items():
        monkeypatch.setitem(vars(fmnist), name, made)
    few.save(tmp_path)
    assert saved == [
        (1, "images"),
        "others",
        tmp_path,
        SimpleNamespace(model=(1, "images")),
        tested,
        "counts of labels",
    ]
