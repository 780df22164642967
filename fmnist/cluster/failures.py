"""What goes wrong between here and a cluster: what came instead of success, of which kind that is, and what to do."""

import html
import http.client
import json
import re
import ssl
from http import HTTPStatus
from typing import Any

import urllib3
from kfp_server_api import ApiException

from fmnist.cluster import connection
from fmnist.cluster.answers import AnswerError, HalfAnswerError, checked
from fmnist.steps.errors import ContractError, FmnistError

__all__ = [
    "ADDRESS",
    "TIMED_OUT",
    "AnswerError",
    "ClusterError",
    "GoneError",
    "HalfAnswerError",
    "InvalidInputError",
    "TransientError",
    "UnfinishedError",
    "explain",
    "in_one_line",
    "may_have_worked",
    "parsed",
    "retry_after",
]

#: The longest pause in seconds that a busy server may ask for.
LONGEST_PAUSE = 60.0

#: What came instead of an answer that did not come in time.
TIMED_OUT = "no answer in time (time-out)"

_LOGIN = f"Give a valid token, in a file or in ${connection.TOKEN}, or cookies in ${connection.COOKIES}."
_PATH = "the host may not be the Pipelines API of version 2, or lack a path, as in https://kubeflow.example/pipeline."
#: What to do where there is nothing at the address that was asked.
ADDRESS = f"Check the address: {_PATH}"
_PROXY = (
    "Check --proxy or $HTTPS_PROXY, with the user and password of the proxy; $NO_PROXY names hosts to ask directly."
)
#: OpenSSL's codes for what only strict clients refuse, as Python 3.13 and newer are.
_STRICT = range(80, 94)
_UNKNOWN = "Give the CA's certificate if it is your own, and the host by the name that the certificate has."
#: OpenSSL's codes for a certificate that is not valid yet, or no more.
_TIMES = dict.fromkeys((9, 10), "Have the server's certificate renewed, or set the clock of this machine right.")
_ALERT = (
    "The server refuses to talk: it may not know the host by this name, take other versions of TLS only, or want a "
    "client's certificate, which a kubeconfig can name."
)
_LACKING = "Have the certificate made again with what RFC 5280 asks for, or use Python 3.12, which asks for less."
_PLAIN = "The host may speak http: give its address with http://, as in http://127.0.0.1:8080."
_REMEDIES = {
    400: "Check names, namespace and parameters against the server's message.",
    401: _LOGIN,
    403: "Check the namespace, and that your account may do this there.",
    404: ADDRESS,
    405: ADDRESS,
    407: _PROXY,
    409: "Something of that name is there or being made: try again, or choose another name.",
    413: "The file is too large for the server or a proxy: raise the limit there, or go around the proxy.",
    414: "The description of the pipeline is too long for the server or a proxy, as part of an address: shorten it.",
    429: "The server is busy: try again later.",
    431: "The token or the cookies are too long for the server or a proxy: give only those that it needs.",
}
_GONE = "It is not there, or was deleted in the meantime: do the same again, which makes what is missing."
_NO_RUN = "The run was deleted, or is on another server: nothing brings it back, and another one can be started."
#: What nginx and Go say where TLS is expected.
_TLS = "HTTP request (was sent )?to (an )?HTTPS"
_PORT = "Check the address and its port: with https:// it may be right."
#: What the server says of input that is not valid, also with the status 500 of its own failures.
_INVALID = "Invalid input|unknown template format"
#: Where an error has its message, and what else it has at most.
_SAID, _BESIDE = {"message", "error_message", "error"}, {"code", "details", "status"}
#: What of a page nobody reads: its styles, scripts, comments and tags.
_MARKUP = re.compile(r"(?is)<(style|script)\b[^>]*>.*?(?:</\1\s*>|\Z)|<!--.*?-->|<[^>]*>")
_SERVER_FAILED = "Try again later; if it stays, the log of the ml-pipeline server or of the proxy says why."
_TRY_AGAIN = (
    "Check the network, the server, and whether it took the request even so; then try again. "
    "A proxy may also limit size or time."
)


class ClusterError(FmnistError, RuntimeError):
    """The cluster refuses a request, with this HTTP status, cannot be reached, or its run does not succeed."""

    status: int | None = None
    #: What came instead of success.
    got: str = ""
    #: Whether the server may have done, even so, what it was asked for.
    unsure: bool = False
    #: The seconds after which a busy server wants to be asked again.
    pause: float | None = None


class TransientError(ClusterError):
    """A failure that may pass by itself."""


class UnfinishedError(ClusterError):
    """A run has not ended in the time that somebody waits for it."""


class GoneError(ClusterError):
    """A run is not there any more."""


class InvalidInputError(ContractError, ClusterError):
    """The server says that what it got is not valid, with whatever status."""


def parsed(data: bytes, wanted: str | None) -> dict[str, Any]:
    """Return a JSON object that has the key `wanted`; kfp's client makes an empty answer of anything else."""
    try:
        answer = json.loads(data)
    except RecursionError:
        raise AnswerError("an answer of too many levels") from None
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        text = data.decode(errors="replace")
        if text.lstrip().startswith("{"):
            raise HalfAnswerError(f"half of an answer: {text}")
        raise AnswerError(f"no JSON of the Pipelines API, but: {_without_markup(text).strip() or text or 'nothing'}")
    if any(map(answer.get, _SAID)) and answer.keys() <= _SAID | _BESIDE:
        raise AnswerError(f"an error in the place of an answer: {_said(json.dumps(answer))}")
    answer = checked(answer)
    if wanted and not answer.get(wanted):
        raise AnswerError(f"an answer without {wanted}")
    return answer


def explain(error: Exception) -> tuple[type[ClusterError], str, str]:
    """Return the kind of error to raise, what came instead of success, and what to do."""
    if isinstance(error, ApiException):
        return _explain_status(error)
    if isinstance(error, AnswerError | UnicodeDecodeError):
        got = str(error) if isinstance(error, AnswerError) else "an answer that is not text in UTF-8"
        half = isinstance(error, HalfAnswerError)
        remedy = _TRY_AGAIN if half else f"It may be a login page, or {_PATH} {_LOGIN}"
        return TransientError if half else ClusterError, got, remedy
    reason = _reason(error)
    if isinstance(reason, urllib3.exceptions.SSLError):
        plain = getattr(reason.args[0], "reason", None) == "WRONG_VERSION_NUMBER"
        return ClusterError, *(("an answer that is not https", _PLAIN) if plain else _untrusted(reason.args[0]))
    if isinstance(reason, urllib3.exceptions.ProxyError):
        return TransientError, f"no way through the proxy: {reason.original_error}", _PROXY
    if type(_last(reason)) is http.client.BadStatusLine:
        return TransientError, f"an answer that is not HTTP: {_last(reason)}", _PORT
    return TransientError, _cut(reason), _TRY_AGAIN


def _untrusted(error: Any) -> tuple[str, str]:
    """Return what came instead of a connection that can be trusted, and what to do."""
    code, alert = getattr(error, "verify_code", 0), "_ALERT_" in str(getattr(error, "reason", None))
    remedy = _LACKING if code in _STRICT else _TIMES.get(code) or (_ALERT if alert else _UNKNOWN)
    return f"a certificate or connection that is not trusted: {getattr(error, 'verify_message', None) or error}", remedy


def _reason(error: Exception) -> Any:
    """Return what happened, which urllib3 wraps, once or twice."""
    reason: Any = getattr(error, "reason", None) or error
    inner = getattr(reason, "original_error", None) or next(iter(reason.args), None)
    # It takes a proxy that cuts a connection for one that was never reached, and an end within TLS for no trust.
    proxy = isinstance(reason, urllib3.exceptions.ProxyError) and isinstance(inner, ConnectionError)
    tls = isinstance(reason, urllib3.exceptions.SSLError) and isinstance(inner, ssl.SSLEOFError)
    return inner if proxy or tls else reason


def _cut(reason: Any) -> str:
    """Return what came instead of an answer."""
    if isinstance(reason, urllib3.exceptions.NewConnectionError):
        return f"no connection: {reason.__cause__ or reason}"
    if isinstance(reason, urllib3.exceptions.TimeoutError):
        return TIMED_OUT
    return f"a connection that was cut: {_last(reason)}"


def _last(reason: Any) -> Any:
    """Return the last thing that an error says, or what it is called."""
    return [type(reason).__name__, *reason.args][-1]


def _explain_status(error: ApiException) -> tuple[type[ClusterError], str, str]:
    status, body = error.status, error.body or ""
    got = f"HTTP {status} {error.reason}".strip()
    if said := _said(body).strip():
        got += f": {said}"
    if 300 <= status < 400:  # noqa: PLR2004 - the statuses of a redirection
        target = re.split("[?#]", (error.headers or {}).get("Location", ""))[0]
        return ClusterError, f"{got}, to {target or 'no address'}", _moved(target)
    if status == HTTPStatus.BAD_REQUEST and said and re.search(_TLS, said):
        return ClusterError, got, "The host speaks https: give its address with https://."
    # The API has these two statuses for it; a page of a proxy may have the words too.
    if status in {400, 500} and said and re.search(_INVALID, said):
        return InvalidInputError, got, _REMEDIES[400]
    if said and "ResourceNotFoundError" in said:
        return (GoneError, got, _NO_RUN) if "ResourceNotFoundError: Run " in said else (ClusterError, got, _GONE)
    # Time-outs of a proxy, a busy server, and the statuses of a server's failure.
    transient = status in {408, 429} or status >= 500  # noqa: PLR2004
    # The API answers in JSON.
    page = f" If it is the page of a login: {_LOGIN}" if status == HTTPStatus.FORBIDDEN and "<" in body else ""
    return TransientError if transient else ClusterError, got, _REMEDIES.get(status, _SERVER_FAILED) + page


def _moved(target: str) -> str:
    """Return what to do where the server sends somebody to another address."""
    host, api, _ = target.partition("/apis/v")
    if api and "://" in host and "@" not in host:
        return f"The API has moved: give the host {host}."
    return f"It may be a login page: {_LOGIN} Or {_PATH}"


def _said(body: str) -> str:
    """Return what the server says in the body of an error: the API in JSON, a proxy in text or HTML."""
    try:
        answer = json.loads(body)
        said = next(answer[key] for key in ("message", "error_message", "error") if answer.get(key))
        # Google's gateways have the message within.
        return str((said.get("message") if isinstance(said, dict) else None) or said)
    except (ValueError, StopIteration, AttributeError, RecursionError):
        return _without_markup(body)


def _without_markup(page: str) -> str:
    return html.unescape(_MARKUP.sub(" ", page))


def in_one_line(text: str) -> str:
    """Return `text` in one line, without a stop at its end."""
    return " ".join(text.split()).rstrip(".")


def retry_after(error: Exception) -> float | None:
    """Return the seconds after which a busy server wants to be asked again, at most `LONGEST_PAUSE`."""
    value = (getattr(error, "headers", None) or {}).get("Retry-After", "")
    return min(float(value), LONGEST_PAUSE) if re.fullmatch(r"\d+", value) else None


def may_have_worked(error: Exception) -> bool:
    """Return whether the server may have done what it was asked for, though `error` came instead of its answer."""
    if isinstance(error, ApiException):
        failed = error.status >= HTTPStatus.INTERNAL_SERVER_ERROR and explain(error)[0] is TransientError
        return bool(failed or error.status == HTTPStatus.REQUEST_TIMEOUT)
    before = (
        urllib3.exceptions.NewConnectionError,
        urllib3.exceptions.ConnectTimeoutError,
        urllib3.exceptions.ProxyError,
        urllib3.exceptions.SSLError,
    )
    return not isinstance(_reason(error), before)
