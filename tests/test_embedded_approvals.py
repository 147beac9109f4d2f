"""The queue of approvals, files attached by revisions, datasets that are a file, and every link of DSMAPI."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from draft_calls import BASE, applied, ask, finished, open_revision, output_of, published, upload, waited
from portal_fixture import Running, running_portal

from ctnb.embedded.accounts import add_account

Pair = tuple[str, str]


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One portal for the module, that asks for approval of nothing."""
    with running_portal(tmp_path_factory.mktemp("portal")) as running:
        yield running


@pytest.fixture(scope="module")
def second(portal: Running) -> Pair:
    """Another publisher."""
    return add_account(portal.file, "Ada Approver", "publisher")


def as_second(portal: Running, second: Pair, method: str, path: str, **options: Any) -> requests.Response:
    """One request of the other publisher."""
    return requests.request(method, portal.url + path, auth=second, timeout=60, **options)


def submitted(
    portal: Running, uid: str, content: str, **action: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A revision with these rows that waits for approval: its resource, and the submission."""
    revision = open_revision(portal, uid, **action)
    output = output_of(upload(portal, revision, content, chunk=1 << 20))
    ask(portal, "PUT", revision["links"]["update"], json={"output_schema_id": output["id"]})
    body = {"assetId": f"{uid}:{revision['resource']['revision_seq']}", "notes": "please"}
    path = f"/api/views/{uid}/approvals/?method=startWorkflowSubmission"
    return revision, ask(portal, "POST", path, json=body)


def test_a_submission_is_listed_begun_and_approved(portal: Running, second: Pair) -> None:
    """Approving applies the revision; the list says who decided, and nobody decides twice."""
    uid = published(portal, "a,b\n1,x\n")
    revision, submission = submitted(portal, uid, "a,b\n2,y\n", action={"type": "update"})
    assert (submission["outcome"]["status"], submission["notes"]) == ("pending", "please")
    queue = f"/api/views/{uid}/approvals"
    one = f"{queue}/{submission['id']}"
    assert [row["id"] for row in ask(portal, "GET", f"{queue}?status=pending")] == [submission["id"]]
    begun = as_second(portal, second, "PUT", f"{one}?method=updateOutcomeStart").json()
    assert begun["outcome"]["startedAt"] is not None
    told = as_second(portal, second, "PUT", f"{one}?method=updateOutcomeEnd&status=approved").json()
    assert told["outcome"]["decidedBy"]["displayName"] == "Ada Approver"
    job = waited(portal, told["job"]["links"]["show"], lambda one: one["finished_at"])
    assert job["status"] == "successful"
    assert [row["a"] for row in portal.rows(uid)] == ["1", "2"]
    assert ask(portal, "GET", revision["links"]["show"])["resource"]["closed_at"] is not None
    again = as_second(portal, second, "PUT", f"{one}?method=updateOutcomeEnd&status=rejected")
    assert (again.status_code, again.json()["key"]) == (409, "not_submitted")


def test_a_rejected_revision_stays_open_and_changes_nothing(portal: Running, second: Pair) -> None:
    """It may be changed and submitted anew, which is a new submission."""
    uid = published(portal, "a\n1\n")
    revision, submission = submitted(portal, uid, "a\n2\n", action={"type": "replace"})
    path = f"/api/views/{uid}/approvals/{submission['id']}?method=updateOutcomeEnd&status=rejected"
    assert as_second(portal, second, "PUT", path).json()["outcome"]["status"] == "rejected"
    assert ask(portal, "GET", revision["links"]["show"])["resource"]["closed_at"] is None
    assert portal.rows(uid) == [{"a": "1"}]
    body = {"assetId": f"{uid}:{revision['resource']['revision_seq']}"}
    path = f"/api/views/{uid}/approvals?method=startWorkflowSubmission"
    assert ask(portal, "POST", path, json=body)["id"] > submission["id"]


def test_nobody_approves_what_they_submitted(portal: Running) -> None:
    """403 by the queue; the same by applying again, which says that it waits."""
    uid = published(portal, "a\n1\n")
    revision, submission = submitted(portal, uid, "a\n2\n", action={"type": "replace"})
    path = f"/api/views/{uid}/approvals/{submission['id']}?method=updateOutcomeEnd&status=approved"
    assert portal.ask("PUT", path).json()["key"] == "own_submission"
    assert ask(portal, "PUT", revision["links"]["apply"], json={})["key"] == "approval_submitted"
    assert portal.rows(uid) == [{"a": "1"}]


def test_a_submission_is_withdrawn(portal: Running) -> None:
    """Guidance says what an apply would do, before and after; then the revision is applied by its author."""
    uid = published(portal, "a\n1\n")
    revision, submission = submitted(portal, uid, "a\n2\n", action={"type": "replace"})
    guidance = f"/api/views/{uid}/approvals?method=guidance_v2&assetId={submission['assetId']}"
    assert ask(portal, "GET", guidance)["expectedAction"] == "submit_for_approval"
    gone = f"/api/views/{uid}/approvals/{submission['assetId']}?method=deleteExternalAssetSubmissions"
    assert ask(portal, "DELETE", gone) == {}
    told = ask(portal, "GET", guidance)
    assert (told["expectedAction"], told["submission"]) == ("apply", None)
    assert applied(portal, revision)["status"] == "successful"
    assert portal.rows(uid) == [{"a": "2"}]


@pytest.mark.parametrize(
    ("method", "rest", "status"),
    [
        ("GET", "?method=guess", 400),
        ("GET", "?method=guidance_v2&assetId=nope", 400),
        ("GET", "?method=guidance_v2&assetId={uid}:99", 404),
        ("POST", "?method=begin", 400),
        ("POST", "?method=startWorkflowSubmission", 400),
        ("PUT", "/1?method=updateOutcomeEnd&status=approved", 404),
        ("DELETE", "/{uid}:0", 400),
    ],
)
def test_a_question_that_cannot_be_answered(portal: Running, method: str, rest: str, status: int) -> None:
    """400 or 404, never a change."""
    uid = published(portal, "a\n1\n")
    assert portal.ask(method, f"/api/views/{uid}/approvals{rest.format(uid=uid)}").status_code == status
    assert portal.ask(method, f"/api/views/{uid}/approvals{rest}", signed=False).status_code == 403


def attached(portal: Running, revision: dict[str, Any], name: str, content: bytes) -> dict[str, Any]:
    """A file sent to a revision, as its attachments name it."""
    headers = {"X-File-Name": name, "Content-Type": "application/pdf"}
    path = revision["links"]["show"] + "/attachment"
    told = ask(portal, "POST", path, data=content, headers=headers)
    return {"name": f"The {name}", "filename": told["filename"], "asset_id": told["file_id"], "blob_id": None}


def test_files_attached_by_a_revision(portal: Running) -> None:
    """Private until the revision is applied; then listed, downloaded by anybody, and kept by the next one."""
    uid = published(portal, "a\n1\n")
    revision = open_revision(portal, uid, action={"type": "update", "permission": "public"})
    files = [attached(portal, revision, f"{word}.pdf", word.encode()) for word in ("guide", "notes")]
    told = ask(portal, "PATCH", revision["links"]["update"], json={"attachments": files})
    assert told["resource"]["attachments"] == files
    address = f"{portal.url}/api/views/{uid}/files/{files[0]['asset_id']}"
    assert requests.get(address, timeout=60).status_code == 403
    assert applied(portal, revision)["status"] == "successful"
    listed = portal.ask("GET", f"/api/views/{uid}.json").json()["metadata"]["attachments"]
    assert [(one["name"], one["filename"]) for one in listed] == [
        ("The guide.pdf", "guide.pdf"),
        ("The notes.pdf", "notes.pdf"),
    ]
    assert requests.get(address, timeout=60).content == b"guide"
    later = open_revision(portal, uid)
    assert [one["asset_id"] for one in later["resource"]["attachments"]] == [one["asset_id"] for one in files]
    assert applied(portal, later)["status"] == "successful"
    assert portal.ask("GET", f"/api/views/{uid}.json").json()["metadata"]["attachments"] == listed
    last = open_revision(portal, uid)
    ask(portal, "PATCH", last["links"]["update"], json={"attachments": files[1:]})
    assert applied(portal, last)["status"] == "successful"
    assert requests.get(address, timeout=60).status_code == 404


@pytest.mark.parametrize("wrong", ["x", [1], [{"asset_id": "nope"}], [{}], [{"asset_id": ["a"]}]])
def test_attachments_that_were_not_uploaded_are_refused(portal: Running, wrong: object) -> None:
    """400, and the revision is as it was."""
    revision = open_revision(portal)
    answer = portal.ask("PATCH", revision["links"]["update"], json={"attachments": wrong})
    assert (answer.status_code, answer.json()["key"]) == (400, "invalid_attachments")
    assert ask(portal, "GET", revision["links"]["show"])["resource"]["attachments"] == []


def sent_file(portal: Running, revision: dict[str, Any], name: str, content: bytes) -> None:
    """A file that is not to be parsed, in a revision."""
    body = {"source_type": {"type": "upload", "filename": name}, "parse_options": {"parse_source": False}}
    links = ask(portal, "POST", revision["links"]["create_source"], json=body)["links"]
    ask(portal, "POST", links["initiate"], json={"content_type": "application/octet-stream"})
    for number, at in enumerate((0, 4)):
        path = links["chunk"].format(seq_num=number, byte_offset=at)
        ask(portal, "POST", path, data=content[at : at + 4 if number == 0 else None])
    ask(portal, "POST", links["commit"].format(seq_num=1, byte_offset=len(content)))
    assert finished(portal, links)["failed_at"] is None


def test_a_file_becomes_a_dataset_and_is_replaced(portal: Running) -> None:
    """Its name without folders, its bytes, its type; a second revision puts another file in its place."""
    first = open_revision(portal, action={"type": "update", "permission": "public"})
    uid = first["resource"]["fourfour"]
    sent_file(portal, first, "C:\\Users\\pat\\report.pdf", b"%PDF-1.7 one")
    assert applied(portal, first)["status"] == "successful"
    view = portal.ask("GET", f"/api/views/{uid}.json").json()
    assert (view["viewType"], view["blobFilename"]) == ("blobby", "report.pdf")
    assert (view["blobMimeType"], view["blobFileSize"]) == ("application/pdf", 12)
    address = f"{portal.url}/download/{uid}/application/pdf"
    assert requests.get(address, timeout=60).content == b"%PDF-1.7 one"
    later = open_revision(portal, uid, action={"type": "replace"})
    sent_file(portal, later, "report.pdf", b"%PDF-1.7 two")
    assert applied(portal, later)["status"] == "successful"
    assert requests.get(address, timeout=60).content == b"%PDF-1.7 two"


def test_rows_and_a_file_are_not_mixed(portal: Running) -> None:
    """A dataset with columns does not become a file, nor a file a dataset with columns."""
    uid = published(portal, "a\n1\n")
    revision = open_revision(portal, uid)
    sent_file(portal, revision, "x.bin", b"12345678")
    job = applied(portal, revision)
    assert (job["status"], job["log"][0]["details"]["message"]) == (
        "failure",
        "A dataset with columns cannot become a file",
    )
    assert portal.rows(uid) == [{"a": "1"}]
    other = open_revision(portal)
    sent_file(portal, other, "x.bin", b"12345678")
    assert applied(portal, other)["status"] == "successful"
    rows = open_revision(portal, other["resource"]["fourfour"], action={"type": "replace"})
    job = applied(portal, rows, output_of(upload(portal, rows, "a\n1\n", chunk=100)))
    assert job["log"][0]["details"]["message"] == "The dataset is a file and has no rows"


def test_every_link_leads_somewhere(portal: Running) -> None:
    """Each link of a revision, source, schema, job and config answers what its name says."""
    uid = published(portal, "a\n1\n")
    revision = open_revision(portal, uid, action={"type": "replace"})
    links = revision["links"]
    source = upload(portal, revision, "a,b\n1,x\n", chunk=100)
    output = output_of(source)
    schema = source["schemas"][-1]
    own = ask(portal, "GET", f"{BASE}/source/{source['id']}")["links"]
    for name in ("show", "metadata", "list_sources", "plan"):
        assert ask(portal, "GET", links[name]), name
    assert ask(portal, "PUT", links["update"], json={"notes": "n"})["resource"]["notes"] == "n"
    inner = own["input_schema_links"]
    numbers = {"input_schema_id": schema["id"], "output_schema_id": output["id"]}
    numbers["transform_id"] = output["output_columns"][0]["transform"]["id"]
    for link in (own["show"], own["show_input_schema"], inner["show"], inner["latest_output"]):
        assert ask(portal, "GET", link.format(**numbers))["resource"], link
    assert ask(portal, "GET", inner["row_errors"].format(**numbers)) == []
    outer = inner["output_schema_links"]
    assert ask(portal, "GET", outer["show"].format(**numbers))["resource"]["id"] == output["id"]
    assert len(ask(portal, "GET", outer["rows"].format(**numbers))) == 2
    assert len(ask(portal, "GET", outer["schema_errors"].format(**numbers))) == 1
    assert ask(portal, "GET", outer["validate_row_id"].format(**numbers)) == {"valid": True}
    body = {"name": f"config {time.time_ns()}", "data_action": "replace"}
    config = ask(portal, "POST", outer["build_config"].format(**numbers), json=body)
    assert ask(portal, "GET", config["links"]["show"])["resource"]["name"] == body["name"]
    made = ask(portal, "POST", config["links"]["create_revision"].format(fourfour=uid), json={})
    assert made["resource"]["config"] == body["name"]
    assert ask(portal, "DELETE", made["links"]["discard"])["resource"]["closed_at"]
    transformed = ask(
        portal,
        "POST",
        inner["transform"].format(**numbers),
        json={"output_columns": output["output_columns"]},
    )
    assert transformed["links"]["show"]
    assert ask(portal, "PUT", own["load"])["resource"]["id"] == source["id"]
    assert ask(portal, "POST", own["update"], json={"parse_options": {}})["resource"]["id"] == source["id"]
    finished(portal, own)
    job = ask(portal, "PUT", links["apply"], json={"output_schema_id": output["id"]})
    assert waited(portal, job["links"]["show"], lambda one: one["finished_at"])["status"] == "successful"
