"""How the text of a source is encoded: UTF-8 is taken as it is, cp1252 is written anew as UTF-8."""

from __future__ import annotations

import codecs
from pathlib import Path

from ctnb.errors import SourceInvalid

CHUNK_BYTES = 1 << 20


def as_utf8(path: Path, wanted: str) -> tuple[Path, str]:
    """
    A file with the text of `path` in UTF-8, `path` itself or a copy beside it, and its encoding as found.

    `wanted` auto means UTF-8 with or without BOM and, where it is not, cp1252. Raises SourceInvalid.
    """
    found = _encoding(path, wanted)
    return (path if found == "utf-8" else _transcoded(path, found)), found


def _encoding(path: Path, wanted: str) -> str:
    with path.open("rb") as stream:
        start = stream.read(4)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise SourceInvalid("The source is UTF-16 text.", hint="Export it as UTF-8.")
    fits = _is_utf8(path)
    if wanted == "utf-8" and not fits:
        raise SourceInvalid(
            "The source is not UTF-8, as dataset.yml says.", hint="Set source: encoding: auto."
        )
    return "utf-8" if fits and wanted != "cp1252" else "cp1252"


def _is_utf8(path: Path) -> bool:
    """Whether all of the file is UTF-8. Raises SourceInvalid when it holds zero bytes."""
    decoder, fits = codecs.getincrementaldecoder("utf-8")(), True
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            if b"\0" in chunk:
                raise SourceInvalid(
                    "The source holds zero bytes: it is not text.", hint="Export it as CSV in UTF-8."
                )
            fits = fits and _decodes(decoder, chunk)
    return fits and _decodes(decoder, b"", final=True)


def _decodes(decoder: codecs.IncrementalDecoder, chunk: bytes, *, final: bool = False) -> bool:
    try:
        decoder.decode(chunk, final)
    except UnicodeDecodeError:
        return False
    return True


def _transcoded(path: Path, encoding: str) -> Path:
    target = path.with_suffix(".utf8" + path.suffix)
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        with path.open("rb") as reader, target.open("w", encoding="utf-8", newline="") as writer:
            while chunk := reader.read(CHUNK_BYTES):
                writer.write(decoder.decode(chunk))
        return target
    except UnicodeDecodeError as error:
        place = error.start
    raise SourceInvalid(
        f"The source is neither UTF-8 nor cp1252 (near byte {place} of a block of {CHUNK_BYTES}).",
        hint="Export it as UTF-8.",
    )
