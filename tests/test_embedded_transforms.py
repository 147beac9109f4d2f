"""The expressions of DSMAPI's transforms: what they give, what they cannot, and how numbers are kept."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from ctnb.embedded.cells import TEXT, TYPES
from ctnb.embedded.decimals import pack
from ctnb.embedded.soql import parse_expression
from ctnb.embedded.tokens import Malformed
from ctnb.embedded.transforms import Mistaken, Plan, canonical
from ctnb.embedded.vectors import teach
from ctnb.embedded.workshop import engine

CELLS = {
    "one": "1",
    "n": "-12.50",
    "word": "Bolton Town",
    "day": "2024-02-29",
    "no": None,
    "us": "02/29/2024",
}


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A DuckDB connection that knows the functions."""
    connection = engine(tmp_path_factory.mktemp("engine"))
    teach(connection)
    yield connection
    connection.close()


def worked_out(taught: Any, expression: str, cells: dict[str, str | None] = CELLS) -> tuple[Any, ...]:
    """The value as the portal shows it, and the error."""
    plan = Plan({name: (f"c{at}", TEXT) for at, name in enumerate(cells)})
    kind = plan.add(expression).kind
    named = ", ".join(f"CAST(? AS VARCHAR) AS c{at}" for at in range(len(cells)))
    value, error, _ = taught.execute(plan.sql(f"(SELECT {named})"), list(cells.values())).fetchall()[0]
    return (None if value is None else kind.text(int(value) if kind.soda == "boolean" else value)), error


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("`word`", "Bolton Town"),
        ("word", "Bolton Town"),
        ("to_number(one) + 7", "8"),
        ("(to_number(one) * (9 / 5)) + 32", "33.8"),
        ("to_number(n) - -0.5", "-12"),
        ("2 ^ 10 % 1000", "24"),
        ("1 + 2 * 3", "7"),
        ("10 - 3 - 2", "5"),
        ("0.1 + 0.2", "0.3"),
        ("word || 'x' || one", "Bolton Townx1"),
        ("to_text(to_number(n))", "-12.5"),
        ("one::number + 1", "2"),
        ("to_calendar_date(day)", "2024-02-29T00:00:00.000"),
        ("to_floating_timestamp(us)", "2024-02-29T00:00:00.000"),
        ("to_floating_timestamp(us, '{0M}/{0D}/{YYYY}')", "2024-02-29T00:00:00.000"),
        ("to_fixed_timestamp(day || 'T10:00:00-0500')", "2024-02-29T15:00:00.000Z"),
        ("to_boolean(one)", "true"),
        ("to_number(no)", None),
        ("no || word", None),
        ("no is null and one = '1'", "true"),
        ("not (one in ('2', '3'))", "true"),
        ("coalesce(no, word)", "Bolton Town"),
        ("case(one = '2', 'two', true, 'other')", "other"),
        ("case(one = '1', 0, true, to_number(word))", "0"),
        ("forgive(to_number(word))", None),
        ("upper(title_case(lower(word)))", "BOLTON TOWN"),
        ("left_pad(one, 5, '0')", "00001"),
        ("substring(word, 0, 6)", "Bolton"),
        ("replace(word, 'Town', 'City')", "Bolton City"),
        ("length(word)", "11"),
        ("contains(word, 'ton')", "true"),
        ("'it''s'", "it's"),
        ("make_point(41.5, -72.25)", "POINT (-72.25 41.5)"),
        ("geocode(word, word, word, one)", "POINT (0 0)"),
        ("to_point('POINT (-72.25 41.5)')", "POINT (-72.25 41.5)"),
        ("to_url('Town (https://example.org)')", "Town (https://example.org)"),
    ],
)
def test_an_expression_gives_its_value(taught: Any, expression: str, value: str | None) -> None:
    """Numbers are exact, nulls go through, and forgiven errors are null."""
    assert worked_out(taught, expression) == (value, None)


@pytest.mark.parametrize(
    ("expression", "error"),
    [
        ("to_number(word)", "Unable to convert to number"),
        ("to_number(word) + 1", "Unable to convert to number"),
        ("to_text(to_number(word) * 2)", "Unable to convert to number"),
        ("to_calendar_date('2023-02-29')", "Unable to convert to calendar_date"),
        ("to_boolean(word)", "Unable to convert to checkbox"),
        ("1 / 0", "No result"),
        ("case(one = '1', error('not this one'), true, word)", "not this one"),
        ("coalesce(to_number(word), 1)", "Unable to convert to number"),
    ],
)
def test_an_error_is_beside_the_value(taught: Any, expression: str, error: str) -> None:
    """It goes through whatever is made of it, and never quotes the cell."""
    value, said = worked_out(taught, expression)
    assert (said, value is None or "coalesce" in expression) == (error, True)


@pytest.mark.parametrize(
    "expression", ["", "to_number(", "a b", "1 +", "'open", "`", "a; b", "((" * 200 + "1", "x" * 20_000]
)
def test_what_is_no_expression_is_malformed(expression: str) -> None:
    """Deep nesting and long texts too."""
    with pytest.raises(Malformed):
        parse_expression(expression)


@pytest.mark.parametrize("expression", ["nope", "nope(one)", "one + 1", "one = 1", "case(one)", "to_x(one)"])
def test_what_cannot_be_compiled_is_mistaken(expression: str) -> None:
    """Unknown columns and functions, and types that do not meet."""
    with pytest.raises(Mistaken):
        Plan({"one": ("c1", TEXT)}).add(expression)


def test_two_spellings_of_a_transform_are_one() -> None:
    """The case of a column's name and the two names of a conversion make no difference; a constant's text does."""
    pairs = [
        ("to_floating_timestamp(`Day`)", "to_calendar_date(day)"),
        ("to_boolean(`One`)", "to_checkbox(one)"),
        ("word || 'x'", "word || 'X'"),
    ]
    alike = [canonical(parse_expression(one)) == canonical(parse_expression(two)) for one, two in pairs]
    assert alike == [True, True, False]


def test_numbers_made_in_sql_are_those_made_in_python(taught: Any) -> None:
    """A thousand spellings: signs, zeros before and after, fractions, exponents, and what is no number."""
    draw = random.Random(20_261)
    texts = ["0", "-0", "+0.0", ".5", "5.", "1e5", "1E-3", "--1", "1.2.3", "٣", "1_000", "nan", "1" * 95, "+"]
    for _ in range(1000):
        whole = "0" * draw.randrange(3) + str(draw.randrange(10 ** draw.randrange(1, 20)))
        fraction = draw.choice(
            ["", ".", ".0", f".{draw.randrange(10**9):09d}", f".00{draw.randrange(10**4)}0"]
        )
        texts.append(draw.choice(["", "-", "+"]) + whole + fraction)
    plan = Plan({"x": ("c1", TEXT)})
    plan.add("to_number(x)")
    rows = taught.execute(plan.sql("(SELECT unnest(?) AS c1)"), [texts]).fetchall()
    assert [row[0] for row in rows] == [pack(text) for text in texts]


def test_dates_made_in_sql_are_those_made_in_python(taught: Any) -> None:
    """Days, seconds, fractions, half days, leap days, and what is no date."""
    texts = ["2024-02-29", "2023-02-29", "2024-01-01T10:11:12", "2024-01-01 10:11:12.5", "2024-13-01",
             "2024-01-01T24:00:00", "2024-01-01T10:60:00",
             "1/2/2024", "01/02/2024 10:38:01 PM", "0001-01-01", "0000-01-01", "9999-12-31", "2024-1-1",
             "2024-01-01T10:11:12.123456", "2024-01-01T10:11:12Z", "x"]  # fmt: skip
    plan = Plan({"x": ("c1", TEXT)})
    plan.add("to_calendar_date(x)")
    rows = taught.execute(plan.sql("(SELECT unnest(?) AS c1)"), [texts]).fetchall()
    assert [row[0] for row in rows] == [_stored(text) for text in texts]


def test_points_made_in_sql_are_those_made_in_python(taught: Any) -> None:
    """Zeros before and after, signs, exponents, long fractions, other spellings, and what is no point."""
    degrees = ["-72.5", "41", "0", "-0", "-0.0", "+1", ".5", "1.", "41.10", "-072.5", "100.00", "10", "1000", "1e1",
               "-0.001", "0.10", "-72.123456789012345678", "41.100000000000000", "x", "٣"]  # fmt: skip
    texts = [f"POINT ({one} {two})" for one in degrees for two in degrees]
    texts += [
        "POINT(1 2)",
        "point (1 2)",
        "POINT (1  2)",
        "POINT ( 1 2 )",
        "POINT (1 2 3)",
        "(41.1, -72.5)",
        "POINT (1 2) x",
    ]
    plan = Plan({"x": ("c1", TEXT)})
    plan.add("to_point(x)")
    rows = taught.execute(plan.sql("(SELECT unnest(?) AS c1)"), [texts]).fetchall()
    assert [row[0] for row in rows] == [_stored(text, "point") for text in texts]


def _stored(text: str, kind: str = "calendar_date") -> object:
    from ctnb.embedded.cells import Maltyped, store

    try:
        return store(TYPES[kind], text)
    except Maltyped:
        return None
