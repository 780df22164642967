"""The folder of a study, or of a shard of one, while results of seeds come into it: the plan, the seeds, and checksums.

The plan is written before the first seed is trained, and a folder takes seeds of the same plan only: nobody can change
the parameters or the number of seeds in the light of the results.
"""

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmnist.replication.sample import Result
from fmnist.report import FILE_NAME
from fmnist.runs import recorded, shards, workers
from fmnist.runs.checksums import DIGESTS, digests_in, listing
from fmnist.runs.folder import PLAN, SEEDS, check_free, seed_path
from fmnist.runs.provenance import plan, require_same
from fmnist.steps import dataset
from fmnist.steps.errors import ContractError
from fmnist.steps.files import TEMPORARY, canonical_json, sha256, write
from fmnist.steps.settings import Settings

__all__ = ["StudyFolder", "opened"]


@dataclass
class StudyFolder:
    """The folder of a study or of a shard, and what is in it.

    Attributes
    ----------
    folder : Path
        The folder.
    plan : mapping
        Parameters, seeds, and what decides bits and verdicts.
    files : mapping of str to bytes
        The recorded files that were there, without those of seeds, by name.
    digests : dict of str to str
        The SHA-256 of the plan and of each seed's file, by name.
    results : dict of int to Result
        Of the seeds that are there, by seed.
    """

    folder: Path
    plan: Mapping[str, Any]
    files: Mapping[str, bytes]
    digests: dict[str, str]
    results: dict[int, Result]

    @property
    def planned(self) -> range:
        """All seeds, there or not."""
        first = int(self.plan["seeds"]["first"])
        return range(first, first + int(self.plan["seeds"]["count"]))

    @property
    def missing(self) -> list[int]:
        """The seeds that are not there."""
        return [seed for seed in self.planned if seed not in self.results]

    def keep(self, found: Sequence[tuple[Result, bytes]]) -> None:
        """Write the results of more seeds, each given with the content of its file.

        Raises
        ------
        ContractError
            If the result of a seed is there already.
        """
        if twice := sorted(self.results.keys() & {one.seed for one, _ in found}):
            others = shards.name(range(found[0][0].seed, found[-1][0].seed + 1))
            raise ContractError(
                f"seed {twice[0]}: expected one result, got another, with those of seeds {others}. Give each shard "
                "once, and a new folder."
            )
        contents = {seed_path(Path(), one.seed).as_posix(): content for one, content in found}
        self.digests |= {name: sha256(content) for name, content in contents.items()}
        # First the digests: a seed without one is refused, a digest without a seed is not.
        write(self.folder / DIGESTS, listing(self.digests))
        for name, content in contents.items():
            write(self.folder / name, content)
        self.results |= {one.seed: one for one, _ in found}

    def train(
        self,
        jobs: int,
        on_result: Callable[[Result], None],
        on_failure: Callable[[int], None] = lambda _: None,
        *,
        log: Path | None = None,
        attempts: int = 1,
    ) -> dict[int, str]:
        """Train and test each seed that is missing, and keep its result; return the errors of those that fail, by seed.

        Parameters
        ----------
        jobs : int
            How many worker processes share the seeds.
        on_result, on_failure : callable
            Called with each result that is kept, and with each seed that fails.
        log : path, optional
            What the workers print into, if not what this process prints into.
        attempts : int
            How often a seed is tried.
        """

        def keep(result: Result) -> None:
            self.keep([(result, result.to_json())])
            on_result(result)

        settings = Settings(**self.plan["parameters"], seed=self.planned[0])
        failures: dict[int, str] = {}
        for _ in range(attempts):
            if missing := self.missing:
                failures = workers.train(settings, missing, log, jobs, keep, on_failure)
        return failures

    def close(self) -> None:
        """Make sure that every file is as it was written, as training may take days, and sweep what was left."""
        recorded.check_files(self.folder, self.digests)
        self.sweep(self.digests)

    def sweep(self, names: Iterable[str]) -> None:
        """Remove what killed processes left of the files of these names; it stays where nobody can write."""
        ours = {self.folder / name for name in (DIGESTS, *names)}
        for path in (*self.folder.glob(".*"), *self.folder.glob(f"{SEEDS}/.*")):
            if (left := TEMPORARY.fullmatch(path.name)) and path.with_name(left[1]) in ours:
                with contextlib.suppress(OSError):
                    path.unlink()


def opened(folder: Path, settings: Settings, seeds: range, on_progress: dataset.Progress | None = None) -> StudyFolder:
    """Write the plan into a new folder, or make sure that the one there is the same; return what is in the folder.

    Raises
    ------
    ContractError
        If `folder` holds anything else, or other seeds or parameters, which the message lists; nothing is changed then.
    DataError
        If the dataset cannot be found or fetched, with which results are compared.
    """
    planned = plan(settings, seeds)
    files = _begun(folder, planned)
    dataset.fetch(on_progress=on_progress)
    return StudyFolder(
        folder,
        planned,
        {name: content for name, content in files.items() if not name.startswith(f"{SEEDS}/")},
        {n: d for n, d in digests_in(files).items() if n == PLAN or n.startswith(f"{SEEDS}/")},
        {result.seed: result for result in recorded.read_seeds(folder, files)},
    )


def _begun(folder: Path, plan: Mapping[str, Any]) -> dict[str, bytes]:
    """Write the plan into a new folder, or make sure that the one there is the same; return the files of the study."""
    if not (folder / PLAN).is_symlink() and not (folder / PLAN).exists():
        check_free(folder, "study", {PLAN, DIGESTS}, " or that of a study")
        content = canonical_json(plan)
        write(folder / DIGESTS, listing({PLAN: sha256(content)}))
        write(folder / PLAN, content)
    files = recorded.read_files(folder, unfinished=True, without=(FILE_NAME,))
    require_same("study", folder, recorded.plan_in(folder, files), plan)
    return files
