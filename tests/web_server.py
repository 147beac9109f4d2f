"""A web server on loopback whose every answer a test writes itself, down to the byte."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import SSLContext

Answer = Callable[["Asked"], None]


@dataclass
class Asked:
    """One request, and the means to answer it."""

    path: str
    headers: Mapping[str, str]
    handler: BaseHTTPRequestHandler = field(repr=False)

    def send(
        self, content: bytes = b"", status: int = 200, *, length: int | None = None, **headers: str
    ) -> None:
        """
        Answer with `content`; `length` is what Content-Length says, none at all when below zero.

        A header's underscores are hyphens: Content_Type.
        """
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        length = len(content) if length is None else length
        self.handler.send_response(status)
        for name, value in ({"Content-Length": str(length)} if length >= 0 else {}).items():
            self.handler.send_header(name, value)
        for name, value in {**told, "Connection": "close"}.items():
            self.handler.send_header(name, value)
        self.handler.end_headers()
        self.handler.close_connection = True
        self.write(content)

    def write(self, content: bytes) -> bool:
        """Send more bytes; false when nobody listens any more."""
        try:
            self.handler.wfile.write(content)
        except OSError:
            return False
        return True


class WebServer:
    """Answers each path by the function of `answers`; remembers what was asked."""

    def __init__(self, context: SSLContext | None = None) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[Asked] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.server.daemon_threads = True
        if context:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"{'https' if context else 'http'}://{self.host}"

    def headers(self, name: str) -> list[str | None]:
        """What each request said under the header `name`."""
        return [asked.headers.get(name) for asked in self.asked]


@contextlib.contextmanager
def serving(context: SSLContext | None = None) -> Iterator[WebServer]:
    """A server while the test runs."""
    made = WebServer(context)
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()
        thread.join()


def _handler(server: WebServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked = Asked(self.path, self.headers, self)
            server.asked.append(asked)
            answer = server.answers.get(self.path.partition("?")[0])
            if answer:
                answer(asked)
            else:
                asked.send(b"nothing here", 404)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
