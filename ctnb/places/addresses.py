"""
Files at any address that fsspec knows: S3, Azure Blob Storage, Google Cloud Storage, shares and others.

Nothing is cached, neither connections nor lists nor bytes. Kinds of storage raise what they like, and their
texts can quote keys: none of them is ever the cause or the context of an error raised here.
"""

from __future__ import annotations

import datetime as dt
import logging
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import urlsplit

from ctnb import clock, secrets
from ctnb.contracts.places import Address
from ctnb.errors import CtnbError, NameUnknown, SourceFailed, UsageError
from ctnb.places import listings
from ctnb.places.fetched import Fetched, Request
from ctnb.places.listings import Listed
from ctnb.secrets import SecretReference

BLOCK_BYTES = 4 << 20
EXTRAS = {"s3": "s3", "s3a": "s3", "az": "azure", "abfs": "azure", "abfss": "azure"}
"""The extra of ctnb that brings what a kind of storage needs."""
MODIFIED = ("LastModified", "last_modified", "mtime", "updated", "modified")
VERSIONS = ("ETag", "etag", "generation", "VersionId", "version_id")
"""What kinds of storage call the time of a file's last change, and what changes with its bytes."""
REFUSALS = frozenset(
    ("NoCredentialsError", "PartialCredentialsError", "ClientAuthenticationError", "CredentialUnavailableError",
     "DefaultCredentialsError", "RefreshError", "TokenRetrievalError", "ProfileNotFound", "LogonFailure")
)  # fmt: skip
"""Names of the errors that botocore, azure-core, google-auth and smbprotocol raise for credentials."""
TALKATIVE = ("adlfs", "aiobotocore", "azure", "botocore", "fsspec", "gcsfs", "s3fs")
"""Logs of libraries that say there, at length, what they also raise; silent unless somebody listens."""

Answer = TypeVar("Answer")


def fetch(place: Address, request: Request, *, sleep: Callable[[float], None] = time.sleep) -> Fetched:
    """
    The file, or the files, at the address, each in a snapshot.

    Where the options name no secret, the storage's library looks for credentials as it always does. Raises
    NameUnknown for a kind of storage that fsspec does not know, UsageError when its library is not installed, the
    options make no sense or the credentials are refused, SourceFailed when it cannot be reached or trusted; and
    what `listings.fetch` does.
    """
    session = StorageSession(place, request)
    fetched = listings.fetch(session, session.path, place, request, sleep=sleep)
    if any(secrets.references(place)) or place.options.get("anon") or session.protocol == "memory":
        return fetched
    note = f"dataset.yml names no credentials for {session.where}: those of this account were used, if it has any."
    return replace(fetched, notes=(*fetched.notes, note))


class StorageSession:
    """A storage, as `listings.Session` describes it."""

    def __init__(self, place: Address, request: Request) -> None:
        """Raises what `fetch` does for kinds of storage and options."""
        import fsspec

        for name in TALKATIVE:
            if not logging.getLogger(name).handlers:
                logging.getLogger(name).addHandler(logging.NullHandler())
        self.protocol, self.resumes = place.url.partition("://")[0], True
        self.where = f"{self.protocol}://{urlsplit(place.url).netloc}"
        _check_installed(self.protocol)
        told = {name: _resolved(value, request) for name, value in place.options.items()}
        options = {**told, "skip_instance_cache": True, "use_listings_cache": False}
        self._storage, self.path = self._ask(
            lambda: fsspec.core.url_to_fs(place.url, **options), starting=True
        )

    def listed(self, folder: str, pattern: str) -> Sequence[Listed]:
        """The files of `folder` that fit."""
        self._storage.invalidate_cache()
        entries = self._ask(lambda: self._storage.ls(folder, detail=True), folder)
        found = [entry for entry in entries if entry.get("type") == "file"]
        names = [str(entry["name"]) for entry in found]
        return [
            self._listed(name, entry)
            for name, entry in zip(names, found, strict=True)
            if not name.endswith("/") and listings.fits(name.rpartition("/")[2], pattern)
        ]

    def look(self, path: str) -> Listed:
        """The file `path` as it is now."""
        self._storage.invalidate_cache()
        seen = self._ask(lambda: self._storage.info(path), path)
        if seen.get("type") != "file":
            raise listings.not_there(path, self.where)
        return self._listed(path, seen)

    def read(self, path: str, start: int) -> Iterator[bytes]:
        """The bytes of `path` from `start` on."""
        with self._ask(lambda: self._storage.open(path, "rb", block_size=BLOCK_BYTES), path) as stream:
            if start:
                self._ask(lambda: stream.seek(start), path)
            while chunk := self._ask(lambda: stream.read(BLOCK_BYTES), path):
                yield chunk

    def reopen(self) -> None:
        """Each request connects anew anyhow."""

    def _listed(self, path: str, seen: Mapping[str, Any]) -> Listed:
        size = seen.get("size")
        modified = next((seen[name] for name in MODIFIED if seen.get(name)), None)
        if modified is None:
            modified = self._asked_modified(path)
        version = next((str(seen[name]) for name in VERSIONS if seen.get(name)), None)
        return Listed(path, int(size) if size is not None else None, _stamp(modified), version)

    def _asked_modified(self, path: str) -> Any:
        try:
            return self._storage.modified(path)
        except Exception:  # noqa: BLE001 - kinds of storage without such times raise what they like
            return None

    def _ask(self, call: Callable[[], Answer], path: str = "", *, starting: bool = False) -> Answer:
        """What `call` gives. Raises what its failure means, without the library's text."""
        try:
            return call()
        except Exception as error:  # noqa: BLE001 - kinds of storage raise what they like, and it may quote keys
            trouble = self._trouble(error, path, starting=starting)
        raise trouble

    def _trouble(self, error: Exception, path: str, *, starting: bool) -> CtnbError:
        links = list(_chain(error))
        statuses = {getattr(link, "status_code", None) for link in links} | {
            _aws_status(link) for link in links
        }
        refused = REFUSALS.intersection(kind.__name__ for link in links for kind in type(link).__mro__)
        if refused or statuses & {401, 403} or isinstance(error, PermissionError):
            return UsageError(
                f"{self.where} refused the credentials, or may not be read with them.",
                hint="Check options: in dataset.yml and the secrets they name; without options: this account's own "
                "credentials count.",
            )
        if starting:
            return UsageError(
                f"The options for {self.where} make no sense to its library ({type(error).__name__}).",
                hint=f"Look up what fsspec's storage {self.protocol} takes under options:.",
            )
        if isinstance(error, (FileNotFoundError, IsADirectoryError, NotADirectoryError)) or 404 in statuses:
            return listings.not_there(path, self.where)
        if any(isinstance(link, ssl.SSLError) or "SSLError" in type(link).__name__ for link in links):
            return SourceFailed(
                f"{self.where} cannot be trusted: its certificate does not verify, or TLS fails.",
                hint="Where the network has certificates of its own, name their file as the storage's library wants "
                "it, for S3 under options: client_kwargs: verify:.",
            )
        return SourceFailed(
            f"{self.where} could not be reached, or broke off ({type(error).__name__}).",
            hint="Try again later; check url: and options: in dataset.yml.",
        )


def _check_installed(protocol: str) -> None:
    """Raise NameUnknown for a kind of storage that fsspec does not know, UsageError for one not installed."""
    import fsspec

    hint = f'pip install "ctnb[{EXTRAS[protocol]}]"' if protocol in EXTRAS else ""
    try:
        fsspec.get_filesystem_class(protocol)
    except ValueError:
        pass
    except ImportError as error:
        hint = hint or f"{error}."
    else:
        return
    if protocol not in fsspec.available_protocols():
        raise NameUnknown("kind of storage", protocol, fsspec.available_protocols())
    raise UsageError(f"Reading from {protocol}:// needs a library that is not installed.", hint=hint)


def _resolved(value: Any, request: Request) -> Any:
    """An option with the secrets that it names."""
    if isinstance(value, SecretReference):
        return request.secret(value)
    if isinstance(value, Mapping):
        return {name: _resolved(inner, request) for name, inner in value.items()}
    return value


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, its cause, that one's cause, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _aws_status(error: BaseException) -> int | None:
    """The HTTP status in an error of botocore."""
    response = getattr(error, "response", None)
    told = response.get("ResponseMetadata", {}).get("HTTPStatusCode") if isinstance(response, dict) else None
    return told if isinstance(told, int) else None


def _stamp(moment: Any) -> str | None:
    """A time as kinds of storage give it, aware or in UTC, as text of ISO 8601 or in seconds, as a stamp."""
    if isinstance(moment, (int, float)):
        return clock.stamp_of(moment)
    if isinstance(moment, str):
        try:
            moment = dt.datetime.fromisoformat(moment)
        except ValueError:
            return None
    if isinstance(moment, dt.datetime):
        return clock.stamp(moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC))
    return None
