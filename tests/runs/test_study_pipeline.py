"""Tests of the study as a compiled pipeline; `test_study_end_to_end.py` runs it."""

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pytest_regressions.data_regression import DataRegressionFixture
from support import argo, helpers

from fmnist.cluster.pipeline_file import read_spec
from fmnist.kubeflow import bundle
from fmnist.pipeline import Where
from fmnist.runs import run, shards, study, study_pipeline
from fmnist.runs.shards import Shards
from fmnist.steps.errors import SettingsError
from fmnist.steps.settings import Settings
from fmnist.testing import Compiled, Ran

#: What a server says of its store, with each artifact.
STORE = {"Provider": "minio", "Params": {"endpoint": "seaweedfs.kubeflow:9000", "fromEnv": "false", "x": "y" * 150}}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled pipeline, for an image that has every package."""
    return study_pipeline.compile_pipeline(tmp_path_factory.mktemp("compiled") / "study.yaml", Where(run.LOCAL_IMAGE))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled pipeline, for a plain Python image."""
    return study_pipeline.compile_pipeline(tmp_path_factory.mktemp("plain") / "study.yaml")


@pytest.fixture(scope="module")
def spec(compiled: Path) -> dict[str, Any]:
    """The compiled pipeline's document."""
    return read_spec(compiled)


@pytest.fixture
def original_datadir() -> Path:
    """Where the golden documents are."""
    return helpers.TESTS / "golden"


def test_the_shards_are_described_as_they_are(spec: dict[str, Any]) -> None:
    """For who starts a study in Kubeflow's UI: the limits are those that hold."""
    divide = spec["components"]["comp-divide"]
    for part in (spec["root"], divide):
        said = part["inputDefinitions"]["parameters"]["shards"]["description"]
        assert f"0 for one for each {shards.SEEDS_OF_A_SHARD} seeds, but {shards.MOST_SHARDS} at most." in said
    assert f"1 to {shards.MOST_SHARDS};" in spec["root"]["inputDefinitions"]["parameters"]["shards"]["description"]


@pytest.mark.parametrize(
    ("image", "variant"), [(None, "packages"), ("registry.example/fmnist:1", "image")], ids=["packages", "image"]
)
def test_the_whole_document_is_the_golden_one(
    tmp_path: Path, data_regression: DataRegressionFixture, image: str | None, variant: str
) -> None:
    """Nothing was added, lost or changed but the step code; `pytest --force-regen` takes a wanted change over."""
    compiled = read_spec(study_pipeline.compile_pipeline(tmp_path / "study.yaml", Where(image)))
    compiled["sdkVersion"] = "varies"
    for container in helpers.containers(compiled).values():
        container["command"] = [helpers.without_code(part) for part in container["command"]]
    data_regression.check(compiled, f"study_{variant}")


def test_seeds_are_trained_in_shards_and_all_are_judged(spec: dict[str, Any]) -> None:
    """A loop over the shards, 20 at once, has one step; the verdict takes what all of them gave."""
    root = spec["root"]["dag"]["tasks"]
    loop = root["for-loop-1"]
    assert root.keys() == {"divide", "for-loop-1", "verdict"}
    assert loop["iteratorPolicy"] == {"parallelismLimit": 20}
    assert loop["parameterIterator"]["items"]["inputParameter"] == "pipelinechannel--divide-Output"
    assert loop["inputs"]["parameters"]["pipelinechannel--divide-Output"] == {
        "taskOutputParameter": {"outputParameterKey": "Output", "producerTask": "divide"}
    }
    assert spec["components"]["comp-for-loop-1"]["dag"]["tasks"].keys() == {"shard"}
    assert root["verdict"]["inputs"]["artifacts"] == {
        "shards": {
            "taskOutputArtifact": {"outputArtifactKey": "pipelinechannel--shard-results", "producerTask": "for-loop-1"}
        }
    }
    assert root["verdict"]["dependentTasks"] == ["for-loop-1"]


def test_the_parameters_have_defaults(spec: dict[str, Any]) -> None:
    """60 seeds from 1000 on, 20 in each shard, with the defaults of a run."""
    inputs = spec["root"]["inputDefinitions"]["parameters"]
    assert {name: (value["parameterType"], value["defaultValue"]) for name, value in inputs.items()} == {
        "compile_optimizer": ("STRING", "adam"),
        "epochs": ("NUMBER_INTEGER", 10),
        "validation_split": ("NUMBER_DOUBLE", 0.05),
        "seeds": ("NUMBER_INTEGER", 60),
        "first_seed": ("NUMBER_INTEGER", 1000),
        "shards": ("NUMBER_INTEGER", 0),
    }
    assert all(value["description"] for value in inputs.values())


def test_a_shard_knows_of_no_other(spec: dict[str, Any]) -> None:
    """Parameters and its own seeds are all a shard's step takes, so that its cache hits whatever the others are."""
    inputs = spec["components"]["comp-for-loop-1"]["dag"]["tasks"]["shard"]["inputs"]
    assert inputs == {
        "parameters": {
            name: {"componentInputParameter": f"pipelinechannel--{channel}"}
            for name, channel in {
                "compile_optimizer": "compile_optimizer",
                "epochs": "epochs",
                "validation_split": "validation_split",
                "shard": "divide-Output-loop-item",
            }.items()
        }
    }


def test_the_study_that_is_asked_for_is_compiled(tmp_path: Path) -> None:
    """Seeds and shards become defaults, and how much runs at once the limit of the loop."""
    asked = Shards(seeds=10_000, first_seed=5_000, shards=100, parallel=50)
    compiled = read_spec(study_pipeline.compile_pipeline(tmp_path / "study.yaml", Where("image"), asked))
    inputs = compiled["root"]["inputDefinitions"]["parameters"]
    assert {name: inputs[name]["defaultValue"] for name in ("seeds", "first_seed", "shards")} == {
        "seeds": 10_000,
        "first_seed": 5_000,
        "shards": 100,
    }
    assert compiled["root"]["dag"]["tasks"]["for-loop-1"]["iteratorPolicy"] == {"parallelismLimit": 50}


def test_the_first_step_divides_and_refuses() -> None:
    """On the cluster, where the parameters may be others, the step that lists the shards checks them."""
    assert study_pipeline.divide(7, 1000, 3) == ["1000-1001", "1002-1003", "1004-1006"]
    with pytest.raises(SettingsError, match="^shards: expected a whole number from 0 to 100, got 101.$"):
        study_pipeline.divide(200, 0, 101)


def test_each_artifact_of_the_verdict_is_the_file_of_its_name(
    run_component: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of one seed, which deviates from nothing: no server takes a number that is none."""
    names = {"report.html", "distribution.png", "accuracies.csv", "verdict.json"}
    said = {"one": 0.25, "other": 0.5}

    def gather(settings: Settings, seeds: range, shards: list[str], folder: str) -> Any:
        assert (settings, seeds) == (Settings("sgd", 2, 0.05, 7), range(7, 8))
        assert [Path(shard).read_text() for shard in shards] == ["a shard"]
        Path(folder).mkdir()
        for name in names:
            Path(folder, name).write_text(name)
        found = [
            SimpleNamespace(figure=SimpleNamespace(name=name), verdict=SimpleNamespace(p_equivalence=p))
            for name, p in said.items()
        ]
        return SimpleNamespace(mean=0.88, deviation=math.nan, conclusions=found)

    monkeypatch.setattr(study, "gather", gather)
    settings = {"compile_optimizer": "sgd", "epochs": 2, "validation_split": 0.05}
    judged = run_component(study_pipeline.verdict, **settings, seeds=1, first_seed=7, shards=["a shard"])
    assert judged.files == {f"study/{name}": name.encode() for name in names} | {
        "report": b"report.html",
        "distribution": b"distribution.png",
        "accuracies": b"accuracies.csv",
        "verdicts": b"verdict.json",
    }
    assert judged["metrics"].metadata == {
        "seeds": 1,
        "mean": 0.88,
        "p of equivalence, one": 0.25,
        "p of equivalence, other": 0.5,
    }


def test_each_step_carries_what_it_imports(plain: Path) -> None:
    """Each step has the code that it imports: dividing seeds a few lines, a shard nothing that draws or reports."""
    code = {name.rpartition("/")[2]: task.code for name, task in Compiled(plain).tasks.items()}
    for step in (study_pipeline.divide, study_pipeline.shard, study_pipeline.verdict):
        assert code[step.__name__] == helpers.compact(bundle.imported_by(step))
    assert len(code["divide"]) < 10
    assert "fmnist/report/page.py" not in code["shard"]


def test_no_template_is_too_large(plain: Path) -> None:
    """What a step's pod runs stays below 96 KiB; from 128 KiB on Argo needs rights that it does not have."""
    for container in helpers.containers(read_spec(plain)).values():
        assert len(json.dumps(container)) < 96 * 1024


def test_with_an_image_each_step_asks_for_the_code_it_needs(spec: dict[str, Any]) -> None:
    """Each step asks for the code of a study, and nothing is installed."""
    for container in helpers.containers(spec).values():
        required = f"bundle.require('{bundle.digest(bundle.REPLICATION)}', {bundle.REPLICATION})\n"
        assert required in container["command"][-1]
        assert not any("pip" in part for part in container["command"][:-1])


def test_the_digest_is_of_all_that_the_steps_import() -> None:
    """No module that a step imports can change without the digest that its image is asked for."""
    for step in (study_pipeline.divide, study_pipeline.shard, study_pipeline.verdict):
        needed = bundle.imported_by(step).keys() - {"fmnist/kubeflow/digests.json"}
        assert needed <= bundle.source_files(bundle.REPLICATION).keys()


def test_most_shards_fit_into_a_workflow(spec: dict[str, Any]) -> None:
    """What Argo keeps of 100 shards, as it compresses that, is at most 350 kB, a third of what it may keep."""
    assert argo.packed(spec, 100) <= 350_000


def test_dividing_installs_nothing(plain: Path) -> None:
    """On a plain Python image the first step starts at once; the shards need TensorFlow, and no jinja2."""
    installs = {name: container["command"][2] for name, container in helpers.containers(read_spec(plain)).items()}
    assert "tensorflow" not in installs["divide"]
    assert "'tensorflow==" in installs["shard"]
    assert "'jinja2==" not in installs["shard"]
    assert "'jinja2==" in installs["verdict"]


def test_every_way_to_compile_gives_the_same_bytes(plain: Path, compile_each_way: Callable[..., Compiled]) -> None:
    """`kfp dsl compile`, in another environment too, and `fmnist compile --study` write the same file."""
    program = Path(sys.executable).with_name("fmnist")
    again = compile_each_way(study_pipeline.__file__, [program, "compile", "--study"])
    assert again.path.read_bytes() == plain.read_bytes()


def test_where_it_runs_reaches_every_step(tmp_path: Path, plain: Path) -> None:
    """Image, mirror and caching are those that were asked for, in the loop too, and so is code that is carried."""
    where = Where("an-image", caching=False, mirror="https://mirror.example/F/", carried=True)
    path = study_pipeline.compile_pipeline(tmp_path / "study.yaml", where)
    carried, expected = ({name: task.code for name, task in Compiled(one).tasks.items()} for one in (path, plain))
    assert carried == expected
    spec = read_spec(path)
    for name, container in helpers.containers(spec).items():
        assert container["image"] == "an-image"
        assert container["env"] == [{"name": "FMNIST_MIRROR", "value": "https://mirror.example/F/"}], name
        assert container["resources"]["resourceCpuLimit"] == "1"
    tasks = spec["root"]["dag"]["tasks"] | spec["components"]["comp-for-loop-1"]["dag"]["tasks"]
    assert all(task["cachingOptions"] == {} for name, task in tasks.items() if name != "for-loop-1")


def test_the_document_is_a_pipeline_spec(spec: dict[str, Any]) -> None:
    """Kubeflow's own message type takes the document, with no field that it does not know."""
    from google.protobuf import json_format
    from kfp.pipeline_spec import pipeline_spec_pb2

    message = json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec(), ignore_unknown_fields=False)
    assert json_format.MessageToDict(message) == spec


def test_the_resources_are_those_measured(spec: dict[str, Any]) -> None:
    """A shard trains on one core, in less than 1.5 GiB."""
    resources = {name: container["resources"] for name, container in helpers.containers(spec).items()}
    assert {name: (one["resourceCpuRequest"], one["resourceMemoryRequest"]) for name, one in resources.items()} == {
        "divide": ("1", "256Mi"),
        "shard": ("1", "1536Mi"),
        "verdict": ("1", "1Gi"),
    }


def test_the_verdicts_argument_for_most_shards_fits(spec: dict[str, Any]) -> None:
    """Of 100 shards, with addresses as long as a cluster's, the list of folders is shorter than a template may be."""
    address = "minio://mlpipeline/v2/artifacts/fashion-mnist-study/" + "/".join(["0" * 36] * 3) + "/results"
    entry = {
        "name": "0" * 36,
        "uri": address,
        "type": {"schemaTitle": "system.Dataset", "schemaVersion": "0.0.1"},
        "metadata": {"display_name": "results", "store_session_info": json.dumps(STORE)},
    }
    told = json.dumps({"inputs": {"artifacts": {"shards": {"artifacts": [entry] * shards.MOST_SHARDS}}}})
    assert len(json.dumps([told, helpers.containers(spec)["verdict"]])) < 96 * 1024
