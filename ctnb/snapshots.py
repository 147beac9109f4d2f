"""Snapshots: the bytes of a source, read once, kept with their digest and never changed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath

from ctnb.errors import SourceInvalid

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Snapshot:
    """A copy of a source in the private work folder."""

    path: Path
    """The copy, read-only."""
    name: str
    """The source's file name, without its folder."""
    bytes: int
    """Its size."""
    digest: str
    """SHA-256 of its bytes, plain: it stays private until keyed."""
    told: bool
    """Whether somebody named this source in place of the one in dataset.yml."""


def locate(path: str, folder: Path, allowed: Iterable[Path], *, told: str | None = None) -> Path:
    """
    The file that a contract's `path`, relative to `folder`, means; or `told`, which a person named instead.

    A contract's source must lie below one of `allowed`, links and `..` resolved. Raises SourceInvalid.
    """
    wanted = Path(told).expanduser() if told else folder / path
    found = wanted.resolve()
    if not told and not any(found.is_relative_to(root.resolve()) for root in allowed):
        raise SourceInvalid(
            "The source in dataset.yml lies outside the folders that this project may read.",
            hint="Add its folder to roots: in ctnb.yml, or name it for one run with --source.",
        )
    if not found.is_file():
        raise SourceInvalid(
            f"The source {wanted.name} is not there.",
            hint=f"Expected at {wanted}. Correct source: path: in dataset.yml, or use --source.",
        )
    return found


def take(source: Path, folder: Path, *, told: bool = False) -> Snapshot:
    """
    Copy the file `source` into `folder` once and measure it.

    Raises SourceInvalid when it is empty, cannot be read, or changes while it is copied.
    """
    target = folder / f"snapshot{_suffix(source.name)}"
    if target.exists():
        target.chmod(0o600)  # Windows does not delete what is read-only
        target.unlink()
    try:
        before = source.stat()
        digest, size = _copy(source, target.with_suffix(".part"))
        after = source.stat()
    except PermissionError:
        raise SourceInvalid(
            f"The source {source.name} may not be read.", hint="Ask for read access."
        ) from None
    part = target.with_suffix(".part")
    if (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size):
        part.unlink()
        raise SourceInvalid(
            f"The source {source.name} changed while it was read.", hint="Try again when it is complete."
        )
    if size == 0:
        part.unlink()
        raise SourceInvalid(f"The source {source.name} is empty.", hint="Check the export that wrote it.")
    part.replace(target)
    target.chmod(0o400)
    return Snapshot(target, source.name, size, digest, told)


def _suffix(name: str) -> str:
    """The ending that tells what kind of file it is: of a .csv.gz both parts."""
    kinds = PurePath(name.lower()).suffixes[-2:]
    return "".join(kinds if kinds[-1:] == [".gz"] else kinds[-1:])


def _copy(source: Path, target: Path) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    target.unlink(missing_ok=True)
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with source.open("rb") as reader, os.fdopen(handle, "wb") as writer:
        while chunk := reader.read(CHUNK_BYTES):
            digest.update(chunk)
            size += writer.write(chunk)
    return f"sha256:{digest.hexdigest()}", size
