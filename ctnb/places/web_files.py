"""A file behind an HTTP or HTTPS address."""

from __future__ import annotations

import base64
import re
from contextlib import ExitStack
from email.message import Message
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import requests

from ctnb import clock, digests
from ctnb.clients.getting import check_way
from ctnb.contracts.places import Web
from ctnb.errors import NothingNew, SourceFailed, SourceInvalid, UsageError
from ctnb.places.downloads import Download, Wanted, trusted, who
from ctnb.places.fetched import Fetched, Progress, Request
from ctnb.secrets import SecretReference
from ctnb.snapshots import Writer
from ctnb.sources.formats import SUFFIXES

KINDS = {
    "text/csv": ".csv", "application/csv": ".csv", "text/tab-separated-values": ".tsv", "application/json": ".json",
    "application/x-ndjson": ".jsonl", "application/jsonl": ".jsonl", "application/geo+json": ".geojson",
    "application/vnd.apache.parquet": ".parquet", "application/zip": ".zip", "application/x-zip-compressed": ".zip",
    "application/gzip": ".gz", "application/x-gzip": ".gz", "application/vnd.ms-excel": ".xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
    "application/vnd.ms-excel.sheet.binary.macroenabled.12": ".xlsb",
    "application/vnd.oasis.opendocument.spreadsheet": ".ods",
}  # fmt: skip
"""The suffix that a media type stands for, where neither address nor Content-Disposition has one."""
PAGES = ("text/html", "application/xhtml+xml")
PAGE = re.compile(
    rb"(\xef\xbb\xbf)?\s*(<!--.*?-->\s*)*<(!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL
)
SETTLED_S = 60.0
"""Seconds after its last change from which a file's time tells it from a later state (RFC 9110, 8.8.2.2)."""


def fetch(place: Web, request: Request, *, pause_s: float = 1.0) -> Fetched:
    """
    The file at `place.url`, whole.

    Unless `request.again`, a file with the ETag or time of the last release is not fetched. The position keeps
    the ETag only as a digest under the project's key: many servers make it a plain digest of the bytes. Raises
    NothingNew, SourceFailed when the server cannot be reached or trusted, is busy or breaks off, SourceInvalid
    when there is no file, one too large, or a web page, UsageError for credentials that are refused.
    `pause_s` are the seconds before the first repetition.
    """
    page = Page(place, request)
    with ExitStack() as stack:
        download = Download(
            page.wanted, partial(page.begin, stack), page.watch, page.progress, pause_s=pause_s
        )
        response = download.run(page.conditions)
        if response is None or page.writer is None:
            raise page.nothing_new()
        page.check_page(at_end=True)
        snapshot = page.writer.done()
    return Fetched(
        (snapshot,), position=page.position(response), modified=_moment(response), notes=page.notes(response)
    )


class Page:
    """What is known of the file before it comes, and what its answer says of it."""

    def __init__(self, place: Web, request: Request) -> None:
        """Raises UsageError for a secret that is not set or cannot be sent, or a ca_file without certificates."""
        self.place, self.request = place, request
        self.who = who(place.url)
        self.name = _of_path(place.url) or "download"
        self.writer: Writer | None = None
        self._kind, self._head = "", b""
        known = {} if request.again else request.position
        self._known = known if known.get("at") == self._keyed("") else {}
        if _secret_names(place):
            check_way(place.url)
        ca_file = request.project / place.ca_file if place.ca_file else None
        self.wanted = Wanted(
            url=place.url.partition("#")[0], own=_headers(place, request),
            hosts=frozenset(host.lower() for host in place.hosts), verify=trusted(ca_file),
            limit_bytes=place.at_most_mb << 20, timeout_s=place.timeout_s,
            packed=not self.name.endswith((".gz", ".zip")),
        )  # fmt: skip

    @property
    def conditions(self) -> dict[str, str]:
        """What the first request is conditional on; where an ETag is known, the answer's is compared instead."""
        since = self._known.get("last_modified")
        return {"If-Modified-Since": since} if since and not self._known.get("etag") else {}

    def begin(self, stack: ExitStack, response: requests.Response) -> Writer:
        """The Writer for the file that `response` brings. Raises NothingNew, and for what is no file."""
        _check_status(response, self.place)
        etag = response.headers.get("ETag")
        if etag and self._keyed(etag) == self._known.get("etag"):
            raise self.nothing_new()
        self._kind, self._head = _media_type(response), b""
        self.name = _name(response, self.place.url)
        if self.writer is None:
            self.writer = stack.enter_context(Writer(self.request.work, self.name, self.request.prefix))
        return self.writer

    def watch(self, piece: bytes) -> None:
        """Look at the first bytes. Raises SourceInvalid for a web page."""
        if len(self._head) < 1024:
            self._head += piece[:4096]
            self.check_page()

    def check_page(self, *, at_end: bool = False) -> None:
        """Raise SourceInvalid when the bytes so far are a web page's; a program must not read one as rows."""
        looks = PAGE.match(self._head) is not None
        said = self._kind in PAGES and self._head.lstrip()[:1] == b"<"
        if (looks or said) and (at_end or len(self._head) >= 16):
            raise SourceInvalid(
                f"{self.who} sent a web page, not a file.",
                hint="Open the address in a browser: it may have moved, be down for maintenance, or want a login.",
            )

    def progress(self, done: int, total: int | None) -> None:
        """Tell how far the download is."""
        self.request.progress(Progress(self.name, done, total))

    def nothing_new(self) -> NothingNew:
        """The end of a run whose file is the one of the last release."""
        return NothingNew(
            f"{self.who} has nothing new: the file is the one of the last release.",
            hint="The next run looks again.",
        )

    def position(self, response: requests.Response) -> dict[str, Any]:
        """What tells this state of the file from a later one."""
        etag, changed = response.headers.get("ETag"), response.headers.get("Last-Modified")
        made = {
            "etag": self._keyed(etag) if etag else None,
            "last_modified": changed if _settled(response) else None,
        }
        told = {name: value for name, value in made.items() if value}
        return {"at": self._keyed(""), **told} if told else {}

    def notes(self, response: requests.Response) -> tuple[str, ...]:
        """What a person should know of how the file came."""
        told = "Content-Length" in response.headers or "chunked" in response.headers.get(
            "Transfer-Encoding", ""
        )
        if told:
            return ()
        return ("The server does not say how long the file is: had it broken off, nobody could tell.",)

    def _keyed(self, etag: str) -> str:
        return digests.keyed(digests.of_bytes(f"{self.place.url}\n{etag}".encode()), self.request.key)


def _headers(place: Web, request: Request) -> dict[str, str]:
    """What is sent with the request. Raises UsageError, which names a secret and never quotes it."""
    made = {}
    for name, told in place.headers.items():
        made[name] = _sendable(request.text(told).strip(), told, f"header {name}")
    if place.token:
        made["Authorization"] = f"Bearer {_sendable(request.text(place.token).strip(), place.token, 'token')}"
    elif place.user:
        secret = request.text(place.password) if place.password else ""
        pair = f"{request.text(place.user)}:{secret}".encode()  # RFC 7617, charset UTF-8
        made["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
    return made


def _sendable(value: str, told: SecretReference | str, what: str) -> str:
    if value.isprintable() and value.isascii():
        return value
    of = f"The secret {told.secret}" if isinstance(told, SecretReference) else "What dataset.yml says"
    raise UsageError(
        f"{of} cannot be sent as {what}: it has characters other than ASCII's.", hint="Set it again."
    )


def _check_status(response: requests.Response, place: Web) -> None:
    """Raise what a status means; 200 and 203 bring the file."""
    status, server = response.status_code, who(response.url)
    if status in (200, 203):
        return
    if status in (401, 403):
        names = _secret_names(place)
        raise UsageError(
            f"{server} refused {'the credentials' if names else 'a request without credentials'} (status {status}).",
            hint=f"Check {', '.join(names)}." if names else
            "Name user: and password:, token: or headers: under source: web: in dataset.yml.",
        )  # fmt: skip
    if status in (404, 410):
        raise SourceInvalid(
            f"{server} has no such file (status {status}).", hint="Correct source: web: url: in dataset.yml."
        )
    kind = SourceFailed if status in (206, 407, 416) else SourceInvalid
    raise kind(
        f"{server} answered with status {status}, and no file.", hint="Check source: web: in dataset.yml."
    )


def _secret_names(place: Web) -> list[str]:
    told = (*place.headers.values(), place.token, place.user, place.password)
    return [f"the secret {one.secret}" for one in told if isinstance(one, SecretReference)]


def _name(response: requests.Response, url: str) -> str:
    """The file's name, for its suffix: from Content-Disposition (RFC 6266), the addresses' paths, the media type."""
    message = Message()
    message["Content-Disposition"] = response.headers.get("Content-Disposition", "")
    names = [_safe(message.get_filename() or ""), _of_path(response.url), _of_path(url)]
    for name in names:
        if PurePosixPath(name.lower()).suffix in {*SUFFIXES, ".gz", ".zip"}:
            return name
    name = next((one for one in names if one), "download")
    suffix = KINDS.get(_media_type(response))
    return PurePosixPath(name).stem + suffix if suffix else name


def _of_path(url: str) -> str:
    return _safe(unquote(urlsplit(url).path).rpartition("/")[2])


def _safe(name: str) -> str:
    """A file name of harmless characters."""
    plain = name.replace("\\", "/").rpartition("/")[2]
    return re.sub(r"[^A-Za-z0-9._ -]", "_", plain).lstrip(". ")[-100:]


def _media_type(response: requests.Response) -> str:
    return response.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def _moment(response: requests.Response) -> str | None:
    """When the file was last changed, as the server says."""
    try:
        return clock.stamp(parsedate_to_datetime(response.headers.get("Last-Modified", "")))
    except (ValueError, TypeError, OverflowError):
        return None


def _settled(response: requests.Response) -> bool:
    """Whether the file was last changed long enough before it was sent that its time tells it from a later one."""
    try:
        sent, changed = (
            parsedate_to_datetime(response.headers.get(name, "")) for name in ("Date", "Last-Modified")
        )
        return (sent - changed).total_seconds() >= SETTLED_S
    except (ValueError, TypeError, OverflowError):
        return False
