"""One run of the pipeline: a folder with its results, its record, and checksums of all that must be reproducible."""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fmnist import pipeline
from fmnist.kubeflow import local
from fmnist.kubeflow.environment import clean_environment
from fmnist.replication.sample import Sample
from fmnist.report import page
from fmnist.runs.checked import read_sample, rewrite_report
from fmnist.runs.checksums import CHECKSUMS, DIGESTS, digests_of, sign
from fmnist.runs.folder import CHECKPOINT, LOG, PIPELINE, RUN, UNFINISHED, check_free, claimed, read_result
from fmnist.runs.provenance import provenance, require_same, stopwatch
from fmnist.steps import dataset
from fmnist.steps.errors import ContractError
from fmnist.steps.files import ARTIFACT_FILES, canonical_json, write
from fmnist.steps.settings import Settings

__all__ = ["HERE", "artifact_paths", "run_pipeline"]

#: The image named in the compiled file of a local run: this environment has every package.
LOCAL_IMAGE = "this-python-environment"

#: The compiled file carries its code, so that whoever has the folder can run it again, whatever fmnist is installed.
HERE = pipeline.Where(LOCAL_IMAGE, carried=True)


def run_pipeline(
    settings: Settings,
    folder: str | Path,
    on_event: Callable[[local.Event], None] = lambda _: None,
    on_progress: dataset.Progress | None = None,
) -> dict[str, Any]:
    """Compile the pipeline, run the compiled file here, and fill `folder`; return the run's record.

    Parameters
    ----------
    settings : Settings
        Equal settings give byte-identical files, of all that `CHECKSUMS` lists.
    folder : path
        New, empty, left by an unfinished run, whose training resumes after its last whole epoch, or that of a finished
        run, whose record is returned.
    on_event : callable
        Called with each step and epoch as they happen.
    on_progress : callable
        Called with the progress of a download of the dataset.

    Raises
    ------
    ContractError
        If `folder` holds anything else, or another run, whose differences the message lists, or if a file changes
        meanwhile.
    DataError
        If the dataset cannot be found or fetched.
    StepError
        If a step fails; `folder` then holds the log.
    OSError
        If `folder` cannot be written.
    """
    folder, stop = Path(folder), stopwatch()
    with claimed(folder, "run"), clean_environment():
        if (record := _finished(folder, settings)) is not None:
            on_event(local.RunFinished())
            return record
        _prepare(folder)
        dataset.fetch(on_progress=on_progress)
        pipeline.compile_pipeline(folder / PIPELINE, HERE)
        made = digests_of(folder, [PIPELINE])
        with (
            (folder / LOG).open("w", encoding="utf-8") as log,
            tempfile.TemporaryDirectory(dir=folder / UNFINISHED, ignore_cleanup_errors=True) as work,
            local.confined(Path(work, local.TEMPORARY)),
            ThreadPoolExecutor(1) as meanwhile,
        ):
            # This process only waits for the steps: importing what the report needs would take a tenth of a run later.
            prepared = meanwhile.submit(page.prepare)
            checkpoint = str(folder.absolute() / UNFINISHED / CHECKPOINT)
            outputs = local.run_compiled(
                folder / PIPELINE, asdict(settings), work, log, on_event, FMNIST_CHECKPOINT=checkpoint
            )
            for name, path in artifact_paths(outputs).items():
                path.replace(folder / ARTIFACT_FILES[name])
            made |= digests_of(folder, ARTIFACT_FILES.values())
            result = read_result(settings.seed, {name: folder / file for name, file in ARTIFACT_FILES.items()})
            metrics = {"accuracy": result.accuracy, "loss": result.loss}
            record = provenance() | stop() | {"parameters": asdict(settings), "metrics": metrics}
            write(folder / RUN, canonical_json(record))
            prepared.result()
            page.write_report(Sample.of_run(record, result), folder)
        _check_unchanged(folder, made)
        sign(folder, made)
        shutil.rmtree(folder / UNFINISHED)
        return record


def artifact_paths(outputs: Mapping[str, Mapping[str, Any]]) -> dict[str, Path]:
    """Return where each artifact of `ARTIFACT_FILES` is, of those that `run_compiled` returns."""
    found = {name: one for artifacts in outputs.values() for name, one in artifacts.items()}
    return {name: Path(found[name].path) for name in ARTIFACT_FILES if name in found}


def _check_unchanged(folder: Path, made: Mapping[str, str]) -> None:
    """Make sure that the pipeline's file and all artifacts are as they were made, as a training may take hours."""
    now = digests_of(folder, (PIPELINE, *ARTIFACT_FILES.values()))
    if others := sorted(name for name, _ in made.items() ^ now.items()):
        raise ContractError(
            f"run folder: expected {folder / others[0]} as the run wrote it, got another, or none. Nothing was signed. "
            "Keep others out of the folder, and run the same command again."
        )


def _finished(folder: Path, settings: Settings) -> dict[str, Any] | None:
    """Return the record of the run that is finished in `folder`, if there is one; it must be the same run.

    A report that is missing is written again.
    """
    if not (folder / DIGESTS).is_file():
        return None
    if (sample := read_sample(folder)).is_study:
        return None
    record = dict(sample.record)
    now = provenance() | {"parameters": asdict(settings)}
    require_same("run", folder, {name: record[name] for name in now}, now)
    if not (folder / page.FILE_NAME).exists():
        rewrite_report(folder)
    shutil.rmtree(folder / UNFINISHED, ignore_errors=True)
    return record


def _prepare(folder: Path) -> None:
    """Make sure that `folder` is empty, or remove what an unfinished run left, but for its checkpoint."""
    ours = {CHECKSUMS, DIGESTS, LOG, PIPELINE, RUN, UNFINISHED, page.FILE_NAME, *ARTIFACT_FILES.values()}
    check_free(folder, "run", ours if (folder / UNFINISHED).exists() else ())
    (folder / UNFINISHED).mkdir(exist_ok=True)
    left = [
        path
        for path in (*folder.iterdir(), *(folder / UNFINISHED).iterdir())
        if path.name not in {UNFINISHED, CHECKPOINT}
    ]
    for path in left:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
