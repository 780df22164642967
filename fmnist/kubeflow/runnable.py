"""What kfp's local runner needs of a compiled pipeline, what this environment lacks for it, and what it leaves."""

import contextlib
import copy
import glob
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.version import Version

from fmnist.kubeflow.compiled import LARGEST, tasks, without_installation
from fmnist.kubeflow.loops import with_inputs
from fmnist.kubeflow.needs import needed
from fmnist.kubeflow.requirements import one_version
from fmnist.kubeflow.values import written
from fmnist.steps.errors import ContractError, StepError
from fmnist.steps.files import read

__all__ = ["collect", "made", "missing", "outputs", "separated", "settle"]


def made(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document of a pipeline as kfp's local runner needs it.

    No step installs, each task has its folder, none has the name of the pipeline, and the turns of a loop follow each
    other: side by side they would mix what they print, and leave this process with another `print`. A condition has
    its inputs.
    """
    document = separated(spec)
    for part in [document["root"], *document["components"].values()]:
        for task in part.get("dag", {}).get("tasks", {}).values():
            if task.keys() & {"parameterIterator", "artifactIterator"}:
                task["iteratorPolicy"] = {"parallelismLimit": 1}
            if task.get("triggerPolicy", {}).get("condition"):
                component = document["components"][task["componentRef"]["name"]]
                task["triggerPolicy"]["condition"] = with_inputs(task, component)
    for executor in document["deploymentSpec"]["executors"].values():
        if command := executor.get("container", {}).get("command"):
            executor["container"]["command"] = without_installation(command)
    if info := document.get("pipelineInfo"):
        info["name"] = _other_name(info["name"], {*document["components"], *document["deploymentSpec"]["executors"]})
    return document


def _other_name(pipeline: str, keys: set[str]) -> str:
    """Return a name for a pipeline by which kfp takes none of its components and executors for the whole of it."""
    from kfp.dsl.utils import sanitize_component_name, sanitize_executor_label

    while {sanitize_component_name(pipeline), sanitize_executor_label(pipeline)} & keys:
        pipeline += "-pipeline"
    return pipeline


def separated(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document of a pipeline with a component for each task, by the path of that task.

    Two tasks may share a component, and kfp's local runner names a task's folder after that: one task's files would
    replace the other's.
    """
    made = copy.deepcopy(dict(spec))
    components, made["components"] = made.get("components", {}), {}
    waiting: list[tuple[str, dict[str, Any]]] = [("", made.get("root", {}))]
    while waiting:
        above, part = waiting.pop(0)
        for name, task in part.get("dag", {}).get("tasks", {}).items():
            key = f"comp-{above}{name}"
            component = copy.deepcopy(components[task["componentRef"]["name"]])
            task["componentRef"]["name"], made["components"][key] = key, component
            waiting.append((f"{above}{name}/", component))
    return made


def outputs(spec: Mapping[str, Any], folder: Path) -> dict[str, dict[str, Any]]:
    """Return what kfp's local runner left in `folder`, by task and by name: artifacts and values."""
    found: dict[str, dict[str, Any]] = {}
    for task in tasks(spec):
        kinds = task.component.get("outputDefinitions", {}).get("artifacts", {})
        for place in sorted(folder.glob(f"*/**/{glob.escape(task.path)}/")):
            loops = place.relative_to(folder).as_posix().removesuffix(task.path).split("/")[1:-1]
            if not (name := _named(task.path, loops)):
                continue  # a task of this name in another part
            output = place / "executor_output.json"
            document = json.loads(read(output, LARGEST)) if output.exists() else {}
            told = {one: of["artifacts"][0] for one, of in document.get("artifacts", {}).items() if of.get("artifacts")}
            artifacts = {
                one: _artifact(one, kind["artifactType"], place / one, told.get(one, {}))
                for one, kind in kinds.items()
                if (place / one).exists() or one in told
            }
            values = _written(task.component.get("outputDefinitions", {}).get("parameters", {}), place)
            found[name] = {**artifacts, **values, **document.get("parameterValues", {})}
    return found


def collect(command: Sequence[str], folder: str) -> None:
    """Do with all outputs of a step what `settle` does, before its working `folder` is gone.

    Without a `command` there is nothing to do.
    """
    given = (
        json.loads(command[command.index("--executor_input") + 1])["outputs"] if "--executor_input" in command else {}
    )
    told: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError):  # it told nothing, or what is refused later
        told = json.loads(Path(given.get("outputFile", "")).read_bytes()).get("artifacts", {})
    for name, one in given.get("artifacts", {}).items():
        own = (told.get(name, {}).get("artifacts") or [{}])[0].get("custom_path")
        settle(name, Path(one["artifacts"][0]["uri"]), own and Path(folder, own))


def settle(name: str, path: Path, own: Path | None = None) -> None:
    """Have at the `path` of an output what a step wrote to a place of its `own`, or to which there are links.

    So does a cluster, which takes no links along.

    Raises
    ------
    StepError
        If there is a link that a cluster cannot follow.
    """
    if own:
        _copy(own, path)
    for link in [one for one in (path, *path.rglob("*")) if one.is_symlink()]:
        if link != path and not link.is_file():
            raise StepError(
                f"expected files and folders in its output {name!r}, got the link {link.relative_to(path)} to a folder "
                "or to nothing, which a cluster does not follow. Copy what it is to hold."
            )
        _copy(Path(os.path.realpath(link)), link)  # not by pathlib, which refuses a link in a circle


def _copy(source: Path, path: Path) -> None:
    """Put a copy of the file or the folder `source`, if it is there, in the place of what is at `path`."""
    if not source.exists() or source == path:
        return
    draft = path.with_name(f"{path.name}.copy")  # what is at the path may hold the source
    (shutil.copytree if source.is_dir() else shutil.copy2)(source, draft)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    draft.rename(path)


def _written(parameters: Mapping[str, Any], place: Path) -> dict[str, Any]:
    """Return the values that a task wrote to paths in `place`, read as a cluster does."""
    found = {}
    for name in parameters:
        if (place / name).is_file():
            kind, text = parameters[name].get("parameterType"), read(place / name, LARGEST).decode()
            found[name] = written(name, kind, text) if kind else json.loads(text)
    return found


def _named(path: str, loops: list[str]) -> str:
    """Return the path of a task in the iterations `loops`, or no text if one of them is none of its loops."""
    left = list(loops)
    parts = [left.pop(0) if left and left[0].rpartition("-iteration-")[0] == part else part for part in path.split("/")]
    return "" if left else "/".join(parts)


def _artifact(name: str, kind: Mapping[str, Any], path: Path, told: Mapping[str, Any]) -> Any:
    from kfp import dsl

    titles = {one.schema_title: one for one in vars(dsl).values() if hasattr(one, "schema_title")}
    return titles.get(kind.get("schemaTitle"), dsl.Artifact)(
        name=name, uri=str(told.get("uri") or path), metadata=dict(told.get("metadata") or {})
    )


def missing(spec: Mapping[str, Any]) -> list[str]:
    """Return what the steps of a compiled pipeline need that this environment has not, each with its first task.

    That is each requirement that they install, with another version here or none, and each module that their programs
    import. What is no Python function, and so needs its image, is named by that.
    """
    found: dict[str, str] = {}
    for task in tasks(spec):
        lacking = [one for text in task.requirements if (one := _lack(text))]
        if task.container and not task.program:
            lacking.append(f"the image {task.container.get('image')}")
        files = task.code
        own = {name.partition("/")[0].removesuffix(".py") for name in files}
        sources = {"program": task.program.encode(errors="replace")}
        sources |= {name: files[name] for name in files if name.endswith(".py")}
        for where, source in sources.items():
            modules = set[str]()
            with contextlib.suppress(ContractError):  # it may be a file of data, or Python of another release
                modules = {name.partition(".")[0] for name, certain in needed(where, source) if certain} - {""}
            lacking += [f"the module {one}" for one in sorted(modules - own) if importlib.util.find_spec(one) is None]
        for one in lacking:
            found.setdefault(one, task.path)
    return [f"{one} (for {task})" for one, task in found.items()]


def _lack(requirement: str) -> str:
    """Return a requirement that this environment does not have, with the version that it has, or no text."""
    with contextlib.suppress(ValueError):  # it is none that Python knows
        if (marker := Requirement(requirement).marker) and not marker.evaluate():
            return ""
    found = re.match(r"\s*([\w.-]+)(?:\[[^]]*\])?\s*(?:$|[@<>!~=;])", requirement)
    if not found:  # an address says no name
        return ""
    name, version = found[1], one_version(requirement)
    try:
        here = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return requirement
    release = here if not version or "+" in version else here.partition("+")[0]
    same = not version or re.sub(r"(\.0)+$", "", release) == re.sub(r"(\.0)+$", "", version)
    if version is None:
        with contextlib.suppress(ValueError):  # it is no requirement, or no version: nothing is known of it
            same = Requirement(requirement).specifier.contains(Version(here), prereleases=True)
    return "" if same else f"{requirement}, of which {here} is here"
