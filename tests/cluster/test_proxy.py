"""Tests of the way to a server through a proxy, which a download takes too."""

from pathlib import Path

import pytest
from support import certificates
from support.kfp_server import Server, serving, unheard
from support.proxy import proxying
from support.submission import STEPS, submitted

from fmnist.cluster.client import ClusterError
from fmnist.cluster.cluster import connect
from fmnist.cluster.connection import proxy_for
from fmnist.steps.errors import ContractError

pytestmark = pytest.mark.usefixtures("nowhere", "_no_proxy")

#: User "me" and password "p@ss w", as a URL and as a header have them.
LOGIN, HEADER = "me:p%40ss%20w", "Basic bWU6cEBzcyB3"


@pytest.fixture(name="_no_proxy")
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no proxy of this machine's count."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_http_goes_through_the_proxy(
    variable: str, server: Server, compiled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable that downloads follow is followed here too, with its user and password."""
    with proxying(HEADER) as proxy:
        monkeypatch.setenv(variable, f"http://{LOGIN}@{proxy.place}")
        submitted(connect(server.url), compiled)
        assert proxy.requests[0] == ("GET", f"{server.url}/apis/v2beta1/healthz")
        assert len(proxy.requests) == len(server.requests) > 5
    assert not any("authorization" in name.lower() for request in server.requests for name in request.headers)


def test_a_start_that_a_proxy_cuts_may_have_worked(server: Server, compiled: Path) -> None:
    """The proxy was reached, and the server too: nobody is told to start it again."""
    with proxying() as proxy:
        target = connect(server.url, proxy=f"http://{proxy.place}")
        server.fail(STEPS["start run"], unheard(server))
        with pytest.raises(ClusterError) as caught:
            submitted(target, compiled)
    assert (
        "got a connection that was cut: Remote end closed connection without response. But a run of this name"
        in str(caught.value)
    )
    assert len(server.asked(STEPS["start run"])) == 1


def test_https_goes_through_a_tunnel(compiled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked of a server with a certificate, the proxy cannot read."""
    authority = certificates.authority(tmp_path / "own")
    with proxying(HEADER) as proxy, serving(context=authority.context, host="localhost") as server:
        monkeypatch.setenv("HTTPS_PROXY", f"{LOGIN}@{proxy.place}")
        submitted(connect(server.url, ca=authority.ca), compiled)
        assert set(proxy.requests) == {("CONNECT", f"localhost:{server.port}")}
        assert len(server.runs) == 1


@pytest.mark.parametrize("exception", ["127.0.0.1", "elsewhere"])
def test_a_proxy_that_is_given_counts_before_the_environment(
    exception: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The option is the nearest: before another proxy, and before an exception."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", exception)
    with proxying() as proxy:
        connect(server.url, proxy=f"http://{proxy.place}")
        assert len(proxy.requests) == 1


@pytest.mark.parametrize("exception", ["127.0.0.1", "*", "127.0.0.0/8", "localhost,127.0.0.1"])
def test_a_host_may_be_an_exception(exception: str, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """$NO_PROXY names hosts that are asked directly."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", exception)
    connect(server.url)
    assert len(server.requests) == 1


@pytest.mark.parametrize("login", [f"{LOGIN}@", ""], ids=["another login", "no login"])
@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_a_refusal_of_the_proxy_is_told_without_its_password(
    secure: bool, login: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who reads the error knows that the proxy refuses, and what to look at, but not the password."""
    authority = certificates.authority(tmp_path / "own")
    context = {"context": authority.context, "host": "localhost"} if secure else {}
    with proxying("Basic another") as proxy, serving(**context) as server:
        for name in ("HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://{login}{proxy.place}")
        with pytest.raises(
            ClusterError, match=r"407 Proxy Authentication Required.* Check --proxy or \$HTTPS_"
        ) as error:
            connect(server.url, ca=authority.ca)
    assert error.value.__cause__ is error.value.__context__ is None
    assert not [form for form in (LOGIN, "p%40ss", "p@ss", "bWU6") if form in str(error.value)]


def test_a_proxy_that_is_not_there_is_named_as_the_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host is not blamed."""
    place = "connect at http://kubeflow.example through the proxy http://127.0.0.1:9: expected success, got no way"
    with pytest.raises(ClusterError, match=f"^{place} through the proxy: .* Check --proxy"):
        connect("http://kubeflow.example", proxy="http://me:s3cret@127.0.0.1:9")


@pytest.mark.parametrize(
    "proxy", ["socks5://me:s3cret@h:1", "http://", "http://me:s3cret@h:port", "http://me:s3 cret@h", "http://[::1"]
)
def test_a_proxy_that_is_no_address_is_bad_usage(proxy: str) -> None:
    """What is not usable is refused, and not shown, as it may have a password."""
    with pytest.raises(ContractError, match="^proxy: expected an address as http://proxy.example:3128, ") as caught:
        proxy_for("https://kubeflow.example", proxy)
    assert "s3" not in str(caught.value)
