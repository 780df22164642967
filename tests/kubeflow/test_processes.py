"""Tests of saying why a process ended; `test_local.py` has those of steps that really end so."""

import contextlib
import itertools
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from support import helpers

from fmnist.kubeflow import processes
from fmnist.kubeflow.processes import OutOfMemory, explained, guarded, run
from fmnist.steps.errors import ContractError

GIB = 2**30

#: A machine with cgroups of version 2, and one of version 1 as seen from a container: its own cgroup is at the top.
MACHINES: Mapping[str, Mapping[str, str]] = {
    "version 2": {
        "proc/self/cgroup": "0::/user/tests\n",
        "sys/fs/cgroup/user/memory.max": f"{GIB}\n",
        "sys/fs/cgroup/user/memory.events": "low 0\noom 0\noom_kill 5\n",
        "sys/fs/cgroup/user/tests/memory.max": "max\n",
        "sys/fs/cgroup/user/tests/memory.events": "low 0\noom 0\noom_kill 2\n",
    },
    "version 1": {
        "proc/self/cgroup": "9:name=systemd:/\n4:memory:/docker/1234\n0::/\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{GIB}\n",
        "sys/fs/cgroup/memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n",
    },
}


@pytest.fixture(params=MACHINES)
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The root of a machine's file system, which has only what is read."""
    write(tmp_path, MACHINES[request.param])
    return tmp_path


def test_a_kill_for_memory_is_told_with_its_limit(machine: Path) -> None:
    """Where the kernel has counted a kill since, memory ran out, and the limit around this cgroup is named."""
    out_of_memory = OutOfMemory(machine)
    killed = explained(-9, out_of_memory)
    assert killed == "its process ended with exit code -9 (SIGKILL). Something else killed it; `dmesg` may say what."
    for path in machine.glob("sys/**/memory.*"):
        path.write_text(path.read_text().replace("oom_kill 5", "oom_kill 6"))
    assert explained(137, out_of_memory) == (
        "its process ended with exit code 137 (SIGKILL). Memory ran out: the limit is 1.00 GiB. A step needs 1 GiB, "
        "and so does each job of a study."
    )
    assert "Memory" not in explained(-15, out_of_memory)


@pytest.mark.parametrize("kind", [OSError, KeyboardInterrupt])
def test_a_line_that_cannot_be_told_ends_the_process(kind: type[BaseException], tmp_path: Path) -> None:
    """Nobody waits for a step whose output has no place, nor for one that somebody interrupts."""

    def told(_: str) -> None:
        raise kind("a full disk")

    end = tmp_path / "end"
    with pytest.raises(kind, match="^a full disk$"):
        run(["sh", "-c", f"echo one; sleep 5; touch {end}"], os.environ, told)
    assert not end.exists()


def write(root: Path, files: Mapping[str, str]) -> None:
    """Write files below the root of a machine's file system."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


@pytest.mark.parametrize("limit", ["max", str(2**60), "9223372036854771712"])
def test_a_kill_without_a_limit_is_told_too(limit: str, tmp_path: Path) -> None:
    """The whole machine was out of memory; so large a number is none."""
    place = "sys/fs/cgroup/a"
    events = {f"{place}/memory.events": "oom_kill 0\n"}
    write(tmp_path, {"proc/self/cgroup": "0::/a\n", f"{place}/memory.max": f"{limit}\n", **events})
    out_of_memory = OutOfMemory(tmp_path)
    write(tmp_path, {f"{place}/memory.events": "oom_kill 1\n"})
    assert explained(-9, out_of_memory) == (
        "its process ended with exit code -9 (SIGKILL). Memory ran out. A step needs 1 GiB, and so does each job of a "
        "study."
    )


def test_a_cgroup_may_have_any_name(tmp_path: Path) -> None:
    """With colons too; what is above all cgroups is none, and of those that are the smallest limit counts."""
    place = "sys/fs/cgroup/X:a:b"
    write(tmp_path, {"proc/self/cgroup": "0::/X:a:b/in\n", f"{place}/memory.max": f"{3 * GIB}\n"})
    write(tmp_path, {"sys/fs/memory.max": f"{GIB}\n", f"{place}/in/memory.max": f"{4 * GIB}\n"})
    assert OutOfMemory(tmp_path).limit() == ": the limit is 3.00 GiB"


def test_a_command_has_its_environment_and_tells_its_lines(tmp_path: Path) -> None:
    """It works in the folder that it is given; bytes that are no text are escapes."""
    lines: list[str] = []
    command = ["sh", "-c", r"printf 'a\n\377b\n'; echo $ONE; pwd -P; exit 3"]
    code, _ = run(command, {"ONE": "é"}, lines.append, str(tmp_path))
    assert (code, lines) == (3, ["a\n", "\\xffb\n", "é\n", f"{tmp_path.resolve()}\n"])


def test_a_command_needs_no_path() -> None:
    """A shell is found where all systems have one, whatever `PATH` says here or there."""
    code = (
        "import os, sys; os.environ['PATH'] = '/nowhere'; from fmnist.kubeflow.processes import run\n"
        "print(run([sys.executable, '-c', 'print(1)'], {'PATH': '/nowhere'}, print)[0])"
    )
    assert helpers.python(code).split() == ["1", "0"]


def test_without_cgroups_nothing_is_claimed(tmp_path: Path) -> None:
    """A system that counts no kills says only what is known."""
    out_of_memory = OutOfMemory(tmp_path)
    assert not out_of_memory
    assert "Memory" not in explained(-9, out_of_memory)
    (tmp_path / "proc").symlink_to("proc")
    assert not OutOfMemory(tmp_path)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (1, "exit code 1."),
        (127, "exit code 127."),
        (255, "exit code 255."),
        (-11, "exit code -11 (SIGSEGV)."),
        (139, "exit code 139 (SIGSEGV)."),
        (132, "exit code 132 (SIGILL). This CPU may lack an instruction that a library was built for."),
        (-7, "exit code -7 (SIGBUS). The disk may be full."),
    ],
    ids=str,
)
def test_an_exit_code_is_told_with_its_signal(code: int, expected: str, tmp_path: Path) -> None:
    """Negative codes and those above 128 are named by their signals; what is no signal stays a number."""
    assert explained(code, OutOfMemory(tmp_path)) == f"its process ended with {expected}"


def test_the_limits_of_a_process_are_named() -> None:
    """Each limit that is set is in the message, with the option of ulimit that raises it."""
    code = (
        "import resource as r; from fmnist.kubeflow.processes import OutOfMemory, explained\n"
        "for name, value in {'CPU': 50, 'AS': 8 * 2**30, 'DATA': 2**33, 'NPROC': 99, 'FSIZE': 2**20}.items():\n"
        "    r.setrlimit(getattr(r, f'RLIMIT_{name}'), (value, value))\n"
        "print(explained(1, OutOfMemory()))"
    )
    assert helpers.python(code) == (
        "its process ended with exit code 1. Limits here: 50 CPU seconds (ulimit -t), 8589934592 bytes of address "
        "space (ulimit -v), 8589934592 bytes of data (ulimit -d), 99 processes and threads (ulimit -u), 1048576 bytes "
        "a file (ulimit -f).\n"
    )


@pytest.mark.parametrize(("share", "bound"), [(0.5, True), (1.0, True), (1.005, True), (1.05, False)])
def test_the_memory_of_the_process_before_is_a_bound(share: float, bound: bool, tmp_path: Path) -> None:
    """A process counts at first with the memory of the one that started it, which the kernel knows to a per cent."""
    peak = re.search(r"^VmHWM:\s+(\d+)", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert peak
    usage = resource.struct_rusage([0.0, 0.0, int(share * int(peak[1])), *[0] * 13])
    assert ("with at most" in explained(1, OutOfMemory(tmp_path), usage)) == bound


def test_what_a_process_used_is_measured() -> None:
    """CPU seconds and peak memory are those of a process and its children, or said to be bounds."""
    code = (
        "import os, resource, sys; from pathlib import Path; from fmnist.kubeflow.processes import *\n"
        "def used():\n"
        "    return sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])\n"
        "def ended(code):\n"
        "    before = used()\n"
        "    ended, usage = run(['sh', '-c', f\"{sys.executable} -c '{code}'; exit 3\"], os.environ, str)\n"
        "    return explained(ended, OutOfMemory(Path('none')), usage) + f' {used() - before}'\n"
        "print(ended('import os; x = bytearray(300 * 2**20); os.kill(os.getpid(), 9)'))\n"
        "large = bytearray(400 * 2**20); print(ended('pass'))"
    )
    memory = (r"with 0\.[34]\d GiB of memory", r"with at most 0\.[45]\d GiB")
    for said, kept in zip(helpers.python(code).splitlines(), memory, strict=True):
        told = re.match(rf"its process ended with exit code 3, after (\d+\.\d) CPU seconds, {kept}.* (\S+)$", said)
        assert told, said
        # A busy machine takes more of them, as the kernel counts too.
        assert float(told[1]) == pytest.approx(float(told[2]), abs=0.1)


def test_a_kill_after_the_last_cpu_second_is_the_limits() -> None:
    """A process that ignores SIGXCPU is killed at the hard limit, which is then the reason."""
    code = (
        "import os, resource, sys; from pathlib import Path\n"
        "from fmnist.kubeflow.processes import OutOfMemory, explained, run\n"
        "resource.setrlimit(resource.RLIMIT_CPU, (2, 3))\n"
        "loop = 'import signal\\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\\nwhile True: pass'\n"
        "code, usage = run([sys.executable, '-c', loop], os.environ, str)\n"
        "print(explained(code, OutOfMemory(Path('none')), usage))"
    )
    assert "(SIGKILL), after " in (said := helpers.python(code))
    assert "It used up its CPU seconds" in said


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lets this process have some soft limits, and hard ones of 1; there are no others."""

    def limit(**soft: int) -> None:
        values = {getattr(resource, f"RLIMIT_{name}"): value for name, value in soft.items()}
        monkeypatch.setattr(resource, "getrlimit", lambda kind: (values.get(kind, resource.RLIM_INFINITY), 1))

    return limit


@pytest.mark.parametrize(
    ("code", "limit", "seconds", "used_up"),
    [(-9, 5, 4.0, True), (-9, 5, 3.9, False), (-9, 0, 0.5, True), (-9, -1, 9.0, False), (-15, 5, 9.0, False)],
)
def test_cpu_seconds_are_used_up_within_the_last(
    code: int, limit: int, seconds: float, used_up: bool, limited: Callable[..., None]
) -> None:
    """At the soft limit, and by that signal alone; those of the system, half a second, count too."""
    limited(CPU=limit)
    usage = resource.struct_rusage([seconds - 0.5, 0.5, 5 * 2**20, *[0] * 13])
    said = explained(code, OutOfMemory(Path("none")), usage)
    assert ("It used up its CPU seconds" in said) == used_up
    # The kernel counts in KiB.
    assert f", after {seconds} CPU seconds, with 5.00 GiB of memory at its peak." in said


@pytest.mark.parametrize(
    ("code", "limits", "advice"),
    [
        (
            -9,
            {"CPU": 0},
            "It may have used up its CPU seconds: raise the limit with `ulimit -t`. Or else `dmesg` may say why.",
        ),
        (-9, {}, "Something else killed it; `dmesg` may say what."),
        (-15, {"CPU": 0}, "Something else asked it to end."),
    ],
)
def test_a_worker_that_is_killed_may_have_met_the_limit(
    code: int, limits: dict[str, int], advice: str, limited: Callable[..., None]
) -> None:
    """What it used, nobody knows: its parent counts all workers together."""
    limited(**limits)
    assert f"). {advice}" in explained(code, OutOfMemory(Path("none")))


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({}, ""),
        ({"AS": 0}, " Limits here: 0 bytes of address space (ulimit -v)."),
        (
            {"NPROC": 999, "FSIZE": 2},
            " Limits here: 999 processes and threads (ulimit -u), 2 bytes a file (ulimit -f).",
        ),
        ({"NPROC": 1_000}, ""),
    ],
    ids=["none", "nothing", "two", "enough processes"],
)
def test_a_soft_limit_is_told(limits: dict[str, int], said: str, limited: Callable[..., None], tmp_path: Path) -> None:
    """A thousand processes are as good as no limit."""
    limited(**limits)
    assert explained(1, OutOfMemory(tmp_path)) == f"its process ended with exit code 1.{said}"


def guards(session: int) -> Iterator[int]:
    """Give the processes that would kill a session."""
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"kill -s KILL -- -{session}\0".encode() in (path / "cmdline").read_bytes():
                yield int(path.name)


def test_a_guard_hears_no_ctrl_c() -> None:
    """It is in a session of its own, where it outlives this process."""
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as watched:
        try:
            with guarded(watched.pid):
                late = time.monotonic() + 30
                while not (found := list(guards(watched.pid))) and time.monotonic() < late:
                    time.sleep(0.01)
                assert [os.getsid(guard) for guard in found] == found
                assert len(found) == 1
        finally:
            watched.kill()


#: Prints the number of a process and that of its child, which both last for minutes.
LASTING = "echo $$; sleep 600 & echo $!; wait"


@pytest.mark.parametrize("way", ["killed", "interrupted"])
def test_no_process_outlives_the_one_that_waits(way: str) -> None:
    """After kill -9, or Ctrl-C, of the process that runs a command, the command's processes end as well."""
    code = f"import os; from fmnist.kubeflow.processes import run; run(['sh', '-c', {LASTING!r}], os.environ, print)"
    with subprocess.Popen(
        [*helpers.INTERRUPTIBLE, sys.executable, "-uc", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=helpers.clean_environment(),
    ) as waiting:
        assert waiting.stdout is not None
        numbers = [int(line) for line in itertools.islice((one for one in waiting.stdout if one.strip()), 2)]
        waiting.send_signal(signal.SIGKILL if way == "killed" else signal.SIGINT)
    assert ended(*numbers)


def test_what_a_command_leaves_behind_ends_with_it() -> None:
    """As in a container, whatever it ignores: it is not waited for, and all that was printed before is read."""
    lines: list[str] = []
    code, _ = run(
        ["sh", "-c", "(trap '' TERM HUP; sleep 3; echo late) & echo $!; seq 9999; exit 3"], os.environ, lines.append
    )
    assert (code, lines[1:]) == (3, [f"{i}\n" for i in range(1, 10_000)])
    assert ended(int(lines[0]))


def test_no_command_starts_before_its_guard(tmp_path: Path) -> None:
    """Who is killed before there is one has not let the command begin."""
    code = (
        "import os; from fmnist.kubeflow import processes\n"
        "processes.guarded = lambda _: os.kill(os.getpid(), 9)\n"
        f"processes.run(['touch', {str(tmp_path / 'begun')!r}], os.environ, print)"
    )
    environment = {**helpers.clean_environment(), "MARK": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    late = time.monotonic() + 30
    while (left := helpers.processes(f"MARK={tmp_path}")) and time.monotonic() < late:
        time.sleep(0.01)
    assert left == []
    assert list(tmp_path.iterdir()) == []


def ended(*numbers: int) -> bool:
    """Return whether processes end soon."""
    late = time.monotonic() + 10
    while any(map(alive, numbers)) and time.monotonic() < late:
        time.sleep(0.01)
    return not any(map(alive, numbers))


def alive(number: int) -> bool:
    """Return whether a process has not ended, whoever waits for it."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def test_a_system_without_proc_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Linux alone: other systems have another way."""
    processes.check_program()
    monkeypatch.setattr(processes, "_THIS_PROGRAM", tmp_path / "proc")
    with pytest.raises(ContractError) as caught:
        processes.check_program()
    assert str(caught.value) == (
        f"system: expected {tmp_path / 'proc'}, without which TensorFlow ends the process of a step, got no such file. "
        "Mount it: mount -t proc proc /proc"
    )
    monkeypatch.setattr(sys, "platform", "darwin")
    processes.check_program()
