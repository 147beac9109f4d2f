"""DSMAPI calls against a running portal, as plain HTTP: a revision, an upload, a job waited for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from portal_fixture import Running

BASE = "/api/publishing/v1"
WAIT_S = 60.0


def ask(portal: Running, method: str, path: str, **options: Any) -> Any:
    """The JSON of a call that must succeed; `path` is a link, or what follows the base."""
    answer = portal.ask(method, path if path.startswith("/api/") else BASE + path, **options)
    assert answer.status_code in (200, 201, 202), answer.text
    return answer.json()


def waited(portal: Running, link: str, done: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """The resource at `link`, asked for until it is done."""
    end = time.monotonic() + WAIT_S
    while not done(found := ask(portal, "GET", link)["resource"]):
        assert time.monotonic() < end, "the portal did not finish"
        time.sleep(0.02)
    return dict(found)


def open_revision(portal: Running, uid: str | None = None, **body: Any) -> dict[str, Any]:
    """A new revision, of a new dataset unless `uid` is given."""
    path = "/revision" if uid is None else f"/revision/{uid}"
    given = {"metadata": {"name": "A dataset"}} | body if uid is None else body
    return dict(ask(portal, "POST", path, json=given))


def upload(
    portal: Running,
    revision: dict[str, Any],
    content: bytes | str,
    content_type: str = "text/csv",
    *,
    chunk: int = 10,
    **options: Any,
) -> dict[str, Any]:
    """A source in `revision` that was sent in chunks, the last one first, and parsed; its resource."""
    data = content.encode() if isinstance(content, str) else content
    body = {"source_type": {"type": "upload", "filename": "f"}, "parse_options": options}
    links = ask(portal, "POST", revision["links"]["create_source"], json=body)["links"]
    ask(portal, "POST", links["initiate"], json={"content_type": content_type})
    parts = [data[at : at + chunk] for at in range(0, len(data), chunk)]
    for number, part in reversed(list(enumerate(parts))):
        ask(portal, "POST", links["chunk"].format(seq_num=number, byte_offset=number * chunk), data=part)
    ask(portal, "POST", links["commit"].format(seq_num=len(parts) - 1, byte_offset=len(data)))
    return finished(portal, links)


def finished(portal: Running, links: dict[str, Any]) -> dict[str, Any]:
    """A source once it is parsed and its newest output schema worked out, or failed."""

    def done(source: dict[str, Any]) -> object:
        schemas = source["schemas"][-1:]
        outputs = [one for schema in schemas for one in schema["output_schemas"]]
        worked = all(settled(one) for one in outputs)
        return source["failed_at"] or (source["finished_at"] and worked)

    return waited(portal, links["show"], done)


def settled(output: dict[str, Any]) -> object:
    """Whether an output schema is worked out, or failed."""
    return output["completed_at"] or output["output_columns"][0]["transform"]["failed_at"]


def output_of(source: dict[str, Any]) -> dict[str, Any]:
    """The newest output schema of a source."""
    return dict(source["schemas"][-1]["output_schemas"][-1])


def transformed(portal: Running, source: dict[str, Any], **expressions: str) -> dict[str, Any]:
    """A new output schema of a column for each expression, worked out: resource and links."""
    columns = [
        {"field_name": name, "display_name": name, "position": at, "transform": {"transform_expr": text}}
        for at, (name, text) in enumerate(expressions.items())
    ]
    schema = source["schemas"][-1]["id"]
    path = f"/source/{source['id']}/schema/{schema}"
    made = ask(portal, "POST", path, json={"output_columns": columns})
    made["resource"] = waited(portal, made["links"]["show"], settled)
    return dict(made)


def applied(
    portal: Running, revision: dict[str, Any], output: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The job of a revision that was applied, once it ended."""
    body = {} if output is None else {"output_schema_id": output["id"]}
    job = ask(portal, "PUT", revision["links"]["apply"], json=body)
    return waited(portal, job["links"]["show"], lambda one: one["finished_at"])


def published(portal: Running, content: str, key: str | None = None) -> str:
    """A new dataset with these rows, put there by a replace revision; its 4x4."""
    first = open_revision(portal)
    uid = str(first["resource"]["fourfour"])
    replace(portal, uid, content, key)
    return uid


def replace(portal: Running, uid: str, content: str, key: str | None = None) -> dict[str, Any]:
    """The job of a replace revision with these rows."""
    revision = open_revision(portal, uid, action={"type": "replace"})
    source = upload(portal, revision, content, chunk=1 << 20)
    output = output_of(source)
    if key is not None:
        for column in output["output_columns"]:
            column["is_primary_key"] = column["field_name"] == key
        schema = source["schemas"][-1]["id"]
        body = {"output_columns": output["output_columns"]}
        made = ask(portal, "POST", f"/source/{source['id']}/schema/{schema}", json=body)
        output = waited(portal, made["links"]["show"], settled)
    job = applied(portal, revision, output)
    assert job["status"] == "successful", job
    return job
