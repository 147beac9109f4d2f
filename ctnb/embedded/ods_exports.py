"""The exports of explore: records as JSON, CSV, Parquet, Excel, in the formats of places and as linked data."""

from __future__ import annotations

import csv
import io
import itertools
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from .answers import Call
from .ods_answers import explore_error
from .ods_functions import local
from .ods_linked import LINKED, vocabulary
from .ods_queries import Output
from .ods_ranges import KIND, label
from .ods_values import show
from .placemarks import Attribute
from .shapefile_writing import WRITERS

CHUNK_ROWS = 500
BATCH_ROWS = 20_000
Rows = Iterable[Sequence[Any]]


@dataclass(frozen=True)
class Shown:
    """How records are shown: their columns, the time zone, and where files are found."""

    outputs: tuple[Output, ...]
    zone: str
    files: str
    """The address below which a file of a record is found."""
    title: str = ""
    """The dataset's id, which some exports hold."""

    def value(self, output: Output, stored: Any) -> Any:
        """A stored value as JSON shows it."""
        if stored is None:
            return None
        if output.kind.startswith(KIND):
            return label(output.kind, stored)
        if output.kind == "datetime" and self.zone != "UTC":
            return local(stored, self.zone)
        if output.kind == "boolean":
            return bool(stored)
        made = show(output.kind, stored, separator=output.separator)
        return {**made, "url": self.files + made["id"]} if output.kind == "file" else made

    @property
    def place(self) -> Output | None:
        """The first shape, or else the first point, if there is one."""
        kinds = ("geo_shape", "geo_point_2d")
        return next((one for kind in kinds for one in self.outputs if one.kind == kind), None)

    def record(self, row: Sequence[Any]) -> dict[str, Any]:
        """A row as an object."""
        return {one.name: self.value(one, stored) for one, stored in zip(self.outputs, row, strict=True)}


Render = Callable[[Shown, Rows, Call], Iterator[bytes]]


def as_json(shown: Shown, rows: Rows, call: Call) -> Iterator[bytes]:
    """One list."""
    yield b"["
    for number, row in enumerate(rows):
        yield (b"," if number else b"") + _dumped(shown.record(row))
    yield b"]"


def as_lines(shown: Shown, rows: Rows, call: Call) -> Iterator[bytes]:
    """One object a line."""
    for row in rows:
        yield _dumped(shown.record(row)) + b"\n"


def as_geojson(shown: Shown, rows: Rows, call: Call) -> Iterator[bytes]:
    """A collection of features: the first shape or point is the geometry, the other fields are properties."""
    place = shown.place
    yield b'{"type":"FeatureCollection","features":['
    for number, row in enumerate(rows):
        record = shown.record(row)
        geometry = _geometry(place, record.pop(place.name)) if place else None
        feature = {"type": "Feature", "geometry": geometry, "properties": record}
        yield (b"," if number else b"") + _dumped(feature)
    yield b"]}"


def _geometry(place: Output, found: Any) -> dict[str, Any] | None:
    """A shown point or shape as a GeoJSON geometry."""
    if found is None:
        return None
    if place.kind == "geo_point_2d":
        return {"type": "Point", "coordinates": [found["lon"], found["lat"]]}
    return dict(found["geometry"])


def _as_places(form: str) -> Render:
    """KML, GPX or zipped shapefiles of the first shape or point; the other fields are its data."""

    def render(shown: Shown, rows: Rows, call: Call) -> Iterator[bytes]:
        place = shown.place
        rest = [(at, one) for at, one in enumerate(shown.outputs) if one is not place]
        attributes = [Attribute(one.name, one.kind in ("int", "double")) for _, one in rest]

        def places() -> Iterator[tuple[dict[str, Any] | None, list[str | None]]]:
            for row in rows:
                stored = None if place is None else row[shown.outputs.index(place)]
                found = None if place is None else _geometry(place, shown.value(place, stored))
                texts = [_cell(shown, one, row[at], ",") for at, one in rest]
                yield found, [None if text is None else str(text) for text in texts]

        return WRITERS[form][0](shown.title, attributes, places())

    return render


def _as_linked(form: str) -> Render:
    """JSON-LD, RDF/XML, Turtle or N3."""

    def render(shown: Shown, rows: Rows, call: Call) -> Iterator[bytes]:
        names = [one.name for one in shown.outputs]
        base = vocabulary(call.origin, shown.title)
        return LINKED[form][0](base, names, (shown.record(row) for row in rows))

    return render


@dataclass(frozen=True)
class CsvForm:
    """How a CSV is written."""

    delimiter: str
    quoting: Literal[0, 1]
    joined: str
    """What stands between the values of a field of many."""
    mark: bytes
    """The byte order mark, or nothing."""


def csv_form(call: Call) -> CsvForm:
    """`delimiter` (;), `quote_all`, `list_separator` and `with_bom` (true). Raises OdsRefused (400)."""
    delimiter = call.option("delimiter", ";")
    if delimiter not in (";", ",", "\t", "|"):
        message = "Invalid value for delimiter API parameter: ; or , or tab or | is expected."
        raise explore_error(400, "InvalidRESTParameterError", message)
    quoting: Literal[0, 1] = csv.QUOTE_ALL if _yes(call, "quote_all", "false") else csv.QUOTE_MINIMAL
    mark = b"\xef\xbb\xbf" if _yes(call, "with_bom", "true") else b""
    return CsvForm(delimiter, quoting, call.option("list_separator", ","), mark)


def as_csv(shown: Shown, rows: Rows, call: Call) -> Iterator[bytes]:
    """`;` and a byte order mark, unless `delimiter` and `with_bom` say otherwise; names, or labels by `use_labels`."""
    form = csv_form(call)
    titles = [one.label if _yes(call, "use_labels", "false") else one.name for one in shown.outputs]
    yield form.mark
    taken = iter(itertools.chain([titles], ([_cell(shown, one, stored, form.joined) for one, stored in
                                             zip(shown.outputs, row, strict=True)] for row in rows)))  # fmt: skip
    while batch := list(itertools.islice(taken, CHUNK_ROWS)):
        text = io.StringIO(newline="")
        csv.writer(text, delimiter=form.delimiter, quoting=form.quoting).writerows(batch)
        yield text.getvalue().encode()


def _cell(shown: Shown, output: Output, stored: Any, joined: str) -> Any:
    value = shown.value(output, stored)
    if isinstance(value, list):
        return joined.join(value)
    if output.kind == "geo_point_2d" and value:
        return f"{value['lat']}, {value['lon']}"
    if output.kind == "geo_shape" and value:
        return json.dumps(value["geometry"])
    if output.kind == "file" and value:
        return value["url"]
    return str(value).lower() if isinstance(value, bool) else value


def as_parquet(shown: Shown, rows: Rows, call: Call) -> Iterator[bytes]:
    """One Parquet file: dates and datetimes as such, points and shapes as text."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"int": pa.int64(), "double": pa.float64(), "boolean": pa.bool_(), "date": pa.date32(),
             "datetime": pa.timestamp("ms", tz="UTC")}  # fmt: skip
    schema = pa.schema(
        [
            (one.name, pa.list_(pa.string()) if one.separator else kinds.get(one.kind, pa.string()))
            for one in shown.outputs
        ]
    )
    with tempfile.TemporaryDirectory() as folder:
        file, taken = Path(folder) / "export.parquet", iter(rows)
        with pq.ParquetWriter(file, schema) as writer:
            while batch := list(itertools.islice(taken, BATCH_ROWS)):
                columns = [
                    pa.array([_plain(shown, one, row[place]) for row in batch], schema.field(place).type)
                    for place, one in enumerate(shown.outputs)
                ]
                writer.write_table(pa.Table.from_arrays(columns, schema=schema))
        yield from _file(file)


def _plain(shown: Shown, output: Output, stored: Any) -> Any:
    import datetime as dt

    if stored is None:
        return None
    if output.kind == "date":
        return dt.date.fromisoformat(stored)
    if output.kind == "datetime":
        return dt.datetime.fromisoformat(stored)
    if output.kind == "boolean" or output.kind.startswith(KIND) or output.separator:
        return shown.value(output, stored)
    if output.kind in ("geo_point_2d", "geo_shape", "file"):
        return str(_cell(shown, output, stored, ","))
    return stored


def as_xlsx(shown: Shown, rows: Rows, call: Call) -> Iterator[bytes]:
    """One workbook with one sheet; texts stay texts, whatever they begin with."""
    import xlsxwriter

    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "export.xlsx"
        with xlsxwriter.Workbook(str(file), {**options, "tmpdir": folder}) as book:
            sheet = book.add_worksheet()
            sheet.write_row(0, 0, [one.name for one in shown.outputs])
            for number, row in enumerate(rows, 1):
                cells = [
                    _cell(shown, one, stored, ",") for one, stored in zip(shown.outputs, row, strict=True)
                ]
                sheet.write_row(number, 0, cells)
        yield from _file(file)


def _file(file: Path) -> Iterator[bytes]:
    with file.open("rb") as stream:
        while chunk := stream.read(2**18):
            yield chunk


def _dumped(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _yes(call: Call, name: str, default: str) -> bool:
    return call.option(name, default).lower() == "true"


FORMATS: dict[str, tuple[Render, str]] = {
    "csv": (as_csv, "text/csv; charset=utf-8"),
    "geojson": (as_geojson, "application/geo+json; charset=utf-8"),
    "json": (as_json, "application/json; charset=utf-8"),
    "jsonl": (as_lines, "application/x-ndjson; charset=utf-8"),
    "gpx": (_as_places("gpx"), WRITERS["gpx"][1]),
    "jsonld": (_as_linked("jsonld"), LINKED["jsonld"][1]),
    "kml": (_as_places("kml"), WRITERS["kml"][1]),
    "n3": (_as_linked("n3"), LINKED["n3"][1]),
    "parquet": (as_parquet, "application/vnd.apache.parquet"),
    "rdfxml": (_as_linked("rdfxml"), LINKED["rdfxml"][1]),
    "shp": (_as_places("shp"), WRITERS["shp"][1]),
    "turtle": (_as_linked("turtle"), LINKED["turtle"][1]),
    "xlsx": (as_xlsx, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
}


def chunked(pieces: Iterator[bytes], size: int = 2**16) -> Iterator[bytes]:
    """The pieces in chunks of about `size` bytes, none of them empty."""
    held: list[bytes] = []
    length = 0
    for piece in pieces:
        held.append(piece)
        length += len(piece)
        if length >= size:
            yield b"".join(held)
            held, length = [], 0
    if length:
        yield b"".join(held)
