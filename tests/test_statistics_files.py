"""SAS, SPSS and Stata files: codes as text, dates as ISO, missing values counted, labels only when asked for."""

from __future__ import annotations

import ctypes
import datetime as dt
import math
import random
import sys
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest

from ctnb.errors import SourceInvalid, UsageError
from ctnb.proposals import proposing
from ctnb.proposals.places import Told
from ctnb.settings import Project
from ctnb.sources import statistics_files
from ctnb.sources.formats import open_source
from ctnb.sources.number_texts import number_text
from ctnb.sources.opened import Asked, Loaded
from ctnb.sources.statistics_cells import writer

KINDS = ("sav", "zsav", "por", "xpt", "dta")
FRAME = pd.DataFrame(
    {
        "ID": [1.0, 2.0, math.nan],
        "RATE": [0.1, 1e-7, 12345678.25],
        "ZIP": ["06103", "café", ""],
        "DIED": [dt.date(2020, 1, 2), dt.date(1582, 10, 15), None],
        "SEEN": [dt.datetime(2020, 1, 2, 3, 4, 5), dt.datetime(1999, 12, 31, 23, 59, 59), None],
        "SEX": [1.0, 2.0, 9.0],
    }
)
LABELS = {"SEX": {1: "Female", 2: "Male", 9: "Unknown"}}
CANARY = "Xanthippe Quill"


@pytest.fixture
def library() -> Any:
    """pyreadstat, which writes the files that the tests read."""
    import pyreadstat

    return pyreadstat


def written(library: Any, folder: Path, kind: str, frame: pd.DataFrame = FRAME, **options: Any) -> Path:
    """`frame` as a file of `kind`."""
    path = folder / f"a.{kind}"
    if kind == "por":
        frame = frame.drop(columns="ZIP", errors="ignore")  # its text cannot hold é
    if kind == "zsav":
        options["compress"] = True
    names = {"zsav": "write_sav", "xpt": "write_xport"}
    getattr(library, names.get(kind, f"write_{kind}"))(frame, path, **options)
    return path


def loaded(path: Path, **asked: Any) -> tuple[tuple[str, ...], list[tuple[Any, ...]], Loaded]:
    """Header, rows with their numbers, and what became of them."""
    opened = open_source(path, path.name, Asked(**asked))
    with duckdb.connect() as connection:
        found = opened.load(connection, path.parent)
        return opened.header, connection.execute("SELECT * FROM numbered ORDER BY _row").fetchall(), found


STRING, DOUBLE = 0, 5
"""ReadStat's numbers for types."""


def sas_file(
    library: Any, path: Path, rows: list[tuple[Any, ...]], variables: list[tuple[str, int, str]]
) -> Path:
    """
    A sas7bdat with `variables` - name, type, format - written by ReadStat, the library inside pyreadstat.

    pyreadstat has no function for it, so ReadStat's own are called. A one-letter bytes is a tagged missing value.
    """
    native = ctypes.CDLL(library._readstat_writer.__file__)
    for name in ("readstat_writer_init", "readstat_add_variable"):
        getattr(native, name).restype = ctypes.c_void_p
    written_to = bytearray()

    @ctypes.CFUNCTYPE(ctypes.c_ssize_t, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)
    def take(data: int, length: int, _context: int) -> int:
        written_to.extend(ctypes.string_at(data, length))
        return length

    writer_ = ctypes.c_void_p(native.readstat_writer_init())
    native.readstat_set_data_writer(writer_, take)
    made = []
    for name, kind, form in variables:
        variable = ctypes.c_void_p(
            native.readstat_add_variable(writer_, name.encode(), kind, ctypes.c_size_t(12))
        )
        native.readstat_variable_set_format(variable, form.encode())
        made.append(variable)
    assert 0 == native.readstat_begin_writing_sas7bdat(writer_, None, ctypes.c_long(len(rows)))
    for row in rows:
        assert 0 == native.readstat_begin_row(writer_)
        for variable, cell in zip(made, row, strict=True):
            if isinstance(cell, bytes):
                native.readstat_insert_tagged_missing_value(writer_, variable, ctypes.c_char(cell))
            elif cell is None:
                native.readstat_insert_missing_value(writer_, variable)
            elif isinstance(cell, str):
                native.readstat_insert_string_value(writer_, variable, cell.encode())
            else:
                native.readstat_insert_double_value(writer_, variable, ctypes.c_double(cell))
        assert 0 == native.readstat_end_row(writer_)
    assert 0 == native.readstat_end_writing(writer_)
    native.readstat_writer_free(writer_)
    path.write_bytes(written_to)
    return path


SAS_VARIABLES = [("ID", DOUBLE, "BEST12"), ("ZIP", STRING, ""), ("DIED", DOUBLE, "MMDDYY10"),
                 ("SEEN", DOUBLE, "DATETIME20")]  # fmt: skip


@pytest.mark.servers
def test_sas_own_format_is_read_with_its_letters_of_missing(library: Any, tmp_path: Path) -> None:
    """Formats say what a number is; .A to .Z are empty and counted, a plain dot is empty."""
    rows = [(1.0, "06103", 21916.0, 1893553445.0), (0.1, "café", None, None), (b"B", "", 0.5, None)]
    header, found, loaded_ = loaded(sas_file(library, tmp_path / "a.sas7bdat", rows, SAS_VARIABLES))
    assert ("ID", "ZIP", "DIED", "SEEN") == header
    assert found == [
        (1, "1", "06103", "2020-01-02", "2020-01-02T03:04:05"),
        (2, "0.1", "café", None, None),
        (3, None, None, "1960-01-01T12:00:00", None),
    ]
    assert loaded_.notes[0].endswith(": 1 in 1 column.")


@pytest.mark.servers
def test_a_sas_file_is_read_in_pieces_and_refused_when_cut(
    library: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every row once; half a file is an error and not half a table."""
    rows = [(float(n), CANARY[:12], None, None) for n in range(3000)]
    path = sas_file(library, tmp_path / "a.sas7bdat", rows, SAS_VARIABLES)
    monkeypatch.setattr(statistics_files, "BATCH_ROWS", 700)
    assert [str(n) for n in range(3000)] == [row[1] for row in loaded(path)[1]]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SourceInvalid, match=r"is a damaged|says that it has") as told:
        loaded(path)
    assert CANARY[:12] not in str(told.value)


@pytest.mark.servers
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_the_same_text(library: Any, tmp_path: Path, kind: str) -> None:
    """Numbers short and exact, dates ISO, nothing where nothing was stored."""
    header, rows, found = loaded(written(library, tmp_path, kind))
    expected = [
        (1, "1", "0.1", "06103", "2020-01-02", "2020-01-02T03:04:05", "1"),
        (2, "2", "0.0000001", "café", "1582-10-15", "1999-12-31T23:59:59", "2"),
        (3, None, "12345678.25", None, None, None, "9"),
    ]
    if kind == "por":
        expected = [(*row[:3], *row[4:]) for row in expected]
        header = (*header[:2], "ZIP", *header[2:])
    assert (tuple(FRAME.columns), expected) == (header, rows)
    assert ([], True) == (found.misfits, found.typed_dates)


@pytest.mark.servers
@pytest.mark.parametrize(("kind", "value"), [("sav", "9"), ("dta", "9")])
def test_labels_are_never_applied_unasked(library: Any, tmp_path: Path, kind: str, value: str) -> None:
    """The code stays and a note says so; labels: true takes the label where a code has one."""
    path = written(library, tmp_path, kind, variable_value_labels=LABELS)
    _, rows, found = loaded(path)
    assert ["1", "2", value] == [row[-1] for row in rows]
    assert "Values of 1 column have labels; the codes were read." in found.notes[0]
    _, rows, found = loaded(path, labels=True)
    assert ["Female", "Male", "Unknown"] == [row[-1] for row in rows]
    assert ("Values of 1 column were read as their labels, where they have one.",) == found.notes


@pytest.mark.servers
def test_codes_that_share_a_label_are_told(library: Any, tmp_path: Path) -> None:
    """Two codes behind one word are one value from then on."""
    labels = {"SEX": {1.0: "Known", 2.0: "Known"}}
    path = written(library, tmp_path, "sav", variable_value_labels=labels)
    _, rows, found = loaded(path, labels=True)
    assert ["Known", "Known", "9"] == [row[-1] for row in rows]
    assert "several codes have the same label" in found.notes[1]


@pytest.mark.servers
def test_labels_that_are_not_there_are_an_error(library: Any, tmp_path: Path) -> None:
    """A contract that asks for labels is not read without."""
    with pytest.raises(SourceInvalid, match="asks for value labels, and the source has none"):
        loaded(written(library, tmp_path, "sav"), labels=True)


@pytest.mark.servers
def test_what_the_file_marks_as_missing_is_empty_and_counted(library: Any, tmp_path: Path) -> None:
    """SPSS's ranges and text, Stata's letters; system-missing cells are empty and no loss."""
    missing = {"SEX": [{"lo": 8, "hi": 9}], "ZIP": ["06103"]}
    _, rows, found = loaded(written(library, tmp_path, "sav", missing_ranges=missing))
    assert [("1", None), ("2", "café"), (None, None)] == [(row[6], row[3]) for row in rows]
    assert found.notes[0].endswith("a refused answer: 2 in 2 columns.")
    letters = FRAME.assign(SEX=[1, "a", "b"])
    path = written(library, tmp_path, "dta", letters, missing_user_values={"SEX": ["a", "b"]})
    _, rows, found = loaded(path)
    assert ["1", None, None] == [row[-1] for row in rows]
    assert found.notes[0].endswith(": 2 in 1 column.")


@pytest.mark.servers
def test_statas_periods_and_32_bits(library: Any, tmp_path: Path) -> None:
    """Months are ISO, other periods Stata's own; 0.1 in 32 bits is 0.1."""
    frame = pd.DataFrame({"m": [721.0], "q": [243.0], "h": [1.0], "w": [53.0], "y": [2020.0]})
    formats = {name: f"%t{name}" for name in frame.columns}
    _, rows, _ = loaded(written(library, tmp_path, "dta", frame, variable_format=formats))
    assert [(1, "2020-02", "2020q4", "1960h2", "1961w2", "2020")] == rows
    path = tmp_path / "single.dta"
    pd.DataFrame({"x": np.array([0.1, 3, 1e10], dtype="float32")}).to_stata(path, write_index=False)
    assert [(1, "0.1"), (2, "3"), (3, "10000000000")] == loaded(path)[1]


@pytest.mark.servers
@pytest.mark.parametrize("kind", KINDS)
def test_pieces_make_the_whole(
    library: Any, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However small the pieces, every row is read once and in order."""
    frame = pd.DataFrame({"N": [float(n) for n in range(23)], "T": [f"t{n}" for n in range(23)]})
    path = written(library, tmp_path, kind, frame)
    for rows in (1, 7, 23, 24):
        monkeypatch.setattr(statistics_files, "BATCH_ROWS", rows)
        assert [(n + 1, str(n)) for n in range(23)] == [row[:2] for row in loaded(path)[1]]


@pytest.mark.servers
def test_a_file_of_several_datasets_is_never_its_first(library: Any, tmp_path: Path) -> None:
    """The library would read the first of a transport file in silence."""
    path = written(library, tmp_path, "xpt")
    one = path.read_bytes()
    second = one[one.index(b"HEADER RECORD*******MEMB") :]
    path.write_bytes(one + second)
    with pytest.raises(SourceInvalid, match="a transport file with 2 datasets"):
        loaded(path)


@pytest.mark.servers
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_cut_is_never_a_shorter_table(library: Any, tmp_path: Path, kind: str) -> None:
    """Wherever it ends; a transport file says nowhere how many rows it has."""
    frame = pd.DataFrame({"N": [float(n) for n in range(60)], "T": [f"text {n}" for n in range(60)]})
    path = written(library, tmp_path, kind, frame)
    whole, chance = path.read_bytes(), random.Random(3)
    for end in [*(chance.randrange(len(whole)) for _ in range(30)), len(whole) - 80, len(whole) - 160]:
        path.write_bytes(whole[:end])
        try:
            rows = loaded(path)[1]
        except SourceInvalid:
            continue
        assert 60 == len(rows)


@pytest.mark.servers
@pytest.mark.parametrize("kind", [*KINDS, "sas7bdat"])
def test_what_is_no_such_file_is_told_without_a_cell(library: Any, tmp_path: Path, kind: str) -> None:
    """Text under the name, an empty file, half a file."""
    path = tmp_path / f"a.{kind}"
    for content in (f"name\n{CANARY}\n".encode() * 50, b"\0" * 500):
        path.write_bytes(content)
        with pytest.raises(SourceInvalid, match=r"is a damaged|has no columns") as told:
            loaded(path)
        assert CANARY not in str(told.value)
        assert told.value.__context__ is None


@pytest.mark.servers
@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_refused_or_read_whole(library: Any, tmp_path: Path, kind: str) -> None:
    """Cut short or with other bytes, a file is an error of ours or has as many rows as before."""
    frame = pd.DataFrame({"N": [float(n) for n in range(40)], "T": [CANARY] * 40})
    whole = written(library, tmp_path, kind, frame).read_bytes()
    chance, path = random.Random(7), tmp_path / f"b.{kind}"
    outcomes = set()
    for _ in range(60):
        content = bytearray(whole[: chance.randrange(len(whole))] if chance.random() < 0.4 else whole)
        for _ in range(chance.randrange(4)):
            if content:
                content[chance.randrange(len(content))] = chance.randrange(256)
        path.write_bytes(content)
        try:
            rows = loaded(path)[1]
        except SourceInvalid as error:
            assert CANARY not in str(error)
            outcomes.add("refused")
        else:
            assert list(range(1, len(rows) + 1)) == [row[0] for row in rows]
            outcomes.add("read")
    assert "refused" in outcomes


@pytest.mark.servers
def test_a_proposal_reads_codes_or_labels(library: Any, project: Project, tmp_path: Path) -> None:
    """The choice is written into the contract, and the contract reads its own source."""
    path = written(library, project.notebooks, "sav", variable_value_labels=LABELS)
    codes = proposing.propose(project, "codes", str(path))
    labels = proposing.propose(project, "labels", str(path), Told(labels=True))
    kinds = [made.draft.columns[-1].choice.kind.type for made in (codes, labels)]
    assert (["integer", "text"], 3, 3) == (kinds, codes.rows_kept, labels.rows_kept)
    assert "\n  labels:" not in codes.path.read_text(encoding="utf-8")
    assert "\n  labels: true\n" in labels.path.read_text(encoding="utf-8")


def test_the_formats_of_each_program_are_known() -> None:
    """A format with width and decimals says what a number is; an unknown one leaves it a number."""
    seconds = (dt.datetime(2020, 1, 2) - dt.datetime(1582, 10, 14)).total_seconds()
    assert "2020-01-02" == writer("sav", "ADATE10", single=False)(seconds)
    assert "2020-01-02T00:00:01" == writer("sav", "DATE11", single=False)(seconds + 1)
    assert "2020-01-02" == writer("sas7bdat", "MMDDYY10.", single=False)(21916)
    assert "2020-01-02" == writer("xpt", "YYMMDDN8.", single=False)(21916)
    assert "2020-01-02T12:00:00" == writer("xpt", "DATE9", single=False)(21916.5)
    assert "2020-01-02T03:04:05.250000" == writer("xpt", "DATETIME22.3", single=False)(1893553445.25)
    assert "26:00:01.5" == writer("sav", "DTIME20", single=False)(93601.5)
    assert "-00:00:01" == writer("xpt", "TIME8.", single=False)(-1)
    assert "1960-01-01T00:00:01" == writer("dta", "%tc", single=False)(1000)
    assert "2020-01-02" == writer("dta", "%-tdD_m_Y", single=False)(21916)
    assert "21916" == writer("xpt", "BEST12.", single=False)(21916)
    assert "1000000000000000000" == writer("sav", "DATE11", single=False)(1e18)


def test_a_number_is_its_shortest_exact_text() -> None:
    """No point where there is nothing behind it, no exponent, no minus before zero."""
    numbers = (1.0, -0.0, 0.1, 1e-7, 1e22, 123456789.123, 2.0**53, -5e-324 * 0, math.nan, -1.5)
    texts = ("1", "0", "0.1", "0.0000001", "10000000000000000000000", "123456789.123", "9007199254740992", "0",
             "", "-1.5")  # fmt: skip
    assert texts == tuple(map(number_text, numbers))


def test_without_the_library_the_message_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A setting of the machine, not of the data: exit code 2."""
    monkeypatch.setitem(sys.modules, "pyreadstat", None)
    (tmp_path / "a.sav").write_bytes(b"$FL2")
    with pytest.raises(UsageError, match=r"pyreadstat, which is not installed") as told:
        loaded(tmp_path / "a.sav")
    assert ('pip install "ctnb[statistics]"', 2) == (told.value.hint, told.value.exit_code)
