"""The parts of a shapefile: there must be three, and text is in the encoding that one of them names."""

from __future__ import annotations

import struct
from pathlib import Path

from ctnb.errors import SourceInvalid
from ctnb.sources import texts
from ctnb.sources.opened import Asked

PARTS = (".shp", ".shx", ".dbf", ".prj", ".cpg")
NEEDED = (".shp", ".shx", ".dbf")

_START = bytes.fromhex("0000270a")
"""The file code of ESRI's Shapefile Technical Description (1998), page 4."""
_HEADER_BYTES = 32
_LANGUAGE = 29
_CODE_PAGES = {"utf-8": "UTF-8", "cp1252": "1252"}


def check(path: Path, asked: Asked) -> str:
    """
    Make sure that `path` is a shapefile's .shp with its other parts beside it, and of its text's encoding.

    Returns the encoding where the parts do not say it themselves: what the contract says, or UTF-8 where all of the
    text is, or cp1252. Raises SourceInvalid.
    """
    missing = [part for part in NEEDED if not path.with_suffix(part).is_file()]
    if missing:
        raise SourceInvalid(
            f"The source is a shapefile without its {' and '.join(missing)}.",
            hint="A shapefile is several files: put .shp, .shx, .dbf, .prj and .cpg into one zip archive.",
        )
    with path.open("rb") as stream:
        if stream.read(4) != _START:
            raise SourceInvalid("The source is no shapefile.", hint="Correct source: format: in dataset.yml.")
    _check_whole(path)
    page, table = path.with_suffix(".cpg"), path.with_suffix(".dbf")
    if asked.encoding == "auto" and (page.is_file() or _names_language(table)):
        return ""
    encoding = texts.guess(table, skip_bytes=_HEADER_BYTES) if asked.encoding == "auto" else asked.encoding
    if encoding not in _CODE_PAGES:
        raise SourceInvalid("A shapefile's text is not UTF-16.", hint="Set source: encoding: auto.")
    page.unlink(missing_ok=True)
    page.write_text(_CODE_PAGES[encoding], "ascii")
    return encoding


def _check_whole(path: Path) -> None:
    """
    Raise SourceInvalid when a part ends before it says it does, or there are not as many shapes as rows.

    GDAL would leave the places beyond the end empty in silence. Lengths are in 16-bit words (ESRI 1998, page 4);
    the index has 8 bytes for each shape behind its header of 100.
    """
    said = {part: _number(path.with_suffix(part), 24, ">") * 2 for part in (".shp", ".shx")}
    short = [part for part, size in said.items() if path.with_suffix(part).stat().st_size < size]
    shapes, rows = (said[".shx"] - 100) // 8, _number(path.with_suffix(".dbf"), 4, "<")
    if short:
        raise SourceInvalid(
            f"The source's {' and '.join(short)} ends before it should.",
            hint="Export it anew; a download or a copy may have ended half-way.",
        )
    if shapes != rows:
        raise SourceInvalid(
            f"The source has {shapes:,} shapes and {rows:,} rows: its parts do not belong together.",
            hint="Put .shp, .shx and .dbf of the same export into the archive.",
        )


def _number(path: Path, at: int, order: str) -> int:
    """The 32-bit number at byte `at`; 0 where the file is shorter."""
    with path.open("rb") as stream:
        found = stream.read(at + 4)[at:]
    return int(struct.unpack(f"{order}I", found)[0]) if len(found) == 4 else 0


def _names_language(table: Path) -> bool:
    """Whether the dBASE header names a code page."""
    with table.open("rb") as stream:
        header = stream.read(_HEADER_BYTES)
    return len(header) == _HEADER_BYTES and header[_LANGUAGE] != 0
