"""Tests of what a compiled pipeline is known to say: tasks and their parts, code and requirements."""

import base64
import gzip
import tarfile
import tracemalloc
import zlib
from typing import Any

import pytest
from support.documents import SPEC, ref
from support.kfp_logs import archive

from fmnist.kubeflow import compiled
from fmnist.steps.errors import ContractError

#: How kfp starts a Python function, and what it runs before.
START = "program_path=$(mktemp -d)\n_KFP_RUNTIME=true python3 -m kfp.dsl.executor_main --component_module_path x"
INSTALL = """
PIP_DISABLE_PIP_VERSION_CHECK=1 python3 -m pip install --quiet --index-url https://h/simple \
'kfp==2.17.0' '--no-deps' 'typing-extensions>=3.7.4,<5; python_version<"3.9"' && \
python3 -m pip install --quiet 'numpy==1.0' 'kfp-server-api==2.16.0' 'a @ https://x/y.whl' \
"b[c]==1; python_version<'3.12'" && "$0" "$@"
"""


def task(command: list[Any] | None = None, **more: Any) -> compiled.Task:
    """Return a task with this command in its container."""
    return compiled.Task("a", {}, {}, {"container": {"command": command, **more}})


def packed(files: dict[str, bytes], **more: str) -> str:
    """Return a line of a program that carries an archive of files, and of folders and links."""
    special = [tarfile.TarInfo(name) for name in more]
    for entry, target in zip(special, more.values(), strict=True):
        entry.type, entry.linkname = (tarfile.SYMTYPE if target else tarfile.DIRTYPE), target
    return f"__KFP_EMBEDDED_ARCHIVE_B64 = '{base64.b64encode(archive(files, *special)).decode()}'\n"


def unpacked(files: dict[str, bytes]) -> bytes:
    """Return the archive of files as it is before it is compressed."""
    return gzip.decompress(base64.b64decode(packed(files).split("'")[1]))


def test_a_task_of_a_function_is_taken_apart() -> None:
    """Its command without what installs, its program, the files in that, and what pip installs."""
    program = packed({"m.py": b"x = 1\n"}) + "def f(): ...\n"
    whole = task(["sh", "-c", INSTALL, "sh", "-ec", START, program], args=["--executor_input", 1])
    assert whole.command == ["sh", "-ec", START, program, "--executor_input", "1"]
    assert whole.program == program
    assert whole.code == {"m.py": b"x = 1\n"}
    assert whole.installation == [
        "kfp==2.17.0",
        'typing-extensions>=3.7.4,<5; python_version<"3.9"',
        "numpy==1.0",
        "kfp-server-api==2.16.0",
        "a @ https://x/y.whl",
        "b[c]==1; python_version<'3.12'",
    ]
    assert whole.requirements == whole.installation[2:]
    assert whole.installer == [
        *("PIP_DISABLE_PIP_VERSION_CHECK=1 python3", "-m pip install", "--quiet", "--index-url https://h/simple"),
        *("'--no-deps'", "python3", "-m pip install", "--quiet", '"$0" "$@"'),
    ]
    extras = task(["sh", "-c", INSTALL.replace("kfp==2.17.0", "kfp[kubernetes]==2.17.0"), "sh", "-ec", START, program])
    assert extras.installation[0] == "kfp[kubernetes]==2.17.0"
    assert extras.requirements == whole.requirements


PLAIN: dict[str, tuple[compiled.Task, list[str]]] = {
    "importer": (compiled.Task("a", {}, {}, {"importer": {}}), []),
    "image": (task(), []),
    "no container": (compiled.Task("a", {}, {}, {"container": None}), []),
    "arguments": (task(args=["x", "y", "z"]), ["x", "y", "z"]),
    "numbers": (task(["sleep", 1]), ["sleep", "1"]),
    "nothing after": (task(["sh", "-c", INSTALL]), ["sh", "-c", INSTALL]),
    "nothing but arguments after": (task(["sh", "-c", INSTALL], args=["x"]), ["sh", "-c", INSTALL, "x"]),
    "another shell": (task(["bash", "-c", INSTALL, "x"]), ["bash", "-c", INSTALL, "x"]),
    "another option": (task(["sh", "-ec", INSTALL, "x"]), ["sh", "-ec", INSTALL, "x"]),
    "another script": (task(["sh", "-c", "pip 'install'", "x"]), ["sh", "-c", "pip 'install'", "x"]),
    "a program that names kfp's": (task(["python", START]), ["python", START]),
}


@pytest.mark.parametrize(("plain", "command"), PLAIN.values(), ids=PLAIN)
def test_what_is_no_function_has_a_command_alone(plain: compiled.Task, command: list[str]) -> None:
    """Nothing is taken for a program or an installation that is none."""
    assert (plain.command, plain.program, plain.code) == (command, "", {})
    assert (plain.installation, plain.requirements, plain.installer) == ([], [], [])


def test_a_document_without_content_does_not_count() -> None:
    """Such is one between two lines of hyphens; an empty mapping, which is no pipeline, has to be told."""
    assert compiled.documents(b"---\n---\na: 1\n---\n{}\n---\n") == [{"a": 1}, {}]
    assert compiled.documents(b"# nothing\n") == []


def test_the_shortest_step_that_installs_is_seen() -> None:
    """What follows the script may be one word."""
    assert task(["sh", "-c", INSTALL, "run"]).command == ["run"]


def test_tasks_are_given_by_their_path() -> None:
    """Those at the top come first; each knows what the document says of it."""
    tasks = list(compiled.tasks(SPEC))
    assert [one.path for one in tasks] == ["a", "p/b", "q/b", "p/deep/c", "q/deep/c"]
    assert {str((one.spec, one.component, one.executor)) for one in tasks} == {
        str((ref("leaf"), {"executorLabel": "exec"}, {"importer": {"of": "it"}}))
    }
    assert (
        list(compiled.tasks({}))
        == list(compiled.tasks({"root": {}}))
        == list(compiled.tasks({"root": {"dag": {}}}))
        == []
    )


def top(name: str, component: str, **components: Any) -> dict[str, Any]:
    """Return a document with one task at the top."""
    return {"root": {"dag": {"tasks": {name: ref(component)}}}, "components": components}


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no component": (
        top("a", "gone"),
        "task 'a', which does not hold itself, and at most 10,000 tasks, got 'gone' as task 1.",
    ),
    "no reference": ({"root": {"dag": {"tasks": {"a": {}}}}}, "task 'a', which .* got None as task 1."),
    "itself": (top("a", "p", p={"dag": {"tasks": {"b": ref("p")}}}), "task 'a/b', which .* got 'p' as task 2."),
    "in a circle": (
        top("a", "p", p={"dag": {"tasks": {"b": ref("q")}}}, q={"dag": {"tasks": {"c": ref("p")}}}),
        "task 'a/b/c', which .* got 'p' as task 3.",
    ),
    "a name that leads elsewhere": (top("../a", "p", p={}), "task '../a', which .* got 'p' as task 1."),
    "a name with an end": (top("a/", "p", p={}), "task 'a/', which .* got 'p' as task 1."),
    "a name like an option": (top("-a", "p", p={}), "task '-a', which .* got 'p' as task 1."),
    "a long name": (top("x" * 200 + "/", "p", p={}), f"task '{'x' * 100} ...', which .* got 'p' as task 1."),
    "too many": (
        top("a", "p", p={"dag": {"tasks": {f"b{i}": ref("q") for i in range(10_000)}}}, q={"executorLabel": "exec"}),
        "task 'a/b9999', which .* got 'q' as task 10,001.",
    ),
}


@pytest.mark.parametrize(("spec", "said"), BAD.values(), ids=BAD)
def test_a_task_that_cannot_be_is_told(spec: dict[str, Any], said: str) -> None:
    """The message names the task by its path, and the component that it asks for."""
    with pytest.raises(ContractError, match=f"^compiled pipeline: expected a component for the {said}$"):
        list(compiled.tasks({**spec, "deploymentSpec": SPEC["deploymentSpec"]}))


@pytest.mark.parametrize("more", [{}, {"deploymentSpec": {}}, {"deploymentSpec": {"executors": {"other": {}}}}])
def test_a_task_without_an_executor_is_told(more: dict[str, Any]) -> None:
    """What runs is missing."""
    with pytest.raises(ContractError) as caught:
        list(compiled.tasks({**top("a", "p", p={"executorLabel": "exec"}), **more}))
    assert str(caught.value) == "compiled pipeline: expected an executor for the task a, got none."


HOSTILE = {
    "a part that holds itself": {"root": {"dag": {"tasks": {"a": {"componentRef": {"name": "comp-a"}}}}}},
    "no component": {"root": {"dag": {"tasks": {"a": {"componentRef": {"name": "comp-b"}}}}}},
    "many parts": {"root": {"dag": {"tasks": {"b": {"componentRef": {"name": "comp-0"}}}}}},
}


@pytest.mark.parametrize("spec", HOSTILE.values(), ids=HOSTILE)
def test_a_document_without_an_end_is_refused(spec: dict[str, Any]) -> None:
    """Tasks that never end, or that nothing is known of, are an error."""
    deep = {
        f"comp-{i}": {"dag": {"tasks": {name: {"componentRef": {"name": f"comp-{i + 1}"}} for name in "xy"}}}
        for i in range(40)
    }
    itself = {"comp-a": {"dag": {"tasks": {"again": {"componentRef": {"name": "comp-a"}}}}}}
    with pytest.raises(
        ContractError, match="^compiled pipeline: expected a component for the task .*, and at most 10,00"
    ):
        list(compiled.tasks({**spec, "components": {**deep, **itself}}))


def test_as_many_tasks_as_a_server_takes_are_read() -> None:
    """The bound itself is allowed."""
    many = {"root": {"dag": {"tasks": {f"a{i}": ref("leaf") for i in range(10_000)}}}}
    assert sum(1 for _ in compiled.tasks({**SPEC, **many})) == 10_000


def test_all_files_in_all_archives_are_carried() -> None:
    """What is no archive, a folder, and a link are left out; of two files of one name the later one stays."""
    none = [
        "__KFP_EMBEDDED_ARCHIVE_B64 = 'abc'\n",
        f"__KFP_EMBEDDED_ARCHIVE_B64 = '{base64.b64encode(b'no gzip').decode()}'\n",
        f"__KFP_EMBEDDED_ARCHIVE_B64 = '{base64.b64encode(gzip.compress(b'no tar')).decode()}'\n",
        f"__KFP_EMBEDDED_ARCHIVE_B64 = '{base64.b64encode(zlib.compress(unpacked({'zlib.py': b''}))).decode()}'\n",
        " " + packed({"indented.py": b""}),
    ]
    program = "".join(
        [packed({"a/b.py": b"1", "c": b"\xff"}, folder="", link="c"), *none, packed({"c": b"2"}), packed({})]
    )
    assert compiled.carried(program) == {"a/b.py": b"1", "c": b"2"}


def test_a_file_has_one_spelling_of_its_path() -> None:
    """Kfp's own archive has each path from the folder that was given; a later file replaces the one of its path."""
    program = packed({"./a.py": b"1", "./b/./c.py": b"2", "d.py": b"3"}) + packed({"b//c.py": b"4", "./d.py": b"5"})
    assert compiled.carried(program) == {"a.py": b"1", "b/c.py": b"4", "d.py": b"5"}


def test_too_much_code_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more is unpacked than a step may have; as much is."""
    program = packed({"a": bytes(1000)})
    size = len(unpacked({"a": bytes(1000)}))
    monkeypatch.setattr(compiled, "LARGEST", size)
    assert compiled.carried(program) == {"a": bytes(1000)}
    monkeypatch.setattr(compiled, "LARGEST", size - 1)
    with pytest.raises(ContractError) as caught:
        compiled.carried(program)
    assert str(caught.value) == f"compiled pipeline: expected at most {size - 1:,} bytes of code in a step, got more."


def test_no_more_is_unpacked_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What expands without limit takes no memory before it is refused."""
    monkeypatch.setattr(compiled, "LARGEST", 1000)
    text = base64.b64encode(gzip.compress(bytes(10_000_000))).decode()
    tracemalloc.start()
    try:
        with pytest.raises(ContractError, match="at most 1,000 bytes of code in a step, got more.$"):
            compiled.carried(f"__KFP_EMBEDDED_ARCHIVE_B64 = '{text}'\n")
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_the_bounds_are_those_of_servers_and_steps() -> None:
    """They are literals here: no test is to compute them."""
    assert (compiled.MOST_TASKS, compiled.LARGEST) == (10_000, 67_108_864)


def test_a_condition_may_ask_for_many_inputs() -> None:
    """Each of them has its source, and no other has."""
    condition = " && ".join(f"inputs.parameter_values['{name}'] == 1" for name in "abcd")
    parameters = {name: {"componentInputParameter": name.upper()} for name in "abcde"}
    spec = {"triggerPolicy": {"condition": condition}, "inputs": {"parameters": parameters}}
    assert compiled.asked(spec) == {name: {"componentInputParameter": name.upper()} for name in "abcd"}


@pytest.mark.parametrize("inputs", [{}, {"inputs": {}}, {"inputs": {"parameters": {"other": {}}}}])
def test_a_condition_may_ask_for_nothing_that_its_task_takes(inputs: dict[str, Any]) -> None:
    """It then has no source: a condition of numbers alone, or a name that is no input."""
    for condition in ("1 == 1", "inputs.parameter_values['x'] == 1"):
        assert compiled.asked({"triggerPolicy": {"condition": condition}, **inputs}) == {}
