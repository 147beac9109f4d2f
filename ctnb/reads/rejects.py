"""Writing the private file of what did not fit; its lines are described in `ctnb.reads.lines`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctnb.reads.checks import Check
from ctnb.reads.inputs import Input
from ctnb.reads.lines import EMPTIED, FORMAT, REJECTS, SET_ASIDE, RejectedFile
from ctnb.sources.opened import Misfit
from ctnb.values import quote_text

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


def write_rejects(
    connection: duckdb.DuckDBPyConnection,
    checks: Sequence[Check],
    inputs: Sequence[Input],
    misfits: Mapping[int, Sequence[Misfit]],
    files: Sequence[RejectedFile],
    target: tuple[Path, str],
) -> Path:
    """
    Write what the table `failing` says of the rows of each file's `numbered`, and `misfits` by file.

    `target` is the folder and the run's id. Readable by its owner only.
    """
    folder, run = target
    connection.execute("CREATE TABLE originals (_file INTEGER, _row BIGINT, original VARCHAR)")
    connection.execute("CREATE TABLE rejects (_file INTEGER, row BIGINT, place INTEGER)")
    for one in inputs:
        connection.execute(
            f"INSERT INTO originals SELECT {one.number}, _row, to_json(n)::VARCHAR FROM {one.schema}.numbered n "
            f"WHERE _row IN (SELECT _row FROM failing WHERE _file = {one.number})"
        )
    for place, check in enumerate(checks):
        bad = "NOT _bad" if check.nulls else "_bad"
        connection.execute(
            f"INSERT INTO rejects SELECT _file, _row, {place} FROM failing WHERE f{place} AND {bad}"
        )
    connection.register("check_words", _check_table(checks))
    connection.register("file_words", _file_table(inputs))
    connection.register("misfits", _misfit_table(misfits))
    whole = (
        'SELECT row, f.file, c."column", c.rule, c.message, c.done, o.original, r._file FROM rejects r '
        "JOIN check_words c USING (place) JOIN file_words f USING (_file) "
        "JOIN originals o ON o._file = r._file AND o._row = r.row UNION ALL "
        f"SELECT row, f.file, '', rule, 'The record: ' || rule || '.', {quote_text(SET_ASIDE)}, original, m._file "
        "FROM misfits m JOIN file_words f USING (_file)"
    )
    listed = f'row, file, "column", rule, message, {quote_text(run)} AS run, done, original'
    path = folder / REJECTS
    temporary = path.with_name(f".{REJECTS}.part")
    described = quote_text(json.dumps([vars(file) for file in files], ensure_ascii=False))
    connection.execute(
        f"COPY (SELECT {listed} FROM ({whole}) ORDER BY _file, row) TO {quote_text(str(temporary))} "
        f"(FORMAT parquet, COMPRESSION zstd, KV_METADATA {{format: '{FORMAT}', files: {described}}})"
    )
    temporary.chmod(0o600)
    temporary.replace(path)
    return path


def _check_table(checks: Sequence[Check]) -> pa.Table:
    done = [EMPTIED if check.nulls else SET_ASIDE for check in checks]
    return _table(
        place=list(range(len(checks))), column=[check.column for check in checks],
        rule=[check.rule for check in checks], message=[check.message for check in checks], done=done,
    )  # fmt: skip


def _file_table(inputs: Sequence[Input]) -> pa.Table:
    return _table(_file=[one.number for one in inputs], file=[one.name for one in inputs])


def _misfit_table(misfits: Mapping[int, Sequence[Misfit]]) -> pa.Table:
    """All at once: one by one, 20,000 of them take half a minute."""
    listed = [(number, misfit) for number, found in misfits.items() for misfit in found]
    return _table(
        _file=[number for number, _ in listed], row=[misfit.row for _, misfit in listed],
        rule=[misfit.rule for _, misfit in listed],
        original=[json.dumps(misfit.cells, ensure_ascii=False) for _, misfit in listed],
    )  # fmt: skip


def _table(**columns: Iterable[Any]) -> pa.Table:
    import pyarrow as pa

    whole = {"place", "_file", "row"}
    arrays = [
        pa.array(cells, pa.int64() if name in whole else pa.string()) for name, cells in columns.items()
    ]
    return pa.table(arrays, list(columns))
