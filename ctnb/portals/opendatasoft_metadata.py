"""
What an Opendatasoft portal is told of a dataset, rows aside: metadata by template and field, fields by steps.

Protocol: the vendor's Automation API v1.0, "Dataset metadata" and "Dataset fields". Licences and themes are opaque
ids of each portal: a name is looked up in the values that the portal suggests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ctnb.clients.opendatasoft import Opendatasoft
from ctnb.contracts.columns import Column
from ctnb.errors import PublishRefused
from ctnb.portals.interface import Described, PortalField
from ctnb.values import TYPES

PLACES: dict[str, tuple[str, str]] = {
    "title": ("default", "title"),
    "description": ("default", "description"),
    "tags": ("default", "keyword"),
    "attribution": ("default", "publisher"),
    "license": ("internal", "license_id"),
    "category": ("internal", "theme_id"),
    "contact": ("dcat", "contact_name"),
    "update_frequency": ("dcat", "accrualperiodicity"),
}
"""Template and field for each name of the contract's metadata."""
LOOKED_UP = ("license", "category")
"""What a portal knows by an id."""


def fields_of(live: Mapping[str, Any] | None, steps: Sequence[Mapping[str, Any]]) -> tuple[PortalField, ...]:
    """The fields of a published dataset, or those that the configuration of an unpublished one types."""
    if live is not None:
        return tuple(
            PortalField(
                str(one["name"]), str(one.get("label") or ""), str(one.get("type") or ""),
                str(one.get("description") or ""),
            )
            for one in live.get("fields") or []
        )  # fmt: skip
    typed = {str(one["field"]): str(one["type_param"]) for one in steps if one.get("type") == "type"}
    told = {str(one["field"]): str(one["description"]) for one in steps if one.get("type") == "description"}
    labels = {
        str(one["to_name"]): str(one.get("field_label") or "") for one in steps if one.get("type") == "rename"
    }
    return tuple(
        PortalField(name, labels.get(name, ""), kind, told.get(name, "")) for name, kind in typed.items()
    )


def key_of(live: Mapping[str, Any] | None, steps: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The unique-id fields."""
    if live is not None:
        return tuple(
            str(one["name"])
            for one in live.get("fields") or []
            if "id" in _annotations(one.get("annotations"))
        )
    ids = (one for one in steps if one.get("type") == "annotate" and one.get("annotation") == "id")
    return tuple(dict.fromkeys(str(one["field"]) for one in ids))


def _annotations(said: Any) -> set[str]:
    """The names of a field's annotations, which explore gives as an object and automation as a list."""
    if isinstance(said, Mapping):
        return {str(name) for name in said}
    return {str(one.get("name", "")) for one in said or [] if isinstance(one, Mapping)}


def said_of(client: Opendatasoft, uid: str) -> dict[str, str | tuple[str, ...]]:
    """The dataset's metadata under the names of the contract's. Raises PortalFailed."""
    said = client.ask("GET", f"/datasets/{uid}/metadata/") or {}
    found: dict[str, str | tuple[str, ...]] = {}
    for name, (template, field) in PLACES.items():
        value = _value(said, template, field)
        if name in LOOKED_UP and value:
            value = next((label for label, one in _suggested(client, template, field) if one == value), value)
        if value:
            found[name] = tuple(map(str, value)) if isinstance(value, list) else str(value)
    return found


def bring_up_to_date(client: Opendatasoft, uid: str, described: Described) -> tuple[bool, bool]:
    """
    Write what differs: metadata that the contract has, and the fields' types, labels, words and unique ids.

    Returns whether fields, and whether metadata, were written. Raises PublishRefused for a licence or category that
    the portal does not know, PortalFailed.
    """
    there = client.ask("GET", f"/datasets/{uid}/metadata/") or {}
    wanted, written = _known(client, _wanted(described)), False
    for name, value in wanted.items():
        template, field = PLACES[name]
        if _value(there, template, field) != value:
            client.ask("PUT", f"/datasets/{uid}/metadata/{template}/{field}/", {"value": value})
            written = True
    return configure(client, uid, described.columns, described.key), written


def _wanted(described: Described) -> dict[str, Any]:
    told = described.metadata
    said = {
        "title": described.title, "description": described.description, "tags": list(told.tags),
        "attribution": told.attribution, "license": told.license, "category": told.category,
        "contact": told.contact, "update_frequency": told.update_frequency,
    }  # fmt: skip
    return {name: value for name, value in said.items() if value}


def configure(client: Opendatasoft, uid: str, columns: Sequence[Column], key: Sequence[str]) -> bool:
    """
    Add what the fields' configuration lacks: types, labels, descriptions, unique ids; whether anything was lacking.

    Raises PortalFailed.
    """
    steps = client.listed(f"/datasets/{uid}/fields/")
    written = False
    for step in _steps(columns, key):
        if not any(all(one.get(name) == value for name, value in step.items()) for one in steps):
            client.ask("POST", f"/datasets/{uid}/fields/", step)
            written = True
    return written


def _steps(columns: Sequence[Column], key: Sequence[str]) -> list[dict[str, Any]]:
    """The configuration steps that say what the contract says of its columns."""
    made: list[dict[str, Any]] = []
    for column in columns:
        name = column.name
        made.append({"type": "rename", "from_name": name, "to_name": name, "field_label": column.title})
        made.append({"type": "type", "field": name, "type_param": TYPES[column.type].opendatasoft})
        if column.description:
            made.append({"type": "description", "field": name, "description": column.description})
        if name in key:
            made.append({"type": "annotate", "annotation": "id", "field": name, "args": []})
    return made


def _known(client: Opendatasoft, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """`wanted` with the portal's ids of licence and theme. Raises PublishRefused with the names it knows."""
    made, unknown = dict(wanted), {}
    for name in (one for one in LOOKED_UP if one in wanted):
        suggested = _suggested(client, *PLACES[name])
        ids = {**{value: value for _, value in suggested}, **dict(suggested)}
        if wanted[name] in ids:
            made[name] = ids[wanted[name]]
        else:
            unknown[name] = "; ".join(f"'{label}'" for label, _ in suggested[:20]) or "none"
    if not unknown:
        return made
    known = ". ".join(f"For {name} it knows {labels}" for name, labels in unknown.items())
    raise PublishRefused(
        f"The portal does not know the {' and '.join(unknown)} that the contract names. {known}.",
        hint=f"Write one of these, as it stands, as metadata: {': and '.join(unknown)}: in dataset.yml.",
    )


def _suggested(client: Opendatasoft, template: str, field: str) -> list[tuple[str, str]]:
    """Label and id of the values that the portal allows."""
    listed: list[Any] = [*client.listed(f"/metadata/templates/{template}/fields/{field}/suggest/")]
    return [
        (str(one.get("label") or one.get("value")), str(one.get("value")))
        if isinstance(one, Mapping)
        else (str(one), str(one))
        for one in listed
    ]


def _value(said: Mapping[str, Any], template: str, field: str) -> Any:
    found = (said.get(template) or {}).get(field)
    return found.get("value") if isinstance(found, Mapping) else found
