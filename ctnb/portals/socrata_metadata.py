"""
A dataset's words as Socrata keeps them: read, changed, written back whole.

A PUT of a view merges its top-level keys and replaces nested objects; partial ones have corrupted datasets. So
`metadata` and `privateMetadata` are always sent with everything that was in them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ctnb.portals.interface import Described

FIELDSET, FREQUENCY = "Publishing Details", "Update Frequency"
"""The custom field for how often a dataset is brought up to date, where the portal has no fieldset with it."""

OWN, TOKEN = "ctnb", "Creation"
"""The custom field that holds the token of a dataset's creation."""

LICENSES = {
    "Public Domain": "PUBLIC_DOMAIN", "CC0 1.0": "CC0_10", "CC BY 3.0": "CC_30_BY", "CC BY 4.0": "CC_40_BY",
    "CC BY-SA 4.0": "CC_40_BY_SA", "ODC PDDL": "PDDL", "ODC BY": "ODC_BY", "ODbL": "ODBL",
}  # fmt: skip
"""Socrata's licence ids by the names that contracts give them."""


def creation(described: Described, token: str) -> dict[str, Any]:
    """The words of a new view, with the token that finds it again."""
    made = changes({}, described)
    metadata = made.setdefault("metadata", {})
    metadata["custom_fields"] = {**metadata.get("custom_fields", {}), OWN: {TOKEN: token}}
    return made


def token_of(view: Mapping[str, Any]) -> str:
    """The token of a view's creation; empty where another program made it."""
    return str(_inside(view, "metadata", "custom_fields", OWN).get(TOKEN, ""))


def changes(view: Mapping[str, Any], described: Described) -> dict[str, Any]:
    """What of `view` has to be written so that it says what `described` does; words left out stay as they are."""
    said = described.metadata
    plain: dict[str, Any] = {
        "name": described.title, "description": described.description, "category": said.category,
        "tags": list(said.tags), "attribution": said.attribution, **_license(said.license),
    }  # fmt: skip
    found = {key: value for key, value in plain.items() if value and view.get(key) != value}
    metadata, private = dict(_inside(view, "metadata")), dict(_inside(view, "privateMetadata"))
    if said.row_label:
        metadata["rowLabel"] = said.row_label
    if said.update_frequency:
        fields = dict(_inside(metadata, "custom_fields"))
        fieldset = _fieldset(fields)
        fields[fieldset] = {**_inside(fields, fieldset), FREQUENCY: said.update_frequency}
        metadata["custom_fields"] = fields
    if said.contact:
        private["contactEmail"] = said.contact
    for key, value in (("metadata", metadata), ("privateMetadata", private)):
        if value != _inside(view, key):
            found[key] = value
    return found


def column_changes(view: Mapping[str, Any], described: Described) -> Iterator[tuple[int, dict[str, str]]]:
    """The number of each column of `view` whose title or description is another, with the words to write."""
    known = {column["fieldName"]: column for column in view.get("columns", [])}
    for column in described.columns:
        there = known.get(column.name)
        words = {"name": column.title, "description": column.description}
        differs = {key: word for key, word in words.items() if there and word and there.get(key) != word}
        if there and differs:
            yield int(there["id"]), {**differs, "fieldName": column.name}


def said_of(view: Mapping[str, Any]) -> dict[str, str | tuple[str, ...]]:
    """A view's words under the names of the contract's metadata."""
    metadata, fields = _inside(view, "metadata"), _inside(view, "metadata", "custom_fields")
    license_id = str(view.get("licenseId") or "")
    names = {known: name for name, known in LICENSES.items()}
    given = view.get("license")
    license_name = given.get("name") if isinstance(given, Mapping) else given
    return {
        "title": str(view.get("name") or ""),
        "description": str(view.get("description") or ""),
        "category": str(view.get("category") or ""),
        "tags": tuple(str(tag) for tag in view.get("tags") or ()),
        "row_label": str(metadata.get("rowLabel") or ""),
        "license": str(license_name or names.get(license_id, license_id)),
        "attribution": str(view.get("attribution") or ""),
        "contact": str(_inside(view, "privateMetadata").get("contactEmail") or ""),
        "update_frequency": str(_inside(fields, _fieldset(fields)).get(FREQUENCY) or ""),
    }


def _license(name: str) -> dict[str, str]:
    ids = {own.lower(): known for own, known in LICENSES.items()}
    known = ids.get(name.lower(), name if name in LICENSES.values() else "")
    return {"licenseId": known} if known else {"license": name}


def _fieldset(fields: Mapping[str, Any]) -> str:
    """The fieldset that has the update frequency on this portal."""
    return next((name for name in fields if FREQUENCY in _inside(fields, name)), FIELDSET)


def _inside(given: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    """The object at `path`, empty when there is none."""
    for key in path:
        inner = given.get(key)
        given = inner if isinstance(inner, Mapping) else {}
    return given
