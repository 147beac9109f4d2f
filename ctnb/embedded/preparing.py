"""The worker's first two pieces of work: an upload to its input schema, an output schema to its rows."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

from ctnb.values import text_array

from .answers import Refused
from .catalogue import View
from .cells import TEXT, cell_type
from .drafts import Draft, children, keep, lookup, stamp, view_of
from .fetching import Unfetched, fetch
from .guessing import guess_types
from .parsing import Named, Options, Parsed, Unparsable, parse_file, wrong_rows
from .schemas import add_input, add_output, adopt, default_columns, family, input_table, output_table, plan_of
from .soql import Node, parse_expression
from .transforms import canonical
from .vectors import teach
from .workshop import Workshop, quoted

BATCH_ROWS = 20_000


def parse_source(workshop: Workshop, number: int) -> None:
    """Read the committed upload of source `number`; its input schema and a first output schema come of it."""
    with workshop.store.reading() as connection:
        source = lookup(connection, "sources", number)
    if source is None or not source.document.get("_committed") or source.document["finished_at"]:
        return
    if source.document.get("_fails"):
        _fail(workshop, source, "The file fails on demand")
        return
    if not source.document["parse_options"]["parse_source"]:
        _finish_blob(workshop, source)
        return
    folder, engine = workshop.place(number), workshop.engine()
    table = folder / "parsing.parquet"
    _join(folder, int(source.document.get("_chunks") or 0))
    wrong = ""
    try:
        if source.document["source_type"]["type"] == "view":
            parsed = _export(workshop, source, table)
        else:
            content_type = _content_type(workshop, source, folder)
            options = source.document["parse_options"]
            if content_type == "text/tab-separated-values" and options["column_separator"] == ",":
                options = {**options, "column_separator": "\t"}
            known = {name: options[name] for name in Options.__dataclass_fields__ if name in options}
            parsed = parse_file(engine, folder / "content", content_type, Options(**known), table)
        guesses = _guesses(engine, table, parsed)
    except (Unparsable, Refused) as mistake:
        wrong = str(mistake)
    except Exception as error:  # noqa: BLE001  DuckDB's and calamine's errors quote the data
        workshop.check()
        wrong = f"The file cannot be read ({type(error).__name__})"
    finally:
        engine.close()
    if wrong:
        _fail(workshop, source, wrong)
        return
    output = _keep_schemas(workshop, source, parsed, guesses, table)
    if output is not None:
        run_output(workshop, output)


def _content_type(workshop: Workshop, source: Draft, folder: Path) -> str:
    """What kind of file a source holds; one of type url is fetched first. Raises Unparsable."""
    kind = source.document["source_type"]
    if kind["type"] != "url" or (source.document["content_type"] and (folder / "content").exists()):
        return str(source.document["content_type"])
    wrong, content_type, content = "", "", folder / "content"
    try:
        content_type = fetch(kind["url"], content, limit=workshop.upload_limit, check=workshop.check)
    except Unfetched as unfetched:
        wrong = str(unfetched)
    if wrong:
        raise Unparsable(wrong)
    with workshop.store.writing() as connection:
        found = lookup(connection, "sources", source.id) or source
        changes = {"content_type": content_type, "filesize": content.stat().st_size}
        keep(connection, "sources", found, **changes)
    return content_type


def _join(folder: Path, chunks: int) -> None:
    """Make one file of the chunks; done once, and taken up again after a kill."""
    if not chunks or (folder / "content").exists():
        return
    parts = [folder / f"chunk-{number}" for number in range(chunks)]
    with (folder / "joining").open("wb") as whole:
        for part in parts:
            with part.open("rb") as piece:
                shutil.copyfileobj(piece, whole, 2**20)
    (folder / "joining").replace(folder / "content")
    for part in parts:
        part.unlink()


def run_output(workshop: Workshop, number: int) -> None:
    """Work out every transform of output schema `number`."""
    with workshop.store.reading() as connection:
        output = lookup(connection, "output_schemas", number)
        schema = lookup(connection, "input_schemas", output.parent or 0) if output else None
        others = children(connection, "output_schemas", schema.id) if schema else []
    if output is None or schema is None or schema.parent is None or output.document["completed_at"]:
        return
    folder, engine, counts = workshop.place(schema.parent), workshop.engine(), None
    try:
        counts = _transform(engine, schema, output, folder, _most_alike(output, others, folder))
    except Exception:  # noqa: BLE001  DuckDB's errors quote the data
        workshop.check()
    finally:
        engine.close()
    with workshop.store.writing() as connection:
        found = lookup(connection, "output_schemas", number)
        if found is not None:
            now = stamp(workshop.clock())
            changes = _completed(found, counts, now) if counts else _failed(found, now)
            keep(connection, "output_schemas", found, **changes)


def _expressions(output: Draft) -> list[Node]:
    """The transforms of an output schema, in the order of its columns."""
    columns = output.document["output_columns"]
    return [canonical(parse_expression(column["transform"]["transform_expr"])) for column in columns]


def _most_alike(output: Draft, others: list[Draft], folder: Path) -> Draft | None:
    """The finished output schema of the same input that has most transforms in common with `output`."""
    wanted = set(_expressions(output))
    finished = [
        one for one in others if one.document["completed_at"] and output_table(folder, one.id).exists()
    ]
    return max(finished, key=lambda one: len(wanted & set(_expressions(one))), default=None)


def _transform(
    engine: Any, schema: Draft, output: Draft, folder: Path, earlier: Draft | None
) -> tuple[int, ...]:
    """Rows, rows with an error, and the errors of each column; what `earlier` worked out is taken from there."""
    table = output_table(folder, output.id)
    temporary, before = table.with_suffix(".part"), _expressions(earlier) if earlier else []
    plan = plan_of(schema, {node: (f"m{at}", f"n{at}") for at, node in enumerate(before, 1)})
    for column in output.document["output_columns"]:
        plan.add(column["transform"]["transform_expr"])
    if earlier is not None and before == _expressions(output):
        shutil.copyfile(output_table(folder, earlier.id), temporary)
    else:
        teach(engine)
        source = f"read_parquet({quoted(input_table(folder, schema.id))})"
        if earlier is not None:
            source += f" POSITIONAL JOIN ({_renamed(output_table(folder, earlier.id), len(before))})"
        engine.execute(
            f"COPY ({plan.sql(source)}) TO {quoted(temporary)} (FORMAT parquet, COMPRESSION snappy)"
        )
    temporary.replace(table)
    errors = ", ".join(f"count({column.error})" for column in plan.outputs)
    counting = f"SELECT count(*), count(*) FILTER (bad), {errors} FROM read_parquet({quoted(table)})"
    return tuple(int(count) for count in engine.execute(counting).fetchall()[0])


def _renamed(table: Path, width: int) -> str:
    """The columns of an output table by the names that a plan knows them by."""
    named = ", ".join(f"v{at} AS m{at}, e{at} AS n{at}" for at in range(1, width + 1))
    return f"SELECT {named} FROM read_parquet({quoted(table)})"


def _completed(output: Draft, counts: tuple[int, ...], now: str) -> dict[str, Any]:
    rows, wrong, *errors = counts
    columns = [
        {
            **column,
            "transform": {
                **column["transform"],
                "completed_at": now,
                "finished_at": now,
                "error_count": count,
                "attempts": 1,
            },
        }
        for column, count in zip(output.document["output_columns"], errors, strict=True)
    ]
    times = {"completed_at": now, "finished_at": now}
    return {**times, "total_rows": rows, "error_count": wrong, "output_columns": columns}


def _failed(output: Draft, now: str) -> dict[str, Any]:
    details = {"message": "The transforms could not be worked out", "type": "transform_failed"}
    state = {"failed_at": now, "failure_details": details, "attempts": 1}
    columns = [
        {**column, "transform": {**column["transform"], **state}}
        for column in output.document["output_columns"]
    ]
    return {"output_columns": columns}


def _guesses(engine: Any, table: Path, parsed: Parsed) -> list[str]:
    guesses = guess_types(engine, table, len(parsed.columns))
    return [
        guess if column.kind.name == "text" else column.kind.name
        for guess, column in zip(guesses, parsed.columns, strict=True)
    ]


def _keep_schemas(
    workshop: Workshop, source: Draft, parsed: Parsed, guesses: list[str], table: Path
) -> int | None:
    """The number of the first output schema, when there is one to be worked out."""
    with workshop.store.writing() as connection:
        source = lookup(connection, "sources", source.id) or source
        schema = add_input(connection, source, parsed, guesses, workshop.clock())
        folder = workshop.place(source.id)
        table.replace(input_table(folder, schema.id))
        if wrong_rows(table).exists():
            wrong_rows(table).replace(wrong_rows(input_table(folder, schema.id)))
        revision, view = family(connection, source)
        wanted = _configured(connection, revision) or default_columns(schema, view)
        now, output, failure = workshop.clock(), None, ""
        try:
            output = add_output(connection, schema, wanted, None, now)
        except Refused as mistake:
            failure = str(mistake)
        changes: dict[str, Any] = {"finished_at": stamp(now)}
        if failure:
            details = {"message": failure, "type": "invalid_output_schema"}
            changes = {"failed_at": stamp(now), "failure_details": details}
        if source.document["source_type"]["type"] == "view":
            changes["source_type"] = {**source.document["source_type"], "loaded": True}
        keep(connection, "sources", source, **changes)
        if output is not None:
            adopt(connection, revision, output)
    return None if output is None else output.id


def _configured(connection: sqlite3.Connection, revision: Draft | None) -> list[dict[str, Any]]:
    """The output columns that the revision's config asks for."""
    columns = (revision.document.get("_config_columns") if revision else None) or []
    return [
        {**column, "position": at, "transform": {"transform_expr": column.get("transform_expr", "")}}
        for at, column in enumerate(columns, 1)
    ]


def _finish_blob(workshop: Workshop, source: Draft) -> None:
    """A file that is not to be parsed becomes the revision's blob."""
    _join(workshop.place(source.id), int(source.document.get("_chunks") or 0))
    with workshop.store.writing() as connection:
        found = lookup(connection, "sources", source.id)
        if found is None:
            return
        keep(connection, "sources", found, finished_at=stamp(workshop.clock()), blob=str(source.id))
        revision, _ = family(connection, found)
        if revision is not None:
            keep(connection, "revisions", revision, blob_id=source.id)


def _fail(workshop: Workshop, source: Draft, message: str) -> None:
    with workshop.store.writing() as connection:
        found = lookup(connection, "sources", source.id)
        if found is not None:
            details = {"message": message, "type": "unparsable_file"}
            keep(connection, "sources", found, failed_at=stamp(workshop.clock()), failure_details=details)


def _export(workshop: Workshop, source: Draft, table: Path) -> Parsed:
    """The rows of a dataset as the source of a revision; those of an archive, when it is to be restored."""
    archive = source.document.get("_archive")
    if archive is not None:
        return _archived(workshop, archive, table)
    with workshop.store.reading() as connection:
        view = view_of(connection, str(source.document["source_type"].get("fourfour", "")))
        rows = write_rows(workshop, connection, view, table)
    return Parsed(tuple(Named(one.field_name, one.name, one.kind) for one in view.columns), rows, 0)


def write_rows(workshop: Workshop, connection: sqlite3.Connection, view: View, table: Path) -> int:
    """Write the stored cells of a dataset as c1, c2 ... to a Parquet file, a batch at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [f"c{at}" for at in range(1, len(view.columns) + 1)]
    fields = ", ".join(f"CAST({column.sql} AS TEXT)" for column in view.columns) or "NULL"
    connection.set_progress_handler(None, 0)  # the limit is for questions; this is as long as the table is
    cursor = connection.execute(f"SELECT {fields} FROM {view.table} ORDER BY sid")
    count, form = 0, pa.schema([(name, pa.string()) for name in names or ["c1"]])
    with pq.ParquetWriter(table, form) as writer:
        while rows := cursor.fetchmany(BATCH_ROWS):
            workshop.check()
            columns = [text_array(cells) for cells in zip(*rows, strict=True)]
            writer.write_batch(pa.record_batch(columns, schema=form))
            count += len(rows)
    return count


def _archived(workshop: Workshop, archive: dict[str, Any], table: Path) -> Parsed:
    shutil.copyfile(workshop.folder / archive["file"], table)
    named = tuple(_named(column) for column in archive["columns"])
    return Parsed(named, int(archive["rows"]), 0)


def _named(column: dict[str, Any]) -> Named:
    return Named(column["field_name"], column["name"], cell_type(column["type"]) or TEXT)
