"""Tables: one Parquet file that says what it holds, and a DuckDB whose doors are closed."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from error_texts import assert_text

from ctnb import tables
from ctnb.contracts.columns import Column
from ctnb.errors import RecordBroken
from ctnb.tables import Table
from ctnb.values import TYPES

COLUMNS = tuple(Column(name=f"a_{kind}", type=kind, role="plain", label=f"A {kind}") for kind in TYPES)  # type: ignore[arg-type]  # the keys are the literal's
CELLS = {
    "text": " Ünï ", "code": "06103", "integer": "9007199254740993", "number": "0.123456", "money": "1234.50",
    "percent": "66.67", "date": "2020-02-29", "timestamp": "2020-02-29 23:59:59.999999", "boolean": "true",
    "url": "https://example.org/", "point": "POINT (-72.685100 41.763700)",
    "file": "data:image/png;base64,aGVsbG8=",
}  # fmt: skip
NULLS = ", ".join("NULL" for _ in COLUMNS)
ROWS = f"SELECT {', '.join(f'{text!r} AS a_{kind}' for kind, text in CELLS.items())} UNION ALL SELECT {NULLS}"


@pytest.fixture
def table(tmp_path: Path) -> Table:
    """A table with a column of every type, one row of values and one of nulls."""
    with tables.connect() as connection:
        return tables.write(connection, ROWS, COLUMNS, tmp_path / "read.parquet")


def test_a_table_opened_from_its_path_is_the_table_that_was_written(table: Table) -> None:
    """Columns, rows and digests stand in the file or follow from it."""
    assert table == tables.open_table(table.path, file_digest=table.file_digest, digest=table.digest)


def test_every_type_comes_back_from_parquet(table: Table) -> None:
    """A value is stored as the table of types says, and a null is a null."""
    found = pq.read_table(table.path).to_pylist()
    shown = {name: str(value) for name, value in found[0].items()}
    assert shown == {f"a_{kind}": text for kind, text in {**CELLS, "boolean": "True"}.items()}
    assert {None} == set(found[1].values())


def test_a_data_frame_has_the_dtypes_of_the_table_of_types(table: Table) -> None:
    """pandas sees what the reference promises."""
    frame = table.df()
    expected = {f"a_{kind}": row.pandas for kind, row in TYPES.items()}
    shown = {name: str(kind) for name, kind in frame.dtypes.items()}
    assert shown == {name: kind.replace("string[pyarrow]", "string") for name, kind in expected.items()} or (
        shown == expected
    )
    assert Decimal("1234.50") == frame["a_money"][0]
    assert frame["a_number"][0] == pytest.approx(0.123456)


def test_batches_are_the_rows_in_their_order(table: Table) -> None:
    """A large table need not be held in memory."""
    batches = list(table.batches(1))
    assert [1, 1] == [len(batch) for batch in batches]
    assert pq.read_table(table.path) == pa.Table.from_batches(batches, pq.read_table(table.path).schema)


def test_sql_sees_the_table_as_data(table: Table) -> None:
    """A query in a notebook needs no path."""
    assert [1] == table.sql("SELECT count(a_money) AS n FROM data")["n"].tolist()


def test_what_a_notebook_shows_of_a_table_is_its_size(table: Table) -> None:
    """The last line of a cell may be a table without a row of it reaching the record."""
    assert "<Table: 2 rows, 12 columns>" == repr(table)
    assert "<p>Table of 2 rows and 12 columns</p>" == table._repr_html_()


def test_two_writes_of_the_same_rows_in_another_order_have_one_digest(table: Table, tmp_path: Path) -> None:
    """The content counts, not the file."""
    with tables.connect() as connection:
        query = f"SELECT * FROM ({ROWS}) ORDER BY a_text NULLS FIRST"
        other = tables.write(connection, query, COLUMNS, tmp_path / "other.parquet")
    assert table.digest == other.digest
    assert table.file_digest != other.file_digest


def test_a_write_that_fails_leaves_the_old_table(table: Table) -> None:
    """A temporary name first, then a move."""
    before = table.path.read_bytes()
    with tables.connect() as connection, pytest.raises(duckdb.Error):
        tables.write(connection, "SELECT 'x' AS a_integer", COLUMNS[2:3], table.path)
    assert before == table.path.read_bytes()


def test_a_table_that_changed_is_refused(table: Table) -> None:
    """Each step checks the digest of what it is given."""
    with tables.connect() as connection:
        tables.write(connection, f"SELECT * FROM ({ROWS}) LIMIT 1", COLUMNS, table.path)
    with pytest.raises(RecordBroken) as caught:
        tables.open_table(table.path, file_digest=table.file_digest)
    assert_text("table-changed", caught.value)
    with pytest.raises(RecordBroken, match="is not what its step wrote"):
        tables.open_table(table.path, digest=table.digest)


def test_a_table_opened_again_is_what_its_file_holds_now(table: Table, tmp_path: Path) -> None:
    """The content of the same bytes is measured once; another file in its place is another table."""
    kept = table.path.read_bytes()
    with tables.connect() as connection:
        other = tables.write(
            connection, "SELECT 'only' AS name", [Column(name="name", type="text")], tmp_path / "o"
        )
    assert tables.open_table(table.path) == table
    table.path.write_bytes(other.path.read_bytes())
    now = tables.open_table(table.path)
    assert (now.rows, now.digest, now.file_digest) == (1, other.digest, other.file_digest)
    table.path.write_bytes(kept)
    assert tables.open_table(table.path) == table


def test_a_missing_table_is_told(tmp_path: Path) -> None:
    """A work folder that was cleaned is not a crash."""
    with pytest.raises(RecordBroken, match=r"gone\.parquet is missing"):
        tables.open_table(tmp_path / "gone.parquet")


def test_a_file_that_ctnb_did_not_write_is_refused(tmp_path: Path) -> None:
    """Only ctnb's own files say which contract they hold."""
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    with pytest.raises(RecordBroken, match="was not written by ctnb"):
        tables.open_table(tmp_path / "other.parquet")


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    """A torn or replaced file is a broken record, and none of its bytes are told."""
    (tmp_path / "other.parquet").write_bytes(b"Xanthippe Quill")
    with pytest.raises(RecordBroken, match="was not written by ctnb"):
        tables.open_table(tmp_path / "other.parquet")


def test_an_unknown_column_is_a_key_error(table: Table) -> None:
    """Asking for a column that is not there does not end an iteration somewhere else."""
    assert "money" == table.column("a_money").type
    with pytest.raises(KeyError):
        table.column("nobody")


def test_the_flag_of_a_suppressed_column_says_what_it_is() -> None:
    """The boolean beside a column has a plain role and a description."""
    flag = tables.suppressed_flag(Column(name="deaths", label="Deaths", type="integer"))
    assert ("deaths_suppressed", "boolean", "plain") == (flag.name, flag.type, flag.role)
    assert "true where Deaths is withheld to protect people." == flag.description


DOORS = [
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('/etc/passwd')",
    "SELECT * FROM read_json('/etc/passwd')",
    "SELECT * FROM read_parquet('{own}')",
    "SELECT * FROM parquet_metadata('{own}')",
    "SELECT * FROM sniff_csv('/etc/passwd')",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM 'https://example.org/a.csv'",
    "COPY data TO '{folder}/out.csv'",
    "COPY (SELECT 1) TO '/dev/stdout'",
    "EXPORT DATABASE '{folder}/out'",
    "IMPORT DATABASE '{folder}'",
    "ATTACH '{folder}/out.db'",
    "INSTALL httpfs",
    "FORCE INSTALL x FROM 'http://example.org'",
    "LOAD httpfs",
    "LOAD '{folder}/x.duckdb_extension'",
    "CREATE SECRET s (TYPE s3)",
    "SET threads=4",
    "SET enable_external_access=true",
    "SET temp_directory='{folder}'",
    "SET home_directory='{folder}'",
    "RESET lock_configuration",
    "PRAGMA profiling_output='{folder}/out.json'",
    "CALL enable_logging(storage='file', storage_path='{folder}/out')",
    "SELECT getenv('HOME')",
    "SELECT * FROM a_variable_of_python",
]


@pytest.mark.parametrize("query", DOORS)
def test_a_query_reaches_nothing_but_the_table(table: Table, query: str) -> None:
    """Files, the network, extensions, settings and Python's variables are closed to other people's SQL."""
    a_variable_of_python = table.df()
    assert len(a_variable_of_python) == 2
    with pytest.raises(duckdb.Error):
        table.sql(query.format(own=table.path, folder=table.path.parent))
    assert [table.path] == list(table.path.parent.iterdir())
