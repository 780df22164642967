"""Tests of the study as a compiled pipeline; `test_study_end_to_end.py` runs it."""

import base64
import gzip
import json
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import helpers

from fmnist import pipeline
from fmnist.kubeflow import bundle, components
from fmnist.pipeline import Where
from fmnist.runs import run, study_pipeline

#: Linux refuses a longer argument of a program (MAX_ARG_STRLEN).
LONGEST_ARGUMENT = 128 * 1024

#: What Argo keeps of a workflow, compressed, at most.
MOST_OF_A_WORKFLOW = 2**20


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled pipeline, for an image that has every package."""
    return study_pipeline.compile_pipeline(tmp_path_factory.mktemp("compiled") / "study.yaml", Where(run.LOCAL_IMAGE))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled pipeline, for a plain Python image."""
    return study_pipeline.compile_pipeline(tmp_path_factory.mktemp("plain") / "study.yaml")


def document(path: Path) -> dict[str, Any]:
    """Return the document of a compiled pipeline."""
    return next(yaml.safe_load_all(path.read_text()))


@pytest.fixture(scope="module")
def spec(compiled: Path) -> dict[str, Any]:
    """The compiled pipeline's document."""
    return document(compiled)


def containers(spec: dict[str, Any]) -> dict[str, Any]:
    """Return each step's container, by the step's name."""
    executors = spec["deploymentSpec"]["executors"]
    return {name.removeprefix("exec-"): executor["container"] for name, executor in executors.items()}


def test_each_seed_is_trained_and_tested_and_all_are_judged(spec: dict[str, Any]) -> None:
    """A loop over the listed seeds has the steps train and test; the verdict takes what all of them gave."""
    root = spec["root"]["dag"]["tasks"]
    loop = root["for-loop-1"]
    assert root.keys() == {"seeds", "for-loop-1", "verdict"}
    assert loop["iteratorPolicy"] == {"parallelismLimit": study_pipeline.PARALLELISM}
    assert loop["parameterIterator"]["items"]["inputParameter"] in loop["inputs"]["parameters"]
    inner = spec["components"]["comp-for-loop-1"]["dag"]["tasks"]
    assert inner.keys() == {"train", "test", "result"}
    collected = {
        name: entry["taskOutputArtifact"]["producerTask"]
        for name, entry in root["verdict"]["inputs"]["artifacts"].items()
    }
    assert collected == {"summaries": "for-loop-1"}
    gathered = {
        entry["taskOutputArtifact"]["producerTask"] for entry in inner["result"]["inputs"]["artifacts"].values()
    }
    assert gathered == {"train", "test"}


def test_the_steps_of_a_seed_are_those_of_the_pipeline(spec: dict[str, Any], tmp_path: Path) -> None:
    """Train and test have the command that they have in the pipeline."""
    of_run = containers(document(pipeline.compile_pipeline(tmp_path / "p.yaml", Where(run.LOCAL_IMAGE))))
    for name in ("train", "test"):
        assert containers(spec)[name] == of_run[name]


def test_each_step_carries_what_it_imports(plain: Path) -> None:
    """Each step has the code that it imports, listing seeds needs none, and no argument is too long."""
    commands = {name: container["command"] for name, container in containers(document(plain)).items()}
    for step in (components.train, components.test, study_pipeline.result, study_pipeline.verdict):
        assert helpers.carried(commands[step.__name__][-1]) == helpers.compact(bundle.imported_by(step))
    assert max(len(part.encode()) for command in commands.values() for part in command) < LONGEST_ARGUMENT


def test_with_an_image_each_step_asks_for_the_code_it_needs(spec: dict[str, Any]) -> None:
    """The steps that judge ask for more, listing seeds asks for none, and nothing is installed."""
    commands = {name: container["command"] for name, container in containers(spec).items()}
    needs = {"train": bundle.STEPS, "test": bundle.STEPS, "result": bundle.REPLICATION, "verdict": bundle.REPLICATION}
    for name, patterns in needs.items():
        assert f"bundle.require('{bundle.digest(patterns)}', {patterns})\n" in commands[name][-1]
    assert "bundle" not in commands["seeds"][-1]
    assert not any("pip" in part for command in commands.values() for part in command[:-1])


def test_most_seeds_fit_into_a_workflow(spec: dict[str, Any]) -> None:
    """What Argo keeps of the tasks of 200 seeds, compressed as Argo does it, is less than it may keep.

    For each task KFP's driver and the two nodes of its executor hold the container, or a patch of a pod made of it.
    """
    nodes = {}
    for seed in range(study_pipeline.MOST_SEEDS):
        for name in ("train", "test", "result"):
            container = json.dumps(containers(spec)[name])
            component = json.dumps(spec["components"][f"comp-{name}"])
            for node in ("driver", "executor", "impl"):
                patch = json.dumps({"id": str(uuid.uuid4()), "command": container, "component": component})
                inputs = [component, container, patch] if node == "driver" else [patch]
                nodes[str(uuid.uuid4())] = {"name": f"study.root.for-loop-1.{seed}.{name}.{node}", "inputs": inputs}
    assert len(base64.b64encode(gzip.compress(json.dumps(nodes).encode()))) < MOST_OF_A_WORKFLOW


def test_listing_seeds_installs_no_tensorflow(plain: Path) -> None:
    """On a plain Python image the first step starts at once."""
    steps = containers(document(plain))
    assert "tensorflow" not in "".join(steps["seeds"]["command"])
    assert "tensorflow" in "".join(steps["verdict"]["command"])


def test_equal_code_compiles_to_equal_bytes(compiled: Path, tmp_path: Path) -> None:
    """A second compilation gives the same file."""
    again = study_pipeline.compile_pipeline(tmp_path / "again.yaml", Where(run.LOCAL_IMAGE))
    assert again.read_bytes() == compiled.read_bytes()


def test_kfps_own_compiler_gives_the_same_bytes(tmp_path: Path, plain: Path) -> None:
    """`kfp dsl compile` and `fmnist compile --study` write the same file."""
    kfp = str(Path(sys.executable).with_name("kfp"))
    command = [kfp, "dsl", "compile", "--py", study_pipeline.__file__, "--output", "kfp.yaml"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "kfp.yaml").read_bytes() == plain.read_bytes()


def test_where_it_runs_reaches_every_step(tmp_path: Path) -> None:
    """Mirror and caching are those that were asked for, in the loop too."""
    where = Where(caching=False, mirror="https://mirror.example/")
    spec = document(study_pipeline.compile_pipeline(tmp_path / "study.yaml", where))
    for name, container in containers(spec).items():
        assert container["env"] == [{"name": "FMNIST_MIRROR", "value": "https://mirror.example/"}], name
        assert container["resources"]["resourceCpuLimit"] == "1"
    tasks = spec["root"]["dag"]["tasks"] | spec["components"]["comp-for-loop-1"]["dag"]["tasks"]
    assert all(task["cachingOptions"] == {} for name, task in tasks.items() if name != "for-loop-1")


def test_the_document_is_a_pipeline_spec(spec: dict[str, Any]) -> None:
    """Kubeflow's own message type takes the document, with no field that it does not know."""
    from google.protobuf import json_format
    from kfp.pipeline_spec import pipeline_spec_pb2

    message = json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec(), ignore_unknown_fields=False)
    assert json_format.MessageToDict(message) == spec


@pytest.mark.parametrize("count", [0, -1, 201])
def test_too_few_and_too_many_seeds_are_refused(count: int) -> None:
    """The list of files must fit into one argument of the verdict step, and there must be a seed to judge."""
    with pytest.raises(ValueError, match=f"count: expected 1 to 200 seeds, got {count}. Divide a larger study"):
        study_pipeline.seeds(1, count, study_pipeline.MOST_SEEDS)
    assert study_pipeline.seeds(5, 3, 200) == [5, 6, 7]


def test_the_verdicts_argument_for_most_seeds_fits() -> None:
    """Of 200 seeds, with addresses as long as a cluster's, the list of files is shorter than an argument may be."""
    address = "minio://mlpipeline/v2/artifacts/fashion-mnist-study/" + "/".join(["0" * 36] * 3) + "/result/summary"
    entry = {
        "name": "0" * 36,
        "uri": address,
        "type": {"schemaTitle": "system.Dataset", "schemaVersion": "0.0.1"},
        "metadata": {"display_name": "summary"},
        "customPath": address,
    }
    told = {"inputs": {"artifacts": {"summaries": {"artifacts": [entry] * study_pipeline.MOST_SEEDS}}}}
    assert len(json.dumps(told)) < LONGEST_ARGUMENT
