"""Which dataset, and which rows, an address of a Socrata portal means."""

from __future__ import annotations

import pytest

from ctnb.errors import ContractInvalid
from ctnb.places.socrata_addresses import Asked, asked, soql

PORTAL = "https://data.ct.gov"
PAGES = [
    "/Health-and-Human-Services/Accidental-Drug-Related-Deaths-2012-2022/abcd-1234",
    "/Health-and-Human-Services/Accidental-Drug-Related-Deaths-2012-2022/abcd-1234/about_data",
    "/Health-and-Human-Services/Accidental-Drug-Related-Deaths-2012-2022/abcd-1234/data",
    "/Health-and-Human-Services/Accidental-Drug-Related-Deaths-2012-2022/abcd-1234/data/",
    "/Health/Four-char/abcd-1234/explore/query/SELECT%20%60a%60/page/filter",
    "/Health/Deaths/abcd-1234/data_preview",
    "/dataset/Deaths/abcd-1234",
    "/d/abcd-1234",
    "/d/ABCD-1234",
    "/resource/abcd-1234",
    "/resource/abcd-1234.json",
    "/resource/abcd-1234.csv",
    "/resource/abcd-1234.geojson",
    "/id/abcd-1234.json",
    "/api/views/abcd-1234",
    "/api/views/abcd-1234.json",
    "/api/views/abcd-1234/rows.csv?accessType=DOWNLOAD",
    "/Health/Deaths/abcd-1234#notes",
]


def of(address: str, **clauses: str) -> Asked:
    """What the address means."""
    return asked(address, None, clauses)


@pytest.mark.parametrize("page", PAGES)
def test_every_address_that_people_copy_means_its_dataset(page: str) -> None:
    """From the browser's bar, from the API's box, from a download link, from an old script."""
    assert Asked(PORTAL, "abcd-1234") == of(PORTAL + page)


@pytest.mark.parametrize("domain", ["data.ct.gov", "https://data.ct.gov", "DATA.ct.gov"])
def test_an_identifier_needs_its_portal(domain: str) -> None:
    """The bare id, with the portal's host or its address."""
    assert Asked(PORTAL, "abcd-1234") == asked("abcd-1234", domain, {})


def test_a_portal_of_ones_own_has_a_port() -> None:
    """An embedded portal is reached as it is."""
    assert Asked("http://127.0.0.1:8123", "abcd-1234") == of("http://127.0.0.1:8123/d/abcd-1234")


@pytest.mark.parametrize(
    ("query", "clauses", "filters"),
    [
        ("?$where=age%20%3E%2030", {"where": "age > 30"}, {}),
        ("?%24where=age > 30&$SELECT=town,age", {"where": "age > 30", "select": "town,age"}, {}),
        ("?town=New%20Haven&year=2024", {}, {"town": "New Haven", "year": "2024"}),
        ("?$q=flu&$group=town&$having=n>1&$select=town,count(*) as n",
         {"q": "flu", "group": "town", "having": "n>1", "select": "town,count(*) as n"}, {}),
        ("?$query=SELECT town, count(*) AS n WHERE age > 30 GROUP BY town HAVING n > 1",
         {"select": "town, count(*) AS n", "where": "age > 30", "group": "town", "having": "n > 1"}, {}),
        ("?$query=SELECT *", {}, {}),
    ],
)  # fmt: skip
def test_the_query_of_an_address_says_which_rows(
    query: str, clauses: dict[str, str], filters: dict[str, str]
) -> None:
    """What stands in the address of an old script goes on to count."""
    found = of(f"{PORTAL}/resource/abcd-1234.json{query}")
    assert (clauses, filters) == (found.clauses, found.filters)


@pytest.mark.parametrize(
    ("query", "clauses"),
    [
        ("select `where`, ' group by ' as x where note = 'it''s (limit 5)'",
         {"select": "`where`, ' group by ' as x", "where": "note = 'it''s (limit 5)'"}),
        ("WHERE case(a = 1, 'limit') = 'limit' SEARCH 'flu''s'",
         {"where": "case(a = 1, 'limit') = 'limit'", "q": "flu's"}),
        ("select date_trunc_y(d) as y\ngroup   by date_trunc_y(d)",
         {"select": "date_trunc_y(d) as y", "group": "date_trunc_y(d)"}),
    ],
)  # fmt: skip
def test_a_statement_is_taken_apart_by_its_words(query: str, clauses: dict[str, str]) -> None:
    """A keyword inside quotation marks or brackets is none."""
    said = soql(query)
    assert clauses == {name: " ".join(text.split()) for name, text in said.items()}


@pytest.mark.parametrize(
    ("address", "domain", "told"),
    [
        ("https://data.ct.gov/resource/433-bgaj.json", None, "no id"),
        ("https://data.ct.gov/resource/4334-!gaj.json", None, "no id"),
        ("https://data.ct.gov/browse", None, "no id"),
        ("https://data.ct.gov/resource/abcd-1234/row-1.json", None, "single row"),
        ("abcd-1234", None, "no portal"),
        ("abcd-1234", "data.ct.gov/d", "not the name of a host"),
        ("data.ct.gov/d/abcd-1234", "data.ct.gov", "neither an address nor an id"),
        ("ftp://data.ct.gov/d/abcd-1234", None, "not one of a web page"),
        ("https://pat:hunter2@data.ct.gov/d/abcd-1234", None, "has a user in it"),
        ("https://data.ct.gov/d/abcd-1234", "data.ny.gov", "two portals"),
        ("https://data.ct.gov/resource/abcd-1234.json?$limit=500", None, "has $limit"),
        ("https://data.ct.gov/resource/abcd-1234.json?$LIMIT=500", None, "has $limit"),
        ("https://data.ct.gov/resource/abcd-1234.json?$order=:id", None, "has $order"),
        ("https://data.ct.gov/resource/abcd-1234.json?$$app_token=hunter2", None, "has a token"),
        ("https://data.ct.gov/resource/abcd-1234.json?$app_token=hunter2", None, "has a token"),
        ("https://data.ct.gov/resource/abcd-1234.json?$query=select a order by a limit 5", None, "LIMIT, ORDER"),
        ("https://data.ct.gov/resource/abcd-1234.json?$query=select a |> select b", None, "has |>"),
        ("https://data.ct.gov/resource/abcd-1234.json?$query=hunter2", None, "begin with SELECT"),
    ],
)  # fmt: skip
def test_a_wrong_address_is_told_and_not_quoted(address: str, domain: str | None, told: str) -> None:
    """What is wrong, what was expected; a token that was written into it is not written once more."""
    with pytest.raises(ContractInvalid) as caught:
        asked(address, domain, {})
    said = str(caught.value)
    assert (told in said, "hunter2" in said) == (True, False)


def test_a_clause_that_is_said_twice_is_refused() -> None:
    """Neither the address nor the key wins in silence."""
    with pytest.raises(ContractInvalid, match="says where twice"):
        of(f"{PORTAL}/resource/abcd-1234.json?$where=a", where="b")
