"""A study: many seeds, each trained and tested by the code of the pipeline's steps, in worker processes.

The plan is written before the first seed is trained, and a study is resumed only with the same plan: nobody can change
the parameters or the number of seeds in the light of the results.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fmnist.kubeflow.environment import clean_environment
from fmnist.replication.sample import Result, Sample
from fmnist.runs import checked, findings, workers
from fmnist.runs.checksums import CHECKSUMS, digests_in, digests_of, sign
from fmnist.runs.folder import LOG, RECORD, claimed
from fmnist.runs.provenance import stopwatch
from fmnist.runs.shard_folder import read_shard
from fmnist.runs.study_folder import StudyFolder, opened
from fmnist.steps.dataset import Progress
from fmnist.steps.errors import StepError
from fmnist.steps.files import canonical_json, sha256, write
from fmnist.steps.settings import Settings

__all__ = ["gather", "run_study", "seeds_from"]


def seeds_from(settings: Settings, count: int) -> range:
    """Return `count` consecutive seeds, from that of the settings on.

    Raises
    ------
    SettingsError
        If the last of them would be too large.
    """
    return range(settings.seed, replace(settings, seed=settings.seed + count - 1).seed + 1)


def run_study(  # noqa: PLR0913 - all but the first four are callbacks
    settings: Settings,
    seeds: range,
    folder: str | Path,
    jobs: int | None = None,
    *,
    on_seeds: Callable[[Sequence[int]], None] = lambda _: None,
    on_result: Callable[[Result], None] = lambda _: None,
    on_failure: Callable[[int], None] = lambda _: None,
    on_progress: Progress | None = None,
) -> Sample:
    """Train and test each of `seeds` that `folder` does not have yet, and fill `folder`; return the whole sample.

    Parameters
    ----------
    settings : Settings
        All but the seed. Equal settings and seeds give byte-identical files, of all that `CHECKSUMS` lists, with any
        number of jobs and after any interruption.
    seeds : range
        Consecutive, at least one.
    folder : path
        New, empty, or the folder of the same study, interrupted or finished.
    jobs : int, optional
        How many worker processes, each with one core and about 1 GiB, share the seeds; by default one for each core.
    on_seeds, on_result, on_failure : callable
        Called with the seeds to train, before the first is trained; with each result; with each seed that fails.
    on_progress : callable
        Called with the progress of a download of the dataset.

    Raises
    ------
    ContractError
        If `folder` holds anything else, or another study, whose differences the message lists; nothing is changed then.
    DataError
        If the dataset cannot be found or fetched.
    StepError
        If seeds fail; the message names each, and `folder` keeps the results of the others.
    OSError
        If `folder` cannot be written.
    """
    folder, stop, jobs = Path(folder), stopwatch(), jobs or workers.cores()
    with claimed(folder, "study"), clean_environment():
        study = opened(folder, settings, seeds, on_progress)
        if missing := study.missing:
            workers.check_system()
        finished = not missing and RECORD in study.files
        if finished:
            checked.check_finished(folder, list(study.results.values()), study.files)
        on_seeds(missing)
        if failures := study.train(jobs, on_result, on_failure, log=folder / LOG):
            raise StepError(_message(failures, folder))
        now = stop() | {"jobs": jobs, "trained": len(missing)}
        record = json.loads(study.files[RECORD]) if finished else now
        if finished and _is_whole(study):
            study.sweep(digests_in(study.files))
            return _sample(study, record)
        return _conclude(study, record)


def gather(settings: Settings, seeds: range, shards: Iterable[str | Path], folder: str | Path) -> Sample:
    """Fill `folder` as `run_study` does, but from the shards that trained the seeds; return the whole sample.

    Parameters
    ----------
    settings, seeds
        As those of `run_study`.
    shards : iterable of path
        Folders that `train_shard` filled, which together have each seed once; one is read after the other.
    folder : path
        New or empty.

    Raises
    ------
    ContractError
        If a shard is not as it was recorded, or of another study, or a seed is missing or there twice.
    DataError
        If the dataset cannot be found or fetched.
    OSError
        If `folder` cannot be written.
    """
    folder, stop = Path(folder), stopwatch()
    with claimed(folder, "study"), clean_environment():
        study = opened(folder, settings, seeds)
        for shard in shards:
            study.keep(read_shard(shard, study.plan))
        # What is recorded is this process, which trained nothing.
        return _conclude(study, stop() | {"jobs": 1, "trained": 0})


def _is_whole(study: StudyFolder) -> bool:
    """Return whether all that a finished study has is there as it was recorded, be it where nobody can write."""
    digests = digests_in(study.files)
    return CHECKSUMS in digests and digests_of(study.folder, digests) == digests


def _sample(study: StudyFolder, record: Mapping[str, Any]) -> Sample:
    return Sample.of_study(study.plan, list(study.results.values()), record)


def _conclude(study: StudyFolder, record: Mapping[str, Any]) -> Sample:
    """Write all that follows from the seeds, and sign it."""
    sample = _sample(study, record)
    study.close()
    write(study.folder / RECORD, canonical_json(record))
    names = findings.write_findings(sample, study.folder)
    # Not of what lies there now: the pictures take seconds.
    texts = {name: sha256(content) for name, content in findings.texts(sample).items()}
    sign(study.folder, study.digests | digests_of(study.folder, names) | texts)
    return sample


def _message(failures: Mapping[int, str], folder: Path) -> str:
    lines = [f"  seed {seed}: {why}" for seed, why in sorted(failures.items())]
    return (
        f"study: {len(failures)} of its seeds failed, {folder} keeps the others:\n" + "\n".join(lines) + "\n"
        f"{folder / LOG} may say more. Run the same command again to train the failed seeds."
    )
