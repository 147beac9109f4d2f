"""The door: one request checked, read, run on its route in a thread, and answered; one log line for each."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import sqlite3
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import tornado.iostream
import tornado.web

from . import page_shell, pages
from .accounts import identify
from .answers import HTML, Answer, Call, Refused, Route, legacy, modern
from .faults import Faults
from .ods_answers import failed, speaks, unfound
from .store import Store
from .workshop import Workshop

log = logging.getLogger("ctnb.embedded")

READERS = 4
CORS = (
    ("Access-Control-Allow-Methods", "GET, HEAD"),
    ("Access-Control-Allow-Headers", "Accept, If-None-Match, X-App-Token"),
    ("Access-Control-Max-Age", "600"),
)
"""What a page of another site may do, where the portal lets it read at all (Fetch standard, CORS protocol)."""


@dataclass(frozen=True)
class Portal:
    """What every request needs."""

    store: Store
    routes: tuple[Route, ...]
    names: frozenset[str]
    """The host names, without ports, that the portal answers to."""
    body_limit: int
    clock: Callable[[], float]
    workshop: Workshop
    readers: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(READERS, "reader"))
    writer: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "writer"))
    busy: set[object] = field(default_factory=set)
    """The requests under way."""
    cors: bool = False
    """Pages of any site may read what anybody may read."""
    faults: Faults | None = None
    """What goes wrong on demand, where the portal was started with --faults."""


@tornado.web.stream_request_body
class Door(tornado.web.RequestHandler):
    """The one handler: it reads a request, runs its route in a thread and sends the answer."""

    SUPPORTED_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")

    def initialize(self, portal: Portal) -> None:
        self.portal = portal
        self.chunks: list[bytes] = []
        self.size = 0
        self.pattern = "-"
        self.started = time.monotonic()

    def set_default_headers(self) -> None:
        self.set_header("Server", "ctnb")
        self.set_header("X-Content-Type-Options", "nosniff")
        if not speaks(self.request.path):
            self.set_header("X-Socrata-RequestId", secrets.token_hex(16))

    def prepare(self) -> None:
        self.portal.busy.add(self)
        if self.portal.cors:
            self.set_header("Access-Control-Allow-Origin", "*")

    async def data_received(self, chunk: bytes) -> None:
        self.size += len(chunk)
        if self.size <= self.portal.body_limit:
            self.chunks.append(chunk)
        else:
            self.chunks.clear()

    async def get(self) -> None:
        await self.run()

    head = post = put = delete = patch = options = get

    async def run(self) -> None:
        try:
            self.check()
            if self.portal.cors and self.request.method == "OPTIONS":
                await self.send(Answer(204, headers=CORS))
                return
            found, names = self.found()
            self.pattern = found.path
            call = self.call()
        except Refused as refused:
            await self.send(page_shell.refusal(refused, None) if self.for_people() else refused.answer())
            return
        if found.writes:
            await self.send(await self.threaded(self.portal.writer, self.write_route, found, call, names))
        else:
            await self.read_route(found, call, names)

    def for_people(self) -> bool:
        """Whether a person's browser shows the answer."""
        reads = self.request.method in ("GET", "HEAD")
        return reads and page_shell.for_people(self.request.path, self.request.headers.get("Accept", ""))

    def check(self) -> None:
        """The Host must be ours, against DNS rebinding; a write from another site's page is refused."""
        if _host_name(self.request.headers.get("Host", "")) not in self.portal.names:
            raise modern(421, "req.misdirected", "This portal does not answer to that host name")
        site = self.request.headers.get("Sec-Fetch-Site", "same-origin")
        origin = self.request.headers.get("Origin")
        foreign = site == "cross-site" or (origin is not None and origin != self.origin())
        reading = ("GET", "HEAD", "OPTIONS") if self.portal.cors else ("GET", "HEAD")
        if foreign and self.request.method not in reading:
            raise legacy(403, "permission_denied", "A page of another site may not write here")
        if self.size > self.portal.body_limit:
            limit = self.portal.body_limit
            raise modern(413, "req.body.too-large", "The request body is too large", limit=limit)

    def found(self) -> tuple[Route, Mapping[str, str]]:
        path = urllib.parse.unquote(self.request.path)
        method = "GET" if self.request.method == "HEAD" else self.request.method
        known = [(one, match) for one in self.portal.routes if (match := one.pattern.fullmatch(path))]
        for one, match in known:
            if one.method == method:
                return one, {name: text for name, text in match.groupdict().items() if text is not None}
        if speaks(path):
            raise unfound(path, self.request.query, bool(known), self.portal.routes)
        if known:
            raise modern(405, "method-not-allowed", "This address does not take that method")
        raise legacy(404, "not_found", "Not found")

    def call(self) -> Call:
        query: list[tuple[str, str]] | None = None
        with contextlib.suppress(ValueError):  # a thousand fields or more; the cause would quote one
            text = self.request.query
            query = urllib.parse.parse_qsl(text, keep_blank_values=True, max_num_fields=1000)
        if query is None:
            raise modern(400, "req.bad-parameter", "The query string has too many parameters")
        body = b"".join(self.chunks)
        self.chunks.clear()
        headers, path, method = self.request.headers, self.request.path, self.request.method or ""
        return Call(
            method,
            path,
            tuple(query),
            headers,
            body,
            self.portal.clock(),
            self.origin(),
            workshop=self.portal.workshop,
        )

    def origin(self) -> str:
        return f"{self.request.protocol}://{self.request.host}"

    async def threaded(self, pool: ThreadPoolExecutor, job: Callable[..., Answer], *arguments: Any) -> Answer:
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, job, *arguments)
        except Refused as refused:
            return refused.answer()
        except UnicodeEncodeError:  # half a surrogate pair, which JSON can spell and nothing can store
            message = "The request holds text that is not Unicode"
            if speaks(self.request.path):
                return failed(self.request.path, 400, "parse_error", message).answer()
            return modern(400, "req.body.malformed-json", message, row=1, column=1).answer()
        except Exception as error:  # noqa: BLE001  a bug or a full disk: the caller gets 500, the log its place
            answer = _broken(error)
            if self.for_people():
                return page_shell.broken()
            if speaks(self.request.path):
                message = "A server error occurred."
                return failed(self.request.path, 500, "internal_error", message).answer()
            return answer

    def write_route(self, found: Route, call: Call, names: Mapping[str, str]) -> Answer:
        with self.portal.store.writing() as connection:
            return act(found, call, connection, names)

    async def read_route(self, found: Route, call: Call, names: Mapping[str, str]) -> None:
        loop, readers = asyncio.get_running_loop(), self.portal.readers
        connection = await loop.run_in_executor(readers, self.portal.store.borrow)
        answer: Answer | None = None
        try:
            answer = await self.threaded(readers, act, found, call, connection, names)
            await self.send(answer)
        finally:
            await loop.run_in_executor(readers, _close, answer, self.portal.store, connection)

    async def send(self, answer: Answer) -> None:
        self.set_status(answer.status)
        self.set_header("Content-Type", answer.content_type)
        for name, value in (*answer.headers, *(pages.HEADERS if answer.content_type == HTML else ())):
            self.set_header(name, value)
        with contextlib.suppress(tornado.iostream.StreamClosedError):
            await self.send_body(answer)

    async def send_body(self, answer: Answer) -> None:
        if isinstance(answer.body, bytes):
            if self.request.method != "HEAD" and answer.status not in (204, 304):
                self.write(answer.body)
        elif self.request.method != "HEAD":
            await self.send_chunks(answer.body)
        await self.finish()

    async def send_chunks(self, chunks: Iterator[bytes]) -> None:
        loop = asyncio.get_running_loop()
        try:
            while chunk := await loop.run_in_executor(self.portal.readers, next, chunks, b""):
                self.write(chunk)
                await self.flush()
        except tornado.iostream.StreamClosedError:
            raise
        except Exception as error:  # noqa: BLE001  a bug or a full disk, in the middle of an answer
            # the status is sent: only a connection that breaks off still says that this is not all
            _broken(error)
            self.portal.busy.discard(self)
            self.detach().close()
            raise tornado.iostream.StreamClosedError from None

    def on_finish(self) -> None:
        """One line, from the route's form: never the address asked for, which may hold a key or a token."""
        self.portal.busy.discard(self)
        taken_ms = round(1000 * (time.monotonic() - self.started))
        log.info("%s %s %s %d ms", self.request.method, self.pattern, self.get_status(), taken_ms)

    def on_connection_close(self) -> None:
        super().on_connection_close()  # ends the wait for a body that will not come
        self.portal.busy.discard(self)

    def log_exception(self, *details: Any) -> None:
        """A broken stream is one line without the request, which may quote data or secrets."""
        log.error("%s broke off", self.pattern)


def known(connection: sqlite3.Connection, call: Call) -> Call:
    """The call with the account that its credentials are of. Raises Refused."""
    app_token = call.option("$$app_token") or call.option("$$APP_TOKEN")
    return replace(call, account=identify(connection, call.headers, app_token))


def act(found: Route, call: Call, connection: sqlite3.Connection, names: Mapping[str, str]) -> Answer:
    """The route's answer to a call, signed in. Raises Refused."""
    return found.action(known(connection, call) if found.identifies else call, connection, names)


def _close(answer: Answer | None, store: Store, connection: sqlite3.Connection) -> None:
    closing = getattr(answer.body, "close", None) if answer is not None else None
    if closing is not None:
        closing()
    store.give_back(connection)


def _broken(error: BaseException) -> Answer:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = "?" if trace is None else f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
    log.error("%s at %s", type(error).__name__, where)
    return modern(500, "internal-error", "Internal error").answer()


def _host_name(host: str) -> str:
    name = urllib.parse.urlsplit(f"//{host}")
    try:
        return (name.hostname or "") if not name.username else ""
    except ValueError:
        return ""
