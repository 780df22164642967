"""Tests of what looks at compiled pipelines in tests: whatever it checks fails on a bad example."""

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kfp import compiler, dsl
from kfp.dsl import Dataset, Input
from support.failing_test import failing

from fmnist import testing
from fmnist.cluster.pipeline_file import compile_pipeline_file
from fmnist.steps.errors import ContractError
from fmnist.testing import pipelines

PIPELINE = """
from kfp import dsl

@dsl.component(base_image="python", packages_to_install=PACKAGES)
def say(text: str, said: dsl.Output[dsl.Dataset]) -> str:
    SECRET = "TEXT"
    with open(said.path, "w") as file:
        file.write(text)
    return text

@dsl.component(base_image="python")
def hear(said: dsl.Input[dsl.Dataset], text: str, often: int, heard: dsl.Output[dsl.Dataset]):
    with open(said.path) as file, open(heard.path, "w") as out:
        out.write(f"{file.read()}{text}{often}")

@dsl.pipeline(name="talk")
def talk(text: str, often: int = 2):
    first = say(text=text)
    hear(said=first.outputs["said"], text=first.outputs["Output"], often=often)
"""


def talk(folder: Path, packages: str = '["h5py==1.0"]', text: str = "") -> Path:
    """Write the Python file of a small pipeline."""
    path = folder / "talk.py"
    path.write_text(PIPELINE.replace("PACKAGES", packages).replace("TEXT", text), encoding="utf-8")
    return path


def compile_talk(folder: Path, name: str, packages: str, text: str = "") -> Path:
    """Compile the small pipeline."""
    return compile_pipeline_file(talk(folder, packages, text), folder / f"{name}.yaml")


def test_a_compiled_pipeline_is_looked_at(tmp_path: Path, compile_each_way: Callable[..., testing.Compiled]) -> None:
    """Edges, parameters, pins and sizes are there, and every way to compile gives the same bytes."""
    source = talk(tmp_path)
    code = f"import runpy\nfrom kfp import compiler\ntalk = runpy.run_path({str(source)!r})['talk']"
    command = [sys.executable, "-c", f"{code}\ncompiler.Compiler().compile(talk, 'p.yaml')"]
    compiled = compile_each_way(source, command)
    assert compiled.edges == {("say", "said", "hear"), ("say", "Output", "hear")}
    assert compiled.parameters == {"text": None, "often": 2}
    assert compiled.pins == {"say": ["h5py==1.0"], "hear": []}
    assert compiled.sizes.keys() == {"say", "hear"}
    assert max(compiled.sizes.values()) < 2_000
    compiled.check()


def test_a_pipeline_of_little_is_looked_at(tmp_path: Path) -> None:
    """It takes nothing that has no default, or artifacts alone, and its task takes nothing, or has no command."""

    @dsl.container_component  # type: ignore[untyped-decorator]
    def bare() -> dsl.ContainerSpec:
        return dsl.ContainerSpec(image="busybox")

    @dsl.pipeline  # type: ignore[untyped-decorator]
    def alone(no: bool = False, number: int = 0, text: str = "", share: float = 0.0) -> None:
        bare()

    @dsl.pipeline  # type: ignore[untyped-decorator]
    def reading(table: Input[Dataset]) -> None:
        bare()

    # A default that is empty is one.
    for pipeline, parameters in ((alone, {"no": False, "number": 0, "text": "", "share": 0}), (reading, {})):
        path = tmp_path / f"{pipeline.name}.yaml"
        compiler.Compiler().compile(pipeline, str(path))
        found = testing.Compiled(path)
        assert (found.edges, found.parameters, found.sizes) == (set(), parameters, {"bare": 0})
        found.check()


def test_the_longest_argument_can_start(tmp_path: Path) -> None:
    """That of 131,071 bytes, which Linux takes."""
    size = testing.Compiled(compile_talk(tmp_path, "short", "[]", "x" * 5_000)).sizes["say"]
    room = 131_071 - size + 5_000
    testing.Compiled(compile_talk(tmp_path, "full", "[]", "x" * room)).check()
    with failing(r"got {'say': 131072}"):
        testing.Compiled(compile_talk(tmp_path, "long", "[]", "x" * (room + 1))).check()


def test_a_task_that_misses_a_name_cannot_start(tmp_path: Path) -> None:
    """Each one is named with what it misses."""
    source = talk(tmp_path)
    source.write_text(source.read_text().replace("return text", "return SUFFIX + text").replace("{often}", "{MUCH}"))
    with failing(r"step hear: expected names .*, got MUCH\. .*\n *step say: expected names .*, got SUFFIX\. "):
        testing.Compiled(compile_pipeline_file(source, tmp_path / "talk.yaml")).check()


def test_a_task_that_takes_what_nothing_gives_cannot_start(tmp_path: Path) -> None:
    """The part that lacks it is named."""
    compiled = testing.Compiled(compile_talk(tmp_path, "talk", "[]"))
    del compiled.spec["root"]["inputDefinitions"]["parameters"]["often"]
    with pytest.raises(ContractError, match="expected an input often of the pipeline, which hear takes, got none"):
        compiled.check()


def test_a_package_of_an_address_can_start(tmp_path: Path) -> None:
    """One file by its address is one version."""
    testing.Compiled(compile_talk(tmp_path, "wheel", '["numpy @ https://example.org/numpy.whl"]')).check()


def test_a_size_is_one_of_bytes(tmp_path: Path) -> None:
    """As Linux counts them, of which a letter may have several."""
    plain, umlauts = (
        testing.Compiled(compile_talk(tmp_path, f"size-{ord(letter)}", "[]", letter * 2_000)).sizes["say"]
        for letter in "uü"
    )
    assert umlauts == plain + 2_000


@pytest.mark.parametrize(
    "what",
    [
        "os.environ.get('TZ')",
        "os.environ.get('LC_ALL')",
        "os.environ.get('HOME')",
        "hash('text')",
        "os.getcwd()",
        "os.umask(0o022)",
    ],
)
def test_a_way_with_other_bytes_is_seen(
    what: str, tmp_path: Path, compile_each_way: Callable[..., testing.Compiled]
) -> None:
    """A file that depends on the place where it is compiled fails, though a command gives the first way's bytes."""
    source = talk(tmp_path)
    name = f'"talk-" + hashlib.sha256(str({what}).encode()).hexdigest()'
    source.write_text("import hashlib, os\n" + source.read_text().replace('"talk"', name))
    with failing("expected the bytes of .*, which kfp wrote, got others in "):
        compile_each_way(source, ["cp", str(tmp_path / "way 0" / "kfp.yaml"), "."])


def test_several_are_compiled_each_way(
    tmp_path: Path, compile_each_way: Callable[..., testing.Compiled], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also by paths from here, and by a Python with no program of kfp beside it; no file, or two, are seen."""
    (program := tmp_path / "python").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.chdir(tmp_path)
    source = talk(tmp_path).relative_to(tmp_path)
    assert compile_each_way(source).path.read_bytes() == compile_each_way(source).path.read_bytes()
    for command, got in ((["true"], r"\[\]"), (["touch", "a", "b"], r"\['.*/a', '.*/b'\]")):
        with failing(rf"expected one file in the folder where it runs, got {got}\n"):
            compile_each_way(source, ["cp", str(tmp_path / "way 0" / "kfp.yaml"), "."], command)


def test_a_way_that_fails_is_seen(tmp_path: Path, compile_each_way: Callable[..., testing.Compiled]) -> None:
    """Its error is shown; what writes two files does not say which one is compiled."""
    with failing("expected one file in the folder where it runs, got .*a.yaml.*b.yaml"):
        pipelines._compiled_by(["touch", "a.yaml", "b.yaml"], tmp_path / "two", {}, 0o022)
    source = tmp_path / "none.py"
    source.write_text("1 / 0")
    with failing("expected exit code 0, got 1:\n *division by zero"):
        compile_each_way(source)


@pytest.mark.parametrize(
    ("packages", "text", "said"),
    [
        ('["numpy"]', "", r"expected requirements of one version, as in numpy==2.0.0, got {'say': \['numpy'\]}"),
        ('["a==1", "numpy==2.*", "b;os_name>\'\'"]', "", r"got {'say': \['numpy==2.*', \"b;os_name>''\"\]}"),
        ("[]", "x" * 140_000, r"expected arguments of at most 131,071 bytes, got {'say': 14"),
    ],
    ids=["unpinned", "any", "long"],
)
def test_what_cannot_start_is_seen(tmp_path: Path, packages: str, text: str, said: str) -> None:
    """A requirement that floats and a program that is too long fail."""
    with failing(said):
        testing.Compiled(compile_talk(tmp_path, "talk", packages, text)).check()


def test_a_compiled_pipeline_runs_here(tmp_path: Path, run_pipeline: Callable[..., Any]) -> None:
    """Its artifacts are found by task and name; what is missing here is told instead."""
    outputs = run_pipeline(compile_talk(tmp_path, "here", "[]"), text="ab", often=0)
    assert Path(outputs["hear"]["heard"].path).read_text() == "abab0"
    assert outputs["say"]["Output"] == "ab"
    lacking = testing.Compiled(compile_talk(tmp_path, "lacking", '["h5py==1.0", "numpy==1.0"]'))
    with failing(
        "expected what its steps need, got none of h5py==1.0, of which .*; numpy==1.0, of which .* here", ContractError
    ):
        run_pipeline(lacking, text="ab")


SHUFFLED = """
from kfp import dsl

@dsl.component(base_image="python")
def shuffle(names: list, shuffled: dsl.Output[dsl.Dataset], in_order: dsl.Output[dsl.Dataset]) -> list:
    for out, found in ((shuffled, set(names)), (in_order, sorted(names))):
        with open(out.path, "w") as file:
            file.write(",".join(found))
        out.metadata["order"] = ",".join(found)
    return list(set(names))

@dsl.pipeline
def shuffling(names: list):
    shuffle(names=names)
"""


@pytest.mark.usefixtures("at_once")
def test_the_order_of_a_set_is_seen(tmp_path: Path, run_pipeline: Callable[..., Any]) -> None:
    """It is another one in each process, in a file, and in what is logged and returned; what is sorted is the same."""
    (source := tmp_path / "source.py").write_text(SHUFFLED)
    compiled = testing.Compiled(compile_pipeline_file(source, tmp_path / "shuffling.yaml"))
    names = [f"name {i}" for i in range(100)]
    what = "Output of shuffle, another content of shuffled of shuffle, another metadata of shuffled of shuffle\n"
    with failing(f"^expected the same from two calls, got another {what}"):
        testing.assert_reproducible(lambda: run_pipeline(compiled, names=names))
    again = testing.assert_reproducible(lambda: run_pipeline(compiled, names=names[:1]))
    assert Path(again["shuffle"]["shuffled"].path).read_text() == "name 0"
