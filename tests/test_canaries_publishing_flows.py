"""Planted cells, keys and tokens in whole publishings: no record, ledger, list of ids, output or log holds one."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import flow_projects as fp
import ods_fixture
import pytest
from click.testing import CliRunner
from portal_fixture import Running, running_portal
from telling_portal import TELLS, Asked, TellingPortal, telling

from ctnb import datasets, flows, releases, settings, verification
from ctnb.cli.main import cli
from ctnb.clients import dsmapi, opendatasoft
from ctnb.embedded.ods_keys import add_api_key
from ctnb.errors import CtnbError
from ctnb.kernels.pools import KernelPool
from ctnb.records import RunRecord
from ctnb.settings import Project

SLUG = "counters"
APP_TOKEN = "app-tok-canary-Wz9Q"
WHY = "The counters of the bridge were wrong on these days."
CELLS = ("key-of-row", "Umbralwick", "Quillfeather", "Zyxwyn", "pobox-canary", "219-09-99", "88217766")
CTNB_YML = """\
format: 1
agency: Example agency
four_eyes: false
portals:
  local: {{kind: embedded}}
  city: {{kind: opendatasoft, url: "{url}", api_key: {{secret: CITY_API_KEY}}}}
  state:
    kind: socrata
    url: "{url}"
    key_id: {{secret: STATE_KEY_ID}}
    key_secret: {{secret: STATE_KEY_SECRET}}
    app_token: {{secret: STATE_TOKEN}}
"""
DATASET_YML = """\
format: 1
title: Bicycles counted
unit: other
source: {{path: data.csv}}
columns:
  - {{name: counter, header: Counter, type: code, role: plain, constraints: {{required: true}}}}
  - {{name: bicycles, header: Bicycles, type: integer, role: plain, constraints: {{minimum: 0}}}}
  - {{name: note, header: Note, type: text, role: plain}}
transform: {{use: none}}
{key}drift: {{table: {{category: accept, distribution: accept}}}}
portal: {{name: {portal}, public: false, mode: {mode}{more}}}
"""
KEY = "key: [counter]\n"
ROWS = [
    ("key-of-row-1", 88217766, "Umbralwick counted"),
    ("key-of-row-2", 20, None),
    ("key-of-row-3", 30, "dry"),
]


@dataclass
class Bench:
    """A project whose portals tell, and where everything that it said is."""

    project: Project
    running: Running
    portal: TellingPortal
    pool: KernelPool
    capfd: pytest.CaptureFixture[str]
    caplog: pytest.LogCaptureFixture
    secrets: list[str] = field(default_factory=list)
    said: str = ""

    @property
    def place(self) -> Path:
        """The dataset's folder."""
        return self.project.notebooks / SLUG

    def contract(self, portal: str = "state", mode: str = "upsert", key: str = KEY, more: str = "") -> None:
        """Write the contract."""
        self.place.mkdir(parents=True, exist_ok=True)
        text = DATASET_YML.format(portal=portal, mode=mode, key=key, more=more)
        (self.place / "dataset.yml").write_text(text, encoding="utf-8")

    def source(self, *rows: tuple[str, int, str | None]) -> None:
        """Write the source."""
        lines = ["Counter,Bicycles,Note", *(f"{key},{number},{note or ''}" for key, number, note in rows)]
        (self.place / "data.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def run(self, choose: Callable[[int, Asked], str] = lambda number, asked: "") -> RunRecord:
        """A run while the portal answers as `choose` says."""
        self.portal.again(choose)
        made = flows.run(SLUG, project=settings.load(self.project.root), pool=self.pool)
        self.portal.again()
        return made

    def ctnb(self, *arguments: str, stdin: str = "") -> str:
        """A command, and everything it said; what it raised is told as it would be with --debug."""
        done = CliRunner().invoke(cli, list(arguments), input=stdin)
        error = done.exception
        story = whole_chain(error) if error and not isinstance(error, SystemExit) else ""
        assert not story or isinstance(error, CtnbError), story
        self.said += done.output + story
        return f"{done.output}{story}"

    def id(self) -> str:
        """The dataset's id on the Socrata portal."""
        dataset = datasets.dataset(SLUG, self.project.notebooks)
        found = releases.dataset_id(self.project, dataset, "state")
        assert found is not None
        return found

    def leaks(self) -> dict[str, list[str]]:
        """Which planted texts stand where none may."""
        canaries = [*CELLS, *self.secrets]
        found = fp.found_in(self.project.runs, canaries)
        for name in ("portal.yml", "dataset.yml"):
            for path in self.project.notebooks.glob(f"*/{name}"):
                if hits := [one for one in canaries if one in path.read_text(encoding="utf-8")]:
                    found[str(path)] = hits
        told = self.capfd.readouterr()
        said = {"printed": told.out + told.err, "commands": self.said, "log": self.caplog.text}
        for name, text in said.items():
            if hits := [one for one in canaries if one.lower() in text.lower()]:
                found[name] = hits
        private = self.project.root / ".ctnb"
        found |= {str(path): ["others may read it"] for path in private.rglob("*") if _open(path)}
        found |= {
            f".ctnb/{name}": hits
            for name, hits in fp.found_in(private, self.secrets).items()
            if not name.startswith("portal/")  # the embedded portal's own account
        }
        return found

    def assert_clean(self) -> None:
        """Nothing leaked, and the record verifies."""
        assert self.leaks() == {}
        assert verification.verify(self.project).faults == ()


def _open(path: Path) -> bool:
    """Whether others may read `path`; locks hold nothing, and portal.yml ids alone."""
    return path.suffix not in (".lock", ".lease", ".yml") and bool(path.stat().st_mode & 0o077)


def whole_chain(error: BaseException) -> str:
    """Everything that could be printed of `error` and of whatever it came from."""
    told, left = [], [error]
    while left:
        one = left.pop()
        told += [str(one), repr(one), repr(vars(one))]
        left += [link for link in (one.__cause__, one.__context__) if link is not None]
    return "\n".join(told)


@pytest.fixture(scope="module")
def pool() -> Iterator[KernelPool]:
    """One pool of kernels for every run of this file."""
    with KernelPool() as made:
        yield made


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A running embedded portal, which speaks both dialects."""
    with running_portal(tmp_path_factory.mktemp("portal")) as made:
        yield made


@pytest.fixture
def bench(
    tmp_path: Path, running: Running, pool: KernelPool, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture,
) -> Iterator[Bench]:  # fmt: skip
    """A project with a dataset for a Socrata portal that tells."""
    caplog.set_level(logging.DEBUG)
    key = add_api_key(running.file, running.key_id)
    named = {
        "CITY_API_KEY": key, "STATE_KEY_ID": running.key_id, "STATE_KEY_SECRET": running.key_secret,
        "STATE_TOKEN": APP_TOKEN, "CTNB_PROJECT": str(tmp_path),
    }  # fmt: skip
    for name, value in named.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(opendatasoft, "POLL_S", 0.1)
    monkeypatch.setattr(dsmapi, "PATIENCE_S", 5.0)  # a portal that lies about what it did is not waited for
    with telling(running.url) as portal:
        (tmp_path / "ctnb.yml").write_text(CTNB_YML.format(url=portal.url), encoding="utf-8")
        (tmp_path / "notebooks").mkdir()
        made = Bench(settings.load(tmp_path), running, portal, pool, capfd, caplog)
        made.secrets += [running.key_secret, APP_TOKEN, key]
        made.contract()
        made.source(*ROWS)
        yield made


@pytest.fixture
def city(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """The same for a realtime source of an Opendatasoft portal, with a first release."""
    start = {"counter": "x", "bicycles": 1, "note": "y"}
    made = ods_fixture.realtime(bench.running, start, "counter", restricted=True)
    made.type("bicycles", "int")
    made.publish()
    where, _, key = (bench.portal.url + made.push_path).partition("?pushkey=")
    monkeypatch.setenv("CITY_PUSH_KEY", key)
    bench.secrets.append(key)
    text = f"format: 1\ncity:\n  id: {made.uid}\n  push_url: {where}\n  push_key: {{secret: CITY_PUSH_KEY}}\n"
    (bench.place / "portal.yml").write_text(text, encoding="utf-8")
    bench.contract("city")
    return bench


def writes(tell: str, *words: str) -> Callable[[int, Asked], str]:
    """`tell` is what each write to a path with one of `words` is answered."""
    return lambda number, asked: (
        tell if asked.method != "GET" and any(word in asked.path for word in words) else ""
    )


def test_a_refused_row_is_not_repeated(bench: Bench) -> None:
    """The portal quotes the rows, the account and the token; the record says a status."""
    record = bench.run(writes("a refusal", "/resource/"))
    assert (record.status, record.exit_code) == ("failed", 3), record.reason
    assert "status 400" in record.reason
    bench.assert_clean()


def test_a_release_and_its_report_hold_no_secret(bench: Bench) -> None:
    """Rows and secrets went to the portal; here only the kept release has the rows."""
    record = bench.run()
    assert record.status == "released", record.reason
    assert "portal" in bench.ctnb("check", SLUG)
    bench.ctnb("portal", "check", "state")
    bench.ctnb("releases", SLUG)
    bench.assert_clean()
    holding = {Path(name).parts[0] for name in fp.found_in(bench.project.root / ".ctnb", ["Umbralwick"])}
    assert holding <= {"releases", "work"}


BY_SODA = (
    "a page with 200", "a page that says it is JSON", "a kind that quotes", "a code that is a cell", "busy", "a text",
    "a redirect with a token", "a redirect to nowhere", "texts for numbers", "a line that is no header", "cut off",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("tell", BY_SODA)
def test_whatever_is_said_of_rows_sent_at_once(bench: Bench, tell: str) -> None:
    """Failed, or released where the portal had the rows all the same; nothing is repeated."""
    record = bench.run(writes(tell, "/resource/"))
    assert record.status in ("failed", "released"), record.reason
    bench.assert_clean()


@pytest.mark.slow
@pytest.mark.parametrize(
    "tell", ["a refusal", "a code that is a cell", "texts for numbers", "an object of texts"]
)
@pytest.mark.parametrize("step", ["/chunk/", "/schema/", "/apply"])
def test_whatever_is_said_of_a_revision(bench: Bench, tell: str, step: str) -> None:
    """Errors of an upload, a schema and a job that quote the rows."""
    bench.contract(mode="append", key="")
    record = bench.run(writes(tell, step))
    assert record.status in ("failed", "released"), record.reason
    bench.assert_clean()


@pytest.mark.slow
def test_a_read_back_that_differs_names_columns_and_counts(bench: Bench) -> None:
    """Somebody changed the portal's rows between sending and reading back."""
    assert bench.run().status == "released"
    uid = bench.id()
    bench.source(*ROWS[:2], ("key-of-row-3", 31, "Zyxwyn saw it"))
    seen: list[str] = []

    def meanwhile(number: int, asked: Asked) -> str:
        if asked.method == "POST" and "/resource/" in asked.path:
            seen.append("sent")
        elif seen == ["sent"] and "/resource/" in asked.path:
            seen.append("changed")
            row = {"counter": "key-of-row-2", "bicycles": "88217766", "note": "Quillfeather was here"}
            assert bench.running.ask("POST", f"/resource/{uid}.json", json=[row]).status_code == 200
        return ""

    record = bench.run(meanwhile)
    assert (record.status, seen) == ("failed", ["sent", "changed"])
    assert "note: " in record.reason
    bench.assert_clean()


@pytest.mark.slow
def test_plans_that_stop_name_columns_and_counts(bench: Bench) -> None:
    """Rows that would go without a reason, then a field that only the portal has."""
    bench.contract(mode="sync")
    assert bench.run().status == "released"
    bench.source(*ROWS[1:])
    fewer = bench.run()
    assert (fewer.status, fewer.release) == ("failed", None), fewer.reason
    uid = bench.id()
    column = {"name": "seen", "fieldName": "seen", "dataTypeName": "text"}
    copied = bench.running.ask("POST", f"/api/views/{uid}/publication.json?method=copy").json()["id"]
    assert bench.running.ask("POST", f"/api/views/{copied}/columns.json", json=column).status_code == 200
    assert bench.running.ask("POST", f"/api/views/{copied}/publication.json").status_code == 200
    bench.source(*ROWS, ("key-of-row-4", 5, "Zyxwyn"))
    mapped = bench.run()
    assert "seen: only there" in mapped.reason
    bench.assert_clean()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "more"), [("sync", ""), ("replace-period", ", period: {column: bicycles, by: value}")]
)
def test_differences_are_worked_out_without_a_word_of_them(bench: Bench, mode: str, more: str) -> None:
    """A second release that changes and adds rows."""
    bench.contract(mode=mode, more=more)
    assert bench.run().status == "released"
    bench.source(*ROWS, ("key-of-row-4", 41, "Zyxwyn counted"))
    record = bench.run()
    assert record.status in ("released", "failed"), record.reason
    bench.assert_clean()


def lines(*records: object) -> str:
    """JSON lines."""
    return "".join(json.dumps(one) + "\n" for one in records)


@pytest.mark.slow
def test_pushed_records_stand_in_the_spool_alone(bench: Bench) -> None:
    """Lines that are none, cells of another type, a portal that is down: kept below .ctnb, for their owner."""
    assert bench.run().status == "released"
    given = "Zyxwyn Quillfeatherax, no JSON\n" + lines(
        {"Umbralwick": "a name that is a cell"}, {"counter": "key-of-row-7", "bicycles": "Zyxwyn"},
        {"counter": "key-of-row-8", "bicycles": 8, "note": "Umbralwick again"},
    )  # fmt: skip
    assert "2 of 4 lines are no records" in bench.ctnb("push", SLUG, "-", stdin=given)
    bench.portal.again(lambda number, asked: "busy")
    down = bench.ctnb("push", SLUG, "-", stdin=lines({"counter": "key-of-row-9", "bicycles": 9}))
    assert "1 batch waits on disk" in down
    spool = bench.project.root / ".ctnb" / "spool"
    assert fp.found_in(spool, ["key-of-row-9", "Zyxwyn Quillfeatherax"]) != {}
    bench.portal.again(writes("a refusal", "/resource/"))
    bench.ctnb("push", SLUG, "-", stdin="")
    bench.portal.again()
    assert "confirmed" in bench.ctnb("push", SLUG, "-", stdin="")
    gone = lines({"counter": "key-of-row-9"}, {"counter": "key-of-row-99 Zyxwyn"})
    bench.ctnb("push", SLUG, "-", "--delete", "key", "--reason", WHY, stdin=gone)
    bench.assert_clean()


@pytest.mark.slow
@pytest.mark.parametrize("tell", ["a refusal", "a redirect with a token"])
def test_a_push_whose_errors_quote_record_and_key(city: Bench, tell: str) -> None:
    """The push key stands in the address that the portal quotes."""
    record = city.run(writes(tell, "/api/push/"))
    assert record.status in ("failed", "released"), record.reason
    again = city.run()
    assert again.status == "released", again.reason
    city.ctnb("check", SLUG)
    city.ctnb("portal", "disable", SLUG, "--reason", WHY)
    city.ctnb("push", SLUG, "-", stdin=lines({"counter": "key-of-row-5", "bicycles": 5, "note": "Zyxwyn"}))
    city.assert_clean()


@pytest.mark.slow
def test_what_is_restored_emptied_and_adopted(bench: Bench) -> None:
    """Rows come back, go, and are taken over under another name."""
    first = bench.run()
    bench.source(*ROWS, ("key-of-row-4", 5, "Zyxwyn"))
    assert bench.run().status == "released"
    bench.ctnb("restore", SLUG, "--to", str(first.run), "--reason", WHY)
    uid = bench.id()
    where = f"{bench.portal.url}/d/{uid}"
    made = bench.ctnb("new", "adopted", "--from-portal", where, "--portal", "state")
    assert "kept as its first release" in made
    secret = f"127.0.0.1/d/{uid}?$$app_token={APP_TOKEN}"
    bench.ctnb("new", "mistaken", "--from-portal", secret, "--portal", "state")
    bench.portal.again(lambda number, asked: "a refusal" if "/resource/" in asked.path else "")
    bench.ctnb("new", "refused", "--from-portal", uid, "--portal", "state")
    bench.ctnb("check", SLUG)
    bench.ctnb("portal", "empty", SLUG, "--reason", WHY)
    bench.portal.again()
    bench.ctnb("portal", "empty", SLUG, "--reason", WHY)
    bench.ctnb("copy", SLUG, "--to", "local")
    bench.assert_clean()


@pytest.mark.slow
@pytest.mark.parametrize(
    "tell", ["a refusal", "a page with 200", "a redirect with a token", "an object of texts"]
)
def test_a_check_repeats_nothing(bench: Bench, tell: str) -> None:
    """Whatever the portal says to each of its questions."""
    assert bench.run().status == "released"
    for step in range(4):
        bench.portal.again(lambda number, asked, step=step: tell if number == step else "")
        bench.ctnb("check", SLUG)
        bench.portal.again(lambda number, asked, step=step: tell if number == step else "")
        bench.ctnb("portal", "check", "state")
    bench.assert_clean()


def under_every_tell(
    bench: Bench, act: Callable[[], str], before: Callable[[], object] = lambda: None
) -> str:
    """Do `act` while each of TELLS is said at one of its requests, another each time; then on a portal that is well."""
    before()
    bench.portal.again()
    act()
    steps = max(len(bench.portal.asked), 1)
    for number, tell in enumerate(TELLS):
        for at in {number % steps, (number * 3 + steps // 2) % steps}:
            bench.portal.again()
            before()
            bench.portal.again(lambda counted, asked, at=at, tell=tell: tell if counted == at else "")
            act()
    bench.portal.again()
    before()
    bench.portal.again()
    return act()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("disable", "refuses pushes now"), ("enable", "takes pushes again"), ("recover", "rows are back"),
        ("unpublish", "unpublished: "),
    ],
)  # fmt: skip
def test_a_life_on_a_portal_whose_every_answer_quotes(city: Bench, what: str, said: str) -> None:
    """Pages, codes, reasons, redirects and torn answers at any request: nothing repeats them."""
    assert city.run().status == "released"
    more = ("--yes",) if what == "unpublish" else ()

    def back() -> None:
        if what == "unpublish":
            assert "rows are back" in city.ctnb("portal", "recover", SLUG, "--reason", WHY)

    told = under_every_tell(city, lambda: city.ctnb("portal", what, SLUG, "--reason", WHY, *more), back)
    assert said in told
    city.assert_clean()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "said"), [("empty", "emptied: 4 rows"), ("unpublish", "unpublished: 4 rows")]
)
def test_rows_that_are_taken_down_are_repeated_by_nothing(bench: Bench, what: str, said: str) -> None:
    """They are kept as a release each time, and only there."""
    assert bench.run().status == "released"
    uid = bench.id()
    rows = [
        {"counter": f"key-of-row-{n}", "bicycles": "9", "note": "Zyxwyn of the bridge"} for n in range(1, 5)
    ]

    def back() -> None:
        assert bench.running.ask("PUT", f"/resource/{uid}.json", json=rows).status_code == 200

    told = under_every_tell(bench, lambda: bench.ctnb("portal", what, SLUG, "--reason", WHY, "--yes"), back)
    assert said in told
    bench.assert_clean()
    holding = {Path(name).parts[0] for name in fp.found_in(bench.project.root / ".ctnb", ["Zyxwyn"])}
    assert holding == {"releases"}


@pytest.mark.slow
def test_a_schedule_whose_every_answer_quotes(city: Bench) -> None:
    """Set, written anew for all, and looked at by a check."""
    assert "is set" in under_every_tell(city, lambda: city.ctnb("portal", "schedule", SLUG, "daily 06:30"))
    assert "is set already" in under_every_tell(city, lambda: city.ctnb("portal", "schedule", "--all"))
    assert "daily 06:30" in under_every_tell(city, lambda: city.ctnb("portal", "check", "city"))
    city.assert_clean()
