"""What SQLite is taught to work out over rows: exact sums, deviations, fitted lines, and boxes around shapes."""

from __future__ import annotations

import collections
import decimal
from decimal import Decimal
from typing import Any

from . import spatial
from .calculations import EXACT, ROUNDED, number, packed

_NOUGHT = Decimal(0)
_INNER = decimal.Context(prec=70)
_NINES = str.maketrans("0123456789", "9876543210")


class Sum:
    """The exact sum of packed numbers; null without any."""

    def __init__(self) -> None:
        self.parts: dict[int, int] = collections.defaultdict(int)
        """Whole numbers by the power of ten they are to be multiplied by: a million rows are many."""
        self.count = 0

    def step(self, stored: Any) -> None:
        """Take one row's number in, unless it is null."""
        if stored is None:
            return
        self.count += 1
        if stored[0] == "2":
            digits = stored[4:]
            self.parts[int(stored[1:4]) - len(digits)] += int(digits)
        elif stored[0] == "0":
            body = stored[1:-1].translate(_NINES)
            self.parts[int(body[:3]) - len(body) + 3] -= int(body[3:])

    @property
    def total(self) -> Decimal:
        """The sum so far."""
        total = _NOUGHT
        for power, whole in self.parts.items():
            total = EXACT.add(total, EXACT.scaleb(Decimal(whole), power - 499))
        return total

    def finalize(self) -> Any:
        """The packed result."""
        return packed(self.total) if self.count else None


class Average(Sum):
    """Their mean, to 30 digits."""

    def finalize(self) -> Any:
        """The packed result."""
        return packed(ROUNDED.divide(self.total, self.count)) if self.count else None


class Deviation:
    """The standard deviation of packed numbers as a population, to 30 digits."""

    fewest = 1

    def __init__(self) -> None:
        self.count = 0
        self.total = self.squares = _NOUGHT

    def step(self, stored: Any) -> None:
        """Take one row's number in, unless it is null."""
        if stored is not None:
            value = number(stored)
            self.total = EXACT.add(self.total, value)
            self.squares = EXACT.fma(value, value, self.squares)
            self.count += 1

    def finalize(self) -> Any:
        """The packed result; null with too few rows."""
        if self.count < self.fewest:
            return None
        spread = _spread(self.count, self.total, self.total, self.squares)
        variance = _INNER.divide(spread, self.count * (self.count + 1 - self.fewest))
        return packed(ROUNDED.sqrt(variance))


class SampleDeviation(Deviation):
    """Their standard deviation as a sample, which needs two rows."""

    fewest = 2


def _spread(count: int, one: Decimal, other: Decimal, products: Decimal) -> Decimal:
    """count * products - one * other, exactly."""
    return EXACT.subtract(EXACT.multiply(products, count), EXACT.multiply(one, other))


class _Fit:
    """Least squares of y on x over the rows that have both, as regr_...(y, x) of SQL:2003."""

    def __init__(self) -> None:
        self.count = 0
        self.x = self.y = self.xx = self.xy = self.yy = _NOUGHT

    def step(self, y: Any, x: Any) -> None:
        """Take one row's pair in, unless one of them is null."""
        if y is None or x is None:
            return
        one, two = number(x), number(y)
        self.count += 1
        self.x, self.y = EXACT.add(self.x, one), EXACT.add(self.y, two)
        self.xx, self.yy = EXACT.fma(one, one, self.xx), EXACT.fma(two, two, self.yy)
        self.xy = EXACT.fma(one, two, self.xy)

    def spreads(self) -> tuple[Decimal, Decimal, Decimal]:
        """Of x, of x with y, and of y."""
        return (
            _spread(self.count, self.x, self.x, self.xx),
            _spread(self.count, self.x, self.y, self.xy),
            _spread(self.count, self.y, self.y, self.yy),
        )


class Slope(_Fit):
    """The slope of the fitted line; null when all x are the same."""

    def finalize(self) -> Any:
        """The packed result."""
        of_x, of_both, _ = self.spreads()
        return packed(ROUNDED.divide(of_both, of_x)) if of_x else None


class Intercept(_Fit):
    """Where the fitted line meets x = 0."""

    def finalize(self) -> Any:
        """The packed result."""
        of_x, of_both, _ = self.spreads()
        if not of_x:
            return None
        above = EXACT.subtract(EXACT.multiply(self.y, of_x), EXACT.multiply(of_both, self.x))
        return packed(ROUNDED.divide(above, EXACT.multiply(of_x, self.count)))


class Determination(_Fit):
    """R squared of the fitted line; 1 when all y are the same."""

    def finalize(self) -> Any:
        """The packed result."""
        of_x, of_both, of_y = self.spreads()
        if not of_x:
            return None
        if not of_y:
            return packed(Decimal(1))
        return packed(ROUNDED.divide(EXACT.multiply(of_both, of_both), EXACT.multiply(of_x, of_y)))


class Extent:
    """The box around all geometries, as a multipolygon."""

    def __init__(self) -> None:
        self.sides: list[spatial.Position] = []

    def step(self, stored: Any) -> None:
        """Take one row's geometry in."""
        shape = None if stored is None else spatial.read_shape(stored)
        if shape is not None:
            places = [*self.sides, *shape.positions()]
            by_x, by_y = sorted(places, key=lambda p: p.x), sorted(places, key=lambda p: p.y)
            self.sides = [by_x[0], by_y[0], by_x[-1], by_y[-1]]

    def finalize(self) -> Any:
        """The GeoJSON text, or null without any."""
        return spatial.box_around(*self.sides) if self.sides else None


class Union:
    """The different places of points, as a multipoint."""

    def __init__(self) -> None:
        self.places: dict[tuple[float, float], spatial.Position] = {}

    def step(self, stored: Any) -> None:
        """Take one row's points in."""
        shape = None if stored is None else spatial.read_shape(stored)
        for place in () if shape is None else shape.points:
            self.places.setdefault((place.x, place.y), place)

    def finalize(self) -> Any:
        """The GeoJSON text, or null without any."""
        return spatial.multipoint(self.places.values()) if self.places else None


AGGREGATES: dict[str, tuple[int, Any]] = {
    "num_sum": (1, Sum),
    "num_avg": (1, Average),
    "num_stddev_pop": (1, Deviation),
    "num_stddev_samp": (1, SampleDeviation),
    "num_slope": (2, Slope),
    "num_intercept": (2, Intercept),
    "num_r2": (2, Determination),
    "geo_extent": (1, Extent),
    "geo_union": (1, Union),
}
"""How many arguments each takes, and the class that works it out."""
