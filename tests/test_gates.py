"""The publish gate: which words are missing, what counts as a description, and the citation."""

from __future__ import annotations

import pytest

from ctnb.contracts.columns import Column
from ctnb.contracts.publication import Metadata
from ctnb.portals import gates

COLUMN = Column(
    name="deaths", label="Deaths", type="integer", role="measure", description="Number of people."
)
WORDS = Metadata(
    category="Public Safety", row_label="A town", license="Public Domain", contact="data@example.org",
    update_frequency="Annually", attribution="Example agency.",
)  # fmt: skip


def test_a_described_dataset_may_go_public() -> None:
    """All words of the state's schema and a description for each column."""
    assert gates.missing("Deaths", "By town.", WORDS, [COLUMN]) == ()


def test_every_missing_word_is_named_with_its_place() -> None:
    """All at once, so that nobody corrects one and is stopped by the next."""
    bare = Column(name="town", type="text", role="plain")
    found = gates.missing(" ", "", Metadata(), [COLUMN, bare])
    assert gates.told(found) == (
        "title (title:), description (description:), category (metadata: category:), row label (metadata: "
        "row_label:), licence (metadata: license:), update frequency (metadata: update_frequency:), contact "
        "(metadata: contact:), the description of column town (columns: town: description:)"
    )


@pytest.mark.parametrize(
    ("description", "again"),
    [
        ("Deaths", True),
        ("deaths.", True),
        ("The deaths", False),
        ("Number of people.", False),
        ("DEATHS ", True),
        ("Death s", True),
    ],
)
def test_a_name_is_no_description(description: str, again: bool) -> None:
    """Letters alone are compared: marks and capitals add nothing."""
    column = COLUMN.model_copy(update={"description": description})
    assert gates.is_name_again(column) == again
    assert bool(gates.missing("Deaths", "By town.", WORDS, [column])) == again


def test_a_citation_says_who_when_what_and_where() -> None:
    """It ends the description."""
    cited = gates.citation("Deaths by town", WORDS, "https://data.ct.gov/d/abcd-1234", 2026)
    assert cited == (
        "Suggested citation: Example agency (2026). Deaths by town. data.ct.gov, https://data.ct.gov/d/abcd-1234 "
        "(accessed on the day you read it)."
    )
    assert gates.with_citation("By town. \n", cited) == f"By town.\n\n{cited}"


def test_an_author_s_own_citation_wins() -> None:
    """Whether it stands under metadata: or in the description."""
    own = WORDS.model_copy(update={"citation": "OPM, Deaths, 2026."})
    cited = gates.citation("Deaths", own, "https://data.ct.gov/d/abcd-1234", 2026)
    assert cited == "Suggested citation: OPM, Deaths, 2026."
    assert gates.with_citation("By town. Cite as: OPM.", cited) == "By town. Cite as: OPM."
