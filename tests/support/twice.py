"""Run tests twice in one process, in another order: nothing that one leaves behind may change another.

Without arguments, all tests that this is about run so, half of them in each of two processes.
"""

import subprocess
import sys

import pytest

#: Of the optimizers, whose training takes seconds each, one is enough here.
OPTIONS = ("-q", "-k", "not (tracks or after_another or stays_as_it_is) or adam]")

#: They do most of their work in other processes, of which there is nothing left.
ELSEWHERE = ("tests/steps/test_determinism.py", "tests/steps/test_library_state.py")

#: They take about as long as the other tests of steps, with those of components and commands.
MOVED = ("tests/steps/test_files.py", "tests/steps/test_plots.py", "tests/steps/test_sources.py")

HALVES = (
    ("tests/steps", *(f"--ignore={path}" for path in (*ELSEWHERE, *MOVED))),
    ("tests/kubeflow", "tests/cli/test_fmnist.py", *MOVED),
)


def main(arguments: list[str]) -> int:
    """Run the tests that the arguments name, or all, and return an exit code."""
    if arguments:
        return int(pytest.main([*OPTIONS, *arguments]) or pytest.main([*OPTIONS, *arguments]))
    processes = [subprocess.Popen([sys.executable, __file__, *half]) for half in HALVES]
    # A process that a signal ends has a negative one.
    return max(abs(process.wait()) for process in processes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
