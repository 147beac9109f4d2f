"""
Faults on demand: rules that say which of the next requests go wrong, and how. Only with `--faults`.

A rule is set, looked up and taken back at `/_faults` by a publisher. The first rule that matches a request and
has times left is the one that happens; a request that no rule matches is answered as ever.
"""

from __future__ import annotations

import fnmatch
import itertools
import sqlite3
import threading
from collections import deque
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

from .accounts import publisher
from .answers import Answer, Call, Names, Refused, as_json, decode, legacy, route
from .store import Store

Kind = Literal[
    "status", "quota", "html", "accepted", "slow", "reset_request", "reset_answer", "lost", "die",
    "stale", "row_errors", "approval", "failure", "unfinished",
]  # fmt: skip
PATH = "/_faults"
REQUESTS = 20_000
"""How many of the newest requests are kept to be looked up."""
LONGEST_S = 600.0


@dataclass(frozen=True)
class Fault:
    """What goes wrong, and for which requests."""

    kind: Kind
    """
    status: `status` is answered. quota: Opendatasoft's 429. html: a page with 200. accepted: 202, ask again.
    slow: `seconds` before the first byte and `byte_seconds` between two. reset_request: the connection is
    reset once `bytes` of the body came, and nothing is done. reset_answer: it is reset after `bytes` of the
    answer's body. lost: it is reset after the commit, before the answer. die: the portal is killed (SIGKILL).
    stale: rows as they were when the rule was set. row_errors: the last `rows` of a body are left out and
    counted in `Errors`. approval: a revision is submitted for approval. failure: the job or the upload that the
    request starts ends in failure. unfinished: what is finished is shown as under way.
    """
    path: str = "*"
    """Which paths, as a glob of the whole path without its query: `/resource/*`."""
    methods: tuple[str, ...] = ()
    """Which methods; none is every one."""
    times: int | None = 1
    """For how many requests that match; None is until the rule is taken back."""
    skip: int = 0
    """How many requests that match pass first."""
    after_commit: bool = False
    """The request is done first, and only its answer goes wrong."""
    status: int = 500
    retry_after: str = ""
    """The header of a 429, 503 or 202: seconds or a date."""
    body: str | None = None
    """What is answered instead of the dialect's own body, as `content_type`."""
    content_type: str = "application/json; charset=utf-8"
    seconds: float = 0.0
    byte_seconds: float = 0.0
    bytes: int = 0
    rows: int = 1
    location: bool = False
    """A 202 names the address to ask again in `Location`, instead of a ticket in its body."""


@dataclass
class Rule:
    """One fault that was asked for, and how often it happened."""

    number: int
    fault: Fault
    passed: int = 0
    hits: int = 0
    snapshot: sqlite3.Connection | None = None
    """The store as it was when a rule of stale rows was set; used under `lock`."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def spent(self) -> bool:
        """Whether it happens no more."""
        return self.fault.times is not None and self.hits >= self.fault.times

    def fits(self, method: str, path: str) -> bool:
        """Whether it is about that request."""
        fault = self.fault
        return (not fault.methods or method in fault.methods) and fnmatch.fnmatchcase(path, fault.path)

    def shown(self) -> dict[str, Any]:
        """As `/_faults` shows it."""
        return {"id": self.number, "hits": self.hits, "passed": self.passed, **asdict(self.fault)}


@dataclass
class Request:
    """One request that arrived."""

    method: str
    path: str
    bytes: int = 0
    fault: str = ""


class Faults:
    """The rules in force and the newest requests. Safe to share between threads."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.requests: deque[Request] = deque(maxlen=REQUESTS)
        self._rules: list[Rule] = []
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> Rule:
        """Have `fault` happen, behind the rules there are."""
        rule = Rule(next(self._numbers), fault)
        if fault.kind == "stale":
            rule.snapshot = self.store.borrow()
            rule.snapshot.execute("SELECT format FROM portal").fetchone()  # the snapshot begins with a read
        with self._lock:
            self._rules.append(rule)
        return rule

    def take(self, method: str, path: str) -> tuple[Rule | None, Request]:
        """The rule that happens to a request that arrived just now, counted; and its entry in the list."""
        seen = Request(method, path)
        if path.startswith(PATH):
            return None, seen
        with self._lock:
            self.requests.append(seen)
            for rule in self._rules:
                if rule.spent or not rule.fits(method, path):
                    continue
                if rule.passed < rule.fault.skip:
                    rule.passed += 1
                    continue
                rule.hits += 1
                seen.fault = rule.fault.kind
                return rule, seen
        return None, seen

    def remove(self, number: int | None) -> int:
        """Take back rule `number`, or every one and the list of requests; how many there were."""
        with self._lock:
            gone = [rule for rule in self._rules if number in (None, rule.number)]
            self._rules = [rule for rule in self._rules if rule not in gone]
            if number is None:
                self.requests.clear()
        for rule in gone:
            with rule.lock:
                if rule.snapshot is not None:
                    self.store.give_back(rule.snapshot)
                    rule.snapshot = None
        return len(gone)

    def shown(self) -> dict[str, Any]:
        """As `/_faults` shows them."""
        with self._lock:
            return {
                "rules": [rule.shown() for rule in self._rules],
                "requests": [asdict(request) for request in self.requests],
            }


def read_fault(given: object) -> Fault:
    """A Fault from the keys of a JSON object. Raises Refused (400), naming the key that is wrong."""
    if not isinstance(given, dict):
        raise wrong("A rule is an object")
    known = {one.name: one for one in fields(Fault)}
    for name in given:
        if name not in known:
            raise wrong(f"A rule has the keys {', '.join(known)}")
    if given.get("kind") not in get_args(Kind):
        raise wrong(f"The kind is one of {', '.join(get_args(Kind))}")
    forms = {"methods": (list,), "times": (int, type(None)), "body": (str, type(None))}
    numbers = ("seconds", "byte_seconds")
    for name, value in given.items():
        default = known[name].default
        allowed = (
            (int, float) if name in numbers else forms.get(name, (str if name == "kind" else type(default),))
        )
        if not isinstance(value, allowed) or (isinstance(value, bool) and default is not False):
            raise wrong(f"'{name}' has the wrong JSON type")
    fault = Fault(**{**given, "methods": tuple(map(str, given.get("methods", ())))})
    if not 200 <= fault.status <= 599 or min(fault.skip, fault.bytes, fault.rows, fault.times or 0) < 0:
        raise wrong("A status is from 200 to 599, and no count is negative")
    if not 0 <= fault.seconds <= LONGEST_S or not 0 <= fault.byte_seconds <= LONGEST_S:
        raise wrong(f"Seconds are from 0 to {LONGEST_S:.0f}")
    return fault


def wrong(message: str) -> Refused:
    """400, saying what a rule may be."""
    return legacy(400, "invalid_fault", message)


def _board(call: Call) -> Faults:
    publisher(call)
    if call.faults is None:
        raise legacy(404, "not_found", "Not found")
    return call.faults


def ask(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST /_faults: one rule or a list of them; all or none are set."""
    board, given = _board(call), decode(call.body, exact=False)
    wanted = [read_fault(one) for one in (given if isinstance(given, list) else [given])]
    return as_json([board.add(fault).shown() for fault in wanted], 201)


def show(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /_faults: the rules with how often they happened, and the newest requests."""
    return as_json(_board(call).shown())


def clear(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """DELETE /_faults: every rule taken back and the requests forgotten; `?id=` for one rule only."""
    board, text = _board(call), call.option("id")
    if text and not text.isdecimal():
        raise wrong("The id of a rule is a number")
    return as_json({"removed": board.remove(int(text) if text else None)})


ROUTES = (
    route("POST", PATH, ask),
    route("GET", PATH, show),
    route("DELETE", PATH, clear),
)
