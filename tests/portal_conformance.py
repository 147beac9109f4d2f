"""What every kind of portal does that ctnb publishes to: one class of tests, run for each dialect and each way."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import pytest

from ctnb import digests, tables
from ctnb.attachments import Copy
from ctnb.contracts.columns import Column
from ctnb.contracts.publication import Metadata
from ctnb.errors import PublishRefused
from ctnb.portals import attaching
from ctnb.portals.interface import Attachments, Change, Described, Kind, Portal, Sent
from ctnb.portals.journal import Journal
from ctnb.tables import Table

COLUMNS = (
    Column(name="id", type="code", role="plain", label="Id"),
    Column(name="town", type="text", role="plain", label="Town", description="Where it was."),
    Column(name="n", type="integer", role="measure", label="Number"),
)
START = "('01', 'Andover', 1), ('02', 'Bolton', 2), ('03', NULL, 3)"
ALL = [("01", "Andover", 1), ("02", "Bolton", 2), ("03", None, 3)]
NUMBERS = itertools.count()


@dataclass
class Place:
    """A private, empty dataset on a portal."""

    portal: Portal
    dataset_id: str
    folder: Path
    key: tuple[str, ...] = ("id",)
    journal: Journal = field(init=False)

    def __post_init__(self) -> None:
        self.journal = Journal(self.folder / "sending.jsonl")

    def table(self, rows: str, columns: Sequence[Column] = COLUMNS) -> Table:
        """A table of SQL rows."""
        names = ", ".join(column.name for column in columns)
        with tables.connect() as connection:
            query = f"SELECT * FROM (VALUES {rows}) t({names})"
            return tables.write(connection, query, columns, self.folder / f"{next(NUMBERS)}.parquet")

    def send(
        self, kind: Kind, rows: str, token: str = "", columns: Sequence[Column] = COLUMNS, gone: str = ""
    ) -> Sent:
        """Send a change, with a token of its own when none is given; `gone` are keys that go with it."""
        less = self.table(gone, COLUMNS[:1]) if gone else None
        token = token or f"token-{next(NUMBERS)}"
        change = Change(kind, self.table(rows, columns), COLUMNS, self.key, token, less)
        return self.portal.send(self.dataset_id, change, self.journal)

    def attach(self, *files: Copy, known: Mapping[str, str] | None = None) -> None:
        """Attach `files`; `known` are the digests of what earlier releases attached."""
        wanted = Attachments(files, known or {}, attaching.sent(self.journal))
        self.portal.attach(self.dataset_id, wanted, f"token-{next(NUMBERS)}", self.journal)

    def copy(self, name: str, content: bytes) -> Copy:
        """A reviewed copy of a file."""
        path = self.folder / f"copy-{next(NUMBERS)}"
        path.write_bytes(content)
        return Copy(name, len(content), digests.of_bytes(content), path)

    def attached(self) -> dict[str, str]:
        """Name and digest of what is attached."""
        found = self.portal.attached(self.dataset_id)
        told = {one.name: self.portal.attachment_digest(self.dataset_id, one) for one in found}
        assert len(told) == len(found)
        return told

    def rows(self) -> list[tuple[object, ...]]:
        """What the portal has, sorted."""
        with tables.connect() as connection:
            assert self.portal.load(self.dataset_id, COLUMNS, connection, "there") == 0
            return connection.execute("SELECT * FROM there ORDER BY ALL").fetchall()


class Replaces:
    """A portal that replaces all rows; a module gives the fixture `place`."""

    def test_rows_come_back_as_they_were_sent(self, place: Place) -> None:
        """An empty cell stays one, a code keeps its zero, and what was there before is gone."""
        place.send("replace", "('09', 'Elsewhere', 9)")
        assert not place.send("replace", START).already
        assert place.rows() == ALL

    def test_the_same_change_twice_is_once(self, place: Place) -> None:
        """A token that the portal has seen changes nothing more."""
        for _ in range(2):
            place.send("replace", START, "the-token-of-this-change")
        assert place.rows() == ALL

    def test_a_dataset_is_described(self, place: Place) -> None:
        """Its fields with the types of the table of types, how many rows, and who may see it."""
        place.send("replace", START)
        there = place.portal.there(place.dataset_id)
        assert there is not None
        assert (there.id, there.rows, there.public) == (place.dataset_id, 3, False)
        assert {one.name: one.type for one in there.fields} == {
            column.name: place.portal.type_of(column) for column in COLUMNS
        }

    def test_counts_and_sums_are_those_of_the_rows(self, place: Place) -> None:
        """What the portal works out agrees with what it hands out."""
        place.send("replace", START)
        found = place.portal.summary(place.dataset_id, COLUMNS)
        assert (found.rows, found.empty["town"], found.empty["n"]) == (3, 1, 0)
        assert found.totals == {"n": Decimal(6)}

    def test_words_are_brought_up_to_date(self, place: Place) -> None:
        """Title, description and metadata, read back under the contract's names."""
        place.send("replace", START)
        words = Metadata(attribution="Example agency", tags=("towns", "samples"))
        described = Described("Towns of a sample", "What is known of them.", COLUMNS, place.key, words)
        place.portal.describe(place.dataset_id, described)
        there = place.portal.there(place.dataset_id)
        assert there is not None
        said = there.described
        assert (said["title"], said["description"], said["attribution"], said["tags"]) == (
            "Towns of a sample", "What is known of them.", "Example agency", ("towns", "samples")
        )  # fmt: skip
        assert place.rows() == ALL

    def test_a_dataset_is_opened_and_closed(self, place: Place) -> None:
        """Twice is once in both."""
        place.send("replace", START)
        for public in (True, True, False, False):
            place.portal.set_public(place.dataset_id, public)
            there = place.portal.there(place.dataset_id)
            assert there is not None
            assert there.public == public

    def test_what_is_not_there_is_none(self, place: Place) -> None:
        """Neither a dataset with an unknown id, nor one of an unknown token."""
        assert place.portal.there("zzzz-zzzz") is None
        assert place.portal.find("a token that nothing was created for") is None

    def test_settling_an_empty_journal_waits_for_nothing(self, place: Place) -> None:
        """Nothing was begun, so rows stand still."""
        place.send("replace", START)
        place.portal.settle(place.dataset_id, Journal(place.folder / "none.jsonl"))
        assert place.rows() == ALL

    def test_files_are_attached_changed_and_taken_away(self, place: Place) -> None:
        """Each under its name, once, with its bytes; rows stay as they are."""
        place.send("replace", START)
        guide, readme, better = (
            place.copy("guide.pdf", b"%PDF-1.7 a guide"), place.copy("READ ME.txt", b"first words"),
            place.copy("READ ME.txt", b"better words"),
        )  # fmt: skip
        for files in ((guide, readme), (guide, readme), (guide, better), (better,), ()):
            place.attach(*files)
            assert place.attached() == {one.name: one.digest for one in files}
        assert place.rows() == ALL

    def test_files_that_others_attached_stay(self, place: Place) -> None:
        """Unless the contract lists one of the same name."""
        place.send("replace", START)
        place.attach(place.copy("theirs.txt", b"by hand"), place.copy("both.txt", b"by hand, too"))
        by_hand, ours = Journal(place.folder / "ours.jsonl"), place.copy("both.txt", b"by contract")
        place.journal = by_hand  # which never saw what was sent
        place.attach(ours)
        assert place.attached() == {"theirs.txt": digests.of_bytes(b"by hand"), "both.txt": ours.digest}
        place.attach()
        assert list(place.attached()) == ["theirs.txt"]

    def test_files_change_with_the_rows(self, place: Place) -> None:
        """In the same change where the portal can; whatever is left to do is done afterwards, once."""
        place.send("replace", START)
        files = Attachments((place.copy("guide.pdf", b"%PDF-1.7 a guide"),))
        rows = place.table("('09', 'Elsewhere', 9)")
        change = Change("replace", rows, COLUMNS, place.key, f"token-{next(NUMBERS)}", files=files)
        for _ in range(2):
            place.portal.send(place.dataset_id, change, place.journal)
            place.portal.attach(place.dataset_id, files, change.token, place.journal)
        assert (place.rows(), place.attached()) == (
            [("09", "Elsewhere", 9)], {"guide.pdf": files.wanted[0].digest}
        )  # fmt: skip
        found = attaching.read_back(place.portal, place.dataset_id, files)
        assert list(found) == ["guide.pdf"]
        assert attaching.compare(place.portal, place.dataset_id, files)[0].verdict == "unchanged"

    def test_a_file_with_other_bytes_than_were_sent_is_no_release(self, place: Place) -> None:
        """Read back and compared, by name alone in what is said."""
        place.send("replace", START)
        place.attach(place.copy("guide.pdf", b"other bytes"))
        files = Attachments((place.copy("guide.pdf", b"%PDF-1.7 a guide"),))
        with pytest.raises(PublishRefused, match=r"1 of the attachments read back are not .*: guide\.pdf"):
            attaching.read_back(place.portal, place.dataset_id, files)


class Keyed(Replaces):
    """A portal whose rows have an identifier, too."""

    def test_rows_are_appended(self, place: Place) -> None:
        """What is there stays."""
        place.send("replace", START)
        place.send("append", "('04', 'Durham', 4)", "the-token-of-this-append")
        place.send("append", "('04', 'Durham', 4)", "the-token-of-this-append")
        assert place.rows() == [*ALL, ("04", "Durham", 4)]

    def test_rows_are_changed_by_their_key(self, place: Place) -> None:
        """An empty cell clears the portal's; a new key is a new row."""
        place.send("replace", START)
        place.send("upsert", "('01', NULL, 7), ('04', 'Durham', 4)")
        assert place.rows() == [("01", None, 7), *ALL[1:], ("04", "Durham", 4)]

    def test_rows_are_deleted_by_their_key(self, place: Place) -> None:
        """The key alone is enough; a key that is gone already does not fail the others."""
        place.send("replace", START)
        place.send("delete", "('02')", columns=COLUMNS[:1])
        place.send("delete", "('02'), ('03')", columns=COLUMNS[:1])
        assert place.rows() == ALL[:1]

    def test_rows_come_and_go_in_one_change(self, place: Place) -> None:
        """What a sync sends: new and changed rows, and the keys of those that are not to be there."""
        place.send("replace", START)
        for _ in range(2):
            place.send(
                "upsert",
                "('01', NULL, 7), ('04', 'Durham', 4)",
                "the-token-of-this-sync",
                gone="('02'), ('03')",
            )
        assert place.rows() == [("01", None, 7), ("04", "Durham", 4)]

    def test_the_version_moves_with_the_rows(self, place: Place) -> None:
        """Where a portal has one, it is the same until rows change."""
        place.send("replace", START)
        first, again = (place.portal.there(place.dataset_id) for _ in range(2))
        assert first is not None
        assert again is not None
        assert first.version == again.version
        assert first.key == place.key
