"""
The first sheet of an Excel workbook, as texts, read by a process of its own.

A workbook of a few thousand bytes can ask for any amount of memory: a cell in its last row and column, or a sheet of
gigabytes packed small. The library that reads it ends its process then; that must not be the portal's.

Run as `python sheets.py WORKBOOK INTO`, this writes the sheet to `INTO` as an Arrow file.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

MEMORY_BYTES = 4 * 2**30
"""How much memory a workbook may take; where the operating system keeps to such limits."""
TEXT_BYTES = 2**30
"""How large the texts of a sheet may be, all together."""
TIME_S = 120
UNREADABLE = 3
"""The exit code for what is no workbook."""


class NotRead(Exception):
    """A workbook that cannot be read; the text says why and quotes none of it."""


def sheet(content: Path, into: Path) -> Iterator[list[str | None]]:
    """
    The rows of the first sheet of the workbook `content`, by way of the file `into`.

    Raises NotRead for what is no workbook, and for one that takes more than MEMORY_BYTES, TEXT_BYTES or TIME_S.
    """
    command = [sys.executable, "-I", str(Path(__file__)), str(content), str(into)]
    code: int | None = None
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIME_S)
        code = done.returncode
    except subprocess.TimeoutExpired:
        pass
    if code == UNREADABLE:
        raise NotRead("The file is not an Excel workbook that can be read")
    if code != 0:
        raise NotRead("The workbook takes more memory or time than is given to one: has it a cell far off?")
    return _rows(into)


def _rows(file: Path) -> Iterator[list[str | None]]:
    import pyarrow as pa

    with pa.memory_map(str(file)) as source:
        for batch in pa.ipc.open_file(source).read_all().to_batches(max_chunksize=10_000):
            columns = [column.to_pylist() for column in batch.columns]
            yield from (list(row) for row in zip(*columns, strict=True))


def _main(content: str, into: str) -> int:
    """Read, and write what was read."""
    import fastexcel
    import pyarrow as pa

    try:
        read = fastexcel.read_excel(content).load_sheet(0, header_row=None, dtypes="string")
        table = pa.Table.from_batches([pa.record_batch(read.to_arrow())])
    except fastexcel.FastExcelError:
        return UNREADABLE
    with pa.OSFile(into, "wb") as target, pa.ipc.new_file(target, table.schema) as writer:
        writer.write_table(table)
    return 0


def _limit() -> None:
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_FSIZE, (TEXT_BYTES, TEXT_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    _limit()
    sys.exit(_main(*sys.argv[1:]))
