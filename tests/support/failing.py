# ruff: noqa: T201 - it talks to a test
"""Let each operation on the disk of a command fail once, and say what that leaves.

A program: ``python failing.py SCENARIO FOLDER`` prints a JSON list with one entry for each fault: with a third argument
``every``, each operation fails in each way. The commands run in children that are forked from one warm
process, so that a fault costs no imports.
"""

import contextlib
import errno
import functools
import gzip
import io
import json
import math
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))  # as for a test

#: How an operation fails: an error of the disk, Ctrl-C, or the end of the process.
KINDS = ("ENOSPC", "EIO", "interrupt", "kill")

#: What Python tells of each operation that changes a file, before it is done.
AUDITED = {
    "os.rename",
    "os.mkdir",
    "os.chmod",
    "os.remove",
    "os.rmdir",
    "os.truncate",
    "os.link",
    "os.symlink",
    "fcntl.flock",
}


_FEW = 20

#: Something while operations are not counted, because another process would do them.
_UNWATCHED: list[bool] = []


class Disk:
    """Counts the operations of this process, and lets one of them fail."""

    def __init__(self, fails_at: int, kind: str) -> None:
        self.done: list[str] = []
        self._fails_at, self._kind = fails_at, kind

    def install(self) -> None:
        """Watch this process until it ends."""
        sys.addaudithook(self._audit)
        fsync, disk = os.fsync, self

        class File(io.FileIO):
            def write(self, data: Any) -> int:
                # A full disk takes a part.
                disk.tick("write", lambda: super(File, self).write(bytes(data)[: len(data) // 2]))
                return super().write(data)

        def synchronise(handle: int) -> None:
            self.tick("fsync")
            fsync(handle)

        os.fsync = synchronise  # type: ignore[assignment]
        os.fdopen = lambda handle, mode: io.BufferedWriter(File(handle, mode))  # type: ignore[assignment]

    def tick(self, what: str, before: Callable[[], object] = lambda: None) -> None:
        """Count an operation; fail if its turn has come."""
        if _UNWATCHED:
            return
        self.done.append(what)
        if len(self.done) - 1 != self._fails_at:
            return
        before()
        if self._kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self._kind == "interrupt":
            raise KeyboardInterrupt
        raise OSError(getattr(errno, self._kind), os.strerror(getattr(errno, self._kind)), what)

    def _audit(self, event: str, values: tuple[Any, ...]) -> None:
        if event in AUDITED or (
            event == "open" and isinstance(values[2], int) and values[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        ):
            self.tick(event)


def outcomes(
    command: Callable[[Path], int], make: Callable[[Path], None], root: Path, *, every: bool
) -> Iterator[dict[str, Any]]:
    """Give, for each operation and one or `every` kind of fault, what it leaves, and what comes of the next command."""
    made, first, undisturbed = root / "made", root / "first", root / "undisturbed"
    make(made)
    # Once here: what it imports, compiles and caches, its children have from then on.
    command(Path(shutil.copytree(made, first)))
    shutil.copytree(made, undisturbed)
    old = state(undisturbed)
    _, operations = forked(command, undisturbed, -1, "")
    new = state(undisturbed)
    # By day a dozen operations or two, each in one way; the step is odd, as a write is of eight operations.
    step = 1 if len(operations) <= _FEW else math.ceil(len(operations) / 12) | 1
    some = [(at, KINDS[at // step % len(KINDS)]) for at in range(0, len(operations), step)]
    kinds = [(at, kind) for at in range(len(operations)) for kind in KINDS] if every else some
    for at, kind in kinds:
        folder = Path(shutil.copytree(made, root / "folder"))
        code, _ = forked(command, folder, at, kind)
        left = {name: content for name, content in state(folder).items() if not hidden(name)}
        again, _ = forked(command, folder, -1, "")
        after = state(folder)
        shutil.rmtree(folder)
        yield {
            "fault": f"{kind} at {at}, {operations[at]}",
            "code": code,
            "neither old nor new": [name for name in left if left[name] not in (old.get(name), new.get(name))],
            "lost": [name for name in old if name not in left and name in new],
            "again": again,
            "not as undisturbed": sorted(
                name for name in after.keys() | new.keys() if after.get(name) != new.get(name)
            ),
        }


def forked(command: Callable[[Path], int], folder: Path, at: int, kind: str) -> tuple[int, list[str]]:
    """Run `command` in a child with one fault; return its exit code, and its operations if it lived."""
    reader, writer = os.pipe()
    if not (child := os.fork()):
        disk = Disk(at, kind)
        disk.install()
        code = 70
        try:
            code = command(folder)
        except BaseException:  # noqa: BLE001 - shown
            traceback.print_exc()
        os.write(writer, json.dumps(disk.done).encode())
        os._exit(code)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        operations = pipe.read()
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), json.loads(operations or "[]")


def hidden(name: str) -> bool:
    """Return whether a file, or a folder around it, is hidden."""
    return any(part.startswith(".") for part in Path(name).parts)


#: What holds the time of a run or a study.
DATED = {"RECORD.sha256", "report.html", "run.json", "record.json", "log.txt"}


def state(folder: Path) -> dict[str, str]:
    """Return all files below a folder with their content, and empty folders; of files with the time, only the names.

    A link to a folder, or to nothing, is where it leads.
    """
    found = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() and not path.is_file():
            found[name] = f"a link to {path.readlink()}"
        elif path.is_dir() and not any(path.iterdir()):
            found[name] = "empty"
        elif path.is_file():
            found[name] = "dated" if path.name in DATED else path.read_bytes().hex()
    return found


def call(program: str, *arguments: str) -> int:
    """Run a command line in this process and return its exit code."""
    import importlib

    main = importlib.import_module(f"fmnist.cli.{program}").main
    try:
        main(list(arguments))
    except SystemExit as error:
        return int(error.code or 0)
    return 0


def prepare(root: Path) -> None:
    """Import what takes long, and replace what would: downloads, steps and pictures, none of which is in question."""
    from fmnist.kubeflow import local
    from fmnist.report import page
    from fmnist.runs import run, study, study_pipeline  # noqa: F401 - imported for the children
    from fmnist.steps import canvas, dataset, sources
    from fmnist.steps.data_file import DataFile
    from fmnist.steps.files import sha256

    page.prepare()
    canvas.render = lambda *_, **__: b"a picture"
    images = dataset.load("test")
    dataset.load = lambda *_, **__: images
    vars(local)["run_compiled"] = steps
    contents = {file.name: file.name.encode() * 100 for file in dataset.FILES}
    dataset.FILES = tuple(DataFile(name, len(content), sha256(content)) for name, content in contents.items())
    sources.DEBIAN_FOLDER = root / "debian"
    sources.DEBIAN_FOLDER.mkdir()
    os.environ["FMNIST_DATA_DIR"] = str(root / "data")  # what is made up belongs nowhere else
    for name, content in contents.items():
        (sources.DEBIAN_FOLDER / f"{name}.gz").write_bytes(gzip.compress(content))


def steps(*given: Any, **_: str) -> Any:
    """Write what the steps of a run would write, and return where it is."""
    from types import SimpleNamespace

    folder = Path(given[2], "outputs")
    _UNWATCHED.append(True)
    for name, content in artifacts().items():
        for file, data in ({"": content} if isinstance(content, bytes) else content).items():
            path = folder / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    _UNWATCHED.clear()
    return {"all": {name: SimpleNamespace(path=str(folder / name)) for name in artifacts()}}


@functools.cache
def artifacts() -> dict[str, Any]:
    """Return the content of each artifact of a run."""
    from support import folders

    from fmnist.steps.confusion import confusion_matrix
    from fmnist.steps.files import ARTIFACT_FILES, canonical_json

    tested = folders.evaluation(0)
    return {
        **dict.fromkeys(ARTIFACT_FILES, b"an artifact"),
        "history": canonical_json(folders.HISTORY),
        **tested.artifacts(),
        **confusion_matrix(tested.labels).artifacts(),
    }


def compiled(folder: Path) -> int:
    """Write a compiled pipeline."""
    return call("fmnist", "compile", "-o", str(folder / "p.yaml"), "--image", "registry.example/fmnist:1")


def fetched(folder: Path) -> int:
    """Put the dataset into the cache."""
    os.environ["FMNIST_DATA_DIR"] = str(folder)
    return call("fmnist", "data", "--offline")


def reported(folder: Path) -> int:
    """Write a report."""
    return call("fmnist", "report", str(folder))


def studied(folder: Path) -> int:
    """Judge a study whose seeds are all there."""
    return call("fmnist", "study", "-p", "epochs=2", "--seeds", "3", "--first-seed", "5", "-o", str(folder))


def ran(folder: Path) -> int:
    """Run the pipeline."""
    return call("fmnist", "run", "-p", "epochs=2", "-o", str(folder))


def old_pipeline(folder: Path) -> None:
    """Make a folder with a pipeline of old."""
    folder.mkdir()
    (folder / "p.yaml").write_text("old")


def finished_run(folder: Path) -> None:
    """Make the folder of a finished run."""
    from support import folders

    folders.write_run(folder)


def trained_study(folder: Path) -> None:
    """Make the folder of a study that was interrupted after its last seed."""
    from support import folders

    folders.begin_study(folder)


#: A command, and the folder in which it starts.
SCENARIOS: dict[str, tuple[Callable[[Path], int], Callable[[Path], None]]] = {
    "compile": (compiled, old_pipeline),
    "data": (fetched, Path.mkdir),
    "run": (ran, Path.mkdir),
    "report": (reported, finished_run),
    "study": (studied, trained_study),
}


if __name__ == "__main__":
    place = Path(sys.argv[2])
    (place / "tmp").mkdir()
    os.environ["TMPDIR"] = str(place / "tmp")
    prepare(place)
    with contextlib.redirect_stdout(sys.stderr):
        found = list(outcomes(*SCENARIOS[sys.argv[1]], place, every="every" in sys.argv))
    print(json.dumps(found))
