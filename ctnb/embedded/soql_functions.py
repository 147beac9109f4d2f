"""The functions of SoQL by name: what they take, what they give, and what they are in SQL."""

from __future__ import annotations

from dataclasses import dataclass

from .cells import CHECKBOX, NUMBER, TEXT, TYPES, CellType

CALENDAR = TYPES["calendar_date"]
POLYGON, MULTIPOLYGON, MULTIPOINT = TYPES["polygon"], TYPES["multipolygon"], TYPES["multipoint"]
SHAPES = frozenset({"point", "multipoint", "line", "multiline", "polygon", "multipolygon"})
MOMENTS = frozenset({"floating_timestamp", "fixed_timestamp"})
FAMILIES = {
    "shape": SHAPES,
    "place": SHAPES | {"location"},
    "moment": MOMENTS,
    "ordered": MOMENTS | {"text", "number", "boolean"},
}
"""Words in `takes` that stand for several types."""


@dataclass(frozen=True)
class Function:
    """A SoQL function: what it takes, gives and is in SQL."""

    takes: tuple[str, ...]
    """Types by their X-SODA2 words, or a word of FAMILIES; `any` takes all."""
    gives: CellType | None
    """None: the type of its first argument."""
    sql: str
    aggregate: bool = False


def fits(taken: str, soda: str) -> bool:
    """Whether a type, by its X-SODA2 word, is one that `taken` stands for."""
    return taken == "any" or soda == taken or soda in FAMILIES.get(taken, ())


def _extracted(first: int, letters: int) -> Function:
    """A part of a timestamp, as a number: `letters` of its text from the `first` on."""
    return Function(("moment",), NUMBER, f"num_of(CAST(substr({{0}}, {first}, {letters}) AS INTEGER))")


def _truncated(letters: int, rest: str) -> Function:
    """A timestamp cut off after `letters`; what follows the milliseconds, the Z of a fixed one, stays."""
    zone = "CASE WHEN {0} LIKE '%Z' THEN 'Z' ELSE '' END"
    return Function(("moment",), None, f"(substr({{0}}, 1, {letters}) || '{rest}' || {zone})")


def _aggregate(sql: str, *takes: str, gives: CellType | None = NUMBER) -> Function:
    return Function(takes, gives, sql, aggregate=True)


_TEXTS = {
    "lower": Function(("text",), TEXT, "to_lower({0})"),
    "upper": Function(("text",), TEXT, "to_upper({0})"),
    "unaccent": Function(("text",), TEXT, "without_accents({0})"),
    "trim": Function(("text",), TEXT, "trim({0})"),
    "length": Function(("text",), NUMBER, "num_of(length({0}))"),
    "contains": Function(("text", "text"), CHECKBOX, "(instr({0}, {1}) > 0)"),
    "starts_with": Function(("text", "text"), CHECKBOX, "(substr({0}, 1, length({1})) = {1})"),
    "substring": Function(
        ("text", "number", "number"), TEXT, "substr({0}, 1 + whole_number({1}), max(0, whole_number({2})))"
    ),
}
_NUMBERS = {
    "+": Function(("number", "number"), NUMBER, "num_add({0}, {1})"),
    "-": Function(("number", "number"), NUMBER, "num_subtract({0}, {1})"),
    "*": Function(("number", "number"), NUMBER, "num_multiply({0}, {1})"),
    "/": Function(("number", "number"), NUMBER, "num_divide({0}, {1})"),
    "%": Function(("number", "number"), NUMBER, "num_remainder({0}, {1})"),
    "^": Function(("number", "number"), NUMBER, "num_power({0}, {1})"),
    "negative": Function(("number",), NUMBER, "num_subtract('1', {0})"),
    "abs": Function(("number",), NUMBER, "num_abs({0})"),
    "ceiling": Function(("number",), NUMBER, "num_ceiling({0})"),
    "floor": Function(("number",), NUMBER, "num_floor({0})"),
    "ln": Function(("number",), NUMBER, "num_ln({0})"),
    "round": Function(("number", "number"), NUMBER, "num_round({0}, {1})"),
}
_DATES = {
    "date_extract_y": _extracted(1, 4),
    "date_extract_m": _extracted(6, 2),
    "date_extract_d": _extracted(9, 2),
    "date_extract_hh": _extracted(12, 2),
    "date_extract_mm": _extracted(15, 2),
    "date_extract_ss": _extracted(18, 2),
    "date_extract_dow": Function(
        ("moment",), NUMBER, "num_of(CAST(strftime('%w', substr({0}, 1, 10)) AS INTEGER))"
    ),
    "date_extract_woy": Function(("moment",), NUMBER, "week_of({0})"),
    "date_trunc_y": _truncated(4, "-01-01T00:00:00.000"),
    "date_trunc_ym": _truncated(7, "-01T00:00:00.000"),
    "date_trunc_ymd": _truncated(10, "T00:00:00.000"),
    "get_utc_date": Function((), CALENDAR, "strftime('%Y-%m-%dT%H:%M:%f', 'now')"),
}
_PLACES = {
    "distance_in_meters": Function(("place", "place"), NUMBER, "geo_metres({0}, {1})"),
    "within_circle": Function(
        ("place", "number", "number", "number"), CHECKBOX, "geo_in_circle({0}, {1}, {2}, {3})"
    ),
    "within_box": Function(
        ("place", "number", "number", "number", "number"), CHECKBOX, "geo_in_box({0}, {1}, {2}, {3}, {4})"
    ),
    "within_polygon": Function(("place", "shape"), CHECKBOX, "geo_within({0}, {1})"),
    "intersects": Function(("place", "shape"), CHECKBOX, "geo_intersects({0}, {1})"),
    "num_points": Function(("shape",), NUMBER, "geo_points({0})"),
    "convex_hull": Function(("shape",), POLYGON, "geo_hull({0})"),
    "simplify": Function(("shape", "number"), None, "geo_simplify({0}, {1})"),
    "simplify_preserve_topology": Function(("shape", "number"), None, "geo_simplify_keep({0}, {1})"),
}
_AGGREGATES = {
    "count": _aggregate("num_of(count({0}))", "any"),
    "count distinct": _aggregate("num_of(count(DISTINCT {0}))", "any"),
    "sum": _aggregate("num_sum({0})", "number"),
    "sum distinct": _aggregate("num_sum(DISTINCT {0})", "number"),
    "avg": _aggregate("num_avg({0})", "number"),
    "avg distinct": _aggregate("num_avg(DISTINCT {0})", "number"),
    "min": _aggregate("min({0})", "ordered", gives=None),
    "max": _aggregate("max({0})", "ordered", gives=None),
    "stddev_pop": _aggregate("num_stddev_pop({0})", "number"),
    "stddev_samp": _aggregate("num_stddev_samp({0})", "number"),
    "regr_slope": _aggregate("num_slope({0}, {1})", "number", "number"),
    "regr_intercept": _aggregate("num_intercept({0}, {1})", "number", "number"),
    "regr_r2": _aggregate("num_r2({0}, {1})", "number", "number"),
    "extent": _aggregate("geo_extent({0})", "place", gives=MULTIPOLYGON),
    "spatial_union": _aggregate("geo_union({0})", "point", gives=MULTIPOINT),
}
FUNCTIONS = {**_TEXTS, **_NUMBERS, **_DATES, **_PLACES, **_AGGREGATES}
