"""A real SFTP server on loopback that can be told to misbehave."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

USER, PASSWORD = "clerk", "Tr0ub4dor-and-3"


@dataclass
class Behaviour:
    """What a server does wrong, and what it saw."""

    breaks_after: int | None = None
    """After how many bytes of a file the connection is cut; never when None."""
    breaks: int = 1
    """How many connections are cut."""
    wants_both: bool = False
    """Whether a key alone is not enough."""
    logins: list[str] = field(default_factory=list)
    """How somebody tried to log in."""
    starts: list[int] = field(default_factory=list)
    """Where the reading of a file began, for each time it was opened."""
    on_transfer: list[Path] = field(default_factory=list)
    """Files to which a byte is added once a file is opened."""


def key(kind: str = "ssh-ed25519") -> Any:
    """A new private key."""
    import asyncssh

    return asyncssh.generate_private_key(kind)


@contextmanager
def serving(root: Path, behaviour: Behaviour, host_keys: list[Any], client: Any) -> Iterator[int]:
    """The port of a server of the files below `root` for USER, who has PASSWORD or the private key `client`."""
    import asyncssh

    class Files(asyncssh.SFTPServer):  # type: ignore[misc,valid-type]
        """The files of one client."""

        def __init__(self, channel: Any) -> None:
            self._connection, self._sent, self._is_cut = channel.get_connection(), 0, False
            super().__init__(channel, chroot=str(root))

        def open(self, path: bytes, pflags: int, attrs: Any) -> Any:
            while behaviour.on_transfer:
                with behaviour.on_transfer.pop().open("ab") as stream:
                    stream.write(b"!")
            self._begun = False
            return super().open(path, pflags, attrs)

        def read(self, file_obj: Any, offset: int, size: int) -> Any:
            if not self._begun:
                behaviour.starts.append(offset)
            self._begun = True
            cut = behaviour.breaks_after
            if cut is not None and behaviour.breaks and self._sent >= cut and not self._is_cut:
                behaviour.breaks -= 1
                self._is_cut = True
                self._connection.abort()
            if self._is_cut:
                raise asyncssh.SFTPConnectionLost("cut")
            self._sent += size
            return super().read(file_obj, offset, size)

    class Server(asyncssh.SSHServer):  # type: ignore[misc,valid-type]
        """The logins of one client."""

        def connection_made(self, conn: Any) -> None:
            self._connection = conn
            self._has_key = False

        def password_auth_supported(self) -> bool:
            return not behaviour.wants_both or self._has_key

        def public_key_auth_supported(self) -> bool:
            return not self._has_key

        def validate_password(self, username: str, password: str) -> bool:
            behaviour.logins.append("password")
            return (username, password) == (USER, PASSWORD)

        def validate_public_key(self, username: str, key: Any) -> bool:
            behaviour.logins.append("key")
            return username == USER and client is not None and key == client.convert_to_public()

    started: dict[str, Any] = {}
    ready, loop = threading.Event(), asyncio.new_event_loop()

    async def serve() -> None:
        started["server"] = await asyncssh.create_server(
            Server, "127.0.0.1", 0, server_host_keys=host_keys, sftp_factory=Files
        )
        ready.set()

    async def end() -> None:
        started["server"].close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def run() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(serve())
        loop.run_forever()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(20)
    try:
        yield started["server"].get_port()
    finally:
        asyncio.run_coroutine_threadsafe(end(), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
