"""A portal that tells: a proxy before a real embedded portal whose errors quote rows, keys and tokens back."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests

ROW = "Zyxwyn Quillfeatherax of 219-09-9902 was seen by Dr. Umbralwick, zyxwyn@pobox-canary.net"
"""A row that was never sent by whoever asks: the portal has it from elsewhere."""
CODE = "219-09-9902"
"""A cell that looks like the code of an error."""


@dataclass
class Asked:
    """One request, as the portal quotes it."""

    method: str
    path: str
    """With its query."""
    headers: dict[str, str]
    body: bytes

    @property
    def quoted(self) -> str:
        """Everything that was asked, the account in plain letters, and a row."""
        said = [ROW, self.method, self.path, *self.headers.values(), self.body.decode("utf-8", "replace")]
        kind, _, told = self.headers.get("authorization", "").partition(" ")
        if kind == "Basic":
            said.append(base64.b64decode(told).decode("utf-8", "replace"))
        return " | ".join(said)

    @property
    def line(self) -> str:
        """The same on one line, as a header can hold it."""
        return "".join(one if " " <= one <= "~" else " " for one in self.quoted)[:4000]


@dataclass(frozen=True)
class Told:
    """What the portal answers in place of what it should."""

    status: int
    content: bytes
    kind: str = "application/json"
    reason: str = "Said"
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes = b""
    """A line among the headers that is none."""
    length: int | None = None
    """A Content-Length that is not the content's."""


Tell = Callable[[Asked, requests.Response | None], Told]


def _envelope(said: str, code: str) -> bytes:
    """An error in every envelope at once."""
    names = ("code", "errorCode", "key", "error_code", "error_key", "errorcode", "error", "status", "type")
    return json.dumps(
        {
            **dict.fromkeys(names, code),
            "message": said,
            "detail": said,
            "raw_message": said,
            "data": {"row": said, code: code, "column": said},
            "errors": [{"message": said, "input": {"value": said}}],
        }
    ).encode()


def _with_others(given: Any) -> Any:
    """The same JSON, every number a row's text."""
    if isinstance(given, dict):
        return {name: _with_others(one) for name, one in given.items()}
    if isinstance(given, list):
        return [_with_others(one) for one in given]
    number = isinstance(given, (int, float)) and not isinstance(given, bool)
    return ROW if number or (isinstance(given, str) and given.isdigit()) else given


def _others(asked: Asked, passed: requests.Response | None) -> Told:
    assert passed is not None
    try:
        content = json.dumps(_with_others(passed.json())).encode()
    except ValueError:
        content = passed.content.replace(b"1", b" Umbralwick")
    return Told(passed.status_code, content, passed.headers.get("Content-Type", ""))


def _not_a_header(asked: Asked, passed: requests.Response | None) -> Told:
    assert passed is not None
    kind = passed.headers.get("Content-Type", "")
    return Told(passed.status_code, passed.content, kind, raw=f"{asked.line} no header\r\n".encode())


TELLS: dict[str, Tell] = {
    "a page with 200": lambda asked, _: Told(200, f"<p>{asked.quoted}</p>".encode(), "text/html"),
    "a page that says it is JSON": lambda asked, _: Told(200, f"<p>{asked.quoted}</p>".encode()),
    "a kind that quotes": lambda asked, _: Told(200, b"x", asked.line),
    "a refusal": lambda asked, _: Told(400, _envelope(asked.quoted, asked.quoted)),
    "a code that is a cell": lambda asked, _: Told(400, _envelope(asked.quoted, CODE)),
    "not found": lambda asked, _: Told(404, _envelope(asked.quoted, CODE)),
    "a conflict": lambda asked, _: Told(409, _envelope(asked.quoted, CODE)),
    "a reason that quotes": lambda asked, _: Told(403, b"", reason=asked.line),
    "busy": lambda asked, _: Told(
        503, asked.quoted.encode(), reason=asked.line, headers={"Retry-After": "0"}
    ),
    "a redirect with a token": lambda asked, _: Told(
        302,
        b"",
        headers={"Location": f"https://other.example/{asked.line.replace(' ', '+')}?token={asked.line}"},
    ),
    "a redirect to nowhere": lambda asked, _: Told(301, b"", headers={"Location": f"http://[{asked.line}]/"}),
    "a redirect to a port": lambda asked, _: Told(
        301, b"", headers={"Location": f"http://other.example:{CODE}/{asked.line}"}
    ),
    "a text": lambda asked, _: Told(200, json.dumps(asked.quoted).encode()),
    "a list of texts": lambda asked, _: Told(200, json.dumps([asked.quoted]).encode()),
    "an object of texts": lambda asked, _: Told(200, json.dumps({ROW: asked.quoted}).encode()),
    "texts for numbers": _others,
    "cut off": lambda asked, _: Told(200, asked.quoted.encode(), length=1 << 16),
    "no chunks": lambda asked, _: Told(
        200, f"{asked.line}\r\n".encode(), headers={"Transfer-Encoding": "chunked"}
    ),
    "a line that is no header": _not_a_header,
}
"""What a portal may say, by what it is called."""
NEEDS_ANSWER = frozenset(["texts for numbers", "a line that is no header"])


class _Server(ThreadingHTTPServer):
    """A server that is quiet when a client hangs up."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing is printed: a client may go where an answer is broken."""


class TellingPortal:
    """A proxy to the portal at `url`; `tell` says what is answered to a request in place of passing it on."""

    def __init__(self, url: str) -> None:
        self.upstream = url
        self.choose: Callable[[int, Asked], str] = lambda number, asked: ""
        """What of TELLS is answered to the request with this number, from 0, since `again`; empty for the truth."""
        self.asked: list[Asked] = []
        self.session = requests.Session()
        self.session.trust_env = False
        self.server = _Server(("127.0.0.1", 0), _handler(self))
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def again(self, choose: Callable[[int, Asked], str] = lambda number, asked: "") -> None:
        """Count requests anew, and answer them as `choose` says."""
        self.asked, self.choose = [], choose

    def handle(self, handler: BaseHTTPRequestHandler, method: str) -> None:
        """Answer one request."""
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        headers = {name.lower(): said for name, said in handler.headers.items()}
        asked = Asked(method, handler.path, headers, body)
        self.asked.append(asked)
        name = self.choose(len(self.asked) - 1, asked)
        passed = None if name and name not in NEEDS_ANSWER else self._pass_on(asked)
        if name:
            _write(handler, TELLS[name](asked, passed))
        elif passed is not None:
            kind = passed.headers.get("Content-Type", "")
            more = {"Location": passed.headers["Location"]} if "Location" in passed.headers else {}
            _write(handler, Told(passed.status_code, passed.content, kind, headers=more))

    def _pass_on(self, asked: Asked) -> requests.Response:
        left = (
            "host",
            "connection",
            "accept-encoding",
            "content-length",
            "x-app-token",
        )  # it knows no program
        kept = {name: said for name, said in asked.headers.items() if name not in left}
        return self.session.request(
            asked.method, self.upstream + asked.path, data=asked.body or None, headers=kept, timeout=60,
            allow_redirects=False, auth=lambda request: request,
        )  # fmt: skip


def _write(handler: BaseHTTPRequestHandler, told: Told) -> None:
    handler.send_response_only(told.status, told.reason)
    handler.send_header("Content-Type", told.kind)
    if told.raw:
        handler.flush_headers()
        handler.wfile.write(told.raw)
    for name, said in told.headers.items():
        handler.send_header(name, said)
    if "Transfer-Encoding" not in told.headers:
        handler.send_header("Content-Length", str(len(told.content) if told.length is None else told.length))
    broken = told.length is not None or told.raw or "Transfer-Encoding" in told.headers
    if broken:
        handler.send_header("Connection", "close")
        handler.close_connection = True
    handler.end_headers()
    handler.wfile.write(told.content)


def _handler(portal: TellingPortal) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *said: Any) -> None:
            """Nothing is logged."""

    for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
        setattr(Handler, f"do_{method}", lambda handler, method=method: portal.handle(handler, method))
    return Handler


@contextlib.contextmanager
def telling(url: str) -> Iterator[TellingPortal]:
    """A portal that tells, before the one at `url`, for the block."""
    portal = TellingPortal(url)
    thread = threading.Thread(target=portal.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield portal
    finally:
        portal.server.shutdown()
        portal.server.server_close()
