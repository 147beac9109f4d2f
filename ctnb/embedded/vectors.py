"""
What DuckDB is taught: stored forms of cells, made in SQL where the text is plain, by `cells` where it is not.

Every value in a transform is the stored form of its type as text: a packed number, an ISO date, 1 or 0 for a
checkbox. Null is null; a function that gives null for a value could not convert it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ctnb.values import text_array

from .calculations import ARITHMETIC, calculated, converter
from .cells import TYPES
from .decimals import unpack

_PLAIN_NUMBER = r"[+-]?[0-9]+(\.[0-9]*)?"
_PLAIN_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,3})?)?"
_PLAIN_DEGREES = r"(?:(0|-?[1-9][0-9]{0,2})(?:\.0*)?|(-?(?:0|[1-9][0-9]{0,2})\.[0-9]{0,14}[1-9])0*)"
"""Degrees whose stored form, in one of two groups, is the text without the zeros at its end."""
_PLAIN_POINT = rf"POINT ?\({_PLAIN_DEGREES} {_PLAIN_DEGREES}\)"
_MILLISECONDS = "%Y-%m-%dT%H:%M:%S.%g"

_MACROS = (
    # as decimals.pack: sign, exponent + 500, digits; a negative's every digit taken from 9
    "number_whole(x) AS ltrim(split_part(x, '.', 1), '+-0')",
    "number_fraction(x) AS rtrim(split_part(x, '.', 2), '0')",
    "number_body(w, f) AS CASE WHEN w = '' THEN (499 + length(ltrim(f, '0')) - length(f)) || ltrim(f, '0')"
    " WHEN f = '' THEN (499 + length(w)) || rtrim(w, '0') ELSE (499 + length(w)) || w || f END",
    "number_packed(x, b) AS CASE"
    f" WHEN length(x) > 90 OR NOT regexp_full_match(x, '{_PLAIN_NUMBER}') THEN store_number(x)"
    " WHEN length(b) = 3 THEN '1'"
    " WHEN x[1] = '-' THEN '0' || translate(b, '0123456789', '9876543210') || '~' ELSE '2' || b END",
    f"calendar_date_of(x) AS CASE WHEN x >= '0001' AND regexp_full_match(x, '{_PLAIN_DATE}')"
    f" THEN strftime(try_cast(x AS TIMESTAMP), '{_MILLISECONDS}') ELSE store_calendar_date(x) END",
    "checkbox_of(x) AS CASE WHEN x IN ('true', 'True', 'TRUE', '1') THEN '1'"
    " WHEN x IN ('false', 'False', 'FALSE', '0') THEN '0' ELSE store_checkbox(x) END",
    f"point_stored(x) AS CASE WHEN regexp_full_match(x, '{_PLAIN_POINT}') THEN regexp_replace(x, '{_PLAIN_POINT}',"
    """ '{"type":"Point","coordinates":[\\1\\2,\\3\\4]}') ELSE store_point(x) END""",
    "checkbox_text(x) AS CASE x WHEN '1' THEN 'true' WHEN '0' THEN 'false' END",
)


def teach(engine: Any) -> None:
    """Teach a DuckDB connection the functions that transforms compile to."""
    for kind in TYPES.values():
        _function(engine, f"store_{kind.name}", converter(kind.name), 1)
    _function(engine, "number_text", unpack, 1)
    _function(engine, "url_text", lambda value: TYPES["url"].text(value), 1)
    for name, work in ARITHMETIC.items():
        _function(engine, name, calculated(work), 2)
    _function(engine, "point_of", _point, 2)
    _function(engine, "title_case", str.title, 1)
    for macro in _MACROS:
        engine.execute(f"CREATE MACRO {macro}")


def _function(engine: Any, name: str, work: Callable[..., str | None], count: int) -> None:
    """A function of texts that sees whole columns; null in, null out."""

    def one(column: Any) -> Any:
        return text_array(None if text is None else work(text) for text in column.to_pylist())

    def two(left: Any, right: Any) -> Any:
        rows = zip(left.to_pylist(), right.to_pylist(), strict=True)
        return text_array(None if None in row else work(*row) for row in rows)

    over, kinds = (one if count == 1 else two), ["VARCHAR"] * count
    engine.create_function(name, over, kinds, "VARCHAR", type="arrow", null_handling="special")


def _point(latitude: str, longitude: str) -> str | None:
    return converter("point")(f"POINT ({unpack(longitude)} {unpack(latitude)})")
