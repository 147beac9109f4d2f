"""`python -m ctnb.embedded --file F`: serve the portal in F until it is told to end."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from .server import serve


def main() -> None:
    """Read the options and serve."""
    parser = argparse.ArgumentParser(prog="python -m ctnb.embedded", description=__doc__)
    parser.add_argument("--file", type=Path, required=True, help="the SQLite file; made when it is not there")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, default=0, help="the port; 0 is any free one")
    parser.add_argument("--address-file", type=Path, help="where to write the address once it listens")
    parser.add_argument("--name", action="append", default=[], help="a further host name to answer to")
    parser.add_argument("--body-limit", type=int, default=512 * 2**20, help="largest request body, in bytes")
    parser.add_argument("--tls", action="store_true", help="speak https, with a certificate of its own")
    parser.add_argument("--certificate", type=Path, help="a PEM certificate to speak https with")
    parser.add_argument("--key", type=Path, help="the PEM key of --certificate")
    parser.add_argument("--chunk-bytes", type=int, default=4 * 2**20, help="how uploads are best cut (4 MiB)")
    parser.add_argument(
        "--upload-limit", type=int, default=16 * 2**30, help="largest upload, in bytes (16 GiB)"
    )
    parser.add_argument(
        "--fetch", action="store_true", help="read sources of type url; reaches what this can"
    )
    parser.add_argument("--approval", action="store_true", help="a revision needs a second publisher")
    parser.add_argument("--faults", action="store_true", help="publishers may ask for faults at /_faults")
    parser.add_argument("--cors", action="store_true", help="pages of any site may read public data")
    parser.add_argument(
        "--processing-s", type=float, default=0.0, help="how long an Opendatasoft publish takes"
    )
    parser.add_argument("--records-limit", type=int, help="how many records an Opendatasoft dataset may hold")
    parser.add_argument("--strict-push", action="store_true", help="refuse pushed fields that are not known")
    given = parser.parse_args()
    if (given.certificate is None) != (given.key is None):
        parser.error("--certificate and --key go together")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    serve(
        given.file,
        host=given.host,
        port=given.port,
        address_file=given.address_file,
        names=tuple(given.name),
        body_limit=given.body_limit,
        tls=given.tls,
        certificate=given.certificate,
        key=given.key,
        chunk_bytes=given.chunk_bytes,
        upload_limit=given.upload_limit,
        fetch=given.fetch,
        approval=given.approval,
        faults=given.faults,
        cors=given.cors,
        processing_s=given.processing_s,
        records_limit=given.records_limit,
        strict_push=given.strict_push,
    )


if __name__ == "__main__":
    main()
