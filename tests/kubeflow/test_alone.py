"""Tests of what a step carries, unpacked where the package is not."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support import helpers

from fmnist import pipeline
from fmnist.kubeflow import bundle
from fmnist.runs import study_pipeline

ALONE = """
import importlib, sys
from pathlib import Path
sys.path[:] = [path for path in sys.path if not (Path(path or ".") / "fmnist").exists()]
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in repr(finder)]
sys.path.insert(0, (alone := str(Path.cwd())))
for path in sorted(Path(alone).rglob("*.py")):
    name = ".".join(path.relative_to(alone).with_suffix("").parts).removesuffix(".__init__")
    assert importlib.import_module(name).__file__ == str(path), name
"""

JUDGED = """
from fmnist.kubeflow import bundle
from fmnist.replication import published
from fmnist.report import page
print(bundle.digest(), bundle.digest(bundle.REPLICATION), len(published.figures()))
page.prepare()
"""


@pytest.mark.parametrize(
    "step", [*pipeline.COMPONENTS.values(), study_pipeline.verdict], ids=lambda step: step.__name__
)
def test_what_a_step_carries_works_alone(step: Callable[..., None], tmp_path: Path) -> None:
    """Unpacked where the package is not, all that a step carries is found; the digest is that of all code here."""
    for name, content in helpers.compact(bundle.imported_by(step)).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    judges = step is study_pipeline.verdict
    out = helpers.python(ALONE + JUDGED * judges, cwd=tmp_path)
    assert out.split() == ([bundle.digest(), bundle.digest(bundle.REPLICATION), "3"] if judges else [])
