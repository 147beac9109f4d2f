"""The pages of a record in a real Chromium: nothing runs, nothing leaves, and a reader can read them."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hostile_notebook import BEACON, HOSTILE
from report_examples import blocked, released, waiting
from test_reports_pages import made_hostile

from ctnb.reports.facts import ColumnFacts, ReportFacts
from ctnb.reports.markup import Html, document
from ctnb.reports.notebooks import to_html
from ctnb.reports.pages import report

if TYPE_CHECKING:  # `make test` collects this file on machines without a browser driver
    from playwright.sync_api import Browser, Page, Route

pytestmark = pytest.mark.browser

DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}

LOW_CONTRAST = """() => {
  const rgba = (text) => { const c = text.match(/[\\d.]+/g).map(Number); return c.length === 3 ? [...c, 1] : c; };
  const luminance = (c) => c.slice(0, 3).map((v) => v / 255)
    .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const color = rgba(getComputedStyle(node).backgroundColor);
      if (color[3] > 0) return color;
    }
    return [255, 255, 255, 1];
  };
  const low = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || node.closest('svg, style')) continue;
    const [a, b] = [luminance(rgba(getComputedStyle(node).color)), luminance(ground(node))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) low.add(`${node.tagName}.${node.className}: ${ratio.toFixed(2)}`);
  }
  return [...low];
}"""
"""Texts whose contrast is below 4.5 to 1, WCAG 2.2's level AA (success criterion 1.4.3)."""


@dataclass
class Seen:
    """What a page did while it was open."""

    page: Page
    dialogs: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def quiet(self) -> bool:
        """Whether it opened no dialog, wrote nothing to the console and asked for nothing."""
        return not (self.dialogs or self.console or self.requests)


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


@pytest.fixture
def look(browser: Browser, tmp_path: Path) -> Iterator[Seen]:
    """A page that lets nothing but its own file through, and remembers what was tried."""
    page = browser.new_page(viewport=DESKTOP)  # type: ignore[arg-type]
    seen = Seen(page)
    own = (tmp_path / "page.html").as_uri()

    def route(asked: Route) -> None:
        if asked.request.url == own:
            asked.continue_()
        else:
            seen.requests.append(asked.request.url)
            asked.abort()

    page.route("**/*", route)
    page.on("dialog", lambda dialog: (seen.dialogs.append(dialog.message), dialog.dismiss()))
    page.on("console", lambda message: seen.console.append(message.text))
    page.on("pageerror", lambda error: seen.console.append(str(error)))
    yield seen
    page.close()


def show(seen: Seen, tmp_path: Path, html: str, viewport: dict[str, int] = DESKTOP) -> Page:
    """Open `html` as a file, every fold of it open, and give everything that could run the time to do so."""
    path = tmp_path / "page.html"
    path.write_text(html, encoding="utf-8")
    seen.page.set_viewport_size(viewport)  # type: ignore[arg-type]
    seen.page.goto(path.as_uri())
    seen.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    seen.page.wait_for_timeout(150)
    return seen.page


def with_long_names(run: ReportFacts) -> ReportFacts:
    """`run` with names that have no place to break."""
    name = "n" * 300
    return dataclasses.replace(
        run, title=name, columns=(ColumnFacts(name, "text", "plain", name), *run.columns)
    )


RUNS = {
    "waiting": waiting(),
    "released": released(),
    "blocked": blocked(),
    "long names": with_long_names(waiting()),
}


def test_the_hostile_notebook_does_nothing(look: Seen, tmp_path: Path) -> None:
    """No dialog, nothing on the console, no request; every element of it was clicked."""
    page = show(look, tmp_path, to_html(HOSTILE, title="<img src=x onerror=alert(0)>"))
    page.evaluate(
        "document.querySelectorAll('main a:not([href]), main td, main th').forEach((one) => one.click())"
    )
    page.wait_for_timeout(100)
    assert (look.dialogs, look.console, look.requests) == ([], [], [])


def test_the_hostile_notebook_without_cleaning_would_do_harm(look: Seen, tmp_path: Path) -> None:
    """The same outputs put on a page as they are open dialogs and call home: the test above can fail."""
    raw = [
        v
        for cell in HOSTILE["cells"]
        for out in cell.get("outputs", ())
        for v in out.get("data", {}).values()
    ]
    show(look, tmp_path, f"<!DOCTYPE html><body>{raw[0]}{raw[1]}</body>")
    assert look.dialogs != []
    assert any(BEACON in one for one in look.requests)


def test_the_policy_alone_stops_what_cleaning_would_miss(look: Seen, tmp_path: Path) -> None:
    """Two walls: a script and a beacon put on our page on purpose still do nothing."""
    attack = Html(
        f"<script>alert(1)</script><img src='{BEACON}' onerror='alert(1)'><iframe src='{BEACON}'></iframe>"
    )
    show(look, tmp_path, document("A page", attack))
    assert (look.dialogs, look.requests) == ([], [])


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS.keys())
def test_a_report_is_quiet(look: Seen, tmp_path: Path, run: ReportFacts) -> None:
    """A report needs nothing from anywhere and complains of nothing."""
    show(look, tmp_path, report(run))
    assert look.quiet()


def test_a_report_of_hostile_facts_is_quiet(look: Seen, tmp_path: Path) -> None:
    """Column names, reasons and titles that attack stay text."""
    hostile = made_hostile(released())
    assert isinstance(hostile, ReportFacts)
    show(look, tmp_path, report(hostile))
    assert (look.dialogs, look.console, look.requests) == ([], [], [])


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS.keys())
def test_a_report_fits_its_width(
    look: Seen, tmp_path: Path, run: ReportFacts, viewport: dict[str, int]
) -> None:
    """Nobody scrolls sideways, whatever the names are."""
    page = show(look, tmp_path, report(run), viewport)
    assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_status_verdict_and_next_action_fit_the_first_screen(
    look: Seen, tmp_path: Path, viewport: dict[str, int]
) -> None:
    """What matters is read without scrolling."""
    page = show(look, tmp_path, report(waiting()), viewport)
    bottom = page.evaluate("document.querySelector('.p-tiles').getBoundingClientRect().bottom")
    assert bottom <= viewport["height"]


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS.keys())
def test_every_text_of_a_report_has_contrast(look: Seen, tmp_path: Path, run: ReportFacts) -> None:
    """At least 4.5 to 1 everywhere."""
    assert show(look, tmp_path, report(run)).evaluate(LOW_CONTRAST) == []


def test_every_text_of_a_notebook_has_contrast(look: Seen, tmp_path: Path) -> None:
    """Highlighted code included."""
    assert show(look, tmp_path, to_html(HOSTILE, title="Hostile")).evaluate(LOW_CONTRAST) == []


def test_a_printed_report_opens_what_is_folded(look: Seen, tmp_path: Path) -> None:
    """Paper has no folds: the rules asked are printed."""
    page = show(look, tmp_path, report(waiting()))
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = false; })")
    page.emulate_media(media="print")
    heights = page.evaluate(
        "[...document.querySelectorAll('details > table')].map((one) => one.offsetHeight)"
    )
    assert len(heights) == 4
    assert all(height > 0 for height in heights)
