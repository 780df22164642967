"""What the findings of a large study cost: table, verdicts, pictures and report of ten thousand made-up seeds."""

from pathlib import Path
from typing import Any

from benchmarks import process

SEEDS = 10_000

FINDINGS = f"""
import json, resource, sys, time
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parents[1] / "tests")!r})
import numpy as np
from fmnist.replication.sample import Mistake
from fmnist.runs import findings
from support import samples

random = np.random.default_rng(0)
def mistakes():
    return [Mistake(int(i), int(i) % 10, (int(i) + 1) % 10, 0.5) for i in random.choice(10_000, 1_190, replace=False)]
accuracies = samples.spread({SEEDS})
sample = samples.study_sample([samples.result(i, one, mistakes=mistakes()) for i, one in enumerate(accuracies)])
started = time.perf_counter()
findings.write_findings(sample, Path(sys.argv[1]))
usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(json.dumps({{"seconds": time.perf_counter() - started, "memory": usage}}))
"""


def test_ten_thousand_seeds_make_a_small_page(measured: dict[str, Any], tmp_path: Path) -> None:
    """The page has at most 2 MB; writing all findings takes at most 2 GiB and, on a core of this machine, 5 minutes."""
    took = process.python("-c", FINDINGS, str(tmp_path))
    page = (tmp_path / "report.html").stat().st_size
    measured |= {"seconds": round(took["seconds"], 1), "GiB": round(took["memory"], 2), "page MB": round(page / 1e6, 2)}
    assert page <= 2_000_000
    assert took["memory"] <= 2
    assert took["seconds"] <= 300
