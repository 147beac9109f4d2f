"""Files on an SFTP server: a real one on loopback, whose host key is known."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sftp_server
from error_texts import whole_story
from sftp_server import PASSWORD, USER, Behaviour

from ctnb import secrets
from ctnb.contracts.places import Sftp
from ctnb.errors import CtnbError, NothingNew, SourceFailed, SourceInvalid, UsageError
from ctnb.places import sftp_files
from ctnb.places.fetched import Fetched, Progress, Request
from ctnb.snapshots import CHUNK_BYTES

pytestmark = pytest.mark.servers

LONG = b"town,deaths\n" + b"Hartford,12\n" * 400_000
PASSPHRASE = "correct-horse"


class Files:
    """A server's files, how it behaves, and fetching from it."""

    def __init__(self, folder: Path, port: int, behaviour: Behaviour, hosts: list[Any], client: Any) -> None:
        self.root, self.port, self.behaviour, self.client = folder / "sftp", port, behaviour, client
        self.fingerprints = [key.get_fingerprint() for key in hosts]
        self.work, self.project = folder / "work", folder
        self.seen: list[Progress] = []
        self.slept: list[float] = []
        names = [f"[127.0.0.1]:{port} {key.export_public_key().decode()}" for key in hosts]
        (folder / "known_hosts").write_text("".join(names))
        for name, passphrase in (("key", None), ("locked-key", PASSPHRASE)):
            client.write_private_key(
                str(folder / name), passphrase=passphrase, rounds=1, ignore_few_rounds=True
            )
            (folder / name).chmod(0o600)

    def put(self, name: str, content: bytes, age_s: int = 0) -> Path:
        """A file on the server, last changed `age_s` seconds after the beginning of 2020."""
        path = self.root / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(content)
        os.utime(path, (1577836800 + age_s,) * 2)
        return path

    def fetch(self, path: str, position: Any = None, again: bool = False, **more: Any) -> Fetched:
        """What fetching `path` gives."""
        said = {
            "host": "127.0.0.1", "port": self.port, "path": path, "user": USER, "password": {"secret": "SFTP_PASSWORD"},
            "known_hosts": "known_hosts", **more,
        }  # fmt: skip
        place = Sftp.model_validate({name: value for name, value in said.items() if value is not None})
        request = Request(
            work=self.work, folder=self.work, project=self.project, roots=(), secret=secrets.value,
            progress=self.seen.append, position=position or {}, again=again,
        )  # fmt: skip
        return sftp_files.fetch(place, request, sleep=self.slept.append)

    def failed(self, kind: type[CtnbError], path: str, **more: Any) -> CtnbError:
        """The error of fetching `path`, which leaves nothing behind and tells no secret."""
        before = list(self.work.iterdir())
        with pytest.raises(kind) as caught:
            self.fetch(path, **more)
        assert before == list(self.work.iterdir())
        story = whole_story(caught.value)
        assert [] == [secret for secret in (PASSWORD, PASSPHRASE, "PRIVATE KEY") if secret in story]
        return caught.value


@pytest.fixture
def behaviour() -> Behaviour:
    """What the server does wrong: nothing unless a test says so before it asks."""
    return Behaviour()


@pytest.fixture
def files(tmp_path: Path, behaviour: Behaviour, monkeypatch: pytest.MonkeyPatch) -> Iterator[Files]:
    """A server with two host keys."""
    for name, secret in (
        ("SFTP_PASSWORD", PASSWORD),
        ("SFTP_PASSPHRASE", PASSPHRASE),
        ("OTHER", "not-that-one"),
    ):
        monkeypatch.setenv(name, secret)
    (tmp_path / "sftp").mkdir()
    (tmp_path / "work").mkdir()
    hosts, client = [sftp_server.key(), sftp_server.key("ecdsa-sha2-nistp256")], sftp_server.key()
    with sftp_server.serving(tmp_path / "sftp", behaviour, hosts, client) as port:
        yield Files(tmp_path, port, behaviour, hosts, client)


def test_a_file_comes_whole_with_its_progress(files: Files) -> None:
    """The bytes are those of the server."""
    files.put("out/deaths.csv", LONG)
    fetched = files.fetch("out/deaths.csv")
    assert [LONG] == [one.path.read_bytes() for one in fetched.snapshots]
    assert ("deaths.csv", "snapshot.csv") == (fetched.snapshots[0].name, fetched.snapshots[0].path.name)
    assert "2020-01-01T00:00:00.000000Z" == fetched.modified
    assert Progress("deaths.csv", len(LONG), len(LONG)) == files.seen[-1]
    held = {
        "name": "deaths.csv",
        "size": len(LONG),
        "modified": "2020-01-01T00:00:00.000000Z",
        "version": None,
    }
    assert {"at": "127.0.0.1/out", "files": [held], "earlier": []} == fetched.position


@pytest.mark.parametrize(
    "more",
    [
        {"key_file": "key", "password": None},
        {"key_file": "locked-key", "password": None, "passphrase": {"secret": "SFTP_PASSPHRASE"}},
    ],
)
def test_a_private_key_logs_in(files: Files, more: dict[str, Any]) -> None:
    """Open, or locked with a passphrase; no password is sent."""
    files.put("deaths.csv", b"a\n1\n")
    assert b"a\n1\n" == files.fetch("deaths.csv", **more).snapshots[0].path.read_bytes()
    assert {"key"} == set(files.behaviour.logins)


def test_a_server_may_want_key_and_password(files: Files) -> None:
    """Then both are given; one alone is refused."""
    files.behaviour.wants_both = True
    files.put("deaths.csv", b"a\n1\n")
    assert b"a\n1\n" == files.fetch("deaths.csv", key_file="key").snapshots[0].path.read_bytes()
    files.failed(UsageError, "deaths.csv")


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"password": {"secret": "OTHER"}}, "user: and password: in"),
        ({"user": "nobody"}, "user: and password: in"),
        ({"user": "nobody", "key_file": "key", "password": None}, "user: and key_file: in"),
    ],
)
def test_wrong_credentials_are_said_to_be_wrong(files: Files, more: dict[str, Any], expected: str) -> None:
    """The hint names what to check, never what was sent."""
    error = files.failed(UsageError, "deaths.csv", **more)
    assert "127.0.0.1 refused the account." == error.what
    assert expected in error.hint
    assert "not-that-one" not in whole_story(error)


@pytest.mark.parametrize(
    ("name", "content", "mode", "expected"),
    [
        ("missing", None, 0o600, "The private key missing is not there."),
        ("key", None, 0o644, "Others may read the private key key."),
        ("locked-key", None, 0o600, "The private key locked-key is locked."),
        (
            "text",
            "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n",
            0o600,
            "The private key text cannot be used.",
        ),
    ],
)
def test_a_private_key_that_does_not_serve_is_named(
    files: Files, name: str, content: str | None, mode: int, expected: str
) -> None:
    """Before anybody is connected to."""
    path = files.project / name
    if content:
        path.write_text(content)
    if path.exists():
        path.chmod(mode)
    assert expected == files.failed(UsageError, "deaths.csv", key_file=name).what


def test_another_passphrase_does_not_open_the_key(files: Files) -> None:
    """Neither it nor the key is quoted."""
    error = files.failed(UsageError, "a.csv", key_file="locked-key", passphrase={"secret": "OTHER"})
    assert "passphrase: must be what opens it" in error.hint


def test_an_unknown_host_key_ends_it_before_anything_is_sent(files: Files) -> None:
    """Exit 2: the contract has to say which key is right."""
    (files.project / "known_hosts").write_text("")
    error = files.failed(UsageError, "deaths.csv")
    assert "is not known, so nothing was sent to it" in error.what
    assert any(
        f"{kind} {one}" in error.hint
        for kind in ("ssh-ed25519", "ecdsa-sha2-nistp256")
        for one in files.fingerprints
    )
    assert [] == files.behaviour.logins
    assert "" == (files.project / "known_hosts").read_text()


def test_another_host_key_than_the_known_one_ends_it(files: Files) -> None:
    """Exit 6: somebody may be in between."""
    other = sftp_server.key().export_public_key().decode()
    (files.project / "known_hosts").write_text(f"[127.0.0.1]:{files.port} {other}")
    error = files.failed(SourceInvalid, "deaths.csv")
    assert "shows another host key than known_hosts has" in error.what
    assert [] == files.behaviour.logins


@pytest.mark.parametrize("number", [0, 1])
def test_a_fingerprint_of_any_of_its_keys_is_enough(files: Files, number: int) -> None:
    """The server is asked for its keys of other kinds; known_hosts is not looked at."""
    files.put("deaths.csv", b"a\n1\n")
    fetched = files.fetch("deaths.csv", fingerprint=files.fingerprints[number], known_hosts="missing")
    assert b"a\n1\n" == fetched.snapshots[0].path.read_bytes()


def test_another_fingerprint_ends_it(files: Files) -> None:
    """Even where known_hosts has the server's key."""
    error = files.failed(SourceInvalid, "deaths.csv", fingerprint=sftp_server.key().get_fingerprint())
    assert "shows another host key than fingerprint: in dataset.yml has" in error.what
    assert [] == files.behaviour.logins


def test_a_key_of_a_kind_that_is_known_is_asked_for(files: Files) -> None:
    """known_hosts has one of the server's two keys, whichever the server would choose."""
    files.put("deaths.csv", b"a\n1\n")
    for line in (files.project / "known_hosts").read_text().splitlines():
        (files.project / "one").write_text(line)
        assert 4 == files.fetch("deaths.csv", known_hosts="one").snapshots[0].bytes


def test_no_agent_and_no_key_that_lies_about_is_tried(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """The account's own key would log in, but the contract names a password."""
    home = files.project / "home" / ".ssh"
    home.mkdir(parents=True)
    (home / "id_ed25519").write_bytes((files.project / "key").read_bytes())
    monkeypatch.setenv("HOME", str(home.parent))
    files.failed(UsageError, "deaths.csv", password={"secret": "OTHER"})
    assert {"password"} == set(files.behaviour.logins)


@pytest.mark.parametrize("path", ["missing.csv", "missing/deaths.csv", "missing/*.csv", "folder"])
def test_a_file_that_is_not_there_is_named(files: Files, path: str) -> None:
    """Exit 6; a folder is no file."""
    (files.root / "folder").mkdir()
    assert "is not on 127.0.0.1, or may not be read." in files.failed(SourceInvalid, path).what


def test_a_server_that_is_none_is_worth_another_try(files: Files) -> None:
    """Exit 3, whether it is not there, says nothing, or speaks something else."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        error = files.failed(SourceFailed, "a.csv", port=unused.getsockname()[1])
    assert "127.0.0.1 takes no connection at this port." == error.what
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = files.failed(SourceFailed, "a.csv", port=silent.getsockname()[1], timeout_s=0.2)
    assert "127.0.0.1 does not answer as an SSH server." == error.what


def test_a_broken_transfer_goes_on_where_it_ended(files: Files) -> None:
    """The digest is that of the whole file."""
    files.put("deaths.csv", LONG)
    files.behaviour.breaks_after, files.behaviour.breaks = 2 * CHUNK_BYTES, 2
    fetched = files.fetch("deaths.csv")
    assert LONG == fetched.snapshots[0].path.read_bytes()
    assert [0, True, True] == [start and start < len(LONG) for start in files.behaviour.starts]


def test_a_server_that_stops_half_way_again_and_again_is_left(files: Files) -> None:
    """Exit 3, and no half of a file stays."""
    files.put("deaths.csv", LONG)
    files.behaviour.breaks_after, files.behaviour.breaks = 1000, 100
    error = files.failed(SourceFailed, "deaths.csv")
    assert "deaths.csv broke off on 127.0.0.1 after " in error.what
    assert [0.1, 0.5, 2.0] == files.slept


def test_a_file_that_changes_while_it_is_read_is_left(files: Files) -> None:
    """Somebody is still writing it."""
    files.behaviour.on_transfer.append(files.put("deaths.csv", LONG))
    error = files.failed(SourceFailed, "deaths.csv")
    assert "deaths.csv changed on 127.0.0.1 while it was read." == error.what


def test_a_file_over_the_limit_is_not_fetched(files: Files) -> None:
    """at_most_mb is looked at before the first byte."""
    files.put("deaths.csv", LONG)
    files.failed(SourceInvalid, "deaths.csv", at_most_mb=2)
    assert [] == files.behaviour.starts


@pytest.mark.parametrize(
    ("take", "expected"), [("newest", ["03"]), ("oldest", ["01"]), ("all", ["01", "02", "03"])]
)
def test_of_several_files_the_wanted_ones_are_taken(files: Files, take: str, expected: list[str]) -> None:
    """Links count as what they lead to; folders, dead links, hidden and unfinished files never."""
    for month in (1, 2):
        files.put(f"out/deaths-0{month}.csv", b"month\n%d\n" % month, age_s=month)
    files.put("else/linked", b"month\n3\n", age_s=3)
    (files.root / "out" / "deaths-03.csv").symlink_to("../else/linked")
    (files.root / "out" / "deaths-04.csv").symlink_to("nowhere")
    (files.root / "out" / "deaths-99.csv").mkdir()
    files.put("out/deaths-05.csv.filepart", b"half", age_s=9)
    fetched = files.fetch("out/deaths-*.csv", take=take)
    assert [f"deaths-{month}.csv" for month in expected] == [one.name for one in fetched.snapshots]


def test_what_was_released_is_not_new(files: Files) -> None:
    """Unless it changed, or everything is asked for again."""
    files.put("deaths.csv", b"a\n1\n")
    position = files.fetch("deaths.csv").position
    files.failed(NothingNew, "deaths.csv", position=position)
    assert 4 == files.fetch("deaths.csv", position=position, again=True).snapshots[0].bytes
    files.put("deaths.csv", b"a\n2\n", age_s=60)
    assert b"a\n2\n" == files.fetch("deaths.csv", position=position).snapshots[0].path.read_bytes()


def test_paramiko_is_asked_for_by_name(tmp_path: Path) -> None:
    """In a Python without it the error says how to install it."""
    program = (
        "import sys; sys.modules['paramiko'] = None\n"
        "from pathlib import Path\n"
        "from ctnb.contracts.places import Sftp\n"
        "from ctnb.errors import UsageError\n"
        "from ctnb.places import sftp_files\n"
        "from ctnb.places.fetched import Request\n"
        "here = Path.cwd()\n"
        "place = Sftp(host='localhost', path='a.csv', user='clerk', key_file='key')\n"
        "try:\n"
        "    sftp_files.fetch(place, Request(here, here, here, ()))\n"
        "except UsageError as error:\n"
        "    print(error)\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (
        ran.stdout
        == 'Reading from SFTP needs paramiko, which is not installed.\n  pip install "ctnb[sftp]"\n'
    )
