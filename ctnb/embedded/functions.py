"""The functions SQLite is taught: calculations on stored numbers, letters of every script, geometries."""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import sqlite3
import unicodedata
from collections.abc import Callable
from typing import Any

from . import calculations as calc
from . import spatial
from .aggregates import AGGREGATES
from .decimals import pack, unpack
from .identifiers import ALPHABET, new_row_id

Plain = Callable[..., Any]


def register(connection: sqlite3.Connection) -> None:
    """Teach `connection` the functions of FUNCTIONS (null in, null out), and AGGREGATES."""
    connection.create_function("new_row_id", 1, new_row_id)
    connection.create_function("greatest", -1, _greatest, deterministic=True)
    connection.create_function("least", -1, _least, deterministic=True)
    for name, (count, work) in FUNCTIONS.items():
        connection.create_function(name, count, _unless_null(work), deterministic=True)
    for name, (count, kind) in AGGREGATES.items():
        connection.create_aggregate(name, count, kind)


def _unless_null(work: Plain) -> Plain:
    def call(*values: Any) -> Any:
        return None if None in values else work(*values)

    return call


def _greatest(*values: Any) -> Any:
    return max((value for value in values if value is not None), default=None)


def _least(*values: Any) -> Any:
    return min((value for value in values if value is not None), default=None)


def _number_of(value: int) -> str | None:
    return pack(str(value))


def _without_accents(text: str) -> str:
    """Every letter without the marks above and below it."""
    return "".join(sign for sign in unicodedata.normalize("NFKD", text) if not unicodedata.combining(sign))


def _week(day: str) -> str | None:
    """The ISO week of a stored date, as Postgres numbers weeks."""
    return pack(str(dt.date.fromisoformat(day[:10]).isocalendar().week))


def _row_version(rid: str, updated_at: str) -> str:
    """A name for one state of one row: it changes when the row does."""
    digest = hashlib.sha256(f"{rid} {updated_at}".encode()).digest()
    letters = "".join(ALPHABET[byte % 32] for byte in digest[:12])
    return f"rv-{letters[:4]}~{letters[4:8]}~{letters[8:]}"


_area = functools.lru_cache(maxsize=16)(spatial.read_shape)
"""The geometry that every row is held against, read once."""


def _about(work: Callable[..., Any]) -> Plain:
    """A function of one stored geometry and packed numbers; None for a location without a place."""

    def call(stored: str, *numbers: str) -> Any:
        shape = spatial.read_shape(stored)
        return None if shape is None else work(shape, *(float(unpack(one)) for one in numbers))

    return call


def _against(work: Callable[[spatial.Shape, spatial.Shape], bool]) -> Plain:
    def call(stored: str, other: str) -> int | None:
        shape, area = spatial.read_shape(stored), _area(other)
        return None if shape is None or area is None else int(work(shape, area))

    return call


def _metres(stored: str, other: str) -> str | None:
    """Between points; another geometry has no distance here."""
    one, two = spatial.read_shape(stored), _area(other)
    if one is None or two is None or len(one.points) != 1 or len(two.points) != 1:
        return None
    return pack(repr(spatial.metres_between(one.points[0], two.points[0])))


def _count_points(shape: spatial.Shape) -> str | None:
    return pack(str(sum(1 for _ in shape.positions())))


FUNCTIONS: dict[str, tuple[int, Plain]] = {
    "num_of": (1, _number_of),
    "to_lower": (1, str.lower),
    "to_upper": (1, str.upper),
    "without_accents": (1, _without_accents),
    "number_text": (1, unpack),
    "whole_number": (1, calc.whole_number),
    "num_ln": (1, calc.logarithm),
    "num_abs": (1, calc.magnitude),
    "num_floor": (1, lambda value: calc.whole(value, "floor")),
    "num_ceiling": (1, lambda value: calc.whole(value, "ceiling")),
    "num_round": (2, calc.rounded),
    **{name: (2, calc.calculated(work)) for name, work in calc.ARITHMETIC.items()},
    **{
        f"store_{name}": (1, calc.converter(name)) for name in ("number", "calendar_date", "date", "checkbox")
    },
    "week_of": (1, _week),
    "row_version": (2, _row_version),
    "geo_metres": (2, _metres),
    "geo_points": (1, _about(_count_points)),
    "geo_hull": (1, _about(spatial.convex_hull)),
    "geo_simplify": (2, _about(lambda shape, degrees: spatial.simplify(shape, degrees, keep=False))),
    "geo_simplify_keep": (2, _about(lambda shape, degrees: spatial.simplify(shape, degrees, keep=True))),
    "geo_in_box": (5, _about(lambda shape, *sides: int(spatial.within_box(shape, *sides)))),
    "geo_in_circle": (4, _about(lambda shape, *place: int(spatial.within_circle(shape, *place)))),
    "geo_within": (2, _against(spatial.within)),
    "geo_intersects": (2, _against(spatial.intersects)),
}
"""How many arguments each takes, and what it does; numbers are packed texts, geometries GeoJSON texts."""
