"""
What a column may be to a person, with the reason; no role where it is not sure, which keeps it from publishing.

The privacy review asks its own questions of every cell later; this only saves a person typing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ctnb.contracts.columns import NUMERIC, Column, Role
from ctnb.privacy.detection import Scan, looks_like_ssn, scans
from ctnb.privacy.findings import Case
from ctnb.privacy.headers import header_kinds, tokens
from ctnb.proposals.cells import SOME_ROWS
from ctnb.proposals.profiles import Profile
from ctnb.settings import Policy
from ctnb.tables import Table
from ctnb.values import BLANKS, parquet_type, quote_name, quote_text

if TYPE_CHECKING:
    import duckdb

_PEOPLE = frozenset(
    """
    age sex gender race ethnicity ethnic hispanic patient person client member employee student decedent deceased
    inmate offender applicant victim witness defendant resident birth born dob marital spouse death
    """.split()  # noqa: SIM905  # one word a line would be a page
)
"""Words of a header that say that a row may be a person."""
_PERSON = frozenset(
    """
    patient person client member employee student decedent inmate offender applicant victim witness defendant resident
    """.split()  # noqa: SIM905  # as above
)
"""Words that alone, over numbers, say whose number it is."""
_TRAITS = frozenset(
    """
    age sex gender race ethnicity ethnic hispanic marital married education birthplace nationality citizenship
    native language religion occupation veteran
    """.split()  # noqa: SIM905  # as above
)
_PLACES = {
    "zip": "zip", "zipcode": "zip", "postal": "zip", "town": "town", "city": "town", "municipality": "town",
    "county": "county", "tract": "tract", "neighborhood": "neighborhood", "region": "region", "state": "state",
}  # fmt: skip
_MEASURES = frozenset(
    """
    count counts total totals amount number sum average avg mean rate percent sales cost price fee population
    """.split()  # noqa: SIM905  # as above
)
_REMARKS = frozenset(
    (
        "description",
        "comment",
        "comments",
        "note",
        "notes",
        "narrative",
        "remark",
        "remarks",
        "other",
        "explain",
        "reason",
    )
)
_LONG_TEXT, _MANY = 40, 0.3


@dataclass(frozen=True)
class Suggestion:
    """A role for one column."""

    role: Role | None
    """None where it is not sure."""
    why: str
    """The reason, as a sentence; no value."""
    precision: str | None = None
    """How fine a place or a date is."""


def suggestions(
    connection: duckdb.DuckDBPyConnection, columns: Sequence[Column], profiles: Sequence[Profile]
) -> list[Suggestion]:
    """A role for each of `columns`, of which `profiles` tell and `numbered` holds the cells."""
    people = any(_PEOPLE & set(tokens(profile.header)) or _direct(profile.header) for profile in profiles)
    found = _scanned(connection, columns, profiles)
    people = people or any(_content(found.get(column.name)) for column in columns)
    return [
        _suggestion(column, profile, found.get(column.name), people)
        for column, profile in zip(columns, profiles, strict=True)
    ]


def _scanned(
    connection: duckdb.DuckDBPyConnection, columns: Sequence[Column], profiles: Sequence[Profile]
) -> Mapping[str, Scan]:
    """What the privacy review's detectors count in rows spread over the source, the same each time."""
    rows = profiles[0].rows
    listed = ", ".join(
        f"CAST(nullif(trim(c{profile.position}, {quote_text(BLANKS)}), '') AS VARCHAR) AS {quote_name(column.name)}"
        for column, profile in zip(columns, profiles, strict=True)
    )
    connection.execute(f"CREATE OR REPLACE TEMP TABLE data AS SELECT {listed} FROM {SOME_ROWS}")
    texts = tuple(
        column for column in columns if parquet_type(column.kind) == "VARCHAR" or column.type == "integer"
    )
    as_text = tuple(column.model_copy(update={"type": "text"}) for column in texts)
    from pathlib import Path

    return scans(Case(connection, Table(Path(), as_text, rows, "", ""), None, None, Policy()))


def _direct(header: str) -> tuple[str, ...]:
    """The kinds of direct identifier in a header; an address may be a building's."""
    return tuple(kind for kind in header_kinds(header) if kind != "address")


def _content(found: Scan | None) -> str:
    """The kind of direct identifier that a column's cells hold, or nothing."""
    if found is None or not found.cells:
        return ""
    if found.ssn or looks_like_ssn(found):
        return "Social Security numbers"
    if found.email:
        return "e-mail addresses"
    if found.names >= 0.5 * found.cells and found.cells >= 5:
        return "names of persons"
    if found.phone >= 0.5 * found.cells:
        return "telephone numbers"
    return ""


def _suggestion(column: Column, profile: Profile, found: Scan | None, people: bool) -> Suggestion:
    words = tokens(profile.header)
    kinds = _direct(profile.header)
    if kinds:
        return Suggestion("identifier", f"Its header names a direct identifier ({', '.join(kinds)}).")
    content = _content(found)
    if content and column.type in ("text", "code"):
        return Suggestion("identifier", f"Cells look like {content}.")
    if _is_free_text(column, profile) and "address" not in header_kinds(profile.header):
        return Suggestion("free_text", "Long texts, or remarks by its header: anything may stand in them.")
    if "address" in header_kinds(profile.header):
        return Suggestion(None, "An address: identifier if people live there, plain if it is an office's.")
    return _by_words(column, profile, set(words), people)


def _is_free_text(column: Column, profile: Profile) -> bool:
    told = max(profile.told, 1)
    long = profile.mean_length >= _LONG_TEXT and profile.distinct >= _MANY * told
    said = bool(_REMARKS & set(tokens(profile.header))) and profile.longest >= _LONG_TEXT
    return column.type == "text" and (long or said)


def _by_words(column: Column, profile: Profile, words: set[str], people: bool) -> Suggestion:
    if words <= _PERSON and (column.type in NUMERIC or column.type == "code"):
        return Suggestion(None, "A number for each of them: identifier, if it leads to a person elsewhere.")
    place = next((fine for word, fine in _PLACES.items() if word in words), None)
    if words & _TRAITS and people and column.type != "point":
        return Suggestion("quasi", "Known to others, and with other facts it names somebody.")
    if place or column.type == "point":
        precision = place or "point"
        if people:
            return Suggestion("quasi", "A place; rows may be people.", precision)
        return Suggestion("plain", "A place, and no header speaks of people.", precision)
    if column.type in ("date", "timestamp"):
        if people:
            return Suggestion("quasi", "A date; rows may be people.", "day")
        return Suggestion("plain", "A date, and no header speaks of people.", "day")
    if column.type in ("money", "percent", "number") or (column.type in NUMERIC and words & _MEASURES):
        return Suggestion("measure", "A number that is counted or measured.")
    if people:
        return Suggestion(None, "Rows may be people: sensitive, or plain? Say which.")
    if column.type == "integer" and "year" not in words:
        return Suggestion("measure", "A number that is counted or measured.")
    return Suggestion("plain", "No header of the table speaks of people.")
