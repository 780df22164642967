"""The report of a run or a study: one self-contained page, which makes no request to anywhere."""

import base64
import shlex
from collections import defaultdict
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fmnist.replication import conclusions, verdict
from fmnist.replication.conclusions import ClassRecall, Conclusion
from fmnist.replication.results import Result, Sample
from fmnist.report import pictures
from fmnist.steps import dataset
from fmnist.steps.dataset import CLASS_NAMES
from fmnist.steps.errors import ContractError
from fmnist.steps.files import write

__all__ = ["FILE_NAME", "prepare", "write_report"]

FILE_NAME = "report.html"

_THEMES = {"light": pictures.LIGHT, "dark": pictures.DARK}

#: How many mistakes are shown.
_MISTAKES = 12

#: With fewer seeds the joint rank test cannot reach the level: its smallest p is 1 / (n + 1).
_SEEDS_FOR_CLASSES = round(1 / verdict.LEVEL) - 1


def prepare() -> None:
    """Import the libraries that `write_report` needs: a second that can pass while something else is waited for."""
    for name in ("jinja2", "matplotlib.backends.backend_svg", "matplotlib.pyplot", "scipy.stats", "sklearn.metrics"):
        import_module(name)


def write_report(folder: str | Path) -> Path:
    """Write the report of the finished run or study in `folder` and return its path.

    Raises
    ------
    ContractError
        If `folder` does not hold a finished run or study.
    DataError
        If the test images, of which the page shows a few, are not to be had.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"p": _p, "count": pictures.count}
    sample = Sample.read(folder)
    try:
        text = environment.get_template("report.html.j2").render(_content(sample))
    except (KeyError, ValueError, jinja2.UndefinedError) as error:
        raise ContractError(
            f"folder: expected a whole record and results in {folder}, got {type(error).__name__}: {error}"
        ) from error
    path = Path(folder, FILE_NAME)
    write(path, text.encode())
    return path


def _content(sample: Sample) -> dict[str, Any]:
    accuracies = [result.accuracy for result in sample.results]
    counts = np.mean([result.counts for result in sample.results], axis=0)
    drawn = conclusions.conclude(sample.parameters, sample.results)
    mean, images = float(np.mean(accuracies)), round(counts.sum())
    return {
        "sample": sample,
        "record": sample.record,
        "conclusions": drawn,
        "n": len(accuracies),
        "mean": mean,
        "deviation": float(np.std(accuracies, ddof=1)) if len(accuracies) > 1 else None,
        "low": min(accuracies),
        "high": max(accuracies),
        "images": images,
        "sampling_error": verdict.sampling_error(mean, images),
        "below": [sum(accuracy < one.figure.accuracy for accuracy in accuracies) for one in drawn],
        "last": {
            name: float(np.mean([result.history[name][-1] for result in sample.results]))
            for name in ("loss", "val_loss", "accuracy", "val_accuracy")
        },
        "epochs": len(sample.results[0].history["loss"]),
        "matrix": _matrix(counts),
        "level": verdict.LEVEL,
        "seeds_for_classes": _SEEDS_FOR_CLASSES,
        "seeds_for_a_verdict": verdict.SEEDS_FOR_A_VERDICT,
        "seeds_for_ranks": verdict.SEEDS_FOR_RANKS,
        "mistakes": _mistakes(sample.results),
        "commands": _commands(sample),
        "themes": _THEMES,
        **_pictures(sample, drawn, accuracies),
    }


def _pictures(sample: Sample, drawn: Sequence[Conclusion], accuracies: Sequence[float]) -> dict[str, Any]:
    figures = [one.figure for one in drawn]
    of_seeds = np.array([conclusions.recalls(result.counts) for result in sample.results])
    return {
        "distribution": _themed(lambda **look: pictures.distribution(accuracies, figures, **look)),
        "narrow_distribution": _themed(lambda **look: pictures.distribution(accuracies, figures, narrow=True, **look)),
        "curves": _themed(lambda **look: pictures.loss_curves([one.history for one in sample.results], **look)),
        "recalls": {one.figure.name: _recalls(of_seeds, one.classes) for one in drawn if one.classes},
    }


def _recalls(of_seeds: NDArray[np.float64], classes: Sequence[ClassRecall]) -> dict[str, Any]:
    of_figure = [one.published for one in classes]
    furthest = max(classes, key=lambda one: abs(one.mean - one.published))
    return {
        "furthest": furthest,
        "narrow": _themed(lambda **look: pictures.recalls(of_seeds, of_figure, narrow=True, **look)),
        **_themed(lambda **look: pictures.recalls(of_seeds, of_figure, **look)),
    }


def _themed(draw: Callable[..., bytes]) -> dict[str, str]:
    """Return a picture's data URI for the light and for the dark page."""
    return {name: _embedded("image/svg+xml", draw(theme=theme, kind="svg")) for name, theme in _THEMES.items()}


def _embedded(kind: str, content: bytes) -> str:
    return f"data:{kind};base64," + base64.b64encode(content).decode()


def _matrix(counts: NDArray[np.float64]) -> list[dict[str, Any]]:
    """Return the rows of the confusion matrix: each field's count and how strong its shade is, in per cent."""
    shares = counts / counts.sum(axis=1, keepdims=True)
    return [
        {
            "name": name,
            "recall": shares[row, row],
            "fields": [
                {
                    "count": counts[row, column],
                    "right": row == column,
                    "shade": round(50 * pictures.shade(shares[row, column], right=row == column)),
                }
                for column in range(len(CLASS_NAMES))
            ],
        }
        for row, name in enumerate(CLASS_NAMES)
    ]


class _Shown(NamedTuple):
    """A mistake on the page."""

    image: int
    true: str
    predicted: str
    seeds: int
    confidence: float
    picture: str


def _mistakes(results: Sequence[Result]) -> list[_Shown]:
    """Return the mistakes that most seeds make, of those the ones they make most confidently."""
    confidences = defaultdict(list)
    for result in results:
        for mistake in result.mistakes:
            confidences[mistake.image, mistake.true, mistake.predicted].append(mistake.confidence)
    # The number of the image decides between equals.
    ranked = sorted((-len(values), -float(np.mean(values)), mistake) for mistake, values in confidences.items())
    images = dataset.load("test").images
    return [
        _Shown(
            image=image,
            true=CLASS_NAMES[true],
            predicted=CLASS_NAMES[predicted],
            seeds=-seeds,
            confidence=-confidence,
            picture=_embedded("image/png", pictures.thumbnail(images[image])),
        )
        for seeds, confidence, (image, true, predicted) in ranked[:_MISTAKES]
    ]


def _commands(sample: Sample) -> str:
    """Return what to type to check that the files are whole, and that they come out again."""
    parameters = [shlex.join(["-p", f"{name}={value}"]) for name, value in sample.parameters.items()]
    first, n = sample.results[0].seed, len(sample.results)
    command, seeds = ("study", f"--first-seed {first} --seeds {n}") if sample.is_study else ("run", f"--seed {first}")
    return "\n".join(
        [
            "sha256sum -c SHA256SUMS",
            " ".join(["fmnist", command, *parameters, seeds, "-o again"]),
            "diff SHA256SUMS again/SHA256SUMS",
        ]
    )


def _p(p: float) -> str:
    """Return a p value as it is printed, which a line does not break."""
    return f"p\u00a0=\u00a0{p:.3f}" if p >= 0.001 else "p\u00a0<\u00a00.001"  # noqa: PLR2004 - the three places that are printed
