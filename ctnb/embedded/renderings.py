"""Rows in the formats of SODA: JSON, CSV, GeoJSON, XML and RDF, as text that is made while it is sent."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from .cells import CellType, Stored
from .soql_functions import SHAPES
from .statements import Output

CHUNK_CHARACTERS = 2**18

Row = tuple[Stored, ...]


@dataclass(frozen=True)
class Place:
    """Where the rows come from, for the addresses that XML and RDF hold."""

    origin: str
    """Scheme and authority, without a final slash."""
    uid: str
    keyed: bool = False
    """Whether behind its cells each row has its `:id` and its identifier's stored value."""
    identifier: CellType | None = None

    def key(self, row: Row) -> str:
        """A row's name in an address: its identifier's value, or its `:id`."""
        return str(row[-2]) if self.identifier is None else self.identifier.text(row[-1])

    @property
    def address(self) -> str:
        """The dataset's."""
        return f"{self.origin}/resource/{self.uid}"


Render = Callable[[tuple[Output, ...], Iterable[Row], Place], Iterator[str]]


@dataclass(frozen=True)
class Format:
    """A rendering and its Content-Type."""

    render: Render
    content_type: str
    keyed: bool = False
    """Whether it names each row."""


def json_objects(outputs: tuple[Output, ...], rows: Iterable[Row]) -> Iterator[str]:
    """Each row as an object; a null has no key."""
    prefixes = [json.dumps(output.name) + ":" for output in outputs]
    renders = [output.kind.json for output in outputs]
    for one in rows:
        cells = zip(prefixes, renders, one, strict=False)
        yield (
            "{" + ",".join(prefix + render(cell) for prefix, render, cell in cells if cell is not None) + "}"
        )


def _json(outputs: tuple[Output, ...], rows: Iterable[Row], place: Place) -> Iterator[str]:
    opening = "["
    for one in json_objects(outputs, rows):
        yield f"{opening}{one}\n"
        opening = ","
    yield "[]\n" if opening == "[" else "]\n"


def _json_v3(outputs: tuple[Output, ...], rows: Iterable[Row], place: Place) -> Iterator[str]:
    """As SODA 3 frames it; the coordinates of a location are numbers there."""
    opening = "[\n"
    located = tuple(
        Output(output.name, _numeric(output.kind)) if output.kind.soda == "location" else output
        for output in outputs
    )
    for one in json_objects(located, rows):
        yield f"{opening}{one}"
        opening = ",\n"
    yield "[\n]\n" if opening == "[\n" else "\n]\n"


def _numeric(kind: CellType) -> CellType:
    def render(stored: Stored) -> str:
        return re.sub(r'"(latitude|longitude)":"([^"]*)"', r'"\1":\2', str(stored), count=2)

    return CellType(kind.name, kind.soda, kind.store, render, kind.text, kind.export)


def _csv(outputs: tuple[Output, ...], rows: Iterable[Row], place: Place) -> Iterator[str]:
    renders = [output.kind.text for output in outputs]
    yield ",".join(_quoted(output.name) for output in outputs) + "\n"
    for one in rows:
        cells = zip(renders, one, strict=False)
        yield ",".join("" if cell is None else _quoted(render(cell)) for render, cell in cells) + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _geojson(outputs: tuple[Output, ...], rows: Iterable[Row], place: Place) -> Iterator[str]:
    """The first geometry is the feature's; the other columns are its properties, nulls among them."""
    at = next((at for at, output in enumerate(outputs) if output.kind.soda in SHAPES), None)
    rest = [(number, output) for number, output in enumerate(outputs) if number != at]
    names = [(number, json.dumps(output.name), output.kind.json) for number, output in rest]
    opening = '{"type":"FeatureCollection","features":['
    for one in rows:
        shape = "null" if at is None or one[at] is None else str(one[at])
        properties = ",".join(
            f"{name}:{'null' if one[number] is None else render(one[number])}"
            for number, name, render in names
        )
        yield f'{opening}{{"type":"Feature","geometry":{shape},"properties":{{{properties}}}}}\n'
        opening = ","
    crs = '"crs":{"type":"name","properties":{"name":"urn:ogc:def:crs:OGC:1.3:CRS84"}}'
    yield f"{'' if opening == ',' else opening}],{crs}}}\n"


def xml_row(outputs: tuple[Output, ...], one: Row, attributes: str) -> str:
    """A `<row>` with an element for each cell that is not null; system fields have no element."""
    cells = zip(outputs, one, strict=False)
    inner = "".join(_element(output, cell) for output, cell in cells if cell is not None)
    return f"<row{attributes}>{inner}</row>"


def row_attributes(place: Place, one: Row, *, prefix: str = "") -> str:
    """The `_id`, `_uuid`, `_position` and `_address` of a row, as the vendor's XML has them."""
    rid = str(one[-2])
    address = f"{place.origin}/resource/{prefix}{place.uid}/{_in_address(place.key(one))}"
    return f' _id="{rid}" _uuid="{row_uuid(rid)}" _position="0" _address={quoteattr(address)}'


def _in_address(key: str) -> str:
    return urllib.parse.quote(key.encode("utf-8", "replace"), safe="")


def row_uuid(rid: str) -> str:
    """The UUID of a row, made of its `:id`."""
    digits = hashlib.sha256(rid.encode()).hexdigest()[:16].upper()
    return f"00000000-0000-0000-{digits[:4]}-{digits[4:]}"


def _xml(outputs: tuple[Output, ...], rows: Iterable[Row], place: Place) -> Iterator[str]:
    yield "<response><rows>"
    for one in rows:
        yield xml_row(outputs, one, row_attributes(place, one) if place.keyed else "")
    yield "</rows></response>\n"


def _element(output: Output, cell: Stored) -> str:
    name = output.name
    if name.startswith(":"):
        return ""
    if output.kind.soda in ("url", "location"):
        parts = json.loads(str(cell))
        attributes = "".join(f" {key}={quoteattr(legal(str(part)))}" for key, part in parts.items())
        recoding = ' needs_recoding="false"' if output.kind.soda == "location" else ""
        return f"<{name}{attributes}{recoding}/>"
    return f"<{name}>{_plain(output, cell)}</{name}>"


def _plain(output: Output, cell: Stored) -> str:
    """A cell's text in XML; times there have no milliseconds."""
    text = output.kind.text(cell)
    if output.kind.soda in ("floating_timestamp", "fixed_timestamp"):
        text = re.sub(r"\.000(?=Z?$)", "", text)
    return escape(legal(text))


def legal(text: str) -> str:
    """Without the control characters that XML 1.0 has no way to write."""
    return re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]", "\ufffd", text)


_NAMESPACES = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "socrata": "http://www.socrata.com/rdf/terms#",
    "dcat": "http://www.w3.org/ns/dcat#",
    "ods": "http://open-data-standards.github.com/2012/01/open-data-standards#",
    "dcterm": "http://purl.org/dc/terms/",
    "geo": "http://www.w3.org/2003/01/geo/wgs84_pos#",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "foaf": "http://xmlns.com/foaf/0.1/",
}


def _rdf(outputs: tuple[Output, ...], rows: Iterable[Row], place: Place) -> Iterator[str]:
    own = {"dsbase": f"{place.origin}/resource/", "ds": f"{place.address}/"}
    named = "".join(f" xmlns:{word}={quoteattr(uri)}" for word, uri in (_NAMESPACES | own).items())
    yield f'<?xml version="1.0" encoding="utf-8"?>\n<rdf:RDF{named}>\n'
    element = place.uid if re.match(r"[A-Za-z_]", place.uid) else f"_{place.uid}"
    for one in rows:
        key = place.key(one) if place.keyed else ""
        about = f" rdf:about={quoteattr(f'{place.address}/{_in_address(key)}')}" if key else ""
        row_id = f"    <socrata:rowID>{escape(legal(key))}</socrata:rowID>\n" if key else ""
        cells = [(output, cell) for output, cell in zip(outputs, one, strict=False) if cell is not None]
        inner = "".join(
            f"    <ds:{output.name}>{_plain(output, cell)}</ds:{output.name}>\n"
            for output, cell in cells
            if not output.name.startswith(":")
        )
        member = f"    <rdfs:member rdf:resource={quoteattr(place.address)}/>\n"
        yield f"  <dsbase:{element}{about}>\n{row_id}{member}{inner}  </dsbase:{element}>\n"
    yield "</rdf:RDF>\n"


def csv_export(header: list[str], outputs: tuple[Output, ...], rows: Iterable[Row]) -> Iterator[str]:
    """The file that people download: display names, cells quoted where they must be, dates as in the US."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    renders = [output.kind.export for output in outputs]
    for one in rows:
        cells = zip(renders, one, strict=False)
        writer.writerow(["" if cell is None else render(cell) for render, cell in cells])
        if buffer.tell() > CHUNK_CHARACTERS:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def encoded(text: Iterable[str]) -> Iterator[bytes]:
    """The text in pieces large enough that handing one over costs little."""
    parts: list[str] = []
    size = 0
    for part in text:
        parts.append(part)
        size += len(part)
        if size > CHUNK_CHARACTERS:
            yield "".join(parts).encode("utf-8", "replace")
            parts, size = [], 0
    if parts:
        yield "".join(parts).encode("utf-8", "replace")


FORMATS: dict[str, Format] = {
    "json": Format(_json, "application/json;charset=utf-8"),
    "csv": Format(_csv, "text/csv; charset=UTF-8"),
    "geojson": Format(_geojson, "application/vnd.geo+json; charset=utf-8"),
    "xml": Format(_xml, "text/xml;charset=utf-8", keyed=True),
    "rdf": Format(_rdf, "application/rdf+xml;charset=utf-8", keyed=True),
}
JSON_V3 = Format(_json_v3, "application/json; charset=utf-8")
_ACCEPTED = {
    "application/json": "json",
    "text/csv": "csv",
    "application/vnd.geo+json": "geojson",
    "application/geo+json": "geojson",
    "text/xml": "xml",
    "application/xml": "xml",
    "application/rdf+xml": "rdf",
    "*/*": "json",
    "text/html": "json",
    "application/*": "json",
    "text/*": "csv",
}


def format_by_accept(accept: str) -> str | None:
    """The extension of the format that an Accept header likes best; None when it takes none that there is."""
    if not accept.strip():
        return "json"
    wanted = []
    for number, part in enumerate(accept.split(",")):
        kind, *details = (piece.strip() for piece in part.split(";"))
        weight = next((piece[2:] for piece in details if piece.startswith("q=")), "1")
        if kind.lower() in _ACCEPTED and re.fullmatch(r"[01](\.\d*)?", weight) and float(weight) > 0:
            wanted.append((-float(weight), number, _ACCEPTED[kind.lower()]))
    return min(wanted)[2] if wanted else None
