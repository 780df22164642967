"""Requests to web servers that nobody vouches for: bounded in time, redirects and memory."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from functools import partial
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urljoin

if TYPE_CHECKING:
    import requests

__all__ = ["answer", "body", "session"]

TIMEOUT = (5.0, 30.0)  # seconds to connect, and between two packets
RETRIES, BACKOFF = 2, 1.0  # of each request, with a pause of this many seconds at first, doubled each time
BUSY = (429, 500, 502, 503, 504)  # HTTP statuses that may pass
REDIRECTS = 5  # of each request, at most
LONGEST = 60.0  # seconds that an answer, or the next part of a file, may take in all
PATIENCE, SLOWEST = 30.0, 10_000  # after these seconds a download must have this many bytes a second

_CHUNK = 2**16

_T = TypeVar("_T")


def session() -> "requests.Session":
    """Return a session whose requests are made by `answer`."""
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    # Statuses and redirects are for `answer`, because requests reads their bodies to the end, if they have one.
    retry = Retry(RETRIES, read=0, status=0, backoff_factor=BACKOFF, respect_retry_after_header=False)
    made = requests.Session()
    made.resolve_redirects = lambda *_, **__: iter(())  # type: ignore[method-assign]
    made.headers["Accept-Encoding"] = "identity"
    for scheme in ("https://", "http://"):
        made.mount(scheme, HTTPAdapter(max_retries=retry))
    return made


def answer(session: "requests.Session", url: str) -> "requests.Response":
    """Return the answer to a request for `url`, with its body still to come.

    Raises
    ------
    OSError
        If there is none in time, or none but that the server is busy, or too many redirects.
    """
    return _in_time(partial(_followed, session, url))


def body(response: "requests.Response", report: Callable[[int, int], None]) -> Iterator[bytes]:
    """Yield the body as it arrives; raise if it arrives too slowly."""
    total, started = response.raw.length_remaining or 0, time.monotonic()
    while chunk := _in_time(partial(response.raw.read1, _CHUNK)):
        done = response.raw.tell()
        if done < SLOWEST * (time.monotonic() - started - PATIENCE):
            raise TimeoutError(f"less than {SLOWEST} bytes a second")
        # Whether the whole file is there is checked when it is verified.
        if done != total:
            report(done, total)
        yield chunk


def _in_time(call: Callable[[], _T]) -> _T:
    """Return what `call` returns; raise if it takes too long: the time-out of a socket starts again with each byte."""
    result: Future[_T] = Future()

    def work() -> None:
        try:
            result.set_result(call())
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            result.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    if not wait([result], LONGEST).done:
        raise TimeoutError(f"expected an answer, or more of the file, within {LONGEST:.0f} seconds, got neither")
    return result.result()


def _followed(session: "requests.Session", url: str) -> "requests.Response":
    """Return the answer to a request, after redirects, with its body still to come."""
    for _ in range(REDIRECTS + 1):
        response = _tried(session, url)
        if (target := session.get_redirect_target(response)) is None:
            return response
        response.close()
        url = urljoin(url, target)
    raise OSError(f"expected at most {REDIRECTS} redirects, got more")


def _tried(session: "requests.Session", url: str) -> "requests.Response":
    """Return the answer to a request, which is sent again while the server is busy."""
    for tried in range(RETRIES + 1):
        # Other sources are quicker than a server that asks for an hour's pause.
        if pause := BACKOFF * tried:
            time.sleep(pause)
        response = session.get(url, stream=True, timeout=TIMEOUT, allow_redirects=False)
        if response.status_code not in BUSY:
            return response
        response.close()
    raise OSError(f"{response.status_code} {response.reason}, {RETRIES + 1} times")
