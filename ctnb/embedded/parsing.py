"""
An uploaded file to a table of texts: c1, c2 ... in one Parquet file, and the rows that do not fit beside it.

CSV and TSV are read by DuckDB in bounded memory, Excel sheets by calamine, files of places by `features`.
"""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctnb.values import text_array

from .catalogue import field_name_of
from .cells import TEXT, CellType, cell_type
from .features import PLACES, Unreadable, read_features
from .geometries import store_geometry
from .sheets import NotRead, sheet
from .workshop import engine_error, quoted

COLUMN_LIMIT = 2000
LINE_LIMIT_BYTES = 16 * 2**20
HEADER_LIMIT_BYTES = 2**20
SEPARATORS = {"text/csv": ",", "text/tab-separated-values": "\t"}
EXCEL = (
    "application/vnd.ms-excel",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
)
READ = "This portal reads CSV, TSV, Excel, GeoJSON, KML and zipped shapefiles"
_SHAPES = {"Point": "point", "MultiPoint": "multipoint", "LineString": "line", "MultiLineString": "multiline",
           "Polygon": "polygon", "MultiPolygon": "multipolygon"}  # fmt: skip


class Unparsable(ValueError):
    """A file that cannot be read as what it is said to be. Never quotes it."""


@dataclass(frozen=True)
class Options:
    """The parse options of a source."""

    encoding: str = "utf8"
    header_count: int = 1
    column_header: int = 1
    """Which of the header rows names the columns, from 1."""
    quote_char: str = '"'
    column_separator: str = ","
    remove_empty_rows: bool = True
    trim_whitespace: bool = True


@dataclass(frozen=True)
class Named:
    """One column of an upload."""

    field_name: str
    display_name: str
    kind: CellType = TEXT


@dataclass(frozen=True)
class Parsed:
    """What a file holds."""

    columns: tuple[Named, ...]
    rows: int
    wrong: int
    """The rows with too few or too many cells, which are set aside."""


def parse_file(engine: Any, content: Path, content_type: str, options: Options, into: Path) -> Parsed:
    """
    Read `content` into `into`, and rows that do not fit into `into` + `.wrong` (line, got, text).

    Raises Unparsable.
    """
    if content_type in SEPARATORS:
        return _parse_separated(engine, content, options, into)
    if content_type in EXCEL:
        return _parse_lists(engine, _sheet(content), options, into)
    if content_type in PLACES:
        return _parse_places(engine, content, content_type, options, into)
    raise Unparsable(READ)


def wrong_rows(into: Path) -> Path:
    """Where the rows that do not fit are."""
    return into.with_suffix(".wrong.parquet")


def _parse_separated(engine: Any, content: Path, options: Options, into: Path) -> Parsed:
    content = _utf8(content, options.encoding)
    header, skip, width = _header(content, options)
    if any("\n" in name or "\r" in name for name in header):
        content, skip = _beheaded(content, skip), 0
    names = _named(header, width)
    if not names or len(names) > COLUMN_LIMIT:
        raise Unparsable(f"The file has no header, or more than {COLUMN_LIMIT} columns")
    columns = ", ".join(f"'c{at}': 'VARCHAR'" for at in range(1, len(names) + 1))
    reader = (
        f"read_csv({quoted(content)}, auto_detect = false, header = false, skip = {skip},"
        f" columns = {{{columns}}}, delim = {quoted(options.column_separator)},"
        f" quote = {quoted(options.quote_char)}, escape = {quoted(options.quote_char)},"
        f" max_line_size = {LINE_LIMIT_BYTES}, ignore_errors = true, store_rejects = true, rejects_limit = 0"
    )
    if not _read_alike(engine, f"{reader}, new_line = '{_line_end(content)}')", len(names), options, into):
        for table in ("reject_errors", "reject_scans"):
            engine.execute(f"DROP TABLE IF EXISTS {table}")
        _copy(engine, f"{reader}, strict_mode = false)", len(names), options, into)
    blank = "trim(csv_line, ' \t\r\n') = ''" if options.remove_empty_rows else "false"
    engine.execute(
        f"COPY (SELECT line, min(error_type::VARCHAR) AS kind, any_value(csv_line) AS text FROM reject_errors"
        f" WHERE NOT ({blank}) GROUP BY line ORDER BY line) TO {quoted(wrong_rows(into))} (FORMAT parquet)"
    )
    return Parsed(names, _count(engine, into), _count(engine, wrong_rows(into)))


def _read_alike(engine: Any, reader: str, width: int, options: Options, into: Path) -> bool:
    """Whether the lines of a file all end as its first does; the lenient reader takes those that do not."""
    try:
        _copy(engine, reader, width, options, into)
    except engine_error():
        return False
    mixed = r"SELECT count(*) FROM reject_errors WHERE regexp_matches(csv_line, '[^\r]\n')"
    return "\\r\\n" not in reader or not engine.execute(mixed).fetchall()[0][0]


def _copy(engine: Any, relation: str, width: int, options: Options, into: Path) -> None:
    """Blank is null; rows of blanks are left out when the options say so."""
    # trimming one sign is four times as fast as trimming four, and few cells hold the other three
    other = " OR ".join(f"contains({{0}}, '{sign}')" for sign in "\t\r\n")
    trimmed = f"CASE WHEN {other} THEN trim({{0}}, ' \t\r\n') ELSE trim({{0}}) END"
    form = f"nullif({trimmed if options.trim_whitespace else '{0}'}, '') AS {{0}}"
    names = [f"c{at}" for at in range(1, width + 1)]
    select = f"SELECT {', '.join(form.format(name) for name in names)} FROM {relation}"
    if options.remove_empty_rows:
        blank = " AND ".join(f"{name} IS NULL" for name in names)
        select = f"SELECT * FROM ({select}) WHERE NOT ({blank})"
    engine.execute(f"COPY ({select}) TO {quoted(into)} (FORMAT parquet, COMPRESSION snappy)")


def _count(engine: Any, path: Path) -> int:
    return int(engine.execute(f"SELECT count(*) FROM read_parquet({quoted(path)})").fetchall()[0][0])


def _utf8(content: Path, encoding: str) -> Path:
    """The file in UTF-8; another encoding is written anew beside it. Raises Unparsable."""
    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        name = ""
    if name in ("utf-8", "ascii"):
        return content
    if not name:
        raise Unparsable("The encoding is not known")
    written = content.with_suffix(".utf8")
    try:
        with content.open(encoding=name, newline="") as source, written.open("w", newline="") as target:
            while block := source.read(2**20):
                target.write(block)
    except (UnicodeError, ValueError):
        raise Unparsable("The file is not in the encoding that was given") from None
    return written


def _header(content: Path, options: Options) -> tuple[list[str], int, int]:
    """The names, the lines before the first row of data, and how many cells the first rows have."""
    with content.open("rb") as source:
        start = source.read(HEADER_LIMIT_BYTES)
    text = codecs.getincrementaldecoder("utf-8-sig")("replace").decode(start)
    separator, quote = options.column_separator, options.quote_char
    csv.field_size_limit(LINE_LIMIT_BYTES)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, quotechar=quote)
        header: list[str] = []
        found = skip = 0
        records = (
            record for record in reader if any(map(str.strip, record)) or not options.remove_empty_rows
        )
        while found < options.header_count and (record := next(records, None)) is not None:
            found += 1
            skip = reader.line_num
            header = record if found == options.column_header else header
        width = max((len(record) for record in itertools.islice(records, 5)), default=len(header))
    except (csv.Error, TypeError):
        raise Unparsable("The header cannot be read") from None
    return header, skip, width


def _line_end(content: Path) -> str:
    """How the first line ends, as DuckDB spells it."""
    with content.open("rb") as source:
        start = source.read(HEADER_LIMIT_BYTES)
    line = re.search(rb"\r\n|\n|\r", start)
    return {b"\r\n": r"\r\n", b"\r": r"\r"}.get(line[0] if line else b"\n", r"\n")


def _beheaded(content: Path, lines: int) -> Path:
    """The file without its first lines: a header with a line end in it is not skipped as DuckDB counts."""
    rest = content.with_suffix(".rest")
    with content.open("rb") as source, rest.open("wb") as target:
        for _ in range(lines):
            source.readline()
        shutil.copyfileobj(source, target, 2**20)
    return rest


def _named(header: list[str], width: int) -> tuple[Named, ...]:
    """A field name for each column: unique, made of its display name or else of its place."""
    names: list[Named] = []
    used: set[str] = set()
    for at, written in enumerate(header or [""] * width, 1):
        display = written.strip() or f"Column {at}"
        plain = field_name_of(display)[:200] or f"column_{at}"
        field = next(
            name
            for count in itertools.count()
            if (name := f"{plain}_{count}" if count else plain) not in used
        )
        used.add(field)
        names.append(Named(field, display))
    return tuple(names)


def _sheet(content: Path) -> Iterator[list[str | None]]:
    """The rows of the first sheet, as text. Raises Unparsable."""
    why = ""
    try:
        return sheet(content, content.with_suffix(".arrow"))
    except NotRead as error:
        why = str(error)
    raise Unparsable(why)


def _parse_lists(engine: Any, rows: Iterator[list[str | None]], options: Options, into: Path) -> Parsed:
    """Rows of texts, the first of which name the columns."""
    header: list[str] = []
    kept = (row for row in rows if any(row) or not options.remove_empty_rows)
    for at, row in enumerate(itertools.islice(kept, options.header_count), 1):
        header = [cell or "" for cell in row] if at == options.column_header else header
    rest = list(kept)
    names = _named(header, max(map(len, rest), default=0))
    return _table(engine, names, rest, options, into)


def _parse_places(engine: Any, content: Path, content_type: str, options: Options, into: Path) -> Parsed:
    """The features of a file: a column for the geometry, named by its type, and one per property."""
    wrong = ""
    try:
        shape, features = read_features(content, content_type)
    except Unreadable as unreadable:
        wrong = str(unreadable)
    if wrong:
        raise Unparsable(wrong)
    properties = list(dict.fromkeys(name for feature in features for name in feature.properties))
    kind = cell_type(_SHAPES[shape]) or TEXT
    rows = [
        [
            None if feature.geometry is None else store_geometry(_exact(feature.geometry), shape),
            *(_property(feature.properties.get(name)) for name in properties),
        ]
        for feature in features
    ]
    if any(feature.geometry and row[0] is None for feature, row in zip(features, rows, strict=True)):
        raise Unparsable("A geometry of the file cannot be read")
    first, *named = _named([kind.name, *properties], 0)
    return _table(engine, (Named(first.field_name, first.display_name, kind), *named), rows, options, into)


def _exact(geometry: dict[str, Any]) -> Any:
    """The geometry with its numbers as text, digits kept."""
    return json.loads(json.dumps(geometry), parse_float=str)


def _property(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)


def _table(
    engine: Any, names: tuple[Named, ...], rows: list[list[str | None]], options: Options, into: Path
) -> Parsed:
    import pyarrow as pa

    width = len(names)
    if not names or width > COLUMN_LIMIT:
        raise Unparsable(f"The file has no header, or more than {COLUMN_LIMIT} columns")
    padded = [(row + [None] * width)[:width] for row in rows]
    columns = [text_array(row[at] for row in padded) for at in range(width)]
    held = pa.Table.from_arrays(columns, names=[f"c{at}" for at in range(1, width + 1)])
    engine.register("held", held)
    _copy(engine, "held", width, options, into)
    engine.unregister("held")
    empty = "SELECT 0 AS line, '' AS kind, '' AS text WHERE false"
    engine.execute(f"COPY ({empty}) TO {quoted(wrong_rows(into))} (FORMAT parquet)")
    return Parsed(names, _count(engine, into), 0)
