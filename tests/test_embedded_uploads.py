"""DSMAPI's sources on the embedded portal: what is sent, how it is parsed, and what came out wrong."""

from __future__ import annotations

import io
import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from draft_calls import applied, ask, finished, open_revision, output_of, published, replace, upload
from portal_fixture import Running, running_portal

from ctnb.embedded.drafts import BASE

EXCEL = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One portal for the module."""
    with running_portal(tmp_path_factory.mktemp("portal")) as running:
        yield running


def rows_of(portal: Running, source: dict[str, Any]) -> list[list[Any]]:
    """The values of a source's newest output schema."""
    schema, output = source["schemas"][-1], output_of(source)
    path = f"/source/{source['id']}/schema/{schema['id']}/rows/{output['id']}"
    _, *rows = ask(portal, "GET", path)
    return [[cell["ok"] for cell in row["row"]] for row in rows]


def columns_of(source: dict[str, Any]) -> list[tuple[str, str]]:
    """Field names and guessed types."""
    columns = source["schemas"][-1]["input_columns"]
    return [(one["field_name"], one["guessed_soql_type"]) for one in columns]


def test_types_are_guessed_and_codes_stay_text(portal: Running) -> None:
    """A ZIP keeps its zeros; a column is a number only when every cell is."""
    content = (
        "Zip Code,n,day,at,flag,mixed,empty\n"
        "06001,1.50,2024-01-31,01/31/2024 10:38:01 PM,true,1,\n06002,-3,2024-02-01,01/02/2024,false,x,\n"
    )
    source = upload(portal, open_revision(portal), content)
    assert columns_of(source) == [
        ("zip_code", "text"),
        ("n", "number"),
        ("day", "calendar_date"),
        ("at", "calendar_date"),
        ("flag", "checkbox"),
        ("mixed", "text"),
        ("empty", "text"),
    ]
    assert rows_of(portal, source) == [
        ["06001", "1.5", "2024-01-31T00:00:00.000", "2024-01-31T22:38:01.000", True, "1", None],
        ["06002", "-3", "2024-02-01T00:00:00.000", "2024-01-02T00:00:00.000", False, "x", None],
    ]


def test_cells_and_headers_are_trimmed_and_empty_rows_left_out(portal: Running) -> None:
    """As a client's indented text needs; without those options they are kept."""
    content = '\n  A , B\n 1, "b"\n , \n\n2,c\n   '
    options = {"remove_empty_rows": True, "trim_whitespace": True}
    source = upload(portal, open_revision(portal), content.replace(' "b"', "b"), **options)
    assert (columns_of(source), rows_of(portal, source)) == (
        [("a", "number"), ("b", "text")],
        [["1", "b"], ["2", "c"]],
    )
    kept = upload(
        portal, open_revision(portal), "a,b\n 1 ,\n,\n", trim_whitespace=False, remove_empty_rows=False
    )
    assert rows_of(portal, kept) == [[" 1 ", None], [None, None]]


def test_quotes_line_ends_and_every_script_survive(portal: Running) -> None:
    """A cell of two lines in the header and in a row, doubled quotes, separators, Windows line ends."""
    content = '"two\r\nlines",b\r\n"x ""y"", z\nnext",çé 日本\r\n'
    source = upload(portal, open_revision(portal), content)
    assert columns_of(source) == [("two_lines", "text"), ("b", "text")]
    assert rows_of(portal, source) == [['x "y", z\nnext', "çé 日本"]]


def test_rows_that_do_not_fit_are_set_aside(portal: Running) -> None:
    """Too few and too many cells: counted in the input schema, shown by line, never in the rows."""
    source = upload(portal, open_revision(portal), "a,b,c\n1,2,3\n4,5\n6,7,8,9\n1,2,3\n")
    schema = source["schemas"][-1]
    assert (schema["total_rows"], schema["num_row_errors"]) == (2, 2)
    wrong = ask(portal, "GET", f"/source/{source['id']}/schema/{schema['id']}/errors")
    errors = [(one["error"]["type"], one["error"]["wanted"], one["error"]["contents"]) for one in wrong]
    assert errors == [("too_short", 3, ["4", "5"]), ("too_long", 3, ["6", "7", "8", "9"])]


def test_a_file_without_rows_or_with_mixed_line_ends_is_read(portal: Running) -> None:
    """A header alone is columns of text; a record that ends otherwise than the first is not lost."""
    source = upload(portal, open_revision(portal), "a,b\n")
    assert (columns_of(source), rows_of(portal, source)) == ([("a", "text"), ("b", "text")], [])
    source = upload(portal, open_revision(portal), 'a,b\r\n1,"x"\n2,"y\r\nz"\r\n3,w\n')
    assert rows_of(portal, source) == [["1", "x"], ["2", "y\r\nz"], ["3", "w"]]


def test_a_file_is_parsed_anew_with_other_options(portal: Running) -> None:
    """Two header rows, the second of which names the columns: a further input schema, the newest."""
    revision = open_revision(portal)
    source = upload(portal, revision, "my dataset,\nA,B\n1,2\n")
    assert columns_of(source)[0] == ("my_dataset", "text")
    links = ask(portal, "GET", f"/source/{source['id']}")["links"]
    options = {"parse_options": {"header_count": 2, "column_header": 2}}
    ask(portal, "POST", links["update"], json=options)
    again = finished(portal, links)
    assert (len(again["schemas"]), columns_of(again)) == (2, [("a", "number"), ("b", "number")])
    assert rows_of(portal, again) == [["1", "2"]]


@pytest.mark.parametrize(
    ("content", "content_type", "options"),
    [
        ("a\tb\n1\tx\n", "text/tab-separated-values", {}),
        ("a;b\n1;x\n", "text/csv", {"column_separator": ";"}),
        ("a%b\n1%x\n", "text/csv", {"column_separator": "%"}),
        ("a,b\r\n1,'x'\n", "text/csv", {"quote_char": "'"}),
        ("a,b\n1,x\n".encode("utf-16"), "text/csv", {"encoding": "utf16"}),
        ("\ufeffa,b\n1,x\n".encode(), "text/csv", {}),
        ("1,x\n", "text/csv", {"header_count": 0, "column_header": 0}),
        ("a,b\r1,x\r", "text/csv", {}),
    ],
)
def test_separators_encodings_and_headers(
    portal: Running, content: str | bytes, content_type: str, options: dict[str, Any]
) -> None:
    """All of them hold one row of two cells."""
    source = upload(portal, open_revision(portal), content, content_type, **options)
    assert rows_of(portal, source) == [["1", "x"]]


def test_excel_and_geojson(portal: Running) -> None:
    """The first sheet; a feature's geometry and its properties."""
    book, held = openpyxl.Workbook(), io.BytesIO()
    for row in (["Id", "Town"], [1, "Avon"], [2, None]):
        book.active.append(row)
    book.save(held)
    source = upload(portal, open_revision(portal), held.getvalue(), EXCEL, chunk=1000)
    assert rows_of(portal, source) == [["1", "Avon"], ["2", None]]
    shape = {"type": "Point", "coordinates": [-72.5, 41.25]}
    feature = {"type": "Feature", "geometry": shape, "properties": {"name": "x", "n": 2, "yes": True}}
    content = json.dumps({"type": "FeatureCollection", "features": [feature]})
    source = upload(portal, open_revision(portal), content, "application/vnd.geo+json")
    assert columns_of(source) == [
        ("point", "point"),
        ("name", "text"),
        ("n", "number"),
        ("yes", "checkbox"),
    ]
    assert rows_of(portal, source) == [[shape, "x", "2", True]]


@pytest.mark.parametrize(
    ("content", "content_type"),
    [(b"not a workbook", EXCEL), (b"[]", "application/vnd.geo+json"), (b"a,b\n\xff\xfe\xfd,1\n", "utf16")],
)
def test_a_file_that_is_not_what_it_is_said_to_be_fails(
    portal: Running, content: bytes, content_type: str
) -> None:
    """The source says so without quoting the file."""
    options = {} if "/" in content_type else {"encoding": content_type}
    kind = content_type if "/" in content_type else "text/csv"
    source = upload(portal, open_revision(portal), content, kind, **options)
    assert (source["failed_at"] is not None, source["failure_details"]["type"]) == (True, "unparsable_file")
    assert "workbook\nnot" not in source["failure_details"]["message"]


def test_bytes_that_did_not_arrive_are_missed(portal: Running) -> None:
    """A commit that names a chunk or bytes that are not there is refused, and the upload can go on."""
    made = ask(portal, "POST", "/source", json={"source_type": {"type": "upload", "filename": "f"}})
    links = made["links"]
    ask(portal, "POST", links["initiate"], json={"content_type": "text/csv"})
    chunk, commit = links["chunk"], links["commit"]
    ask(portal, "POST", chunk.format(seq_num=0, byte_offset=0), data=b"a\n1")
    tries = [
        portal.ask("POST", commit.format(seq_num=1, byte_offset=4)),
        portal.ask("POST", commit.format(seq_num=0, byte_offset=4)),
    ]
    assert [(one.status_code, one.json()["key"]) for one in tries] == [(400, "chunks_missing")] * 2
    ask(portal, "POST", chunk.format(seq_num=1, byte_offset=3), data=b"\n")
    ask(portal, "POST", commit.format(seq_num=1, byte_offset=4))
    assert rows_of(portal, finished(portal, links)) == [["1"]]
    again = portal.ask("POST", chunk.format(seq_num=0, byte_offset=0), data=b"x")
    assert (again.status_code, again.json()["key"]) == (409, "source_committed")


def test_a_source_is_made_first_and_put_into_a_revision_later(portal: Running) -> None:
    """Its output schema can then be applied there; the body may also come whole."""
    made = ask(portal, "POST", "/source", json={"source_type": {"type": "upload", "filename": "f"}})
    headers = {"Content-Type": "text/csv"}
    ask(portal, "POST", made["links"]["bytes"], data=b"a\n1\n", headers=headers)
    source = finished(portal, made["links"])
    revision = open_revision(portal)
    named = {key: revision["resource"][key] for key in ("fourfour", "revision_seq")}
    ask(portal, "PATCH", made["links"]["add_to_revision"], json={"revision": named})
    assert [one["resource"]["id"] for one in ask(portal, "GET", revision["links"]["list_sources"])] == [
        source["id"]
    ]
    assert applied(portal, revision, output_of(source))["status"] == "successful"
    assert portal.rows(named["fourfour"]) == [{"a": "1"}]


def test_a_blob_is_kept_as_it_is(portal: Running) -> None:
    """Not parsed; the revision names it."""
    revision = open_revision(portal)
    source = upload(portal, revision, b"\x00\x01", "application/octet-stream", parse_source=False)
    assert (source["schemas"], source["failed_at"]) == ([], None)
    assert ask(portal, "GET", revision["links"]["show"])["resource"]["blob_id"] == source["id"]


def test_a_config_parses_and_transforms_the_next_files(portal: Running) -> None:
    """Built from an output schema that worked; a revision made with it needs nothing but the file."""
    uid = published(portal, "id,n\n1,2\n")
    revision = open_revision(portal, uid, action={"type": "replace"})
    source = upload(
        portal, revision, "skip\nid;n\n3;4\n", column_separator=";", header_count=2, column_header=2
    )
    path = f"/source/{source['id']}/schema/{source['schemas'][-1]['id']}"
    columns = [{"field_name": "twice", "transform": {"transform_expr": "to_number(n) * 2"}}]
    output = ask(portal, "POST", path, json={"output_columns": columns})
    link = output["links"]["build_config"]
    config = ask(portal, "POST", link, json={"name": "nightly load", "data_action": "replace"})
    ask(portal, "DELETE", revision["links"]["discard"])
    assert config["links"]["show"] == f"{BASE}/config/nightly%20load"
    configured = open_revision(portal, uid, config="nightly load")
    assert (configured["resource"]["action"]["type"], configured["resource"]["config"]) == (
        "replace",
        "nightly load",
    )
    applied(portal, configured, output_of(upload(portal, configured, "skip\nid;n\n5;21\n")))
    assert portal.rows(uid) == [{"twice": "42"}]
    changed = ask(portal, "PATCH", config["links"]["update"], json={"data_action": "update"})
    assert changed["resource"]["data_action"] == "update"
    assert ask(portal, "DELETE", config["links"]["delete"])["resource"]["name"] == "nightly load"
    assert portal.ask("POST", f"{BASE}/revision/{uid}", json={"config": "nightly load"}).status_code == 404


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("to_number(nope)", "There is no column 'nope' in the source"),
        ("frobnicate(a)", "There is no function 'frobnicate'"),
        ("a +", "The expression cannot be parsed"),
        ("a + 1", "'+' does not take (text, number)"),
        ("); DROP TABLE x; --", "The expression cannot be parsed"),
    ],
)
def test_an_expression_that_cannot_be_is_refused(portal: Running, expression: str, said: str) -> None:
    """400, with the column it was for."""
    source = upload(portal, open_revision(portal), "a\nx\n")
    path = f"{BASE}/source/{source['id']}/schema/{source['schemas'][-1]['id']}"
    columns = [{"field_name": "b", "transform": {"transform_expr": expression}}]
    answer = portal.ask("POST", path, json={"output_columns": columns})
    assert (answer.status_code, answer.json()["message"]) == (400, f"Column 'b': {said}")


def test_uploads_are_the_owners_alone_and_go_when_they_are_done_with(tmp_path: Path) -> None:
    """Files of a discarded revision, and of one that a later one followed, are deleted."""
    with running_portal(tmp_path) as portal:
        revision = open_revision(portal)
        uid = revision["resource"]["fourfour"]
        folder = portal.file.with_name("portal.sqlite.uploads")
        source = upload(portal, revision, "a\ncanary-7741\n")
        place = folder / f"source-{source['id']}"
        assert [stat.S_IMODE(path.stat().st_mode) for path in (folder, place)] == [0o700, 0o700]
        ask(portal, "DELETE", revision["links"]["discard"])
        assert not place.exists()
        for content in ("a\n1\n", "a\n2\n"):
            replace(portal, uid, content)
        upload(portal, open_revision(portal), "a\n1\n")  # the worker has tidied up before it came to this
        assert len(list(folder.glob("source-*"))) == 2
        portal.ask("DELETE", f"/api/views/{uid}.json")
        upload(portal, open_revision(portal), "a\n1\n")
        assert len(list(folder.glob("source-*"))) == 2
        assert "canary-7741" not in portal.log.read_text()
