"""Damaged files of every kind: never anything but our own errors, and never a row unaccounted for."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from error_texts import whole_story
from hypothesis import given, settings
from hypothesis import strategies as st
from test_reads import ALL_REJECTED, CANARY, contract, reading

from ctnb.errors import CtnbError, SourceInvalid

COLUMNS = [
    {"name": "town", "type": "text"},
    {"name": "zip", "type": "code"},
    {"name": "n", "type": "integer"},
    {"name": "day", "type": "date"},
]
RECORDS = [
    {
        "town": f"{CANARY} {n}" if n % 3 else 'Café, "x"',
        "zip": f"{n:05}",
        "n": n,
        "day": f"2020-01-{n + 1:02}",
    }
    for n in range(12)
]
WIDTHS = [20, 6, 3, 10]


def _csv() -> bytes:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, ["town", "zip", "n", "day"])
    writer.writeheader()
    writer.writerows(RECORDS)
    return stream.getvalue().encode()


def _fixed() -> bytes:
    cells = [["town", "zip", "n", "day"], *([str(cell) for cell in one.values()] for one in RECORDS)]
    lines = ("".join(c.ljust(w) for c, w in zip(one, WIDTHS, strict=True)) for one in cells)
    return "\r\n".join(lines).encode()


def _geojson() -> bytes:
    features = [{"type": "Feature", "geometry": None, "properties": one} for one in RECORDS]
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()


def _parquet() -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(RECORDS), stream, row_group_size=5)
    return stream.getvalue()


def _zip() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        inside = zipfile.ZipInfo("a.jsonl", date_time=(2026, 1, 1, 0, 0, 0))  # the same bytes each time
        archive.writestr(inside, _lines(), zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def _lines() -> bytes:
    return "\n".join(json.dumps(one, ensure_ascii=False) for one in RECORDS).encode()


def _text(body: bytes) -> str:
    """The text of a source as its owner would open it: UTF-8, else cp1252."""
    with contextlib.suppress(UnicodeDecodeError):
        return body.decode("utf-8-sig")
    return body.decode("cp1252")


def _count_csv(body: bytes) -> int | None:
    """
    Records by Python's csv module; a blank line is none.

    None where a quotation mark or a lone carriage return is damaged: what is one record is then a choice.
    """
    records = csv.reader(io.StringIO(_text(body), newline=""), strict=True)
    try:
        return sum(1 for cells in records if cells) - 1
    except csv.Error:
        return None


def _count_lines(body: bytes) -> int:
    return sum(1 for line in _text(body).split("\n") if line.strip(" \t\r"))


def _count_fixed(body: bytes) -> int:
    return sum(1 for line in _text(body).split("\n") if line.removesuffix("\r")) - 1


def _count_array(body: bytes) -> int | None:
    with contextlib.suppress(ValueError):
        return len(json.loads(_text(body)))
    return None


def _count_geojson(body: bytes) -> int | None:
    with contextlib.suppress(ValueError, KeyError):
        return len(json.loads(_text(body))["features"])
    return None


def _count_gz(body: bytes) -> int | None:
    with contextlib.suppress(OSError, EOFError, zlib.error):
        return _count_csv(gzip.decompress(body))
    return None


def _count_rows(body: bytes) -> int:
    return pq.ParquetFile(io.BytesIO(body)).metadata.num_rows  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Known:
    """A kind of file, a good one of it, and a count of its records that is not ctnb's."""

    name: str
    body: bytes
    count: Callable[[bytes], int | None]
    more: dict[str, Any]


KNOWN = [
    Known("a.csv", _csv(), _count_csv, {}),
    Known("a.tsv", _csv(), _count_csv, {"delimiter": ","}),
    Known("a.txt", _fixed(), _count_fixed, {"format": "fixed", "widths": WIDTHS}),
    Known("a.json", json.dumps(RECORDS, indent=1).encode(), _count_array, {}),
    Known("a.jsonl", _lines(), _count_lines, {}),
    Known("a.geojson", _geojson(), _count_geojson, {"ignore": ["geometry", "feature id"]}),
    Known("a.parquet", _parquet(), _count_rows, {}),
    Known("a.csv.gz", gzip.compress(_csv(), mtime=0), _count_gz, {}),
    Known("a.zip", _zip(), lambda body: None, {}),
]
FILES = int(os.environ.get("CTNB_MUTATED_FILES", "5000"))
"""How many files the slow test damages, over all kinds; `make nightly` may ask for more."""

IDS = [known.name for known in KNOWN]

Mutation = tuple[str, float, bytes]
MUTATIONS = st.lists(
    st.tuples(
        st.sampled_from(["flip", "flip", "cut", "drop", "insert", "repeat"]),
        st.floats(0, 1, exclude_max=True),
        st.one_of(
            st.binary(min_size=1, max_size=4),
            st.sampled_from([b'"', b",", b"\n", b"\r", b"{", b"[", b"\\", b"\0"]),
        ),
    ),
    min_size=1,
    max_size=4,
)


def mutated(body: bytes, mutations: Iterable[Mutation]) -> bytes:
    """`body` after bytes were changed, cut off, taken out, put in or said twice."""
    for kind, share, new in mutations:
        at = int(share * len(body))
        if kind == "flip":
            body = body[:at] + new[:1] + body[at + 1 :]
        elif kind == "cut":
            body = body[:at]
        elif kind == "drop":
            body = body[:at] + body[at + new[0] :]
        elif kind == "insert":
            body = body[:at] + new + body[at:]
        else:
            body = body[:at] + body[at : at + 40] * 2 + body[at + 40 :]
    return body


def check(known: Known, mutations: list[Mutation]) -> None:
    """Read a damaged file of this kind: it is refused without a quotation, or every record is accounted for."""
    body = mutated(known.body, mutations)
    under = contract(*COLUMNS, source={"path": known.name, **known.more}, **ALL_REJECTED)
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = reading(Path(folder), body, under, known.name)
        except SourceInvalid as error:
            assert "Xanthippe" not in whole_story(error)
            assert not list(Path(folder).rglob("*.part"))
            return
    assert found.rows_read == found.table.rows + found.rows_rejected + sum(found.left_out.values())
    expected = known.count(body)
    if expected is not None:
        assert expected == found.rows_read


@pytest.mark.parametrize("known", KNOWN, ids=IDS)
def test_a_whole_file_is_read_whole(known: Known, tmp_path: Path) -> None:
    """The files that are damaged below are good ones, and the count that is not ctnb's counts them."""
    under = contract(*COLUMNS, source={"path": known.name, **known.more})
    found = reading(tmp_path, known.body, under, known.name)
    assert (len(RECORDS), 0) == (found.table.rows, found.rows_rejected)
    assert known.count(known.body) in (len(RECORDS), None)


@pytest.mark.parametrize("known", KNOWN, ids=IDS)
@settings(max_examples=30)
@given(mutations=MUTATIONS)
def test_a_damaged_file_is_refused_or_accounted_for(known: Known, mutations: list[Mutation]) -> None:
    """Nothing but our own errors comes out, and no cell with them."""
    check(known, mutations)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("known", KNOWN, ids=IDS)
@settings(max_examples=FILES // len(KNOWN) + 1)
@given(mutations=MUTATIONS)
def test_thousands_of_damaged_files_are_refused_or_accounted_for(
    known: Known, mutations: list[Mutation]
) -> None:
    """The same, thousands of times over all kinds."""
    check(known, mutations)


def test_what_is_refused_is_an_error_of_ours() -> None:
    """So the command line prints one line and a hint."""
    assert issubclass(SourceInvalid, CtnbError)
