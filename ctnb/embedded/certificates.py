"""TLS for loopback: a certificate of the portal's own, made once and kept beside its file."""

from __future__ import annotations

import datetime as dt
import importlib.util
import ipaddress
import os
import ssl
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ctnb.errors import UsageError

if TYPE_CHECKING:
    from cryptography import x509

VALID_DAYS = 397
"""What browsers accept at most."""
RENEWED_DAYS = 30


def tls_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """
    TLS 1.2 or newer with `certificate` and `key`, both PEM files.

    Raises UsageError when they cannot be read or do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError):
        pass  # below, without the path of the key
    else:
        return context
    hint = "Give a PEM certificate and the PEM key that it was made for."
    raise UsageError(f"'{certificate.name}' and its key cannot be used for TLS.", hint=hint)


def own_certificate(file: Path, names: tuple[str, ...] = (), *, now: dt.datetime) -> tuple[Path, Path]:
    """
    The certificate and key that belong to the portal in `file`, for localhost, loopback and `names`.

    Both are made when there are none or the certificate ends within 30 days. A client trusts it by its file:
    `REQUESTS_CA_BUNDLE`, `--cacert`. The key is its owner's alone. Raises UsageError without `cryptography`.
    """
    certificate, key = file.with_suffix(".certificate.pem"), file.with_suffix(".key.pem")
    if importlib.util.find_spec("cryptography") is None:
        hint = "Install cryptography, or give --certificate and --key."
        raise UsageError("Making a certificate needs the library cryptography.", hint=hint)
    if not (key.exists() and certificate.exists() and _lasts(certificate, names, now)):
        signed, private = _made(names, now)
        _write(key, private)
        _write(certificate, signed)
    return certificate, key


def _lasts(certificate: Path, names: tuple[str, ...], now: dt.datetime) -> bool:
    """Whether the certificate is good for another month, for every name."""
    from cryptography import x509

    try:
        known = x509.load_pem_x509_certificate(certificate.read_bytes())
        named = known.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        return False
    lasts = known.not_valid_after_utc > now + dt.timedelta(days=RENEWED_DAYS)
    return lasts and set(names) <= set(named.get_values_for_type(x509.DNSName))


def _made(names: tuple[str, ...], now: dt.datetime) -> tuple[bytes, bytes]:
    """A self-signed certificate (RFC 5280) on P-256, and its key, both PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Embedded open data portal")])
    loopback = [x509.IPAddress(ipaddress.ip_address(text)) for text in ("127.0.0.1", "::1")]
    alternatives = [*(x509.DNSName(name) for name in ("localhost", *names)), *loopback]
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - dt.timedelta(days=1))
    builder = builder.not_valid_after(now - dt.timedelta(days=1) + dt.timedelta(days=VALID_DAYS))
    for extension, critical in (
        (x509.SubjectAlternativeName(alternatives), False),
        (x509.BasicConstraints(ca=True, path_length=0), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (_usage(), True),
        (identifier, False),
        (authority, False),
    ):
        builder = builder.add_extension(extension, critical=critical)
    plain = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM), private


def _usage() -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write(path: Path, content: bytes) -> None:
    """In one step, readable by the owner alone."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    with os.fdopen(handle, "wb") as temporary:
        temporary.write(content)
    Path(name).replace(path)
