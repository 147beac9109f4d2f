"""
Files on an SFTP server (SSH File Transfer Protocol, draft-ietf-secsh-filexfer-02) whose host key is known.

Neither an SSH agent nor keys that lie about are tried: who logs in is what the contract says.
"""

from __future__ import annotations

import logging
import socket
import stat
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ctnb import clock
from ctnb.contracts.places import Sftp
from ctnb.errors import CtnbError, SourceFailed, SourceInvalid, UsageError
from ctnb.places import host_keys, listings
from ctnb.places.fetched import Fetched, Request
from ctnb.places.host_keys import HostKey
from ctnb.places.listings import Listed

if TYPE_CHECKING:
    import paramiko

RECEIVE_BYTES = 1 << 18
PIPELINED = 64
"""Requests for 32 KiB each that are under way at once; one after the other waits for the network each time."""
LOG = "ctnb.places.sftp"
"""Where paramiko logs what it also raises, tracebacks with it; nobody reads there."""
logging.getLogger(LOG).addHandler(logging.NullHandler())
logging.getLogger(LOG).propagate = False
FAMILIES = (("ssh-ed25519",), ("ecdsa-sha2-",), ("rsa-sha2-", "ssh-rsa"))
"""Beginnings of the names of algorithms for host keys, by kind of key (RFC 8709, 5656, 8332)."""

Answer = TypeVar("Answer")


def fetch(place: Sftp, request: Request, *, sleep: Callable[[float], None] = time.sleep) -> Fetched:
    """
    The file, or the files, that `place` names, each in a snapshot.

    Raises UsageError when the server's host key is not known, the account is refused, the private key cannot be
    used or paramiko is not installed, SourceInvalid when the server shows another host key than the known one;
    and what `listings.fetch` does.
    """
    try:
        import paramiko  # noqa: F401
    except ImportError:
        raise UsageError(
            "Reading from SFTP needs paramiko, which is not installed.", hint='pip install "ctnb[sftp]"'
        ) from None
    session = SftpSession(place, request)
    try:
        return listings.fetch(session, place.path, place, request, sleep=sleep)
    finally:
        session.close()


class SftpSession:
    """A connection to an SFTP server, as `listings.Session` describes it."""

    def __init__(self, place: Sftp, request: Request) -> None:
        """Connect, compare the host key, log in. Raises what `fetch` does."""
        self.where, self.resumes = place.host, True
        self._place = place
        self._user = request.text(place.user)
        self._password = request.secret(place.password) if place.password else None
        self._key = _private_key(place, request) if place.key_file else None
        known = request.project / Path(place.known_hosts or "~/.ssh/known_hosts").expanduser()
        self._expected = host_keys.expected(place.host, place.port, place.fingerprint, known)
        self._transport: paramiko.Transport | None = None
        self._sftp = self._connected()

    def listed(self, folder: str, pattern: str) -> Sequence[Listed]:
        """The files of `folder` that fit; links count as what they lead to."""
        found = []
        for entry in self._ask(lambda: self._sftp.listdir_attr(folder or "."), folder):
            if not listings.fits(entry.filename, pattern) or "/" in entry.filename:
                continue
            path = f"{folder.rstrip('/')}/{entry.filename}" if folder else entry.filename
            if stat.S_ISLNK(entry.st_mode or 0):
                with suppress(SourceInvalid):  # leads nowhere
                    entry = self._ask(lambda path=path: self._sftp.stat(path), path)  # type: ignore[misc]
            if stat.S_ISREG(entry.st_mode or 0):
                found.append(_listed(path, entry))
        return found

    def look(self, path: str) -> Listed:
        """Size and time of the file `path`."""
        seen = self._ask(lambda: self._sftp.stat(path), path)
        if seen.st_mode is not None and not stat.S_ISREG(seen.st_mode):
            raise listings.not_there(path, self.where)
        return _listed(path, seen)

    def read(self, path: str, start: int) -> Iterator[bytes]:
        """The bytes of `path` from `start` on."""
        with self._ask(lambda: self._sftp.open(path, "rb"), path) as stream:
            size = self._ask(lambda: stream.stat().st_size)
            stream.seek(start)
            if size:
                _hush(stream)
                self._ask(lambda: stream.prefetch(size, PIPELINED))
            while chunk := self._ask(lambda: stream.read(RECEIVE_BYTES)):
                yield chunk

    def reopen(self) -> None:
        """Connect anew."""
        self.close()
        self._sftp = self._connected()

    def close(self) -> None:
        """Hang up."""
        if self._transport:
            self._transport.close()

    def _connected(self) -> paramiko.SFTPClient:
        import paramiko

        self._transport = transport = self._trusted()
        try:
            self._log_in(transport)
            client = self._ask(lambda: paramiko.SFTPClient.from_transport(transport))
            client.get_channel().settimeout(self._place.timeout_s)
        except CtnbError:
            transport.close()
            raise
        return client

    def _trusted(self) -> paramiko.Transport:
        """
        A connection to the server whose host key is the expected one; before that nothing is sent.

        A fingerprint does not tell of which kind its key is: where another is shown, the server is asked for its
        keys of other kinds.
        """
        transport = self._shaken(self._expected.kinds, only=False)
        shown = _shown(transport)
        trouble = self._expected.trouble(shown)
        others = [kinds for kinds in FAMILIES if not shown.kind.startswith(kinds)]
        for kinds in others if trouble and self._expected.fingerprint else ():
            transport.close()
            with suppress(SourceFailed):  # it has no key of this kind
                transport = self._shaken(kinds, only=True)
                if not self._expected.trouble(_shown(transport)):
                    return transport
        if trouble:
            transport.close()
            raise trouble
        return transport

    def _shaken(self, kinds: tuple[str, ...], *, only: bool) -> paramiko.Transport:
        """A connection whose keys are exchanged, by host keys of these `kinds` first, or `only`."""
        import paramiko

        timeout_s = self._place.timeout_s
        connection = self._ask(
            lambda: socket.create_connection((self._place.host, self._place.port), timeout_s)
        )
        transport = self._ask(lambda: paramiko.Transport(connection))
        transport.set_log_channel(LOG)
        transport.banner_timeout = transport.auth_timeout = transport.handshake_timeout = timeout_s
        options = transport.get_security_options()
        wanted = [name for name in options.key_types if _is_of(name, kinds)]
        rest = [] if only else [name for name in options.key_types if name not in wanted]
        try:
            options.key_types = (*wanted, *rest)
            self._ask(lambda: _shake(transport, timeout_s))
        except CtnbError:
            transport.close()
            raise
        return transport

    def _log_in(self, transport: paramiko.Transport) -> None:
        """By key, by password, or by both where the server wants that."""
        more: Any = True
        if self._key:
            more = self._ask(lambda: transport.auth_publickey(self._user, self._key))
        if self._password is not None and more:
            self._ask(lambda: transport.auth_password(self._user, self._password))
        if not transport.is_authenticated():
            raise self._refused()

    def _refused(self) -> UsageError:
        names = ("user", "password") if self._password is not None else ("user",)
        told = [f"{name}:" for name in (*names, *(("key_file",) if self._key else ()))]
        return UsageError(
            f"{self.where} refused the account.",
            hint=f"Check {', '.join(told[:-1])} and {told[-1]} in dataset.yml and the secrets they name.",
        )

    def _ask(self, call: Callable[[], Answer], path: str = "") -> Answer:
        """What `call` gives. Raises what its failure means, without the server's words."""
        import paramiko

        try:
            return call()
        except (OSError, EOFError, paramiko.SSHException) as error:
            trouble = self._trouble(error, path)
        raise trouble

    def _trouble(self, error: Exception, path: str) -> CtnbError:
        import paramiko

        if isinstance(error, (FileNotFoundError, PermissionError)) and path:
            return listings.not_there(path, self.where)
        if isinstance(error, paramiko.AuthenticationException) and "time" not in str(error):
            return self._refused()
        silent = "banner" in str(error) or "No existing session" in str(error)
        broke = "does not answer as an SSH server" if silent else listings.broke(error)
        return SourceFailed(f"{self.where} {broke}.", hint="Try again later; check host: and port:.")


def _private_key(place: Sftp, request: Request) -> paramiko.PKey:
    """The private key of the contract. Raises UsageError, which quotes neither key nor passphrase."""
    import paramiko

    path = request.project / Path(place.key_file or "").expanduser()
    passphrase = request.secret(place.passphrase) if place.passphrase else None
    if not path.is_file():
        raise UsageError(f"The private key {path.name} is not there.", hint=f"Expected at {path}.")
    if sys.platform != "win32" and path.stat().st_mode & 0o077:
        raise UsageError(f"Others may read the private key {path.name}.", hint=f"chmod 600 {path}")
    locked = False
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            return kind.from_private_key_file(str(path), password=passphrase)
        except paramiko.PasswordRequiredException:
            locked = True
        except (OSError, ValueError, paramiko.SSHException):  # of another kind, or another passphrase
            continue
    if locked:
        raise UsageError(
            f"The private key {path.name} is locked.", hint="Name the secret that opens it under passphrase:."
        )
    raise UsageError(
        f"The private key {path.name} cannot be used.",
        hint="It must be an Ed25519, ECDSA or RSA key in OpenSSH's form or PEM"
        + (", and passphrase: must be what opens it." if place.passphrase else "."),
    )


def _shake(transport: paramiko.Transport, timeout_s: float) -> None:
    """Exchange keys; `start_client` returns in silence when its time is over."""
    transport.start_client(timeout=timeout_s)
    transport.get_remote_server_key()


def _hush(stream: Any) -> None:
    """Whoever reads `stream` learns that its connection broke; the thread that asks ahead would print it too."""
    ask_ahead = stream._prefetch_thread

    def quietly(*what: Any) -> None:
        with suppress(OSError, EOFError):
            ask_ahead(*what)

    stream._prefetch_thread = quietly


def _shown(transport: paramiko.Transport) -> HostKey:
    key = transport.get_remote_server_key()
    return HostKey(key.get_name(), key.asbytes())


def _is_of(algorithm: str, kinds: tuple[str, ...]) -> bool:
    """Whether host keys of one of these `kinds` sign by `algorithm`; RSA's do by several."""
    rsa = any("rsa" in kind for kind in kinds)
    return algorithm.startswith(kinds) or (rsa and algorithm.startswith(("rsa-sha2-", "ssh-rsa")))


def _listed(path: str, seen: paramiko.SFTPAttributes) -> Listed:
    modified = clock.stamp_of(seen.st_mtime) if seen.st_mtime is not None else None
    return Listed(path, seen.st_size, modified)
