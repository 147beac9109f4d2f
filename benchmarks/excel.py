"""
What reading a workbook into a typed table costs beside reading its cells alone.

    python benchmarks/excel.py [--repeat 5] [--rows 200000]

A seeded xlsx of 14 columns (texts, codes with leading zeros, dates, timestamps, numbers, blanks) is written to
a temporary folder. Then, in turn and `--repeat` times, each in a process of its own:

    ctnb        the file to typed Parquet: snapshot with its digest, contract, row account, content digest
    calamine    python-calamine's rows as Python values (when it is installed; ctnb does not need it)
    fastexcel   its strings to Arrow, which is what ctnb reads with

Prints medians of the wall time, imports not counted, the ratios, and peak memory.
Needs xlsxwriter to make the file.
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib.util
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COLUMNS = {
    "id": "integer", "licence": "code", "business": "text", "town": "text", "zip": "code", "issued": "date",
    "expires": "date", "changed": "timestamp", "status": "text", "fee": "money", "n": "integer", "lat": "number",
    "lon": "number", "comment": "text",
}  # fmt: skip


def main() -> None:
    """Make the workbook, time each way in turn, print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[1])
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.way:
        print(WAYS[told.way](told.file), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
        return
    with tempfile.TemporaryDirectory(prefix="ctnb-excel-") as folder:
        path = Path(folder) / "licences.xlsx"
        make(path, told.rows)
        report(measure(path, told.repeat), path.stat().st_size, told.rows)


def make(path: Path, rows: int) -> None:
    """A workbook of `rows` seeded rows."""
    import xlsxwriter

    chance, start = random.Random(20240606), dt.datetime(2015, 1, 1)
    book = xlsxwriter.Workbook(path, {"constant_memory": True})
    sheet = book.add_worksheet()
    day, moment = (book.add_format({"num_format": f"yyyy-mm-dd{more}"}) for more in ("", " hh:mm:ss"))
    sheet.write_row(0, 0, COLUMNS)
    for row in range(1, rows + 1):
        sheet.write_row(
            row, 0, [row, f"L{chance.randrange(10**7):07d}", f"Business {chance.randrange(50_000)} LLC"]
        )
        sheet.write_row(row, 3, [chance.choice(["Hartford", "New Haven"]), f"06{chance.randrange(1000):03d}"])
        sheet.write_datetime(row, 5, start + dt.timedelta(days=chance.randrange(3000)), day)
        sheet.write_datetime(row, 6, start + dt.timedelta(days=chance.randrange(3000)), day)
        sheet.write_datetime(row, 7, start + dt.timedelta(seconds=chance.randrange(10**8)), moment)
        sheet.write(row, 8, chance.choice(["ACTIVE", "LAPSED", None]))
        sheet.write(row, 9, round(chance.random() * 1000, 2) if chance.random() > 0.04 else None)
        sheet.write(row, 10, chance.randrange(1000) if chance.random() > 0.07 else None)
        sheet.write_row(row, 11, [round(41 + chance.random(), 6), round(-72 - chance.random(), 6)])
        sheet.write_string(row, 13, f'Comment "{chance.randrange(10**5)}", see there')
    book.close()


def measure(path: Path, repeat: int) -> dict[str, list[tuple[float, int]]]:
    """Seconds and megabytes of each way, in turn."""
    times: dict[str, list[tuple[float, int]]] = {way: [] for way in WAYS}
    if importlib.util.find_spec("python_calamine") is None:
        del times["calamine"]
    for _ in range(repeat):
        for way, found in times.items():
            told = [sys.executable, __file__, "--way", way, "--file", str(path)]
            seconds, memory = subprocess.run(told, check=True, capture_output=True, text=True).stdout.split()
            found.append((float(seconds), int(memory)))
    return times


def ctnb_reads(path: Path) -> float:
    """Seconds that reading into a typed table takes."""
    import duckdb  # noqa: F401 - imported before the clock starts, like the peers' libraries
    import fastexcel  # noqa: F401
    import numpy  # noqa: F401
    import pandas  # noqa: F401 - DuckDB imports it to look at what it is given
    import pyarrow.compute
    import pyarrow.parquet  # noqa: F401

    from ctnb import reads
    from ctnb.datasets import Contract, Dataset
    from ctnb.places import fetching
    from ctnb.places.fetched import Request

    columns = [{"name": name, "type": kind} for name, kind in COLUMNS.items()]
    said = {"format": 1, "title": "Licences", "source": {"path": path.name}, "columns": columns}
    dataset = Dataset("licences", path.parent, Contract.model_validate(said), "")
    with tempfile.TemporaryDirectory(dir=path.parent) as work:
        start = time.perf_counter()
        request = Request(work=Path(work), folder=path.parent, project=path.parent, roots=(path.parent,))
        reads.read(dataset, fetching.gather(dataset.contract.source, request), Path(work))
        return time.perf_counter() - start


def calamine_reads(path: Path) -> float:
    """Seconds that python-calamine takes for all rows."""
    import python_calamine

    start = time.perf_counter()
    python_calamine.CalamineWorkbook.from_path(path).get_sheet_by_index(0).to_python()
    return time.perf_counter() - start


def fastexcel_reads(path: Path) -> float:
    """Seconds that fastexcel takes for all cells as text."""
    import fastexcel

    start = time.perf_counter()
    fastexcel.read_excel(path).load_sheet(0, header_row=None, dtypes="string").to_arrow()
    return time.perf_counter() - start


WAYS = {"ctnb": ctnb_reads, "calamine": calamine_reads, "fastexcel": fastexcel_reads}


def report(times: dict[str, list[tuple[float, int]]], size: int, rows: int) -> None:
    """Medians, and ratios to the first way."""
    print(f"{rows:,} rows x {len(COLUMNS)} columns, {size >> 20} MB of xlsx, medians of {len(times['ctnb'])}")
    ours = statistics.median(seconds for seconds, _ in times["ctnb"])
    for way, found in times.items():
        seconds = statistics.median(one for one, _ in found)
        memory = max(one for _, one in found)
        print(f"{way:10} {seconds:6.2f} s  {memory:6,} MB   ctnb / {way}: {ours / seconds:.2f}")


if __name__ == "__main__":
    main()
