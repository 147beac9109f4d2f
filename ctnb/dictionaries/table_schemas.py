"""
Table Schema (Frictionless, datapackage.org/standard/table-schema): a contract's columns as one, and back.

What both can say is said in Table Schema's words. What only ctnb knows - money, codes, roles, how a date is written
in the source - stands under the property `ctnb`, which other programs pass over.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from pydantic import ValidationError

from ctnb.contracts.columns import FIELD, NUMERIC, TEXTUAL, Column, Constraints
from ctnb.datasets import Contract
from ctnb.dictionaries.entries import published_columns
from ctnb.errors import SourceInvalid
from ctnb.proposals import naming
from ctnb.values import FALSE_WORDS, TRUE_WORDS, strptime_format

PROFILE = "https://datapackage.org/profiles/2.0/tableschema.json"
OWN = "ctnb"
"""The property under which stands what Table Schema has no word for."""
_OWN_KEYS = ("name", "header", "position", "label", "type", "scale", "format", "role", "precision")

TYPES: dict[str, tuple[str, str]] = {
    "text": ("string", "default"), "code": ("string", "default"), "url": ("string", "uri"),
    "point": ("string", "default"), "file": ("string", "default"),
    "integer": ("integer", "default"), "number": ("number", "default"),
    "money": ("number", "default"), "percent": ("number", "default"), "date": ("date", "default"),
    "timestamp": ("datetime", "default"), "boolean": ("boolean", "default"),
}  # fmt: skip
"""For each contract type the type and format of Table Schema."""
_BACK: dict[str, str] = {
    "string": "text", "integer": "integer", "number": "number", "date": "date", "datetime": "timestamp",
    "boolean": "boolean", "year": "integer",
}  # fmt: skip
_TOKENS = {
    "%Y": "YYYY", "%y": "YY", "%b": "MMM", "%m": "MM", "%d": "DD", "%H": "hh", "%I": "hh", "%M": "mm", "%S": "ss",
    "%f": "ffffff", "%p": "AM", "%%": "%",
}  # fmt: skip
"""What stands in a contract's date format for a directive of strptime."""


_LIMITS = (
    "required", "unique", "enum", "minimum", "maximum", "pattern", "minLength", "maxLength", "jsonSchema",
    "exclusiveMinimum", "exclusiveMaximum",
)  # fmt: skip


@dataclass(frozen=True)
class Schema:
    """What a Table Schema says, as a contract has it."""

    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    """The column that identifies a row."""
    unique: tuple[tuple[str, ...], ...] = ()
    """Columns that identify a row together."""
    nulls: tuple[str, ...] = ("",)
    """Texts that mean an empty cell."""
    lost: tuple[str, ...] = field(default=())
    """What a contract cannot say, as sentences that name fields by place."""


def to_schema(contract: Contract, *, source: bool = False) -> dict[str, Any]:
    """
    The Table Schema of what is published under `contract`; or of its source's file, with headers, when `source`.

    Raises ContractInvalid when the contract's rules do not fit its columns.
    """
    columns = contract.columns if source else published_columns(contract)
    names = {column.name: _field_name(column, source) for column in columns}
    made: dict[str, Any] = {
        "$schema": PROFILE,
        "fields": [_field(column, source) for column in columns],
        "missingValues": list(contract.source.nulls) if source else [""],
    }
    if contract.key and contract.key[0] in names:
        made["primaryKey"] = [names[name] for name in contract.key]
    unique = [[names[name] for name in group] for group in contract.unique if set(group) <= set(names)]
    if unique:
        made["uniqueKeys"] = unique
    keys = [_foreign_key(contract, column, names[column.name]) for column in columns]
    if any(keys):
        made["foreignKeys"] = [key for key in keys if key]
    return made


def as_json(schema: Mapping[str, Any]) -> bytes:
    """`schema` as indented JSON."""
    return (json.dumps(schema, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "replace")


def from_schema(schema: Any) -> Schema:
    """
    What the Table Schema `schema`, as JSON's types, says.

    A descriptor of a package or resource is taken for the schema in it. Raises SourceInvalid when it is none.
    """
    found = _schema(schema)
    fields = found.get("fields")
    if not isinstance(fields, list) or not fields or not all(isinstance(one, dict) for one in fields):
        raise SourceInvalid(
            "The file is no Table Schema: it has no list of fields.",
            hint="A Table Schema is JSON with fields: [...].",
        )
    lost: list[str] = []
    headers = [str(one.get("name", "")) for one in fields]
    proposed = naming.names(headers)
    columns = tuple(
        _column(one, headers[at], proposed[at], at + 1, lost) for at, one in enumerate(fields)
    )  # fmt: skip
    told = {headers[at] for at, one in enumerate(fields) if "reference" in _own(one)}
    keys = [key for key in _as_list(found.get("foreignKeys")) if isinstance(key, dict)]
    if any(not set(_listed(key.get("fields"))) <= told for key in keys):
        lost.append("Foreign keys: name the file with the values under constraints: reference:.")
    names = dict(zip(headers, (column.name for column in columns), strict=True))
    key, unique = _keys(found, names, lost)
    return Schema(columns, key, unique, _nulls(found, lost), tuple(lost))


def _field_name(column: Column, source: bool) -> str:
    return (column.header or column.name) if source else column.name


def _field(column: Column, source: bool) -> dict[str, Any]:
    kind, form = TYPES[column.type]
    if source and column.format:
        form = strptime_format(column.format)
    made: dict[str, Any] = {"name": _field_name(column, source), "type": kind, "format": form}
    made["title"] = column.title
    if column.description:
        made["description"] = column.description
    if source:
        made |= _words(column)
    limits = _constraints(column.constraints)
    if limits:
        made["constraints"] = limits
    said = column.model_dump(include=set(_OWN_KEYS), exclude_none=True)
    made[OWN] = {key: said[key] for key in _OWN_KEYS if key in said}
    if source and column.constraints.reference:
        told = column.constraints.reference
        made[OWN]["reference"] = told if isinstance(told, str) else told.model_dump(exclude_none=True)
    return made


def _words(column: Column) -> dict[str, Any]:
    """How numbers and truth may be written in a source, beyond what Table Schema takes for granted."""
    if column.type == "boolean":
        ways = (str, str.upper, str.title)
        true, false = (
            sorted({way(one) for one in words for way in ways}) for words in (TRUE_WORDS, FALSE_WORDS)
        )
        return {"trueValues": true, "falseValues": false}
    if column.type in ("money", "percent"):
        return {"groupChar": ",", "bareNumber": False}
    return {"groupChar": ","} if column.type in ("integer", "number") else {}


def _constraints(limits: Constraints) -> dict[str, Any]:
    said = {
        "required": limits.required or None,
        "unique": limits.unique or None,
        "enum": list(limits.values) if limits.values is not None else None,
        "minimum": _bare(limits.minimum),
        "maximum": _bare(limits.maximum),
        "pattern": limits.pattern,
        "maxLength": limits.max_length,
    }
    return {key: value for key, value in said.items() if value is not None}


def _bare(limit: float | None) -> float | None:
    """A whole number without a point, as a field of whole numbers wants it."""
    return int(limit) if limit is not None and limit.is_integer() else limit


def _foreign_key(contract: Contract, column: Column, name: str) -> dict[str, Any] | None:
    """The reference of `column`; of its file only the name, because folders are the agency's own."""
    told = contract.reference_of(column)
    if told is None:
        return None
    resource = re.sub(r"[^a-z0-9._-]+", "-", PurePosixPath(told.path.replace("\\", "/")).stem.lower()).strip(
        "-"
    )
    return {"fields": [name], "reference": {"resource": resource or "reference", "fields": [told.column]}}


def _schema(given: Any) -> dict[str, Any]:
    for _ in range(3):
        if isinstance(given, dict) and "fields" not in given:
            resources = given.get("resources")
            if isinstance(resources, list) and len(resources) > 1:
                raise SourceInvalid(
                    f"The file describes {len(resources)} tables.",
                    hint="Save the schema of one as a file of its own.",
                )
            given = given.get("schema", resources[0] if isinstance(resources, list) and resources else {})
    return given if isinstance(given, dict) else {}


def _column(given: Mapping[str, Any], header: str, proposed: str, place: int, lost: list[str]) -> Column:
    """The column that a field is; what does not fit goes into `lost`, never into the column."""
    own = _own(given)
    name = own.get("name") or (header if FIELD.fullmatch(header) else proposed)
    kind, form = _kind(given, place, lost)
    if _has_other_words(given):
        lost.append(f"Field {place}: its words for true and false are not all those of a contract.")
    said: dict[str, Any] = {"name": name, "type": kind, "format": form}
    if header.strip() != name:
        said["header"] = header
    title = given.get("title")
    if not own and isinstance(title, str) and title not in ("", name, header):
        said["label"] = title
    if isinstance(given.get("description"), str):
        said["description"] = given["description"]
    said |= {key: own[key] for key in _OWN_KEYS if key in own}
    if own and "header" not in own:
        said.pop("header", None)
    if own and "format" not in own:
        said["format"] = None
    said["constraints"] = _limits(given, said["type"], place, lost)
    if isinstance(own.get("reference"), (str, dict)):
        said["constraints"]["reference"] = own["reference"]
    try:
        return Column.model_validate(said)
    except ValidationError:
        pass
    lost.append(f"Field {place}: its property {OWN}, or its name, cannot be used.")
    other = {} if header == proposed else {"header": header}
    return Column.model_validate({"name": proposed, "type": "text", **other})


def _has_other_words(given: Mapping[str, Any]) -> bool:
    told = {"trueValues": TRUE_WORDS, "falseValues": FALSE_WORDS}
    return any(word.lower() not in known for key, known in told.items() for word in _listed(given.get(key)))


def _own(given: Mapping[str, Any]) -> dict[str, Any]:
    found = given.get(OWN)
    return found if isinstance(found, dict) else {}


def _kind(given: Mapping[str, Any], place: int, lost: list[str]) -> tuple[str, str | None]:
    """The contract type and date format of a field."""
    kind, form = str(given.get("type", "string")), str(given.get("format") or "default")
    if kind == "string" and form == "uri":
        return "url", None
    if kind not in _BACK:
        lost.append(f"Field {place}: a contract has no type like its own, so it is text.")
        return "text", None
    if kind in ("date", "datetime") and form not in ("default", "any"):
        words = _date_words(form)
        if words is None:
            lost.append(f"Field {place}: the way its dates are written cannot be said in a contract.")
        return _BACK[kind], words
    if form == "any" or (kind == "string" and form != "default"):
        lost.append(f"Field {place}: a contract has no word for its format.")
    return _BACK[kind], None


def _date_words(form: str) -> str | None:
    """The contract's date format for a pattern of strptime; None where it has none that means the same."""
    words = re.sub(r"%.", lambda found: _TOKENS.get(found[0], found[0]), form)
    try:
        return words if strptime_format(words) == form else None
    except ValueError:
        return None


def _limits(given: Mapping[str, Any], kind: str, place: int, lost: list[str]) -> dict[str, Any]:
    found = given.get("constraints")
    if not isinstance(found, dict):
        return {}
    made: dict[str, Any] = {}
    for key, value in found.items():
        limit = _limit(key, value, kind)
        if limit is None:
            lost.append(
                f"Field {place}: its constraint {key if key in _LIMITS else 'of another name'} is not held."
            )
        else:
            made |= limit
    return made


def _limit(key: str, value: Any, kind: str) -> dict[str, Any] | None:
    """One constraint as a contract has it; None where it has no such thing."""
    if key in ("required", "unique") and isinstance(value, bool):
        return {key: value}
    if key == "enum" and isinstance(value, list):
        return {"values": [_text(one) for one in value]}
    if key in ("minimum", "maximum") and kind in NUMERIC:
        try:
            return {key: float(value)}
        except (TypeError, ValueError):
            return None
    if key == "pattern" and isinstance(value, str):
        try:
            return {"pattern": Constraints(pattern=value).pattern}
        except ValidationError:
            return None
    if key == "maxLength" and kind in TEXTUAL and isinstance(value, int) and value > 0:
        return {"max_length": value}
    return None


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else json.dumps(value)


def _keys(
    found: Mapping[str, Any], names: Mapping[str, str], lost: list[str]
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """The key, and the columns that are unique together; a key of several columns is such a group."""
    groups = [_listed(one) for one in [found.get("primaryKey"), *_as_list(found.get("uniqueKeys"))]]
    known = [tuple(names[name] for name in group) for group in groups if set(group) <= set(names)]
    if len(known) < len(groups):
        lost.append("A key names a field that is not there.")
    key = known[0] if known and groups[0] and len(known[0]) == 1 else ()
    if len(groups[0]) > 1:
        lost.append("The primary key has several fields; in a contract they are unique together.")
    return key, tuple(group for group in known if len(group) > 1)


def _nulls(found: Mapping[str, Any], lost: list[str]) -> tuple[str, ...]:
    values = [
        one.get("value") if isinstance(one, dict) else one
        for one in _as_list(found.get("missingValues"), [""])
    ]
    if not all(isinstance(value, str) for value in values):
        lost.append("A missing value is no text.")
    return tuple(value for value in values if isinstance(value, str))


def _as_list(value: Any, default: Sequence[Any] = ()) -> list[Any]:
    return list(value) if isinstance(value, list) else list(default)


def _listed(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()
