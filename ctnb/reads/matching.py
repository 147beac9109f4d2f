"""Which column of a contract stands where in a source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ctnb.datasets import Dataset
from ctnb.drift import headers
from ctnb.drift.headers import Matched
from ctnb.errors import SourceInvalid

WRITTEN_BESIDE = ("ctnb_file", "ctnb_row", "ctnb_rules")
"""Headers that `ctnb runs rejects --csv` writes beside the originals; whoever reads that file passes over them."""


def match(header: Sequence[str], dataset: Dataset, ignore: Sequence[str]) -> Matched:
    """
    Where each column of `dataset` stands in `header`, with what has drifted and goes on all the same.

    Blanks around headers do not count; headers of `ignore` are left out. Raises SourceInvalid for a header that
    stands twice and is not told apart by position, and for drift that the contract stops at.
    """
    contract = dataset.contract
    left_out = [*ignore, *WRITTEN_BESIDE]
    found = headers.match(header, contract.read_columns, left_out, contract.drift.source, contract.key)
    if found.problems:
        raise SourceInvalid(
            f"The source's header does not fit the contract: {'; '.join(found.problems[:8])}"
            f"{f'; and {len(found.problems) - 8} more' if len(found.problems) > 8 else ''}.",
            hint="Correct columns: in dataset.yml, or list headers to leave out under source: ignore:.",
        )
    return found


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
