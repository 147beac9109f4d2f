"""
How fast the embedded portal's pages of a large dataset come, beside a plain DuckDB query of the same rows.

    python benchmarks/embedded_pages.py [rows] [repetitions]

A portal is started on loopback with one dataset of 12 columns (1,000,000 rows unless told otherwise), whose mirror is
made first. Each page is asked for over HTTP with the words of its filter changed every time; the time is to the last
byte. The plain query reads the same rows and their count from a table in a DuckDB file, typed as the contract would.
Medians in milliseconds; limits are what the project promises itself.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import requests

PROJECT = Path(__file__).parent.parent
sys.path[:0] = [str(PROJECT), str(PROJECT / "tests")]

from portal_fixture import started  # noqa: E402  of this checkout

from ctnb.embedded.accounts import Account, add_account  # noqa: E402
from ctnb.embedded.catalogue import add_column, add_view, again, touch  # noqa: E402
from ctnb.embedded.rows import apply_changes, read_changes  # noqa: E402
from ctnb.embedded.store import Store  # noqa: E402

COLUMNS = {
    "case_id": "text", "town": "text", "agency": "text", "opened": "calendar_date", "fiscal_year": "number",
    "amount": "money", "units": "number", "open": "checkbox", "street": "text", "status": "text", "note": "text",
    "zip": "text",
}  # fmt: skip
DUCKDB_TYPES = {
    "text": "VARCHAR",
    "calendar_date": "DATE",
    "number": "BIGINT",
    "money": "DOUBLE",
    "checkbox": "BOOLEAN",
}
BATCH = 50_000


def made(rows: int) -> Iterator[dict[str, Any]]:
    """Rows of a dataset like those that agencies publish."""
    drawn = random.Random(20261121)
    towns = [f"Town {number}" for number in range(169)]
    for at in range(rows):
        yield {
            "case_id": f"C-{at:08d}",
            "town": drawn.choice(towns),
            "agency": f"Agency {drawn.randrange(60)}",
            "opened": f"20{drawn.randrange(10, 25)}-{drawn.randrange(1, 13):02d}-{drawn.randrange(1, 29):02d}",
            "fiscal_year": drawn.randrange(2010, 2026),
            "amount": str(drawn.randrange(100, 10**8) / 100),
            "units": drawn.randrange(1000),
            "open": drawn.random() < 0.3,
            "street": f"{drawn.randrange(1, 9999)} {drawn.choice(towns)} Street",
            "status": drawn.choice(("Open", "Closed", "Appealed", None)),
            "note": f"The case was seen on visit {drawn.getrandbits(40):x}",
            "zip": f"06{drawn.randrange(1000):03d}",
        }


def fill(folder: Path, rows: int) -> tuple[Path, str, Any]:
    """The same rows in a portal's file and in a DuckDB file; the portal's file, the dataset's id, the DuckDB."""
    file, plain = folder / "portal.sqlite", duckdb.connect(str(folder / "plain.duckdb"))
    typed = ", ".join(f"{name} {DUCKDB_TYPES[kind]}" for name, kind in COLUMNS.items())
    plain.execute(f"CREATE TABLE cases (sid BIGINT, {typed})")
    store, batch, done = Store(file), [], 0
    with store.writing() as connection:
        view = add_view(connection, {"name": "Cases"}, Account("k", "aaaa-bbbb", "B", "publisher"), 1.0)
        for at, (name, kind) in enumerate(COLUMNS.items(), 1):
            add_column(connection, view, {"name": name, "fieldName": name, "dataTypeName": kind}, at)
        connection.execute("UPDATE views SET scope = 'public', stage = 'published' WHERE id = ?", (view.id,))
        for one in made(rows):
            batch.append(one)
            if len(batch) == BATCH or done + len(batch) == rows:
                view = again(connection, view.uid)
                apply_changes(connection, view, read_changes(view, batch), 1.0)
                numbered = pa.table(
                    {
                        "sid": range(done + 1, done + len(batch) + 1),
                        **{name: [b[name] for b in batch] for name in COLUMNS},
                    }
                )
                plain.register("batch", numbered)
                plain.execute("INSERT INTO cases SELECT * FROM batch")
                plain.unregister("batch")
                done, batch = done + len(batch), []
        touch(connection, view, 2.0, rows=True)
    store.close()
    return file, view.uid, plain


def median_ms(work: Callable[[int], None], repetitions: int) -> float:
    """The median time of `work`, which is told which repetition it is; once unmeasured first."""
    taken = []
    for at in range(repetitions + 1):
        begun = time.perf_counter()
        work(at)
        taken.append(1000 * (time.perf_counter() - begun))
    return statistics.median(taken[1:])


def wait_for_mirror(address: str) -> float:
    """Seconds until the page tells empty cells, which it does once the mirror is there."""
    begun = time.monotonic()
    while "not counted yet" in requests.get(address, timeout=120).text:
        time.sleep(0.2)
    return time.monotonic() - begun


TEXTS = ("case_id", "town", "agency", "street", "status", "note", "zip")
ANY_TEXT = " OR ".join(f"contains(lower({name}), ?)" for name in TEXTS)
PAGES: list[tuple[str, str, str, Callable[[int], list[Any]], int]] = [
    ("first page", "", "SELECT * FROM cases ORDER BY sid LIMIT 26", lambda at: [], 200),
    ("last page, by key", "before=end", "SELECT * FROM cases ORDER BY sid DESC LIMIT 26", lambda at: [], 200),
    ("filtered by a town", "f.town.is=%3DTown {0}", "SELECT * FROM cases WHERE town = ? ORDER BY sid LIMIT 26",
     lambda at: [f"Town {at}"], 200),
    ("filtered by town, year and amount, sorted by day",
     "f.town.is=%3DTown {0}&f.fiscal_year.from=2020&f.amount.to=500000&sort=opened&dir=desc",
     "SELECT * FROM cases WHERE town = ? AND fiscal_year >= 2020 AND amount <= 500000"
     " ORDER BY opened DESC, sid LIMIT 26",
     lambda at: [f"Town {at}"], 200),
    ("letters in a note", "f.note.has=visit {0}a",
     "SELECT * FROM cases WHERE contains(lower(note), ?) ORDER BY sid LIMIT 26",
     lambda at: [f"visit {at}a"], 600),
    ("sorted by amount", "sort=amount&dir=desc", "SELECT * FROM cases ORDER BY amount DESC, sid LIMIT 26",
     lambda at: [], 600),
    ("deep in a sort that was paged before, by place", "sort=street&at=50{0}000",
     "SELECT * FROM cases ORDER BY street, sid LIMIT 26 OFFSET ?",
     lambda at: [500_000 + 1000 * at], 600),
    ("deep in a sort that nobody asked for before", "f.units.from={0}&sort=street&at=500000",
     "SELECT * FROM cases WHERE units >= ? ORDER BY street, sid LIMIT 26 OFFSET 499999", lambda at: [at], 600),
    ("search of every column", "q={0}7 town",
     f"SELECT * FROM cases WHERE ({ANY_TEXT}) AND ({ANY_TEXT}) ORDER BY sid LIMIT 26",
     lambda at: [f"{at}7"] * len(TEXTS) + ["town"] * len(TEXTS), 600),
]  # fmt: skip


def main() -> None:
    """Make the rows, ask for each page, and print a table."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    repetitions = int(sys.argv[2]) if len(sys.argv) > 2 else 7
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file, uid, plain = fill(folder, rows)
        with started(file, *add_account(file, "Pat Publisher", "publisher")) as portal:
            address = f"{portal.url}/d/{uid}"
            print(f"{rows:,} rows x {len(COLUMNS)} columns; mirror made in {wait_for_mirror(address):.1f} s")
            print(f"{'page':<50} {'portal':>9} {'DuckDB':>9} {'limit':>8}")
            session = requests.Session()
            for title, query, sql, values, limit in PAGES:

                def page(at: int, query: str = query) -> None:
                    session.get(f"{address}?{query.format(at)}", timeout=60).raise_for_status()

                def query_plain(at: int, sql: str = sql, values: Callable[[int], list[Any]] = values) -> None:
                    plain.execute(sql, values(at)).fetchall()
                    condition = sql.partition("WHERE ")[2].partition(" ORDER")[0]
                    where = f" WHERE {condition}" if condition else ""
                    plain.execute(
                        f"SELECT count(*) FROM cases{where}", values(at) if where else []
                    ).fetchall()

                ours, theirs = median_ms(page, repetitions), median_ms(query_plain, repetitions)
                print(
                    f"{title:<50} {ours:>6.0f} ms {theirs:>6.0f} ms {limit:>5} ms{'' if ours < limit else '  MISSED'}"
                )


if __name__ == "__main__":
    main()
