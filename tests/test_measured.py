"""What the benchmarks run, and what they report: each on made-up numbers, which no benchmark of its own would check."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pytest_regressions.data_regression import DataRegressionFixture
from support import samples

from benchmarks import (
    process,
    test_accuracy,
    test_large_study,
    test_seeding_trap,
    test_shards,
    test_speed,
    test_study_speed,
)
from fmnist.kubeflow import bundle
from fmnist.steps.determinism import SWITCHES
from fmnist.steps.settings import Settings

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
PACE = process.Pace(fit=61, until_fit=65, tutorial=71, train=7, step=11, run=31.5, memory=0.9125)
SETTINGS = Settings(epochs=3, validation_split=0.1, seed=5)


def studied(seeds: int, *usage: float) -> process.Study:
    """Return a study of so many seeds that took this."""
    return process.Study(samples.study_sample(samples.sample(samples.spread(seeds))), process.Usage(*usage))


@pytest.fixture
def original_datadir() -> Path:
    """Where the golden documents are."""
    return Path(__file__).parent / "golden"


@pytest.fixture
def made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs that take made-up times; studies and shards have the same bytes."""

    def study(_: Settings, seeds: int, __: int, folder: Path) -> process.Study:
        (folder / "seeds").mkdir(parents=True)
        return studied(seeds, 100, 90, 0.75)

    def used(*arguments: str) -> process.Usage:
        Path(arguments[-1], "seeds").mkdir(parents=True)
        return process.Usage(110, 95, 1.125)

    (tmp_path / "report.html").write_bytes(bytes(1_500_000))
    monkeypatch.setattr(process, "study", study)
    monkeypatch.setattr(process, "used", used)
    monkeypatch.setattr(process, "python", lambda *_: {"seconds": 12.345, "memory": 1.23456})
    monkeypatch.setattr(process, "seconds", lambda *command, **_: 1.5 if "-c" in command and ";" in command[2] else 0.5)
    monkeypatch.setattr(test_speed, "time", SimpleNamespace(perf_counter=iter([1, 2, 5]).__next__))


@pytest.mark.usefixtures("made_up")
def test_what_is_reported_is_the_golden_one(tmp_path: Path, data_regression: DataRegressionFixture) -> None:
    """Each number has its name and is reckoned from the right ones; the JSON file and the pages are made of these."""
    config: Any = SimpleNamespace(getoption={"seeds": 60}.get)
    grown = {seeds: studied(seeds, 1, 5 + seeds / 2, 1 + seeds / 1000) for seeds in test_study_speed.GROWTH}
    calls: dict[str, Callable[[dict[str, Any]], None]] = {
        "training": lambda told: test_speed.test_training_is_faster_than_fit(PACE, told),
        "step": lambda told: test_speed.test_the_train_step_is_faster_than_the_tutorial(PACE, told),
        "run": lambda told: test_speed.test_the_whole_run_is_faster_than_the_tutorial(PACE, told),
        "command": lambda told: test_speed.test_commands_start_quickly("compile", "kfp.dsl", 4, told, tmp_path),
        "data": test_speed.test_cached_data_loads_quickly,
        "preloading": lambda told: test_speed.test_preloading_the_report_earns_its_lines(
            PACE._replace(run=9), told, tmp_path
        ),
        "worker": lambda told: test_study_speed.test_a_worker_needs_little_memory(PACE, studied(30, 90, 80, 0.5), told),
        "seed": lambda told: test_study_speed.test_a_seed_among_60_costs_a_twelfth_of_fit(
            PACE, studied(60, 150, 80, 0.5), told, config
        ),
        "growth": lambda told: test_study_speed.test_a_study_grows_linearly(grown, told),
        "accuracy": lambda told: test_accuracy.test_accuracy_is_close_to_the_published(studied(30, 1, 1, 1), told),
        "large": lambda told: test_large_study.test_ten_thousand_seeds_make_a_small_page(told, tmp_path),
        "shard": lambda told: test_shards.test_a_shard_costs_what_a_study_costs(SETTINGS, told, tmp_path / "shard"),
    }
    reported: dict[str, dict[str, Any]] = {name: {} for name in calls}
    for name, call in calls.items():
        call(reported[name])
    data_regression.check(json.loads(json.dumps(reported)), "reported")


def test_what_is_measured_is_the_golden_one(data_regression: DataRegressionFixture) -> None:
    """The programs are those that were measured, with their sizes: `pytest --force-regen` takes others over."""
    files = [BENCHMARKS / name for name in ("seeding_trap.py", "tutorial.py")]
    # This one names its own folder.
    findings = test_large_study.FINDINGS.replace(repr(str(Path(__file__).parent)), "")
    texts = {file.name: file.read_text(encoding="utf-8") for file in files}
    texts |= {"step": process.TRAIN, "measure": process.MEASURE, "shard": test_shards.SHARD}
    texts |= {"engine": test_seeding_trap.ENGINE, "findings": findings}
    marks = {
        test.__name__: [list(map(str, case)) for mark in test.pytestmark for case in mark.args[1]]
        for test in (test_speed.test_commands_start_quickly, test_shards.test_shards_give_the_same_bytes)
    }
    sizes = {
        "growth": list(test_study_speed.GROWTH),
        "shard": test_shards.SIZE,
        "variants": list(test_seeding_trap.VARIANTS),
    }
    digests = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}
    data_regression.check({"programs": digests, "cases": marks, "sizes": sizes}, "measured")


def test_the_reference_has_no_switch_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The tutorial runs as people run it: with all cores, and with what else they have; errors are shown."""
    for name in (*SWITCHES, "KERAS_HOME", "THEIRS"):
        monkeypatch.setenv(name, "1")
    assert {"THEIRS", *SWITCHES, "KERAS_HOME"} & process.environment().keys() == {"THEIRS"}
    code = "import json, os; print('noise'); print(json.dumps(dict(os.environ)))"
    assert {"THEIRS", "KERAS_HOME"} & process.python("-c", code).keys() == {"THEIRS"}
    process.seconds(sys.executable, "-c", "import os; assert 'KERAS_HOME' not in os.environ", folder=tmp_path)
    with pytest.raises(subprocess.CalledProcessError):
        process.python("-c", "raise SystemExit('the reason')")
    assert "the reason" in capfd.readouterr().err


def test_a_program_that_fails_takes_no_seconds(tmp_path: Path) -> None:
    """A command is run in its folder, and to a good end."""
    code = f"import os, sys; sys.exit(os.getcwd() != {str(tmp_path)!r})"
    assert 0 < process.seconds(sys.executable, "-c", code, folder=tmp_path) < 60
    with pytest.raises(subprocess.CalledProcessError):
        process.seconds(sys.executable, "-c", code, folder=tmp_path.parent)


def test_what_a_program_uses_is_measured() -> None:
    """Its seconds, those of its cores, and the memory of its largest process."""
    used = process.used("-c", "import time; block = b'x' * 2**28; time.sleep(0.3)")
    assert 0.3 < used.seconds < 60
    assert 0 < used.core_seconds < 30
    assert 0.25 < used.memory < 0.5


def test_each_way_gets_the_same_parameters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tutorial, run and study train what was asked for."""
    asked: list[Any] = []
    monkeypatch.setattr(process, "fmnist", lambda *arguments, **how: asked.append((arguments, how)))
    monkeypatch.setattr(process, "python", lambda *arguments: asked.append(arguments))
    monkeypatch.setattr(process, "read_sample", str)
    process.tutorial(SETTINGS)
    process.run(SETTINGS, tmp_path)
    done: Any = process.study(SETTINGS, 7, 2, tmp_path)
    assert done.sample == str(tmp_path)
    parameters = ("-pcompile_optimizer=adam", "-pepochs=3", "-pvalidation_split=0.1", "-pseed=5")
    where = ("-o", str(tmp_path))
    assert asked == [
        (str(BENCHMARKS / "tutorial.py"), "3", "0.1"),
        (("run", *parameters, *where), {}),
        (("study", *parameters, "--seeds=7", "--jobs=2", *where), {"done_with": (0, 1)}),
    ]


def test_half_a_line_is_no_run(tmp_path: Path) -> None:
    """What a killed measurement left is not read; what stands before and after it is."""
    (tmp_path / "kept").write_text('{"key": 1}\n{"key": \n{"key": 2}\n')
    assert list(test_seeding_trap.whole(tmp_path / "kept")) == [{"key": 1}, {"key": 2}]


@pytest.mark.parametrize("variant", test_seeding_trap.VARIANTS)
def test_each_training_of_the_trap_gets_the_same_parameters(variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has one thread, none of our switches, and what was asked for: `fit` as arguments, the engine as JSON."""
    started: dict[str, Any] = {}

    def run(command: list[str], **how: Any) -> SimpleNamespace:
        started.update(how, command=command)
        return SimpleNamespace(returncode=0, stdout='noise\n{"accuracy": 0.88}\n')

    monkeypatch.setattr(subprocess, "run", run)
    for name in (*SWITCHES, "KERAS_HOME", "THEIRS"):
        monkeypatch.setenv(name, "7")
    assert test_seeding_trap.start(variant, SETTINGS) == {"accuracy": 0.88}
    ours = {name: value for name, value in started["env"].items() if name in {*SWITCHES, "KERAS_HOME", "THEIRS"}}
    assert ours == {"TF_NUM_INTRAOP_THREADS": "1", "THEIRS": "7"}
    *_, last = command = started["command"]
    if variant == "engine":
        assert (command[:3], Settings(**json.loads(last))) == (
            [sys.executable, "-c", test_seeding_trap.ENGINE],
            SETTINGS,
        )
    else:
        assert command == [sys.executable, str(BENCHMARKS / "seeding_trap.py"), variant, "5", "3", "0.1"]
    failed = SimpleNamespace(returncode=3, stdout='{"accuracy": 0.88}\n', stderr="the reason")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(AssertionError, match=f"^{variant} 5: expected exit code 0, got 3\n *the reason"):
        test_seeding_trap.start(variant, SETTINGS)


def test_a_kept_run_is_that_of_its_parameters_and_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """With another parameter, Keras or TensorFlow a run is another one; so is one of the engine with other code."""
    others: list[dict[str, Any]] = [{"compile_optimizer": "sgd"}, {"epochs": 4}, {"validation_split": 0.2}, {"seed": 6}]
    for variant in test_seeding_trap.VARIANTS:
        key = test_seeding_trap.key(variant, SETTINGS)
        assert key == test_seeding_trap.key(variant, SETTINGS)
        assert {
            "variant": variant,
            "keras": version("keras"),
            "tensorflow": version("tensorflow"),
        }.items() <= key.items()
        assert all(test_seeding_trap.key(variant, replace(SETTINGS, **other)) != key for other in others)
        with monkeypatch.context() as patch:
            patch.setattr(bundle, "digest", lambda: "f" * 64)
            assert (test_seeding_trap.key(variant, SETTINGS) != key) == (variant == "engine")
