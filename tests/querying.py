"""Asking a database without a run: a dataset's folder with one query, fetched and read by the test's own process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from ctnb import reads, secrets
from ctnb.contracts.places import Connection, Query
from ctnb.datasets import Contract, Dataset
from ctnb.places import databases
from ctnb.places.fetched import Fetched, Progress, Request
from ctnb.places.fetching import Gathered
from ctnb.reads import Reading

NAME = "records"
"""What the connection is called."""


@dataclass(frozen=True)
class Asking:
    """A project's folder and the database that its queries go to."""

    project: Path
    connection: Connection

    @property
    def folder(self) -> Path:
        """The dataset's folder."""
        made = self.project / "notebooks" / "rows"
        made.mkdir(parents=True, exist_ok=True)
        return made

    @property
    def work(self) -> Path:
        """The private work folder."""
        made = self.project / "work"
        made.mkdir(exist_ok=True)
        return made

    def fetch(
        self, query: str, *, position: Mapping[str, Any] | None = None, again: bool = True,
        seen: list[Progress] | None = None, **place: Any,
    ) -> Fetched:  # fmt: skip
        """What `query` gives; the keys of `place` are those of source: database:."""
        (self.folder / "rows.sql").write_text(query, encoding="utf-8")
        request = Request(
            work=self.work, folder=self.folder, project=self.project, roots=(), connections={NAME: self.connection},
            position=position or {}, again=again, secret=secrets.value,
            progress=(seen if seen is not None else []).append,
        )  # fmt: skip
        return databases.fetch(Query(connection=NAME, query="rows.sql", **place), request)

    def read(self, query: str, columns: Sequence[Mapping[str, Any]], **place: Any) -> Reading:
        """What reading the rows of `query` under a contract of `columns` gives."""
        fetched = self.fetch(query, **place)
        contract = Contract.model_validate({
            "format": 1, "title": "Rows", "source": {"database": {"connection": NAME, "query": "rows.sql"}},
            "columns": [{"role": "plain", **column} for column in columns], "rejects": {"at_most_share": 1},
        })  # fmt: skip
        dataset = Dataset("rows", self.folder, contract, "")
        return reads.read(dataset, Gathered((fetched,)), self.work)

    def left(self) -> list[Path]:
        """The files in the work folder."""
        return sorted(self.work.iterdir())


def cells(fetched: Fetched) -> list[tuple[Any, ...]]:
    """The rows of the snapshot as text; None where nothing was."""
    path = str(fetched.snapshots[0].path)
    if fetched.format == "parquet":
        return duckdb.sql(f"SELECT COLUMNS(*)::VARCHAR FROM read_parquet('{path}')").fetchall()
    return duckdb.sql(
        f"SELECT * FROM read_csv('{path}', all_varchar=true, header=true, auto_detect=false, delim=',', quote='\"', "
        f"escape='\"', columns={{{', '.join(f'{name!r}: VARCHAR' for name in header(fetched))}}})".replace(
            "VARCHAR", "'VARCHAR'"
        )
    ).fetchall()


def header(fetched: Fetched) -> list[str]:
    """The headers of the snapshot."""
    path = fetched.snapshots[0].path
    if fetched.format == "parquet":
        import pyarrow.parquet as pq

        return list(pq.read_schema(path).names)
    import csv

    with path.open(newline="", encoding="utf-8") as stream:
        return next(csv.reader(stream))


def table(reading: Reading) -> list[tuple[Any, ...]]:
    """The rows of the table that was read."""
    return duckdb.sql(f"SELECT * FROM read_parquet('{reading.table.path}')").fetchall()
