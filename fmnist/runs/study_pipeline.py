"""The study as a pipeline, for those who outgrow one machine: a train and a test step for each seed, then a verdict.

The steps of a seed are the pipeline's own components.
"""

from pathlib import Path
from typing import Any, List  # noqa: UP035 - kfp knows lists of artifacts by typing's name

from kfp import dsl
from kfp.dsl import HTML, Artifact, Dataset, Input, Metrics, Model, Output

from fmnist.kubeflow import bundle, components
from fmnist.pipeline import ANYWHERE, Where
from fmnist.steps.settings import Settings

__all__ = ["FILE_NAME", "MOST_SEEDS", "PARALLELISM", "compile_pipeline", "fashion_mnist_study", "make_pipeline"]

FILE_NAME = "fashion_mnist_study_pipeline.yaml"

#: How many seeds a cluster trains at the same time, at most.
PARALLELISM = 20

#: The verdict step gets the list of all seeds' files as one argument of a program, which Linux limits to 128 KiB.
MOST_SEEDS = 200


def seeds(first_seed: int, count: int, most: int) -> List[int]:  # noqa: UP006 - as above
    """List the seeds of a study.

    Args:
        first_seed: The first of them.
        count: How many, consecutive.
        most: How many there may be.
    """
    if not 1 <= count <= most:
        raise ValueError(f"count: expected 1 to {most} seeds, got {count}. Divide a larger study into several.")
    return list(range(first_seed, first_seed + count))


def result(  # noqa: PLR0913, PLR0917 - the inputs and outputs of the step
    seed: int,
    model: Input[Model],
    history: Input[Artifact],
    results: Input[Dataset],
    labels: Input[Dataset],
    metrics: Input[Metrics],
    summary: Output[Dataset],
) -> None:
    """Put together what a study needs of one seed.

    Args:
        seed: The seed.
        model: The trained network.
        history: Its loss and accuracy by epoch.
        results: Its prediction for each image.
        labels: Its labels folder.
        metrics: Its accuracy and loss.

    Returns:
        summary: Digest of the model, accuracy, loss, history, confusion matrix and mistakes, as JSON.
    """
    from pathlib import Path

    from fmnist.runs.folder import read_result
    from fmnist.steps.files import write

    artifacts = {"model": model, "history": history, "results": results, "labels": labels, "metrics": metrics}
    found = read_result(seed, {name: Path(artifact.path) for name, artifact in artifacts.items()})
    write(summary.path, found.to_json())


@components.described
def verdict(  # noqa: PLR0913, PLR0917 - the inputs and outputs of the step
    compile_optimizer: str,
    epochs: int,
    validation_split: float,
    first_seed: int,
    summaries: Input[List[Dataset]],  # noqa: UP006 - as above
    report: Output[HTML],
    distribution: Output[Artifact],
    accuracies: Output[Dataset],
    verdicts: Output[Artifact],
    metrics: Output[Metrics],
) -> None:
    """Say of many seeds whether the published accuracies replicate.

    Args:
        first_seed: The first seed.
        summaries: What each seed gave.

    Returns:
        report: A page with the verdict, pictures, and how to check it.
        distribution: The accuracies as dots, the published ones among them, a PNG.
        accuracies: One row a seed: seed, accuracy, loss, model; a CSV.
        verdicts: What the seeds say of each published accuracy, as JSON.
        metrics: The number of seeds, their mean accuracy and its standard deviation, and each verdict's p.
    """
    import shutil
    import tempfile
    from pathlib import Path

    from fmnist.replication.results import Result, Sample
    from fmnist.report.page import FILE_NAME
    from fmnist.runs import findings
    from fmnist.runs.provenance import stopwatch
    from fmnist.steps.settings import Settings

    stop, settings = stopwatch(), Settings(compile_optimizer, epochs, validation_split, first_seed)
    results = [Result.from_json(Path(summary.path).read_bytes()) for summary in summaries]
    plan = findings.plan(settings, range(first_seed, first_seed + len(results)))
    # The record is of this step, which trains nothing.
    sample = Sample.of_study(plan, results, stop() | {"jobs": 1, "trained": 0})
    with tempfile.TemporaryDirectory() as folder:
        findings.write_findings(sample, Path(folder))
        for file, artifact in (
            (FILE_NAME, report),
            ("distribution.png", distribution),
            (findings.ACCURACIES, accuracies),
            (findings.VERDICT, verdicts),
        ):
            shutil.copy(Path(folder, file), artifact.path)
    metrics.log_metric("seeds", len(results))
    metrics.log_metric("mean", sample.mean)
    if len(results) > 1:
        metrics.log_metric("deviation", sample.deviation)
    for one in sample.conclusions:
        metrics.log_metric(f"p of equivalence, {one.figure.name}", one.verdict.p_equivalence)


def make_pipeline(where: Where = ANYWHERE) -> Any:
    """Return the pipeline."""
    listed = components.as_plain_component(seeds, where.image)
    train, test = (components.as_component(function, where.image) for function in (components.train, components.test))
    sum_up, judge = (components.as_component(step, where.image, bundle.REPLICATION) for step in (result, verdict))

    @dsl.pipeline(name="fashion-mnist-study")  # type: ignore[untyped-decorator]
    @components.described
    def fashion_mnist_study(
        compile_optimizer: str = Settings.compile_optimizer,
        epochs: int = Settings.epochs,
        validation_split: float = Settings.validation_split,
        first_seed: int = 1000,
        count: int = 60,
    ) -> None:
        """Study whether the accuracy of TensorFlow's tutorial "Basic classification" replicates.

        Args:
            first_seed: The first seed; choose seeds that were not looked at before.
            count: How many seeds, consecutive; 1 to 200.
        """
        parameters = {"compile_optimizer": compile_optimizer, "epochs": epochs, "validation_split": validation_split}
        of_study = where.configure(listed(first_seed=first_seed, count=count, most=MOST_SEEDS), "256Mi")
        with dsl.ParallelFor(items=of_study.output, parallelism=PARALLELISM) as seed:
            trained = where.configure(train(**parameters, seed=seed), "1Gi")
            tested = where.configure(test(model=trained.outputs["model"]), "1Gi")
            artifacts = {name: trained.outputs[name] for name in ("model", "history")}
            artifacts |= {name: tested.outputs[name] for name in ("results", "labels", "metrics")}
            summed_up = where.configure(sum_up(seed=seed, **artifacts), "512Mi")
        summaries = dsl.Collected(summed_up.outputs["summary"])
        where.configure(judge(**parameters, first_seed=first_seed, summaries=summaries), "1Gi")

    return fashion_mnist_study


#: The pipeline, as kfp finds it in this file.
fashion_mnist_study = make_pipeline()


def compile_pipeline(path: str | Path = FILE_NAME, where: Where = ANYWHERE) -> Path:
    """Compile the pipeline into `path` and return the path, as `fmnist.pipeline.compile_pipeline` does."""
    return components.compile_to(make_pipeline(where), path)
