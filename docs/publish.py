"""Copy what the pages show into docs: of finished runs and studies, given as folders, and of results of benchmarks."""

import shutil
import sys
from pathlib import Path

#: Of a run: what the README shows, and what it is drawn from.
OF_A_RUN = ("loss_plot.png", "confusion_matrix.png", "metrics.json", "history.json", "confusion_matrix.csv")

DOCS = Path(__file__).parent

for path in map(Path, sys.argv[1:]):
    if path.is_file():
        (DOCS / "benchmarks").mkdir(exist_ok=True)
        shutil.copy(path, DOCS / "benchmarks")
    elif (path / "study.json").exists():
        target = DOCS / "studies" / path.name
        shutil.rmtree(target, ignore_errors=True)
        # All but the seeds' own files and the report.
        shutil.copytree(path, target, ignore=shutil.ignore_patterns("seeds", "report.html", "log.txt"))
    else:
        (DOCS / "run").mkdir(exist_ok=True)
        for name in OF_A_RUN:
            shutil.copy(path / name, DOCS / "run")
