"""What a run or a study that Python called gave, as a notebook shows it."""

import base64
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fmnist.replication.conclusions import Conclusion
from fmnist.replication.published import NONE_MATCHING
from fmnist.replication.sample import Sample
from fmnist.report import DISTRIBUTION, FILE_NAME
from fmnist.steps.files import ARTIFACT_FILES

__all__ = ["Run", "Study"]


@dataclass(frozen=True, repr=False)
class Run:
    """A finished run.

    Attributes
    ----------
    folder : Path
        Where its files are.
    record : mapping
        What ``run.json`` holds: `parameters`, `metrics`, `versions`, `code`, `data`, `switches`, `machine`, `started`,
        `seconds`.
    """

    folder: Path
    record: Mapping[str, Any]

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The parameters of the pipeline, by name."""
        return dict(sorted(self.record["parameters"].items()))

    @property
    def metrics(self) -> Mapping[str, float]:
        """Accuracy and loss on the test images."""
        return dict(self.record["metrics"])

    @property
    def accuracy(self) -> float:
        """The share of test images that are classified right."""
        return self.metrics["accuracy"]

    @property
    def loss(self) -> float:
        """The mean cross-entropy on the test images."""
        return self.metrics["loss"]

    def __repr__(self) -> str:
        return f"<Run in {_short(self.folder)}: accuracy {self.accuracy:.4f}, loss {self.loss:.4f}>"

    def _repr_html_(self) -> str:
        pictures = {
            "Loss and accuracy by epoch": ARTIFACT_FILES["loss_plot"],
            "Confusion matrix": ARTIFACT_FILES["matrix_plot"],
        }
        values = {"accuracy": f"{self.accuracy:.4f}", "loss": f"{self.loss:.4f}", **self.parameters}
        return _html(self.folder, [], values, pictures)


@dataclass(frozen=True, repr=False)
class Study:
    """A finished study.

    Attributes
    ----------
    folder : Path
        Where its files are.
    sample : Sample
        The results of its seeds, and its record.
    """

    folder: Path
    sample: Sample

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The parameters of the pipeline, but for the seed, by name."""
        return dict(sorted(self.sample.parameters.items()))

    @property
    def accuracies(self) -> list[float]:
        """The accuracy of each seed, by seed."""
        return self.sample.accuracies

    @property
    def mean(self) -> float:
        """The mean accuracy."""
        return self.sample.mean

    @property
    def deviation(self) -> float:
        """The standard deviation of the accuracies; NaN for one seed."""
        return self.sample.deviation

    @property
    def conclusions(self) -> Sequence[Conclusion]:
        """What the seeds say of each accuracy that was published for the parameters; there may be none."""
        return self.sample.conclusions

    def __repr__(self) -> str:
        return f"<Study in {_short(self.folder)}: {self._seeds()}, accuracy {self._mean()}>"

    def _repr_html_(self) -> str:
        sentences = [conclusion.sentence for conclusion in self.conclusions]
        values = {"accuracy": self._mean(), "seeds": self._seeds(), **self.parameters}
        pictures = {"The accuracy of each seed": DISTRIBUTION}
        return _html(self.folder, sentences or [f"Nothing was published {NONE_MATCHING}."], values, pictures)

    def _mean(self) -> str:
        return f"{self.mean:.4f}" + f" ± {self.deviation:.4f}" * (len(self.accuracies) > 1)

    def _seeds(self) -> str:
        n, first = len(self.accuracies), self.sample.results[0].seed
        return f"{n} seeds from {first} on" if n > 1 else f"seed {first}"


def _short(folder: Path) -> str:
    """Return the path of a folder, from here if it is below."""
    from_here = _from_here(folder)
    return str(folder) if Path(from_here).parts[:1] == (os.pardir,) else from_here


def _from_here(path: Path) -> str:
    """Return a path from the working folder, or the whole path where that was removed."""
    try:
        return os.path.relpath(path)
    except FileNotFoundError:
        return str(path)


def _html(folder: Path, sentences: Sequence[str], values: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """Return what a notebook shows: text, all of it escaped, and the pictures that are in the folder."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template("result.html.j2").render(
        folder=_short(folder),
        report=quote(_from_here(folder / FILE_NAME)),
        sentences=sentences,
        values=values,
        pictures={
            what: base64.b64encode((folder / name).read_bytes()).decode()
            for what, name in pictures.items()
            if (folder / name).is_file()
        },
    )
