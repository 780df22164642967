"""A proxy for HTTP and, with CONNECT, for HTTPS, on this machine; it may ask for a user and a password."""

import contextlib
import http.client
import http.server
import select
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Proxy:
    """Where the proxy is, what it was asked, and the login it wants, as the header has it."""

    login: str | None = None
    port: int = 0
    #: Method and target of each request.
    requests: list[tuple[str, str]] = field(default_factory=list)

    @property
    def place(self) -> str:
        """Its host and port."""
        return f"127.0.0.1:{self.port}"


@contextlib.contextmanager
def proxying(login: str | None = None) -> Iterator[Proxy]:
    """Give a proxy that runs."""
    proxy = Proxy(login)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"proxy": proxy})) as server:
        proxy.port = server.server_port
        threading.Thread(target=server.serve_forever, args=(0.002,)).start()
        try:
            yield proxy
        finally:
            server.shutdown()


class _Handler(http.server.BaseHTTPRequestHandler):
    proxy: Proxy

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline()
        self.close_connection = True
        if not self.raw_requestline or not self.parse_request():
            return
        self.proxy.requests.append((self.command, self.path))
        if self.headers.get("Proxy-Authorization") != self.proxy.login:
            self.send_error(407, "Proxy Authentication Required")
        elif self.command == "CONNECT":
            self.tunnel()
        else:
            self.forward()

    def tunnel(self) -> None:
        host, _, port = self.path.partition(":")
        with socket.create_connection((host, int(port))) as there:
            self.send_response(200)
            self.end_headers()
            pairs = {self.connection: there, there: self.connection}
            while True:
                for one in select.select(list(pairs), [], [])[0]:
                    if not (data := one.recv(65536)):
                        return
                    pairs[one].sendall(data)

    def forward(self) -> None:
        place = urlsplit(self.path).netloc
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name: value for name, value in self.headers.items() if not name.lower().startswith("proxy-")}
        with contextlib.closing(http.client.HTTPConnection(place)) as there:
            there.request(self.command, self.path.partition(place)[2], body, headers)
            try:
                answer = there.getresponse()
            except ConnectionError:
                return
            content = answer.read()
        self.send_response(answer.status, answer.reason)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""
