"""
Records as linked data: JSON-LD, RDF/XML, Turtle and N3, one node without a name for each.

A field is a property below the address of its dataset; which addresses the vendor's exports use is not documented.
"""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from .renderings import legal

Records = Iterable[dict[str, Any]]
Writer = Callable[[str, Sequence[str], Records], Iterator[bytes]]
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"


def vocabulary(origin: str, dataset_id: str) -> str:
    """The address below which the fields of a dataset are properties."""
    return f"{origin}/ld/ontologies/{urllib.parse.quote(dataset_id)}/"


def terms(names: Sequence[str]) -> dict[str, str]:
    """A name that XML and Turtle allow, for each field or expression; none twice."""
    made: dict[str, str] = {}
    for name in names:
        plain = re.sub(r"[^A-Za-z0-9_]+", "_", name)
        plain = plain if re.match(r"[A-Za-z_]", plain) else f"_{plain}"
        term, number = plain, 1
        while term in made.values():
            term, number = f"{plain}_{number}", number + 1
        made[name] = term
    return made


def as_jsonld(base: str, names: Sequence[str], records: Records) -> Iterator[bytes]:
    """One graph, with a context that says what each name means."""
    context = json.dumps({name: base + term for name, term in terms(names).items()}, ensure_ascii=False)
    yield f'{{"@context":{context},"@graph":['.encode()
    for number, record in enumerate(records):
        cells = {name: _value(value) for name, value in record.items() if value is not None}
        yield (b"," if number else b"") + json.dumps(cells, ensure_ascii=False).encode()
    yield b"]}"


def as_rdfxml(base: str, names: Sequence[str], records: Records) -> Iterator[bytes]:
    """A description for each record."""
    named = terms(names)
    yield f'<?xml version="1.0" encoding="utf-8"?>\n<rdf:RDF xmlns:rdf="{_RDF}" xmlns:f={quoteattr(base)}>\n'.encode()
    for record in records:
        cells = "".join(
            f"<f:{named[name]}>{escape(legal(text))}</f:{named[name]}>" for name, text in _texts(record)
        )
        yield f"<rdf:Description>{cells}</rdf:Description>\n".encode()
    yield b"</rdf:RDF>\n"


def as_turtle(base: str, names: Sequence[str], records: Records) -> Iterator[bytes]:
    """A node in brackets for each record; N3 is written the same way."""
    named = terms(names)
    yield f"@prefix f: <{base}> .\n".encode()
    for record in records:
        cells = " ; ".join(f"f:{named[name]} {_quoted(text)}" for name, text in _texts(record))
        yield f"[] {cells} .\n".encode() if cells else b""


def _texts(record: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Each value of a record as text, with its field; a field of many values has several."""
    for name, value in record.items():
        for one in value if isinstance(value, list) else [value]:
            if one is not None:
                shown = _value(one)
                yield name, shown if isinstance(shown, str) else json.dumps(shown)


def _value(value: Any) -> Any:
    """Points, shapes and files are texts of JSON: their parts have no property of their own."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value


def _quoted(text: str) -> str:
    return json.dumps(text.encode("utf-8", "replace").decode(), ensure_ascii=False)


LINKED: dict[str, tuple[Writer, str]] = {
    "jsonld": (as_jsonld, "application/ld+json; charset=utf-8"),
    "n3": (as_turtle, "text/n3; charset=utf-8"),
    "rdfxml": (as_rdfxml, "application/rdf+xml; charset=utf-8"),
    "turtle": (as_turtle, "text/turtle; charset=utf-8"),
}
"""Of each format how it is made and its Content-Type."""
