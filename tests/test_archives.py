"""Members of archives: the one that is meant is read, and no archive writes where it likes or fills the disk."""

from __future__ import annotations

import gzip
import io
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
from error_texts import assert_text, whole_story
from test_reads import ALL_REJECTED, CANARY, contract, reading, rows, text

from ctnb.datasets import Contract
from ctnb.errors import SourceInvalid
from ctnb.sources import archives

CSV = f"a,b\nx,{CANARY}\n".encode()
ROWS = [("x", CANARY)]


def under(name: str, **more: Any) -> Contract:
    """A contract over the file `name`."""
    return contract(*text("a", "b"), source={"path": name, **more}, **ALL_REJECTED)


def zipped(*members: tuple[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive of `members`."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, body in members:
            archive.writestr(name, body)
    return stream.getvalue()


GZIPPED = [
    ("a.csv.gz", CSV, {}),
    ("a.TSV.GZ", CSV.replace(b",", b"\t"), {}),
    ("a.gz", CSV, {"format": "csv"}),
    ("a.jsonl.gz", json.dumps({"a": "x", "b": CANARY}).encode(), {}),
    ("a.gz", f"a b              \nx {CANARY}".encode(), {"format": "fixed", "widths": [2, 15]}),
]


@pytest.mark.parametrize(("name", "body", "more"), GZIPPED)
def test_the_file_inside_a_gz_is_read(tmp_path: Path, name: str, body: bytes, more: dict[str, Any]) -> None:
    """Its kind is told by the suffix before .gz, or by format."""
    assert ROWS == rows(reading(tmp_path, gzip.compress(body), under(name, **more), name))


def test_a_snapshot_keeps_what_tells_its_kind(tmp_path: Path) -> None:
    """It can be read again by its own name, as `ctnb new` does; a name with dots is no kind."""
    first = reading(tmp_path, gzip.compress(CSV), under("Counts.2026.CSV.gz"), "Counts.2026.CSV.gz")
    assert "snapshot.csv.gz" == first.gathered.snapshots[0].path.name
    name = first.gathered.snapshots[0].path.name
    again = reading(tmp_path / "again", first.gathered.snapshots[0].path.read_bytes(), under(name), name)
    assert rows(first) == rows(again)


def test_a_gz_of_several_parts_is_read_whole(tmp_path: Path) -> None:
    """Logs are put one behind the other."""
    body = gzip.compress(CSV) + gzip.compress(b"y,z\n")
    assert [*ROWS, ("y", "z")] == rows(reading(tmp_path, body, under("a.csv.gz"), "a.csv.gz"))


@pytest.mark.parametrize(
    "compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_the_only_file_of_a_zip_is_read(tmp_path: Path, compression: int) -> None:
    """Folders and what macOS adds do not count."""
    body = zipped(
        ("data/", b""), ("data/Counts.CSV", CSV), ("__MACOSX/data/._Counts.CSV", b"?"), ("data/.DS_Store", b"?"),
        compression=compression,
    )  # fmt: skip
    found = reading(tmp_path, body, under("a.zip"), "a.zip")
    assert ROWS == rows(found)
    assert len(body) == found.gathered.snapshots[0].bytes


def test_a_member_of_a_zip_is_read_by_its_name(tmp_path: Path) -> None:
    """Its suffix tells its kind."""
    body = zipped(("2025/a.csv", b"a,b\n"), ("2026/a.jsonl", json.dumps({"a": "x", "b": CANARY}).encode()))
    assert ROWS == rows(reading(tmp_path, body, under("a.zip", member="2026/a.jsonl"), "a.zip"))


@pytest.mark.parametrize(
    "name", ["../../evil.csv", "/tmp/evil.csv", "..\\evil.csv", "a.csv/../../../evil.csv"]
)
def test_a_name_in_an_archive_is_no_path(tmp_path: Path, name: str) -> None:
    """What is unpacked lies beside the snapshot, whatever the archive calls it."""
    assert ROWS == rows(reading(tmp_path, zipped((name, CSV)), under("a.zip"), "a.zip"))
    assert {"a.zip", "snapshot.zip", "snapshot.zip.member.csv", "read.parquet"} == {
        path.name for path in tmp_path.rglob("*") if path.is_file()
    }
    assert 0o600 == (tmp_path / "work" / "snapshot.zip.member.csv").stat().st_mode & 0o777


def encrypted() -> bytes:
    """A zip archive that says that its member is encrypted, in both places."""
    body = bytearray(zipped((f"{CANARY}.csv", CSV)))
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        struct.pack_into("<H", body, body.index(mark) + place, 1)
    return bytes(body)


TWO = zipped((f"{CANARY}.csv", CSV), ("b.csv", CSV))
DAMAGED = "damaged archive"
BROKEN: list[tuple[str, bytes, dict[str, Any], str]] = [
    ("a.csv.gz", CSV, {}, DAMAGED),
    ("a.csv.gz", gzip.compress(CSV)[:-4], {}, DAMAGED),
    ("a.csv.gz", gzip.compress(CSV)[:-8] + bytes(8), {}, DAMAGED),
    ("a.csv.gz", gzip.compress(CSV) + b"more", {}, DAMAGED),
    ("a.csv.gz", gzip.compress(b""), {}, "inside the source's archive is empty"),
    ("a.csv.gz", gzip.compress(CSV), {"member": "a.csv"}, "no zip archive"),
    ("a.gz", gzip.compress(CSV), {}, "not known by its suffix ''"),
    ("a.csv.gz.gz", gzip.compress(gzip.compress(CSV)), {}, "not known by its suffix '.gz'"),
    ("a.csv", CSV, {"member": "a.csv"}, "no zip archive"),
    ("a.zip", CSV, {}, DAMAGED),
    ("a.zip", TWO[:-10], {}, DAMAGED),
    ("a.zip", zipped(("a.csv", CSV), compression=zipfile.ZIP_STORED).replace(b"x,Xan", b"y,Xan", 1), {}, DAMAGED),
    ("a.zip", zipped(), {}, "holds no file"),
    ("a.zip", zipped(("a.csv", b"")), {}, "is empty"),
    ("a.zip", TWO, {}, "holds 2 files"),
    ("a.zip", TWO, {"member": "c.csv"}, "stands 0 times among the 2 files"),
    ("a.zip", zipped((CANARY, CSV)), {}, "not known by its suffix ''"),
    ("a.zip", encrypted(), {}, "is encrypted"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "body", "more", "told"), BROKEN, ids=[f"{b[0]} {b[3]}" for b in BROKEN])
def test_an_archive_that_cannot_be_read_is_refused(
    tmp_path: Path, name: str, body: bytes, more: dict[str, Any], told: str
) -> None:
    """Names of members are not told, and nothing half unpacked stays behind."""
    with pytest.raises(SourceInvalid, match=told) as caught:
        reading(tmp_path, body, under(name, **more), name)
    assert "Xanthippe" not in whole_story(caught.value)
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_stands_twice_is_refused(tmp_path: Path) -> None:
    """The standard library would take the last one."""
    with pytest.raises(SourceInvalid, match="stands 2 times"):
        reading(
            tmp_path, zipped(("a.csv", CSV), ("a.csv", b"a,b\n")), under("a.zip", member="a.csv"), "a.zip"
        )


def test_the_message_for_several_files(tmp_path: Path) -> None:
    """It counts them and says how to name one."""
    with pytest.raises(SourceInvalid) as caught:
        reading(tmp_path, TWO, under("a.zip"), "a.zip")
    assert_text("source-zip-several", caught.value)


@pytest.mark.parametrize("name", ["a.csv.gz", "a.zip"])
def test_a_bomb_is_stopped_while_it_is_unpacked(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what comes out, not by what the archive says; and what was written is gone."""
    monkeypatch.setattr(archives, "RATIO_FREE_BYTES", 1 << 20)
    bomb = CSV + b"x,y\n" * (1 << 20)
    body = zipped(("a.csv", bomb)) if name == "a.zip" else gzip.compress(bomb)
    with pytest.raises(SourceInvalid, match="becomes too large"):
        reading(tmp_path, body, under(name), name)
    assert {name, f"snapshot{name[1:]}"} == {path.name for path in tmp_path.rglob("*") if path.is_file()}


def test_there_is_a_largest_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However well it is packed."""
    monkeypatch.setattr(archives, "SIZE_LIMIT_BYTES", len(CSV) - 1)
    with pytest.raises(SourceInvalid, match="becomes too large"):
        reading(tmp_path, gzip.compress(CSV), under("a.csv.gz"), "a.csv.gz")


def test_a_member_without_a_name_is_refused(tmp_path: Path) -> None:
    """Damage to the directory of a zip can leave one; a zip that holds nothing else holds no file."""
    body = zipped(("a.csv", b"a\n1\n")).replace(b"a.csv", b"\0.csv")
    with pytest.raises(SourceInvalid):
        reading(tmp_path, body, under("a.zip"), "a.zip")
