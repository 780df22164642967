"""Run mutmut anew, print its score, module by module, and exit with 1 if it is below 90 %."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

#: Where the score goes; `docs/publish.py` copies it for the pages.
RESULT = Path("benchmarks", "results", "mutants.json")

#: The smallest share of mutants that the tests must kill.
TARGET = 0.9


def results() -> dict[str, Counter[str]]:
    """Return how many mutants ended how ("killed", "survived", ...), by module."""
    command = ["mutmut", "results", "--all", "true"]
    counts: dict[str, Counter[str]] = {}
    for line in subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines():
        mutant, _, status = line.strip().rpartition(": ")
        counts.setdefault(mutant.rpartition(".")[0], Counter())[status] += 1
    return counts


def main() -> int:
    """Write a line for each module and one for all; a time-out is a kill: such a mutant never ends."""
    shutil.rmtree("mutants", ignore_errors=True)
    # In CI Hypothesis draws the same examples for each mutant.
    subprocess.run(["mutmut", "run"], check=True, env=os.environ | {"CI": "true"})
    counts = results()
    scores = {name: {"mutants": row.total(), "killed": row["killed"] + row["timeout"]} for name, row in counts.items()}
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(scores, indent=2) + "\n")
    score = 0.0
    sys.stdout.write(f"{'module':<30}{'mutants':>9}{'killed':>9}{'timeout':>9}{'other':>9}{'score':>9}\n")
    for module, row in (counts | {"all": sum(counts.values(), Counter[str]())}).items():
        killed, timeout, mutants = row["killed"], row["timeout"], row.total()
        score = (killed + timeout) / max(mutants, 1)
        other = mutants - killed - timeout
        sys.stdout.write(f"{module:<30}{mutants:>9}{killed:>9}{timeout:>9}{other:>9}{score:>9.1%}\n")
    return int(score < TARGET)


if __name__ == "__main__":
    sys.exit(main())
