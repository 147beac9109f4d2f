"""`ctnb portal serve`: the rehearsal room as an operator starts it, and `local` finding it there."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from click.testing import CliRunner

from ctnb import projects, settings
from ctnb.cli.main import cli
from ctnb.cli.portals import portal
from ctnb.embedded import server
from ctnb.embedded.flags import FLAGS, given
from ctnb.embedded.server import Options
from ctnb.errors import LockHeld, PortalFailed
from ctnb.portals import local
from ctnb.settings import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty project."""
    return projects.init(tmp_path)


@contextlib.contextmanager
def served(project: Project, *options: str) -> Iterator[str]:
    """The line that `ctnb portal serve` prints once it listens; it is ended at the end of the block."""
    command = [sys.executable, "-m", "ctnb", "portal", "serve", "--port", "0", *options]
    process = subprocess.Popen(
        command, cwd=project.root, env={**os.environ, "CTNB_PROJECT": str(project.root)}, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield process.stdout.readline()
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_the_line_printed_names_the_address_that_answers(project: Project) -> None:
    """Also with any free port: it is printed once the portal listens, not before."""
    with served(project) as line:
        url = line.split()[3]
        assert requests.get(url, timeout=10).status_code == 200
        assert url == f"{local.address(project)}/"


def test_local_trusts_the_certificate_that_the_portal_made(project: Project) -> None:
    """A room that speaks TLS is used as it is; no second portal is started on its file."""
    with served(project, "--tls") as line, local.running(project) as url:
        assert f"{url}/" == line.split()[3]
        assert url.startswith("https://")


def test_local_says_so_where_the_certificate_is_another(project: Project, tmp_path: Path) -> None:
    """It neither trusts it nor starts a second portal on the same file."""
    with served(project, "--tls"):
        local.ca_file(project, "https://").unlink()  # type: ignore[union-attr]
        own = projects.init(tmp_path / "other")
        with served(own, "--tls"):
            foreign = local.ca_file(own, "https://")
            assert foreign is not None
            foreign.rename(local.ca_file(project, "https://"))  # type: ignore[arg-type]
        with pytest.raises(PortalFailed) as failed, local.running(project):
            pass
    assert "certificate that is not its own" in str(failed.value)


def test_a_second_one_on_the_same_file_is_refused(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two servers would work off the same jobs twice; the message names where it runs."""
    monkeypatch.chdir(project.root)
    with served(project) as line:
        refused = CliRunner().invoke(cli, ["portal", "serve", "--port", "0"])
    assert f"runs already, at {line.split()[3].rstrip('/')}." in refused.output


def test_two_processes_never_serve_one_file(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the second knows of the first: the file itself is held, until its process ends or is killed."""
    monkeypatch.setattr(server, "TAKEOVER_S", 0.0)
    with served(project):
        local.address_file(project).unlink()
        with pytest.raises(LockHeld, match=r"portal\.sqlite is in use by process"):
            server.serve(local.file(project))


def test_a_port_that_is_taken_is_named(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no address is printed that another program answers at."""
    monkeypatch.chdir(project.root)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        refused = CliRunner().invoke(cli, ["portal", "serve", "--port", str(port)])
    assert (f"port {port}." in refused.output, "http" in refused.output) == (True, False)


def test_the_options_of_a_rehearsal_reach_the_portal(project: Project) -> None:
    """Faults are asked for at /_faults, pages of other sites may read, and a further name is answered to."""
    with served(project, "--faults", "--cors", "--name", "room.agency.example") as line:
        url = line.split()[3]
        account = json.loads((project.private_folder("portal") / "publisher.json").read_text("utf-8"))
        signed = (account["key_id"], account["key_secret"])
        named = {"Host": f"room.agency.example:{urlsplit(url).port}"}
        asked = requests.get(f"{url}_faults", auth=signed, headers=named, timeout=10)
    assert (asked.status_code, asked.headers["Access-Control-Allow-Origin"]) == (200, "*")


def test_doctor_names_every_secret_of_a_portal(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens and Opendatasoft's key are looked for as well."""
    text = (project.root / settings.MARK).read_text(encoding="utf-8")
    portals = "  a: {kind: socrata, oauth_token: {secret: ONE}}\n  b: {kind: opendatasoft, api_key: {secret: TWO}}\n"
    (project.root / settings.MARK).write_text(
        text.replace("portals:\n", f"portals:\n{portals}"), encoding="utf-8"
    )
    monkeypatch.chdir(project.root)
    told = CliRunner().invoke(cli, ["doctor"]).output
    assert ("ONE" in told, "TWO" in told) == (True, True)


def test_both_doors_have_every_option_of_a_portal() -> None:
    """One list serves `ctnb portal serve` and `python -m ctnb.embedded`; what it lacks, a program gives."""
    by_program = {"clock", "address_file", "listening"}
    fields = {field.name for field in dataclasses.fields(Options)} - by_program
    assert {flag.field for flag in FLAGS} == fields
    serve = next(command for name, command in portal.commands.items() if name == "serve")
    ours = {name for option in serve.params for name in option.opts}
    help_text = subprocess.run(
        [sys.executable, "-m", "ctnb.embedded", "--help"], capture_output=True, text=True, check=True
    ).stdout
    assert [flag.name for flag in FLAGS if flag.name not in ours] == []
    assert [flag.name for flag in FLAGS if f"{flag.name} " not in help_text] == []
    reference = Path(__file__).parent.parent / "docs" / "reference" / "embedded-portal.md"
    told = reference.read_text(encoding="utf-8")
    assert [flag.name for flag in FLAGS if f"`{flag.name}`" not in told] == []


def test_an_option_of_the_list_counts_wherever_it_is_given(project: Project) -> None:
    """A number of zero too; half a pair of files is wrong usage."""
    with served(project, "--body-limit", "100") as line:
        answer = requests.post(f"{line.split()[3]}resource/abcd-1234.json", data=b"x" * 200, timeout=10)
        assert answer.status_code == 413
    assert given({"port": 0, "records_limit": 0, "tls": False, "names": ()}) == {
        "port": 0,
        "records_limit": 0,
    }
    with pytest.raises(ValueError, match="go together"):
        given({"key": Path("key.pem")})
