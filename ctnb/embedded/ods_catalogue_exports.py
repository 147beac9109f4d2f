"""
The exports of explore's catalogue: JSON, CSV, Excel, data.json, RSS and DCAT as RDF/XML and Turtle.

CSV and Excel have `datasetid` and the metadata as `<template>.<field>`, as live portals were seen to have. DCAT after
the W3C's vocabulary, data.json after Project Open Data 1.1, RSS after its version 2.0; which of their terms the vendor
uses is not documented.
"""

from __future__ import annotations

import csv
import email.utils
import io
import json
import urllib.parse
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from .answers import Call
from .inventories import SCHEMA
from .ods_exports import csv_form
from .renderings import legal

Described = Sequence[dict[str, Any]]
_DOWNLOADS = (("csv", "text/csv"), ("json", "application/json"), ("geojson", "application/geo+json"))
_PREFIXES = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "dcat": "http://www.w3.org/ns/dcat#",
    "dct": "http://purl.org/dc/terms/",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}


def as_json(datasets: Described, call: Call) -> bytes:
    """The datasets as the catalogue shows them, in one list."""
    return json.dumps(list(datasets), ensure_ascii=False).encode()


def _table(datasets: Described, joined: str) -> tuple[list[str], list[list[Any]]]:
    """A row for each dataset: its id, and every field of every template that one of them has."""
    flat = []
    for one in datasets:
        cells: dict[str, Any] = {"datasetid": one["dataset_id"]}
        for template, values in one["metas"].items():
            cells |= {f"{template}.{name}": _plain(value, joined) for name, value in values.items()}
        flat.append(cells)
    names = list(dict.fromkeys(["datasetid", *(name for cells in flat for name in cells)]))
    return names, [[cells.get(name) for name in names] for cells in flat]


def _plain(value: Any, joined: str) -> Any:
    if isinstance(value, list):
        return joined.join(map(str, value))
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value


def as_csv(datasets: Described, call: Call) -> bytes:
    """With the options of a dataset's CSV: `delimiter`, `with_bom`, `quote_all`, `list_separator`."""
    form = csv_form(call)
    names, rows = _table(datasets, form.joined)
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=form.delimiter, quoting=form.quoting).writerows([names, *rows])
    return form.mark + text.getvalue().encode()


def as_xlsx(datasets: Described, call: Call) -> bytes:
    """One workbook with one sheet; texts stay texts, whatever they begin with."""
    import xlsxwriter

    names, rows = _table(datasets, ",")
    file = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(file, options) as book:
        sheet = book.add_worksheet()
        for number, row in enumerate([names, *rows]):
            sheet.write_row(number, 0, row)
    return file.getvalue()


def as_data_json(datasets: Described, call: Call) -> bytes:
    """The public datasets as Project Open Data 1.1 lists them (DCAT-US)."""
    listed = [_inventoried(one, call) for one in datasets if one["visibility"] == "domain"]
    head = {"@context": f"{SCHEMA}/catalog.jsonld", "@type": "dcat:Catalog", "conformsTo": SCHEMA}
    whole = {**head, "describedBy": f"{SCHEMA}/catalog.json", "dataset": listed}
    return json.dumps(whole, ensure_ascii=False).encode()


def _inventoried(one: dict[str, Any], call: Call) -> dict[str, Any]:
    metas = one["metas"]["default"]
    title, publisher = _title(one), metas.get("publisher") or "Open data portal"
    host = urllib.parse.urlsplit(call.origin).hostname or "localhost"
    shown = {
        "@type": "dcat:Dataset",
        "accessLevel": "public",
        "identifier": _page(one, call),
        "landingPage": _page(one, call),
        "title": title,
        "description": metas.get("description") or title,
        "modified": str(metas["modified"])[:10],
        "keyword": list(metas.get("keyword") or [title]),
        "publisher": {"@type": "org:Organization", "name": publisher},
        "contactPoint": {"@type": "vcard:Contact", "fn": publisher, "hasEmail": f"mailto:no-reply@{host}"},
        "distribution": [
            {"@type": "dcat:Distribution", "mediaType": media, "downloadURL": _export(one, form, call)}
            for form, media in _DOWNLOADS
        ],
    }
    return shown | ({"theme": list(metas["theme"])} if metas.get("theme") else {})


def as_rss(datasets: Described, call: Call) -> bytes:
    """An item for each dataset, dated by its last change."""
    items = []
    for one in datasets:
        metas = one["metas"]["default"]
        parts = [
            f"<title>{escape(legal(_title(one)))}</title>",
            f"<link>{escape(_page(one, call))}</link>",
            f"<description>{escape(legal(str(metas.get('description') or '')))}</description>",
            f'<guid isPermaLink="false">{escape(one["dataset_id"])}</guid>',
            *(f"<category>{escape(legal(str(word)))}</category>" for word in metas.get("keyword") or ()),
        ]
        if moment := _moment(metas.get("modified")):
            parts.append(f"<pubDate>{email.utils.format_datetime(moment)}</pubDate>")
        items.append(f"<item>{''.join(parts)}</item>")
    head = f"<title>Catalogue</title><link>{escape(call.origin)}</link><description>Datasets</description>"
    text = f'<rss version="2.0"><channel>{head}{"".join(items)}</channel></rss>'
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'.encode()


def as_rdf(datasets: Described, call: Call) -> bytes:
    """DCAT as RDF/XML."""
    spaces = " ".join(f"xmlns:{prefix}={quoteattr(uri)}" for prefix, uri in _PREFIXES.items())
    parts = [
        f'<?xml version="1.0" encoding="utf-8"?>\n<rdf:RDF {spaces}><dcat:Catalog rdf:about={_attribute(call.origin)}>'
    ]
    parts += [f"<dcat:dataset rdf:resource={_attribute(_page(one, call))}/>" for one in datasets]
    parts.append("</dcat:Catalog>")
    for one in datasets:
        parts.append(f"<dcat:Dataset rdf:about={_attribute(_page(one, call))}>")
        parts += [f"<{term}>{escape(legal(value))}</{term}>" for term, value in _terms(one)]
        for form, media in _DOWNLOADS:
            address, access = _attribute(_export(one, form, call)), _attribute(_page(one, call))
            parts.append(
                f"<dcat:distribution><dcat:Distribution><dcat:downloadURL rdf:resource={address}/>"
                f"<dcat:accessURL rdf:resource={access}/><dcat:mediaType>{media}</dcat:mediaType>"
                "</dcat:Distribution></dcat:distribution>"
            )
        parts.append("</dcat:Dataset>")
    return "".join([*parts, "</rdf:RDF>\n"]).encode()


def as_turtle(datasets: Described, call: Call) -> bytes:
    """DCAT as Turtle."""
    parts = [f"@prefix {prefix}: <{uri}> .\n" for prefix, uri in _PREFIXES.items()]
    parts.append(f"\n<{_iri(call.origin)}> a dcat:Catalog .\n")
    for one in datasets:
        page = f"<{_iri(_page(one, call))}>"
        parts.append(f"<{_iri(call.origin)}> dcat:dataset {page} .\n{page} a dcat:Dataset")
        parts += [f" ;\n  {term} {json.dumps(value, ensure_ascii=False)}" for term, value in _terms(one)]
        for form, media in _DOWNLOADS:
            address = f"<{_iri(_export(one, form, call))}>"
            parts.append(
                f" ;\n  dcat:distribution [ a dcat:Distribution ; dcat:downloadURL {address} ;"
                f" dcat:accessURL {page} ; dcat:mediaType {json.dumps(media)} ]"
            )
        parts.append(" .\n")
    return "".join(parts).encode()


def _terms(one: dict[str, Any]) -> list[tuple[str, str]]:
    metas = one["metas"]["default"]
    named = (
        ("dct:identifier", one["dataset_id"]), ("dct:title", _title(one)), ("dct:publisher", metas.get("publisher")),
        ("dct:description", metas.get("description")), ("dct:modified", metas.get("modified")),
        ("dct:license", metas.get("license")), ("dct:language", metas.get("language")),
    )  # fmt: skip
    single = [(term, str(value)) for term, value in named if value]
    many = (("dcat:keyword", metas.get("keyword")), ("dcat:theme", metas.get("theme")))
    return single + [(term, str(value)) for term, values in many for value in values or ()]


def _title(one: dict[str, Any]) -> str:
    return str(one["metas"]["default"].get("title") or one["dataset_id"])


def _moment(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None


def _page(one: dict[str, Any], call: Call) -> str:
    return f"{call.origin}/explore/dataset/{one['dataset_id']}/"


def _export(one: dict[str, Any], form: str, call: Call) -> str:
    return f"{call.origin}/api/explore/v2.1/catalog/datasets/{one['dataset_id']}/exports/{form}"


def _attribute(address: str) -> str:
    return quoteattr(_iri(address))


def _iri(address: str) -> str:
    return urllib.parse.quote(address, safe=":/?#[]@!$&'()*+,;=%~-._")


Render = Callable[[Described, Call], bytes]
_RDF = "application/rdf+xml; charset=utf-8"
FORMATS: dict[str, tuple[Render, str, str]] = {
    "csv": (as_csv, "text/csv; charset=utf-8", "csv"),
    "json": (as_json, "application/json; charset=utf-8", "json"),
    "xlsx": (as_xlsx, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
    "data.json": (as_data_json, "application/json; charset=utf-8", "data.json"),
    "rss": (as_rss, "application/rss+xml; charset=utf-8", "rss"),
    "rdf": (as_rdf, _RDF, "rdf"),
    "dcat": (as_rdf, _RDF, "rdf"),
    "ttl": (as_turtle, "text/turtle; charset=utf-8", "ttl"),
}
"""Of each format: how it is made, its Content-Type, and the end of its file's name."""
