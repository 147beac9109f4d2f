"""The pages that `ctnb demo` leaves, opened in a real browser as the people open them who must decide."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urljoin, urlsplit
from urllib.request import url2pathname

import pytest
import requests

if TYPE_CHECKING:  # `make test` collects this file on machines without a browser driver
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ROOT = Path(__file__).parent.parent
COPIED = ("ctnb.yml", "notebooks", "templates")
START_LIMIT_S = 60.0
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


@dataclass(frozen=True)
class Demo:
    """A project in which the demonstration ran."""

    folder: Path
    exit_code: int
    said: str

    def pages(self) -> list[Path]:
        """Every page of every record."""
        return sorted(self.folder.glob("runs/*/*/*.html"), key=lambda path: (path.parts[-3], path.name))

    def report(self, slug: str) -> Path:
        """The report of the one run of dataset `slug`."""
        (found,) = self.folder.glob(f"runs/{slug}/*/report.html")
        return found

    def counts(self) -> dict[str, Any]:
        """The record of the run that was released, as its file says."""
        record = self.report("overdose-deaths-by-town").with_name("run.json")
        return dict(json.loads(record.read_text(encoding="utf-8")))


@dataclass
class Watched:
    """A browser's page and what it did that a reader does not see."""

    page: Page
    console: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def opened(self, url: str) -> Page:
        """The page at `url`."""
        self.page.goto(url)
        return self.page


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The demonstration, run once by its command in a copy of this project."""
    folder = tmp_path_factory.mktemp("demo")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            unwanted = shutil.ignore_patterns("portal.yml", ".ipynb_checkpoints")
            shutil.copytree(source, folder / name, ignore=unwanted)
        else:
            shutil.copy(source, folder / name)
    done = subprocess.run(
        [sys.executable, "-m", "ctnb", "demo"],
        cwd=folder, env=_surroundings(folder), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=240,
    )  # fmt: skip
    return Demo(folder, done.returncode, done.stdout + done.stderr)


def _surroundings(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CTNB_")}
    return {**kept, "CTNB_PROJECT": str(folder), "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def portal(demo: Demo) -> Iterator[str]:
    """The embedded portal as `ctnb portal serve` serves it; its origin."""
    address = demo.folder / ".ctnb" / "portal" / "address.json"
    address.unlink(missing_ok=True)
    command = [sys.executable, "-m", "ctnb", "portal", "serve", "--port", "0"]
    process = subprocess.Popen(
        command, cwd=demo.folder, env=_surroundings(demo.folder), stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield _origin(process, address)
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(15)
        process.kill()
        process.wait()


def _origin(process: subprocess.Popen[bytes], address: Path) -> str:
    end = time.monotonic() + START_LIMIT_S
    while not address.exists():
        assert process.poll() is None and time.monotonic() < end, "the portal did not start"
        time.sleep(0.05)
    return str(json.loads(address.read_text(encoding="utf-8"))["url"])


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
def watched(browser: Browser) -> Iterator[Watched]:
    """A page whose every request, console message and error is kept."""
    page = browser.new_page(viewport=DESKTOP)  # type: ignore[arg-type]  # a plain dict, not the TypedDict
    seen = Watched(page)
    page.on("request", lambda request: seen.requests.append(request.url))
    page.on("console", lambda message: seen.console.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    yield seen
    page.close()


def test_the_demonstration_ends_well(demo: Demo) -> None:
    """One run is blocked, one released; both leave a report and a page for each notebook."""
    assert demo.exit_code == 0, demo.said
    names = [f"{path.parts[-3]}/{path.name}" for path in demo.pages()]
    assert names == [
        "overdose-deaths/1-read.html",
        "overdose-deaths/2-transform.html",
        "overdose-deaths/3-privacy_review.html",
        "overdose-deaths/report.html",
        "overdose-deaths-by-town/1-read.html",
        "overdose-deaths-by-town/2-transform.html",
        "overdose-deaths-by-town/3-privacy_review.html",
        "overdose-deaths-by-town/4-publish.html",
        "overdose-deaths-by-town/report.html",
    ]


def test_no_page_of_a_record_does_anything_but_show_itself(demo: Demo, watched: Watched) -> None:
    """No script, no console message, no error, and no request but for the page itself."""
    for path in demo.pages():
        watched.requests.clear()
        page = watched.opened(path.as_uri())
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        page.wait_for_timeout(50)
        assert watched.requests == [path.as_uri()]
        assert page.locator("script").count() == 0
    assert (watched.console, watched.errors) == ([], [])


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_no_page_of_a_record_is_wider_than_the_screen(
    demo: Demo, watched: Watched, viewport: dict[str, int]
) -> None:
    """With every fold open nobody scrolls sideways."""
    watched.page.set_viewport_size(viewport)  # type: ignore[arg-type]  # as above
    too_wide = []
    for path in demo.pages():
        page = watched.opened(path.as_uri())
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        if page.evaluate("document.documentElement.scrollWidth") > viewport["width"]:
            too_wide.append(path.name)
    assert too_wide == []


def test_every_link_of_the_pages_leads_to_a_file_or_a_place(demo: Demo, watched: Watched) -> None:
    """The report leads to the notebooks and they lead back; anchors exist."""
    for path in demo.pages():
        page = watched.opened(path.as_uri())
        links = page.eval_on_selector_all("a[href]", "all => all.map((one) => one.getAttribute('href'))")
        assert len(links) > 0
        assert [link for link in links if not _leads(page, path, link)] == []


def _leads(page: Page, path: Path, link: str) -> bool:
    if link.startswith("#"):
        return page.evaluate("id => document.getElementById(id) !== null", unquote(link[1:])) is True
    to = urlsplit(urljoin(path.as_uri(), link))
    return to.scheme == "file" and Path(url2pathname(to.path)).is_file()


@pytest.mark.parametrize(
    ("slug", "said"),
    [
        ("overdose-deaths", ["Blocked", "the smallest class has 1 row", "ctnb run overdose-deaths"]),
        ("overdose-deaths-by-town", ["Released", "rows on local, read back and equal", "Nothing has to be done."]),
    ],
)  # fmt: skip
def test_the_first_screen_of_a_phone_says_what_why_and_what_next(
    demo: Demo, watched: Watched, slug: str, said: list[str]
) -> None:
    """Status, reason, next action and the numbers are read without scrolling."""
    watched.page.set_viewport_size(PHONE)  # type: ignore[arg-type]  # as above
    page = watched.opened(demo.report(slug).as_uri())
    box = page.locator(".p-box").first.inner_text()
    assert [words for words in said if words.casefold() not in box.casefold()] == []
    bottom = page.evaluate("document.querySelector('.p-tiles').getBoundingClientRect().bottom")
    assert bottom <= PHONE["height"]


def test_the_row_account_of_the_counts_closes(demo: Demo, watched: Watched) -> None:
    """2,000 people become groups that stand for all of them; the cells suppressed are counted."""
    page = watched.opened(demo.report("overdose-deaths-by-town").as_uri())
    made = demo.counts()["transform"]
    groups, hidden = f"{made['rows_out']:,}", f"{made['suppressed']['deaths']:,}"
    rows = " ".join(page.locator("#rows").inner_text().split())
    assert "2,000 read = 0 set aside + 0 removed by rule + 2,000 kept." in rows
    assert f"{groups} groups stand for 2,000 rows; {hidden} of their cells are suppressed." in rows
    assert f"published {groups}groups" in rows.replace(f"{groups} groups", f"{groups}groups")


def test_thirty_findings_are_three_entries_the_worst_first(demo: Demo, watched: Watched) -> None:
    """What blocks stands on top; the others stand together by rule, with their remedy once."""
    page = watched.opened(demo.report("overdose-deaths").as_uri())
    entries = [" ".join(one.split()) for one in page.locator(".p-finding h3").all_inner_texts()]
    assert entries == ["blocks small-class", "needs a decision free-text", "needs a decision one-value"]


def test_the_decision_says_who_why_and_that_local_needs_one_pair_of_eyes(
    demo: Demo, watched: Watched
) -> None:
    """The report repeats the reason word for word."""
    page = watched.opened(demo.report("overdose-deaths-by-town").as_uri())
    text = page.locator("#decisions").inner_text()
    assert "Only counts leave, small ones are withheld" in text
    assert "not needed: local portal" in text


def test_the_pages_of_the_portal_stay_on_it(portal: str, watched: Watched) -> None:
    """Catalogue and dataset need no script and ask nobody but the portal; both fit a phone."""
    watched.page.set_viewport_size(PHONE)  # type: ignore[arg-type]  # as above
    for path in ("/", _dataset(portal)):
        page = watched.opened(portal + path)
        assert page.locator("script").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert [url for url in watched.requests if not url.startswith(portal + "/")] == []
    assert (watched.console, watched.errors) == ([], [])


def _dataset(portal: str) -> str:
    """The path of the one dataset's page."""
    (found,) = requests.get(f"{portal}/api/catalog/v1", timeout=60).json()["results"]
    return f"/d/{found['resource']['id']}"


def test_the_rows_of_the_dataset_are_paged_and_sorted(portal: str, watched: Watched) -> None:
    """Next shows other rows; a click on a heading sorts by it, a second click the other way."""
    page = watched.opened(portal + _dataset(portal))
    first = _column(page, "Id")
    page.get_by_role("link", name="Next").first.click()
    following = _column(page, "Id")
    assert set(first).isdisjoint(following)
    page.locator("thead a").first.click()
    up = _column(page, "Id")
    page.locator("thead a").first.click()
    down = _column(page, "Id")
    assert (up, down) == (sorted(up), sorted(down, reverse=True))
    assert up[0] < down[0]


def _column(page: Page, heading: str) -> list[str]:
    """The cells of one column of the table of rows."""
    rows = page.locator("table", has=page.locator("thead a")).first
    headings = [text.strip(" ▲▼\n") for text in rows.locator("thead th").all_inner_texts()]
    at = headings.index(heading)
    return rows.locator(f"tbody tr > :nth-child({at + 1})").all_inner_texts()


def test_the_downloads_of_the_dataset_answer(demo: Demo, portal: str, watched: Watched) -> None:
    """Each answers; the CSV has a line for its header and one for each row published."""
    page = watched.opened(portal + _dataset(portal))
    links = page.eval_on_selector_all(".actions a[href]", "all => all.map((one) => one.href)")
    answers = {link: requests.get(link, timeout=60) for link in links}
    assert [answer.status_code for answer in answers.values()] == [200] * len(links)
    assert {"CSV", "JSON", "XML", "Metadata"} <= {
        word.split()[-1] for word in page.locator(".actions a").all_inner_texts() if word.split()
    }
    (csv,) = (answer.text for link, answer in answers.items() if "rows.csv" in link)
    assert len(csv.splitlines()) == demo.counts()["release"]["rows_after"] + 1
