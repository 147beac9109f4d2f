"""
Questions put to a web interface that only reads: asked again while it is busy, and never told by their address.

An address can carry a key or what somebody searches for, and the exceptions of requests quote it: none of them
is ever the cause or the context of an error raised here. Proxies and certificates of the environment count
(HTTPS_PROXY, NO_PROXY, REQUESTS_CA_BUNDLE); a .netrc file does not. Redirects are not followed: a header with
a token would be sent along.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import email.utils
import ipaddress
import json
import logging
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import requests
from requests.auth import HTTPBasicAuth
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential,
    wait_random,
)

from ctnb import clock
from ctnb.clients import codes
from ctnb.errors import SourceFailed, UsageError

T = TypeVar("T")

ATTEMPTS = 4
AGAIN = frozenset([408, 425, 429, 500, 502, 503, 504])
PATIENCE_S = 120.0
"""The longest Retry-After that is waited for."""
BODY_LIMIT = 64 << 20
"""Bytes of the largest answer that is taken into memory."""
CHUNK_BYTES = 1 << 18
NO_ADDRESS = "a redirect to no address"


def _without_query(record: logging.LogRecord) -> bool:
    """Take what stands behind the path out of urllib3's own debugging lines."""
    if isinstance(record.args, tuple):
        record.args = tuple(one.partition("?")[0] if isinstance(one, str) else one for one in record.args)
    return True


def _without_header(record: logging.LogRecord) -> bool:
    """Take the query, and what a portal sent where a header should stand, out of urllib3's warning about it."""
    told = record.args if isinstance(record.args, tuple) else ()
    record.args = tuple(type(one).__name__ if isinstance(one, BaseException) else one for one in told)
    record.exc_info = record.exc_text = None
    return _without_query(record)


logging.getLogger("urllib3.connectionpool").addFilter(_without_query)
logging.getLogger("urllib3.connection").addFilter(_without_header)


@dataclass(frozen=True)
class Answer:
    """An answer that was read whole."""

    who: str
    """Who gave it, e.g. data.ct.gov."""
    status: int
    headers: Mapping[str, str]
    content: bytes = field(repr=False)

    def json(self) -> Any:
        """What it says. Raises SourceFailed, without the text, when that is no JSON."""
        kind = self.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if "html" not in kind:
            with contextlib.suppress(ValueError):
                return json.loads(self.content)
        raise not_json(self.who, kind)


class BrokenOff(SourceFailed):
    """A long answer ended before its end."""


class Moved(SourceFailed):
    """An answer that points elsewhere; `page` is the name of the page it points to, where it is a plain one."""

    page: str = ""


class TooLarge(SourceFailed):
    """An answer has more bytes than are taken into memory."""


class AgainError(Exception):
    """An answer that says: try again; or none. Its text quotes nothing."""

    def __init__(self, told: str, wait_s: float | None = None) -> None:
        super().__init__(told)
        self.wait_s = wait_s


def repeating(stop: Callable[[RetryCallState], bool], pause_s: float) -> Retrying:
    """
    What calls a function again as long as it raises AgainError, until `stop`; then it raises the last one.

    It waits as long as the error says, else first about `pause_s` seconds, then each time twice as long, 10 s at
    most.
    """
    backing_off = wait_exponential(multiplier=pause_s, max=10) + wait_random(0, pause_s)

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        told_s = error.wait_s if isinstance(error, AgainError) else None
        return backing_off(state) if told_s is None else told_s

    return Retrying(stop=stop, wait=wait, retry=retry_if_exception_type(AgainError), reraise=True)


def is_private_way(origin: str) -> bool:
    """Whether what is sent to the address `origin` can be read by nobody on the way."""
    return urlsplit(origin).scheme == "https" or is_loopback(origin)


def is_loopback(origin: str) -> bool:
    """Whether the address `origin` is of this machine."""
    host = urlsplit(origin).hostname or ""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def advice(told: str) -> str:
    """What to do about a portal that does not answer, `told` being the name of what went wrong."""
    if told == "SSLError":
        return (
            "Its certificate does not verify, or TLS fails: where the network or the portal has certificates of its "
            "own, name their file under ca_file: in ctnb.yml."
        )
    if told == "ConnectionError":
        return "Try again later; if it stays, check url: in ctnb.yml, the network and its proxy."
    return "Try again later."


def check_way(origin: str) -> None:
    """Raises UsageError where a secret would be sent to the address `origin` in the clear."""
    if not is_private_way(origin):
        raise UsageError(
            "The source's address begins with http://, and a secret would be sent there in the clear.",
            hint="Write https:// in dataset.yml.",
        )


def not_json(who: str, kind: str) -> SourceFailed:
    """The error for an answer of another kind than JSON, e.g. the page of a proxy or a login."""
    named = codes.kind(kind)
    said = f"with {named}" if named and "json" not in named else "with something torn"
    return SourceFailed(
        f"{who} answered {said} where JSON was expected.",
        hint="Try again later; if it stays, check the address in dataset.yml, and whether a proxy or a login stands "
        "between.",
    )


class Getter:
    """One web interface, asked by GET alone."""

    def __init__(
        self, origin: str, *, auth: tuple[str, str] | None = None, headers: Mapping[str, str] | None = None,
        timeout_s: float = 60.0, wait_s: float = 600.0, pause_s: float = 0.5, ca_file: Path | None = None,
    ) -> None:  # fmt: skip
        """
        `origin` is the address without a path, `auth` user and password, `timeout_s` the seconds to wait for each
        answer, `wait_s` those in which a 202 must become another answer, `pause_s` those before the first
        repetition; each next pause is twice as long unless Retry-After says another. Raises UsageError when
        `ca_file` holds no certificates, or a header cannot be sent.
        """
        self.origin = origin.rstrip("/")
        self.who = urlsplit(origin).netloc
        self._timeout_s, self._wait_s, self._pause_s = timeout_s, wait_s, pause_s
        self._verify = checked_file(ca_file) if ca_file else None
        self._session = requests.Session()
        self._session.trust_env = not is_loopback(origin)  # no proxy leads back to this machine
        self._session.auth = HTTPBasicAuth(auth[0].encode(), auth[1].encode()) if auth else nobody
        self._session.headers["User-Agent"] = "ctnb"
        self._session.headers.update({name: sendable(name, said) for name, said in (headers or {}).items()})

    def get(self, path: str, query: Mapping[str, Any] | None = None, *, limit: int = BODY_LIMIT) -> Answer:
        """
        The answer to one question, whatever its status, once it is neither busy nor 202.

        Raises SourceFailed, and TooLarge when it has more than `limit` bytes.
        """
        return self._asked(path, query, lambda response: self._whole(response, limit))

    @contextlib.contextmanager
    def opened(self, path: str, query: Mapping[str, Any] | None = None) -> Iterator[Stream]:
        """A long answer, to be read piece by piece. Raises SourceFailed, also when it breaks off."""
        response = self._asked(path, query, lambda given: given)
        try:
            yield Stream(self.who, response)
        finally:
            response.close()

    def _asked(self, path: str, query: Mapping[str, Any] | None, take: Callable[[requests.Response], T]) -> T:
        end, pause_s, address = time.monotonic() + self._wait_s, 1.0, self.origin + path
        while True:
            response, taken = self._insisted(address, query, take)
            if not isinstance(taken, bytes):
                return taken
            told_s = retry_after(response)
            wait_s = pause_s if told_s is None else told_s
            if time.monotonic() + wait_s > end:
                raise SourceFailed(
                    f"{self.who} was still preparing the rows after {self._wait_s:g} seconds (status 202).",
                    hint="Try again later, or raise wait_s: in dataset.yml.",
                )
            time.sleep(wait_s)
            pause_s = min(pause_s * 2, 10.0)
            address, query = self._where_next(response, taken, address, query)

    def _where_next(
        self, response: requests.Response, content: bytes, address: str, query: Mapping[str, Any] | None
    ) -> tuple[str, Mapping[str, Any] | None]:
        """Where a 202 says that its answer will be: elsewhere on the same host, under a ticket, or here."""
        location = response.headers.get("Location")
        if location and urljoin(address, location).startswith(self.origin + "/"):
            return urljoin(address, location), None
        with contextlib.suppress(ValueError):
            said = json.loads(content)
            if isinstance(said, dict) and isinstance(said.get("ticket"), str):
                return address, {**(query or {}), "ticket": said["ticket"]}
        return address, query

    def _insisted(
        self, address: str, query: Mapping[str, Any] | None, take: Callable[[requests.Response], T]
    ) -> tuple[requests.Response, T | bytes]:
        try:
            return repeating(stop_after_attempt(ATTEMPTS), self._pause_s)(self._once, address, query, take)
        except AgainError as again:
            told = str(again)
        raise SourceFailed(f"{self.who} did not answer: {told}, {ATTEMPTS} times.", hint="Try again later.")

    def _once(
        self, address: str, query: Mapping[str, Any] | None, take: Callable[[requests.Response], T]
    ) -> tuple[requests.Response, T | bytes]:
        untrusted = False
        try:
            response = self._session.get(
                address, params=query, timeout=self._timeout_s, stream=True, allow_redirects=False,
                verify=self._verify,
            )  # fmt: skip
            if response.status_code not in AGAIN:
                if 300 <= response.status_code < 400:
                    raise self._moved(response)
                if response.status_code == 202:
                    return response, response.content  # short: it says where to look again
                return response, take(response)
            told, wait_s = f"status {response.status_code}", retry_after(response)
            wait_s = _reset_time(response) if wait_s is None else wait_s
            response.close()
        except requests.exceptions.SSLError:
            untrusted = True
        except requests.RequestException as error:
            told, wait_s = type(error).__name__, None
        except ValueError:  # of requests, which looks at a redirect before anybody asks; quotes it
            told, wait_s = NO_ADDRESS, None
        if untrusted:
            raise SourceFailed(
                f"{self.who} cannot be trusted: its certificate does not verify, or TLS fails.",
                hint="Where the agency's network has certificates of its own, name their file under ca_file:.",
            )
        if wait_s is not None and wait_s > PATIENCE_S:
            raise SourceFailed(
                f"{self.who} wants to be left alone for {wait_s:,.0f} seconds ({told}).",
                hint="Try again then. An app token or an API key usually allows more requests.",
            )
        raise AgainError(told, wait_s)

    def _moved(self, response: requests.Response) -> Moved:
        """A redirect names its host and nothing more: the rest of an address can be a secret."""
        place = urlsplit(urljoin(response.url or "", response.headers.get("Location", "")))
        where = f"{place.scheme}://{place.hostname}" if place.hostname else "nowhere"
        page = place.path.rpartition("/")[2]
        return Moved(
            f"{self.who} has moved: it points to {where} (status {response.status_code}).",
            hint="Write the address that it points to into dataset.yml, if you trust it.",
            page=page if re.fullmatch(r"[a-z_]{1,40}\.html", page) else "",
        )  # fmt: skip

    def _whole(self, response: requests.Response, limit: int) -> Answer:
        content = bytearray()
        for chunk in response.iter_content(CHUNK_BYTES):
            content += chunk
            if len(content) > limit:
                response.close()
                raise TooLarge(f"{self.who} sent an answer of more than {limit >> 20} MB.")
        return Answer(self.who, response.status_code, response.headers, bytes(content))


@dataclass(frozen=True)
class Stream:
    """A long answer that is being read."""

    who: str
    response: requests.Response = field(repr=False)

    @property
    def status(self) -> int:
        """Its status."""
        return self.response.status_code

    @property
    def kind(self) -> str:
        """Its content type without parameters, in lower case."""
        return self.response.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    def start(self, size: int = 1 << 16) -> Answer:
        """The answer with the first `size` bytes of it, for what an error says."""
        content = b""
        with contextlib.suppress(requests.RequestException):
            content = next(self.response.iter_content(size), b"")
        return Answer(self.who, self.status, self.response.headers, content)

    def chunks(self) -> Iterator[bytes]:
        """Its bytes. Raises SourceFailed when it breaks off."""
        pieces = self.response.iter_content(CHUNK_BYTES)
        while True:
            chunk = b""
            try:
                chunk = next(pieces)
                broken = ""
            except StopIteration:
                return
            except requests.RequestException as error:
                broken = type(error).__name__
            if broken:
                raise BrokenOff(f"{self.who} broke off in the middle ({broken}).", hint="Try again later.")
            yield chunk


def checked_file(ca_file: Path) -> str:
    """The file's name, once it is known to hold certificates. Raises UsageError."""
    try:
        ssl.create_default_context(cafile=str(ca_file))
    except (OSError, ssl.SSLError):
        pass
    else:
        return str(ca_file)
    raise UsageError(f"{ca_file.name} under ca_file: is not there or holds no certificate in PEM.")


def sendable(name: str, said: str) -> str:
    """A header's value; requests would quote one that cannot be sent. Raises UsageError."""
    bare = said.strip()
    if not bare.isascii() or not bare.isprintable():
        raise UsageError(
            f"The secret that is sent as {name} holds marks that no header can carry.", hint="Set it anew."
        )
    return bare


def nobody(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """An account that is none: without it requests would look into .netrc."""
    return request


def retry_after(response: requests.Response) -> float | None:
    """The seconds that an answer asks to wait (RFC 9110, section 10.2.3), or None."""
    told = response.headers.get("Retry-After", "").strip()
    with contextlib.suppress(ValueError):
        return max(0.0, float(told))
    with contextlib.suppress(ValueError, TypeError):
        return _seconds_until(email.utils.parsedate_to_datetime(told))
    return None


def _reset_time(response: requests.Response) -> float | None:
    """The seconds until an Opendatasoft portal's quota begins anew, as its 429 says; or None."""
    if response.status_code != 429:
        return None
    start = next(response.iter_content(1 << 14), b"")
    with contextlib.suppress(ValueError, TypeError, KeyError):
        return _seconds_until(dt.datetime.fromisoformat(json.loads(start)["reset_time"]))
    return None


def _seconds_until(moment: dt.datetime) -> float:
    return max(0.0, (moment.astimezone(dt.UTC) - clock.now()).total_seconds())
