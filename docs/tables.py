"""The tables of the pages, made from data: `python docs/tables.py` writes them, and with `--check` only compares."""

import ast
import csv
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from configparser import ConfigParser
from dataclasses import fields
from inspect import signature
from pathlib import Path
from typing import Any, TypeGuard

import click
import yaml

from fmnist import _HOMES
from fmnist.cli import fmnist, same
from fmnist.pipeline import COMPONENTS
from fmnist.replication import published
from fmnist.steps.files import ARTIFACT_FILES
from fmnist.steps.settings import Settings

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"

#: The pages, from the root of the project.
PAGES = ("README.md", "CONTRIBUTING.md", *sorted(f"docs/{path.name}" for path in DOCS.glob("*.md")))

#: The modules whose names other code may import.
API = (
    "fmnist",
    "fmnist.kubeflow.code",
    "fmnist.kubeflow.components",
    "fmnist.orders",
    "fmnist.pipeline",
    "fmnist.steps.errors",
    "fmnist.testing",
)

#: The modules of the names that `fmnist` itself has.
HOMES = {name: f"fmnist.{home}" for name, home in _HOMES.items()}

#: The command lines, by the names of their programs.
PROGRAMS: Mapping[str, click.Command] = {"fmnist": fmnist.main, "same": same.main}


def read(name: str) -> Any:
    """Return what a JSON file of docs/ holds."""
    return json.loads((DOCS / name).read_bytes())


def table(header: str, rows: Iterable[Iterable[object]]) -> str:
    """Return a Markdown table; the header's cells are separated by bars."""
    cells = [[str(cell).replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    lines = [header.split("|"), ["---"] * len(header.split("|")), *cells]
    return "".join(f"| {' | '.join(cell.strip() for cell in line)} |\n" for line in lines)


def metrics() -> str:
    """Return the metrics of the run that the README shows, beside what was published for its parameters."""
    accuracy, loss = (f"{read('run/metrics.json')[name]:.4f}" for name in ("accuracy", "loss"))
    settings = {field.name: field.default for field in fields(Settings)}
    known = ", ".join(f"{one.accuracy:.4f} ({one.by})" for one in published.matching(settings))
    return table("metric | this run | published", [("accuracy", f"**{accuracy}**", known), ("loss", loss, "")])


def verdicts() -> Iterator[dict[str, Any]]:
    """Give each verdict of the confirmatory study, with its parameters."""
    for folder in sorted((DOCS / "studies").iterdir()):
        parameters = json.loads((folder / "study.json").read_bytes())["parameters"]
        for verdict in json.loads((folder / "verdict.json").read_bytes()):
            yield {**verdict, **parameters}


def study() -> str:
    """Return what the confirmatory study found of each published figure."""
    rows = [
        (
            f"{one['published']:.4f} ({one['name']})",
            f"{one['epochs']} epochs, validation {one['validation_split']:.2f}",
            one["n"],
            f"{one['mean']:.4f}",
            f"{one['deviation']:.4f}",
            f"{'yes' if one['plausible'] else 'no'}, p = {one['p_rank']:.3f}",
            f"{'yes' if one['equivalent'] else 'no'}, {p(one['p_equivalence'])}",
            f"**{one['outcome']}**",
        )
        for one in verdicts()
    ]
    [margin] = {one["margin"] for one in verdicts()}
    return table(f"published|parameters|seeds|mean|s.d.|plausible?|equivalent, ±{margin}?|verdict", rows)


def p(value: float) -> str:
    """Return a p-value as people write it."""
    return f"p = {value:.3f}" if value >= 0.001 else "p < 0.001"  # noqa: PLR2004 - where three digits end


def trap() -> str:
    """Return what each kind of training of the seeding trap gave."""
    names = {
        "seeded": "`fit`, after `keras.utils.set_random_seed`",
        "unseeded": "`fit`, unseeded: the tutorial as published",
        "engine": "fmnist, seeded",
    }
    rows = [
        (names[name], ", ".join(map(str, one["orders"])), one["runs"], f"{one['mean']:.4f}", f"{one['deviation']:.4f}")
        for name, one in read("seeding_trap.json")["variants"].items()
    ]
    return table("training | orders in 10 epochs | trainings | mean | s.d.", rows)


def parameters() -> str:
    """Return the parameters of a run: what they mean, and their defaults."""
    described = golden()["root"]["inputDefinitions"]["parameters"]
    rows = [(f"`{one.name}`", described[one.name]["description"], f"`{one.default}`") for one in fields(Settings)]
    return table("parameter | meaning | default", rows)


#: Where the function is that each step calls.
STEPS: Mapping[str, str] = {"train": "training", "test": "evaluation", "confusion-matrix": "confusion"}


def stage(name: str) -> str:
    """Return what a step takes and gives: each output with what it is, and what it looks like in the run shown."""
    component = golden()["components"][f"comp-{name}"]
    taken, given = ({**component.get(f"{way}Definitions", {}).get("artifacts", {})} for way in ("input", "output"))
    inputs = [f"`{key}`{said(key, one)}" for key, one in taken.items()] or [" the [parameters](#parameters)."]
    shown = [
        f"**`{key}`**{said(key, given[key])}\n\n{look(key)}"
        for key in signature(COMPONENTS[name]).parameters
        if key in given
    ]
    code = f"[the function](../fmnist/steps/{STEPS[name]}.py), and [the component](../fmnist/kubeflow/components.py)"
    return "\n\n".join([f"Takes {' '.join(inputs).strip()}", f"Code: {code} that calls it.", "Gives:", *shown])


def said(key: str, artifact: Mapping[str, Any]) -> str:
    """Return an artifact's type and description, as the compiled pipeline has them, and its name in a run's folder."""
    kind = artifact["artifactType"]["schemaTitle"].removeprefix("system.")
    name = f" `fmnist run` names it `{ARTIFACT_FILES[key]}`." if key in ARTIFACT_FILES else ""
    return f" (*{kind}*): {artifact['description']}{name}"


def look(artifact: str) -> str:
    """Return what an artifact looks like: a picture, a table, or the beginning of a file."""
    excerpts = read("run/excerpts.json")
    pictures = {
        "model": (
            "model.png",
            750,
            "Of 24 hidden units, the weight of each pixel: purple counts for the unit, orange against.",
        ),
        "loss_plot": ("loss_plot.png", 750, "Loss and accuracy of 10 epochs, for training and validation."),
        "loss_page": ("loss_page.png", 500, "A page with the same curves, and below them a table of their numbers."),
        "results": ("results.png", 750, "The first five test images, with prediction, confidence and true class."),
        "matrix_plot": ("confusion_matrix.png", 560, "Confusion matrix of the 10,000 test images."),
    }
    found = []
    if artifact in pictures:
        file, width, alt = pictures[artifact]
        found.append(f'<img src="run/{file}" width="{width}" alt="{alt}">')
    if artifact == "results":
        found.append(fence("text", [*excerpts["results.csv"], "..."]))
    if artifact == "labels":
        columns = {name: lines for name, lines in excerpts.items() if name.startswith("labels/")}
        found.append(table("|".join(f"`{name}`" for name in columns), zip(*columns.values(), strict=True)).rstrip())
    if artifact in {"history", "metrics"}:
        lines = (DOCS / "run" / ARTIFACT_FILES[artifact]).read_text().splitlines()
        found.append(fence("text", lines if len(lines) < 10 else [*lines[:6], "..."]))  # noqa: PLR2004 - a short file
    if artifact in {"matrix", "classification"}:
        names, *rows = csv.reader((DOCS / "run" / ARTIFACT_FILES["matrix"]).read_text().splitlines())
        found.append(table("|".join(names), rows).rstrip() if artifact == "matrix" else metadata(names[1:], rows))
    return "\n\n".join(found)


def metadata(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return the beginning of what Kubeflow keeps of a confusion matrix."""
    from kfp.dsl import ClassificationMetrics

    kept = ClassificationMetrics()
    kept.log_confusion_matrix(list(names), [list(map(int, row[1:])) for row in rows])
    matrix = kept.metadata["confusionMatrix"]
    return fence("text", [f"{key}: {', '.join(map(json.dumps, matrix[key][:2]))}, ..." for key in sorted(matrix)])


def fence(language: str, lines: Iterable[str]) -> str:
    """Return lines of a file as a block of Markdown."""
    return "\n".join([f"```{language}", *lines, "```"])


def golden() -> Any:
    """Return the compiled pipeline."""
    return next(yaml.safe_load_all((ROOT / "tests" / "golden" / "pipeline_image.yml").read_text()))


def commands() -> str:
    """Return each command of both programs, with the first sentence of its help."""
    found = leaves("fmnist", fmnist.main) | leaves("same", same.main)
    return table("command | what it does", [(f"`{name}`", one.get_short_help_str(200)) for name, one in found.items()])


def options(name: str) -> str:
    """Return the options of a command, as its help has them."""
    program = name.partition(" ")[0]
    command = leaves(program, PROGRAMS[program])[name]
    records = (one.get_help_record(click.Context(command)) for one in command.params)
    return table(
        "option | meaning", [(f"`{one[0]}`", " ".join(one[1].split()).replace("<", "\\<")) for one in records if one]
    )


def leaves(name: str, command: click.Command) -> dict[str, click.Command]:
    """Return the commands below `command` that are no groups, by their full names."""
    if not isinstance(command, click.Group):
        return {name: command}
    below = (leaves(f"{name} {key}", one) for key, one in command.commands.items())
    return {key: one for found in below for key, one in found.items()}


def api() -> str:
    """Return the public names of each public module, with the first line of what is said of them."""
    parts = []
    for name in API:
        tree, _ = parsed(name)
        imports = [one for one in ast.walk(tree) if isinstance(one, ast.ImportFrom)]
        imported = {alias.name: str(one.module) for one in imports for alias in one.names}
        homes = HOMES if name == "fmnist" else imported
        names = next(ast.literal_eval(one.value or "") for one in tree.body if assigns(one, "__all__"))
        rows = [(f"`{one}`", meaning(one, *parsed(homes.get(one, name)))) for one in names]
        parts.append(f"**{name}**: {first_line(ast.get_docstring(tree))}\n\n{table('name | what it is', rows)}")
    return "\n".join(parts)


def parsed(name: str) -> tuple[ast.Module, str]:
    """Return a module's tree and source, without an import: some import Keras."""
    path = ROOT / name.replace(".", "/")
    source = (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text()
    return ast.parse(source), source


def meaning(name: str, tree: ast.Module, source: str) -> str:
    """Return what the docstring of a public name, or the comment above it, says first; without one this fails."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return first_line(ast.get_docstring(node))
        if assigns(node, name):
            lines = source.splitlines()[: node.lineno - 1]
            return (
                first_line(re.sub(r"^ *#: ?", "", lines[-1]))
                if re.match(" *#:", "".join(lines[-1:]))
                else first_line(None)
            )
    raise ValueError(f"public name {name}: expected a definition, got none")


def assigns(node: ast.AST, name: str) -> TypeGuard[ast.Assign | ast.AnnAssign]:
    """Return whether a statement gives `name` a value or a type."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return any(isinstance(one, ast.Name) and one.id == name for one in targets)


def first_line(text: str | None) -> str:
    """Return the first line of what is said of a public name."""
    if not text:
        raise ValueError("public name: expected a docstring, or a comment that begins with #:, got none")
    return text.partition("\n\n")[0].replace("\n", " ")


def exit_codes() -> str:
    """Return the exit codes, as the help of both programs has them."""
    meanings: dict[int, dict[str, str]] = {}
    for name, program in PROGRAMS.items():
        for line in (program.help or "").partition("Exit codes:\n")[2].partition("\n\n")[0].strip().splitlines():
            code, meaning = line.split(maxsplit=1)
            meanings.setdefault(int(code), {})[name] = meaning
    rows = [(code, *(meanings[code].get(name, "") for name in PROGRAMS)) for code in sorted(meanings)]
    return table(f"exit code | {' | '.join(f'`{name}`' for name in PROGRAMS)}", rows)


def mutants() -> str:
    """Return the share of mutants that the tests kill, module by module, and the modules that have none yet."""
    found: dict[str, dict[str, int]] = read("mutants.json")
    left = sorted(f"`{module}`" for module in _with_functions() if module not in found)
    all_of_them = {name: sum(one[name] for one in found.values()) for name in ("mutants", "killed")}
    rows = [
        (f"`{module}`", one["mutants"], f"{one['killed'] / one['mutants']:.1%}")
        for module, one in [*sorted(found.items()), ("fmnist", all_of_them)]
    ]
    return f"{table('module | mutants | killed', rows)}\n\nNot mutated yet: {', '.join(left) or 'none'}."


def _with_functions() -> Iterator[str]:
    """Yield the names of the package's modules that define functions."""
    for path in (ROOT / "fmnist").rglob("*.py"):
        if any(isinstance(node, ast.FunctionDef) for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))):
            yield ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def benchmarks() -> str:
    """Return what the benchmarks measured, or nothing where no result was published."""
    results = [json.loads(path.read_bytes()) for path in sorted(DOCS.glob("benchmarks/*.json"))]
    rows = [
        (
            name.removeprefix("test_").replace("_", " "),
            ", ".join(f"{key} {one[key]}" for key in shown(one)),
            one["outcome"],
        )
        for result in results
        for name, one in result["benchmarks"].items()
    ]
    cpus = {f"On {one['machine']['cpu']['model']}, with TensorFlow {one['versions']['tensorflow']}:" for one in results}
    return "\n\n".join([*sorted(cpus), table("benchmark | measured | outcome", rows)]) if results else ""


def shown(benchmark: Mapping[str, Any]) -> list[str]:
    """Return the names of what a benchmark measured, lists aside."""
    return [name for name, value in benchmark.items() if name != "outcome" and not isinstance(value, list)]


def faults() -> str:
    """Return how many faults are planted."""
    catalogue = tomllib.loads((ROOT / "tests" / "faults" / "catalogue.toml").read_text())
    return f"The [catalogue](../tests/faults/catalogue.toml) holds {len(catalogue)} faults."


def disturbances() -> str:
    """Return in how many ways results are disturbed, and how many of them are refused."""
    catalogue = tomllib.loads((ROOT / "tests" / "disturbances" / "catalogue.toml").read_text())
    refused = sum("message" in way for way in catalogue.values())
    return (
        f"The [catalogue](../tests/disturbances/catalogue.toml) holds {len(catalogue)} disturbances: {refused} are "
        "refused, and the others change no byte."
    )


def checks() -> str:
    """Return the checks: environments of tox, what they do, and how long that was measured to take."""
    tox = ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    described = {section.rpartition(":")[2]: tox[section].get("description") for section in tox.sections()}
    described["tests"] = described.pop("testenv")
    rows = [
        (f"`tox run -e {name}`", described[name], minutes(seconds)) for name, seconds in read("durations.json").items()
    ]
    return table("command | what it does | takes", rows)


def minutes(seconds: float | None) -> str:
    """Return a duration as people say it; None was not measured."""
    if seconds is None:
        return ""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"  # noqa: PLR2004 - two minutes


def hostile() -> str:
    """Return what failures and hostile input cannot do, with what was tried."""
    return table(
        "promise | tried | shown by",
        ((one["promise"], one["figure"], f"`{one['shown by']}`") for one in read("hostile.json")),
    )


def rooms() -> str:
    """Return the rooms of the package as a picture: layer by layer, with what their docstrings say of them."""
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    layers = [re.findall(r"\w+", layer) for layer in contract["layers"] if not layer.startswith("__")]
    rows = [("↓ " if layer != layers[0] and name == layer[0] else "  ", name) for layer in layers for name in layer]
    return "```text\n" + "".join(f"{arrow}{name:<14}{role(name)}\n" for arrow, name in rows) + "```"


def role(name: str) -> str:
    """Return how the docstring of a room, or of a module beside the rooms, starts."""
    path = ROOT / "fmnist" / name
    source = (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text()
    docstring = (ast.get_docstring(ast.parse(source)) or "").replace("`", "")
    return re.split(r"[:.]|(?<=\?)", docstring, maxsplit=1)[0]


def main(*options: str) -> int:
    """Run cog on all pages; return its exit code."""
    cog = [sys.executable, "-m", "cogapp", "-P", "-I", str(DOCS), "-p", "import tables", "--verbosity=1", *options]
    return subprocess.run([*cog, *PAGES], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(*(sys.argv[1:] or ["-r"])))
