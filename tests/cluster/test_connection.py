"""Hosts, tokens, cookies and certificates, good ones for a strict API server on this machine, and bad ones."""

import json
import logging
import os
import socket
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import google.auth
import google.auth.exceptions
import kfp
import kubernetes.config.kube_config
import pytest
import yaml
from support import certificates
from support.kfp_server import Server, respond, serving
from support.submission import STEPS, failure, submitted

from fmnist.cluster import connection
from fmnist.cluster.client import Client, ClusterError, TransientError
from fmnist.cluster.cluster import connect
from fmnist.steps.errors import ContractError

pytestmark = pytest.mark.usefixtures("nowhere")


TOKEN = "s3cret-t0ken"  # noqa: S105 - not one


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> certificates.Authority:
    """A certificate for localhost, and who signed it."""
    return certificates.authority(tmp_path_factory.mktemp("certificates") / "own")


# Hosts


def test_no_host_is_bad_usage(capfd: pytest.CaptureFixture[str]) -> None:
    """Without host, endpoint and kubeconfig, the error says how to give one, and that there is another way."""
    with pytest.raises(ContractError) as caught:
        connect()
    assert str(caught.value) == (
        "cluster: expected the address of a Kubeflow Pipelines API, got none. Give a host, set $KF_PIPELINES_ENDPOINT, "
        "or have a kubeconfig; or run the pipeline here, with -t local."
    )
    assert capfd.readouterr().out == ""


#: A kubeconfig of one cluster and one user.
KUBECONFIG = """
current-context: one
contexts: [{{name: one, context: {{cluster: one, user: one}}}}]
clusters: [{{name: one, cluster: {cluster}}}]
users: [{{name: one, user: {user}}}]
"""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("token: [s3cret", "something else than one (ParserError)"),
        ("- s3cret", "something else than one (TypeError)"),
        ("", "Invalid kube-config. {} file is empty"),
        ("kind: Config", "Invalid kube-config file. Expected key current-context in {}"),
        (
            KUBECONFIG.format(cluster="{server: null, x: {y: s3cret}}", user="{}"),
            "Invalid kube-config file. Expected key server in {}/***/cluster",
        ),
        (
            KUBECONFIG.format(cluster="{server: 'http://a'}", user="{username: u, password: null, x: s3cret}"),
            "Invalid kube-config file. Expected key password in {}/***/user",
        ),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_told(home: Path, text: str, why: str) -> None:
    """It is there, so that asking for one says nothing. What it holds is not shown."""
    file = home / "kubeconfig"
    file.write_text(text)
    with pytest.raises(ContractError) as caught:
        connect()
    assert str(caught.value).endswith(f"with -t local. The kubeconfig cannot be used: {why.format(file)}.")


def test_what_a_kubeconfig_holds_is_not_logged(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The library that reads it quotes the whole user where the command for a token is missing."""
    user = "{exec: {apiVersion: v1, command: null, env: [{name: s3cret}]}}"
    (home / "kubeconfig").write_text(KUBECONFIG.format(cluster="{server: 'http://127.0.0.1:9'}", user=user))
    with pytest.raises(TransientError):
        connect()
    assert [record.getMessage() for record in caplog.records if record.name == "root"] == [
        f"Invalid kube-config file. Expected key command in {home}/kubeconfig/***/user/exec"
    ]
    assert not logging.getLogger().filters


@pytest.mark.parametrize("token", ["s3cret\n", "s3cret\u0107"])
def test_a_token_of_a_kubeconfig_that_no_header_can_hold_is_refused(home: Path, token: str) -> None:
    """It is not shown, as in a traceback."""
    write_kubeconfig(home, {"server": "http://127.0.0.1:9"}, token)
    with pytest.raises(ContractError) as caught:
        connect()
    assert str(caught.value) == ("token of the kubeconfig: expected printable ASCII in one line, got other characters.")


def test_a_token_is_a_bearers_where_kfp_looks_for_googles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without credentials of Google's, kfp would send the one that is given without the word before it."""
    error = google.auth.exceptions.DefaultCredentialsError("no credentials")
    monkeypatch.setattr(google.auth, "default", Mock(side_effect=error))
    monkeypatch.setenv(connection.TOKEN, TOKEN)
    made = Client("https://one.pipelines.googleusercontent.com", None, None, None, None)
    assert made._existing_config.get_api_key_with_prefix("authorization") == f"Bearer {TOKEN}"


def test_the_endpoint_is_taken_from_the_environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """$KF_PIPELINES_ENDPOINT is the host if none is given."""
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", f"{server.url}/")
    assert connect().host == server.url
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", "http://127.0.0.1:9")
    assert connect(server.url).host == server.url


def test_this_machine_may_be_the_host() -> None:
    """The address that kfp's client has by itself is one that may be given."""
    assert Client("http://localhost", None, None, None, None).host == "http://localhost"


@pytest.mark.parametrize(
    "host",
    [
        "https://me:s3cret@kubeflow.example",
        "https://",
        "ftp://kubeflow.example",
        "http://kubeflow.example:port",
        "kubeflow.example/?token=s3cret",
        "https://kubeflow.example/#/pipelines",
        "https://kube flow",
        "https://[::1",
    ],
)
def test_a_host_that_is_no_address_is_bad_usage(host: str) -> None:
    """An address of another form is refused, and not shown, as it may have a password."""
    with pytest.raises(
        ContractError, match="^host: expected an address as https://kubeflow.example/pipeline, "
    ) as caught:
        connect(host)
    assert "s3cret" not in str(caught.value)


def test_a_host_of_http_that_is_asked_in_https_is_told(server: Server) -> None:
    """A host without a scheme is one of https; that of a port that is forwarded seldom is."""
    with pytest.raises(ClusterError, match="got an answer that is not https. .* give its address with http://, as in"):
        connect(server.url.removeprefix("http://"))


def test_an_end_within_tls_may_pass() -> None:
    """As of a gateway that is being restarted: it says nothing of the certificate."""

    def leave(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(2**16)
            connection.shutdown(socket.SHUT_WR)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        leaving = threading.Thread(target=leave, args=(listener,))
        leaving.start()
        with pytest.raises(TransientError, match=r"got a connection that was cut: .*EOF.*\. Check the network"):
            connect(f"https://127.0.0.1:{listener.getsockname()[1]}")
        leaving.join()


def test_a_path_is_part_of_the_host(compiled: Path) -> None:
    """An API below a path is found, and links to the UI have it."""
    with serving(prefix="/pipeline") as server:
        run = submitted(connect(f"{server.url}/"), compiled)
        assert run.link.startswith(f"http://127.0.0.1:{server.port}/pipeline/#/runs/details/")


def test_a_kubeconfig_is_enough(
    compiled: Path, home: Path, authority: certificates.Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The current context leads to the API with its token, unless another is given; certificates are always checked."""
    prefix = "/api/v1/namespaces/kubeflow/services/ml-pipeline:http/proxy"
    with serving(context=authority.context, host="localhost", prefix=prefix, token=TOKEN) as server:
        place = {"server": server.url.removesuffix(prefix), "certificate-authority": str(authority.ca)}
        write_kubeconfig(home, place)
        submitted(connect(), compiled)
        monkeypatch.setenv(connection.TOKEN, "another")
        with pytest.raises(ClusterError, match="HTTP 401"):
            connect()
        del place["certificate-authority"]
        write_kubeconfig(home, place | {"insecure-skip-tls-verify": True})
        with pytest.raises(ClusterError, match="certificate"):
            connect()


def test_a_token_that_is_given_is_read_again_beside_a_kubeconfig(home: Path, tmp_path: Path) -> None:
    """It goes before the one of the kubeconfig, for each request."""
    file = tmp_path / "token"
    file.write_text("first")
    prefix = "/api/v1/namespaces/kubeflow/services/ml-pipeline:http/proxy"
    with serving(prefix=prefix, token="first") as server:  # noqa: S106 - not one
        write_kubeconfig(home, {"server": server.url.removesuffix(prefix)})
        target = connect(token_file=file)
        server.token = "second"  # noqa: S105 - not one
        file.write_text("second")
        target._client.ask("look", target._client.runs.run_service_list_runs)


def test_a_host_keeps_its_last_letter() -> None:
    """Only what separates a path goes from its end; without a CA of one's own the public ones count."""
    made = Client("http://127.0.0.1:1/X/", None, None, None, None)
    assert (made.host, made._existing_config.ssl_ca_cert) == ("http://127.0.0.1:1/X", None)


def test_a_link_leads_to_the_ui_and_shows_no_password(
    server: Server, compiled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the UI has an address of its own, links have it."""
    monkeypatch.setenv("KF_PIPELINES_UI_ENDPOINT", "https://me:s3cret-pass@ui.example/kubeflow")
    run = submitted(connect(server.url), compiled)
    assert run.link == f"https://***@ui.example/kubeflow/#/runs/details/{run.id}"


def test_the_password_of_a_kubeconfig_is_not_shown(home: Path) -> None:
    """An address of a cluster may have one."""
    write_kubeconfig(home, {"server": "http://me:s3cret-pass@127.0.0.1:9/"})
    with pytest.raises(ClusterError) as caught:
        connect()
    place = "http://***@127.0.0.1:9/api/v1/namespaces/kubeflow/services/ml-pipeline:http/proxy"
    assert str(caught.value).startswith(f"connect at {place}: expected success, got no connection: ")
    assert "s3cret" not in str(caught.value)


def write_kubeconfig(home: Path, place: dict[str, Any], token: str | None = None) -> None:
    """Write a kubeconfig for the cluster at `place`."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "one",
        "contexts": [{"name": "one", "context": {"cluster": "one", "user": "one"}}],
        "clusters": [{"name": "one", "cluster": place}],
        "users": [{"name": "one", "user": {"token": token or TOKEN}}],
    }
    (home / "kubeconfig").write_text(yaml.safe_dump(config))


def test_a_pod_is_enough(compiled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a pod of the cluster, the service of the Pipelines API is the host."""
    with serving() as server:
        monkeypatch.setattr(kubernetes.config, "load_incluster_config", lambda: None)
        monkeypatch.setattr(kfp.Client, "_IN_CLUSTER_DNS_NAME", server.url.removeprefix("http://"))
        assert submitted(connect(), compiled).link == f"<Kubeflow>/pipeline/#/runs/details/{server.runs[0]['run_id']}"


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("kubeflow.example/", "https://kubeflow.example"),
        ("http://kubeflow.example:1/pipeline/", "http://kubeflow.example:1/pipeline"),
        ("https://[::1]", "https://[::1]"),
        ("https://bücher.example.", "https://bücher.example."),
        ("kubeflow.exampleX//", "https://kubeflow.exampleX"),
        ("HTTP://Kubeflow.example:1/Pipeline", "http://Kubeflow.example:1/Pipeline"),
        ("https://kubeflow.example/pipeline/apis/v2beta1/", "https://kubeflow.example/pipeline"),
        ("kubeflow.example/apis", "https://kubeflow.example"),
        ("kubeflow.example/apis/v1beta1", "https://kubeflow.example"),
        ("kubeflow.example/apis/v10", "https://kubeflow.example"),
        ("kubeflow.example/apis/mine", "https://kubeflow.example/apis/mine"),
    ],
)
def test_a_host_is_an_address_of_https_unless_it_says_otherwise(host: str, url: str) -> None:
    """Without a slash at its end, and without the path that is the API's own."""
    assert connection.checked_host(host) == url


@pytest.mark.parametrize(
    "host",
    [
        "http://h:0",
        "https://h\x1f",
        "https://h\x01i",
        "https://h/\x00",
        "https://[::1",
        "kubeflow..example",
        f"https://{64 * 'k'}.example",
        "ftp://h",
        "httpx://h",
        "http+unix://h",
        "https://a@h",
        "https://:a@h",
        "https://@h",
        "h#a",
        "h?a",
        "https://h/pipeline/#",
        "https://h/pipeline?",
    ],
)
def test_a_host_that_is_none_is_told_with_what_one_is(host: str) -> None:
    """Without repeating it."""
    with pytest.raises(ContractError) as caught:
        connection.checked_host(host)
    assert str(caught.value) == (
        "host: expected an address as https://kubeflow.example/pipeline, without user, password, ? and #, "
        "got another one."
    )


@pytest.mark.parametrize(
    ("given", "place", "login"),
    [
        ("proxy.example:1", "http://proxy.example:1", None),
        ("https://proxy.example", "https://proxy.example", None),
        ("http://me@proxy.example", "http://proxy.example", "Basic bWU="),
        ("http://me:p%40ss@proxy.example:3128/x", "http://proxy.example:3128", "Basic bWU6cEBzcw=="),
        ("http://me:p@ss@proxy.example:3128", "http://proxy.example:3128", "Basic bWU6cEBzcw=="),
    ],
)
def test_a_proxy_is_an_address_and_a_login(given: str, place: str, login: str | None) -> None:
    """The login goes in a header of its own."""
    assert connection.proxy_for("https://h", given) == (place, {"Proxy-Authorization": login} if login else None)


def test_a_proxy_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of the host's scheme, unless the host is one to ask directly."""
    for name, value in {"https_proxy": "http://p:1", "http_proxy": "http://q:2", "no_proxy": "direct"}.items():
        monkeypatch.setenv(name, value)
    found = [
        connection.proxy_for(host, None)[0] for host in ("https://h", "http://h", "https://direct", "http://direct")
    ]
    assert found == ["http://p:1", "http://q:2", None, None]


@pytest.mark.parametrize(
    "given", ["socks5://p:1", "http://p:0", "http://", "http://[::1", "http://p q", "http://p\x01", "http://p:x"]
)
def test_a_proxy_that_is_none_is_told_with_what_one_is(given: str) -> None:
    """Without repeating it."""
    with pytest.raises(ContractError) as caught:
        connection.proxy_for("https://h", given)
    assert str(caught.value) == (
        "proxy: expected an address as http://proxy.example:3128, of http or https, got another one (not shown). "
        "Check --proxy, $HTTPS_PROXY and $ALL_PROXY."
    )


# Tokens and cookies


def test_a_token_is_told_by_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte order mark is not part of it, nor are blanks and Windows' end of a line; and two words are none."""
    file = tmp_path / "token"
    file.write_text(f"\ufeff {TOKEN}\r\n", encoding="utf-8", newline="")
    token = connection.credentials(file)
    assert token is not None
    assert token._token() == TOKEN
    file.write_text("two words")
    token.refresh_api_key_hook(config := SimpleNamespace(api_key={}))
    assert config.api_key == {"authorization": TOKEN}
    with pytest.raises(ContractError) as caught:
        connection.credentials(file)
    assert str(caught.value) == f"token: expected one word in {file}, got 2."
    file.write_text(f"Bearer {TOKEN}")
    with pytest.raises(ContractError, match="expected one word in .*, got 2."):
        connection.credentials(file)
    monkeypatch.setenv(connection.TOKEN, "two words")
    with pytest.raises(ContractError) as caught:
        connection.credentials(None)
    assert str(caught.value) == "token: expected one word in $FMNIST_KFP_TOKEN, got 2."


@pytest.mark.parametrize("source", ["file", "variable", "service account"])
def test_a_token_is_sent(compiled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    """A token is taken from the file that is given, from the environment, or from the service account's file."""
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    if source == "variable":
        monkeypatch.setenv(connection.TOKEN, TOKEN)
    if source == "service account":
        monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(file))
    with serving(token=TOKEN) as server:
        submitted(connect(server.url, token_file=file if source == "file" else None), compiled)


def test_the_file_goes_before_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token file that is given is what counts, also before the service account's."""
    monkeypatch.setenv(connection.TOKEN, "another")
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(tmp_path / "none"))
    (tmp_path / "token").write_text(TOKEN)
    with serving(token=TOKEN) as server:
        connect(server.url, token_file=tmp_path / "token")


def test_an_empty_variable_counts_as_none(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that a shell or a container sets from another, which is not set."""
    for name in (connection.TOKEN, connection.COOKIES, "KF_PIPELINES_SA_TOKEN_PATH", "http_proxy", "all_proxy"):
        monkeypatch.setenv(name, "")
    connect(server.url)
    assert not {"authorization", "cookie"} & {name.lower() for name in server.requests[0].headers}
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", "")
    with pytest.raises(ContractError, match="^cluster: expected the address of a Kubeflow Pipelines API, got none"):
        connect()


def test_a_renewed_token_is_sent(compiled: Path, tmp_path: Path) -> None:
    """A token that is renewed while a run is waited for is read again."""
    file = tmp_path / "token"
    file.write_text("first")
    with serving(token="first") as server:  # noqa: S106 - not one
        target = connect(server.url, token_file=file)
        run = submitted(target, compiled)
        server.token = "second"  # noqa: S105 - not one
        file.write_text("second")
        assert run.wait(timeout=60) == "SUCCEEDED"


@pytest.mark.parametrize("content", ["", "two words", None], ids=["empty", "two words", "gone"])
def test_the_last_token_counts_while_the_file_is_replaced(
    server: Server, compiled: Path, tmp_path: Path, content: str | None
) -> None:
    """A token file without a token ends no wait, and the next token in it is read."""
    file = tmp_path / "token"
    file.write_text("first")
    target = connect(server.url, token_file=file)
    run = submitted(target, compiled)
    file.unlink() if content is None else file.write_text(content)
    assert run.wait(timeout=60) == "SUCCEEDED"
    assert server.requests[-1].headers["authorization"] == "Bearer first"
    file.write_text("second")
    run.wait(timeout=60)
    file.write_text("")
    run.wait(timeout=60)
    assert server.requests[-1].headers["authorization"] == "Bearer second"


@pytest.mark.parametrize("cookies", ["given", "variable"])
def test_cookies_are_sent(server: Server, monkeypatch: pytest.MonkeyPatch, cookies: str) -> None:
    """Cookies are sent as they are."""
    if cookies == "variable":
        monkeypatch.setenv(connection.COOKIES, "session=abc; b=c")
    connect(server.url, cookies="session=abc; b=c" if cookies == "given" else None)
    assert server.requests[0].headers["cookie"] == "session=abc; b=c"


def test_cookies_are_hidden_without_the_blanks_around(server: Server) -> None:
    """A server sends back what it has read: a cookie ends before the blanks that follow it."""
    client = Client(server.url, None, "one=s3cret-one ; two= s3cret-two", None, None)
    assert client.without_secrets("got 's3cret-one', 's3cret-two'") == "got '***', '***'"


def test_a_cookie_without_a_name_is_hidden_whole(server: Server) -> None:
    """Who gives the value alone has not given it to everybody who reads the error."""
    server.fail("healthz", respond(401, b"no s3cret-value, no s3cret=v4lue= in 's3cret-blanks'"))
    with pytest.raises(ClusterError, match=r"got HTTP 401 Unauthorized: no \*\*\*, no s3cret=\*\*\* in '\*\*\*'\. "):
        connect(server.url, cookies="s3cret-value; s3cret=v4lue= ; s3cret-blanks ")


def test_only_the_warning_of_old_servers_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else kfp's client warns of is told."""
    init = kfp.Client.__init__

    def warning(*arguments: Any, **more: Any) -> None:
        warnings.warn("old server", FutureWarning, stacklevel=1)
        warnings.warn("something else", UserWarning, stacklevel=1)
        init(*arguments, **more)

    monkeypatch.setattr(kfp.Client, "__init__", warning)
    with warnings.catch_warnings(record=True, action="always") as told:
        Client("http://localhost", None, None, None, None)
    assert [str(one.message) for one in told] == ["something else"]


def test_cookies_that_are_given_go_before_the_environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a token."""
    monkeypatch.setenv(connection.COOKIES, "session=other")
    connect(server.url, cookies="session=abc")
    assert server.requests[0].headers["cookie"] == "session=abc"


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"", "got 0"), (b"s3cret and more", "got 3"), (b"s3cr\xc3\xa9t", "other char"), (b"s3cret\xff", "got: Uni")],
)
def test_a_token_that_is_none_is_bad_usage(server: Server, tmp_path: Path, content: bytes, problem: str) -> None:
    """A file that holds something else than one token is refused, and its content not shown."""
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(ContractError, match=f"^token.*{problem}") as caught:
        connect(server.url, token_file=tmp_path / "token")
    assert "s3c" not in str(caught.value)
    assert server.requests == []


def test_a_missing_token_file_is_bad_usage(server: Server, tmp_path: Path) -> None:
    """A token file that cannot be read is named."""
    with pytest.raises(ContractError, match=f"expected one in {tmp_path}/none, got: FileNotFoundError"):
        connect(server.url, token_file=tmp_path / "none")


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: Path(path).symlink_to("/dev/zero")])
@pytest.mark.parametrize("option", ["token_file", "ca"])
def test_what_is_no_file_is_not_waited_for(
    server: Server, tmp_path: Path, make: Callable[[Path], None], option: str
) -> None:
    """A pipe that nobody writes to, a folder or a device is named."""
    make(tmp_path / "one")
    with pytest.raises(ContractError, match=f" in {tmp_path}/one, got: .*(regular file|IsADirectory|Is a directory)"):
        connect(server.url, **{option: tmp_path / "one"})  # type: ignore[arg-type]


def test_a_token_file_of_megabytes_is_none(server: Server, tmp_path: Path) -> None:
    """No more is read of it than any token has."""
    (tmp_path / "token").write_text(2**20 * "x" + "x")
    with pytest.raises(ContractError, match=r"^token: .*/token, got: it is larger than 1048576 bytes\.$"):
        connect(server.url, token_file=tmp_path / "token")


def test_cookies_of_two_lines_are_bad_usage(server: Server) -> None:
    """Cookies cannot bring in other headers."""
    with pytest.raises(ContractError, match="^cookies: expected printable ASCII in one line"):
        connect(server.url, cookies="a=b\r\nX-Other: 1")


def test_secrets_are_shown_nowhere(
    compiled: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    home: Path,
) -> None:
    """Neither token nor cookies are in output, logs, errors, results or files, even if the server sends them back."""
    (tmp_path / "token").write_text(TOKEN)
    shown = []
    with serving(token=TOKEN) as server:
        target = connect(server.url, token_file=tmp_path / "token", cookies="x=y; session=c00kie-value;z=1")
        for name in (None, "kfp", "kfp_server_api", "urllib3", "kubernetes"):
            caplog.set_level(logging.DEBUG, logger=name)
        echo = f'{{"message": "headers: Bearer {TOKEN}, session=c00kie-value"}}'.encode()
        for status in (200, 302, 401, 500):
            server.fail(STEPS["find pipeline"], respond(status, echo if status != 200 else echo[1:]))
            shown.append(failure(target, compiled))
        server.states, server.details = ["FAILED"], {"error": {"message": f"Bearer {TOKEN}"}}
        run = submitted(target, compiled)
        with pytest.raises(ClusterError, match=r"Bearer \*\*\*") as caught:
            run.wait(timeout=60)
        shown += [str(caught.value), repr(caught.value), repr(target), str(target), repr(run)]
    output = capfd.readouterr()
    assert output == ("", "")
    for text in (*shown, caplog.text):
        assert TOKEN not in text
        assert "c00kie" not in text
    assert "headers: Bearer ***, session=***" in shown[2]
    assert list(home.rglob("*")) == []


def test_a_secret_is_hidden_in_other_writings_too(server: Server, compiled: Path, tmp_path: Path) -> None:
    """A proxy may write a token as part of an address, or of a page."""
    (tmp_path / "token").write_text("abcd/efg+h==")
    target = connect(server.url, token_file=tmp_path / "token")
    echo = b"<p>at /login?next=abcd%2Fefg%2Bh%3D%3D with abcd&#47;efg+h&#61;=</p>"
    server.fail(STEPS["start run"], respond(500, echo))
    assert "at /login?next=*** with ***. " in failure(target, compiled)


@pytest.mark.parametrize("content", ["{", "[]", '{"namespace": 5}', '{"client_authentication_cookie": []}', None])
def test_a_broken_context_of_kfp_is_refused(server: Server, home: Path, content: str | None) -> None:
    """Kfp's own file with a namespace and cookies is named where it is broken, or cannot be read, as a folder."""
    (home / ".config/kfp").mkdir(parents=True)
    path = home / ".config/kfp/context.json"
    path.mkdir() if content is None else path.write_text(content)
    with pytest.raises(ContractError) as caught:
        connect(server.url)
    assert str(caught.value) == (
        f"kfp's context: expected a JSON object of texts in {home}/.config/kfp/context.json, got something else."
    )


@pytest.mark.parametrize("name", ["cookie", "header_name", "header_value"])
def test_a_context_of_kfp_that_no_header_can_hold_is_refused(server: Server, home: Path, name: str) -> None:
    """A secret with a new line, as a file of it may end with one, is not sent, and not shown."""
    (home / ".config/kfp").mkdir(parents=True)
    path = home / ".config/kfp/context.json"
    login = {"client_authentication_header_name": "x-own", "client_authentication_header_value": "Basic s3cret"}
    path.write_text(json.dumps(login | {f"client_authentication_{name}": "session=s3cret\n"}))
    with pytest.raises(ContractError) as caught:
        connect(server.url)
    assert str(caught.value) == (
        f"kfp's context: client_authentication_{name} in {path}: expected printable ASCII in one line, got other "
        "characters."
    )
    assert server.requests == []


@pytest.mark.parametrize("name", ["x own", "x-own:", "", "(x)"])
def test_a_header_of_another_name_than_http_has_is_refused(server: Server, home: Path, name: str) -> None:
    """The error shows the name, and not the value."""
    (home / ".config/kfp").mkdir(parents=True)
    path = home / ".config/kfp/context.json"
    login = {"client_authentication_header_name": name, "client_authentication_header_value": "Basic s3cret"}
    path.write_text(json.dumps(login))
    with pytest.raises(ContractError) as caught:
        connect(server.url)
    assert str(caught.value) == (
        f"kfp's context: client_authentication_header_name in {path}: expected the name of a header, as x-own, "
        f"got {name!r}."
    )
    assert server.requests == []


def test_the_login_in_a_context_of_kfp_is_sent_and_not_shown(server: Server, compiled: Path, home: Path) -> None:
    """Kfp's own file may have cookies and a header, each part of which is a secret."""
    (home / ".config/kfp").mkdir(parents=True)
    context = {
        "client_authentication_cookie": "session=c00kie-1; other= c00kie=2 ",
        "client_authentication_header_name": "x-own",
        "client_authentication_header_value": "Basic h3ader-value s3cond-part",
    }
    (home / ".config/kfp/context.json").write_text(json.dumps(context))
    target = connect(server.url)
    assert server.requests[0].headers["x-own"] == "Basic h3ader-value s3cond-part"
    assert server.requests[0].headers["cookie"] == "session=c00kie-1; other= c00kie=2 "
    server.fail(STEPS["start run"], respond(500, b"no h3ader-value, s3cond-part, c00kie-1, (c00kie=2) for Basic"))
    assert "got HTTP 500 Internal Server Error: no ***, ***, ***, (***) for Basic. " in failure(target, compiled)
    other = connect(server.url, cookies="session=given-one")
    server.fail(STEPS["start run"], respond(500, b"no given-one"))
    assert "Error: no ***. " in failure(other, compiled)


def test_a_context_of_kfp_may_lack_a_namespace(server: Server, home: Path) -> None:
    """A cluster without namespaces leaves an empty context."""
    (home / ".config/kfp").mkdir(parents=True)
    (home / ".config/kfp/context.json").write_text("{}")
    assert server.url in repr(connect(server.url))
    with serving(multi_user=True) as several, pytest.raises(ContractError, match="expected a namespace, as "):
        connect(several.url)


def test_missing_google_credentials_are_an_error(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable of kfp's asks for a login at Google; an error names it."""
    error = google.auth.exceptions.DefaultCredentialsError("no credentials")
    monkeypatch.setattr(google.auth, "default", Mock(side_effect=error))
    monkeypatch.setenv("KF_PIPELINES_IAP_OAUTH2_CLIENT_ID", "abc")
    with pytest.raises(ContractError) as caught:
        connect(server.url)
    assert str(caught.value) == (
        "login: expected what $KF_PIPELINES_IAP_OAUTH2_CLIENT_ID needs, Google credentials, got: no credentials "
        "Without that variable another login counts."
    )


def test_a_long_token_is_not_shown_in_part(server: Server, compiled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that a server sends back is hidden before a long message is cut."""
    monkeypatch.setenv(connection.TOKEN, "s3cret" * 300)
    target = connect(server.url)
    server.fail(STEPS["start run"], respond(500, b"x" * 300 + b" Bearer " + b"s3cret" * 300 + b" y" * 300))
    message = failure(target, compiled)
    assert "s3c" not in message
    assert "Bearer *** y y" in message
    assert len(message) < 1_000


def test_nothing_is_printed_or_written(
    server: Server, compiled: Path, capfd: pytest.CaptureFixture[str], home: Path
) -> None:
    """Results are the caller's to print: kfp's links and contexts go nowhere."""
    target = connect(server.url)
    submitted(target, compiled).wait(timeout=60)
    assert capfd.readouterr() == ("", "")
    assert list(home.rglob("*")) == []


# Certificates


def test_an_own_authority_is_accepted(compiled: Path, authority: certificates.Authority) -> None:
    """A server whose certificate is signed by the authority that is given is trusted."""
    with serving(context=authority.context, host="localhost") as server:
        submitted(connect(server.url, ca=authority.ca), compiled)
        assert len(server.runs) == 1


def test_an_unknown_authority_is_refused(authority: certificates.Authority, tmp_path: Path) -> None:
    """Without its authority, or with another, a server is not trusted and gets no request."""
    other = certificates.authority(tmp_path / "other")
    with serving(context=authority.context, host="localhost") as server:
        for ca in (None, other.ca):
            with pytest.raises(
                ClusterError, match=rf"^connect at {server.url}: .*not trusted: .* Give the CA's certif"
            ):
                connect(server.url, ca=ca)
        assert server.requests == []


def test_a_certificate_of_another_host_is_refused(tmp_path: Path) -> None:
    """A certificate for another name is not trusted, and the error says which."""
    other = certificates.authority(tmp_path / "other", host="elsewhere.example")
    with serving(context=other.context, host="localhost") as server:
        with pytest.raises(
            ClusterError, match="Hostname mismatch, certificate is not valid for 'localhost'.* the host by"
        ):
            connect(server.url, ca=other.ca)
        assert server.requests == []


@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_an_authority_that_is_none_is_bad_usage(tmp_path: Path, content: bytes | None) -> None:
    """A CA file that cannot be used is named."""
    if content is not None:
        (tmp_path / "ca.pem").write_bytes(content)
    with pytest.raises(ContractError, match=rf"^CA: expected certificates in PEM format in {tmp_path}/ca.pem, got: "):
        connect("https://localhost", ca=tmp_path / "ca.pem")
