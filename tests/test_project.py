"""Tests of the project itself: the layers, the lock, and what tox and the README promise."""

import os
import pkgutil
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Sequence
from configparser import ConfigParser
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from support import helpers

from fmnist.kubeflow import bundle

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = (ROOT / "requirements.lock").read_text()
TOX = ConfigParser(interpolation=None)
TOX.read(ROOT / "tox.ini")

#: The environments of tox that `.ci/run` goes through, after `tox` itself and the main job.
CHECKS = {"benchmarks", "crosscpu", "kfp", "isolation", "disturbances", "faults"}


#: What is imported where its user has it, or comes with a dependency that hands it out.
TAKEN_ALONG = {"IPython", "PIL", "google", "pydantic_core", "pytest"}


def script(name: str) -> str:
    """Return the path of a program of this environment."""
    return str(Path(sys.executable).with_name(name))


def layers(root: Path) -> subprocess.CompletedProcess[str]:
    """Check the layers of a checkout, and say the outcome without colours."""
    command, environment = [script("lint-imports"), "--no-cache"], {**os.environ, "FORCE_COLOR": "", "COLUMNS": "120"}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)


def test_arrows_point_down() -> None:
    """No module imports from a layer above its own."""
    done = layers(ROOT)
    assert done.returncode == 0, done.stdout
    assert "1 kept, 0 broken" in done.stdout


def test_an_arrow_that_points_up_is_seen(tmp_path: Path) -> None:
    """A step that imports a component breaks the check of the layers."""
    for name in ("fmnist", "pyproject.toml"):
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, tmp_path / name)
    with (tmp_path / "fmnist" / "steps" / "files.py").open("a") as file:
        file.write("from fmnist.kubeflow import bundle\n")
    done = layers(tmp_path)
    assert done.returncode == 1
    assert "0 kept, 1 broken" in done.stdout


def test_only_the_gate_imports_tensorflow() -> None:
    """TensorFlow is imported in `determinism` and nowhere else."""
    importing = [
        path.name
        for path in (ROOT / "fmnist").rglob("*.py")
        if re.search(r"^\s*(import|from) tensorflow", path.read_text(), re.MULTILINE)
    ]
    assert importing == ["determinism.py"]


def locked() -> dict[str, str]:
    """Return each requirement of the lock with its hashes."""
    entries = re.split(r"\n(?=\S)", LOCK.strip())
    found = {entry.split("==")[0]: entry for entry in entries if not entry.startswith("#")}
    # A step needs the same versions here as on a cluster, whatever the Python.
    assert len(found) == len(entries)
    return found


def test_every_locked_package_has_a_hash() -> None:
    """Each package of the lock has one version, and the digests of its files."""
    for name, entry in locked().items():
        assert re.match(r"[a-z0-9-]+==\S+( ; [^\n]+)? \\\n(    --hash=sha256:[0-9a-f]{64}( \\\n)?)+$", entry), name


def test_the_lock_has_every_dependency() -> None:
    """All that pyproject.toml asks for is in the lock, and the lock names no index."""
    asked = [
        *PROJECT["project"]["dependencies"],
        *PROJECT["dependency-groups"]["lint"],
        *(asked for asked in PROJECT["dependency-groups"]["dev"] if isinstance(asked, str)),
        *PROJECT["build-system"]["requires"],
    ]
    names = {re.split(r"[<>=!~ ]", requirement)[0] for requirement in asked}
    assert names <= locked().keys()
    assert "://" not in LOCK


def wheel(folder: Path, code: str) -> Path:
    """Write a tiny package that is a single module."""
    path = folder / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny.py", code)
        archive.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("tiny-1.0.dist-info/RECORD", "tiny.py,,\ntiny-1.0.dist-info/RECORD,,\n")
    return path


@pytest.mark.parametrize("tampered", [False, True], ids=["as locked", "tampered"])
def test_a_tampered_package_fails_the_install(tmp_path: Path, tampered: bool) -> None:
    """With tox's own install command, a package whose bytes are not the locked ones is not installed."""
    import hashlib

    digest = hashlib.sha256(wheel(tmp_path, "x = 1").read_bytes()).hexdigest()
    (tmp_path / "requirements.lock").write_text(f"tiny==1.0 --hash=sha256:{digest}\n")
    if tampered:
        wheel(tmp_path, "x = 2")
    places = ["--find-links", ".", "--target", "installed", "--cache-dir", "cache", "--python", sys.executable]
    given = {
        "uv": [script("uv")],
        "{opts}": ["--offline", "--no-index", "--color", "never", *places],
        "{packages}": ["-r", "requirements.lock"],
    }
    command = [part for word in TOX["testenv"]["install_command"].split() for part in given.get(word, [word])]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode == 0, (tmp_path / "installed" / "tiny.py").exists()) == (
        not tampered,
        not tampered,
    )
    assert ("ash mismatch" in " ".join(done.stderr.split())) == tampered


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, as pip builds it."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    [found] = folder.iterdir()
    return found


def test_the_wheel_has_the_whole_package(built: Path) -> None:
    """It holds each file of the package, templates, data and the mark of its types among them, and nothing else."""
    paths = [path for path in (ROOT / "fmnist").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    with zipfile.ZipFile(built) as archive:
        contents = {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}
    assert contents == {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in paths}
    assert {Path(name).suffix for name in contents} == {".py", ".j2", ".json", ".txt", ".typed"}


@pytest.mark.parametrize(
    ("patterns", "declared"),
    [
        (["**/*.py"], PROJECT["project"]["dependencies"]),
        # A step has kfp, which reads YAML.
        (bundle.REPLICATION, [*PROJECT["dependency-groups"]["steps"], "kfp", "pyyaml"]),
    ],
    ids=["package", "steps"],
)
def test_what_is_imported_is_declared(patterns: Sequence[str], declared: Sequence[str]) -> None:
    """Each package that the code imports is one that an install brings, and what a step imports is in its group."""
    sources = [content for name, content in bundle.source_files(patterns).items() if name.endswith(".py")]
    tops = {name.partition(".")[0] for source in sources for name in bundle.imports(source)}
    names, packages = {Requirement(one).name.lower() for one in declared}, packages_distributions()
    imported = tops - sys.stdlib_module_names - {"fmnist"} - TAKEN_ALONG
    assert {top for top in imported if not names & {one.lower() for one in packages[top]}} == set()


def test_the_lock_is_within_the_bounds() -> None:
    """Of each dependency that has bounds, the lock has a version within them."""
    bounds = {one.name.lower(): one.specifier for one in map(Requirement, PROJECT["project"]["dependencies"])}
    versions = re.findall(r"^([a-z0-9-]+)==(\S+)", LOCK, re.MULTILINE)
    assert [one for one in versions if one[0] in bounds and one[1] not in bounds[one[0]]] == []
    assert bounds.keys() <= {name for name, _ in versions}


def test_each_program_is_what_its_name_says() -> None:
    """`fmnist` and `same`, which pip puts on the path, are the commands that the pages tell of."""
    from docs import tables

    found = {name: pkgutil.resolve_name(where) for name, where in PROJECT["project"]["scripts"].items()}
    assert found == tables.PROGRAMS


def test_the_image_is_made_of_what_is_here() -> None:
    """The Dockerfile starts from the steps' image, installs by hash, and copies only what exists and is let through.

    Nothing else is, and of that, bytecode stays out of any folder: what comes last counts.
    """
    from fmnist.kubeflow import components

    lines = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text()).splitlines()
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {source for line in lines if line.startswith("COPY ") for source in line.split()[1:-1]}
    assert [line.split()[1] for line in lines if line.startswith("FROM ")] == [components.BASE_IMAGE]
    assert copied == let_through
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert (ignored[0], ignored[-1]) == ("*", "**/__pycache__")
    assert all((ROOT / source).exists() for source in copied)
    installs = [line for line in lines if "pip install" in line]
    assert "--require-hashes -r requirements.lock" in installs[0]
    assert all("--no-deps --no-build-isolation" in line for line in installs)


def test_ci_runs_every_check() -> None:
    """CI's script calls tox as README does, then all other checks; the example of a workflow calls the script."""
    script = (ROOT / ".ci" / "run").read_text().splitlines()
    assert [line for line in script if line.startswith("tox")] == ["tox", "tox run -e ci"]
    commands = TOX["testenv:ci"]["commands"]
    assert set(re.findall(r"\[testenv:(\w+)\]commands", commands)) == CHECKS
    assert "fmnist run -o" in commands
    assert "python tests/faults/mutation.py --since HEAD^" in commands.splitlines()
    assert "{[testenv:faults]commands} --after-tests --since HEAD^" in commands.splitlines()
    assert "{[testenv:faults]commands}" in TOX["testenv:nightly"]["commands"].splitlines()
    assert "\npython tests/support/offline.py python docs/notebook.py --check\n" in commands
    example = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    [job] = example["jobs"].values()
    assert {"run": ".ci/run"} in job["steps"]
    assert job["container"]["image"].startswith("python:3.11")


def test_only_ci_is_strict() -> None:
    """CI's script fails what a machine cannot check, and tox lets the switch through to the tests."""
    assert "export FMNIST_STRICT=1" in (ROOT / ".ci" / "run").read_text().splitlines()
    assert "FMNIST_STRICT" in TOX["testenv"]["pass_env"].split()
    assert "FMNIST_STRICT" not in TOX["testenv"]["set_env"]


OFFLINE = str(ROOT / "tests" / "support" / "offline.py")

#: Prints the network interfaces, and whether this machine can be reached by its own address.
INTERFACES = """
import socket
with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
    print(*(name for _, name in socket.if_nameindex()))
"""


def test_tests_run_without_a_network() -> None:
    """Offline a program has the loopback interface alone, and it works."""
    done = subprocess.run(
        [sys.executable, OFFLINE, sys.executable, "-c", INTERFACES], capture_output=True, text=True, check=False
    )
    if "NOT CHECKED" in done.stderr:
        helpers.missing("unshare and ip, to take the network away")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["lo"]


@pytest.mark.parametrize(
    ("user", "options"), [(0, ["--net"]), (1000, ["--map-current-user", "--keep-caps", "--net"])], ids=["root", "user"]
)
def test_everybody_stays_who_they_are_without_a_network(user: int, options: list[str], tmp_path: Path) -> None:
    """Who is not root needs a namespace of users for it, and is no root there: root may read and write any file."""
    (tmp_path / "unshare").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "unshare").chmod(0o755)
    code = f"import os, runpy; os.getuid = lambda: {user}; runpy.run_path({OFFLINE!r}, run_name='__main__')"
    command, environment = [sys.executable, "-c", code, "true"], {"PATH": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.splitlines()[-1].partition(" sh ")[0].split() == options


@pytest.mark.parametrize(("strict", "code"), [("1", 1), ("", -9)], ids=["strict", "elsewhere"])
@pytest.mark.parametrize("user", [0, 1000])
@pytest.mark.parametrize(
    "programs",
    [{}, {"unshare": 'while [ "$1" != sh ]; do shift; done; shift; exec /bin/sh "$@"', "ip": "exit 1"}],
    ids=["no unshare", "no right to set lo up"],
)
def test_where_the_network_cannot_be_taken_away_this_is_said(
    strict: str, code: int, user: int, programs: dict[str, str], tmp_path: Path
) -> None:
    """Without unshare the program runs nevertheless and the check is named, but a strict run fails.

    It ends as the program does, also where a signal ends that.
    """
    for name, body in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": str(tmp_path), "FMNIST_STRICT": strict}
    program = f"import os, runpy; os.getuid = lambda: {user}; runpy.run_path({OFFLINE!r}, run_name='__main__')"
    killed = "import os; print('ran', flush=True); os.kill(os.getpid(), 9)"
    command = [sys.executable, "-c", program, sys.executable, "-c", killed]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == code
    assert done.stderr.startswith("NOT CHECKED: that no test needs a network")
    assert done.stdout == ("" if strict else "ran\n")
