"""The bodies of the views API: an object, a list of objects, and the files of a form."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .answers import Call, decode, legacy


@dataclass(frozen=True)
class File:
    """One file that a form brings."""

    name: str
    content_type: str
    content: bytes = field(repr=False)


def read_object(call: Call) -> dict[str, Any]:
    """The JSON object of a request. Raises Refused (400)."""
    body = decode(call.body, exact=False)
    if not isinstance(body, dict):
        raise legacy(400, "invalid_request", "The body is not an object")
    return body


def read_objects(value: object) -> list[dict[str, Any]]:
    """A list of objects within a body; none for null. Raises Refused (400)."""
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise legacy(400, "invalid_request", "A list of objects was expected")
    return value


def read_file(call: Call) -> File:
    """The first file of a multipart form (RFC 7578), or a body that is the file itself. Raises Refused (400)."""
    content_type = call.headers.get("Content-Type", "")
    if not content_type.lower().startswith("multipart/form-data"):
        if not call.body:
            raise legacy(400, "invalid_request", "There is no file in the request")
        name = call.headers.get("X-File-Name") or call.option("filename") or "file"
        return File(safe_name(name), plain_type(content_type), call.body)
    from tornado.httputil import HTTPFile, HTTPInputError, parse_multipart_form_data

    fields: dict[str, list[bytes]] = {}
    files: dict[str, list[HTTPFile]] = {}
    boundary = content_type.partition("boundary=")[2].partition(";")[0].strip()
    broken = False
    try:
        parse_multipart_form_data(boundary.encode(), call.body, fields, files)
    except HTTPInputError:  # its text may quote the form
        broken = True
    found = next((file for several in files.values() for file in several), None)
    if broken or found is None:
        raise legacy(400, "invalid_request", "There is no file in the form")
    return File(safe_name(found["filename"]), plain_type(found["content_type"]), found["body"])


def safe_name(name: str) -> str:
    """A file name without folders and without what a header could not hold; at most 255 characters."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return (
        "".join(letter for letter in last if letter.isprintable() and letter != '"').strip()[:255] or "file"
    )


def plain_type(content_type: str) -> str:
    """A media type without parameters; what is none is a stream of bytes."""
    plain = content_type.partition(";")[0].strip().lower()
    return (
        plain
        if plain.count("/") == 1 and plain.isascii() and len(plain) < 100
        else "application/octet-stream"
    )
