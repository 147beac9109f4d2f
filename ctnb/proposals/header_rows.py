"""Whether the first row of a source is a header: what looks like data is never written into a contract."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ctnb.errors import SourceInvalid
from ctnb.privacy.detection import found_in
from ctnb.proposals import naming
from ctnb.proposals.profiles import Profile


def check_header(header: Sequence[str]) -> None:
    """Nothing is written when the header holds what identifies people: it is a row then."""
    for place, cell in enumerate(header, 1):
        kinds = found_in(cell)
        if kinds:
            raise SourceInvalid(
                f"The header's cell {place} looks like {kinds[0]}: the first row seems to be data.",
                hint="Add a row with the names of the columns to the source.",
            )


def check_not_data(header: Sequence[str], seen: Sequence[Profile]) -> None:
    """A first row whose cells are of the columns' types is a row like the others; years and days may be headers."""
    years = set(naming.wide(header, 2)) if len(set(header)) == len(header) else set()
    typed = [profile for profile in seen if _all_digits_or_marks(profile)]
    like = [
        profile for profile in typed
        if profile.position not in years and re.fullmatch(r"[-+$(]*[0-9][-+0-9.,/:$%() ]*", profile.header.strip())
    ]  # fmt: skip
    if like and 2 * len(like) >= len(typed):
        raise SourceInvalid(
            f"{len(like)} of {len(typed)} columns of numbers or dates have a number or date in the header row: "
            "the first row seems to be data.",
            hint="Add a row with the names of the columns to the source.",
        )


def _all_digits_or_marks(profile: Profile) -> bool:
    return any(
        misfits == 0 and kind.type not in ("boolean", "url", "point")
        for kind, misfits in profile.misfits.items()
    )
