"""A pipeline of its own: train and test a network on scikit-learn's digits, with fmnist's confusion matrix."""

from kfp import dsl
from kfp.dsl import Dataset, Input, Metrics, Model, Output

from fmnist.kubeflow.code import FMNIST, Code
from fmnist.kubeflow.components import as_component, confusion_matrix


def train(epochs: int, seed: int, model: Output[Model]) -> None:
    """Train the network."""
    import digits  # type: ignore[import-not-found]

    from fmnist.steps import files, settings, training

    chosen = settings.Settings(digits.ADAM, epochs, validation_split=0.1, seed=seed)
    trained = training.train(chosen, digits.load("train"), create=digits.create).artifacts()
    files.write(model.path, trained["model"])  # type: ignore[arg-type]


def test(model: Input[Model], results: Output[Dataset], labels: Output[Dataset], metrics: Output[Metrics]) -> None:
    """Let the trained network read the other digits."""
    import digits

    from fmnist.steps import evaluation, files
    from fmnist.steps.model import read

    result = evaluation.test(read(model.path, (8, 8, 1), len(digits.NAMES)), digits.load("test"))
    files.write_artifacts(result, results=results.path, labels=labels.path, metrics=metrics.path)
    metrics.log_metric("accuracy", result.accuracy)


train_digits, test_digits = (as_component(one, code=[FMNIST, Code("digits")]) for one in (train, test))
count_digits = as_component(confusion_matrix)


@dsl.pipeline(name="digits")  # type: ignore[untyped-decorator]
def read_digits(epochs: int = 10, seed: int = 0) -> None:
    """Read scikit-learn's digits."""
    trained = train_digits(epochs=epochs, seed=seed)
    count_digits(labels=test_digits(model=trained.outputs["model"]).outputs["labels"])
