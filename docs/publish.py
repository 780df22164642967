"""Copy what the pages show of finished runs and studies into `docs/run` and `docs/studies`."""

import shutil
import sys
from pathlib import Path

#: Of a run: what the README shows, and what it is drawn from.
OF_A_RUN = ("loss_plot.png", "confusion_matrix.png", "metrics.json", "history.json", "confusion_matrix.csv")

DOCS = Path(__file__).parent

for folder in map(Path, sys.argv[1:]):
    if (folder / "study.json").exists():
        target = DOCS / "studies" / folder.name
        shutil.rmtree(target, ignore_errors=True)
        # All but the seeds' own files and the report.
        shutil.copytree(folder, target, ignore=shutil.ignore_patterns("seeds", "report.html", "log.txt"))
    else:
        (DOCS / "run").mkdir(exist_ok=True)
        for name in OF_A_RUN:
            shutil.copy(folder / name, DOCS / "run")
