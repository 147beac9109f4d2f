"""The drafts of DSMAPI as the store keeps them: revisions, sources, schemas, jobs and configs, as documents."""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from .answers import Call, Refused
from .catalogue import View, find

Kind = Literal["revisions", "sources", "input_schemas", "output_schemas", "jobs"]
BASE = "/api/publishing/v1"

TABLES = (
    "CREATE TABLE IF NOT EXISTS serials (next INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS revisions (id INTEGER PRIMARY KEY,"
    " parent INTEGER NOT NULL REFERENCES views (id) ON DELETE CASCADE, document TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS sources (id INTEGER PRIMARY KEY,"
    " parent INTEGER REFERENCES revisions (id) ON DELETE CASCADE, document TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS input_schemas (id INTEGER PRIMARY KEY,"
    " parent INTEGER NOT NULL REFERENCES sources (id) ON DELETE CASCADE, document TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS output_schemas (id INTEGER PRIMARY KEY,"
    " parent INTEGER NOT NULL REFERENCES input_schemas (id) ON DELETE CASCADE, document TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS jobs (id INTEGER PRIMARY KEY,"
    " parent INTEGER NOT NULL REFERENCES revisions (id) ON DELETE CASCADE, document TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS configs (name TEXT PRIMARY KEY, document TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS archives (view INTEGER PRIMARY KEY REFERENCES views (id) ON DELETE CASCADE)",
    *(
        f"CREATE INDEX IF NOT EXISTS {kind}_parent ON {kind} (parent)"
        for kind in ("revisions", "sources", "input_schemas", "output_schemas", "jobs")
    ),
    "INSERT INTO serials SELECT 1000 WHERE NOT EXISTS (SELECT 1 FROM serials)",
)


@dataclass(frozen=True)
class Draft:
    """One row of a table of drafts."""

    id: int
    parent: int | None
    """The row it belongs to; for a revision its view."""
    document: dict[str, Any]
    """What the protocol shows; keys that start with `_` are the portal's own."""

    def shown(self) -> dict[str, Any]:
        """The document as the protocol shows it."""
        return {"id": self.id, **{key: value for key, value in self.document.items() if key[0] != "_"}}


def prepare(connection: sqlite3.Connection) -> None:
    """Make the tables of drafts where there are none."""
    for statement in TABLES:
        connection.execute(statement)


def numbers(connection: sqlite3.Connection, count: int = 1) -> int:
    """The first of `count` numbers that nothing else has."""
    row = connection.execute("UPDATE serials SET next = next + ? RETURNING next", (count,)).fetchall()[0]
    return int(row[0]) - count


def add(connection: sqlite3.Connection, kind: Kind, parent: int | None, document: dict[str, Any]) -> Draft:
    """Keep a new draft."""
    draft = Draft(numbers(connection), parent, document)
    connection.execute(
        f"INSERT INTO {kind} VALUES (?, ?, ?)", (draft.id, parent, json.dumps(document, ensure_ascii=False))
    )
    return draft


def keep(connection: sqlite3.Connection, kind: Kind, draft: Draft, **changes: Any) -> Draft:
    """Change keys of a draft's document."""
    changed = Draft(draft.id, draft.parent, {**draft.document, **changes})
    text = json.dumps(changed.document, ensure_ascii=False)
    connection.execute(f"UPDATE {kind} SET document = ? WHERE id = ?", (text, draft.id))
    return changed


def lookup(connection: sqlite3.Connection, kind: Kind, number: int) -> Draft | None:
    """The draft `number`, if it is there."""
    row = connection.execute(f"SELECT * FROM {kind} WHERE id = ?", (number,)).fetchone()
    return None if row is None else _draft(row)


def load(connection: sqlite3.Connection, kind: Kind, number: int | str) -> Draft:
    """The draft `number`. Raises Refused (404)."""
    found = lookup(connection, kind, int(number))
    if found is None:
        raise missing(kind)
    return found


def children(connection: sqlite3.Connection, kind: Kind, parent: int) -> list[Draft]:
    """The drafts that belong to `parent`, the oldest first."""
    rows = connection.execute(f"SELECT * FROM {kind} WHERE parent = ? ORDER BY id", (parent,))
    return [_draft(row) for row in rows.fetchall()]


def missing(what: str) -> Refused:
    """404, in the words of this interface."""
    return refused(404, "not_found", f"There is no such thing among the {what.replace('_', ' ')}")


def refused(status: int, key: str, message: str, **params: Any) -> Refused:
    """An error of this interface: key, message, params."""
    return Refused(status, {"key": key, "message": message, "params": params})


def stamp(now: float) -> str:
    """A time as this interface writes it: UTC, microseconds, no zone."""
    return dt.datetime.fromtimestamp(now, dt.UTC).replace(tzinfo=None).isoformat(timespec="microseconds")


def author(call: Call) -> dict[str, Any]:
    """Who calls, as `created_by`."""
    account = call.account
    name, uid = (account.name, account.uid) if account else ("", "")
    return {"user_id": uid, "email": "", "display_name": name}


def view_of(connection: sqlite3.Connection, name: str) -> View:
    """The dataset `name`. Raises Refused (404)."""
    view = find(connection, name)
    if view is None:
        raise missing("views")
    return view


def view_by_number(connection: sqlite3.Connection, number: int) -> View | None:
    """The dataset in row `number` of the views."""
    row = connection.execute("SELECT uid FROM views WHERE id = ?", (number,)).fetchone()
    return None if row is None else find(connection, row[0])


def revision_of(connection: sqlite3.Connection, view: View, seq: int | str) -> Draft:
    """Revision `seq` of `view`. Raises Refused (404)."""
    query = "SELECT * FROM revisions WHERE parent = ? AND document ->> '$.revision_seq' = ?"
    row = connection.execute(query, (view.id, int(seq))).fetchone()
    if row is None:
        raise missing("revisions")
    return _draft(row)


def still_open(revision: Draft) -> Draft:
    """The revision, which is neither applied nor discarded. Raises Refused (409)."""
    if revision.document["closed_at"]:
        raise refused(409, "revision_closed", "The revision is closed")
    return revision


def check_output(connection: sqlite3.Connection, revision: Draft, chosen: Any) -> None:
    """An output schema belongs to the revision that it is applied in. Raises Refused."""
    output = lookup(connection, "output_schemas", chosen) if isinstance(chosen, int) else None
    schema = lookup(connection, "input_schemas", output.parent or 0) if output else None
    source = lookup(connection, "sources", schema.parent or 0) if schema else None
    if source is None or source.parent != revision.id:
        raise refused(400, "invalid_output_schema", "The output schema is not one of this revision's")


def revision_links(uid: str, seq: int) -> dict[str, Any]:
    """The links of a revision; a client makes a method of each."""
    own = f"{BASE}/revision/{uid}/{seq}"
    source = f"{own}/source"
    return {
        **dict.fromkeys(("show", "metadata", "update", "discard"), own),
        **dict.fromkeys(("create_source", "list_sources"), source),
        **{word: f"{own}/{word}" for word in ("apply", "plan", "restore")},
    }


def source_links(number: int) -> dict[str, Any]:
    """The links of a source and, as templates, of its schemas."""
    own = f"{BASE}/source/{number}"
    schema = f"{own}/schema/{{input_schema_id}}"
    chunk = f"{own}/chunk/{{seq_num}}/{{byte_offset}}"
    return {
        **dict.fromkeys(("show", "bytes", "add_to_revision"), own),
        "initiate": f"{own}/initiate",
        "chunk": chunk,
        "commit": f"{chunk}/commit",
        "update": f"{own}/options",
        "load": f"{own}/load",
        "show_input_schema": schema,
        "input_schema_links": input_links(schema),
    }


def input_links(schema: str) -> dict[str, Any]:
    """The links of the input schema at the address `schema`."""
    outputs = {
        "show": f"{schema}/output/{{output_schema_id}}",
        "rows": f"{schema}/rows/{{output_schema_id}}",
        "schema_errors": f"{schema}/errors/{{output_schema_id}}",
        "validate_row_id": f"{schema}/transform/{{transform_id}}/validate_row_identifier",
        "build_config": f"{BASE}/config/build_from/{{output_schema_id}}",
    }
    plain = {**dict.fromkeys(("show", "transform"), schema), "latest_output": f"{schema}/output/latest"}
    return {**plain, "row_errors": f"{schema}/errors", "output_schema_links": outputs}


def output_links(source: int, schema: int, output: int) -> dict[str, Any]:
    """The links of one output schema."""
    links: dict[str, str] = input_links(f"{BASE}/source/{source}/schema/{schema}")["output_schema_links"]
    return {name: link.replace("{output_schema_id}", str(output)) for name, link in links.items()}


def config_links(name: str) -> dict[str, Any]:
    """The links of a config."""
    own = f"{BASE}/config/{quote(name, safe='')}"
    create = f"{BASE}/revision/{{fourfour}}?config={quote(name, safe='')}"
    return {**dict.fromkeys(("show", "update", "delete"), own), "create_revision": create}


def _draft(row: sqlite3.Row) -> Draft:
    return Draft(row["id"], row["parent"], json.loads(row["document"]))
