"""
Questions and writes to a portal over HTTP: who asks, what is tried again, and what an error says.

Credentials are sent in headers and never stand in a URL: an API key or user name and password as HTTP Basic, an
OAuth token as `Authorization: OAuth`, an app token as `X-App-Token` (dev.socrata.com, "Authentication" and
"Application Tokens"). A redirect is never followed: it would carry the token elsewhere, and a redirected write
becomes a GET, which changes nothing and says 200.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth
from tenacity import stop_after_attempt

from ctnb.clients import codes
from ctnb.clients.getting import (
    NO_ADDRESS,
    PATIENCE_S,
    AgainError,
    advice,
    checked_file,
    is_loopback,
    nobody,
    repeating,
    retry_after,
    sendable,
)
from ctnb.errors import PortalFailed

ATTEMPTS = 4
AGAIN = frozenset([429, 500, 502, 503, 504])
CONNECTIONS = 8
GOOD = (200, 201, 202)


@dataclass(frozen=True)
class Credentials:
    """An account of a portal."""

    key_id: str = ""
    """API key id, or user name; empty with a token alone."""
    key_secret: str = field(default="", repr=False)
    """API key secret, or password."""
    app_token: str = field(default="", repr=False)
    """A token that names the program, not the person."""
    oauth_token: str = field(default="", repr=False)
    """A token that stands for the person, in place of key id and secret."""


class Exchange:
    """One portal, as one account reaches it."""

    def __init__(
        self, url: str, credentials: Credentials | None, *, timeout_s: float = 60.0, pause_s: float = 0.2,
        ca_file: Path | None = None,
    ) -> None:  # fmt: skip
        """
        `url` is the portal's address without a path; `timeout_s` the seconds to wait for each answer, `pause_s`
        those before the first repetition; each next pause is about twice as long, 10 s at most, or what the portal
        asks for. The proxies and certificates that the environment names count, except for this machine.
        Raises UsageError when `ca_file` holds no certificates.
        """
        self.url = url.rstrip("/")
        self.pause_s = pause_s
        self._timeout_s = timeout_s
        self._verify = checked_file(ca_file) if ca_file else None
        self._session = requests.Session()
        self._session.trust_env = not is_loopback(self.url)
        self._session.headers["User-Agent"] = "ctnb"
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=CONNECTIONS))
        self._session.auth = nobody
        if credentials:
            self._sign(credentials)

    def get(
        self, path: str, query: Mapping[str, Any] | None = None, *, missing: bool = False
    ) -> requests.Response | None:
        """
        The answer to a question, asked again while the portal is busy; None for 404 or 410 when it may be `missing`.

        Raises PortalFailed.
        """
        answer: requests.Response | None = self._insisted(lambda: self._get_once(path, query, missing))
        return answer

    def digest(self, path: str, query: Mapping[str, Any]) -> str:
        """
        SHA-256 of the bytes at `path`, as `sha256:` and 64 hex digits; empty where the portal has none there.

        They are not kept. A redirect, which may lead to another host, counts as none. Raises PortalFailed.
        """
        found: str = self._insisted(lambda: self._digest_once(path, query))
        return found

    def write(self, method: str, path: str, body: Mapping[str, Any] | bytes | None = None) -> Any:
        """
        What the portal says to a write, sent once: whether it took effect after a broken answer is to be read.

        Raises PortalFailed.
        """
        response, told, _ = self._sent(method, path, body, "application/json")
        if response is not None:
            self._check(response)
            return _said_to_write(response)
        raise PortalFailed(
            f"The portal did not answer a write ({told}).", hint="Run publish again: it reads first."
        )

    def rewrite(
        self, method: str, path: str, body: Mapping[str, Any] | bytes | None = None, *,
        kind: str = "application/json", headers: Mapping[str, str] | None = None,
    ) -> Any:  # fmt: skip
        """What the portal says to a write that may be sent again, because twice is once. Raises PortalFailed."""

        def once() -> Any:
            response, told, wait_s = self._sent(method, path, body, kind, headers)
            if response is None or response.status_code in AGAIN:
                raise AgainError(told, wait_s)
            self._check(response)
            return _said_to_write(response)

        return self._insisted(once)

    def _sign(self, credentials: Credentials) -> None:
        session = self._session
        if credentials.app_token:
            session.headers["X-App-Token"] = sendable("X-App-Token", credentials.app_token)
        if credentials.oauth_token:
            token = sendable("Authorization", credentials.oauth_token)
            session.headers["Authorization"] = f"OAuth {token}"
        elif credentials.key_id:
            session.auth = HTTPBasicAuth(credentials.key_id.encode(), credentials.key_secret.encode())

    def _insisted(self, once: Callable[[], Any]) -> Any:
        try:
            return repeating(stop_after_attempt(ATTEMPTS), self.pause_s)(once)
        except AgainError as again:
            told = str(again)
        raise PortalFailed(f"The portal did not answer: {told}, {ATTEMPTS} times.", hint=advice(told))

    def _get_once(
        self, path: str, query: Mapping[str, Any] | None, missing: bool
    ) -> requests.Response | None:
        try:
            answer = self._session.get(
                self.url + path, params=query, timeout=self._timeout_s, allow_redirects=False,
                verify=self._verify,
            )  # fmt: skip
        except requests.RequestException as error:
            kind = type(error).__name__
        except ValueError:  # of requests, which looks at a redirect before anybody asks; quotes it
            kind = NO_ADDRESS
        else:
            if answer.status_code in AGAIN or answer.status_code == 202:
                raise AgainError(f"status {answer.status_code}", _wait_s(answer))
            if missing and answer.status_code in (404, 410):
                return None
            self._check(answer)
            return answer
        raise AgainError(kind)

    def _digest_once(self, path: str, query: Mapping[str, Any]) -> str:
        hasher, kind = hashlib.sha256(), ""
        try:
            with self._session.get(
                self.url + path, params=query, timeout=self._timeout_s, allow_redirects=False,
                verify=self._verify, stream=True,
            ) as answer:  # fmt: skip
                status, wait_s = answer.status_code, _wait_s(answer)
                for piece in answer.iter_content(1 << 20):
                    hasher.update(piece)
        except requests.RequestException as error:
            kind = type(error).__name__
        if kind:
            raise AgainError(kind)
        if status in AGAIN or status == 202:
            raise AgainError(f"status {status}", wait_s)
        if status in (404, 410) or 300 <= status < 400:
            return ""
        if status != 200:
            raise PortalFailed(
                f"The portal did not hand out a file: status {status}.",
                hint=_ADVICE.get(status, "Try again later."), status=status, code="",
            )  # fmt: skip
        return f"sha256:{hasher.hexdigest()}"

    def _sent(
        self, method: str, path: str, body: Mapping[str, Any] | bytes | None, kind: str,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[requests.Response | None, str, float | None]:  # fmt: skip
        """The answer, what to call it in an error, and how long the portal asks to wait."""
        content = json.dumps(body).encode() if isinstance(body, Mapping) else body
        named = {**({"Content-Type": kind} if content is not None else {}), **(headers or {})}
        try:
            answer = self._session.request(
                method, self.url + path, data=content, headers=named, timeout=self._timeout_s,
                allow_redirects=False, verify=self._verify,
            )  # fmt: skip
        except requests.RequestException as error:
            return None, type(error).__name__, None
        except ValueError:
            return None, NO_ADDRESS, None
        return answer, f"status {answer.status_code}", _wait_s(answer)

    def _check(self, answer: requests.Response) -> None:
        if answer.status_code in GOOD:
            if "json" in answer.headers.get("Content-Type", "json") or not answer.content:
                return
            kind = codes.kind(answer.headers.get("Content-Type", "")) or "something"
            raise PortalFailed(
                f"The portal answered with {kind}, not JSON.",
                hint="Try again later; if it stays, check url: in ctnb.yml, and whether a login stands in between.",
                strange=True,
            )
        if 300 <= answer.status_code < 400:
            raise _moved(answer)
        code = error_code(answer.content)
        raise PortalFailed(
            f"The portal refused: status {answer.status_code}{f', {code}' if code else ''}.",
            hint=_ADVICE.get(answer.status_code, "Try again later; if it stays, tell the portal's administrators."),
            status=answer.status_code, code=code,
        )  # fmt: skip


def said(answer: requests.Response) -> Any:
    """The JSON of an answer. Raises PortalFailed, without the text, when it is none."""
    try:
        return answer.json()
    except ValueError:  # carries the whole text
        pass
    raise PortalFailed(
        "The portal answered with something that says it is JSON and is not.",
        hint="Try again later.",
        strange=True,
    )


def error_code(content: bytes) -> str:
    """
    The machine-readable code in either of Socrata's error envelopes, empty where there is none.

    A code that its documentation does not have may be a cell, and messages may quote data: they are left out.
    """
    try:
        told = json.loads(content)
    except ValueError:
        return ""
    code = told.get("code") or told.get("errorCode") or told.get("key") if isinstance(told, dict) else ""
    return code if isinstance(code, str) and code in codes.SOCRATA else ""


def _said_to_write(answer: requests.Response) -> Any:
    return said(answer) if answer.content.strip() else {}


def _moved(answer: requests.Response) -> PortalFailed:
    """A redirect names its host and nothing more: the rest of an address can be a secret."""
    place = urlsplit(urljoin(answer.url or "", answer.headers.get("Location", "")))
    where = f"{place.scheme}://{place.hostname}" if place.hostname else "nowhere"
    return PortalFailed(
        f"The portal has moved: it points to {where} (status {answer.status_code}).",
        hint="Write the address that it points to under url: in ctnb.yml, if you trust it.",
        status=answer.status_code, code="",
    )  # fmt: skip


def _wait_s(answer: requests.Response) -> float | None:
    """The pause that the portal asks for, as long as somebody who publishes would wait."""
    told_s = retry_after(answer)
    return None if told_s is None else min(told_s, PATIENCE_S)


_ADVICE = {
    400: "The portal's columns or types differ from the contract's; compare them.",
    401: "Check the credentials that ctnb.yml names for this portal.",
    403: "The account may not do this, or the app_token: of ctnb.yml is none; check its role and the dataset's "
    "permissions.",
    404: "Check the dataset's id in portal.yml.",
    409: "Somebody else writes to this dataset; try again.",
    413: "The table is too large for one request.",
}
