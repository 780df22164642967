"""The report of a run or a study: one self-contained page, which requests nothing."""

import base64
import shlex
from array import array
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from fmnist.replication import verdict
from fmnist.replication.conclusions import ClassRecall, recalls
from fmnist.replication.sample import Judged, Sample
from fmnist.report import FILE_NAME, pictures
from fmnist.steps import dataset
from fmnist.steps.errors import ContractError
from fmnist.steps.files import write

__all__ = ["FILE_NAME", "prepare", "write_report"]

_THEMES = {"light": pictures.LIGHT, "dark": pictures.DARK}

#: How many mistakes the page shows.
_MISTAKES = 12


def prepare() -> None:
    """Import the libraries that `write_report` needs, while something else is waited for."""
    for name in ("jinja2", "matplotlib.backends.backend_svg", "matplotlib.pyplot", "scipy.stats", "sklearn.metrics"):
        import_module(name)


def write_report(sample: Sample | Judged, folder: str | Path) -> Path:
    """Write the report of a run or a study, or of accuracies, into its `folder` and return its path.

    Raises
    ------
    ContractError
        If a part of the record or of a result is missing.
    DataError
        If the test images of Fashion-MNIST, of which the page shows a few, are missing.
    """
    import jinja2

    strict: dict[str, Any] = {"undefined": jinja2.StrictUndefined, "trim_blocks": True, "lstrip_blocks": True}
    environment = jinja2.Environment(loader=jinja2.PackageLoader(__package__), autoescape=True, **strict)
    environment.filters |= {"p": _p, "count": pictures.count}
    try:
        content = _verdict(sample) | (_content(sample) if isinstance(sample, Sample) else {})
        text = environment.get_template("report.html.j2").render(content)
    except (KeyError, ValueError, jinja2.UndefinedError) as error:
        raise ContractError(
            f"folder: expected a whole record and results in {folder}, got {type(error).__name__}: {error}"
        ) from error
    path = Path(folder, FILE_NAME)
    write(path, text.encode())
    return path


def _verdict(sample: Sample | Judged) -> dict[str, Any]:
    """Return what the page has of all accuracies, whatever else is known of them."""
    distribution = partial(pictures.distribution, sample.accuracies, [one.figure for one in sample.conclusions])
    return {
        "sample": sample,
        "n": len(sample.accuracies),
        "many": len(sample.accuracies) > pictures.MANY_SEEDS,
        "verdict": verdict,
        "themes": _THEMES,
        "distribution": _themed(distribution),
        "narrow_distribution": _themed(partial(distribution, narrow=True)),
    }


def _content(sample: Sample) -> dict[str, Any]:
    return {
        "images": round(sample.counts.sum()),
        "ours": sample.class_names == dataset.CLASS_NAMES,
        "last": {
            name: float(np.mean([result.history[name][-1] for result in sample.results]))
            for name in ("loss", "val_loss", "accuracy", "val_accuracy")
        },
        "matrix": _matrix(sample),
        "mistakes": _mistakes(sample),
        "commands": _commands(sample),
        "curves": _themed(partial(pictures.loss_curves, [result.history for result in sample.results])),
        "recalls": {one.figure.name: _recalls(sample, one.classes) for one in sample.conclusions if one.classes},
    }


def _recalls(sample: Sample, classes: Sequence[ClassRecall]) -> dict[str, Any]:
    draw = partial(pictures.recalls, sample.recalls, [one.published for one in classes], sample.class_names)
    furthest = max(classes, key=lambda one: abs(one.mean - one.published))
    return {"furthest": furthest, "narrow": _themed(partial(draw, narrow=True)), **_themed(draw)}


def _themed(draw: Callable[..., bytes]) -> dict[str, str]:
    """Return a picture's data URI for the light and for the dark page."""
    return {name: _embedded("image/svg+xml", draw(theme=theme, kind="svg")) for name, theme in _THEMES.items()}


def _embedded(kind: str, content: bytes) -> str:
    return f"data:{kind};base64," + base64.b64encode(content).decode()


def _matrix(sample: Sample) -> list[dict[str, Any]]:
    """Return the rows of the confusion matrix, whose fields are counts and shades in per cent."""
    counts = sample.counts
    fields = np.dstack([counts, 100 * pictures.shades(counts)]).tolist()
    return [
        {"name": name, "recall": recall, "fields": row}
        for name, recall, row in zip(sample.class_names, recalls(counts.tolist()), fields, strict=True)
    ]


def _mistakes(sample: Sample) -> list[dict[str, Any]]:
    """Return the mistakes that most seeds make, of those the ones they make most confidently."""
    # Of 10,000 seeds, twelve million.
    confidences: defaultdict[tuple[int, int, int], array[float]] = defaultdict(lambda: array("d"))
    for result in sample.results:
        for mistake in result.mistakes:
            confidences[mistake.image, mistake.true, mistake.predicted].append(mistake.confidence)
    # The number of the image decides between equals.
    ranked = sorted((-len(values), -float(np.mean(values)), mistake) for mistake, values in confidences.items())
    ours = sample.class_names == dataset.CLASS_NAMES
    images = dataset.load("test").images if ours else None
    return [
        {
            "image": image,
            "true": sample.class_names[true],
            "predicted": sample.class_names[predicted],
            "seeds": -seeds,
            "confidence": -confidence,
            "picture": None if images is None else _embedded("image/png", pictures.thumbnail(images[image])),
        }
        for seeds, confidence, (image, true, predicted) in ranked[:_MISTAKES]
    ]


def _commands(sample: Sample) -> str:
    """Return the commands that check the files, and that repeat the run or study."""
    parameters = [shlex.join(["-p", f"{name}={value}"]) for name, value in sample.parameters.items()]
    first, n = sample.results[0].seed, len(sample.results)
    command, seeds = ("study", f"--first-seed {first} --seeds {n}") if sample.is_study else ("run", f"--seed {first}")
    again = " ".join(["fmnist", command, *parameters, seeds, "-o again"])
    return f"sha256sum -c SHA256SUMS\n{again}\ndiff SHA256SUMS again/SHA256SUMS"


def _p(p: float) -> str:
    """Return a p value as it is printed, which a line does not break."""
    return f"p\u00a0=\u00a0{p:.3f}" if p >= 0.001 else "p\u00a0<\u00a00.001"  # noqa: PLR2004 - the three places that are printed
