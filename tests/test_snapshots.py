"""Snapshots: where a source may lie, and the bytes that are kept of it."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

import pytest
from error_texts import assert_text

from ctnb import snapshots
from ctnb.errors import SourceInvalid


def test_a_snapshot_is_a_copy_that_nobody_changes(tmp_path: Path) -> None:
    """The bytes are read once, kept read-only, with their digest."""
    source, work = tmp_path / "Counts.CSV", tmp_path / "work"
    work.mkdir()
    source.write_bytes(b"a,b\n1,2\n" * 200_000)
    taken = snapshots.take(source, work)
    assert source.read_bytes() == taken.path.read_bytes()
    assert "sha256:" + hashlib.sha256(source.read_bytes()).hexdigest() == taken.digest
    assert ("Counts.CSV", 1_600_000, False) == (taken.name, taken.bytes, taken.told)
    assert 0o400 == stat.S_IMODE(taken.path.stat().st_mode)
    assert [taken.path] == list(work.iterdir())


def test_a_snapshot_can_be_taken_again(tmp_path: Path) -> None:
    """A step that is run twice in one work folder replaces its own snapshot."""
    source = tmp_path / "counts.csv"
    source.write_bytes(b"one")
    (tmp_path / "work").mkdir()
    snapshots.take(source, tmp_path / "work")
    source.write_bytes(b"two")
    assert b"two" == snapshots.take(source, tmp_path / "work").path.read_bytes()


def test_an_empty_source_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    """An export that failed is often a file of no bytes."""
    source, work = tmp_path / "counts.csv", tmp_path / "work"
    work.mkdir()
    source.touch()
    with pytest.raises(SourceInvalid) as caught:
        snapshots.take(source, work)
    assert_text("source-empty", caught.value)
    assert [] == list(work.iterdir())


def test_a_source_lies_in_the_folder_of_the_dataset(tmp_path: Path) -> None:
    """The path of a contract is relative to its folder."""
    folder = tmp_path / "notebooks" / "sample"
    folder.mkdir(parents=True)
    (folder / "a.csv").touch()
    assert (folder / "a.csv").resolve() == snapshots.locate("a.csv", folder, [folder])


@pytest.mark.parametrize("path", ["../../outside.csv", "{outside}", "link.csv", "folder/outside.csv"])
def test_a_source_outside_the_roots_is_refused(tmp_path: Path, path: str) -> None:
    """Neither `..`, nor an absolute path, nor a link leads out."""
    outside, folder = tmp_path / "outside.csv", tmp_path / "notebooks" / "sample"
    folder.mkdir(parents=True)
    outside.write_text("a\n1\n")
    (folder / "link.csv").symlink_to(outside)
    (folder / "folder").symlink_to(tmp_path)
    with pytest.raises(SourceInvalid) as caught:
        snapshots.locate(path.format(outside=outside), folder, [folder.parent])
    assert_text("source-outside", caught.value)


def test_a_root_of_the_project_may_be_read(tmp_path: Path) -> None:
    """A shared drive that ctnb.yml names is allowed."""
    folder, root = tmp_path / "notebooks" / "sample", tmp_path / "drive"
    folder.mkdir(parents=True)
    root.mkdir()
    (root / "a.csv").touch()
    assert (root / "a.csv").resolve() == snapshots.locate("../../drive/a.csv", folder, [folder, root])


def test_a_folder_whose_name_begins_like_a_root_is_outside(tmp_path: Path) -> None:
    """Roots are folders, not beginnings of texts."""
    folder = tmp_path / "data"
    (tmp_path / "data-private").mkdir()
    folder.mkdir()
    (tmp_path / "data-private" / "a.csv").touch()
    with pytest.raises(SourceInvalid, match="outside"):
        snapshots.locate("../data-private/a.csv", folder, [folder])


def test_a_source_that_a_person_names_may_lie_anywhere(tmp_path: Path) -> None:
    """--source is a person's own word for one run."""
    source = tmp_path / "elsewhere.csv"
    source.touch()
    (tmp_path / "sample").mkdir()
    assert source.resolve() == snapshots.locate("a.csv", tmp_path / "sample", [], told=str(source))


@pytest.mark.parametrize("path", ["gone.csv", "."])
def test_what_is_no_file_is_told(tmp_path: Path, path: str) -> None:
    """A missing file and a folder are not sources."""
    with pytest.raises(SourceInvalid, match="is not there"):
        snapshots.locate(path, tmp_path, [tmp_path])
