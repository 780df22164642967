"""What Kubeflow's cache will do with a compiled pipeline, after a run of another one.

The key of a task has its image, command, values of parameters, numbers of input artifacts, types of outputs and names
of volumes, and a result counts for the pipeline's name; from Kubeflow Pipelines 2.18 on the key has the environment
too. An artifact has another number each time that a task makes it, whatever its bytes; from the cache, it keeps it.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from fmnist.cluster.pipeline_file import read_compiled
from fmnist.kubeflow import compiled
from fmnist.kubeflow.compiled import Task
from fmnist.steps.messages import excerpt, shown
from fmnist.steps.redaction import safe

__all__ = ["Change", "Forecast", "forecast"]

Outcome = Literal["hit", "run", "unknown", "new", "removed"]

_DIGEST = re.compile(r"(?<=require\(')[0-9a-f]{64}(?=')")

#: What a server gives as a parameter that no two runs share: names and times of the run, and how a task of it ended.
_OF_RUN = re.compile(r'"{{\$\.pipeline_(job_(resource_name|uuid|\w+_time_utc)|task_uuid)}}"|{"taskFinalStatus": .*')

#: The parts that are not in the key of each server, or in none, and what they may do even so.
_UNKEYED = {
    "condition": "under the other one it may not have run",
    "environment": "Kubeflow Pipelines before 2.18 do not look at it",
}


@dataclass(frozen=True)
class Change:
    """A part of a task's key that changed, and what of it, in words."""

    part: str
    what: list[str]


@dataclass(frozen=True)
class Forecast:
    """What the cache will do with a task.

    Attributes
    ----------
    task : str
        Its path.
    changes : list of Change
        The parts of its key that changed.
    cache : {"hit", "run", "unknown", "new", "removed"}
        Whether it would get its results from the cache, or run; ``unknown`` depends on what another task gives, or on
        the server.
    why : str
        What else decides, in words.
    """

    task: str
    changes: list[Change]
    cache: Outcome
    why: str = ""

    @property
    def sentence(self) -> str:
        """All of it in a line."""
        if self.cache in {"new", "removed"}:
            return safe(f"{self.task}: {self.cache}{', would run' * (self.cache == 'new')}")
        changed = "; ".join(f"{one.part} changed: {', '.join(one.what)}" for one in self.changes)
        outcome = {"hit": "would hit", "run": "would run", "unknown": "may hit"}[self.cache]
        return safe(f"{self.task}: {changed or 'unchanged'}, {outcome}{f': {self.why}' if self.why else ''}")

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)


def forecast(before: str | Path, after: str | Path) -> list[Forecast]:
    """Return what Kubeflow's cache will do with each task of the compiled file `after`, after a run of `before`.

    Both runs are taken to be in one namespace, with the defaults of their pipelines and equal values for all that has
    none, and what the first one left to be there still. Tasks follow each other as they run.

    Raises
    ------
    ContractError
        If one of the files is no compiled pipeline.
    """
    old, new = _keys(before), _keys(after)
    found: dict[str, Forecast] = {}
    waiting = list(new)
    while waiting:
        # One that takes nothing from those that wait; in a circle, which no server takes, any.
        ready = (name for name in waiting if not any(_is_from(one, waiting) for one in _producers(new[name])))
        name = next(ready, waiting[0])
        waiting.remove(name)
        found[name] = _forecast(name, new[name], old.get(name), found)
    removed = [Forecast(name, [], "removed") for name in old if name not in new]
    return [*found.values(), *removed]


def _forecast(name: str, key: Mapping[str, Any], old: Mapping[str, Any] | None, known: dict[str, Forecast]) -> Forecast:
    if old is None:
        return Forecast(name, [], "new")
    changes = [
        Change(part, words)
        for part in key
        if part not in {"asked", "caching", "imports", "mounted"}
        and (words := list(_words(part, old[part], key[part])))
    ]
    if key["imports"]:
        return Forecast(name, changes, "run", "it imports another artifact each time")
    if key["caching"] not in {"on", "off"} and key["caching"] == old["caching"]:
        return Forecast(name, changes, "hit", f"its key is {key['caching']}, whatever changed")
    if key["caching"] != "on" or old["caching"] != "on":
        return Forecast(name, changes, "run", f"its cache was {old['caching']}, and is {key['caching']}")
    own = [given for given, source in key["parameters"].items() if _OF_RUN.fullmatch(source["said"])]
    if own or {one.part for one in changes} - _UNKEYED.keys():
        return Forecast(name, changes, "run", *(f"each run has a {one} of its own" for one in own[:1]))
    on_its_own: tuple[Outcome, str] = ("unknown", _UNKEYED[changes[0].part]) if changes else ("hit", "")
    return Forecast(name, changes, *(_above(key, known) or on_its_own))


def _above(key: Mapping[str, Any], known: Mapping[str, Forecast]) -> tuple[Outcome, str] | None:
    """Return what the tasks that a task takes something from make of it, if they do."""
    again = [one for one in known.values() if one.cache in {"run", "new", "unknown"}]
    found: list[tuple[Outcome, str]] = []
    for one in again:
        for given, source in key["artifacts"].items():
            if _is_from(source, [one.task]):
                verb = "may run" if one.cache == "unknown" else "would run"
                outcome: Outcome = "unknown" if one.cache == "unknown" else "run"
                found.append((outcome, f"it takes {given} of {one.task}, which {verb} and make another artifact"))
        for given, source in key["parameters"].items():
            if _is_from(source, [one.task]):
                found.append(("unknown", f"{one.task} would have to give the same {given}"))
        if any(_is_from(source, [one.task]) for source in key["mounted"]):
            found.append(("unknown", f"{one.task} would have to give the same volume"))
        if any(_is_from(source, [one.task]) for source in key["asked"]):
            found.append(("unknown", f"what {one.task} gives decides whether it runs"))
    return next((one for one in found if one[0] == "run"), found[0] if found else None)


def _words(part: str, old: Any, new: Any) -> Iterator[str]:
    """Give what changed of a part of a key, in words."""
    if part == "code":
        if old != new:
            yield from _code_words(old, new)
    elif isinstance(new, dict):
        for name in sorted(old.keys() | new.keys()):
            if old.get(name) != new.get(name):
                secret = part == "environment"
                yield name if secret else f"{name} ({_said(old.get(name))} → {_said(new.get(name))})"
    elif isinstance(new, list):
        # What is there twice may be there once then.
        gone, more = Counter(old) - Counter(new), Counter(new) - Counter(old)
        yield from (f"- {one}" for one in gone.elements())
        yield from (f"+ {one}" for one in more.elements())
        if not gone and not more and old != new:
            yield "their order"
    elif old != new:
        yield f"{_said(old)} → {_said(new)}"


def _code_words(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    before, after = old["files"], new["files"]
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            yield f"{name}{' (new)' * (name not in before)}{' (removed)' * (name not in after)}"
    if old["program"] != new["program"]:
        yield "the function"
    if old["digests"] != new["digests"]:
        yield "what its image must hold"
    if before == after and old["archives"] != new["archives"]:
        yield "the archive, with equal files: their times, modes, owners or order"


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return excerpt(str(value["said"]), 60)
    return "nothing" if value is None else value if isinstance(value, str) else shown(value, 60)


def _keys(path: str | Path) -> dict[str, dict[str, Any]]:
    """Return the parts of each task's key, by the path of the task."""
    content, spec = read_compiled(path)
    platforms = compiled.documents(content)[1:]
    return {task.path: _key(task, spec, platforms) for task in compiled.tasks(spec)}


def _key(task: Task, spec: Mapping[str, Any], platforms: list[Mapping[str, Any]]) -> dict[str, Any]:
    options = task.spec.get("cachingOptions", {})
    program = task.program
    outputs = task.component.get("outputDefinitions", {})
    inputs = task.spec.get("inputs", {})
    types = {name: one.get("parameterType") for name, one in outputs.get("parameters", {}).items()}
    made = {name: [one.get("artifactType"), one.get("metadata")] for name, one in outputs.get("artifacts", {}).items()}
    defaults = {
        name: {"task": "", "said": json.dumps(one["defaultValue"], sort_keys=True)}
        for name, one in task.component.get("inputDefinitions", {}).get("parameters", {}).items()
        if "defaultValue" in one
    }
    return {
        "imports": bool((task.executor.get("importer") or {}).get("reimport")),
        "caching": options.get("cacheKey") or ("on" if options.get("enableCache") else "off"),
        "pipeline": spec["pipelineInfo"]["name"],
        "image": task.container.get("image", json.dumps(task.executor, sort_keys=True)),
        "code": {
            "files": task.code,
            "program": _DIGEST.sub("", compiled.ARCHIVE.sub("", program)),
            "digests": _DIGEST.findall(program),
            "archives": compiled.ARCHIVE.findall(program),
        },
        "packages": task.installation,
        "installer": task.installer,
        "command": [one for one in task.command if one != program],
        "parameters": defaults | _sources(task, spec, inputs.get("parameters", {}), "parameters"),
        "artifacts": _sources(task, spec, inputs.get("artifacts", {}), "artifacts"),
        "outputs": types | made,
        "mounted": (mounted := _volumes(task, spec, platforms)),
        "volumes": sorted({one["said"] for one in mounted}),
        "condition": [text for text, _ in _conditions(task, spec)],
        "asked": [source for _, asked in _conditions(task, spec) for source in asked],
        "environment": {one["name"]: one.get("value") or "" for one in task.container.get("env", ())},
    }


def _conditions(task: Task, spec: Mapping[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    """Give each condition of a task, or of a part that it is in, and where what it asks for comes from."""
    path = task.path.split("/")
    for depth in range(1, len(path) + 1):
        part = _part(path[:depth], spec)
        if text := part.get("triggerPolicy", {}).get("condition"):
            inputs = compiled.asked(part).values()
            yield text, [_source(path[: depth - 1], spec, one, "parameters") for one in inputs]


def _volumes(task: Task, spec: Mapping[str, Any], platforms: list[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return where the name of each mounted volume comes from: the key has names alone, not where they are mounted."""
    parts = [platform.get("deploymentSpec", {}) for one in platforms for platform in one.get("platforms", {}).values()]
    executors = [one.get("executors", {}).get(task.component["executorLabel"], {}) for one in parts]
    names = [mount.get("pvcNameParameter") or mount for one in executors for mount in one.get("pvcMount", ())]
    return list(_sources(task, spec, dict(enumerate(names)), "parameters").values())


def _sources(task: Task, spec: Mapping[str, Any], inputs: Mapping[Any, Any], kind: str) -> dict[Any, Any]:
    """Return where each input of a task comes from, up to the pipeline's own parameters."""
    return {name: _source(task.path.split("/")[:-1], spec, one, kind) for name, one in inputs.items()}


def _source(above: list[str], spec: Mapping[str, Any], given: Mapping[str, Any], kind: str) -> dict[str, str]:
    """Return the task that an input comes from, if it comes from one, and what it is, in words."""
    singular = kind.removesuffix("s").capitalize()
    chosen = f", of which {given['parameterExpressionSelector']}" if "parameterExpressionSelector" in given else ""
    if (output := given.get(f"taskOutput{singular}")) is not None:
        task = "/".join([*above, str(output.get("producerTask"))])
        return {"task": task, "said": f"{output.get(f'output{singular}Key')} of {task}{chosen}"}
    name = given.get(f"componentInput{singular}")
    if name is None:
        value = given.get("runtimeValue", given)
        return {"task": "", "said": json.dumps(value.get("constant", value), sort_keys=True) + chosen}
    if not above:
        definition = spec["root"].get("inputDefinitions", {}).get(kind, {}).get(name, {})
        default = f", {json.dumps(definition['defaultValue'])} by default" if "defaultValue" in definition else ""
        return {"task": "", "said": f"the pipeline's {name}{default}{chosen}"}
    part = _part(above, spec)
    inner, each = part.get("inputs", {}).get(kind, {}).get(name), ""
    for iterator in (part.get("parameterIterator", {}), part.get("artifactIterator", {})):
        if iterator.get("itemInput") == name:
            items, each = iterator.get("items", {}), "each of "
            listed = {"runtimeValue": {"constant": items.get("raw")}}
            inner = part.get("inputs", {}).get(kind, {}).get(items.get(f"input{singular}"), listed)
    found = _source(above[:-1], spec, inner or {}, kind)
    return {"task": found["task"], "said": f"{each}{found['said']}{chosen}"}


def _part(path: list[str], spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the task that stands for a part of the pipeline."""
    component: Mapping[str, Any] = spec["root"]
    task: Mapping[str, Any] = {}
    for name in path:
        task = component["dag"]["tasks"][name]
        component = spec["components"][task["componentRef"]["name"]]
    return task


def _producers(key: Mapping[str, Any]) -> list[Any]:
    return [*key["artifacts"].values(), *key["parameters"].values(), *key["mounted"], *key["asked"]]


def _is_from(source: Mapping[str, str], names: list[str]) -> bool:
    """Return whether a source is one of the tasks, or a part of the pipeline that one is in."""
    task = source["task"]
    return any(task and (name == task or name.startswith(f"{task}/")) for name in names)
