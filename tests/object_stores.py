"""Real servers of object stores on loopback: moto's for S3, Azurite for Azure, and a wire that can break."""

from __future__ import annotations

import base64
import contextlib
import logging
import os
import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prerequisites import lacking

AZURE_ACCOUNT = "agencystore"
AZURE_KEY = base64.b64encode(b"a key that was made up for the tests of ctnb").decode()


@dataclass
class Wire:
    """A connection that is passed on, and cut now and then."""

    port: int = 0
    cut_after: int = 0
    """After how many bytes of an answer it is cut."""
    cuts: int = 0
    """How often it is cut."""


def azurite() -> str:
    """Azurite's program. Skips the test where none is named, except on a build server, where it fails."""
    told = os.environ.get("CTNB_AZURITE")
    if not told:
        lacking("set CTNB_AZURITE to Azurite's program azurite-blob")
    return told


@contextmanager
def s3_serving() -> Iterator[str]:
    """The URL of an S3 server on which everything is allowed until `s3_guard`."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def s3_client(url: str, service: str = "s3") -> Any:
    """A client of Amazon's own library that may do everything before `s3_guard`."""
    import boto3

    return boto3.client(
        service,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="root",
        aws_secret_access_key="root",
    )


def s3_guard(url: str) -> tuple[str, str]:
    """From now on only this key and secret may do anything."""
    import requests

    iam = s3_client(url, "iam")
    iam.create_user(UserName="clerk")
    key = iam.create_access_key(UserName="clerk")["AccessKey"]
    everything = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}'
    iam.put_user_policy(UserName="clerk", PolicyName="files", PolicyDocument=everything)
    requests.post(f"{url}/moto-api/reset-auth", data=b"0", timeout=10).raise_for_status()
    return key["AccessKeyId"], key["SecretAccessKey"]


@contextmanager
def azure_serving(folder: Path) -> Iterator[str]:
    """The URL of an Azure Blob server with the account AZURE_ACCOUNT."""
    program = [
        azurite(), "--blobPort", "0", "--location", str(folder), "--silent",
        "--disableTelemetry", "--skipApiVersionCheck",
    ]  # fmt: skip
    environment = {**os.environ, "AZURITE_ACCOUNTS": f"{AZURE_ACCOUNT}:{AZURE_KEY}"}
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True, env=environment) as server:
        try:
            assert server.stdout
            said = (re.search(r"listens on (http://\S+)", line) for line in server.stdout)
            yield next(found[1] for found in said if found)
        finally:
            server.terminate()


@contextmanager
def wired(target: str) -> Iterator[Wire]:
    """A wire to the server at the URL `target`."""
    host, _, port = target.removeprefix("http://").partition(":")
    wire = Wire()

    def pass_on(source: socket.socket, sink: socket.socket, answers: bool) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while chunk := source.recv(1 << 16):
                passed += len(chunk)
                if answers and wire.cuts and passed > wire.cut_after:
                    wire.cuts -= 1
                    break
                sink.sendall(chunk)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.create_connection((host, int(port)))
            for source, sink, answers in ((client, server, False), (server, client, True)):
                threading.Thread(target=pass_on, args=(source, sink, answers), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        wire.port = listener.getsockname()[1]
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield wire
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


@contextmanager
def untrusted(folder: Path) -> Iterator[str]:
    """The URL of a server whose certificate nobody vouches for."""
    import trustme

    certificate = folder / "untrusted.pem"
    trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), context.wrap_socket(client, server_side=True) as safe:
                safe.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"https://localhost:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()
