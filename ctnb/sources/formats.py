"""The kinds of files a source can be: a dict, from a contract's format or a file's suffix to what opens it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ctnb.errors import SourceInvalid
from ctnb.sources import (
    archives,
    delimited,
    fixed_width,
    geographic_files,
    kml,
    objects,
    parquets,
    statistics_files,
    workbooks,
)
from ctnb.sources.opened import Asked, Opened

Opener = Callable[[Path, Asked], Opened]

FORMATS: dict[str, Opener] = {
    "csv": delimited.opened_csv,
    "tsv": delimited.opened_tsv,
    "xlsx": workbooks.opener("xlsx"),
    "xls": workbooks.opener("xls"),
    "xlsb": workbooks.opener("xlsb"),
    "ods": workbooks.opener("ods"),
    "json": objects.opened_json,
    "jsonl": objects.opened_jsonl,
    "geojson": objects.opened_geojson,
    "parquet": parquets.opened_parquet,
    "fixed": fixed_width.opened_fixed,
    **{kind: statistics_files.opener(kind) for kind in statistics_files.READERS},
    "shp": geographic_files.opened_shapefile,
    "gpkg": geographic_files.opened_geopackage,
    "kml": kml.opened_kml,
}

LAYERED = ("shp", "gpkg", "kml")
"""Kinds of files that a contract's layer: may speak of; what each makes of it, it says itself."""

SUFFIXES: dict[str, str] = {
    ".csv": "csv",
    ".txt": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".geojson": "geojson",
    ".parquet": "parquet",
    ".xlsx": "xlsx",
    ".xlsm": "xlsx",
    ".xls": "xls",
    ".xlsb": "xlsb",
    ".ods": "ods",
    ".sas7bdat": "sas7bdat",
    ".xpt": "xpt",
    ".sav": "sav",
    ".zsav": "sav",
    ".por": "por",
    ".dta": "dta",
    ".shp": "shp",
    ".gpkg": "gpkg",
    ".kml": "kml",
}


def open_source(path: Path, name: str, asked: Asked, *, format: str | None = None) -> Opened:
    """
    Open the file `path`, which its owner calls `name`, as `format`, or as its suffix says when None.

    A .gz or .zip is unpacked first, and the suffix is that of the file inside.

    Raises SourceInvalid when the kind is not known or the file is not of it.
    """
    path, name = archives.unpacked(path, name, asked)
    kind = format or SUFFIXES.get(Path(name).suffix.lower(), "")
    if kind not in FORMATS:
        raise SourceInvalid(
            f"The source's kind of file is not known by its suffix '{Path(name).suffix}'.",
            hint=f"Say source: format: in dataset.yml, one of {', '.join(FORMATS)}.",
        )
    _check_keys(kind, asked)
    return FORMATS[kind](path, asked)


def _check_keys(kind: str, asked: Asked) -> None:
    """Keys that mean nothing for a kind of file are told, not passed over."""
    wrong = [
        key
        for key, said, kinds in (
            ("labels", asked.labels, tuple(statistics_files.READERS)),
            ("layer", asked.layer, LAYERED),
        )
        if said and kind not in kinds
    ]
    if wrong:
        raise SourceInvalid(
            f"dataset.yml says source: {wrong[0]}:, which a file of format {kind} does not have.",
            hint="Take it out, or correct source: format:.",
        )
