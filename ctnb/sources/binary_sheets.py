"""
How far a sheet of an xlsb workbook reaches, asked of its records before its cells are read.

A record is an identifier and a size, seven bits a byte, then what it holds ([MS-XLSB] 2.1.4); of a row it begins with
its number, of a cell with its column's.
"""

from __future__ import annotations

from typing import IO

_CELLS_END = 12
"""BrtRowHdr is 0, and cells are 1 to 11."""
_CHUNK_BYTES = 1 << 20
_HEAD_BYTES = 6
"""The most that identifier and size take."""
_ROWS, _COLUMNS = 1 << 20, 1 << 14
"""Excel's own limits."""


def corner(stream: IO[bytes]) -> tuple[int, int]:
    """The last row and column with a cell, from 1. Raises ValueError when the records cannot be so."""
    row = column = at = 0
    content = stream.read(_CHUNK_BYTES)
    while True:
        if at + _HEAD_BYTES + 4 > len(content):
            content, at = content[at:] + stream.read(_CHUNK_BYTES), 0
            if not content:
                return row + 1, column + 1
        kind, size = content[at], content[at + 1] if at + 1 < len(content) else 128
        if kind < 128 and size < 128:  # nearly all are so, and there are millions
            at += 2
        else:
            kind, at = _kind(content, at)
            size, at = _size(content, at)
        if kind < _CELLS_END:
            number = int.from_bytes(content[at : at + 4], "little")
            if size < 4 or number >= (_COLUMNS if kind else _ROWS):
                raise ValueError("a row or column beyond Excel's limits")
            if kind and number > column:
                column = number
            elif not kind and number > row:
                row = number
        at += size
        while at > len(content):
            at -= len(content)
            content = stream.read(_CHUNK_BYTES)
            if not content:
                raise ValueError("a record ends beyond its sheet")


def _kind(content: bytes, at: int) -> tuple[int, int]:
    first = content[at]
    if first < 128:
        return first, at + 1
    return first & 127 | (_byte(content, at + 1) & 127) << 7, at + 2


def _size(content: bytes, at: int) -> tuple[int, int]:
    size = 0
    for place in range(4):
        byte = _byte(content, at + place)
        size |= (byte & 127) << (7 * place)
        if byte < 128:
            break
    return size, at + place + 1


def _byte(content: bytes, at: int) -> int:
    if at >= len(content):
        raise ValueError("a record ends in its head")
    return content[at]
