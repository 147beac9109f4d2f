"""
transform.sql: one SELECT over the table called `data`, in a DuckDB with every door closed.

DuckDB's own messages quote cells ("Could not convert string ..."); they go to `transform.sql.log` in the work
folder, readable by its owner only, and the error says the kind of failure and the line.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ctnb.documents import write_text
from ctnb.errors import StepFailed, TransformInvalid
from ctnb.tables import Table, connect, load, lock

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

LOG = "transform.sql.log"


def select(script: Path, table: Table, folder: Path, *, deterministic: bool = True) -> pa.Table:
    """
    The rows of the SELECT in the file `script` over `table`.

    One thread and a fixed seed unless `deterministic` is false. Raises TransformInvalid when the file is not
    one SELECT, StepFailed when DuckDB refuses or fails; `folder` gets the whole message, mode 0600.
    """
    import duckdb

    text = script.read_text(encoding="utf-8-sig")
    failure: tuple[str, str] | None = None
    with connect(folder, threads=1 if deterministic else os.cpu_count() or 1) as connection:
        try:
            load(connection, table)
            return _answered(connection, text, deterministic)
        except duckdb.Error as error:  # its text may quote a cell: leave the block before raising
            failure = (type(error).__name__, str(error))
    raise _failed(*failure, folder)


def _answered(connection: duckdb.DuckDBPyConnection, text: str, deterministic: bool) -> pa.Table:
    import duckdb

    # A name that is no table must not be looked up among the variables of this program.
    connection.execute("SET python_enable_replacements=false")
    lock(connection)
    statements = connection.extract_statements(text)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise TransformInvalid(
            f"transform.sql holds {len(statements)} statements; it must be one SELECT over the table data.",
            hint="Write it as one SELECT; WITH ... AS (...) names the parts.",
        )
    if deterministic:
        connection.execute("SELECT setseed(0)").fetchall()
    return connection.sql(statements[0].query).to_arrow_table()


def _failed(kind: str, message: str, folder: Path) -> StepFailed:
    write_text(folder / LOG, message + "\n", mode=0o600)
    found = re.search(r"^LINE (\d+):", message, re.MULTILINE)
    line = f", line {found[1]}" if found else ""
    return StepFailed(
        f"transform.sql{line}: DuckDB stopped with {kind}.",
        hint=f"The whole message is in {LOG} in the work folder {folder.name}.",
    )
