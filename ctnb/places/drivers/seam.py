"""The seam between databases and the fetching: what a driver is asked, and where it puts what it receives."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from datetime import time as time_of_day
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ctnb.contracts.places import Connection
from ctnb.errors import SourceFailed, SourceInvalid, UsageError
from ctnb.places.queries import Statement, Value
from ctnb.snapshots import Writer

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa
    import pyarrow.parquet as pq

BATCH_BYTES = 8 << 20
BATCH_ROWS = 20_000
GRACE_S = 10.0
"""Seconds beyond the query's own that a server has to say that it took too long."""


@dataclass(frozen=True)
class Order:
    """A query and where it is asked."""

    name: str
    """The connection's name in ctnb.yml."""
    connection: Connection
    user: str
    """The account; empty where there is none."""
    password: str = field(repr=False)
    """Its password; empty where there is none."""
    file: Path | None
    """The database's file, where it is one."""
    ca_file: Path | None
    """Certificates to trust instead of the system's."""
    statement: Statement
    values: Mapping[str, Value]
    """The value of each parameter."""
    timeout_s: float
    """Seconds that the query may take."""
    began: float = field(default_factory=time.monotonic)

    @property
    def left_s(self) -> float:
        """Seconds that the query may still take."""
        return self.began + self.timeout_s - time.monotonic()

    def check_time(self) -> None:
        """Raise SourceFailed once the query took too long, and the server did not end it."""
        if self.left_s + GRACE_S <= 0:
            raise self.too_long()

    def too_long(self) -> SourceFailed:
        """The error of a query that took too long."""
        return SourceFailed(
            f"The query on the database {self.name} took longer than {self.timeout_s:g} s.",
            hint="Ask for fewer rows, or raise source: database: timeout_s: in dataset.yml.",
        )

    def unreachable(self) -> SourceFailed:
        """The error of a server that does not answer."""
        return SourceFailed(
            f"The database {self.name} cannot be reached.",
            hint=f"Is its server running, and are host: and port: of connections: {self.name}: right in ctnb.yml?",
        )

    def untrusted(self) -> SourceFailed:
        """The error of a server whose certificate does not fit, or that has none."""
        return SourceFailed(
            f"No trusted connection to the database {self.name}: its server has no TLS, or a certificate that cannot "
            "be verified.",
            hint=f"Name the certificates to trust as ca_file: of connections: {self.name}: in ctnb.yml.",
        )

    def refused(self) -> UsageError:
        """The error of an account that the server does not let in."""
        told = self.connection.password
        secret = f"the secret {told.secret}" if told else "password:, which is not given"
        return UsageError(
            f"The database {self.name} refused the account: user, password or database is wrong.",
            hint=f"Check {secret}, and user: and database: of connections: {self.name}: in ctnb.yml.",
        )

    def broken_off(self) -> SourceFailed:
        """The error of a connection that was lost while rows came."""
        return SourceFailed(
            f"The connection to the database {self.name} broke off before all rows had come.",
            hint="Run again; nothing was kept.",
        )

    def busy(self) -> SourceFailed:
        """The error of a database that cannot serve now."""
        return SourceFailed(
            f"The database {self.name} cannot answer now: it is locked, starting, ending or has too many sessions.",
            hint="Run again later.",
        )

    def writes(self) -> SourceInvalid:
        """The error of a query that would change something."""
        return SourceInvalid(
            f"The query on the database {self.name} would change something, and the session may only read.",
            hint="A source's query is one SELECT that changes nothing.",
        )

    def wrong(self, code: str, line: int | None = None) -> SourceInvalid:
        """The error of a query that the database does not take; its own words may quote data."""
        at = f", at line {line} of the query" if line else ""
        return SourceInvalid(
            f"The database {self.name} refused the query: {code}{at}.",
            hint="Try the query in the database's own client, with the same account.",
        )

    def damaged(self) -> SourceInvalid:
        """The error of a file that is no such database."""
        return SourceInvalid(
            f"The file of the database {self.name} is no {self.connection.kind} database, or is damaged.",
            hint=f"Check path: of connections: {self.name}: in ctnb.yml.",
        )

    def no_column(self) -> SourceInvalid:
        """The error of a query without a result."""
        return SourceInvalid(
            f"The query on the database {self.name} gives no columns.",
            hint="Write one SELECT into its file.",
        )


@dataclass(frozen=True)
class Told:
    """A column as the database describes it."""

    name: str
    """Its name, which becomes the header."""
    type: str = ""
    """The contract type that it is nearest to; empty where the database does not say."""


class Landing:
    """Where rows arrive: the snapshot, as the bytes of a CSV or batches of a Parquet file."""

    def __init__(self, writer: Writer, seen: Callable[[int], None]) -> None:
        """Rows go to `writer`; `seen` is told their number now and then."""
        self._stream, self._writer, self._seen = _Stream(writer), writer, seen
        self._parquet: pq.ParquetWriter | None = None
        self._told = 0.0
        self.rows = 0
        """How many have come."""
        self.columns: tuple[Told, ...] = ()
        """The columns, once the database described them."""
        self.batch_rows = 200
        """How many rows the next batch should have: it grows until one has about `BATCH_BYTES`."""

    def describe(self, columns: Iterable[Told]) -> None:
        """Say which columns there are. Raises SourceInvalid when one has no name, or two have the same."""
        self.columns = tuple(columns)
        places: dict[str, int] = {}
        for place, column in enumerate(self.columns, 1):
            if not column.name.strip():
                raise SourceInvalid(
                    f"Column {place} of the query has no name.", hint="Name it in the query: ... AS name."
                )
            if column.name.strip() in places:
                raise SourceInvalid(
                    f"Columns {places[column.name.strip()]} and {place} of the query have the same name.",
                    hint="Name each once in the query: ... AS name.",
                )
            places[column.name.strip()] = place

    def text(self, chunk: bytes, rows: int) -> None:
        """Take a piece of CSV, with that many rows."""
        self._writer.write(chunk)
        self._count(rows)

    def cells(self, rows: Sequence[Sequence[Any]]) -> None:
        """Take rows of Python's values, one batch; each becomes text, None stays null."""
        import pyarrow as pa

        columns = list(zip(*rows, strict=True)) or [()] * len(self.columns)
        arrays = [_texts(cells, column) for cells, column in zip(columns, self.columns, strict=True)]
        self.batch(pa.RecordBatch.from_arrays(arrays, [column.name for column in self.columns]))

    def batch(self, batch: pa.RecordBatch) -> None:
        """Take a batch as Arrow has it."""
        if self._parquet is None:
            self._parquet = self._open(batch.schema)
        self._parquet.write_batch(batch)
        self._count(batch.num_rows)
        if batch.num_rows:
            fit = int(BATCH_BYTES * batch.num_rows / max(batch.nbytes, 1))
            self.batch_rows = max(1, min(fit, 4 * self.batch_rows, BATCH_ROWS))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Write what ends the file; or, after an error, nothing."""
        self._stream.dropped = kind is not None
        if self._parquet is not None:
            self._parquet.close()
        self._seen(self.rows)

    def _open(self, schema: pa.Schema) -> pq.ParquetWriter:
        import pyarrow.parquet as pq

        return pq.ParquetWriter(self._stream, schema, compression="zstd", compression_level=1)

    def _count(self, rows: int) -> None:
        self.rows += rows
        if time.monotonic() - self._told > 0.2:
            self._told = time.monotonic()
            self._seen(self.rows)


class _Stream:
    """A snapshot as the file that Arrow writes to."""

    closed = False
    dropped = False
    """Whether the snapshot is given up, so that what Arrow still writes goes nowhere."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def write(self, chunk: Any) -> int:
        if not self.dropped:
            self._writer.write(bytes(chunk))
        return len(chunk)

    def tell(self) -> int:
        return self._writer.size

    def flush(self) -> None:
        """The snapshot flushes itself."""

    def close(self) -> None:
        """The snapshot is closed by whoever made it."""


def _texts(cells: Sequence[Any], column: Told) -> pa.Array:
    import pyarrow as pa

    try:
        return pa.array(
            [cell if cell is None or type(cell) is str else _text(cell) for cell in cells], pa.string()
        )
    except (TypeError, UnicodeError, pa.ArrowException):
        pass  # its text may quote the cell
    raise SourceInvalid(
        f"The column {column.name} holds what is no text, number, date, time or truth.",
        hint="Turn it into text in the query, or leave it out.",
    )


def _text(cell: Any) -> str:
    """A value as the contract's types read it: bytes as hexadecimal, times with a zone in UTC."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, (int, str)):
        return str(cell)
    if isinstance(cell, float):
        return repr(cell)
    if isinstance(cell, Decimal):
        return format(cell, "f")
    if isinstance(cell, (bytes, bytearray, memoryview)):
        return bytes(cell).hex()
    if isinstance(cell, datetime):
        return in_utc(cell).isoformat(" ")
    if isinstance(cell, (date, time_of_day)):
        return cell.isoformat()
    raise TypeError


def in_utc(at: datetime) -> datetime:
    """`at` without a zone; in UTC when it had one."""
    return at.astimezone(UTC).replace(tzinfo=None) if at.tzinfo else at


@contextmanager
def installed(kind: str, library: str) -> Iterator[None]:
    """Import a driver inside. Raises UsageError when it is not installed; `kind` is the extra it comes with."""
    missing = False
    try:
        yield
    except ImportError:
        missing = True
    if missing:
        raise UsageError(
            f"Databases of kind {kind} need the Python package {library}.", hint=f"pip install 'ctnb[{kind}]'"
        )


Driver = Callable[[Order, Landing], None]
"""
Asks the query in a read-only session: calls `describe` once, then `text`, `cells` or `batch` until all rows came.

Raises SourceFailed, SourceInvalid, UsageError; none quotes what the server said.
"""
