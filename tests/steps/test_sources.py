"""Where the dataset's files come from, tried with real servers, a real apt-get and real faults."""

import contextlib
import gzip
import hashlib
import http.server
import logging
import os
import pwd
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support import helpers

import fmnist
from fmnist.steps import sources, web
from fmnist.steps.data_file import DataFile
from fmnist.steps.errors import DataError

CONTENT = {"images": random.Random(0).randbytes(300_000), "labels": bytes(range(200))}  # noqa: S311 - not a secret
ZIPPED = {name: gzip.compress(content) for name, content in CONTENT.items()}
FILES = tuple(DataFile(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in CONTENT.items())
WRONG = {name: gzip.compress(bytes(len(content))) for name, content in CONTENT.items()}

Respond = Callable[[http.server.BaseHTTPRequestHandler], None]


def fill(folder: Path, files: dict[str, bytes], suffix: str = "") -> None:
    """Write `files` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / f"{name}{suffix}").write_bytes(data)


def contents(folder: Path) -> dict[str, bytes]:
    """Return what the files of `folder` hold, also the hidden ones; nothing if there is no such folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


def send(request: http.server.BaseHTTPRequestHandler, status: int, body: bytes = b"", **headers: str) -> None:
    """Answer `request`."""
    request.send_response(status)
    for name, value in ({"Content_Length": str(len(body))} | headers).items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    request.wfile.write(body)


def asked(request: http.server.BaseHTTPRequestHandler) -> str:
    """Return the name of the file that `request` asks for."""
    return request.path.rpartition("/")[2].removesuffix(".gz")


def good(request: http.server.BaseHTTPRequestHandler) -> None:
    """Answer with the published file."""
    send(request, 200, ZIPPED[asked(request)])


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Give the cache folder, which is not there yet."""
    return tmp_path / "cache"


@pytest.fixture
def debian(tmp_path: Path) -> Path:
    """Give the folder of Debian's installed package, which is not there yet."""
    return tmp_path / "debian"


@pytest.fixture(autouse=True)
def _no_sources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, debian: Path) -> None:
    """Let every test start with no source at all and no wait between tries."""
    monkeypatch.setattr(sources, "MIRRORS", ())
    monkeypatch.setattr(sources, "DEBIAN_FOLDER", debian)
    monkeypatch.setattr(web, "BACKOFF", 0)
    monkeypatch.setattr(web, "TIMEOUT", (5, 1.5))
    monkeypatch.setenv("PATH", str(tmp_path / "no-programs"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@contextlib.contextmanager
def web_server(respond: Respond) -> Iterator[tuple[str, list[str]]]:
    """Give the URL of a web server on this machine that answers as told, and the log of its requests."""
    log: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            log.append(self.path)
            with contextlib.suppress(ConnectionError):  # a client may leave early
                respond(self)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/", log
        finally:
            server.shutdown()


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Respond], list[str]]]:
    """Give a function that adds a mirror which answers as told, and returns the log of its requests."""
    with contextlib.ExitStack() as servers:

        def start(respond: Respond) -> list[str]:
            url, log = servers.enter_context(web_server(respond))
            monkeypatch.setattr(sources, "MIRRORS", (*sources.MIRRORS, url))
            return log

        yield start


Serve = Callable[[Respond], list[str]]

# The cache and Debian's package


def test_cached_files_are_enough(cache: Path, serve: Serve) -> None:
    """Files in the cache are used and left as they are, and nobody is asked."""
    log = serve(good)
    fill(cache, CONTENT)
    before = {path.name: path.stat().st_ino for path in cache.iterdir()}
    assert sources.find(FILES, cache) == CONTENT
    assert {path.name: path.stat().st_ino for path in cache.iterdir()} == before
    assert log == []


def test_what_a_killed_process_left_beside_a_whole_file_is_swept(cache: Path) -> None:
    """Another process may have written the file since: nobody will write it again."""
    fill(cache, {**CONTENT, ".images.0123abcd.tmp": b"half", ".labels.4567ef89.tmp": b""})
    sources.find(FILES, cache)
    assert contents(cache) == CONTENT


def test_debian_package_is_used_and_kept(
    cache: Path, debian: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files of Debian's installed package are unpacked into the cache, and nobody is asked, not even one's own."""
    log = serve(good)
    fill(debian, ZIPPED, ".gz")
    assert sources.find(FILES, cache, offline=True) == CONTENT
    assert contents(cache) == CONTENT
    assert sources.find(FILES, cache.with_name("online")) == CONTENT
    monkeypatch.setenv("FMNIST_MIRROR", *sources.MIRRORS)
    assert sources.find(FILES, cache.with_name("own")) == CONTENT
    assert log == []


def test_only_what_is_missing_is_sought(cache: Path, serve: Serve) -> None:
    """A file that the cache has is not downloaded again."""
    log = serve(good)
    fill(cache, {"images": CONTENT["images"]})
    assert sources.find(FILES, cache) == CONTENT
    assert log == ["/labels.gz"]


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(b"\0" + CONTENT["images"][1:], id="one byte differs"),
        pytest.param(CONTENT["images"][:-1], id="too short"),
        pytest.param(CONTENT["images"] + b"\0", id="too long"),
        pytest.param(b"", id="empty"),
    ],
)
def test_corrupt_cached_file_is_replaced(broken: bytes, cache: Path, debian: Path) -> None:
    """A corrupt cached file is not used, and the next source's content takes its place."""
    fill(cache, {**CONTENT, "images": broken})
    fill(debian, ZIPPED, ".gz")
    assert sources.find(FILES, cache) == CONTENT
    assert contents(cache) == CONTENT


@pytest.mark.parametrize("suffix", ["", ".gz"], ids=["in the cache", "in Debian's folder"])
@pytest.mark.parametrize(
    "make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")], ids=["pipe", "folder", "device"]
)
def test_what_is_no_file_is_refused_at_once(
    make: Callable[[Path], None], suffix: str, cache: Path, debian: Path
) -> None:
    """A pipe, a folder or a device in the place of a file is not waited for, and not read."""
    for folder in (cache, debian):
        folder.mkdir()
    make((debian if suffix else cache) / f"images{suffix}")
    with pytest.raises(DataError, match="images: .*(is no regular file|Is a directory)"):
        sources.find(FILES[:1], cache)


def test_refusal_names_both_digests(cache: Path, debian: Path) -> None:
    """A file of the right size with other content is refused with the digest expected and the one got."""
    fill(debian, WRONG, ".gz")
    got = hashlib.sha256(bytes(200)).hexdigest()
    with pytest.raises(DataError, match=f"labels: expected SHA-256 {FILES[1].sha256}, got {got}"):
        sources.find(FILES, cache)
    assert contents(cache) == {}
    nearly = f"{FILES[1].sha256[:-1]}x"
    with pytest.raises(DataError, match=f"^expected SHA-256 {nearly}, got {FILES[1].sha256}$"):
        DataFile("labels", 200, nearly).verified(CONTENT["labels"])


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        pytest.param(ZIPPED["labels"][:-50], "expected 200 bytes, got", id="truncated"),
        pytest.param(gzip.compress(bytes(199)), "expected 200 bytes, got 199", id="too short"),
        pytest.param(gzip.compress(bytes(201)), "expected 200 bytes, got more", id="too long"),
        pytest.param(b"<html>Sign in</html>", "incorrect header check", id="not gzip"),
        pytest.param(b"", "expected 200 bytes, got 0", id="empty"),
    ],
)
def test_broken_debian_file_is_refused(broken: bytes, reason: str, cache: Path, debian: Path) -> None:
    """A compressed file that does not unpack to the published content is refused with the reason."""
    fill(debian, {**ZIPPED, "labels": broken}, ".gz")
    with pytest.raises(DataError, match=f"{debian}: .*labels: .*{reason}"):
        sources.find(FILES, cache)
    assert contents(cache) == {"images": CONTENT["images"]}


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("labels.gz", gzip.compress(bytes(2**26)), "labels: expected 200 bytes, got more"),
        # The start of a name that has no end.
        (
            "labels.gz",
            b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * 2**26,
            "labels: expected at most 65736 bytes compressed, got more",
        ),
        ("labels", bytes(2**26), "labels: expected 200 bytes, got more"),
    ],
    ids=["bomb", "large compressed file", "large file"],
)
def test_what_is_too_large_does_not_fill_memory(
    name: str, content: bytes, reason: str, cache: Path, debian: Path
) -> None:
    """A small file that unpacks to 64 MiB, and files of that size, are refused before they take a fraction of that."""
    folder = debian if name.endswith(".gz") else cache
    fill(folder, {name: content})
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=f"{folder}: {reason}"):
            sources.find(FILES[1:], cache, offline=True)
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("level", [0, 9], ids=["byte by byte", "in leaps"])
@pytest.mark.parametrize("size", [1, 10, 6_000])
def test_no_more_is_unpacked_than_one_byte_too_many(level: int, size: int) -> None:
    """However the compressed bytes arrive, and whatever comes of each."""
    zipped = gzip.compress(bytes(5_000), compresslevel=level)
    chunks = (zipped[at : at + size] for at in range(0, len(zipped), size))
    assert sources._inflate(chunks, DataFile("zeros", 200, "")) == bytes(201)


@pytest.mark.parametrize("more", [0, 1])
def test_a_compressed_file_may_be_that_much_larger(more: int) -> None:
    """By 64 KiB, as it may hold a name and a comment, which here fill it to the last byte."""
    bare = gzip.compress(CONTENT["labels"])
    name = b"n" * (len(CONTENT["labels"]) + 65_536 - len(bare) - 1 + more) + b"\0"
    named = bare[:3] + b"\x08" + bare[4:10] + name + bare[10:]
    file = FILES[1]
    if more:
        with pytest.raises(DataError, match=f"^expected at most {file.size + 65_536} bytes compressed, got more$"):
            sources._inflate([named], file)
    else:
        assert sources._inflate([named], file) == CONTENT["labels"]


# Mirrors


def lacking(name: str) -> Respond:
    """Return a mirror's way to answer if it has not the file of that name."""
    return lambda request: send(request, 404) if asked(request) == name else good(request)


def truncated(request: http.server.BaseHTTPRequestHandler) -> None:
    """Announce the whole file and send half of it."""
    body = ZIPPED[asked(request)]
    send(request, 200, body[: len(body) // 2], Content_Length=str(len(body)))
    request.close_connection = True


def leave(request: http.server.BaseHTTPRequestHandler) -> None:
    """Close the connection without an answer."""
    request.close_connection = True


def hang(request: http.server.BaseHTTPRequestHandler) -> None:
    """Say nothing for longer than a client waits."""
    request.close_connection = True
    threading.Event().wait(2 * web.TIMEOUT[1])


def stall(request: http.server.BaseHTTPRequestHandler) -> None:
    """Send half of the file, then nothing for longer than a client waits."""
    truncated(request)
    hang(request)


def drip(request: http.server.BaseHTTPRequestHandler) -> None:
    """Send a byte now and then, so that no wait for the next one is long."""
    send(request, 200, Content_Length=str(len(ZIPPED[asked(request)])))
    for byte in ZIPPED[asked(request)]:
        threading.Event().wait(0.02)
        request.wfile.write(bytes([byte]))


def for_ever(request: http.server.BaseHTTPRequestHandler, part: bytes, pause: float = 0.0) -> None:
    """Send `part` again and again, until the client leaves or is late."""
    request.close_connection = True
    late = time.monotonic() + 3
    while time.monotonic() < late:
        request.wfile.write(part)
        threading.Event().wait(pause)


def without_end(start: bytes, part: bytes, pause: float = 0.0) -> Respond:
    """Return a mirror's way to answer with `start` and then `part` for ever."""

    def respond(request: http.server.BaseHTTPRequestHandler) -> None:
        request.wfile.write(start)
        for_ever(request, part, pause)

    return respond


def late(request: http.server.BaseHTTPRequestHandler) -> None:
    """Lead elsewhere, each time in less time than an answer may take, but not all of them together."""
    threading.Event().wait(0.3)
    send(request, 302, Location=f"/again{request.path}")


OK = b"HTTP/1.1 200 OK\r\n"

#: Answers that never end, each in another part.
ENDLESS: dict[str, tuple[Respond, str]] = {
    "headers a byte now and then": (without_end(OK + b"X: ", b"x", 0.05), "expected an answer.*within 1 seconds"),
    "headers": (without_end(OK, b"X: y\r\n"), "got more than 100 headers"),
    "a header": (without_end(OK + b"X: ", b"x" * 4096), "aborted|header line"),
    "100 Continue": (without_end(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.01), "expected an answer.*within 1 seconds"),
    "redirects": (lambda request: send(request, 302, Location=f"/again{request.path}"), "at most 5 redirects"),
    "redirects that come late": (late, "expected an answer.*within 1 seconds"),
    "body of a redirect": (
        without_end(b"HTTP/1.1 302 Found\r\nLocation: /again.gz\r\n\r\n", bytes(4096)),
        "at most 5 redirects",
    ),
    "body of a busy server": (without_end(b"HTTP/1.1 503 Busy\r\n\r\n", bytes(4096)), "503 Busy, 3 times"),
    "body of a refusal": (without_end(b"HTTP/1.1 404 Not Found\r\n\r\n", bytes(4096)), "images: 404 Not Found"),
    "empty deflate blocks": (
        without_end(OK + b"\r\n\x1f\x8b\x08\0\0\0\0\0\0\xff", b"\0\0\0\xff\xff" * 1000),
        "expected at most [0-9]+ bytes compressed, got more",
    ),
    "name in the gzip header": (
        without_end(OK + b"\r\n\x1f\x8b\x08\x08\0\0\0\0\0\xff", b"x" * 4096),
        "expected at most [0-9]+ bytes compressed, got more",
    ),
    "size of a chunk": (
        without_end(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0", 0.05),
        "more of the file, within 1 seconds",
    ),
    "trailers": (
        without_end(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n", 0.001),
        "more of the file, within 1 seconds|gzip|trailer",
    ),
}


@pytest.mark.parametrize("part", ENDLESS)
def test_an_answer_without_end_is_refused_in_time(
    part: str, cache: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a mirror sends for ever, it neither hangs the download nor fills memory: the next mirror is used."""
    monkeypatch.setattr(web, "LONGEST", 1.0)
    respond, reason = ENDLESS[part]
    serve(respond)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=reason):
            sources.find(FILES[:1], cache)
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()
    serve(good)
    assert sources.find(FILES[:1], cache) == {"images": CONTENT["images"]}


def test_a_call_that_does_not_end_keeps_no_process_alive() -> None:
    """What was given up in time, as by a look-up of a name, does not hang the end of Python either."""
    program = "from fmnist.steps import web; import time; web.LONGEST = 0.1; web._in_time(lambda: time.sleep(600))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=False, text=True)
    assert done.returncode == 1
    assert "TimeoutError: expected an answer, or more of the file, within 0 seconds, got neither" in done.stderr


def test_done_is_told_of_a_good_file_only(cache: Path, serve: Serve) -> None:
    """Of a file that is refused after its last byte nobody is told that all of it is there."""
    told: list[tuple[str, int, int]] = []
    serve(lambda request: send(request, 200, WRONG[asked(request)]))
    with pytest.raises(DataError, match="SHA-256"):
        sources.find(FILES, cache, on_progress=lambda *values: told.append(values))
    assert [(name, done, total) for name, done, total in told if name in CONTENT and done == total] == []


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        pytest.param(truncated, "IncompleteRead", id="truncated body"),
        pytest.param(stall, "timed out|IncompleteRead", id="stalled body"),
        pytest.param(hang, "Read timed out", id="no answer"),
        pytest.param(drip, "less than 10000 bytes a second", id="a byte now and then"),
        pytest.param(lambda request: send(request, 404), "404 Not Found", id="404"),
        pytest.param(lambda request: send(request, 500), "500 Internal Server Error, 3 times", id="500 for ever"),
        pytest.param(lambda request: send(request, 200, WRONG[asked(request)]), "SHA-256", id="wrong content"),
        pytest.param(lambda request: send(request, 200, b"<html>"), "header check", id="a sign-in page"),
        pytest.param(leave, "aborted", id="no response"),
    ],
)
def test_second_mirror_helps(
    fault: Respond, reason: str, cache: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong with a mirror, it is refused with the reason, and the next one is used."""
    monkeypatch.setattr(web, "PATIENCE", 1.0)
    serve(fault)
    with pytest.raises(DataError, match=reason):
        sources.find(FILES, cache)
    assert contents(cache) == {}
    serve(good)
    assert sources.find(FILES, cache) == CONTENT
    assert contents(cache) == CONTENT


@pytest.mark.parametrize(("redirects", "found"), [(0, True), (5, True), (6, False)])
def test_redirects_are_followed(cache: Path, serve: Serve, redirects: int, *, found: bool) -> None:
    """Five at most, each to an address that begins at the one before."""

    def respond(request: http.server.BaseHTTPRequestHandler) -> None:
        _, *folder, name = request.path.split("/")
        done = int(folder[0]) if folder else 0
        if done < redirects:
            send(request, 302, Location=f"{'../' if folder else ''}{done + 1}/{name}")
        else:
            good(request)

    log = serve(respond)
    if found:
        assert sources.find(FILES, cache) == CONTENT
    else:
        with pytest.raises(DataError, match="at most 5 redirects"):
            sources.find(FILES, cache)
    assert log[: redirects + 1] == [f"/{f'{done}/' if done else ''}images.gz" for done in range(min(redirects, 5) + 1)]


def test_a_redirect_without_a_server_stays_on_the_one_that_sent_it(cache: Path, serve: Serve) -> None:
    """It begins at the latest address, though another server was asked first."""

    def respond(request: http.server.BaseHTTPRequestHandler) -> None:
        good(request) if request.path.startswith("/new/") else send(request, 302, Location=f"/new{request.path}")

    with web_server(respond) as (url, there):
        first = serve(lambda request: send(request, 302, Location=f"{url}{asked(request)}.gz"))
        assert sources.find(FILES[:1], cache) == {"images": CONTENT["images"]}
    assert first == ["/images.gz"]
    assert there == ["/images.gz", "/new/images.gz"]


def test_unreachable_mirror_is_not_asked_for_each_file(cache: Path, serve: Serve) -> None:
    """A mirror that does not answer is left at once, not tried for every file."""
    silent, log = serve(hang), serve(good)
    assert sources.find(FILES, cache) == CONTENT
    assert silent == ["/images.gz"]
    assert log == ["/images.gz", "/labels.gz"]


def test_each_reason_of_a_mirror_is_told(cache: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """That it lacks a file, and that it did not answer for the next one."""
    monkeypatch.setattr(web, "PATIENCE", 1.0)
    serve(lambda request: leave(request) if asked(request) == "labels" else send(request, 404))
    with pytest.raises(DataError, match=r"images: 404 Not Found\n  - http://.*aborted"):
        sources.find(FILES, cache)


def test_mirrors_complete_each_other(cache: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file refused from one mirror is taken from another, and the other way round; no text names no mirror."""
    monkeypatch.setenv("FMNIST_MIRROR", "")
    serve(lacking("images"))
    serve(lacking("labels"))
    assert sources.find(FILES, cache) == CONTENT


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_busy_mirror_is_asked_again(status: int, cache: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A passing fault of a server is overcome by asking again, but never by waiting as long as it pleases."""
    monkeypatch.setattr("urllib3.util.retry.time.sleep", lambda seconds: pytest.fail(f"slept {seconds} s"))
    answers = iter([status, status])

    def busy(request: http.server.BaseHTTPRequestHandler) -> None:
        fault = next(answers, None)
        send(request, fault, Retry_After="3600") if fault else good(request)

    log = serve(busy)
    assert sources.find(FILES, cache) == CONTENT
    assert log == ["/images.gz", "/images.gz", "/images.gz", "/labels.gz"]


def test_a_mirror_that_stays_busy_is_asked_three_times(
    cache: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each pause is longer; then it is left, for each file, and the next one is asked."""
    monkeypatch.setattr(web, "BACKOFF", 7)
    pauses: list[float] = []
    monkeypatch.setattr(web, "time", SimpleNamespace(sleep=pauses.append, monotonic=time.monotonic))
    log = serve(lambda request: send(request, 503))
    serve(good)
    assert sources.find(FILES, cache) == CONTENT
    assert log == ["/images.gz"] * 3
    assert pauses == [7, 14]


def test_nothing_is_read_past_the_end(cache: Path, serve: Serve) -> None:
    """What a mirror sends after the compressed file, be it without end, is not read."""
    more = bytes(2**20)
    sent: list[int] = []

    def respond(request: http.server.BaseHTTPRequestHandler) -> None:
        send(request, 200, ZIPPED[asked(request)], Content_Length=str(2**40))
        request.close_connection = True
        while len(sent) < 64:
            request.wfile.write(more)
            sent.append(len(more))

    serve(respond)
    assert sources.find(FILES[:1], cache) == {"images": CONTENT["images"]}
    assert len(sent) < 32


def test_mirror_may_compress_what_it_sends(cache: Path, serve: Serve) -> None:
    """A server that compresses whatever a client says it can decompress is not in the way."""

    def respond(request: http.server.BaseHTTPRequestHandler) -> None:
        if "gzip" in request.headers["Accept-Encoding"]:
            send(request, 200, gzip.compress(ZIPPED[asked(request)]), Content_Encoding="gzip")
        else:
            good(request)

    serve(respond)
    assert sources.find(FILES, cache) == CONTENT


@pytest.mark.parametrize("known", [True, False], ids=["length known", "length unknown"])
def test_progress_is_told(known: bool, cache: Path, serve: Serve) -> None:
    """A download tells the bytes so far and in total, 0 while that is unknown, and ends with all of them."""
    told: list[tuple[str, int, int]] = []
    size = len(ZIPPED["images"])

    def respond(request: http.server.BaseHTTPRequestHandler) -> None:
        if known:
            return good(request)
        request.send_response(200)
        request.send_header("Connection", "close")
        request.end_headers()
        request.wfile.write(ZIPPED[asked(request)])
        return None

    serve(respond)
    sources.find(FILES[:1], cache, on_progress=lambda *values: told.append(values))
    assert {name for name, _, _ in told} == {"images"}
    assert {total for _, _, total in told[:-1]} == {size if known else 0}
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    assert told[-1] == ("images", size, size)


def test_a_mirror_of_ones_own_is_the_only_one_asked(
    cache: Path, debian: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With FMNIST_MIRROR, as on a cluster without internet, no public mirror and no apt-get is tried."""
    public = serve(good)
    with web_server(good) as (url, log):
        monkeypatch.setenv("FMNIST_MIRROR", f"{url}deep/fashion")
        assert sources.find(FILES, cache) == CONTENT
        assert log == ["/deep/fashion/images.gz", "/deep/fashion/labels.gz"]
    with pytest.raises(DataError, match="FMNIST_MIRROR") as caught:
        sources.find(FILES, cache.with_name("other"))
    assert "apt-get" not in str(caught.value)
    assert public == []


def test_a_signed_mirror_is_asked_with_its_signature(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The query of a mirror's address, as of a signed one, stays behind the name of the file."""
    with web_server(good) as (url, log):
        monkeypatch.setenv("FMNIST_MIRROR", f"{url}X/?sv=1&sig=a%2Fb#part")
        monkeypatch.setattr(sources, "FILES", FILES, raising=False)
        with contextlib.suppress(DataError):
            sources.find(FILES, cache)
    assert log[0] == "/X/images.gz?sv=1&sig=a%2Fb"


def test_the_part_of_a_mirrors_address_is_left_out() -> None:
    """Behind a query and without one."""
    assert sources._address("https://m.example/X/#part", "images.gz") == "https://m.example/X/images.gz"
    assert sources._address("https://m.example/X?a#part", "images.gz") == "https://m.example/X/images.gz?a"
    assert sources._address("https://m.example/X//?a", "images.gz") == "https://m.example/X/images.gz?a"


SECRET = "s3cr/t w0rd"  # noqa: S105 - not one
WRITINGS = (SECRET, "s3cr%2Ft%20w0rd", "s3cr%2Ft+w0rd", "czNjci90IHcwcmQ=", "bWU6czNjci90IHcwcmQ=")


def tell(request: http.server.BaseHTTPRequestHandler) -> None:
    """Refuse, and repeat each writing of the secret."""
    request.wfile.write(f"HTTP/1.1 403 No {' '.join(WRITINGS)} \x1b[31m\r\nContent-Length: 0\r\n\r\n".encode())


def lead_away(request: http.server.BaseHTTPRequestHandler) -> None:
    """Lead to an address that nobody can ask, with the secret in it."""
    send(request, 302, Location=f"nothing://me:{WRITINGS[1]}@h/?sig={WRITINGS[2]}")


@pytest.mark.parametrize("respond", [tell, lead_away, None], ids=["refused", "redirected", "nobody"])
@pytest.mark.parametrize("source", ["login", "query", "netrc", "proxy"])
def test_no_secret_is_shown(
    source: str, respond: Respond | None, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a server that repeats it, nor an error of a library, brings a secret into a message."""
    with web_server(respond or good) as (there, _):
        url = there if respond else "http://127.0.0.1:9/"
        mirror = {"login": url.replace("://", f"://me:{WRITINGS[1]}@"), "query": f"{url}?sig={WRITINGS[1]}"}
        monkeypatch.setenv("FMNIST_MIRROR", mirror.get(source, url))
        if source == "netrc":
            (tmp_path / "netrc").write_text(f'machine 127.0.0.1 login me password "{SECRET}"')
            monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        if source == "proxy":
            monkeypatch.delenv("no_proxy")
            monkeypatch.setenv("HTTP_PROXY", mirror["login"])
        with pytest.raises(DataError, match="127.0.0.1.*FMNIST_MIRROR") as caught:
            sources.find(FILES, cache)
    assert not [writing for writing in (*WRITINGS, "s3cr", "\x1b") if writing in str(caught.value)]
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_no_secret_is_logged(cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """The library that asks again logs what it asks, which a step's log keeps."""
    monkeypatch.setenv("FMNIST_MIRROR", "http://127.0.0.1:9/?sig=s3cret-s1gnature")
    with pytest.raises(DataError):
        sources.find(FILES, cache)
    assert "/images.gz?sig=***" in caplog.text
    assert "s1gnature" not in caplog.text
    assert logging.getLogger("urllib3.connectionpool").filters == []


def test_apt_get_asks_nobody(tmp_path: Path) -> None:
    """What it starts finds no answer on a terminal or a pipe, and is not waited for."""
    with helpers.silent_stdin():
        done = sources._run(tmp_path, "/bin/readlink", "/proc/self/fd/0")
    assert done.stdout == "/dev/null\n"


def test_mirrors_are_https(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of the mirrors, of which there are several, is asked over HTTPS."""
    monkeypatch.undo()
    assert len(sources.MIRRORS) > 1
    assert all(mirror.startswith("https://") and mirror.endswith("/") for mirror in sources.MIRRORS)


# No source left


def test_error_lists_every_source(cache: Path, debian: Path, serve: Serve) -> None:
    """With no source left, one error lists every source with its reason, and says what to do."""
    serve(lambda request: send(request, 404))
    serve(hang)
    with pytest.raises(DataError, match="images, labels") as caught:
        sources.find(FILES, cache)
    message = str(caught.value)
    first, second = sources.MIRRORS
    starts = [f"{cache}: ", f"{debian}: ", f"{first}: images: 404 Not Found", f"{first}: labels: 404 Not Found"]
    starts += [f"{second}: ", "apt-get: "]
    reasons = re.findall(r"^  - (.*)$", message, flags=re.MULTILINE)
    assert [reason[: len(start)] for reason, start in zip(reasons, starts, strict=True)] == starts
    assert message.startswith("Fashion-MNIST: expected images, labels from one of these sources, got from each:\n  - ")
    assert message.splitlines()[-1] == (
        f"Install the Debian package dataset-fashion-mnist, or put the files, decompressed, into {cache} (or the "
        "folder that FMNIST_DATA_DIR names), or connect to a network and try again."
    )
    assert len(message.splitlines()) == 1 + len(starts) + 1


@pytest.mark.parametrize("own", [False, True], ids=["public", "own"])
def test_offline_asks_nobody(
    cache: Path, debian: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch, *, own: bool
) -> None:
    """Offline, only the cache and Debian's folder are tried, and the error says so, also beside a mirror."""
    log = serve(good)
    if own:
        monkeypatch.setenv("FMNIST_MIRROR", sources.MIRRORS[0])
    with pytest.raises(DataError) as caught:
        sources.find(FILES, cache, offline=True)
    _, *reasons, asked_nobody, _ = str(caught.value).splitlines()
    assert reasons == [f"  - {folder}: there is no such folder" for folder in (cache, debian)]
    assert asked_nobody == "Offline, so no other machine was asked."
    assert log == []


# A cache that cannot be written


@contextlib.contextmanager
def ordinary_user() -> Iterator[None]:
    """Be the user `nobody`, and the programs started too, where this process is root."""
    if os.getuid() != 0:
        yield
        return
    groups, nobody = os.getgroups(), pwd.getpwnam("nobody")
    os.setgroups([])
    os.setresgid(nobody.pw_gid, nobody.pw_gid, 0)
    os.setresuid(nobody.pw_uid, nobody.pw_uid, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)
        os.setgroups(groups)


@pytest.fixture
def public() -> Iterator[Path]:
    """Give a folder that every user can reach and write, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


def test_read_only_cache_is_explained(public: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache folder without write permission gives an error with the folder, the reason and the remedy."""
    monkeypatch.setattr(sources, "DEBIAN_FOLDER", public)
    fill(public, ZIPPED, ".gz")
    cache = public / "cache"
    cache.mkdir(mode=0o555)
    with ordinary_user(), pytest.raises(DataError, match="Permission denied") as caught:
        sources.find(FILES, cache)
    assert str(caught.value).startswith(f"data folder {cache}: expected to write images (300000 bytes) there, got: ")
    assert str(caught.value).endswith(". Set FMNIST_DATA_DIR to a folder with write permission and enough space.")
    assert contents(cache) == {}


def test_file_in_place_of_the_cache_is_explained(cache: Path, debian: Path) -> None:
    """A file where the cache folder should be gives an error with its path and the remedy."""
    cache.write_bytes(b"mine")
    fill(debian, ZIPPED, ".gz")
    with pytest.raises(DataError, match=f"{cache}.*FMNIST_DATA_DIR"):
        sources.find(FILES, cache)
    assert cache.read_bytes() == b"mine"


def test_full_disk_is_explained(cache: Path, debian: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk gives an error with folder, reason and remedy, and leaves nothing half-written."""
    monkeypatch.setenv("PATH", os.defpath)
    cache.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(cache)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        helpers.missing("the right to mount a tmpfs (root)")
    try:
        fill(debian, ZIPPED, ".gz")
        with pytest.raises(DataError, match=f"{cache}.*No space left on device.*FMNIST_DATA_DIR"):
            sources.find(FILES, cache)
        assert contents(cache) == {}
    finally:
        subprocess.run(["umount", str(cache)], check=True)


# Other processes

SCRIPT = """
import sys
from pathlib import Path
from fmnist.steps import sources, web
from fmnist.steps.data_file import DataFile
cache, mirror, *files = sys.argv[1:]
sources.MIRRORS, sources.DEBIAN_FOLDER = (mirror,), Path(cache, "none")
names, sizes, digests = files[::3], map(int, files[1::3]), files[2::3]
sources.find([DataFile(*file) for file in zip(names, sizes, digests)], Path(cache))
"""


def start(cache: Path) -> subprocess.Popen[bytes]:
    """Start another process that looks for the files at the only mirror."""
    files = [str(value) for file in FILES for value in (file.name, file.size, file.sha256)]
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(cache), *sources.MIRRORS, *files],
        env={**os.environ, "PYTHONPATH": str(Path(fmnist.__file__).parents[1])},
    )


def test_processes_may_start_at_once(cache: Path, serve: Serve) -> None:
    """Processes that all download at the same time all succeed, and leave one good cache."""
    together = threading.Barrier(3)

    def respond(request: http.server.BaseHTTPRequestHandler) -> None:
        together.wait(timeout=30)
        good(request)

    log = serve(respond)
    processes = [start(cache) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert len(log) == 6
    assert contents(cache) == CONTENT


def test_killed_download_leaves_nothing(cache: Path, serve: Serve) -> None:
    """A process killed in the middle of a download leaves no file in the cache."""
    halfway, killed = threading.Event(), threading.Event()

    def respond(request: http.server.BaseHTTPRequestHandler) -> None:
        truncated(request)
        halfway.set()
        killed.wait(timeout=30)

    serve(respond)
    process = start(cache)
    assert halfway.wait(timeout=30)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    killed.set()
    assert contents(cache) == {}


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_a_connection_is_tried_three_times(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a pause that doubles; a status or a redirect is no matter of the connection."""
    monkeypatch.setattr(web, "BACKOFF", 7)
    with web.session() as session:
        adapter: Any = session.get_adapter(f"{scheme}://mirror")
        retries = adapter.max_retries
        assert (retries.total, retries.read, retries.status, retries.backoff_factor) == (2, 0, 0, 7)
        assert retries.respect_retry_after_header is False
        assert session.headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(("seconds", "done", "slow"), [(29, 0, False), (30.1, 5_000, False), (31, 9_999, True)])
def test_a_slow_download_is_given_up(monkeypatch: pytest.MonkeyPatch, seconds: float, done: int, *, slow: bool) -> None:
    """After half a minute, if less than 10,000 bytes came in each second that it took longer."""
    times = iter((0.0, seconds))
    monkeypatch.setattr(web, "time", SimpleNamespace(monotonic=lambda: next(times)))
    parts = iter((b"part", b""))
    raw = SimpleNamespace(length_remaining=100_000, read1=lambda _: next(parts), tell=lambda: done)
    told: list[tuple[int, int]] = []
    response: Any = SimpleNamespace(raw=raw)
    if slow:
        with pytest.raises(TimeoutError, match="^less than 10000 bytes a second$"):
            list(web.body(response, lambda *progress: told.append(progress)))
    else:
        assert list(web.body(response, lambda *progress: told.append(progress))) == [b"part"]
    assert told == [(done, 100_000)] * (not slow)


# apt-get


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let programs be found."""
    monkeypatch.setenv("PATH", os.defpath)


@pytest.mark.usefixtures("programs")
def test_a_program_speaks_english_and_says_what_it_can(tmp_path: Path) -> None:
    """Of apt-get's own words nothing is translated, and what is no text is replaced; its input is empty."""
    (tmp_path / "here").touch()
    done = sources._run(tmp_path, "sh", "-c", "cat; echo $LC_ALL *; printf 'no \\377' >&2; exit 3")
    assert (done.stdout, done.stderr, done.returncode) == ("C.UTF-8 here\n", "no \ufffd", 3)


def test_a_program_that_never_ends_is_ended(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repository that hangs does not hold a run for ever: it is one more source that has nothing."""
    (apt_get := tmp_path / "apt-get").write_text("#!/bin/sh\nexec sleep 20\n")
    apt_get.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.defpath}")
    monkeypatch.setattr(sources, "APT_TIMEOUT", 0.2)
    told: list[tuple[str, int, int]] = []
    with pytest.raises(DataError, match=r"\n  - apt-get: .*timed out after 0\.2 seconds\n"):
        sources.find(FILES, cache, on_progress=lambda *progress: told.append(progress))
    # Before it began.
    assert told == [("dataset-fashion-mnist", 0, 0)]


@pytest.mark.usefixtures("programs")
def test_what_a_program_said_is_told_apart(tmp_path: Path) -> None:
    """The words of both programs, a blank between them, if the last one failed."""
    said = [sources._run(tmp_path, "sh", "-c", f"echo {word} >&2; exit {code}") for word, code in (("a", 1), ("b", 2))]
    with pytest.raises(OSError, match="^a b$"):
        sources._check(*said)
    sources._check(said[1], sources._run(tmp_path, "true"))


@pytest.fixture
def repository(public: Path, programs: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the folder of a real APT repository, still empty, which is the only one that apt-get knows."""
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        helpers.missing("apt-get")
    for name in ("repository", "settings", "system", "scratch"):
        (public / name).mkdir()
        (public / name).chmod(0o777)
    # What apt keeps in the system's folders or runs of the system's hooks would show in this one.
    system = public / "system"
    hooks = ("Pre-Invoke", "Post-Invoke", "Post-Invoke-Success")
    (public / "apt.conf").write_text(
        f'Dir::Etc::parts "{public}/settings"; Dir::Etc::sourceparts "{public}/settings";\n'
        f'Dir::Etc::sourcelist "{public}/sources.list";\n'
        f'Dir::State "{system}"; Dir::State::status "/dev/null"; Dir::Cache "{system}";\n'
        + "".join(f'APT::Update::{hook} {{ "touch {system}/{hook}"; }};\n' for hook in hooks)
    )
    monkeypatch.setenv("APT_CONFIG", str(public / "apt.conf"))
    monkeypatch.setenv("TMPDIR", str(public / "scratch"))
    monkeypatch.setattr(tempfile, "tempdir", str(public / "scratch"))

    def respond(request: http.server.BaseHTTPRequestHandler) -> None:
        file = public / "repository" / request.path.removeprefix("/")
        send(request, 200, file.read_bytes()) if file.is_file() else send(request, 404)

    with web_server(respond) as (url, _):
        (public / "sources.list").write_text(f"deb [trusted=yes] {url} ./\n")
        yield public / "repository"
    left = [path for name in ("system", "scratch") for path in (public / name).iterdir()]
    assert left == []


def publish(repository: Path, files: dict[str, bytes], package: str = "dataset-fashion-mnist") -> None:
    """Build a package of `files` with Debian's own tools and list it in `repository`."""
    tree, built = repository.parent / "tree", repository / "package.deb"
    fill(tree / "usr/share/datasets/fashion-mnist", files, ".gz")
    fields = f"Package: {package}\nVersion: 1\nArchitecture: all\nMaintainer: A <a@b.invalid>\nDescription: d\n"
    fill(tree / "DEBIAN", {"control": fields.encode()})
    subprocess.run(["dpkg-deb", "--build", tree, built], check=True, capture_output=True)
    deb = built.read_bytes()
    listed = f"{fields}Filename: ./package.deb\nSize: {len(deb)}\nSHA256: {hashlib.sha256(deb).hexdigest()}\n"
    (repository / "Packages").write_text(listed)


@pytest.mark.parametrize("user", [contextlib.nullcontext, ordinary_user], ids=["as this user", "as an ordinary user"])
def test_package_is_fetched_without_installing(
    user: Callable[[], contextlib.AbstractContextManager[None]], repository: Path
) -> None:
    """The package is fetched and unpacked by any user, from the repository that works, and only the cache is left."""
    publish(repository, ZIPPED)
    known = repository.parent / "sources.list"
    known.write_text(known.read_text() + known.read_text().replace(" ./", "nothing ./"))
    told: list[Any] = []

    def note(*values: Any) -> None:
        there = (any((repository.parent / "scratch").glob(f"fmnist-*/{name}")) for name in ("*.deb", "usr"))
        told.append((*values, *there))

    with user():
        found = sources.find(FILES, repository.parent / "cache", on_progress=note)
    assert found == CONTENT
    assert contents(repository.parent / "cache") == CONTENT
    size = (repository / "package.deb").stat().st_size
    # Before it is there, and when it is unpacked.
    name = "dataset-fashion-mnist"
    assert told == [(name, 0, 0, False, False), (name, size, size, True, True)]


def test_other_package_of_that_name_is_refused(repository: Path) -> None:
    """A package of that name with other content is refused like any other source."""
    publish(repository, WRONG)
    with pytest.raises(DataError, match=r"apt-get: images: expected SHA-256"):
        sources.find(FILES, repository.parent / "cache")
    assert not (repository.parent / "cache").exists()


def test_unknown_package_is_explained(repository: Path) -> None:
    """Where no repository has the package, the error carries apt-get's own words."""
    publish(repository, ZIPPED, package="another")
    with pytest.raises(DataError, match=r"apt-get: .*Unable to locate package dataset-fashion-mnist"):
        sources.find(FILES, repository.parent / "cache")


def test_unreachable_repository_is_explained(repository: Path) -> None:
    """Where the repository cannot be reached, the error carries apt-get's own words."""
    with pytest.raises(DataError, match=r"apt-get: .*Packages.*404"):
        sources.find(FILES, repository.parent / "cache")
