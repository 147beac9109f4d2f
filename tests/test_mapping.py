"""Our columns beside a portal's fields: verdicts, what settles them, and names in both directions."""

from __future__ import annotations

from ctnb.clients.socrata import Socrata
from ctnb.contracts import publication
from ctnb.contracts.columns import Column
from ctnb.portals import mapping
from ctnb.portals.interface import PortalField, There
from ctnb.portals.socrata import SocrataPortal

PORTAL = SocrataPortal("state", Socrata("http://127.0.0.1:9", None))
COLUMNS = (
    Column(name="id", type="code", role="plain"),
    Column(name="town", type="text", role="plain"),
    Column(name="deaths", type="integer", role="measure"),
)


def there(**fields: str) -> There:
    """A dataset with these fields and types."""
    made = tuple(PortalField(name, name.title(), kind) for name, kind in fields.items())
    return There("abcd-1234", "Sample", "http://127.0.0.1:9/d/abcd-1234", made, ("id",), True, 0, "1")


def compared(at: There | None, told: publication.Portal | None = None, approved: tuple[str, ...] = ()):  # type: ignore[no-untyped-def]
    """Verdicts and settlements in their order, and the problems."""
    told = told or publication.Portal()
    found = mapping.compare(COLUMNS, PORTAL, at, told, approved)
    shown = [(one.column, one.field, one.verdict, one.settled) for one in found]
    return shown, mapping.problems(found, told, at)


def test_everything_fits_a_dataset_that_is_not_there() -> None:
    """It will be made of these columns."""
    shown, problems = compared(None)
    assert [(one[0], one[2]) for one in shown] == [("id", "fits"), ("town", "fits"), ("deaths", "fits")]
    assert problems == []


def test_each_verdict_is_told_with_what_settles_it() -> None:
    """A column only here, one only there and one of another type each stop, by name."""
    shown, problems = compared(there(id="text", city="text", deaths="text"))
    assert [one[2] for one in shown] == ["fits", "only here", "type differs", "only there"]
    assert problems == [
        "town: only here (mapping: {town: FIELD} names its field, leave_out: [town] does not send it)",
        "deaths: type differs (number here, text there; to send it all the same: mapping: {deaths: deaths})",
        "city: only there (ignore: [city] leaves it alone)",
    ]


def test_a_near_name_is_offered() -> None:
    """A field that has been spelt otherwise is most likely the same."""
    _, problems = compared(there(id="text", towns="text", deaths="number"))
    assert "town: only here; is it towns? " in problems[0]


def test_mapping_ignoring_and_leaving_out_settle_by_name() -> None:
    """The contract's word is shown beside each verdict, and nothing stops."""
    told = publication.Portal(mapping={"town": "city", "deaths": "deaths"}, ignore=("notes",))
    shown, problems = compared(there(id="text", city="text", deaths="text", notes="text"), told)
    assert shown == [
        ("id", "id", "fits", ""),
        ("town", "city", "fits", ""),
        ("deaths", "deaths", "type differs", "mapped"),
        ("", "notes", "only there", "ignored"),
    ]
    assert problems == []
    left, problems = compared(there(id="text", deaths="number"), publication.Portal(leave_out=("town",)))
    assert (left[1], problems) == (("town", "", "only here", "left out"), [])


def test_a_new_column_is_added_once_its_structure_was_approved() -> None:
    """Without that it is only here, as any other."""
    at = there(id="text", town="text")
    shown, problems = compared(at, approved=("deaths",))
    assert (shown[2], problems) == (("deaths", "deaths", "only here", "added"), [])
    assert len(compared(at)[1]) == 1


def test_names_of_fields_that_the_portal_does_not_have_are_problems() -> None:
    """A misspelt ignore: would otherwise go unnoticed."""
    told = publication.Portal(ignore=("nots",))
    _, problems = compared(there(id="text", town="text", deaths="number", notes="text"), told)
    assert problems == [
        "notes: only there (ignore: [notes] leaves it alone)",
        "portal: ignore: names the field 'nots', which the portal does not have; is it notes?",
    ]


def test_names_go_both_ways() -> None:
    """What is sent has the portal's names, what is told ours."""
    told = publication.Portal(mapping={"town": "city"}, leave_out=("deaths",))
    fields = mapping.fields(COLUMNS, told)
    assert [column.name for column in fields.columns] == ["id", "town"]
    assert [(column.name, column.title) for column in fields.theirs] == [("id", "id"), ("city", "town")]
    assert (fields.column("city"), fields.column("id"), fields.renames) == ("town", "id", True)
