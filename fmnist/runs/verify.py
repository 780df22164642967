"""Verification by anybody: what a run or a study left agrees, and executed again it gives the same bytes."""

import os
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from random import SystemRandom
from typing import Any, Literal

from fmnist import pipeline
from fmnist.kubeflow import bundle, local
from fmnist.replication.sample import Result, Sample
from fmnist.report import page
from fmnist.runs import checked, findings, recorded, workers
from fmnist.runs.checksums import CHECKSUMS, DIGESTS, digests_in
from fmnist.runs.folder import LOG, PIPELINE, PLAN, RECORD, RUN, SEEDS, claimed, seed_path
from fmnist.runs.provenance import differences, provenance, stopwatch
from fmnist.runs.run import HERE, artifact_paths
from fmnist.steps import dataset
from fmnist.steps.checks import check_whole
from fmnist.steps.errors import ContractError, FmnistError, SettingsError, StepError
from fmnist.steps.files import ARTIFACT_FILES, sha256
from fmnist.steps.settings import Settings

__all__ = ["Difference", "File", "Verification", "drawn", "verify"]

Outcome = Literal["verified", "altered", "environment differs", "results differ"]

#: What is promised where the environment differs, by what differs; the first that matches counts.
_PROMISES = (
    (r"code\.|versions\.fmnist", "another code may give other bytes: verify with the fmnist that made it"),
    (r"versions\.(matplotlib|pillow)", "it draws: pictures may differ, numbers may not"),
    (r"versions\.scipy", "it judges: verdicts may differ in their last digits, results of seeds may not"),
    (r"versions\.(kfp|scikit-learn|python)", "no result should differ, but that is promised for equal versions only"),
    (r"versions\.", "equal bytes are promised with equal versions only"),
    (r"data\.", "equal bytes are promised for the published data only"),
    (r"switches\.", "other switches give other bits"),
    (
        r"machine\.cpu\.(model|avx512f)",
        "weights, predictions, confidences and loss are promised to be the same on all x86-64 CPUs with AVX2 and FMA",
    ),
    (r"machine\.", "equal bytes on two machines are promised for Linux on x86-64 with AVX2 and FMA only"),
)


@dataclass(frozen=True)
class File:
    """A reproducible file: its name, and the SHA-256 that is recorded and that it has now; None where there is none."""

    name: str
    recorded: str | None
    now: str | None

    @property
    def same(self) -> bool:
        """Whether the file is byte for byte the recorded one."""
        return self.recorded == self.now


@dataclass(frozen=True)
class Difference:
    """Something of the environment that differs, as in ``versions.numpy``, and what is promised then."""

    name: str
    recorded: Any
    now: Any
    promise: str


@dataclass(frozen=True)
class Verification:
    """What came out of a verification.

    Attributes
    ----------
    altered : str
        What is not as it was recorded, or does not agree; then nothing was executed.
    environment : sequence of Difference
        What differs here from where the results were made.
    files : sequence of File
        What was compared.
    seeds : sequence of int
        The seeds of a study that were trained again.
    """

    altered: str = ""
    environment: Sequence[Difference] = ()
    files: Sequence[File] = ()
    seeds: Sequence[int] = ()

    def __repr__(self) -> str:
        return f"<Verification: {self.outcome}>"

    @property
    def outcome(self) -> Outcome:
        """Tell apart: altered files, another environment, and other results though the environment is equal."""
        if self.altered:
            return "altered"
        if all(file.same for file in self.files):
            return "verified"
        return "environment differs" if self.environment else "results differ"

    @property
    def sentence(self) -> str:
        """The outcome for a reader."""
        wrong = sum(not file.same for file in self.files)
        trained = f" Trained again: seeds {', '.join(map(str, self.seeds))}." if self.seeds else ""
        match self.outcome:
            case "altered":
                return f"Not verified: it was altered, or is not whole. Nothing was executed.\n{self.altered}"
            case "verified":
                said = f"Verified: made again, {len(self.files)} files are the same, byte for byte."
            case "environment differs":
                said = f"Not verified: {wrong} of {len(self.files)} files differ, and so does the environment."
            case "results differ":
                said = (
                    f"Not verified: {wrong} of {len(self.files)} files differ, and nothing of the environment does: "
                    "these are not the results of this code."
                )
        return said + trained

    def as_json(self) -> dict[str, Any]:
        """Return all of it for JSON."""
        return {"outcome": self.outcome, **asdict(self)}


def verify(  # noqa: PLR0913 - all but the first three are callbacks
    folder: str | Path,
    sample: int,
    *,
    run_their_code: bool = False,
    on_event: Callable[[local.Event], None] = lambda _: None,
    on_seeds: Callable[[Sequence[int]], None] = lambda _: None,
    on_result: Callable[[Result], None] = lambda _: None,
    on_failure: Callable[[int], None] = lambda _: None,
    on_progress: dataset.Progress | None = None,
) -> Verification:
    """Check that all in `folder` agrees, make the results again, elsewhere, and compare; nothing in `folder` changes.

    A run is executed again from its ``pipeline.yaml`` and ``run.json`` alone. Of a study some seeds are trained again,
    and the findings are made again of all.

    Parameters
    ----------
    folder : path
        That of a finished run or study.
    sample : int
        How many seeds of a study to train again, which are `drawn` anew each time.
    run_their_code : bool
        Whether to execute a ``pipeline.yaml`` that carries other code than this installation's.
    on_event, on_seeds, on_result, on_failure, on_progress : callable
        As those of `run_pipeline` and `run_study`.

    Raises
    ------
    SettingsError
        If `sample` is no whole number of at least 1.
    ContractError
        If `folder` holds no run or study, or its code is not this installation's and must not be executed.
    DataError
        If the dataset cannot be found or fetched.
    StepError
        If a step or a seed fails.
    """
    check_whole("sample", sample, 1)
    folder = Path(folder)
    if not any(os.path.lexists(folder / name) for name in (RUN, PLAN, DIGESTS)):
        raise ContractError(f"folder: expected a finished run or study in {folder}, got none. Name another folder.")
    with (
        tempfile.TemporaryDirectory(prefix="fmnist-", ignore_cleanup_errors=True) as work,
        local.confined(Path(work, local.TEMPORARY)),
    ):
        dataset.fetch(on_progress=on_progress)
        with claimed(folder, "results"):
            try:
                files = recorded.read_files(folder)
                found = checked.sample_of(folder, files)
                settings = Settings(**found.parameters, seed=found.results[0].seed)
            except (ContractError, SettingsError) as error:
                return Verification(str(error))
        if found.is_study:
            seeds = drawn([result.seed for result in found.results], sample)
            on_seeds(seeds)
            now = _seeds_again(settings, seeds, Path(work), on_result, on_failure) | _findings_again(found, Path(work))
        else:
            seeds = []
            now = _run_again(files, found, settings, Path(work), on_event, run_their_code=run_their_code)
    digests = digests_in(files)
    # What nobody can make again is no result, whatever signed it.
    now = dict.fromkeys(digests.keys() - _kept(found, digests)) | now
    return Verification(
        environment=_environment(found),
        files=[File(name, digests.get(name), now[name]) for name in sorted(now)],
        seeds=seeds,
    )


def drawn(seeds: Sequence[int], count: int) -> list[int]:
    """Return `count` of the `seeds` of a study, or all, in order; which, nobody foresees: no forgery is tried out."""
    return sorted(SystemRandom().sample(seeds, min(count, len(seeds))))


def _kept(found: Sample, names: Iterable[str]) -> set[str]:
    """Return those of the recorded `names` that say how results were made, or are of seeds: not all are made again."""
    if found.is_study:
        return {PLAN, RECORD, CHECKSUMS, *(name for name in names if name.startswith(f"{SEEDS}/"))}
    return {RUN, PIPELINE, CHECKSUMS, page.FILE_NAME}


def _run_again(  # noqa: PLR0913 - as `verify`
    files: Mapping[str, bytes],
    found: Sample,
    settings: Settings,
    work: Path,
    on_event: Callable[[local.Event], None],
    *,
    run_their_code: bool,
) -> dict[str, str | None]:
    """Execute the pipeline file of a run; return the SHA-256 of each result, and of the report where it is ours."""
    ours = pipeline.compile_pipeline(work / "ours.yaml", HERE).read_bytes() == files[PIPELINE]
    if not ours and not run_their_code:
        raise ContractError(
            f"{PIPELINE}: expected the code of this installation, got other code. Nothing was executed: "
            "that code can do here whatever you can. Install the fmnist that made this run, or, if you trust whoever "
            "made the folder, give --run-their-code."
        )
    (work / PIPELINE).write_bytes(files[PIPELINE])
    with (work / LOG).open("w", encoding="utf-8") as log, ThreadPoolExecutor(1) as meanwhile:
        meanwhile.submit(page.prepare)
        try:
            outputs = local.run_compiled(work / PIPELINE, asdict(settings), work, log, on_event)
        except (FmnistError, OSError):
            raise
        except Exception as error:
            if ours:
                raise
            raise StepError(f"{PIPELINE}: expected a pipeline, got {type(error).__name__}: {error}") from error
    now = {
        "/".join([ARTIFACT_FILES[name], *path.relative_to(output).parts]): sha256(path.read_bytes())
        for name, output in artifact_paths(outputs).items()
        for path in [output, *output.rglob("*")]
        if path.is_file()
    }
    again = {page.FILE_NAME: sha256(page.write_report(found, work).read_bytes())} if ours else {}
    return {**now, **again}


def _seeds_again(
    settings: Settings,
    seeds: Sequence[int],
    work: Path,
    on_result: Callable[[Result], None],
    on_failure: Callable[[int], None],
) -> dict[str, str | None]:
    """Train seeds of a study; return the SHA-256 of the file of each."""
    now: dict[str, str | None] = {}

    def compare(result: Result) -> None:
        now[seed_path(Path(), result.seed).as_posix()] = sha256(result.to_json())
        on_result(result)

    if failures := workers.train(settings, seeds, work / LOG, workers.cores(), compare, on_failure):
        raise StepError("verify: " + "\n".join(f"seed {seed}: {why}" for seed, why in sorted(failures.items())))
    return now


def _findings_again(found: Sample, work: Path) -> dict[str, str | None]:
    """Write the findings of a study; return the SHA-256 of each, and of the report."""
    names = [*findings.write_findings(found, work), page.FILE_NAME]
    return {name: sha256((work / name).read_bytes()) for name in names}


def _environment(found: Sample) -> list[Difference]:
    """Return what differs here from where the results were made."""
    now = provenance(bundle.REPLICATION if found.is_study else bundle.STEPS)
    before = {name: found.record[name] for name in now}
    machines = [{name: one["machine"][name] for name in ("cpu", "system")} for one in (found.record, stopwatch()())]
    changes = differences({**before, "machine": machines[0]}, {**now, "machine": machines[1]})
    return [Difference(name, was, here, _promise(name)) for name, (was, here) in changes.items()]


def _promise(name: str) -> str:
    return next(sentence for pattern, sentence in _PROMISES if re.match(pattern, name))
