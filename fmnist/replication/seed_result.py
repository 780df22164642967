"""The result of one seed, put together of the artifacts that the train and the test step left for it."""

import tempfile
from pathlib import Path

from fmnist.replication.results import RUN, Result
from fmnist.steps.confusion import confusion_matrix
from fmnist.steps.files import ARTIFACT_FILES, canonical_json, save
from fmnist.steps.labels import Labels

__all__ = ["of_artifacts"]


def of_artifacts(seed: int, labels: str | Path, **artifacts: str | Path) -> Result:
    """Return the result of `seed`, equal to `Result.of` what the steps' functions give.

    Parameters
    ----------
    seed : int
        The seed.
    labels : path
        The labels folder.
    **artifacts : path
        The files ``model``, ``history``, ``results`` and ``metrics``.
    """
    # They are laid out as a run's folder, which `Result` can read.
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, path in artifacts.items():
            (folder / ARTIFACT_FILES[name]).symlink_to(Path(path).absolute())
        (folder / RUN).write_bytes(canonical_json({"parameters": {"seed": seed}}))
        save(folder, confusion_matrix(Labels.read(labels)))
        return Result.of_run(folder)
