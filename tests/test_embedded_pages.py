"""The pages of the embedded portal, as a browser without script reads them."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import urllib.parse
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import requests
from portal_fixture import Running, running_portal

from ctnb.embedded.page_about import size_text

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>'


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One portal for the module."""
    with running_portal(tmp_path_factory.mktemp("portal")) as running:
        yield running


class Page(HTMLParser):
    """The tags of a page, its links, and the cells of its first table."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: dict[str, str] = {}
        self.rows: list[list[str]] = []
        self.tables = 0
        self.in_cell = False
        self.href: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attributes}
        self.tables += tag == "table"
        self.href = dict(attributes).get("href") if tag == "a" else self.href
        if tag == "tr" and self.tables == 1:
            self.rows.append([])
        if tag == "td" and self.tables == 1:
            self.rows[-1].append("")
            self.in_cell = True

    def handle_endtag(self, tag: str) -> None:
        self.in_cell = self.in_cell and tag != "td"

    def handle_data(self, text: str) -> None:
        if self.href:
            self.links.setdefault(text.strip(" ▲▼"), self.href)
            self.href = None
        if self.in_cell:
            self.rows[-1][-1] += text

    def column(self, at: int) -> list[str]:
        """The cells of one column of the first table."""
        return [row[at] for row in self.rows if row]


def page(portal: Running, path: str, **options: Any) -> Page:
    """A page that answers 200 to anybody."""
    answer = portal.ask("GET", path, **{"signed": False, **options})
    assert answer.status_code == 200
    return Page(answer.text)


def test_hostile_names_and_cells_stay_text(portal: Running) -> None:
    """No tag, no attribute and no link comes out of a title, a column, a description or a cell."""
    columns = [{"name": HOSTILE, "fieldName": "a", "dataTypeName": "text", "description": HOSTILE}]
    columns += [{"name": "Site", "fieldName": "site", "dataTypeName": "url"}]
    body = {
        "name": HOSTILE,
        "description": HOSTILE,
        "category": HOSTILE,
        "tags": [HOSTILE],
        "columns": columns,
    }
    body |= {"license": HOSTILE, "attribution": HOSTILE, "attributionLink": "javascript:alert(1)"}
    body |= {"metadata": {"rowLabel": HOSTILE, "custom_fields": {HOSTILE: {HOSTILE: HOSTILE}}}}
    uid = portal.ask("POST", "/api/views.json", json=body).json()["id"]
    portal.ask("POST", f"/api/views/{uid}/publication.json")
    portal.ask("PUT", f"/api/views/{uid}.json?method=setPermission&value=public.read")
    sites = [
        "javascript:alert(1)",
        " javascript:alert(1)",
        "data:text/html,x",
        "https://ct.gov",
        f"https://x/{HOSTILE}",
    ]
    rows = [
        {"a": HOSTILE, "site": {"url": site, "description": f"link {at}"}} for at, site in enumerate(sites)
    ]
    portal.ask("POST", f"/resource/{uid}.json", json=rows)
    for path in ("/", f"/d/{uid}", f"/d/{uid}?sort=a&dir=desc", f"/?q={urllib.parse.quote(HOSTILE)}"):
        answer = portal.ask("GET", path, signed=False)
        found = Page(answer.text)
        assert found.tags.isdisjoint({"script", "img", "iframe", "object", "svg"})
        assert not [name for name in found.attributes if name.startswith("on")]
        assert "alert(1)" in answer.text
        assert not [link for link in found.links.values() if not re.match(r"(/|#|\?|https?://)", link)]
    links = page(portal, f"/d/{uid}").links
    assert {name: links[name] for name in links if name.startswith("link ")} == {"link 3": "https://ct.gov"}


def test_every_page_forbids_what_it_does_not_need(portal: Running) -> None:
    """A policy without script and without style of its own, no sniffing, no framing; the sheet is the portal's."""
    for path in ("/", "/d/none-none"):
        headers = portal.ask("GET", path, signed=False).headers
        assert headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self'; ")
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert "script-src" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Type"] == "text/html; charset=utf-8"


def test_a_private_page_asks_for_credentials(portal: Running) -> None:
    """401 with Basic for anybody, the page for the publisher; a page that is not there is 404."""
    uid = portal.create(("a", "text"), name="Held back")
    closed = portal.ask("GET", f"/d/{uid}", signed=False)
    assert (closed.status_code, closed.headers["WWW-Authenticate"][:6]) == (401, "Basic ")
    assert "Held back" not in closed.text
    assert "Held back" not in portal.ask("GET", "/", signed=False).text
    assert "Held back" in portal.ask("GET", f"/d/{uid}").text
    assert "Held back" in portal.ask("GET", "/").text
    assert portal.ask("GET", "/d/none-none", signed=False).status_code == 404
    assert portal.ask("GET", "/sign-in", allow_redirects=False).headers["Location"] == "/"


def test_the_catalogue_is_searched_by_every_word(portal: Running) -> None:
    """In titles, descriptions and column names."""
    portal.create(("town", "text"), public=True, name="Zebra crossings", description="Painted stripes")
    portal.create(("town", "text"), public=True, name="Zebra finches")
    assert {"Zebra crossings", "Zebra finches"} <= page(portal, "/?q=zebra+town").links.keys()
    assert "Zebra finches" not in page(portal, "/?q=ZEBRA+painted").links
    assert "Show all datasets" in page(portal, "/?q=quagga").links


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", list(range(60))),
        ("?sort=n&dir=asc", [*range(0, 60, 2), *range(1, 60, 2)]),
        ("?sort=n&dir=desc", [*range(58, -2, -2), *range(1, 60, 2)]),
        ("?sort=half&dir=desc", [*range(30, 60), *range(30)]),
        ("?sort=nope", list(range(60))),
    ],
)
def test_next_and_previous_walk_through_every_row_once(
    portal: Running, query: str, expected: list[int]
) -> None:
    """By key, in every order, blanks last; and back again over the same pages."""
    uid = portal.create(("row", "number"), ("n", "number"), ("half", "number"), public=True)
    rows = [{"row": at, "n": None if at % 2 else at, "half": at // 30} for at in range(60)]
    portal.ask("POST", f"/resource/{uid}.json", json=rows)
    walked, pages = [], [page(portal, f"/d/{uid}{query}")]
    while "Next" in pages[-1].links:
        pages.append(page(portal, pages[-1].links["Next"]))
    for one in pages:
        walked += [int(cell) for cell in one.column(0)]
    assert (walked, len(pages)) == (expected, 3)
    back = page(portal, page(portal, pages[2].links["Previous"]).links["Previous"])
    assert back.rows == pages[0].rows
    assert "Previous" not in back.links


def test_cells_are_formatted_and_downloads_linked(portal: Running) -> None:
    """A date without its midnight, yes and no, a blank; CSV, JSON and GeoJSON where there is a point."""
    kinds = ("calendar_date", "date", "checkbox", "number", "text", "point")
    uid = portal.create(*((kind, kind) for kind in kinds), public=True)
    row = {
        "calendar_date": "2020-01-02",
        "date": "2020-01-02T03:04:00Z",
        "checkbox": True,
        "number": "1234.50",
    }
    portal.ask("POST", f"/resource/{uid}.json", json=[{**row, "point": "POINT (-72 41)"}])
    found = page(portal, f"/d/{uid}")
    assert found.rows[1] == ["Jan 2, 2020", "Jan 2, 2020, 3:04 AM UTC", "Yes", "1,234.5", "empty", "41, -72"]
    for name in ("Download CSV", "JSON", "GeoJSON", "XML", "Metadata"):
        assert portal.ask("GET", found.links[name], signed=False).status_code == 200


@pytest.fixture(scope="module")
def visits(portal: Running) -> str:
    """A dataset with a column of each kind that is filtered in its own way."""
    names = [
        ("town", "text"),
        ("note", "text"),
        ("year", "number"),
        ("cases", "number"),
        ("seen", "calendar_date"),
    ]
    uid = portal.create(*names, ("open", "checkbox"), ("site", "url"), public=True, name="Visits")
    rows: list[dict[str, Any]] = [
        {
            "town": ("Avon", "Bristol", "Canton")[at % 3],
            "note": f"Visit number {at} in the \u00c9cole",
            "year": 2001 + at % 20,
            "cases": at * 100 - 1000,
            "seen": f"2020-01-{at % 28 + 1:02d}",
            "open": at % 2 == 0,
            "site": {"url": f"https://example.gov/{at}"},
        }
        for at in range(200)
    ]
    rows.append({"cases": 7})
    portal.ask("POST", f"/resource/{uid}.json", json=rows)
    return uid


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("f.town.is=%3DAvon", "67 of 201 rows"),
        ("f.town.is=blank", "1 of 201 rows"),
        ("f.town.is=filled", "200 of 201 rows"),
        ("f.note.has=%C3%A9COLE", "200 of 201 rows"),
        ("f.cases.from=1,000&f.cases.to=%242,000", "11 of 201 rows"),
        ("f.cases.to=-900", "2 of 201 rows"),
        ("f.seen.from=2020-01-27", "14 of 201 rows"),
        ("f.seen.to=1/1/2020", "8 of 201 rows"),
        ("f.open.is=%3Dfalse", "100 of 201 rows"),
        ("f.site.has=gov/19", "11 of 201 rows"),
        ("f.site.has=url", "0 of 201 rows"),
        ("f.town.is=%3DAvon&f.open.is=%3Dtrue", "34 of 201 rows"),
        ("q=avon+%C3%89COLE", "67 of 201 rows"),
        ("q=2001", "10 of 201 rows"),
        ("q=2020-01-01", "8 of 201 rows"),
        ("f.nope.is=x&f.town.from=3&other=1", "201 rows"),
    ],
)
def test_rows_are_filtered_and_searched(portal: Running, visits: str, query: str, expected: str) -> None:
    """By a text, its letters in any case, emptiness, numbers and days from and to; unknown names are left alone."""
    text = portal.ask("GET", f"/d/{visits}?{query}", signed=False).text
    assert re.findall(r'id="rows-title">Rows</h2><span class="lead">(.*?)</span>', text) == [expected]


def test_a_filter_that_the_column_cannot_hold_is_said_and_left_out(portal: Running, visits: str) -> None:
    """Not an empty table, which would be read as an answer; the typed text stays in its field."""
    text = portal.ask("GET", f"/d/{visits}?f.cases.from=many&f.seen.to=soon", signed=False).text
    assert text.count('class="wrong" role="alert"') == 2
    assert 'value="many"' in text
    assert "201 rows" in text


def test_filters_stay_while_pages_turn_and_can_be_taken_back(portal: Running, visits: str) -> None:
    """The links of pages, of column heads and of each chip carry the rest of the question."""
    found = page(portal, f"/d/{visits}?f.town.is=%3DAvon&q=visit&sort=cases&dir=desc")
    assert [len(found.rows) - 1, "Previous" in found.links] == [25, False]
    after = page(portal, found.links["Next"])
    assert {row[0] for row in after.rows[1:]} == {"Avon"}
    assert found.links["town"].startswith(f"/d/{visits}?q=visit&f.town.is=%3DAvon&sort=town&dir=asc")
    text = portal.ask("GET", f"/d/{visits}?f.town.is=%3DAvon&q=visit&sort=cases", signed=False).text
    chips = re.findall(
        r'<li><a class="chip" href="([^"]*)"><span class="hidden">Remove: </span>(.*?) <span', text
    )
    assert [words for _, words in chips] == ["Rows with \u201cvisit\u201d", "town is Avon"]
    assert [address.count("=") for address, _ in chips] == [3, 3]


def test_the_last_page_and_any_row_are_one_click_away(portal: Running, visits: str) -> None:
    """The last page is full and knows its place; a row is gone to by its place in the order asked for."""
    first = page(portal, f"/d/{visits}?sort=cases")
    text = portal.ask("GET", first.links["Last"], signed=False).text
    assert "Rows 177 to 201 of 201" in text
    assert Page(text).rows[-1][3] == "18,900"
    assert "Next" not in Page(text).links
    there = portal.ask("GET", f"/d/{visits}?sort=cases&at=101", signed=False).text
    assert "Rows 101 to 125 of 201" in there
    assert Page(there).rows[1][3] == "8,900"
    beyond = portal.ask("GET", f"/d/{visits}?at=5,000", signed=False).text
    assert "Rows 201 to 201 of 201" in beyond


def test_years_and_codes_have_no_separators(portal: Running) -> None:
    """By the column's format, its name, its being the row identifier, and its values; amounts have them."""
    numbers = {
        "case_id": 1234,
        "zip_code": 6103,
        "built": 1999,
        "plain": 1234567,
        "cost": 1234.5,
        "bare": 12345,
    }
    kinds = {"cost": "money"}
    columns = [
        {"name": name, "fieldName": name, "dataTypeName": kinds.get(name, "number")}
        for name in [*numbers, "key"]
    ]
    columns[5]["format"] = {"noCommas": "true"}
    body = {"name": "Numbers", "columns": columns, "metadata": {"rowIdentifier": "key"}}
    uid = portal.ask("POST", "/api/views.json", json=body).json()["id"]
    portal.ask("POST", f"/resource/{uid}.json", json=[{**numbers, "key": 54321}])
    found = Page(portal.ask("GET", f"/d/{uid}").text)
    assert found.rows[1] == ["1234", "6103", "1999", "1,234,567", "$1,234.50", "12345", "54321"]


def test_a_long_text_opens(portal: Running) -> None:
    """Clipped in the table with the whole of it behind a click; nothing is lost."""
    uid = portal.create(("a", "text"), public=True)
    whole = "word " * 60 + "end"
    portal.ask("POST", f"/resource/{uid}.json", json=[{"a": whole}, {"a": "short"}])
    text = portal.ask("GET", f"/d/{uid}", signed=False).text
    assert text.count('<details class="long">') == 1
    assert f"<div>{whole}</div></details>" in text


def test_the_dataset_says_what_it_is(portal: Running) -> None:
    """Licence, source, row label, frequency, contact, citation, who may see it, columns with empty cells."""
    fields = {
        "Publishing Details": {"Update Frequency": "Every month", "Contact": "Data office", "Scope": "State"}
    }
    about = {"license": "Public Domain", "attribution": "Agency", "attributionLink": "https://portal.ct.gov"}
    metadata = {"rowLabel": "A visit", "custom_fields": fields}
    uid = portal.create(("a", "text"), ("b", "number"), public=True, name="Told", metadata=metadata, **about)
    portal.ask("POST", f"/resource/{uid}.json", json=[{"a": "x"}, {"a": "y", "b": 2}])
    text = portal.ask("GET", f"/d/{uid}", signed=False).text
    told = dict(re.findall(r"<div><dt>([^<]*)</dt><dd[^>]*>(.*?)</dd></div>", text))
    wanted = {
        "Each row is": "A visit", "Update frequency": "Every month", "Licence": "Public Domain",
        "Contact": "Data office", "Scope": "State", "Who may see it": "Everybody",
    }  # fmt: skip
    assert {name: told[name] for name in wanted} == wanted
    assert 'href="https://portal.ct.gov"' in told["Source"]
    assert (
        f"Agency. Told [Data set]. {told['Data updated'][-11:-7]}. Open data portal. {portal.url}/d/{uid}"
        in text
    )
    assert '<td class="count" data-label="Empty cells">1 <span class=none>(50%)</span>' in text


def test_the_contact_that_a_portal_keeps_private_is_for_publishers(portal: Running) -> None:
    """Socrata keeps the contact's mail address in privateMetadata, which the public never gets."""
    uid = portal.create(("a", "text"), public=True, privateMetadata={"contactEmail": "ask@agency.example"})
    assert "ask@agency.example" in portal.ask("GET", f"/d/{uid}").text
    assert "ask@agency.example" not in portal.ask("GET", f"/d/{uid}", signed=False).text


def test_what_a_program_noted_for_itself_is_not_shown(portal: Running) -> None:
    """The token by which a publisher finds a dataset it created is no fact for readers; other fields beside it are."""
    fields = {
        "ctnb": {"Creation": "token-canary", "Steward": "Data office"},
        "Other": {"Creation": "By hand"},
    }
    uid = portal.create(("a", "text"), public=True, metadata={"custom_fields": fields})
    text = portal.ask("GET", f"/d/{uid}", signed=False).text
    shown = [value for value in ("token-canary", "Data office", "By hand") if value in text]
    assert shown == ["Data office", "By hand"]


def test_a_dataset_that_is_a_file_is_downloaded_from_its_page(portal: Running) -> None:
    """Its button names the file and its size and gives its bytes; there is no table, no CSV and no address of rows."""
    content = b"PK" * 750
    files = {"file": ("feed <b>.zip", content, "application/zip")}
    uid = portal.ask("POST", "/api/imports2/?method=blob", files=files).json()["id"]
    portal.ask("PUT", f"/api/views/{uid}.json?method=setPermission&value=public.read")
    found = page(portal, f"/d/{uid}")
    assert portal.ask("GET", found.links["Download feed <b>.zip (1.5 kB)"], signed=False).content == content
    assert {"Metadata", "About", "History"} <= set(found.links)
    assert {"Download CSV", "JSON", "Rows", "Columns", "API"}.isdisjoint(found.links)
    assert "There are no rows" not in portal.ask("GET", f"/d/{uid}").text


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (9_949, "9.9 kB"), (20_000_000, "20 MB"),
     (999_600, "1.0 MB"), (5_000_000_000_000, "5,000 GB")],
)  # fmt: skip
def test_sizes_are_written_for_people(size: int, text: str) -> None:
    """In the unit that leaves one to three digits."""
    assert size_text(size) == text


def test_the_history_tells_every_change(portal: Running) -> None:
    """Who, what kind and how many rows: upsert, one row, replace; a request that changed nothing leaves no line."""
    uid = portal.create(("a", "text"), ("b", "number"), key="a", public=True)
    portal.ask("POST", f"/resource/{uid}.json", json=[{"a": "x"}, {"a": "y"}])
    portal.ask("POST", f"/resource/{uid}.json", json=[{"a": "x", "b": 1}, {"a": "z"}])
    portal.ask("POST", f"/resource/{uid}.json", json=[{"a": "gone", ":deleted": True}])
    portal.ask("DELETE", f"/resource/{uid}/x.json")
    portal.ask("PUT", f"/resource/{uid}.json", json=[{"a": "q"}])
    text = portal.ask("GET", f"/d/{uid}", signed=False).text
    pattern = r'data-label="What">([^<]*)</td><td data-label="Rows">([^<]*)</td><td data-label="Who">([^<]*)<'
    assert re.findall(pattern, text) == [
        ("Replaced all rows", "1 added, 2 deleted", "Pat Publisher"),
        ("Changed one row", "1 deleted", "Pat Publisher"),
        ("Rows added and updated", "1 added, 1 updated", "Pat Publisher"),
        ("Rows added", "2 added", "Pat Publisher"),
        ("Created", "\u2013", "Pat Publisher"),
    ]


def test_views_and_attachments_are_linked(portal: Running) -> None:
    """A filtered view that the reader may see, its own page with its own rows, and a file that can be fetched."""
    uid = portal.create(("town", "text"), ("n", "number"), public=True, name="Whole")
    portal.ask("POST", f"/resource/{uid}.json", json=[{"town": "Avon", "n": 1}, {"town": "Bristol", "n": 2}])
    made = {"name": "Only Avon", "modifyingViewUid": uid, "queryString": "SELECT * WHERE town = 'Avon'"}
    view = portal.ask("POST", "/api/views.json", json=made).json()["id"]
    assert "Only Avon" not in portal.ask("GET", f"/d/{uid}", signed=False).text
    portal.ask("POST", f"/api/views/{view}/publication.json")
    portal.ask("PUT", f"/api/views/{view}.json?method=setPermission&value=public.read")
    headers = {"X-File-Name": "codes.txt", "Content-Type": "text/plain"}
    asset = portal.ask("POST", "/api/assets", data=b"codes", headers=headers).json()["id"]
    attachments = [{"filename": "codes.txt", "name": "The codes", "assetId": asset}]
    portal.ask("PUT", f"/api/views/{uid}.json", json={"metadata": {"attachments": attachments}})
    found = page(portal, f"/d/{uid}")
    assert portal.ask("GET", found.links["The codes"], signed=False).content == b"codes"
    narrow = page(portal, found.links["Only Avon"])
    assert narrow.column(0) == ["Avon"]
    assert narrow.links["Whole"] == f"/d/{uid}"


def test_the_catalogue_is_filtered_sorted_and_marked(portal: Running) -> None:
    """Categories with counts, three orders, the number of rows, and a mark on what not everybody sees."""
    small = portal.create(("a", "text"), public=True, name="Quokka sightings", category="Fauna & Co")
    big = portal.create(("a", "text"), public=True, name="Quokka births", category="Fauna & Co")
    portal.create(("a", "text"), name="Quokka secrets", category="Held")
    portal.ask("POST", f"/resource/{big}.json", json=[{"a": str(at)} for at in range(1234)])
    portal.ask("POST", f"/resource/{small}.json", json=[{"a": "one"}])

    def titles(query: str, *, signed: bool = False) -> list[tuple[str, str]]:
        text = portal.ask("GET", f"/?q=quokka{query}", signed=signed).text
        return re.findall(
            r'<h3[^>]*><a href="/d/[^"]*">([^<]*)</a>( <span class="badge held">Private)?', text
        )

    assert titles("") == [("Quokka sightings", ""), ("Quokka births", "")]
    assert titles("&sort=name") == [("Quokka births", ""), ("Quokka sightings", "")]
    assert titles("&sort=rows") == [("Quokka births", ""), ("Quokka sightings", "")]
    assert titles("&category=Held") == []
    assert titles("&category=Held", signed=True) == [("Quokka secrets", ' <span class="badge held">Private')]
    text = portal.ask("GET", "/?q=quokka", signed=False).text
    assert 'href="/?q=quokka&amp;category=Fauna+%26+Co">Fauna &amp; Co <span class="count">2</span>' in text
    assert "<dd>1,234</dd>" in text


BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.mark.parametrize("path", ["/nonsense", "/d/none-none", "/d/none-none/edit"])
def test_a_browser_that_goes_astray_is_shown_a_page(portal: Running, path: str) -> None:
    """With a way back to the datasets, and the status that programs see."""
    answer = requests.get(portal.url + path, headers=BROWSER, timeout=10)
    assert (404, "text/html; charset=utf-8") == (answer.status_code, answer.headers["Content-Type"])
    assert 'href="/">All datasets</a>' in answer.text


@pytest.mark.parametrize("path", ["/nonsense", "/api/nonsense", "/resource/none-none.json"])
def test_programs_are_answered_as_ever(portal: Running, path: str) -> None:
    """The address or the Accept header says that a program asks: the vendor's envelope."""
    headers = {} if path == "/nonsense" else BROWSER
    answer = requests.get(portal.url + path, headers=headers, timeout=10)
    assert (404, True) == (answer.status_code, answer.headers["Content-Type"].startswith("application/json"))


def test_a_mistake_of_the_portal_is_a_page_too(tmp_path: Path) -> None:
    """It says where to look, and holds nothing of what went wrong."""
    with running_portal(tmp_path) as broken:
        with contextlib.closing(sqlite3.connect(broken.file)) as connection:
            connection.execute("ALTER TABLE views RENAME TO gone")
        answer = requests.get(broken.url, headers=BROWSER, timeout=10)
    assert (500, True, False) == (
        answer.status_code, "Something went wrong here" in answer.text, "OperationalError" in answer.text
    )  # fmt: skip


def test_texts_run_in_their_own_direction(portal: Running) -> None:
    """Arabic and Hebrew start at the right, in titles, descriptions and cells."""
    uid = portal.create(("a", "text"), public=True, name="العربية", description="نص عربي")
    assert portal.ask("POST", f"/resource/{uid}.json", json=[{"a": "שלום"}]).ok
    text = portal.ask("GET", f"/d/{uid}", signed=False).text
    shown = ('<h1 dir="auto">العربية</h1>', '<p dir="auto">نص عربي</p>', '<td dir="auto">שלום</td>')
    assert [] == [one for one in shown if one not in text]


def test_the_catalogue_says_how_large_a_file_is(portal: Running) -> None:
    """A dataset that is a file has no rows and columns to count."""
    file = {"file": ("report.pdf", b"%PDF" * 500, "application/pdf")}
    uid = portal.ask("POST", "/api/imports2/?method=blob", files=file).json()["id"]
    item = portal.ask("GET", "/").text.partition(f'href="/d/{uid}"')[2].partition("</li>\n")[0]
    assert "<dt>File</dt><dd>2.0 kB</dd>" in item.partition("</dl>")[0]
