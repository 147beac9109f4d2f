"""
A table of the US Census Bureau's data API.

Protocol: the Bureau's "Census Data API User Guide" (query components, group function, at most 50 variables in one
request) and "Notes on ACS Estimate and Annotation Values". The key is a parameter of the address, because the
API knows no other way; `ctnb.clients.getting` never tells an address, nor lets anybody log one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ctnb import digests
from ctnb.clients.getting import Answer, Getter, Moved, TooLarge, check_way, not_json
from ctnb.contracts.places import Census
from ctnb.errors import ContractInvalid, NothingNew, SourceFailed, SourceInvalid, UsageError
from ctnb.places import csv_lines, customs
from ctnb.places.fetched import Fetched, Progress, Request
from ctnb.snapshots import Writer

VARIABLES_LIMIT = 50
"""The most variables of one request."""
STAND_INS = frozenset(["-999999999", "-888888888", "-666666666", "-555555555", "-333333333", "-222222222"])
"""Numbers that stand for the want of one: an estimate that could not be made, a margin of error that has no meaning."""
SYMBOLS = frozenset(["-", "N", "(X)", "X", "*", "**", "***", "*****"])
"""What stands for the same in variables that are numbers; in an annotation's own variable it is its text."""

_TYPES = {"int": "integer", "float": "number", "string": "text"}
_ATTRIBUTE = re.compile(r"(.+_\d+[A-Z]*?)(P?[EM])(A?)")
_GROUP = re.compile(r"group\(\w+\)")
_DATASET = re.compile(r"[a-z0-9_-]+(/[a-z0-9_-]+)*", re.IGNORECASE)
_UNKNOWN = re.compile(rb"error: unknown variable '([A-Za-z0-9_]{1,40})'")
_KEY_PAGES = ("invalid_key.html", "missing_key.html")

Place = tuple[str | None, ...]
"""Where a row is: the cells of its keys."""


@dataclass(frozen=True)
class _Part:
    """What one request gave."""

    variables: tuple[str, ...]
    """The names of the variables' columns."""
    keys: tuple[str, ...]
    """The names of the columns that say which place a row is about, and of the filters that the API repeats."""
    rows: Sequence[tuple[Place, Sequence[str | None]]]
    """Of each row those columns' cells, and the variables'."""


@dataclass
class _Table:
    """The rows of all requests, each with its place."""

    variables: list[str] = field(default_factory=list)
    keys: tuple[str, ...] = ()
    rows: list[tuple[Place, list[str | None]]] = field(default_factory=list)


def fetch(place: Census, request: Request) -> Fetched:
    """
    The variables for every place that was asked for, as one CSV file: variables first, the places' codes behind.

    Codes keep their zeros; a number that stands for the want of one is null, and counted in a note. Raises
    NothingNew when the rows are those of the last release, SourceInvalid when the API knows no such table or has
    no rows, SourceFailed, UsageError for a key that the API refuses.
    """
    getter, base, key = _entered(place, request)
    predicate_types = _predicate_types(getter, f"{base}/variables.json", place)
    table = _Table()
    for wanted in _requests(place.variables):
        answer = _answer(getter, base, _query(place, wanted, key), place)
        _join(table, _part(answer, wanted))
        request.progress(Progress(f"{getter.who} {place.dataset}", len(table.rows), None, "rows"))
    absent = _emptied(table, predicate_types)
    content = _csv(table)
    position = {"digest": digests.of_bytes(content)}
    if not request.again and dict(request.position) == position:
        raise NothingNew(f"The Census Bureau's table of {place.dataset} is that of the last release.")
    with Writer(request.work, "census.csv", request.prefix) as writer:
        writer.write(content)
        types = {name: _contract_type(name, predicate_types) for name in table.variables}
        return Fetched(
            (writer.done(),), "csv", position=position, rows=len(table.rows),
            notes=_notes(absent), types={**types, **dict.fromkeys(table.keys, "code")},
        )  # fmt: skip


def _entered(place: Census, request: Request) -> tuple[Getter, str, str | None]:
    """The API, the path of the dataset on it, and the key."""
    if not _DATASET.fullmatch(place.dataset):
        raise ContractInvalid("The source's census: dataset: is not of the form acs/acs5.")
    scheme, _, rest = place.url.rstrip("/").partition("://")
    host, _, folder = rest.partition("/")
    if scheme not in ("https", "http") or not host or "@" in host or "?" in folder:
        raise ContractInvalid(
            "The source's census: url: is no web address.",
            hint="Leave it out for https://api.census.gov/data.",
        )
    origin = f"{scheme}://{host}"
    key = request.secret(place.key) if place.key else customs.census_key()
    if key:
        check_way(origin)
    ca_file = request.project / place.ca_file if place.ca_file else None
    getter = Getter(origin, timeout_s=place.timeout_s, ca_file=ca_file)
    parts = [folder, str(place.vintage) if place.vintage else "", place.dataset]
    return getter, "/" + "/".join(part for part in parts if part), key


def _requests(variables: Iterable[str]) -> list[tuple[str, ...]]:
    """The variables by request: 50 at most, and a group alone."""
    plain = list(dict.fromkeys(name for name in variables if not _GROUP.fullmatch(name)))
    groups = [(name,) for name in dict.fromkeys(variables) if _GROUP.fullmatch(name)]
    starts = range(0, len(plain), VARIABLES_LIMIT)
    return [*(tuple(plain[start : start + VARIABLES_LIMIT]) for start in starts), *groups]


def _query(place: Census, wanted: Sequence[str], key: str | None) -> dict[str, str]:
    query = {"get": ",".join(wanted), "for": place.geography, **place.predicates}
    if place.within:
        query["in"] = " ".join(place.within)
    return {**query, "key": key} if key else query


def _predicate_types(getter: Getter, path: str, place: Census) -> dict[str, str]:
    """The API's types of the dataset's variables, by name. Raises SourceInvalid when there is no such dataset."""
    answer = _answer(getter, path, {}, place)
    said = answer.json()
    variables = said.get("variables") if isinstance(said, dict) else None
    if not isinstance(variables, dict):
        raise not_json(getter.who, "")
    found = {
        name: str(one.get("predicateType", "string"))
        for name, one in variables.items()
        if isinstance(one, dict)
    }
    for name, one in variables.items():
        attributes = str(one.get("attributes") or "") if isinstance(one, dict) else ""
        found |= {other: _attribute_type(other, found[name]) for other in attributes.split(",") if other}
    return found


def _attribute_type(name: str, of: str) -> str:
    parts = _ATTRIBUTE.fullmatch(name)
    return of if parts and not parts[3] else "string"


def _answer(getter: Getter, path: str, query: Mapping[str, str], place: Census) -> Answer:
    try:
        answer, moved, large = getter.get(path, query), "", False
    except Moved as elsewhere:
        if elsewhere.page not in _KEY_PAGES:
            raise
        answer, moved, large = None, elsewhere.page, False
    except TooLarge:
        answer, moved, large = None, "", True
    if large:
        raise SourceInvalid(
            f"{getter.who} sent more rows than ctnb takes at once.", hint="Ask for fewer places or variables."
        )
    if (
        moved
        or answer is None
        or b"<title>Invalid Key" in answer.content
        or b"<title>Missing Key" in answer.content
    ):
        raise UsageError(
            f"{getter.who} refused the API key, or wants one.",
            hint=f"Name one under key: {{secret: NAME}}, or set {customs.CENSUS_KEY}; a new one works once the link in "
            "the Bureau's mail was opened.",
        )
    if answer.status != 200:
        raise _refusal(answer, place)
    return answer


def _refusal(answer: Answer, place: Census) -> Exception:
    """What a status other than 200 means; the API's errors are plain text, told where they are known ones."""
    what = "/".join([*([str(place.vintage)] if place.vintage else []), place.dataset])
    if answer.status == 204:
        return SourceInvalid(
            f"{answer.who} has no rows for that question about {what} (status 204).",
            hint="The places may not be in this vintage (Connecticut's counties became planning regions in 2022), or "
            "the variables not for them.",
        )
    if answer.status == 404:
        return SourceInvalid(
            f"{answer.who} has no dataset {what}.",
            hint="Its page https://api.census.gov/data.html lists them all.",
        )
    unknown = _UNKNOWN.match(answer.content.strip())
    if unknown and (name := unknown[1].decode()) in place.variables:
        return SourceInvalid(
            f"{answer.who} knows no variable {name} in {what}.",
            hint="Variables change names between vintages.",
        )
    if answer.content.strip().startswith(b"error: unknown/unsupported geography"):
        return SourceInvalid(
            f"{answer.who} does not have {what} for that geography.",
            hint="Most need what they lie in: for county subdivision:* say within: [state:09].",
        )
    if answer.status == 400:
        return SourceInvalid(
            f"{answer.who} does not understand the source's question about {what} (status 400).",
            hint="Correct variables:, geography:, within: and predicates: in dataset.yml.",
        )
    return SourceFailed(f"{answer.who} refused: status {answer.status}.", hint="Try again later.")


def _part(answer: Answer, wanted: Sequence[str]) -> _Part:
    """An answer, which is an array of arrays, the first of them the header."""
    said = answer.json()
    if not _is_table(said):
        raise not_json(answer.who, "")
    header: list[str] = said[0]
    group = len(wanted) == 1 and bool(_GROUP.fullmatch(wanted[0]))
    own = [name for name in header if not name[:1].islower()] if group else list(wanted)
    first = {name: header.index(name) for name in dict.fromkeys(header)}
    missing = [name for name in own if name not in first]
    if missing:
        raise SourceInvalid(
            f"{answer.who} answered without the variable {missing[0]}.", hint="Check its name."
        )
    own = list(dict.fromkeys(own))
    keys = [name for name in first if name not in own]
    rows = [
        (tuple(_text(row[first[name]]) for name in keys), [_text(row[first[name]]) for name in own])
        for row in said[1:]
    ]
    return _Part(tuple(own), tuple(keys), rows)


def _is_table(said: Any) -> bool:
    if not isinstance(said, list) or not said or not all(isinstance(row, list) for row in said):
        return False
    width = len(said[0])
    return all(isinstance(name, str) for name in said[0]) and all(len(row) == width for row in said)


def _text(value: Any) -> str | None:
    return None if value is None else csv_lines.text(value)


def _join(table: _Table, part: _Part) -> None:
    """Add a further request's variables, whose places must be the same."""
    if not table.variables:
        table.variables, table.keys = list(part.variables), part.keys
        table.rows = [(place, list(cells)) for place, cells in part.rows]
        return
    found = dict(part.rows)
    if len(found) < len(part.rows) or len({place for place, _ in table.rows}) < len(table.rows):
        raise SourceInvalid(
            "The Census Bureau gave several rows for one place, and the variables of two requests cannot be put "
            "together.",
            hint="Ask for 50 variables at most, or add under predicates: what tells the rows apart.",
        )
    if part.keys != table.keys or found.keys() != {place for place, _ in table.rows}:
        raise SourceFailed(
            "The Census Bureau gave other places for some variables than for the others.",
            hint="Nothing was kept. Try again; if it stays, ask for 50 variables at most.",
        )
    new = [at for at, name in enumerate(part.variables) if name not in table.variables]
    table.variables += [part.variables[at] for at in new]
    for place, cells in table.rows:
        cells += [found[place][at] for at in new]


def _emptied(table: _Table, predicate_types: Mapping[str, str]) -> Counter[str]:
    """Make null what stands for the want of a number; how often, by variable."""
    absent: Counter[str] = Counter()
    numbers = [predicate_types.get(name) in ("int", "float") for name in table.variables]
    for _, cells in table.rows:
        for at, cell in enumerate(cells):
            bare = (cell or "").strip().removesuffix(".0")
            if bare in STAND_INS or (numbers[at] and bare in SYMBOLS):
                cells[at] = None
                absent[table.variables[at]] += 1
    return absent


def _csv(table: _Table) -> bytes:
    lines = [csv_lines.line([*table.variables, *table.keys])]
    lines += [csv_lines.line([*cells, *place]) for place, cells in table.rows]
    return "".join(lines).encode()


def _contract_type(name: str, predicate_types: Mapping[str, str]) -> str:
    return "code" if name == "GEO_ID" else _TYPES.get(predicate_types.get(name, "string"), "text")


def _notes(absent: Mapping[str, int]) -> tuple[str, ...]:
    return tuple(
        f"{cells:,} cells of {name} are empty because the Census Bureau gives a code in place of a number."
        for name, cells in absent.items()
    )
