"""Checks and programs that several test modules share."""

import contextlib
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import hypothesis
import numpy as np
import pytest

from fmnist.kubeflow import bundle
from fmnist.kubeflow.compiled import tasks
from fmnist.steps import model
from fmnist.steps.determinism import SWITCHES

#: The folder of all tests.
TESTS = Path(__file__).parents[1]

#: Starts a program that Ctrl-C ends, also where these tests run in the background of a shell, which ignores it.
INTERRUPTIBLE = ("env", "--default-signal=INT")

#: Before other code: when it has ended, garbage is not looked for in TensorFlow, which takes a second.
ENDING_AT_ONCE = "import atexit, gc; atexit.register(gc.freeze)"


def fewer_examples() -> hypothesis.settings:
    """Return settings with a fifth of the profile's examples, for a property that draws a picture for each."""
    return hypothesis.settings(max_examples=hypothesis.settings().max_examples // 5)


def digest(network: Any) -> str:
    """Return one SHA-256 for all weights of a network."""
    return hashlib.sha256(b"".join(np.ascontiguousarray(w).tobytes() for w in network.get_weights())).hexdigest()


def written(content: bytes, folder: Path) -> Path:
    """Return the path of a file in `folder` that holds `content`."""
    path = folder / "content"
    path.write_bytes(content)
    return path


def reloaded(network: Any, folder: Path) -> Any:
    """Return `network` as it is read from its file."""
    return model.read(written(model.to_bytes(network), folder))


def containers(spec: dict[str, Any]) -> dict[str, Any]:
    """Return each step's container in the document of a compiled pipeline, by the step's name."""
    return {task.path.rpartition("/")[2]: task.container for task in tasks(spec)}


def without_code(argument: str) -> str:
    """Return an argument of a step without the code or its digest, which have tests of their own, and kfp's version."""
    return re.sub(r"(?<=_B64 = ')[^']*|(?<=bundle\.require\(')[^']*|(?<='kfp==)[^']*", "...", argument)


def compact(sources: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return source files as a step carries them."""
    return {name: bundle.compact(content) if name.endswith(".py") else content for name, content in sources.items()}


def processes(variable: str) -> list[str]:
    """Return the command of each process that was started with this variable, as NAME=VALUE, in its environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            if variable.encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_text().replace("\0", " "))
    return list(filter(None, found))  # one that nobody waits for has none


def clean_environment() -> dict[str, str]:
    """Return this process's environment without the switches that TensorFlow was started with in it."""
    return {name: value for name, value in os.environ.items() if name not in {*SWITCHES, "KERAS_HOME"}}


def python(code: str, *, prefix: tuple[str, ...] = (), cwd: Path | None = None, **environment: str) -> str:
    """Run `code` in another Python process and return what it prints; a failure shows its errors."""
    __tracebackhide__ = True
    done = subprocess.run(
        [*prefix, sys.executable, "-c", f"{ENDING_AT_ONCE}\n{code}"],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**clean_environment(), **environment},
    )
    assert done.returncode == 0, f"expected exit code 0, got {done.returncode}:\n{done.stderr}"
    return done.stdout


def heavy_imports(module: str, *arguments: str) -> set[str]:
    """Call `main` of a command line's `module` in another process, and return its imports that take long."""
    code = (
        f"import sys; from {module} import main\n"
        f"try: main({list(arguments)})\n"
        "except SystemExit: pass\n"
        "print(*{'keras', 'kfp', 'matplotlib', 'pydantic', 'sklearn', 'tensorflow'} & sys.modules.keys())"
    )
    return set(python(code).splitlines()[-1].split())


def write_project(root: Path, files: Mapping[str, str]) -> None:
    """Write the files of a project, of which git knows those in `fmnist`."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    settings = ("-c", "user.name=a", "-c", "user.email=b")
    for command in (["init", "-q"], ["add", "fmnist"], [*settings, "commit", "-qm", "first"]):
        subprocess.run(["git", *command], cwd=root, check=True)


class RanOut:
    """Stands for `processes.OutOfMemory` where memory has run out."""

    def __bool__(self) -> bool:
        return True

    def limit(self) -> str:
        """Return that of a container."""
        return ", at 2 GiB"


@contextlib.contextmanager
def silent_stdin() -> Iterator[None]:
    """Let descriptor 0 be a pipe into which nobody writes: who reads from it waits for ever."""
    kept = os.dup(0)
    answers, ours = os.pipe()
    try:
        os.dup2(answers, 0)
        yield
    finally:
        os.dup2(kept, 0)
        for one in (kept, answers, ours):
            os.close(one)


def missing(what: str) -> NoReturn:
    """Skip a test that needs `what`, and name it; where FMNIST_STRICT is set, fail it instead."""
    __tracebackhide__ = True
    if os.environ.get("FMNIST_STRICT"):
        pytest.fail(f"needs {what}, which FMNIST_STRICT asks for")
    pytest.skip(f"NOT CHECKED: needs {what}")
