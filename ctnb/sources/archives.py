"""
Members of archives: a .gz holds one file, of a .zip one file is read.

What is unpacked goes beside the snapshot under a name of our own, so that no name in an archive is ever a path.
Sizes and ratios are measured while unpacking, never taken from what the archive says of itself.
"""

from __future__ import annotations

import gzip
import lzma
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, TypeVar, cast

from ctnb.errors import SourceInvalid
from ctnb.sources import shapefiles
from ctnb.sources.opened import Asked

SIZE_LIMIT_BYTES = 20 << 30
"""The largest file that is unpacked."""

RATIO_LIMIT = 200
"""How much larger than the archive a file may become, once it is larger than `RATIO_FREE_BYTES`."""

RATIO_FREE_BYTES = 100 << 20
MEMBERS_LIMIT = 10_000
CHUNK_BYTES = 1 << 20
ENCRYPTED = 0x1

DAMAGES = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError, ValueError,
    NotImplementedError, RuntimeError, IndexError, OverflowError,
)  # fmt: skip
"""What the standard library raises over a damaged archive."""

T = TypeVar("T")
Start = Callable[[], IO[bytes]]


def unpacked(path: Path, name: str, asked: Asked) -> tuple[Path, str]:
    """
    The file inside the archive `path`, which its owner calls `name`, and what it is called; or both unchanged.

    Writes it beside `path`, private. Raises SourceInvalid when the archive is damaged, encrypted or a bomb,
    or does not say which of its files is meant.
    """
    suffix = PurePosixPath(name).suffix.lower()
    if asked.member is not None and suffix != ".zip":
        raise SourceInvalid(
            "dataset.yml names a member, and the source is no zip archive.",
            hint="Take source: member: out of dataset.yml.",
        )
    if suffix == ".gz":
        inner = PurePosixPath(name).stem
        return _written(path, inner, lambda: cast("IO[bytes]", gzip.open(path, "rb"))), inner
    return _from_zip(path, asked.member) if suffix == ".zip" else (path, name)


def _from_zip(path: Path, wanted: str | None) -> tuple[Path, str]:
    archive = _guarded(lambda: zipfile.ZipFile(path))
    with archive:
        if shape := _shape(archive, wanted):
            return _shapefile(path, archive, shape), shape.filename
        info = _member(archive, wanted)
        _check_open(info)
        return _written(path, info.filename, lambda: archive.open(info)), info.filename


def _check_open(info: zipfile.ZipInfo) -> None:
    if info.flag_bits & ENCRYPTED:
        raise SourceInvalid(
            "The source's zip archive is encrypted.",
            hint="Unpack it with its password and let dataset.yml name the file.",
        )


def _shape(archive: zipfile.ZipFile, wanted: str | None) -> zipfile.ZipInfo | None:
    """The .shp of the archive that is meant: `wanted`, or the only one; None where there is none."""
    found = [info for info in archive.infolist() if _is_shape(info) and wanted in (None, info.filename)]
    if len(found) > 1:
        raise SourceInvalid(
            f"The source's zip archive holds {len(found):,} shapefiles, and nothing says which is meant.",
            hint="Name the .shp: source: member: in dataset.yml.",
        )
    return found[0] if found else None


def _is_shape(info: zipfile.ZipInfo) -> bool:
    return not _is_clutter(info) and PurePosixPath(info.filename).suffix.lower() == ".shp"


def _shapefile(path: Path, archive: zipfile.ZipFile, shape: zipfile.ZipInfo) -> Path:
    """Unpack the parts of the shapefile whose .shp `shape` is, under names of our own."""
    wanted = PurePosixPath(shape.filename)
    target = path.with_name(f"{path.stem}-shapefile.shp")
    for part in shapefiles.PARTS:
        target.with_suffix(part).unlink(missing_ok=True)
    for info in archive.infolist():
        place = PurePosixPath(info.filename)
        is_part = place.suffix.lower() in shapefiles.PARTS and not _is_clutter(info)
        if is_part and (place.parent, place.stem) == (wanted.parent, wanted.stem):
            _check_open(info)
            _copy(path, target.with_suffix(place.suffix.lower()), partial(archive.open, info))
    return target


def _member(archive: zipfile.ZipFile, wanted: str | None) -> zipfile.ZipInfo:
    """The member called `wanted`, or the only file. Names are not told: a name may be a person's."""
    files = [info for info in archive.infolist() if not _is_clutter(info)]
    if len(files) > MEMBERS_LIMIT:
        raise SourceInvalid(
            f"The source's zip archive has more than {MEMBERS_LIMIT:,} files.", hint="Split it."
        )
    named = [info for info in files if wanted is None or info.filename == wanted]
    if len(named) == 1:
        return named[0]
    if not files:
        raise SourceInvalid("The source's zip archive holds no file.", hint="Check the export that wrote it.")
    if wanted is None:
        raise SourceInvalid(
            f"The source's zip archive holds {len(files):,} files, and nothing says which is meant.",
            hint="Name it: source: member: in dataset.yml.",
        )
    raise SourceInvalid(
        f"The member of dataset.yml stands {len(named)} times among the {len(files):,} files of the archive.",
        hint="Correct source: member:, with the folders inside the archive, e.g. 2026/counts.csv.",
    )


def _is_clutter(info: zipfile.ZipInfo) -> bool:
    """Folders, and what macOS adds to every archive."""
    place = PurePosixPath(info.filename)
    named = info.filename and not info.filename.endswith("/")  # is_dir fails for a member without a name
    return not named or "__MACOSX" in place.parts or place.name == ".DS_Store"


def _written(archive: Path, name: str, start: Start) -> Path:
    """Unpack what `start` opens beside `archive`; only the suffix of `name` is kept."""
    suffix = PurePosixPath(name).suffix.lower()
    target = archive.with_name(f"{archive.name}.member{suffix if suffix[1:].isalnum() else ''}")
    if not _copy(archive, target, start):
        raise SourceInvalid(
            "The file inside the source's archive is empty.", hint="Check the export that wrote it."
        )
    return target


def _copy(archive: Path, target: Path, start: Start) -> int:
    """Unpack what `start` opens to `target`; returns how many bytes there are, and leaves no empty file."""
    part = target.with_name(f"{target.name}.part")
    part.unlink(missing_ok=True)
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as writer:
            size = _copied(start, writer, archive.stat().st_size)
        if size:
            part.replace(target)
        return size
    finally:
        part.unlink(missing_ok=True)


def _copied(start: Start, writer: IO[bytes], packed_bytes: int) -> int:
    stream = _guarded(start)
    size = 0
    with stream as reader:
        while chunk := _guarded(lambda: reader.read(CHUNK_BYTES)):
            size += len(chunk)
            if size > SIZE_LIMIT_BYTES or size > max(RATIO_FREE_BYTES, packed_bytes * RATIO_LIMIT):
                raise SourceInvalid(
                    f"The source's archive becomes too large: over {size >> 20:,} MB "
                    f"from {packed_bytes >> 10:,} KB.",
                    hint="If it is no mistake, unpack it and let dataset.yml name the file.",
                )
            writer.write(chunk)
    return size


def _guarded(read: Callable[[], T]) -> T:
    """What `read` gives. Raises SourceInvalid when the archive is damaged."""
    try:
        return read()
    except DAMAGES:
        pass  # its text may quote names
    raise SourceInvalid(
        "The source is a damaged archive, or none, or packed in a way that is not known.",
        hint="Export it anew; a download or a copy may have ended half-way.",
    )
