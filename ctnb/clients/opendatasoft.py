"""
A client for Opendatasoft (Huwise): realtime push 1.0, automation v1.0 and explore v2.1.

Protocol: the vendor's user guide ("Pushing real-time data") and its descriptions of the Automation API v1.0 and the
Explore API v2.1. The API key travels in the header `Authorization: Apikey`; a push key only fits into the address,
which therefore stands in no message, and no error of requests, which quotes it, is the cause of one raised here.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import requests
from tenacity import stop_after_attempt

from ctnb import clock
from ctnb.clients import codes, getting
from ctnb.clients.answers import not_understood, objects, understood
from ctnb.clients.getting import NO_ADDRESS, AgainError, nobody, repeating, retry_after
from ctnb.clients.waiting import insisted
from ctnb.errors import PortalFailed, SettingsInvalid

ATTEMPTS = 5
AGAIN = frozenset([429, 500, 502, 503, 504])
PATIENCE_S = 120.0
"""The longest pause that a portal may ask for; a quota that begins anew later ends the publishing."""
POLL_S = 3.0
"""Seconds between two looks at a dataset's status, as the vendor's own clients have it."""
AUTOMATION = "/api/automation/v1.0"
EXPLORE = "/api/explore/v2.1/catalog/datasets"
IDLE = frozenset(["idle", "error", "limit_reached"])
"""Statuses from which a dataset can be published; all others end by themselves."""
PAGE, MOST = 100, 1000
"""Entries of a list that is paged through, and of one that is short; 1000 is the most that the portal gives."""
_RECORD = re.compile(r"[A-Za-z0-9_.-]{1,80}")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")


@dataclass(frozen=True)
class PushPlace:
    """Where the records of one dataset are pushed to: the address the portal shows, its key apart."""

    url: str
    """Up to and with the resource, ending in a slash: `.../api/push/1.0/<dataset>/<resource>/`."""
    key: str = field(repr=False)


@dataclass(frozen=True)
class Status:
    """What a dataset is doing."""

    name: str
    """idle, error, limit_reached, queued, processing, ..."""
    published: bool
    errors: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    """Records that the last processing could not take: `record_id`, `field_uid`, `processor_uid`, `message`."""


def push_place(told: str, key: str) -> PushPlace:
    """
    The place in a push address as the portal shows it, with or without `push/` and its key.

    Raises SettingsInvalid when it is none, or would send the key in the clear.
    """
    parts = urlsplit(told.strip())
    found = re.fullmatch(r"(.*/api/push/1\.0/[^/]+/[^/]+)/?(?:push/?)?", parts.path)
    if not found or parts.scheme not in ("http", "https") or not parts.netloc:
        raise SettingsInvalid(
            "push_url: of portal.yml is not a push address.",
            hint="Copy it from the portal's page of the source: https://.../api/push/1.0/<dataset>/<resource>/push/",
        )
    _check_way(told)
    if not re.fullmatch(r"[!-~]{1,200}", key):
        raise SettingsInvalid("The push key holds marks that no address can carry.", hint="Set it anew.")
    return PushPlace(f"{parts.scheme}://{parts.netloc}{found[1]}/", key)


class Opendatasoft:
    """One portal, as one API key sees it."""

    def __init__(
        self, url: str, api_key: str | None, *, timeout_s: float = 60.0, pause_s: float = 0.5,
        process_s: float = 3600.0, poll_s: float = POLL_S, ca_file: Path | None = None,
    ) -> None:  # fmt: skip
        """
        `url` is the portal's address without a path; `timeout_s` the seconds to wait for each answer, `pause_s` those
        before the first repetition, `process_s` those in which a processing must end, `poll_s` the most between
        two looks at it. Raises SettingsInvalid when the key would go over the network in the clear; UsageError when
        `ca_file` holds no certificates.
        """
        self.url = url.rstrip("/")
        _check_way(self.url)
        self._timeout_s, self._pause_s = timeout_s, pause_s
        self._process_s, self._poll_s = process_s, poll_s
        self._session = requests.Session()
        self._verify = getting.checked_file(ca_file) if ca_file else None
        self._session.trust_env = not getting.is_loopback(self.url)  # no proxy leads back to this machine
        self._session.auth = nobody
        self._headers = {"Authorization": f"Apikey {api_key}"} if api_key else {}

    # -- push

    def push(self, place: PushPlace, body: bytes) -> None:
        """
        Push the records in `body`, a JSON array. Repeated while the portal is busy: records have an identity.

        A 200 says received, not visible. Raises PortalFailed.
        """
        self._push(place, "push/", body)

    def delete(self, place: PushPlace, body: bytes) -> None:
        """Delete the records in `body`, a JSON array of records as they were pushed. Raises PortalFailed."""
        self._push(place, "delete/", body)

    def delete_record(self, place: PushPlace, record_id: str) -> None:
        """Delete one record by the portal's own id. Raises PortalFailed."""
        self._push(place, f"{quote(record_id, safe='')}/delete/", None)

    def _push(self, place: PushPlace, rest: str, body: bytes | None) -> None:
        headers = {"Content-Type": "application/json; charset=utf-8"} if body is not None else {}
        self._asked(
            "GET" if body is None else "POST", place.url + rest, again=True, signed=False,
            params={"pushkey": place.key}, data=body, headers=headers,
        )  # fmt: skip

    # -- automation: datasets

    @understood
    def dataset(self, told: str) -> dict[str, Any] | None:
        """The dataset with the uid or the identifier `told`, as the portal lists it; None when there is none."""
        name = _safe(told)
        if name.startswith("da_"):
            one: dict[str, Any] | None = self.ask("GET", f"/datasets/{name}/", missing=True)
            return one
        found = self.ask("GET", "/datasets/", params={"dataset_id": name, "limit": 2}) or {}
        return next((one for one in found.get("results", []) if one.get("dataset_id") == name), None)

    def datasets(self) -> Iterator[dict[str, Any]]:
        """Every dataset that the key may see."""
        offset = 0
        while True:
            said = self.ask("GET", "/datasets/", params={"limit": PAGE, "offset": offset}) or {}
            results, total = _page(said)
            yield from results
            offset += PAGE
            if offset >= total:
                return

    @understood
    def status(self, uid: str) -> Status:
        """What the dataset is doing. Raises PortalFailed."""
        said = self.ask("GET", f"/datasets/{_safe(uid)}/status/")
        name, errors = said["status"], objects(said.get("records_errors") or [])
        if not isinstance(name, str) or not name:
            raise not_understood()
        return Status(name, bool(said.get("is_published")), tuple(errors))

    def settled(self, uid: str) -> Status:
        """
        The dataset's status once it does nothing any more.

        Raises PortalFailed when that takes longer than `process_s` seconds.
        """
        end, pause_s = time.monotonic() + self._process_s, self._poll_s / 32
        while (now := insisted(lambda: self.status(uid), self._pause_s)).name not in IDLE:
            if time.monotonic() >= end:
                raise PortalFailed(
                    f"The portal still says '{_plain(now.name)}' after {self._process_s:,.0f} seconds.",
                    hint="Look at the dataset's page on the portal; run publish again when it is idle.",
                )
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, self._poll_s)
        return now

    def publish(self, uid: str) -> Status:
        """
        Process and publish the dataset and wait until it is done.

        Raises PortalFailed when the portal says error or limit_reached afterwards.
        """
        self.settled(uid)
        try:
            self.ask("POST", f"/datasets/{_safe(uid)}/publish/", busy=True)
        except PortalFailed as error:  # asked twice because the first answer was lost: it is at work
            if getattr(error, "code", "") != "invalid_dataset_status":
                raise
        done = self.settled(uid)
        if done.name != "idle" or not done.published:
            raise PortalFailed(
                f"The portal could not process the dataset: it says '{_plain(done.name)}', with {len(done.errors):,} "
                "records in error.",
                hint="Its page on the portal says why; nothing is called released.",
            )
        return done

    def unpublish(self, uid: str) -> None:
        """Take the dataset off the portal: the rows of a realtime source are not kept there. Raises PortalFailed."""
        self.settled(uid)
        self.ask("POST", f"/datasets/{_safe(uid)}/unpublish/", busy=True)
        self.settled(uid)

    @understood
    def upload(self, uid: str, name: str, content: Any) -> str:
        """Upload a file (bytes or an open file) for the dataset and return its uid. Raises PortalFailed."""
        said = self.ask("POST", f"/datasets/{_safe(uid)}/resources/files/", files={"file": (name, content)})
        return str((said or {}).get("uid", ""))

    def resources(self, uid: str) -> list[dict[str, Any]]:
        """The dataset's sources."""
        return self.listed(f"/datasets/{_safe(uid)}/resources/")

    def listed(self, path: str) -> list[dict[str, Any]]:
        """All of a list that is short, e.g. a dataset's fields; empty where the portal has no such list."""
        said = self.ask("GET", path, params={"limit": MOST}, missing=True) or {}
        return objects(said.get("results", []) if isinstance(said, dict) else said)

    def ask(
        self, method: str, path: str, body: Any = None, *, missing: bool = False, busy: bool = False, **options: Any
    ) -> Any:  # fmt: skip
        """
        One question to the automation interface: the JSON of its answer.

        None for an empty answer, or for a 404 that `missing` allows.

        What only reads, and PUT and DELETE, is repeated while the portal is busy; a POST only where `busy` says that
        a second one does no harm. Raises PortalFailed.
        """
        again = method in ("GET", "PUT", "DELETE") or busy
        if body is not None:
            options["json"] = body
        answer = self._asked(method, self.url + AUTOMATION + path, again=again, missing=missing, **options)
        if answer is None or not answer.content.strip():
            return None
        said = _json(answer)
        if isinstance(said, (dict, list)):
            return said
        raise not_understood()

    # -- explore

    @understood
    def described(self, dataset_id: str) -> dict[str, Any] | None:
        """Fields and metadata of a published dataset; None when it is not published, or not for this key."""
        answer = self._asked("GET", f"{self.url}{EXPLORE}/{_safe(dataset_id)}", again=True, missing=True)
        return None if answer is None else dict(_json(answer))

    @understood
    def count(self, dataset_id: str) -> int:
        """How many records a published dataset has; 0 for one that is not published."""
        said = self.records(dataset_id, limit="0")
        return 0 if said is None else int(said.get("total_count", 0))

    @understood
    def records(self, dataset_id: str, **query: str) -> dict[str, Any] | None:
        """One page of records under an ODSQL `query`; None when the dataset is not published."""
        address = f"{self.url}{EXPLORE}/{_safe(dataset_id)}/records"
        told = {"lang": "en", "timezone": "UTC", **query}
        answer = self._asked("GET", address, again=True, missing=True, params=told)
        return None if answer is None else dict(_json(answer))

    @understood
    def record(self, dataset_id: str, record_id: str) -> dict[str, Any] | None:
        """One record by the portal's own id; None when there is none."""
        if not _RECORD.fullmatch(record_id):
            return None
        address = f"{self.url}{EXPLORE}/{_safe(dataset_id)}/records/{record_id}"
        told = {"lang": "en", "timezone": "UTC"}
        answer = self._asked("GET", address, again=True, missing=True, params=told)
        return None if answer is None else dict(_json(answer))

    def export(
        self, dataset_id: str, fields: Sequence[str], rows: int = 5_000
    ) -> Iterator[list[dict[str, Any]]]:
        """
        Every record of a published dataset, in lists of at most `rows`, from one export.

        Raises PortalFailed, also when the export ends in the middle of a record.
        """
        select = ",".join(f"`{name}`" for name in fields)
        query = {"select": select, "limit": "-1", "lang": "en", "timezone": "UTC"}
        address = f"{self.url}{EXPLORE}/{_safe(dataset_id)}/exports/jsonl"
        answer = self._asked("GET", address, again=True, missing=True, params=query, stream=True)
        if answer is None:
            return
        batch: list[dict[str, Any]] = []
        with contextlib.closing(answer):
            for line in _lines(answer):
                batch.append(line)
                if len(batch) == rows:
                    yield batch
                    batch = []
        if batch:
            yield batch

    def file(self, dataset_id: str, file_id: str) -> tuple[str, bytes]:
        """The content of a record's file: its MIME type and its bytes. Raises PortalFailed."""
        return self.download(f"{EXPLORE}/{_safe(dataset_id)}/files/{quote(file_id, safe='')}") or ("", b"")

    def download(self, path: str, *, missing: bool = False) -> tuple[str, bytes] | None:
        """MIME type and bytes of what is at `path`; None for a 404 that `missing` allows. Raises PortalFailed."""
        answer = self._asked("GET", self.url + path, again=True, anything=True, missing=missing)
        kind = answer.headers.get("Content-Type", "") if answer else ""
        return (kind.partition(";")[0].strip(), answer.content) if answer else None

    # -- one question

    def _asked(
        self, method: str, address: str, *, again: bool, missing: bool = False, signed: bool = True,
        anything: bool = False, headers: Mapping[str, str] | None = None, **options: Any,
    ) -> requests.Response | None:  # fmt: skip
        """
        An answer that is none of an error; None for a 404 that `missing` allows.

        `anything` is for an answer that need not be JSON. Raises PortalFailed, which quotes no address.
        """
        sent = {**(self._headers if signed else {}), **(headers or {})}
        attempts = ATTEMPTS if again else 1
        try:
            retrying = repeating(stop_after_attempt(attempts), self._pause_s)
            answer: requests.Response = retrying(self._once, method, address, sent, options)
        except AgainError as error:
            told = str(error)
        else:
            if missing and answer.status_code == 404:
                return None
            _check(answer, anything)
            return answer
        hint = getting.advice(told) if again else "It may have taken effect: run again, which looks first."
        raise PortalFailed(f"The portal did not answer: {told}{_times(attempts)}.", hint=hint)

    def _once(
        self, method: str, address: str, headers: Mapping[str, str], options: Mapping[str, Any]
    ) -> requests.Response:
        try:
            answer = self._session.request(
                method, address, headers=dict(headers), timeout=self._timeout_s, verify=self._verify,
                allow_redirects=False,  # a redirected POST becomes a GET, which writes nothing and says 200
                **options,
            )  # fmt: skip
        except requests.RequestException as error:
            kind = type(error).__name__
        except ValueError:  # of requests, which looks at a redirect before anybody asks; quotes it
            kind = NO_ADDRESS
        else:
            if answer.status_code not in AGAIN:
                return answer
            wait_s = _pause(answer)
            if wait_s is not None and wait_s > PATIENCE_S:
                raise PortalFailed(
                    f"The portal's quota is used up; it begins anew in {wait_s:,.0f} seconds (status 429).",
                    hint="Run publish again then. Fewer and larger requests, or another plan, would help.",
                )
            raise AgainError(f"status {answer.status_code}", wait_s)
        raise AgainError(kind)


def _times(attempts: int) -> str:
    return f", {attempts} times" if attempts > 1 else ""


def _check_way(url: str) -> None:
    if not getting.is_private_way(url):
        raise SettingsInvalid(
            "An Opendatasoft portal's address begins with http://: its keys would be sent in the clear.",
            hint="Write https://.",
        )


def _safe(name: str) -> str:
    """`name` as a part of a path. Raises SettingsInvalid when it is no identifier."""
    if _NAME.fullmatch(name):
        return name
    raise SettingsInvalid(
        "The id in portal.yml is not one of an Opendatasoft dataset.",
        hint="Write its uid, da_ and six marks, or its identifier, as in its address.",
    )


@understood
def _page(said: Any) -> tuple[list[dict[str, Any]], int]:
    return objects(said.get("results", [])), int(said.get("total_count", 0))


def _plain(word: str) -> str:
    return word if word in codes.STATUSES else "something else"


def _pause(answer: requests.Response) -> float | None:
    """The seconds that a busy portal asks to wait: Retry-After, or until the `reset_time` of its quota."""
    told_s = retry_after(answer)
    if told_s is not None or answer.status_code != 429:
        return told_s
    with contextlib.suppress(ValueError, TypeError, KeyError):
        reset = dt.datetime.fromisoformat(json.loads(answer.content)["reset_time"])
        return max(0.0, (reset.astimezone(dt.UTC) - clock.now()).total_seconds())
    return None


def _json(answer: requests.Response) -> Any:
    with contextlib.suppress(ValueError):
        return answer.json()
    raise PortalFailed(
        "The portal answered with something that says it is JSON and is not.",
        hint="Try again later.",
        strange=True,
    )


def _lines(answer: requests.Response) -> Iterator[dict[str, Any]]:
    """The records of a JSON lines export. Raises PortalFailed when it breaks off."""
    left, broken = b"", False
    pieces = answer.iter_content(1 << 18)
    while not broken:
        try:
            chunk = next(pieces, None)
        except requests.RequestException:
            broken = True
            continue
        if chunk is None:
            break
        *whole, left = (left + chunk).split(b"\n")
        yield from (_record(line) for line in whole if line.strip())
    if not broken and left.strip():
        yield _record(left)
    if broken:
        raise PortalFailed("The portal broke off in the middle of its export.", hint="Try again later.")


def _record(line: bytes) -> dict[str, Any]:
    with contextlib.suppress(ValueError):
        said = json.loads(line)
        if isinstance(said, dict):
            return said
    raise PortalFailed("The portal sent a torn record in its export.", hint="Try again later.")


def _check(answer: requests.Response, anything: bool) -> None:
    """Raise PortalFailed for an answer that is an error: by its status, its address or its kind."""
    kind, status = answer.headers.get("Content-Type", ""), answer.status_code
    if 300 <= status < 400:
        raise PortalFailed(
            f"The portal points elsewhere (status {status}); a write that follows would be lost.",
            hint="Check url: in ctnb.yml and push_url: in portal.yml: https, the right host, a slash at the end.",
            status=status, code="",
        )  # fmt: skip
    if status < 400:
        if anything or "html" not in kind:
            return
        raise PortalFailed(
            "The portal answered with a page instead of data.",
            hint="That is how it asks for a login: check the key that ctnb.yml names.",
            status=status, code="", strange=True,
        )  # fmt: skip
    code = error_code(answer.content)
    raise PortalFailed(
        f"The portal refused: status {status}{f', {code}' if code else ''}.",
        hint=_BY_CODE.get(code) or _ADVICE.get(status, "Try again later; if it stays, ask the portal's team."),
        status=status, code=code,
    )  # fmt: skip


_ADVICE = {
    400: "The portal does not take what was sent; compare its fields with the contract's columns.",
    401: "Check the key that ctnb.yml or portal.yml names: it is wrong, or was renewed.",
    403: "The key may not do this, or pushing is disabled: ctnb portal enable.",
    404: "Check the dataset's id in portal.yml.",
    405: "Check push_url: in portal.yml; it ends in /push/.",
    413: "What was sent at once is too large for this portal.",
}
_BY_CODE = {
    "invalid_dataset_status": "The dataset is busy or not published; look at its page on the portal, then try again.",
    "InvalidDatasetStatusPreconditionException": "The dataset is busy; try again when it is idle.",
}


def error_code(content: bytes) -> str:
    """
    The machine-readable code in any of the five error envelopes: explore, a bad key, a quota, automation, management.

    Empty where there is none. A code that its documentation does not have may be a cell, and messages may quote data:
    they are left out.
    """
    try:
        said = json.loads(content)
    except ValueError:
        return ""
    if not isinstance(said, dict):
        return ""
    found = (said.get(name) for name in ("error_code", "error_key", "errorcode"))
    return next((str(one) for one in found if str(one) in codes.OPENDATASOFT), "")
