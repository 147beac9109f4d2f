"""What the embedded portal makes of SoQL: statements, functions, groups, and what it refuses."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

import pytest
from portal_fixture import Running, running_portal

from ctnb.embedded.soql import Apply, Field, Literal, Star, parse_condition, parse_query
from ctnb.embedded.tokens import Malformed

COLUMNS = (
    ("n", "number"),
    ("town", "text"),
    ("sold", "calendar_date"),
    ("seen", "date"),
    ("price", "number"),
    ("open", "checkbox"),
    ("place", "point"),
)
ROWS: list[dict[str, Any]] = [
    {
        "n": 1,
        "town": "Avon",
        "sold": "2020-03-01T10:20:30",
        "seen": "2020-03-01T23:30:00Z",
        "price": "100.50",
        "open": True,
        "place": "POINT (-72.8 41.8)",
    },
    {"n": 2, "town": "Bethel", "price": "9", "place": "POINT (-73.4 41.4)"},
    {"n": 3, "town": "avon", "sold": "2021-01-05", "price": "-20", "open": False},
    {"n": 4, "town": "Été", "sold": "2021-12-31", "price": "0.5"},
]


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One portal for the module."""
    with running_portal(tmp_path_factory.mktemp("portal")) as running:
        yield running


@pytest.fixture(scope="module")
def sales(portal: Running) -> str:
    """A public dataset of four rows."""
    uid = portal.create(*COLUMNS, key="n", public=True)
    assert portal.ask("POST", f"/resource/{uid}.json", json=ROWS).json()["Rows Created"] == 4
    return uid


def asked(portal: Running, sales: str, query: str) -> list[dict[str, Any]]:
    """The rows of a $query."""
    answer = portal.ask("GET", f"/resource/{sales}.json", signed=False, params={"$query": query})
    assert answer.status_code == 200, answer.text
    return list(answer.json())


def refused(portal: Running, sales: str, **parameters: str) -> tuple[int, str]:
    """The status and the code of a refusal."""
    named = {f"${name}": value for name, value in parameters.items()}
    answer = portal.ask("GET", f"/resource/{sales}.json", signed=False, params=named)
    body = answer.json()
    return answer.status_code, body.get("errorCode") or body.get("code")


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a or b and not c", "(or a (and b (not c)))"),
        ("a + b * c ^ 2 = -1", "(= (+ a (* b (^ c 2))) -1)"),
        ("a - b - c", "(- (- a b) c)"),
        ("-a * 2", "(* (negative a) 2)"),
        ("- -1", "(negative -1)"),
        ("a || 'x''y' || b", "(|| (|| a 'x'y') b)"),
        ("a not in (1, 2) and b is not null", "(and (not (in a 1 2)) (is not null b))"),
        ("a between 1 and 2 or b", "(or (between a 1 2) b)"),
        ("a not like 'x%'", "(not (like a 'x%'))"),
        ("a::number > 3", "(> (to_number a) 3)"),
        ("case when a then 1 else 2 end", "(case a 1 true 2)"),
        ("count(distinct a) > 1", "(> (count distinct a) 1)"),
        ("count(*) > 1", "(> (count *) 1)"),
        ("`odd name` = :id", "(= odd name :id)"),
        ("(a = 1) is null", "(is null (= a 1))"),
        ("a*b", "(* a b)"),
    ],
)
def test_text_becomes_one_tree(text: str, tree: str) -> None:
    """Operators bind as the vendor's do; nothing of the text is kept but names and values."""
    assert tree == shown(parse_condition(text))


def shown(node: object) -> str:
    """A tree with its operators in front."""
    match node:
        case Literal(kind, value):
            return f"'{value}'" if kind == "text" else value
        case Field(name):
            return name
        case Star():
            return "*"
        case Apply(name, arguments):
            return f"({' '.join([name, *map(shown, arguments)])})"
    raise AssertionError(node)


def test_a_statement_has_its_clauses() -> None:
    """Every clause, in its place, and statements joined by a pipe."""
    text = (
        "SELECT DISTINCT town AS t, * (EXCEPT n) WHERE n > 1 GROUP BY town HAVING count(*) > 2"
        " ORDER BY t DESC NULL LAST SEARCH 'word' LIMIT 5 OFFSET 6 |> select t"
    )
    first, second = parse_query(text)
    assert (first.distinct, first.selected[0].alias, first.selected[1].node) == (
        True,
        "t",
        Star(without=("n",)),
    )
    assert (first.groups, first.search, first.limit, first.offset) == ((Field("town"),), "word", 5, 6)
    assert (first.ordered[0].descending, first.ordered[0].nulls_first) == (True, False)
    assert second.selected[0].node == Field("t")


@pytest.mark.parametrize(
    "text",
    [
        "", "a", "select", "select * where", "select * limit x", "select * limit -1",
        "select * from @other", "select a b", "select * group town", "select a |>", "select * join @x on a = b",
        "select a as 1", "select case when a end", "select * (except)", "select 'open", 'select "a"',
        "select a where " + "1+" * 300 + "1 = 1", "select a where " + "(" * 500, "select " + "a," * 60_000 + "a",
    ],
)  # fmt: skip
def test_what_is_no_statement_is_malformed(text: str) -> None:
    """Parts missing or too many, double quotes, and trees too deep or too long to walk."""
    with pytest.raises(Malformed):
        parse_query(text)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("n + 1", "2"), ("n - 3", "-2"), ("price * 2", "201"), ("price / 3", "33.5"), ("price % 7", "2.5"),
        ("n / 0", None), ("2 ^ 10", "1024"), ("-price", "-100.5"), ("0.1 + 0.2", "0.3"),
        ("town || '-' || n", "Avon-1"), ("concat(town, '!')", "Avon!"), ("town || null", None),
        ("lower(town)", "avon"), ("upper(town)", "AVON"), ("length(town)", "4"), ("substring(town, 1, 2)", "vo"),
        ("starts_with(town, 'Av')", True), ("contains(town, 'vo')", True), ("unaccent('Été')", "Ete"),
        ("trim('  a ')", "a"),
        ("case(n = 1, 'one', true, 'more')", "one"), ("case(n = 2, 'two')", None),
        ("case when n > 5 then 'big' else 'small' end", "small"),
        ("coalesce(null, town)", "Avon"), ("greatest(n, price, 7)", "100.5"), ("least(n, price, null)", "1"),
        ("round(price, 0)", "101"), ("round(-2.5, 0)", "-3"), ("round(1234, -2)", "1200"), ("abs(-3)", "3"),
        ("floor(-0.5)", "-1"), ("ceiling(price)", "101"), ("ln(1)", "0"), ("ln(0)", None),
        ("ln(10)", "2.30258509299404568401799145468"),
        ("date_extract_y(sold)", "2020"), ("date_extract_m(sold)", "3"), ("date_extract_d(sold)", "1"),
        ("date_extract_hh(sold)", "10"), ("date_extract_mm(sold)", "20"), ("date_extract_ss(sold)", "30"),
        ("date_extract_dow(sold)", "0"), ("date_extract_woy(sold)", "9"),
        ("date_extract_woy('2013-10-24T09:33:00.000')", "43"),
        ("date_trunc_y(sold)", "2020-01-01T00:00:00.000"), ("date_trunc_ym(sold)", "2020-03-01T00:00:00.000"),
        ("date_trunc_ymd(sold)", "2020-03-01T00:00:00.000"), ("date_trunc_ymd(seen)", "2020-03-01T00:00:00.000Z"),
        ("'12'::number + 1", "13"), ("to_number(town)", None), ("n::text || 'x'", "1x"),
        ("to_boolean('true')", True), ("'2020-02-03'::floating_timestamp", "2020-02-03T00:00:00.000"),
        ("open::text", "true"), ("'it''s'", "it's"), ("true", True), ("null", None),
        ("num_points(place)", "1"), ("distance_in_meters(place, 'POINT (-72.8 41.8)')", "0"),
        ("within_circle(place, 41.8, -72.8, 10)", True), ("within_circle(place, 41.9, -72.8, 10)", False),
        ("within_box(place, 42, -73, 41, -72)", True), ("within_box(place, 41.5, -73, 41, -72)", False),
        ("within_polygon(place, 'MULTIPOLYGON (((-73 41, -72 41, -72 42, -73 42, -73 41)))')", True),
        ("intersects(place, 'LINESTRING (-72.8 41, -72.8 42)')", True),
        ("place", {"type": "Point", "coordinates": [-72.8, 41.8]}),
    ],
)  # fmt: skip
def test_an_expression_has_its_value(portal: Running, sales: str, expression: str, expected: object) -> None:
    """Exact arithmetic, texts, dates, conversions, places; null where there is no result."""
    found = asked(portal, sales, f"select {expression} as x where n = 1")
    assert found == [{} if expected is None else {"x": expected}]


@pytest.mark.parametrize(
    ("aggregate", "expected"),
    [
        ("count(*)", "4"), ("count(sold)", "3"), ("count(distinct date_extract_y(sold))", "2"),
        ("sum(price)", "90"), ("avg(n)", "2.5"), ("min(town)", "Avon"), ("max(sold)", "2021-12-31T00:00:00.000"),
        ("stddev_pop(n)", "1.11803398874989484820458683437"), ("stddev_samp(n)", "1.29099444873580562839308846659"),
        ("regr_slope(n * 2 + 1, n)", "2"), ("regr_intercept(n * 2 + 1, n)", "1"), ("regr_r2(n * 2 + 1, n)", "1"),
        ("regr_r2(price, n)", "0.632507450476246128674107403728"),
        ("sum(case(town = 'Avon', 1, true, 0))", "1"), ("max(price) - min(price)", "120.5"),
        ("stddev_samp(case(n = 1, n))", None), ("sum(null)", None),
    ],
)  # fmt: skip
def test_rows_are_summed_up(portal: Running, sales: str, aggregate: str, expected: object) -> None:
    """Each aggregate of the documentation, over all rows."""
    found = asked(portal, sales, f"select {aggregate} as x")
    assert found == [{} if expected is None else {"x": expected}]


def test_shapes_are_summed_up(portal: Running, sales: str) -> None:
    """The box around all points, and the hull of them together, with the digits that were stored."""
    (found,) = asked(portal, sales, "select extent(place) as e, convex_hull(spatial_union(place)) as h")
    ring = [[-73.4, 41.4], [-73.4, 41.8], [-72.8, 41.8], [-72.8, 41.4], [-73.4, 41.4]]
    assert found["e"] == {"type": "MultiPolygon", "coordinates": [[ring]]}
    assert found["h"]["type"] == "LineString"


def test_clauses_of_a_statement_work_together(portal: Running, sales: str) -> None:
    """WHERE, GROUP BY an alias, HAVING, ORDER BY and LIMIT."""
    query = (
        "select lower(town) as t, count(*) as n, sum(price) as total where price is not null"
        " group by t having count(*) >= 1 order by n desc, t limit 2"
    )
    assert asked(portal, sales, query) == [
        {"t": "avon", "n": "2", "total": "80.5"},
        {"t": "bethel", "n": "1", "total": "9"},
    ]


def test_a_statement_reads_the_rows_of_the_one_before(portal: Running, sales: str) -> None:
    """`|>`: its columns are the outputs, its rows those that the limit left."""
    query = (
        "select lower(town) as t, price order by price desc limit 3 |> select t, max(price) as top group by t"
    )
    found = sorted((row["t"], row["top"]) for row in asked(portal, sales, query))
    assert found == [("avon", "100.5"), ("bethel", "9"), ("été", "0.5")]


def test_distinct_and_except(portal: Running, sales: str) -> None:
    """Rows that are alike once; a star without some columns; the system fields by `:*`."""
    assert asked(portal, sales, "select distinct lower(town) as t where price < 0 or n = 1") == [
        {"t": "avon"}
    ]
    (row,) = asked(portal, sales, "select * (except sold, seen, place) where n = 1")
    assert row == {"n": "1", "town": "Avon", "price": "100.5", "open": True}
    (row,) = asked(portal, sales, "select :* where n = 1")
    assert list(row) == [":id", ":created_at", ":updated_at", ":version"]
    assert row[":version"].startswith("rv-")


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("seen > '2020-03-01'", 1), ("seen = '2020-03-01T23:30:00Z'", 1), ("seen < '2020-03-01T23:30:00'", 0),
        ("seen = '2020-03-01T18:30:00-05:00'", 1), (":created_at > '2020-01-01'", 4), (":updated_at < '2020-01-01'", 0),
    ],
)  # fmt: skip
def test_moments_with_a_zone_compare_with_texts(portal: Running, sales: str, where: str, found: int) -> None:
    """Without a zone a text means UTC."""
    assert len(portal.rows(sales, where=where)) == found


def test_a_row_s_version_changes_when_it_does(portal: Running) -> None:
    """Two reads agree; a write tells them apart."""
    uid = portal.create(("n", "number"), ("a", "text"), key="n", public=True)
    portal.ask("POST", f"/resource/{uid}.json", json=[{"n": 1, "a": "x"}])
    versions = [portal.rows(uid, select=":version")[0][":version"] for _ in range(2)]
    portal.ask("POST", f"/resource/{uid}.json", json=[{"n": 1, "a": "y"}])
    versions.append(portal.rows(uid, select=":version")[0][":version"])
    assert len(set(versions[:2])) == 1
    assert len(set(versions)) == 2


def test_outputs_are_named_after_what_they_are(portal: Running, sales: str) -> None:
    """By alias, by function and column, numbered when a name is taken."""
    (row,) = asked(portal, sales, "select n, n + 1, count(distinct town), count(*) group by n limit 1")
    assert list(row) == ["n", "add_n_literal", "count_distinct_town", "count"]
    (row,) = asked(portal, sales, "select upper(town), upper(town) limit 1")
    assert list(row) == ["upper_town", "upper_town_1"]


def test_search_finds_words_in_any_case(portal: Running, sales: str) -> None:
    """`$q` and SEARCH, in every script; signs of patterns are signs."""
    assert [row["n"] for row in portal.rows(sales, q="ÉTÉ")] == ["4"]
    assert [row["n"] for row in asked(portal, sales, "select n search 'AVON' order by n")] == ["1", "3"]
    assert portal.rows(sales, q="%") == []
    assert portal.rows(sales, q="_von") == []


def test_beside_a_statement_stand_order_and_page(portal: Running, sales: str) -> None:
    """RSocrata adds `$order` and a page to every address; they hold where the statement has no such clause."""
    path = f"/resource/{sales}.json?$query=select%20n%20where%20n%20>%201&$order=n desc&$limit=2&$offset=1"
    answer = portal.ask("GET", path, signed=False)
    assert [row["n"] for row in answer.json()] == ["3", "2"]
    assert refused(portal, sales, query="select n order by n", order="n") == (400, "req.bad-parameter")
    assert refused(portal, sales, query="select n", where="n = 1") == (400, "req.bad-parameter")


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"query": "select nope"}, "query.soql.no-such-column"),
        ({"query": "select nope(n)"}, "query.soql.no-such-function"),
        ({"query": "select n where town > 4"}, "query.soql.type-mismatch"),
        ({"query": "select n where date_extract_y(town) = 1"}, "query.soql.type-mismatch"),
        ({"query": "select n + town"}, "query.soql.type-mismatch"),
        ({"query": "select case(n, 1)"}, "query.soql.type-mismatch"),
        ({"query": "select case(n = 1, 1, true, town)"}, "query.soql.type-mismatch"),
        ({"query": "select lower(town, town)"}, "query.soql.type-mismatch"),
        ({"query": "select within_box(town, 1, 2, 3, 4)"}, "query.soql.type-mismatch"),
        ({"query": "select n where within_polygon(place, 'POLYGON oops')"}, "query.soql.type-mismatch"),
        ({"query": "select sum(count(*))"}, "query.soql.aggregate-function-not-allowed"),
        ({"query": "select n where count(*) > 1"}, "query.soql.aggregate-function-not-allowed"),
        ({"query": "select count(*) as c group by c"}, "query.soql.aggregate-function-not-allowed"),
        ({"query": "select town, count(*)"}, "query.soql.column-not-in-group-bys"),
        ({"query": "select count(*) order by town"}, "query.soql.column-not-in-group-bys"),
        ({"query": "select town group by town having n > 1"}, "query.soql.column-not-in-group-bys"),
        ({"query": "select n as a, town as a"}, "query.soql.duplicate-alias"),
        ({"query": "select n, n"}, "query.soql.duplicate-alias"),
        ({"query": "select n where"}, "query.compiler.malformed"),
        ({"query": "select n where (select 1)"}, "query.compiler.malformed"),
        ({"query": "select n; drop table views"}, "query.compiler.malformed"),
        ({"query": "select n where n = 1e999999"}, "query.compiler.malformed"),
        ({"query": "select n |> select town"}, "query.soql.no-such-column"),
        ({"having": "n > 1"}, "query.soql.having-without-group-by"),
        ({"limit": "-1"}, "req.bad-parameter"),
        ({"limit": "9" * 20}, "req.bad-parameter"),
        ({"offset": "1.5"}, "req.bad-parameter"),
        ({"frobnicate": "1"}, "req.bad-parameter"),
    ],
)
def test_a_wrong_question_has_its_code(
    portal: Running, sales: str, parameters: dict[str, str], code: str
) -> None:
    """Unknown names, types that do not meet, aggregates out of place, limits that are no numbers."""
    assert refused(portal, sales, **parameters) == (400, code)


def test_the_place_of_a_wrong_name_is_told(portal: Running, sales: str) -> None:
    """Row, column and line, in the message and as data, as the coordinator gives them."""
    answer = portal.ask(
        "GET", f"/resource/{sales}.json", signed=False, params={"$where": "n = 1 and nope = 2"}
    )
    position = {"row": 1, "column": 11, "line": "n = 1 and nope = 2"}
    assert answer.json() == {
        "message": "Query coordinator error: query.soql.no-such-column; No such column: nope; position:"
        " Map(row -> 1, column -> 11, line -> 'n = 1 and nope = 2')",
        "errorCode": "query.soql.no-such-column",
        "data": {"column": "nope", "dataset": sales, "position": position},
    }


def test_text_that_is_no_query_comes_back_in_the_older_envelope(portal: Running, sales: str) -> None:
    """As documented for the response codes: code, error, message, and the query in data."""
    answer = portal.ask(
        "GET", f"/resource/{sales}.json", signed=False, params={"$query": "select * where x >"}
    )
    assert answer.status_code == 400
    assert answer.json() == {
        "code": "query.compiler.malformed",
        "error": True,
        "message": 'Could not parse SoQL query "select * where x >"',
        "data": {"query": "select * where x >"},
    }


def test_aliases_cannot_grow_without_bound(portal: Running, sales: str) -> None:
    """An alias of an alias of an alias doubles the text each time; that ends with 400, not with the memory."""
    names = ["town", *(f"a{number}" for number in range(40))]
    items = ", ".join(f"{left} || {left} as {right}" for left, right in itertools.pairwise(names))
    assert refused(portal, sales, query=f"select {items}") == (400, "query.compiler.malformed")


def test_pages_without_an_order_neither_overlap_nor_miss(portal: Running) -> None:
    """sodapy pages without `$order`; so rows that tie, or have no order asked for, come as they were written."""
    uid = portal.create(("n", "number"), ("kind", "text"), public=True)
    rows = [{"n": at, "kind": "ab"[at % 2]} for at in range(40)]
    portal.ask("POST", f"/resource/{uid}.json", json=rows)
    for order in ({}, {"$order": "kind desc"}, {"$where": "kind = 'a'"}):
        pages = [
            portal.ask(
                "GET", f"/resource/{uid}.json", params={**order, "$limit": "7", "$offset": str(at)}
            ).json()
            for at in range(0, 42, 7)
        ]
        seen = [int(row["n"]) for page in pages for row in page]
        assert len(seen) == len(set(seen)) == (20 if "$where" in order else 40)


def test_row_ids_compare_as_they_sort(portal: Running) -> None:
    """Every comparison of `:id` agrees with the order of `:id`."""
    uid = portal.create(("n", "number"), public=True)
    portal.ask("POST", f"/resource/{uid}.json", json=[{"n": at} for at in range(9)])
    ids = [row[":id"] for row in portal.rows(uid, select=":id")]
    counts = [
        len(portal.rows(uid, where=f":id {sign} '{ids[3]}'")) for sign in ("=", "!=", "<", "<=", ">", ">=")
    ]
    assert counts == [1, 8, 3, 4, 5, 6]
    assert len(portal.rows(uid, where=f":id > '{ids[3]}' and :id <= '{ids[5]}'")) == 2


def test_sorted_by_a_sum_there_is_one_row(portal: Running, sales: str) -> None:
    """Though nothing that is shown is summed up."""
    assert asked(portal, sales, "select 'x' as a order by count(n)") == [{"a": "x"}]
    assert asked(portal, sales, "select 'x' as a having count(n) > 3") == [{"a": "x"}]
    assert asked(portal, sales, "select 'x' as a having count(n) > 4") == []


def test_an_alias_may_be_made_of_others(portal: Running, sales: str) -> None:
    """In any clause; in its own expression its name is the column's, and a circle ends at the columns."""
    query = "select price * 2 as twice, twice + 1 as more, n where more > 200 order by twice"
    assert asked(portal, sales, query) == [{"twice": "201", "more": "202", "n": "1"}]
    assert asked(portal, sales, "select upper(town) as town where town = 'AVON' limit 1") == [
        {"town": "AVON"}
    ]
    assert refused(portal, sales, query="select a as b, b as a") == (400, "query.soql.no-such-column")


WORDS = (
    "select", "distinct", "where", "group by", "having", "order by", "limit", "n", "town", "price", "sold", "place",
    ":id", "*", "(", ")", ",", "=", ">", "+", "-", "||", "and", "not", "like", "in", "is null", "between", "as a",
    "1", "'x'", "'2020-01-01'", "null", "count(*)", "sum(price)", "case(n > 1, town)", "date_trunc_y(sold)", "desc",
    "num_points(place)", "n / 0", "|>", "::text",
)  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_no_question_breaks_the_portal(portal: Running, sales: str, seed: int) -> None:
    """Words in any order are answered or refused, never with a status of the server's own fault."""
    rnd = random.Random(seed)
    seen = set()
    for _ in range(150):
        tail = " ".join(rnd.choice(WORDS) for _ in range(rnd.randrange(1, 9)))
        query = (
            rnd.choice(["select n where ", "select n, ", "select lower(town) as a, count(*) group by ", ""])
            + tail
        )
        answer = portal.ask("GET", f"/resource/{sales}.json", signed=False, params={"$query": query})
        seen.add(answer.status_code)
    assert seen == {200, 400}
