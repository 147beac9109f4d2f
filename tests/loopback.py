"""A web server on loopback that answers as a test tells it to."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Question:
    """What somebody asked the server for."""

    path: str
    """Without the query, percent signs as they came."""
    query: Mapping[str, str]
    """The query's parameters, decoded."""
    headers: Mapping[str, str]
    """Its headers, with names in lower case."""


@dataclass(frozen=True)
class Reply:
    """What the server says."""

    content: bytes = b""
    status: int = 200
    kind: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    """The connection ends after so many bytes of the content; whole when None."""


class Served:
    """The running server."""

    def __init__(self, answer: Callable[[Question], Reply]) -> None:
        self.answer = answer
        self.asked: list[Question] = []
        """Every question so far."""
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one question."""
        place = urlsplit(handler.path)
        headers = {name.lower(): said for name, said in handler.headers.items()}
        question = Question(place.path, dict(parse_qsl(place.query, keep_blank_values=True)), headers)
        self.asked.append(question)
        reply = self.answer(question)
        if "Date" in reply.headers:
            handler.send_response_only(reply.status)
        else:
            handler.send_response(reply.status)
        for name, said in {"Content-Type": reply.kind, **reply.headers}.items():
            handler.send_header(name, said)
        if "Content-Length" not in reply.headers:
            handler.send_header("Content-Length", str(len(reply.content)))
        handler.end_headers()
        handler.wfile.write(reply.content[: reply.cut])
        if reply.cut is not None:
            handler.close_connection = True


def _handler(served: Served) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.handle(self)

        def log_message(self, *said: Any) -> None:
            """Nothing is logged."""

    return Handler


@contextlib.contextmanager
def serving(answer: Callable[[Question], Reply]) -> Iterator[Served]:
    """A server that says what `answer` says, for the block."""
    served = Served(answer)
    thread = threading.Thread(target=served.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        served.server.shutdown()
        served.server.server_close()
