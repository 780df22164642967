"""Where the Pipelines API is, and how to get in there: host, proxy, token, cookies and certificates, checked first."""

import base64
import logging
import os
import re
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import kfp
import kfp.client
from kfp_server_api import Configuration

from fmnist.steps.errors import ContractError
from fmnist.steps.files import opened, read
from fmnist.steps.redaction import COOKIES, TOKEN

__all__ = [
    "COOKIES",
    "TOKEN",
    "Token",
    "checked_ca",
    "checked_header",
    "checked_host",
    "credentials",
    "kubeconfig_trouble",
    "proxy_for",
    "quoting_nothing",
]

#: No file with a token has more bytes.
LARGEST = 2**20


class Token(kfp.client.TokenCredentialsBase):  # type: ignore[misc]  # kfp ships no types
    """A bearer token, read for each request."""

    def __init__(self, read: Callable[[], str], source: str) -> None:
        self._read, self._source = read, source
        self._last = self._token()

    def refresh_api_key_hook(self, config: Any) -> None:
        """Read the token, for the next request; the last one counts while its file is being replaced."""
        with suppress(ContractError):
            self._last = self._token()
        config.api_key["authorization"] = self._last

    def _token(self) -> str:
        try:
            token = self._read().strip()
        except (OSError, UnicodeDecodeError) as error:
            # That it is no file, or how large it is, has no type of its own.
            got = error.strerror if type(error) is OSError else type(error).__name__
            raise ContractError(f"token: expected one in {self._source}, got: {got}.") from None
        if not token or len(token.split()) > 1:
            raise ContractError(f"token: expected one word in {self._source}, got {len(token.split())}.")
        return checked_header(token, f"token in {self._source}") or ""


def credentials(token_file: Path | None) -> Token | None:
    """Return the token to send, from the first place that has one."""
    if token_file is None and os.environ.get(TOKEN):
        return Token(lambda: os.environ[TOKEN], f"${TOKEN}")
    path = token_file or os.environ.get(kfp.client.KF_PIPELINES_SA_TOKEN_ENV)
    return Token(lambda: read(path, LARGEST).decode("utf-8-sig"), str(path)) if path else None


def checked_host(host: str) -> str:
    """Return `host` as a URL, without the API's own path; the error does not repeat it, as it may hold a password."""
    url = host if "://" in host else f"https://{host}"
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0 and "@" not in parts.netloc
        # Its parts have 1 to 63 characters each.
        (parts.hostname or "").encode("idna")
    except ValueError:
        good = False
    # An empty query or fragment is none to `urlsplit`, but what follows the host would come behind it.
    if not good or re.search(r"[?#\s\x00-\x1f]", url):
        raise ContractError(
            "host: expected an address as https://kubeflow.example/pipeline, without user, password, ? and #, "
            "got another one."
        )
    # Kfp's client takes only a scheme in lower case for one.
    return re.sub(r"/apis(/v\d\w*)?$", "", (parts.scheme + url[len(parts.scheme) :]).rstrip("/"))


#: A part of a kubeconfig, as it stands in messages of the library that reads it; it may hold passwords.
_PART = re.compile(r"\{.*\}", re.DOTALL)


@contextmanager
def quoting_nothing() -> Iterator[None]:
    """Let the library that reads a kubeconfig log none of its parts, until the end of the context."""

    def masked(record: logging.LogRecord) -> bool:
        record.msg, record.args = _PART.sub("***", record.getMessage()), ()
        return True

    logger = logging.getLogger()
    logger.addFilter(masked)
    try:
        yield
    finally:
        logger.removeFilter(masked)


def kubeconfig_trouble() -> str:
    """Return why the kubeconfig cannot be used, which kfp does not tell, or nothing if there is none."""
    from kubernetes import config

    try:
        with quoting_nothing():
            config.load_kube_config(client_configuration=Configuration())
    except (config.ConfigException, OSError) as error:
        why = _PART.sub("***", str(error))
    except Exception as error:  # noqa: BLE001 - whatever its file makes of the loader; the text may show a token
        why = f"something else than one ({type(error).__name__})"
    else:
        return ""
    return "" if "No configuration found" in why else f" The kubeconfig cannot be used: {why}."


def proxy_for(host: str, given: str | None) -> tuple[str | None, dict[str, str] | None]:
    """Return the proxy through which to ask `host`, the one given or as requests finds it, and headers to log in there.

    Raises
    ------
    ContractError
        If it is no proxy; the error does not repeat it, as it may hold a password.
    """
    from requests import utils

    proxy = given or utils.select_proxy(host, utils.get_environ_proxies(host, no_proxy=None))
    if not proxy:
        return None, None
    url = proxy if "://" in proxy else f"http://{proxy}"
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good or re.search(r"[\s\x00-\x1f]", url):
        raise ContractError(
            "proxy: expected an address as http://proxy.example:3128, of http or https, got another one (not shown). "
            "Check --proxy, $HTTPS_PROXY and $ALL_PROXY."
        )
    login, _, place = parts.netloc.rpartition("@")
    header = base64.b64encode(unquote(login).encode()).decode()
    return f"{parts.scheme}://{place}", {"Proxy-Authorization": f"Basic {header}"} if login else None


def checked_header(value: str | None, what: str) -> str | None:
    """Return `value` if a header can hold it; the error does not show it."""
    if value is not None and not (value.isascii() and value.isprintable()):
        raise ContractError(f"{what}: expected printable ASCII in one line, got other characters.")
    return value


def checked_ca(path: Path) -> str:
    """Return the path of a file with certificates."""
    try:
        # OpenSSL would wait for who writes to a pipe.
        opened(path).close()
        ssl.create_default_context(cafile=path)
    except OSError as error:
        raise ContractError(f"CA: expected certificates in PEM format in {path}, got: {error}.") from error
    return str(path)
