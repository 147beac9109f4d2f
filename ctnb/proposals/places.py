"""What a person who starts a dataset says of its source: a path, an address or a connection, as a contract's source."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from ctnb import documents
from ctnb.contracts.sources import Source
from ctnb.errors import SourceInvalid, UsageError
from ctnb.places.socrata_addresses import IDENTIFIER
from ctnb.settings import Project

_BEFORE_ID = ("d", "dataset", "id", "resource", "views", "v4", "query")
_AFTER_ID = (
    "about_data",
    "alt",
    "data",
    "data_preview",
    "embed",
    "explore",
    "rows.csv",
    "rows.json",
    "visualization",
)
_OF_OPENDATASOFT = re.compile(
    r"/(explore/(dataset|assets|embed/dataset)/|api/explore/v[0-9.]+/.*datasets/)[^/]+"
)
_BOTH = "The address has a password in it, which anyone who reads this terminal or the project would see."


@dataclass(frozen=True)
class Told:
    """What is said of a source besides where it is; secrets by their names alone."""

    place: str | None = None
    """Which kind of place an address is, where it cannot be told: web, socrata, opendatasoft or address."""
    pattern: str | None = None
    """Which files of a folder."""
    query: Path | None = None
    """The file with the query for a connection."""
    user: str | None = None
    key_file: str | None = None
    fingerprint: str | None = None
    ca_file: str | None = None
    secrets: Mapping[str, str] = field(default_factory=dict)
    """The name of the secret for user, password, passphrase, token or key."""
    options: Mapping[str, str] = field(default_factory=dict)
    """What fsspec's kind of storage is told."""
    secret_options: Mapping[str, str] = field(default_factory=dict)
    """The same by the names of secrets."""
    tls: bool = True
    format: str | None = None
    delimiter: str | None = None
    encoding: str | None = None
    sheet: str | None = None
    """A workbook's sheet, by name or number from 1."""
    layer: str | None = None
    """A geographic file's layer, by name or number from 1."""
    labels: bool = False
    """Whether a statistics file's value labels are taken in place of the codes."""
    member: str | None = None
    """The file of an archive."""


@dataclass(frozen=True)
class Located:
    """A source as the contract will say it."""

    source: Source
    title: str
    """What it may be called, from its name."""
    file: Path | None = None
    """A file on this machine, which may lie outside the roots."""
    query: Path | None = None
    """The file whose copy in the dataset's folder `source` names."""
    roots: tuple[Path, ...] = ()
    """Folders that must be read now; the project may not list them yet."""
    notes: tuple[str, ...] = ()
    """What must be done that runs may read it, as sentences."""


def located(project: Project, slug: str, said: str, told: Told) -> Located:
    """
    The source that `said` means: a path, a folder, an address, or connection:NAME with a query.

    Raises UsageError for what no place can be, SourceInvalid when a path is not there.
    """
    if said.startswith("connection:"):
        return _database(said.removeprefix("connection:"), told)
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", said):
        return _remote(said, told)
    found = Path(said).expanduser().resolve()
    if found.is_dir():
        path, notes = _path(project, slug, found, found)
        place = {"folder": {"path": path, **_given(pattern=told.pattern)}}
        return Located(_source(place, told), found.name, roots=(found,), notes=notes)
    if not found.is_file():
        raise SourceInvalid(f"The source {found.name} is not there.", hint=f"Expected at {found}.")
    path, notes = _path(project, slug, found, found.parent)
    return Located(_source({"path": path}, told), found.stem, found, notes=notes)


def _database(name: str, told: Told) -> Located:
    if told.query is None:
        raise UsageError(
            "A connection needs a query.", hint="Add --query FILE, a file with one SELECT; a copy goes along."
        )
    if not told.query.is_file():
        raise SourceInvalid(
            f"The query file {told.query.name} is not there.", hint=f"Expected at {told.query}."
        )
    source = _source({"database": {"connection": name, "query": told.query.name}}, told)
    return Located(source, told.query.stem, query=told.query)


def _remote(said: str, told: Told) -> Located:
    """The source at an address, by its scheme; of web addresses a portal's are told by their paths."""
    try:
        parts = urlsplit(said)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if not parts.scheme or not (parts.netloc or parts.path):
        raise UsageError(
            "The source is neither a path nor an address.", hint="E.g. https://example.org/rows.csv"
        )
    if parts.password is not None or (parts.username and parts.scheme in ("http", "https")):
        raise UsageError(_BOTH, hint="Take it out; name secrets with --user-secret and --password-secret.")
    kind = told.place or _kind(parts)
    account = _given(user=told.user or parts.username) | _secret(told, "user", "password")
    if kind == "web":
        place = {"url": said} | account | _secret(told, "token")
    elif kind == "socrata":
        token = _given(app_token=_secret(told, "token").get("token"))
        place = {"dataset": said} | account | token
    elif kind == "opendatasoft":
        place = {"dataset": said} | _secret(told, "key")
    elif kind in ("ftp", "sftp"):
        place = {"host": parts.hostname or "", "path": unquote(parts.path)} | _given(port=port) | account
        place |= _of_sftp(told) if kind == "sftp" else ({} if told.tls else {"tls": False})
    else:
        options = {
            **told.options,
            **{name: {"secret": secret} for name, secret in told.secret_options.items()},
        }
        place = {"url": said} | ({"options": options} if options else {})
    if kind in ("web", "socrata", "opendatasoft", "ftp"):
        place |= _given(ca_file=told.ca_file)
    return Located(_source({kind: place}, told), _title(parts, kind))


def _kind(parts: SplitResult) -> str:
    kinds = {"sftp": "sftp", "ssh": "sftp", "ftp": "ftp", "ftps": "ftp", "http": "web", "https": "web"}
    found = kinds.get(parts.scheme, "address")
    if found == "web" and _OF_OPENDATASOFT.match(parts.path):
        return "opendatasoft"
    return "socrata" if found == "web" and _socrata_id(parts) is not None else found


def _socrata_id(parts: SplitResult) -> int | None:
    """Where a Socrata dataset's identifier stands in an address's path, if it is a portal's."""
    names = [unquote(name) for name in parts.path.split("/") if name]
    for at, name in enumerate(names):
        is_id = IDENTIFIER.fullmatch(re.sub(r"\.(json|csv|geojson)$", "", name)) is not None
        before, after = names[at - 1] if at else "", names[at + 1] if at + 1 < len(names) else ""
        if is_id and (not after or before in _BEFORE_ID or after in _AFTER_ID):
            return at
    return None


def _of_sftp(told: Told) -> dict[str, Any]:
    given = _given(key_file=told.key_file, fingerprint=told.fingerprint)
    return given | _secret(told, "passphrase")


def _title(parts: SplitResult, kind: str) -> str:
    """What a person called it who made the address."""
    names = [unquote(name) for name in parts.path.split("/") if name]
    if kind == "socrata":
        at = _socrata_id(parts) or 0
        return names[at - 1] if at and names[at - 1] not in _BEFORE_ID else ""
    if kind == "opendatasoft":
        at = next((at for at, name in enumerate(names) if name in ("dataset", "datasets", "assets")), 0)
        return names[at + 1] if at + 1 < len(names) else ""
    return re.sub(r"[*?]", "", PurePosixPath(names[-1]).name.partition(".")[0]) if names else ""


def _source(place: Mapping[str, Any], told: Told) -> Source:
    """The source with what is said of its file. Raises UsageError, which quotes no value."""
    file = _given(
        format=told.format, delimiter=told.delimiter, encoding=told.encoding, member=told.member,
        sheet=_numbered(told.sheet), layer=_numbered(told.layer), labels=told.labels or None,
    )  # fmt: skip
    return documents.parse(Source, {**place, **file}, "The source", UsageError)


def _numbered(said: str | None) -> str | int | None:
    """A name, or a number where `said` is one."""
    return int(said) if said and said.isdecimal() else said


def _given(**said: Any) -> dict[str, Any]:
    return {name: value for name, value in said.items() if value is not None}


def _secret(told: Told, *names: str) -> dict[str, Any]:
    return {name: _by_name(told, name) for name in names if name in told.secrets}


def _by_name(told: Told, name: str) -> dict[str, str]:
    return {"secret": told.secrets[name]}


def _path(project: Project, slug: str, found: Path, root: Path) -> tuple[str, tuple[str, ...]]:
    """How the contract says where `found` is, and what must be done that it may be read there: `root` be listed."""
    folder = project.notebooks.resolve() / slug
    if found.is_relative_to(project.notebooks.resolve()):
        return Path(os.path.relpath(found, folder)).as_posix(), ()
    listed = [(project.root / one).resolve() for one in project.settings.roots]
    inside = found.is_relative_to(project.root)
    path = Path(os.path.relpath(found, folder)).as_posix() if inside else str(found)
    if any(found.is_relative_to(one) for one in listed):
        return path, ()
    wanted = root.relative_to(project.root).as_posix() if inside else str(root)
    return path, (
        f"The source lies outside notebooks/: list its folder in ctnb.yml, roots: [{wanted}], or move it.",
    )
