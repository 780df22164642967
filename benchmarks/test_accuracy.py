"""Whether the published accuracy replicates, on a few seeds."""

from typing import Any

from benchmarks import process


def test_accuracy_is_close_to_the_published(study: process.Study, measured: dict[str, Any]) -> None:
    """The mean accuracy over the seeds is equivalent to each figure published for these epochs, by the verdict."""
    measured["accuracies"] = study.sample.accuracies
    for conclusion in study.sample.conclusions:
        judged = conclusion.verdict
        measured["mean"] = round(judged.mean, 5)
        measured[conclusion.figure.name] = (
            f"{judged.published:.4f} {judged.outcome} (p of equivalence {judged.p_equivalence:.4f})"
        )
    assert study.sample.conclusions
    assert all(conclusion.verdict.equivalent for conclusion in study.sample.conclusions)
