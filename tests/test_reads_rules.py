"""Rules over rows, keys and reference tables, and cells that become empty: each counted, none in silence."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path
from typing import Any

import pytest
from error_texts import whole_story
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from test_reads import ALL_REJECTED, CANARY, contract, reading, rejects, rows, text
from test_reads_several import union

from ctnb.errors import ContractInvalid, SourceInvalid, TooManyRejects
from ctnb.reads import NulledCount, Reading, RejectCount, lines

SPAN = [
    {"name": "opened", "type": "date"},
    {"name": "closed", "type": "date"},
]
ORDER = {"rule": "closed after opened", "must": "closed >= opened"}


def test_a_row_that_breaks_a_row_rule_is_set_aside(tmp_path: Path) -> None:
    """An empty cell leaves the condition open, and the row goes on."""
    under = contract(*SPAN, row_rules=[ORDER], **ALL_REJECTED)
    source = "opened,closed\n2020-01-02,2020-01-03\n2020-01-02,2020-01-01\n2020-01-02,\n"
    found = reading(tmp_path, source, under)
    assert [(2, "", "closed after opened")] == rejects(found)
    assert (RejectCount("", "closed after opened", 1),) == found.rejects
    assert 2 == found.table.rows


def test_a_row_rule_may_want_to_be_sure(tmp_path: Path) -> None:
    """if_unknown: reject sets aside what cannot be told."""
    under = contract(*SPAN, row_rules=[{**ORDER, "if_unknown": "reject"}], **ALL_REJECTED)
    found = reading(tmp_path, "opened,closed\n2020-01-02,\n2020-01-02,2020-01-02\n", under)
    assert [(1, "", "closed after opened")] == rejects(found)


@pytest.mark.parametrize(
    ("must", "kept"),
    [
        ("n > 1 AND n < 4", [2, 3]),
        ("n IN (1, 4) OR t LIKE 'c%'", [1, 3, 4]),
        ("CASE WHEN n > 2 THEN t IS NOT NULL ELSE true END", [1, 2, 3, 4]),
        ("length(t) + n = 3", [2]),
        ("n BETWEEN 2 AND 3 -- a comment", [2, 3]),
        ("t::integer IS NULL", [1, 2, 3, 4]),
        ("n % 2 = 0", [2, 4]),
        ("t <> 'says \"column 1 of the rule\"; DROP TABLE typed'", [1, 2, 3, 4]),
    ],
)
def test_a_row_rule_is_any_condition_over_the_rows_columns(
    tmp_path: Path, must: str, kept: list[int]
) -> None:
    """Comparisons, arithmetic, CASE and plain functions; a cast that fails is an empty value, no error."""
    columns = [{"name": "n", "type": "integer"}, {"name": "t", "type": "text"}]
    under = contract(*columns, row_rules=[{"rule": "r", "must": must}], **ALL_REJECTED)
    found = reading(tmp_path, "n,t\n1,a\n2,b\n3,c\n4,d\n", under)
    assert kept == [row[0] for row in rows(found)]


@pytest.mark.parametrize(
    "must",
    [
        "n", "zz > 1", "1) FROM read_csv('/etc/passwd') --", "EXISTS (SELECT 1)", "(SELECT 1) = 1", "sum(n) > 1",
        "read_text('/etc/passwd') IS NULL", "getenv('HOME') = 'x'", "n > 1, n > 2", "*", "random() < 0.5",
        "error(t) IS NULL", "n > 1; DROP TABLE x", "a.n > 1", "row_number() OVER () > 1", "$1", "n >", "",
        "nextval('x') > 1", "list_filter([n], x -> x > 1) IS NULL", "query('select 1') IS NULL",
        "current_setting('home_directory') = ''", "n = ANY (SELECT 1)", "COLUMNS(*) > 1", "n > 1 /*",
    ],
)  # fmt: skip
def test_a_row_rule_that_is_no_condition_is_refused_before_a_row_is_read(must: str) -> None:
    """SQL is a door: what reads anything but the row's cells does not pass it."""
    columns = [{"name": "n", "type": "integer"}, {"name": "t", "type": "text"}]
    with pytest.raises(ValidationError):
        contract(*columns, row_rules=[{"rule": "r", "must": must}])


def test_two_row_rules_have_two_names() -> None:
    """The record counts by name."""
    with pytest.raises(ValidationError, match="stands twice"):
        contract(*SPAN, row_rules=[ORDER, ORDER])


def test_a_misspelt_column_of_a_row_rule_is_told() -> None:
    """As everywhere, the nearest name is offered."""
    with pytest.raises(ValidationError, match="did you mean 'closed'"):
        contract(*SPAN, row_rules=[{"rule": "r", "must": "closd > opened"}])


def test_a_row_rule_that_fails_on_a_row_quotes_nothing(tmp_path: Path) -> None:
    """A number that grows too large ends the reading with the rule's kind, not with the number."""
    columns = [{"name": "n", "type": "integer"}]
    under = contract(*columns, row_rules=[{"rule": "r", "must": "n * n > 0"}])
    with pytest.raises(ContractInvalid, match="cannot be computed") as caught:
        reading(tmp_path, f"n\n{2**63 - 1}\n", under)
    assert str(2**63 - 1) not in whole_story(caught.value)


def test_columns_may_be_unique_together(tmp_path: Path) -> None:
    """Every row of a pair that stands twice is set aside; an empty cell is not compared."""
    under = contract(*text("town", "year", "x"), unique=[["town", "year"]], **ALL_REJECTED)
    source = "town,year,x\nA,1,p\nA,2,q\nA,1,r\nA,,s\nA,,t\n"
    found = reading(tmp_path, source, under)
    assert [(1, "town, year", "unique"), (3, "town, year", "unique")] == rejects(found)
    assert (RejectCount("town, year", "unique", 2),) == found.rejects


def test_pairs_that_stand_once_are_read_in_one_pass(tmp_path: Path) -> None:
    """A composite key alone does not slow a reading down."""
    under = contract(*text("town", "year"), unique=[["town", "year"]])
    found = reading(tmp_path, "town,year\nA,1\nA,2\nB,1\nA,\nA,\n", under)
    assert (5, 0) == (found.table.rows, found.rows_rejected)


def test_key_collisions_are_rejects_where_rows_come_out_as_they_are_read(tmp_path: Path) -> None:
    """Two rows of one key: neither is right by itself. A transform may be what makes the key unique."""
    source = "id,x\n1,a\n2,b\n 1,c\n"
    columns = [{"name": "id", "type": "code"}, *text("x")]
    found = reading(tmp_path, source, contract(*columns, key=["id"], **ALL_REJECTED))
    assert (RejectCount("id", "key", 2),) == found.rejects
    kept = {"transform": {"rules": [{"keep": "x <> 'c'", "name": "old"}]}}
    assert 3 == reading(tmp_path, source, contract(*columns, key=["id"], **kept)).table.rows


def test_a_value_must_stand_in_its_reference_table(tmp_path: Path) -> None:
    """The table's cells are typed as the column is; blanks around them do not count."""
    column = {
        "name": "town",
        "type": "code",
        "constraints": {"reference": {"path": "t.csv", "column": "Town"}},
    }
    other = {"name": "n", "type": "integer", "constraints": {"reference": "numbers"}}
    more = {"references": {"numbers": {"path": "t.csv", "column": "No"}}}
    files = {
        "a.csv": "town,n\nAndover,1\nBoltn,1\n,2\n Bolton ,002\n",
        "t.csv": "No,Town\n01, Andover\n,Bolton\n",
    }
    found = union(tmp_path, files, contract(column, other, **more, **ALL_REJECTED))
    assert [("Andover", 1)] == rows(found)
    assert [
        (2, "town", "reference"), (3, "n", "reference"), (4, "n", "reference"),
    ] == rejects(found)  # fmt: skip
    assert ["a.csv", "t.csv", "t.csv"] == [one.name for one in found.gathered.snapshots]


@pytest.mark.parametrize(
    ("table", "told"),
    [("Town\nAndover\n", "holds 1 cells that are no integer"), ("T\n1\n", "'Town' of dataset.yml stands 0 times"),
     ("", "is empty"), ("Town\n1,2\n", "1 of its records do not fit")],
)  # fmt: skip
def test_a_reference_table_that_cannot_be_used_is_refused(tmp_path: Path, table: str, told: str) -> None:
    """Without it the rule could not be asked."""
    column = {
        "name": "a",
        "type": "integer",
        "constraints": {"reference": {"path": "t.csv", "column": "Town"}},
    }
    with pytest.raises(SourceInvalid, match=told) as caught:
        union(tmp_path, {"a.csv": "a\n1\n", "t.csv": table}, contract(column))
    assert "Andover" not in whole_story(caught.value)


def test_a_reference_outside_the_roots_is_refused(tmp_path: Path) -> None:
    """A reference table is a file like any source."""
    outside = {"path": "/etc/hosts", "column": "x", "format": "csv"}
    column = {"name": "a", "type": "text", "constraints": {"reference": outside}}
    with pytest.raises(SourceInvalid, match="outside the folders"):
        reading(tmp_path, "a\n1\n", contract(column))


def test_a_reference_that_is_not_there_is_told_at_once() -> None:
    """A name is one of references:."""
    with pytest.raises(ValidationError, match="is not one of references"):
        contract({"name": "a", "type": "text", "constraints": {"reference": "towns"}})


NULLING = {"rejects": {"policy": "null the cell", "nulled_at_most_share": 1.0}}


def nulled(folder: Path, source: str, *columns: dict[str, Any], **more: Any) -> Reading:
    """What reading under the policy null the cell gives."""
    said = {**NULLING["rejects"], "at_most_share": 1.0, **more.pop("rejects", {})}
    return reading(folder, source, contract(*columns, rejects=said, **more))


def test_a_cell_that_does_not_fit_may_become_empty_and_is_counted(tmp_path: Path) -> None:
    """By column and rule, like any loss; its row goes on and its original is kept."""
    columns = [
        {"name": "id", "type": "code", "constraints": {"required": True}},
        {"name": "n", "type": "integer", "constraints": {"maximum": 9}},
    ]
    found = nulled(tmp_path, f"id,n\na,1\nb,{CANARY}\nc,12\n,x\nd,\n", *columns)
    assert [("a", 1), ("b", None), ("c", None), ("d", None)] == rows(found)
    assert (NulledCount("n", "type integer", 1), NulledCount("n", "maximum", 1)) == found.nulled
    assert (RejectCount("id", "required", 1),) == found.rejects
    assert (5, 1) == (found.rows_read, found.rows_rejected)
    n = found.columns[1]
    assert (1, 1, 3, 2) == (n.converted, n.empty, n.failed, n.nulled)
    assert found.rejects_path is not None
    told = [(one.row, one.rule, one.done, one.cells) for one in lines.load_lines(found.rejects_path)]
    assert [
        (2, "type integer", "cell emptied", ["b", CANARY]),
        (3, "maximum", "cell emptied", ["c", "12"]),
        (4, "required", "set aside", ["", "x"]),
    ] == told


def test_a_required_or_key_cell_never_becomes_empty(tmp_path: Path) -> None:
    """Its row is set aside, whatever the policy."""
    columns = [
        {"name": "id", "type": "integer"},
        {"name": "day", "type": "date", "constraints": {"required": True}},
    ]
    found = nulled(tmp_path, "id,day\nx,2020-01-01\n1,never\n2,2020-01-01\n", *columns, key=["id"])
    assert [("id", "type integer"), ("day", "type date")] == [(one.column, one.rule) for one in found.rejects]
    assert ((), 1) == (found.nulled, found.table.rows)


def test_only_the_columns_and_rules_that_are_named_allow_it(tmp_path: Path) -> None:
    """null_columns and null_rules say where a gap is better than a missing row."""
    columns = [
        {"name": "a", "type": "integer"},
        {"name": "b", "type": "integer", "constraints": {"minimum": 0}},
    ]
    said = {"null_columns": ["b"], "null_rules": ["minimum"]}
    found = nulled(tmp_path, "a,b\nx,1\n1,x\n2,-1\n3,3\n", *columns, rejects=said)
    assert [(2, None), (3, 3)] == rows(found)
    assert [("a", "type integer", 1), ("b", "type integer", 1)] == [
        (one.column, one.rule, one.rows) for one in found.rejects
    ]


def test_rules_over_rows_see_what_goes_on(tmp_path: Path) -> None:
    """An emptied cell is empty for row rules and keys too."""
    columns = [
        {"name": "a", "type": "integer", "constraints": {"maximum": 5}},
        {"name": "b", "type": "integer"},
    ]
    more = {"row_rules": [{"rule": "order", "must": "a <= b"}], "unique": [["a", "b"]]}
    found = nulled(tmp_path, "a,b\n9,1\n9,1\n3,1\n", *columns, **more)
    assert [(None, 1), (None, 1)] == rows(found)
    assert (RejectCount("", "order", 1),) == found.rejects


def test_too_many_emptied_cells_end_the_run(tmp_path: Path) -> None:
    """A date format that changed would empty a whole column: that is no small loss."""
    columns = [*text("t"), {"name": "n", "type": "integer"}]
    under = contract(*columns, rejects={"policy": "null the cell"})
    with pytest.raises(TooManyRejects, match=r"More cells .* \(5\.00% of 3\): n 1\.") as caught:
        reading(tmp_path, f"t,n\na,{CANARY}\nb,1\nc,2\n", under)
    assert "Xanthippe" not in whole_story(caught.value)
    assert (tmp_path / "work" / "rejects.parquet").is_file()


def test_stop_allows_no_reject(tmp_path: Path) -> None:
    """Any row that does not fit fails the run, and the contract cannot say both."""
    columns = [{"name": "n", "type": "integer"}]
    with pytest.raises(TooManyRejects, match="1 of 2 rows"):
        reading(tmp_path, "n\n1\nx\n", contract(*columns, rejects={"policy": "stop"}))
    with pytest.raises(ValidationError, match="stop allows no reject"):
        contract(*columns, rejects={"policy": "stop", "at_most_share": 0.1})
    with pytest.raises(ValidationError, match="only with policy: null the cell"):
        contract(*columns, rejects={"null_columns": ["n"]})


def test_shapes_of_cells_that_fail_are_told_where_they_are_common(tmp_path: Path) -> None:
    """A shape that few cells have may say whose they are; five alike are a habit of the source."""
    columns = [{"name": "day", "type": "date"}]
    cells = ["1/2/2020", "3/4/2021", "5/6/2022", "7/8/2023", "9/1/2024", CANARY, "n/a", "n/a", "n/a", "n/a"]
    found = reading(tmp_path, "day\n" + "\n".join(cells), contract(*columns, **ALL_REJECTED))
    assert [("day", "type date", "9/9/999…", 5)] == [
        (one.column, one.rule, one.shape, one.cells) for one in found.shapes
    ]


ROWS = st.lists(
    st.tuples(st.sampled_from(["", "a", "b", " a "]), st.sampled_from(["", "1", "7", "x", "007"])), max_size=8
)


@given(ROWS)
def test_the_account_under_every_rule_is_the_one_of_the_csv_module(records: list[tuple[str, str]]) -> None:
    """A key that collides, a number too large, a type that fails: kept, emptied and set aside by Python's count."""
    stream = io.StringIO()
    csv.writer(stream, quoting=csv.QUOTE_ALL).writerows([["k", "n"], *records])
    columns = [
        {"name": "k", "type": "code", "constraints": {"required": True, "unique": True}},
        {"name": "n", "type": "integer", "constraints": {"maximum": 5}},
    ]
    with tempfile.TemporaryDirectory() as folder:
        found = nulled(Path(folder), stream.getvalue(), *columns)
        kept = rows(found)
    read = list(csv.reader(io.StringIO(stream.getvalue(), newline="")))[1:]
    keys = [record[0].strip() for record in read]
    goes_on = [bool(key) and keys.count(key) == 1 for key in keys]
    wanted = [
        (key, 1 if n == "1" else None) for key, (_, n), on in zip(keys, read, goes_on, strict=True) if on
    ]
    emptied = sum(n in ("7", "x", "007") for (_, n), on in zip(read, goes_on, strict=True) if on)
    assert len(read) == found.rows_read == len(kept) + found.rows_rejected
    assert (wanted, emptied) == (kept, sum(one.cells for one in found.nulled))
