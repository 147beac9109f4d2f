"""Moving a file that somebody else put down: never over another one, and never half."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from pathlib import Path

from ctnb.errors import SourceFailed
from ctnb.snapshots import CHUNK_BYTES


def move(source: Path, target: Path) -> Path:
    """
    Move the file `source` to `target`, or to a name with a number where that one is taken; returns where it is.

    On one device it is a rename; from one to another a copy that is read back and compared before `source`
    goes. Raises SourceFailed when the copy differs, OSError when the file system refuses; then `source` stays.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    kept = _reserve(target)
    try:
        _rename(source, kept)
    except BaseException:  # whatever ended it, the empty file that held the name goes
        kept.unlink(missing_ok=True)
        raise
    return kept


def _reserve(target: Path) -> Path:
    """An empty file under the first name that is free: nobody else can take it any more."""
    number = 1
    while True:
        name = target.name if number == 1 else f"{target.stem}-{number}{target.suffix}"
        try:
            os.close(os.open(target.with_name(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            number += 1
        else:
            return target.with_name(name)


def _rename(source: Path, kept: Path) -> None:
    try:
        source.replace(kept)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _carry(source, kept)


def _carry(source: Path, kept: Path) -> None:
    """Copy `source` to another device, compare, and only then take it away."""
    copy = kept.with_name(f"{kept.name}.part")
    try:
        shutil.copy2(source, copy)
        with copy.open("rb+") as stream:
            os.fsync(stream.fileno())
        if _digest(source) != _digest(copy):
            raise SourceFailed(f"The copy of {source.name} differs from it.", hint="It stays where it is.")
        copy.replace(kept)
    finally:
        copy.unlink(missing_ok=True)
    source.unlink()


def _digest(path: Path) -> str:
    made = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            made.update(chunk)
    return made.hexdigest()
