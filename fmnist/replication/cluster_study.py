"""The study on a cluster: every seed is trained and tested in pods of its own, and a last step says what they show.

Train and test are the components of the pipeline, so a seed gives the bits that it gives everywhere.
"""

from pathlib import Path
from typing import Any

from kfp import dsl
from kfp.dsl import HTML, Artifact, Dataset, Input, Metrics, Model, Output

from fmnist import pipeline
from fmnist.kubeflow import components

__all__ = ["FILE_NAME", "MOST_SEEDS", "PARALLELISM", "build", "compile_pipeline", "plan", "result", "verdict"]

FILE_NAME = "fashion_mnist_study_pipeline.yaml"

#: What the verdict is told of all seeds is one argument of a program, which Linux limits to 128 KiB.
MOST_SEEDS = 200

#: How many seeds are under way at once, where nothing else is said.
PARALLELISM = 20

_RESULT_CODE = ("replication/__init__.py", "replication/results.py", "replication/seed_result.py")

_VERDICT_CODE = (
    *("kubeflow/__init__.py", "kubeflow/bundle.py"),
    *(f"replication/{name}.py" for name in ("__init__", "conclusions", "pictures", "published", "record", "report")),
    *(f"replication/{name}.py" for name in ("results", "study_folder", "verdict")),
    *("replication/published.json", "replication/report.css.j2"),
    *("replication/report.html.j2", "replication/report_parts.html.j2"),
)


def plan(
    compile_optimizer: str, epochs: int, validation_split: float, first_seed: int, seeds: int, most: int
) -> list[int]:
    """Check the parameters before anything is trained, and list the seeds.

    Args:
        compile_optimizer: Name of a Keras optimizer, or its JSON config {"class_name": ..., "config": {...}}.
        epochs: Passes over the training set, at least 1.
        validation_split: Share of the training set, its last part, that is held out; between 0 and 1, exclusive.
        first_seed: The first seed; 0 to 2147483647.
        seeds: How many consecutive seeds to train.
        most: How many that may be.

    Returns:
        Output: The seeds.
    """  # noqa: D406, D407 - kfp reads descriptions from sections in Google's style
    from fmnist.steps.errors import SettingsError
    from fmnist.steps.settings import Settings

    if not 1 <= seeds <= most:
        raise SettingsError(f"seeds: expected from 1 to {most}, got {seeds}. Run a larger study as several pipelines.")
    for seed in (first_seed, first_seed + seeds - 1):
        Settings(compile_optimizer, epochs, validation_split, seed)
    return list(range(first_seed, first_seed + seeds))


def result(
    seed: int,
    model: Input[Model],
    history: Input[Artifact],
    results: Input[Dataset],
    labels: Input[Dataset],
    metrics: Input[Metrics],
    result: Output[Dataset],
) -> None:
    """Put together what one seed gave.

    Args:
        seed: The seed.
        model: The trained network, a .keras file.
        history: Loss and accuracy of each epoch, for training and validation, as JSON.
        results: One row an image: image, prediction, confidence, actual; a CSV.
        labels: A folder of true labels, predicted labels and class names.
        metrics: Accuracy and loss on the test images.

    Returns:
        result: Digest of the model, accuracy, loss, history, confusion matrix and mistakes, as JSON.
    """  # noqa: D406, D407 - as above
    from fmnist.replication import seed_result
    from fmnist.steps import files

    found = seed_result.of_artifacts(
        seed, labels.path, model=model.path, history=history.path, results=results.path, metrics=metrics.path
    )
    files.write(result.path, found.to_json())


def verdict(  # noqa: PLR0913, PLR0917 - the inputs and outputs of the step
    compile_optimizer: str,
    epochs: int,
    validation_split: float,
    first_seed: int,
    seeds: int,
    results: Input[list[Dataset]],
    report: Output[HTML],
    distribution: Output[Artifact],
    metrics: Output[Metrics],
    study: Output[Dataset],
) -> None:
    """Say whether the published accuracy replicates.

    Args:
        compile_optimizer: Name of a Keras optimizer, or its JSON config {"class_name": ..., "config": {...}}.
        epochs: Passes over the training set, at least 1.
        validation_split: Share of the training set, its last part, that is held out; between 0 and 1, exclusive.
        first_seed: The first seed; 0 to 2147483647.
        seeds: How many consecutive seeds were trained.
        results: What each seed gave, as JSON.

    Returns:
        report: All that the study shows, a self-contained page.
        distribution: The accuracies, with their mean and the published ones, a PNG.
        metrics: Number of seeds, mean, standard deviation, and p values and outcome for each published accuracy.
        study: The folder that `fmnist study` writes for these seeds.
    """  # noqa: D406, D407 - as above
    import shutil
    from pathlib import Path

    from fmnist.replication import study_folder
    from fmnist.steps.settings import Settings

    settings = Settings(compile_optimizer, epochs, validation_split, first_seed)
    texts = (Path(one.path).read_bytes() for one in results)
    sample = study_folder.fill(study.path, settings, seeds, texts)
    shutil.copyfile(Path(study.path, "report.html"), report.path)
    shutil.copyfile(Path(study.path, "distribution.png"), distribution.path)
    for name, value in study_folder.metrics(sample).items():
        metrics.log_metric(name, value)


def build(
    image: str | None = None, *, mirror: str | None = None, cache: bool = True, parallelism: int = PARALLELISM
) -> Any:
    """Return the pipeline of a study.

    Parameters
    ----------
    image, mirror, cache
        As for `fmnist.pipeline.build`.
    parallelism : int
        How many seeds are under way at once.
    """
    plan_, train, test = (
        components.as_component(function, image) for function in (plan, components.train, components.test)
    )
    result_ = components.as_component(result, image, code=_RESULT_CODE)
    verdict_ = components.as_component(
        verdict, image, code=_VERDICT_CODE, packages=components.pins("fmnist.replication")
    )

    @dsl.pipeline(name="fashion-mnist-study")  # type: ignore[untyped-decorator]
    def fashion_mnist_study(
        compile_optimizer: str = "adam",
        epochs: int = 10,
        validation_split: float = 0.05,
        first_seed: int = 0,
        seeds: int = 60,
    ) -> None:
        """Whether the accuracy that TensorFlow's tutorial publishes replicates, over many seeds.

        Args:
            compile_optimizer: Name of a Keras optimizer, or its JSON config {"class_name": ..., "config": {...}}.
            epochs: Passes over the training set, at least 1.
            validation_split: Share of the training set, its last part, that is held out; between 0 and 1, exclusive.
            first_seed: The first seed; 0 to 2147483647. Choose seeds that were not looked at before.
            seeds: How many consecutive seeds to train; 1 to 200.
        """
        settings = {"compile_optimizer": compile_optimizer, "epochs": epochs, "validation_split": validation_split}
        planned = plan_(**settings, first_seed=first_seed, seeds=seeds, most=MOST_SEEDS)
        with dsl.ParallelFor(planned.output, parallelism=parallelism) as seed:
            trained = train(**settings, seed=seed)
            tested = test(model=trained.outputs["model"])
            gathered = result_(
                seed=seed,
                **{name: trained.outputs[name] for name in ("model", "history")},
                **{name: tested.outputs[name] for name in ("results", "labels", "metrics")},
            )
        judged = verdict_(
            **settings, first_seed=first_seed, seeds=seeds, results=dsl.Collected(gathered.outputs["result"])
        )
        for task, memory in (
            (planned, "1Gi"), (trained, "1Gi"), (tested, "1Gi"), (gathered, "512Mi"), (judged, "1Gi"),
        ):
            pipeline.configure(task, memory, cache=cache)
        pipeline.use_mirror(mirror, trained, tested, judged)

    return fashion_mnist_study


def compile_pipeline(path: str | Path = FILE_NAME, image: str | None = None, **options: Any) -> Path:
    """Write the compiled pipeline of a study to `path`, byte-identical for equal code, and return the path.

    `options` are those of `build`.
    """
    return pipeline.write(build(image, **options), path)
