"""socrata-py, unmodified, against an embedded portal that fails on demand, and with files of places."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from faults import Fault, faulty
from portal_fixture import Running, running_portal
from test_embedded_features import kml, shapefile

from ctnb.embedded.accounts import add_account

pytestmark = pytest.mark.servers
ROWS = b"a,b\n1,x\n2,y\n"
QUICK_S = 0.05
CHUNKS = "/api/publishing/v1/source/*/chunk/*"


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A portal that speaks https and fails on demand."""
    folder = tmp_path_factory.mktemp("portal")
    with running_portal(folder, "--tls", "--faults") as running, pytest.MonkeyPatch.context() as patched:
        patched.setenv("REQUESTS_CA_BUNDLE", str(running.file.with_suffix(".certificate.pem")))
        yield running


@pytest.fixture(scope="module")
def client(portal: Running) -> Any:
    """socrata-py, logged in as the publisher."""
    return client_of(portal, portal.auth)


def client_of(portal: Running, auth: tuple[str, str]) -> Any:
    """socrata-py, logged in with these credentials."""
    from socrata import Socrata
    from socrata.authorization import Authorization

    return Socrata(Authorization(portal.url.removeprefix("https://"), *auth))


def sent(revision: Any) -> Any:
    """The output schema of two rows that were uploaded, worked out."""
    source = revision.create_upload("rows.csv").csv(ROWS).wait_for_finish(sleeptime=QUICK_S)
    return source.get_latest_input_schema().get_latest_output_schema().wait_for_finish(sleeptime=QUICK_S)


def rows_of(portal: Running, revision: Any) -> list[dict[str, Any]]:
    """The rows of a revision's dataset."""
    return list(portal.ask("GET", f"/id/{revision.view_id()}").json())


@pytest.mark.parametrize(
    "fault", [Fault("status", CHUNKS, ("POST",), status=500), Fault("lost", CHUNKS, ("POST",))]
)
def test_a_chunk_that_fails_is_sent_again(client: Any, portal: Running, fault: Fault) -> None:
    """P16: after 500, and after an answer that was lost; the rows are there once."""
    revision = client.new({"name": "again"})
    with faulty(portal, fault) as seen:
        output = sent(revision)
        assert seen.hits() == [1]
    revision.apply(output_schema=output).wait_for_finish(sleeptime=QUICK_S)
    assert rows_of(portal, revision) == [{"a": "1", "b": "x"}, {"a": "2", "b": "y"}]


def test_a_chunk_that_is_refused_is_an_error(client: Any, portal: Running) -> None:
    """P16: 400 is raised at once, with its status."""
    from socrata.http import UnexpectedResponseException

    revision = client.new({"name": "refused"})
    with faulty(portal, Fault("status", CHUNKS, ("POST",), times=None, status=400)) as seen:
        with pytest.raises(UnexpectedResponseException) as raised:
            sent(revision)
        assert (raised.value.status, seen.hits()) == (400, [1])


def test_polls_that_fail_a_few_times_are_borne(client: Any, portal: Running) -> None:
    """Four 503 in a row while a job is waited for; a fifth page more is an error."""
    revision = client.new({"name": "polled"})
    output = sent(revision)
    with faulty(portal, Fault("status", "*/apply/*", ("GET",), times=4, status=503)) as seen:
        job = revision.apply(output_schema=output).wait_for_finish(sleeptime=QUICK_S)
        assert seen.hits() == [4]
    assert (job.attributes["status"], len(rows_of(portal, revision))) == ("successful", 2)


def test_a_job_that_takes_its_time_is_waited_for(client: Any, portal: Running) -> None:
    """P3: three polls find it under way, and the fourth that it is done."""
    revision = client.new({"name": "slow"})
    output = sent(revision)
    seen: list[str] = []
    with faulty(portal, Fault("unfinished", "*/apply/*", ("GET",), times=3)) as faults:
        job = revision.apply(output_schema=output)
        job.wait_for_finish(progress=lambda one: seen.append(one.attributes["status"]), sleeptime=QUICK_S)
        assert faults.hits() == [3]
    assert (seen[:3], seen[-1]) == (["upserting"] * 3, "successful")


def test_a_job_that_fails_is_an_error(client: Any, portal: Running) -> None:
    """The client's own exception; the dataset is as it was."""
    from socrata.resource import ResourceFailedException

    revision = client.new({"name": "fails"})
    output = sent(revision)
    with faulty(portal, Fault("failure", "*/apply", ("PUT",))):
        job = revision.apply(output_schema=output)
        with pytest.raises(ResourceFailedException):
            job.wait_for_finish(sleeptime=QUICK_S)
    assert rows_of(portal, revision) == []


def test_an_upload_that_fails_is_an_error(client: Any, portal: Running) -> None:
    """The same for a source."""
    from socrata.resource import ResourceFailedException

    revision = client.new({"name": "fails"})
    with faulty(portal, Fault("failure", "*/commit", ("POST",))), pytest.raises(ResourceFailedException):
        sent(revision)


def test_approval_on_demand_and_by_someone_else(client: Any, portal: Running) -> None:
    """P17: submitted; applied by another publisher's client."""
    revision = client.new({"name": "waits"})
    output = sent(revision)
    with faulty(portal, Fault("approval", "*/apply", ("PUT",))):
        job = revision.apply(output_schema=output)
    assert job.submitted_for_approval()
    other = client_of(portal, add_account(portal.file, "Ada Approver", "publisher"))
    same = other.views.lookup(revision.view_id()).revisions.lookup(0)
    job = same.apply(output_schema=output).wait_for_finish(sleeptime=QUICK_S)
    assert (job.attributes["status"], len(rows_of(portal, revision))) == ("successful", 2)


@pytest.mark.parametrize("before", ["public", "private"])
@pytest.mark.parametrize("given", [None, "public", "private"])
def test_a_permission_stays_unless_one_is_given(client: Any, before: str, given: str | None) -> None:
    """P9: for a dataset that is public and for one that is private."""
    first = client.new({"name": "permissions"})
    view = client.views.lookup(first.view_id())
    view.revisions.create_replace_revision(permission=before).apply().wait_for_finish(sleeptime=QUICK_S)
    assert view.show().attributes["permissions"]["scope"] == before
    view.revisions.create_update_revision(permission=given).apply().wait_for_finish(sleeptime=QUICK_S)
    assert view.show().attributes["permissions"]["scope"] == (given or before)


def test_a_row_identifier_is_set_by_a_replace_and_not_by_an_update(client: Any, portal: Running) -> None:
    """P6, P8: the first revision of a dataset is an update; a delete needs the identifier."""
    from socrata.resource import ResourceFailedException

    first = client.new({"name": "keyed"})
    view = client.views.lookup(first.view_id())
    plain = view.revisions.create_replace_revision()
    plain.apply(output_schema=sent(plain)).wait_for_finish(sleeptime=QUICK_S)
    for wrong in (view.revisions.create_update_revision(), view.revisions.create_delete_revision()):
        output = sent(wrong).set_row_id("a").wait_for_finish(sleeptime=QUICK_S)
        with pytest.raises(ResourceFailedException):
            wrong.apply(output_schema=output).wait_for_finish(sleeptime=QUICK_S)
    right = view.revisions.create_replace_revision()
    output = sent(right).set_row_id("a").wait_for_finish(sleeptime=QUICK_S)
    right.apply(output_schema=output).wait_for_finish(sleeptime=QUICK_S)
    delete = view.revisions.create_delete_revision()
    delete.apply(output_schema=sent(delete)).wait_for_finish(sleeptime=QUICK_S)
    assert rows_of(portal, first) == []


def test_a_file_becomes_a_dataset(client: Any, portal: Running) -> None:
    """P12: a blob that is applied can be downloaded."""
    revision = client.new({"name": "a report"})
    revision.create_upload("report.pdf").blob(io.BytesIO(b"%PDF")).wait_for_finish(sleeptime=QUICK_S)
    revision.show()
    job = revision.apply().wait_for_finish(sleeptime=QUICK_S)
    assert job.attributes["status"] == "successful"
    view = portal.ask("GET", f"/api/views/{revision.view_id()}.json").json()
    assert (view["viewType"], view["blobFilename"]) == ("blobby", "report.pdf")


def test_files_of_places_and_old_workbooks(client: Any, tmp_path: Path) -> None:
    """P19: KML, a zipped shapefile, `.xls`."""
    line = "<name>Trail</name><LineString><coordinates>1,2 3,4</coordinates></LineString>"
    shape = {"type": "Point", "coordinates": [-72.5, 41.25]}
    zipped = shapefile(tmp_path, "Point", [shape], NAME=["Avon"])
    book = (Path(__file__).parent / "vectors" / "types.xls").read_bytes()
    outputs = [
        client.create(name="x").kml(io.BytesIO(kml(line).encode()), filename="x.kml")[1],
        client.create(name="x").shapefile(io.BytesIO(zipped), filename="x.zip")[1],
        client.create(name="x").xls(io.BytesIO(book), filename="x.xls")[1],
    ]
    assert [row["name"]["ok"] for output in outputs[:2] for row in output.rows()] == ["Trail", "Avon"]
    kinds = [one["transform"]["output_soql_type"] for one in outputs[0].attributes["output_columns"]]
    assert kinds == ["line", "text"]
    assert outputs[2].attributes["total_rows"] > 0


def test_a_read_that_is_too_many(portal: Running) -> None:
    """What the client does not retry is an error with its status, 429 included."""
    from socrata.http import UnexpectedResponseException

    with faulty(portal, Fault("status", "/api/publishing/v1/config*", status=429, retry_after="1")):
        with pytest.raises(UnexpectedResponseException) as raised:
            client_of(portal, portal.auth).configs.list()
        assert raised.value.status == 429
