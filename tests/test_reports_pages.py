"""The report of a run: what it says, in which order, and what cannot get out of it."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
import re
from urllib.parse import urlsplit

import pytest
from report_examples import HEX, START, blocked, released, waiting
from test_reports_notebooks import Elements, live

from ctnb.reports.facts import (
    STATUSES,
    ChangeFacts,
    ColumnFacts,
    Count,
    FileFacts,
    FindingFacts,
    Person,
    ReportFacts,
    RowAccount,
)
from ctnb.reports.markup import CONTENT_SECURITY_POLICY
from ctnb.reports.pages import TONES, report
from ctnb.reports.tables import bytes_text, duration, share

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>\u202e'


def text_of(run: ReportFacts) -> str:
    """What a reader sees, with single blanks."""
    return re.sub(r"\s+", " ", Elements(report(run)).text)


def made_hostile(value: object) -> object:
    """`value` with every text in it replaced by an attack, however deep it lies."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}
        closed = (
            ("status", "severity", "answer", "verdict", "kind") if "agency" not in fields else ("status",)
        )
        return dataclasses.replace(
            value, **{k: v if k in closed else made_hostile(v) for k, v in fields.items()}
        )
    if isinstance(value, tuple):
        return tuple(made_hostile(one) for one in value)
    return HOSTILE if isinstance(value, str) else value


@pytest.mark.parametrize("run", [waiting(), released(), blocked()], ids=lambda run: run.status)
def test_hostile_facts_stay_inert(run: ReportFacts) -> None:
    """Every text of the record may be an attack; none comes alive."""
    hostile = made_hostile(run)
    assert isinstance(hostile, ReportFacts)
    page = report(hostile)
    assert set(live(page)) - {"a href"} == set()
    assert {urlsplit(str(one["href"])).scheme for one in Elements(page).all("a")} <= {"", "http", "https"}
    assert "\u202e" not in page


def test_links_to_files_can_only_be_relative() -> None:
    """A path of a file cannot turn into a script or into another host's address."""
    paths = (
        "javascript:alert(1)",
        "//beacon.invalid/x",
        "\\\\beacon.invalid\\x",
        "steps/1 read.html",
        "data:text/html,x",
    )
    page = report(dataclasses.replace(waiting(), steps=(), files=tuple(FileFacts(p, 1, HEX) for p in paths)))
    links = [str(one["href"]) for one in Elements(page).all("a") if not str(one["href"]).startswith("#")]
    assert links == [
        "javascript%3Aalert%281%29", "beacon.invalid/x", "beacon.invalid/x", "steps/1%20read.html",
        "data%3Atext/html%2Cx",
    ]  # fmt: skip


def test_a_portal_address_that_is_no_web_page_is_no_link() -> None:
    """The address comes from a portal."""
    run = released()
    assert run.release is not None
    odd = dataclasses.replace(run, release=dataclasses.replace(run.release, url="javascript:alert(1)"))
    assert "javascript" not in "".join(str(one["href"]) for one in Elements(report(odd)).all("a"))


def test_the_policy_comes_first_and_no_script_or_style_from_elsewhere_follows() -> None:
    """The page is complete in itself."""
    elements = Elements(report(waiting()))
    assert elements.found[2] == (
        "meta",
        {"http-equiv": "Content-Security-Policy", "content": CONTENT_SECURITY_POLICY},
    )
    assert elements.all("script") + elements.all("link") + elements.all("img") == []


def test_every_status_has_a_tone() -> None:
    """A new status cannot come without its colour."""
    assert tuple(TONES) == STATUSES


@pytest.mark.parametrize("status", STATUSES)
def test_the_status_is_a_word_and_never_colour_alone(status: str) -> None:
    """Whoever sees no colour reads the status."""
    page = report(dataclasses.replace(waiting(), status=status))
    assert re.search(
        rf'<p class="p-status"><span class="p-badge [^>]*><svg.*?</svg> {status}</span></p>', page
    )


def test_the_top_says_why_and_what_must_happen_next() -> None:
    """Verdict, next action, by whom, and the command to copy."""
    run = waiting()
    text = text_of(run)
    assert f"waiting{run.verdict}Next: {run.next_action} By {run.next_by}.{run.next_command}Run" in text


def test_a_released_run_says_that_nothing_has_to_be_done() -> None:
    """No next action is said, too."""
    assert "Nothing has to be done." in text_of(released())


def test_the_sections_stand_in_the_order_in_which_a_reviewer_asks() -> None:
    """Changes, review, columns and rows before the paperwork."""
    sections = [str(one["id"]) for one in Elements(report(waiting())).all("section")]
    assert sections == [
        "changes", "findings", "columns", "rows", "decisions", "release", "steps", "limits", "digests", "files",
    ]  # fmt: skip


def test_every_link_within_the_page_leads_somewhere() -> None:
    """The list of sections names no section that is not there."""
    bare = dataclasses.replace(waiting(), changes=None, columns=(), account=None, steps=(), files=())
    elements = Elements(report(bare))
    ids = {attributes["id"] for _, attributes in elements.found if "id" in attributes}
    assert {str(one["href"])[1:] for one in elements.all("a") if str(one["href"]).startswith("#")} <= ids


def test_headings_never_skip_a_level() -> None:
    """One h1, then h2, then h3: what a screen reader walks."""
    levels = [int(tag[1]) for tag, _ in Elements(report(released())).found if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_every_cell_of_a_table_has_a_header_with_a_scope() -> None:
    """Tables can be read cell by cell without seeing them."""
    scopes = {one.get("scope") for one in Elements(report(released())).all("th")}
    assert scopes == {"col", "row"}


def test_the_worst_findings_come_first() -> None:
    """What blocks stands above what waits and what is only noted."""
    found = tuple(FindingFacts(f"rule.{s}", (), s, text=s) for s in ("note", "block", "wait"))  # type: ignore[arg-type]
    text = text_of(dataclasses.replace(waiting(), findings=found))
    assert text.index("rule.block") < text.index("rule.wait") < text.index("rule.note")


def test_a_count_is_shown_with_its_share() -> None:
    """4,315 of 10,654 says more than 4,315."""
    assert "4,315 of 10,654 (40.5%)" in text_of(blocked())


def test_a_rule_that_could_not_be_asked_is_said_in_the_open() -> None:
    """Skipped rules are not folded away."""
    assert "1 rule could not be asked: drift.differencing" in text_of(waiting()).replace(
        "asked:d", "asked: d"
    )


def test_a_run_without_a_review_does_not_look_clean() -> None:
    """No findings because nobody looked is not the same as no findings."""
    text = text_of(dataclasses.replace(waiting(), reviewed=False, findings=(), rules=()))
    assert "Nothing on this page says that the table is safe to publish." in text
    assert "came back clean" not in text


def test_a_review_without_findings_says_so() -> None:
    """A clean review is a sentence, not an empty table."""
    assert "Every rule that was asked came back clean." in text_of(
        dataclasses.replace(waiting(), findings=())
    )


def test_columns_without_a_role_stand_on_top() -> None:
    """They block publishing, so they come first."""
    columns = (
        ColumnFacts("a", "text", "plain"),
        ColumnFacts("b", "text", ""),
        ColumnFacts("c", "text", "identifier"),
    )
    text = text_of(dataclasses.replace(waiting(), columns=columns))
    assert "3 columns: 1 without a role, 1 identifier, 1 plain" in text
    assert text.index("btext") < text.index("ctext") < text.index("atext")


def test_the_row_account_closes_in_words() -> None:
    """Rows read are rows set aside, removed and kept."""
    text = text_of(waiting())
    assert "closes 10,654 read = 54 set aside + 312 removed by rule + 10,288 kept." in text
    assert "1,284 groups stand for 10,288 deaths; 212 of their cells are suppressed." in text


def test_an_account_that_does_not_close_is_shown_with_its_reason() -> None:
    """A free transform that cannot be accounted for does not look accounted for."""
    account = RowAccount(read=10, rejected=(Count("type.date", 1),), rows=40, closes=False, reason="A join.")
    text = text_of(dataclasses.replace(waiting(), account=account))
    assert "not accounted for Rows in and rows out do not close. Reason given: A join." in text
    assert "10 read =" not in text


def test_a_first_release_is_called_one() -> None:
    """Nothing to compare with is said."""
    text = text_of(dataclasses.replace(released(), changes=ChangeFacts()))
    assert "This is the first release of this dataset" in text


def test_a_run_that_released_nothing_is_no_first_release() -> None:
    """A blocked first run has nothing to compare with either, and does not claim a release."""
    text = text_of(dataclasses.replace(blocked(), release=None, changes=ChangeFacts()))
    assert "Nothing of it was released before: there is nothing to compare with." in text


def test_findings_of_one_kind_stand_together_with_their_remedy_once() -> None:
    """Thirty columns with one remedy are one entry to read, and every column is in it."""
    found = tuple(
        FindingFacts("one-value", (f"column_{n}",), "wait", n, 50, "Same.", "Coarsen it.") for n in range(30)
    )
    text = text_of(dataclasses.replace(waiting(), findings=found))
    assert "30 findings in 30 columns: column_29, column_28, column_27, column_26 and 26 more" in text
    assert text.count("Coarsen it.") == 1
    assert all(f"column_{n}" in text for n in range(30))


def test_why_another_person_was_not_needed_is_said_without_alarm() -> None:
    """On the embedded portal one person may run and decide; the page says so in place of a warning."""
    one = dataclasses.replace(
        released().decisions[0], four_eyes=False, eyes_reason="not needed: local portal"
    )
    text = text_of(dataclasses.replace(released(), decisions=(one,)))
    assert "Four eyesnot needed: local portal" in text


def test_a_decision_shows_who_how_known_why_and_until_when() -> None:
    """What a reader of the record must be able to check."""
    text = text_of(released())
    for said in (
        "approved by A. Chen",
        "uid 1001",
        "Expires2027-11-21",
        "yes another person",
        "Review again when",
    ):
        assert said in text


def test_a_decision_by_the_same_person_is_marked() -> None:
    """Where four eyes did not look, the page says so."""
    one = dataclasses.replace(released().decisions[0], four_eyes=False)
    assert "no the same person started the run" in text_of(dataclasses.replace(released(), decisions=(one,)))


@pytest.mark.parametrize("state", ["stale", "expired"])
def test_an_approval_that_no_longer_holds_says_so(state: str) -> None:
    """A derived state stands beside the word."""
    one = dataclasses.replace(released().decisions[0], state=state)
    assert f"approved, now {state}" in text_of(dataclasses.replace(released(), decisions=(one,)))


def test_a_release_that_differs_when_read_back_is_not_called_equal() -> None:
    """The read-back is what makes a release one."""
    run = released()
    assert run.release is not None
    differs = dataclasses.replace(run, release=dataclasses.replace(run.release, equal=False))
    assert "NOT equal to the table reviewed" in text_of(differs)


def test_a_run_without_an_end_says_so() -> None:
    """A run that was killed has no end."""
    assert "no end recorded" in text_of(dataclasses.replace(blocked(), ended=None))
    assert "not yet: it goes on after the decision" in text_of(dataclasses.replace(waiting(), ended=None))


def test_the_same_facts_give_the_same_page() -> None:
    """A report can be made again and compared."""
    assert report(released()) == report(released())


def test_a_report_of_almost_nothing_can_be_made() -> None:
    """A run that crashed at once has a report."""
    person = Person("M. Rivera", "operating-system account, uid 1000")
    run = ReportFacts(
        "deaths", "Deaths", "OCME", "20261121T110512Z-7f3a", "crashed", "The kernel died.", person, START
    )
    assert "The kernel died." in text_of(run)


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [
        (0, 7, "0%"),
        (7, 7, "100%"),
        (1, 10_000, "under 0.1%"),
        (9_999, 10_000, "over 99.9%"),
        (1, 3, "33.3%"),
        (0, 0, ""),
    ],
)
def test_shares_never_round_something_to_nothing(part: int, whole: int, said: str) -> None:
    """One of ten thousand is not 0.0%."""
    assert share(part, whole) == said


@pytest.mark.parametrize(("seconds", "said"), [(9.3, "9.3 s"), (72.4, "1 min 12 s"), (7_260, "2 h 1 min")])
def test_durations_are_said_in_two_units_at_most(seconds: float, said: str) -> None:
    """Long runs are not told in seconds."""
    assert duration(seconds) == said


@pytest.mark.parametrize(("count", "said"), [(1, "1 byte"), (999, "999 bytes"), (4_213_222, "4.2 MB")])
def test_sizes_are_said_in_powers_of_ten(count: int, said: str) -> None:
    """As file managers and portals count."""
    assert bytes_text(count) == said


def test_times_are_in_utc_whatever_zone_they_come_in() -> None:
    """One clock for the whole record."""
    local = dt.datetime(2026, 11, 21, 6, 5, 12, tzinfo=dt.timezone(dt.timedelta(hours=-5)))
    assert report(dataclasses.replace(waiting(), started=local)) == report(waiting())
