"""
How the text of a source is encoded: UTF-8 is taken as it is, UTF-16 and cp1252 are written anew as UTF-8.

The order is fixed: a byte order mark, strict UTF-8, UTF-16, then cp1252, which fits nearly every file and is
therefore last. A detector never decides; where it disagrees with cp1252 there is a note.
"""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ctnb.errors import SourceInvalid

CHUNK_BYTES = 1 << 18
_START_BYTES = 1 << 16
_SAMPLE_BYTES = 1 << 16
_PAIRS_SHARE = 0.9
"""Of UTF-16 without a mark at least this share of the units has its zero byte on one side, and none on the other."""

_CODECS = {"utf-16-le": "UTF-16", "utf-16-be": "UTF-16", "cp1252": "cp1252", "utf-8": "UTF-8"}
_UTF8_MARKS = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe1-\xef][\x80-\xbf]{2}|\xe0[\xa0-\xbf][\x80-\xbf]|[\xf0-\xf4][\x80-\xbf]{3}"
)
_NO_TEXT = "The source holds zero bytes: it is not text."


@dataclass(frozen=True)
class Text:
    """A source's text in UTF-8."""

    path: Path
    """The file itself, or a private copy beside it."""
    encoding: str
    """utf-8, utf-16 or cp1252: how the source was written."""
    notes: tuple[str, ...] = ()
    """What a person should know of the choice, without a word of the text."""


def as_utf8(path: Path, wanted: str, watch: Callable[[bytes], None] | None = None) -> Text:
    """
    The text of `path` in UTF-8; what is not is copied beside it, a piece at a time.

    `wanted` is auto, utf-8, utf-16 or cp1252. `watch` is called with every piece of a file that may be UTF-8, and may
    raise. Raises SourceInvalid when the file is not of it, or no text.
    """
    codec = _codec(path, wanted, watch)
    if codec == "utf-8":
        return Text(path, "utf-8")
    target, sample = _transcoded(path, codec)
    if codec != "cp1252":
        return Text(target, "utf-16")
    return Text(target, "cp1252", _doubts(sample) if wanted == "auto" else ())


def start_of(path: Path, size: int = _START_BYTES) -> str:
    """The text of the first `size` bytes of `path`, as far as it can be told from them; for guesses only."""
    with path.open("rb") as stream:
        start = stream.read(size)
    codec = _marked(start) or _unmarked_utf16(start[: len(start) // 2 * 2]) or "utf-8"
    return start.decode(codec, errors="replace").removeprefix("\ufeff")


def guess(path: Path, *, skip_bytes: int = 0) -> str:
    """utf-8 where all of `path` behind its first `skip_bytes` is, else cp1252; zero bytes do not count."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as stream:
        stream.seek(skip_bytes)
        while chunk := stream.read(CHUNK_BYTES):
            if not _decodes(decoder, chunk):
                return "cp1252"
    return "utf-8" if _decodes(decoder, b"", final=True) else "cp1252"


def _codec(path: Path, wanted: str, watch: Callable[[bytes], None] | None) -> str:
    """The name of Python's codec for `path`."""
    with path.open("rb") as stream:
        start = stream.read(_START_BYTES)
    if start.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        raise SourceInvalid("The source is UTF-32 text.", hint="Export it as UTF-8.")
    marked = _marked(start)
    utf16 = marked if marked in ("utf-16-le", "utf-16-be") else None
    if not marked and path.stat().st_size % 2 == 0:
        utf16 = _unmarked_utf16(start[: len(start) // 2 * 2])
    if utf16 and wanted in ("auto", "utf-16"):
        return utf16
    if utf16 or wanted == "utf-16":
        raise _not_as_told(wanted, f"it is {'UTF-16' if utf16 else 'not UTF-16'}")
    if wanted == "cp1252" or _is_utf8(path, watch):
        return "cp1252" if wanted == "cp1252" else "utf-8"
    if wanted == "utf-8":
        raise _not_as_told(wanted, "it is not UTF-8")
    if marked:
        raise SourceInvalid(
            "The source begins with the mark of UTF-8 and is not UTF-8: two files may have been put together.",
            hint="Export it anew as UTF-8.",
        )
    return "cp1252"


def _not_as_told(wanted: str, seen: str) -> SourceInvalid:
    return SourceInvalid(
        f"The source is not {_CODECS.get(wanted, wanted.upper())}, as dataset.yml says: {seen}.",
        hint="Set source: encoding: auto.",
    )


def _marked(start: bytes) -> str | None:
    """The codec that a byte order mark names."""
    marks = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
    return next((codec for mark, codec in marks.items() if start.startswith(mark)), None)


def _unmarked_utf16(start: bytes) -> str | None:
    """UTF-16 without a mark, where it is certain: zero bytes in every other place, and in no other."""
    units = len(start) // 2
    even, odd = start[::2].count(0), start[1::2].count(0)
    if not units or min(even, odd) or max(even, odd) < _PAIRS_SHARE * units:
        return None
    return "utf-16-be" if even else "utf-16-le"


def _is_utf8(path: Path, watch: Callable[[bytes], None] | None = None) -> bool:
    """Whether all of the file is UTF-8. Raises SourceInvalid when it holds zero bytes."""
    decoder, fits = codecs.getincrementaldecoder("utf-8")(), True
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            if b"\0" in chunk:
                raise SourceInvalid(_NO_TEXT, hint="Export it as CSV in UTF-8.")
            if watch:
                watch(chunk)
            plain = chunk.isascii() and not decoder.getstate()[0]  # eight times as fast as decoding it
            fits = fits and (plain or _decodes(decoder, chunk))
    return fits and _decodes(decoder, b"", final=True)


def _decodes(decoder: codecs.IncrementalDecoder, chunk: bytes, *, final: bool = False) -> bool:
    try:
        decoder.decode(chunk, final)
    except UnicodeDecodeError:
        return False
    return True


def _transcoded(path: Path, codec: str) -> tuple[Path, bytes]:
    """A private copy of `path` in UTF-8, and some of its lines with letters outside ASCII."""
    target = path.with_suffix(".utf8" + path.suffix)
    part = target.with_name(f"{target.name}.part")
    part.unlink(missing_ok=True)
    decoder, done, sample = codecs.getincrementaldecoder(codec)(), 0, b""
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with path.open("rb") as reader, os.fdopen(handle, "w", encoding="utf-8", newline="") as writer:
            while chunk := reader.read(CHUNK_BYTES):
                text = decoder.decode(chunk)
                if "\0" in text:
                    raise SourceInvalid(_NO_TEXT, hint="Export it as CSV in UTF-8.")
                writer.write(text)
                done += len(chunk)
                if codec == "cp1252" and len(sample) < _SAMPLE_BYTES:
                    sample += _strange(chunk)[: _SAMPLE_BYTES - len(sample)]
            writer.write(decoder.decode(b"", True))
        part.replace(target)
        return target, sample
    except UnicodeError as error:
        done += getattr(error, "start", 0)
    finally:
        part.unlink(missing_ok=True)
    alone = "neither UTF-8 nor cp1252" if codec == "cp1252" else "damaged UTF-16"
    raise SourceInvalid(
        f"The source is {alone} (near byte {done:,}).",
        hint="Export it as UTF-8; a download or a copy may also have ended half-way.",
    )


def _strange(chunk: bytes) -> bytes:
    """The lines of `chunk` with letters outside ASCII."""
    return b"\n".join(line for line in chunk.split(b"\n") if not line.isascii()) + b"\n"


def _doubts(sample: bytes) -> tuple[str, ...]:
    """What speaks against cp1252 for a text whose lines with letters outside ASCII `sample` holds."""
    strange = sum(byte > 127 for byte in sample)
    as_utf8 = sum(len(found) for found in _UTF8_MARKS.findall(sample))
    if 2 * as_utf8 > strange:
        return (
            "The text was read as cp1252 because it is not UTF-8 throughout; most of its letters outside ASCII are "
            "UTF-8, so names may be garbled. Export it anew as UTF-8.",
        )
    other = _detected(sample)
    if not other:
        return ()
    return (
        f"The text was read as cp1252 because it is not UTF-8; it looks more like {other}, so names may be garbled. "
        "Export it anew as UTF-8.",
    )


def _detected(sample: bytes) -> str:
    """The encoding that charset-normalizer finds likelier than cp1252; empty when there is none."""
    import charset_normalizer

    matches = list(charset_normalizer.from_bytes(sample))
    if not matches:
        return ""
    best = matches[0]
    ours = [match for match in matches if "cp1252" in (match.encoding, *match.could_be_from_charset)]
    if any(match.chaos <= best.chaos and match.coherence >= best.coherence for match in ours):
        return ""
    return str(best.encoding)
