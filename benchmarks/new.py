"""
What `ctnb new` costs on 3 million rows beside DuckDB's own inference over the whole of the same file.

    python benchmarks/new.py [--rows 3000000] [--keep FOLDER]

A seeded CSV of 14 columns (about 500 MB at 3 million rows) is written to a temporary folder, or to FOLDER, where
it is used again. Traps stand in its last rows only: a letter in a column of digits, a decimal in a column of
whole numbers. DuckDB's `read_csv(sample_size=-1)` into a table and `ctnb new`, each in a process of its own,
read it in turn; printed are wall times and processor times (which count where the machine has other work too),
their ratios, ctnb's peak memory, and whether every leading zero and every day stayed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

GENERATE = """
COPY (
    SELECT
        format('CT-{{:08d}}', i) AS "Case Id",
        strftime(DATE '2012-01-01' + CAST(h % 4000 AS INTEGER), '%m/%d/%Y') AS "Date",
        strftime(TIMESTAMP '2020-01-01' + to_seconds(CAST(h % 100000000 AS BIGINT)), '%Y-%m-%dT%H:%M:%S') AS "Updated",
        ['Hartford', 'New Haven', 'Bridgeport', 'Stamford', 'Waterbury', 'Norwalk', 'Danbury'][h % 7 + 1] AS "Town",
        format('0{{:04d}}', 6001 + h % 900) AS "Zip",
        format('09{{:09d}}', h % 999999999) AS "Tract FIPS",
        h % 90 AS "Age",
        CASE WHEN i > {rows} - 3 THEN format('{{:.2f}}', (h % 500) / 100) ELSE CAST(h % 500 AS VARCHAR) END AS "Score",
        CASE WHEN i > {rows} - 3 THEN 'A12' ELSE CAST(h % 1000 AS VARCHAR) END AS "Room",
        format('${{:,}}.{{:02d}}', h % 100000, h % 100) AS "Fee",
        format('{{:.1f}}%', (h % 1000) / 10) AS "Share",
        CASE h % 3 WHEN 0 THEN 'Y' WHEN 1 THEN 'N' ELSE '' END AS "Open",
        CASE WHEN h % 50 = 0 THEN 'N/A' ELSE CAST(h % 100000 AS VARCHAR) END AS "Visits",
        'Inspected by the district in week ' || (h % 53) || ', file ' || (h % 1000003) AS "Remark"
    FROM (SELECT i, CAST(hash(i + 7) % 2147483647 AS BIGINT) AS h FROM range(1, {rows} + 1) t(i))
) TO '{path}' (FORMAT csv, HEADER)
"""

PEER = """
import duckdb, sys, time
start = time.perf_counter()
connection = duckdb.connect()
connection.execute("SET enable_progress_bar=false")
connection.execute("CREATE TABLE t AS SELECT * FROM read_csv(?, sample_size=-1)", [sys.argv[1]])
print(time.perf_counter() - start)
print(time.process_time())
"""

OURS = """
import resource, sys, time
from pathlib import Path
start = time.perf_counter()
from ctnb import projects
from ctnb.proposals import proposing
made = proposing.propose(projects.init(Path(sys.argv[2])), "rows", sys.argv[1])
print()
print(time.perf_counter() - start)
print(time.process_time())
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
for column in made.draft.columns:
    print(column.name, column.choice.kind.type, column.choice.kind.scale, column.choice.kind.format)
"""

EXPECTED = """\
case_id code 0 None
date date 0 MM/DD/YYYY
updated timestamp 0 None
town text 0 None
zip code 0 None
tract_fips code 0 None
age integer 0 None
score number 2 None
room text 0 None
fee money 2 None
share percent 1 None
open boolean 0 None
visits integer 0 None
remark text 0 None"""


def main() -> None:
    """Generate, time both, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--rows", type=int, default=3_000_000)
    parser.add_argument("--keep", type=Path)
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        path = _generated(told.keep or Path(made), told.rows)
        peer, peer_cpu = map(float, _run(PEER, str(path)))
        seconds, cpu, peak_mb, *columns = _run(OURS, str(path), str(Path(made) / "project"))[-17:]
        size_mb = path.stat().st_size / 1e6
    print(f"{told.rows:,} rows, {size_mb:,.0f} MB                     wall    processor")
    print(f"DuckDB read_csv(sample_size=-1)   {peer:6.1f} s   {peer_cpu:6.1f} s")
    wall, work = float(seconds), float(cpu)
    print(f"ctnb new                          {wall:6.1f} s   {work:6.1f} s   peak {float(peak_mb):,.0f} MB")
    print(f"ratio                             {wall / peer:6.2f}     {work / peer_cpu:6.2f}")
    print("types as expected" if "\n".join(columns) == EXPECTED else "TYPES DIFFER:\n" + "\n".join(columns))


def _generated(folder: Path, rows: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"rows-{rows}.csv"
    if not path.exists():
        started = time.perf_counter()
        duckdb.execute(GENERATE.format(rows=rows, path=path))
        print(f"generated in {time.perf_counter() - started:.1f} s")
    return path


def _run(code: str, *arguments: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip().splitlines()


if __name__ == "__main__":
    main()
