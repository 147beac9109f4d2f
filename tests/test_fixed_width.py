"""Fixed width: every character of a line has its column, and a line that does not fit is set aside."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from error_texts import assert_text, whole_story
from pydantic import ValidationError
from ruamel.yaml import YAML
from test_reads import ALL_REJECTED, CANARY, contract, reading, rejects, rows, text

from ctnb.datasets import Contract
from ctnb.errors import SourceInvalid
from ctnb.sources import fixed_width
from ctnb.sources.opened import Asked


def fixed(*columns: dict[str, Any], **more: Any) -> Contract:
    """A contract over lines of 3, 5 and 2 characters."""
    source = {"path": "a.txt", "format": "fixed", "widths": [3, 5, 2], **more}
    return contract(*columns, source=source, **ALL_REJECTED)


COLUMNS = [*text("a", "b"), {"name": "n", "type": "integer"}]


def test_a_line_is_cut_by_widths(tmp_path: Path) -> None:
    """Blanks around a cell are padding; a cell of blanks is empty."""
    body = "a  b     n\nx   y z 12\r\n\n        3 \n"
    assert [("x", "y z", 12), (None, None, 3)] == rows(reading(tmp_path, body, fixed(*COLUMNS), "a.txt"))


def test_without_a_header_columns_are_known_by_place(tmp_path: Path) -> None:
    """By position, or by the name column N, which ignore: knows too."""
    columns = [
        {"name": "a", "position": 1, "type": "text"},
        {"name": "n", "header": "column 3", "type": "code"},
    ]
    under = fixed(*columns, header=False, ignore=["column 2"])
    assert [("abc", "01"), ("x", "2")] == rows(reading(tmp_path, "abcdefgh01\nx        2", under, "a.txt"))


def test_widths_count_characters(tmp_path: Path) -> None:
    """A letter with an accent is one, in UTF-8 as in cp1252."""
    for encoding in ("utf-8", "utf-8-sig", "cp1252"):
        body = "a  b     n\né  éééééé 1\né  ééééé 1\n".encode(encoding)
        found = reading(tmp_path, body, fixed(*COLUMNS), "a.txt")
        assert ([("é", "ééééé", 1)], 2) == (rows(found), found.rows_read)
        assert [(1, "", "too long")] == rejects(found)


def test_lines_that_do_not_fit_are_set_aside(tmp_path: Path) -> None:
    """A short line may be torn; blanks behind the last column are nothing."""
    body = "a  b     n\nx  y     1  \nx  y     1 z\nx  y    1\nx\n\x1a"
    found = reading(tmp_path, body, fixed(*COLUMNS), "a.txt")
    assert [("x", "y", 1)] == rows(found)
    assert [(2, "", "too long"), (3, "", "too short"), (4, "", "too short"), (5, "", "too short")] == rejects(
        found
    )


def test_more_lines_than_a_batch_are_all_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches follow each other, the last one is rarely full."""
    monkeypatch.setattr(fixed_width, "BATCH_ROWS", 4)
    body = "a  b     n\n" + "".join(f"{n:<3}y    {n:>2}\n" for n in range(13))
    assert [(str(n), "y", n) for n in range(13)] == rows(reading(tmp_path, body, fixed(*COLUMNS), "a.txt"))


BROKEN = [
    (f"{CANARY}\n", {}, "does not fit the widths: 10 characters expected, 15 seen"),
    ("a\n", {}, "10 characters expected, 1 seen"),
    ("\n\r\n", {}, "no line with text"),
    ("\n", {"header": False}, "no line with text"),
    ("a  b     n\n" + CANARY * 100_000, {}, "Line 2 of the source has 1,048,576 characters"),
    ("a  b     n\nx\0", {}, "zero bytes"),
]


@pytest.mark.parametrize(("body", "more", "told"), BROKEN, ids=[told for _, _, told in BROKEN])
def test_what_cannot_be_read_is_refused_without_quoting_it(
    tmp_path: Path, body: str, more: dict[str, Any], told: str
) -> None:
    """Counts of characters, no characters."""
    with pytest.raises(SourceInvalid, match=told) as caught:
        reading(tmp_path, body, fixed(*COLUMNS, **more), "a.txt")
    assert "Xanthippe" not in whole_story(caught.value)


def test_the_message_for_wrong_widths(tmp_path: Path) -> None:
    """It says what was expected and seen, and what to do."""
    with pytest.raises(SourceInvalid) as caught:
        reading(tmp_path, "a  b     number\n", fixed(*COLUMNS), "a.txt")
    assert_text("source-fixed-widths", caught.value)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"widths": []}, "needs widths"),
        ({"format": "csv"}, "are for format: fixed"),
        ({"format": None, "widths": [], "header": False}, "are for format: fixed"),
        ({"widths": [3, 0]}, "greater than 0"),
    ],
)
def test_a_contract_that_says_half_is_refused(more: dict[str, Any], told: str) -> None:
    """Widths belong to fixed, and fixed needs them."""
    with pytest.raises(ValidationError, match=told):
        fixed(*COLUMNS, **more)


def test_without_widths_nothing_is_guessed(tmp_path: Path) -> None:
    """Whoever opens a file without a contract is told what is missing."""
    (tmp_path / "a.txt").write_text("x", encoding="utf-8")
    with pytest.raises(SourceInvalid, match="where the columns"):
        fixed_width.opened_fixed(tmp_path / "a.txt", Asked())


PAGES = ("read-json-parquet-fixed-width.md", "read-compressed.md")


@pytest.mark.parametrize("page", PAGES)
def test_what_the_pages_show_is_a_contract(page: str) -> None:
    """Every block of YAML can be written into dataset.yml as it stands."""
    shown = (Path(__file__).parents[1] / "docs" / "how-to" / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```yaml\n(.*?)^```$", shown, re.MULTILINE | re.DOTALL)
    assert len(blocks) > 1
    for block in blocks:
        said = YAML(typ="safe").load(block)
        Contract.model_validate({"format": 1, "title": "A", "columns": text("a"), **said})


def test_the_page_s_example_is_read(tmp_path: Path) -> None:
    """The lines and the contract that the page shows fit each other, with its header and without."""
    shown = (Path(__file__).parents[1] / "docs" / "how-to" / PAGES[0]).read_text(encoding="utf-8")
    section = shown.partition("## Fixed width")[2]
    body = re.findall(r"^```text\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)[0]
    headed, bare = re.findall(r"^```yaml\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    for said, lines in ((headed, body), (bare, body.partition("\n")[2])):
        under = Contract.model_validate(
            {"format": 1, "title": "A", **YAML(typ="safe").load(said.replace("data/", ""))}
        )
        found = rows(reading(tmp_path, lines, under, "counts.txt"))
        assert [("06103", 12), ("06820", 9)] == [(row[0], row[-1]) for row in found]
