"""
The worker's third piece of work: a revision applied.

Rows go into a table of their own in short transactions, while the dataset stands as it was. One last
transaction puts them in its place, changes the metadata and closes the revision: all of it, or nothing.
"""

from __future__ import annotations

import json
import mimetypes
import sqlite3
from dataclasses import dataclass
from typing import Any

from .answers import Refused
from .assets import attach, set_blob
from .bodies import File, safe_name
from .bulk import Loader, declared
from .catalogue import View, add_column, again, touch
from .cells import cell_type
from .drafts import Draft, children, keep, lookup, stamp, view_by_number
from .preparing import write_rows
from .rows import row_stamp
from .schemas import output_table
from .workshop import Workshop, quoted

BATCH_ROWS = 20_000


class Failed(Exception):
    """A revision that cannot be applied; says why, without a cell."""


@dataclass(frozen=True)
class _Task:
    """What one job has to do."""

    workshop: Workshop
    job: Draft
    revision: Draft
    view: View
    output: Draft | None
    source: int

    @property
    def action(self) -> str:
        """replace, update or delete; the first rows of a dataset without columns make its columns."""
        wanted = str(self.revision.document["action"]["type"])
        return "replace" if wanted == "update" and not self.view.columns else wanted

    @property
    def stage(self) -> str:
        """The table the rows wait in."""
        return f"stage_{self.view.id}"

    @property
    def columns(self) -> list[dict[str, Any]]:
        """The output columns."""
        return list(self.output.document["output_columns"]) if self.output else []


def apply_revision(workshop: Workshop, number: int) -> None:
    """Apply the revision of job `number`."""
    task = _task(workshop, number)
    if task is None:
        return
    failure = ""
    try:
        if task.job.document.get("_fails"):
            raise Failed("The job fails on demand")
        if task.output is not None:
            _check(task)
            _log(task, "creating_columns")
            staged = _stage(task)
            _log(task, "upserting", rows=staged)
        _finish(task)
    except (Failed, Refused) as failed:
        failure = str(failed)
    except sqlite3.IntegrityError:  # its text would name a value's column only, but say it in our words
        failure = "The row identifier is not unique in the rows"
    except Exception as error:  # noqa: BLE001  DuckDB's errors quote the data
        workshop.check()
        failure = f"Internal error ({type(error).__name__})"
    if failure:
        _fail(task, failure)
        return
    _archive(task)
    _tidy(task)


def _task(workshop: Workshop, number: int) -> _Task | None:
    with workshop.store.reading() as connection:
        job = lookup(connection, "jobs", number)
        if job is None or job.document["finished_at"]:
            return None
        revision = lookup(connection, "revisions", job.parent or 0)
        view = view_by_number(connection, revision.parent or 0) if revision else None
        if revision is None or view is None:
            return None
        chosen = job.document["output_schema_id"]
        output = lookup(connection, "output_schemas", chosen) if chosen is not None else None
        schema = lookup(connection, "input_schemas", output.parent or 0) if output else None
        return _Task(workshop, job, revision, view, output, schema.parent or 0 if schema else 0)


def _check(task: _Task) -> None:
    """What would make the rows impossible. Raises Failed."""
    if task.output is None or not task.output.document["completed_at"]:
        raise Failed("The output schema has not been worked out")
    if "_blob" in task.view.document:
        raise Failed("The dataset is a file and has no rows")
    flagged = [column["field_name"] for column in task.columns if column["is_primary_key"]]
    own = task.view.identifier.field_name if task.view.identifier else None
    names = {column["field_name"] for column in task.columns}
    if task.revision.document["action"]["type"] == "update" and flagged and flagged != [own]:
        raise Failed("An update cannot set a row identifier; a replace revision can")
    if task.action == "delete" and own is None:
        raise Failed("Rows are deleted by row identifier, and the dataset has none")
    if task.action != "replace" and own is not None and own not in names:
        raise Failed(f"The row identifier '{own}' is not among the columns")
    if task.action == "update":
        for column in task.columns:
            known, kind = task.view.column(column["field_name"]), column["transform"]["output_soql_type"]
            if known is not None and known.kind.soda != getattr(cell_type(kind), "soda", None):
                raise Failed(f"Column '{known.field_name}' is {known.kind.name} and would become {kind}")


def _key(task: _Task) -> int | None:
    """The place, from 1, of the output column that identifies rows."""
    flagged = [at for at, column in enumerate(task.columns, 1) if column["is_primary_key"]]
    own = task.view.identifier.field_name if task.view.identifier else None
    kept = [at for at, column in enumerate(task.columns, 1) if column["field_name"] == own]
    return next(iter(flagged or kept), None)


def _stage(task: _Task) -> int:
    """Put the rows without errors into a table of their own, and say how many there are."""
    store = task.workshop.store
    kinds = [cell_type(column["transform"]["output_soql_type"]) for column in task.columns]
    flags = [kind is not None and kind.soda == "boolean" for kind in kinds]
    with store.writing() as connection:
        connection.execute(f"DROP TABLE IF EXISTS {task.stage}")
        connection.execute(f"CREATE TABLE {task.stage} ({declared(flags)})")
        row = connection.execute("SELECT next_sid FROM views WHERE id = ?", (task.view.id,)).fetchone()
    first = number = int(row[0])
    engine = task.workshop.engine()
    try:
        _refuse_blank_keys(task, engine)
        with store.loading() as connection:
            loader = Loader(connection, task.stage, flags, row_stamp(task.workshop.clock()))
            for batch in engine.sql(_rows_sql(task)).to_arrow_reader(BATCH_ROWS):
                task.workshop.check()
                with store.alone():
                    number += loader.add(number, batch)
    finally:
        engine.close()
    return number - first


def _refuse_blank_keys(task: _Task, engine: Any) -> None:
    key = _key(task)
    if key is None or task.output is None:
        return
    table = quoted(output_table(task.workshop.place(task.source), task.output.id))
    blank = f"SELECT count(*) FROM read_parquet({table}) WHERE NOT bad AND v{key} IS NULL"
    if engine.execute(blank).fetchall()[0][0]:
        raise Failed(f"The row identifier '{task.columns[key - 1]['field_name']}' is blank in a row")


def _rows_sql(task: _Task) -> str:
    """The rows as the store holds them, in the order they are to have."""
    if task.output is None:
        raise Failed("There is no output schema")
    table = quoted(output_table(task.workshop.place(task.source), task.output.id))
    places = {column["field_name"]: at for at, column in enumerate(task.columns, 1)}
    values = ", ".join(f"v{at}" for at in places.values())
    if not task.output.document["sort_bys"]:
        return f"SELECT {values} FROM read_parquet({table}) WHERE NOT bad"
    sorting = ", ".join(
        f"v{places[one['field_name']]} {'ASC' if one['ascending'] else 'DESC'} NULLS LAST"
        for one in task.output.document["sort_bys"]
    )
    numbered = f"read_parquet({table}, file_row_number = true)"
    return f"SELECT {values} FROM {numbered} WHERE NOT bad ORDER BY {sorting}, file_row_number"


def _finish(task: _Task) -> None:
    """The last transaction."""
    workshop = task.workshop
    with workshop.store.writing() as connection:
        view = view_by_number(connection, task.view.id)
        job = lookup(connection, "jobs", task.job.id)
        revision = lookup(connection, "revisions", task.revision.id)
        if view is None or job is None or revision is None or revision.document["closed_at"]:
            raise Failed("The revision or its dataset is gone")
        counts: dict[str, int] = {}
        if task.output is not None:
            work = {"replace": _replace, "update": _update, "delete": _delete}[task.action]
            counts = work(task, connection, view)
            connection.execute(f"DROP TABLE IF EXISTS {task.stage}")
        now = workshop.clock()
        _publish(connection, view, revision, now)
        _attach(connection, view, revision)
        if task.output is None and revision.document["blob_id"] is not None:
            _set_file(task, connection, again(connection, view.uid), revision, now)
        touch(connection, view, now, rows=task.output is not None)
        keep(connection, "revisions", revision, closed_at=stamp(now))
        entry = {"stage": "successful", "time": stamp(now), "details": counts or None}
        ended = {"status": "successful", "updated_at": stamp(now), "finished_at": stamp(now)}
        keep(connection, "jobs", job, **ended, log=[entry, *job.document["log"]])


def _replace(task: _Task, connection: sqlite3.Connection, view: View) -> dict[str, int]:
    """The waiting table becomes the dataset's, with the columns of the output schema."""
    before = connection.execute(f"SELECT count(*) FROM {view.table}").fetchone()[0]
    kept: list[int] = []
    for at, column in enumerate(task.columns, 1):
        number = _column(connection, view, column, at)
        connection.execute(f"ALTER TABLE {task.stage} RENAME COLUMN s{at} TO c{number}")
        kept.append(number)
    marks = ", ".join("?" * len(kept))
    connection.execute(f"DELETE FROM columns WHERE view = ? AND id NOT IN ({marks})", (view.id, *kept))
    connection.execute(f"DROP TABLE {view.table}")
    connection.execute(f"ALTER TABLE {task.stage} RENAME TO {view.table}")
    connection.execute(f"CREATE UNIQUE INDEX {view.table}_rid_{task.job.id} ON {view.table} (rid)")
    key = _key(task)
    if key is not None:
        connection.execute(f"CREATE UNIQUE INDEX key_{view.id} ON {view.table} (c{kept[key - 1]})")
    identifier = None if key is None else kept[key - 1]
    connection.execute("UPDATE views SET row_identifier = ? WHERE id = ?", (identifier, view.id))
    _reserve(connection, view)
    after = connection.execute(f"SELECT count(*) FROM {view.table}").fetchone()[0]
    return {"Rows Deleted": int(before), "Rows Created": int(after)}


def _column(connection: sqlite3.Connection, view: View, column: dict[str, Any], position: int) -> int:
    """The number of a column of the dataset: the one it had, when its type is the same, or a new one."""
    kind = cell_type(column["transform"]["output_soql_type"])
    name, known = column["field_name"], view.column(column["field_name"])
    told = (column["display_name"], column["description"] or "", position, json.dumps(column["format"]))
    if known is not None and known.kind is kind:
        statement = "UPDATE columns SET name = ?, description = ?, position = ?, format = ? WHERE id = ?"
        connection.execute(statement, (*told, known.id))
        return known.id
    connection.execute("DELETE FROM columns WHERE view = ? AND field_name = ?", (view.id, name))
    display, description, place, form = told
    row = (view.id, name, display, kind.name if kind else "text", description, place, form)
    cursor = connection.execute("INSERT INTO columns VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)", row)
    return int(cursor.lastrowid or 0)


def _update(task: _Task, connection: sqlite3.Connection, view: View) -> dict[str, int]:
    """Append, or update and insert by row identifier; a column that is not there yet is added."""
    position = max((column.position for column in view.columns), default=0)
    for column in task.columns:
        if view.column(column["field_name"]) is None:
            position += 1
            kind = column["transform"]["output_soql_type"]
            named = {"fieldName": column["field_name"], "name": column["display_name"], "dataTypeName": kind}
            add_column(connection, view, {**named, "description": column["description"]}, position)
    view = view_by_number(connection, view.id) or view
    places = [known.sql for column in task.columns if (known := view.column(column["field_name"]))]
    before = connection.execute(f"SELECT count(*) FROM {view.table}").fetchone()[0]
    staged = connection.execute(f"SELECT count(*) FROM {task.stage}").fetchone()[0]
    fields = ", ".join(["sid", "rid", "created_at", "updated_at", *places])
    statement = f"INSERT INTO {view.table} ({fields}) SELECT * FROM {task.stage} ORDER BY sid"
    _renumber(task, connection, view)
    if view.identifier is not None:
        sets = ", ".join(f"{name} = excluded.{name}" for name in ("updated_at", *places))
        statement = statement.replace(" ORDER BY", " WHERE true ORDER BY")
        statement += f" ON CONFLICT ({view.identifier.sql}) DO UPDATE SET {sets}"
    connection.execute(statement)
    _reserve(connection, view)
    created = connection.execute(f"SELECT count(*) FROM {view.table}").fetchone()[0] - before
    return {"Rows Created": int(created), "Rows Updated": int(staged - created)}


def _renumber(task: _Task, connection: sqlite3.Connection, view: View) -> None:
    """Rows written while these waited keep their numbers; these go behind them."""
    first = connection.execute(f"SELECT min(sid) FROM {task.stage}").fetchone()[0]
    if first is not None and first < view.next_sid:
        moved = view.next_sid - first
        last = connection.execute(f"SELECT max(sid) FROM {task.stage}").fetchone()[0]
        away = last - first + 1 + moved
        for step in (away, moved - away):  # a number that another row still has is never given
            connection.execute(f"UPDATE {task.stage} SET sid = sid + ?", (step,))
        connection.execute(f"UPDATE {task.stage} SET rid = new_row_id(sid)")


def _reserve(connection: sqlite3.Connection, view: View) -> None:
    """The next row's number is behind every row's."""
    statement = f"SELECT coalesce(max(sid), 0) + 1 FROM {view.table}"
    highest = int(connection.execute(statement).fetchone()[0])
    connection.execute("UPDATE views SET next_sid = max(next_sid, ?) WHERE id = ?", (highest, view.id))


def _delete(task: _Task, connection: sqlite3.Connection, view: View) -> dict[str, int]:
    """Delete the rows whose identifier was sent; one that is not there counts as an error, as in SODA."""
    key = _key(task)
    if view.identifier is None or key is None:
        raise Failed("Rows are deleted by row identifier, and the dataset has none")
    sent = connection.execute(f"SELECT count(DISTINCT s{key}) FROM {task.stage}").fetchone()[0]
    statement = f"DELETE FROM {view.table} WHERE {view.identifier.sql} IN (SELECT s{key} FROM {task.stage})"
    deleted = connection.execute(statement).rowcount
    return {"Rows Deleted": deleted, "Errors": int(sent) - deleted}


def _publish(connection: sqlite3.Connection, view: View, revision: Draft, now: float) -> None:
    document = merged(view.document, revision.document.get("_metadata") or {})
    scope = revision.document["action"].get("permission") or view.scope
    statement = (
        "UPDATE views SET document = ?, scope = ?, stage = 'published', modified_at = ?,"
        " published_at = coalesce(published_at, ?) WHERE id = ?"
    )
    connection.execute(statement, (json.dumps(document), scope, now, now, view.id))


def attachments_of(view: View) -> list[dict[str, Any]]:
    """The attachments of a dataset as a revision shows them."""
    listed = (view.document.get("metadata") or {}).get("attachments") or []
    return [
        {
            "name": one.get("name"),
            "filename": one.get("filename"),
            "asset_id": one.get("assetId"),
            "blob_id": one.get("blobId"),
        }
        for one in listed
    ]


def _attach(connection: sqlite3.Connection, view: View, revision: Draft) -> None:
    """The dataset's attachments become those of the revision, where it was told any. Raises Refused."""
    if not revision.document.get("_attached"):
        return
    listed = [
        {"name": one["name"], "filename": one["filename"], "assetId": one["asset_id"] or one["blob_id"]}
        for one in revision.document["attachments"]
    ]
    document = merged(again(connection, view.uid).document, {"metadata": {"attachments": listed}})
    connection.execute("UPDATE views SET document = ? WHERE id = ?", (json.dumps(document), view.id))
    attach(connection, again(connection, view.uid))


def _set_file(task: _Task, connection: sqlite3.Connection, view: View, revision: Draft, now: float) -> None:
    """The file of a blob source becomes the whole of the dataset. Raises Failed."""
    source = lookup(connection, "sources", int(revision.document["blob_id"]))
    content = task.workshop.place(source.id) / "content" if source is not None else None
    if source is None or content is None or not content.exists():
        raise Failed("The file of the revision is gone")
    if view.columns:
        raise Failed("A dataset with columns cannot become a file")
    name = safe_name(str(source.document["source_type"].get("filename") or "file"))
    kind = mimetypes.guess_type(name)[0] or str(source.document["content_type"])
    set_blob(connection, view, File(name, kind, content.read_bytes()), now)


def merged(before: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`before` with `changes` over it, objects within objects too."""
    result = dict(before)
    for key, value in changes.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


def _log(task: _Task, status: str, **details: Any) -> None:
    workshop = task.workshop
    with workshop.store.writing() as connection:
        job = lookup(connection, "jobs", task.job.id)
        if job is None:
            raise Failed("The revision is gone")
        now = stamp(workshop.clock())
        entry = {"stage": status, "time": now, "details": details or None}
        keep(connection, "jobs", job, status=status, updated_at=now, log=[entry, *job.document["log"]])


def _fail(task: _Task, message: str) -> None:
    """The job ends as a failure; its revision stays open, and the dataset as it was."""
    workshop = task.workshop
    with workshop.store.writing() as connection:
        connection.execute(f"DROP TABLE IF EXISTS {task.stage}")
        job = lookup(connection, "jobs", task.job.id)
        if job is None:
            return
        now = stamp(workshop.clock())
        entry = {"stage": "failure", "time": now, "details": {"message": message}}
        ended = {"status": "failure", "updated_at": now, "finished_at": now}
        keep(connection, "jobs", job, **ended, log=[entry, *job.document["log"]])


def _archive(task: _Task) -> None:
    """Keep the rows as they are now, when the dataset is enrolled in archiving."""
    workshop = task.workshop
    with workshop.store.reading() as connection:
        enrolled = connection.execute("SELECT 1 FROM archives WHERE view = ?", (task.view.id,)).fetchone()
        view = view_by_number(connection, task.view.id)
        if enrolled is None or view is None or task.output is None:
            return
        workshop.place(task.source)
        name = f"archive-{task.revision.id}.parquet"
        rows = write_rows(workshop, connection, view, workshop.folder / name)
    columns = [
        {"field_name": one.field_name, "name": one.name, "type": one.kind.name} for one in view.columns
    ]
    with workshop.store.writing() as connection:
        revision = lookup(connection, "revisions", task.revision.id)
        if revision is not None:
            archive = {"file": name, "rows": rows, "columns": columns}
            keep(connection, "revisions", revision, _archive=archive)


def _tidy(task: _Task) -> None:
    """The uploads of a dataset's earlier, closed revisions are deleted."""
    with task.workshop.store.reading() as connection:
        earlier = [
            source.id
            for revision in children(connection, "revisions", task.view.id)
            if revision.document["closed_at"] and revision.id != task.revision.id
            for source in children(connection, "sources", revision.id)
        ]
    for number in earlier:
        task.workshop.forget(number)
