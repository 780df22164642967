"""Tests of the compiled pipeline: what it is, and that it is the same bytes for the same code."""

import copy
import inspect
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from pytest_regressions.data_regression import DataRegressionFixture
from support import argo, helpers

from fmnist import pipeline
from fmnist.cluster.pipeline_file import read_spec
from fmnist.kubeflow import bundle, components
from fmnist.kubeflow.requirements import pins
from fmnist.pipeline import Where
from fmnist.steps.errors import ContractError
from fmnist.steps.files import ARTIFACT_FILES
from fmnist.steps.settings import Settings
from fmnist.testing import Compiled

ROOT = Path(__file__).parents[1]

Each = Callable[..., Compiled]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    """The compiled pipeline."""
    return Compiled(pipeline.compile_pipeline(tmp_path_factory.mktemp("compiled") / "pipeline.yaml"))


@pytest.fixture(scope="module")
def spec(compiled: Compiled) -> dict[str, Any]:
    """The compiled pipeline's document."""
    return compiled.spec


@pytest.fixture(scope="module")
def image_spec(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The document compiled for an image that has every package."""
    path = tmp_path_factory.mktemp("compiled") / "image.yaml"
    return Compiled(pipeline.compile_pipeline(path, Where("registry.example/fmnist:1"))).spec


@pytest.fixture
def original_datadir() -> Path:
    """Where the golden documents are."""
    return ROOT / "tests" / "golden"


@pytest.mark.parametrize(
    ("image", "variant"), [(None, "packages"), ("registry.example/fmnist:1", "image")], ids=["packages", "image"]
)
def test_the_whole_document_is_the_golden_one(
    tmp_path: Path, data_regression: DataRegressionFixture, image: str | None, variant: str
) -> None:
    """Nothing was added, lost or changed but the step code; `pytest --force-regen` takes a wanted change over."""
    path = pipeline.compile_pipeline(tmp_path / "pipeline.yaml", Where(image))
    [document] = yaml.safe_load_all(path.read_text())
    document["sdkVersion"] = "varies"
    for container in helpers.containers(document).values():
        container["command"] = [helpers.without_code(part) for part in container["command"]]
    data_regression.check(document, f"pipeline_{variant}")


def test_every_way_to_compile_gives_the_same_bytes(compiled: Compiled, compile_each_way: Each) -> None:
    """In another folder, time zone, locale and umask, each command writes the same file."""
    source, program = ROOT / "fmnist" / "pipeline.py", Path(sys.executable).with_name("fmnist")
    again = compile_each_way(source, [sys.executable, source], [program, "compile"])
    assert again.path.read_bytes() == compiled.path.read_bytes()


def test_the_steps_follow_each_other(compiled: Compiled) -> None:
    """Test takes the model of train, the confusion matrix the labels of test."""
    assert compiled.edges == {("train", "model", "test"), ("test", "labels", "confusion-matrix")}
    assert {name: task.spec.get("dependentTasks", []) for name, task in compiled.tasks.items()} == {
        "train": [],
        "test": ["train"],
        "confusion-matrix": ["test"],
    }


def test_the_parameters_and_their_defaults_are_the_settings(compiled: Compiled, spec: dict[str, Any]) -> None:
    """The pipeline's inputs have the names and defaults of `Settings`, and a description."""
    inputs = spec["root"]["inputDefinitions"]["parameters"]
    assert compiled.parameters == vars(Settings())
    assert {name: value["parameterType"] for name, value in inputs.items()} == {
        "compile_optimizer": "STRING",
        "epochs": "NUMBER_INTEGER",
        "validation_split": "NUMBER_DOUBLE",
        "seed": "NUMBER_INTEGER",
    }


def test_every_parameter_reaches_the_training(spec: dict[str, Any]) -> None:
    """Each of the pipeline's inputs is the input of that name of the train step, and no other step has parameters."""
    given = {name: task["inputs"].get("parameters", {}) for name, task in spec["root"]["dag"]["tasks"].items()}
    assert given.pop("train") == {name: {"componentInputParameter": name} for name in vars(Settings())}
    assert not any(given.values())


def test_everything_a_step_takes_and_gives_is_described_and_typed(spec: dict[str, Any]) -> None:
    """Each input and output has a description, and each artifact the type by which Kubeflow's UI shows it."""
    types: dict[str, str] = {}
    for component in spec["components"].values():
        for part in ("inputDefinitions", "outputDefinitions"):
            for kind in component.get(part, {}).values():
                assert all(entry["description"] for entry in kind.values())
        types |= {
            name: artifact["artifactType"]["schemaTitle"]
            for name, artifact in component["outputDefinitions"]["artifacts"].items()
        }
    assert types == {
        "model": "system.Model",
        "history": "system.Artifact",
        "loss_plot": "system.Artifact",
        "loss_page": "system.HTML",
        "results": "system.Dataset",
        "labels": "system.Dataset",
        "metrics": "system.Metrics",
        "classification": "system.ClassificationMetrics",
        "matrix": "system.Dataset",
        "matrix_plot": "system.Artifact",
    }
    assert types.keys() - {"classification"} == ARTIFACT_FILES.keys()


def test_each_step_carries_the_code(compiled: Compiled) -> None:
    """Each step's program carries the modules that it imports."""
    for name, task in compiled.tasks.items():
        assert task.code == helpers.compact(bundle.imported_by(pipeline.COMPONENTS[name]))


def test_with_an_image_each_step_asks_for_the_code(image_spec: dict[str, Any]) -> None:
    """A step whose image has the package carries the digest of the code instead of the code."""
    for container in helpers.containers(image_spec).values():
        program = container["command"][-1]
        assert f"bundle.require('{bundle.digest()}', {bundle.STEPS})\n" in program
        assert len(program) < 5_000


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ({"image": ""}, "image: expected a name as in .*, got ''"),
        ({"image": "", "carried": True}, "image: expected a name as in .*, got ''"),
        ({"image": "an image"}, "image: expected a name as in .*, got 'an image'"),
        ({"image": " image"}, "image: expected a name as in .*, got ' image'"),
        ({"image": "image\n"}, r"image: expected a name as in .*, got 'image\\n'"),
        ({"mirror": ""}, "mirror: expected a URL of http or https, got ''"),
        ({"mirror": "ftp://mirror.example"}, "mirror: expected a URL of http or https, got 'ftp://mirror.example'"),
        ({"mirror": "https://"}, "mirror: expected a URL of http or https, got 'https://'. Is a variable empty?"),
        ({"mirror": "not a url"}, "mirror: expected a URL of http or https, got 'not a url'"),
        ({"mirror": "https://m/a b"}, "mirror: expected a URL of http or https, got 'https://m/a b'"),
        ({"mirror": " https://m"}, "mirror: expected a URL of http or https, got ' https://m'"),
        ({"mirror": "https://m\n"}, r"mirror: expected a URL of http or https, got 'https://m\\n'"),
        ({"mirror": "HTTPS://m"}, "mirror: expected a URL of http or https, got 'HTTPS://m'"),
    ],
)
def test_where_it_cannot_run_is_refused(where: dict[str, Any], said: str) -> None:
    """An empty variable in a CI script, say, is an error here, and not only on the cluster."""
    with pytest.raises(ContractError, match=said):
        Where(**where)


@pytest.mark.parametrize(
    "mirror",
    [
        *("https://me:word@mirror.example", "ftp://me:word@mirror.example", "https://h/a?key=b", "https://h/a#b"),
        *("https://h/a?", "https://h/a#", "https://h/a@b", "https://h/a-token-of-this-environment"),
    ],
)
def test_a_secret_is_not_compiled_in(mirror: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever may be one: it is not shown, and the message says where it belongs."""
    monkeypatch.setenv("FMNIST_KFP_TOKEN", "a-token-of-this-environment")
    with pytest.raises(ContractError) as caught:
        Where(mirror=mirror)
    assert str(caught.value) == (
        "mirror: expected a URL without user, password, ? and #, as everybody can read a compiled pipeline, got one "
        "with (not shown). Let the steps' pods get FMNIST_MIRROR from a Secret of Kubernetes, for example with "
        "kfp-kubernetes' use_secret_as_env."
    )


@pytest.mark.parametrize(("given", "kind"), [(3, "an int"), (0, "an int"), (False, "a bool"), (b"", "a bytes")])
@pytest.mark.parametrize("name", ["image", "mirror"])
def test_a_place_is_a_text(name: str, given: object, kind: str) -> None:
    """It is named where it is none, as well where Python takes it for nothing."""
    with pytest.raises(ContractError) as caught:
        Where(**{name: given})  # type: ignore[arg-type]
    assert str(caught.value) == f"{name}: expected a text, got {kind}."


def test_code_can_be_carried_into_an_image(tmp_path: Path, compiled: Compiled) -> None:
    """Where one has the packages, and perhaps other code; without being asked for the steps use its own."""
    carrying, using = (
        Compiled(pipeline.compile_pipeline(tmp_path / f"{carried}.yaml", Where("an-image", carried=carried))).tasks
        for carried in (True, False)
    )
    assert {name: task.code for name, task in carrying.items()} == {n: task.code for n, task in compiled.tasks.items()}
    assert not any(task.code for task in using.values())
    assert not any(task.installation for task in (*carrying.values(), *using.values()))


def test_a_file_that_kfp_could_not_load_is_not_written(tmp_path: Path) -> None:
    """Kfp knows a pipeline by its file's ending."""
    with pytest.raises(ContractError, match=r"expected a name that ends in \.yaml, got .*pipeline\.txt"):
        pipeline.compile_pipeline(tmp_path / "pipeline.txt")


def test_each_step_can_start(compiled: Compiled) -> None:
    """Linux takes each argument of a step's command, and a step installs packages of one version."""
    compiled.check()


def test_a_run_is_small_enough_for_a_cluster(spec: dict[str, Any], image_spec: dict[str, Any]) -> None:
    """Argo keeps a run in one object of 1 MiB at most: four fifths with the code, a sixth with an image."""
    assert len(argo.workflow(spec)) < 0.8 * argo.LIMIT
    assert len(argo.workflow(image_spec)) < argo.LIMIT / 6


def test_a_step_installs_what_the_lock_says(spec: dict[str, Any]) -> None:
    """On a plain Python image each step installs the pinned packages that it needs, at the versions of the lock."""
    lock = {line.split()[0] for line in (ROOT / "requirements.lock").read_text().splitlines() if "==" in line}
    for name, container in helpers.containers(spec).items():
        assert container["image"] == components.BASE_IMAGE
        install = container["command"][2]
        quoted = {part for part in install.split("'") if "==" in part}
        assert quoted <= lock
        assert quoted == {*pins(pipeline.COMPONENTS[name]), next(pin for pin in lock if pin.startswith("kfp=="))}


def test_an_image_with_everything_installs_nothing(spec: dict[str, Any], image_spec: dict[str, Any]) -> None:
    """With an image the same code runs in it, and pip is never called."""
    for name, container in helpers.containers(image_spec).items():
        assert container["image"] == "registry.example/fmnist:1"
        assert not any("pip" in part for part in container["command"][:-1])
        plain = helpers.containers(spec)[name]
        assert container["command"][:-1] == plain["command"][3:-1]
        assert container["args"] == plain["args"]


def test_an_image_changes_nothing_else(spec: dict[str, Any], image_spec: dict[str, Any]) -> None:
    """But for images and commands the two documents are equal."""
    spec, image_spec = copy.deepcopy(spec), copy.deepcopy(image_spec)
    for document in (spec, image_spec):
        for container in helpers.containers(document).values():
            container |= {"image": "", "command": []}
    assert image_spec == spec


def test_resources_are_requested_and_limited(spec: dict[str, Any]) -> None:
    """Each step asks for one core and the memory that was measured, and is held to a limit."""
    resources = {name: container["resources"] for name, container in helpers.containers(spec).items()}
    assert {name: (r["resourceCpuRequest"], r["resourceCpuLimit"]) for name, r in resources.items()} == dict.fromkeys(
        ("train", "test", "confusion-matrix"), ("1", "1")
    )
    assert {name: (r["resourceMemoryRequest"], r["resourceMemoryLimit"]) for name, r in resources.items()} == {
        "train": ("1Gi", "2Gi"),
        "test": ("1Gi", "2Gi"),
        "confusion-matrix": ("512Mi", "2Gi"),
    }


def test_nothing_looks_through_all_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """As kfp's functions for one resource do, which takes seconds in a process that has imported TensorFlow."""
    monkeypatch.setattr(inspect, "stack", lambda *_: pytest.fail("the frames of all callers are looked up"))
    pipeline.make_pipeline()


def test_kfp_loads_the_compiled_file(compiled: Compiled, tmp_path: Path) -> None:
    """The loader of kfp takes the file, and its compiler takes the loaded pipeline as a part of another."""
    from kfp import compiler, dsl
    from kfp import components as kfp_components

    loaded = kfp_components.load_component_from_file(str(compiled.path))
    assert loaded.name == "fashion-mnist"
    assert set(loaded.component_spec.inputs) == set(vars(Settings()))

    @dsl.pipeline(name="outer")  # type: ignore[untyped-decorator]
    def outer() -> None:
        loaded(epochs=2)

    compiler.Compiler().compile(outer, str(tmp_path / "outer.yaml"))
    assert "exec-train" in (tmp_path / "outer.yaml").read_text()


def test_the_document_is_a_pipeline_spec(spec: dict[str, Any]) -> None:
    """Kubeflow's own message type takes the document, with no field that it does not know."""
    from google.protobuf import json_format
    from kfp.pipeline_spec import pipeline_spec_pb2

    message = json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec(), ignore_unknown_fields=False)
    assert json_format.MessageToDict(message) == spec
    with pytest.raises(json_format.ParseError, match="nonsense"):
        json_format.ParseDict(spec | {"nonsense": 1}, pipeline_spec_pb2.PipelineSpec())


def test_caching_is_left_to_the_cluster(spec: dict[str, Any]) -> None:
    """Every step may be cached: its code is in its key, so that a hit is the same code on the same inputs."""
    assert [task["cachingOptions"] for task in spec["root"]["dag"]["tasks"].values()] == [{"enableCache": True}] * 3


def test_without_the_cache_every_step_runs(tmp_path: Path, spec: dict[str, Any]) -> None:
    """Compiled for a check, no step may be taken from the cache, and nothing else differs."""
    path = pipeline.compile_pipeline(tmp_path / "pipeline.yaml", Where(caching=False))
    document, cached = read_spec(path), copy.deepcopy(spec)
    assert [task.pop("cachingOptions") for task in document["root"]["dag"]["tasks"].values()] == [{}] * 3
    for task in cached["root"]["dag"]["tasks"].values():
        del task["cachingOptions"]
    assert document == cached


@pytest.mark.parametrize("address", ["https://mirror.example/fashion", "http://mirror:8080/Fashion/"])
def test_a_mirror_reaches_the_steps(
    tmp_path: Path, spec: dict[str, Any], address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The steps find it in their environment, and without one they have no such variable; they stay as they are."""
    # What a variable of kfp's makes of the environment in which a pipeline is compiled.
    monkeypatch.setattr("kfp.dsl.pipeline_context.Pipeline._execution_caching_default", False)
    mirror = {"name": "FMNIST_MIRROR", "value": address}
    path = pipeline.compile_pipeline(tmp_path / "pipeline.yaml", Where(mirror=mirror["value"]))
    compiled = read_spec(path)
    assert all(mirror in container["env"] for container in helpers.containers(compiled).values())
    assert compiled["root"] == spec["root"]
    assert not any("FMNIST_MIRROR" in str(container.get("env")) for container in helpers.containers(spec).values())


def test_no_step_is_tried_again(spec: dict[str, Any]) -> None:
    """A deterministic step that fails would fail again; the download, which may not, tries again by itself."""
    assert not any("retryPolicy" in task for task in spec["root"]["dag"]["tasks"].values())


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package's sources, which the bundle is made of."""
    copied = shutil.copytree(bundle.PACKAGE, tmp_path / "fmnist", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(bundle, "PACKAGE", copied)
    return copied


def commands(folder: Path) -> dict[str, list[str]]:
    """Return what each step runs, which is what Kubeflow's cache knows a step by, besides its inputs."""
    document = read_spec(pipeline.compile_pipeline(folder / "keys.yaml", Where("image")))
    return {name: container["command"] for name, container in helpers.containers(document).items()}


def test_a_changed_line_misses_the_cache(package: Path, tmp_path: Path) -> None:
    """Equal code is an equal key, whatever the time; a line of a step's code is another key, and no other line is."""
    keys = [commands(tmp_path)]
    for file in ("report/page.py", "cli/fmnist.py", "steps/training.py", "steps/errors.py"):
        source = package / file
        source.write_text(source.read_text() + "# changed\n")
        (package / "steps" / "labels.py").touch()
        keys.append(commands(tmp_path))
    assert keys[0] == keys[1] == keys[2]
    assert keys[2] != keys[3] != keys[4] != keys[2]


@pytest.mark.parametrize("name", pipeline.COMPONENTS)
def test_a_component_is_a_file_of_its_own(tmp_path: Path, name: str) -> None:
    """Each component is compiled by itself, under its name, with its code, for pipelines of others."""
    from kfp import components as kfp_components

    path = pipeline.compile_component(name, tmp_path / "component.yaml")
    loaded = kfp_components.load_component_from_file(str(path))
    assert loaded.name == name
    [task] = Compiled(path).tasks.values()
    assert task.code == helpers.compact(bundle.imported_by(pipeline.COMPONENTS[name]))
    # Of where it is to run only the image counts.
    [task] = Compiled(pipeline.compile_component(name, path, Where("an-image", carried=True))).tasks.values()
    assert (task.container["image"], task.code) == ("an-image", {})


@pytest.mark.parametrize(
    ("name", "near"), [("trains", "train"), ("confusion_matrix", "confusion-matrix"), ("Train", "train")]
)
def test_a_component_that_is_none_is_refused(tmp_path: Path, name: str, near: str) -> None:
    """The message has the names that there are, and the file stays as it is."""
    with pytest.raises(ContractError) as caught:
        pipeline.compile_component(name, tmp_path / "component.yaml")
    assert str(caught.value) == (
        f"component: expected train, test, confusion-matrix, got {name!r}. Did you mean {near!r}?"
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", pipeline.COMPONENTS)
def test_the_code_of_a_step_runs_alone(compiled: Compiled, tmp_path: Path, name: str) -> None:
    """Unpacked into an empty folder, the step code is imported from there and needs nothing else of the package."""
    files = compiled.tasks[name].code
    for file, content in files.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(content)
    out = helpers.python(
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "import pkgutil, importlib, fmnist\n"
        "names = [m.name for m in pkgutil.walk_packages(fmnist.__path__, 'fmnist.')]\n"
        "modules = [importlib.import_module(name) for name in names]\n"
        "print(len(modules), {m.__file__.split('/fmnist/')[0] for m in modules})"
    )
    count, folders = out.split(maxsplit=1)
    assert int(count) == len(files) - 1
    assert folders.strip() == str({str(tmp_path)})
