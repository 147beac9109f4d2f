"""The YAML files that people write."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from error_texts import whole_story

from ctnb import documents
from ctnb.errors import ContractInvalid

CANARY = "Xanthippe Quill"


def written(folder: Path, text: str) -> Path:
    """A file with `text`."""
    path = folder / "some.yml"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_edit_keeps_comments_order_and_quotes(tmp_path: Path) -> None:
    """Only the value that was set differs."""
    before = '# top\nb: "06103"  # kept\n\na:\n  # inside\n  x: 1\n  y: [1, 2]\n'
    path = written(tmp_path, before)
    documents.edit(path, {("a", "x"): 2}, ContractInvalid)
    text = path.read_text(encoding="utf-8")
    assert "# top" in text
    assert 'b: "06103"' in text or "b: '06103'" in text or "b: 06103" in text
    assert "# kept" in text
    assert "# inside\n  x: 2" in text
    assert text.index("b:") < text.index("a:")


def test_an_edit_keeps_a_text_that_looks_like_a_number_a_text(tmp_path: Path) -> None:
    """A ZIP code does not lose its zero by an edit elsewhere."""
    path = written(tmp_path, 'zip: "06103"\nn: 1\n')
    documents.edit(path, {("n",): 2}, ContractInvalid)
    assert dict(documents.read(path, ContractInvalid)) == {"zip": "06103", "n": 2}


def test_an_edit_makes_the_file_and_the_parts_it_needs(tmp_path: Path) -> None:
    """A missing file and a missing part are made, and so is one that was left empty."""
    path = tmp_path / "portal.yml"
    documents.edit(path, {("local", "id"): "abcd-1234"}, ContractInvalid)
    path.write_text(path.read_text(encoding="utf-8") + "other:\n", encoding="utf-8")
    documents.edit(path, {("other", "id"): "wxyz-9876"}, ContractInvalid)
    assert documents.read(path, ContractInvalid) == {
        "local": {"id": "abcd-1234"},
        "other": {"id": "wxyz-9876"},
    }


def test_an_edit_reaches_the_items_of_a_list(tmp_path: Path) -> None:
    """Comments between items stay where they were, also when an item gets a new key."""
    before = 'columns:\n  - name: a\n    description: ""  # what\n\n  # of b\n  - name: b\n    type: text\n'
    path = written(tmp_path, before)
    changes = {("columns", 0, "description"): "A", ("columns", 0, "label"): "L", ("columns", 1, "label"): "M"}
    documents.edit(path, changes, ContractInvalid)
    assert path.read_text(encoding="utf-8") == (
        "columns:\n  - name: a\n    label: L\n    description: A   # what\n\n  # of b\n  - name: b\n    label: M\n"
        "    type: text\n"
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- a\n- b\n", "some.yml must be a mapping"),
        ("", "some.yml must be a mapping"),
        (f"a: {CANARY}\nb: 1\na: {CANARY}\n", "line 3: not valid YAML: a key stands twice"),
        (f"a: [{CANARY}\n", "not valid YAML"),
        (f"a: {CANARY}\n\tb: 1\n", "line 2: not valid YAML"),
        (f"a: '{CANARY}\n", "not valid YAML"),
        (f"a: {CANARY}\x07\n", "a character that YAML does not allow"),
    ],
)
def test_what_is_no_mapping_is_told_by_line_without_its_values(tmp_path: Path, text: str, told: str) -> None:
    """The text of the error, its facts and its chain quote nothing that stands in the file."""
    with pytest.raises(ContractInvalid) as caught:
        documents.read(written(tmp_path, text), ContractInvalid)
    assert told in str(caught.value)
    assert CANARY not in str(caught.value)


def test_another_encoding_is_refused(tmp_path: Path) -> None:
    """A file that Notepad saved as UTF-16 is not guessed at."""
    path = tmp_path / "some.yml"
    path.write_bytes("a: 1\n".encode("utf-16"))
    with pytest.raises(ContractInvalid, match="not UTF-8"):
        documents.read(path, ContractInvalid)


def test_a_byte_order_mark_does_not_count(tmp_path: Path) -> None:
    """Windows editors put one in front."""
    path = tmp_path / "some.yml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert documents.read(path, ContractInvalid) == {"a": 1}


def test_a_value_of_the_wrong_kind_is_not_quoted() -> None:
    """An error says where and what was expected, never what stood there."""

    class Sample(documents.Form):
        n: int

    with pytest.raises(ContractInvalid) as caught:
        documents.parse(Sample, {"n": CANARY}, "some.yml", ContractInvalid)
    assert CANARY not in whole_story(caught.value)


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """A write that fails leaves the old file and nothing beside it."""
    path = written(tmp_path, "old")
    with pytest.raises(UnicodeEncodeError):
        documents.write_text(path, "new \ud800")
    assert path.read_text(encoding="utf-8") == "old"
    documents.write_bytes(path, b"new", mode=0o600)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [path] == list(tmp_path.iterdir())


def test_a_write_that_cannot_be_moved_leaves_no_temporary_file(tmp_path: Path) -> None:
    """Where the name is taken by a folder, nothing stays behind."""
    path = tmp_path / "taken"
    path.mkdir()
    with pytest.raises(OSError):
        documents.write_bytes(path, b"new")
    assert [path] == list(tmp_path.iterdir())
