"""
The patches that DataSync sends, read: the ssync format, compressed or not.

A patch is the name of a checksum (one byte of length, then its letters), then, summed by it, the block size and a list
of operations, then the sum. An operation is one byte: 1 and a length and that many bytes of the file; 0 and the number
of a block of an earlier file; 255, the end. Integers are varints of 7 bits a byte, the lowest first. This portal never
gives out a signature of an earlier file, so a patch here is the whole file, in pieces.

Source of the format: github.com/socrata-platform/ssync, PatchApplier and InputStreamReadHelper.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import lzma
import zlib

DATA, BLOCK, END = 1, 0, 255
BLOCK_LIMIT_BYTES = 10 * 2**20
FILE_LIMIT_BYTES = 2**30
"""What a file may be when it is unpacked; a patch that holds more is refused."""
CHECKSUMS = ("MD5", "SHA1", "SHA-1", "SHA256", "SHA-256")


class BrokenPatchError(ValueError):
    """Bytes that are no such patch; says why, never quoting them."""


def read_upload(content: bytes, name: str) -> tuple[bytes, str]:
    """
    The file that an upload called `name` holds, and the file's own name: `x.csv` of `x.csv.sdiff.xz`.

    Raises BrokenPatchError for bytes that are not what the name says, and for a file over FILE_LIMIT_BYTES.
    """
    inner, content = name, content
    for suffix, opener in ((".xz", lzma.open), (".gz", gzip.open)):
        if inner.endswith(suffix):
            inner = inner.removesuffix(suffix)
            content = _unpacked(opener(io.BytesIO(content)))
    if inner.endswith(".sdiff"):
        return apply_patch(content), inner.removesuffix(".sdiff")
    return content, inner


def apply_patch(patch: bytes) -> bytes:
    """The file that a patch against nothing makes. Raises BrokenPatchError."""
    reader = _Reader(patch)
    name = reader.take(reader.byte()).decode("ascii", "replace")
    if name.upper() not in CHECKSUMS:
        raise BrokenPatchError("The checksum of the patch is one that is not known")
    start, size = reader.at, reader.integer()
    if not 0 < size <= BLOCK_LIMIT_BYTES:
        raise BrokenPatchError("The block size of the patch is out of bounds")
    pieces: list[bytes] = []
    while (operation := reader.byte()) != END:
        if operation == BLOCK:
            raise BrokenPatchError("The patch is against an earlier file, and there is none")
        if operation != DATA:
            raise BrokenPatchError("The patch has an operation that is not known")
        length = reader.integer()
        if not 0 < length <= size:
            raise BrokenPatchError("A piece of the patch is longer than its block size")
        pieces.append(reader.take(length))
    digest = hashlib.new(name.replace("-", ""), patch[start : reader.at], usedforsecurity=False).digest()
    if reader.take(len(digest)) != digest:
        raise BrokenPatchError("The checksum of the patch does not match")
    return b"".join(pieces)


class _Reader:
    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0

    def take(self, length: int) -> bytes:
        taken = self.content[self.at : self.at + length]
        if len(taken) != length:
            raise BrokenPatchError("The patch ends too early")
        self.at += length
        return taken

    def byte(self) -> int:
        return self.take(1)[0]

    def integer(self) -> int:
        value = 0
        for shift in range(0, 35, 7):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise BrokenPatchError("A number of the patch is too long")


def _unpacked(stream: lzma.LZMAFile | gzip.GzipFile) -> bytes:
    unpacked: bytes | None = None
    with contextlib.suppress(
        OSError, EOFError, lzma.LZMAError, zlib.error
    ):  # refused below, without the cause
        unpacked = stream.read(FILE_LIMIT_BYTES + 1)
    if unpacked is None:
        raise BrokenPatchError("The file is not compressed the way its name says")
    if len(unpacked) > FILE_LIMIT_BYTES:
        raise BrokenPatchError("The file is larger than this portal takes")
    return unpacked
