"""Tests of the command line `same`: arguments, messages, exit codes, and what is asked of a cluster."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from click.testing import CliRunner, Result
from support import helpers

from fmnist import pipeline
from fmnist.cli import same
from fmnist.cluster.client import ClusterError
from fmnist.cluster.cluster import Version
from fmnist.cluster.pipeline_file import compile_pipeline_file
from fmnist.pipeline import Where
from fmnist.runs import study_pipeline
from fmnist.steps.errors import ContractError
from fmnist.steps.settings import Settings

ROOT = Path(__file__).parents[2]
OURS = str(ROOT / "same.yaml")
LINK = "https://kubeflow.example/#/runs/details/r1"

PROGRAM = """\
apiVersion: projectsame.io/v1alpha1
metadata: {name: greeting, version: 1.10}
workflow: {type: kubeflow}
pipeline: {name: greetings, description: Greets, package: somebody.py}
run: {name: hello, parameters: {name: you}}
"""

SOMEBODY = '''
from kfp import dsl


@dsl.component(base_image="python:3.11")
def greet(name: str, often: int) -> str:
    """Greet."""
    return name * often


@dsl.pipeline(name="greetings")
def greetings(name: str, often: int = 2):
    greet(name=name, often=often)
'''


class FakeCluster:
    """Notes what is asked of a cluster and of its run, and answers as they would."""

    host, id, link = "https://kubeflow.example", "r1", LINK
    namespace: str | None = "me"

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.compiled: list[bytes] = []
        self.accuracies: list[float | None] = [0.8765]
        self.wait_with: Callable[[], str] = lambda: "SUCCEEDED"

    def connect(self, host: str | None, **credentials: Any) -> "FakeCluster":
        self.calls.append(("connect", (host, credentials)))
        return self

    def create(self, compiled: Path, **given: Any) -> Version:
        self.compiled.append(compiled.read_bytes())
        self.calls.append(("create", given))
        return Version("v1", "p1", "1.10-abc", "https://kubeflow.example/#/v1")

    def latest(self, name: str) -> Version:
        self.calls.append(("latest", name))
        return Version("v0", "p1", "old", "https://kubeflow.example/#/v0")

    def spec(self, version: Version) -> dict[str, Any]:
        assert version.id == "v0"
        return {"root": {"inputDefinitions": {"parameters": {"name": {"parameterType": "STRING"}}}}}

    def run(self, version: Version, **given: Any) -> "FakeCluster":
        self.calls.append(("run", {"version": version.id, **given}))
        return self

    def wait(self, *, timeout: float, on_state: Callable[[str], None]) -> str:
        self.calls.append(("wait", timeout))
        on_state("RUNNING")
        return self.wait_with()

    def accuracy(self) -> float | None:
        return self.accuracies[0]

    @property
    def names(self) -> list[str]:
        """What was asked, in order."""
        return [name for name, _ in self.calls]

    def asked(self, name: str) -> Any:
        """Return the arguments of the one call of that name."""
        [arguments] = [arguments for called, arguments in self.calls if called == name]
        return arguments


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    """A cluster that is not there."""
    fake = FakeCluster()
    monkeypatch.setattr("fmnist.cluster.cluster.connect", fake.connect)
    return fake


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with somebody else's program."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "same.yaml").write_text(PROGRAM)
    (tmp_path / "somebody.py").write_text(SOMEBODY)
    return tmp_path


def invoke(*arguments: str) -> Result:
    """Call the command line."""
    return CliRunner().invoke(same.main, arguments)


@pytest.mark.parametrize(
    "command", [[], ["program"], ["program", "create"], ["program", "run"]], ids=lambda c: " ".join(c) or "same"
)
def test_help_teaches(command: list[str]) -> None:
    """Each command explains itself, and shows what to type, line by line."""
    result = invoke(*command, "--help")
    assert result.exit_code == 0
    assert "\n    same program run" in result.stdout or "\n    same program create" in result.stdout
    assert "\\b" not in result.stdout


def test_the_command_starts_without_heavy_imports() -> None:
    """Neither TensorFlow nor kfp nor pydantic is loaded for --help."""
    assert helpers.heavy_imports("fmnist.cli.same", "program", "run", "--help") == set()


def test_a_pipeline_is_created(fake: FakeCluster, here: Path) -> None:
    """The compiled pipeline goes to the cluster under the name, description and version of the file."""
    result = invoke("program", "create", "-f", "same.yaml")
    assert (result.exit_code, result.stderr) == (0, "")
    assert fake.names == ["connect", "create"]
    assert fake.asked("create") == {"name": "greetings", "description": "Greets", "version": "1.10"}
    expected = compile_pipeline_file(here / "somebody.py", here / "expected.yaml")
    assert fake.compiled == [expected.read_bytes()]
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["pipeline", "greetings", "(p1)"],
        ["version", "1.10-abc", "(v1)"],
        ["link", "https://kubeflow.example/#/v1"],
    ]


def test_a_compiled_pipeline_is_run_as_it_is(fake: FakeCluster, here: Path) -> None:
    """What `fmnist compile` wrote, here a study for an image, goes to the cluster with its own parameters."""
    path = study_pipeline.compile_pipeline(here / "study.yaml", Where("registry.example/fmnist:1"))
    program = PROGRAM.replace("somebody.py", "study.yaml").replace("{name: you}", "{count: 40}")
    (here / "same.yaml").write_text(program)
    result = invoke("program", "run", "-p", "epochs=100")
    assert (result.exit_code, result.stderr) == (0, "")
    assert fake.compiled == [path.read_bytes()]
    assert fake.asked("run")["parameters"] == {"count": 40, "epochs": 100}


def test_our_own_pipeline_is_created_as_it_compiles(fake: FakeCluster, tmp_path: Path) -> None:
    """From the repository's program file goes what `fmnist compile` writes, without a warning."""
    result = invoke("program", "create", "-f", OURS, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    assert fake.compiled == [pipeline.compile_pipeline(tmp_path / "expected.yaml").read_bytes()]
    assert json.loads(result.stdout)["version"]["id"] == "v1"


def test_the_options_of_a_pipeline_are_taken_over(fake: FakeCluster, here: Path) -> None:
    """A name and a description given stand above the file's; an empty description too."""
    invoke("program", "create", "-n", "other", "--program-description", "")
    assert fake.asked("create") == {"name": "other", "description": "", "version": "1.10"}


def test_the_options_of_a_server_are_taken_over(fake: FakeCluster, here: Path) -> None:
    """Address, namespace, token, cookies and authority reach the connection."""
    server = ["--host", "https://k", "--namespace", "me", "--token-file", "t", "--cookies", "a=b", "--ca", "ca.pem"]
    server += ["--proxy", "http://p:3128"]
    assert invoke("program", "create", *server).exit_code == 0
    credentials = {
        "namespace": "me",
        "token_file": Path("t"),
        "cookies": "a=b",
        "ca": Path("ca.pem"),
        "proxy": "http://p:3128",
    }
    assert fake.asked("connect") == ("https://k", credentials)


def test_a_run_is_started(fake: FakeCluster) -> None:
    """The command of the original, word for word, creates the pipeline and starts a run of it with its parameters."""
    names = ["--experiment-name", "example-kubeflow-fashionMNIST", "--run-name", "default"]
    result = invoke("program", "run", "-f", OURS, *names)
    assert (result.exit_code, result.stderr) == (0, "")
    assert fake.names == ["connect", "create", "run"]
    assert fake.asked("run") == {
        "version": "v1",
        "experiment": "example-kubeflow-fashionMNIST",
        "run_name": "default",
        "parameters": {"compile_optimizer": "adam", "epochs": 10, "validation_split": 0.05, "seed": 0},
        "experiment_description": "",
        "run_description": "",
        "caching": True,
    }
    assert [line.split() for line in result.stdout.splitlines()] == [["run", "r1"], ["link", LINK]]


def test_two_spellings_of_an_optimizer_are_one_argument(fake: FakeCluster) -> None:
    """What is sent is the shortest spelling, by which Kubeflow's cache knows the step."""
    spelling = 'compile_optimizer={"class_name": "keras.optimizers>Adam", "config": {"learning_rate": 1e-3}}'
    assert invoke("program", "run", "-f", OURS, "-p", spelling).exit_code == 0
    assert fake.asked("run")["parameters"]["compile_optimizer"] == "adam"


def test_the_file_names_what_the_command_does_not(fake: FakeCluster, here: Path) -> None:
    """Without names the experiment is called as the program, and the run as in the file."""
    assert invoke("program", "run").exit_code == 0
    asked = fake.asked("run")
    assert (asked["experiment"], asked["run_name"], asked["parameters"]) == ("greeting", "hello", {"name": "you"})


def test_the_options_of_a_run_are_taken_over(fake: FakeCluster, here: Path) -> None:
    """Parameters stand above the file's, in the pipeline's own types; descriptions and caching reach the cluster."""
    parameters = ["-p", "often=3", "--run-param", "name=7"]
    descriptions = ["--experiment-description", "E", "--run-description", "R", "--no-cache"]
    assert invoke("program", "run", "-e", "x", "-r", "y", *parameters, *descriptions).exit_code == 0
    asked = fake.asked("run")
    assert asked["parameters"] == {"name": "7", "often": 3}
    assert (asked["experiment"], asked["run_name"]) == ("x", "y")
    assert (asked["experiment_description"], asked["run_description"], asked["caching"]) == ("E", "R", False)


def test_a_run_only_creates_nothing(fake: FakeCluster, here: Path) -> None:
    """With --run-only the newest version is run; the pipeline file is neither executed nor sent."""
    (here / "somebody.py").write_text("raise SystemExit")
    assert invoke("program", "run", "--run-only", "-n", "other").exit_code == 0
    assert fake.names == ["connect", "latest", "run"]
    assert (fake.asked("latest"), fake.asked("run")["version"]) == ("other", "v0")


def test_a_run_only_is_checked_against_the_version_there(fake: FakeCluster, here: Path) -> None:
    """With --run-only the parameters are those of the version on the cluster."""
    result = invoke("program", "run", "--run-only", "-p", "often=3")
    assert result.exit_code == 2
    assert "parameter: expected one of name, got 'often'" in result.stderr
    assert "run" not in fake.names


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-p", "names=x"], "parameter: expected one of name, often, got 'names'. Did you mean 'name'?"),
        (["-p", "often=many"], "parameter often: expected a whole number, at most 2**53 from zero, got 'many'"),
        (["-p", "often"], "expected NAME=VALUE, got 'often'"),
        (["-f", OURS, "-p", "epochs=0"], "epochs: expected a whole number of at least 1, got 0"),
        (["-f", OURS, "-p", "compile_optimizer=adm"], "Did you mean 'adam'?"),
        (["-f", OURS, "-p", "epoch=3"], "Did you mean 'epochs'?"),
        (["-f", "missing.yaml"], "expected YAML in missing.yaml"),
        (["-o", "folder"], "-o is the folder of a run here"),
        (["-t", "local"], "-t local: expected fmnist's own pipeline"),
        (["-t", "aml"], "'aml' is not one of 'kubeflow', 'local'"),
        (["--timeout", "0"], "0 is not in the range x>=1"),
        (["--timeout", "nan"], "'nan' is not a valid integer"),
        (["--nothing"], "No such option"),
    ],
)  # fmt: skip
def test_bad_input_is_exit_code_2(fake: FakeCluster, here: Path, arguments: list[str], message: str) -> None:
    """Bad input ends before anything is asked of a cluster, with one message that says what to do."""
    result = invoke("program", "run", *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert fake.calls == []


@pytest.mark.parametrize("command", ["create", "run"])
@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            ("same.yaml", PROGRAM.replace("you}", "[you]}")),
            "line 5: run.parameters.name: expected a number, boolean or",
        ),
        (("somebody.py", "x = y"), "somebody.py, line 1: expected a pipeline that compiles, got NameError"),
    ],
    ids=["program file", "pipeline file"],
)
def test_a_bad_file_is_exit_code_2(
    fake: FakeCluster, here: Path, command: str, edit: tuple[str, str], message: str
) -> None:
    """A file with an error is refused with its line, before anything is asked of a cluster."""
    name, text = edit
    (here / name).write_text(text)
    result = invoke("program", command)
    assert result.exit_code == 2
    assert message in result.stderr
    assert fake.calls == []


def test_an_unknown_key_is_a_warning(fake: FakeCluster, here: Path) -> None:
    """A key that has no effect gives a warning, and the command does its work."""
    (here / "same.yaml").write_text(PROGRAM + "dataSets: []\n")
    result = invoke("program", "create")
    assert result.exit_code == 0
    assert result.stderr.startswith("Warning: program file same.yaml, line 6: dataSets has no effect")


def test_without_an_address_another_way_is_shown(monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    """Where there is no address of a cluster, the error says how to give one, or to run here."""
    monkeypatch.delenv("KF_PIPELINES_ENDPOINT", raising=False)
    monkeypatch.setenv("HOME", str(here))
    monkeypatch.setenv("KUBECONFIG", str(here / "none"))
    result = invoke("program", "run")
    assert result.exit_code == 2
    assert "-t local" in result.stderr
    assert "KF_PIPELINES_ENDPOINT" in result.stderr


@pytest.mark.parametrize(
    ("error", "code"), [(ClusterError("no answer"), 3), (ContractError("host: expected"), 2)], ids=["server", "host"]
)
def test_what_fails_has_an_exit_code(monkeypatch: pytest.MonkeyPatch, here: Path, error: Exception, code: int) -> None:
    """A server that fails is exit code 3, a bad address 2, each with one message."""
    monkeypatch.setattr("fmnist.cluster.cluster.connect", Mock(side_effect=error))
    result = invoke("program", "create")
    assert (result.exit_code, result.stderr) == (code, f"Error: {error}\n")


def test_waiting_ends_with_the_accuracy(fake: FakeCluster) -> None:
    """With --wait the states go to stderr; then come the accuracy, the published ones, and that one run cannot tell."""
    result = invoke("program", "run", "-f", OURS, "--wait", "--timeout", "7")
    assert (result.exit_code, result.stderr, fake.asked("wait")) == (0, "RUNNING\n", 7)
    lines = result.stdout.splitlines()
    assert [line.split() for line in lines[:6]] == [
        ["run", "r1"],
        ["link", LINK],
        ["state", "SUCCEEDED"],
        ["accuracy", "0.8765"],
        ["published", "0.8693", "(tensorflow-tutorial)"],
        ["published", "0.8822", "(same-example-10-epochs)"],
    ]
    assert [line.partition(" whether")[0] for line in lines[6:]] == ["One run cannot tell"] * 2


def test_an_accuracy_that_is_missing_is_not_judged(fake: FakeCluster) -> None:
    """Where the server has no accuracy, the output refers to the link, and compares nothing."""
    fake.accuracies = [None]
    result = invoke("program", "run", "-f", OURS, "--wait")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[3:] == ["accuracy   see the link: the server does not give it"]


def test_another_pipeline_is_not_compared(fake: FakeCluster, here: Path) -> None:
    """The accuracy of somebody else's pipeline is printed, and compared with nothing."""
    result = invoke("program", "run", "--wait")
    assert [line.split() for line in result.stdout.splitlines()[2:]] == [["state", "SUCCEEDED"], ["accuracy", "0.8765"]]


def test_a_program_reads_json(fake: FakeCluster) -> None:
    """With --json stdout is one document, and the link goes to stderr at once."""
    result = invoke("program", "run", "-f", OURS, "--wait", "--json")
    record = json.loads(result.stdout)
    assert (record["run_id"], record["link"], record["state"], record["accuracy"]) == ("r1", LINK, "SUCCEEDED", 0.8765)
    assert record["version"]["id"] == "v1"
    assert record["parameters"] == vars(Settings())
    assert [one["name"] for one in record["published"]] == ["tensorflow-tutorial", "same-example-10-epochs"]
    assert result.stderr.splitlines()[0] == f"run r1: {LINK}"


def test_an_interrupted_wait_leaves_the_run(fake: FakeCluster, here: Path) -> None:
    """Ctrl-C while waiting leaves the run, and says where to look at it and end it."""
    fake.wait_with = Mock(side_effect=KeyboardInterrupt)
    result = invoke("program", "run", "--wait")
    assert result.exit_code == 130
    assert result.stderr.endswith(
        f"Error: interrupted; run r1 is still running. Look at it, or terminate it, at {LINK}.\n"
    )


def test_a_run_that_fails_is_exit_code_3(fake: FakeCluster, here: Path) -> None:
    """A run that fails during the wait gives an error after its link."""
    fake.wait_with = Mock(side_effect=ClusterError("run r1: expected SUCCEEDED, got FAILED"))
    result = invoke("program", "run", "--wait")
    assert result.exit_code == 3
    assert LINK in result.stdout
    assert result.stderr.endswith("Error: run r1: expected SUCCEEDED, got FAILED\n")


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Settings, Path]]:
    """What would be run here, without running it."""
    calls: list[tuple[Settings, Path]] = []

    def execute(settings: Settings, folder: Path, *_: object) -> dict[str, Any]:
        calls.append((settings, folder))
        return {"metrics": {"accuracy": 0.8765}, "parameters": vars(settings)}

    monkeypatch.setattr("fmnist.runs.run.run_pipeline", execute)
    return calls


def test_a_local_run_is_that_of_fmnist(executed: list[tuple[Settings, Path]], fake: FakeCluster) -> None:
    """With -t local the parameters of the file and of -p are run here, and no cluster is asked."""
    command = ["program", "run", "-f", OURS, "-e", "x", "-r", "y", "-t", "local", "-p", "epochs=3", "-o", "out"]
    result = invoke(*command)
    assert result.exit_code == 0
    assert executed == [(Settings(epochs=3), Path("out"))]
    assert result.stdout.splitlines()[0].split() == ["accuracy", "0.8765"]
    assert json.loads(invoke(*command, "--json").stdout)["metrics"] == {"accuracy": 0.8765}
    assert fake.calls == []


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the repository elsewhere."""
    shutil.copytree(ROOT / "fmnist", tmp_path / "fmnist", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "same.yaml", tmp_path)
    return tmp_path


def test_our_pipeline_is_known_in_any_checkout(executed: list[tuple[Settings, Path]], checkout: Path) -> None:
    """A copy of the repository elsewhere holds the same pipeline, which runs here."""
    assert invoke("program", "run", "-f", str(checkout / "same.yaml"), "-t", "local", "-o", "out").exit_code == 0
    assert executed == [(Settings(), Path("out"))]


@pytest.mark.parametrize("changed", ["pipeline.py", "steps/training.py", "kubeflow/components.py"])
def test_a_checkout_with_other_code_is_not_run_with_ours(
    executed: list[tuple[Settings, Path]], fake: FakeCluster, checkout: Path, changed: str
) -> None:
    """The installed package is what would run: a checkout of other code is refused, not swapped silently."""
    with (checkout / "fmnist" / changed).open("a") as file:
        file.write("# changed\n")
    text = (checkout / "same.yaml").read_text()
    (checkout / "study.yaml").write_text(text.replace("fmnist/pipeline.py", "fmnist/runs/study_pipeline.py"))
    for command in (["run", "-t", "local"], ["run"], ["create"], ["create", "-f", str(checkout / "study.yaml")]):
        result = invoke("program", *command[:1], "-f", str(checkout / "same.yaml"), *command[1:])
        assert result.exit_code == 2
        assert re.search(f"got another .*{changed}. Install that checkout first", result.stderr)
    assert (executed, fake.calls) == ([], [])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["-t", "local", "-e", "x", "-r", "y"],
            ["--experiment-name has no effect with -t local", "--run-name has no "],
        ),
        (["-t", "local", "--host", "https://k"], ["--host has no effect with -t local."]),
        (
            ["-t", "local", "--wait", "--timeout", "5"],
            ["--wait has no effect with -t local.", "--timeout has no effect"],
        ),
        (["-t", "local", "--no-cache"], ["--no-cache has no effect with -t local."]),
        (["-t", "local", "--run-only"], ["--run-only has no effect with -t local."]),
        (["-t", "local", "-n", "x"], ["--program-name has no effect with -t local."]),
        (["-t", "local"], []),
        (["--timeout", "5"], ["--timeout has no effect without --wait."]),
        (["--timeout", "5", "--wait"], []),
        (["-p", "epochs=2", "-p", "epochs=3"], ["-p epochs=2 has no effect, as it is given again."]),
        (["--namespace", "me"], ["--namespace has no effect: the cluster has one user"]),
    ],
    ids=" ".join,
)
def test_an_option_without_effect_is_told(
    arguments: list[str], told: list[str], executed: list[tuple[Settings, Path]], fake: FakeCluster
) -> None:
    """Who gives an option that does nothing beside the others learns it, and the run goes on."""
    fake.namespace = None
    result = invoke("program", "run", "-f", OURS, *arguments)
    assert result.exit_code == 0, result.output
    warnings = [line for line in result.stderr.splitlines() if line.startswith("Warning: ")]
    assert len(warnings) == len(told)
    assert all(what in warning for what, warning in zip(told, warnings, strict=True))


def test_a_description_of_what_is_not_created_is_told(fake: FakeCluster, here: Path) -> None:
    """With --run-only nothing gets the description."""
    result = invoke("program", "run", "--run-only", "--description", "x", "-p", "name=a")
    assert (result.exit_code, fake.names) == (0, ["connect", "latest", "run"])
    assert "Warning: --program-description has no effect with --run-only." in result.stderr


@pytest.mark.parametrize("option", ["--host", "--namespace", "--cookies", "--proxy", "-n", "-e", "-r"])
def test_an_empty_option_is_refused(option: str, fake: FakeCluster, here: Path) -> None:
    """A variable of the shell that is not set does not lead to another cluster, or another name."""
    result = invoke("program", "run", option, "")
    assert result.exit_code == 2
    assert "expected a text, got an empty one. Is a variable empty?" in result.stderr
    assert fake.calls == []
