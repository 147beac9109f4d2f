"""
One file from a web server: asked for until it is whole, resumed where the server can do that.

HTTP semantics are RFC 9110 (redirects 15.4, conditions 13, ranges 14, Retry-After 10.2.3). An address can carry
a key in its query, and the exceptions of requests and urllib3 quote addresses: none of them is ever the cause
or the context of an error raised here.
"""

from __future__ import annotations

import contextlib
import os
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from ctnb.clients.getting import PATIENCE_S, AgainError, checked_file, nobody, repeating, retry_after
from ctnb.errors import SourceFailed, SourceInvalid
from ctnb.snapshots import CHUNK_BYTES, Writer

ATTEMPTS = 5
"""How often in a row an attempt may bring nothing before the download is given up."""
PROGRESS_BYTES = 1 << 20
"""What an attempt must bring beyond all earlier ones so that it counts as having brought something."""
SLOWEST_BYTES = 1024
"""Bytes that must come within the time-out; a server that sends less is as good as silent."""
REDIRECTS = 5
MOVED = (301, 302, 303, 307, 308)
BUSY = (408, 425, 429)


@dataclass(frozen=True)
class Wanted:
    """What is asked of which server."""

    url: str = field(repr=False)
    own: Mapping[str, str] = field(repr=False)
    """Headers for the address itself, credentials among them; no other server gets them."""
    hosts: frozenset[str]
    """Other hosts that a redirect may lead to, in lower case, with or without a port."""
    limit_bytes: int
    """The largest file that is taken, unpacked from the packing of its transport."""
    timeout_s: float
    verify: bool | str
    """Whether certificates are verified by the system's authorities, or the file of those to trust."""
    packed: bool = True
    """Whether the server may pack the file with gzip for its way."""


@dataclass
class Arrived:
    """What has come so far of one state of the file."""

    etag: str = ""
    """The ETag if it is a strong one, so that pieces can be put together by it."""
    total: int | None = None
    """Bytes on the wire that there are in all; None when the server does not say."""
    raw: int = 0
    """Bytes on the wire that came."""
    unpacker: Unpacker | None = None


class Download:
    """The asking for one file, attempt by attempt."""

    def __init__(
        self, wanted: Wanted, begin: Callable[[requests.Response], Writer],
        watch: Callable[[bytes], None], progress: Callable[[int, int | None], None], *, pause_s: float,
    ) -> None:  # fmt: skip
        """
        `begin` looks at the headers of an answer that brings the file and gives the Writer for it; `watch` looks
        at the first bytes, unpacked. Both may raise. `progress` is told the bytes that came, and of how many.
        `pause_s` are the seconds before the first repetition; each next pause is twice as long.
        """
        self._wanted, self._begin, self._watch, self._progress = wanted, begin, watch, progress
        self._pause_s = pause_s
        self._session = requests.Session()
        self._session.trust_env = False  # no .netrc; proxies are looked up for each address
        self._session.auth = nobody
        self._arrived = Arrived()
        self._writer: Writer | None = None
        self._fruitless, self._furthest = 0, 0

    def run(self, conditions: Mapping[str, str]) -> requests.Response | None:
        """
        Bring the file; None when the server says by 304 that the `conditions` do not hold.

        Raises SourceFailed when it could not be had now, SourceInvalid when it is too large.
        """
        again = repeating(lambda state: self._fruitless >= ATTEMPTS, self._pause_s)
        try:
            return again(self._attempt, conditions)
        except AgainError as error:
            told = str(error)
        finally:
            self._session.close()
        raise SourceFailed(f"{who(self._wanted.url)} {told}, {ATTEMPTS} times.", hint="Try again later.")

    def _attempt(self, conditions: Mapping[str, str]) -> requests.Response | None:
        self._fruitless += 1
        self._progress(self._arrived.raw, self._arrived.total)
        now, asked = self._arrived, dict(conditions)
        if now.raw and now.etag:
            asked = {"Range": f"bytes={now.raw}-", "If-Range": now.etag}
        asked["Accept-Encoding"] = "gzip" if self._wanted.packed else "identity"
        with contextlib.closing(self._answer(asked)) as response:
            if response.status_code == 304 and conditions:
                return None
            if response.status_code != 206 or not self._goes_on(response):
                self._start(response)
            self._take(response)
        return response

    def _answer(self, asked: Mapping[str, str]) -> requests.Response:
        """The answer at the end of all redirects."""
        url = self._wanted.url
        for _ in range(REDIRECTS + 1):
            own = self._wanted.own if _may_know(self._wanted.url, url) else {}
            response = self._get(url, {"User-Agent": "ctnb", **own, **asked})
            if response.status_code not in MOVED:
                return self._unless_busy(response)
            with response:
                url = self._moved(url, response.headers.get("Location", ""))
        raise SourceInvalid(
            f"{who(url)} redirects more than {REDIRECTS} times.",
            hint="Correct source: web: url: in dataset.yml.",
        )

    def _get(self, url: str, headers: Mapping[str, str]) -> requests.Response:
        wanted = self._wanted
        try:
            return self._session.get(
                url, headers=headers, timeout=wanted.timeout_s, stream=True, allow_redirects=False,
                verify=wanted.verify, proxies=requests.utils.get_environ_proxies(url),
            )  # fmt: skip
        except requests.exceptions.SSLError:
            error: Exception = SourceFailed(
                f"{who(url)} cannot be trusted: its certificate does not verify, or TLS fails.",
                hint="Where the agency's network has certificates of its own, name their file under ca_file:.",
            )
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, UnicodeError):
            error = SourceInvalid(
                "An address that the source's server uses is not one.",
                hint="Correct source: web: url: in dataset.yml.",
            )
        except requests.exceptions.InvalidHeader:
            error = SourceInvalid(
                "A header of the source cannot be sent.", hint="Correct source: web: headers: in dataset.yml."
            )
        except requests.RequestException as trouble:
            error = AgainError(f"did not answer ({type(trouble).__name__})")
        raise error

    def _unless_busy(self, response: requests.Response) -> requests.Response:
        status = response.status_code
        if status < 500 and status not in BUSY and status != 202:
            return response
        response.close()
        wait_s = retry_after(response)
        if wait_s is not None and wait_s > PATIENCE_S:
            raise SourceFailed(
                f"{who(response.url)} wants to be left alone for {wait_s:,.0f} seconds (status {status}).",
                hint="Try again then.",
            )
        raise AgainError(f"answered with status {status}", wait_s)

    def _moved(self, url: str, location: str) -> str:
        """Where a redirect leads, if it may. Raises SourceInvalid, which names the host and nothing more."""
        there = urljoin(url, location)
        old, new = urlsplit(url), urlsplit(there)
        host = new.hostname or ""
        allowed = {(urlsplit(self._wanted.url).hostname or "").lower(), *self._wanted.hosts}
        trouble = ""
        if not location or new.scheme not in ("http", "https") or "@" in new.netloc:
            trouble = "to no address that can be followed"
        elif new.scheme == "http" and old.scheme == "https":
            trouble = "from https to http"
        elif not {host.lower(), new.netloc.lower()} & allowed:
            trouble = f"to {host}"
        if trouble:
            raise SourceInvalid(
                f"{who(url)} redirects {trouble}, which is not allowed.",
                hint="If you trust it, list the host under source: web: hosts: in dataset.yml.",
            )
        return there

    def _goes_on(self, response: requests.Response) -> bool:
        """Whether a 206 brings what is missing. Raises AgainError when it brings something else."""
        now, told = self._arrived, response.headers.get("Content-Range", "")
        kind, _, rest = told.partition(" ")
        first, _, total = rest.partition("-")[0], *rest.rpartition("/")[1:]
        if now.raw and kind == "bytes" and first == str(now.raw) and total in (str(now.total), "*"):
            return True
        self._arrived = Arrived()
        raise AgainError("sent another part of the file than the one asked for")

    def _start(self, response: requests.Response) -> None:
        """Begin the file, or begin it again."""
        if self._writer is None:
            self._writer = self._begin(response)
        else:
            self._begin(response)
            self._writer.restart()
        length = response.headers.get("Content-Length", "")
        encoding = response.headers.get("Content-Encoding", "identity").lower().strip() or "identity"
        if encoding not in ("identity", "gzip", "x-gzip"):
            raise SourceFailed(
                f"{who(response.url)} packs the file in a way it was not asked for.", hint="Ask its owner."
            )
        etag = response.headers.get("ETag", "")
        self._arrived = Arrived(
            etag=etag if etag.startswith('"') else "",
            total=int(length) if length.isdecimal() else None,
            unpacker=Unpacker() if encoding != "identity" and self._wanted.packed else None,
        )
        self._check_size(self._arrived.total or 0)

    def _take(self, response: requests.Response) -> None:
        """Write what comes. Raises AgainError when less comes than there is."""
        now, whole = self._arrived, False
        try:
            for chunk in self._paced(response.raw):
                now.raw += len(chunk)
                for piece in now.unpacker.feed(chunk) if now.unpacker else (chunk,):
                    self._write(piece)
                self._progress(now.raw, now.total)
            whole = True
        except (urllib3.exceptions.HTTPError, OSError):
            pass
        except zlib.error:
            self._arrived = Arrived()
        if now.raw >= self._furthest + PROGRESS_BYTES:
            self._fruitless, self._furthest = 0, now.raw
        if not whole or (now.total or now.raw) != now.raw or (now.unpacker and not now.unpacker.complete):
            if whole:  # nothing is missing at the end, so it cannot be gone on with there
                self._arrived = Arrived()
            of = f" of {now.total:,}" if now.total else ""
            raise AgainError(f"broke off after {now.raw:,}{of} bytes")

    def _paced(self, raw: Any) -> Iterator[bytes]:
        """The bytes as they come. Raises AgainError when they come too slowly."""
        since, got = time.monotonic(), 0
        while chunk := raw.read1(CHUNK_BYTES, decode_content=False):
            yield chunk
            got += len(chunk)
            if time.monotonic() - since > self._wanted.timeout_s:
                if got < SLOWEST_BYTES:
                    raise AgainError(f"sent {got:,} bytes in {self._wanted.timeout_s:g} seconds")
                since, got = time.monotonic(), 0

    def _write(self, piece: bytes) -> None:
        if self._writer is not None and piece:
            self._check_size(self._writer.size + len(piece))
            if self._writer.size < PROGRESS_BYTES:
                self._watch(piece)
            self._writer.write(piece)

    def _check_size(self, size: int) -> None:
        if size > self._wanted.limit_bytes:
            raise SourceInvalid(
                f"{who(self._wanted.url)} sends more than {self._wanted.limit_bytes >> 20:,} MB.",
                hint="Check the address, or raise source: web: at_most_mb: in dataset.yml.",
            )


class Unpacker:
    """Takes a gzip packing off, a piece at a time (RFC 1952); it may have several members."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)

    @property
    def complete(self) -> bool:
        """Whether the packing ended as it should."""
        return self._inner.eof

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """What `chunk` unpacks to, in pieces of bounded size. Raises zlib.error."""
        while chunk:
            if self._inner.eof:
                self._inner = zlib.decompressobj(wbits=31)
            yield self._inner.decompress(chunk, CHUNK_BYTES)
            chunk = self._inner.unconsumed_tail or self._inner.unused_data


def who(url: str) -> str:
    """The server of an address, without anything else of it."""
    place = urlsplit(url)
    return (place.hostname or "The server") + (f":{place.port}" if place.port else "")


def trusted(ca_file: Path | None) -> bool | str:
    """
    What certificates are verified by: a file of the contract's, of the environment's, or what requests brings.

    Raises UsageError when `ca_file` holds no certificates.
    """
    return checked_file(ca_file) if ca_file else os.environ.get("REQUESTS_CA_BUNDLE") or True


def _may_know(own: str, url: str) -> bool:
    """Whether the server of `url` is that of `own`, or the same one by https, so that it may see credentials."""
    first, other = urlsplit(own), urlsplit(url)
    ports = {"http": 80, "https": 443}
    known = (first.hostname, first.port or ports[first.scheme], first.scheme)
    seen = (other.hostname, other.port or ports[other.scheme], other.scheme)
    return seen in (known, (first.hostname, 443, "https") if known[1:] == (80, "http") else known)
