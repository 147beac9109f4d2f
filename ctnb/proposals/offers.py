"""Rules that a proposal offers and never applies: a wide table made long, ZIP codes mended."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import duckdb

from ctnb.proposals import naming
from ctnb.proposals.cells import numbers
from ctnb.proposals.profiles import DATES
from ctnb.proposals.types import Choice
from ctnb.values import Kind, parse_sql, quote_text

MENDABLE_ZIPS = (4, 8)
"""Digits of a ZIP code that lost its leading zero, which the rule repair_zip puts back."""


@dataclass(frozen=True)
class Offer:
    """A rule, ready to be uncommented."""

    why: tuple[str, ...]
    """What it would do, as sentences with counts."""
    lines: tuple[str, ...]
    """The rule as YAML, without indent."""

    @property
    def name(self) -> str:
        """The rule's word, and the first that it is told."""
        return self.lines[0].removeprefix("- ").removesuffix(":")


def agreed(choices: Sequence[Choice], headers: Sequence[str], told: Sequence[int]) -> list[Choice]:
    """
    `choices`, with one type for the columns whose headers are years or dates, where one holds all their cells.

    `told` are the cells of each column that hold something. Whole numbers and decimals become numbers with the most
    decimals, amounts of money money; an empty column becomes what the others are.
    """
    places = [place - 1 for place in naming.wide(headers)]
    kinds = {choices[at].kind for at in places if told[at]}
    common = _common(kinds)
    if common is None:
        return list(choices)
    made = list(choices)
    for at in places:
        if choices[at].kind != common:
            said = f"{common.type}, as the other columns of years or dates."
            made[at] = replace(choices[at], kind=common, why=(*choices[at].why, said), asks=())
    return made


def _common(kinds: set[Kind]) -> Kind | None:
    types = {kind.type for kind in kinds}
    if len(kinds) == 1:
        return next(iter(kinds))
    if types == {"percent"} or (types and types <= {"integer", "number"}):
        return Kind("percent" if types == {"percent"} else "number", max(kind.scale for kind in kinds))
    if (
        "money" in types
        and types <= {"integer", "number", "money"}
        and max(kind.scale for kind in kinds) <= 2
    ):
        return Kind("money", 2)
    return None


def pivot(names: Sequence[str], headers: Sequence[str], choices: Sequence[Choice]) -> Offer | None:
    """The pivot of the columns whose headers are years or dates; None where there are too few."""
    places = [place - 1 for place in naming.wide(headers)]
    if not places:
        return None
    why = [
        f"{len(places)} headers are years or dates: a wide table, which needs a new column for each new period. "
        "Uncomment to get one row for each of them in a row; an empty cell is a row too unless drop_empty: true."
    ]
    kinds = {choices[at].kind for at in places}
    if len(kinds) > 1:
        listed = ", ".join(sorted({kind.type for kind in kinds}))
        why.append(f"First give these columns one type; now they have {listed}.")
    told, asks = _period([headers[at].strip() for at in places])
    listed = ", ".join(names[at] for at in places)
    taken = {name for at, name in enumerate(names) if at not in places}
    values = "value" if "value" not in taken else "cell_value"
    if told["name"] in taken:
        told["name"] = f"{told['name']}_of_value"
    said = ", ".join(f"{key}: {_scalar(value)}" for key, value in told.items())
    lines = ("- pivot_longer:", f"    columns: [{listed}]", f"    names_to: {{{said}}}",
             f"    values_to: {values}", "    drop_empty: false")  # fmt: skip
    return Offer((*why, *asks), lines)


def repair(name: str, widths: Mapping[int, int]) -> Offer | None:
    """The repair of a column of ZIP codes; None where no cell could be mended."""
    counts = {width: widths[width] for width in MENDABLE_ZIPS if widths.get(width)}
    if not counts:
        return None
    listed = " and ".join(f"{count:,} of {width} digits" for width, count in counts.items())
    why = f"{name} has {listed}. The zero is put back, with a hyphen in ZIP+4, and every repair counted."
    return Offer((why,), (f"- repair_zip: {name}",))


def _period(headers: Sequence[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """The column that the headers become: whole years, days in one way of writing them, or text."""
    if all(re.fullmatch(r"(19|20)[0-9]{2}", header) for header in headers):
        return {"name": "year", "type": "integer", "role": "plain"}, ()
    fitting = [kind for kind in DATES if _all_are(kind, headers)]
    if len(fitting) == 1:
        told = {"name": "day", "type": "date", "role": "plain"}
        return told | ({"format": fitting[0].format} if fitting[0].format else {}), ()
    asks = ("Is the day or the month first in these headers? They stay text until names_to: has a format:.",)
    return {"name": "period", "type": "text", "role": "plain"}, asks if fitting else ()


def _all_are(kind: Kind, headers: Sequence[str]) -> bool:
    tests = " AND ".join(f"({parse_sql(kind, quote_text(header))}) IS NOT NULL" for header in headers)
    with duckdb.connect(":memory:") as connection:
        return bool(numbers(connection, f"SELECT ({tests})::INTEGER")[0])


def _scalar(text: str) -> str:
    return text if re.fullmatch(r"[a-z_]+", text) else json.dumps(text)
