"""`ctnb portal backup`: the embedded portal's file copied while it is served."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest
from portal_fixture import running_portal, started

from ctnb.embedded.backups import back_up
from ctnb.errors import OutsideFailed, UsageError


def test_a_copy_made_while_it_is_served_holds_what_was_acknowledged(tmp_path: Path) -> None:
    """Rows and accounts are there when a portal is served from the copy; the first one goes on."""
    copy = tmp_path / "copies" / "monday.sqlite"
    copy.parent.mkdir()
    with running_portal(tmp_path) as portal:
        uid = portal.create(("a", "text"))
        assert portal.ask("POST", f"/resource/{uid}.json", json=[{"a": "x"}]).ok
        size = back_up(portal.file, copy)
        assert portal.ask("POST", f"/resource/{uid}.json", json=[{"a": "y"}]).ok
        rows = portal.rows(uid)
        account = portal.auth
    with started(copy, *account) as again:
        kept = again.rows(uid)
    assert (rows, kept) == ([{"a": "x"}, {"a": "y"}], [{"a": "x"}])
    assert size > 0
    assert sys.platform == "win32" or stat.S_IMODE(copy.stat().st_mode) == 0o600


def test_nothing_is_written_over_and_nothing_half_is_left(tmp_path: Path) -> None:
    """A file that is there stays; a portal whose file is damaged leaves no copy."""
    (tmp_path / "there.sqlite").write_bytes(b"mine")
    (tmp_path / "broken.sqlite").write_bytes(b"no portal at all" * 600)
    with pytest.raises(UsageError):
        back_up(tmp_path / "broken.sqlite", tmp_path / "there.sqlite")
    with pytest.raises(UsageError):
        back_up(tmp_path / "nothing.sqlite", tmp_path / "new.sqlite")
    with pytest.raises(OutsideFailed):
        back_up(tmp_path / "broken.sqlite", tmp_path / "new.sqlite")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["broken.sqlite", "there.sqlite"]
    assert (tmp_path / "there.sqlite").read_bytes() == b"mine"
