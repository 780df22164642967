"""Tests of the plugin for other people's tests: what it checks fails on a bad example, and it asks for little."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from kfp import compiler, dsl
from kfp.dsl import Artifact, Dataset, Input, Metrics, Output
from support import helpers

from fmnist import testing
from fmnist.cluster.pipeline_file import compile_pipeline_file
from fmnist.steps.errors import ContractError


@contextmanager
def failing(said: str, kind: type[Exception] = AssertionError) -> Iterator[None]:
    """Expect a failure that says so, with a traceback of which pytest shows the test, and nothing of the plugin."""
    with pytest.raises(kind, match=said) as caught:
        yield
    shown = [Path(entry.path) for entry in caught.traceback.filter(caught)]
    assert Path(__file__) in shown
    assert Path(testing.__file__) not in shown


#: Only what pytest and kfp bring.
ALONE = """
import importlib.metadata as metadata, re, sys

def required(name, found):
    if name not in found:
        found.add(name)
        for one in metadata.requires(name) or ():
            if "extra ==" not in one:
                try: required(re.split(r"[^\\w.-]", one)[0].lower().replace("_", "-"), found)
                except metadata.PackageNotFoundError: pass
    return found

allowed = required("pytest", set()) | required("kfp", set()) | {"fmnist"}
of = {name: {one.lower().replace("_", "-") for one in by} for name, by in metadata.packages_distributions().items()}

class Hidden:
    def find_spec(self, name, *_):
        top = name.partition(".")[0]
        if of.get(top) and not of[top] & allowed:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

for name in [*sys.modules]:
    if (by := of.get(name.partition(".")[0])) and not by & allowed:
        del sys.modules[name]
sys.meta_path.insert(0, Hidden())
import fmnist.testing
print(len(of) > 50, sorted({"keras", "tensorflow", "hypothesis", "numpy", "pydantic", "kfp"} & sys.modules.keys()))
"""


def test_it_needs_pytest_and_kfp_alone() -> None:
    """With every package hidden that neither of the two requires, it is imported."""
    assert helpers.python(ALONE).strip() == "True []"


WITHOUT_PYTEST = """
import sys
sys.modules["pytest"] = None
try:
    import fmnist.testing
except ImportError as error:
    print(error)
"""


def test_without_pytest_it_says_what_to_install() -> None:
    """The package itself does not require pytest."""
    said = "fmnist.testing: expected pytest, got none. Install it, with pip install pytest."
    assert helpers.python(WITHOUT_PYTEST).strip() == said


def test_the_package_does_not_disturb_other_tests() -> None:
    """It has no entry point, so that nobody's tests load it unasked; its wheel requires nothing for tests."""
    from importlib.metadata import distribution

    package = distribution("fmnist")
    assert {point.group for point in package.entry_points} == {"console_scripts"}
    assert not [one for one in package.requires or () if one.startswith(("pytest", "hypothesis"))]


def good(
    often: int, table: Input[Dataset], more: Input[list[Dataset]], out: Output[Dataset], metrics: Output[Metrics]
) -> tuple[int]:
    """Repeat a table."""
    text = Path(table.path).read_text() * often + "".join(Path(one.path).read_text() for one in more)
    Path(out.path).write_text(text)
    metrics.log_metric("length", len(text))
    return (len(text),)


def test_a_component_runs_with_typed_artifacts(run_component: Callable[..., testing.Ran]) -> None:
    """It gets what it declares, and all that it wrote, logged and returned is there."""
    ran = run_component(good, often=2, table="ab", more=[b"c", "d"])
    assert (ran.returned, ran.files) == ((6,), {"out": b"ababcd"})
    assert ran["metrics"].metadata == {"length": 6}
    assert Path(ran["out"].path).read_text() == "ababcd"
    testing.assert_contract(
        ran,
        parameters={"often": int},
        inputs={"table": Dataset, "more": list[Dataset]},
        outputs={"out": Dataset, "metrics": Metrics},
        invariants=[lambda ran: len(ran.files["out"]) == ran["metrics"].metadata["length"]],
    )


def test_a_component_of_kfp_runs_too(run_component: Callable[..., testing.Ran], tmp_path: Path) -> None:
    """Given as what kfp made of a function, with folders, paths and annotations of other kinds."""

    @dsl.component(base_image="python")  # type: ignore[untyped-decorator]
    def copy(folder: Dataset, file: dsl.InputPath("Dataset"), out: dsl.OutputPath("Dataset"), n: int = 1) -> None:  # type: ignore[valid-type]
        """Copy."""
        from pathlib import Path

        Path(out).write_bytes((Path(folder.path) / "a.txt").read_bytes() * n + Path(file).read_bytes())

    (tmp_path / "file.txt").write_text("x")
    ran = run_component(copy, folder={"a.txt": "y"}, file=tmp_path / "file.txt", n=2)
    assert ran.files == {"out": b"yyx"}
    again = run_component(copy, folder=testing.artifact(Dataset, tmp_path / "f", {"a.txt": b"z"}), file=b"x")
    assert again.files == {"out": b"zx"}


def test_what_a_component_takes_may_be_odd(run_component: Callable[..., testing.Ran]) -> None:
    """Folders in a folder, as `contents` gives them, a tuple of artifacts, and none where kfp gives none."""

    def copy(
        folder: Input[Dataset], out: Output[Dataset], more: Input[list[Dataset]], none: Input[Dataset] = None
    ) -> None:
        """Write names, texts and nothing."""
        names = [str(one.relative_to(folder.path)) for one in sorted(Path(folder.path).rglob("*.txt"))]
        Path(out.path).write_text(" ".join([*names, *(Path(one.path).read_text() for one in more), str(none)]))

    ran = run_component(copy, folder={"a.txt": "x", "b/c/d.txt": b"y"}, more=("1", "2"), none=None)
    assert ran.files == {"out": b"a.txt b/c/d.txt 1 2 None"}


def test_an_output_may_have_an_ending(run_component: Callable[..., testing.Ran]) -> None:
    """Kfp keeps the address that a component gave its output, as some libraries write to certain names alone."""

    def write(table: Output[Dataset], other: Output[Dataset]) -> None:
        """Write to other names."""
        table.uri += ".csv"
        other.path += "/deep/file"
        for one in (table, other):
            Path(one.path).parent.mkdir(exist_ok=True, parents=True)
            Path(one.path).write_text("x")

    assert run_component(write).files == {"table.csv": b"x", "other/deep/file": b"x"}


def test_a_component_without_a_function_is_refused(run_component: Callable[..., testing.Ran]) -> None:
    """One of an image cannot run here."""

    @dsl.container_component  # type: ignore[untyped-decorator]
    def image() -> dsl.ContainerSpec:
        return dsl.ContainerSpec("alpine", ["true"])

    with failing("^expected a function, or a component of one, got 'image'. Test it on a cluster.$", ContractError):
        run_component(image)


def test_a_component_may_have_no_outputs(run_component: Callable[..., testing.Ran]) -> None:
    """It returns a value, or checks its input."""

    def check(table: Input[Dataset]) -> int:
        return len(Path(table.path).read_text())

    ran = run_component(check, table="abc")
    assert (ran.returned, ran.artifacts, ran.files) == (3, {}, {})


def test_an_artifact_has_a_name_and_metadata(tmp_path: Path) -> None:
    """As kfp gives it: its name is that of the file."""
    made = testing.artifact(Dataset, tmp_path / "table", "x", rows=1)
    assert (made.name, made.path, made.metadata) == ("table", str(tmp_path / "table"), {"rows": 1})
    assert testing.artifact(Dataset, tmp_path / "new").metadata == {}


def changes(table: Input[Dataset], out: Output[Dataset]) -> None:
    """Write into its input."""
    for path in (table.path, out.path):
        Path(path).write_text("changed")


def changes_one(tables: Input[list[Dataset]], out: Output[Dataset]) -> None:
    """Write into the last of its inputs."""
    for path in (tables[-1].path, out.path):
        Path(path).write_text("changed")


def silent(out: Output[Dataset], told: Output[Metrics]) -> None:
    """Write nothing."""
    told.log_metric("x", 1)


def beside(out: Output[Artifact]) -> None:
    """Write something else too."""
    Path(out.path).write_text("x")
    Path(out.path).with_name("other").write_text("x")


def changes_folder(folder: Input[Dataset], out: Output[Dataset]) -> None:
    """Write into a folder that is its input."""
    for path in (Path(folder.path, "a"), out.path):
        Path(path).write_text("changed")


def silent_path(out: dsl.OutputPath("Dataset")) -> None:  # type: ignore[valid-type]
    """Write nothing to a path."""


BAD: dict[str, tuple[Callable[..., None], dict[str, Any], str]] = {
    "changed input": (changes, {"table": "a"}, r"changes: expected its inputs as they were, got others of \['table'\]"),
    "one changed input": (changes_one, {"tables": ["a", "b"]}, r"got others of \['tables'\]"),
    "a changed file of a folder": (changes_folder, {"folder": {"a": "x"}}, r"got others of \['folder'\]"),
    "no output at a path": (silent_path, {}, r"silent_path: expected .*, got nothing of \['out'\]"),
    "no output": (silent, {}, r"silent: expected each output written or logged, got nothing of \['out'\]"),
    "another file": (beside, {}, r"beside: expected \['out'\] at most, got \['other', 'out'\]"),
}


@pytest.mark.parametrize(("function", "given", "said"), BAD.values(), ids=BAD)
def test_a_bad_component_is_seen(
    run_component: Callable[..., testing.Ran], function: Callable[..., None], given: dict[str, Any], said: str
) -> None:
    """What would go wrong on a cluster, or be lost there, fails the test."""
    with failing(said):
        run_component(function, **given)


@pytest.mark.parametrize("given", ["a", b"a", {"a": "x"}, Path("a")], ids=["text", "bytes", "a folder", "a path"])
def test_one_content_is_no_list_of_them(run_component: Callable[..., testing.Ran], given: Any) -> None:
    """The function would get a path, which has none of what it asks of an artifact."""
    with pytest.raises(ContractError, match=rf"^tables: expected a list of contents, got a {type(given).__name__}\.$"):
        run_component(changes_one, tables=given)


def never(ran: testing.Ran) -> bool:
    """The output is empty."""
    return not ran.files["out"]


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "parameter": ({"parameters": {"often": float}}, "parameters: expected {'often': <class 'float'>}, got {'often'"),
    "input": ({"inputs": {"table": Dataset}}, "inputs: expected .*, got .*'more'"),
    "output": ({"outputs": {"out": Artifact, "metrics": Metrics}}, "outputs: expected .*Artifact.*, got .*Dataset"),
    "nothing": ({"outputs": None}, "outputs: expected {}, got "),
    "invariant": ({"invariants": [never]}, "expected that The output is empty."),
}


@pytest.mark.parametrize(("change", "said"), BROKEN.values(), ids=BROKEN)
def test_a_broken_contract_is_seen(
    run_component: Callable[..., testing.Ran], change: dict[str, Any], said: str
) -> None:
    """Another name, another type, one too many or too few, and an invariant that does not hold fail."""
    contract = {
        "parameters": {"often": int},
        "inputs": {"table": Dataset, "more": list[Dataset]},
        "outputs": {"out": Dataset, "metrics": Metrics},
    }
    with failing(said):
        testing.assert_contract(run_component(good, often=1, table="a", more=[]), **{**contract, **change})


PIPELINE = """
from kfp import dsl

@dsl.component(base_image="python", packages_to_install=PACKAGES)
def say(text: str, said: dsl.Output[dsl.Dataset]) -> str:
    SECRET = "TEXT"
    with open(said.path, "w") as file:
        file.write(text)
    return text

@dsl.component(base_image="python")
def hear(said: dsl.Input[dsl.Dataset], text: str, heard: dsl.Output[dsl.Dataset]):
    with open(said.path) as file, open(heard.path, "w") as out:
        out.write(file.read() + text)

@dsl.pipeline(name="talk")
def talk(text: str, often: int = 2):
    first = say(text=text)
    hear(said=first.outputs["said"], text=first.outputs["Output"])
"""


def talk(folder: Path, packages: str = '["h5py==1.0"]', text: str = "") -> Path:
    """Write the Python file of a small pipeline."""
    path = folder / "talk.py"
    path.write_text(PIPELINE.replace("PACKAGES", packages).replace("TEXT", text))
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
    """It takes nothing, or artifacts alone, and its task takes nothing, or has no command."""

    @dsl.container_component  # type: ignore[untyped-decorator]
    def bare() -> dsl.ContainerSpec:
        return dsl.ContainerSpec(image="busybox")

    @dsl.pipeline  # type: ignore[untyped-decorator]
    def alone() -> None:
        bare()

    @dsl.pipeline  # type: ignore[untyped-decorator]
    def reading(table: Input[Dataset]) -> None:
        bare()

    for pipeline in (alone, reading):
        path = tmp_path / f"{pipeline.name}.yaml"
        compiler.Compiler().compile(pipeline, str(path))
        found = testing.Compiled(path)
        assert (found.edges, found.parameters, found.sizes) == (set(), {}, {"bare": 0})
        found.check()


def test_the_longest_argument_can_start(tmp_path: Path) -> None:
    """That of 131,071 bytes, which Linux takes."""
    size = testing.Compiled(compile_talk(tmp_path, "short", "[]", "x" * 5_000)).sizes["say"]
    room = 131_071 - size + 5_000
    testing.Compiled(compile_talk(tmp_path, "full", "[]", "x" * room)).check()
    with failing(r"got {'say': 131072}"):
        testing.Compiled(compile_talk(tmp_path, "long", "[]", "x" * (room + 1))).check()


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
    """A file that depends on the place where it is compiled, or a command that writes something else, fails."""
    source = talk(tmp_path)
    name = f'"talk-" + hashlib.sha256(str({what}).encode()).hexdigest()'
    source.write_text("import hashlib, os\n" + source.read_text().replace('"talk"', name))
    with failing("expected the bytes of .*, which kfp wrote, got others in "):
        compile_each_way(source)


def test_a_way_that_fails_is_seen(tmp_path: Path, compile_each_way: Callable[..., testing.Compiled]) -> None:
    """Its error is shown."""
    source = tmp_path / "none.py"
    source.write_text("1 / 0")
    with failing("expected exit code 0, got 1:\n *division by zero"):
        compile_each_way(source)


@pytest.mark.parametrize(
    ("packages", "text", "said"),
    [
        ('["numpy"]', "", r"expected requirements of one version, as in numpy==2.0.0, got {'say': \['numpy'\]}"),
        ('["numpy==2.*"]', "", "expected requirements of one version"),
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
    from fmnist.steps.errors import ContractError

    outputs = run_pipeline(compile_talk(tmp_path, "here", "[]"), text="ab")
    assert Path(outputs["hear"]["heard"].path).read_text() == "abab"
    lacking = testing.Compiled(compile_talk(tmp_path, "lacking", '["h5py==1.0", "numpy==1.0"]'))
    with failing(
        "expected what its steps need, got none of h5py==1.0, of which .*; numpy==1.0, of which .* here", ContractError
    ):
        run_pipeline(lacking, text="ab")


def test_a_missing_file_is_seen() -> None:
    """Fewer files than expected fail."""
    with failing("expected the files"):
        testing.assert_same_files(got={}, expected={"a": b""})


def test_a_different_byte_is_seen() -> None:
    """One changed byte fails, and its file is named."""
    with failing(r"got others in \['b'\]"):
        testing.assert_same_files(got={"a": b"1", "b": b"2"}, expected={"a": b"1", "b": b"3"})
