"""Tests of the walk-through, a notebook that `tox run -e notebook` executes, and of what executes it."""

import ast
import base64
import importlib
import io
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from nbclient.exceptions import CellExecutionError, CellTimeoutError
from PIL import Image
from support.folders import RESULTS
from support.kfp_server import serving

from docs import notebook
from fmnist.steps.files import sha256

ROOT = Path(__file__).parents[1]
WALK = notebook.read()
CODE = {cell.id: cell for cell in WALK.cells if cell.cell_type == "code"}


def said(name: str) -> str:
    """Return what a cell printed."""
    return "".join(output.text for output in CODE[name].outputs if output.output_type == "stream")


def picture(name: str) -> bytes:
    """Return the picture that a cell shows."""
    [found] = [one.data["image/png"] for one in CODE[name].outputs if "image/png" in one.get("data", {})]
    return base64.b64decode(found)


def test_it_goes_from_the_data_to_a_pipeline() -> None:
    """The cells come in the order in which the page teaches, and each has its text before it."""
    assert list(CODE) == [
        *("install", "import", "data", "samples", "balance", "one-image", "parameters", "train", "curves"),
        *("test", "confidences", "matrix", "mistakes", "function", "component", "artifacts", "pipeline", "compile"),
        *("graph", "inside", "run", "bytes", "cluster", "one-run", "study", "trap", "remedy"),
    ]
    names = [cell.id for cell in WALK.cells]
    for name in CODE:
        assert names[names.index(name) - 1] == f"{name}-text"


def test_each_cell_is_explained_in_a_few_sentences() -> None:
    """Each text has one to five sentences, headings aside."""
    for cell in WALK.cells:
        if cell.id.endswith("-text") and cell.id != "yours-text":
            prose = re.sub(r"^#.*$|\*\*\d\. .*?\*\*", "", cell.source, flags=re.MULTILINE)
            assert 1 <= len(re.findall(r"[.:?](?=\s|$)", prose)) <= 6, cell.id


def test_it_was_executed_as_a_whole() -> None:
    """Each cell of code was executed once, from the first to the last, without an error or a line on stderr."""
    assert [cell.execution_count for cell in CODE.values()] == [*range(1, len(CODE) + 1)]
    for cell in CODE.values():
        assert [one for one in cell.outputs if one.output_type == "error" or one.get("name") == "stderr"] == [], cell.id
        assert cell.outputs, cell.id


def test_it_names_no_machine() -> None:
    """Neither paths of a machine nor addresses, times and versions of whoever executed it are kept."""
    assert WALK.metadata == {
        "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert [(cell.id, cell.metadata) for cell in WALK.cells if cell.metadata] == [
        ("run", {"tags": ["progress"]}),
        ("study", {"tags": ["progress"]}),
    ]
    texts = [one.get("text") or one.data.get("text/plain", "") for cell in CODE.values() for one in cell.outputs]
    assert re.findall(r"(?<![\w.:/])/(?:home|root|tmp|usr|var|work|Users)\b|0x[0-9a-f]{6}", "".join(texts)) == []


def test_it_is_small() -> None:
    """It is opened quickly: GitHub shows no notebook of many megabytes."""
    assert notebook.NOTEBOOK.stat().st_size < 1_500_000


@pytest.mark.parametrize(
    "name", ["samples", "one-image", "curves", "confidences", "matrix", "mistakes", "graph"], ids=lambda name: name
)
def test_pictures_can_be_seen_on_dark_and_light(name: str) -> None:
    """Each picture has an opaque, light paper."""
    with Image.open(io.BytesIO(picture(name))) as image:
        pixels = np.asarray(image.convert("RGBA"))
    assert pixels[..., 3].min() == 255
    assert pixels[0, 0].tolist() == [255, 255, 255, 255]
    assert pixels.std() > 10


def test_its_results_are_those_of_the_product() -> None:
    """Its pictures are the files of the run that the README shows, and its accuracy is the golden one."""
    for name, file in (("curves", "loss_plot.png"), ("matrix", "confusion_matrix.png")):
        assert sha256(picture(name)) == sha256((ROOT / "docs" / "run" / file).read_bytes()), name
    assert said("test").startswith("accuracy 0.8856, ")


def test_its_pipeline_has_the_bytes_of_its_cells() -> None:
    """It compares eleven files of the run with what its own cells computed, and they are equal."""
    lines = said("bytes").splitlines()
    assert [line.split()[0] for line in lines] == sorted(RESULTS)
    assert all(line.endswith("…  equal") for line in lines)


def test_it_says_loudly_that_there_was_no_cluster() -> None:
    """What is kept was executed without a cluster, and says so."""
    assert said("cluster").startswith("SKIPPED: there is no cluster here.")


def test_it_shows_the_trap() -> None:
    """With Keras' seed all epochs have one order, of which the callback complains; fmnist has another in each."""
    fingerprints = ast.literal_eval(CODE["trap"].outputs[0].data["text/plain"])
    assert (len(fingerprints), len(set(fingerprints))) == (3, 1)
    assert said("remedy").startswith("RepeatedOrderError: epochs 1 and 2: expected two orders, got the same batches")
    assert len({line.partition(": ")[2] for line in said("remedy").splitlines() if line.startswith("seed 0")}) == 3


def test_it_uses_what_is_public() -> None:
    """It imports from fmnist only names of an `__all__`, and reads no private attribute."""
    for cell in CODE.values():
        for node in ast.walk(ast.parse(TransformerManager().transform_cell(cell.source))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fmnist"):
                module = importlib.import_module(str(node.module))
                for alias in node.names:
                    submodule = Path(module.__file__ or "").with_name(f"{alias.name}.py")
                    package = submodule.with_suffix("") / "__init__.py"
                    assert alias.name in getattr(module, "__all__", ()) or submodule.exists() or package.exists(), (
                        cell.id
                    )
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "fmnist":
                assert node.attr in importlib.import_module("fmnist").__all__, cell.id
            assert not (isinstance(node, ast.Attribute) and re.match(r"_(?!_)", node.attr)), cell.id


def test_its_words_are_spelled_well() -> None:
    """codespell, which cannot read notebooks, finds nothing in texts and code."""
    text = "\n".join(cell.source for cell in WALK.cells)
    command = [str(Path(sys.executable).with_name("codespell")), "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stdout) == (0, "")


def small(*sources: str) -> Any:
    """Return a notebook of these cells, which was not executed."""
    cells = [nbformat.v4.new_code_cell(source, id=f"cell-{at}") for at, source in enumerate(sources)]
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "x"}})


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Write a notebook that the program takes for the walk-through."""

    def write(*sources: str) -> Path:
        path = tmp_path / "walk.ipynb"
        nbformat.write(small(*sources), path)
        monkeypatch.setattr(notebook, "NOTEBOOK", path)
        return path

    return write


def test_outputs_are_kept_and_checked(there: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    """The program writes outputs that are the same each time; the check passes then, and names a cell that changes."""
    path = there("import os\nos.listdir()", "print('one', flush=True)\nprint('two')")
    assert notebook.main() == 0
    kept = path.read_bytes()
    assert notebook.read().metadata == small().metadata
    assert [cell.outputs[0].get("text") or cell.outputs[0].data["text/plain"] for cell in notebook.read().cells] == [
        "[]",
        "one\ntwo\n",
    ]
    changed = kept.replace(b"two\\n", b"too\\n", 1).replace(b"print('too", b"print('two").replace(b"[]", b"['x']", 1)
    path.write_bytes(changed)
    assert notebook.main("--check") == 1
    assert path.read_bytes() == changed
    said = capsys.readouterr().err
    assert "cell cell-0: expected the outputs that are kept, got others:\n--- kept\n+++ now\n" in said
    assert "\n-['x']\n+[]\n" in said
    assert "cell cell-1: expected the outputs that are kept, got others:\n--- kept\n+++ now\n" in said
    assert "\n-too\n+two\n" in said
    assert "tox run -e notebook" in said
    path.write_bytes(kept)
    assert notebook.main("--check") == 0
    assert path.read_bytes() == kept


def test_a_cell_that_was_executed_in_another_place_differs() -> None:
    """Its number is seen, though its outputs are the same; each such cell is told."""
    kept, fresh = small("1", "2", "3"), small("1", "2", "3")
    assert not list(notebook.differences(kept, fresh))
    for number in (0, 2):
        fresh.cells[number].execution_count = 7
    told = [one.partition(":")[0] for one in notebook.differences(kept, fresh)]
    assert told == ["cell cell-0", "cell cell-2"]
    # Of many lines the first are told.
    fresh = small("1")
    fresh.cells[0].outputs = [nbformat.v4.new_output("stream", text="line\n" * 1_000)]
    [one] = notebook.differences(small("1"), fresh)
    assert len(one.partition(" others:\n")[2]) == 2000


def test_of_progress_only_the_result_stays(there: Callable[..., Path]) -> None:
    """Bars and lines of a cell with that tag show times, which differ; those of another cell stay."""
    source = "from IPython.display import display\nprint('9 s')\ndisplay('a bar')\n7"
    path = there(source, source)
    cells = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    cells.cells[0].metadata["tags"] = ["progress"]
    nbformat.write(cells, path)
    assert notebook.main() == 0
    kinds = [[output.output_type for output in cell.outputs] for cell in notebook.read().cells]
    assert kinds == [["execute_result"], ["stream", "display_data", "execute_result"]]


def test_an_error_ends_it(there: Callable[..., Path]) -> None:
    """A cell that fails is an error, and what is kept stays as it was."""
    path = there("1 / 0")
    before = path.read_bytes()
    with pytest.raises(CellExecutionError, match="ZeroDivisionError.*division by zero"):
        notebook.main()
    assert path.read_bytes() == before


def test_a_cell_that_does_not_end_is_ended(there: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """After some time, which is an error."""
    there("import time; time.sleep(6)")
    monkeypatch.setattr(notebook, "PATIENCE", 1)
    with pytest.raises(CellTimeoutError):
        notebook.main()


def test_it_leaves_no_trace_at_home() -> None:
    """What IPython and Jupyter write, and how the kernel is reached, is in a folder that goes."""
    source = "import os; [os.environ['IPYTHONDIR'], os.environ['JUPYTER_RUNTIME_DIR'], os.getcwd()]"
    [cell] = notebook.execute(small(source)).cells
    [one, other, here] = [Path(place).parent for place in ast.literal_eval(cell.outputs[0].data["text/plain"])]
    assert one == other == here
    assert not here.exists()


def test_kinds_of_an_output_come_in_order() -> None:
    """Whichever the kernel names first."""
    kinds = {"text/plain": "a", "image/png": "b"}
    cells = [
        nbformat.v4.new_code_cell(outputs=[nbformat.v4.new_output("display_data", dict(data))])
        for data in (kinds.items(), reversed(kinds.items()))
    ]
    assert notebook.lines(cells[0]) == notebook.lines(cells[1])
    assert notebook.lines(cells[0])[-1] == "a"


BEFORE = """
from pathlib import Path
from types import SimpleNamespace

from fmnist import pipeline

compiled = pipeline.compile_pipeline(Path("fashion_mnist_pipeline.yaml"))
run = SimpleNamespace(accuracy=0.8856)
"""


def test_where_there_is_a_cluster_it_runs_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cell that is skipped elsewhere starts a run with kfp's client, links it, waits, and has the accuracy."""
    with serving() as server:
        server.states = ["SUCCEEDED"]
        server.artifacts = [{"artifact_id": "a", "name": "accuracy", "type": "Metric", "number_value": 0.8856}]
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("KF_PIPELINES_ENDPOINT", server.url)
        executed = notebook.execute(small(BEFORE, CODE["cluster"].source))
    [started] = server.runs
    assert started["display_name"] == "from my notebook"
    assert started["runtime_config"]["parameters"] == {"epochs": 10, "seed": 0}
    text = "".join(one.text for one in executed.cells[1].outputs if one.get("name") == "stdout")
    assert f"watch it at {server.url}/#/runs/details/{started['run_id']}\n" in text
    assert text.endswith("SUCCEEDED\naccuracy: 0.8856 - here it was 0.8856\n")
