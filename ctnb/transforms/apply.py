"""The transform step: the dataset's script, then its rules, then the account of the rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ctnb import digests
from ctnb.contracts.columns import Column
from ctnb.contracts.transforms import Transform
from ctnb.datasets import Contract, Dataset
from ctnb.errors import AccountOpen, TransformInvalid
from ctnb.tables import Table, connect, load, lock, write
from ctnb.transforms.conform import check_constraints, check_names, conformed_sql
from ctnb.transforms.rules import STANDS_FOR, Ruled, ruled
from ctnb.values import quote_name

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import pyarrow as pa

RESULT = "transform.parquet"


@dataclass(frozen=True)
class Transformed:
    """A table after the transform, and the account of what happened to its rows."""

    table: Table
    """The table that is reviewed and published."""
    added: Mapping[str, int]
    """Rows that a pivot made of cells beyond one for each row, by rule."""
    removed: Mapping[str, int]
    """Rows removed, by rule; for an aggregate, the rows of the input that removed groups stand for."""
    repaired: Mapping[str, Mapping[str, int]]
    """Cells repaired, by column and kind of damage."""
    suppressed: Mapping[str, int]
    """Cells suppressed, by column."""
    rows_in: int
    """Rows of the input."""
    rows_out: int
    """Rows of `table`."""
    counted: int | None
    """For an aggregate: the sum of the count column over the rows that are left, before suppression."""
    accounted: bool
    """Whether rows in + added = rows out + removed, or for an aggregate = counted + removed."""
    script_digest: str | None
    """SHA-256 of the script, as `sha256:` and hex digits; None without one."""
    how: str
    """none, transform.sql, transform.R or notebook."""
    messages: tuple[str, ...]
    """Facts that are safe to show."""


def transform(table: Table, dataset: Dataset, folder: Path) -> Transformed:
    """
    Run the script of `dataset` over `table`, if it has one, then its rules.

    Writes Parquet files and logs into `folder`, the run's private work folder. Raises StepFailed when the
    script fails, TransformInvalid when its result does not fit the contract, AccountOpen when the rows do not
    add up, ContractInvalid when a rule cannot be applied.
    """
    dataset = _asked(dataset)
    script = dataset.script
    if script is None:
        return _finished(table, table, dataset, folder, _Made("none", None, ()))
    made = _Made(script.name, digests.of_file(script), ())
    if script.name == "transform.sql":
        from ctnb.transforms.sql import select

        result = select(script, table, folder, deterministic=dataset.contract.deterministic)
        return _finished(result, table, dataset, folder, made)
    return _played(script, table, dataset, folder)


def finish(
    frame_or_table: pd.DataFrame | pa.Table | Table,
    table_in: Table,
    dataset: Dataset,
    folder: Path,
    how: str = "notebook",
) -> Transformed:
    """
    Take what an analyst's own notebook made of `table_in`: fit it to the contract, apply the rules, account.

    Raises as `transform` does.
    """
    return _finished(_as_arrow(frame_or_table), table_in, _asked(dataset), folder, _Made(how, None, ()))


@dataclass(frozen=True)
class _Made:
    how: str
    script_digest: str | None
    messages: tuple[str, ...]


def _asked(dataset: Dataset) -> Dataset:
    """`dataset` itself; for a file of identifiers to delete, the key alone, without a transform."""
    contract = dataset.contract
    if not contract.deletes:
        return dataset
    alone = {"columns": contract.read_columns, "transform": Transform(use="none")}
    return replace(dataset, contract=contract.model_copy(update=alone))


def _played(script: Path, table: Table, dataset: Dataset, folder: Path) -> Transformed:
    from ctnb.transforms.rbridge import LOG, play

    before = {path.name for path in script.parent.iterdir()}
    played = play(script, table, folder)
    messages = []
    if played.mode:
        wanted = dataset.contract.portal.mode
        differs = "" if played.mode.lower() == wanted else f"; dataset.yml publishes with {wanted}"
        messages.append(f"write.socrata(..., {played.mode}) answered by ctnb{differs}")
    if played.warnings:
        messages.append(f"R gave {played.warnings:,} warnings; their texts are in {LOG} in the work folder")
    written = sum(1 for path in script.parent.iterdir() if path.name not in before)
    if written:
        messages.append(f"transform.R wrote {written:,} new files into the dataset's folder")
    made = _Made(script.name, digests.of_file(script), tuple(messages))
    return _finished(played.frame, table, dataset, folder, made)


def _as_arrow(given: pd.DataFrame | pa.Table | Table) -> pa.Table | Table:
    import pyarrow as pa

    if isinstance(given, (Table, pa.Table)):
        return given
    reason = ""
    try:
        return pa.Table.from_pandas(given, preserve_index=False)
    except (
        pa.ArrowException,
        TypeError,
        ValueError,
        AttributeError,
        OverflowError,
    ) as error:  # its text may quote a cell
        reason = type(error).__name__  # its text may quote a cell
    raise TransformInvalid(
        f"The transform's result is not a data frame with one type in each column ({reason}).",
        hint="Hand over a pandas DataFrame; give a column of mixed values one type.",
    )


def _finished(
    result: pa.Table | Table, table: Table, dataset: Dataset, folder: Path, made: _Made
) -> Transformed:
    contract = dataset.contract
    with connect(folder) as connection:
        _bring(connection, result, contract)
        stands_for = _stands_for(contract)
        query = conformed_sql(connection, "given", contract.published_columns)
        connection.execute(f'CREATE TABLE result AS SELECT *, {stands_for} AS "{STANDS_FOR}" FROM ({query})')
        connection.execute("DROP TABLE given")
        if made.how != "none":  # the reader has looked at the table already
            check_constraints(connection, "result", contract.published_columns)
        whole = _number(connection, f'SELECT sum("{STANDS_FOR}") FROM result')
        after = ruled(
            connection, "result", contract.published_columns, contract.transform.rules, contract.key,
            of_people=contract.unit_out == "person",
        )  # fmt: skip
        closes = whole == table.rows and _can_close(contract, made.how)
        if not closes and not contract.transform.unaccounted:
            raise _account_open(contract, made.how, table.rows, whole)
        written = _written(connection, after, folder)
    return Transformed(
        written, after.added, after.removed, after.repaired, after.suppressed, table.rows, after.rows,
        after.counted if contract.transform.count else None, closes, made.script_digest, made.how, made.messages,
    )  # fmt: skip


def _bring(connection: duckdb.DuckDBPyConnection, result: pa.Table | Table, contract: Contract) -> None:
    """Bring the result in as the table `given`, then close the connection's doors."""
    # A name that is no table must not be looked up among the variables of this program.
    connection.execute("SET python_enable_replacements=false")
    if isinstance(result, Table):
        load(connection, result, "given")
    else:
        check_names([str(name) for name in result.column_names], contract.published_columns)
        connection.register("handed over", result)
        connection.execute('CREATE TABLE given AS SELECT * FROM "handed over"')
        connection.unregister("handed over")
    lock(connection)


def _stands_for(contract: Contract) -> str:
    """SQL for how many rows of the input a row of the result stands for."""
    return f"coalesce({quote_name(contract.transform.count)}, 0)" if contract.transform.count else "1"


def _can_close(contract: Contract, how: str) -> bool:
    """Whether equal numbers mean that every row is there: not when rows became something else, uncounted."""
    changed = contract.transform.unit is not None and contract.transform.unit != contract.unit
    return bool(contract.transform.count) or how == "none" or not changed


def _account_open(contract: Contract, how: str, rows_in: int, whole: int) -> AccountOpen:
    count = contract.transform.count
    reason = "or say under transform: unaccounted: why the rows cannot be accounted for."
    if count:
        return AccountOpen(
            f"The rows do not add up: {rows_in:,} came in, the column {count} counts {whole:,}.",
            hint=f"Count every row once, e.g. under 'Unknown'; {reason}",
            rows_in=rows_in, counted=whole,
        )  # fmt: skip
    if not _can_close(contract, how):
        return AccountOpen(
            f"The rows cannot be accounted for: {rows_in:,} rows of unit {contract.unit} became {whole:,} of "
            f"unit {contract.transform.unit}, and no column says how many each stands for.",
            hint=f"Name that column under transform: count:, {reason}",
            rows_in=rows_in, counted=whole,
        )  # fmt: skip
    return AccountOpen(
        f"The rows do not add up: {rows_in:,} came in and {whole:,} came out of {how}.",
        hint=f"Leave rows out with a keep rule, which counts them by name; {reason}",
        rows_in=rows_in, counted=whole,
    )  # fmt: skip


def _written(connection: duckdb.DuckDBPyConnection, after: Ruled, folder: Path) -> Table:
    """Write what the locked `connection` answers, through another one that may reach the work folder."""
    rows = connection.sql(after.query).to_arrow_table()
    with connect(folder) as writer:
        writer.register("ruled", rows)
        return write(writer, "SELECT * FROM ruled", _columns(after), folder / RESULT)


def _columns(after: Ruled) -> tuple[Column, ...]:
    """The columns as the table holds them: a date's format belonged to the source."""
    return tuple(column.model_copy(update={"format": None}) for column in after.columns)


def _number(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    return int(connection.execute(query).fetchall()[0][0] or 0)
