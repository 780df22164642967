"""The pipeline: train, then test, then the confusion matrix.

Compile it into the current folder with any of these, to the same bytes:

    python3 fmnist/pipeline.py
    fmnist compile
    kfp dsl compile --py fmnist/pipeline.py --output fashion_mnist_pipeline.yaml
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kfp import dsl
from kfp.dsl.structures import ResourceSpec

from fmnist.kubeflow import components
from fmnist.kubeflow.installing import not_here
from fmnist.steps.checks import check_kind
from fmnist.steps.errors import ContractError
from fmnist.steps.messages import did_you_mean
from fmnist.steps.redaction import without_secrets
from fmnist.steps.settings import Settings

__all__ = [
    "ANYWHERE",
    "COMPONENTS",
    "FILE_NAME",
    "Where",
    "compile_component",
    "compile_pipeline",
    "fashion_mnist",
    "make_pipeline",
]

#: The name of the compiled pipeline.
FILE_NAME = "fashion_mnist_pipeline.yaml"

#: The components, by their names on a cluster.
COMPONENTS: Mapping[str, Callable[..., None]] = {
    function.__name__.replace("_", "-"): function
    for function in (components.train, components.test, components.confusion_matrix)
}


@dataclass(frozen=True)
class Where:
    """Where a pipeline is to run; this changes no result.

    Attributes
    ----------
    image : str or None
        An image with this code and all pinned requirements. Without one each step carries its code, and installs the
        requirements into a plain Python image.
    caching : bool
        Whether Kubeflow may take a step's results from an earlier run of the same code on the same inputs.
    mirror : str or None
        URL of a web folder with the dataset; the steps then ask no public one.
    carried : bool
        Whether each step carries its code though there is an image; without one it always does.

    Raises
    ------
    ContractError
        If image or mirror cannot be one.
    """

    image: str | None = None
    caching: bool = True
    mirror: str | None = None
    carried: bool = False

    def __post_init__(self) -> None:
        components.check_image(self.image)
        check_kind("mirror", self.mirror, str | None, "a text")
        if self.mirror is not None and (re.search("[@?#]", self.mirror) or without_secrets(self.mirror) != self.mirror):
            raise ContractError(
                "mirror: expected a URL without user, password, ? and #, as everybody can read a compiled pipeline, "
                "got one with (not shown). Let the steps' pods get FMNIST_MIRROR from a Secret of Kubernetes, for "
                "example with kfp-kubernetes' use_secret_as_env."
            )
        if self.mirror is not None and not re.fullmatch(r"https?://\S+", self.mirror):
            raise ContractError(f"mirror: expected a URL of http or https, got {self.mirror!r}. Is a variable empty?")

    def configure(self, task: Any, memory: str) -> Any:
        """Give a task one core, `memory` and these settings, and return it."""
        # At once: each of kfp's functions for one looks through all modules, seconds where TensorFlow is imported.
        task.container_spec.resources = ResourceSpec(
            cpu_request="1", cpu_limit="1", memory_request=memory, memory_limit="2Gi"
        )
        # Said either way, as kfp's default follows a variable of the environment.
        task.set_caching_options(enable_caching=self.caching)
        if self.mirror:
            task.set_env_variable("FMNIST_MIRROR", self.mirror)
        return task


#: A plain Python image, on a cluster that caches and reaches the internet.
ANYWHERE = Where()


def make_pipeline(where: Where = ANYWHERE) -> Any:
    """Return the pipeline."""
    train, test, confusion_matrix = (
        components.as_component(function, where.image, carried=where.carried) for function in COMPONENTS.values()
    )

    @dsl.pipeline(name="fashion-mnist")  # type: ignore[untyped-decorator]
    @components.described
    def fashion_mnist(
        compile_optimizer: str = Settings.compile_optimizer,
        epochs: int = Settings.epochs,
        validation_split: float = Settings.validation_split,
        seed: int = Settings.seed,
    ) -> None:
        """TensorFlow's tutorial "Basic classification" as seeded, deterministic steps."""
        # Measured peaks: train 0.89 GiB, test 0.77, confusion matrix 0.17; each on one core. pip needs some more.
        trained = where.configure(
            train(compile_optimizer=compile_optimizer, epochs=epochs, validation_split=validation_split, seed=seed),
            "1Gi",
        )
        tested = where.configure(test(model=trained.outputs["model"]), "1Gi")
        where.configure(confusion_matrix(labels=tested.outputs["labels"]), "512Mi")

    return not_here(fashion_mnist)


#: The pipeline, as kfp finds it in this file.
fashion_mnist = make_pipeline()


def compile_pipeline(path: str | Path = FILE_NAME, where: Where = ANYWHERE) -> Path:
    """Compile the pipeline into `path`, to the same bytes for equal code, and return the path.

    Raises
    ------
    ContractError
        If `path` does not end in ``.yaml``.
    """
    return components.compile_to(fashion_mnist if where == ANYWHERE else make_pipeline(where), path)


def compile_component(name: str, path: str | Path, where: Where = ANYWHERE) -> Path:
    """Compile one of `COMPONENTS`, for use in any pipeline, into `path` and return the path; only the image counts.

    Raises
    ------
    ContractError
        If there is none of this name, or `path` does not end in ``.yaml``.
    """
    if name not in COMPONENTS:
        hint = did_you_mean(name, COMPONENTS)
        raise ContractError(f"component: expected {', '.join(COMPONENTS)}, got {name!r}.{hint}")
    return components.compile_to(components.as_component(COMPONENTS[name], where.image), path)


if __name__ == "__main__":
    print(compile_pipeline())  # noqa: T201 - the result
