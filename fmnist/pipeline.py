"""The pipeline: train, then test, then the confusion matrix.

Compile it into the current folder with any of these, to the same bytes:

    python3 fmnist/pipeline.py
    fmnist compile
    kfp dsl compile --py fmnist/pipeline.py --output fashion_mnist_pipeline.yaml
"""

from pathlib import Path
from typing import Any

from kfp import compiler, dsl

from fmnist.kubeflow import components

__all__ = ["FILE_NAME", "build", "compile_pipeline", "fashion_mnist"]

FILE_NAME = "fashion_mnist_pipeline.yaml"


def build(image: str | None = None) -> Any:
    """Return the pipeline; with `image`, for an image that has every package installed."""
    train, test, confusion_matrix = (
        components.as_component(function, image)
        for function in (components.train, components.test, components.confusion_matrix)
    )

    @dsl.pipeline(name="fashion-mnist")  # type: ignore[untyped-decorator]
    def fashion_mnist(
        compile_optimizer: str = "adam", epochs: int = 10, validation_split: float = 0.05, seed: int = 0
    ) -> None:
        """TensorFlow's tutorial "Basic classification" as seeded, deterministic steps.

        Args:
            compile_optimizer: Name of a Keras optimizer, or its JSON config {"class_name": ..., "config": {...}}.
            epochs: Passes over the training set, at least 1.
            validation_split: Share of the training set, its last part, that is held out; between 0 and 1, exclusive.
            seed: Decides the initial weights and the order of each epoch; 0 to 2147483647.
        """
        trained = train(
            compile_optimizer=compile_optimizer, epochs=epochs, validation_split=validation_split, seed=seed
        )
        tested = test(model=trained.outputs["model"])
        counted = confusion_matrix(labels=tested.outputs["labels"])
        # Measured peaks: train 0.89 GiB, test 0.77, confusion matrix 0.17; each on one core. pip needs some more.
        for task, memory in ((trained, "1Gi"), (tested, "1Gi"), (counted, "512Mi")):
            task.set_cpu_request("1").set_cpu_limit("1")
            task.set_memory_request(memory).set_memory_limit("2Gi")

    return fashion_mnist


#: The pipeline, as kfp finds it in this file.
fashion_mnist = build()


def compile_pipeline(path: str | Path = FILE_NAME, image: str | None = None) -> Path:
    """Write the compiled pipeline to `path`, byte-identical for equal code, and return the path."""
    compiler.Compiler().compile(build(image) if image else fashion_mnist, str(path))
    return Path(path)


if __name__ == "__main__":
    print(compile_pipeline())  # noqa: T201 - the result
