"""Snapshots: the bytes of a source, read once, kept with their digest and never changed."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Self

from ctnb.errors import SourceInvalid

CHUNK_BYTES = 1 << 20
AHEAD = 8
"""How many pieces may be written and not hashed yet."""


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


class Writer:
    """
    A snapshot in the making: bytes go to a temporary name until `done` gives it its own.

    A fetch that breaks off may go on writing to the same Writer; without `done` nothing is left.
    """

    def __init__(self, folder: Path, name: str, prefix: str = "snapshot") -> None:
        """The snapshot `prefix` plus the suffix of `name`, in the private `folder`; an older one goes."""
        self._name = name
        self._target = folder / f"{prefix}{_suffix(name)}"
        self._part = folder / f"{prefix}.part"
        if self._target.exists():
            self._target.chmod(0o600)  # Windows does not delete what is read-only
            self._target.unlink()
        self._digest, self.size = _Hash(), 0
        self._part.unlink(missing_ok=True)
        handle = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._stream = os.fdopen(handle, "wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._digest.close()
        self._stream.close()
        self._part.unlink(missing_ok=True)

    def write(self, chunk: bytes) -> None:
        """Add `chunk`."""
        self._digest.update(chunk)
        self.size += self._stream.write(chunk)

    def restart(self) -> None:
        """Forget what was written: the file is being sent from its beginning again."""
        self._stream.seek(0)
        self._stream.truncate()
        self._digest.close()
        self._digest, self.size = _Hash(), 0

    def done(self, *, told: bool = False) -> Snapshot:
        """The snapshot, read-only from now on. Raises SourceInvalid when nothing was written."""
        self._stream.close()  # not synced: after a loss of power the run is begun again
        if self.size == 0:
            raise SourceInvalid(f"The source {self._name} is empty.", hint="Check the export that wrote it.")
        self._part.replace(self._target)
        self._target.chmod(0o400)
        return Snapshot(self._target, self._name, self.size, f"sha256:{self._digest.value()}", told)


class _Hash:
    """SHA-256 of what is written; large pieces are hashed beside the writing, a few of them at once in memory."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._pool: ThreadPoolExecutor | None = None
        self._waiting: deque[Future[None]] = deque()

    def update(self, chunk: bytes) -> None:
        """Take `chunk` in, in order."""
        if self._pool is None and len(chunk) < CHUNK_BYTES:
            self._digest.update(chunk)
            return
        self._pool = self._pool or ThreadPoolExecutor(1, "digest")
        self._waiting.append(self._pool.submit(self._digest.update, chunk))
        while len(self._waiting) > AHEAD:
            self._waiting.popleft().result()

    def value(self) -> str:
        """64 hex digits of all that was taken in."""
        self.close()
        return self._digest.hexdigest()

    def close(self) -> None:
        """Wait for what is under way."""
        while self._waiting:
            self._waiting.popleft().result()
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None


def take(source: Path, folder: Path, *, told: bool = False, prefix: str = "snapshot") -> Snapshot:
    """
    Copy the file `source` into `folder` once and measure it; its name there begins with `prefix`.

    Raises SourceInvalid when it is empty, cannot be read, or changes while it is copied.
    """
    try:
        before = source.stat()
        with source.open("rb") as reader, Writer(folder, source.name, prefix) as writer:
            while chunk := reader.read(CHUNK_BYTES):
                writer.write(chunk)
            after = source.stat()
            if (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size):
                return writer.done(told=told)
    except PermissionError:
        raise SourceInvalid(
            f"The source {source.name} may not be read.", hint="Ask for read access."
        ) from None
    raise SourceInvalid(
        f"The source {source.name} changed while it was read.", hint="Try again when it is complete."
    )


def _suffix(name: str) -> str:
    """The ending that tells what kind of file it is: of a .csv.gz both parts."""
    kinds = PurePath(name.lower()).suffixes[-2:]
    return "".join(kinds if kinds[-1:] == [".gz"] else kinds[-1:])
