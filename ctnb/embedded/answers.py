"""What goes into a route and what comes out: Call, Answer, Refused, Route."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ctnb.errors import CtnbError

if TYPE_CHECKING:
    from .faults import Faults
    from .workshop import Workshop

JSON = "application/json; charset=utf-8"
HTML = "text/html; charset=utf-8"


@dataclass(frozen=True)
class Account:
    """Who is calling."""

    key_id: str
    uid: str
    name: str
    role: str
    """`publisher` writes and sees everything; `viewer` reads what it was given."""
    mail: str = ""
    """The address it signs in with and is given datasets by, in lower case; empty when it has none."""


@dataclass(frozen=True)
class Call:
    """One request, read whole."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    body: bytes
    now: float
    """Seconds since 1970, UTC."""
    origin: str
    """Scheme and authority the caller used, without a final slash."""
    account: Account | None = None
    workshop: Workshop | None = None
    """Where uploads are kept and worked on."""
    faults: Faults | None = None
    """What goes wrong on demand, where the portal was started with --faults."""
    fault: str = ""
    """The fault that the route itself makes: `approval` or `failure`."""

    def option(self, name: str, default: str = "") -> str:
        """The first query parameter called `name`."""
        return next((value for key, value in self.query if key == name), default)


@dataclass(frozen=True)
class Answer:
    """What a route sends back."""

    status: int = 200
    body: bytes | Iterator[bytes] = b""
    """An iterator is sent as it comes, on the same snapshot of the store."""
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


Names = Mapping[str, str]
Action = Callable[[Call, sqlite3.Connection, Names], Answer]


@dataclass(frozen=True)
class Route:
    """One method on one form of path."""

    method: str
    path: str
    """As it was given to `route`, for the log."""
    pattern: re.Pattern[str]
    action: Action
    writes: bool = False
    """Runs alone, in one transaction that is committed before the answer is sent."""
    identifies: bool = True
    """False: the action finds out itself who calls."""


_NUMBERS = ("seq", "source", "input", "output", "transform", "chunk", "offset", "job")
_NAMES = {
    "{view}": r"(?P<view>[A-Za-z0-9_-]{1,100})",
    "{row}": r"(?P<row>[^/]{1,1000}?)",
    "{column}": r"(?P<column>\d{1,18})",
    **{f"{{{name}}}": rf"(?P<{name}>\d{{1,18}})" for name in _NUMBERS},
    "{config}": r"(?P<config>[^/]{1,200})",
    "{asset}": r"(?P<asset>[A-Za-z0-9-]{1,100})",
    "{json}": r"(?:\.json)?",
    "{extension}": r"(?:\.(?P<extension>[a-z]{2,8}))?",
}


def route(method: str, path: str, action: Action, *, writes: bool = False) -> Route:
    """A Route for `path`, in which {view}, {row}, {json} and the other keys of `_NAMES` are patterns."""
    pattern = path.replace(".", r"\.")
    for name, form in _NAMES.items():
        pattern = pattern.replace(name, form)
    return Route(method, path, re.compile(pattern), action, writes)


class Refused(CtnbError):
    """A request that the protocol answers with an error; made by `legacy` and `modern`."""

    code = 2

    def __init__(self, status: int, body: dict[str, Any], headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(str(body.get("message", "")), status=status)
        self.status = status
        self.body = body
        self.headers = headers

    def answer(self) -> Answer:
        """The error as the vendor's servers print it."""
        if "errorCode" in self.body:
            return Answer(self.status, encode(self.body), JSON, self.headers)
        text = json.dumps(self.body, indent=2, separators=(",", " : "), ensure_ascii=False) + "\n"
        return Answer(self.status, text.encode(), JSON, self.headers)


def legacy(status: int, error: str, message: str, **data: Any) -> Refused:
    """The envelope of the core server: code, error, message, data (spec: recorded answers)."""
    body: dict[str, Any] = {"code": error, "error": True, "message": message}
    headers = (("X-Error-Code", error), ("X-Error-Message", _one_line(message)))
    return Refused(status, body | ({"data": data} if data else {}), headers)


def modern(status: int, error: str, message: str, **data: Any) -> Refused:
    """The envelope of the 2.1 server: message, errorCode, data."""
    return Refused(status, {"message": message, "errorCode": error, "data": data})


def not_logged_in() -> Refused:
    """The answer to a write without credentials."""
    return Refused(403, {"message": "You must be logged in to access this resource", "error": True})


def not_permitted(message: str = "You do not have permission to view this dataset") -> Refused:
    """The answer to credentials that do not reach this far."""
    return legacy(403, "permission_denied", message)


def encode(value: object) -> bytes:
    """`value` as JSON and a line end."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def as_json(value: object, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """An Answer that holds `value` as JSON."""
    return Answer(status, encode(value), JSON, headers)


def decode(body: bytes, *, exact: bool = True) -> Any:
    """The JSON of a request; `exact` keeps numbers as they were written. Raises Refused (400)."""
    decoder = _exact if exact else _plain
    try:
        return decoder.decode(body.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        where = {"row": error.lineno, "column": error.colno}
    except (ValueError, RecursionError):
        where = {"row": 1, "column": 1}
    raise modern(400, "req.body.malformed-json", "The request body is not well-formed JSON", **where)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


@dataclass(frozen=True)
class Written:
    """A JSON number that is not a plain integer, as it was written."""

    text: str = field(repr=False)


_exact = json.JSONDecoder(parse_float=Written, parse_constant=_refuse_constant)
_plain = json.JSONDecoder(parse_constant=_refuse_constant)


def _one_line(text: str) -> str:
    return re.sub(r"[^\x20-\x7e]", " ", text)[:200]
