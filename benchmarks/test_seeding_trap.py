"""What the seeding trap costs: `keras.utils.set_random_seed` before `fit` repeats one order in every epoch.

Fixed before the first measurement, for 20 runs each of the seeded `fit`, the unseeded `fit` and the engine, with the
parameters of the published figure; all tests are at the 5 % level:

- every seeded `fit` has one order in all its epochs; every other run has another order in each epoch;
- seeding costs accuracy: the mean of the seeded `fit` is below that of the unseeded one, and Welch's test, two-sided,
  rejects that they are equal. Mann and Whitney's test is reported beside it and decides nothing;
- the engine pays nothing of it: by two one-sided tests (Welch's) the mean of the engine is within 0.005, about what
  the trap was seen to cost, of the mean of the unseeded `fit`.

Whatever comes out is written to `results/seeding_trap.json`. Each run is kept in `results/seeding_trap.jsonl`, so that
an interrupted measurement resumes where it was.
"""

import contextlib
import importlib.metadata
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from fmnist.kubeflow import bundle
from fmnist.runs.provenance import provenance
from fmnist.steps.determinism import SWITCHES
from fmnist.steps.settings import Settings

pytestmark = pytest.mark.trap

LEVEL = 0.05

#: How far the means of the engine and of the unseeded `fit` may be from each other.
MARGIN = 0.005

VARIANTS = ("seeded", "unseeded", "engine")

#: Trainings at the same time, each on one thread.
JOBS = 2

RESULTS = Path(__file__).parent / "results"

#: Trains and tests as the pipeline does, and prints what `seeding_trap.py` prints.
ENGINE = """
import json, sys, time
from fmnist.steps import dataset, evaluation, training
from fmnist.steps.settings import Settings
settings, data = Settings(**json.loads(sys.argv[1])), dataset.load("train")
started = time.perf_counter()
model = training.train(settings, data, on_epoch=lambda *_: None).model
n = settings.split_at(len(data))
orders = {training.epoch_order(settings.seed, e, n).numpy().tobytes() for e in range(settings.epochs)}
print(json.dumps({
    "accuracy": evaluation.test(model, dataset.load("test")).accuracy,
    "epochs": settings.epochs,
    "orders": len(orders),
    "seconds": round(time.perf_counter() - started, 2),
}))
"""


def start(variant: str, settings: Settings) -> Mapping[str, Any]:
    """Train in another process and return what it prints."""
    arguments = ["-c", ENGINE, json.dumps(asdict(settings))]
    if variant != "engine":
        script, split = Path(__file__).with_name("seeding_trap.py"), settings.validation_split
        arguments = [str(script), variant, str(settings.seed), str(settings.epochs), str(split)]
    environment = {name: value for name, value in os.environ.items() if name not in {*SWITCHES, "KERAS_HOME"}}
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**environment, "TF_NUM_INTRAOP_THREADS": "1"},
    )
    assert done.returncode == 0, (
        f"{variant} {settings.seed}: expected exit code 0, got {done.returncode}\n{done.stderr}"
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def key(variant: str, settings: Settings) -> dict[str, Any]:
    """Return what a run is kept by."""
    decisive = {name: importlib.metadata.version(name) for name in ("keras", "tensorflow")}
    if variant == "engine":
        decisive["code"] = bundle.digest()
    return {"variant": variant, **asdict(settings), **decisive}


def say(line: str, config: pytest.Config) -> None:
    """Print a line to stderr at once, though pytest captures it."""
    with config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(line, file=sys.stderr, flush=True)  # noqa: T201 - progress


def whole(path: Path) -> Iterator[dict[str, Any]]:
    """Give what is on each line, but for one that is not whole."""
    for line in path.read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(ValueError):
            yield json.loads(line)


@pytest.fixture(scope="module")
def runs(settings: Settings, pytestconfig: pytest.Config) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """The runs of each variant, trained now unless they were before."""
    kept = RESULTS / "seeding_trap.jsonl"
    kept.parent.mkdir(exist_ok=True)
    kept.touch()
    seeds = range(pytestconfig.getoption("trap_runs"))
    wanted = [(variant, replace(settings, seed=seed)) for seed in seeds for variant in VARIANTS]
    lines = list(whole(kept))
    # Without what a killed measurement left half-written.
    kept.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    done = {json.dumps(line["key"]): line["run"] for line in lines}
    missing = [run for run in wanted if json.dumps(key(*run)) not in done]
    started = time.monotonic()
    with ThreadPoolExecutor(JOBS) as pool, kept.open("a", encoding="utf-8") as file:
        futures = {pool.submit(start, *run): run for run in missing}
        try:
            for n, future in enumerate(as_completed(futures), 1):
                run, result = futures[future], future.result()
                done[json.dumps(key(*run))] = result
                file.write(json.dumps({"key": key(*run), "run": result}) + "\n")
                file.flush()
                left = (time.monotonic() - started) / n * (len(missing) - n)
                say(f"{n} of {len(missing)}: {run[0]} {run[1].seed}: {result}, {left:.0f} s left", pytestconfig)
        finally:
            pool.shutdown(cancel_futures=True)
    return {
        variant: [done[json.dumps(key(variant, replace(settings, seed=seed)))] for seed in seeds]
        for variant in VARIANTS
    }


@pytest.fixture(scope="module")
def table(settings: Settings, runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """What the runs say: the numbers that the tests decide by, written to a file before they do."""
    accuracies = {variant: [run["accuracy"] for run in runs[variant]] for variant in VARIANTS}
    unseeded = accuracies["unseeded"]
    content: dict[str, Any] = {
        "settings": key("all", settings),
        "record": provenance(),
        "variants": {
            variant: {
                "runs": len(values),
                "orders": sorted({run["orders"] for run in runs[variant]}),
                "mean": float(np.mean(values)),
                "deviation": float(np.std(values, ddof=1)),
                "accuracies": values,
            }
            for variant, values in accuracies.items()
        },
        "seeded - unseeded": compared(accuracies["seeded"], unseeded),
        "engine - unseeded": compared(accuracies["engine"], unseeded),
        "engine - seeded": compared(accuracies["engine"], accuracies["seeded"]),
    }
    (RESULTS / "seeding_trap.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return content


def compared(a: Sequence[float], b: Sequence[float]) -> dict[str, Any]:
    """Compare the means of two samples of unequal variances: Welch's test, Mann and Whitney's, and equivalence."""
    welch = stats.ttest_ind(a, b, equal_var=False)
    interval = welch.confidence_interval(1 - LEVEL)
    shifted = [
        stats.ttest_ind(np.add(a, shift), b, equal_var=False, alternative=side).pvalue
        for shift, side in ((MARGIN, "greater"), (-MARGIN, "less"))
    ]
    return {
        "difference": float(np.mean(a) - np.mean(b)),
        "interval": [float(interval.low), float(interval.high)],
        "p of Welch": float(welch.pvalue),
        "p of Mann and Whitney": float(stats.mannwhitneyu(a, b).pvalue),
        "p of equivalence": float(max(shifted)),
    }


def report(table: dict[str, Any], measured: dict[str, Any], *parts: str) -> None:
    """Put parts of the table into what was measured."""
    for part in parts:
        values = table["variants"].get(part) or table[part]
        measured[part] = {name: value for name, value in values.items() if name != "accuracies"}


def test_fit_seeded_by_keras_has_one_order(table: dict[str, Any], measured: dict[str, Any], settings: Settings) -> None:
    """Each seeded `fit` repeats one order in all its epochs; an unseeded one and the engine repeat none."""
    measured |= {variant: table["variants"][variant]["orders"] for variant in VARIANTS}
    assert measured == {"seeded": [1], "unseeded": [settings.epochs], "engine": [settings.epochs]}


def test_a_repeated_order_costs_accuracy(table: dict[str, Any], measured: dict[str, Any]) -> None:
    """The mean accuracy of the seeded `fit` is lower than that of the unseeded one, by Welch's test."""
    report(table, measured, "seeded", "unseeded", "seeded - unseeded")
    assert table["seeded - unseeded"]["difference"] < 0
    assert table["seeded - unseeded"]["p of Welch"] < LEVEL


def test_the_engine_is_as_accurate_as_the_unseeded_fit(table: dict[str, Any], measured: dict[str, Any]) -> None:
    """The mean accuracy of the engine is equivalent to that of the unseeded `fit`, within the margin."""
    report(table, measured, "engine", "engine - unseeded", "engine - seeded")
    assert table["engine - unseeded"]["p of equivalence"] < LEVEL
