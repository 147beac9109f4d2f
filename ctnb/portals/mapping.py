"""
Mapping: our columns beside a portal's fields, each with a verdict, before anything else is planned.

Anything but `fits` stops a plan unless the contract settles it by name: `mapping:`, `ignore:` or `leave_out:`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ctnb.contracts import publication
from ctnb.contracts.columns import Column
from ctnb.errors import suggest
from ctnb.portals.interface import Portal, There
from ctnb.portals.plans import Mapped


@dataclass(frozen=True)
class Fields:
    """Which column of ours is which field of the portal's."""

    columns: tuple[Column, ...]
    """The columns that the portal gets, under our names."""
    to_field: Mapping[str, str]
    """Our name: the portal's; only where they differ."""

    @property
    def theirs(self) -> tuple[Column, ...]:
        """The columns under the portal's names."""
        return tuple(self.as_field(column) for column in self.columns)

    @property
    def renames(self) -> bool:
        """Whether any column has another name on the portal."""
        return bool(self.to_field)

    def as_field(self, column: Column) -> Column:
        """`column` under the portal's name, with its own label."""
        return column.model_copy(update={"name": self.field(column.name), "label": column.title})

    def field(self, name: str) -> str:
        """The portal's name of our column `name`."""
        return self.to_field.get(name, name)

    def column(self, field: str) -> str:
        """Our name of the portal's `field`; the field itself where we have no such column."""
        return next((ours for ours, theirs in self.to_field.items() if theirs == field), field)


def fields(columns: Sequence[Column], told: publication.Portal) -> Fields:
    """The columns that the portal gets, and under which names."""
    kept = tuple(column for column in columns if column.name not in told.leave_out)
    names = {column.name for column in kept}
    return Fields(
        kept, {ours: theirs for ours, theirs in told.mapping.items() if ours in names and ours != theirs}
    )


def compare(
    columns: Sequence[Column], portal: Portal, there: There | None, told: publication.Portal,
    approved: Collection[str] = (),
) -> tuple[Mapped, ...]:  # fmt: skip
    """
    Each of `columns` beside the portal's field, then the fields that only the portal has.

    `told` is the contract's word about names; `approved` are new columns whose structure somebody approved: they
    are added to a dataset that is there. Without a dataset `there` everything fits.
    """
    names = fields(columns, told)
    theirs = {field.name: field.type for field in there.fields} if there else {}
    found = []
    for column in columns:
        ours = portal.type_of(column)
        if column.name in told.leave_out:
            found.append(Mapped(column.name, "", ours, "", "only here", "left out"))
            continue
        field = names.field(column.name)
        known = theirs.pop(field, "")
        verdict = "fits" if there is None or ours == known else "type differs" if known else "only here"
        found.append(
            Mapped(column.name, field, ours, known, verdict, _settled(column, verdict, told, approved))
        )
    for field, kind in theirs.items():
        settled = "ignored" if field in told.ignore else ""
        found.append(Mapped("", field, "", kind, "only there", settled))
    return tuple(found)


def problems(mapped: Sequence[Mapped], told: publication.Portal, there: There | None) -> list[str]:
    """Why the columns do not fit, a sentence part for each; names of `told` that exist nowhere among them."""
    found = [_problem(one, mapped) for one in mapped if one.verdict != "fits" and not one.settled]
    if there is not None:
        known = {field.name for field in there.fields}
        found += [
            f"portal: {where}: names the field '{name}', which the portal does not have{_near(name, known)}"
            for where, names in (("ignore", told.ignore), ("mapping", _mapped_to(told, mapped)))
            for name in names
            if name not in known
        ]
    return found


def to_add(mapped: Sequence[Mapped]) -> tuple[str, ...]:
    """Our columns that the portal's dataset gets as new ones."""
    return tuple(one.column for one in mapped if one.settled == "added")


def usable(mapped: Sequence[Mapped]) -> bool:
    """Whether the portal's rows can be read as our columns, those to be added aside."""
    return all(one.verdict == "fits" or one.settled for one in mapped)


def _settled(column: Column, verdict: str, told: publication.Portal, approved: Collection[str]) -> str:
    if verdict == "type differs" and column.name in told.mapping:
        return "mapped"
    if verdict == "only here" and column.name in approved and column.name not in told.mapping:
        return "added"
    return ""


def _mapped_to(told: publication.Portal, mapped: Sequence[Mapped]) -> list[str]:
    """Fields that `mapping:` names for columns the table has, and that no verdict speaks of."""
    spoken = {one.field for one in mapped}
    return [
        field for ours, field in told.mapping.items() if field not in spoken and ours not in told.leave_out
    ]


def _problem(one: Mapped, mapped: Sequence[Mapped]) -> str:
    if one.verdict == "type differs":
        return (
            f"{one.column}: type differs ({one.ours} here, {one.theirs} there; to send it all the same: "
            f"mapping: {{{one.column}: {one.field}}})"
        )
    if one.verdict == "only here":
        spare = [other.field for other in mapped if other.verdict == "only there" and not other.settled]
        return (
            f"{one.column}: only here{_near(one.column, spare)} (mapping: {{{one.column}: FIELD}} names its field, "
            f"leave_out: [{one.column}] does not send it)"
        )
    return f"{one.field}: only there (ignore: [{one.field}] leaves it alone)"


def _near(name: str, known: Collection[str]) -> str:
    near = suggest(name, known)
    return f"; is it {' or '.join(near)}" + "?" if near else ""
