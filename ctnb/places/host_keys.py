"""
Which host key an SSH server may have: by its fingerprint, or by a file of known hosts (sshd(8), SSH_KNOWN_HOSTS).

Nothing is ever added to such a file: the first key that somebody shows need not be the server's.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from ctnb.errors import CtnbError, SourceInvalid, UsageError

SSH_PORT = 22


@dataclass(frozen=True)
class HostKey:
    """A public key."""

    kind: str
    """Its type, e.g. ssh-ed25519."""
    blob: bytes
    """The key as SSH sends it (RFC 4253, section 6.6)."""
    revoked: bool = False

    @property
    def fingerprint(self) -> str:
        """SHA256: and the digest in base64 without padding, as OpenSSH shows it."""
        digest = base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")
        return f"SHA256:{digest}"


@dataclass(frozen=True)
class Expected:
    """What is known of the key of one server."""

    server: str
    """Its name, with its port unless that is 22."""
    fingerprint: str | None
    keys: tuple[HostKey, ...]
    source: str
    """What the keys come from: the name of a file."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The types of the keys that are known, so that the server is asked for one of these."""
        return tuple(dict.fromkeys(key.kind for key in self.keys if not key.revoked))

    def trouble(self, shown: HostKey) -> CtnbError | None:
        """None where `shown` is the server's key; UsageError where none is known, SourceInvalid where another is."""
        if self.fingerprint:
            if hmac.compare_digest(shown.fingerprint, self.fingerprint):
                return None
            return self._another(shown, "fingerprint: in dataset.yml")
        same = [key for key in self.keys if key.blob == shown.blob]
        if same and not any(key.revoked for key in same):
            return None
        if self.keys:
            return self._another(shown, self.source)
        return UsageError(
            f"The host key of {self.server} is not known, so nothing was sent to it.",
            hint=f"It shows {shown.kind} {shown.fingerprint}. Ask its owner on another way whether that is right, "
            "then write it under fingerprint: in dataset.yml.",
        )

    def _another(self, shown: HostKey, where: str) -> SourceInvalid:
        return SourceInvalid(
            f"{self.server} shows another host key than {where} has, so nothing was sent to it.",
            hint=f"It shows {shown.kind} {shown.fingerprint}. Ask its owner on another way whether its key was "
            "changed; if it was not, somebody may be in between.",
        )


def expected(host: str, port: int, fingerprint: str | None, known_hosts: Path) -> Expected:
    """
    What is known of the key of the server at `host` and `port`: its `fingerprint`, or what stands in `known_hosts`.

    Raises UsageError when the file cannot be read; one that is not there knows no server.
    """
    server = host if port == SSH_PORT else f"[{host}]:{port}"
    keys = () if fingerprint else tuple(_keys(server.lower(), _lines(known_hosts)))
    return Expected(server, fingerprint, keys, known_hosts.name)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    except OSError:
        pass
    raise UsageError(f"The file of host keys {path.name} cannot be read.", hint="Ask for read access.")


def _keys(server: str, lines: list[str]) -> Iterator[HostKey]:
    """The keys of `server`; certificates' authorities are not looked at."""
    for line in lines:
        words = line.split()
        revoked = words[:1] == ["@revoked"]
        if revoked:
            words = words[1:]
        if len(words) < 3 or words[0].startswith(("#", "@")) or not _means(words[0], server):
            continue
        try:
            yield HostKey(words[1], base64.b64decode(words[2], validate=True), revoked)
        except binascii.Error:
            continue


def _means(names: str, server: str) -> bool:
    """Whether the first column of a line means `server`: names, patterns, !exceptions, or a hashed name."""
    if names.startswith("|1|"):
        return _is_hash_of(names, server)
    patterns = names.lower().split(",")
    means = [_fits(server, one) for one in patterns if not one.startswith("!")]
    return any(means) and not any(_fits(server, one[1:]) for one in patterns if one.startswith("!"))


def _fits(server: str, pattern: str) -> bool:
    return fnmatchcase(server, pattern.replace("[", "[[]"))


def _is_hash_of(hashed: str, server: str) -> bool:
    """A name hashed by ssh-keygen -H: |1|salt|HMAC-SHA1 of the name, both in base64."""
    try:
        salt, digest = (base64.b64decode(part, validate=True) for part in hashed.split("|")[2:4])
    except ValueError:  # binascii.Error is one
        return False
    return hmac.compare_digest(hmac.digest(salt, server.encode(), "sha1"), digest)
