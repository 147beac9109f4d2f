"""Files at addresses of fsspec's, with a storage in memory; object stores are in test_object_stores.py."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from error_texts import assert_text, whole_story

from ctnb.contracts.places import Address
from ctnb.errors import NameUnknown, NothingNew, SourceInvalid, UsageError
from ctnb.places import addresses
from ctnb.places.fetched import Fetched, Progress, Request
from ctnb.secrets import SecretReference


@pytest.fixture
def memory() -> Iterator[Any]:
    """fsspec's storage in this process's memory, empty before and after."""
    storage = fsspec.filesystem("memory")
    storage.store.clear()
    storage.pseudo_dirs[:] = [""]
    yield storage
    storage.store.clear()
    storage.pseudo_dirs[:] = [""]


def fetch(work: Path, url: str, position: Any = None, seen: Any = None, **more: Any) -> Fetched:
    """What fetching `url` gives."""
    request = Request(
        work, work, work, (), position=position or {}, secret=lambda reference: f"value of {reference.secret}",
        progress=(seen if seen is not None else []).append, key=b"key",
    )  # fmt: skip
    return addresses.fetch(Address.model_validate({"url": url, **more}), request)


def test_a_file_comes_whole_with_its_progress(memory: Any, tmp_path: Path) -> None:
    """In blocks, so that a large file takes no memory."""
    content = b"a\n" * (5 << 20)
    memory.pipe("/out/deaths.csv", content)
    seen: list[Progress] = []
    fetched = fetch(tmp_path, "memory://out/deaths.csv", seen=seen)
    assert [content] == [one.path.read_bytes() for one in fetched.snapshots]
    assert "deaths.csv" == fetched.snapshots[0].name
    assert [4 << 20, 8 << 20, 10 << 20] == [one.done for one in seen]
    assert () == fetched.notes


@pytest.mark.parametrize(
    ("take", "expected"), [("newest", [3]), ("oldest", [1]), ("all", [1, 2, 3]), ("new", [1, 2, 3])]
)
def test_of_several_files_the_wanted_ones_are_taken(
    memory: Any, tmp_path: Path, take: str, expected: list[int]
) -> None:
    """By * in the last part of the address."""
    for month in (1, 2, 3):
        memory.pipe(f"/out/deaths-{month}.csv", b"month\n%d\n" % month)
    memory.pipe("/out/towns.csv", b"other\n")
    memory.pipe("/out/deaths-9.csv/inside.csv", b"in a folder\n")
    fetched = fetch(tmp_path, "memory://out/deaths-*.csv", take=take)
    assert [f"deaths-{month}.csv" for month in expected] == [one.name for one in fetched.snapshots]


def test_what_was_released_is_not_new(memory: Any, tmp_path: Path) -> None:
    """Until it is written again."""
    memory.pipe("/out/deaths.csv", b"a\n1\n")
    position = fetch(tmp_path, "memory://out/deaths.csv").position
    with pytest.raises(NothingNew):
        fetch(tmp_path, "memory://out/deaths.csv", position)
    memory.pipe("/out/deaths.csv", b"a\n2\n")
    assert b"a\n2\n" == fetch(tmp_path, "memory://out/deaths.csv", position).snapshots[0].path.read_bytes()


@pytest.mark.parametrize("url", ["memory://out/missing.csv", "memory://missing/*.csv", "memory://out/folder"])
def test_a_file_that_is_not_there_is_named(memory: Any, tmp_path: Path, url: str) -> None:
    """Exit 6; a folder is no file."""
    memory.pipe("/out/folder/deaths.csv", b"a\n1\n")
    with pytest.raises(SourceInvalid, match="is not on memory://"):
        fetch(tmp_path, url)
    assert [] == list(tmp_path.iterdir())


def test_a_file_over_the_limit_is_not_fetched(memory: Any, tmp_path: Path) -> None:
    """And leaves nothing."""
    memory.pipe("/out/deaths.csv", b"a\n" * (1 << 20))
    with pytest.raises(SourceInvalid, match="larger than the 1 MB"):
        fetch(tmp_path, "memory://out/deaths.csv", at_most_mb=1)
    assert [] == list(tmp_path.iterdir())


def test_an_unknown_kind_of_storage_is_corrected(tmp_path: Path) -> None:
    """With the nearest one that fsspec knows."""
    with pytest.raises(NameUnknown, match="Did you mean 'memory'"):
        fetch(tmp_path, "memori://out/a.csv")


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "local://etc/passwd", "/etc/passwd", "http://example.gov/a.csv", "sftp://host/a.csv",
        "simplecache::s3://bucket/a.csv", "zip://a.csv", "reference://a", "git://a.csv", "data:text/csv,a",
        "s3://key:secret@bucket/a.csv", "az://container/a.csv?sv=1&sig=abc", "s3://bucket/*/a.csv", "s3://bucket/",
    ],
)  # fmt: skip
def test_what_is_no_address_of_a_storage_is_refused(url: str) -> None:
    """Files of this machine, other places' business, wrappers, and secrets in the address."""
    with pytest.raises(ValueError, match="url"):
        Address.model_validate({"url": url})


def test_secrets_in_options_are_looked_up_one_level_deep(memory: Any, tmp_path: Path) -> None:
    """They go to the library, and nowhere else."""
    seen: dict[str, Any] = {}

    class Seeing(type(memory)):  # type: ignore[misc]
        """A storage that notes what it is told."""

        protocol = "seeing"

        def __init__(self, **options: Any) -> None:
            seen.update(options)
            super().__init__()

        @classmethod
        def _strip_protocol(cls, path: str) -> str:
            return path.removeprefix("seeing://")

    fsspec.register_implementation("seeing", Seeing, clobber=True)
    memory.pipe("/out/deaths.csv", b"a\n1\n")
    options = {
        "key": {"secret": "KEY"},
        "client": {"token": {"secret": "TOKEN"}, "region": "east"},
        "anon": False,
    }
    fetched = fetch(tmp_path, "seeing:///out/deaths.csv", options=options)
    assert {
        "key": "value of KEY",
        "client": {"token": "value of TOKEN", "region": "east"},
        "anon": False,
    } == {name: seen[name] for name in options}
    assert "value of" not in repr(fetched)
    named = [one.secret for one in references(options)]
    assert ["KEY", "TOKEN"] == named
    note = "dataset.yml names no credentials for seeing://: those of this account were used, if it has any."
    assert (note,) == fetch(tmp_path, "seeing:///out/deaths.csv").notes


def references(options: dict[str, Any]) -> list[SecretReference]:
    """The secrets that options name."""
    from ctnb import secrets

    return list(secrets.references(Address.model_validate({"url": "s3://bucket/a.csv", "options": options})))


def test_a_library_that_fails_is_not_quoted(tmp_path: Path) -> None:
    """Its text can hold a key."""

    class Failing(fsspec.AbstractFileSystem):  # type: ignore[misc]
        """A storage whose errors talk too much."""

        protocol = "failing"

        def __init__(self, key: str, **options: Any) -> None:
            super().__init__(**options)
            raise TypeError(f"cannot use {key}")

    fsspec.register_implementation("failing", Failing, clobber=True)
    with pytest.raises(UsageError) as caught:
        fetch(tmp_path, "failing://bucket/a.csv", options={"key": {"secret": "KEY"}})
    assert_text("address-options", caught.value)
    assert "value of KEY" not in whole_story(caught.value)


@pytest.mark.parametrize(
    ("protocol", "library", "expected"),
    [
        ("s3", "s3fs", 'pip install "ctnb[s3]"'),
        ("az", "adlfs", 'pip install "ctnb[azure]"'),
        ("gs", "gcsfs", "Please install gcsfs to access Google Storage."),
    ],
)
def test_a_library_that_is_missing_is_named(protocol: str, library: str, expected: str) -> None:
    """In a Python without it."""
    program = (
        f"import sys; sys.modules[{library!r}] = None\n"
        "from pathlib import Path\n"
        "from ctnb.contracts.places import Address\n"
        "from ctnb.errors import UsageError\n"
        "from ctnb.places import addresses\n"
        "from ctnb.places.fetched import Request\n"
        "here = Path.cwd()\n"
        "try:\n"
        f"    addresses.fetch(Address(url='{protocol}://bucket/a.csv'), Request(here, here, here, ()))\n"
        "except UsageError as error:\n"
        "    print(error)\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert f"Reading from {protocol}:// needs a library that is not installed.\n  {expected}\n" == ran.stdout
