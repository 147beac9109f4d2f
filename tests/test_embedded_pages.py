"""The pages of the embedded portal, as a browser without script reads them."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from portal_fixture import Running, running_portal

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
