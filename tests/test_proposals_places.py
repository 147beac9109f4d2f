"""Proposing a dataset from where its rows lie: folders, addresses, databases, portals; secrets by name alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner
from loopback import Question, Reply, serving
from portal_fixture import Running, running_portal
from ruamel.yaml import YAML

from ctnb import datasets, settings
from ctnb.cli import main
from ctnb.contracts.sources import Source
from ctnb.errors import SourceFailed, SourceInvalid, UsageError
from ctnb.proposals import places, proposing, types
from ctnb.proposals.places import Told
from ctnb.proposals.profiles import Profile
from ctnb.proposals.types import Choice
from ctnb.settings import Project
from ctnb.values import Kind

COUNTS = "Town;Zip;Visits\nAvon;06001;7\nBolton;06043;12\n"


def source_of(project: Project, slug: str) -> dict[str, Any]:
    """The source in the dataset.yml that was written, without what is not said there."""
    contract = datasets.dataset(slug, project.notebooks).contract
    return contract.source.model_dump(exclude_unset=True)


def types_of(project: Project, slug: str) -> dict[str, str]:
    """The proposed types by name."""
    return {one.name: one.type for one in datasets.dataset(slug, project.notebooks).contract.columns}


FINGERPRINT = "SHA256:" + "a" * 43
CT = "https://data.ct.gov"
ODS = "https://data.example.gov/explore/dataset/town-budgets/table/"
S3_TOLD = Told(options={"endpoint_url": "http://localhost:9"}, secret_options={"key": "K", "secret": "S"})


@pytest.mark.parametrize(
    ("said", "told", "expected", "title"),
    [
        ("https://example.org/files/town-counts.csv", Told(), "{web: {url: SAID}}", "town-counts"),
        (
            "https://example.org/rows", Told(format="csv", secrets={"token": "T"}),
            "{web: {url: SAID, token: {secret: T}}, format: csv}", "rows",
        ),
        ("https://example.org/open-data/counts.csv", Told(), "{web: {url: SAID}}", "counts"),
        (
            f"{CT}/Health/Drug-Deaths/rybz-nyjw/about_data", Told(user="me", secrets={"password": "P"}),
            "{socrata: {dataset: SAID, user: me, password: {secret: P}}}", "Drug-Deaths",
        ),
        (f"{CT}/d/rybz-nyjw", Told(), "{socrata: {dataset: SAID}}", ""),
        (f"{CT}/resource/rybz-nyjw.json", Told(), "{socrata: {dataset: SAID}}", ""),
        (f"{CT}/api/views/rybz-nyjw/rows.csv?accessType=DOWNLOAD", Told(), "{socrata: {dataset: SAID}}", ""),
        ("https://example.org/year-2020", Told(place="web"), "{web: {url: SAID}}", "year-2020"),
        (ODS, Told(secrets={"key": "K"}), "{opendatasoft: {dataset: SAID, key: {secret: K}}}", "town-budgets"),
        (
            "s3://bucket/in/visits-*.csv", S3_TOLD,
            "{address: {url: SAID, options: {endpoint_url: 'http://localhost:9', key: {secret: K}, "
            "secret: {secret: S}}}}", "visits-",
        ),
        ("az://box/a.csv", Told(), "{address: {url: SAID}}", "a"),
        (
            "sftp://me@files.example.org:2222/out/a.csv", Told(secrets={"password": "P"}, fingerprint=FINGERPRINT),
            "{sftp: {host: files.example.org, path: /out/a.csv, port: 2222, user: me, password: {secret: P}, "
            f"fingerprint: '{FINGERPRINT}'}}}}", "a",
        ),
        (
            "sftp://files.example.org/a.csv", Told(key_file="keys/id", secrets={"user": "U", "passphrase": "W"}),
            "{sftp: {host: files.example.org, path: /a.csv, user: {secret: U}, key_file: keys/id, "
            "passphrase: {secret: W}}}", "a",
        ),
        ("ftp://files.example.org/a.csv", Told(), "{ftp: {host: files.example.org, path: /a.csv}}", "a"),
        (
            "ftps://me@files.example.org/a%20b.csv", Told(secrets={"password": "P"}, tls=False),
            "{ftp: {host: files.example.org, path: /a b.csv, user: me, password: {secret: P}, tls: false}}", "a b",
        ),
    ],
)  # fmt: skip
def test_an_address_says_what_kind_of_place_it_is(
    project: Project, said: str, told: Told, expected: str, title: str
) -> None:
    """By its scheme, and for web pages by their path; what is asked besides goes where it belongs."""
    found = places.located(project, "new", said, told)
    wanted = YAML(typ="safe").load(expected.replace("SAID", f"'{said}'"))
    assert found.source.model_dump(exclude_unset=True) == wanted
    assert found.title == title


@pytest.mark.parametrize(
    ("said", "told", "words"),
    [
        ("https://me:hunter2@example.org/a.csv", Told(), "has a password in it"),
        ("https://me@example.org/a.csv", Told(), "has a password in it"),
        ("sftp://me:hunter2@example.org/a.csv", Told(), "has a password in it"),
        ("sftp://me@example.org/a.csv", Told(), "names password: or key_file:"),
        ("s3://bucket/a.csv?token=hunter2", Told(), "without a query in it"),
        ("connection:cases", Told(), "A connection needs a query"),
        ("https://[/a.csv", Told(), "neither a path nor an address"),
        ("https://example.org/a", Told(format="hunter2"), "format: expected"),
    ],
)
def test_what_no_source_can_be_is_refused_without_quoting_it(
    project: Project, said: str, told: Told, words: str
) -> None:
    """A password stands on no terminal a second time."""
    with pytest.raises(UsageError, match=words) as refused:
        places.located(project, "new", said, told)
    assert "hunter2" not in str(refused.value) and refused.value.__cause__ is None


def test_a_folder_is_proposed_from_by_its_newest_file(project: Project) -> None:
    """The folder stands in the contract, with the pattern, and the delimiter that was seen; nothing is moved."""
    folder = project.notebooks / "incoming"
    folder.mkdir()
    (folder / "a.csv").write_text(COUNTS, encoding="utf-8")
    (folder / "notes.txt").write_text("nothing", encoding="utf-8")
    made = proposing.propose(project, "visits", str(folder), Told(pattern="*.csv"))
    assert made.account == "2 rows read = 2 kept + 0 rejected"
    assert source_of(project, "visits") == {
        "folder": {"path": "../incoming", "pattern": "*.csv"}, "delimiter": ";", "encoding": "utf-8",
    }  # fmt: skip
    assert sorted(path.name for path in folder.iterdir()) == ["a.csv", "notes.txt"]
    assert made.draft.title == "Incoming"


def test_a_folder_outside_the_roots_is_read_and_the_root_that_runs_need_is_told(
    project: Project, tmp_path: Path
) -> None:
    """As for a file."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "a.csv").write_text(COUNTS, encoding="utf-8")
    made = proposing.propose(project, "visits", str(folder))
    assert made.draft.notes[0].startswith(
        f"The source lies outside notebooks/: list its folder in ctnb.yml, roots: [{folder}]"
    )
    assert source_of(project, "visits")["folder"] == {"path": str(folder)}


def test_a_file_behind_an_address_is_proposed_from(project: Project) -> None:
    """It is fetched once; its name tells the title."""

    def answer(question: Question) -> Reply:
        return Reply(COUNTS.encode(), kind="text/csv")

    with serving(answer) as served:
        made = proposing.propose(project, "visits", f"{served.url}/files/town-visits.csv")
    assert source_of(project, "visits") == {
        "web": {"url": f"{served.url}/files/town-visits.csv"}, "delimiter": ";", "encoding": "utf-8",
    }  # fmt: skip
    assert (made.draft.title, made.rows_read) == ("Town visits", 2)
    assert types_of(project, "visits") == {"town": "text", "zip": "code", "visits": "integer"}


def test_nothing_is_left_behind_when_the_place_fails(project: Project) -> None:
    """Neither a folder of the dataset nor a fetched file."""
    with serving(lambda question: Reply(status=404)) as served, pytest.raises((SourceInvalid, SourceFailed)):
        proposing.propose(project, "visits", f"{served.url}/gone.csv")
    assert not (project.notebooks / "visits").exists()
    assert not list(project.private.glob("new-*"))


@pytest.fixture
def connected(project: Project) -> Project:
    """The project with a database of its own."""
    with duckdb.connect(project.root / "cases.duckdb") as connection:
        connection.execute(
            "CREATE TABLE visits (id INTEGER, town TEXT, room TEXT, seen DATE, fee DECIMAL(9, 2))"
        )
        rows = [(n, ["Avon", "Bolton"][n % 2], str(n), f"2024-01-0{1 + n % 9}", n + 0.5) for n in range(30)]
        connection.executemany("INSERT INTO visits VALUES (?, ?, ?, ?, ?)", rows)
    said = "connections:\n  cases: {kind: duckdb, path: cases.duckdb}\n"
    (project.root / "ctnb.yml").write_text(f"format: 1\nagency: Example agency\n{said}", encoding="utf-8")
    return settings.load(project.root)


def test_a_query_goes_along_into_the_dataset_s_folder(connected: Project, tmp_path: Path) -> None:
    """The contract names the copy, so that a run needs nothing else."""
    query = tmp_path / "open-visits.sql"
    query.write_text("SELECT id, town, room, seen FROM visits", encoding="utf-8")
    made = proposing.propose(connected, "visits", "connection:cases", Told(query=query))
    assert source_of(connected, "visits") == {"database": {"connection": "cases", "query": "open-visits.sql"}}
    copied = connected.notebooks / "visits" / "open-visits.sql"
    assert copied.read_text(encoding="utf-8") == query.read_text(encoding="utf-8")
    assert (made.draft.title, made.rows_read) == ("Open visits", 30)
    assert types_of(connected, "visits")["room"] == "text"  # the database says so, though all are digits
    assert types_of(connected, "visits")["id"] == "integer"


def test_another_query_of_the_same_name_is_not_replaced(connected: Project, tmp_path: Path) -> None:
    """Nor is anything else written."""
    query, there = tmp_path / "open.sql", connected.notebooks / "visits" / "open.sql"
    query.write_text("SELECT town FROM visits", encoding="utf-8")
    there.parent.mkdir()
    there.write_text("SELECT id FROM visits", encoding="utf-8")
    with pytest.raises(UsageError, match=r"There is another open\.sql in the dataset's folder"):
        proposing.propose(connected, "visits", "connection:cases", Told(query=query))
    assert [path.name for path in there.parent.iterdir()] == ["open.sql"]
    proposing.propose(connected, "visits", "connection:cases", Told(query=there))
    assert source_of(connected, "visits")["database"]["query"] == "open.sql"


def test_a_query_that_is_not_there_is_told(connected: Project, tmp_path: Path) -> None:
    """By its name."""
    with pytest.raises(SourceInvalid, match=r"The query file none\.sql is not there"):
        proposing.propose(connected, "visits", "connection:cases", Told(query=tmp_path / "none.sql"))


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """An embedded portal."""
    with running_portal(tmp_path_factory.mktemp("portal")) as running:
        yield running


def test_a_portal_s_types_count_more_than_guesses(portal: Running, project: Project) -> None:
    """A text of digits stays text, and a number without decimals a whole number, by its page's address."""
    columns = (
        ("town", "text"),
        ("room", "text"),
        ("visits", "number"),
        ("seen", "calendar_date"),
        ("open", "checkbox"),
    )
    uid = portal.create(*columns, public=True)
    rows = [
        {"town": "Avon", "room": str(n), "visits": n, "seen": f"2024-01-0{n}T00:00:00", "open": True}
        for n in range(1, 8)
    ]
    assert portal.ask("POST", f"/resource/{uid}.json", json=rows).status_code == 200
    made = proposing.propose(project, "visits", f"{portal.url}/Health/Town-visits/{uid}")
    assert made.rows_read == 7
    assert source_of(project, "visits") == {"socrata": {"dataset": f"{portal.url}/Health/Town-visits/{uid}"}}
    assert made.draft.title == "Town visits"
    found = types_of(project, "visits")
    assert (found["town"], found["room"], found["visits"], found["open"]) == (
        "text",
        "text",
        "integer",
        "boolean",
    )
    assert found["seen"] in ("timestamp", "date")


@pytest.mark.parametrize(
    ("header", "guess", "known", "misfits", "expected"),
    [
        ("Room", "text", "number", 0, "number"),
        ("Room", "text", "number", 3, "text"),
        ("Case id", "code", "integer", 0, "integer"),
        ("Case id", "code", "text", 0, "code"),
        ("Zip", "code", "number", 0, "code"),
        ("Visits", "integer", "number", 0, "integer"),
        ("Visits", "integer", "text", 0, "text"),
    ],
)
def test_the_place_s_type_counts_where_every_cell_fits_and_nothing_is_lost(
    header: str, guess: str, known: str, misfits: int, expected: str
) -> None:
    """ZIP codes stay codes; where a cell does not fit, the file says so."""
    profile = Profile(1, header, 10, 10, 5, False, 4, 4.0)
    found = types.as_known(Choice(Kind(guess)), known, Kind(known), misfits, profile)
    assert found.kind == Kind(expected)
    said = (
        f"The source calls it {known}; 3 of 10 cells do not fit that."
        if misfits
        else f"The source calls it {known}"
    )
    assert found.why == () if guess == expected and not misfits else found.why[0].startswith(said)


def test_the_command_takes_names_of_secrets_and_never_their_values(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the server is sent is the secret; what is written is its name."""
    asked: list[Question] = []

    def answer(question: Question) -> Reply:
        asked.append(question)
        return Reply(COUNTS.encode(), kind="text/csv")

    monkeypatch.chdir(project.root)
    monkeypatch.setenv("FILES_TOKEN", "hunter2")
    with serving(answer) as served:
        told = [
            "new",
            "visits",
            "--source",
            f"{served.url}/rows",
            "--format",
            "csv",
            "--token-secret",
            "FILES_TOKEN",
        ]
        done = CliRunner().invoke(main.cli, told)
    assert done.exit_code == 0, done.output
    assert asked[-1].headers["authorization"] == "Bearer hunter2"
    written = (project.notebooks / "visits/dataset.yml").read_text(encoding="utf-8")
    assert "hunter2" not in written + done.output
    assert source_of(project, "visits") == {
        "web": {"url": f"{served.url}/rows", "token": {"secret": "FILES_TOKEN"}},
        "format": "csv", "delimiter": ";", "encoding": "utf-8",
    }  # fmt: skip


def test_options_that_are_no_pairs_are_refused(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without what was written."""
    monkeypatch.chdir(project.root)
    done = CliRunner().invoke(main.cli, ["new", "x", "--source", "s3://a/b.csv", "--option", "hunter2"])
    assert done.exit_code == 2
    assert "written NAME=VALUE" in done.output and "hunter2" not in done.output


def test_what_is_said_of_the_file_is_written_and_read_by(project: Project) -> None:
    """Format, delimiter and encoding, where a name does not say or nobody could see it."""
    path = project.notebooks / "visits.dat"
    path.write_bytes("Town~Visits\nAñasco~7\n".encode("cp1252"))
    told = Told(format="csv", delimiter="~", encoding="cp1252")
    made = proposing.propose(project, "visits", str(path), told)
    assert (made.rows_read, types_of(project, "visits")) == (1, {"town": "text", "visits": "integer"})
    assert source_of(project, "visits") == {
        "path": "../visits.dat", "format": "csv", "delimiter": "~", "encoding": "cp1252",
    }  # fmt: skip


def test_the_delimiter_of_a_packed_file_is_seen(project: Project) -> None:
    """In the file inside."""
    import gzip

    path = project.notebooks / "visits.csv.gz"
    path.write_bytes(gzip.compress(COUNTS.encode()))
    proposing.propose(project, "visits", str(path))
    assert Source.model_validate(source_of(project, "visits")).delimiter == ";"
