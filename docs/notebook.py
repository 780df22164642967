"""Execute the walk-through from a clean kernel and keep its outputs; with `--check`, compare them with those kept.

    python docs/notebook.py
    python docs/notebook.py --check

It runs in an empty folder and writes nothing but the notebook; a cell that ends with an error ends it.
"""

import difflib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import nbformat
from nbclient import NotebookClient
from traitlets.config import Config

from fmnist.steps.files import sha256

__all__ = ["NOTEBOOK", "differences", "execute", "main", "read"]

NOTEBOOK = Path(__file__).with_name("walkthrough.ipynb")

#: The longest that a cell may take, in seconds: several times what the longest takes.
PATIENCE = 600


def read() -> Any:
    """Return the notebook with the outputs that are kept."""
    return nbformat.read(NOTEBOOK, as_version=nbformat.NO_CONVERT)


def execute(notebook: Any) -> Any:
    """Return a copy of a notebook with the outputs that its cells have now, from the first to the last.

    Of a cell with the tag "progress" only the result stays: its bars show times, which differ.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        If a cell ends with an error.
    """
    fresh = nbformat.from_dict(notebook)
    # Without the settings of whoever calls this, and without a trace in their home.
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, _places(folder)):
        work = Path(folder, "work")
        work.mkdir()
        NotebookClient(
            fresh,
            # Others on this machine can read what goes over TCP.
            config=Config({"ConnectionFileMixin": {"transport": "ipc", "ip": str(Path(folder, "kernel"))}}),
            timeout=PATIENCE,
            record_timing=False,
            coalesce_streams=True,
            resources={"metadata": {"path": work}},
        ).execute()
    fresh.metadata = notebook.metadata  # the kernel adds its version of Python
    for cell in fresh.cells:
        if "progress" in cell.metadata.get("tags", ()):
            cell.outputs = [output for output in cell.outputs if output.output_type == "execute_result"]
    return fresh


def _places(folder: str) -> dict[str, str]:
    return {name: str(Path(folder, name)) for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR")}


def differences(kept: Any, fresh: Any) -> Iterator[str]:
    """Give a sentence for each cell whose outputs differ, with the lines that do."""
    for old, new in zip(kept.cells, fresh.cells, strict=True):
        if old != new:
            changed = "\n".join(difflib.unified_diff(lines(old), lines(new), "kept", "now", n=1, lineterm=""))
            yield f"cell {new.id}: expected the outputs that are kept, got others:\n{changed[:2000]}"


def lines(cell: Any) -> list[str]:
    """Return the outputs of a cell as lines; of what is no plain text, the digest."""
    found = []
    for output in cell.get("outputs", ()):
        data = {"text/plain": output.text} if "text" in output else output.get("data", {})
        for kind, content in sorted(data.items()):
            found.append(f"{output.output_type} {output.get('name', '')} {kind}")
            found += content.splitlines() if kind == "text/plain" else [sha256(str(content).encode())]
    return found


def main(*options: str) -> int:
    """Execute the notebook, then write or compare it; return the exit code."""
    kept = read()
    fresh = execute(kept)
    if "--check" not in options:
        nbformat.write(fresh, NOTEBOOK)
        return 0
    found = list(differences(kept, fresh))
    for difference in found:
        print(difference, file=sys.stderr)  # noqa: T201 - the result
    if found:
        print("Look at them, and keep them with `tox run -e notebook`.", file=sys.stderr)  # noqa: T201 - the result
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
