"""Tests of executing a compiled pipeline here; the pipelines are small ones of the tests' own."""

import contextlib
import errno
import io
import logging
import os
import re
import stat
import sys
import tempfile
import venv
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kfp import compiler, dsl
from kfp import local as kfp_local
from kfp.local.config import LocalExecutionConfig
from support import helpers

from fmnist.kubeflow import local, processes, runnable
from fmnist.steps import training
from fmnist.steps.errors import ContractError, StepError


def train(message: str, history: dsl.Output[dsl.Artifact]) -> None:
    """Print two epochs after a first one, and where things are."""
    import os
    import tempfile

    print("resumed after epoch 1/3")  # noqa: T201 - what is tested
    for epoch in (2, 3):
        print(f"epoch {epoch}/3: loss 0.{epoch}")  # noqa: T201 - what is tested
    with open(history.path, "w") as file:  # noqa: PTH123 - kfp copies this text
        names = ("MPLCONFIGDIR", "PIP_NO_INDEX", "PYTHONSAFEPATH", "PATH", "OF_THE_RUN", "OF_THE_TASK")
        file.write("\n".join([message, tempfile.mkdtemp(), *(os.environ.get(name, "") for name in names)]))


def fail(message: str, history: dsl.Output[dsl.Artifact]) -> None:
    """Fail with an error of its own that follows another."""
    try:
        raise KeyError("the first error")  # noqa: TRY301 - what is tested
    except KeyError as error:
        raise ValueError(f"expected good, got {message}.\nTry harder.") from error


def tell(message: str, history: dsl.Output[dsl.Artifact]) -> None:
    """Print a secret, and fail with it in two errors."""
    print(f"Authorization: Basic {message}\x1b]0;", flush=True)  # noqa: T201 - what is tested
    try:
        raise KeyError(message)  # noqa: TRY301 - what is tested
    except KeyError as error:
        raise ValueError(f"from https://me:{message}@mirror.example/?sig={message}") from error


def end(message: str, history: dsl.Output[dsl.Artifact]) -> None:
    """End in the way that `message` names, without an error of its own."""
    import os
    import resource
    import signal

    print("about to end", flush=True)  # noqa: T201 - what is tested
    if message == "exit":
        os._exit(7)
    if message == "abort":
        os.abort()
    if message == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if message == "told to end":
        os.kill(os.getpid(), signal.SIGTERM)
    if message == "CPU seconds":
        resource.setrlimit(resource.RLIMIT_CPU, (1, 2))
    if message == "memory":
        resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))
    many = []
    while True:
        many.append(bytearray(2**20) if message == "memory" else b"")
        del many[: 0 if message == "memory" else 10]


def compiled(function: Callable[..., None], folder: Path) -> Path:
    """Compile a pipeline with the one step `function` into `folder`, and make a folder to work in."""
    component = dsl.component(function, base_image="python", install_kfp_package=False)

    @dsl.pipeline(name="small")  # type: ignore[untyped-decorator]
    def small(message: str) -> None:
        component(message=message).set_env_variable("OF_THE_TASK", "its own")

    compiler.Compiler().compile(small, str(folder / "small.yaml"))
    (folder / "work").mkdir()
    return folder / "small.yaml"


def test_the_callers_own_runner_stays(tmp_path: Path) -> None:
    """Whoever calls a pipeline by kfp afterwards does so where, and how, they said before."""
    kfp_local.init(kfp_local.SubprocessRunner(use_venv=True), pipeline_root=str(tmp_path / "mine"))
    before = LocalExecutionConfig.instance
    try:
        small = compiled(train, tmp_path)
        local.run_compiled(small, {"message": "hello"}, tmp_path / "work", io.StringIO())
        assert LocalExecutionConfig.instance is before
        with pytest.raises(TypeError, match="more"):
            local.run_compiled(small, {"message": "hello", "more": 1}, tmp_path, io.StringIO())
        assert LocalExecutionConfig.instance is before
    finally:
        LocalExecutionConfig.instance = None


def test_a_folder_where_no_program_may_run_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system that was mounted with noexec, as many mount /tmp, a step ended with exit code 1 alone."""
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode, **how: mode != os.X_OK and access(path, mode, **how))
    with pytest.raises(ContractError) as caught:
        local.run_compiled(compiled(train, tmp_path), {"message": "hello"}, tmp_path / "work", io.StringIO())
    assert str(caught.value) == (
        f"run folder: expected a file system on which programs may run, got one with noexec, of {tmp_path / 'work'}. "
        "Choose another with -o."
    )


def test_a_system_without_proc_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There TensorFlow kills the process of a step, with a list of addresses."""
    monkeypatch.setattr(processes, "_THIS_PROGRAM", tmp_path / "proc")
    with pytest.raises(ContractError, match=rf"^system: expected {tmp_path}/proc, without which TensorFlow ends "):
        local.run_compiled(compiled(train, tmp_path), {"message": "hello"}, tmp_path / "work", io.StringIO())


def test_a_step_runs_and_its_artifacts_are_found(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The artifact is returned by name; what is printed goes to the log alone; no environment is made for a step."""
    monkeypatch.setattr(venv, "create", lambda *_, **__: pytest.fail("a virtual environment was made"))
    log = io.StringIO()
    path = compiled(train, tmp_path)
    # As a server does, it passes over a document that is empty.
    path.write_text(f"---\n---\n{path.read_text()}")
    outputs = local.run_compiled(path, {"message": "hello"}, tmp_path / "work", log)
    assert {task: [*artifacts] for task, artifacts in outputs.items()} == {"train": ["history"]}
    assert Path(outputs["train"]["history"].path).read_text().startswith("hello\n")
    lines = log.getvalue().splitlines()
    assert re.match(r"\d\d:\d\d:\d\d\.\d\d\d - INFO - Running pipeline: 'small'$", lines[0])
    at = lines.index("    resumed after epoch 1/3")
    assert lines[at + 1 : at + 3] == [f"    epoch {number}/3: loss 0.{number}" for number in (2, 3)]
    assert "\x1b" not in log.getvalue()
    assert capfd.readouterr() == ("", "")


def test_events_tell_what_happens(tmp_path: Path) -> None:
    """Start, resumption, epochs and end of a step are told in order."""
    events: list[local.Event] = []
    local.run_compiled(compiled(train, tmp_path), {"message": ""}, tmp_path / "work", io.StringIO(), events.append)
    assert events == [
        local.StepStarted("train"),
        local.Resumed(1, 3),
        local.Epoch(2, 3, "loss 0.2"),
        local.Epoch(3, 3, "loss 0.3"),
        local.StepFinished("train"),
    ]


def test_what_the_train_step_prints_is_told() -> None:
    """Its lines are those that are read."""
    events: list[local.Event] = []
    with contextlib.redirect_stdout(local._LogSplitter(io.StringIO(), events.append)):
        training.report_resumed(2, 5)
        training.report_epoch(3, 5, {"loss": 0.25, "accuracy": 0.5})
    assert events == [local.Resumed(2, 5), local.Epoch(3, 5, "loss 0.2500 accuracy 0.5000")]


def test_a_line_is_in_the_log_when_its_event_is_told(tmp_path: Path) -> None:
    """Who follows the log sees what happens, and a run that is killed leaves all lines."""
    path, told = tmp_path / "log.txt", list[str]()
    with path.open("w", encoding="utf-8") as log:
        splitter = local._LogSplitter(log, lambda _: told.append(path.read_text()))
        for line in (
            "12:00:00.000 - INFO - Executing task 'train'",
            "epoch 1/2: loss 0.5",
            "something with blanks at its end  ",
            "epoch 2/2: loss 0.25",
        ):
            splitter.write(f"{line}\n")
    lines = path.read_text().splitlines(keepends=True)
    assert lines[2:] == ["something with blanks at its end  \n", "epoch 2/2: loss 0.25\n"]
    assert told == ["".join(lines[:number]) for number in (1, 2, 4)]


def test_all_files_stay_in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So do a step's temporary files and caches; pip is offline, the user's programs are found, and nothing changes."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = dict(os.environ)
    outputs = local.run_compiled(
        compiled(train, tmp_path), {"message": ""}, tmp_path / "work", io.StringIO(), OF_THE_RUN="given"
    )
    _, temporary, cache, *others = Path(outputs["train"]["history"].path).read_text().split("\n")
    assert Path(temporary).is_relative_to(tmp_path / "work")
    assert Path(cache).is_relative_to(tmp_path / "work")
    path = f"{tmp_path / 'work' / 'tmp' / 'bin'}:{before['PATH']}:{os.defpath}"
    assert others == ["1", "1", path, "given", "its own"]
    assert dict(os.environ) == before
    assert tempfile.tempdir == str(tmp_path)


def test_this_process_keeps_its_temporary_files_there_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of kfp; the place may be there already, as after an interruption. The caller's stay as they were."""
    monkeypatch.setattr(tempfile, "tempdir", None)
    for _ in range(2):
        with local.confined(tmp_path / "place", OF_THE_RUN="given"):
            assert tempfile.gettempdir() == str(tmp_path / "place")
            assert os.environ["OF_THE_RUN"] == "given"
        assert (tempfile.tempdir, logging.raiseExceptions) == (None, True)
    before = dict(os.environ)
    with pytest.raises(FileNotFoundError), local.confined(tmp_path / "gone" / "place", OF_THE_RUN="given"):
        pass
    assert (dict(os.environ), (tmp_path / "gone").exists()) == (before, False)


def where(message: str, history: dsl.Output[dsl.Artifact]) -> None:
    """Say which Python this is."""
    import os
    import sys

    with open(history.path, "w") as file:  # noqa: PTH123 - kfp copies this text
        file.write(f"{sys.executable}\n{os.environ['PATH']}")


@pytest.mark.parametrize("path", ["tools", "", None], ids=["without programs", "empty", "none"])
def test_a_step_finds_this_python(path: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the system's tools, whatever the variable names; that is not the working folder where it is empty."""
    pipeline = compiled(where, tmp_path)
    monkeypatch.setenv("PATH", path or "")
    if path is None:
        monkeypatch.delenv("PATH")
    outputs = local.run_compiled(pipeline, {"message": ""}, tmp_path / "work", io.StringIO())
    ours = tmp_path / "work" / "tmp" / "bin"
    assert Path(outputs["where"]["history"].path).read_text().split("\n") == [
        sys.executable,
        f"{ours}:{path}:{os.defpath}" if path else f"{ours}:{os.defpath}",
    ]
    assert stat.S_IMODE((ours / "python3").stat().st_mode) == 0o755
    assert os.environ.get("PATH") == path


def test_each_task_runs_in_a_pipeline_with_the_name_of_one(tmp_path: Path) -> None:
    """By that name kfp would run that task alone, and end well."""
    component = dsl.component(keep, base_image="python", install_kfp_package=False)

    @dsl.pipeline(name="keep")  # type: ignore[untyped-decorator]
    def named() -> None:
        component(place=str(tmp_path)).after(component(place=str(tmp_path)))

    compiler.Compiler().compile(named, str(tmp_path / "named.yaml"))
    (tmp_path / "work").mkdir()
    outputs = local.run_compiled(tmp_path / "named.yaml", {}, tmp_path / "work", io.StringIO())
    assert [*outputs] == ["keep", "keep-2"]


def count(text: str, stamp: dsl.OutputPath(str), number: dsl.OutputPath(int)) -> None:  # type: ignore[valid-type]
    """Write values to paths."""
    for path, value in ((stamp, text), (number, len(text))):
        with open(path, "w") as file:  # noqa: PTH123 - kfp copies this text
            file.write(str(value))


def test_values_that_a_step_writes_to_paths_are_found(tmp_path: Path) -> None:
    """Like those that it returns."""
    component = dsl.component(count, base_image="python", install_kfp_package=False)

    @dsl.pipeline(name="counting")  # type: ignore[untyped-decorator]
    def counting() -> None:
        component(text="it's 12:00")

    compiler.Compiler().compile(counting, str(tmp_path / "counting.yaml"))
    (tmp_path / "work").mkdir()
    outputs = local.run_compiled(tmp_path / "counting.yaml", {}, tmp_path / "work", io.StringIO())
    assert outputs == {"count": {"stamp": "it's 12:00", "number": 10}}


def place(way: str, table: dsl.Output[dsl.Dataset], folder: dsl.Output[dsl.Dataset]) -> None:
    """Write to places of its own, of which some are gone when the step has ended."""
    from pathlib import Path

    Path("mine").mkdir()
    Path("mine/a").write_text("a")
    Path(folder.path).mkdir()
    Path(folder.path, "b").write_text("b")
    folder.custom_path = "mine"
    if way == "custom":
        table.custom_path = str(Path("mine/a").resolve())
    elif way == "link":
        Path(table.path).symlink_to(Path("mine/a").resolve())
    elif way == "folder":
        Path(table.path).symlink_to(Path("mine").resolve())
    else:
        Path(table.path).mkdir()
        Path(table.path, "a").symlink_to(Path(way.removesuffix(", failed")).resolve())
    if way.endswith(", failed"):
        raise ValueError("broken")


def find(table: dsl.Input[dsl.Dataset], folder: dsl.Input[dsl.Dataset]) -> str:
    """Return what is there."""
    from pathlib import Path

    at = Path(table.path)
    assert [one.name for one in Path(folder.path).iterdir()] == ["a"]
    return Path(folder.path, "a").read_text() + (at if at.is_file() else at / "a").read_text() + str(at.is_symlink())


def placed(way: str, folder: Path) -> Any:
    """Run a step that writes to places of its own, and return what the next one finds."""
    write, read = (dsl.component(one, base_image="python", install_kfp_package=False) for one in (place, find))

    @dsl.pipeline(name="placing")  # type: ignore[untyped-decorator]
    def placing() -> None:
        given = write(way=way).outputs
        read(table=given["table"], folder=given["folder"])

    compiler.Compiler().compile(placing, str(folder / "placing.yaml"))
    (folder / "work").mkdir()
    return local.run_compiled(folder / "placing.yaml", {}, folder / "work", io.StringIO())["find"]["Output"]


@pytest.mark.parametrize("way", ["custom", "link", "folder", "mine/a"])
def test_what_a_step_wrote_elsewhere_is_handed_on(way: str, tmp_path: Path) -> None:
    """As a cluster does before the working folder of the step is gone; kfp's runner looks at one place alone."""
    assert placed(way, tmp_path) == "aaFalse"


def test_what_is_in_a_circle_or_nowhere_is_nothing(tmp_path: Path) -> None:
    """The step that looks for it says so, as where nothing was written."""
    for path in (circle := tmp_path / "circle", nowhere := tmp_path / "nowhere"):
        path.symlink_to(path if path == circle else tmp_path / "none")
        runnable.settle("table", path)
        runnable.settle("table", path, nowhere)
        assert (path.is_symlink(), path.exists()) == (True, False)


@pytest.mark.parametrize("way", ["mine", "nothing"])
def test_a_link_that_a_cluster_does_not_follow_ends_the_step(way: str, tmp_path: Path) -> None:
    """In an output that is a folder it follows those to files alone."""
    with pytest.raises(StepError) as caught:
        placed(way, tmp_path)
    assert str(caught.value) == (
        "step place: expected files and folders in its output 'table', got the link a to a folder or to nothing, which "
        "a cluster does not follow. Copy what it is to hold."
    )


def test_a_step_that_fails_says_why_whatever_it_linked(tmp_path: Path) -> None:
    """Its own error is what helps."""
    with pytest.raises(StepError, match="^step place: ValueError: broken$"):
        placed("mine, failed", tmp_path)


def keep(place: str, history: dsl.Output[dsl.Artifact]) -> None:
    """Use the folder that the steps of a run share."""
    from pathlib import Path

    Path(place, "kept").write_text("x")
    Path(history.path).write_text(place)


def test_the_steps_of_a_run_share_a_folder_in_it(tmp_path: Path) -> None:
    """The workspace of Kubeflow, which is gone when the run ends."""
    component = dsl.component(keep, base_image="python", install_kfp_package=False)

    @dsl.pipeline(pipeline_config=dsl.PipelineConfig(workspace=dsl.WorkspaceConfig(size="1Gi")))  # type: ignore[untyped-decorator]
    def sharing() -> None:
        component(place=dsl.WORKSPACE_PATH_PLACEHOLDER)

    compiler.Compiler().compile(sharing, str(tmp_path / "sharing.yaml"))
    (tmp_path / "work").mkdir()
    outputs = local.run_compiled(tmp_path / "sharing.yaml", {}, tmp_path / "work", io.StringIO())
    place = Path(Path(outputs["keep"]["history"].path).read_text())
    assert place.is_relative_to(tmp_path / "work")
    assert not place.exists()


def test_a_folder_whose_name_kubeflow_would_replace_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is written, and also where only a folder around it has such a name."""
    (tmp_path / "{{$").mkdir()
    monkeypatch.chdir(tmp_path / "{{$")
    folder = tmp_path / "{{$" / "work"
    for given in (folder, "work"):
        with pytest.raises(ContractError) as caught:
            local.run_compiled("none.yaml", {}, given, io.StringIO())
        assert str(caught.value) == (
            f"run folder: expected a path without '{{{{$', which Kubeflow replaces, got {folder}. Choose another with "
            "-o."
        )
    assert [path.name for path in tmp_path.rglob("*")] == ["{{$"]


def test_a_failing_step_shows_its_own_error(tmp_path: Path) -> None:
    """The error names the step and says what the step said, without frames, colours or kfp's own words."""
    log = io.StringIO()
    with pytest.raises(StepError) as caught:
        local.run_compiled(compiled(fail, tmp_path), {"message": "bad"}, tmp_path / "work", log)
    assert str(caught.value) == "step fail: ValueError: expected good, got bad.\nTry harder."
    assert "the first error" in log.getvalue()


def train_on(item: str, place: str, number: dsl.OutputPath(int)) -> None:  # type: ignore[valid-type]
    """Fail in a way that depends on the item, and the second time in another."""
    from pathlib import Path

    with Path(place, "calls").open("a") as file:
        file.write("x")
    Path(number).write_text(item)
    if item == "bad":
        raise ValueError(f"the training diverged in call {Path(place, 'calls').stat().st_size}")


def clean_up(way: str) -> None:
    """End as asked."""
    if way == "bad":
        raise ValueError("nothing to clean")


def guarded(items: list[str], last: str, place: Path) -> Callable[..., None]:
    """Return a pipeline with a step for each item, in a loop if there are more, and one that runs at the end."""
    train, clean = (dsl.component(one, base_image="python", install_kfp_package=False) for one in (train_on, clean_up))

    def pipeline() -> None:
        with dsl.ExitHandler(clean(way=last)):
            if len(items) > 1:
                with dsl.ParallelFor(items) as item:
                    train(item=item, place=str(place))
            else:
                train(item=items[0], place=str(place)).set_retry(1, backoff_duration="0s")

    return pipeline


@pytest.mark.parametrize(
    ("items", "last", "said"),
    [
        (["bad"], "good", "step exit-handler-1/train-on: ValueError: the training diverged in call 2"),
        (["bad"], "bad", "step exit-handler-1/train-on: ValueError: the training diverged in call 2"),
        (["1"], "bad", "step clean-up: ValueError: nothing to clean"),
        (
            ["1", "bad", "3"],
            "good",
            "step exit-handler-1/for-loop-3/train-on: ValueError: the training diverged in call 2",
        ),
        (
            ["1", "bad", "bad"],
            "good",
            "step exit-handler-1/for-loop-3/train-on: ValueError: the training diverged in call 2",
        ),
        (
            ["no number", "2"],
            "good",
            "step exit-handler-1/for-loop-3/train-on: expected a whole number at the path of its output 'number', ",
        ),
    ],
    ids=["one", "both", "the last", "a turn", "two turns", "what no cluster reads"],
)
def test_the_step_that_failed_first_is_named(tmp_path: Path, items: list[str], last: str, said: str) -> None:
    """With the error of its last attempt, though others ran after it."""
    path = tmp_path / "guarded.yaml"
    compiler.Compiler().compile(dsl.pipeline(guarded(items, last, tmp_path)), str(path))
    (tmp_path / "work").mkdir()
    with pytest.raises(StepError) as caught:
        local.run_compiled(path, {}, tmp_path / "work", io.StringIO())
    assert str(caught.value).startswith(said)


def test_the_first_error_is_kept_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told later is not."""
    monkeypatch.setenv("HTTPS_PROXY", "http://me:s3cret-w0rd@proxy.example")
    splitter = local._LogSplitter(io.StringIO(), lambda _: None)
    assert splitter.first == ""
    splitter.fail("no s3cret-w0rd")
    splitter.fail("another")
    assert splitter.first == "no ***"
    splitter = local._LogSplitter(io.StringIO(), lambda _: None)
    splitter.fail("")
    assert splitter.first == "step : "


def test_what_kfp_says_without_any_step_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No step has failed, of which more could be said."""

    def run(**_: object) -> None:
        raise RuntimeError("it is not set up")

    path = compiled(train, tmp_path)
    monkeypatch.setattr("kfp.components.load_component_from_text", lambda _: run)
    with pytest.raises(StepError) as caught:
        local.run_compiled(path, {"message": ""}, tmp_path / "work", io.StringIO())
    assert str(caught.value) == "step : it is not set up"


@pytest.mark.parametrize(
    ("way", "expected"),
    [
        ("exit", r"exit code 7, after [0-9.]+ CPU seconds, with (at most )?[0-9.]+ GiB of memory at its peak\."),
        ("abort", r"exit code (-6|134) \(SIGABRT\)"),
        ("killed", r"exit code (-9|137) \(SIGKILL\).* peak\. Something else killed it; `dmesg` may say what\."),
        ("told to end", r"exit code (-15|143) \(SIGTERM\).* Something else asked it to end\."),
        ("CPU seconds", r"exit code (-24|152) \(SIGXCPU\).* It used up its CPU seconds: raise the limit"),
        ("memory", r"exit code 1, after .* CPU seconds, with (at most )?[12]\.[0-9]+ GiB of memory at its peak\."),
    ],
    ids=["exit", "abort", "killed", "told to end", "CPU seconds", "memory"],
)
def test_a_step_that_dies_says_why(tmp_path: Path, way: str, expected: str) -> None:
    """A step that leaves no error is named with signal or exit code, what it used, what to do, and its last words."""
    with pytest.raises(StepError) as caught:
        local.run_compiled(compiled(end, tmp_path), {"message": way}, tmp_path / "work", io.StringIO())
    first, *last = str(caught.value).splitlines()
    assert re.match(rf"step end: its process ended with {expected}.* It last said:$", first)
    assert ("  MemoryError" if way == "memory" else "  about to end") in last


def test_a_step_that_memory_ran_out_for_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the kernel counts is read before the step and after it."""
    monkeypatch.setattr(local, "OutOfMemory", helpers.RanOut)
    with pytest.raises(StepError, match=r"\(SIGKILL\).* Memory ran out, at 2 GiB\. "):
        local.run_compiled(compiled(end, tmp_path), {"message": "killed"}, tmp_path / "work", io.StringIO())


def test_memory_that_ran_out_for_a_step_before_is_none_of_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the kernel has counted is read anew for each step."""
    from kfp.local import subprocess_task_handler as handler

    monkeypatch.setenv("PATH", os.environ["PATH"])
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/\n")
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/memory.events").write_text("oom_kill 5\n")
    monkeypatch.setattr(local, "OutOfMemory", lambda: processes.OutOfMemory(tmp_path))
    out = local._LogSplitter(io.StringIO(), lambda _: None)
    kill = f"echo oom_kill 6 >{tmp_path}/sys/fs/cgroup/memory.events; kill -9 $$"
    with local._this_python(tmp_path, out):
        for said in ("Memory ran out.", "Something else killed it;"):
            assert handler.run_local_subprocess(["/bin/sh", "-c", kill]) == -9
            assert said in out.ending


def test_what_fails_before_any_process_is_told_in_the_words_of_kfp() -> None:
    """No process has ended, of which more could be said."""
    splitter = local._LogSplitter(io.StringIO(), lambda _: None)
    assert splitter.failure("\x1b[91mno such file\x1b[0m") == "step : no such file"


#: What Python prints of an error that ends a program.
ENDED = """    Traceback (most recent call last):
      File "<frozen runpy>", line 198, in _run_module_as_main
      File "program.py", line 1, in <module>
    ValueError: {}
"""


def test_of_several_programs_of_a_step_the_last_one_is_told() -> None:
    """Each may have ended with an error, or without memory; what a step before has said is not of this one."""
    splitter = local._LogSplitter(io.StringIO(), lambda _: None)
    without_memory = ENDED.replace("ValueError: {}", "MemoryError")
    splitter.write(f"11:22:33.1 - INFO - Executing task 'a'\n    {{\n    }}\n    of a\n{without_memory}")
    splitter.write(f"      and then\n{ENDED.format(2)}")
    assert splitter.failure("") == "step a: ValueError: 2"
    splitter.write("11:22:33.2 - INFO - Executing task 'b'\n    {\n    }\n    of b\n")
    assert splitter.failure("it ended") == "step b: it ended It last said:\n  of b"


def test_kfp_runs_others_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its way to start a process is replaced for the time of a run alone."""
    from kfp.local import subprocess_task_handler as handler

    monkeypatch.setenv("PATH", os.environ["PATH"])
    before = dict(vars(handler))
    with local._this_python(tmp_path, local._LogSplitter(io.StringIO(), lambda _: None)):
        replaced = {name for name, one in vars(handler).items() if one is not before[name]}
    assert replaced == {"replace_python_executable", "run_local_subprocess"}
    assert vars(handler) == before


class Full(io.StringIO):
    """A file on a full disk."""

    def write(self, _: str) -> int:
        """Refuse a text."""
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_line_that_finds_no_room_shows_no_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A library may log where the disk of the log is full; afterwards its errors are shown as before."""
    handler, record = logging.StreamHandler(Full()), logging.makeLogRecord({"msg": "no room for fonts"})
    with local.confined(tmp_path):
        handler.handle(record)
    assert capsys.readouterr().err == ""
    handler.handle(record)
    assert "--- Logging error ---" in capsys.readouterr().err


#: An error that a step has printed and handled, before the one that ends it.
HANDLED = 'Traceback (most recent call last):\n  File "a.py", line 1\nValueError: bad\nonce more\n'
FRAMES = 'Traceback (most recent call last):\n  File "<frozen runpy>"\n  File "a.py", line 1\n'


@pytest.mark.parametrize(
    ("printed", "told"),
    [
        (f"{FRAMES}ValueError: bad\n", "step tell: ValueError: bad"),
        (f"{FRAMES}ValueError: a MemoryError\n", "step tell: ValueError: a MemoryError"),
        ("sh: no room\n", "step tell: it ended. It last said:\n  sh: no room"),
        ("", "step tell: it ended."),
        ("{\n  1\n}\n", "step tell: it ended."),
        ("{\n}\n{\n}\nsaid\n", "step tell: it ended. It last said:\n  {\n  }\n  said"),
        ("{\n}\nepoch 1/3: loss 0.5\nsaid\n", "step tell: it ended. It last said:\n  said"),
        (
            f"{{\n}}\n{HANDLED}{FRAMES}MemoryError\n",
            "step tell: it ended. It last said:\n  once more\n  "
            + "\n  ".join(FRAMES.splitlines())
            + "\n  MemoryError",
        ),
        (f"{HANDLED}{FRAMES}KeyError: 'x'\nlast\n", "step tell: KeyError: 'x'\nlast"),
    ],
    ids=[
        "one error",
        "an error about memory",
        "before the inputs",
        "nothing",
        "the inputs",
        "JSON of its own",
        "an epoch",
        "memory after another error",
        "an error after another",
    ],
)
def test_the_last_words_of_a_step_are_all_that_it_said(printed: str, told: str) -> None:
    """After what kfp says first, which are the inputs."""
    splitter = local._LogSplitter(io.StringIO(), lambda _: None)
    text = "12:00:00.000 - INFO - Executing task 'tell'\n" + "".join(f"    {line}\n" for line in printed.splitlines())
    assert splitter.write(text) == len(text)
    splitter.ending = "it ended."
    assert splitter.failure("") == told


def test_what_a_step_prints_without_end_is_not_kept_whole() -> None:
    """It would fill memory; the log has all of it."""
    splitter = local._LogSplitter(io.StringIO(), lambda _: None)
    splitter._step_lines = ["    said"] * 20_000
    splitter.write("    last\n")
    assert (len(splitter._step_lines), splitter._step_lines[-2:]) == (10_000, ["    said", "    last"])


def imitate(message: str, history: dsl.Output[dsl.Artifact]) -> None:
    """Print what kfp's runner prints of other steps, and fail if asked."""
    import atexit

    for line in ("Executing task 'other'", "Task 'other' finished with status SUCCESS"):
        print(f"12:00:00.000 - INFO - {line}")  # noqa: T201 - what is tested
    print("no end of the line", end="", flush=True)  # noqa: T201 - what is tested
    if message:
        raise ValueError(message)
    atexit.register(print, "nor of this one", end="")


def test_what_a_step_prints_is_none_of_what_the_runner_says(tmp_path: Path) -> None:
    """Though it is the same, or leaves its last line open."""
    told: list[local.Event] = []
    path = compiled(imitate, tmp_path)
    with pytest.raises(StepError) as caught:
        local.run_compiled(path, {"message": "bad"}, tmp_path / "work", io.StringIO(), told.append)
    assert str(caught.value) == "step imitate: ValueError: bad"
    (tmp_path / "good").mkdir()
    local.run_compiled(path, {"message": ""}, tmp_path / "good", io.StringIO(), told.append)
    started = local.StepStarted("imitate")
    assert told == [started, started, local.StepFinished("imitate")]


def catch(message: str, history: dsl.Output[dsl.Artifact]) -> None:
    """Log an error, and end for another reason."""
    import logging
    import os
    import sys

    try:
        raise KeyError("caught")  # noqa: TRY301 - what is tested
    except KeyError:
        logging.exception("it went on")
    if message == "exit":
        os._exit(7)
    sys.exit("no luck")


@pytest.mark.parametrize(("way", "code", "last"), [("exit", 7, "KeyError: 'caught'"), ("sys.exit", 1, "no luck")])
def test_an_error_that_a_step_caught_is_not_the_one_that_it_ended_with(
    way: str, code: int, last: str, tmp_path: Path
) -> None:
    """What it logged before is among its last words."""
    with pytest.raises(StepError) as caught:
        local.run_compiled(compiled(catch, tmp_path), {"message": way}, tmp_path / "work", io.StringIO())
    first, *_, end = str(caught.value).splitlines()
    assert first.startswith(f"step catch: its process ended with exit code {code}, after ")
    assert end == f"  {last}"


def test_what_is_said_on_stderr_goes_to_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As warnings of kfp."""
    made = runnable.made

    def warn(spec: Any) -> Any:
        sys.stderr.write("Warning: old\n")
        return made(spec)

    monkeypatch.setattr(runnable, "made", warn)
    log = io.StringIO()
    local.run_compiled(compiled(train, tmp_path), {"message": ""}, tmp_path / "work", log)
    assert log.getvalue().startswith("Warning: old\n")


def test_a_program_with_modules_of_the_same_name_here_is_safe(tmp_path: Path) -> None:
    """Python files in the working folder are not imported by a step."""
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "json.py").write_text("raise RuntimeError('imported from the working folder')")
    path = compiled(train, tmp_path)
    helpers.python(
        "import io, sys; sys.path.pop(0)\nfrom fmnist.kubeflow import local\n"
        f"local.run_compiled({str(path)!r}, {{'message': ''}}, {str(tmp_path / 'work')!r}, io.StringIO())",
        cwd=tmp_path / "here",
    )


def look(message: str, history: dsl.Output[dsl.Artifact]) -> None:
    """Leave a file in the working folder, and say what it holds."""
    import os

    found = os.listdir()  # noqa: PTH208 - kfp copies this text
    for path in (history.path, message):
        with open(path, "w") as file:  # noqa: PTH123 - kfp copies this text
            file.write(f"{os.getcwd()} {found}")  # noqa: PTH109 - kfp copies this text


def test_a_step_has_a_working_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies beside a test, or what another step left, is no file that it finds, as on a cluster."""
    (here := tmp_path / "here").mkdir()
    monkeypatch.chdir(here)
    (here / "data.csv").touch()
    component = dsl.component(look, base_image="python", install_kfp_package=False)

    @dsl.pipeline(name="looking")  # type: ignore[untyped-decorator]
    def looking() -> None:
        component(message="left").after(component(message="left"))

    compiler.Compiler().compile(looking, str(tmp_path / "looking.yaml"))
    (tmp_path / "work").mkdir()
    outputs = local.run_compiled(tmp_path / "looking.yaml", {}, tmp_path / "work", io.StringIO())
    places = [Path(outputs[task]["history"].path).read_text().split(" ", 1) for task in ("look", "look-2")]
    assert [found for _, found in places] == ["[]", "[]"]
    assert all(Path(place).is_relative_to(tmp_path / "work") and not Path(place).exists() for place, _ in places)
    assert [path.name for path in here.iterdir()] == ["data.csv"]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("ignored", "told"), [("mine", ["Task 'keep'"]), ("Task", [])])
def test_a_warning_of_kfp_ends_no_run(ignored: str, told: list[str], tmp_path: Path) -> None:
    """It says that a limit has no effect here. What is ignored stays so, and what is an error is one again."""
    component = dsl.component(keep, base_image="python", install_kfp_package=False)

    @dsl.pipeline(name="limited")  # type: ignore[untyped-decorator]
    def limited() -> None:
        component(place=str(tmp_path)).set_cpu_limit("1")

    compiler.Compiler().compile(limited, str(tmp_path / "limited.yaml"))
    (tmp_path / "work").mkdir()
    with warnings.catch_warnings(record=True) as warned:
        warnings.filterwarnings("ignore", ignored)
        local.run_compiled(tmp_path / "limited.yaml", {}, tmp_path / "work", io.StringIO())
    assert [str(one.message).partition(":")[0] for one in warned] == told
    with pytest.raises(UserWarning):
        warnings.warn("mine", stacklevel=1)


def test_no_secret_stays_in_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a step prints, and the errors that it ends with, are kept without a password of the environment."""
    monkeypatch.setenv("HTTPS_PROXY", "http://me:s3cret-w0rd@proxy.example")
    log = io.StringIO()
    with pytest.raises(StepError) as caught:
        local.run_compiled(compiled(tell, tmp_path), {"message": "s3cret-w0rd"}, tmp_path / "work", log)
    assert str(caught.value) == "step tell: ValueError: from https://***@mirror.example/?sig=***"
    assert "KeyError: '***'" in log.getvalue()
    assert "Authorization: ***" in log.getvalue()
    assert "\x1b" not in log.getvalue()
    # kfp's runner shows the arguments, as the user gave them, in a line of its own.
    assert "w0rd" not in log.getvalue()
