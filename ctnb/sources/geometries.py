"""
Geometry of a geographic file: points become text that the type point reads, other kinds are counted.

Bytes are well-known binary (OGC 06-103r4, 8.2), with the codes for a third coordinate of ISO 19125 and of PostGIS.
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from ctnb.sources.number_texts import number_text

KINDS = {
    1: "point", 2: "line", 3: "polygon", 4: "multipoint", 5: "multiline", 6: "multipolygon", 7: "collection",
}  # fmt: skip
_HIGH_BIT_Z = 0x80000000
_FLAGS = 0xE0000000


@dataclass
class Points:
    """Takes geometries, gives points as text, and counts what is none."""

    others: Counter[str] = field(default_factory=Counter)
    """Geometries that are no points, by kind."""
    heights: int = 0
    """Points with a third coordinate that is not 0."""
    given: int = 0
    """Points so far."""

    def text(self, geometry: bytes | None) -> str | None:
        """`POINT (longitude latitude)`; None for no geometry, an empty one and any other kind."""
        if not geometry or len(geometry) < 5:
            return None
        order = "<" if geometry[0] else ">"
        code = struct.unpack_from(f"{order}I", geometry, 1)[0]
        plain = code & ~_FLAGS
        if plain % 1000 != 1:
            self.others[KINDS.get(plain % 1000, "other")] += 1
            return None
        high = bool(code & _HIGH_BIT_Z) or plain // 1000 in (1, 3)
        wanted = 3 if high else 2
        if len(geometry) < 5 + 8 * wanted:
            return None
        return self.point(struct.unpack_from(f"{order}{wanted}d", geometry, 5))

    def point(self, place: Iterable[float]) -> str | None:
        """The text of a point with these coordinates."""
        x, y, *height = place
        if not (math.isfinite(x) and math.isfinite(y)):
            return None
        self.given += 1
        self.heights += bool(height) and math.isfinite(height[0]) and bool(height[0])
        return f"POINT ({number_text(x)} {number_text(y)})"

    def notes(self) -> tuple[str, ...]:
        """What was left out, as sentences."""
        made = []
        if self.others:
            kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(self.others.items()))
            made.append(f"Geometry that is no point was left out: {kinds}.")
        if self.heights:
            made.append(f"Points whose height was left out: {self.heights:,}.")
        return tuple(made)
