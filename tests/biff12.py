"""
A workbook in Excel's binary form (xlsb), written by hand: no library that could be installed here writes one.

Records are those of [MS-XLSB]: an identifier and a size, seven bits a byte, then what the record holds.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Sequence

Cell = str | float | bool | None

_TYPES = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
<Default Extension="bin" ContentType="application/vnd.ms-excel.sheet.binary.macroEnabled.main"/>
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/></Types>"""
_RELATIONS = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{}</Relationships>"""
_RELATION = '<Relationship Id="rId{0}" Type="{1}/{2}" Target="{3}"/>'
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def xlsb(*sheets: Sequence[Sequence[Cell]], hidden: Sequence[int] = ()) -> bytes:
    """The bytes of a workbook with these sheets, of rows of cells; the sheets numbered in `hidden` are hidden."""
    stream = io.BytesIO()
    numbers = range(1, len(sheets) + 1)
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("[Content_Types].xml", _TYPES)
        root = _RELATION.format(1, _OFFICE, "officeDocument", "xl/workbook.bin")
        archive.writestr("_rels/.rels", _RELATIONS.format(root))
        archive.writestr("xl/workbook.bin", _book(len(sheets), hidden))
        inner = (_RELATION.format(n, _OFFICE, "worksheet", f"worksheets/sheet{n}.bin") for n in numbers)
        archive.writestr("xl/_rels/workbook.bin.rels", _RELATIONS.format("".join(inner)))
        for number, rows in enumerate(sheets, 1):
            archive.writestr(f"xl/worksheets/sheet{number}.bin", _sheet(rows))
    return stream.getvalue()


def _record(kind: int, content: bytes = b"") -> bytes:
    return _sevens(kind, fixed=kind > 127) + _sevens(len(content)) + content


def _sevens(number: int, *, fixed: bool = False) -> bytes:
    made = bytearray()
    while True:
        more = number > 127 or (fixed and not made)
        made.append(number & 127 | (128 if more else 0))
        number >>= 7
        if not more:
            return bytes(made)


def _text(text: str) -> bytes:
    encoded = text.encode("utf-16-le")
    return struct.pack("<I", len(encoded) // 2) + encoded


def _book(sheets: int, hidden: Sequence[int]) -> bytes:
    """BrtBeginBook, BrtBeginBundleShs, a BrtBundleSh for each sheet, and their ends."""
    listed = b"".join(
        _record(156, struct.pack("<II", int(n in hidden), n) + _text(f"rId{n}") + _text(f"Sheet {n}"))
        for n in range(1, sheets + 1)
    )
    return _record(131) + _record(143) + listed + _record(144) + _record(132)


def _sheet(rows: Sequence[Sequence[Cell]]) -> bytes:
    """BrtBeginSheet, BrtWsDim, BrtBeginSheetData, rows and cells, and their ends."""
    width = max(map(len, rows), default=1)
    body = b"".join(_row(number, row) for number, row in enumerate(rows))
    size = struct.pack("<4I", 0, max(0, len(rows) - 1), 0, width - 1)
    return _record(129) + _record(148, size) + _record(145) + body + _record(146) + _record(130)


def _row(number: int, row: Sequence[Cell]) -> bytes:
    head = struct.pack("<IIHBBBI", number, 0, 300, 0, 0, 0, 0)
    return _record(0, head) + b"".join(
        _cell(place, cell) for place, cell in enumerate(row) if cell is not None
    )


def _cell(place: int, cell: Cell) -> bytes:
    start = struct.pack("<II", place, 0)
    if isinstance(cell, bool):
        return _record(4, start + bytes([cell]))
    if isinstance(cell, str):
        return _record(6, start + _text(cell))
    assert cell is not None
    return _record(5, start + struct.pack("<d", cell))
