"""
What a push costs beside a bare loop of requests that posts the same batches to the same portal.

    python benchmarks/pushing.py [--rows 20000] [--batches 8] [--size 1000]

A project is made in a temporary folder, with `--rows` seeded rows released on an embedded portal, which runs as a
process of its own. Then `--batches` batches of `--size` records, in turn:

    requests     POST /resource/<4x4>.json, one request a batch, on one connection: nothing is typed, reviewed, read
                 back or kept
    ctnb push    each batch typed, reviewed with what is published, sent, read back, compared, kept as a release with
                 a record; acknowledged only then

Prints records per second, bytes that reached the portal as bodies, and the ratios; then how many different texts the
detectors tested for the first batch of the push and for the others.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))
SLUG = "counters"
CONTRACT = """\
format: 1
title: Bicycles counted
unit: other
source: {path: counters.csv}
columns:
  - {name: passage, type: code, role: plain, constraints: {required: true}}
  - {name: counter, type: text, role: plain}
  - {name: direction, type: text, role: plain}
  - {name: bicycles, type: integer, role: plain}
  - {name: note, type: text, role: plain}
  - {name: day, type: date, role: plain}
transform: {use: none}
key: [passage]
portal: {name: state, public: false, mode: upsert}
"""
SETTINGS = """\
format: 1
four_eyes: false
portals:
  state: {{kind: socrata, url: "{url}", key_id: {{secret: STATE_KEY_ID}}, key_secret: {{secret: STATE_KEY_SECRET}}}}
"""
NAMES = ("passage", "counter", "direction", "bicycles", "note", "day")


def main() -> None:
    """Make the project, push the batches both ways, print rates and ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[1])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--batches", type=int, default=8)
    parser.add_argument("--size", type=int, default=1_000)
    told = parser.parse_args()
    from portal_fixture import running_portal

    with tempfile.TemporaryDirectory(prefix="ctnb-pushing-") as folder:
        (place := Path(folder, "portal")).mkdir()
        with running_portal(place) as running:
            os.environ |= {"STATE_KEY_ID": running.key_id, "STATE_KEY_SECRET": running.key_secret}
            measure(Path(folder), running, told)


def measure(folder: Path, running: Any, told: argparse.Namespace) -> None:
    """Both ways, in turn for each batch, so that what else the machine does meets both."""
    project, dice = make_project(folder / "project", running.url, told.rows), random.Random(20261122)
    batches = [
        [record(dice, told.rows + number * told.size + at) for at in range(told.size)]
        for number in range(told.batches)
    ]
    theirs = Bare(running)
    ours, tested, sent = push(project, batches, theirs)
    report(told, ours, theirs, sent, tested)


def make_project(folder: Path, url: str, rows: int) -> Any:
    """A project whose first `rows` rows are released."""
    from ctnb import flows, settings

    place = folder / "notebooks" / SLUG
    place.mkdir(parents=True)
    (folder / "ctnb.yml").write_text(SETTINGS.format(url=url), encoding="utf-8")
    (place / "dataset.yml").write_text(CONTRACT, encoding="utf-8")
    dice = random.Random(20261121)
    lines = [",".join(NAMES), *(",".join(map(str, record(dice, at).values())) for at in range(rows))]
    (place / "counters.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    made = flows.run(SLUG, project=settings.load(folder))
    if made.status != "released":
        raise SystemExit(f"The first rows were not released: {made.reason}")
    return settings.load(folder)


def record(dice: random.Random, number: int) -> dict[str, Any]:
    """One seeded record."""
    day = f"2026-{dice.randint(1, 12):02}-{dice.randint(1, 28):02}"
    cells = (f"P{number:08}", f"Bridge {dice.randint(1, 40)}", dice.choice(["in", "out"]), dice.randint(0, 500),
             f"lane {dice.randint(1, 9999)}", day)  # fmt: skip
    return dict(zip(NAMES, cells, strict=True))


class Bare:
    """A loop of requests that posts batches to a dataset of its own."""

    def __init__(self, running: Any) -> None:
        import requests

        columns = [("passage", "text"), ("counter", "text"), ("direction", "text"), ("bicycles", "number"),
                   ("note", "text"), ("day", "calendar_date")]  # fmt: skip
        self._url = f"{running.url}/resource/{running.create(*columns, key='passage')}.json"
        self._session = requests.Session()
        self._session.auth = running.auth
        self.seconds: list[float] = []
        self.bytes = 0

    def post(self, batch: list[dict[str, Any]]) -> None:
        """One request; the body's making is counted."""
        began = time.perf_counter()
        body = json.dumps(batch).encode()
        headers = {"Content-Type": "application/json"}
        answer = self._session.post(self._url, data=body, headers=headers, timeout=600)
        if answer.status_code != 200 or answer.json()["Rows Created"] != len(batch):
            raise SystemExit(f"The portal answered {answer.status_code}.")
        self.seconds.append(time.perf_counter() - began)
        self.bytes += len(body)


def push(
    project: Any, batches: list[list[dict[str, Any]]], theirs: Bare
) -> tuple[list[float], list[int], int]:
    """Seconds of each batch by ctnb push, texts tested by each review, and bytes of bodies; each then posted bare."""
    from ctnb import pushing
    from ctnb.clients.socrata import Socrata
    from ctnb.privacy.seen import Seen

    seconds: list[float] = []
    tested: list[int] = []
    sizes: list[int] = []
    began = time.perf_counter()
    keep, upsert = Seen.keep, Socrata.upsert

    def told(one: Any) -> None:
        nonlocal began
        if not one.release:
            raise SystemExit(f"Batch {one.batch} was not confirmed: {one.why}")
        seconds.append(time.perf_counter() - began)
        theirs.post(batches[one.batch - 1])
        began = time.perf_counter()

    def counting(self: Seen, columns: Any, texts: Any, new: int) -> None:
        tested.append(new)
        keep(self, columns, texts, new)

    def weighed(self: Socrata, dataset_id: str, body: bytes, gone: int = 0) -> Any:
        sizes.append(len(body))
        return upsert(self, dataset_id, body, gone)

    Seen.keep, Socrata.upsert = counting, weighed  # type: ignore[method-assign,assignment]
    lines = [json.dumps(one).encode() for batch in batches for one in batch]
    pushing.push(SLUG, lines, batch_rows=len(batches[0]), project=project, told=told)
    Seen.keep, Socrata.upsert = keep, upsert  # type: ignore[method-assign]
    return seconds, tested, sum(sizes)


def report(told: argparse.Namespace, ours: list[float], theirs: Bare, sent: int, tested: list[int]) -> None:
    """Rates, bytes and ratios."""
    records = told.batches * told.size
    print(f"{told.rows:,} rows published; {told.batches} batches of {told.size:,} records")
    for name, seconds, size in (("requests", theirs.seconds, theirs.bytes), ("ctnb push", ours, sent)):
        rate = records / sum(seconds)
        print(f"  {name:<10} {rate:10,.0f} records/s {size / records:8,.0f} bytes a record")
    times, more = sum(ours) / sum(theirs.seconds), sent / theirs.bytes
    print(f"  ctnb push takes {times:.1f} times as long and sends {more:.2f} times the bytes")
    rest = max(tested[1:], default=0)
    print(
        f"  different texts tested for identifiers: {tested[0]:,} for the first batch, then {rest:,} at most"
    )


if __name__ == "__main__":
    main()
