"""Each part of a task's key in Kubeflow's cache, in small documents that differ in little."""

import base64
import copy
import gzip
import io
import json
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import yaml

from fmnist.cluster.cache import Change, Forecast, forecast


def program(files: dict[str, str], time: int = 0, digest: str = "a" * 64, text: str = "def make(): ...") -> str:
    """Return a program as kfp makes one, which carries files and names the digest of more."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content.encode()))
    packed = base64.b64encode(gzip.compress(out.getvalue(), mtime=time)).decode()
    return f"__KFP_EMBEDDED_ARCHIVE_B64 = '{packed}'\nrequire('{digest}')\n{text}"


FILES = {"a.py": "x = 1", "b.py": "y = 1"}
INSTALL = "python3 -m pip install 'kfp==2.1' 'numpy==2' && \"$0\" \"$@\""
EXECUTE = "python3 -m kfp.dsl.executor_main"

DOCUMENT = f"""
pipelineInfo: {{name: small}}
schemaVersion: 2.1.0
sdkVersion: kfp-2.14.3
root:
  inputDefinitions:
    parameters:
      text: {{defaultValue: a, parameterType: STRING}}
      free: {{parameterType: STRING}}
    artifacts: {{file: {{artifactType: {{schemaTitle: system.Model}}}}}}
  dag:
    tasks:
      check:
        cachingOptions: {{enableCache: true}}
        componentRef: {{name: comp-check}}
        inputs:
          artifacts: {{model: {{taskOutputArtifact: {{producerTask: make, outputArtifactKey: model}}}}}}
      make:
        cachingOptions: {{enableCache: true}}
        componentRef: {{name: comp-make}}
        inputs:
          artifacts: {{file: {{componentInputArtifact: file}}}}
          parameters:
            text: {{componentInputParameter: text}}
            free: {{componentInputParameter: free}}
            often: {{runtimeValue: {{constant: 2}}}}
      count:
        cachingOptions: {{enableCache: true}}
        componentRef: {{name: comp-count}}
        inputs:
          parameters: {{often: {{taskOutputParameter: {{producerTask: make, outputParameterKey: Output}}}}}}
      lone:
        cachingOptions: {{enableCache: true}}
        componentRef: {{name: comp-lone}}
      part:
        componentRef: {{name: comp-part}}
        inputs:
          artifacts: {{given: {{taskOutputArtifact: {{producerTask: make, outputArtifactKey: model}}}}}}
          parameters: {{what: {{componentInputParameter: text}}}}
      loop:
        componentRef: {{name: comp-loop}}
        parameterIterator: {{itemInput: item, items: {{raw: '["a", "b"]'}}}}
      files:
        componentRef: {{name: comp-files}}
        artifactIterator: {{itemInput: one, items: {{inputArtifact: all}}}}
        inputs:
          artifacts: {{all: {{taskOutputArtifact: {{producerTask: lone, outputArtifactKey: many}}}}}}
      named:
        componentRef: {{name: comp-loop}}
        inputs:
          parameters: {{items: {{componentInputParameter: text}}}}
        parameterIterator: {{itemInput: item, items: {{inputParameter: items}}}}
      outer:
        componentRef: {{name: comp-outer}}
        inputs:
          artifacts: {{given: {{taskOutputArtifact: {{producerTask: make, outputArtifactKey: model}}}}}}
          parameters: {{what: {{componentInputParameter: text}}}}
      last:
        cachingOptions: {{enableCache: true}}
        componentRef: {{name: comp-last}}
        inputs:
          artifacts: {{model: {{taskOutputArtifact: {{producerTask: part, outputArtifactKey: model}}}}}}
components:
  comp-make:
    executorLabel: exec-make
    inputDefinitions: {{parameters: {{often: {{defaultValue: 7}}, unused: {{defaultValue: 1}}, free: {{}}}}}}
    outputDefinitions:
      artifacts: {{model: {{artifactType: {{schemaTitle: system.Model}}}}}}
      parameters: {{Output: {{parameterType: NUMBER_INTEGER}}}}
  comp-check: {{executorLabel: exec-other}}
  comp-count: {{executorLabel: exec-other}}
  comp-lone: {{executorLabel: exec-importer}}
  comp-last: {{executorLabel: exec-other}}
  comp-outer:
    dag:
      tasks:
        inner:
          componentRef: {{name: comp-part}}
          inputs:
            artifacts: {{given: {{componentInputArtifact: given}}}}
            parameters: {{what: {{componentInputParameter: what}}}}
  comp-part:
    dag:
      tasks:
        deep:
          cachingOptions: {{enableCache: true}}
          componentRef: {{name: comp-deep}}
          inputs:
            artifacts: {{model: {{componentInputArtifact: given}}}}
            parameters: {{what: {{componentInputParameter: what}}}}
        deeper:
          cachingOptions: {{enableCache: true}}
          componentRef: {{name: comp-deep}}
          inputs:
            artifacts: {{model: {{taskOutputArtifact: {{producerTask: deep, outputArtifactKey: model}}}}}}
  comp-deep: {{executorLabel: exec-other}}
  comp-loop:
    dag:
      tasks:
        each:
          cachingOptions: {{enableCache: true}}
          componentRef: {{name: comp-each}}
          inputs: {{parameters: {{item: {{componentInputParameter: item}}}}}}
  comp-files:
    dag:
      tasks:
        file:
          cachingOptions: {{enableCache: true}}
          componentRef: {{name: comp-each}}
          inputs: {{artifacts: {{one: {{componentInputArtifact: one}}}}}}
  comp-each: {{executorLabel: exec-other}}
deploymentSpec:
  executors:
    exec-make:
      container:
        image: python:3
        command: [sh, -c, {json.dumps(INSTALL)}, sh, -ec, {EXECUTE}, PROGRAM]
        args: [--flag]
        env: [{{name: MODE, value: secret}}]
    exec-other: {{container: {{image: alpine:3, command: [echo, hello]}}}}
    exec-importer: {{importer: {{typeSchema: {{schemaTitle: system.Model}}, artifactUri: {{constant: 'gs://x'}}}}}}
"""

BASE = yaml.safe_load(DOCUMENT)

#: The tasks as they run, though the document has one before what it needs.
ORDER = [
    "make", "check", "count", "lone", "part/deep", "part/deeper", "last", "loop/each", "files/file", "named/each",
    "outer/inner/deep", "outer/inner/deeper",
]  # fmt: skip

TASKS, MAKE, COMPONENT = "root.dag.tasks", "root.dag.tasks.make", "components.comp-make"
CONTAINER = "deploymentSpec.executors.exec-make.container"
OF_COUNT = {"taskOutputParameter": {"producerTask": "count", "outputParameterKey": "x"}}
OF_MAKE = {"taskOutputParameter": {"producerTask": "make", "outputParameterKey": "x"}}


def platform(*disks: Any, path: str = "/data") -> dict[str, Any]:
    """Return the document for Kubernetes with volumes of a task, each by its name or where that comes from."""
    named = [one if isinstance(one, dict) else {"constant": one} for one in disks]
    mounts = [{"mountPath": path, **one} for one in named]
    return {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {"exec-make": {"pvcMount": mounts}}}}}}


def written(path: Path, changes: Mapping[str, Any]) -> Path:
    """Write the document with some values changed, or taken away where they are None."""
    made = copy.deepcopy(BASE)
    made["deploymentSpec"]["executors"]["exec-make"]["container"]["command"][-1] = program(FILES)
    for where, value in changes.items():
        *above, last = where.split(".")
        at = made
        for name in above:
            at = at[name]
        if value is None:
            del at[last]
        else:
            at[int(last) if isinstance(at, list) else last] = value
    more = [made.pop("platform")] if "platform" in made else []
    # A server passes over a document without anything, too.
    path.write_text("".join(f"---\n{json.dumps(one)}\n" for one in (None, made, None, *more)), encoding="utf-8")
    return path


def told(tmp_path: Path, after: Mapping[str, Any], before: Mapping[str, Any] = MappingProxyType({})) -> dict[str, str]:
    """Return what is told of each task that is not as before."""
    found = forecast(written(tmp_path / "before.yaml", before), written(tmp_path / "after.yaml", after))
    lines = [one.sentence.split(": ", 1) for one in found]
    return {task: said for task, said in lines if said != "unchanged, would hit"}


def test_tasks_are_told_as_they_run(tmp_path: Path) -> None:
    """A task comes after those that it takes something from, whatever the order in the document."""
    path = written(tmp_path / "x.yaml", {})
    assert forecast(path, path) == [Forecast(name, [], "hit") for name in ORDER]


def test_tasks_that_wait_for_each_other_are_told_too(tmp_path: Path) -> None:
    """No server takes a circle; here it ends even so, after all that is in none."""
    path = written(tmp_path / "x.yaml", {f"{MAKE}.inputs.parameters.text": OF_COUNT})
    assert [one.task for one in forecast(path, path)] == [
        "lone", "loop/each", "files/file", "named/each", "check", "make", "count", "part/deep", "part/deeper", "last",
        "outer/inner/deep", "outer/inner/deeper",
    ]  # fmt: skip


def again(of: str, given: str = "model") -> str:
    """Return what is told of a task after one that runs."""
    return f"unchanged, would run: it takes {given} of {of}, which would run and make another artifact"


#: What follows where `make` runs, and where it may.
AFTER = {
    "check": again("make"),
    "count": "unchanged, may hit: make would have to give the same often",
    "part/deep": again("make"),
    "part/deeper": again("part/deep"),
    "last": again("part/deep"),
    "outer/inner/deep": again("make"),
    "outer/inner/deeper": again("outer/inner/deep"),
}
PERHAPS = {
    name: said.replace("would run", "may hit", 1).replace("would run", "may run") for name, said in AFTER.items()
}

ENVIRONMENT = "may hit: Kubeflow Pipelines before 2.18 do not look at it"
PIPELINES = 'the pipeline\'s text, "a" by default'
PROGRAM, PACKAGES = f"{CONTAINER}.command.6", f"{CONTAINER}.command.2"
OPTIONS, PARAMETERS = f"{MAKE}.cachingOptions", f"{MAKE}.inputs.parameters"
OUTPUTS = f"{COMPONENT}.outputDefinitions"
NOTHING: dict[str, Any] = {}

#: What changes of `make`, and what is told of it, when it runs even so.
RUNS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "image": (NOTHING, {f"{CONTAINER}.image": "x:2"}, "image changed: python:3 → x:2"),
    "all of the code": (
        NOTHING,
        {PROGRAM: program({"a.py": "x = 2", "c.py": ""}, digest="b" * 64, text="def m(): ...")},
        "code changed: a.py, b.py (removed), c.py (new), the function, what its image must hold",
    ),
    "the function": (NOTHING, {PROGRAM: program(FILES, text="def m(): ...")}, "code changed: the function"),
    "files": (NOTHING, {PROGRAM: program({**FILES, "b.py": ""})}, "code changed: b.py"),
    "archive": (
        NOTHING,
        {PROGRAM: program(FILES, time=5)},
        "code changed: the archive, with equal files: their times, modes, owners or order",
    ),
    "package": (
        NOTHING,
        {PACKAGES: INSTALL.replace("numpy==2", "numpy==3")},
        "packages changed: - numpy==2, + numpy==3",
    ),
    "order of packages": (
        NOTHING,
        {PACKAGES: INSTALL.replace("'kfp==2.1' 'numpy==2'", "'numpy==2' 'kfp==2.1'")},
        "packages changed: their order",
    ),
    "the index of packages": (
        {PACKAGES: INSTALL.replace(" 'kfp", " --index-url https://me:pw@a/simple --pre 'kfp")},
        {PACKAGES: INSTALL.replace(" 'kfp", " --index-url https://b/simple --pre 'kfp")},
        "installer changed: - --index-url https://***@a/simple, + --index-url https://b/simple",
    ),
    "another installer": (
        NOTHING,
        {PACKAGES: f". venv && {INSTALL} '-r more.txt'"},
        "installer changed: + . venv, + '-r more.txt'",
    ),
    "command": (
        NOTHING,
        {f"{CONTAINER}.command.4": "-c", f"{CONTAINER}.args": ["--flag", "--more"]},
        "command changed: - -ec, + -c, + --more",
    ),
    "a word less, of two": (
        {f"{CONTAINER}.args": ["--in", "x", "--out", "x"]},
        {f"{CONTAINER}.args": ["--in", "x", "--out"]},
        "command changed: - x",
    ),
    "two equal words less": (
        {f"{CONTAINER}.args": ["--flag", "x", "x"]},
        {f"{CONTAINER}.args": ["--flag"]},
        "command changed: - x, - x",
    ),
    "two equal words more": (
        {f"{CONTAINER}.args": ["--flag"]},
        {f"{CONTAINER}.args": ["--flag", "x", "x"]},
        "command changed: + x, + x",
    ),
    "a package that is twice there": (
        NOTHING,
        {PACKAGES: INSTALL.replace("'numpy==2'", "'numpy==2' 'numpy==2'")},
        "packages changed: + numpy==2",
    ),
    "a part that counts and one that may": (
        NOTHING,
        {f"{CONTAINER}.env": None, f"{CONTAINER}.image": "x"},
        "image changed: python:3 → x; environment changed: MODE",
    ),
    "a volume more": (
        NOTHING,
        {"platform": platform("disk")},
        'volumes changed: + "disk"',
    ),
    "a second volume": (
        {"platform": platform("one")},
        {"platform": platform("one", "two")},
        'volumes changed: + "two"',
    ),
    "another volume": (
        {"platform": platform("one")},
        {"platform": platform("two")},
        'volumes changed: - "one", + "two"',
    ),
    "a volume of another task": (
        {"platform": platform("one")},
        {"platform": platform({"taskOutputParameter": {"producerTask": "lone", "outputParameterKey": "x"}})},
        'volumes changed: - "one", + x of lone',
    ),
    "cache off": (NOTHING, {OPTIONS: {}}, "unchanged, would run: its cache was on, and is off"),
    "cache as by default": (NOTHING, {OPTIONS: None}, "unchanged, would run: its cache was on, and is off"),
    "never a cache": ({OPTIONS: {}}, {OPTIONS: {}}, "unchanged, would run: its cache was off, and is off"),
    "cache on": ({OPTIONS: {}}, NOTHING, "unchanged, would run: its cache was off, and is on"),
    "another key": (
        {f"{OPTIONS}.cacheKey": "k"},
        {f"{OPTIONS}.cacheKey": "j", f"{CONTAINER}.image": "x"},
        "image changed: python:3 → x, would run: its cache was k, and is j",
    ),
    "a long constant": (
        NOTHING,
        {f"{PARAMETERS}.often": {"runtimeValue": {"constant": 100 * "x"}}},
        f'parameters changed: often (2 → "{59 * "x"} ...)',
    ),
    "as long as can be": (
        NOTHING,
        {f"{PARAMETERS}.often": {"runtimeValue": {"constant": 58 * "x"}}},
        f'parameters changed: often (2 → "{58 * "x"}")',
    ),
    "a constant of a part": (
        NOTHING,
        {f"{PARAMETERS}.often": {"runtimeValue": {"constant": {"b": 1, "a": 2}}, "parameterExpressionSelector": "b"}},
        'parameters changed: often (2 → {"a": 2, "b": 1}, of which b)',
    ),
    "the component's default for a constant": (
        NOTHING,
        {f"{PARAMETERS}.often": None},
        "parameters changed: often (2 → 7)",
    ),
    "a default less": (
        NOTHING,
        {f"{COMPONENT}.inputDefinitions.parameters.unused": None},
        "parameters changed: unused (1 → nothing)",
    ),
    "another default": (
        NOTHING,
        {f"{COMPONENT}.inputDefinitions.parameters.unused.defaultValue": {"b": 1, "a": 2}},
        'parameters changed: unused (1 → {"a": 2, "b": 1})',
    ),
    "a default of the pipeline": (
        NOTHING,
        {"root.inputDefinitions.parameters.free.defaultValue": "b"},
        "parameters changed: free (the pipeline's free → the pipeline's free, \"b\" by default)",
    ),
    "a default of the pipeline that is empty": (
        NOTHING,
        {"root.inputDefinitions.parameters.free.defaultValue": ""},
        "parameters changed: free (the pipeline's free → the pipeline's free, \"\" by default)",
    ),
    "a part of a parameter": (
        NOTHING,
        {f"{PARAMETERS}.text": {"componentInputParameter": "text", "parameterExpressionSelector": "x"}},
        f"parameters changed: text ({PIPELINES} → {PIPELINES}, of which x)",
    ),
    "a part of another task's output": (
        NOTHING,
        {
            f"{PARAMETERS}.text": {
                "taskOutputParameter": {"producerTask": "lone", "outputParameterKey": "x"},
                "parameterExpressionSelector": "y",
            }
        },
        f"parameters changed: text ({PIPELINES} → x of lone, of which y)",
    ),
    "another artifact": (
        NOTHING,
        {f"{MAKE}.inputs.artifacts.file": {"componentInputArtifact": "other"}},
        "artifacts changed: file (the pipeline's file → the pipeline's other)",
    ),
    "type of an artifact": (
        NOTHING,
        {f"{OUTPUTS}.artifacts.model.artifactType": {"schemaTitle": "a"}},
        "outputs changed: model ([{'schemaTitle': 'system.Model'}, None] → [{'schemaTitle': 'a'}, None])",
    ),
    "metadata of an artifact": (
        NOTHING,
        {f"{OUTPUTS}.artifacts.model.metadata": {"a": 20 * "b"}},
        "outputs changed: model ([{'schemaTitle': 'system.Model'}, None] → "
        "[{'schemaTitle': 'system.Model'}, {'a': 'bbbbbbbbbbbbbbbbbbb ...)",
    ),
    "type of a parameter": (
        NOTHING,
        {f"{OUTPUTS}.parameters.Output.parameterType": "STRING"},
        "outputs changed: Output (NUMBER_INTEGER → STRING)",
    ),
}


@pytest.mark.parametrize(("before", "after", "said"), RUNS.values(), ids=RUNS)
def test_what_changed_of_a_task_is_told(
    tmp_path: Path, before: dict[str, Any], after: dict[str, Any], said: str
) -> None:
    """Each part of the key is told in words, and what it makes of all tasks after it, also of those in parts."""
    expected = said if "would run" in said else f"{said}, would run"
    assert told(tmp_path, after, before) == {"make": expected, **AFTER}


@pytest.mark.parametrize(
    ("env", "what"),
    [
        (None, "MODE"),
        # As kfp writes an empty text.
        ([{"name": "MODE"}], "MODE"),
        ([{"name": "MODE", "value": "x"}, {"name": "NEW", "value": "s3cret"}], "MODE, NEW"),
    ],
)
def test_the_environment_may_count(tmp_path: Path, env: Any, what: str) -> None:
    """It does on some servers; its values may be secrets, and are not shown."""
    expected = {"make": f"environment changed: {what}, {ENVIRONMENT}", **PERHAPS}
    assert told(tmp_path, {f"{CONTAINER}.env": env}) == expected


def test_a_variable_that_is_empty_is_one(tmp_path: Path) -> None:
    """A program can tell it from none; kfp writes it without a value, others may write the empty one."""
    none, empty = {f"{CONTAINER}.env": None}, {f"{CONTAINER}.env": [{"name": "MODE"}]}
    expected = {"make": f"environment changed: MODE, {ENVIRONMENT}", **PERHAPS}
    assert told(tmp_path, empty, none) == told(tmp_path, none, empty) == expected
    assert told(tmp_path, {f"{CONTAINER}.env": [{"name": "MODE", "value": ""}]}, empty) == {}


def test_a_condition_may_count_more_than_the_environment(tmp_path: Path) -> None:
    """On some servers the environment counts, on each a task that has not run."""
    changes = {f"{CONTAINER}.env": None, f"{MAKE}.triggerPolicy": {"condition": "1 < 2"}}
    what = "condition changed: + 1 < 2; environment changed: MODE, may hit: under the other one it may not have run"
    assert told(tmp_path, changes)["make"] == what


def test_a_condition_may_ask_for_a_parameter_of_the_pipeline(tmp_path: Path) -> None:
    """It is the same as long as the parameter is."""
    given = {"componentInputParameter": "text"}
    condition = {f"{TASKS}.named.inputs.parameters.x": given, f"{TASKS}.named.triggerPolicy": WHERE_A}
    assert told(tmp_path, condition, condition) == {}


def test_a_key_of_ones_own_hits_whatever_changed(tmp_path: Path) -> None:
    """Neither what changed of the task nor what runs before it counts."""
    key = {f"{OPTIONS}.cacheKey": "k"}
    found = told(tmp_path, {**key, f"{CONTAINER}.image": "x"}, key)
    assert found == {"make": "image changed: python:3 → x, would hit: its key is k, whatever changed"}


TEXT = "root.inputDefinitions.parameters.text.defaultValue"
DEEP = "components.comp-part.dag.tasks.deep.inputs.parameters"
LISTED = r'"[\"a\", \"b\"]"'


#: What lets a task run if it gets an a, and a loop if a task gives one.
WHERE_A = {"condition": "inputs.parameter_values['x'] == 'a'"}
CONDITION: dict[str, Any] = {
    f"{TASKS}.named.inputs.parameters.x": OF_MAKE,
    f"{TASKS}.named.triggerPolicy": WHERE_A,
}


def beside(given: str) -> dict[str, Any]:
    """Return changes by which a loop takes a parameter of the pipeline that is not its item."""
    return {
        f"{TASKS}.named.inputs.parameters.what": {"componentInputParameter": given},
        "components.comp-loop.dag.tasks.each.inputs.parameters.what": {"componentInputParameter": "what"},
    }


#: What a server fills in: of the run, in a part; how a task ended; the name of a run, which another one may have.
OF_RUN: dict[str, Any] = {
    f"{TASKS}.part.inputs.parameters.what": {"runtimeValue": {"constant": "{{$.pipeline_job_uuid}}"}},
    "components.comp-loop.dag.tasks.each.inputs.parameters.status": {"taskFinalStatus": {"producerTask": "x"}},
    "components.comp-loop.dag.tasks.each.inputs.parameters.too": {
        "runtimeValue": {"constant": "{{$.pipeline_job_uuid}}"}
    },
    f"{TASKS}.count.inputs": {
        "parameters": {
            "name": {"runtimeValue": {"constant": "{{$.pipeline_job_name}}"}},
            "text": {"runtimeValue": {"constant": "{{$.pipeline_job_uuid}} and more"}},
        }
    },
}

#: A volume of which a parameter of the part says the name.
VOLUME_OF_A_PART = {
    "platforms": {
        "kubernetes": {
            "deploymentSpec": {"executors": {"exec-other": {"pvcMount": [{"componentInputParameter": "what"}]}}}
        }
    }
}

#: What changes elsewhere, and what is told of all tasks.
ELSEWHERE: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, str]]] = {
    "a parameter of parts": (
        NOTHING,
        {TEXT: None},
        {
            "make": f"parameters changed: text ({PIPELINES} → the pipeline's text), would run",
            **AFTER,
            "part/deep": f"parameters changed: what ({PIPELINES} → the pipeline's text), would run",
            "outer/inner/deep": f"parameters changed: what ({PIPELINES} → the pipeline's text), would run",
            "named/each": f"parameters changed: item (each of {PIPELINES} → each of the pipeline's text), would run",
        },
    ),
    "no inputs": (
        {TEXT: None},
        {"root.inputDefinitions": None},
        {},
    ),
    "no artifacts": ({"root.inputDefinitions.artifacts": None}, NOTHING, {}),
    "no items": (
        NOTHING,
        {f"{TASKS}.loop.parameterIterator.items": None},
        {"loop/each": f"parameters changed: item (each of {LISTED} → each of null), would run"},
    ),
    "other platforms": (
        {"platform": {"platforms": {"a": {}, "b": {"deploymentSpec": {}}, "c": {"deploymentSpec": {"executors": {}}}}}},
        {"platform": {}},
        {},
    ),
    "a variable without a value": (
        {f"{CONTAINER}.env": [{"name": "MODE"}]},
        {f"{CONTAINER}.env": [{"name": "MODE", "value": ""}]},
        {},
    ),
    "the name": (
        NOTHING,
        {"pipelineInfo.name": "new"},
        dict.fromkeys(ORDER, "pipeline changed: small → new, would run"),
    ),
    "items": (
        NOTHING,
        {f"{TASKS}.loop.parameterIterator.items.raw": "[]"},
        {"loop/each": f'parameters changed: item (each of {LISTED} → each of "[]"), would run'},
    ),
    "what is imported": (
        NOTHING,
        {"deploymentSpec.executors.exec-importer.importer.artifactUri.constant": "gs://y"},
        {
            "lone": 'image changed: {"importer": {"artifactUri": {"constant": "gs://x"}, "typeSchema": {"schemaTitle": '
            '"system.Model"}}} → {"importer": {"artifactUri": {"constant": "gs://y"}, "typeSchema": {"schemaTitle": '
            '"system.Model"}}}, would run',
            "files/file": again("lone", "one"),
        },
    ),
    "what is imported each time": (
        {"deploymentSpec.executors.exec-importer.importer.reimport": True, f"{TASKS}.lone.cachingOptions": {}},
        {"deploymentSpec.executors.exec-importer.importer.reimport": True, f"{TASKS}.lone.cachingOptions": {}},
        {
            "lone": "unchanged, would run: it imports another artifact each time",
            "files/file": again("lone", "one"),
        },
    ),
    "what is imported each time no more": (
        {"deploymentSpec.executors.exec-importer.importer.reimport": True},
        NOTHING,
        {
            "lone": 'image changed: {"importer": {"artifactUri": {"constant": "gs://x"}, "reimport": true, '
            '"typeSchema": {"schemaTitle": "system.Model"}}} → {"importer": {"artifactUri": {"constant": "gs://x"}, '
            '"typeSchema": {"schemaTitle": "system.Model"}}}, would run',
            "files/file": again("lone", "one"),
        },
    ),
    "a volume that a part names": (
        NOTHING,
        {"platform": VOLUME_OF_A_PART},
        {
            **dict.fromkeys(("check", "count", "last"), "volumes changed: + the pipeline's what, would run"),
            **dict.fromkeys(("loop/each", "named/each", "files/file"), "volumes changed: + {}, would run"),
            **dict.fromkeys([one for one in ORDER if "deep" in one], f"volumes changed: + {PIPELINES}, would run"),
        },
    ),
    "what each run has of its own": (
        OF_RUN,
        OF_RUN,
        {
            "part/deep": "unchanged, would run: each run has a what of its own",
            "part/deeper": again("part/deep"),
            "last": again("part/deep"),
            "loop/each": "unchanged, would run: each run has a status of its own",
            "named/each": "unchanged, would run: each run has a status of its own",
        },
    ),
    "where volumes are mounted": (
        {"platform": platform("a", "b", {"pvcNameParameter": {"runtimeValue": {"constant": "c"}}, "constant": "x"})},
        {"platform": platform("c", "b", "a", "a", path="/more")},
        {},
    ),
    "the task that names a volume": (
        {"platform": platform(OF_COUNT), f"{MAKE}.inputs.artifacts": None, f"{TASKS}.count.inputs": None},
        {
            "platform": platform(OF_COUNT),
            f"{MAKE}.inputs.artifacts": None,
            f"{TASKS}.count.inputs": None,
            f"{TASKS}.count.cachingOptions": {},
        },
        {
            "count": "unchanged, would run: its cache was on, and is off",
            "make": "unchanged, may hit: count would have to give the same volume",
            **{name: said for name, said in PERHAPS.items() if name != "count"},
        },
    ),
    "what decides whether a part of a part runs": (
        NOTHING,
        {f"{TASKS}.outer.triggerPolicy": {"condition": "1 < 2"}},
        {
            "outer/inner/deep": "condition changed: + 1 < 2, may hit: under the other one it may not have run",
            "outer/inner/deeper": "condition changed: + 1 < 2, may hit: it takes model of outer/inner/deep, which may "
            "run and make another artifact",
        },
    ),
    "what decides whether a loop runs": (
        CONDITION,
        CONDITION | {f"{CONTAINER}.args": ["--other"]},
        {
            "make": "command changed: - --flag, + --other, would run",
            **AFTER,
            "named/each": "unchanged, may hit: what make gives decides whether it runs",
        },
    ),
    "what a loop takes beside its items": (
        beside("free"),
        beside("text"),
        {"named/each": f"parameters changed: what (the pipeline's free → {PIPELINES}), would run"},
    ),
    "a task less": (NOTHING, {f"{TASKS}.count": None}, {"count": "removed"}),
    "a task more": ({f"{TASKS}.make": None}, NOTHING, {"make": "new, would run", **AFTER}),
    "what a part takes": (
        NOTHING,
        {f"{TASKS}.part.inputs.parameters.what": OF_MAKE},
        {
            "part/deep": f"parameters changed: what ({PIPELINES} → x of make), would run",
            "part/deeper": again("part/deep"),
            "last": again("part/deep"),
        },
    ),
    "another field of what a part takes": (
        {f"{DEEP}.what": {"componentInputParameter": "what", "parameterExpressionSelector": "a"}},
        {f"{DEEP}.what": {"componentInputParameter": "what", "parameterExpressionSelector": "b"}},
        dict.fromkeys(
            ("part/deep", "outer/inner/deep"),
            f"parameters changed: what ({PIPELINES}, of which a → {PIPELINES}, of which b), would run",
        )
        | {
            "part/deeper": again("part/deep"),
            "last": again("part/deep"),
            "outer/inner/deeper": again("outer/inner/deep"),
        },
    ),
    "what a part takes no more": (
        NOTHING,
        {f"{TASKS}.part.inputs.parameters.what": None},
        {
            "part/deep": f"parameters changed: what ({PIPELINES} → {{}}), would run",
            "part/deeper": again("part/deep"),
            "last": again("part/deep"),
        },
    ),
    "what a loop is over": (
        NOTHING,
        {
            f"{TASKS}.files.inputs.artifacts.all": {
                "taskOutputArtifact": {"producerTask": "make", "outputArtifactKey": "m"}
            }
        },
        {"files/file": "artifacts changed: one (each of many of lone → each of m of make), would run"},
    ),
}


@pytest.mark.parametrize(("before", "after", "said"), ELSEWHERE.values(), ids=ELSEWHERE)
def test_what_changed_elsewhere_is_told(
    tmp_path: Path, before: dict[str, Any], after: dict[str, Any], said: dict[str, str]
) -> None:
    """Inputs are followed through parts and loops to where they come from."""
    assert told(tmp_path, after, before) == said


def test_the_page_shows_what_is_told(tmp_path: Path) -> None:
    """The lines on the page of the command line are those of such a change, with the names that readers know."""
    after = written(tmp_path / "after.yaml", {})
    before = written(tmp_path / "before.yaml", {f"{CONTAINER}.command.6": program(FILES | {"a.py": "x = 2"})})
    found = {one.task: one.sentence for one in forecast(before, after)}
    lines = "".join(f"{found[name]}\n" for name in ("make", "check", "count", "lone"))
    names = {"a.py": "mymodel.py", "make": "train", "check": "test", "often": "number", "lone": "plot"}
    for ours, shown in names.items():
        lines = re.sub(rf"\b{re.escape(ours)}\b(?! another)", shown, lines)
    page = Path(__file__).parents[2] / "docs" / "command-line.md"
    assert f"```text\n{lines}```\n" in page.read_text()


def test_what_runs_counts_more_than_what_may(tmp_path: Path) -> None:
    """Of a task that takes a parameter and an artifact of one that runs, the artifact decides."""
    both = {f"{TASKS}.check.inputs.parameters": {"a": OF_MAKE, "b": OF_COUNT}}
    found = told(tmp_path, {**both, f"{CONTAINER}.image": "x"}, both)
    assert found["check"] == again("make")
    only = {**both, f"{TASKS}.check.inputs.artifacts": {}}
    found = told(tmp_path, {**only, f"{CONTAINER}.image": "x"}, only)
    assert found["check"] == "unchanged, may hit: make would have to give the same a"
    two = {f"{TASKS}.check.inputs.artifacts.file": {"taskOutputArtifact": {"producerTask": "lone"}}}
    found = told(tmp_path, {**two, f"{CONTAINER}.env": None, f"{TASKS}.lone.cachingOptions": None}, two)
    assert found["check"] == again("lone", "file")


def test_a_task_that_comes_or_goes_has_no_changes(tmp_path: Path) -> None:
    """There is nothing to compare it with."""
    less, all_ = written(tmp_path / "less.yaml", {f"{TASKS}.make": None}), written(tmp_path / "all.yaml", {})
    assert Forecast("make", [], "new") in forecast(less, all_)
    assert forecast(all_, less)[-1] == Forecast("make", [], "removed")
    fewer = written(tmp_path / "fewer.yaml", {f"{TASKS}.make": None, f"{TASKS}.count": None})
    assert [one.task for one in forecast(all_, fewer) if one.cache == "removed"] == ["make", "count"]


def test_a_forecast_is_data() -> None:
    """As JSON has it: with each change."""
    one = Forecast("a", [Change("image", ["x → \x1b"]), Change("code", ["a", "b"])], "run", "so")
    assert one.as_json() == {
        "task": "a",
        "changes": [{"part": "image", "what": ["x → \x1b"]}, {"part": "code", "what": ["a", "b"]}],
        "cache": "run",
        "why": "so",
    }
    assert one.sentence == "a: image changed: x → \\x1b; code changed: a, b, would run: so"
