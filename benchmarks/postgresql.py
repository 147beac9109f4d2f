"""
What fetching a PostgreSQL query and reading it under a contract costs beside ADBC's way to Parquet.

    python benchmarks/postgresql.py [--rows 1000000] [--repeat 5]

Starts a server of its own (Debian's postgresql; as nobody when run by root) and fills one table of 12 columns,
seeded. In turn, each in a process of its own:

    ADBC streamed   adbc-driver-postgresql, batch by batch to zstd Parquet; numeric arrives as text
    ADBC whole      the same through one Arrow table in memory
    connectorx      one Arrow table to zstd Parquet, where it is installed
    ctnb fetch      the query's snapshot with its digest
    ctnb, no digest fetched and read: typed by the contract, every rule asked, counts, file digests
    ctnb            with the content digest ctnb-table/1 over every row

Prints the least seconds of each way, its ratio to the faster ADBC, the seconds of CPU of the process and of the
server, and the peak memory of the process. Other work on the machine stretches every one of them: compare ratios.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import database_servers as servers

COLUMNS = [
    ("id", "integer"), ("licence", "code"), ("business", "text"), ("town", "text"), ("zip", "code"),
    ("issued", "date"), ("updated", "timestamp"), ("fee", "money"), ("visits", "integer"), ("latitude", "number"),
    ("active", "boolean"), ("remark", "text"),
]  # fmt: skip

FILL = """
CREATE TABLE facts AS SELECT
  i AS id, 'LIC-' || lpad((random() * 9999999)::int::text, 7, '0') AS licence,
  'Business number ' || (random() * 99990)::int || ' of the state' AS business,
  (ARRAY['Hartford', 'New Haven', 'Groton, City of', 'Stamford', 'West Hartford', NULL])[1 + i % 6] AS town,
  '0' || 6001 + (random() * 900)::int AS zip, DATE '2000-01-01' + (random() * 9000)::int AS issued,
  TIMESTAMP '2000-01-01' + random() * INTERVAL '9000 days' AS updated,
  CASE WHEN i % 25 > 0 THEN (random() * 90000)::numeric(18, 2) END AS fee,
  CASE WHEN i % 14 > 0 THEN (random() * 1000)::int END AS visits, (41 + random())::numeric(18, 6) AS latitude,
  random() < 0.5 AS active,
  'Said "fine" at the visit of week ' || (random() * 53)::int || ', file ' || (random() * 1000003)::int AS remark
FROM generate_series(1::bigint, {rows}) AS i
"""

MEASURED = """
import resource, time
began, before = time.perf_counter(), time.process_time()
{code}
print(
    time.perf_counter() - began, time.process_time() - before,
    resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
)
"""

ADBC = """
import adbc_driver_postgresql.dbapi as adbc, pyarrow.parquet as pq
{measured}
"""
STREAMED = """
with adbc.connect({uri!r}) as connection, connection.cursor() as cursor:
    cursor.execute("SELECT * FROM facts")
    batches = cursor.fetch_record_batch()
    with pq.ParquetWriter({target!r}, batches.schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch)
"""
WHOLE = """
with adbc.connect({uri!r}) as connection, connection.cursor() as cursor:
    cursor.execute("SELECT * FROM facts")
    pq.write_table(cursor.fetch_arrow_table(), {target!r}, compression="zstd")
"""
CONNECTORX = """
import connectorx, pyarrow.parquet as pq
{measured}
"""
CONNECTORX_WHOLE = """
pq.write_table(
    connectorx.read_sql({uri!r}, "SELECT * FROM facts", return_type="arrow"), {target!r}, compression="zstd"
)
"""

OURS = """
import duckdb, psycopg, pyarrow.parquet
from pathlib import Path
from ctnb import datasets, digests, reads
from ctnb.contracts.places import Connection
from ctnb.places import databases, fetching
from ctnb.places.fetched import Request
from ctnb.places.drivers import postgresql
if {without}:
    digests.of_table = lambda *_: "sha256:none"
folder = Path({folder!r})
contract = datasets.Contract.model_validate({contract})
dataset = datasets.Dataset("rows", folder, contract, "")
request = Request(
    work=folder, folder=folder, project=folder, roots=(), connections={{"facts": Connection(**{connection})}},
    secret=lambda reference: {password!r},
)
{measured}
"""
FETCH = """
gathered = fetching.gather(contract.source, request)
assert gathered.parts[0].rows == {rows}
"""
READ = """
made = reads.read(dataset, gathered, folder)
assert made.rows_read == made.table.rows == {rows}
"""


def main() -> None:
    """Start the server, fill it, time each way in turn, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=5)
    told = parser.parse_args()
    with (
        servers.postgresql("shared_buffers=512MB", "max_wal_size=4GB") as server,
        tempfile.TemporaryDirectory(prefix="ctnb-postgresql-") as folder,
    ):
        server.run("SELECT setseed(0.42)", FILL.format(rows=told.rows), "VACUUM ANALYZE facts")
        print(f"{told.rows:,} rows, {len(COLUMNS)} columns; least of {told.repeat}, CPU of it and its server")
        report(measure(server, programs(server, Path(folder), told.rows), told.repeat))


def programs(server: servers.Server, folder: Path, rows: int) -> dict[str, str]:
    """The program of each way."""
    (folder / "facts.sql").write_text("SELECT * FROM facts\n")
    uri = f"postgresql://{servers.OWNER}:{servers.OWNER_PASSWORD}@127.0.0.1:{server.port}/records?sslmode=disable"
    contract = {
        "format": 1, "title": "Facts", "source": {"database": {"connection": "facts", "query": "facts.sql"}},
        "columns": [{"name": name, "type": kind, "role": "plain"} for name, kind in COLUMNS],
    }  # fmt: skip
    connection = server.connection(user=servers.OWNER, tls="off", ca_file=None).model_dump(mode="json")
    fetch, read = FETCH.format(rows=rows), READ.format(rows=rows)

    def peer(start: str, code: str) -> str:
        told = {"uri": uri, "target": str(folder / "peer.parquet")}
        return start.format(measured=MEASURED.format(code=code.format(**told)))

    def ours(code: str, *, without: bool) -> str:
        return OURS.format(
            folder=str(folder), contract=contract, connection=connection, password=servers.OWNER_PASSWORD,
            without=without, measured=MEASURED.format(code=code),
        )  # fmt: skip

    made = {"ADBC streamed": peer(ADBC, STREAMED), "ADBC whole": peer(ADBC, WHOLE)}
    if importlib.util.find_spec("connectorx"):
        made["connectorx"] = peer(CONNECTORX, CONNECTORX_WHOLE)
    made["ctnb fetch"] = ours(fetch, without=True)
    made["ctnb, no digest"] = ours(fetch + read, without=True)
    made["ctnb"] = ours(fetch + read, without=False)
    return made


Measured = tuple[float, float, float, float]
"""Seconds, seconds of CPU of the process and of the server, peak MB."""


def measure(server: servers.Server, ways: dict[str, str], repeat: int) -> dict[str, list[Measured]]:
    """Each way `repeat` times, in turn."""
    times: dict[str, list[Measured]] = {name: [] for name in ways}
    for _ in range(repeat):
        for name, code in ways.items():
            before = server_cpu_s(server)
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
            if done.returncode:
                sys.exit(done.stderr[-3000:])
            seconds, cpu, memory = map(float, done.stdout.split())
            times[name].append((seconds, cpu, server_cpu_s(server) - before, memory))
    return times


def server_cpu_s(server: servers.Server) -> float:
    """Seconds of CPU of the server's processes that have ended, one for each connection; proc(5)."""
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def report(times: dict[str, list[Measured]]) -> None:
    """Print the least of each, ratios and memory."""
    floor = min(min(times[name])[0] for name in ("ADBC streamed", "ADBC whole"))
    for name, values in times.items():
        seconds = min(values)[0]
        cpu, serving, memory = (
            min(v[1] for v in values),
            min(v[2] for v in values),
            max(v[3] for v in values),
        )
        print(
            f"  {name:<16} {seconds:6.2f} s   {seconds / floor:4.2f} x   CPU {cpu:5.2f} + {serving:5.2f} s"
            f"   peak {memory:6,.0f} MB"
        )


if __name__ == "__main__":
    main()
