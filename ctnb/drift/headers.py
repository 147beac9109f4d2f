"""The header of a source against the columns of a contract: where each stands, and what has drifted."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from ctnb import documents
from ctnb.contracts.columns import Column
from ctnb.contracts.drift import SourceDrift, Treatment
from ctnb.drift.renames import guesses
from ctnb.values import shape

Kind = Literal["added", "removed", "renamed"]


class HeaderChange(documents.Form):
    """One way in which a source's header is not the contract's, and what became of it."""

    kind: Kind
    column: str = Field("", pattern=r"^[a-z_0-9]{0,63}$", description="The contract's name of the column.")
    place: int | None = Field(None, description="The place in the source, from 1.", gt=0)
    shape: str = Field(
        "",
        pattern=r"^[^B-Zb-z0-8]{0,24}$",
        description="The masked shape of a header that is not the contract's.",
    )
    treatment: Literal["accept", "hold"]

    @property
    def text(self) -> str:
        """One sentence; the header itself is not told, because it may be a cell."""
        if self.kind == "added":
            return (
                f"column {self.place} of the source is not in the contract (shape {self.shape!r}): left out"
            )
        if self.kind == "removed":
            return f"{self.column} is missing from the source: its cells are empty"
        return (
            f"{self.column} is missing from the source; column {self.place} (shape {self.shape!r}) was read in its "
            "place: is it that column under another header?"
        )


@dataclass(frozen=True)
class Matched:
    """Where the columns of a contract stand in a source."""

    places: Mapping[str, int]
    """Each column's 0-based place, by its name; a column that the source no longer has is not in it."""
    changes: tuple[HeaderChange, ...] = ()
    """What has drifted, and goes on all the same."""
    problems: tuple[str, ...] = ()
    """What ends the reading; nothing may be read when there are any."""


def match(
    header: Sequence[str], columns: Sequence[Column], ignore: Sequence[str],
    treatments: SourceDrift, needed: Collection[str] = (),
) -> Matched:  # fmt: skip
    """
    Where each of `columns` stands in `header`, and what `treatments` make of what does not fit.

    Blanks around headers do not count; headers of `ignore` are left out. `needed` are names of columns that may
    not be empty, besides those with required: true. Pure: what must end the reading is a problem in the answer.
    """
    seen = [cell.strip() for cell in header]
    wanted = [(c.header if c.header is not None else c.name).strip() for c in columns]
    places, problems, gone = _placed(seen, columns, wanted)
    ignored = {name.strip() for name in ignore}
    spare = [n for n, cell in enumerate(seen) if n not in places.values() and cell not in ignored]
    kept = {n: places[c.name] for n, c in enumerate(columns) if c.name in places}
    renamed = {one: at for one, at in guesses(wanted, seen, kept, spare).items() if one in gone}
    changes = []
    for one in gone:
        column, at = columns[one], renamed.get(one)
        kind: Kind = "removed" if at is None else "renamed"
        treatment: Treatment = getattr(treatments, kind)
        if treatment == "stop" or (at is None and (column.constraints.required or column.name in needed)):
            problems.append(_problem(column, at, seen))
            continue
        if at is not None:
            places[column.name] = at
        changes.append(_change(kind, treatment, column.name, at, seen))
    for at in (place for place in spare if place not in renamed.values()):
        if treatments.added == "stop":
            problems.append(f"column {at + 1} is not in the contract (shape {shape(seen[at])!r})")
        else:
            changes.append(_change("added", treatments.added, "", at, seen))
    if problems and treatments.added != "stop":  # whoever corrects the contract wants to know of them now
        added = [one for one in changes if one.kind == "added"]
        problems += [f"column {one.place} is not in the contract (shape {one.shape!r})" for one in added]
    return Matched(places, tuple(changes), tuple(problems))


def _placed(
    seen: Sequence[str], columns: Sequence[Column], wanted: Sequence[str]
) -> tuple[dict[str, int], list[str], list[int]]:
    """Places by name, problems with headers that stand several times, and which of `columns` are missing."""
    places: dict[str, int] = {}
    problems: list[str] = []
    gone: list[int] = []
    for number, (column, text) in enumerate(zip(columns, wanted, strict=True)):
        at = [place for place, cell in enumerate(seen) if cell == text]
        if column.position is not None:
            at = [column.position - 1] if column.position <= len(seen) else []
        if len(at) == 1:
            places[column.name] = at[0]
        elif at:
            problems.append(f"the header of {column.name} stands {len(at)} times (give its position:)")
        else:
            gone.append(number)
    return places, problems, gone


def _problem(column: Column, at: int | None, seen: Sequence[str]) -> str:
    if at is None:
        return f"{column.name} is missing"
    return (
        f"{column.name} is missing; is it column {at + 1} (shape {shape(seen[at])!r}) under another header?"
    )


def _change(
    kind: Kind, treatment: Treatment, column: str, at: int | None, seen: Sequence[str]
) -> HeaderChange:
    return HeaderChange.model_validate(
        {
            "kind": kind, "column": column, "treatment": treatment,
            "place": None if at is None else at + 1, "shape": "" if at is None else shape(seen[at]),
        }
    )  # fmt: skip
