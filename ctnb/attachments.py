"""
Attachments: files that people download beside the rows, as dataset.yml names them.

No rule can look into a file, so what a person looked at has to be what is sent: at review the bytes are copied into
the run's private folder, named by their keyed digest, the review and so the decision covers these digests, and only
the copies are ever sent.
"""

from __future__ import annotations

import hashlib
import mimetypes
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ctnb import digests
from ctnb.contracts.publication import Attached
from ctnb.datasets import Dataset
from ctnb.errors import ContractInvalid, RecordBroken
from ctnb.settings import Project

LARGEST_BYTES = 50 << 20
"""A file beside the rows that is larger is data of its own."""
FOLDER = "attachments"
"""Where a run keeps its copies, in its private folder."""
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class Attachment:
    """A file beside the rows, as a review or a record tells it: never a word of what is in it."""

    name: str
    size: int
    """Bytes."""
    digest: str
    """SHA-256 of its bytes: keyed in a review, plain once it is released."""


@dataclass(frozen=True)
class Copy:
    """The private copy of a file beside the rows."""

    name: str
    size: int
    """Bytes."""
    digest: str
    """SHA-256 of its bytes, plain."""
    path: Path

    @property
    def kind(self) -> str:
        """The MIME type that goes with its name."""
        return mimetypes.guess_type(self.name)[0] or "application/octet-stream"

    def read(self) -> bytes:
        """Its bytes, which are hashed again. Raises RecordBroken when they are others."""
        try:
            content = self.path.read_bytes()
        except OSError:
            content = b""
        if digests.of_bytes(content) != self.digest:
            raise _gone(self.name)
        return content


def gather(project: Project, dataset: Dataset, work: Path) -> tuple[Copy, ...]:
    """
    Copy the files that `dataset` attaches into the private folder `work`, each below its keyed digest.

    Raises ContractInvalid for a file that is not there, is a link, empty or larger than LARGEST_BYTES, lies outside
    the project or where ctnb and the system keep what is private, or changes while it is copied.
    """
    wanted = dataset.contract.portal.attachments
    if not wanted:
        return ()
    folder = work / FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return tuple(_copied(_located(project, dataset, one), one.shown, folder, project.key) for one in wanted)


def digest_of(project: Project, dataset: Dataset) -> str:
    """
    One digest of the files that `dataset` attaches as they are now; empty when there are none.

    Raises ContractInvalid as `gather` does.
    """
    found = []
    for one in dataset.contract.portal.attachments:
        path = _located(project, dataset, one)
        with _opened(path, one.shown) as stream:
            found.append([one.shown, digests.PLAIN + _hashed(stream)])
    return digests.of_bytes(digests.canonical_json(found)) if found else ""


def check(project: Project, dataset: Dataset, one: Attached) -> int:
    """The size in bytes of a file that is to be attached. Raises ContractInvalid as `gather` does."""
    with _opened(_located(project, dataset, one), one.shown) as stream:
        return os.fstat(stream.fileno()).st_size


def said(copies: Iterable[Copy], key: bytes) -> tuple[Attachment, ...]:
    """What a review says of `copies`: their digests are keyed with the project's `key`."""
    return tuple(Attachment(one.name, one.size, digests.keyed(one.digest, key)) for one in copies)


def of_review(reviewed: Sequence[Attachment], work: Path, key: bytes) -> tuple[Copy, ...]:
    """The copies in `work` of the files that were `reviewed`. Raises RecordBroken when one is gone, or another."""
    found = []
    for one in reviewed:
        path = work / FOLDER / _place(one.digest, one.name)
        plain = digests.of_file(path) if path.is_file() else ""
        if not plain or digests.keyed(plain, key) != one.digest:
            raise _gone(one.name)
        found.append(Copy(one.name, one.size, plain, path))
    return tuple(found)


def _located(project: Project, dataset: Dataset, one: Attached) -> Path:
    """The file that `one` means. Raises ContractInvalid."""
    path = Path(os.path.normpath(dataset.folder / one.path))
    base = next((root for root in (dataset.folder, project.root) if path.is_relative_to(root)), None)
    if base is None:
        raise ContractInvalid(
            f"The attachment {one.shown} lies outside the project.", hint="Copy it into the dataset's folder."
        )
    parts = path.relative_to(base).parts
    if any(part.startswith(".") for part in parts) or path.is_relative_to(project.runs):
        raise ContractInvalid(
            f"The attachment {one.shown} lies where private things are kept: a hidden folder, or runs/.",
            hint="Copy it into the dataset's folder.",
        )
    sources = [part.path for part in dataset.contract.source.parts if part.path]
    if any(Path(os.path.normpath(dataset.folder / source)) == path for source in sources):
        raise ContractInvalid(
            f"The attachment {one.shown} is the dataset's own source, as it was before any transform.",
            hint="Take it out of portal: attachments: in dataset.yml; publish rows as rows.",
        )
    if any((base / Path(*parts[:deep])).is_symlink() for deep in range(1, len(parts) + 1)):
        raise ContractInvalid(
            f"The attachment {one.shown} is a link, or lies behind one.",
            hint="Put the file itself there: what a link leads to can change unseen.",
        )
    return path


@contextmanager
def _opened(path: Path, name: str) -> Iterator[BinaryIO]:
    """The file at `path`, opened without following a link. Raises ContractInvalid when it cannot be attached."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        descriptor = -1
    if descriptor < 0:
        raise ContractInvalid(
            f"The attachment {name} is not there, or may not be read.",
            hint="Correct portal: attachments: in dataset.yml; paths are relative to the dataset's folder.",
        )
    facts = os.fstat(descriptor)
    trouble = None
    if not stat.S_ISREG(facts.st_mode):
        trouble = ContractInvalid(
            f"The attachment {name} is not a file.", hint="Name one file for each entry."
        )
    elif not 0 < facts.st_size <= LARGEST_BYTES:
        trouble = ContractInvalid(
            f"The attachment {name} has {facts.st_size:,} bytes; 1 to {LARGEST_BYTES:,} were expected.",
            hint="Publish larger files as datasets of their own, or in parts.",
        )
    if trouble:
        os.close(descriptor)
        raise trouble
    with os.fdopen(descriptor, "rb") as stream:
        yield stream


def _copied(path: Path, name: str, folder: Path, key: bytes) -> Copy:
    """Copy the file at `path` into `folder` while it is hashed. Raises ContractInvalid."""
    part = folder / ".part"
    hasher, size = hashlib.sha256(), 0
    part.unlink(missing_ok=True)
    with _opened(path, name) as stream, part.open("xb") as copy:
        part.chmod(0o600)
        before = os.fstat(stream.fileno())
        while piece := stream.read(_PIECE_BYTES):
            hasher.update(piece)
            copy.write(piece)
            size += len(piece)
        copy.flush()
        os.fsync(copy.fileno())
        after = os.fstat(stream.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or size != after.st_size:
        part.unlink()
        raise ContractInvalid(
            f"The attachment {name} changed while it was copied.",
            hint="Let its writer finish, then run again.",
        )
    digest = digests.PLAIN + hasher.hexdigest()
    kept = folder / _place(digests.keyed(digest, key), name)
    kept.parent.mkdir(mode=0o700, exist_ok=True)
    part.replace(kept)
    return Copy(name, size, digest, kept)


def _hashed(stream: BinaryIO) -> str:
    hasher = hashlib.sha256()
    while piece := stream.read(_PIECE_BYTES):
        hasher.update(piece)
    return hasher.hexdigest()


def _place(keyed: str, name: str) -> Path:
    """Where a copy lies: its digest keeps apart what changed, its name lets a person open it."""
    return Path(keyed.partition(":")[2]) / name


def _gone(name: str) -> RecordBroken:
    return RecordBroken(
        f"The copy of the attachment {name} that was reviewed is gone, or is another.",
        hint="Run the dataset again: its files are then copied and reviewed anew.",
    )
