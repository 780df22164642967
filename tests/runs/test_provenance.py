"""Tests of what is recorded beside a result, so that somebody can repeat it."""

import importlib.metadata
import platform
import time
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from fmnist.kubeflow import bundle
from fmnist.runs import provenance
from fmnist.steps import determinism
from fmnist.steps.settings import Settings


def test_what_decides_the_bits_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions, code, data and switches, by name; what is not installed, as this package in a step, has no version.

    The switches are those of the steps, whatever this process has.
    """
    monkeypatch.setenv("XLA_FLAGS", "--fast")
    versions = {"fmnist": "0.1", "numpy": "2.4"}

    def version(name: str) -> str:
        if name == "fmnist":
            raise importlib.metadata.PackageNotFoundError
        return versions.get(name, "1.0")

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(platform, "python_version", lambda: "3.11.99")
    found = provenance.provenance()
    assert list(found["versions"].items()) == [
        ("h5py", "1.0"),
        ("keras", "1.0"),
        ("kfp", "1.0"),
        ("matplotlib", "1.0"),
        ("numpy", "2.4"),
        ("pillow", "1.0"),
        ("python", "3.11.99"),
        ("scikit-learn", "1.0"),
        ("scipy", "1.0"),
        ("tensorflow", "1.0"),
    ]
    assert list(found["data"].items()) == [
        ("t10k-images-idx3-ubyte", "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"),
        ("t10k-labels-idx1-ubyte", "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"),
        ("train-images-idx3-ubyte", "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"),
        ("train-labels-idx1-ubyte", "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"),
    ]
    assert found["switches"] == determinism.SWITCHES
    assert found["switches"] is not determinism.SWITCHES
    assert list(found) == ["versions", "code", "data", "switches"]
    steps, judging = bundle.digest(bundle.STEPS), bundle.digest(bundle.REPLICATION)
    assert found["code"] == {"sha256": steps}
    assert provenance.provenance(bundle.REPLICATION)["code"] == {"sha256": judging}


def test_a_plan_has_parameters_seeds_and_what_decides() -> None:
    """The seed of the settings is none of the study's."""
    plan = provenance.plan(Settings(epochs=3, seed=9), range(5, 12))
    assert plan["parameters"] == {"compile_optimizer": "adam", "epochs": 3, "validation_split": 0.05}
    assert plan["seeds"] == {"first": 5, "count": 7}
    decisive = {name: plan[name] for name in ("versions", "code", "data", "switches")}
    assert decisive == provenance.provenance(bundle.REPLICATION)
    assert len(plan) == 6


def test_start_seconds_and_machine_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The start in UTC, tenths of a second, and the machine with its caveat."""
    seconds = iter([100.0, 112.34, 99.0])
    moments = iter([datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC), datetime(2026, 1, 2, 3, 4, 18, 0, UTC)])
    monkeypatch.setattr(time, "monotonic", lambda: next(seconds))
    monkeypatch.setattr(provenance, "datetime", SimpleNamespace(now=lambda zone: next(moments).replace(tzinfo=zone)))
    monkeypatch.setattr(determinism, "caveat", lambda: "other bits")
    monkeypatch.setattr(determinism, "cpu", lambda: {"model": "a CPU"})
    monkeypatch.setattr(platform, "system", lambda: "Plan 9")
    stop = provenance.stopwatch()
    next(moments)
    found = stop()
    assert found["machine"] == {"system": "Plan 9", "cpu": {"model": "a CPU"}, "caveat": "other bits"}
    assert found["seconds"] == 12.3
    assert found["started"] == "2026-01-02T03:04:05+00:00"
    assert list(found) == ["machine", "started", "seconds"]
    # Below 0 none can be read again: faketime, which the variables of a process switch on, ends where they go.
    assert stop()["seconds"] == 0.0


def test_differences_are_named_by_their_path() -> None:
    """What is there on one side only differs too; what is equal does not."""
    before = {"XX": 1, "b": {"c": 1, "d": {"e": 2}}, "a": None, "g": {}, "n": 1, "same": [1], "x.": 0}
    now = {"XX": 2, "b": {"c": 1, "d": {"e": 3}}, "f": 0, "g": {"h": 0}, "n": "1", "same": [1], "x.": 0}
    assert list(provenance.differences(before, now).items()) == [
        ("XX", (1, 2)),
        ("a", (None, "not there")),
        ("b.d.e", (2, 3)),
        ("f", ("not there", 0)),
        ("g.h", ("not there", 0)),
        ("n", (1, "1")),
    ]
    assert provenance.differences(now, now) == {}
