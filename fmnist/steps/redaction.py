"""Text that may be shown: without the secrets of addresses, headers and the environment, and harmless."""

import base64
import json
import os
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus, unquote

from fmnist.steps.characters import printable

__all__ = ["COOKIES", "HIDDEN", "TOKEN", "safe", "without_secrets"]

#: What stands in the place of a secret.
HIDDEN = "***"

#: A shorter text is no secret by itself, and occurs within words.
_SHORTEST = 6

#: Environment variables that hold a token and cookies for Kubeflow, for when none is given.
TOKEN, COOKIES = "FMNIST_KFP_TOKEN", "FMNIST_KFP_COOKIES"

#: Those that hold one secret, kfp's own among them, and those that hold a URL which may have one.
_SECRETS = {TOKEN, "KF_PIPELINES_APP_OAUTH2_CLIENT_SECRET"}
_ADDRESS = re.compile(r"FMNIST_MIRROR|(?i:\w+_proxy)|KF_\w+ENDPOINT")

_URL = re.compile(r"""([a-z][a-z0-9+.-]{0,20}://)([^\s"'<>]*[^\s"'<>).,:;])""", re.IGNORECASE)
_HEADER = re.compile(
    r"""(\b(?:(?:proxy-)?authorization|(?:set-)?cookie|x-[\w-]{0,40}(?:token|key))['"]?\s*[:=]\s*(?:b?['"])?)[^\r\n'"]+""",
    re.IGNORECASE,
)
_BEARER = re.compile(r"(\b[Bb]earer )[\w.~+/=-]{8,}|()(?<![\w-])eyJ[\w-]+\.[\w-]+\.[\w-]*")
#: The query of an address whose host is named elsewhere.
_QUERY = re.compile(r"""(?<=\?)[^\s"'<>=?]+=[^\s"'<>)]*[^\s"'<>).,:]""")


def safe(text: str, secrets: Iterable[str] = ()) -> str:
    r"""Return `text` as messages, logs and terminals may have it.

    Examples
    --------
    >>> safe("HTTP 500 \x1b[31m from https://me:s3cret@mirror.example/data?signature=abc")
    'HTTP 500 \\x1b[31m from https://***@mirror.example/data?signature=***'
    """
    # Again, as a character that is an escape now may have kept an address from being seen as one.
    return without_secrets(printable(without_secrets(text, secrets)), secrets)


def without_secrets(text: str, secrets: Iterable[str] = ()) -> str:
    """Return `text` without what a URL or a header may hide, what this environment hides, and other `secrets`.

    Of a URL, user, password, and the values in query and fragment go; a page of Kubeflow's UI, a fragment, stays.
    """
    for form in sorted({form for one in (*secrets, *_of_environment()) for form in _forms(one)}, key=len, reverse=True):
        text = text.replace(form, HIDDEN)
    text = _URL.sub(lambda url: url[1] + _bare(url[2]), text)
    text = _QUERY.sub(lambda query: _values_hidden(query[0]), text)
    return _BEARER.sub(rf"\1{HIDDEN}", _HEADER.sub(rf"\1{HIDDEN}", text))


def _bare(address: str) -> str:
    """Return the part of a URL that follows its scheme, without secrets."""
    login, rest = _login(address)
    path, mark, query = re.fullmatch(r"(.*?)(?:(\?|#(?!/))(.*))?", rest).groups("")  # type: ignore[union-attr]
    return (f"{HIDDEN}@" if login else "") + path + mark + _values_hidden(query)


def _values_hidden(query: str) -> str:
    """Return a query, or a fragment, with its names alone."""
    return re.sub(r"([^=?&#;]+=)?[^=?&#;]+", rf"\1{HIDDEN}", query)


def _login(address: str) -> tuple[str, str]:
    """Return the user and password in the part of a URL that follows its scheme, and the rest of it."""
    host = re.split(r"[/?#]", address)[0]
    # A password may have characters that end the host, unless they are escaped.
    odd = ":" in host and not re.search(r":\d*$|\]$", host)
    hidden, _, rest = (address if odd else host).rpartition("@")
    return hidden, (rest if odd else rest + address[len(host) :])


def _of_environment() -> Iterator[str]:
    """Give the secrets in the environment variables that this program reads."""
    for name, value in os.environ.items():
        if name in _SECRETS:
            yield value.strip()
        elif name == COOKIES:
            yield from (part.partition("=")[2].strip() or part.strip() for part in value.split(";"))
        elif _ADDRESS.fullmatch(name):
            login, rest = _login(value.partition("://")[2] or value)
            yield from (login, login.partition(":")[2])
            # A page of Kubeflow's UI is a fragment that begins with a slash.
            yield from (part.partition("=")[2] or part for part in re.split(r"[?&]|#(?!/)", rest)[1:])


def _forms(secret: str) -> set[str]:
    """Return how a secret may be written: itself, as in URLs, in texts of JSON and Python, and in headers."""
    plain = {secret, unquote(secret, errors="surrogateescape")}
    raw = {one.encode(errors="surrogateescape") for one in plain}
    quoted = {form(one) for one in raw for form in (quote, quote_plus, lambda one: quote(one, safe=""))}
    quoted |= {re.sub("%..", lambda code: code[0].lower(), one) for one in quoted} | {quote(one) for one in quoted}
    escaped = {form(one)[1:-1] for one in plain for form in (json.dumps, repr)}
    encoded = {base64.b64encode(one).decode() for one in raw}
    return {form for form in plain | quoted | escaped | encoded if len(form) >= _SHORTEST}
