"""Parquet: every type becomes the text that the contract reads back without loss."""

from __future__ import annotations

import datetime as dt
import io
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from error_texts import assert_text, whole_story
from test_reads import ALL_REJECTED, CANARY, contract, reading, rejects, rows, text

from ctnb.datasets import Contract
from ctnb.errors import SourceInvalid
from ctnb.sources import parquets


def parquet(table: pa.Table, **more: Any) -> bytes:
    """The bytes of `table` as a Parquet file."""
    stream = io.BytesIO()
    pq.write_table(table, stream, **more)
    return stream.getvalue()


def under(*columns: dict[str, Any]) -> Contract:
    """A contract over a Parquet file."""
    return contract(*columns, source={"path": "a.parquet"}, **ALL_REJECTED)


def texts(folder: Path, array: pa.Array, **more: Any) -> list[Any]:
    """What the cells of `array` are as text."""
    found = reading(folder, parquet(pa.table({"a": array}), **more), under(*text("a")), "a.parquet")
    return [row[0] for row in rows(found)]


NEW_YORK = pa.timestamp("ms", tz="America/New_York")
MOMENT = dt.datetime(2020, 1, 2, 3, 4, 5, 600000)
CELLS: list[tuple[pa.Array, list[str | None]]] = [
    (pa.array([1, None, -(2**63)], pa.int64()), ["1", None, "-9223372036854775808"]),
    (pa.array([2**64 - 1], pa.uint64()), ["18446744073709551615"]),
    (pa.array([0.1, 12.0, 1e300, None]), ["0.1", "12", "1e+300", None]),
    (pa.array([0.1], pa.float32()), ["0.1"]),
    (pa.array([Decimal("1.50"), Decimal("0.00"), None]), ["1.50", "0.00", None]),
    (pa.array([Decimal("1E-9")], pa.decimal128(20, 10)), ["0.0000000010"]),
    (pa.array([Decimal(10**60)], pa.decimal256(70, 2)), ["1" + "0" * 60 + ".00"]),
    (pa.array([True, False, None]), ["true", "false", None]),
    (pa.array(["x", "", None, "é\n"]), ["x", None, None, "é\n"]),
    (pa.array(["x"], pa.large_string()), ["x"]),
    (pa.array(["x", None, "x"]).dictionary_encode(), ["x", None, "x"]),
    (pa.array([dt.date(1899, 12, 31)]), ["1899-12-31"]),
    (pa.array([MOMENT], pa.timestamp("us")), ["2020-01-02T03:04:05.600000"]),
    (pa.array([MOMENT], pa.timestamp("ms")), ["2020-01-02T03:04:05.600000"]),
    (pa.array([MOMENT], pa.timestamp("ns")), ["2020-01-02T03:04:05.600000"]),
    (pa.array([1], pa.timestamp("ns")), ["1970-01-01T00:00:00.000000001"]),
    (pa.array([0], NEW_YORK), ["1970-01-01T00:00:00.000000"]),
    (pa.array([2**62], pa.timestamp("us")), ["<value out of range: 4611686018427387904>"]),
    (pa.array([dt.time(1, 2, 3)]), ["01:02:03.000000"]),
    (pa.array([b"caf\xc3\xa9", None], pa.binary()), ["café", None]),
    (pa.array([b"x", b"\xff\x00"], pa.binary()), ["78", "ff00"]),
    (pa.array([b"ab"], pa.binary(2)), ["ab"]),
    (pa.array([None, None]), [None, None]),
    (pa.array([[1, None], [], None]), ["[1,null]", "[]", None]),
    (pa.array([{"é": "x\"", "n": [Decimal("1.50")], "d": dt.date(2020, 1, 2), "b": b"\xff", "t": True}]),
     ['{"é":"x\\"","n":[1.50],"d":"2020-01-02","b":"ff","t":true}']),
    (pa.array([[MOMENT]], pa.list_(pa.timestamp("us", tz="UTC"))), ['["2020-01-02T03:04:05.600000"]']),
    (pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int32())), ['[["k",1]]']),
]  # fmt: skip


@pytest.mark.parametrize(("array", "expected"), CELLS, ids=[f"{a.type} {e[0]}" for a, e in CELLS])
def test_every_type_has_one_text(tmp_path: Path, array: pa.Array, expected: list[str | None]) -> None:
    """Decimals keep their digits, times are ISO in UTC, nested values are JSON, empty text is empty."""
    assert expected == texts(tmp_path, array)


def test_old_timestamps_are_read(tmp_path: Path) -> None:
    """Impala and old Spark write 96 bits, which reach far beyond what nanoseconds do."""
    array = pa.array([dt.datetime(1500, 1, 1)], pa.timestamp("us"))
    assert ["1500-01-01T00:00:00.000000"] == texts(tmp_path, array, use_deprecated_int96_timestamps=True)


def test_bytes_are_text_or_hexadecimal_as_a_whole_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last cell of a file decides as much as the first."""
    monkeypatch.setattr(parquets, "BATCH_ROWS", 2)
    array = pa.array([b"a", b"b", b"c", b"\xff"], pa.binary())
    assert ["61", "62", "63", "ff"] == texts(tmp_path, array)


def test_dates_are_dates_whatever_format_the_contract_gives(tmp_path: Path) -> None:
    """A format is for text; a column of text in the same file still follows it."""
    columns = [
        {"name": "day", "type": "date", "format": "MM/DD/YYYY"},
        {"name": "written", "type": "date", "format": "MM/DD/YYYY"},
        {"name": "at", "type": "timestamp", "format": "MM/DD/YYYY hh:mm"},
    ]
    day = dt.date(2020, 1, 2)
    table = pa.table({"day": [day], "written": ["01/03/2020"], "at": [MOMENT]})
    found = reading(tmp_path, parquet(table), under(*columns), "a.parquet")
    assert [(day, dt.date(2020, 1, 3), MOMENT)] == rows(found)


def test_midnight_is_a_date_and_noon_is_not(tmp_path: Path) -> None:
    """pandas writes dates as timestamps; a time of day is not thrown away."""
    table = pa.table({"day": pa.array([dt.datetime(2020, 1, 2), dt.datetime(2020, 1, 2, 12)])})
    found = reading(tmp_path, parquet(table), under({"name": "day", "type": "date"}), "a.parquet")
    assert [(dt.date(2020, 1, 2),)] == rows(found)
    assert [(2, "day", "type date")] == rejects(found)


def test_types_of_the_contract_are_met_exactly(tmp_path: Path) -> None:
    """What the file's types allow and the contract's do not is a reject, as in any file."""
    columns = [{"name": "n", "type": "number", "scale": 2}, {"name": "whole", "type": "integer"}]
    columns.append({"name": "yes", "type": "boolean"})
    table = pa.table({"n": [1.5, 1.234, float("nan")], "whole": [1.0, 2.0, 2.5], "yes": [True, None, False]})
    found = reading(tmp_path, parquet(table), under(*columns), "a.parquet")
    assert [(Decimal("1.50"), 1, True)] == rows(found)
    assert [(2, "n", "type number"), (3, "n", "type number"), (3, "whole", "type integer")] == rejects(found)


def test_many_row_groups_and_batches_are_read_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row numbers go on from batch to batch."""
    monkeypatch.setattr(parquets, "BATCH_ROWS", 7)
    table = pa.table({"n": list(range(100))})
    found = reading(
        tmp_path, parquet(table, row_group_size=30), under({"name": "n", "type": "integer"}), "a.parquet"
    )
    assert [(n,) for n in range(100)] == rows(found)


def test_a_file_without_rows_is_a_table_without_rows(tmp_path: Path) -> None:
    """Its columns are known all the same."""
    found = reading(
        tmp_path, parquet(pa.table({"a": pa.array([], pa.string())})), under(*text("a")), "a.parquet"
    )
    assert ([], 0, "") == (rows(found), found.rows_read, found.encoding)


GOOD = parquet(pa.table({"a": [CANARY] * 500 + [f"{CANARY} {n}" for n in range(500)]}))
BROKEN = [
    (CANARY.encode(), "does not start with PAR1"),
    (b"PARE" + GOOD[4:], "does not start with PAR1"),
    (GOOD[:-100], "its footer cannot be read"),
    (GOOD[:4], "its footer cannot be read"),
    (GOOD[:30] + b"\xff" * 2000 + GOOD[2030:], "cannot be read"),
    (parquet(pa.table({})), "no columns"),
]


@pytest.mark.parametrize(("body", "told"), BROKEN)
def test_a_damaged_file_is_told_and_never_quoted(tmp_path: Path, body: bytes, told: str) -> None:
    """Where it is damaged, and what to do."""
    with pytest.raises(SourceInvalid, match=told) as caught:
        reading(tmp_path, body, under(*text("a")), "a.parquet")
    assert "Xanthippe" not in whole_story(caught.value)


def test_the_message_for_a_file_that_was_cut_off(tmp_path: Path) -> None:
    """It names the part that is missing."""
    with pytest.raises(SourceInvalid) as caught:
        reading(tmp_path, GOOD[:-100], under(*text("a")), "a.parquet")
    assert_text("source-parquet-cut", caught.value)
