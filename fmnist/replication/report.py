"""The report of a run: one self-contained page, which makes no request to anywhere."""

import base64
import csv
import json
from pathlib import Path
from typing import Any

from fmnist.replication import published
from fmnist.steps.errors import ContractError
from fmnist.steps.files import ARTIFACT_FILES
from fmnist.steps.files import write as write_file

__all__ = ["FILE_NAME", "write"]

FILE_NAME = "report.html"


def write(folder: str | Path) -> Path:
    """Write the report of the finished run in `folder` and return its path.

    Raises
    ------
    ContractError
        If `folder` does not hold a finished run.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, "."), autoescape=True, undefined=jinja2.StrictUndefined
    )
    path = Path(folder, FILE_NAME)
    write_file(path, environment.get_template("report.html.j2").render(_content(Path(folder))).encode())
    return path


def _content(folder: Path) -> dict[str, Any]:
    try:
        record = json.loads((folder / "run.json").read_bytes())
        figures = published.matching(record["parameters"])
        history = json.loads((folder / ARTIFACT_FILES["history"]).read_bytes())
        with (folder / ARTIFACT_FILES["matrix"]).open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        pictures = {name: _embedded(folder / ARTIFACT_FILES[name]) for name in ("loss_plot", "matrix_plot")}
    except (OSError, ValueError, KeyError) as error:
        raise ContractError(
            f"run folder: expected a finished run in {folder}, got {type(error).__name__}: {error}"
        ) from error
    return {
        "record": record,
        "figures": figures,
        "last": {name: values[-1] for name, values in history.items()},
        "recalls": [_recall(header, row, i) for i, row in enumerate(rows)],
        **pictures,
    }


def _embedded(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def _recall(header: list[str], row: list[str], index: int) -> dict[str, Any]:
    """Return a class's name, count, recall, and what it is most often taken for (None if never for another)."""
    name, counts = row[0], [int(count) for count in row[1:]]
    others = [(count, header[1 + i]) for i, count in enumerate(counts) if i != index and count]
    count, other = max(others, default=(0, None))
    return {
        "name": name,
        "images": sum(counts),
        "recall": counts[index] / max(sum(counts), 1),
        "taken_for": other,
        "times": count,
    }
