"""Tests that no command shows or keeps a secret, wherever it comes from and whatever goes wrong."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml
from click.testing import CliRunner
from support import kfp_server
from support.kfp_server import respond
from support.proxy import proxying

from fmnist import testing
from fmnist.cli import fmnist, same
from fmnist.steps import dataset, sources, web

SECRET = "s3cr/t w0rd"  # noqa: S105 - not one
TOKEN = "s3cr-t0ken-w0rd"  # noqa: S105 - not one
QUOTED = quote(SECRET, safe="")
#: What a server may send back of what it got: a token, or a user with a password.
TOLD = f"<p>{TOKEN} Bearer {TOKEN} Cookie: a={TOKEN} \x1b[2J</p>".encode()
LOGIN_TOLD = f"<p>{SECRET} {QUOTED} Basic bWU6czNjci90IHcwcmQ= https://me:{QUOTED}@h \x1b[2J</p>".encode()

PROGRAM = """\
apiVersion: projectsame.io/v1alpha1
metadata: {name: greeting}
pipeline: {name: greetings, package: somebody.py}
run: {parameters: {name: you}}
"""

SOMEBODY = """
from kfp import dsl

@dsl.component(base_image="python:3.11", install_kfp_package=False)
def greet(name: str):
    print(name)

@dsl.pipeline(name="greetings")
def greetings(name: str):
    greet(name=name)
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a program, and a home without anything."""
    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("KF_PIPELINES_ENDPOINT", "no_proxy", "NO_PROXY", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("kfp.Client._LOCAL_KFP_CONTEXT", str(tmp_path / "home/context.json"))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "home/kubeconfig"))
    for module in ("client", "versions", "start"):
        monkeypatch.setattr(f"fmnist.cluster.{module}.sleep", lambda _: None)
    (tmp_path / "work/same.yaml").write_text(PROGRAM)
    (tmp_path / "work/somebody.py").write_text(SOMEBODY)
    return tmp_path / "work"


def assert_kept_secret(here: Path, code: int, *command: str) -> None:
    """Assert that a command ends with `code` and that no form of the secret is in what it shows or leaves."""
    __tracebackhide__ = True
    before = testing.contents(here)
    main = fmnist.main if command[0] == "fmnist" else same.main
    result = CliRunner().invoke(main, command[1:])
    assert result.exit_code == code, result.output
    left = {name: content for name, content in testing.contents(here).items() if content != before.get(name)}
    for where, content in {"stdout": result.stdout_bytes, "stderr": result.stderr_bytes, **left}.items():
        for form in (b"w0rd", b"s3cr", b"bWU6", b"czNjc", b"\x1b"):
            assert form not in content, f"{form!r} in {where}: {content!r}"


def by_host(url: str, _: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A password in the address."""
    return ["--host", url.replace("://", f"://me:{QUOTED}@")]


def by_endpoint(url: str, _: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A password in the variable for the address."""
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", url.replace("://", f"://me:{QUOTED}@"))
    return []


def by_token(url: str, _: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A token in the environment."""
    monkeypatch.setenv("FMNIST_KFP_TOKEN", TOKEN)
    return ["--host", url]


def by_token_file(url: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A token in a file, with a byte-order mark."""
    (home / "token").write_text(f"\ufeff{TOKEN}\n", encoding="utf-8")
    return ["--host", url, "--token-file", str(home / "token")]


def by_cookies(url: str, _: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Cookies in an option."""
    return ["--host", url, "--cookies", f"session={TOKEN}; other={QUOTED}"]


def by_context(url: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Cookies in kfp's own file."""
    (home / "context.json").write_text(json.dumps({"client_authentication_cookie": f"session={TOKEN}; a={QUOTED}"}))
    return ["--host", url]


def by_header(url: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A header in kfp's own file, of a scheme and a token."""
    header = {"client_authentication_header_name": "x-login", "client_authentication_header_value": f"Key {TOKEN}"}
    (home / "context.json").write_text(json.dumps(header))
    return ["--host", url]


def test_a_kubeconfig_with_secrets(here: Path) -> None:
    """A token in a kubeconfig, and a password in the address of its server, are not shown."""
    prefix = "/api/v1/namespaces/kubeflow/services/ml-pipeline:http/proxy"
    with kfp_server.serving(prefix=prefix, token=TOKEN) as server:
        write_kubeconfig(here.with_name("home"), server.url.removesuffix(prefix).replace("://", f"://me:{QUOTED}@"))
        server.fail("POST .*/runs$", respond(500, TOLD))
        assert_kept_secret(here, 3, "same", "program", "run")
        assert_kept_secret(here, 0, "same", "program", "run")


def write_kubeconfig(home: Path, server: str) -> None:
    """Write a kubeconfig for `server`."""
    config = {
        "current-context": "one",
        "contexts": [{"name": "one", "context": {"cluster": "one", "user": "one"}}],
        "clusters": [{"name": "one", "cluster": {"server": server}}],
        "users": [{"name": "one", "user": {"token": TOKEN}}],
    }
    (home / "kubeconfig").write_text(yaml.safe_dump(config))


def by_proxy(url: str, _: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A password in the variable for a proxy that is not there."""
    monkeypatch.setenv("HTTP_PROXY", f"http://me:{QUOTED}@127.0.0.1:9")
    return ["--host", url]


def by_page(url: str, _: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A password in the variable for links."""
    monkeypatch.setenv("KF_PIPELINES_UI_ENDPOINT", url.replace("://", f"://me:{QUOTED}@"))
    return ["--host", url]


@pytest.fixture
def server() -> Iterator[kfp_server.Server]:
    """An API server."""
    with kfp_server.serving() as running:
        running.states = ["FAILED"]
        yield running


Source = Callable[[str, Path, pytest.MonkeyPatch], list[str]]


@pytest.mark.parametrize(
    ("source", "code", "told"),
    [
        (by_host, 2, b""),
        (by_endpoint, 2, b""),
        (by_token, 3, TOLD),
        (by_token_file, 3, TOLD),
        (by_cookies, 3, TOLD),
        (by_context, 3, TOLD),
        (by_header, 3, TOKEN.encode()),
        (by_proxy, 3, b""),
        (by_page, 3, LOGIN_TOLD),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_a_cluster_that_repeats_a_secret(  # noqa: PLR0913, PLR0917 - a row, and fixtures
    source: Source, code: int, told: bytes, server: kfp_server.Server, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server may send back what it got, as text, as an address, and in other writings: `same` does not show it."""
    options = source(server.url, here.with_name("home"), monkeypatch)
    server.fail("POST .*/runs$", respond(500, told))
    server.fail("GET .*/runs/", respond(302, Location=f"https://me:{QUOTED}@h/?token={TOKEN}#{QUOTED}"))
    for _ in range(2):
        assert_kept_secret(here, code, "same", "program", "run", "--wait", *options)


def test_a_proxy_that_is_given_and_refuses(server: kfp_server.Server, here: Path) -> None:
    """The password of an option is no more shown than that of a variable."""
    with proxying("Basic another") as proxy:
        place = f"http://me:{QUOTED}@{proxy.place}"
        assert_kept_secret(here, 3, "same", "program", "create", "--host", server.url, "--proxy", place)
    assert_kept_secret(here, 2, "same", "program", "create", "--host", server.url, "--proxy", f"socks5://me:{QUOTED}@h")


@pytest.mark.parametrize(
    "parameter",
    [f"name=https://me:{QUOTED}@h/?sig={QUOTED}", f"nam=https://h/?sig={QUOTED}", f"https://me:{QUOTED}@h"],
)
def test_a_parameter_that_is_an_address(parameter: str, server: kfp_server.Server, here: Path) -> None:
    """What is echoed of an input is without the secrets of an address."""
    server.fail("POST .*/runs$", respond(400, f"no such {parameter}".encode()))
    code = 3 if parameter.startswith("name=") else 2
    assert_kept_secret(here, code, "same", "program", "run", "--host", server.url, "-p", parameter)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("same.yaml", PROGRAM.replace("{name: you}", f"[https://me:{QUOTED}@h]")),
        ("same.yaml", PROGRAM.replace("somebody.py", f"'https://me:{QUOTED}@h'")),
        ("same.yaml", PROGRAM + f"https://me:{QUOTED}@h: 1\n"),
        ("somebody.py", f"raise SystemExit('https://me:{QUOTED}@h/?sig={QUOTED}')"),
        ("somebody.py", f"print('Authorization: Bearer {TOKEN}\\x1b[2J')\nraise ValueError('Cookie: a={TOKEN}')"),
        ("somebody.py", "import os\nraise KeyError(os.environ['FMNIST_KFP_TOKEN'])"),
    ],
    ids=["parameters", "package", "key", "exit", "print", "environment"],
)
def test_a_file_that_holds_or_shows_a_secret(
    file: str, text: str, server: kfp_server.Server, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Errors about somebody's files show no more of them than they must."""
    monkeypatch.setenv("FMNIST_KFP_TOKEN", TOKEN)
    (here / file).write_text(text)
    result = CliRunner().invoke(same.main, ["program", "create", "--host", server.url])
    assert_kept_secret(here, result.exit_code, "same", "program", "create", "--host", server.url)


@pytest.mark.parametrize(
    "mirror", [f"http://me:{QUOTED}@127.0.0.1:9/", f"http://127.0.0.1:9/?sig={QUOTED}", f"me:{QUOTED}@127.0.0.1:9"]
)
@pytest.mark.parametrize("command", [["data"], ["run"], ["study", "--seeds", "1"]], ids=" ".join)
def test_a_mirror_that_is_not_there(
    command: list[str], mirror: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No command that needs the dataset shows the password of its mirror, or keeps it in its folder."""
    (here / "same.yaml").unlink()
    monkeypatch.setattr(web, "BACKOFF", 0)
    monkeypatch.setattr(sources, "DEBIAN_FOLDER", here / "none")
    monkeypatch.setenv("FMNIST_DATA_DIR", str(here / "data"))
    monkeypatch.setenv("FMNIST_MIRROR", mirror)
    assert_kept_secret(here, 3, "fmnist", *command)


def test_a_defect_has_a_traceback_without_secrets(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that nobody thought of, and the one before it, are shown, but for the secrets in them."""

    def broken(**_: object) -> None:
        try:
            raise KeyError(SECRET)  # noqa: TRY301 - what is tested
        except KeyError as error:
            raise AssertionError(f"https://me:{QUOTED}@h/?sig={QUOTED} {TOKEN}\x1b[2J") from error

    monkeypatch.setenv("HTTPS_PROXY", f"http://me:{QUOTED}@h")
    monkeypatch.setenv("FMNIST_KFP_COOKIES", f"a={TOKEN}")
    monkeypatch.setattr(dataset, "fetch", broken)
    assert_kept_secret(here, 70, "fmnist", "data")
