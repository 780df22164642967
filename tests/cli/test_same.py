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

from fmnist import pipeline, testing
from fmnist.cli import same
from fmnist.cluster.client import ClusterError
from fmnist.cluster.download import MissingError
from fmnist.cluster.failures import GoneError, UnfinishedError
from fmnist.cluster.pipeline_file import compile_pipeline_file
from fmnist.cluster.versions import Version
from fmnist.pipeline import Where
from fmnist.runs import study_pipeline
from fmnist.runs.checksums import digests_of, listing
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
        self.inputs: dict[str, Any] = {"name": {"parameterType": "STRING"}}
        self.outcome: tuple[float | None, str] = (0.8765, "")
        self.content: dict[str, bytes] = {"metrics.json": b"{}\n", "labels/true.txt": b"1\n"}
        self.wait_with: Callable[[], str] = lambda: "SUCCEEDED"

    @property
    def versions(self) -> "FakeCluster":
        return self

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
        return {"root": {"inputDefinitions": {"parameters": self.inputs}}}

    def run(self, version: Version, **given: Any) -> "FakeCluster":
        self.calls.append(("run", {"version": version.id, **given}))
        return self

    def find_run(self, name: str) -> "FakeCluster":
        self.calls.append(("find_run", name))
        return self

    def parameters(self) -> dict[str, Any]:
        return vars(Settings())

    def wait(self, *, timeout: float, on_change: Callable[[str], None]) -> str:
        self.calls.append(("wait", timeout))
        on_change("RUNNING")
        on_change("train: started")
        return self.wait_with()

    def accuracy(self) -> tuple[float | None, str]:
        return self.outcome

    def files(self) -> dict[str, bytes]:
        self.calls.append(("files", None))
        return self.content

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
    "command",
    [[], ["program"], ["program", "create"], ["program", "run"], ["program", "wait"]],
    ids=lambda c: " ".join(c) or "same",
)
def test_help_teaches(command: list[str]) -> None:
    """Each command explains itself, and shows what to type, line by line."""
    result = invoke(*command, "--help")
    assert result.exit_code == 0
    assert re.search(r"\n    same program (run|create|wait)", result.stdout)
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


@pytest.mark.parametrize("command", ["create", "run"])
def test_a_step_that_will_miss_a_name_is_warned_of(command: str, fake: FakeCluster, here: Path) -> None:
    """On the cluster it would fail after minutes."""
    (here / "somebody.py").write_text(SOMEBODY.replace("name * often", "name * often * TIMES"))
    result = invoke("program", command)
    assert result.exit_code == 0
    assert "Warning: step greet: expected names that its function defines or imports, got TIMES. " in result.stderr


@pytest.mark.parametrize("command", ["create", "run"])
def test_what_is_compiled_for_a_cluster_does_not_stay_here(command: str, fake: FakeCluster, here: Path) -> None:
    """The folder is as it was."""
    before = set(here.iterdir())
    assert invoke("program", command).exit_code == 0
    assert set(here.iterdir()) == before


def test_a_version_has_room_for_its_digest(fake: FakeCluster, here: Path) -> None:
    """Of the 127 bytes of its name the content takes 17."""
    for length, exit_code in ((110, 0), (111, 2)):
        (here / "same.yaml").write_text(PROGRAM.replace("1.10", "v" * length))
        result = invoke("program", "create")
        assert result.exit_code == exit_code
    assert "version name: expected at most 127 bytes, got 128" in result.stderr


def test_each_text_is_looked_at_before_anything_is_sent(fake: FakeCluster, here: Path) -> None:
    """A server would fail on one that is too long, whichever command gives it."""
    pipelines = {"-n": "pipeline name", "--description": "pipeline description"}
    runs = {"-e": "experiment name", "-r": "run name"}
    runs |= {"--experiment-description": "experiment description", "--run-description": "run description"}
    commands = ((["create"], pipelines), (["run"], pipelines | runs), (["run", "--run-only"], pipelines | runs))
    for command, texts in commands:
        for option, what in texts.items():
            result = invoke("program", *command, option, "x" * 300_001)
            assert (result.exit_code, fake.calls) == (2, [])
            assert f"{what}: expected at most" in result.stderr


def test_a_compiled_pipeline_is_run_as_it_is(fake: FakeCluster, here: Path) -> None:
    """What `fmnist compile` wrote, here a study for an image, goes to the cluster with its own parameters."""
    path = study_pipeline.compile_pipeline(here / "study.yaml", Where("registry.example/fmnist:1"))
    program = PROGRAM.replace("somebody.py", "study.yaml").replace("{name: you}", "{seeds: 40}")
    (here / "same.yaml").write_text(program)
    result = invoke("program", "run", "-p", "epochs=100")
    assert (result.exit_code, result.stderr) == (0, "")
    assert fake.compiled == [path.read_bytes()]
    assert fake.asked("run")["parameters"] == {"seeds": 40, "epochs": 100}


def test_our_own_pipeline_is_created_as_it_compiles(fake: FakeCluster, tmp_path: Path) -> None:
    """From the repository's program file goes what `fmnist compile` writes, without a warning."""
    result = invoke("program", "create", "-f", OURS, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    assert fake.compiled == [pipeline.compile_pipeline(tmp_path / "expected.yaml").read_bytes()]
    record = json.loads(result.stdout)
    assert (record["pipeline"], record["version"]["id"]) == ("fashion-mnist", "v1")


def test_the_options_of_a_pipeline_are_taken_over(fake: FakeCluster, here: Path) -> None:
    """A name and a description given stand above the file's; an empty description too. The name given is told."""
    result = invoke("program", "create", "-n", "other", "--program-description", "")
    assert fake.asked("create") == {"name": "other", "description": "", "version": "1.10"}
    assert result.stdout.splitlines()[0] == "pipeline   other  (p1)"
    assert json.loads(invoke("program", "create", "-n", "other", "--json").stdout)["pipeline"] == "other"


@pytest.mark.parametrize(
    "command", [["create"], ["run"], ["run", "--run-only", "--json"], ["run", "--wait"], ["wait", "r1"]], ids=" ".join
)
def test_the_options_of_a_server_are_taken_over(command: list[str], fake: FakeCluster, here: Path) -> None:
    """Address, namespace, token, cookies, authority and proxy reach the connection, whatever is asked of it."""
    server = ["--host", "https://k", "--namespace", "me", "--token-file", "t", "--cookies", "a=b", "--ca", "ca.pem"]
    server += ["--proxy", "http://p:3128"]
    assert invoke("program", *command, *server).exit_code == 0
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


@pytest.mark.parametrize(
    ("option", "changed"),
    [
        (None, None),
        ("-e", "experiment"),
        ("-r", "run_name"),
        ("-n", "name"),
        ("--description", "description"),
        ("--experiment-description", "experiment_description"),
        ("--run-description", "run_description"),
    ],
)
def test_the_file_names_what_the_command_does_not(
    fake: FakeCluster, here: Path, option: str | None, changed: str | None
) -> None:
    """Without names the experiment is called as the program, and the run as in the file; a name given is of one."""
    assert invoke("program", "run", *([option, "given"] if option else [])).exit_code == 0
    texts: dict[str, Any] = {
        "experiment": "greeting",
        "run_name": "hello",
        "experiment_description": "",
        "run_description": "",
        "name": "greetings",
        "description": "Greets",
        "version": "1.10",
        "parameters": {"name": "you"},
    }
    texts |= {changed: "given"} if changed else {}
    assert {**fake.asked("run"), **fake.asked("create")}.items() >= texts.items()


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
    fake.inputs["often"] = {"parameterType": "NUMBER_INTEGER"}
    texts = ["-e", "x", "-r", "y", "--experiment-description", "E", "--run-description", "R", "--no-cache"]
    result = invoke("program", "run", "--run-only", "-n", "other", "-p", "often=3", "--json", *texts)
    assert (result.exit_code, json.loads(result.stdout)["parameters"]) == (0, {"name": "you", "often": 3})
    assert result.stderr == "run r1: https://kubeflow.example/#/runs/details/r1\n"
    assert fake.names == ["connect", "latest", "run"]
    assert (fake.asked("latest"), fake.asked("run")["version"]) == ("other", "v0")
    # All that is about the run counts as it does beside a new version.
    names = ("experiment", "run_name", "experiment_description", "run_description", "caching")
    assert [fake.asked("run")[name] for name in names] == ["x", "y", "E", "R", False]


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
        (["-f", OURS, "-p", "epochs=0", "--run-only"], "epochs: expected a whole number of at least 1, got 0"),
        (["-n", "x" * 129], "pipeline name: expected at most 128 bytes, got 129"),
        (["-f", OURS, "-p", "compile_optimizer=adm"], "Did you mean 'adam'?"),
        (["-f", OURS, "-p", "epoch=3"], "Did you mean 'epochs'?"),
        (["-f", "missing.yaml"], "expected YAML in missing.yaml"),
        (["-o", "folder"], "Error: -o is for the results of a run: give it with --wait, or with -t local."),
        (["--run-only", "-o", "folder"], "Error: -o is for the results of a run: give it with --wait"),
        (["--json", "-o", "folder"], "Error: -o is for the results of a run: give it with --wait"),
        (["--compare", "x", "-o", "folder"], "Error: -o is for the results of a run: give it with --wait"),
        (["--no-wait", "-o", "folder"], "Error: -o is for the results of a run: give it with --wait"),
        (["-t", "local"], "-t local: expected fmnist's own pipeline"),
        (["-t", "aml"], "'aml' is not one of 'kubeflow', 'local'"),
        (["--timeout", "0"], "0 is not in the range 1<=x<=1000000000"),
        (["--timeout", "1" + 400 * "0"], "0 is not in the range 1<=x<=1000000000"),
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
    assert (result.exit_code, result.stderr, fake.asked("wait")) == (0, "RUNNING\ntrain: started\n", 7)
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
    # The pipeline is ours as well where a version of it is there already.
    kinds = ("STRING", "NUMBER_INTEGER", "NUMBER_DOUBLE", "NUMBER_INTEGER")
    fake.inputs = {name: {"parameterType": kind} for name, kind in zip(vars(Settings()), kinds, strict=True)}
    assert invoke("program", "run", "-f", OURS, "--wait", "--run-only").stdout == result.stdout


def test_an_accuracy_of_0_is_one(fake: FakeCluster) -> None:
    """It is printed, and compared with the published ones."""
    fake.outcome = 0.0, ""
    result = invoke("program", "run", "-f", OURS, "--wait")
    lines = [line.split()[:2] for line in result.stdout.splitlines()[3:]]
    assert lines == [["accuracy", "0.0000"], ["published", "0.8693"], ["published", "0.8822"], *[["One", "run"]] * 2]


def test_an_accuracy_that_is_missing_is_not_judged(fake: FakeCluster) -> None:
    """Where the server has no accuracy, the output says why, and compares nothing."""
    fake.outcome = None, "the log of test cannot be had"
    result = invoke("program", "run", "-f", OURS, "--wait")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[3:] == ["accuracy   not known: the log of test cannot be had"]


def test_another_pipeline_is_not_compared(fake: FakeCluster, here: Path) -> None:
    """The accuracy of somebody else's pipeline is printed, and compared with nothing."""
    result = invoke("program", "run", "--wait")
    assert [line.split() for line in result.stdout.splitlines()[2:]] == [["state", "SUCCEEDED"], ["accuracy", "0.8765"]]


def test_a_run_that_is_not_waited_for_is_told_as_json(fake: FakeCluster) -> None:
    """It has what is known of the run at its start, and no accuracy to compare."""
    record = json.loads(invoke("program", "run", "-f", OURS, "--json").stdout)
    waited = json.loads(invoke("program", "run", "-f", OURS, "--wait", "--json").stdout)
    assert record == {name: waited[name] for name in ("run_id", "link", "version", "parameters")} | {"published": []}


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
        "Error: interrupted; run r1 is still running. To wait for it again: `same program wait r1`. "
        f"Look at it, or terminate it, at {LINK}.\n"
    )


def test_a_run_that_fails_is_exit_code_3(fake: FakeCluster, here: Path) -> None:
    """A run that fails during the wait gives an error after its link."""
    fake.wait_with = Mock(side_effect=ClusterError("run r1: expected SUCCEEDED, got FAILED"))
    result = invoke("program", "run", "--wait")
    assert result.exit_code == 3
    assert LINK in result.stdout
    assert result.stderr.endswith("Error: run r1: expected SUCCEEDED, got FAILED\n")


# A run that is there, and its files


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """The folder of a finished run here, with the files of the run on the cluster."""
    folder = tmp_path / "here"
    (folder / "labels").mkdir(parents=True)
    (folder / "metrics.json").write_bytes(b"{}\n")
    (folder / "labels/true.txt").write_bytes(b"1\n")
    names = ("labels/true.txt", "metrics.json")
    (folder / "SHA256SUMS").write_bytes(listing({**digests_of(folder, names), "pipeline.yaml": "0" * 64}))
    return folder


def test_a_run_is_picked_up_again(fake: FakeCluster) -> None:
    """A run that is there is waited for by its id or name, and its result is that of --wait."""
    result = invoke("program", "wait", "first", "--timeout", "1000000000", "--host", "https://k")
    assert (result.exit_code, result.stderr) == (0, "RUNNING\ntrain: started\n")
    assert (fake.asked("find_run"), fake.asked("wait")) == ("first", 1_000_000_000)
    assert [line.split()[0] for line in result.stdout.splitlines()[:6]] == [
        *("run", "link", "state", "accuracy", "published", "published"),
    ]  # fmt: skip


@pytest.mark.parametrize("parameters", [{"epochs": 10}, vars(Settings()) | {"layers": 2}], ids=["fewer", "more"])
def test_a_run_of_another_pipeline_is_picked_up_too(
    fake: FakeCluster, monkeypatch: pytest.MonkeyPatch, parameters: dict[str, Any]
) -> None:
    """Its accuracy, of which JSON has each digit, is compared with nothing, also with our parameters and one more."""
    monkeypatch.setattr(fake, "parameters", lambda: parameters)
    fake.outcome = (0.876543210987, "")
    result = invoke("program", "wait", "first", "--json")
    record = json.loads(result.stdout)
    assert (record["accuracy"], record["published"], record["parameters"]) == (0.876543210987, [], parameters)
    assert (record["run_id"], record["link"]) == ("r1", LINK)


def test_an_interrupted_wait_says_how_to_go_on(fake: FakeCluster, here: Path, tmp_path: Path) -> None:
    """The command that picks the run up again reaches the same server, as a shell takes it, and shows no cookie."""
    fake.wait_with = Mock(side_effect=KeyboardInterrupt)
    (tmp_path / "token").write_text("t0k3n-of-mine")
    server = ["--host", "https://k/a b", "--namespace", "me", "--token-file", "token", "--ca", "ca.pem"]
    result = invoke("program", "wait", "first", *server, "--proxy", "p:3128", "--cookies", "a=s3cr3t-b")
    assert result.exit_code == 130
    again = "same program wait r1 --host 'https://k/a b' --namespace me --token-file token --proxy p:3128 --ca ca.pem"
    assert f"To wait for it again: `{again}`. Look" in result.stderr
    assert "`same program wait r1`" in invoke("program", "wait", "first", "--proxy", "me:pa55word@p").stderr


def test_a_wait_that_was_too_short_says_how_to_go_on(fake: FakeCluster) -> None:
    """The command that waits longer reaches the same server too, and the run's state is exit code 3."""
    fake.wait_with = Mock(side_effect=UnfinishedError("wait for run r1: expected its end, got RUNNING."))
    result = invoke("program", "wait", "first", "--host", "https://k/a b", "--ca", "ca.pem")
    assert result.exit_code == 3
    assert result.stderr.endswith(
        "Error: wait for run r1: expected its end, got RUNNING. To wait for it again: `same program wait r1 "
        "--host 'https://k/a b' --ca ca.pem`.\n"
    )


def test_a_wait_whose_token_expires_says_how_to_go_on(fake: FakeCluster) -> None:
    """The run goes on, whatever a look at it failed for."""
    error = ClusterError("look at run r1: expected success, got HTTP 401. Give a valid token.")
    error.status, error.got = 401, "HTTP 401"
    fake.wait_with = Mock(side_effect=error)
    result = invoke("program", "wait", "first", "--host", "https://k")
    assert result.exit_code == 3
    assert result.stderr.endswith(
        "Error: look at run r1: expected success, got HTTP 401. Give a valid token. "
        "To wait for it again: `same program wait r1 --host https://k`.\n"
    )


def test_a_wait_for_a_run_that_was_deleted_does_not_go_on(fake: FakeCluster) -> None:
    """Nothing brings it back, so that nobody is told to wait for it again."""
    error = GoneError("look at run r1: expected success, got HTTP 404. Nothing brings it back.")
    error.status, error.got = 404, "HTTP 404"
    fake.wait_with = Mock(side_effect=error)
    result = invoke("program", "wait", "first")
    assert result.exit_code == 3
    assert result.stderr.endswith("Error: look at run r1: expected success, got HTTP 404. Nothing brings it back.\n")


def test_an_interrupted_wait_is_for_the_same_files_when_it_goes_on(fake: FakeCluster, finished: Path) -> None:
    """The folder that was asked for, and the one to compare with, are asked for again."""
    fake.wait_with = Mock(side_effect=KeyboardInterrupt)
    result = invoke("program", "run", "-f", OURS, "--wait", "-o", "a folder", "--compare", str(finished))
    assert f"`same program wait r1 --compare {finished} -o 'a folder'`" in result.stderr


def test_an_interrupted_download_says_that_the_run_has_ended(
    fake: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C after the end of the run does not say that it goes on, nor that the same command would do again."""
    monkeypatch.setattr(fake, "files", Mock(side_effect=KeyboardInterrupt))
    result = invoke("program", "run", "-f", OURS, "--wait", "-o", str(tmp_path / "new"))
    assert result.exit_code == 130
    assert "interrupted; run r1 is SUCCEEDED. To wait for it again: `same program wait r1 -o " in result.stderr


def test_the_files_of_a_run_come_here(fake: FakeCluster, tmp_path: Path) -> None:
    """With -o the files lie in a folder as here, with their checksums."""
    folder = tmp_path / "new/cluster"
    for command in (["wait", "first"], ["run", "-f", OURS, "--wait"]):
        result = invoke("program", *command, "-o", str(folder))
        assert result.exit_code == 0
        assert f"folder     {folder}" in result.stdout.splitlines()
        assert testing.contents(folder) == {
            "SHA256SUMS": (
                b"4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865  labels/true.txt\n"
                b"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356  metrics.json\n"
            ),
            "labels/true.txt": b"1\n",
            "metrics.json": b"{}\n",
        }
        shutil.rmtree(folder)


def test_equal_files_are_told(fake: FakeCluster, finished: Path) -> None:
    """With --compare each file is compared with that of a run of this machine."""
    result = invoke("program", "wait", "first", "--compare", str(finished))
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == f"2 of 2 files equal those of {finished}, a run of this machine."
    assert "\npublished  0.8693  (tensorflow-tutorial)\n" in result.stdout


def test_files_are_kept_and_compared(fake: FakeCluster, finished: Path, tmp_path: Path) -> None:
    """With -o beside --compare, of which each folder is looked at before anybody waits."""
    wait = ("program", "wait", "first", "--compare", str(finished), "-o")
    result = invoke(*wait, str(finished))
    assert (result.exit_code, fake.calls) == (2, [])
    result = invoke(*wait, str(folder := tmp_path / "new"))
    assert result.exit_code == 0
    assert f"folder     {folder}\n" in result.stdout
    assert result.stdout.endswith(f"\n2 of 2 files equal those of {finished}, a run of this machine.\n")
    assert (folder / "metrics.json").read_bytes() == b"{}\n"
    record = json.loads(invoke(*wait, str(other := tmp_path / "other"), "--json").stdout)
    assert (record["folder"], record["compared"], record["different"]) == (str(other), 2, [])
    shutil.rmtree(folder)

    def lose() -> str:
        (finished / "SHA256SUMS").unlink()
        return "SUCCEEDED"

    fake.wait_with = lose
    assert invoke(*wait, str(folder)).exit_code == 3
    assert (folder / "metrics.json").read_bytes() == b"{}\n"


def test_a_file_that_differs_is_exit_code_1(fake: FakeCluster, finished: Path) -> None:
    """A file with other bytes, and one that only one side has, are named."""
    fake.content = {"model.keras": b"new", "metrics.json": b"{ }\n"}
    result = invoke("program", "wait", "first", "--compare", str(finished))
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-4:] == [
        "DIFFERS: labels/true.txt",
        "DIFFERS: metrics.json",
        "DIFFERS: model.keras",
        f"0 of 3 files equal those of {finished}, a run of this machine.",
    ]
    result = invoke("program", "wait", "first", "--compare", str(finished), "--json")
    assert result.exit_code == 1
    record = json.loads(result.stdout)
    found = {name: record[name] for name in ("files", "compared", "different", "with")}
    different = ["labels/true.txt", "metrics.json", "model.keras"]
    assert found == {
        "files": ["metrics.json", "model.keras"],
        "compared": 3,
        "different": different,
        "with": str(finished),
    }


@pytest.mark.parametrize(
    "command",
    [["wait", "first"], ["run", "-f", OURS, "--wait"], ["run", "-f", OURS, "--wait", "--run-only"]],
    ids=["wait", "run", "run only"],
)
def test_a_folder_with_other_files_is_refused_at_once(fake: FakeCluster, tmp_path: Path, command: list[str]) -> None:
    """Nobody waits an hour to learn that the folder was no good."""
    (tmp_path / "mine").write_text("mine")
    for option in ("-o", "--compare"):
        result = invoke("program", *command, option, str(tmp_path))
        assert result.exit_code == 2
        assert "expected a new or empty one" in result.stderr or "folder of a finished run" in result.stderr
    assert fake.calls == []


def test_files_that_cannot_be_had_leave_the_result(
    fake: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The accuracy is printed before the error, which has the exit code of a failure, and no folder is made."""
    monkeypatch.setattr(fake, "files", Mock(side_effect=ClusterError("files of run r1: expected them")))
    result = invoke("program", "wait", "first", "-o", str(tmp_path / "new"))
    assert result.exit_code == 3
    assert "accuracy   0.8765" in result.stdout
    assert result.stderr.endswith("Error: files of run r1: expected them\n")
    assert list(tmp_path.iterdir()) == []
    told = invoke("program", "wait", "first", "-o", str(tmp_path / "new"), "--json")
    assert (told.exit_code, json.loads(told.stdout)["accuracy"]) == (3, 0.8765)
    assert told.stderr.endswith("Error: files of run r1: expected them\n")


def test_the_files_that_can_be_had_come_here(
    fake: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finished: Path
) -> None:
    """The error says where they are, and what to do for all of them; nothing is compared."""
    error = MissingError("files of run r1: got no train/model.", {"metrics.json": b"{}", "results.csv": b"x"})
    monkeypatch.setattr(fake, "files", Mock(side_effect=error))
    folder, compare = tmp_path / "new", ("--compare", str(finished))
    again = f"To wait for it again: `same program wait r1 {' '.join(compare)}"
    alone = invoke("program", "wait", "first", *compare)
    assert alone.stderr.endswith(f"Error: files of run r1: got no train/model. {again}`.\n")
    error.args = ("files of run r1: got no train/model.",)
    result = invoke("program", "wait", "first", *compare, "-o", str(folder))
    assert result.exit_code == 3
    assert "accuracy   0.8765" in result.stdout
    assert result.stderr.endswith(
        f"Error: files of run r1: got no train/model. The 2 others are in {folder}: remove it, to "
        f"have all of them. {again} -o {folder}`.\n"
    )
    assert testing.contents(folder) == {"metrics.json": b"{}", "results.csv": b"x"}


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
    program = checkout / "same.yaml"
    program.write_text(program.read_text().replace("epochs: 10", "epochs: 7"))
    assert invoke("program", "run", "-f", str(program), "-t", "local", "-o", "out").exit_code == 0
    assert executed == [(Settings(epochs=7), Path("out"))]


def test_a_program_file_without_parameters_has_the_defaults(fake: FakeCluster, checkout: Path) -> None:
    """They are sent, and the accuracy is compared with what was published for them."""
    program = checkout / "same.yaml"
    program.write_text(program.read_text().partition("  parameters:")[0])
    kinds = ("STRING", "NUMBER_INTEGER", "NUMBER_DOUBLE", "NUMBER_INTEGER")
    fake.inputs = {name: {"parameterType": kind} for name, kind in zip(vars(Settings()), kinds, strict=True)}
    result = invoke("program", "run", "-f", str(program), "--run-only", "--wait")
    assert fake.asked("run")["parameters"] == vars(Settings())
    found = [line.split()[1] for line in result.stdout.splitlines() if line.startswith("published")]
    assert found == ["0.8693", "0.8822"]


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
        (["-t", "local", "--run-their-code", "--json"], []),
        (["--run-their-code"], ["--run-their-code has no effect with -t kubeflow."]),
        (["--timeout", "5"], ["--timeout has no effect without --wait."]),
        (["--compare", "x"], ["--compare has no effect without --wait."]),
        (["-t", "local", "--compare", "x"], ["--compare has no effect with -t local."]),
        (["--timeout", "5", "--wait"], []),
        (["-p", "epochs=2", "-p", "epochs=3"], ["-p epochs=2 has no effect, as it is given again."]),
        (
            ["--namespace", "me"],
            ["Warning: --namespace has no effect: the cluster has one user, and no namespaces for users."],
        ),
        (
            ["--json", "--run-their-code", "--timeout", "5", "--compare", "x", "--namespace", "me"],
            [
                "--run-their-code has no effect with -t kubeflow.",
                "--timeout has no effect without --wait.",
                "--compare has no effect without --wait.",
                "--namespace has no effect: ",
            ],
        ),
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


def test_each_option_for_a_cluster_is_idle_here(executed: list[tuple[Settings, Path]], fake: FakeCluster) -> None:
    """With -t local all options count for nothing but those that say what runs, where its results go, and how."""
    idle = {
        "--experiment-name": "a",
        "--run-name": "b",
        "--experiment-description": "c",
        "--run-description": "d",
        "--program-name": "e",
        "--program-description": "f",
        "--timeout": "5",
        "--compare": "g",
        "--host": "h",
        "--namespace": "i",
        "--token-file": "j",
        "--cookies": "k",
        "--proxy": "l",
        "--ca": "m",
        **dict.fromkeys(("--run-only", "--no-cache", "--wait")),
    }
    arguments = [word for option in idle.items() for word in option if word]
    result = invoke("program", "run", "-f", OURS, "-t", "local", "-o", "x", "--json", "--run-their-code", *arguments)
    assert (result.exit_code, fake.calls) == (0, [])
    told = [f"Warning: {option} has no effect with -t local." for option in idle]
    assert sorted(result.stderr.splitlines()) == sorted(told)


def test_a_description_of_what_is_not_created_is_told(fake: FakeCluster, here: Path) -> None:
    """With --run-only nothing gets the description."""
    idle = ("--description", "x", "--timeout", "5", "--compare", "x")
    result = invoke("program", "run", "--run-only", *idle, "-p", "name=a")
    assert (result.exit_code, fake.names) == (0, ["connect", "latest", "run"])
    assert result.stderr.splitlines() == [
        "Warning: --program-description has no effect with --run-only.",
        "Warning: --timeout has no effect without --wait.",
        "Warning: --compare has no effect without --wait.",
    ]
    assert invoke("program", "run", "--description", "x", "-p", "name=a").stderr == ""


@pytest.mark.parametrize("option", ["--host", "--namespace", "--cookies", "--proxy", "-n", "-e", "-r"])
def test_an_empty_option_is_refused(option: str, fake: FakeCluster, here: Path) -> None:
    """A variable of the shell that is not set does not lead to another cluster, or another name."""
    result = invoke("program", "run", option, "")
    assert result.exit_code == 2
    assert "expected a text, got an empty one. Is a variable empty?" in result.stderr
    assert fake.calls == []
