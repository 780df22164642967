"""Run tests twice in one process, in another order: nothing that one leaves behind may change another.

Without arguments, all tests that this is about run so, a part of them in each of three processes. One of these waits
most of its time, for servers that do not answer.
"""

import subprocess
import sys

import pytest

#: Of the optimizers, whose training takes seconds each, one is enough here.
OPTIONS = ("-q", "-k", "not (tracks or after_another or stays_as_it_is or a_resumed_training) or adam]")

#: They do most of their work in other processes, of which there is nothing left.
ELSEWHERE = (
    "tests/kubeflow/test_clean_environment.py",
    "tests/kubeflow/test_installing.py",
    "tests/kubeflow/test_processes.py",
    "tests/steps/test_determinism.py",
    "tests/steps/test_garbage.py",
    "tests/steps/test_library_state.py",
)

WAITING = "tests/steps/test_sources.py"

#: It runs with the second part, so that both take as long.
MOVED = "tests/steps/test_own_network.py"

PARTS = (
    ("tests/steps", *(f"--ignore={path}" for path in (*ELSEWHERE, WAITING, MOVED))),
    ("tests/kubeflow", "tests/cli/test_fmnist.py", MOVED, *(f"--ignore={path}" for path in ELSEWHERE)),
    (WAITING,),
)


def main(arguments: list[str]) -> int:
    """Run the tests that the arguments name, or all, and return an exit code."""
    if arguments:
        return int(pytest.main([*OPTIONS, *arguments]) or pytest.main([*OPTIONS, *arguments]))
    processes = [subprocess.Popen([sys.executable, __file__, *part]) for part in PARTS]
    # A process that a signal ends has a negative one.
    return max(abs(process.wait()) for process in processes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
