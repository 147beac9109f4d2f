"""Digests: the content digest against a second implementation made from its written definition."""

from __future__ import annotations

import hashlib
import json
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctnb import digests
from ctnb.values import TYPES, Kind, parquet_type, parse_sql, quote_name

VECTORS = sorted((Path(__file__).parent / "vectors").glob("content-digest-*.json"))
CONNECTION = duckdb.connect()
REFERENCE = Path(__file__).parent.parent / "docs" / "reference" / "content-digest.md"

Columns = Sequence[tuple[str, Kind]]
Rows = Sequence[Sequence[str | None]]


def as_written(columns: Columns, rows: Rows) -> str:
    """The digest as docs/reference/content-digest.md defines it, in plain Python."""
    listed = [[name, kind.type, kind.scale] for name, kind in columns]
    told = json.dumps(["ctnb-table/1", listed], separators=(",", ":"), ensure_ascii=False) + "\n"
    told += f"{len(rows)}\n"
    texts = ["".join("-" if c is None else f"{len(c.encode())}:{c}" for c in row) for row in rows]
    told += "".join(f"{one}\n" for one in sorted(hashlib.sha256(t.encode()).hexdigest() for t in texts))
    return "sha256:" + hashlib.sha256(told.encode()).hexdigest()


def as_computed(columns: Columns, rows: Rows) -> str:
    """The digest that ctnb computes over a typed table with these canonical texts."""
    cells = {f"c{place}": [row[place] for row in rows] for place in range(len(columns))}
    CONNECTION.register(
        "texts", pa.table({name: pa.array(column, pa.string()) for name, column in cells.items()})
    )
    typed = ", ".join(
        f"CAST({parse_sql(kind, f'c{place}')} AS {parquet_type(kind)}) AS {quote_name(name)}"
        for place, (name, kind) in enumerate(columns)
    )
    CONNECTION.execute(f"CREATE OR REPLACE TABLE typed AS SELECT {typed} FROM texts")
    return digests.of_table(CONNECTION, "typed", columns)


def kinds(listed: list[list[Any]]) -> list[tuple[str, Kind]]:
    """The columns of a test vector."""
    return [(name, Kind(kind, scale)) for name, kind, scale in listed]


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_the_test_vectors_hold(path: Path) -> None:
    """Two tables and their digests are written down, so that a stranger can check an implementation."""
    vector = json.loads(path.read_text(encoding="utf-8"))
    columns = kinds(vector["columns"])
    assert vector["digest"] == as_written(columns, vector["rows"])
    assert vector["digest"] == as_computed(columns, vector["rows"])


def test_the_vectors_try_every_type() -> None:
    """No type of the table of types is without a vector."""
    listed = [column for path in VECTORS for column in json.loads(path.read_text("utf-8"))["columns"]]
    assert set(TYPES) == {kind for _, kind, _ in listed}


def test_the_python_of_the_reference_gives_the_vectors() -> None:
    """The few lines that the reference shows are right."""
    code = REFERENCE.read_text(encoding="utf-8").split("## In Python\n\n")[1].split("\n\n## ")[0]
    shown: dict[str, Any] = {}
    exec("\n".join(line[4:] for line in code.splitlines()), shown)
    for path in VECTORS:
        vector = json.loads(path.read_text(encoding="utf-8"))
        assert vector["digest"] == shown["content_digest"](vector["columns"], vector["rows"])


TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=6)
CELLS: dict[str, st.SearchStrategy[str]] = {
    "text": TEXTS,
    "integer": st.integers(-(2**63), 2**63 - 1).map(str),
    "number": st.decimals(-(10**9), 10**9, places=3).map(lambda value: format(abs(value), ".3f")),
    "date": st.dates().map(lambda day: day.isoformat()),
    "timestamp": st.datetimes().map(lambda at: at.isoformat(timespec="microseconds")),
    "boolean": st.sampled_from(["true", "false"]),
}
COLUMNS = [("a " + kind, Kind(kind, 3 if kind == "number" else 0)) for kind in CELLS]
TABLES = st.lists(st.tuples(*(st.none() | cells for cells in CELLS.values())), max_size=6)


@given(TABLES)
def test_any_table_has_the_digest_of_the_written_definition(rows: Rows) -> None:
    """DuckDB's SQL and plain Python agree on every table."""
    assert as_written(COLUMNS, rows) == as_computed(COLUMNS, rows)


@given(TABLES, st.randoms())
def test_row_order_does_not_count(rows: Rows, random: Any) -> None:
    """A portal keeps no order, so the digest knows none."""
    other = list(rows)
    random.shuffle(other)
    assert as_computed(COLUMNS, rows) == as_computed(COLUMNS, other)


ONE = [("a", Kind("text"))]
TWO = [("a", Kind("text")), ("b", Kind("text"))]

DIFFERENT = [
    ("a row that stands twice", (ONE, [["x"]]), (ONE, [["x"], ["x"]])),
    ("null and empty text", (ONE, [[None]]), (ONE, [[""]])),
    ("null and a dash", (ONE, [[None]]), (ONE, [["-"]])),
    ("no row and a row of null", (ONE, []), (ONE, [[None]])),
    ("where a cell ends", (TWO, [["ab", "c"]]), (TWO, [["a", "bc"]])),
    ("the order of columns", (TWO, [["x", "x"]]), (TWO[::-1], [["x", "x"]])),
    ("the name of a column", (ONE, [["x"]]), ([("b", Kind("text"))], [["x"]])),
    ("the type of a column", (ONE, [["1"]]), ([("a", Kind("code"))], [["1"]])),
    ("the scale", ([("a", Kind("number", 1))], [["1.0"]]), ([("a", Kind("number", 2))], [["1.00"]])),
    ("letters in another form", (ONE, [["\u00e9"]]), (ONE, [["e\u0301"]])),
    ("case", (ONE, [["x"]]), (ONE, [["X"]])),
    ("two pairs of rows whose xor is the same", (ONE, [["x"], ["x"]]), (ONE, [["y"], ["y"]])),
]


@pytest.mark.parametrize(
    ("one", "other"), [case[1:] for case in DIFFERENT], ids=[case[0] for case in DIFFERENT]
)
def test_what_counts_changes_the_digest(one: tuple[Columns, Rows], other: tuple[Columns, Rows]) -> None:
    """Names, types, scales, order of columns, duplicates, nulls and where a cell ends all count."""
    assert as_computed(*one) != as_computed(*other)


@pytest.mark.parametrize("count", [45_000, 230_000], ids=["as Python's objects", "through Arrow"])
def test_a_large_table_is_hashed_in_pieces(count: int) -> None:
    """More rows than one piece give the digest of the definition too."""
    rows = [[str(number)] for number in range(count)]
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE typed AS SELECT range::BIGINT AS a FROM range({count})")
        found = digests.of_table(connection, "typed", [("a", Kind("integer"))])
    assert as_written([("a", Kind("integer"))], rows) == found


def test_a_keyed_digest_is_an_hmac_of_the_plain_ones_text() -> None:
    """RFC 4231's construction, under the project's key."""
    import hmac

    plain = digests.of_bytes(b"x")
    expected = "hmac-sha256:" + hmac.new(b"k" * 32, plain.encode(), "sha256").hexdigest()
    assert expected == digests.keyed(plain, b"k" * 32)
    assert expected != digests.keyed(plain, b"l" * 32)


def test_the_digest_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    """A file is read in pieces."""
    path = tmp_path / "file"
    path.write_bytes(b"ab" * 300_000)
    assert digests.of_bytes(b"ab" * 300_000) == digests.of_file(path)


def test_processes_that_make_the_key_at_once_agree(tmp_path: Path) -> None:
    """The first one's key is everybody's, and only its owner may read it."""
    path = tmp_path / "key"
    code = "import sys; from pathlib import Path; from ctnb.digests import project_key\n"
    code += "print(project_key(Path(sys.argv[1])).hex())"
    command = [sys.executable, "-c", code, str(path)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(4)]
    told = {process.communicate()[0] for process in processes}
    assert {path.read_bytes().hex().encode() + b"\n"} == told
    assert len(path.read_bytes()) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [path] == list(tmp_path.iterdir())


def test_canonical_json_has_one_form() -> None:
    """Sorted keys, no blanks, UTF-8."""
    assert '{"a":[1,"é"],"b":null}'.encode() == digests.canonical_json({"b": None, "a": [1, "é"]})


def test_canonical_json_has_no_nan() -> None:
    """NaN is not JSON."""
    with pytest.raises(ValueError, match="JSON"):
        digests.canonical_json(float("nan"))
