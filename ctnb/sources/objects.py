"""
JSON, JSON Lines and GeoJSON: each object is a record, each key a column.

The header is the union of the keys of all records, in order of first appearance. A cell is the text as it is
written: a number keeps its digits, an object or array inside a record is compact JSON. GeoJSON is RFC 7946:
properties are columns, a point is WKT, any other geometry is GeoJSON text.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from ctnb.errors import SourceInvalid
from ctnb.sources import texts
from ctnb.sources.cursors import BLANKS, DECODER, RECORD_LIMIT, Cursor, Doubled, Number
from ctnb.sources.opened import Asked, Misfit
from ctnb.sources.parts import Key, Parted, PartsWriter

DEPTH_LIMIT = 64
"""How deep objects and arrays inside a record may be nested."""

TORN = object()
"""Stands for a record that is no JSON."""

WGS84 = ("CRS84", "EPSG::4326", "EPSG:4326")

Record = tuple[str, Any]
"""A record as text and as Python has it."""


class _UnfitError(ValueError):
    """A record that is no row, by the rule that its text names."""


def opened_json(path: Path, asked: Asked) -> Parted:
    """
    The JSON file `path`: an array of objects, or an object that holds one under the key `asked.records`.

    Raises SourceInvalid.
    """
    return _opened(path, asked, lambda stream: _array(Cursor(stream), asked.records), _plain)


def opened_jsonl(path: Path, asked: Asked) -> Parted:
    """The JSON Lines file `path`: one object a line; blank lines do not count. Raises SourceInvalid."""
    return _opened(path, asked, _lines, _plain)


def opened_geojson(path: Path, asked: Asked) -> Parted:
    """The GeoJSON file `path`: a FeatureCollection. Raises SourceInvalid."""
    return _opened(path, asked, lambda stream: _features(Cursor(stream)), _feature)


def _opened(
    path: Path,
    asked: Asked,
    records: Callable[[TextIO], Iterator[Record]],
    fields: Callable[[Any], Mapping[Key, Any]],
) -> Parted:
    text = texts.as_utf8(path, asked.encoding)
    writer, misfits, row = PartsWriter(path), [], 0
    try:
        with text.path.open(encoding="utf-8-sig", newline="\n") as stream:
            for row, (raw, value) in enumerate(records(stream), 1):
                rule = _add(writer, row, raw, value, fields)
                if rule:
                    misfits.append(Misfit(row, rule, (raw,)))
    finally:
        writer.close()
    if not writer.places:
        raise _no_columns(row, misfits)
    return Parted(writer.header, text.encoding, tuple(writer.parts), misfits, text.notes)


def _add(
    writer: PartsWriter, row: int, raw: str, value: Any, fields: Callable[[Any], Mapping[Key, Any]]
) -> str:
    """Take a record as a row; what comes back is the rule it breaks, empty when it fits."""
    if value is TORN:
        return "not JSON"
    try:
        cells = {key: cell_text(cell) for key, cell in fields(value).items()}
    except _UnfitError as error:
        return str(error)
    writer.add(row, cells, len(raw))
    return ""


def _no_columns(rows: int, misfits: list[Misfit]) -> SourceInvalid:
    if not rows:
        return SourceInvalid(
            "The source holds no records, so nothing says which columns there are.",
            hint="Check the export that wrote it.",
        )
    if misfits:
        worst = misfits[0].rule
        return SourceInvalid(
            f"None of the source's {rows:,} records is an object with keys (the first: {worst}).",
            hint="Each record must be an object, {...}. Correct source: format: or records: in dataset.yml.",
        )
    return SourceInvalid(
        f"The source's {rows:,} records are all empty objects.", hint="Check the export that wrote it."
    )


def _lines(stream: TextIO) -> Iterator[Record]:
    number = 0
    while line := stream.readline(RECORD_LIMIT):
        number += 1
        if len(line) == RECORD_LIMIT:
            raise SourceInvalid(
                f"Line {number:,} of the source is {RECORD_LIMIT >> 20} MB or longer.",
                hint="JSON Lines has one record a line. A JSON array needs source: format: json.",
            )
        bare = line.strip(BLANKS)
        if bare:
            yield bare, _parsed(bare)


def _parsed(line: str) -> Any:
    try:
        return DECODER.decode(line)
    except (json.JSONDecodeError, RecursionError):
        return TORN


def _array(cursor: Cursor, keys: str | None) -> Iterator[Record]:
    """The records of a JSON file: of the array it is, or of the one that lies under `keys`."""
    start = cursor.peek()
    if start == "[" and keys is None:
        yield from cursor.items()
    elif start == "{" and keys is not None:
        yield from _under(cursor, keys.split("."), {})
    elif start == "{":
        raise SourceInvalid(
            "The source is one JSON object, not an array of records.",
            hint="Name the key that holds the array: source: records: in dataset.yml. "
            "A FeatureCollection needs format: geojson, one object a line format: jsonl.",
        )
    elif start == "[":
        raise SourceInvalid(
            "The source is an array of records, and dataset.yml says that a key holds it.",
            hint="Take source: records: out of dataset.yml.",
        )
    else:
        raise cursor.trouble("it starts neither with [ nor with {")
    _end(cursor)


def _end(cursor: Cursor) -> None:
    if cursor.peek():
        raise cursor.trouble("there is more text behind its end")


def _under(cursor: Cursor, keys: Sequence[str], others: dict[str, Any]) -> Iterator[Record]:
    """The records of the array below `keys`; the other members of the outermost object go into `others`."""
    found = False
    for key in cursor.members():
        cursor.take(":")
        if key != keys[0]:
            value = cursor.value()[1]
            if key in ("type", "crs"):
                others[key] = value
            continue
        if found:
            raise cursor.trouble("the key that holds the records stands twice")
        found = True
        if cursor.peek() != ("[" if len(keys) == 1 else "{"):
            raise cursor.trouble(f"the records' key holds no {'array' if len(keys) == 1 else 'object'}")
        yield from cursor.items() if len(keys) == 1 else _under(cursor, keys[1:], {})
    if not found:
        raise SourceInvalid(
            "The source has no key that holds records, as dataset.yml says it has.",
            hint="Correct source: records:, or source: format:.",
        )


def _features(cursor: Cursor) -> Iterator[Record]:
    if cursor.peek() != "{":
        raise cursor.trouble("GeoJSON starts with {")
    others: dict[str, Any] = {}
    yield from _under(cursor, ["features"], others)
    _end(cursor)
    if others.get("type") != "FeatureCollection":
        raise SourceInvalid(
            "The source is no GeoJSON FeatureCollection.",
            hint="An array of features under another type needs source: format: json and records: features.",
        )
    if others.get("crs") is not None and not _is_wgs84(others["crs"]):
        raise SourceInvalid(
            "The source's coordinates are not longitude and latitude in WGS 84: it has another crs.",
            hint="Export it in EPSG:4326, as GeoJSON has been since 2016.",
        )


def _is_wgs84(crs: Any) -> bool:
    properties = crs.get("properties") if isinstance(crs, dict) else None
    name = properties.get("name") if isinstance(properties, dict) else None
    return isinstance(name, str) and name.endswith(WGS84)


def _plain(value: Any) -> Mapping[Key, Any]:
    return _object(value, "not an object")


def _feature(value: Any) -> Mapping[Key, Any]:
    feature = _object(value, "not a feature")
    if feature.get("type") != "Feature":
        raise _UnfitError("not a feature")
    cells: dict[Key, Any] = {("feature", "geometry"): _geometry(feature.get("geometry"))}
    if "id" in feature:
        cells["feature", "feature id"] = feature["id"]
    properties = feature.get("properties")
    if properties is not None:
        cells |= _object(properties, "properties are not an object")
    return cells


def _object(value: Any, rule: str) -> dict[Key, Any]:
    if not isinstance(value, dict):
        raise _UnfitError(rule)
    if isinstance(value, Doubled):
        raise _UnfitError("a key stands twice")
    return value


def _geometry(value: Any) -> Any:
    """WKT for a point with two coordinates, or a third that is 0; anything else as it is."""
    if not isinstance(value, Mapping) or value.get("type") != "Point":
        return value
    place = value.get("coordinates")
    if not isinstance(place, list) or not all(isinstance(part, Number) for part in place):
        return value
    if len(place) == 3 and _is_zero(place[2]):
        place = place[:2]
    return f"POINT ({place[0]} {place[1]})" if len(place) == 2 else value


def _is_zero(number: Number) -> bool:
    return math.isclose(float(number), 0, abs_tol=0)


def cell_text(value: Any) -> str | None:
    """A value of JSON as the text of one cell. Raises ValueError, whose text is a rule, where it is none."""
    if value is None or type(value) is Number:
        return value
    text = value if isinstance(value, str) else _compact(value, 0)
    if "\0" in text:
        raise _UnfitError("a text holds a zero byte")
    if not text.isascii() and not _is_text(text):
        raise _UnfitError("a text holds half a character")
    return text


def _is_text(text: str) -> bool:
    """Whether `text` can be encoded; an escape such as \\ud800 alone is half a character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _compact(value: Any, depth: int) -> str:
    """JSON text without blanks, in which every number is as it was."""
    if depth > DEPTH_LIMIT:
        raise _UnfitError(f"nested deeper than {DEPTH_LIMIT}")
    if isinstance(value, Number):
        return value
    if isinstance(value, list):
        return f"[{','.join(_compact(item, depth + 1) for item in value)}]"
    if isinstance(value, dict):
        if isinstance(value, Doubled):
            raise _UnfitError("a key stands twice")
        return f"{{{','.join(f'{_quoted(key)}:{_compact(item, depth + 1)}' for key, item in value.items())}}}"
    return _quoted(value) if isinstance(value, str) else json.dumps(value)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
