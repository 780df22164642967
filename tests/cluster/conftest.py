"""Fixtures that the tests of what talks to a cluster share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.kfp_logs import SUCCEEDED, leave, look
from support.kfp_server import Server, serving
from support.submission import submitted

from fmnist.cluster.cluster import Cluster, connect
from fmnist.cluster.run import Run


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A compiled pipeline with an inner and an outer step."""
    from kfp import compiler, dsl

    @dsl.component(base_image="python", install_kfp_package=False)  # type: ignore[untyped-decorator]
    def step(epochs: int, name: str) -> None:
        """Do nothing."""

    @dsl.pipeline(name="inner")  # type: ignore[untyped-decorator]
    def inner(epochs: int) -> None:
        step(epochs=epochs, name="inner")

    @dsl.pipeline(name="small")  # type: ignore[untyped-decorator]
    def small(epochs: int = 10, share: float = 0.5, name: str = "x", fast: bool = False) -> None:
        step(epochs=epochs, name=name)
        inner(epochs=epochs)

    path = tmp_path_factory.mktemp("compiled") / "small.yaml"
    compiler.Compiler().compile(small, str(path))
    return path


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty home."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds of each sleep, which do not pass."""
    seconds: list[float] = []
    for module in ("client", "versions", "run", "start", "download"):
        monkeypatch.setattr(f"fmnist.cluster.{module}.sleep", seconds.append)
    return seconds


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, home: Path, slept: list[float]) -> None:
    """Let no test find a cluster or a token that is really there, nor wait long."""
    for name in ("ENDPOINT", "UI_ENDPOINT", "SA_TOKEN_PATH", "IAP_OAUTH2_CLIENT_ID"):
        monkeypatch.delenv(f"KF_PIPELINES_{name}", raising=False)
    for name in ("FMNIST_KFP_TOKEN", "FMNIST_KFP_COOKIES", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr("kfp.Client._LOCAL_KFP_CONTEXT", str(home / ".config/kfp/context.json"))
    monkeypatch.setattr("kfp.Client._NAMESPACE_PATH", str(home / "namespace"))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(home / "kubeconfig"))


@pytest.fixture
def server() -> Iterator[Server]:
    """A server for one user."""
    with serving() as running:
        yield running


@pytest.fixture
def target(server: Server) -> Cluster:
    """That server as a cluster."""
    return connect(server.url)


@pytest.fixture
def run(server: Server, target: Cluster, compiled: Path) -> Run:
    """A run of fmnist's pipeline that has ended well, with all that it leaves, at the UI's address."""
    run = submitted(target, compiled)
    server.states, server.store.looks, server.store.ui = ["SUCCEEDED"], [look("SUCCEEDED", **SUCCEEDED)], True
    leave(server.store, run.id)
    return run
