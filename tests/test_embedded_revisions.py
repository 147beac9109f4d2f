"""DSMAPI's revisions on the embedded portal: what is applied, what is refused, what a kill leaves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from draft_calls import (
    BASE,
    applied,
    ask,
    finished,
    open_revision,
    output_of,
    published,
    replace,
    transformed,
    upload,
    waited,
)
from portal_fixture import Running, running_portal, started

from ctnb.embedded.accounts import add_account

ROWS = "id,town,n\n1,Avon,10\n2,Bolton,20\n"


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One portal for the module."""
    with running_portal(tmp_path_factory.mktemp("portal")) as running:
        yield running


def test_a_first_revision_makes_a_private_dataset_and_its_rows(portal: Running) -> None:
    """Columns come of the file, with the types its cells look like; nothing is there before the apply."""
    revision = open_revision(portal, metadata={"name": "Towns", "metadata": {"rowLabel": "Town"}})
    uid = revision["resource"]["fourfour"]
    source = upload(portal, revision, ROWS)
    assert portal.ask("GET", f"/api/views/{uid}").json()["publicationStage"] == "unpublished"
    assert portal.rows(uid) == []
    job = applied(portal, revision, output_of(source))
    assert (job["status"], [entry["stage"] for entry in job["log"]]) == (
        "successful",
        ["successful", "upserting", "creating_columns"],
    )
    view = portal.ask("GET", f"/api/views/{uid}").json()
    assert (view["name"], view["publicationStage"], view["permissions"]) == (
        "Towns",
        "published",
        {"scope": "private"},
    )
    assert view["metadata"]["rowLabel"] == "Town"
    assert [column["dataTypeName"] for column in view["columns"]] == ["number", "text", "number"]
    assert portal.rows(uid) == [
        {"id": "1", "town": "Avon", "n": "10"},
        {"id": "2", "town": "Bolton", "n": "20"},
    ]
    shown = ask(portal, "GET", revision["links"]["show"])["resource"]
    assert (shown["closed_at"] is not None, [one["status"] for one in shown["task_sets"]]) == (
        True,
        ["successful"],
    )


def test_replace_update_and_delete(portal: Running) -> None:
    """With a row identifier, update merges and inserts; delete counts what was not there."""
    uid = published(portal, ROWS, key="id")
    before = {row[":id"] for row in portal.rows(uid, select=":id, id")}
    update = open_revision(portal, uid, action={"type": "update"})
    source = upload(portal, update, "id,n\n2,21\n3,30\n2,22\n")
    assert applied(portal, update, output_of(source))["log"][0]["details"] == {
        "Rows Created": 1,
        "Rows Updated": 2,
    }
    assert portal.rows(uid) == [
        {"id": "1", "town": "Avon", "n": "10"},
        {"id": "2", "town": "Bolton", "n": "22"},
        {"id": "3", "n": "30"},
    ]
    assert before < {row[":id"] for row in portal.rows(uid, select=":id, id")}
    delete = open_revision(portal, uid, action={"type": "delete"})
    source = upload(portal, delete, "id\n1\n9\n")
    assert applied(portal, delete, output_of(source))["log"][0]["details"] == {"Rows Deleted": 1, "Errors": 1}
    assert [row["id"] for row in portal.rows(uid)] == ["2", "3"]
    replace(portal, uid, "id,extra\n7,x\n")
    assert portal.rows(uid) == [{"id": "7", "extra": "x"}]
    columns = portal.ask("GET", f"/api/views/{uid}").json()["columns"]
    assert [column["fieldName"] for column in columns] == ["id", "extra"]


def test_an_update_without_an_identifier_appends(portal: Running) -> None:
    """Every time; a column that is new is added, and the rows keep their order."""
    uid = published(portal, "a\nx\n")
    for _ in range(2):
        revision = open_revision(portal, uid, action={"type": "update"})
        applied(portal, revision, output_of(upload(portal, revision, "a,b\ny,1\n")))
    portal.ask("POST", f"/resource/{uid}.json", json={"a": "z"})
    assert portal.rows(uid) == [{"a": "x"}, {"a": "y", "b": "1"}, {"a": "y", "b": "1"}, {"a": "z"}]


def test_rows_with_an_error_are_set_aside_and_counted(portal: Running) -> None:
    """They are in the schema's errors, as JSON and as CSV, and not in the dataset."""
    revision = open_revision(portal)
    source = upload(portal, revision, "a,b\n1,x\n2,7\n3,\n")
    made = transformed(portal, source, a="to_number(`a`)", b="to_number(b)")
    output, links = made["resource"], made["links"]
    counts = [column["transform"]["error_count"] for column in output["output_columns"]]
    assert (output["error_count"], output["total_rows"], counts) == (1, 3, [0, 1])
    schema, *rows = ask(portal, "GET", links["schema_errors"])
    wrong = {"error": {"message": "Unable to convert to number", "inputs": {"b": {"ok": "x"}}}}
    assert (schema["id"], rows) == (output["id"], [{"row": [{"ok": "1"}, wrong], "offset": 0}])
    lines = portal.ask("GET", links["schema_errors"], headers={"Accept": "text/csv"})
    assert lines.headers["Content-Type"].startswith("text/csv")
    assert lines.text == "row,column,error,a,b\n1,b,Unable to convert to number,1,x\n"
    applied(portal, revision, output)
    assert portal.rows(revision["resource"]["fourfour"]) == [{"a": "2", "b": "7"}, {"a": "3"}]


def test_a_later_schema_has_the_cells_and_errors_of_each_transform(portal: Running) -> None:
    """Alike, in another order, or beside new ones: what was worked out before and what is new stand in one row."""
    source = upload(portal, open_revision(portal), "a,b\n1,x\n2,7\n3,\n")
    number = {"error": {"message": "Unable to convert to number", "inputs": {"b": {"ok": "x"}}}}
    for columns, wanted in [
        ({"a": "to_number(a)", "b": "to_number(b)"}, [["1", number], ["2", "7"], ["3", None]]),
        ({"a": "to_number(`A`)", "b": "to_number(`b`)"}, [["1", number], ["2", "7"], ["3", None]]),
        ({"b": "to_number(b)", "c": "a || 'y'", "a": "to_number(a)"},
         [[number, "1y", "1"], ["7", "2y", "2"], [None, "3y", "3"]]),
    ]:  # fmt: skip
        made = transformed(portal, source, **columns)
        _, *rows = ask(portal, "GET", made["links"]["rows"])
        cells = [[one if "error" in one else one["ok"] for one in row["row"]] for row in rows]
        assert (cells, made["resource"]["error_count"]) == (wanted, 1)


def test_rows_are_paged(portal: Running) -> None:
    """The first element is the schema; limit and offset cut the rest."""
    source = upload(portal, open_revision(portal), "a\n" + "".join(f"{n}\n" for n in range(9)))
    links = transformed(portal, source, a="to_number(a) * 2")["links"]
    _, *rows = ask(portal, "GET", links["rows"], params={"limit": 2, "offset": 3})
    assert rows == [{"row": [{"ok": "6"}], "offset": 3}, {"row": [{"ok": "8"}], "offset": 4}]


def test_an_identifier_is_tried_before_it_is_set(portal: Running) -> None:
    """Unique and never blank; one that is not makes the job fail, and the rows stay."""
    uid = published(portal, ROWS)
    revision = open_revision(portal, uid, action={"type": "replace"})
    source = upload(portal, revision, "id,d,blank\n1,x,\n2,x,y\n")
    schema = source["schemas"][-1]
    valid = []
    for column in output_of(source)["output_columns"]:
        path = f"/source/{source['id']}/schema/{schema['id']}/transform/{column['transform']['id']}"
        valid.append(ask(portal, "GET", f"{path}/validate_row_identifier")["valid"])
    assert valid == [True, False, False]
    for name, said in (("d", "not unique"), ("blank", "blank in a row")):
        columns = output_of(source)["output_columns"]
        for column in columns:
            column["is_primary_key"] = column["field_name"] == name
        body = {"output_columns": columns}
        made = ask(portal, "POST", f"/source/{source['id']}/schema/{schema['id']}", json=body)
        waited(portal, made["links"]["show"], lambda one: one["completed_at"])
        job = applied(portal, revision, made["resource"])
        assert (job["status"], said in job["log"][0]["details"]["message"]) == ("failure", True)
    assert [row["town"] for row in portal.rows(uid)] == ["Avon", "Bolton"]
    assert ask(portal, "GET", revision["links"]["show"])["resource"]["closed_at"] is None


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ("delete", "Rows are deleted by row identifier, and the dataset has none"),
        ("update", "Column 'n' is number and would become text"),
    ],
)
def test_what_cannot_be_applied_fails_the_job(portal: Running, action: str, said: str) -> None:
    """The revision stays open, and the job says why."""
    uid = published(portal, ROWS)
    revision = open_revision(portal, uid, action={"type": action})
    output = transformed(portal, upload(portal, revision, ROWS), n="`town`")["resource"]
    job = applied(portal, revision, output)
    assert (job["status"], job["log"][0]["details"]["message"]) == ("failure", said)
    assert len(portal.rows(uid)) == 2
    assert ask(portal, "GET", revision["links"]["show"])["resource"]["closed_at"] is None


def test_an_update_cannot_set_an_identifier(portal: Running) -> None:
    """Not even the first revision of a new dataset, which is an update; a replace can."""
    revision = open_revision(portal)
    source = upload(portal, revision, ROWS)
    columns = output_of(source)["output_columns"]
    columns[0]["is_primary_key"] = True
    path = f"/source/{source['id']}/schema/{source['schemas'][-1]['id']}"
    made = ask(portal, "POST", path, json={"output_columns": columns})
    job = applied(portal, revision, made["resource"])
    assert (job["status"], "replace revision" in job["log"][0]["details"]["message"]) == ("failure", True)


def test_metadata_alone_is_applied_and_merged(portal: Running) -> None:
    """Objects within objects too; the rows and their date stay, the permission changes when it is given."""
    uid = published(portal, ROWS)
    first = portal.ask("GET", f"/api/views/{uid}").json()
    revision = open_revision(portal, uid, action={"type": "update", "permission": "public"})
    for metadata in ({"metadata": {"rowLabel": "Town"}}, {"metadata": {"x": 1}, "description": "d"}):
        ask(portal, "PUT", revision["links"]["update"], json={"metadata": metadata, "notes": "why"})
    plan = [step["type"] for step in ask(portal, "GET", revision["links"]["plan"])["resource"]]
    assert plan == [
        "prepare_draft_for_import",
        "apply_metadata",
        "set_display_type",
        "publish",
        "set_permission",
        "wait_for_replication",
    ]
    assert applied(portal, revision)["status"] == "successful"
    view = portal.ask("GET", f"/api/views/{uid}", signed=False).json()
    assert (view["metadata"]["rowLabel"], view["metadata"]["x"], view["description"]) == ("Town", 1, "d")
    assert (view["rowsUpdatedAt"], view["permissions"]["scope"]) == (first["rowsUpdatedAt"], "public")
    replace(portal, uid, ROWS)
    assert portal.ask("GET", f"/api/views/{uid}").json()["permissions"]["scope"] == "public"


def test_a_revision_is_closed_once(portal: Running) -> None:
    """Discarding twice is once; what is closed takes neither sources nor changes nor another apply."""
    uid = published(portal, ROWS)
    revision = open_revision(portal, uid)
    for _ in range(2):
        assert ask(portal, "DELETE", revision["links"]["discard"])["resource"]["closed_at"] is not None
    tries = [
        portal.ask("PUT", revision["links"]["apply"], json={}),
        portal.ask("PUT", revision["links"]["update"], json={"notes": "x"}),
        portal.ask("POST", revision["links"]["create_source"], json={"source_type": {"type": "upload"}}),
    ]
    assert [(one.status_code, one.json()["key"]) for one in tries] == [(409, "revision_closed")] * 3
    listed = ask(portal, "GET", f"/revision/{uid}")
    opened = ask(portal, "GET", f"/revision/{uid}", params={"open": "true"})
    assert ([one["resource"]["revision_seq"] for one in listed], len(opened)) == ([0, 1, 2], 1)


def test_asking_twice_to_apply_is_one_job(portal: Running) -> None:
    """As a client does that did not hear the first answer: the rows are appended once."""
    uid = published(portal, "a\nx\n")
    revision = open_revision(portal, uid, action={"type": "update"})
    source = upload(portal, revision, "a\n" + "y\n" * 500, chunk=4096)
    body = {"output_schema_id": output_of(source)["id"]}
    answers = [portal.ask("PUT", revision["links"]["apply"], json=body) for _ in range(3)]
    numbers = {one.json()["resource"]["id"] for one in answers if one.status_code == 200}
    assert len(numbers) == 1
    path = f"{revision['links']['apply']}/{numbers.pop()}"
    waited(portal, path, lambda one: one["finished_at"])
    assert portal.rows(uid, select="count(*) as n") == [{"n": "501"}]


def test_a_schema_of_another_revision_is_refused(portal: Running) -> None:
    """An output schema belongs to the revision it was made in."""
    uid = published(portal, ROWS)
    one, two = open_revision(portal, uid), open_revision(portal, uid)
    output = output_of(upload(portal, one, ROWS))
    answer = portal.ask("PUT", two["links"]["apply"], json={"output_schema_id": output["id"]})
    assert (answer.status_code, answer.json()["key"]) == (400, "invalid_output_schema")


def test_rows_are_seen_all_or_none(portal: Running) -> None:
    """Readers during an apply see the old rows or the new ones; two revisions do not mix."""
    uid = published(portal, "who,n\n" + "".join(f"first,{n}\n" for n in range(300)))
    seen: set[tuple[tuple[str, str], ...]] = set()
    ended = threading.Event()

    def read() -> None:
        while not ended.is_set():
            found = portal.rows(uid, select="who, count(*) as n", group="who", order="who")
            seen.add(tuple((row["who"], row["n"]) for row in found))

    def write(who: str) -> None:
        replace(portal, uid, "who,n\n" + "".join(f"{who},{n}\n" for n in range(300)))

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=write, args=(f"w{at}",)) for at in range(3)]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    ended.set()
    reader.join()
    assert {state for state in seen if len(state) != 1 or state[0][1] != "300"} == set()


def test_a_dataset_is_the_source_of_its_own_next_rows(portal: Running) -> None:
    """Columns keep their types; an expression makes another of them; sorting orders what is stored."""
    uid = published(portal, ROWS)
    revision = open_revision(portal, uid, action={"type": "replace"})
    body = {"source_type": {"type": "view", "fourfour": uid}}
    made = ask(portal, "POST", revision["links"]["create_source"], json=body)
    source = finished(portal, made["links"])
    assert [one["soql_type"] for one in source["schemas"][-1]["input_columns"]] == [
        "number",
        "text",
        "number",
    ]
    columns = [
        {"field_name": "town", "position": 1, "transform": {"transform_expr": "`town`"}},
        {"field_name": "more", "position": 2, "transform": {"transform_expr": "n + 5"}},
    ]
    path = f"/source/{source['id']}/schema/{source['schemas'][-1]['id']}"
    sorting = [{"field_name": "more", "ascending": False}]
    output = ask(portal, "POST", path, json={"output_columns": columns, "sort_bys": sorting})
    assert applied(portal, revision, output["resource"])["status"] == "successful"
    assert portal.rows(uid) == [{"town": "Bolton", "more": "25"}, {"town": "Avon", "more": "15"}]


def test_a_revision_is_restored_when_the_dataset_is_archived(portal: Running) -> None:
    """Enrolled first; then an earlier revision's rows come back as a new revision."""
    uid = published(portal, ROWS)
    early = open_revision(portal, uid)
    applied(portal, early)
    refused = portal.ask("POST", early["links"]["restore"])
    assert (refused.status_code, refused.json()["key"]) == (400, "not_archived")
    assert portal.ask("POST", "/api/archival", params={"method": "enroll", "id": uid}).status_code == 200
    secondary = portal.ask("GET", f"/api/views/{uid}/replication.json").json()
    assert secondary["secondary_versions"] == [
        {"name": "archival", "version": secondary["truth_data_version"]}
    ]
    kept = open_revision(portal, uid, action={"type": "replace"}, metadata={"description": "the second"})
    applied(portal, kept, output_of(upload(portal, kept, "id,town,n\n5,Canton,50\n")))
    replace(portal, uid, "id\n9\n")
    restored = ask(portal, "POST", kept["links"]["restore"])
    assert restored["resource"]["metadata"] == kept["resource"]["metadata"]
    (listed,) = ask(portal, "GET", restored["links"]["list_sources"])
    source = finished(portal, listed["links"])
    assert [one["transform"]["transform_expr"] for one in output_of(source)["output_columns"]] == [
        "`id`",
        "`town`",
        "`n`",
    ]
    assert applied(portal, restored, output_of(source))["status"] == "successful"
    assert portal.rows(uid) == [{"id": "5", "town": "Canton", "n": "50"}]


def test_only_publishers_reach_it(portal: Running) -> None:
    """403 for an anonymous caller and for a viewer, whatever the address."""
    revision = open_revision(portal)
    source = upload(portal, revision, ROWS)
    schema = source["schemas"][-1]["id"]
    viewer = add_account(portal.file, "Vic Viewer", "viewer")
    paths = [
        revision["links"]["show"],
        revision["links"]["list_sources"],
        f"{BASE}/source/{source['id']}",
        f"{BASE}/source/{source['id']}/schema/{schema}/rows/{output_of(source)['id']}",
        f"{BASE}/config",
    ]
    for auth in (None, viewer):
        answers = [requests.get(portal.url + path, auth=auth, timeout=60) for path in paths]
        assert [answer.status_code for answer in answers] == [403] * len(paths)
        assert not any("Avon" in answer.text for answer in answers)


@pytest.mark.parametrize(
    "path",
    [
        "/revision/abcd-efgh",
        "/revision/abcd-efgh/0",
        "/source/999999999",
        "/source/1/schema/999999999",
        "/config/none of them",
    ],
)
def test_what_is_not_there_is_404(portal: Running, path: str) -> None:
    """With the envelope of this interface."""
    answer = portal.ask("GET", BASE + path)
    assert (answer.status_code, answer.json()["key"]) == (404, "not_found")


def test_the_second_publisher_is_the_approval(tmp_path: Path) -> None:
    """Where the portal asks for approval, one account cannot apply what it submitted."""
    with running_portal(tmp_path, "--approval") as portal:
        revision = open_revision(portal)
        uid = revision["resource"]["fourfour"]
        body = {"output_schema_id": output_of(upload(portal, revision, ROWS))["id"]}
        for _ in range(2):
            answer = ask(portal, "PUT", revision["links"]["apply"], json=body)
            assert (answer["key"], "resource" in answer) == ("approval_submitted", False)
        assert portal.rows(uid) == []
        other = add_account(portal.file, "Ann Approver", "publisher")
        link = portal.url + revision["links"]["apply"]
        approved = requests.put(link, auth=other, json=body, timeout=60).json()
        job = waited(portal, approved["links"]["show"], lambda one: one["finished_at"])
        assert (job["status"], len(portal.rows(uid))) == ("successful", 2)


@pytest.mark.slow
def test_a_kill_during_an_apply_leaves_the_old_rows_and_the_job_is_taken_up_again(tmp_path: Path) -> None:
    """Killed with -9 while rows wait, the dataset stands as it was; started again, the job ends once."""
    file = tmp_path / "portal.sqlite"
    account = add_account(file, "Pat", "publisher")
    with started(file, *account) as portal:
        uid = published(portal, "who,n\nold,1\n")
        revision = open_revision(portal, uid, action={"type": "update"})
        content = "who,n\n" + "".join(f"new,{n}\n" for n in range(200_000))
        output = output_of(upload(portal, revision, content, chunk=1 << 20))
        body = {"output_schema_id": output["id"]}
        job = ask(portal, "PUT", revision["links"]["apply"], json=body)
        waited(portal, job["links"]["show"], lambda one: one["status"] != "initializing")
        portal.process.kill()
        portal.process.wait()
    counts = _stored(file)
    assert counts in ({"old": 1}, {"old": 1, "new": 200_000})
    with started(file, *account) as again:
        ended = waited(again, job["links"]["show"], lambda one: one["finished_at"])
        rows = again.rows(uid, select="who, count(*) as n", group="who", order="who")
    assert ended["status"] == "successful"
    assert rows == [{"who": "new", "n": "200000"}, {"who": "old", "n": "1"}]


def _stored(file: Path) -> dict[str, Any]:
    """How many rows of each kind the only dataset in `file` has, as a reader after the kill finds them."""
    from ctnb.embedded.catalogue import find
    from ctnb.embedded.store import Store

    store = Store(file)
    with store.reading() as connection:
        (uid,) = connection.execute("SELECT uid FROM views").fetchone()
        view = find(connection, uid)
        assert view is not None
        who = view.columns[0].sql
        found = connection.execute(f"SELECT {who}, count(*) FROM {view.table} GROUP BY 1").fetchall()
        counts = {row[0]: row[1] for row in found}
    store.close()
    return counts
