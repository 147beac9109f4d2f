"""Where a source's rows can lie, as `dataset.yml` says it, and the database connections of `ctnb.yml`."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    field_validator,
    model_validator,
)

from ctnb import documents
from ctnb.secrets import SecretReference

Take = Literal["newest", "oldest", "new", "all"]
TAKE = (
    "Which of several files, by when they were changed: the newest; the oldest not released yet; new: every one "
    "not released yet; all: every one, as soon as one is new."
)
Text = Annotated[str, Field(min_length=1)]
Scalar = str | int | float | bool


def _only_last_part_chosen(path: str) -> str:
    """`path` as it is. Raises ValueError where more than its last part is a pattern, or it cannot be a path."""
    folder, _, name = path.rpartition("/")
    if not name or not path.isprintable():
        raise ValueError("a path of printable characters that ends in a file's name")
    if "*" in folder or "?" in folder:
        raise ValueError("* and ? stand in the last part only")
    return path


RemotePath = Annotated[Text, AfterValidator(_only_last_part_chosen)]


class Folder(documents.Form):
    """A folder that somebody puts files into."""

    path: Text = Field(description="The folder, relative to the dataset's own, or below a root of ctnb.yml.")
    pattern: Text = Field(
        "*",
        description="Which files, by name, in any case: * and ? stand for any characters.",
        pattern=r"^[^/\\]+$",
    )
    take: Literal["newest", "oldest", "new", "all"] = Field(
        "newest",
        description="Which of them, by when they were changed: the newest; the oldest not released yet; new: every "
        "one not released yet; all: every one, as soon as one is new.",
    )
    at_least_age_s: float = Field(60.0, description="Seconds a file must have lain untouched.", ge=0)
    stable_s: float = Field(2.0, description="Seconds between two looks that must see the same size.", ge=0)
    afterwards: Literal["leave", "mark", "archive"] = Field(
        "leave", description="What becomes of a file whose rows were released: mark adds .done to its name."
    )
    archive: Text = Field("archive", description="Where archived files go, relative to the folder.")
    quarantine: Text | None = Field(
        None,
        description="Where files that could not be read go, relative to the folder; they stay if not given.",
    )


class Web(documents.Form):
    """A file behind an HTTP or HTTPS address."""

    url: Text = Field(description="Its address, without any secret in it.")
    headers: dict[str, SecretReference | str] = Field(
        default_factory=dict, description="Headers to send; a secret one by reference: {secret: NAME}."
    )
    user: SecretReference | str | None = Field(None, description="The user, where the server asks for one.")
    password: SecretReference | None = Field(None, description="The user's password.")
    token: SecretReference | None = Field(None, description="A token, sent as Authorization: Bearer.")
    hosts: tuple[Annotated[str, Field(pattern=r"^[^/@\s]+$")], ...] = Field(
        (), description="Other hosts that a redirect may lead to, e.g. files.example.gov."
    )
    at_most_mb: int = Field(2048, description="The largest file that is taken, in MB.", ge=1)
    timeout_s: float = Field(60.0, description="Seconds to wait for the server to say anything.", gt=0)
    ca_file: str | None = Field(None, description="Certificates to trust instead of the system's, PEM.")

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        if not url.startswith(("https://", "http://")):
            raise ValueError("an address that begins with https:// or http://")
        if "@" in url.split("/")[2]:
            raise ValueError(
                "an address without user and password in it; name them under user: and password:"
            )
        return url


class Ftp(documents.Form):
    """A file on an FTP server, by TLS unless told otherwise."""

    host: Text
    port: int = Field(21, gt=0, lt=65536)
    path: RemotePath = Field(
        description="The file on the server; * and ? in its last part stand for any characters."
    )
    take: Take = Field("newest", description=TAKE)
    user: SecretReference | str = Field("anonymous", description="The user.")
    password: SecretReference | None = Field(None, description="The user's password.")
    tls: bool = Field(True, description="false sends password and rows in the clear.")
    ca_file: str | None = Field(None, description="Certificates to trust instead of the system's, PEM.")
    at_most_mb: int = Field(2048, description="The largest file that is taken, in MB.", ge=1)
    timeout_s: float = Field(60.0, description="Seconds to wait for the server to say anything.", gt=0)


class Sftp(documents.Form):
    """A file on an SFTP server, whose host key must be known."""

    host: Text
    port: int = Field(22, gt=0, lt=65536)
    path: RemotePath = Field(
        description="The file on the server; * and ? in its last part stand for any characters."
    )
    take: Take = Field("newest", description=TAKE)
    user: SecretReference | str = Field(description="The user.")
    password: SecretReference | None = Field(None, description="The user's password.")
    key_file: str | None = Field(None, description="A private key, relative to the project's folder.")
    passphrase: SecretReference | None = Field(None, description="What opens the private key.")
    fingerprint: str | None = Field(
        None, description="The host key's fingerprint, SHA256:...; else it must stand in known_hosts."
    )
    known_hosts: str | None = Field(
        None, description="A file of host keys, relative to the project's folder; else ~/.ssh/known_hosts."
    )
    at_most_mb: int = Field(2048, description="The largest file that is taken, in MB.", ge=1)
    timeout_s: float = Field(60.0, description="Seconds to wait for the server to say anything.", gt=0)

    @field_validator("fingerprint")
    @classmethod
    def _is_sha256(cls, fingerprint: str | None) -> str | None:
        if fingerprint is not None and not re.fullmatch(r"SHA256:[A-Za-z0-9+/]{43}=?", fingerprint):
            raise ValueError("SHA256: and 43 characters, as ssh-keygen -l shows it")
        return fingerprint and fingerprint.removesuffix("=")

    @model_validator(mode="after")
    def _says_who(self) -> Self:
        if self.password is None and self.key_file is None:
            raise ValueError("names password: or key_file:")
        if self.passphrase is not None and self.key_file is None:
            raise ValueError("passphrase: goes with key_file:")
        return self


ELSEWHERE = {
    "file": "path: or folder:", "local": "path: or folder:", "http": "web:", "https": "web:", "ftp": "ftp:",
    "sftp": "sftp:", "ssh": "sftp:",
}  # fmt: skip
"""fsspec's kinds that another place does better: it checks roots, redirects, certificates and host keys."""
NOT_STORAGES = (
    "arrow", "asynclocal", "async_wrapper", "asyncwrapper", "blockcache", "cached", "dask", "data", "dir", "dvc",
    "filecache", "generic", "git", "libarchive", "pyscript", "reference", "simplecache", "tar", "zip",
)  # fmt: skip
"""fsspec's kinds that wrap others or read this machine's files, past the roots of ctnb.yml."""


Option = Annotated[
    SecretReference | StrictBool | StrictInt | StrictFloat | str | dict[str, SecretReference | Scalar],
    Field(union_mode="left_to_right"),
]
"""One option; {secret: NAME} is a reference before it is a mapping."""


class Address(documents.Form):
    """A file at any address that fsspec knows: s3://, az://, gs://, smb:// and others."""

    url: Text = Field(
        description="The address, without any secret in it; * and ? in its last part stand for any characters."
    )
    take: Take = Field("newest", description=TAKE)
    options: dict[str, Option] = Field(
        default_factory=dict, description="What fsspec's kind of storage is told, e.g. key: {secret: NAME}."
    )
    at_most_mb: int = Field(2048, description="The largest file that is taken, in MB.", ge=1)

    @field_validator("url")
    @classmethod
    def _is_one_storage(cls, url: str) -> str:
        protocol, separator, rest = url.partition("://")
        if not separator or not protocol or "::" in url:
            raise ValueError("one address, such as s3://bucket/file.csv, without ::")
        if protocol in ELSEWHERE:
            raise ValueError(f"{protocol}:// is what {ELSEWHERE[protocol]} is for")
        if protocol in NOT_STORAGES:
            raise ValueError(f"{protocol}:// is no storage of its own")
        if ":" in rest.partition("@")[0] and "@" in rest.partition("/")[0]:
            raise ValueError("an address without user and password in it; name them under options:")
        if "?" in rest and "=" in rest.partition("?")[2]:
            raise ValueError("an address without a query in it; name keys and tokens under options:")
        return protocol + separator + _only_last_part_chosen(rest)


class Query(documents.Form):
    """The rows that a query gives on a database of ctnb.yml."""

    connection: Text = Field(description="A connection of ctnb.yml.")
    query: Text = Field(description="A file with one SELECT, relative to the dataset's folder.")
    parameters: dict[str, Scalar] = Field(
        default_factory=dict, description="Values of the query's :name; always data, never a part of its SQL."
    )
    high_water: str | None = Field(
        None,
        description="A column of numbers, dates or times that only grows: the query's :high_water is its greatest "
        "value at the last release.",
    )
    start: str | int | None = Field(None, description="What :high_water is before the first release.")
    timeout_s: float = Field(3600.0, description="Seconds that the query may take.", gt=0)

    @model_validator(mode="after")
    def _starts_somewhere(self) -> Self:
        if (self.high_water is None) != (self.start is None):
            raise ValueError(
                "high_water: and start: go together: before the first release it is what start: says"
            )
        if "high_water" in self.parameters:
            raise ValueError("parameters: high_water is given by high_water: and start:")
        return self


class SocrataRows(documents.Form):
    """A dataset of a Socrata portal."""

    dataset: Text = Field(
        description="Its address as people see it, its resource's, or its id (then domain:)."
    )
    domain: str | None = Field(
        None, description="The portal's host, e.g. data.ct.gov, where dataset is an id."
    )
    select: str | None = Field(None, description="SoQL: which columns; all when not given.")
    where: str | None = Field(None, description="SoQL: which rows.")
    group: str | None = Field(None, description="SoQL: by what rows are grouped.")
    having: str | None = Field(None, description="SoQL: which groups.")
    q: str | None = Field(None, description="Words that a row must hold.")
    user: SecretReference | str | None = Field(None, description="An account, or an API key's id.")
    password: SecretReference | None = Field(None, description="Its password, or the API key's secret.")
    app_token: SecretReference | None = Field(
        None, description="A token that names the program to the portal."
    )
    page_rows: int = Field(50_000, description="Rows in one request.", ge=1, le=1_000_000)
    wait_s: float = Field(600.0, description="Seconds to wait while the portal says 202, not ready.", gt=0)
    timeout_s: float = Field(60.0, description="Seconds to wait for an answer.", gt=0)
    ca_file: str | None = Field(None, description="Certificates to trust instead of the system's, PEM.")

    @model_validator(mode="after")
    def _account_is_whole(self) -> Self:
        if (self.user is None) != (self.password is None):
            raise ValueError("user: and password: stand together, or neither does")
        return self


class OpendatasoftRows(documents.Form):
    """A dataset of an Opendatasoft portal."""

    dataset: Text = Field(description="Its address as people see it, or its id (then domain:).")
    domain: str | None = Field(None, description="The portal's host, where dataset is an id.")
    select: str | None = Field(None, description="ODSQL: which columns; all when not given.")
    where: str | None = Field(None, description="ODSQL: which rows.")
    refine: tuple[str, ...] = Field((), description="Facets, each as name:value.")
    key: SecretReference | None = Field(None, description="An API key, for datasets that are not open.")
    timeout_s: float = Field(60.0, description="Seconds to wait for an answer.", gt=0)
    ca_file: str | None = Field(None, description="Certificates to trust instead of the system's, PEM.")


class Census(documents.Form):
    """A table of the US Census Bureau's data API."""

    vintage: int | None = Field(
        None, description="The year of the data, e.g. 2023; none for timeseries/...", ge=1900
    )
    dataset: Text = Field(description="Which product, e.g. acs/acs5 or dec/pl.")
    variables: tuple[Text, ...] = Field(description="Which variables, e.g. NAME, B01001_001E.", min_length=1)
    geography: Text = Field(
        description="Which places, the API's for, e.g. county subdivision:* or county:001."
    )
    within: tuple[Text, ...] = Field((), description="Within which, the API's in, e.g. state:09.")
    predicates: dict[str, str] = Field(default_factory=dict, description="Other filters, e.g. SEX: 2.")
    key: SecretReference | None = Field(None, description="An API key; CENSUS_API_KEY where none is named.")
    url: str = Field("https://api.census.gov/data", description="Where the API is.")
    timeout_s: float = Field(60.0, description="Seconds to wait for an answer.", gt=0)
    ca_file: str | None = Field(None, description="Certificates to trust instead of the system's, PEM.")

    @field_validator("predicates")
    @classmethod
    def _are_filters(cls, predicates: dict[str, str]) -> dict[str, str]:
        if predicates.keys() & {"get", "for", "in", "key"}:
            raise ValueError(
                "filters by variables; get, for, in and key have keys of their own in dataset.yml"
            )
        return predicates


class Connection(documents.Form):
    """A database that datasets can query, in ctnb.yml."""

    kind: Literal["sqlite", "duckdb", "postgresql", "mariadb", "sqlserver", "oracle"] = Field(
        description="Which database; MySQL is mariadb."
    )
    path: str | None = Field(None, description="sqlite and duckdb: the file, relative to ctnb.yml.")
    host: str | None = Field(None, description="The server.")
    port: int | None = Field(None, description="Its port; the kind's own when not given.", gt=0, lt=65536)
    database: str | None = Field(None, description="Which database on it; for Oracle the service.")
    user: SecretReference | str | None = Field(None, description="The account, best one that may only read.")
    password: SecretReference | None = Field(None, description="Its password.")
    tls: Literal["verify", "require", "off"] = Field(
        "verify", description="verify the server's certificate; require TLS without that; or off."
    )
    ca_file: str | None = Field(None, description="Certificates to trust instead of the system's, PEM.")
    timeout_s: float = Field(30.0, description="Seconds to wait for a connection.", gt=0)

    @model_validator(mode="after")
    def _says_where(self) -> Self:
        of_file = self.kind in ("sqlite", "duckdb")
        if of_file and (self.path is None or self.host is not None):
            raise ValueError(f"a {self.kind} connection has path: and no host:")
        if not of_file and (self.host is None or self.path is not None):
            raise ValueError(f"a {self.kind} connection has host: and no path:")
        return self
