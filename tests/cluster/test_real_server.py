"""A real Kubeflow answers as it did when it was recorded, and does what this package wants of it.

`tox run -e cluster` asks the server whose API is at $FMNIST_TEST_HOST. What it makes there stays: pipelines,
experiments and runs whose names begin with "rec-".
"""

import os
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from support import helpers
from support.replay import RECORDED, Replay

from fmnist.cli.same import main
from fmnist.cluster.cluster import Cluster, connect

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]
NAMESPACE = os.environ.get("FMNIST_TEST_NAMESPACE")

#: What was recorded of things that only that server holds, or that last for a moment.
ELSEWHERE = (
    "get run: just made",
    "get run: failed",
    "get run: succeeded",
    "log of a step",
    "list pipelines: with a namespace",
)
HERE = [one for one in RECORDED if not one["what"].startswith(ELSEWHERE)]


@pytest.fixture(scope="module")
def host() -> str:
    """The API's address."""
    return os.environ.get("FMNIST_TEST_HOST") or helpers.missing("a Kubeflow, whose API is at $FMNIST_TEST_HOST")


@pytest.fixture(scope="module")
def real(host: str) -> Cluster:
    """The cluster there."""
    return connect(host, namespace=NAMESPACE)


@pytest.fixture(scope="module")
def name() -> str:
    """A name that is new there, as long as the recorded one: errors count columns."""
    return f"rec-{uuid.uuid4().hex[:6]}"


@pytest.fixture(scope="module")
def replay(host: str, real: Cluster, name: str) -> Replay:
    """What was recorded, sent again in its order."""
    if real.namespace:
        helpers.missing("a Kubeflow for one user, as the recorded one")
    token = os.environ.get("FMNIST_KFP_TOKEN")
    sent = Replay(host.rstrip("/"), {"Authorization": f"Bearer {token}"} if token else {})
    sent.ids["rec-96ff18"] = name
    for recorded in HERE:
        if recorded["what"] == "upload version: second":
            time.sleep(1)  # Of two versions of one second either is the newest.
        sent.send(recorded)
    return sent


@pytest.mark.parametrize("recorded", HERE, ids=lambda one: one["what"])
def test_it_answers_as_it_was_recorded(replay: Replay, recorded: dict[str, Any]) -> None:
    """Status, type, keys and message are those of the recorded answer."""
    replay.compare(recorded)


def test_versions_are_found_again(real: Cluster, name: str, compiled: Path, tmp_path: Path) -> None:
    """Equal content is one version, and the newest one is that which was made last, also within a second."""
    for number in range(3):
        other = tmp_path / f"{number}.yaml"
        other.write_text(compiled.read_text() + f"# {number}\n")
        version = real.versions.create(other, name=f"{name}-versions")
        assert (
            real.versions.create(other, name=f"{name}-versions") == real.versions.latest(f"{name}-versions") == version
        )


@pytest.mark.parametrize("end", ['+ 50% "ü" ☃', "x" * 117])
def test_names_are_found_again(real: Cluster, name: str, compiled: Path, end: str) -> None:
    """Signs and lengths that are taken here are taken there."""
    long = f"{name} {end}"
    version = real.versions.create(compiled, name=long, description="d" * 5_000)
    assert real.versions.create(compiled, name=long) == version
    run = real.run(version, experiment=long, run_name=f"{name}{'r' * 245}", parameters={}, run_description="d" * 255)
    assert real.run(version, experiment=long, run_name=f"{name} again", parameters={}).id != run.id


def test_a_whole_run_ends_well(host: str, real: Cluster, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command that people give runs the pipeline for one epoch, to its end."""
    monkeypatch.chdir(ROOT)
    arguments = ["program", "run", "-n", name, "-e", name, "-r", name, "-p", "epochs=1", "--host", host, "--wait"]
    done = CliRunner().invoke(main, [*arguments, *(["--namespace", NAMESPACE] if NAMESPACE else [])])
    assert done.exit_code == 0, done.output
    assert "SUCCEEDED" in done.stdout
