"""Encodings: a byte order mark, strict UTF-8, UTF-16, then cp1252; a detector only warns."""

from __future__ import annotations

import codecs
import re
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import reading_files

from ctnb.datasets import Contract, Dataset
from ctnb.errors import SourceInvalid
from ctnb.proposals import proposing
from ctnb.settings import Project
from ctnb.sources import texts
from ctnb.sources.formats import open_source
from ctnb.sources.opened import Asked, Opened

TEXT = "Town,Note\nAvon,café €\nBolton,naïve “so”\n"
CANARY = "Xanthippe"


def opened(folder: Path, content: bytes, name: str = "a.csv", **asked: Any) -> Opened:
    """The file `name` with `content`, opened."""
    path = folder / name
    path.write_bytes(content)
    return open_source(path, name, Asked(**asked))


def notes(folder: Path, content: bytes, **asked: Any) -> tuple[str, ...]:
    """What opening says of the encoding."""
    return opened(folder, content, **asked).notes


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (TEXT.encode(), "utf-8"),
        (TEXT.encode("utf-8-sig"), "utf-8"),
        (TEXT.encode("utf-16"), "utf-16"),
        (codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"), "utf-16"),
        (TEXT.encode("utf-16-le"), "utf-16"),
        (TEXT.encode("utf-16-be"), "utf-16"),
        (TEXT.encode("cp1252"), "cp1252"),
    ],
    ids=["utf-8", "utf-8-sig", "utf-16", "utf-16-be with mark", "utf-16-le", "utf-16-be", "cp1252"],
)
def test_the_same_text_comes_out_of_every_encoding(tmp_path: Path, content: bytes, encoding: str) -> None:
    """The encoding is found without being told, and the rows are the same."""
    columns = [{"name": name.lower(), "header": name, "type": "text"} for name in ("Town", "Note")]
    source: dict[str, Any] = {"path": "a.csv"}
    under = Contract.model_validate({"format": 1, "title": "A", "source": source, "columns": columns})
    dataset = Dataset("sample", tmp_path / "notebooks" / "sample", under, "")
    dataset.folder.mkdir(parents=True)
    (tmp_path / "work").mkdir()
    (dataset.folder / "a.csv").write_bytes(content)
    found = reading_files.read(dataset, tmp_path / "work")
    rows = [tuple(row.values()) for row in pq.read_table(found.table.path).to_pylist()]
    assert [("Avon", "café €"), ("Bolton", "naïve “so”")] == rows
    assert encoding == found.encoding


@pytest.mark.parametrize(
    ("name", "content", "header"),
    [
        ("a.json", '[{"Käse": 1}]', ("Käse",)),
        ("a.jsonl", '{"Käse": 1}\n{"Käse": 2}\n', ("Käse",)),
        ("a.geojson", '{"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": null, '
         '"properties": {"Käse": 1}}]}', ("geometry", "Käse")),
        ("a.tsv", "Käse\tOrt\n1\t2\n", ("Käse", "Ort")),
        ("a.fixed", "Käse Ort\n1    2  \n", ("Käse", "Ort")),
    ],
)  # fmt: skip
def test_every_kind_of_text_may_be_utf16(
    tmp_path: Path, name: str, content: str, header: tuple[str, ...]
) -> None:
    """What Windows calls Unicode is read under any format."""
    path = tmp_path / name
    path.write_bytes(content.encode("utf-16"))
    kind = "fixed" if name == "a.fixed" else None
    found = open_source(path, name, Asked(widths=(5, 3) if kind else ()), format=kind)
    assert (header, "utf-16") == (found.header, found.encoding)


@pytest.mark.parametrize(
    ("content", "encoding", "told"),
    [
        (TEXT.encode("utf-16"), "utf-8", "is not UTF-8, as dataset.yml says: it is UTF-16"),
        (TEXT.encode("utf-16"), "cp1252", "is not cp1252, as dataset.yml says: it is UTF-16"),
        (TEXT.encode("cp1252"), "utf-8", "is not UTF-8, as dataset.yml says"),
        (TEXT.encode(), "utf-16", "is not UTF-16, as dataset.yml says"),
        (TEXT.encode("utf-32"), "auto", "UTF-32"),
        (codecs.BOM_UTF8 + TEXT.encode("cp1252"), "auto", "begins with the mark of UTF-8 and is not UTF-8"),
        (TEXT.encode("utf-16")[:-1], "auto", "damaged UTF-16"),
        (codecs.BOM_UTF16_LE + "a\n".encode("utf-16-le") + b"\x00\xd8a\x00", "auto", "damaged UTF-16"),
        ("a,b\nx\0y,2\n".encode("utf-16"), "auto", "zero bytes"),
        (b"a,b\n1,\0\n", "auto", "zero bytes"),
        (b"a,b\n1,\0\n", "utf-8", "zero bytes"),
        (b"a,b\n1,\0\n", "cp1252", "zero bytes"),
        (b"a\0b\0,\n" * 40, "auto", "zero bytes"),
        (b"a\n" + b"x" * (1 << 20) + b"\xe9\x81\n", "auto", r"neither UTF-8 nor cp1252 \(near byte 1,048,579\)"),
        (b"x" * (1 << 21), "utf-16", "is not UTF-16"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_without_a_copy(
    tmp_path: Path, content: bytes, encoding: str, told: str
) -> None:
    """The message names the encoding that was promised and the one that was found."""
    with pytest.raises(SourceInvalid, match=told):
        opened(tmp_path, content, encoding=encoding)
    assert [] == list(tmp_path.glob("*.utf8*"))


def test_a_copy_is_private_and_needs_no_memory_for_the_whole(tmp_path: Path) -> None:
    """Tens of MB of cp1252 and of UTF-16 become UTF-8 a piece at a time."""
    for codec in ("cp1252", "utf-16-le"):
        path = tmp_path / f"{codec}.csv"
        path.write_bytes("Avon,café\n".encode(codec) * (2 << 20))
        tracemalloc.start()
        made = texts.as_utf8(path, "auto")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 16 << 20
        assert 0o600 == made.path.stat().st_mode & 0o777
        assert "Avon,café\n" * 2 == made.path.read_text(encoding="utf-8")[-20:]


def test_cp1252_that_looks_like_cp1252_has_no_note(tmp_path: Path) -> None:
    """French, Spanish and German text and typographic quotes raise no false alarm."""
    for text in ("Ville\nMontréal\nQuébec\nTrois-Rivières\n", "x\nNiño\nPeña\nMuñoz\n", "n\nMüller\nGroß\n",
                 "a\n100 – 200\n“quoted”\n"):  # fmt: skip
        assert () == notes(tmp_path, text.encode("cp1252"))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("Город\nМосква\nКазань\nНовосибирск\n".encode("cp1251"), "looks more like cp1251"),
        (("Ville\n" + "Montréal\nQuébec\n" * 5).encode() + b"caf\xe9\n", "most of its letters .* are UTF-8"),
    ],
)
def test_a_detector_warns_and_decides_nothing(tmp_path: Path, content: bytes, told: str) -> None:
    """Cyrillic, and UTF-8 with one stray letter, are read as cp1252 with a note that quotes nothing."""
    content += f"{CANARY}\n".encode()
    found = opened(tmp_path, content)
    assert "cp1252" == found.encoding
    assert re.search(told, " ".join(found.notes))
    assert CANARY not in " ".join(found.notes)
    assert () == notes(tmp_path, content, encoding="cp1252")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
def test_a_proposal_writes_the_encoding_into_the_contract(project: Project, encoding: str) -> None:
    """The next file in another encoding is not read by a new guess."""
    path = project.notebooks / "counts.txt"
    path.write_bytes("Town;Note\nAvon;café\nBolton;naïve\n".encode(encoding))
    made = proposing.propose(project, "counts", str(path))
    said = made.path.read_text(encoding="utf-8")
    assert f"\n  encoding: {encoding}\n" in said
    assert '\n  delimiter: ";"' in said


@pytest.mark.parametrize("key", ["labels", "layer"])
def test_a_key_that_means_nothing_for_the_file_is_an_error(tmp_path: Path, key: str) -> None:
    """Labels and layers are not for text; nobody should believe they were taken."""
    with pytest.raises(SourceInvalid, match=f"says source: {key}:, which a file of format csv does not have"):
        opened(tmp_path, TEXT.encode(), **{key: 1})
