"""Copy what the pages show into docs: from folders of runs and studies, and from results in `benchmarks/results`."""

import shutil
import sys
from pathlib import Path

#: Of a run: what the README shows, and what it is drawn from.
OF_A_RUN = ("loss_plot.png", "confusion_matrix.png", "metrics.json", "history.json", "confusion_matrix.csv")

DOCS = Path(__file__).parent

for path in map(Path, sys.argv[1:]):
    if path.is_file():
        (DOCS / "benchmarks").mkdir(exist_ok=True)
        shutil.copy(path, DOCS if path.name == "mutants.json" else DOCS / "benchmarks")
    elif (path / "study.json").exists():
        target = DOCS / "studies" / path.name
        shutil.rmtree(target, ignore_errors=True)
        # All but the seeds' own files and the report.
        shutil.copytree(path, target, ignore=shutil.ignore_patterns("seeds", "report.html", "log.txt", "RECORD.sha256"))
    else:
        (DOCS / "run").mkdir(exist_ok=True)
        for name in OF_A_RUN:
            shutil.copy(path / name, DOCS / "run")
