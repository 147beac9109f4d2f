"""SoQL on the embedded portal against plain Python: whatever is asked, both say the same of the same rows."""

from __future__ import annotations

import operator
import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from portal_fixture import Running, running_portal

Row = Mapping[str, Any]
TEXTS = ("", "a", "A", "b", "o'x", "%", "_", "é", "aa b", "ß", "\\", "a%b", "null", "10", "9")
NUMBERS = ("0", "1", "-1", "2.5", "10", "-0.25", "100000000000000000000", "0.1")
COMPARED: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt,
    ">=": operator.ge,
}  # fmt: skip
COMPUTED: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul,
}  # fmt: skip
EXAMPLES = 150


@dataclass(frozen=True)
class Asked:
    """A piece of SoQL, and what it is of a row; None is null, of a condition unknown."""

    soql: str
    of: Callable[[Row], Any]


def both(work: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """`work`, or null where either side is."""
    return lambda one, other: None if one is None or other is None else work(one, other)


def negated(truth: bool | None) -> bool | None:
    """The truth table of `not`."""
    return None if truth is None else not truth


def conjoined(one: bool | None, other: bool | None) -> bool | None:
    """The truth table of `and`."""
    if one is False or other is False:
        return False
    return None if one is None or other is None else True


def fits(text: str, pattern: str) -> bool:
    """What `like` says."""
    signs = {"%": ".*", "_": "."}
    return (
        re.fullmatch("".join(signs.get(sign, re.escape(sign)) for sign in pattern), text, re.DOTALL)
        is not None
    )


def quoted(text: str) -> str:
    """A literal."""
    return "'" + text.replace("'", "''") + "'"


def column(name: str) -> Asked:
    """A column's value; a number as a decimal."""
    return Asked(
        name, lambda row: Decimal(row[name]) if name in "nm" and row[name] is not None else row[name]
    )


def joined(
    sign: str, work: Callable[[Any, Any], Any], one: Asked, other: Asked, form: str = "({} {} {})"
) -> Asked:
    """Two pieces and what is between them."""
    said = form.format(one.soql, sign, other.soql)
    return Asked(said, lambda row: both(work)(one.of(row), other.of(row)))


def texts() -> st.SearchStrategy[Asked]:
    """Expressions of texts."""
    first = st.sampled_from(["t", "u"]).map(column) | st.sampled_from(TEXTS).map(
        lambda text: Asked(quoted(text), lambda row: text)
    )
    cased = {"upper": str.upper, "lower": str.lower}

    def changed(name: str, one: Asked) -> Asked:
        return Asked(
            f"{name}({one.soql})", lambda row: None if one.of(row) is None else cased[name](one.of(row))
        )

    return st.recursive(
        first,
        lambda inner: (
            st.builds(changed, st.sampled_from(sorted(cased)), inner)
            | st.builds(lambda one, other: joined("||", operator.add, one, other), inner, inner)
        ),
        max_leaves=3,
    )


def numbers() -> st.SearchStrategy[Asked]:
    """Expressions of exact numbers."""
    first = st.sampled_from(["n", "m"]).map(column) | st.sampled_from(NUMBERS).map(
        lambda text: Asked(f"({text})", lambda row: Decimal(text))
    )
    return st.recursive(
        first,
        lambda inner: st.builds(
            lambda sign, one, other: joined(sign, COMPUTED[sign], one, other),
            st.sampled_from(sorted(COMPUTED)), inner, inner,
        ),
        max_leaves=3,
    )  # fmt: skip


def atoms() -> st.SearchStrategy[Asked]:
    """Conditions without and, or, not."""

    def compared(sign: str, one: Asked, other: Asked) -> Asked:
        return joined(sign, COMPARED[sign], one, other, "{} {} {}")

    def empty(one: Asked) -> Asked:
        return Asked(f"{one.soql} is null", lambda row: one.of(row) is None)

    def listed(one: Asked, some: list[str]) -> Asked:
        said = f"{one.soql} in({', '.join(map(quoted, some))})"
        return Asked(said, lambda row: None if one.of(row) is None else one.of(row) in some)

    def like(one: Asked, pattern: str) -> Asked:
        said = f"{one.soql} like {quoted(pattern)}"
        return Asked(said, lambda row: None if one.of(row) is None else fits(one.of(row), pattern))

    def between(one: Asked, low: Asked, high: Asked) -> Asked:
        def within(row: Row) -> bool | None:
            return conjoined(
                both(operator.ge)(one.of(row), low.of(row)), both(operator.le)(one.of(row), high.of(row))
            )

        return Asked(f"{one.soql} between {low.soql} and {high.soql}", within)

    signs = st.sampled_from(sorted(COMPARED))
    return st.one_of(
        st.builds(compared, signs, texts(), texts()),
        st.builds(compared, signs, numbers(), numbers()),
        st.builds(empty, texts() | numbers()),
        st.builds(listed, texts(), st.lists(st.sampled_from(TEXTS), min_size=1, max_size=3)),
        st.builds(like, texts(), st.text("ab%_AéX", max_size=5)),
        st.builds(between, numbers(), numbers(), numbers()),
        st.builds(
            lambda one, other: joined(", ", str.startswith, one, other, "starts_with({}{}{})"),
            texts(),
            texts(),
        ),
        st.builds(
            lambda one, other: joined(", ", operator.contains, one, other, "contains({}{}{})"),
            texts(),
            texts(),
        ),
        st.just(column("b")),
    )


def conditions() -> st.SearchStrategy[Asked]:
    """Conditions of any kind, with the three truths of SQL."""

    def turned(one: Asked) -> Asked:
        return Asked(f"not ({one.soql})", lambda row: negated(one.of(row)))

    def all_of(one: Asked, other: Asked) -> Asked:
        return Asked(f"({one.soql}) and ({other.soql})", lambda row: conjoined(one.of(row), other.of(row)))

    def any_of(one: Asked, other: Asked) -> Asked:
        turned_round = lambda row: negated(conjoined(negated(one.of(row)), negated(other.of(row))))  # noqa: E731
        return Asked(f"({one.soql}) or ({other.soql})", turned_round)

    return st.recursive(
        atoms(),
        lambda inner: st.one_of(
            inner.map(turned), st.builds(all_of, inner, inner), st.builds(any_of, inner, inner)
        ),
        max_leaves=4,
    )


@dataclass(frozen=True)
class Asking:
    """A dataset, the rows as it shows them, and a connection to it."""

    url: str
    rows: list[dict[str, Any]]
    session: requests.Session

    def ask(self, **parameters: Any) -> Any:
        """The JSON of a query that must be answered; parameters without their `$`."""
        named = {f"${name}": value for name, value in parameters.items()}
        answer = self.session.get(self.url, params=named, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    """Sixty rows of texts, numbers and truths that are easily got wrong."""
    pick = random.Random(5)
    rows = [
        {
            "k": f"r{number:02}", "t": pick.choice([*TEXTS, None]), "u": pick.choice([*TEXTS, None]),
            "n": pick.choice([*NUMBERS, None]), "m": pick.choice([*NUMBERS, None]),
            "b": pick.choice([True, False, None]),
        }
        for number in range(60)
    ]  # fmt: skip
    with running_portal(tmp_path_factory.mktemp("portal")) as portal, requests.Session() as session:
        uid = _created(portal, rows)
        shown = [{name: row.get(name) for name in rows[0]} for row in portal.rows(uid, order="k")]
        yield Asking(f"{portal.url}/resource/{uid}.json", shown, session)


def _created(portal: Running, rows: list[dict[str, Any]]) -> str:
    columns = (
        ("k", "text"),
        ("t", "text"),
        ("u", "text"),
        ("n", "number"),
        ("m", "number"),
        ("b", "checkbox"),
    )
    uid = portal.create(*columns, key="k", public=True)
    assert portal.ask("POST", f"/resource/{uid}.json", json=rows).json()["Rows Created"] == len(rows)
    return uid


@given(asked=conditions(), limit=st.integers(0, 70), offset=st.integers(0, 10))
@settings(max_examples=EXAMPLES, deadline=None, database=None)
def test_a_condition_finds_the_rows_that_python_finds(
    asking: Asking, asked: Asked, limit: int, offset: int
) -> None:
    """Comparisons, arithmetic, patterns, null and unknown, one in another; in order, page by page."""
    expected = [row["k"] for row in asking.rows if asked.of(row) is True][offset : offset + limit]
    found = asking.ask(select="k", where=asked.soql, order="k", limit=limit, offset=offset)
    assert expected == [row["k"] for row in found]


@given(asked=conditions(), name=st.sampled_from(["t", "u", "b"]))
@settings(max_examples=EXAMPLES, deadline=None, database=None)
def test_groups_add_up_to_the_rows(asking: Asking, asked: Asked, name: str) -> None:
    """count, sum, min and max of the rows that a condition finds, for each value of a column."""
    groups: dict[Any, list[Row]] = {}
    for row in asking.rows:
        if asked.of(row) is True:
            groups.setdefault(row[name], []).append(row)
    select = f"{name}, count(*) as rows, count(n) as known, sum(n) as total, min(n) as low, max(n) as high"
    found = asking.ask(select=select, where=asked.soql, group=name)
    told = {
        row.get(name): (int(row["rows"]), int(row["known"]), *(
            Decimal(row[one]) if one in row else None for one in ("total", "low", "high")
        ))
        for row in found
    }  # fmt: skip
    expected = {}
    for value, members in groups.items():
        held = [Decimal(row["n"]) for row in members if row["n"] is not None]
        summary = (sum(held), min(held), max(held)) if held else (None, None, None)
        expected[value] = (len(members), len(held), *summary)
    assert (expected, len(groups)) == (told, len(found))
