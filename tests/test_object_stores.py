"""Files in object stores: a real S3 server and a real Azure Blob server on loopback."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import object_stores
import pytest
from error_texts import assert_text, whole_story
from object_stores import AZURE_ACCOUNT, AZURE_KEY, Wire

from ctnb import secrets
from ctnb.contracts.places import Address
from ctnb.errors import CtnbError, NothingNew, SourceFailed, SourceInvalid, UsageError
from ctnb.places import addresses
from ctnb.places.fetched import Fetched, Request

pytestmark = pytest.mark.servers

LONG = b"town,deaths\n" + b"Hartford,12\n" * 800_000
REFUSED = "refused the credentials, or may not be read with them."


class Store:
    """A store with the files of an agency, and fetching from it."""

    def __init__(self, work: Path, protocol: str, options: dict[str, Any], own: Any, secret: str) -> None:
        self.work, self.protocol, self.options, self.own, self.secret = work, protocol, options, own, secret
        self.slept: list[float] = []

    def put(self, key: str, content: bytes) -> None:
        """A file in the store, with its own library."""
        if self.protocol == "s3":
            self.own.put_object(Bucket="agency", Key=key, Body=content)
        else:
            self.own.get_blob_client("agency", key).upload_blob(content, overwrite=True)

    def fetch(self, path: str, position: Any = None, **more: Any) -> Fetched:
        """What fetching agency/`path` gives; `more` are options in place of the right ones."""
        at_most_mb = more.pop("at_most_mb", 2048)
        take = more.pop("take", "newest")
        container = more.pop("container", "agency")
        place = Address.model_validate(
            {"url": f"{self.protocol}://{container}/{path}", "options": {**self.options, **more}, "take": take,
             "at_most_mb": at_most_mb}
        )  # fmt: skip
        request = Request(
            self.work, self.work, self.work, (), position=position or {}, secret=secrets.value, key=b"key"
        )
        return addresses.fetch(place, request, sleep=self.slept.append)

    def failed(self, kind: type[CtnbError], path: str, **more: Any) -> CtnbError:
        """The error of fetching `path`, which leaves nothing behind and tells no secret."""
        before = list(self.work.iterdir())
        with pytest.raises(kind) as caught:
            self.fetch(path, **more)
        assert before == list(self.work.iterdir())
        story = whole_story(caught.value)
        assert [] == [told for told in (self.secret, "not-that-one") if told in story]
        return caught.value


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """An empty folder for snapshots."""
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


@pytest.fixture(autouse=True)
def _own_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No account of whoever runs the tests, and no patience for servers that are not there."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("OTHER", "not-that-one")


@pytest.fixture(scope="module")
def s3_server() -> Iterator[tuple[str, Any, tuple[str, str]]]:
    """An S3 server that wants the right key; one for all tests."""
    with object_stores.s3_serving() as url:
        object_stores.s3_client(url).create_bucket(Bucket="agency")
        pair = object_stores.s3_guard(url)
        import boto3

        own = boto3.client(
            "s3",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id=pair[0],
            aws_secret_access_key=pair[1],
        )
        yield url, own, pair


@pytest.fixture
def s3(s3_server: Any, work: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """An S3 store, empty again afterwards."""
    url, own, (key, secret) = s3_server
    monkeypatch.setenv("S3_KEY", key)
    monkeypatch.setenv("S3_SECRET", secret)
    options = {
        "key": {"secret": "S3_KEY"},
        "secret": {"secret": "S3_SECRET"},
        "client_kwargs": {"endpoint_url": url},
    }
    yield Store(work, "s3", options, own, secret)
    for found in own.list_objects_v2(Bucket="agency").get("Contents", ()):
        own.delete_object(Bucket="agency", Key=found["Key"])


@pytest.fixture(scope="module")
def azure_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Any]]:
    """An Azure Blob server; one for all tests."""
    with object_stores.azure_serving(tmp_path_factory.mktemp("azurite")) as url:
        from azure.storage.blob import BlobServiceClient

        own = BlobServiceClient.from_connection_string(connection(url, AZURE_KEY))
        own.create_container("agency")
        yield url, own


@pytest.fixture
def azure(azure_server: Any, work: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """An Azure Blob store, empty again afterwards."""
    url, own = azure_server
    monkeypatch.setenv("AZURE", connection(url, AZURE_KEY))
    monkeypatch.setenv("AZURE_OTHER", connection(url, AZURE_KEY[::-1].replace("=", "") + "="))
    yield Store(work, "az", {"connection_string": {"secret": "AZURE"}}, own, AZURE_KEY)
    container = own.get_container_client("agency")
    for blob in container.list_blob_names():
        container.delete_blob(blob)


@pytest.fixture(params=["s3", "azure"])
def store(request: pytest.FixtureRequest) -> Store:
    """Each of the two."""
    made: Store = request.getfixturevalue(request.param)
    return made


def connection(url: str, key: str) -> str:
    """What Azure's libraries call a connection string."""
    return (
        f"DefaultEndpointsProtocol=http;AccountName={AZURE_ACCOUNT};AccountKey={key};"
        f"BlobEndpoint={url}/{AZURE_ACCOUNT};"
    )


def test_a_file_comes_whole(store: Store) -> None:
    """In several blocks; what tells its version is kept only keyed."""
    store.put("out/deaths.csv", LONG)
    fetched = store.fetch("out/deaths.csv")
    assert [LONG] == [one.path.read_bytes() for one in fetched.snapshots]
    held = fetched.position["files"][0]
    assert ("deaths.csv", len(LONG), fetched.modified) == (held["name"], held["size"], held["modified"])
    assert held["version"].startswith("hmac-sha256:")
    assert () == fetched.notes


@pytest.mark.parametrize(("take", "expected"), [("newest", [2]), ("all", [1, 2])])
def test_of_several_files_the_wanted_ones_are_taken(store: Store, take: str, expected: list[int]) -> None:
    """By * in the last part of the address."""
    for month in (1, 2):
        store.put(f"out/deaths-{month}.csv", b"month\n%d\n" % month)
    store.put("out/towns.csv", b"other\n")
    store.put("out/deaths-9.csv/inside.csv", b"deeper\n")
    fetched = store.fetch("out/deaths-*.csv", take=take)
    assert [f"deaths-{month}.csv" for month in expected] == [one.name for one in fetched.snapshots]


def test_what_was_released_is_not_new(store: Store) -> None:
    """Until other bytes lie there, even of the same size and within the same second."""
    store.put("deaths.csv", b"a\n1\n")
    position = store.fetch("deaths.csv").position
    store.failed(NothingNew, "deaths.csv", position=position)
    store.put("deaths.csv", b"a\n2\n")
    assert b"a\n2\n" == store.fetch("deaths.csv", position=position).snapshots[0].path.read_bytes()


@pytest.mark.parametrize("path", ["missing.csv", "missing/deaths.csv", "missing/*.csv", "out"])
def test_a_file_that_is_not_there_is_named(store: Store, path: str) -> None:
    """Exit 6, and told from credentials that are wrong; a folder is no file."""
    store.put("out/deaths.csv", b"a\n1\n")
    assert (
        f"is not on {store.protocol}://agency, or may not be read." in store.failed(SourceInvalid, path).what
    )


def test_a_container_that_is_not_there_is_not_there(store: Store) -> None:
    """Exit 6."""
    error = store.failed(SourceInvalid, "deaths.csv", container="nobody")
    assert f"deaths.csv is not on {store.protocol}://nobody" in error.what


def test_a_file_over_the_limit_is_not_fetched(store: Store) -> None:
    """at_most_mb is looked at before the first byte."""
    store.put("deaths.csv", LONG)
    assert "larger than the 2 MB" in store.failed(SourceInvalid, "deaths.csv", at_most_mb=2).what


@pytest.mark.parametrize("path", ["deaths.csv", "*.csv"])
@pytest.mark.parametrize(
    "more", [{"secret": {"secret": "OTHER"}}, {"key": "nobody"}, {"key": None, "secret": None}]
)
def test_wrong_credentials_for_s3_are_said_to_be_wrong(s3: Store, path: str, more: dict[str, Any]) -> None:
    """A wrong secret, an unknown key, and none at all where there is none."""
    s3.put("deaths.csv", b"a\n1\n")
    s3.options = {name: value for name, value in {**s3.options, **more}.items() if value is not None}
    error = s3.failed(UsageError, path)
    assert f"s3://agency {REFUSED}" == error.what
    assert_text("address-refused", error)


@pytest.mark.parametrize("path", ["deaths.csv", "*.csv"])
def test_wrong_credentials_for_azure_are_said_to_be_wrong(azure: Store, path: str) -> None:
    """Neither the account's key nor the signature is quoted."""
    azure.put("deaths.csv", b"a\n1\n")
    error = azure.failed(UsageError, path, connection_string={"secret": "AZURE_OTHER"})
    assert f"az://agency {REFUSED}" == error.what


def test_options_that_make_no_sense_are_said_to(azure: Store) -> None:
    """A connection string that is none."""
    error = azure.failed(UsageError, "deaths.csv", connection_string={"secret": "OTHER"})
    assert "The options for az://agency make no sense to its library (ValueError)." == error.what


def test_a_store_that_is_not_there_is_worth_another_try(s3: Store) -> None:
    """Exit 3."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        error = s3.failed(SourceFailed, "deaths.csv", client_kwargs={"endpoint_url": url})
    assert "s3://agency could not be reached, or broke off (EndpointConnectionError)." == error.what


def test_a_certificate_of_an_unknown_authority_is_not_trusted(s3: Store, tmp_path: Path) -> None:
    """Exit 3; nothing is read."""
    with object_stores.untrusted(tmp_path) as url:
        error = s3.failed(SourceFailed, "deaths.csv", client_kwargs={"endpoint_url": url})
    assert_text("address-certificate", error)


@pytest.fixture
def wire(s3: Store) -> Iterator[Wire]:
    """A wire between ctnb and the S3 server."""
    with object_stores.wired(s3.options["client_kwargs"]["endpoint_url"]) as made:
        s3.options = {**s3.options, "client_kwargs": {"endpoint_url": f"http://127.0.0.1:{made.port}"}}
        yield made


def test_a_broken_transfer_goes_on_where_it_ended(s3: Store, wire: Wire) -> None:
    """The bytes are those of the store."""
    s3.put("deaths.csv", LONG)
    wire.cut_after, wire.cuts = 2 << 20, 3
    assert LONG == s3.fetch("deaths.csv").snapshots[0].path.read_bytes()
    assert 0 == wire.cuts


def test_a_server_that_stops_half_way_again_and_again_is_left(s3: Store, wire: Wire) -> None:
    """Exit 3, and no half of a file stays."""
    s3.put("deaths.csv", LONG)
    wire.cut_after, wire.cuts = 2 << 20, 10_000
    error = s3.failed(SourceFailed, "deaths.csv")
    assert (
        f"deaths.csv broke off on s3://agency after 0 of {len(LONG):,} bytes, and at each try to go on."
        == error.what
    )
