"""A portal that fails on demand: a proxy on loopback before a real embedded portal."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests

SAID = "row 3 has 219-09-9902 of zyxwyn.quillfeatherax@pobox-canary.net"
"""What a portal's error may quote."""


class FaultyPortal:
    """A proxy to the portal at `url`; `fault` says what becomes of the next writes of rows, in either way."""

    def __init__(self, url: str) -> None:
        self.upstream = url
        self.fault = ""
        self.writes = 0
        self.session = requests.Session()
        self.session.trust_env = False
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def answer(self, handler: BaseHTTPRequestHandler, method: str) -> None:
        """Pass one request on, or not."""
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        applies = method == "PUT" and handler.path.endswith("/apply")
        rows = applies or (method in ("PUT", "POST") and handler.path.startswith("/resource/"))
        self.writes += rows
        if rows and self.fault in ("500", "400"):
            _reply(
                handler, int(self.fault), b'{"code": "bad", "error": true, "message": "%s"}' % SAID.encode()
            )
            return
        if rows and self.fault == "errors":
            _reply(handler, 200, b'{"Rows Created": 1, "Rows Updated": 0, "Rows Deleted": 0, "Errors": 1}')
            return
        passed = self._pass_on(handler, method, body)
        if rows and self.fault == "lost":  # the portal has the rows, the answer is lost
            if applies:
                self._wait(handler, passed.json()["links"]["show"])
            handler.connection.close()
            return
        _reply(handler, passed.status_code, passed.content, passed.headers.get("Content-Type", ""))

    def _wait(self, handler: BaseHTTPRequestHandler, job: str) -> None:
        """Until the portal has applied a revision."""
        while not self._pass_on(handler, "GET", b"", job).json()["resource"]["finished_at"]:
            time.sleep(0.02)

    def _pass_on(
        self, handler: BaseHTTPRequestHandler, method: str, body: bytes, path: str = ""
    ) -> requests.Response:
        kept = {k: v for k, v in handler.headers.items() if k.lower() in ("authorization", "content-type")}
        address = self.upstream + (path or handler.path)
        return self.session.request(method, address, data=body or None, headers=kept, timeout=30)


def _reply(
    handler: BaseHTTPRequestHandler, status: int, content: bytes, kind: str = "application/json"
) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content)


def _handler(portal: FaultyPortal) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            portal.answer(self, "GET")

        def do_POST(self) -> None:
            portal.answer(self, "POST")

        def do_PUT(self) -> None:
            portal.answer(self, "PUT")

        def do_DELETE(self) -> None:
            portal.answer(self, "DELETE")

        def log_message(self, *said: Any) -> None:
            """Nothing is logged."""

    return Handler


@contextlib.contextmanager
def faulty(url: str) -> Iterator[FaultyPortal]:
    """A proxy before the portal at `url`, for the block."""
    portal = FaultyPortal(url)
    thread = threading.Thread(target=portal.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield portal
    finally:
        portal.server.shutdown()
        portal.server.server_close()
