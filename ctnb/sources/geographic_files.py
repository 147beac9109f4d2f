"""
Geographic files: shapefiles and GeoPackages, always their attribute table, and their points.

GDAL reads them (the library pyogrio, the extra `geography`), once ctnb has made sure of what they are: by their
first bytes, and a GeoPackage by the list of what is in it, so that nothing makes GDAL open another file or address.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from xml.sax.saxutils import escape

from ctnb.errors import SourceInvalid, UsageError
from ctnb.sources import geopackages, shapefiles
from ctnb.sources.geometries import Points
from ctnb.sources.number_texts import number_text
from ctnb.sources.opened import Asked, Loaded
from ctnb.sources.parquets import Renderer, nulled, renderer
from ctnb.sources.parts import BATCH_ROWS, COLUMNS_LIMIT, column_names, load_batches

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

GEOMETRY = "geometry"
"""The header of the column with points; the last one."""
WGS84 = ("EPSG:4326", "OGC:CRS84")

_OPTIONS = {
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": "none", "CPL_CURL_ENABLE_VSIMEM": "NO", "GDAL_HTTP_MAX_RETRY": "0",
    "GDAL_PAM_ENABLED": "NO", "SHAPE_RESTORE_SHX": "NO", "GDAL_HTTP_PROXY": "127.0.0.1:9",
}  # fmt: skip
"""GDAL opens no address and no file beside the source's own."""
_WARPED = """<OGRVRTDataSource><OGRVRTWarpedLayer><OGRVRTLayer name="{layer}">\
<SrcDataSource relativeToVRT="0">{path}</SrcDataSource><SrcLayer>{layer}</SrcLayer></OGRVRTLayer>\
<TargetSRS>OGC:CRS84</TargetSRS></OGRVRTWarpedLayer></OGRVRTDataSource>"""

T = TypeVar("T")


@dataclass(frozen=True)
class Layer:
    """One layer of a geographic file."""

    path: Path
    """What GDAL opens: the file, or a description beside it that converts coordinates."""
    name: str
    """The layer's name in it."""
    header: tuple[str, ...]
    """Its columns, the number that identifies a feature first where the file stores one, points last."""
    rows: int
    """How many features it says it has."""
    numbered: bool
    """Whether the file stores a number that identifies a feature."""
    points: bool
    """Whether its points are read."""
    encoding: str = ""
    """How text was encoded; empty where the file says so itself."""
    notes: tuple[str, ...] = ()
    """What a person should know of the file."""
    with_geometry: int | None = None
    """How many features have a geometry, where coordinates are converted."""

    def load(self, connection: duckdb.DuckDBPyConnection, work: Path) -> Loaded:
        """Bring the records into `connection` as `numbered`; see `Opened.load`."""
        points = Points()
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            load_batches(connection, len(self.header), self._batches(points))
        notes = [*self.notes, *points.notes()]
        if any(issubclass(one.category, RuntimeWarning) for one in warned):
            notes.append(
                "GDAL warned while it read the file; compare the number of empty cells with the source."
            )
        lost = (self.with_geometry or 0) - points.given - points.others.total()
        if lost > 0:
            notes.append(f"The places of {lost:,} features could not be converted to WGS 84 and are empty.")
        return Loaded(typed_dates=True, notes=tuple(notes))

    def _batches(self, points: Points) -> Iterator[pa.Table]:
        import pyarrow as pa

        row = 0
        options = {"read_geometry": self.points, "return_fids": self.numbered, "batch_size": BATCH_ROWS}
        with _reading(self.path, self.name, options) as reader:
            width = len(self.header) - self.points
            renderers = [_renderer(field.type) for field in list(reader.schema)[:width]]
            while True:
                made = _guarded(partial(_texts, reader, renderers, points if self.points else None), row)
                if made is None:
                    break
                if made:
                    count = len(made[0])
                    rows = pa.array(range(row + 1, row + count + 1), pa.int64())
                    yield pa.table([rows, *made], ["_row", *column_names(len(made))])
                    row += count
        if row != self.rows:
            raise SourceInvalid(
                f"The source says that it has {self.rows:,} features and has {row:,}.", hint="Export it anew."
            )


def opened_shapefile(path: Path, asked: Asked) -> Layer:
    """
    The shapefile whose .shp `path` is, with its other parts beside it.

    Raises SourceInvalid when a part is missing or damaged, UsageError when pyogrio is not installed.
    """
    _pyogrio()
    if asked.layer not in (None, 1):
        raise SourceInvalid(
            "A shapefile has one layer, and dataset.yml names another.", hint="Take source: layer: out of it."
        )
    encoding = shapefiles.check(path, asked)
    return _opened(path, path.stem, "ESRI Shapefile", encoding)


def opened_geopackage(path: Path, asked: Asked) -> Layer:
    """
    The GeoPackage `path`: the layer `asked.layer`, or the only one with rows.

    Raises SourceInvalid when it is none or does not say which layer is meant, UsageError when pyogrio is not there.
    """
    _pyogrio()
    return _opened(path, geopackages.layer(path, asked.layer), "GPKG", "")


def _opened(path: Path, layer: str, driver: str, encoding: str) -> Layer:
    said = _guarded(lambda: _info(path, layer), 0)
    if said["driver"] != driver:
        raise SourceInvalid("The source is another kind of file than it says.", hint="Export it anew.")
    fields = [str(name) for name in said["fields"]]
    numbered = bool(said["fid_column"])
    notes: list[str] = []
    kind = said["geometry_type"]
    points = kind is not None and ("Unknown" in kind or kind.split()[0] == "Point")
    if kind is not None and not points:
        notes.append(f"Geometry was left out: it is of the kind {kind}, and only points become a column.")
    if points and _is_unknown(said["crs"]):
        points = False
        notes.append(
            "Points were left out: the file does not say which coordinates they are in. A shapefile says it in .prj."
        )
    converted, counted = path, None
    if points and said["crs"] not in WGS84:
        counted = _guarded(lambda: _geometries(path, layer), 0)
        converted = path.with_name(f"{path.name}.wgs84.vrt")
        converted.write_text(
            _WARPED.format(layer=escape(layer, {'"': "&quot;"}), path=escape(str(path))), "utf-8"
        )
        notes.append("Coordinates were converted to WGS 84 (longitude and latitude).")
    header = (*([said["fid_column"]] if numbered else []), *fields, *([GEOMETRY] if points else []))
    if not header:
        raise SourceInvalid("The source has no columns.", hint="Check the export that wrote it.")
    if len(header) > COLUMNS_LIMIT:
        raise SourceInvalid(f"The source has more than {COLUMNS_LIMIT:,} columns.", hint="Export fewer.")
    return Layer(
        converted, layer, header, int(said["features"]), numbered, points, encoding, tuple(notes), counted
    )  # fmt: skip


def _is_unknown(crs: str | None) -> bool:
    return not crs or "undefined" in crs.lower() or "LOCAL_CS" in crs or "ENGCRS" in crs


def _info(path: Path, layer: str) -> Mapping[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        said: Mapping[str, Any] = _pyogrio().read_info(str(path), layer=layer, force_feature_count=True)
    return said


def _geometries(path: Path, layer: str) -> int:
    """How many features have a geometry that is not empty."""
    seen = Points()
    options = {"columns": [], "batch_size": BATCH_ROWS}
    with warnings.catch_warnings(), _reading(path, layer, options) as reader:
        warnings.simplefilter("ignore")
        for batch in reader:
            for cell in batch.column(batch.num_columns - 1).to_pylist():
                seen.text(cell)
    return seen.given + seen.others.total()


def _reading(path: Path, layer: str, options: Mapping[str, Any]) -> Any:
    """An open stream of Arrow batches, as a context."""
    from contextlib import contextmanager

    from pyogrio.raw import open_arrow

    @contextmanager
    def opened() -> Iterator[Any]:
        with open_arrow(str(path), layer=layer, use_pyarrow=True, **options) as (_, reader):
            yield reader

    return opened()


def _texts(reader: Any, renderers: list[Renderer], points: Points | None) -> list[pa.Array] | None:
    """The next features as columns of text; None at the end."""
    import pyarrow as pa

    try:
        batch = reader.read_next_batch()
    except StopIteration:
        return None
    if not batch.num_rows:
        return []
    batch.validate(full=True)
    made = [nulled(render(batch.column(place))) for place, render in enumerate(renderers)]
    if points is not None:
        cells = batch.column(batch.num_columns - 1).to_pylist()
        made.append(pa.array([points.text(cell) for cell in cells], pa.string()))
    return made


def _renderer(kind: pa.DataType) -> Renderer:
    import pyarrow as pa

    if not pa.types.is_floating(kind):
        return renderer(kind, lambda: False)
    single = bool(pa.types.is_float32(kind))

    def numbers(cells: pa.Array) -> pa.Array:
        texts = [None if cell is None else number_text(cell, single=single) for cell in cells.to_pylist()]
        return pa.array(texts, pa.string())

    return numbers


def _guarded(read: Callable[[], T], row: int) -> T:
    """What `read` gives. Raises SourceInvalid in place of GDAL's error, whose text may quote a cell."""
    import pyarrow as pa

    try:
        return read()
    except (
        RuntimeError, ValueError, KeyError, OSError, OverflowError, MemoryError, pa.ArrowException,
        UnboundLocalError,  # pyogrio's own, over a .prj that is no text
    ):  # fmt: skip
        pass
    where = f"what follows feature {row:,} cannot be read" if row else "it cannot be opened"
    raise SourceInvalid(
        f"The source is a damaged geographic file: {where}.",
        hint="Export it anew; a download or a copy may have ended half-way. Where letters are garbled, say encoding:.",
    )


def _pyogrio() -> Any:
    try:
        import pyogrio
    except ImportError:
        raise UsageError(
            "Shapefiles and GeoPackages need the library pyogrio, which is not installed.",
            hint='pip install "ctnb[geography]"',
        ) from None
    logging.getLogger("pyogrio").setLevel(logging.CRITICAL)  # GDAL's own words may quote a cell
    pyogrio.set_gdal_config_options(_OPTIONS)
    return pyogrio
