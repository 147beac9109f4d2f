"""Taking secrets, and text shaped like one, out of what a notebook keeps."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable
from urllib.parse import quote, quote_plus

SHORTEST_SECRET = 4
"""Shorter secrets are left alone: they would be found everywhere."""

Redactor = Callable[[str], str]
"""Takes a text that is about to be kept and returns it without values of the data."""

# What the group `keep` holds stays.
_PATTERNS = (
    ("jwt", re.compile(r"(?P<keep>)\beyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]*")),
    (
        "authorization",
        re.compile(
            r"(?P<keep>\b(?:proxy-)?authorization[\"']?\s*[:=]\s*[\"']?)"
            r"(?!\[(?:secret|removed))(?:(?:basic|bearer|token|digest)\s+)?[^\s\"',}]+",
            re.IGNORECASE,
        ),
    ),
    ("aws key", re.compile(r"(?P<keep>)\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")),
    (
        "aws key",
        re.compile(r"(?P<keep>\baws_secret_access_key[\"']?\s*[:=]\s*[\"']?)[\w/+=]{16,}", re.IGNORECASE),
    ),
    ("ssn", re.compile(r"(?P<keep>)(?<![\d-])\d{3}-\d{2}-\d{4}(?![\d-])")),
    ("email", re.compile(r"(?P<keep>)(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+")),
)


class Scrubber:
    """Replaces known secrets in all their spellings, texts shaped like a secret, and what `redact` knows."""

    def __init__(self, secrets: Iterable[str] = (), redact: Redactor | None = None) -> None:
        """Secrets shorter than `SHORTEST_SECRET` characters are ignored."""
        spellings = {s for secret in secrets if len(secret) >= SHORTEST_SECRET for s in _spellings(secret)}
        ordered = sorted(spellings, key=lambda s: (-len(s), s))
        self._known = re.compile("|".join(map(re.escape, ordered)), re.IGNORECASE) if ordered else None
        self._redact = redact
        self.longest = len(ordered[0]) if ordered else 0

    def clean(self, text: str) -> str:
        """`text` as it may be kept."""
        if self._known:
            text = self._known.sub("[secret]", text)
        for name, pattern in _PATTERNS:
            text = pattern.sub(rf"\g<keep>[removed: {name}]", text)
        return self._redact(text) if self._redact else text

    def complete(self, text: str) -> int:
        """
        How many characters at the start of `text`, of which more may follow, can be cleaned by themselves.

        They end after a line, are followed by as many characters as the longest secret has, and cut none.
        """
        return self.boundary(text, text.rfind("\n", 0, max(len(text) - self.longest, 0)) + 1)

    def boundary(self, text: str, end: int) -> int:
        """`end`, or the start of the secret that `text` could not be cut in two at `end`."""
        patterns = [self._known] if self._known else []
        for pattern in [*patterns, *(pattern for _, pattern in _PATTERNS)]:
            for hit in pattern.finditer(text):
                if hit.start() < end < hit.end():
                    end = hit.start()
        return end


def _spellings(secret: str) -> set[str]:
    """The secret as text, JSON, Python literal, URL, hexadecimal and base64 would spell it."""
    raw = secret.encode()
    found = {secret, repr(secret)[1:-1], quote(secret, safe=""), quote(secret), quote_plus(secret), raw.hex()}
    found |= {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        found |= set(_base64_spellings(raw, encode))
    return {text for text in found if len(text) >= SHORTEST_SECRET}


def _base64_spellings(raw: bytes, encode: Callable[[bytes], bytes]) -> Iterable[str]:
    """Base64 of the secret alone and inside a longer text, whose first bytes shift it by 0, 1 or 2."""
    yield encode(raw).decode()
    yield encode(raw).decode().rstrip("=")
    for shift in range(3):
        first = -(-shift * 8 // 6)  # characters that hold bits of what stands before
        last = (shift + len(raw)) * 8 // 6  # characters that hold only bits of the secret
        yield encode(b"\0" * shift + raw).decode()[first:last]
