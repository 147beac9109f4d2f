"""
Whether a SAS transport file is whole and holds one dataset (SAS technical note TS-140, record layout).

It consists of records of 80 bytes, does not say how many rows it has, and may hold several datasets; the library
that reads it takes the first and as many rows as there are, in silence.
"""

from __future__ import annotations

from pathlib import Path

from ctnb.errors import SourceInvalid

RECORD = 80

_MEMBERS = (b"HEADER RECORD*******MEMBER  HEADER RECORD", b"HEADER RECORD*******MEMBV8  HEADER RECORD")
_ROWS = (b"HEADER RECORD*******OBS     HEADER RECORD", b"HEADER RECORD*******OBSV8   HEADER RECORD")


def check(path: Path, row_bytes: int) -> None:
    """
    Raise SourceInvalid when `path` holds several datasets, or ends inside a record or a row of `row_bytes`.

    A file that is cut between two rows and two records at once looks whole.
    """
    members, start = _headers(path)
    if members > 1:
        raise SourceInvalid(
            f"The source is a transport file with {members:,} datasets.", hint="Export one dataset a file."
        )
    size = path.stat().st_size
    rest = (size - start) % row_bytes if start and row_bytes else 0
    with path.open("rb") as stream:
        stream.seek(size - rest)
        if size % RECORD or stream.read(rest).strip(b" "):
            raise SourceInvalid(
                "The source is a transport file that ends inside a row.",
                hint="Export it anew; a download or a copy may have ended half-way.",
            )


def _headers(path: Path) -> tuple[int, int]:
    """How many datasets there are, and where the first one's rows begin; 0 when nothing says so."""
    members = start = done = 0
    with path.open("rb") as stream:
        while block := stream.read(RECORD << 14):
            for at in range(0, len(block), RECORD):
                if block.startswith(_MEMBERS, at):
                    members += 1
                elif not start and block.startswith(_ROWS, at):
                    start = done + at + RECORD
            done += len(block)
    return members, start
