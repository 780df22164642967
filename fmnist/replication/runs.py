"""One run of the pipeline: a folder with its results, its record, and checksums of all that must be reproducible."""

import importlib.metadata
import json
import platform
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fmnist import pipeline
from fmnist.kubeflow import bundle, local
from fmnist.replication import report
from fmnist.steps import dataset, determinism
from fmnist.steps.errors import ContractError
from fmnist.steps.files import ARTIFACT_FILES, canonical_json, sha256, write
from fmnist.steps.settings import Settings

__all__ = ["execute"]

CHECKSUMS, LOG, PIPELINE, RECORD = "SHA256SUMS", "log.txt", "pipeline.yaml", "run.json"

#: A folder that is there while a run is under way, and for what it needs meanwhile; a broken-off run leaves it.
UNFINISHED = ".unfinished"

#: The image named in the compiled file of a local run: this environment has every package.
LOCAL_IMAGE = "this-python-environment"

_RECORDED_PACKAGES = ("fmnist", "keras", "kfp", "matplotlib", "numpy", "scikit-learn", "tensorflow")


def execute(
    settings: Settings,
    folder: str | Path,
    on_event: Callable[[local.Event], None] = lambda _: None,
    on_progress: dataset.Progress | None = None,
) -> dict[str, Any]:
    """Compile the pipeline, execute the compiled file here, and fill `folder`; return the run's record.

    Parameters
    ----------
    settings : Settings
        Equal settings give byte-identical files, of all that `CHECKSUMS` lists.
    folder : path
        New, empty, or left by an unfinished run.
    on_event : callable
        Told of each step and epoch as they happen.
    on_progress : callable
        Told of the progress of a download of the dataset.

    Raises
    ------
    ContractError
        If `folder` holds anything else.
    DataError
        If the dataset is not to be had.
    StepError
        If a step fails; `folder` then holds the log.
    OSError
        If `folder` cannot be written.
    """
    folder = _prepare(Path(folder))
    started, clock = datetime.now(UTC), time.monotonic()
    dataset.fetch(on_progress=on_progress)
    pipeline.compile_pipeline(folder / PIPELINE, LOCAL_IMAGE)
    with (
        (folder / LOG).open("w", encoding="utf-8") as log,
        tempfile.TemporaryDirectory(dir=folder / UNFINISHED, ignore_cleanup_errors=True) as work,
    ):
        outputs = local.run(folder / PIPELINE, asdict(settings), work, log, on_event)
        for name, path in outputs.items():
            path.replace(folder / ARTIFACT_FILES[name])
    record = _record(settings, folder, started, time.monotonic() - clock)
    write(folder / RECORD, canonical_json(record))
    report.write(folder)
    write(folder / CHECKSUMS, _checksums(folder))
    shutil.rmtree(folder / UNFINISHED)
    return record


def _prepare(folder: Path) -> Path:
    """Make `folder`, or empty it of what a broken-off run left."""
    ours = {CHECKSUMS, LOG, PIPELINE, RECORD, UNFINISHED, report.FILE_NAME, *ARTIFACT_FILES.values()}
    if folder.exists():
        found = {path.name for path in folder.iterdir()} if folder.is_dir() else {"a file of that name"}
        if found and not (UNFINISHED in found and found <= ours):
            raise ContractError(
                f"run folder: expected a new or empty folder, got {folder} with {', '.join(sorted(found))}. "
                "Nothing was changed. Choose another folder with -o."
            )
        for name in found - {UNFINISHED}:
            path = folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    (folder / UNFINISHED).mkdir(parents=True, exist_ok=True)
    return folder


def _record(settings: Settings, folder: Path, started: datetime, seconds: float) -> dict[str, Any]:
    """Return all that a reader needs to judge the run and to repeat it."""
    return {
        "parameters": asdict(settings),
        "metrics": json.loads((folder / ARTIFACT_FILES["metrics"]).read_bytes()),
        "versions": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in _RECORDED_PACKAGES},
        "code": {"sha256": bundle.digest()},
        "data": {file.name: file.sha256 for file in dataset.FILES},
        "switches": dict(determinism.SWITCHES),
        "machine": {"system": platform.system(), "cpu": determinism.cpu(), "caveat": determinism.caveat()},
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
    }


def _checksums(folder: Path) -> bytes:
    """Return what ``sha256sum -c`` reads: a line for each file that must be the same in every such run."""
    roots = [folder / name for name in (PIPELINE, *ARTIFACT_FILES.values())]
    paths = [path for root in roots for path in ([root] if root.is_file() else root.rglob("*"))]
    names = sorted(path.relative_to(folder).as_posix() for path in paths)
    return "".join(f"{sha256((folder / name).read_bytes())}  {name}\n" for name in names).encode()
