"""The socket: the options of a portal, what it listens on, its routes, and a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ipaddress
import json
import logging
import os
import signal
import socket
import ssl
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tornado.httpserver
import tornado.netutil
import tornado.web

from ctnb.errors import UsageError
from ctnb.locks import boot_id, hold

from . import (
    approvals,
    configs,
    datasync,
    exports,
    inventories,
    jobs,
    listings,
    ods,
    outputs,
    pages,
    revisions,
    soda3,
    soda_read,
    soda_write,
    uploads,
    views,
)
from .answers import Route
from .certificates import own_certificate, tls_context
from .door import Door, Portal
from .faults import ROUTES as FAULT_ROUTES
from .faults import Faults
from .faulty_door import FaultyDoor
from .resuming import resume
from .store import Store
from .workshop import CHUNK_BYTES, UPLOAD_LIMIT_BYTES, Workshop

log = logging.getLogger("ctnb.embedded")

ROUTES: tuple[Route, ...] = (
    *views.ROUTES,
    *soda_read.ROUTES,
    *soda3.ROUTES,
    *exports.ROUTES,
    *soda_write.ROUTES,
    *revisions.ROUTES,
    *jobs.ROUTES,
    *approvals.ROUTES,
    *uploads.ROUTES,
    *outputs.ROUTES,
    *configs.ROUTES,
    *datasync.ROUTES,
    *listings.ROUTES,
    *inventories.ROUTES,
    *pages.ROUTES,
    *ods.ROUTES,
)
BODY_LIMIT_BYTES = 512 * 2**20
END_S = 10.0
TAKEOVER_S = END_S + 5.0
"""How long the next portal waits for one that is ending."""
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
    upload_limit: int = UPLOAD_LIMIT_BYTES
    """The largest file that a source may hold, all its chunks together, in bytes."""
    fetch: bool = False
    """Publishers may have a source read from a URL by the portal."""
    approval: bool = False
    """A revision is applied once a second publisher approves it."""
    faults: bool = False
    """Publishers may say, at /_faults, which of the next requests go wrong."""
    cors: bool = False
    """Pages of any site may read what anybody may read (`Access-Control-Allow-Origin: *`)."""
    processing_s: float = 0.0
    """How long Opendatasoft's publish and unpublish stay in their states before anything is done."""
    records_limit: int | None = None
    """How many records the plan of an Opendatasoft dataset allows."""
    strict_push: bool = False
    """A pushed record with a field that the Opendatasoft dataset does not have is refused."""
    listening: Callable[[str], None] | None = None
    """Told the portal's address once it listens there."""


def serve(file: Path, **options: Any) -> None:
    """
    Serve the portal in `file` until SIGTERM or SIGINT, then end requests under way and close the file.

    `options` are those of Options. Raises UsageError for a `host` that is not loopback without `names`, for a
    port that is taken, and for a certificate that cannot be used; LockHeld while another process serves the file:
    two would work off the same jobs.
    """
    given = Options(**options)
    if not _loopback(given.host) and not given.names:
        hint = "Give the names that callers will use (--name), and speak TLS (--tls, or --certificate and --key)."
        raise UsageError(f"'{given.host}' is not loopback, and no host name was given.", hint=hint)
    for name in _QUOTING:
        logging.getLogger(name).addFilter(_without_words)
    tls = _tls(file, given)
    serving = hold(file.with_name(file.name + ".serving"), wait_s=TAKEOVER_S)
    with _listening(given.host, given.port) as listener, serving:
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
    workshop = Workshop(
        store,
        given.clock,
        chunk_bytes=given.chunk_bytes,
        approval=given.approval,
        upload_limit=given.upload_limit,
        fetch=given.fetch,
        processing_s=given.processing_s,
        records_limit=given.records_limit,
        strict_push=given.strict_push,
    )
    routes = (*ROUTES, *FAULT_ROUTES) if given.faults else ROUTES
    faults = Faults(store) if given.faults else None
    portal = Portal(
        store, routes, own, given.body_limit, given.clock, workshop, faults=faults, cors=given.cors
    )
    resume(workshop)
    door = FaultyDoor if given.faults else Door
    application = tornado.web.Application([(r".*", door, {"portal": portal})], log_function=_no_log)
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


_QUOTING = ("tornado.general", "tornado.application", "asyncio")
"""Loggers whose lines quote what was sent: a header that is not one, an exception with its text."""


def _without_words(record: logging.LogRecord) -> bool:
    """Leaves of a line where it comes from, and the type of the exception: a header may hold a password."""
    kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else record.name
    record.msg, record.args = f"{kind} at {record.filename}:{record.lineno}", ()
    record.exc_info = record.exc_text = record.stack_info = None
    return True


def _no_log(handler: tornado.web.RequestHandler) -> None:
    """Tornado's own line would hold the whole address."""


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
    """Write the address in one step, so that whoever waits for the file reads it whole; then say it."""
    address_file = given.address_file
    shown = f"[{given.host}]" if ":" in given.host else given.host
    url = f"{scheme}://{shown}:{listener.getsockname()[1]}"
    if address_file is not None:
        _write_address(address_file, url, given.clock())
    log.info("listening on %s", url)
    if given.listening:
        given.listening(url)


def _write_address(address_file: Path, url: str, started: float) -> None:
    body = {"url": url, "pid": os.getpid(), "boot_id": boot_id(), "started": started}
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
