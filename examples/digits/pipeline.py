"""A pipeline of its own: train and test a network on scikit-learn's digits, with fmnist's confusion matrix."""

from kfp import dsl
from kfp.dsl import HTML, Artifact, Dataset, Input, Metrics, Model, Output

from fmnist.kubeflow.code import FMNIST, Code
from fmnist.kubeflow.components import as_component, compile_to, confusion_matrix  # noqa: F401


def train(
    epochs: int,
    seed: int,
    model: Output[Model],
    history: Output[Artifact],
    loss_plot: Output[Artifact],
    loss_page: Output[HTML],
) -> None:
    """Train the network."""
    import digits  # type: ignore[import-not-found]

    from fmnist.steps import files, settings, training

    chosen = settings.Settings(digits.OPTIMIZER, epochs, validation_split=0.1, seed=seed)
    paths = {"model": model.path, "history": history.path, "loss_plot": loss_plot.path, "loss_page": loss_page.path}
    files.write_artifacts(training.train(chosen, digits.load("train"), create=digits.create), **paths)


def test(model: Input[Model], results: Output[Dataset], labels: Output[Dataset], metrics: Output[Metrics]) -> None:
    """Let the trained network read the other digits."""
    import digits

    from fmnist.steps import evaluation, files
    from fmnist.steps.model import read

    result = evaluation.test(read(model.path, (8, 8, 1)), digits.load("test"))
    files.write_artifacts(result, results=results.path, labels=labels.path, metrics=metrics.path)
    metrics.log_metric("accuracy", result.accuracy)


CODE = [FMNIST, Code("digits")]
train_digits, test_digits = as_component(train, code=CODE), as_component(test, code=CODE)
count_digits = as_component(confusion_matrix)


@dsl.pipeline(name="digits")  # type: ignore[untyped-decorator]
def read_digits(epochs: int = 10, seed: int = 0) -> None:
    """Read scikit-learn's digits."""
    trained = train_digits(epochs=epochs, seed=seed)
    count_digits(labels=test_digits(model=trained.outputs["model"]).outputs["labels"])
