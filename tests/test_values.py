"""The table of types: what text becomes, canonically, under each contract type."""

from __future__ import annotations

from decimal import Decimal

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctnb.values import (
    TYPES,
    Kind,
    canonical_sql,
    parquet_type,
    parse_sql,
    quote_name,
    quote_text,
    shape,
    strptime_format,
)

CONNECTION = duckdb.connect()


def canonical(kind: Kind, text: str) -> str | None:
    """The canonical text of `text` read as `kind`, after a stay in its Parquet type; None when it cannot be."""
    typed = f"CAST({parse_sql(kind, 'x')} AS {parquet_type(kind)})"
    query = f"SELECT {canonical_sql(kind, 'v')} FROM (SELECT {typed} AS v FROM (SELECT ?::VARCHAR AS x))"
    found: str | None = CONNECTION.execute(query, [text]).fetchall()[0][0]
    return found


TEXT, CODE, INTEGER, NUMBER, MONEY = (Kind(name) for name in ("text", "code", "integer", "number", "money"))
NUMBER, MONEY, PERCENT, WHOLE = Kind("number", 6), Kind("money", 2), Kind("percent", 2), Kind("number", 0)
DATE, US, COMPACT = Kind("date"), Kind("date", format="MM/DD/YYYY"), Kind("date", format="YYYYMMDD")
SHORT, MONTH = Kind("date", format="MM/DD/YY"), Kind("date", format="DD-MMM-YYYY")
STAMP, CLOCK12 = Kind("timestamp"), Kind("timestamp", format="MM/DD/YYYY hh:mm:ss AM")
BOOLEAN, URL, POINT, FILE = Kind("boolean"), Kind("url"), Kind("point"), Kind("file")

READ = [
    (TEXT, " as  it stands ", " as  it stands "),
    (TEXT, "06103", "06103"),
    (TEXT, "NaN", "NaN"),
    (CODE, "06103", "06103"),
    (CODE, "\t06103 \r\n", "06103"),
    (INTEGER, "007", "7"),
    (INTEGER, "+5", "5"),
    (INTEGER, "-0", "0"),
    (INTEGER, " 5\t", "5"),
    (INTEGER, "1,234,567", "1234567"),
    (INTEGER, "9223372036854775807", "9223372036854775807"),
    (NUMBER, "1.5", "1.500000"),
    (NUMBER, ".5", "0.500000"),
    (NUMBER, "5.", "5.000000"),
    (NUMBER, "-.5", "-0.500000"),
    (NUMBER, "1,234.5", "1234.500000"),
    (NUMBER, "0.1234560", "0.123456"),
    (NUMBER, "1.5e-3", "0.001500"),
    (NUMBER, "1.2345678901234567E11", "123456789012.345670"),
    (NUMBER, "0e-9", "0.000000"),
    (WHOLE, "5.0", "5"),
    (MONEY, "$1,234.50", "1234.50"),
    (MONEY, "($5.00)", "-5.00"),
    (MONEY, "(1,234)", "-1234.00"),
    (MONEY, "-$5", "-5.00"),
    (MONEY, "$-5", "-5.00"),
    (MONEY, "$ 5", "5.00"),
    (MONEY, "5.1", "5.10"),
    (PERCENT, "66 %", "66.00"),
    (PERCENT, "66.5%", "66.50"),
    (PERCENT, "-5", "-5.00"),
    (DATE, "2020-02-29", "2020-02-29"),
    (US, "01/02/2020", "2020-01-02"),
    (US, "1/2/2020", "2020-01-02"),
    (US, " 12/31/1999 ", "1999-12-31"),
    (SHORT, "01/02/20", "2020-01-02"),
    (SHORT, "01/02/99", "1999-01-02"),
    (COMPACT, "20200102", "2020-01-02"),
    (MONTH, "01-Jan-2020", "2020-01-01"),
    (STAMP, "2020-01-01 10:00", "2020-01-01T10:00:00.000000"),
    (STAMP, "2020-01-01T10:00:00.123456", "2020-01-01T10:00:00.123456"),
    (CLOCK12, "01/02/2020 12:00:00 AM", "2020-01-02T00:00:00.000000"),
    (CLOCK12, "01/02/2020 01:30:00 PM", "2020-01-02T13:30:00.000000"),
    (BOOLEAN, "Yes", "true"),
    (BOOLEAN, " TRUE ", "true"),
    (BOOLEAN, "1", "true"),
    (BOOLEAN, "n", "false"),
    (URL, " https://example.org/a?b=c#d ", "https://example.org/a?b=c#d"),
    (POINT, "HARTFORD\n(41.7, -72.6)", "POINT (-72.600000 41.700000)"),
    (POINT, "POINT (-72.6 41.7)", "POINT (-72.600000 41.700000)"),
    (POINT, "( 41 , -72 )", "POINT (-72.000000 41.000000)"),
    (FILE, " data:image/png;base64,aGVsbG8=\n", "data:image/png;base64,aGVsbG8="),
]

REFUSED = [
    (INTEGER, "12,34"),
    (INTEGER, "5.0"),
    (INTEGER, "1e3"),
    (INTEGER, "five"),
    (INTEGER, "9223372036854775808"),
    (NUMBER, "0.1234567"),
    (NUMBER, "1e-9"),
    (NUMBER, "1.23456789e0"),
    (NUMBER, "."),
    (NUMBER, "-"),
    (NUMBER, "NaN"),
    (NUMBER, "1e300"),
    (NUMBER, "1234567890123.5"),
    (WHOLE, "5.4"),
    (MONEY, "1.005"),
    (MONEY, "(-5)"),
    (MONEY, "(5"),
    (MONEY, "()"),
    (MONEY, "$"),
    (PERCENT, "66.123 %"),
    (PERCENT, "66 % %"),
    (PERCENT, "%"),
    (DATE, "2019-02-29"),
    (DATE, "2020-1-1"),
    (DATE, "01/02/2020"),
    (DATE, "infinity"),
    (US, "13/01/2020"),
    (US, "1/2/20"),
    (US, "01/02/2020 10:00"),
    (US, "2020-01-02"),
    (SHORT, "1/2/2020"),
    (COMPACT, "2020012"),
    (STAMP, "2020-01-01"),
    (STAMP, "2020-01-01T25:00:00"),
    (STAMP, "2020-01-01T10:00:00Z"),
    (CLOCK12, "01/02/2020 13:00:00 PM"),
    (BOOLEAN, "maybe"),
    (BOOLEAN, "2"),
    (URL, "ftp://example.org"),
    (URL, "http://a b"),
    (POINT, "(95, 10)"),
    (POINT, "(41.7)"),
    (FILE, "aGVsbG8="),
    (FILE, "data:image/png;base64,aGVsbG9="),
    (FILE, "data:image/png;base64,aGVsb"),
    (FILE, "data:image/png,hello"),
]


@pytest.mark.parametrize(("kind", "text", "expected"), READ)
def test_text_has_one_canonical_form_under_its_type(kind: Kind, text: str, expected: str) -> None:
    """What the contract's type makes of a cell is what the table of types says."""
    assert expected == canonical(kind, text)


@pytest.mark.parametrize(("kind", "text"), REFUSED)
def test_text_that_its_type_does_not_know_becomes_nothing(kind: Kind, text: str) -> None:
    """A cell that cannot be typed without loss or guess is NULL, so that its row becomes a reject."""
    assert canonical(kind, text) is None


def test_every_type_of_the_table_is_tried_here() -> None:
    """No type is added to the table without its cases."""
    assert set(TYPES) == {kind.type for kind, _, _ in READ}


@given(st.integers(-(10**18) + 1, 10**18 - 1), st.integers(0, 12))
def test_decimal_text_round_trips_at_its_scale(digits: int, scale: int) -> None:
    """Every number that fits comes back digit for digit."""
    text = format(Decimal(digits).scaleb(-scale), "f")
    assert text == canonical(Kind("number", scale), text)


@given(st.decimals(-(10**11), 10**11, places=2), st.integers(0, 12))
def test_scientific_notation_is_read_exactly_or_not_at_all(value: Decimal, scale: int) -> None:
    """A number written with an exponent is the same number, or a reject."""
    said = canonical(Kind("number", scale), f"{value:e}")
    assert said is None or Decimal(said) == value


@given(st.text())
def test_any_text_survives_the_text_type(text: str) -> None:
    """Text is never trimmed, folded or normalised."""
    if "\0" not in text:
        assert text == canonical(TEXT, text)


@given(st.sampled_from([kind for kind, _, _ in READ]), st.text(max_size=20))
def test_no_text_makes_a_parser_fail(kind: Kind, text: str) -> None:
    """Parsing is total: anything is a value or NULL, never an error that could quote a cell."""
    assert canonical(kind, text.replace("\0", "")) != "" or kind.type in ("text", "code")


def test_a_time_of_day_is_not_lost_in_a_day() -> None:
    """A date whose format has a time takes midnight, as portals export days, and refuses any other time."""
    kind = Kind("date", format="MM/DD/YYYY hh:mm:ss AM")
    assert ["2024-01-27", None] == [
        canonical(kind, f"01/27/2024 {time}") for time in ("12:00:00 AM", "01:02:03 PM")
    ]


@pytest.mark.parametrize("words", ["DD/MM", "M/D/YYYY", "yyyy-mm-dd", "YYYY Q"])
def test_a_date_format_that_says_nothing_is_refused(words: str) -> None:
    """A letter that stands for nothing would set every row aside, so the contract is refused."""
    with pytest.raises(ValueError, match="a date format"):
        strptime_format(words)


def test_a_percent_sign_in_a_date_format_stands_for_itself() -> None:
    """Marks between the parts are taken as they are."""
    assert strptime_format("YYYY%MM") == "%Y%%%m"


@given(st.text())
def test_quoting_keeps_a_text_one_literal(text: str) -> None:
    """A quotation mark cannot end a literal early."""
    text = text.replace("\0", "")
    assert text == CONNECTION.execute(f"SELECT {quote_text(text)}").fetchall()[0][0]


def test_quoting_keeps_a_name_one_identifier() -> None:
    """A quotation mark cannot end a name early."""
    name = 'a"; DROP TABLE b; --'
    assert name == CONNECTION.execute(f"SELECT 1 AS {quote_name(name)}").description[0][0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Smith", "Aaaa…"), ("06-103", "99-999"), ("Ängström 7", "Aaaa… 9"), ("名前", "??"), ("", "")],
)
def test_a_shape_has_no_letter_and_no_digit_of_its_text(text: str, expected: str) -> None:
    """The shape of a text is all that a message may say of it."""
    assert expected == shape(text)
