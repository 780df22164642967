"""Contracts of the components: what each declares, it takes and gives, as kfp calls it."""

import gzip
import json
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import kfp
import numpy as np
import pytest
from kfp import dsl

from fmnist import testing
from fmnist.kubeflow import components
from fmnist.steps import confusion, dataset, determinism, evaluation, fonts, training
from fmnist.steps.dataset import Split
from fmnist.steps.errors import ContractError
from fmnist.steps.labels import Labels
from fmnist.steps.settings import Settings

Run = Callable[..., testing.Ran]


@pytest.fixture
def few_data(monkeypatch: pytest.MonkeyPatch, few: Split) -> dict[str, Split]:
    """Let the components see a few images of the real dataset, some for training and others for testing."""
    halves = {"train": Split(few.images[:500], few.labels[:500]), "test": Split(few.images[500:], few.labels[500:])}
    monkeypatch.setattr(dataset, "load", halves.__getitem__)
    return halves


@pytest.fixture
def old_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU on which the bits of other machines are not promised; TensorFlow runs there already."""
    determinism.tensorflow()
    found = {"architecture": "x86_64", "model": "An old CPU", "avx2": False, "avx512f": False, "fma": False}
    monkeypatch.setattr(determinism, "cpu", lambda: found)


def assert_the_cpu_is_told(metadata: dict[str, Any]) -> None:
    """Assert that an artifact names the CPU that made it, and what is not promised there."""
    __tracebackhide__ = True
    assert metadata.keys() == {"cpu", "caveat"}
    assert metadata["cpu"] == "An old CPU"
    assert metadata["caveat"].startswith("CPU: expected x86_64 with AVX2 and FMA, got x86_64 (An old CPU) without")


@pytest.mark.usefixtures("old_cpu")
def test_train_gives_what_the_function_gives(run_component: Run, few_data: dict[str, Split]) -> None:
    """The component writes model, history and both loss plots, byte for byte those of the train function."""
    ran = run_component(components.train, compile_optimizer="adam", epochs=1, validation_split=0.1, seed=3)
    assert ran.files == training.train(Settings("adam", 1, 0.1, 3), few_data["train"]).artifacts()
    assert_the_cpu_is_told(ran["model"].metadata)


@pytest.mark.usefixtures("old_cpu")
def test_test_gives_what_the_function_gives(
    run_component: Run,
    few_data: dict[str, Split],
    trained: training.Training,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The component writes results, labels and metrics, and logs accuracy and loss."""
    expected = evaluation.test(trained.model, few_data["test"])
    model = trained.artifacts()["model"]
    ran = run_component(components.test, model=model)
    labels = {f"labels/{name}": content for name, content in expected.labels.files().items()}
    metrics = ran["metrics"].metadata
    assert ran.files == {"results": expected.artifacts()["results"], **labels, "metrics": ran.files["metrics"]}
    assert metrics == {"accuracy": expected.accuracy, "loss": expected.loss}
    assert json.loads(ran.files["metrics"]) == metrics
    assert_the_cpu_is_told(ran["results"].metadata)
    # As servers after 2.17 have them.
    without_file = dsl.Metrics(name="metrics", uri="")
    given = testing.artifact(dsl.Model, tmp_path / "model", model)
    written = {name: testing.artifact(dsl.Dataset, tmp_path / name) for name in ("results", "labels")}
    monkeypatch.setattr(determinism, "caveat", lambda: None)
    components.test(model=given, **written, metrics=without_file)
    assert without_file.metadata == metrics
    assert written["results"].metadata == {"cpu": "An old CPU", "caveat": "none"}


@pytest.mark.filterwarnings("ignore:Glyph .* missing from font")
@pytest.mark.parametrize("classes", [2, 11])
def test_confusion_matrix_gives_what_the_function_gives(run_component: Run, classes: int) -> None:
    """For labels of any pipeline the component writes the matrix and its picture, and logs true labels as rows."""
    rng = np.random.default_rng(0)
    names = tuple(f"класс {i}, 類" for i in range(classes))
    labels = Labels(rng.integers(0, classes, 100), rng.integers(0, classes, 100), names)
    ran = run_component(components.confusion_matrix, labels=labels.files())
    _, missing = fonts.families("類")
    assert ("Glyph 類 missing" in ran["matrix_plot"].metadata.get("caveat", "")) is bool(missing)
    expected = confusion.confusion_matrix(labels)
    assert ran.files == expected.artifacts()
    assert ran["classification"].metadata["confusionMatrix"] == {
        "annotationSpecs": [{"displayName": name} for name in names],
        "rows": [{"row": row} for row in expected.counts.tolist()],
    }


def test_a_missing_model_writes_nothing(tmp_path: Path) -> None:
    """Without a model the test component fails before it writes anything."""
    outputs = [testing.artifact(kind, tmp_path / "out") for kind in (dsl.Dataset, dsl.Dataset, dsl.Metrics)]
    with pytest.raises(ContractError, match="model: expected a .keras file at"):
        components.test(testing.artifact(dsl.Model, tmp_path / "model"), *outputs)
    assert list(tmp_path.iterdir()) == []


def test_a_link_is_replaced_not_written_through(tmp_path: Path) -> None:
    """Where a link has the name of the compiled file, what it points to stays as it was."""
    (tmp_path / "theirs.yaml").write_text("years of work")
    (tmp_path / "p.yaml").symlink_to("theirs.yaml")
    components.compile_to(components.as_component(components.confusion_matrix, "an-image"), tmp_path / "p.yaml")
    assert (tmp_path / "theirs.yaml").read_text() == "years of work"
    assert "an-image" in (tmp_path / "p.yaml").read_text()


@pytest.mark.parametrize(
    ("image", "got"),
    [
        ("", "a name as in registry.example/fmnist:1, got ''. Is a variable empty?"),
        ("an image", "a name as in registry.example/fmnist:1, got 'an image'. Is a variable empty?"),
        *(
            (
                name,
                f"a name as in registry.example/fmnist:1, got '{name}', of which Kubernetes makes no pod. Write lower "
                "case after the host, and all 64 digits of a digest after @sha256:.",
            )
            for name in (
                "Host/Fmnist:1",
                "host/fmnist@sha256:...",
                "host/fmnist@sha256:0a0a0a0a0a0a",
                "https://host/fmnist",
                "host//fmnist",
                "host/fmnist:",
            )
        ),
        (7, "a text, got an int."),
    ],
)
def test_an_image_without_a_name_is_refused(image: Any, got: str) -> None:
    """As by the pipeline: in the plain image, which kfp would take, the code would be missing."""
    with pytest.raises(ContractError) as caught:
        components.as_component(components.confusion_matrix, image)
    assert str(caught.value) == f"image: expected {got}"


@pytest.mark.parametrize(
    "image",
    ["fmnist", "Host/a/b_c-d:V1", "localhost:5000/a.b__c", "[::1]:5000/a", f"host/a:1@sha256:{'0a' * 32}", "a--b:_1"],
)
def test_an_image_may_have_any_name_that_kubernetes_takes(image: str) -> None:
    """Hosts with a port or of any case, folders, tags and whole digests."""
    components.check_image(image)


def test_another_release_of_kfp_compiles_to_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiled file of a run does not follow the release of kfp that is installed."""
    component = components.as_component(components.confusion_matrix, "an-image")
    for release in ("2.17.0", "2.99.9"):
        monkeypatch.setattr(kfp, "__version__", release)
        components.compile_to(component, tmp_path / f"{release}.yaml")
    one, other = sorted(tmp_path.iterdir())
    assert one.read_bytes() == other.read_bytes()
    assert "sdkVersion: kfp-2.17.0" in one.read_text().splitlines()


def test_a_clock_before_1970_changes_no_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No gzip holds such a time, and kfp writes one, which is not kept."""
    clock = gzip.time  # type: ignore[attr-defined]
    for name, seconds in (("now", time.time()), ("early", -1.0)):
        monkeypatch.setattr(time, "time", lambda seconds=seconds: seconds)
        components.compile_to(components.as_component(components.confusion_matrix), tmp_path / f"{name}.yaml")
    assert Path(tmp_path, "early.yaml").read_bytes() == Path(tmp_path, "now.yaml").read_bytes()
    assert gzip.time is clock  # type: ignore[attr-defined]


def test_a_description_may_name_a_release_of_kfp(tmp_path: Path) -> None:
    """Only the file's own line says which one compiled it."""

    def noted(name: str) -> None:
        """sdkVersion: kfp-1.2.3"""  # noqa: D400 - it is like that line

    path = components.compile_to(components.as_component(noted, "an-image", []), tmp_path / "p.yaml")
    assert "sdkVersion: kfp-1.2.3" in path.read_text()


@pytest.mark.parametrize("name", ["pipelineyaml", "p.yaml.txt", "yaml", ".yaml", "p.yml", "p.YAML"])
def test_a_name_that_only_looks_like_yaml_is_refused(tmp_path: Path, name: str) -> None:
    """Kfp knows a compiled file by its ending."""
    with pytest.raises(ContractError, match="compiled file: expected a name that ends in .yaml, got "):
        components.compile_to(components.as_component(components.confusion_matrix, "an-image"), tmp_path / name)


def test_a_description_is_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `Settings` says of a parameter comes before what its own docstring says; a parameter of neither has none."""

    def whole(seed: int, data: str) -> None: ...

    def bare(seed: int, data: str) -> None: ...

    text, data, returned = "Do it.", "\n    data: Where it is.", "\n\nReturns:\n    nothing: None."
    whole.__doc__ = f"{text}\n\nArgs:{data}{returned}"
    monkeypatch.setattr(Settings, "descriptions", lambda: {"epochs": "How often.", "seed": "A number."})
    args = "Args:\n    seed: A number."
    assert components.described(whole).__doc__ == f"{text}\n\n{args}{data}{returned}"
    assert components.described(bare).__doc__ == f"\n\n{args}"


def test_a_python_without_docstrings_describes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused: under -OO, but not under -O, which keeps them."""
    for level, refused in ((0, False), (1, False), (2, True)):
        monkeypatch.setattr(components, "sys", SimpleNamespace(flags=SimpleNamespace(optimize=level)))
        with pytest.raises(ContractError, match="^Python: expected docstrings, ") if refused else nullcontext():
            components.described(lambda: None)
