"""The study as a pipeline, for those who outgrow one machine: shards of its seeds, side by side, then the findings.

Both execute the same study: `shard_folder.train_shard` and `study.gather` do together what `study.run_study` does.
"""

from pathlib import Path
from typing import Any, List  # noqa: UP035 - kfp knows lists of artifacts by typing's name

from kfp import dsl
from kfp.dsl import HTML, Artifact, Dataset, Input, Metrics, Output

from fmnist.kubeflow import bundle, components
from fmnist.kubeflow.code import Code
from fmnist.kubeflow.installing import not_here
from fmnist.pipeline import ANYWHERE, Where
from fmnist.runs.shards import MEMORY, Shards
from fmnist.steps.settings import Settings

__all__ = ["FILE_NAME", "compile_pipeline", "fashion_mnist_study", "make_pipeline"]

FILE_NAME = "fashion_mnist_study_pipeline.yaml"


def divide(seeds: int, first_seed: int, shards: int) -> List[str]:  # noqa: UP006 - as above
    """Divide the seeds of a study into shards.

    Args:
        seeds: How many, consecutive.
        first_seed: The first of them.
        shards: How many shards; 0 for one for each 20 seeds, but 100 at most.
    """
    from fmnist.runs.shards import divide, name

    return [name(shard) for shard in divide(seeds, first_seed, shards)]


@components.described
def shard(
    compile_optimizer: str,
    epochs: int,
    validation_split: float,
    shard: str,
    results: Output[Dataset],
) -> None:
    """Train and test consecutive seeds, one after the other, starting and compiling once.

    Args:
        shard: The first and the last of them, as in 1000-1019.

    Returns:
        results: A folder with a file for each seed, the plan, and checksums of both.
    """
    from fmnist.runs.shard_folder import train_shard
    from fmnist.runs.shards import seeds_of
    from fmnist.steps.settings import Settings

    seeds = seeds_of(shard)
    settings = Settings(compile_optimizer, epochs, validation_split, seeds[0])
    train_shard(
        settings,
        seeds,
        results.path,
        lambda result: print(f"seed {result.seed}: accuracy {result.accuracy}", flush=True),  # noqa: T201 - the pod's log
    )


@components.described
def verdict(  # noqa: PLR0913, PLR0917 - the inputs and outputs of the step
    compile_optimizer: str,
    epochs: int,
    validation_split: float,
    seeds: int,
    first_seed: int,
    shards: Input[List[Dataset]],  # noqa: UP006 - as above
    study: Output[Dataset],
    report: Output[HTML],
    distribution: Output[Artifact],
    accuracies: Output[Dataset],
    verdicts: Output[Artifact],
    metrics: Output[Metrics],
) -> None:
    """Say of many seeds whether the published accuracies replicate.

    Args:
        seeds: How many seeds.
        first_seed: The first of them.
        shards: What each shard gave.

    Returns:
        study: The folder that `fmnist study` fills, with its checksums.
        report: A page with the verdict, pictures, and how to check it.
        distribution: The accuracies, the published ones among them, a PNG.
        accuracies: One row a seed: seed, accuracy, loss, model; a CSV.
        verdicts: What the seeds say of each published accuracy, as JSON.
        metrics: The number of seeds, their mean accuracy and its standard deviation, and each verdict's p.
    """
    import shutil
    from pathlib import Path

    from fmnist.report import DISTRIBUTION, FILE_NAME
    from fmnist.runs.folder import ACCURACIES, VERDICT
    from fmnist.runs.study import gather
    from fmnist.steps.settings import Settings

    settings = Settings(compile_optimizer, epochs, validation_split, first_seed)
    planned = range(first_seed, first_seed + seeds)
    sample = gather(settings, planned, [shard.path for shard in shards], study.path)
    for file, artifact in (
        (FILE_NAME, report),
        (DISTRIBUTION, distribution),
        (ACCURACIES, accuracies),
        (VERDICT, verdicts),
    ):
        shutil.copy(Path(study.path, file), artifact.path)
    metrics.log_metric("seeds", seeds)
    metrics.log_metric("mean", sample.mean)
    if seeds > 1:
        metrics.log_metric("deviation", sample.deviation)
    for one in sample.conclusions:
        metrics.log_metric(f"p of equivalence, {one.figure.name}", one.verdict.p_equivalence)


def make_pipeline(where: Where = ANYWHERE, study: Shards = Shards()) -> Any:
    """Return the pipeline of a study."""
    code = Code("fmnist", bundle.REPLICATION)
    divided, trained, judged = (
        components.as_component(function, where.image, [code], carried=where.carried)
        for function in (divide, shard, verdict)
    )

    @dsl.pipeline(name="fashion-mnist-study")  # type: ignore[untyped-decorator]
    @components.described
    def fashion_mnist_study(  # noqa: PLR0913, PLR0917 - the parameters of the pipeline
        compile_optimizer: str = Settings.compile_optimizer,
        epochs: int = Settings.epochs,
        validation_split: float = Settings.validation_split,
        seeds: int = study.seeds,
        first_seed: int = study.first_seed,
        shards: int = study.shards,
    ) -> None:
        """Study whether the accuracy of TensorFlow's tutorial "Basic classification" replicates.

        Args:
            seeds: How many seeds, consecutive.
            first_seed: The first of them; choose seeds that were not looked at before.
            shards: How many pods share the seeds, 1 to 100; 0 for one for each 20 seeds, but 100 at most.
        """
        parameters = {"compile_optimizer": compile_optimizer, "epochs": epochs, "validation_split": validation_split}
        numbers = {"seeds": seeds, "first_seed": first_seed}
        listed = where.configure(divided(**numbers, shards=shards), "256Mi")
        # Of a shard's inputs none is about the others: a study that is run again finds it in the cache.
        with dsl.ParallelFor(items=listed.output, parallelism=study.parallel) as one:
            each = where.configure(trained(**parameters, shard=one), f"{MEMORY}Mi")
        where.configure(judged(**parameters, **numbers, shards=dsl.Collected(each.outputs["results"])), "1Gi")

    return not_here(fashion_mnist_study)


#: The pipeline, as kfp finds it in this file.
fashion_mnist_study = make_pipeline()


def compile_pipeline(path: str | Path = FILE_NAME, where: Where = ANYWHERE, study: Shards = Shards()) -> Path:
    """Compile the pipeline into `path` and return the path, as `fmnist.pipeline.compile_pipeline` does."""
    return components.compile_to(make_pipeline(where, study), path)
