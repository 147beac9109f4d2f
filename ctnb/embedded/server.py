"""The socket: Host and origin checks, size limit, threads, one log line per request, and a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ipaddress
import json
import logging
import os
import secrets
import signal
import socket
import sqlite3
import ssl
import tempfile
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import tornado.httpserver
import tornado.iostream
import tornado.netutil
import tornado.web

from ctnb.errors import UsageError

from . import configs, listings, outputs, pages, revisions, soda_read, soda_write, uploads, views
from .accounts import identify
from .answers import HTML, Answer, Call, Refused, Route, legacy, modern
from .certificates import own_certificate, tls_context
from .resuming import resume
from .store import Store
from .workshop import CHUNK_BYTES, Workshop

log = logging.getLogger("ctnb.embedded")

ROUTES: tuple[Route, ...] = (
    *views.ROUTES,
    *soda_read.ROUTES,
    *soda_write.ROUTES,
    *revisions.ROUTES,
    *uploads.ROUTES,
    *outputs.ROUTES,
    *configs.ROUTES,
    *listings.ROUTES,
    *pages.ROUTES,
)
BODY_LIMIT_BYTES = 512 * 2**20
READERS = 4
END_S = 10.0
"""How long a clean end waits for requests under way."""


@dataclass(frozen=True)
class Options:
    """How a portal is served."""

    host: str = "127.0.0.1"
    port: int = 0
    """0 is any free one."""
    address_file: Path | None = None
    """Written once the portal listens (url, pid, boot_id, started), removed at a clean end."""
    names: tuple[str, ...] = ()
    """Further host names it answers to; without one, only loopback is listened on."""
    body_limit: int = BODY_LIMIT_BYTES
    clock: Callable[[], float] = time.time
    """Seconds since 1970."""
    tls: bool = False
    """Speak https, with `certificate` and `key`, or with a certificate of the portal's own."""
    certificate: Path | None = None
    key: Path | None = None
    chunk_bytes: int = CHUNK_BYTES
    """How DSMAPI's clients are asked to cut a file."""
    approval: bool = False
    """A revision is applied once a second publisher approves it."""


@dataclass(frozen=True)
class Portal:
    """What every request needs."""

    store: Store
    names: frozenset[str]
    """The host names, without ports, that the portal answers to."""
    body_limit: int
    clock: Callable[[], float]
    workshop: Workshop
    readers: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(READERS, "reader"))
    writer: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "writer"))
    busy: set[object] = field(default_factory=set)
    """The requests under way."""


def serve(file: Path, **options: Any) -> None:
    """
    Serve the portal in `file` until SIGTERM or SIGINT, then end requests under way and close the file.

    `options` are those of Options. Raises UsageError for a `host` that is not loopback without `names`, for a
    port that is taken, and for a certificate that cannot be used.
    """
    given = Options(**options)
    if not _loopback(given.host) and not given.names:
        hint = "Give the names that callers will use, and put TLS in front of it."
        raise UsageError(f"'{given.host}' is not loopback, and no host name was given.", hint=hint)
    tls = _tls(file, given)
    with _listening(given.host, given.port) as listener:
        asyncio.run(_serve(listener, file, given, tls))


def _tls(file: Path, given: Options) -> ssl.SSLContext | None:
    if given.certificate is not None and given.key is not None:
        return tls_context(given.certificate, given.key)
    if not given.tls:
        return None
    now = dt.datetime.fromtimestamp(given.clock(), dt.UTC)
    return tls_context(*own_certificate(file, given.names, now=now))


async def _serve(listener: socket.socket, file: Path, given: Options, tls: ssl.SSLContext | None) -> None:
    host = given.host
    own = frozenset({"127.0.0.1", "localhost", "::1", *({host} if _loopback(host) else ()), *given.names})
    store = Store(file)
    workshop = Workshop(store, given.clock, chunk_bytes=given.chunk_bytes, approval=given.approval)
    portal = Portal(store, own, given.body_limit, given.clock, workshop)
    resume(workshop)
    application = tornado.web.Application([(r".*", Door, {"portal": portal})], log_function=_no_log)
    # past ten times the limit the connection is cut; up to there the body is read, so that 413 arrives
    server = tornado.httpserver.HTTPServer(application, ssl_options=tls, max_body_size=10 * given.body_limit)
    server.add_sockets([listener])
    ended = _end_signals()
    _announce(given, listener, "http" if tls is None else "https")
    await ended.wait()
    server.stop()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(_rest(portal), END_S)
    await server.close_all_connections()
    await asyncio.to_thread(workshop.close)
    for pool in (portal.writer, portal.readers):
        await asyncio.to_thread(pool.shutdown)
    portal.store.close()
    _withdraw(given.address_file)


async def _rest(portal: Portal) -> None:
    """Wait until no request is under way."""
    while portal.busy:
        await asyncio.sleep(0.02)


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
        self.set_header("X-Socrata-RequestId", secrets.token_hex(16))

    def prepare(self) -> None:
        self.portal.busy.add(self)

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
            found, names = self.found()
            self.pattern = found.path
            call = self.call()
        except Refused as refused:
            await self.send(refused.answer())
            return
        if found.writes:
            await self.send(await self.threaded(self.portal.writer, self.write_route, found, call, names))
        else:
            await self.read_route(found, call, names)

    def check(self) -> None:
        """The Host must be ours, against DNS rebinding; a write from another site's page is refused."""
        if _host_name(self.request.headers.get("Host", "")) not in self.portal.names:
            raise modern(421, "req.misdirected", "This portal does not answer to that host name")
        site = self.request.headers.get("Sec-Fetch-Site", "same-origin")
        origin = self.request.headers.get("Origin")
        foreign = site == "cross-site" or (origin is not None and origin != self.origin())
        if foreign and self.request.method not in ("GET", "HEAD"):
            raise legacy(403, "permission_denied", "A page of another site may not write here")
        if self.size > self.portal.body_limit:
            limit = self.portal.body_limit
            raise modern(413, "req.body.too-large", "The request body is too large", limit=limit)

    def found(self) -> tuple[Route, Mapping[str, str]]:
        path = urllib.parse.unquote(self.request.path)
        method = "GET" if self.request.method == "HEAD" else self.request.method
        known = [(one, match) for one in ROUTES if (match := one.pattern.fullmatch(path))]
        for one, match in known:
            if one.method == method:
                return one, {name: text for name, text in match.groupdict().items() if text is not None}
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
            return modern(400, "req.body.malformed-json", message, row=1, column=1).answer()
        except Exception as error:  # noqa: BLE001  a bug or a full disk: the caller gets 500, the log its place
            return _broken(error)

    def write_route(self, found: Route, call: Call, names: Mapping[str, str]) -> Answer:
        with self.portal.store.writing() as connection:
            return _act(found, call, connection, names)

    async def read_route(self, found: Route, call: Call, names: Mapping[str, str]) -> None:
        loop, readers = asyncio.get_running_loop(), self.portal.readers
        connection = await loop.run_in_executor(readers, self.portal.store.borrow)
        answer: Answer | None = None
        try:
            answer = await self.threaded(readers, _act, found, call, connection, names)
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
        except sqlite3.Error as error:
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
        self.portal.busy.discard(self)

    def log_exception(self, *details: Any) -> None:
        """A broken stream is one line without the request, which may quote data or secrets."""
        log.error("%s broke off", self.pattern)


def _known(connection: sqlite3.Connection, call: Call) -> Call:
    app_token = call.option("$$app_token") or call.option("$$APP_TOKEN")
    return replace(call, account=identify(connection, call.headers, app_token))


def _act(found: Route, call: Call, connection: sqlite3.Connection, names: Mapping[str, str]) -> Answer:
    return found.action(_known(connection, call), connection, names)


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


def _no_log(handler: tornado.web.RequestHandler) -> None:
    """Tornado's own line would hold the whole address."""


def _host_name(host: str) -> str:
    name = urllib.parse.urlsplit(f"//{host}")
    try:
        return (name.hostname or "") if not name.username else ""
    except ValueError:
        return ""


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return tornado.netutil.bind_sockets(port, host, family)[0]
    except OSError as error:
        hint = "Choose another port, or 0 for any free one."
        raise UsageError(f"The portal cannot listen on {host}, port {port}.", hint=hint) from error


def _end_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set; outside the main thread nobody sends them."""
    ended, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(ValueError):
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(ended.set))
    return ended


def _announce(given: Options, listener: socket.socket, scheme: str) -> None:
    """Write the address in one step, so that whoever waits for the file reads it whole."""
    address_file = given.address_file
    shown = f"[{given.host}]" if ":" in given.host else given.host
    url = f"{scheme}://{shown}:{listener.getsockname()[1]}"
    log.info("listening on %s", url)
    if address_file is None:
        return
    body = {"url": url, "pid": os.getpid(), "boot_id": _boot_id(), "started": given.clock()}
    handle, name = tempfile.mkstemp(dir=address_file.parent, prefix=".address-")
    with os.fdopen(handle, "w", encoding="utf-8") as temporary:
        json.dump(body, temporary)
    Path(name).replace(address_file)


def _withdraw(address_file: Path | None) -> None:
    """Remove the address, unless a portal that started later has written its own there."""
    if address_file is None:
        return
    with contextlib.suppress(OSError, ValueError):
        if json.loads(address_file.read_text(encoding="utf-8")).get("pid") == os.getpid():
            address_file.unlink()


def _boot_id() -> str:
    """The kernel's name for this boot, so that an older pid is not taken for ours; else empty."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""
