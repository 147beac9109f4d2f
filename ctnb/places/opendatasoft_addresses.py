"""
Which dataset an Opendatasoft (Huwise) address means, and which rows of it.

Pages for people are /explore/dataset/ID/..., where facets are refine.NAME=VALUE; the Explore API's addresses
are /api/explore/v2.1/catalog/datasets/ID/....
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from ctnb.contracts.places import OpendatasoftRows
from ctnb.errors import ContractInvalid
from ctnb.places import portal_addresses

IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_@.-]*")

_EXAMPLES = (
    "Expected an address such as https://data.example.gov/explore/dataset/town-budgets/, or the id town-budgets with "
    "domain: data.example.gov."
)
_AGGREGATE = re.compile(
    r"\b(count|sum|avg|min|max|stddev|median|percentile|envelope|bbox)\s*\(", re.IGNORECASE
)
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_UNFIT = re.compile(r"q|rows|start|limit|offset|group_by|order_by|exclude(\..*)?|geofilter\..*")


@dataclass(frozen=True)
class Asked:
    """A dataset and which of its rows."""

    origin: str
    """The portal, without a path."""
    dataset: str
    """Its identifier."""
    select: str = ""
    where: str = ""
    refine: tuple[str, ...] = ()
    """Facets as name:"value"."""

    @property
    def parameters(self) -> dict[str, str | list[str]]:
        """The filters as the protocol's parameters."""
        told: dict[str, str | list[str]] = {"where": self.where, "refine": list(self.refine)}
        return {name: said for name, said in told.items() if said}


def asked(place: OpendatasoftRows) -> Asked:
    """What the contract's source means. Raises ContractInvalid; no text of it quotes an address."""
    text = place.dataset.strip()
    found = _of_url(text, place.domain) if "://" in text else _of_domain(place.domain, text)
    for name in ("select", "where"):
        if getattr(found, name) and getattr(place, name):
            raise ContractInvalid(
                f"The source says {name} twice: in dataset's address, and in a key of its own.",
                hint="Keep one of them.",
            )
    select = found.select or place.select or ""
    if _AGGREGATE.search(_QUOTED.sub("", select)):
        raise ContractInvalid(
            "The source's select: adds rows up, and an export holds rows.",
            hint="Read the rows, and add them up in transform.sql.",
        )
    refine = (*found.refine, *map(_facet, place.refine))
    return Asked(
        found.origin, found.dataset, "" if select == "*" else select, found.where or place.where or "", refine
    )


def _of_url(text: str, domain: str | None) -> Asked:
    origin, place = portal_addresses.of_url(text, domain, "Opendatasoft", _EXAMPLES)
    parts = [unquote(part) for part in place.path.split("/") if part]
    before = next(
        (at for at, part in enumerate(parts) if part in ("dataset", "datasets", "assets")), len(parts)
    )
    if len(parts) < before + 2:
        raise ContractInvalid("The address of the Opendatasoft dataset has no dataset in it.", hint=_EXAMPLES)
    told, refine = _of_query(place.query)
    return Asked(origin, _checked(parts[before + 1]), told.get("select", ""), told.get("where", ""), refine)


def _of_domain(domain: str | None, text: str) -> Asked:
    return Asked(portal_addresses.of_domain(domain, "Opendatasoft", _EXAMPLES), _checked(text))


def _of_query(query: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """Clauses and facets; what is about the page alone, such as sort or a map's place, does not count."""
    told: dict[str, str] = {}
    refine: list[str] = []
    for name, said in parse_qsl(query, keep_blank_values=False):
        if name in ("apikey", "pushkey"):
            raise ContractInvalid(
                "The address of the Opendatasoft dataset has a key in it.",
                hint="Name it by reference under key: {secret: NAME}, and make a new one: this one was written down.",
            )
        if _UNFIT.fullmatch(name):
            raise ContractInvalid(
                f"The address of the Opendatasoft dataset has {name.partition('.')[0]}, which ctnb does not send.",
                hint="Take it out, and say which rows under where: or refine:.",
            )
        if name in ("select", "where"):
            told[name] = said
        elif name == "refine":
            refine.append(_facet(said))
        elif name.startswith("refine."):
            refine.append(_facet(f"{name.removeprefix('refine.')}:{said}"))
    return told, tuple(refine)


def _facet(said: str) -> str:
    name, _, value = said.partition(":")
    if not name or not value:
        raise ContractInvalid(
            "A facet of the source is not written name:value.", hint="Write for example refine: [town:Derby]."
        )
    return said if value.startswith('"') else f'{name}:"{value.replace(chr(34), chr(92) + chr(34))}"'


def _checked(text: str) -> str:
    if not IDENTIFIER.fullmatch(text):
        raise ContractInvalid(
            "The source's Opendatasoft dataset is neither an address nor an id.", hint=_EXAMPLES
        )
    return text
