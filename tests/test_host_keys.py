"""Host keys: which one a server may have, by fingerprint or by a file as OpenSSH writes it."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from error_texts import assert_text

from ctnb.errors import SourceInvalid, UsageError
from ctnb.places.host_keys import Expected, HostKey, expected

BLOB = "AAAAC3NzaC1lZDI1NTE5AAAAIDnCTpGaGOcbsb7A3L5CtGKfOw77+8QQxZD3rYuUs1dS"
KEY = HostKey("ssh-ed25519", base64.b64decode(BLOB))
OTHER = HostKey("ssh-ed25519", KEY.blob[:-1] + b"?")
HOST = "sftp.example.gov"
LINE = f"{HOST} ssh-ed25519 {BLOB}"
HASHED = (
    f"|1|6qRAhme8u4n/6rF6UlqI4DzsVFU=|Fy1NWtY8PdX69fTHWEWWtadrRDw= ssh-ed25519 {BLOB}",
    f"|1|bJdZNOQqkHDSbXyUPpVKNOKudHE=|N3HzJbDhDZ4yTPIUdDeAIEflGzc= ssh-ed25519 {BLOB}",
)
"""Made with ssh-keygen -H: the names sftp.example.gov and [sftp.example.gov]:2222."""


def known(tmp_path: Path, *lines: str, host: str = HOST, port: int = 22) -> Expected:
    """What a file of `lines` tells of a server."""
    (tmp_path / "known_hosts").write_text("\n".join(lines), encoding="utf-8")
    return expected(host, port, None, tmp_path / "known_hosts")


def test_a_fingerprint_is_written_as_openssh_writes_it() -> None:
    """As ssh-keygen -l showed it for this key."""
    assert "SHA256:+WS0SQc0RP2r+BRDWTdMxCRZrNxNXWsK+XUI2LcpGJw" == KEY.fingerprint


@pytest.mark.parametrize(
    ("line", "port"),
    [
        (LINE, 22),
        (f"  other.example.gov,{HOST}   ssh-ed25519 {BLOB} a comment", 22),
        (f"*.example.gov ssh-ed25519 {BLOB}", 22),
        (f"SFTP.Example.gov ssh-ed25519 {BLOB}", 22),
        (f"[{HOST}]:2222 ssh-ed25519 {BLOB}", 2222),
        (HASHED[0], 22),
        (HASHED[1], 2222),
    ],
)
def test_a_key_in_the_file_is_known(tmp_path: Path, line: str, port: int) -> None:
    """By name, by one of several, by a pattern, in any case, with a port, and hashed."""
    found = known(tmp_path, "# a comment", "", line, port=port)
    assert None is found.trouble(KEY)
    assert ("ssh-ed25519",) == found.kinds
    assert isinstance(found.trouble(OTHER), SourceInvalid)


@pytest.mark.parametrize(
    ("line", "port"),
    [
        (LINE, 2222),
        (f"#{LINE}", 22),
        (f"@cert-authority {LINE}", 22),
        (f"!{HOST},*.example.gov ssh-ed25519 {BLOB}", 22),
        (f"evil-{HOST} ssh-ed25519 {BLOB}", 22),
        (f"{HOST} ssh-ed25519 AAAA?", 22),
        (f"{HOST} ssh-ed25519", 22),
        (HASHED[1], 22),
        ("|1|x|y ssh-ed25519 " + BLOB, 22),
    ],
)
def test_a_line_of_another_server_says_nothing_of_this_one(tmp_path: Path, line: str, port: int) -> None:
    """Nor does an authority's line, or one that cannot be read."""
    found = known(tmp_path, line, port=port)
    assert () == found.keys
    assert isinstance(found.trouble(KEY), UsageError)


def test_a_revoked_key_is_no_key(tmp_path: Path) -> None:
    """Even where the same key stands there as known."""
    assert isinstance(known(tmp_path, LINE, f"@revoked * ssh-ed25519 {BLOB}").trouble(KEY), SourceInvalid)


def test_a_server_may_have_several_keys(tmp_path: Path) -> None:
    """While they are exchanged, two of one kind."""
    another = base64.b64encode(OTHER.blob).decode()
    found = known(tmp_path, LINE, f"{HOST} ssh-ed25519 {another}", f"{HOST} ssh-rsa {another}")
    assert (None, None) == (found.trouble(KEY), found.trouble(OTHER))
    assert ("ssh-ed25519", "ssh-rsa") == found.kinds


def test_a_fingerprint_counts_alone(tmp_path: Path) -> None:
    """The file is not looked at."""
    (tmp_path / "known_hosts").write_text(LINE)
    found = expected(HOST, 22, OTHER.fingerprint, tmp_path / "known_hosts")
    assert None is found.trouble(OTHER)
    trouble = found.trouble(KEY)
    assert isinstance(trouble, SourceInvalid)
    assert_text("host-key-another", trouble)


def test_an_unknown_server_shows_what_to_ask_for(tmp_path: Path) -> None:
    """A file that is not there knows nobody."""
    trouble = expected(HOST, 2222, None, tmp_path / "missing").trouble(KEY)
    assert isinstance(trouble, UsageError)
    assert_text("host-key-unknown", trouble)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A folder in its place, for one."""
    with pytest.raises(UsageError, match="The file of host keys known_hosts cannot be read"):
        (tmp_path / "known_hosts").mkdir()
        expected(HOST, 22, None, tmp_path / "known_hosts")
