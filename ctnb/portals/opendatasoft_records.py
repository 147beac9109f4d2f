"""
Between our tables and Opendatasoft's records: one serialiser for pushing and deleting, and the way back.

A record's identity is worked out of its values, so what deletes it must be written exactly as what pushed it was.
Dates go as YYYY-MM-DD and times as UTC with +00:00, because the portal guesses any other form; a geo point is
"latitude,longitude" on the way in and an object on the way out.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctnb import tables
from ctnb.clients.answers import understood
from ctnb.contracts.columns import Column
from ctnb.errors import PublishRefused
from ctnb.portals import soda
from ctnb.portals.interface import Change
from ctnb.values import quote_name, quote_text

if TYPE_CHECKING:
    import duckdb

BODY_BYTES = 4_500_000
"""Bytes of the largest push: the portal takes 5 MB, and does not say of which size a megabyte is."""
BATCH_ROWS = 2_000
DECIMALS = ("number", "money", "percent")
WIDE = ("text", "code", "url", "file")

ReadFile = Callable[[str], tuple[str, bytes]]
"""The MIME type and the bytes of a file, by the portal's id of it."""


def bodies(
    connection: duckdb.DuckDBPyConnection, relation: str, columns: Sequence[Column], limit: int = BODY_BYTES
) -> Iterator[tuple[int, bytes]]:
    """
    The rows of `relation` as JSON arrays of at most `limit` bytes, each with its number of rows.

    An empty cell is an explicit null. Check with `misfits` first: a record beyond the limit is a body by itself.
    """
    parts: list[bytes] = []
    size = 2
    for record in _encoded(connection, relation, columns):
        if parts and size + len(record) + 1 > limit:
            yield len(parts), b"[" + b",".join(parts) + b"]"
            parts, size = [], 2
        parts.append(record)
        size += len(record) + 1
    if parts:
        yield len(parts), b"[" + b",".join(parts) + b"]"


def misfits(
    connection: duckdb.DuckDBPyConnection, relation: str, columns: Sequence[Column], limit: int = BODY_BYTES
) -> list[str]:
    """
    Why rows of `relation` cannot be records of the portal, in words with counts and columns; none when they can.

    A decimal must survive as a double, a time is kept to the millisecond, a record fits one push.
    """
    found = []
    for column in columns:
        name = quote_name(column.name)
        if column.type in DECIMALS:
            test = (
                f"CAST(CAST(CAST({name} AS DOUBLE) AS VARCHAR) AS DECIMAL(38,{column.kind.scale})) <> {name}"
            )
            text = "numbers have more digits than the portal's doubles keep"
        elif column.type == "timestamp":
            test, text = f"microsecond({name}) % 1000 <> 0", "times are finer than milliseconds"
        else:
            continue
        if number := _count(connection, f"{relation} WHERE {test}"):
            found.append(f"{column.name}: {number:,} {text}")
    return [*found, *_too_large(connection, relation, columns, limit)]


def expect(connection: duckdb.DuckDBPyConnection, change: Change, *, again: bool = False) -> None:
    """
    Make the table `expected`: the rows that must be there afterwards.

    `again` says that the change was seen to be complete once: rows to append that are there are not added twice.
    """
    key = ", ".join(map(quote_name, change.key))
    stays = f"SELECT * FROM there ANTI JOIN data USING ({key})"
    if change.gone:
        tables.load(connection, change.gone, "leaving")
        stays += f" ANTI JOIN leaving USING ({key})"
    queries = {
        "replace": "SELECT * FROM data",
        "append": f"SELECT * FROM there UNION {'' if again else 'ALL '}SELECT * FROM data",
        "upsert": f"{stays} UNION ALL SELECT * FROM data",
        "delete": stays,
    }
    connection.execute(f"CREATE TABLE expected AS {queries[change.kind]}")


def doubles(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Without unique-id fields all cells make a record's identity: rows that repeat would become one."""
    query = "SELECT (SELECT count(*) FROM expected), count(*) FROM (SELECT DISTINCT * FROM expected)"
    rows, distinct = connection.execute(query).fetchall()[0]
    return (
        [f"{rows - distinct:,} rows repeat others, of which the portal keeps one"] if rows > distinct else []
    )


@understood
def by_field(errors: Sequence[Any], columns: Sequence[Column]) -> str:
    """Errors counted by the contract's columns; other words of the portal may quote data."""
    names = {column.name for column in columns}
    tally: dict[str, int] = {}
    for one in errors:
        field = str(one.get("field_uid") or "")
        name = field if field in names else "no column named"
        tally[name] = tally.get(name, 0) + 1
    return ", ".join(f"{name} {number:,}" for name, number in tally.items())


def _too_large(
    connection: duckdb.DuckDBPyConnection, relation: str, columns: Sequence[Column], limit: int
) -> list[str]:
    """Rows that are too large as one record, by the column that takes most of it."""
    wide = [column for column in columns if column.type in WIDE]
    if not wide:
        return []
    sizes = [f"coalesce(strlen({quote_name(column.name)}), 0)" for column in wide]
    # JSON writes a control character as six bytes: only rows that could be too large are written to be measured
    suspects = f"(SELECT * FROM {relation} WHERE {' + '.join(sizes)} > {limit // 7})"
    tally: dict[str, int] = {}
    for row, record in _records(connection, suspects, columns):
        if len(record) + 2 > limit:
            widest = max(wide, key=lambda column: len(str(row[column.name] or "")))
            tally[widest.name] = tally.get(widest.name, 0) + 1
    return [
        f"{name}: {rows:,} rows are larger than {limit / 1e6:g} MB as one record, most of it in this column"
        for name, rows in tally.items()
    ]


def write_csv(
    connection: duckdb.DuckDBPyConnection, relation: str, columns: Sequence[Column], path: Path
) -> None:
    """
    Write the rows of `relation` as a CSV file for a file resource: comma, double quotes, UTF-8, a header.

    An empty cell is nothing between commas. Raises PublishRefused for texts that a CSV file cannot tell from it.
    """
    if files := [column.name for column in columns if column.type == "file"]:
        raise PublishRefused(
            f"{', '.join(files)}: a file source has no cells of type file.",
            hint="They can only be pushed: make a realtime source, and write push_url: into portal.yml.",
        )
    for column in (one for one in columns if one.type in WIDE):
        if number := _count(connection, f"{relation} WHERE {quote_name(column.name)} = ''"):
            raise PublishRefused(
                f"{column.name}: {number:,} texts have no character; a file cannot tell them from empty cells.",
                hint="Make them empty (null) in the transform, or push to a realtime source.",
            )
    listed = ", ".join(f"{_csv_cell(column)} AS {quote_name(column.name)}" for column in columns)
    connection.execute(
        f"COPY (SELECT {listed} FROM {relation}) TO {quote_text(str(path))} "
        "(FORMAT csv, HEADER, DELIMITER ',', NULL '')"
    )


def load(
    connection: duckdb.DuckDBPyConnection, name: str, columns: Sequence[Column],
    pages: Iterable[list[dict[str, Any]]], read_file: ReadFile,
) -> int:  # fmt: skip
    """
    Bring exported records into `connection` as the table `name`, typed by `columns`.

    Returns how many cells could not be typed; they are null.
    """
    told = ([_told(record, columns, read_file) for record in page] for page in pages)
    return soda.load(connection, name, columns, told)


def texts(record: Mapping[str, Any], columns: Sequence[Column], read_file: ReadFile) -> dict[str, str | None]:
    """The cells of one exported record, as a contract's types are read from them."""
    return _told(record, columns, read_file)


@understood
def _told(record: Mapping[str, Any], columns: Sequence[Column], read_file: ReadFile) -> dict[str, str | None]:
    return {column.name: _text(column, record.get(column.name), read_file) for column in columns}


def _text(column: Column, value: Any, read_file: ReadFile) -> str | None:
    """The text of an exported cell, as a contract's types are read from it."""
    if value is None:
        return None
    if column.type == "timestamp":
        return str(value).removesuffix("+00:00").removesuffix("Z")
    if column.type == "file" and isinstance(value, dict):
        return _file_text(value, read_file)
    if isinstance(value, dict) and {"lon", "lat"} <= value.keys():
        return f"POINT ({value['lon']:.6f} {value['lat']:.6f})"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _file_text(value: Mapping[str, Any], read_file: ReadFile) -> str:
    """A file as its contract type has it: a data address (RFC 2397) in base64."""
    kind, content = read_file(str(value.get("id", "")))
    kind = str(value.get("mimetype") or kind)
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _encoded(
    connection: duckdb.DuckDBPyConnection, relation: str, columns: Sequence[Column]
) -> Iterator[bytes]:
    return (record for _, record in _records(connection, relation, columns))


def _records(
    connection: duckdb.DuckDBPyConnection, relation: str, columns: Sequence[Column]
) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Each row of `relation`, and the same as the JSON of a record."""
    names = [column.name for column in columns]
    writers: list[Callable[[Any], Any]] = [_WRITERS.get(column.type, _same) for column in columns]
    cursor = connection.cursor()
    cursor.execute(f"SELECT {', '.join(map(quote_name, names))} FROM {relation}")
    while rows := cursor.fetchmany(BATCH_ROWS):
        for row in rows:
            cells = [
                None if value is None else write(value) for value, write in zip(row, writers, strict=True)
            ]
            record = dict(zip(names, cells, strict=True))
            text = json.dumps(record, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
            yield dict(zip(names, row, strict=True)), text.encode("utf-8")


def _same(value: Any) -> Any:
    return value


def _double(value: Decimal) -> float:
    return float(value)


def _date(value: dt.date) -> str:
    return value.isoformat()


def _timestamp(value: dt.datetime) -> str:
    return value.isoformat(timespec="milliseconds" if value.microsecond else "seconds") + "+00:00"


def _boolean(value: bool) -> str:
    return "true" if value else "false"


def _point(value: str) -> str:
    found = soda.POINT.fullmatch(value)
    if not found:
        raise PublishRefused(
            "A point cannot be written.", hint="Declare its column as type point in the contract."
        )
    return f"{found[2]},{found[1]}"


def _file(value: str) -> dict[str, str]:
    head, _, content = value.partition(";base64,")
    return {"content": content, "content-type": head.removeprefix("data:")}


_WRITERS: dict[str, Callable[[Any], Any]] = {
    "number": _double, "money": _double, "percent": _double, "date": _date, "timestamp": _timestamp,
    "boolean": _boolean, "point": _point, "file": _file,
}  # fmt: skip


def _csv_cell(column: Column) -> str:
    """SQL for the text of a cell in a CSV file: the same words that a push would send."""
    name = quote_name(column.name)
    if column.type == "timestamp":
        whole, fine = "%Y-%m-%dT%H:%M:%S+00:00", "%Y-%m-%dT%H:%M:%S.%g+00:00"
        return (
            f"CASE WHEN microsecond({name}) % 1000000 = 0 THEN strftime({name}, {quote_text(whole)}) "
            f"ELSE strftime({name}, {quote_text(fine)}) END"
        )
    if column.type == "date":
        return f"strftime({name}, '%Y-%m-%d')"
    if column.type == "point":
        return f"regexp_replace({name}, '{soda.POINT.pattern}', '\\2,\\1')"
    return f"CAST({name} AS VARCHAR)"


def _count(connection: duckdb.DuckDBPyConnection, relation: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {relation}").fetchall()[0][0])
