"""The embedded portal's pages in a real Chromium, on a phone and a desktop: finished, accessible, and alone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from portal_fixture import Running, running_portal
from prerequisites import lacking

if TYPE_CHECKING:  # `make test` collects this file on machines without a browser driver
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

PHONE = {"width": 375, "height": 812}
DESKTOP = {"width": 1280, "height": 800}
LONG = "Unbreakable" * 30
CUT = """() => [...document.querySelectorAll('body *')].filter((one) => {
  const style = getComputedStyle(one);
  return one.clientWidth > 0 && one.scrollWidth > one.clientWidth + 1 && style.display !== 'inline'
    && !one.closest('.hidden') && !['INPUT', 'SELECT', 'OPTION'].includes(one.tagName)
    && !['auto', 'scroll'].includes(style.overflowX);
}).map((one) => `${one.tagName}.${one.className}: ${one.scrollWidth} in ${one.clientWidth}`)"""
"""Elements whose content is wider than they are; those that scroll show all of it."""

UNSEEN_FOCUS = """() => [...document.querySelectorAll('a[href], button, input, select, summary, [tabindex]')]
  .filter((one) => one.type !== 'hidden' && one.checkVisibility()).filter((one) => {
    one.focus({ focusVisible: true });
    const style = getComputedStyle(one);
    return one !== document.activeElement || style.outlineStyle === 'none' || parseFloat(style.outlineWidth) < 2;
  }).map((one) => one.outerHTML.slice(0, 120))"""
"""Controls that the keyboard cannot reach, or that do not show that it did."""


@dataclass
class Visited:
    """A portal, and what a browser did in it."""

    portal: Running
    page: Page
    paths: dict[str, str]
    asked: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)

    def open(self, name: str, viewport: dict[str, int]) -> Page:
        """One of the portal's pages, with everything that folds open."""
        self.page.set_viewport_size(viewport)  # type: ignore[arg-type]
        self.page.goto(self.portal.url + self.paths[name])
        self.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        return self.page


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"] if root else [])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One portal for the module."""
    with running_portal(tmp_path_factory.mktemp("portal")) as running:
        yield running


@pytest.fixture(scope="module")
def paths(portal: Running) -> dict[str, str]:
    """The addresses of pages of every kind, over datasets with long words, many types and no rows."""
    kinds = (
        "text",
        "number",
        "money",
        "percent",
        "calendar_date",
        "date",
        "checkbox",
        "url",
        "point",
        "location",
    )
    about = {"description": f"What it is. {LONG}\n\nMore. " * 9, "category": "Housing", "attribution": LONG}
    about |= {"tags": [LONG], "license": LONG, "attributionLink": "https://portal.ct.gov"}
    fields = {"Details": {"Update Frequency": "Monthly", "Contact": "Data office", LONG: LONG}}
    metadata = {"rowLabel": LONG, "custom_fields": fields}
    columns = [(kind, kind) for kind in kinds]
    uid = portal.create(
        *columns, ("long", "text"), public=True, name=f"Homes {LONG}", metadata=metadata, **about
    )
    row = {
        "text": "Avon", "number": "1234567.5", "money": "-1234.5", "percent": "12.5", "calendar_date": "2020-01-02",
        "date": "2020-01-02T03:04:05Z", "checkbox": True, "url": {"url": f"https://example.gov/{LONG}"},
        "point": "POINT (-72.123456 41.654321)", "location": "(41.1, -72.1)", "long": f"words {LONG} " * 20,
    }  # fmt: skip
    rows = [{**row, "number": at} for at in range(120)] + [{"text": LONG}, {}]
    assert portal.ask("POST", f"/resource/{uid}.json", json=rows).ok
    empty = portal.create(("a", "text"), public=True, name="Nothing yet", category="Health")
    narrow = f"/d/{uid}?q=avon&f.text.is=%3DAvon&f.number.from=5&f.money.from=x&sort=number&dir=desc"
    found = {"catalogue": "/", "found": "/?q=homes&category=Housing", "nothing found": "/?q=quagga"}
    found |= {"dataset": f"/d/{uid}", "narrowed": narrow, "empty": f"/d/{empty}"}
    file = {"file": (f"{LONG}.zip", b"PK", "application/zip")}
    blob = portal.ask("POST", "/api/imports2/?method=blob", files=file).json()["id"]
    assert portal.ask("PUT", f"/api/views/{blob}.json?method=setPermission&value=public.read").ok
    return {**found, "missing": "/d/none-none", "file": f"/d/{blob}"}


@pytest.fixture(params=["light", "dark"])
def visited(browser: Browser, portal: Running, paths: dict[str, str], request: Any) -> Iterator[Visited]:
    """A page whose every request and console message is kept, in one of the two schemes of colours."""
    page = browser.new_page(color_scheme=request.param)
    seen = Visited(portal, page, paths)
    page.on("request", lambda asked: seen.asked.append(asked.url))
    page.on("console", lambda message: seen.console.append(message.text))
    page.on("pageerror", lambda error: seen.console.append(str(error)))
    yield seen
    page.close()


EVERY = ("catalogue", "found", "nothing found", "dataset", "narrowed", "empty", "missing", "file")


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_axe_finds_nothing_serious(visited: Visited, viewport: dict[str, int], name: str) -> None:
    """Contrast, labels, landmarks, headings, tables: nothing that axe calls serious or critical."""
    script = os.environ.get("CTNB_AXE")
    if not script or not Path(script).exists():
        lacking("set CTNB_AXE to the axe.min.js of axe-core")
    page = visited.open(name, viewport)
    # by the debugger, because the pages' own policy lets no script in
    expression = Path(script).read_text(encoding="utf-8")
    page.context.new_cdp_session(page).send("Runtime.evaluate", {"expression": expression})
    found = page.evaluate("async () => (await axe.run()).violations.map((one) => [one.impact, one.id])")
    assert [one for one in found if one[0] in ("serious", "critical")] == []


@pytest.mark.parametrize("name", EVERY)
def test_no_text_is_cut_on_a_phone(visited: Visited, name: str) -> None:
    """No element is narrower than its content, and the page is not wider than the screen."""
    page = visited.open(name, PHONE)
    assert page.evaluate(CUT) == []
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


@pytest.mark.parametrize("name", ["catalogue", "dataset", "narrowed"])
def test_the_keyboard_reaches_every_control_and_shows_where_it_is(visited: Visited, name: str) -> None:
    """Each link, button, field and scrolling table has an outline when it has the focus."""
    assert visited.open(name, DESKTOP).evaluate(UNSEEN_FOCUS) == []


def test_the_labels_of_a_row_of_filters_are_level(visited: Visited) -> None:
    """A field with one control and one with two begin at the same height."""
    page = visited.open("dataset", DESKTOP)
    tops = """() => [...document.querySelectorAll('.filters .fields:not(.order) > *')].map((one) => [
      Math.round(one.getBoundingClientRect().top),
      Math.round(one.querySelector('label, legend').getBoundingClientRect().top - one.getBoundingClientRect().top)])"""
    found = page.evaluate(tops)
    rows = {top for top, _ in found}
    assert len(rows) < len(found)
    assert max(offset for _, offset in found) - min(offset for _, offset in found) <= 1


def test_a_wide_table_shows_on_which_side_there_is_more(visited: Visited) -> None:
    """The edge is shaded where columns are hidden, and no longer once they were scrolled to."""
    page = visited.open("dataset", PHONE)
    table = page.get_by_role("region", name="Table of rows")
    shades = "(one) => getComputedStyle(one).backgroundAttachment.split(', ').slice(0, 4)"
    assert table.evaluate(shades) == ["local", "local", "scroll", "scroll"]
    table.scroll_into_view_if_needed()
    before = table.screenshot()
    table.evaluate("(one) => { one.scrollLeft = one.scrollWidth; }")
    assert table.evaluate("(one) => one.scrollLeft") > 0
    assert table.screenshot() != before


def test_a_page_asks_only_its_own_portal(visited: Visited) -> None:
    """For itself and its style sheet; no script runs, and the browser has nothing to complain of."""
    for name in ("catalogue", "dataset", "narrowed"):
        visited.asked.clear()
        page = visited.open(name, DESKTOP)
        own = [url for url in visited.asked if not url.startswith("data:")]
        assert [url.removeprefix(visited.portal.url).partition("?")[0] for url in own] == [
            visited.paths[name].partition("?")[0],
            "/portal.css",
        ]
        assert page.locator("script").count() == 0
    assert visited.console == []


def test_rows_are_searched_filtered_and_turned_by_hand(visited: Visited) -> None:
    """As a reader does it: type, choose, press Enter, sort by a head, take a filter back, turn the page."""
    page = visited.open("dataset", DESKTOP)
    page.get_by_label("Search the rows").fill("avon")
    page.get_by_role("button", name="Search").click()
    assert page.locator("#rows .lead").inner_text() == "120 of 122 rows"
    page.locator("summary", has_text="Filter and sort").click()
    page.get_by_role("group", name="number").get_by_label("From").fill("50")
    page.get_by_role("button", name="Apply").click()
    assert page.locator("#rows .lead").inner_text() == "70 of 122 rows"
    page.get_by_role("columnheader", name="number").get_by_role("link").click()
    assert page.get_by_role("columnheader", name="number").get_attribute("aria-sort") == "ascending"
    page.get_by_role("link", name="Next", exact=True).click()
    assert page.locator(".where").inner_text() == "Rows 26 to 50 of 70"
    page.get_by_role("link", name="Remove: Rows with").click()
    assert page.locator("#rows .lead").inner_text() == "70 of 122 rows, by number, lowest first"


def test_the_page_prints_without_its_controls(visited: Visited) -> None:
    """On paper there is text: no buttons, no search, no pager, and a table that is not clipped."""
    page = visited.open("dataset", DESKTOP)
    page.emulate_media(media="print")
    for place in (".actions", ".pager", ".search", ".filters", ".who"):
        assert page.locator(place).first.is_hidden()
    assert page.locator(".scroll").first.evaluate("(one) => getComputedStyle(one).overflowX") == "visible"
