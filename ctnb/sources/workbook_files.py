"""What a file that calls itself a workbook is: checked before anything reads its sheets."""

from __future__ import annotations

import re
import zipfile
import zlib
from pathlib import Path

from ctnb.errors import SourceInvalid
from ctnb.sources import binary_sheets

INFLATED_BYTES = 4 << 30
"""The most that a workbook's members may hold; a full sheet of a million rows holds about one."""
MEMBERS = 10_000
CELLS = 100_000_000
"""The most cells from a sheet's first to its last: the blank ones between take memory too."""

_ZIP = b"PK\x03\x04"
_COMPOUND = bytes.fromhex("d0cf11e0a1b11ae1")
_DIMENSION = re.compile(rb"""<(?:\w+:)?dimension\s+ref=["'](?:[A-Z]+[0-9]+:)?([A-Z]{1,3})([0-9]{1,7})["']""")
_PARTS = {"xl/workbook.xml": "xlsx", "xl/workbook.bin": "xlsb", "content.xml": "ods"}


def check(path: Path, kind: str) -> None:
    """Make sure that `path` is a workbook of `kind`, open to read and of sane size. Raises SourceInvalid."""
    with path.open("rb") as stream:
        start = stream.read(8)
    if start.startswith(_COMPOUND):
        if kind != "xls":
            raise _compound(path, kind)
    elif not start.startswith(_ZIP):
        raise _other(kind, "no workbook: perhaps a web page or text under a workbook's name")
    else:
        found = _zipped(path)
        if found != kind:
            raise _other(kind, f"a workbook of kind {found}" if found else "an archive of another kind")


def hidden_sheets(path: Path, limit: int = 4 << 20) -> tuple[int, ...]:
    """
    The numbers of the sheets of an xlsx workbook that are hidden, from 1; none for other kinds.

    The list of sheets says so (ECMA-376 Part 1, 18.2.19); it is read without the sheets themselves.
    """
    try:
        with zipfile.ZipFile(path) as archive, archive.open("xl/workbook.xml") as stream:
            text = stream.read(limit)
    except (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError, EOFError, OSError, zlib.error):
        return ()
    sheets = re.findall(rb"<(?:\w+:)?sheet\s[^>]*>", text)
    return tuple(
        n for n, sheet in enumerate(sheets, 1) if re.search(rb"""\sstate=["'](hidden|veryHidden)""", sheet)
    )


def damaged() -> SourceInvalid:
    """The error of a workbook that cannot be read."""
    return SourceInvalid(
        "The workbook is damaged: its sheets cannot be read.",
        hint="Open it in Excel or LibreOffice, save it anew and try again.",
    )


def locked() -> SourceInvalid:
    """The error of a workbook that asks for a password."""
    return SourceInvalid(
        "The workbook is protected by a password.", hint="Save it without a password: File, Info, Protect."
    )


def _zipped(path: Path) -> str:
    """The kind of workbook in the archive `path`; empty when it holds none."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            names = {member.filename for member in members}
            manifest = _manifest(archive, names)
            corners = [_corner(archive, name) for name in names if name.startswith("xl/worksheets/")]
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, OSError):
        members = None
    if members is None:
        raise damaged()
    _check_size(members)
    if b"encryption-data" in manifest or any(member.flag_bits & 1 for member in members):
        raise locked()
    for corner in filter(None, corners):
        _check_corner(*corner)
    return next((kind for part, kind in _PARTS.items() if part in names), "")


def _manifest(archive: zipfile.ZipFile, names: set[str], limit: int = 4 << 20) -> bytes:
    """What an ODS says of its members; an encrypted one says so there."""
    if "META-INF/manifest.xml" not in names:
        return b""
    with archive.open("META-INF/manifest.xml") as stream:
        return stream.read(limit)


def _corner(archive: zipfile.ZipFile, name: str, head_bytes: int = 4096) -> tuple[int, int] | None:
    """The last row and column of an xlsx sheet as it says itself, of an xlsb sheet as it has; None when not known."""
    with archive.open(name) as stream:
        if name.endswith(".bin"):
            return binary_sheets.corner(stream)
        found = _DIMENSION.search(stream.read(head_bytes))
    if found is None:
        return None
    column = 0
    for letter in found[1]:
        column = 26 * column + letter - ord("A") + 1
    return int(found[2]), column


def _check_corner(rows: int, columns: int) -> None:
    if rows * columns > CELLS:
        raise SourceInvalid(
            f"A sheet of the workbook reaches to row {rows:,} and column {columns:,}: {rows * columns:,} cells, "
            f"more than {CELLS:,}.",
            hint="Delete the blank rows below and the blank columns right of the table, then save.",
        )


def _check_size(members: list[zipfile.ZipInfo]) -> None:
    size = sum(member.file_size for member in members)
    if size > INFLATED_BYTES or len(members) > MEMBERS:
        raise SourceInvalid(
            f"The workbook unpacks to {size >> 20:,} MB in {len(members):,} members, more than "
            f"{INFLATED_BYTES >> 20:,} MB or {MEMBERS:,}.",
            hint="If that is right, save the sheet as CSV.",
        )


def _compound(path: Path, kind: str) -> SourceInvalid:
    if "EncryptedPackage".encode("utf-16-le") in path.read_bytes():
        return locked()
    return _other(kind, "an old workbook (xls)")


def _other(kind: str, seen: str) -> SourceInvalid:
    return SourceInvalid(
        f"The source is not {kind}: it is {seen}.",
        hint="Say what it is under source: format: in dataset.yml, or save it as an xlsx workbook.",
    )
