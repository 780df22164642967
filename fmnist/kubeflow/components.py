"""The three components: each takes paths, calls a step, and writes its artifacts.

kfp copies a component's source text into the compiled pipeline, so each imports what it needs in its body.
"""

import gzip
import re
import sys
import tempfile
import textwrap
from collections.abc import Callable, Mapping, Sequence
from inspect import getdoc, getsource, signature
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from kfp import compiler, dsl
from kfp.dsl import HTML, Artifact, ClassificationMetrics, Dataset, Input, Metrics, Model, Output

from fmnist.kubeflow import bundle
from fmnist.kubeflow.code import FMNIST, Code
from fmnist.kubeflow.environment import NO_DOCSTRINGS
from fmnist.kubeflow.installing import not_here
from fmnist.kubeflow.needs import carried_by, check_length, installed_by, needed
from fmnist.kubeflow.signature import check_function
from fmnist.kubeflow.undefined import sentence, undefined
from fmnist.steps.checks import check_kind
from fmnist.steps.errors import ContractError
from fmnist.steps.files import default, write
from fmnist.steps.settings import Settings

__all__ = [
    "BASE_IMAGE",
    "as_component",
    "check_image",
    "compile_to",
    "confusion_matrix",
    "test",
    "train",
]

#: What `gzip` takes for the clock while kfp embeds a folder, as a machine may have a time that it cannot hold.
_CLOCK = SimpleNamespace(time=int)

#: The image of each step, where none is given.
BASE_IMAGE = "python:3.11.13-slim-bookworm"

#: The name of an image: a host, which may have upper case, folders and a name, a tag, and a digest.
_IMAGE = re.compile(
    r"(?:(?:[\w.-]+|\[[\da-f:]+\])(?::\d+)?/)?(?:[a-z\d]+(?:[._-]+[a-z\d]+)*/)*[a-z\d]+(?:[._-]+[a-z\d]+)*"
    r"(?::\w[\w.-]{0,127})?(?:@sha256:[\da-f]{64}|@sha512:[\da-f]{128})?",
    re.ASCII,
)

#: The release that a compiled file names: the oldest one allowed here, as no other compiles to anything else.
SDK_VERSION = b"sdkVersion: kfp-2.17.0"


#: What is in the package itself: rooms and modules.
_MODULES = {path.name for path in bundle.PACKAGE.iterdir()}


def described(function: Callable[..., Any]) -> Callable[..., Any]:
    """Complete the docstring of a component or a pipeline, which kfp reads, with what `Settings` says of parameters."""
    if sys.flags.optimize > 1:
        raise ContractError(NO_DOCSTRINGS)
    known, taken = Settings.descriptions(), signature(function).parameters
    args = "".join(f"\n    {name}: {known[name]}" for name in taken if name in known)
    # kfp finds them before the section of what is returned only.
    text, *returned = (getdoc(function) or "").partition("\n\nReturns:")
    text, _, others = text.partition("\n\nArgs:")
    function.__doc__ = "".join([f"{text}\n\nArgs:{args}{others}", *returned])
    return function


@described
def train(  # noqa: PLR0913, PLR0917 - the inputs and outputs of the step
    compile_optimizer: str,
    epochs: int,
    validation_split: float,
    seed: int,
    model: Output[Model],
    history: Output[Artifact],
    loss_plot: Output[Artifact],
    loss_page: Output[HTML],
) -> None:
    """Train the tutorial's network on Fashion-MNIST.

    Returns:
        model: The trained network, a .keras file.
        history: Loss and accuracy of each epoch, for training and validation, as JSON.
        loss_plot: Loss and accuracy by epoch, a PNG.
        loss_page: Loss and accuracy by epoch, a self-contained page.
    """
    import os

    from fmnist.steps import dataset, determinism, files, garbage, settings, training

    garbage.stop_at_exit()
    determinism.tensorflow()
    result = training.train(
        settings.Settings(compile_optimizer, epochs, validation_split, seed),
        dataset.load("train"),
        checkpoint=os.environ.get("FMNIST_CHECKPOINT"),
    )
    files.write_artifacts(
        result, model=model.path, history=history.path, loss_plot=loss_plot.path, loss_page=loss_page.path
    )
    # Kubeflow shows these beside the artifact.
    model.metadata.update(cpu=str(determinism.cpu()["model"]), caveat=determinism.caveat() or "none")


def test(
    model: Input[Model],
    results: Output[Dataset],
    labels: Output[Dataset],
    metrics: Output[Metrics],
) -> None:
    """Let the trained network classify the 10,000 test images.

    Args:
        model: The trained network, a .keras file.

    Returns:
        results: One row an image: image, prediction, confidence, actual; a CSV.
        labels: A folder of true labels, predicted labels and class names.
        metrics: Accuracy and loss on the test images.
    """
    from fmnist.steps import dataset, determinism, evaluation, files, garbage
    from fmnist.steps.model import read

    garbage.stop_at_exit()
    determinism.tensorflow()
    result = evaluation.test(read(model.path), dataset.load("test"))
    files.write_artifacts(result, results=results.path, labels=labels.path, metrics=metrics.path)
    results.metadata.update(cpu=str(determinism.cpu()["model"]), caveat=determinism.caveat() or "none")
    metrics.log_metric("accuracy", result.accuracy)
    metrics.log_metric("loss", result.loss)


test.__test__ = False  # type: ignore[attr-defined]  # a component, which pytest would take for a test


def confusion_matrix(
    labels: Input[Dataset],
    classification: Output[ClassificationMetrics],
    matrix: Output[Dataset],
    matrix_plot: Output[Artifact],
) -> None:
    """Count predictions by true label (row) and predicted label (column).

    Args:
        labels: A folder of true.txt and predicted.txt, one class number a line, and class_names.txt.

    Returns:
        classification: The confusion matrix, as Kubeflow's UI draws it.
        matrix: The confusion matrix, a CSV.
        matrix_plot: The confusion matrix, a PNG.
    """
    from fmnist.steps import confusion, files, fonts, garbage
    from fmnist.steps.labels import Labels

    garbage.stop_at_exit()
    result = confusion.confusion_matrix(Labels.read(labels.path))
    files.write_artifacts(result, matrix=matrix.path, matrix_plot=matrix_plot.path)
    if missing := fonts.families("".join(result.class_names))[1]:
        matrix_plot.metadata["caveat"] = fonts.caveat(missing)
    classification.log_confusion_matrix(list(result.class_names), result.counts.tolist())


def as_component(
    function: Callable[..., Any],
    image: str | None = None,
    code: Sequence[Code] = (FMNIST,),
    *,
    carried: bool = False,
) -> Any:
    """Return `function` as a component that carries the code it needs, or says which code its image must hold.

    A cluster keeps several copies of each task's command for as long as the run lasts, in an object of 1 MiB at most
    (https://github.com/kubeflow/pipelines/issues/13738): many tasks must not carry code.

    Parameters
    ----------
    function : callable
        Its parameters and docstring describe the component.
    image : str, optional
        An image with this code, fmnist and all requirements. By default `BASE_IMAGE`, where each step installs what
        its code needs.
    code : sequence of Code
        What the step carries, or its image must hold as it is here: `FMNIST`, and code of one's own.
    carried : bool
        Whether it carries its code though it has an image.

    Raises
    ------
    ContractError
        If `function` is no function that kfp runs, `image` or `code` cannot be one, a step on a cluster would miss a
        module, a package or a name that its file has, or its program is too long.
    """
    check_function(function)
    check_image(image)
    expected = "a list of Code, as in [FMNIST, Code('mine')]"
    check_kind("code", code, Sequence, expected)
    for one in code:
        check_kind("code", one, Code, expected)
    carried = carried or image is None
    files = carried_by(function, code) if carried else {}
    _check_names(function, files)
    # kfp embeds an empty folder: in its place comes an archive of `files`.
    with tempfile.TemporaryDirectory() as empty, default(gzip, "time", _CLOCK):
        component = dsl.component(
            function,
            base_image=image or BASE_IMAGE,
            packages_to_install=[] if image else installed_by(function, code),
            install_kfp_package=image is None,
            embedded_artifact_path=empty if carried else None,
        )
    container = component.component_spec.implementation.container
    if names := undefined(container.command[-1]):
        raise ContractError(sentence(component.name, names))
    if carried:
        container.command[-1] = bundle.embed(container.command[-1], files)
        check_length(component.name, container.command[-1], files)
    else:
        for one in reversed(code):
            container.command[-1] = _refer(container.command[-1], one)
    return not_here(component)


def check_image(image: str | None) -> None:
    """Make sure that an image has a name, where one is given.

    Raises
    ------
    ContractError
        If it has none.
    """
    check_kind("image", image, str | None, "a text")
    if image is not None and not re.fullmatch(r"\S+", image):
        raise ContractError(
            f"image: expected a name as in registry.example/fmnist:1, got {image!r}. Is a variable empty?"
        )
    if image is not None and not _IMAGE.fullmatch(image):
        raise ContractError(
            f"image: expected a name as in registry.example/fmnist:1, got {image!r}, of which Kubernetes makes no pod. "
            "Write lower case after the host, and all 64 digits of a digest after @sha256:."
        )


def _check_names(function: Callable[..., Any], files: Mapping[str, bytes]) -> None:
    """Refuse a name that fmnist finds in its modules when it is asked for: a step carries these alone."""
    sources = {f"step {function.__name__}": textwrap.dedent(getsource(function)).encode()} if files else {}
    sources |= {name: one for name, one in files.items() if name.endswith(".py") and not name.startswith("fmnist/")}
    for where, source in sources.items():
        for name, _ in needed(where, source):
            top, _, rest = name.partition(".")
            if top == "fmnist" and rest and not {rest.partition(".")[0], f"{rest}.py"} & _MODULES:
                advice = f"Import {rest} from the module that has it, as in 'from fmnist.steps.training import train'."
                if rest == "__version__":
                    advice = "Give the version to the step as a parameter."
                raise ContractError(
                    f"code: expected imports from modules of fmnist in {where}, got {name}, which a step does not "
                    f"carry. {advice}"
                )


def _refer(source: str, code: Code) -> str:
    """Return a component's `source` with a first statement that requires `code` of its image."""
    if code.package == "fmnist":
        return bundle.refer(source, code.patterns)
    needed = f"Code({code.package!r}, {code.patterns!r}).require({code.digest()!r})"
    return f"from fmnist.kubeflow.code import Code\n\n{needed}\n\n{source}"


def compile_to(compilable: Any, path: str | Path) -> Path:
    """Compile a pipeline or a component into the file `path` and return the path.

    A file that is there is replaced when the new one is whole.

    Raises
    ------
    ContractError
        If `path` does not end in ``.yaml``.
    OSError
        If the file cannot be written.
    """
    if Path(path).suffix != ".yaml":
        raise ContractError(f"compiled file: expected a name that ends in .yaml, got {path}.")
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder, "pipeline.yaml")
        compiler.Compiler().compile(compilable, str(draft))
        write(path, re.sub(rb"^sdkVersion: kfp-\S+$", SDK_VERSION, draft.read_bytes(), flags=re.MULTILINE))
    return Path(path)
