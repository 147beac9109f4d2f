"""
The fields of a dataset: found in its sources, then changed by the configured steps, in their order.

Source: the vendor's automation API, "Dataset field configurations".
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from .ods_answers import invalid
from .ods_values import TYPES

FIELD_LIMIT = 500
ANNOTATIONS = (
    "id", "facet", "facetsort", "disjunctive", "timeserie_precision", "timerangeFilter", "unit", "decimals",
    "sortable", "multivalued", "hierarchical",
)  # fmt: skip
_NEEDS = {
    "rename": ("from_name", "to_name"),
    "type": ("field", "type_param"),
    "description": ("field", "description"),
    "annotate": ("field", "annotation"),
    "order": ("args",),
    "delete": ("field",),
}
_NAME = re.compile(r"[a-z0-9_]{1,100}", re.ASCII)


@dataclass(frozen=True)
class Field:
    """One field of a published dataset."""

    name: str
    label: str
    type: str
    source: str
    """The key or the header it is filled from."""
    description: str | None = None
    annotations: dict[str, list[str]] = field(default_factory=dict)
    column: str = ""
    """Its column in the table of records."""

    @property
    def separator(self) -> str:
        """What separates the values of a text that holds many; else empty."""
        given = self.annotations.get("multivalued")
        return "" if given is None else (given[0] if given else ";")

    def described(self) -> dict[str, Any]:
        """The field as explore shows it."""
        shown = {
            name: (args[0] if len(args) == 1 else args or True) for name, args in self.annotations.items()
        }
        return {
            "name": self.name,
            "label": self.label,
            "description": self.description,
            "annotations": shown,
            "type": self.type,
        }


@dataclass(frozen=True)
class Schema:
    """The fields of a dataset, and what of its configuration could not be done."""

    fields: tuple[Field, ...]
    problems: tuple[str, ...] = ()
    """Sentences that name fields, never values."""

    @functools.cached_property
    def ids(self) -> tuple[Field, ...]:
        """The fields that make a record's unique id: those annotated, or else all."""
        return tuple(one for one in self.fields if "id" in one.annotations) or self.fields


def field_name(label: str) -> str:
    """The name the vendor makes of a label: lower-case ASCII letters, digits and underscores."""
    return re.sub(r"[^a-z0-9]+", "_", label.lower()).strip("_")[:100]


def found(samples: Mapping[str, str]) -> list[Field]:
    """The fields of sources: a type for every key or header, in their order; names never meet."""
    fields: list[Field] = []
    for source, kind in samples.items():
        name = field_name(source) or f"column_{len(fields) + 1}"
        while any(one.name == name for one in fields):
            name += "_1"
        fields.append(Field(name, source, kind, source))
    return fields


def configure(fields: Sequence[Field], steps: Sequence[Mapping[str, Any]]) -> Schema:
    """The fields after every step, with their columns. A step for a field that is not there is a problem."""
    problems: list[str] = []
    made = list(fields)
    for step in steps:
        before = made
        made = _STEPS[step["type"]](made, step)
        named = step.get("field") or step.get("from_name")
        if named and all(one.name != named for one in before):
            problems.append(f"The step '{step['type']}' names the field '{named}', which is not there.")
    made = [replace(one, column=f"c{number}") for number, one in enumerate(made)]
    return Schema(tuple(made), (*problems, *_too_many(made)))


def _too_many(fields: Sequence[Field]) -> list[str]:
    said = []
    if len(fields) > FIELD_LIMIT:
        said.append(f"A dataset has at most {FIELD_LIMIT} fields, and this one has {len(fields)}.")
    for kind in TYPES.values():
        count = sum(one.type == kind.name for one in fields)
        if count > kind.limit:
            said.append(
                f"A dataset has at most {kind.limit} fields of type {kind.name}, and this has {count}."
            )
    return said


def _change(fields: list[Field], name: str, /, **changes: Any) -> list[Field]:
    return [replace(one, **changes) if one.name == name else one for one in fields]


def _rename(fields: list[Field], step: Mapping[str, Any]) -> list[Field]:
    target = step["to_name"]
    kept = [one for one in fields if one.name != target or one.name == step["from_name"]]
    label = step.get("field_label")
    changes = {"name": target, **({"label": label} if label else {})}
    return _change(kept, step["from_name"], **changes)


def _annotate(fields: list[Field], step: Mapping[str, Any]) -> list[Field]:
    given = {step["annotation"]: [str(one) for one in step.get("args") or []]}
    return [
        replace(one, annotations={**one.annotations, **given}) if one.name == step["field"] else one
        for one in fields
    ]


def _order(fields: list[Field], step: Mapping[str, Any]) -> list[Field]:
    place = {name: number for number, name in enumerate(step["args"])}
    return sorted(fields, key=lambda one: place.get(one.name, len(place)))


_STEPS: dict[str, Callable[[list[Field], Mapping[str, Any]], list[Field]]] = {
    "rename": _rename,
    "type": lambda fields, step: _change(fields, step["field"], type=step["type_param"]),
    "description": lambda fields, step: _change(fields, step["field"], description=step["description"]),
    "annotate": _annotate,
    "order": _order,
    "delete": lambda fields, step: [one for one in fields if one.name != step["field"]],
}


def checked_step(body: Mapping[str, Any]) -> dict[str, Any]:
    """A step as a caller gives it. Raises OdsRefused (400)."""
    kind = body.get("type")
    if kind not in _NEEDS:
        raise invalid(type=f"A step is one of {', '.join(_NEEDS)}.")
    step = {key: value for key, value in body.items() if key != "uid"}
    for name in _NEEDS[str(kind)]:
        wanted = list if name == "args" else str
        if not isinstance(step.get(name), wanted):
            raise invalid(**{name: "This field is required."})
    if kind == "rename" and not _NAME.fullmatch(step["to_name"]):
        raise invalid(to_name="A field's name holds lower-case letters, digits and underscores.")
    if kind == "type" and step["type_param"] not in TYPES:
        raise invalid(type_param=f"A type is one of {', '.join(TYPES)}.")
    if kind == "annotate" and step["annotation"] not in ANNOTATIONS:
        raise invalid(annotation=f"An annotation is one of {', '.join(ANNOTATIONS)}.")
    return step


def as_document(fields: Sequence[Field]) -> list[dict[str, Any]]:
    """The fields as the store keeps them."""
    return [asdict(one) for one in fields]


def from_document(live: Mapping[str, Any] | None) -> Schema:
    """The schema that a published dataset has."""
    return Schema(tuple(Field(**one) for one in (live or {}).get("fields", [])))
