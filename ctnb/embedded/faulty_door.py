"""The door of a portal that fails on demand: each request passes as ever, unless a rule says how it goes wrong."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import struct
import urllib.parse
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import tornado.iostream

from .answers import Answer, Call, Route
from .door import Door, Portal, act, known
from .fault_answers import (
    OUT_OF_DATE,
    out_of_date,
    said,
    ticket_of,
    unfinished,
    with_errors,
    without_last_rows,
)
from .faults import Fault, Request, Rule
from .store import limit_time

_SAID = ("status", "quota", "html", "accepted")
_BY_ROUTE = ("approval", "failure")
"""The faults that the route makes itself."""


class FaultyDoor(Door):
    """A Door that looks up every request in the rules."""

    def initialize(self, portal: Portal) -> None:
        super().initialize(portal)
        self.rule: Rule | None = None
        self.seen = Request("", "")
        self.left_out = 0

    @property
    def fault(self) -> Fault | None:
        """What goes wrong with this request."""
        return None if self.rule is None else self.rule.fault

    def prepare(self) -> None:
        super().prepare()
        if self.portal.faults is not None:
            path = urllib.parse.unquote(self.request.path)
            self.rule, self.seen = self.portal.faults.take(self.request.method or "", path)
        if self.is_kind("reset_request") and self.fault is not None and not self.fault.bytes:
            self.reset()

    async def data_received(self, chunk: bytes) -> None:
        await super().data_received(chunk)
        fault = self.fault
        if fault is not None and fault.kind == "reset_request" and self.size >= fault.bytes:
            self.reset()

    def is_kind(self, *kinds: str) -> bool:
        """Whether what goes wrong is one of `kinds`."""
        return self.fault is not None and self.fault.kind in kinds

    async def run(self) -> None:
        fault, self.seen.bytes = self.fault, self.size
        if fault is None:
            await super().run()
            return
        if fault.kind == "reset_request":  # a body shorter than the bytes that were to come
            self.reset()
            return
        if not fault.after_commit:
            if fault.kind == "die":
                self.die()
            if fault.kind == "slow":
                await asyncio.sleep(fault.seconds)
            if fault.kind in _SAID:
                await super().send(said(fault, self.request.path, self.origin()))
                return
        await super().run()

    def call(self) -> Call:
        call, fault = super().call(), self.fault
        call = replace(
            call, faults=self.portal.faults, query=tuple(one for one in call.query if not ticket_of(one))
        )
        if fault is not None and fault.kind in _BY_ROUTE:
            call = replace(call, fault=fault.kind)
        if fault is not None and fault.kind == "row_errors":
            body, self.left_out = without_last_rows(
                call.body, call.headers.get("Content-Type", ""), fault.rows
            )
            call = replace(call, body=body)
        return call

    async def read_route(self, found: Route, call: Call, names: Mapping[str, str]) -> None:
        rule = self.rule
        if rule is None or rule.fault.kind != "stale":
            await super().read_route(found, call, names)
            return
        await self.send(await self.threaded(self.portal.readers, self.stale_route, rule, found, call, names))

    def stale_route(self, rule: Rule, found: Route, call: Call, names: Mapping[str, str]) -> Answer:
        """The rows as they were, under the headers of a copy that lags behind."""
        with self.portal.store.reading() as connection:
            now = _whole(act(found, call, connection, names))
            if OUT_OF_DATE not in dict(now.headers):
                return now
            asked = known(connection, call)
        with rule.lock:
            if rule.snapshot is None:
                return now
            limit_time(rule.snapshot)
            return out_of_date(now, _whole(found.action(asked, rule.snapshot, names)))

    async def send(self, answer: Answer) -> None:
        fault = self.fault
        if fault is None:
            await super().send(answer)
            return
        if fault.kind == "lost":
            self.reset()
            return
        if fault.after_commit:
            if fault.kind == "die":
                self.die()
            if fault.kind == "slow":
                await asyncio.sleep(fault.seconds)
            if fault.kind in _SAID:
                answer = said(fault, self.request.path, self.origin())
        if fault.kind == "row_errors":
            answer = with_errors(_whole(answer), self.left_out)
        if fault.kind == "unfinished":
            answer = unfinished(_whole(answer))
        await super().send(answer)

    async def send_body(self, answer: Answer) -> None:
        fault = self.fault
        if fault is None or fault.kind not in ("slow", "reset_answer") or self.request.method == "HEAD":
            await super().send_body(answer)
            return
        body = _bytes(answer)
        self.set_header("Content-Length", str(len(body)))
        if fault.kind == "reset_answer":
            self.write(body[: fault.bytes])
            await self.flush()
            self.reset()
        elif fault.byte_seconds:
            for at in range(len(body)):
                self.write(body[at : at + 1])
                await self.flush()
                await asyncio.sleep(fault.byte_seconds)
            await self.finish()
        else:
            await super().send_body(replace(answer, body=body))

    def reset(self) -> None:
        """End the connection with RST: what was sent may be lost, and nothing more comes."""
        self._finished = True
        connection: Any = self.request.connection
        stream: tornado.iostream.IOStream | None = connection.stream
        if stream is not None and not stream.closed():
            with contextlib.suppress(OSError):
                stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            stream.close()
        self.portal.busy.discard(self)

    def die(self) -> None:
        """Kill the portal where it stands."""
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))


def _whole(answer: Answer) -> Answer:
    """The answer with its body in one piece."""
    return replace(answer, body=_bytes(answer))


def _bytes(answer: Answer) -> bytes:
    return answer.body if isinstance(answer.body, bytes) else b"".join(answer.body)
