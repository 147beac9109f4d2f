"""Reference tables of one reading: the values that a column may have, typed as the column is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ctnb.contracts.columns import Column
from ctnb.errors import SourceInvalid
from ctnb.reads.inputs import Job
from ctnb.reads.matching import naming, place_of
from ctnb.sources.formats import open_source
from ctnb.values import parse_sql, trimmed

if TYPE_CHECKING:
    import duckdb


def load_references(connection: duckdb.DuckDBPyConnection, job: Job, folder: Path) -> Mapping[str, str]:
    """
    For each column with a reference table a query for the values it may have.

    Raises SourceInvalid when a table is not there as the contract says, or holds what the column cannot.
    """
    contract = job.dataset.contract
    tables = contract.reference_tables
    for number, (said, fetched) in enumerate(zip(tables, job.gathered.references, strict=True), 1):
        snapshot = fetched.snapshots[0]
        with naming(f"The reference table {snapshot.name}"):
            opened = open_source(snapshot.path, snapshot.name, said.source.asked, format=said.format)
            place = place_of(opened.header, said.column)
            connection.execute(f"CREATE SCHEMA reference_{number}; USE reference_{number}")
            loaded = opened.load(connection, folder)
            if loaded.misfits:
                raise SourceInvalid(
                    f"{len(loaded.misfits):,} of its records do not fit its header.", hint="Correct it."
                )
        word = trimmed(f"c{place + 1}")
        connection.execute(f"CREATE VIEW words AS SELECT nullif({word}, '') AS word FROM numbered; USE main")
    used = [(column, contract.reference_of(column)) for column in contract.read_columns]
    return {
        column.name: _allowed(connection, column, tables.index(said) + 1) for column, said in used if said
    }


def _allowed(connection: duckdb.DuckDBPyConnection, column: Column, number: int) -> str:
    name = f'"allowed of {column.name}"'
    value = parse_sql(column.kind, "word")
    words = f"SELECT word FROM reference_{number}.words WHERE word IS NOT NULL"
    connection.execute(f"CREATE TABLE {name} AS SELECT DISTINCT {value} AS value FROM ({words})")
    lost = connection.execute(f"SELECT count(*) FROM ({words}) WHERE ({value}) IS NULL").fetchall()[0][0]
    if lost:
        raise SourceInvalid(
            f"The reference table of {column.name} holds {lost:,} cells that are no {column.type}.",
            hint="Correct the table, or the type of the column.",
        )
    return f"SELECT value FROM {name}"
