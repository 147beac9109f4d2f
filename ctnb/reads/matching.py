"""Which column of a contract stands where in a source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ctnb.contracts.columns import Column
from ctnb.errors import SourceInvalid
from ctnb.values import shape

WRITTEN_BESIDE = ("ctnb_file", "ctnb_row", "ctnb_rules")
"""Headers that `ctnb runs rejects --csv` writes beside the originals; whoever reads that file passes over them."""


def match(header: Sequence[str], columns: Sequence[Column], ignore: Sequence[str]) -> dict[str, int]:
    """
    Where each of `columns` stands in `header`: its name to its 0-based place.

    Blanks around headers do not count. Raises SourceInvalid for a column that is missing, a header that
    stands twice and is not told apart by position, and a header that neither contract nor `ignore` names;
    that one may be a cell, so it is told by place and shape.
    """
    seen = [cell.strip() for cell in header]
    places, problems = {}, []
    for column in columns:
        wanted = (column.header if column.header is not None else column.name).strip()
        at = [place for place, cell in enumerate(seen) if cell == wanted]
        if column.position is not None:
            at = [column.position - 1] if column.position <= len(seen) else []
        if len(at) == 1:
            places[column.name] = at[0]
        elif at:
            problems.append(f"the header of {column.name} stands {len(at)} times (give its position:)")
        else:
            problems.append(f"{column.name} is missing")
    left = set(range(len(seen))) - set(places.values())
    ignored = {name.strip() for name in (*ignore, *WRITTEN_BESIDE)}
    unknown = sorted(place for place in left if seen[place] not in ignored)
    problems += [
        f"column {place + 1} is not in the contract (shape {shape(seen[place])!r})" for place in unknown
    ]
    if problems:
        raise SourceInvalid(
            f"The source's header does not fit the contract: {'; '.join(problems[:8])}"
            f"{f'; and {len(problems) - 8} more' if len(problems) > 8 else ''}.",
            hint="Correct columns: in dataset.yml, or list headers to leave out under source: ignore:.",
        )
    return places


def place_of(header: Sequence[str], wanted: str) -> int:
    """Where the contract's header `wanted` stands in `header`, from 0. Raises SourceInvalid."""
    at = [place for place, cell in enumerate(header) if cell.strip() == wanted.strip()]
    if len(at) != 1:
        raise SourceInvalid(
            f"The header '{wanted}' of dataset.yml stands {len(at)} times among its {len(header)} headers.",
            hint="Correct it in dataset.yml, or where the file is written.",
        )
    return at[0]


@contextmanager
def naming(what: str) -> Iterator[None]:
    """Say of an error over a file which one it is: `what`, unless that is empty."""
    try:
        yield
        return
    except SourceInvalid as error:
        if not what:
            raise
        told = error
    raise SourceInvalid(f"{what}: {told.what}", hint=told.hint)
