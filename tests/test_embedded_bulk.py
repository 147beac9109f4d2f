"""Rows laid into pages of SQLite in bulk: what is read back, and what the file's own checks say."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ctnb.embedded import bulk
from ctnb.embedded.bulk import Loader, declared, row_ids
from ctnb.embedded.identifiers import ROW_ID

STAMP = "2026-11-21T10:00:00.000Z"
Cell = str | None


@pytest.fixture()
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A database with a write-ahead log, as the portal's is."""
    connection = sqlite3.connect(tmp_path / "rows.sqlite", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    yield connection
    connection.close()


def batch_of(*columns: list[Cell]) -> Any:
    """A batch of text columns."""
    names = [f"v{at}" for at in range(len(columns))]
    return pa.record_batch([pa.array(column, pa.string()) for column in columns], names=names)


def loaded(connection: sqlite3.Connection, first: int, *batches: Any, flags: list[bool]) -> list[Any]:
    """The rows of a new table after these batches, which the database finds sound."""
    connection.execute(f"CREATE TABLE stage ({declared(flags)})")
    loader = Loader(connection, "stage", flags, STAMP)
    for batch in batches:
        first += loader.add(first, batch)
    assert connection.execute("PRAGMA main.integrity_check").fetchall() == [("ok",)]
    return connection.execute("SELECT * FROM stage ORDER BY sid").fetchall()


def cells(count: int, seed: int) -> list[Cell]:
    """Nulls, blanks, letters of two bytes, and texts up to some that no page holds."""
    chance = random.Random(seed)
    kinds = [
        lambda: None,
        lambda: "",
        lambda: "a" * chance.randint(1, 130),
        lambda: "é" * chance.randint(1, 300),
        lambda: "b" * chance.choice([16, 57, 58, 8185, 8186]),
        lambda: "long" * chance.randint(10_000, 20_000) if chance.random() < 0.02 else "x",
    ]
    return [chance.choice(kinds)() for _ in range(count)]


@pytest.mark.parametrize("count", [0, 1, 2, 3000])
@pytest.mark.parametrize("first", [1, 126, 2**21 - 1, 2**35])
def test_every_cell_comes_back(connection: sqlite3.Connection, count: int, first: int) -> None:
    """Two batches one behind the other: cells, numbers, times and ids; the database's own check passes."""
    columns = [cells(count, seed) for seed in range(4)]
    rows = loaded(connection, first, batch_of(*columns), batch_of(*columns), flags=[False] * 4)
    expected = list(zip(*columns, strict=True)) * 2
    assert [row[4:] for row in rows] == expected
    assert [row[0] for row in rows] == list(range(first, first + 2 * count))
    assert all(row[2:4] == (STAMP, STAMP) for row in rows)
    names = [row[1] for row in rows]
    assert names == sorted(set(names))
    assert all(ROW_ID.fullmatch(name) for name in names)


def test_flags_are_whole_numbers(connection: sqlite3.Connection) -> None:
    """1 and 0 are INTEGER, null is null; the texts beside them are TEXT."""
    flags: list[Cell] = ["1", "0", None]
    rows = loaded(connection, 1, batch_of(flags, ["1", "0", None]), flags=[True, False])
    assert [row[4:] for row in rows] == [(1, "1"), (0, "0"), (None, None)]
    kinds = connection.execute("SELECT typeof(s1), typeof(s2) FROM stage").fetchall()
    assert kinds == [("integer", "text"), ("integer", "text"), ("null", "null")]


@pytest.mark.parametrize("width", [1, 60, 200, 1000])
def test_many_columns(connection: sqlite3.Connection, width: int) -> None:
    """Headers of a record of one, two and more bytes of length."""
    columns: list[list[Cell]] = [[f"{at}", None, "x" * at] for at in range(width)]
    rows = loaded(connection, 1, batch_of(*columns), flags=[False] * width)
    assert [row[4:] for row in rows] == list(zip(*columns, strict=True))


def test_a_part_of_a_larger_batch(connection: sqlite3.Connection) -> None:
    """A slice holds its own rows only."""
    whole = batch_of([f"r{at}" for at in range(100)])
    rows = loaded(connection, 1, whole.slice(40, 3), whole.slice(90), flags=[False])
    assert [row[4] for row in rows] == ["r40", "r41", "r42", *(f"r{at}" for at in range(90, 100))]


def test_a_batch_of_many_bytes_is_taken_in_parts(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Halves until each is small; one row larger than that is a part of its own."""
    monkeypatch.setattr(bulk, "BATCH_BYTES", 1000)
    column: list[Cell] = ["y" * 90] * 50 + ["z" * 5000] + ["w"] * 50
    rows = loaded(connection, 1, batch_of(column), flags=[False])
    assert [row[4] for row in rows] == column


def test_rows_that_cannot_be_are_none_at_all(connection: sqlite3.Connection) -> None:
    """A number that is taken undoes the batch, and the next one can be added."""
    connection.execute(f"CREATE TABLE stage ({declared([False])})")
    loader = Loader(connection, "stage", [False], STAMP)
    loader.add(5, batch_of(["a"]))
    with pytest.raises(sqlite3.IntegrityError):
        loader.add(3, batch_of(["b", "c", "d"]))
    assert loader.add(6, batch_of(["e"])) == 1
    assert connection.execute("SELECT sid, s1 FROM stage").fetchall() == [(5, "a"), (6, "e")]


def test_ids_sort_as_numbers_do() -> None:
    """Forty thousand ids, all in the form of the protocol."""
    import numpy as np

    made = [name.decode() for name in row_ids(np.arange(1, 40_000)).to_pylist()]
    assert (made, all(ROW_ID.fullmatch(one) for one in made)) == (sorted(set(made)), True)
