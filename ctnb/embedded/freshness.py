"""Whether a caller's copy is still good: ETag, Last-Modified, and the conditions of a request (RFC 9110, 13)."""

from __future__ import annotations

import email.utils
import hashlib
import json

from .answers import Call, modern
from .catalogue import View

Headers = tuple[tuple[str, str], ...]


def cache_headers(view: View, call: Call, form: str, *, weak: bool = False) -> Headers:
    """ETag, Last-Modified and their kin for one form of one view."""
    body = hashlib.sha256(call.body).hexdigest() if call.body else ""
    asked = json.dumps([view.uid, view.version, form, call.path, call.query, body], sort_keys=True)
    tag = hashlib.sha256(asked.encode()).hexdigest()[:32]
    modified = email.utils.formatdate(view.rows_updated_at, usegmt=True)
    return (
        ("ETag", f'W/"{tag}"' if weak else f'"{tag}"'),
        ("Last-Modified", modified),
        ("Cache-Control", "private, no-cache, must-revalidate"),
        ("Vary", "Accept, Authorization"),
        ("X-SODA2-Data-Out-Of-Date", "false"),
        ("X-SODA2-Truth-Last-Modified", modified),
        ("X-SODA2-Secondary-Last-Modified", modified),
        ("X-SODA2-Truth-Version", str(view.version)),
    )


def refuse_unmatched(call: Call, headers: Headers) -> None:
    """Hold If-Match against the ETag of what would be sent. Raises Refused (412)."""
    wanted = call.headers.get("If-Match", "").strip()
    if wanted and wanted != "*" and dict(headers)["ETag"] not in [tag.strip() for tag in wanted.split(",")]:
        raise modern(412, "precondition-failed", "Precondition failed")


def not_modified(view: View, call: Call, headers: Headers) -> bool:
    """Whether the caller's copy is still good; a date is trusted only when no second write can share it."""
    tags = call.headers.get("If-None-Match", "")
    if tags:
        own = dict(headers)["ETag"].removeprefix("W/")
        return tags.strip() == "*" or own in [tag.strip().removeprefix("W/") for tag in tags.split(",")]
    try:
        since = email.utils.parsedate_to_datetime(call.headers.get("If-Modified-Since", "")).timestamp()
    except ValueError:
        return False
    changed = max(view.rows_updated_at, view.modified_at)
    return int(changed) <= since and call.now - changed > 2
