"""
High-water marks: how far a column that only grows had come when the last release was made.

A mark is JSON with its type, so that it is bound again as what it was. It is taken from the snapshot, the rows
that came, and not from a second question to the database, whose rows may have changed in between.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from ctnb.errors import ContractInvalid, RecordBroken, SourceInvalid
from ctnb.places.drivers.seam import Told
from ctnb.places.queries import Value
from ctnb.values import Kind, parse_sql, quote_name, quote_text

PARAMETER = "high_water"
LINE_LIMIT_BYTES = 64 << 20
KINDS = ("integer", "date", "timestamp")
WRITTEN = {"date": "YYYY-MM-DD", "timestamp": "YYYY-MM-DDThh:mm:ss"}


@dataclass(frozen=True)
class Mark:
    """How far the column had come."""

    type: str
    """integer, date or timestamp; or text, where a database keeps dates and times as text."""
    value: Value

    def to_json(self) -> dict[str, Any]:
        """It as JSON's types."""
        exact = isinstance(self.value, (date, datetime))
        return {"type": self.type, "value": self.value.isoformat() if exact else self.value}  # type: ignore[union-attr]


def from_json(said: Mapping[str, Any]) -> Mark:
    """What `Mark.to_json` made. Raises RecordBroken for anything else."""
    try:
        return Mark(str(said["type"]), _READ[said["type"]](said["value"]))
    except (KeyError, TypeError, ValueError):
        pass
    raise RecordBroken(
        "The high-water mark of the last release cannot be read.",
        hint="Restore its release.json from a copy.",
    )


def started(start: str | int, *, as_text: bool) -> Mark:
    """
    The mark before the first release: `start` of dataset.yml, a whole number, or a date or time in ISO 8601.

    `as_text` where a database keeps dates and times as text. Raises ContractInvalid.
    """
    if isinstance(start, int):
        return Mark("integer", start)
    for kind in ("date", "timestamp"):
        try:
            return Mark("text", start) if as_text and _READ[kind](start) else Mark(kind, _READ[kind](start))
        except ValueError:
            continue
    raise ContractInvalid(
        "The start: of source: database: is neither a whole number nor a date or time.",
        hint=f"Write a number, or text such as {WRITTEN['date']} or {WRITTEN['timestamp']}.",
    )


def found(path: Path, column: str, columns: tuple[Told, ...]) -> Mark | None:
    """
    The greatest value of `column` in the snapshot `path`, a CSV or Parquet file; None when there are no rows.

    Raises ContractInvalid when there is no such column, SourceInvalid when it is of another type or a row has
    none.
    """
    told = next((one for one in columns if one.name == column), None)
    if told is None:
        raise ContractInvalid(
            f"The query gives no column {column}, which is source: database: high_water: in dataset.yml.",
            hint="Add it to the query's columns, or correct high_water:.",
        )
    if told.type and told.type not in KINDS:
        raise _not_a_mark(column)
    kinds = [told.type] if told.type else list(KINDS)
    return _greatest(_seen(path, column, columns, kinds), column, kinds, as_text=not told.type)


def _seen(path: Path, column: str, columns: tuple[Told, ...], kinds: list[str]) -> tuple[Any, ...]:
    """Of `column` how many rows, how many filled, the last as text; then for each kind how many fit, the greatest."""
    import duckdb

    asked = ", ".join(f"count({sql}), max({sql})" for sql in (parse_sql(Kind(kind), "x") for kind in kinds))
    cells = f"SELECT CAST({quote_name(column)} AS VARCHAR) AS x FROM {_relation(path, columns)}"
    with closing(duckdb.connect(":memory:")) as connection:
        connection.execute("SET threads = 1; SET temp_directory = ''; SET enable_progress_bar = false")
        connection.execute("SET autoinstall_known_extensions = false; SET autoload_known_extensions = false")
        try:
            asking = f"SELECT count(*), count(x), max(x), {asked} FROM ({cells})"
            return tuple(connection.execute(asking).fetchall()[0])
        except duckdb.Error:
            pass  # its text quotes the line
    raise SourceInvalid("The rows of the query cannot be read.", hint="Leave out columns of very long text.")


def _relation(path: Path, columns: tuple[Told, ...]) -> str:
    if path.suffix == ".parquet":
        return f"read_parquet({quote_text(str(path))})"
    named = ", ".join(f"{quote_text(column.name)}: 'VARCHAR'" for column in columns)
    return (
        f"read_csv({quote_text(str(path))}, auto_detect=false, header=true, strict_mode=true, delim=',', quote='\"', "
        f"escape='\"', max_line_size={LINE_LIMIT_BYTES}, columns={{{named}}})"
    )


def _greatest(seen: tuple[Any, ...], column: str, kinds: list[str], *, as_text: bool) -> Mark | None:
    rows, filled, last, *each = seen
    if not rows:
        return None
    if filled < rows:
        raise SourceInvalid(
            f"The column {column} is empty in {rows - filled:,} of {rows:,} rows, and as the high-water mark it must "
            "say of each row whether it is new.",
            hint="Leave these rows out in the query, or choose another column as high_water: in dataset.yml.",
        )
    for kind, (fit, greatest) in zip(kinds, zip(each[::2], each[1::2], strict=True), strict=True):
        if fit == rows:
            return _mark(kind, greatest, last, column, as_text=as_text and kind != "integer")
    raise _not_a_mark(column)


def _mark(kind: str, greatest: Any, last: str, column: str, *, as_text: bool) -> Mark:
    """Texts are compared as texts by the database, so the last of them must be the latest."""
    if not as_text:
        return Mark(kind, greatest)
    if _READ[kind](last) != greatest:
        raise SourceInvalid(
            f"The column {column} holds dates or times written in different ways, which do not sort by time.",
            hint="Write them alike in the query, e.g. strftime('%Y-%m-%d %H:%M:%S', ...), or choose another column.",
        )
    return Mark("text", last)


def _not_a_mark(column: str) -> SourceInvalid:
    return SourceInvalid(
        f"The column {column} is not of whole numbers, dates or times, and cannot be the high-water mark.",
        hint="Choose another column as high_water: in dataset.yml, or cast it in the query.",
    )


def _timestamp(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at.astimezone(UTC).replace(tzinfo=None) if at.tzinfo else at


_READ: dict[str, Callable[[Any], Any]] = {
    "integer": int,
    "date": date.fromisoformat,
    "timestamp": _timestamp,
    "text": str,
}
