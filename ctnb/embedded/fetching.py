"""Sources of type url, where the portal was told that it may fetch: http and https, of bounded size."""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .drafts import refused
from .features import GEOJSON, KML, SHAPEFILE

CONNECT_S, READ_S = 10.0, 60.0
REDIRECTS = 5
BLOCK_BYTES = 2**20
_TYPES = {
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".xls": "application/vnd.ms-excel",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".geojson": GEOJSON[0],
    ".kml": KML[0],
    ".zip": SHAPEFILE[0],
}


class Unfetched(Exception):
    """A URL that could not be read; says why, without the URL."""


def fetchable(kind: Mapping[str, Any], *, allowed: bool) -> dict[str, Any]:
    """The source type of a URL to be fetched. Raises Refused where that is not allowed, or no plain URL is given."""
    if not allowed:
        message = "This portal fetches no URL; it does when it is started with --fetch"
        raise refused(403, "fetching_not_allowed", message)
    url = urllib.parse.urlsplit(kind["url"]) if isinstance(kind.get("url"), str) else None
    if url is None or url.scheme not in ("http", "https") or not url.hostname or url.username is not None:
        message = "url is an http or https address without a name and password in it"
        raise refused(400, "invalid_source_type", message)
    return {"type": "url", "url": kind["url"]}


def fetch(url: str, into: Path, *, limit: int, check: Callable[[], None]) -> str:
    """
    Write what `url` answers to `into`, in one step once it is whole; its content type.

    `check` is called between blocks and may raise. Raises Unfetched.
    """
    import requests

    temporary, wrong, content_type = into.with_suffix(".part"), "", ""
    try:
        with requests.Session() as session:
            session.max_redirects = REDIRECTS
            with session.get(url, stream=True, timeout=(CONNECT_S, READ_S)) as answer:
                if answer.status_code == 200:
                    content_type = _type_of(answer.headers.get("Content-Type", ""), answer.url)
                    _write(answer.iter_content(BLOCK_BYTES), temporary, limit, check)
                else:
                    wrong = f"The URL answered with status {answer.status_code}"
    except (requests.RequestException, OSError) as error:
        wrong = f"The URL could not be read ({type(error).__name__})"
    if wrong:
        raise Unfetched(wrong)
    temporary.replace(into)
    return content_type


def _write(blocks: Any, temporary: Path, limit: int, check: Callable[[], None]) -> None:
    size = 0
    with temporary.open("wb") as file:
        for block in blocks:
            check()
            size += len(block)
            if size > limit:
                raise Unfetched(f"The URL answered with more than {limit} bytes")
            file.write(block)


def _type_of(said: str, url: str) -> str:
    """The ending of the address says more than the header of most servers does."""
    ending = Path(urllib.parse.urlsplit(url).path).suffix.lower()
    plain = said.partition(";")[0].strip().lower()
    return _TYPES.get(ending, plain or "application/octet-stream")
