"""`python -m ctnb.embedded --file F`: serve the portal in F until it is told to end."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ctnb.errors import CtnbError

from .flags import FLAGS, given
from .server import serve

KINDS: Mapping[str, Mapping[str, Any]] = {
    "yes": {"action": "store_true"},
    "text": {},
    "texts": {"action": "append"},
    "port": {"type": int},
    "whole": {"type": int},
    "seconds": {"type": float},
    "file": {"type": Path},
}


def main() -> None:
    """Read the options and serve; what is refused is said in a line, and its exit code is that of `ctnb`."""
    parser = argparse.ArgumentParser(prog="python -m ctnb.embedded", description=__doc__)
    parser.add_argument(
        "--file", type=Path, required=True, help="The SQLite file; made when it is not there."
    )
    parser.add_argument("--address-file", type=Path, help="Where to write the address once it listens.")
    for flag in FLAGS:
        parser.add_argument(flag.name, dest=flag.field, help=flag.help, **KINDS[flag.kind])
    told = vars(parser.parse_args())
    try:
        options = given(told)
    except ValueError as error:
        parser.error(str(error))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        serve(told["file"], address_file=told["address_file"], **options)
    except CtnbError as error:
        error.show()
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
