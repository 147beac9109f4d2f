"""
Which dataset a Socrata address means, and which rows of it.

Addresses: dev.socrata.com, "API Endpoints"; pages for people end in the dataset's four-by-four identifier, and
behind it /data, /about_data, /explore and others. A query is taken apart into the clauses that ctnb can page
through in a total order; what it cannot is refused, never left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, unquote

from ctnb.errors import ContractInvalid
from ctnb.places import portal_addresses

IDENTIFIER = re.compile(r"[a-z0-9]{4}-[a-z0-9]{4}", re.IGNORECASE)
CLAUSES = ("select", "where", "group", "having", "q")

_EXAMPLES = (
    "Expected an address such as https://data.ct.gov/Health/Deaths/abcd-1234, https://data.ct.gov/d/abcd-1234 or "
    "https://data.ct.gov/resource/abcd-1234.json, or the id abcd-1234 with domain: data.ct.gov."
)
_OWN_ORDER = "ctnb reads every row, in an order of its own: take it out, and use where: for fewer rows."
_WORDS = re.compile(
    r"""'(?:[^']|'')*' | `[^`]*` | "[^"]*" | [()] | \|> | ; | [A-Za-z_][A-Za-z_0-9]* | \s+ | .""",
    re.VERBOSE | re.DOTALL,
)
_STARTS = {
    "select": "select", "where": "where", "group": "group", "having": "having", "search": "q", "order": "order",
    "limit": "limit", "offset": "offset",
}  # fmt: skip
_UNKNOWN_WORDS = frozenset(["from", "join", "union", "|>", ";"])


@dataclass(frozen=True)
class Asked:
    """A dataset and which of its rows."""

    origin: str
    """The portal, without a path, e.g. https://data.ct.gov."""
    dataset: str
    """Its identifier, e.g. abcd-1234."""
    clauses: Mapping[str, str] = field(default_factory=dict)
    """SoQL by clause: select, where, group, having, q."""
    filters: Mapping[str, str] = field(default_factory=dict)
    """Columns that must have a value."""

    @property
    def parameters(self) -> dict[str, str]:
        """The clauses and filters as the protocol's parameters."""
        return {**{f"${name}": said for name, said in self.clauses.items()}, **self.filters}


def asked(dataset: str, domain: str | None, clauses: Mapping[str, str | None]) -> Asked:
    """
    What `dataset`, an address or an identifier with its `domain`, means, with the contract's `clauses`.

    Raises ContractInvalid; no text of it quotes an address, which can carry a token.
    """
    given = {name: said for name, said in clauses.items() if said}
    text = dataset.strip()
    if "://" not in text:
        found = Asked(portal_addresses.of_domain(domain, "Socrata", _EXAMPLES), _identifier(text.lower()))
    else:
        found = _of_url(text, domain)
    twice = sorted(found.clauses.keys() & given.keys())
    if twice:
        raise ContractInvalid(
            f"The source says {', '.join(twice)} twice: in dataset's address, and in a key of its own.",
            hint="Keep one of them.",
        )
    return replace(found, clauses={**found.clauses, **given})


def _of_url(text: str, domain: str | None) -> Asked:
    origin, place = portal_addresses.of_url(text, domain, "Socrata", _EXAMPLES)
    clauses, filters = _of_query(place.query, of_rows=place.path.startswith(("/resource/", "/id/")))
    return Asked(origin, _in_path(place.path), clauses, filters)


def _in_path(path: str) -> str:
    """The identifier in an address's path: the last part that is one, which is where pages have it."""
    parts = [unquote(part) for part in path.split("/") if part]
    bare = [re.sub(r"\.(json|csv|geojson|xml|rdf)$", "", part) for part in parts]
    if parts[:1] == ["resource"] and len(parts) > 2:
        raise ContractInvalid("The address of the Socrata dataset is that of a single row.", hint=_EXAMPLES)
    found = [part for part in bare if IDENTIFIER.fullmatch(part)]
    if not found:
        raise ContractInvalid(
            "The address of the Socrata dataset has no id such as abcd-1234.", hint=_EXAMPLES
        )
    return found[-1].lower()


def _identifier(text: str) -> str:
    if not IDENTIFIER.fullmatch(text):
        raise ContractInvalid("The source's Socrata dataset is neither an address nor an id.", hint=_EXAMPLES)
    return text


def _of_query(query: str, *, of_rows: bool) -> tuple[dict[str, str], dict[str, str]]:
    """The clauses and the filters of an address's query; only addresses `of_rows` have filters."""
    clauses: dict[str, str] = {}
    filters: dict[str, str] = {}
    for name, said in parse_qsl(query, keep_blank_values=False):
        key = name.lower()
        if not key.startswith("$"):
            if of_rows:  # elsewhere it is about the page or the download, not about rows
                filters[name] = said
        elif key.removeprefix("$") in CLAUSES:
            clauses[key.removeprefix("$")] = said
        elif key == "$query":
            clauses |= soql(said)
        else:
            raise _refused(key)
    return clauses, filters


def _refused(key: str) -> ContractInvalid:
    if key in ("$$app_token", "$app_token"):
        return ContractInvalid(
            "The address of the Socrata dataset has a token in it.",
            hint="Name it by reference under app_token: {secret: NAME}, and make a new one: this one was written down.",
        )
    known = key if re.fullmatch(r"\$\$?[a-z_]{1,30}", key) else "a parameter"
    return ContractInvalid(
        f"The address of the Socrata dataset has {known}, which ctnb does not send.", hint=_OWN_ORDER
    )


def soql(query: str) -> dict[str, str]:
    """
    The clauses of one SoQL statement, SELECT ... WHERE ... GROUP BY ... HAVING ... SEARCH ....

    Raises ContractInvalid for ORDER BY, LIMIT, OFFSET, joins and chained statements.
    """
    clauses: dict[str, str] = {}
    at, depth, by = "", 0, False
    for word in _WORDS.findall(query):
        low = word.lower()
        depth += (word == "(") - (word == ")")
        if depth == 0 and low in _UNKNOWN_WORDS:
            raise ContractInvalid(
                f"The address's $query has {word.upper()}, which ctnb does not send.", hint=_OWN_ORDER
            )
        if depth == 0 and low in _STARTS and _STARTS[low] not in clauses:
            at = _STARTS[low]
            clauses[at], by = "", at in ("group", "order")
        elif by and low == "by":
            by = False
        elif at:
            clauses[at] += word
        elif word.strip():
            raise ContractInvalid(
                "The address's $query does not begin with SELECT or WHERE.", hint=_OWN_ORDER
            )
    unfit = sorted(clauses.keys() & {"order", "limit", "offset"})
    if unfit:
        raise ContractInvalid(f"The address's $query has {', '.join(unfit).upper()}.", hint=_OWN_ORDER)
    if "q" in clauses:
        clauses["q"] = clauses["q"].strip().removeprefix("'").removesuffix("'").replace("''", "'")
    return {name: said.strip() for name, said in clauses.items() if said.strip() not in ("", "*")}
