"""What a study in shards costs on a cluster, and that it gives there what it gives here, with real training."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import process
from fmnist.kubeflow import local
from fmnist.runs import shard_folder, shards, study
from fmnist.steps.settings import Settings
from fmnist.testing import contents

#: Does what the step of a shard does, in a process of its own.
SHARD = """
import json, sys
from kfp import dsl
from fmnist.runs.study_pipeline import shard
parameters, folder = json.loads(sys.argv[1]), sys.argv[2]
shard(**parameters, results=dsl.Dataset(name="results", uri=folder))
"""

SIZE = 20


def test_a_shard_costs_what_a_study_costs(settings: Settings, measured: dict[str, Any], tmp_path: Path) -> None:
    """A shard of 20 seeds, from its process' start to its end, takes at most 1.15 of `fmnist study` on one core.

    Of two epochs: what a shard adds counts for most beside a short training.
    """
    short = replace(settings, epochs=2)
    parameters = {name: value for name, value in asdict(short).items() if name != "seed"}
    arguments = json.dumps(parameters | {"shard": shards.name(range(settings.seed, settings.seed + SIZE))})
    # At once, each on a core of its own: what else the machine does makes both longer.
    with ThreadPoolExecutor() as both:
        studied = both.submit(process.study, short, SIZE, 1, tmp_path / "here")
        there = process.used("-c", SHARD, arguments, str(tmp_path / "there"))
        here = studied.result().usage
    measured |= {"study, seconds": round(here.seconds, 1), "shard, seconds": round(there.seconds, 1)}
    measured |= {
        "study, core seconds": round(here.core_seconds, 1),
        "shard, core seconds": round(there.core_seconds, 1),
    }
    measured |= {"peak GiB": round(there.memory, 3), "ratio": round(there.seconds / here.seconds, 3)}
    assert contents(tmp_path / "there" / "seeds") == contents(tmp_path / "here" / "seeds")
    assert measured["ratio"] <= 1.15


@pytest.mark.parametrize(("count", "number"), [(1, 1), (20, 3), (60, 7)])
def test_shards_give_the_same_bytes(count: int, number: int, measured: dict[str, Any], tmp_path: Path) -> None:
    """1, 20 and 60 seeds in 1, 3 and 7 shards: each file that must be the same is the same, report aside."""
    folder, settings, divided = tmp_path / "here", Settings(epochs=1, seed=1000), shards.divide(count, 1000, number)
    (tmp_path / "tmp").mkdir()
    with local.confined(tmp_path / "tmp"), ThreadPoolExecutor() as both:
        studied = both.submit(process.study, settings, count, 1, folder)
        for shard in divided:
            shard_folder.train_shard(replace(settings, seed=shard[0]), shard, tmp_path / shards.name(shard))
        studied.result()
        found = [tmp_path / shards.name(shard) for shard in divided]
        study.gather(settings, range(1000, 1000 + count), found, tmp_path / "study")
    measured |= {"seeds": count, "shards": len(divided)}
    sums = (folder / "SHA256SUMS").read_text()
    assert (tmp_path / "study" / "SHA256SUMS").read_text() == sums
    assert len(sums.splitlines()) >= count + 10
    record = '<section aria-labelledby="record">'
    pages = [(one / "report.html").read_text().split(record)[0] for one in (folder, tmp_path / "study")]
    assert pages[0] == pages[1]
