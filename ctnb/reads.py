"""
Reading: a source under its contract becomes a table and rejects, and every row is accounted for.

Rows are text first; types come from the contract alone. A cell that cannot be typed, or breaks a constraint,
sets its whole row aside. Originals of rejected rows stay in the private work folder.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ctnb import tables
from ctnb.constraints import broken_sql
from ctnb.contracts.columns import Column
from ctnb.datasets import Dataset
from ctnb.errors import AccountOpen, SourceInvalid, TooManyRejects
from ctnb.places.fetching import Gathered
from ctnb.sources.formats import open_source
from ctnb.sources.opened import Loaded, Misfit, Streamed
from ctnb.tables import Table
from ctnb.values import BLANKS, Kind, parse_sql, quote_name, quote_text, shape, trimmed

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

REJECTS = "rejects.parquet"
STRAIGHT_MB = 700
"""Memory that DuckDB may take for reading in one pass, in MB; sorting for the digest spills beyond it."""


@dataclass(frozen=True)
class RejectCount:
    """How many rows one rule set aside because of one column."""

    column: str
    """The contract's name of the column; empty where the whole record does not fit."""
    rule: str
    """The rule, e.g. type date, required."""
    rows: int
    """How many rows."""


@dataclass(frozen=True)
class ColumnCount:
    """What became of the cells of one column, over all rows whose width fits."""

    name: str
    type: str
    converted: int
    """Cells with a value of the contract's type."""
    empty: int
    """Empty cells."""
    failed: int
    """Cells that could not be typed or break a constraint."""


@dataclass(frozen=True)
class Reading:
    """What reading a source gave."""

    table: Table
    gathered: Gathered
    """The files it was read from."""
    encoding: str
    """How the source's text was encoded."""
    rows_read: int
    """Records in the source, the header not counted."""
    rows_rejected: int
    """Records set aside; each counts once however many rules it breaks."""
    rejects: tuple[RejectCount, ...]
    """Why, by column and rule; a row may stand in several."""
    left_out: Mapping[str, int]
    """Records left out by a named rule of the kind of source, by rule."""
    columns: tuple[ColumnCount, ...]
    """What became of each column's cells."""
    rejects_path: Path | None
    """The private file with the originals; None when there are none."""


def read(dataset: Dataset, gathered: Gathered, folder: Path) -> Reading:
    """
    Read what was `gathered` for `dataset` into a table in the private `folder`.

    Writes read.parquet and rejects.parquet there. Raises SourceInvalid, TooManyRejects (the rejects file is
    kept).
    """
    contract = dataset.contract
    fetched = gathered.parts[0]
    snapshot = fetched.snapshots[0]
    opened = open_source(
        snapshot.path, snapshot.name, contract.source.asked, format=fetched.format or contract.source.format
    )
    places = match(opened.header, contract.read_columns, contract.source.ignore)
    if isinstance(opened, Streamed) and (reading := _straight(opened, dataset, folder, gathered, places)):
        return reading
    with tables.connect(folder, threads=2) as connection:
        loaded = opened.load(connection, folder)
        return _typed(connection, dataset, folder, gathered, opened.encoding, places, loaded)


def account_sentence(kept: int, rejected: int, left_out: Mapping[str, int]) -> str:
    """Where every row that was read went, as one line."""
    parts = [
        f"{kept:,} kept",
        f"{rejected:,} rejected",
        *(f"{rows:,} {rule}" for rule, rows in left_out.items()),
    ]
    return f"{kept + rejected + sum(left_out.values()):,} rows read = {' + '.join(parts)}"


def match(header: Sequence[str], columns: Sequence[Column], ignore: Sequence[str]) -> dict[str, int]:
    """
    Where each of `columns` stands in `header`: its name to its 0-based place.

    Blanks around headers do not count. Raises SourceInvalid for a column that is missing, a header that
    stands twice and is not told apart by position, and a header that neither contract nor `ignore` names;
    that one may be a cell, so it is told by place and shape.
    """
    seen = [cell.strip() for cell in header]
    places, problems = {}, []
    for column in columns:
        wanted = (column.header if column.header is not None else column.name).strip()
        at = [place for place, cell in enumerate(seen) if cell == wanted]
        if column.position is not None:
            at = [column.position - 1] if column.position <= len(seen) else []
        if len(at) == 1:
            places[column.name] = at[0]
        elif at:
            problems.append(f"the header of {column.name} stands {len(at)} times (give its position:)")
        else:
            problems.append(f"{column.name} is missing")
    left = set(range(len(seen))) - set(places.values())
    ignored = {name.strip() for name in ignore}
    unknown = sorted(place for place in left if seen[place] not in ignored)
    problems += [
        f"column {place + 1} is not in the contract (shape {shape(seen[place])!r})" for place in unknown
    ]
    if problems:
        raise SourceInvalid(
            f"The source's header does not fit the contract: {'; '.join(problems[:8])}"
            f"{f'; and {len(problems) - 8} more' if len(problems) > 8 else ''}.",
            hint="Correct columns: in dataset.yml, or list headers to leave out under source: ignore:.",
        )
    return places


def _straight(
    opened: Streamed, dataset: Dataset, folder: Path, gathered: Gathered, places: dict[str, int]
) -> Reading | None:
    """
    The reading of a source whose every row fits, in one pass that holds nothing in memory.

    None as soon as one row does not fit: then every row is looked at closely, numbered and accounted for.
    """
    import duckdb

    columns = dataset.contract.read_columns
    with tables.connect(folder, threads=2, memory_mb=STRAIGHT_MB) as connection:
        connection.execute(f"CREATE VIEW numbered AS SELECT 0 AS _row, * FROM {opened.streamed()}")
        _make_cells(connection, columns, places, dataset.contract.source.nulls)
        try:
            table = tables.write(connection, _all_or_none(columns), columns, folder / "read.parquet")
        except duckdb.Error:  # its text may quote the row
            return None
        if any(_repeats(connection, table, column) for column in columns if column.constraints.unique):
            return None
    counts = tuple(
        ColumnCount(column.name, column.type, table.rows - empty, empty, 0)
        for column, empty in zip(columns, tables.empty_cells(table), strict=True)
    )
    return Reading(table, gathered, opened.encoding, table.rows, 0, (), {}, counts, None)


def _all_or_none(columns: Sequence[Column]) -> str:
    """The typed cells of `cells`; reading it fails at the first row that breaks a rule."""
    tests = [test for column in columns for rule, test in _tests(column) if rule != "unique"]
    bad = " OR ".join(f"coalesce({test}, false)" for test in tests) or "false"
    first, *others = (quote_name("t_" + column.name) for column in columns)
    named = [f"CASE WHEN {bad} THEN error('a row does not fit') ELSE {first} END", *others]
    listed = ", ".join(f"{cell} AS {quote_name(c.name)}" for cell, c in zip(named, columns, strict=True))
    return f"SELECT {listed} FROM cells"


def _repeats(connection: duckdb.DuckDBPyConnection, table: Table, column: Column) -> bool:
    name, source = quote_name(column.name), f"read_parquet({quote_text(str(table.path))})"
    row = connection.execute(f"SELECT count({name}), count(DISTINCT {name}) FROM {source}").fetchall()[0]
    return bool(row[0] != row[1])


def _typed(
    connection: duckdb.DuckDBPyConnection, dataset: Dataset, folder: Path, gathered: Gathered, encoding: str,
    places: dict[str, int], loaded: Loaded,
) -> Reading:  # fmt: skip
    columns, misfits = dataset.contract.read_columns, loaded.misfits
    _make_cells(connection, columns, places, dataset.contract.source.nulls, typed_dates=loaded.typed_dates)
    checks = [(column, rule, test) for column in columns for rule, test in _tests(column)]
    bad = " OR ".join(f"coalesce({test}, false)" for _, _, test in checks) or "false"
    connection.execute(f"CREATE TABLE typed AS SELECT *, {bad} AS _bad FROM cells")
    counts = _reject_counts(connection, checks, misfits)
    rejected = _count(connection, "typed WHERE _bad") + len(misfits)
    path = _write_rejects(connection, checks, misfits, folder) if rejected else None
    left_out = sum(loaded.left_out.values())
    total = _count(connection, "typed") + len(misfits) + left_out
    profile = _profile(connection, columns, checks)
    _check_share(rejected, total, counts, dataset)
    kept = "SELECT * FROM typed WHERE NOT _bad ORDER BY _row"
    table = tables.write(connection, _renamed(kept, columns), columns, folder / "read.parquet")
    if table.rows + rejected + left_out != total:
        raise AccountOpen(f"Rows do not add up: {total} read, {table.rows} kept, {rejected} rejected.")
    return Reading(table, gathered, encoding, total, rejected, counts, dict(loaded.left_out), profile, path)


def _make_cells(
    connection: duckdb.DuckDBPyConnection,
    columns: Sequence[Column],
    places: dict[str, int],
    nulls: Sequence[str],
    *,
    typed_dates: bool = False,
) -> None:
    """The view `cells`: for each column the text `r_<name>` (null when empty) and the value `t_<name>`."""
    empty = sorted({"", *(word.strip(BLANKS) for word in nulls)})
    raw = {column.name: f"c{places[column.name] + 1}" for column in columns}
    texts = ", ".join(f"{_text_or_null(raw[c.name], empty)} AS {quote_name('r_' + c.name)}" for c in columns)
    values = ", ".join(
        f"{_value(c.kind, quote_name('r_' + c.name), typed_dates)} AS {quote_name('t_' + c.name)}"
        for c in columns
    )
    connection.execute(f"CREATE VIEW texts AS SELECT _row, {texts} FROM numbered")
    connection.execute(f"CREATE VIEW cells AS SELECT *, {values} FROM texts")


def _text_or_null(cell: str, empty: Sequence[str]) -> str:
    """SQL for the text of `cell`, or NULL when it is one of the texts that mean an empty cell."""
    listed = ", ".join(map(quote_text, empty))
    closely = f"CASE WHEN {trimmed(cell)} NOT IN ({listed}) THEN {cell} END"
    if len(empty) > 1:
        return closely
    # where only blanks mean empty, a cell that begins with none needs no trimming, which is slow
    return f"CASE WHEN ascii({cell}) > {max(map(ord, BLANKS))} THEN {cell} ELSE {closely} END"


def _value(kind: Kind, text: str, typed_dates: bool) -> str:
    """SQL for the value of a cell: a cell that is a date itself is one whatever format the contract gives."""
    if not typed_dates or kind.type not in ("date", "timestamp"):
        return parse_sql(kind, text)
    iso, at = Kind("date"), parse_sql(Kind("timestamp"), text)
    midnight = f"CASE WHEN {at} = date_trunc('day', {at}) THEN CAST({at} AS DATE) END"
    typed = [midnight if kind.type == "date" else at, parse_sql(iso, text)]
    return f"coalesce({', '.join(dict.fromkeys([parse_sql(kind, text), *typed]))})"


def _tests(column: Column) -> list[tuple[str, str]]:
    """Rule and SQL condition under which a cell of `column` is rejected."""
    text, value = quote_name("r_" + column.name), quote_name("t_" + column.name)
    typed = [(f"type {column.type}", f"{text} IS NOT NULL AND {value} IS NULL")]
    broken = broken_sql(column, value, "cells", empty=f"{text} IS NULL")
    return broken if column.type in ("text", "code") else typed + broken


Check = tuple[Column, str, str]


def _reject_counts(
    connection: duckdb.DuckDBPyConnection, checks: Sequence[Check], misfits: Sequence[Misfit]
) -> tuple[RejectCount, ...]:
    counts = [RejectCount("", rule, rows) for rule, rows in sorted(Counter(m.rule for m in misfits).items())]
    if checks:
        sums = ", ".join(f"count(*) FILTER (WHERE {test})" for _, _, test in checks)
        row = connection.execute(f"SELECT {sums} FROM typed WHERE _bad").fetchall()[0]
        counts += [RejectCount(c.name, rule, n) for (c, rule, _), n in zip(checks, row, strict=True) if n]
    return tuple(counts)


def _profile(
    connection: duckdb.DuckDBPyConnection, columns: Sequence[Column], checks: Sequence[Check]
) -> tuple[ColumnCount, ...]:
    parts = []
    for column in columns:
        failing = " OR ".join(f"coalesce({test}, false)" for c, _, test in checks if c is column) or "false"
        parts += [f"count({quote_name('r_' + column.name)})", f"count(*) FILTER (WHERE {failing})"]
        parts += [f"count(*) FILTER (WHERE ({failing}) AND {quote_name('r_' + column.name)} IS NOT NULL)"]
    row = connection.execute(f"SELECT count(*), {', '.join(parts)} FROM typed").fetchall()[0]
    total, made = row[0], []
    for place, column in enumerate(columns):
        filled, failed, filled_failed = row[1 + 3 * place : 4 + 3 * place]
        made.append(ColumnCount(column.name, column.type, filled - filled_failed, total - filled, failed))
    return tuple(made)


def _write_rejects(
    connection: duckdb.DuckDBPyConnection,
    checks: Sequence[Check],
    misfits: Sequence[Misfit],
    folder: Path,
) -> Path:
    """One line per row, column and rule, with the row's original cells as JSON. Private."""
    connection.execute('CREATE TABLE rejects (row BIGINT, "column" VARCHAR, rule VARCHAR, original VARCHAR)')
    for column, rule, test in checks:
        connection.execute(
            "INSERT INTO rejects SELECT t._row, ?, ?, to_json(n)::VARCHAR "
            f"FROM (SELECT _row FROM typed WHERE _bad AND ({test})) t JOIN numbered n USING (_row)",
            [column.name, rule],
        )
    if misfits:
        connection.register("misfits", _misfit_table(misfits))
        connection.execute("INSERT INTO rejects SELECT * FROM misfits")
    path = folder / REJECTS
    temporary = path.with_name(f".{REJECTS}.part")
    connection.execute(
        f"COPY (SELECT * FROM rejects ORDER BY row) TO {quote_text(str(temporary))} "
        "(FORMAT parquet, COMPRESSION zstd, KV_METADATA {format: '1'})"
    )
    temporary.chmod(0o600)
    temporary.replace(path)
    return path


def _misfit_table(misfits: Sequence[Misfit]) -> pa.Table:
    """All at once: one by one, 20,000 of them take half a minute."""
    import pyarrow as pa

    originals = [json.dumps(misfit.cells, ensure_ascii=False) for misfit in misfits]
    arrays = [
        pa.array([misfit.row for misfit in misfits], pa.int64()),
        pa.array([""] * len(misfits), pa.string()),
        pa.array([misfit.rule for misfit in misfits], pa.string()),
        pa.array(originals, pa.string()),
    ]
    return pa.table(arrays, ["row", "column", "rule", "original"])


def _check_share(rejected: int, total: int, counts: Sequence[RejectCount], dataset: Dataset) -> None:
    allowed = dataset.contract.rejects.at_most_share
    if rejected <= allowed * total:
        return
    worst = sorted(counts, key=lambda count: -count.rows)[:5]
    listed = ", ".join(f"{count.column or 'record'}: {count.rule} {count.rows}" for count in worst)
    raise TooManyRejects(
        f"{rejected:,} of {total:,} rows do not fit the contract (allowed: {_share(allowed)}): {listed}.",
        hint="Correct the source or the contract; the rows are in the run's private rejects.parquet.",
        rejected=rejected, total=total, counts=tuple(counts),
    )  # fmt: skip


def _share(share: float) -> str:
    return f"{share:.2%}" if share else "none"


def _renamed(query: str, columns: Sequence[Column]) -> str:
    listed = ", ".join(f"{quote_name('t_' + c.name)} AS {quote_name(c.name)}" for c in columns)
    return f"SELECT {listed} FROM ({query})"


def _count(connection: duckdb.DuckDBPyConnection, relation: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {relation}").fetchall()[0][0])
