"""Secrets, and text shaped like one, leave what a notebook keeps."""

import base64
import json
from urllib.parse import quote, quote_plus

import pytest

from ctnb.kernels.scrubbing import Scrubber

TOKEN = 'pa55/wörd+"x"\\y = z'


@pytest.mark.parametrize(
    "spelling",
    [
        TOKEN,
        repr(TOKEN),
        json.dumps(TOKEN),
        json.dumps(TOKEN, ensure_ascii=False),
        quote(TOKEN, safe=""),
        quote_plus(TOKEN),
        quote(TOKEN, safe="").lower(),
        TOKEN.encode().hex(),
        base64.b64encode(TOKEN.encode()).decode(),
        base64.urlsafe_b64encode(TOKEN.encode()).decode(),
    ],
)
def test_a_secret_is_found_in_every_usual_spelling(spelling: str) -> None:
    """Plain, quoted, JSON, URL, hexadecimal and base64 forms all become a mark."""
    assert Scrubber([TOKEN]).clean(f"<{spelling}>").strip("<>'\"") == "[secret]"


@pytest.mark.parametrize("before", ["", "u", "us", "use", "user:"])
@pytest.mark.parametrize("after", ["", "e", "en", "end"])
def test_a_secret_inside_a_longer_base64_text_is_found(before: str, after: str) -> None:
    """The user name before a password shifts its base64; the password still goes."""
    secret = "correct-horse-battery"
    encoded = base64.b64encode(f"{before}{secret}{after}".encode()).decode()
    cleaned = Scrubber([secret]).clean(encoded)
    assert "[secret]" in cleaned
    assert len(cleaned.replace("[secret]", "")) <= len(f"{before}{after}") * 2 + 4


def test_a_secret_too_short_to_mean_anything_is_left_alone() -> None:
    """A password of three letters would be found in ordinary words."""
    assert Scrubber(["the"]).clean("the other") == "the other"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SSN 123-45-6789.", "SSN [removed: ssn]."),
        ("write to jane.doe@ct.example.org now", "write to [removed: email] now"),
        ("Authorization: Bearer abc.def", "Authorization: [removed: authorization]"),
        ("{'authorization': 'Basic dXNlcjpwdw=='}", "{'authorization': '[removed: authorization]'}"),
        ("key AKIAIOSFODNN7EXAMPLE", "key [removed: aws key]"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "[removed: jwt]"),
        ("aws_secret_access_key = wJalrXUtnFEMIK7MDENGbPx", "aws_secret_access_key = [removed: aws key]"),
    ],
)
def test_text_shaped_like_a_secret_is_marked_by_its_shape(text: str, expected: str) -> None:
    """Patterns catch what nobody declared."""
    assert Scrubber().clean(text) == expected


@pytest.mark.parametrize(
    "text", ["2012-01-2022", "1123-45-67890", "rows 10,654 on 2026-11-21", "a @ b", "x@y"]
)
def test_ordinary_text_stays(text: str) -> None:
    """Dates, counts and long numbers are not secrets."""
    assert Scrubber(["unseen secret"]).clean(text) == text


def test_the_redactor_sees_the_text_after_the_secrets_are_gone() -> None:
    """The redactor knows the table's values; it is asked last."""
    assert (
        Scrubber(["hunter22"], lambda text: text.replace("Ada", "[value]")).clean("Ada hunter22")
        == "[value] [secret]"
    )


def test_an_unfinished_text_is_held_back_from_where_a_secret_may_begin() -> None:
    """Only whole lines that no secret can reach into are complete."""
    scrubber = Scrubber(["line one\nline two"])
    text = "first\nsecond\n" + "x" * scrubber.longest
    assert text[: scrubber.complete(text)] == "first\nsecond\n"
    assert scrubber.complete("first\nline one\nline tw") == 0
    whole = "first\nline one\nline two" + "y" * scrubber.longest
    assert whole[: scrubber.complete(whole)] == "first\n"
