"""The environment of processes that compute results: an allow-list, so that no other variable can matter."""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["NO_DOCSTRINGS", "allowed", "clean_environment"]

#: Said where help, and what a compiled pipeline says of its parameters, would be empty.
NO_DOCSTRINGS = (
    "Python: expected docstrings, from which help and descriptions come, got a Python that drops them. Unset "
    "PYTHONOPTIMIZE, and do not give -OO."
)

#: What finds programs, code, folders, data, proxies and certificates, and the locale and time zone for messages.
_ALLOWED = re.compile(
    r"PATH|LD_LIBRARY_PATH|PYTHONPATH|PYTHONSAFEPATH|PYTHONDONTWRITEBYTECODE|PYTHONPYCACHEPREFIX"
    r"|HOME|USER|LOGNAME|TMPDIR|MPLCONFIGDIR|XDG_\w+|FMNIST_DATA_DIR|FMNIST_MIRROR"
    r"|(?i:(https?|all|no)_proxy)|SSL_CERT_(FILE|DIR)|(REQUESTS|CURL)_CA_BUNDLE"
    r"|LANG|LANGUAGE|LC_\w+|TZ"
)

#: Those of them that name a place, and those that name several.
_PLACE = {"FMNIST_DATA_DIR", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}
_PLACES = {"PYTHONPATH", "LD_LIBRARY_PATH", "SSL_CERT_DIR"}


def allowed() -> dict[str, str]:
    """Return what of this process's environment may reach one that computes results, from any working folder."""
    return {name: _absolute(name, value) for name, value in os.environ.items() if _ALLOWED.fullmatch(name)}


def _absolute(name: str, value: str) -> str:
    if value and name in _PLACES:
        return os.pathsep.join(map(os.path.abspath, value.split(os.pathsep)))
    # What begins with ~ is in a home folder.
    return str(Path(value).absolute()) if value and name in _PLACE and not value.startswith("~") else value


@contextlib.contextmanager
def clean_environment(**changes: str) -> Iterator[None]:
    """Leave of this process's environment only what is allowed, and `changes`; put everything back at the end."""
    before = dict(os.environ)
    _set(allowed() | changes)
    try:
        yield
    finally:
        _set(before)


def _set(wanted: dict[str, str]) -> None:
    """Make `wanted` the environment, one variable after another, as another thread may be reading it."""
    for name in os.environ.keys() - wanted.keys():
        del os.environ[name]
    os.environ.update(wanted)
