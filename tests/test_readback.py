"""Reading back: by rows and by the portal's own sums, under other names, with new columns, and what a sync sends."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from portal_fixture import Running, running_portal

from ctnb import tables
from ctnb.clients.socrata import Credentials, Socrata
from ctnb.contracts import publication
from ctnb.contracts.columns import Column
from ctnb.errors import PublishRefused
from ctnb.portals import planning, readback, sending
from ctnb.portals.journal import Journal
from ctnb.portals.planning import Kept, Target, Wanted
from ctnb.portals.socrata import SocrataPortal
from ctnb.tables import Table

COLUMNS = (
    Column(name="id", type="code", role="plain"),
    Column(name="town", type="text", role="plain"),
    Column(name="day", type="date", role="plain"),
    Column(name="fee", type="money", role="measure"),
)
ROWS = "('01', 'Avon', DATE '2024-02-29', 12.50), ('02', NULL, NULL, 0.01), ('03', 'Bolton', DATE '2024-03-01', NULL)"
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One portal for all tests here; each makes datasets of its own."""
    with running_portal(tmp_path_factory.mktemp("portal")) as made:
        yield made


@pytest.fixture
def portal(running: Running) -> SocrataPortal:
    """The portal as publishing knows it."""
    return SocrataPortal("state", Socrata(running.url, Credentials(running.key_id, running.key_secret)))


def table(folder: Path, query: str, columns: tuple[Column, ...] = COLUMNS) -> Table:
    """A table of the SQL `query`."""
    with tables.connect() as connection:
        return tables.write(connection, query, columns, folder / f"{next(NUMBERS)}.parquet")


def given(values: str) -> str:
    """The SQL rows `values` as a query."""
    return f"SELECT * FROM (VALUES {values}) AS given(id, town, day, fee)"


def wanted(of: Table, **more: object) -> Wanted:
    """What a dataset asks of the portal."""
    return replace(Wanted("Fees", "Invented", of, of.columns, "id", "replace", False), **more)  # type: ignore[arg-type]  # names are Wanted's


def published(
    target: Target, ask: Wanted, *, at_most_rows: int = 1000, kept: Kept | None = None
) -> tuple[Target, str]:
    """Plan, prepare, send and read back; how it was compared."""
    token = f"token-{next(NUMBERS)}"
    journal = Journal(ask.table.path.with_suffix(".jsonl"))
    with planning.opened(target, ask, kept=kept) as planned:
        sending.check(planned.plan)
        there = sending.prepare(target, ask, token, lambda _: None)
        return there, sending.send(there, planned, token, journal, at_most_rows=at_most_rows).how


@pytest.mark.parametrize(("bound", "how"), [(3, "rows"), (2, "summary")])
def test_rows_are_compared_up_to_a_bound_and_sums_beyond(
    portal: SocrataPortal, tmp_path: Path, bound: int, how: str
) -> None:
    """Dates, money and empty cells come back as they were sent, either way."""
    ask = wanted(table(tmp_path, given(ROWS)))
    assert published(Target(portal, None), ask, at_most_rows=bound)[1] == how


@pytest.mark.parametrize(
    ("change", "bound", "told"),
    [
        ({"id": "02", "town": "Canton"}, 1000, "town: 0 empty cells, 1 expected and 1 cells of other values"),
        ({"id": "02", "town": "Canton"}, 0, "town: 0 empty cells, 1 expected"),
        ({"id": "02", "fee": "0.02"}, 0, "fee: another sum, or another first or last value"),
        ({"id": "03", "day": "2024-03-02"}, 0, "day: another sum, or another first or last value"),
        ({"id": "04", "town": "Avon"}, 0, "4 read; town"),
    ],
)
def test_what_differs_is_named_by_column_and_count(
    running: Running, portal: SocrataPortal, tmp_path: Path, change: dict[str, str], bound: int, told: str
) -> None:
    """Never by a value: the message can end up in a mail."""
    ask = wanted(table(tmp_path, given(ROWS)))
    there, _ = published(Target(portal, None), ask)
    assert running.ask("POST", f"/resource/{there.dataset_id}.json", json=[change]).status_code == 200
    with planning.opened(Target(portal, None), ask) as planned:
        found = readback.compare(
            planned.connection, portal, str(there.dataset_id), ask.fields, "id", at_most_rows=bound
        )
    if told.startswith("4 read"):
        assert (found.rows_expected, found.rows_found, found.equal) == (3, 4, False)
        return
    assert [one.text for one in found.columns] == [told]
    with pytest.raises(PublishRefused, match="What was read back is not what was to be there") as caught:
        readback.check(found)
    assert "Canton" not in str(caught.value)


def test_columns_have_the_portal_s_names_there_and_ours_here(
    running: Running, portal: SocrataPortal, tmp_path: Path
) -> None:
    """A key of another name, a column that is left out and a field that is ignored, in an upsert and a sync."""
    uid = running.create(
        ("case_id", "text"),
        ("municipality", "text"),
        ("day", "calendar_date"),
        ("notes", "text"),
        key="case_id",
    )
    told = publication.Portal(
        mapping={"id": "case_id", "town": "municipality"}, ignore=("notes",), leave_out=("fee",)
    )
    target = Target(portal, uid)
    published(target, wanted(table(tmp_path, given(ROWS)), mode="upsert", told=told))
    body = [{"case_id": "01", "notes": "kept"}]
    assert running.ask("POST", f"/resource/{uid}.json", json=body).status_code == 200
    fewer = given("('01', 'Canton', DATE '2024-02-29', 1), ('02', NULL, NULL, 1)")
    published(target, wanted(table(tmp_path, fewer), mode="sync", told=told))
    assert [(row["case_id"], row.get("municipality"), row.get("notes")) for row in running.rows(uid)] == [
        ("01", "Canton", "kept"), ("02", None, None)
    ]  # fmt: skip


def test_a_new_column_is_added_to_the_dataset_that_is_there(
    running: Running, portal: SocrataPortal, tmp_path: Path
) -> None:
    """Once its structure was approved; the address, the key and the rows stay."""
    there, _ = published(Target(portal, None), wanted(table(tmp_path, given(ROWS))))
    more = (*COLUMNS, Column(name="kind", label="Kind", type="text", role="plain", description="Of fee."))
    of = table(tmp_path, f"SELECT *, 'new' AS kind FROM ({given(ROWS)})", more)
    assert "kind: only here" in planning.make(there, wanted(of)).problems[0]
    ask = wanted(of, approved=frozenset(["kind"]), mode="upsert")
    assert planning.make(there, ask).columns_added == ("kind",)
    published(there, ask)
    assert [row["kind"] for row in running.rows(str(there.dataset_id))] == ["new"] * 3
    found = portal.there(str(there.dataset_id))
    assert found is not None
    assert (found.key, found.fields[-1].title, found.fields[-1].description) == (("id",), "Kind", "Of fee.")


def test_the_kept_release_stands_in_while_the_portal_s_version_is_its_own(
    portal: SocrataPortal, tmp_path: Path
) -> None:
    """With another version, another dataset or another number of rows the portal is read."""
    of = table(tmp_path, given(ROWS))
    there, _ = published(Target(portal, None), wanted(of))
    found = portal.there(str(there.dataset_id))
    assert found is not None
    other = table(tmp_path, given(ROWS.replace("Bolton", "Canton")))
    right = Kept(other, found.id, found.version)
    changed = planning.make(there, wanted(of), kept=right).rows_changed
    assert changed == 1  # told by the copy, which the test made another one
    for wrong in (
        replace(right, version="0"), replace(right, version=""), replace(right, dataset_id="abcd-1234"),
        replace(right, table=table(tmp_path, f"{given(ROWS)} LIMIT 2")),
    ):  # fmt: skip
        assert planning.make(there, wanted(of), kept=wrong).rows_changed == 0


@pytest.mark.slow
def test_a_sync_of_a_few_changed_rows_sends_a_fiftieth_of_the_bytes(
    portal: SocrataPortal, tmp_path: Path
) -> None:
    """Of 20,000 rows one in 200 changed: what is sent is under 2 % of what a replace sends."""
    rows = "SELECT lpad(CAST(i AS VARCHAR), 8, '0') AS id, 'Town ' || (i % 169) AS town, DATE '2024-01-01' AS day, "
    before = table(tmp_path, f"{rows} CAST(i / 100 AS DECIMAL(18,2)) AS fee FROM range(20000) AS r(i)")
    after = table(
        tmp_path,
        f"{rows} CAST(i / 100 + (i % 200 = 0)::INT AS DECIMAL(18,2)) AS fee FROM range(20000) AS r(i)",
    )
    journal = Journal(tmp_path / "sending.jsonl")
    there, _ = published(Target(portal, None), wanted(before), at_most_rows=0)
    sent = {}
    for mode in ("sync", "replace"):
        with planning.opened(there, wanted(after, mode=mode)) as planned:
            made = planned.changes(f"token-{mode}")
            if mode == "sync":
                assert (planned.plan.rows_changed, planned.plan.rows_sent) == (100, 100)
            sent[mode] = sum(portal.send(str(there.dataset_id), one, journal).bytes for one in made)
        if mode == "sync":  # so that there is something to replace
            published(there, wanted(before), at_most_rows=0)
    assert 0 < sent["sync"] < 0.02 * sent["replace"]
