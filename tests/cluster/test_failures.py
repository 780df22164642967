"""What is told of each failure between here and a cluster: its kind, what came, and what to do, word for word."""

import http.client
import json
import ssl
from pathlib import Path
from typing import Any

import pytest
import urllib3
from kfp_server_api import ApiException
from support import certificates

from fmnist.cluster import failures
from fmnist.cluster.failures import AnswerError, ClusterError, GoneError, InvalidInputError, TransientError

PATH = "the host may not be the Pipelines API of version 2, or lack a path, as in https://kubeflow.example/pipeline."
LOGIN = "Give a valid token, in a file or in $FMNIST_KFP_TOKEN, or cookies in $FMNIST_KFP_COOKIES."
PROXY = "Check --proxy or $HTTPS_PROXY, with the user and password of the proxy; $NO_PROXY names hosts to ask directly."
CHECK = "Check names, namespace and parameters against the server's message."
LATER = "Try again later; if it stays, the log of the ml-pipeline server or of the proxy says why."
GONE = "It is not there, or was deleted in the meantime: do the same again, which makes what is missing."
NETWORK = (
    "Check the network, the server, and whether it took the request even so; then try again. "
    "A proxy may also limit size or time."
)
CERTIFICATE = "Give the CA's certificate if it is your own, and the host by the name that the certificate has."
UNTRUSTED = "a certificate or connection that is not trusted"
TIME = "Have the server's certificate renewed, or set the clock of this machine right."

POOL, CONNECTION = urllib3.HTTPConnectionPool("h"), urllib3.connection.HTTPConnection("h")


def status(number: int, body: str | None = None, reason: str = "Why", **headers: str) -> ApiException:
    """Return what kfp's client raises for an HTTP status."""
    error = ApiException(status=number, reason=reason)
    error.body, error.headers = body, urllib3.HTTPHeaderDict(headers) if headers else None
    return error


def verified(message: str, code: int = 0) -> urllib3.exceptions.SSLError:
    """Return the error for a certificate that is not trusted, with OpenSSL's own words and code."""
    inner = ssl.SSLCertVerificationError("long text")
    inner.verify_message, inner.verify_code, inner.reason = message, code, "CERTIFICATE_VERIFY_FAILED"
    return urllib3.exceptions.SSLError(inner)


def ended(reason: str = "WRONG_VERSION_NUMBER") -> urllib3.exceptions.SSLError:
    """Return the error for a talk in TLS that has ended: by default, as the server answers in another way."""
    inner = ssl.SSLError(1, "no talk")
    inner.reason = reason
    return urllib3.exceptions.SSLError(inner)


def refused() -> urllib3.exceptions.NewConnectionError:
    """Return the error for a port where nobody listens."""
    error = urllib3.exceptions.NewConnectionError(CONNECTION, "long text")
    error.__cause__ = OSError("Connection refused")
    return error


FAILURES: dict[str, tuple[Exception, type[ClusterError], str, str]] = {
    "400": (status(400), ClusterError, "HTTP 400 Why", CHECK),
    "401": (status(401, ""), ClusterError, "HTTP 401 Why", LOGIN),
    "401 of a page": (status(401, "<b>No</b>"), ClusterError, "HTTP 401 Why: No", LOGIN),
    "403": (status(403), ClusterError, "HTTP 403 Why", "Check the namespace, and that your account may do this there."),
    "404": (status(404), ClusterError, "HTTP 404 Why", f"Check the address: {PATH}"),
    "404 of a page": (status(404, "<b>No</b>"), ClusterError, "HTTP 404 Why: No", f"Check the address: {PATH}"),
    "400 of a page": (status(400, "<b>No</b>"), ClusterError, "HTTP 400 Why: No", CHECK),
    "502 of a page": (status(502, "<b>No</b>"), TransientError, "HTTP 502 Why: No", LATER),
    "405": (status(405), ClusterError, "HTTP 405 Why", f"Check the address: {PATH}"),
    "407": (status(407), ClusterError, "HTTP 407 Why", PROXY),
    "409": (
        status(409),
        ClusterError,
        "HTTP 409 Why",
        "Something of that name is there or being made: try again, or choose another name.",
    ),
    "413": (
        status(413),
        ClusterError,
        "HTTP 413 Why",
        "The file is too large for the server or a proxy: raise the limit there, or go around the proxy.",
    ),
    "414": (
        status(414),
        ClusterError,
        "HTTP 414 Why",
        "The description of the pipeline is too long for the server or a proxy, as part of an address: shorten it.",
    ),
    "418": (status(418), ClusterError, "HTTP 418 Why", LATER),
    "428": (status(428), ClusterError, "HTTP 428 Why", LATER),
    "429": (status(429), TransientError, "HTTP 429 Why", "The server is busy: try again later."),
    "430": (status(430), ClusterError, "HTTP 430 Why", LATER),
    "499": (status(499), ClusterError, "HTTP 499 Why", LATER),
    "500": (status(500), TransientError, "HTTP 500 Why", LATER),
    "599": (status(599), TransientError, "HTTP 599 Why", LATER),
    "no reason": (status(502, reason=""), TransientError, "HTTP 502", LATER),
    "299": (status(299), ClusterError, "HTTP 299 Why", LATER),
    "a redirection": (
        status(300, Location="https://login.example/x?token=s3cret"),
        ClusterError,
        "HTTP 300 Why, to https://login.example/x",
        f"It may be a login page: {LOGIN} Or {PATH}",
    ),
    "another": (
        status(399, "Moved", Location="/x#part"),
        ClusterError,
        "HTTP 399 Why: Moved, to /x",
        f"It may be a login page: {LOGIN} Or {PATH}",
    ),
    "to nowhere": (
        status(302),
        ClusterError,
        "HTTP 302 Why, to no address",
        f"It may be a login page: {LOGIN} Or {PATH}",
    ),
    "a message": (status(500, '{"message": "m", "error": "e"}'), TransientError, "HTTP 500 Why: m", LATER),
    "an older one": (status(500, '{"message": "", "error_message": "o"}'), TransientError, "HTTP 500 Why: o", LATER),
    "an error": (status(500, '{"error": "e"}'), TransientError, "HTTP 500 Why: e", LATER),
    "an error within": (
        status(503, '{"error": {"code": 14, "message": "no upstream"}}'),
        TransientError,
        "HTTP 503 Why: no upstream",
        LATER,
    ),
    "an error of numbers": (
        status(503, '{"error": {"code": 14}}'),
        TransientError,
        "HTTP 503 Why: {'code': 14}",
        LATER,
    ),
    "many levels": (status(500, 100_000 * "["), TransientError, f"HTTP 500 Why: {100_000 * '['}", LATER),
    "no message": (status(500, '{"code": 1}'), TransientError, 'HTTP 500 Why: {"code": 1}', LATER),
    "a list": (status(500, "[1]"), TransientError, "HTTP 500 Why: [1]", LATER),
    "a page": (status(502, "<p class='x'>a &lt;b&gt;</p> "), TransientError, "HTTP 502 Why: a <b>", LATER),
    "invalid": (
        status(500, '{"message": "Invalid input error: x"}'),
        InvalidInputError,
        "HTTP 500 Why: Invalid input error: x",
        CHECK,
    ),
    "the words of another": (
        status(502, "<p>Invalid input from upstream"),
        TransientError,
        "HTTP 502 Why: Invalid input from upstream",
        LATER,
    ),
    "those of who forbids it": (
        status(401, "Invalid input"),
        ClusterError,
        "HTTP 401 Why: Invalid input",
        LOGIN,
    ),
    "no template": (
        status(400, "it has an unknown template format"),
        InvalidInputError,
        "HTTP 400 Why: it has an unknown template format",
        CHECK,
    ),
    "bad input that names what is not there": (
        status(400, "Invalid input error: ResourceNotFoundError: Run x not found"),
        InvalidInputError,
        "HTTP 400 Why: Invalid input error: ResourceNotFoundError: Run x not found",
        CHECK,
    ),
    "gone": (
        status(500, "ResourceNotFoundError: no"),
        ClusterError,
        "HTTP 500 Why: ResourceNotFoundError: no",
        GONE,
    ),
    "a version that a run needs": (
        status(500, "Run x failed: ResourceNotFoundError: PipelineVersion y not found"),
        ClusterError,
        "HTTP 500 Why: Run x failed: ResourceNotFoundError: PipelineVersion y not found",
        GONE,
    ),
    "a run that is gone": (
        status(404, '{"message": "Failed to get run: ResourceNotFoundError: Run x not found"}'),
        GoneError,
        "HTTP 404 Why: Failed to get run: ResourceNotFoundError: Run x not found",
        "The run was deleted, or is on another server: nothing brings it back, and another one can be started.",
    ),
    "no answer of the API": (AnswerError("x"), ClusterError, "x", f"It may be a login page, or {PATH} {LOGIN}"),
    "bytes": (
        UnicodeDecodeError("utf-8", b"x", 0, 1, "y"),
        ClusterError,
        "an answer that is not text in UTF-8",
        f"It may be a login page, or {PATH} {LOGIN}",
    ),
    "a certificate": (
        urllib3.exceptions.MaxRetryError(POOL, "/", verified("expired")),
        ClusterError,
        "a certificate or connection that is not trusted: expired",
        CERTIFICATE,
    ),
    "a certificate that is not valid yet": (verified("early", 9), ClusterError, f"{UNTRUSTED}: early", TIME),
    "a certificate that is valid no more": (verified("late", 10), ClusterError, f"{UNTRUSTED}: late", TIME),
    "a certificate of another time": (verified("CRL", 11), ClusterError, f"{UNTRUSTED}: CRL", CERTIFICATE),
    "a server that wants a certificate": (
        ended("TLSV13_ALERT_CERTIFICATE_REQUIRED"),
        ClusterError,
        f"{UNTRUSTED}: no talk",
        "The server refuses to talk: it may not know the host by this name, take other versions of TLS only, or want a "
        "client's certificate, which a kubeconfig can name.",
    ),
    "no certificate": (
        urllib3.exceptions.SSLError("wrong version"),
        ClusterError,
        "a certificate or connection that is not trusted: wrong version",
        CERTIFICATE,
    ),
    "http": (
        urllib3.exceptions.MaxRetryError(POOL, "/", ended()),
        ClusterError,
        "an answer that is not https",
        "The host may speak http: give its address with http://, as in http://127.0.0.1:8080.",
    ),
    "a proxy": (
        urllib3.exceptions.MaxRetryError(POOL, "/", urllib3.exceptions.ProxyError("long", OSError("no"))),
        TransientError,
        "no way through the proxy: no",
        PROXY,
    ),
    "a proxy that cuts": (
        urllib3.exceptions.MaxRetryError(POOL, "/", urllib3.exceptions.ProxyError("long", ConnectionResetError("x"))),
        TransientError,
        "a connection that was cut: x",
        NETWORK,
    ),
    "an end within TLS": (
        urllib3.exceptions.MaxRetryError(POOL, "/", urllib3.exceptions.SSLError(ssl.SSLEOFError(8, "EOF"))),
        TransientError,
        "a connection that was cut: EOF",
        NETWORK,
    ),
    "no HTTP": (
        urllib3.exceptions.ProtocolError("Connection aborted.", http.client.BadStatusLine("SSH-2.0")),
        TransientError,
        "an answer that is not HTTP: SSH-2.0",
        "Check the address and its port: with https:// it may be right.",
    ),
    "no HTTP, but nothing": (
        urllib3.exceptions.ProtocolError("Connection aborted.", http.client.RemoteDisconnected("closed")),
        TransientError,
        "a connection that was cut: closed",
        NETWORK,
    ),
    "an end without a word": (
        urllib3.exceptions.MaxRetryError(POOL, "/", ConnectionAbortedError()),
        TransientError,
        "a connection that was cut: ConnectionAbortedError",
        NETWORK,
    ),
    "https": (
        status(400, "<h1>400</h1>The plain HTTP request was sent to HTTPS port"),
        ClusterError,
        "HTTP 400 Why: 400 The plain HTTP request was sent to HTTPS port",
        "The host speaks https: give its address with https://.",
    ),
    "https of Go": (
        status(400, "Client sent an HTTP request to an HTTPS server."),
        ClusterError,
        "HTTP 400 Why: Client sent an HTTP request to an HTTPS server.",
        "The host speaks https: give its address with https://.",
    ),
    "moved": (
        status(301, Location="https://k.example:8443/pipeline/apis/v2beta1/runs?x=1"),
        ClusterError,
        "HTTP 301 Why, to https://k.example:8443/pipeline/apis/v2beta1/runs",
        "The API has moved: give the host https://k.example:8443/pipeline.",
    ),
    "moved twice": (
        status(301, Location="https://k.example/apis/v2beta1/apis/v2beta1/runs"),
        ClusterError,
        "HTTP 301 Why, to https://k.example/apis/v2beta1/apis/v2beta1/runs",
        "The API has moved: give the host https://k.example.",
    ),
    "moved with a password": (
        status(301, Location="https://me:s3cret@k.example/apis/v2beta1/runs"),
        ClusterError,
        "HTTP 301 Why, to https://me:s3cret@k.example/apis/v2beta1/runs",
        f"It may be a login page: {LOGIN} Or {PATH}",
    ),
    "moved within": (
        status(308, Location="/pipeline/apis/v2beta1/runs"),
        ClusterError,
        "HTTP 308 Why, to /pipeline/apis/v2beta1/runs",
        f"It may be a login page: {LOGIN} Or {PATH}",
    ),
    "431": (
        status(431),
        ClusterError,
        "HTTP 431 Why",
        "The token or the cookies are too long for the server or a proxy: give only those that it needs.",
    ),
    "nobody there": (refused(), TransientError, "no connection: Connection refused", NETWORK),
    "nobody there, without more": (
        urllib3.exceptions.NewConnectionError(CONNECTION, "short"),
        TransientError,
        "no connection: HTTPConnection(host='h', port=80): short",
        NETWORK,
    ),
    "late": (
        urllib3.exceptions.ReadTimeoutError(POOL, "/", "x"),
        TransientError,
        "no answer in time (time-out)",
        NETWORK,
    ),
    "cut, without more": (
        urllib3.exceptions.ProtocolError("reset"),
        TransientError,
        "a connection that was cut: reset",
        NETWORK,
    ),
    "cut": (
        urllib3.exceptions.ProtocolError("Connection broken", http.client.IncompleteRead(b"")),
        TransientError,
        "a connection that was cut: IncompleteRead(0 bytes read)",
        NETWORK,
    ),
}


@pytest.mark.parametrize(("error", "kind", "got", "remedy"), FAILURES.values(), ids=FAILURES)
def test_each_failure_is_told(error: Exception, kind: type[ClusterError], got: str, remedy: str) -> None:
    """Which kind it is, what came instead of success, and what to do."""
    assert failures.explain(error) == (kind, got, remedy)


@pytest.mark.parametrize(
    ("data", "wanted", "message"),
    [
        (b"<p>", None, "no JSON of the Pipelines API, but: <p>"),
        (b"", None, "no JSON of the Pipelines API, but: nothing"),
        (b"[1]", "id", "no JSON of the Pipelines API, but: [1]"),
        (b"\xff{", None, "no JSON of the Pipelines API, but: \ufffd{"),
        (b'{"id": ""}', "id", "an answer without id"),
        (b"{}", "run_id", "an answer without run_id"),
        (b'{"error": "expired", "code": 16}', None, "an error in the place of an answer: expired"),
        (b'{"message": "expired", "details": []}', "id", "an error in the place of an answer: expired"),
        (b"<!doctype html><style>a {}</style><p>Log in", None, "no JSON of the Pipelines API, but: Log in"),
        (100_000 * b'{"a":', None, "an answer of too many levels"),
    ],
)
def test_what_is_no_answer_is_refused(data: bytes, wanted: str | None, message: str) -> None:
    """It is shown, as it may be a login page."""
    with pytest.raises(AnswerError) as caught:
        failures.parsed(data, wanted)
    assert str(caught.value) == message
    whole = {"id": "x", "error": {"message": "failed"}}
    assert failures.parsed(json.dumps(whole).encode(), "id") == whole
    assert failures.parsed(b'{"message": ""}', None) == {"message": ""}
    assert failures.parsed(b"{}", None) == {}


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (status(429, **{"Retry-After": "7"}), 7.0),
        (status(429, **{"Retry-After": "0"}), 0.0),
        (status(429, **{"Retry-After": "010"}), 10.0),
        (status(429, **{"Retry-After": "60"}), 60.0),
        (status(429, **{"Retry-After": "61"}), 60.0),
        (status(429, **{"Retry-After": "7.5"}), None),
        (status(429, **{"retry-after": "7"}), 7.0),
        (status(429, Other="7"), None),
        (status(429), None),
        (OSError(), None),
    ],
)
def test_a_pause_is_at_most_a_minute(error: Exception, seconds: float | None) -> None:
    """Whatever a server asks for, and however a proxy spells it."""
    assert failures.retry_after(error) == seconds


def test_a_text_is_told_in_one_line() -> None:
    """The sentence around it has a stop of its own."""
    assert failures.in_one_line(" a\n b.c \t X... ") == "a b.c X"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (status(499), False),
        (status(408), True),
        (status(409), False),
        (status(500, "Invalid input error"), False),
        (status(502, "Invalid input error"), True),
        (status(500, "ResourceNotFoundError"), False),
        (urllib3.exceptions.ProxyError("long", OSError("Tunnel connection failed: 403")), False),
        (urllib3.exceptions.ProxyError("long", ConnectionResetError("x")), True),
        (urllib3.exceptions.SSLError(ssl.SSLEOFError(8, "EOF")), True),
        (ended(), False),
    ],
)
def test_what_the_server_refused_has_not_worked(error: Any, expected: bool) -> None:
    """Also where it calls that its own failure."""
    assert failures.may_have_worked(error) is expected


def test_what_strict_clients_miss_in_a_certificate_is_told(tmp_path: Path) -> None:
    """From Python 3.13 on each client is strict: who gave the authority's certificate would give it again."""
    made = certificates.authority(tmp_path / "authority", identified=False)
    with pytest.raises(ssl.SSLCertVerificationError) as refused:
        certificates.strictly(made)
    assert failures.explain(urllib3.exceptions.SSLError(refused.value)) == (
        ClusterError,
        "a certificate or connection that is not trusted: Missing Authority Key Identifier",
        "Have the certificate made again with what RFC 5280 asks for, or use Python 3.12, which asks for less.",
    )
