"""Tests of running pipelines of others here: no artifact hides another, and what is missing is named."""

import base64
import io
import json
import logging
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from kfp import compiler, dsl
from support.documents import SPEC, ref

from fmnist import testing
from fmnist.cluster.pipeline_file import read_spec
from fmnist.kubeflow import bundle, compiled, local, runnable
from fmnist.steps.errors import StepError


def write(text: str, table: dsl.Output[dsl.Dataset], metrics: dsl.Output[dsl.Metrics]) -> str:
    """Write a text, log its length, and return it."""
    with open(table.path, "w") as file:  # noqa: PTH123 - kfp copies this text
        file.write(text)
    metrics.log_metric("length", len(text))
    return text


def join(tables: dsl.Input[list[dsl.Dataset]], table: dsl.Output[dsl.Dataset]) -> None:
    """Write the texts of tables one after another."""
    with open(table.path, "w") as file:  # noqa: PTH123 - kfp copies this text
        file.write("+".join(open(one.path).read() for one in tables))  # noqa: PTH123, SIM115 - as above


def component(function: Any, *packages: str) -> Any:
    """Return a component of a pipeline of somebody else, which installs kfp and packages."""
    return dsl.component(function, base_image="python:3.11", packages_to_install=list(packages))


def make(*packages: str) -> Any:
    """Return a pipeline with one component in many tasks: side by side, in a part twice, in a loop, and in a branch."""
    writes, joins = component(write, *packages), component(join)

    @dsl.pipeline(name="part")  # type: ignore[untyped-decorator]
    def part(text: str) -> None:
        writes(text=text)

    @dsl.pipeline(name="others")  # type: ignore[untyped-decorator]
    def others(text: str = "x") -> None:
        first = writes(text=text)
        second = writes(text="second")
        second.after(first)
        part(text="third")
        part(text="fourth")
        with dsl.ParallelFor(items=["a", "bc"]) as item:
            each = writes(text=item)
        joins(tables=dsl.Collected(each.outputs["table"]))
        with dsl.If(first.outputs["Output"] == "never"):
            writes(text="no")

    return others


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its compiled file."""
    path = tmp_path_factory.mktemp("others") / "others.yaml"
    compiler.Compiler().compile(make(), str(path))
    return path


def test_every_artifact_is_found_by_task_and_name(others: Path, tmp_path: Path) -> None:
    """Tasks that share a component, or a name in another part or turn of a loop, keep their own files and metadata."""
    log, printing, level = io.StringIO(), print, logging.getLogger().level
    outputs = local.run_compiled(others, {"text": "first"}, tmp_path, log)
    texts = {task: Path(artifacts["table"].path).read_text() for task, artifacts in outputs.items()}
    assert texts == {
        "write": "first",
        "write-2": "second",
        "part/write": "third",
        "part-2/write": "fourth",
        "for-loop-2-iteration-0/write-3": "a",
        "for-loop-2-iteration-1/write-3": "bc",
        "join": "a+bc",
    }
    metrics = outputs["write-2"]["metrics"]
    assert isinstance(metrics, dsl.Metrics)
    assert metrics.metadata == {"length": 6}
    assert "pip install" in others.read_text()
    assert "pip install" not in str(runnable.made(read_spec(others)))
    assert (print, logging.getLogger().level) == (printing, level)


def test_each_task_is_known_by_its_path(others: Path) -> None:
    """The tasks of a file are those at the top, then those in its parts, each with what it runs."""
    spec = read_spec(others)
    found = {task.path: task for task in compiled.tasks(spec)}
    assert [*found][:3] == ["join", "write", "write-2"]
    assert "part/write" in found
    assert found["write"].requirements == []
    assert found["write"].command[:2] == ["sh", "-ec"]
    assert "def write(" in found["write"].program
    assert found["write"].code == {}


def test_what_is_missing_here_is_named(tmp_path: Path) -> None:
    """A requirement that is not here, or of another version, and a module that a program imports, are named."""

    def imports() -> None:
        """Import what nobody has."""
        import nowhere_at_all.deep  # type: ignore[import-not-found]  # noqa: F401

        try:
            import nowhere_either  # type: ignore[import-not-found]  # noqa: F401
        except ImportError:
            import json  # noqa: F401

    @dsl.pipeline(name="lacking")  # type: ignore[untyped-decorator]
    def lacking() -> None:
        component(imports)()
        component(
            write, "numpy==1.0", "torch-of-nobody==2.9.0", "h5py", "PyYAML>=5", f"keras[x] == {version('keras')}.0"
        )(text="x")

    compiler.Compiler().compile(lacking, str(tmp_path / "lacking.yaml"))
    assert runnable.missing(read_spec(tmp_path / "lacking.yaml")) == [
        "the module nowhere_at_all (for imports)",
        f"numpy==1.0, of which {version('numpy')} is here (for write)",
        "torch-of-nobody==2.9.0 (for write)",
    ]


def installing(*requirements: str, program: str = "import json") -> dict[str, Any]:
    """Return the document of a pipeline with a task whose step installs these and runs a program."""
    script = f"python3 -m pip install {' '.join(map(repr, requirements))} && $0 $@"
    command = ["sh", "-c", script, "sh", "-ec", "python3 -m kfp.dsl.executor_main", program]
    return of(container={"image": "python:3.11", "command": command})


def of(**executor: Any) -> dict[str, Any]:
    """Return the document of a pipeline with one task."""
    return {
        "root": {"dag": {"tasks": {"a": {"componentRef": {"name": "c"}}}}},
        "components": {"c": {"executorLabel": "e"}},
        "deploymentSpec": {"executors": {"e": executor}},
    }


VERSIONS = {
    "whole==1": "",
    "whole==1.0.0": "",
    "whole===1": "",
    "whole == 1.0": "",
    "whole": "",
    "whole[extra,more]==1": "",
    "whole>=5": "whole>=5, of which 1.0 is here (for a)",
    "whole<1": "whole<1, of which 1.0 is here (for a)",
    "whole!=1": "whole!=1, of which 1.0 is here (for a)",
    "whole~=5": "",
    "whole~=5.0": "whole~=5.0, of which 1.0 is here (for a)",
    "whole @ https://x/whole.whl": "",
    "https://x/absent.whl": "",
    "whole==1.*": "",
    "whole>=1": "",
    "whole[x] >=0.5, <2": "",
    "whole~=1.0": "",
    "whole==2.*": "whole==2.*, of which 1.0 is here (for a)",
    "whole>=": "",
    "early>=2.0a1": "",
    "early>=1": "",
    "early>=2.0": "early>=2.0, of which 2.0rc1 is here (for a)",
    "odd>=1": "",
    "whole>=1,==2.0": "whole>=1,==2.0, of which 1.0 is here (for a)",
    "git+https://x/absent@v1": "",
    "whole==1.1": "whole==1.1, of which 1.0 is here (for a)",
    "whole==10": "whole==10, of which 1.0 is here (for a)",
    "ten==1": "ten==1, of which 10 is here (for a)",
    "whole===2!1.0-1": "whole===2!1.0-1, of which 1.0 is here (for a)",
    "local_one==1.5": "",
    "local-one==1.5.0": "",
    "local.one==1.5+cpu": "",
    "local-one==1.5+gpu": "local-one==1.5+gpu, of which 1.5+cpu is here (for a)",
    "local-one==1.6": "local-one==1.6, of which 1.5+cpu is here (for a)",
    "local-one": "",
    "absent": "absent (for a)",
    "absent[x]>=2": "absent[x]>=2 (for a)",
    "whole==2; python_version>'3'": "whole==2; python_version>'3', of which 1.0 is here (for a)",
    "whole==1;python_version>'3'": "",
    "absent ; python_version>'3'": "absent ; python_version>'3' (for a)",
    "absent==1; python_version<'3'": "",
    "absent-of @ https://x/y.whl": "absent-of @ https://x/y.whl (for a)",
}


@pytest.mark.parametrize(("requirement", "said"), VERSIONS.items(), ids=VERSIONS)
def test_a_requirement_is_met_or_named(
    requirement: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One version must be the one that is here, up to zeros at its end and a part for this machine; a range has it.

    What is no range, or no version, says nothing.
    """
    numbers = {"whole": "1.0", "ten": "10", "local_one": "1.5+cpu", "early": "2.0rc1", "odd": "of-nobody"}
    for name, number in numbers.items():
        (tmp_path / f"{name}-{number}.dist-info").mkdir()
        (tmp_path / f"{name}-{number}.dist-info" / "METADATA").write_text(f"Name: {name}\nVersion: {number}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert runnable.missing(installing(requirement)) == ([said] if said else [])


def test_what_carried_code_imports_is_asked_for() -> None:
    """Its own modules are not; what is no Python of this release, or no Python, says nothing."""
    files = {
        "mine/__init__.py": b"from . import deep, absent_name\nimport beside.it, mine.deep",
        "mine/deep.py": b"import gone_b.x, gone_a, json\nfrom .. import above",
        "beside.py": b"import gone_a\n",
        "broken.py": b"print 'x'",
        "data.pyx": b"import gone_c",
    }
    archive = base64.b64encode(bundle.archive(files)).decode()
    program = f"import mine, beside, broken, gone_2, gone_0, gone_3, gone_1\n__KFP_EMBEDDED_ARCHIVE_B64 = '{archive}'\n"
    assert runnable.missing(installing("absent==1", program=program)) == [
        "absent==1 (for a)",
        *(f"the module gone_{number} (for a)" for number in range(4)),
        "the module gone_a (for a)",
        "the module gone_b (for a)",
    ]


def test_what_kfp_embeds_is_there(tmp_path: Path) -> None:
    """Kfp's own archive of a folder has the modules that a step imports."""

    def imports() -> int:
        """Import what is embedded, and what is not."""
        import helper_emb  # type: ignore[import-not-found]
        import helper_of_nobody  # type: ignore[import-not-found]  # noqa: F401

        return int(helper_emb.x)

    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "helper_emb.py").write_text("import gone_emb\n")
    embedding = dsl.component(imports, base_image="python:3.11", embedded_artifact_path=str(tmp_path / "code"))
    compiler.Compiler().compile(embedding, str(tmp_path / "embedding.yaml"))
    spec = read_spec(tmp_path / "embedding.yaml")
    assert [task.code for task in compiled.tasks(spec)] == [{"helper_emb.py": b"import gone_emb\n"}]
    assert runnable.missing(spec) == [
        "the module helper_of_nobody (for imports)",
        "the module gone_emb (for imports)",
    ]


def test_what_is_missing_is_named_with_its_first_task() -> None:
    """A task that needs the same says nothing more; what is no function needs its image, an importer nothing."""
    spec = of(container={"image": "alpine:3", "command": ["echo"]})
    spec["root"]["dag"]["tasks"] = {name: {"componentRef": {"name": "c"}} for name in ("first", "second")}
    assert runnable.missing(spec) == ["the image alpine:3 (for first)"]
    assert runnable.missing(of(container={"image": "alpine:3"})) == ["the image alpine:3 (for a)"]
    assert runnable.missing(of(importer={"artifactUri": "x"})) == []
    spec = installing("absent", program="import gone_a")
    spec["root"]["dag"]["tasks"]["b"] = {"componentRef": {"name": "c"}}
    assert runnable.missing(spec) == ["absent (for a)", "the module gone_a (for a)"]
    # No byte stands for half a character.
    spec = installing("absent", program="x = '\ud800'\nimport gone_a")
    assert runnable.missing(spec) == ["absent (for a)", "the module gone_a (for a)"]


def test_artifacts_are_found_where_the_runner_leaves_them(tmp_path: Path) -> None:
    """Those that a task told of or wrote, by task and turn; what only looks like a task's folder is none."""
    kinds = {"told": "system.Model", "written": "system.Dataset", "strange": "x.Y", "neither": "system.Metrics"}
    artifacts = {name: {"artifactType": {"schemaTitle": kind}} for name, kind in kinds.items()}
    part = {"dag": {"tasks": {"a": {"componentRef": {"name": "c"}}, "b": {"componentRef": {"name": "plain"}}}}}
    spec = of(importer={}) | {
        "components": {
            "c": {"executorLabel": "e", "outputDefinitions": {"artifacts": artifacts}},
            "plain": {"executorLabel": "e"},
            "empty": {"executorLabel": "e", "outputDefinitions": {"parameters": {}}},
            "loop": part,
        }
    }
    names = {"a": "c", "empty": "empty", "loop-1": "loop", "part": "loop", "an-iteration-2": "loop", "A": "loop"}
    spec["root"]["dag"]["tasks"] = {name: {"componentRef": {"name": one}} for name, one in names.items()}
    for path, text in {
        "run/a/written": "1",
        "run/a/strange": "2",
        "run/a/log.txt": "3",
        "run/a/executor_output.json": json.dumps(
            {
                "artifacts": {
                    "told": {"artifacts": [{"uri": "s3://x", "metadata": {"n": 1}}]},
                    "written": {"artifacts": [{"uri": "", "metadata": None}]},
                    "neither": {"artifacts": []},
                    "strange": {},
                },
                "parameterValues": {"Output": 0.5, "words": ["a"]},
            }
        ),
        "run/part/a/written": "4",
        "run/empty/written": "5",
        "run/A/a/written": "9",
        "run/other/a/written": "not the task",
        "run/loop-1-iteration-0/loop-1/a/written": "6",
        "run/loop-1-iteration-0/loop-1/a/executor_output.json": "{}",
        "run/loop-1-iteration-0/loop-1/b/x": "7",
        "run/loop-10-iteration-0/loop-1/a/written": "not the task",
        "run/an-iteration-2-iteration-0/an-iteration-2/a/told": "8",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    found = runnable.outputs(spec, tmp_path)
    assert {task: [*artifacts] for task, artifacts in found.items()} == {
        "a": ["told", "written", "strange", "Output", "words"],
        "empty": [],
        "loop-1-iteration-0/a": ["written"],
        "an-iteration-2-iteration-0/a": ["told"],
        "part/a": ["written"],
        "A/a": ["written"],
        "loop-1-iteration-0/b": [],
    }
    a = found["a"]
    assert (a.pop("Output"), a.pop("words")) == (0.5, ["a"])
    assert [(type(one), one.name, one.uri, one.metadata) for one in a.values()] == [
        (dsl.Model, "told", "s3://x", {"n": 1}),
        (dsl.Dataset, "written", f"{tmp_path}/run/a/written", {}),
        (dsl.Artifact, "strange", f"{tmp_path}/run/a/strange", {}),
    ]


def test_a_value_that_was_written_to_a_path_is_found(tmp_path: Path) -> None:
    """As a cluster reads it: text as it is, else JSON; what a function returned stays, and what is no file is none."""
    kinds = {
        "text": "STRING",
        "number": "NUMBER_INTEGER",
        "flag": "BOOLEAN",
        "words": "LIST",
        "both": "STRING",
        "folder": "STRING",
        "none": "STRING",
    }
    parameters: dict[str, Any] = {"bare": {}} | {name: {"parameterType": kind} for name, kind in kinds.items()}
    spec = of(importer={}) | {
        "components": {"c": {"executorLabel": "e", "outputDefinitions": {"parameters": parameters}}}
    }
    place = tmp_path / "run" / "a"
    (place / "folder").mkdir(parents=True)
    for name, text in {
        "text": " 3\r\né\n",
        "bare": "7",
        "number": "3",
        "flag": "True",
        "words": '["a"]',
        "both": "written",
    }.items():
        (place / name).write_bytes(text.encode())
    (place / "executor_output.json").write_text('{"parameterValues": {"both": "returned", "Output": 0.5}}')
    assert runnable.outputs(spec, tmp_path) == {
        "a": {"bare": 7, "text": " 3\r\né\n", "number": 3, "flag": True, "words": ["a"]}
        | {"both": "returned", "Output": 0.5}
    }


def test_nothing_is_missing_for_a_pipeline_that_runs_here(others: Path) -> None:
    """What kfp itself installs for its steps is not asked for."""
    assert runnable.missing(read_spec(others)) == []


def test_each_task_gets_a_component_of_its_own() -> None:
    """What runs is the same, the document that was given too."""
    before = str(SPEC)
    made = runnable.separated(SPEC)
    keys = ["comp-p", "comp-q", "comp-a", "comp-p/b", "comp-p/deep", "comp-q/b", "comp-q/deep"]
    assert list(made["components"]) == [*keys, "comp-p/deep/c", "comp-q/deep/c"]
    assert made["root"]["dag"]["tasks"] == {"p": ref("comp-p"), "q": ref("comp-q"), "a": ref("comp-a")}
    assert made["components"]["comp-q/deep"] == {"dag": {"tasks": {"c": ref("comp-q/deep/c")}}}
    assert [one.path for one in compiled.tasks(made)] == [one.path for one in compiled.tasks(SPEC)]
    assert str(SPEC) == before
    assert runnable.separated({}) == {"components": {}}
    assert runnable.separated({"root": {"x": 1}}) == {"root": {"x": 1}, "components": {}}


def test_the_turns_of_a_loop_follow_each_other(others: Path) -> None:
    """Side by side they would mix what they print, and leave this process with another `print`."""
    tasks = runnable.made(read_spec(others))["root"]["dag"]["tasks"]
    assert tasks["for-loop-2"]["iteratorPolicy"] == {"parallelismLimit": 1}


@pytest.mark.parametrize(
    ("name", "ran"),
    [("a", "a-pipeline"), ("A", "A-pipeline"), ("e", "e-pipeline"), ("c", "c"), ("p", "p-pipeline-pipeline")],
)
def test_a_pipeline_with_the_name_of_a_task_runs_whole(name: str, ran: str) -> None:
    """By that name kfp would take the component or the executor of the task for all there is, and run it alone."""
    document = of(container={})
    tasks = {one: {"componentRef": {"name": "c"}} for one in ("a", "b", "p", "p-pipeline")}
    document["root"]["dag"]["tasks"] = tasks
    document["deploymentSpec"]["executors"]["exec-e"] = {}
    document["pipelineInfo"] = {"name": name}
    assert runnable.made(document)["pipelineInfo"] == {"name": ran}
    assert document["pipelineInfo"] == {"name": name}


def test_a_condition_has_its_inputs(others: Path) -> None:
    """The runner tells their names alone; another policy stays."""
    source = {"taskOutputParameter": {"outputParameterKey": "Output", "producerTask": "write"}}
    condition = "inputs.parameter_values['pipelinechannel--write-Output'] == 'never'"
    tasks = runnable.made(read_spec(others))["root"]["dag"]["tasks"]
    assert json.loads(tasks["condition-3"]["triggerPolicy"]["condition"]) == [
        condition,
        {"pipelinechannel--write-Output": source},
        ["pipelinechannel--write-Output"],
    ]
    document = of(container={})
    document["root"]["dag"]["tasks"]["a"]["triggerPolicy"] = {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
    assert runnable.made(document)["root"]["dag"]["tasks"]["a"]["triggerPolicy"] == {
        "strategy": "ALL_UPSTREAM_TASKS_COMPLETED"
    }


def test_nothing_else_is_changed_for_the_runner() -> None:
    """Only loops have turns, also over artifacts and in parts, and only what installs is taken out of a command."""
    loops: dict[str, Any] = {"by-value": {"parameterIterator": {}}, "by-file": {"artifactIterator": {}}, "once": {}}
    tasks = {name: {"componentRef": {"name": "c"}, **more} for name, more in loops.items()}
    install = installing("numpy==1.0")["deploymentSpec"]["executors"]["e"]["container"]
    executors = {
        "importer": {"importer": {"artifactUri": "x"}},
        "image": {"container": {"image": "alpine:3"}},
        "other": {"container": {"image": "alpine:3", "command": ["sh", "-c", "echo"], "args": ["pip install"]}},
    }
    document = {
        "root": {"dag": {"tasks": {"part": {"componentRef": {"name": "part"}}}}},
        "components": {"part": {"dag": {"tasks": tasks}}, "c": {"executorLabel": "function"}},
        "deploymentSpec": {"executors": {**executors, "function": {"container": install}}},
    }
    made = runnable.made(document)
    one = {"parallelismLimit": 1}
    changed = made["components"]["comp-part"]["dag"]["tasks"]
    assert {name: task.get("iteratorPolicy") for name, task in changed.items()} == {
        "by-value": one,
        "by-file": one,
        "once": None,
    }
    command = ["sh", "-ec", "python3 -m kfp.dsl.executor_main", "import json"]
    function = {"container": {"image": "python:3.11", "command": command}}
    assert made["deploymentSpec"] == {"executors": {**executors, "function": function}}


@pytest.mark.parametrize(
    ("told", "moved"),
    [
        ('{"artifacts": {"moved": {"artifacts": [{"custom_path": "own.txt"}]}, "plain": {"artifacts": []}}}', "own"),
        ("{}", None),
        ("no JSON", None),
        (None, None),
    ],
    ids=["told", "nothing told", "broken", "no file"],
)
def test_what_a_step_wrote_elsewhere_is_collected(told: str | None, moved: str | None, tmp_path: Path) -> None:
    """At a path of its own, from where it worked, or behind a link; what lies in its place stays."""
    work, out = tmp_path / "work", tmp_path / "out"
    for folder in (work, out):
        folder.mkdir()
    for name in ("own", "linked"):
        (work / f"{name}.txt").write_text(name)
    (out / "linked").symlink_to(work / "linked.txt")
    (out / "plain").write_text("plain")
    if told is not None:
        (tmp_path / "told.json").write_text(told)
    artifacts = {name: {"artifacts": [{"uri": str(out / name)}]} for name in ("moved", "linked", "plain", "silent")}
    given = {"outputs": {"outputFile": str(tmp_path / "told.json"), "artifacts": artifacts}}
    for command in ([], ["echo", "done"], ["python", "--executor_input", json.dumps(given), "--function_to_execute"]):
        assert (out / "linked").is_symlink()
        runnable.collect(command, str(work))
    shutil.rmtree(work)
    expected = {"linked": "linked", "plain": "plain"} | ({"moved": moved} if moved else {})
    assert {path.name: path.read_text() for path in out.iterdir()} == expected


@pytest.mark.parametrize(
    ("own", "expected"), [("own", {"a": b"own"}), ("made", {"b": b"made"}), ("gone", {"b": b"made"})]
)
def test_a_folder_takes_the_place_of_another(own: str, expected: dict[str, bytes], tmp_path: Path) -> None:
    """Where it is another, and there."""
    for folder, name in (("own", "a"), ("made", "b")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(folder)
    runnable.settle("model", tmp_path / "made", tmp_path / own)
    assert testing.contents(tmp_path / "made") == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made", "own"]


@pytest.mark.parametrize("target", ["..", "nowhere"], ids=["folder", "nothing"])
def test_a_link_that_a_cluster_cannot_follow_is_refused(target: str, tmp_path: Path) -> None:
    """It is named by its place in the output."""
    (tmp_path / "made" / "deep").mkdir(parents=True)
    (tmp_path / "made" / "deep" / "link").symlink_to(target)
    given = {"outputs": {"artifacts": {"model": {"artifacts": [{"uri": str(tmp_path / "made")}]}}}}
    with pytest.raises(StepError) as caught:
        runnable.collect(["python", "--executor_input", json.dumps(given)], str(tmp_path))
    assert str(caught.value) == (
        "expected files and folders in its output 'model', got the link deep/link to a folder or to nothing, which a "
        "cluster does not follow. Copy what it is to hold."
    )


def test_a_link_to_a_file_within_an_output_is_followed(tmp_path: Path) -> None:
    """The file is there then, and the link is not."""
    (tmp_path / "made").mkdir()
    (tmp_path / "file").write_text("x")
    (tmp_path / "made" / "link").symlink_to(tmp_path / "file")
    runnable.settle("model", tmp_path / "made")
    assert testing.contents(tmp_path / "made") == {"link": b"x"}
    assert not (tmp_path / "made" / "link").is_symlink()


def test_a_value_at_a_path_is_read_by_its_kind(tmp_path: Path) -> None:
    """One of no kind is JSON; one of another is named."""
    for name, text in (("text", "1"), ("free", "[1]"), ("number", "7")):
        (tmp_path / name).write_text(text)
    parameters: dict[str, Any] = {
        "text": {"parameterType": "STRING"},
        "free": {},
        "number": {"parameterType": "NUMBER_INTEGER"},
        "gone": {},
    }
    assert runnable._written(parameters, tmp_path) == {"text": "1", "free": [1], "number": 7}
    (tmp_path / "number").write_text("seven")
    with pytest.raises(StepError, match="at the path of its output 'number'"):
        runnable._written(parameters, tmp_path)
