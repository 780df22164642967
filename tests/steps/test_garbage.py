"""Tests of what is done with the garbage collector, mostly in other processes: it is one for each."""

import gc
import json
import subprocess
import sys
from pathlib import Path

import pytest
from support import helpers

from fmnist.steps import garbage

#: Prints what the collector holds for good when a process ends.
AT_EXIT = "import atexit, gc; atexit.register(lambda: print(gc.get_freeze_count() > 1_000))\n"


def last_line(code: str, folder: Path) -> str:
    """Return what a program prints last, however it ends."""
    command, env = [sys.executable, "-c", code], helpers.clean_environment()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, cwd=folder, env=env)
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("caller", ["gc.enable()", "gc.disable()", "gc.freeze()"])
def test_the_collector_is_left_as_it_was(caller: str) -> None:
    """It looks at nothing meanwhile, nor soon after at what was made; the caller's garbage is still found."""
    code = (
        "import gc, json, weakref\n"
        "from fmnist.steps import garbage\n"
        "class Cycle: pass\n"
        f"{caller}\n"
        "cycle = Cycle(); cycle.itself = cycle; watched = weakref.ref(cycle)\n"
        "state = lambda: (gc.isenabled(), gc.get_freeze_count() > 1_000)\n"
        "before, times = state(), []\n"
        "gc.callbacks.append(lambda phase, _: times.append(phase))\n"
        "with garbage.paused(): made = [[] for _ in range(100_000)]; during = len(times)\n"
        "after = state()\n"
        "young = sum(len(gc.get_objects(generation)) for generation in (0, 1))\n"
        "del cycle; gc.collect(); print(json.dumps([during, young, after == before, watched() is None]))"
    )
    during, young, *kept = json.loads(helpers.python(code))
    assert kept == [True, True]
    assert during == 0
    # What the caller froze would thaw.
    assert (young < 10_000) == (caller != "gc.freeze()")


def test_the_collector_runs_again_after_an_error() -> None:
    """An import that fails leaves it on."""
    with pytest.raises(ImportError), garbage.paused():
        raise ImportError
    assert gc.isenabled()


@pytest.mark.parametrize(("frozen", "thaws"), [(999, True), (1_000, False)])
def test_what_the_caller_froze_stays_frozen(frozen: int, thaws: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python itself freezes some hundred objects."""
    thawed: list[bool] = []
    monkeypatch.setattr(gc, "get_freeze_count", lambda: frozen)
    monkeypatch.setattr(gc, "freeze", lambda: None)
    monkeypatch.setattr(gc, "unfreeze", lambda: thawed.append(True))
    with garbage.paused():
        pass
    assert bool(thawed) == thaws


def test_who_asks_twice_gets_it_once() -> None:
    """What is done when a process ends does not grow with each call."""
    code = "import gc; gc.freeze = lambda: print('frozen')\nfrom fmnist.steps import garbage\n"
    assert helpers.python(code + "garbage.stop_at_exit(); garbage.stop_at_exit()") == "frozen\n"


def test_the_import_of_tensorflow_is_not_looked_through() -> None:
    """Neither while TensorFlow is imported, nor when its checks are done."""
    code = (
        "import gc, sys\nfrom fmnist.steps.determinism import tensorflow\nimport matplotlib.pyplot\n"
        "times = []; gc.callbacks.append(lambda phase, _: times.append('tensorflow' in sys.modules))\n"
        "tensorflow(); print(sum(times))"
    )
    assert helpers.python(code) == "0\n"


@pytest.mark.parametrize(
    "program",
    [
        "from fmnist.steps import garbage; garbage.stop_at_exit()",
        "from fmnist.cli.fmnist import main; main(['--version'])",
        "from fmnist.cli.same import main; main(['--help'])",
        "from fmnist.kubeflow.components import train; train(*[None] * 8)",
        "from fmnist.kubeflow.components import test; test(*[None] * 4)",
        "from fmnist.kubeflow.components import confusion_matrix; confusion_matrix(*[None] * 4)",
    ],
    ids=["call", "fmnist", "same", "train", "test", "confusion-matrix"],
)
def test_programs_of_our_own_end_without_a_search_for_garbage(program: str, tmp_path: Path) -> None:
    """Command lines and steps leave everything as it is when they end, however they end."""
    assert last_line(AT_EXIT + program, tmp_path) == "True"


def test_a_library_call_leaves_the_end_of_its_process_alone(tmp_path: Path) -> None:
    """A file that only garbage holds is closed when a program ends that has called `tensorflow`."""
    program = "from fmnist.steps.determinism import tensorflow; tensorflow()"
    assert last_line(AT_EXIT + program, tmp_path) == "False"
