"""GET /data.json: the public views as Project Open Data 1.1 lists them (resources.data.gov, DCAT-US schema v1.1)."""

from __future__ import annotations

import sqlite3
import urllib.parse
from typing import Any

from .accounts import by_uid
from .answers import Answer, Call, Names, as_json, route
from .catalogue import View
from .listings import iso, listed

SCHEMA = "https://project-open-data.cio.gov/v1.1/schema"
LICENCES = {
    "public domain": "https://creativecommons.org/publicdomain/mark/1.0/",
    "creative commons 1.0 universal (public domain dedication)": "https://creativecommons.org/publicdomain/zero/1.0/",
    "cc0_10": "https://creativecommons.org/publicdomain/zero/1.0/",
    "public_domain": "https://creativecommons.org/publicdomain/mark/1.0/",
    "usgov_works": "https://www.usa.gov/government-works",
    "cc_40_by": "https://creativecommons.org/licenses/by/4.0/",
    "cc_40_by_sa": "https://creativecommons.org/licenses/by-sa/4.0/",
    "odc_by": "https://opendatacommons.org/licenses/by/1-0/",
    "odbl": "https://opendatacommons.org/licenses/odbl/1-0/",
    "pddl": "https://opendatacommons.org/licenses/pddl/1-0/",
}
"""The addresses of licences, by the vendor's ids and by the names people write."""


def data_json(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /data.json: what anybody may read, whoever asks; never what `hideFromDataJson` keeps out."""
    views = [view for view in listed(connection, None) if not view.document.get("hideFromDataJson")]
    return as_json(
        {
            "@context": f"{SCHEMA}/catalog.jsonld",
            "@id": f"{call.origin}/data.json",
            "@type": "dcat:Catalog",
            "conformsTo": SCHEMA,
            "describedBy": f"{SCHEMA}/catalog.json",
            "dataset": [_dataset(call, connection, view) for view in views],
        }
    )


def _dataset(call: Call, connection: sqlite3.Connection, view: View) -> dict[str, Any]:
    """The fourteen keys that the vendor prints; each is always there, because clients make columns of them."""
    document, category = view.document, view.document.get("category")
    owner = str(by_uid(connection, view.owner).get("displayName") or "Open data portal")
    host = urllib.parse.urlsplit(call.origin).hostname or "localhost"
    contact = {"@type": "vcard:Contact", "fn": owner, "hasEmail": f"mailto:no-reply@{host}"}
    return {
        "@type": "dcat:Dataset",
        "accessLevel": "public",
        "identifier": f"{call.origin}/api/views/{view.uid}",
        "landingPage": f"{call.origin}/d/{view.uid}",
        "title": view.name,
        "description": document.get("description") or view.name,
        "issued": iso(view.published_at or view.created_at)[:10],
        "modified": iso(view.rows_updated_at)[:10],
        "keyword": [str(tag) for tag in document.get("tags") or [category or view.name]],
        "theme": [category] if category else None,
        "publisher": {"@type": "org:Organization", "name": document.get("attribution") or owner},
        "contactPoint": contact,
        "license": _licence(view),
        "distribution": _distributions(call, view),
    }


def _licence(view: View) -> str | None:
    """The licence's address where it is known; else its name, as the vendor prints it."""
    named = [str(view.document.get(key) or "") for key in ("licenseId", "license")]
    known = [LICENCES[name.lower()] for name in named if name.lower() in LICENCES]
    return next((text for text in (*known, named[1], named[0]) if text), None)


def _distributions(call: Call, view: View) -> list[dict[str, str]]:
    blob = view.document.get("_blob")
    if blob:
        media = urllib.parse.quote(blob["content_type"], safe="")
        return [_distribution(blob["content_type"], f"{call.origin}/download/{view.uid}/{media}")]
    address = f"{call.origin}/api/views/{view.uid}/rows"
    forms = (("text/csv", "csv"), ("application/json", "json"), ("application/xml", "xml"))
    return [_distribution(media, f"{address}.{form}?accessType=DOWNLOAD") for media, form in forms]


def _distribution(media: str, url: str) -> dict[str, str]:
    return {"@type": "dcat:Distribution", "mediaType": media, "downloadURL": url}


ROUTES = (route("GET", "/data.json", data_json),)
