"""Files on an FTP server: a real one on loopback, with TLS by an authority made for the test."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ftp_server
import pytest
import reading_files
from error_texts import assert_text, whole_story
from ftp_server import PASSWORD, USER, Behaviour
from prerequisites import lacking

from ctnb import secrets
from ctnb.contracts.places import Ftp
from ctnb.datasets import Contract, Dataset
from ctnb.errors import NothingNew, SourceFailed, SourceInvalid, UsageError
from ctnb.places import ftp_files
from ctnb.places.fetched import Fetched, Progress, Request
from ctnb.snapshots import CHUNK_BYTES

pytestmark = pytest.mark.servers

LONG = b"town,deaths\n" + b"Hartford,12\n" * 400_000


class Files:
    """A server's files, how it behaves, and fetching from it."""

    def __init__(self, folder: Path, port: int, behaviour: Behaviour, authority: Path | None) -> None:
        self.root, self.port, self.behaviour, self.authority = folder / "ftp", port, behaviour, authority
        self.work = folder / "work"
        self.seen: list[Progress] = []
        self.slept: list[float] = []

    def put(self, name: str, content: bytes, age_s: int = 0) -> Path:
        """A file on the server, last changed `age_s` seconds after the beginning of 2020."""
        path = self.root / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(content)
        os.utime(path, (1577836800 + age_s,) * 2)
        return path

    def place(self, path: str, **more: Any) -> Ftp:
        """A form that names `path` on the server."""
        said = {
            "host": "localhost", "port": self.port, "path": path, "user": USER, "password": {"secret": "FTP_PASSWORD"},
            "tls": self.authority is not None, "ca_file": str(self.authority) if self.authority else None, **more,
        }  # fmt: skip
        return Ftp.model_validate(said)

    def request(self, **more: Any) -> Request:
        """A request for the folder work/."""
        return Request(
            work=self.work, folder=self.work, project=self.work, roots=(), secret=secrets.value,
            progress=self.seen.append, **more,
        )  # fmt: skip

    def fetch(self, path: str, position: Any = None, again: bool = False, **more: Any) -> Fetched:
        """What fetching `path` gives."""
        request = self.request(position=position or {}, again=again)
        return ftp_files.fetch(self.place(path, **more), request, sleep=self.slept.append)

    def failed(self, kind: type[BaseException], path: str, **more: Any) -> BaseException:
        """The error of fetching `path`, which leaves nothing behind and tells no secret."""
        before = list(self.work.iterdir())
        with pytest.raises(kind) as caught:
            self.fetch(path, **more)
        assert before == list(self.work.iterdir())
        assert PASSWORD not in whole_story(caught.value)
        return caught.value


@pytest.fixture
def behaviour() -> Behaviour:
    """What the server does wrong: nothing unless a test says so before it asks."""
    return Behaviour()


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    logging.getLogger("pyftpdlib").setLevel(logging.ERROR)
    monkeypatch.setenv("FTP_PASSWORD", PASSWORD)


@pytest.fixture
def files(tmp_path: Path, behaviour: Behaviour) -> Iterator[Files]:
    """A server that speaks TLS."""
    import trustme

    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    (tmp_path / "ftp").mkdir()
    (tmp_path / "work").mkdir()
    certificate = tmp_path / "server.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    with ftp_server.serving(tmp_path / "ftp", behaviour, certificate) as port:
        yield Files(tmp_path, port, behaviour, tmp_path / "authority.pem")


@pytest.fixture
def open_files(tmp_path: Path, behaviour: Behaviour) -> Iterator[Files]:
    """A server without TLS."""
    (tmp_path / "ftp").mkdir()
    (tmp_path / "work").mkdir()
    with ftp_server.serving(tmp_path / "ftp", behaviour) as port:
        yield Files(tmp_path, port, behaviour, None)


def test_a_file_comes_whole_over_tls_with_its_progress(files: Files) -> None:
    """Commands and data are protected, and the bytes are those of the server."""
    files.put("out/deaths.csv", LONG)
    fetched = files.fetch("out/deaths.csv")
    assert [LONG] == [one.path.read_bytes() for one in fetched.snapshots]
    assert ("deaths.csv", "snapshot.csv") == (fetched.snapshots[0].name, fetched.snapshots[0].path.name)
    assert "2020-01-01T00:00:00.000000Z" == fetched.modified
    assert Progress("deaths.csv", len(LONG), len(LONG)) == files.seen[-1]
    assert ["AUTH TLS", "PBSZ 0", "PROT P"] == files.behaviour.commands[:3]
    held = {
        "name": "deaths.csv",
        "size": len(LONG),
        "modified": "2020-01-01T00:00:00.000000Z",
        "version": None,
    }
    assert {"at": "localhost/out", "files": [held], "earlier": []} == fetched.position


def test_a_table_is_read_from_the_server(files: Files, tmp_path: Path) -> None:
    """From dataset.yml to rows that are typed and accounted for."""
    files.put("deaths.csv", b"town,deaths\nHartford,12\nNew Haven,nine\n")
    columns = [{"name": "town", "type": "text"}, {"name": "deaths", "type": "integer"}]
    place = files.place("deaths.csv").model_dump(exclude_none=True)
    contract = Contract.model_validate(
        {
            "format": 1,
            "title": "A",
            "source": {"ftp": place},
            "columns": columns,
            "rejects": {"at_most_share": 1},
        }
    )
    found = reading_files.read(Dataset("deaths", tmp_path / "notebooks" / "deaths", contract, ""), files.work)
    assert (2, 1, 1) == (found.rows_read, found.table.rows, found.rows_rejected)


def test_plain_ftp_is_spoken_only_when_asked_for(open_files: Files) -> None:
    """A server without TLS gets neither user nor password unless the contract says tls: false."""
    open_files.put("deaths.csv", b"a\n1\n")
    error = open_files.failed(UsageError, "deaths.csv", tls=True)
    assert_text("ftp-no-tls", error)
    assert ["AUTH TLS"] == open_files.behaviour.commands
    assert b"a\n1\n" == open_files.fetch("deaths.csv").snapshots[0].path.read_bytes()


def test_a_server_that_wants_tls_is_not_given_the_password_in_the_clear(files: Files) -> None:
    """It refuses at once, and the hint names tls."""
    files.put("deaths.csv", b"a\n1\n")
    error = files.failed(UsageError, "deaths.csv", tls=False)
    assert "The server may want TLS: leave out tls: false." in str(error)


@pytest.mark.parametrize("more", [{"password": {"secret": "OTHER"}}, {"user": "nobody"}])
def test_wrong_credentials_are_said_to_be_wrong(
    files: Files, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]
) -> None:
    """Neither the password nor what the server said about it is quoted."""
    monkeypatch.setenv("OTHER", "not-that-one")
    files.put("deaths.csv", b"a\n1\n")
    error = files.failed(UsageError, "deaths.csv", **more)
    assert_text("ftp-login", error)
    assert "not-that-one" not in whole_story(error)


def test_a_password_with_a_line_break_is_refused_before_it_is_sent(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would end the command, and what follows would be another."""
    monkeypatch.setenv("FTP_PASSWORD", f"{PASSWORD}\r\nDELE deaths.csv")
    error = files.failed(UsageError, "deaths.csv")
    assert "holds a line break" in str(error)
    assert [] == files.behaviour.commands


def test_a_certificate_of_an_unknown_authority_is_not_trusted(files: Files) -> None:
    """The password is not sent."""
    error = files.failed(SourceFailed, "deaths.csv", ca_file=None)
    assert_text("ftp-certificate", error)
    assert ["AUTH TLS"] == files.behaviour.commands


def test_a_certificate_of_another_host_is_not_trusted(files: Files) -> None:
    """The name in the certificate is compared with host."""
    error = files.failed(SourceFailed, "deaths.csv", host="127.0.0.1")
    assert "127.0.0.1" in str(error) and "not valid for" in str(error)


def test_a_ca_file_that_is_not_there_is_named(files: Files) -> None:
    """By its name alone."""
    error = files.failed(UsageError, "deaths.csv", ca_file="missing.pem")
    assert "missing.pem under ca_file: is not there or holds no certificate in PEM." == str(error)


@pytest.mark.parametrize("path", ["missing.csv", "missing/deaths.csv", "missing/*.csv"])
def test_a_file_that_is_not_there_is_named(files: Files, path: str) -> None:
    """Exit 6: trying again does not help."""
    error = files.failed(SourceInvalid, path)
    assert "not on localhost" in str(error)


def test_no_server_at_all_is_worth_another_try(files: Files) -> None:
    """Exit 3."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        error = files.failed(SourceFailed, "a.csv", host="127.0.0.1", port=unused.getsockname()[1])
    assert "127.0.0.1 takes no connection at this port." == str(error).splitlines()[0]


def test_a_server_that_says_nothing_is_left(files: Files) -> None:
    """After timeout_s."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = files.failed(
            SourceFailed, "a.csv", host="127.0.0.1", port=silent.getsockname()[1], timeout_s=0.1
        )
    assert "127.0.0.1 did not answer in time." == str(error).splitlines()[0]


def test_a_broken_transfer_goes_on_where_it_ended(files: Files) -> None:
    """By REST; the digest is that of the whole file."""
    files.put("deaths.csv", LONG)
    files.behaviour.breaks_after, files.behaviour.breaks = 2 * CHUNK_BYTES, 2
    fetched = files.fetch("deaths.csv")
    assert LONG == fetched.snapshots[0].path.read_bytes()
    assert fetched.snapshots[0].digest == files.fetch("deaths.csv").snapshots[0].digest
    rests = [int(line.split()[1]) for line in files.behaviour.commands if line.startswith("REST")]
    assert [True, True] == [0 < rest < len(LONG) for rest in rests]


def test_a_server_without_rest_sends_the_file_again(files: Files) -> None:
    """From its beginning."""
    files.put("deaths.csv", LONG)
    files.behaviour.without = ("REST",)
    files.behaviour.breaks_after = CHUNK_BYTES
    assert LONG == files.fetch("deaths.csv").snapshots[0].path.read_bytes()


def test_a_server_that_stops_half_way_again_and_again_is_left(files: Files) -> None:
    """Exit 3, and no half of a file stays."""
    files.put("deaths.csv", LONG)
    files.behaviour.breaks_after, files.behaviour.breaks = 1000, 100
    error = files.failed(SourceFailed, "deaths.csv")
    assert_text("listing-broke-off", error)
    assert [0.1, 0.5, 2.0] == files.slept


def test_a_file_that_changes_while_it_is_read_is_left(files: Files) -> None:
    """Somebody is still writing it."""
    files.behaviour.on_transfer.append(files.put("deaths.csv", LONG))
    error = files.failed(SourceFailed, "deaths.csv")
    assert_text("listing-changed", error)


def test_a_file_over_the_limit_is_not_fetched(files: Files) -> None:
    """at_most_mb is looked at before the first byte."""
    files.put("deaths.csv", LONG)
    error = files.failed(SourceInvalid, "deaths.csv", at_most_mb=2)
    assert_text("listing-too-large", error)
    assert [] == [line for line in files.behaviour.commands if line.startswith("RETR")]


def test_the_limit_holds_where_the_server_tells_no_size(files: Files) -> None:
    """Then it is the bytes that came which count."""
    files.behaviour.without = ("SIZE", "MDTM")
    files.put("deaths.csv", LONG)
    assert "larger than" in str(files.failed(SourceInvalid, "deaths.csv", at_most_mb=2))
    assert LONG == files.fetch("deaths.csv").snapshots[0].path.read_bytes()


def test_an_empty_file_is_refused(files: Files) -> None:
    """An export that failed is often a file of no bytes."""
    files.put("deaths.csv", b"")
    assert "deaths.csv is empty" in str(files.failed(SourceInvalid, "deaths.csv"))


def drop(files: Files) -> None:
    """Three monthly files, and what is not one."""
    for month in (1, 2, 3):
        files.put(f"out/deaths-0{month}.csv", b"month\n%d\n" % month, age_s=month)
    files.put("out/deaths-04.csv.part", b"half", age_s=9)
    files.put("out/.deaths-05.csv", b"hidden", age_s=9)
    files.put("out/towns.csv", b"another", age_s=9)
    (files.root / "out" / "deaths-99.csv").mkdir()


@pytest.mark.parametrize("without", [(), ("MLSD",)])
@pytest.mark.parametrize(
    ("take", "expected"),
    [("newest", ["03"]), ("oldest", ["01"]), ("all", ["01", "02", "03"]), ("new", ["01", "02", "03"])],
)
def test_of_several_files_the_wanted_ones_are_taken(
    files: Files, without: tuple[str, ...], take: str, expected: list[str]
) -> None:
    """By MLSD, and with a server that has none by NLST; hidden, unfinished files and folders never."""
    files.behaviour.without = without
    drop(files)
    fetched = files.fetch("out/Deaths-*.csv", take=take)
    assert [f"deaths-{month}.csv" for month in expected] == [one.name for one in fetched.snapshots]
    assert f"2020-01-01T00:00:{expected[-1]}.000000Z" == fetched.modified


def test_what_was_released_is_not_new(files: Files) -> None:
    """Neither the newest file nor any that a release held before; unless everything is asked for again."""
    drop(files)
    position = files.fetch("out/deaths-*.csv").position
    assert_text("listing-nothing-new", files.failed(NothingNew, "out/deaths-*.csv", position=position))
    assert "deaths-03.csv" == files.fetch("out/deaths-*.csv", position=position, again=True).snapshots[0].name


def test_the_oldest_files_are_read_one_by_one(files: Files) -> None:
    """Each release takes the next."""
    drop(files)
    position: Any = {}
    for month in (1, 2, 3):
        fetched = files.fetch("out/deaths-*.csv", take="oldest", position=position)
        assert [f"deaths-0{month}.csv"] == [one.name for one in fetched.snapshots]
        position = fetched.position
    files.failed(NothingNew, "out/deaths-*.csv", take="oldest", position=position)


def test_a_file_that_changed_is_new(files: Files) -> None:
    """Its time or its size differs."""
    files.put("deaths.csv", b"a\n1\n")
    position = files.fetch("deaths.csv").position
    files.failed(NothingNew, "deaths.csv", position=position)
    files.put("deaths.csv", b"a\n2\n", age_s=60)
    assert b"a\n2\n" == files.fetch("deaths.csv", position=position).snapshots[0].path.read_bytes()


def test_a_pattern_that_fits_nothing_is_an_error_until_something_was_released(files: Files) -> None:
    """At first it is a mistake in the contract; later the files were taken away."""
    drop(files)
    position = files.fetch("out/deaths-*.csv").position
    assert_text("listing-no-fit", files.failed(SourceInvalid, "out/births-*.csv"))
    files.failed(NothingNew, "out/births-*.csv", position=position)


def test_names_that_no_time_tells_apart_are_asked_about(files: Files) -> None:
    """Without MLSD and MDTM nobody knows which file is the newest; all of them can be read."""
    files.behaviour.without = ("MLSD", "MDTM")
    drop(files)
    assert_text("listing-no-times", files.failed(SourceInvalid, "out/deaths-*.csv"))
    assert 3 == len(files.fetch("out/deaths-*.csv", take="all").snapshots)


def test_what_another_folder_held_says_nothing_of_this_one(files: Files) -> None:
    """A file of the same name, size and time elsewhere is another file."""
    files.put("old/deaths.csv", b"a\n1\n")
    files.put("new/deaths.csv", b"a\n2\n")
    position = files.fetch("old/deaths.csv").position
    assert b"a\n2\n" == files.fetch("new/deaths.csv", position=position).snapshots[0].path.read_bytes()


def test_a_server_that_insists_on_one_tls_session_is_content(tmp_path: Path) -> None:
    """vsftpd wants data to go on with the TLS session of the commands, and has no MLSD."""
    import trustme

    program = shutil.which("vsftpd", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        lacking("vsftpd is not installed: apt-get install vsftpd")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(
        str(tmp_path / "server.pem")
    )
    for name in ("ftp", "empty", "work"):
        (tmp_path / name).mkdir(mode=0o555 if name == "ftp" else 0o755)
    (tmp_path / "ftp" / "deaths.csv").write_bytes(LONG)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "vsftpd.conf").write_text(
        f"listen=YES\nlisten_port={port}\nlisten_address=127.0.0.1\nbackground=NO\nrun_as_launching_user=YES\n"
        f"anonymous_enable=YES\nno_anon_password=YES\nanon_root={tmp_path}/ftp\nsecure_chroot_dir={tmp_path}/empty\n"
        "ftp_username=daemon\nssl_enable=YES\nallow_anon_ssl=YES\nforce_anon_data_ssl=YES\nrequire_ssl_reuse=YES\n"
        f"force_anon_logins_ssl=YES\nrsa_cert_file={tmp_path}/server.pem\nseccomp_sandbox=NO\n"
    )
    place = Ftp(host="localhost", port=port, path="*.csv", ca_file="authority.pem")
    request = Request(work=tmp_path / "work", folder=tmp_path, project=tmp_path, roots=())
    with subprocess.Popen([program, str(tmp_path / "vsftpd.conf")]) as server:
        try:
            wait_for(port)
            fetched = ftp_files.fetch(place, request)
        finally:
            server.terminate()
    assert [LONG] == [one.path.read_bytes() for one in fetched.snapshots]


def wait_for(port: int) -> None:
    """Return once something listens."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise AssertionError("the server did not begin to listen")
