"""Lines as they arrive: put together by count and by age, and parsed without a word of them in an error."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from ctnb import arrivals
from ctnb.arrivals import Feed
from ctnb.contracts.columns import Column

COLUMNS = [
    Column(name="counter", header="Counter", type="code", role="plain"),
    Column(name="bicycles", header="Bicycles", type="integer", role="plain"),
    Column(name="note", header="Note", type="text", role="plain"),
]
TOLD = arrivals.expected(COLUMNS)


@pytest.mark.parametrize(
    ("line", "record"),
    [
        (b'{"counter": "a1", "Bicycles": 2}', {"counter": "a1", "bicycles": "2"}),
        (b'\xef\xbb\xbf{"counter": "a1"}\r\n', {"counter": "a1"}),
        (b'{"counter": 12345678901234567890123456}', {"counter": "12345678901234567890123456"}),
        (b'{"note": 1.50}', {"note": "1.50"}),
        (b'{"note": 1e400}', {"note": "1e400"}),
        (b'{"note": null, "counter": ""}', {"note": None, "counter": ""}),
        (b'{"note": {"b": [1, 2.0]}}', {"note": '{"b":[1,2.0]}'}),
        (b'{"note": true}', {"note": "true"}),
        ('{"note": "a\u2028b\x85c"}'.encode(), {"note": "a\u2028b\x85c"}),
    ],
)
def test_a_record_is_taken_as_it_is_written(line: bytes, record: dict[str, str | None]) -> None:
    """Byte order mark, CRLF, long numbers, trailing zeros, null, nested values, unusual line ends."""
    assert arrivals.record(line, TOLD) == record


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"secret words", "not JSON"),
        (b'{"note": "x"} {"note": "y"}', "not JSON"),
        (b'["x"]', "not a JSON object with a value"),
        (b"{}", "not a JSON object with a value"),
        (b'{"note": "\xe9"}', "not UTF-8"),
        (b'{"note": "a", "note": "b"}', "a name stands twice"),
        (b'{"note": "a", "Note": "b"}', "two names of one column"),
        (b'{"colour": "red"}', "1 name that the contract does not have"),
        (b'{"colour": "red", "size": 1}', "2 names that the contract does not have"),
        (b'{"bicycles": NaN}', "NaN or Infinity, which JSON does not have"),
        (b'{"bicycles": -Infinity}', "NaN or Infinity, which JSON does not have"),
        (b'{"note": "\\ud800"}', "a text holds half a character"),
        (b'{"note": "a\\u0000b"}', "a text holds a zero byte"),
        (b'{"note": ' + b"[" * 100 + b"]" * 100 + b"}", "nested deeper than 64"),
        (b'{"note": ' + b"[" * 90_000 + b"]" * 90_000 + b"}", "nested too deeply"),
    ],
)
def test_a_line_that_is_no_record_says_why_and_quotes_nothing(line: bytes, why: str) -> None:
    """The reason is a rule and a count, and the error has no cause that keeps the line."""
    with pytest.raises(ValueError, match=f"^{why}$") as caught:
        arrivals.record(line, TOLD)
    cause = caught.value.__context__
    assert cause is None or not any(
        isinstance(one, (str, bytes)) and len(one) > 40 for one in vars(cause).values()
    )


def test_a_line_may_be_as_large_as_the_portal_takes_and_no_larger() -> None:
    """One byte decides."""
    line = b'{"note": "' + b"x" * 100 + b'"}'
    fits, not_quite = (arrivals.expected(COLUMNS, len(line) - less) for less in (0, 1))
    assert arrivals.record(line, fits) == {"note": "x" * 100}
    with pytest.raises(ValueError, match="larger than"):
        arrivals.record(line, not_quite)


def test_the_key_alone_is_asked_for_where_records_are_deleted_by_it() -> None:
    """Other values beside it would be taken for conditions."""
    told = arrivals.expected(COLUMNS, exactly=("counter",))
    assert arrivals.record(b'{"Counter": "a1"}', told) == {"counter": "a1"}
    with pytest.raises(ValueError, match="not the key alone"):
        arrivals.record(b'{"counter": "a1", "note": "x"}', told)


def test_lines_come_out_of_a_pipe_as_they_went_in(tmp_path: object) -> None:
    """Whole lines, pieces of them, one that is too long, blank ones and a last one without its end."""
    out, into = os.pipe()
    sent = [b"one\n", b"tw", b"o\r\n\n", b"x" * 200_000 + b"\n", b"last"]

    def write() -> None:
        for piece in sent:
            os.write(into, piece)
        os.close(into)

    thread = threading.Thread(target=write)
    thread.start()
    found = list(arrivals.lines(out, limit=100))
    thread.join()
    os.close(out)
    assert found == [b"one", b"two\r", b"", b"x" * 101, b"last"]


def test_a_batch_is_so_many_lines_and_blank_ones_only_count() -> None:
    """The number is the line's in the file."""
    feed = Feed([b"a\n", b"\n", b"b\n", b"  \n", b"c\n"])
    assert [feed.take(2, 60.0), feed.take(2, 60.0)] == [[(1, b"a\n"), (3, b"b\n")], [(5, b"c\n")]]
    assert feed.over


def test_a_batch_goes_when_its_first_line_is_old_enough_though_more_may_come() -> None:
    """The source of the lines is still open when the first of them is taken."""
    more = threading.Event()

    def lines() -> Iterator[bytes]:
        yield b"first\n"
        more.wait(30)
        yield b"second\n"

    feed = Feed(lines())
    assert feed.take(100, 0.0) == [(1, b"first\n")]
    assert not feed.over
    more.set()
    assert feed.take(100, 0.0) == [(2, b"second\n")]


def test_whoever_writes_waits_while_enough_is_read_ahead() -> None:
    """Not more is read than can be held; taking some makes room for the next."""
    given: list[int] = []
    second, third = threading.Event(), threading.Event()

    def lines() -> Iterator[bytes]:
        for number in range(3):
            given.append(number)
            if number == 1:
                second.set()
            if number == 2:
                third.set()
            yield b"x" * 10

    feed = Feed(lines(), ahead_bytes=10)
    assert second.wait(30)
    assert (given, third.is_set()) == ([0, 1], False)
    assert feed.take(1, 0.0) == [(1, b"x" * 10)]
    assert third.wait(30)
    feed.stop()


def test_what_was_read_before_a_stop_can_still_be_taken() -> None:
    """Nothing that was read is thrown away."""
    read, ended = threading.Event(), threading.Event()

    def lines() -> Iterator[bytes]:
        yield b"a\n"
        read.set()
        ended.wait(30)

    feed = Feed(lines())
    assert read.wait(30)
    feed.stop()
    assert (feed.take(100, 60.0), feed.over) == ([(1, b"a\n")], True)
    ended.set()


def test_what_keeps_lines_from_being_read_is_told_after_those_that_were() -> None:
    """A disk that fails in the middle of a file."""

    def lines() -> Iterator[bytes]:
        yield b"a\n"
        raise OSError("gone")

    feed = Feed(lines())
    assert feed.take(10, 60.0) == [(1, b"a\n")]
    with pytest.raises(OSError, match="gone"):
        feed.take(10, 60.0)
