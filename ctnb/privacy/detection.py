"""
Direct identifiers by content: every cell is looked at, hits are counted and never quoted.

One cell proves little for bare digits: 88.9 % of random nine-digit numbers pass the Social Security
Administration's rules, so plain numbers are judged by the column's share of valid ones and by how they are
spread.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from ctnb.contracts.columns import Column
from ctnb.privacy import seen
from ctnb.privacy.findings import Answer, Case, Finding, counted
from ctnb.privacy.headers import tokens
from ctnb.privacy.names import ALSO_OTHER_THINGS, GIVEN, NOT_PEOPLE, SURNAMES
from ctnb.values import quote_name, quote_text

_DASH = "[-\u2010-\u2015\u2212]"
_AREA = r"(?:00[1-9]|0[1-9][0-9]|[1-57-9][0-9]{2}|6[0-57-9][0-9]|66[0-57-9])"
# area 900-999 is kept: those are ITINs, which the Internal Revenue Service gives to people
_PAIR = "(?:0[1-9]|[1-9][0-9])"
_FORMS = "|".join(f"{_AREA}{mark}{_PAIR}{mark}[0-9]{{4}}" for mark in (_DASH, " ", "[.]", "_", "/"))
_SSN = f"(?:^|[^0-9])(?:{_FORMS})(?:$|[^0-9])"
_SSN_NAMED = (
    r"(?i)\b(?:ssn|soc(?:ial)?\.? ?sec(?:urity)?)\b[^0-9]{0,20}[0-9]{3}[^0-9]?[0-9]{2}[^0-9]?[0-9]{4}\b"
)
_EMAIL = r"[A-Za-z0-9._%+'-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}"
_PHONE = (
    r"(?:^|[^0-9.-])(?:\+?1[-. ]?)?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[-. ])"
    r"[2-9][0-9]{2}[-. ][0-9]{4}(?:$|[^0-9-])"
)
_GIVEN_AREA = r"(?:00[1-9]|0[1-9][0-9]|[1-57-8][0-9]{2}|6[0-57-9][0-9]|66[0-57-9])"
_SERIAL = "(?:[0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)"
_VALID_SSN = f"^{_GIVEN_AREA}{_PAIR}{_SERIAL}$"
_BARE_SSN = rf"(?:^|[^0-9]){_GIVEN_AREA}[ .]?{_PAIR}[ .]?{_SERIAL}(?:$|[^0-9])"
_BARE_PHONE = r"(?:^|[^0-9])[2-9][0-9]{2}[2-9][0-9]{6}(?:$|[^0-9])"
_DIALLED = "^[2-9](?:[02-9][0-9]|1[02-9])[2-9](?:[02-9][0-9]|1[02-9])[0-9]{4}$"
_DIGITS = r"^[A-Za-z]{0,4}[-_ #]?([0-9]{9,20})(?:[-_ ./]?[A-Za-z0-9]{1,4})?$"
_DIGITS_INSIDE = r"(?:^|[^0-9.,])([0-9]{9,20})(?:$|[^0-9])"

CHANCE_SSN = 0.889
"""Share of random nine-digit numbers that pass the Social Security Administration's rules."""
VALID_RATE = 0.985
"""A column of real numbers has at least this share of valid ones: people mistype and fill with zeros."""
CHANCE_PHONE = 0.71
"""Share of random ten-digit numbers that could be dialled in North America."""
UNLIKELY = 1e-3
"""What happens by chance more seldom than this is taken as a sign."""
FEWEST = 8
"""Fewer different numbers than this say nothing by themselves."""
WHOLE_SHARE, GIVEN_SHARE, SURNAME_SHARE = 0.2, 0.5, 0.25
"""Shares of cells that make a column one of whole names, given names or surnames; the lists are short."""
_MOST_OFFSETS = 12

_MIDDLE = r"(?: [a-z][a-z'-]*\.?){0,2}"
_GIVEN_FIRST = rf"^([a-z'-]+){_MIDDLE} [a-z][a-z'-]+(?:,? (?:jr|sr|ii|iii|iv)\.?)?$"
_GIVEN_LAST = rf"^[a-z][a-z'-]+(?: [a-z'-]+)?, ?([a-z'-]+){_MIDDLE}$"
_WORDS = "[A-Za-z][A-Za-z-]+,?|[0-9&/;]"
# a middle initial is no word here, so that the name and the surname around it are neighbours
_KINDS_OF_NAMES = {"g": GIVEN, "s": SURNAMES, "o": ALSO_OTHER_THINGS}
_NOT_A_PERSON = rf"\b(?:{'|'.join(NOT_PEOPLE)})\b|[0-9&]"


@dataclass(frozen=True)
class Digits:
    """Nine digits at one place of a column's numbers."""

    offset: int
    """Digits before them."""
    cells: int
    """Cells whose nine digits are valid."""
    different: int
    """Different nine-digit numbers."""
    valid: int
    """Those that the Social Security Administration could have given."""
    prefixes: int
    """Different first five digits."""
    leading: int
    """Different first digits."""
    connecticut: int
    """Those in Connecticut's areas, 040 to 049."""


@dataclass(frozen=True)
class Scan:
    """What the detectors counted in one column: cells, unless said otherwise."""

    cells: int
    """Cells that are not null."""
    ssn: int
    email: int
    phone: int
    names: int
    """Cells that are a name of a person as a whole."""
    inside: int
    """Cells with a given name and a surname side by side."""
    inside_strict: int
    """Those without a word for a place or a business."""
    given: int
    """Cells that are one given name that is nothing else."""
    surnames: int
    given_different: int
    surnames_different: int
    dialled: int
    """Different ten-digit numbers that could be dialled."""
    tens: int
    """Different ten-digit numbers."""
    exchanges: int
    """Different middle parts of those that could be dialled."""
    digits: tuple[Digits, ...]
    """Nine digits at each place of the column's numbers."""


_NOTHING: dict[str, Any] = {field.name: 0 for field in fields(Scan) if field.name != "digits"}


def found_in(text: str) -> tuple[str, ...]:
    """The kinds of direct identifier in a text that a person wrote, e.g. the reason of a decision."""
    kinds = {
        "a Social Security number": (_SSN, _SSN_NAMED, _BARE_SSN),
        "an e-mail address": (_EMAIL,),
        "a telephone number": (_PHONE, _BARE_PHONE),
    }
    return tuple(kind for kind, patterns in kinds.items() if any(re.search(one, text) for one in patterns))


def scans(case: Case) -> Mapping[str, Scan]:
    """
    What the detectors count in every column that holds text or whole numbers, by column name.

    Every cell is examined; equal cells of a column are examined once and counted as often as they stand, and those
    that this process has examined before (`ctnb.privacy.seen`) only counted.
    """
    texts = {column.name: text for column in case.table.columns if (text := _text_sql(column))}
    if not texts:
        return {}
    places = {name: at for at, name in enumerate(texts)}
    _make_cells(case, texts)
    _make_people(case)
    _make_tested(case, places)
    windows = _windows(case, places)
    found = {name: Scan(**_NOTHING, digits=()) for name in texts}
    names = list(texts)
    for at, *counts in case.connection.execute(_count_sql()).fetchall():
        told: dict[str, Any] = {name: int(count or 0) for name, count in zip(_NOTHING, counts, strict=True)}
        found[names[at]] = Scan(**told, digits=tuple(windows.get(names[at], ())))
    return found


def _text_sql(column: Column) -> str | None:
    """SQL for the text of a cell; None where the type cannot hold an identifier."""
    name = quote_name(column.name)
    if column.type in ("text", "code", "url"):
        return f"trim({name})"
    if column.type == "number" and column.kind.scale:
        return f"rtrim(rtrim(CAST({name} AS VARCHAR), '0'), '.')"
    return f"CAST({name} AS VARCHAR)" if column.type in ("integer", "number") else None


def _make_cells(case: Case, texts: Mapping[str, str]) -> None:
    """Make the table `cells`: c is the column's place, v the text, n how often it stands there."""
    parts = [  # the inner SELECT keeps a column that is called v apart from ours
        f"SELECT {at} AS c, v, count(*) AS n FROM"
        f" (SELECT {text} AS v FROM data WHERE {quote_name(name)} IS NOT NULL) GROUP BY v"
        for at, (name, text) in enumerate(texts.items())
    ]
    case.connection.execute("CREATE OR REPLACE TEMP TABLE cells AS " + " UNION ALL ".join(parts))


def _make_tested(case: Case, places: Mapping[str, int]) -> None:
    """Make `tested`: the cells with what every test says of them; only texts that are new are tested."""
    tests = {**_tests(), "d": _number_sql(case, places)}
    told = ", ".join(f"{sql} AS {name}" for name, sql in tests.items())
    columns = tuple(
        f"{c.name} {c.type} {c.kind.scale} {c.role}" for c in case.table.columns if c.name in places
    )
    seen.make_tested(
        case.connection, columns, f"SELECT c, v, n, {told} FROM fresh", _FLAGS, lambda: _make_named(case)
    )


_FLAGS = (
    "ssn",
    "email",
    "phone",
    "person",
    "inside",
    "other_thing",
    "given",
    "surname",
    "dialled",
    "ten",
    "d",
)
"""The tests that are counted, and the digits of a text."""


def _count_sql() -> str:
    """SQL for the counts of a `Scan` in its order, per column."""
    hits = ("ssn", "email", "phone", "person", "inside", "inside AND NOT other_thing", "given", "surname")
    return f"""
        SELECT c, sum(n), {", ".join(f"sum(n) FILTER ({hit})" for hit in hits)},
            count(*) FILTER (given), count(*) FILTER (surname),
            count(*) FILTER (dialled), count(*) FILTER (ten), count(DISTINCT substr(v, 4, 3)) FILTER (dialled)
        FROM tested GROUP BY c"""


def _tests() -> dict[str, str]:
    """SQL for each test of a text v; CASE keeps the dear patterns from cells that cannot match."""
    digits, words = _has("[0-9]{3}"), f"{_has('[ ,]')} AND {_has('[A-Za-z]{2}')}"
    return {
        "plain": "lower(strip_accents(v))",
        "ssn": _when(_has("[0-9]{4}"), f"{_has(_SSN)} OR {_has(_SSN_NAMED)}"),
        "email": _when("contains(v, '@')", _has(_EMAIL)),
        "phone": _when(digits, _has(_PHONE)),
        "other_thing": _when(words, _has(_NOT_A_PERSON, "plain")),
        "first": f"CASE WHEN {words} AND NOT other_thing THEN {_first_sql()} END",
        "person": "coalesce(first IN (SELECT w FROM people WHERE given), false)",
        "inside": "r IN (SELECT r FROM named)",
        "given": "plain IN (SELECT w FROM people WHERE given AND alone)",
        "surname": "plain IN (SELECT w FROM people WHERE surname AND alone)",
        "ten": _has("^[0-9]{10}$"),
        "dialled": _when("ten", _has(_DIALLED)),
    }


def _when(condition: str, test: str) -> str:
    return f"CASE WHEN {condition} THEN {test} ELSE false END"


def _has(pattern: str, text: str = "v") -> str:
    return f"regexp_matches({text}, {quote_text(pattern)})"


def _first_sql() -> str:
    """SQL for the word of a cell that would be the given name if the cell were a person's name."""
    first, last = (f"regexp_extract(plain, {quote_text(one)}, 1)" for one in (_GIVEN_FIRST, _GIVEN_LAST))
    return f"coalesce(nullif({first}, ''), {last})"


def _make_people(case: Case) -> None:
    """Make the table `people`: w a name in lower case, which kind, and whether it tells alone."""
    words = sorted(GIVEN | SURNAMES)
    marks = ["".join(kind for kind, those in _KINDS_OF_NAMES.items() if word in those) for word in words]
    case.connection.execute(
        "CREATE OR REPLACE TEMP TABLE people AS SELECT w, contains(mark, 'g') AS given,"
        " contains(mark, 's') AS surname, NOT contains(mark, 'o') AS alone FROM"
        f" (SELECT unnest(string_split({quote_text(' '.join(words))}, ' ')) AS w,"
        f" unnest(string_split({quote_text(' '.join(marks))}, ' ')) AS mark)"
    )


def _make_named(case: Case) -> None:
    """Make the table `named`: the cells in which a given name and a surname stand side by side."""
    case.connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE named AS
        WITH texts AS (
            SELECT r, regexp_extract_all(strip_accents(v), {quote_text(_WORDS)}) AS words
            FROM fresh WHERE {_has(_WORDS)}),
        words AS (SELECT r, unnest(words) AS word, unnest(range(len(words))) AS i FROM texts),
        hits AS (
            SELECT r, i, given, surname, ends_with(word, ',') AS comma
            FROM words JOIN people ON lower(rtrim(word, ',')) = w
            WHERE regexp_matches(word, '^[A-Z]'))
        SELECT DISTINCT one.r FROM hits AS one JOIN hits AS next ON next.r = one.r AND next.i = one.i + 1
        WHERE CASE WHEN one.comma THEN one.surname AND next.given ELSE one.given AND next.surname END"""
    )


def _windows(case: Case, places: Mapping[str, int]) -> dict[str, list[Digits]]:
    """Nine digits at every place of the numbers of each column, counted over different numbers."""
    case.connection.execute(
        "CREATE OR REPLACE TEMP TABLE numbers AS SELECT c, d, sum(n) AS n FROM tested GROUP BY c, d HAVING d <> ''"
    )
    rows = case.connection.execute(
        "SELECT c, o, coalesce(sum(n) FILTER (valid), 0), count(*), count(*) FILTER (valid),"
        " count(DISTINCT left(w, 5)), count(DISTINCT left(w, 1)), count(*) FILTER (starts_with(w, '04')),"
        f" FROM (SELECT c, o, w, sum(n) AS n, {_has(_VALID_SSN, 'w')} AS valid FROM"
        " (SELECT c, o, substr(d, o + 1, 9) AS w, n FROM"
        f" (SELECT c, d, n, unnest(range({_MOST_OFFSETS})) AS o FROM numbers)) WHERE length(w) = 9 GROUP BY c, o, w)"
        " GROUP BY c, o ORDER BY c, o"
    ).fetchall()
    names = {at: name for name, at in places.items()}
    found: dict[str, list[Digits]] = {}
    for at, *counts in rows:
        found.setdefault(names[at], []).append(Digits(*(int(count) for count in counts)))
    return found


def _number_sql(case: Case, places: Mapping[str, int]) -> str:
    """
    SQL for the digits of a cell, or an empty text.

    A number has lost its leading zero, and in Connecticut Social Security numbers begin with one; it is given
    back, except to measures, where eight digits are an amount.
    """
    padded = [
        str(places[column.name])
        for column in case.table.columns
        if column.name in places and column.type in ("integer", "number") and column.role != "measure"
    ]
    whole, inside = (f"regexp_extract(v, {quote_text(one)}, 1)" for one in (_DIGITS, _DIGITS_INSIDE))
    digits = f"coalesce(nullif({whole}, ''), {inside})"
    if not padded:
        return digits
    lost = f"c IN ({', '.join(padded)}) AND {_has('^[0-9]{8}$')}"
    return f"CASE WHEN {lost} THEN '0' || v ELSE {digits} END"


# -------------------------------------------------------------------------------------------- judgement


def looks_like_ssn(found: Scan) -> Digits | None:
    """The place in a column's numbers where Social Security numbers stand; None when chance could make them."""
    if _mostly_dialled(found):
        return None
    offsets = len(found.digits)
    return next((one for one in found.digits if _surely(one, offsets)), None)


def could_be_ssn(found: Scan) -> Digits | None:
    """Nine-digit numbers that are all valid and spread, but too few to tell."""
    one = next(iter(found.digits), None)
    if one is None or len(found.digits) > 1 or one.different < FEWEST or one.valid < one.different:
        return None
    return one if _spread(one) else None


def by_chance(hits: int, of: int, chance: float) -> float:
    """
    An upper bound for the probability of at least `hits` of `of` when each has `chance`.

    Chernoff's bound, exp(-n KL(hits/n || chance)); exact where everything hits.
    """
    share = hits / of
    if share <= chance:
        return 1.0
    rest = (1 - share) * math.log((1 - share) / (1 - chance)) if share < 1 else 0.0
    return math.exp(-of * (share * math.log(share / chance) + rest))


def _surely(one: Digits, offsets: int) -> bool:
    return (
        one.different >= FEWEST
        and one.valid >= VALID_RATE * one.different
        and by_chance(one.valid, one.different, CHANCE_SSN) * offsets < UNLIKELY
        and _spread(one)
    )


def _spread(one: Digits) -> bool:
    """Whether the numbers are spread as people's are: running numbers share their beginnings."""
    varied = one.leading >= 4 or one.connecticut * 2 >= one.different
    return varied and one.prefixes >= min(20, one.different / 3)


def _mostly_dialled(found: Scan) -> bool:
    """Whether the column's ten-digit numbers are telephone numbers rather than chance."""
    return (
        found.tens >= FEWEST
        and found.dialled >= 0.97 * found.tens
        and by_chance(found.dialled, found.tens, CHANCE_PHONE) < UNLIKELY
        and found.exchanges >= min(10, found.dialled / 3)
    )


# -------------------------------------------------------------------------------------------- questions

_NUMBERS_OF_OTHER_THINGS = frozenset(
    ("zip", "zip4", "zipcode", "postal", "geoid", "fips", "tract", "ein", "npi", "naics")
)


def ask_ssn_content(case: Case) -> Answer:
    """Whether cells hold Social Security numbers: dashed, named, or plain by the column's valid rate."""
    return _ask(case, _ssn_content)


def ask_ssn_possible(case: Case) -> Answer:
    """Whether a column of nine-digit numbers could be Social Security numbers."""
    return _ask(case, _ssn_possible)


def ask_email_content(case: Case) -> Answer:
    """Whether cells hold e-mail addresses."""
    return _ask(case, _email)


def ask_phone_content(case: Case) -> Answer:
    """Whether cells hold telephone numbers."""
    return _ask(case, _phone)


def ask_name_content(case: Case) -> Answer:
    """Whether cells look like names of persons, or hold a given name and a surname inside text."""
    return _ask(case, _names)


def _ask(case: Case, judge: Callable[[Case, str, Scan], Finding | None]) -> Answer:
    examined = case.scans
    made = [judge(case, name, found) for name, found in examined.items()]
    return Answer(tuple(one for one in made if one), sum(found.cells for found in examined.values()))


def _ssn_content(case: Case, name: str, found: Scan) -> Finding | None:
    place = looks_like_ssn(found) if _tells(case, name) else None
    count = max(found.ssn, place.cells if place else 0)
    if not count:
        return None
    how = "in dashed or named form"
    if place:
        after = f" after {counted(place.offset, 'digit')}" if place.offset else ""
        how = f"as nine digits{after}: {place.valid:,} of {place.different:,} different ones are valid"
    text = f"{name} holds Social Security numbers in {count:,} of {counted(found.cells, 'cell')}, {how}."
    facts = {"valid": place.valid, "different": place.different, "offset": place.offset} if place else {}
    return case.finding("ssn-content", [name], count, found.cells, text, dashed=found.ssn, **facts)


def _ssn_possible(case: Case, name: str, found: Scan) -> Finding | None:
    sure = looks_like_ssn(found)
    if found.ssn or (sure and _tells(case, name)):
        return None
    one = sure or (could_be_ssn(found) if _tells(case, name) else None)
    if one is None:
        return None
    text = (
        f"{name} holds {counted(one.different, 'different nine-digit number')}, of which {one.valid:,} could be "
        "Social Security numbers."
    )
    return case.finding("ssn-possible", [name], one.cells, found.cells, text, different=one.different)


def _email(case: Case, name: str, found: Scan) -> Finding | None:
    if not found.email:
        return None
    text = f"{name} holds e-mail addresses in {found.email:,} of {counted(found.cells, 'cell')}."
    return case.finding("email-content", [name], found.email, found.cells, text)


def _phone(case: Case, name: str, found: Scan) -> Finding | None:
    plain = found.dialled if _mostly_dialled(found) else 0
    count = max(found.phone, plain)
    if not count:
        return None
    text = f"{name} holds telephone numbers in at least {count:,} of {counted(found.cells, 'cell')}."
    return case.finding("phone-content", [name], count, found.cells, text)


def _names(case: Case, name: str, found: Scan) -> Finding | None:
    column = case.column(name)
    inside = found.inside if column and column.role == "free_text" else found.inside_strict
    single = _single_names(found)
    whole = found.names if found.names >= WHOLE_SHARE * found.cells else 0
    count = max(inside, whole, single)
    if not count:
        return None
    how = "one word each" if count == single else "as a whole" if count == whole else "inside their text"
    text = f"{name} looks like names of persons in {count:,} of {counted(found.cells, 'cell')}, {how}."
    return case.finding(
        "name-content", [name], count, found.cells, text, whole=found.names, inside=inside, one_word=single
    )


def _single_names(found: Scan) -> int:
    """Cells that are one given name or one surname, when there are too many for towns or drugs."""
    given = found.given >= GIVEN_SHARE * found.cells and found.given_different >= FEWEST
    surname = found.surnames >= SURNAME_SHARE * found.cells and found.surnames_different >= FEWEST
    return max(found.given if given else 0, found.surnames if surname else 0)


def _tells(case: Case, name: str) -> bool:
    """Whether valid nine-digit numbers tell much: not where numbers of other things or amounts are declared."""
    column = case.column(name)
    amount = column is not None and column.role == "measure" and column.type in ("integer", "number")
    return not amount and not any(word in _NUMBERS_OF_OTHER_THINGS for word in tokens(name))
