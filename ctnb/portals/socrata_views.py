"""
What a Socrata portal keeps beside a dataset's rows: filtered views, and readers of a private dataset.

A filtered view is a view with `modifyingViewUid` and SoQL in `queryString`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ctnb.clients.answers import understood
from ctnb.clients.exchanges import Exchange, said
from ctnb.contracts.columns import NUMERIC, Column
from ctnb.portals.interface import Condition, Part
from ctnb.values import quote_text

PAGE_VIEWS, PAGES = 200, 10
"""How far the portal's own list is read for a view whose id was never noted."""


@understood
def show(
    exchange: Exchange, dataset_id: str, parts: Sequence[Part], known: Mapping[str, str]
) -> dict[str, str]:
    """
    Make the filtered views `parts`, or bring those there up to date; returns the id of each by its name.

    `known` are ids from before; a view whose id was lost with a broken answer is looked for by its name. Each is as
    public as its dataset. Raises PortalFailed.
    """
    public = any("public" in one.get("flags", []) for one in _view(exchange, dataset_id).get("grants", []))
    made = {}
    for part in parts:
        body = {"name": part.name, "queryString": query(part)}
        found = known.get(part.name) or _lost(exchange, dataset_id, part.name)
        if found and exchange.get(f"/api/views/{found}.json", missing=True) is not None:
            exchange.rewrite("PUT", f"/api/views/{found}.json", body)
        else:
            found = str(
                exchange.write("POST", "/api/views.json", {**body, "modifyingViewUid": dataset_id})["id"]
            )
        value = "public.read" if public else "private"
        exchange.rewrite("PUT", f"/api/views/{found}.json?method=setPermission&value={value}")
        made[part.name] = found
    return made


@understood
def share(exchange: Exchange, dataset_id: str, people: Sequence[str]) -> None:
    """Let exactly these mail addresses read the dataset while it is private. Raises PortalFailed."""
    grants = _view(exchange, dataset_id).get("grants", [])
    there = {str(one["userEmail"]).lower() for one in grants if one.get("userEmail")}
    wanted = {mail.lower() for mail in people}
    for method, mails in (("POST", wanted - there), ("DELETE", there - wanted)):
        for mail in sorted(mails):
            exchange.rewrite(method, f"/api/views/{dataset_id}/grants", {"userEmail": mail, "type": "viewer"})


def readers(view: Mapping[str, Any]) -> int:
    """To how many people the view's JSON says it is given."""
    return sum("public" not in one.get("flags", []) for one in view.get("grants", []))


def query(part: Part) -> str:
    """The SoQL of a filtered view."""
    conditions = " AND ".join(map(_condition, part.conditions))
    return f"SELECT * WHERE {conditions}" if conditions else "SELECT *"


def _condition(condition: Condition) -> str:
    column = condition.column
    name, values = f"`{column.name}`", [_literal(column, value) for value in condition.values]
    tests = [f"{name} {condition.test} {value}" for value in values]
    return tests[0] if len(tests) == 1 else f"({' OR '.join(tests)})"


def _literal(column: Column, value: str) -> str:
    if column.type in NUMERIC or column.type == "boolean":
        return value
    if column.type == "date":
        return quote_text(f"{value}T00:00:00.000")
    if column.type == "timestamp":
        return quote_text(value[:23])  # the portal keeps milliseconds
    return quote_text(value)


def _lost(exchange: Exchange, dataset_id: str, name: str) -> str | None:
    """The id of the dataset's filtered view `name`, from the portal's list of what this account sees."""
    for page in range(1, PAGES + 1):
        answer = exchange.get("/api/views.json", {"limit": PAGE_VIEWS, "page": page})
        listed = said(answer) if answer is not None else []
        for view in listed:
            if (view.get("modifyingViewUid"), view.get("name")) == (dataset_id, name):
                return str(view["id"])
        if len(listed) < PAGE_VIEWS:
            break
    return None


def _view(exchange: Exchange, dataset_id: str) -> dict[str, Any]:
    answer = exchange.get(f"/api/views/{dataset_id}.json")
    return dict(said(answer)) if answer is not None else {}
