"""A real FTP server on loopback, with TLS where a certificate is given, that can be told to misbehave."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

USER, PASSWORD = "clerk", "Tr0ub4dor-and-3"


@dataclass
class Behaviour:
    """What a server does wrong, and what it saw."""

    breaks_after: int | None = None
    """After how many bytes a transfer of a file is cut; never when None."""
    breaks: int = 1
    """How many transfers are cut."""
    without: Sequence[str] = ()
    """Commands that the server does not have."""
    commands: list[str] = field(default_factory=list)
    """The commands that came, without those that carry a secret."""
    on_transfer: list[Path] = field(default_factory=list)
    """Files to which a byte is added once a transfer has begun."""


@contextmanager
def serving(root: Path, behaviour: Behaviour, certificate: Path | None = None) -> Iterator[int]:
    """The port of a server of the files below `root` for USER; it wants TLS where it has a `certificate`."""
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import DTPHandler, FTPHandler, TLS_DTPHandler, TLS_FTPHandler
    from pyftpdlib.servers import FTPServer

    authorizer = DummyAuthorizer()
    authorizer.add_user(USER, PASSWORD, str(root), perm="elr")
    sending = TLS_DTPHandler if certificate else DTPHandler

    class Sending(sending):  # type: ignore[misc,valid-type]
        """Data connections that can break."""

        def send(self, data: bytes) -> int:
            while self.file_obj and behaviour.on_transfer:
                with behaviour.on_transfer.pop().open("ab") as stream:
                    stream.write(b"!")
            cut = behaviour.breaks_after
            if cut is not None and behaviour.breaks and self.file_obj:
                if self.tot_bytes_sent >= cut:
                    behaviour.breaks -= 1
                    self.cmd_channel.close()
                    self.close()
                    return 0
                data = data[: cut - self.tot_bytes_sent]
            return int(super().send(data))

    commands = TLS_FTPHandler if certificate else FTPHandler

    class Handler(commands):  # type: ignore[misc,valid-type]
        """The commands of one client."""

        dtp_handler = Sending
        auth_failed_timeout = 0

        def pre_process_command(self, line: str, cmd: str, arg: str) -> None:
            if cmd not in ("USER", "PASS"):
                behaviour.commands.append(line)
            if cmd in behaviour.without:
                self.respond("502 Not here.")
            else:
                super().pre_process_command(line, cmd, arg)

    Handler.authorizer = authorizer
    if certificate:
        Handler.certfile = str(certificate)
        Handler.tls_control_required = Handler.tls_data_required = True
    server = FTPServer(("127.0.0.1", 0), Handler)
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            server.serve_forever(timeout=0.02, blocking=False)
        server.close_all()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield server.address[1]
    finally:
        over.set()
        thread.join()
