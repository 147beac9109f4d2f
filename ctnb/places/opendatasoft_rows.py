"""
The rows of an Opendatasoft (Huwise) dataset, from one export.

Protocol: the vendor's Explore API v2.1, "Export a dataset". An export has no end mark, so that its rows are held
against what the portal counts before and after, and against when it says that the data were processed.
"""

from __future__ import annotations

import csv
import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ctnb import clock, digests
from ctnb.clients.getting import Answer, BrokenOff, Getter, Stream, check_way, not_json
from ctnb.clients.opendatasoft import error_code
from ctnb.contracts.places import OpendatasoftRows
from ctnb.errors import NothingNew, SourceFailed, SourceInvalid, UsageError
from ctnb.places import csv_lines, opendatasoft_addresses
from ctnb.places.fetched import Fetched, Progress, Request
from ctnb.places.opendatasoft_addresses import Asked
from ctnb.snapshots import Writer
from ctnb.sources.cursors import RECORD_LIMIT

READINGS = 3
"""How often a dataset is read anew because it changed meanwhile, or an export ended too early."""
BATCH_ROWS = 5_000
_LOCAL = {"lang": "en", "timezone": "UTC"}
_TYPES = {
    "int": "integer", "double": "number", "date": "date", "datetime": "timestamp", "geo_point_2d": "point",
    "boolean": "boolean",
}  # fmt: skip


class _Changed(Exception):
    """The dataset is not what it was when the reading began; the text says in what respect."""


@dataclass(frozen=True)
class _About:
    """What the portal's metadata say of a dataset."""

    types: Mapping[str, str]
    """The fields' types, in their order."""
    processed: str | None
    """When the data were last processed."""
    modified: str | None
    """When they were last changed, as the publisher says."""


@dataclass(frozen=True)
class _Portal:
    """A dataset on its portal."""

    getter: Getter
    asked: Asked

    def about(self) -> _About:
        """The dataset's metadata. Raises SourceInvalid, SourceFailed, UsageError."""
        said = self._said("", {}).json()
        try:
            types = {str(one["name"]): str(one.get("type", "")) for one in said["fields"]}
            metas = (said.get("metas") or {}).get("default") or {}
            return _About(types, metas.get("data_processed"), metas.get("modified"))
        except (KeyError, TypeError, AttributeError):
            pass
        raise not_json(self.getter.who, "")

    def count(self) -> int:
        """How many records there are under the filters."""
        said = self._said("/records", {**self.asked.parameters, **_LOCAL, "limit": "0"}).json()
        total = said.get("total_count") if isinstance(said, dict) else None
        if isinstance(total, int):
            return total
        raise not_json(self.getter.who, "")

    def columns(self) -> tuple[str, ...]:
        """The names that `select` gives: the header of the same export as CSV."""
        query = {
            **self._parameters(),
            "limit": "1",
            "delimiter": ",",
            "with_bom": "false",
            "use_labels": "false",
        }
        answer = self._said("/exports/csv", query)
        kind = answer.headers.get("Content-Type", "").partition(";")[0]
        if "csv" not in kind:
            raise not_json(self.getter.who, kind)
        return tuple(next(csv.reader(answer.content.decode("utf-8-sig", "replace").splitlines()), ()))

    def records(self) -> Iterator[Mapping[str, Any]]:
        """Every record of the export. Raises BrokenOff."""
        with self.getter.opened(self._path("/exports/jsonl"), self._parameters()) as stream:
            if stream.status != 200:
                raise _refusal(stream.start(), self.asked)
            if "html" in stream.kind:
                raise not_json(self.getter.who, stream.kind)
            for line in _lines(stream):
                yield self._record(line)

    def _record(self, line: bytes) -> Mapping[str, Any]:
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if isinstance(record, dict):
            return record
        raise BrokenOff(
            f"{self.getter.who} sent a torn record in the middle of its export.", hint="Try again later."
        )

    def _parameters(self) -> dict[str, str | list[str]]:
        select = {"select": self.asked.select} if self.asked.select else {}
        return {**self.asked.parameters, **select, **_LOCAL, "limit": "-1"}

    def _path(self, rest: str) -> str:
        return f"/api/explore/v2.1/catalog/datasets/{self.asked.dataset}{rest}"

    def _said(self, rest: str, query: Mapping[str, Any]) -> Answer:
        answer = self.getter.get(self._path(rest), query)
        if answer.status == 200:
            return answer
        raise _refusal(answer, self.asked)


def fetch(place: OpendatasoftRows, request: Request) -> Fetched:
    """
    Every record of the dataset under its filters, as one CSV file with the columns in the portal's order.

    Times are UTC without a zone, a geo point is `POINT (longitude latitude)`, lists and shapes are compact JSON.
    Raises NothingNew when neither the data's times nor their count nor the question changed since the last
    release, SourceFailed when the dataset changes while it is read, SourceInvalid, ContractInvalid, UsageError.
    """
    asked = opendatasoft_addresses.asked(place)
    portal = _portal(place, request, asked)
    about, count = portal.about(), portal.count()
    question = digests.of_bytes(
        json.dumps([asked.origin, asked.dataset, asked.select, asked.parameters]).encode()
    )
    if not request.again and about.processed and dict(request.position) == _position(about, count, question):
        raise NothingNew(f"The dataset {asked.dataset} has not changed since the last release.")
    with Writer(request.work, f"{asked.dataset}.csv", request.prefix) as writer:
        for _ in range(READINGS):
            try:
                columns = _read(portal, about, count, writer, request)
                _check_unchanged(portal, about, count)
            except (_Changed, BrokenOff) as change:
                told = change.what if isinstance(change, BrokenOff) else str(change)
                about, count = portal.about(), portal.count()
                continue
            known = {name: _TYPES.get(about.types[name], "text") for name in columns if name in about.types}
            return Fetched(
                (writer.done(),), "csv", position=_position(about, count, question), rows=count,
                modified=_stamp(about.processed or about.modified), types=known,
            )  # fmt: skip
    raise SourceFailed(
        f"The dataset {asked.dataset} could not be read whole, {READINGS} times: {told.rstrip('.')}.",
        hint="Nothing was kept. Try again when nobody writes to it.",
    )


def _portal(place: OpendatasoftRows, request: Request, asked: Asked) -> _Portal:
    headers = {}
    if place.key:
        check_way(asked.origin)
        headers["Authorization"] = f"Apikey {request.secret(place.key)}"
    ca_file = request.project / place.ca_file if place.ca_file else None
    return _Portal(Getter(asked.origin, headers=headers, timeout_s=place.timeout_s, ca_file=ca_file), asked)


def _stamp(told: str | None) -> str | None:
    """A portal's time as ctnb writes times; None where it says none."""
    try:
        return clock.stamp(dt.datetime.fromisoformat(told)) if told else None
    except ValueError:
        return None


def _position(about: _About, count: int, question: str) -> dict[str, Any]:
    return {"processed": about.processed, "modified": about.modified, "count": count, "question": question}


def _read(portal: _Portal, about: _About, count: int, writer: Writer, request: Request) -> Sequence[str]:
    """Write every record; the columns."""
    columns = portal.columns() if portal.asked.select else tuple(about.types)
    kinds = [(name, about.types.get(name, "")) for name in columns]
    known = set(columns)
    writer.restart()
    writer.write(csv_lines.line(columns).encode())
    rows, lines = 0, []
    for record in portal.records():
        if not record.keys() <= known:
            raise _Changed("records have a field that the metadata did not list")
        lines.append(csv_lines.line(_cell(record.get(name), kind) for name, kind in kinds))
        rows += 1
        if rows % BATCH_ROWS == 0:
            writer.write("".join(lines).encode())
            lines = []
            request.progress(Progress(f"{portal.getter.who} {portal.asked.dataset}", rows, count, "rows"))
    writer.write("".join(lines).encode())
    request.progress(Progress(f"{portal.getter.who} {portal.asked.dataset}", rows, count, "rows"))
    if rows != count:
        raise _Changed(f"{count:,} records were counted and {rows:,} came")
    return columns


def _cell(value: Any, kind: str) -> str | None:
    if value is None:
        return None
    if kind == "geo_point_2d" and isinstance(value, dict) and value.keys() == {"lon", "lat"}:
        return csv_lines.point(value["lon"], value["lat"])
    text = csv_lines.text(value)
    return text.removesuffix("+00:00").removesuffix("Z") if kind == "datetime" else text


def _check_unchanged(portal: _Portal, about: _About, count: int) -> None:
    after = portal.count()
    if after != count:
        raise _Changed(f"{count:,} records were counted before and {after:,} after")
    if portal.about() != about:
        raise _Changed("the portal says that it was processed meanwhile")


def _lines(stream: Stream) -> Iterator[bytes]:
    """The lines of a long answer that are not blank."""
    left = b""
    for chunk in stream.chunks():
        *whole, left = (left + chunk).split(b"\n")
        yield from (line for line in whole if line.strip())
        if len(left) > RECORD_LIMIT:
            raise SourceInvalid(
                f"A record of the dataset is {RECORD_LIMIT >> 20} MB or larger.",
                hint="Leave its largest field out by select:.",
            )
    if left.strip():
        yield left


def _refusal(answer: Answer, asked: Asked) -> Exception:
    """What a status other than 200 means for whoever wrote the contract; messages may quote data."""
    code = error_code(answer.content)
    said = f"status {answer.status}{f', {code}' if code else ''}"
    if answer.status in (401, 403):
        return UsageError(
            f"{answer.who} does not let this key read {asked.dataset} ({said}).",
            hint="A dataset that is not open needs key: of an API key that may explore it; metadata may be open where "
            "rows are not.",
        )
    if answer.status == 404:
        return SourceInvalid(
            f"{answer.who} has no dataset {asked.dataset}, or hides it from this key.",
            hint="Open its address in a browser; its id can have changed while it was not published.",
        )
    if answer.status == 400:
        return SourceInvalid(
            f"{answer.who} does not understand the source's select:, where: or refine: ({said}).",
            hint="Correct them in dataset.yml; fields go by their names, not their labels, and can have been renamed.",
        )
    return SourceFailed(f"{answer.who} refused: {said}.", hint="Try again later.")
