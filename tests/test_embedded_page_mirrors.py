"""The copies in memory that make the pages of large datasets fast: the same answers as the store, of one version."""

from __future__ import annotations

import itertools
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ctnb.embedded.answers import Account, Call
from ctnb.embedded.catalogue import View, add_column, add_view, again, touch
from ctnb.embedded.decimals import unpack
from ctnb.embedded.page_filters import read_asked
from ctnb.embedded.page_mirrors import Gone, Mirror, Mirrors, Overview, Source, summarise
from ctnb.embedded.page_orders import DEEP_ROWS, Orders, place_of
from ctnb.embedded.page_rows import PAGE_ROWS, Place, read_page
from ctnb.embedded.rows import apply_changes, read_changes
from ctnb.embedded.store import Store

ROWS = 20_600
WAIT_S = 60.0
PAT = Account("key", "aaaa-bbbb", "Pat Publisher", "publisher")
COLUMNS = {
    "town": "text", "note": "text", "cases": "number", "seen": "calendar_date", "open": "checkbox", "site": "url",
    "spot": "point",
}  # fmt: skip


def row(at: int) -> dict[str, Any]:
    """A row with blanks, ties, negative numbers and letters beyond ASCII."""
    cells: dict[str, Any] = {
        "town": ("Avon", "avon", "\u00c9toile", "Zo\u00eb's Corner", "")[at % 5],
        "note": None if at % 7 == 0 else f"Note {at * 7919 % ROWS} \U0001f333 'quoted' 100% _x",
        "cases": None if at % 11 == 0 else (at * 104729) % 4001 - 2000,
        "seen": f"20{at % 23 + 10}-{at % 12 + 1:02d}-{at % 28 + 1:02d}",
        "open": (True, False, None)[at % 3],
        "site": {"url": f"https://example.gov/{at % 50}", "description": "Site"} if at % 2 else None,
        "spot": f"POINT (-72.{at % 1000} 41.5)",
    }
    return {name: cell for name, cell in cells.items() if cell is not None}


@dataclass
class Kept:
    """A store with one dataset longer than what is read from the store itself."""

    store: Store
    uid: str

    def view(self) -> View:
        """The dataset as it is now."""
        with self.store.reading() as connection:
            return again(connection, self.uid)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    """One for the module."""
    store = Store(tmp_path_factory.mktemp("store") / "portal.sqlite")
    with store.writing() as connection:
        view = add_view(connection, {"name": "Large"}, PAT, 1.0)
        for at, (name, kind) in enumerate(COLUMNS.items(), 1):
            add_column(connection, view, {"name": name, "fieldName": name, "dataTypeName": kind}, at)
        view = again(connection, view.uid)
        apply_changes(connection, view, read_changes(view, map(row, range(ROWS))), 1.0)
    yield Kept(store, view.uid)
    store.close()


def mirrored(mirrors: Mirrors, view: View) -> Mirror:
    """The mirror of `view`, once it is there."""
    end = time.monotonic() + WAIT_S
    while (found := mirrors.find(view)) is None:
        assert time.monotonic() < end, "no mirror was made"
        time.sleep(0.01)
    return found


QUERIES = [
    "&".join(part for part in parts if part)
    for parts in itertools.product(
        ("", "sort=town", "sort=cases&dir=desc", "sort=seen", "sort=open&dir=desc", "sort=note", "sort=site"),
        ("", "f.town.is=%3Davon", "f.note.has=%F0%9F%8C%B3+'QUOTED'", "f.cases.from=-100&f.cases.to=300",
         "q=avon+note", "q=\u00c9TOILE", "f.open.is=blank", "f.town.is=blank", "f.spot.is=filled", "q=2012-03-03"),
    )
]  # fmt: skip


SOME = [
    pytest.param(query, marks=() if at % 9 == 4 else pytest.mark.slow) for at, query in enumerate(QUERIES)
]
"""Every query, of which a few are asked in the fast suite too."""


class NoMirrors(Mirrors):
    """Counts, and never a mirror."""

    def find(self, view: View) -> None:
        """None."""


@pytest.mark.parametrize("query", SOME)
def test_a_mirror_answers_as_the_store_does(kept: Kept, mirrors: Mirrors, query: str) -> None:
    """The same rows in the same order on the first, second, last and second last page, and the same neighbours."""
    view = kept.view()
    pairs = tuple(urllib.parse.parse_qsl(query, keep_blank_values=True))
    asked = read_asked(Call("GET", "/", pairs, {}, b"", 1.0, "http://localhost"), view)
    mirrored(mirrors, view)
    without = NoMirrors(kept.store)
    with kept.store.reading() as connection:

        def both(place: Place) -> tuple[Any, Any]:
            quick = read_page(connection, view, asked, place, mirrors, ROWS)
            plain = read_page(connection, view, asked, place, without, ROWS)
            assert (quick.rows, quick.previous, quick.next) == (plain.rows, plain.previous, plain.next)
            return quick, plain

        first, counted = both(Place())
        assert min(first.found, 10_001) == min(counted.found, 10_001)
        second = both(Place(after=first.next))[0] if first.next else first
        last = both(Place(before="end"))[0]
        assert last.first == max(first.found - len(last.rows), 0) + 1 or not last.rows
        before = both(Place(before=last.previous))[0] if last.previous else last
        assert both(Place(at=PAGE_ROWS + 1))[0].rows == (second.rows if first.next else last.rows[-1:])
        assert len(before.rows) in (PAGE_ROWS, len(first.rows))
        deep = both(Place(at=DEEP_ROWS + 1))[0]
        if deep.next:
            assert both(Place(after=deep.next))[0].first == (deep.first or 0) + PAGE_ROWS
        if deep.previous:
            both(Place(before=deep.previous))
        again_first, again_last = both(Place())[0], both(Place(before="end"))[0]
        assert (again_first, again_last) == (first, last)
    without.close()


@pytest.fixture(scope="module")
def mirrors(kept: Kept) -> Iterator[Mirrors]:
    """One set of mirrors for the module."""
    made = Mirrors(kept.store)
    yield made
    made.close()


def test_a_deep_page_has_its_order_worked_out_once(kept: Kept) -> None:
    """The pages beside it are slices of the same order; a page that is not deep asks for none."""
    mirrors, view = Mirrors(kept.store), kept.view()
    mirror = mirrored(mirrors, view)
    asked = read_asked(Call("GET", "/", (("sort", "cases"),), {}, b"", 1.0, "http://localhost"), view)
    question = (
        view.id,
        view.version,
        "",
        (),
        f"{asked.sort.sql if asked.sort else ''} ASC NULLS LAST, sid ASC",
    )
    with kept.store.reading() as connection:
        read_page(connection, view, asked, Place(at=DEEP_ROWS), mirrors, ROWS)
        assert mirrors.orders.known(question) is None
        deep = read_page(connection, view, asked, Place(at=DEEP_ROWS + 1), mirrors, ROWS)
        order = mirrors.orders.known(question)
        mirror.ask(f"DROP TABLE {mirror.table}")
        following = read_page(connection, view, asked, Place(after=deep.next or ""), mirrors, ROWS)
    assert (len(order), place_of(order, 0)) == (ROWS, None)
    assert (deep.first, following.first, following.found) == (DEEP_ROWS + 1, DEEP_ROWS + 1 + PAGE_ROWS, ROWS)
    mirrors.close()


def test_orders_make_room_for_newer_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was used longest ago goes first; what is larger than all may be is not kept."""
    monkeypatch.setattr("ctnb.embedded.page_orders.KEPT_ROWS", 5)
    orders = Orders()
    for name in ("one", "two"):
        orders.made(name, lambda: [1, 2])
    orders.known("one")
    orders.made("three", lambda: [1, 2])
    assert [name for name in ("one", "two", "three") if orders.known(name)] == ["one", "three"]
    assert orders.made("large", lambda: [0] * 6) == [0] * 6
    assert orders.known("large") is None


def test_what_is_counted_once_is_the_same_from_both(kept: Kept, mirrors: Mirrors) -> None:
    """Empty cells, the texts of columns that have few, and the ends of numbers."""
    view = kept.view()
    mirror = mirrored(mirrors, view)
    with kept.store.reading() as connection:
        plain = summarise(Source(connection, view.table), view, ROWS)
        told = mirrors.overview(connection, view)
    assert summarise(mirror, view, ROWS) == plain == told
    by_name = {column.field_name: column.id for column in view.columns}
    assert plain.choices == {by_name["town"]: ("Avon", "Zo\u00eb's Corner", "avon", "\u00c9toile")}
    assert plain.blanks[by_name["note"]] == len(range(0, ROWS, 7))
    assert [unpack(end) for end in plain.ranges[by_name["cases"]]] == ["-2000", "2000"]


def test_a_mirror_of_an_earlier_version_is_not_asked(kept: Kept) -> None:
    """A change makes the next question wait for no one: it goes to the store until a new mirror is there."""
    mirrors = Mirrors(kept.store)
    before = kept.view()
    old = mirrored(mirrors, before)
    with kept.store.writing() as connection:
        apply_changes(connection, before, read_changes(before, [row(0)]), 2.0)
        touch(connection, before, 2.0, rows=True)
    after = kept.view()
    assert mirrors.find(after) is not old
    new = mirrored(mirrors, after)
    assert new.ask(f"SELECT count(*) FROM {new.table}") == [(ROWS + 1,)]
    with kept.store.writing() as connection:
        connection.execute(f"DELETE FROM {after.table} WHERE sid > {ROWS}")
        touch(connection, after, 3.0, rows=True)
    mirrors.close()


def test_a_large_dataset_is_shown_before_its_mirror_is_there(kept: Kept) -> None:
    """Its rows are counted and paged from the store; what takes long to count is said to be missing."""
    mirrors = NoMirrors(kept.store)
    view = kept.view()
    asked = read_asked(Call("GET", "/", (("q", "note"),), {}, b"", 1.0, "http://localhost"), view)
    with kept.store.reading() as connection:
        assert mirrors.overview(connection, view) == Overview(ROWS)
        page = read_page(connection, view, asked, Place(), mirrors, ROWS)
    assert (len(page.rows), page.found, page.first) == (PAGE_ROWS, 10_001, 1)
    mirrors.close()


def test_a_mirror_that_is_gone_is_done_without(kept: Kept) -> None:
    """One that made room for another while a page was being read: the page comes from the store."""
    mirrors = Mirrors(kept.store)
    view = kept.view()
    mirror = mirrored(mirrors, view)
    mirror.ask(f"DROP TABLE {mirror.table}")
    asked = read_asked(Call("GET", "/", (("sort", "cases"),), {}, b"", 1.0, "http://localhost"), view)
    with kept.store.reading() as connection:
        page = read_page(connection, view, asked, Place(), mirrors, ROWS)
    assert (len(page.rows), page.found) == (PAGE_ROWS, ROWS)
    with pytest.raises(Gone):
        mirror.ask(f"SELECT 1 FROM {mirror.table}")
    mirrors.close()


def test_what_does_not_fit_is_read_from_the_store(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dataset of too many cells gets no mirror, and is not tried again for each page."""
    monkeypatch.setattr("ctnb.embedded.page_mirrors.CELLS", 1000)
    mirrors = Mirrors(kept.store)
    view = kept.view()
    assert mirrors.find(view) is None
    mirrors._maker.submit(int).result(WAIT_S)  # behind the one piece of work that is under way
    assert (mirrors.find(view), mirrors._making, mirrors._engine) == (None, set(), None)
    mirrors.close()


def test_a_mirror_reaches_no_file(kept: Kept, mirrors: Mirrors, tmp_path: Path) -> None:
    """Its DuckDB reads and writes nothing outside its memory."""
    mirror = mirrored(mirrors, kept.view())
    target = tmp_path / "out.csv"
    with pytest.raises(Gone):
        mirror.ask(f"COPY (SELECT 1) TO '{target}'")
    assert not target.exists()
