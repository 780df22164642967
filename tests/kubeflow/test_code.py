"""Tests of an author's own code in a step: what is carried is whole, and the same bytes from any checkout."""

import codecs
import errno
import hashlib
import importlib.machinery
import json
import os
import re
import shutil
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from numpy._core import _multiarray_umath as umath  # type: ignore[attr-defined]

from fmnist.kubeflow import bundle, components, requirements
from fmnist.kubeflow.code import FMNIST, Code
from fmnist.kubeflow.needs import LONGEST, carried_by, check_length, installed_by, needed
from fmnist.steps.errors import ContractError

#: A package with a module, a package in it, data that are no text, and what nobody wants on a cluster.
PACKAGE: dict[str, bytes] = {
    "mine/__init__.py": b"",
    "mine/model.py": b'"""Say it."""\nimport json\nfrom . import sub\n',
    "mine/sub/__init__.py": b"",
    "mine/sub/deep.py": b"x = 1\n",
    "mine/data/table.csv": b"a;b\r\n\xff\xfe\x00\r\n",
    "mine/__pycache__/model.cpython-311.pyc": b"compiled",
    "mine/__pycache__/source.py": b"made by a tool",
    "mine/old.pyc": b"compiled",
    "mine/old.pyo": b"compiled",
    "mine/.env": b"password",
    "mine/.git/config.py": b"hidden",
}


def lay(folder: Path, files: dict[str, bytes]) -> None:
    """Write files."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that modules are imported from, with a package in it."""
    lay(tmp_path, PACKAGE)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__path__", getattr(sys.modules[name], "__file__", ""))):
            del sys.modules[name]


def step() -> None:
    """Import what is carried."""
    from mine import model  # type: ignore[import-not-found]  # noqa: F401


CHOSEN = {
    "all code": (("**/*.py",), ["mine/__init__.py", "mine/model.py", "mine/sub/__init__.py", "mine/sub/deep.py"]),
    "the folder's": (("*.py",), ["mine/__init__.py", "mine/model.py"]),
    "only data": (("data/*.csv",), ["mine/__init__.py", "mine/data/table.csv"]),
    "deep": (("sub/deep.py",), ["mine/__init__.py", "mine/sub/__init__.py", "mine/sub/deep.py"]),
    "a text": ("data/*", ["mine/__init__.py", "mine/data/table.csv"]),
    "hidden, by name": ((".env",), ["mine/.env", "mine/__init__.py"]),
    "everything": (
        ("**",),
        ["mine/__init__.py", "mine/data/table.csv", "mine/model.py", "mine/sub/__init__.py", "mine/sub/deep.py"],
    ),
}


@pytest.mark.parametrize(("patterns", "expected"), CHOSEN.values(), ids=CHOSEN)
def test_what_a_pattern_matches_is_carried(place: Path, patterns: Any, expected: list[str]) -> None:
    """Files are there with the packages around them, sorted; what is compiled or hidden is not."""
    files = Code("mine", patterns).files()
    assert list(files) == expected
    assert files == {name: PACKAGE[name] for name in expected}


WRONG_KINDS: dict[str, tuple[dict[str, Any], str]] = {
    "a module": (
        {"package": json},
        "code: expected the name of a package or module, as in Code('mine'), got a module.",
    ),
    "a path": (
        {"package": Path("mine")},
        "code: expected the name of a package or module, as in Code('mine'), got a PosixPath.",
    ),
    "no patterns": (
        {"package": "mine", "patterns": None},
        "code 'mine', patterns: expected a list of texts, as in ['*.py'], got None.",
    ),
    "a path as a pattern": (
        {"package": "mine", "patterns": ["*.py", Path("a.py")]},
        "code 'mine', patterns: expected a list of texts, as in ['*.py'], got a PosixPath.",
    ),
    "no packages": (
        {"package": "mine", "packages": None},
        "code 'mine', packages: expected a list of texts, as in ['torch==2.9.0'], got None.",
    ),
    "a module as a requirement": (
        {"package": "mine", "packages": [json]},
        "code 'mine', packages: expected a list of texts, as in ['torch==2.9.0'], got a module.",
    ),
}


@pytest.mark.parametrize(("arguments", "message"), WRONG_KINDS.values(), ids=WRONG_KINDS)
def test_names_patterns_and_requirements_of_another_kind_are_refused(arguments: dict[str, Any], message: str) -> None:
    """At once, where it is written, and not when something is compiled."""
    with pytest.raises(ContractError) as refused:
        Code(**arguments)
    assert str(refused.value) == message


def test_the_bytes_do_not_depend_on_the_checkout(place: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Another checkout, with other times, modes, ends of lines, order of files and compiled files, gives the same."""
    expected = carried_by(step, [Code("mine", "**")])
    other = tmp_path_factory.mktemp("else where")
    lay(other, dict(reversed(PACKAGE.items())) | {"mine/__pycache__/sub.pyc": b"more"})
    for path in other.rglob("*.py"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
        path.chmod(0o600)
        os.utime(path, (0, 0))
    (place / "mine").rename(place / "moved")
    (place / "mine").symlink_to(other / "mine")
    assert bundle.archive(carried_by(step, [Code("mine", "**")])) == bundle.archive(expected)
    assert expected["mine/data/table.csv"] == b"a;b\r\n\xff\xfe\x00\r\n"
    assert expected["mine/model.py"].startswith(b'"""Say it."""')


def test_the_digest_can_be_made_with_sha256sum(place: Path) -> None:
    """The digest is that of what ``sha256sum`` prints for the files, so that anyone can check it."""
    code = Code("mine", "**")
    listed = subprocess.run(["sha256sum", *code.files()], cwd=place, check=True, capture_output=True).stdout
    assert code.digest() == hashlib.sha256(listed).hexdigest()
    before = code.digest()
    (place / "mine" / "model.py").write_bytes(b"x = 2\n")
    assert code.digest() != before, "of the files that are there now"


def test_names_are_in_utf_8_whatever_the_locale(place: Path) -> None:
    """A locale takes the bytes of a name for other characters, or for none."""
    lay(place, {"mine/t\u00fcr/__init__.py": b"", "mine/t\u00fcr/\u00fc.csv": b"1"})
    code = Code("mine", ["t\u00fcr/*.csv"])
    program = "from fmnist.kubeflow.code import Code; print(Code('mine', ['t\\xfcr/*.csv']).digest())"
    ascii_alone = {
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run([sys.executable, "-c", program], env=ascii_alone, cwd=place, check=True, capture_output=True)
    assert "mine/t\u00fcr/__init__.py" in code.files()
    assert done.stdout.decode().strip() == code.digest()


def test_lists_and_tuples_are_one_code() -> None:
    """What it was given may change afterwards."""
    patterns, packages = ["*.py"], ["torch==2.9.0"]
    code = Code("mine", patterns, packages)
    patterns.append("*.csv")
    packages.append("x")
    assert {code} == {Code("mine", ("*.py",), ("torch==2.9.0",))}


def test_a_module_is_code_too(place: Path) -> None:
    """A module beside the pipeline's file is carried as it is."""
    lay(place, {"mymodel.py": b"x = 1\n", "beside.py": b""})
    assert Code("mymodel").files() == {"mymodel.py": b"x = 1\n"}
    assert list(Code("mine.sub.deep").files()) == ["mine/__init__.py", "mine/sub/__init__.py", "mine/sub/deep.py"]


def test_as_much_code_as_is_allowed_is_carried(place: Path) -> None:
    """The bound is of all files together, and a link is as large as what it leads to."""
    os.truncate(place / "mine" / "data" / "table.csv", 16_777_216)
    assert len(Code("mine", "data/*").files()["mine/data/table.csv"]) == 16_777_216
    (place / "mine" / "data" / "same.csv").symlink_to("table.csv")
    with pytest.raises(ContractError, match=r"expected at most 16,777,216 bytes of .*, got 33,554,432 in \d files\."):
        Code("mine", "data/*").files()


def test_a_namespace_package_is_all_its_portions(place: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Without `__init__`, each folder of that name is part of it, and the first one wins, as for an import."""
    other = tmp_path_factory.mktemp("other")
    lay(place, {"company/first.py": b"1\n", "company/both.py": b"1\n", "company/team/__init__.py": b""})
    lay(other, {"company/second.py": b"2\n", "company/both.py": b"2\n", "company/team/__init__.py": b"2\n"})
    sys.path.append(str(other))
    try:
        assert Code("company").files() == {
            "company/both.py": b"1\n",
            "company/first.py": b"1\n",
            "company/second.py": b"2\n",
            "company/team/__init__.py": b"",
        }
        assert list(Code("company.team").files()) == ["company/team/__init__.py"]
        # What another portion has is missed too.
        lay(place, {"company/team/__init__.py": b"from company import both, second, third\n"})
        lay(other, {"company/third.py": b""})
        each = [Code("company.team"), Code("company.both"), Code("company.second")]
        for code in (each, [Code("company", ("team/*.py", "both.py", "second.py"))]):
            with pytest.raises(ContractError, match="what company/team/__init__.py imports, got no company.third,"):
                carried_by(figures, [FMNIST, *code])
    finally:
        sys.path.remove(str(other))


def test_the_packages_above_are_carried(place: Path) -> None:
    """A package in a package comes with the `__init__` of those that are imported first."""
    lay(place, {"above/__init__.py": b"x = 1\n", "above/below/__init__.py": b"", "above/below/it.py": b""})
    assert list(Code("above.below", "it.py").files()) == [
        "above/__init__.py",
        "above/below/__init__.py",
        "above/below/it.py",
    ]


REFUSED: dict[str, tuple[Callable[[Path], object], Code, str]] = {
    "no match": (
        lambda _: None,
        Code("mine", ("*.py", "*.json", "nothing/**")),
        "code 'mine': expected a file for each pattern, got none for '*.json', 'nothing/**', got 2 for the others in "
        "{place}/mine.",
    ),
    "no match, of a module": (
        lambda place: lay(place, {"mymodel.py": b""}),
        Code("mymodel", ("*.py", "*.json")),
        "code 'mymodel': expected a file for each pattern, got none for '*.json', got 1 for the others in mymodel.py.",
    ),
    "a folder": (lambda _: None, Code("mine", "data"), "got none for 'data', got 0 for the others in {place}/mine."),
    "only compiled files": (lambda _: None, Code("mine", "*.pyc"), "got none for '*.pyc'"),
    "only hidden files": (lambda _: None, Code("mine", ".git"), "got none for '.git'"),
    "no pattern of fmnist": (
        lambda _: None,
        Code("fmnist", ("nothing.py", "*.py", "never/*")),
        "got none for nothing.py, never/*.",
    ),
    "no package": (
        lambda _: None,
        Code("nowhere"),
        "code 'nowhere': expected a package or module of your own that can be imported here, from a folder, got none. "
        "Install it, or compile where it is.",
    ),
    "fmnist in part": (
        lambda _: None,
        Code("fmnist.steps"),
        "code: expected fmnist as a whole, as in FMNIST, got 'fmnist.steps'.",
    ),
    "Python's own, in part": (
        lambda _: None,
        Code("json.decoder"),
        "code 'json.decoder': expected a package or module of your own that can be imported here, from a folder, got "
        "one of Python's own.",
    ),
    "no parent": (lambda _: None, Code("nowhere.deep"), "got ModuleNotFoundError: No module named 'nowhere'."),
    "a file": (
        lambda _: None,
        Code("nowhere.py"),
        "got ModuleNotFoundError: No module named 'nowhere'. Name it as an import does, 'nowhere'.",
    ),
    "a parent that fails": (
        lambda place: lay(place, {"bad/__init__.py": b"1 / 0", "bad/deep/__init__.py": b""}),
        Code("bad.deep"),
        "got ZeroDivisionError: division by zero.",
    ),
    "relative": (lambda _: None, Code(".mine"), "expected a package or module of your own"),
    "Python's own": (lambda _: None, Code("json"), "got one of Python's own."),
    "built in": (lambda _: None, Code("_operator"), "got one of Python's own."),
    "the program": (lambda _: None, Code("__main__"), "got the program itself."),
    "compiled": (lambda _: None, Code("numpy._core._multiarray_umath"), f"from a folder, got {umath.__file__}."),
    "outside": (lambda _: None, Code("mine", "../beside.py"), "expected patterns of files in its folder"),
    "absolute": (lambda _: None, Code("mine", "/etc/*"), "expected patterns of files in its folder"),
    "the folder itself": (lambda _: None, Code("mine", "./model.py"), "as in 'data/*.csv', got './model.py'."),
    "no name between": (lambda _: None, Code("mine", "sub//*.py"), "as in 'data/*.csv', got 'sub//*.py'."),
    "empty": (lambda _: None, Code("mine", ""), "expected patterns of files in its folder"),
    "a link out": (
        lambda place: (place / "mine" / "out.py").symlink_to(__file__),
        Code("mine", "*.py"),
        "expected files in the package's folder, got a link out of it, or in a circle: ",
    ),
    "a broken link": (lambda place: (place / "mine" / "x.py").symlink_to("gone"), Code("mine"), "or in a circle: "),
    "a link to itself": (lambda place: (place / "mine" / "x.py").symlink_to("x.py"), Code("mine"), "or in a circle: "),
    "a folder outside": (lambda place: (place / "mine" / "all").symlink_to("/usr"), Code("mine"), "in a circle: "),
    "a folder above": (lambda place: (place / "mine" / "sub" / "up").symlink_to(".."), Code("mine"), "in a circle: "),
    "a pipe": (
        lambda place: os.mkfifo(place / "mine" / "pipe.py"),
        Code("mine"),
        "expected regular files, got {place}/mine/pipe.py.",
    ),
    "huge": (
        lambda place: os.truncate(place / "mine" / "data" / "table.csv", 17_000_000),
        Code("mine", "data/*"),
        "expected at most 16,777,216 bytes of code and small data, got 17,000,000 in 2 files.",
    ),
    "huge together": (
        lambda place: lay(place, dict.fromkeys(("mine/model.py", "mine/data/table.csv"), bytes(8_400_000))),
        Code("mine", ("model.py", "data/*")),
        "expected at most 16,777,216 bytes of code and small data, got 16,800,000 in 3 files.",
    ),
    "a long name": (
        lambda place: lay(place, {f"mine/{'x' * 200}.py": b""}),
        Code("mine"),
        f"expected names in UTF-8 that an archive can hold, of at most 100 bytes, got 'mine/{'x' * 200}.py'.",
    ),
    "a name in no script": (
        lambda place: (place / "mine" / os.fsdecode(b"\xff.py")).write_bytes(b""),
        Code("mine"),
        "expected names in UTF-8",
    ),
    "a folder in no script": (
        lambda place: lay(place, {f"mine/{os.fsdecode(b'data-' + bytes([255]))}/a.py": b""}),
        Code("mine"),
        "expected names in UTF-8",
    ),
}


@pytest.mark.parametrize(("change", "code", "said"), REFUSED.values(), ids=REFUSED)
def test_what_would_be_missing_on_the_cluster_is_refused(
    place: Path, change: Callable[[Path], object], code: Code, said: str
) -> None:
    """A pattern without a file, a package that is not here, and a file from outside are errors, each by name."""
    change(place)
    with pytest.raises(ContractError) as caught:
        code.files()
    assert said.replace("{place}", str(place)) in str(caught.value)
    assert ("as an import does" in said) == ("as an import does" in str(caught.value))


def test_a_file_that_cannot_be_read_is_named(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails is told with the file."""

    def fail(path: Path, _: int) -> bytes:
        raise OSError(errno.EIO, "Input/output error", str(path))

    monkeypatch.setattr("fmnist.kubeflow.code.read", fail)
    with pytest.raises(ContractError) as caught:
        Code("mine", "model.py").files()
    told = f"expected files that can be read, got {place}/mine/__init__.py: Input/output error."
    assert str(caught.value) == f"code 'mine': {told}"


#: A folder of the package, a pattern, and whether it may match a file in there.
REACHED = [
    ("x", "*.py", False),
    ("x", "*", False),
    ("x", "*/a.py", True),
    ("x", "y/a.py", False),
    ("x", "x/y/a.py", True),
    ("a/x", "a/*/b.py", True),
    ("a/x", "a/b.py", False),
    ("a/x", "b/x/c.py", False),
    ("a/x", "a/y/c.py", False),
    ("a/x", "**/x/c.py", True),
    ("a/x", "**/b.py", True),
    ("a/x", "A/**", False),
    ("A/x", "a/**", False),
    ("a/x", "a/**", True),
    ("a/b/x", "*/b/x/c.py", True),
    ("a/b/x", "a/**/c.py", True),
    ("a/b/x", "**/x/*.py", True),
    (".x", "**/*.py", False),
    (".x", "**", False),
    (".x", "*/a.py", False),
    (".x", ".*/a.py", True),
    (".x", "**/.x/a.py", True),
    ("a/.x", "**", False),
    ("a/.x", "**/.x/a.py", True),
    ("a/.x", "a/**/b.py", False),
    (".a/x", ".a/**", True),
    (".a/x", "**/x/*", False),
]


@pytest.mark.parametrize(("folder", "pattern", "reached"), REACHED)
def test_only_where_a_pattern_may_match_is_looked(place: Path, folder: str, pattern: str, reached: bool) -> None:
    """A link out of the package is refused where files are looked for, and nobody minds it elsewhere."""
    lay(place, {"mine/here.py": b""})
    (place / "mine" / folder).parent.mkdir(parents=True, exist_ok=True)
    (place / "mine" / folder).symlink_to("/usr")
    with pytest.raises(ContractError) as caught:
        Code("mine", ("here.py", pattern, "nothing")).files()
    link = f"files in the package's folder, got a link out of it, or in a circle: {place}/mine/{folder}."
    assert (link in str(caught.value)) is reached


def test_a_module_that_was_never_a_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a program made while it ran is not looked for in the folder that the program is in."""
    made = types.ModuleType("made")
    made.__spec__ = importlib.machinery.ModuleSpec("made", None)
    monkeypatch.setitem(sys.modules, "made", made)
    with pytest.raises(ContractError, match="^code 'made': expected a package or module .*, got none. Install it"):
        Code("made").files()


def test_a_link_in_the_package_is_carried_as_what_it_is(place: Path) -> None:
    """A link to another file of the package, or to a folder of it, is carried as files."""
    (place / "mine" / "again.py").symlink_to("sub/deep.py")
    (place / "mine" / "more").symlink_to("sub")
    # The package itself may be a link, as in an installation to edit.
    (place / "linked").symlink_to("mine")
    for name in ("mine", "linked"):
        files = Code(name, ("again.py", "more/*")).files()
        assert files[f"{name}/again.py"] == files[f"{name}/more/deep.py"] == b"x = 1\n"


def test_a_file_in_two_codes_is_carried_once(place: Path) -> None:
    """Two codes may match one file; two files of one name are an error."""
    files = carried_by(step, [FMNIST, Code("mine"), Code("mine", "model.py"), Code("mine.sub")])
    assert [name for name in files if name.startswith("mine")] == CHOSEN["all code"][1]
    first = Code("mine")
    object.__setattr__(first, "files", lambda: {"mine/model.py": b"1"})
    with pytest.raises(ContractError, match="^code 'mine': expected one mine/model.py, got two with other bytes. Rena"):
        carried_by(step, [FMNIST, first, Code("mine")])


def other() -> None:
    """Import what nothing carries."""
    import mine.gone  # type: ignore[import-not-found]  # noqa: F401


def figures() -> None:
    """Import what fmnist has."""
    from fmnist.steps import files  # noqa: F401


MISSING: dict[str, tuple[dict[str, bytes], Callable[[], None], list[Code], str]] = {
    "a module that no pattern matches": (
        {},
        step,
        [Code("mine", "sub/*.py")],
        "code: expected what step step imports, got no mine.model, which none of the patterns 'sub/*.py' of 'mine' "
        "matches. Add one, or leave step step out.",
    ),
    "a module that no pattern of two matches": (
        {},
        step,
        [Code("mine", ("sub/*.py", "data/*"))],
        "which none of the patterns 'sub/*.py', 'data/*' of 'mine' matches.",
    ),
    "a module that no pattern of two codes matches": (
        {},
        step,
        [Code("mine", "sub/*.py"), Code("mine", "data/*")],
        "which none of the patterns 'sub/*.py', 'data/*' of 'mine' matches.",
    ),
    "a relative import": ({}, step, [Code("mine", "model.py")], "expected what mine/model.py imports, got no mine.sub"),
    "a relative module": (
        {"mine/model.py": b"from .sub.deep import x\n"},
        step,
        [Code("mine", "model.py")],
        "got no mine.sub",
    ),
    "no such module": ({}, other, [Code("mine")], "got no mine.gone"),
    "the beginning of a name": (
        {"mine/model.py": b"import mine.su\n"},
        step,
        [Code("mine")],
        "expected what mine/model.py imports, got no mine.su,",
    ),
    "a sibling": (
        {"a/__init__.py": b"", "a/b/__init__.py": b"from a import c\n", "a/c.py": b""},
        figures,
        [FMNIST, Code("a.b")],
        "expected what a/b/__init__.py imports, got no a.c,",
    ),
    "no code": ({}, step, [FMNIST], "expected what step step imports, got no package that has mine. Name one in"),
    "no fmnist": ({}, figures, [Code("mine")], "got nothing that carries fmnist.steps. Add FMNIST to it."),
    "a package": (
        {"mine/model.py": b"import pytest, yaml.nodes\n"},
        step,
        [Code("mine")],
        "got no package that has pytest. Name one in packages, as in 'pytest==1.0', or carry it, with Code('pytest').",
    ),
    "a package of another name": (
        {"mine/model.py": b"def f():\n    import yaml.nodes\n"},
        step,
        [Code("mine")],
        "got no package that has yaml. Name one in packages, as in 'pyyaml==1.0', or carry it, with Code('yaml').",
    ),
    "a package of a namespace": (
        {"mine/model.py": b"from google import protobuf, auth\n"},
        step,
        [Code("mine")],
        "got no package that has google.auth. Name one in packages, as in 'google-auth==1.0', or carry it, with "
        "Code('google.auth').",
    ),
    "a package of a namespace that is not here": (
        {"mine/model.py": b"import google.gone.deep\n"},
        step,
        [Code("mine")],
        "got no package that has google.gone.deep. Name one in packages, as in 'google-gone==1.0'",
    ),
    "no Python": (
        {"mine/model.py": b"print 'x'\n"},
        step,
        [Code("mine")],
        "expected Python in mine/model.py, got Miss",
    ),
    "a null": ({"mine/model.py": b"x\x00"}, step, [Code("mine")], "expected Python in mine/model.py, got source code"),
    "unpinned": ({}, step, [Code("mine", packages="torch")], "expected packages of one version, as in 'torch==2.9.0'"),
    "at least": ({}, step, [Code("mine", packages=["torch>=2"])], "code 'mine': expected packages of one version"),
    "any of one": ({}, step, [Code("mine", packages=["torch==2.*"])], "code 'mine': expected packages of one version"),
    "an option": ({}, step, [Code("mine", packages=["--pre"])], "code 'mine': expected packages of one version"),
    "two versions of a name": (
        {},
        step,
        [Code("mine", packages=["ruamel_.yaml==1"]), Code("mine.sub", packages=["Ruamel-Yaml == 1"])],
        "code 'mine.sub': expected ruamel_.yaml==1, as other code, got Ruamel-Yaml == 1.",
    ),
    "two versions": (
        {},
        step,
        [Code("mine", packages=["Torch==2.0"]), Code("mine.sub", packages=["torch==2.1"])],
        "code 'mine.sub': expected Torch==2.0, as other code, got torch==2.1.",
    ),
}


@pytest.mark.parametrize(("files", "function", "code", "said"), MISSING.values(), ids=MISSING)
def test_what_the_step_would_miss_is_told_when_it_is_compiled(
    place: Path, files: dict[str, bytes], function: Callable[[], None], code: list[Code], said: str
) -> None:
    """A module or a package that a step's own code imports, and that would be missing, is named with who imports it."""
    lay(place, files)
    with pytest.raises(ContractError) as caught:
        components.as_component(function, code=code)
    assert said in str(caught.value)


def test_what_may_be_missing_is_not_asked_for(place: Path) -> None:
    """An import that is guarded, or for types only, is no error; neither is a name of a module that is no module."""
    source = b"""
from typing import TYPE_CHECKING
from mine import sub, __doc__
from mine.sub import deep as sea, anything
try:
    import ujson
except ImportError:
    import json as ujson
if TYPE_CHECKING:
    import pandas
if typing.TYPE_CHECKING:
    import polars
try:
    import orjson
except (KeyError, builtins.ImportError):
    pass
"""
    lay(place, {"mine/model.py": source})
    assert "mine/model.py" in carried_by(step, [Code("mine")])


OPTIONAL = {
    "try:\n import a\nexcept ImportError:\n import b\nelse:\n import c\nfinally:\n import d": {"b", "c", "d"},
    "try:\n import a\nexcept:\n import b": {"b"},
    "try:\n import a\nexcept (KeyError, ModuleNotFoundError) as error:\n pass": set(),
    "try:\n import a\nexcept KeyError:\n pass\nexcept builtins.Exception:\n pass": set(),
    "try:\n import a\nexcept BaseException:\n raise": set(),
    "try:\n import a\nexcept KeyError:\n import b": {"a", "b"},
    "try:\n import a\nfinally:\n pass": {"a"},
    "try:\n import tomllib\nexcept ImportError:\n import a as tomllib\nelse:\n import b": {"b"},
    "try:\n import json, a\nexcept ImportError:\n import b": {"b"},
    "try:\n import os.path\nexcept ImportError:\n import b": set(),
    "try:\n pass\nexcept ImportError:\n import b": {"b"},
    "with x, contextlib.suppress(KeyError, ImportError):\n import a": set(),
    "with suppress(KeyError):\n import a": {"a"},
    "with x(ImportError), suppress:\n import a": {"a"},
    "if __name__ == '__main__':\n import a\nelse:\n import b": {"b"},
    'if x:\n import a\nif __name__ == "__main__":\n import b': {"a"},
    "if __name__ != '__main__':\n import a": {"a"},
    "if TYPE_CHECKING:\n import a\nelse:\n import b": {"b"},
    "if t.TYPE_CHECKING:\n import a\nelif x:\n import b": {"b"},
    "if not TYPE_CHECKING:\n import a\nelse:\n import b": {"a"},
    "if not x:\n pass\nelse:\n import a": {"a"},
    "if TYPE_CHECKING or x:\n import a": {"a"},
    "if x and TYPE_CHECKING:\n import a\nelse:\n import b": {"b"},
    "while x:\n def f():\n  import a": {"a"},
}


@pytest.mark.parametrize(("source", "names"), OPTIONAL.items())
def test_only_what_guards_an_import_lets_it_be_missing(source: str, names: set[str]) -> None:
    """What is caught must be that it is missing; other branches are looked through."""
    assert {name for name, _ in needed("step", source.encode())} == names


IMPORTS = {
    "import x.y, z as w": {"x.y": True, "z": True},
    "from x.y import z as w, v": {"x.y": True, "x.y.z": False, "x.y.v": False},
    "from . import d": {"a.b": True, "a.b.d": False},
    "from .e.f import g": {"a.b.e.f": True, "a.b.e.f.g": False},
    "from .. import h": {"a": True, "a.h": False},
    "from ..i import j": {"a.i": True, "a.i.j": False},
    "from ...k import l\nimport m": {"...k": True, "m": True},
    "from .... import n": {"....": True},
}


@pytest.mark.parametrize("where", ["a/b/c.py", "a/b/__init__.py"])
@pytest.mark.parametrize(("source", "names"), IMPORTS.items())
def test_all_that_is_imported_is_named(where: str, source: str, names: dict[str, bool]) -> None:
    """A dotted name is one from the top, also of a relative import; what follows `import` may be no module."""
    assert dict(needed(where, source.encode())) == names


@pytest.mark.parametrize("source", ["from .. import other", "from ..other import one"])
def test_an_import_from_above_the_top_is_told_as_one(place: Path, source: str) -> None:
    """Python finds nothing there, and no package that somebody names would help."""
    lay(place, {"mine/model.py": source.encode()})
    with pytest.raises(ContractError, match=r"packages of mine/model\.py, got one from \.\.(other)?, which leads out"):
        carried_by(step, [Code("mine")])


def test_a_pinned_package_is_known_by_its_modules(place: Path) -> None:
    """Its name may be another one, as python-dateutil for dateutil."""
    lay(place, {"mine/model.py": b"import dateutil.parser\n"})
    assert "mine/model.py" in carried_by(step, [Code("mine")])


def test_a_package_that_is_not_here_counts_by_its_name(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fmnist pins is known where it is not installed; kfp is in each step."""
    lay(place, {"mine/model.py": b"import sklearn, PIL.Image, torch_x, kfp.dsl\n"})
    monkeypatch.setattr(requirements, "_distributions", dict)
    assert "mine/model.py" in carried_by(step, [Code("mine", packages="torch_x==1")])


def test_a_package_of_a_namespace_is_named_by_its_author(place: Path) -> None:
    """It is the one that has the module here, or one of its name."""
    lay(place, {"mine/model.py": b"import google.auth.transport, google.gone.deep\nfrom google import auth, gone\n"})
    assert "mine/model.py" in carried_by(step, [Code("mine", packages=["google_auth==1", "google-gone==1"])])


def test_a_step_installs_modules_of_another_name() -> None:
    """What a step itself imports is pinned for it, by the package that has it."""

    def imports() -> int:
        """Import modules of three packages."""
        import dateutil  # type: ignore[import-untyped]  # noqa: F401
        import google.protobuf  # noqa: F401
        import mpl_toolkits.mplot3d  # type: ignore[import-untyped]  # noqa: F401

        return 1

    component = components.as_component(imports, code=[])
    command = " ".join(component.component_spec.implementation.container.command)
    assert {"python-dateutil", "matplotlib", "protobuf"} <= {*re.findall(r"'([\w-]+)==", command)}


def test_a_source_in_another_encoding_is_carried_as_it_is(place: Path) -> None:
    """What Python reads, a step reads too: a file with a mark at its start, or that names its encoding."""
    files = {"mine/sub/marked.py": codecs.BOM_UTF8 + b"x = 1\n", "mine/model.py": b"# coding: latin-1\ny = '\xe4'\n"}
    # Its end decides whether it is Python's code, and not how that begins.
    files |= {"mine/sub/library.pyd": b"\r\n", "mine/sub/table.py.csv": b"\r\n"}
    lay(place, files)
    assert carried_by(step, [Code("mine", "**")]).items() >= files.items()


def test_a_step_installs_what_its_code_names(place: Path) -> None:
    """Beside fmnist's pins stand the author's own; of a package that both have, the author's."""
    lay(place, {"mine/model.py": b"import numpy, torch, yaml\n"})
    code = [FMNIST, Code("mine", packages=["torch==2.9.0", "PyYAML==6.0.3", "NumPy==2.0.0"])]
    assert installed_by(step, code) == ["NumPy==2.0.0", "PyYAML==6.0.3", "torch==2.9.0"]
    assert "mine/model.py" in carried_by(step, code)
    lay(place, {"mine/model.py": b"import sklearn\n"})
    installed = installed_by(step, [Code("mine", packages="Scikit._learn==1.6.0")])
    assert [pin for pin in installed if "learn" in pin] == ["Scikit._learn==1.6.0"]


def test_fmnist_is_carried_as_far_as_own_code_imports_it(place: Path) -> None:
    """What an author's module imports of fmnist is carried, with what that imports, and installed."""
    lay(place, {"mine/model.py": b"from fmnist.steps import confusion\n"})
    files = carried_by(step, [FMNIST, Code("mine")])
    assert {"fmnist/__init__.py", "fmnist/steps/confusion.py", "fmnist/steps/labels.py"} <= files.keys()
    assert "fmnist/steps/training.py" not in files
    assert any(pin.startswith("scikit-learn==") for pin in installed_by(step, [FMNIST, Code("mine")]))


def test_a_name_that_only_the_whole_of_fmnist_has_is_refused(place: Path) -> None:
    """A step carries modules of fmnist, and not what finds its public names in them."""
    lay(place, {"mine/model.py": b"from fmnist import orders\nfrom fmnist import Settings\n"})
    with pytest.raises(ContractError) as caught:
        components.as_component(step, code=[FMNIST, Code("mine")])
    assert str(caught.value) == (
        "code: expected imports from modules of fmnist in mine/model.py, got fmnist.Settings, which a step does not "
        "carry. Import Settings from the module that has it, as in 'from fmnist.steps.training import train'."
    )
    lay(place, {"mine/model.py": b"import fmnist.nothing.more\n"})
    with pytest.raises(ContractError, match="in mine/model.py, got fmnist.nothing.more, which a step does not carry"):
        components.as_component(step, code=[FMNIST, Code("mine")])
    lay(
        place, {"mine/model.py": b"from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from fmnist import train\n"}
    )
    components.as_component(step, code=[FMNIST, Code("mine")])
    components.as_component(step, "image", code=[FMNIST, Code("mine")])


def beside() -> None:
    """Import a module whose name begins as ours."""
    import fmnist_more  # type: ignore[import-not-found]  # noqa: F401


def test_a_module_is_not_ours_by_the_beginning_of_its_name(place: Path) -> None:
    """What it takes from the whole of fmnist is refused as of any other."""
    lay(place, {"fmnist_more.py": b"from fmnist import train\n"})
    with pytest.raises(ContractError, match="in fmnist_more.py, got fmnist.train, which a step does not carry"):
        components.as_component(beside, code=[FMNIST, Code("fmnist_more")])


def asks_the_whole_of_fmnist() -> None:
    """Train by the name that fmnist itself has."""
    from fmnist import train  # noqa: F401 - it need not be called


def test_a_step_itself_takes_no_name_of_the_whole_of_fmnist() -> None:
    """It is seen in its function too; an image has all of fmnist."""
    with pytest.raises(ContractError) as caught:
        components.as_component(asks_the_whole_of_fmnist)
    assert str(caught.value) == (
        "code: expected imports from modules of fmnist in step asks_the_whole_of_fmnist, got fmnist.train, which a "
        "step does not carry. Import train from the module that has it, as in 'from fmnist.steps.training import "
        "train'."
    )
    components.as_component(asks_the_whole_of_fmnist, "image")
    with pytest.raises(ContractError, match="got fmnist.train, which a step does not carry"):
        components.as_component(asks_the_whole_of_fmnist, "image", carried=True)


@pytest.mark.parametrize(
    "source",
    [
        "import fmnist\ndef made(): return fmnist.__version__",
        "import fmnist as f\ndef made(): return f.__version__",
        "import fmnist.orders, json\ndef made(): return fmnist.__version__",
        "from fmnist import __version__",
    ],
)
def test_the_version_of_fmnist_is_refused_in_a_step(source: str, place: Path) -> None:
    """What a step carries was not installed: it has no version there."""
    lay(place, {"mine/model.py": source.encode()})
    with pytest.raises(ContractError) as caught:
        components.as_component(step, code=[FMNIST, Code("mine")])
    assert str(caught.value) == (
        "code: expected imports from modules of fmnist in mine/model.py, got fmnist.__version__, which a step does not "
        "carry. Give the version to the step as a parameter."
    )


@pytest.mark.parametrize(
    "source",
    [
        "import fmnist.orders as f\nf.train",
        "import fmnist.steps.files\nfmnist.steps.files.read",
        "from keras.datasets import fashion_mnist as fmnist\nfrom fmnist.steps import files\nfmnist.load_data",
    ],
)
def test_a_name_of_something_else_is_not_refused(source: str, place: Path) -> None:
    """That is of a module, or of what is only called fmnist."""
    lay(place, {"mine/model.py": source.encode()})
    components.as_component(step, code=[FMNIST, Code("mine")])


def test_too_much_code_is_told_with_figures(place: Path) -> None:
    """A program that Linux would not start is refused, with its length and its largest files."""
    lay(place, {"mine/data/noise.bin": os.urandom(100_000), "mine/sub/small.py": b""})
    with pytest.raises(ContractError) as caught:
        components.as_component(step, code=[Code("mine", "**")])
    assert str(caught.value).startswith(
        "step step: expected a program of at most 131,071 bytes, which Linux takes as one argument, got 13"
    )
    assert "it carries 7 files, the largest are mine/data/noise.bin (100,000 bytes), mine/" in str(caught.value)
    check_length("step", "x" * LONGEST, {})


@pytest.mark.parametrize(
    ("code", "got"), [("mine", "str"), (["mine"], "str"), (Code("mine"), "Code"), ([FMNIST, os], "module")]
)
def test_code_of_another_kind_is_refused(code: Any, got: str) -> None:
    """A name is no code, and one code is no list."""
    expected = rf"^code: expected a list of Code, as in \[FMNIST, Code\('mine'\)\], got a {got}\.$"
    with pytest.raises(ContractError, match=expected):
        components.as_component(step, code=code)


def test_a_program_that_is_too_long_is_told_whole() -> None:
    """Its largest files are named, and what to do."""
    files = {"a": b"1", "b": bytes(4000), "c": bytes(2), "d": bytes(5)}
    with pytest.raises(ContractError) as caught:
        check_length("step", "é" * (LONGEST // 2 + 1), files)
    assert str(caught.value) == (
        "step step: expected a program of at most 131,071 bytes, which Linux takes as one argument, got 131,072: it "
        "carries 4 files, the largest are b (4,000 bytes), d (5 bytes), c (2 bytes). Carry fewer, by patterns, or "
        "compile for an image that has them."
    )


def test_an_image_must_hold_the_code(place: Path) -> None:
    """With an image a step asks for each code by its digest, and says which one is another."""
    component = components.as_component(step, "an-image", [FMNIST, Code("mine", "*.py")])
    program = component.component_spec.implementation.container.command[-1]
    digest = Code("mine", "*.py").digest()
    assert f"bundle.require({bundle.digest()!r}, {bundle.STEPS!r})\n" in program
    # First that of fmnist, of which the other one is asked.
    assert f"\nCode('mine', ('*.py',)).require('{digest}')\n" in program.partition("bundle.require(")[2]
    exec(program.partition("import kfp")[0], {})  # noqa: S102 - as kfp does it
    lay(place, {"mine/model.py": b"changed = True\n"})
    with pytest.raises(ContractError, match=f"^image: expected the code of mine that .* of digest {digest}, got "):
        exec(program.partition("import kfp")[0], {})  # noqa: S102 - as kfp does it


def test_a_copy_of_the_package_is_another_folder_not_other_code(place: Path, tmp_path: Path) -> None:
    """The digest is of names and bytes, wherever they are."""
    digest = Code("mine").digest()
    shutil.move(place / "mine", place / "there")
    shutil.copytree(place / "there", place / "mine")
    assert Code("mine").digest() == digest
