"""The benchmarks decide as they say, on made-up numbers just at their bounds and just beyond them."""

import itertools
import json
import subprocess
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock, call

import pytest
from statsmodels.stats import weightstats
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
from fmnist.runs import shard_folder, shards
from fmnist.runs import study as runs_study
from fmnist.steps import dataset, determinism
from fmnist.steps.settings import Settings

ROOT = Path(__file__).parents[1]
PACE = process.Pace(fit=60, until_fit=20, tutorial=100, train=10, step=10, run=60, memory=0.99)
TRAP = json.loads((ROOT / "docs" / "seeding_trap.json").read_bytes())


def study(seeds: int, seconds: float = 1, core_seconds: float = 1, memory: float = 1) -> process.Study:
    """Return a study of so many seeds that took this."""
    sample = samples.study_sample(samples.sample([0.88] * seeds))
    return process.Study(sample, process.Usage(seconds, core_seconds, memory))


def holds(benchmark: Callable[..., None], *arguments: Any) -> bool:
    """Return whether the benchmark passes; it must have measured something either way."""
    measured: dict[str, Any] = {}
    try:
        benchmark(*arguments, measured=measured)
    except AssertionError:
        return False
    finally:
        assert measured
    return True


def answer(*values: Any) -> Callable[..., Any]:
    """Return a function that gives these values one after the other."""
    left = iter(values)
    return lambda *_, **__: next(left)


@pytest.mark.parametrize(
    ("benchmark", "changes", "expected"),
    [
        (test_speed.test_training_is_faster_than_fit, {}, True),
        (test_speed.test_training_is_faster_than_fit, {"fit": 59.9}, False),
        (test_speed.test_training_is_faster_than_fit, {"fit": 10, "train": 60}, False),
        (test_speed.test_the_train_step_is_faster_than_the_tutorial, {}, True),
        (test_speed.test_the_train_step_is_faster_than_the_tutorial, {"until_fit": 19.9}, False),
        (test_speed.test_the_whole_run_is_faster_than_the_tutorial, {}, True),
        (test_speed.test_the_whole_run_is_faster_than_the_tutorial, {"run": 60.2}, False),
        (test_speed.test_the_whole_run_is_faster_than_the_tutorial, {"memory": 1}, False),
    ],
)
def test_the_bounds_of_speed(benchmark: Callable[..., None], changes: dict[str, float], expected: bool) -> None:
    """Six times fit, twice the tutorial up to its fit, 0.6 of the tutorial, and less than 1 GiB."""
    assert holds(benchmark, PACE._replace(**changes)) == expected


@pytest.mark.parametrize(
    ("command", "seconds", "expected"),
    [("--help", 6, True), ("--help", 6.02, False), ("compile", 4, True), ("compile", 4.02, False)],
)
def test_the_bounds_of_commands(
    command: str, seconds: float, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The help takes at most six times of what it needs, and compile four times."""
    [mark] = [mark for mark in test_speed.test_commands_start_quickly.pytestmark if mark.name == "parametrize"]
    [case] = [case for case in mark.args[1] if case[0] == command]
    asked: list[tuple[str, ...]] = []
    took = answer(1, seconds)

    def timed(*command: str, folder: Path) -> float:
        asked.append(command)
        assert folder == tmp_path
        return float(took())

    monkeypatch.setattr(process, "seconds", timed)
    found = holds(lambda measured: test_speed.test_commands_start_quickly(*case, measured, tmp_path))
    assert found == expected
    assert asked[0][1:] == ("-c", f"import {case[1]}")
    assert asked[1] == (process.FMNIST, command)


@pytest.mark.parametrize(("times", "expected"), [([0, 1, 6], True), ([0, 1, 6.1], False)])
def test_the_bound_of_cached_data(times: list[float], expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The data load in at most five times of what their SHA-256 takes."""
    done = Mock()
    done.load, done.perf_counter = Mock(wraps=dataset.load), Mock(side_effect=times)
    monkeypatch.setattr(dataset, "load", done.load)
    monkeypatch.setattr(test_speed, "hashlib", done)
    monkeypatch.setattr(test_speed, "time", done)
    assert holds(test_speed.test_cached_data_loads_quickly) == expected
    assert done.load.mock_calls == [call("train"), call("train")]
    # What is measured is the digest of all images alone, and their load alone.
    names = ["load", "perf_counter", "sha256", "perf_counter", "load", "perf_counter"]
    assert [name for name, *_ in done.mock_calls] == names
    [[content]] = [one.args for one in done.sha256.mock_calls]
    assert len(content) == 60_000 * 784


@pytest.mark.parametrize(("run", "expected"), [(100, True), (110, False)])
def test_the_bound_of_preloading(run: float, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it saves, here 5 s, is at least 5 % of a run."""
    asked, took = list[str](), answer(1, 6)

    def timed(*command: str, folder: Path) -> float:
        asked.append(command[2])
        assert folder == tmp_path
        return float(took())

    monkeypatch.setattr(process, "seconds", timed)
    benchmark = test_speed.test_preloading_the_report_earns_its_lines
    assert holds(lambda measured: benchmark(PACE._replace(run=run), measured, tmp_path)) == expected
    assert asked == ["import fmnist.runs.run", "import fmnist.runs.run; fmnist.runs.run.page.prepare()"]


def test_the_tutorial_and_ours_are_measured_at_their_quickest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three rounds the best seconds of each count, and the largest memory; no folder is used twice."""
    now, lasts, asked, settings = [100], answer(30, 28, 40), list[Any](), Settings("sgd", 3, 0.1, 7)

    def lasting(seconds: Callable[[], int], *answers: Any) -> Callable[..., Any]:
        given = answer(*answers)

        def called(*arguments: Any) -> Any:
            asked.append(arguments)
            now.append(now[-1] + seconds())
            return given()

        return called

    tutorials = [{"fit": 20, "until_fit": 25}, {"fit": 21, "until_fit": 24}, {"fit": 22, "until_fit": 26}]
    monkeypatch.setattr(process, "tutorial", lasting(lasts, *tutorials))
    monkeypatch.setattr(process, "time", SimpleNamespace(perf_counter=lambda: now[-1]))
    trainings = [{"train": 4, "step": 6}, {"train": 3.5, "step": 7}, {"train": 3, "step": 8}]
    monkeypatch.setattr(process, "python", lasting(lambda: 1000, *trainings))
    runs, folders = (15, 16, 17), list[Path]()

    def run(given: Settings, folder: Path) -> process.Usage:
        asked.append((given,))
        folders.append(folder)
        return process.Usage(runs[len(folders) - 1], 0, 0.8 + len(folders) / 10)

    monkeypatch.setattr(process, "run", run)
    expected = process.Pace(fit=20, until_fit=24, tutorial=28, train=3, step=6, run=15, memory=1.1)
    assert process.pace(settings, tmp_path) == expected
    assert len(set(folders)) == 3
    parameters = '{"compile_optimizer": "sgd", "epochs": 3, "validation_split": 0.1, "seed": 7}'
    assert asked == 3 * [(settings,), ("-c", process.TRAIN, parameters), (settings,)]


@pytest.mark.parametrize(("counts", "expected"), [([5, 3, 4, 6, 7], 3), ([1, 1, 1, 1, 1], 1)])
def test_a_command_is_measured_at_its_quickest(
    counts: list[float], expected: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of five calls the quickest counts: whatever else the machine does makes the others longer."""
    times = list(itertools.chain.from_iterable((0, count) for count in counts))
    monkeypatch.setattr(process, "time", SimpleNamespace(perf_counter=answer(*times)))
    run = Mock()
    monkeypatch.setattr(process, "subprocess", SimpleNamespace(run=run, DEVNULL=-3))
    assert process.seconds("true", folder=tmp_path) == expected
    # What it writes goes into the folder, and one that fails is not measured.
    assert run.mock_calls == 5 * [call(("true",), check=True, stdout=-3, cwd=tmp_path, env=process.environment())]


def test_what_is_measured_starts_as_for_a_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the switches that fmnist has set in this process; the result is on the last line."""
    for name in (*determinism.SWITCHES, "KERAS_HOME", "OF_A_USER"):
        monkeypatch.setenv(name, "7")
    code = "import json, os; print('{}'); print(json.dumps({k: v for k, v in os.environ.items() if v == '7'}))"
    assert process.python("-c", code) == {"OF_A_USER": "7"}
    started = Mock(return_value=SimpleNamespace(returncode=0, stdout='Epoch 1\n{"accuracy": 0.5}\n'))
    monkeypatch.setattr(subprocess, "run", started)
    script, settings = str(Path(test_seeding_trap.__file__).with_name("seeding_trap.py")), Settings("sgd", 3, 0.1, 7)
    for variant, arguments in (
        ("seeded", [script, "seeded", "7", "3", "0.1"]),
        ("unseeded", [script, "unseeded", "7", "3", "0.1"]),
        (
            "engine",
            [
                "-c",
                test_seeding_trap.ENGINE,
                '{"compile_optimizer": "sgd", "epochs": 3, "validation_split": 0.1, "seed": 7}',
            ],
        ),
    ):
        assert test_seeding_trap.start(variant, settings) == {"accuracy": 0.5}
        assert started.call_args.args[0][1:] == arguments
        of_ours = {name: started.call_args.kwargs["env"].get(name) for name in (*determinism.SWITCHES, "KERAS_HOME")}
        # One thread each, as two of them train at the same time.
        assert {name: value for name, value in of_ours.items() if value} == {"TF_NUM_INTRAOP_THREADS": "1"}


def test_all_are_asked_for_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tutorial, a run and a study get all parameters; a study may also end with a negative verdict."""
    asked: list[tuple[str, ...]] = []

    def python(*arguments: str) -> dict[str, Any]:
        asked.append(arguments)
        return {"code": int("study" in arguments), "usage": [3, 2, 1]}

    monkeypatch.setattr(process, "python", python)
    monkeypatch.setattr(process, "read_sample", Path.exists)
    settings, measure = Settings("sgd", 3, 0.1, 7), ("-c", process.MEASURE, process.FMNIST)
    parameters = ("-pcompile_optimizer=sgd", "-pepochs=3", "-pvalidation_split=0.1", "-pseed=7")
    process.tutorial(settings)
    assert process.run(settings, tmp_path) == process.study(settings, 9, 2, tmp_path).usage == process.Usage(3, 2, 1)
    assert asked == [
        (process.TUTORIAL, "3", "0.1"),
        (*measure, "run", *parameters, "-o", str(tmp_path)),
        (*measure, "study", *parameters, "--seeds=9", "--jobs=2", "-o", str(tmp_path)),
    ]


@pytest.mark.parametrize("code", [1, 3])
def test_a_command_that_fails_is_not_measured(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that fails has no time; a study may also end with 1, which is a verdict."""
    monkeypatch.setattr(process, "python", lambda *_: {"code": code, "usage": [1, 2, 3]})
    with pytest.raises(AssertionError, match=f"expected an exit code of \\(0,\\), got {code}"):
        process.fmnist("run")
    with pytest.raises(AssertionError, match=f"expected exit code 0, got {code}"):
        process.used("-c", "")
    if code == 1:
        assert process.fmnist("study", done_with=(0, 1)) == process.Usage(1, 2, 3)


@pytest.mark.parametrize(("memory", "expected"), [(1.19, True), (1.2, False)])
def test_the_bound_of_a_workers_memory(memory: float, expected: bool) -> None:
    """It takes less than 1.2 GiB."""
    assert holds(test_study_speed.test_a_worker_needs_little_memory, PACE, study(2, memory=memory)) == expected


@pytest.mark.parametrize(("seconds", "expected"), [(300, True), (300.2, False)])
def test_the_bound_of_a_seed(seconds: float, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of 60 seeds takes at most a twelfth of fit: here 5 s of 60."""
    config: Any = SimpleNamespace(getoption={"seeds": 60}.get)
    benchmark = test_study_speed.test_a_seed_among_60_costs_a_twelfth_of_fit
    arguments = (PACE, study(60, seconds=seconds, core_seconds=2 * seconds))
    assert holds(lambda measured: benchmark(*arguments, measured, config)) == expected
    told = test_study_speed.costs(60, arguments[1])
    assert told["seconds a seed"] == round(seconds / 60, 2)
    monkeypatch.setattr(config, "getoption", {"seeds": 59}.get)
    measured: dict[str, Any] = {}
    with pytest.raises(pytest.skip.Exception, match="NOT CHECKED"):
        benchmark(*arguments, measured, config)
    assert measured == {}


@pytest.mark.parametrize(
    ("usages", "expected"),
    [
        # Four seeds take 10 core seconds and twelve more 6, so that 44 more should take 22.
        ([(10, 1.0), (16, 1.0), (38, 1.1)], True),
        ([(10, 1.0), (16, 1.0), (57, 1.1)], True),
        ([(10, 1.0), (16, 1.0), (57.1, 1.1)], False),
        ([(10, 1.0), (16, 1.0), (38, 1.11)], False),
        ([(10, 1.0), (16, 1.15), (38, 1.2)], False),
    ],
)
def test_the_bounds_of_growth(usages: list[tuple[float, float]], expected: bool) -> None:
    """60 seeds take at most half more than 4 and 16 foretell, and a tenth more memory, below 1.2 GiB."""
    grown = {
        seeds: study(1, core_seconds=core_seconds, memory=memory)
        for seeds, (core_seconds, memory) in zip((4, 16, 60), usages, strict=True)
    }
    told: dict[str, Any] = {}

    def benchmark(measured: dict[str, Any]) -> None:
        try:
            test_study_speed.test_a_study_grows_linearly(grown, measured)
        finally:
            told.update(measured)

    assert holds(benchmark) == expected
    assert told["60 seeds, foretold"] == 38


@pytest.mark.parametrize(
    ("change", "expected"), [({}, True), ({"accuracy": 0.8801}, False), ({"model": "f" * 64}, False)]
)
def test_another_accuracy_or_model_is_seen(change: dict[str, Any], expected: bool) -> None:
    """The first seeds of two studies must have the same accuracy and the same model."""
    few, some, many = (samples.sample([0.88, 0.87, 0.86][:n]) for n in (2, 3, 3))
    many[1] = replace(many[1], **({"accuracy": 0.87} | change))
    grown = {
        n: process.Study(samples.study_sample(one), process.Usage(1, 1, 1))
        for n, one in ((2, few), (3, some), (4, many))
    }
    assert holds(test_study_speed.test_the_accuracies_are_the_same_each_time, grown) == expected


@pytest.mark.parametrize(
    ("mean", "expected"),
    [(0.88, True), (0.87, True), (0.89, False), (0.86, False)],
    ids=["both", "also", "one", "none"],
)
def test_each_published_accuracy_must_be_near(mean: float, expected: bool) -> None:
    """0.8693 and 0.8822 are both within the margin of the mean, or the benchmark fails."""
    accuracies = [mean + (-1) ** i * 0.001 for i in range(20)]
    one = process.Study(samples.study_sample(samples.sample(accuracies)), process.Usage(1, 1, 1))
    assert holds(test_accuracy.test_accuracy_is_close_to_the_published, one) == expected


def test_an_accuracy_for_which_nothing_was_published_is_no_success() -> None:
    """Without a figure to compare with the benchmark fails."""
    parameters = {**samples.PARAMETERS, "epochs": 11}
    one = process.Study(samples.study_sample(samples.sample([0.88] * 20), parameters), process.Usage(1, 1, 1))
    assert not holds(test_accuracy.test_accuracy_is_close_to_the_published, one)


@pytest.mark.parametrize(
    ("page", "took", "expected"),
    [
        (2_000_000, {"memory": 2, "seconds": 300}, True),
        (2_000_001, {"memory": 2, "seconds": 300}, False),
        (1, {"memory": 2.01, "seconds": 300}, False),
        (1, {"memory": 2, "seconds": 301}, False),
    ],
)
def test_the_bounds_of_a_large_study(
    page: int, took: dict[str, float], expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page of 2 MB, 2 GiB and five minutes are allowed, for ten thousand seeds."""
    assert test_large_study.SEEDS == 10_000
    assert "spread(10000)" in test_large_study.FINDINGS

    def python(*arguments: str) -> dict[str, float]:
        # Its bytes count, not its characters.
        Path(arguments[-1], "report.html").write_bytes("é".encode() * (page // 2) + b"x" * (page % 2))
        return took

    monkeypatch.setattr(process, "python", python)
    benchmark = test_large_study.test_ten_thousand_seeds_make_a_small_page
    assert holds(lambda measured: benchmark(measured, tmp_path)) == expected


@pytest.mark.parametrize(
    ("seconds", "given", "expected"),
    [
        (115, ["same", "same"], True),
        (115.2, ["same", "same"], False),
        (100, ["other", "same"], False),
        (100, ["same", "other"], False),
        (100, ["same"], False),
    ],
    ids=["as long as it may", "longer", "first", "second", "one is missing"],
)
def test_the_bound_of_a_shard(
    seconds: float, given: list[str], expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shard takes at most 1.15 of a study of two epochs on one core, here 100 s, and gives the bytes of each seed."""
    asked, begun = list[Any](), threading.Event()

    def studied(settings: Settings, seeds: int, jobs: int, folder: Path) -> process.Study:
        asked.append((settings.epochs, seeds, jobs))
        (folder / "seeds").mkdir(parents=True)
        for seed in range(2):
            (folder / "seeds" / f"{seed}.json").write_text("same")
        # Each has a core of its own: one after the other, both would be measured on a machine that does less.
        assert begun.wait(10)
        return study(1, seconds=100)

    def used(_: str, __: str, arguments: str, folder: str) -> process.Usage:
        begun.set()
        told = json.loads(arguments)
        asked.append((told["epochs"], told["shard"]))
        Path(folder, "seeds").mkdir(parents=True)
        for seed, content in enumerate(given):
            Path(folder, "seeds", f"{seed}.json").write_text(content)
        return process.Usage(seconds, 1, 1)

    monkeypatch.setattr(process, "study", studied)
    monkeypatch.setattr(process, "used", used)
    benchmark = test_shards.test_a_shard_costs_what_a_study_costs
    assert holds(lambda measured: benchmark(Settings(), measured, tmp_path)) == expected
    assert asked == [(2, 20, 1), (2, shards.name(range(20)))]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, True),
        ({"study/SHA256SUMS": "1" * 7 + "\n" * 16}, False),
        ({"study/report.html": 'other<section aria-labelledby="record">'}, False),
        ({"study/report.html": 'pages<section aria-labelledby="x">other<section aria-labelledby="record">'}, False),
        (
            {"study/report.html": 'pages<section aria-labelledby="x">same<section aria-labelledby="record">elsewhere'},
            True,
        ),
        ({"here/SHA256SUMS": "\n" * 14, "study/SHA256SUMS": "\n" * 14}, False),
    ],
    ids=["same", "sums", "page", "later on the page", "record", "few files"],
)
def test_shards_with_other_bytes_are_seen(
    change: dict[str, str], expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file that must be the same is compared, and the page up to its record; all files are there."""
    written = {
        f"{folder}/{name}": text
        for folder in ("here", "study")
        for name, text in (
            ("SHA256SUMS", "\n" * 15),
            ("report.html", 'pages<section aria-labelledby="x">same<section aria-labelledby="record">here'),
        )
    }
    asked: list[Any] = []

    def write(folder: str, *given: Any) -> None:
        asked.append(given[:3])
        (tmp_path / folder).mkdir(parents=True)
        for name, text in (written | change).items():
            if name.startswith(folder):
                (tmp_path / name).write_text(text)

    monkeypatch.setattr(process, "study", partial(write, "here"))
    monkeypatch.setattr(shard_folder, "train_shard", lambda settings, seeds, _: asked.append((settings, seeds)))
    monkeypatch.setattr(runs_study, "gather", partial(write, "study"))
    benchmark = test_shards.test_shards_give_the_same_bytes
    assert holds(lambda measured: benchmark(5, 3, measured, tmp_path)) == expected
    one_epoch, divided = Settings(epochs=1, seed=1000), shards.divide(5, 1000, 3)
    # The study is done beside the shards.
    assert (one_epoch, 5, 1) in asked[:-1]
    asked.remove((one_epoch, 5, 1))
    assert asked == [
        *((replace(one_epoch, seed=one[0]), one) for one in divided),
        (one_epoch, range(1000, 1005), [tmp_path / shards.name(one) for one in divided]),
    ]


def trap(**changes: Any) -> dict[str, Any]:
    """Return the recorded table of the seeding trap, with other values of some part."""
    return {**TRAP, **{part: TRAP[part] | values for part, values in changes.items()}}


def test_the_recorded_trap_holds() -> None:
    """On what was measured all three benchmarks of the trap pass."""
    assert holds(lambda measured: test_seeding_trap.test_fit_seeded_by_keras_has_one_order(TRAP, measured, Settings()))
    assert holds(test_seeding_trap.test_a_repeated_order_costs_accuracy, TRAP)
    assert holds(test_seeding_trap.test_the_engine_is_as_accurate_as_the_unseeded_fit, TRAP)


@pytest.mark.parametrize(
    ("benchmark", "changes"),
    [
        ("test_a_repeated_order_costs_accuracy", {"seeded - unseeded": {"difference": 0.001}}),
        ("test_a_repeated_order_costs_accuracy", {"seeded - unseeded": {"p of Welch": 0.05}}),
        ("test_the_engine_is_as_accurate_as_the_unseeded_fit", {"engine - unseeded": {"p of equivalence": 0.05}}),
    ],
    ids=["gains", "unsure", "not equivalent"],
)
def test_a_trap_that_is_none_fails(benchmark: str, changes: dict[str, Any]) -> None:
    """Where seeding does not cost accuracy, or the engine may, the benchmark fails."""
    assert not holds(getattr(test_seeding_trap, benchmark), trap(**changes))


def test_a_run_of_the_trap_is_kept_by_what_decides_it() -> None:
    """Parameters and versions of libraries, and for the engine its code; what is told of runs has no long lists."""
    known = {"variant", "compile_optimizer", "epochs", "validation_split", "seed", "keras", "tensorflow"}
    assert test_seeding_trap.key("unseeded", Settings()).keys() == known
    assert test_seeding_trap.key("engine", Settings()).keys() == known | {"code"}
    measured: dict[str, Any] = {}
    test_seeding_trap.report(TRAP, measured, "seeded")
    assert measured["seeded"].keys() == {"runs", "orders", "mean", "deviation"}


@pytest.mark.parametrize("variant", ["seeded", "unseeded", "engine"])
def test_other_orders_than_expected_fail(variant: str) -> None:
    """A single run with another number of orders is seen."""
    orders = sorted({*TRAP["variants"][variant]["orders"], 9})
    variants = {**TRAP["variants"], variant: TRAP["variants"][variant] | {"orders": orders}}
    benchmark = test_seeding_trap.test_fit_seeded_by_keras_has_one_order
    assert not holds(lambda measured: benchmark({**TRAP, "variants": variants}, measured, Settings()))


@pytest.mark.parametrize("pair", ["seeded - unseeded", "engine - unseeded", "engine - seeded"])
def test_the_p_values_are_those_of_another_implementation(pair: str) -> None:
    """What was recorded of the trap is what statsmodels computes of its accuracies, and what the benchmark does."""
    a, b = (TRAP["variants"][name]["accuracies"] for name in pair.split(" - "))
    _, p, _ = weightstats.ttest_ind(a, b, usevar="unequal")
    p_equivalence, _, _ = weightstats.ttost_ind(a, b, -0.005, 0.005, usevar="unequal")
    interval = weightstats.CompareMeans.from_data(a, b).tconfint_diff(alpha=0.05, usevar="unequal")
    recorded = TRAP[pair]
    assert recorded["difference"] == pytest.approx(sum(a) / 20 - sum(b) / 20)
    assert recorded["p of Welch"] == pytest.approx(p)
    assert recorded["p of equivalence"] == pytest.approx(p_equivalence)
    assert recorded["interval"] == pytest.approx(list(interval))
    found = test_seeding_trap.compared(a, b)
    assert found.pop("interval") == pytest.approx(recorded["interval"])
    assert found == pytest.approx({name: value for name, value in recorded.items() if name != "interval"})


def test_the_programs_of_the_trap_fail_loudly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A training that fails is no measurement."""
    done = SimpleNamespace(returncode=1, stdout='{"accuracy": 0.88}', stderr="no data")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    with pytest.raises(AssertionError, match="seeded 0: expected exit code 0, got 1\n *no data"):
        test_seeding_trap.start("seeded", Settings())
