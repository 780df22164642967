"""Tests of the step code that a compiled pipeline carries."""

import ast
import base64
import gzip
import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import tokenize
from pathlib import Path
from typing import Any

import pytest

from fmnist import pipeline
from fmnist.kubeflow import bundle, components
from fmnist.steps.errors import ContractError

FILES = {"fmnist/a.py": b"a = 1\n"}
SOURCE = "x = 1\n__KFP_EMBEDDED_ARCHIVE_B64 = '{}'\n"


#: The modules that each component carries.
_DATA = "characters checks data_file dataset determinism errors files garbage messages redaction sources web"
CARRIED = {
    "train": f"{_DATA} canvas checkpoint fonts model model_bounds optimizers plots settings training",
    "test": f"{_DATA} canvas evaluation labels model model_bounds",
    "confusion-matrix": "canvas characters checks confusion errors files fonts garbage labels messages plots",
}


@pytest.mark.parametrize("name", CARRIED)
def test_a_step_carries_what_it_imports(name: str) -> None:
    """A step carries the modules that it imports, and nothing else; the package's `__init__` is empty."""
    files = bundle.imported_by(pipeline.COMPONENTS[name])
    modules = ["__init__", *CARRIED[name].split()]
    assert set(files) == {"fmnist/__init__.py", *(f"fmnist/steps/{module}.py" for module in modules)}
    assert files.pop("fmnist/__init__.py") == b""
    assert files == {path: (bundle.PACKAGE.parent / path).read_bytes() for path in files}


def nothing() -> None:
    """Import nothing."""


#: What a source imports, and what a step carries for that: packages come with their `__init__`, rooms with their data.
IMPORTED = {
    "import fmnist.kubeflow": "kubeflow/__init__.py",
    "import fmnist.kubeflow.edges": "kubeflow/__init__.py kubeflow/edges.py steps/__init__.py steps/errors.py",
    "from fmnist.replication import published": "replication/__init__.py replication/published.json "
    "replication/published.py",
    "import fmnist, fmnistic.steps.files, json": "",
}


@pytest.mark.parametrize(("source", "names"), IMPORTED.items())
def test_packages_and_data_are_carried_with_modules(source: str, names: str) -> None:
    """Code of others may import a package, a module of one, or one that has data."""
    files = bundle.imported_by(nothing, iter([source.encode()]))
    assert list(files) == ["fmnist/__init__.py", *(f"fmnist/{name}" for name in names.split())]


def judging() -> None:
    """Ask for the digest of the code."""
    from fmnist.kubeflow import bundle  # noqa: F401


def test_a_part_of_the_code_knows_the_digests_of_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that carries a part says which code it is of, as if all of it was there."""
    expected = [bundle.digest(), bundle.digest(bundle.STEPS), bundle.digest(bundle.REPLICATION)]
    files = bundle.imported_by(judging)
    assert {"fmnist/kubeflow/digests.json", "fmnist/steps/files.py"} <= files.keys()
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    monkeypatch.setattr(bundle, "PACKAGE", tmp_path / "fmnist")
    assert [bundle.digest(), bundle.digest(bundle.STEPS), bundle.digest(bundle.REPLICATION)] == expected
    assert expected[0] == expected[1] != expected[2]


class Plain(ast.NodeTransformer):
    """Takes the text out of each docstring, and `__all__` and the types of functions away."""

    def visit(self, node: ast.AST) -> ast.AST | None:
        """Leave a docstring empty."""
        if isinstance(node, ast.arg):
            node.annotation = None
        if isinstance(node, ast.FunctionDef):
            node.returns = None
        if isinstance(node, ast.Assign) and ast.unparse(node).startswith("__all__ ="):
            return None
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body[0] = ast.copy_location(ast.Expr(ast.Constant("")), node.body[0])
        return self.generic_visit(node)


#: All modules of the package, and a line in which a character is several bytes.
SOURCES = bundle.source_files(("**/*.py",)) | {"wide": "NAMES = ('靴', 'ドレス')  # two\n".encode()}


@pytest.mark.parametrize("name", SOURCES)
def test_compact_code_is_the_same_program(name: str) -> None:
    """Without docstrings, comments, `__all__` and types, each module has the same statements on the same lines."""
    source = SOURCES[name]
    compact = bundle.compact(source)
    trees: Any = ast.parse(compact), Plain().visit(ast.parse(source))
    assert ast.dump(trees[0]) == ast.dump(trees[1])
    lines = [[one.lineno for one in ast.walk(tree) if isinstance(one, ast.stmt)] for tree in trees]
    assert lines[0] == lines[1]
    assert not [one for one in tokenize.tokenize(io.BytesIO(compact).readline) if one.type == tokenize.COMMENT]
    assert len(compact) < len(source)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def f(a: int, /, b: 'x' = 1, *c: int, dX: dict[str, int], **e: g[1]) -> int: return b", "b=1, *c, dX, **e"),
        ("def f(\n    ä: int,\n    b=1,\n    *c, d: int, **e\n) -> 'int':\n    return b", "ä, b=1, *c, d, **e"),
        ("def f(a, b: tuple[\n    int\n] = 1, *c: int) -> int: return b", "b: tuple[int]=1, *c"),
        ("class A:\n    a: int = 1\n    def f(self) -> int: return 1", "a: int = 1"),
        ("async def f(a: int): return lambda b: b", "async def f(a):"),
    ],
    ids=["each kind", "several lines", "a long type", "a field", "async"],
)
def test_types_of_functions_are_not_carried(source: str, expected: str) -> None:
    """Nothing runs by them. Those of fields stay, as of dataclasses, and what is on several lines."""
    code = ast.unparse(ast.parse(bundle.compact(source.encode())))
    assert expected in code
    assert "->" not in code


def test_the_bundle_does_not_depend_on_folder_time_or_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of the code elsewhere, made later, with other modes, ends of lines and compiled files, is the same."""
    expected, digest = bundle.archive(bundle.source_files()), bundle.digest()
    carried = bundle.imported_by(train_another)
    copy = tmp_path / "else where" / "fmnist"
    shutil.copytree(bundle.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "steps" / "__pycache__").mkdir()
    (copy / "steps" / "__pycache__" / "training.cpython-311.pyc").write_bytes(b"compiled")
    for path in copy.rglob("*.py"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
        path.chmod(0o600)
        os.utime(path, (0, 0))
    monkeypatch.setattr(bundle, "PACKAGE", copy)
    assert bundle.archive(bundle.source_files()) == expected
    assert bundle.digest() == digest
    assert bundle.imported_by(train_another) == carried
    # No other end of a line is another one, and none is added.
    (tmp_path / "ends").write_bytes(b"a\rb\r\n\r\nc")
    assert bundle.read(tmp_path / "ends") == b"a\rb\n\nc"


def test_a_changed_line_changes_bundle_and_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other code has another digest, by which Kubeflow's step cache misses."""
    archive, digest = bundle.archive(bundle.source_files()), bundle.digest()
    shutil.copytree(bundle.PACKAGE, tmp_path / "fmnist")
    with (tmp_path / "fmnist" / "steps" / "training.py").open("a") as file:
        file.write("# changed\n")
    monkeypatch.setattr(bundle, "PACKAGE", tmp_path / "fmnist")
    assert bundle.archive(bundle.source_files()) != archive
    assert bundle.digest() != digest


@pytest.mark.parametrize("patterns", [bundle.STEPS, bundle.REPLICATION], ids=["steps", "replication"])
def test_other_code_in_the_image_ends_the_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patterns: tuple[str, ...]
) -> None:
    """A step that refers to code runs where just that code is, and names both digests where it is not."""
    step, digest = bundle.refer("ran = True", patterns), bundle.digest(patterns)
    namespace: dict[str, Any] = {}
    exec(step, namespace)  # noqa: S102 - as kfp does it
    assert namespace["ran"]
    shutil.copytree(bundle.PACKAGE, tmp_path / "fmnist")
    with (tmp_path / "fmnist" / "steps" / "training.py").open("a") as file:
        file.write("# changed\n")
    monkeypatch.setattr(bundle, "PACKAGE", tmp_path / "fmnist")
    got = bundle.digest(patterns)
    said = f"^image: expected the code of fmnist that .* {digest}, got {got}. Build the image from .* is in the image.$"
    with pytest.raises(ContractError, match=said):
        exec(step, {})  # noqa: S102 - as kfp does it


def test_a_digest_counts_to_its_last_digit() -> None:
    """Nearly the same code is other code."""
    digest = bundle.digest()
    bundle.require_digest("mine", digest, digest)
    for other in (f"{digest[:-1]}x", f"x{digest[1:]}", digest[:-1]):
        with pytest.raises(ContractError, match=f"^image: expected the code of mine .* {digest}, got {other}. Build"):
            bundle.require_digest("mine", digest, other)
        with pytest.raises(ContractError, match=f"^image: expected the code of mine .* {other}, got {digest}. Build"):
            bundle.require_digest("mine", other, digest)


def test_the_digest_can_be_made_with_sha256sum() -> None:
    """The digest is that of what ``sha256sum`` prints for the sources, so that anyone can check it."""
    listed = subprocess.run(
        ["sha256sum", *bundle.source_files()], cwd=bundle.PACKAGE.parent, check=True, capture_output=True
    ).stdout
    assert bundle.digest() == hashlib.sha256(listed).hexdigest()
    for patterns in (bundle.STEPS, bundle.REPLICATION):
        assert list(bundle.source_files(patterns)) == sorted(bundle.source_files(patterns))


def test_entries_have_no_owner_and_no_time() -> None:
    """The archive says nothing of who made it, or when: neither in its entries nor in the head of the file."""
    # After the time the head says that it is as small as gzip can make it.
    assert bundle.archive(bundle.source_files())[4:9] == bytes(4) + b"\2"
    with tarfile.open(fileobj=io.BytesIO(bundle.archive(bundle.source_files()))) as tar:
        assert {(m.uid, m.gid, m.uname, m.gname, m.mtime, m.mode) for m in tar} == {(0, 0, "", "", 0, 0o644)}


@pytest.mark.parametrize("name", ["a.py", f"{'a' * 60}/{'b' * 80}.py", "é.py"])
def test_an_archive_is_of_one_format(name: str) -> None:
    """It is the plain one of POSIX, as tarfile's default may change: a name, however it is, needs no more entries."""
    content = gzip.decompress(bundle.archive({name: b"x"}))
    assert (content[156:157], content[257:265], len(content)) == (b"0", b"ustar\x0000", 10_240)


@pytest.mark.parametrize("source", ["x = 1", SOURCE.format("QUJD") * 2], ids=["none", "two"])
def test_embedding_needs_exactly_one_archive(source: str) -> None:
    """A source in which kfp embedded nothing, or twice, is an error: kfp has changed."""
    with pytest.raises(ContractError, match="^component source: expected one archive embedded by kfp, got [02]"):
        bundle.embed(source, FILES)


def test_only_the_archive_is_replaced() -> None:
    """What stands around the archive is kept."""
    embedded = bundle.embed(SOURCE.format("QUJD"), FILES)
    assert embedded == SOURCE.format(base64.b64encode(bundle.archive(FILES)).decode())


def test_code_of_the_package_is_compacted_and_no_other() -> None:
    """The package's own Python loses its docstrings; its data, and what an author adds, are carried as they are."""
    code = b'"""Say it."""\nX = 1  # one\n'
    files = {"fmnist/a.py": code, "fmnist/a.pyx": code, "mine/fmnist/a.py": code, "mine.py": code}
    embedded = bundle.embed(SOURCE.format("QUJD"), files)
    carried = files | {"fmnist/a.py": bundle.compact(code)}
    assert carried["fmnist/a.py"] != code
    assert embedded == SOURCE.format(base64.b64encode(bundle.archive(carried)).decode())


def train_another() -> None:
    """Train another network than the tutorial's."""
    from fmnist.steps import training

    training.train(None, None, create=len)  # type: ignore[arg-type]


def test_only_a_step_with_a_network_of_its_own_carries_what_refuses_one() -> None:
    """The tutorial's step is near the limit of a cluster; another one needs all that `train` may import."""
    name = "fmnist/steps/own_network.py"
    carried = bundle.imported_by(train_another)
    assert name in carried
    needed = [one for one in bundle.imports(carried[name]) if one.startswith("fmnist.steps.")]
    assert {"/".join(one.split(".")[:3]) + ".py" for one in needed} <= carried.keys()
    others = b"from fmnist.steps import training\ntraining.train(None, None, create=len)\n"
    assert name in bundle.imported_by(nothing, [others])
    assert name not in bundle.imported_by(components.train)
