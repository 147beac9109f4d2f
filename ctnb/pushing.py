"""
Pushing records as they arrive: checked against the contract, reviewed with what is published, sent in batches.

Lines are put together by count and by age. Each batch is written to disk, then delivered as a run with a record; it is
acknowledged only when the portal confirmed it. Several pushes to one dataset put their batches behind each other, and
whoever holds the dataset delivers what is next.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from ctnb import arrivals, clock, datasets, delivering, flows, leases, releases, settings, spools
from ctnb.arrivals import Expected, Feed, Numbered
from ctnb.datasets import Dataset
from ctnb.delivering import Delete, Delivered
from ctnb.errors import CtnbError, LockHeld, UsageError
from ctnb.portals import opendatasoft_records
from ctnb.privacy import decisions
from ctnb.privacy.seen import Seen
from ctnb.settings import Project
from ctnb.spools import Batch

BATCH_ROWS = 1_000
EVERY_S = 10.0
"""A batch is sent when its first line is so old, however few follow."""
SPOOL_BYTES = 1 << 30
"""So much waits on disk; then no further line is read."""
RETRY_S, LONGEST_RETRY_S = 5.0, 60.0
"""Before what failed outside is tried again while lines come: twice as long each time, up to the longest."""
PATIENCE_S = 60.0
"""How long a push waits at its end for another one that holds the dataset."""
TURN_S = 0.1
"""Between two batches, so that a run that waits for the dataset gets its turn."""


@dataclass(frozen=True)
class Refused:
    """A line that is no record of the contract."""

    line: int
    """Its number, from 1, blank lines counted."""
    why: str


@dataclass(frozen=True)
class Pushed:
    """What became of everything that was pushed."""

    lines: int
    refused: int
    """Lines that are no JSON object of the contract's names; kept beside the spool, with reasons."""
    delivered: tuple[Delivered, ...]
    """What this push and, of its batches, another one delivered; what is not confirmed as it was left."""
    waiting: int
    """Batches that no portal has confirmed yet; the next push tries again."""
    exit_code: int
    """0 when everything was confirmed; else that of the first batch that was not."""
    last_line: int = 0
    """The number of the last line that was taken: what follows it was not read."""
    why: str = ""
    """Why it ended before the lines did; empty when it did not."""

    @property
    def confirmed(self) -> int:
        """Records that the portal confirmed."""
        return sum(one.records - one.rejected for one in self.delivered if one.release)


@dataclass
class _Push:
    """One process at work."""

    project: Project
    dataset: Dataset
    head: dict[str, Any]
    expected: Expected
    feed: Feed
    told: Callable[[Delivered], None]
    refuse: Callable[[Refused], None]
    strict: bool
    seen: Seen = field(default_factory=Seen)
    lines: int = 0
    refused: int = 0
    last_line: int = 0
    mine: set[int] = field(default_factory=set)
    """The numbers of the batches that this push wrote."""
    done: dict[int, Delivered] = field(default_factory=dict)
    stuck: Delivered | None = None
    """The batch that is not confirmed, as it was left; what follows it waits behind it."""
    busy: str = ""
    """Who holds the dataset, where that was in the way last."""
    next_try: float = 0.0
    """When (monotonic clock) something that did not go is tried again."""
    pause_s: float = field(default_factory=lambda: RETRY_S)
    tried: int = 0
    """The newest batch of this push when something was tried last."""
    why: str = ""
    exit_code: int = 0
    """Of what ended it before its lines did; 0 while nothing has."""

    def end(self, exit_code: int, why: str) -> None:
        """Read no further line, and deliver nothing more."""
        self.exit_code, self.why = exit_code, why
        self.feed.stop()


def push(
    slug: str, lines: Iterable[bytes], *, delete: Delete | None = None, reason: str = "", portal: str = "",
    batch_rows: int = BATCH_ROWS, every_s: float = EVERY_S, strict: bool = False, endless: bool = False,
    project: Project | None = None, told: Callable[[Delivered], None] = lambda one: None,
    refuse: Callable[[Refused], None] = lambda one: None,
) -> Pushed:  # fmt: skip
    """
    Push the JSON `lines` to the dataset `slug`, after what waits from before.

    A batch is `batch_rows` lines, or those that came within `every_s` seconds. Without `delete` each is a record under
    the contract's names: added, or put in place of the one with its key. To delete they name records by their key, by
    values of theirs, or by the portal's record id; that takes a `reason`. `told` is called with each batch as it is
    confirmed or not, `refuse` with each line that is no record; `strict` ends the push at the first of them. When the
    portal does not answer, batches stay on disk; when 1 GB waits there, the push ends, or with `endless` reads no
    further until the portal is back. Ctrl-C and SIGTERM end it after the batch on its way: what was read is on disk.
    Raises UsageError, NameUnknown, ContractInvalid before anything is read.
    """
    project = project or settings.project()
    dataset = delivering.prepared(datasets.dataset(slug, project.notebooks))
    name = portal or dataset.contract.portal.name
    _check(project, dataset, name, delete, reason)
    head = {"format": 1, "delete": delete, "portal": name, "reason": reason.strip()}
    told_what = _expected(project, dataset, name, delete)
    at = _Push(project, dataset, head, told_what, Feed(lines), told, refuse, strict)
    with _ended_by_signals(at):
        _deliver(at)
        while not at.feed.over and not (at.strict and at.refused):
            if not _room(at, endless):
                break
            until = at.next_try if at.stuck or at.busy else None
            try:
                numbered = at.feed.take(batch_rows, every_s, until=until)
            except OSError as error:
                at.end(
                    LockHeld.exit_code, f"Reading broke off after line {at.last_line:,}: {error.strerror}."
                )
                break
            _take(at, numbered)
            _deliver(at)
        _at_the_end(at)
    return _pushed(at)


def _expected(project: Project, dataset: Dataset, portal: str, delete: Delete | None) -> Expected:
    if delete == "id":
        return Expected({"record_id": "record_id"}, frozenset(["record_id"]))
    kind = project.portal(portal).kind
    limit = opendatasoft_records.BODY_BYTES if kind == "opendatasoft" else arrivals.LINE_BYTES
    key = dataset.contract.key if delete == "key" else ()
    return arrivals.expected(dataset.contract.columns, limit, key)


def _check(project: Project, dataset: Dataset, portal: str, delete: Delete | None, reason: str) -> None:
    kind = project.portal(portal).kind
    if kind != "opendatasoft" and not dataset.contract.key:
        raise UsageError(
            f"{dataset.slug} has no key:, by which {portal} would know a record again.",
            hint="Name the column that identifies a row as key: in dataset.yml.",
        )
    if delete == "key" and not dataset.contract.key:
        raise UsageError(
            f"{dataset.slug} has no key: to delete by.", hint="Delete by values: --delete values"
        )
    if delete == "id" and kind != "opendatasoft":
        raise UsageError(
            f"{portal} has no record ids of Opendatasoft's kind.", hint="Delete by key: --delete key"
        )
    if delete:
        decisions.check_reason(reason)
    if releases.newest(project, dataset.slug, portal) is None:
        raise UsageError(
            f"{dataset.slug} has no release on {portal} yet.",
            hint=f"The first rows are published by a run, which is reviewed: ctnb run {dataset.slug}",
        )


@contextmanager
def _ended_by_signals(at: _Push) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM ends the push after the batch on its way; a second breaks that off."""

    def end(number: int, frame: object) -> None:
        if at.exit_code:
            raise KeyboardInterrupt
        name, code = ("Ctrl-C", 130) if number == signal.SIGINT else ("SIGTERM", 143)
        at.end(code, f"It was asked to end ({name}).")

    main = threading.current_thread() is threading.main_thread()
    before = {one: signal.signal(one, end) for one in (signal.SIGINT, signal.SIGTERM)} if main else {}
    try:
        yield
    finally:
        at.feed.stop()
        for one, handler in before.items():
            signal.signal(one, handler)


def _room(at: _Push, endless: bool) -> bool:
    """Whether more may be written to disk; with `endless` it waits until the portal has taken some."""
    while spools.waiting_bytes(at.project, at.dataset.slug) >= SPOOL_BYTES and not at.exit_code:
        if not endless:
            at.end(
                3,
                f"{SPOOL_BYTES >> 20:,} MB wait on disk, and no more is taken before the portal takes some.",
            )
            return False
        time.sleep(max(arrivals.LOOK_S, min(1.0, at.next_try - time.monotonic())))
        _deliver(at)
    return True


def _take(at: _Push, numbered: Sequence[Numbered]) -> None:
    """Write the lines as a batch; those that are no records are kept with their reasons."""
    good: list[dict[str, str | None]] = []
    bad: list[dict[str, Any]] = []
    for number, line in numbered:
        try:
            good.append(arrivals.record(line, at.expected))
        except ValueError as error:
            bad.append({"at": clock.stamp(), "line": number, "why": str(error), "text": _text(line)})
            at.refuse(Refused(number, str(error)))
            if at.strict:
                break
        at.last_line = number
    at.lines, at.refused = at.lines + len(good) + len(bad), at.refused + len(bad)
    spools.set_aside(at.project, at.dataset.slug, bad)
    if not good:
        return
    added = spools.add(at.project, at.dataset.slug, at.head, good)
    at.mine.add(added.number)
    if at.stuck:
        why = f"Batch {at.stuck.batch} comes first, and is {at.stuck.status}."
        at.told(Delivered(added.number, len(good), 0, "", "waiting", None, why))


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r\n")


def _deliver(at: _Push) -> None:
    """Deliver what waits, in its order, until something is not confirmed; the dataset is held for one batch each."""
    while not at.exit_code and (not (at.stuck or at.busy) or time.monotonic() >= at.next_try):
        try:
            found = _next(at)
        except LockHeld as error:
            at.busy = error.what
            _later(at)
            return
        except CtnbError as error:  # what waits stays on disk; so does what was read ahead
            at.end(error.exit_code, f"{error.what} {error.hint}".strip())
            return
        at.busy = ""
        if found is None:
            at.stuck = None
            return
        if not found.release and not found.useless:
            _stuck(at, found)
            return
        at.stuck, at.pause_s = None, RETRY_S
        at.done[found.batch] = found
        at.told(found)
        time.sleep(TURN_S)


def _next(at: _Push) -> Delivered | None:
    """Deliver the batch whose turn it is, under today's contract and policy; None when none waits."""
    with flows.hold_dataset(at.project, at.dataset.slug):
        leases.reap(at.project)
        batch = next(iter(spools.waiting(at.project, at.dataset.slug)), None)
        if batch is None:
            return None
        project = settings.load(at.project.root)
        dataset = delivering.prepared(datasets.dataset(at.dataset.slug, project.notebooks))
        again = at.stuck is not None and at.stuck.batch == batch.number
        found = delivering.deliver(project, dataset, batch, again=again, seen=at.seen)
        _settle(project, dataset.slug, batch, found)
        return found


def _settle(project: Project, slug: str, batch: Batch, found: Delivered) -> None:
    """Write down what became of the batch, then take it off the spool."""
    if not found.release and not found.useless:
        return
    spools.note(project, slug, {**asdict(found), "at": clock.stamp()})
    if found.release:
        batch.remove()
    else:
        batch.set_aside()


def _stuck(at: _Push, found: Delivered) -> None:
    """A batch was not confirmed: say so, unless it was said, and when to try again."""
    if at.stuck is None or (at.stuck.batch, at.stuck.why) != (found.batch, found.why):
        at.told(found)
    at.stuck = found
    if found.status == "interrupted":
        at.end(found.exit_code, "It was asked to end.")
    _later(at)


def _later(at: _Push) -> None:
    at.tried = max(at.mine, default=0)
    at.next_try = time.monotonic() + at.pause_s
    at.pause_s = min(2 * at.pause_s, LONGEST_RETRY_S)


def _at_the_end(at: _Push) -> None:
    """
    Try once more what failed outside before the last lines came, and wait for another push or run at work.

    Then see what that did of the batches of this one.
    """
    if at.stuck and at.stuck.exit_code == LockHeld.exit_code and max(at.mine, default=0) > at.tried:
        at.next_try = 0.0
        _deliver(at)
    end = time.monotonic() + PATIENCE_S
    while at.busy and not at.exit_code and time.monotonic() < end and _left(at):
        at.next_try = 0.0
        _deliver(at)
    told = spools.receipts(at.project, at.dataset.slug) if at.mine - at.done.keys() else {}
    for number in sorted(at.mine - at.done.keys()):
        if number in told:
            facts = {key: value for key, value in told[number].items() if key != "at"}
            at.done[number] = Delivered(**facts)
            at.told(at.done[number])


def _left(at: _Push) -> bool:
    """Whether batches of this push wait."""
    return any(batch.number in at.mine for batch in spools.waiting(at.project, at.dataset.slug))


def _pushed(at: _Push) -> Pushed:
    waits = len(spools.waiting(at.project, at.dataset.slug))
    done = [at.done[number] for number in sorted(at.done)]
    failed = [one for one in (*done, at.stuck) if one and not one.release]
    code = at.exit_code or (failed[0].exit_code or 3 if failed else 0)
    if not code and waits:
        code, at.why = LockHeld.exit_code, at.busy
    delivered = (*done, at.stuck) if at.stuck else tuple(done)
    return Pushed(
        at.lines, at.refused, delivered, waits, code or (6 if at.refused else 0), at.last_line, at.why
    )
