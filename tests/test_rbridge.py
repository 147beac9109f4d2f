"""transform.R in a live R: what crosses, what is answered, and how every failure ends."""

from __future__ import annotations

import datetime as dt
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ctnb.contracts.columns import Column
from ctnb.errors import StepFailed, TransformInvalid
from ctnb.tables import Table, connect, write
from ctnb.transforms import rbridge

SAME = "transform <- function(df) df\n"

Make = Callable[[dict[str, Any], Sequence[Any]], Table]


def table_of(folder: Path, column: dict[str, Any], cells: Sequence[Any], arrow: pa.DataType) -> Table:
    """A table with one column called x."""
    with connect() as connection:
        connection.register("given", pa.table({"x": pa.array(cells, arrow)}))
        return write(connection, "SELECT * FROM given", [Column(name="x", **column)], folder / "read.parquet")


def played(folder: Path, table: Table, script: str) -> rbridge.Played:
    """Play `script` over `table` in a folder of its own."""
    home = folder / "dataset"
    home.mkdir(exist_ok=True)
    path = home / "transform.R"
    path.write_text(script, encoding="utf-8")
    return rbridge.play(path, table, folder)


def through(folder: Path, column: dict[str, Any], cells: Sequence[Any], arrow: pa.DataType) -> list[Any]:
    """What comes back of `cells` after R had them."""
    result = played(folder, table_of(folder, column, cells, arrow), SAME).frame.column("x").to_pylist()
    assert isinstance(result, list)
    return result


def checked(folder: Path, table: Table, condition: str) -> None:
    """Assert `condition` in R, over the data frame df."""
    played(folder, table, f"transform <- function(df) {{ stopifnot({condition}); df }}\n")


def one_number(folder: Path, cells: Sequence[int | None] = (1, 2, 3)) -> Table:
    """A table of whole numbers."""
    return table_of(folder, {"type": "integer"}, cells, pa.int64())


HOSTILE = [
    "",
    "Café",
    "a\nb\r\n",
    'it\'s "quoted" \\n',
    "NA",
    "null",
    "日本 🙂",
    " lead and trail ",
    None,
    "é" * 300,
]

CROSSINGS: list[tuple[str, dict[str, Any], list[Any], pa.DataType]] = [
    ("text", {"type": "text"}, HOSTILE, pa.string()),
    ("code", {"type": "code"}, ["06103", None, "0", "TRUE", "1e5"], pa.string()),
    ("integer", {"type": "integer"}, [1, None, 0, -(2**31) + 1, 2**31 - 1], pa.int64()),
    ("wide integer", {"type": "integer"}, [2**31, None, -(2**53), 2**53], pa.int64()),
    ("the integer that R keeps for NA", {"type": "integer"}, [-(2**31), None, 1], pa.int64()),
    ("logical", {"type": "boolean"}, [True, None, False], pa.bool_()),
    ("number", {"type": "number"}, [0.1, None, -1234567.891234, 0.0], pa.float64()),
    ("date", {"type": "date"}, [dt.date(2012, 2, 29), None, dt.date(1899, 12, 31)], pa.date32()),
    ("timestamp", {"type": "timestamp"}, [dt.datetime(2022, 1, 2, 3, 4, 5), None], pa.timestamp("us")),
    (
        "timestamp with fractions",
        {"type": "timestamp"},
        [dt.datetime(2022, 7, 1, 23, 59, 59, 123457), None, dt.datetime(1969, 12, 31, 23, 59, 59, 999999)],
        pa.timestamp("us"),
    ),
]


@pytest.mark.parametrize("name,column,cells,arrow", CROSSINGS, ids=[case[0] for case in CROSSINGS])
def test_values_and_na_come_back_from_R_unchanged(
    tmp_path: Path, name: str, column: dict[str, Any], cells: list[Any], arrow: pa.DataType
) -> None:
    """Every type survives the way to R and back, empty cells included."""
    assert through(tmp_path, column, cells, arrow) == cells


@pytest.mark.parametrize("case", CROSSINGS, ids=[case[0] for case in CROSSINGS])
def test_a_column_of_nothing_but_na_comes_back(tmp_path: Path, case: tuple[Any, ...]) -> None:
    """All cells empty is a column like any other."""
    assert through(tmp_path, case[1], [None, None], case[3]) == [None, None]


@pytest.mark.parametrize("case", CROSSINGS, ids=[case[0] for case in CROSSINGS])
def test_zero_rows_come_back_as_zero_rows(tmp_path: Path, case: tuple[Any, ...]) -> None:
    """An empty table is a table."""
    assert through(tmp_path, case[1], [], case[3]) == []


def test_money_comes_back_to_the_cent(tmp_path: Path) -> None:
    """Money is a double in R; what returns is the same at scale 2."""
    cells = [Decimal("17288925.00"), None, Decimal("-0.01"), Decimal("0.10")]
    back = through(tmp_path, {"type": "money"}, cells, pa.decimal128(18, 2))
    assert [None if x is None else Decimal(str(round(x, 2))) for x in back] == cells


@pytest.mark.parametrize(
    "column,cell,arrow",
    [
        ({"type": "integer"}, 2**53 + 1, pa.int64()),
        ({"type": "number", "scale": 6}, Decimal("123456789012.123457"), pa.decimal128(18, 6)),
    ],
)
def test_numbers_finer_than_a_double_are_refused(
    tmp_path: Path, column: dict[str, Any], cell: Any, arrow: pa.DataType
) -> None:
    """Digits are never lost in silence, and the number is not quoted."""
    table = table_of(tmp_path, column, [cell], arrow)
    with pytest.raises(TransformInvalid) as refused:
        played(tmp_path, table, SAME)
    assert "Column x holds numbers with more digits" in str(refused.value)
    assert "9007199254740993" not in str(refused.value) and "123457" not in str(refused.value)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cells=st.lists(st.none() | st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=30))
)
def test_any_text_comes_back(tmp_path: Path, cells: list[str | None]) -> None:
    """Text of any characters that R can hold survives."""
    assert through(tmp_path, {"type": "text"}, cells, pa.string()) == cells


def test_text_with_a_nul_is_refused(tmp_path: Path) -> None:
    """R cannot hold a NUL character; cutting the text there would be silent."""
    with pytest.raises(TransformInvalid, match="Column x holds text with a NUL"):
        through(tmp_path, {"type": "text"}, ["a\0b"], pa.string())


@pytest.mark.parametrize(
    "cells,column,arrow,condition",
    [
        ([1, None], {"type": "integer"}, pa.int64(), "is.integer(df$x), is.na(df$x[2])"),
        ([2**31, None], {"type": "integer"}, pa.int64(), "is.double(df$x), is.na(df$x[2]), !is.nan(df$x[2])"),
        ([True, None], {"type": "boolean"}, pa.bool_(), "identical(df$x, c(TRUE, NA))"),
        (
            ["é", None],
            {"type": "text"},
            pa.string(),
            "identical(df$x, c('\\u00e9', NA)), nchar(df$x[1]) == 1",
        ),
        ([1.5, None], {"type": "number"}, pa.float64(), "identical(df$x, c(1.5, NA))"),
        ([dt.date(2022, 1, 2)], {"type": "date"}, pa.date32(), "identical(df$x, as.Date('2022-01-02'))"),
        (
            [dt.datetime(2022, 1, 2, 3, 4, 5)],
            {"type": "timestamp"},
            pa.timestamp("us"),
            "inherits(df$x, 'POSIXct'), format(df$x) == '2022-01-02 03:04:05'",
        ),
    ],
)
def test_R_sees_its_own_types(
    tmp_path: Path, cells: list[Any], column: dict[str, Any], arrow: pa.DataType, condition: str
) -> None:
    """A column arrives as the R vector that the table of types says."""
    checked(tmp_path, table_of(tmp_path, column, cells, arrow), condition)


@pytest.mark.parametrize(
    "made,expected",
    [
        ("factor(c('b', NA, 'é'))", ["b", None, "é"]),
        ("c(TRUE, NA, FALSE)", [True, None, False]),
        ("c(1L, NA, 3L)", [1, None, 3]),
        ("c(1.5, NA, NaN)", [1.5, None, None]),
        ("as.Date(c('2022-01-02', NA, '1970-01-01'))", [dt.date(2022, 1, 2), None, dt.date(1970, 1, 1)]),
        (
            "as.POSIXct(c('2022-07-01 23:30:00', NA, '2022-01-01 00:00:00'), tz = 'America/New_York')",
            [dt.datetime(2022, 7, 1, 23, 30), None, dt.datetime(2022, 1, 1)],
        ),
        (
            "as.POSIXlt(c('2022-07-01 23:30:00', NA, NA), tz = 'UTC')",
            [dt.datetime(2022, 7, 1, 23, 30), None, None],
        ),
        ("I(c('a', 'b', NA))", ["a", "b", None]),
        ("unname(tapply(1:3, 1:3, sum))", [1, 2, 3]),
    ],
)
def test_what_R_makes_arrives(tmp_path: Path, made: str, expected: list[Any]) -> None:
    """Factors become text, times the clock on the wall, NaN an empty cell."""
    script = f"transform <- function(df) {{ made <- {made}; df$x <- NULL; df$y <- made; df }}\n"
    result = played(tmp_path, one_number(tmp_path), script)
    assert result.frame.column("y").to_pylist() == expected


def test_the_order_of_columns_and_odd_row_names_do_not_matter(tmp_path: Path) -> None:
    """Columns come back in the script's order; row names are left behind."""
    script = "transform <- function(df) { df <- data.frame(b = 1:2, x = c('u', 'v')); rownames(df) <- c('p', 'q'); df }"
    frame = played(tmp_path, one_number(tmp_path), script).frame
    assert frame.to_pydict() == {"b": [1, 2], "x": ["u", "v"]}


def test_tibbles_and_data_tables_are_data_frames(tmp_path: Path) -> None:
    """What only has the class data.frame among others is read by its columns."""
    script = "transform <- function(df) structure(df, class = c('tbl_df', 'tbl', 'data.frame'))"
    assert played(tmp_path, one_number(tmp_path), script).frame.to_pydict() == {"x": [1, 2, 3]}


@pytest.mark.parametrize("made", ["list(1, 2, 3)", "matrix(1:6, 3)", "c(1i, 2i, 3i)", "data.frame(a = 1:3)"])
def test_a_column_that_is_no_vector_is_refused_by_its_place(tmp_path: Path, made: str) -> None:
    """Lists, matrices and complex numbers have no place in a table."""
    with pytest.raises(TransformInvalid, match="Column 2 of the transform's result holds"):
        played(tmp_path, one_number(tmp_path), f"transform <- function(df) {{ df$y <- {made}; df }}\n")


RSOCRATA = """
library(RSocrata)
suppressPackageStartupMessages(require("RSocrata"))
stopifnot(requireNamespace("RSocrata", quietly = TRUE))
df <- %s("https://data.ct.gov/resource/abcd-1234.json?$limit=50000", app_token = stop("looked"), email = "a@b")
stopifnot(Sys.getenv("SOCRATA_NOT_THERE") == "")
answer <- %s(df, "https://data.ct.gov/resource/abcd-1234.json", "UPSERT", "a@b", stop("looked"), stop("looked"))
stopifnot(answer$status_code == 200, inherits(answer, "response"))
"""


@pytest.mark.parametrize("prefix", ["", "RSocrata::"])
def test_an_rsocrata_script_runs_unchanged_and_its_credentials_are_not_looked_at(
    tmp_path: Path, prefix: str
) -> None:
    """Both calls are answered, attached or by ::, though RSocrata is not installed; nothing is sent."""
    script = RSOCRATA % (f"{prefix}read.socrata", f"{prefix}write.socrata")
    result = played(tmp_path, one_number(tmp_path, [1, None]), script)
    assert (result.frame.to_pydict(), result.mode) == ({"x": [1, None]}, "UPSERT")


def test_read_socrata_gives_dates_as_posixct(tmp_path: Path) -> None:
    """As RSocrata does: a calendar date is a POSIXct at midnight."""
    table = table_of(tmp_path, {"type": "date"}, [dt.date(2022, 1, 2), None], pa.date32())
    script = (
        "df <- RSocrata::read.socrata('https://h/resource/abcd-1234.json', stringsAsFactors = TRUE)\n"
        "stopifnot(inherits(df$x, 'POSIXct'), format(df$x[1], '%Y %H') == '2022 00', is.na(df$x[2]))\n"
        "RSocrata::write.socrata(df, 'u', 'REPLACE', 'e', 'p')\n"
    )
    midnight = dt.datetime(2022, 1, 2)
    assert played(tmp_path, table, script).frame.column("x").to_pylist() == [midnight, None]


READ = "df <- RSocrata::read.socrata('https://h/resource/abcd-1234.json')\n"
WRITE = "RSocrata::write.socrata(df, 'u', 'REPLACE', 'e', 'p')\n"


@pytest.mark.parametrize(
    "script,words",
    [
        (READ, "neither calls write.socrata nor defines"),
        (READ + WRITE + WRITE, "more than once"),
        (READ + "df <- 1\n" + WRITE, "not a data frame"),
        ("transform <- function(df) 'Mary Roe'\n", "not a data frame"),
        (READ + "RSocrata::read.socrata('https://h/resource/efgh-5678.json')\n" + WRITE, "two sources"),
        (
            "df <- RSocrata::read.socrata('https://h/resource/abcd-1234.json?$where=x > 1')\n" + WRITE,
            "a selection",
        ),
        (
            "df <- RSocrata::read.socrata('https://h/resource/abcd-1234.json?$limit=2')\n" + WRITE,
            "a selection",
        ),
    ],
)
def test_a_script_that_does_not_hand_over_one_table_is_told_what_to_do(
    tmp_path: Path, script: str, words: str
) -> None:
    """None, two, something else or a part only: refused, with the remedy."""
    with pytest.raises(TransformInvalid, match=words) as refused:
        played(tmp_path, one_number(tmp_path), script)
    assert refused.value.hint


@pytest.mark.parametrize(
    "script",
    [
        "quit()\n" + SAME,
        "q('no', 0)\n" + SAME,
        "base::quit(save = 'no')\n" + SAME,
        "transform <- function(df) quit(status = 0)\n",
        "tryCatch(quit(), error = function(e) NULL)\n" + SAME,
        "try(base::q(), silent = TRUE)\n" + READ + WRITE,
    ],
)
def test_quit_fails_the_step_even_when_the_script_catches_it(tmp_path: Path, script: str) -> None:
    """quit() would end the kernel with 0; it is answered with a failure instead."""
    with pytest.raises(StepFailed, match=r"transform\.R called quit\(\) in line 1"):
        played(tmp_path, one_number(tmp_path), script)


def test_quit_is_quit_again_afterwards(tmp_path: Path) -> None:
    """What the bridge masks it puts back."""
    played(tmp_path, one_number(tmp_path), SAME)
    import rpy2.rinterface as rinterface

    assert rinterface.evalr("environmentName(environment(quit))")[0] == "base"
    assert rinterface.evalr("'RSocrata' %in% loadedNamespaces()")[0] is False


@pytest.mark.parametrize(
    "script,words",
    [
        (
            "x <- 1\n\nf <- function(who) {\n  y <- 2\n  stop('Mary Roe')\n}\nf('Mary Roe')\n",
            "line 5: R stopped with",
        ),
        (
            "transform <- function(df) {\n  1\n  as.Date('Mary Roe')\n}\n",
            "line 3: R stopped with simpleError",
        ),
        ("x <- c(1,\n", "line 2: this is not R"),
        ("1 +\n  nothing_of_that_name\n", "line 1: R stopped with simpleError"),
        ("1\nlibrary(nosuchpackage)\n", "line 2: the R package nosuchpackage is not installed"),
        (
            "stop(structure(class = c('Mary Roe', 'error', 'condition'), list(message = '', call = NULL)))",
            "with error",
        ),
        ("f <- function(n) f(n + 1)\nf(1)\n", "R stopped with"),
    ],
)
def test_an_error_of_R_says_the_line_and_the_class_and_no_message(
    tmp_path: Path, script: str, words: str
) -> None:
    """A message of R may quote a cell: it is kept in the private log alone."""
    with pytest.raises(StepFailed, match=words) as failed:
        played(tmp_path, one_number(tmp_path), script)
    assert "Mary" not in str(failed.value)
    assert failed.value.__cause__ is None and failed.value.__context__ is None


def test_what_R_says_is_kept_in_a_private_file_and_nowhere_else(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Prints, messages, warnings and the output of programs R starts may quote data."""
    script = (
        "transform <- function(df) {\n"
        "  print('Mary Roe'); message('Rose Doe'); warning('Ann Poe'); warning('again'); system('echo Sue Loe')\n"
        "  writeLines('Zoe Noe', stderr()); df\n}\n"
    )
    assert played(tmp_path, one_number(tmp_path), script).warnings == 2
    log = tmp_path / rbridge.LOG
    names = ("Mary Roe", "Rose Doe", "Ann Poe", "Sue Loe", "Zoe Noe")
    assert [name for name in names if name not in log.read_text()] == []
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    seen = capfd.readouterr()
    assert [name for name in names if name in seen.out + seen.err] == []


def test_one_script_leaves_nothing_behind_for_the_next(tmp_path: Path) -> None:
    """Variables, options, the time zone and the working folder are as they were."""
    folder = Path.cwd()
    zone = os.environ.get("TZ")
    script = (
        "left <- 1; options(digits = 3, OutDec = ','); Sys.setenv(TZ = 'Asia/Tokyo'); setwd('/')\n" + SAME
    )
    played(tmp_path, one_number(tmp_path), script)
    checked(
        tmp_path, one_number(tmp_path), "!exists('left'), getOption('OutDec') == '.', Sys.timezone() == 'UTC'"
    )
    assert (Path.cwd(), os.environ.get("TZ")) == (folder, zone)


def test_a_script_may_clear_its_workspace_and_read_files_beside_it(tmp_path: Path) -> None:
    """The habits of real scripts: rm(list = ls()), relative paths, and sampling that repeats."""
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "names.csv").write_text("x,name\n1,one\n2,two\n")
    script = (
        "rm(list = ls())\n"
        + READ
        + "df <- merge(df, read.csv('names.csv'))\ndf$r <- runif(nrow(df))\n"
        + WRITE
    )
    first = played(tmp_path, one_number(tmp_path), script).frame.to_pydict()
    assert (first["x"], first["name"]) == ([1, 2], ["one", "two"])
    assert played(tmp_path, one_number(tmp_path), script).frame.to_pydict() == first


def test_R_that_does_not_load_is_an_error_with_the_cure(tmp_path: Path) -> None:
    """Without R the step says so and names ctnb doctor; a process of its own, because this one has R."""
    table = one_number(tmp_path)
    script = tmp_path / "transform.R"
    script.write_text(SAME)
    code = (
        "import sys; from pathlib import Path; from ctnb import tables; from ctnb.transforms import rbridge\n"
        "from ctnb.errors import OutsideFailed\n"
        "try: rbridge.play(Path(sys.argv[2]), tables.open_table(Path(sys.argv[1])), Path(sys.argv[3]))\n"
        "except OutsideFailed as error: print(error)\n"
    )
    nowhere = str(tmp_path / "no-r")
    done = subprocess.run(
        [sys.executable, "-c", code, str(table.path), str(script), str(tmp_path)],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parent.parent,
        env={"R_HOME": nowhere, "PATH": nowhere},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "R could not be loaded" in done.stdout and "ctnb doctor" in done.stdout


def test_rpy2_is_imported_by_one_module_and_inside_functions() -> None:
    """A start of ctnb without R must work, and one place must be enough to look at."""
    root = Path(rbridge.__file__).parent.parent
    importing = [
        f"{path.relative_to(root).as_posix()}:{line.strip()}"
        for path in root.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.lstrip().startswith(("import rpy2", "from rpy2")) and path.name != "doctor.py"
    ]
    assert [line for line in importing if not line.startswith("transforms/rbridge.py")] == []
    at_the_top = [
        line
        for line in Path(rbridge.__file__).read_text().splitlines()
        if line.startswith(("import rpy2", "from rpy2"))
    ]
    assert at_the_top == []


def test_a_python_started_after_r_still_starts(tmp_path: Path) -> None:
    """R's own library path does not stay in the environment, where another Python would stumble over it."""
    before = os.environ.get("LD_LIBRARY_PATH")
    played(tmp_path, one_number(tmp_path), SAME)
    done = subprocess.run(
        [sys.executable, "-c", "import ssl, ctypes"], capture_output=True, text=True, check=False
    )
    assert (0, before) == (done.returncode, os.environ.get("LD_LIBRARY_PATH"))
