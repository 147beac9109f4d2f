"""
Digests: of files, of tables' contents, and keyed ones for what is not released.

The content digest `ctnb-table/1` is SHA-256 over a header (column names, contract types and scales), the
row count, and the sorted SHA-256 of every row's canonical text. Row order does not count, duplicates do.
Row hashes are never added or xor-ed. A plain digest of a small table is an oracle for its hidden cells, so
digests of anything not released are HMAC-SHA256 under the project's key.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctnb.values import Kind, canonical_sql, length_sql, quote_name, quote_text

if TYPE_CHECKING:
    import duckdb

TABLE_FORMAT = "ctnb-table/1"
MANY_ROWS = 50_000
"""From here on loading Arrow costs less than it saves."""
KEYED = "hmac-sha256:"
PLAIN = "sha256:"


def of_bytes(content: bytes) -> str:
    """SHA-256 of `content`, as `sha256:` and 64 hex digits."""
    return PLAIN + hashlib.sha256(content).hexdigest()


def of_file(path: Path) -> str:
    """SHA-256 of the bytes of the file at `path`, as `sha256:` and 64 hex digits."""
    with path.open("rb") as stream:
        return PLAIN + hashlib.file_digest(stream, "sha256").hexdigest()


def keyed(digest: str, key: bytes) -> str:
    """HMAC-SHA256 of the text of a plain `digest`, as `hmac-sha256:` and 64 hex digits."""
    return KEYED + hmac.new(key, digest.encode("ascii"), hashlib.sha256).hexdigest()


def project_key(path: Path) -> bytes:
    """The 32 bytes of the project's key at `path`; made, readable by its owner only, when missing."""
    if not path.exists():
        made = secrets.token_bytes(32)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as stream:
            stream.write(made)
            stream.flush()
            os.fsync(stream.fileno())
        try:  # a link never replaces: the first process to make a key wins
            os.link(temporary, path)
        except FileExistsError:
            pass
        finally:
            temporary.unlink(missing_ok=True)
    return path.read_bytes()


def canonical_json(value: Any) -> bytes:
    """`value` as JSON that has one form: sorted keys, no blanks, UTF-8, no NaN."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8")


def rows_sql(columns: Iterable[tuple[str, Kind]], relation: str) -> str:
    """
    A SQL query for the canonical text `row` of each row of `relation`.

    Each cell is its length in bytes of UTF-8, a colon and its canonical text; null is a dash. Lengths keep
    ("ab", "c") apart from ("a", "bc").
    """
    columns = list(columns)
    texts = ", ".join(
        f"{canonical_sql(kind, quote_name(name))} AS t{n}, {quote_name(name)} AS v{n}"
        for n, (name, kind) in enumerate(columns)
    )
    cells = ", ".join(
        f"CASE WHEN t{n} IS NULL THEN '-' ELSE concat({length_sql(kind, f'v{n}', f't{n}')}, ':') END, t{n}"
        for n, (_, kind) in enumerate(columns)
    )
    return f"SELECT concat({cells or quote_text('')}) AS row FROM (SELECT {texts or 'NULL'} FROM {relation})"


def of_table(
    connection: duckdb.DuckDBPyConnection, relation: str, columns: Iterable[tuple[str, Kind]]
) -> str:
    """
    The content digest of the SQL `relation`, whose `columns` (name, kind) count in this order.

    `connection` is DuckDB's; sorting may spill to its temporary folder. Returns `sha256:` and 64 hex digits.
    """
    columns = list(columns)
    digest = hashlib.sha256(_header(columns))
    rows = int(connection.execute(f"SELECT count(*) FROM {relation}").fetchall()[0][0])
    digest.update(f"{rows}\n".encode("ascii"))
    query = f"SELECT sha256(row) || chr(10) AS h FROM ({rows_sql(columns, relation)}) ORDER BY h"
    for batch in _batches(connection, query, many=rows > MANY_ROWS):
        digest.update(batch)
    return PLAIN + digest.hexdigest()


def _header(columns: list[tuple[str, Kind]]) -> bytes:
    listed = [[name, kind.type, kind.scale] for name, kind in columns]
    return canonical_json([TABLE_FORMAT, listed]) + b"\n"


def _batches(
    connection: duckdb.DuckDBPyConnection, query: str, *, many: bool
) -> Iterable[memoryview | bytes]:
    """The texts of the one column of `query`, one after the other, in pieces; quicker through Arrow where `many`."""
    if not many:
        cursor = connection.execute(query)
        while rows := cursor.fetchmany(20_000):
            yield "".join(row[0] for row in rows).encode("ascii")
        return
    for batch in connection.sql(query).to_arrow_reader(100_000):
        _, places, texts = batch.column(0).buffers()
        start = batch.column(0).offset
        first, last = (memoryview(places).cast("i")[place] for place in (start, start + len(batch)))
        yield memoryview(texts)[first:last]
