"""
What publishing to Socrata costs beside the clients there are, over TLS on this machine.

    python benchmarks/publishing.py [--rows 1000000] [--repeat 3] [--end-to-end] [--only NAME ...] [--large GB]

A seeded Parquet table of 12 columns in a temporary folder. In turn, each in a process of its own, into a server that
counts bytes and answers as a portal does:

    sodapy       replace() of a list of dicts
    RSocrata     its way: the whole data frame as one JSON text, in one PUT
    RSocrata (R) the same in R, by jsonlite and httr, where they are; the data frame's reading is not counted
    socrata-py   csv(file), the making of the CSV by DuckDB counted
    ctnb         Portal.send, a draft revision streamed from Parquet
    sync         ctnb again, of a table of which 0.5 % is other: rows changed, new and gone, worked out and sent

With --end-to-end, socrata-py and ctnb against one embedded portal, until the rows are applied. Prints medians of
seconds and of CPU seconds, ratios to ctnb, bytes that arrived, and the peak memory of each process. Needs the clients
of requirements-servers: sodapy and socrata-py. With --large, ctnb alone sends a table of so many GB as CSV, once.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from ctnb import tables
from ctnb.contracts.columns import Column
from ctnb.embedded.certificates import own_certificate, tls_context
from ctnb.embedded.drafts import revision_links, source_links
from ctnb.portals import uploads
from ctnb.tables import Table
from ctnb.values import TYPES as SODA

TYPES = {
    "id": "code", "town": "text", "zip": "code", "issued": "date", "updated": "timestamp", "fee": "money",
    "visits": "integer", "share": "percent", "active": "boolean", "place": "point", "latitude": "number",
    "remark": "text",
}  # fmt: skip
COLUMNS = tuple(Column(name=name, type=kind, role="plain") for name, kind in TYPES.items())  # type: ignore[arg-type]
ROWS_SQL = """
    SELECT
        lpad(i::VARCHAR, 9, '0') AS id,
        'Town of ' || (i * 7919 % 169) AS town,
        lpad((i * 31 % 99999)::VARCHAR, 5, '0') AS zip,
        DATE '2015-01-01' + (i % 3000)::INT AS issued,
        TIMESTAMP '2020-01-01' + INTERVAL 1 MINUTE * i AS updated,
        (i * 137 % 100000 / 100)::DECIMAL(18,2) AS fee,
        i % 90 AS visits,
        (i % 10000 / 100)::DECIMAL(18,2) AS share,
        i % 3 = 0 AS active,
        'POINT (-72.' || (100000 + i % 800000) || ' 41.' || (100000 + i % 700000) || ')' AS place,
        (41 + i % 1000000 / 1000000)::DECIMAL(18,6) AS latitude,
        CASE WHEN i % 5 > 0 THEN 'Remark, "' || i || '" as it was written' END AS remark
    FROM range({rows}) AS r(i)
"""
OTHER_SQL = """
    SELECT * REPLACE (CASE WHEN {row} % 250 = 0 THEN 'Remark, written anew' ELSE remark END AS remark,
                      CASE WHEN {row} % 2000 = 1 THEN 'new-' || id ELSE id END AS id)
    FROM ({rows})
"""
"""Of 1,000 rows four have another remark; of 2,000 one is gone and one is new."""
SAMPLE_ROWS = 100_000
ARRIVED = 3
"""Where the MB that arrived are among the facts of a run."""
UID, BASE = "abcd-1234", "/api/publishing/v1"

MEASURED = """
import json, sys, time
from pathlib import Path
facts = json.loads(sys.argv[1])
began, cpu = time.perf_counter(), time.process_time()
{work}
seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(json.dumps([seconds, cpu, int(peak.split()[1]) / 1024]))
"""
"""Memory from /proc (Linux): getrusage's peak begins with that of the process which started this one."""
CTNB = """
from ctnb.clients.socrata import Credentials, Socrata
from ctnb.portals.interface import Change
from ctnb.portals.journal import Journal
from ctnb.portals.socrata import SocrataPortal
from ctnb.tables import Table, open_columns
import pyarrow.parquet as pq
path = Path(facts["table"])
table = Table(path, open_columns(path), pq.read_metadata(path).num_rows, "sha256:file", "sha256:rows")
client = Socrata("https://" + facts["domain"], Credentials(facts["user"], facts["password"]), timeout_s=600,
                 ca_file=Path(facts["certificate"]))
portal, journal = SocrataPortal("sink", client), Journal(path.with_suffix(".jsonl"))
"""
R_WAY = "RSocrata (R)"
R_PROGRAM = """
suppressPackageStartupMessages({library(jsonlite); library(httr)})
given <- commandArgs(trailingOnly = TRUE)
kinds <- c(issued = "Date", updated = "POSIXct", fee = "numeric", visits = "integer", share = "numeric",
           active = "logical", latitude = "numeric")
named <- strsplit(readLines(given[1], 1), ",")[[1]]
classes <- ifelse(named %in% names(kinds), kinds[named], "character")
frame <- read.csv(given[1], colClasses = classes, na.strings = "", stringsAsFactors = FALSE)
began <- proc.time()
answer <- PUT(given[2], body = toJSON(frame), authenticate(given[3], given[4]), config(cainfo = given[5]),
              add_headers("Content-Type" = "application/json"), timeout(600))
stop_for_status(answer)
took <- proc.time() - began
peak <- grep("VmHWM", readLines("/proc/self/status"), value = TRUE)
cat(sprintf("[%f, %f, %f]", took[["elapsed"]], took[["user.self"]] + took[["sys.self"]],
            as.numeric(gsub("[^0-9]", "", peak)) / 1024))
"""
"""The data frame goes whole into one text, as RSocrata's write.socrata makes it (toJSON, one request)."""
WORK = {
    "sodapy": """
import pyarrow.parquet as pq
from sodapy import Socrata
client = Socrata(facts["domain"], None, username=facts["user"], password=facts["password"], timeout=600)
rows = pq.read_table(facts["table"]).to_pylist()
plain = [{k: v if v is None or isinstance(v, (str, int, bool)) else str(v) for k, v in row.items()} for row in rows]
client.replace(facts["uid"], plain)
""",
    "RSocrata": """
import pandas as pd, requests
text = pd.read_parquet(facts["table"]).astype(str).to_json(orient="records")
requests.put("https://" + facts["domain"] + "/resource/" + facts["uid"] + ".json", data=text.encode(),
             headers={"Content-Type": "application/json"}, auth=(facts["user"], facts["password"]), timeout=600)
""",
    "socrata-py": """
import duckdb
from socrata import Socrata
from socrata.authorization import Authorization
made = facts["table"] + ".csv"
connection = duckdb.connect()
connection.execute("SET threads=2")
connection.execute("COPY (FROM read_parquet('" + facts["table"] + "')) TO '" + made + "' (FORMAT csv)")
client = Socrata(Authorization(facts["domain"], facts["user"], facts["password"]))
view = client.views.lookup(facts["uid"])
revision = view.revisions.create_replace_revision()
with open(made, "rb") as file:
    source = revision.create_upload("rows.csv").csv(file)
if facts["apply"]:
    output = source.wait_for_finish(sleeptime=0.2).get_latest_input_schema().get_latest_output_schema()
    revision.apply(output_schema=output.wait_for_finish(sleeptime=0.2)).wait_for_finish(sleeptime=0.2)
""",
    "ctnb": CTNB
    + """
change = Change("replace", table, table.columns, (), "token-" + str(began))
portal.send(facts["uid"], change, journal)
""",
    "sync": CTNB
    + """
from ctnb import tables
from ctnb.portals import differences
from ctnb.portals.mapping import Fields
with tables.connect(path.parent, threads=2) as connection:
    for name, file in (("there", "table"), ("data", "other")):
        connection.execute("CREATE VIEW " + name + " AS FROM read_parquet('" + facts[file] + "')")
    assert differences.expect(connection, "sync", table.columns, "id") == []
    fields, token = Fields(table.columns, {}), "token-" + str(began)
    changes = differences.changes(connection, "sync", table, fields, "id", token, path.parent)
for change in changes:
    portal.send(facts["uid"], change, journal)
""",
}


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--end-to-end", action="store_true")
    ways = [*list(WORK)[:2], *([R_WAY] if _r_is_there() else []), *list(WORK)[2:]]
    parser.add_argument("--only", nargs="*", default=ways, choices=ways)
    parser.add_argument("--large", type=float, metavar="GB")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if given.large:
            _large(folder, given.large)
            return
        _make(folder, given.rows, csv=R_WAY in given.only)
        with sink(folder, given.rows) as (facts, counted):
            found = _measure(given.only, facts, given.repeat, counted)
            _report("into the counting server", found)
            if {"ctnb", "sync"} <= found.keys():
                share = found["sync"][0][ARRIVED] / found["ctnb"][0][ARRIVED]
                print(f"sync sends {share:.2%} of the bytes of a replace")
        if given.end_to_end:
            with embedded(folder) as facts:
                both = [name for name in given.only if name in ("socrata-py", "ctnb")]
                _report("against the embedded portal", _measure(both, facts, given.repeat, [0]))


def _r_is_there() -> bool:
    """Whether R, jsonlite and httr are on this machine."""
    if shutil.which("Rscript") is None:
        return False
    asked = (
        "stopifnot(requireNamespace('jsonlite', quietly = TRUE), requireNamespace('httr', quietly = TRUE))"
    )
    return (
        subprocess.run(["Rscript", "--vanilla", "-e", asked], capture_output=True, check=False).returncode
        == 0
    )


def _make(folder: Path, rows: int, *, other: bool = True, csv: bool = False) -> None:
    """The table, also as CSV for R, and one of which a little is other."""
    made = ROWS_SQL.format(rows=rows)
    with tables.connect(folder, threads=2) as connection:
        tables.write(connection, made, COLUMNS, folder / "rows.parquet")
        if csv:
            connection.execute(f"COPY ({made}) TO '{folder / 'rows.csv'}' (FORMAT csv)")
        if other:
            query = OTHER_SQL.format(rows=made, row="CAST(id AS BIGINT)")
            tables.write(connection, query, COLUMNS, folder / "other.parquet")


def _large(folder: Path, size_gb: float) -> None:
    """Send a table of about `size_gb` as CSV, and say what of the machine that took."""
    _make(folder, SAMPLE_ROWS, other=False)
    path = folder / "rows.parquet"
    sample = Table(path, COLUMNS, SAMPLE_ROWS, "", "")
    row_bytes = sum(map(len, uploads.prepare(sample).chunks(1 << 20))) / SAMPLE_ROWS
    rows = int(size_gb * 1e9 / row_bytes) + 1
    _make(folder, rows, other=False)
    with sink(folder, rows) as (facts, counted):
        _report(f"{rows:,} rows into the counting server", _measure(["ctnb"], facts, 1, counted))


def _measure(
    names: list[str], facts: dict[str, Any], repeat: int, counted: list[int]
) -> dict[str, list[list[float]]]:
    """Seconds, CPU seconds, MB of memory and MB that arrived, of each run of each client, taken in turn."""
    found: dict[str, list[list[float]]] = {name: [] for name in names}
    environment = {**os.environ, "REQUESTS_CA_BUNDLE": facts["certificate"], "PYTHONWARNINGS": "ignore"}
    for _ in range(repeat):
        for name in names:
            counted[0] = 0
            command = _command(name, facts)
            done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
            if done.returncode:
                raise SystemExit(f"{name} failed:\n{done.stderr[-2000:]}")
            found[name].append([*json.loads(done.stdout.splitlines()[-1]), counted[0] / 1e6])
    return found


def _command(name: str, facts: dict[str, Any]) -> list[str]:
    if name != R_WAY:
        return [sys.executable, "-c", MEASURED.format(work=WORK[name]), json.dumps(facts)]
    address = f"https://{facts['domain']}/resource/{facts['uid']}.json"
    csv = str(Path(facts["table"]).with_suffix(".csv"))
    given = [csv, address, facts["user"], facts["password"], facts["certificate"]]
    return ["Rscript", "--vanilla", "-e", R_PROGRAM, *given]


def _report(where: str, found: dict[str, list[list[float]]]) -> None:
    print(f"\n{where}")
    print(f"{'':13}{'seconds':>10}{'CPU s':>10}{'to ctnb':>10}{'MB memory':>12}{'MB arrived':>12}")
    medians = {
        name: [statistics.median(column) for column in zip(*runs, strict=True)]
        for name, runs in found.items()
    }
    ours = medians.get("ctnb", [float("nan")])[0]
    for name, (seconds, cpu, memory, arrived) in medians.items():
        print(f"{name:13}{seconds:10.2f}{cpu:10.2f}{seconds / ours:10.2f}{memory:12.0f}{arrived:12.1f}")


@contextmanager
def embedded(folder: Path) -> Iterator[dict[str, Any]]:
    """The facts of an embedded portal that speaks TLS, with a dataset without columns."""
    import time

    import requests

    from ctnb.embedded.accounts import add_account

    file, address_file = folder / "portal.sqlite", folder / "address.json"
    user, password = add_account(file, "Pat Publisher", "publisher")
    command = [
        sys.executable,
        "-m",
        "ctnb.embedded",
        "--file",
        str(file),
        "--tls",
        "--address-file",
        str(address_file),
    ]
    with (folder / "portal.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        while not address_file.exists():
            time.sleep(0.05)
        url, certificate = (
            json.loads(address_file.read_text())["url"],
            str(file.with_suffix(".certificate.pem")),
        )
        columns = [
            {"name": name, "fieldName": name, "dataTypeName": SODA[kind].soda} for name, kind in TYPES.items()
        ]
        session = requests.Session()
        session.auth, session.verify, session.trust_env = (user, password), certificate, False
        uid = session.post(f"{url}/api/views.json", json={"name": "Rows", "columns": columns}).json()["id"]
        session.post(f"{url}/api/views/{uid}/publication.json")
        yield {
            "domain": url.removeprefix("https://"), "user": user, "password": password, "uid": uid, "apply": True,
            "certificate": certificate, "table": str(folder / "rows.parquet"),
        }  # fmt: skip
    finally:
        process.terminate()
        process.wait()


@contextmanager
def sink(folder: Path, rows: int) -> Iterator[tuple[dict[str, Any], list[int]]]:
    """The facts of a server that counts the bytes of bodies, and its count."""
    counted, lock = [0], threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            left = int(self.headers.get("Content-Length") or 0)
            while left:
                piece = self.rfile.read(min(left, 1 << 20))
                left -= len(piece)
                with lock:
                    counted[0] += len(piece)
            content = json.dumps(_answer(self.command, self.path.partition("?")[0], rows)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = answer

        def log_message(self, *_: object) -> None:
            """Nothing on stderr."""

    certificate, key = own_certificate(folder / "sink", now=datetime.now(UTC))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = tls_context(certificate, key).wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield {
            "domain": f"localhost:{server.server_port}", "user": "user", "password": "password", "uid": UID,
            "apply": False, "certificate": str(certificate), "table": str(folder / "rows.parquet"),
            "other": str(folder / "other.parquet"),
        }, counted  # fmt: skip
    finally:
        server.shutdown()
        server.server_close()


def _answer(method: str, path: str, rows: int) -> Any:
    """What a portal says where everything is done at once."""
    if path.startswith("/api/views"):
        return {"id": UID, "name": "Rows", "columns": [], "rowsUpdatedAt": 1}
    if path.startswith("/resource"):
        return {"Rows Created": rows, "Rows Updated": 0, "Rows Deleted": 0, "Errors": 0}
    if method == "GET" and path == f"{BASE}/revision/{UID}":
        return []
    if re.search(r"/apply(/\d+)?$", path):
        job = {"id": 9, "status": "successful", "log": [], "finished_at": "2026-01-01T00:00:00"}
        return {"resource": job, "links": {"show": f"{BASE}/revision/{UID}/0/apply/9"}}
    if path.endswith("/initiate"):
        return {"preferred_upload_parallelism": 4, "preferred_chunk_size": 4 << 20}
    if chunk := re.search(r"/chunk/(\d+)/(\d+)$", path):
        number, offset = map(int, chunk.groups())
        return {
            "resource": {"seq_num": number, "byte_offset": offset, "end_byte_offset": offset},
            "links": {},
        }
    if "/schema/" in path:
        return {"resource": _output(rows), "links": {}}
    if "/source" in path:
        return {"resource": _source(rows), "links": source_links(3)}
    revision = {
        "id": 1, "fourfour": UID, "revision_seq": 0, "notes": None, "closed_at": None, "task_sets": [],
        "action": {"type": "replace"}, "metadata": {"name": "Rows"},
    }  # fmt: skip
    return {"resource": revision, "links": revision_links(UID, 0)}


def _source(rows: int) -> dict[str, Any]:
    columns = [{"id": at, "field_name": name, "position": at} for at, name in enumerate(TYPES, 1)]
    schema = {
        "id": 4,
        "total_rows": rows,
        "num_row_errors": 0,
        "input_columns": columns,
        "output_schemas": [_output(rows)],
    }
    return {
        "id": 3, "schemas": [schema], "parse_options": {}, "finished_at": "2026-01-01T00:00:00", "failed_at": None,
        "filesize": 1, "source_type": {"type": "upload", "filename": "rows.csv"},
    }  # fmt: skip


def _output(rows: int) -> dict[str, Any]:
    columns = [{"field_name": name, "transform": {"failed_at": None, "error_count": 0}} for name in TYPES]
    return {
        "id": 5, "input_schema_id": 4, "total_rows": rows, "error_count": 0, "completed_at": "2026-01-01T00:00:00",
        "output_columns": columns,
    }  # fmt: skip


if __name__ == "__main__":
    main()
