"""The ledger: what it is proof of, and what a crash leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from error_texts import assert_text

from ctnb import ledger
from ctnb.errors import RecordBroken

APPENDER = """
import sys
from pathlib import Path
from ctnb import ledger
for number in range(int(sys.argv[2])):
    entry = ledger.append(Path(sys.argv[1]), "seal", {"by": sys.argv[3], "number": number, "note": "é" * 200})
    print(entry.seq, flush=True)
"""


def appending(path: Path, count: int, name: str) -> subprocess.Popen[bytes]:
    """A process that appends `count` lines to the ledger `path` and tells the number of each once it is written."""
    command = [sys.executable, "-c", APPENDER, str(path), str(count), name]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def small_ledger(folder: Path) -> Path:
    """A ledger of three lines."""
    path = folder / "ledger.jsonl"
    for word in ("one", "zwölf", "three"):
        ledger.append(path, "seal", {"word": word})
    return path


def test_lines_are_chained_from_the_first(tmp_path: Path) -> None:
    """Each line carries its number and the hash of the line before."""
    found = list(ledger.entries(small_ledger(tmp_path)))
    assert [entry.seq for entry in found] == [1, 2, 3]
    assert [ledger.FIRST, found[0].hash, found[1].hash] == [entry.prev for entry in found]
    assert [entry.facts["word"] for entry in found] == ["one", "zwölf", "three"]


def test_a_ledger_that_is_not_there_has_no_lines(tmp_path: Path) -> None:
    """Before the first seal there is nothing to verify."""
    assert list(ledger.entries(tmp_path / "ledger.jsonl")) == []


def test_one_changed_byte_is_found_wherever_it_stands(tmp_path: Path) -> None:
    """Every byte of a ledger counts, its line feeds too, and the message names the line."""
    path = small_ledger(tmp_path)
    whole = path.read_bytes()
    for place in range(len(whole)):
        line = whole[:place].count(b"\n") + 1
        for other in {whole[place] ^ 1, ord("\n"), ord(" "), 0xFF} - {whole[place]}:
            path.write_bytes(whole[:place] + bytes([other]) + whole[place + 1 :])
            with pytest.raises(RecordBroken) as caught:
                list(ledger.entries(path))
            assert line == vars(caught.value)["line"], f"byte {place} as {other}"


def test_a_changed_line_is_told_with_its_number(tmp_path: Path) -> None:
    """The text says which line and what to do."""
    path = small_ledger(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"zw", b"zv"))
    with pytest.raises(RecordBroken) as caught:
        list(ledger.entries(path))
    assert_text("ledger-line-changed", caught.value)


def test_a_line_taken_out_is_found(tmp_path: Path) -> None:
    """The chain does not close over a missing line."""
    path = small_ledger(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[2])
    with pytest.raises(RecordBroken, match="line 2: it does not follow"):
        list(ledger.entries(path))


@pytest.mark.parametrize(
    "line",
    [
        b"[]",
        b'"text"',
        b"7",
        b"{}",
        b'{"seq": NaN}',
        b'{"seq":1,"at":"","kind":"","facts":NaN,"prev":"","hash":""}',
    ],
)
def test_a_line_of_another_kind_is_no_line_of_a_ledger(tmp_path: Path, line: bytes) -> None:
    """Anything else in the file is named, not stumbled over."""
    path = small_ledger(tmp_path)
    path.write_bytes(path.read_bytes() + line + b"\n")
    with pytest.raises(RecordBroken, match=r"ledger\.jsonl, line 4"):
        list(ledger.entries(path))


def test_a_torn_last_line_is_passed_over_and_cut_by_the_next_append(tmp_path: Path) -> None:
    """Wherever a write stopped, the whole lines stand and the next one follows them."""
    path = small_ledger(tmp_path)
    whole = path.read_bytes()
    start = whole[:-1].rfind(b"\n") + 1
    for end in range(start, len(whole)):
        path.write_bytes(whole[:end])
        assert [entry.seq for entry in ledger.entries(path)] == [1, 2]
        assert ledger.append(path, "seal", {}).seq == 3
        assert [entry.seq for entry in ledger.entries(path)] == [1, 2, 3]


def test_nothing_is_appended_behind_a_changed_last_line(tmp_path: Path) -> None:
    """A line whose line feed was changed is not mistaken for a torn one and cut off."""
    path = small_ledger(tmp_path)
    changed = path.read_bytes()[:-1] + b"x"
    path.write_bytes(changed)
    with pytest.raises(RecordBroken, match="the last line: something else stands"):
        ledger.append(path, "seal", {})
    assert changed == path.read_bytes()


def test_nothing_is_appended_behind_a_last_line_that_does_not_verify(tmp_path: Path) -> None:
    """The chain is not carried on over a broken end."""
    path = small_ledger(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"three", b"threw"))
    with pytest.raises(RecordBroken, match="the last line"):
        ledger.append(path, "seal", {})


def test_a_long_last_line_is_found_from_the_end(tmp_path: Path) -> None:
    """The last line is read in blocks, however long it is."""
    path = small_ledger(tmp_path)
    ledger.append(path, "seal", {"word": "ö" * 9000})
    assert ledger.append(path, "seal", {}).seq == 5
    assert len(list(ledger.entries(path))) == 5


def test_lines_are_canonical_json(tmp_path: Path) -> None:
    """Anybody can check a line: sorted keys, no blanks, UTF-8."""
    for raw in small_ledger(tmp_path).read_text(encoding="utf-8").splitlines():
        again = json.dumps(json.loads(raw), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert again == raw


def test_processes_that_append_at_the_same_time_keep_the_chain(tmp_path: Path) -> None:
    """Each line waits for the one before, across processes."""
    path = tmp_path / "ledger.jsonl"
    processes = [appending(path, 8, name) for name in "abc"]
    for process in processes:
        process.communicate(timeout=60)
    found = list(ledger.entries(path))
    assert len(found) == 24
    assert {name: sum(e.facts["by"] == name for e in found) for name in "abc"} == {"a": 8, "b": 8, "c": 8}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_killed_process_leaves_a_ledger_that_verifies(tmp_path: Path) -> None:
    """What was acknowledged is there after kill -9, and the chain goes on."""
    path = tmp_path / "ledger.jsonl"
    for round_ in range(6):
        process = appending(path, 10_000, str(round_))
        assert process.stdout is not None
        told = int(process.stdout.readline())
        time.sleep(0.003 * round_)
        os.kill(process.pid, signal.SIGKILL)
        rest = process.communicate()[0].split()
        told = max([told, *(int(word) for word in rest[:-1])])
        assert len(list(ledger.entries(path))) >= told
    assert ledger.append(path, "seal", {}).seq == len(list(ledger.entries(path)))
