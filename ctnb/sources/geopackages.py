"""What is in a GeoPackage (OGC 12-128r19), asked of its own table of contents before GDAL opens it."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from ctnb.errors import SourceInvalid

_START = b"SQLite format 3\0"
_CALLS = re.compile(r"\b(ogr|gdal|hstore|spatialite)_\w+\s*\(|load_extension", re.IGNORECASE)
"""Functions that GDAL adds to SQLite, some of which open files and addresses."""
_INDEX = re.compile(r"CREATE VIRTUAL TABLE .* USING rtree\b", re.IGNORECASE | re.DOTALL)


def layer(path: Path, wanted: str | int | None) -> str:
    """
    The name of the layer that is meant: `wanted` by name or number from 1, or the only one with rows.

    Raises SourceInvalid when `path` is no GeoPackage, could make GDAL open something else, or leaves it open which.
    """
    with path.open("rb") as stream:
        if stream.read(len(_START)) != _START:
            raise SourceInvalid(
                "The source is no GeoPackage.", hint="Correct source: format: in dataset.yml."
            )
    try:
        address = f"file:{quote(str(path))}?mode=ro&immutable=1"
        with closing(sqlite3.connect(address, uri=True)) as connection:
            connection.execute("PRAGMA trusted_schema=OFF")
            _check_schema(connection)
            names = _tables(connection)
            filled = [number for number, name in enumerate(names, 1) if _has_rows(connection, name)]
    except (sqlite3.Error, UnicodeDecodeError):
        names = None
    if names is None:
        raise SourceInvalid("The source is a damaged GeoPackage.", hint="Export it anew.")
    return _chosen(names, filled, wanted)


def _chosen(names: list[str], filled: list[int], wanted: str | int | None) -> str:
    if isinstance(wanted, int) and 1 <= wanted <= len(names):
        return names[wanted - 1]
    if isinstance(wanted, str) and wanted in names:
        return wanted
    if wanted is not None:
        raise SourceInvalid(
            f"The source's {len(names)} layers have none that is {wanted!r}, as dataset.yml says.",
            hint="Correct source: layer:. A number counts from 1; a name is written exactly.",
        )
    if not filled:
        raise SourceInvalid("The source has no layer with rows.", hint="Check the export that wrote it.")
    if len(filled) > 1:
        listed = ", ".join(map(str, filled))
        raise SourceInvalid(
            f"Layers {listed} of the source have rows, and nothing says which is meant.",
            hint="Say source: layer: in dataset.yml, its name or its number.",
        )
    return names[filled[0] - 1]


def _check_schema(connection: sqlite3.Connection) -> None:
    for (text,) in connection.execute("SELECT CAST(sql AS VARCHAR) FROM sqlite_master WHERE sql IS NOT NULL"):
        virtual = text.lstrip().upper().startswith("CREATE VIRTUAL")
        if _CALLS.search(text) or (virtual and not _INDEX.match(text.lstrip())):
            raise SourceInvalid(
                "The source is a GeoPackage with definitions that could open other files or addresses.",
                hint="Export its layer anew as a table.",
            )


def _tables(connection: sqlite3.Connection) -> list[str]:
    """The layers that are tables, in the order of the table of contents."""
    found = connection.execute(
        "SELECT table_name FROM gpkg_contents JOIN sqlite_master ON name = table_name AND type = 'table' "
        "WHERE data_type IN ('features', 'attributes') ORDER BY gpkg_contents.rowid"
    )
    return [str(name) for (name,) in found]


def _has_rows(connection: sqlite3.Connection, name: str) -> bool:
    quoted = name.replace('"', '""')
    return connection.execute(f'SELECT 1 FROM "{quoted}" LIMIT 1').fetchone() is not None
