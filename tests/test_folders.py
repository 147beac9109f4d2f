"""Folders that somebody puts files into: which files are taken, which are left, and where they go afterwards."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import flow_projects as fp
import pytest
from pydantic import ValidationError
from ruamel.yaml import YAML

from ctnb import clock, records, verification
from ctnb.contracts.places import Folder
from ctnb.contracts.publication import Portal
from ctnb.contracts.sources import Source
from ctnb.datasets import Contract
from ctnb.errors import NothingNew, SourceFailed, SourceInvalid
from ctnb.kernels.pools import KernelPool
from ctnb.places import fetching, folders
from ctnb.places.fetched import Fetched, Request
from ctnb.settings import Project, Settings

NOON = clock.parse("2026-11-21T12:00:00.000000Z")


@pytest.fixture
def request_(tmp_path: Path) -> Request:
    """A dataset's folder with an empty inbox beside its files; it is noon."""
    clock.fix(NOON)
    folder = tmp_path / "notebooks" / "sample"
    (folder / "inbox").mkdir(parents=True)
    (tmp_path / "work").mkdir()
    return Request(tmp_path / "work", folder.resolve(), tmp_path, roots=(), again=True)


@pytest.fixture(scope="module")
def pool() -> Iterator[KernelPool]:
    """One pool of kernels for every run of this file."""
    with KernelPool() as made:
        yield made


def put(request: Request, name: str, text: str = "a\n1\n", *, age_s: float = 3600) -> Path:
    """A file in the inbox that was last changed `age_s` ago."""
    path = request.folder / "inbox" / name
    path.write_text(text)
    changed = NOON.timestamp() - age_s
    os.utime(path, (changed, changed))
    return path


def fetch(request: Request, *, sleep: Callable[[float], None] = lambda seconds: None, **keys: Any) -> Fetched:
    """What the folder `inbox` gives."""
    return folders.fetch(Folder(path="inbox", **keys), request, sleep=sleep)


def names(fetched: Fetched) -> list[str]:
    """The names of the files that were taken."""
    return [snapshot.name for snapshot in fetched.snapshots]


def after(request: Request, fetched: Fetched) -> Request:
    """The request of the run after the release of what was `fetched`."""
    return replace(request, again=False, position=fetched.position)


def listed(folder: Path) -> list[str]:
    """Every file below `folder`."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


# -- which files


TAKES: Mapping[str, list[str]] = {
    "newest": ["c.csv"], "oldest": ["a.csv"], "new": ["a.csv", "b.csv", "c.csv"],
    "all": ["a.csv", "b.csv", "c.csv"],
}  # fmt: skip


@pytest.mark.parametrize("take", TAKES)
def test_files_are_chosen_by_when_they_were_changed(request_: Request, take: str) -> None:
    """Whatever their names; several come with the oldest first, each as a snapshot of its own."""
    for name, age_s in (("b.csv", 500), ("c.csv", 400), ("a.csv", 600)):
        put(request_, name, f"{name}\n", age_s=age_s)
    found = fetch(request_, take=take)
    assert TAKES[take] == names(found)
    assert [f"{name}\n" for name in TAKES[take]] == [one.path.read_text() for one in found.snapshots]
    assert len(found.snapshots) == len({one.path for one in found.snapshots})


def test_files_of_one_age_are_chosen_by_name(request_: Request) -> None:
    """A copy of a whole folder gives every file the same second."""
    for name in ("b.csv", "c.csv", "a.csv"):
        put(request_, name)
    assert ["c.csv"] == names(fetch(request_))
    assert ["a.csv"] == names(fetch(request_, take="oldest"))


def test_only_files_whose_name_fits_are_taken(request_: Request) -> None:
    """In any case of letters; a bracket is a bracket."""
    for name in ("Deaths-2025.CSV", "deaths-2026.csv", "births-2026.csv", "deaths[1].csv", "deaths1.csv"):
        put(request_, name)
    wanted = ["Deaths-2025.CSV", "deaths-2026.csv"]
    assert wanted == sorted(names(fetch(request_, pattern="deaths-????.csv", take="new")))
    assert ["deaths[1].csv"] == names(fetch(request_, pattern="deaths[1].csv"))


@pytest.mark.parametrize("pattern", ["../*.csv", "sub/*.csv", "sub\\*.csv", ""])
def test_a_pattern_is_of_names(pattern: str) -> None:
    """It cannot lead out of the folder, nor into others below it."""
    with pytest.raises(ValidationError):
        Folder(path="inbox", pattern=pattern)


@pytest.mark.parametrize(
    "name",
    [
        ".hidden.csv",
        "a.csv.part",
        "a.csv.PARTIAL",
        "a.csv.done",
        "~$a.xlsx",
        "Thumbs.db",
        "a.filepart",
        "a.tmp",
    ],
)
def test_what_is_no_source_is_never_taken(request_: Request, name: str) -> None:
    """Hidden files, files still being sent, marked files, and the locks that Office puts down."""
    put(request_, name)
    with pytest.raises(NothingNew):
        fetch(request_)


def test_folders_and_pipes_are_no_files(request_: Request) -> None:
    """Nothing that is not a plain file is opened."""
    (request_.folder / "inbox" / "deeper").mkdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(request_.folder / "inbox" / "pipe.csv")
    (request_.folder / "inbox" / "lost.csv").symlink_to("nowhere.csv")
    with pytest.raises(NothingNew):
        fetch(request_)


def test_a_file_must_have_lain_for_a_while(request_: Request) -> None:
    """One that was changed a moment ago may not be complete; the note says that it was left."""
    put(request_, "old.csv", age_s=61)
    put(request_, "young.csv", age_s=59)
    put(request_, "future.csv", age_s=-86_400)
    found = fetch(request_)
    assert ["old.csv"] == names(found)
    assert ("2 files in the folder: changed less than 60 s ago.",) == found.notes
    assert ["young.csv"] == names(fetch(request_, at_least_age_s=0))


def test_a_file_that_still_grows_is_left(request_: Request) -> None:
    """Two looks, `stable_s` apart, must see the same size and time."""
    put(request_, "growing.csv")
    put(request_, "whole.csv", age_s=7200)
    waited = []

    def grow(seconds: float) -> None:
        waited.append(seconds)
        put(request_, "growing.csv", "a\n1\n2\n")

    found = fetch(request_, sleep=grow, stable_s=3)
    assert (["whole.csv"], [3.0]) == (names(found), waited)
    assert ("1 file in the folder: still being written.",) == found.notes
    (request_.folder / "inbox" / "whole.csv").unlink()
    with pytest.raises(NothingNew, match="1 still being written"):
        fetch(request_, sleep=lambda seconds: (put(request_, "growing.csv", "a\n"), None)[1])


def test_files_that_the_choice_leaves_are_counted(request_: Request) -> None:
    """Of three files one is read: the record says that two are not."""
    for name, age_s in (("a.csv", 600), ("b.csv", 500), ("c.csv", 400)):
        put(request_, name, age_s=age_s)
    assert ("2 files in the folder: not read, by take: newest.",) == fetch(request_).notes
    assert () == fetch(request_, take="all").notes


def test_when_the_newest_rows_were_changed_is_known(request_: Request) -> None:
    """The newest file's time, in UTC."""
    put(request_, "a.csv", age_s=3600)
    put(request_, "b.csv", age_s=7200)
    assert "2026-11-21T11:00:00.000000Z" == fetch(request_, take="all").modified


# -- what is new


def test_a_released_file_is_not_new(request_: Request) -> None:
    """It is known by name, size and time; nothing of its content is remembered."""
    put(request_, "a.csv", "a\nWanda Tremaine\n")
    found = fetch(request_)
    changed = int((NOON.timestamp() - 3600) * 1e9)
    assert {"files": [{"mtime_ns": changed, "name": "a.csv", "size": 17}], "earlier": []} == found.position
    with pytest.raises(NothingNew, match=r"The folder inbox has no new file: 1 not new\."):
        fetch(after(request_, found))
    put(request_, "a.csv", "a\nWanda Tremaine\n", age_s=100)
    assert ["a.csv"] == names(fetch(after(request_, found)))


def test_the_oldest_first_goes_through_all_files_in_turn(request_: Request) -> None:
    """Each is released once, though all are left where they are."""
    for number in (1, 2, 3):
        put(request_, f"{number}.csv", age_s=1000 - number)
    now, seen = request_, []
    for _ in range(3):
        found = fetch(now, take="oldest")
        seen += names(found)
        now = after(request_, found)
    assert ["1.csv", "2.csv", "3.csv"] == seen
    with pytest.raises(NothingNew, match="3 not new"):
        fetch(now, take="oldest")


def test_an_older_file_never_follows_a_newer_one(request_: Request) -> None:
    """Once March is out and archived, February is not the newest again."""
    put(request_, "february.csv", age_s=2000)
    march = put(request_, "march.csv", age_s=1000)
    found = fetch(request_)
    march.unlink()
    with pytest.raises(NothingNew, match="1 not new"):
        fetch(after(request_, found))


def test_appending_every_file_each_time_is_refused() -> None:
    """Rows would be on the portal twice; take: new is what is meant."""
    columns = [{"name": "a", "type": "text", "role": "plain"}]
    for take, fits in (("all", False), ("new", True)):
        source = Source(folder=Folder(path="inbox", take=take))
        told = {
            "format": 1,
            "title": "A",
            "source": source,
            "columns": columns,
            "portal": Portal(mode="append"),
        }
        if fits:
            assert take == Contract.model_validate(told).source.folder.take  # type: ignore[union-attr]
        else:
            with pytest.raises(ValidationError, match="say take: new"):
                Contract.model_validate(told)


def test_new_takes_the_new_ones_and_all_takes_every_one(request_: Request) -> None:
    """To append only what came, or to make the whole table again; neither when nothing came."""
    put(request_, "a.csv", age_s=900)
    found = fetch(request_, take="all")
    for take in ("new", "all"):
        with pytest.raises(NothingNew):
            fetch(after(request_, found), take=take)
    put(request_, "b.csv", age_s=800)
    assert ["b.csv"] == names(fetch(after(request_, found), take="new"))
    assert ["a.csv", "b.csv"] == names(fetch(after(request_, found), take="all"))


def test_what_went_from_the_folder_is_forgotten(request_: Request) -> None:
    """The position does not grow with every file there ever was."""
    first = put(request_, "1.csv", age_s=900)
    found = fetch(request_, take="new")
    first.unlink()
    put(request_, "2.csv", age_s=800)
    found = fetch(after(request_, found), take="new")
    assert (["2.csv"], []) == ([one["name"] for one in found.position["files"]], found.position["earlier"])


# -- what is wrong


def test_a_folder_that_is_not_there_is_wrong(request_: Request) -> None:
    """Unlike one that is empty: a misspelt name must not look like nothing new for years."""
    with pytest.raises(SourceInvalid, match="The folder nowhere is not there"):
        folders.fetch(Folder(path="nowhere"), request_)
    put(request_, "a.csv")
    with pytest.raises(SourceInvalid, match="is not there"):
        folders.fetch(Folder(path="inbox/a.csv"), request_)
    (request_.folder / "inbox" / "a.csv").unlink()
    with pytest.raises(NothingNew, match="none fits"):
        fetch(request_, pattern="*.csv")


@pytest.mark.parametrize("path", ["../..", "{outside}", "link"])
def test_a_folder_outside_the_roots_is_refused(request_: Request, tmp_path: Path, path: str) -> None:
    """Neither `..`, nor an absolute path, nor a link leads out; a root lets it in."""
    outside = tmp_path / "share"
    outside.mkdir()
    (request_.folder / "link").symlink_to(outside)
    place = Folder(path=path.format(outside=outside))
    with pytest.raises(SourceInvalid, match="outside the folders"):
        folders.fetch(place, request_)
    with pytest.raises(NothingNew):
        folders.fetch(place, replace(request_, roots=(tmp_path,)))


def test_a_link_in_the_folder_does_not_lead_out(request_: Request, tmp_path: Path) -> None:
    """Who may put files down must not read others through the account that runs ctnb."""
    (tmp_path / "secret.csv").write_text("a\n")
    (request_.folder / "inbox" / "innocent.csv").symlink_to(tmp_path / "secret.csv")
    with pytest.raises(SourceInvalid, match=r"innocent\.csv in the source's folder is a link that leads out"):
        fetch(request_)


@pytest.mark.parametrize(
    "keys", [{"archive": "../../../away"}, {"quarantine": "../../../away"}, {"archive": "."}]
)
def test_files_are_not_moved_just_anywhere(request_: Request, keys: Mapping[str, str]) -> None:
    """Archive and quarantine lie below the roots too, and are not the folder itself."""
    put(request_, "a.csv")
    with pytest.raises(SourceInvalid):
        fetch(request_, **keys)


def test_a_file_that_vanishes_can_be_tried_again(request_: Request) -> None:
    """Between choosing and copying somebody took it away: no snapshot, code 3."""
    put(request_, "1.csv", age_s=900)
    second = put(request_, "2.csv", age_s=800)
    request = replace(request_, progress=lambda seen: second.unlink(missing_ok=True))
    with pytest.raises(SourceFailed, match=r"The source 2\.csv vanished"):
        fetch(request, take="all")
    assert [] == [path for path in request_.work.iterdir() if path.name.endswith((".part", "-2.csv"))]


def test_a_file_that_changes_while_it_is_copied_can_be_tried_again(request_: Request) -> None:
    """What was copied is not the file that was looked at: nothing is kept."""
    path = put(request_, "1.csv")
    request = replace(request_, progress=lambda seen: (path.write_text("other\n"), None)[1])
    with pytest.raises(SourceFailed, match=r"The source 1\.csv changed while it was read"):
        fetch(request)
    assert [] == list(request_.work.iterdir())


def test_a_file_that_cannot_be_read_to_its_end_can_be_tried_again(request_: Request) -> None:
    """A disk or a share that fails in the middle; here a file of Linux's that nobody can read from its start."""
    if not Path("/proc/self/mem").exists():
        pytest.skip("only Linux has /proc/self/mem, a file whose reading fails")
    clock.fix(None)
    place = Folder(path="/proc/self", pattern="mem", at_least_age_s=0, stable_s=0)
    with pytest.raises(SourceFailed, match="The source mem could not be read: Input/output error"):
        folders.fetch(place, replace(request_, roots=(Path("/proc"),)))
    assert [] == list(request_.work.iterdir())


CLOUDS = {
    "offline": {"st_file_attributes": 0x1000}, "OneDrive": {"st_file_attributes": 0x400020},
    "iCloud": {"st_flags": 0x40000000},
}  # fmt: skip


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_placeholder_is_known(cloud: str) -> None:
    """Windows and macOS say by a flag that the content lies elsewhere."""
    assert folders.in_cloud_only(SimpleNamespace(**CLOUDS[cloud]))  # type: ignore[arg-type]


def test_an_ordinary_file_is_no_placeholder(request_: Request) -> None:
    """Neither here, nor on Windows with its archive flag."""
    assert not folders.in_cloud_only(put(request_, "a.csv").stat())
    assert not folders.in_cloud_only(SimpleNamespace(st_file_attributes=0x20))  # type: ignore[arg-type]


def test_an_empty_file_is_wrong_and_makes_way(request_: Request) -> None:
    """It goes to quarantine where there is one and the run may move files; nothing else moves."""
    put(request_, "1.csv", "", age_s=900)
    put(request_, "2.csv", age_s=800)
    for moves, left in ((False, ["1.csv", "2.csv"]), (True, ["2.csv", "bad/1.csv"])):
        with pytest.raises(SourceInvalid, match=r"The source 1\.csv is empty"):
            fetch(replace(request_, moves=moves), take="oldest", quarantine="bad")
        assert left == listed(request_.folder / "inbox")
    assert ["2.csv"] == names(fetch(request_, take="oldest"))


@pytest.mark.parametrize("block", range(2))
def test_what_the_page_shows_is_a_source(block: int) -> None:
    """Each block of YAML stands in dataset.yml or ctnb.yml as it is."""
    shown = (Path(__file__).parents[1] / "docs" / "how-to" / "read-a-folder.md").read_text(encoding="utf-8")
    told = YAML(typ="safe").load(re.findall(r"^```yaml\n(.*?)^```$", shown, re.MULTILINE | re.DOTALL)[block])
    forms = {
        "source": lambda: Source.model_validate(told["source"]),
        "roots": lambda: Settings(format=1, **told),
    }
    (key,) = told
    assert forms[key]()


# -- what becomes of them


def settle(request: Request, fetched: Fetched, outcome: folders.Outcome, **keys: Any) -> int:
    """What becomes of the files that were `fetched` from the inbox."""
    return folders.settle(Folder(path="inbox", **keys), request, fetched.position, outcome)


AFTERWARDS = {
    "leave": ["1.csv", "2.csv"], "mark": ["1.csv", "2.csv.done"], "archive": ["1.csv", "archive/2.csv"]
}  # fmt: skip


@pytest.mark.parametrize("afterwards", AFTERWARDS)
def test_a_released_file_goes_where_the_contract_says(request_: Request, afterwards: str) -> None:
    """Left, marked, or archived; others stay, and doing it twice is doing it once."""
    put(request_, "1.csv", age_s=900)
    put(request_, "2.csv", age_s=800)
    found = fetch(request_)
    moved = [settle(request_, found, "released", afterwards=afterwards) for _ in range(2)]
    assert [int(afterwards != "leave"), 0] == moved
    assert AFTERWARDS[afterwards] == listed(request_.folder / "inbox")


@pytest.mark.parametrize(("afterwards", "there", "left"), [
    ("archive", "archive/1.csv", ["archive/1-2.csv", "archive/1.csv"]),
    ("mark", "1.csv.done", ["1.csv-2.done", "1.csv.done"]),
])  # fmt: skip
def test_nothing_is_ever_overwritten(request_: Request, afterwards: str, there: str, left: list[str]) -> None:
    """A file of the same name gets a number beside the one that is there."""
    other = request_.folder / "inbox" / there
    other.parent.mkdir(exist_ok=True)
    other.write_text("another")
    put(request_, "1.csv")
    settle(request_, fetch(request_), "released", afterwards=afterwards)
    assert left == listed(request_.folder / "inbox")
    assert "another" == other.read_text()


def test_a_file_that_changed_since_is_another_file(request_: Request) -> None:
    """It was not released, so it stays to be read."""
    put(request_, "1.csv")
    found = fetch(request_)
    put(request_, "1.csv", "a\n2\n", age_s=100)
    assert 0 == settle(request_, found, "released", afterwards="archive")
    assert ["1.csv"] == listed(request_.folder / "inbox")


def test_only_files_that_were_never_released_go_to_quarantine(request_: Request) -> None:
    """Of all files that were read together those of an earlier release were right then."""
    put(request_, "1.csv", age_s=900)
    found = fetch(request_, take="all")
    put(request_, "2.csv", age_s=800)
    found = fetch(after(request_, found), take="all")
    assert 0 == settle(request_, found, "failed")
    assert 1 == settle(request_, found, "failed", quarantine="bad")
    assert ["1.csv", "bad/2.csv"] == listed(request_.folder / "inbox")


def test_a_move_to_another_device_is_compared_before_the_file_goes(request_: Request) -> None:
    """A rename cannot do it; the copy keeps the file's time, and nothing else is left."""
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == request_.folder.stat().st_dev:
        pytest.skip("/dev/shm is no device of its own here, to which a rename would fail")
    away = shared / f"ctnb-archive-{os.getpid()}"
    try:
        path = put(request_, "1.csv")
        changed, request = path.stat().st_mtime_ns, replace(request_, roots=(away,))
        settle(request, fetch(request), "released", afterwards="archive", archive=str(away))
        assert [] == listed(request_.folder / "inbox")
        assert ["1.csv"] == listed(away)
        assert ("a\n1\n", changed) == ((away / "1.csv").read_text(), (away / "1.csv").stat().st_mtime_ns)
    finally:
        for one in away.glob("*"):
            one.unlink()
        away.rmdir()


def test_what_cannot_be_moved_is_said_and_the_rest_is_moved(request_: Request) -> None:
    """Here a file stands where the archive should be: nothing is lost, and it can be tried again."""
    put(request_, "1.csv")
    found = fetch(request_)
    (request_.folder / "inbox" / "away").write_text("a file")
    with pytest.raises(SourceFailed, match=r"1 of the source's files could not be moved to away/: 1\.csv\."):
        settle(request_, found, "released", afterwards="archive", archive="away")
    assert ["1.csv", "away"] == listed(request_.folder / "inbox")


def test_the_next_fetch_finishes_what_a_killed_run_left(request_: Request) -> None:
    """Released but not yet archived: it is archived then, and is not new; a rehearsal leaves it."""
    put(request_, "1.csv")
    now = after(request_, fetch(request_))
    for moves, left in ((False, ["1.csv"]), (True, ["archive/1.csv"])):
        with pytest.raises(NothingNew):
            fetch(replace(now, moves=moves), afterwards="archive")
        assert left == listed(request_.folder / "inbox")


def test_the_parts_of_a_union_are_settled_each_in_its_folder(request_: Request) -> None:
    """Two inboxes, one released file in each."""
    put(request_, "1.csv")
    (request_.folder / "other").mkdir()
    other = request_.folder / "other" / "2.csv"
    other.write_text("a\n3\n")
    os.utime(other, (NOON.timestamp() - 500,) * 2)
    keys = {"afterwards": "archive", "stable_s": 0}
    source = Source(union=({"folder": {"path": "inbox", **keys}}, {"folder": {"path": "other", **keys}}))  # type: ignore[arg-type]
    gathered = fetching.gather(source, request_)
    assert 2 == fetching.settle(source, request_, gathered.position, "released")
    assert ["archive/1.csv"] == listed(request_.folder / "inbox")
    assert ["archive/2.csv"] == listed(request_.folder / "other")


def test_where_rows_are_added_a_part_without_news_gives_no_file(request_: Request) -> None:
    """Its rows are published already, and would stand there twice; where they are replaced they are read again."""
    for folder, name in (("inbox", "1.csv"), ("other", "2.csv")):
        (request_.folder / folder).mkdir(exist_ok=True)
        (request_.folder / folder / name).write_text("a\n3\n")
        os.utime(request_.folder / folder / name, (NOON.timestamp() - 500,) * 2)
    parts = [{"folder": {"path": folder, "take": "new", "stable_s": 0}} for folder in ("inbox", "other")]
    source = Source.model_validate({"union": parts})
    released = fetching.gather(source, request_)
    put(request_, "3.csv")
    later = replace(request_, position=released.position, again=False)
    added = fetching.gather(source, replace(later, adds=True))
    assert ["3.csv"] == [one.name for one in added.snapshots]
    assert released.position["2"] == added.position["2"]
    assert ["3.csv", "2.csv"] == [one.name for one in fetching.gather(source, later).snapshots]


# -- whole runs


def inbox_project(folder: Path, more: str = "", *, bad: int = 0) -> Project:
    """The dataset `visits`, read from its folder data/."""
    project = fp.make(folder, bad=bad)
    told = f"folder: {{path: data, pattern: '*.csv', at_least_age_s: 0, stable_s: 0{more}}}"
    fp.change(project, "dataset.yml", "path: data/visits.csv", told)
    return project


def data(project: Project) -> list[str]:
    """What lies in the dataset's folder data/."""
    return listed(project.notebooks / fp.SLUG / "data")


@pytest.mark.slow
def test_a_released_file_is_archived_and_the_next_run_stops(tmp_path: Path, pool: KernelPool) -> None:
    """The whole way; a rehearsal before it moves nothing, and the record verifies."""
    project = inbox_project(tmp_path, ", afterwards: archive")
    assert "rehearsed" == fp.run(project, pool, to="read").status
    assert ["visits.csv"] == data(project)
    record = fp.run(project, pool)
    assert ("released", ["archive/visits.csv"]) == (record.status, data(project)), record.reason
    assert record.read and "visits.csv" == record.read.source
    again = fp.run(project, pool)
    assert ("stopped", 5) == (again.status, again.exit_code)
    assert "The folder data has no new file: none fits *.csv." == again.reason
    assert () == verification.verify(project).faults


def test_a_bad_file_goes_to_quarantine_and_makes_way(tmp_path: Path, pool: KernelPool) -> None:
    """Code 6, and the next run takes the next file."""
    project = inbox_project(tmp_path, ", take: oldest, quarantine: bad", bad=3)
    record = fp.run(project, pool)
    assert ("failed", 6, ["bad/visits.csv"]) == (record.status, record.exit_code, data(project))
    fp.write_people(project, fp.people())
    assert "rehearsed" == fp.run(project, pool, to="read").status
    assert () == verification.verify(project).faults


@pytest.mark.slow
def test_a_run_killed_between_release_and_move_is_healed_by_the_next(tmp_path: Path) -> None:
    """The supervisor dies when the release stands in the record: the next run archives, and sends nothing."""
    project = inbox_project(tmp_path, ", afterwards: archive")
    killed = fp.process([fp.sys.executable, "-c", KILLED], project.root, {"CTNB_PROJECT": str(project.root)})
    assert -9 == killed.code, killed.err
    assert ["visits.csv"] == data(project)
    again = fp.ctnb(project, "run", fp.SLUG)
    assert (5, ["archive/visits.csv"]) == (again.code, data(project)), again.err
    first, second = records.all_records(project)
    assert first.release and not second.release
    assert () == verification.verify(project).faults


KILLED = f"""\
import os, signal
from ctnb import flows

def die(kind, facts):
    if kind == "released":
        os.kill(os.getpid(), signal.SIGKILL)

flows.run({fp.SLUG!r}, progress=die)
"""


@pytest.mark.slow
def test_a_file_that_cannot_be_archived_does_not_undo_the_release(tmp_path: Path, pool: KernelPool) -> None:
    """The run is released, says what is left to do, and the next one does it."""
    project = inbox_project(tmp_path, ", afterwards: archive")
    obstacle = project.notebooks / fp.SLUG / "data" / "archive"
    obstacle.write_text("a file where a folder should be")
    record = fp.run(project, pool)
    assert ("released", 0) == (record.status, record.exit_code)
    assert record.next.startswith("1 of the source's files could not be moved to archive/: visits.csv.")
    obstacle.unlink()
    assert "stopped" == fp.run(project, pool).status
    assert ["archive/visits.csv"] == data(project)


@pytest.mark.slow
def test_new_files_are_appended_and_each_of_them_once(tmp_path: Path, pool: KernelPool) -> None:
    """Two files at first, then one more: the portal gets its rows alone."""
    project = inbox_project(tmp_path, ", take: new")
    fp.change(project, "dataset.yml", "mode: replace", "mode: append")
    fp.change(
        project, "dataset.yml", "constraints: {required: true, unique: true}", "constraints: {required: true}"
    )
    fp.change(project, "dataset.yml", "key: [town]\n", "")
    inbox = project.notebooks / fp.SLUG / "data"
    towns = (("a.csv", ("Andover", "Bolton")), ("b.csv", ("Canton",)), ("c.csv", ("Durham",)))
    sent = []
    for name, there in towns:
        fp.write_people(project, fp.people(towns=there)).rename(inbox / name)
        if name != "a.csv":
            record = fp.run(project, pool)
            assert record.release, record.reason
            sent.append(
                (record.read and len(record.read.files), record.release.rows_sent, record.release.rows_after)
            )
    assert [(2, 3, 3), (1, 1, 4)] == sent
    assert "stopped" == fp.run(project, pool).status


@pytest.mark.slow
def test_a_file_that_somebody_names_changes_nothing_for_the_folder(tmp_path: Path, pool: KernelPool) -> None:
    """A correction by --source is released; the file of the folder is no newer for that, and stays where it is."""
    project = inbox_project(tmp_path, ", quarantine: bad")
    other = tmp_path / "corrected.csv"
    fp.write_people(project, fp.people(rows=44)).rename(other)
    fp.write_people(project, fp.people())
    first = fp.run(project, pool)
    assert first.release and "released" == first.status
    record = fp.run(project, pool, source=str(other))
    assert record.release, record.reason
    assert first.release.position == record.release.position
    other.write_text("Person\nsomebody\n")
    assert "failed" == fp.run(project, pool, source=str(other)).status
    assert ("stopped", ["visits.csv"]) == (fp.run(project, pool).status, data(project))
