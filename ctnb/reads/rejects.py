"""The private file of the rows that were set aside."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ctnb.contracts.columns import Column
from ctnb.sources.opened import Misfit
from ctnb.values import quote_text

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

REJECTS = "rejects.parquet"

Check = tuple[Column, str, str]
"""A column, the rule that is asked of it, and SQL for whether a row breaks it."""


def write_rejects(
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
