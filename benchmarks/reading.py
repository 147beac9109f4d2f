"""
What reading under a contract costs beside DuckDB's own typed COPY of the same file.

    python benchmarks/reading.py [--rows 3000000] [--repeat 3]

A seeded CSV of 14 columns (500 MB at 3 million rows, in a temporary folder) and a contract that fits it. In turn,
each in a process of its own:

    DuckDB COPY     read_csv with the types given, COPY to zstd Parquet
    ctnb, no digest the same through ctnb.reads: snapshot, every rule asked, counts, file digests
    ctnb            with the content digest ctnb-table/1 over every row

Prints medians, ratios to the COPY, and the peak memory of each process.
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

COLUMNS = [
    ("id", "integer", "BIGINT"), ("licence", "code", "VARCHAR"), ("business", "text", "VARCHAR"),
    ("town", "text", "VARCHAR"), ("zip", "code", "VARCHAR"), ("issued", "date", "DATE"),
    ("expires", "date", "DATE"), ("updated", "timestamp", "TIMESTAMP"), ("status", "text", "VARCHAR"),
    ("fee", "money", "DECIMAL(18,2)"), ("visits", "integer", "BIGINT"), ("latitude", "number", "DECIMAL(18,6)"),
    ("longitude", "number", "DECIMAL(18,6)"), ("remark", "text", "VARCHAR"),
]  # fmt: skip

PEER = """
import duckdb, resource, sys, time
began = time.perf_counter()
connection = duckdb.connect()
connection.execute("SET threads=2; SET enable_progress_bar=false")
columns = {columns}
connection.execute(
    "COPY (SELECT * FROM read_csv('{source}', auto_detect=false, header=true, delim=',', quote='\\"', columns="
    + str(columns) + ")) TO '{target}' (FORMAT parquet, COMPRESSION zstd)"
)
print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""

OURS = """
import resource, sys, time
from pathlib import Path
from ctnb import datasets, digests, reads
from ctnb.places import fetching
from ctnb.places.fetched import Request
if {without}:
    digests.of_table = lambda *_: "sha256:none"
contract = datasets.Contract.model_validate({contract})
dataset = datasets.Dataset("rows", Path("{folder}"), contract, "")
import duckdb, pyarrow.parquet
began = time.perf_counter()
folder = Path("{folder}")
request = Request(work=folder, folder=folder, project=folder, roots=())
made = reads.read(dataset, fetching.gather(contract.source, request, told="{source}"), folder)
print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
assert made.rows_read == made.table.rows == {rows}
"""


def main() -> None:
    """Make the file, time the three in turn, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=3_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    told = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ctnb-reading-") as folder:
        source = generate(Path(folder), told.rows)
        print(
            f"{source.stat().st_size / 1e6:,.0f} MB, {told.rows:,} rows, 14 columns; median of {told.repeat}"
        )
        report(measure(Path(folder), source, told))


def generate(folder: Path, rows: int) -> Path:
    """The seeded CSV: leading zeros, blanks, quoted commas and quotes."""
    dice, path = random.Random(20240606), folder / "rows.csv"
    towns = ["Hartford", "New Haven", '"Groton, City of"', "Stamford", "West Hartford", "Old Saybrook"]
    with path.open("w", encoding="utf-8") as stream:
        stream.write(",".join(name for name, _, _ in COLUMNS) + "\n")
        for number in range(rows):
            pick = dice.getrandbits(60)
            year, month, day = 2000 + pick % 25, 1 + pick % 12, 1 + pick % 28
            fee = "" if pick % 25 == 0 else f"{pick % 90000}.{pick % 100:02}"
            stream.write(
                f"{number},LIC-{pick % 9999999:07},Business number {pick % 99991} of the state,{towns[pick % 6]},"
                f"0{6001 + pick % 900},{year}-{month:02}-{day:02},{year + 2}-{month:02}-{day:02},"
                f"{year}-{month:02}-{day:02} {pick % 24:02}:{pick % 60:02}:{pick % 59:02},"
                f"{['ACTIVE', 'LAPSED', ''][pick % 3]},{fee},{'' if pick % 14 == 0 else pick % 1000},"
                f"41.{pick % 999999:06},-72.{pick % 888888:06},"
                f'"Said ""fine"" at the visit of week {pick % 53}, file {pick % 1000003}"\n'
            )
    return path


def measure(folder: Path, source: Path, told: argparse.Namespace) -> dict[str, list[tuple[float, float]]]:
    """Seconds and peak MB of each way."""
    columns = [{"name": name, "type": kind, "role": "plain"} for name, kind, _ in COLUMNS]
    contract = {"format": 1, "title": "Rows", "source": {"path": "rows.csv"}, "columns": columns}
    peer = PEER.format(columns={n: t for n, _, t in COLUMNS}, source=source, target=folder / "peer.parquet")
    ours = {
        name: OURS.format(contract=contract, folder=folder, source=source, rows=told.rows, without=without)
        for name, without in (("ctnb, no digest", True), ("ctnb", False))
    }
    times: dict[str, list[tuple[float, float]]] = {"DuckDB COPY": [], **{name: [] for name in ours}}
    for _ in range(told.repeat):
        for name, code in {"DuckDB COPY": peer, **ours}.items():
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
            if done.returncode:
                sys.exit(done.stderr[-3000:])
            seconds, memory = map(float, done.stdout.split())
            times[name].append((seconds, memory))
    return times


def report(times: dict[str, list[tuple[float, float]]]) -> None:
    """Print medians, ratios and memory."""
    floor = statistics.median(seconds for seconds, _ in times["DuckDB COPY"])
    for name, values in times.items():
        seconds, memory = statistics.median(s for s, _ in values), max(m for _, m in values)
        print(f"  {name:<16} {seconds:7.2f} s   {seconds / floor:4.2f} x   peak {memory:6,.0f} MB")


if __name__ == "__main__":
    main()
