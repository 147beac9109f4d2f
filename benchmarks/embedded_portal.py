"""
What a page of a large dataset costs on the embedded portal, beside a plain DuckDB query of the same rows.

    python benchmarks/embedded_portal.py [--rows 1000000] [--repeat 15]

A portal in a process of its own on loopback, with a seeded dataset of 12 columns that is written in parts by
upserts of CSV; the same rows in a DuckDB file. Each question is asked once, which has the index made that it
would have used, and then `--repeat` times with other values: a page of 1,000 rows as JSON over HTTP, until its last
byte, and the DuckDB query fetched as Python objects. Prints medians in milliseconds, and the slowest.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import requests

from ctnb.embedded.accounts import add_account

COLUMNS = [
    ("id", "number", "BIGINT"), ("licence", "text", "VARCHAR"), ("business", "text", "VARCHAR"),
    ("town", "text", "VARCHAR"), ("zip", "text", "VARCHAR"), ("issued", "calendar_date", "TIMESTAMP"),
    ("expires", "calendar_date", "TIMESTAMP"), ("status", "text", "VARCHAR"), ("fee", "number", "DECIMAL(18,2)"),
    ("visits", "number", "BIGINT"), ("active", "checkbox", "BOOLEAN"), ("remark", "text", "VARCHAR"),
]  # fmt: skip
PART_ROWS = 100_000

QUESTIONS: list[tuple[str, str, str, Callable[[random.Random], str]]] = [
    ("equal, 1 in 169", "town = '{}'", "", lambda r: f"Town {r.randrange(169)}"),
    ("equal, 1 row", "licence = '{}'", "", lambda r: f"LIC.{r.randrange(10**7):07d}"),
    ("range, 1 in 1,000", "fee > {}", "", lambda r: f"{r.randrange(99_900, 99_910) / 100:.2f}"),
    ("range, 1 in 20", "fee > {}", "", lambda r: str(r.randrange(940, 960))),
    ("range, half", "fee > {}", "", lambda r: str(r.randrange(480, 520))),
    ("dates, one month", "issued between '{}-01' and '{}-28'", "", lambda r: f"20{r.randrange(10, 24)}-07"),
    ("prefix", "licence like '{}%'", "", lambda r: f"LIC.{r.randrange(10**3):03d}"),
    ("equal and range", "town = '{}' and fee > 500", "", lambda r: f"Town {r.randrange(169)}"),
    ("one of three", "status = '{}'", "", lambda r: r.choice(["ACTIVE", "PENDING"])),
    ("equal, sorted by another", "town = '{}'", "fee desc", lambda r: f"Town {r.randrange(169)}"),
    ("one of three, sorted by another", "status = '{}'", "fee desc", lambda r: r.choice(["ACTIVE", "PENDING"])),
    ("without a filter, sorted", "fee >= {}", "fee", lambda r: "0"),
]  # fmt: skip
"""What each is called, its condition, its order, and the values that it is asked with."""


def rows(count: int) -> Iterator[list[object]]:
    """Seeded rows, the same for both."""
    rnd = random.Random(8)
    for number in range(count):
        yield [
            number, f"LIC.{rnd.randrange(10**7):07d}", f"Business number {rnd.randrange(10**6)} of somewhere",
            f"Town {rnd.randrange(169)}", f"06{rnd.randrange(1000):03d}",
            f"20{rnd.randrange(10, 24)}-{rnd.randrange(1, 13):02d}-{rnd.randrange(1, 29):02d}T00:00:00.000",
            f"2025-{rnd.randrange(1, 13):02d}-01T00:00:00.000", rnd.choice(["ACTIVE", "INACTIVE", "PENDING"]),
            f"{rnd.randrange(100_000) / 100:.2f}", rnd.randrange(1000), rnd.choice(["true", "false"]),
            "" if rnd.random() < 0.5 else "seen at the counter, papers complete",
        ]  # fmt: skip


class Portal:
    """The portal under test, and its dataset."""

    def __init__(self, folder: Path) -> None:
        self.file, address = folder / "portal.sqlite", folder / "address.json"
        self.auth = add_account(self.file, "Pat Publisher", "publisher")
        command = [
            sys.executable,
            "-m",
            "ctnb.embedded",
            "--file",
            str(self.file),
            "--address-file",
            str(address),
        ]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        while not address.exists():
            if self.process.poll() is not None:
                raise SystemExit("the portal did not start")
            time.sleep(0.05)
        self.url = json.loads(address.read_text())["url"]
        self.session = requests.Session()
        columns = [{"name": name, "fieldName": name, "dataTypeName": kind} for name, kind, _ in COLUMNS]
        body = {"name": "Licences", "columns": columns, "metadata": {"rowIdentifier": "id"}}
        self.uid = self.ask("POST", "/api/views.json", json=body).json()["id"]
        self.ask("POST", f"/api/views/{self.uid}/publication.json")

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        """A request that must succeed."""
        answer = self.session.request(method, self.url + path, auth=self.auth, timeout=600, **options)
        answer.raise_for_status()
        return answer

    def write(self, part: list[list[object]]) -> None:
        """Upsert a part of the rows."""
        text = io.StringIO()
        csv.writer(text).writerows([[name for name, *_ in COLUMNS], *part])
        headers = {"Content-Type": "text/csv"}
        self.ask("POST", f"/resource/{self.uid}.json", data=text.getvalue().encode(), headers=headers)

    def page(self, condition: str, order: str) -> int:
        """The rows of a page."""
        asked = {"$where": condition, "$order": order or ":id", "$limit": "1000"}
        return len(json.loads(self.ask("GET", f"/resource/{self.uid}.json", params=asked).content))

    def settle(self) -> None:
        """Wait until a write goes through, and with it every index that was asked for."""
        time.sleep(0.5)
        self.ask("POST", f"/api/views/{self.uid}/publication.json")


def measured(job: Callable[[str], int], values: list[str]) -> tuple[float, float, float]:
    """The median and the longest time in ms, and the mean number of rows."""
    taken, found = [], []
    for value in values:
        began = time.perf_counter()
        found.append(job(value))
        taken.append(1000 * (time.perf_counter() - began))
    return statistics.median(taken), max(taken), statistics.mean(found)


def load(portal: Portal, engine: duckdb.DuckDBPyConnection, folder: Path, count: int) -> None:
    """The same rows in both."""
    began = time.perf_counter()
    with (folder / "rows.csv").open("w", newline="") as file:
        part: list[list[object]] = []
        writer = csv.writer(file)
        for row in rows(count):
            part.append(row)
            if len(part) == PART_ROWS or row[0] == count - 1:
                portal.write(part)
                writer.writerows(part)
                part = []
    types = {name: kind for name, _, kind in COLUMNS}
    source = f"read_csv('{folder / 'rows.csv'}', header=false, columns={types})"
    engine.execute(f"CREATE TABLE licences AS SELECT * FROM {source}")
    size = portal.file.stat().st_size / 2**20
    print(
        f"{count:,} rows written in {time.perf_counter() - began:.0f} s; the portal's file has {size:.0f} MB"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=15)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        portal = Portal(folder)
        engine = duckdb.connect(str(folder / "rows.duckdb"), config={"threads": 2})
        try:
            load(portal, engine, folder, given.rows)
            compare(portal, engine, given.repeat)
        finally:
            portal.process.terminate()
            portal.process.wait()


def compare(portal: Portal, engine: duckdb.DuckDBPyConnection, repeat: int) -> None:
    """Each question to both."""
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    heads = ("1,000 rows a page", "portal ms", "slowest", "DuckDB ms", "slowest", "rows")
    print("{:34}{:>10}{:>9}{:>11}{:>9}{:>7}".format(*heads))
    medians = []
    for title, condition, order, values in QUESTIONS:
        rnd = random.Random(3)
        asked = [condition.replace("{}", values(rnd)) for _ in range(repeat)]
        portal.page(asked[0], order)
        portal.settle()
        ours = measured(lambda where, order=order: portal.page(where, order), asked)
        sort = order.replace("fee", "fee nulls last, rowid") if order == "fee" else order or "rowid"
        sql = f"SELECT * FROM licences WHERE {{}} ORDER BY {sort} LIMIT 1000"
        theirs = measured(lambda where, sql=sql: len(engine.execute(sql.format(where)).fetchall()), asked)
        medians.append(ours[0])
        print(
            f"{title:34}{ours[0]:10.1f}{ours[1]:9.1f}{theirs[0]:11.1f}{theirs[1]:9.1f}{ours[2]:7.0f}",
            flush=True,
        )
    print(f"median of the medians: {statistics.median(medians):.1f} ms")


if __name__ == "__main__":
    main()
