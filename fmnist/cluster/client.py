"""kfp's client made dependable: its errors, time-outs, retries, secrets and certificates.

`kfp.Client` prints to stdout, waits for ever, writes into the user's home, takes an answer that is not JSON for an
empty one, and loses the path of a cluster from a kubeconfig. `Client` does none of this; `Client.ask` sends requests
through kfp's generated calls.
"""

import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stdout, suppress
from datetime import timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from http import HTTPStatus
from pathlib import Path
from time import monotonic, sleep
from typing import Any, TypeVar

import kfp
import kfp.client
import urllib3
from google.auth.exceptions import GoogleAuthError
from kfp_server_api import ApiException, Configuration

from fmnist.cluster import connection, failures
from fmnist.cluster.failures import ClusterError, TransientError, in_one_line
from fmnist.steps.errors import ContractError
from fmnist.steps.messages import excerpt, shown
from fmnist.steps.redaction import safe

__all__ = ["Client", "ClusterError", "TransientError", "in_one_line"]

#: Seconds to wait for a connection, and for the next part of an answer.
CONNECT_TIMEOUT, READ_TIMEOUT = 10.0, 60.0

#: No answer of the API has more bytes.
MOST = 2**28

#: How often to ask a busy server.
TRIES = 4

_NO_HOST = (
    "cluster: expected the address of a Kubeflow Pipelines API, got none. Give a host, set $KF_PIPELINES_ENDPOINT, "
    "or have a kubeconfig; or run the pipeline here, with -t local."
)

#: The name of a header, as HTTP has it.
_HEADER = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"

T = TypeVar("T")


class Client(kfp.Client):  # type: ignore[misc]  # kfp ships no types
    """kfp's client, whose constructor sends no request, writes no file and prints nothing; see `cluster.connect`."""

    def __init__(
        self, host: str | None, token_file: Path | None, cookies: str | None, ca: Path | None, proxy: str | None
    ) -> None:
        self._proxy = proxy
        host = host or os.environ.get(kfp.client.client.KF_PIPELINES_ENDPOINT_ENV)
        cookies = connection.checked_header(cookies or os.environ.get(connection.COOKIES), "cookies")
        settings = {
            "host": connection.checked_host(host) if host else None,
            "credentials": connection.credentials(token_file),
        }
        try:
            # It warns of servers before 2.0, always.
            with warnings.catch_warnings(action="ignore", category=FutureWarning), redirect_stdout(sys.stderr):
                super().__init__(**settings, cookies=cookies, ssl_ca_cert=connection.checked_ca(ca) if ca else None)
        except GoogleAuthError as error:
            raise ContractError(
                f"login: expected what $KF_PIPELINES_IAP_OAUTH2_CLIENT_ID needs, Google credentials, got: {error} "
                "Without that variable another login counts."
            ) from error
        pool = self.runs.api_client.rest_client.pool_manager
        pool.request = partial(_sent, pool.request)
        # For messages: that of a kubeconfig may hold a password.
        self.host: str = safe(self._existing_config.host)
        # A refusal may be that of the proxy.
        self._way = f" through the proxy {place}" if (place := self._existing_config.proxy) else ""
        #: The server's time at its last answer, as the API writes it; empty if it does not say.
        self.now = ""
        self._cookies = cookies or self._context_setting.get("client_authentication_cookie") or ""
        self._header = self._context_setting.get("client_authentication_header_value") or ""

    def ask(self, action: str, call: Callable[..., Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return the server's answer; if the server is busy and says for how long, wait and ask again."""
        for _ in range(TRIES - 1):
            try:
                return self.once(action, call, *args, **kwargs)
            except TransientError as error:
                if error.pause is None:
                    raise
                sleep(error.pause)
        return self.once(action, call, *args, **kwargs)

    def once(
        self,
        action: str,
        call: Callable[..., Any],
        *args: Any,
        wanted: str | None = None,
        patience: float = READ_TIMEOUT,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Return the server's answer: a JSON object that has the key `wanted`."""
        deadline = monotonic() + min(patience, READ_TIMEOUT)

        def request(**limits: Any) -> dict[str, Any]:
            return self._read(call(*args, **kwargs, **limits), wanted, deadline)

        return self._tried(action, request, patience)

    def _read(self, response: Any, wanted: str | None, deadline: float) -> dict[str, Any]:
        self.now = _time(response.headers.get("Date"))
        return failures.parsed(_body(response, deadline), wanted)

    def fetch(self, action: str, path: str, take: Callable[[Any], T], **query: str) -> T:
        """Return what `take` makes of the server's response for a path below the host, its body still to come."""

        def request(**limits: Any) -> T:
            response = self._get(path, query, **limits)
            try:
                if response.status != HTTPStatus.OK:
                    # A range of a file, or nothing, is a success too.
                    raise failures.HalfAnswerError(f"HTTP {response.status} {response.reason}, no whole answer")
                return take(response)
            finally:
                # What is still to come may be endless.
                response.close()

        return self._tried(action, request, READ_TIMEOUT)

    def _tried(self, action: str, request: Callable[..., T], patience: float) -> T:
        patience = min(patience, READ_TIMEOUT)
        limits = {"_preload_content": False, "_request_timeout": (min(patience, CONNECT_TIMEOUT), patience)}
        try:
            return request(**limits)
        except (ApiException, urllib3.exceptions.HTTPError, failures.AnswerError, UnicodeDecodeError) as caught:
            error = _refusal(caught)
            kind, got, remedy = failures.explain(error)
            got = excerpt(in_one_line(self.without_secrets(got)), 400)
            failure = kind(f"{action} at {self.host}{self._way}: expected success, got {got}. {remedy}")
            failure.status, failure.got = getattr(error, "status", None), got
            failure.unsure, failure.pause = failures.may_have_worked(error), failures.retry_after(error)
        # Outside the `except`, so that no other error is attached: the original one may show a token.
        raise failure

    def read(self, path: str, *, patience: float = READ_TIMEOUT, **query: str) -> dict[str, Any]:
        """Return the server's answer for a path of the API that kfp_server_api does not know."""
        return self.once(f"read {path}", self._get, f"/apis/v2beta1/{path}", query, patience=patience)

    def _get(self, path: str, query: Mapping[str, str], **limits: Any) -> Any:
        call, given = self.runs.api_client.call_api, list(query.items())
        return call(path, "GET", query_params=given, auth_settings=["Bearer"], **limits)

    def own_namespace(self) -> str | None:
        """Return the namespace in kfp's context file, or this pod's."""
        with suppress(OSError):
            return self.get_user_namespace() or Path(self._NAMESPACE_PATH).read_text(encoding="utf-8").strip()
        return None

    def link(self, page: str) -> str:
        """Return the address of a page of the UI, whose own address kfp does not know in a pod or with a kubeconfig."""
        prefix = self._get_url_prefix()
        return safe(f"{'<Kubeflow>' if prefix.startswith('/') else ''}{prefix}/#/{page}")

    def without_secrets(self, text: str) -> str:
        """Return `text` without the token and the cookies, which a server may send back."""
        return safe(text, self._secrets())

    def _secrets(self) -> Iterator[str]:
        for header in (*self._existing_config.api_key.values(), self._header):
            yield from header.split()
        for cookie in self._cookies.split(";"):
            yield cookie.split("=", 1)[-1].strip()

    def _load_context_setting_or_default(self) -> None:
        """Read kfp's context file, if there is one: a mapping of texts."""
        path = self._LOCAL_KFP_CONTEXT
        try:
            super()._load_context_setting_or_default()
            self._context_setting: dict[str, str] = {"namespace": "", **self._context_setting}
            good = all(isinstance(value, str) for value in self._context_setting.values())
        except (OSError, ValueError, TypeError):
            good = False
        if not good:
            raise ContractError(f"kfp's context: expected a JSON object of texts in {path}, got something else.")
        for part in ("cookie", "header_name", "header_value"):
            name = f"client_authentication_{part}"
            value = connection.checked_header(self._context_setting.get(name), f"kfp's context: {name} in {path}")
            if part == "header_name" and value is not None and not re.fullmatch(_HEADER, value):
                raise ContractError(
                    f"kfp's context: {name} in {path}: expected the name of a header, as x-own, got {shown(value)}."
                )

    def _load_config(self, host: str | None, *settings: Any) -> Any:
        with connection.quoting_nothing():
            config = super()._load_config(host, *settings)
        if not host and config.host == Configuration().host:
            raise ContractError(_NO_HOST + connection.kubeconfig_trouble())
        if settings[-2]:
            # With the host of a proxy of Google's, kfp forgets how a token is sent.
            config.api_key_prefix["authorization"] = "Bearer"
        # Inside a cluster it lacks the scheme.
        address = config.host.rstrip("/") if "://" in config.host else f"http://{config.host}"
        renew = credentials.refresh_api_key_hook if (credentials := settings[-2]) else config.refresh_api_key_hook

        def refresh(config: Any) -> None:
            if renew:
                renew(config)
            # The one of a kubeconfig is whatever its file or its program has.
            connection.checked_header(config.api_key.get("authorization"), "token of the kubeconfig")
            # The hook of a kubeconfig sets both: itself, and a host without the path of the Pipelines API.
            config.host, config.refresh_api_key_hook = address, refresh

        config.host, config.refresh_api_key_hook = address, refresh
        config.proxy, config.proxy_headers = connection.proxy_for(address, self._proxy)
        # A kubeconfig may switch it off.
        config.verify_ssl = True
        # urllib3 would repeat some requests by itself, sleep for hours if a server says so, and send tokens elsewhere.
        config.retries = urllib3.Retry(0, redirect=False)
        return config

    def get_kfp_healthz(self, sleep_duration: int = 0) -> Any:  # noqa: ARG002 - kfp's
        """Answer kfp's constructor, which asks for up to half a minute and then writes into the user's home."""
        return self.api_models.V2beta1GetHealthzResponse(multi_user=False)


def _sent(send: Callable[..., Any], *args: Any, timeout: Any, **kwargs: Any) -> Any:
    """Send a request; of a refusal, read the body in time: kfp's client waits for all of it, whatever comes."""
    response = send(*args, timeout=timeout, **kwargs)
    if not HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
        response._body = _body(response, monotonic() + timeout.read_timeout)  # noqa: SLF001 - there is no other way
    return response


def _refusal(error: Exception) -> Any:
    """Return the server's refusal where kfp's client failed on its text, or `error` itself."""
    refusal = error.__context__
    if not (isinstance(error, UnicodeDecodeError) and isinstance(refusal, ApiException)):
        return error
    refusal.body = refusal.body.decode(errors="replace")
    return refusal


def _body(response: Any, deadline: float) -> bytes:
    """Return the body of a response, which must have come by the deadline: its next part may always come in time."""
    body = bytearray()
    while chunk := response.read1(2**16):
        body += chunk
        if len(body) > MOST:
            response.close()
            raise failures.AnswerError(f"more than {MOST // 2**20} MiB")
        if monotonic() > deadline:
            response.close()
            raise urllib3.exceptions.ReadTimeoutError(response.connection, None, "late")
    return bytes(body)


def _time(date: str | None) -> str:
    """Return the time in the head of an answer as the API writes it, in whole seconds of UTC."""
    try:
        time = parsedate_to_datetime(date or "")
        # Of an offset of -0000 Python makes a time that has none.
        offset = time.utcoffset() or timedelta()
        return f"{time.replace(tzinfo=None) - offset:%Y-%m-%dT%H:%M:%SZ}"
    except (ValueError, OverflowError):
        return ""
