"""One run of the pipeline: a folder with its results, its record, and checksums of all that must be reproducible."""

import json
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fmnist import pipeline
from fmnist.kubeflow import local
from fmnist.replication.results import RUN
from fmnist.report import page
from fmnist.runs.folder import CHECKSUMS, checksums, claimed
from fmnist.runs.provenance import machine, provenance
from fmnist.steps import dataset
from fmnist.steps.errors import ContractError
from fmnist.steps.files import ARTIFACT_FILES, TEMPORARY, canonical_json, write
from fmnist.steps.settings import Settings

__all__ = ["run_pipeline"]

LOG, PIPELINE = "log.txt", "pipeline.yaml"

#: A folder that is there while a run is under way, and for what it needs meanwhile; a broken-off run leaves it.
UNFINISHED = ".unfinished"

#: The image named in the compiled file of a local run: this environment has every package.
LOCAL_IMAGE = "this-python-environment"


def run_pipeline(
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
    folder, started, clock = Path(folder), datetime.now(UTC), time.monotonic()
    with claimed(folder, "run"):
        _prepare(folder)
        dataset.fetch(on_progress=on_progress)
        pipeline.compile_pipeline(folder / PIPELINE, pipeline.Where(LOCAL_IMAGE))
        with (
            (folder / LOG).open("w", encoding="utf-8") as log,
            tempfile.TemporaryDirectory(dir=folder / UNFINISHED, ignore_cleanup_errors=True) as work,
            local.confined(Path(work, local.TEMPORARY)),
            ThreadPoolExecutor(1) as meanwhile,
        ):
            # This process only waits for the steps; and the list of fonts that matplotlib makes here serves them too.
            prepared = meanwhile.submit(page.prepare)
            outputs = local.run(folder / PIPELINE, asdict(settings), work, log, on_event)
            for name, path in outputs.items():
                path.replace(folder / ARTIFACT_FILES[name])
            written = _record(settings, folder, started, time.monotonic() - clock)
            write(folder / RUN, canonical_json(written))
            prepared.result()
            page.write_report(folder)
        write(folder / CHECKSUMS, checksums(folder, (PIPELINE, *ARTIFACT_FILES.values())))
        shutil.rmtree(folder / UNFINISHED)
        return written


def _prepare(folder: Path) -> None:
    """Make sure that `folder` is empty, or empty it of what a broken-off run left."""
    ours = {CHECKSUMS, LOG, PIPELINE, RUN, UNFINISHED, page.FILE_NAME, *ARTIFACT_FILES.values()}
    found = {path.name for path in folder.iterdir()}
    others = {name for name in found - ours if not TEMPORARY.fullmatch(name)}
    if found and (others or UNFINISHED not in found):
        raise ContractError(
            f"run folder: expected a new or empty folder, got {folder} with {', '.join(sorted(found))}. "
            "Nothing was changed. Choose another folder with -o."
        )
    for name in found - {UNFINISHED}:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (folder / UNFINISHED).mkdir(exist_ok=True)


def _record(settings: Settings, folder: Path, started: datetime, seconds: float) -> dict[str, Any]:
    return provenance() | {
        "parameters": asdict(settings),
        "metrics": json.loads((folder / ARTIFACT_FILES["metrics"]).read_bytes()),
        "machine": machine(),
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
    }
