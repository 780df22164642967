"""Tests of the checks themselves: a red test makes each of them red, and their settings change on purpose only."""

import ast
import configparser
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import click
import hypothesis
import pytest
import yaml
from click.testing import CliRunner
from disturbances import disturb
from faults import mutation, plant
from pytest_regressions.data_regression import DataRegressionFixture

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
TOX = configparser.ConfigParser(interpolation=None)
TOX.read(ROOT / "tox.ini")

#: Each call of `.ci/run`, in order, on a machine that has no Debian package of those it needs.
CALLS = (
    "apt-get update -qq",
    "apt-get install -y -qq qemu-user chromium iproute2",
    "python3 -m venv",
    "pip install --quiet tox",
    "tox",
    "tox run -e ci",
)

#: Other settings of what is checked, built and run.
DOCUMENTS = (
    ".github/workflows/ci.yml",
    ".github/workflows/nightly.yml",
    ".github/dependabot.yml",
    ".pre-commit-config.yaml",
    "same.yaml",
)
LINES = (".ci/run", ".gitattributes", ".gitignore", "Dockerfile")

#: Writes down that it was called, with the switches and where; fails if it is the call that is to fail.
STUB = """#!/bin/bash
call="$(basename "$0")${*:+ $*}"
printf '%s\\n' "$call" >> "$LOG"
printf '%s|%s|%s|%s\\n' "$CI" "$FMNIST_STRICT" "${PYTHONDONTWRITEBYTECODE-unset}" "$PWD" >> "$LOG.switches"
case "$call" in "$FAILING"*) [ -z "$EXACTLY" ] || [ "$call" = "$FAILING" ] && exit 1;; esac
exit 0
"""

#: A test that fails, in each tier.
RED = """
import pytest

pytestmark = [{marks}]

def test_red():
    assert False
"""

#: One that does not, and runs all of the code that there is.
GREEN = """
from fmnist import part

def test_green():
    assert part.two() == 2
"""

#: What the tiers' commands need of the project.
PARTS = (*(f"tests/support/{name}.py" for name in ("covered", "offline", "twice")), "pyproject.toml")

CONFTEST = """
import hypothesis
hypothesis.settings.register_profile("nightly")

def pytest_addoption(parser):
    for name in ("--epochs", "--seeds"):
        parser.addoption(name)
"""


def ci(tmp_path: Path, failing: str) -> tuple[int, list[str], set[str]]:
    """Run a copy of `.ci/run` where each program is a stub; return its exit code, the calls, and their switches."""
    tmp_path.mkdir()
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci")
    programs, log = tmp_path / "bin", tmp_path / "log"
    programs.mkdir()
    for name in ("apt-get", "python3", "pip", "tox"):
        (programs / name).write_text(STUB)
        (programs / name).chmod(0o755)
    # Programs that the script looks for are not there, and these are.
    for name in ("bash", "basename", "dirname", "mktemp"):
        (programs / name).symlink_to(str(shutil.which(name)))
    (programs / "id").write_text("#!/bin/bash\necho 0\n")
    (programs / "id").chmod(0o755)
    environment = {
        "PATH": str(programs),
        "LOG": str(log),
        "FAILING": failing or "nothing",
        "EXACTLY": "1" if failing == "tox" else "",
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": str(tmp_path),
    }
    done = subprocess.run([str(tmp_path / ".ci" / "run")], env=environment, capture_output=True, check=False)
    calls = [line.replace(" dataset-fashion-mnist", "") for line in log.read_text().splitlines()]
    return done.returncode, calls, set(Path(f"{log}.switches").read_text().splitlines())


def test_ci_ends_at_the_first_failure(tmp_path: Path) -> None:
    """Where a call of CI's script fails, whichever it is, the script fails and calls nothing more."""
    code, calls, switches = ci(tmp_path / "all", "")
    assert code == 0
    assert [call.split("/")[0].strip() for call in calls] == [*CALLS]
    assert switches == {f"true|1|unset|{tmp_path / 'all'}"}
    for number, call in enumerate(CALLS, 1):
        code, calls, _ = ci(tmp_path / str(number), call)
        assert code != 0, call
        assert len(calls) == number, calls


def commands(environment: str) -> list[str]:
    """Return what tox runs in an environment, a command a line, without what only a machine's state changes."""
    text = TOX[environment].get("commands", "").replace("\\\n", " ")
    text = re.sub(r"{\[(.*?)\]commands}", lambda match: "\n".join(commands(match[1])), text)
    text = re.sub(r"{posargs:?(.*?)}", r"\1", text)
    return [line.strip() for line in text.splitlines() if line.strip()]


TIERS = [
    (section, command)
    for section in TOX.sections()
    if section not in {"testenv:confirm", "testenv:trap", "testenv:lock", "testenv:pages", "testenv:quick"}
    for command in (commands(section) if section != "testenv:ci" else [])
    if re.search("pytest|twice", command)
]


def test_every_tier_is_tried() -> None:
    """The commands that are tried below are those of all environments that run tests."""
    assert {section for section, _ in TIERS} == {
        "testenv",
        *(f"testenv:{name}" for name in ("crosscpu", "kfp", "cluster", "isolation", "nightly", "benchmarks")),
    }


@pytest.fixture
def original_datadir() -> Path:
    """Where the golden documents are."""
    return ROOT / "tests" / "golden"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which one test of each tier fails, and no other."""
    root = tmp_path_factory.mktemp("tiers")
    for name in PARTS:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    (root / "fmnist").mkdir()
    (root / "fmnist" / "__init__.py").touch()
    (root / "fmnist" / "part.py").write_text("def two():\n    return 2\n")
    (root / "conftest.py").write_text(CONFTEST)
    # Where a tier runs whole folders they must be there.
    green = ["steps/test_green", "kubeflow/test_green", "cluster/test_green", "cli/test_fmnist"]
    for name in (*green, "steps/test_own_network", "steps/test_sources"):
        path = root / "tests" / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(GREEN)
    (root / "benchmarks").mkdir()
    return root


@pytest.mark.parametrize(("section", "command"), TIERS, ids=[f"{section}-{i}" for i, (section, _) in enumerate(TIERS)])
def test_a_red_test_makes_its_tier_red(section: str, command: str, project: Path) -> None:
    """The tier's own command fails where one test that it runs fails, because of that."""
    marked = re.search(r"pytest -m (\w+)", command)
    folder = {"testenv:benchmarks": "benchmarks", "testenv:cluster": "tests/cluster"}.get(section, "tests/steps")
    path = project / ("tests/test_kfp_versions.py" if section == "testenv:kfp" else f"{folder}/test_red.py")
    path.write_text(RED.format(marks=f"pytest.mark.{marked[1]}" if marked else ""))
    try:
        code, said = run(command, project)
    finally:
        path.unlink()
    assert code == 1, said
    assert "test_red.py::test_red" in said or section == "testenv:kfp"
    assert re.search("^1 failed|^FAILED", said, re.MULTILINE), said


def test_a_test_without_end_is_red(project: Path) -> None:
    """After a quarter of an hour it is named, with the lines where it is; here after two seconds."""
    (command,) = commands("testenv")
    assert "-o faulthandler_timeout=900 " in command
    path = project / "tests" / "steps" / "test_endless.py"
    path.write_text("import time\n\ndef test_endless():\n    time.sleep(1000)\n")
    try:
        code, said = run(command.replace("_timeout=900", "_timeout=2"), project)
    finally:
        path.unlink()
    assert code == 1, said
    assert re.search(r"^FAILED tests/steps/test_endless.py::test_endless - worker .* crashed", said, re.MULTILINE), said
    assert re.search(r"Timeout.*test_endless\.py\", line 4 in test_endless", said, re.DOTALL), said


def run(command: str, project: Path) -> tuple[int, str]:
    """Run a command of tox there, and return its exit code and what it printed."""
    program, *arguments = shlex.split(command)
    start = [sys.executable] if program == "python" else [sys.executable, "-m", program]
    arguments = [sys.executable if one == "python" else one for one in arguments]
    environment = {**os.environ, "PYTHONPATH": str(project), "FMNIST_STRICT": ""}
    done = subprocess.run(
        [*start, *arguments], cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


#: At the second time the module is imported already.
ONCE = "seen = []\n\ndef test_once():\n    seen.append(1)\n    assert len(seen) < 2\n"
ORDERED = """
import pathlib, pytest

@pytest.mark.parametrize("n", range(20))
def test_green(n):
    with pathlib.Path(__file__).with_suffix(".order").open("a") as file:
        file.write(f"{n}\\n")
"""
KILLED = "import os\n\ndef test_killed():\n    os.kill(os.getpid(), 9)\n"


@pytest.mark.parametrize(
    ("part", "body", "code"),
    [*((part, ONCE, 1) for part in range(3)), *((part, KILLED, 9) for part in range(3)), (3, ONCE, 0)],
    ids=["first", "second", "third", "first killed", "second killed", "third killed", "none"],
)
def test_each_part_of_the_isolation_counts(part: int, body: str, code: int, tmp_path: Path) -> None:
    """The tests that run twice fail if one fails in any process, or the second time alone, or one is killed.

    The second time they run in another order.
    """
    twice = runpy.run_path(str(ROOT / "tests" / "support" / "twice.py"))
    names = [[name for name in one if name.startswith("tests/")] for one in twice["PARTS"]]
    moved, waiting = "tests/steps/test_own_network.py", "tests/steps/test_sources.py"
    assert names == [["tests/steps"], ["tests/kubeflow", "tests/cli/test_fmnist.py", moved], [waiting]]
    left_out = {option for one in twice["PARTS"] for option in one if option not in names[0] + names[1] + names[2]}
    elsewhere = ["kubeflow/test_clean_environment", "kubeflow/test_installing", "kubeflow/test_processes"]
    elsewhere += [
        f"steps/test_{name}" for name in ("determinism", "garbage", "library_state", "own_network", "sources")
    ]
    assert left_out == {f"--ignore=tests/{name}.py" for name in elsewhere}
    for number, paths in enumerate(names):
        for name in paths:
            path = tmp_path / name / ("" if name.endswith(".py") else "test_all.py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(body if number == part else ORDERED)
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\naddopts = ["-p", "no:cacheprovider"]\n')
    program = str(ROOT / "tests" / "support" / "twice.py")
    assert subprocess.run([sys.executable, program], cwd=tmp_path, capture_output=True, check=False).returncode == code
    found = [path.read_text().split() for path in tmp_path.rglob("*.order")] if code == 0 else []
    assert all(sorted(one[:20]) == sorted(one[20:]) and one[:20] != one[20:] for one in found)
    assert len(found) == (5 if code == 0 else 0)


def test_each_test_is_watched(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that leaves the process otherwise than it was fails, without asking for that; another one passes."""
    assert "untouched" in request.fixturenames
    monkeypatch.setenv("CI", "true")
    *_, watch = request._fixturemanager.getfixturedefs("untouched", request.node) or ()
    clean, leaving = watch.func(), watch.func()
    next(clean)
    assert next(clean, "it ends") == "it ends"
    next(leaving)
    monkeypatch.setenv("LEFT", "7")
    with pytest.raises(AssertionError, match="^expected a process as before the test, got another value of LEFT\n"):
        next(leaving)


def test_each_test_is_run_and_has_a_name_of_its_own(request: pytest.FixtureRequest) -> None:
    """What all tests share puts the long ones first and leaves none out, and shortens only the names that are long."""
    path = str(ROOT / "tests" / "conftest.py")
    [shared] = [one for one in request.config.pluginmanager.get_plugins() if getattr(one, "__file__", "") == path]
    places = ["test_b.py", "test_training.py", "test_a.py", "test_run_end_to_end.py", "test_b.py"]
    items = [SimpleNamespace(path=Path(place), name="test_it") for place in places]
    shared.pytest_collection_modifyitems(items)
    ordered = ["test_run_end_to_end.py", "test_training.py", "test_b.py", "test_a.py", "test_b.py"]
    assert [item.path.name for item in items] == ordered
    named = {
        value: shared.pytest_make_parametrize_id(value, "text") for value in ("x" * 60, "x" * 61, b"x" * 61, 10**61)
    }
    assert list(named.values()) == [None, "long text", "long text", None]


def test_ci_draws_the_same_examples_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere they are others, so that each run looks at more."""
    loaded: list[str] = []
    settings = SimpleNamespace(register_profile=Mock(), get_profile=Mock(), load_profile=loaded.append)
    monkeypatch.setattr(hypothesis, "settings", settings)
    for given in ("true", ""):
        monkeypatch.setenv("CI", given)
        runpy.run_path(str(ROOT / "tests" / "conftest.py"))
    assert loaded == ["ci", "default"]


#: The options of the programs that check, as their help has them.
OPTIONS = {
    plant: """
  -j, --jobs INTEGER RANGE  How many faults to plant at once.  [default: one a
                            core]  [x>=1]
  --catalogue PATH          Another catalogue.
  --after-tests             All tests have just passed here: run none without a
                            fault.
  --since COMMIT            Only the faults that a change since then concerns.
  --root PATH               Another project.
  -h, --help                Show this message and exit.
""",
    mutation: """
  --since COMMIT  Only the functions that have changed since then.
  -h, --help      Show this message and exit.
""",
    disturb: """
  --on [functions|compile|run|call|process]
                                  Only this.  [default: all]
  --each                          Let each disturbance work by itself, which
                                  takes an hour.
  --quick                         Only what takes a minute: functions and
                                  compile, refused or together.
  -j, --jobs INTEGER RANGE        How many processes to disturb at once.
                                  [default: one a core]  [x>=1]
  --catalogue PATH                Another catalogue.
  -h, --help                      Show this message and exit.
""",
}


@pytest.mark.parametrize(("program", "options"), OPTIONS.items(), ids=["plant", "mutation", "disturb"])
def test_the_programs_that_check_take_what_they_say(program: Any, options: str) -> None:
    """Each option is in the help; by default each core has a job, and files and folders must be there."""
    runner, command = CliRunner(), program.main
    assert isinstance(command, click.Command)
    for name in ("-h", "--help"):
        assert runner.invoke(command, [name]).output.partition("\n\nOptions:")[2] == options
    given = {option.name: option for option in command.params}
    assert ["jobs"] * ("jobs" in given) == [
        name for name, option in given.items() if option.default == len(os.sched_getaffinity(0))
    ]
    for name in {"catalogue", "root"} & given.keys():
        assert given[name].default == {"catalogue": program.CATALOGUE, "root": ROOT}[name]
        refused = runner.invoke(command, [f"--{name}", "gone"])
        assert (refused.exit_code, "Path 'gone' does not exist." in refused.output) == (2, True)


def test_no_command_may_fail() -> None:
    """No command of tox is one whose failure counts for nothing, and neither is a step of the workflow."""
    for section in TOX.sections():
        keys = set(TOX[section])
        assert not keys & {"ignore_outcome", "ignore_errors"}, section
        for key in ("commands", "commands_pre"):
            lines = TOX[section].get(key, "").replace("\\\n", " ").splitlines()
            assert [line for line in lines if re.match(r"\s*[-!]", line)] == []
    workflows = {path.stem: path.read_text() for path in (ROOT / ".github" / "workflows").iterdir()}
    assert "continue-on-error" not in "".join(workflows.values())
    jobs = {name: [*yaml.safe_load(text)["jobs"].values()] for name, text in workflows.items()}
    commands = {
        name: [step["run"] for job in of for step in job["steps"] if "run" in step] for name, of in jobs.items()
    }
    nightly = ["pip install tox", "tox run -e ${{ matrix.check }}", "pip install tox", "tox"]
    assert commands == {"ci": [".ci/run"], "nightly": nightly}
    strategies = [job["strategy"]["matrix"] for job in jobs["nightly"]]
    assert strategies == [{"check": ["nightly", "mutation"]}, {"python": ["3.12", "3.13"]}]


#: By what tests are left out, whatever they would say, or let a warning pass.
LEFT_OUT = re.compile(
    r"(?:pytest\.mark\.(?!parametrize|usefixtures)|pytest\.(?=skip|xfail|importorskip))([a-z]\w*)(?:\.Exception)?"
    r"|(?:\w+\.)*(__test__|collect_ignore\w*)"
)


def left_out(text: str) -> set[str]:
    r"""Return by what tests of a module are left out, but for what stands in its texts.

    Examples
    --------
    >>> sorted(left_out("@pytest.mark.kills\ndef test_it():\n    pytest.skip('x')\n    'pytest.mark.trap'"))
    ['kills', 'skip']
    """
    nodes = ast.walk(ast.parse(text)) if LEFT_OUT.search(text) else ()
    names = {ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute | ast.Name)}
    return {found[1] or found[2] for found in map(LEFT_OUT.fullmatch, names) if found}


def test_what_is_not_run_is_known() -> None:
    """Only these tests wait for a check of their own, for what a machine may lack, or let a warning pass."""
    paths = [*ROOT.glob("tests/**/*.py"), *ROOT.glob("benchmarks/*.py"), *ROOT.glob("examples/**/*.py")]
    found = {path.relative_to(ROOT).as_posix(): left_out(path.read_text(encoding="utf-8")) for path in paths}
    noisy = ["kubeflow/test_components", "kubeflow/test_local", "runs/test_run_end_to_end", "steps/test_files"]
    noisy += ["steps/test_own_network", "steps/test_plots"]
    assert {name: by for name, by in found.items() if by} == {
        "benchmarks/conftest.py": {"collect_ignore"},
        "benchmarks/test_seeding_trap.py": {"trap"},
        "benchmarks/test_study_speed.py": {"skip"},
        "tests/cluster/test_real_server.py": {"cluster"},
        "tests/runs/test_kills.py": {"kills"},
        "tests/support/helpers.py": {"skip"},
        "tests/support/test_helpers.py": {"skip"},
        "tests/test_bounds.py": {"skip"},
        "tests/test_crosscpu.py": {"crosscpu"},
        "tests/test_kfp_versions.py": {"network"},
        **{f"tests/{name}.py": {"filterwarnings"} for name in noisy},
    }
    code = ROOT.glob("fmnist/**/*.py")
    assert [str(path) for path in code if "doctest: +" in path.read_text(encoding="utf-8")] == []


def test_settings_change_on_purpose(data_regression: DataRegressionFixture) -> None:
    """What each check runs, what it fails for and what it leaves out is as in the golden document.

    To accept a change, run `pytest --force-regen tests/test_checks.py`, and look at the difference.
    """
    tools = PROJECT["tool"]
    covered = (ROOT / "tests" / "support" / "covered.py").read_text()
    profiles = {name: hypothesis.settings.get_profile(name) for name in ("default", "ci", "nightly")}
    data_regression.check(
        {
            "tox": {section: _lines(TOX[section]) for section in TOX.sections()},
            "pytest": tools["pytest"]["ini_options"],
            "mypy": tools["mypy"],
            "ruff": tools["ruff"],
            "layers": tools["importlinter"],
            "spelling": tools["codespell"],
            "coverage": re.findall(r"^TARGET = .*", covered, re.MULTILINE),
            "mutmut": tools["mutmut"],
            "wheel": [PROJECT["build-system"], tools["hatch"]],
            "package": PROJECT["project"],
            "dependencies": PROJECT["dependency-groups"],
            "documents": {name: yaml.safe_load((ROOT / name).read_text()) for name in DOCUMENTS},
            "lines": {name: _commands((ROOT / name).read_text()) for name in LINES},
            # Where CI is set, Hypothesis' own default is not random either.
            "examples": {name: [one.max_examples, str(one.deadline)] for name, one in profiles.items()},
            "the same in CI": profiles["ci"].derandomize,
        },
        "checks",
    )


def _commands(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def _lines(section: Mapping[str, Any]) -> dict[str, list[str]]:
    return {key: [line for line in text.splitlines() if line] for key, text in section.items()}
