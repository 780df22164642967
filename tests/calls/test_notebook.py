"""Tests of runs and studies in the kernel of a notebook: what it shows, and that nothing outlives its interruption."""

import queue
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import KernelManager
from support import helpers

#: kfp and the kernel are slow to start where other tests run too.
PATIENCE = 300

#: Marks the processes of a kernel: such variables go on to all that a run starts.
MARK = "XDG_MARK"

FEW = """
import fmnist
from fmnist.steps.dataset import Split
few = fmnist.load("test")
few = Split(few.images[:200], few.labels[:200])
"""


class Notebook:
    """The kernel of a notebook, whose cells are executed one after another."""

    def __init__(self, mark: str) -> None:
        self._mark = f"{MARK}={mark}"
        self._manager = KernelManager(transport="ipc", ip=f"{mark}/kernel")
        # A kernel that knows of pytest shows nothing of what is written to file descriptors, as TensorFlow's lines are.
        kept = {name: value for name, value in helpers.clean_environment().items() if not name.startswith("PYTEST_")}
        self._manager.start_kernel(env={**kept, MARK: mark})
        self._client = self._manager.blocking_client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=PATIENCE)

    def start(self, code: str) -> None:
        """Start to execute a cell."""
        self._cell = self._client.execute(code)

    def outputs(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Give the kind and the content of each output of the cell, to its end."""
        while True:
            message = self._client.get_iopub_msg(timeout=PATIENCE)
            if message["parent_header"].get("msg_id") == self._cell:
                if message["content"].get("execution_state") == "idle":
                    return
                if message["msg_type"] not in {"execute_input", "status"}:
                    yield message["msg_type"], message["content"]

    def execute(self, code: str) -> list[tuple[str, dict[str, Any]]]:
        """Execute a cell, and return its outputs."""
        self.start(code)
        return list(self.outputs())

    def wait(self, text: str) -> None:
        """Wait until the cell shows `text` as progress."""
        for kind, content in self.outputs():
            if kind == "update_display_data" and text in content["data"]["text/plain"]:
                return
        raise queue.Empty

    def interrupt(self) -> list[str]:
        """Interrupt the cell, and return the names of the errors with which it ends."""
        self._manager.interrupt_kernel()
        return [content["ename"] for kind, content in self.outputs() if kind == "error"]

    def kill(self) -> None:
        """Kill the kernel, as a restart does."""
        self._manager.shutdown_kernel(now=True)

    def others(self) -> list[str]:
        """Return the commands of all that the kernel started and that is still there."""
        return [command for command in helpers.processes(self._mark) if "ipykernel_launcher" not in command]

    def close(self) -> None:
        """End the kernel."""
        self._client.stop_channels()
        self.kill()


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    """The kernel of all tests of this module."""
    notebook = Notebook(str(tmp_path_factory.mktemp("n")))
    yield notebook
    notebook.close()


def assert_nothing_is_left(notebook: Notebook) -> None:
    """Assert that all that the kernel started ends."""
    __tracebackhide__ = True
    deadline = time.monotonic() + PATIENCE
    while (left := notebook.others()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == []


def test_results_are_shown(notebook: Notebook, copy: Callable[[str], Path]) -> None:
    """A run and a study are shown as pages, with a line for consoles, and nothing is red like an error."""
    [progress, said, result] = notebook.execute(f"import fmnist\nfmnist.run({str(copy('run'))!r}, epochs=2, seed=5)")
    assert progress[0] == "display_data"
    assert said == ("stream", {"name": "stdout", "text": "The run was finished before: these are its results.\n"})
    assert result[0] == "execute_result"
    assert result[1]["data"]["text/plain"].endswith("/run: accuracy 0.8773, loss 0.4375>")
    assert "<tr><th>accuracy</th><td>0.8773</td></tr>" in result[1]["data"]["text/html"]
    [_, said, result] = notebook.execute(f"fmnist.study({str(copy('study'))!r}, seeds=3, first_seed=5, epochs=2)")
    assert said == ("stream", {"name": "stdout", "text": "Each seed was trained before: these are their results.\n"})
    assert result[1]["data"]["text/plain"].endswith("/study: 3 seeds from 5 on, accuracy 0.8800 ± 0.0029>")
    assert "<tr><th>accuracy</th><td>0.8800 ± 0.0029</td></tr>" in result[1]["data"]["text/html"]


def test_training_in_the_notebook_shows_nothing_red(notebook: Notebook) -> None:
    """TensorFlow's messages about GPUs that it has not found do not appear; what is printed later does."""
    outputs = notebook.execute(
        f"{FEW}import os\nstderr = os.fstat(2)\nfmnist.train(fmnist.Settings(epochs=1), few)\n"
        "print(os.path.samestat(stderr, os.fstat(2)))"
    )
    assert {(kind, content["name"]) for kind, content in outputs} == {("stream", "stdout")}
    said = "".join(content["text"] for _, content in outputs)
    assert said.startswith("epoch 1/1: loss ")
    assert said.endswith("\nTrue\n")


def test_an_interrupted_run_leaves_no_process(notebook: Notebook, tmp_path: Path) -> None:
    """The bar shows the last epoch. What the kernel has started ends with the cell, and the kernel goes on."""
    notebook.start(f"import fmnist\nfmnist.run({str(tmp_path / 'run')!r}, epochs=10_000)")
    notebook.wait("epoch 1/10000  loss ")
    assert notebook.others() != []
    assert notebook.interrupt() == ["KeyboardInterrupt"]
    assert_nothing_is_left(notebook)
    assert notebook.execute("print(1 + 1)") == [("stream", {"name": "stdout", "text": "2\n"})]


def test_an_interrupted_study_leaves_no_process(notebook: Notebook, tmp_path: Path) -> None:
    """Its workers end too."""
    notebook.start(f"import fmnist\nfmnist.study({str(tmp_path / 'study')!r}, seeds=3, epochs=10_000)")
    notebook.wait("seeds")
    assert notebook.others() != []
    assert notebook.interrupt() == ["KeyboardInterrupt"]
    assert_nothing_is_left(notebook)


def test_a_killed_kernel_leaves_no_process(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Who restarts the kernel ends the run in it; the other tests need theirs, in whatever order they come."""
    notebook = Notebook(str(tmp_path_factory.mktemp("k")))
    notebook.start(f"import fmnist\nfmnist.run({str(tmp_path / 'run')!r}, epochs=10_000)")
    notebook.wait("train")
    assert notebook.others() != []
    notebook.close()
    assert_nothing_is_left(notebook)
