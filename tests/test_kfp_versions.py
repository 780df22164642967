"""Tests of the compiled files with other releases of kfp, each installed into an environment of its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import helpers

from fmnist import pipeline
from fmnist.pipeline import Where
from fmnist.runs import study_pipeline

pytestmark = pytest.mark.network

#: Releases that people have, before and after the one that this package is tested with.
RELEASES = ("2.16.1", "2.17.3")

#: Loads each file with kfp, as a message of Kubeflow's own type, and prints that message.
LOAD = """
import json, sys
from google.protobuf import json_format
from kfp import __version__, components

loaded = [components.load_component_from_file(path) for path in sys.argv[1:]]
print(json.dumps([__version__, *(json_format.MessageToDict(one.pipeline_spec) for one in loaded)]))
"""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Everything that can be compiled: the pipeline, that of a study, and a component, with and without an image."""
    folder, image = tmp_path_factory.mktemp("compiled"), Where("registry.example/fmnist:1", mirror="https://m.example")
    return [
        pipeline.compile_pipeline(folder / "pipeline.yaml"),
        pipeline.compile_pipeline(folder / "pipeline_image.yaml", image),
        study_pipeline.compile_pipeline(folder / "study.yaml"),
        study_pipeline.compile_pipeline(folder / "study_image.yaml", image),
        *(pipeline.compile_component(name, folder / f"{name}.yaml") for name in pipeline.COMPONENTS),
    ]


@pytest.mark.parametrize("release", RELEASES)
def test_other_releases_of_kfp_load_the_compiled_files(compiled: list[Path], tmp_path: Path, release: str) -> None:
    """Each file is loaded without a loss: what kfp makes of it is what was written."""
    uv, python = str(Path(sys.executable).with_name("uv")), str(tmp_path / "bin" / "python")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(tmp_path)], check=True)
    install = [uv, "pip", "install", "--quiet", "--python", python, f"kfp=={release}"]
    installed = subprocess.run(install, capture_output=True, text=True, check=False)
    if installed.returncode:
        helpers.missing(f"kfp {release} from the package index: {installed.stderr}")
    loaded: list[Any] = json.loads(
        subprocess.run(
            [python, "-c", LOAD, *map(str, compiled)], capture_output=True, text=True, check=True, cwd=tmp_path
        ).stdout
    )
    assert loaded == [release, *(yaml.safe_load(path.read_text()) for path in compiled)]
