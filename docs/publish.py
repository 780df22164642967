"""Copy what the README shows of finished studies into `docs/studies`: all but the seeds' own files and the report."""

import shutil
import sys
from pathlib import Path

for folder in map(Path, sys.argv[1:]):
    target = Path(__file__).parent / "studies" / folder.name
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns("seeds", "report.html", "log.txt"))
