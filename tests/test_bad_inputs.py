"""Every kind of bad file: one clear message that names it and the cure, the exit code, and nothing half-written."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import openpyxl
import pytest
import reading_files
from error_texts import whole_story

from ctnb import snapshots
from ctnb.datasets import Contract, Dataset
from ctnb.errors import CtnbError, DataInvalid, TooManyRejects

CANARY = "Xanthippe Quill"
HEADER = "name,n\n"
GOOD = f"{HEADER}{CANARY},1\n"
MB = 1 << 20


def bomb(member: str) -> bytes:
    """A zip of 300 kB that unpacks to 300 MB of zeros."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive, archive.open(member, "w") as part:
        for _ in range(30):
            part.write(bytes(10 * MB))
    return stream.getvalue()


def workbook(*rows: tuple[object, ...]) -> bytes:
    """A workbook with these rows."""
    book, stream = openpyxl.Workbook(), io.BytesIO()
    for row in rows:
        book.active.append(row)
    book.save(stream)
    return stream.getvalue()


def encrypted() -> bytes:
    """The head of what Excel writes for a workbook with a password: an OLE file, not a zip."""
    return (
        bytes.fromhex("d0cf11e0a1b11ae1") + bytes(504) + "EncryptedPackage".encode("utf-16-le") + bytes(4096)
    )


CASES: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "an empty file": ("a.csv", lambda: b"", "empty"),
    "blank lines only": ("a.csv", lambda: b"\n\n\n", "header"),
    "a header only in the wrong words": ("a.csv", lambda: b"x,y\n", "header does not fit"),
    "NUL bytes": ("a.csv", lambda: GOOD.encode() + b"a\x00b,2\n", "zero bytes"),
    "a picture called CSV": ("a.csv", lambda: b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8, ""),
    "a workbook called CSV": ("a.csv", lambda: workbook(("name", "n"), (CANARY, 1)), ""),
    "text called workbook": ("a.xlsx", GOOD.encode, ""),
    "a workbook with a password": ("a.xlsx", encrypted, "password"),
    "text called Parquet": ("a.parquet", GOOD.encode, ""),
    "text called gz": ("a.csv.gz", GOOD.encode, ""),
    "half a gz": ("a.csv.gz", lambda: gzip.compress(GOOD.encode() * 5000)[:-20], ""),
    "text called zip": ("a.zip", GOOD.encode, ""),
    "JSON that ends half-way": ("a.json", lambda: f'[{{"name": "{CANARY}", "n": 1}}, {{"na'.encode(), ""),
    "a page called JSON": ("a.json", lambda: b"<!DOCTYPE html><html><body>Sign in</body></html>", ""),
    "a kind nobody knows": ("a.docx", GOOD.encode, "kind of file"),
    "a quotation mark never closed": ("a.csv", lambda: f'{HEADER}"{CANARY},1\n'.encode() + b"b,2\n" * 99, ""),
}


def refused(folder: Path, name: str, content: bytes | None, **source: object) -> CtnbError:
    """The error that reading a file gives; nothing half-written stays, and no cell is in its story."""
    home, work = folder / "notebooks" / "sample", folder / "work"
    home.mkdir(parents=True)
    work.mkdir()
    if content is not None:
        (home / name).write_bytes(content)
    columns = [{"name": "name", "type": "text"}, {"name": "n", "type": "integer"}]
    said = {"format": 1, "title": "A", "source": {"path": name, **source}, "columns": columns}
    with pytest.raises(CtnbError) as caught:
        reading_files.read(Dataset("sample", home, Contract.model_validate(said), ""), work)
    left = [path.name for path in work.rglob("*") if path.suffix == ".part" or path.name == "read.parquet"]
    assert [] == left
    assert CANARY not in whole_story(caught.value)
    return caught.value


@pytest.mark.parametrize("case", CASES)
def test_a_bad_file_is_refused_with_its_name_and_a_cure(case: str, tmp_path: Path) -> None:
    """Exit code 6: the data is wrong, and trying again does not help."""
    name, content, word = CASES[case]
    error = refused(tmp_path, name, content())
    assert (6, True) == (error.exit_code, isinstance(error, DataInvalid))
    assert word in error.what
    assert error.hint


def test_a_file_that_is_not_there_is_told_by_its_place(tmp_path: Path) -> None:
    """Where it was expected, so that somebody can put it there."""
    error = refused(tmp_path, "absent.csv", None)
    assert (6, True) == (error.exit_code, str(tmp_path) in error.hint)


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps permissions otherwise")
def test_a_file_that_may_not_be_read_is_told() -> None:
    """No traceback of the operating system's; a superuser, who may read everything, is somebody else meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        source = Path(folder) / "a.csv"
        source.write_text(GOOD)
        source.chmod(0o000)
        work = Path(folder) / "work"
        work.mkdir(mode=0o777)
        work.chmod(0o777)
        with somebody_else(), pytest.raises(DataInvalid, match=r"a\.csv may not be read") as caught:
            snapshots.take(source, work)
    assert "access" in caught.value.hint


@contextlib.contextmanager
def somebody_else() -> Iterator[None]:
    """An account without rights, where this one has all."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


@pytest.mark.slow
def test_a_line_of_100_mb_is_refused_in_bounded_memory(tmp_path: Path) -> None:
    """One cell is never larger than the limit, quoted or not."""
    error = refused(
        tmp_path, "a.csv", HEADER.encode() + CANARY.encode() * (100 * MB // len(CANARY)) + b",1\n"
    )
    assert 6 == error.exit_code
    assert "MB" in error.what


@pytest.mark.slow
def test_a_zip_that_unpacks_to_more_than_is_allowed_is_refused(tmp_path: Path) -> None:
    """Before the disk is full."""
    error = refused(tmp_path, "a.zip", bomb("a.csv"))
    assert 6 == error.exit_code


def test_ragged_rows_are_counted_by_rule(tmp_path: Path) -> None:
    """Not the file is refused but its rows, each with its reason."""
    error = refused(tmp_path, "a.csv", f"{HEADER}{CANARY},1,2,3\n{CANARY}\nb,2\n".encode())
    assert isinstance(error, TooManyRejects)
    assert "too many cells 1" in error.what
    assert "too few cells 1" in error.what
