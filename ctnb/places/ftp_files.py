"""
Files on an FTP server, by explicit TLS (RFC 4217) unless told otherwise.

Listings come from MLSD (RFC 3659), where a server has none from NLST, SIZE and MDTM. What a server answers is
never quoted, only its code.
"""

from __future__ import annotations

import ftplib
import socket
import ssl
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from typing import TypeVar, cast

from ctnb import clock
from ctnb.contracts.places import Ftp
from ctnb.errors import CtnbError, SourceFailed, SourceInvalid, UsageError
from ctnb.places import listings
from ctnb.places.fetched import Fetched, Request
from ctnb.places.listings import Listed

RECEIVE_BYTES = 1 << 18
UNKNOWN_COMMAND = ("500", "501", "502", "504")
"""Replies to a command that a server does not have, or not with this argument (RFC 959, 4.2)."""
NO_MLSD = ("500", "502", "504")
"""501 says that there is no such folder (RFC 3659, 7.2.1)."""
NO_TLS = (*UNKNOWN_COMMAND, "503", "530", "534", "550")
"""Replies to AUTH TLS of servers that speak no TLS."""
REFUSED = ("503", "522", "530", "532", "534", "550")
"""Replies to USER and PASS; some say that they want TLS first."""
NOT_THERE = ("501", "550", "553")
FAILURES = (ftplib.Error, OSError, EOFError, ValueError)
"""What ftplib raises; ValueError for replies that cannot be understood and names that are not UTF-8."""

Answer = TypeVar("Answer")


def fetch(place: Ftp, request: Request, *, sleep: Callable[[float], None] = time.sleep) -> Fetched:
    """
    The file, or the files, that `place` names, each in a snapshot.

    Raises UsageError when user and password are refused or the server has no TLS, SourceFailed when it cannot be
    reached or trusted; and what `listings.fetch` does.
    """
    session = FtpSession(place, request)
    try:
        return listings.fetch(session, place.path, place, request, sleep=sleep)
    finally:
        session.close()


class FtpSession:
    """A connection to an FTP server, as `listings.Session` describes it."""

    def __init__(self, place: Ftp, request: Request) -> None:
        """Connect and log in. Raises what `fetch` does."""
        self.where, self.resumes = place.host, True
        self._place = place
        self._user = request.text(place.user)
        self._password = request.secret(place.password) if place.password else ""
        if not f"{self._user}{self._password}".isprintable():
            raise UsageError(
                "The user or the password for FTP holds a line break or another control character.",
                hint="Look at the secrets that dataset.yml names.",
            )
        self._context = _context(place, request) if place.tls else None
        self._ftp = self._connected()

    def listed(self, folder: str, pattern: str) -> Sequence[Listed]:
        """The files of `folder` that fit: by MLSD, else by name and then one by one."""
        found = self._ask_or_none(lambda: list(self._ftp.mlsd(folder)), folder, none_for=NO_MLSD)
        if found is None:
            return self._listed_by_name(folder, pattern)
        return [
            Listed(_joined(folder, name), _size(facts.get("size")), _time(facts.get("modify")))
            for name, facts in found
            if facts.get("type", "file").lower() == "file"
            and "/" not in name
            and listings.fits(name, pattern)
        ]

    def look(self, path: str) -> Listed:
        """Size and time of the file `path`, as far as the server tells them."""
        self._ask(lambda: self._ftp.voidcmd("TYPE I"))  # many tell no SIZE of a text
        size = self._ask_or_none(lambda: self._ftp.sendcmd(f"SIZE {path}"), path, none_for=UNKNOWN_COMMAND)
        untold = UNKNOWN_COMMAND if size is None else (*UNKNOWN_COMMAND, "550")
        modified = self._ask_or_none(lambda: self._ftp.sendcmd(f"MDTM {path}"), path, none_for=untold)
        return Listed(path, _size(_fact(size)), _time(_fact(modified)))

    def read(self, path: str, start: int) -> Iterator[bytes]:
        """The bytes of `path` from `start` on."""
        self._ask(lambda: self._ftp.voidcmd("TYPE I"))
        connection = self._ask_or_none(
            lambda: self._ftp.transfercmd(f"RETR {path}", start or None), path,
            none_for=UNKNOWN_COMMAND if start else (),
        )  # fmt: skip
        if connection is None:
            self.resumes = False
            raise SourceFailed(f"{self.where} cannot go on within a file.", hint="Try again later.")
        with connection:
            while chunk := self._ask(lambda: connection.recv(RECEIVE_BYTES)):
                yield chunk
            if isinstance(connection, ssl.SSLSocket):
                with suppress(OSError):  # some close without a farewell; sizes are compared
                    connection.unwrap()
        self._ask(self._ftp.voidresp)

    def reopen(self) -> None:
        """Connect anew."""
        self.close()
        self._ftp = self._connected()

    def close(self) -> None:
        """Hang up."""
        self._ftp.close()

    def _connected(self) -> ftplib.FTP:
        """A connection that is logged in, its data as safe as its commands."""
        ftp = _FtpTls(context=self._context) if self._context else ftplib.FTP()  # noqa: S321 - asked for by tls: false
        try:
            self._ask(lambda: ftp.connect(self._place.host, self._place.port, self._place.timeout_s))
            if isinstance(ftp, _FtpTls) and self._ask_or_none(ftp.auth, none_for=NO_TLS) is None:
                raise UsageError(
                    f"{self.where} offers no TLS.",
                    hint="Ask its owner for TLS or SFTP; tls: false would send password and rows in the clear.",
                )
            self._ask_login(ftp)
            if isinstance(ftp, _FtpTls):
                self._ask(ftp.prot_p)
        except CtnbError:
            ftp.close()
            raise
        return ftp

    def _ask_login(self, ftp: ftplib.FTP) -> None:
        if self._ask_or_none(lambda: ftp.login(self._user, self._password), none_for=REFUSED) is None:
            raise UsageError(
                f"{self.where} refused the user or the password.",
                hint="Check user: and password: in dataset.yml and the secrets they name."
                + ("" if self._context else " The server may want TLS: leave out tls: false."),
            )

    def _listed_by_name(self, folder: str, pattern: str) -> list[Listed]:
        """The slow way: a list of names, then size and time of each that fits; folders have no size."""
        names = self._ask_or_none(lambda: self._ftp.nlst(folder), folder, none_for=("550",)) or []
        found = []
        for name in (told.rpartition("/")[2] for told in names):
            if listings.fits(name, pattern):
                with suppress(SourceInvalid):
                    found.append(self.look(_joined(folder, name)))
        return found

    def _ask(self, call: Callable[[], Answer], path: str = "") -> Answer:
        """What `call` gives. Raises what its failure means, without ftplib's text: it quotes the server."""
        return cast(Answer, self._ask_or_none(call, path))

    def _ask_or_none(
        self, call: Callable[[], Answer], path: str = "", *, none_for: Collection[str] = ()
    ) -> Answer | None:
        """As `_ask`, but None where the server replies one of the codes `none_for`."""
        try:
            return call()
        except FAILURES as error:
            if isinstance(error, ftplib.error_perm) and str(error)[:3] in none_for:
                return None
            trouble = self._trouble(error, path)
        raise trouble

    def _trouble(self, error: BaseException, path: str) -> CtnbError:
        if isinstance(error, ssl.SSLCertVerificationError):
            return SourceFailed(
                f"{self.where} cannot be trusted: its certificate does not verify: {error.verify_message}.",
                hint="Name the host as its certificate does; where the network has certificates of its own, name "
                "their file under ca_file:.",
            )
        if isinstance(error, ftplib.error_perm) and path and str(error)[:3] in NOT_THERE:
            return listings.not_there(path, self.where)
        if isinstance(error, UnicodeError):
            return SourceInvalid(
                f"{self.where} lists names that are not UTF-8.",
                hint="Name the file in path: without * and ?.",
            )
        if isinstance(error, (ftplib.error_perm, ftplib.error_temp)):
            return SourceFailed(f"{self.where} answered {str(error)[:3]}.", hint="Try again later.")
        return SourceFailed(
            f"{self.where} {listings.broke(error)}.", hint="Try again later; check host: and port:."
        )


class _FtpTls(ftplib.FTP_TLS):
    """Connections for data go on with the TLS session of the commands, which many servers insist on."""

    def ntransfercmd(self, cmd: str, rest: int | str | None = None) -> tuple[socket.socket, int | None]:
        connection, size = ftplib.FTP.ntransfercmd(self, cmd, rest)  # noqa: S321 - made safe below
        session = cast(ssl.SSLSocket, self.sock).session
        try:
            return self.context.wrap_socket(connection, server_hostname=self.host, session=session), size
        except OSError:
            connection.close()
            raise


def _context(place: Ftp, request: Request) -> ssl.SSLContext:
    """What certificates are trusted; host names are compared too. Raises UsageError."""
    if place.ca_file is None:
        return ssl.create_default_context()
    path = request.project / place.ca_file
    try:
        return ssl.create_default_context(cafile=str(path))
    except OSError:  # ssl.SSLError too
        pass
    raise UsageError(f"{path.name} under ca_file: is not there or holds no certificate in PEM.")


def _fact(reply: str | None) -> str | None:
    """What stands behind the code 213; None where there is none."""
    return reply[4:].strip() if reply and reply.startswith("213") else None


def _size(told: str | None) -> int | None:
    return int(told) if told and told.isdecimal() else None


def _time(told: str | None) -> str | None:
    """A time of RFC 3659, YYYYMMDDHHMMSS in UTC with or without a fraction, as a stamp."""
    try:
        return clock.stamp(clock.parse(f"{told[:8]}T{told[8:14]}Z")) if told else None
    except ValueError:
        return None


def _joined(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}" if folder else name
