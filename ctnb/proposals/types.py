"""Which contract type fits all cells of a column, why, and what only a person can answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ctnb.privacy.headers import tokens
from ctnb.proposals.profiles import DATES, TIMESTAMPS, Profile
from ctnb.values import Kind

TEXT, CODE = Kind("text"), Kind("code")

_CODE_WORDS = frozenset(
    """
    zip zip4 zip5 zipcode postal fips geoid geo tract block code codes cd id ids identifier number no num nbr nr phone
    telephone tel fax ssn licence license lic npi ein naics sic cip account acct case permit parcel docket vin mrn
    key route district precinct ward
    """.split()  # noqa: SIM905  # one word a line would be a page
)
"""Words of a header whose digits are a name, not an amount."""
_NUMBER = frozenset(("no", "num", "number", "nbr", "nr"))
_COUNTED = frozenset(
    ("of", "total", "count", "sum", "amount", "average", "avg", "mean", "percent", "rate", "sales")
)
"""Words beside which they are no name: number of deaths, total cases."""
_ZIP = frozenset(("zip", "zip4", "zip5", "zipcode", "postal"))
_FIPS = frozenset(("fips", "geoid", "geoid10", "geoid20"))
_LOST_FIPS = {1: "state", 4: "county", 6: "place", 9: "town (county subdivision)", 10: "tract", 14: "block"}
"""Digits of a Connecticut FIPS code that lost the zero of 09; no state's code is 90 or above."""
_ALWAYS_CODES = _ZIP | _FIPS | {"ssn", "phone", "telephone", "fax"}
_FLAGS = frozenset(("is", "has", "flag", "indicator", "yn", "bool", "boolean", "was"))
_DAY_WORDS = frozenset(("date", "dt", "day", "dob", "dod", "on"))
_FIXED_WIDTH, _FIXED_ROWS = 5, 20


@dataclass(frozen=True)
class Choice:
    """The type proposed for a column."""

    kind: Kind
    why: tuple[str, ...] = ()
    """What a reader should know, each as a sentence with counts and shapes."""
    asks: tuple[str, ...] = ()
    """What only a person can answer, each as a question with its evidence."""
    nulls: tuple[str, ...] = ()
    """Words for an empty cell without which the type would not fit."""
    zips: bool = False
    """Whether they are ZIP codes that lost zeros, which the rule repair_zip puts back."""


def choose(profile: Profile) -> Choice:
    """The most specific type that every cell of the column fits; text where none does, or where two would."""
    words = frozenset(tokens(profile.header))
    if not profile.told:
        return Choice(TEXT, asks=("Every cell is empty. What belongs here?",), nulls=())
    fitting = [kind for kind, misfits in profile.misfits.items() if misfits == 0]
    found = _digits(profile, words) or _dates(profile, fitting, words) or _truth(profile, fitting, words)
    found = found or _others(profile, fitting) or _undecided(profile, words)
    return _with_nulls(found, profile)


def as_known(choice: Choice, known: str, kind: Kind, misfits: int, profile: Profile) -> Choice:
    """
    The type that the source's place knows, `known`, where every cell fits it as `kind`; else the guess, `choice`.

    ZIP and FIPS codes, and digits that begin with zero, stay codes: as numbers they lose a part. `misfits` are the
    cells that do not fit.
    """
    stays = profile.marks.leading_zeros or frozenset(tokens(profile.header)) & _ALWAYS_CODES
    if choice.kind.type == known or (known == "number" and choice.kind.type == "integer"):
        return choice
    if choice.kind.type == "code" and (stays or known == "text"):
        return choice
    if misfits:
        said = f"The source calls it {known}; {misfits:,} of {_cells(profile.told)} do not fit that."
        return replace(choice, why=(*choice.why, said))
    return Choice(kind, (f"The source calls it {known}, and every cell fits.",) if profile.told else ())


def _with_nulls(choice: Choice, profile: Profile) -> Choice:
    """The words for nothing that stand in the column count only where they keep it from its type."""
    if choice.kind.type in ("text", "code") or not profile.null_words:
        return choice
    said = f"{_cells(sum(profile.null_words.values()))} hold a word for an empty cell, taken under source: nulls:."
    return replace(choice, why=(*choice.why, said), nulls=tuple(profile.null_words))


def _digits(profile: Profile, words: frozenset[str]) -> Choice | None:
    """Codes: digits that are a name. Their zeros and their width are part of them."""
    marks, told = profile.marks, profile.told
    if words & _ZIP and _zips(profile) >= 0.5 * told:
        return _zip(profile)
    if marks.damaged:
        return Choice(TEXT, asks=(_damaged(marks.damaged, told),))
    if marks.digits < told or not marks.digits:
        return None
    if words & _FIPS:
        return Choice(CODE, *_fips(profile))
    if marks.leading_zeros:
        return Choice(CODE, (f"{_cells(marks.leading_zeros)} begin with a zero, which a number would lose.",))
    if marks.longest > 18:
        return Choice(CODE, (f"Up to {marks.longest} digits: more than a number can hold.",))
    if _says_code(words):
        return Choice(CODE, ("Digits alone, but its header says that they are a name, not an amount.",))
    width = marks.shortest == marks.longest and marks.longest >= _FIXED_WIDTH
    if width and profile.rows >= _FIXED_ROWS and not words & (_COUNTED | _DAY_WORDS) and not _is_day(profile):
        return Choice(CODE, (f"Every cell has {marks.longest} digits. If it is an amount, make it integer.",))
    return None


def _says_code(words: frozenset[str]) -> bool:
    """Whether a header's words say that digits are a name; number alone does not say of what."""
    said = words & _CODE_WORDS
    if said <= _NUMBER and not any(word.isalpha() for word in words - _NUMBER):
        said = frozenset()
    return bool(words & _ALWAYS_CODES) or bool(said and not words & _COUNTED)


def _is_day(profile: Profile) -> bool:
    return profile.misfits.get(Kind("date", 0, "YYYYMMDD")) == 0


def _zips(profile: Profile) -> int:
    return sum(profile.widths.get(width, 0) for width in (3, 4, 5, 8, 9))


def _zip(profile: Profile) -> Choice:
    """ZIP codes: Connecticut's begin with 0, which spreadsheets drop."""
    damage = {
        4: "they lost their leading zero",
        8: "ZIP+4 that lost its leading zero",
        3: "two zeros may be lost",
        7: "two zeros may be lost from ZIP+4",
    }
    why = [
        f"ZIP damage: {_cells(count)} {'has' if count == 1 else 'have'} {width} digits: {what}."
        for width, what in damage.items()
        if (count := profile.widths.get(width, 0))
    ]
    if not why:
        return Choice(CODE, ("ZIP codes keep their zeros as code.",))
    mendable = bool(profile.widths.get(4) or profile.widths.get(8))
    if mendable:
        why.append("The repair that is offered under transform: below is not applied.")
    asks = ("Did these ZIP codes lose their zeros? Can the source be exported as text?",)
    return Choice(CODE, tuple(why), asks, zips=mendable)


def _fips(profile: Profile) -> tuple[tuple[str, ...], tuple[str, ...]]:
    lost = {width: what for width, what in _LOST_FIPS.items() if profile.widths.get(width)}
    if not lost or profile.marks.nines < sum(profile.widths[width] for width in lost):
        return ("FIPS codes keep their zeros as code.",), ()
    count = sum(profile.widths[width] for width in lost)
    listed = ", ".join(f"{width} digits, a {what} code with {width + 1}" for width, what in lost.items())
    why = (
        f"FIPS damage: {_cells(count)} begin with 9 and have {listed}: the leading zero of Connecticut's 09 is lost.",
        "A repair, not applied: in transform.sql, '0' || COLUMN",
    )
    return why, ("Did these FIPS codes lose their zero? Can the source be exported as text?",)


def _damaged(count: int, told: int) -> str:
    return (
        f"{count:,} of {_cells(told)} are written like 9.99E+15: a spreadsheet cut long numbers, and their last "
        "digits are gone. Can the source be exported with this column as text?"
    )


def _dates(profile: Profile, fitting: list[Kind], words: frozenset[str]) -> Choice | None:
    days = [kind for kind in fitting if kind in DATES or kind in TIMESTAMPS]
    if profile.marks.digits and not words & _DAY_WORDS:
        days = []  # eight digits are a day only where the header says so
    if len(days) == 1:
        return Choice(days[0])
    if days:
        return Choice(TEXT, asks=(_which(profile, days),))
    return None


def _which(profile: Profile, days: list[Kind]) -> str:
    listed = " and as ".join(kind.format or "ISO 8601" for kind in days)
    return (
        f"All {_cells(profile.told)} can be read as {listed}: no day is above 12. Which is it? It stays text until "
        f"you say type: {days[0].type} and format:."
    )


def _truth(profile: Profile, fitting: list[Kind], words: frozenset[str]) -> Choice | None:
    """
    A boolean needs both words, or a header that says so.

    A column of Y and blanks stays text: whether a blank means no or unknown is not in the file, and as a
    boolean it would be neither.
    """
    if Kind("boolean") not in fitting:
        return None
    if profile.marks.digits:
        return Choice(Kind("boolean")) if words & _FLAGS and profile.true and profile.false else None
    if profile.true and profile.false:
        return Choice(Kind("boolean"))
    word = "yes" if profile.true else "no"
    return Choice(
        TEXT, (f"Only the word for {word} and {profile.rows - profile.told:,} blanks: text, because a blank may mean "
               "the other word or unknown.",),
    )  # fmt: skip


def _others(profile: Profile, fitting: list[Kind]) -> Choice | None:
    for name in ("integer", "number", "money", "percent", "url", "point"):
        for kind in fitting:
            if kind.type == name:
                return Choice(kind, _how(profile, kind))
    return None


def _how(profile: Profile, kind: Kind) -> tuple[str, ...]:
    marks = profile.marks
    said = []
    if kind.type == "money" and not marks.dollars:
        said.append("No currency sign, but thousands with two decimals, or brackets.")
    if marks.brackets and kind.type == "money":
        said.append(f"{_cells(marks.brackets)} in brackets are read as negative.")
    return tuple(said)


def _undecided(profile: Profile, words: frozenset[str]) -> Choice:
    """Text; with the counts and shapes of what stands in the way, where a type nearly fits."""
    nearest = profile.nearest
    if nearest == Kind("boolean") and not (profile.true and profile.false):
        nearest = None  # Y and remarks are text: see _truth
    if nearest is None or profile.misfits[nearest] == 0:
        return Choice(CODE if _says_code(words) and _compact(profile) else TEXT)
    mixed = [kind for kind in profile.misfits if kind.type in ("date", "timestamp")]
    if nearest.type in ("date", "timestamp") and len(mixed) > 1:
        listed = "; ".join(
            f"{kind.format or 'ISO 8601'} does not fit {profile.misfits[kind]:,}" for kind in mixed
        )
        return Choice(TEXT, asks=(f"Of {_cells(profile.told)}, {listed}. Are days and months mixed?",))
    name = nearest.type + (f" {nearest.format}" if nearest.format else "")
    ask = (
        f"{profile.misfits[nearest]:,} of {_cells(profile.told)} keep it from {name}; their shapes: "
        f"{_listed(profile.shapes)}. Totals or notes below the table, marks for hidden counts, or mistakes?"
    )
    return Choice(TEXT, asks=(ask,))


def _compact(profile: Profile) -> bool:
    return profile.longest <= 30


def _listed(shapes: Mapping[str, int]) -> str:
    return ", ".join(f"{text!r} ({count:,})" for text, count in shapes.items())


def _cells(count: int) -> str:
    return f"{count:,} cell{'' if count == 1 else 's'}"
