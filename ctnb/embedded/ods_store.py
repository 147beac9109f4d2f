"""What the store keeps of Opendatasoft's interfaces: datasets, resources, files, backups, versions and keys."""

from __future__ import annotations

import json
import secrets
import sqlite3
import string
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

TABLES = (
    "CREATE TABLE IF NOT EXISTS ods_datasets (id INTEGER PRIMARY KEY AUTOINCREMENT, uid TEXT NOT NULL UNIQUE,"
    " dataset_id TEXT NOT NULL UNIQUE, document TEXT NOT NULL, live TEXT, status TEXT NOT NULL,"
    " is_restricted INTEGER NOT NULL, created_at REAL NOT NULL, updated_at REAL NOT NULL,"
    " data_processed REAL, metadata_processed REAL, generation INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS ods_resources (id INTEGER PRIMARY KEY AUTOINCREMENT, uid TEXT NOT NULL UNIQUE,"
    " dataset INTEGER NOT NULL REFERENCES ods_datasets (id) ON DELETE CASCADE, slug TEXT NOT NULL,"
    " document TEXT NOT NULL, key_sha256 TEXT, enabled INTEGER NOT NULL, last_push REAL,"
    " UNIQUE (dataset, slug))",
    "CREATE TABLE IF NOT EXISTS ods_files (id INTEGER PRIMARY KEY AUTOINCREMENT, uid TEXT NOT NULL UNIQUE,"
    " dataset INTEGER NOT NULL REFERENCES ods_datasets (id) ON DELETE CASCADE, kind TEXT NOT NULL,"
    " filename TEXT NOT NULL, mimetype TEXT NOT NULL, body BLOB NOT NULL, created_at REAL NOT NULL)",
    "CREATE TABLE IF NOT EXISTS ods_contents (dataset INTEGER NOT NULL REFERENCES ods_datasets (id)"
    " ON DELETE CASCADE, digest TEXT NOT NULL, mimetype TEXT NOT NULL, body BLOB NOT NULL,"
    " PRIMARY KEY (dataset, digest))",
    "CREATE TABLE IF NOT EXISTS ods_backups (id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " resource INTEGER NOT NULL REFERENCES ods_resources (id) ON DELETE CASCADE, rid TEXT NOT NULL,"
    " at REAL NOT NULL, raw TEXT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS ods_backups_rid ON ods_backups (resource, rid)",
    "CREATE TABLE IF NOT EXISTS ods_versions (id INTEGER PRIMARY KEY AUTOINCREMENT, uid TEXT NOT NULL UNIQUE,"
    " dataset INTEGER NOT NULL REFERENCES ods_datasets (id) ON DELETE CASCADE, document TEXT NOT NULL,"
    " sections TEXT NOT NULL, author TEXT NOT NULL, created_at REAL NOT NULL)",
    "CREATE TABLE IF NOT EXISTS ods_keys (uid TEXT PRIMARY KEY, key_sha256 TEXT NOT NULL UNIQUE,"
    " label TEXT NOT NULL, permissions TEXT NOT NULL,"
    " account TEXT NOT NULL REFERENCES accounts (key_id) ON DELETE CASCADE,"
    " created_at REAL NOT NULL, revocation TEXT)",
)
VERSIONS_KEPT = 20
VERSIONS_WITH_FILES = 3
"""Of how many versions the uploaded files are kept; an older one can only be restored while its files are there."""
IDLE: dict[str, Any] = {
    "status": "idle",
    "previous": None,
    "since": 0.0,
    "message": None,
    "records_errors": [],
    "errors": 0,
}
_LETTERS = string.ascii_lowercase + string.digits


@dataclass(frozen=True)
class Dataset:
    """A dataset of Opendatasoft's interfaces."""

    id: int
    uid: str
    dataset_id: str
    document: dict[str, Any]
    """What is configured: metadata, fields (the steps), processors, schedules, security."""
    live: dict[str, Any] | None
    """What is published: fields, metadata and the table of records; None while it is not published."""
    status: dict[str, Any]
    is_restricted: bool
    created_at: float
    updated_at: float
    data_processed: float | None
    metadata_processed: float | None
    generation: int
    """The number of its newest table of records, used or not."""

    @property
    def is_published(self) -> bool:
        """Whether explore shows it."""
        return self.live is not None

    @property
    def table(self) -> str:
        """The table of its published records."""
        return str(self.live["table"]) if self.live else ""


@dataclass(frozen=True)
class Resource:
    """A source of a dataset's records."""

    id: int
    uid: str
    dataset: int
    slug: str
    """Its name in a push URL."""
    document: dict[str, Any]
    """type, title, params, datasource, alerting."""
    key_sha256: str | None
    """Of the push key; realtime resources have one."""
    enabled: bool
    last_push: float | None

    @property
    def kind(self) -> str:
        """`realtime`, `csvfile` or another extractor."""
        return str(self.document["type"])


def prepare(connection: sqlite3.Connection) -> None:
    """Make the tables where there are none."""
    for statement in TABLES:
        connection.execute(statement)


def new_uid(prefix: str) -> str:
    """A random id such as `da_q5x2hk`; 10 letters, so that two never meet."""
    return prefix + "_" + "".join(secrets.choice(_LETTERS) for _ in range(10))


def new_key() -> str:
    """A random key of 56 hexadecimal digits, as the vendor's are."""
    return secrets.token_hex(28)


def add_dataset(
    connection: sqlite3.Connection, dataset_id: str, document: dict[str, Any], restricted: bool, now: float
) -> Dataset:
    """Keep a new dataset, unpublished. `dataset_id` is free."""
    uid, status = new_uid("da"), {**IDLE, "since": now}
    connection.execute(
        "INSERT INTO ods_datasets VALUES (NULL, ?, ?, ?, NULL, ?, ?, ?, ?, NULL, NULL, 0)",
        (uid, dataset_id, _text(document), _text(status), int(restricted), now, now),
    )
    found = by_uid(connection, uid)
    if found is None:
        raise sqlite3.DataError("a dataset that was just written is not there")
    return found


def by_uid(connection: sqlite3.Connection, uid: str) -> Dataset | None:
    """The dataset with this uid."""
    return _dataset(connection.execute("SELECT * FROM ods_datasets WHERE uid = ?", (uid,)).fetchone())


def by_id(connection: sqlite3.Connection, dataset_id: str) -> Dataset | None:
    """The dataset with this identifier."""
    query = "SELECT * FROM ods_datasets WHERE dataset_id = ?"
    return _dataset(connection.execute(query, (dataset_id,)).fetchone())


def by_number(connection: sqlite3.Connection, number: int) -> Dataset | None:
    """The dataset in row `number`."""
    return _dataset(connection.execute("SELECT * FROM ods_datasets WHERE id = ?", (number,)).fetchone())


def all_datasets(connection: sqlite3.Connection) -> list[Dataset]:
    """Every dataset, by its identifier."""
    rows = connection.execute("SELECT * FROM ods_datasets ORDER BY dataset_id").fetchall()
    return [found for row in rows if (found := _dataset(row))]


def keep(connection: sqlite3.Connection, dataset: Dataset, **changes: Any) -> Dataset:
    """Change fields of a dataset."""
    changed = replace(dataset, **changes)
    connection.execute(
        "UPDATE ods_datasets SET dataset_id = ?, document = ?, live = ?, status = ?, is_restricted = ?,"
        " updated_at = ?, data_processed = ?, metadata_processed = ?, generation = ? WHERE id = ?",
        (
            changed.dataset_id,
            _text(changed.document),
            None if changed.live is None else _text(changed.live),
            _text(changed.status),
            int(changed.is_restricted),
            changed.updated_at,
            changed.data_processed,
            changed.metadata_processed,
            changed.generation,
            changed.id,
        ),
    )
    return changed


def drop_dataset(connection: sqlite3.Connection, dataset: Dataset) -> None:
    """Delete a dataset with everything that belongs to it."""
    drop_records(connection, dataset.id)
    connection.execute("DELETE FROM ods_datasets WHERE id = ?", (dataset.id,))


def drop_records(connection: sqlite3.Connection, dataset: int, *, but: str = "") -> None:
    """Drop the tables of a dataset's records, except the one named `but`."""
    form = f"ods_rows_{dataset}_[0-9]*"
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name GLOB ?", (form,))
    for (name,) in rows.fetchall():
        if name != but:
            connection.execute(f"DROP TABLE {name}")


def add_resource(
    connection: sqlite3.Connection, dataset: Dataset, document: dict[str, Any], key_sha256: str | None
) -> Resource:
    """Keep a new resource; a realtime one gets a name for its push URL: realtime, realtime0, realtime1."""
    taken = {resource.slug for resource in resources(connection, dataset.id)}
    uid = new_uid("re")
    slug = uid
    if key_sha256 is not None:
        names = ["realtime", *(f"realtime{number}" for number in range(len(taken)))]
        slug = next(name for name in names if name not in taken)
    statement = "INSERT INTO ods_resources VALUES (NULL, ?, ?, ?, ?, ?, 1, NULL)"
    connection.execute(statement, (uid, dataset.id, slug, _text(document), key_sha256))
    return next(resource for resource in resources(connection, dataset.id) if resource.uid == uid)


def resources(connection: sqlite3.Connection, dataset: int) -> list[Resource]:
    """The resources of a dataset, the oldest first."""
    rows = connection.execute("SELECT * FROM ods_resources WHERE dataset = ? ORDER BY id", (dataset,))
    return [_resource(row) for row in rows.fetchall()]


def keep_resource(connection: sqlite3.Connection, resource: Resource, **changes: Any) -> Resource:
    """Change fields of a resource."""
    changed = replace(resource, **changes)
    connection.execute(
        "UPDATE ods_resources SET document = ?, key_sha256 = ?, enabled = ?, last_push = ? WHERE id = ?",
        (
            _text(changed.document),
            changed.key_sha256,
            int(changed.enabled),
            changed.last_push,
            changed.id,
        ),
    )
    return changed


def drop_resource(connection: sqlite3.Connection, resource: Resource) -> None:
    """Delete a resource with its backup."""
    connection.execute("DELETE FROM ods_resources WHERE id = ?", (resource.id,))


def add_version(
    connection: sqlite3.Connection, dataset: Dataset, sections: list[str], author: str, now: float
) -> None:
    """Keep what a dataset's configuration was before a change, of the newest VERSIONS_KEPT changes."""
    kept = {
        "document": dataset.document,
        "is_restricted": dataset.is_restricted,
        "resources": {one.uid: one.document for one in resources(connection, dataset.id)},
    }
    row = (new_uid("ve"), dataset.id, _text(kept), _text(sections), author, now)
    connection.execute("INSERT INTO ods_versions VALUES (NULL, ?, ?, ?, ?, ?, ?)", row)
    connection.execute(
        "DELETE FROM ods_versions WHERE dataset = ? AND id NOT IN"
        " (SELECT id FROM ods_versions WHERE dataset = ? ORDER BY id DESC LIMIT ?)",
        (dataset.id, dataset.id, VERSIONS_KEPT),
    )


def files_named(documents: Iterable[dict[str, Any]]) -> set[str]:
    """The uids of the uploaded files that resources' documents name."""
    sources = [document.get("datasource") or {} for document in documents]
    return {str(one["file"]["uid"]) for one in sources if "file" in one}


def sweep_files(connection: sqlite3.Connection, dataset: Dataset) -> None:
    """Delete uploads that neither a resource nor one of the newest versions names; later ones may still be named."""
    named = files_named(one.document for one in resources(connection, dataset.id))
    query = "SELECT document FROM ods_versions WHERE dataset = ? ORDER BY id DESC LIMIT ?"
    for (text,) in connection.execute(query, (dataset.id, VERSIONS_WITH_FILES)).fetchall():
        named |= files_named(json.loads(text)["resources"].values())
    query = "SELECT id, uid FROM ods_files WHERE dataset = ? AND kind = 'resource' ORDER BY id DESC"
    found = connection.execute(query, (dataset.id,)).fetchall()
    newest = max((row["id"] for row in found if row["uid"] in named), default=0)
    gone = [(row["id"],) for row in found if row["id"] < newest and row["uid"] not in named]
    connection.executemany("DELETE FROM ods_files WHERE id = ?", gone)


def _dataset(row: sqlite3.Row | None) -> Dataset | None:
    if row is None:
        return None
    read = dict(row)
    for name in ("document", "live", "status"):
        read[name] = None if read[name] is None else json.loads(read[name])
    return Dataset(**{**read, "is_restricted": bool(read["is_restricted"])})


def _resource(row: sqlite3.Row) -> Resource:
    read = {**dict(row), "document": json.loads(row["document"]), "enabled": bool(row["enabled"])}
    return Resource(**read)


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
