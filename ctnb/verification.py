"""
Verifying records: everything that can be derived again is, and what cannot be known is said.

The ledger's chain; each seal against its sealed copy and run.json; every file of a record, byte by byte;
findings -> review -> decision -> release; the row account; the tables that are still kept; folders against
lines.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ctnb import answering, clock, digests, ledger, records, releases, stepfiles, tables
from ctnb.errors import CtnbError, RecordBroken
from ctnb.ledger import Entry
from ctnb.privacy import decisions
from ctnb.records import FileFacts, RunRecord
from ctnb.settings import Project

UNSENT = ("ctnb new", "ctnb portal")
"""What sends nothing: its release is of rows that others published, without a review of ctnb's."""


@dataclass(frozen=True)
class Fault:
    """Something that does not verify."""

    file: str
    """The file, relative to runs/."""
    line: int | None
    """The line, where the file has lines and it is known."""
    what: str
    """One sentence."""

    def __str__(self) -> str:
        where = f"{self.file}, line {self.line}" if self.line else self.file
        return f"{where}: {self.what}"


@dataclass(frozen=True)
class Verification:
    """What verifying found."""

    faults: tuple[Fault, ...]
    lines: int
    """Lines of the ledger checked."""
    runs: int
    """Records checked."""
    files: int
    """Files checked."""
    unknown: tuple[str, ...]
    """What could not be derived again, and what nobody can know from here."""

    def raise_if_broken(self) -> None:
        """Raise RecordBroken when anything does not verify."""
        if self.faults:
            raise RecordBroken(
                f"{len(self.faults)} things do not verify: " + "; ".join(map(str, self.faults[:5])),
                hint="Restore the files named from a copy.",
            )


def verify(project: Project, run: str | None = None) -> Verification:
    """Verify the ledger and every record, or the record of `run` alone. Raises NameUnknown."""
    entries, faults = _chain(project)
    wanted = records.find_folder(project, run) if run else None
    folders = [wanted] if wanted else sorted(project.runs.glob("*/*/"))
    unknown = {_anchor(entries)}
    files = 0
    for folder in folders:
        found = list(_record(project, folder, entries, unknown))
        faults += found
        files += sum(1 for path in folder.rglob("*") if path.is_file())
    if not wanted:
        faults += _lines_without_folder(project, entries)
    return Verification(tuple(faults), len(entries), len(folders), files, tuple(sorted(unknown)))


def _chain(project: Project) -> tuple[list[Entry], list[Fault]]:
    found: list[Entry] = []
    try:
        for entry in ledger.entries(project.ledger):
            found.append(entry)
    except RecordBroken as error:
        return found, [Fault("ledger.jsonl", error.facts.get("line"), error.what.split(": ", 1)[-1])]
    return found, []


def _anchor(entries: list[Entry]) -> str:
    head = f" The head is {entries[-1].hash[:16]}… at line {len(entries)}." if entries else ""
    return f"no anchor: lines after 0 could have been cut or rewritten by whoever can write here.{head}"


def _lines_without_folder(project: Project, entries: Iterable[Entry]) -> list[Fault]:
    faults = []
    for number, entry in enumerate(entries, 1):
        if entry.kind != "seal":
            continue
        place = records.folder(project, entry.facts["dataset"], entry.facts["run"])
        if not (place / "run.json").is_file():
            faults.append(Fault("ledger.jsonl", number, f"its record {place.name} is gone"))
    return faults


def _record(project: Project, folder: Path, entries: list[Entry], unknown: set[str]) -> Iterator[Fault]:
    name = f"{folder.parent.name}/{folder.name}"
    try:
        record = records.load(folder / "run.json")
    except CtnbError as error:
        yield Fault(f"{name}/run.json", _line_by_newest_seal(folder), error.what)
        return
    seals = [(n, e) for n, e in enumerate(entries, 1) if e.kind == "seal" and e.facts["run"] == record.run]
    yield from _seals(folder, name, record, seals)
    yield from _files(folder, name, record.files)
    yield from _added(folder, name, record)
    yield from _meaning(project, folder, name, record, entries)
    yield from _kept(project, name, record, unknown)


def _seals(folder: Path, name: str, record: RunRecord, seals: list[tuple[int, Entry]]) -> Iterator[Fault]:
    for number, entry in seals:
        place = folder / "seals" / f"{entry.facts['seal']}.json"
        if not place.is_file():
            yield Fault(f"{name}/seals/{place.name}", None, f"missing; line {number} of the ledger sealed it")
        elif digests.of_file(place) != entry.facts["digest"]:
            line = _first_other_line(place, folder / "run.json")
            yield Fault(f"{name}/seals/{place.name}", line, f"not what line {number} of the ledger sealed")
    if record.status in ("running", "open"):
        return
    if not seals:
        yield Fault(f"{name}/run.json", None, f"says {record.status}, but the ledger has no seal of it")
    elif digests.of_file(folder / "run.json") != seals[-1][1].facts["digest"]:
        line = _first_other_line(folder / "run.json", folder / "seals" / f"{seals[-1][1].facts['seal']}.json")
        yield Fault(f"{name}/run.json", line, f"not what line {seals[-1][0]} of the ledger sealed")


def _first_other_line(path: Path, like: Path) -> int | None:
    """The first line in which `path` differs from `like`, where there is such a file."""
    if not like.is_file() or not path.is_file():
        return None
    ours, theirs = path.read_bytes().splitlines(), like.read_bytes().splitlines()
    pairs = enumerate(zip(ours, theirs, strict=False), 1)
    return next((number for number, (a, b) in pairs if a != b), None)


def _line_by_newest_seal(folder: Path) -> int | None:
    """Where a run.json that cannot be read differs from its newest sealed copy."""
    seals = sorted(folder.glob("seals/*.json"), key=lambda path: (len(path.stem), path.stem))
    return _first_other_line(folder / "run.json", seals[-1]) if seals else None


def _files(folder: Path, name: str, files: Iterable[FileFacts]) -> Iterator[Fault]:
    for facts in files:
        path = folder / facts.name
        if not path.is_file():
            yield Fault(f"{name}/{facts.name}", None, "missing from the record")
        elif _digest(path, facts) != facts.digest:
            yield Fault(
                f"{name}/{facts.name}", _line_of_change(folder, facts), "its bytes are not the ones sealed"
            )


def _digest(path: Path, facts: FileFacts) -> str:
    """events.jsonl grows when a waiting run goes on: only the bytes that were there are sealed."""
    if path.name != "events.jsonl":
        return digests.of_file(path)
    with path.open("rb") as stream:
        return digests.PLAIN + hashlib.sha256(stream.read(facts.bytes)).hexdigest()


def _line_of_change(folder: Path, facts: FileFacts) -> int | None:
    """The first line of a text file that is not the one sealed, by the checksums in lines.json."""
    try:
        sums = json.loads((folder / records.LINES).read_bytes())["lines"][facts.name]
        content = (folder / facts.name).read_bytes()
    except (OSError, ValueError, LookupError, TypeError):
        return None
    if facts.name == "events.jsonl":
        content = content[: facts.bytes]
    now = records.line_sums(content)
    pairs = range(0, max(len(now), len(sums)), 8)
    return next(
        (place // 8 + 1 for place in pairs if now[place : place + 8] != sums[place : place + 8]), None
    )


def _added(folder: Path, name: str, record: RunRecord) -> Iterator[Fault]:
    if not record.files:
        return
    listed = {facts.name for facts in record.files} | {"run.json"}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).as_posix()
        if path.is_file() and inside not in listed and not inside.startswith("seals/"):
            yield Fault(f"{name}/{inside}", None, "was added after the seal")


def _meaning(
    project: Project, folder: Path, name: str, record: RunRecord, entries: list[Entry]
) -> Iterator[Fault]:
    """Findings -> review -> decision -> release, and the row account."""
    read, made, release = record.read, record.transform, record.release
    if read and read.digest and not read.closes:
        yield Fault(f"{name}/run.json", None, "rows read are not rows kept and rejected")
    if read and made and made.rows_in != read.rows_kept:
        yield Fault(f"{name}/run.json", None, "the transform took other rows than were kept")
    if made and made.accounted and not made.closes:
        yield Fault(f"{name}/run.json", None, "the transform's rows do not add up")
    if record.review is None:
        if release and record.how not in UNSENT:
            yield Fault(f"{name}/run.json", None, "released without a review")
        return
    try:
        review = answering.load_review(folder / answering.FINDINGS)
    except CtnbError as error:
        yield Fault(f"{name}/findings.json", None, error.what)
        return
    if (review.state, review.digest) != (record.review.state, record.review.digest):
        yield Fault(f"{name}/findings.json", None, "its findings do not make the review that run.json names")
    if release is None:
        return
    step = next((one for one in record.steps if one.step == "transform" and one.table), None)
    if step and step.table and digests.keyed(release.digest, project.key) != step.table.digest:
        yield Fault(f"{name}/run.json", None, "what was released is not the table that was reviewed")
    attached = [(one.name, one.bytes, digests.keyed(one.digest, project.key)) for one in release.attachments]
    if attached != [(one.name, one.size, one.digest) for one in review.attachments]:
        yield Fault(f"{name}/run.json", None, "the attached files are not those that were reviewed")
    before = [entry for entry in entries if entry.at <= release.at]
    base = [r for r in releases.of_dataset(project, record.dataset) if r.facts.at < release.at]
    base = [r for r in base if r.facts.portal == release.portal]
    at, kind = clock.parse(release.at), _kind(project, release.portal)
    cleared = decisions.clearance(
        review, before, now=at, base_release=base[-1].facts.release if base else None, portal=release.portal,
        portal_kind=kind,
    )  # fmt: skip
    if record.draft and release.public:
        opened = decisions.opening(review, before, now=at, portal=release.portal, portal_kind=kind)
        if not opened.cleared:
            yield Fault(f"{name}/run.json", None, f"made public although that was not decided: {opened.why}")
    if not cleared.cleared:
        yield Fault(f"{name}/run.json", None, f"released although the review was not cleared: {cleared.why}")


def _kind(project: Project, portal: str) -> str:
    """What kind of portal it is; of one that ctnb.yml no longer has, that may be any: its own approvals count."""
    known = project.settings.portals
    return project.portal(portal).kind if portal in {"local", *known} else decisions.LOCAL


def _is_released(project: Project, record: RunRecord, path: Path) -> bool:
    """
    Whether the file `path` holds what was released: byte for byte the table that was reviewed, or, where the mode
    added to rows that were there, the whole dataset with the digest that the record names.
    """
    if record.release is None:
        return False
    step = next((one for one in record.steps if one.step == "transform" and one.table), None)
    same = step and step.table and digests.keyed(digests.of_file(path), project.key) == step.table.file_digest
    if step and not same and not record.release.whole:
        return False
    try:
        return tables.open_table(path).digest == (record.release.whole or record.release.digest)
    except CtnbError:
        return False


def _kept(project: Project, name: str, record: RunRecord, unknown: set[str]) -> Iterator[Fault]:
    """Tables that are still there, hashed again."""
    if record.release:
        path = project.root / ".ctnb" / "releases" / record.dataset / f"{record.release.release}.parquet"
        if not path.is_file():
            unknown.add(f"{name}: the released table is no longer kept; its digest cannot be derived again")
        elif not _is_released(project, record, path):
            yield Fault(f"{name}/run.json", None, "the kept release is not the table that was released")
    for step in record.steps:
        if step.table is None:
            continue
        ref = project.root / ".ctnb" / "work" / record.run / step.step / "table.json"
        if not ref.is_file():
            unknown.add(
                f"{name}: the work folder is gone; the table of step {step.step} cannot be hashed again"
            )
            continue
        said = Path(stepfiles.read_json(ref)["path"])
        if not said.is_file():
            unknown.add(f"{name}: the table of step {step.step} is gone")
        elif digests.keyed(digests.of_file(said), project.key) != step.table.file_digest:
            yield Fault(
                f"{name}/run.json", None, f"the table of step {step.step} is not the one its step wrote"
            )
