"""The exports of explore: records as JSON, JSON lines, CSV, GeoJSON, Parquet and Excel."""

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
from .ods_queries import Output
from .ods_values import show

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

    def value(self, output: Output, stored: Any) -> Any:
        """A stored value as JSON shows it."""
        if stored is None:
            return None
        if output.kind == "datetime" and self.zone != "UTC":
            return local(stored, self.zone)
        if output.kind == "boolean":
            return bool(stored)
        made = show(output.kind, stored, separator=output.separator)
        return {**made, "url": self.files + made["id"]} if output.kind == "file" else made

    def record(self, row: Sequence[Any]) -> dict[str, Any]:
        """A row as an object."""
        return {one.name: self.value(one, stored) for one, stored in zip(self.outputs, row, strict=True)}


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
    place = next(
        (one for kind in ("geo_shape", "geo_point_2d") for one in shown.outputs if one.kind == kind), None
    )
    yield b'{"type":"FeatureCollection","features":['
    for number, row in enumerate(rows):
        record = shown.record(row)
        found = record.pop(place.name) if place else None
        if found is not None and place is not None and place.kind == "geo_point_2d":
            found = {"geometry": {"type": "Point", "coordinates": [found["lon"], found["lat"]]}}
        geometry = found["geometry"] if found else None
        feature = {"type": "Feature", "geometry": geometry, "properties": record}
        yield (b"," if number else b"") + _dumped(feature)
    yield b"]}"


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
    if output.kind == "boolean" or output.separator:
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


Render = Callable[[Shown, Rows, Call], Iterator[bytes]]
FORMATS: dict[str, tuple[Render, str]] = {
    "csv": (as_csv, "text/csv; charset=utf-8"),
    "geojson": (as_geojson, "application/geo+json; charset=utf-8"),
    "json": (as_json, "application/json; charset=utf-8"),
    "jsonl": (as_lines, "application/x-ndjson; charset=utf-8"),
    "parquet": (as_parquet, "application/vnd.apache.parquet"),
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
