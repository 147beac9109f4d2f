"""What the automation interface lets one configure of a dataset: fields, metadata, schedules, processors."""

from __future__ import annotations

import sqlite3
from typing import Any

from .answers import Answer, Call, Names, as_json
from .ods_answers import AUTOMATION, absent, invalid, ods_route, page, read_object
from .ods_automation import checked_metadata, checked_value, edited, reconfigure
from .ods_fields import checked_step
from .ods_schedules import checked_cron
from .ods_store import new_uid

TEMPLATES: dict[str, tuple[str, ...]] = {
    "default": (
        "title", "description", "keyword", "modified", "modified_updates_on_metadata_change",
        "modified_updates_on_data_change", "geographic_reference", "geographic_reference_auto", "language",
        "timezone", "publisher", "references", "attributions", "license", "license_id", "license_url", "theme",
        "theme_id", "tags",
    ),
    "internal": ("license_id", "theme_id", "draft"),
    "dcat": (
        "created", "issued", "creator", "contributor", "contact_name", "contact_email", "accrualperiodicity",
        "spatial", "temporal", "granularity", "dataquality", "publisher_type", "conforms_to", "relation",
    ),
    "dcat_ap_ch": ("rights", "license"),
    "visualization": ("map_tooltip_title", "analyze_disabled", "calendar_enabled", "map_disabled"),
    "custom": (),
}  # fmt: skip
"""The templates of metadata with their fields; `custom` takes any."""
SUGGESTIONS = {
    ("internal", "license_id"): {
        "5sylls5": "CC0 1.0",
        "6mc1v2f": "CC BY 4.0",
        "bqz2r8d": "Open Data Commons Public Domain Dedication and License",
        "t8xw0uj": "Open Government Licence v3.0",
    },
    ("internal", "theme_id"): {
        "k1m2w0a": "Administration, Government, Public finances, Citizenship",
        "s9d3x7e": "Health",
        "z4p8n6b": "Transport, Movements",
    },
}
"""The ids that stand for licences and themes; on the vendor's portals they differ from portal to portal."""


def _key(kind: str) -> str:
    return {"fi": "fields", "pr": "processors", "sc": "schedules"}[kind]


def _listed(kind: str) -> Any:
    def action(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
        dataset, _ = edited(call, connection, names)
        return as_json(page(call, dataset.document[_key(kind)]))

    return action


def _created(kind: str) -> Any:
    def action(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
        dataset, known = edited(call, connection, names)
        made = {"uid": new_uid(kind), **_CHECKS[kind](read_object(call))}
        items = [*dataset.document[_key(kind)], made]
        reconfigure(connection, dataset, known, call.now, **{_key(kind): items})
        return as_json(made, 201)

    return action


def _shown(kind: str) -> Any:
    def action(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
        dataset, _ = edited(call, connection, names)
        return as_json(_one(dataset.document[_key(kind)], names["item"]))

    return action


def _changed(kind: str) -> Any:
    def action(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
        dataset, known = edited(call, connection, names)
        items = dataset.document[_key(kind)]
        before = _one(items, names["item"])
        made = {"uid": before["uid"], **_CHECKS[kind]({**before, **read_object(call)})}
        items = [made if one is before else one for one in items]
        reconfigure(connection, dataset, known, call.now, **{_key(kind): items})
        return as_json(made)

    return action


def _deleted(kind: str) -> Any:
    def action(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
        dataset, known = edited(call, connection, names)
        items = dataset.document[_key(kind)]
        before = _one(items, names["item"])
        items = [one for one in items if one is not before]
        reconfigure(connection, dataset, known, call.now, **{_key(kind): items})
        return Answer(204)

    return action


def _one(items: list[dict[str, Any]], uid: str) -> dict[str, Any]:
    found = next((one for one in items if one["uid"] == uid), None)
    if found is None:
        raise absent()
    return found


def _checked_schedule(body: dict[str, Any]) -> dict[str, Any]:
    return {"cron_schedule": checked_cron(body.get("cron_schedule"))}


def _checked_processor(body: dict[str, Any]) -> dict[str, Any]:
    """Processors are not run here, so that none is taken: a dataset with one would not be what it says."""
    raise invalid(type="This portal runs no processors; change the rows before they are sent.")


_CHECKS = {"fi": checked_step, "pr": _checked_processor, "sc": _checked_schedule}


def all_metadata(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /datasets/<uid>/metadata/: by template and field."""
    dataset, _ = edited(call, connection, names)
    return as_json(dataset.document["metadata"])


def put_all_metadata(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """PUT /datasets/<uid>/metadata/: the templates given are replaced whole."""
    dataset, known = edited(call, connection, names)
    given = checked_metadata(read_object(call), whole=False)
    for template, fields in given.items():
        for name in fields:
            _known_field(template, name)
    metadata = {**dataset.document["metadata"], **given}
    return as_json(reconfigure(connection, dataset, known, call.now, metadata=metadata).document["metadata"])


def template_metadata(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /datasets/<uid>/metadata/<template>/."""
    dataset, _ = edited(call, connection, names)
    _known_template(names["template"])
    return as_json(dataset.document["metadata"].get(names["template"], {}))


def put_template_metadata(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """PUT /datasets/<uid>/metadata/<template>/: the template is replaced whole."""
    dataset, known = edited(call, connection, names)
    template = names["template"]
    _known_template(template)
    given = checked_metadata({template: read_object(call)}, whole=False)
    for name in given[template]:
        _known_field(template, name)
    metadata = {**dataset.document["metadata"], **given}
    reconfigure(connection, dataset, known, call.now, metadata=metadata)
    return as_json(given[template])


def field_metadata(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /datasets/<uid>/metadata/<template>/<field>/."""
    dataset, _ = edited(call, connection, names)
    _known_field(names["template"], names["field"])
    kept = dataset.document["metadata"].get(names["template"], {}).get(names["field"])
    return as_json(kept or checked_value({"value": None}))


def put_field_metadata(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """PUT /datasets/<uid>/metadata/<template>/<field>/: `{"value": ...}`."""
    made = checked_value(read_object(call))
    return _keep_field(call, connection, names, made)


def delete_field_metadata(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """DELETE /datasets/<uid>/metadata/<template>/<field>/."""
    return _keep_field(call, connection, names, None)


def _keep_field(
    call: Call, connection: sqlite3.Connection, names: Names, made: dict[str, Any] | None
) -> Answer:
    dataset, known = edited(call, connection, names)
    template, name = names["template"], names["field"]
    _known_field(template, name)
    fields = {
        key: value for key, value in dataset.document["metadata"].get(template, {}).items() if key != name
    }
    if made is not None:
        fields[name] = made
    metadata = {**dataset.document["metadata"], template: fields}
    reconfigure(connection, dataset, known, call.now, metadata=metadata)
    return Answer(204) if made is None else as_json(made)


def templates(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /metadata/templates/."""
    shown = [
        {"name": name, "fields": [{"name": field} for field in fields]} for name, fields in TEMPLATES.items()
    ]
    return as_json(page(call, shown))


def suggest(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /metadata/templates/<template>/fields/<field>/suggest/: the values to choose from."""
    _known_field(names["template"], names["field"])
    known = SUGGESTIONS.get((names["template"], names["field"]), {})
    return as_json(page(call, [{"value": value, "label": label} for value, label in known.items()]))


def _known_template(template: str) -> None:
    if template not in TEMPLATES:
        raise absent()


def _known_field(template: str, name: str) -> None:
    _known_template(template)
    if TEMPLATES[template] and name not in TEMPLATES[template]:
        raise absent()


_ONE = "datasets/{dataset}/"
_META = _ONE + "metadata/"
ROUTES = (
    *(
        one
        for kind in ("fi", "pr", "sc")
        for one in (
            ods_route("GET", AUTOMATION, f"{_ONE}{_key(kind)}/", _listed(kind)),
            ods_route("POST", AUTOMATION, f"{_ONE}{_key(kind)}/", _created(kind), writes=True),
            ods_route("GET", AUTOMATION, f"{_ONE}{_key(kind)}/{{item}}/", _shown(kind)),
            ods_route("PUT", AUTOMATION, f"{_ONE}{_key(kind)}/{{item}}/", _changed(kind), writes=True),
            ods_route("DELETE", AUTOMATION, f"{_ONE}{_key(kind)}/{{item}}/", _deleted(kind), writes=True),
        )
    ),
    ods_route("GET", AUTOMATION, _META, all_metadata),
    ods_route("PUT", AUTOMATION, _META, put_all_metadata, writes=True),
    ods_route("GET", AUTOMATION, _META + "{template}/", template_metadata),
    ods_route("PUT", AUTOMATION, _META + "{template}/", put_template_metadata, writes=True),
    ods_route("GET", AUTOMATION, _META + "{template}/{field}/", field_metadata),
    ods_route("PUT", AUTOMATION, _META + "{template}/{field}/", put_field_metadata, writes=True),
    ods_route("DELETE", AUTOMATION, _META + "{template}/{field}/", delete_field_metadata, writes=True),
    ods_route("GET", AUTOMATION, "metadata/templates/", templates),
    ods_route("GET", AUTOMATION, "metadata/templates/{template}/fields/{field}/suggest/", suggest),
)
