"""Talking to a kernel: Jupyter's messages over four ZeroMQ sockets, without an event loop."""

from __future__ import annotations

import json
import os
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import zmq
from jupyter_client.session import Session

_RETRY_S = 0.03
_BATCH = 200
_PORTS = ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port")


@dataclass(frozen=True)
class Message:
    """What a kernel said."""

    channel: str
    """shell, iopub or control."""
    kind: str
    """Its type, for example execute_reply."""
    parent: str
    """The id of the request it belongs to."""
    content: dict[str, Any]
    """Its fields."""


def write_connection_file(folder: Path) -> Path:
    """
    Write the file that tells a kernel where to listen, private to this user, and return its path.

    Unix sockets in `folder` where there are any; elsewhere free ports on loopback.
    """
    facts: dict[str, Any] = {
        "key": secrets.token_hex(32),
        "signature_scheme": "hmac-sha256",
        "kernel_name": "",
    }
    if os.name == "posix":
        facts |= {"transport": "ipc", "ip": str(folder / "s")}
        facts |= {name: number for number, name in enumerate(_PORTS, start=1)}
    else:
        facts |= {"transport": "tcp", "ip": "127.0.0.1", **dict(zip(_PORTS, _free_ports(), strict=True))}
    path = folder / "c.json"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(facts, file)
    return path


def _free_ports() -> list[int]:
    held = [socket.socket() for _ in _PORTS]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()


class Connection:
    """The supervisor's end of a kernel's sockets. Used by one thread at a time."""

    def __init__(self, file: Path) -> None:
        facts = json.loads(file.read_text())
        self._session = Session(key=facts["key"].encode(), signature_scheme=facts["signature_scheme"])
        self._context = zmq.Context()
        self._poller = zmq.Poller()
        self._sockets = {
            "shell": self._connect(facts, "shell_port", zmq.DEALER),
            "control": self._connect(facts, "control_port", zmq.DEALER),
            "iopub": self._connect(facts, "iopub_port", zmq.SUB),
        }
        self._sockets["iopub"].setsockopt(zmq.SUBSCRIBE, b"")

    def _connect(self, facts: dict[str, Any], port: str, kind: int) -> Any:
        one = self._context.socket(kind)
        one.linger = 0
        one.setsockopt(zmq.RECONNECT_IVL, 10)
        one.setsockopt(zmq.RCVHWM, 0)  # a flood of output must not push out the end of the cell
        one.setsockopt(zmq.IDENTITY, self._session.bsession)
        joint = "-" if facts["transport"] == "ipc" else ":"
        one.connect(f"{facts['transport']}://{facts['ip']}{joint}{facts[port]}")
        self._poller.register(one, zmq.POLLIN)
        return one

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the sockets; what was not sent is dropped."""
        self._context.destroy(linger=0)

    def send(self, channel: str, kind: str, content: dict[str, Any]) -> str:
        """Send one request on `channel` and return its id."""
        message = self._session.send(self._sockets[channel], kind, content)
        return str(message["header"]["msg_id"])

    def execute(self, source: str) -> str:
        """Ask the kernel to run `source` as a cell and return the request's id."""
        return self.send(
            "shell",
            "execute_request",
            {
                "code": source,
                "silent": False,
                "store_history": True,
                "user_expressions": {},
                "allow_stdin": False,
                "stop_on_error": True,
            },
        )

    def receive(self, wait_s: float) -> list[Message]:
        """Up to a few hundred messages, those of a cell's outputs first; none after `wait_s` seconds."""
        ready = dict(self._poller.poll(int(wait_s * 1000)))
        found: list[Message] = []
        for channel in ("iopub", "shell", "control"):
            if self._sockets[channel] in ready:
                found += self._read(channel)
        return found

    def _read(self, channel: str) -> list[Message]:
        found = []
        for _ in range(_BATCH):
            try:
                frames = self._sockets[channel].recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            if (message := self._parse(channel, frames)) is not None:
                found.append(message)
        return found

    def _parse(self, channel: str, frames: list[bytes]) -> Message | None:
        try:
            message = self._session.deserialize(self._session.feed_identities(frames)[1])
        except (ValueError, TypeError, KeyError):
            return None  # not signed with this kernel's key, or not a message: as if it had not come
        content = message["content"]
        parent = str((message.get("parent_header") or {}).get("msg_id", ""))
        return Message(
            channel, str(message["msg_type"]), parent, content if isinstance(content, dict) else {}
        )

    def greet(self, wait_s: float, gone: Callable[[], bool]) -> bool:
        """
        Wait until the kernel answers and its outputs reach us; False when it does not, or is `gone`.

        Asks again and again instead of waiting a fixed time: a subscription takes hold only some time after
        connecting, and the first answers' outputs may be lost.
        """
        deadline = time.monotonic() + wait_s
        asked: set[str] = set()
        answered = heard = False
        next_ask = 0.0
        while not (answered and heard):
            if time.monotonic() > deadline or gone():
                return False
            if time.monotonic() >= next_ask:
                asked.add(self.send("shell", "kernel_info_request", {}))
                next_ask = time.monotonic() + _RETRY_S
            for message in self.receive(0.01):
                answered |= message.channel == "shell" and message.parent in asked
                heard |= message.channel == "iopub" and message.parent in asked
        return True
