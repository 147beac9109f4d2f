"""Socrata's own Python client, socrata-py, unmodified and over TLS, against the embedded portal."""

from __future__ import annotations

import datetime as dt
import io
import ssl
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import requests
from portal_fixture import Running, running_portal

from ctnb.embedded.certificates import own_certificate, tls_context
from ctnb.errors import UsageError

pytestmark = pytest.mark.servers
ROWS = b"A, B, C\n1, b, 2\n2, b, 2\n3, b, 2\n4, b, 2"
QUICK_S = 0.05


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A portal with a certificate of its own, that asks for chunks of 16 bytes."""
    folder, options = tmp_path_factory.mktemp("portal"), ("--tls", "--chunk-bytes", "16")
    with running_portal(folder, *options) as running, pytest.MonkeyPatch.context() as patched:
        patched.setenv("REQUESTS_CA_BUNDLE", str(running.file.with_suffix(".certificate.pem")))
        yield running


@pytest.fixture(scope="module")
def client(portal: Running) -> Any:
    """socrata-py, logged in as the publisher."""
    from socrata import Socrata
    from socrata.authorization import Authorization

    return Socrata(Authorization(portal.url.removeprefix("https://"), *portal.auth))


@pytest.fixture()
def view(client: Any) -> Any:
    """A dataset of its own for a test."""
    revision = client.new({"name": "a view"})
    return client.views.lookup(revision.view_id())


def sent(revision: Any, rows: bytes = ROWS) -> Any:
    """The newest output schema of a CSV that was uploaded, worked out."""
    source = revision.create_upload("rows.csv").csv(rows)
    schema = source.wait_for_finish(sleeptime=QUICK_S).get_latest_input_schema()
    return schema.get_latest_output_schema().wait_for_finish(sleeptime=QUICK_S)


def applied(revision: Any, output: Any = None) -> Any:
    """The job of a revision, waited for."""
    return revision.apply(output_schema=output).wait_for_finish(sleeptime=QUICK_S)


def rows_of(portal: Running, uid: str) -> list[dict[str, Any]]:
    """The rows as another client reads them."""
    return list(portal.ask("GET", f"/id/{uid}").json())


def test_create_upload_apply(client: Any, portal: Running) -> None:
    """P1, P3: the session of the client's own README, rows read back."""
    rows = io.BytesIO(ROWS)
    revision, output = client.create(name="cool dataset", description="d").csv(rows, filename="rows.csv")
    assert (output.attributes["error_count"], output.attributes["completed_at"] is not None) == (0, True)
    job = applied(revision, output)
    assert (job.attributes["status"], job.is_complete()) == ("successful", True)
    assert rows_of(portal, revision.view_id())[0] == {"a": "1", "b": "b", "c": "2"}
    assert len(rows_of(portal, revision.view_id())) == 4
    assert [one["status"] for one in revision.show().attributes["task_sets"]] == ["successful"]


def test_text_with_letters_of_two_bytes_is_whole(client: Any) -> None:
    """P2: the client counts letters as bytes, and every byte arrives all the same."""
    text = "\n        name,n\n        Québec é,1\n        日本 ü,2\n        "
    _, output = client.create(name="cool dataset").csv(text, filename="foo.csv")
    assert [row["name"]["ok"] for row in output.rows()] == ["Québec é", "日本 ü"]


def test_a_generator_is_counted_exactly(tmp_path: Path) -> None:
    """P2: 100,000 rows from a generator, in chunks of the size the portal asks for."""
    from socrata import Socrata
    from socrata.authorization import Authorization

    with running_portal(tmp_path, "--tls") as portal, pytest.MonkeyPatch.context() as patched:
        patched.setenv("REQUESTS_CA_BUNDLE", str(portal.file.with_suffix(".certificate.pem")))
        client = Socrata(Authorization(portal.url.removeprefix("https://"), *portal.auth))
        line = f"{uuid.uuid4()},{uuid.uuid4()},{uuid.uuid4()}\n".encode()
        lines = (line if at else b"a,b,c\n" for at in range(100_001))
        source = client.new({"name": "big"}).create_upload("foo.csv").csv(lines)
        output = source.get_latest_input_schema().get_latest_output_schema()
        output.wait_for_finish(sleeptime=QUICK_S)
        assert output.attributes["total_rows"] == 100_000


def test_errors_rows_and_pages(view: Any) -> None:
    """P4, P5: wrong cells by row and as CSV; right ones by page."""
    output = sent(view.revisions.create_update_revision())
    bad = output.change_column_transform("b").to("to_number(b)").run().wait_for_finish(sleeptime=QUICK_S)
    assert all("error" in row["b"] for row in bad.schema_errors())
    assert "Unable to convert" in bad.schema_errors_csv().text
    assert (bad.any_errors(), bad.any_failed()) == (True, False)
    good = output.change_column_transform("b").to("`b` || 'foo'").run().wait_for_finish(sleeptime=QUICK_S)
    assert [row["b"] for row in good.rows()] == [{"ok": "bfoo"}] * 4
    assert [row["a"]["ok"] for row in good.rows(offset=2, limit=1)] == ["3"]
    assert good.schema_errors() == []


def test_row_identifiers(view: Any) -> None:
    """P6: tried, named wrongly, set."""
    output = sent(view.revisions.create_replace_revision())
    assert [output.validate_row_id(name) for name in ("a", "b", "nope")] == [True, False, False]
    keyed = output.set_row_id("a")
    assert [one["is_primary_key"] for one in keyed.attributes["output_columns"]] == [True, False, False]


def test_columns_are_changed_added_and_dropped(view: Any) -> None:
    """P7: in one run, with the order that the client keeps; a column is referred to by its new name."""
    output = sent(view.revisions.create_update_revision())
    changed = (
        output.change_column_metadata("a", "field_name").to("aa")
        .change_column_metadata("aa", "description").to("the description of aa")
        .change_column_metadata("c", "display_name").to("Column C!")
        .change_column_transform("c").to("to_number(`c`) + 7")
        .drop_column("b")
        .add_column("aa_aa", "AA+AA", "to_number(`a`) + to_number(`a`)", "this is column a plus a")
        .run().wait_for_finish(sleeptime=QUICK_S)
    )  # fmt: skip
    columns = changed.attributes["output_columns"]
    assert [one["field_name"] for one in columns] == ["aa", "aa_aa", "c"]
    assert [one["position"] for one in columns] == [1, 2, 3]
    assert (columns[0]["description"], columns[2]["display_name"]) == ("the description of aa", "Column C!")
    assert [row["aa_aa"]["ok"] for row in changed.rows()] == ["2", "4", "6", "8"]
    assert [row["c"]["ok"] for row in changed.rows()] == ["9"] * 4


def test_sorting_is_kept_while_its_column_is(view: Any) -> None:
    """P7: set, kept over other changes, following a new name, dropped with the column, replaced, cleared."""
    first = sent(view.revisions.create_update_revision())
    both = [{"field_name": "b", "ascending": True}, {"field_name": "a", "ascending": False}]
    output = first.set_sort_by().on("b").on("a", ascending=False).end_sort().run()
    assert output.attributes["sort_bys"] == both
    kept = output.change_column_metadata("b", "description").to("x").drop_column("c").run()
    assert kept.attributes["sort_bys"] == both
    renamed = output.change_column_metadata("a", "field_name").to("aa").run()
    assert renamed.attributes["sort_bys"][1] == {"field_name": "aa", "ascending": False}
    assert output.drop_column("b").run().attributes["sort_bys"] == both[1:]
    replaced = output.set_sort_by().on("c").end_sort().run()
    assert replaced.attributes["sort_bys"] == [{"field_name": "c", "ascending": True}]
    assert output.set_sort_by().end_sort().run().attributes["sort_bys"] == []


def test_the_three_kinds_of_revision(view: Any, portal: Running) -> None:
    """P8, P9: replace with a row identifier, update, delete; a permission that is not given stays."""
    uid = view.attributes["id"]
    replace = view.revisions.create_replace_revision(permission="public")
    applied(replace, sent(replace).set_row_id("a"))
    update = view.revisions.create_update_revision()
    applied(update, sent(update, b"a,b,c\n4,changed,2\n5,new,2\n"))
    assert [row["b"] for row in rows_of(portal, uid)] == ["b", "b", "b", "changed", "new"]
    delete = view.revisions.create_delete_revision()
    applied(delete, sent(delete, b"a\n1\n2\n"))
    assert [row["a"] for row in rows_of(portal, uid)] == ["3", "4", "5"]
    assert view.show().attributes["permissions"]["scope"] == "public"
    assert [one.attributes["revision_seq"] for one in view.revisions.list()] == [0, 1, 2, 3]
    assert view.revisions.lookup(3).attributes == delete.show().attributes
    private = view.revisions.create_update_revision(permission="private")
    applied(private)
    assert view.show().attributes["permissions"]["scope"] == "private"


@pytest.mark.parametrize("permission", [None, "private"])
def test_the_plan_names_its_steps(view: Any, permission: str | None) -> None:
    """P10: one step more where a permission is set."""
    revision = view.revisions.create_replace_revision(permission=permission)
    output = sent(revision)
    revision.set_output_schema(output.attributes["id"])
    steps = {"prepare_draft_for_import", "set_schema", "apply_metadata", "upsert_task", "set_display_type"}
    steps |= {"publish", "wait_for_replication"} | ({"set_permission"} if permission else set())
    assert {step["type"] for step in revision.plan()} == steps
    assert revision.get_output_schema().attributes["id"] == output.attributes["id"]


def test_configs(client: Any, view: Any, portal: Running) -> None:
    """P11: made with defaults and without, listed, changed, used, built from a schema, deleted."""
    from socrata.http import UnexpectedResponseException

    name = f"some config {uuid.uuid4()}"
    given = [{"field_name": "foo", "display_name": "Foo", "transform_expr": "to_number(`a`)"}]
    options = {"encoding": "utf8", "header_count": 2, "column_header": 2}
    config = client.configs.create(name, "replace", parse_options=options, columns=given)
    defaults = {"format": {}, "description": "", "is_primary_key": None, "flags": []}
    assert config.attributes["columns"] == [{**given[0], **defaults}]
    assert config.attributes["parse_options"] == {
        **options,
        "quote_char": '"',
        "parse_source": True,
        "column_separator": ",",
        "remove_empty_rows": True,
        "trim_whitespace": True,
    }
    assert name in [one.attributes["name"] for one in client.configs.list()]
    config.update({"data_action": "update", "columns": given})
    changed = config.change_parse_option("encoding").to("utf16").change_parse_option("header_count").to(3)
    changed.run()
    looked = client.configs.lookup(name).show().attributes
    assert (looked["data_action"], looked["parse_options"]["encoding"]) == ("update", "utf16")
    config.update({"data_action": "replace", "parse_options": {**options}})
    rows = "first,second\na,b\n1,2\n"
    revision, job = client.using_config(name, view).csv(rows, filename="abc.csv")
    assert (revision.attributes["action"]["type"], bool(job.attributes["created_at"])) == ("replace", True)
    job.wait_for_finish(sleeptime=QUICK_S)
    assert rows_of(portal, view.attributes["id"]) == [{"foo": "1"}]
    made = config.create_revision(view.attributes["id"])
    assert made.attributes["config"] == name
    built = sent(view.revisions.create_replace_revision()).build_config(f"built {name}", "replace")
    assert [one["field_name"] for one in built.attributes["columns"]] == ["a", "b", "c"]
    config.delete()
    with pytest.raises(UnexpectedResponseException):
        config.show()
    with pytest.raises(UnexpectedResponseException):
        client.using_config("nope", view)


def test_blobs(view: Any) -> None:
    """P12: not parsed, and named by the revision."""
    revision = view.revisions.create_update_revision()
    source = revision.create_upload("foo.bin").blob(io.BytesIO(b"\x00\x01"))
    source.wait_for_finish(sleeptime=QUICK_S)
    assert source.attributes["parse_options"]["parse_source"] is False
    assert revision.show().attributes["blob_id"] == source.attributes["id"]


def test_sources_outside_a_revision_and_other_headers(client: Any, view: Any) -> None:
    """P13, P14: parsed anew with two header rows, then put into a revision."""
    source = client.sources.create_upload("foo.csv").csv(b"my cool dataset,,\nA, B, C\n1, b, 2\n")
    source.wait_for_finish(sleeptime=QUICK_S)
    changed = source.change_parse_option("header_count").to(2).change_parse_option("column_header").to(2)
    source = changed.run().wait_for_finish(sleeptime=QUICK_S)
    output = source.get_latest_input_schema().latest_output()
    assert [one["field_name"] for one in output.attributes["output_columns"]] == ["a", "b", "c"]
    revision = view.revisions.create_update_revision()
    source.add_to_revision(revision)
    found = client.sources.lookup(source.attributes["id"]).attributes["id"]
    assert [one.attributes["id"] for one in revision.list_sources()] == [found]


def test_a_dataset_is_changed_from_itself_and_restored(view: Any, portal: Running) -> None:
    """P15: a new column of the dataset's own; an archived revision brought back."""
    uid = view.attributes["id"]
    archived = {"id": uid, "method": "enroll"}
    portal.ask("POST", "/api/archival", params=archived)
    first = view.revisions.create_replace_revision()
    applied(first, sent(first))
    revision = view.revisions.create_replace_revision({"description": "new"})
    source = revision.source_from_dataset().wait_for_finish(sleeptime=QUICK_S)
    output = source.get_latest_input_schema().get_latest_output_schema()
    changed = output.add_column("d", "D", "a + 5").drop_column("b").drop_column("c").run()
    applied(revision, changed)
    assert rows_of(portal, uid) == [{"a": str(n), "d": str(n + 5)} for n in range(1, 5)]
    restored = first.restore()
    assert restored.attributes["revision_seq"] == revision.attributes["revision_seq"] + 1
    assert restored.attributes["metadata"] == first.attributes["metadata"]
    (source,) = restored.list_sources()
    output = source.wait_for_finish(sleeptime=QUICK_S).get_latest_input_schema().get_latest_output_schema()
    applied(restored, output)
    assert rows_of(portal, uid)[0] == {"a": "1", "b": "b", "c": "2"}


def test_approval(tmp_path: Path) -> None:
    """P17: the client sees that its revision waits."""
    from socrata import Socrata
    from socrata.authorization import Authorization

    options = ("--tls", "--approval")
    with running_portal(tmp_path, *options) as portal, pytest.MonkeyPatch.context() as patched:
        patched.setenv("REQUESTS_CA_BUNDLE", str(portal.file.with_suffix(".certificate.pem")))
        client = Socrata(Authorization(portal.url.removeprefix("https://"), *portal.auth))
        revision = client.new({"name": "waits"})
        job = revision.apply(output_schema=sent(revision)).wait_for_finish()
        assert (job.attributes["status"], job.is_complete()) == ("submitted_for_approval", True)
        assert rows_of(portal, revision.view_id()) == []


def test_discarding_metadata_and_deleting(client: Any, view: Any) -> None:
    """P18: a revision is changed, noted, discarded; a temporary view is deleted."""
    revision = view.revisions.create_update_revision()
    assert revision.update({"metadata": {"name": "new name"}}).attributes["metadata"]["name"] == "new name"
    assert revision.set_notes("why").attributes["notes"] == "why"
    revision.discard()
    assert revision.show().attributes["closed_at"] is not None
    gone = client.new({"name": "temporary"}, deleted_at=dt.datetime(2030, 1, 1, tzinfo=dt.UTC))
    assert client.views.lookup(gone.view_id()).delete()[0]


def test_excel_tsv_geojson_and_frames(client: Any) -> None:
    """P19: each of the forms that the portal reads holds the same rows."""
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    held = io.BytesIO()
    frame.to_excel(held, index=False)
    held.seek(0)
    outputs = [
        client.create(name="x").xlsx(held, filename="x.xlsx")[1],
        client.create(name="x").tsv(b"a\tb\n1\tx\n2\ty\n", filename="x.tsv")[1],
        client.create(name="x").df(frame)[1],
    ]
    assert [[row["b"]["ok"] for row in output.rows()] for output in outputs] == [["x", "y"]] * 3
    shape = '{"type":"Point","coordinates":[102.0,0.5]}'
    feature = f'{{"type":"Feature","geometry":{shape},"properties":{{"n":2,"yes":false}}}}'
    content = f'{{"type":"FeatureCollection","features":[{feature}]}}'.encode()
    source = client.sources.create_upload("p.geojson").geojson(content).wait_for_finish(sleeptime=QUICK_S)
    columns = source.get_latest_input_schema().attributes["input_columns"]
    assert [one["field_name"] for one in columns] == ["point", "n", "yes"]


def test_geocoding_gives_points(view: Any) -> None:
    """P20: from a stand-in that looks nothing up."""
    output = sent(view.revisions.create_update_revision())
    added = output.add_column("where", "Where", "geocode(`a`, `b`, `c`, `b`)").run()
    added.wait_for_finish(sleeptime=QUICK_S)
    assert {row["where"]["ok"]["type"] for row in added.rows()} == {"Point"}


def test_the_certificate_is_made_once_and_trusted_by_its_file(portal: Running, tmp_path: Path) -> None:
    """The key is its owner's alone; a name that is new, or an end that is near, makes another."""
    with requests.Session() as stranger, pytest.raises(requests.exceptions.SSLError):
        stranger.trust_env = False
        stranger.get(portal.url, timeout=60)
    now = dt.datetime.now(dt.UTC)
    certificate, key = own_certificate(tmp_path / "p.sqlite", now=now)
    made = certificate.read_bytes()
    assert own_certificate(tmp_path / "p.sqlite", now=now) == (certificate, key)
    assert (certificate.read_bytes(), key.stat().st_mode & 0o777) == (made, 0o600)
    own_certificate(tmp_path / "p.sqlite", now=now + dt.timedelta(days=380))
    late = certificate.read_bytes()
    own_certificate(tmp_path / "p.sqlite", ("portal.example",), now=now + dt.timedelta(days=380))
    assert len({made, late, certificate.read_bytes()}) == 3
    assert isinstance(tls_context(certificate, key), ssl.SSLContext)
    with pytest.raises(UsageError, match="cannot be used for TLS"):
        tls_context(key, certificate)
