"""The environment of processes that compute results: an allow-list, so that no other variable can matter."""

import contextlib
import os
import re
from collections.abc import Iterator

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

#: Those of them that name places, which are to be the same ones from another working folder.
_PLACES = re.compile(r"PYTHONPATH|LD_LIBRARY_PATH|FMNIST_DATA_DIR|SSL_CERT_(FILE|DIR)|(REQUESTS|CURL)_CA_BUNDLE")


def allowed() -> dict[str, str]:
    """Return what of this process's environment may reach one that computes results."""
    found = {name: value for name, value in os.environ.items() if _ALLOWED.fullmatch(name)}
    return {name: _absolute(value) if value and _PLACES.fullmatch(name) else value for name, value in found.items()}


def _absolute(places: str) -> str:
    return os.pathsep.join(map(os.path.abspath, places.split(os.pathsep)))


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
