"""Real PostgreSQL and MariaDB servers on loopback, with a password and TLS, in a folder of their own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctnb.contracts.places import Connection
from ctnb.secrets import SecretReference

NOBODY = 65534
"""Whom a server runs as when the tests run as root, which PostgreSQL refuses."""
OWNER, OWNER_PASSWORD = "owner", "owner-Quux-7"
READER, READER_PASSWORD = "reader", "reader-Xyzzy-9"
PASSWORD_VARIABLE = "RECORDS_PASSWORD"
"""The secret that connections name."""
WAIT_S = 60


@dataclass
class Server:
    """A running server with the database `records`, an owner of it and an account that may only read."""

    kind: str
    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    @property
    def ca_file(self) -> Path:
        """The certificate of the authority that signed the server's."""
        return self.folder / "ca.pem"

    def connection(self, **told: Any) -> Connection:
        """What ctnb.yml would say of it."""
        said: dict[str, Any] = {
            "kind": self.kind, "host": "127.0.0.1", "port": self.port, "database": "records", "user": READER,
            "password": SecretReference(secret=PASSWORD_VARIABLE), "ca_file": str(self.ca_file), "timeout_s": 10,
        }  # fmt: skip
        return Connection(**{**said, **told})

    def run(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements as the owner; the rows of the last."""
        return _psycopg(self, statements) if self.kind == "postgresql" else _pymysql(self, statements)

    def kill(self) -> None:
        """End it at once, as a machine that loses power."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for process in (self.process.pid, *map(int, children)):
            os.kill(process, signal.SIGKILL)
        self.process.wait(WAIT_S)


@contextmanager
def postgresql(*settings: str) -> Iterator[Server]:
    """A PostgreSQL server with these lines added to its settings."""
    binaries = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    with _folder() as folder:
        (folder / "password").write_text(OWNER_PASSWORD)
        _own(folder / "password")
        _run([
            binaries / "initdb", "-D", folder / "data", "-U", OWNER, "--auth=scram-sha-256", "--no-sync",
            f"--pwfile={folder / 'password'}", "--encoding=UTF8", "--locale=C.UTF-8",
        ], folder)  # fmt: skip
        port = _free_port()
        lines = [
            f"port={port}", "listen_addresses='127.0.0.1'", f"unix_socket_directories='{folder}'", "fsync=off",
            "ssl=on", f"ssl_cert_file='{folder}/server.pem'", f"ssl_key_file='{folder}/server.key'", *settings,
        ]  # fmt: skip
        with (folder / "data" / "postgresql.conf").open("a") as stream:
            stream.write("\n".join(lines) + "\n")
        server = Server(
            "postgresql", folder, port, _start([binaries / "postgres", "-D", folder / "data"], folder)
        )
        with _ended(server, signal.SIGINT):
            _wait(server, [binaries / "pg_isready", "-q", "-h", folder, "-p", str(port)])
            _psycopg(server, ["CREATE DATABASE records"], database="postgres")
            server.run(
                f"CREATE ROLE {READER} LOGIN PASSWORD '{READER_PASSWORD}'",
                f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO {READER}",
                f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON SEQUENCES TO {READER}",
            )
            yield server


@contextmanager
def mariadb(*settings: str) -> Iterator[Server]:
    """A MariaDB server with these options added to its command."""
    with _folder() as folder:
        shared = ["--no-defaults", f"--datadir={folder / 'data'}"]
        _run(
            ["mariadb-install-db", *shared, "--auth-root-authentication-method=normal", "--skip-test-db"],
            folder,
        )
        port = _free_port()
        (folder / "init.sql").write_text(
            f"CREATE DATABASE records CHARACTER SET utf8mb4;\n"
            f"CREATE USER {OWNER}@'127.0.0.1' IDENTIFIED BY '{OWNER_PASSWORD}';\n"
            f"GRANT ALL ON *.* TO {OWNER}@'127.0.0.1';\n"
            f"CREATE USER {READER}@'127.0.0.1' IDENTIFIED BY '{READER_PASSWORD}';\n"
            f"GRANT ALL ON records.* TO {READER}@'127.0.0.1';\nGRANT FILE ON *.* TO {READER}@'127.0.0.1';\n"
        )
        command = [
            _sbin("mariadbd"), *shared, f"--port={port}", "--bind-address=127.0.0.1", f"--socket={folder}/m.sock",
            f"--pid-file={folder}/m.pid", f"--init-file={folder}/init.sql", "--skip-name-resolve",
            f"--ssl-cert={folder}/server.pem", f"--ssl-key={folder}/server.key", f"--ssl-ca={folder}/ca.pem",
            "--innodb-flush-log-at-trx-commit=0", "--secure-file-priv=", *settings,
        ]  # fmt: skip
        server = Server("mariadb", folder, port, _start(command, folder))
        with _ended(server, signal.SIGTERM):
            _wait(
                server, ["mariadb-admin", "--no-defaults", f"--socket={folder}/m.sock", "-u", OWNER, "ping"]
            )
            yield server


def _psycopg(server: Server, statements: Sequence[str], database: str = "records") -> list[tuple[Any, ...]]:
    import psycopg

    rows: list[tuple[Any, ...]] = []
    with psycopg.connect(
        host="127.0.0.1",
        port=server.port,
        dbname=database,
        user=OWNER,
        password=OWNER_PASSWORD,
        autocommit=True,
    ) as connection:
        for statement in statements:
            cursor = connection.execute(statement)
            rows = cursor.fetchall() if cursor.description else []
    connection.close()
    return rows


def _pymysql(server: Server, statements: Sequence[str]) -> list[tuple[Any, ...]]:
    import pymysql

    rows: list[tuple[Any, ...]] = []
    with (
        pymysql.connect(
            host="127.0.0.1", port=server.port, user=OWNER, password=OWNER_PASSWORD, database="records",
            autocommit=True,
        ) as connection,
        connection.cursor() as cursor,
    ):  # fmt: skip
        for statement in statements:
            cursor.execute(statement)
            rows = list(cursor.fetchall())
    return rows


@contextmanager
def _folder() -> Iterator[Path]:
    """A short-named folder that belongs to whom the server runs as, with certificates for 127.0.0.1."""
    import trustme

    folder = Path(tempfile.mkdtemp(prefix="ctnb-server-"))
    try:
        authority = trustme.CA()
        issued = authority.issue_cert("127.0.0.1", "localhost")
        authority.cert_pem.write_to_path(folder / "ca.pem")
        issued.private_key_pem.write_to_path(folder / "server.key")
        issued.cert_chain_pems[0].write_to_path(folder / "server.pem")
        (folder / "server.key").chmod(0o600)
        for path in (folder, *folder.iterdir()):
            _own(path)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _own(path: Path) -> None:
    if os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY)


def _as_somebody(folder: Path) -> dict[str, Any]:
    made: dict[str, Any] = {
        "cwd": folder,
        "env": {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(folder)},
    }
    if os.geteuid() == 0:
        made |= {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    return made


def _run(command: Sequence[str | Path], folder: Path) -> None:
    done = subprocess.run(command, capture_output=True, **_as_somebody(folder))
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-2000:]


def _start(command: Sequence[str | Path], folder: Path) -> subprocess.Popen[bytes]:
    with (folder / "server.log").open("wb") as log:
        return subprocess.Popen(
            command, stdout=log, stderr=log, start_new_session=True, **_as_somebody(folder)
        )


def _wait(server: Server, ping: Sequence[str | Path]) -> None:
    """Until it answers `ping`, which asks by its socket; an empty password's refusal is an answer too."""
    for _ in range(WAIT_S * 10):
        if subprocess.run(ping, capture_output=True, **_as_somebody(server.folder)).returncode == 0:
            return
        if server.process.poll() is not None:
            break
        try:
            server.process.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
    raise AssertionError((server.folder / "server.log").read_text(errors="replace")[-2000:])


@contextmanager
def _ended(server: Server, how: signal.Signals) -> Iterator[None]:
    try:
        yield
    finally:
        if server.process.poll() is None:
            server.process.send_signal(how)
            try:
                server.process.wait(WAIT_S)
            except subprocess.TimeoutExpired:
                server.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _sbin(name: str) -> str:
    """Servers lie in folders that are not in everybody's PATH."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") or name
