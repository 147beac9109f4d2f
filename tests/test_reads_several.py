"""Several files become one table, each held against the contract by itself; lookups add columns by a key."""

from __future__ import annotations

import csv
import io
import json
import random
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import reading_files
from error_texts import whole_story
from hypothesis import given
from hypothesis import strategies as st
from test_reads import ALL_REJECTED, CANARY, contract, reading, rows, text

from ctnb import reads, snapshots
from ctnb.datasets import Contract, Dataset
from ctnb.errors import SourceInvalid
from ctnb.places.fetched import Fetched
from ctnb.places.fetching import Gathered, gathered_from_json
from ctnb.reads import JoinCount, Reading, close, lines, straight
from ctnb.reads.inputs import make_job

TOWN = [{"name": "town", "type": "text"}, {"name": "people", "type": "integer"}]


def union(folder: Path, files: Mapping[str, str | bytes], under: Contract) -> Reading:
    """What reading the files, written into the dataset's folder, gives."""
    dataset = Dataset("sample", folder / "notebooks" / "sample", under, "")
    work = folder / "work"
    dataset.folder.mkdir(parents=True, exist_ok=True)
    work.mkdir(exist_ok=True)
    for name, content in files.items():
        path = dataset.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return reading_files.read(dataset, work)


def parts(*said: Mapping[str, Any] | str, **more: Any) -> dict[str, Any]:
    """A source that is a union."""
    return {"union": [{"path": one} if isinstance(one, str) else one for one in said], **more}


def set_aside(found: Reading) -> list[tuple[str, int, str, str]]:
    """File, row, column and rule of each line of the rejects file."""
    assert found.rejects_path is not None
    return [(one.file, one.row, one.column, one.rule) for one in lines.load_lines(found.rejects_path)]


def test_files_that_fit_the_contract_become_one_table(tmp_path: Path) -> None:
    """In the order of the contract, whatever the order of their columns."""
    files = {"a.csv": "town,people\nAndover,1\n", "b.csv": "people,town\n2,Bolton\n"}
    found = union(tmp_path, files, contract(*TOWN, source=parts("a.csv", "b.csv")))
    assert [("Andover", 1), ("Bolton", 2)] == rows(found)
    assert (2, 0, None) == (found.rows_read, found.rows_rejected, found.rejects_path)


def test_each_part_has_its_own_format_encoding_nulls_and_ignored_headers(tmp_path: Path) -> None:
    """Offices export in their own ways."""
    source = parts(
        {"path": "a.csv", "nulls": ["-"], "delimiter": ";"},
        {"path": "b.csv", "ignore": ["Notes"], "encoding": "cp1252"},
        {"path": "c.txt", "format": "tsv"},
    )
    files: dict[str, str | bytes] = {
        "a.csv": "town;people\nAndover;-\n",
        "b.csv": "town,Notes,people\nCaf\xe9 Corner,x,2\n".encode("cp1252"),
        "c.txt": "town\tpeople\n-\t3\n",
    }
    found = union(tmp_path, files, contract(*TOWN, source=source))
    assert [("Andover", None), ("Café Corner", 2), ("-", 3)] == rows(found)
    assert "cp1252, utf-8" == found.encoding


def test_dates_of_a_workbook_and_of_text_meet_in_one_column(tmp_path: Path) -> None:
    """A date that is one in its workbook needs no format; the text beside it does."""
    from datetime import date

    import openpyxl

    book = openpyxl.Workbook()
    for row in (["day"], [date(2020, 2, 1)]):
        book.active.append(row)
    stream = io.BytesIO()
    book.save(stream)
    column = {"name": "day", "type": "date", "format": "MM/DD/YYYY"}
    files: dict[str, str | bytes] = {"a.xlsx": stream.getvalue(), "b.csv": "day\n3/1/2020\n2020-04-01\n"}
    found = union(tmp_path, files, contract(column, source=parts("a.xlsx", "b.csv"), **ALL_REJECTED))
    assert [(date(2020, 2, 1),), (date(2020, 3, 1),)] == rows(found)
    assert [("b.csv", 2, "day", "type date")] == set_aside(found)


def test_a_file_that_does_not_fit_fails_the_whole_reading_by_its_name(tmp_path: Path) -> None:
    """Three months that fit do not go out without the fourth."""
    files = {"a.csv": "town,people\nAndover,1\n", "b.csv": f"town,{CANARY}\nBolton,2\n"}
    with pytest.raises(SourceInvalid, match=r"The file b\.csv: .*people is missing") as caught:
        union(tmp_path, files, contract(*TOWN, source=parts("a.csv", "b.csv")))
    assert "Xanthippe" not in whole_story(caught.value)
    assert not (tmp_path / "work" / "read.parquet").exists()


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    """Also what stumbles before there is a header says which file it was."""
    files: dict[str, str | bytes] = {"a.csv": "town,people\n", "b.csv": b"town,people\nx\0,1\n"}
    with pytest.raises(SourceInvalid, match=r"The file b\.csv: .*zero bytes"):
        union(tmp_path, files, contract(*TOWN, source=parts("a.csv", "b.csv")))


def test_rejects_say_which_file_they_come_from(tmp_path: Path) -> None:
    """Row 1 of one file is not row 1 of another, and files of one name are told apart."""
    files = {
        "north/town.csv": "town,people\nAndover,many\nBolton,2\n",
        "south/town.csv": "people,town\n3,Canton,x\nfew,Durham\n",
    }
    source = parts("north/town.csv", "south/town.csv")
    found = union(tmp_path, files, contract(*TOWN, source=source, **ALL_REJECTED))
    assert [
        ("town.csv (1)", 1, "people", "type integer"),
        ("town.csv (2)", 1, "", "too many cells"),
        ("town.csv (2)", 2, "people", "type integer"),
    ] == set_aside(found)
    assert [("Bolton", 2)] == rows(found)
    assert found.rejects_path is not None
    told = lines.load_lines(found.rejects_path)
    assert ["Andover", "many"] == told[0].cells
    assert "people is no integer." == told[0].message
    assert [("draft", "set aside")] * 3 == [(one.run, one.done) for one in told]


def test_files_of_one_place_are_one_part(tmp_path: Path) -> None:
    """A folder gives several files; each has the part's settings."""
    under = contract(*TOWN, source={"path": "x.csv", "nulls": ["none"]})
    dataset = Dataset("sample", tmp_path, under, "")
    taken = []
    for name, content in {"1.csv": "town,people\nAndover,none\n", "2.csv": "people,town\n5,none\n"}.items():
        (tmp_path / name).write_text(content)
        taken.append(snapshots.take(tmp_path / name, tmp_path, prefix=f"snapshot-{name}"))
    gathered = Gathered((Fetched(tuple(taken)),))
    found = reads.read(dataset, gathered_from_json(json.loads(json.dumps(gathered.to_json()))), tmp_path)
    assert [("Andover", None), (None, 5)] == rows(found)


def test_the_rows_that_a_place_promised_must_be_there(tmp_path: Path) -> None:
    """A portal that counts 3 rows and sends 2 has changed under way."""
    dataset = Dataset("sample", tmp_path, contract(*TOWN), "")
    (tmp_path / "1.csv").write_text("town,people\nAndover,1\nBolton,x\n")
    taken = snapshots.take(tmp_path / "1.csv", tmp_path)
    for promised in (1, 3):
        with pytest.raises(SourceInvalid, match=f"has {promised} rows, .* 2 were read"):
            reads.read(dataset, Gathered((Fetched((taken,), rows=promised),)), tmp_path)
    under = contract(*TOWN, **ALL_REJECTED)
    found = reads.read(replace(dataset, contract=under), Gathered((Fetched((taken,), rows=2),)), tmp_path)
    assert (2, 1) == (found.rows_read, found.rows_rejected)


def test_promises_of_several_parts_are_held_each_by_itself(tmp_path: Path) -> None:
    """A row too many here does not make up for one too few there."""
    dataset = Dataset("sample", tmp_path, contract(*TOWN, source=parts("a.csv", "b.csv")), "")
    fetched = []
    for number, count in ((1, 2), (2, 0)):
        path = tmp_path / f"{number}.csv"
        path.write_text("town,people\nAndover,1\n")
        fetched.append(Fetched((snapshots.take(path, tmp_path, prefix=f"s{number}"),), rows=count))
    with pytest.raises(SourceInvalid, match=r"has 2 rows, .* 1 were read"):
        reads.read(dataset, Gathered(tuple(fetched)), tmp_path)


def test_one_pass_and_the_close_look_give_the_same_table(tmp_path: Path) -> None:
    """Many files that fit are read in one pass, in their order; the close reading agrees digest for digest."""
    dice, names = random.Random(7), [f"{n}.csv" for n in range(12)]
    body = {name: "town,people\n" + "".join(f"T{dice.random()},{n}\n" for n in range(500)) for name in names}
    found = union(tmp_path, body, contract(*TOWN, source=parts(*names)))
    dataset = Dataset("sample", tmp_path / "notebooks" / "sample", contract(*TOWN, source=parts(*names)), "")
    job = make_job(dataset, found.gathered, "draft")
    one_pass = straight.read_straight(job, tmp_path / "work")
    assert one_pass is not None
    wanted = [(t, int(n)) for name in names for t, n in list(csv.reader(io.StringIO(body[name])))[1:]]
    assert wanted == rows(one_pass)
    assert one_pass.table.digest == close.read_closely(job, tmp_path / "work").table.digest
    assert wanted == rows(found)


def test_a_file_told_in_place_of_a_union_is_read_by_what_the_union_itself_says(tmp_path: Path) -> None:
    """--source names one file; the union's own keys say how it is written."""
    under = contract(*TOWN, source=parts("a.csv", "b.csv", delimiter=";"))
    dataset = Dataset("sample", tmp_path, under, "")
    (tmp_path / "told.csv").write_text("town;people\nAndover;1\n")
    found = reading_files.read(dataset, tmp_path, source=str(tmp_path / "told.csv"))
    assert [("Andover", 1)] == rows(found)


CODES = {
    "name": "codes",
    "source": {"path": "codes.csv", "nulls": ["?"]},
    "on": {"Code": "Town code"},
    "take": ["County"],
}
JOINED = [
    {"name": "code", "header": "Code", "type": "code"},
    {"name": "people", "type": "integer"},
    {"name": "county", "header": "County", "type": "text"},
]


def joined(folder: Path, source: str, lookup: str, *columns: Mapping[str, Any], **more: Any) -> Reading:
    """What reading `source` with the lookup gives."""
    under = contract(
        *(columns or JOINED), source={"path": "a.csv", "joins": [{**CODES, **more}]}, **ALL_REJECTED
    )
    return union(folder, {"a.csv": source, "codes.csv": lookup}, under)


def test_columns_are_looked_up_by_a_key(tmp_path: Path) -> None:
    """Keys are text without the blanks around them: 01 is not 1. The lookup's other columns are left."""
    lookup = "County,Town code,Other\nTolland, 01 ,x\n?,02,y\n"
    found = joined(tmp_path, "Code,people\n01,5\n 02,6\n1,7\n,8\n", lookup)
    assert [("01", 5, "Tolland"), ("02", 6, None)] == rows(found)
    assert [("a.csv", 3, "", "no match in codes"), ("a.csv", 4, "", "no match in codes")] == set_aside(found)
    assert (JoinCount("codes", 2, 2),) == found.joins


def test_rows_without_a_match_may_go_on_empty(tmp_path: Path) -> None:
    """missing: empty keeps them, and the counts tell."""
    found = joined(tmp_path, "Code,people\n01,5\n09,6\n", "Town code,County\n01,Tolland\n", missing="empty")
    assert [("01", 5, "Tolland"), ("09", 6, None)] == rows(found)
    assert ((JoinCount("codes", 1, 1),), 0) == (found.joins, found.rows_rejected)


def test_a_key_that_no_column_holds_needs_no_column(tmp_path: Path) -> None:
    """What joins names is known; the key itself need not be published."""
    columns = JOINED[1:]
    found = joined(tmp_path, "Code,people\n01,5\n", "Town code,County\n01,Tolland\n", *columns)
    assert [(5, "Tolland")] == rows(found)


def test_a_key_of_several_columns(tmp_path: Path) -> None:
    """Each pair stands once, though each part of it stands often."""
    columns = [{"name": "rate", "type": "number", "scale": 1}]
    join = {"on": {"Town": "Town", "Year": "Year"}, "take": ["rate"]}
    lookup = "Town,Year,rate\nAndover,2020,1.5\nAndover,2021,2.5\nBolton,2020,3.5\n"
    found = joined(tmp_path, "Town,Year\nAndover,2021\nBolton,2020\nBolton,2021\n", lookup, *columns, **join)
    assert ["2.5", "3.5"] == [str(row[0]) for row in rows(found)]
    assert (JoinCount("codes", 2, 1),) == found.joins


@pytest.mark.parametrize(
    ("source", "lookup", "told"),
    [
        (
            "Code,people\n",
            "Town code,County\n01,A\n01,A\n02,B\n 02,C\n",
            "2 keys that stand there more than once",
        ),
        ("Code,people\n", "Town code,Count\n01,A\n", "'County' of dataset.yml stands 0 times"),
        (
            "Code,people,County\n",
            "Town code,County\n01,A\n",
            "'County' of the lookup codes stands in the source",
        ),
        ("Kode,people\n", "Town code,County\n01,A\n", "'Code' of dataset.yml stands 0 times"),
        ("Code,people\n", "Town code,County\n01,A,B\n", "1 of its records do not fit"),
        ("Code,people\n", "", "is empty"),
    ],
)
def test_a_lookup_that_cannot_be_used_is_refused(tmp_path: Path, source: str, lookup: str, told: str) -> None:
    """Counts and the contract's headers alone are told."""
    with pytest.raises(SourceInvalid, match=told) as caught:
        joined(tmp_path, source, lookup)
    assert "Tolland" not in whole_story(caught.value)


def test_rows_of_a_lookup_without_a_key_are_told(tmp_path: Path) -> None:
    """A blank key matches nothing; how many there are is a note of the reading."""
    found = joined(tmp_path, "Code,people\n01,5\n", "Town code,County\n01,Tolland\n,New\n")
    assert ("lookup codes: 1 rows without a key",) == found.notes


def test_a_second_lookup_may_use_what_the_first_added(tmp_path: Path) -> None:
    """Town to county, county to region."""
    joins = [
        CODES,
        {"name": "regions", "source": {"path": "r.csv"}, "on": {"County": "C"}, "take": ["Region"]},
    ]
    columns = [*JOINED, {"name": "region", "header": "Region", "type": "text"}]
    files = {
        "a.csv": "Code,people\n01,5\n",
        "codes.csv": "Town code,County\n01,Tolland\n",
        "r.csv": "C,Region\nTolland,East\n",
    }
    found = union(tmp_path, files, contract(*columns, source={"path": "a.csv", "joins": joins}))
    assert [("01", 5, "Tolland", "East")] == rows(found)
    assert [("codes", 1), ("regions", 1)] == [(one.name, one.matched) for one in found.joins]


CELLS = st.text(st.sampled_from('x1 ,"\n\r'), max_size=4)
RECORDS = st.lists(st.lists(CELLS, min_size=1, max_size=3), max_size=5)


@given(st.lists(RECORDS, min_size=1, max_size=3))
def test_the_account_of_several_files_is_the_one_of_the_csv_module(files: list[list[list[str]]]) -> None:
    """Rows read, kept and rejected are those that Python's own reader counts, whatever the files hold."""
    texts = {f"{n}.csv": _written([["a", "n"], *records]) for n, records in enumerate(files)}
    columns = [{"name": "a", "type": "text"}, {"name": "n", "type": "integer"}]
    with tempfile.TemporaryDirectory() as folder:
        under = contract(*columns, source=parts(*texts), **ALL_REJECTED)
        found = union(Path(folder), texts, under)
        kept = rows(found)
    wanted = [_expected(text) for text in texts.values()]
    assert sum(read for read, _ in wanted) == found.rows_read == len(kept) + found.rows_rejected
    assert [row for _, fitting in wanted for row in fitting] == kept


def _written(records: Sequence[Sequence[str]]) -> str:
    stream = io.StringIO()
    csv.writer(stream, quoting=csv.QUOTE_ALL).writerows(records)
    return stream.getvalue()


def _expected(text: str) -> tuple[int, list[tuple[str | None, int | None]]]:
    """How many records there are, and those with two cells of which the second is a number or empty."""
    records = [one for one in list(csv.reader(io.StringIO(text, newline="")))[1:] if one]
    fits = []
    for record in records:
        first, *others = [cell if cell.strip(" \t\r\n") else None for cell in record]
        if not others or any(record[2:]):
            continue
        number = (others[0] or "").strip(" \t\r\n")
        if not number or (number.isascii() and number.isdigit()):
            fits.append((first, int(number) if number else None))
    return len(records), fits


def test_text_of_one_file_needs_no_name(tmp_path: Path) -> None:
    """Where there is one file, nothing is put before the message."""
    with pytest.raises(SourceInvalid, match=r"^The source's header"):
        reading(tmp_path, "b\n1\n", contract(*text("a")))
