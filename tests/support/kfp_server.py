"""A strict stand-in for the API server of Kubeflow Pipelines (v2beta1), in memory, on this machine.

It speaks real HTTP or HTTPS, and answers as a real server 2.17 does: `kfp_api` has its words, `kfp_nodes` the names of
Argo. It notes in `problems` whatever no client of the API sends: another path, query or field. Faults are put in front
of requests with `Server.fail`, and further addresses in `Server.routes`.
"""

import contextlib
import email.utils
import http.server
import json
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from support.kfp_api import ROUTES, Route
from support.kfp_protocol import JSON, Json, LostError, Raw, RefusedError, Request, UnknownError
from support.kfp_state import State

Handler = http.server.BaseHTTPRequestHandler
Fault = Callable[[Handler], None]

__all__ = [
    "Fault",
    "Request",
    "Server",
    "cut",
    "dribble",
    "hang",
    "heard",
    "judge",
    "respond",
    "serving",
    "truncate",
    "unheard",
]


@dataclass
class Server(State):
    """The server: its state, and what came; it outlives a restart."""

    prefix: str = ""
    token: str | None = None
    requests: list[Request] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    #: Addresses that are looked at before those of the API.
    routes: list[Route] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)
    context: ssl.SSLContext | None = None
    host: str = "127.0.0.1"
    port: int = 0
    _faults: list[tuple[str, Fault]] = field(default_factory=list)
    _http: http.server.ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """Where the API is."""
        return f"http{'s' if self.context else ''}://{self.host}:{self.port}{self.prefix}"

    def start(self) -> None:
        """Listen, after a restart where it did before."""
        self.stopping.clear()
        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), handler(self))
        if self.context:
            self._http.socket = self.context.wrap_socket(
                self._http.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = self._http.server_port
        threading.Thread(target=self._http.serve_forever, args=(0.002,)).start()

    def stop(self) -> None:
        """Close the port; connections are cut."""
        self.stopping.set()
        if self._http:
            self._http.shutdown()
            self._http.server_close()
            self._http = None

    def fail(self, pattern: str, fault: Fault, times: int = 1) -> None:
        """Let the next requests whose "METHOD path" matches `pattern` meet `fault`."""
        self._faults += [(pattern, fault)] * times

    def fault(self, request: str) -> Fault | None:
        """Take the fault that waits for `request`, if there is one."""
        for number, (pattern, _) in enumerate(self._faults):
            if re.search(pattern, request):
                return self._faults.pop(number)[1]
        return None

    def asked(self, pattern: str) -> list[Request]:
        """Return the requests whose "METHOD path" matches `pattern`."""
        return [request for request in self.requests if re.search(pattern, f"{request.method} {request.path}")]

    def answer(self, request: Request) -> Json | Raw:
        """Return the answer to `request`, or refuse it."""
        if self.token and request.headers.get("authorization") != f"Bearer {self.token}":
            raise RefusedError(401, "Request header error: there is no user identity.")
        for method, pattern, queries, respond in [*self.routes, *ROUTES]:
            match = re.fullmatch(self.prefix + pattern, request.path)
            if match and method == request.method:
                if unknown := request.query.keys() - queries:
                    self.problems.append(f"{request.method} {request.path}: query {sorted(unknown)}")
                return respond(self, request, *map(unquote, match.groups()))
        self.problems.append(f"{request.method} {request.path}: no such path at {self.prefix!r}")
        if request.path.startswith(f"{self.prefix}/apis/v2beta1/"):
            raise RefusedError(404, "Not Found")
        return Raw(b"404 page not found\n", 404)


# Faults


def respond(status: int, body: bytes = b"", **headers: str) -> Fault:
    """Answer with `status`."""

    def fault(handler: Handler) -> None:
        handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        send(handler, status, body, **headers)

    return fault


def unheard(server: "Server", status: int | None = None, **headers: str) -> Fault:
    """Do what is asked for, and answer with `status`, or cut the connection instead."""

    def fault(handler: Handler) -> None:
        judge(server, received(handler))
        if status is None:
            cut()(handler)
        else:
            send(handler, status, b"", **headers)

    return fault


def heard(server: "Server") -> Fault:
    """Answer as ever: the fault that follows waits for the next request."""
    return lambda handler: judged(server, received(handler))(handler)


def cut(after: int = 0) -> Fault:
    """Reset the connection after so many bytes of the request's body."""

    def fault(handler: Handler) -> None:
        handler.rfile.read(after)
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.close_connection = True
        handler.connection.close()

    return fault


def hang(server: Server) -> Fault:
    """Give no answer until the server stops."""

    def fault(handler: Handler) -> None:
        server.stopping.wait(10)
        handler.close_connection = True

    return fault


def dribble(server: Server) -> Fault:
    """Begin an answer, and send a byte of it now and then until the server stops."""

    def fault(handler: Handler) -> None:
        send(handler, 200, b"{", Content_Length="1000000")
        while not server.stopping.wait(0.02):
            handler.wfile.flush()
            handler.wfile.write(b" ")

    return fault


def truncate(handler: Handler) -> None:
    """Promise more than is sent."""
    handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
    send(handler, 200, b'{"pipe', Content_Length="1000")
    handler.close_connection = True


# HTTP


def send(handler: Handler, status: int, body: bytes, **headers: str) -> None:
    """Answer a request."""
    handler.send_response(status)
    for name, value in ({"Content_Length": str(len(body))} | headers).items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def received(handler: Handler) -> Request:
    """Return a request, with its body."""
    url = urlsplit(handler.path)
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    headers = {name.lower(): value for name, value in handler.headers.items()}
    body = handler.rfile.read(int(headers.get("content-length", 0)))
    return Request(handler.command, url.path, query, headers, body)


def handler(server: Server) -> type[Handler]:
    """Return the class that answers for `server`."""

    class Api(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10
        wbufsize = -1  # head and body in one packet: two would wait for each other

        def handle(self) -> None:
            with contextlib.suppress(ConnectionError, ssl.SSLError, TimeoutError):  # a client may leave early
                super().handle()

        def do_GET(self) -> None:
            self._respond()

        def do_POST(self) -> None:
            self._respond()

        def _respond(self) -> None:
            url = urlsplit(self.path)
            if server.stopping.is_set():  # a connection from before
                cut()(self)
            elif fault := server.fault(f"{self.command} {url.path}"):
                server.requests.append(Request(self.command, url.path, {}, {}, b""))
                fault(self)
            else:
                request = received(self)
                server.requests.append(request)
                judged(server, request)(self)

        def date_time_string(self, timestamp: float | None = None) -> str:
            return email.utils.format_datetime(server.clock(), usegmt=True)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    return Api


def judged(server: Server, request: Request) -> Fault:
    """Return what answers `request`, if anything does."""
    try:
        answer = judge(server, request)
    except LostError:
        return hang(server)
    return lambda handler: send(handler, answer.status, answer.body, Content_Type=answer.content_type)


def judge(server: Server, request: Request) -> Raw:
    """Return the answer to `request`."""
    try:
        answer = server.answer(request)
    except RefusedError as error:
        answer = error.answer()
        if isinstance(error, UnknownError):
            server.problems.append(f"{request.method} {request.path}: {error}")
    except (ValueError, KeyError, TypeError) as error:
        server.problems.append(f"{request.method} {request.path}: {type(error).__name__}: {error}")
        answer = RefusedError(500, f"{type(error).__name__}: {error}").answer()
    return answer if isinstance(answer, Raw) else Raw(json.dumps(answer).encode(), 200, JSON)


@contextlib.contextmanager
def serving(**settings: Any) -> Iterator[Server]:
    """Give a running server; at the end, nothing may have come that the API does not know."""
    server = Server(**settings)
    server.start()
    try:
        yield server
    finally:
        server.stop()
    assert server.problems == []
