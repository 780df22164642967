"""A plugin for pytest: tests of anybody's components and pipelines, without a cluster.

Name it in the ``conftest.py`` at the top of your tests:

    pytest_plugins = ["fmnist.testing"]

Importing it needs pytest and kfp, and nothing else.
"""

try:
    import pytest  # noqa: F401 - the others of this package import it too
except ImportError as error:
    raise ImportError("fmnist.testing: expected pytest, got none. Install it, with pip install pytest.") from error

from fmnist.testing.components import (
    Ran,
    artifact,
    assert_contract,
    assert_reproducible,
    assert_same_files,
    contents,
    run_component,
)
from fmnist.testing.pipelines import Compiled, compile_each_way, run_pipeline

__all__ = [
    "Compiled",
    "Ran",
    "artifact",
    "assert_contract",
    "assert_reproducible",
    "assert_same_files",
    "compile_each_way",
    "contents",
    "run_component",
    "run_pipeline",
]
